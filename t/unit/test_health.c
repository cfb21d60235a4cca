/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers that fail, come back, and which of several is asked. */
#include "unit.h"

#define SECOND 1000000ull
#define T0 (1000 * SECOND)

static fcng_pool_options limits(uint32_t max_fails)
{
    return (fcng_pool_options){ .max_fails = max_fails,
                                .fail_timeout_us = 10 * SECOND };
}

static void expect(const fcng_health *h, enum fcng_health_state before,
                   uint64_t until, enum fcng_health_state after)
{
    assert_int_equal(fcng_health_state(h, until - 1), before);
    assert_int_equal(fcng_health_state(h, until), after);
}

static void test_down_for_a_time(void **state)
{
    (void)state;
    fcng_pool_options o = limits(1);
    fcng_health h = { 0 };
    assert_int_equal(fcng_health_state(&h, T0), FCNG_HEALTH_UP);
    assert_false(fcng_health_begin(&h, T0));
    assert_true(fcng_health_failed(&h, &o, false, T0));
    expect(&h, FCNG_HEALTH_DOWN, T0 + 10 * SECOND, FCNG_HEALTH_DUE);
    /* one that was asked before it went down tells nothing new */
    assert_false(fcng_health_failed(&h, &o, false, T0 + 5 * SECOND));
    expect(&h, FCNG_HEALTH_DOWN, T0 + 10 * SECOND, FCNG_HEALTH_DUE);
    assert_false(fcng_health_begin(&h, T0 + 5 * SECOND));
    /* unless it has its answer after all */
    assert_true(fcng_health_answered(&h));
    assert_int_equal(fcng_health_state(&h, T0), FCNG_HEALTH_UP);
    assert_false(fcng_health_answered(&h));
}

static void test_one_request_probes(void **state)
{
    (void)state;
    fcng_pool_options o = limits(1);
    fcng_health h = { 0 };
    uint64_t now = T0;
    fcng_health_failed(&h, &o, false, now);
    now += 10 * SECOND;
    assert_true(fcng_health_begin(&h, now));
    assert_int_equal(fcng_health_state(&h, now + 99 * SECOND),
                     FCNG_HEALTH_DOWN);
    assert_false(fcng_health_begin(&h, now));
    /* another's failure is not the probe's */
    assert_false(fcng_health_failed(&h, &o, false, now));
    assert_int_equal(fcng_health_state(&h, now), FCNG_HEALTH_DOWN);
    fcng_health_dropped(&h, false);
    assert_int_equal(fcng_health_state(&h, now), FCNG_HEALTH_DOWN);
    /* its client left: the next one may try */
    fcng_health_dropped(&h, true);
    assert_int_equal(fcng_health_state(&h, now), FCNG_HEALTH_DUE);
    assert_true(fcng_health_begin(&h, now));
    assert_true(fcng_health_answered(&h));
    assert_int_equal(fcng_health_state(&h, now), FCNG_HEALTH_UP);
}

static void test_each_failed_probe_doubles_the_time(void **state)
{
    (void)state;
    fcng_pool_options o = limits(1);
    static const unsigned factors[] = { 2, 4, 8, 8, 8 };
    fcng_health h = { 0 };
    uint64_t now = T0 + 10 * SECOND;
    fcng_health_failed(&h, &o, false, T0);
    for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
        assert_true(fcng_health_begin(&h, now));
        assert_false(fcng_health_failed(&h, &o, true, now));
        expect(&h, FCNG_HEALTH_DOWN, now + factors[i] * 10 * SECOND,
               FCNG_HEALTH_DUE);
        now += factors[i] * 10 * SECOND;
    }
    /* an answer makes all of that forgotten */
    assert_true(fcng_health_answered(&h));
    assert_true(fcng_health_failed(&h, &o, false, now));
    expect(&h, FCNG_HEALTH_DOWN, now + 10 * SECOND, FCNG_HEALTH_DUE);
}

