/* SPDX-License-Identifier: BSD-2-Clause */
/* What GET_VALUES_RESULTs say.  Spec: 4.1. */
#include "unit.h"
#include "split.h"
#include "wire.h"

static fcng_values parsed(fcng_str pairs)
{
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, pairs), FCNG_OK);
    return v;
}

static void expect(fcng_str pairs, int64_t conns, int64_t reqs, int64_t mpxs)
{
    fcng_values v = parsed(pairs);
    assert_int_equal(v.max_conns, conns);
    assert_int_equal(v.max_reqs, reqs);
    assert_int_equal(v.mpxs_conns, mpxs);
}

static void test_point40_in_any_order_and_not_all(void **state)
{
    (void)state;
    expect(BYTES("\x0e\1FCGI_MAX_CONNS1\x0d\2FCGI_MAX_REQS50"
                 "\x0f\1FCGI_MPXS_CONNS0"),
           1, 50, 0);
    expect(BYTES("\x0f\1FCGI_MPXS_CONNS1\x0e\3FCGI_MAX_CONNS128"), 128, -1, 1);
    expect(BYTES(""), -1, -1, -1);
    expect(BYTES("\4\1OTHR7\x0d\1FCGI_MAX_REQS2"), -1, 2, -1);
    /* nameless and valueless pairs are tolerated, point 9 */
    expect(BYTES("\0\0\0\1x\x0d\0FCGI_MAX_REQS"), -1, -1, -1);
}

static void test_point40_what_is_no_number_is_left_out(void **state)
{
    (void)state;
    expect(BYTES("\x0e\2FCGI_MAX_CONNS-1\x0d\2FCGI_MAX_REQS1x"
                 "\x0f\4FCGI_MPXS_CONNStrue"),
           -1, -1, -1);
    expect(BYTES("\x0e\x0a" "FCGI_MAX_CONNS9999999999"), -1, -1, -1);
    expect(BYTES("\x0e\x09" "FCGI_MAX_CONNS999999999"), 999999999, -1, -1);
    expect(BYTES("\x0e\2FCGI_MAX_CONNS 1"), -1, -1, -1);
    expect(BYTES("\x0e\1fcgi_max_conns1"), -1, -1, -1);
}

static void test_point40_several_results_add_up(void **state)
{
    (void)state;
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0e\1FCGI_MAX_CONNS4")),
                     FCNG_OK);
    assert_int_equal(fcng_values_parse(&v, BYTES("")), FCNG_OK);
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0d\1FCGI_MAX_REQS5")),
                     FCNG_OK);
    assert_int_equal(v.max_conns, 4);
    assert_int_equal(v.max_reqs, 5);
    assert_int_equal(v.mpxs_conns, -1);
}

static void test_point8_broken_pairs_are_an_error(void **state)
{
    (void)state;
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0e\2FCGI_MAX_CONNS1")),
                     FCNG_ERR_PARAM_ENCODING);
    assert_int_equal(fcng_values_parse(&v, BYTES("\xff\xff\xff\xff\xff")),
                     FCNG_ERR_PARAM_ENCODING);
    assert_int_equal(v.max_conns, -1);
}

/* --- how applications answer, row by row --- */

#define CONNS(n) "\x0e" n "FCGI_MAX_CONNS"
#define REQS(n) "\x0d" n "FCGI_MAX_REQS"
#define MPXS(n) "\x0f\1FCGI_MPXS_CONNS" n

typedef struct row {
    const char *name;
    fcng_str answer;
    int closed;       /* how the connection ends behind it, or 0 */
    const char *want; /* conns/reqs/mpxs, records of each kind */
} row;

#define ANSWER(literal) { literal, sizeof(literal) - 1 }

