/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head of a response, as RFC 3875 and RFC 9110 have it.  The numbers are
 * those of docs/protocol.md.
 */
#include "split.h"

#define MAX_SIZE 65536

static const char *kind_name(enum fcng_head_kind kind)
{
    switch (kind) {
    case FCNG_HEAD_DOCUMENT:
        return "document";
    case FCNG_HEAD_LOCAL_REDIRECT:
        return "local";
    case FCNG_HEAD_CLIENT_REDIRECT:
        return "client";
    }
    return NULL;
}

static void log_end(const fcng_head *head, fcng_str rest, bytes *log)
{
    char line[100];
    if (head->content_length == FCNG_LENGTH_UNKNOWN) {
        snprintf(line, sizeof(line), "= %u %s", head->status,
                 kind_name(head->kind));
    } else {
        snprintf(line, sizeof(line), "= %u %s %llu", head->status,
                 kind_name(head->kind),
                 (unsigned long long)head->content_length);
    }
    bytes_add(log, text(line));
    bytes_add(log, text(" body="));
    bytes_add(log, rest);
}

static void log_field(const fcng_field *field, bytes *log)
{
    if (field->name.len > 0 || field->value.len > 0) {
        bytes_add(log, field->name);
        bytes_add(log, text(field->name.len > 0 ? ": " : "! "));
        bytes_add(log, field->value);
        bytes_add(log, text("|"));
    }
}

static void log_error(int err, bytes *log)
{
    const char *name = "?";
    switch (err) {
    case FCNG_ERR_HEAD_SIZE:
        name = "E size";
        break;
    case FCNG_ERR_HEAD_SYNTAX:
        name = "E syntax";
        break;
    case FCNG_ERR_HEAD_STATUS:
        name = "E status";
        break;
    case FCNG_ERR_HEAD_LENGTH:
        name = "E length";
        break;
    }
    bytes_add(log, text(name));
}

/* Lines of the |len| bytes behind |*at|.  They lie in memory of just that
   size, so that a byte too many is seen by a sanitizer or valgrind. */
static int read_lines(fcng_head *head, fcng_str in, size_t *at, bytes *log)
{
    for (;;) {
        size_t len = in.len - *at, consumed = 77;
        char *exact = malloc(len > 0 ? len : 1);
        assert_non_null(exact);
        memcpy(exact, in.data + *at, len);
        fcng_field field;
        int err = fcng_head_parse(head, exact, len, &consumed, &field);
        if (err == FCNG_OK) {
            assert_in_range(consumed, 1, len);
            log_field(&field, log);
        } else {
            assert_int_equal(consumed, 0);
        }
        *at += consumed;
        free(exact);
        if (err != FCNG_OK || head->done) {
            return err;
        }
    }
}

static void read_head(fcng_str whole, const size_t *end, size_t n, void *arg,
                      bytes *log)
{
    fcng_head head;
    size_t at = 0;
    fcng_head_init(&head, *(const size_t *)arg);
    for (size_t i = 0; i < n && !head.done; i++) {
        fcng_str in = { whole.data, end[i] };
        int err = read_lines(&head, in, &at, log);
        if (err < 0) {
            log_error(err, log);
            return;
        }
    }
    assert_int_equal(head.size, at);
    if (!head.done) {
        bytes_add(log, text("E missing"));
        assert_int_equal(fcng_head_finish(&head, false),
                         FCNG_ERR_HEAD_MISSING);
        return;
    }
    log_end(&head, (fcng_str){ whole.data + at, whole.len - at }, log);
}

static void expect_bytes(fcng_str in, const char *want)
{
    size_t max_size = MAX_SIZE;
    split_expect(read_head, in, &max_size, text(want));
}

static void expect(const char *in, const char *want)
{
    expect_bytes(text(in), want);
}

static void test_point45_lines_end_in_lf_or_crlf(void **state)
{
    (void)state;
    expect("A: 1\r\nB: 2\r\n\r\nbody", "A: 1|B: 2|= 200 document body=body");
    expect("A: 1\nB: 2\n\nbody", "A: 1|B: 2|= 200 document body=body");
    expect("A: 1\r\nB: 2\n\r\nbody", "A: 1|B: 2|= 200 document body=body");
    expect("A: 1\nB: 2\r\n\nbody", "A: 1|B: 2|= 200 document body=body");
    expect("A: 1\n\n\nbody", "A: 1|= 200 document body=\nbody");
    expect("A: 1\r\n\r\n\r\nb", "A: 1|= 200 document body=\r\nb");
}

