/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which connection a request gets: one that is idle, a new one, a place on
 * one that requests share, after waiting in the queue if need be.  Each
 * that waits has a bell, which whoever frees a place rings.  The rules of
 * fastcgi_ng_pool.c for its mutex hold here too.
 */
#include "fastcgi_ng.h"

#define CLIENT_CHECK_MS 200    /* where nothing tells of a client's leaving */
#define LOOK_MS 100            /* where no service thread tells of a place */
#define LONG_MS 1000           /* or of httpd's being told to stop */

typedef struct waiter_t {
    fcng_pool_wait link;
    fastcgi_ng_task_t *task;
    fastcgi_ng_bell_t bell;
    bool done;
    int error; /* it could not begin on a shared connection */
    enum fcng_pool_verdict verdict;
    fcng_pool_conn *conn;
} waiter_t;

/* ---------------------------------------------- with the mutex held --- */

/* On a shared connection: it begins there at once, by whichever thread. */
static void share(waiter_t *waiter, uint64_t now)
{
    waiter->error = fastcgi_ng_mux_begin(waiter->task, waiter->conn->data,
                                         now);
    waiter->conn = NULL;
}

/* Wakes those waiters that may go on or have waited too long. */
void fastcgi_ng_backend_serve(fastcgi_ng_backend_t *b, uint64_t now)
{
    enum fcng_pool_verdict verdict;
    fcng_pool_wait *wait;
    fcng_pool_conn *link;
    bool shared = false;

    while ((verdict = fcng_pool_next(b->pool, now, &wait, &link))
           != FCNG_POOL_WAIT) {
        waiter_t *waiter = wait->data;

        if (link != NULL) {
            fastcgi_ng_idle_remove(b, link->data);
        }
        if (verdict == FCNG_POOL_OPEN && link != NULL) {
            fastcgi_ng_backend_close(link->data); /* exchanged */
            link = NULL;
        }
        waiter->verdict = verdict;
        waiter->conn = link;
        if (verdict == FCNG_POOL_USE && link->max_streams > 1) {
            share(waiter, now);
            shared = true;
        }
        waiter->done = true;
        fastcgi_ng_bell_ring(&waiter->bell);
    }
    if (shared) {
        fastcgi_ng_mux_flush(b);
    }
}

/* ------------------------------------------------- what is not used --- */

/* A kept connection that turned out dead: forgotten, closed. */
static void drop(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn,
                 enum fastcgi_ng_probe found)
{
    apr_thread_mutex_lock(b->mutex);
    if (found == FASTCGI_NG_CLOSED) {
        fastcgi_ng_conn_was_closed(conn, fastcgi_ng_now());
    }
    fcng_pool_count(b->pool, FCNG_COUNT_STALE);
    fcng_pool_remove(b->pool, &conn->link);
    fastcgi_ng_backend_close(conn);
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
}

static void give_up(fastcgi_ng_backend_t *b, enum fcng_pool_need need)
{
    apr_thread_mutex_lock(b->mutex);
    fcng_pool_give_up(b->pool, need);
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
}

/* ------------------------------------------------- a failed connect --- */

static void tell_connect(const fastcgi_ng_dial_t *dial, enum fcng_msg msg,
                         uint64_t held_back)
{
    fastcgi_ng_task_t *task = dial->task;
    apr_pool_t *p = task->r->pool;
    const char *more = "", *cause;
    char hint[512], text[120];

    if (!dial->resolved) {
        fastcgi_ng_log(task, APLOG_ERR, msg,
                       "the name \"%s\" does not resolve: %s; correct the "
                       "name, or see to it that it can be resolved",
                       task->backend->address->host, dial->what);
        return;
    }
    fastcgi_ng_io_hint(dial, hint, sizeof(hint));
    if (held_back > 0) {
        more = apr_psprintf(p, " (%" APR_UINT64_T_FMT " lines like this one "
                            "held back)", (apr_uint64_t)held_back);
    }
    if (dial->timed_out && dial->error != EAGAIN) {
        cause = "timed out";
    }
    else {
        cause = apr_psprintf(p, "failed (%d: %s)", dial->error,
                             apr_strerror(APR_FROM_OS_ERROR(dial->error),
                                          text, sizeof(text)));
    }
    fastcgi_ng_log(task, APLOG_ERR, msg, "connect() to %s %s%s%s%s",
                   task->backend->address->text, cause, *hint ? ": " : "",
                   hint, more);
}

static void connect_failed(const fastcgi_ng_dial_t *dial)
{
    fastcgi_ng_backend_t *b = dial->task->backend;
    uint64_t now, held_back;
    enum fcng_msg msg;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    fastcgi_ng_backend_failed(dial->task, now);
    fcng_pool_count(b->pool, FCNG_COUNT_CONNECT);
    msg = fcng_outage_failed(&b->outage, dial->begun_us, now, &held_back);
    apr_thread_mutex_unlock(b->mutex);
    if (msg != FCNG_MSG_COUNT) {
        tell_connect(dial, msg, held_back);
    }
}

/* ---------------------------------------------------------- acquire --- */

