/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an application multiplexes: what was learnt.  Spec: 4.1. */
#include "fcng_mpxs.h"
#include "fcng_int.h"

#define DOUBLED_MAX 7

/* The word, taken apart.  |at_us|: asking and yes: since, seen last; no and
   unknown: the next time to ask. */
typedef struct known {
    enum fcng_mpxs_state state;
    unsigned falses;
    uint64_t at_us;
} known;

static known unpack(uint64_t word)
{
    return (known){ .state = (enum fcng_mpxs_state)(word & 3),
                    .falses = (unsigned)(word >> 2 & 7),
                    .at_us = word >> 5 };
}

static uint64_t pack(known k)
{
    return k.at_us << 5 | (uint64_t)k.falses << 2 | (uint64_t)k.state;
}

static bool past(uint64_t at_us, uint64_t duration_us, uint64_t now_us)
{
    return now_us >= at_us && now_us - at_us >= duration_us;
}

static enum fcng_mpxs_state state_at(known k, uint64_t now_us)
{
    switch (k.state) {
    case FCNG_MPXS_ASKING: /* whoever asked may have been killed */
        return past(k.at_us, 2 * FCNG_POOL_ASK_US, now_us) ? FCNG_MPXS_UNKNOWN
                                                           : k.state;
    case FCNG_MPXS_YES:
        return past(k.at_us, FCNG_MPXS_TRUST_US, now_us) ? FCNG_MPXS_UNKNOWN
                                                         : k.state;
    case FCNG_MPXS_NO:
        return now_us >= k.at_us ? FCNG_MPXS_UNKNOWN : k.state;
    default:
        return k.state;
    }
}

enum fcng_mpxs_state fcng_mpxs_state(const fcng_mpxs *mpxs, uint64_t now_us)
{
    return state_at(unpack(atomic_load(&mpxs->word)), now_us);
}

bool fcng_mpxs_is_false(const fcng_mpxs *mpxs, uint64_t now_us)
{
    known k = unpack(atomic_load(&mpxs->word));
    return k.falses > 0 && state_at(k, now_us) == FCNG_MPXS_NO;
}

/* Whoever loses a race leaves it to the winner: both saw the same thing. */
static bool change(fcng_mpxs *mpxs, uint64_t before, known after)
{
    return atomic_compare_exchange_strong(&mpxs->word, &before, pack(after));
}

bool fcng_mpxs_claim(fcng_mpxs *mpxs, uint64_t now_us)
{
    uint64_t word = atomic_load(&mpxs->word);
    known k = unpack(word);
    if (state_at(k, now_us) != FCNG_MPXS_UNKNOWN
        || (k.state == FCNG_MPXS_UNKNOWN && now_us < k.at_us)) {
        return false;
    }
    return change(mpxs, word, (known){ FCNG_MPXS_ASKING, k.falses, now_us });
}

/* Changes a claim of the caller's; something worse may have been found out
   meanwhile. */
static void settle(fcng_mpxs *mpxs, enum fcng_mpxs_state state, uint64_t at_us)
{
    uint64_t word = atomic_load(&mpxs->word);
    known k = unpack(word);
    if (k.state == FCNG_MPXS_ASKING) {
        change(mpxs, word, (known){ state, k.falses, at_us });
    }
}

void fcng_mpxs_answer(fcng_mpxs *mpxs, const fcng_values *values,
                      uint64_t now_us)
{
    if (values == NULL || values->mpxs_conns != 1) {
        settle(mpxs, FCNG_MPXS_NO, now_us + FCNG_MPXS_RENEW_US);
        return;
    }
    atomic_store(&mpxs->max_reqs,
                 values->max_reqs > 0 ? (uint32_t)values->max_reqs : 0);
    settle(mpxs, FCNG_MPXS_YES, now_us);
}

void fcng_mpxs_not_asked(fcng_mpxs *mpxs, uint64_t now_us)
{
    settle(mpxs, FCNG_MPXS_UNKNOWN, now_us + FCNG_MPXS_PAUSE_US);
}

void fcng_mpxs_seen(fcng_mpxs *mpxs, uint64_t now_us)
{
    uint64_t word = atomic_load_explicit(&mpxs->word, memory_order_relaxed);
    known k = unpack(word);
    if (k.state == FCNG_MPXS_YES
        && past(k.at_us, FCNG_MPXS_TRUST_US / 10, now_us)
        && !past(k.at_us, FCNG_MPXS_TRUST_US, now_us)) {
        k.at_us = now_us;
        change(mpxs, word, k);
    }
}

void fcng_mpxs_lost(fcng_mpxs *mpxs)
{
    uint64_t word = atomic_load(&mpxs->word);
    known k = unpack(word);
    if (k.state == FCNG_MPXS_YES
        || (k.state == FCNG_MPXS_NO && k.falses == 0)) {
        change(mpxs, word, (known){ FCNG_MPXS_UNKNOWN, k.falses, 0 });
    }
}

bool fcng_mpxs_doubt(fcng_mpxs *mpxs, uint64_t opened_us, uint64_t now_us)
{
    uint64_t since = 0;
    if (unpack(atomic_load(&mpxs->word)).falses > 0) {
        return true;
    }
    return !atomic_compare_exchange_strong(&mpxs->doubted_us, &since,
                                           FCNG_MAX(now_us, 1))
           && opened_us > since;
}

void fcng_mpxs_trust(fcng_mpxs *mpxs)
{
    if (atomic_load_explicit(&mpxs->doubted_us, memory_order_relaxed) != 0) {
        atomic_store(&mpxs->doubted_us, 0);
    }
}

void fcng_mpxs_disprove(fcng_mpxs *mpxs, uint64_t now_us)
{
    uint64_t word = atomic_load(&mpxs->word);
    known k = unpack(word);
    if (k.state == FCNG_MPXS_NO && k.falses > 0 && now_us < k.at_us) {
        return; /* another connection of the same time */
    }
    k.at_us = now_us + (FCNG_MPXS_RENEW_US << k.falses);
    k.falses = FCNG_MIN(k.falses + 1, DOUBLED_MAX);
    k.state = FCNG_MPXS_NO;
    change(mpxs, word, k);
}

void fcng_mpxs_clear(fcng_mpxs *mpxs)
{
    atomic_store(&mpxs->word, 0);
    atomic_store(&mpxs->max_reqs, 0);
    atomic_store(&mpxs->doubted_us, 0);
}

/* --- asking --- */

int fcng_conn_read_values(fcng_conn *conn, fcng_values *values)
{
    fcng_event event;
    int err = FCNG_OK;
    while (fcng_conn_next_event(conn, SIZE_MAX, &event) == FCNG_OK) {
        if (event.type == FCNG_EV_VALUES) {
            err = fcng_values_parse(values, event.bytes);
        } else if (event.type == FCNG_EV_UNKNOWN_TYPE) {
            err = FCNG_ERR_CLOSED; /* nothing will come */
        }
    }
    if (values->mpxs_conns >= 0) {
        return FCNG_OK;
    }
    err = err != FCNG_OK ? err : fcng_conn_error(conn);
    return err != FCNG_OK ? err : FCNG_AGAIN;
}
