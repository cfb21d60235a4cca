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

#include <pwd.h>
#include <grp.h>


/* Unused addresses (names and variables change) are forgotten above this. */
#define NGX_HTTP_FASTCGI_NG_POOLS_MAX    128


static ngx_int_t ngx_http_fastcgi_ng_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_fastcgi_ng_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_fastcgi_ng_notify_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
static ngx_uint_t ngx_http_fastcgi_ng_alone(ngx_http_fastcgi_ng_stream_t *st);
static ngx_int_t ngx_http_fastcgi_ng_open(ngx_http_fastcgi_ng_stream_t *st);
static ngx_int_t ngx_http_fastcgi_ng_not_opened(
    ngx_http_fastcgi_ng_stream_t *st, ngx_err_t err);
static ngx_int_t ngx_http_fastcgi_ng_resolve(ngx_http_fastcgi_ng_stream_t *st);
static void ngx_http_fastcgi_ng_resolved(ngx_resolver_ctx_t *resolver);
static ngx_http_fastcgi_ng_pool_t *ngx_http_fastcgi_ng_pool_create(
    ngx_peer_connection_t *pc, fcng_pool_options *options);
static void ngx_http_fastcgi_ng_pools_sweep(void);
static void ngx_http_fastcgi_ng_pool_timer(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_pool_look(ngx_http_fastcgi_ng_pool_t *pool);
static enum fcng_connect_cause ngx_http_fastcgi_ng_cause(ngx_err_t err);
static void ngx_http_fastcgi_ng_log_connect(ngx_http_fastcgi_ng_stream_t *st,
    ngx_err_t err);


static ngx_http_fastcgi_ng_pool_t  *ngx_http_fastcgi_ng_pools;
static ngx_uint_t                   ngx_http_fastcgi_ng_npools;

/* counts deletions: what locations remember of a pool ends with it */
static ngx_uint_t                   ngx_http_fastcgi_ng_generation = 1;


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


static ngx_int_t
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

static ngx_int_t
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
    ngx_http_fastcgi_ng_link_t  *link;
    ngx_http_fastcgi_ng_pool_t  *pool;

    link = st->link;
    pool = st->pool;

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

    ngx_http_fastcgi_ng_stream_ready(st, link);

    if (link->mux) {
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
    st->counted = 0;
    st->state = NGX_HTTP_FASTCGI_NG_WAITING;

    fcng_pool_count(st->pool->fcng, FCNG_COUNT_STALE);

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


/* pools */

static ngx_uint_t
ngx_http_fastcgi_ng_same_options(fcng_pool_options *a, fcng_pool_options *b)
{
    return a == b
           || (a->max_connections == b->max_connections
               && a->max_queue == b->max_queue
               && a->queue_timeout_us == b->queue_timeout_us
               && a->max_idle == b->max_idle
               && a->idle_timeout_us == b->idle_timeout_us
               && a->min_idle == b->min_idle
               && a->max_requests == b->max_requests
               && a->max_lifetime_us == b->max_lifetime_us
               && a->multiplex == b->multiplex
               && a->max_streams == b->max_streams
               && a->stream_buffer == b->stream_buffer
               && a->split_large_params == b->split_large_params);
}


static ngx_uint_t
ngx_http_fastcgi_ng_pool_is(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_peer_connection_t *pc, fcng_pool_options *options)
{
    if (pool->socklen != pc->socklen
        || ngx_memcmp(&pool->sockaddr, pc->sockaddr, pc->socklen) != 0
        || !ngx_http_fastcgi_ng_same_options(&pool->options, options)
        || pool->so_keepalive != pc->so_keepalive)
    {
        return 0;
    }

    if (pool->local == NULL || pc->local == NULL) {
        return pool->local == NULL && pc->local == NULL;
    }

    return pool->transparent == pc->transparent
           && pool->local_addr.socklen == pc->local->socklen
           && ngx_memcmp(&pool->local_sockaddr, pc->local->sockaddr,
                         pc->local->socklen) == 0;
}


ngx_http_fastcgi_ng_pool_t *
ngx_http_fastcgi_ng_pool_find(ngx_http_fastcgi_ng_loc_conf_t *conf,
    ngx_peer_connection_t *pc, fcng_pool_options *options)
{
    ngx_http_fastcgi_ng_pool_t  *pool;

    if (conf->generation == ngx_http_fastcgi_ng_generation
        && ngx_http_fastcgi_ng_pool_is(conf->last_pool, pc, options))
    {
        return conf->last_pool;
    }

    for (pool = ngx_http_fastcgi_ng_pools; pool; pool = pool->next) {
        if (ngx_http_fastcgi_ng_pool_is(pool, pc, options)) {
            break;
        }
    }

    if (pool == NULL) {
        if (ngx_http_fastcgi_ng_npools >= NGX_HTTP_FASTCGI_NG_POOLS_MAX) {
            ngx_http_fastcgi_ng_pools_sweep();
        }

        pool = ngx_http_fastcgi_ng_pool_create(pc, options);
        if (pool == NULL) {
            return NULL;
        }
    }

    conf->last_pool = pool;
    conf->generation = ngx_http_fastcgi_ng_generation;

    return pool;
}


static ngx_http_fastcgi_ng_pool_t *
ngx_http_fastcgi_ng_pool_create(ngx_peer_connection_t *pc,
    fcng_pool_options *options)
{
    ngx_log_t                   *log;
    ngx_http_fastcgi_ng_pool_t  *pool;

    log = ngx_cycle->log;

    if (pc->socklen > sizeof(ngx_sockaddr_t)) {
        return NULL;
    }

    pool = ngx_calloc(sizeof(ngx_http_fastcgi_ng_pool_t) + pc->name->len
                      + (pc->local ? pc->local->name.len : 0), log);
    if (pool == NULL) {
        return NULL;
    }

    pool->fcng = fcng_pool_new(NULL, options);
    if (pool->fcng == NULL) {
        ngx_free(pool);
        return NULL;
    }

    pool->seat = ngx_http_fastcgi_ng_shared_attach(pc->sockaddr, pc->socklen);
    fcng_pool_share(pool->fcng, pool->seat);

    pool->options = *options;
    pool->keep_conn = options->max_idle > 0;
    pool->so_keepalive = pc->so_keepalive;
    pool->transparent = pc->transparent;

    pool->socklen = pc->socklen;
    ngx_memcpy(&pool->sockaddr, pc->sockaddr, pc->socklen);

    pool->name.len = pc->name->len;
    pool->name.data = (u_char *) pool + sizeof(ngx_http_fastcgi_ng_pool_t);
    ngx_memcpy(pool->name.data, pc->name->data, pc->name->len);

    if (pc->local) {
        ngx_memcpy(&pool->local_sockaddr, pc->local->sockaddr,
                   pc->local->socklen);
        pool->local_addr.sockaddr = &pool->local_sockaddr.sockaddr;
        pool->local_addr.socklen = pc->local->socklen;
        pool->local_addr.name.len = pc->local->name.len;
        pool->local_addr.name.data = pool->name.data + pool->name.len;
        ngx_memcpy(pool->local_addr.name.data, pc->local->name.data,
                   pc->local->name.len);
        pool->local = &pool->local_addr;
    }

    /* an event with a timer needs a connection to point at */
    pool->ident.fd = (ngx_socket_t) -1;

    pool->timer.data = &pool->ident;
    pool->ident.data = pool;
    pool->timer.log = log;
    pool->timer.handler = ngx_http_fastcgi_ng_pool_timer;
    pool->timer.cancelable = 1;

    fcng_outage_init(&pool->outage);

    pool->next = ngx_http_fastcgi_ng_pools;
    ngx_http_fastcgi_ng_pools = pool;
    ngx_http_fastcgi_ng_npools++;

    return pool;
}


static void
ngx_http_fastcgi_ng_pool_delete(ngx_http_fastcgi_ng_pool_t *pool)
{
    if (pool->timer.timer_set) {
        /* at exit too: nginx's resolver deletes its own after us */
        ngx_del_timer(&pool->timer);
    }

    fcng_pool_del(pool->fcng);
    fcng_share_detach(pool->seat);
    ngx_free(pool);
}


/* exit_process: every link is closed */

void
ngx_http_fastcgi_ng_pools_delete(void)
{
    ngx_http_fastcgi_ng_pool_t  *pool;

    while (ngx_http_fastcgi_ng_pools) {
        pool = ngx_http_fastcgi_ng_pools;
        ngx_http_fastcgi_ng_pools = pool->next;

        ngx_http_fastcgi_ng_pool_delete(pool);
    }
}


static void
ngx_http_fastcgi_ng_pools_sweep(void)
{
    fcng_pool_counts             counts;
    ngx_http_fastcgi_ng_pool_t  *pool, **where;

    where = &ngx_http_fastcgi_ng_pools;

    while (*where) {
        pool = *where;
        fcng_pool_get_counts(pool->fcng, &counts);

        /* a stream outlives its connection: nginx has its response */

        if (counts.connections || counts.waiting || pool->nstreams
            || pool->running || pool->asking || pool->options.min_idle)
        {
            where = &pool->next;
            continue;
        }

        *where = pool->next;

        ngx_http_fastcgi_ng_pool_delete(pool);

        ngx_http_fastcgi_ng_npools--;
    }

    ngx_http_fastcgi_ng_generation++;
}


/* The request leaves; on a new connection the yield rule has a deadline. */

void
ngx_http_fastcgi_ng_pool_started(ngx_http_fastcgi_ng_stream_t *st)
{
    st->started = ngx_current_msec;

    fcng_pool_started(st->pool->fcng, &st->link->conn,
                      ngx_http_fastcgi_ng_now());

    if (!st->ctx->reused) {
        ngx_http_fastcgi_ng_pool_schedule(st->pool);
    }
}


/* Something has changed: whoever waits may go on. */

void
ngx_http_fastcgi_ng_pool_run(ngx_http_fastcgi_ng_pool_t *pool)
{
    fcng_pool_conn                *conn;
    fcng_pool_wait                *wait;
    enum fcng_pool_verdict         verdict;
    ngx_http_fastcgi_ng_stream_t  *st;

    if (pool->running) {
        return;
    }

    pool->running = 1;

    for ( ;; ) {
        verdict = fcng_pool_next(pool->fcng, ngx_http_fastcgi_ng_now(), &wait,
                                 &conn);
        if (verdict == FCNG_POOL_WAIT) {
            break;
        }

        st = wait->data;
        st->ctx->queue_time = ngx_current_msec - st->start;

        if (verdict == FCNG_POOL_USE) {
            (void) ngx_http_fastcgi_ng_use(st, conn);

        } else if (verdict == FCNG_POOL_OPEN) {
            if (conn) {
                ngx_http_fastcgi_ng_link_close(conn->data);
            }

            st->reserved = 1;
            ngx_http_fastcgi_ng_go_on(st, ngx_http_fastcgi_ng_open(st));

        } else {
            ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                          "%s: no connection to %V became free in time "
                          "(fastcgi_ng_pool max_connections=%uD "
                          "queue_timeout=%uLms)",
                          fcng_msg_tag(FCNG_MSG_QUEUE), &pool->name,
                          pool->options.max_connections,
                          pool->options.queue_timeout_us / 1000);

            ngx_http_fastcgi_ng_stream_refuse(st,
                                              NGX_HTTP_SERVICE_UNAVAILABLE);
        }
    }

    pool->running = 0;

    ngx_http_fastcgi_ng_pool_schedule(pool);
}


/*
 * The timer is set anew only for an earlier moment; when it comes too early it
 * is set again.  So connections in steady use cost no timer operation.
 */

void
ngx_http_fastcgi_ng_pool_schedule(ngx_http_fastcgi_ng_pool_t *pool)
{
    uint64_t          at, now;
    ngx_msec_t        wait;
    fcng_pool_counts  counts;

    at = fcng_pool_deadline(pool->fcng);

    if (at == FCNG_NEVER) {
        return;
    }

    /* a worker that ends serves first whoever waits */

    fcng_pool_get_counts(pool->fcng, &counts);
    pool->timer.cancelable = counts.waiting == 0;

    now = ngx_http_fastcgi_ng_now();
    wait = at > now ? (ngx_msec_t) ((at - now + 999) / 1000) : 1;

    if (pool->timer.timer_set) {
        if ((ngx_msec_int_t) (pool->timer.timer.key - ngx_current_msec - wait)
            <= 0)
        {
            return;
        }

        ngx_del_timer(&pool->timer);
    }

    ngx_add_timer(&pool->timer, wait);
}


static void
ngx_http_fastcgi_ng_pool_timer(ngx_event_t *ev)
{
    ngx_connection_t  *ident;

    ident = ev->data;

    ngx_http_fastcgi_ng_pool_look(ident->data);
}


/* Another worker has given something up, or wants something. */

void
ngx_http_fastcgi_ng_pools_run(void)
{
    ngx_http_fastcgi_ng_pool_t  *pool;

    for (pool = ngx_http_fastcgi_ng_pools; pool; pool = pool->next) {
        ngx_http_fastcgi_ng_pool_look(pool);
    }
}


static void
ngx_http_fastcgi_ng_pool_look(ngx_http_fastcgi_ng_pool_t *pool)
{
    fcng_pool_conn  *conn;

    for ( ;; ) {
        conn = fcng_pool_expire(pool->fcng, ngx_http_fastcgi_ng_now());
        if (conn == NULL) {
            break;
        }

        ngx_http_fastcgi_ng_link_close(conn->data);
    }

    ngx_http_fastcgi_ng_ahead(pool);

    ngx_http_fastcgi_ng_pool_run(pool);
}


/* what the operator reads */

static enum fcng_connect_cause
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


static void
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
