/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A link that several requests share.
 *
 * What the events of one turn of the event loop submit leaves in one writev
 * behind them.  How it is read is in mux_read.c.
 *
 * While bytes become events (|guard|), streams may leave, but the link stays:
 * what follows from that is done in mux_settle(), the only place that gives
 * requests back to the pool and closes the link.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The end of a request that nobody reads any more: so much, so long, and no
   longer than a read may take. */
#define NGX_HTTP_FASTCGI_NG_ORPHAN_MAX   262144
#define NGX_HTTP_FASTCGI_NG_ORPHAN_TIME  5000

/* How often it is looked whether nginx has taken what it did not before. */
#define NGX_HTTP_FASTCGI_NG_PAUSE_STEP   10

/* A timer that was set by what came may fire so much early. */
#define NGX_HTTP_FASTCGI_NG_SLACK        50


/* A request whose client has all it wants; END_REQUEST is awaited. */
typedef struct {
    ngx_queue_t                      queue;
    fcng_request                    *fcng;
    size_t                           received;
    ngx_msec_t                       wait;
    ngx_msec_t                       until;
} ngx_http_fastcgi_ng_orphan_t;


static void ngx_http_fastcgi_ng_mux_unpost(ngx_http_fastcgi_ng_mux_t *mux);
static void ngx_http_fastcgi_ng_mux_flush_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_mux_timer_handler(ngx_event_t *ev);


/* a link's life */

ngx_int_t
ngx_http_fastcgi_ng_mux_create(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_http_fastcgi_ng_mux_t  *mux;

    if (ngx_http_fastcgi_ng_mux_scratch() != NGX_OK) {
        return NGX_ERROR;
    }

    mux = ngx_calloc(sizeof(ngx_http_fastcgi_ng_mux_t), ngx_cycle->log);
    if (mux == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&mux->streams);
    ngx_queue_init(&mux->unsent);
    ngx_queue_init(&mux->orphans);

    mux->heard = ngx_current_msec;

    mux->flush.data = link->connection;
    mux->flush.log = ngx_cycle->log;
    mux->flush.handler = ngx_http_fastcgi_ng_mux_flush_handler;

    mux->depart = mux->flush;

    mux->timer.data = link->connection;
    mux->timer.log = ngx_cycle->log;
    mux->timer.handler = ngx_http_fastcgi_ng_mux_timer_handler;
    mux->timer.cancelable = 1;

    link->mux = mux;

    return NGX_OK;
}


/* The link is closed; at exit it may still have streams. */

void
ngx_http_fastcgi_ng_mux_free(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_queue_t                *q;
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = link->mux;

    ngx_http_fastcgi_ng_mux_unpost(mux);

    if (mux->timer.timer_set) {
        ngx_del_timer(&mux->timer);
    }

    while (!ngx_queue_empty(&mux->orphans)) {
        q = ngx_queue_head(&mux->orphans);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_fastcgi_ng_orphan_t, queue));
    }

    ngx_free(mux);
    link->mux = NULL;
}


void
ngx_http_fastcgi_ng_mux_exit(void)
{
    ngx_http_fastcgi_ng_blocks_free();
    ngx_http_fastcgi_ng_mux_scratch_free();
}


/* streams come and go */

void
ngx_http_fastcgi_ng_mux_attach(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = link->mux;

    mux->nstreams++;
    ngx_queue_insert_tail(&mux->streams, &st->member);

    link->stream = NULL;
    link->connection->log = ngx_cycle->log;

    st->shared = 1;
    st->blocked = 0;
    st->unsent = 0;
}


/*
 * The request is submitted.  Those that events bring leave right behind these,
 * from the queue of accept() events: posted events pass large responses on, and
 * these requests would wait for them.  Those that posted events bring (HTTP/2
 * runs its streams there, an authorizer's answer lets requests go on) leave
 * behind what was posted before the first of them.
 */

void
ngx_http_fastcgi_ng_mux_submitted(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = st->link->mux;

    fcng_request_set_direct(st->fcng, true);

    st->unsent = 1;
    ngx_queue_insert_tail(&mux->unsent, &st->sending);

    ngx_post_event(&mux->depart, &ngx_posted_accept_events);
    ngx_post_event(&mux->flush, &ngx_posted_events);
}


