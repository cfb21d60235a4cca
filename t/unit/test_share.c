/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processes on one piece of memory: most tests play them all in one
 * process, two are killed for real, and threads race for tickets.
 */
#define _GNU_SOURCE
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS 1000ull
#define SECOND 1000000ull
#define T0 (1000 * SECOND)

/* --- a server of up to 8 processes --- */

typedef struct server {
    void *memory;
    bool dead[8];
    unsigned woken[FCNG_SHARE_SLOTS];
    fcng_share *share[8];
    fcng_seat *seat[8];
    fcng_pool *pool[8];
} server;

static bool is_alive(uint32_t pid, void *ctx)
{
    server *s = ctx;
    return !s->dead[pid - 1];
}

static void count_wake(unsigned slot, void *ctx)
{
    server *s = ctx;
    s->woken[slot]++;
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

static fcng_pool_options limits(uint32_t max_connections)
{
    return (fcng_pool_options){ .max_connections = max_connections,
                                .max_queue = 1024,
                                .queue_timeout_us = 5 * SECOND,
                                .max_idle = UINT32_MAX,
                                .idle_timeout_us = SECOND };
}

static void join(server *s, int i, const fcng_pool_options *o)
{
    fcng_share_host host = { is_alive, count_wake, no_pause, s };
    s->share[i] = fcng_share_join(NULL, s->memory, (uint32_t)i + 1, &host);
    assert_non_null(s->share[i]);
    s->seat[i] = fcng_share_attach(s->share[i], text("unix:/app"));
    assert_non_null(s->seat[i]);
    s->pool[i] = fcng_pool_new(NULL, o);
    fcng_pool_share(s->pool[i], s->seat[i]);
}

static void setup(server *s, int n, uint32_t max_connections)
{
    fcng_pool_options o = limits(max_connections);
    *s = (server){ .memory = map() };
    for (int i = 0; i < n; i++) {
        join(s, i, &o);
    }
}

static void leave(server *s, int i)
{
    fcng_pool_del(s->pool[i]);
    fcng_share_detach(s->seat[i]);
    fcng_share_leave(s->share[i]);
    s->share[i] = NULL;
}

static void finish(server *s)
{
    for (int i = 0; i < 8; i++) {
        if (s->share[i] != NULL) {
            leave(s, i);
        }
    }
    munmap(s->memory, fcng_share_size());
}

static void open_one(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now)
{
    fcng_pool_conn *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, now, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, conn, FCNG_POOL_ANY, now);
}

static enum fcng_pool_verdict ask(fcng_pool *pool, fcng_pool_wait *wait,
                                  uint64_t now)
{
    fcng_pool_conn *got;
    return fcng_pool_acquire(pool, wait, false, now, &got);
}

static enum fcng_pool_verdict next(fcng_pool *pool, uint64_t now)
{
    fcng_pool_wait *wait;
    fcng_pool_conn *got;
    return fcng_pool_next(pool, now, &wait, &got);
}

/* Closed: its place is free. */
static void gone(fcng_pool *pool, fcng_pool_conn *conn)
{
    fcng_pool_remove(pool, conn);
    assert_int_equal(next(pool, T0), FCNG_POOL_WAIT);
}

static fcng_share_row row_of(server *s, int i)
{
    fcng_share_row row;
    assert_true(fcng_share_read(s->share[i], 0, &row));
    return row;
}

/* --- limits --- */

