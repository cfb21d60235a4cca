/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold for any conversation: thousands of random ones, each decoded
 * here a second time by simpler means.  The seed is fixed; a failure names it.
 */
#include "unit.h"

static uint32_t seed;

/* xorshift: 0 <= result < |n| */
static uint32_t any(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

static const fcng_conn_options keep = { .keep_conn = true };

/* --- the application's side, written from Spec 3.3 --- */

static void add_record(bytes *out, int type, int id, const bytes *content,
                       size_t padding)
{
    char hd[8] = { 1, (char)type, 0, (char)id, (char)(content->len >> 8),
                   (char)content->len, (char)padding, (char)any(256) };
    char pad[256];
    memset(pad, 0x5a, sizeof(pad));
    bytes_add(out, (fcng_str){ hd, 8 });
    bytes_add(out, bytes_str(content));
    bytes_add(out, (fcng_str){ pad, padding });
}

static size_t any_padding(void)
{
    return any(3) == 0 ? any(256) : 0;
}

/* A record of |mark|s, which are added to |sum| as well. */
static void add_marks(bytes *out, int type, int id, char mark, bytes *sum)
{
    bytes content = { NULL, 0 };
    size_t len = 1 + (any(8) == 0 ? any(30000) : any(40));
    char *marks = malloc(len);
    assert_non_null(marks);
    memset(marks, mark, len);
    bytes_add(&content, (fcng_str){ marks, len });
    add_record(out, type, id, &content, any_padding());
    if (sum != NULL) {
        bytes_add(sum, bytes_str(&content));
    }
    bytes_free(&content);
    free(marks);
}

static void add_end(bytes *out, int id)
{
    bytes body = { NULL, 0 };
    bytes_add(&body, BYTES("\0\0\0\0\0\0\0\0"));
    if (any(4) == 0) {
        bytes_add(&body, BYTES("more"));
    }
    add_record(out, 3, id, &body, any_padding());
    bytes_free(&body);
}

static const bytes nothing = { NULL, 0 };

/* Records that concern nobody. */
static void add_noise(bytes *out, int id)
{
    switch (any(4)) {
    case 0:
        add_marks(out, 77, id, '?', NULL); /* an unknown type */
        break;
    case 1:
        add_marks(out, 6, 9, '?', NULL); /* an unknown id */
        break;
    case 2:
        add_record(out, 7, id, &nothing, any_padding());
        break;
    case 3:
        add_record(out, 10, 0, &nothing, any_padding());
        break;
    }
}

typedef struct answer {
    bytes wire, out, err;
    size_t end_at; /* where in |wire| END_REQUEST begins */
} answer;

static void make_answer(answer *a, int id, char mark, bool noisy)
{
    memset(a, 0, sizeof(*a));
    for (uint32_t n = any(8); n > 0; n--) {
        if (any(3) > 0) {
            add_marks(&a->wire, 6, id, mark, &a->out);
        } else {
            add_marks(&a->wire, 7, id, mark, &a->err);
        }
        if (noisy && any(4) == 0) {
            add_noise(&a->wire, id);
        }
    }
    if (any(2) > 0) {
        add_record(&a->wire, 6, id, &nothing, any_padding());
        if (noisy && any(2) > 0) {
            add_marks(&a->wire, 6, id, '!', NULL); /* behind its own end */
        }
    }
    a->end_at = a->wire.len;
    add_end(&a->wire, id);
}

static void free_answer(answer *a)
{
    bytes_free(&a->wire);
    bytes_free(&a->out);
    bytes_free(&a->err);
}

/* --- the web server's side --- */

typedef struct seen {
    bytes out, err;
    int ends, failures, error;
} seen;

static void pull(fcng_conn *conn, seen *s, bool may_hold)
{
    fcng_event ev;
    bool held = false;
    for (;;) {
        size_t max = may_hold && !held && any(3) == 0 ? 0 : 1 + any(5000);
        if (fcng_conn_next_event(conn, max, &ev) != FCNG_OK) {
            held = max == 0;
            if (held && fcng_conn_unread(conn) > 0) {
                continue;
            }
            assert_int_equal(fcng_conn_unread(conn), 0);
            return;
        }
        assert_true(ev.request == NULL || s->ends + s->failures == 0);
        switch (ev.type) {
        case FCNG_EV_STDOUT:
            assert_in_range(ev.bytes.len, 1, max);
            bytes_add(&s->out, ev.bytes);
            break;
        case FCNG_EV_STDERR:
            bytes_add(&s->err, ev.bytes);
            break;
        case FCNG_EV_END:
            s->ends++;
            break;
        case FCNG_EV_FAILED:
            s->failures++;
            s->error = ev.error;
            break;
        case FCNG_EV_STDOUT_END:
        case FCNG_EV_VALUES:
        case FCNG_EV_UNKNOWN_TYPE:
        case FCNG_EV_OVERRUN:
            break;
        }
    }
}

/* Reads |in| as a host does: in pieces, some of them straight into place. */
static void receive(fcng_conn *conn, fcng_request *request, fcng_str in,
                    seen *s)
{
    while (in.len > 0) {
        size_t want = fcng_conn_want(conn);
        size_t len = 1 + any(any(4) == 0 ? 40000 : 60);
        len = len < in.len ? len : in.len;
        if (want > 0 && any(2) == 0) {
            len = len < want ? len : want;
            bytes_add(&s->out, (fcng_str){ in.data, len });
            fcng_conn_took(conn, len);
            assert_true(fcng_request_answered(request));
        } else {
            char *exact = malloc(len);
            assert_non_null(exact);
            memcpy(exact, in.data, len);
            assert_int_equal(fcng_conn_feed(conn, exact, len), FCNG_OK);
            pull(conn, s, true);
            free(exact);
        }
        in.data += len;
        in.len -= len;
    }
}

static void expect_seen(const seen *s, const answer *a)
{
    assert_str(bytes_str(&s->out), bytes_str(&a->out));
    assert_str(bytes_str(&s->err), bytes_str(&a->err));
    assert_int_equal(s->ends, 1);
    assert_int_equal(s->failures, 0);
}

static void free_seen(seen *s)
{
    bytes_free(&s->out);
    bytes_free(&s->err);
    memset(s, 0, sizeof(*s));
}

static fcng_request *submit(fcng_conn *conn)
{
    fcng_submit sub = { .role = FCNG_RESPONDER, .params = text("\1\1AB") };
    fcng_request *request = NULL;
    assert_int_equal(fcng_conn_submit(conn, &sub, &request), FCNG_OK);
    fcng_str slice[4];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    while (n > 0) {
        fcng_conn_sent(conn, slice[0].len);
        assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    }
    return request;
}

/* Law 6, points 27, 28 and 37: whatever comes late, each request gets its own
   answer and nothing of another's, for as long as its connection is kept. */
static void test_law6_late_bytes_never_reach_the_next_request(void **state)
{
    (void)state;
    unsigned kept = 0, late_on_kept = 0;
    for (uint32_t run = 1; run <= 3000; run++) {
        seed = run * 2654435761u;
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        bool noisy = any(3) == 0;
        bytes late = { NULL, 0 };
        for (int k = 0; k < 6; k++) {
            if (k > 0 && !fcng_conn_reusable(conn)) {
                break;
            }
            kept += k > 0;
            fcng_request *request = submit(conn);
            answer a;
            make_answer(&a, fcng_request_id(request), (char)('a' + k), noisy);
            seen s = { .ends = 0 };
            late_on_kept += late.len > 0;
            receive(conn, request, bytes_str(&late), &s);
            bytes_free(&late);
            receive(conn, request, bytes_str(&a.wire), &s);
            expect_seen(&s, &a);
            if (any(3) == 0) { /* comes during the next request */
                int id = fcng_request_id(request);
                add_marks(&late, any(2) ? 6 : 7, id, '#', NULL);
                if (any(2) > 0) {
                    add_end(&late, id);
                }
            }
            fcng_request_release(request);
            free_answer(&a);
            free_seen(&s);
        }
        bytes_free(&late);
        fcng_conn_del(conn);
    }
    assert_true(kept > 1000);
    assert_true(late_on_kept > 500);
}

/* Point 53: a connection that closes anywhere before the end of END_REQUEST
   is a failure, and what came before it is delivered. */
static void test_point53_closed_anywhere(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 3000; run++) {
        seed = run * 2246822519u;
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        fcng_request *request = submit(conn);
        answer a;
        make_answer(&a, fcng_request_id(request), 'a', true);
        seen s = { .ends = 0 };
        size_t cut = any((uint32_t)a.end_at + 16); /* 16 make it whole */
        receive(conn, request, (fcng_str){ a.wire.data, cut }, &s);
        assert_int_equal(s.ends, 0);
        fcng_conn_fail(conn, FCNG_ERR_CLOSED);
        pull(conn, &s, false);
        assert_int_equal(s.failures, 1);
        assert_int_equal(s.error, FCNG_ERR_CLOSED);
        assert_true(s.out.len <= a.out.len);
        if (s.out.len > 0) {
            assert_memory_equal(s.out.data, a.out.data, s.out.len);
        }
        assert_false(fcng_conn_reusable(conn));
        fcng_request_release(request);
        fcng_conn_del(conn);
        free_answer(&a);
        free_seen(&s);
    }
}