static void
ngx_http_fastcgi_ng_mux_forget(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_queue_remove(&st->member);

    if (st->unsent) {
        st->unsent = 0;
        ngx_queue_remove(&st->sending);
    }

    if (st->overrun) {
        st->overrun = 0;
        st->link->mux->noverruns--;
        ngx_post_event(st->link->connection->read, &ngx_posted_events);
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_mux_orphan(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st, fcng_request *fcng)
{
    ngx_http_fastcgi_ng_orphan_t  *orphan;

    orphan = ngx_alloc(sizeof(ngx_http_fastcgi_ng_orphan_t), ngx_cycle->log);
    if (orphan == NULL) {
        return NGX_ERROR;
    }

    orphan->fcng = fcng;
    orphan->received = 0;
    orphan->wait = ngx_min(NGX_HTTP_FASTCGI_NG_ORPHAN_TIME,
                           st->request->upstream->conf->read_timeout);
    orphan->until = ngx_current_msec + orphan->wait;

    fcng_request_set_user(fcng, NULL);
    fcng_request_consumed(fcng, fcng_request_held(fcng));

    ngx_queue_insert_tail(&link->mux->orphans, &orphan->queue);

    return NGX_OK;
}


/*
 * A request has timed out, and as long nothing came at all: other requests
 * would wait for nothing, too.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_mux_is_silent(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_msec_t                 limit;
    ngx_http_upstream_conf_t  *conf;

    conf = st->request->upstream->conf;

    if (st->read.timedout) {
        limit = conf->read_timeout;

    } else if (st->write.timedout) {
        limit = conf->send_timeout;

    } else {
        return 0;
    }

    return ngx_current_msec - link->mux->heard + NGX_HTTP_FASTCGI_NG_SLACK
           >= limit;
}


/* The stream leaves its link: the request is over, to be drained or
   cancelled. */

void
ngx_http_fastcgi_ng_mux_detach(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st, fcng_request *fcng, ngx_uint_t drain)
{
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = link->mux;

    st->link = link;
    ngx_http_fastcgi_ng_mux_forget(st);
    st->link = NULL;

    if (fcng && drain && !mux->deaf && !mux->dead
        && ngx_http_fastcgi_ng_mux_orphan(link, st, fcng) == NGX_OK)
    {
        ngx_http_fastcgi_ng_mux_settle(link);
        return;
    }

    if (fcng) {
        mux->silent |= ngx_http_fastcgi_ng_mux_is_silent(link, st);

        /* before its end this is a cancel */
        fcng_conn_expire(link->fcng, ngx_http_fastcgi_ng_now());
        fcng_request_release(fcng);

        if (fcng_conn_wants_write(link->fcng)) {
            ngx_post_event(&mux->flush, &ngx_posted_events);
        }
    }

    mux->over++;

    ngx_http_fastcgi_ng_mux_settle(link);
}


/* Requests that were to be sent on the link go elsewhere. */

void
ngx_http_fastcgi_ng_mux_evict(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_queue_t                   *q, *next;
    ngx_http_fastcgi_ng_stream_t  *st;

    for (q = ngx_queue_head(&link->mux->streams);
         q != ngx_queue_sentinel(&link->mux->streams);
         q = next)
    {
        next = ngx_queue_next(q);
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, member);

        if (st->fcng) {
            continue;
        }

        ngx_http_fastcgi_ng_mux_forget(st);
        link->mux->over++;

        ngx_http_fastcgi_ng_pool_moved(st);
    }
}


void
ngx_http_fastcgi_ng_mux_judge(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_http_fastcgi_ng_pool_t  *pool;

    pool = link->pool;

    if (!fcng_pool_judge(pool->fcng, &link->conn, link->fcng,
                         ngx_http_fastcgi_ng_now()))
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "%s: the application at %V does not multiplex, though %s: "
                  "its connections are not shared from now on",
                  fcng_msg_tag(FCNG_MSG_MULTIPLEX), &pool->name,
                  pool->options.multiplex == FCNG_MULTIPLEX_ON
                  ? "\"multiplex=on\" says so"
                  : "it answered FCGI_MPXS_CONNS=1");
}


static void
ngx_http_fastcgi_ng_mux_schedule(ngx_http_fastcgi_ng_link_t *link)
{
    uint64_t                       at, now;
    ngx_msec_t                     wait;
    ngx_queue_t                   *q;
    ngx_http_fastcgi_ng_mux_t     *mux;
    ngx_http_fastcgi_ng_orphan_t  *orphan;

    mux = link->mux;
    now = ngx_http_fastcgi_ng_now();
    at = fcng_conn_deadline(link->fcng);

    for (q = ngx_queue_head(&mux->orphans);
         q != ngx_queue_sentinel(&mux->orphans);
         q = ngx_queue_next(q))
    {
        orphan = ngx_queue_data(q, ngx_http_fastcgi_ng_orphan_t, queue);
        at = ngx_min(at, (uint64_t) orphan->until * 1000);
    }

    if (mux->noverruns) {
        at = ngx_min(at, now + NGX_HTTP_FASTCGI_NG_PAUSE_STEP * 1000);
    }

    if (at == FCNG_NEVER) {
        return;
    }

    /* an early timer does no harm, it sets itself again */

    wait = at > now ? (ngx_msec_t) ((at - now + 999) / 1000) : 1;

    if (mux->timer.timer_set) {
        if ((ngx_msec_int_t) (mux->timer.timer.key - ngx_current_msec - wait)
            <= 0)
        {
            return;
        }

        ngx_del_timer(&mux->timer);
    }

    ngx_add_timer(&mux->timer, wait);
}


