/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool: hours of its life in a millisecond, for time is an argument. */
#include "unit.h"

#define MS 1000ull
#define SECOND 1000000ull
#define T0 (1000 * SECOND)

static fcng_pool_options limits(void)
{
    return (fcng_pool_options){ .max_queue = 1024,
                                .queue_timeout_us = 5 * SECOND,
                                .max_idle = UINT32_MAX,
                                .idle_timeout_us = SECOND };
}

/* Opens connection |conn| for a request that starts at once. */
static void open_conn(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now)
{
    fcng_pool_conn *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, now, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, conn, FCNG_POOL_ANY, now);
    fcng_pool_started(pool, conn, now);
}

static void expect_counts(fcng_pool *pool, uint32_t connections, uint32_t idle,
                          uint32_t waiting)
{
    fcng_pool_counts c;
    fcng_pool_get_counts(pool, &c);
    assert_int_equal(c.connections, connections);
    assert_int_equal(c.idle, idle);
    assert_int_equal(c.waiting, waiting);
}

static void close_all(fcng_pool *pool)
{
    while (fcng_pool_close_idle(pool) != NULL) {
    }
    expect_counts(pool, 0, 0, 0);
    fcng_pool_del(pool);
}

static void test_a_kept_connection_is_used_again(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, *got;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0 + 1);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 2));
    expect_counts(pool, 1, 1, 0);
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, T0 + 3, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(got, &a);
    assert_false(fcng_pool_release(pool, &a, false, T0 + 4));
    expect_counts(pool, 0, 0, 0);
    fcng_pool_counts c;
    fcng_pool_get_counts(pool, &c);
    assert_int_equal(c.opened, 1);
    assert_int_equal(c.reused, 1);
    assert_int_equal(c.requests, 2);
    fcng_pool_del(pool);
}

static void test_used_last_is_used_next(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn c[3] = { { 0 } }, *got;
    for (int i = 0; i < 3; i++) {
        open_conn(pool, &c[i], T0);
        fcng_pool_first_byte(pool, &c[i], T0);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(
            fcng_pool_release(pool, &c[i], true, T0 + (uint64_t)i * 10));
    }
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, T0 + 50, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(got, &c[2]);
    assert_true(fcng_pool_release(pool, got, true, T0 + 60));
    /* the surplus ages out, the one idle longest first */
    assert_int_equal(fcng_pool_deadline(pool), T0 + SECOND);
    assert_null(fcng_pool_expire(pool, T0 + SECOND - 1));
    assert_ptr_equal(fcng_pool_expire(pool, T0 + SECOND), &c[0]);
    assert_null(fcng_pool_expire(pool, T0 + SECOND));
    assert_int_equal(fcng_pool_deadline(pool), T0 + SECOND + 10);
    close_all(pool);
}

static void test_a_replay_gets_a_new_connection(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 2;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_acquire(pool, NULL, true, T0, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, &b, FCNG_POOL_ANY, T0);
    /* at the limit an idle one is better than none */
    assert_int_equal(fcng_pool_acquire(pool, NULL, true, T0, &got),
                     FCNG_POOL_USE);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_a_place_that_is_given_up_is_free(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 1;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn *got;
    fcng_pool_wait w = { 0 }, *next;
    assert_true(fcng_pool_can_start(pool));
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, T0, &got),
                     FCNG_POOL_OPEN);
    assert_false(fcng_pool_can_start(pool));
    assert_int_equal(fcng_pool_acquire(pool, &w, false, T0, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_WAIT);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(next, &w);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    assert_true(fcng_pool_can_start(pool));
    close_all(pool);
}

