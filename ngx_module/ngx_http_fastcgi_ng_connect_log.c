/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A failed connect as the operator reads it: what happened, cause and cure.
 */


#include "ngx_http_fastcgi_ng_module.h"

#include <pwd.h>
#include <grp.h>


enum fcng_connect_cause
ngx_http_fastcgi_ng_cause(ngx_err_t err)
{
    switch (err) {
    case NGX_ECONNREFUSED:  return FCNG_CONNECT_REFUSED;
    case NGX_ENOENT:        return FCNG_CONNECT_MISSING;
    case NGX_EACCES:        return FCNG_CONNECT_DENIED;
    case NGX_EAGAIN:        return FCNG_CONNECT_BACKLOG;
    case NGX_ETIMEDOUT:     return FCNG_CONNECT_TIMEOUT;
    case NGX_EMFILE:
    case NGX_ENFILE:        return FCNG_CONNECT_NO_DESCRIPTORS;
    case NGX_EHOSTUNREACH:
    case NGX_ENETUNREACH:   return FCNG_CONNECT_NO_ROUTE;
    default:                return FCNG_CONNECT_OTHER;
    }
}


static void
ngx_http_fastcgi_ng_connect_facts(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_err_t err, fcng_connect_facts *facts, char *owner, size_t owner_len)
{
    struct stat     st;
    struct group   *gr;
    struct passwd  *pw;

    ngx_memzero(facts, sizeof(fcng_connect_facts));

    facts->cause = ngx_http_fastcgi_ng_cause(err);

    if (pool->sockaddr.sockaddr.sa_family != AF_UNIX) {
        return;
    }

    facts->is_unix = true;

    if (stat(pool->sockaddr.sockaddr_un.sun_path, &st) == -1) {
        return;
    }

    facts->is_socket = S_ISSOCK(st.st_mode);
    facts->mode = st.st_mode & 07777;

    facts->modes_allow = geteuid() == 0
                         || access(pool->sockaddr.sockaddr_un.sun_path,
                                   R_OK|W_OK) == 0;

    if (!facts->is_socket && facts->cause == FCNG_CONNECT_REFUSED) {
        facts->cause = FCNG_CONNECT_NOT_SOCKET;
    }

    pw = getpwuid(st.st_uid);
    gr = getgrgid(st.st_gid);

    ngx_snprintf((u_char *) owner, owner_len - 1, "%s:%s%Z",
                 pw ? pw->pw_name : "?", gr ? gr->gr_name : "?");
    facts->owner = owner;

    pw = getpwuid(geteuid());
    facts->process = pw ? pw->pw_name : NULL;
}


void
ngx_http_fastcgi_ng_log_connect(ngx_http_fastcgi_ng_stream_t *st,
    ngx_err_t err)
{
    char                         hint[512], owner[128];
    u_char                       errstr[NGX_MAX_ERROR_STR], *last, more[64];
    uint64_t                     held_back;
    enum fcng_msg                msg;
    fcng_connect_facts           facts;
    ngx_http_fastcgi_ng_pool_t  *pool;

    pool = st->pool;

    fcng_pool_count(pool->fcng, FCNG_COUNT_CONNECT);

    msg = fcng_outage_failed(&pool->outage,
                             (uint64_t) st->connect_start * 1000,
                             ngx_http_fastcgi_ng_now(), &held_back);

    if (msg == FCNG_MSG_COUNT) {
        return;
    }

    hint[0] = '\0';
    ngx_memzero(owner, sizeof(owner));

    ngx_http_fastcgi_ng_connect_facts(pool, err, &facts, owner, sizeof(owner));
    fcng_hint_connect(hint, sizeof(hint), &facts);

    last = ngx_strerror(err, errstr, sizeof(errstr) - 1);
    *last = '\0';

    more[0] = '\0';

    if (held_back) {
        ngx_snprintf(more, sizeof(more), " (%uL lines like this one held "
                     "back)%Z", held_back);
    }

    ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                  "%s: connect() to %V failed (%d: %s)%s%s%s",
                  fcng_msg_tag(msg), &pool->name, err, errstr,
                  hint[0] ? ": " : "", hint, more);
}
