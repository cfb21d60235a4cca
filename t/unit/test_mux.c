/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A connection that several requests share: ids, turns, cancels and what is
 * left of them, one failure for all.  The numbers are those of
 * docs/protocol.md; rows are those of the applications in its table.
 */
#include "unit.h"
#include "split.h"
#include "wire.h"

#include "fcng_int.h"

static const fcng_conn_options four = { .keep_conn = true, .max_streams = 4 };
static const fcng_str pairs = FCNG_STR("\1\1AB");

#define SECOND 1000000u

static fcng_conn *open_conn(const fcng_conn_options *options)
{
    fcng_conn *conn = fcng_conn_new(NULL, options);
    assert_non_null(conn);
    return conn;
}

static fcng_request *submit_as(fcng_conn *conn, uint64_t stdin_length,
                               const char *name)
{
    fcng_submit s = { .role = FCNG_RESPONDER,
                      .params = pairs,
                      .stdin_length = stdin_length,
                      .user = (void *)(uintptr_t)name };
    fcng_request *request = NULL;
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_OK);
    return request;
}

static fcng_request *submit(fcng_conn *conn, uint64_t stdin_length)
{
    return submit_as(conn, stdin_length, "");
}

static int submit_error(fcng_conn *conn)
{
    fcng_submit s = { .role = FCNG_RESPONDER, .params = pairs };
    fcng_request *request = NULL;
    return fcng_conn_submit(conn, &s, &request);
}

static void offer(fcng_request *request, const void *data, size_t len,
                  bool fin)
{
    assert_int_equal(fcng_request_offer(request, FCNG_STDIN, data, len, fin),
                     FCNG_OK);
}

/* Writes at most |limit| bytes, |step| at a time. */
static void write_up_to(fcng_conn *conn, size_t limit, size_t step, bytes *out)
{
    fcng_str slice[4];
    size_t n, done = 0;
    while (done < limit) {
        assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
        assert_int_equal(fcng_conn_wants_write(conn), n > 0);
        if (n == 0) {
            return;
        }
        size_t len = FCNG_MIN(FCNG_MIN(slice[0].len, step), limit - done);
        if (out != NULL) {
            bytes_add(out, (fcng_str){ slice[0].data, len });
        }
        fcng_conn_sent(conn, len);
        done += len;
    }
}

static void flush(fcng_conn *conn, bytes *out)
{
    write_up_to(conn, SIZE_MAX, SIZE_MAX, out);
}

/* "B1 P1:4 P1:0 I1:5 A2 ": each record, the stream's with their lengths.
   Fails when the last one is cut. */
static void describe(const bytes *wire, bytes *log)
{
    static const char letter[] = "?BA?PI??DV";
    for (size_t at = 0; at < wire->len;) {
        fcng_record r;
        char word[32];
        assert_true(wire->len - at >= FCNG_HEADER_LEN);
        fcng_record_decode(&r, wire->data + at);
        assert_int_equal(r.version, 1);
        assert_in_range(r.type, 1, 9);
        assert_int_equal(r.padding_len, r.type == 9 ? 8 : 0);
        at += FCNG_HEADER_LEN + r.content_len + r.padding_len;
        assert_true(at <= wire->len);
        bool stream = r.type == 4 || r.type == 5 || r.type == 8;
        snprintf(word, sizeof(word), stream ? "%c%u:%u " : "%c%u ",
                 letter[r.type], r.id, r.content_len);
        bytes_add(log, text(word));
    }
}

static void expect_written(fcng_conn *conn, const char *want)
{
    bytes wire = { NULL, 0 }, log = { NULL, 0 };
    flush(conn, &wire);
    describe(&wire, &log);
    assert_str(bytes_str(&log), text(want));
    bytes_free(&wire);
    bytes_free(&log);
}

/* "a<x>" for STDOUT of the request named "a", "a{x}", "a.", "a;0", "a!-13",
   "a+" for an overrun. */
static void pull(fcng_conn *conn, size_t max, bytes *log)
{
    fcng_event ev;
    while (fcng_conn_next_event(conn, max, &ev) == FCNG_OK) {
        char word[32] = "";
        assert_ptr_equal(ev.user, ev.request == NULL
                                      ? NULL
                                      : fcng_request_user(ev.request));
        if (ev.request != NULL) {
            bytes_add(log, text(ev.user));
        }
        switch (ev.type) {
        case FCNG_EV_STDOUT:
        case FCNG_EV_STDERR:
            bytes_add(log, text(ev.type == FCNG_EV_STDOUT ? "<" : "{"));
            bytes_add(log, ev.bytes);
            bytes_add(log, text(ev.type == FCNG_EV_STDOUT ? ">" : "}"));
            break;
        case FCNG_EV_STDOUT_END:
            bytes_add(log, text("."));
            break;
        case FCNG_EV_END:
            snprintf(word, sizeof(word), ";%u", ev.protocol_status);
            break;
        case FCNG_EV_FAILED:
            snprintf(word, sizeof(word), "!%d", ev.error);
            break;
        case FCNG_EV_VALUES:
            bytes_add(log, text("values"));
            break;
        case FCNG_EV_UNKNOWN_TYPE:
            bytes_add(log, text("unknown"));
            break;
        case FCNG_EV_OVERRUN:
            bytes_add(log, text("+"));
            break;
        }
        bytes_add(log, text(word));
        if (ev.type != FCNG_EV_STDOUT && ev.type != FCNG_EV_STDERR) {
            bytes_add(log, text(" "));
        }
    }
}

static void feed_max(fcng_conn *conn, fcng_str in, size_t max, bytes *log)
{
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    pull(conn, max, log);
    assert_int_equal(fcng_conn_unread(conn), 0);
}

static void feed(fcng_conn *conn, fcng_str in, bytes *log)
{
    feed_max(conn, in, SIZE_MAX, log);
}

static void expect_events(fcng_conn *conn, fcng_str in, const char *want)
{
    bytes log = { NULL, 0 };
    feed(conn, in, &log);
    assert_str(bytes_str(&log), text(want));
    bytes_free(&log);
}

/* --- which connections are shared --- */

