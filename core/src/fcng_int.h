/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every file of the core may use: assertions, small macros, internal
 * limits.  Data from the wire is never asserted upon.
 */
#ifndef FCNG_INT_H
#define FCNG_INT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <fcng/fcng.h>

/* On in check builds, off with NDEBUG: a caller's contract, own invariants. */
#define FCNG_ASSERT(condition) assert(condition)

#define FCNG_MIN(a, b) ((a) < (b) ? (a) : (b))

/* Smaller payloads are copied beside their record header, so that many
   records leave in one slice; larger ones are borrowed from the host. */
#define FCNG_COPY_BELOW 4096

/* A stream's record while others wait for the same connection: small enough
   for a fair turn, large enough to be cheap. */
#define FCNG_TURN 16384

/* What an application that is being restarted is given time for. */
#define FCNG_RESTART_US 1000000ull

/* So much is framed ahead of what the host has written. */
#define FCNG_QUEUE_AHEAD 65536

#endif
