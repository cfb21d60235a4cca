/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether an application multiplexes: what is asked, learnt and forgotten, and
   what each kind of application makes of it. */
#include "unit.h"

#include "fcng_pool.h"

#define MS 1000ull
#define SECOND 1000000ull
#define T0 (1000 * SECOND)

static fcng_pool *new_pool(uint32_t multiplex)
{
    fcng_pool_options o;
    fcng_pool_options_init(&o);
    o.multiplex = multiplex;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    assert_non_null(pool);
    return pool;
}

/* Two requests are under way, each on a connection of its own. */
static void begin_two(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now)
{
    fcng_pool_conn *got;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcng_pool_acquire(pool, NULL, FCNG_POOL_ALONE, now,
                                           &got),
                         FCNG_POOL_OPEN);
        fcng_pool_add(pool, &conn[i], FCNG_POOL_ALONE, now);
    }
}

static void end_two(fcng_pool *pool, fcng_pool_conn *conn)
{
    fcng_pool_remove(pool, &conn[0]);
    fcng_pool_remove(pool, &conn[1]);
    fcng_pool_del(pool);
}

static bool shares(fcng_pool *pool, uint64_t now)
{
    return fcng_pool_max_streams(pool, FCNG_POOL_ANY, now) > 1;
}

/* A GET_VALUES_RESULT, its padding of no account. */
static fcng_str result(const char *pairs, size_t len)
{
    static char record[64];
    memcpy(record, "\1\12\0\0\0\0\0\0", 8);
    record[5] = (char)len;
    memcpy(record + 8, pairs, len);
    return (fcng_str){ record, 8 + len };
}

#define CONNS(n) "\x0e\1FCGI_MAX_CONNS" n
#define REQS2(n) "\x0d\2FCGI_MAX_REQS" n
#define REQS4(n) "\x0d\4FCGI_MAX_REQS" n
#define MPXS(n) "\x0f\1FCGI_MPXS_CONNS" n
#define RECORD(pairs) result(pairs, sizeof(pairs) - 1)

/* Feeds answers to a question on a connection of its own. */
typedef struct question {
    fcng_conn *conn;
    fcng_values values;
} question;

static question ask(void)
{
    fcng_conn_options o = { .keep_conn = true };
    question q = { fcng_conn_new(NULL, &o), { -1, -1, -1 } };
    fcng_str slices[4];
    size_t n;
    assert_int_equal(fcng_conn_get_values(q.conn), FCNG_OK);
    assert_int_equal(fcng_conn_output(q.conn, slices, 4, &n), FCNG_OK);
    fcng_conn_sent(q.conn, slices[0].len);
    assert_int_equal(fcng_conn_read_values(q.conn, &q.values), FCNG_AGAIN);
    return q;
}

static int answer(question *q, fcng_str bytes)
{
    assert_int_equal(fcng_conn_feed(q->conn, bytes.data, bytes.len), FCNG_OK);
    return fcng_conn_read_values(q->conn, &q->values);
}

static void test_law4_nothing_is_shared_before_the_answer(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } };
    assert_false(shares(pool, T0));
    assert_false(fcng_pool_must_ask(pool, T0)); /* for whom? */
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    assert_false(fcng_pool_must_ask(pool, T0)); /* one question is enough */
    assert_false(shares(pool, T0 + MS));
    fcng_pool_told(pool, &(fcng_values){ -1, 10, 1 }, T0 + MS);
    assert_true(shares(pool, T0 + MS));
    assert_int_equal(fcng_pool_max_streams(pool, FCNG_POOL_ANY, T0 + MS), 10);
    assert_int_equal(fcng_pool_max_streams(pool, FCNG_POOL_ALONE, T0 + MS), 1);
    end_two(pool, c);
}

static void test_off_and_on_ask_nothing(void **state)
{
    (void)state;
    for (uint32_t m = FCNG_MULTIPLEX_OFF; m <= FCNG_MULTIPLEX_ON; m++) {
        fcng_pool *pool = new_pool(m);
        fcng_pool_conn c[2] = { { 0 } };
        begin_two(pool, c, T0);
        assert_false(fcng_pool_must_ask(pool, T0));
        assert_int_equal(fcng_pool_max_streams(pool, FCNG_POOL_ANY, T0),
                         m == FCNG_MULTIPLEX_ON ? 128 : 1);
        end_two(pool, c);
    }
}

