/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking nginx's balancer for a server.
 *
 * Two things that it does not do by itself: a server whose connections are all
 * in use (max_connections) is passed over while others have room, and when
 * all servers are at their max_conns a request waits until one of them is free
 * instead of being refused.  Neither is a failure of any server.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* How often a request looks whether another worker has freed a server. */
#define NGX_HTTP_FASTCGI_NG_LOOK  100


static ngx_int_t ngx_http_fastcgi_ng_ask(ngx_http_fastcgi_ng_stream_t *st);
static ngx_int_t ngx_http_fastcgi_ng_pass_over(
    ngx_http_fastcgi_ng_stream_t *st);
static ngx_uint_t ngx_http_fastcgi_ng_will_be_free(
    ngx_http_fastcgi_ng_ctx_t *ctx);
static ngx_int_t ngx_http_fastcgi_ng_wait(ngx_http_fastcgi_ng_stream_t *st);
static void ngx_http_fastcgi_ng_look_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_schedule_look(
    ngx_http_fastcgi_ng_srv_conf_t *scf);


/* What stands in the upstream{} block; NULL: there is none. */

static ngx_http_fastcgi_ng_srv_conf_t *
ngx_http_fastcgi_ng_block(ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_http_upstream_srv_conf_t  *us;

    us = ctx->upstream->original;

    return us && us->srv_conf
           ? ngx_http_conf_upstream_srv_conf(us, ngx_http_fastcgi_ng_module)
           : NULL;
}


/* As peer.get: a server, and of its connections one. */

ngx_int_t
ngx_http_fastcgi_ng_choose(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t                        rc;
    ngx_peer_connection_t           *pc;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ctx = st->ctx;
    pc = &st->request->upstream->peer;
    scf = ngx_http_fastcgi_ng_block(ctx);

    if (scf && scf->nwaiting && !st->called && ctx->attempts == 0) {
        /* nobody overtakes those who wait */
        return ngx_http_fastcgi_ng_wait(st);
    }

    rc = ngx_http_fastcgi_ng_ask(st);

    if (rc == NGX_OK && ctx->attempts == 0 && pc->tries > 1
        && !fcng_pool_can_start(st->pool->fcng))
    {
        rc = ngx_http_fastcgi_ng_pass_over(st);
    }

    if (rc == NGX_BUSY && ctx->attempts == 0
        && ngx_http_fastcgi_ng_will_be_free(ctx))
    {
        return ngx_http_fastcgi_ng_wait(st);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->attempts++ > 0 && !ctx->was_stale) {
        fcng_pool_count(st->pool->fcng, FCNG_COUNT_RETRIED);
    }

    return ngx_http_fastcgi_ng_acquire(st);
}


static ngx_int_t
ngx_http_fastcgi_ng_ask(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t                        rc;
    ngx_http_upstream_t             *u;
    ngx_peer_connection_t           *pc;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ctx = st->ctx;
    u = st->request->upstream;
    pc = &u->peer;

    rc = ctx->inner_get(pc, ctx->inner_data);

    if (rc != NGX_OK) {
        /* "keepalive" has nothing of ours, so this is no connection */
        return rc == NGX_BUSY ? NGX_BUSY : NGX_ERROR;
    }

    ctx->inner_used = 1;
    pc->connection = &st->connection;

    scf = ngx_http_fastcgi_ng_block(ctx);

    if (scf) {
        scf->active++;
    }

    if (u->state) {
        u->state->peer = pc->name;
    }

    if (st->pool) {
        st->pool->nstreams--;
    }

    st->pool = ngx_http_fastcgi_ng_pool_find(st->conf, pc,
                                             ctx->upstream->pool);
    if (st->pool == NULL) {
        return NGX_ERROR;
    }

    st->pool->nstreams++;

    ctx->pool_name = ctx->upstream->original
                     && (ctx->upstream->original->flags
                         & NGX_HTTP_UPSTREAM_CREATE)
                     ? &ctx->upstream->original->host : pc->name;

    return NGX_OK;
}


/* Gives the server back to the balancer. */

void
ngx_http_fastcgi_ng_free_server(ngx_peer_connection_t *pc,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_uint_t state)
{
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ctx->inner_used = 0;
    ctx->inner_free(pc, ctx->inner_data, state);

    scf = ngx_http_fastcgi_ng_block(ctx);

    if (scf == NULL) {
        return;
    }

    scf->active--;

    if (scf->nwaiting) {
        ngx_post_event(&scf->look, &ngx_posted_events);
    }
}


/*
 * The server that was chosen has no free connection: the others are asked.
 * When none has one the balancer begins anew, so that all servers are there
 * to be tried later, and the request waits for the one that it names.
 */