static void test_white_space_around_a_value(void **state)
{
    (void)state;
    expect("A:1\nB:\t 2 \t\nC:\nD: \nE: x  y\n\n",
           "A: 1|B: 2|C: |D: |E: x  y|= 200 document body=");
}

static void test_point30_a_head_that_never_ends_is_missing(void **state)
{
    (void)state;
    expect("", "E missing");
    expect("A: 1", "E missing");
    expect("A: 1\r\n", "A: 1|E missing");
    expect("A: 1\n\r", "A: 1|E missing");
}

static void test_an_empty_head_is_a_head(void **state)
{
    (void)state;
    expect("\nbody", "= 200 document body=body");
    expect("\r\nbody", "= 200 document body=body");
}

static void test_point46_size(void **state)
{
    (void)state;
    size_t max = 20;
    split_expect(read_head, text("A: 4567\nB: 3456789\n\nbody"), &max,
                 text("A: 4567|B: 3456789|= 200 document body=body"));
    split_expect(read_head, text("A: 4567\nB: 34567890\n\nbody"), &max,
                 text("A: 4567|B: 34567890|E size"));
    split_expect(read_head, text("A: 4567\nB: 345678901\n\n"), &max,
                 text("A: 4567|E size"));
    split_expect(read_head, text("a line without any end"), &max,
                 text("E size"));
    split_expect(read_head, text("a line without a end!"), &max,
                 text("E size"));
    split_expect(read_head, text("a line of 19 bytes."), &max,
                 text("E missing"));
}

static void test_point46_head_of_64_kib(void **state)
{
    (void)state;
    static const char begin[] = "X: ";
    for (size_t more = 0; more < 2; more++) {
        size_t len = MAX_SIZE + more;
        char *in = malloc(len);
        assert_non_null(in);
        memset(in, 'v', len);
        memcpy(in, begin, 3);
        memcpy(in + len - 4, "\r\n\r\n", 4);
        size_t steps[] = { len, 1000, 1 };
        for (size_t i = 0; i < 3; i++) {
            fcng_head head;
            fcng_head_init(&head, MAX_SIZE);
            fcng_field field;
            size_t at = 0, consumed;
            int err = FCNG_AGAIN;
            for (size_t end = steps[i]; err >= 0 && !head.done;
                 end += steps[i]) {
                end = end < len ? end : len;
                while ((err = fcng_head_parse(&head, in + at, end - at,
                                              &consumed, &field))
                           == FCNG_OK
                       && !head.done) {
                    at += consumed;
                }
                if (end == len) {
                    break;
                }
            }
            assert_int_equal(err, more == 0 ? FCNG_OK : FCNG_ERR_HEAD_SIZE);
            assert_true(head.done == (more == 0));
        }
        free(in);
    }
}

static void test_point46_at_most_8192_lines(void **state)
{
    (void)state;
    for (size_t nlines = 8191; nlines <= 8192; nlines++) {
        bytes in = { NULL, 0 };
        for (size_t i = 0; i < nlines; i++) {
            bytes_add(&in, text("A:\n"));
        }
        bytes_add(&in, text("\n"));
        bytes log = { NULL, 0 };
        size_t max = 1 << 20;
        read_head(bytes_str(&in), &in.len, 1, &max, &log);
        const char *want = nlines == 8191 ? "= 200 document body=" : "E size";
        assert_true(log.len > strlen(want));
        assert_memory_equal(log.data + log.len - strlen(want), want,
                            strlen(want));
        bytes_free(&log);
        bytes_free(&in);
    }
}

