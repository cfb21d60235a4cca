/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real connection: opening, one write out, one read in, and what happens
 * on it while no stream owns it.  One that streams share goes on in mux.c.
 *
 * An exclusive link is in one of four states: connecting (its stream waits, or
 * nobody: ahead.c), busy (it has a stream), draining (a request's stream has
 * gone, END_REQUEST is awaited) and idle (the pool keeps it; readable then
 * means that it is over).
 *
 * Bytes that were read are borrowed by the core until it has turned them into
 * events.  They lie in a buffer that goes back to the worker's free list as
 * soon as they are used up: a worker with thousands of links owns one or two.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The end of a request that nobody reads any more: so much, so long. */
#define NGX_HTTP_FASTCGI_NG_DRAIN_MAX   262144
#define NGX_HTTP_FASTCGI_NG_DRAIN_TIME  5000

#define NGX_HTTP_FASTCGI_NG_SLICES      24
#define NGX_HTTP_FASTCGI_NG_DIRECT      16


static ngx_int_t ngx_http_fastcgi_ng_link_socket(
    ngx_http_fastcgi_ng_pool_t *pool, ngx_socket_t s, ngx_log_t *log,
    ngx_err_t *err);
static ngx_int_t ngx_http_fastcgi_ng_link_connect(
    ngx_http_fastcgi_ng_link_t *link, ngx_err_t *err);
static void ngx_http_fastcgi_ng_link_read_handler(ngx_event_t *rev);
static void ngx_http_fastcgi_ng_link_write_handler(ngx_event_t *wev);
static void ngx_http_fastcgi_ng_link_test_connect(
    ngx_http_fastcgi_ng_link_t *link);
static void ngx_http_fastcgi_ng_link_idle_handler(
    ngx_http_fastcgi_ng_link_t *link);
static void ngx_http_fastcgi_ng_link_drain_handler(
    ngx_http_fastcgi_ng_link_t *link);
static ngx_uint_t ngx_http_fastcgi_ng_link_drain_events(
    ngx_http_fastcgi_ng_link_t *link);


static ngx_queue_t   ngx_http_fastcgi_ng_links;
static void         *ngx_http_fastcgi_ng_buffers;     /* free, linked */


/* opening and closing */

/* The core's side of it, and its streams if it has several; NULL: no memory. */

static ngx_http_fastcgi_ng_link_t *
ngx_http_fastcgi_ng_link_create(ngx_http_fastcgi_ng_pool_t *pool,
    enum fcng_pool_need need, ngx_connection_t *c, ngx_log_t *log)
{
    fcng_conn_options            options;
    ngx_http_fastcgi_ng_link_t  *link;

    link = ngx_calloc(sizeof(ngx_http_fastcgi_ng_link_t), log);
    if (link == NULL) {
        return NULL;
    }

    ngx_memzero(&options, sizeof(fcng_conn_options));

    options.keep_conn = pool->keep_conn;
    options.split_large_params = pool->options.split_large_params;

    if (pool->options.multiplex) {
        options.max_streams = fcng_pool_max_streams(pool->fcng, need,
                                                    ngx_http_fastcgi_ng_now());
        options.stream_buffer = pool->options.stream_buffer;
        link->conn.max_streams = options.max_streams;
    }

    link->fcng = fcng_conn_new(NULL, &options);
    if (link->fcng == NULL) {
        ngx_free(link);
        return NULL;
    }

    link->conn.data = link;
    link->connection = c;
    link->pool = pool;

    if (options.max_streams > 1
        && ngx_http_fastcgi_ng_mux_create(link) != NGX_OK)
    {
        fcng_conn_del(link->fcng);
        ngx_free(link);
        return NULL;
    }

    return link;
}


ngx_http_fastcgi_ng_link_t *
ngx_http_fastcgi_ng_link_open(ngx_http_fastcgi_ng_pool_t *pool,
    enum fcng_pool_need need, ngx_log_t *log, ngx_err_t *err)
{
    ngx_socket_t                 s;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    *err = 0;

    s = ngx_socket(pool->sockaddr.sockaddr.sa_family, SOCK_STREAM, 0);
    if (s == (ngx_socket_t) -1) {
        *err = ngx_socket_errno;
        return NULL;
    }

    c = ngx_get_connection(s, log);
    if (c == NULL) {
        (void) ngx_close_socket(s);
        *err = NGX_ENOMEM;
        return NULL;
    }

    link = ngx_http_fastcgi_ng_link_create(pool, need, c, log);
    if (link == NULL) {
        ngx_close_connection(c);
        *err = NGX_ENOMEM;
        return NULL;
    }

