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
#include "fcng_median.h"
#include "fcng_mem.h"
#include "fcng_seat.h"

#define YIELD_MIN_US 5000
#define LOOK_US 100000 /* when no process tells of a free place */

enum { LINK_NONE, LINK_IDLE, LINK_BUSY };

typedef struct conn_list {
    fcng_pool_conn *head, *tail;
} conn_list;

struct fcng_pool {
    const fcng_mem *mem;
    fcng_pool_options options;
    conn_list idle;        /* used last in front */
    conn_list unproven;    /* busy, new, not one byte received; oldest first */
    fcng_pool_wait *first, *last; /* the queue */
    uint32_t connections;  /* opened or being opened */
    uint32_t nidle, nwaiting;
    uint64_t count[FCNG_COUNTERS];
    fcng_median first_byte;   /* microseconds that the first one took */
    fcng_seat *seat;    /* NULL: this process is alone */
    uint64_t looked_us; /* when the queue was looked at last */
    uint64_t rung_us;   /* the start of a request that others were woken for */
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

void fcng_pool_share(fcng_pool *pool, fcng_seat *seat)
{
    pool->seat = seat;
}

void fcng_pool_count(fcng_pool *pool, enum fcng_counter counter)
{
    pool->count[counter]++;
    if (pool->seat != NULL) {
        fcng_seat_count(pool->seat, counter);
    }
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

static void publish_unproven(fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    if (pool->seat != NULL) {
        fcng_seat_unproven(pool->seat,
                           oldest != NULL ? oldest->started_us : 0);
    }
}

static void unproven_add(fcng_pool *pool, fcng_pool_conn *conn)
{
    conn_list *list = &pool->unproven;
    conn->fresh_next = NULL;
    conn->fresh_prev = list->tail;
    *(list->tail != NULL ? &list->tail->fresh_next : &list->head) = conn;
    list->tail = conn;
    conn->waits_first_byte = true;
    publish_unproven(pool);
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
    publish_unproven(pool);
}

static void gauge(fcng_pool *pool, enum fcng_gauge which, int by)
{
    if (pool->seat != NULL) {
        fcng_seat_gauge(pool->seat, which, by);
    }
}

static void set_busy(fcng_pool *pool, fcng_pool_conn *conn)
{
    conn->state = LINK_BUSY;
    conn->requests++;
    gauge(pool, FCNG_GAUGE_ACTIVE, 1);
    fcng_pool_count(pool, FCNG_COUNT_REQUESTS);
}

static void set_idle(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    push_front(&pool->idle, conn);
    pool->nidle++;
    gauge(pool, FCNG_GAUGE_IDLE, 1);
    conn->state = LINK_IDLE;
    conn->idle_us = now_us;
}

static void detach(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == LINK_IDLE) {
        unlink_conn(&pool->idle, conn);
        pool->nidle--;
        gauge(pool, FCNG_GAUGE_IDLE, -1);
    } else if (conn->state == LINK_BUSY) {
        gauge(pool, FCNG_GAUGE_ACTIVE, -1);
    }
    conn->state = LINK_NONE;
    unproven_remove(pool, conn);
}

/* Since when the first in the queue waits; 0: nobody does. */
static uint64_t waits_since(const fcng_pool *pool)
{
    return pool->first != NULL ? pool->first->since_us : 0;
}

static void unreserve(fcng_pool *pool)
{
    FCNG_ASSERT(pool->connections > 0);
    pool->connections--;
    if (pool->seat != NULL) {
        gauge(pool, FCNG_GAUGE_CONNECTIONS, -1);
        fcng_seat_give_back(pool->seat, waits_since(pool));
    }
}

static void forget(fcng_pool *pool, fcng_pool_conn *conn)
{
    detach(pool, conn);
    unreserve(pool);
}

/* --- the queue --- */

static void publish_wait(fcng_pool *pool)
{
    if (pool->seat != NULL) {
        fcng_seat_waits(pool->seat, waits_since(pool));
    }
}

static void enqueue(fcng_pool *pool, fcng_pool_wait *wait, uint64_t now_us)
{
    wait->next = NULL;
    wait->prev = pool->last;
    *(pool->last != NULL ? &pool->last->next : &pool->first) = wait;
    pool->last = wait;
    wait->since_us = now_us;
    wait->queued = true;
    pool->nwaiting++;
    pool->looked_us = now_us;
    gauge(pool, FCNG_GAUGE_WAITING, 1);
    fcng_pool_count(pool, FCNG_COUNT_QUEUED);
    publish_wait(pool);
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
    gauge(pool, FCNG_GAUGE_WAITING, -1);
    publish_wait(pool);
}

/* --- the yield rule --- */

static void update_median(fcng_pool *pool)
{
    if (fcng_median_is_old(&pool->first_byte)) {
        if (pool->seat != NULL) {
            fcng_seat_median(pool->seat, &pool->first_byte);
        } else {
            fcng_median_update(&pool->first_byte, NULL, 0);
        }
    }
}

static uint64_t patience(const fcng_pool *pool)
{
    uint64_t twice = 2 * (uint64_t)pool->first_byte.median;
    return twice > YIELD_MIN_US ? twice : YIELD_MIN_US;
}

static bool own_unproven(const fcng_pool *pool, uint64_t now_us)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    return oldest != NULL && now_us - oldest->started_us > patience(pool);
}

