/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * min_idle: connections that are opened before a request needs them.  They are
 * counted over all processes; each opens its share, and what others have not
 * opened within a second.
 */
#include "fcng_pool.h"

#define FIRST_US 100000  /* the other processes are starting, too */
#define AGAIN_US 1000000 /* between looks, also after a failure */

uint32_t fcng_ahead_idle(const fcng_pool *pool)
{
    return pool->seat != NULL ? fcng_seat_idle(pool->seat)
                              : pool->nidle + pool->ahead;
}

static bool is_wanted(fcng_pool *pool, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    uint32_t own = pool->nidle + pool->ahead;
    return pool->first == NULL && own < o->max_idle
           && !fcng_yield_must(pool, now_us)
           && fcng_seat_claim_idle(pool->seat, o->min_idle, own,
                                   !pool->ahead_short);
}

bool fcng_pool_open_ahead(fcng_pool *pool, uint64_t now_us)
{
    uint32_t least = pool->options.min_idle;
    if (least == 0 || now_us < pool->ahead_us) {
        return false;
    }
    bool first = pool->ahead_us == 0;
    if (!first && is_wanted(pool, now_us)) {
        if (fcng_pool_reserve(pool, now_us)) {
            pool->ahead++;
            return true;
        }
        fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, -1);
    }
    pool->ahead_short = !first && fcng_ahead_idle(pool) < least;
    pool->ahead_us = now_us + (first ? FIRST_US : AGAIN_US);
    return false;
}

void fcng_pool_opened_ahead(fcng_pool *pool, fcng_pool_conn *conn,
                            uint64_t now_us)
{
    FCNG_ASSERT(pool->ahead > 0);
    pool->ahead--;
    fcng_seat_gauge(pool->seat, FCNG_GAUGE_IDLE, -1);
    if (conn != NULL) {
        fcng_pool_add_idle(pool, conn, now_us);
        return;
    }
    pool->ahead_us = now_us + AGAIN_US;
    fcng_pool_unreserve(pool);
}
