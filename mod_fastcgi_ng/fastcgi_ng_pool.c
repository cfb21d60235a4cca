/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of a child process: the core's fcng_pool of each address under a
 * mutex, the connections behind it, and one bell for each request that waits.
 *
 * No call that may block is made with a mutex held.  close() is none, and is
 * made with it: the pool gives a closed connection's place to others, who must
 * not connect before.  A connection that is handed out has left the list of
 * idle ones, so nobody else knows of it.  The time is asked with the mutex
 * held, or it would go backwards for the pool.
 */
#include "fastcgi_ng.h"

#include <unistd.h>

#define CLIENT_CHECK_MS 200    /* where nothing tells of a client's leaving */
#define LOOK_MS 100            /* where no service thread tells of a place */
#define AHEAD_US 5000000       /* to connect, where no request waits */
#define LONG_MS 1000           /* or of httpd's being told to stop */
#define WATCH_AFTER_US 200000  /* idle connections are watched after that */

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

static void idle_add(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn)
{
    conn->idle = true;
    conn->prev = NULL;
    conn->next = b->idle;
    if (b->idle != NULL) {
        b->idle->prev = conn;
    }
    b->idle = conn;
}

/* True: the service thread polls it and must be told. */
static bool idle_remove(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn)
{
    bool watched = conn->watched;

    if (!conn->idle) {
        return false;
    }
    if (conn->prev != NULL) {
        conn->prev->next = conn->next;
    }
    else {
        b->idle = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    conn->idle = false;
    conn->watched = false;
    return watched;
}

static void conn_close(fastcgi_ng_conn_t *conn)
{
    if (conn->shared) {
        fastcgi_ng_mux_remove(conn);
    }
    fastcgi_ng_io_close(conn->fd);
    fcng_conn_del(conn->fcgi);
    free(conn);
}

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
            idle_remove(b, link->data);
        }
        if (verdict == FCNG_POOL_OPEN && link != NULL) {
            conn_close(link->data); /* exchanged */
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

/* By the application, with nothing to answer. */
static void was_closed(const fastcgi_ng_conn_t *conn, uint64_t now)
{
    if (conn->asked) {
        fcng_authz_closed(&conn->backend->authz, conn->no_stdin,
                          now - conn->link.idle_us);
    }
}

static uint64_t due(const fastcgi_ng_backend_t *b, uint64_t now)
{
    uint64_t at = fcng_pool_deadline(b->pool);
    uint64_t watch = now + WATCH_AFTER_US;

    return b->idle != NULL && watch < at ? watch : at;
}

/* ------------------------------------------------------ connections --- */

void fastcgi_ng_backend_close(fastcgi_ng_conn_t *conn)
{
    conn_close(conn);
}

/* The mutex is held where |max_streams| is more than 1. */
static fastcgi_ng_conn_t *conn_new(fastcgi_ng_backend_t *b, int fd,
                                   uint32_t max_streams)
{
    const fcng_pool_options *o = fcng_pool_get_options(b->pool);
    fcng_conn_options options;
    fastcgi_ng_conn_t *conn = calloc(1, sizeof(*conn));

    if (conn == NULL) {
        return NULL;
    }
    memset(&options, 0, sizeof(options));
    options.keep_conn = o->max_idle > 0;
    options.split_large_params = o->split_large_params;
    options.max_streams = max_streams;
    options.stream_buffer = o->stream_buffer;
    conn->fcgi = fcng_conn_new(NULL, &options);
    if (conn->fcgi == NULL) {
        free(conn);
        return NULL;
    }
    conn->link.data = conn;
    conn->link.max_streams = max_streams;
    conn->backend = b;
    conn->fd = fd;
    conn->shared = max_streams > 1;
    if (conn->shared) {
        fastcgi_ng_mux_add(conn);
    }
    return conn;
}

/* A kept connection that turned out dead: forgotten, closed. */
static void drop(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn,
                 enum fastcgi_ng_probe found)
{
    apr_thread_mutex_lock(b->mutex);
    if (found == FASTCGI_NG_CLOSED) {
        was_closed(conn, fastcgi_ng_now());
    }
    fcng_pool_count(b->pool, FCNG_COUNT_STALE);
    fcng_pool_remove(b->pool, &conn->link);
    conn_close(conn);
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

/* ------------------------------------------------- health and its log --- */

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

/* With the mutex held. */
static void health_failed(fastcgi_ng_task_t *task, uint64_t now)
{
    fastcgi_ng_backend_t *b = task->backend;

    fcng_health_failed(&b->health, fcng_pool_get_options(b->pool),
                       task->probe, now);
    task->probe = false;
}

static void connect_failed(const fastcgi_ng_dial_t *dial)
{
    fastcgi_ng_backend_t *b = dial->task->backend;
    uint64_t now, held_back;
    enum fcng_msg msg;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    health_failed(dial->task, now);
    fcng_pool_count(b->pool, FCNG_COUNT_CONNECT);
    msg = fcng_outage_failed(&b->outage, dial->begun_us, now, &held_back);
    apr_thread_mutex_unlock(b->mutex);
    if (msg != FCNG_MSG_COUNT) {
        tell_connect(dial, msg, held_back);
    }
}

/* With the mutex held.  An old connection's answer tells nothing of a server
   that takes no new ones. */
static void health_answered(fastcgi_ng_task_t *task, uint64_t now)
{
    fastcgi_ng_backend_t *b = task->backend;

    if (!task->reused || task->probe
        || fcng_health_state(&b->health, now) == FCNG_HEALTH_UP) {
        fcng_health_answered(&b->health);
    }
    task->probe = false;
    task->answered = true;
}

void fastcgi_ng_backend_look(fastcgi_ng_backend_t *b, fcng_candidate *c)
{
    fcng_pool_counts counts;

    apr_thread_mutex_lock(b->mutex);
    fcng_pool_get_counts(b->pool, &counts);
    c->state = fcng_health_state(&b->health, fastcgi_ng_now());
    c->busy = b->seat != NULL
              ? fcng_share_busy(b->seat)
              : counts.connections - counts.idle + counts.waiting;
    c->full = !fcng_pool_can_start(b->pool);
    apr_thread_mutex_unlock(b->mutex);
}

bool fastcgi_ng_backend_shares(fastcgi_ng_backend_t *b)
{
    bool shares;

    if (fcng_pool_get_options(b->pool)->multiplex == FCNG_MULTIPLEX_OFF) {
        return false;
    }
    apr_thread_mutex_lock(b->mutex);
    shares = fcng_pool_max_streams(b->pool, FCNG_POOL_ANY, fastcgi_ng_now())
             > 1;
    apr_thread_mutex_unlock(b->mutex);
    return shares;
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
        fastcgi_ng_service_at(b->child, due(b, now));
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
    conn = conn_new(b, fd, fcng_pool_max_streams(b->pool, need, now));
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

static fcng_str path_of(const fastcgi_ng_task_t *task)
{
    fcng_str path = { task->r->uri, strlen(task->r->uri) };

    return path;
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
            need = fcng_pool_need_for(b->pool, how->need, path_of(task));
        }
        verdict = ask(task, need, &waiter, &error);
        if (verdict == FCNG_POOL_USE) {
            error = use(task, &waiter);
        }
        if (waiter.conn != NULL) {
            conn = waiter.conn->data;
            wake = idle_remove(b, conn);
        }
        if (verdict == FCNG_POOL_OPEN && conn != NULL) {
            conn_close(conn); /* exchanged */
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

/* Only a new connection's first byte is of interest before the request is
   over: it proves that the application serves that connection.  Another's is
   told with the end, which saves a lock. */
void fastcgi_ng_backend_first_byte(fastcgi_ng_task_t *task)
{
    fastcgi_ng_backend_t *b = task->backend;

    if (!task->reused && task->conn != NULL) {
        apr_thread_mutex_lock(b->mutex);
        fcng_pool_first_byte(b->pool, &task->conn->link, fastcgi_ng_now());
        apr_thread_mutex_unlock(b->mutex);
    }
}

/* The same: others want to know at once. */
void fastcgi_ng_backend_answered(fastcgi_ng_task_t *task)
{
    fastcgi_ng_backend_t *b = task->backend;

    if (!task->answered && (!task->reused || task->probe)) {
        apr_thread_mutex_lock(b->mutex);
        health_answered(task, fastcgi_ng_now());
        apr_thread_mutex_unlock(b->mutex);
    }
}

/* A kept connection that the application has closed meanwhile does not speak
   against the server. */
static void judge(fastcgi_ng_task_t *task, bool answered, uint64_t now)
{
    bool stale = task->stream != NULL
                 ? task->stream->blameless
                 : task->reused && task->error != FCNG_ERR_TIMEOUT;

    if (answered) {
        if (!task->answered) {
            health_answered(task, now);
        }
    }
    else if (fcng_health_counts(task->error) && !stale
             && !task->client_gone) {
        health_failed(task, now);
    }
    fcng_health_dropped(&task->backend->health, task->probe);
    task->probe = false;
}

/* Of a response that was cut, only that it was large. */
static void learn(const fastcgi_ng_task_t *task)
{
    bool whole = task->error == FCNG_OK && task->ended;

    if (task->question == NULL && task->head.done
        && (whole || task->head.body >= FCNG_POOL_LARGE)) {
        fcng_pool_learn(task->backend->pool, path_of(task), task->head.body);
    }
}

/* What became of a question, and of the one before on that connection, which
   was no shared one: those close for other reasons, too. */
static void judge_authorizer(fastcgi_ng_task_t *task, fastcgi_ng_conn_t *conn,
                             bool answered, uint64_t now)
{
    fastcgi_ng_backend_t *b = task->backend;
    bool closed = !answered && (task->error == FCNG_ERR_CLOSED
                                || task->error == FCNG_ERR_IO);

    if (task->reused && closed && !task->client_gone) {
        was_closed(conn, now);
    }
    else if (task->question != NULL && answered && task->reused) {
        fcng_authz_kept(&b->authz);
    }
    else if (task->no_stdin && !answered
             && (closed || task->error == FCNG_ERR_TIMEOUT)) {
        fcng_authz_unanswered(&b->authz);
    }
    conn->asked = task->question != NULL;
    conn->no_stdin = task->no_stdin || task->conf->auth.send_stdin == 0;
    conn->soon = conn->asked && fcng_authz_undecided(&b->authz);
}

void fastcgi_ng_backend_release(fastcgi_ng_task_t *task, bool reusable,
                                const fcng_outcome *outcome,
                                enum fcng_counter counter, bool retried)
{
    fastcgi_ng_backend_t *b = task->backend;
    fastcgi_ng_conn_t *conn = task->conn;
    uint64_t at, now;
    bool watch = false;

    task->conn = NULL;
    if (atomic_load_explicit(&b->child->stopping, memory_order_relaxed)) {
        reusable = false;
    }
    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    judge(task, outcome->answered, now);
    if (conn != NULL) {
        judge_authorizer(task, conn, outcome->answered, now);
    }
    if (conn != NULL && task->reused && task->first_byte_us > 0) {
        fcng_pool_first_byte(b->pool, &conn->link, task->first_byte_us);
    }
    fcng_pool_count(b->pool, counter);
    learn(task);
    if (retried) {
        fcng_pool_count(b->pool, FCNG_COUNT_RETRIED);
    }
    if (conn == NULL) {
        fastcgi_ng_stream_del(b, task->stream); /* it has left already */
        task->stream = NULL;
    }
    else if (fcng_pool_release(b->pool, &conn->link, reusable, now)) {
        idle_add(b, conn);
        watch = conn->soon;
    }
    else {
        conn_close(conn);
    }
    fastcgi_ng_backend_serve(b, now);
    at = due(b, now);
    apr_thread_mutex_unlock(b->mutex);
    fastcgi_ng_service_at(b->child, watch ? now : at);
}

/* ------------------------------------------------ the service thread's --- */

static void close_idle(fastcgi_ng_backend_t *b)
{
    fcng_pool_conn *link;

    do {
        apr_thread_mutex_lock(b->mutex);
        link = fcng_pool_close_idle(b->pool);
        if (link != NULL) {
            idle_remove(b, link->data);
            conn_close(link->data);
        }
        fastcgi_ng_backend_serve(b, fastcgi_ng_now());
        apr_thread_mutex_unlock(b->mutex);
    } while (link != NULL);
}

/* Mutex held.  Connections that are to be opened ahead. */
static void want_ahead(fastcgi_ng_backend_t *b, uint64_t now)
{
    while (fcng_pool_open_ahead(b->pool, now)) {
        if (b->child->ahead == NULL
            || atomic_load_explicit(&b->child->stopping,
                                    memory_order_relaxed)) {
            fcng_pool_opened_ahead(b->pool, NULL, now);
        }
        else {
            b->ahead++;
        }
    }
}

/* What has come of it; |fd| may be -1. */
static void opened_ahead(fastcgi_ng_dial_t *dial, int fd)
{
    fastcgi_ng_backend_t *b = dial->backend;
    fastcgi_ng_conn_t *conn = NULL;
    bool tell;

    apr_thread_mutex_lock(b->mutex);
    if (fd >= 0) {
        conn = conn_new(b, fd, fcng_pool_max_streams(b->pool, FCNG_POOL_ANY,
                                                     fastcgi_ng_now()));
    }
    if (conn == NULL && fd >= 0) {
        fastcgi_ng_io_close(fd);
    }
    else if (conn != NULL && atomic_load(&b->child->stopping)) {
        conn_close(conn);
        conn = NULL;
    }
    fcng_pool_opened_ahead(b->pool, conn != NULL ? &conn->link : NULL,
                           fastcgi_ng_now());
    if (conn != NULL && !conn->shared) {
        idle_add(b, conn);
    }
    tell = fd < 0 && !b->ahead_told && !atomic_load(&b->child->stopping);
    b->ahead_told = fd < 0;
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
    if (tell) {
        ap_log_error(APLOG_MARK, APLOG_WARNING,
                     APR_FROM_OS_ERROR(dial->error), b->child->server,
                     "%s: %s: connect() failed, no connection is opened "
                     "ahead (FastCgiNgPool min_idle=%u)",
                     fcng_msg_tag(FCNG_MSG_CONNECT), b->address->text,
                     fcng_pool_get_options(b->pool)->min_idle);
    }
}

bool fastcgi_ng_backend_open_ahead(fastcgi_ng_backend_t *b)
{
    fastcgi_ng_dial_t dial;
    bool wanted;

    apr_thread_mutex_lock(b->mutex);
    wanted = b->ahead > 0;
    if (wanted) {
        b->ahead--;
    }
    apr_thread_mutex_unlock(b->mutex);
    if (!wanted) {
        return false;
    }
    memset(&dial, 0, sizeof(dial));
    dial.backend = b;
    dial.begun_us = fastcgi_ng_now();
    dial.deadline_us = dial.begun_us + AHEAD_US;
    opened_ahead(&dial, fastcgi_ng_io_connect(&dial));
    return true;
}

void fastcgi_ng_backend_expire(fastcgi_ng_backend_t *b)
{
    fcng_pool_conn *link;
    bool ahead;
    uint64_t now;

    do {
        apr_thread_mutex_lock(b->mutex);
        now = fastcgi_ng_now();
        link = fcng_pool_expire(b->pool, now);
        if (link != NULL) {
            idle_remove(b, link->data);
            conn_close(link->data);
        }
        else {
            want_ahead(b, now);
        }
        ahead = b->ahead > 0;
        fastcgi_ng_backend_serve(b, now);
        apr_thread_mutex_unlock(b->mutex);
    } while (link != NULL);
    if (ahead) {
        fastcgi_ng_ahead_wake(b->child);
    }
}

void fastcgi_ng_backend_recheck(fastcgi_ng_backend_t *b,
                                fastcgi_ng_conn_t *suspect, bool read,
                                bool write)
{
    enum fastcgi_ng_probe state = FASTCGI_NG_ALIVE;
    fastcgi_ng_conn_t *conn;

    /* |suspect| may be freed, or another one by now: it is looked for. */
    apr_thread_mutex_lock(b->mutex);
    for (conn = b->idle; conn != NULL && conn != suspect; conn = conn->next) {
        continue;
    }
    if (conn != NULL) {
        state = fastcgi_ng_io_probe(conn->fd);
        if (state == FASTCGI_NG_CLOSED) {
            was_closed(conn, fastcgi_ng_now());
        }
        if (state != FASTCGI_NG_ALIVE) {
            idle_remove(b, conn);
            fcng_pool_remove(b->pool, &conn->link);
            conn_close(conn);
            fastcgi_ng_backend_serve(b, fastcgi_ng_now());
        }
    }
    apr_thread_mutex_unlock(b->mutex);
    if (state == FASTCGI_NG_STRAY) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, b->child->server,
                     "%s: %s: the application sent bytes after the end of a "
                     "request; the connection is closed",
                     fcng_msg_tag(FCNG_MSG_STRAY), b->address->text);
    }
}

void fastcgi_ng_child_close_idle(fastcgi_ng_child_t *child)
{
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        close_idle(APR_ARRAY_IDX(child->backends, i,
                                 fastcgi_ng_backend_t *));
    }
}

/* ------------------------------------------------------ begin and end --- */

static apr_status_t backend_cleanup(void *data)
{
    fastcgi_ng_backend_t *b = data;
    fcng_pool_counts counts;

    fcng_pool_get_counts(b->pool, &counts);
    fastcgi_ng_io_forget_names(b);
    fastcgi_ng_stream_free(b);
    if (counts.connections > 0) {
        b->child->in_use = true; /* a request still runs; the process ends
                                    anyway */
        return APR_SUCCESS;
    }
    fcng_pool_del(b->pool);
    fcng_share_detach(b->seat);
    return APR_SUCCESS;
}

static fastcgi_ng_backend_t *backend_create(fastcgi_ng_child_t *child,
                                            const fastcgi_ng_app_t *app,
                                            fastcgi_ng_address_t *address)
{
    fastcgi_ng_backend_t *b = apr_pcalloc(child->pool, sizeof(*b));

    b->address = address;
    b->child = child;
    b->pool = fcng_pool_new(NULL, &app->options);
    if (b->pool == NULL
        || apr_thread_mutex_create(&b->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   child->pool) != APR_SUCCESS) {
        return NULL;
    }
    b->seat = fastcgi_ng_shared_attach(child, address);
    if (b->seat != NULL) {
        fcng_pool_share(b->pool, b->seat);
    }
    fcng_outage_init(&b->outage);
    apr_pool_cleanup_register(child->pool, b, backend_cleanup,
                              apr_pool_cleanup_null);
    APR_ARRAY_PUSH(child->backends, fastcgi_ng_backend_t *) = b;
    return b;
}

/* The same address with the same limits is one backend, whatever app names
   it: a hundred virtual hosts with a pool "php" each have one queue. */
static fastcgi_ng_backend_t *backend_for(fastcgi_ng_child_t *child,
                                         const fastcgi_ng_app_t *app,
                                         fastcgi_ng_address_t *address,
                                         apr_hash_t *known)
{
    apr_array_header_t *list = apr_hash_get(known, address->key,
                                            APR_HASH_KEY_STRING);
    fastcgi_ng_backend_t *b;
    int i;

    if (list == NULL) {
        list = apr_array_make(child->pool, 1, sizeof(b));
        apr_hash_set(known, address->key, APR_HASH_KEY_STRING, list);
    }
    for (i = 0; i < list->nelts; i++) {
        b = APR_ARRAY_IDX(list, i, fastcgi_ng_backend_t *);
        if (fcng_pool_options_equal(fcng_pool_get_options(b->pool),
                                    &app->options)) {
            return b;
        }
    }
    b = backend_create(child, app, address);
    if (b != NULL) {
        APR_ARRAY_PUSH(list, fastcgi_ng_backend_t *) = b;
    }
    return b;
}

static apr_status_t app_create(fastcgi_ng_child_t *child,
                               fastcgi_ng_app_t *app, apr_hash_t *known)
{
    int i;

    atomic_init(&app->turn, (unsigned)getpid()); /* not all children alike */

    app->backends = apr_pcalloc(child->pool, sizeof(*app->backends)
                                * (apr_size_t)app->addresses->nelts);
    for (i = 0; i < app->addresses->nelts; i++) {
        app->backends[i] = backend_for(
            child, app,
            &APR_ARRAY_IDX(app->addresses, i, fastcgi_ng_address_t), known);
        if (app->backends[i] == NULL) {
            return APR_ENOMEM;
        }
    }
    return APR_SUCCESS;
}

/* A virtual host sees the main server's apps too: each is made once. */
static apr_status_t server_create(fastcgi_ng_child_t *child, server_rec *s,
                                  apr_hash_t *seen, apr_hash_t *known)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(s->module_config, &fastcgi_ng_module);
    apr_status_t rv = APR_SUCCESS;
    apr_hash_index_t *hi;

    for (hi = apr_hash_first(child->pool, conf->apps);
         hi != NULL && rv == APR_SUCCESS; hi = apr_hash_next(hi)) {
        fastcgi_ng_app_t *app = apr_hash_this_val(hi);

        if (apr_hash_get(seen, &app, sizeof(app)) == NULL) {
            fastcgi_ng_app_t **key = apr_pmemdup(child->pool, &app,
                                                 sizeof(app));

            apr_hash_set(seen, key, sizeof(app), app);
            rv = app_create(child, app, known);
        }
    }
    return rv;
}

static apr_status_t child_leave(void *data)
{
    fastcgi_ng_shared_leave(data);
    return APR_SUCCESS;
}

apr_status_t fastcgi_ng_child_create(apr_pool_t *pchild, server_rec *s)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(s->module_config, &fastcgi_ng_module);
    fastcgi_ng_child_t *child = apr_pcalloc(pchild, sizeof(*child));
    apr_hash_t *seen = apr_hash_make(pchild), *known = apr_hash_make(pchild);
    apr_status_t rv = APR_SUCCESS;
    server_rec *each;

    child->pool = pchild;
    child->server = s;
    child->backends = apr_array_make(pchild, 4,
                                     sizeof(fastcgi_ng_backend_t *));
    atomic_init(&child->stopping, false);
    atomic_init(&child->aborting, false);
    fastcgi_ng_shared_join(child);
    /* Run last: after those of the backends. */
    apr_pool_cleanup_register(pchild, child, child_leave,
                              apr_pool_cleanup_null);
    for (each = s; each != NULL && rv == APR_SUCCESS; each = each->next) {
        rv = server_create(child, each, seen, known);
    }
    conf->child = child;
    return rv;
}