    if (ngx_http_fastcgi_ng_links.prev == NULL) {
        ngx_queue_init(&ngx_http_fastcgi_ng_links);
    }

    ngx_queue_insert_tail(&ngx_http_fastcgi_ng_links, &link->queue);

    c->data = link;
    c->type = SOCK_STREAM;
    c->recv = ngx_recv;
    c->recv_chain = ngx_recv_chain;
    c->log = log;
    /* closed with bytes unread, it is reset: no more than closed */
    c->log_error = NGX_ERROR_IGNORE_ECONNRESET;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->read->handler = ngx_http_fastcgi_ng_link_read_handler;
    c->write->handler = ngx_http_fastcgi_ng_link_write_handler;

    if (ngx_http_fastcgi_ng_link_socket(pool, s, log, err) != NGX_OK
        || ngx_http_fastcgi_ng_link_connect(link, err) != NGX_OK)
    {
        ngx_http_fastcgi_ng_link_close(link);
        return NULL;
    }

    return link;
}


static ngx_int_t
ngx_http_fastcgi_ng_link_socket(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_socket_t s, ngx_log_t *log, ngx_err_t *err)
{
    int  value;

    if (ngx_nonblocking(s) == -1) {
        *err = ngx_socket_errno;
        return NGX_ERROR;
    }

    value = 1;

    if (pool->so_keepalive
        && setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, (const void *) &value,
                      sizeof(int)) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_socket_errno,
                      "setsockopt(SO_KEEPALIVE) failed, ignored");
    }

    if (pool->sockaddr.sockaddr.sa_family != AF_UNIX
        && setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const void *) &value,
                      sizeof(int)) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_socket_errno,
                      "setsockopt(TCP_NODELAY) failed, ignored");
    }

    if (pool->local == NULL) {
        return NGX_OK;
    }

#if (NGX_HAVE_TRANSPARENT_PROXY && defined(IP_TRANSPARENT))
    if (pool->transparent
        && setsockopt(s, IPPROTO_IP, IP_TRANSPARENT, (const void *) &value,
                      sizeof(int)) == -1)
    {
        *err = ngx_socket_errno;
        return NGX_ERROR;
    }
#endif

#if (NGX_HAVE_IP_BIND_ADDRESS_NO_PORT)
    if (pool->sockaddr.sockaddr.sa_family != AF_UNIX
        && ngx_inet_get_port(pool->local->sockaddr) == 0)
    {
        /* where the kernel lacks it, bind() takes a port: no harm */
        (void) setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT,
                          (const void *) &value, sizeof(int));
    }
