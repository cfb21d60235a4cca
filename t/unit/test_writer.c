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

/* a: 300 copied; b: 5000 borrowed in two slices; a again */
static void queue_three(fcng_writer *w, const char *a, const char *b,
                        fcng_sink *of_a, fcng_sink *of_b)
{
    fcng_str in[2] = { { b, 3000 }, { b + 3000, 2000 } };
    fcng_str small = { a, 300 };
    fcng_writer_init(w, NULL);
    fcng_writer_share(w);
    assert_int_equal(stream(w, &small, 1, of_a), FCNG_OK);
    assert_int_equal(stream(w, in, 2, of_b), FCNG_OK);
    assert_int_equal(stream(w, &small, 1, of_a), FCNG_OK);
}

/* Forgets one of them when |sent| bytes have left, and reads the rest. */
static void forget_at(size_t sent, bool first)
{
    char a[300], *b = malloc(5000);
    assert_non_null(b);
    memset(a, 'a', sizeof(a));
    memset(b, 'b', 5000);
    fcng_sink of_a = { 0 }, of_b = { 0 };
    fcng_writer w;
    queue_three(&w, a, b, &of_a, &of_b);
    fcng_writer_sent(&w, sent);
    uint64_t counted = first ? of_a.payload : of_b.payload;
    fcng_writer_forget(&w, first ? &of_a : &of_b);
    if (!first) {
        free(b);
    }
    size_t rest_a = sent < 308 ? 308 - sent : 0;
    size_t rest_b = sent < 308 ? 5008 : sent < 5316 ? 5316 - sent : 0;
    size_t last_a = sent < 5316 ? 308 : 5624 - sent;
    if (first) {
        rest_a = sent > 0 ? rest_a : 0;
        last_a = sent > 5316 ? last_a : 0;
    } else {
        rest_b = sent > 308 ? rest_b : 0;
    }
    assert_int_equal(fcng_writer_queued(&w), rest_a + rest_b + last_a);
    bytes out = { NULL, 0 };
    fcng_str slices[8];
    for (size_t n = fcng_writer_slices(&w, slices, 8), i = 0; i < n; i++) {
        bytes_add(&out, slices[i]);
    }
    assert_int_equal(out.len, fcng_writer_queued(&w));
    for (size_t i = 0; i < out.len; i++) {
        size_t left = out.len - i; /* payload or header, and whose? */
        bool in_a = i < rest_a || left <= last_a;
        size_t end = i < rest_a ? rest_a : in_a ? out.len : rest_a + rest_b;
        if (end - i <= (in_a ? 300 : 5000)) {
            assert_int_equal(out.data[i], in_a ? 'a' : first ? 'b' : '\0');
        }
    }
    fcng_writer_sent(&w, out.len);
    assert_true(fcng_writer_empty(&w));
    assert_int_equal(w.record_left, 0);
    assert_int_equal(first ? of_a.payload : of_b.payload, counted);
    assert_int_equal(first ? of_b.payload : of_a.payload, first ? 5000 : 600);
    bytes_free(&out);
    if (first) {
        free(b);
    }
    fcng_writer_fini(&w);
}

static void test_what_is_forgotten_leaves_no_half_record(void **state)
{
    (void)state;
    for (size_t sent = 0; sent < 5624; sent++) {
        forget_at(sent, true);
        forget_at(sent, false);
    }
}

static void test_room_is_made(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_writer w;
    fcng_writer_init(&w, &f.mem);
    static char big[4096];
    fcng_str in = { big, sizeof(big) };
    fcng_sink sink = { 0 };
    assert_int_equal(fcng_writer_make_room(&w, FCNG_WRITER_PIECES), FCNG_OK);
    assert_int_equal(f.calls, 0);
    for (int i = 0; i < 40; i++) { /* the ring has turned */
        assert_int_equal(stream(&w, &in, 1, &sink), FCNG_OK);
        fcng_writer_sent(&w, i < 20 ? 8 + sizeof(big) : 0);
    }
    for (int i = 0; i < 500; i++) {
        assert_int_equal(fcng_writer_make_room(&w, 2), FCNG_OK);
        assert_int_equal(stream(&w, &in, 1, &sink), FCNG_OK);
    }
    assert_int_equal(fcng_writer_queued(&w), 520 * (8 + sizeof(big)));
    f.fail_at = f.calls + 1;
    assert_int_equal(fcng_writer_make_room(&w, 5000), FCNG_ERR_NOMEM);
    fcng_writer_sent(&w, fcng_writer_queued(&w));
    assert_int_equal(sink.payload, 540 * sizeof(big));
    assert_true(fcng_writer_empty(&w));
    fcng_writer_fini(&w);
    assert_int_equal(f.live, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_large_payload_is_borrowed_small_is_copied),
    cmocka_unit_test(test_what_left_is_counted_for_its_request),
    cmocka_unit_test(test_room_runs_out_and_comes_back),
    cmocka_unit_test(test_failing_memory_queues_nothing),
    cmocka_unit_test(test_what_is_forgotten_leaves_no_half_record),
    cmocka_unit_test(test_room_is_made),
};

UNIT_MAIN(tests)
