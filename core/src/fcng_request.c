/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request's way out: BEGIN_REQUEST, PARAMS, STDIN, DATA, each stream ended
 * by one empty record without padding.  A stream that is cut is never ended.
 * Spec: 5.1-5.3, 6.1, 6.2, 6.4.
 */
#include "fcng_request.h"
#include "fcng_int.h"
#include "fcng_params.h"
#include "fcng_role.h"

void fcng_request_init(fcng_request *request, fcng_conn *conn, uint16_t id,
                       const fcng_submit *submit)
{
    /* What is in a ring's slots does not matter while they are free. */
    memset(request, 0, offsetof(fcng_request, slice));
    request->conn = conn;
    request->user = submit->user;
    request->role = submit->role;
    request->id = id;
    request->in.announced = fcng_role_has_stdin_body(submit->role)
                                ? submit->stdin_length
                                : 0;
    request->data.announced = submit->data_length;
    if (!fcng_role_has_data(submit->role)) {
        request->data.fin = true;
        request->data.ended = true;
    }
}

/* STDIN is complete: an empty file is, too. */
static void stdin_fin(fcng_request *request)
{
    request->in.fin = true;
    request->data.fin = request->data.fin || request->data.announced == 0;
}

/* --- the beginning: one place for all its records --- */

static int count_params(fcng_str pairs, bool split, size_t *records)
{
    size_t cut = 0, len;
    *records = 0;
    while (pairs.len > 0) {
        int err = fcng_params_record(pairs, split, &cut, &len);
        if (err != FCNG_OK) {
            return err;
        }
        pairs.data += len;
        pairs.len -= len;
        ++*records;
    }
    return FCNG_OK;
}

static char *put_header(char *out, const fcng_request *request,
                        enum fcng_type type, size_t len)
{
    fcng_record record = { .version = FCNG_PROTOCOL_VERSION,
                           .type = (uint8_t)type,
                           .id = request->id,
                           .content_len = (uint16_t)len };
    fcng_record_encode(out, &record);
    return out + FCNG_HEADER_LEN;
}

/* Nothing can fail: the records have been counted. */
static char *put_params(char *out, const fcng_request *request, fcng_str pairs,
                        bool split)
{
    size_t cut = 0, len;
    while (pairs.len > 0
           && fcng_params_record(pairs, split, &cut, &len) == FCNG_OK) {
        out = put_header(out, request, FCNG_TYPE_PARAMS, len);
        memcpy(out, pairs.data, len);
        out += len;
        pairs.data += len;
        pairs.len -= len;
    }
    return put_header(out, request, FCNG_TYPE_PARAMS, 0);
}

static char *put_begin(char *out, const fcng_request *request, bool keep_conn)
{
    out = put_header(out, request, FCNG_TYPE_BEGIN_REQUEST, FCNG_BEGIN_LEN);
    fcng_record_encode_begin(out, request->role, keep_conn);
    return out + FCNG_BEGIN_LEN;
}

int fcng_request_begin(fcng_request *request, fcng_writer *writer,
                       const fcng_submit *submit,
                       const fcng_conn_options *options)
{
    bool empty = request->in.announced == 0;
    if (empty) {
        stdin_fin(request);
    }
    bool end_in = empty && !submit->no_stdin;
    bool end_data = empty && request->data.fin && !request->data.ended;
    size_t records;
    int err = count_params(submit->params, options->split_large_params,
                           &records);
    if (err != FCNG_OK) {
        return err;
    }
    records += 2u + end_in + end_data;
    char *out = fcng_writer_place(writer,
                                  FCNG_BEGIN_LEN + submit->params.len
                                      + records * FCNG_HEADER_LEN,
                                  &request->sink);
    if (out == NULL) {
        return FCNG_ERR_NOMEM;
    }
    out = put_begin(out, request, options->keep_conn);
    out = put_params(out, request, submit->params,
                     options->split_large_params);
    if (end_in) {
        out = put_header(out, request, FCNG_TYPE_STDIN, 0);
    }
    if (end_data) {
        put_header(out, request, FCNG_TYPE_DATA, 0);
    }
    request->in.ended = empty;
    request->data.ended = request->data.ended || end_data;
    return FCNG_OK;
}

/* --- offers --- */

static int check_offer(const fcng_outflow *flow, size_t len, bool fin)
{
    if (len > flow->announced - flow->offered) {
        return FCNG_ERR_STDIN_LONG;
    }
    bool all = flow->offered + len == flow->announced;
    if (fin && !all && flow->announced != FCNG_LENGTH_UNKNOWN) {
        return FCNG_ERR_STDIN_SHORT;
    }
    return FCNG_OK;
}

static fcng_outflow *open_flow(fcng_request *request, enum fcng_stream stream)
{
    if (request->over) {
        return NULL;
    }
    if (stream == FCNG_STDIN) {
        return &request->in;
    }
    return stream == FCNG_DATA && request->in.fin ? &request->data : NULL;
}