/* Bytes of no sense at all end in an error or in waiting, never elsewhere. */
static void test_any_bytes_whatever(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 20000; run++) {
        seed = run * 3266489917u;
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        fcng_request *request = submit(conn);
        char in[200];
        for (size_t i = 0; i < sizeof(in); i++) {
            in[i] = (char)(any(3) == 0 ? any(256) : any(12));
            if (i % 8 == 0 && any(8) > 0) {
                in[i] = 1;
            }
        }
        seen s = { .ends = 0 };
        receive(conn, request, (fcng_str){ in, 1 + any(sizeof(in)) }, &s);
        fcng_conn_fail(conn, FCNG_ERR_CLOSED);
        pull(conn, &s, false);
        assert_int_equal(s.ends + s.failures, 1);
        fcng_request_release(request);
        fcng_conn_del(conn);
        free_seen(&s);
    }
}

/* --- what we send, decoded --- */

typedef struct stream_seen {
    bytes all;
    bool ended;
    unsigned records;
} stream_seen;

/* Laws 2 and 3, points 1, 3, 4, 16 and 18. */
static void decode_sent(fcng_str wire, int id, stream_seen *params,
                        stream_seen *in)
{
    const unsigned char *at = (const unsigned char *)wire.data;
    size_t left = wire.len;
    bool begun = false;
    while (left > 0) {
        assert_true(left >= 8);
        size_t len = (size_t)(at[4] << 8 | at[5]);
        assert_int_equal(at[0], 1);
        assert_int_equal(at[2] << 8 | at[3], id);
        assert_int_equal(at[6], 0);
        assert_int_equal(at[7], 0);
        assert_true(len <= 65528);
        assert_true(left >= 8 + len);
        stream_seen *s = at[1] == 4 ? params : in;
        if (!begun) {
            assert_int_equal(at[1], 1);
            assert_int_equal(len, 8);
            begun = true;
        } else {
            assert_true(at[1] == 4 || at[1] == 5);
            assert_false(s->ended);
            assert_true(at[1] == 4 || params->ended);
            s->ended = len == 0;
            s->records++;
            bytes_add(&s->all, (fcng_str){ (const char *)at + 8, len });
        }
        at += 8 + len;
        left -= 8 + len;
    }
}