static void test_a_limit_counts_all_processes(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 2);
    fcng_pool_conn a = { 0 }, b = { 0 };
    fcng_pool_wait w = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_true(fcng_pool_can_start(s.pool[2]));
    open_one(s.pool[1], &b, T0);
    assert_false(fcng_pool_can_start(s.pool[2]));
    assert_int_equal(ask(s.pool[2], &w, T0), FCNG_POOL_WAIT);
    fcng_share_row row = row_of(&s, 0);
    assert_string_equal(row.address, "unix:/app");
    assert_int_equal(row.processes, 3);
    assert_int_equal(row.gauge[FCNG_GAUGE_CONNECTIONS], 2);
    assert_int_equal(row.gauge[FCNG_GAUGE_ACTIVE], 2);
    assert_int_equal(row.gauge[FCNG_GAUGE_WAITING], 1);
    assert_int_equal(fcng_share_busy(s.seat[1]), 3);
    assert_int_equal(row.count[FCNG_COUNT_OPENED], 2);
    assert_int_equal(row.count[FCNG_COUNT_QUEUED], 1);
    /* the one that closes hands its place over and wakes the one that waits */
    assert_false(fcng_pool_release(s.pool[0], &a, true, T0 + 1));
    assert_int_equal(s.woken[fcng_share_slot(s.share[2])], 0); /* not yet */
    assert_int_equal(next(s.pool[0], T0 + 1), FCNG_POOL_WAIT);
    assert_int_equal(s.woken[fcng_share_slot(s.share[2])], 1);
    assert_int_equal(ask(s.pool[0], NULL, T0 + 1), FCNG_POOL_REFUSE);
    assert_int_equal(next(s.pool[2], T0 + 2), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    gone(s.pool[1], &b);
    row = row_of(&s, 1);
    assert_int_equal(row.gauge[FCNG_GAUGE_CONNECTIONS], 0);
    finish(&s);
}

static void test_an_idle_connection_gives_way(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0 + 1));
    assert_null(fcng_pool_expire(s.pool[0], T0 + 2));
    assert_int_equal(ask(s.pool[1], &w, T0 + 3), FCNG_POOL_WAIT);
    assert_int_equal(s.woken[fcng_share_slot(s.share[0])], 1);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 4), &a);
    assert_int_equal(next(s.pool[1], T0 + 4), FCNG_POOL_WAIT);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 4)); /* it is closed */
    assert_int_equal(s.woken[fcng_share_slot(s.share[1])], 1);
    assert_int_equal(next(s.pool[1], T0 + 5), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    finish(&s);
}

/* One client that meets another process each time. */
static void test_no_more_is_kept_than_was_needed_at_once(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 0);
    fcng_pool_conn a = { 0 }, b = { 0 }, c = { 0 }, *got;
    open_one(s.pool[0], &a, T0);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
    open_one(s.pool[1], &b, T0 + 1);
    assert_false(fcng_pool_release(s.pool[1], &b, true, T0 + 2));
    next(s.pool[1], T0 + 2);
    /* two at once: two are kept, in this second and the next */
    open_one(s.pool[1], &b, T0 + 3);
    open_one(s.pool[2], &c, T0 + 3);
    gone(s.pool[0], &a);
    assert_true(fcng_pool_release(s.pool[1], &b, true, T0 + 4));
    assert_true(fcng_pool_release(s.pool[2], &c, true, T0 + 4));
    /* and none of them longer than that because it is in use */
    for (uint64_t at = T0; at < T0 + 2 * SECOND; at += SECOND / 4) {
        assert_int_equal(fcng_pool_acquire(s.pool[1], NULL, FCNG_POOL_ANY, at,
                                           &got), FCNG_POOL_USE);
        assert_true(fcng_pool_release(s.pool[1], &b, true, at));
    }
    assert_int_equal(fcng_pool_acquire(s.pool[1], NULL, FCNG_POOL_ANY,
                                       T0 + 2 * SECOND, &got), FCNG_POOL_USE);
    assert_false(fcng_pool_release(s.pool[1], &b, true, T0 + 2 * SECOND));
    next(s.pool[1], T0 + 2 * SECOND);
    gone(s.pool[2], &c);
    finish(&s);
}

