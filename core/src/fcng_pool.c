/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections of one process to one address: which request gets which,
 * who waits, what is kept and for how long.  Opens and closes nothing: it
 * answers, the host acts.
 *
 * Three rules:
 *   - first come, first served: nobody overtakes a request that waits;
 *   - the connection used last is used next, so that surplus ones age out;
 *   - yield: an application that serves one connection at a time (php-fpm, a
 *     libfcgi process) is bound to a connection while that is open.  So a
 *     connection is given up rather than kept while another one has got no
 *     byte for longer than the address usually takes for its first.
 */
#include "fcng_int.h"
#include "fcng_mem.h"

#define SAMPLES 64
#define YIELD_MIN_US 5000

enum { LINK_NONE, LINK_IDLE, LINK_BUSY };

typedef struct conn_list {
    fcng_pool_conn *head, *tail;
} conn_list;

struct fcng_pool {
    const fcng_mem *mem;
    fcng_pool_options options;
    conn_list idle;        /* used last in front */
    conn_list busy;
    conn_list unproven;    /* busy, new, not one byte received; oldest first */
    fcng_pool_wait *first, *last; /* the queue */
    uint32_t connections;  /* opened or being opened */
    uint32_t nidle, nwaiting;
    uint64_t opened, reused, requests, refused, timed_out;
    uint32_t sample[SAMPLES]; /* first-byte times, microseconds */
    uint32_t nsamples;        /* ever taken */
    uint32_t median_at;       /* nsamples when the median was computed */
    uint32_t median_us;
};

fcng_pool *fcng_pool_new(const fcng_mem *mem, const fcng_pool_options *options)
{
    fcng_pool *pool = fcng_mem_zalloc(mem, sizeof(*pool));
    if (pool != NULL) {
        pool->mem = mem;
        pool->options = *options;
    }
    return pool;
}

void fcng_pool_del(fcng_pool *pool)
{
    if (pool != NULL) {
        fcng_mem_release(pool->mem, pool);
    }
}

void fcng_pool_set_options(fcng_pool *pool, const fcng_pool_options *options)
{
    pool->options = *options;
}

const fcng_pool_options *fcng_pool_get_options(const fcng_pool *pool)
{
    return &pool->options;
}

/* --- lists --- */

static void push_front(conn_list *list, fcng_pool_conn *conn)
{
    conn->prev = NULL;
    conn->next = list->head;
    if (list->head != NULL) {
        list->head->prev = conn;
    } else {
        list->tail = conn;
    }
    list->head = conn;
}

static void unlink_conn(conn_list *list, fcng_pool_conn *conn)
{
    *(conn->prev != NULL ? &conn->prev->next : &list->head) = conn->next;
    *(conn->next != NULL ? &conn->next->prev : &list->tail) = conn->prev;
    conn->next = NULL;
    conn->prev = NULL;
}

static void unproven_add(fcng_pool *pool, fcng_pool_conn *conn)
{
    conn_list *list = &pool->unproven;
    conn->fresh_next = NULL;
    conn->fresh_prev = list->tail;
    *(list->tail != NULL ? &list->tail->fresh_next : &list->head) = conn;
    list->tail = conn;
    conn->waits_first_byte = true;
}

static void unproven_remove(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (!conn->waits_first_byte) {
        return;
    }
    conn_list *list = &pool->unproven;
    *(conn->fresh_prev != NULL ? &conn->fresh_prev->fresh_next : &list->head)
        = conn->fresh_next;
    *(conn->fresh_next != NULL ? &conn->fresh_next->fresh_prev : &list->tail)
        = conn->fresh_prev;
    conn->waits_first_byte = false;
}

static void set_busy(fcng_pool *pool, fcng_pool_conn *conn)
{
    push_front(&pool->busy, conn);
    conn->state = LINK_BUSY;
    conn->requests++;
    pool->requests++;
}

static void set_idle(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    push_front(&pool->idle, conn);
    pool->nidle++;
    conn->state = LINK_IDLE;
    conn->idle_us = now_us;
}

static void detach(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == LINK_IDLE) {
        unlink_conn(&pool->idle, conn);
        pool->nidle--;
    } else if (conn->state == LINK_BUSY) {
        unlink_conn(&pool->busy, conn);
    }
    conn->state = LINK_NONE;
    unproven_remove(pool, conn);
}

static void forget(fcng_pool *pool, fcng_pool_conn *conn)
{
    detach(pool, conn);
    FCNG_ASSERT(pool->connections > 0);
    pool->connections--;
}

/* --- the queue --- */