/* Law 1: a record of pairs can be read by itself. */
static void expect_whole_pairs(fcng_str wire)
{
    while (wire.len > 0) {
        const unsigned char *at = (const unsigned char *)wire.data;
        size_t len = (size_t)(at[4] << 8 | at[5]);
        fcng_str pairs = { wire.data + 8, len }, name, value;
        if (at[1] == 4) {
            int err;
            while ((err = fcng_params_next(&pairs, &name, &value))
                   == FCNG_OK) {
            }
            assert_int_equal(err, FCNG_AGAIN);
        }
        wire.data += 8 + len;
        wire.len -= 8 + len;
    }
}

static void write_some(fcng_conn *conn, fcng_request *request, bytes *wire)
{
    fcng_str slice[8];
    size_t n, total = 0;
    assert_int_equal(fcng_conn_output(conn, slice, 1 + any(8), &n), FCNG_OK);
    for (size_t i = 0; i < n; i++) {
        total += slice[i].len;
    }
    if (total == 0) {
        return;
    }
    size_t part = any(2) ? total : 1 + any((uint32_t)total);
    size_t left = part;
    for (size_t i = 0; i < n && left > 0; i++) {
        size_t len = slice[i].len < left ? slice[i].len : left;
        bytes_add(wire, (fcng_str){ slice[i].data, len });
        left -= len;
    }
    fcng_conn_sent(conn, part);
    assert_true(fcng_request_sent(request) <= fcng_request_offered(request));
}

