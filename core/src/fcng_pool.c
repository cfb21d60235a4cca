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
#include "fcng_links.h"
#include "fcng_median.h"
#include "fcng_mem.h"
#include "fcng_seat.h"

#define YIELD_MIN_US 5000
#define LOOK_US 100000 /* when no process tells of a free place */

enum { LINK_NONE, LINK_IDLE, LINK_BUSY };

struct fcng_pool {
    const fcng_mem *mem;
    fcng_pool_options options;
    fcng_links idle;       /* used last in front */
    fcng_links unproven;   /* busy, new, not one byte received; oldest first */
    fcng_pool_wait *first, *last; /* the queue */
    uint32_t connections;  /* opened or being opened, or being closed */
    uint32_t closing;      /* of these, those that the host is to close */
    uint32_t nidle, nwaiting;
    uint64_t count[FCNG_COUNTERS];
    uint64_t calm;         /* kept connections asked for since one was found
                              closed */
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
    if (counter == FCNG_COUNT_STALE) {
        pool->calm = 0;
    }
    fcng_seat_count(pool->seat, counter);
}

/* --- lists --- */

static void publish_unproven(fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    fcng_seat_unproven(pool->seat, oldest != NULL ? oldest->started_us : 0);
}

static void unproven_add(fcng_pool *pool, fcng_pool_conn *conn)
{
    fcng_links_append_fresh(&pool->unproven, conn);
    conn->waits_first_byte = true;
    publish_unproven(pool);
}

static void unproven_remove(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->waits_first_byte) {
        fcng_links_remove_fresh(&pool->unproven, conn);
        conn->waits_first_byte = false;
        publish_unproven(pool);
    }
}

static void set_busy(fcng_pool *pool, fcng_pool_conn *conn)
{
    conn->state = LINK_BUSY;
    conn->requests++;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_ACTIVE, 1);
    fcng_pool_count(pool, FCNG_COUNT_REQUESTS);
}

static void set_idle(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    fcng_links_push(&pool->idle, conn);
    pool->nidle++;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, 1);
    conn->state = LINK_IDLE;
    conn->idle_us = now_us;
}

static void detach(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == LINK_IDLE) {
        fcng_links_remove(&pool->idle, conn);
        pool->nidle--;
        fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, -1);
    } else if (conn->state == LINK_BUSY) {
        fcng_seat_gauge(pool->seat, FCNG_GAUGE_ACTIVE, -1);
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
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_CONNECTIONS, -1);
    fcng_seat_give_back(pool->seat, waits_since(pool));
}

/* The host closes it before it calls again: only then is its place free, or
   whoever gets it would have one connection too many open. */
static void forget(fcng_pool *pool, fcng_pool_conn *conn)
{
    detach(pool, conn);
    pool->closing++;
}

static void settle(fcng_pool *pool)
{
    for (; pool->closing > 0; pool->closing--) {
        unreserve(pool);
    }
}

void fcng_pool_del(fcng_pool *pool)
{
    if (pool != NULL) {
        settle(pool);
        fcng_mem_release(pool->mem, pool);
    }
}

/* --- the queue --- */

static void publish_wait(fcng_pool *pool)
{
    fcng_seat_waits(pool->seat, waits_since(pool));
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
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_WAITING, 1);
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
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_WAITING, -1);
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
           || fcng_seat_must_yield(pool->seat, patience(pool), now_us);
}

