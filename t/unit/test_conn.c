/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection: what is sent, byte for byte (written from the specification),
 * which events an application's bytes make, and when another request may
 * follow.  The numbers are those of docs/protocol.md.
 */
#include "unit.h"
#include "wire.h"

static const fcng_conn_options keep = { .keep_conn = true };
static const fcng_str pairs = FCNG_STR("\1\1AB");

static fcng_request *submit(fcng_conn *conn, uint64_t stdin_length)
{
    fcng_submit s = { .role = FCNG_RESPONDER,
                      .params = pairs,
                      .stdin_length = stdin_length,
                      .user = conn };
    fcng_request *request = NULL;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    return request;
}

/* Writes everything that is waiting, |step| bytes at a time. */
static void flush(fcng_conn *conn, size_t step, bytes *out)
{
    fcng_str slice[8];
    size_t n;
    for (;;) {
        assert_int_equal(fcng_conn_output(conn, slice, 8, &n), FCNG_OK);
        if (n == 0) {
            assert_false(fcng_conn_wants_write(conn));
            return;
        }
        assert_true(fcng_conn_wants_write(conn));
        size_t len = slice[0].len < step ? slice[0].len : step;
        if (out != NULL) {
            bytes_add(out, (fcng_str){ slice[0].data, len });
        }
        fcng_conn_sent(conn, len);
    }
}

static void expect_output(fcng_conn *conn, size_t step, fcng_str want)
{
    bytes out = { NULL, 0 };
    flush(conn, step, &out);
    assert_str(bytes_str(&out), want);
    bytes_free(&out);
}

/* Feeds |in| and writes the events down, e.g. "out=ab end0/0 ". */
static void pull(fcng_conn *conn, size_t max, bytes *log)
{
    fcng_event ev;
    while (fcng_conn_next_event(conn, max, &ev) == FCNG_OK) {
        char line[80];
        switch (ev.type) {
        case FCNG_EV_STDOUT:
        case FCNG_EV_STDERR:
            bytes_add(log, text(ev.type == FCNG_EV_STDOUT ? "<" : "{"));
            bytes_add(log, ev.bytes);
            bytes_add(log, text(ev.type == FCNG_EV_STDOUT ? ">" : "}"));
            break;
        case FCNG_EV_STDOUT_END:
            bytes_add(log, text("eof "));
            break;
        case FCNG_EV_END:
            snprintf(line, sizeof(line), "end %d %u %lu ", ev.error,
                     ev.protocol_status, (unsigned long)ev.app_status);
            bytes_add(log, text(line));
            break;
        case FCNG_EV_FAILED:
            snprintf(line, sizeof(line), "failed %d ", ev.error);
            bytes_add(log, text(line));
            break;
        case FCNG_EV_VALUES:
            bytes_add(log, text("values="));
            bytes_add(log, ev.bytes);
            bytes_add(log, text(" "));
            break;
        case FCNG_EV_UNKNOWN_TYPE:
            bytes_add(log, text("unknown "));
            break;
        case FCNG_EV_OVERRUN:
            bytes_add(log, text("overrun "));
            break;
        }
        if (ev.request != NULL) {
            assert_ptr_equal(ev.user, conn);
        }
    }
}

static void feed(fcng_conn *conn, fcng_str in, bytes *log)
{
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    pull(conn, SIZE_MAX, log);
    assert_int_equal(fcng_conn_unread(conn), 0);
}

static void join_pieces(bytes *log)
{
    /* "<a><b>" and "<ab>" say the same */
    size_t to = 0;
    for (size_t i = 0; i < log->len; i++) {
        if (i + 1 < log->len
            && ((log->data[i] == '>' && log->data[i + 1] == '<')
                || (log->data[i] == '}' && log->data[i + 1] == '{'))) {
            i++;
            continue;
        }
        log->data[to++] = log->data[i];
    }
    log->len = to;
}

/* One request without a body, the answer |in| in steps of |step| bytes (the
   first cut at |at|): the events, then whether it may be used again. */
static void answer_split(fcng_str in, size_t step, size_t at, const char *want,
                         bool reusable)
{
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 0);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    for (size_t from = 0; from < in.len;) {
        size_t len = at > from ? at - from : step;
        len = len > in.len - from ? in.len - from : len;
        feed(conn, (fcng_str){ in.data + from, len }, &log);
        from += len;
    }
    join_pieces(&log);
    assert_str(bytes_str(&log), text(want));
    assert_int_equal(fcng_conn_reusable(conn), reusable);
    bytes_free(&log);
    fcng_request_release(request);
    fcng_conn_del(conn);
}

static void answer(fcng_str in, const char *want, bool reusable)
{
    answer_split(in, in.len, 0, want, reusable);
    answer_split(in, 1, 0, want, reusable);
    for (size_t at = 1; at < in.len; at++) {
        answer_split(in, in.len, at, want, reusable);
    }
}

/* --- out --- */

