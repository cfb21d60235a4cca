/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of several servers is asked: passive health and the least busy one;
 * and what is known of an address that takes no connection.
 */
#include "fcng_int.h"

#define DOUBLED_MAX 3 /* eight times fail_timeout */
#define OUTAGE_LINES 5 /* a second */
#define OUTAGE_KNOWN (10 * 1000000ull)

enum fcng_health_state fcng_health_state(const fcng_health *health,
                                         uint64_t now_us)
{
    if (health->down_until_us == 0) {
        return FCNG_HEALTH_UP;
    }
    return now_us < health->down_until_us || health->probed
           ? FCNG_HEALTH_DOWN : FCNG_HEALTH_DUE;
}

bool fcng_health_begin(fcng_health *health, uint64_t now_us)
{
    if (fcng_health_state(health, now_us) != FCNG_HEALTH_DUE) {
        return false;
    }
    health->probed = true;
    return true;
}

bool fcng_health_answered(fcng_health *health)
{
    bool was_down = health->down_until_us != 0;
    *health = (fcng_health){ .fails = 0 };
    return was_down;
}

static void go_down(fcng_health *health, const fcng_pool_options *options,
                    uint64_t now_us)
{
    health->down_until_us
        = now_us + (options->fail_timeout_us << health->doubled);
}

/* Whoever had begun before the server went down tells nothing new. */
bool fcng_health_failed(fcng_health *health, const fcng_pool_options *options,
                        bool probe, uint64_t now_us)
{
    if (options->max_fails == 0) {
        return false;
    }
    if (health->down_until_us != 0) {
        if (probe) {
            health->probed = false;
            health->doubled = FCNG_MIN(health->doubled + 1, DOUBLED_MAX);
            go_down(health, options, now_us);
        }
        return false;
    }
    if (now_us - health->failed_us > options->fail_timeout_us) {
        health->fails = 0;
    }
    health->failed_us = now_us;
    if (++health->fails < options->max_fails) {
        return false;
    }
    go_down(health, options, now_us);
    return true;
}

void fcng_health_dropped(fcng_health *health, bool probe)
{
    if (probe) {
        health->probed = false;
    }
}

bool fcng_health_counts(int err)
{
    return err == FCNG_ERR_CONNECT || err == FCNG_ERR_IO
           || err == FCNG_ERR_CLOSED || err == FCNG_ERR_TIMEOUT
           || err == FCNG_ERR_VERSION || err == FCNG_ERR_RECORD
           || err == FCNG_ERR_END_BODY;
}

/* --- the choice --- */

static int rank(const fcng_candidate *c)
{
    if (c->tried) {
        return 3;
    }
    return c->state == FCNG_HEALTH_DOWN ? 2 : c->full ? 1 : 0;
}

static bool is_better(const fcng_candidate *a, const fcng_candidate *b)
{
    int ranks = rank(a) - rank(b);
    return ranks < 0 || (ranks == 0 && a->busy < b->busy);
}

size_t fcng_health_choose(const fcng_candidate *candidate, size_t n,
                          size_t turn)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        size_t at = (turn + i) % n;
        if (!candidate[at].tried
            && (best == n || is_better(&candidate[at], &candidate[best]))) {
            best = at;
        }
    }
    return best;
}

/* --- an address that takes no connection --- */

void fcng_outage_init(fcng_outage *outage)
{
    *outage = (fcng_outage){ .failures = 0 };
    fcng_rate_init(&outage->rate, OUTAGE_LINES);
}

enum fcng_msg fcng_outage_failed(fcng_outage *outage, uint64_t since_us,
                                 uint64_t now_us, uint64_t *held_back)
{
    bool first = outage->failures++ == 0;
    bool allowed = fcng_rate_allow(&outage->rate, now_us);
    outage->since_us = first ? since_us
                             : FCNG_MIN(outage->since_us, since_us);
    outage->failed_us = now_us;
    *held_back = first ? 0 : outage->rate.dropped;
    if (!first && !allowed) {
        return FCNG_MSG_COUNT;
    }
    outage->rate.dropped = 0;
    return first ? FCNG_MSG_DOWN : FCNG_MSG_CONNECT;
}

uint64_t fcng_outage_over(fcng_outage *outage)
{
    uint64_t failures = outage->failures;
    outage->failures = 0;
    return failures;
}

bool fcng_outage_lasts(const fcng_outage *outage, uint64_t now_us)
{
    return outage->failures > 0
           && now_us - outage->since_us >= FCNG_RESTART_US
           && now_us - outage->failed_us < OUTAGE_KNOWN;
}