static void test_first_come_first_served(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 2;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn c[2] = { { 0 } }, *got;
    fcng_pool_wait w[50] = { { 0 } }, *next;
    for (int i = 0; i < 2; i++) {
        open_conn(pool, &c[i], T0);
        fcng_pool_first_byte(pool, &c[i], T0 + 1);
    }
    for (int i = 0; i < 50; i++) {
        assert_int_equal(
            fcng_pool_acquire(pool, &w[i], false, T0 + (uint64_t)i, &got),
            FCNG_POOL_WAIT);
    }
    expect_counts(pool, 2, 0, 50);
    for (int i = 0; i < 50; i++) {
        uint64_t now = T0 + 1000 + (uint64_t)i;
        bool kept = fcng_pool_release(pool, &c[i % 2], i % 3 != 0, now);
        enum fcng_pool_verdict v = fcng_pool_next(pool, now, &next, &got);
        assert_ptr_equal(next, &w[i]);
        assert_int_equal(v, kept ? FCNG_POOL_USE : FCNG_POOL_OPEN);
        if (!kept) {
            fcng_pool_add(pool, &c[i % 2], FCNG_POOL_ANY, now);
            fcng_pool_started(pool, &c[i % 2], now);
            fcng_pool_first_byte(pool, &c[i % 2], now);
        }
        expect_counts(pool, 2, 0, (uint32_t)(49 - i));
    }
    fcng_pool_remove(pool, &c[0]);
    fcng_pool_remove(pool, &c[1]);
    close_all(pool);
}

