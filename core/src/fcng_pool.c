/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The connections of one process to one address: which request gets which,
 * and what is kept.  Opens and closes nothing: it answers, the host acts.
 *
 * Rules:
 *   - first come, first served: nobody overtakes a request that waits;
 *   - the connection used last is used next, so that surplus ones age out;
 *   - where requests share connections, one that is open is filled before
 *     another one is opened: fewer connections make larger writes;
 *   - yield (fcng_yield.c).
 */
#include "fcng_pool.h"
#include "fcng_mem.h"

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
    } else if (counter == FCNG_COUNT_CONNECT) {
        fcng_mpxs_lost(fcng_pool_mpxs(pool));
    }
    fcng_seat_count(pool->seat, counter);
}

/* --- one connection --- */

static bool is_shared(const fcng_pool_conn *conn)
{
    return conn->max_streams > 1;
}

static bool has_room(const fcng_pool *pool, const fcng_pool_conn *conn)
{
    uint32_t most = pool->options.max_requests;
    return is_shared(conn) && !conn->retired
           && conn->streams + conn->zombies < conn->max_streams
           && (most == 0 || conn->requests < most);
}

static void set_open(fcng_pool *pool, fcng_pool_conn *conn, bool open)
{
    if (conn->open == open) {
        return;
    }
    conn->open = open;
    if (open) {
        fcng_links_push(&pool->open, conn);
    } else {
        fcng_links_remove(&pool->open, conn);
    }
}

static void leave_idle(fcng_pool *pool, fcng_pool_conn *conn)
{
    fcng_links_remove(&pool->idle, conn);
    pool->nidle--;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, -1);
    conn->state = FCNG_LINK_NONE;
}

/* So many requests on it more, or less. */
static void change_streams(fcng_pool *pool, fcng_pool_conn *conn, int by)
{
    conn->streams += (uint32_t)by;
    pool->active += (uint32_t)by;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_ACTIVE, by);
    if (is_shared(conn)) {
        fcng_seat_gauge(pool->seat, FCNG_GAUGE_STREAMS, by);
    }
}

/* Another request is on it. */
static void use(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == FCNG_LINK_IDLE) {
        leave_idle(pool, conn);
    }
    conn->state = FCNG_LINK_BUSY;
    conn->requests++;
    change_streams(pool, conn, 1);
    set_open(pool, conn, has_room(pool, conn));
    fcng_pool_count(pool, FCNG_COUNT_REQUESTS);
}

static void set_idle(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    fcng_links_push(&pool->idle, conn);
    pool->nidle++;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, 1);
    conn->state = FCNG_LINK_IDLE;
    conn->idle_us = now_us;
}

static void detach(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == FCNG_LINK_IDLE) {
        leave_idle(pool, conn);
    } else if (conn->state == FCNG_LINK_BUSY) {
        set_open(pool, conn, false);
        change_streams(pool, conn, -(int)conn->streams);
    }
    conn->state = FCNG_LINK_NONE;
    fcng_yield_forget(pool, conn);
}

void fcng_pool_unreserve(fcng_pool *pool)
{
    FCNG_ASSERT(pool->connections > 0);
    pool->connections--;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_CONNECTIONS, -1);
    fcng_seat_give_back(pool->seat, fcng_queue_since(pool));
}

void fcng_pool_forget(fcng_pool *pool, fcng_pool_conn *conn)
{
    detach(pool, conn);
    pool->closing++;
}

void fcng_pool_settle(fcng_pool *pool)
{
    for (; pool->closing > 0; pool->closing--) {
        fcng_pool_unreserve(pool);
    }
}

void fcng_pool_del(fcng_pool *pool)
{
    if (pool != NULL) {
        fcng_pool_settle(pool);
        fcng_mem_release(pool->mem, pool->sizes);
        fcng_mem_release(pool->mem, pool);
    }
}

bool fcng_pool_must_give(const fcng_pool *pool)
{
    return fcng_seat_must_give(pool->seat, fcng_queue_since(pool));
}

bool fcng_pool_too_old(const fcng_pool *pool, const fcng_pool_conn *conn,
                       uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return (o->max_requests > 0 && conn->requests >= o->max_requests)
           || (o->max_lifetime_us > 0
               && now_us - conn->opened_us >= o->max_lifetime_us);
}