static void test_point16_order_and_point17_ends(void **state)
{
    (void)state;
    for (size_t step = 1; step < 60; step++) {
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        submit(conn, 0);
        expect_output(conn, step,
                      BYTES(BEGIN_KEEP("\1") H("\4", "\1", "\0\4", "\0")
                            "\1\1AB" EMPTY("\4", "\1") EMPTY("\5", "\1")));
        fcng_conn_del(conn);
    }
}

static void test_small_request_is_one_slice(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 5);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "hello", 5, true),
                     FCNG_OK);
    fcng_str slice[8];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 8, &n), FCNG_OK);
    assert_int_equal(n, 1);
    assert_str(slice[0],
               BYTES(BEGIN_KEEP("\1") H("\4", "\1", "\0\4", "\0") "\1\1AB"
                     EMPTY("\4", "\1") H("\5", "\1", "\0\5", "\0") "hello"
                     EMPTY("\5", "\1")));
    assert_false(fcng_request_started(request));
    fcng_conn_sent(conn, 1);
    assert_true(fcng_request_started(request));
    assert_int_equal(fcng_request_sent(request), 0);
    fcng_conn_sent(conn, slice[0].len - 1);
    assert_int_equal(fcng_request_sent(request), 5);
    fcng_conn_del(conn);
}

static void test_point12_no_parameters(void **state)
{
    (void)state;
    fcng_conn_options once = { .keep_conn = false };
    fcng_conn *conn = fcng_conn_new(NULL, &once);
    fcng_submit s = { .role = FCNG_RESPONDER };
    fcng_request *request;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\1", "\1", "\0\x08", "\0") "\0\1\0\0\0\0\0\0"
                        EMPTY("\4", "\1") EMPTY("\5", "\1")));
    fcng_conn_del(conn);
}

/* Collects what is sent for a body of |len| bytes offered |step| at a time,
   and checks framing: no record over 65528, none empty but the last, no
   padding; the payload equals the body. */
static void check_body(size_t len, size_t step, size_t write)
{
    char *body = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i * 7 + i / 251);
    }
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, len);
    bytes out = { NULL, 0 };
    for (size_t at = 0; at < len; at += step) {
        size_t part = len - at < step ? len - at : step;
        assert_int_equal(fcng_request_offer(request, FCNG_STDIN, body + at,
                                            part, at + part == len),
                         FCNG_OK);
        flush(conn, write, &out);
        assert_int_equal(fcng_request_sent(request), at + part);
    }
    flush(conn, write, &out);
    size_t got = 0, ends = 0;
    for (size_t at = 0; at < out.len;) {
        fcng_record r;
        assert_true(out.len - at >= FCNG_HEADER_LEN);
        fcng_record_decode(&r, out.data + at);
        at += FCNG_HEADER_LEN;
        assert_int_equal(r.padding_len, 0);
        assert_true(r.content_len <= FCNG_MAX_PAYLOAD);
        if (r.type == FCNG_STDIN) {
            assert_int_equal(ends, 0);
            ends += r.content_len == 0;
            assert_memory_equal(out.data + at, body + got, r.content_len);
            got += r.content_len;
        }
        at += r.content_len;
    }
    assert_int_equal(got, len);
    assert_int_equal(ends, 1);
    bytes_free(&out);
    fcng_conn_del(conn);
    free(body);
}

static void test_law2_law3_point3_point4_point18_bodies(void **state)
{
    (void)state;
    static const size_t len[] = { 1, 4095, 4096, 65527, 65528, 65529, 65535,
                                  65536, 200000 };
    for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
        check_body(len[i], len[i], SIZE_MAX);
        check_body(len[i], len[i], 777);
        check_body(len[i], 5000, SIZE_MAX);
        check_body(len[i], 100000, 65536);
    }
    check_body(3000, 1, 5);
}

static void test_many_slices_in_one_record(void **state)
{
    (void)state;
    static char part[16][1000];
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 20000);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(
            fcng_request_offer(request, FCNG_STDIN, part[i], 1000, false),
            FCNG_OK);
    }
    assert_int_equal(
        fcng_request_offer(request, FCNG_STDIN, part[0], 1000, false),
        FCNG_AGAIN);
    assert_int_equal(fcng_request_offered(request), 16000);
    bytes out = { NULL, 0 };
    flush(conn, SIZE_MAX, &out);
    /* BEGIN, PARAMS of 4, its end: 16 + 12 + 8 bytes, then one record */
    assert_int_equal(out.len, 36 + 8 + 16000);
    assert_memory_equal(out.data + 36, H("\5", "\1", "\x3e\x80", "\0"), 8);
    bytes_free(&out);
    fcng_conn_del(conn);
}

static void test_point54_short_and_long_bodies_are_refused(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 3);
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "abcd", 4, true),
                     FCNG_ERR_STDIN_LONG);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, true),
                     FCNG_ERR_STDIN_SHORT);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, false),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX, BYTES(H("\5", "\1", "\0\2", "\0") "ab"));
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, NULL, 0, true),
                     FCNG_ERR_STDIN_SHORT);
    expect_output(conn, SIZE_MAX, BYTES(""));
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "c", 1, true),
                     FCNG_OK);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "d", 1, true),
                     FCNG_ERR_STDIN_LONG);
    fcng_conn_del(conn);
}