static void test_nobody_overtakes_the_queue(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 1;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait first = { 0 }, second = { 0 }, *next;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0);
    assert_int_equal(fcng_pool_acquire(pool, &first, false, T0, &got),
                     FCNG_POOL_WAIT);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 1));
    /* an idle connection is there, but somebody waits for it */
    assert_int_equal(fcng_pool_acquire(pool, &second, false, T0 + 1, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(pool, T0 + 1, &next, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(next, &first);
    fcng_pool_cancel(pool, &second); /* its client leaves */
    fcng_pool_cancel(pool, &second); /* twice does no harm */
    expect_counts(pool, 1, 0, 0);
    fcng_pool_remove(pool, &a);
    close_all(pool);
}

static void test_queue_full_and_timeout(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 1;
    o.max_queue = 2;
    o.queue_timeout_us = 100 * MS;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait w[3] = { { 0 } }, *next;
    open_conn(pool, &a, T0);
    assert_int_equal(fcng_pool_acquire(pool, &w[0], false, T0, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_acquire(pool, &w[1], false, T0 + 10, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_acquire(pool, &w[2], false, T0 + 20, &got),
                     FCNG_POOL_REFUSE);
    assert_int_equal(fcng_pool_deadline(pool), T0 + 100 * MS);
    assert_int_equal(fcng_pool_next(pool, T0 + 100 * MS - 1, &next, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(pool, T0 + 100 * MS, &next, &got),
                     FCNG_POOL_REFUSE);
    assert_ptr_equal(next, &w[0]);
    assert_int_equal(fcng_pool_next(pool, T0 + 100 * MS, &next, &got),
                     FCNG_POOL_WAIT);
    fcng_pool_cancel(pool, &w[1]);
    fcng_pool_counts c;
    fcng_pool_get_counts(pool, &c);
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.timed_out, 1);
    o.max_queue = 0;
    fcng_pool_set_options(pool, &o);
    assert_int_equal(fcng_pool_acquire(pool, &w[0], false, T0, &got),
                     FCNG_POOL_REFUSE);
    fcng_pool_remove(pool, &a);
    close_all(pool);
}

/* A client library that wants to know when it may send: one is told for each
   place, in turn, and nobody can take it in between. */
static void test_one_is_told_of_a_place(void **state)
{
    (void)state;
    fcng_pool_options o = { .max_connections = 1, .max_queue = 9,
                            .queue_timeout_us = 5 * SECOND, .max_idle = 1,
                            .idle_timeout_us = SECOND };
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn conn = { 0 }, *got;
    fcng_pool_wait first = { 0 }, second = { 0 }, third = { 0 }, *told;
    assert_true(fcng_pool_can_start(pool));
    open_conn(pool, &conn, 0);
    assert_false(fcng_pool_can_start(pool));
    assert_int_equal(fcng_pool_acquire(pool, &first, FCNG_POOL_ANY, 1, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_acquire(pool, &second, FCNG_POOL_ANY, 2, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(pool, 3, &told, &got), FCNG_POOL_WAIT);
    assert_false(fcng_pool_release(pool, &conn, false, 4));
    assert_int_equal(fcng_pool_next(pool, 4, &told, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(told, &first);
    assert_int_equal(fcng_pool_next(pool, 4, &told, &got), FCNG_POOL_WAIT);
    assert_false(fcng_pool_can_start(pool));
    assert_int_equal(fcng_pool_acquire(pool, &third, FCNG_POOL_ANY, 5, &got),
                     FCNG_POOL_WAIT);
    /* it was not needed: the next one in turn is told */
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    assert_int_equal(fcng_pool_next(pool, 6, &told, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(told, &second);
    /* whoever leaves is not told */
    fcng_pool_cancel(pool, &third);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    assert_int_equal(fcng_pool_next(pool, 7, &told, &got), FCNG_POOL_WAIT);
    assert_true(fcng_pool_can_start(pool));
    fcng_pool_del(pool);
}

static void test_max_idle_and_none(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_idle = 1;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, T0);
    open_conn(pool, &b, T0);
    fcng_pool_first_byte(pool, &a, T0);
    fcng_pool_first_byte(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_false(fcng_pool_release(pool, &b, true, T0));
    o.max_idle = 0;
    fcng_pool_set_options(pool, &o);
    assert_ptr_equal(fcng_pool_expire(pool, T0), &a);
    close_all(pool);
}

static void test_max_requests_and_lifetime(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_requests = 2;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, T0, &got),
                     FCNG_POOL_USE);
    assert_false(fcng_pool_release(pool, &a, true, T0));

    o.max_requests = 0;
    o.max_lifetime_us = 10 * SECOND;
    o.idle_timeout_us = 60 * SECOND;
    fcng_pool_set_options(pool, &o);
    open_conn(pool, &a, T0);
    open_conn(pool, &b, T0 + SECOND);
    fcng_pool_first_byte(pool, &a, T0 + SECOND);
    fcng_pool_first_byte(pool, &b, T0 + SECOND);
    assert_true(fcng_pool_release(pool, &b, true, T0 + 2 * SECOND));
    assert_true(fcng_pool_release(pool, &a, true, T0 + 3 * SECOND));
    assert_int_equal(fcng_pool_deadline(pool), T0 + 10 * SECOND);
    /* too old to be handed out, though not yet collected */
    assert_int_equal(
        fcng_pool_acquire(pool, NULL, false, T0 + 10 * SECOND, &got),
        FCNG_POOL_USE);
    assert_ptr_equal(got, &b);
    assert_ptr_equal(fcng_pool_expire(pool, T0 + 10 * SECOND), &a);
    assert_false(fcng_pool_release(pool, &b, true, T0 + 11 * SECOND));
    close_all(pool);
}

static void test_limits_below_what_is_in_use(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn c[4] = { { 0 } };
    for (int i = 0; i < 4; i++) {
        open_conn(pool, &c[i], T0);
        fcng_pool_first_byte(pool, &c[i], T0);
    }
    assert_true(fcng_pool_release(pool, &c[0], true, T0));
    o.max_connections = 2;
    fcng_pool_set_options(pool, &o);
    assert_int_equal(fcng_pool_get_options(pool)->max_connections, 2);
    assert_ptr_equal(fcng_pool_expire(pool, T0), &c[0]);
    assert_false(fcng_pool_release(pool, &c[1], true, T0));
    assert_true(fcng_pool_release(pool, &c[2], true, T0));
    assert_true(fcng_pool_release(pool, &c[3], true, T0));
    expect_counts(pool, 2, 2, 0);
    close_all(pool);
}

/* A php-fpm with one child: the first connection owns it. */
static void test_law_yield_when_another_got_no_byte(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0 + MS);
    open_conn(pool, &b, T0 + MS); /* waits in the application's backlog */
    /* young: it may just be on its way */
    assert_true(fcng_pool_release(pool, &a, true, T0 + 2 * MS));
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, T0 + 2 * MS, &got),
                     FCNG_POOL_USE);
    assert_false(fcng_pool_release(pool, &a, true, T0 + 7 * MS));
    fcng_pool_first_byte(pool, &b, T0 + 8 * MS);
    assert_true(fcng_pool_release(pool, &b, true, T0 + 9 * MS));
    close_all(pool);
}

static void test_idle_ones_go_when_another_got_no_byte(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0 + MS);
    assert_int_equal(fcng_pool_acquire(pool, NULL, true, T0 + MS, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, &b, FCNG_POOL_ANY, T0 + MS);
    fcng_pool_started(pool, &b, T0 + MS);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 2 * MS));
    uint64_t at = fcng_pool_deadline(pool);
    assert_int_equal(at, T0 + MS + 5 * MS + 1);
    assert_null(fcng_pool_expire(pool, at - 1));
    assert_ptr_equal(fcng_pool_expire(pool, at), &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_patience_is_a_quarter_longer_than_usual(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_idle = 100;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, slow = { 0 }, *got;
    uint64_t now = T0;
    open_conn(pool, &a, now);
    for (int i = 0; i < 100; i++) { /* 40 ms is usual here */
        fcng_pool_first_byte(pool, &a, now + 40 * MS);
        now += 50 * MS;
        assert_true(fcng_pool_release(pool, &a, true, now));
        assert_int_equal(fcng_pool_acquire(pool, NULL, false, now, &got),
                         FCNG_POOL_USE);
        fcng_pool_started(pool, &a, now);
    }
    open_conn(pool, &slow, now);
    assert_true(fcng_pool_release(pool, &a, true, now + 49 * MS));
    assert_int_equal(
        fcng_pool_acquire(pool, NULL, false, now + 49 * MS, &got),
        FCNG_POOL_USE);
    assert_false(fcng_pool_release(pool, &a, true, now + 51 * MS));
    fcng_pool_remove(pool, &slow);
    close_all(pool);
}

static void test_patience_is_the_median_in_any_order(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, slow = { 0 }, *got;
    uint64_t now = T0;
    open_conn(pool, &a, now);
    for (unsigned i = 0; i < 99; i++) { /* 1 ... 99 ms, mixed; of the last
                                           32 the median is 49 or near */
        fcng_pool_first_byte(pool, &a, now + (i * 37 % 99 + 1) * MS);
        now += 100 * MS;
        assert_true(fcng_pool_release(pool, &a, true, now));
        assert_int_equal(fcng_pool_acquire(pool, NULL, false, now, &got),
                         FCNG_POOL_USE);
        fcng_pool_started(pool, &a, now);
    }
    open_conn(pool, &slow, now);
    assert_true(fcng_pool_release(pool, &a, true, now + 50 * MS));
    assert_int_equal(
        fcng_pool_acquire(pool, NULL, false, now + 50 * MS, &got),
        FCNG_POOL_USE);
    assert_false(fcng_pool_release(pool, &a, true, now + 74 * MS));
    fcng_pool_remove(pool, &slow);
    close_all(pool);
}

/* All are new and late, but the first answer tells what is usual. */
static void test_the_quickest_new_one_tells_before_any_kept_one(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn c[3] = { { 0 } };
    for (int i = 0; i < 3; i++) {
        open_conn(pool, &c[i], T0);
    }
    fcng_pool_first_byte(pool, &c[0], T0 + 50 * MS);
    assert_true(fcng_pool_release(pool, &c[0], true, T0 + 51 * MS));
    assert_int_equal(fcng_pool_deadline(pool), T0 + 62 * MS + 501);
    fcng_pool_first_byte(pool, &c[1], T0 + 60 * MS); /* it has waited */
    assert_true(fcng_pool_release(pool, &c[1], true, T0 + 60 * MS));
    assert_int_equal(fcng_pool_deadline(pool), T0 + 62 * MS + 501);
    fcng_pool_remove(pool, &c[2]);
    close_all(pool);
}

/* An application that is slow to accept, but serves all at once, would have
   nothing but new connections for ever if one that is late cost all others. */
static void test_one_is_given_up_for_each_that_waits(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn kept[5] = { { 0 } }, late[2] = { { 0 } };
    for (int i = 0; i < 5; i++) {
        open_conn(pool, &kept[i], T0);
        fcng_pool_first_byte(pool, &kept[i], T0);
    }
    open_conn(pool, &late[0], T0);
    open_conn(pool, &late[1], T0 + MS);
    assert_true(fcng_pool_release(pool, &kept[0], true, T0));
    assert_false(fcng_pool_release(pool, &kept[1], true, T0 + 6 * MS));
    assert_int_equal(fcng_pool_deadline(pool), T0 + 6 * MS + 1);
    assert_false(fcng_pool_release(pool, &kept[2], true, T0 + 7 * MS));
    assert_true(fcng_pool_release(pool, &kept[3], true, T0 + 8 * MS));
    /* and one more for each that has waited as long again */
    assert_int_equal(fcng_pool_deadline(pool), T0 + 11 * MS + 1);
    assert_ptr_equal(fcng_pool_expire(pool, T0 + 12 * MS), &kept[0]);
    assert_null(fcng_pool_expire(pool, T0 + 12 * MS));
    fcng_pool_first_byte(pool, &late[1], T0 + 12 * MS);
    assert_true(fcng_pool_release(pool, &kept[4], true, T0 + 13 * MS));
    fcng_pool_remove(pool, &late[0]);
    assert_true(fcng_pool_release(pool, &late[1], true, T0 + 13 * MS));
    close_all(pool);
}

/* --- any life: what must hold after each step --- */

enum { CONNS = 6, WAITS = 8, CAP = 4, QUEUE = 5 };

typedef struct life {
    fcng_pool *pool;
    fcng_pool_conn conn[CONNS];
    enum { CLOSED, BUSY, IDLE } is[CONNS];
    fcng_pool_wait wait[WAITS];
    bool waiting[WAITS];
    uint64_t arrived[WAITS], last_served, now;
    unsigned open, opening, used, refused;
    uint32_t seed;
} life;

static uint32_t any(life *l, uint32_t n)
{
    l->seed ^= l->seed << 13;
    l->seed ^= l->seed >> 17;
    l->seed ^= l->seed << 5;
    return l->seed % n;
}

static size_t number(const life *l, const fcng_pool_conn *conn)
{
    assert_in_range((uintptr_t)conn, (uintptr_t)l->conn,
                    (uintptr_t)(l->conn + CONNS - 1));
    return (size_t)(conn - l->conn);
}

static void closed(life *l, fcng_pool_conn *conn)
{
    assert_int_equal(l->is[number(l, conn)], IDLE);
    l->is[number(l, conn)] = CLOSED;
    l->open--;
}

static void granted(life *l, enum fcng_pool_verdict verdict,
                    fcng_pool_conn *conn)
{
    if (verdict == FCNG_POOL_OPEN) {
        l->opening++;
        return;
    }
    assert_int_equal(verdict, FCNG_POOL_USE);
    assert_int_equal(l->is[number(l, conn)], IDLE);
    l->is[number(l, conn)] = BUSY;
    l->used++;
    fcng_pool_started(l->pool, conn, l->now);
}

static void serve(life *l)
{
    fcng_pool_wait *wait;
    fcng_pool_conn *conn;
    enum fcng_pool_verdict verdict;
    while ((verdict = fcng_pool_next(l->pool, l->now, &wait, &conn))
           != FCNG_POOL_WAIT) {
        size_t i = (size_t)(wait - l->wait);
        assert_true(l->waiting[i]);
        assert_true(l->arrived[i] > l->last_served); /* nobody overtakes */
        l->last_served = l->arrived[i];
        l->waiting[i] = false;
        if (verdict == FCNG_POOL_REFUSE) {
            l->refused++;
        } else {
            granted(l, verdict, conn);
        }
    }
}

static void ask(life *l, uint64_t step)
{
    size_t i = any(l, WAITS);
    fcng_pool_conn *conn;
    if (l->waiting[i]) {
        if (any(l, 4) == 0) {
            fcng_pool_cancel(l->pool, &l->wait[i]);
            l->waiting[i] = false;
        }
        return;
    }
    enum fcng_pool_verdict verdict = fcng_pool_acquire(
        l->pool, &l->wait[i], any(l, 5) == 0, l->now, &conn);
    if (verdict == FCNG_POOL_WAIT) {
        l->waiting[i] = true;
        l->arrived[i] = step;
    } else if (verdict == FCNG_POOL_REFUSE) {
        l->refused++;
    } else {
        granted(l, verdict, conn);
    }
}

static void opened(life *l)
{
    size_t i = 0;
    while (l->is[i] != CLOSED) {
        i++;
    }
    if (any(l, 4) == 0) {
        fcng_pool_give_up(l->pool, FCNG_POOL_ANY);
    } else {
        fcng_pool_add(l->pool, &l->conn[i], FCNG_POOL_ANY, l->now);
        fcng_pool_started(l->pool, &l->conn[i], l->now);
        l->is[i] = BUSY;
        l->open++;
    }
    l->opening--;
}

static void finish(life *l)
{
    size_t i = any(l, CONNS);
    fcng_pool_conn *conn = &l->conn[i];
    if (l->is[i] == CLOSED || (l->is[i] == IDLE && any(l, 8) > 0)) {
        return;
    }
    if (l->is[i] == IDLE || any(l, 4) == 0) {
        fcng_pool_remove(l->pool, conn);
        l->is[i] = CLOSED;
        l->open--;
        return;
    }
    if (any(l, 4) > 0) {
        fcng_pool_first_byte(l->pool, conn, l->now);
    }
    bool reusable = any(l, 4) > 0;
    bool kept = fcng_pool_release(l->pool, conn, reusable, l->now);
    assert_true(reusable || !kept);
    l->is[i] = kept ? IDLE : CLOSED;
    l->open -= !kept;
}

static void check(life *l)
{
    uint32_t idle = 0, waiting = 0;
    for (size_t i = 0; i < CONNS; i++) {
        idle += l->is[i] == IDLE;
    }
    for (size_t i = 0; i < WAITS; i++) {
        waiting += l->waiting[i];
    }
    expect_counts(l->pool, l->open + l->opening, idle, waiting);
    assert_true(l->open + l->opening <= CAP);
    assert_true(waiting <= QUEUE);
    /* whoever waits does so because everything is in use */
    assert_true(waiting == 0 || l->open + l->opening == CAP);
    uint64_t at = fcng_pool_deadline(l->pool);
    assert_true(at > l->now);
    assert_true(at != FCNG_NEVER || (idle == 0 && waiting == 0));
}

static void test_any_life(void **state)
{
    (void)state;
    unsigned used = 0, refused = 0;
    for (uint32_t run = 1; run <= 200; run++) {
        life l = { .seed = run * 2654435761u, .now = T0 };
        fcng_pool_options o = limits();
        o.max_connections = CAP;
        o.max_queue = QUEUE;
        o.max_idle = 1 + any(&l, CAP);
        o.max_requests = any(&l, 2) * 5;
        o.max_lifetime_us = any(&l, 2) * 3 * SECOND;
        l.pool = fcng_pool_new(NULL, &o);
        for (uint64_t step = 1; step <= 1000; step++) {
            l.now += any(&l, 20) == 0 ? any(&l, 2000000) : any(&l, 3000);
            fcng_pool_conn *gone;
            while ((gone = fcng_pool_expire(l.pool, l.now)) != NULL) {
                closed(&l, gone);
            }
            serve(&l);
            if (any(&l, 2) == 0) {
                ask(&l, step);
            } else if (l.opening > 0 && any(&l, 2) == 0) {
                opened(&l);
            } else {
                finish(&l);
            }
            while ((gone = fcng_pool_expire(l.pool, l.now)) != NULL) {
                closed(&l, gone);
            }
            serve(&l);
            check(&l);
        }
        used += l.used;
        refused += l.refused;
        fcng_pool_del(l.pool);
    }
    assert_true(used > 5000);
    assert_true(refused > 1000);
}

static void test_a_deadline_never_stays_in_the_past(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_lifetime_us = 700 * MS;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn c[8] = { { 0 } };
    uint64_t now = T0;
    for (int i = 0; i < 8; i++) {
        open_conn(pool, &c[i], now);
        if (i != 7) {
            fcng_pool_first_byte(pool, &c[i], now + 3 * MS * (uint64_t)i);
        }
        now += 30 * MS;
    }
    for (int i = 0; i < 7; i++) {
        (void)fcng_pool_release(pool, &c[i], true, now);
    }
    for (int i = 0; i < 100; i++) {
        uint64_t at = fcng_pool_deadline(pool);
        if (at == FCNG_NEVER) {
            fcng_pool_remove(pool, &c[7]);
            close_all(pool);
            return;
        }
        now = at > now ? at : now;
        while (fcng_pool_expire(pool, now) != NULL) {
        }
        assert_true(fcng_pool_deadline(pool) > now);
    }
    fail_msg("the deadline never ran out");
}

#define SETTLED FCNG_POOL_SETTLED
#define SETTLED_US FCNG_POOL_SETTLED_US

/* What cannot be repeated goes where nothing is about to be closed. */
static void test_settled_is_idle_for_a_while_or_new(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, SETTLED, T0, &got),
                     FCNG_POOL_OPEN);
    assert_null(got);
    fcng_pool_add(pool, &a, FCNG_POOL_ANY, T0);
    fcng_pool_started(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0);
    open_conn(pool, &b, T0);
    fcng_pool_first_byte(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_true(fcng_pool_release(pool, &b, true, T0 + 60 * MS));
    /* used a moment ago: the older one is exchanged for a new one */
    uint64_t now = T0 + SETTLED_US - 1;
    assert_int_equal(fcng_pool_acquire(pool, NULL, SETTLED, now, &got),
                     FCNG_POOL_OPEN);
    assert_ptr_equal(got, &a);
    expect_counts(pool, 2, 1, 0);
    fcng_pool_add(pool, &a, FCNG_POOL_ANY, now);
    fcng_pool_started(pool, &a, now);
    fcng_pool_first_byte(pool, &a, now);
    assert_true(fcng_pool_release(pool, &a, true, now));
    /* others still get the one that was used last */
    assert_int_equal(fcng_pool_acquire(pool, NULL, FCNG_POOL_ANY, now, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(got, &a);
    assert_true(fcng_pool_release(pool, &a, true, now));
    now = T0 + 60 * MS + SETTLED_US;
    assert_int_equal(fcng_pool_acquire(pool, NULL, SETTLED, now, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(got, &b);
    expect_counts(pool, 2, 1, 0);
    fcng_pool_remove(pool, &b);
    fcng_pool_remove(pool, &a);
    fcng_pool_del(pool);
}

/* At the limit, too: by exchange, and from the queue. */
/* An application that never closes is trusted until it does. */
static void test_trust_is_earned_and_lost(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, T0);
    for (int i = 0; i < FCNG_POOL_CALM; i++) {
        assert_true(fcng_pool_release(pool, &a, true, T0));
        assert_int_equal(
            fcng_pool_acquire(pool, NULL, FCNG_POOL_ANY, T0, &got),
            FCNG_POOL_USE);
    }
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_acquire(pool, NULL, SETTLED, T0, &got),
                     FCNG_POOL_USE);
    /* another one is found closed */
    open_conn(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &b, true, T0));
    fcng_pool_remove(pool, &b);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_acquire(pool, NULL, SETTLED, T0, &got),
                     FCNG_POOL_OPEN);
    assert_ptr_equal(got, &a);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    close_all(pool);
}

static void test_settled_at_the_limit(void **state)
{
    (void)state;
    fcng_pool_options o = limits();
    o.max_connections = 1;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait one = { 0 }, two = { 0 }, *wait;
    open_conn(pool, &a, T0);
    fcng_pool_first_byte(pool, &a, T0);
    assert_int_equal(fcng_pool_acquire(pool, &one, SETTLED, T0, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_acquire(pool, &two, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_WAIT);
    expect_counts(pool, 1, 0, 2);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 1));
    assert_int_equal(fcng_pool_next(pool, T0 + 1, &wait, &got),
                     FCNG_POOL_OPEN);
    assert_ptr_equal(wait, &one);
    assert_ptr_equal(got, &a);
    expect_counts(pool, 1, 0, 1);
    assert_int_equal(fcng_pool_next(pool, T0 + 1, &wait, &got),
                     FCNG_POOL_WAIT);
    fcng_pool_add(pool, &a, FCNG_POOL_ANY, T0 + 2);
    fcng_pool_started(pool, &a, T0 + 2);
    fcng_pool_first_byte(pool, &a, T0 + 2);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 3));
    assert_int_equal(fcng_pool_next(pool, T0 + 3, &wait, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(wait, &two);
    assert_ptr_equal(got, &a);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 4));
    assert_int_equal(fcng_pool_acquire(pool, &one, SETTLED, T0 + 5, &got),
                     FCNG_POOL_OPEN);
    assert_ptr_equal(got, &a);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    expect_counts(pool, 0, 0, 0);
    fcng_pool_del(pool);
}

static void test_failing_memory(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 1);
    fcng_pool_options o = limits();
    assert_null(fcng_pool_new(&f.mem, &o));
    failalloc_init(&f, 2);
    fcng_pool *pool = fcng_pool_new(&f.mem, &o);
    assert_non_null(pool);
    /* nothing after the first allocation allocates */
    fcng_pool_conn a = { 0 };
    open_conn(pool, &a, T0);
    fcng_pool_remove(pool, &a);
    fcng_pool_del(pool);
    fcng_pool_del(NULL);
    assert_int_equal(f.live, 0);
    assert_int_equal(f.calls, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_kept_connection_is_used_again),
    cmocka_unit_test(test_used_last_is_used_next),
    cmocka_unit_test(test_a_replay_gets_a_new_connection),
    cmocka_unit_test(test_a_place_that_is_given_up_is_free),
    cmocka_unit_test(test_first_come_first_served),
    cmocka_unit_test(test_nobody_overtakes_the_queue),
    cmocka_unit_test(test_queue_full_and_timeout),
    cmocka_unit_test(test_one_is_told_of_a_place),
    cmocka_unit_test(test_max_idle_and_none),
    cmocka_unit_test(test_max_requests_and_lifetime),
    cmocka_unit_test(test_limits_below_what_is_in_use),
    cmocka_unit_test(test_law_yield_when_another_got_no_byte),
    cmocka_unit_test(test_idle_ones_go_when_another_got_no_byte),
    cmocka_unit_test(test_patience_is_a_quarter_longer_than_usual),
    cmocka_unit_test(test_patience_is_the_median_in_any_order),
    cmocka_unit_test(test_the_quickest_new_one_tells_before_any_kept_one),
    cmocka_unit_test(test_one_is_given_up_for_each_that_waits),
    cmocka_unit_test(test_any_life),
    cmocka_unit_test(test_a_deadline_never_stays_in_the_past),
    cmocka_unit_test(test_settled_is_idle_for_a_while_or_new),
    cmocka_unit_test(test_trust_is_earned_and_lost),
    cmocka_unit_test(test_settled_at_the_limit),
    cmocka_unit_test(test_failing_memory),
};

UNIT_MAIN(tests)