/* --- who gets what --- */

typedef struct wish {
    enum fcng_pool_need need;
    bool alone, apart, fresh, settled;
    uint32_t max_streams; /* of a connection that it gets */
    uint32_t ahead;       /* others in the queue */
    uint64_t since_us;
    uint64_t now_us;
} wish;

static wish wish_for(fcng_pool *pool, enum fcng_pool_need need,
                     uint32_t ahead, uint64_t since_us, uint64_t now_us)
{
    return (wish){ .need = need,
                   .alone = (need & FCNG_POOL_ALONE) != 0,
                   .apart = (need & FCNG_POOL_APART) != 0,
                   .fresh = (need & FCNG_POOL_FRESH) != 0,
                   .settled = (need & FCNG_POOL_SETTLED) != 0
                              && pool->calm < FCNG_POOL_CALM,
                   .max_streams = fcng_pool_max_streams(pool, need, now_us),
                   .ahead = ahead,
                   .since_us = since_us,
                   .now_us = now_us };
}

/* A connection with other requests, for one more.  One that has not answered
   yet may still prove to be dead. */
static fcng_pool_conn *take_open(fcng_pool *pool, const wish *w)
{
    fcng_pool_conn *conn = pool->open.head;
    if (conn == NULL || fcng_seat_must_give(pool->seat, w->since_us)) {
        return NULL;
    }
    while (conn != NULL
           && (fcng_pool_too_old(pool, conn, w->now_us)
               || (w->settled && (conn->waits_first_byte || !conn->used))
               || (w->fresh
                   && w->now_us - conn->opened_us >= FCNG_POOL_SETTLED_US))) {
        conn = conn->next;
    }
    if (conn != NULL) {
        use(pool, conn);
        fcng_pool_count(pool, FCNG_COUNT_SHARED);
    }
    return conn;
}

/* Which of the idle ones: any, shared or exclusive ones only. */
enum kind { ANY, SHARED, EXCLUSIVE };

static bool suits(const fcng_pool_conn *conn, enum kind kind)
{
    return (kind == ANY || is_shared(conn) == (kind == SHARED))
           && (conn->zombies == 0 || conn->zombies < conn->max_streams);
}

/* The idle connection for a request, or NULL.  Those that are too old, or
   wanted elsewhere, stay for fcng_pool_expire().  One that is not settled is
   not made busy: it is to be exchanged. */
static fcng_pool_conn *take_idle(fcng_pool *pool, const wish *w,
                                 enum kind kind, bool settled)
{
    fcng_pool_conn *conn = settled ? pool->idle.tail : pool->idle.head;
    if (conn == NULL || fcng_seat_must_give(pool->seat, w->since_us)) {
        return NULL;
    }
    while (conn != NULL
           && (!suits(conn, kind)
               || (!settled && fcng_pool_too_old(pool, conn, w->now_us)))) {
        conn = settled ? conn->prev : conn->next;
    }
    if (conn == NULL) {
        return NULL;
    }
    pool->calm++;
    if ((w->alone && is_shared(conn))
        || (settled && (w->now_us - conn->idle_us < FCNG_POOL_SETTLED_US
                        || fcng_pool_too_old(pool, conn, w->now_us)))) {
        detach(pool, conn);
        return conn;
    }
    use(pool, conn);
    fcng_pool_count(pool, FCNG_COUNT_REUSED);
    return conn;
}

static bool under_limit(const fcng_pool *pool)
{
    return pool->options.max_connections == 0
           || pool->connections < pool->options.max_connections;
}

bool fcng_pool_reserve(fcng_pool *pool, uint64_t since_us)
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

static enum fcng_pool_verdict open_one(fcng_pool *pool,
                                       enum fcng_pool_need need)
{
    pool->opening += (need & (FCNG_POOL_ALONE | FCNG_POOL_APART)) == 0;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_CONNECTING, 1);
    return FCNG_POOL_OPEN;
}

