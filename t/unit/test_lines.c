/* SPDX-License-Identifier: BSD-2-Clause */
/* STDERR in lines, and the rate of what is logged. */
#include "split.h"

static void read_stderr(fcng_str whole, const size_t *end, size_t n, void *arg,
                        bytes *log)
{
    (void)arg;
    fcng_lines lines;
    memset(&lines, 0x55, sizeof(lines));
    fcng_lines_init(&lines);
    size_t at = 0;
    fcng_str line;
    for (size_t i = 0; i < n; i++) {
        fcng_str in = { whole.data + at, end[i] - at };
        while (fcng_lines_next(&lines, &in, &line) == FCNG_OK) {
            bytes_add(log, line);
            bytes_add(log, text("|"));
        }
        assert_int_equal(in.len, 0);
        at = end[i];
    }
    while (fcng_lines_end(&lines, &line) == FCNG_OK) {
        bytes_add(log, text("end="));
        bytes_add(log, line);
    }
}

static void expect(fcng_str in, const char *want)
{
    split_expect(read_stderr, in, NULL, text(want));
}

static void test_point43_whole_lines(void **state)
{
    (void)state;
    expect(text(""), "");
    expect(text("one\n"), "one|");
    expect(text("one\ntwo\n"), "one|two|");
    expect(text("one\r\ntwo\r\n"), "one|two|");
    expect(text("one\rtwo"), "one|end=two");
    expect(text("no end"), "end=no end");
    expect(text("\n\r\n\n"), "");
    expect(text("\n\none\n\n\ntwo"), "one|end=two");
}

static void test_point43_control_bytes_are_escaped(void **state)
{
    (void)state;
    expect(BYTES("a\0b\tc\x1b[2J\x7f\n"), "a\\x00b\\x09c\\x1b[2J\\x7f|");
    expect(text("\xc3\xa4\x80\xff"), "end=\\xc3\\xa4\\x80\\xff");
    expect(text(" !~\\\"%s"), "end= !~\\\"%s");
    expect(BYTES("\0"), "end=\\x00");
}

static void test_point43_long_lines_are_cut(void **state)
{
    (void)state;
    static const struct {
        size_t plain, kept;
        const char *behind, *want;
    } row[] = {
        { FCNG_LINE_MAX - 1, FCNG_LINE_MAX - 1, "\nx", "|end=x" },
        { FCNG_LINE_MAX, FCNG_LINE_MAX, "\nx", "|end=x" },
        { FCNG_LINE_MAX, FCNG_LINE_MAX, "", NULL },
        { FCNG_LINE_MAX + 1, FCNG_LINE_MAX, "\nx", "...|end=x" },
        { FCNG_LINE_MAX + 1, FCNG_LINE_MAX, "", "...|" },
        { 70000, FCNG_LINE_MAX, "dropped\nx\n", "...|x|" },
        /* an escape is never cut in two */
        { FCNG_LINE_MAX - 4, FCNG_LINE_MAX - 4, "\x01\n", "\\x01|" },
        { FCNG_LINE_MAX - 3, FCNG_LINE_MAX - 3, "\x01\n", "...|" },
        { FCNG_LINE_MAX - 1, FCNG_LINE_MAX - 1, "\x01\ny", "...|end=y" },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        bytes in = { NULL, 0 }, want = { NULL, 0 }, got = { NULL, 0 };
        char *many = malloc(row[i].plain);
        assert_non_null(many);
        memset(many, 'p', row[i].plain);
        bytes_add(&in, (fcng_str){ many, row[i].plain });
        bytes_add(&in, text(row[i].behind));
        bytes_add(&want, row[i].want == NULL ? text("end=") : text(""));
        bytes_add(&want, (fcng_str){ many, row[i].kept });
        bytes_add(&want, row[i].want == NULL ? text("") : text(row[i].want));
        read_stderr(bytes_str(&in), &in.len, 1, NULL, &got);
        assert_str(bytes_str(&got), bytes_str(&want));
        bytes_free(&got);
        bytes_free(&want);
        bytes_free(&in);
        free(many);
    }
}

static void test_one_object_serves_many_requests(void **state)
{
    (void)state;
    fcng_lines lines;
    fcng_lines_init(&lines);
    fcng_str line, in = text("first");
    assert_int_equal(fcng_lines_next(&lines, &in, &line), FCNG_AGAIN);
    assert_int_equal(fcng_lines_end(&lines, &line), FCNG_OK);
    in = text("second\n");
    assert_int_equal(fcng_lines_next(&lines, &in, &line), FCNG_OK);
    assert_str(line, text("second"));
}

static void test_rate_lets_a_burst_through_and_then_so_many(void **state)
{
    (void)state;
    fcng_rate rate;
    fcng_rate_init(&rate, 10);
    uint64_t now = 5000000;
    unsigned allowed = 0;
    for (int i = 0; i < 100; i++) {
        allowed += fcng_rate_allow(&rate, now);
    }
    assert_int_equal(allowed, 10);
    assert_int_equal(rate.dropped, 90);
    assert_false(fcng_rate_allow(&rate, now + 99999));
    assert_true(fcng_rate_allow(&rate, now + 100000));
    assert_false(fcng_rate_allow(&rate, now + 100001));
    assert_int_equal(rate.dropped, 92);
    /* an hour of silence saves up one burst, not an hour's */
    now += UINT64_C(3600000000);
    for (allowed = 0; fcng_rate_allow(&rate, now); allowed++) {
    }
    assert_int_equal(allowed, 10);
}

static void test_rate_over_time(void **state)
{
    (void)state;
    static const uint64_t rates[] = { 1, 3, 7, 100, 1000 };
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        fcng_rate rate;
        fcng_rate_init(&rate, rates[i]);
        uint64_t allowed = 0;
        for (uint64_t now = 0; now < 20000000; now += 100) {
            allowed += fcng_rate_allow(&rate, now);
        }
        assert_in_range(allowed, rates[i] * 20, rates[i] * 21 + 1);
    }
}

static void test_rate_without_limit_and_a_clock_that_stands(void **state)
{
    (void)state;
    fcng_rate rate;
    fcng_rate_init(&rate, 0);
    for (int i = 0; i < 1000; i++) {
        assert_true(fcng_rate_allow(&rate, 0));
    }
    fcng_rate_init(&rate, 1);
    assert_true(fcng_rate_allow(&rate, 1000));
    assert_false(fcng_rate_allow(&rate, 10));
    assert_false(fcng_rate_allow(&rate, 1000));
    assert_int_equal(rate.dropped, 2);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point43_whole_lines),
    cmocka_unit_test(test_point43_control_bytes_are_escaped),
    cmocka_unit_test(test_point43_long_lines_are_cut),
    cmocka_unit_test(test_one_object_serves_many_requests),
    cmocka_unit_test(test_rate_lets_a_burst_through_and_then_so_many),
    cmocka_unit_test(test_rate_over_time),
    cmocka_unit_test(test_rate_without_limit_and_a_clock_that_stands),
};

UNIT_MAIN(tests)