static void enqueue(fcng_pool *pool, fcng_pool_wait *wait, uint64_t now_us)
{
    wait->next = NULL;
    wait->prev = pool->last;
    *(pool->last != NULL ? &pool->last->next : &pool->first) = wait;
    pool->last = wait;
    wait->since_us = now_us;
    wait->queued = true;
    pool->nwaiting++;
}

void fcng_pool_cancel(fcng_pool *pool, fcng_pool_wait *wait)
{
    if (!wait->queued) {
        return;
    }
    *(wait->prev != NULL ? &wait->prev->next : &pool->first) = wait->next;
    *(wait->next != NULL ? &wait->next->prev : &pool->last) = wait->prev;
    wait->queued = false;
    pool->nwaiting--;
}

/* --- the yield rule --- */

static uint32_t median(const uint32_t *sample, uint32_t n)
{
    uint32_t sorted[SAMPLES];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i;
        for (; j > 0 && sorted[j - 1] > sample[i]; j--) {
            sorted[j] = sorted[j - 1];
        }
        sorted[j] = sample[i];
    }
    return n > 0 ? sorted[n / 2] : 0;
}

static uint64_t patience(fcng_pool *pool)
{
    if (pool->nsamples - pool->median_at >= SAMPLES / 4
        || pool->median_at == 0) {
        pool->median_us = median(pool->sample,
                                 FCNG_MIN(pool->nsamples, SAMPLES));
        pool->median_at = pool->nsamples;
    }
    uint64_t twice = 2 * (uint64_t)pool->median_us;
    return twice > YIELD_MIN_US ? twice : YIELD_MIN_US;
}

static bool must_yield(fcng_pool *pool, uint64_t now_us)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    return oldest != NULL && now_us - oldest->started_us > YIELD_MIN_US
           && now_us - oldest->started_us > patience(pool);
}

void fcng_pool_started(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    conn->started_us = now_us;
    if (conn->requests == 1 && !conn->waits_first_byte) {
        unproven_add(pool, conn);
    }
}

void fcng_pool_first_byte(fcng_pool *pool, fcng_pool_conn *conn,
                          uint64_t now_us)
{
    uint64_t took = now_us - conn->started_us;
    pool->sample[pool->nsamples % SAMPLES]
        = (uint32_t)FCNG_MIN(took, UINT32_MAX);
    pool->nsamples++;
    unproven_remove(pool, conn);
}

/* --- who gets what --- */

static bool too_old(const fcng_pool *pool, const fcng_pool_conn *conn,
                    uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return (o->max_requests > 0 && conn->requests >= o->max_requests)
           || (o->max_lifetime_us > 0
               && now_us - conn->opened_us >= o->max_lifetime_us);
}

/* The idle connection to use next, or NULL.  Those that are too old stay for
   fcng_pool_expire(). */
static fcng_pool_conn *take_idle(fcng_pool *pool, uint64_t now_us)
{
    fcng_pool_conn *conn = pool->idle.head;
    while (conn != NULL && too_old(pool, conn, now_us)) {
        conn = conn->next;
    }
    if (conn != NULL) {
        detach(pool, conn);
        set_busy(pool, conn);
        pool->reused++;
    }
    return conn;
}

static bool may_open(const fcng_pool *pool)
{
    return pool->options.max_connections == 0
           || pool->connections < pool->options.max_connections;
}

static void reserve(fcng_pool *pool)
{
    pool->connections++;
}

static enum fcng_pool_verdict wait_or_refuse(fcng_pool *pool,
                                             fcng_pool_wait *wait,
                                             uint64_t now_us)
{
    if (wait == NULL || pool->nwaiting >= pool->options.max_queue) {
        pool->refused++;
        return FCNG_POOL_REFUSE;
    }
    enqueue(pool, wait, now_us);
    return FCNG_POOL_WAIT;
}

enum fcng_pool_verdict fcng_pool_acquire(fcng_pool *pool, fcng_pool_wait *wait,
                                         bool fresh, uint64_t now_us,
                                         fcng_pool_conn **conn)
{
    *conn = NULL;
    if (pool->first != NULL) {
        return wait_or_refuse(pool, wait, now_us);
    }
    if (!fresh || !may_open(pool)) {
        *conn = take_idle(pool, now_us);
        if (*conn != NULL) {
            return FCNG_POOL_USE;
        }
    }
    if (may_open(pool)) {
        reserve(pool);
        return FCNG_POOL_OPEN;
    }
    return wait_or_refuse(pool, wait, now_us);
}

void fcng_pool_add(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    conn->opened_us = now_us;
    conn->requests = 0;
    conn->waits_first_byte = false;
    pool->opened++;
    set_busy(pool, conn);
}

void fcng_pool_give_up(fcng_pool *pool)
{
    FCNG_ASSERT(pool->connections > 0);
    pool->connections--;
}

