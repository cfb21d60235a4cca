/* SPDX-License-Identifier: BSD-2-Clause */
/* What the operator is told about an application that cannot be reached. */
#include "unit.h"

static char out[512];

static const char *hint(fcng_connect_facts facts)
{
    memset(out, 'x', sizeof(out));
    fcng_hint_connect(out, sizeof(out), &facts);
    assert_non_null(memchr(out, '\0', sizeof(out)));
    return out;
}

static void expect(fcng_connect_facts facts, const char *part)
{
    if (strstr(hint(facts), part) == NULL) {
        print_error("\"%s\" lacks \"%s\"\n", out, part);
        fail();
    }
}

static void test_denied_tells_owner_mode_and_process(void **state)
{
    (void)state;
    fcng_connect_facts f = { .cause = FCNG_CONNECT_DENIED,
                             .is_unix = true,
                             .is_socket = true,
                             .owner = "php:php",
                             .mode = 0660,
                             .process = "www-data" };
    expect(f, "the socket is php:php 0660, this process is www-data: ");
    expect(f, "listen.mode");
    f.modes_allow = true;
    expect(f, "the socket is php:php 0660, this process is www-data: ");
    expect(f, "SELinux, AppArmor or a private /tmp (systemd PrivateTmp) may"
              " stand between");
    assert_null(strstr(out, "listen.mode"));
    f.process = NULL;
    expect(f, "the socket is php:php 0660: ");
    f.mode = 04755;
    expect(f, "php:php 04755: ");
    f.mode = 0;
    expect(f, "php:php 0000: ");
}

static void test_denied_on_the_way_to_the_socket(void **state)
{
    (void)state;
    fcng_connect_facts f = { .cause = FCNG_CONNECT_DENIED,
                             .is_unix = true,
                             .process = "www-data" };
    expect(f, "this process is www-data: ");
    expect(f, "folder");
    f.process = NULL;
    expect(f, "folder");
    f.is_unix = false;
    expect(f, "httpd_can_network_connect");
}

static void test_refused(void **state)
{
    (void)state;
    fcng_connect_facts f = { .cause = FCNG_CONNECT_REFUSED };
    expect(f, "nobody listens on this address and port");
    f.is_unix = true;
    expect(f, "this path is no socket");
    f.is_socket = true;
    expect(f, "nobody listens on it; start the application");
}

static void test_the_others(void **state)
{
    (void)state;
    fcng_connect_facts f = { .cause = FCNG_CONNECT_MISSING, .is_unix = true };
    expect(f, "there is no such socket");
    expect(f, "PrivateTmp");
    f.cause = FCNG_CONNECT_BACKLOG;
    expect(f, "pm.max_children");
    expect(f, "listen.backlog");
    f.cause = FCNG_CONNECT_TIMEOUT;
    expect(f, "accepts no connection");
    f.is_unix = false;
    expect(f, "packet filter");
    f.cause = FCNG_CONNECT_NO_DESCRIPTORS;
    expect(f, "worker_rlimit_nofile");
    f.cause = FCNG_CONNECT_NOT_SOCKET;
    expect(f, "no socket");
    f.cause = FCNG_CONNECT_NO_ROUTE;
    expect(f, "no way to this host");
    f.cause = FCNG_CONNECT_OTHER;
    assert_string_equal(hint(f), "");
}

static void test_a_small_place_is_filled_and_terminated(void **state)
{
    (void)state;
    fcng_connect_facts f = { .cause = FCNG_CONNECT_MISSING };
    char all[512];
    fcng_hint_connect(all, sizeof(all), &f);
    assert_true(strlen(all) < sizeof(all) - 1);
    for (size_t len = 1; len <= strlen(all) + 2; len++) {
        char *small = malloc(len);
        assert_non_null(small);
        fcng_hint_connect(small, len, &f);
        size_t want = len - 1 < strlen(all) ? len - 1 : strlen(all);
        assert_int_equal(strlen(small), want);
        assert_memory_equal(small, all, want);
        free(small);
    }
}

static void test_strangers_are_known_by_their_first_bytes(void **state)
{
    (void)state;
    static const struct {
        fcng_str in;
        const char *part; /* "": nothing is said */
    } row[] = {
        { FCNG_STR("HTTP/1.1 400 Bad Request\r\n"), "an HTTP server" },
        { FCNG_STR("HTTP/"), "an HTTP server" },
        { FCNG_STR("<html>\r\n<head>"), "an HTTP server" },
        { FCNG_STR("<!DOCTYPE HTML"), "an HTTP server" },
        { FCNG_STR("\x15\x03\x01\x00\x02\x02\x46"), "a TLS server" },
        { FCNG_STR("\x16\x03\x03"), "a TLS server" },
        { FCNG_STR("\0\0\x12\4\0\0\0\0\0\0\3"), "an HTTP/2 server" },
        { FCNG_STR("SSH-2.0-OpenSSH"), "an SSH server" },
        { FCNG_STR("Content-Type: text/html\r\n"), "plain CGI output" },
        { FCNG_STR("Status: 200\r\n"), "plain CGI output" },
        { FCNG_STR(""), "" },
        { FCNG_STR("H"), "" },
        { FCNG_STR("\x15\x03"), "" },
        { FCNG_STR("\x15\x02\x01"), "" },
        { FCNG_STR("\0\0\0\0\0\0\0\0\0"), "" },
        { FCNG_STR("\0\0\x12\4\0\0\0\0"), "" },
        { FCNG_STR("\2\6\0\1\0\0\0\0"), "" },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char *exact = malloc(row[i].in.len + 1);
        assert_non_null(exact);
        memcpy(exact, row[i].in.data, row[i].in.len);
        exact = realloc(exact, row[i].in.len > 0 ? row[i].in.len : 1);
        assert_non_null(exact);
        memset(out, 'x', sizeof(out));
        fcng_hint_protocol(out, sizeof(out),
                           (fcng_str){ exact, row[i].in.len });
        if (row[i].part[0] == '\0') {
            assert_string_equal(out, "");
        } else {
            assert_non_null(strstr(out, row[i].part));
        }
        free(exact);
    }
}

static void test_closed_tells_where_to_look(void **state)
{
    (void)state;
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        for (int answered = 0; answered < 2; answered++) {
            fcng_hint_closed(out, sizeof(out), is_unix, answered);
            assert_true(strlen(out) < 200);
            assert_non_null(strstr(out, "crashed, was killed"));
            assert_non_null(strstr(out, "its own log (php-fpm: request_t"));
            assert_int_equal(strstr(out, "listen.allowed_clients") != NULL,
                             !is_unix && !answered);
            assert_int_equal(strstr(out, "no FastCGI") != NULL,
                             is_unix && !answered);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_denied_tells_owner_mode_and_process),
    cmocka_unit_test(test_denied_on_the_way_to_the_socket),
    cmocka_unit_test(test_refused),
    cmocka_unit_test(test_the_others),
    cmocka_unit_test(test_a_small_place_is_filled_and_terminated),
    cmocka_unit_test(test_strangers_are_known_by_their_first_bytes),
    cmocka_unit_test(test_closed_tells_where_to_look),
};

UNIT_MAIN(tests)
