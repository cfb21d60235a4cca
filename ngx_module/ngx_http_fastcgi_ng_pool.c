/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of this worker: the links to each address, who waits for one, and
 * the timer that looks after both.  Which link a request gets is in peer.c.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* Unused addresses (names and variables change) are forgotten above this. */
#define NGX_HTTP_FASTCGI_NG_POOLS_MAX    128


static ngx_http_fastcgi_ng_pool_t *ngx_http_fastcgi_ng_pool_create(
    ngx_peer_connection_t *pc, fcng_pool_options *options);
static void ngx_http_fastcgi_ng_pools_sweep(void);
static void ngx_http_fastcgi_ng_pool_timer(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_pool_look(ngx_http_fastcgi_ng_pool_t *pool);


static ngx_http_fastcgi_ng_pool_t  *ngx_http_fastcgi_ng_pools;
static ngx_uint_t                   ngx_http_fastcgi_ng_npools;

/* counts deletions: what locations remember of a pool ends with it */
static ngx_uint_t                   ngx_http_fastcgi_ng_generation = 1;


static ngx_uint_t
ngx_http_fastcgi_ng_pool_is(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_peer_connection_t *pc, fcng_pool_options *options)
{
    if (pool->socklen != pc->socklen
        || ngx_memcmp(&pool->sockaddr, pc->sockaddr, pc->socklen) != 0
        || !fcng_pool_options_equal(&pool->options, options)
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