static void test_what_the_operator_wants_kept_is_kept(void **state)
{
    (void)state;
    static const char *const words[] = { "idle_timeout=1s", "max_idle=9" };
    for (int i = 0; i < 2; i++) {
        server s;
        char why[200];
        fcng_pool_options o;
        fcng_pool_conn a = { 0 }, b = { 0 };
        fcng_pool_options_init(&o);
        assert_int_equal(fcng_pool_options_word(&o, text(words[i]), why,
                                                sizeof(why)), FCNG_OK);
        setup(&s, 2, 0);
        fcng_pool_set_options(s.pool[1], &o);
        open_one(s.pool[0], &a, T0);
        assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
        open_one(s.pool[1], &b, T0);
        assert_true(fcng_pool_release(s.pool[1], &b, true, T0));
        gone(s.pool[0], &a);
        gone(s.pool[1], &b);
        finish(&s);
    }
}

/* The connection of process 0 answers a request after |us|, once used. */
static void learn(server *s, fcng_pool_conn *conn, uint64_t us)
{
    fcng_pool_conn *got;
    open_one(s->pool[0], conn, T0 - SECOND);
    assert_true(fcng_pool_release(s->pool[0], conn, true, T0 - SECOND));
    assert_int_equal(fcng_pool_acquire(s->pool[0], NULL, false, T0, &got),
                     FCNG_POOL_USE);
    fcng_pool_started(s->pool[0], conn, T0 - us);
    fcng_pool_first_byte(s->pool[0], conn, T0);
}

/* While queues are short a process goes on with its own for a while. */
static void test_whoever_waits_longer_goes_first(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_conn a = { 0 }, *got;
    fcng_pool_wait other = { 0 }, own = { 0 }, *wait;
    learn(&s, &a, MS);
    assert_int_equal(ask(s.pool[1], &other, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[0], &own, T0 + 20 * MS), FCNG_POOL_WAIT);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0 + 21 * MS));
    assert_int_equal(fcng_pool_next(s.pool[0], T0 + 21 * MS, &wait, &got),
                     FCNG_POOL_USE);
    assert_ptr_equal(wait, &own);
    assert_int_equal(ask(s.pool[0], &own, T0 + 21 * MS), FCNG_POOL_WAIT);
    assert_false(fcng_pool_release(s.pool[0], &a, true, T0 + 22 * MS));
    assert_int_equal(next(s.pool[0], T0 + 22 * MS), FCNG_POOL_WAIT);
    assert_int_equal(next(s.pool[1], T0 + 22 * MS), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    assert_int_equal(next(s.pool[0], T0 + 22 * MS), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[0], FCNG_POOL_ANY);
    finish(&s);
}

/* Long queues, two requests of 60 ms each, are served in order. */
static void test_a_long_queue_keeps_its_order(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait other = { 0 }, own = { 0 };
    learn(&s, &a, 60 * MS);
    assert_int_equal(ask(s.pool[1], &other, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[0], &own, T0 + 1), FCNG_POOL_WAIT);
    assert_false(fcng_pool_release(s.pool[0], &a, true, T0 + 2));
    assert_int_equal(next(s.pool[0], T0 + 2), FCNG_POOL_WAIT);
    assert_int_equal(next(s.pool[1], T0 + 2), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    fcng_pool_cancel(s.pool[0], &own);
    finish(&s);
}

/* An idle connection elsewhere is no reason to refuse. */
static void test_without_a_queue_idle_ones_give_way(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_options o = limits(1);
    o.max_queue = 0;
    fcng_pool_set_options(s.pool[1], &o);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 }, x = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_REFUSE);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[1], &x, T0), FCNG_POOL_REFUSE);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0), &a);
    assert_null(fcng_pool_expire(s.pool[0], T0));
    assert_int_equal(next(s.pool[1], T0), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    finish(&s);
}

