/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool's words: what they mean, what is refused and how it is told. */
#include "unit.h"

static char why[512];

/* Member by member: there may be anything between them. */
static void assert_same(const fcng_pool_options *a, const fcng_pool_options *b)
{
    assert_int_equal(a->set, b->set);
    assert_int_equal(a->max_connections, b->max_connections);
    assert_int_equal(a->max_queue, b->max_queue);
    assert_int_equal(a->queue_timeout_us, b->queue_timeout_us);
    assert_int_equal(a->max_idle, b->max_idle);
    assert_int_equal(a->idle_timeout_us, b->idle_timeout_us);
    assert_int_equal(a->max_requests, b->max_requests);
    assert_int_equal(a->max_lifetime_us, b->max_lifetime_us);
    assert_int_equal(a->max_fails, b->max_fails);
    assert_int_equal(a->fail_timeout_us, b->fail_timeout_us);
    assert_int_equal(a->split_large_params, b->split_large_params);
    assert_int_equal(a->multiplex, b->multiplex);
    assert_int_equal(a->max_streams, b->max_streams);
    assert_int_equal(a->stream_buffer, b->stream_buffer);
}

static fcng_pool_options given(const char *word)
{
    fcng_pool_options o;
    fcng_pool_options_init(&o);
    int err = fcng_pool_options_word(&o, text(word), why, sizeof(why));
    if (err != FCNG_OK) {
        print_error("%s: %s\n", word, why);
    }
    assert_int_equal(err, FCNG_OK);
    assert_string_equal(why, "");
    return o;
}

/* Refused with |err|, the sentence says |part|, nothing is changed. */
static void expect_fault(fcng_pool_options *o, fcng_str word, int err,
                         const char *part)
{
    fcng_pool_options before = *o;
    assert_int_equal(fcng_pool_options_word(o, word, why, sizeof(why)), err);
    assert_same(o, &before);
    if (strstr(why, part) == NULL) {
        print_error("\"%s\" lacks \"%s\"\n", why, part);
        fail();
    }
}

static void refuse(const char *word, const char *part)
{
    fcng_pool_options o;
    memset(&o, 0, sizeof(o));
    expect_fault(&o, text(word), FCNG_ERR_VALUE, part);
}

static void test_defaults(void **state)
{
    (void)state;
    fcng_pool_options o;
    memset(&o, 0x55, sizeof(o));
    fcng_pool_options_init(&o);
    assert_int_equal(o.set, 0);
    assert_int_equal(o.max_connections, 0);
    assert_int_equal(o.max_queue, 1024);
    assert_int_equal(o.queue_timeout_us, 5000000);
    assert_int_equal(o.max_idle, UINT32_MAX);
    assert_int_equal(o.idle_timeout_us, 1000000);
    assert_int_equal(o.max_requests, 0);
    assert_int_equal(o.max_lifetime_us, 0);
    assert_int_equal(o.max_fails, 1);
    assert_int_equal(o.fail_timeout_us, 10000000);
    assert_false(o.split_large_params);
    assert_int_equal(o.multiplex, FCNG_MULTIPLEX_OFF);
    assert_int_equal(o.max_streams, 128);
    assert_int_equal(o.stream_buffer, 262144);
}

