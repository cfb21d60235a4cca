/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CGI variables and HTTP_* against bytes written from Spec 3.4 and RFC 3875
 * section 4.1.  The numbers are those of docs/protocol.md.
 */
#include "unit.h"

#define F(name, value) { FCNG_STR(name), FCNG_STR(value) }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const fcng_fields_policy plain = { NULL, 0, false, false };
static const fcng_fields_policy underscores = { NULL, 0, true, false };

/* The pairs as "NAME=value|", readable. */
static void list(const fcng_params *params, bytes *out)
{
    fcng_str rest = { params->data, params->len }, name, value;
    int err;
    while ((err = fcng_params_next(&rest, &name, &value)) == FCNG_OK) {
        bytes_add(out, name);
        bytes_add(out, text("="));
        bytes_add(out, value);
        bytes_add(out, text("|"));
    }
    assert_int_equal(err, FCNG_AGAIN);
}

static void expect(const fcng_params *params, const char *want)
{
    bytes out = { NULL, 0 };
    list(params, &out);
    if (out.len != strlen(want)
        || (out.len > 0 && memcmp(out.data, want, out.len) != 0)) {
        print_error("got  %.*s\nwant %s\n", (int)out.len, out.data, want);
    }
    assert_str(bytes_str(&out), text(want));
    bytes_free(&out);
}

/* --- variables --- */

static void test_names(void **state)
{
    (void)state;
    static const char *const want[] = {
        "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_PROTOCOL",
        "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR",
        "REMOTE_PORT", "REMOTE_HOST", "REMOTE_USER", "AUTH_TYPE",
        "REQUEST_METHOD", "REQUEST_SCHEME", "HTTPS", "REQUEST_URI",
        "DOCUMENT_URI", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH",
        "DOCUMENT_ROOT", "SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO",
        "PATH_TRANSLATED", "REDIRECT_STATUS"
    };
    assert_int_equal(FCNG_ENV_COUNT, COUNT(want));
    for (int i = 0; i < FCNG_ENV_COUNT; i++) {
        assert_str(fcng_env_name((enum fcng_env_var)i), text(want[i]));
        assert_int_equal(fcng_env_find(text(want[i])), i);
    }
    assert_int_equal(fcng_env_find(text("script_name")), -1);
    assert_int_equal(fcng_env_find(text("HTTP_HOST")), -1);
    assert_int_equal(fcng_env_find(text("")), -1);
}

static void test_encode_bytes(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    char long_value[128];
    memset(long_value, 'q', sizeof(long_value));
    env.var[FCNG_ENV_REQUEST_METHOD] = text("GET");
    env.var[FCNG_ENV_QUERY_STRING] = (fcng_str){ long_value, 128 };
    env.var[FCNG_ENV_PATH_INFO] = text("");
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text("A"), text("1")), FCNG_OK);
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    bytes want = { NULL, 0 };
    bytes_add(&want, BYTES("\1\1A1\x0e\3REQUEST_METHODGET"
                           "\x0c\x80\0\0\x80QUERY_STRING"));
    bytes_add(&want, (fcng_str){ long_value, 128 });
    bytes_add(&want, BYTES("\x09\0PATH_INFO"));
    assert_str((fcng_str){ p.data, p.len }, bytes_str(&want));
    bytes_free(&want);
    fcng_params_fini(&p);
}

static void test_point9_empty_values_are_sent_missing_are_not(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    assert_int_equal(p.len, 0);
    for (int i = 0; i < FCNG_ENV_COUNT; i++) {
        env.var[i] = text("");
    }
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    fcng_str rest = { p.data, p.len }, name, value;
    for (int i = 0; i < FCNG_ENV_COUNT; i++) {
        assert_int_equal(fcng_params_next(&rest, &name, &value), FCNG_OK);
        assert_str(name, fcng_env_name((enum fcng_env_var)i));
        assert_int_equal(value.len, 0);
    }
    assert_int_equal(rest.len, 0);
    fcng_params_fini(&p);
}

