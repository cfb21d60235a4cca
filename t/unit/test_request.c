/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests as a host lives through them: ids, one at a time, ends of every
 * kind, and what the pool and the head make of them.  The numbers are those
 * of docs/protocol.md.
 */
#include "unit.h"
#include "wire.h"

static const fcng_conn_options keep = { .keep_conn = true };

static int try_submit(fcng_conn *conn, uint64_t stdin_length,
                      fcng_request **request)
{
    fcng_submit s = { .role = FCNG_RESPONDER,
                      .params = text("\1\1AB"),
                      .stdin_length = stdin_length };
    return fcng_conn_submit(conn, &s, request);
}

static void write_all(fcng_conn *conn)
{
    fcng_str slice[8];
    size_t n;
    while (fcng_conn_output(conn, slice, 8, &n) == FCNG_OK && n > 0) {
        fcng_conn_sent(conn, slice[0].len);
    }
}

static fcng_request *submit(fcng_conn *conn)
{
    fcng_request *request = NULL;
    assert_int_equal(try_submit(conn, 0, &request), FCNG_OK);
    write_all(conn);
    return request;
}

static void feed(fcng_conn *conn, fcng_str in)
{
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
}

static fcng_event expect(fcng_conn *conn, enum fcng_event_type type)
{
    fcng_event ev;
    assert_int_equal(fcng_conn_next_event(conn, SIZE_MAX, &ev), FCNG_OK);
    assert_int_equal(ev.type, type);
    return ev;
}

static void expect_nothing(fcng_conn *conn)
{
    fcng_event ev;
    assert_int_equal(fcng_conn_next_event(conn, SIZE_MAX, &ev), FCNG_AGAIN);
}

/* Small ids, never 0, and none again before its END_REQUEST (Spec 3.3). */
static void test_point13_ids(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    for (int i = 0; i < 5; i++) {
        fcng_request *request = submit(conn);
        assert_int_equal(fcng_request_id(request), i % 2 + 1);
        feed(conn, i % 2 ? BYTES(END("\2", "\0")) : BYTES(END("\1", "\0")));
        expect(conn, FCNG_EV_END);
        fcng_request_release(request);
    }
    fcng_conn_del(conn);
}

static void test_point14_id_of_a_cancelled_request_is_not_used(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn), *next = NULL;
    fcng_request_cancel(request, 0);
    assert_int_equal(try_submit(conn, 0, &next), FCNG_ERR_CLOSED);
    assert_null(next);
    feed(conn, BYTES(END("\1", "\0")));
    expect_nothing(conn);
    assert_int_equal(try_submit(conn, 0, &next), FCNG_ERR_CLOSED);
    assert_false(fcng_conn_reusable(conn));
    fcng_conn_del(conn);
}

static void test_law4_law5_one_request_at_a_time(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn), *next = NULL;
    assert_int_equal(try_submit(conn, 0, &next), FCNG_ERR_FULL);
    assert_false(fcng_conn_wants_write(conn));
    feed(conn, BYTES(H("\6", "\1", "\0\1", "\0") "x" EMPTY("\6", "\1")));
    expect(conn, FCNG_EV_STDOUT);
    expect(conn, FCNG_EV_STDOUT_END);
    expect_nothing(conn);
    /* the end of STDOUT is not the end of the request */
    assert_int_equal(try_submit(conn, 0, &next), FCNG_ERR_FULL);
    assert_int_equal(fcng_conn_active(conn), 1);
    feed(conn, BYTES(END("\1", "\0")));
    expect(conn, FCNG_EV_END);
    assert_int_equal(fcng_conn_active(conn), 0);
    fcng_request_release(request);
    assert_int_equal(try_submit(conn, 0, &next), FCNG_OK);
    fcng_conn_del(conn);
}