static const row rows[] = {
    { "libfcgi C, FCGI.pm, fcgiwrap, Shibboleth SP",
      ANSWER(H("\x0a", "\0", "\0\x33", "\5") CONNS("\1") "1" REQS("\1") "1"
             MPXS("0") "#####"),
      0, "1/1/0 1 0" },
    { "FCGI::Async, Net::Async::FastCGI",
      ANSWER(H("\x0a", "\0", "\0\x39", "\7") CONNS("\4") "1024" REQS("\4")
             "1024" MPXS("1") "#######"),
      0, "1024/1024/1 1 0" },
    { "Go net/http/fcgi: one variable, and a second, empty result",
      ANSWER(H("\x0a", "\0", "\0\x12", "\6") MPXS("1") "######"
             EMPTY("\x0a", "\0")),
      0, "-1/-1/1 2 0" },
    { "php-fpm",
      ANSWER(H("\x0a", "\0", "\0\x12", "\6") MPXS("0") "\0\0\0\0\0\0"),
      0, "-1/-1/0 1 0" },
    { "php-fpm that closes behind its answer (php bug 76922)",
      ANSWER(H("\x0a", "\0", "\0\x12", "\6") MPXS("0") "\0\0\0\0\0\0"),
      FCNG_ERR_CLOSED, "-1/-1/0 1 0" },
    { "tokio-fastcgi",
      ANSWER(H("\x0a", "\0", "\0\x35", "\0") CONNS("\2") "10" REQS("\2") "10"
             MPXS("1")),
      0, "10/10/1 1 0" },
    { "deno_fcgi",
      ANSWER(H("\x0a", "\0", "\0\x37", "\0") MPXS("0") CONNS("\3") "128"
             REQS("\3") "128"),
      0, "128/128/0 1 0" },
    { "node-fastcgi, and others that answer on any id",
      ANSWER(H("\x0a", "\1", "\0\x39", "\0") CONNS("\4") "2000" REQS("\4")
             "2000" MPXS("1")),
      0, "2000/2000/1 1 0" },
    { "ruby-fcgi: the process dies", { NULL, 0 }, FCNG_ERR_CLOSED,
      "-1/-1/-1 0 0" },
    { "uwsgi, HyperFastCgi: no answer", { NULL, 0 }, FCNG_ERR_TIMEOUT,
      "-1/-1/-1 0 0" },
    { "flup6: an empty result", ANSWER(EMPTY("\x0a", "\0")), 0,
      "-1/-1/-1 1 0" },
    { "fastcgi++: a record for each variable",
      ANSWER(H("\x0a", "\0", "\0\x12", "\0") CONNS("\2") "10"
             H("\x0a", "\0", "\0\x11", "\0") REQS("\2") "50"
             H("\x0a", "\0", "\0\x12", "\0") MPXS("1")),
      0, "10/50/1 3 0" },
    { "fcgi_responder",
      ANSWER(H("\x0a", "\0", "\0\x34", "\0") CONNS("\1") "1" REQS("\2") "10"
             MPXS("1")),
      0, "1/10/1 1 0" },
    { "UNKNOWN_TYPE for it",
      ANSWER(H("\x0b", "\0", "\0\x08", "\0") "\x09\0\0\0\0\0\0\0"), 0,
      "-1/-1/-1 0 1" },
};

static void ask_split(fcng_str whole, const size_t *end, size_t n, void *arg,
                      bytes *log)
{
    const row *r = arg;
    fcng_conn_options options = { .keep_conn = true };
    fcng_conn *conn = fcng_conn_new(NULL, &options);
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    fcng_str slice[2];
    size_t slices, from = 0;
    assert_int_equal(fcng_conn_output(conn, slice, 2, &slices), FCNG_OK);
    assert_int_equal(slices, 1);
    /* padded: libfcgi answers only when more bytes follow */
    assert_int_equal(slice[0].data[6], 8);
    assert_int_equal(slice[0].len % 8, 0);
    fcng_conn_sent(conn, slice[0].len);
    fcng_values v = { -1, -1, -1 };
    int results = 0, unknown = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t to = i < n ? end[i] : from;
        assert_int_equal(fcng_conn_feed(conn, whole.data + from, to - from),
                         FCNG_OK);
        if (i == n && r->closed != 0) {
            fcng_conn_fail(conn, r->closed);
        }
        fcng_event ev;
        while (fcng_conn_next_event(conn, SIZE_MAX, &ev) == FCNG_OK) {
            assert_null(ev.request);
            results += ev.type == FCNG_EV_VALUES;
            unknown += ev.type == FCNG_EV_UNKNOWN_TYPE;
            if (ev.type == FCNG_EV_VALUES) {
                assert_int_equal(fcng_values_parse(&v, ev.bytes), FCNG_OK);
            }
        }
        from = to;
    }
    assert_int_equal(fcng_conn_reusable(conn), r->closed == 0);
    char line[80];
    snprintf(line, sizeof(line), "%d/%d/%d %d %d", (int)v.max_conns,
             (int)v.max_reqs, (int)v.mpxs_conns, results, unknown);
    bytes_add(log, text(line));
    fcng_conn_del(conn);
}

static void test_law8_point40_how_applications_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("# %s\n", rows[i].name);
        row r = rows[i];
        split_expect(ask_split, r.answer, &r, text(r.want));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point40_in_any_order_and_not_all),
    cmocka_unit_test(test_point40_what_is_no_number_is_left_out),
    cmocka_unit_test(test_point40_several_results_add_up),
    cmocka_unit_test(test_point8_broken_pairs_are_an_error),
    cmocka_unit_test(test_law8_point40_how_applications_answer),
};

UNIT_MAIN(tests)
