/* SPDX-License-Identifier: BSD-2-Clause */
/* The median of the last few numbers. */
#ifndef FCNG_MEDIAN_H
#define FCNG_MEDIAN_H

#include <fcng/fcng.h>

#define FCNG_SAMPLES 32

typedef struct fcng_median {
    uint32_t sample[FCNG_SAMPLES];
    uint32_t taken; /* ever */
    uint32_t median;
} fcng_median;

void fcng_median_add(fcng_median *m, uint32_t number);

/* Computes the median of |n| numbers of |sample|, at most FCNG_SAMPLES; or,
   n == 0, of those that were added. */
void fcng_median_update(fcng_median *m, const uint32_t *sample, uint32_t n);

#endif
