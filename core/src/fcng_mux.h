/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests that share one connection: which id is whose, whose turn it is
 * to send, and which ids still belong to a request that was aborted.  Knows
 * nothing of what comes in but ids.  Spec: 3.3, 5.4.
 */
#ifndef FCNG_MUX_H
#define FCNG_MUX_H

#include "fcng_list.h"
#include "fcng_request.h"

enum fcng_id_state {
    FCNG_ID_FREE,
    FCNG_ID_ACTIVE,
    FCNG_ID_ZOMBIE, /* aborted, END_REQUEST has not come */
    FCNG_ID_ENDED   /* it has; the abort may get one of its own */
};

typedef struct fcng_id {
    enum fcng_id_state state;
    fcng_request *request; /* of an active one */
    uint64_t begun;        /* its number, in the order of submission */
    uint64_t aborted;      /* requests with a higher number were begun behind
                              its ABORT_REQUEST */
    uint64_t deadline_us;  /* of a zombie */
} fcng_id;

typedef struct fcng_mux {
    const fcng_mem *mem;
    fcng_id *id;          /* that of id n at n - 1 */
    size_t nid;
    size_t lowest;        /* no free one in front of it */
    size_t limit;         /* requests that the application may have at once */
    uint64_t abort_timeout_us;
    uint64_t stream_buffer;
    size_t active, zombies, ended;
    uint64_t begun;       /* requests so far */
    uint64_t deadline_us; /* the first zombie's, or FCNG_NEVER */
    fcng_list turns;      /* those that have something to frame */
    fcng_list living;     /* submitted, not over */
    fcng_list over;       /* over, not released */
} fcng_mux;

void fcng_mux_init(fcng_mux *mux, const fcng_mem *mem,
                   const fcng_conn_options *options);

/* The requests are released, too. */
void fcng_mux_fini(fcng_mux *mux);

/* No other request may begin now. */
bool fcng_mux_full(const fcng_mux *mux);

/*
 * Queues the beginning of |request| under the lowest free id.  Errors:
 * FCNG_ERR_FULL, those of fcng_request_begin(); nothing is queued then.
 */
int fcng_mux_begin(fcng_mux *mux, fcng_writer *writer, fcng_request *request,
                   fcng_conn *conn, const fcng_submit *submit,
                   const fcng_conn_options *options);

/* Whom a record with this id is for; NULL: nobody, or (*aborted) a request
   that was aborted. */
fcng_request *fcng_mux_addressee(fcng_mux *mux, uint16_t id, bool *aborted);

/* The request has ended or failed: what it had to send is dropped, its id is
   free. */
void fcng_mux_end(fcng_mux *mux, fcng_writer *writer, fcng_request *request);

/* END_REQUEST came for an id without a request. */
void fcng_mux_end_zombie(fcng_mux *mux, uint16_t id);

/* The request, which is living, is dropped without a word to the
   application. */
void fcng_mux_drop(fcng_mux *mux, fcng_writer *writer, fcng_request *request);

/*
 * The request, which is living, is aborted; its id is not used again before
 * END_REQUEST.  Nothing is said of a request of which no byte has left.
 * False: the application could not be told, or is told too often.
 */
bool fcng_mux_abort(fcng_mux *mux, fcng_writer *writer, fcng_request *request,
                    uint64_t now_us);

/* The host gives a request back: it is on no list any more. */
void fcng_mux_release(fcng_request *request);

/* Frames what the requests have to send, in turn, up to a mark.
   Errors: FCNG_ERR_NOMEM. */
int fcng_mux_frame(fcng_mux *mux, fcng_writer *writer);

/* The longest living request, or NULL. */
fcng_request *fcng_mux_first(fcng_mux *mux);

#endif
