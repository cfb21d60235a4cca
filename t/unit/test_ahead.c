/* SPDX-License-Identifier: BSD-2-Clause */
/* min_idle: how many are opened before they are needed, when, and where. */
#include "unit.h"

#include "fcng_share.h"
#include <sys/mman.h>

#define MS 1000ull
#define SECOND 1000000ull
#define T0 (1000 * SECOND)
#define MOST 8

typedef struct process {
    fcng_share *share;
    fcng_seat *seat;
    fcng_pool *pool;
    fcng_pool_conn conn[MOST];
    unsigned n; /* opened */
} process;

static bool is_alive(uint32_t pid, void *ctx)
{
    (void)pid;
    (void)ctx;
    return true;
}

static void no_pause(void *ctx)
{
    (void)ctx;
}

static void *map(void)
{
    void *memory = mmap(NULL, fcng_share_size(), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static fcng_pool_options at_least(uint32_t min_idle)
{
    fcng_pool_options o;
    char why[100];
    fcng_pool_options_init(&o);
    assert_int_equal(fcng_pool_options_word(&o, text("min_idle=2"), why,
                                            sizeof(why)), FCNG_OK);
    o.min_idle = min_idle;
    return o;
}

static void start(process *p, unsigned n, fcng_pool_options o, void *memory)
{
    static const fcng_share_host host = { is_alive, NULL, no_pause, NULL };
    for (unsigned i = 0; i < n; i++) {
        p[i] = (process){ .pool = fcng_pool_new(NULL, &o) };
        if (memory != NULL) {
            p[i].share = fcng_share_join(NULL, memory, i + 1, &host);
            p[i].seat = fcng_share_attach(p[i].share, text("unix:/app"));
            fcng_pool_share(p[i].pool, p[i].seat);
        }
    }
}

static void stop(process *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fcng_pool_conn *conn;
        while ((conn = fcng_pool_close_idle(p[i].pool)) != NULL) {
        }
        fcng_pool_del(p[i].pool);
        if (p[i].share != NULL) {
            fcng_share_detach(p[i].seat);
            fcng_share_leave(p[i].share);
        }
    }
}

/* What the host does whenever the deadline has come; how many it opened. */
static unsigned look(process *p, uint64_t now)
{
    fcng_pool_wait *wait;
    fcng_pool_conn *conn;
    unsigned before = p->n;
    assert_true(fcng_pool_deadline(p->pool) <= now);
    while (fcng_pool_expire(p->pool, now) != NULL) {
    }
    fcng_pool_next(p->pool, now, &wait, &conn);
    while (fcng_pool_open_ahead(p->pool, now)) {
        fcng_pool_opened_ahead(p->pool, &p->conn[p->n++], now);
    }
    assert_true(fcng_pool_deadline(p->pool) > now);
    return p->n - before;
}

static uint32_t idle(const process *p)
{
    fcng_pool_counts counts;
    fcng_pool_get_counts(p->pool, &counts);
    assert_int_equal(counts.idle, counts.connections);
    return counts.idle;
}

static void test_opened_shortly_after_the_start_and_kept(void **state)
{
    (void)state;
    process p;
    start(&p, 1, at_least(2), NULL);
    assert_int_equal(look(&p, T0), 0);
    assert_int_equal(fcng_pool_deadline(p.pool), T0 + 100 * MS);
    assert_int_equal(look(&p, T0 + 100 * MS), 2);
    /* far beyond idle_timeout */
    for (unsigned i = 1; i < 10; i++) {
        assert_int_equal(look(&p, T0 + 100 * MS + i * SECOND), 0);
        assert_int_equal(idle(&p), 2);
    }
    stop(&p, 1);
}

static void test_without_the_word_nothing_is_opened(void **state)
{
    (void)state;
    process p;
    start(&p, 1, at_least(0), NULL);
    assert_int_equal(fcng_pool_deadline(p.pool), FCNG_NEVER);
    assert_false(fcng_pool_open_ahead(p.pool, T0));
    assert_false(fcng_pool_open_ahead(p.pool, T0 + 10 * SECOND));
    stop(&p, 1);
}

static void test_a_request_gets_one_and_more_follow(void **state)
{
    (void)state;
    process p;
    fcng_pool_conn *got;
    start(&p, 1, at_least(2), NULL);
    look(&p, T0);
    look(&p, T0 + SECOND);
    assert_int_equal(fcng_pool_acquire(p.pool, NULL, FCNG_POOL_ANY,
                                       T0 + SECOND, &got), FCNG_POOL_USE);
    /* it may be that nobody has accepted it */
    fcng_pool_started(p.pool, got, T0 + SECOND);
    assert_true(got->waits_first_byte);
    fcng_pool_first_byte(p.pool, got, T0 + SECOND + 1);
    assert_int_equal(look(&p, T0 + 2 * SECOND), 1);
    assert_true(fcng_pool_release(p.pool, got, true, T0 + 2 * SECOND));
    assert_int_equal(idle(&p), 3);
    /* one more than was asked for: it ages */
    assert_int_equal(look(&p, T0 + 3 * SECOND), 0);
    assert_int_equal(idle(&p), 2);
    stop(&p, 1);
}

static void test_each_process_opens_its_share(void **state)
{
    (void)state;
    process p[3];
    void *memory = map();
    start(p, 3, at_least(4), memory);
    for (unsigned i = 0; i < 3; i++) {
        look(&p[i], T0);
    }
    assert_int_equal(look(&p[0], T0 + SECOND), 2);
    assert_int_equal(look(&p[1], T0 + SECOND), 2);
    assert_int_equal(look(&p[2], T0 + SECOND), 0);
    fcng_share_row row;
    assert_true(fcng_share_read(p[0].share, 0, &row));
    assert_int_equal(row.gauge[FCNG_GAUGE_IDLE], 4);
    assert_int_equal(row.gauge[FCNG_GAUGE_CONNECTIONS], 4);
    assert_int_equal(row.count[FCNG_COUNT_OPENED], 4);
    assert_int_equal(row.count[FCNG_COUNT_REQUESTS], 0);
    stop(p, 3);
    munmap(memory, fcng_share_size());
}

/* The others are ending, or have no part of it. */
static void test_what_others_do_not_open_is_opened_later(void **state)
{
    (void)state;
    process p[3];
    void *memory = map();
    start(p, 3, at_least(4), memory);
    look(&p[0], T0);
    assert_int_equal(look(&p[0], T0 + SECOND), 2);
    assert_int_equal(look(&p[0], T0 + 2 * SECOND), 2);
    assert_int_equal(look(&p[0], T0 + 3 * SECOND), 0);
    stop(p, 3);
    munmap(memory, fcng_share_size());
}

static void test_failures_are_not_repeated_at_once(void **state)
{
    (void)state;
    process p;
    start(&p, 1, at_least(2), NULL);
    look(&p, T0);
    assert_true(fcng_pool_open_ahead(p.pool, T0 + SECOND));
    fcng_pool_opened_ahead(p.pool, NULL, T0 + SECOND);
    assert_false(fcng_pool_open_ahead(p.pool, T0 + SECOND));
    assert_int_equal(idle(&p), 0);
    assert_int_equal(fcng_pool_deadline(p.pool), T0 + 2 * SECOND);
    assert_int_equal(look(&p, T0 + 2 * SECOND), 2);
    stop(&p, 1);
}

static void test_limits_are_above_it(void **state)
{
    (void)state;
    process p;
    fcng_pool_options o = at_least(4);
    o.max_connections = 3;
    start(&p, 1, o, NULL);
    look(&p, T0);
    assert_int_equal(look(&p, T0 + SECOND), 3);
    stop(&p, 1);
    o.max_connections = 0;
    o.max_idle = 1;
    start(&p, 1, o, NULL);
    look(&p, T0);
    assert_int_equal(look(&p, T0 + SECOND), 1);
    stop(&p, 1);
}

static void test_they_are_replaced_when_their_time_is_over(void **state)
{
    (void)state;
    process p;
    fcng_pool_options o = at_least(2);
    o.max_lifetime_us = 30 * SECOND;
    start(&p, 1, o, NULL);
    look(&p, T0);
    assert_int_equal(look(&p, T0 + SECOND), 2);
    assert_int_equal(look(&p, T0 + 30 * SECOND), 0);
    assert_int_equal(look(&p, T0 + 31 * SECOND), 2);
    assert_int_equal(idle(&p), 2);
    stop(&p, 1);
}

/* One that gets no byte may wait for a process that is bound to ours. */
static void test_the_yield_rule_is_above_it(void **state)
{
    (void)state;
    process p;
    fcng_pool_conn *got;
    start(&p, 1, at_least(2), NULL);
    look(&p, T0);
    look(&p, T0 + SECOND);
    assert_int_equal(fcng_pool_acquire(p.pool, NULL, FCNG_POOL_ANY,
                                       T0 + SECOND, &got), FCNG_POOL_USE);
    fcng_pool_started(p.pool, got, T0 + SECOND);
    assert_int_equal(look(&p, T0 + 2 * SECOND), 0);
    fcng_pool_counts counts;
    fcng_pool_get_counts(p.pool, &counts);
    assert_int_equal(counts.idle, 0);
    fcng_pool_first_byte(p.pool, got, T0 + 2 * SECOND + 1);
    assert_int_equal(look(&p, T0 + 3 * SECOND), 2);
    assert_true(fcng_pool_release(p.pool, got, true, T0 + 3 * SECOND));
    stop(&p, 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_opened_shortly_after_the_start_and_kept),
    cmocka_unit_test(test_without_the_word_nothing_is_opened),
    cmocka_unit_test(test_a_request_gets_one_and_more_follow),
    cmocka_unit_test(test_each_process_opens_its_share),
    cmocka_unit_test(test_what_others_do_not_open_is_opened_later),
    cmocka_unit_test(test_failures_are_not_repeated_at_once),
    cmocka_unit_test(test_limits_are_above_it),
    cmocka_unit_test(test_they_are_replaced_when_their_time_is_over),
    cmocka_unit_test(test_the_yield_rule_is_above_it),
};

UNIT_MAIN(tests)