static void test_point47_status(void **state)
{
    (void)state;
    expect("Status: 404 Not Found\n\n",
           "! 404 Not Found|= 404 document body=");
    expect("status:404\n\n", "! 404|= 404 document body=");
    expect("STATUS: 200\tOK\n\n", "! 200\tOK|= 200 document body=");
    expect("Status: 999 Odd\n\n", "! 999 Odd|= 999 document body=");
    expect("A: 1\nStatus: 204 No Content\nB: 2\n\n",
           "A: 1|! 204 No Content|B: 2|= 204 document body=");
    static const char *const bad[] = {
        "", "2", "20", "2000", "abc", "OK", "+20", "-20", "2 0", "20x",
        "200OK", "0x1", "099", "000", "100 Continue", "101", "103", "199"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char in[64];
        snprintf(in, sizeof(in), "Status: %s\n\n", bad[i]);
        expect(in, "E status");
    }
}

static void test_point47_two_statuses(void **state)
{
    (void)state;
    expect("Status: 404\nStatus: 404 Gone\n\n",
           "! 404|! 404 Gone|= 404 document body=");
    expect("Status: 404\nStatus: 200\n\n", "! 404|E status");
    expect("HTTP/1.1 200 OK\nStatus: 404\n\n", "! 200 OK|E status");
}

static void test_point48_status_line_of_http_comes_first(void **state)
{
    (void)state;
    expect("HTTP/1.1 200 OK\r\nA: 1\r\n\r\nx",
           "! 200 OK|A: 1|= 200 document body=x");
    expect("HTTP/1.0 404 Not: Found\n\n",
           "! 404 Not: Found|= 404 document body=");
    expect("HTTP/2 302\nLocation: /x\n\n",
           "! 302|Location: /x|= 302 document body=");
    expect("HTTP/1.1 100 Continue\n\n", "E status");
    expect("HTTP/1.1\n\n", "E status");
    expect("HTTP/1.1 \n\n", "E status");
    expect("HTTP/1.1 20\n\n", "E status");
    expect("A: 1\nHTTP/1.1 200 OK\n\n", "A: 1|E syntax");
    expect_bytes(BYTES("HTTP/1.1 200 O\0K\n\n"), "E syntax");
    expect("HTTP: 1\n\n", "HTTP: 1|= 200 document body=");
}

static void test_point49_location(void **state)
{
    (void)state;
    expect("Location: http://a/b\n\n",
           "Location: http://a/b|= 302 client body=");
    expect("LOCATION: /b\n\n", "LOCATION: /b|= 200 local body=");
    expect("Location: /\n\n", "Location: /|= 200 local body=");
    expect("Location: //host/b\n\n", "Location: //host/b|= 302 client body=");
    expect("Location: //\n\n", "Location: //|= 302 client body=");
    expect("Location: b.html\n\n", "Location: b.html|= 302 client body=");
    expect("Location: /b\nStatus: 301 Moved\n\n",
           "Location: /b|! 301 Moved|= 301 document body=");
    expect("Status: 201\nLocation: http://a/b\n\n",
           "! 201|Location: http://a/b|= 201 document body=");
    expect("Location:\n\n", "Location: |= 200 document body=");
    expect("Location: /a\nLocation: http://b/\n\n",
           "Location: /a|! http://b/|= 200 local body=");
}

static void test_point50_content_length(void **state)
{
    (void)state;
    expect("Content-Length: 0\n\n",
           "Content-Length: 0|= 200 document 0 body=");
    expect("content-length:  12 \n\nab",
           "content-length: 12|= 200 document 12 body=ab");
    expect("Content-Length: 9223372036854775807\n\n",
           "Content-Length: 9223372036854775807|"
           "= 200 document 9223372036854775807 body=");
    expect("Content-Length: 5\nA: 1\nContent-Length: 5\n\n",
           "Content-Length: 5|A: 1|! 5|= 200 document 5 body=");
    expect("Content-Length: 5\nContent-Length: 05\n\n",
           "Content-Length: 5|! 05|= 200 document 5 body=");
    expect("Content-Length: 5\nContent-Length: 6\n\n",
           "Content-Length: 5|E length");
    static const char *const bad[] = {
        "", "abc", "-1", "+1", "1 2", "5, 5", "0x10", "1.0", "1e3", "12a",
        "9223372036854775808", "18446744073709551615",
        "18446744073709551616", "99999999999999999999999999"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char in[64];
        snprintf(in, sizeof(in), "Content-Length: %s\n\n", bad[i]);
        expect(in, "E length");
    }
}

