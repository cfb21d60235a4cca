/* SPDX-License-Identifier: BSD-2-Clause */
/* What an Authorizer's answer means, and which variables it may set.  The
   numbers are those of docs/protocol.md. */
#include "unit.h"

/* The verdict on a whole answer: every head the parser can make of it. */
static enum fcng_authz verdict(const char *answer, int end)
{
    fcng_head head;
    fcng_str in = text(answer);
    int err = FCNG_OK;
    fcng_head_init(&head, 65536);
    while (!head.done && err == FCNG_OK) {
        fcng_field field;
        size_t consumed;
        err = fcng_head_parse(&head, in.data, in.len, &consumed, &field);
        in.data += consumed;
        in.len -= consumed;
    }
    if (err == FCNG_AGAIN) {
        err = FCNG_ERR_HEAD_MISSING;
    }
    return fcng_authz_verdict(&head, end != FCNG_OK ? end : err);
}

static void test_point57_what_grants(void **state)
{
    (void)state;
    static const char *const grants[] = {
        "Status: 200\n\n",
        "Status: 200 OK\r\n\r\n",
        "Content-Type: text/plain\n\nignored",
        "Variable-A: 1\n\n",
        "HTTP/1.1 200 OK\nA: b\n\n",
        "Status: 200\nLocation: /elsewhere\n\n",
    };
    for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++) {
        assert_int_equal(verdict(grants[i], FCNG_OK), FCNG_AUTHZ_GRANTED);
    }
}

static void test_point58_every_other_status_denies(void **state)
{
    (void)state;
    char answer[64];
    for (unsigned status = 201; status <= 999; status++) {
        snprintf(answer, sizeof(answer), "Status: %u\n\n", status);
        assert_int_equal(verdict(answer, FCNG_OK), FCNG_AUTHZ_DENIED);
    }
    assert_int_equal(verdict("Location: /login\n\n", FCNG_OK),
                     FCNG_AUTHZ_DENIED);
    assert_int_equal(verdict("Location: http://a/\n\n", FCNG_OK),
                     FCNG_AUTHZ_DENIED);
}

static void test_point59_whatever_fails_denies(void **state)
{
    (void)state;
    static const char *const malformed[] = {
        "", "Status: 200", "Status: 200\n", "Status: 200\r\n\r",
        "Status: 100\n\n", "Status: 2000\n\n", "Status: abc\n\n",
        "Status: -200\n\n", "Status: 0200\n\n", "Status: 200x\n\n",
        "Status:\n\n", "Status: 200\nStatus: 403\n\n",
        "Status: 403\nStatus: 200\n\n", "HTTP/1.1 200 OK\nStatus: 403\n\n",
        "Status : 200\n\n", " Status: 200\n\n", "Status 200\n\n",
        "Content-Length: 1\nContent-Length: 2\n\n", "A b: c\n\n", ": c\n\n",
        "\n", "\r\n", "\nStatus: 403\n\n", "Location:\n\n",
        "Location: \nX-A: b\n\n",
    };
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        assert_int_equal(verdict(malformed[i], FCNG_OK), FCNG_AUTHZ_FAILED);
    }
    for (int err = -1; err > -70; err--) {
        assert_int_equal(verdict("Status: 200\n\n", err), FCNG_AUTHZ_FAILED);
        assert_int_equal(verdict("Status: 403\n\n", err), FCNG_AUTHZ_FAILED);
    }
    assert_int_equal(verdict("Status: 200\n\n", FCNG_AGAIN),
                     FCNG_AUTHZ_FAILED);
    fcng_head zeros = { .done = false };
    assert_int_equal(fcng_authz_verdict(&zeros, FCNG_OK), FCNG_AUTHZ_FAILED);
}

/* A grant that lost any of its bytes, or whose end did not come, is none. */
static void test_a_cut_grant_denies(void **state)
{
    (void)state;
    static const char grant[] = "Status: 200 OK\r\nVariable-A: 1\r\n\r\n";
    for (size_t len = 0; len < sizeof(grant) - 1; len++) {
        char cut[sizeof(grant)];
        memcpy(cut, grant, len);
        cut[len] = '\0';
        assert_int_equal(verdict(cut, FCNG_OK), FCNG_AUTHZ_FAILED);
    }
    assert_int_equal(verdict(grant, FCNG_ERR_CLOSED), FCNG_AUTHZ_FAILED);
    assert_int_equal(verdict(grant, FCNG_OK), FCNG_AUTHZ_GRANTED);
}

