/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that fails at each place in turn: a call that found none has changed
 * nothing, so that the same call, made again, goes on as if nothing had been.
 * What is written in the end is the same byte for byte, and nothing is lost.
 */
#include "unit.h"

/* Makes |call| again when it found no memory, which happens once. */
#define AGAIN(err, call)                                                      \
    do {                                                                      \
        (err) = (call);                                                       \
        if ((err) == FCNG_ERR_NOMEM) {                                        \
            (err) = (call);                                                   \
        }                                                                     \
    } while (0)

typedef void scene(failalloc *f, bytes *out);

/* Plays |play| with memory that fails at every place. */
static void fail_everywhere(scene *play, unsigned long at_least)
{
    failalloc f;
    bytes want = { NULL, 0 };
    failalloc_init(&f, 0);
    play(&f, &want);
    assert_int_equal(f.live, 0);
    unsigned long calls = f.calls;
    assert_in_range(calls, at_least, 1000);
    for (unsigned long n = 1; n <= calls; n++) {
        bytes got = { NULL, 0 };
        failalloc_init(&f, n);
        play(&f, &got);
        assert_true(f.calls > calls); /* it did fail, and was asked again */
        assert_int_equal(f.live, 0);
        assert_str(bytes_str(&got), bytes_str(&want));
        bytes_free(&got);
    }
    bytes_free(&want);
}

/* --- params, env --- */

static void make_params(failalloc *f, fcng_params *p)
{
    static const fcng_field fields[] = {
        { FCNG_STR("Host"), FCNG_STR("localhost") },
        { FCNG_STR("Cookie"), FCNG_STR("a=1") },
        { FCNG_STR("Cookie"), FCNG_STR("b=2") },
        { FCNG_STR("X_A"), FCNG_STR("x") },
        { FCNG_STR("X-A"), FCNG_STR("y") },
    };
    static const fcng_fields_policy policy = { .underscores = true };
    static char value[9000];
    memset(value, 'v', sizeof(value));
    fcng_env env = { 0 };
    env.var[FCNG_ENV_REQUEST_METHOD] = text("POST");
    env.var[FCNG_ENV_DOCUMENT_ROOT] = text("/srv");
    env.var[FCNG_ENV_PATH_INFO] = text("/a");
    fcng_params_init(p, &f->mem);
    int err;
    AGAIN(err, fcng_env_encode(p, &env, 0));
    assert_int_equal(err, FCNG_OK);
    AGAIN(err, fcng_env_fields(p, fields, 5, &policy));
    assert_int_equal(err, FCNG_OK);
    for (size_t len = 1; len < sizeof(value); len *= 3) {
        AGAIN(err, fcng_params_add(p, text("NAME"), (fcng_str){ value, len }));
        assert_int_equal(err, FCNG_OK);
        AGAIN(err, fcng_params_append(p, text("\1\1AB")));
        assert_int_equal(err, FCNG_OK);
    }
    AGAIN(err, fcng_params_reserve(p, 100000));
    assert_int_equal(err, FCNG_OK);
}

static void params_scene(failalloc *f, bytes *out)
{
    fcng_params p;
    make_params(f, &p);
    bytes_add(out, (fcng_str){ p.data, p.len });
    fcng_params_fini(&p);
}

static void test_params_and_env(void **state)
{
    (void)state;
    fail_everywhere(params_scene, 4);
}

/* --- conn, request, writer, reader --- */

static void write_all(fcng_conn *conn, bytes *out)
{
    fcng_str slice[3];
    size_t n;
    while (fcng_conn_wants_write(conn)) {
        int err;
        AGAIN(err, fcng_conn_output(conn, slice, 3, &n));
        assert_int_equal(err, FCNG_OK);
        assert_true(n > 0);
        size_t len = slice[0].len < 999 ? slice[0].len : 999;
        bytes_add(out, (fcng_str){ slice[0].data, len });
        fcng_conn_sent(conn, len);
    }
}