static void test_law4_exclusive_unless_asked(void **state)
{
    (void)state;
    static const fcng_conn_options exclusive[] = {
        { .keep_conn = true, .max_streams = 0 },
        { .keep_conn = true, .max_streams = 1 },
        { .keep_conn = false, .max_streams = 4 },
    };
    for (size_t i = 0; i < 3; i++) {
        fcng_conn *conn = open_conn(&exclusive[i]);
        assert_true(fcng_conn_can_submit(conn));
        submit(conn, 0);
        assert_false(fcng_conn_can_submit(conn));
        assert_int_equal(submit_error(conn), FCNG_ERR_FULL);
        fcng_conn_del(conn);
    }
    fcng_conn *conn = open_conn(&four);
    for (int i = 0; i < 4; i++) {
        assert_true(fcng_conn_can_submit(conn));
        submit(conn, 0);
    }
    assert_int_equal(fcng_conn_active(conn), 4);
    assert_false(fcng_conn_can_submit(conn));
    assert_int_equal(submit_error(conn), FCNG_ERR_FULL);
    expect_written(conn, "B1 P1:4 P1:0 I1:0 B2 P2:4 P2:0 I2:0 "
                         "B3 P3:4 P3:0 I3:0 B4 P4:4 P4:0 I4:0 ");
    assert_int_equal(fcng_conn_requests(conn), 4);
    fcng_conn_del(conn);
}

/* --- ids --- */

static void test_point13_the_lowest_free_id(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a"), *b = submit_as(conn, 0, "b");
    fcng_request *c = submit_as(conn, 0, "c");
    assert_int_equal(fcng_request_id(a), 1);
    assert_int_equal(fcng_request_id(b), 2);
    assert_int_equal(fcng_request_id(c), 3);
    flush(conn, NULL);
    expect_events(conn, BYTES(END("\2", "\0")), "b;0 ");
    assert_int_equal(fcng_conn_active(conn), 2);
    /* the id is free when it has ended, whenever the host releases it */
    fcng_request *d = submit_as(conn, 0, "d");
    assert_int_equal(fcng_request_id(d), 2);
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "e")), 4);
    fcng_request_release(b);
    flush(conn, NULL);
    expect_events(conn,
                  BYTES(H("\6", "\2", "\0\1", "\0") "x" END("\2", "\0")
                        END("\3", "\0") END("\1", "\0")),
                  "d<x>d;0 c;0 a;0 ");
    assert_int_equal(fcng_request_id(submit(conn, 0)), 1);
    fcng_request_release(a);
    fcng_request_release(d);
    fcng_conn_del(conn); /* and c, which nobody released */
}

static void test_point13_ids_run_out(void **state)
{
    (void)state;
    fcng_conn_options most = { .keep_conn = true, .max_streams = UINT32_MAX };
    fcng_conn *conn = open_conn(&most);
    fcng_submit s = { .role = FCNG_RESPONDER, .user = "" };
    fcng_request *request = NULL;
    for (unsigned i = 1; i <= 65535; i++) {
        if (fcng_conn_submit(conn, &s, &request) != FCNG_OK
            || fcng_request_id(request) != i) {
            fail_msg("request %u", i);
        }
    }
    assert_false(fcng_conn_can_submit(conn));
    assert_int_equal(fcng_conn_submit(conn, &s, &request), FCNG_ERR_FULL);
    flush(conn, NULL);
    expect_events(conn,
                  BYTES("\1\3\x9c\x40\0\x08\0\0" "\0\0\0\0\0\0\0\0"
                        "\1\3\xff\xff\0\x08\0\0" "\0\0\0\0\0\0\0\0"),
                  ";0 ;0 ");
    assert_int_equal(fcng_request_id(submit(conn, 0)), 40000);
    assert_int_equal(fcng_request_id(submit(conn, 0)), 65535);
    assert_false(fcng_conn_can_submit(conn));
    fcng_conn_del(conn);
}

/* --- the way in --- */

static void read_split(fcng_str whole, const size_t *end, size_t n, void *arg,
                       bytes *log)
{
    fcng_conn *conn = open_conn(&four);
    submit_as(conn, 0, "a");
    submit_as(conn, 0, "b");
    submit_as(conn, 0, "c");
    flush(conn, NULL);
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        feed(conn, (fcng_str){ whole.data + from, end[i] - from }, log);
        from = end[i];
    }
    /* "a<x>a<y>" and "a<xy>" say the same */
    size_t to = 0;
    for (size_t i = 0; i < log->len; i++) {
        const char *p = log->data + i;
        if (i + 2 < log->len && to > 1 && (p[0] == '>' || p[0] == '}')
            && p[2] == (p[0] == '>' ? '<' : '{')) {
            size_t name = to;
            while (log->data[--name] != p[2]) {
            }
            if (log->data[name - 1] == p[1]) {
                i += 2;
                continue;
            }
        }
        log->data[to++] = log->data[i];
    }
    log->len = to;
    assert_int_equal(fcng_conn_retired(conn),
                     fcng_conn_error(conn) != FCNG_OK);
    char end_state[64];
    snprintf(end_state, sizeof(end_state), "%d %u %u",
             fcng_conn_error(conn), (unsigned)fcng_conn_active(conn),
             (unsigned)fcng_conn_stray(conn));
    bytes_add(log, text(end_state));
    fcng_conn_del(conn);
}

static void test_point6_streams_interleave_at_any_byte(void **state)
{
    (void)state;
    split_expect(read_split,
                 BYTES(H("\6", "\1", "\0\3", "\2") "123##"
                       H("\6", "\3", "\0\2", "\0") "xy"
                       H("\7", "\2", "\0\1", "\0") "e"
                       H("\6", "\1", "\0\1", "\0") "4" EMPTY("\6", "\3")
                       END("\3", "\0") H("\6", "\2", "\0\2", "\0") "no"
                       END("\1", "\0") END("\2", "\0")),
                 NULL, text("a<123>c<xy>b{e}a<4>c. c;0 b<no>a;0 b;0 0 0 0"));
}

static void test_point37_strays_are_survived_and_counted(void **state)
{
    (void)state;
    /* ids never used, and free ones; data behind the end; a second END, as
       tokio-fastcgi and Go send for requests that are over (rows T10, 28) */
    split_expect(read_split,
                 BYTES(H("\6", "\x09", "\0\2", "\1") "??#" END("\x63", "\0")
                       "\1\6\xff\xff\0\1\0\0?" END("\2", "\0")
                       H("\6", "\2", "\0\1", "\0") "?" END("\2", "\0")
                       EMPTY("\6", "\1") H("\6", "\1", "\0\1", "\0") "?"
                       H("\6", "\3", "\0\1", "\0") "x" END("\1", "\0")),
                 NULL, text("b;0 a. c<x>a;0 0 1 6"));
}

static void test_one_bad_record_fails_each_request_once(void **state)
{
    (void)state;
    split_expect(read_split,
                 BYTES(H("\6", "\2", "\0\1", "\0") "x" END("\1", "\0")
                       EMPTY("\6", "\0")),
                 NULL, text("b<x>a;0 b!-11 c!-11 -11 0 0"));
    split_expect(read_split,
                 BYTES(END("\3", "\0") H("\3", "\1", "\0\2", "\0") "xx"), NULL,
                 text("c;0 a!-12 b!-12 -12 0 0"));
    split_expect(read_split, BYTES("HTTP/1.1 400 Bad Request\r\n"), NULL,
                 text("a!-10 b!-10 c!-10 -10 0 0"));
}

