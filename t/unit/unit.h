/* SPDX-License-Identifier: BSD-2-Clause */
/* What every unit test needs: cmocka in TAP form, bytes, a failing memory. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcng/fcng.h>

/* Bytes of a literal that may hold NUL. */
#define BYTES(literal) ((fcng_str){ literal, sizeof(literal) - 1 })

static inline fcng_str text(const char *s)
{
    return (fcng_str){ s, strlen(s) };
}

static inline void assert_str(fcng_str got, fcng_str want)
{
    assert_int_equal(got.len, want.len);
    if (want.len > 0) {
        assert_memory_equal(got.data, want.data, want.len);
    }
}

/* A growing place for bytes. */
typedef struct bytes {
    char *data;
    size_t len;
} bytes;

static inline void bytes_add(bytes *b, fcng_str more)
{
    if (more.len == 0) {
        return;
    }
    b->data = realloc(b->data, b->len + more.len);
    assert_non_null(b->data);
    memcpy(b->data + b->len, more.data, more.len);
    b->len += more.len;
}

static inline fcng_str bytes_str(const bytes *b)
{
    return (fcng_str){ b->data, b->len };
}

static inline void bytes_free(bytes *b)
{
    free(b->data);
    *b = (bytes){ NULL, 0 };
}

/* Memory whose n-th call from now fails (0: none), and which counts. */
typedef struct failalloc {
    fcng_mem mem;
    unsigned long fail_at;
    unsigned long calls;
    long live;
} failalloc;

static inline bool failalloc_fails(failalloc *f)
{
    f->calls++;
    return f->fail_at > 0 && f->calls == f->fail_at;
}

static inline void *failalloc_alloc(size_t len, void *ctx)
{
    failalloc *f = ctx;
    if (failalloc_fails(f)) {
        return NULL;
    }
    f->live++;
    return malloc(len);
}

static inline void *failalloc_resize(void *ptr, size_t len, void *ctx)
{
    failalloc *f = ctx;
    if (failalloc_fails(f)) {
        return NULL;
    }
    f->live += ptr == NULL;
    return realloc(ptr, len);
}

static inline void failalloc_release(void *ptr, void *ctx)
{
    failalloc *f = ctx;
    f->live -= ptr != NULL;
    free(ptr);
}

static inline void failalloc_init(failalloc *f, unsigned long fail_at)
{
    *f = (failalloc){ .mem = { failalloc_alloc, failalloc_resize,
                               failalloc_release, f },
                      .fail_at = fail_at };
}

#define UNIT_MAIN(tests)                                                      \
    int main(void)                                                            \
    {                                                                         \
        cmocka_set_message_output(CM_OUTPUT_TAP);                             \
        return cmocka_run_group_tests(tests, NULL, NULL);                     \
    }

#endif
