/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to an application: request ids, records in and out by id,
 * GET_VALUES, and the question whether another request may follow.
 *
 * Exclusive, one request at a time: the id is 1 or 2, never the one that ended
 * last.  A specification-abiding application cannot tell the difference; bytes
 * that one sends after the end of a request are recognised by it and never
 * reach the next one.  Shared by several: fcng_mux.c knows whose id is whose.
 *
 * Spec: 3.3, 3.5, 4, 5.
 */
#include "fcng_conn.h"
#include "fcng_int.h"
#include "fcng_mem.h"

fcng_conn *fcng_conn_new(const fcng_mem *mem, const fcng_conn_options *options)
{
    fcng_conn *conn = fcng_mem_zalloc(mem, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->mem = mem;
    conn->options = *options;
    fcng_reader_init(&conn->reader);
    fcng_writer_init(&conn->writer, mem);
    conn->shared = options->keep_conn && options->max_streams > 1;
    if (conn->shared) {
        fcng_mux_init(&conn->mux, mem, options);
        fcng_writer_share(&conn->writer);
    }
    return conn;
}

void fcng_conn_del(fcng_conn *conn)
{
    if (conn != NULL) {
        fcng_writer_fini(&conn->writer);
        if (conn->shared) {
            fcng_mux_fini(&conn->mux);
        }
        fcng_mem_release(conn->mem, conn->active);
        while (conn->spare != NULL) {
            fcng_request *request = conn->spare;
            conn->spare = request->next;
            fcng_mem_release(conn->mem, request);
        }
        fcng_mem_release(conn->mem, conn);
    }
}

/* --- requests --- */

static fcng_request *take_request(fcng_conn *conn)
{
    fcng_request *request = conn->spare;
    if (request == NULL) {
        return fcng_mem_alloc(conn->mem, sizeof(*request));
    }
    conn->spare = request->next;
    return request;
}

static void keep(fcng_conn *conn, fcng_request *request)
{
    request->next = conn->spare;
    conn->spare = request;
}

static void give_back(fcng_conn *conn, fcng_request *request)
{
    if (conn->shared) {
        fcng_mux_release(request);
        conn->overrun = conn->overrun == request ? NULL : conn->overrun;
        conn->reading = conn->reading == request ? NULL : conn->reading;
    } else {
        conn->active = NULL;
        conn->reading = NULL;
    }
    keep(conn, request);
}

static int submit_shared(fcng_conn *conn, const fcng_submit *submit,
                         fcng_request **request)
{
    fcng_request *new_request = take_request(conn);
    if (new_request == NULL) {
        return FCNG_ERR_NOMEM;
    }
    int err = fcng_mux_begin(&conn->mux, &conn->writer, new_request, conn,
                             submit, &conn->options);
    if (err != FCNG_OK) {
        keep(conn, new_request);
        return err;
    }
    conn->requests++;
    *request = new_request;
    return FCNG_OK;
}

int fcng_conn_submit(fcng_conn *conn, const fcng_submit *submit,
                     fcng_request **request)
{
    if (conn->error != FCNG_OK || conn->spoiled) {
        return FCNG_ERR_CLOSED;
    }
    if (conn->shared) {
        return submit_shared(conn, submit, request);
    }
    if (conn->active != NULL) {
        return FCNG_ERR_FULL;
    }
    fcng_request *new_request = take_request(conn);
    if (new_request == NULL) {
        return FCNG_ERR_NOMEM;
    }
    uint16_t id = conn->last_id == 1 ? 2 : 1;
    bool clean = fcng_writer_empty(&conn->writer);
    fcng_request_init(new_request, conn, id, submit);
    int err = fcng_request_begin(new_request, &conn->writer, submit,
                                 &conn->options);
    if (err != FCNG_OK) {
        conn->spoiled = !clean; /* a GET_VALUES was dropped, perhaps half */
        fcng_writer_clear(&conn->writer);
        give_back(conn, new_request);
        return err;
    }
    conn->active = new_request;
    conn->last_id = id;
    conn->requests++;
    *request = new_request;
    return FCNG_OK;
}

static void cancel_shared(fcng_conn *conn, fcng_request *request)
{
    if (conn->error != FCNG_OK) {
        fcng_mux_drop(&conn->mux, &conn->writer, request);
    } else if (!fcng_mux_abort(&conn->mux, &conn->writer, request,
                               conn->now_us)) {
        conn->spoiled = true;
    }
    give_back(conn, request);
}

void fcng_request_cancel(fcng_request *request, uint64_t now_us)
{
    fcng_conn *conn = request->conn;
    if (conn->shared) {
        conn->now_us = now_us;
        fcng_request_release(request);
        return;
    }
    conn->spoiled = true;
    conn->in.len = 0;
    fcng_writer_clear(&conn->writer);
    give_back(conn, request);
}

void fcng_request_release(fcng_request *request)
{
    fcng_conn *conn = request->conn;
    if (request->over) {
        give_back(conn, request);
    } else if (conn->shared) {
        cancel_shared(conn, request);
    } else {
        fcng_request_cancel(request, 0);
    }
}

/* --- bytes out --- */

bool fcng_conn_wants_write(const fcng_conn *conn)
{
    return conn->error == FCNG_OK
           && (!fcng_writer_empty(&conn->writer)
               || (conn->shared
                       ? !fcng_list_empty(&conn->mux.turns)
                       : conn->active != NULL
                             && fcng_request_wants_frame(conn->active)));
}

static size_t queued_bytes(const fcng_str *slices, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len += slices[i].len;
    }
    return len;
}