static void test_so_many_failures_within_the_time(void **state)
{
    (void)state;
    fcng_pool_options o = limits(3);
    fcng_health h = { 0 };
    assert_false(fcng_health_failed(&h, &o, false, T0));
    assert_false(fcng_health_failed(&h, &o, false, T0 + SECOND));
    assert_false(fcng_health_answered(&h));
    assert_false(fcng_health_failed(&h, &o, false, T0 + 2 * SECOND));
    assert_false(fcng_health_failed(&h, &o, false, T0 + 3 * SECOND));
    /* too long ago */
    assert_false(fcng_health_failed(&h, &o, false, T0 + 14 * SECOND));
    assert_false(fcng_health_failed(&h, &o, false, T0 + 15 * SECOND));
    assert_int_equal(fcng_health_state(&h, T0 + 15 * SECOND), FCNG_HEALTH_UP);
    assert_true(fcng_health_failed(&h, &o, false, T0 + 16 * SECOND));
    assert_int_equal(fcng_health_state(&h, T0 + 16 * SECOND),
                     FCNG_HEALTH_DOWN);
}

static void test_max_fails_0_never_goes_down(void **state)
{
    (void)state;
    fcng_pool_options o = limits(0);
    fcng_health h = { 0 };
    for (int i = 0; i < 10; i++) {
        assert_false(fcng_health_failed(&h, &o, false, T0));
    }
    assert_int_equal(fcng_health_state(&h, T0), FCNG_HEALTH_UP);
}

static void test_what_speaks_against_a_server(void **state)
{
    (void)state;
    static const int against[] = { FCNG_ERR_CONNECT, FCNG_ERR_IO,
                                   FCNG_ERR_CLOSED, FCNG_ERR_TIMEOUT,
                                   FCNG_ERR_VERSION, FCNG_ERR_RECORD,
                                   FCNG_ERR_END_BODY };
    static const int not[] = { FCNG_OK, FCNG_ERR_NOMEM, FCNG_ERR_QUEUE_FULL,
                               FCNG_ERR_QUEUE_TIMEOUT, FCNG_ERR_OVERLOADED,
                               FCNG_ERR_UNKNOWN_ROLE, FCNG_ERR_CANT_MPX,
                               FCNG_ERR_HEAD_SYNTAX, FCNG_ERR_HEAD_MISSING,
                               FCNG_ERR_BODY_SHORT, FCNG_ERR_PARAM_SIZE };
    for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++) {
        assert_true(fcng_health_counts(against[i]));
    }
    for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++) {
        assert_false(fcng_health_counts(not[i]));
    }
}

static void test_the_least_busy_and_ties_by_turn(void **state)
{
    (void)state;
    fcng_candidate c[4] = { { .busy = 2 }, { .busy = 1 }, { .busy = 1 },
                            { .busy = 3 } };
    assert_int_equal(fcng_health_choose(c, 4, 0), 1);
    assert_int_equal(fcng_health_choose(c, 4, 2), 2);
    assert_int_equal(fcng_health_choose(c, 4, 3), 1);
    assert_int_equal(fcng_health_choose(c, 4, 7), 1);
    fcng_candidate same[3] = { { .busy = 0 } };
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(fcng_health_choose(same, 3, i), i % 3);
    }
}

static void test_room_before_waiting_before_the_down(void **state)
{
    (void)state;
    fcng_candidate c[3] = {
        { .busy = 0, .state = FCNG_HEALTH_DOWN },
        { .busy = 4, .full = true },
        { .busy = 9 },
    };
    assert_int_equal(fcng_health_choose(c, 3, 0), 2);
    c[2].tried = true;
    assert_int_equal(fcng_health_choose(c, 3, 0), 1);
    c[1].tried = true;
    assert_int_equal(fcng_health_choose(c, 3, 0), 0);
    c[0].tried = true;
    assert_int_equal(fcng_health_choose(c, 3, 0), 3);
    /* one that is due for a probe counts as up */
    c[0].tried = c[2].tried = false;
    c[0].state = FCNG_HEALTH_DUE;
    assert_int_equal(fcng_health_choose(c, 3, 0), 0);
}

