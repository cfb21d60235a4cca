/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake connection that ngx_http_upstream talks to: plain CGI bytes above,
 * FastCGI records below.
 *
 * Invariants (they hold for every event method):
 *
 *   - active == !ready at every change of the fake events, set by one macro:
 *     then ngx_handle_read_event() and ngx_handle_write_event() never reach
 *     the event method.  After an end or an error ready stays set; a further
 *     recv() answers NGX_AGAIN.
 *   - recv() returns 0 only when the application has ended the response
 *     (END_REQUEST, or an ended STDOUT): a connection that is lost is
 *     NGX_ERROR, or a cut response would be a complete one.
 *   - nginx is woken by posted events only, never from inside its own calls.
 *   - The fake is never given to ngx_close_connection(): peer.free detaches it
 *     and sets pc->connection to NULL.  It is used again only after the event
 *     loop's turn, since nginx may look at it once more on its way out.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define ngx_http_fastcgi_ng_set(ev, is_ready)                                 \
    (ev)->ready = (is_ready);                                                 \
    (ev)->active = !(is_ready)


/* Where the response's bytes go. */
typedef struct {
    ngx_chain_t  *chain;
    u_char       *pos;
    size_t        left;
    size_t        done;
} ngx_http_fastcgi_ng_dest_t;


static ssize_t ngx_http_fastcgi_ng_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_fastcgi_ng_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_fastcgi_ng_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_fastcgi_ng_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static void ngx_http_fastcgi_ng_timer_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_kick_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_fastcgi_ng_submit(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params);
static ngx_int_t ngx_http_fastcgi_ng_write_failed(
    ngx_http_fastcgi_ng_stream_t *st, ngx_buf_t *params);
static void ngx_http_fastcgi_ng_reap_handler(ngx_event_t *ev);


static ngx_http_fastcgi_ng_stream_t  *ngx_http_fastcgi_ng_free_streams;
static ngx_http_fastcgi_ng_stream_t  *ngx_http_fastcgi_ng_dead_streams;

static ngx_socket_t                   ngx_http_fastcgi_ng_dummy_fd = -1;
static ngx_pool_t                    *ngx_http_fastcgi_ng_dummy_pool;
static ngx_event_t                    ngx_http_fastcgi_ng_reap;

ngx_uint_t                            ngx_http_fastcgi_ng_late;


ngx_int_t
ngx_http_fastcgi_ng_streams_init(ngx_cycle_t *cycle)
{
    /*
     * nginx asks a connection's descriptor for SO_ERROR; -1 would be an
     * error, and a real one would lose its own pending error.
     */

    ngx_http_fastcgi_ng_dummy_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (ngx_http_fastcgi_ng_dummy_fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_socket_errno,
                      "socket() failed");
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_dummy_pool = ngx_create_pool(128, cycle->log);
    if (ngx_http_fastcgi_ng_dummy_pool == NULL) {
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_reap.handler = ngx_http_fastcgi_ng_reap_handler;
    ngx_http_fastcgi_ng_reap.log = cycle->log;

    return NGX_OK;
}


ngx_http_fastcgi_ng_stream_t *
ngx_http_fastcgi_ng_stream_create(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_connection_t              *c;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = ngx_http_fastcgi_ng_free_streams;

    if (st) {
        ngx_http_fastcgi_ng_free_streams = st->next;

    } else {
        st = ngx_calloc(sizeof(ngx_http_fastcgi_ng_stream_t),
                        r->connection->log);
        if (st == NULL) {
            return NULL;
        }

        st->timer.data = &st->connection;
        st->timer.log = ngx_cycle->log;
        st->timer.handler = ngx_http_fastcgi_ng_timer_handler;
    }

    ngx_memzero(st, offsetof(ngx_http_fastcgi_ng_stream_t, timer));

    st->request = r;
    st->ctx = ctx;
    st->conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);
    st->start = ngx_current_msec;
    st->wait.data = st;

    c = &st->connection;

    c->fd = ngx_http_fastcgi_ng_dummy_fd;
    c->type = SOCK_STREAM;
    c->shared = 1;
    c->sndlowat = 1;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;
    c->pool = ngx_http_fastcgi_ng_dummy_pool;
    c->log = r->connection->log;
    c->log_error = NGX_ERROR_ERR;
    c->number = r->connection->number;

    c->recv = ngx_http_fastcgi_ng_recv;
    c->recv_chain = ngx_http_fastcgi_ng_recv_chain;
    c->send = ngx_http_fastcgi_ng_send;
    c->send_chain = ngx_http_fastcgi_ng_send_chain;

    c->read = &st->read;
    c->write = &st->write;

    st->read.data = c;
    st->read.index = NGX_INVALID_INDEX;
    st->read.log = c->log;
    ngx_http_fastcgi_ng_set(&st->read, 0);

    st->write.data = c;
    st->write.index = NGX_INVALID_INDEX;
    st->write.log = c->log;
    st->write.write = 1;
    ngx_http_fastcgi_ng_set(&st->write, 0);

    st->kick.data = c;
    st->kick.log = c->log;
    st->kick.handler = ngx_http_fastcgi_ng_kick_handler;

    ctx->stream = st;

    /* while it waits, connect_timeout, which nginx sets, must not count */
    return st;
}


/* Its own timer: for a pause before connecting, or for END_REQUEST. */

void
ngx_http_fastcgi_ng_stream_timer(ngx_http_fastcgi_ng_stream_t *st,
    ngx_msec_t wait)
{
    st->timing = 1;
    ngx_add_timer(&st->timer, wait);
}


static void
ngx_http_fastcgi_ng_del_timer(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->timing) {
        st->timing = 0;

        if (st->timer.timer_set) {
            ngx_del_timer(&st->timer);
        }
    }
}


static void
ngx_http_fastcgi_ng_del_write_timer(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->sham_timer) {
        st->sham_timer = 0;
        st->write.timer_set = 0;

    } else if (st->write.timer_set) {
        ngx_del_timer(&st->write);
    }
}


/* Of a response that was cut, only that it was large. */