int fcng_conn_output(fcng_conn *conn, fcng_str *slices, size_t max, size_t *n)
{
    *n = 0;
    if (conn->error != FCNG_OK) {
        return FCNG_OK;
    }
    if (conn->shared) {
        int err = fcng_mux_frame(&conn->mux, &conn->writer);
        *n = fcng_writer_slices(&conn->writer, slices, max);
        return *n > 0 ? FCNG_OK : err;
    }
    *n = fcng_writer_slices(&conn->writer, slices, max);
    fcng_request *request = conn->active;
    while (request != NULL && fcng_request_wants_frame(request)
           && fcng_writer_room(&conn->writer) > 2
           && queued_bytes(slices, *n) < FCNG_QUEUE_AHEAD && *n < max) {
        int err = fcng_request_frame(request, &conn->writer, FCNG_MAX_PAYLOAD);
        if (err != FCNG_OK) {
            return err;
        }
        *n = fcng_writer_slices(&conn->writer, slices, max);
    }
    return FCNG_OK;
}

void fcng_conn_sent(fcng_conn *conn, size_t len)
{
    fcng_writer_sent(&conn->writer, len);
}

int fcng_conn_get_values(fcng_conn *conn)
{
    static const char asked[] = "\x0e\0FCGI_MAX_CONNS"
                                "\x0d\0FCGI_MAX_REQS"
                                "\x0f\0FCGI_MPXS_CONNS";
    fcng_record record = { .version = FCNG_PROTOCOL_VERSION,
                           .type = FCNG_TYPE_GET_VALUES,
                           .content_len = sizeof(asked) - 1,
                           .padding_len = 8 - (sizeof(asked) - 1) % 8 };
    if (conn->shared
        && fcng_writer_make_room(&conn->writer, 1) != FCNG_OK) {
        return FCNG_ERR_NOMEM;
    }
    return fcng_writer_record(&conn->writer, &record, asked, NULL);
}

/* --- bytes in --- */

int fcng_conn_feed(fcng_conn *conn, const void *in, size_t len)
{
    if (conn->in.len > 0) {
        return FCNG_ERR_INVALID;
    }
    conn->in = (fcng_str){ in, len };
    return FCNG_OK;
}

size_t fcng_conn_unread(const fcng_conn *conn)
{
    return conn->in.len;
}

static bool reads_stdout(const fcng_conn *conn)
{
    return conn->reader.state == FCNG_READER_CONTENT
           && conn->reader.record.type == FCNG_TYPE_STDOUT
           && conn->reader.content_left > 0 && conn->reading != NULL
           && !conn->reading->over && !conn->reading->stdout_ended;
}

size_t fcng_conn_want(const fcng_conn *conn)
{
    return conn->in.len == 0 && conn->error == FCNG_OK && reads_stdout(conn)
                   && (!conn->shared || conn->reading->direct)
               ? conn->reader.content_left
               : 0;
}

fcng_request *fcng_conn_want_request(const fcng_conn *conn)
{
    return fcng_conn_want(conn) > 0 ? conn->reading : NULL;
}

static void fill(fcng_conn *conn, fcng_request *request, size_t len)
{
    if (conn->shared && fcng_request_fill(request, len)) {
        conn->overrun = request;
    }
}

void fcng_conn_took(fcng_conn *conn, size_t len)
{
    fcng_reader_skip(&conn->reader, len);
    fill(conn, conn->reading, len);
}

