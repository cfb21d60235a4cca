/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May a request that failed be sent again, and connecting be tried again?
 * Nothing may run twice unless its method says that twice is as good as once
 * (RFC 9110 section 9.2.2) or the application provably did not start it.
 * docs/protocol.md has the table.
 */
#include "fcng_text.h"
#include "fcng_int.h"

#define TRIES_MAX 3
#define ALONE_TRIES_MAX 2 /* of one server, on new connections */

#define MS 1000ull
#define PAUSE_FIRST (5 * MS)
#define PAUSE_MAX (100 * MS)

bool fcng_method_idempotent(fcng_str method)
{
    static const char *const known[] = { "GET", "HEAD", "PUT",
                                         "DELETE", "OPTIONS", "TRACE" };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (fcng_text_is(method, known[i])) {
            return true;
        }
    }
    return false;
}

/* A kept connection that the application had closed meanwhile, or on which it
   sent the rest of an earlier answer: the server itself may be in good health.
   Twice in a row that is no chance. */
static bool was_stale(const fcng_outcome *o)
{
    return o->reused
           && (o->error == FCNG_ERR_IO || o->error == FCNG_ERR_CLOSED
               || o->error == FCNG_ERR_VERSION || o->error == FCNG_ERR_RECORD);
}

/* A failure of this connection or this server, that another one need not
   share.  Everything else would only happen again. */
static bool may_pass(const fcng_outcome *o)
{
    int err = o->error;
    return err == FCNG_ERR_CONNECT || err == FCNG_ERR_IO
           || err == FCNG_ERR_CLOSED || err == FCNG_ERR_TIMEOUT
           || err == FCNG_ERR_OVERLOADED || err == FCNG_ERR_CANT_MPX
           || was_stale(o);
}

/* The only server once more?  When it is down already, or slow, that would
   only take longer; a script that kills it must not kill it again and
   again. */
static enum fcng_replay alone_again(const fcng_outcome *o)
{
    if (o->error == FCNG_ERR_CONNECT || o->error == FCNG_ERR_TIMEOUT
        || o->tries - o->stale >= ALONE_TRIES_MAX) {
        return FCNG_REPLAY_NO;
    }
    return FCNG_REPLAY_LATER;
}

enum fcng_replay fcng_replay_verdict(const fcng_outcome *o)
{
    if (o->delivered || !o->replayable || o->tries >= TRIES_MAX
        || !may_pass(o)) {
        return FCNG_REPLAY_NO;
    }
    /* Both are END_REQUESTs that refuse: the application did not start. */
    if (o->error == FCNG_ERR_CANT_MPX) {
        return o->shared ? FCNG_REPLAY_EXCLUSIVE : FCNG_REPLAY_FRESH;
    }
    /* It has more to do than it can: none is asked twice. */
    if (o->error == FCNG_ERR_OVERLOADED) {
        return o->alone || o->asked_all ? FCNG_REPLAY_NO : FCNG_REPLAY_OTHER;
    }
    if (o->answered || (o->started && !o->idempotent)) {
        return FCNG_REPLAY_NO;
    }
    if (was_stale(o) && o->stale == 0) {
        return FCNG_REPLAY_FRESH;
    }
    return o->alone ? alone_again(o) : FCNG_REPLAY_OTHER;
}

uint64_t fcng_connect_pause(enum fcng_connect_cause cause, bool is_unix,
                            unsigned failures, uint64_t elapsed_us,
                            bool lasts)
{
    bool restarts = cause == FCNG_CONNECT_REFUSED
                    || cause == FCNG_CONNECT_MISSING;
    if (!is_unix || (!restarts && cause != FCNG_CONNECT_BACKLOG)
        || (restarts && (lasts || elapsed_us >= FCNG_RESTART_US))) {
        return 0;
    }
    uint64_t pause = PAUSE_FIRST;
    while (--failures > 0 && pause < PAUSE_MAX) {
        pause *= 2;
    }
    return pause < PAUSE_MAX ? pause : PAUSE_MAX;
}