static void
ngx_http_fastcgi_ng_stream_learn(ngx_http_fastcgi_ng_stream_t *st,
    ngx_uint_t drain)
{
    fcng_str  path;

    if (st->ctx->question
        || (!drain && st->state != NGX_HTTP_FASTCGI_NG_OVER
            && st->received < FCNG_POOL_LARGE))
    {
        return;
    }

    path.data = (char *) st->request->uri.data;
    path.len = st->request->uri.len;

    fcng_pool_learn(st->pool->fcng, path, (uint64_t) st->received);
}


/* Gives the link away: back to the pool, to be drained, or closed. */

static void
ngx_http_fastcgi_ng_stream_unlink(ngx_http_fastcgi_ng_stream_t *st,
    ngx_uint_t drain)
{
    fcng_request                *fcng;
    ngx_http_fastcgi_ng_link_t  *link;
    ngx_http_fastcgi_ng_pool_t  *pool;

    link = st->link;
    fcng = st->fcng;

    st->link = NULL;
    st->fcng = NULL;

    if (link == NULL) {
        return;
    }

    if (!link->added) {
        /* still connecting; its place in the pool is the stream's */
        ngx_http_fastcgi_ng_link_close(link);
        return;
    }

    if (st->pool->options.multiplex) {
        ngx_http_fastcgi_ng_stream_learn(st, drain);
    }

    if (link->mux) {
        ngx_http_fastcgi_ng_mux_detach(link, st, fcng, drain);
        return;
    }

    if (fcng && drain && !st->deaf && !fcng_conn_wants_write(link->fcng)) {
        ngx_http_fastcgi_ng_link_drain(link, fcng,
                                       st->conf->upstream.read_timeout);
        return;
    }

    if (fcng) {
        /* before its end this is a cancel, and the link gets closed */
        fcng_request_release(fcng);
        ngx_http_fastcgi_ng_link_release(link);
        return;
    }

    /* nothing was ever written on it */

    pool = link->pool;

    if (fcng_conn_requests(link->fcng) > 0) {
        ngx_http_fastcgi_ng_link_release(link);
        return;
    }

    fcng_pool_remove(pool->fcng, &link->conn);
    ngx_http_fastcgi_ng_link_close(link);
    ngx_http_fastcgi_ng_pool_run(pool);
}


void
ngx_http_fastcgi_ng_stream_free(ngx_http_fastcgi_ng_stream_t *st)
{
    fcng_request                *fcng;
    ngx_uint_t                   drain;
    ngx_http_fastcgi_ng_ctx_t   *ctx;
    ngx_http_fastcgi_ng_pool_t  *pool;

    ctx = st->ctx;
    fcng = st->fcng;
    pool = st->pool;

    if (ctx->resolver) {
        ngx_resolve_name_done(ctx->resolver);
        ctx->resolver = NULL;
    }

    ngx_http_fastcgi_ng_wait_over(st);

    if (pool) {
        fcng_pool_cancel(pool->fcng, &st->wait);
    }

    drain = ctx->drain && fcng
            && (ctx->unbuffered
                ? ctx->last_buf
                : fcng_request_offered(fcng)
                  == (uint64_t) (ctx->stdin_length
                                 + ctx->data_length));

    ngx_http_fastcgi_ng_stream_unlink(st, drain);

    if (st->reserved) {
        st->reserved = 0;
        fcng_pool_give_up(pool->fcng, st->need);
        ngx_http_fastcgi_ng_pool_run(pool);
    }

    if (st->read.timer_set) {
        ngx_del_timer(&st->read);
    }

    ngx_http_fastcgi_ng_del_write_timer(st);

    ngx_http_fastcgi_ng_del_timer(st);

    if (st->read.posted) {
        ngx_delete_posted_event(&st->read);
    }

    if (st->write.posted) {
        ngx_delete_posted_event(&st->write);
    }

    if (st->kick.posted) {
        ngx_delete_posted_event(&st->kick);
    }

    if (st->in) {
        ngx_http_fastcgi_ng_mux_drop(st);
    }

    ngx_http_fastcgi_ng_data_leave(st);

    if (pool) {
        pool->nstreams--;
    }

    ctx->stream = NULL;

    /* what may still look at it must find nothing to do */

    st->connection.fd = (ngx_socket_t) -1;
    st->state = NGX_HTTP_FASTCGI_NG_OVER;
    st->told = 1;
    st->read.ready = 0;

    st->next = ngx_http_fastcgi_ng_dead_streams;
    ngx_http_fastcgi_ng_dead_streams = st;

    if (!ngx_http_fastcgi_ng_reap.posted) {
        ngx_post_event(&ngx_http_fastcgi_ng_reap, &ngx_posted_events);
    }
}


static void
ngx_http_fastcgi_ng_reap_handler(ngx_event_t *ev)
{
    ngx_http_fastcgi_ng_stream_t  *st;

    while (ngx_http_fastcgi_ng_dead_streams) {
        st = ngx_http_fastcgi_ng_dead_streams;
        ngx_http_fastcgi_ng_dead_streams = st->next;

        st->next = ngx_http_fastcgi_ng_free_streams;
        ngx_http_fastcgi_ng_free_streams = st;
    }
}


/* waking */

void
ngx_http_fastcgi_ng_stream_wake_read(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_set(&st->read, 1);

    if (st->read.handler) {
        ngx_post_event(&st->read, &ngx_posted_events);
    }
}


void
ngx_http_fastcgi_ng_stream_wake_write(ngx_http_fastcgi_ng_stream_t *st)
{
    /* early: it has nothing to write, and would take the parameters, which
       have been read, for an empty buffer */
    if (st->write.ready || st->early) {
        return;
    }

    ngx_http_fastcgi_ng_set(&st->write, 1);

    if (st->write.handler) {
        ngx_post_event(&st->write, &ngx_posted_events);
    }
}


/*
 * Whether the request is written by kick_handler() and not by nginx, which
 * first asks the descriptor for SO_ERROR and then goes through two chains of
 * buffers.  peer.get answers NGX_AGAIN then, and nginx waits for a connection.
 * What this takes for granted of ngx_http_upstream_connect() and
 * ngx_http_upstream_send_request() is so in 1.22.0 to 1.31.5; a body goes
 * nginx's way.
 */

static ngx_inline ngx_uint_t
ngx_http_fastcgi_ng_starts_early(ngx_http_fastcgi_ng_stream_t *st)
{
#if (nginx_version >= 1022000 && nginx_version <= 1031999)
    return !ngx_http_fastcgi_ng_late && st->ctx->stdin_length == 0
           && !st->request->request_body_no_buffering
           && st->request->upstream->request_bufs->next == NULL;
#else
    return 0;
#endif
}