static void test_skipped_ones_are_not_sent(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    env.var[FCNG_ENV_GATEWAY_INTERFACE] = text("CGI/1.1");
    env.var[FCNG_ENV_SERVER_NAME] = text("a");
    env.var[FCNG_ENV_REDIRECT_STATUS] = text("200");
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_env_encode(&p, &env, 1u << FCNG_ENV_SERVER_NAME),
                     FCNG_OK);
    expect(&p, "GATEWAY_INTERFACE=CGI/1.1|REDIRECT_STATUS=200|");
    assert_int_equal(fcng_env_encode(&p, &env, UINT32_MAX), FCNG_OK);
    expect(&p, "GATEWAY_INTERFACE=CGI/1.1|REDIRECT_STATUS=200|");
    fcng_params_fini(&p);
}

/* Values are copied and looked at in pieces: no byte may be missed. */
static void test_every_byte_of_a_value_is_copied_and_looked_at(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    fcng_params p;
    fcng_params_init(&p, NULL);
    for (size_t len = 0; len <= 40; len++) {
        char value[40];
        for (size_t i = 0; i < len; i++) {
            value[i] = (char)('A' + i);
        }
        fcng_str v = { value, len };
        env.var[FCNG_ENV_PATH_INFO] = v;
        p.len = 0;
        assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
        fcng_str rest = { p.data, p.len }, name, got;
        assert_int_equal(fcng_params_next(&rest, &name, &got), FCNG_OK);
        assert_str(got, v);
        assert_int_equal(rest.len, 0);
        for (size_t i = 0; i < len; i++) {
            for (int c = 0; c < 256; c++) {
                value[i] = (char)c;
                p.len = 0;
                bool bad = c == '\0' || c == '\r' || c == '\n';
                assert_int_equal(fcng_env_encode(&p, &env, 0),
                                 bad ? FCNG_ERR_PATH : FCNG_OK);
                assert_int_equal(p.len, bad ? 0 : 11 + len);
            }
            value[i] = (char)('A' + i);
        }
    }
    fcng_params_fini(&p);
}

static void test_what_was_written_before_an_error_is_gone(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    fcng_params p;
    fcng_params_init(&p, NULL);
    env.var[FCNG_ENV_REQUEST_METHOD] = text("GET");
    env.var[FCNG_ENV_QUERY_STRING] = BYTES("a\0b");
    assert_int_equal(fcng_params_add(&p, text("A"), text("1")), FCNG_OK);
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_ERR_PARAM_NUL);
    expect(&p, "A=1|");
    fcng_params_fini(&p);
}

/* CVE-2019-11043: a newline in a path. */
static void test_no_nul_cr_lf_in_a_path(void **state)
{
    (void)state;
    static const enum fcng_env_var path[] = {
        FCNG_ENV_SCRIPT_NAME, FCNG_ENV_SCRIPT_FILENAME, FCNG_ENV_PATH_INFO,
        FCNG_ENV_PATH_TRANSLATED, FCNG_ENV_DOCUMENT_URI
    };
    static const fcng_str bad[] = { FCNG_STR("/a\nb"), FCNG_STR("/a\rb"),
                                    FCNG_STR("/a\0b"), FCNG_STR("\n"),
                                    FCNG_STR("/a\0") };
    for (size_t i = 0; i < COUNT(path); i++) {
        for (size_t j = 0; j < COUNT(bad); j++) {
            fcng_env env = { 0 };
            env.var[FCNG_ENV_REQUEST_METHOD] = text("GET");
            env.var[path[i]] = bad[j];
            fcng_params p;
            fcng_params_init(&p, NULL);
            assert_int_equal(fcng_params_add(&p, text("A"), text("1")), 0);
            assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_ERR_PATH);
            assert_int_equal(fcng_env_encode(&p, &env, UINT32_MAX),
                             FCNG_ERR_PATH);
            assert_str((fcng_str){ p.data, p.len }, BYTES("\1\1A1"));
            fcng_params_fini(&p);
        }
    }
}