/* Two pools of one process, as two locations with other words make them. */
static void test_two_pools_of_one_process(void **state)
{
    (void)state;
    server s;
    setup(&s, 1, 1);
    fcng_pool_options o = limits(1);
    fcng_seat *seat = fcng_share_attach(s.share[0], text("unix:/app"));
    assert_ptr_equal(seat, s.seat[0]);
    fcng_pool *other = fcng_pool_new(NULL, &o);
    fcng_pool_share(other, seat);
    unsigned slot = fcng_share_slot(s.share[0]);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
    assert_int_equal(ask(other, &w, T0 + 1), FCNG_POOL_WAIT);
    assert_int_equal(s.woken[slot], 1);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 2), &a);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 2));
    assert_int_equal(next(s.pool[0], T0 + 2), FCNG_POOL_WAIT);
    assert_int_equal(next(other, T0 + 2), FCNG_POOL_OPEN);
    assert_int_equal(next(other, T0 + 2), FCNG_POOL_WAIT);
    fcng_pool_give_up(other, FCNG_POOL_ANY);
    fcng_pool_del(other);
    fcng_share_detach(seat);
    finish(&s);
}

/* Whoever was given a place is not given the next before it has come for the
   first: it may have nobody else who has waited as long. */
static void test_one_place_at_a_time_is_given(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 2);
    fcng_pool_conn a = { 0 }, b = { 0 };
    fcng_pool_wait w = { 0 }, y = { 0 };
    open_one(s.pool[0], &a, T0);
    open_one(s.pool[0], &b, T0);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[2], &y, T0 + 1), FCNG_POOL_WAIT);
    gone(s.pool[0], &a);
    gone(s.pool[0], &b);
    assert_int_equal(next(s.pool[2], T0 + 2), FCNG_POOL_OPEN);
    assert_int_equal(next(s.pool[1], T0 + 2), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    finish(&s);
}

/* A newcomer of one process does not overtake those who wait elsewhere. */
static void test_a_newcomer_waits_behind_others(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 }, late = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    gone(s.pool[0], &a);
    assert_int_equal(ask(s.pool[2], &late, T0 + 200 * MS), FCNG_POOL_WAIT);
    assert_int_equal(next(s.pool[1], T0 + 200 * MS), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    assert_int_equal(next(s.pool[2], T0 + 200 * MS), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    finish(&s);
}

static void test_a_place_nobody_needs_goes_on(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 }, x = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[2], &x, T0 + 1), FCNG_POOL_WAIT);
    gone(s.pool[0], &a);
    fcng_pool_cancel(s.pool[1], &w); /* its client has left meanwhile */
    assert_int_equal(next(s.pool[1], T0 + 2), FCNG_POOL_WAIT);
    assert_int_equal(s.woken[fcng_share_slot(s.share[2])], 1);
    assert_int_equal(next(s.pool[2], T0 + 2), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    finish(&s);
}

static void test_who_waits_looks_again_by_itself(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_deadline(s.pool[1]), T0 + 100 * MS);
    assert_int_equal(next(s.pool[1], T0 + 100 * MS), FCNG_POOL_WAIT);
    assert_int_equal(fcng_pool_deadline(s.pool[1]), T0 + 200 * MS);
    fcng_pool_cancel(s.pool[1], &w);
    gone(s.pool[0], &a);
    finish(&s);
}

static void test_a_smaller_limit_counts_what_is_open(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 4);
    fcng_pool_conn c[4] = { { 0 } };
    fcng_pool_wait w = { 0 };
    for (int i = 0; i < 4; i++) {
        open_one(s.pool[0], &c[i], T0);
    }
    fcng_pool_options o = limits(2);
    fcng_pool_set_options(s.pool[1], &o);
    gone(s.pool[0], &c[0]);
    gone(s.pool[0], &c[1]);
    assert_int_equal(ask(s.pool[1], &w, T0), FCNG_POOL_WAIT);
    gone(s.pool[0], &c[2]);
    assert_int_equal(next(s.pool[1], T0), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    gone(s.pool[0], &c[3]);
    finish(&s);
}

/* --- the yield rule --- */

