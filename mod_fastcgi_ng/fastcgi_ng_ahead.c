/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that opens connections which no request waits for: those of
 * min_idle, and those on which an application is asked whether it multiplexes.
 * The service thread asks the core for them, and must not wait for a connect
 * itself, for others wait for it.  There is one where a pool has such a word.
 */
#include "fastcgi_ng.h"

#include "apr_thread_cond.h"

struct fastcgi_ng_ahead_t {
    fastcgi_ng_child_t *child;
    apr_thread_t *thread;
    apr_thread_mutex_t *mutex; /* all below */
    apr_thread_cond_t *cond;
    bool stop;
    bool woken;
};

/* True: something is to be opened; false: the process ends. */
static bool wait_for_work(struct fastcgi_ng_ahead_t *ahead)
{
    bool stop;

    apr_thread_mutex_lock(ahead->mutex);
    while (!ahead->woken && !ahead->stop) {
        apr_thread_cond_wait(ahead->cond, ahead->mutex);
    }
    ahead->woken = false;
    stop = ahead->stop;
    apr_thread_mutex_unlock(ahead->mutex);
    return !stop;
}

static void *APR_THREAD_FUNC ahead_main(apr_thread_t *thread, void *data)
{
    struct fastcgi_ng_ahead_t *ahead = data;
    apr_array_header_t *backends = ahead->child->backends;
    int i;

    while (wait_for_work(ahead)) {
        for (i = 0; i < backends->nelts; i++) {
            fastcgi_ng_backend_t *b
                = APR_ARRAY_IDX(backends, i, fastcgi_ng_backend_t *);

            while (fastcgi_ng_backend_ask_values(b)
                   || fastcgi_ng_backend_open_ahead(b)) {
                continue;
            }
        }
    }
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

void fastcgi_ng_ahead_wake(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_ahead_t *ahead = child->ahead;

    apr_thread_mutex_lock(ahead->mutex);
    ahead->woken = true;
    apr_thread_cond_signal(ahead->cond);
    apr_thread_mutex_unlock(ahead->mutex);
}

static bool any_wanted(const fastcgi_ng_child_t *child)
{
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        fastcgi_ng_backend_t *b
            = APR_ARRAY_IDX(child->backends, i, fastcgi_ng_backend_t *);

        const fcng_pool_options *o = fcng_pool_get_options(b->pool);

        if (o->min_idle > 0 || o->multiplex == FCNG_MULTIPLEX_AUTO) {
            return true;
        }
    }
    return false;
}

/* Before the service thread. */
apr_status_t fastcgi_ng_ahead_start(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_ahead_t *ahead;
    apr_status_t rv;

    if (!any_wanted(child)) {
        return APR_SUCCESS;
    }
    ahead = apr_pcalloc(child->pool, sizeof(*ahead));
    ahead->child = child;
    rv = apr_thread_mutex_create(&ahead->mutex, APR_THREAD_MUTEX_DEFAULT,
                                 child->pool);
    if (rv == APR_SUCCESS) {
        rv = apr_thread_cond_create(&ahead->cond, child->pool);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = fastcgi_ng_thread_start(&ahead->thread, ahead_main, ahead,
                                 child->pool);
    if (rv == APR_SUCCESS) {
        child->ahead = ahead;
    }
    return rv;
}

/* After the service thread; child->stopping is set. */
void fastcgi_ng_ahead_stop(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_ahead_t *ahead = child->ahead;
    apr_status_t rv;

    if (ahead != NULL) {
        apr_thread_mutex_lock(ahead->mutex);
        ahead->stop = true;
        apr_thread_cond_signal(ahead->cond);
        apr_thread_mutex_unlock(ahead->mutex);
        apr_thread_join(&rv, ahead->thread);
    }
}
