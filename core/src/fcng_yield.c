/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The yield rule.  An application that serves one connection at a time
 * (php-fpm, a libfcgi process) is bound to a connection while that is open.
 * So a connection is given up rather than kept while another one has got no
 * byte for longer than the address usually takes for its first.
 */
#include "fcng_pool.h"

#define YIELD_MIN_US 5000

static void publish(fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    fcng_seat_unproven(pool->seat, oldest != NULL ? oldest->started_us : 0);
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

bool fcng_yield_must(fcng_pool *pool, uint64_t now_us)
{
    return own_unproven(pool, now_us)
           || fcng_seat_must_yield(pool->seat, patience(pool), now_us);
}

void fcng_yield_ring(fcng_pool *pool, uint64_t now_us)
{
    if (pool->seat != NULL && own_unproven(pool, now_us)
        && pool->rung_us != pool->unproven.head->started_us) {
        pool->rung_us = pool->unproven.head->started_us;
        fcng_seat_ring(pool->seat);
    }
}

uint64_t fcng_yield_deadline(const fcng_pool *pool)
{
    const fcng_pool_conn *oldest = pool->unproven.head;
    if (oldest == NULL
        || (pool->idle.tail == NULL
            && (pool->seat == NULL || pool->rung_us == oldest->started_us))) {
        return FCNG_NEVER;
    }
    return oldest->started_us + patience(pool) + 1;
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
        fcng_links_append_fresh(&pool->unproven, conn);
        publish(pool);
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

/* Where several requests are under way, |started_us| is that of the last. */
void fcng_pool_first_byte(fcng_pool *pool, fcng_pool_conn *conn,
                          uint64_t now_us)
{
    uint64_t took = now_us - conn->started_us;
    if (conn->requests > 1 && conn->streams <= 1) {
        sample(pool, (uint32_t)FCNG_MIN(took, UINT32_MAX));
    }
    fcng_yield_forget(pool, conn);
}