static void test_point10_values_are_bytes_but_for_nul(void **state)
{
    (void)state;
    fcng_env env = { 0 };
    fcng_params p;
    fcng_params_init(&p, NULL);
    env.var[FCNG_ENV_QUERY_STRING] = text("\x80\xff\n\r\x01");
    env.var[FCNG_ENV_PATH_INFO] = text("/\x80\xff\x01");
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    expect(&p, "QUERY_STRING=\x80\xff\n\r\x01|PATH_INFO=/\x80\xff\x01|");
    env.var[FCNG_ENV_QUERY_STRING] = BYTES("a\0b");
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_ERR_PARAM_NUL);
    env.var[FCNG_ENV_QUERY_STRING] = (fcng_str){ "a", (size_t)1 << 31 };
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_ERR_PARAM_SIZE);
    fcng_params_fini(&p);
}

/* --- names of fields --- */

static void expect_name(const char *field, const fcng_fields_policy *policy,
                        const char *want)
{
    char *out = malloc(strlen(field) + 5);
    assert_non_null(out);
    size_t len = fcng_env_field_name(out, text(field), policy);
    assert_str((fcng_str){ out, len }, text(want));
    free(out);
}

static void test_field_names(void **state)
{
    (void)state;
    expect_name("Host", &plain, "HTTP_HOST");
    expect_name("x-a-9", &plain, "HTTP_X_A_9");
    expect_name("X", &plain, "HTTP_X");
    expect_name("-", &plain, "HTTP__");
    expect_name("", &plain, "");
    expect_name("X_A", &plain, "");
    expect_name("X_A", &underscores, "HTTP_X_A");
    for (int c = 0; c < 256; c++) {
        char name[] = "a?";
        name[1] = (char)c;
        char out[8];
        bool want = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
                    || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        size_t len = fcng_env_field_name(out, (fcng_str){ name, 2 },
                                         &underscores);
        assert_int_equal(len, want ? 7 : 0);
        if (want) {
            char upper = (char)(c >= 'a' && c <= 'z' ? c - 32
                                : c == '-'           ? '_'
                                                     : c);
            assert_int_equal(out[6], upper);
        }
    }
}

/* CVE-2016-5385: HTTP_PROXY is read as a setting. */
static void test_proxy_never_becomes_a_variable(void **state)
{
    (void)state;
    expect_name("Proxy", &underscores, "");
    expect_name("PROXY", &underscores, "");
    expect_name("proxy", &plain, "");
    expect_name("Proxy-X", &plain, "HTTP_PROXY_X");
}

static void test_fields_that_are_never_sent(void **state)
{
    (void)state;
    static const char *const never[] = {
        "Content-Type", "Content-Length", "Connection", "Keep-Alive", "TE",
        "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Connection",
        "Authorization", "Proxy-Authorization",
        /* and what would make the same variable */
        "Content_Length", "content_type", "KEEP_ALIVE", "Transfer_Encoding"
    };
    for (size_t i = 0; i < COUNT(never); i++) {
        expect_name(never[i], &underscores, "");
    }
    static const fcng_fields_policy auth = { NULL, 0, false, true };
    expect_name("Authorization", &auth, "HTTP_AUTHORIZATION");
    expect_name("proxy-authorization", &auth, "HTTP_PROXY_AUTHORIZATION");
    expect_name("Proxy", &auth, "");
    expect_name("Content-Length", &auth, "");
}

/* --- lists of fields --- */

static void expect_fields(const fcng_field *fields, size_t n,
                          const fcng_fields_policy *policy, const char *want)
{
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_env_fields(&p, fields, n, policy), FCNG_OK);
    expect(&p, want);
    fcng_params_fini(&p);
}

static void test_fields_in_order(void **state)
{
    (void)state;
    static const fcng_field f[] = {
        F("Host", "a.example"), F("Accept", "*/*"), F("Proxy", "http://evil"),
        F("Content-Length", "5"), F("X-Empty", ""), F("TE", "trailers"),
        F("X_A", "no"), F("Bad name", "no"), F("X-\xc3\xa4", "no")
    };
    expect_fields(f, COUNT(f), &plain,
                  "HTTP_HOST=a.example|HTTP_ACCEPT=*/*|HTTP_X_EMPTY=|");
    expect_fields(f, 0, &plain, "");
}

