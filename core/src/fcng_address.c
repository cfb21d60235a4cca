/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An application's address as operators write it.  Looks nothing up: whether a
 * host or a socket exists is the host's to find out.
 */
#include "fcng_text.h"
#include "fcng_int.h"

/* sun_path has 108 bytes on Linux, with the final or the leading NUL. */
#define PATH_LEN_MAX 107

typedef struct reading {
    fcng_address *address;
    fcng_str text; /* all that was typed */
    char *why;
    size_t why_len;
} reading;

static int refuse(const reading *r, const char *fault)
{
    fcng_sentence s;
    fcng_sentence_init(&s, r->why, r->why_len);
    fcng_sentence_add(&s, "\"");
    fcng_sentence_add_str(&s, r->text);
    fcng_sentence_add(&s, "\" is no address of an application: ");
    fcng_sentence_add(&s, fault);
    return FCNG_ERR_ADDRESS;
}

static fcng_str from(fcng_str s, size_t at)
{
    return (fcng_str){ s.data + at, s.len - at };
}

static size_t find(fcng_str s, char c)
{
    const char *at = s.len > 0 ? memchr(s.data, c, s.len) : NULL;
    return at != NULL ? (size_t)(at - s.data) : s.len;
}

static int read_path(const reading *r, fcng_str path)
{
    bool is_abstract = path.len > 0 && path.data[0] == '@';
    if (is_abstract) {
        path = from(path, 1);
    } else if (path.len == 0 || path.data[0] != '/') {
        return refuse(r, "a socket's path begins with \"/\", as in"
                         " unix:/run/app.sock, or with \"@\" for the abstract"
                         " namespace");
    }
    if (path.len < (is_abstract ? 1u : 2u)) {
        return refuse(r, "the socket's name is missing, as in"
                         " unix:/run/app.sock");
    }
    if (path.len > PATH_LEN_MAX) {
        return refuse(r, "a socket's path has at most 107 bytes");
    }
    r->address->kind = is_abstract ? FCNG_ADDRESS_ABSTRACT : FCNG_ADDRESS_UNIX;
    r->address->path = path;
    return FCNG_OK;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z');
}

