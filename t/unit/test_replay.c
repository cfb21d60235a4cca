/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be sent again.  The numbers are those of docs/protocol.md. */
#include "unit.h"

static void test_methods(void **state)
{
    (void)state;
    static const char *const yes[] = { "GET", "HEAD", "PUT",
                                       "DELETE", "OPTIONS", "TRACE" };
    static const char *const no[] = { "POST", "PATCH", "CONNECT", "get", "",
                                      "GETS", "GE", "PROPFIND" };
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        assert_true(fcng_method_idempotent(text(yes[i])));
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        assert_false(fcng_method_idempotent(text(no[i])));
    }
}

static const fcng_outcome get = { .error = FCNG_ERR_CLOSED,
                                  .idempotent = true,
                                  .started = true,
                                  .replayable = true,
                                  .tries = 1 };

static void expect(fcng_outcome outcome, enum fcng_replay want)
{
    assert_int_equal(fcng_replay_verdict(&outcome), want);
}

static fcng_outcome with(int err, bool idempotent, bool reused, bool started)
{
    fcng_outcome outcome = get;
    outcome.error = err;
    outcome.idempotent = idempotent;
    outcome.reused = reused;
    outcome.started = started;
    return outcome;
}

static void test_not_started_may_be_repeated_whatever_the_method(void **state)
{
    (void)state;
    static const int errors[] = { FCNG_ERR_CONNECT, FCNG_ERR_TIMEOUT,
                                  FCNG_ERR_IO, FCNG_ERR_CLOSED };
    for (size_t i = 0; i < 4; i++) {
        expect(with(errors[i], false, false, false), FCNG_REPLAY_OTHER);
        expect(with(errors[i], true, false, false), FCNG_REPLAY_OTHER);
    }
}

static void test_point20_a_stale_connection_is_replaced(void **state)
{
    (void)state;
    expect(with(FCNG_ERR_IO, false, true, false), FCNG_REPLAY_FRESH);
    expect(with(FCNG_ERR_CLOSED, true, true, true), FCNG_REPLAY_FRESH);
    expect(with(FCNG_ERR_IO, true, true, true), FCNG_REPLAY_FRESH);
    /* half a record came late: what follows is no record */
    expect(with(FCNG_ERR_VERSION, true, true, true), FCNG_REPLAY_FRESH);
    expect(with(FCNG_ERR_RECORD, true, true, true), FCNG_REPLAY_FRESH);
    expect(with(FCNG_ERR_VERSION, true, false, true), FCNG_REPLAY_NO);
    expect(with(FCNG_ERR_VERSION, false, true, true), FCNG_REPLAY_NO);
    /* it may have run: POST is not sent twice */
    expect(with(FCNG_ERR_CLOSED, false, true, true), FCNG_REPLAY_NO);
    expect(with(FCNG_ERR_IO, false, true, true), FCNG_REPLAY_NO);
}

/* The second one in a row is met by waiting, or elsewhere. */
static void test_point20_an_application_that_ends_needs_time(void **state)
{
    (void)state;
    fcng_outcome o = with(FCNG_ERR_CLOSED, true, true, true);
    o.tries = 2;
    o.stale = 1;
    expect(o, FCNG_REPLAY_OTHER);
    o.alone = true;
    expect(o, FCNG_REPLAY_LATER);
    o.tries = 3;
    expect(o, FCNG_REPLAY_NO);
}

static void test_started_only_when_idempotent(void **state)
{
    (void)state;
    expect(with(FCNG_ERR_CLOSED, true, false, true), FCNG_REPLAY_OTHER);
    expect(with(FCNG_ERR_CLOSED, false, false, true), FCNG_REPLAY_NO);
    expect(with(FCNG_ERR_TIMEOUT, true, false, true), FCNG_REPLAY_OTHER);
    expect(with(FCNG_ERR_TIMEOUT, true, true, true), FCNG_REPLAY_OTHER);
    expect(with(FCNG_ERR_TIMEOUT, false, true, true), FCNG_REPLAY_NO);
}

