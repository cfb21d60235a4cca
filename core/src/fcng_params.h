/* SPDX-License-Identifier: BSD-2-Clause */
/* Name-value pairs: what the rest of the core needs beside the public calls.
   Spec: 3.4. */
#ifndef FCNG_PARAMS_H
#define FCNG_PARAMS_H

#include <fcng/fcng.h>

#include "fcng_wire.h"

#define FCNG_PARAMS_LONG 0x80000000u

/* Most bytes that the two lengths of a pair take. */
#define FCNG_PARAMS_LENS 8

/* fcng_params_reserve(), which mostly has nothing to do. */
static inline int fcng_params_room(fcng_params *params, size_t more)
{
    return params->cap - params->len >= more
               ? FCNG_OK
               : fcng_params_reserve(params, more);
}

/* Writes one length, which is below FCNG_PARAMS_LONG; returns its end. */
static inline char *fcng_params_put_len(char *out, size_t len)
{
    if (len < 128) {
        *out = (char)len;
        return out + 1;
    }
    fcng_put32((unsigned char *)out, (uint32_t)len | FCNG_PARAMS_LONG);
    return out + 4;
}

/*
 * How many bytes at the front of |pairs| the next PARAMS record takes: as many
 * whole pairs as FCNG_MAX_PAYLOAD allows, for many applications parse each
 * record by itself.  A pair that no record can hold is spread over several if
 * |split|; |*cut| then counts its bytes that are still to come (start with 0,
 * pass on from call to call).
 * Errors: FCNG_ERR_PARAM_SIZE (such a pair without |split|),
 * FCNG_ERR_PARAM_ENCODING.
 */
int fcng_params_record(fcng_str pairs, bool split, size_t *cut, size_t *len);

#endif