static void test_a_stdout_event_has_at_most_max_bytes(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    submit_as(conn, 0, "a");
    submit_as(conn, 0, "b");
    flush(conn, NULL);
    bytes log = { NULL, 0 };
    feed_max(conn,
             BYTES(H("\6", "\1", "\0\5", "\0") "12345"
                   H("\6", "\2", "\0\1", "\0") "x"),
             2, &log);
    assert_str(bytes_str(&log), text("a<12>a<34>a<5>b<x>"));
    bytes_free(&log);
    fcng_conn_del(conn);
}

/* --- the way out --- */

static void test_submissions_leave_in_one_slice(void **state)
{
    (void)state;
    static char body[100];
    fcng_conn_options options = { .keep_conn = true, .max_streams = 200 };
    fcng_conn *conn = open_conn(&options);
    fcng_request *request[200];
    for (int i = 0; i < 200; i++) {
        request[i] = submit(conn, i % 2 ? sizeof(body) : 0);
        if (i % 2) {
            offer(request[i], body, sizeof(body), true);
        }
    }
    fcng_str slice[8];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 8, &n), FCNG_OK);
    assert_int_equal(n, 1);
    /* BEGIN 16, PARAMS 12, 8, STDIN's end 8, and 108 of STDIN */
    assert_int_equal(slice[0].len, 200 * 44 + 100 * 108);
    fcng_conn_sent(conn, slice[0].len);
    assert_false(fcng_conn_wants_write(conn));
    for (int i = 0; i < 200; i++) {
        assert_true(fcng_request_started(request[i]));
        assert_int_equal(fcng_request_sent(request[i]), i % 2 ? 100 : 0);
    }
    fcng_conn_del(conn);
}

static void test_round_robin_in_small_records(void **state)
{
    (void)state;
    static char big[100000];
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, 40000), *b = submit(conn, 20000);
    fcng_request *c = submit(conn, 3000);
    flush(conn, NULL);
    offer(a, NULL, 0, false);
    assert_false(fcng_conn_wants_write(conn)); /* that is nothing yet */
    offer(a, big, 40000, true);
    offer(b, big, 20000, true);
    offer(c, big, 3000, true);
    expect_written(conn,
                   "I1:16384 I2:16384 I3:3000 I3:0 I1:16384 I2:3616 I2:0 "
                   "I1:7232 I1:0 ");
    fcng_conn_del(conn);
}

static void test_who_comes_later_waits_one_turn(void **state)
{
    (void)state;
    static char big[65536];
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, FCNG_LENGTH_UNKNOWN);
    fcng_request *b = submit(conn, 5);
    flush(conn, NULL);
    for (int i = 0; i < 16; i++) {
        offer(a, big, sizeof(big), false);
    }
    bytes wire = { NULL, 0 }, log = { NULL, 0 };
    write_up_to(conn, 8 + 16384, SIZE_MAX, &wire);
    offer(b, "hello", 5, true);
    submit(conn, 0);
    flush(conn, &wire);
    describe(&wire, &log);
    /* what was framed ahead, 64 KiB; then the others, at once */
    const char *want = "I1:16384 I1:16384 I1:16384 I1:16384 "
                       "B3 P3:4 P3:0 I3:0 I1:16384 I2:5 I2:0 I1:16384 ";
    assert_true(log.len > strlen(want));
    log.len = strlen(want);
    assert_str(bytes_str(&log), text(want));
    bytes_free(&wire);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_alone_a_stream_fills_its_records(void **state)
{
    (void)state;
    static char big[140000];
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, sizeof(big));
    offer(a, big, sizeof(big), true);
    expect_written(conn, "B1 P1:4 P1:0 I1:65528 I1:65528 I1:8944 I1:0 ");
    fcng_conn_del(conn);
}

static void test_filter_data_takes_turns_too(void **state)
{
    (void)state;
    static char big[20000];
    fcng_conn *conn = open_conn(&four);
    fcng_submit s = { .role = FCNG_FILTER,
                      .params = pairs,
                      .stdin_length = 0,
                      .data_length = sizeof(big) };
    fcng_request *a, *b = submit(conn, sizeof(big));
    assert_int_equal(fcng_conn_submit(conn, &s, &a), FCNG_OK);
    flush(conn, NULL);
    assert_int_equal(fcng_request_offer(a, FCNG_DATA, big, sizeof(big), true),
                     FCNG_OK);
    offer(b, big, sizeof(big), true);
    expect_written(conn, "D2:16384 I1:16384 D2:3616 D2:0 I1:3616 I1:0 ");
    s.data_length = 0; /* an empty file */
    assert_int_equal(fcng_conn_submit(conn, &s, &a), FCNG_OK);
    expect_written(conn, "B3 P3:4 P3:0 I3:0 D3:0 ");
    fcng_conn_del(conn);
}

static void test_a_refused_request_leaves_the_others_alone(void **state)
{
    (void)state;
    char *large = malloc(70000);
    assert_non_null(large);
    memset(large, 0xff, 70000);
    fcng_conn *conn = open_conn(&four);
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    submit(conn, 0);
    write_up_to(conn, 3, 3, NULL);
    fcng_submit s = { .role = FCNG_RESPONDER, .params = { large, 70000 } };
    fcng_request *request = NULL;
    assert_int_equal(fcng_conn_submit(conn, &s, &request),
                     FCNG_ERR_PARAM_ENCODING);
    free(large);
    assert_int_equal(fcng_request_id(submit(conn, 0)), 2);
    bytes wire = { NULL, 0 }, log = { NULL, 0 };
    bytes_add(&wire, BYTES("\1\x09\0"));
    flush(conn, &wire);
    describe(&wire, &log);
    assert_str(bytes_str(&log),
               text("V0 B1 P1:4 P1:0 I1:0 B2 P2:4 P2:0 I2:0 "));
    assert_false(fcng_conn_retired(conn));
    bytes_free(&wire);
    bytes_free(&log);
    fcng_conn_del(conn);
}

/* --- cancel --- */

/* Three streams, the second cancelled when |sent| bytes have left: the wire
   is whole records, the others lack nothing, zeros stand for what was taken
   back. */