/* Reasons not to keep a connection, in the order in which they are cheap. */
static bool keep(fcng_pool *pool, const fcng_pool_conn *conn, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return pool->nidle < o->max_idle
           && (o->max_connections == 0
               || pool->connections <= o->max_connections)
           && !too_old(pool, conn, now_us) && !must_yield(pool, now_us);
}

bool fcng_pool_release(fcng_pool *pool, fcng_pool_conn *conn, bool reusable,
                       uint64_t now_us)
{
    detach(pool, conn);
    if (reusable && keep(pool, conn, now_us)) {
        set_idle(pool, conn, now_us);
        return true;
    }
    forget(pool, conn);
    return false;
}

void fcng_pool_remove(fcng_pool *pool, fcng_pool_conn *conn)
{
    forget(pool, conn);
}

enum fcng_pool_verdict fcng_pool_next(fcng_pool *pool, uint64_t now_us,
                                      fcng_pool_wait **wait,
                                      fcng_pool_conn **conn)
{
    fcng_pool_wait *first = pool->first;
    *wait = first;
    *conn = NULL;
    if (first == NULL) {
        return FCNG_POOL_WAIT;
    }
    if (now_us - first->since_us >= pool->options.queue_timeout_us) {
        fcng_pool_cancel(pool, first);
        pool->timed_out++;
        return FCNG_POOL_REFUSE;
    }
    *conn = take_idle(pool, now_us);
    if (*conn == NULL && !may_open(pool)) {
        return FCNG_POOL_WAIT;
    }
    fcng_pool_cancel(pool, first);
    if (*conn != NULL) {
        return FCNG_POOL_USE;
    }
    reserve(pool);
    return FCNG_POOL_OPEN;
}

/* --- time --- */

static bool expired(fcng_pool *pool, const fcng_pool_conn *conn,
                    uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return now_us - conn->idle_us >= o->idle_timeout_us
           || pool->nidle > o->max_idle
           || (o->max_connections > 0
               && pool->connections > o->max_connections)
           || must_yield(pool, now_us);
}

fcng_pool_conn *fcng_pool_expire(fcng_pool *pool, uint64_t now_us)
{
    fcng_pool_conn *conn = pool->idle.tail;
    if (conn != NULL && !expired(pool, conn, now_us)) {
        /* the one idle longest may stay, but age is another order */
        while (conn != NULL && !too_old(pool, conn, now_us)) {
            conn = pool->options.max_lifetime_us > 0 ? conn->prev : NULL;
        }
    }
    if (conn != NULL) {
        forget(pool, conn);
    }
    return conn;
}

fcng_pool_conn *fcng_pool_close_idle(fcng_pool *pool)
{
    fcng_pool_conn *conn = pool->idle.tail;
    if (conn != NULL) {
        forget(pool, conn);
    }
    return conn;
}

static uint64_t idle_deadline(const fcng_pool *pool)
{
    const fcng_pool_options *o = &pool->options;
    const fcng_pool_conn *conn = pool->idle.tail;
    uint64_t at = conn->idle_us + o->idle_timeout_us;
    if (o->max_lifetime_us > 0) {
        for (; conn != NULL; conn = conn->prev) {
            at = FCNG_MIN(at, conn->opened_us + o->max_lifetime_us);
        }
    }
    const fcng_pool_conn *oldest = pool->unproven.head;
    if (oldest != NULL) {
        uint64_t wait = 2 * (uint64_t)pool->median_us;
        wait = wait > YIELD_MIN_US ? wait : YIELD_MIN_US;
        at = FCNG_MIN(at, oldest->started_us + wait + 1);
    }
    return at;
}

uint64_t fcng_pool_deadline(const fcng_pool *pool)
{
    uint64_t at = FCNG_NEVER;
    if (pool->idle.tail != NULL) {
        at = idle_deadline(pool);
    }
    if (pool->first != NULL) {
        at = FCNG_MIN(at,
                      pool->first->since_us + pool->options.queue_timeout_us);
    }
    return at;
}

bool fcng_pool_can_start(const fcng_pool *pool)
{
    return pool->first == NULL && (pool->idle.head != NULL || may_open(pool));
}

void fcng_pool_get_counts(const fcng_pool *pool, fcng_pool_counts *counts)
{
    *counts = (fcng_pool_counts){ .connections = pool->connections,
                                  .idle = pool->nidle,
                                  .waiting = pool->nwaiting,
                                  .opened = pool->opened,
                                  .reused = pool->reused,
                                  .requests = pool->requests,
                                  .refused = pool->refused,
                                  .timed_out = pool->timed_out };
}