static bool must_yield(fcng_pool *pool, uint64_t now_us)
{
    return own_unproven(pool, now_us)
           || (pool->seat != NULL
               && fcng_seat_must_yield(pool->seat, patience(pool), now_us));
}

/* Another process is to be served before whoever of ours comes first. */
static bool must_give(const fcng_pool *pool)
{
    return pool->seat != NULL
           && fcng_seat_must_give(pool->seat, waits_since(pool));
}

void fcng_pool_started(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    conn->started_us = now_us;
    if (conn->requests == 1 && !conn->waits_first_byte) {
        unproven_add(pool, conn);
    }
}

/* What the application takes for a first byte.  On a new connection the wait
   in its listen queue would count too, so those tell nothing; and others hear
   of every eighth only, or all processes would write to one place all the
   time. */
static void sample(fcng_pool *pool, uint32_t took)
{
    fcng_median_add(&pool->first_byte, took);
    if (pool->seat != NULL && pool->first_byte.taken % 8 == 1) {
        fcng_seat_sample(pool->seat, took);
    }
}

void fcng_pool_first_byte(fcng_pool *pool, fcng_pool_conn *conn,
                          uint64_t now_us)
{
    uint64_t took = now_us - conn->started_us;
    if (conn->requests > 1) {
        sample(pool, (uint32_t)FCNG_MIN(took, UINT32_MAX));
    }
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

/* The idle connection for a request that waits since |since_us|, or NULL.
   Those that are too old, or wanted elsewhere, stay for fcng_pool_expire(). */
static fcng_pool_conn *take_idle(fcng_pool *pool, uint64_t since_us,
                                 uint64_t now_us)
{
    fcng_pool_conn *conn = pool->idle.head;
    if (conn != NULL && pool->seat != NULL
        && fcng_seat_must_give(pool->seat, since_us)) {
        return NULL;
    }
    while (conn != NULL && too_old(pool, conn, now_us)) {
        conn = conn->next;
    }
    if (conn != NULL) {
        detach(pool, conn);
        set_busy(pool, conn);
        fcng_pool_count(pool, FCNG_COUNT_REUSED);
    }
    return conn;
}

static bool under_limit(const fcng_pool *pool)
{
    return pool->options.max_connections == 0
           || pool->connections < pool->options.max_connections;
}

/* A place for a new connection, for a request that waits since |since_us|. */
static bool reserve(fcng_pool *pool, uint64_t since_us)
{
    if (!under_limit(pool)
        || (pool->seat != NULL
            && !fcng_seat_take(pool->seat, pool->options.max_connections,
                               since_us))) {
        return false;
    }
    pool->connections++;
    gauge(pool, FCNG_GAUGE_CONNECTIONS, 1);
    return true;
}

/* A place may have become free before others could see that we wait. */
static enum fcng_pool_verdict wait_or_refuse(fcng_pool *pool,
                                             fcng_pool_wait *wait,
                                             uint64_t now_us)
{
    if (wait == NULL || pool->nwaiting >= pool->options.max_queue) {
        fcng_pool_count(pool, FCNG_COUNT_QUEUE_FULL);
        return FCNG_POOL_REFUSE;
    }
    enqueue(pool, wait, now_us);
    if (pool->seat == NULL || pool->first != wait) {
        return FCNG_POOL_WAIT;
    }
    if (reserve(pool, now_us)) {
        fcng_pool_cancel(pool, wait);
        return FCNG_POOL_OPEN;
    }
    fcng_seat_ring(pool->seat);
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
    if (!fresh) {
        *conn = take_idle(pool, now_us, now_us);
    }
    if (*conn == NULL && reserve(pool, now_us)) {
        return FCNG_POOL_OPEN;
    }
    if (fresh) {
        *conn = take_idle(pool, now_us, now_us);
    }
    return *conn != NULL ? FCNG_POOL_USE : wait_or_refuse(pool, wait, now_us);
}

void fcng_pool_add(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    conn->opened_us = now_us;
    conn->requests = 0;
    conn->waits_first_byte = false;
    fcng_pool_count(pool, FCNG_COUNT_OPENED);
    set_busy(pool, conn);
}

void fcng_pool_give_up(fcng_pool *pool)
{
    unreserve(pool);
}

/* The cheap reasons not to keep a connection come first. */
static bool keep(fcng_pool *pool, const fcng_pool_conn *conn, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return pool->nidle < o->max_idle
           && (o->max_connections == 0
               || pool->connections <= o->max_connections)
           && !too_old(pool, conn, now_us) && !must_give(pool)
           && !must_yield(pool, now_us);
}

bool fcng_pool_release(fcng_pool *pool, fcng_pool_conn *conn, bool reusable,
                       uint64_t now_us)
{
    detach(pool, conn);
    update_median(pool);
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

/* Nobody waits: what others handed over meanwhile goes back. */
static enum fcng_pool_verdict nobody_waits(fcng_pool *pool)
{
    if (pool->seat != NULL) {
        fcng_seat_decline(pool->seat);
    }
    return FCNG_POOL_WAIT;
}

enum fcng_pool_verdict fcng_pool_next(fcng_pool *pool, uint64_t now_us,
                                      fcng_pool_wait **wait,
                                      fcng_pool_conn **conn)
{
    fcng_pool_wait *first = pool->first;
    *wait = first;
    *conn = NULL;
    if (first == NULL) {
        return nobody_waits(pool);
    }
    pool->looked_us = now_us;
    if (pool->seat != NULL) {
        fcng_share_sweep(pool->seat->share, now_us);
    }
    if (now_us - first->since_us >= pool->options.queue_timeout_us) {
        fcng_pool_cancel(pool, first);
        fcng_pool_count(pool, FCNG_COUNT_QUEUE_TIMEOUT);
        return FCNG_POOL_REFUSE;
    }
    *conn = take_idle(pool, first->since_us, now_us);
    if (*conn == NULL && !reserve(pool, first->since_us)) {
        return FCNG_POOL_WAIT;
    }
    fcng_pool_cancel(pool, first);
    return *conn != NULL ? FCNG_POOL_USE : FCNG_POOL_OPEN;
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
           || must_give(pool) || must_yield(pool, now_us);
}

/* Whoever has idle connections is to look at our connection that gets no
   byte: once for each such connection. */
static void ring_others(fcng_pool *pool, uint64_t now_us)
{
    if (pool->seat != NULL && own_unproven(pool, now_us)
        && pool->rung_us != pool->unproven.head->started_us) {
        pool->rung_us = pool->unproven.head->started_us;
        fcng_seat_ring(pool->seat);
    }
}

fcng_pool_conn *fcng_pool_expire(fcng_pool *pool, uint64_t now_us)
{
    fcng_pool_conn *conn = pool->idle.tail;
    pool->looked_us = now_us;
    update_median(pool);
    ring_others(pool, now_us);
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
    if (pool->seat != NULL && pool->seat->share->host.wake == NULL) {
        at = FCNG_MIN(at, pool->looked_us + LOOK_US);
    }
    return at;
}

/* When idle connections, ours or others', must give way to one that gets no
   byte. */
static uint64_t yield_deadline(const fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    if (oldest == NULL
        || (pool->idle.tail == NULL
            && (pool->seat == NULL || pool->rung_us == oldest->started_us))) {
        return FCNG_NEVER;
    }
    return oldest->started_us + patience(pool) + 1;
}

static uint64_t queue_deadline(const fcng_pool *pool)
{
    uint64_t at = pool->first->since_us + pool->options.queue_timeout_us;
    return pool->seat != NULL ? FCNG_MIN(at, pool->looked_us + LOOK_US) : at;
}

uint64_t fcng_pool_deadline(const fcng_pool *pool)
{
    uint64_t at = yield_deadline(pool);
    if (pool->idle.tail != NULL) {
        at = FCNG_MIN(at, idle_deadline(pool));
    }
    if (pool->first != NULL) {
        at = FCNG_MIN(at, queue_deadline(pool));
    }
    return at;
}

bool fcng_pool_can_start(const fcng_pool *pool)
{
    return pool->first == NULL
           && (pool->idle.head != NULL
               || (under_limit(pool)
                   && (pool->seat == NULL
                       || fcng_seat_has_room(pool->seat,
                                             pool->options.max_connections,
                                             FCNG_NEVER))));
}

void fcng_pool_get_counts(const fcng_pool *pool, fcng_pool_counts *counts)
{
    const uint64_t *n = pool->count;
    *counts = (fcng_pool_counts){ .connections = pool->connections,
                                  .idle = pool->nidle,
                                  .waiting = pool->nwaiting,
                                  .opened = n[FCNG_COUNT_OPENED],
                                  .reused = n[FCNG_COUNT_REUSED],
                                  .requests = n[FCNG_COUNT_REQUESTS],
                                  .refused = n[FCNG_COUNT_QUEUE_FULL],
                                  .timed_out = n[FCNG_COUNT_QUEUE_TIMEOUT] };
}