static void test_fields_bytes(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    char value[300];
    memset(value, '\x80', sizeof(value));
    fcng_field f = { FCNG_STR("X-A"), { value, sizeof(value) } };
    assert_int_equal(fcng_params_add(&p, text("A"), text("1")), FCNG_OK);
    assert_int_equal(fcng_env_fields(&p, &f, 1, &plain), FCNG_OK);
    assert_int_equal(p.len, 4 + 1 + 4 + 8 + 300);
    assert_memory_equal(p.data, "\1\1A1\x08\x80\0\1\x2cHTTP_X_A\x80", 18);
    fcng_params_fini(&p);
}

static void test_fields_of_one_name_are_joined(void **state)
{
    (void)state;
    static const fcng_field f[] = {
        F("X-A", "1"), F("Cookie", "a=1"), F("x-a", "2"), F("COOKIE", "b=2"),
        F("Y", "9"), F("X-a", ""), F("cookie", "c=3")
    };
    expect_fields(f, COUNT(f), &plain,
                  "HTTP_X_A=1, 2, |HTTP_COOKIE=a=1; b=2; c=3|HTTP_Y=9|");
    static const fcng_field refused[] = { F("Proxy", "1"), F("X", "1"),
                                          F("Proxy", "2"), F("X y", "1"),
                                          F("X y", "2"), F("", "1"),
                                          F("", "2") };
    expect_fields(refused, COUNT(refused), &plain, "HTTP_X=1|");
}

static void test_joined_value_changes_the_width_of_its_length(void **state)
{
    (void)state;
    char value[126];
    memset(value, 'v', sizeof(value));
    fcng_field f[] = { { FCNG_STR("A"), { value, 125 } }, F("A", "") };
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_env_fields(&p, f, 2, &plain), FCNG_OK);
    assert_memory_equal(p.data, "\6\x7fHTTP_Av", 9);
    assert_int_equal(p.len, 2 + 6 + 127);
    fcng_params_fini(&p);
    f[0].value.len = 126;
    assert_int_equal(fcng_env_fields(&p, f, 2, &plain), FCNG_OK);
    assert_memory_equal(p.data, "\6\x80\0\0\x80HTTP_Av", 12);
    assert_int_equal(p.len, 5 + 6 + 128);
    fcng_params_fini(&p);
}

static void test_underscore_gives_way_to_hyphen(void **state)
{
    (void)state;
    static const fcng_field first[] = { F("X_A", "evil"), F("X-A", "good") };
    static const fcng_field last[] = { F("X-A", "good"), F("X_A", "evil"),
                                       F("X-A", "too") };
    static const fcng_field alone[] = { F("X_A", "1"), F("x_a", "2"),
                                        F("X_B", "3") };
    expect_fields(first, COUNT(first), &plain, "HTTP_X_A=good|");
    expect_fields(first, COUNT(first), &underscores, "HTTP_X_A=good|");
    expect_fields(last, COUNT(last), &plain, "HTTP_X_A=good, too|");
    expect_fields(last, COUNT(last), &underscores, "HTTP_X_A=good, too|");
    expect_fields(alone, COUNT(alone), &plain, "");
    expect_fields(alone, COUNT(alone), &underscores,
                  "HTTP_X_A=1, 2|HTTP_X_B=3|");
}

static void test_configured_names_win(void **state)
{
    (void)state;
    static const fcng_str taken[] = { FCNG_STR("HTTP_HOST"),
                                      FCNG_STR("HTTP_X_A") };
    static const fcng_fields_policy policy = { taken, 2, true, false };
    static const fcng_field f[] = { F("Host", "1"), F("X-A", "1"),
                                    F("X_A", "1"), F("X-B", "1"),
                                    F("X-A", "1") };
    expect_fields(f, COUNT(f), &policy, "HTTP_X_B=1|");
}

static void test_point10_nul_in_a_field(void **state)
{
    (void)state;
    static const fcng_field f[] = { F("A", "1"), F("B", "a\0b") };
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text("A"), text("1")), FCNG_OK);
    assert_int_equal(fcng_env_fields(&p, f, COUNT(f), &plain),
                     FCNG_ERR_PARAM_NUL);
    assert_str((fcng_str){ p.data, p.len }, BYTES("\1\1A1"));
    fcng_params_fini(&p);
}

