/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request's life: which of its streams are open, what was offered, what
 * an answer may hold.  Knows no descriptor, no other request and no connection
 * but as the pointer it carries for the public calls.
 * Spec: 5.3, 5.5, 6.
 */
#ifndef FCNG_REQUEST_H
#define FCNG_REQUEST_H

#include "fcng_list.h"
#include "fcng_reader.h"
#include "fcng_writer.h"

#define FCNG_REQUEST_SLICES 16

/* STDIN or DATA on its way out. */
typedef struct fcng_outflow {
    uint64_t announced; /* FCNG_LENGTH_UNKNOWN: any length */
    uint64_t offered;
    bool fin;           /* the host has offered everything */
    bool ended;         /* the empty record is queued */
} fcng_outflow;

struct fcng_request {
    fcng_conn *conn;
    void *user;
    enum fcng_role role;
    uint16_t id;
    bool answered;
    bool stdout_ended;
    bool over;          /* END or FAILED was delivered */
    fcng_sink sink;
    fcng_outflow in;    /* STDIN */
    fcng_outflow data;  /* DATA */
    unsigned first, count; /* in |slice|: offered, not yet framed */
    fcng_request *next; /* among those kept for later */

    /* on a shared connection */
    fcng_link member;
    fcng_link turn;     /* in |turns| while there is something to frame */
    fcng_list *turns;
    uint64_t held;      /* STDOUT that the host has not consumed */
    uint64_t stream_buffer; /* so much of it is no trouble; 0: any */
    bool overrun;       /* the host was told that it is more */
    bool direct;        /* the host may read it straight into place */

    fcng_str slice[FCNG_REQUEST_SLICES]; /* the last: not cleared */
};

void fcng_request_init(fcng_request *request, fcng_conn *conn, uint16_t id,
                       const fcng_submit *submit);

/*
 * Queues BEGIN_REQUEST, PARAMS and their end, and the end of STDIN when it has
 * no bytes.  Errors: FCNG_ERR_NOMEM, FCNG_ERR_PARAM_SIZE,
 * FCNG_ERR_PARAM_ENCODING; the writer's queue is then to be cleared.
 */
int fcng_request_begin(fcng_request *request, fcng_writer *writer,
                       const fcng_submit *submit,
                       const fcng_conn_options *options);

/* Something can be framed. */
bool fcng_request_wants_frame(const fcng_request *request);

/* Frames one record of the stream that is open; as large as |max| bytes.
   Errors: FCNG_ERR_NOMEM. */
int fcng_request_frame(fcng_request *request, fcng_writer *writer, size_t max);

/* Every stream has been ended and queued. */
bool fcng_request_all_queued(const fcng_request *request);

/* The host got |len| bytes of STDOUT.  True: ask fcng_request_overruns()
   before it gets more. */
bool fcng_request_fill(fcng_request *request, size_t len);

/* It holds too much, and has to be told so. */
bool fcng_request_overruns(fcng_request *request);

/* Lets go of the slices that were offered. */
void fcng_request_drop_offers(fcng_request *request);

#endif
