/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a link that several requests share is read.
 *
 * It is read whenever there is something, for whichever stream it is, into the
 * streams' own blocks; nginx takes it from there.  Nothing is ever read for
 * one stream alone, so a slow client holds nobody back: streams share links
 * only when nginx takes all that comes (into a temporary file, if need be).
 * One that does not is an overrun: the link waits for it for a moment, then
 * what comes for it goes into a temporary file of our own.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define NGX_HTTP_FASTCGI_NG_READ_SIZE    65536
#define NGX_HTTP_FASTCGI_NG_TURN         262144   /* bytes of one link */

/* So long a link is not read for a stream whose bytes nginx does not take. */
#define NGX_HTTP_FASTCGI_NG_PAUSE        20


static u_char  *ngx_http_fastcgi_ng_scratch;


ngx_int_t
ngx_http_fastcgi_ng_mux_scratch(void)
{
    if (ngx_http_fastcgi_ng_scratch == NULL) {
        ngx_http_fastcgi_ng_scratch = ngx_alloc(NGX_HTTP_FASTCGI_NG_READ_SIZE,
                                                ngx_cycle->log);
    }

    return ngx_http_fastcgi_ng_scratch ? NGX_OK : NGX_ERROR;
}


void
ngx_http_fastcgi_ng_mux_scratch_free(void)
{
    if (ngx_http_fastcgi_ng_scratch) {
        ngx_free(ngx_http_fastcgi_ng_scratch);
        ngx_http_fastcgi_ng_scratch = NULL;
    }
}


static void
ngx_http_fastcgi_ng_mux_overrun(ngx_http_fastcgi_ng_stream_t *st)
{
    if (!st->overrun) {
        st->overrun = 1;
        st->overrun_start = ngx_current_msec;
        st->link->mux->noverruns++;
    }
}


/*
 * nginx goes on with a request when the whole link has been read.  By then the
 * processor may have got back what has left its caches while the application
 * worked, one after the other instead of each when it is missed.
 */

static void
ngx_http_fastcgi_ng_mux_fetch(ngx_http_request_t *r)
{
#if (__GNUC__)
    size_t   i;
    u_char  *p;

    p = (u_char *) r->upstream;

    for (i = 0; i < sizeof(ngx_http_upstream_t); i += NGX_CPU_CACHE_LINE) {
        __builtin_prefetch(p + i);
    }

    p = (u_char *) r;

    for (i = 0; i < sizeof(ngx_http_request_t); i += NGX_CPU_CACHE_LINE) {
        __builtin_prefetch(p + i);
    }
#endif
}


static void
ngx_http_fastcgi_ng_mux_event(ngx_http_fastcgi_ng_link_t *link,
    fcng_event *ev)
{
    ngx_http_fastcgi_ng_mux_t     *mux;
    ngx_http_fastcgi_ng_stream_t  *st;

    mux = link->mux;

    if (ev->request == NULL) {
        return;
    }

    st = ev->user;

    if (st == NULL) {
        ngx_http_fastcgi_ng_mux_orphan_event(link, ev);
        return;
    }

    if (ev->type == FCNG_EV_OVERRUN) {
        ngx_http_fastcgi_ng_mux_overrun(st);
        return;
    }

    if (ev->type == FCNG_EV_FAILED) {
        st->blameless = mux->blamed;
        st->blamed = !mux->blamed;
        mux->blamed = 1;

    } else {
        mux->delivered = 1;
        mux->answered = 1;
    }

    if (ev->type == FCNG_EV_STDOUT) {

        if (st->received == 0) {
            ngx_http_fastcgi_ng_mux_fetch(st->request);
        }

        ngx_http_fastcgi_ng_stream_answered(st);
        st->received += ev->bytes.len;

        if (st->spilling) {
            if (ngx_http_fastcgi_ng_spill(st, ev->bytes) != NGX_OK) {
                ngx_http_fastcgi_ng_stream_cancel(st, FCNG_ERR_IO);
                return;
            }

        } else if (ngx_http_fastcgi_ng_block_add(st, ev->bytes) != NGX_OK) {
            ngx_http_fastcgi_ng_stream_cancel(st, FCNG_ERR_NOMEM);
            return;
        }

    } else {
        ngx_http_fastcgi_ng_stream_event(st, ev);
    }

    ngx_http_fastcgi_ng_stream_wake_read(st);
}


/*
 * One read: payload of a stream straight into its block, what follows into the
 * scratch buffer.  Everything is consumed before the next read.
 */

