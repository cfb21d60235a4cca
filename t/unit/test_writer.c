/* SPDX-License-Identifier: BSD-2-Clause */
/* Records -> slices: what is copied, what is borrowed, what is counted. */
#include "unit.h"

#include "fcng_writer.h"

static int stream(fcng_writer *w, const fcng_str *s, size_t n, fcng_sink *sink)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        len += s[i].len;
    }
    return fcng_writer_stream(w, 5, 1, s, n, len, sink);
}

static void test_large_payload_is_borrowed_small_is_copied(void **state)
{
    (void)state;
    static char big[4096], small[4095];
    fcng_writer w;
    fcng_writer_init(&w, NULL);
    fcng_sink sink = { 0 };
    fcng_str slices[8], in[2] = { { small, sizeof(small) },
                                  { big, sizeof(big) } };
    assert_int_equal(stream(&w, &in[0], 1, &sink), FCNG_OK);
    assert_int_equal(fcng_writer_slices(&w, slices, 8), 1);
    assert_int_equal(slices[0].len, 8 + sizeof(small));
    assert_int_equal(stream(&w, &in[1], 1, &sink), FCNG_OK);
    assert_int_equal(fcng_writer_slices(&w, slices, 8), 2);
    assert_ptr_equal(slices[1].data, big);
    assert_int_equal(fcng_writer_slices(&w, slices, 1), 1);
    fcng_writer_fini(&w);
}

static void test_what_left_is_counted_for_its_request(void **state)
{
    (void)state;
    static char big[5000];
    fcng_writer w;
    fcng_writer_init(&w, NULL);
    fcng_sink a = { 0 }, b = { 0 };
    fcng_record control = { .version = 1, .type = 9, .padding_len = 8 };
    fcng_str in = { big, sizeof(big) };
    assert_int_equal(fcng_writer_record(&w, &control, NULL, NULL), FCNG_OK);
    assert_int_equal(stream(&w, &in, 1, &a), FCNG_OK);
    assert_int_equal(stream(&w, &in, 1, &b), FCNG_OK);
    fcng_writer_sent(&w, 16);
    assert_false(a.started);
    fcng_writer_sent(&w, 1);
    assert_true(a.started);
    assert_int_equal(a.payload, 0);
    fcng_writer_sent(&w, 7 + 4999);
    assert_int_equal(a.payload, 4999);
    assert_false(b.started);
    fcng_writer_sent(&w, 1 + 8 + 5000);
    assert_int_equal(a.payload, 5000);
    assert_int_equal(b.payload, 5000);
    assert_true(fcng_writer_empty(&w));
    fcng_writer_fini(&w);
}

static void test_room_runs_out_and_comes_back(void **state)
{
    (void)state;
    static char big[5000];
    fcng_writer w;
    fcng_writer_init(&w, NULL);
    fcng_sink sink = { 0 };
    fcng_str in = { big, sizeof(big) }, slices[FCNG_WRITER_PIECES];
    while (fcng_writer_room(&w) > 1) {
        assert_int_equal(stream(&w, &in, 1, &sink), FCNG_OK);
    }
    assert_int_equal(fcng_writer_room(&w), 0);
    fcng_record control = { .version = 1, .type = 9 };
    assert_int_equal(fcng_writer_record(&w, &control, NULL, NULL),
                     FCNG_ERR_NOMEM);
    assert_int_equal(fcng_writer_slices(&w, slices, FCNG_WRITER_PIECES),
                     FCNG_WRITER_PIECES);
    fcng_writer_sent(&w, 8 + 5000);
    assert_int_equal(fcng_writer_record(&w, &control, NULL, NULL), FCNG_OK);
    fcng_writer_clear(&w);
    assert_true(fcng_writer_empty(&w));
    fcng_writer_fini(&w);
}

static void test_failing_memory_queues_nothing(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 1);
    fcng_writer w;
    fcng_writer_init(&w, &f.mem);
    fcng_str in = BYTES("abc");
    assert_int_equal(stream(&w, &in, 1, NULL), FCNG_ERR_NOMEM);
    assert_true(fcng_writer_empty(&w));
    fcng_writer_fini(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_large_payload_is_borrowed_small_is_copied),
    cmocka_unit_test(test_what_left_is_counted_for_its_request),
    cmocka_unit_test(test_room_runs_out_and_comes_back),
    cmocka_unit_test(test_failing_memory_queues_nothing),
};

UNIT_MAIN(tests)