static void test_without_kept_connections_nothing_is_shared(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_ON);
    fcng_pool_options o = *fcng_pool_get_options(pool);
    o.max_idle = 0;
    fcng_pool_set_options(pool, &o);
    assert_int_equal(fcng_pool_max_streams(pool, FCNG_POOL_ANY, T0), 1);
    o.multiplex = FCNG_MULTIPLEX_AUTO;
    fcng_pool_set_options(pool, &o);
    fcng_pool_conn c[2] = { { 0 } };
    begin_two(pool, c, T0);
    assert_false(fcng_pool_must_ask(pool, T0));
    end_two(pool, c);
}

/* What applications were seen to answer. */
static void test_law8_what_applications_answer(void **state)
{
    (void)state;
    static const struct {
        const char *application;
        fcng_values values;
        bool answers, shares;
        uint32_t streams;
    } row[] = {
        { "libfcgi", { 1, 1, 0 }, true, false, 1 },
        { "FCGI.pm", { 1, 1, 0 }, true, false, 1 },
        { "fcgiwrap", { 1, 1, 0 }, true, false, 1 },
        { "Shibboleth", { 1, 1, 0 }, true, false, 1 },
        { "Net::Async::FastCGI", { 1024, 1024, 1 }, true, true, 128 },
        { "Go", { -1, -1, 1 }, true, true, 128 },
        { "php-fpm", { -1, -1, 0 }, true, false, 1 },
        { "tokio-fastcgi", { 10, 10, 1 }, true, true, 10 },
        { "deno_fcgi", { 128, 128, 0 }, true, false, 1 },
        { "node-fastcgi", { 2000, 2000, 1 }, true, true, 128 },
        { "ruby-fcgi, which dies", { -1, -1, -1 }, false, false, 1 },
        { "uwsgi, which is silent", { -1, -1, -1 }, false, false, 1 },
        { "flup, an empty answer", { -1, -1, -1 }, true, false, 1 },
        { "something else", { -1, -1, 2 }, true, false, 1 },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
        fcng_pool_conn c[2] = { { 0 } };
        begin_two(pool, c, T0);
        assert_true(fcng_pool_must_ask(pool, T0));
        fcng_pool_told(pool, row[i].answers ? &row[i].values : NULL, T0);
        if (shares(pool, T0) != row[i].shares
            || fcng_pool_max_streams(pool, FCNG_POOL_ANY, T0)
                   != row[i].streams) {
            print_error("%s\n", row[i].application);
            fail();
        }
        assert_false(fcng_pool_must_ask(pool, T0 + SECOND));
        end_two(pool, c);
    }
}

static void test_law8_how_answers_come(void **state)
{
    (void)state;
    /* one record, in any order */
    question q = ask();
    assert_int_equal(answer(&q, RECORD(MPXS("1"))), FCNG_OK);
    assert_int_equal(q.values.mpxs_conns, 1);
    fcng_conn_del(q.conn);
    /* a record for each, as fastcgi++ */
    q = ask();
    assert_int_equal(answer(&q, RECORD(CONNS("9"))), FCNG_AGAIN);
    assert_int_equal(answer(&q, RECORD(REQS2("50"))), FCNG_AGAIN);
    assert_int_equal(answer(&q, RECORD(MPXS("1"))), FCNG_OK);
    assert_int_equal(q.values.max_reqs, 50);
    fcng_conn_del(q.conn);
    /* an empty one, as flup: wait */
    q = ask();
    assert_int_equal(answer(&q, RECORD("")), FCNG_AGAIN);
    /* and closed, as older php-fpm after its answer */
    fcng_conn_fail(q.conn, FCNG_ERR_CLOSED);
    assert_int_equal(fcng_conn_read_values(q.conn, &q.values),
                     FCNG_ERR_CLOSED);
    fcng_conn_del(q.conn);
    /* answered and closed */
    q = ask();
    assert_int_equal(answer(&q, RECORD(REQS4("1024"))), FCNG_AGAIN);
    assert_int_equal(fcng_conn_feed(q.conn, RECORD(MPXS("0")).data,
                                    8 + sizeof(MPXS("0")) - 1),
                     FCNG_OK);
    fcng_conn_fail(q.conn, FCNG_ERR_CLOSED);
    assert_int_equal(fcng_conn_read_values(q.conn, &q.values), FCNG_OK);
    assert_int_equal(q.values.mpxs_conns, 0);
    fcng_conn_del(q.conn);
    /* unknown to it */
    q = ask();
    assert_int_equal(answer(&q, BYTES("\1\13\0\0\0\10\0\0"
                                      "\11\0\0\0\0\0\0\0")),
                     FCNG_ERR_CLOSED);
    fcng_conn_del(q.conn);
    /* no FastCGI */
    q = ask();
    assert_true(answer(&q, BYTES("HTTP/1.1 400 Bad Request\r\n")) < 0);
    fcng_conn_del(q.conn);
}