static void test_point56_what_is_withheld(void **state)
{
    (void)state;
    static const char *const four[] = { "CONTENT_LENGTH", "PATH_INFO",
                                        "PATH_TRANSLATED", "SCRIPT_NAME" };
    uint32_t skip = fcng_authz_skip();
    unsigned n = 0;
    for (unsigned i = 0; i < FCNG_ENV_COUNT; i++) {
        bool withheld = fcng_authz_is_withheld(fcng_env_name(i));
        assert_int_equal(withheld, skip >> i & 1);
        n += withheld;
    }
    assert_int_equal(n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(fcng_authz_is_withheld(text(four[i])));
    }
    assert_true(fcng_authz_is_withheld(text("Path_Info")));
    assert_false(fcng_authz_is_withheld(text("CONTENT_TYPE")));
    assert_false(fcng_authz_is_withheld(text("")));
}

/* --- variables --- */

static void expect(const char *field, enum fcng_authz_field want)
{
    fcng_str name = { NULL, 0 };
    if (fcng_authz_field(text(field), &name) != want) {
        fail_msg("\"%s\" is not %d", field, want);
    }
    if (want == FCNG_AUTHZ_VARIABLE) {
        assert_str(name, text(field + strlen("Variable-")));
    }
}

static void test_point60_variables_and_other_fields(void **state)
{
    (void)state;
    static const char *const variables[] = {
        "AUTH_METHOD", "AUTH-METHOD", "REMOTE_USER", "AUTH_TYPE", "eppn",
        "Shib-Session-ID", "Shib_Application_ID", "affiliation", "mail",
        "_x", "a1", "user.name", "USER", "PATHS", "ENVIRONMENT", "HTTP",
        "LD", "HOMEPAGE", "PHPSESSION", "languages",
    };
    char field[300];
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        snprintf(field, sizeof(field), "Variable-%s", variables[i]);
        expect(field, FCNG_AUTHZ_VARIABLE);
        memcpy(field, "vARIABLE-", 9);
        expect(field, FCNG_AUTHZ_VARIABLE);
    }
    expect("Variable", FCNG_AUTHZ_HEADER);
    expect("Variables-A", FCNG_AUTHZ_HEADER);
    expect("X-Variable-A", FCNG_AUTHZ_HEADER);
    expect("", FCNG_AUTHZ_HEADER);
}

static void test_point60_names_that_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "", "1a", "-a", ".a", "a b", "a/b", "a=b", "a$", "a\x80", "a\n",
        "HTTP_X", "http_x", "HTTP-X", "HTTP.X", "HTTP_PROXY", "Http-Proxy",
        "HTTPS", "https", "SCRIPT_FILENAME", "script-filename",
        "DOCUMENT_ROOT", "PHP_VALUE", "PHP_ADMIN_VALUE", "php-value",
        "LD_PRELOAD", "LD_LIBRARY_PATH", "ld-preload", "DYLD_INSERT_LIBRARIES",
        "PATH", "path", "PATH_INFO", "IFS", "BASH_ENV", "PERL5LIB",
        "PYTHONPATH", "NODE_OPTIONS", "SERVER_NAME", "SERVER_ADMIN",
        "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_HOST", "REQUEST_METHOD",
        "QUERY_STRING", "REDIRECT_STATUS", "REDIRECT_x", "SSL_CLIENT_S_DN",
        "FCGI_ROLE", "FCGI_DATA_LENGTH", "GATEWAY_INTERFACE", "no-gzip",
        "nokeepalive", "force-response-1.0", "downgrade-1.0",
        "proxy-nokeepalive", "filter-errordocs", "suppress-error-charset",
        "fastcgi_ng_pool",
    };
    char field[300];
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        snprintf(field, sizeof(field), "Variable-%s", refused[i]);
        expect(field, FCNG_AUTHZ_REFUSED);
    }
    memset(field, 'a', sizeof(field));
    memcpy(field, "Variable-", 9);
    field[9 + 256] = '\0';
    expect(field, FCNG_AUTHZ_VARIABLE);
    field[9 + 256] = 'a';
    field[9 + 257] = '\0';
    expect(field, FCNG_AUTHZ_REFUSED);
}

/* All that the server sends by itself, in any spelling, but the two that
   authorizing is about. */