/* It has a link that may be written to. */

void
ngx_http_fastcgi_ng_stream_ready(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_link_t *link)
{
    ngx_connection_t  *c;

    st->state = NGX_HTTP_FASTCGI_NG_READY;
    st->counted = 1;
    st->link = link;

    c = link->connection;
    c->idle = 0;

    if (link->mux) {
        ngx_http_fastcgi_ng_mux_attach(link, st);

    } else {
        st->shared = 0;
        link->stream = st;
        c->log = st->connection.log;
    }

    if (ngx_http_fastcgi_ng_starts_early(st)) {

        if (st->ctx->in_get) {
            /*
             * nginx is about to set connect_timeout, which kick_handler()
             * would delete again, for each request.  ngx_add_timer() leaves
             * alone a timer that is set to the same time, and this one is in
             * no tree: nobody but us deletes it meanwhile.
             */
            st->sham_timer = 1;
            st->write.timer_set = 1;
            st->write.timer.key = ngx_current_msec
                             + st->request->upstream->conf->connect_timeout;
        }

        ngx_post_event(&st->kick, &ngx_posted_events);
        return;
    }

    ngx_http_fastcgi_ng_stream_wake_write(st);
}


/*
 * Failures are told through recv(): before the request was written nginx then
 * knows that nothing left (request_sent is not set), so that even a POST may
 * go to another server.
 */

void
ngx_http_fastcgi_ng_stream_fail(ngx_http_fastcgi_ng_stream_t *st)
{
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;
    ngx_http_fastcgi_ng_stream_wake_read(st);
}


/*
 * The request is answered here.  Nothing is wrong with the server that the
 * balancer chose, so it must not be marked, nor another one be tried.
 */

void
ngx_http_fastcgi_ng_stream_refuse(ngx_http_fastcgi_ng_stream_t *st,
    ngx_uint_t status)
{
    static ngx_str_t  busy = ngx_string(
        "Status: 503 Service Temporarily Unavailable" CRLF
        "Retry-After: " FCNG_RETRY_AFTER CRLF
        "Content-Type: text/html" CRLF CRLF
        "<html>" CRLF
        "<head><title>503 Service Temporarily Unavailable</title></head>" CRLF
        "<body>" CRLF
        "<center><h1>503 Service Temporarily Unavailable</h1></center>" CRLF
        "</body>" CRLF
        "</html>" CRLF);

    st->state = NGX_HTTP_FASTCGI_NG_SYNTHETIC;
    st->request->upstream->peer.tries = 1;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        st->synthetic = busy;
        st->ctx->refused = 1;

    } else {
        /* nginx's own page for it */
        st->ctx->signal = NGX_ERROR;
    }

    ngx_http_fastcgi_ng_stream_wake_write(st);
    ngx_http_fastcgi_ng_stream_wake_read(st);
}


/* fastcgi_ng_request_timeout */

void
ngx_http_fastcgi_ng_stream_timeout(ngx_http_request_t *r)
{
    ngx_event_t                   *ev;
    ngx_http_upstream_t           *u;
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_stream_t  *st;

    u = r->upstream;
    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    st = ctx->stream;

    if (st == NULL) {
        return;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, NGX_ETIMEDOUT,
                  "%s: the request has taken %M ms "
                  "(fastcgi_ng_request_timeout)",
                  fcng_msg_tag(FCNG_MSG_TIMEOUT),
                  ngx_current_msec - ctx->timeout->start);

    u->peer.tries = 0;

    if (st->state == NGX_HTTP_FASTCGI_NG_WAITING
        || st->state == NGX_HTTP_FASTCGI_NG_CONNECTING)
    {
        ev = &st->write;

    } else {
        ev = &st->read;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    /* with limit_rate, nginx would take it for the end of a pause */
    ev->delayed = 0;
    ev->timedout = 1;
    ngx_http_fastcgi_ng_set(ev, 1);
    ngx_post_event(ev, &ngx_posted_events);
}


static void
ngx_http_fastcgi_ng_timer_handler(ngx_event_t *ev)
{
    ngx_http_fastcgi_ng_stream_t  *st;

    st = ev->data;
    st->timing = 0;

    if (st->paused || st->state == NGX_HTTP_FASTCGI_NG_CONNECTING) {
        ngx_http_fastcgi_ng_pool_retry(st);
        return;
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_READY) {
        /* STDOUT has ended, END_REQUEST did not come */
        st->state = NGX_HTTP_FASTCGI_NG_OVER;
        ngx_http_fastcgi_ng_stream_unlink(st, 0);
        ngx_http_fastcgi_ng_stream_wake_write(st);
        ngx_http_fastcgi_ng_stream_wake_read(st);
    }
}


/* No connect timer any more, no timer for sending. */

void
ngx_http_fastcgi_ng_stream_sent(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_del_write_timer(st);

    if (st->state == NGX_HTTP_FASTCGI_NG_READY) {
        ngx_http_fastcgi_ng_set(&st->write, 1);
    }
}


/* The request could not be written: on another connection, if it may be. */

static ngx_int_t
ngx_http_fastcgi_ng_start_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params)
{
    ngx_int_t  rc;

    rc = ngx_http_fastcgi_ng_write_failed(st, params);

    if (rc == NGX_ERROR) {
        ngx_http_fastcgi_ng_stream_fail(st);

    } else if (st->state == NGX_HTTP_FASTCGI_NG_CONNECTING) {
        ngx_add_timer(&st->write,
                      st->request->upstream->conf->connect_timeout);
    }

    return rc;
}


/*
 * What ngx_http_upstream_send_request() does, as far as it concerns a request
 * without a body.
 */

