/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sleeping and waking: a bell is a descriptor that one thread or process rings
 * and another polls, together with the client or with idle connections.
 */
#include "fastcgi_ng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

#define WATCH_MAX 1024 /* idle connections watched at once; more: by time */
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

static void quiet(const fastcgi_ng_bell_t *bell)
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

/* --------------------------------------- the service thread's watching --- */

enum { OWN, SHARED, FIRST }; /* places in the arrays */

struct fastcgi_ng_watch_t {
    fastcgi_ng_bell_t bell, shared;
    atomic_bool woken; /* the bell rings */
    int n;
    struct pollfd pfd[FIRST + WATCH_MAX];
    fastcgi_ng_backend_t *backend[FIRST + WATCH_MAX];
    const fastcgi_ng_conn_t *conn[FIRST + WATCH_MAX];
};

static apr_status_t watch_close(void *data)
{
    fastcgi_ng_watch_t *watch = data;

    fastcgi_ng_bell_close(&watch->bell);
    return APR_SUCCESS;
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

bool fastcgi_ng_watch_add(fastcgi_ng_watch_t *watch, fastcgi_ng_conn_t *conn)
{
    if (watch->n >= FIRST + WATCH_MAX) {
        return false;
    }
    watch->pfd[watch->n].fd = conn->fd;
    watch->pfd[watch->n].events = POLLIN;
    watch->backend[watch->n] = conn->backend;
    watch->conn[watch->n] = conn;
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
                           void (*ready)(fastcgi_ng_backend_t *backend,
                                         const fastcgi_ng_conn_t *conn))
{
    int i;

    if (poll(watch->pfd, (nfds_t)watch->n, ms_until(until_us)) <= 0) {
        return;
    }
    if (watch->pfd[OWN].revents != 0) {
        /* In this order: a ring that came between the two would be gone while
           |woken| stayed, and nobody could wake the thread again.  Whoever
           finds |woken| still set has changed what is read after this. */
        quiet(&watch->bell);
        atomic_exchange(&watch->woken, false);
    }
    if (watch->pfd[SHARED].revents != 0) {
        quiet(&watch->shared);
    }
    for (i = FIRST; i < watch->n; i++) {
        if (watch->pfd[i].revents != 0) {
            ready(watch->backend[i], watch->conn[i]);
        }
    }
}
