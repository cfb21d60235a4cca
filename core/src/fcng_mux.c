/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests that share one connection.
 *
 * Ids are small and used again (Spec 3.3): the lowest free one.  The id of an
 * aborted request stays reserved until its END_REQUEST, and then until the
 * application has shown that it has read ABORT_REQUEST: some answer that as
 * well when the request had ended on its own, and a request begun meanwhile
 * under the same id would be ended by it.  The proof is a record for any
 * request that was begun behind ABORT_REQUEST, or that second END_REQUEST.
 */
#include "fcng_mux.h"
#include "fcng_int.h"
#include "fcng_mem.h"

#define FIRST_IDS 16
#define MAX_IDS 65535
#define ABORT_TIMEOUT_US 30000000

void fcng_mux_init(fcng_mux *mux, const fcng_mem *mem,
                   const fcng_conn_options *options)
{
    *mux = (fcng_mux){ .mem = mem,
                       .limit = FCNG_MIN(options->max_streams, MAX_IDS),
                       .abort_timeout_us = options->abort_timeout_us,
                       .stream_buffer = options->stream_buffer,
                       .deadline_us = FCNG_NEVER };
    if (mux->abort_timeout_us == 0) {
        mux->abort_timeout_us = ABORT_TIMEOUT_US;
    }
    fcng_list_init(&mux->turns);
    fcng_list_init(&mux->living);
    fcng_list_init(&mux->over);
}

static void release_all(fcng_mux *mux, fcng_list *list)
{
    while (!fcng_list_empty(list)) {
        fcng_link *link = list->head.next;
        fcng_list_remove(link);
        fcng_mem_release(mux->mem,
                         FCNG_LIST_OWNER(link, fcng_request, member));
    }
}

void fcng_mux_fini(fcng_mux *mux)
{
    release_all(mux, &mux->living);
    release_all(mux, &mux->over);
    fcng_mem_release(mux->mem, mux->id);
}

bool fcng_mux_full(const fcng_mux *mux)
{
    return mux->active + mux->zombies >= mux->limit
           || mux->active + mux->zombies + mux->ended >= MAX_IDS;
}

/* --- ids --- */

static int grow(fcng_mux *mux)
{
    size_t n = mux->nid == 0 ? FIRST_IDS : 2 * mux->nid;
    n = FCNG_MIN(n, MAX_IDS);
    fcng_id *id = fcng_mem_resize(mux->mem, mux->id, n * sizeof(*id));
    if (id == NULL) {
        return FCNG_ERR_NOMEM;
    }
    memset(id + mux->nid, 0, (n - mux->nid) * sizeof(*id));
    mux->id = id;
    mux->nid = n;
    return FCNG_OK;
}

/* Makes |lowest| the lowest free id.  Errors: FCNG_ERR_FULL, _NOMEM. */
static int find_free(fcng_mux *mux)
{
    if (fcng_mux_full(mux)) {
        return FCNG_ERR_FULL;
    }
    while (mux->lowest < mux->nid
           && mux->id[mux->lowest].state != FCNG_ID_FREE) {
        mux->lowest++;
    }
    return mux->lowest < mux->nid ? FCNG_OK : grow(mux);
}

static fcng_id *id_of(const fcng_mux *mux, uint16_t id)
{
    return id > 0 && id <= mux->nid ? &mux->id[id - 1] : NULL;
}

static void find_deadline(fcng_mux *mux)
{
    mux->deadline_us = FCNG_NEVER;
    for (size_t i = 0; mux->zombies > 0 && i < mux->nid; i++) {
        const fcng_id *id = &mux->id[i];
        if (id->state == FCNG_ID_ZOMBIE
            && id->deadline_us < mux->deadline_us) {
            mux->deadline_us = id->deadline_us;
        }
    }
}

static size_t *count_of(fcng_mux *mux, enum fcng_id_state state)
{
    switch (state) {
    case FCNG_ID_ACTIVE:
        return &mux->active;
    case FCNG_ID_ZOMBIE:
        return &mux->zombies;
    case FCNG_ID_ENDED:
        return &mux->ended;
    default:
        return NULL;
    }
}

/* The only place where an id changes hands. */
static void set_state(fcng_mux *mux, fcng_id *id, enum fcng_id_state state)
{
    size_t *before = count_of(mux, id->state), *after = count_of(mux, state);
    bool first = id->state == FCNG_ID_ZOMBIE
                 && id->deadline_us == mux->deadline_us;
    if (before != NULL) {
        --*before;
    }
    if (after != NULL) {
        ++*after;
    }
    id->state = state;
    if (state != FCNG_ID_ACTIVE) {
        id->request = NULL;
    }
    if (state == FCNG_ID_FREE) {
        mux->lowest = FCNG_MIN(mux->lowest, (size_t)(id - mux->id));
    }
    if (first) {
        find_deadline(mux);
    }
}

/* A request with this number was begun and is being answered: what was aborted
   before it is done with. */
static void abort_is_read(fcng_mux *mux, uint64_t begun)
{
    for (size_t i = 0; mux->ended > 0 && i < mux->nid; i++) {
        fcng_id *id = &mux->id[i];
        if (id->state == FCNG_ID_ENDED && id->aborted < begun) {
            set_state(mux, id, FCNG_ID_FREE);
        }
    }
}