static size_t cancel_at(size_t sent, size_t body_len)
{
    char *body = malloc(body_len);
    char *others = malloc(body_len);
    assert_true(body != NULL && others != NULL);
    memset(body, 'b', body_len);
    memset(others, 'o', body_len);
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, body_len), *b = submit(conn, body_len);
    fcng_request *c = submit(conn, body_len);
    offer(a, others, body_len, true);
    offer(b, body, body_len / 2, false);
    offer(b, body + body_len / 2, body_len - body_len / 2, true);
    offer(c, others, body_len, true);
    bytes wire = { NULL, 0 };
    write_up_to(conn, sent, 1000, &wire);
    bool started = fcng_request_started(b);
    bool all = !fcng_conn_wants_write(conn);
    fcng_request_cancel(b, SECOND);
    memset(body, 'X', body_len);
    free(body);
    flush(conn, &wire);
    assert_int_equal(fcng_request_sent(a), body_len);
    assert_int_equal(fcng_request_sent(c), body_len);
    size_t got[4] = { 0 }, aborts = 0, records = 0;
    for (size_t at = 0; at < wire.len;) {
        fcng_record r;
        assert_true(wire.len - at >= FCNG_HEADER_LEN);
        fcng_record_decode(&r, wire.data + at);
        const char *p = wire.data + at + FCNG_HEADER_LEN;
        at += FCNG_HEADER_LEN + r.content_len;
        assert_true(at <= wire.len);
        assert_in_range(r.id, 1, 3);
        records += r.id == 2;
        if (r.type == 2) {
            assert_int_equal(r.id, 2);
            assert_int_equal(r.content_len, 0);
            aborts++;
        } else if (r.type == 4 && r.content_len > 0) {
            assert_memory_equal(p, pairs.data, pairs.len);
        } else if (r.type == 5) {
            assert_int_equal(r.id == 2 && aborts > 0, false);
            bool zeros = false;
            for (size_t i = 0; i < r.content_len; i++) {
                zeros = zeros || (r.id == 2 && p[i] == 0);
                char want = zeros ? '\0' : r.id == 2 ? 'b' : 'o';
                if (p[i] != want) {
                    fail_msg("cancelled at %u: %c", (unsigned)sent, p[i]);
                }
            }
            got[r.id] += r.content_len;
        }
    }
    assert_int_equal(got[1], body_len);
    assert_int_equal(got[3], body_len);
    assert_int_equal(aborts, started ? 1 : 0);
    assert_int_equal(records > 0, started);
    assert_true(!all || got[2] == body_len);
    assert_int_equal(fcng_conn_zombies(conn), started ? 1 : 0);
    assert_int_equal(fcng_conn_active(conn), 2);
    assert_false(fcng_conn_retired(conn));
    fcng_conn_del(conn);
    bytes_free(&wire);
    free(others);
    return all ? 0 : sent + 1;
}

static void test_law7_point64_cancel_at_every_byte(void **state)
{
    (void)state;
    size_t sent;
    for (sent = 0; (sent = cancel_at(sent, 300)) != 0;) { /* copied */
    }
    for (sent = 0; (sent = cancel_at(sent, 4200)) != 0;) { /* borrowed */
    }
    for (sent = 0; (sent = cancel_at(sent, 40000)) != 0; sent += 373) {
    }
}

static void test_law7_point64_nothing_is_said_of_what_never_left(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    submit(conn, 0);
    fcng_request *b = submit(conn, 9);
    submit(conn, 0);
    offer(b, "no", 2, false);
    fcng_request_cancel(b, 0);
    assert_int_equal(fcng_conn_zombies(conn), 0);
    assert_int_equal(fcng_request_id(submit(conn, 0)), 2);
    expect_written(conn, "B1 P1:4 P1:0 I1:0 B3 P3:4 P3:0 I3:0 "
                         "B2 P2:4 P2:0 I2:0 ");
    fcng_conn_del(conn);
}

static void test_point14_a_zombie_keeps_its_id(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a");
    submit_as(conn, 0, "b");
    flush(conn, NULL);
    /* in the middle of a record */
    expect_events(conn, BYTES(H("\6", "\1", "\0\6", "\0") "ab"), "a<ab>");
    fcng_request_cancel(a, SECOND);
    expect_written(conn, "A1 ");
    expect_events(conn,
                  BYTES("cdef" H("\7", "\1", "\0\1", "\0") "e"
                        H("\6", "\2", "\0\1", "\0") "x"),
                  "b<x>");
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "c")), 3);
    flush(conn, NULL);
    assert_int_equal(fcng_conn_active(conn), 2);
    assert_int_equal(fcng_conn_zombies(conn), 1);
    expect_events(conn, BYTES(EMPTY("\6", "\1") END("\1", "\0")), "");
    assert_int_equal(fcng_conn_zombies(conn), 0);
    assert_int_equal(fcng_conn_stray(conn), 0);
    fcng_conn_del(conn);
}

static void test_point14_zombies_count_as_streams(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = submit(conn, 0);
    }
    flush(conn, NULL);
    fcng_request_cancel(r[1], 0);
    fcng_request_release(r[2]); /* not over: the same */
    assert_int_equal(fcng_conn_active(conn), 2);
    assert_int_equal(fcng_conn_zombies(conn), 2);
    assert_false(fcng_conn_can_submit(conn));
    assert_int_equal(submit_error(conn), FCNG_ERR_FULL);
    assert_false(fcng_conn_retired(conn));
    expect_events(conn, BYTES(END("\2", "\0")), "");
    assert_true(fcng_conn_can_submit(conn));
    fcng_conn_del(conn);
}

/* Row T10: an abort crosses the END_REQUEST on its way, and the application
   answers it with a second one, which must end no other request. */
static void test_point28_the_end_of_an_abort_ends_nothing_else(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a");
    flush(conn, NULL);
    fcng_request_cancel(a, 0);
    expect_events(conn, BYTES(END("\1", "\0")), ""); /* its own */
    expect_written(conn, "A1 ");
    fcng_request *b = submit_as(conn, 0, "b");
    assert_int_equal(fcng_request_id(b), 2);
    flush(conn, NULL);
    expect_events(conn, BYTES(END("\1", "\0")), ""); /* the abort's */
    fcng_request *c = submit_as(conn, 0, "c");
    assert_int_equal(fcng_request_id(c), 1);
    flush(conn, NULL);
    expect_events(conn, BYTES(H("\6", "\1", "\0\1", "\0") "x" END("\2", "\0")
                              END("\1", "\0")),
                  "c<x>b;0 c;0 ");
    assert_int_equal(fcng_conn_stray(conn), 0);
    fcng_conn_del(conn);
}

/* Most applications send one END_REQUEST: an answer to what was begun behind
   the abort shows that no other will come. */
static void test_point14_an_answer_behind_the_abort_frees_the_id(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a");
    submit_as(conn, 0, "b");
    flush(conn, NULL);
    fcng_request_cancel(a, 0);
    flush(conn, NULL);
    expect_events(conn, BYTES(END("\1", "\0")), "");
    /* b was begun before: it proves nothing */
    expect_events(conn, BYTES(H("\6", "\2", "\0\1", "\0") "x"), "b<x>");
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "c")), 3);
    flush(conn, NULL);
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "d")), 4);
    expect_events(conn, BYTES(H("\6", "\3", "\0\1", "\0") "y"), "c<y>");
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "e")), 1);
    fcng_conn_del(conn);
}