static void test_point55_body_of_unknown_length(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, FCNG_LENGTH_UNKNOWN);
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, false),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX, BYTES(H("\5", "\1", "\0\2", "\0") "ab"));
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, NULL, 0, true),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX, BYTES(EMPTY("\5", "\1")));
    fcng_conn_del(conn);
}

static void test_point61_data_comes_after_stdin(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_submit s = { .role = FCNG_FILTER,
                      .params = pairs,
                      .stdin_length = 2,
                      .data_length = 3 };
    fcng_request *request;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    assert_int_equal(fcng_request_offer(request, FCNG_DATA, "xyz", 3, true),
                     FCNG_ERR_INVALID);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, true),
                     FCNG_OK);
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_DATA, "xyz", 3, true),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\x08", "\1", "\0\3", "\0") "xyz"
                        EMPTY("\x08", "\1")));
    fcng_conn_del(conn);
}

static void test_point61_an_empty_file_ends_by_itself(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_submit s = { .role = FCNG_FILTER, .stdin_length = 2 };
    fcng_request *request;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, true),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\5", "\1", "\0\2", "\0") "ab"
                        EMPTY("\5", "\1") EMPTY("\x08", "\1")));
    assert_int_equal(fcng_request_offer(request, FCNG_DATA, "x", 1, true),
                     FCNG_ERR_STDIN_LONG);
    fcng_conn_del(conn);

    conn = fcng_conn_new(NULL, &keep);
    s.stdin_length = 0;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\1", "\1", "\0\x08", "\0") "\0\3\1\0\0\0\0\0"
                        EMPTY("\4", "\1") EMPTY("\5", "\1")
                        EMPTY("\x08", "\1")));
    fcng_conn_del(conn);
}

/* A Filter that answers from its own cache, or while STDIN still arrives. */
static void test_point62_point63_a_filter_answers_early(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_submit s = { .role = FCNG_FILTER,
                      .params = pairs,
                      .stdin_length = 2,
                      .data_length = 100,
                      .user = conn };
    fcng_request *request;
    bytes log = { NULL, 0 };
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    flush(conn, SIZE_MAX, NULL);
    feed(conn, BYTES(H("\6", "\1", "\0\2", "\0") "ok"), &log);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, true),
                     FCNG_OK);
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_DATA, "x", 1, false),
                     FCNG_OK);
    flush(conn, SIZE_MAX, NULL);
    feed(conn, BYTES(EMPTY("\6", "\1") END("\1", "\0")), &log);
    assert_str(bytes_str(&log), text("<ok>eof end 0 0 0 "));
    assert_int_equal(fcng_request_offer(request, FCNG_DATA, "x", 1, false),
                     FCNG_ERR_INVALID);
    fcng_request_release(request);
    assert_false(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law9_authorizer_gets_an_empty_stdin(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_submit s = { .role = FCNG_AUTHORIZER, .stdin_length = 99 };
    fcng_request *request;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\1", "\1", "\0\x08", "\0") "\0\2\1\0\0\0\0\0"
                        EMPTY("\4", "\1") EMPTY("\5", "\1")));
    fcng_conn_del(conn);
}

