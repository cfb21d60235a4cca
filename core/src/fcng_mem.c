/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory hook: the host's functions, or malloc, realloc and free. */
#include <stdlib.h>
#include <string.h>

#include "fcng_mem.h"

void *fcng_mem_alloc(const fcng_mem *mem, size_t len)
{
    return mem != NULL ? mem->alloc(len, mem->ctx) : malloc(len);
}

void *fcng_mem_zalloc(const fcng_mem *mem, size_t len)
{
    void *ptr = fcng_mem_alloc(mem, len);
    if (ptr != NULL) {
        memset(ptr, 0, len);
    }
    return ptr;
}

void *fcng_mem_resize(const fcng_mem *mem, void *ptr, size_t len)
{
    return mem != NULL ? mem->resize(ptr, len, mem->ctx) : realloc(ptr, len);
}

void fcng_mem_release(const fcng_mem *mem, void *ptr)
{
    if (mem != NULL) {
        mem->release(ptr, mem->ctx);
    } else {
        free(ptr);
    }
}