static void test_counts(void **state)
{
    (void)state;
    assert_int_equal(given("max_connections=32").max_connections, 32);
    assert_int_equal(given("max_connections=0").max_connections, 0);
    assert_int_equal(given("max_connections=unlimited").max_connections, 0);
    assert_int_equal(given("max_connections=4294967295").max_connections,
                     UINT32_MAX);
    assert_int_equal(given("max_queue=0").max_queue, 0);
    assert_int_equal(given("max_queue=unlimited").max_queue, UINT32_MAX);
    assert_int_equal(given("max_idle=0").max_idle, 0);
    assert_int_equal(given("max_idle=unlimited").max_idle, UINT32_MAX);
    assert_int_equal(given("max_requests=500").max_requests, 500);
    assert_int_equal(given("max_requests=unlimited").max_requests, 0);
    assert_int_equal(given("max_fails=0").max_fails, 0);
    refuse("max_connections=4294967296", "max_connections does not take"
                                         " \"4294967296\"; write a number");
    refuse("max_connections=", "write a number, as 32, or unlimited");
    refuse("max_connections=-1", "write a number");
    refuse("max_connections=1x", "write a number");
    refuse("max_connections= 1", "write a number");
    refuse("max_connections=off", "write a number");
    refuse("max_fails=unlimited", "write a number");
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        uint64_t us;
    } row[] = {
        { "queue_timeout=0", 0 },
        { "queue_timeout=5", 5000000 },
        { "queue_timeout=5s", 5000000 },
        { "queue_timeout=500ms", 500000 },
        { "queue_timeout=1m", 60000000 },
        { "queue_timeout=2h", UINT64_C(7200000000) },
        { "queue_timeout=1d", UINT64_C(86400000000) },
        { "queue_timeout=1m30s", 90000000 },
        { "queue_timeout=1d1h1m1s1ms", UINT64_C(90061001000) },
        { "queue_timeout=1s500ms", 1500000 },
        { "queue_timeout=1m30", 90000000 },
        { "queue_timeout=365d", UINT64_C(31536000000000) },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        assert_int_equal(given(row[i].word).queue_timeout_us, row[i].us);
    }
    assert_int_equal(given("idle_timeout=250ms").idle_timeout_us, 250000);
    assert_int_equal(given("fail_timeout=1m").fail_timeout_us, 60000000);
    assert_int_equal(given("max_lifetime=1h").max_lifetime_us,
                     UINT64_C(3600000000));
    assert_int_equal(given("max_lifetime=unlimited").max_lifetime_us, 0);
    static const char *const bad[] = {
        "", "s", "ms", "-1", "1.5s", "5 s", "5S", "5sec", "30s1m", "1s1s",
        "1ms1", "5,5", "366d", "31536001", "99999999999999999999", "1s30",
        "unlimited", "off", "5s ", "1m-30s"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[64];
        snprintf(word, sizeof(word), "queue_timeout=%s", bad[i]);
        refuse(word, "write a time, as 5s or 500ms");
    }
}

static void test_choices(void **state)
{
    (void)state;
    assert_true(given("split_large_params=on").split_large_params);
    assert_false(given("split_large_params=off").split_large_params);
    refuse("split_large_params=1", "write on or off");
    refuse("split_large_params=auto", "write on or off");
    assert_int_equal(given("multiplex=off").multiplex, FCNG_MULTIPLEX_OFF);
    assert_int_equal(given("multiplex=on").multiplex, FCNG_MULTIPLEX_ON);
    assert_int_equal(given("multiplex=auto").multiplex, FCNG_MULTIPLEX_AUTO);
    refuse("multiplex=yes", "write off, on or auto");
    refuse("multiplex=", "write off, on or auto");
}

static void test_streams(void **state)
{
    (void)state;
    assert_int_equal(given("max_streams=1").max_streams, 1);
    assert_int_equal(given("max_streams=65535").max_streams, 65535);
    refuse("max_streams=0", "write a number from 1 to 65535");
    refuse("max_streams=65536", "write a number from 1 to 65535");
    refuse("max_streams=unlimited", "write a number from 1 to 65535");
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(given("stream_buffer=16384").stream_buffer, 16384);
    assert_int_equal(given("stream_buffer=64k").stream_buffer, 65536);
    assert_int_equal(given("stream_buffer=1M").stream_buffer, 1048576);
    assert_int_equal(given("stream_buffer=1g").stream_buffer, 1073741824);
    static const char *const bad[] = { "", "k", "0", "15k", "16383", "2g",
                                       "1073741825", "64kb", "64 k", "-1",
                                       "1t", "unlimited", "64k1",
                                       "18446744073709551616" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[64];
        snprintf(word, sizeof(word), "stream_buffer=%s", bad[i]);
        refuse(word, "write a size from 16k to 1g");
    }
}

static void test_unknown_words_list_the_known(void **state)
{
    (void)state;
    static const char *const bad[] = { "max_conections=5", "max_idle",
                                       "=5", "", "MAX_IDLE=5", "max-idle=5",
                                       "max_idl=5", "max_idles=5" };
    fcng_pool_options o;
    memset(&o, 0, sizeof(o));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect_fault(&o, text(bad[i]), FCNG_ERR_WORD, bad[i]);
        assert_non_null(strstr(why, "known are max_connections, max_queue,"
                                    " queue_timeout, max_idle,"
                                    " idle_timeout, min_idle, max_requests,"
                                    " max_lifetime, max_fails,"
                                    " fail_timeout, split_large_params,"
                                    " multiplex, max_streams,"
                                    " stream_buffer"));
    }
}

