/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of a child process: the core's fcng_pool of each address under a
 * mutex, and the connections behind it: made, kept, given back, closed.  How a
 * request gets one is in fastcgi_ng_acquire.c, what becomes of those that no
 * request has in fastcgi_ng_idle.c, their beginning and end in
 * fastcgi_ng_child.c.
 *
 * No call that may block is made with a mutex held.  close() is none, and is
 * made with it: the pool gives a closed connection's place to others, who must
 * not connect before.  A connection that is handed out has left the list of
 * idle ones, so nobody else knows of it.  The time is asked with the mutex
 * held, or it would go backwards for the pool.
 */
#include "fastcgi_ng.h"

#define WATCH_AFTER_US 200000  /* idle connections are watched after that */

/* ---------------------------------------------- with the mutex held --- */

void fastcgi_ng_idle_add(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn)
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
bool fastcgi_ng_idle_remove(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn)
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

void fastcgi_ng_backend_close(fastcgi_ng_conn_t *conn)
{
    if (conn->shared) {
        fastcgi_ng_mux_remove(conn);
    }
    fastcgi_ng_io_close(conn->fd);
    fcng_conn_del(conn->fcgi);
    free(conn);
}

/* By the application, with nothing to answer. */
void fastcgi_ng_conn_was_closed(const fastcgi_ng_conn_t *conn, uint64_t now)
{
    if (conn->asked) {
        fcng_authz_closed(&conn->backend->authz, conn->no_stdin,
                          now - conn->link.idle_us);
    }
}

uint64_t fastcgi_ng_backend_due(const fastcgi_ng_backend_t *b, uint64_t now)
{
    uint64_t at = fcng_pool_deadline(b->pool);
    uint64_t watch = now + WATCH_AFTER_US;

    return b->idle != NULL && watch < at ? watch : at;
}

/* ------------------------------------------------------ connections --- */

/* The mutex is held where |max_streams| is more than 1. */
fastcgi_ng_conn_t *fastcgi_ng_conn_new(fastcgi_ng_backend_t *b, int fd,
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

/* ----------------------------------------------------------- health --- */

/* With the mutex held. */
void fastcgi_ng_backend_failed(fastcgi_ng_task_t *task, uint64_t now)
{
    fastcgi_ng_backend_t *b = task->backend;

    fcng_health_failed(&b->health, fcng_pool_get_options(b->pool),
                       task->probe, now);
    task->probe = false;
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

/* ---------------------------------------------------------- answers --- */

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

/* ---------------------------------------------------------- release --- */

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
        fastcgi_ng_backend_failed(task, now);
    }
    fcng_health_dropped(&task->backend->health, task->probe);
    task->probe = false;
}

fcng_str fastcgi_ng_task_path(const fastcgi_ng_task_t *task)
{
    fcng_str path = { task->r->uri, strlen(task->r->uri) };

    return path;
}

/* Of a response that was cut, only that it was large. */
static void learn(const fastcgi_ng_task_t *task)
{
    bool whole = task->error == FCNG_OK && task->ended;

    if (task->question == NULL && task->head.done
        && (whole || task->head.body >= FCNG_POOL_LARGE)) {
        fcng_pool_learn(task->backend->pool, fastcgi_ng_task_path(task),
                        task->head.body);
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
        fastcgi_ng_conn_was_closed(conn, now);
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
        fastcgi_ng_idle_add(b, conn);
        watch = conn->soon;
    }
    else {
        fastcgi_ng_backend_close(conn);
    }
    fastcgi_ng_backend_serve(b, now);
    at = fastcgi_ng_backend_due(b, now);
    apr_thread_mutex_unlock(b->mutex);
    fastcgi_ng_service_at(b->child, watch ? now : at);
}
