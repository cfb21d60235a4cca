/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses as operators write them. */
#include "unit.h"

static char why[256];

static void expect_tcp(const char *in, const char *host, const char *port)
{
    fcng_address a;
    int err = fcng_address_parse(&a, text(in), why, sizeof(why));
    if (err != FCNG_OK) {
        print_error("%s: %s\n", in, why);
    }
    assert_int_equal(err, FCNG_OK);
    assert_int_equal(a.kind, FCNG_ADDRESS_TCP);
    assert_str(a.host, text(host));
    assert_str(a.port, text(port));
    assert_int_equal(a.path.len, 0);
}

static void expect_path(const char *in, enum fcng_address_kind kind,
                        const char *path)
{
    fcng_address a;
    assert_int_equal(fcng_address_parse(&a, text(in), why, sizeof(why)),
                     FCNG_OK);
    assert_int_equal(a.kind, kind);
    assert_str(a.path, text(path));
    assert_int_equal(a.host.len, 0);
    assert_int_equal(a.port.len, 0);
}

/* Refused, and the sentence says |part|; the address stays as it was. */
static void expect_fault(fcng_str in, const char *part)
{
    fcng_address a, before;
    memset(&a, 0x77, sizeof(a));
    before = a;
    memset(why, 'x', sizeof(why));
    assert_int_equal(fcng_address_parse(&a, in, why, sizeof(why)),
                     FCNG_ERR_ADDRESS);
    assert_memory_equal(&a, &before, sizeof(a));
    assert_non_null(memchr(why, '\0', sizeof(why)));
    if (strstr(why, part) == NULL) {
        print_error("\"%s\" lacks \"%s\"\n", why, part);
        fail();
    }
}

static void test_tcp(void **state)
{
    (void)state;
    expect_tcp("localhost:9000", "localhost", "9000");
    expect_tcp("127.0.0.1:1", "127.0.0.1", "1");
    expect_tcp("a-b.c_d.example:65535", "a-b.c_d.example", "65535");
    expect_tcp(":9000", "", "9000");
    expect_tcp("host:fastcgi-alt", "host", "fastcgi-alt");
    expect_tcp("[::1]:9000", "::1", "9000");
    expect_tcp("[fe80::1%eth0]:http", "fe80::1%eth0", "http");
    expect_tcp("[::ffff:1.2.3.4]:80", "::ffff:1.2.3.4", "80");
    expect_tcp("fcgi://localhost:9000", "localhost", "9000");
    expect_tcp("fcgi://localhost:9000/", "localhost", "9000");
    expect_tcp("fcgi://[::1]:9000/", "::1", "9000");
}

static void test_paths(void **state)
{
    (void)state;
    expect_path("unix:/run/a.sock", FCNG_ADDRESS_UNIX, "/run/a.sock");
    expect_path("/run/a.sock", FCNG_ADDRESS_UNIX, "/run/a.sock");
    expect_path("unix:@a.b", FCNG_ADDRESS_ABSTRACT, "a.b");
}

static void test_paths_as_mod_proxy_has_them(void **state)
{
    (void)state;
    expect_path("unix:/p|fcgi://localhost/", FCNG_ADDRESS_UNIX, "/p");
    expect_path("unix:/p|fcgi://any", FCNG_ADDRESS_UNIX, "/p");
    expect_fault(text("unix:/p|http://any"), "only |fcgi://localhost/");
    expect_fault(text("unix:/p|"), "only |fcgi://localhost/");
    expect_fault(text("unix:|fcgi://x/"), "begins with");
}

static void test_length_of_paths(void **state)
{
    (void)state;
    char in[256] = "unix:/";
    memset(in + 6, 'p', 200);
    fcng_address a;
    fcng_str fits = { in, 5 + 107 }, over = { in, 5 + 108 };
    assert_int_equal(fcng_address_parse(&a, fits, why, sizeof(why)), FCNG_OK);
    assert_int_equal(a.path.len, 107);
    expect_fault(over, "107 bytes");
    in[5] = '@';
    fits.len++;
    assert_int_equal(fcng_address_parse(&a, fits, why, sizeof(why)), FCNG_OK);
    assert_int_equal(a.path.len, 107);
    over.len++;
    expect_fault(over, "107 bytes");
}