static void
ngx_http_fastcgi_ng_start(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t             rc;
    ngx_buf_t            *params;
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    c = &st->connection;
    u = st->request->upstream;
    params = u->request_bufs->buf;

    if (u->state->connect_time == (ngx_msec_t) -1) {
        u->state->connect_time = ngx_current_msec - u->start_time;
    }

    c->log->action = "sending request to upstream";

    rc = ngx_http_fastcgi_ng_submit(st, params);

    if (rc != NGX_OK) {
        /* NGX_DONE: it is answered here */
        if (rc == NGX_ERROR) {
            ngx_http_fastcgi_ng_stream_fail(st);
        }

        return;
    }

    if (st->shared) {
        /* leaves with those of others */
        c->sent += params->last - params->start;
        st->early = 1;
        return;
    }

    rc = ngx_http_fastcgi_ng_link_write(st->link, c->log);

    if (rc == NGX_ERROR
        && ngx_http_fastcgi_ng_start_failed(st, params) != NGX_DECLINED)
    {
        return;
    }

    c->sent += params->last - params->start;
    u->request_sent = rc == NGX_AGAIN || fcng_request_started(st->fcng);

    if (rc == NGX_AGAIN) {
        /* nginx goes on when there is room, with nothing more of its own */
        ngx_add_timer(&st->write, u->conf->send_timeout);
        return;
    }

    u->request_body_sent = 1;
    ngx_http_fastcgi_ng_set(&st->write, 1);

    ngx_add_timer(&st->read, u->conf->read_timeout);
}


/*
 * Runs after peer.get has answered NGX_AGAIN and nginx has set connect_timeout:
 * waiting has its own limits, and a link that is there needs none.
 */

static void
ngx_http_fastcgi_ng_kick_handler(ngx_event_t *ev)
{
    ngx_http_fastcgi_ng_stream_t  *st;

    st = ev->data;

    if (st->state != NGX_HTTP_FASTCGI_NG_WAITING
        && (st->state != NGX_HTTP_FASTCGI_NG_READY || st->fcng))
    {
        return;
    }

    ngx_http_fastcgi_ng_del_write_timer(st);

    /*
     * One that was to wait may have got its link before this event came: with
     * a body it is nginx that writes it.
     */

    if (st->state == NGX_HTTP_FASTCGI_NG_READY
        && ngx_http_fastcgi_ng_starts_early(st))
    {
        ngx_http_fastcgi_ng_start(st);
    }
}


/* the way in */

static void
ngx_http_fastcgi_ng_dest_advance(ngx_http_fastcgi_ng_dest_t *dest, size_t n)
{
    size_t  room;

    dest->left -= n;
    dest->done += n;

    while (n) {
        room = dest->chain->buf->end - dest->pos;

        if (n < room) {
            dest->pos += n;
            return;
        }

        n -= room;
        dest->chain = dest->chain->next;

        if (dest->chain) {
            dest->pos = dest->chain->buf->last;
        }
    }
}


static void
ngx_http_fastcgi_ng_dest_copy(ngx_http_fastcgi_ng_dest_t *dest,
    const char *data, size_t len)
{
    size_t  n;

    while (len) {
        n = dest->chain->buf->end - dest->pos;

        if (n > len) {
            n = len;
        }

        ngx_memcpy(dest->pos, data, n);
        ngx_http_fastcgi_ng_dest_advance(dest, n);

        data += n;
        len -= n;
    }
}


/* The first byte of an answer: from now on it is no stale connection. */

void
ngx_http_fastcgi_ng_stream_answered(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->answered) {
        return;
    }

    ctx->answered = 1;
    ctx->first_byte_time = ngx_current_msec - st->started;

    st->request->upstream->peer.cached = 0;

    if (ctx->question && ctx->reused && !st->shared) {
        fcng_authz_kept(&st->pool->authz);
    }

    fcng_pool_first_byte(st->pool->fcng, &st->link->conn,
                         ngx_http_fastcgi_ng_now());
}


static void
ngx_http_fastcgi_ng_stderr_line(ngx_http_fastcgi_ng_stream_t *st,
    fcng_str *line)
{
    ngx_log_t                       *log;
    ngx_str_t                       *pattern;
    ngx_str_t                        text;
    ngx_uint_t                       i;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = st->conf;
    log = st->connection.log;

    text.data = (u_char *) line->data;
    text.len = line->len;

    if (conf->stderr_level
        && fcng_rate_allow(&conf->stderr_limit, ngx_http_fastcgi_ng_now()))
    {
        if (conf->stderr_limit.dropped) {
            ngx_log_error(conf->stderr_level, log, 0,
                          "%s: %uL lines of the application's stderr were "
                          "held back", fcng_msg_tag(FCNG_MSG_STDERR),
                          conf->stderr_limit.dropped);
            conf->stderr_limit.dropped = 0;
        }

        ngx_log_error(conf->stderr_level, log, 0,
                      "%s: STDERR: %V",
                      fcng_msg_tag(FCNG_MSG_STDERR), &text);
    }

    if (conf->catch_stderr == NULL || st->ctx->head.done) {
        return;
    }

    pattern = conf->catch_stderr->elts;

    for (i = 0; i < conf->catch_stderr->nelts; i++) {
        if (pattern[i].len <= text.len
            && ngx_strlcasestrn(text.data, text.data + text.len,
                                pattern[i].data,
                                pattern[i].len - 1))
        {
            st->ctx->signal = NGX_HTTP_UPSTREAM_INVALID_HEADER;
            return;
        }
    }
}


static void
ngx_http_fastcgi_ng_on_stderr(ngx_http_fastcgi_ng_stream_t *st, fcng_str bytes)
{
    fcng_str                    line;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->lines == NULL) {
        ctx->lines = ngx_palloc(st->request->pool, sizeof(fcng_lines));
        if (ctx->lines == NULL) {
            return;
        }

        fcng_lines_init(ctx->lines);
    }

    while (fcng_lines_next(ctx->lines, &bytes, &line) == FCNG_OK) {
        ngx_http_fastcgi_ng_stderr_line(st, &line);
    }
}


static void
ngx_http_fastcgi_ng_stderr_end(ngx_http_fastcgi_ng_stream_t *st)
{
    fcng_str  line;

    if (st->ctx->lines && fcng_lines_end(st->ctx->lines, &line) == FCNG_OK) {
        ngx_http_fastcgi_ng_stderr_line(st, &line);
    }
}


/* Whether nginx would ask again after an error, the method put aside. */

static ngx_uint_t
ngx_http_fastcgi_ng_may_next(ngx_http_request_t *r)
{
    ngx_msec_t            timeout;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    timeout = u->conf->next_upstream_timeout;

    return (u->conf->next_upstream & NGX_HTTP_UPSTREAM_FT_ERROR)
           && !r->request_body_no_buffering
           && (timeout == 0
               || ngx_current_msec - u->peer.start_time < timeout);
}