static ssize_t
ngx_http_fastcgi_ng_mux_recv(ngx_http_fastcgi_ng_link_t *link)
{
    size_t                         size, want;
    ssize_t                        n;
    ngx_buf_t                      b[2];
    fcng_event                     ev;
    ngx_chain_t                    cl[2];
    fcng_request                  *request;
    ngx_http_fastcgi_ng_block_t   *block;
    ngx_http_fastcgi_ng_stream_t  *st;

    request = fcng_conn_want_request(link->fcng);
    st = request ? fcng_request_user(request) : NULL;
    block = st ? ngx_http_fastcgi_ng_block_last(st) : NULL;
    size = 0;

    if (block) {
        want = fcng_conn_want(link->fcng);
        size = block->data + NGX_HTTP_FASTCGI_NG_BLOCK - block->last;
        size = ngx_min(size, want);

        b[0].last = block->last;
        b[0].end = block->last + size;
    }

    b[1].last = ngx_http_fastcgi_ng_scratch;
    b[1].end = ngx_http_fastcgi_ng_scratch + NGX_HTTP_FASTCGI_NG_READ_SIZE;

    cl[0].buf = &b[0];
    cl[0].next = &cl[1];
    cl[1].buf = &b[1];
    cl[1].next = NULL;

    n = ngx_recv_chain(link->connection, block ? cl : &cl[1], 0);

    if (n <= 0) {
        return n;
    }

    link->mux->heard = ngx_current_msec;

    size = ngx_min(size, (size_t) n);

    if (size) {
        block->last += size;
        fcng_conn_took(link->fcng, size);

        link->mux->delivered = 1;
        link->mux->answered = 1;
        ngx_http_fastcgi_ng_stream_answered(st);
        st->received += size;
        ngx_http_fastcgi_ng_stream_wake_read(st);
    }

    if ((size_t) n > size) {
        fcng_conn_feed(link->fcng, ngx_http_fastcgi_ng_scratch, n - size);
    }

    while (fcng_conn_next_event(link->fcng, SIZE_MAX, &ev) == FCNG_OK) {
        ngx_http_fastcgi_ng_mux_event(link, &ev);
    }

    return n;
}


/*
 * Streams whose bytes nginx has not taken.  0: there is none any more; 1: the
 * link is not read meanwhile.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_mux_paused(ngx_http_fastcgi_ng_link_t *link)
{
    ngx_queue_t                   *q, *next;
    ngx_http_fastcgi_ng_mux_t     *mux;
    ngx_http_fastcgi_ng_stream_t  *st;

    mux = link->mux;

    for (q = ngx_queue_head(&mux->streams);
         mux->noverruns && q != ngx_queue_sentinel(&mux->streams);
         q = next)
    {
        next = ngx_queue_next(q);
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, member);

        if (!st->overrun) {
            continue;
        }

        if (fcng_request_held(st->fcng)
            <= link->pool->options.stream_buffer / 2)
        {
            st->overrun = 0;
            mux->noverruns--;
            continue;
        }

        if (ngx_current_msec - st->overrun_start
            < NGX_HTTP_FASTCGI_NG_PAUSE)
        {
            continue;
        }

        st->overrun = 0;
        mux->noverruns--;

        st->spilling = 1;
        fcng_request_set_direct(st->fcng, false);
    }

    return mux->noverruns != 0;
}


/* The link is dead: so are all requests on it. */

static void
ngx_http_fastcgi_ng_mux_fail(ngx_http_fastcgi_ng_link_t *link, int err)
{
    fcng_event                   ev;
    ngx_http_fastcgi_ng_mux_t   *mux;
    ngx_http_fastcgi_ng_pool_t  *pool;

    mux = link->mux;
    pool = link->pool;

    if (mux->dead) {
        return;
    }

    mux->dead = 1;

    if (fcng_conn_active(link->fcng) && mux->delivered) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "%s: %s: a connection to %V that %uz requests shared",
                      ngx_http_fastcgi_ng_tag(err), fcng_strerror(err),
                      &pool->name, fcng_conn_active(link->fcng));

    } else if (mux->answered) {
        /* a kept connection that was closed is no failure of the server's */
        mux->blamed = 1;
    }

    fcng_conn_fail(link->fcng, err);
    fcng_pool_remove(pool->fcng, &link->conn);
    fcng_pool_lost(pool->fcng);

    while (fcng_conn_next_event(link->fcng, SIZE_MAX, &ev) == FCNG_OK) {
        ngx_http_fastcgi_ng_mux_event(link, &ev);
    }

    ngx_http_fastcgi_ng_mux_judge(link);
    ngx_http_fastcgi_ng_mux_evict(link);
}


void
ngx_http_fastcgi_ng_mux_read_handler(ngx_http_fastcgi_ng_link_t *link)
{
    int                         err;
    size_t                      total;
    ssize_t                     n;
    ngx_event_t                *rev;
    ngx_http_fastcgi_ng_mux_t  *mux;

    mux = link->mux;
    rev = link->connection->read;

    if (link->connection->close && mux->nstreams == 0) {
        /* nginx closes what is idle */
        fcng_pool_remove(link->pool->fcng, &link->conn);
        mux->dead = 1;
        ngx_http_fastcgi_ng_mux_settle(link);
        return;
    }

    mux->guard++;

    err = FCNG_OK;
    total = 0;

    while (rev->ready && err == FCNG_OK
           && (mux->noverruns == 0 || !ngx_http_fastcgi_ng_mux_paused(link)))
    {
        if (total >= NGX_HTTP_FASTCGI_NG_TURN) {
            ngx_post_event(rev, &ngx_posted_next_events);
            break;
        }

        n = ngx_http_fastcgi_ng_mux_recv(link);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n <= 0) {
            err = n == 0 ? FCNG_ERR_CLOSED : FCNG_ERR_IO;
            break;
        }

        total += n;
        err = fcng_conn_error(link->fcng);

        if (mux->noverruns) {
            /* behind the streams' own events: they may take it now */
            ngx_post_event(rev, &ngx_posted_events);
            break;
        }
    }

    if (err == FCNG_OK && ngx_handle_read_event(rev, 0) != NGX_OK) {
        err = FCNG_ERR_IO;
    }

    if (err != FCNG_OK) {
        ngx_http_fastcgi_ng_mux_fail(link, err);
    }

    mux->guard--;

    if (mux->over || mux->dead || mux->noverruns || mux->nstreams == 0
        || fcng_conn_retired(link->fcng))
    {
        ngx_http_fastcgi_ng_mux_settle(link);
    }
}