static void test_authorizer_may_get_no_stdin_at_all(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    bytes log = { NULL, 0 };
    fcng_submit s = { .role = FCNG_AUTHORIZER, .no_stdin = true,
                      .user = conn };
    fcng_request *request;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\1", "\1", "\0\x08", "\0") "\0\2\1\0\0\0\0\0"
                        EMPTY("\4", "\1")));
    assert_false(fcng_conn_wants_write(conn));
    feed(conn, BYTES(H("\3", "\1", "\0\x08", "\0")
                     "\0\0\0\0\0\0\0\0"), &log);
    fcng_request_release(request);
    assert_true(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_large_parameters(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    char *v = calloc(1, 70000);
    memset(v, 'v', 70000);
    assert_int_equal(fcng_params_add(&p, text("N"), (fcng_str){ v, 70000 }),
                     FCNG_OK);
    fcng_submit s = { .role = FCNG_RESPONDER, .params = { p.data, p.len } };
    fcng_request *request;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    assert_int_equal(fcng_conn_submit(conn, &s, &request),
                     FCNG_ERR_PARAM_SIZE);
    /* refused before a byte: the connection is as good as before */
    expect_output(conn, SIZE_MAX, BYTES(""));
    assert_true(fcng_conn_reusable(conn));
    fcng_conn_del(conn);

    fcng_conn_options split = { .keep_conn = true,
                                .split_large_params = true };
    conn = fcng_conn_new(NULL, &split);
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    bytes out = { NULL, 0 };
    flush(conn, SIZE_MAX, &out);
    size_t rest = p.len - 65528;
    assert_int_equal(out.len, 16 + 8 + 65528 + 8 + rest + 8 + 8);
    assert_memory_equal(out.data + 16, H("\4", "\1", "\xff\xf8", "\0"), 8);
    assert_memory_equal(out.data + 24, p.data, 65528);
    assert_memory_equal(out.data + 24 + 65528 + 8, p.data + 65528, rest);
    bytes_free(&out);
    fcng_conn_del(conn);
    fcng_params_fini(&p);
    free(v);
}

/* A role's whole beginning, the parameters in records of |first| bytes and,
   if there is one, |second|. */
static void expect_begin(enum fcng_role role, fcng_str params, size_t first,
                         size_t second)
{
    fcng_submit s = { .role = role, .params = params };
    fcng_request *request;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    bytes out = { NULL, 0 }, want = { NULL, 0 };
    flush(conn, 10000, &out);
    size_t len[2] = { first, second };
    bytes_add(&want, role == FCNG_FILTER
                         ? BYTES(H("\1", "\1", "\0\x08", "\0")
                                 "\0\3\1\0\0\0\0\0")
                         : BYTES(BEGIN_KEEP("\1")));
    for (int i = 0; i < 2 && len[i] > 0; i++) {
        char header[8] = { 1, 4, 0, 1, (char)(len[i] >> 8), (char)len[i] };
        bytes_add(&want, (fcng_str){ header, 8 });
        bytes_add(&want, (fcng_str){ params.data, len[i] });
        params.data += len[i];
    }
    bytes_add(&want, BYTES(EMPTY("\4", "\1") EMPTY("\5", "\1")));
    if (role == FCNG_FILTER) {
        bytes_add(&want, BYTES(EMPTY("\x08", "\1")));
    }
    assert_str(bytes_str(&out), bytes_str(&want));
    bytes_free(&out);
    bytes_free(&want);
    fcng_conn_del(conn);
}

static void test_parameters_that_fill_a_record(void **state)
{
    (void)state;
    static char pairs8[65528 + 8];
    for (size_t i = 0; i < sizeof(pairs8); i += 8) {
        memcpy(pairs8 + i, "\1\5Nvalue", 8);
        pairs8[i + 7] = (char)('a' + i / 8 % 26);
    }
    for (int i = 0; i < 2; i++) {
        enum fcng_role role = i == 0 ? FCNG_RESPONDER : FCNG_FILTER;
        expect_begin(role, (fcng_str){ pairs8, 0 }, 0, 0);
        expect_begin(role, (fcng_str){ pairs8, 65520 }, 65520, 0);
        expect_begin(role, (fcng_str){ pairs8, 65528 }, 65528, 0);
        expect_begin(role, (fcng_str){ pairs8, 65536 }, 65528, 8);
        memcpy(pairs8 + 65528, "\1\0X", 3);
        expect_begin(role, (fcng_str){ pairs8, 65531 }, 65528, 3);
        memcpy(pairs8 + 65528, "\1\5N", 3);
    }
}

static void test_law8_point40_get_values_is_padded(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES("\1\x09\0\0\0\x30\x08\0"
                        "\x0e\0FCGI_MAX_CONNS\x0d\0FCGI_MAX_REQS"
                        "\x0f\0FCGI_MPXS_CONNS\0\0\0\0\0\0\0\0"));
    fcng_conn_del(conn);
}

/* --- in --- */

static void test_point25_with_and_without_end_of_stdout(void **state)
{
    (void)state;
    /* point 25: an application may leave the empty STDOUT out, as php does */
    answer(BYTES(H("\6", "\1", "\0\2", "\0") "ab" END("\1", "\0")),
           "<ab>end 0 0 0 ", true);
    answer(BYTES(H("\6", "\1", "\0\2", "\0") "ab" EMPTY("\6", "\1")
                 EMPTY("\7", "\1") END("\1", "\0")),
           "<ab>eof end 0 0 0 ", true);
}

static void test_point2_padding_is_skipped(void **state)
{
    (void)state;
    answer(BYTES(H("\6", "\1", "\0\2", "\6") "ab######" H("\6", "\1", NONE,
                                                          "\x08") "########"
                 H("\3", "\1", "\0\x08", "\3") "\0\0\0\0\0\0\0\0###"),
           "<ab>eof end 0 0 0 ", true);
}

static void test_point43_stderr_anywhere(void **state)
{
    (void)state;
    answer(BYTES(H("\7", "\1", "\0\1", "\0") "e" H("\6", "\1", "\0\1", "\0")
                 "o" H("\7", "\1", "\0\1", "\7") "f#######"
                 EMPTY("\6", "\1") H("\7", "\1", "\0\1", "\0") "g"
                 END("\1", "\0")),
           "{e}<o>{f}eof {g}end 0 0 0 ", true);
}