static void test_yes_is_trusted_while_it_is_seen(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } }, shared = { .max_streams = 128 }, *got;
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    fcng_pool_told(pool, &(fcng_values){ -1, -1, 1 }, T0);
    uint64_t now = T0;
    for (int i = 0; i < 5; i++) {
        now += 9 * SECOND;
        assert_true(shares(pool, now));
        enum fcng_pool_verdict v = fcng_pool_acquire(pool, NULL, FCNG_POOL_ANY,
                                                     now, &got);
        if (i == 0) {
            assert_int_equal(v, FCNG_POOL_OPEN);
            fcng_pool_add(pool, &shared, FCNG_POOL_ANY, now);
        } else {
            assert_int_equal(v, FCNG_POOL_USE);
        }
        assert_true(fcng_pool_release(pool, &shared, true, now));
    }
    assert_true(shares(pool, now + 10 * SECOND - 1));
    assert_false(shares(pool, now + 10 * SECOND));
    assert_true(fcng_pool_must_ask(pool, now + 10 * SECOND));
    fcng_pool_remove(pool, &shared);
    end_two(pool, c);
}

static void test_no_is_asked_again_after_ten_minutes(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } };
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    fcng_pool_told(pool, NULL, T0);
    assert_false(fcng_pool_must_ask(pool, T0 + 600 * SECOND - 1));
    assert_true(fcng_pool_must_ask(pool, T0 + 600 * SECOND));
    /* or when it was away */
    fcng_pool_told(pool, NULL, T0 + 600 * SECOND);
    fcng_pool_count(pool, FCNG_COUNT_CONNECT);
    assert_true(fcng_pool_must_ask(pool, T0 + 601 * SECOND));
    end_two(pool, c);
}

static void test_who_asks_may_fail_or_die(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } };
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    fcng_pool_not_asked(pool, T0);
    assert_false(fcng_pool_must_ask(pool, T0 + SECOND - 1));
    assert_true(fcng_pool_must_ask(pool, T0 + SECOND));
    /* no more is heard of it */
    assert_false(fcng_pool_must_ask(pool, T0 + 3 * SECOND - 1));
    assert_true(fcng_pool_must_ask(pool, T0 + 3 * SECOND));
    end_two(pool, c);
}

static void test_lost_and_back_it_is_asked_anew(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } };
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    fcng_pool_told(pool, &(fcng_values){ -1, -1, 1 }, T0);
    fcng_pool_lost(pool);
    assert_false(shares(pool, T0));
    assert_true(fcng_pool_must_ask(pool, T0));
    end_two(pool, c);
}

static void test_a_false_yes_is_not_believed_again_soon(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_AUTO);
    fcng_pool_conn c[2] = { { 0 } };
    fcng_values yes = { 2000, 2000, 1 };
    begin_two(pool, c, T0);
    assert_true(fcng_pool_must_ask(pool, T0));
    fcng_pool_told(pool, &yes, T0);
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0);
    /* a second connection, the same lie */
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0 + MS);
    assert_false(shares(pool, T0));
    /* a restart makes it no better */
    fcng_pool_lost(pool);
    fcng_pool_count(pool, FCNG_COUNT_CONNECT);
    assert_false(fcng_pool_must_ask(pool, T0 + 599 * SECOND));
    assert_true(fcng_pool_must_ask(pool, T0 + 600 * SECOND));
    fcng_pool_told(pool, &yes, T0 + 600 * SECOND);
    assert_true(shares(pool, T0 + 600 * SECOND));
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0 + 600 * SECOND);
    assert_false(fcng_pool_must_ask(pool, T0 + 1799 * SECOND));
    assert_true(fcng_pool_must_ask(pool, T0 + 1800 * SECOND));
    /* an answer that comes late does not count */
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0 + 1800 * SECOND);
    fcng_pool_told(pool, &yes, T0 + 1800 * SECOND);
    assert_false(shares(pool, T0 + 1800 * SECOND));
    end_two(pool, c);
}

