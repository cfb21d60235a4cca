/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that no request has: opened ahead, closed in time, dropped when
 * the application has closed them.  For the threads that need no request to do
 * their work.  The rules of fastcgi_ng_pool.c for its mutex hold here too.
 */
#include "fastcgi_ng.h"

#define AHEAD_US 5000000       /* to connect, where no request waits */

static void close_idle(fastcgi_ng_backend_t *b)
{
    fcng_pool_conn *link;

    do {
        apr_thread_mutex_lock(b->mutex);
        link = fcng_pool_close_idle(b->pool);
        if (link != NULL) {
            fastcgi_ng_idle_remove(b, link->data);
            fastcgi_ng_backend_close(link->data);
        }
        fastcgi_ng_backend_serve(b, fastcgi_ng_now());
        apr_thread_mutex_unlock(b->mutex);
    } while (link != NULL);
}

/* Mutex held.  Connections that are to be opened ahead. */
static void want_ahead(fastcgi_ng_backend_t *b, uint64_t now)
{
    while (fcng_pool_open_ahead(b->pool, now)) {
        if (b->child->ahead == NULL
            || atomic_load_explicit(&b->child->stopping,
                                    memory_order_relaxed)) {
            fcng_pool_opened_ahead(b->pool, NULL, now);
        }
        else {
            b->ahead++;
        }
    }
}

/* What has come of it; |fd| may be -1. */
static void opened_ahead(fastcgi_ng_dial_t *dial, int fd)
{
    fastcgi_ng_backend_t *b = dial->backend;
    fastcgi_ng_conn_t *conn = NULL;
    bool tell;

    apr_thread_mutex_lock(b->mutex);
    if (fd >= 0) {
        conn = fastcgi_ng_conn_new(b, fd,
                                   fcng_pool_max_streams(b->pool,
                                                         FCNG_POOL_ANY,
                                                         fastcgi_ng_now()));
    }
    if (conn == NULL && fd >= 0) {
        fastcgi_ng_io_close(fd);
    }
    else if (conn != NULL && atomic_load(&b->child->stopping)) {
        fastcgi_ng_backend_close(conn);
        conn = NULL;
    }
    fcng_pool_opened_ahead(b->pool, conn != NULL ? &conn->link : NULL,
                           fastcgi_ng_now());
    if (conn != NULL && !conn->shared) {
        fastcgi_ng_idle_add(b, conn);
    }
    tell = fd < 0 && !b->ahead_told && !atomic_load(&b->child->stopping);
    b->ahead_told = fd < 0;
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
    if (tell) {
        ap_log_error(APLOG_MARK, APLOG_WARNING,
                     APR_FROM_OS_ERROR(dial->error), b->child->server,
                     "%s: %s: connect() failed, no connection is opened "
                     "ahead (FastCgiNgPool min_idle=%u)",
                     fcng_msg_tag(FCNG_MSG_CONNECT), b->address->text,
                     fcng_pool_get_options(b->pool)->min_idle);
    }
}

bool fastcgi_ng_backend_open_ahead(fastcgi_ng_backend_t *b)
{
    fastcgi_ng_dial_t dial;
    bool wanted;

    apr_thread_mutex_lock(b->mutex);
    wanted = b->ahead > 0;
    if (wanted) {
        b->ahead--;
    }
    apr_thread_mutex_unlock(b->mutex);
    if (!wanted) {
        return false;
    }
    memset(&dial, 0, sizeof(dial));
    dial.backend = b;
    dial.begun_us = fastcgi_ng_now();
    dial.deadline_us = dial.begun_us + AHEAD_US;
    opened_ahead(&dial, fastcgi_ng_io_connect(&dial));
    return true;
}

void fastcgi_ng_backend_expire(fastcgi_ng_backend_t *b)
{
    fcng_pool_conn *link;
    bool ahead;
    uint64_t now;

    do {
        apr_thread_mutex_lock(b->mutex);
        now = fastcgi_ng_now();
        link = fcng_pool_expire(b->pool, now);
        if (link != NULL) {
            fastcgi_ng_idle_remove(b, link->data);
            fastcgi_ng_backend_close(link->data);
        }
        else {
            want_ahead(b, now);
        }
        ahead = b->ahead > 0;
        fastcgi_ng_backend_serve(b, now);
        apr_thread_mutex_unlock(b->mutex);
    } while (link != NULL);
    if (ahead) {
        fastcgi_ng_ahead_wake(b->child);
    }
}

void fastcgi_ng_backend_recheck(fastcgi_ng_backend_t *b,
                                fastcgi_ng_conn_t *suspect, bool read,
                                bool write)
{
    enum fastcgi_ng_probe state = FASTCGI_NG_ALIVE;
    fastcgi_ng_conn_t *conn;

    /* |suspect| may be freed, or another one by now: it is looked for. */
    apr_thread_mutex_lock(b->mutex);
    for (conn = b->idle; conn != NULL && conn != suspect; conn = conn->next) {
        continue;
    }
    if (conn != NULL) {
        state = fastcgi_ng_io_probe(conn->fd);
        if (state == FASTCGI_NG_CLOSED) {
            fastcgi_ng_conn_was_closed(conn, fastcgi_ng_now());
        }
        if (state != FASTCGI_NG_ALIVE) {
            fastcgi_ng_idle_remove(b, conn);
            fcng_pool_remove(b->pool, &conn->link);
            fastcgi_ng_backend_close(conn);
            fastcgi_ng_backend_serve(b, fastcgi_ng_now());
        }
    }
    apr_thread_mutex_unlock(b->mutex);
    if (state == FASTCGI_NG_STRAY) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, b->child->server,
                     "%s: %s: the application sent bytes after the end of a "
                     "request; the connection is closed",
                     fcng_msg_tag(FCNG_MSG_STRAY), b->address->text);
    }
}

void fastcgi_ng_child_close_idle(fastcgi_ng_child_t *child)
{
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        close_idle(APR_ARRAY_IDX(child->backends, i,
                                 fastcgi_ng_backend_t *));
    }
}
