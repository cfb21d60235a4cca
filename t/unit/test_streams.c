/* SPDX-License-Identifier: BSD-2-Clause */
/* The pool where requests share connections. */
#include "unit.h"

#include "fcng_pool.h"

#define MS 1000ull
#define SECOND 1000000ull
#define T0 (1000 * SECOND)

static fcng_pool *new_pool(uint32_t max_streams, uint32_t max_connections)
{
    fcng_pool_options o;
    fcng_pool_options_init(&o);
    o.multiplex = FCNG_MULTIPLEX_ON;
    o.max_streams = max_streams;
    o.max_connections = max_connections;
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    assert_non_null(pool);
    return pool;
}

static void open_conn(fcng_pool *pool, fcng_pool_conn *conn,
                      enum fcng_pool_need need, uint64_t now)
{
    fcng_pool_conn *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, need, now, &got),
                     FCNG_POOL_OPEN);
    conn->max_streams = fcng_pool_max_streams(pool, need, now);
    fcng_pool_add(pool, conn, need, now);
    fcng_pool_started(pool, conn, now);
}

static void answered(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now)
{
    fcng_pool_first_byte(pool, conn, now);
}

static void use(fcng_pool *pool, enum fcng_pool_need need, uint64_t now,
                fcng_pool_conn *want)
{
    fcng_pool_conn *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, need, now, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(got, want);
}

static void expect(fcng_pool *pool, uint32_t connections, uint32_t idle,
                   uint32_t waiting, uint32_t active)
{
    fcng_pool_counts c;
    fcng_pool_get_counts(pool, &c);
    assert_int_equal(c.connections, connections);
    assert_int_equal(c.idle, idle);
    assert_int_equal(c.waiting, waiting);
    assert_int_equal(c.active, active);
}

static void close_all(fcng_pool *pool)
{
    while (fcng_pool_close_idle(pool) != NULL) {
    }
    expect(pool, 0, 0, 0, 0);
    fcng_pool_del(pool);
}

static void test_requests_share_a_connection(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(3, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    use(pool, FCNG_POOL_ANY, T0, &a);
    expect(pool, 1, 0, 0, 3);
    open_conn(pool, &b, FCNG_POOL_ANY, T0); /* it is full */
    answered(pool, &a, T0);
    answered(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0 + 1));
    use(pool, FCNG_POOL_ANY, T0 + 2, &a); /* the fullest one */
    fcng_pool_counts c;
    fcng_pool_get_counts(pool, &c);
    assert_int_equal(c.opened, 2);
    assert_int_equal(c.shared, 3);
    assert_int_equal(c.requests, 5);
    for (int i = 0; i < 3; i++) {
        expect(pool, 2, 0, 0, (uint32_t)(4 - i));
        assert_true(fcng_pool_release(pool, &a, true, T0 + 3));
    }
    expect(pool, 2, 1, 0, 1);
    assert_true(fcng_pool_release(pool, &b, true, T0 + 3));
    expect(pool, 2, 2, 0, 0);
    use(pool, FCNG_POOL_ANY, T0 + 4, &b);
    use(pool, FCNG_POOL_ANY, T0 + 4, &b);
    assert_true(fcng_pool_release(pool, &b, true, T0 + 5));
    assert_true(fcng_pool_release(pool, &b, true, T0 + 5));
    close_all(pool);
}

