/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory hook, with malloc behind a NULL one. */
#ifndef FCNG_MEM_H
#define FCNG_MEM_H

#include <fcng/fcng.h>

/* Each returns NULL when there is no memory. */
void *fcng_mem_alloc(const fcng_mem *mem, size_t len);
void *fcng_mem_zalloc(const fcng_mem *mem, size_t len);
void *fcng_mem_resize(const fcng_mem *mem, void *ptr, size_t len);

void fcng_mem_release(const fcng_mem *mem, void *ptr);

#endif