static void test_point29_end_request_of_other_sizes(void **state)
{
    (void)state;
    answer(BYTES(H("\3", "\1", "\0\7", "\0") "\0\0\0\0\0\0\0"),
           "failed -12 ", false);
    answer(BYTES(H("\3", "\1", NONE, "\0")), "failed -12 ", false);
    answer(BYTES(H("\3", "\1", "\0\x0a", "\0") "\0\0\0\0\0\0\0\0xx"),
           "end 0 0 0 ", true);
}

static void test_points31_to_34_protocol_status(void **state)
{
    (void)state;
    answer(BYTES(END("\1", "\1")), "end -20 1 0 ", false);
    answer(BYTES(END("\1", "\2")), "end -21 2 0 ", false);
    answer(BYTES(END("\1", "\3")), "end -22 3 0 ", false);
    answer(BYTES(END("\1", "\4")), "end -23 4 0 ", false);
}

static void test_point35_app_status_is_told(void **state)
{
    (void)state;
    answer(BYTES(H("\3", "\1", "\0\x08", "\0") "\xff\xff\xff\xff\0\0\0\0"),
           "end 0 0 4294967295 ", true);
}

static void test_point36_ids_and_types(void **state)
{
    (void)state;
    /* id 0 with an application's type */
    answer(BYTES(EMPTY("\6", "\0")), "failed -11 ", false);
    answer(BYTES(EMPTY("\7", "\0")), "failed -11 ", false);
    answer(BYTES(END("\0", "\0")), "failed -11 ", false);
    /* management records with the request's id (tokio, node, xsp) */
    answer(BYTES(H("\x0b", "\1", "\0\x08", "\0") "\x4d\0\0\0\0\0\0\0"
                 END("\1", "\0")),
           "unknown end 0 0 0 ", true);
    answer(BYTES(H("\x0a", "\1", "\0\4", "\0") "\1\1AB" END("\1", "\0")),
           "values=\1\1AB end 0 0 0 ", true);
    answer(BYTES(H("\x0a", "\0", NONE, "\0") END("\1", "\0")),
           "values= end 0 0 0 ", true);
}

static void test_point37_unknown_ids_are_drained(void **state)
{
    (void)state;
    answer(BYTES(H("\6", "\7", "\0\3", "\0") "bad" H("\6", "\1", "\0\1", "\0")
                 "o" END("\7", "\0") END("\1", "\0")),
           "<o>end 0 0 0 ", false);
}

static void test_point38_unknown_types_are_drained(void **state)
{
    (void)state;
    answer(BYTES(H("\x4d", "\1", "\0\3", "\1") "abc#" END("\1", "\0")),
           "end 0 0 0 ", true);
    answer(BYTES(H("\0", "\0", NONE, "\0") END("\1", "\0")), "end 0 0 0 ",
           true);
}

static void test_point39_our_own_types_are_errors(void **state)
{
    (void)state;
    answer(BYTES(EMPTY("\1", "\1")), "failed -11 ", false);
    answer(BYTES(EMPTY("\2", "\1")), "failed -11 ", false);
    answer(BYTES(H("\4", "\1", "\0\1", "\0") "x"), "failed -11 ", false);
    answer(BYTES(EMPTY("\5", "\1")), "failed -11 ", false);
    answer(BYTES(EMPTY("\x08", "\1")), "failed -11 ", false);
    answer(BYTES(EMPTY("\x09", "\0")), "failed -11 ", false);
}

static void test_no_fastcgi_at_all(void **state)
{
    (void)state;
    answer(BYTES("HTTP/1.1 400 Bad Request\r\n"), "failed -10 ", false);
}

static void test_point27_data_after_the_end(void **state)
{
    (void)state;
    /* after the end of STDOUT; after END_REQUEST */
    answer(BYTES(EMPTY("\6", "\1") H("\6", "\1", "\0\1", "\0") "x"
                 END("\1", "\0")),
           "eof end 0 0 0 ", false);
    answer(BYTES(END("\1", "\0") H("\6", "\1", "\0\1", "\0") "x"),
           "end 0 0 0 ", false);
}

static void test_point28_a_second_end_is_ignored(void **state)
{
    (void)state;
    answer(BYTES(END("\1", "\0") END("\1", "\0")), "end 0 0 0 ", false);
}