fcng_request *fcng_mux_addressee(fcng_mux *mux, uint16_t id, bool *aborted)
{
    fcng_id *place = id_of(mux, id);
    *aborted = place != NULL
               && (place->state == FCNG_ID_ZOMBIE
                   || place->state == FCNG_ID_ENDED);
    /* Before a byte of the request has left, nothing can be an answer. */
    bool active = place != NULL && place->state == FCNG_ID_ACTIVE
                  && place->request->sink.started;
    if (mux->ended > 0
        && (active || (*aborted && place->state == FCNG_ID_ZOMBIE))) {
        abort_is_read(mux, place->begun);
    }
    return active ? place->request : NULL;
}

void fcng_mux_end_zombie(fcng_mux *mux, uint16_t id)
{
    fcng_id *place = id_of(mux, id);
    if (place != NULL && place->state == FCNG_ID_ZOMBIE) {
        set_state(mux, place, FCNG_ID_ENDED);
    } else if (place != NULL && place->state == FCNG_ID_ENDED) {
        set_state(mux, place, FCNG_ID_FREE);
    }
}

/* --- requests --- */

int fcng_mux_begin(fcng_mux *mux, fcng_writer *writer, fcng_request *request,
                   fcng_conn *conn, const fcng_submit *submit,
                   const fcng_conn_options *options)
{
    int err = find_free(mux);
    if (err == FCNG_OK) {
        err = fcng_writer_make_room(writer, 1);
    }
    if (err != FCNG_OK) {
        return err;
    }
    fcng_request_init(request, conn, (uint16_t)(mux->lowest + 1), submit);
    request->turns = &mux->turns;
    request->stream_buffer = mux->stream_buffer;
    err = fcng_request_begin(request, writer, submit, options);
    if (err != FCNG_OK) {
        fcng_writer_forget(writer, &request->sink);
        return err;
    }
    fcng_id *id = &mux->id[mux->lowest];
    set_state(mux, id, FCNG_ID_ACTIVE);
    id->request = request;
    id->begun = ++mux->begun;
    fcng_list_append(&mux->living, &request->member);
    return FCNG_OK;
}

/* No more is sent of it, and none of the host's memory is held. */
static void silence(fcng_writer *writer, fcng_request *request)
{
    fcng_list_remove(&request->turn);
    fcng_writer_forget(writer, &request->sink);
}

void fcng_mux_drop(fcng_mux *mux, fcng_writer *writer, fcng_request *request)
{
    silence(writer, request);
    set_state(mux, id_of(mux, request->id), FCNG_ID_FREE);
}

void fcng_mux_end(fcng_mux *mux, fcng_writer *writer, fcng_request *request)
{
    fcng_mux_drop(mux, writer, request);
    request->over = true;
    fcng_list_remove(&request->member);
    fcng_list_append(&mux->over, &request->member);
}

static int queue_abort(fcng_writer *writer, uint16_t id)
{
    fcng_record record = { .version = FCNG_PROTOCOL_VERSION,
                           .type = FCNG_TYPE_ABORT_REQUEST,
                           .id = id };
    int err = fcng_writer_make_room(writer, 1);
    return err == FCNG_OK ? fcng_writer_record(writer, &record, NULL, NULL)
                          : err;
}

bool fcng_mux_abort(fcng_mux *mux, fcng_writer *writer, fcng_request *request,
                    uint64_t now_us)
{
    if (!request->sink.started) {
        fcng_mux_drop(mux, writer, request);
        return true;
    }
    silence(writer, request);
    int err = queue_abort(writer, request->id);
    fcng_id *id = id_of(mux, request->id);
    set_state(mux, id, FCNG_ID_ZOMBIE);
    id->aborted = mux->begun;
    id->deadline_us = now_us + FCNG_MIN(mux->abort_timeout_us,
                                        FCNG_NEVER - 1 - now_us);
    mux->deadline_us = FCNG_MIN(mux->deadline_us, id->deadline_us);
    return err == FCNG_OK && mux->zombies + mux->ended <= (mux->limit + 1) / 2;
}

void fcng_mux_release(fcng_request *request)
{
    fcng_list_remove(&request->member);
}

fcng_request *fcng_mux_first(fcng_mux *mux)
{
    return fcng_list_empty(&mux->living)
               ? NULL
               : FCNG_LIST_OWNER(mux->living.head.next, fcng_request, member);
}

/* --- turns --- */

/* One record, and those that still have something go behind the others. */
static int frame_one(fcng_mux *mux, fcng_writer *writer, size_t max)
{
    fcng_link *link = mux->turns.head.next;
    fcng_request *request = FCNG_LIST_OWNER(link, fcng_request, turn);
    int err = fcng_request_frame(request, writer, max);
    fcng_list_remove(link);
    if (fcng_request_wants_frame(request)) {
        fcng_list_append(&mux->turns, link);
    }
    return err;
}

int fcng_mux_frame(fcng_mux *mux, fcng_writer *writer)
{
    size_t max = mux->active > 1 ? FCNG_TURN : FCNG_MAX_PAYLOAD;
    int err = FCNG_OK;
    while (err == FCNG_OK && !fcng_list_empty(&mux->turns)
           && fcng_writer_queued(writer) < FCNG_QUEUE_AHEAD) {
        err = fcng_writer_make_room(writer, FCNG_REQUEST_SLICES + 2);
        if (err == FCNG_OK) {
            err = frame_one(mux, writer, max);
        }
    }
    return err;
}