static void test_a_word_given_twice(void **state)
{
    (void)state;
    fcng_pool_options o = given("max_idle=5");
    assert_int_equal(o.set, 1u << FCNG_WORD_MAX_IDLE);
    expect_fault(&o, text("max_idle=5"), FCNG_ERR_WORD,
                 "max_idle is given twice");
    assert_int_equal(o.max_idle, 5);
    assert_int_equal(fcng_pool_options_word(&o, text("max_queue=7"), why,
                                            sizeof(why)),
                     FCNG_OK);
    assert_int_equal(o.set, 1u << FCNG_WORD_MAX_IDLE
                                | 1u << FCNG_WORD_MAX_QUEUE);
}

static void test_form_of_a_word(void **state)
{
    (void)state;
    assert_true(fcng_is_word(text("max_idle=5")));
    assert_true(fcng_is_word(text("x=")));
    assert_true(fcng_is_word(text("for=/home")));
    assert_false(fcng_is_word(text("")));
    assert_false(fcng_is_word(text("=5")));
    assert_false(fcng_is_word(text("max_idle")));
    assert_false(fcng_is_word(text("Max=5")));
    assert_false(fcng_is_word(text("a1=5")));
    assert_false(fcng_is_word(text("unix:/run/a=b")));
    assert_false(fcng_is_word(text("localhost:9000")));
}

static void test_merge_word_by_word(void **state)
{
    (void)state;
    static const char *const all[] = {
        "max_connections=11", "max_queue=12", "queue_timeout=13",
        "max_idle=14", "idle_timeout=15", "min_idle=10", "max_requests=16",
        "max_lifetime=17", "max_fails=20", "fail_timeout=21",
        "split_large_params=on", "multiplex=auto", "max_streams=22",
        "stream_buffer=23k"
    };
    fcng_pool_options outer, inner;
    fcng_pool_options_init(&outer);
    for (size_t i = 0; i < FCNG_WORD_COUNT; i++) {
        assert_int_equal(fcng_pool_options_word(&outer, text(all[i]), why,
                                                sizeof(why)),
                         FCNG_OK);
        assert_int_equal(outer.set, (1u << (i + 1)) - 1);
    }
    inner = given("max_idle=99");
    fcng_pool_options_merge(&inner, &outer);
    fcng_pool_options want = outer;
    want.max_idle = 99;
    assert_same(&inner, &want);
    /* what outer was not given stays as it is within */
    fcng_pool_options_init(&outer);
    outer.max_queue = 5;
    inner = given("max_idle=99");
    want = inner;
    fcng_pool_options_merge(&inner, &outer);
    assert_same(&inner, &want);
}

static void test_equal_whatever_was_given(void **state)
{
    (void)state;
    fcng_pool_options a = given("max_idle=99"), b;
    fcng_pool_options_init(&b);
    assert_false(fcng_pool_options_equal(&a, &b));
    b.max_idle = 99;
    assert_true(fcng_pool_options_equal(&a, &b));
    b.split_large_params = true;
    assert_false(fcng_pool_options_equal(&a, &b));
}

static void test_each_word_makes_a_difference(void **state)
{
    (void)state;
    static const char *const word[] = {
        "max_connections=9", "max_queue=9", "queue_timeout=9s", "max_idle=9",
        "idle_timeout=9s", "min_idle=9", "max_requests=9", "max_lifetime=9s",
        "max_fails=9", "fail_timeout=9s", "split_large_params=on",
        "multiplex=on", "max_streams=9", "stream_buffer=99k"
    };
    fcng_pool_options usual;
    fcng_pool_options_init(&usual);
    uint32_t seen = 0;
    for (size_t i = 0; i < FCNG_WORD_COUNT; i++) {
        fcng_pool_options a = given(word[i]), b = a;
        assert_false(fcng_pool_options_equal(&a, &usual));
        assert_false(fcng_pool_options_equal(&usual, &a));
        assert_true(fcng_pool_options_equal(&a, &b));
        seen |= a.set;
    }
    assert_int_equal(seen, (1u << FCNG_WORD_COUNT) - 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_defaults),
    cmocka_unit_test(test_counts),
    cmocka_unit_test(test_times),
    cmocka_unit_test(test_choices),
    cmocka_unit_test(test_streams),
    cmocka_unit_test(test_sizes),
    cmocka_unit_test(test_unknown_words_list_the_known),
    cmocka_unit_test(test_a_word_given_twice),
    cmocka_unit_test(test_form_of_a_word),
    cmocka_unit_test(test_merge_word_by_word),
    cmocka_unit_test(test_equal_whatever_was_given),
    cmocka_unit_test(test_each_word_makes_a_difference),
};

UNIT_MAIN(tests)