static void test_point53_closed_without_end(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 0);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    fcng_str in = BYTES(H("\6", "\1", "\0\2", "\0") "ab" EMPTY("\6", "\1"));
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    fcng_conn_fail(conn, FCNG_ERR_CLOSED); /* with bytes still unread */
    pull(conn, SIZE_MAX, &log);
    assert_str(bytes_str(&log), text("<ab>eof failed -13 "));
    fcng_event ev;
    assert_int_equal(fcng_conn_next_event(conn, 1, &ev), FCNG_AGAIN);
    assert_int_equal(fcng_conn_error(conn), FCNG_ERR_CLOSED);
    assert_false(fcng_conn_wants_write(conn));
    fcng_request_release(request);
    assert_false(fcng_conn_reusable(conn));
    fcng_submit s = { .role = FCNG_RESPONDER };
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_ERR_CLOSED);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law10_point22_answer_before_the_body(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 4);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "ab", 2, false),
                     FCNG_OK);
    feed(conn, BYTES(H("\6", "\1", "\0\1", "\0") "x"), &log);
    expect_output(conn, SIZE_MAX, BYTES(H("\5", "\1", "\0\2", "\0") "ab"));
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, "cd", 2, true),
                     FCNG_OK);
    expect_output(conn, SIZE_MAX,
                  BYTES(H("\5", "\1", "\0\2", "\0") "cd" EMPTY("\5", "\1")));
    feed(conn, BYTES(END("\1", "\0")), &log);
    assert_str(bytes_str(&log), text("<x>end 0 0 0 "));
    assert_true(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law6_point23_end_before_the_body(void **state)
{
    (void)state;
    static char body[100000];
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, sizeof(body));
    flush(conn, SIZE_MAX, NULL);
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, body,
                                        sizeof(body), true),
                     FCNG_OK);
    fcng_str slice[8];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 8, &n), FCNG_OK);
    fcng_conn_sent(conn, 20);
    bytes log = { NULL, 0 };
    feed(conn, BYTES(END("\1", "\0")), &log);
    assert_str(bytes_str(&log), text("end 0 0 0 "));
    expect_output(conn, SIZE_MAX, BYTES("")); /* stop sending */
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, body, 1, false),
                     FCNG_ERR_INVALID);
    assert_false(fcng_conn_reusable(conn));
    fcng_request_release(request);
    assert_false(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law5_no_second_request_before_the_end(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *first = submit(conn, 0), *second;
    fcng_submit s = { .role = FCNG_RESPONDER };
    assert_int_equal(fcng_conn_submit(conn, &s, &second), FCNG_ERR_FULL);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    feed(conn, BYTES(END("\1", "\0")), &log);
    fcng_request_release(first);
    assert_int_equal(fcng_conn_submit(conn, &s, &second), FCNG_OK);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_late_bytes_never_reach_the_next_request(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    bytes log = { NULL, 0 };
    fcng_request *request = submit(conn, 0);
    assert_int_equal(fcng_request_id(request), 1);
    flush(conn, SIZE_MAX, NULL);
    feed(conn, BYTES(END("\1", "\0")), &log);
    fcng_request_release(request);
    assert_true(fcng_conn_reusable(conn));
    request = submit(conn, 0);
    assert_int_equal(fcng_request_id(request), 2);
    flush(conn, SIZE_MAX, NULL);
    feed(conn,
         BYTES(H("\6", "\1", "\0\4", "\0") "LATE" END("\1", "\0")
               H("\6", "\2", "\0\2", "\0") "ok" END("\2", "\0")),
         &log);
    assert_str(bytes_str(&log), text("end 0 0 0 <ok>end 0 0 0 "));
    assert_false(fcng_conn_reusable(conn));
    fcng_request_release(request);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law6_half_a_record_is_not_idle(void **state)
{
    (void)state;
    fcng_str tail = BYTES(H("\6", "\1", "\0\2", "\4") "a");
    for (size_t len = 1; len <= tail.len; len++) {
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        fcng_request *request = submit(conn, 0);
        flush(conn, SIZE_MAX, NULL);
        bytes log = { NULL, 0 };
        feed(conn, BYTES(END("\1", "\0")), &log);
        assert_true(fcng_conn_reusable(conn));
        feed(conn, (fcng_str){ tail.data, len }, &log);
        assert_false(fcng_conn_reusable(conn));
        fcng_request_release(request);
        bytes_free(&log);
        fcng_conn_del(conn);
    }
}

static void test_point19_without_keep_conn_no_reuse(void **state)
{
    (void)state;
    fcng_conn_options once = { .keep_conn = false };
    fcng_conn *conn = fcng_conn_new(NULL, &once);
    fcng_request *request = submit(conn, 0);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    feed(conn, BYTES(END("\1", "\0")), &log);
    fcng_request_release(request);
    assert_false(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law7_point64_cancel_gives_the_memory_back(void **state)
{
    (void)state;
    char *body = malloc(50000);
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 50000);
    assert_int_equal(
        fcng_request_offer(request, FCNG_STDIN, body, 50000, true), FCNG_OK);
    fcng_str slice[8];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 8, &n), FCNG_OK);
    fcng_conn_sent(conn, 100);
    fcng_request_release(request); /* not over: a cancel */
    free(body);
    expect_output(conn, SIZE_MAX, BYTES(""));
    assert_int_equal(fcng_conn_active(conn), 0);
    assert_false(fcng_conn_reusable(conn));
    fcng_conn_del(conn);
}

static void test_holding_back_and_limits(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 0);
    flush(conn, SIZE_MAX, NULL);
    fcng_str in = BYTES(H("\7", "\1", "\0\1", "\0") "e"
                        H("\6", "\1", "\0\5", "\0") "hello" END("\1", "\0"));
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    bytes log = { NULL, 0 };
    pull(conn, 0, &log);
    assert_str(bytes_str(&log), text("{e}"));
    assert_int_equal(fcng_conn_unread(conn), 5 + 16);
    assert_int_equal(fcng_conn_feed(conn, "x", 1), FCNG_ERR_INVALID);
    fcng_event ev;
    assert_int_equal(fcng_conn_next_event(conn, 2, &ev), FCNG_OK);
    assert_str(ev.bytes, text("he"));
    pull(conn, 2, &log);
    assert_str(bytes_str(&log), text("{e}<ll><o>end 0 0 0 "));
    fcng_request_release(request);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_direct_read(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_request *request = submit(conn, 0);
    flush(conn, SIZE_MAX, NULL);
    bytes log = { NULL, 0 };
    assert_int_equal(fcng_conn_want(conn), 0);
    feed(conn, BYTES(H("\6", "\1", "\0\x0a", "\2") "abc"), &log);
    assert_int_equal(fcng_conn_want(conn), 7);
    fcng_conn_took(conn, 3);
    assert_int_equal(fcng_conn_want(conn), 4);
    fcng_conn_took(conn, 4);
    assert_int_equal(fcng_conn_want(conn), 0);
    feed(conn, BYTES("##" H("\7", "\1", "\0\5", "\0") "e"), &log);
    assert_int_equal(fcng_conn_want(conn), 0); /* STDERR is for the log */
    feed(conn, BYTES("rror" END("\1", "\0")), &log);
    join_pieces(&log);
    assert_str(bytes_str(&log), text("<abc>{error}end 0 0 0 "));
    assert_true(fcng_conn_reusable(conn));
    assert_true(fcng_request_answered(request));
    fcng_request_release(request);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_point41_values_between_requests(void **state)
{
    (void)state;
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    bytes log = { NULL, 0 };
    fcng_values v = { -1, -1, -1 };
    feed(conn, BYTES(H("\x0a", "\0", "\0\x11", "\0")
                     "\x0e\1FCGI_MAX_CONNS" "5"), &log);
    assert_int_equal(
        fcng_values_parse(&v, BYTES("\x0e\1FCGI_MAX_CONNS" "5"
                                    "\x0d\3FCGI_MAX_REQS" "abc"
                                    "\x0f\1FCGI_MPXS_CONNS" "1\1\1XY")),
        FCNG_OK);
    assert_int_equal(v.max_conns, 5);
    assert_int_equal(v.max_reqs, -1);
    assert_int_equal(v.mpxs_conns, 1);
    assert_int_equal(
        fcng_values_parse(&v, BYTES("\x0e\x0a" "FCGI_MAX_CONNS"
                                    "9999999999")),
        FCNG_OK);
    assert_int_equal(v.max_conns, 5); /* no number we can use */
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0e\0FCGI")),
                     FCNG_ERR_PARAM_ENCODING);
    assert_true(fcng_conn_reusable(conn));
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_refused_request_leaves_no_half_record_behind(void **state)
{
    (void)state;
    for (size_t sent = 0; sent < 3; sent++) {
        fcng_conn *conn = fcng_conn_new(NULL, &keep);
        fcng_str slice[4];
        size_t n;
        if (sent > 0) {
            assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
            assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
            fcng_conn_sent(conn, sent == 1 ? 5 : slice[0].len);
        }
        char *large = malloc(70000);
        assert_non_null(large);
        memset(large, 0xff, 70000);
        fcng_submit s = { .role = FCNG_RESPONDER,
                          .params = { large, 70000 } };
        fcng_request *request = NULL;
        assert_int_equal(fcng_conn_submit(conn, &s, &request),
                         FCNG_ERR_PARAM_ENCODING);
        expect_output(conn, SIZE_MAX, BYTES(""));
        assert_true(fcng_conn_reusable(conn) == (sent != 1));
        free(large);
        fcng_conn_del(conn);
    }
}

static void test_oversized_values_are_cut_not_overrun(void **state)
{
    (void)state;
    static char big[60000];
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    bytes log = { NULL, 0 };
    feed(conn, BYTES(H("\x0a", "\0", "\xea\x60", "\0")), &log);
    feed(conn, (fcng_str){ big, sizeof(big) }, &log);
    assert_true(log.len < 1000);
    assert_int_equal(fcng_conn_error(conn), FCNG_OK);
    bytes_free(&log);
    fcng_conn_del(conn);
}

/* One exchange with memory that fails at the n-th call. */
static int exchange(failalloc *f, const char *body, size_t len)
{
    fcng_conn *conn = fcng_conn_new(&f->mem, &keep);
    if (conn == NULL) {
        return FCNG_ERR_NOMEM;
    }
    fcng_submit s = { .role = FCNG_RESPONDER, .params = pairs,
                      .stdin_length = len, .user = conn };
    fcng_request *request;
    int err = fcng_conn_submit(conn, &s, &request);
    if (err == FCNG_OK) {
        err = fcng_request_offer(request, FCNG_STDIN, body, len, true);
        fcng_str slice[8];
        size_t n = 1;
        while (err == FCNG_OK && n > 0) {
            err = fcng_conn_output(conn, slice, 8, &n);
            if (err == FCNG_OK && n > 0) {
                fcng_conn_sent(conn, slice[0].len);
            }
        }
    }
    if (err == FCNG_OK) {
        err = fcng_conn_get_values(conn);
    }
    fcng_conn_del(conn);
    return err;
}

static void test_failing_memory(void **state)
{
    (void)state;
    static const char body[3000];
    for (unsigned long n = 1; n < 50; n++) {
        failalloc f;
        failalloc_init(&f, n);
        int err = exchange(&f, body, sizeof(body));
        assert_int_equal(f.live, 0);
        if (f.calls < n) {
            assert_int_equal(err, FCNG_OK);
            assert_true(n > 3);
            return;
        }
        assert_int_equal(err, FCNG_ERR_NOMEM);
    }
    fail_msg("more allocations than expected");
}

static void test_one_connection_serves_many(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_conn *conn = fcng_conn_new(&f.mem, &keep);
    unsigned long after_first = 0;
    for (int i = 0; i < 1000; i++) {
        fcng_request *request = submit(conn, 0);
        flush(conn, SIZE_MAX, NULL);
        bytes log = { NULL, 0 };
        feed(conn, i % 2 ? BYTES(END("\2", "\0")) : BYTES(END("\1", "\0")),
             &log);
        assert_str(bytes_str(&log), text("end 0 0 0 "));
        bytes_free(&log);
        fcng_request_set_user(request, NULL);
        assert_null(fcng_request_user(request));
        fcng_request_release(request);
        assert_true(fcng_conn_reusable(conn));
        if (i == 0) {
            after_first = f.calls;
        }
    }
    assert_int_equal(f.calls, after_first); /* nothing allocated since */
    assert_int_equal(fcng_conn_requests(conn), 1000);
    fcng_conn_del(conn);
    assert_int_equal(f.live, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point16_order_and_point17_ends),
    cmocka_unit_test(test_small_request_is_one_slice),
    cmocka_unit_test(test_point12_no_parameters),
    cmocka_unit_test(test_law2_law3_point3_point4_point18_bodies),
    cmocka_unit_test(test_many_slices_in_one_record),
    cmocka_unit_test(test_point54_short_and_long_bodies_are_refused),
    cmocka_unit_test(test_point55_body_of_unknown_length),
    cmocka_unit_test(test_point61_data_comes_after_stdin),
    cmocka_unit_test(test_point61_an_empty_file_ends_by_itself),
    cmocka_unit_test(test_point62_point63_a_filter_answers_early),
    cmocka_unit_test(test_law9_authorizer_gets_an_empty_stdin),
    cmocka_unit_test(test_authorizer_may_get_no_stdin_at_all),
    cmocka_unit_test(test_large_parameters),
    cmocka_unit_test(test_parameters_that_fill_a_record),
    cmocka_unit_test(test_law8_point40_get_values_is_padded),
    cmocka_unit_test(test_point25_with_and_without_end_of_stdout),
    cmocka_unit_test(test_point2_padding_is_skipped),
    cmocka_unit_test(test_point43_stderr_anywhere),
    cmocka_unit_test(test_point29_end_request_of_other_sizes),
    cmocka_unit_test(test_points31_to_34_protocol_status),
    cmocka_unit_test(test_point35_app_status_is_told),
    cmocka_unit_test(test_point36_ids_and_types),
    cmocka_unit_test(test_point37_unknown_ids_are_drained),
    cmocka_unit_test(test_point38_unknown_types_are_drained),
    cmocka_unit_test(test_point39_our_own_types_are_errors),
    cmocka_unit_test(test_no_fastcgi_at_all),
    cmocka_unit_test(test_point27_data_after_the_end),
    cmocka_unit_test(test_point28_a_second_end_is_ignored),
    cmocka_unit_test(test_point53_closed_without_end),
    cmocka_unit_test(test_law10_point22_answer_before_the_body),
    cmocka_unit_test(test_law6_point23_end_before_the_body),
    cmocka_unit_test(test_law5_no_second_request_before_the_end),
    cmocka_unit_test(test_late_bytes_never_reach_the_next_request),
    cmocka_unit_test(test_law6_half_a_record_is_not_idle),
    cmocka_unit_test(test_point19_without_keep_conn_no_reuse),
    cmocka_unit_test(test_law7_point64_cancel_gives_the_memory_back),
    cmocka_unit_test(test_holding_back_and_limits),
    cmocka_unit_test(test_direct_read),
    cmocka_unit_test(test_point41_values_between_requests),
    cmocka_unit_test(test_refused_request_leaves_no_half_record_behind),
    cmocka_unit_test(test_oversized_values_are_cut_not_overrun),
    cmocka_unit_test(test_failing_memory),
    cmocka_unit_test(test_one_connection_serves_many),
};

UNIT_MAIN(tests)
