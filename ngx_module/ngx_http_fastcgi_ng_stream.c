/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake connection that ngx_http_upstream talks to: plain CGI bytes above,
 * FastCGI records below.  Here it begins, starts its request and ends; what
 * nginx reads is in stream_in.c, what it writes in stream_out.c, what the core
 * says in stream_events.c.
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


/* A body that the core takes in one go: a record of STDIN, a few buffers. */
#define NGX_HTTP_FASTCGI_NG_SMALL_BODY  16384
#define NGX_HTTP_FASTCGI_NG_SMALL_BUFS  4


static void ngx_http_fastcgi_ng_reap_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_timer_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_kick_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_fastcgi_ng_write_request(
    ngx_http_fastcgi_ng_stream_t *st);


static ngx_http_fastcgi_ng_stream_t  *ngx_http_fastcgi_ng_free_streams;
static ngx_http_fastcgi_ng_stream_t  *ngx_http_fastcgi_ng_dead_streams;
static ngx_http_fastcgi_ng_stream_t  *ngx_http_fastcgi_ng_first_dead;

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

    ngx_http_fastcgi_ng_patience_init();

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


void
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

void
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

    ngx_http_fastcgi_ng_patience_end(st);

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

    if (ngx_http_fastcgi_ng_dead_streams == NULL) {
        ngx_http_fastcgi_ng_first_dead = st;
    }

    st->next = ngx_http_fastcgi_ng_dead_streams;
    ngx_http_fastcgi_ng_dead_streams = st;

    if (!ngx_http_fastcgi_ng_reap.posted) {
        ngx_post_event(&ngx_http_fastcgi_ng_reap, &ngx_posted_events);
    }
}


static void
ngx_http_fastcgi_ng_reap_handler(ngx_event_t *ev)
{
    /* those that were used last, and are in the caches, first */

    if (ngx_http_fastcgi_ng_dead_streams) {
        ngx_http_fastcgi_ng_first_dead->next = ngx_http_fastcgi_ng_free_streams;
        ngx_http_fastcgi_ng_free_streams = ngx_http_fastcgi_ng_dead_streams;
        ngx_http_fastcgi_ng_dead_streams = NULL;
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


/* nginx has all of the body in memory, and there is little of it. */

static ngx_uint_t
ngx_http_fastcgi_ng_small_body(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_uint_t    n;
    ngx_chain_t  *cl;

    if (st->ctx->stdin_length > NGX_HTTP_FASTCGI_NG_SMALL_BODY) {
        return 0;
    }

    n = 0;

    for (cl = st->request->upstream->request_bufs->next; cl; cl = cl->next) {
        if (cl->buf->in_file || ++n > NGX_HTTP_FASTCGI_NG_SMALL_BUFS) {
            return 0;
        }
    }

    return 1;
}


/*
 * Whether the request is written by kick_handler() and not by nginx, which
 * first asks the descriptor for SO_ERROR and then goes through two chains of
 * buffers.  peer.get answers NGX_AGAIN then, and nginx waits for a connection.
 * What this takes for granted of ngx_http_upstream_connect() and
 * ngx_http_upstream_send_request() is so in 1.22.0 to 1.31.5.  A body goes
 * nginx's way, but for a small one on a shared link: it leaves with the other
 * requests of its turn.
 */

static ngx_inline ngx_uint_t
ngx_http_fastcgi_ng_starts_early(ngx_http_fastcgi_ng_stream_t *st)
{
#if (nginx_version >= 1022000 && nginx_version <= 1031999)
    return !ngx_http_fastcgi_ng_late && st->ctx->data == NULL
           && !st->request->request_body_no_buffering
           && (st->ctx->stdin_length == 0
               || (st->shared && ngx_http_fastcgi_ng_small_body(st)));
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

            /*
             * What was just made is still in the processor's caches, and the
             * application works on it while nginx parses the next one; on a
             * shared link it leaves with others of this turn.  What nginx is
             * about to reset waits for kick_handler().
             */
            if (!st->request->upstream->request_sent) {
                st->written = 1;
                st->write_rc = ngx_http_fastcgi_ng_write_request(st);
            }
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


/* NGX_DONE: it is answered here.  NGX_ABORT: it cannot be sent. */

static ngx_int_t
ngx_http_fastcgi_ng_write_request(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t          rc;
    ngx_buf_t         *params;
    ngx_chain_t       *request;
    ngx_connection_t  *c;

    c = &st->connection;
    request = st->request->upstream->request_bufs;
    params = request->buf;

    c->log->action = "sending request to upstream";

    rc = ngx_http_fastcgi_ng_submit(st, params);

    if (rc != NGX_OK) {
        return rc == NGX_DONE ? NGX_DONE : NGX_ABORT;
    }

    if (st->shared) {
        if (ngx_http_fastcgi_ng_offer(st, request->next) != NGX_OK) {
            return NGX_ABORT;
        }

        c->sent += params->last - params->start + st->ctx->stdin_length;
        st->early = 1;
        return NGX_OK;
    }

    return ngx_http_fastcgi_ng_link_write(st->link, c->log);
}


/*
 * What ngx_http_upstream_send_request() does, as far as it concerns a request
 * that starts early.
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

    rc = st->written ? st->write_rc : ngx_http_fastcgi_ng_write_request(st);
    st->written = 0;

    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_ABORT) {
        ngx_http_fastcgi_ng_stream_fail(st);
        return;
    }

    if (st->shared) {
        /* mux_sent() does the rest; here only what mux_write() could not */
        if (st->early && !st->link->connection->write->ready
            && !st->write.timer_set)
        {
            ngx_add_timer(&st->write, u->conf->send_timeout);
        }

        return;
    }

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

    ngx_http_fastcgi_ng_patience_begin(st);
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

    if (st->written) {
        ngx_http_fastcgi_ng_del_write_timer(st);

        if (st->state == NGX_HTTP_FASTCGI_NG_READY) {
            ngx_http_fastcgi_ng_start(st);
            return;
        }

        /*
         * It was refused, or its link has failed since: some of it has left;
         * of a shared link mux_sent() knows better.
         */
        st->written = 0;

        if (st->state == NGX_HTTP_FASTCGI_NG_FAILED && !st->shared) {
            st->request->upstream->request_sent = 1;
        }

        ngx_http_fastcgi_ng_stream_wake_read(st);
        return;
    }

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