static void test_point50_hop_by_hop_fields_go_no_further(void **state)
{
    (void)state;
    expect("Transfer-Encoding: chunked\nA: 1\n\n",
           "A: 1|= 200 document body=");
    expect("TRANSFER-ENCODING: gzip, chunked\nContent-Length: 3\n\n",
           "Content-Length: 3|= 200 document 3 body=");
    expect("Connection: close\nKeep-Alive: 5\nProxy-Connection: x\nTE: x\n"
           "Trailer: x\nUpgrade: h2c\nA: 1\n\n",
           "A: 1|= 200 document body=");
    expect("Trailers: x\n\n", "Trailers: x|= 200 document body=");
}

static void test_point51_what_is_no_field_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "no colon\n\n", "Nocolon\n\n", ": value\n\n", "A : 1\n\n",
        "A\t: 1\n\n", " A: 1\n\n", "\tA: 1\n\n", "A(b): 1\n\n",
        "A\"b: 1\n\n", "A/b: 1\n\n", "A[: 1\n\n", "A{: 1\n\n", "A@b: 1\n\n",
        "A,b: 1\n\n", "A\xc3\xa4: 1\n\n", "A\x7f: 1\n\n", "A\x01: 1\n\n",
        "A: b\rc\n\n", "A: b\r\r\n\n", "A: \x01\n\n", "A: b\x7f\n\n",
        "A: b\x1b[2J\n\n", "\r\r\n\n", "A\r: 1\n\n"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(bad[i], "E syntax");
    }
    expect("A: 1\n folded\n\n", "A: 1|E syntax");
    expect("A: 1\r\n\tfolded\r\n\r\n", "A: 1|E syntax");
    expect("A: 1\n \n\n", "A: 1|E syntax");
    expect_bytes(BYTES("A: b\0c\n\n"), "E syntax");
    expect_bytes(BYTES("A\0b: c\n\n"), "E syntax");
    expect_bytes(BYTES("\0\n\n"), "E syntax");
}

static void test_every_token_byte_may_stand_in_a_name(void **state)
{
    (void)state;
    static const char other[] = "!#$%&'*+-.^_`|~";
    for (int c = 0; c < 256; c++) {
        bool want = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
                    || (c >= 'A' && c <= 'Z')
                    || (c != 0 && strchr(other, c) != NULL);
        char in[] = "N_N: 1\n\n";
        in[1] = (char)c;
        fcng_head head;
        fcng_head_init(&head, MAX_SIZE);
        size_t consumed;
        fcng_field field;
        int err = fcng_head_parse(&head, in, sizeof(in) - 1, &consumed,
                                  &field);
        if (c == ':') {
            assert_int_equal(field.name.len, 1);
        } else if (want) {
            assert_int_equal(err, FCNG_OK);
            assert_int_equal(field.name.len, 3);
        } else {
            assert_int_equal(err, FCNG_ERR_HEAD_SYNTAX);
        }
    }
}

/* Values are looked at in pieces: no byte may be missed. */
static void test_no_control_byte_anywhere_in_a_value(void **state)
{
    (void)state;
    char in[] = "A: ========================\n";
    for (size_t i = 3; i < sizeof(in) - 2; i++) {
        for (int c = 0; c < 256; c++) {
            bool bad = (c < 0x20 && c != '\t') || c == 0x7f;
            fcng_head head;
            fcng_head_init(&head, MAX_SIZE);
            size_t consumed;
            fcng_field field;
            in[i] = (char)c;
            if (c == '\n' || (c == '\r' && i == sizeof(in) - 3)) {
                continue;
            }
            assert_int_equal(fcng_head_parse(&head, in, sizeof(in) - 1,
                                             &consumed, &field),
                             bad ? FCNG_ERR_HEAD_SYNTAX : FCNG_OK);
        }
        in[i] = i % 2 ? '\t' : '=';
    }
}

static void test_values_may_hold_tabs_and_bytes_over_127(void **state)
{
    (void)state;
    expect("A: b\tc\nB: \xc3\xa4\x80\xff\n\n",
           "A: b\tc|B: \xc3\xa4\x80\xff|= 200 document body=");
}