/* A place may have become free before others could see that we wait. */
static enum fcng_pool_verdict wait_or_refuse(fcng_pool *pool,
                                             fcng_pool_wait *wait,
                                             uint64_t now_us)
{
    if (wait == NULL || !fcng_queue_has_room(pool)) {
        fcng_pool_count(pool, FCNG_COUNT_QUEUE_FULL);
        return FCNG_POOL_REFUSE;
    }
    fcng_queue_add(pool, wait, now_us);
    if (pool->seat == NULL || pool->first != wait || wait->joins) {
        return FCNG_POOL_WAIT;
    }
    if (fcng_pool_reserve(pool, now_us)) {
        fcng_pool_cancel(pool, wait);
        return open_one(pool, wait->need);
    }
    fcng_seat_ring(pool->seat);
    return FCNG_POOL_WAIT;
}

/* No place is free: what is not quite what was wished for. */
static fcng_pool_conn *take_other(fcng_pool *pool, const wish *w)
{
    wish any = *w;
    any.fresh = false;
    fcng_pool_conn *conn = NULL;
    if ((w->fresh && w->max_streams > 1)
        || (w->apart && fcng_pool_max_streams(pool, FCNG_POOL_ANY,
                                              w->now_us) > 1)) {
        conn = take_open(pool, &any);
    }
    if (conn == NULL
        && (w->fresh || w->alone || w->apart || w->max_streams > 1)) {
        conn = take_idle(pool, &any, ANY, false);
    }
    return conn;
}

/* What there is for a request.  |*joins|: FCNG_POOL_WAIT is for a connection
   that is being opened. */
static enum fcng_pool_verdict take(fcng_pool *pool, const wish *w,
                                   fcng_pool_conn **conn, bool *joins)
{
    bool share = w->max_streams > 1;
    *joins = false;
    *conn = share ? take_open(pool, w) : NULL;
    if (*conn == NULL && !w->fresh) {
        *conn = take_idle(pool, w,
                          share ? SHARED
                          : w->alone || w->apart ? EXCLUSIVE : ANY,
                          w->settled);
    }
    if (*conn == NULL && share
        && fcng_queue_joins(pool, w->max_streams, w->ahead,
                            w->now_us - w->since_us)) {
        *joins = true;
        return FCNG_POOL_WAIT;
    }
    if (*conn == NULL && fcng_pool_reserve(pool, w->since_us)) {
        return open_one(pool, w->need);
    }
    if (*conn == NULL) {
        *conn = take_other(pool, w);
    }
    if (*conn == NULL) {
        return FCNG_POOL_WAIT;
    }
    return (*conn)->state == FCNG_LINK_BUSY ? FCNG_POOL_USE
                                            : open_one(pool, w->need);
}

enum fcng_pool_verdict fcng_pool_acquire(fcng_pool *pool, fcng_pool_wait *wait,
                                         enum fcng_pool_need need,
                                         uint64_t now_us,
                                         fcng_pool_conn **conn)
{
    bool joins = false;
    *conn = NULL;
    if (pool->first == NULL || pool->first->joins) {
        wish w = wish_for(pool, need, pool->nwaiting, now_us, now_us);
        enum fcng_pool_verdict verdict = take(pool, &w, conn, &joins);
        if (joins && (wait == NULL || !fcng_queue_has_room(pool))
            && fcng_pool_reserve(pool, now_us)) {
            verdict = open_one(pool, need);
        }
        if (verdict != FCNG_POOL_WAIT) {
            return verdict;
        }
    }
    if (wait != NULL) {
        wait->need = (uint8_t)need;
        wait->joins = joins;
    }
    return wait_or_refuse(pool, wait, now_us);
}

static void opened(fcng_pool *pool, enum fcng_pool_need need)
{
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_CONNECTING, -1);
    if ((need & (FCNG_POOL_ALONE | FCNG_POOL_APART)) == 0) {
        FCNG_ASSERT(pool->opening > 0);
        pool->opening--;
    }
}

static void begin(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    conn->opened_us = now_us;
    conn->requests = 0;
    conn->streams = 0;
    conn->zombies = 0;
    conn->state = FCNG_LINK_NONE;
    conn->waits_first_byte = false;
    conn->used = false;
    conn->retired = false;
    conn->open = false;
    fcng_pool_count(pool, FCNG_COUNT_OPENED);
}

void fcng_pool_add(fcng_pool *pool, fcng_pool_conn *conn,
                   enum fcng_pool_need need, uint64_t now_us)
{
    opened(pool, need);
    begin(pool, conn, now_us);
    use(pool, conn);
}

