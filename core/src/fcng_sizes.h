/* SPDX-License-Identifier: BSD-2-Clause */
/* How large the responses to paths usually are. */
#ifndef FCNG_SIZES_H
#define FCNG_SIZES_H

#include <fcng/fcng.h>

#define FCNG_SIZES_PLACES 512

typedef struct fcng_size {
    uint32_t check;   /* of whose path it is */
    uint32_t taken;
    uint64_t average; /* bytes; later ones count more */
} fcng_size;

/* Zeros at first. */
typedef struct fcng_sizes {
    fcng_size path[FCNG_SIZES_PLACES];
    fcng_size folder[FCNG_SIZES_PLACES];
} fcng_sizes;

/* The response to |path| (without a query) had |size| bytes. */
void fcng_sizes_learn(fcng_sizes *sizes, fcng_str path, uint64_t size);

/* The next one to |path| will have so many, or its neighbours had; 0: nobody
   knows. */
uint64_t fcng_sizes_expect(const fcng_sizes *sizes, fcng_str path);

#endif