static void test_law4_the_operator_may_be_wrong_too(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_ON);
    assert_true(shares(pool, T0));
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0);
    assert_false(shares(pool, T0));
    assert_false(shares(pool, T0 + 599 * SECOND));
    assert_true(shares(pool, T0 + 600 * SECOND));
    fcng_pool_del(pool);
}

/* --- how it is disproved --- */

static fcng_conn *shared_conn(fcng_request **request, size_t n)
{
    fcng_conn_options o = { .keep_conn = true, .max_streams = 8 };
    fcng_conn *conn = fcng_conn_new(NULL, &o);
    fcng_submit submit = { .role = FCNG_RESPONDER, .params = { "", 0 } };
    fcng_str slices[16];
    size_t count, len = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(fcng_conn_submit(conn, &submit, &request[i]),
                         FCNG_OK);
    }
    assert_int_equal(fcng_conn_output(conn, slices, 16, &count), FCNG_OK);
    for (size_t i = 0; i < count; i++) {
        len += slices[i].len;
    }
    fcng_conn_sent(conn, len);
    return conn;
}

static void feed(fcng_conn *conn, fcng_str bytes)
{
    fcng_event ev;
    assert_int_equal(fcng_conn_feed(conn, bytes.data, bytes.len), FCNG_OK);
    while (fcng_conn_next_event(conn, SIZE_MAX, &ev) == FCNG_OK) {
    }
}

static size_t fail_all(fcng_conn *conn, int err)
{
    fcng_event ev;
    size_t n = 0;
    fcng_conn_fail(conn, err);
    while (fcng_conn_next_event(conn, SIZE_MAX, &ev) == FCNG_OK) {
        n += ev.type == FCNG_EV_FAILED;
    }
    return n;
}

#define END(id, status) BYTES("\1\3\0" id "\0\10\0\0\0\0\0\0" status "\0\0\0")

static void test_point31_cant_mpx_conn_disproves(void **state)
{
    (void)state;
    fcng_request *r[2];
    fcng_conn *conn = shared_conn(r, 2);
    assert_false(fcng_conn_disproved(conn));
    feed(conn, END("\2", "\1"));
    assert_true(fcng_conn_disproved(conn));
    assert_true(fcng_conn_retired(conn));
    assert_int_equal(fcng_conn_active(conn), 1);
    fcng_conn_del(conn);
}

static void test_law4_closing_behind_the_first_end_raises_doubt(void **state)
{
    (void)state;
    static const struct {
        size_t begun, ended;
        int err;
        bool doubted;
    } row[] = {
        { 3, 1, FCNG_ERR_CLOSED, true },
        { 3, 1, FCNG_ERR_IO, true },  /* php-fpm resets */
        { 3, 1, FCNG_ERR_TIMEOUT, false },
        { 3, 0, FCNG_ERR_CLOSED, false }, /* it crashed */
        { 3, 2, FCNG_ERR_CLOSED, false },
        { 3, 3, FCNG_ERR_CLOSED, false },
        { 1, 1, FCNG_ERR_CLOSED, false },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        fcng_request *r[3];
        fcng_conn *conn = shared_conn(r, row[i].begun);
        fcng_str end[3] = { END("\1", "\0"), END("\2", "\0"),
                            END("\3", "\0") };
        for (size_t j = 0; j < row[i].ended; j++) {
            feed(conn, end[j]);
        }
        assert_int_equal(fail_all(conn, row[i].err),
                         row[i].begun - row[i].ended);
        assert_int_equal(fcng_conn_doubted(conn), row[i].doubted);
        assert_false(fcng_conn_disproved(conn));
        fcng_conn_del(conn);
    }
}

/* A shared connection of the pool's, opened at |at|, closed with others under
   way when |ended| answers had come.  Is the application found out? */