static void test_the_last_one_is_never_locked_out(void **state)
{
    (void)state;
    fcng_candidate c[2] = { { .busy = 1, .state = FCNG_HEALTH_DOWN },
                            { .busy = 0, .state = FCNG_HEALTH_DOWN } };
    assert_int_equal(fcng_health_choose(c, 1, 0), 0);
    assert_int_equal(fcng_health_choose(c, 2, 0), 1);
}

static void test_an_outage_is_told_once_and_then_seldom(void **state)
{
    (void)state;
    fcng_outage o;
    uint64_t held = 99;
    fcng_outage_init(&o);
    assert_int_equal(fcng_outage_over(&o), 0);
    assert_int_equal(fcng_outage_failed(&o, T0, T0, &held), FCNG_MSG_DOWN);
    assert_int_equal(held, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fcng_outage_failed(&o, T0, T0, &held),
                         FCNG_MSG_CONNECT);
    }
    for (int i = 0; i < 7; i++) {
        assert_int_equal(fcng_outage_failed(&o, T0, T0, &held),
                         FCNG_MSG_COUNT);
    }
    assert_int_equal(fcng_outage_failed(&o, T0, T0 + SECOND, &held),
                     FCNG_MSG_CONNECT);
    assert_int_equal(held, 7);
    assert_int_equal(fcng_outage_over(&o), 13);
    assert_int_equal(fcng_outage_over(&o), 0);
    /* going down again is told, however soon */
    for (int i = 0; i < 9; i++) {
        assert_int_equal(fcng_outage_failed(&o, T0, T0 + SECOND, &held),
                         FCNG_MSG_DOWN);
        assert_int_equal(fcng_outage_over(&o), 1);
    }
}

static void test_an_outage_that_lasts(void **state)
{
    (void)state;
    fcng_outage o;
    uint64_t held;
    fcng_outage_init(&o);
    assert_false(fcng_outage_lasts(&o, T0));
    fcng_outage_failed(&o, T0, T0 + 10, &held);
    assert_false(fcng_outage_lasts(&o, T0 + SECOND - 1));
    assert_true(fcng_outage_lasts(&o, T0 + SECOND));
    /* somebody has tried for longer */
    fcng_outage_failed(&o, T0 - SECOND, T0 + 20, &held);
    assert_true(fcng_outage_lasts(&o, T0 + 20));
    /* it may have come and gone since */
    assert_true(fcng_outage_lasts(&o, T0 + 19 + 10 * SECOND));
    assert_false(fcng_outage_lasts(&o, T0 + 20 + 10 * SECOND));
    fcng_outage_over(&o);
    assert_false(fcng_outage_lasts(&o, T0 + 20));
    fcng_outage_failed(&o, T0 + 30, T0 + 30, &held);
    assert_false(fcng_outage_lasts(&o, T0 + 30));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_down_for_a_time),
    cmocka_unit_test(test_one_request_probes),
    cmocka_unit_test(test_each_failed_probe_doubles_the_time),
    cmocka_unit_test(test_so_many_failures_within_the_time),
    cmocka_unit_test(test_max_fails_0_never_goes_down),
    cmocka_unit_test(test_what_speaks_against_a_server),
    cmocka_unit_test(test_the_least_busy_and_ties_by_turn),
    cmocka_unit_test(test_room_before_waiting_before_the_down),
    cmocka_unit_test(test_the_last_one_is_never_locked_out),
    cmocka_unit_test(test_an_outage_is_told_once_and_then_seldom),
    cmocka_unit_test(test_an_outage_that_lasts),
};

UNIT_MAIN(tests)