void fcng_pool_add_idle(fcng_pool *pool, fcng_pool_conn *conn,
                        uint64_t now_us)
{
    begin(pool, conn, now_us);
    set_idle(pool, conn, now_us);
}

void fcng_pool_give_up(fcng_pool *pool, enum fcng_pool_need need)
{
    opened(pool, need);
    fcng_pool_unreserve(pool);
}

bool fcng_pool_over_limit(const fcng_pool *pool)
{
    uint32_t most = pool->options.max_connections;
    return most > 0 && pool->connections - pool->closing > most;
}

/* The cheap reasons not to keep a connection come first. */
static bool keep(fcng_pool *pool, const fcng_pool_conn *conn, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return pool->nidle < o->max_idle && !fcng_pool_over_limit(pool)
           && !fcng_pool_too_old(pool, conn, now_us)
           && !fcng_pool_must_give(pool)
           && !fcng_seat_is_spare(pool->seat, o, conn->requests == 1, now_us)
           && !fcng_yield_one(pool, now_us);
}

bool fcng_pool_release(fcng_pool *pool, fcng_pool_conn *conn, bool reusable,
                       uint64_t now_us)
{
    if (reusable && is_shared(conn)) {
        fcng_mpxs_seen(fcng_pool_mpxs(pool), now_us);
    }
    if (conn->streams > 1) {
        conn->retired = conn->retired || !reusable;
        change_streams(pool, conn, -1);
        set_open(pool, conn, has_room(pool, conn));
        return true;
    }
    detach(pool, conn);
    if (reusable && !conn->retired && keep(pool, conn, now_us)) {
        set_idle(pool, conn, now_us);
        return true;
    }
    fcng_pool_forget(pool, conn);
    return false;
}

void fcng_pool_set_zombies(fcng_pool *pool, fcng_pool_conn *conn, size_t n)
{
    conn->zombies = (uint32_t)n;
    if (conn->state == FCNG_LINK_BUSY) {
        set_open(pool, conn, has_room(pool, conn));
    }
}

void fcng_pool_retire(fcng_pool *pool, fcng_pool_conn *conn)
{
    conn->retired = true;
    if (conn->state == FCNG_LINK_BUSY) {
        set_open(pool, conn, false);
    }
}

void fcng_pool_remove(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->state == FCNG_LINK_IDLE) {
        pool->calm = 0;
    }
    fcng_pool_forget(pool, conn);
}

enum fcng_pool_verdict fcng_pool_next(fcng_pool *pool, uint64_t now_us,
                                      fcng_pool_wait **wait,
                                      fcng_pool_conn **conn)
{
    fcng_pool_wait *first = pool->first;
    *wait = first;
    *conn = NULL;
    fcng_pool_settle(pool);
    if (first == NULL) {
        fcng_seat_decline(pool->seat);
        return FCNG_POOL_WAIT;
    }
    pool->looked_us = now_us;
    fcng_queue_publish(pool); /* another pool of this process may have changed
                                 it */
    fcng_seat_sweep(pool->seat, now_us);
    if (now_us - first->since_us >= pool->options.queue_timeout_us) {
        fcng_pool_cancel(pool, first);
        fcng_pool_count(pool, FCNG_COUNT_QUEUE_TIMEOUT);
        return FCNG_POOL_REFUSE;
    }
    wish w = wish_for(pool, first->need & ~FCNG_POOL_FRESH, 0,
                      first->since_us, now_us);
    enum fcng_pool_verdict verdict = take(pool, &w, conn, &first->joins);
    if (verdict != FCNG_POOL_WAIT) {
        fcng_pool_cancel(pool, first);
    } else {
        fcng_queue_publish(pool);
    }
    return verdict;
}

/* --- what it looks like --- */

bool fcng_pool_can_start(const fcng_pool *pool)
{
    return (pool->first == NULL || pool->first->joins)
           && (pool->idle.head != NULL || pool->open.head != NULL
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
                                  .active = pool->active,
                                  .opened = n[FCNG_COUNT_OPENED],
                                  .reused = n[FCNG_COUNT_REUSED],
                                  .shared = n[FCNG_COUNT_SHARED],
                                  .requests = n[FCNG_COUNT_REQUESTS],
                                  .refused = n[FCNG_COUNT_QUEUE_FULL],
                                  .timed_out = n[FCNG_COUNT_QUEUE_TIMEOUT] };
}
