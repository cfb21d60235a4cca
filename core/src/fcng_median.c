/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The median of the last few numbers, computed seldom: one that is a little
 * old is as good.
 */
#include "fcng_median.h"
#include "fcng_int.h"

void fcng_median_add(fcng_median *m, uint32_t number)
{
    m->sample[m->taken % FCNG_SAMPLES] = number;
    m->taken++;
}

static uint32_t median_of(const uint32_t *sample, uint32_t n)
{
    uint32_t sorted[FCNG_SAMPLES];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i;
        for (; j > 0 && sorted[j - 1] > sample[i]; j--) {
            sorted[j] = sorted[j - 1];
        }
        sorted[j] = sample[i];
    }
    return n > 0 ? sorted[n / 2] : 0;
}

void fcng_median_update(fcng_median *m, const uint32_t *sample, uint32_t n)
{
    if (n == 0) {
        sample = m->sample;
        n = FCNG_MIN(m->taken, FCNG_SAMPLES);
    }
    m->median = median_of(sample, n);
    m->at = m->taken;
}
