/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The service thread, one in each child process: closes idle connections when
 * their time is up or another process waits for their place, although no
 * request comes, sees at once when an application closes one, and wakes
 * requests that may go on or have waited too long.  No request needs it:
 * without it the same happens when the next request comes, or a request that
 * waits looks by itself.
 */
#include "fastcgi_ng.h"

#include <signal.h>

#define WATCH_MAX 1024        /* idle connections; more: by time */
#define WATCH_AFTER_US 200000 /* younger ones are probably used again soon */
#define LOOK_US 100000        /* where no other process can wake this one */

struct fastcgi_ng_service_t {
    apr_thread_t *thread;
    fastcgi_ng_child_t *child;
    fastcgi_ng_watch_t *watch;
    bool looks; /* nobody rings when another process waits */
    atomic_bool stop;
    atomic_ullong wake_at; /* the thread sleeps until then at most */
};

/* Puts the idle connections of |b| under watch; when to look again. */
static uint64_t watch_idle(fastcgi_ng_backend_t *b, fastcgi_ng_watch_t *watch,
                           bool looks)
{
    fastcgi_ng_conn_t *conn;
    uint64_t at, age, now;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    at = fcng_pool_deadline(b->pool);
    if (looks && b->idle != NULL && now + LOOK_US < at) {
        at = now + LOOK_US;
    }
    for (conn = b->idle; conn != NULL; conn = conn->next) {
        age = now - conn->link.idle_us;
        conn->watched = (age >= WATCH_AFTER_US || conn->soon)
                        && fastcgi_ng_watch_count(watch) < WATCH_MAX
                        && fastcgi_ng_watch_add(watch, conn, true, false);
        if (!conn->soon && age < WATCH_AFTER_US && now + WATCH_AFTER_US < at) {
            at = now + WATCH_AFTER_US;
        }
    }
    apr_thread_mutex_unlock(b->mutex);
    return at;
}

static void round_trip(struct fastcgi_ng_service_t *service)
{
    fastcgi_ng_child_t *child = service->child;
    uint64_t at, next = FCNG_NEVER;
    int i;

    /* From here on whoever sets an earlier time must wake the thread. */
    atomic_store(&service->wake_at, FCNG_NEVER);
    fastcgi_ng_watch_clear(service->watch);
    for (i = 0; i < child->backends->nelts; i++) {
        fastcgi_ng_backend_t *b
            = APR_ARRAY_IDX(child->backends, i, fastcgi_ng_backend_t *);

        fastcgi_ng_backend_expire(b);
        at = watch_idle(b, service->watch, service->looks);
        next = at < next ? at : next;
    }
    if (next < atomic_load(&service->wake_at)) {
        atomic_store(&service->wake_at, next);
    }
    if (!atomic_load(&service->stop)) {
        fastcgi_ng_watch_wait(service->watch, next,
                              fastcgi_ng_backend_recheck);
    }
}

static void *APR_THREAD_FUNC service_main(apr_thread_t *thread, void *data)
{
    struct fastcgi_ng_service_t *service = data;

    while (!atomic_load(&service->stop)) {
        round_trip(service);
    }
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

void fastcgi_ng_service_wake(fastcgi_ng_child_t *child)
{
    if (child->service != NULL) {
        fastcgi_ng_watch_wake(child->service->watch);
    }
}

void fastcgi_ng_service_at(fastcgi_ng_child_t *child, uint64_t at_us)
{
    struct fastcgi_ng_service_t *service = child->service;

    if (service != NULL && at_us < atomic_load(&service->wake_at)) {
        atomic_store(&service->wake_at, at_us);
        fastcgi_ng_watch_wake(service->watch);
    }
}

/* A signal must reach a thread that expects it. */
apr_status_t fastcgi_ng_thread_start(apr_thread_t **thread,
                                     apr_thread_start_t run, void *data,
                                     apr_pool_t *pool)
{
    sigset_t all, before;
    apr_status_t rv;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    rv = ap_thread_create(thread, NULL, run, data, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

void fastcgi_ng_thread_stop(apr_thread_t *thread, atomic_bool *stop,
                            fastcgi_ng_watch_t *watch)
{
    apr_status_t rv;

    atomic_store(stop, true);
    fastcgi_ng_watch_wake(watch);
    apr_thread_join(&rv, thread);
}

apr_status_t fastcgi_ng_service_start(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_service_t *service
        = apr_pcalloc(child->pool, sizeof(*service));
    const fastcgi_ng_bell_t *bell = fastcgi_ng_shared_bell(child);
    apr_status_t rv;

    service->child = child;
    service->looks = child->share != NULL && bell == NULL;
    service->watch = fastcgi_ng_watch_create(child->pool, bell);
    if (service->watch == NULL) {
        return apr_get_os_error();
    }
    atomic_init(&service->stop, false);
    atomic_init(&service->wake_at, FCNG_NEVER);
    rv = fastcgi_ng_thread_start(&service->thread, service_main, service,
                                 child->pool);
    if (rv == APR_SUCCESS) {
        child->service = service;
    }
    return rv;
}

void fastcgi_ng_service_stop(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_service_t *service = child->service;

    if (service != NULL) {
        fastcgi_ng_thread_stop(service->thread, &service->stop,
                               service->watch);
    }
}