/* Spec 3.5: the web server closes only what no request uses. */
static void test_point21_only_idle_connections_are_closed(void **state)
{
    (void)state;
    fcng_pool_options options;
    fcng_pool_options_init(&options);
    fcng_pool *pool = fcng_pool_new(NULL, &options);
    fcng_pool_conn one = { .data = NULL }, *got = NULL;
    fcng_pool_wait wait = { .data = NULL };
    assert_int_equal(fcng_pool_acquire(pool, &wait, false, 0, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, &one, FCNG_POOL_ANY, 0);
    fcng_pool_started(pool, &one, 0);
    assert_null(fcng_pool_close_idle(pool));
    assert_null(fcng_pool_expire(pool, UINT64_C(3600000000)));
    fcng_pool_first_byte(pool, &one, 10);
    assert_true(fcng_pool_release(pool, &one, true, 20));
    assert_ptr_equal(fcng_pool_close_idle(pool), &one);
    fcng_pool_del(pool);
}

/* A write failed, but the answer was there: it is read out first. */
static void test_point24_write_fails_with_the_answer_pending(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = NULL;
    static char body[5000];
    assert_int_equal(try_submit(conn, 10000, &request), FCNG_OK);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, body,
                                        sizeof(body), false),
                     FCNG_OK);
    feed(conn, BYTES(H("\6", "\1", "\0\3", "\0") "413" END("\1", "\0")));
    fcng_conn_fail(conn, FCNG_ERR_IO);
    assert_false(fcng_conn_wants_write(conn));
    fcng_str slice[4];
    size_t n = 7;
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    assert_int_equal(n, 0);
    assert_str(expect(conn, FCNG_EV_STDOUT).bytes, text("413"));
    assert_int_equal(expect(conn, FCNG_EV_END).error, FCNG_OK);
    expect_nothing(conn);
    assert_int_equal(fcng_conn_error(conn), FCNG_ERR_IO);
    assert_false(fcng_conn_reusable(conn));
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static void test_point26_end_of_stdout_but_no_end_request(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn);
    feed(conn, BYTES(H("\6", "\1", "\0\1", "\0") "x" EMPTY("\6", "\1")));
    expect(conn, FCNG_EV_STDOUT);
    expect(conn, FCNG_EV_STDOUT_END); /* the client's response is complete */
    expect_nothing(conn);
    assert_false(fcng_conn_reusable(conn));
    fcng_conn_fail(conn, FCNG_ERR_TIMEOUT);
    assert_int_equal(expect(conn, FCNG_EV_FAILED).error, FCNG_ERR_TIMEOUT);
    expect_nothing(conn);
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static void test_point42_unknown_type_for_get_values(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    write_all(conn);
    feed(conn, BYTES(H("\x0b", "\0", "\0\x08", "\0") "\x09\0\0\0\0\0\0\0"));
    fcng_event ev = expect(conn, FCNG_EV_UNKNOWN_TYPE);
    assert_null(ev.request);
    expect_nothing(conn);
    assert_int_equal(fcng_conn_error(conn), FCNG_OK);
    assert_true(fcng_conn_reusable(conn));
    fcng_conn_del(conn);
}

