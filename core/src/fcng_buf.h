/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of bytes: appended behind, consumed in front, contiguous. */
#ifndef FCNG_BUF_H
#define FCNG_BUF_H

#include <fcng/fcng.h>

typedef struct fcng_buf {
    char *data;
    size_t pos; /* first byte not consumed */
    size_t end; /* behind the last byte */
    size_t cap;
    size_t used; /* so much at once, lately */
    const fcng_mem *mem;
} fcng_buf;

void fcng_buf_init(fcng_buf *buf, const fcng_mem *mem);
void fcng_buf_fini(fcng_buf *buf);

/* Room for |len| more bytes at the end.  Errors: FCNG_ERR_NOMEM. */
int fcng_buf_reserve(fcng_buf *buf, size_t len);

/* Appends |len| bytes for which room was reserved, and returns their place. */
char *fcng_buf_extend(fcng_buf *buf, size_t len);

void fcng_buf_consume(fcng_buf *buf, size_t len);
void fcng_buf_clear(fcng_buf *buf);

/* Takes bytes off the end: |len| are left. */
void fcng_buf_truncate(fcng_buf *buf, size_t len);

static inline size_t fcng_buf_len(const fcng_buf *buf)
{
    return buf->end - buf->pos;
}

#endif
