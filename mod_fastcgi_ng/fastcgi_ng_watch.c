/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleeping and waking: a bell is a descriptor that one thread or process rings
 * and another polls, together with the client or with idle connections; a nap
 * is a sleep from which only another thread wakes, or the time.
 */
#include "fastcgi_ng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#endif

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

#define NO_BELL_MS 20  /* how often to look where there is none */

/* --------------------------------------------------------------- bells --- */

#ifdef EFD_NONBLOCK

bool fastcgi_ng_bell_open(fastcgi_ng_bell_t *bell)
{
    bell->in = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bell->out = bell->in;
    return bell->in >= 0;
}

#else

bool fastcgi_ng_bell_open(fastcgi_ng_bell_t *bell)
{
    int i, fd[2] = { -1, -1 };

    if (pipe(fd) == 0) {
        for (i = 0; i < 2; i++) {
            fcntl(fd[i], F_SETFD, FD_CLOEXEC);
            fcntl(fd[i], F_SETFL, O_NONBLOCK);
        }
    }
    bell->in = fd[0];
    bell->out = fd[1];
    return bell->in >= 0;
}

#endif

void fastcgi_ng_bell_ring(const fastcgi_ng_bell_t *bell)
{
    const uint64_t one = 1; /* what an eventfd wants; a pipe takes any */

    if (bell->out >= 0) {
        ssize_t n = write(bell->out, &one, sizeof(one));

        (void)n; /* one that is full rings already */
    }
}

void fastcgi_ng_bell_quiet(const fastcgi_ng_bell_t *bell)
{
    char drain[64];

    while (read(bell->in, drain, sizeof(drain)) == sizeof(drain)) {
        continue;
    }
}

void fastcgi_ng_bell_close(fastcgi_ng_bell_t *bell)
{
    if (bell->in >= 0) {
        close(bell->in);
    }
    if (bell->out != bell->in) {
        close(bell->out);
    }
    bell->in = bell->out = -1;
}

bool fastcgi_ng_bell_wait(const fastcgi_ng_bell_t *bell,
                          const fastcgi_ng_task_t *task, int ms)
{
    const fastcgi_ng_client_t *client = &task->client;
    struct pollfd pfd[2] = {
        { bell->in, POLLIN, 0 },
        { client->secondary ? -1 : client->fd, POLLRDHUP, 0 },
    };

    poll(pfd, 2, bell->in >= 0 || ms < NO_BELL_MS ? ms : NO_BELL_MS);
    return !fastcgi_ng_io_client_gone(task);
}

/* ---------------------------------------------------------------- naps --- */

#ifdef __linux__

/* Conditions take more calls for each nap, and APR's follow a clock that may
   be set. */

bool fastcgi_ng_nap_works(void)
{
    return true;
}

bool fastcgi_ng_nap(fastcgi_ng_nap_t *nap, uint64_t us)
{
    struct timespec most = { (time_t)(us / 1000000),
                             (long)(us % 1000000) * 1000 };
    long rc = 0;

    while (atomic_exchange(&nap->over, 0) == 0) {
        if (rc < 0 && errno != EAGAIN && errno != EINTR) {
            return false; /* the time, or there are no naps here */
        }
        rc = syscall(SYS_futex, &nap->over, FUTEX_WAIT_PRIVATE, 0, &most, NULL,
                     0);
    }
    return true;
}