static bool closed_behind(fcng_pool *pool, size_t ended, uint64_t at,
                          uint64_t now)
{
    static const fcng_str end[] = { END("\1", "\0"), END("\2", "\0") };
    fcng_request *r[3];
    fcng_conn *conn = shared_conn(r, 3);
    fcng_pool_conn link = { .max_streams = 8 }, *use;
    fcng_pool_wait wait = { 0 };
    assert_int_equal(fcng_pool_acquire(pool, &wait, FCNG_POOL_FRESH, at,
                                       &use), FCNG_POOL_OPEN);
    fcng_pool_add(pool, &link, FCNG_POOL_FRESH, at);
    for (size_t i = 0; i < ended; i++) {
        feed(conn, end[i]);
        assert_false(fcng_pool_judge(pool, &link, conn, now));
    }
    assert_int_equal(fail_all(conn, FCNG_ERR_CLOSED), 3 - ended);
    fcng_pool_remove(pool, &link);
    bool found = fcng_pool_judge(pool, &link, conn, now);
    assert_false(fcng_pool_judge(pool, &link, conn, now)); /* told once */
    fcng_conn_del(conn);
    return found;
}

static void test_law4_twice_in_a_row_disproves(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_ON);
    assert_false(closed_behind(pool, 1, T0, T0 + MS));
    assert_true(shares(pool, T0 + MS));
    assert_true(closed_behind(pool, 1, T0 + 2 * MS, T0 + 3 * MS));
    assert_false(shares(pool, T0 + 3 * MS));
    /* known to lie: once is enough the next time */
    assert_true(shares(pool, T0 + 601 * SECOND));
    assert_true(closed_behind(pool, 1, T0 + 601 * SECOND,
                              T0 + 602 * SECOND));
    assert_false(shares(pool, T0 + 602 * SECOND));
    fcng_pool_del(pool);
}

/* It ended just then, with all its connections. */
static void test_one_end_of_an_application_disproves_nothing(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_ON);
    assert_false(closed_behind(pool, 1, T0, T0 + 5 * MS));
    assert_false(closed_behind(pool, 1, T0 + MS, T0 + 6 * MS));
    assert_false(closed_behind(pool, 1, T0 + 5 * MS, T0 + 7 * MS));
    assert_true(shares(pool, T0 + 7 * MS));
    fcng_pool_del(pool);
}

static void test_two_answers_on_one_connection_end_the_doubt(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(FCNG_MULTIPLEX_ON);
    assert_false(closed_behind(pool, 1, T0, T0 + MS));
    assert_false(closed_behind(pool, 0, T0 + 2 * MS, T0 + 3 * MS));
    assert_false(closed_behind(pool, 2, T0 + 4 * MS, T0 + 5 * MS));
    assert_false(closed_behind(pool, 1, T0 + 6 * MS, T0 + 7 * MS));
    assert_true(shares(pool, T0 + 7 * MS));
    /* a crash says nothing either way */
    assert_false(closed_behind(pool, 0, T0 + 8 * MS, T0 + 9 * MS));
    assert_true(closed_behind(pool, 1, T0 + 10 * MS, T0 + 11 * MS));
    fcng_pool_del(pool);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_law4_nothing_is_shared_before_the_answer),
    cmocka_unit_test(test_off_and_on_ask_nothing),
    cmocka_unit_test(test_without_kept_connections_nothing_is_shared),
    cmocka_unit_test(test_law8_what_applications_answer),
    cmocka_unit_test(test_law8_how_answers_come),
    cmocka_unit_test(test_yes_is_trusted_while_it_is_seen),
    cmocka_unit_test(test_no_is_asked_again_after_ten_minutes),
    cmocka_unit_test(test_who_asks_may_fail_or_die),
    cmocka_unit_test(test_lost_and_back_it_is_asked_anew),
    cmocka_unit_test(test_a_false_yes_is_not_believed_again_soon),
    cmocka_unit_test(test_law4_the_operator_may_be_wrong_too),
    cmocka_unit_test(test_point31_cant_mpx_conn_disproves),
    cmocka_unit_test(test_law4_closing_behind_the_first_end_raises_doubt),
    cmocka_unit_test(test_law4_twice_in_a_row_disproves),
    cmocka_unit_test(test_one_end_of_an_application_disproves_nothing),
    cmocka_unit_test(test_two_answers_on_one_connection_end_the_doubt),
};

UNIT_MAIN(tests)