void fcng_conn_fail(fcng_conn *conn, int err)
{
    if (conn->error == FCNG_OK) {
        conn->error = err;
        fcng_writer_clear(&conn->writer);
    }
}

static void protocol_error(fcng_conn *conn, int err)
{
    conn->in.len = 0;
    fcng_conn_fail(conn, err);
}

int fcng_conn_error(const fcng_conn *conn)
{
    return conn->error;
}

/* The request whose record is being read; NULL for one that is over, and for
   an id nobody asked for: an exclusive connection then serves no other. */
static fcng_request *addressee(fcng_conn *conn)
{
    if (conn->reading != NULL && !conn->reading->over) {
        return conn->reading;
    }
    conn->spoiled = conn->spoiled || !conn->shared;
    return NULL;
}

static bool event(fcng_event *event, enum fcng_event_type type,
                  fcng_request *request, fcng_str bytes)
{
    *event = (fcng_event){ .type = type, .request = request, .bytes = bytes };
    if (request != NULL) {
        event->user = request->user;
    }
    return true;
}

static bool on_stdout(fcng_conn *conn, fcng_str piece, fcng_event *ev)
{
    fcng_request *request = addressee(conn);
    if (request == NULL) {
        return false;
    }
    if (request->stdout_ended) {
        conn->spoiled = conn->spoiled || !conn->shared;
        return false;
    }
    if (conn->reader.record.content_len == 0) {
        request->stdout_ended = true;
        return event(ev, FCNG_EV_STDOUT_END, request, piece);
    }
    fill(conn, request, piece.len);
    return event(ev, FCNG_EV_STDOUT, request, piece);
}

static bool on_stderr(fcng_conn *conn, fcng_str piece, fcng_event *ev)
{
    fcng_request *request = addressee(conn);
    if (request == NULL) {
        return false;
    }
    return piece.len > 0 && event(ev, FCNG_EV_STDERR, request, piece);
}

/* An application may end a request before it has read it all: the rest is not
   sent any more, and it could not tell the rest from the next request. */
static void stop_sending(fcng_conn *conn, fcng_request *request)
{
    if (!fcng_request_all_queued(request)
        || !fcng_writer_empty(&conn->writer)) {
        conn->spoiled = true;
        fcng_request_drop_offers(request);
        fcng_writer_clear(&conn->writer);
    }
}

/* What an application of many streams refuses concerns one of them, but for
   the refusal of sharing itself.  A record of ours that is half on the wire is
   completed; an application must ignore what else comes for an id that it has
   ended (Spec 3.3). */
static void end_shared(fcng_conn *conn, fcng_request *request, int error)
{
    if (request != NULL) {
        fcng_mux_end(&conn->mux, &conn->writer, request);
    } else {
        fcng_mux_end_zombie(&conn->mux, conn->reader.record.id);
    }
    conn->ended++;
    conn->disproved = conn->disproved || error == FCNG_ERR_CANT_MPX;
    conn->spoiled = conn->spoiled || conn->disproved
                    || error == FCNG_ERR_STATUS;
}

static bool on_end(fcng_conn *conn, fcng_event *ev)
{
    if (conn->small_len < FCNG_END_LEN) {
        protocol_error(conn, FCNG_ERR_END_BODY);
        return false;
    }
    uint32_t app_status;
    uint8_t protocol_status;
    fcng_record_decode_end(conn->small, &app_status, &protocol_status);
    int error = fcng_record_status_error(protocol_status);
    fcng_request *request = addressee(conn);
    if (conn->shared) {
        end_shared(conn, request, error);
    } else if (request != NULL) {
        request->over = true;
        conn->spoiled = conn->spoiled || error != FCNG_OK;
        stop_sending(conn, request);
    }
    if (request == NULL) {
        return false;
    }
    event(ev, FCNG_EV_END, request, (fcng_str){ NULL, 0 });
    ev->error = error;
    ev->protocol_status = protocol_status;
    ev->app_status = app_status;
    return true;
}

/* Collects a discrete record; what does not fit is of no use to anybody. */
static bool collect(fcng_conn *conn, fcng_str piece)
{
    size_t len = FCNG_MIN(piece.len, sizeof(conn->small) - conn->small_len);
    if (len > 0) {
        memcpy(conn->small + conn->small_len, piece.data, len);
        conn->small_len += len;
    }
    return conn->reader.content_left == 0;
}