static void test_point60_no_default_variable_but_two(void **state)
{
    (void)state;
    for (unsigned i = 0; i < FCNG_ENV_COUNT; i++) {
        char field[64], *at = field + 9;
        fcng_str name = fcng_env_name(i);
        snprintf(field, sizeof(field), "Variable-%.*s", (int)name.len,
                 name.data);
        bool may = i == FCNG_ENV_REMOTE_USER || i == FCNG_ENV_AUTH_TYPE;
        expect(field, may ? FCNG_AUTHZ_VARIABLE : FCNG_AUTHZ_REFUSED);
        for (; *at != '\0'; at++) {
            *at = *at == '_' ? '-' : (char)(*at | 32);
        }
        expect(field, may ? FCNG_AUTHZ_VARIABLE : FCNG_AUTHZ_REFUSED);
    }
}

static void test_names_that_meet(void **state)
{
    (void)state;
    assert_true(fcng_authz_meet(text("A-b.C"), text("a_B_c")));
    assert_true(fcng_authz_meet(text(""), text("")));
    assert_false(fcng_authz_meet(text("a"), text("ab")));
    assert_false(fcng_authz_meet(text("a_b"), text("a+b")));
    assert_false(fcng_authz_meet(text("a1"), text("a2")));
}

static void test_three_closes_in_a_row(void **state)
{
    (void)state;
    fcng_authz_peer peer = { 0 };
    assert_false(fcng_authz_no_stdin(&peer));
    fcng_authz_closed(&peer, false, 0);
    fcng_authz_closed(&peer, false, 0);
    fcng_authz_kept(&peer);
    fcng_authz_closed(&peer, false, 0);
    fcng_authz_closed(&peer, false, 0);
    assert_false(fcng_authz_no_stdin(&peer));
    fcng_authz_closed(&peer, false, FCNG_POOL_SETTLED_US);
    assert_false(fcng_authz_no_stdin(&peer));
    fcng_authz_closed(&peer, false, FCNG_POOL_SETTLED_US - 1);
    assert_true(fcng_authz_no_stdin(&peer));
    fcng_authz_kept(&peer);
    fcng_authz_closed(&peer, false, 0);
    assert_true(fcng_authz_no_stdin(&peer));
}

static void test_the_record_was_not_the_reason(void **state)
{
    (void)state;
    fcng_authz_peer closes = { 0 }, silent = { 0 };
    for (int i = 0; i < 3; i++) {
        fcng_authz_closed(&closes, false, 0);
        fcng_authz_closed(&silent, false, 0);
    }
    fcng_authz_closed(&closes, true, FCNG_POOL_SETTLED_US);
    assert_true(fcng_authz_no_stdin(&closes));
    fcng_authz_closed(&closes, true, 0);
    assert_false(fcng_authz_no_stdin(&closes));
    fcng_authz_unanswered(&silent);
    assert_false(fcng_authz_no_stdin(&silent));
    for (int i = 0; i < 3; i++) {
        fcng_authz_closed(&silent, false, 0);
    }
    assert_false(fcng_authz_no_stdin(&silent));
}

static void test_whether_closes_are_looked_for(void **state)
{
    (void)state;
    fcng_authz_peer peer = { 0 };
    assert_true(fcng_authz_undecided(&peer));
    fcng_authz_kept(&peer);
    assert_false(fcng_authz_undecided(&peer));
    fcng_authz_closed(&peer, false, FCNG_POOL_SETTLED_US);
    assert_false(fcng_authz_undecided(&peer));
    fcng_authz_closed(&peer, false, 0);
    assert_true(fcng_authz_undecided(&peer));
    fcng_authz_unanswered(&peer);
    assert_false(fcng_authz_undecided(&peer));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point57_what_grants),
    cmocka_unit_test(test_point58_every_other_status_denies),
    cmocka_unit_test(test_point59_whatever_fails_denies),
    cmocka_unit_test(test_a_cut_grant_denies),
    cmocka_unit_test(test_point56_what_is_withheld),
    cmocka_unit_test(test_point60_variables_and_other_fields),
    cmocka_unit_test(test_point60_names_that_are_refused),
    cmocka_unit_test(test_point60_no_default_variable_but_two),
    cmocka_unit_test(test_names_that_meet),
    cmocka_unit_test(test_three_closes_in_a_row),
    cmocka_unit_test(test_the_record_was_not_the_reason),
    cmocka_unit_test(test_whether_closes_are_looked_for),
};

UNIT_MAIN(tests)
