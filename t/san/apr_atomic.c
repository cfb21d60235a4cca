/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * APR's atomics once more, for ThreadSanitizer: it cannot see those of a
 * compiled libapr, takes what httpd synchronises with them (the pools that its
 * threads hand to each other) for races, and blames whoever used the memory.
 * Preloaded beside the sanitizer's runtime.
 */
#include <stdint.h>

uint32_t apr_atomic_read32(volatile uint32_t *mem);
void apr_atomic_set32(volatile uint32_t *mem, uint32_t val);
uint32_t apr_atomic_add32(volatile uint32_t *mem, uint32_t val);
void apr_atomic_sub32(volatile uint32_t *mem, uint32_t val);
uint32_t apr_atomic_inc32(volatile uint32_t *mem);
int apr_atomic_dec32(volatile uint32_t *mem);
uint32_t apr_atomic_cas32(volatile uint32_t *mem, uint32_t with, uint32_t cmp);
uint32_t apr_atomic_xchg32(volatile uint32_t *mem, uint32_t val);
void *apr_atomic_casptr(void *volatile *mem, void *with, const void *cmp);
void *apr_atomic_xchgptr(void *volatile *mem, void *with);

uint32_t apr_atomic_read32(volatile uint32_t *mem)
{
    return __atomic_load_n(mem, __ATOMIC_SEQ_CST);
}

void apr_atomic_set32(volatile uint32_t *mem, uint32_t val)
{
    __atomic_store_n(mem, val, __ATOMIC_SEQ_CST);
}

uint32_t apr_atomic_add32(volatile uint32_t *mem, uint32_t val)
{
    return __atomic_fetch_add(mem, val, __ATOMIC_SEQ_CST);
}

void apr_atomic_sub32(volatile uint32_t *mem, uint32_t val)
{
    __atomic_fetch_sub(mem, val, __ATOMIC_SEQ_CST);
}

uint32_t apr_atomic_inc32(volatile uint32_t *mem)
{
    return __atomic_fetch_add(mem, 1, __ATOMIC_SEQ_CST);
}

int apr_atomic_dec32(volatile uint32_t *mem)
{
    return __atomic_sub_fetch(mem, 1, __ATOMIC_SEQ_CST) != 0;
}

uint32_t apr_atomic_cas32(volatile uint32_t *mem, uint32_t with, uint32_t cmp)
{
    __atomic_compare_exchange_n(mem, &cmp, with, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return cmp;
}

uint32_t apr_atomic_xchg32(volatile uint32_t *mem, uint32_t val)
{
    return __atomic_exchange_n(mem, val, __ATOMIC_SEQ_CST);
}

void *apr_atomic_casptr(void *volatile *mem, void *with, const void *cmp)
{
    void *old = (void *)cmp;

    __atomic_compare_exchange_n(mem, &old, with, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return old;
}

void *apr_atomic_xchgptr(void *volatile *mem, void *with)
{
    return __atomic_exchange_n(mem, with, __ATOMIC_SEQ_CST);
}
