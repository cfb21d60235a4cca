/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multiplex=auto: the application is asked, on a link of its own that carries
 * nothing else, whether it multiplexes.  Requests do not wait for the answer.
 */


#include "ngx_http_fastcgi_ng_module.h"


static void ngx_http_fastcgi_ng_ask_read_handler(ngx_event_t *rev);
static void ngx_http_fastcgi_ng_ask_write_handler(ngx_event_t *wev);


void
ngx_http_fastcgi_ng_ask_values(ngx_http_fastcgi_ng_pool_t *pool)
{
    ngx_err_t                    err;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    link = ngx_http_fastcgi_ng_link_open(pool, FCNG_POOL_ALONE, ngx_cycle->log,
                                         &err);

    if (link == NULL || fcng_conn_get_values(link->fcng) != FCNG_OK) {

        if (link) {
            ngx_http_fastcgi_ng_link_close(link);
        }

        fcng_pool_not_asked(pool->fcng, ngx_http_fastcgi_ng_now());
        return;
    }

    pool->asking = 1;

    link->values.max_conns = -1;
    link->values.max_reqs = -1;
    link->values.mpxs_conns = -1;

    c = link->connection;

    c->read->handler = ngx_http_fastcgi_ng_ask_read_handler;
    c->write->handler = ngx_http_fastcgi_ng_ask_write_handler;

    c->read->cancelable = 1;
    ngx_add_timer(c->read, FCNG_POOL_ASK_US / 1000);

    if (!link->connecting) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* |answer|: FCNG_OK, FCNG_ERR_CONNECT when it could not be asked, else there
   was none. */

static void
ngx_http_fastcgi_ng_ask_done(ngx_http_fastcgi_ng_link_t *link, int answer)
{
    uint64_t                     now;
    fcng_values                  said;
    ngx_http_fastcgi_ng_pool_t  *pool;

    pool = link->pool;
    now = ngx_http_fastcgi_ng_now();
    said = link->values;

    ngx_http_fastcgi_ng_link_close(link);

    pool->asking = 0;

    if (answer == FCNG_ERR_CONNECT) {
        fcng_pool_not_asked(pool->fcng, now);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "%s: the application at %V %s (FCGI_MPXS_CONNS)",
                  fcng_msg_tag(FCNG_MSG_MULTIPLEX), &pool->name,
                  answer != FCNG_OK ? "does not say whether it multiplexes"
                  : said.mpxs_conns == 1 ? "multiplexes"
                                            : "does not multiplex");

    fcng_pool_told(pool->fcng, answer == FCNG_OK ? &said : NULL, now);
}


static void
ngx_http_fastcgi_ng_ask_write_handler(ngx_event_t *wev)
{
    int                          err;
    socklen_t                    len;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    c = wev->data;
    link = c->data;

    if (link->connecting) {
        err = 0;
        len = sizeof(int);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1
            || err)
        {
            ngx_http_fastcgi_ng_ask_done(link, FCNG_ERR_CONNECT);
            return;
        }

        link->connecting = 0;
    }

    if (ngx_http_fastcgi_ng_link_write(link, c->log) == NGX_ERROR
        || ngx_handle_write_event(wev, 0) != NGX_OK)
    {
        ngx_http_fastcgi_ng_ask_done(link, FCNG_ERR_CLOSED);
    }
}


static void
ngx_http_fastcgi_ng_ask_read_handler(ngx_event_t *rev)
{
    int                          answer;
    u_char                       buffer[512];
    ssize_t                      n;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    c = rev->data;
    link = c->data;

    if (rev->timedout) {
        ngx_http_fastcgi_ng_ask_done(link, link->connecting
                                           ? FCNG_ERR_CONNECT
                                           : FCNG_ERR_TIMEOUT);
        return;
    }

    if (link->connecting) {
        return;
    }

    do {
        n = c->recv(c, buffer, sizeof(buffer));

        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(rev, 0) == NGX_OK) {
                return;
            }

            n = NGX_ERROR;
        }

        if (n > 0) {
            fcng_conn_feed(link->fcng, buffer, n);

        } else {
            fcng_conn_fail(link->fcng, n == 0 ? FCNG_ERR_CLOSED : FCNG_ERR_IO);
        }

        answer = fcng_conn_read_values(link->fcng, &link->values);

    } while (answer == FCNG_AGAIN);

    ngx_http_fastcgi_ng_ask_done(link, answer);
}
