/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fuzz target of the verdict (t/fuzz/authz.c) with answers that grant and
 * that do not, each byte of them replaced, removed, doubled, and cut there.
 */
#define _GNU_SOURCE
#include "../fuzz/authz.c"
#include "unit.h"

static const char *const heads[] = {
    "Status: 200\r\nVariable-A: b\r\n\r\n",
    "Variable-A: b\n\nbody",
    "Status: 403\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 200 OK\r\n\r\n",
    "Location: /x\r\n\r\n",
};

/* As t/fuzz/authz.c wants it: the size of pieces, then records. */
static size_t answer(uint8_t *out, const char *head, size_t piece)
{
    static const char end[] = "\1\6\0\1\0\0\0\0" "\1\3\0\1\0\x08\0\0"
                              "\0\0\0\0\0\0\0\0";
    size_t n = strlen(head), at = 0;
    out[at++] = (uint8_t)piece;
    memcpy(out + at, "\1\6\0\1\0\0\0\0", 8);
    out[at + 5] = (uint8_t)n;
    memcpy(out + at + 8, head, n);
    at += 8 + n;
    memcpy(out + at, end, sizeof(end) - 1);
    return at + sizeof(end) - 1;
}

static void test_what_is_granted(void **state)
{
    (void)state;
    uint8_t in[256];
    for (size_t piece = 0; piece < 40; piece++) {
        for (size_t i = 0; i < 2; i++) {
            size_t len = answer(in, heads[i], piece);
            assert_int_equal(ask(in + 1, len - 1, piece == 0 ? len : piece),
                             FCNG_AUTHZ_GRANTED);
            char out[256];
            size_t n;
            assert_true(answer_of(in + 1, len - 1, out, &n));
            assert_true(head_grants(out, n));
        }
    }
}

static void change(const uint8_t *in, size_t len, size_t at)
{
    uint8_t out[257];
    LLVMFuzzerTestOneInput(in, at);
    for (unsigned value = 0; value < 256; value++) {
        memcpy(out, in, len);
        out[at] = (uint8_t)value;
        LLVMFuzzerTestOneInput(out, len);
    }
    memcpy(out, in, at);
    memcpy(out + at, in + at + 1, len - at - 1);
    LLVMFuzzerTestOneInput(out, len - 1);
    memcpy(out, in, at + 1);
    memcpy(out + at + 1, in + at, len - at);
    LLVMFuzzerTestOneInput(out, len + 1);
}

static void test_every_byte_changed(void **state)
{
    (void)state;
    uint8_t in[256];
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (size_t piece = 0; piece < 8; piece += 7) {
            size_t len = answer(in, heads[i], piece);
            for (size_t at = 1; at < len; at++) {
                change(in, len, at);
            }
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_is_granted),
    cmocka_unit_test(test_every_byte_changed),
};

UNIT_MAIN(tests)