static void make_params(fcng_params *p, bool large)
{
    fcng_params_init(p, NULL);
    char *value = malloc(80000);
    assert_non_null(value);
    memset(value, 'v', 80000);
    for (uint32_t n = any(30); n > 0; n--) {
        uint32_t max = any(6) > 0 ? 200 : large ? 80000 : 65000;
        assert_int_equal(fcng_params_add(p, text("NAME"),
                                         (fcng_str){ value, any(max) }),
                         FCNG_OK);
    }
    free(value);
}

static void test_laws_1_to_3_whatever_is_sent(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 400; run++) {
        seed = run * 668265263u;
        bool large = any(2) == 0, known = any(2) == 0;
        fcng_conn_options options = { .keep_conn = true,
                                      .split_large_params = large };
        fcng_conn *conn = fcng_conn_new(NULL, &options);
        fcng_params params;
        make_params(&params, large);
        size_t len = any(3) == 0 ? any(300000) : any(3000), at = 0;
        char *body = malloc(len + 1);
        assert_non_null(body);
        for (size_t i = 0; i < len; i++) {
            body[i] = (char)any(256);
        }
        fcng_submit sub = { .role = FCNG_RESPONDER,
                            .params = { params.data, params.len },
                            .stdin_length
                            = known ? len : FCNG_LENGTH_UNKNOWN };
        fcng_request *request = NULL;
        assert_int_equal(fcng_conn_submit(conn, &sub, &request), FCNG_OK);
        bytes wire = { NULL, 0 };
        bool fin = false;
        while (!fin || fcng_conn_wants_write(conn)) {
            size_t part = any(4) == 0 ? any(70000) : any(5000);
            part = part < len - at ? part : len - at;
            bool last = at + part == len && any(2) == 0;
            if (!fin && any(2) == 0) {
                int err = fcng_request_offer(request, FCNG_STDIN, body + at,
                                             part, last);
                assert_in_range(err, FCNG_OK, FCNG_AGAIN);
                at += err == FCNG_OK ? part : 0;
                fin = err == FCNG_OK && last;
            } else {
                write_some(conn, request, &wire);
            }
        }
        stream_seen p = { .records = 0 }, in = { .records = 0 };
        decode_sent(bytes_str(&wire), fcng_request_id(request), &p, &in);
        assert_str(bytes_str(&p.all), (fcng_str){ params.data, params.len });
        assert_str(bytes_str(&in.all), (fcng_str){ body, len });
        assert_true(p.ended && in.ended);
        assert_int_equal(fcng_request_sent(request), len);
        if (!large) {
            expect_whole_pairs(bytes_str(&wire));
        }
        bytes_free(&p.all);
        bytes_free(&in.all);
        bytes_free(&wire);
        fcng_params_fini(&params);
        free(body);
        fcng_conn_del(conn);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_law6_late_bytes_never_reach_the_next_request),
    cmocka_unit_test(test_point53_closed_anywhere),
    cmocka_unit_test(test_any_bytes_whatever),
    cmocka_unit_test(test_laws_1_to_3_whatever_is_sent),
};

UNIT_MAIN(tests)
