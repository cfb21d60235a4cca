/* SPDX-License-Identifier: BSD-2-Clause */
/* Big-endian numbers in bytes, as everything on the wire is (Spec 3.3). */
#ifndef FCNG_WIRE_H
#define FCNG_WIRE_H

#include <stdint.h>

static inline uint16_t fcng_get16(const unsigned char *in)
{
    return (uint16_t)(in[0] << 8 | in[1]);
}

static inline uint32_t fcng_get32(const unsigned char *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16
           | (uint32_t)in[2] << 8 | in[3];
}

static inline void fcng_put16(unsigned char *out, uint16_t n)
{
    out[0] = (unsigned char)(n >> 8);
    out[1] = (unsigned char)n;
}

static inline void fcng_put32(unsigned char *out, uint32_t n)
{
    out[0] = (unsigned char)(n >> 24);
    out[1] = (unsigned char)(n >> 16);
    out[2] = (unsigned char)(n >> 8);
    out[3] = (unsigned char)n;
}

#endif