void fastcgi_ng_nap_end(fastcgi_ng_nap_t *nap)
{
    atomic_store(&nap->over, 1);
    syscall(SYS_futex, &nap->over, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#else

bool fastcgi_ng_nap_works(void)
{
    return false;
}

bool fastcgi_ng_nap(fastcgi_ng_nap_t *nap, uint64_t us)
{
    return false;
}

void fastcgi_ng_nap_end(fastcgi_ng_nap_t *nap)
{
}

#endif

/* -------------------------------------------------- threads that watch --- */

enum { OWN, SHARED, FIRST }; /* places in the arrays */

typedef struct watched_t {
    fastcgi_ng_backend_t *backend;
    fastcgi_ng_conn_t *conn;
} watched_t;

struct fastcgi_ng_watch_t {
    fastcgi_ng_bell_t bell, shared;
    atomic_bool woken; /* the bell rings */
    unsigned n, size;
    struct pollfd *pfd;
    watched_t *watched;
};

static apr_status_t watch_close(void *data)
{
    fastcgi_ng_watch_t *watch = data;

    fastcgi_ng_bell_close(&watch->bell);
    free(watch->pfd);
    free(watch->watched);
    return APR_SUCCESS;
}

static bool grow(fastcgi_ng_watch_t *watch)
{
    unsigned size = watch->size > 0 ? 2 * watch->size : 16;
    struct pollfd *pfd = realloc(watch->pfd, size * sizeof(*pfd));
    watched_t *watched;

    if (pfd == NULL) {
        return false;
    }
    watch->pfd = pfd;
    watched = realloc(watch->watched, size * sizeof(*watched));
    if (watched == NULL) {
        return false;
    }
    watch->watched = watched;
    watch->size = size;
    return true;
}

fastcgi_ng_watch_t *fastcgi_ng_watch_create(apr_pool_t *pool,
                                            const fastcgi_ng_bell_t *shared)
{
    fastcgi_ng_watch_t *watch = apr_pcalloc(pool, sizeof(*watch));

    if (!fastcgi_ng_bell_open(&watch->bell)) {
        return NULL;
    }
    watch->shared.in = shared != NULL ? shared->in : -1;
    apr_pool_cleanup_register(pool, watch, watch_close,
                              apr_pool_cleanup_null);
    if (!grow(watch)) {
        return NULL;
    }
    atomic_init(&watch->woken, false);
    fastcgi_ng_watch_clear(watch);
    return watch;
}

void fastcgi_ng_watch_wake(fastcgi_ng_watch_t *watch)
{
    if (!atomic_exchange(&watch->woken, true)) {
        fastcgi_ng_bell_ring(&watch->bell);
    }
}

void fastcgi_ng_watch_clear(fastcgi_ng_watch_t *watch)
{
    watch->n = FIRST;
    watch->pfd[OWN].fd = watch->bell.in;
    watch->pfd[OWN].events = POLLIN;
    watch->pfd[SHARED].fd = watch->shared.in; /* -1: poll() passes it over */
    watch->pfd[SHARED].events = POLLIN;
}

unsigned fastcgi_ng_watch_count(const fastcgi_ng_watch_t *watch)
{
    return watch->n - FIRST;
}

bool fastcgi_ng_watch_add(fastcgi_ng_watch_t *watch, fastcgi_ng_conn_t *conn,
                          bool read, bool write)
{
    if (watch->n == watch->size && !grow(watch)) {
        return false;
    }
    watch->pfd[watch->n].fd = conn->fd;
    watch->pfd[watch->n].events
        = (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
    watch->watched[watch->n].backend = conn->backend;
    watch->watched[watch->n].conn = conn;
    watch->n++;
    return true;
}

static int ms_until(uint64_t until_us)
{
    uint64_t now = fastcgi_ng_now();
    uint64_t ms = until_us > now ? (until_us - now + 999) / 1000 : 0;

    if (until_us == FCNG_NEVER) {
        return -1;
    }
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

void fastcgi_ng_watch_wait(fastcgi_ng_watch_t *watch, uint64_t until_us,
                           fastcgi_ng_ready_t *ready)
{
    unsigned i;

    if (poll(watch->pfd, (nfds_t)watch->n, ms_until(until_us)) <= 0) {
        return;
    }
    if (watch->pfd[OWN].revents != 0) {
        /* In this order: a ring that came between the two would be gone while
           |woken| stayed, and nobody could wake the thread again.  Whoever
           finds |woken| still set has changed what is read after this. */
        fastcgi_ng_bell_quiet(&watch->bell);
        atomic_exchange(&watch->woken, false);
    }
    if (watch->pfd[SHARED].revents != 0) {
        fastcgi_ng_bell_quiet(&watch->shared);
    }
    for (i = FIRST; i < watch->n; i++) {
        short what = watch->pfd[i].revents;

        if (what != 0) {
            ready(watch->watched[i].backend, watch->watched[i].conn,
                  (what & ~POLLOUT) != 0, (what & POLLOUT) != 0);
        }
    }
}