static int waiting_ms(const fastcgi_ng_task_t *task)
{
    uint64_t now = fastcgi_ng_now();
    uint64_t left = task->end_us > now ? (task->end_us - now) / 1000 + 1 : 0;
    int ms = task->client.secondary || task->client.fd < 0
             ? CLIENT_CHECK_MS : LONG_MS;

    if (task->backend->child->service == NULL) {
        ms = LOOK_MS;
    }
    return left < (uint64_t)ms ? (int)left : ms;
}

/* Mutex held, but while it sleeps.  What becomes of a request in the queue. */
static void wait_in_queue(fastcgi_ng_task_t *task, waiter_t *waiter)
{
    fastcgi_ng_backend_t *b = task->backend;
    bool stays = true;

    while (!waiter->done && stays && fastcgi_ng_now() < task->end_us) {
        apr_thread_mutex_unlock(b->mutex);
        stays = fastcgi_ng_bell_wait(&waiter->bell, task, waiting_ms(task));
        apr_thread_mutex_lock(b->mutex);
        if (b->child->service == NULL) {
            fastcgi_ng_backend_serve(b, fastcgi_ng_now());
        }
    }
    if (!waiter->done) {
        task->client_gone = !stays;
        fcng_pool_cancel(b->pool, &waiter->link);
        waiter->verdict = FCNG_POOL_REFUSE;
        /* A place may be on its way. */
        fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    }
}

/* Mutex held.  multiplex=auto: whether it is to be asked now. */
static void must_ask(fastcgi_ng_backend_t *b, uint64_t now)
{
    if (fcng_pool_get_options(b->pool)->multiplex == FCNG_MULTIPLEX_AUTO
        && fcng_pool_must_ask(b->pool, now)) {
        if (b->child->ahead != NULL) {
            b->asks = true;
            fastcgi_ng_ahead_wake(b->child);
        }
        else {
            fcng_pool_not_asked(b->pool, now);
        }
    }
}

/* Mutex held.  What the pool says, after waiting if need be. */
static enum fcng_pool_verdict ask(fastcgi_ng_task_t *task,
                                  enum fcng_pool_need need, waiter_t *waiter,
                                  int *error)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t now = fastcgi_ng_now();
    enum fcng_pool_verdict verdict;

    waiter->done = false;
    waiter->bell.in = waiter->bell.out = -1;
    waiter->error = FCNG_OK;
    verdict = fcng_pool_acquire(b->pool, &waiter->link, need, now,
                                &waiter->conn);
    must_ask(b, now);
    *error = FCNG_ERR_QUEUE_FULL;
    if (verdict == FCNG_POOL_WAIT) {
        *error = FCNG_ERR_QUEUE_TIMEOUT;
        fastcgi_ng_bell_open(&waiter->bell); /* else it looks all the time */
        fastcgi_ng_service_at(b->child, fastcgi_ng_backend_due(b, now));
        wait_in_queue(task, waiter);
        fastcgi_ng_bell_close(&waiter->bell);
        verdict = waiter->verdict;
        task->queue_us += fastcgi_ng_now() - now;
    }
    if (task->client_gone) {
        *error = FCNG_ERR_CLOSED;
    }
    else if (verdict == FCNG_POOL_REFUSE && fastcgi_ng_now() >= task->end_us) {
        *error = FCNG_ERR_TIMEOUT;
    }
    return verdict;
}

/* An idle connection that is readable was closed, or holds bytes that belong
   to nobody: it is never used. */
static bool usable(fastcgi_ng_task_t *task, fastcgi_ng_conn_t *conn)
{
    enum fastcgi_ng_probe found = fastcgi_ng_io_probe(conn->fd);

    switch (found) {
    case FASTCGI_NG_ALIVE:
        return true;
    case FASTCGI_NG_STRAY:
        fastcgi_ng_log(task, APLOG_WARNING, FCNG_MSG_STRAY,
                       "the application sent bytes after the end of a "
                       "request; the connection is closed");
        break;
    case FASTCGI_NG_CLOSED:
        break;
    }
    drop(task->backend, conn, found);
    return false;
}

static void told_of_connect(fastcgi_ng_task_t *task, uint64_t failures)
{
    if (failures > 0) {
        fastcgi_ng_log(task, APLOG_WARNING, FCNG_MSG_UP,
                       "the application is back; %" APR_UINT64_T_FMT
                       " attempts to connect had failed",
                       (apr_uint64_t)failures);
    }
}

/* With a descriptor: the connection is the task's, or it begins on it with
   others. */
static int opened(fastcgi_ng_task_t *task, enum fcng_pool_need need, int fd,
                  uint64_t begun)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t failures, now;
    fastcgi_ng_conn_t *conn;
    int err = FCNG_OK;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    conn = fastcgi_ng_conn_new(b, fd,
                               fcng_pool_max_streams(b->pool, need, now));
    if (conn == NULL) {
        apr_thread_mutex_unlock(b->mutex);
        fastcgi_ng_io_close(fd);
        give_up(b, need);
        return FCNG_ERR_NOMEM;
    }
    fcng_pool_add(b->pool, &conn->link, need, begun);
    if (conn->shared) {
        err = fastcgi_ng_mux_begin(task, conn, now);
        fastcgi_ng_backend_serve(b, now); /* those that waited for it */
        fastcgi_ng_mux_flush(b);
    }
    else {
        fcng_pool_started(b->pool, &conn->link, now);
        task->conn = conn;
        task->reused = false;
    }
    failures = fcng_outage_over(&b->outage);
    apr_thread_mutex_unlock(b->mutex);
    told_of_connect(task, failures);
    return err;
}