/* One request with |len| bytes of body in |pieces|, and its answer. */
static void one_request(fcng_conn *conn, fcng_str params, const char *body,
                        size_t len, size_t pieces, bytes *out)
{
    fcng_submit s = { .role = FCNG_RESPONDER, .params = params,
                      .stdin_length = len };
    fcng_request *request = NULL;
    int err;
    AGAIN(err, fcng_conn_submit(conn, &s, &request));
    assert_int_equal(err, FCNG_OK);
    for (size_t i = 0; i < pieces; i++) {
        size_t part = len / pieces;
        AGAIN(err, fcng_request_offer(request, FCNG_STDIN, body + i * part,
                                      part, i + 1 == pieces));
        assert_int_equal(err, FCNG_OK);
        if (i % 3 == 0) {
            write_all(conn, out);
        }
    }
    write_all(conn, out);
    char id = (char)fcng_request_id(request);
    const char answer[] = { 1, 6, 0, id, 0, 3, 2, 0, 'a', 'b', 'c', 0, 0,
                            1, 7, 0, id, 0, 1, 0, 0, 'e',
                            1, 3, 0, id, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    for (size_t i = 0; i < sizeof(answer); i += 5) {
        size_t part = sizeof(answer) - i < 5 ? sizeof(answer) - i : 5;
        assert_int_equal(fcng_conn_feed(conn, answer + i, part), FCNG_OK);
        fcng_event ev;
        while (fcng_conn_next_event(conn, 100, &ev) == FCNG_OK) {
            bytes_add(out, ev.bytes);
        }
    }
    fcng_request_release(request);
    assert_true(fcng_conn_reusable(conn));
}

static void conn_scene(failalloc *f, bytes *out)
{
    static const fcng_conn_options options = { .keep_conn = true,
                                               .split_large_params = true };
    static char body[60000], large[70000];
    memset(body, 'b', sizeof(body));
    memset(large, 'l', sizeof(large));
    fcng_conn *conn = fcng_conn_new(&f->mem, &options);
    if (conn == NULL) {
        conn = fcng_conn_new(&f->mem, &options);
    }
    assert_non_null(conn);
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text("NAME"),
                                     (fcng_str){ large, sizeof(large) }),
                     FCNG_OK);
    one_request(conn, text("\1\1AB"), body, 3000, 3, out);
    one_request(conn, (fcng_str){ p.data, p.len }, body, 0, 1, out);
    int err;
    AGAIN(err, fcng_conn_get_values(conn));
    assert_int_equal(err, FCNG_OK);
    write_all(conn, out);
    one_request(conn, (fcng_str){ p.data, p.len }, body, 60000, 12, out);
    fcng_params_fini(&p);
    fcng_conn_del(conn);
}

static void test_conn_request_and_writer(void **state)
{
    (void)state;
    fail_everywhere(conn_scene, 5);
}

/* --- pool --- */

static void pool_scene(failalloc *f, bytes *out)
{
    fcng_pool_options options;
    fcng_pool_options_init(&options);
    fcng_pool *pool = fcng_pool_new(&f->mem, &options);
    if (pool == NULL) {
        pool = fcng_pool_new(&f->mem, &options);
    }
    assert_non_null(pool);
    fcng_pool_conn conn = { 0 }, *got;
    fcng_pool_wait wait = { 0 };
    for (uint64_t now = 1; now < 4; now++) {
        char verdict = (char)fcng_pool_acquire(pool, &wait, false, now, &got);
        bytes_add(out, (fcng_str){ &verdict, 1 });
        if (verdict == FCNG_POOL_OPEN) {
            fcng_pool_add(pool, &conn, FCNG_POOL_ANY, now);
        }
        fcng_pool_started(pool, &conn, now);
        assert_true(fcng_pool_release(pool, &conn, true, now));
    }
    fcng_pool_remove(pool, &conn);
    fcng_pool_del(pool);
}

static void test_pool(void **state)
{
    (void)state;
    fail_everywhere(pool_scene, 1);
}

/* A connection that found no memory once is dropped like any other. */
static void test_dropped_in_the_middle(void **state)
{
    (void)state;
    static const fcng_conn_options options = { .keep_conn = true };
    static const char body[20000];
    for (unsigned long n = 2; n < 20; n++) {
        failalloc f;
        failalloc_init(&f, n);
        fcng_conn *conn = fcng_conn_new(&f.mem, &options);
        assert_non_null(conn);
        fcng_submit s = { .role = FCNG_RESPONDER, .params = text("\1\1AB"),
                          .stdin_length = sizeof(body) };
        fcng_request *request = NULL;
        if (fcng_conn_submit(conn, &s, &request) == FCNG_OK
            && fcng_request_offer(request, FCNG_STDIN, body, 100, false)
                   == FCNG_OK) {
            fcng_str slice[8];
            size_t len;
            fcng_conn_output(conn, slice, 8, &len);
            fcng_request_cancel(request, 0);
        }
        fcng_conn_del(conn);
        assert_int_equal(f.live, 0);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_params_and_env),
    cmocka_unit_test(test_conn_request_and_writer),
    cmocka_unit_test(test_pool),
    cmocka_unit_test(test_dropped_in_the_middle),
};

UNIT_MAIN(tests)