static ngx_uint_t
ngx_http_fastcgi_ng_idempotent(ngx_http_request_t *r)
{
    return (r->method & (NGX_HTTP_POST|NGX_HTTP_LOCK|NGX_HTTP_PATCH)) == 0
           || (r->upstream->conf->next_upstream
               & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT);
}


ngx_uint_t
ngx_http_fastcgi_ng_repeatable(ngx_http_request_t *r)
{
    return ngx_http_fastcgi_ng_may_next(r)
           && ngx_http_fastcgi_ng_idempotent(r);
}


/*
 * OVERLOADED and CANT_MPX_CONN say that nothing was started: whatever the
 * method, it may be asked again.  nginx knows that only as a setting of the
 * location's, which is put back before the next attempt.
 */

static void
ngx_http_fastcgi_ng_not_started(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t        *r;
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    r = st->request;
    u = r->upstream;

    if (ngx_http_fastcgi_ng_idempotent(r)) {
        return;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return;
    }

    *conf = *u->conf;
    conf->next_upstream |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;

    st->ctx->upstream_conf = u->conf;
    u->conf = conf;
}


static void
ngx_http_fastcgi_ng_overloaded(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = st->request;
    u = r->upstream;

    if (st->received) {
        return;
    }

    if (u->peer.tries <= 1 || !ngx_http_fastcgi_ng_may_next(r)) {
        ngx_http_fastcgi_ng_stream_refuse(st, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    ngx_http_fastcgi_ng_not_started(st);
}


/* CANT_MPX_CONN on a link that it shared: on one of its own again, which nginx
   does after a failure of a cached connection. */

static void
ngx_http_fastcgi_ng_cant_share(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->received || !ngx_http_fastcgi_ng_may_next(st->request)) {
        return;
    }

    st->ctx->exclusive = 1;
    st->request->upstream->peer.cached = 1;

    ngx_http_fastcgi_ng_not_started(st);
}


static void
ngx_http_fastcgi_ng_on_end(ngx_http_fastcgi_ng_stream_t *st, fcng_event *ev)
{
    ngx_log_t                   *log;
    ngx_http_fastcgi_ng_ctx_t   *ctx;

    ctx = st->ctx;
    log = st->connection.log;

    ctx->app_status = ev->app_status;
    ctx->ended = 1;

    ngx_http_fastcgi_ng_stderr_end(st);

    st->error = ev->error;
    st->state = ev->error ? NGX_HTTP_FASTCGI_NG_FAILED
                          : NGX_HTTP_FASTCGI_NG_OVER;

    ngx_http_fastcgi_ng_del_timer(st);

    switch (ev->error) {

    case FCNG_OK:
        if (ev->app_status) {
            ngx_log_error(NGX_LOG_INFO, log, 0,
                          "%s: the application ended with status %uD",
                          fcng_msg_tag(FCNG_MSG_APP_STATUS), ev->app_status);
        }

        break;

    case FCNG_ERR_UNKNOWN_ROLE:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "%s: the application does not know the role %s "
                      "asks for", ngx_http_fastcgi_ng_tag(ev->error),
                      st->conf->role == FCNG_AUTHORIZER
                      ? "Authorizer that \"fastcgi_ng_authorizer\""
                      : st->conf->of_output
                      ? "Filter that \"fastcgi_ng_output_filter\""
                      : st->conf->role == FCNG_FILTER
                      ? "Filter that \"fastcgi_ng_file_filter\""
                      : "Responder that \"fastcgi_ng_pass\"");
        ctx->signal = NGX_ERROR;
        break;

    default:
        ngx_log_error(NGX_LOG_ERR, log, 0, "%s: the application refused: %s",
                      ngx_http_fastcgi_ng_tag(ev->error),
                      fcng_strerror(ev->error));

        if (ev->error == FCNG_ERR_OVERLOADED) {
            ngx_http_fastcgi_ng_overloaded(st);

        } else if (ev->error == FCNG_ERR_CANT_MPX && st->shared) {
            ngx_http_fastcgi_ng_cant_share(st);
        }
    }

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
}


/*
 * Closed without a byte: the only server may be on its way out, to be started
 * again.  Once more then, after a pause, if nginx would ask another server.
 * It does so after a failure of a cached connection.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_repeat(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t         *r;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    r = st->request;
    ctx = st->ctx;

    if (!ctx->alone || ctx->repeated || ctx->timed_out
        || !ngx_http_fastcgi_ng_repeatable(r))
    {
        return 0;
    }

    ctx->repeated = 1;
    ctx->pause = 1;
    r->upstream->peer.cached = 1;

    return 1;
}


static void
ngx_http_fastcgi_ng_on_failed(ngx_http_fastcgi_ng_stream_t *st, int err)
{
    char                         hint[256];
    fcng_str                     in;
    ngx_log_t                   *log;
    const char                  *where;
    ngx_http_fastcgi_ng_link_t  *link;

    link = st->link;
    log = st->connection.log;

    ngx_http_fastcgi_ng_stderr_end(st);

    st->error = err;
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;

    if (st->shared && fcng_conn_doubted(link->fcng)) {
        st->ctx->exclusive = 1;
    }

    if (st->ctx->reused && st->request->upstream->peer.cached
        && !fcng_request_answered(st->fcng)
        && (err == FCNG_ERR_CLOSED || err == FCNG_ERR_IO))
    {
        st->stale = 1;
        ngx_http_fastcgi_ng_link_was_closed(link);
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%s: the kept connection was closed",
                      fcng_msg_tag(FCNG_MSG_STALE));

    } else if (!fcng_request_answered(st->fcng)
               && (err == FCNG_ERR_CLOSED || err == FCNG_ERR_IO)
               && ngx_http_fastcgi_ng_repeat(st))
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%s: %s, before the response: the request is sent again",
                      fcng_msg_tag(FCNG_MSG_STALE), fcng_strerror(err));

    } else {
        in.data = (char *) link->buffer;
        in.len = link->buffer ? link->fed : 0;
        hint[0] = '\0';

        if (err == FCNG_ERR_CLOSED) {
            fcng_hint_closed(hint, sizeof(hint),
                      st->pool->sockaddr.sockaddr.sa_family == AF_UNIX,
                      fcng_request_answered(st->fcng));

        } else {
            fcng_hint_protocol(hint, sizeof(hint), in);
        }

        where = st->ctx->head.done ? "in the response's body"
                : st->received ? "in the response's head"
                : "before the response";

        ngx_log_error(NGX_LOG_ERR, log, 0, "%s: %s, %s%s%s",
                      ngx_http_fastcgi_ng_tag(err), fcng_strerror(err), where,
                      hint[0] ? ": " : "", hint);
    }

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
}


static void
ngx_http_fastcgi_ng_on_event(ngx_http_fastcgi_ng_stream_t *st, fcng_event *ev,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    if (ev->type != FCNG_EV_FAILED && ev->request) {
        ngx_http_fastcgi_ng_stream_answered(st);
    }

    switch (ev->type) {

    case FCNG_EV_STDOUT:
        ngx_http_fastcgi_ng_dest_copy(dest, ev->bytes.data, ev->bytes.len);
        st->received += ev->bytes.len;
        break;

    case FCNG_EV_STDERR:
        ngx_http_fastcgi_ng_on_stderr(st, ev->bytes);
        break;

    case FCNG_EV_STDOUT_END:
        st->stdout_end = 1;
        break;

    case FCNG_EV_END:
        ngx_http_fastcgi_ng_on_end(st, ev);
        break;

    case FCNG_EV_FAILED:
        if (st->stdout_end && st->ctx->question == NULL
            && (ev->error == FCNG_ERR_CLOSED || ev->error == FCNG_ERR_IO))
        {
            /* in place of END_REQUEST, but the response is whole */
            st->state = NGX_HTTP_FASTCGI_NG_OVER;
            ngx_http_fastcgi_ng_stream_unlink(st, 0);
            ngx_http_fastcgi_ng_stream_wake_write(st);
            break;
        }

        ngx_http_fastcgi_ng_on_failed(st, ev->error);
        break;

    default:
        break;
    }
}