static int open_new(fastcgi_ng_task_t *task, const fastcgi_ng_ask_t *how,
                    enum fcng_pool_need need)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t begun = fastcgi_ng_now();
    fastcgi_ng_dial_t dial;
    bool late;
    int fd;

    memset(&dial, 0, sizeof(dial));
    dial.backend = b;
    dial.task = task;
    dial.patient = how->patient;
    dial.begun_us = begun;
    dial.deadline_us = begun + (uint64_t)task->conf->connect_timeout;
    if (task->end_us < dial.deadline_us) {
        dial.deadline_us = task->end_us;
    }
    fd = fastcgi_ng_io_connect(&dial);
    task->connect_us += fastcgi_ng_now() - begun;
    if (fd >= 0) {
        return opened(task, need, fd, begun);
    }
    late = dial.timed_out && dial.deadline_us == task->end_us;
    if (!task->client_gone && !late) {
        connect_failed(&dial);
    }
    give_up(b, need);
    return task->client_gone ? FCNG_ERR_CLOSED
           : late ? FCNG_ERR_TIMEOUT : FCNG_ERR_CONNECT;
}

/* Mutex held.  The task's own, or (task->stream) one that it shares. */
static int use(fastcgi_ng_task_t *task, waiter_t *waiter)
{
    fastcgi_ng_backend_t *b = task->backend;

    if (waiter->conn != NULL && waiter->conn->max_streams > 1) {
        share(waiter, fastcgi_ng_now());
        fastcgi_ng_mux_flush(b);
    }
    if (waiter->conn != NULL) {
        fcng_pool_started(b->pool, waiter->conn, fastcgi_ng_now());
    }
    return waiter->error;
}

static int get_conn(fastcgi_ng_task_t *task, const fastcgi_ng_ask_t *how)
{
    fastcgi_ng_backend_t *b = task->backend;
    enum fcng_pool_need need = how->need;
    enum fcng_pool_verdict verdict;
    fastcgi_ng_conn_t *conn;
    waiter_t waiter;
    bool wake;
    int error;

    memset(&waiter, 0, sizeof(waiter));
    waiter.link.data = &waiter;
    waiter.task = task;
    for (;;) {
        conn = NULL;
        wake = false;
        apr_thread_mutex_lock(b->mutex);
        if (how->room && !fcng_pool_can_start(b->pool)) {
            apr_thread_mutex_unlock(b->mutex);
            return FCNG_AGAIN;
        }
        task->probe = task->probe
                      || fcng_health_begin(&b->health, fastcgi_ng_now());
        task->no_stdin = task->question != NULL
                         && fcng_authz_no_stdin(&b->authz);
        if (task->question == NULL) {
            need = fcng_pool_need_for(b->pool, how->need,
                                      fastcgi_ng_task_path(task));
        }
        verdict = ask(task, need, &waiter, &error);
        if (verdict == FCNG_POOL_USE && waiter.conn != NULL
            && waiter.conn->max_streams > 1
            && !fastcgi_ng_mux_lives(waiter.conn->data)) {
            fastcgi_ng_backend_serve(b, fastcgi_ng_now());
            apr_thread_mutex_unlock(b->mutex);
            continue;
        }
        if (verdict == FCNG_POOL_USE) {
            error = use(task, &waiter);
        }
        if (waiter.conn != NULL) {
            conn = waiter.conn->data;
            wake = fastcgi_ng_idle_remove(b, conn);
        }
        if (verdict == FCNG_POOL_OPEN && conn != NULL) {
            fastcgi_ng_backend_close(conn); /* exchanged */
        }
        apr_thread_mutex_unlock(b->mutex);
        if (wake) {
            fastcgi_ng_service_wake(b->child);
        }
        if (verdict == FCNG_POOL_OPEN) {
            return open_new(task, how, need);
        }
        if (verdict == FCNG_POOL_REFUSE || conn == NULL) {
            return error;
        }
        if (usable(task, conn)) {
            task->conn = conn;
            task->reused = true;
            return FCNG_OK;
        }
    }
}

int fastcgi_ng_backend_acquire(fastcgi_ng_task_t *task,
                               const fastcgi_ng_ask_t *how)
{
    fastcgi_ng_backend_t *b = task->backend;
    int err;

    task->probe = false;
    task->answered = false;
    task->conn = NULL;
    err = get_conn(task, how);
    if (err != FCNG_OK && task->probe) {
        apr_thread_mutex_lock(b->mutex);
        fcng_health_dropped(&b->health, task->probe);
        apr_thread_mutex_unlock(b->mutex);
        task->probe = false;
    }
    return err;
}