static void test_several_fields_of_one_name_pass(void **state)
{
    (void)state;
    expect("Set-Cookie: a=1\nSet-Cookie: b=2\nSet-Cookie: a=1\n\n",
           "Set-Cookie: a=1|Set-Cookie: b=2|Set-Cookie: a=1|"
           "= 200 document body=");
}

static fcng_head parsed(const char *in)
{
    fcng_head head;
    fcng_field field;
    size_t consumed;
    fcng_head_init(&head, MAX_SIZE);
    while (!head.done) {
        assert_int_equal(
            fcng_head_parse(&head, in, strlen(in), &consumed, &field),
            FCNG_OK);
        in += consumed;
    }
    return head;
}

static void test_point50_excess_is_cut(void **state)
{
    (void)state;
    fcng_head head = parsed("Content-Length: 10\n\n");
    assert_int_equal(fcng_head_body(&head, 4), 4);
    assert_int_equal(fcng_head_finish(&head, false), FCNG_ERR_BODY_SHORT);
    assert_int_equal(fcng_head_body(&head, 6), 6);
    assert_int_equal(fcng_head_finish(&head, false), FCNG_OK);
    assert_int_equal(fcng_head_body(&head, 1), 0);
    head = parsed("Content-Length: 10\n\n");
    assert_int_equal(fcng_head_body(&head, SIZE_MAX), 10);
    assert_int_equal(fcng_head_finish(&head, false), FCNG_OK);
    head = parsed("A: 1\n\n");
    assert_int_equal(fcng_head_body(&head, 1 << 30), 1 << 30);
    assert_int_equal(fcng_head_finish(&head, false), FCNG_OK);
}

static void test_point52_without_body_a_length_says_nothing(void **state)
{
    (void)state;
    fcng_head head = parsed("Status: 304\nContent-Length: 10\n\n");
    assert_int_equal(fcng_head_finish(&head, false), FCNG_ERR_BODY_SHORT);
    assert_int_equal(fcng_head_finish(&head, true), FCNG_OK);
    fcng_head_init(&head, MAX_SIZE);
    assert_int_equal(fcng_head_finish(&head, true), FCNG_ERR_HEAD_MISSING);
}

static void test_nothing_is_parsed_behind_the_head(void **state)
{
    (void)state;
    fcng_head head = parsed("A: 1\n\n");
    fcng_field field;
    size_t consumed;
    assert_int_equal(fcng_head_parse(&head, "B: 2\n\n", 6, &consumed, &field),
                     FCNG_ERR_INVALID);
    assert_int_equal(consumed, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point45_lines_end_in_lf_or_crlf),
    cmocka_unit_test(test_white_space_around_a_value),
    cmocka_unit_test(test_point30_a_head_that_never_ends_is_missing),
    cmocka_unit_test(test_an_empty_head_is_a_head),
    cmocka_unit_test(test_point46_size),
    cmocka_unit_test(test_point46_head_of_64_kib),
    cmocka_unit_test(test_point46_at_most_8192_lines),
    cmocka_unit_test(test_point47_status),
    cmocka_unit_test(test_point47_two_statuses),
    cmocka_unit_test(test_point48_status_line_of_http_comes_first),
    cmocka_unit_test(test_point49_location),
    cmocka_unit_test(test_point50_content_length),
    cmocka_unit_test(test_point50_hop_by_hop_fields_go_no_further),
    cmocka_unit_test(test_point51_what_is_no_field_is_refused),
    cmocka_unit_test(test_every_token_byte_may_stand_in_a_name),
    cmocka_unit_test(test_no_control_byte_anywhere_in_a_value),
    cmocka_unit_test(test_values_may_hold_tabs_and_bytes_over_127),
    cmocka_unit_test(test_several_fields_of_one_name_pass),
    cmocka_unit_test(test_point50_excess_is_cut),
    cmocka_unit_test(test_point52_without_body_a_length_says_nothing),
    cmocka_unit_test(test_nothing_is_parsed_behind_the_head),
};

UNIT_MAIN(tests)
