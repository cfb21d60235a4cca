/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of the memory that all processes of a server share, and what one
 * process knows of it.
 *
 * Memory of zeros is an empty segment.  A process owns a slot; a process and
 * an address have a cell.  Everything is written with atomic operations by
 * whoever owns it, so a process may be killed between any two instructions:
 * what it owned is found by its slot and taken back (fcng_share_sweep()).
 * The one lock guards the list of addresses; it names its owner's slot and is
 * taken back in the same way.
 *
 * A connection is counted by a ticket: a place in the address's array that
 * holds its owner's slot.  Counting by numbers could not survive a kill; an
 * array of owners can, and no more tickets than the limit can ever be taken.
 */
#ifndef FCNG_SHARE_H
#define FCNG_SHARE_H

#include <stdatomic.h>

#include "fcng_int.h"
#include "fcng_median.h"
#include "fcng_mpxs.h"

#define SLOT_WORDS (FCNG_SHARE_SLOTS / 64)

/* A ticket that was handed to the process named in it, not yet claimed. */
#define TICKET_GRANTED 0x8000u

typedef struct fcng_cell {
    /* read by others at the end of their requests, changed seldom */
    _Alignas(64) _Atomic uint64_t wait_us; /* its oldest waits since */
    _Atomic uint64_t unproven_us;          /* 0, as above: none does */
    _Atomic uint32_t gauge[FCNG_GAUGES];
    _Atomic uint32_t granted;
    _Alignas(64) _Atomic uint64_t count[FCNG_COUNTERS];
} fcng_cell;

typedef struct fcng_entry {
    _Atomic uint32_t key_len; /* 0: free; set last */
    char key[FCNG_SHARE_KEY];
    /* a bit for each slot */
    _Alignas(64) _Atomic uint64_t waits[SLOT_WORDS];
    _Atomic uint64_t unproven[SLOT_WORDS];
    _Alignas(64) _Atomic uint64_t attached[SLOT_WORDS];
    _Atomic uint32_t top; /* tickets from here on were never taken */
    _Alignas(64) _Atomic uint32_t nsamples;
    _Atomic uint32_t sample[FCNG_SAMPLES]; /* first-byte times, us */
    _Atomic uint64_t peak[2]; /* requests at once, in this second and the one
                                 before: the second << 32 | how many */
    _Atomic uint64_t gone[FCNG_COUNTERS];   /* of processes that ended */
    fcng_mpxs mpxs;
    _Atomic uint16_t ticket[FCNG_SHARE_TICKETS];
    fcng_cell cell[FCNG_SHARE_SLOTS];
} fcng_entry;

typedef struct fcng_segment {
    _Atomic uint32_t lock; /* the owner's slot + 1; 0: free */
    _Atomic uint32_t entries; /* those from here on were never used */
    _Atomic uint32_t pid[FCNG_SHARE_SLOTS];
    fcng_entry entry[FCNG_SHARE_ADDRESSES];
} fcng_segment;

struct fcng_share {
    const fcng_mem *mem;
    fcng_segment *segment;
    fcng_share_host host;
    unsigned slot;
    fcng_seat *seats; /* under the lock */
    _Atomic uint64_t swept_us;
};

/* One process at one address. */
struct fcng_seat {
    fcng_share *share;
    fcng_entry *entry;
    fcng_cell *cell;
    fcng_seat *next;
    _Atomic uint32_t median_us; /* of first bytes, + 1; 0: unknown */
    _Atomic uint64_t spared_us; /* when fcng_seat_is_spare() counted last */
    unsigned users; /* pools that have it */
};

/* Looks for processes that have ended, twice a second at most. */
void fcng_share_sweep(fcng_share *share, uint64_t now_us);

static inline void fcng_bit_set(_Atomic uint64_t *words, unsigned slot)
{
    atomic_fetch_or(&words[slot / 64], UINT64_C(1) << (slot % 64));
}

static inline void fcng_bit_clear(_Atomic uint64_t *words, unsigned slot)
{
    atomic_fetch_and(&words[slot / 64], ~(UINT64_C(1) << (slot % 64)));
}

/* Whether any bit is set: seldom, and asked by each request. */
static inline bool fcng_bit_any(const _Atomic uint64_t *words)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < SLOT_WORDS; i++) {
        all |= atomic_load(&words[i]);
    }
    return all != 0;
}

/* The next slot from |slot| on whose bit is set, or FCNG_SHARE_SLOTS. */
unsigned fcng_bit_next(const _Atomic uint64_t *words, unsigned slot);

#endif