/* What has come for a stream on a shared link, but for STDOUT. */

void
ngx_http_fastcgi_ng_stream_event(ngx_http_fastcgi_ng_stream_t *st,
    fcng_event *ev)
{
    ngx_http_fastcgi_ng_on_event(st, ev, NULL);
}


/* Its response goes no further. */

void
ngx_http_fastcgi_ng_stream_cancel(ngx_http_fastcgi_ng_stream_t *st, int err)
{
    st->error = err;
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
    ngx_http_fastcgi_ng_stream_wake_read(st);
}


/* nginx breaks a short response off without a word on whose fault it is. */

static void
ngx_http_fastcgi_ng_check_length(ngx_http_fastcgi_ng_stream_t *st)
{
    off_t        length;
    fcng_head   *head;

    head = &st->ctx->head;

    if (!head->done || head->content_length == FCNG_LENGTH_UNKNOWN
        || ngx_http_fastcgi_ng_is_head(st->request)
        || head->status == NGX_HTTP_NO_CONTENT
        || head->status == NGX_HTTP_NOT_MODIFIED)
    {
        return;
    }

    length = st->received - (off_t) head->size;

    if (length < (off_t) head->content_length) {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0, "%s: %s",
                      ngx_http_fastcgi_ng_tag(FCNG_ERR_BODY_SHORT),
                      fcng_strerror(FCNG_ERR_BODY_SHORT));
    }
}


/* The end of everything, told once. */