int fcng_request_offer(fcng_request *request, enum fcng_stream stream,
                       const void *data, size_t len, bool fin)
{
    fcng_outflow *flow = open_flow(request, stream);
    if (flow == NULL || (flow->fin && !(len == 0 && fin))) {
        return flow != NULL && len > 0 ? FCNG_ERR_STDIN_LONG
                                       : FCNG_ERR_INVALID;
    }
    int err = check_offer(flow, len, fin);
    if (err != FCNG_OK) {
        return err;
    }
    /* DATA must not mix with STDIN's slices: one ring serves both in turn. */
    if (len > 0
        && (request->count == FCNG_REQUEST_SLICES
            || (stream == FCNG_DATA && !request->in.ended))) {
        return FCNG_AGAIN;
    }
    if (len > 0) {
        unsigned at = (request->first + request->count) % FCNG_REQUEST_SLICES;
        request->slice[at] = (fcng_str){ data, len };
        request->count++;
        flow->offered += len;
    }
    flow->fin = flow->fin || fin;
    if (stream == FCNG_STDIN && fin) {
        stdin_fin(request);
    }
    if (request->turns != NULL && !fcng_list_has(&request->turn)
        && fcng_request_wants_frame(request)) {
        fcng_list_append(request->turns, &request->turn);
    }
    return FCNG_OK;
}

uint64_t fcng_request_sent(const fcng_request *request)
{
    return request->sink.payload;
}

uint64_t fcng_request_offered(const fcng_request *request)
{
    return request->in.offered + request->data.offered;
}

bool fcng_request_started(const fcng_request *request)
{
    return request->sink.started;
}

bool fcng_request_answered(const fcng_request *request)
{
    return request->answered;
}

uint16_t fcng_request_id(const fcng_request *request)
{
    return request->id;
}

void *fcng_request_user(const fcng_request *request)
{
    return request->user;
}

void fcng_request_set_user(fcng_request *request, void *user)
{
    request->user = user;
}

void fcng_request_drop_offers(fcng_request *request)
{
    request->first = 0;
    request->count = 0;
}

/* --- what the host has not consumed --- */

bool fcng_request_fill(fcng_request *request, size_t len)
{
    request->held += len;
    return request->stream_buffer > 0 && !request->overrun
           && request->held > request->stream_buffer;
}

bool fcng_request_overruns(fcng_request *request)
{
    request->overrun = request->held > request->stream_buffer;
    return request->overrun;
}

void fcng_request_consumed(fcng_request *request, uint64_t len)
{
    request->held -= FCNG_MIN(len, request->held);
    if (request->held <= request->stream_buffer / 2) {
        request->overrun = false;
    }
}

uint64_t fcng_request_held(const fcng_request *request)
{
    return request->held;
}

void fcng_request_set_direct(fcng_request *request, bool direct)
{
    request->direct = direct;
}

/* --- framing --- */

bool fcng_request_wants_frame(const fcng_request *request)
{
    if (request->over) {
        return false;
    }
    return request->count > 0 || (request->in.fin && !request->in.ended)
           || (request->in.ended && request->data.fin
               && !request->data.ended);
}

static int end_stream(fcng_request *request, fcng_writer *writer,
                      fcng_outflow *flow, enum fcng_type type)
{
    char *out = fcng_writer_place(writer, FCNG_HEADER_LEN, &request->sink);
    if (out == NULL) {
        return FCNG_ERR_NOMEM;
    }
    put_header(out, request, type, 0);
    flow->ended = true;
    return FCNG_OK;
}

/* The slices of one record of at most |max| bytes; takes them off the ring. */
static size_t take_slices(fcng_request *request, fcng_str *out, size_t room,
                          size_t max, size_t *len)
{
    size_t n = 0;
    *len = 0;
    while (request->count > 0 && n < room && *len < max) {
        fcng_str *slice = &request->slice[request->first];
        size_t part = FCNG_MIN(slice->len, max - *len);
        out[n++] = (fcng_str){ slice->data, part };
        *len += part;
        slice->data += part;
        slice->len -= part;
        if (slice->len == 0) {
            request->first = (request->first + 1) % FCNG_REQUEST_SLICES;
            request->count--;
        }
    }
    return n;
}

static int frame_payload(fcng_request *request, fcng_writer *writer,
                         enum fcng_type type, size_t max)
{
    fcng_str slices[FCNG_REQUEST_SLICES];
    size_t len;
    int err = fcng_writer_reserve(writer, FCNG_HEADER_LEN + FCNG_COPY_BELOW);
    if (err != FCNG_OK) {
        return err;
    }
    size_t room = FCNG_MIN(fcng_writer_room(writer) - 1, FCNG_REQUEST_SLICES);
    size_t n = take_slices(request, slices, room, max, &len);
    return fcng_writer_stream(writer, (uint8_t)type, request->id, slices, n,
                              len, &request->sink);
}

int fcng_request_frame(fcng_request *request, fcng_writer *writer, size_t max)
{
    bool in = !request->in.ended;
    fcng_outflow *flow = in ? &request->in : &request->data;
    enum fcng_type type = in ? FCNG_TYPE_STDIN : FCNG_TYPE_DATA;
    if (request->count > 0) {
        int err = frame_payload(request, writer, type, max);
        if (err != FCNG_OK || request->count > 0 || !flow->fin
            || fcng_writer_room(writer) == 0) {
            return err;
        }
    }
    return flow->fin ? end_stream(request, writer, flow, type) : FCNG_OK;
}

bool fcng_request_all_queued(const fcng_request *request)
{
    return request->in.ended && request->data.ended;
}