static void test_others_yield_to_one_without_a_byte(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 0);
    fcng_pool_conn a = { 0 }, b = { 0 }, c = { 0 };
    open_one(s.pool[0], &a, T0);
    open_one(s.pool[0], &c, T0);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
    assert_true(fcng_pool_release(s.pool[0], &c, true, T0));
    open_one(s.pool[1], &b, T0);
    fcng_pool_started(s.pool[1], &b, T0);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 5 * MS));
    /* its own process has nothing idle; it wakes the others, once */
    assert_int_equal(fcng_pool_deadline(s.pool[1]), T0 + 5 * MS + 1);
    assert_null(fcng_pool_expire(s.pool[1], T0 + 5 * MS + 1));
    assert_int_equal(s.woken[fcng_share_slot(s.share[0])], 1);
    assert_int_equal(fcng_pool_deadline(s.pool[1]), FCNG_NEVER);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 6 * MS), &a);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 6 * MS));
    /* one more when it has waited as long again */
    assert_int_equal(fcng_pool_deadline(s.pool[0]), T0 + 11 * MS + 1);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 11 * MS + 1), &c);
    /* nor is one kept that becomes free */
    open_one(s.pool[0], &a, T0 + 12 * MS);
    assert_false(fcng_pool_release(s.pool[0], &a, true, T0 + 17 * MS));
    /* until the byte comes; how long that took says nothing of the next, but
       what a kept connection takes does */
    fcng_pool_first_byte(s.pool[1], &b, T0 + 20 * MS);
    fcng_pool_conn *got;
    assert_true(fcng_pool_release(s.pool[1], &b, true, T0 + 20 * MS));
    assert_int_equal(fcng_pool_acquire(s.pool[1], NULL, false, T0, &got),
                     FCNG_POOL_USE);
    fcng_pool_started(s.pool[1], got, T0);
    fcng_pool_first_byte(s.pool[1], got, T0 + 20 * MS);
    open_one(s.pool[0], &a, T0 + 21 * MS);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0 + 22 * MS));
    fcng_pool_remove(s.pool[1], &b);
    open_one(s.pool[1], &b, T0 + 23 * MS);
    fcng_pool_started(s.pool[1], &b, T0 + 23 * MS);
    assert_null(fcng_pool_expire(s.pool[1], T0 + 29 * MS));
    assert_int_equal(fcng_pool_deadline(s.pool[1]), T0 + 48 * MS + 1);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 48 * MS));
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 49 * MS), &a);
    fcng_pool_remove(s.pool[1], &b);
    finish(&s);
}

/* Whoever is woken may be more patient than the one that waits: it looks again
   when its own patience is at its end. */
static void test_the_more_patient_look_again(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 0);
    fcng_pool_conn a = { 0 }, b = { 0 }, *got;
    open_one(s.pool[0], &a, T0);
    assert_true(fcng_pool_release(s.pool[0], &a, true, T0));
    assert_int_equal(fcng_pool_acquire(s.pool[0], NULL, false, T0, &got),
                     FCNG_POOL_USE);
    fcng_pool_started(s.pool[0], got, T0);
    fcng_pool_first_byte(s.pool[0], got, T0 + 20 * MS); /* its patience: 25 */
    assert_true(fcng_pool_release(s.pool[0], got, true, T0 + 21 * MS));
    assert_int_equal(fcng_pool_deadline(s.pool[0]), T0 + 1021 * MS);
    open_one(s.pool[1], &b, T0 + 21 * MS);
    fcng_pool_started(s.pool[1], &b, T0 + 21 * MS);
    assert_null(fcng_pool_expire(s.pool[0], T0 + 27 * MS));
    assert_int_equal(fcng_pool_deadline(s.pool[0]), T0 + 46 * MS + 1);
    assert_ptr_equal(fcng_pool_expire(s.pool[0], T0 + 46 * MS + 1), &a);
    fcng_pool_remove(s.pool[1], &b);
    finish(&s);
}

/* --- ends --- */