/* REQUEST_COMPLETE, and yet there is nothing to show. */
static void test_point30_point44_stderr_alone_is_no_answer(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn);
    fcng_lines lines;
    fcng_lines_init(&lines);
    fcng_head head;
    fcng_head_init(&head, 65536);
    feed(conn, BYTES(H("\7", "\1", "\0\x0a", "\6") "Died\nhere\n"
                     "\0\0\0\0\0\0" END("\1", "\0")));
    fcng_str in = expect(conn, FCNG_EV_STDERR).bytes, line;
    assert_int_equal(fcng_lines_next(&lines, &in, &line), FCNG_OK);
    assert_str(line, text("Died"));
    assert_int_equal(fcng_lines_next(&lines, &in, &line), FCNG_OK);
    assert_str(line, text("here"));
    assert_int_equal(expect(conn, FCNG_EV_END).error, FCNG_OK);
    int err = fcng_head_finish(&head, false);
    assert_int_equal(err, FCNG_ERR_HEAD_MISSING);
    assert_int_equal(fcng_http_status(err, 503), 502);
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static void test_law6_unread_bytes_are_not_idle(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn);
    feed(conn, BYTES(H("\3", "\1", "\0\x08", "\2") "\0\0\0\0\0\0\0\0##"));
    expect(conn, FCNG_EV_END);
    assert_int_equal(fcng_conn_unread(conn), 2);
    assert_false(fcng_conn_reusable(conn)); /* padding fed, not consumed */
    expect_nothing(conn);
    assert_true(fcng_conn_reusable(conn));
    fcng_request_release(request);
    request = submit(conn);
    feed(conn, BYTES(H("\3", "\2", "\0\x08", "\2") "\0\0\0\0\0\0\0\0#"));
    expect(conn, FCNG_EV_END);
    expect_nothing(conn);
    assert_int_equal(fcng_conn_unread(conn), 0);
    assert_false(fcng_conn_reusable(conn)); /* one byte has not come yet */
    feed(conn, BYTES("#"));
    expect_nothing(conn);
    assert_true(fcng_conn_reusable(conn));
    fcng_request_release(request);
    request = submit(conn);
    feed(conn, BYTES(END("\1", "\0") "\1"));
    expect(conn, FCNG_EV_END);
    assert_false(fcng_conn_reusable(conn));
    fcng_request_release(request);
    fcng_conn_del(conn);
}

/* It could not tell what we still send from the next request. */
static void test_law6_end_before_all_is_written(void **state)
{
    (void)state;
    for (size_t left = 0; left < 2; left++) {
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        fcng_request *request = NULL;
        assert_int_equal(try_submit(conn, 0, &request), FCNG_OK);
        fcng_str slice[4];
        size_t n;
        assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
        assert_int_equal(n, 1);
        fcng_conn_sent(conn, slice[0].len - left);
        feed(conn, BYTES(END("\1", "\0")));
        expect(conn, FCNG_EV_END);
        assert_true(fcng_conn_reusable(conn) == (left == 0));
        assert_false(fcng_conn_wants_write(conn));
        fcng_request_release(request);
        fcng_conn_del(conn);
    }
}

static void test_what_is_not_the_requests_does_not_start_it(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = NULL;
    fcng_str slice[4];
    size_t n;
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    size_t len = slice[0].len;
    assert_int_equal(try_submit(conn, 0, &request), FCNG_OK);
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    fcng_conn_sent(conn, len);
    assert_false(fcng_request_started(request));
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    fcng_conn_sent(conn, 1);
    assert_true(fcng_request_started(request));
    assert_int_equal(fcng_request_sent(request), 0);
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static void test_answered_from_the_first_header_on(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn);
    assert_true(fcng_request_started(request));
    feed(conn, BYTES(H("\6", "\2", "\0\0", "\0")));
    expect_nothing(conn);
    assert_false(fcng_request_answered(request)); /* another's */
    feed(conn, BYTES("\1\6\0\1\0\5\0"));
    expect_nothing(conn);
    assert_false(fcng_request_answered(request));
    feed(conn, BYTES("\0"));
    expect_nothing(conn);
    assert_true(fcng_request_answered(request));
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point13_ids),
    cmocka_unit_test(test_point14_id_of_a_cancelled_request_is_not_used),
    cmocka_unit_test(test_law4_law5_one_request_at_a_time),
    cmocka_unit_test(test_point21_only_idle_connections_are_closed),
    cmocka_unit_test(test_point24_write_fails_with_the_answer_pending),
    cmocka_unit_test(test_point26_end_of_stdout_but_no_end_request),
    cmocka_unit_test(test_point42_unknown_type_for_get_values),
    cmocka_unit_test(test_point30_point44_stderr_alone_is_no_answer),
    cmocka_unit_test(test_law6_unread_bytes_are_not_idle),
    cmocka_unit_test(test_law6_end_before_all_is_written),
    cmocka_unit_test(test_what_is_not_the_requests_does_not_start_it),
    cmocka_unit_test(test_answered_from_the_first_header_on),
};

UNIT_MAIN(tests)
