/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of bytes.  It returns to the start of its memory whenever it runs
 * empty, which for a request and its answer is every time.  Memory beyond KEEP
 * bytes is then given back unless a good part of it was used lately: one large
 * request does not burden a connection for life, and many small ones that
 * leave together do not ask for the same memory again and again.
 */
#include "fcng_buf.h"
#include "fcng_int.h"
#include "fcng_mem.h"

#define FIRST 1024
#define KEEP 32768

void fcng_buf_init(fcng_buf *buf, const fcng_mem *mem)
{
    *buf = (fcng_buf){ .mem = mem };
}

void fcng_buf_fini(fcng_buf *buf)
{
    fcng_mem_release(buf->mem, buf->data);
    fcng_buf_init(buf, buf->mem);
}

static void compact(fcng_buf *buf)
{
    if (buf->pos > 0) {
        memmove(buf->data, buf->data + buf->pos, fcng_buf_len(buf));
        buf->end -= buf->pos;
        buf->pos = 0;
    }
}

int fcng_buf_reserve(fcng_buf *buf, size_t len)
{
    if (buf->cap - buf->end >= len) {
        return FCNG_OK;
    }
    size_t used = fcng_buf_len(buf);
    if (len > SIZE_MAX / 2 - used) {
        return FCNG_ERR_NOMEM;
    }
    if (buf->cap - used < len) {
        size_t cap = buf->cap < FIRST ? FIRST : buf->cap;
        while (cap < used + len) {
            cap *= 2;
        }
        char *data = fcng_mem_resize(buf->mem, buf->data, cap);
        if (data == NULL) {
            return FCNG_ERR_NOMEM;
        }
        buf->data = data;
        buf->cap = cap;
    }
    compact(buf);
    return FCNG_OK;
}

char *fcng_buf_extend(fcng_buf *buf, size_t len)
{
    FCNG_ASSERT(buf->cap - buf->end >= len);
    char *place = buf->data + buf->end;
    buf->end += len;
    return place;
}

void fcng_buf_consume(fcng_buf *buf, size_t len)
{
    FCNG_ASSERT(len <= fcng_buf_len(buf));
    buf->pos += len;
    if (buf->pos == buf->end) {
        fcng_buf_clear(buf);
    }
}

void fcng_buf_clear(fcng_buf *buf)
{
    if (buf->end == 0) {
        return;
    }
    buf->used = FCNG_MAX(buf->end, buf->used - buf->used / 8);
    buf->pos = 0;
    buf->end = 0;
    if (buf->cap > KEEP && buf->cap / 4 > buf->used) {
        fcng_buf_fini(buf);
    }
}

void fcng_buf_truncate(fcng_buf *buf, size_t len)
{
    FCNG_ASSERT(len <= fcng_buf_len(buf));
    if (len == 0) {
        fcng_buf_clear(buf);
    } else {
        buf->end = buf->pos + len;
    }
}
