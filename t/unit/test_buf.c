/* SPDX-License-Identifier: BSD-2-Clause */
/* The byte queue under the writer. */
#include "unit.h"

#include "fcng_buf.h"

static void append(fcng_buf *buf, fcng_str s)
{
    assert_int_equal(fcng_buf_reserve(buf, s.len), FCNG_OK);
    memcpy(fcng_buf_extend(buf, s.len), s.data, s.len);
}

static void test_first_in_first_out(void **state)
{
    (void)state;
    fcng_buf buf;
    fcng_buf_init(&buf, NULL);
    unsigned char in = 0, out = 0;
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < round % 17; i++) {
            append(&buf, (fcng_str){ (char *)&in, 1 });
            in++;
        }
        size_t take = fcng_buf_len(&buf) * (size_t)(round % 3) / 2;
        for (size_t i = 0; i < take; i++) {
            assert_int_equal((unsigned char)buf.data[buf.pos + i], out);
            out++;
        }
        fcng_buf_consume(&buf, take);
    }
    fcng_buf_fini(&buf);
}

static void test_room_in_front_is_used_before_more_is_asked_for(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_buf buf;
    fcng_buf_init(&buf, &f.mem);
    char in[997]; /* "0123...", of a length that is prime */
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (char)('0' + i % 10);
    }
    append(&buf, (fcng_str){ in, sizeof(in) });
    for (int i = 0; i < 300; i++) {
        fcng_buf_consume(&buf, 30);
        append(&buf, (fcng_str){ in + 7, 30 });
        assert_int_equal(fcng_buf_len(&buf), sizeof(in));
        for (size_t j = 0; i < 30 && j < sizeof(in) - 30 * (size_t)(i + 1);
             j++) {
            assert_int_equal(buf.data[buf.pos + j], in[j]);
        }
        assert_memory_equal(buf.data + buf.end - 30, in + 7, 30);
    }
    assert_int_equal(f.calls, 1);
    fcng_buf_fini(&buf);
}

static void test_large_memory_is_given_back(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_buf buf;
    fcng_buf_init(&buf, &f.mem);
    append(&buf, BYTES("small"));
    fcng_buf_consume(&buf, 5);
    assert_int_equal(f.live, 1); /* kept for the next request */
    assert_int_equal(fcng_buf_reserve(&buf, 100000), FCNG_OK);
    fcng_buf_extend(&buf, 100000);
    fcng_buf_consume(&buf, 100000);
    assert_int_equal(f.live, 1); /* the next ones may be as large */
    for (int i = 0; i < 20; i++) {
        append(&buf, BYTES("small"));
        fcng_buf_consume(&buf, 5);
    }
    append(&buf, BYTES("small"));
    assert_int_equal(buf.cap, 1024); /* they were not */
    fcng_buf_fini(&buf);
}

static void test_large_memory_that_is_used_is_kept(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_buf buf;
    fcng_buf_init(&buf, &f.mem);
    for (int i = 0; i < 20; i++) {
        for (int len = 60000; len > 0; len /= 20) {
            assert_int_equal(fcng_buf_reserve(&buf, (size_t)len), FCNG_OK);
            fcng_buf_extend(&buf, (size_t)len);
            fcng_buf_consume(&buf, (size_t)len);
        }
    }
    assert_int_equal(f.calls, 1);
    fcng_buf_fini(&buf);
}

static void test_failure_changes_nothing(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 2);
    fcng_buf buf;
    fcng_buf_init(&buf, &f.mem);
    append(&buf, BYTES("abc"));
    assert_int_equal(fcng_buf_reserve(&buf, 100000), FCNG_ERR_NOMEM);
    assert_int_equal(fcng_buf_reserve(&buf, SIZE_MAX), FCNG_ERR_NOMEM);
    assert_str((fcng_str){ buf.data + buf.pos, fcng_buf_len(&buf) },
               BYTES("abc"));
    fcng_buf_fini(&buf);
    assert_int_equal(f.live, 0);
}

static void test_the_end_is_cut_off(void **state)
{
    (void)state;
    fcng_buf buf;
    fcng_buf_init(&buf, NULL);
    append(&buf, BYTES("abcdef"));
    fcng_buf_consume(&buf, 1);
    fcng_buf_truncate(&buf, 3);
    append(&buf, BYTES("x"));
    assert_str((fcng_str){ buf.data + buf.pos, fcng_buf_len(&buf) },
               BYTES("bcdx"));
    fcng_buf_truncate(&buf, 0);
    assert_int_equal(fcng_buf_len(&buf), 0);
    assert_int_equal(buf.pos, 0);
    fcng_buf_fini(&buf);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_first_in_first_out),
    cmocka_unit_test(test_room_in_front_is_used_before_more_is_asked_for),
    cmocka_unit_test(test_large_memory_is_given_back),
    cmocka_unit_test(test_large_memory_that_is_used_is_kept),
    cmocka_unit_test(test_failure_changes_nothing),
    cmocka_unit_test(test_the_end_is_cut_off),
};

UNIT_MAIN(tests)
