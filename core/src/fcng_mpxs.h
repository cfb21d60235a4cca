/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether an application multiplexes, as far as that is known.  One for each
 * address; several processes may have it in common.
 *
 *   unknown --claim--> asking --answer--> yes | no
 *   yes --not seen for TRUST, lost--> unknown
 *   no  --after RENEW, lost--> unknown
 *   any --false--> no, each time for twice as long, also when it is lost
 *
 * Only "yes" lets requests share connections that were not configured to be
 * shared (law 4: an application that does not know the ids mixes requests up).
 * Spec: 4.1.
 */
#ifndef FCNG_MPXS_H
#define FCNG_MPXS_H

#include <stdatomic.h>

#include <fcng/fcng.h>

/* Zeros: nothing is known. */
typedef struct fcng_mpxs {
    _Atomic uint64_t word;     /* the state, how often it was false, a time */
    _Atomic uint32_t max_reqs; /* FCGI_MAX_REQS; 0: not told */
    _Atomic uint64_t doubted_us; /* since when; 0: it is not doubted */
} fcng_mpxs;

enum fcng_mpxs_state {
    FCNG_MPXS_UNKNOWN,
    FCNG_MPXS_ASKING,
    FCNG_MPXS_NO,
    FCNG_MPXS_YES
};

/* An application that was replaced by another one is not asked by its old
   answer: "yes" is good for so long after a request that shared a
   connection. */
#define FCNG_MPXS_TRUST_US 10000000ull

/* "No" is good for so long, and after the first false "yes". */
#define FCNG_MPXS_RENEW_US 600000000ull

/* An application that could not be asked is left alone for so long. */
#define FCNG_MPXS_PAUSE_US 1000000ull

enum fcng_mpxs_state fcng_mpxs_state(const fcng_mpxs *mpxs, uint64_t now_us);

/* It was found out that its word, or the operator's, is not true. */
bool fcng_mpxs_is_false(const fcng_mpxs *mpxs, uint64_t now_us);

/* True: nothing is known, and the caller is the one who asks. */
bool fcng_mpxs_claim(fcng_mpxs *mpxs, uint64_t now_us);

/* What it answered; NULL: nothing. */
void fcng_mpxs_answer(fcng_mpxs *mpxs, const fcng_values *values,
                      uint64_t now_us);

/* It could not be asked. */
void fcng_mpxs_not_asked(fcng_mpxs *mpxs, uint64_t now_us);

/* A request on a shared connection went well. */
void fcng_mpxs_seen(fcng_mpxs *mpxs, uint64_t now_us);

/* It went away: whoever comes back may be another one. */
void fcng_mpxs_lost(fcng_mpxs *mpxs);

/*
 * A connection, opened at |opened_us|, was closed behind its first answer with
 * others under way.  True: that is enough, it is to be disproved.  All that
 * were open when an application ended tell of the same end, so the second one
 * counts only if it was opened after the first was closed.
 */
bool fcng_mpxs_doubt(fcng_mpxs *mpxs, uint64_t opened_us, uint64_t now_us);

/* A connection gave more than one answer. */
void fcng_mpxs_trust(fcng_mpxs *mpxs);

/* It does not multiplex, whatever was said. */
void fcng_mpxs_disprove(fcng_mpxs *mpxs, uint64_t now_us);

/* Forgets all. */
void fcng_mpxs_clear(fcng_mpxs *mpxs);

#endif