/* What a zombie still sends is a proof as well. */
static void test_point14_a_zombie_answers_behind_the_abort(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true, .max_streams = 8 };
    fcng_conn *conn = open_conn(&options);
    fcng_request *a = submit(conn, 0);
    flush(conn, NULL);
    fcng_request_cancel(a, 0);
    fcng_request *b = submit(conn, 0);
    flush(conn, NULL);
    fcng_request_cancel(b, 0);
    expect_events(conn, BYTES(END("\1", "\0")), "");
    expect_events(conn, BYTES(H("\6", "\2", "\0\1", "\0") "x"), "");
    assert_int_equal(fcng_request_id(submit(conn, 0)), 1);
    fcng_conn_del(conn);
}

/* The rest of a cancelled request's record is counted for nobody, whoever has
   its place now. */
static void test_what_a_cancel_leaves_counts_for_nobody(void **state)
{
    (void)state;
    char *body = malloc(5000);
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, 5000);
    offer(a, body, 5000, true);
    write_up_to(conn, 36 + 8 + 10, SIZE_MAX, NULL);
    fcng_request_cancel(a, 0);
    free(body);
    fcng_request *b = submit(conn, 0);
    write_up_to(conn, 4990 + 8, SIZE_MAX, NULL); /* zeros, ABORT_REQUEST */
    assert_false(fcng_request_started(b));
    assert_int_equal(fcng_request_sent(b), 0);
    write_up_to(conn, 1, 1, NULL);
    assert_true(fcng_request_started(b));
    fcng_conn_del(conn);
}

/* An END_REQUEST before a byte of the request has left cannot be its own. */
static void test_point28_an_end_before_the_beginning(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a");
    expect_events(conn, BYTES(H("\6", "\1", "\0\1", "\0") "?" END("\1", "\0")),
                  "");
    assert_false(fcng_request_answered(a));
    assert_int_equal(fcng_conn_stray(conn), 2);
    write_up_to(conn, 1, 1, NULL);
    expect_events(conn, BYTES(END("\1", "\0")), "a;0 ");
    fcng_conn_del(conn);
}

static void test_law7_a_zombie_past_its_deadline_retires(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true,
                                  .max_streams = 8,
                                  .abort_timeout_us = 5 * SECOND };
    fcng_conn *conn = open_conn(&options);
    fcng_request *r[4];
    for (int i = 0; i < 4; i++) {
        r[i] = submit_as(conn, 0, i == 3 ? "d" : "");
    }
    flush(conn, NULL);
    assert_true(fcng_conn_deadline(conn) == FCNG_NEVER);
    fcng_request_cancel(r[0], 2 * SECOND);
    fcng_request_cancel(r[1], 3 * SECOND);
    fcng_request_cancel(r[2], 4 * SECOND);
    flush(conn, NULL);
    assert_int_equal(fcng_conn_deadline(conn), 7 * SECOND);
    fcng_conn_expire(conn, 7 * SECOND - 1);
    expect_events(conn, BYTES(END("\1", "\0")), "");
    assert_int_equal(fcng_conn_deadline(conn), 8 * SECOND);
    expect_events(conn, BYTES(END("\3", "\0")), "");
    assert_int_equal(fcng_conn_deadline(conn), 8 * SECOND);
    fcng_conn_expire(conn, 8 * SECOND - 1);
    assert_false(fcng_conn_retired(conn));
    assert_true(fcng_conn_can_submit(conn));
    fcng_conn_expire(conn, 8 * SECOND);
    assert_true(fcng_conn_retired(conn));
    assert_false(fcng_conn_can_submit(conn));
    assert_int_equal(submit_error(conn), FCNG_ERR_CLOSED);
    assert_true(fcng_conn_deadline(conn) == FCNG_NEVER);
    /* what is under way goes on */
    assert_int_equal(fcng_conn_active(conn), 1);
    expect_events(conn,
                  BYTES(H("\6", "\4", "\0\1", "\0") "x" END("\4", "\0")),
                  "d<x>d;0 ");
    assert_int_equal(fcng_conn_active(conn), 0);
    assert_int_equal(fcng_conn_error(conn), FCNG_OK);
    assert_false(fcng_conn_reusable(conn));
    fcng_conn_del(conn);
}

static void test_law7_times_at_the_edge(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, 0), *b = submit(conn, 0);
    flush(conn, NULL);
    fcng_request_cancel(a, FCNG_NEVER - 5);
    assert_true(fcng_conn_deadline(conn) == FCNG_NEVER - 1);
    fcng_request_cancel(b, SECOND);
    assert_true(fcng_conn_deadline(conn) == 31 * SECOND); /* the default */
    fcng_conn_del(conn);
}

static void test_law7_too_many_zombies_retire(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit(conn, 0), *b = submit(conn, 0);
    fcng_request *c = submit(conn, 0);
    flush(conn, NULL);
    fcng_request_cancel(a, 0);
    fcng_request_cancel(b, 0);
    assert_false(fcng_conn_retired(conn));
    expect_events(conn, BYTES(END("\1", "\0") END("\2", "\0")), "");
    fcng_request_cancel(c, 0); /* those that ended are not proven yet */
    assert_true(fcng_conn_retired(conn));
    assert_int_equal(fcng_conn_active(conn), 0);
    expect_written(conn, "A1 A2 A3 ");
    fcng_conn_del(conn);
}

/* --- the end before the body, refusals --- */

/* END_REQUEST when |sent| bytes have left: nothing more of that body, but no
   half record; the connection serves the next. */
static size_t end_at(size_t sent, size_t len)
{
    char *body = malloc(len);
    assert_non_null(body);
    memset(body, 'b', len);
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, len, "a");
    offer(a, body, len, true);
    bytes wire = { NULL, 0 }, log = { NULL, 0 };
    write_up_to(conn, sent, 500, &wire);
    bool all = !fcng_conn_wants_write(conn);
    expect_events(conn, BYTES(END("\1", "\0")), "a;0 ");
    memset(body, 'X', len);
    free(body);
    assert_int_equal(fcng_request_offer(a, FCNG_STDIN, "x", 1, false),
                     FCNG_ERR_INVALID);
    flush(conn, &wire);
    describe(&wire, &log);
    assert_true(memchr(wire.data, 'X', wire.len) == NULL);
    assert_true(memchr(log.data, 'A', log.len) == NULL);
    assert_true(fcng_conn_reusable(conn));
    fcng_request_release(a);
    assert_int_equal(fcng_request_id(submit_as(conn, 0, "b")), 1);
    expect_written(conn, "B1 P1:4 P1:0 I1:0 ");
    expect_events(conn, BYTES(END("\1", "\0")), "b;0 ");
    bytes_free(&wire);
    bytes_free(&log);
    fcng_conn_del(conn);
    return all ? 0 : sent + 1;
}