static void test_answered_or_delivered_is_final(void **state)
{
    (void)state;
    fcng_outcome outcome = get;
    outcome.answered = true;
    expect(outcome, FCNG_REPLAY_NO);
    outcome = get;
    outcome.delivered = true;
    expect(outcome, FCNG_REPLAY_NO);
    outcome = with(FCNG_ERR_OVERLOADED, true, false, true);
    outcome.answered = true;
    outcome.delivered = true;
    expect(outcome, FCNG_REPLAY_NO);
}

static void test_point31_point32_refusals_prove_that_nothing_ran(void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent < 2; idempotent++) {
        fcng_outcome o = with(FCNG_ERR_OVERLOADED, idempotent, true, true);
        o.answered = true;
        expect(o, FCNG_REPLAY_OTHER);
        o.error = FCNG_ERR_CANT_MPX;
        expect(o, FCNG_REPLAY_FRESH);
        o.replayable = false;
        expect(o, FCNG_REPLAY_NO);
    }
}

static void test_law4_who_cannot_share_gets_a_connection_of_its_own(
    void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent < 2; idempotent++) {
        fcng_outcome o = with(FCNG_ERR_CANT_MPX, idempotent, true, true);
        o.answered = true;
        o.shared = true;
        expect(o, FCNG_REPLAY_EXCLUSIVE);
        o.replayable = false;
        expect(o, FCNG_REPLAY_NO);
        o.replayable = true;
        o.tries = 3;
        expect(o, FCNG_REPLAY_NO);
        o.tries = 1;
        o.error = FCNG_ERR_OVERLOADED;
        expect(o, FCNG_REPLAY_OTHER);
        o.error = FCNG_ERR_UNKNOWN_ROLE;
        expect(o, FCNG_REPLAY_NO);
    }
}

/* One connection fails, each of its requests is judged by itself. */
static void test_a_shared_connection_fails(void **state)
{
    (void)state;
    fcng_outcome o = with(FCNG_ERR_CLOSED, true, true, true);
    o.shared = true;
    expect(o, FCNG_REPLAY_FRESH);
    o.reused = false;
    expect(o, FCNG_REPLAY_OTHER);
    o.idempotent = false;
    expect(o, FCNG_REPLAY_NO);
    o.started = false;
    expect(o, FCNG_REPLAY_OTHER);
    o.answered = true;
    expect(o, FCNG_REPLAY_NO);
}

static void test_point33_what_would_only_fail_again(void **state)
{
    (void)state;
    static const int errors[] = {
        FCNG_OK, FCNG_ERR_NOMEM, FCNG_ERR_UNKNOWN_ROLE, FCNG_ERR_STATUS,
        FCNG_ERR_PARAM_SIZE, FCNG_ERR_PARAM_NUL, FCNG_ERR_PATH,
        FCNG_ERR_STDIN_SHORT, FCNG_ERR_HEAD_SYNTAX, FCNG_ERR_BODY_SHORT,
        FCNG_ERR_QUEUE_FULL, FCNG_ERR_QUEUE_TIMEOUT
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect(with(errors[i], true, true, false), FCNG_REPLAY_NO);
        expect(with(errors[i], true, false, true), FCNG_REPLAY_NO);
    }
}

static void test_three_attempts_and_a_body_still_there(void **state)
{
    (void)state;
    fcng_outcome outcome = get;
    outcome.tries = 2;
    expect(outcome, FCNG_REPLAY_OTHER);
    outcome.tries = 3;
    expect(outcome, FCNG_REPLAY_NO);
    outcome = get;
    outcome.replayable = false;
    expect(outcome, FCNG_REPLAY_NO);
    outcome.started = false;
    expect(outcome, FCNG_REPLAY_NO);
}

