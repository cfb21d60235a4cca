/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which connection a request gets.
 *
 * The location's upstream is replaced by a copy whose peer.init is ours.  It
 * asks the real balancer for a server (peer.get of whatever stands in the
 * upstream{} block) and then the worker's pool of that server's address for a
 * connection: one that is idle, a new one, or a place in the queue.
 *
 * peer.get sets pc->sockaddr, socklen and name before it returns, and hands
 * out a fake connection (stream.c): NGX_DONE when it can be used at once,
 * NGX_AGAIN while it waits for a name, a place or a connection.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_fastcgi_ng_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_fastcgi_ng_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
static ngx_int_t ngx_http_fastcgi_ng_resolve(ngx_http_fastcgi_ng_stream_t *st);
static ngx_uint_t ngx_http_fastcgi_ng_alone(ngx_http_fastcgi_ng_stream_t *st);
static ngx_int_t ngx_http_fastcgi_ng_not_opened(
    ngx_http_fastcgi_ng_stream_t *st, ngx_err_t err);
static void ngx_http_fastcgi_ng_resolved(ngx_resolver_ctx_t *resolver);


/* the balancer's interface */

ngx_int_t
ngx_http_fastcgi_ng_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t             *u;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_upstream_t  *up;

    u = r->upstream;
    up = (ngx_http_fastcgi_ng_upstream_t *) us;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    ctx->upstream = up;
    ctx->request = r;

    if (ctx->filter) {
        ngx_http_fastcgi_ng_data_init(r);
    }

    if (up->original) {
        u->upstream = up->original;

        if (up->original->peer.init(r, up->original) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (up->resolved->sockaddr) {

        if (ngx_http_upstream_create_round_robin_peer(r, up->resolved)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {
        /* peer.get will resolve it */
        u->peer.tries = 1;
    }

    ngx_http_fastcgi_ng_wrap_peer(r, ctx);

    return NGX_OK;
}


void
ngx_http_fastcgi_ng_wrap_peer(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ctx->alone = u->peer.tries <= 1;

    ctx->inner_get = u->peer.get;
    ctx->inner_free = u->peer.free;
    ctx->inner_notify = u->peer.notify;
    ctx->inner_data = u->peer.data;

    u->peer.get = ngx_http_fastcgi_ng_get_peer;
    u->peer.free = ngx_http_fastcgi_ng_free_peer;
    u->peer.data = ctx;

    if (u->peer.notify) {
        u->peer.notify = ngx_http_fastcgi_ng_notify_peer;
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx = data;

    ngx_int_t                      rc;
    ngx_buf_t                     *params;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = ngx_http_fastcgi_ng_stream_create(ctx->request, ctx);
    if (st == NULL) {
        return NGX_ERROR;
    }

    /* nginx rewinds only what it has sent itself, but we start early */
    params = ctx->request->upstream->request_bufs->buf;
    params->pos = params->start;

    pc->cached = 0;
    pc->connection = &st->connection;

    if (ctx->filter) {
        ngx_http_fastcgi_ng_data_attempt(ctx->request);
    }

    if (ctx->upstream_conf) {
        ctx->request->upstream->conf = ctx->upstream_conf;
        ctx->upstream_conf = NULL;
    }

    ctx->answered = 0;
    ctx->ended = 0;
    ctx->reused = 0;
    ctx->signal = 0;
    ctx->bad_head = 0;
    ctx->in_get = 1;

    rc = ctx->inner_get ? ngx_http_fastcgi_ng_choose(st)
                        : ngx_http_fastcgi_ng_resolve(st);

    ctx->in_get = 0;

    if (st->kick.posted) {
        rc = NGX_AGAIN;

    } else if (rc == NGX_AGAIN && st->state == NGX_HTTP_FASTCGI_NG_WAITING) {
        ngx_post_event(&st->kick, &ngx_posted_events);
    }

    if (rc == NGX_BUSY || rc == NGX_ERROR) {
        ngx_http_fastcgi_ng_stream_free(st);
        pc->connection = NULL;
    }

    return rc;
}


/* How an attempt that had a connection went. */

static void
ngx_http_fastcgi_ng_count_end(ngx_http_fastcgi_ng_stream_t *st)
{
    enum fcng_counter           counter;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    ctx->was_stale = st->stale;

    if (st->stale) {
        counter = FCNG_COUNT_STALE;

    } else if (st->error) {
        counter = fcng_counter_of(st->error);

    } else if (st->read.timedout || st->write.timedout) {
        counter = FCNG_COUNT_TIMEOUT;

    } else if (ctx->bad_head
               || ctx->signal == NGX_HTTP_UPSTREAM_INVALID_HEADER)
    {
        counter = FCNG_COUNT_HEAD;

    } else if (st->state == NGX_HTTP_FASTCGI_NG_OVER || ctx->drain) {
        counter = FCNG_COUNT_COMPLETE;

    } else {
        counter = FCNG_COUNT_ABORTED;
    }

    fcng_pool_count(st->pool->fcng, counter);
}


static void
ngx_http_fastcgi_ng_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx = data;

    ngx_uint_t                     blamed;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = ctx->stream;
    blamed = 0;

    if (st) {
        blamed = st->blamed;

        if (st->blameless) {
            /* another request on the same connection has failed for it */
            state &= ~NGX_PEER_FAILED;
        }

        if (st->state == NGX_HTTP_FASTCGI_NG_CONNECTING
            && (st->connect_err || (state & NGX_PEER_FAILED)))
        {
            ngx_http_fastcgi_ng_log_connect(st, st->connect_err
                                                ? st->connect_err
                                                : NGX_ETIMEDOUT);

        } else if (st->state == NGX_HTTP_FASTCGI_NG_WAITING) {
            /* the server was not even asked */
            state &= ~NGX_PEER_FAILED;
        }

        if (st->counted) {
            ngx_http_fastcgi_ng_count_end(st);
        }

        if (ctx->question && ctx->question->no_stdin) {
            ctx->question->no_stdin = 0;

            if (!ctx->answered && !st->stale && !st->shared
                && (st->error || st->read.timedout))
            {
                fcng_authz_unanswered(&st->pool->authz);
            }
        }

        ngx_http_fastcgi_ng_stream_free(st);
    }

    pc->connection = NULL;

    if (pc->cached && (state & NGX_PEER_FAILED)) {
        /* only the connection was stale, the server may be well */
        ctx->fresh = 1;

        if (!blamed) {
            state = 0;
        }

    } else if (pc->cached) {
        ctx->fresh = 1;
    }

    if (ctx->inner_used) {
        ngx_http_fastcgi_ng_free_server(pc, ctx, state);

    } else {
        pc->tries = 0;
    }
}


static void
ngx_http_fastcgi_ng_notify_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx = data;

    ctx->inner_notify(pc, ctx->inner_data, type);
}


ngx_int_t
ngx_http_fastcgi_ng_use(ngx_http_fastcgi_ng_stream_t *st, fcng_pool_conn *conn)
{
    ngx_http_fastcgi_ng_ctx_t   *ctx;
    ngx_http_fastcgi_ng_link_t  *link;

    ctx = st->ctx;
    link = conn->data;

    ctx->connect_time = 0;
    ctx->connected = 1;

    if (link->mux == NULL) {
        ctx->reused = 1;
        st->request->upstream->peer.cached = 1;

    } else {
        /* what has not answered yet is as good as new */
        ctx->reused = link->mux->answered;
        st->request->upstream->peer.cached = ctx->reused && !ctx->fresh;
    }

    ngx_http_fastcgi_ng_stream_ready(st, link);

    return NGX_DONE;
}


/* What nginx would not send again must not meet a connection that closes. */

static enum fcng_pool_need
ngx_http_fastcgi_ng_need(ngx_http_fastcgi_ng_stream_t *st)
{
    fcng_str    path;
    ngx_uint_t  need;

    if (st->ctx->fresh) {
        need = FCNG_POOL_FRESH;

    } else if (ngx_http_fastcgi_ng_repeatable(st->request)) {
        need = FCNG_POOL_ANY;

    } else {
        need = FCNG_POOL_SETTLED;
    }

    if (!st->pool->options.multiplex) {
        return need;
    }

    if (ngx_http_fastcgi_ng_alone(st)) {
        return need | FCNG_POOL_ALONE;
    }

    if (st->ctx->question) {
        return need;
    }

    path.data = (char *) st->request->uri.data;
    path.len = st->request->uri.len;

    return fcng_pool_need_for(st->pool->fcng, need, path);
}


/* Only what takes its response as it comes may share a connection; and a body
   that is passed on as it comes would hold up an application that waits for
   it. */

static ngx_uint_t
ngx_http_fastcgi_ng_alone(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t        *r;
    ngx_http_upstream_conf_t  *conf;

    r = st->request;
    conf = r->upstream->conf;

    if (st->ctx->question) {
        /* an authorizer's answer is kept as it comes */
        return st->ctx->exclusive;
    }

    return st->ctx->exclusive || !r->upstream->buffering || conf->limit_rate
           || conf->max_temp_file_size == 0 || r->request_body_no_buffering;
}


ngx_int_t
ngx_http_fastcgi_ng_acquire(ngx_http_fastcgi_ng_stream_t *st)
{
    fcng_pool_conn              *conn;
    enum fcng_pool_verdict       verdict;
    ngx_http_fastcgi_ng_ctx_t   *ctx;
    ngx_http_fastcgi_ng_pool_t  *pool;

    ctx = st->ctx;
    pool = st->pool;

    if (!st->called) {
        ctx->queue_time = 0;
    }

    ctx->queued = 1;

    if (ctx->pause) {
        /* a connection that others open meanwhile is none for it */
        ctx->pause = 0;
        st->state = NGX_HTTP_FASTCGI_NG_WAITING;
        st->paused = 1;
        ngx_http_fastcgi_ng_stream_timer(st, FCNG_REPLAY_PAUSE_US / 1000);
        return NGX_AGAIN;
    }

    st->need = ngx_http_fastcgi_ng_need(st);

    verdict = fcng_pool_acquire(pool->fcng, &st->wait, st->need,
                                ngx_http_fastcgi_ng_now(), &conn);

    if (pool->options.multiplex == FCNG_MULTIPLEX_AUTO
        && fcng_pool_must_ask(pool->fcng, ngx_http_fastcgi_ng_now()))
    {
        ngx_http_fastcgi_ng_ask_values(pool);
    }

    switch (verdict) {

    case FCNG_POOL_USE:
        return ngx_http_fastcgi_ng_use(st, conn);

    case FCNG_POOL_OPEN:
        if (conn) {
            ngx_http_fastcgi_ng_link_close(conn->data);
        }

        st->reserved = 1;
        return ngx_http_fastcgi_ng_open(st);

    case FCNG_POOL_WAIT:
        st->state = NGX_HTTP_FASTCGI_NG_WAITING;
        ngx_http_fastcgi_ng_pool_schedule(pool);
        return NGX_AGAIN;

    default: /* FCNG_POOL_REFUSE */
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: all connections to %V are in use and the queue is "
                      "full (fastcgi_ng_pool max_connections=%uD "
                      "max_queue=%uD)", fcng_msg_tag(FCNG_MSG_QUEUE),
                      &pool->name, pool->options.max_connections,
                      pool->options.max_queue);

        ngx_http_fastcgi_ng_stream_refuse(st, NGX_HTTP_SERVICE_UNAVAILABLE);
        return NGX_DONE;
    }
}


/* opening */

ngx_int_t
ngx_http_fastcgi_ng_open(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_err_t                    err;
    ngx_http_fastcgi_ng_link_t  *link;

    st->state = NGX_HTTP_FASTCGI_NG_CONNECTING;

    if (st->connect_start == 0) {
        st->connect_start = ngx_current_msec;
    }

    link = ngx_http_fastcgi_ng_link_open(st->pool, st->need,
                                         st->connection.log, &err);

    if (link == NULL) {
        return ngx_http_fastcgi_ng_not_opened(st, err);
    }

    st->link = link;
    link->stream = st;

    if (link->connecting) {
        return NGX_AGAIN;
    }

    ngx_http_fastcgi_ng_pool_connected(st);

    return NGX_DONE;
}


void
ngx_http_fastcgi_ng_pool_connected(ngx_http_fastcgi_ng_stream_t *st)
{
    uint64_t                     failures;
    ngx_uint_t                   shared;
    ngx_http_fastcgi_ng_link_t  *link;
    ngx_http_fastcgi_ng_pool_t  *pool;

    link = st->link;
    pool = st->pool;
    shared = link->mux != NULL;

    st->reserved = 0;
    st->connect_err = 0;
    link->added = 1;

    fcng_pool_add(pool->fcng, &link->conn, st->need,
                  ngx_http_fastcgi_ng_now());

    st->ctx->connect_time = ngx_current_msec - st->connect_start;
    st->ctx->connected = 1;

    failures = fcng_outage_over(&pool->outage);

    if (failures) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "%s: %V: the application is back; %uL attempts to "
                      "connect had failed",
                      fcng_msg_tag(FCNG_MSG_UP), &pool->name, failures);
    }

    /* closes the link if the request cannot be sent at all */
    ngx_http_fastcgi_ng_stream_ready(st, link);

    if (shared) {
        /* others have waited for it */
        ngx_http_fastcgi_ng_pool_run(pool);
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_not_opened(ngx_http_fastcgi_ng_stream_t *st, ngx_err_t err)
{
    uint64_t  pause;

    pause = 0;

    if (st->request->upstream->peer.tries <= 1
        && !ngx_exiting && !ngx_terminate)
    {
        pause = fcng_connect_pause(ngx_http_fastcgi_ng_cause(err),
                            st->pool->sockaddr.sockaddr.sa_family == AF_UNIX,
                            ++st->connect_failures,
                            (ngx_current_msec - st->connect_start) * 1000,
                            fcng_outage_lasts(&st->pool->outage,
                                              ngx_http_fastcgi_ng_now()));
    }

    if (pause) {
        st->connect_err = err;
        ngx_http_fastcgi_ng_stream_timer(st, (ngx_msec_t) (pause / 1000));
        return NGX_AGAIN;
    }

    /* told and counted here: peer.free must not do so again */
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;
    st->connect_err = 0;
    st->reserved = 0;

    ngx_http_fastcgi_ng_log_connect(st, err);

    fcng_pool_give_up(st->pool->fcng, st->need);
    ngx_http_fastcgi_ng_pool_run(st->pool);

    return NGX_DECLINED;
}


/* An asynchronous connect has failed; its link is closed. */

void
ngx_http_fastcgi_ng_pool_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_err_t err)
{
    if (ngx_http_fastcgi_ng_not_opened(st, err) == NGX_DECLINED) {
        ngx_http_fastcgi_ng_stream_fail(st);
    }
}