/* What follows from what has happened on the link, which may end here. */

void
ngx_http_fastcgi_ng_mux_settle(ngx_http_fastcgi_ng_link_t *link)
{
    bool                         kept;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_mux_t   *mux;
    ngx_http_fastcgi_ng_pool_t  *pool;

    c = link->connection;
    mux = link->mux;
    pool = link->pool;

    if (mux->guard) {
        return;
    }

    ngx_http_fastcgi_ng_mux_judge(link);

    if (mux->dead) {
        /* the pool has forgotten it */
        ngx_http_fastcgi_ng_link_close(link);
        ngx_http_fastcgi_ng_pool_run(pool);
        return;
    }

    fcng_pool_set_zombies(pool->fcng, &link->conn,
                          fcng_conn_zombies(link->fcng));

    if (!mux->retired
        && (fcng_conn_retired(link->fcng) || mux->deaf || mux->silent))
    {
        mux->retired = 1;
        fcng_pool_retire(pool->fcng, &link->conn);
        ngx_http_fastcgi_ng_mux_evict(link);
    }

    kept = !mux->retired || mux->nstreams;

    while (mux->over) {
        mux->over--;
        mux->nstreams--;

        kept = fcng_pool_release(pool->fcng, &link->conn,
                                 !mux->retired && !ngx_exiting
                                 && !ngx_terminate,
                                 ngx_http_fastcgi_ng_now());
        c->idle = kept && mux->nstreams == 0;
        mux->delivered &= mux->nstreams != 0;
    }

    if (!kept) {
        if (c->idle) {
            /* it was idle, and has been retired */
            fcng_pool_remove(pool->fcng, &link->conn);
        }

        ngx_http_fastcgi_ng_link_close(link);

    } else {
        ngx_http_fastcgi_ng_mux_schedule(link);
    }

    ngx_http_fastcgi_ng_pool_run(pool);
}


/* the way out */

/* The request has left, without nginx having had to do with it. */

static void
ngx_http_fastcgi_ng_mux_sent(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_upstream_t  *u;

    st->unsent = 0;
    ngx_queue_remove(&st->sending);

    if (!st->early) {
        return;
    }

    st->early = 0;

    u = st->request->upstream;

    u->request_sent = 1;
    u->request_body_sent = 1;

    ngx_http_fastcgi_ng_stream_sent(st);

    ngx_http_fastcgi_ng_patience_begin(st);
}


/* Writes what there is.  NGX_ERROR: the link is of no more use for that. */

ngx_int_t
ngx_http_fastcgi_ng_mux_write(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_int_t                      rc;
    ngx_queue_t                   *q;
    ngx_http_fastcgi_ng_mux_t     *mux;
    ngx_http_fastcgi_ng_stream_t  *st;

    mux = link->mux;

    if (mux->deaf || mux->dead) {
        return NGX_ERROR;
    }

    rc = ngx_http_fastcgi_ng_link_write(link, link->connection->log);

    while (!ngx_queue_empty(&mux->unsent)) {
        q = ngx_queue_head(&mux->unsent);
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, sending);

        if (!fcng_request_started(st->fcng)) {
            break;
        }

        ngx_http_fastcgi_ng_mux_sent(st);
    }

    if (rc == NGX_ERROR) {
        /* what it has answered so far is read first */
        mux->deaf = 1;
        link->connection->read->ready = 1;
        ngx_post_event(link->connection->read, &ngx_posted_events);
    }

    if (rc != NGX_AGAIN) {
        return rc;
    }

    for (q = ngx_queue_head(&mux->unsent);
         q != ngx_queue_sentinel(&mux->unsent);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, sending);

        if (st->early && !st->write.timer_set) {
            ngx_add_timer(&st->write,
                          st->request->upstream->conf->send_timeout);
        }
    }

    return NGX_AGAIN;
}


/* There is room: whoever has more of a body goes on. */

static void
ngx_http_fastcgi_ng_mux_wake(ngx_http_fastcgi_ng_mux_t *mux)
{
    ngx_queue_t                   *q;
    ngx_http_fastcgi_ng_stream_t  *st;

    for (q = ngx_queue_head(&mux->streams);
         q != ngx_queue_sentinel(&mux->streams);
         q = ngx_queue_next(q))
    {
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, member);

        if (st->blocked) {
            st->blocked = 0;
            ngx_http_fastcgi_ng_stream_wake_write(st);
        }
    }

    mux->blocked = 0;
}


