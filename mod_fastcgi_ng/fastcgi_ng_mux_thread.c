/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mux thread, one in each child process: reads those connections that
 * requests share and that the thread of none of them reads, writes when a full
 * socket has room again, and frees ids that were reserved for too long.
 */
#include "fastcgi_ng.h"

#define LOOK_US 50000 /* whether a request's thread reads still */

struct fastcgi_ng_mux_t {
    apr_thread_t *thread;
    fastcgi_ng_child_t *child;
    fastcgi_ng_watch_t *watch;
    atomic_bool stop;
    char buf[FASTCGI_NG_BUFFER];
};

static fastcgi_ng_conn_t *find(fastcgi_ng_backend_t *b,
                               const fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_conn_t *found = b->shared;

    while (found != NULL && found != conn) {
        found = found->next;
    }
    return found;
}

/* |suspect| may be freed, or another one by now: it is looked for. */
static void ready(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *suspect,
                  bool read, bool write)
{
    fastcgi_ng_chime_t chime;
    fastcgi_ng_conn_t *conn;

    fastcgi_ng_lock(b, &chime);
    conn = find(b, suspect);
    read = read && conn != NULL && conn->reader == NULL
           && conn->overruns == 0;
    if (conn != NULL && write) {
        conn->full = false;
        read = fastcgi_ng_mux_write(conn) && (read || conn->deaf);
    }
    if (read) {
        fastcgi_ng_mux_read_conn(conn, b->child->mux->buf);
    }
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    fastcgi_ng_unlock(b, &chime);
}

/* Mutex held.  Ids that have been reserved for too long. */
static void expire(fastcgi_ng_backend_t *b, uint64_t now)
{
    fastcgi_ng_conn_t *conn, *next;
    bool closed = false;

    for (conn = b->shared; conn != NULL; conn = next) {
        next = conn->next;
        if (fcng_conn_deadline(conn->fcgi) <= now) {
            fcng_conn_expire(conn->fcgi, now);
            closed = !fastcgi_ng_mux_settle(conn, now) || closed;
        }
    }
    if (closed) {
        fastcgi_ng_backend_serve(b, now);
    }
}

/* Puts the connections of |b| under watch; when to look again. */
static uint64_t watch_shared(fastcgi_ng_backend_t *b,
                             fastcgi_ng_watch_t *watch)
{
    fastcgi_ng_conn_t *conn;
    uint64_t now, next = FCNG_NEVER;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    expire(b, now);
    if (b->shared == NULL && b->spare != NULL) {
        if (atomic_load(&b->ringing) == 0) {
            fastcgi_ng_stream_free(b);
        }
        else {
            next = now + LOOK_US;
        }
    }
    for (conn = b->shared; conn != NULL; conn = conn->next) {
        uint64_t at = fcng_conn_deadline(conn->fcgi);
        bool pauses = fastcgi_ng_mux_pauses(conn, now);
        bool reads = !pauses && conn->reader == NULL;

        next = at < next ? at : next;
        if (!reads) {
            at = pauses ? conn->patience_us : now + LOOK_US;
            next = at < next ? at : next;
            if (!conn->full) {
                continue;
            }
        }
        if (!fastcgi_ng_watch_add(watch, conn, reads, conn->full)) {
            fastcgi_ng_mux_read_conn(conn, b->child->mux->buf);
            next = now + 1000;
            break; /* no memory: one by one */
        }
    }
    apr_thread_mutex_unlock(b->mutex);
    return next;
}

static bool may_share(const fastcgi_ng_backend_t *b)
{
    return fcng_pool_get_options(b->pool)->multiplex != FCNG_MULTIPLEX_OFF;
}

static void *APR_THREAD_FUNC mux_main(apr_thread_t *thread, void *data)
{
    struct fastcgi_ng_mux_t *mux = data;
    apr_array_header_t *backends = mux->child->backends;
    int i;

    while (!atomic_load(&mux->stop)) {
        uint64_t at, next = FCNG_NEVER;

        fastcgi_ng_watch_clear(mux->watch);
        for (i = 0; i < backends->nelts; i++) {
            fastcgi_ng_backend_t *b
                = APR_ARRAY_IDX(backends, i, fastcgi_ng_backend_t *);

            if (may_share(b)) {
                at = watch_shared(b, mux->watch);
                next = at < next ? at : next;
            }
        }
        fastcgi_ng_watch_wait(mux->watch, next, ready);
    }
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

void fastcgi_ng_mux_wake(fastcgi_ng_child_t *child)
{
    fastcgi_ng_watch_wake(child->mux->watch);
}

/* Without the thread nothing is shared. */
static void share_nothing(fastcgi_ng_child_t *child)
{
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        fastcgi_ng_backend_t *b
            = APR_ARRAY_IDX(child->backends, i, fastcgi_ng_backend_t *);
        fcng_pool_options options = *fcng_pool_get_options(b->pool);

        options.multiplex = FCNG_MULTIPLEX_OFF;
        fcng_pool_set_options(b->pool, &options);
    }
}

static bool any_shares(const fastcgi_ng_child_t *child)
{
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        if (may_share(APR_ARRAY_IDX(child->backends, i,
                                    fastcgi_ng_backend_t *))) {
            return true;
        }
    }
    return false;
}

apr_status_t fastcgi_ng_mux_start(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_mux_t *mux;
    apr_status_t rv = APR_ENOMEM;

    if (!any_shares(child)) {
        return APR_SUCCESS;
    }
    mux = apr_pcalloc(child->pool, sizeof(*mux));
    mux->child = child;
    mux->watch = fastcgi_ng_watch_create(child->pool, NULL);
    atomic_init(&mux->stop, false);
    if (mux->watch != NULL) {
        child->mux = mux;
        rv = fastcgi_ng_thread_start(&mux->thread, mux_main, mux,
                                     child->pool);
    }
    if (rv != APR_SUCCESS) {
        child->mux = NULL;
        share_nothing(child);
    }
    return rv;
}

void fastcgi_ng_mux_stop(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_mux_t *mux = child->mux;

    if (mux != NULL) {
        fastcgi_ng_thread_stop(mux->thread, &mux->stop, mux->watch);
    }
}