void
ngx_http_fastcgi_ng_pool_retry(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->paused) {
        st->paused = 0;
        st->start = ngx_current_msec; /* of waiting in the queue, perhaps */
        ngx_http_fastcgi_ng_go_on(st, ngx_http_fastcgi_ng_acquire(st));
        return;
    }

    if (ngx_http_fastcgi_ng_open(st) == NGX_DECLINED) {
        ngx_http_fastcgi_ng_stream_fail(st);
    }
}


/* The connection was dead before a byte left: another one. */

ngx_int_t
ngx_http_fastcgi_ng_pool_replace(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t  rc;

    st->counted = 0;
    fcng_pool_count(st->pool->fcng, FCNG_COUNT_STALE);

    st->ctx->reused = 0;
    st->ctx->fresh = 1;
    st->request->upstream->peer.cached = 0;

    rc = ngx_http_fastcgi_ng_acquire(st);

    return rc == NGX_DONE ? NGX_OK
                          : rc == NGX_AGAIN ? NGX_AGAIN : NGX_ERROR;
}


/* Its link takes no more requests, and this one was not sent. */

void
ngx_http_fastcgi_ng_pool_moved(ngx_http_fastcgi_ng_stream_t *st)
{
    st->link = NULL;
    st->state = NGX_HTTP_FASTCGI_NG_WAITING;

    ngx_http_fastcgi_ng_stream_sent(st);
    ngx_http_fastcgi_ng_go_on(st,
                              ngx_http_fastcgi_ng_pool_replace(st) == NGX_OK
                              ? NGX_DONE
                              : st->state <= NGX_HTTP_FASTCGI_NG_CONNECTING
                                ? NGX_AGAIN : NGX_ERROR);
}