static void test_a_dead_process_gives_everything_back(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 2);
    fcng_pool_conn a = { 0 }, b = { 0 };
    fcng_pool_wait w = { 0 }, x = { 0 };
    open_one(s.pool[0], &a, T0);
    open_one(s.pool[0], &b, T0);
    assert_int_equal(ask(s.pool[1], &x, T0), FCNG_POOL_WAIT);
    assert_int_equal(ask(s.pool[2], &w, T0 + 1), FCNG_POOL_WAIT);
    s.dead[0] = s.dead[1] = true;
    assert_int_equal(next(s.pool[2], T0 + 600 * MS), FCNG_POOL_OPEN);
    fcng_share_row row = row_of(&s, 2);
    assert_int_equal(row.processes, 1);
    assert_int_equal(row.gauge[FCNG_GAUGE_CONNECTIONS], 1);
    assert_int_equal(row.gauge[FCNG_GAUGE_WAITING], 0);
    assert_int_equal(row.count[FCNG_COUNT_OPENED], 2); /* is not forgotten */
    assert_int_equal(ask(s.pool[2], &w, T0 + 1), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    finish(&s);
}

/* A place on its way to a process that dies is not lost. */
static void test_a_place_given_to_a_dead_process_comes_back(void **state)
{
    (void)state;
    server s;
    setup(&s, 3, 1);
    fcng_pool_conn a = { 0 };
    fcng_pool_wait w = { 0 }, x = { 0 };
    open_one(s.pool[0], &a, T0);
    assert_int_equal(ask(s.pool[1], &x, T0), FCNG_POOL_WAIT);
    s.dead[1] = true;
    gone(s.pool[0], &a);
    assert_int_equal(ask(s.pool[2], &w, T0 + 1), FCNG_POOL_WAIT);
    assert_int_equal(next(s.pool[2], T0 + 600 * MS), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[2], FCNG_POOL_ANY);
    finish(&s);
}

static void test_a_pid_that_comes_again(void **state)
{
    (void)state;
    server s;
    setup(&s, 2, 1);
    fcng_pool_conn a = { 0 };
    open_one(s.pool[0], &a, T0);
    fcng_pool_options o = limits(1);
    s.share[7] = s.share[0];
    s.seat[7] = s.seat[0];
    s.pool[7] = s.pool[0];
    join(&s, 0, &o); /* as if killed, and its number given out anew */
    assert_int_equal(ask(s.pool[1], NULL, T0), FCNG_POOL_OPEN);
    fcng_pool_give_up(s.pool[1], FCNG_POOL_ANY);
    assert_int_equal(row_of(&s, 0).processes, 2);
    finish(&s);
}

/* --- tables that are full --- */

static bool all_alive(uint32_t pid, void *ctx)
{
    (void)pid;
    (void)ctx;
    return true;
}

static bool none_alive(uint32_t pid, void *ctx)
{
    (void)pid;
    (void)ctx;
    return false;
}

static void test_no_slot_left(void **state)
{
    (void)state;
    void *memory = map();
    fcng_share_host host = { all_alive, NULL, no_pause, NULL };
    fcng_share *share[FCNG_SHARE_SLOTS];
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        share[i] = fcng_share_join(NULL, memory, i + 1, &host);
        assert_non_null(share[i]);
    }
    assert_null(fcng_share_join(NULL, memory, 1000, &host));
    host.alive = none_alive;
    fcng_share *late = fcng_share_join(NULL, memory, 1000, &host);
    assert_non_null(late);
    fcng_share_leave(late);
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        free(share[i]);
    }
    munmap(memory, fcng_share_size());
}

static void test_addresses_that_nobody_has_make_room(void **state)
{
    (void)state;
    void *memory = map();
    fcng_share_host host = { all_alive, NULL, no_pause, NULL };
    fcng_share *share = fcng_share_join(NULL, memory, 1, &host);
    fcng_seat *seat[FCNG_SHARE_ADDRESSES];
    char name[32];
    for (int i = 0; i < FCNG_SHARE_ADDRESSES; i++) {
        snprintf(name, sizeof(name), "127.0.0.1:%d", i);
        seat[i] = fcng_share_attach(share, text(name));
        assert_non_null(seat[i]);
    }
    assert_null(fcng_share_attach(share, text("one more")));
    /* the same address again is the same seat */
    assert_ptr_equal(fcng_share_attach(share, text("127.0.0.1:7")), seat[7]);
    fcng_share_detach(seat[7]);
    assert_null(fcng_share_attach(share, text("one more")));
    fcng_share_detach(seat[7]);
    seat[7] = fcng_share_attach(share, text("one more"));
    assert_non_null(seat[7]);
    fcng_share_row row;
    assert_true(fcng_share_read(share, 7, &row));
    assert_string_equal(row.address, "one more");
    assert_false(fcng_share_read(share, FCNG_SHARE_ADDRESSES, &row));
    for (int i = 0; i < FCNG_SHARE_ADDRESSES; i++) {
        fcng_share_detach(seat[i]);
    }
    fcng_share_leave(share);
    munmap(memory, fcng_share_size());
}