static ssize_t
ngx_http_fastcgi_ng_tell_end(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    if (st->told) {
        return NGX_AGAIN;
    }

    ctx = st->ctx;
    st->told = 1;

    if (ctx->signal == 0 && st->state == NGX_HTTP_FASTCGI_NG_OVER
        && !ctx->head.done)
    {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0, "%s: %s",
                      ngx_http_fastcgi_ng_tag(FCNG_ERR_HEAD_MISSING),
                      fcng_strerror(FCNG_ERR_HEAD_MISSING));
        ctx->signal = NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (ctx->question && ctx->signal == 0
        && (st->state != NGX_HTTP_FASTCGI_NG_FAILED || st->received))
    {
        /* nginx is to do nothing with the answer, which may be half of one */
        ctx->taken = 1;
        ctx->whole = st->state == NGX_HTTP_FASTCGI_NG_OVER && ctx->ended;
        ctx->signal = NGX_ERROR;
    }

    if (ctx->signal && (ctx->question || !ctx->head.done)) {
        /* a byte that makes nginx call process_header */
        in->buf->last[0] = LF;
        return 1;
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_FAILED) {
        st->read.error = 1;
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_check_length(st);

    st->read.eof = 1;

    return 0;
}


static ssize_t
ngx_http_fastcgi_ng_synthesize(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t  n;

    n = ngx_min(dest->left, st->synthetic.len);

    ngx_http_fastcgi_ng_dest_copy(dest, (char *) st->synthetic.data, n);

    st->synthetic.data += n;
    st->synthetic.len -= n;

    return n;
}


/* What has come on a shared link. */

static void
ngx_http_fastcgi_ng_take(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t   n;
    u_char  *pos;

    while (dest->left) {
        n = ngx_http_fastcgi_ng_mux_take(st, &pos);

        if (n == 0) {
            return;
        }

        n = ngx_min(n, dest->left);

        ngx_http_fastcgi_ng_dest_copy(dest, (char *) pos, n);
        ngx_http_fastcgi_ng_mux_took(st, n);
    }
}


/* Gets bytes from the socket.  NGX_DONE: look for events; NGX_AGAIN. */

static ngx_int_t
ngx_http_fastcgi_ng_fill(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t                       placed;
    ssize_t                      n;
    ngx_http_fastcgi_ng_link_t  *link;

    link = st->link;

    if (fcng_conn_unread(link->fcng) > 0) {
        /* no room for more */
        return NGX_AGAIN;
    }

    if (dest->done || !link->connection->read->ready) {
        ngx_http_fastcgi_ng_link_unhold(link);
        return NGX_AGAIN;
    }

    n = ngx_http_fastcgi_ng_link_read(link, in, dest->left, &placed);

    if (n == NGX_AGAIN) {
        ngx_http_fastcgi_ng_link_unhold(link);
        return NGX_AGAIN;
    }

    if (n <= 0) {
        /* closed with bytes of ours unread, it is reset */
        fcng_conn_fail(link->fcng, n == 0 || ngx_socket_errno == NGX_ECONNRESET
                                   ? FCNG_ERR_CLOSED : FCNG_ERR_IO);

    } else if (placed) {
        ngx_http_fastcgi_ng_stream_answered(st);
        ngx_http_fastcgi_ng_dest_advance(dest, placed);
        st->received += placed;
    }

    return NGX_DONE;
}


static ssize_t
ngx_http_fastcgi_ng_pull(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in,
    off_t limit)
{
    fcng_event                   ev;
    ngx_chain_t                 *cl;
    ngx_uint_t                   ready;
    ngx_http_fastcgi_ng_dest_t   dest;

    dest.chain = in;
    dest.pos = in->buf->last;
    dest.left = 0;
    dest.done = 0;

    for (cl = in; cl; cl = cl->next) {
        dest.left += cl->buf->end - cl->buf->last;
    }

    if (limit && (off_t) dest.left > limit) {
        dest.left = limit;
    }

    if (st->shared && st->ctx->signal == 0) {
        ngx_http_fastcgi_ng_take(st, &dest);
    }

    while (!st->shared && st->state == NGX_HTTP_FASTCGI_NG_READY
           && st->ctx->signal == 0)
    {
        if (fcng_conn_next_event(st->link->fcng, dest.left, &ev) == FCNG_OK) {
            ngx_http_fastcgi_ng_on_event(st, &ev, &dest);
            continue;
        }

        if (ngx_http_fastcgi_ng_fill(st, in, &dest) == NGX_AGAIN) {
            break;
        }
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_SYNTHETIC && st->synthetic.len) {
        return ngx_http_fastcgi_ng_synthesize(st, &dest);
    }

    ready = st->state != NGX_HTTP_FASTCGI_NG_READY || st->ctx->signal
            || (st->shared ? st->in != NULL
                           : fcng_conn_unread(st->link->fcng) > 0
                             || st->link->connection->read->ready);

    if (dest.done == 0
        && (st->state != NGX_HTTP_FASTCGI_NG_READY || st->ctx->signal))
    {
        return ngx_http_fastcgi_ng_tell_end(st, in);
    }

    ngx_http_fastcgi_ng_set(&st->read, ready);

    if (st->stdout_end && !st->timing
        && st->state == NGX_HTTP_FASTCGI_NG_READY)
    {
        ngx_http_fastcgi_ng_stream_timer(st,
                     ngx_min(FCNG_END_WAIT_US / 1000,
                             st->request->upstream->conf->read_timeout / 2));
    }

    if (!ready && !st->shared
        && ngx_handle_read_event(st->link->connection->read, 0) != NGX_OK)
    {
        ngx_http_fastcgi_ng_stream_fail(st);
    }

    return dest.done ? (ssize_t) dest.done : NGX_AGAIN;
}


static ssize_t
ngx_http_fastcgi_ng_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_buf_t    b;
    ngx_chain_t  in;

    b.last = buf;
    b.end = buf + size;
    in.buf = &b;
    in.next = NULL;

    return ngx_http_fastcgi_ng_pull((ngx_http_fastcgi_ng_stream_t *) c, &in,
                                    0);
}


static ssize_t
ngx_http_fastcgi_ng_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ssize_t                        n;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = (ngx_http_fastcgi_ng_stream_t *) c;

    n = ngx_http_fastcgi_ng_pull(st, in, limit);

    if (n == NGX_ERROR) {
        /* or the pipe would drop what it has read into its last buffer */
        st->request->upstream->pipe->read = 1;
    }

    return n;
}


/* the way out */

static ssize_t
ngx_http_fastcgi_ng_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    /* nginx uses it for upgraded connections only, which these are never */
    return NGX_ERROR;
}


/* Nobody wants the bytes any more. */

static ngx_chain_t *
ngx_http_fastcgi_ng_swallow(ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
    }

    return NULL;
}


/* The empty record, which not every authorizer likes. */

static ngx_uint_t
ngx_http_fastcgi_ng_no_stdin(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_question_t  *q;

    q = st->ctx->question;

    q->no_stdin = fcng_authz_no_stdin(&st->pool->authz);

    return q->no_stdin || !st->conf->authorizer_stdin;
}


static ngx_int_t
ngx_http_fastcgi_ng_submit(ngx_http_fastcgi_ng_stream_t *st, ngx_buf_t *params)
{
    int                         rc;
    fcng_submit                 submit;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    ngx_memzero(&submit, sizeof(fcng_submit));

    submit.role = st->conf->role;
    submit.params.data = (char *) params->start;
    submit.params.len = params->last - params->start;
    submit.stdin_length = ctx->stdin_length < 0
                          || (ctx->stdin_length == 0 && ctx->unbuffered)
                          ? FCNG_LENGTH_UNKNOWN
                          : (uint64_t) ctx->stdin_length;
    submit.data_length = ctx->data_length;
    submit.no_stdin = ctx->question ? ngx_http_fastcgi_ng_no_stdin(st) : 0;
    submit.user = st;

    rc = fcng_conn_submit(st->link->fcng, &submit, &st->fcng);

    if (rc != FCNG_OK) {
        st->fcng = NULL;
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: the request cannot be sent: %s",
                      ngx_http_fastcgi_ng_tag(rc), fcng_strerror(rc));

        if (rc == FCNG_ERR_PARAM_SIZE || rc == FCNG_ERR_PARAM_ENCODING) {
            ngx_http_fastcgi_ng_stream_unlink(st, 0);
            ngx_http_fastcgi_ng_stream_refuse(st,
                                              NGX_HTTP_INTERNAL_SERVER_ERROR);
            return NGX_DONE;
        }

        return NGX_ERROR;
    }

    params->pos = params->last;

    if (ctx->data) {
        ngx_http_fastcgi_ng_data_rewind(st->request, ctx->data);
    }

    if (st->shared) {
        /* why such a link is closed nobody knows: asks stays unset */
        ngx_http_fastcgi_ng_mux_submitted(st);

    } else {
        st->link->asks = ctx->question != NULL;
        st->link->without = submit.no_stdin;
    }

    ctx->stream_id = fcng_request_id(st->fcng);

    ngx_http_fastcgi_ng_pool_started(st);

    return NGX_OK;
}