#endif

    if (bind(s, pool->local->sockaddr, pool->local->socklen) == -1) {
        *err = ngx_socket_errno;
        ngx_log_error(NGX_LOG_CRIT, log, *err, "bind(%V) failed",
                      &pool->local->name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Room in the socket is watched only while the connection is being made, and
 * later when a write was not taken whole (ngx_handle_write_event): a Unix
 * socket would tell of it whenever the application has read a request.
 */

static ngx_int_t
ngx_http_fastcgi_ng_link_connect(ngx_http_fastcgi_ng_link_t *link,
    ngx_err_t *err)
{
    int                rc;
    ngx_int_t          event;
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = link->connection;

    rc = connect(c->fd, &link->pool->sockaddr.sockaddr, link->pool->socklen);

    if (rc == -1) {
        *err = ngx_socket_errno;

        if (*err != NGX_EINPROGRESS) {
            return NGX_ERROR;
        }

        *err = 0;
        link->connecting = 1;
    }

    c->write->ready = !link->connecting;

    if (ngx_add_conn && link->connecting) {
        event = ngx_add_conn(c);

    } else {
        flags = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                        : NGX_LEVEL_EVENT;

        event = ngx_add_event(c->read, NGX_READ_EVENT, flags);

        if (event == NGX_OK && link->connecting) {
            event = ngx_add_event(c->write, NGX_WRITE_EVENT, flags);
        }
    }

    if (event != NGX_OK) {
        *err = ngx_errno;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The pool has forgotten the link, or never knew it. */

void
ngx_http_fastcgi_ng_link_close(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_http_fastcgi_ng_link_unhold(link);
    fcng_conn_del(link->fcng);

    if (link->mux) {
        ngx_http_fastcgi_ng_mux_free(link);
    }

    ngx_queue_remove(&link->queue);
    ngx_close_connection(link->connection);
    ngx_free(link);
}


/* exit_process: an open descriptor would be an alert */

void
ngx_http_fastcgi_ng_links_close(void)
{
    ngx_queue_t                 *q;
    ngx_http_fastcgi_ng_link_t  *link;

    if (ngx_http_fastcgi_ng_links.prev == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_fastcgi_ng_links)) {
        q = ngx_queue_head(&ngx_http_fastcgi_ng_links);
        link = ngx_queue_data(q, ngx_http_fastcgi_ng_link_t, queue);
        link->connection->log = ngx_cycle->log;
        ngx_http_fastcgi_ng_link_close(link);
    }
}


/*
 * The request on it is over and given back: the pool keeps the link or not.
 */

void
ngx_http_fastcgi_ng_link_release(ngx_http_fastcgi_ng_link_t *link)
{
    bool                         reusable;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_pool_t  *pool;

    c = link->connection;
    pool = link->pool;

    link->stream = NULL;
    link->released = ngx_current_msec;
    link->asked = link->asks;
    link->no_stdin = link->without;

    if (fcng_conn_unread(link->fcng) == 0) {
        ngx_http_fastcgi_ng_link_unhold(link);
    }

    c->log = ngx_cycle->log;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    reusable = fcng_conn_reusable(link->fcng) && !c->read->eof
               && !c->read->error && !ngx_exiting && !ngx_terminate
               && ngx_handle_read_event(c->read, 0) == NGX_OK;

    if (fcng_pool_release(pool->fcng, &link->conn, reusable,
                          ngx_http_fastcgi_ng_now()))
    {
        /* the signal to close idle connections at shutdown */
        c->idle = 1;

        if (c->read->ready) {
            /* perhaps it is closed: tell before a request gets it */
            ngx_post_event(c->read, &ngx_posted_events);
        }

    } else {
        ngx_http_fastcgi_ng_link_close(link);
    }

    ngx_http_fastcgi_ng_pool_run(pool);
}


/* bytes */

/*
 * Writes what the core has to write.  NGX_OK: all of it; NGX_AGAIN: the write
 * handler goes on; NGX_ERROR.
 */

ngx_int_t
ngx_http_fastcgi_ng_link_write(ngx_http_fastcgi_ng_link_t *link,
    ngx_log_t *log)
{
    int                rc;
    size_t             i, n, size;
    ssize_t            sent;
    fcng_str           slices[NGX_HTTP_FASTCGI_NG_SLICES];
    ngx_err_t          err;
    struct iovec       iov[NGX_HTTP_FASTCGI_NG_SLICES];
    ngx_connection_t  *c;

    c = link->connection;

    while (fcng_conn_wants_write(link->fcng)) {

        if (!c->write->ready) {
            return NGX_AGAIN;
        }

        rc = fcng_conn_output(link->fcng, slices, NGX_HTTP_FASTCGI_NG_SLICES,
                              &n);
        if (rc != FCNG_OK) {
            /* no memory: no answer comes to half a request */
            fcng_conn_fail(link->fcng, rc);
            return NGX_ERROR;
        }

        for (i = 0, size = 0; i < n; i++) {
            iov[i].iov_base = (void *) slices[i].data;
            iov[i].iov_len = slices[i].len;
            size += slices[i].len;
        }

        /* for one piece send() is the quicker one */
        sent = n == 1
               ? send(c->fd, slices[0].data, size, 0)
               : writev(c->fd, iov, n);

        if (sent == -1) {
            err = ngx_socket_errno;

            if (err == NGX_EINTR) {
                continue;
            }

            if (err != NGX_EAGAIN) {
                c->write->error = 1;
                ngx_log_debug0(NGX_LOG_DEBUG_HTTP, log, err,
                               "fastcgi_ng write failed");
                return NGX_ERROR;
            }

            sent = 0;
        }

        fcng_conn_sent(link->fcng, sent);
        c->sent += sent;

        if ((size_t) sent < size) {
            c->write->ready = 0;

            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                return NGX_ERROR;
            }

            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


/*
 * One readv, or recv where all goes to the link's buffer: 5 % more requests at
 * 1 KiB.  Payload goes straight to |direct| (from last to end of each buffer,
 * as much as the core wants, |limit| at most), what follows goes to the link's
 * buffer and is fed.  The core has no unread bytes when this is called.
 * Returns what the call returned; *placed bytes of it are in |direct|.
 */

ssize_t
ngx_http_fastcgi_ng_link_read(ngx_http_fastcgi_ng_link_t *link,
    ngx_chain_t *direct, off_t limit, size_t *placed)
{
    size_t             size, want;
    ssize_t            n;
    ngx_buf_t          b[NGX_HTTP_FASTCGI_NG_DIRECT + 1];
    ngx_uint_t         i;
    ngx_chain_t        cl[NGX_HTTP_FASTCGI_NG_DIRECT + 1];
    ngx_connection_t  *c;

    c = link->connection;
    *placed = 0;

    if (link->buffer == NULL) {
        link->buffer = ngx_http_fastcgi_ng_buffers;

        if (link->buffer) {
            ngx_http_fastcgi_ng_buffers = *(void **) link->buffer;

        } else {
            link->buffer = ngx_alloc(NGX_HTTP_FASTCGI_NG_SCRATCH, c->log);
            if (link->buffer == NULL) {
                return NGX_ERROR;
            }
        }
    }

    want = direct ? fcng_conn_want(link->fcng) : 0;

    if (limit >= 0 && (off_t) want > limit) {
        want = limit;
    }

    for (i = 0, size = 0;
         direct && i < NGX_HTTP_FASTCGI_NG_DIRECT && size < want;
         i++, direct = direct->next)
    {
        b[i].last = direct->buf->last;
        b[i].end = direct->buf->end;

        if ((size_t) (b[i].end - b[i].last) > want - size) {
            b[i].end = b[i].last + (want - size);
        }

        size += b[i].end - b[i].last;

        cl[i].buf = &b[i];
        cl[i].next = &cl[i + 1];
    }

    b[i].last = link->buffer;
    b[i].end = link->buffer + NGX_HTTP_FASTCGI_NG_SCRATCH;
    cl[i].buf = &b[i];
    cl[i].next = NULL;

    n = i ? ngx_recv_chain(c, cl, 0)
          : ngx_recv(c, link->buffer, NGX_HTTP_FASTCGI_NG_SCRATCH);

    if (n <= 0) {
        return n;
    }

    if ((size_t) n <= size) {
        size = n;
    }

    if (size) {
        fcng_conn_took(link->fcng, size);
        *placed = size;
    }

    link->fed = n - size;

    if (link->fed) {
        fcng_conn_feed(link->fcng, link->buffer, link->fed);
    }

    return n;
}


/* Gives the buffer back, the core having no unread bytes. */

void
ngx_http_fastcgi_ng_link_unhold(ngx_http_fastcgi_ng_link_t *link)
{
    if (link->buffer) {
        *(void **) link->buffer = ngx_http_fastcgi_ng_buffers;
        ngx_http_fastcgi_ng_buffers = link->buffer;
        link->buffer = NULL;
    }
}


/* events */

static void
ngx_http_fastcgi_ng_link_read_handler(ngx_event_t *rev)
{
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    c = rev->data;
    link = c->data;

    if (link->connecting) {
        return;
    }

    if (link->mux) {
        ngx_http_fastcgi_ng_mux_read_handler(link);
        return;
    }

    if (link->stream) {
        ngx_http_fastcgi_ng_stream_wake_read(link->stream);

    } else if (link->draining) {
        ngx_http_fastcgi_ng_link_drain_handler(link);
        return;

    } else {
        ngx_http_fastcgi_ng_link_idle_handler(link);
        return;
    }

    /* level-triggered methods would report it again and again */

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_fastcgi_ng_stream_fail(link->stream);
    }
}


static void
ngx_http_fastcgi_ng_link_write_handler(ngx_event_t *wev)
{
    ngx_int_t                    rc;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    c = wev->data;
    link = c->data;

    if (link->connecting) {
        ngx_http_fastcgi_ng_link_test_connect(link);
        return;
    }

    if (link->mux) {
        ngx_http_fastcgi_ng_mux_write_handler(link);
        return;
    }

    if (link->stream && !link->stream->deaf) {

        rc = ngx_http_fastcgi_ng_link_write(link, c->log);

        if (rc == NGX_ERROR) {
            /* what it has answered so far may still be read */
            link->stream->deaf = 1;
            ngx_http_fastcgi_ng_stream_wake_read(link->stream);
        }

        if (rc != NGX_AGAIN) {
            ngx_http_fastcgi_ng_stream_wake_write(link->stream);
        }
    }

    (void) ngx_handle_write_event(wev, 0);
}


static void
ngx_http_fastcgi_ng_link_test_connect(ngx_http_fastcgi_ng_link_t *link)
{
    int                            err;
    socklen_t                      len;
    ngx_connection_t              *c;
    ngx_http_fastcgi_ng_stream_t  *st;

    c = link->connection;
    st = link->stream;
    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    link->connecting = 0;

    if (st == NULL) {
        if (c->write->timedout) {
            err = NGX_ETIMEDOUT;

        } else if (err == 0
                   && ngx_handle_write_event(c->write, 0) != NGX_OK)
        {
            err = ngx_errno;
        }

        ngx_http_fastcgi_ng_ahead_connected(link, err);
        return;
    }

    if (err) {
        st->link = NULL;
        ngx_http_fastcgi_ng_link_close(link);
        ngx_http_fastcgi_ng_pool_failed(st, err);
        return;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        st->link = NULL;
        ngx_http_fastcgi_ng_link_close(link);
        ngx_http_fastcgi_ng_pool_failed(st, ngx_errno);
        return;
    }

    ngx_http_fastcgi_ng_pool_connected(st);
}


/* By the application, with nothing to answer. */

void
ngx_http_fastcgi_ng_link_was_closed(ngx_http_fastcgi_ng_link_t *link)
{
    if (link->asked) {
        fcng_authz_closed(&link->pool->authz, link->no_stdin,
                    (uint64_t) (ngx_current_msec - link->released) * 1000);
    }
}


/* An idle link that became readable has been closed, or never was in order. */

static void
ngx_http_fastcgi_ng_link_idle_handler(ngx_http_fastcgi_ng_link_t *link)
{
    ssize_t                      n;
    u_char                       byte[1];
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_pool_t  *pool;

    c = link->connection;
    pool = link->pool;

    if (!c->close) {
        n = recv(c->fd, byte, 1, MSG_PEEK);

        if (n == -1 && ngx_socket_errno == NGX_EAGAIN) {
            c->read->ready = 0;

            if (ngx_handle_read_event(c->read, 0) == NGX_OK) {
                return;
            }
        }

        if (n > 0) {
            ngx_log_error(NGX_LOG_WARN, c->log, 0,
                          "%s: %V sent bytes that belong to no request, "
                          "the connection is discarded",
                          fcng_msg_tag(FCNG_MSG_STRAY), &pool->name);
        }

        ngx_http_fastcgi_ng_link_was_closed(link);
    }

    fcng_pool_remove(pool->fcng, &link->conn);
    ngx_http_fastcgi_ng_link_close(link);
    ngx_http_fastcgi_ng_pool_run(pool);
}


/* draining */

/*
 * The response is complete for the client (HEAD, 204, Content-Length reached),
 * only the application's END_REQUEST is missing: worth a little waiting, since
 * the connection can be kept then.
 */

void
ngx_http_fastcgi_ng_link_drain(ngx_http_fastcgi_ng_link_t *link,
    fcng_request *request, ngx_msec_t read_timeout)
{
    ngx_connection_t  *c;

    c = link->connection;

    link->stream = NULL;
    link->draining = request;
    link->drained = 0;

    c->log = ngx_cycle->log;

    c->read->cancelable = 1;
    ngx_add_timer(c->read, ngx_min(NGX_HTTP_FASTCGI_NG_DRAIN_TIME,
                                   read_timeout));

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
ngx_http_fastcgi_ng_link_drain_handler(ngx_http_fastcgi_ng_link_t *link)
{
    size_t             placed;
    ssize_t            n;
    ngx_connection_t  *c;

    c = link->connection;

    if (c->read->timedout) {
        c->read->timedout = 0;
        goto done;
    }

    while (!ngx_http_fastcgi_ng_link_drain_events(link)) {

        ngx_http_fastcgi_ng_link_unhold(link);

        if (link->drained > NGX_HTTP_FASTCGI_NG_DRAIN_MAX) {
            goto done;
        }

        if (!c->read->ready) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                goto done;
            }

            return;
        }

        n = ngx_http_fastcgi_ng_link_read(link, NULL, 0, &placed);

        if (n == NGX_AGAIN) {
            continue;
        }

        if (n <= 0) {
            goto done;
        }

        link->drained += n;
    }

done:

    fcng_request_release(link->draining);
    link->draining = NULL;
    ngx_http_fastcgi_ng_link_release(link);
}


/* 1: END_REQUEST, or it has failed */

static ngx_uint_t
ngx_http_fastcgi_ng_link_drain_events(ngx_http_fastcgi_ng_link_t *link)
{
    fcng_event  ev;

    while (fcng_conn_next_event(link->fcng, NGX_HTTP_FASTCGI_NG_SCRATCH, &ev)
           == FCNG_OK)
    {
        if (ev.type == FCNG_EV_END || ev.type == FCNG_EV_FAILED) {
            return 1;
        }
    }

    return 0;
}
