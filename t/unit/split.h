/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same bytes in every way in which a network may deliver them: whole, byte
 * by byte, and cut in two at each place.  A reader must make the same of all.
 */
#ifndef SPLIT_H
#define SPLIT_H

#include "unit.h"

/* Reads |whole| in |n| pieces that end at |end[0]| ... |end[n - 1]| and writes
   down what it made of them. */
typedef void split_reader(fcng_str whole, const size_t *end, size_t n,
                          void *arg, bytes *log);

static inline void split_compare(split_reader *read, fcng_str whole,
                                 const size_t *end, size_t n, void *arg,
                                 const bytes *want)
{
    bytes log = { NULL, 0 };
    read(whole, end, n, arg, &log);
    if (log.len != want->len
        || (want->len > 0 && memcmp(log.data, want->data, log.len) != 0)) {
        print_error("%u pieces, the first of %u bytes:\n%.*s\nwhole:\n%.*s\n",
                    (unsigned)n, (unsigned)end[0], (int)log.len,
                    log.data != NULL ? log.data : "", (int)want->len,
                    want->data != NULL ? want->data : "");
    }
    assert_str(bytes_str(&log), bytes_str(want));
    bytes_free(&log);
}

/* Reads |in| in every way and expects |want| each time. */
static inline void split_expect(split_reader *read, fcng_str in, void *arg,
                                fcng_str want)
{
    bytes wanted = { NULL, 0 };
    bytes_add(&wanted, want);
    size_t *end = malloc((in.len + 2) * sizeof(*end));
    assert_non_null(end);
    end[0] = in.len;
    split_compare(read, in, end, 1, arg, &wanted);
    for (size_t i = 1; i < in.len; i++) {
        end[0] = i;
        end[1] = in.len;
        split_compare(read, in, end, 2, arg, &wanted);
    }
    for (size_t i = 0; i < in.len; i++) {
        end[i] = i + 1;
    }
    if (in.len > 0) {
        split_compare(read, in, end, in.len, arg, &wanted);
    }
    free(end);
    bytes_free(&wanted);
}

#endif
