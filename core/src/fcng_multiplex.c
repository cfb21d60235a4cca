/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether the requests of a pool share connections, and which of them had
 * better not: an application that sends one response after another makes small
 * ones wait behind large ones.
 */
#include "fcng_pool.h"
#include "fcng_conn.h"
#include "fcng_mem.h"

fcng_mpxs *fcng_pool_mpxs(fcng_pool *pool)
{
    return pool->seat != NULL ? &pool->seat->entry->mpxs : &pool->mpxs;
}

uint32_t fcng_pool_max_streams(fcng_pool *pool, enum fcng_pool_need need,
                               uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    if (o->multiplex == FCNG_MULTIPLEX_OFF || o->max_idle == 0
        || (need & (FCNG_POOL_ALONE | FCNG_POOL_APART)) != 0) {
        return 1;
    }
    const fcng_mpxs *mpxs = fcng_pool_mpxs(pool);
    if (o->multiplex == FCNG_MULTIPLEX_ON) {
        return fcng_mpxs_is_false(mpxs, now_us) ? 1 : o->max_streams;
    }
    if (fcng_mpxs_state(mpxs, now_us) != FCNG_MPXS_YES) {
        return 1;
    }
    uint32_t most = atomic_load(&mpxs->max_reqs);
    return most > 0 ? FCNG_MIN(most, o->max_streams) : o->max_streams;
}

bool fcng_pool_must_ask(fcng_pool *pool, uint64_t now_us)
{
    const fcng_pool_options *o = &pool->options;
    return o->multiplex == FCNG_MULTIPLEX_AUTO && o->max_idle > 0
           && pool->active + pool->opening + pool->nwaiting > 1
           && fcng_mpxs_claim(fcng_pool_mpxs(pool), now_us);
}

void fcng_pool_told(fcng_pool *pool, const fcng_values *values,
                    uint64_t now_us)
{
    fcng_mpxs_answer(fcng_pool_mpxs(pool), values, now_us);
}

void fcng_pool_not_asked(fcng_pool *pool, uint64_t now_us)
{
    fcng_mpxs_not_asked(fcng_pool_mpxs(pool), now_us);
}

void fcng_pool_lost(fcng_pool *pool)
{
    fcng_mpxs_lost(fcng_pool_mpxs(pool));
}

bool fcng_pool_judge(fcng_pool *pool, const fcng_pool_conn *link,
                     fcng_conn *conn, uint64_t now_us)
{
    fcng_mpxs *mpxs = fcng_pool_mpxs(pool);
    if (conn->ended > 1) {
        fcng_mpxs_trust(mpxs);
    }
    if (conn->judged || (!conn->disproved && !conn->doubted)) {
        return false;
    }
    conn->judged = true;
    if (!conn->disproved
        && !fcng_mpxs_doubt(mpxs, link->opened_us, now_us)) {
        return false;
    }
    fcng_mpxs_disprove(mpxs, now_us);
    return true;
}

/* --- large responses --- */

enum fcng_pool_need fcng_pool_need_for(const fcng_pool *pool,
                                       enum fcng_pool_need need, fcng_str path)
{
    bool large = pool->sizes != NULL
                 && fcng_sizes_expect(pool->sizes, path) >= FCNG_POOL_LARGE;
    return large ? (enum fcng_pool_need)(need | FCNG_POOL_APART) : need;
}

void fcng_pool_learn(fcng_pool *pool, fcng_str path, uint64_t size)
{
    if (pool->options.multiplex == FCNG_MULTIPLEX_OFF) {
        return;
    }
    if (pool->sizes == NULL) {
        pool->sizes = fcng_mem_zalloc(pool->mem, sizeof(*pool->sizes));
    }
    if (pool->sizes != NULL) {
        fcng_sizes_learn(pool->sizes, path, size);
    }
}
