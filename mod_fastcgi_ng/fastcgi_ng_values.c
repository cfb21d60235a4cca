/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multiplex=auto: the application is asked, on a connection that carries
 * nothing else and counts nowhere, whether it multiplexes.  No request waits
 * for the answer.
 */
#include "fastcgi_ng.h"

/* FCNG_OK: |values| say it; FCNG_ERR_CONNECT: it could not be asked. */
static int ask(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn,
               fcng_values *values, uint64_t until_us)
{
    int answer = fcng_conn_get_values(conn->fcgi);
    apr_size_t len;
    apr_status_t rv;
    char buf[512];

    if (answer != FCNG_OK || fastcgi_ng_io_send(conn, &len) != APR_SUCCESS) {
        return FCNG_ERR_CONNECT;
    }
    do {
        len = sizeof(buf);
        rv = fastcgi_ng_io_recv(conn, buf, &len, true); /* for 50 ms */
        if (rv == APR_SUCCESS) {
            fcng_conn_feed(conn->fcgi, buf, len);
        }
        else if (!APR_STATUS_IS_EAGAIN(rv)) {
            fcng_conn_fail(conn->fcgi, FCNG_ERR_CLOSED);
        }
        answer = fcng_conn_read_values(conn->fcgi, values);
    } while (answer == FCNG_AGAIN && fastcgi_ng_now() < until_us
             && !atomic_load(&b->child->stopping));
    return answer;
}

static int connect_and_ask(fastcgi_ng_backend_t *b, fcng_values *values)
{
    fcng_conn_options options;
    fastcgi_ng_dial_t dial;
    fastcgi_ng_conn_t conn;
    int answer = FCNG_ERR_CONNECT;

    memset(&options, 0, sizeof(options));
    memset(&dial, 0, sizeof(dial));
    memset(&conn, 0, sizeof(conn));
    options.keep_conn = true;
    dial.backend = b;
    dial.begun_us = fastcgi_ng_now();
    dial.deadline_us = dial.begun_us + FCNG_POOL_ASK_US;
    conn.fd = fastcgi_ng_io_connect(&dial);
    if (conn.fd < 0) {
        return FCNG_ERR_CONNECT;
    }
    conn.fcgi = fcng_conn_new(NULL, &options);
    if (conn.fcgi != NULL) {
        answer = ask(b, &conn, values, dial.deadline_us);
        fcng_conn_del(conn.fcgi);
    }
    fastcgi_ng_io_close(conn.fd);
    return answer;
}

bool fastcgi_ng_backend_ask_values(fastcgi_ng_backend_t *b)
{
    fcng_values values = { -1, -1, -1 };
    bool asks;
    int answer;

    apr_thread_mutex_lock(b->mutex);
    asks = b->asks;
    b->asks = false;
    apr_thread_mutex_unlock(b->mutex);
    if (!asks) {
        return false;
    }
    answer = connect_and_ask(b, &values);
    apr_thread_mutex_lock(b->mutex);
    if (answer == FCNG_ERR_CONNECT) {
        fcng_pool_not_asked(b->pool, fastcgi_ng_now());
    }
    else {
        fcng_pool_told(b->pool, answer == FCNG_OK ? &values : NULL,
                       fastcgi_ng_now());
    }
    apr_thread_mutex_unlock(b->mutex);
    if (answer != FCNG_ERR_CONNECT) {
        ap_log_error(APLOG_MARK, APLOG_INFO, 0, b->child->server,
                     "%s: %s: the application %s (FCGI_MPXS_CONNS)",
                     fcng_msg_tag(FCNG_MSG_MULTIPLEX), b->address->text,
                     answer != FCNG_OK ? "does not say whether it multiplexes"
                     : values.mpxs_conns == 1 ? "multiplexes"
                                              : "does not multiplex");
    }
    return true;
}