/* Only letters, digits and |others|. */
static bool consists_of(fcng_str s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.data[i]) && strchr(others, s.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static int read_port(const reading *r, fcng_str port)
{
    uint64_t n;
    bool is_number = consists_of(port, "") && port.len > 0
                     && port.data[0] >= '0' && port.data[0] <= '9';
    if (port.len == 0) {
        return refuse(r, "a port is missing, as in localhost:9000");
    }
    if (is_number && (!fcng_text_number(port, 65535, &n) || n == 0)) {
        return refuse(r, "a port is a number from 1 to 65535, as in"
                         " localhost:9000");
    }
    if (!consists_of(port, "-_")) {
        return refuse(r, "a port is a number or a service's name, as in"
                         " localhost:9000");
    }
    r->address->port = port;
    return FCNG_OK;
}

static int read_ipv6(const reading *r, fcng_str s)
{
    size_t end = find(s, ']');
    fcng_str host = { s.data + 1, end - 1 };
    if (end + 1 >= s.len || s.data[end + 1] != ':' || host.len < 2
        || find(host, ':') == host.len || !consists_of(host, ":.%_-")) {
        return refuse(r, "an IPv6 address is written [::1]:9000");
    }
    r->address->host = host;
    return read_port(r, from(s, end + 2));
}

static int read_tcp(const reading *r, fcng_str s)
{
    uint64_t n;
    r->address->kind = FCNG_ADDRESS_TCP;
    if (s.len > 0 && s.data[0] == '[') {
        return find(s, ']') < s.len
                   ? read_ipv6(r, s)
                   : refuse(r, "an IPv6 address is written [::1]:9000");
    }
    size_t colon = find(s, ':');
    if (colon == s.len) {
        return fcng_text_number(s, UINT64_MAX, &n)
                   ? refuse(r, "a port alone is written :9000")
                   : refuse(r, "a port is missing, as in localhost:9000, or"
                               " unix: in front of a socket's path");
    }
    fcng_str host = { s.data, colon }, port = from(s, colon + 1);
    if (find(port, ':') < port.len) {
        return refuse(r, "an IPv6 address is written [::1]:9000");
    }
    if (!consists_of(host, ".-_")) {
        return refuse(r, "a host's name has letters, digits, \"-\" and"
                         " \".\"");
    }
    r->address->host = host;
    return read_port(r, port);
}

/* What follows "fcgi://": a host and a port, nothing but "/" behind. */
static int read_fcgi(const reading *r, fcng_str s)
{
    size_t slash = find(s, '/');
    if (slash + 1 < s.len) {
        return refuse(r, "no path may follow the port; applications get the"
                         " request's own");
    }
    s.len = slash;
    return read_tcp(r, s);
}

/* mod_proxy's "unix:/path|fcgi://any/": what follows the bar says nothing. */
static int read_unix(const reading *r, fcng_str s)
{
    size_t bar = find(s, '|');
    if (bar < s.len && !fcng_text_begins(from(s, bar), "|fcgi://")) {
        return refuse(r, "only |fcgi://localhost/ may follow a socket's"
                         " path");
    }
    s.len = bar;
    return read_path(r, s);
}

static bool has_blank(fcng_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= ' ' || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool has_scheme(fcng_str s)
{
    size_t colon = find(s, ':');
    return fcng_text_begins(from(s, colon), "://");
}

static int read_any(const reading *r)
{
    fcng_str s = r->text;
    if (s.len == 0) {
        return refuse(r, "it is empty; write unix:/run/app.sock or"
                         " localhost:9000");
    }
    if (has_blank(s)) {
        return refuse(r, "it holds a blank or a control character");
    }
    if (fcng_text_begins(s, "unix:")) {
        return read_unix(r, from(s, 5));
    }
    if (s.data[0] == '/' || s.data[0] == '@') {
        return read_path(r, s);
    }
    if (fcng_text_begins(s, "fcgi://")) {
        return read_fcgi(r, from(s, 7));
    }
    if (has_scheme(s)) {
        return refuse(r, "an application is reached by unix:/run/app.sock,"
                         " localhost:9000 or fcgi://localhost:9000/");
    }
    return read_tcp(r, s);
}

int fcng_address_parse(fcng_address *address, fcng_str text, char *why,
                       size_t why_len)
{
    fcng_address read = { .kind = FCNG_ADDRESS_TCP };
    reading r = { &read, text, why, why_len };
    int err = read_any(&r);
    if (err == FCNG_OK) {
        *address = read;
    }
    return err;
}

static void add_host(fcng_sentence *s, fcng_str host)
{
    bool is_v6 = find(host, ':') < host.len;
    fcng_sentence_add(s, is_v6 ? "[" : "");
    for (size_t i = 0; i < host.len; i++) {
        char c = (char)fcng_ascii_lower((unsigned char)host.data[i]);
        fcng_sentence_add_str(s, (fcng_str){ &c, 1 });
    }
    fcng_sentence_add(s, is_v6 ? "]:" : ":");
}

/* A path without its doubled slashes. */
static void add_path(fcng_sentence *s, fcng_str path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (i == 0 || path.data[i] != '/' || path.data[i - 1] != '/') {
            fcng_sentence_add_str(s, (fcng_str){ &path.data[i], 1 });
        }
    }
}

size_t fcng_address_text(const fcng_address *address, char *out, size_t len)
{
    fcng_sentence s;
    fcng_str host = address->host;
    fcng_sentence_init(&s, out, len);
    switch (address->kind) {
    case FCNG_ADDRESS_TCP:
        add_host(&s, host.len > 0 ? host : (fcng_str)FCNG_STR("localhost"));
        fcng_sentence_add_str(&s, address->port);
        break;
    case FCNG_ADDRESS_UNIX:
        fcng_sentence_add(&s, "unix:");
        add_path(&s, address->path);
        break;
    case FCNG_ADDRESS_ABSTRACT:
        fcng_sentence_add(&s, "unix:@");
        fcng_sentence_add_str(&s, address->path);
        break;
    }
    return strlen(out);
}