static void test_failing_memory(void **state)
{
    (void)state;
    void *memory = map();
    fcng_share_host host = { all_alive, NULL, no_pause, NULL };
    for (unsigned long at = 1; at <= 2; at++) {
        failalloc f;
        failalloc_init(&f, at);
        fcng_share *share = fcng_share_join(&f.mem, memory, 1, &host);
        if (share != NULL) {
            assert_null(fcng_share_attach(share, text("a")));
            fcng_share_leave(share);
        }
        assert_int_equal(f.live, 0);
    }
    munmap(memory, fcng_share_size());
}

/* --- real processes and threads --- */

static bool pid_exists(uint32_t pid, void *ctx)
{
    (void)ctx;
    return kill((pid_t)pid, 0) == 0;
}

static void yield(void *ctx)
{
    (void)ctx;
    sched_yield();
}

#define CAP 3

typedef struct meter {
    _Atomic int open, highest;
    _Atomic unsigned long opened;
} meter;

/* False: there was no place. */
static bool one_connection(fcng_pool *pool, meter *m)
{
    fcng_pool_conn conn = { 0 };
    if (ask(pool, NULL, T0) != FCNG_POOL_OPEN) {
        sched_yield();
        return false;
    }
    int now = ++m->open, highest = m->highest;
    while (now > highest
           && !__atomic_compare_exchange_n((int *)&m->highest, &highest, now,
                                           false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST)) {
    }
    m->opened++;
    fcng_pool_add(pool, &conn, FCNG_POOL_ANY, T0);
    sched_yield();
    m->open--;
    gone(pool, &conn);
    return true;
}

static void serve(void *memory, meter *m, unsigned long times)
{
    fcng_share_host host = { pid_exists, NULL, yield, NULL };
    fcng_pool_options o = limits(CAP);
    fcng_share *share = fcng_share_join(NULL, memory, (uint32_t)getpid(),
                                        &host);
    fcng_seat *seat = fcng_share_attach(share, text("unix:/app"));
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_share(pool, seat);
    for (unsigned long opened = 0; opened < times;) {
        opened += one_connection(pool, m);
    }
    fcng_pool_del(pool);
    fcng_share_detach(seat);
    fcng_share_leave(share);
}

static void test_processes_never_exceed_the_limit(void **state)
{
    (void)state;
    void *memory = map();
    meter *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child[6];
    for (int i = 0; i < 6; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            serve(memory, m, 2000);
            _exit(0);
        }
    }
    for (int i = 0; i < 6; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(m->open, 0);
    assert_in_range(m->highest, 1, CAP);
    assert_int_equal(m->opened, 6 * 2000);
    munmap(memory, fcng_share_size());
    munmap(m, sizeof(*m));
}