static ngx_int_t
ngx_http_fastcgi_ng_pass_over(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_peer_connection_t      *pc;
    ngx_http_upstream_conf_t   *conf;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;
    r = st->request;
    pc = &r->upstream->peer;
    conf = r->upstream->conf;

    do {
        ngx_http_fastcgi_ng_free_server(pc, ctx, 0);

        rc = pc->tries ? ngx_http_fastcgi_ng_ask(st) : NGX_BUSY;

        if (rc == NGX_OK && fcng_pool_can_start(st->pool->fcng)) {
            return NGX_OK;
        }

    } while (rc == NGX_OK);

    if (rc == NGX_ERROR || ctx->upstream->original == NULL) {
        return rc;
    }

    if (ctx->upstream->original->peer.init(r, ctx->upstream->original)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_wrap_peer(r, ctx);

    if (conf->next_upstream_tries && pc->tries > conf->next_upstream_tries) {
        pc->tries = conf->next_upstream_tries;
    }

    return ngx_http_fastcgi_ng_ask(st);
}


/* max_conns */

/*
 * Whether no server could be had because of max_conns, which passes, or
 * because all have failed.  Without a zone only this worker's requests count.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_will_be_free(ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_uint_t                      i, limited;
    ngx_http_upstream_server_t     *server;
    ngx_http_upstream_srv_conf_t   *us;
#if (NGX_HTTP_UPSTREAM_ZONE)
    ngx_http_upstream_rr_peer_t    *peer;
    ngx_http_upstream_rr_peers_t   *peers, *each;
#endif

    us = ctx->upstream->original;

    if (ngx_http_fastcgi_ng_block(ctx) == NULL || us->servers == NULL) {
        return 0;
    }

    server = us->servers->elts;

    for (i = 0, limited = 0; i < us->servers->nelts; i++) {
        limited |= server[i].max_conns;
    }

    if (limited == 0) {
        return 0;
    }

#if (NGX_HTTP_UPSTREAM_ZONE)

    if (us->shm_zone) {
        peers = us->peer.data;
        limited = 0;

        ngx_http_upstream_rr_peers_rlock(peers);

        for (each = peers; each; each = each->next) {
            for (peer = each->peer; peer; peer = peer->next) {
                limited |= !peer->down && peer->max_conns
                           && peer->conns >= peer->max_conns;
            }
        }

        ngx_http_upstream_rr_peers_unlock(peers);

        return limited;
    }

#endif

    return ngx_http_fastcgi_ng_block(ctx)->active > 0;
}


static ngx_int_t
ngx_http_fastcgi_ng_wait(ngx_http_fastcgi_ng_stream_t *st)
{
    static struct sockaddr           placeholder;

    ngx_peer_connection_t           *pc;
    fcng_pool_options               *options;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ctx = st->ctx;
    pc = &st->request->upstream->peer;
    scf = ngx_http_fastcgi_ng_block(ctx);
    options = ctx->upstream->pool;

    pc->connection = &st->connection;
    pc->sockaddr = &placeholder;
    pc->socklen = sizeof(struct sockaddr);
    pc->name = &ctx->upstream->original->host;

    ctx->pool_name = pc->name;
    ctx->queued = 1;

    if (!st->called && scf->nwaiting >= options->max_queue) {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: all servers of upstream \"%V\" are at their "
                      "max_conns and the queue is full (fastcgi_ng_pool "
                      "max_queue=%uD)", fcng_msg_tag(FCNG_MSG_QUEUE),
                      pc->name, options->max_queue);

        ngx_http_fastcgi_ng_stream_refuse(st, NGX_HTTP_SERVICE_UNAVAILABLE);
        return NGX_DONE;
    }

    st->state = NGX_HTTP_FASTCGI_NG_WAITING;
    st->waiting = 1;
    scf->nwaiting++;

    if (scf->waiting.prev == NULL) {
        ngx_queue_init(&scf->waiting);
    }

    if (st->called) {
        /* it was the first, and was called too early */
        ngx_queue_insert_head(&scf->waiting, &st->queue);

    } else {
        ngx_queue_insert_tail(&scf->waiting, &st->queue);
    }

    ngx_http_fastcgi_ng_schedule_look(scf);

    return NGX_AGAIN;
}


/* It waits no longer: called, or gone. */

void
ngx_http_fastcgi_ng_wait_over(ngx_http_fastcgi_ng_stream_t *st)
{
    if (!st->waiting) {
        return;
    }

    st->waiting = 0;
    ngx_queue_remove(&st->queue);

    ngx_http_fastcgi_ng_block(st->ctx)->nwaiting--;
}


static void
ngx_http_fastcgi_ng_schedule_look(ngx_http_fastcgi_ng_srv_conf_t *scf)
{
    /* an event with a timer needs a connection to point at */

    scf->ident.fd = (ngx_socket_t) -1;
    scf->ident.data = scf;

    scf->look.data = &scf->ident;
    scf->look.log = ngx_cycle->log;
    scf->look.handler = ngx_http_fastcgi_ng_look_handler;

    if (!scf->look.timer_set) {
        ngx_add_timer(&scf->look, NGX_HTTP_FASTCGI_NG_LOOK);
    }
}


static void
ngx_http_fastcgi_ng_look_handler(ngx_event_t *ev)
{
    ngx_msec_t                       waited;
    ngx_queue_t                     *q;
    fcng_pool_options               *options;
    ngx_connection_t                *ident;
    ngx_http_fastcgi_ng_stream_t    *st;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ident = ev->data;
    scf = ident->data;

    while (scf->nwaiting) {

        q = ngx_queue_head(&scf->waiting);
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, queue);

        ngx_http_fastcgi_ng_wait_over(st);

        options = st->ctx->upstream->pool;
        waited = ngx_current_msec - st->start;
        st->ctx->queue_time = waited;

        if ((uint64_t) waited * 1000 >= options->queue_timeout_us) {
            ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                          "%s: no server of upstream \"%V\" became free in "
                          "time (max_conns, fastcgi_ng_pool "
                          "queue_timeout=%uLms)",
                          fcng_msg_tag(FCNG_MSG_QUEUE), st->ctx->pool_name,
                          options->queue_timeout_us / 1000);

            ngx_http_fastcgi_ng_stream_refuse(st,
                                              NGX_HTTP_SERVICE_UNAVAILABLE);
            continue;
        }

        st->called = 1;

        ngx_http_fastcgi_ng_go_on(st, ngx_http_fastcgi_ng_choose(st));

        if (st->waiting) {
            break;
        }
    }

    if (scf->nwaiting) {
        ngx_http_fastcgi_ng_schedule_look(scf);
    }
}