static void test_law6_point23_the_end_before_the_body(void **state)
{
    (void)state;
    size_t sent;
    for (sent = 1; (sent = end_at(sent, 50)) != 0;) {
    }
    for (sent = 1; (sent = end_at(sent, 5000)) != 0;) {
    }
    for (sent = 1; (sent = end_at(sent, 200001)) != 0; sent += 4099) {
    }
}

static void test_points31_to_34_refusals_on_a_shared_connection(void **state)
{
    (void)state;
    for (int status = 0; status <= 4; status++) {
        fcng_conn *conn = open_conn(&four);
        submit_as(conn, 0, "a");
        submit_as(conn, 0, "b");
        flush(conn, NULL);
        char end[] = END("\1", "\0"), want[] = "a;0 ";
        end[12] = (char)status;
        want[2] = (char)('0' + status);
        expect_events(conn, (fcng_str){ end, sizeof(end) - 1 }, want);
        /* sharing itself was refused, or the application is not sane */
        bool unfit = status == FCNG_CANT_MPX_CONN || status == 4;
        assert_int_equal(fcng_conn_retired(conn), unfit);
        assert_int_equal(fcng_conn_can_submit(conn), !unfit);
        /* the other one goes on */
        expect_events(conn, BYTES(END("\2", "\0")), "b;0 ");
        assert_int_equal(fcng_conn_reusable(conn), !unfit);
        fcng_conn_del(conn);
    }
}

/* --- what the host has not consumed --- */

static void test_overrun_is_told_once(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true,
                                  .max_streams = 4,
                                  .stream_buffer = 10 };
    fcng_conn *conn = open_conn(&options);
    fcng_request *a = submit_as(conn, 0, "a"), *b = submit_as(conn, 0, "b");
    flush(conn, NULL);
    fcng_str six = BYTES(H("\6", "\1", "\0\6", "\0") "123456");
    expect_events(conn, six, "a<123456>");
    assert_int_equal(fcng_request_held(a), 6);
    expect_events(conn, BYTES(H("\6", "\2", "\0\6", "\0") "123456"),
                  "b<123456>");
    expect_events(conn, six, "a<123456>a+ ");
    expect_events(conn, six, "a<123456>"); /* never paused, told once */
    fcng_request_consumed(a, 12);
    assert_int_equal(fcng_request_held(a), 6);
    expect_events(conn, six, "a<123456>"); /* it had to fall to half */
    fcng_request_consumed(a, 7);
    expect_events(conn, six, "a<123456>a+ ");
    fcng_request_consumed(a, 1000);
    assert_int_equal(fcng_request_held(a), 0);
    /* STDERR does not count */
    expect_events(conn, BYTES(H("\7", "\2", "\0\x0c", "\0") "123456789012"),
                  "b{123456789012}");
    expect_events(conn, BYTES(H("\6", "\2", "\0\5", "\0") "12345"
                              END("\2", "\0")),
                  "b<12345>b+ b;0 ");
    fcng_request_release(b);
    fcng_conn_del(conn);
}

static void test_overrun_leaves_time_to_consume(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true,
                                  .max_streams = 4,
                                  .stream_buffer = 3 };
    fcng_conn *conn = open_conn(&options);
    fcng_request *a = submit_as(conn, 0, "a");
    flush(conn, NULL);
    fcng_str in = BYTES(H("\6", "\1", "\0\6", "\0") "123456" END("\1", "\0"));
    fcng_event ev;
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    assert_int_equal(fcng_conn_next_event(conn, 100, &ev), FCNG_OK);
    assert_int_equal(ev.type, FCNG_EV_STDOUT);
    fcng_request_consumed(a, 6);
    assert_int_equal(fcng_conn_next_event(conn, 100, &ev), FCNG_OK);
    assert_int_equal(ev.type, FCNG_EV_END);
    fcng_request_release(a);
    /* and a request cancelled in between is not told */
    a = submit_as(conn, 0, "a");
    flush(conn, NULL);
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    assert_int_equal(fcng_conn_next_event(conn, 100, &ev), FCNG_OK);
    fcng_request_cancel(a, 0);
    assert_int_equal(fcng_conn_next_event(conn, 100, &ev), FCNG_AGAIN);
    assert_int_equal(fcng_conn_unread(conn), 0);
    fcng_conn_del(conn);
}

static void test_direct_read_for_whom_the_host_says(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true,
                                  .max_streams = 4,
                                  .stream_buffer = 5 };
    fcng_conn *conn = open_conn(&options);
    fcng_request *a = submit_as(conn, 0, "a"), *b = submit_as(conn, 0, "b");
    flush(conn, NULL);
    fcng_request_set_direct(b, true);
    expect_events(conn, BYTES(H("\6", "\1", "\0\x08", "\0") "1"), "a<1>");
    assert_int_equal(fcng_conn_want(conn), 0);
    assert_null(fcng_conn_want_request(conn));
    fcng_request_set_direct(a, true);
    assert_int_equal(fcng_conn_want(conn), 7);
    assert_ptr_equal(fcng_conn_want_request(conn), a);
    fcng_conn_took(conn, 3);
    assert_int_equal(fcng_request_held(a), 4);
    fcng_request_set_direct(a, false);
    assert_int_equal(fcng_conn_want(conn), 0);
    fcng_request_set_direct(a, true);
    fcng_conn_took(conn, 4);
    expect_events(conn, BYTES(H("\6", "\2", "\0\6", "\0") "123"),
                  "a+ b<123>");
    assert_ptr_equal(fcng_conn_want_request(conn), b);
    assert_int_equal(fcng_conn_want(conn), 3);
    fcng_request_cancel(b, 0);
    assert_int_equal(fcng_conn_want(conn), 0);
    expect_events(conn, BYTES("456" END("\2", "\0") END("\1", "\0")), "a;0 ");
    fcng_conn_del(conn);
}

/* --- failure, reuse --- */