static void
ngx_http_fastcgi_ng_mux_push(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = link->mux;

    mux->guard++;

    if (ngx_http_fastcgi_ng_mux_write(link) != NGX_AGAIN && mux->blocked) {
        ngx_http_fastcgi_ng_mux_wake(mux);
    }

    mux->guard--;

    if (mux->deaf && !mux->retired) {
        ngx_http_fastcgi_ng_mux_settle(link);
    }
}


static void
ngx_http_fastcgi_ng_mux_unpost(ngx_http_fastcgi_ng_mux_t *mux)
{
    if (mux->depart.posted) {
        ngx_delete_posted_event(&mux->depart);
    }

    if (mux->flush.posted) {
        ngx_delete_posted_event(&mux->flush);
    }
}


static void
ngx_http_fastcgi_ng_mux_flush_handler(ngx_event_t *ev)
{
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    c = ev->data;
    link = c->data;

    ngx_http_fastcgi_ng_mux_unpost(link->mux);
    ngx_http_fastcgi_ng_mux_push(link);
}


void
ngx_http_fastcgi_ng_mux_write_handler(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_event_t  *wev;

    wev = link->connection->write;

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        link->mux->deaf = 1;
    }

    ngx_http_fastcgi_ng_mux_push(link);
}


/* requests that nobody reads any more */

static ngx_http_fastcgi_ng_orphan_t *
ngx_http_fastcgi_ng_mux_find(ngx_http_fastcgi_ng_mux_t *mux,
    fcng_request *fcng)
{
    ngx_queue_t                   *q;
    ngx_http_fastcgi_ng_orphan_t  *orphan;

    for (q = ngx_queue_head(&mux->orphans);
         q != ngx_queue_sentinel(&mux->orphans);
         q = ngx_queue_next(q))
    {
        orphan = ngx_queue_data(q, ngx_http_fastcgi_ng_orphan_t, queue);

        if (orphan->fcng == fcng) {
            return orphan;
        }
    }

    return NULL;
}


/* Its end has come, or is awaited no longer. */

static void
ngx_http_fastcgi_ng_mux_bury(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_orphan_t *orphan)
{
    ngx_queue_remove(&orphan->queue);

    fcng_conn_expire(link->fcng, ngx_http_fastcgi_ng_now());
    fcng_request_release(orphan->fcng);
    ngx_free(orphan);

    link->mux->over++;

    if (fcng_conn_wants_write(link->fcng)) {
        ngx_post_event(&link->mux->flush, &ngx_posted_events);
    }
}


void
ngx_http_fastcgi_ng_mux_orphan_event(ngx_http_fastcgi_ng_link_t *link,
    fcng_event *ev)
{
    ngx_http_fastcgi_ng_orphan_t  *orphan;

    orphan = ngx_http_fastcgi_ng_mux_find(link->mux, ev->request);

    if (orphan == NULL) {
        return;
    }

    if (ev->type == FCNG_EV_STDOUT) {
        fcng_request_consumed(ev->request, ev->bytes.len);
        orphan->received += ev->bytes.len;
    }

    if (ev->type == FCNG_EV_END || ev->type == FCNG_EV_FAILED
        || orphan->received > NGX_HTTP_FASTCGI_NG_ORPHAN_MAX)
    {
        ngx_http_fastcgi_ng_mux_bury(link, orphan);
    }
}


static void
ngx_http_fastcgi_ng_mux_timer_handler(ngx_event_t *ev)
{
    ngx_queue_t                   *q, *next;
    ngx_connection_t              *c;
    ngx_http_fastcgi_ng_mux_t     *mux;
    ngx_http_fastcgi_ng_link_t    *link;
    ngx_http_fastcgi_ng_orphan_t  *orphan;

    c = ev->data;
    link = c->data;
    mux = link->mux;

    mux->guard++;

    for (q = ngx_queue_head(&mux->orphans);
         q != ngx_queue_sentinel(&mux->orphans);
         q = next)
    {
        next = ngx_queue_next(q);
        orphan = ngx_queue_data(q, ngx_http_fastcgi_ng_orphan_t, queue);

        if ((ngx_msec_int_t) (orphan->until - ngx_current_msec) > 0) {
            continue;
        }

        mux->silent |= ngx_current_msec - mux->heard
                       + NGX_HTTP_FASTCGI_NG_SLACK >= orphan->wait;

        ngx_http_fastcgi_ng_mux_bury(link, orphan);
    }

    fcng_conn_expire(link->fcng, ngx_http_fastcgi_ng_now());

    if (mux->noverruns) {
        ngx_post_event(c->read, &ngx_posted_events);
    }

    mux->guard--;

    ngx_http_fastcgi_ng_mux_settle(link);
}