static void test_requests_wait_for_one_that_is_being_opened(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(3, 0);
    fcng_pool_conn a = { .max_streams = 3 }, b = { .max_streams = 3 }, *got;
    fcng_pool_wait w[3] = { { 0 } }, *next;
    assert_int_equal(fcng_pool_acquire(pool, &w[0], FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_OPEN);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcng_pool_acquire(pool, &w[i], FCNG_POOL_ANY, T0,
                                           &got),
                         FCNG_POOL_WAIT);
    }
    /* the fourth has no room on it */
    assert_int_equal(fcng_pool_acquire(pool, &w[2], FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_OPEN);
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_deadline(pool), T0 + FCNG_POOL_JOIN_US);
    fcng_pool_add(pool, &a, FCNG_POOL_ANY, T0 + MS);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fcng_pool_next(pool, T0 + MS, &next, &got),
                         FCNG_POOL_USE);
        assert_ptr_equal(next, &w[i]);
        assert_ptr_equal(got, &a);
    }
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_WAIT);
    fcng_pool_add(pool, &b, FCNG_POOL_ANY, T0 + MS);
    expect(pool, 2, 0, 0, 4);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_but_not_for_long(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn *got;
    fcng_pool_wait w[2] = { { 0 } }, *next;
    assert_int_equal(fcng_pool_acquire(pool, NULL, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_OPEN);
    for (uint64_t i = 0; i < 2; i++) {
        assert_int_equal(fcng_pool_acquire(pool, &w[i], FCNG_POOL_ANY,
                                           T0 + i * MS, &got),
                         FCNG_POOL_WAIT);
    }
    uint64_t now = T0 + FCNG_POOL_JOIN_US;
    assert_int_equal(fcng_pool_next(pool, now - 1, &next, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(pool, now, &next, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(next, &w[0]);
    assert_int_equal(fcng_pool_next(pool, now, &next, &got), FCNG_POOL_WAIT);
    /* connecting fails: the next one tries */
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    assert_int_equal(fcng_pool_next(pool, now, &next, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(next, &w[1]);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    close_all(pool);
}

static void test_without_a_queue_nobody_waits_for_one(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_options o = *fcng_pool_get_options(pool);
    o.max_queue = 0;
    fcng_pool_set_options(pool, &o);
    fcng_pool_conn *got;
    fcng_pool_wait w = { 0 };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fcng_pool_acquire(pool, &w, FCNG_POOL_ANY, T0, &got),
                         FCNG_POOL_OPEN);
    }
    for (int i = 0; i < 3; i++) {
        fcng_pool_give_up(pool, FCNG_POOL_ANY);
    }
    close_all(pool);
}

static void test_alone_is_alone(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 3);
    fcng_pool_conn a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, *got;
    fcng_pool_wait w = { 0 }, *next;
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    answered(pool, &a, T0);
    open_conn(pool, &b, FCNG_POOL_ALONE, T0);
    answered(pool, &b, T0);
    assert_int_equal(b.max_streams, 1);
    use(pool, FCNG_POOL_ANY, T0, &a); /* b has no room */
    open_conn(pool, &c, FCNG_POOL_ALONE, T0);
    answered(pool, &c, T0);
    /* at the limit it waits, and nobody overtakes it */
    assert_int_equal(fcng_pool_acquire(pool, &w, FCNG_POOL_ALONE, T0, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_acquire(pool, NULL, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_REFUSE);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_WAIT);
    /* the idle shared one is exchanged for one of its own */
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_OPEN);
    assert_ptr_equal(next, &w);
    assert_ptr_equal(got, &a);
    fcng_pool_add(pool, &d, FCNG_POOL_ALONE, T0);
    expect(pool, 3, 0, 0, 3);
    /* others may have an exclusive one, rather than wait */
    assert_true(fcng_pool_release(pool, &b, true, T0));
    use(pool, FCNG_POOL_ANY, T0, &b);
    fcng_pool_remove(pool, &b);
    fcng_pool_remove(pool, &c);
    fcng_pool_remove(pool, &d);
    close_all(pool);
}

static void test_large_responses_stay_apart(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 3);
    fcng_pool_conn a = { 0 }, b = { 0 }, c = { 0 };
    fcng_str big = BYTES("/big");
    fcng_pool_learn(pool, BYTES("/small"), 1000);
    fcng_pool_learn(pool, big, 1 << 20);
    assert_int_equal(fcng_pool_need_for(pool, FCNG_POOL_SETTLED,
                                        BYTES("/small")),
                     FCNG_POOL_SETTLED);
    enum fcng_pool_need need = fcng_pool_need_for(pool, FCNG_POOL_ANY, big);
    assert_int_equal(need, FCNG_POOL_APART);
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    answered(pool, &a, T0);
    open_conn(pool, &b, need, T0);
    answered(pool, &b, T0);
    assert_int_equal(b.max_streams, 1);
    use(pool, FCNG_POOL_ANY, T0, &a); /* b has no room */
    open_conn(pool, &c, need, T0);
    answered(pool, &c, T0);
    /* where no place is free it shares, rather than wait */
    use(pool, need, T0, &a);
    expect(pool, 3, 0, 0, 5);
    assert_true(fcng_pool_release(pool, &b, true, T0));
    use(pool, need, T0, &b);
    for (int i = 0; i < 3; i++) {
        assert_true(fcng_pool_release(pool, &a, true, T0));
    }
    /* an idle shared one will do, too, and others may join */
    use(pool, need, T0, &a);
    use(pool, FCNG_POOL_ANY, T0, &a);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    fcng_pool_remove(pool, &c);
    close_all(pool);
}

static void test_nobody_joins_one_that_is_for_a_large_one(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn *got;
    fcng_pool_wait w = { 0 };
    assert_int_equal(fcng_pool_acquire(pool, &w, FCNG_POOL_APART, T0, &got),
                     FCNG_POOL_OPEN);
    assert_int_equal(fcng_pool_acquire(pool, &w, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_give_up(pool, FCNG_POOL_APART);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    close_all(pool);
}

static void test_a_retired_one_takes_no_more(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    use(pool, FCNG_POOL_ANY, T0, &a);
    answered(pool, &a, T0);
    assert_true(fcng_pool_release(pool, &a, false, T0)); /* others go on */
    open_conn(pool, &b, FCNG_POOL_ANY, T0);
    answered(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_false(fcng_pool_release(pool, &a, true, T0)); /* the last one */
    fcng_pool_retire(pool, &b);
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    assert_false(fcng_pool_release(pool, &b, true, T0));
    fcng_pool_remove(pool, &a);
    close_all(pool);
}

static void test_zombies_take_room(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(2, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    answered(pool, &a, T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    fcng_pool_set_zombies(pool, &a, 1);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    open_conn(pool, &b, FCNG_POOL_ANY, T0); /* no room on a */
    answered(pool, &b, T0);
    assert_true(fcng_pool_release(pool, &b, true, T0));
    fcng_pool_set_zombies(pool, &a, 0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    /* an idle one that is full of them is not handed out */
    fcng_pool_set_zombies(pool, &b, 2);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    use(pool, FCNG_POOL_ANY, T0, &a);
    fcng_pool_set_zombies(pool, &b, 1);
    use(pool, FCNG_POOL_ANY, T0, &b);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_max_requests_and_max_lifetime(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_options o = *fcng_pool_get_options(pool);
    o.max_requests = 3;
    fcng_pool_set_options(pool, &o);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    use(pool, FCNG_POOL_ANY, T0, &a);
    open_conn(pool, &b, FCNG_POOL_ANY, T0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fcng_pool_release(pool, &a, true, T0), i < 2);
    }
    o.max_requests = 0;
    o.max_lifetime_us = SECOND;
    fcng_pool_set_options(pool, &o);
    use(pool, FCNG_POOL_ANY, T0 + SECOND - 1, &b);
    open_conn(pool, &a, FCNG_POOL_ANY, T0 + SECOND);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_what_cannot_be_repeated_joins_a_proven_one(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    open_conn(pool, &b, FCNG_POOL_SETTLED, T0); /* a has not answered */
    answered(pool, &a, T0);
    answered(pool, &b, T0);
    use(pool, FCNG_POOL_SETTLED, T0, &b);
    assert_true(fcng_pool_release(pool, &b, true, T0));
    assert_true(fcng_pool_release(pool, &b, true, T0));
    use(pool, FCNG_POOL_SETTLED, T0, &a);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    assert_true(fcng_pool_release(pool, &a, true, T0));
    /* idle too short a time: exchanged */
    assert_int_equal(fcng_pool_acquire(pool, NULL, FCNG_POOL_SETTLED, T0 + MS,
                                       &got),
                     FCNG_POOL_OPEN);
    assert_ptr_equal(got, &b);
    fcng_pool_give_up(pool, FCNG_POOL_SETTLED);
    close_all(pool);
}

static void test_a_replay_joins_only_a_young_one(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    use(pool, FCNG_POOL_FRESH, T0 + 99 * MS, &a);
    open_conn(pool, &b, FCNG_POOL_FRESH, T0 + 100 * MS);
    use(pool, FCNG_POOL_FRESH, T0 + 100 * MS, &b);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

static void test_the_first_request_proves_a_connection(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &b, FCNG_POOL_ALONE, T0);
    answered(pool, &b, T0);
    open_conn(pool, &a, FCNG_POOL_ANY, T0 + MS);
    use(pool, FCNG_POOL_ANY, T0 + 5 * MS, &a);
    fcng_pool_started(pool, &a, T0 + 5 * MS); /* does not count anew */
    assert_true(fcng_pool_release(pool, &b, true, T0 + 5 * MS));
    assert_int_equal(fcng_pool_deadline(pool), T0 + 6 * MS + 1);
    assert_ptr_equal(fcng_pool_expire(pool, T0 + 6 * MS + 1), &b);
    fcng_pool_remove(pool, &a);
    close_all(pool);
}

static void test_what_died_takes_its_requests_along(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 1);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait w = { 0 }, *next;
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    fcng_pool_retire(pool, &a);
    assert_int_equal(fcng_pool_acquire(pool, &w, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_WAIT);
    fcng_pool_remove(pool, &a);
    expect(pool, 0, 0, 1, 0);
    assert_int_equal(fcng_pool_next(pool, T0, &next, &got), FCNG_POOL_OPEN);
    fcng_pool_give_up(pool, FCNG_POOL_ANY);
    close_all(pool);
}

static void test_a_shared_one_serves_others_alone_when_disproved(void **state)
{
    (void)state;
    fcng_pool *pool = new_pool(8, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(pool, &a, FCNG_POOL_ANY, T0);
    answered(pool, &a, T0);
    assert_true(fcng_pool_release(pool, &a, true, T0));
    fcng_mpxs_disprove(fcng_pool_mpxs(pool), T0);
    use(pool, FCNG_POOL_ANY, T0, &a);
    open_conn(pool, &b, FCNG_POOL_ANY, T0);
    assert_int_equal(b.max_streams, 1);
    fcng_pool_remove(pool, &a);
    fcng_pool_remove(pool, &b);
    close_all(pool);
}

/* --- processes --- */

static bool alive(uint32_t pid, void *ctx)
{
    (void)pid;
    (void)ctx;
    return true;
}

static void wake(unsigned slot, void *ctx)
{
    (void)slot;
    (void)ctx;
}

static void rest(void *ctx)
{
    (void)ctx;
}

typedef struct two {
    void *memory;
    fcng_share *share[2];
    fcng_seat *seat[2];
    fcng_pool *pool[2];
} two;

static two begin_two(uint32_t multiplex, uint32_t max_connections)
{
    static const fcng_share_host host = { alive, wake, rest, NULL };
    two t = { .memory = aligned_alloc(64, (fcng_share_size() + 63)
                                              & ~(size_t)63) };
    assert_non_null(t.memory);
    memset(t.memory, 0, fcng_share_size());
    for (uint32_t i = 0; i < 2; i++) {
        t.share[i] = fcng_share_join(NULL, t.memory, 100 + i, &host);
        t.seat[i] = fcng_share_attach(t.share[i], text("unix:/app"));
        t.pool[i] = new_pool(4, max_connections);
        fcng_pool_options o = *fcng_pool_get_options(t.pool[i]);
        o.multiplex = multiplex;
        fcng_pool_set_options(t.pool[i], &o);
        fcng_pool_share(t.pool[i], t.seat[i]);
    }
    return t;
}

static void end(two *t)
{
    for (int i = 0; i < 2; i++) {
        close_all(t->pool[i]);
        fcng_share_detach(t->seat[i]);
        fcng_share_leave(t->share[i]);
    }
    free(t->memory);
}

static uint64_t gauge(two *t, enum fcng_gauge gauge)
{
    fcng_share_row row;
    assert_true(fcng_share_read(t->share[0], 0, &row));
    return row.gauge[gauge];
}

/* A shared connection in steady use would never be idle. */
static void test_a_busy_one_gives_way_to_another_process(void **state)
{
    (void)state;
    two t = begin_two(FCNG_MULTIPLEX_ON, 1);
    fcng_pool_conn a = { 0 }, b = { .max_streams = 4 }, *got;
    fcng_pool_wait w = { 0 }, mine = { 0 }, *next;
    open_conn(t.pool[0], &a, FCNG_POOL_ANY, T0);
    answered(t.pool[0], &a, T0);
    use(t.pool[0], FCNG_POOL_ANY, T0, &a);
    assert_int_equal(gauge(&t, FCNG_GAUGE_STREAMS), 2);
    assert_int_equal(gauge(&t, FCNG_GAUGE_CONNECTIONS), 1);
    assert_int_equal(fcng_pool_acquire(t.pool[1], &w, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_WAIT);
    use(t.pool[0], FCNG_POOL_ANY, T0, &a); /* hardly later */
    uint64_t now = T0 + 50 * MS;
    assert_int_equal(fcng_pool_acquire(t.pool[0], &mine, FCNG_POOL_ANY, now,
                                       &got),
                     FCNG_POOL_WAIT);
    assert_true(fcng_pool_release(t.pool[0], &a, true, now));
    assert_true(fcng_pool_release(t.pool[0], &a, true, now));
    assert_int_equal(fcng_pool_next(t.pool[0], now, &next, &got),
                     FCNG_POOL_WAIT);
    assert_false(fcng_pool_release(t.pool[0], &a, true, now));
    assert_int_equal(fcng_pool_next(t.pool[0], now, &next, &got),
                     FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_next(t.pool[1], now, &next, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(t.pool[1], &b, FCNG_POOL_ANY, now);
    fcng_pool_remove(t.pool[1], &b);
    fcng_pool_cancel(t.pool[0], &mine);
    assert_int_equal(gauge(&t, FCNG_GAUGE_STREAMS), 0);
    end(&t);
}

/* Whoever waits for its own connection needs none of others. */
static void test_joining_asks_nobody_to_give_way(void **state)
{
    (void)state;
    two t = begin_two(FCNG_MULTIPLEX_ON, 2);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait w = { 0 };
    open_conn(t.pool[0], &a, FCNG_POOL_ANY, T0);
    answered(t.pool[0], &a, T0);
    assert_int_equal(fcng_pool_acquire(t.pool[1], &w, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_OPEN);
    assert_int_equal(fcng_pool_acquire(t.pool[1], &w, FCNG_POOL_ANY, T0, &got),
                     FCNG_POOL_WAIT);
    assert_true(fcng_pool_release(t.pool[0], &a, true, T0 + 30 * MS));
    fcng_pool_cancel(t.pool[1], &w);
    fcng_pool_give_up(t.pool[1], FCNG_POOL_ANY);
    end(&t);
}

static void test_processes_know_what_one_has_learnt(void **state)
{
    (void)state;
    two t = begin_two(FCNG_MULTIPLEX_AUTO, 0);
    fcng_pool_conn a = { 0 }, b = { 0 };
    open_conn(t.pool[0], &a, FCNG_POOL_ANY, T0);
    open_conn(t.pool[0], &b, FCNG_POOL_ANY, T0);
    assert_int_equal(a.max_streams, 1);
    assert_true(fcng_pool_must_ask(t.pool[0], T0));
    fcng_pool_told(t.pool[0], &(fcng_values){ -1, -1, 1 }, T0);
    assert_int_equal(fcng_pool_max_streams(t.pool[1], FCNG_POOL_ANY, T0), 4);
    fcng_mpxs_disprove(fcng_pool_mpxs(t.pool[1]), T0);
    assert_int_equal(fcng_pool_max_streams(t.pool[0], FCNG_POOL_ANY, T0), 1);
    fcng_pool_remove(t.pool[0], &a);
    fcng_pool_remove(t.pool[0], &b);
    end(&t);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_requests_share_a_connection),
    cmocka_unit_test(test_requests_wait_for_one_that_is_being_opened),
    cmocka_unit_test(test_but_not_for_long),
    cmocka_unit_test(test_without_a_queue_nobody_waits_for_one),
    cmocka_unit_test(test_alone_is_alone),
    cmocka_unit_test(test_large_responses_stay_apart),
    cmocka_unit_test(test_nobody_joins_one_that_is_for_a_large_one),
    cmocka_unit_test(test_a_retired_one_takes_no_more),
    cmocka_unit_test(test_zombies_take_room),
    cmocka_unit_test(test_max_requests_and_max_lifetime),
    cmocka_unit_test(test_what_cannot_be_repeated_joins_a_proven_one),
    cmocka_unit_test(test_a_replay_joins_only_a_young_one),
    cmocka_unit_test(test_the_first_request_proves_a_connection),
    cmocka_unit_test(test_what_died_takes_its_requests_along),
    cmocka_unit_test(test_a_shared_one_serves_others_alone_when_disproved),
    cmocka_unit_test(test_a_busy_one_gives_way_to_another_process),
    cmocka_unit_test(test_joining_asks_nobody_to_give_way),
    cmocka_unit_test(test_processes_know_what_one_has_learnt),
};

UNIT_MAIN(tests)