static void test_point53_a_failure_is_told_to_each_once(void **state)
{
    (void)state;
    static char body[9000];
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a"), *b = submit_as(conn, 0, "b");
    fcng_request *c = submit_as(conn, sizeof(body), "c");
    flush(conn, NULL);
    offer(c, body, sizeof(body), false);
    fcng_request *d = submit_as(conn, 0, "d");
    fcng_str in = BYTES(H("\6", "\2", "\0\1", "\0") "x" END("\1", "\0"));
    assert_int_equal(fcng_conn_feed(conn, in.data, in.len), FCNG_OK);
    fcng_conn_fail(conn, FCNG_ERR_CLOSED);
    bytes log = { NULL, 0 };
    pull(conn, SIZE_MAX, &log);
    assert_str(bytes_str(&log), text("b<x>a;0 b!-13 c!-13 d!-13 "));
    pull(conn, SIZE_MAX, &log);
    assert_str(bytes_str(&log), text("b<x>a;0 b!-13 c!-13 d!-13 "));
    fcng_request *all[] = { a, b, c, d };
    static const bool started[] = { true, true, true, false };
    static const bool answered[] = { true, true, false, false };
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fcng_request_started(all[i]), started[i]);
        assert_int_equal(fcng_request_answered(all[i]), answered[i]);
    }
    assert_int_equal(fcng_conn_active(conn), 0);
    assert_true(fcng_conn_retired(conn));
    assert_false(fcng_conn_can_submit(conn));
    assert_false(fcng_conn_wants_write(conn));
    fcng_request_release(c);
    fcng_request_release(a);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_point53_cancel_after_the_failure(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 5, "a"), *b = submit_as(conn, 0, "b");
    flush(conn, NULL);
    offer(a, "abc", 3, false);
    fcng_conn_fail(conn, FCNG_ERR_TIMEOUT);
    fcng_request_cancel(a, 0);
    assert_int_equal(fcng_conn_zombies(conn), 0);
    bytes log = { NULL, 0 };
    pull(conn, SIZE_MAX, &log);
    assert_str(bytes_str(&log), text("b!-15 "));
    fcng_request_release(b);
    assert_int_equal(fcng_conn_active(conn), 0);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_law6_a_shared_connection_is_idle_and_clean(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    assert_true(fcng_conn_reusable(conn));
    fcng_request *a = submit(conn, 0), *b = submit(conn, 0);
    assert_false(fcng_conn_reusable(conn));
    flush(conn, NULL);
    expect_events(conn, BYTES(END("\1", "\0")), ";0 ");
    assert_false(fcng_conn_reusable(conn));
    fcng_request_cancel(b, 0);
    assert_int_equal(fcng_conn_active(conn), 0);
    assert_false(fcng_conn_reusable(conn)); /* ABORT_REQUEST waits */
    flush(conn, NULL);
    assert_false(fcng_conn_reusable(conn)); /* a zombie */
    expect_events(conn, BYTES(END("\2", "\0") "\1"), "");
    assert_false(fcng_conn_reusable(conn)); /* half a header */
    expect_events(conn, BYTES("\6\0\7\0\1\0\0?"), "");
    assert_int_equal(fcng_conn_stray(conn), 1);
    assert_true(fcng_conn_reusable(conn)); /* strays are survived */
    fcng_request_release(a);
    assert_true(fcng_conn_reusable(conn));
    fcng_conn_del(conn);
}

static void test_point41_values_on_a_shared_connection(void **state)
{
    (void)state;
    fcng_conn *conn = open_conn(&four);
    fcng_request *a = submit_as(conn, 0, "a");
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    expect_written(conn, "B1 P1:4 P1:0 I1:0 V0 ");
    expect_events(conn,
                  BYTES(H("\x0a", "\0", NONE, "\0") H("\x0a", "\1", NONE, "\0")
                        H("\x0b", "\1", "\0\x08", "\0") "\x4d\0\0\0\0\0\0\0"
                        H("\x4d", "\1", "\0\1", "\0") "?"),
                  "values values unknown ");
    assert_false(fcng_request_answered(a)); /* none of it is an answer */
    assert_int_equal(fcng_conn_stray(conn), 0);
    expect_events(conn, BYTES(END("\1", "\0")), "a;0 ");
    fcng_conn_del(conn);
}

/* --- memory --- */

/* A conversation whose n-th allocation fails; whatever fails, the wire stays
   whole and nothing leaks. */
static void conversation(failalloc *f)
{
    static char body[6000];
    fcng_conn_options options = { .keep_conn = true, .max_streams = 100 };
    fcng_conn *conn = fcng_conn_new(&f->mem, &options);
    if (conn == NULL) {
        return;
    }
    bytes wire = { NULL, 0 }, log = { NULL, 0 };
    fcng_request *request[70] = { NULL };
    for (int i = 0; i < 70; i++) {
        fcng_submit s = { .role = FCNG_RESPONDER, .params = pairs,
                          .stdin_length = sizeof(body), .user = "" };
        int err = fcng_conn_submit(conn, &s, &request[i]);
        if (err != FCNG_OK) {
            assert_int_equal(err, FCNG_ERR_NOMEM);
            request[i] = NULL;
            continue;
        }
        offer(request[i], body, i % 3 ? 100 : sizeof(body), i % 3 == 0);
        if (i % 10 == 9 && request[i - 1] != NULL) {
            fcng_request_cancel(request[i - 1], 0);
            request[i - 1] = NULL;
        }
        fcng_str slice[3];
        size_t n;
        err = i % 7 == 6 ? fcng_conn_output(conn, slice, 3, &n) : FCNG_OK;
        if (err != FCNG_OK) {
            assert_int_equal(err, FCNG_ERR_NOMEM);
        } else if (i % 7 == 6 && n > 0) {
            size_t len = slice[0].len - slice[0].len / 3;
            bytes_add(&wire, (fcng_str){ slice[0].data, len });
            fcng_conn_sent(conn, len);
        }
    }
    int err = fcng_conn_get_values(conn);
    assert_true(err == FCNG_OK || err == FCNG_ERR_NOMEM);
    for (int i = 0; i < 70; i += 2) {
        if (request[i] != NULL) {
            fcng_request_cancel(request[i], 0);
        }
    }
    f->fail_at = 0;
    flush(conn, &wire);
    describe(&wire, &log);
    bytes_free(&wire);
    bytes_free(&log);
    fcng_conn_del(conn);
}

static void test_failing_memory_anywhere(void **state)
{
    (void)state;
    for (unsigned long n = 1; n < 1000; n++) {
        failalloc f;
        failalloc_init(&f, n);
        conversation(&f);
        assert_int_equal(f.live, 0);
        if (f.calls < n) {
            assert_true(n > 70);
            return;
        }
    }
    fail_msg("more allocations than expected");
}

static void test_no_memory_for_the_abort_retires(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_conn *conn = fcng_conn_new(&f.mem, &four);
    fcng_request *a = submit(conn, 0), *b = submit_as(conn, 0, "b");
    flush(conn, NULL);
    /* 64 KiB with the five headers and BEGIN_REQUEST: the buffer is full */
    static char pair[65496];
    memcpy(pair, "\x80\0\0\1\x80\0\xff\xcf", 8);
    fcng_submit s = { .role = FCNG_RESPONDER,
                      .params = { pair, sizeof(pair) } };
    fcng_request *c = NULL;
    assert_int_equal(fcng_conn_submit(conn, &s, &c), FCNG_OK);
    f.fail_at = f.calls + 1;
    fcng_request_cancel(a, 0);
    f.fail_at = 0;
    assert_true(fcng_conn_retired(conn));
    assert_int_equal(fcng_conn_active(conn), 2);
    expect_events(conn, BYTES(END("\1", "\0") END("\2", "\0")), "b;0 ");
    fcng_request_release(b);
    fcng_conn_del(conn);
    assert_int_equal(f.live, 0);
}

