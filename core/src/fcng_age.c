/* SPDX-License-Identifier: BSD-2-Clause */
/* What time does to a pool: idle connections that are to be closed, and when
   the pool wants to be asked again. */
#include "fcng_pool.h"

static bool expired(fcng_pool *pool, const fcng_pool_conn *conn,
                    uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return (now_us - conn->idle_us >= o->idle_timeout_us
            && (o->min_idle == 0 || fcng_ahead_idle(pool) > o->min_idle))
           || pool->nidle > o->max_idle || fcng_pool_over_limit(pool)
           || fcng_pool_must_give(pool) || fcng_yield_one(pool, now_us);
}

fcng_pool_conn *fcng_pool_expire(fcng_pool *pool, uint64_t now_us)
{
    fcng_pool_conn *conn = pool->idle.tail;
    fcng_pool_settle(pool);
    pool->looked_us = now_us;
    fcng_yield_update(pool);
    fcng_yield_ring(pool, now_us);
    if (conn != NULL && !expired(pool, conn, now_us)) {
        /* the one idle longest may stay, but age is another order */
        while (conn != NULL && !fcng_pool_too_old(pool, conn, now_us)) {
            conn = pool->options.max_lifetime_us > 0 ? conn->prev : NULL;
        }
    }
    if (conn != NULL) {
        fcng_pool_forget(pool, conn);
    }
    return conn;
}

fcng_pool_conn *fcng_pool_close_idle(fcng_pool *pool)
{
    fcng_pool_conn *conn = pool->idle.tail;
    fcng_pool_settle(pool);
    if (conn != NULL) {
        fcng_pool_forget(pool, conn);
    }
    return conn;
}

static uint64_t idle_deadline(const fcng_pool *pool)
{
    const fcng_pool_options *o = &pool->options;
    const fcng_pool_conn *conn = pool->idle.tail;
    uint64_t at = conn->idle_us + o->idle_timeout_us;
    if (o->min_idle > 0) {
        at = FCNG_MAX(at, pool->ahead_us);
    }
    if (o->max_lifetime_us > 0) {
        for (; conn != NULL; conn = conn->prev) {
            at = FCNG_MIN(at, conn->opened_us + o->max_lifetime_us);
        }
    }
    if (pool->seat != NULL && pool->seat->share->host.wake == NULL) {
        at = FCNG_MIN(at, pool->looked_us + FCNG_LOOK_US);
    }
    return at;
}

uint64_t fcng_pool_deadline(const fcng_pool *pool)
{
    uint64_t at = fcng_yield_deadline(pool);
    if (pool->idle.tail != NULL) {
        at = FCNG_MIN(at, idle_deadline(pool));
    }
    if (pool->first != NULL) {
        at = FCNG_MIN(at, fcng_queue_deadline(pool));
    }
    if (pool->options.min_idle > 0) {
        at = FCNG_MIN(at, pool->ahead_us);
    }
    return at;
}
