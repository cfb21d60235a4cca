/* SPDX-License-Identifier: BSD-2-Clause */
/* What a pool is made of, for the files that are about pools. */
#ifndef FCNG_POOL_H
#define FCNG_POOL_H

#include "fcng_int.h"
#include "fcng_links.h"
#include "fcng_median.h"
#include "fcng_mpxs.h"
#include "fcng_seat.h"
#include "fcng_sizes.h"

#define FCNG_LOOK_US 100000 /* when no process tells of a free place */

enum { FCNG_LINK_NONE, FCNG_LINK_IDLE, FCNG_LINK_BUSY };

struct fcng_pool {
    const fcng_mem *mem;
    fcng_pool_options options;
    fcng_links idle;       /* used last in front */
    fcng_links open;       /* busy, with room for another request */
    fcng_links unproven;   /* busy, new, not one byte received; first the one
                              that waits longest for one to be given up */
    fcng_pool_wait *first, *last; /* the queue */
    uint32_t connections;  /* opened or being opened, or being closed */
    uint32_t closing;      /* of these, those that the host is to close */
    uint32_t opening;      /* being opened for requests that may share one */
    uint32_t nidle, nwaiting;
    uint32_t ahead;        /* being opened for no request yet */
    uint64_t ahead_us;     /* when to look whether more are to be */
    bool ahead_short;      /* too few were idle at the look before */
    uint32_t active;       /* requests under way */
    uint64_t count[FCNG_COUNTERS];
    uint64_t calm;         /* kept connections asked for since one was found
                              closed */
    fcng_median first_byte;   /* microseconds that the first one took */
    uint32_t quickest_us;     /* the least of them on a new connection */
    fcng_mpxs mpxs;        /* without a seat */
    fcng_sizes *sizes;     /* NULL: nothing was learnt */
    fcng_seat *seat;       /* NULL: this process is alone */
    uint64_t looked_us;    /* when the queue was looked at last */
    uint64_t yielded_us;   /* when one was given up last */
    uint64_t told_us;      /* when others heard of a first byte last */
    uint64_t rung_us;      /* the start of a request that others were woken
                              for */
};

/* --- multiplex --- */

fcng_mpxs *fcng_pool_mpxs(fcng_pool *pool);

/* --- pool --- */

/* It has had its time, or its requests. */
bool fcng_pool_too_old(const fcng_pool *pool, const fcng_pool_conn *conn,
                       uint64_t now_us);

/* More are open than a limit that has become smaller allows. */
bool fcng_pool_over_limit(const fcng_pool *pool);

/* Another process is to be served before whoever of ours comes first. */
bool fcng_pool_must_give(const fcng_pool *pool);

/* The host closes it before it calls again: only then is its place free, or
   whoever gets it would have one connection too many open. */
void fcng_pool_forget(fcng_pool *pool, fcng_pool_conn *conn);
void fcng_pool_settle(fcng_pool *pool);

/* A place for a connection, for a request that waits since |since_us|. */
bool fcng_pool_reserve(fcng_pool *pool, uint64_t since_us);
void fcng_pool_unreserve(fcng_pool *pool);
/* A connection that has served nobody yet; its place is reserved. */
void fcng_pool_add_idle(fcng_pool *pool, fcng_pool_conn *conn,
                        uint64_t now_us);

/* --- ahead --- */

/* Idle connections, and those that will be, in all processes. */
uint32_t fcng_ahead_idle(const fcng_pool *pool);

/* --- queue --- */

/* Since when somebody waits whom others may help; 0: nobody does. */
uint64_t fcng_queue_since(const fcng_pool *pool);
void fcng_queue_publish(fcng_pool *pool);

bool fcng_queue_has_room(const fcng_pool *pool);
void fcng_queue_add(fcng_pool *pool, fcng_pool_wait *wait, uint64_t now_us);

/* A request behind |ahead| others is to wait for a connection that is being
   opened rather than open another. */
bool fcng_queue_joins(const fcng_pool *pool, uint32_t max_streams,
                      uint32_t ahead, uint64_t waited_us);

uint64_t fcng_queue_deadline(const fcng_pool *pool);

/* --- yield --- */

void fcng_yield_forget(fcng_pool *pool, fcng_pool_conn *conn);
/* What is usual, from what all processes tell. */
void fcng_yield_update(fcng_pool *pool);

/* A connection is to be given up; the caller does so. */
bool fcng_yield_one(fcng_pool *pool, uint64_t now_us);
/* One is to be, or was a moment ago for one that still waits. */
bool fcng_yield_must(const fcng_pool *pool, uint64_t now_us);

/* Whoever has idle connections is to look at our connection that gets no
   byte: once for each such connection. */
void fcng_yield_ring(fcng_pool *pool, uint64_t now_us);

/* When idle connections, ours or others', must give way. */
uint64_t fcng_yield_deadline(const fcng_pool *pool);

#endif
