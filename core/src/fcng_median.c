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

/* Moves what is below the middle number of [*low, *high] to the left of what
   is above, and narrows the range to the part with place |k|.  (Hoare's
   selection: this stands in the way of requests.) */
static void narrow(uint32_t *a, int *low, int *high, int k)
{
    uint32_t pivot = a[(*low + *high) / 2];
    int i = *low, j = *high;
    while (i <= j) {
        while (a[i] < pivot) {
            i++;
        }
        while (a[j] > pivot) {
            j--;
        }
        if (i <= j) {
            uint32_t swap = a[i];
            a[i++] = a[j];
            a[j--] = swap;
        }
    }
    if (k <= j) {
        *high = j;
    } else if (k >= i) {
        *low = i;
    } else {
        *low = *high = k;
    }
}

static uint32_t median_of(const uint32_t *sample, uint32_t n)
{
    uint32_t a[FCNG_SAMPLES];
    int low = 0, high = (int)n - 1, k = (int)n / 2;
    if (n == 0) {
        return 0;
    }
    memcpy(a, sample, n * sizeof(*a));
    while (low < high) {
        narrow(a, &low, &high, k);
    }
    return a[k];
}

void fcng_median_update(fcng_median *m, const uint32_t *sample, uint32_t n)
{
    if (n == 0) {
        sample = m->sample;
        n = FCNG_MIN(m->taken, FCNG_SAMPLES);
    }
    m->median = median_of(sample, n);
}