/* Another process is to be served before whoever of ours comes first. */
static bool must_give(const fcng_pool *pool)
{
    return fcng_seat_must_give(pool->seat, waits_since(pool));
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
    if (pool->first_byte.taken % 8 == 1) {
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
   Those that are too old, or wanted elsewhere, stay for fcng_pool_expire().
   One that is not settled is not made busy: it is to be exchanged. */
static fcng_pool_conn *take_idle(fcng_pool *pool, bool settled,
                                 uint64_t since_us, uint64_t now_us)
{
    fcng_pool_conn *conn = settled ? pool->idle.tail : pool->idle.head;
    if (conn != NULL && fcng_seat_must_give(pool->seat, since_us)) {
        return NULL;
    }
    while (!settled && conn != NULL && too_old(pool, conn, now_us)) {
        conn = conn->next;
    }
    if (conn == NULL) {
        return NULL;
    }
    pool->calm++;
    detach(pool, conn);
    if (!settled || (now_us - conn->idle_us >= FCNG_POOL_SETTLED_US
                     && !too_old(pool, conn, now_us))) {
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
        || !fcng_seat_take(pool->seat, pool->options.max_connections,
                           since_us)) {
        return false;
    }
    pool->connections++;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_CONNECTIONS, 1);
    return true;
}

/* The idle connections of others give way, so those who wait for them are in
   no queue yet. */
static bool may_wait(const fcng_pool *pool)
{
    uint32_t most = pool->options.max_queue;
    return pool->nwaiting < most
           || pool->nwaiting - most < fcng_seat_idle(pool->seat);
}

/* A place may have become free before others could see that we wait. */
static enum fcng_pool_verdict wait_or_refuse(fcng_pool *pool,
                                             fcng_pool_wait *wait,
                                             uint64_t now_us)
{
    if (wait == NULL || !may_wait(pool)) {
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

/* What there is for a request that waits since |since_us|. */
static enum fcng_pool_verdict take(fcng_pool *pool, enum fcng_pool_need need,
                                   uint64_t since_us, uint64_t now_us,
                                   fcng_pool_conn **conn)
{
    bool settled = need == FCNG_POOL_SETTLED
                   && pool->calm < FCNG_POOL_CALM;
    *conn = need != FCNG_POOL_FRESH
                ? take_idle(pool, settled, since_us, now_us) : NULL;
    if (*conn == NULL && reserve(pool, since_us)) {
        return FCNG_POOL_OPEN;
    }
    if (need == FCNG_POOL_FRESH) {
        *conn = take_idle(pool, false, since_us, now_us);
    }
    if (*conn == NULL) {
        return FCNG_POOL_WAIT;
    }
    return (*conn)->state == LINK_BUSY ? FCNG_POOL_USE : FCNG_POOL_OPEN;
}

enum fcng_pool_verdict fcng_pool_acquire(fcng_pool *pool, fcng_pool_wait *wait,
                                         enum fcng_pool_need need,
                                         uint64_t now_us,
                                         fcng_pool_conn **conn)
{
    *conn = NULL;
    if (pool->first == NULL) {
        enum fcng_pool_verdict verdict = take(pool, need, now_us, now_us,
                                              conn);
        if (verdict != FCNG_POOL_WAIT) {
            return verdict;
        }
    }
    if (wait != NULL) {
        wait->need = (uint8_t)need;
    }
    return wait_or_refuse(pool, wait, now_us);
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

/* More are open than a limit that has become smaller allows. */
static bool over_limit(const fcng_pool *pool)
{
    uint32_t most = pool->options.max_connections;
    return most > 0 && pool->connections - pool->closing > most;
}

/* The cheap reasons not to keep a connection come first. */
static bool keep(fcng_pool *pool, const fcng_pool_conn *conn, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return pool->nidle < o->max_idle && !over_limit(pool)
           && !too_old(pool, conn, now_us) && !must_give(pool)
           && !must_yield(pool, now_us)
           && !fcng_seat_is_spare(pool->seat, o, conn->requests == 1, now_us);
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
    if (conn->state == LINK_IDLE) {
        pool->calm = 0;
    }
    forget(pool, conn);
}

enum fcng_pool_verdict fcng_pool_next(fcng_pool *pool, uint64_t now_us,
                                      fcng_pool_wait **wait,
                                      fcng_pool_conn **conn)
{
    fcng_pool_wait *first = pool->first;
    *wait = first;
    *conn = NULL;
    settle(pool);
    if (first == NULL) {
        fcng_seat_decline(pool->seat);
        return FCNG_POOL_WAIT;
    }
    pool->looked_us = now_us;
    publish_wait(pool); /* another pool of this process may have changed it */
    fcng_seat_sweep(pool->seat, now_us);
    if (now_us - first->since_us >= pool->options.queue_timeout_us) {
        fcng_pool_cancel(pool, first);
        fcng_pool_count(pool, FCNG_COUNT_QUEUE_TIMEOUT);
        return FCNG_POOL_REFUSE;
    }
    enum fcng_pool_need need = first->need == FCNG_POOL_SETTLED
                                   ? FCNG_POOL_SETTLED : FCNG_POOL_ANY;
    enum fcng_pool_verdict verdict = take(pool, need, first->since_us, now_us,
                                          conn);
    if (verdict != FCNG_POOL_WAIT) {
        fcng_pool_cancel(pool, first);
    }
    return verdict;
}

/* --- time --- */

static bool expired(fcng_pool *pool, const fcng_pool_conn *conn,
                    uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return now_us - conn->idle_us >= o->idle_timeout_us
           || pool->nidle > o->max_idle || over_limit(pool)
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
    settle(pool);
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
    settle(pool);
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
                   && fcng_seat_has_room(pool->seat,
                                         pool->options.max_connections,
                                         FCNG_NEVER)));
}

void fcng_pool_get_counts(const fcng_pool *pool, fcng_pool_counts *counts)
{
    const uint64_t *n = pool->count;
    uint32_t open = pool->connections - pool->closing;
    *counts = (fcng_pool_counts){ .connections = open,
                                  .idle = pool->nidle,
                                  .waiting = pool->nwaiting,
                                  .opened = n[FCNG_COUNT_OPENED],
                                  .reused = n[FCNG_COUNT_REUSED],
                                  .requests = n[FCNG_COUNT_REQUESTS],
                                  .refused = n[FCNG_COUNT_QUEUE_FULL],
                                  .timed_out = n[FCNG_COUNT_QUEUE_TIMEOUT] };
}