/* names */

static ngx_int_t
ngx_http_fastcgi_ng_resolve(ngx_http_fastcgi_ng_stream_t *st)
{
    static struct sockaddr         placeholder;

    ngx_http_request_t            *r;
    ngx_resolver_ctx_t            *resolver, temp;
    ngx_peer_connection_t         *pc;
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_upstream_resolved_t  *ur;

    r = st->request;
    ctx = st->ctx;
    pc = &r->upstream->peer;
    ur = ctx->upstream->resolved;

    pc->sockaddr = &placeholder;
    pc->socklen = sizeof(struct sockaddr);
    pc->name = &ur->host;

    st->state = NGX_HTTP_FASTCGI_NG_WAITING;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    temp.name = ur->host;

    resolver = ngx_resolve_start(clcf->resolver, &temp);
    if (resolver == NULL) {
        return NGX_ERROR;
    }

    if (resolver == NGX_NO_RESOLVER) {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: no resolver defined to resolve \"%V\", "
                      "write \"resolver ADDRESS;\" or an upstream of that "
                      "name",
                      fcng_msg_tag(FCNG_MSG_CONNECT), &ur->host);
        return NGX_DECLINED;
    }

    resolver->name = ur->host;
    resolver->handler = ngx_http_fastcgi_ng_resolved;
    resolver->data = st;
    resolver->timeout = clcf->resolver_timeout;

    ctx->resolver = resolver;

    if (ngx_resolve_name(resolver) != NGX_OK) {
        ctx->resolver = NULL;
        return NGX_ERROR;
    }

    if (ctx->resolver) {
        return NGX_AGAIN;
    }

    /* known already */

    return ctx->resolved ? ngx_http_fastcgi_ng_choose(st) : NGX_DECLINED;
}