/* Killed at any instruction: afterwards every place is free again. */
static void test_killed_processes_lose_no_place(void **state)
{
    (void)state;
    void *memory = map();
    meter *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int round = 0; round < 40; round++) {
        pid_t child[2];
        for (int i = 0; i < 2; i++) {
            child[i] = fork();
            if (child[i] == 0) {
                for (;;) {
                    serve(memory, m, 50);
                }
            }
        }
        usleep((useconds_t)(500 + round * 137 % 3000));
        for (int i = 0; i < 2; i++) {
            kill(child[i], SIGKILL);
            waitpid(child[i], NULL, 0);
        }
    }
    fcng_share_host host = { pid_exists, NULL, yield, NULL };
    fcng_pool_options o = limits(CAP);
    fcng_share *share = fcng_share_join(NULL, memory, (uint32_t)getpid(),
                                        &host);
    fcng_seat *seat = fcng_share_attach(share, text("unix:/app"));
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_share(pool, seat);
    fcng_share_row row;
    assert_true(fcng_share_read(share, 0, &row)); /* looks for the dead */
    assert_int_equal(row.processes, 1);
    for (int i = 0; i < CAP; i++) {
        assert_int_equal(ask(pool, NULL, T0), FCNG_POOL_OPEN);
    }
    assert_int_equal(ask(pool, NULL, T0), FCNG_POOL_REFUSE);
    for (int i = 0; i < CAP; i++) {
        fcng_pool_give_up(pool, FCNG_POOL_ANY);
    }
    fcng_pool_del(pool);
    fcng_share_detach(seat);
    fcng_share_leave(share);
    munmap(memory, fcng_share_size());
    munmap(m, sizeof(*m));
}

typedef struct racer {
    fcng_share *share;
    meter *m;
} racer;

static void *race(void *data)
{
    racer *r = data;
    fcng_pool_options o = limits(CAP);
    for (int i = 0; i < 20; i++) {
        fcng_seat *seat = fcng_share_attach(r->share, text("unix:/app"));
        fcng_pool *pool = fcng_pool_new(NULL, &o);
        fcng_pool_share(pool, seat);
        for (int k = 0; k < 50; k++) {
            one_connection(pool, r->m);
        }
        fcng_pool_del(pool);
        fcng_share_detach(seat);
    }
    return NULL;
}

static void test_threads_of_one_process(void **state)
{
    (void)state;
    void *memory = map();
    meter m = { 0 };
    fcng_share_host host = { pid_exists, NULL, yield, NULL };
    racer r = { fcng_share_join(NULL, memory, (uint32_t)getpid(), &host),
                &m };
    fcng_seat *held = fcng_share_attach(r.share, text("unix:/app"));
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, race, &r), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_int_equal(m.open, 0);
    assert_in_range(m.highest, 1, CAP);
    fcng_share_detach(held);
    fcng_share_leave(r.share);
    munmap(memory, fcng_share_size());
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_limit_counts_all_processes),
    cmocka_unit_test(test_an_idle_connection_gives_way),
    cmocka_unit_test(test_no_more_is_kept_than_was_needed_at_once),
    cmocka_unit_test(test_what_the_operator_wants_kept_is_kept),
    cmocka_unit_test(test_whoever_waits_longer_goes_first),
    cmocka_unit_test(test_a_long_queue_keeps_its_order),
    cmocka_unit_test(test_without_a_queue_idle_ones_give_way),
    cmocka_unit_test(test_two_pools_of_one_process),
    cmocka_unit_test(test_one_place_at_a_time_is_given),
    cmocka_unit_test(test_a_newcomer_waits_behind_others),
    cmocka_unit_test(test_a_place_nobody_needs_goes_on),
    cmocka_unit_test(test_who_waits_looks_again_by_itself),
    cmocka_unit_test(test_a_smaller_limit_counts_what_is_open),
    cmocka_unit_test(test_others_yield_to_one_without_a_byte),
    cmocka_unit_test(test_the_more_patient_look_again),
    cmocka_unit_test(test_a_dead_process_gives_everything_back),
    cmocka_unit_test(test_a_place_given_to_a_dead_process_comes_back),
    cmocka_unit_test(test_a_pid_that_comes_again),
    cmocka_unit_test(test_no_slot_left),
    cmocka_unit_test(test_addresses_that_nobody_has_make_room),
    cmocka_unit_test(test_failing_memory),
    cmocka_unit_test(test_processes_never_exceed_the_limit),
    cmocka_unit_test(test_killed_processes_lose_no_place),
    cmocka_unit_test(test_threads_of_one_process),
};

UNIT_MAIN(tests)
