/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The yield rule.  An application that serves one connection at a time
 * (php-fpm, a libfcgi process) is bound to a connection while that is open.
 * So a connection is given up rather than kept when another one has got no
 * byte for longer than the address usually takes for its first: one for each
 * that waits, and one more whenever it has waited as long again.
 */
#include "fcng_pool.h"

#define YIELD_MIN_US 5000
#define TELL_EVERY_US 2000

static void publish(fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    fcng_seat_unproven(pool->seat, oldest != NULL ? oldest->unproven_us : 0);
}

void fcng_yield_forget(fcng_pool *pool, fcng_pool_conn *conn)
{
    if (conn->waits_first_byte) {
        fcng_links_remove_fresh(&pool->unproven, conn);
        conn->waits_first_byte = false;
        publish(pool);
    }
}

void fcng_yield_update(fcng_pool *pool)
{
    if (pool->seat != NULL) {
        fcng_seat_median(pool->seat, &pool->first_byte);
    } else {
        fcng_median_update(&pool->first_byte, NULL, 0);
    }
}

/* Before a kept connection has told, the quickest new one: it waited least. */
static uint64_t patience(const fcng_pool *pool)
{
    uint64_t usual = pool->first_byte.median > 0 ? pool->first_byte.median
                                                 : pool->quickest_us;
    return FCNG_MAX(usual + usual / 4, YIELD_MIN_US);
}

/* When a connection is to be given up for one of ours, and for one of another
   process. */
static uint64_t own_overdue(const fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    return oldest != NULL ? oldest->unproven_us + patience(pool) + 1
                          : FCNG_NEVER;
}

static uint64_t others_overdue(const fcng_pool *pool)
{
    uint64_t since = fcng_seat_others_unproven(pool->seat);
    return since != 0 ? FCNG_MAX(since, pool->yielded_us) + patience(pool) + 1
                      : FCNG_NEVER;
}

static bool is_overdue(const fcng_pool *pool, uint64_t now_us)
{
    return now_us >= own_overdue(pool) || now_us >= others_overdue(pool);
}

bool fcng_yield_must(const fcng_pool *pool, uint64_t now_us)
{
    bool one_waits = pool->unproven.head != NULL
                     || fcng_seat_others_unproven(pool->seat) != 0;
    return is_overdue(pool, now_us)
           || (one_waits && now_us < pool->yielded_us + patience(pool));
}

static void append_unproven(fcng_pool *pool, fcng_pool_conn *conn,
                            uint64_t now_us)
{
    conn->unproven_us = now_us;
    fcng_links_append_fresh(&pool->unproven, conn);
    publish(pool);
}

bool fcng_yield_one(fcng_pool *pool, uint64_t now_us)
{
    fcng_pool_conn *oldest = pool->unproven.head;
    if (!is_overdue(pool, now_us)) {
        return false;
    }
    if (now_us >= own_overdue(pool)) {
        fcng_links_remove_fresh(&pool->unproven, oldest);
        append_unproven(pool, oldest, now_us);
    } else {
        fcng_seat_sweep(pool->seat, now_us);
    }
    pool->yielded_us = now_us;
    return true;
}

static bool must_ring(const fcng_pool *pool)
{
    return pool->seat != NULL && pool->unproven.head != NULL
           && pool->rung_us != pool->unproven.head->unproven_us;
}

void fcng_yield_ring(fcng_pool *pool, uint64_t now_us)
{
    if (must_ring(pool) && now_us >= own_overdue(pool)) {
        pool->rung_us = pool->unproven.head->unproven_us;
        fcng_seat_ring(pool->seat);
    }
}

/* Others may be more patient than the one that woke them: so they look again
   when their own patience is at its end. */
uint64_t fcng_yield_deadline(const fcng_pool *pool)
{
    uint64_t at = must_ring(pool) ? own_overdue(pool) : FCNG_NEVER;
    if (pool->idle.tail != NULL) {
        at = FCNG_MIN(at, FCNG_MIN(own_overdue(pool), others_overdue(pool)));
    }
    return at;
}

/* The first request on a connection that is shared counts, not those that
   join it. */
void fcng_pool_started(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us)
{
    if (conn->waits_first_byte) {
        return;
    }
    conn->started_us = now_us;
    if (!conn->used) {
        conn->used = true;
        conn->waits_first_byte = true;
        append_unproven(pool, conn, now_us);
    }
}

/* What the application takes for a first byte.  Others hear of one now and
   then only, or all processes would write to one place all the time. */
static void sample(fcng_pool *pool, uint32_t took, uint64_t now_us)
{
    fcng_median_add(&pool->first_byte, took);
    if (now_us - pool->told_us >= TELL_EVERY_US) {
        pool->told_us = now_us;
        fcng_seat_sample(pool->seat, took);
        fcng_yield_update(pool);
    }
}

/* On a new connection the wait in its listen queue counts too, so of those
   only the quickest is of use.  Where several requests are under way,
   |started_us| is that of the last. */
void fcng_pool_first_byte(fcng_pool *pool, fcng_pool_conn *conn,
                          uint64_t now_us)
{
    uint32_t took = (uint32_t)FCNG_MIN(now_us - conn->started_us, UINT32_MAX);
    if (conn->streams <= 1 && conn->requests > 1) {
        sample(pool, took, now_us);
    } else if (conn->streams <= 1
               && (pool->quickest_us == 0 || took < pool->quickest_us)) {
        pool->quickest_us = took;
    }
    fcng_yield_forget(pool, conn);
}