static void test_faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *in, *part;
    } row[] = {
        { "", "it is empty" },
        { "localhost", "\"localhost\" is no address of an application: a port"
                       " is missing" },
        { "9000", "a port alone is written :9000" },
        { "localhost:", "a port is missing" },
        { ":", "a port is missing" },
        { "h:0", "1 to 65535" },
        { "h:65536", "1 to 65535" },
        { "h:99999999999999999999999", "1 to 65535" },
        { "h:90a", "1 to 65535" },
        { "h:a/b", "service" },
        { "h:9000/", "service" },
        { "::1:9000", "[::1]:9000" },
        { "[::1]", "[::1]:9000" },
        { "[::1]9000", "[::1]:9000" },
        { "[::1", "[::1]:9000" },
        { "[]:9000", "[::1]:9000" },
        { "[a]:9000", "[::1]:9000" },
        { "[host]:9000", "[::1]:9000" },
        { "[::1/]:9000", "[::1]:9000" },
        { "[::1]:", "a port is missing" },
        { "h/x:9000", "a host's name" },
        { "h*:9000", "a host's name" },
        { "unix:", "begins with" },
        { "unix:run/a.sock", "begins with" },
        { "unix:/", "name is missing" },
        { "unix:@", "name is missing" },
        { "/", "name is missing" },
        { "http://localhost:80/", "fcgi://localhost:9000/" },
        { "fcgi://localhost/", "a port is missing" },
        { "fcgi://localhost:9000/app", "no path" },
        { "fcgi://", "a port is missing" },
        { "local host:9000", "blank" },
        { " localhost:9000", "blank" },
        { "localhost:9000\n", "blank" },
        { "max_idle=5", "a port is missing" },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        expect_fault(text(row[i].in), row[i].part);
    }
    expect_fault(BYTES("unix:/a\0b"), "control");
    expect_fault(BYTES("unix:/a\x1b[2J"), "\"unix:/a?[2J\"");
}

static void test_why_has_little_room(void **state)
{
    (void)state;
    fcng_address a;
    char small[8];
    assert_int_equal(fcng_address_parse(&a, text("x"), small, sizeof(small)),
                     FCNG_ERR_ADDRESS);
    assert_string_equal(small, "\"x\" is ");
}

static void test_one_text_for_all_forms(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        { "unix:/run/app.sock", "unix:/run/app.sock" },
        { "/run//app.sock", "unix:/run/app.sock" },
        { "unix:/run/app.sock|fcgi://any/", "unix:/run/app.sock" },
        { "unix:@app//x", "unix:@app//x" },
        { ":9000", "localhost:9000" },
        { "LocalHost:9000", "localhost:9000" },
        { "fcgi://127.0.0.1:9000/", "127.0.0.1:9000" },
        { "[::1]:9000", "[::1]:9000" },
        { "[FE80::A]:web", "[fe80::a]:web" },
    };
    fcng_address a;
    char why[200], out[100];
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        assert_int_equal(fcng_address_parse(&a, text(forms[i][0]), why,
                                            sizeof(why)), FCNG_OK);
        assert_int_equal(fcng_address_text(&a, out, sizeof(out)),
                         strlen(forms[i][1]));
        assert_string_equal(out, forms[i][1]);
    }
    assert_int_equal(fcng_address_text(&a, out, 6), 5);
    assert_string_equal(out, "[fe80");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tcp),
    cmocka_unit_test(test_paths),
    cmocka_unit_test(test_paths_as_mod_proxy_has_them),
    cmocka_unit_test(test_length_of_paths),
    cmocka_unit_test(test_faults_are_named),
    cmocka_unit_test(test_why_has_little_room),
    cmocka_unit_test(test_one_text_for_all_forms),
};

UNIT_MAIN(tests)