/* Many fields, of which some repeat: against a simple loop over all. */
static void test_many_fields(void **state)
{
    (void)state;
    enum { N = 600, NAMES = 400 };
    static char name[N][8], value[N][8];
    static fcng_field f[N];
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof(name[i]), "%c-%d", i % 2 ? 'N' : 'n',
                 (i * 7) % NAMES);
        snprintf(value[i], sizeof(value[i]), "%d", i);
        f[i] = (fcng_field){ text(name[i]), text(value[i]) };
    }
    bytes want = { NULL, 0 };
    for (int i = 0; i < N; i++) {
        char var[32];
        snprintf(var, sizeof(var), "HTTP_N_%d=", (i * 7) % NAMES);
        bool earlier = false;
        for (int j = 0; j < i; j++) {
            earlier = earlier || (j * 7) % NAMES == (i * 7) % NAMES;
        }
        if (earlier) {
            continue;
        }
        bytes_add(&want, text(var));
        bytes_add(&want, f[i].value);
        for (int j = i + 1; j < N; j++) {
            if ((j * 7) % NAMES == (i * 7) % NAMES) {
                bytes_add(&want, text(", "));
                bytes_add(&want, f[j].value);
            }
        }
        bytes_add(&want, text("|"));
    }
    bytes_add(&want, (fcng_str){ "", 1 });
    expect_fields(f, N, &plain, want.data);
    bytes_free(&want);
}

static void test_script_name(void **state)
{
    (void)state;
    static const struct {
        const char *root, *file, *name;
    } row[] = {
        { "/srv/www", "/srv/www/index.php", "/index.php" },
        { "/srv/www", "/srv/www/a/b.php", "/a/b.php" },
        { "/srv/www/", "/srv/www/a.php", "/a.php" },
        { "/srv/www//", "/srv/www/a.php", "/a.php" },
        { "/", "/a.php", "/a.php" },
        { "", "/srv/a.php", "/srv/a.php" },
        { "/srv/www", "/srv/wwwx/a.php", "/a.php" },
        { "/srv/www", "/srv/app/public/a.php", "/a.php" },
        { "/srv/www", "/srv/www", "/www" },
        { "/srv/www", "a.php", "a.php" },
        { "/srv/www", "", "" },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        assert_str(fcng_env_script_name(text(row[i].root), text(row[i].file)),
                   text(row[i].name));
    }
    assert_str(fcng_env_script_name((fcng_str){ NULL, 0 }, text("/a/b.php")),
               text("/b.php"));
}

static void expect_translated(const char *root, const char *info,
                              const char *set, uint32_t skip,
                              const char *want)
{
    fcng_env env = { 0 };
    if (root != NULL) {
        env.var[FCNG_ENV_DOCUMENT_ROOT] = text(root);
    }
    if (info != NULL) {
        env.var[FCNG_ENV_PATH_INFO] = text(info);
    }
    if (set != NULL) {
        env.var[FCNG_ENV_PATH_TRANSLATED] = text(set);
    }
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_env_encode(&p, &env, skip), FCNG_OK);
    fcng_str rest = { p.data, p.len }, name, value, got = { NULL, 0 };
    while (fcng_params_next(&rest, &name, &value) == FCNG_OK) {
        if (name.len == 15) {
            assert_str(name, text("PATH_TRANSLATED"));
            assert_null(got.data);
            got = value;
        }
    }
    if (want == NULL) {
        assert_null(got.data);
    } else {
        assert_str(got, text(want));
    }
    fcng_params_fini(&p);
}

static void test_path_translated(void **state)
{
    (void)state;
    expect_translated("/srv", "/a/b", NULL, 0, "/srv/a/b");
    expect_translated("/srv", "/a", "/other", 0, "/other");
    expect_translated("/srv", "", NULL, 0, NULL);
    expect_translated("/srv", NULL, NULL, 0, NULL);
    expect_translated(NULL, "/a", NULL, 0, NULL);
    expect_translated("/srv", "/a", NULL,
                      UINT32_C(1) << FCNG_ENV_PATH_TRANSLATED, NULL);
    /* what replaces the root is not looked at */
    expect_translated("/srv", "/a", NULL,
                      UINT32_C(1) << FCNG_ENV_DOCUMENT_ROOT, "/srv/a");
}

