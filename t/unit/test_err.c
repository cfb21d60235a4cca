/* SPDX-License-Identifier: BSD-2-Clause */
/* What failures are called, which message they are, and what clients see. */
#include "unit.h"

typedef struct row {
    int err;
    unsigned status;
    enum fcng_msg msg;
} row;

#define REFUSED 599 /* stands for the host's own */

static const row rows[] = {
    { FCNG_ERR_NOMEM, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_INVALID, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_FULL, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_VERSION, 502, FCNG_MSG_PROTOCOL },
    { FCNG_ERR_RECORD, 502, FCNG_MSG_PROTOCOL },
    { FCNG_ERR_END_BODY, 502, FCNG_MSG_PROTOCOL },
    { FCNG_ERR_CLOSED, 502, FCNG_MSG_CLOSED },
    { FCNG_ERR_IO, 502, FCNG_MSG_IO },
    { FCNG_ERR_TIMEOUT, 504, FCNG_MSG_TIMEOUT },
    { FCNG_ERR_CANT_MPX, 502, FCNG_MSG_STATUS },
    { FCNG_ERR_OVERLOADED, 503, FCNG_MSG_STATUS },
    { FCNG_ERR_UNKNOWN_ROLE, 500, FCNG_MSG_UNKNOWN_ROLE },
    { FCNG_ERR_STATUS, 502, FCNG_MSG_STATUS },
    { FCNG_ERR_PARAM_SIZE, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_PARAM_NAME, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_PARAM_NUL, 400, FCNG_MSG_REQUEST },
    { FCNG_ERR_PARAM_ENCODING, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_STDIN_SHORT, 400, FCNG_MSG_REQUEST },
    { FCNG_ERR_STDIN_LONG, 502, FCNG_MSG_REQUEST },
    { FCNG_ERR_PATH, 400, FCNG_MSG_REQUEST },
    { FCNG_ERR_HEAD_MISSING, 502, FCNG_MSG_HEAD },
    { FCNG_ERR_HEAD_SIZE, 502, FCNG_MSG_HEAD },
    { FCNG_ERR_HEAD_SYNTAX, 502, FCNG_MSG_HEAD },
    { FCNG_ERR_HEAD_STATUS, 502, FCNG_MSG_HEAD },
    { FCNG_ERR_HEAD_LENGTH, 502, FCNG_MSG_HEAD },
    { FCNG_ERR_BODY_SHORT, 502, FCNG_MSG_BODY_LENGTH },
    { FCNG_ERR_QUEUE_FULL, 503, FCNG_MSG_QUEUE },
    { FCNG_ERR_QUEUE_TIMEOUT, 503, FCNG_MSG_QUEUE },
    { FCNG_ERR_CONNECT, REFUSED, FCNG_MSG_CONNECT },
    { FCNG_ERR_WORD, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_VALUE, 500, FCNG_MSG_REQUEST },
    { FCNG_ERR_ADDRESS, 500, FCNG_MSG_REQUEST },
};

#define N (sizeof(rows) / sizeof(rows[0]))

static void test_points30_to_34_what_the_client_sees(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(fcng_http_status(rows[i].err, REFUSED),
                         rows[i].status);
    }
    assert_int_equal(fcng_http_status(FCNG_ERR_CONNECT, 503), 503);
    assert_int_equal(fcng_http_status(-999, REFUSED), 502);
}

static void test_each_failure_has_its_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(fcng_msg_of(rows[i].err), rows[i].msg);
    }
}

static void test_each_failure_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < N; i++) {
        const char *said = fcng_strerror(rows[i].err);
        assert_string_not_equal(said, fcng_strerror(-999));
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(said, fcng_strerror(rows[j].err));
        }
    }
    assert_string_equal(fcng_strerror(-999), "an unknown error");
    assert_non_null(fcng_strerror(FCNG_OK));
    assert_non_null(fcng_strerror(FCNG_AGAIN));
}

static void test_tags_are_stable(void **state)
{
    (void)state;
    for (int i = 0; i < FCNG_MSG_COUNT; i++) {
        char want[16];
        snprintf(want, sizeof(want), "FCNG%03d", i + 1);
        assert_string_equal(fcng_msg_tag((enum fcng_msg)i), want);
    }
    assert_string_equal(fcng_msg_tag(FCNG_MSG_CONNECT), "FCNG001");
    assert_string_equal(fcng_msg_tag(FCNG_MSG_STDERR), "FCNG011");
    assert_string_equal(fcng_msg_tag(FCNG_MSG_UP), "FCNG017");
}

static void test_version(void **state)
{
    (void)state;
    assert_string_equal(fcng_version(), FCNG_VERSION);
    char want[32];
    snprintf(want, sizeof(want), "%d.%d.%d", FCNG_VERSION_NUMBER >> 16,
             FCNG_VERSION_NUMBER >> 8 & 255, FCNG_VERSION_NUMBER & 255);
    assert_string_equal(fcng_version(), want);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_points30_to_34_what_the_client_sees),
    cmocka_unit_test(test_each_failure_has_its_message),
    cmocka_unit_test(test_each_failure_has_a_text_of_its_own),
    cmocka_unit_test(test_tags_are_stable),
    cmocka_unit_test(test_version),
};

UNIT_MAIN(tests)