static void
ngx_http_fastcgi_ng_resolved(ngx_resolver_ctx_t *resolver)
{
    ngx_int_t                      rc;
    ngx_http_request_t            *r;
    ngx_http_upstream_t           *u;
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_stream_t  *st;
    ngx_http_upstream_resolved_t  *ur;

    st = resolver->data;
    ctx = st->ctx;
    r = st->request;
    u = r->upstream;
    ur = ctx->upstream->resolved;

    if (resolver->state) {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: %V could not be resolved (%i: %s)",
                      fcng_msg_tag(FCNG_MSG_CONNECT), &resolver->name,
                      resolver->state, ngx_resolver_strerror(resolver->state));

    } else {
        ur->naddrs = resolver->naddrs;
        ur->addrs = resolver->addrs;

        u->peer.data = NULL;

        if (ngx_http_upstream_create_round_robin_peer(r, ur) == NGX_OK) {
            ngx_http_fastcgi_ng_wrap_peer(r, ctx);
            ctx->resolved = 1;

            if (u->conf->next_upstream_tries
                && u->peer.tries > u->conf->next_upstream_tries)
            {
                u->peer.tries = u->conf->next_upstream_tries;
            }
        }

        u->peer.data = ctx;
    }

    ngx_resolve_name_done(resolver);
    ctx->resolver = NULL;

    if (ctx->in_get) {
        return;
    }

    rc = ctx->resolved ? ngx_http_fastcgi_ng_choose(st) : NGX_DECLINED;

    ngx_http_fastcgi_ng_go_on(st, rc);
}


/* What peer.get would have answered comes later. */

void
ngx_http_fastcgi_ng_go_on(ngx_http_fastcgi_ng_stream_t *st, ngx_int_t rc)
{
    if (rc == NGX_DONE) {
        return;
    }

    if (rc == NGX_AGAIN) {
        if (st->state == NGX_HTTP_FASTCGI_NG_CONNECTING) {
            ngx_add_timer(&st->write,
                          st->request->upstream->conf->connect_timeout);
        }

        return;
    }

    ngx_http_fastcgi_ng_stream_fail(st);
}