static void test_failing_memory_leaves_the_block_as_it_was(void **state)
{
    (void)state;
    failalloc fail;
    failalloc_init(&fail, 1);
    fcng_params p;
    fcng_params_init(&p, &fail.mem);
    fcng_env env = { 0 };
    env.var[FCNG_ENV_REQUEST_METHOD] = text("GET");
    static const fcng_field f[] = { F("A", "1") };
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_ERR_NOMEM);
    failalloc_init(&fail, 1);
    assert_int_equal(fcng_env_fields(&p, f, 1, &plain), FCNG_ERR_NOMEM);
    assert_int_equal(p.len, 0);
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    assert_int_equal(fcng_env_fields(&p, f, 1, &plain), FCNG_OK);
    expect(&p, "REQUEST_METHOD=GET|HTTP_A=1|");
    fcng_params_fini(&p);
    assert_int_equal(fail.live, 0);
}

static void test_one_allocation_for_a_usual_request(void **state)
{
    (void)state;
    failalloc fail;
    failalloc_init(&fail, 0);
    fcng_params p;
    fcng_params_init(&p, &fail.mem);
    assert_int_equal(fcng_params_reserve(&p, 4096), FCNG_OK);
    fcng_env env = { 0 };
    for (int i = 0; i < FCNG_ENV_COUNT; i++) {
        env.var[i] = text("value");
    }
    static const fcng_field f[] = { F("Host", "a"), F("Accept", "*/*"),
                                    F("Cookie", "a"), F("Cookie", "b") };
    assert_int_equal(fcng_env_encode(&p, &env, 0), FCNG_OK);
    assert_int_equal(fcng_env_fields(&p, f, COUNT(f), &plain), FCNG_OK);
    assert_int_equal(fail.calls, 1);
    fcng_params_fini(&p);
}

static void test_names_that_must_be_trusted(void **state)
{
    (void)state;
    static const char *const trusted[] = {
        "SCRIPT_FILENAME", "DOCUMENT_ROOT", "PHP_VALUE", "PHP_ADMIN_VALUE",
        "REMOTE_USER", "AUTH_TYPE", "HTTP_PROXY", "LD_PRELOAD",
        "LD_LIBRARY_PATH", "LD_", "php_value", "ld_preload"
    };
    static const char *const others[] = { "", "A", "LD", "LDAP", "HTTP_HOST",
                                          "SCRIPT_NAME", "PHP_VALUES",
                                          "XPHP_VALUE", "BUILD_ID" };
    for (size_t i = 0; i < COUNT(trusted); i++) {
        assert_true(fcng_env_is_trusted(text(trusted[i])));
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(fcng_env_is_trusted(text(others[i])));
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names),
    cmocka_unit_test(test_encode_bytes),
    cmocka_unit_test(test_point9_empty_values_are_sent_missing_are_not),
    cmocka_unit_test(test_skipped_ones_are_not_sent),
    cmocka_unit_test(test_every_byte_of_a_value_is_copied_and_looked_at),
    cmocka_unit_test(test_what_was_written_before_an_error_is_gone),
    cmocka_unit_test(test_no_nul_cr_lf_in_a_path),
    cmocka_unit_test(test_point10_values_are_bytes_but_for_nul),
    cmocka_unit_test(test_field_names),
    cmocka_unit_test(test_proxy_never_becomes_a_variable),
    cmocka_unit_test(test_fields_that_are_never_sent),
    cmocka_unit_test(test_fields_in_order),
    cmocka_unit_test(test_fields_bytes),
    cmocka_unit_test(test_fields_of_one_name_are_joined),
    cmocka_unit_test(test_joined_value_changes_the_width_of_its_length),
    cmocka_unit_test(test_underscore_gives_way_to_hyphen),
    cmocka_unit_test(test_configured_names_win),
    cmocka_unit_test(test_point10_nul_in_a_field),
    cmocka_unit_test(test_many_fields),
    cmocka_unit_test(test_script_name),
    cmocka_unit_test(test_path_translated),
    cmocka_unit_test(test_failing_memory_leaves_the_block_as_it_was),
    cmocka_unit_test(test_one_allocation_for_a_usual_request),
    cmocka_unit_test(test_names_that_must_be_trusted),
};

UNIT_MAIN(tests)