/* What is queued can leave, whatever else there is no memory for. */
static void test_no_memory_to_frame_more(void **state)
{
    (void)state;
    static char body[3000];
    failalloc f;
    failalloc_init(&f, 0);
    fcng_conn *conn = fcng_conn_new(&f.mem, &four);
    fcng_request *a = submit(conn, sizeof(body));
    offer(a, body, sizeof(body), true);
    f.fail_at = f.calls + 1;
    fcng_str slice[4];
    size_t n;
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_OK);
    assert_int_equal(n, 1);
    assert_int_equal(slice[0].len, 36);
    fcng_conn_sent(conn, slice[0].len);
    f.fail_at = f.calls + 1;
    assert_int_equal(fcng_conn_output(conn, slice, 4, &n), FCNG_ERR_NOMEM);
    assert_int_equal(n, 0);
    expect_written(conn, "I1:3000 I1:0 ");
    fcng_conn_del(conn);
    assert_int_equal(f.live, 0);
}

static void test_values_are_asked_behind_many_submissions(void **state)
{
    (void)state;
    fcng_conn_options options = { .keep_conn = true, .max_streams = 64 };
    fcng_conn *conn = open_conn(&options);
    for (int i = 0; i < 64; i++) {
        submit(conn, 0);
    }
    assert_int_equal(fcng_conn_get_values(conn), FCNG_OK);
    bytes wire = { NULL, 0 };
    flush(conn, &wire);
    assert_int_equal(wire.len, 64 * 44 + 64);
    bytes_free(&wire);
    fcng_conn_del(conn);
}

static void test_nothing_is_allocated_in_the_long_run(void **state)
{
    (void)state;
    failalloc f;
    failalloc_init(&f, 0);
    fcng_conn *conn = fcng_conn_new(&f.mem, &four);
    unsigned long after_first = 0;
    for (int i = 0; i < 1000; i++) {
        fcng_request *a = submit_as(conn, 3, "a"), *b = submit(conn, 0);
        fcng_request *c = submit(conn, 0);
        offer(a, "abc", 3, true);
        flush(conn, NULL);
        fcng_request_cancel(b, 0);
        flush(conn, NULL);
        bytes in = { NULL, 0 };
        unsigned ids[] = { fcng_request_id(a), fcng_request_id(c) };
        for (int k = 0; k < 2; k++) {
            char end[] = END("\0", "\0");
            end[3] = (char)ids[k];
            bytes_add(&in, (fcng_str){ end, sizeof(end) - 1 });
        }
        char end[] = END("\0", "\0"); /* the zombie's, wherever it is */
        for (unsigned id = 1; id <= 4; id++) {
            if (id != ids[0] && id != ids[1]) {
                end[3] = (char)id;
                bytes_add(&in, (fcng_str){ end, sizeof(end) - 1 });
                bytes_add(&in, (fcng_str){ end, sizeof(end) - 1 });
            }
        }
        expect_events(conn, bytes_str(&in), "a;0 ;0 ");
        bytes_free(&in);
        fcng_request_release(c);
        fcng_request_release(a);
        assert_true(fcng_conn_reusable(conn));
        after_first = i == 0 ? f.calls : after_first;
    }
    assert_int_equal(f.calls, after_first);
    assert_int_equal(fcng_conn_requests(conn), 3000);
    fcng_conn_del(conn);
    assert_int_equal(f.live, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_law4_exclusive_unless_asked),
    cmocka_unit_test(test_point13_the_lowest_free_id),
    cmocka_unit_test(test_point13_ids_run_out),
    cmocka_unit_test(test_point6_streams_interleave_at_any_byte),
    cmocka_unit_test(test_point37_strays_are_survived_and_counted),
    cmocka_unit_test(test_one_bad_record_fails_each_request_once),
    cmocka_unit_test(test_a_stdout_event_has_at_most_max_bytes),
    cmocka_unit_test(test_submissions_leave_in_one_slice),
    cmocka_unit_test(test_round_robin_in_small_records),
    cmocka_unit_test(test_who_comes_later_waits_one_turn),
    cmocka_unit_test(test_alone_a_stream_fills_its_records),
    cmocka_unit_test(test_filter_data_takes_turns_too),
    cmocka_unit_test(test_a_refused_request_leaves_the_others_alone),
    cmocka_unit_test(test_law7_point64_cancel_at_every_byte),
    cmocka_unit_test(test_law7_point64_nothing_is_said_of_what_never_left),
    cmocka_unit_test(test_point14_a_zombie_keeps_its_id),
    cmocka_unit_test(test_point14_zombies_count_as_streams),
    cmocka_unit_test(test_point28_the_end_of_an_abort_ends_nothing_else),
    cmocka_unit_test(test_point14_an_answer_behind_the_abort_frees_the_id),
    cmocka_unit_test(test_point14_a_zombie_answers_behind_the_abort),
    cmocka_unit_test(test_what_a_cancel_leaves_counts_for_nobody),
    cmocka_unit_test(test_point28_an_end_before_the_beginning),
    cmocka_unit_test(test_law7_a_zombie_past_its_deadline_retires),
    cmocka_unit_test(test_law7_times_at_the_edge),
    cmocka_unit_test(test_law7_too_many_zombies_retire),
    cmocka_unit_test(test_law6_point23_the_end_before_the_body),
    cmocka_unit_test(test_points31_to_34_refusals_on_a_shared_connection),
    cmocka_unit_test(test_overrun_is_told_once),
    cmocka_unit_test(test_overrun_leaves_time_to_consume),
    cmocka_unit_test(test_direct_read_for_whom_the_host_says),
    cmocka_unit_test(test_point53_a_failure_is_told_to_each_once),
    cmocka_unit_test(test_point53_cancel_after_the_failure),
    cmocka_unit_test(test_law6_a_shared_connection_is_idle_and_clean),
    cmocka_unit_test(test_point41_values_on_a_shared_connection),
    cmocka_unit_test(test_failing_memory_anywhere),
    cmocka_unit_test(test_no_memory_for_the_abort_retires),
    cmocka_unit_test(test_no_memory_to_frame_more),
    cmocka_unit_test(test_values_are_asked_behind_many_submissions),
    cmocka_unit_test(test_nothing_is_allocated_in_the_long_run),
};

UNIT_MAIN(tests)
