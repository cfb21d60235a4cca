/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Authorizer role: what an answer means, and which variables it may set.
 * Whatever is not plainly a grant denies.  Spec: 6.3.
 */
#include "fcng_text.h"
#include "fcng_int.h"

/* Longer names are nobody's. */
#define NAME_MAX_LEN 256

#define BIT(var) (UINT32_C(1) << (var))

/*
 * A head without any field is a blank line before the real one, which may be
 * "Status: 403"; an empty Location is no answer to "where to?".
 */
static bool is_doubtful(const fcng_head *head)
{
    return head->lines < 2 || (head->location_empty && !head->status_given);
}

enum fcng_authz fcng_authz_verdict(const fcng_head *head, int error)
{
    if (error != FCNG_OK || !head->done || is_doubtful(head)) {
        return FCNG_AUTHZ_FAILED;
    }
    bool grants = head->status == 200
                  && (head->status_given || head->kind == FCNG_HEAD_DOCUMENT);
    return grants ? FCNG_AUTHZ_GRANTED : FCNG_AUTHZ_DENIED;
}

/* --- what it is sent --- */

uint32_t fcng_authz_skip(void)
{
    return BIT(FCNG_ENV_CONTENT_LENGTH) | BIT(FCNG_ENV_PATH_INFO)
           | BIT(FCNG_ENV_PATH_TRANSLATED) | BIT(FCNG_ENV_SCRIPT_NAME);
}

/* What a name becomes where only letters, digits and '_' may stand. */
static char fold(char c)
{
    c = (char)fcng_ascii_lower((unsigned char)c);
    return c == '-' || c == '.' ? '_' : c;
}

bool fcng_authz_meet(fcng_str a, fcng_str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.data[i]) != fold(b.data[i])) {
            return false;
        }
    }
    return true;
}

/* One of the variables of |set| would be replaced. */
static bool is_server_variable(fcng_str name, uint32_t set)
{
    for (unsigned i = 0; i < FCNG_ENV_COUNT; i++) {
        if ((set & BIT(i)) != 0
            && fcng_authz_meet(name, fcng_env_name((enum fcng_env_var)i))) {
            return true;
        }
    }
    return false;
}

bool fcng_authz_is_withheld(fcng_str name)
{
    return is_server_variable(name, fcng_authz_skip());
}

/* --- what it may set --- */

/*
 * Beside the default variables: what an application, the program that runs it
 * or the server would take for a fact or an order.  Folded; an '_' at the end
 * stands for every name that begins so.
 */
static const char *const never[] = {
    /* facts of the request, the connection, the protocol, TLS */
    "http_", "https_", "server_", "request_", "script_", "document_",
    "content_", "context_", "path_", "redirect_", "fcgi_", "ssl_",
    "gateway_", "remote_addr", "remote_host", "remote_ident", "remote_port",
    "query_string_unescaped", "unique_id",
    /* how programs start and where they look for their parts */
    "path", "ld_", "dyld_", "libpath", "shlib_path", "ifs", "env",
    "bash_env", "bash_func_", "shell", "shellopts", "bashopts", "cdpath",
    "home", "tmpdir", "tmp", "temp", "tz", "tzdir", "lang", "language",
    "lc_", "locpath", "nlspath", "gconv_path", "malloc_", "glibc_",
    "hostaliases", "resolv_host_conf", "res_options", "localdomain",
    "classpath", "java_tool_options", "jdk_java_options", "node_options",
    "node_path", "perl5lib", "perl5opt", "perl5db", "perllib", "phprc",
    "php_", "pythonpath", "pythonhome", "pythonstartup", "rubylib",
    "rubyopt", "lua_path", "lua_cpath", "gem_", "git_", "openssl_",
    "curl_", "all_proxy", "ftp_proxy", "no_proxy",
    /* how the server itself works: httpd's special environment variables */
    "ap_", "downgrade_1.0", "dont_vary", "filter_errordocs", "force_",
    "gzip_only_text/html", "no_brotli", "no_cache", "no_etag", "no_gzip",
    "nokeepalive", "proxy_", "suppress_", "verbose_error_to",
    "fastcgi_ng_",
};

static bool is_prefix(const char *known)
{
    return known[strlen(known) - 1] == '_';
}

static bool is_never(fcng_str name)
{
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        size_t len = strlen(never[i]);
        fcng_str start = { name.data, is_prefix(never[i])
                                          ? FCNG_MIN(len, name.len)
                                          : name.len };
        if (fcng_authz_meet(start, (fcng_str){ never[i], len })) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c)
{
    c = (char)fcng_ascii_lower((unsigned char)c);
    return (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name(fcng_str name)
{
    if (name.len == 0 || name.len > NAME_MAX_LEN || !is_letter(name.data[0])) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!is_letter(c) && (c < '0' || c > '9') && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

static bool may_set(fcng_str name)
{
    uint32_t facts = UINT32_MAX & ~BIT(FCNG_ENV_REMOTE_USER)
                     & ~BIT(FCNG_ENV_AUTH_TYPE);
    return is_name(name) && !is_server_variable(name, facts)
           && !is_never(name);
}

enum fcng_authz_field fcng_authz_field(fcng_str field, fcng_str *name)
{
    static const char prefix[] = "variable-";
    size_t len = sizeof(prefix) - 1;
    fcng_str start = { field.data, FCNG_MIN(field.len, len) };
    if (!fcng_text_is_nocase(start, prefix)) {
        return FCNG_AUTHZ_HEADER;
    }
    *name = (fcng_str){ field.data + len, field.len - len };
    return may_set(*name) ? FCNG_AUTHZ_VARIABLE : FCNG_AUTHZ_REFUSED;
}

/* --- the empty STDIN --- */

/* So many closes in a row are no chance. */
#define CLOSES 3

bool fcng_authz_no_stdin(const fcng_authz_peer *peer)
{
    return peer->closes >= CLOSES && !peer->is_needed;
}

bool fcng_authz_undecided(const fcng_authz_peer *peer)
{
    return !peer->is_kept && !peer->is_needed;
}

void fcng_authz_closed(fcng_authz_peer *peer, bool no_stdin, uint64_t idle_us)
{
    if (idle_us >= FCNG_POOL_SETTLED_US) {
        return; /* for another reason: it is tired of waiting */
    }
    peer->is_kept = false;
    if (no_stdin) {
        peer->is_needed = true;
    } else if (peer->closes < CLOSES) {
        peer->closes++;
    }
}

void fcng_authz_kept(fcng_authz_peer *peer)
{
    peer->is_kept = true;
    if (peer->closes < CLOSES) {
        peer->closes = 0;
    }
}

void fcng_authz_unanswered(fcng_authz_peer *peer)
{
    peer->is_needed = true;
}