/* One piece of a record's content; true: *ev is an event. */
static bool on_piece(fcng_conn *conn, fcng_str piece, fcng_event *ev)
{
    fcng_str small = { conn->small, 0 };
    switch (conn->reader.record.type) {
    case FCNG_TYPE_STDOUT:
        return on_stdout(conn, piece, ev);
    case FCNG_TYPE_STDERR:
        return on_stderr(conn, piece, ev);
    case FCNG_TYPE_END_REQUEST:
        return collect(conn, piece) && on_end(conn, ev);
    case FCNG_TYPE_GET_VALUES_RESULT:
        if (!collect(conn, piece)) {
            return false;
        }
        small.len = conn->small_len;
        return event(ev, FCNG_EV_VALUES, NULL, small);
    case FCNG_TYPE_UNKNOWN_TYPE:
        return conn->reader.content_left == 0
               && event(ev, FCNG_EV_UNKNOWN_TYPE, NULL, small);
    default:
        return false; /* unknown to the specification: drained */
    }
}

/* Records of the application must have an id, those about it need none. */
static bool legal(const fcng_record *record)
{
    return !fcng_record_is_ours(record->type)
           && !(fcng_record_is_answer(record->type) && record->id == 0);
}

/* Whose record it is.  For |answered| the header is enough: the host may read
   the content past the reader. */
static void address(fcng_conn *conn)
{
    const fcng_record *record = &conn->reader.record;
    bool answer = fcng_record_is_answer(record->type), aborted = false;
    fcng_request *request = conn->active;
    if (conn->shared) {
        request = answer ? fcng_mux_addressee(&conn->mux, record->id, &aborted)
                         : NULL;
    } else if (request != NULL && request->id != record->id) {
        request = NULL;
    }
    conn->reading = request;
    if (request != NULL) {
        request->answered = true;
        if (!request->over && !request->stdout_ended) {
            return; /* nearly always */
        }
    }
    bool late = request == NULL || request->over
                || record->type == FCNG_TYPE_STDOUT;
    conn->stray += late && answer && !aborted;
}

static int next_record(fcng_conn *conn)
{
    int err = fcng_reader_header(&conn->reader, &conn->in);
    if (err == FCNG_OK && !legal(&conn->reader.record)) {
        err = FCNG_ERR_RECORD;
    }
    if (err < 0) {
        protocol_error(conn, err);
        return FCNG_AGAIN;
    }
    if (err == FCNG_OK) {
        conn->small_len = 0;
        address(conn);
    }
    return err;
}

/* The bytes are used up: what was under way has failed, if anything has. */
static int tell_failure(fcng_conn *conn, fcng_event *ev)
{
    if (conn->error == FCNG_OK) {
        return FCNG_AGAIN;
    }
    fcng_request *request = conn->shared ? fcng_mux_first(&conn->mux)
                                         : conn->active;
    if (request == NULL || request->over) {
        return FCNG_AGAIN;
    }
    if (conn->shared) {
        fcng_mux_end(&conn->mux, &conn->writer, request);
        conn->doubted = conn->doubted
                        || (conn->ended == 1
                            && (conn->error == FCNG_ERR_CLOSED
                                || conn->error == FCNG_ERR_IO));
    }
    request->over = true;
    fcng_request_drop_offers(request);
    event(ev, FCNG_EV_FAILED, request, (fcng_str){ NULL, 0 });
    ev->error = conn->error;
    return FCNG_OK;
}

/* Told after the host has had time to consume what came last. */
static bool tell_overrun(fcng_conn *conn, fcng_event *ev)
{
    fcng_request *request = conn->overrun;
    conn->overrun = NULL;
    return fcng_request_overruns(request)
           && event(ev, FCNG_EV_OVERRUN, request, (fcng_str){ NULL, 0 });
}

int fcng_conn_next_event(fcng_conn *conn, size_t max, fcng_event *ev)
{
    fcng_reader *reader = &conn->reader;
    if (conn->overrun != NULL && tell_overrun(conn, ev)) {
        return FCNG_OK;
    }
    while (conn->in.len > 0
           || (reader->state == FCNG_READER_CONTENT
               && reader->content_left == 0)) {
        if (reader->state != FCNG_READER_CONTENT) {
            if (next_record(conn) != FCNG_OK) {
                continue;
            }
        }
        bool held = reads_stdout(conn);
        if (held && max == 0) {
            return FCNG_AGAIN;
        }
        fcng_str piece;
        if (fcng_reader_content(reader, &conn->in, held ? max : SIZE_MAX,
                                &piece) == FCNG_OK
            && on_piece(conn, piece, ev)) {
            return FCNG_OK;
        }
    }
    return tell_failure(conn, ev);
}