static void test_the_only_server_is_asked_once_more(void **state)
{
    (void)state;
    fcng_outcome o = get;
    o.alone = true;
    expect(o, FCNG_REPLAY_LATER);
    o.error = FCNG_ERR_IO;
    expect(o, FCNG_REPLAY_LATER);
    o.tries = 2;
    expect(o, FCNG_REPLAY_NO);
    /* the first attempt met a connection that was dead already */
    o.stale = 1;
    expect(o, FCNG_REPLAY_LATER);
    o.tries = 3;
    expect(o, FCNG_REPLAY_NO);
    /* a stale one is replaced at once */
    o = with(FCNG_ERR_CLOSED, true, true, true);
    o.alone = true;
    expect(o, FCNG_REPLAY_FRESH);
    /* nobody there, or too slow: twice would only take longer */
    o = with(FCNG_ERR_TIMEOUT, true, false, true);
    o.alone = true;
    expect(o, FCNG_REPLAY_NO);
    o.error = FCNG_ERR_CONNECT;
    expect(o, FCNG_REPLAY_NO);
}

static void test_point32_no_server_is_overloaded_twice(void **state)
{
    (void)state;
    for (int idempotent = 0; idempotent < 2; idempotent++) {
        fcng_outcome o = with(FCNG_ERR_OVERLOADED, idempotent, false, true);
        o.answered = true;
        expect(o, FCNG_REPLAY_OTHER);
        o.asked_all = true;
        expect(o, FCNG_REPLAY_NO);
        o.asked_all = false;
        o.alone = true;
        expect(o, FCNG_REPLAY_NO);
    }
}

#define SECOND 1000000ull

static void test_connecting_again(void **state)
{
    (void)state;
    static const uint64_t ms[] = { 5, 10, 20, 40, 80, 100, 100, 100 };
    static const enum fcng_connect_cause causes[]
        = { FCNG_CONNECT_BACKLOG, FCNG_CONNECT_REFUSED,
            FCNG_CONNECT_MISSING };
    for (size_t i = 0; i < 3; i++) {
        for (unsigned n = 0; n < 8; n++) {
            assert_int_equal(fcng_connect_pause(causes[i], true, n + 1, 0,
                                                false),
                             ms[n] * 1000);
        }
        assert_int_equal(
            fcng_connect_pause(causes[i], true, 20, SECOND - 1, false),
            100000);
        assert_int_equal(fcng_connect_pause(causes[i], false, 1, 0, false),
                         0);
        assert_int_equal(
            fcng_connect_pause(causes[i], true, 30, SECOND, false),
            causes[i] == FCNG_CONNECT_BACKLOG ? 100000 : 0);
        /* it has been away for longer than a restart takes */
        assert_int_equal(fcng_connect_pause(causes[i], true, 1, 0, true),
                         causes[i] == FCNG_CONNECT_BACKLOG ? 5000 : 0);
    }
    for (int cause = FCNG_CONNECT_OTHER; cause <= FCNG_CONNECT_NO_ROUTE;
         cause++) {
        if (cause != FCNG_CONNECT_BACKLOG && cause != FCNG_CONNECT_REFUSED
            && cause != FCNG_CONNECT_MISSING) {
            assert_int_equal(fcng_connect_pause(cause, true, 1, 0, false),
                             0);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_methods),
    cmocka_unit_test(test_not_started_may_be_repeated_whatever_the_method),
    cmocka_unit_test(test_point20_a_stale_connection_is_replaced),
    cmocka_unit_test(test_point20_an_application_that_ends_needs_time),
    cmocka_unit_test(test_started_only_when_idempotent),
    cmocka_unit_test(test_answered_or_delivered_is_final),
    cmocka_unit_test(test_point31_point32_refusals_prove_that_nothing_ran),
    cmocka_unit_test(test_law4_who_cannot_share_gets_a_connection_of_its_own),
    cmocka_unit_test(test_a_shared_connection_fails),
    cmocka_unit_test(test_point33_what_would_only_fail_again),
    cmocka_unit_test(test_three_attempts_and_a_body_still_there),
    cmocka_unit_test(test_the_only_server_is_asked_once_more),
    cmocka_unit_test(test_point32_no_server_is_overloaded_twice),
    cmocka_unit_test(test_connecting_again),
};

UNIT_MAIN(tests)