/* STDIN, then a Filter's DATA. */

static int
ngx_http_fastcgi_ng_offer_bytes(ngx_http_fastcgi_ng_stream_t *st, u_char *pos,
    size_t len)
{
    int                         rc;
    size_t                      n;
    uint64_t                    offered, length;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->unbuffered) {
        return fcng_request_offer(st->fcng, FCNG_STDIN, pos, len, false);
    }

    offered = fcng_request_offered(st->fcng);
    length = ctx->stdin_length;

    if (offered < length) {
        n = ngx_min(len, length - offered);

        rc = fcng_request_offer(st->fcng, FCNG_STDIN, pos, n,
                                offered + n == length);
        if (rc != FCNG_OK || n == len) {
            return rc;
        }

        pos += n;
        len -= n;
        offered += n;
    }

    length += ctx->data_length;

    return fcng_request_offer(st->fcng, FCNG_DATA, pos, len,
                              offered + len == length);
}


static ngx_int_t
ngx_http_fastcgi_ng_offer(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in)
{
    int         rc;
    size_t      len;
    uint64_t    skip;
    ngx_buf_t  *b;

    skip = fcng_request_offered(st->fcng) - st->reported;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;
        len = b->last - b->pos;

        if (skip >= len) {
            skip -= len;
            continue;
        }

        len -= skip;

        rc = ngx_http_fastcgi_ng_offer_bytes(st, b->pos + skip, len);
        skip = 0;

        if (rc == FCNG_AGAIN) {
            return NGX_OK;
        }

        if (rc != FCNG_OK) {
            ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                          "%s: the request cannot be sent: %s",
                          ngx_http_fastcgi_ng_tag(rc), fcng_strerror(rc));
            return NGX_ERROR;
        }
    }

    if (st->ctx->last_buf) {
        /* with the last bytes in one write; refused once it was sent */
        (void) fcng_request_offer(st->fcng, FCNG_STDIN, NULL, 0, true);
    }

    return NGX_OK;
}


/*
 * Writing failed.  NGX_OK: on another connection again; NGX_AGAIN: likewise,
 * when there is one; NGX_DECLINED: what was answered so far may be read.
 */

static ngx_int_t
ngx_http_fastcgi_ng_write_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (!fcng_request_started(st->fcng) && params
        && (ctx->reused || (ctx->alone && !ctx->repeated)))
    {
        /* nothing left: whatever the method, it may be sent elsewhere */

        ngx_log_error(NGX_LOG_INFO, st->connection.log, 0,
                      "%s: the %sconnection was closed, another one is used",
                      fcng_msg_tag(FCNG_MSG_STALE),
                      ctx->reused ? "kept " : "");
        fcng_pool_count(st->pool->fcng, FCNG_COUNT_STALE);

        if (ctx->reused) {
            ngx_http_fastcgi_ng_link_was_closed(st->link);

        } else {
            ctx->repeated = 1;
            ctx->pause = 1;
        }

        params->pos = params->start;
        ngx_http_fastcgi_ng_stream_unlink(st, 0);

        return ngx_http_fastcgi_ng_pool_replace(st);
    }

    st->deaf = 1;
    ngx_http_fastcgi_ng_set(&st->write, 1);
    ngx_http_fastcgi_ng_stream_wake_read(st);

    return NGX_DECLINED;
}


static ngx_chain_t *
ngx_http_fastcgi_ng_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    size_t                         size;
    uint64_t                       sent;
    ngx_int_t                      rc;
    ngx_chain_t                   *first;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = (ngx_http_fastcgi_ng_stream_t *) c;
    first = NULL;

    for ( ;; ) {

        if (st->state < NGX_HTTP_FASTCGI_NG_READY) {
            ngx_http_fastcgi_ng_set(&st->write, 0);
            return in;
        }

        if (st->state > NGX_HTTP_FASTCGI_NG_READY || st->deaf) {
            return ngx_http_fastcgi_ng_swallow(in);
        }

        if (st->fcng == NULL) {
            first = in;
            size = in->buf->last - in->buf->pos;
            rc = ngx_http_fastcgi_ng_submit(st, in->buf);

            if (rc == NGX_DONE) {
                continue;
            }

            if (rc != NGX_OK) {
                return NGX_CHAIN_ERROR;
            }

            c->sent += size;
            in = in->next;
        }

        if (ngx_http_fastcgi_ng_offer(st, in) != NGX_OK) {
            return NGX_CHAIN_ERROR;
        }

        rc = st->shared ? ngx_http_fastcgi_ng_mux_write(st->link)
                        : ngx_http_fastcgi_ng_link_write(st->link, c->log);

        if (rc == NGX_ERROR) {
            rc = ngx_http_fastcgi_ng_write_failed(st,
                                                  first ? first->buf : NULL);
            if (rc == NGX_ERROR) {
                return NGX_CHAIN_ERROR;
            }

            if (rc != NGX_DECLINED) {
                in = first;
            }

            continue;
        }

        sent = fcng_request_sent(st->fcng) - st->reported;
        st->reported += sent;
        c->sent += sent;

        in = ngx_chain_update_sent(in, sent);

        if (in == NULL) {
            return NULL;
        }

        if (rc == NGX_AGAIN) {
            ngx_http_fastcgi_ng_set(&st->write, 0);

            if (st->shared) {
                st->blocked = 1;
                st->link->mux->blocked = 1;
            }

            return in;
        }
    }
}


/* The end of a body that came after its last byte. */

ngx_int_t
ngx_http_fastcgi_ng_stream_finish(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_stream_t  *st;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    st = ctx->stream;

    if (st == NULL || st->state != NGX_HTTP_FASTCGI_NG_READY || st->deaf
        || st->fcng == NULL)
    {
        return NGX_OK;
    }

    if (fcng_request_offer(st->fcng, FCNG_STDIN, NULL, 0, true) != FCNG_OK) {
        return NGX_OK;
    }

    if ((st->shared ? ngx_http_fastcgi_ng_mux_write(st->link)
                    : ngx_http_fastcgi_ng_link_write(st->link,
                                                     st->connection.log))
        == NGX_ERROR)
    {
        st->deaf = 1;
        ngx_http_fastcgi_ng_stream_wake_read(st);
    }

    return NGX_OK;
}
