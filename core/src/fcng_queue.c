/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of a pool that wait, in the order in which they came: for a
 * place, or, where connections are shared, for one that is being opened.
 */
#include "fcng_pool.h"

uint64_t fcng_queue_since(const fcng_pool *pool)
{
    return pool->first == NULL || pool->first->joins ? 0
                                                     : pool->first->since_us;
}

void fcng_queue_publish(fcng_pool *pool)
{
    fcng_seat_waits(pool->seat, fcng_queue_since(pool));
}

/* The idle connections of others give way, so those who wait for them are in
   no queue yet. */
bool fcng_queue_has_room(const fcng_pool *pool)
{
    uint32_t most = pool->options.max_queue;
    return pool->nwaiting < most
           || pool->nwaiting - most < fcng_seat_idle(pool->seat);
}

void fcng_queue_add(fcng_pool *pool, fcng_pool_wait *wait, uint64_t now_us)
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
    fcng_queue_publish(pool);
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
    fcng_queue_publish(pool);
}

/* Each of those that are being opened has one request already. */
bool fcng_queue_joins(const fcng_pool *pool, uint32_t max_streams,
                      uint32_t ahead, uint64_t waited_us)
{
    return waited_us < FCNG_POOL_JOIN_US
           && ahead < (uint64_t)pool->opening * (max_streams - 1);
}

uint64_t fcng_queue_deadline(const fcng_pool *pool)
{
    const fcng_pool_wait *first = pool->first;
    uint64_t at = first->since_us + pool->options.queue_timeout_us;
    if (first->joins) {
        return FCNG_MIN(at, first->since_us + FCNG_POOL_JOIN_US);
    }
    return pool->seat != NULL ? FCNG_MIN(at, pool->looked_us + FCNG_LOOK_US)
                              : at;
}
