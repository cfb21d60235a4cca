/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May a request that failed be sent again?  Nothing may run twice unless its
 * method says that twice is as good as once (RFC 9110 section 9.2.2) or the
 * application provably did not start it.
 */
#include "fcng_text.h"
#include "fcng_int.h"

#define TRIES_MAX 3

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
   sent the rest of an earlier answer: the server itself may be in good
   health. */
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

enum fcng_replay fcng_replay_verdict(const fcng_outcome *o)
{
    if (o->delivered || !o->replayable || o->tries >= TRIES_MAX
        || !may_pass(o)) {
        return FCNG_REPLAY_NO;
    }
    /* Both are END_REQUESTs that refuse: the application did not start. */
    if (o->error == FCNG_ERR_CANT_MPX) {
        return FCNG_REPLAY_FRESH;
    }
    if (o->error == FCNG_ERR_OVERLOADED) {
        return FCNG_REPLAY_OTHER;
    }
    if (o->answered || (o->started && !o->idempotent)) {
        return FCNG_REPLAY_NO;
    }
    return was_stale(o) ? FCNG_REPLAY_FRESH : FCNG_REPLAY_OTHER;
}
