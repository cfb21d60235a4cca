/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pools of a child process: the core's fcng_pool of each address under a
 * mutex, the connections behind it, and one condition for each request that
 * waits.
 *
 * No call that may block is made with a mutex held.  A connection that is
 * handed out has left the list of idle ones, so nobody else knows of it.  The
 * time is asked with the mutex held, or it would go backwards for the pool.
 */
#include "fastcgi_ng.h"

#define CLIENT_CHECK_US 200000 /* a waiting request looks for its client */
#define WATCH_AFTER_US 200000  /* idle connections are watched after that */
#define CONNECT_LINES 5        /* lines a second about failed connects */

typedef struct waiter_t {
    fcng_pool_wait link;
    apr_thread_cond_t *cond;
    bool done;
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

/* Wakes those waiters that may go on or have waited too long. */
static void serve_queue(fastcgi_ng_backend_t *b, uint64_t now)
{
    enum fcng_pool_verdict verdict;
    fcng_pool_wait *wait;
    fcng_pool_conn *link;

    while ((verdict = fcng_pool_next(b->pool, now, &wait, &link))
           != FCNG_POOL_WAIT) {
        waiter_t *waiter = wait->data;

        if (link != NULL) {
            idle_remove(b, link->data);
        }
        waiter->verdict = verdict;
        waiter->conn = link;
        waiter->done = true;
        apr_thread_cond_signal(waiter->cond);
    }
}

static uint64_t due(const fastcgi_ng_backend_t *b, uint64_t now)
{
    uint64_t at = fcng_pool_deadline(b->pool);
    uint64_t watch = now + WATCH_AFTER_US;

    return b->idle != NULL && watch < at ? watch : at;
}

/* ------------------------------------------------------ connections --- */

static void conn_close(fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_io_close(conn->fd);
    fcng_conn_del(conn->fcgi);
    free(conn);
}

static fastcgi_ng_conn_t *conn_new(fastcgi_ng_backend_t *b, int fd)
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
    conn->fcgi = fcng_conn_new(NULL, &options);
    if (conn->fcgi == NULL) {
        free(conn);
        return NULL;
    }
    conn->link.data = conn;
    conn->backend = b;
    conn->fd = fd;
    return conn;
}

/* A connection that turned out dead: forgotten, closed. */
static void drop(fastcgi_ng_backend_t *b, fastcgi_ng_conn_t *conn)
{
    apr_thread_mutex_lock(b->mutex);
    fcng_pool_remove(b->pool, &conn->link);
    serve_queue(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
    conn_close(conn);
}

static void give_up(fastcgi_ng_backend_t *b)
{
    apr_thread_mutex_lock(b->mutex);
    fcng_pool_give_up(b->pool);
    serve_queue(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
}

/* ------------------------------------------------- health and its log --- */

bool fastcgi_ng_backend_is_down(fastcgi_ng_backend_t *b, uint64_t now)
{
    bool down;

    apr_thread_mutex_lock(b->mutex);
    down = b->down_until_us > now;
    apr_thread_mutex_unlock(b->mutex);
    return down;
}

static void tell_connect(const fastcgi_ng_dial_t *dial, bool first,
                         uint64_t held_back)
{
    fastcgi_ng_task_t *task = dial->task;
    enum fcng_msg msg = first ? FCNG_MSG_DOWN : FCNG_MSG_CONNECT;
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

/* An address that goes down is told once, with what to do about it; single
   requests that find it down only a few times a second. */
static void connect_failed(const fastcgi_ng_dial_t *dial)
{
    fastcgi_ng_backend_t *b = dial->task->backend;
    const fcng_pool_options *o;
    uint64_t now, held_back = 0;
    bool tell, first;

    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    o = fcng_pool_get_options(b->pool);
    b->fails++;
    b->refused++;
    if (o->max_fails > 0 && b->fails >= o->max_fails) {
        b->down_until_us = now + o->fail_timeout_us;
    }
    first = !b->down_told;
    b->down_told = true;
    tell = fcng_rate_allow(&b->connect_rate, now);
    if (tell) {
        held_back = b->connect_rate.dropped;
        b->connect_rate.dropped = 0;
    }
    apr_thread_mutex_unlock(b->mutex);
    if (tell || first) {
        tell_connect(dial, first, held_back);
    }
}

/* With the mutex held; returns how many requests it had cost, or 0. */
static uint64_t came_back(fastcgi_ng_backend_t *b)
{
    uint64_t refused = b->down_told ? b->refused : 0;

    b->fails = 0;
    b->refused = 0;
    b->down_until_us = 0;
    b->down_told = false;
    return refused;
}

/* ---------------------------------------------------------- acquire --- */

static bool keep_waiting(fastcgi_ng_task_t *task, waiter_t *waiter)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t now = fastcgi_ng_now();
    uint64_t left = task->end_us > now ? task->end_us - now : 0;

    apr_thread_cond_timedwait(waiter->cond, b->mutex,
                              left < CLIENT_CHECK_US
                                  ? (apr_interval_time_t)left
                                  : CLIENT_CHECK_US);
    if (waiter->done) {
        return false;
    }
    if (fastcgi_ng_io_client_gone(task)) {
        task->client_gone = true;
    }
    else if (fastcgi_ng_now() < task->end_us) {
        return true;
    }
    fcng_pool_cancel(b->pool, &waiter->link);
    waiter->verdict = FCNG_POOL_REFUSE;
    return false;
}

/* Mutex held.  What the pool says, after waiting if need be. */
static enum fcng_pool_verdict ask(fastcgi_ng_task_t *task,
                                  enum fcng_pool_need need, waiter_t *waiter,
                                  int *error)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t now = fastcgi_ng_now();
    enum fcng_pool_verdict verdict;

    if (waiter->cond == NULL) {
        apr_thread_cond_create(&waiter->cond, task->r->pool);
    }
    verdict = fcng_pool_acquire(b->pool, &waiter->link, need, now,
                                &waiter->conn);
    *error = FCNG_ERR_QUEUE_FULL;
    if (verdict == FCNG_POOL_WAIT) {
        *error = FCNG_ERR_QUEUE_TIMEOUT;
        fastcgi_ng_service_at(b->child, due(b, now));
        while (keep_waiting(task, waiter)) {
            continue;
        }
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
    switch (fastcgi_ng_io_probe(conn->fd)) {
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
    drop(task->backend, conn);
    return false;
}

static int open_new(fastcgi_ng_task_t *task, bool patient)
{
    fastcgi_ng_backend_t *b = task->backend;
    uint64_t refused, begun = fastcgi_ng_now();
    fastcgi_ng_dial_t dial;
    fastcgi_ng_conn_t *conn;
    int fd;

    memset(&dial, 0, sizeof(dial));
    dial.task = task;
    dial.patient = patient;
    dial.deadline_us = begun + (uint64_t)task->conf->connect_timeout;
    if (task->end_us < dial.deadline_us) {
        dial.deadline_us = task->end_us;
    }
    fd = fastcgi_ng_io_connect(&dial);
    task->connect_us += fastcgi_ng_now() - begun;
    if (fd < 0) {
        give_up(b);
        if (task->client_gone) {
            return FCNG_ERR_CLOSED;
        }
        if (dial.timed_out && dial.deadline_us == task->end_us) {
            return FCNG_ERR_TIMEOUT;
        }
        connect_failed(&dial);
        return FCNG_ERR_CONNECT;
    }
    conn = conn_new(b, fd);
    if (conn == NULL) {
        fastcgi_ng_io_close(fd);
        give_up(b);
        return FCNG_ERR_NOMEM;
    }
    apr_thread_mutex_lock(b->mutex);
    fcng_pool_add(b->pool, &conn->link, begun);
    fcng_pool_started(b->pool, &conn->link, fastcgi_ng_now());
    refused = came_back(b);
    apr_thread_mutex_unlock(b->mutex);
    if (refused > 0) {
        fastcgi_ng_log(task, APLOG_NOTICE, FCNG_MSG_UP,
                       "the application is back; %" APR_UINT64_T_FMT
                       " attempts to connect had failed",
                       (apr_uint64_t)refused);
    }
    task->conn = conn;
    task->reused = false;
    return FCNG_OK;
}

int fastcgi_ng_backend_acquire(fastcgi_ng_task_t *task,
                               enum fcng_pool_need need, bool patient)
{
    fastcgi_ng_backend_t *b = task->backend;
    enum fcng_pool_verdict verdict;
    fastcgi_ng_conn_t *conn;
    waiter_t waiter;
    bool wake;
    int error;

    memset(&waiter, 0, sizeof(waiter));
    waiter.link.data = &waiter;
    for (;;) {
        conn = NULL;
        wake = false;
        waiter.done = false;
        apr_thread_mutex_lock(b->mutex);
        verdict = ask(task, need, &waiter, &error);
        if (waiter.conn != NULL) {
            conn = waiter.conn->data;
            wake = idle_remove(b, conn);
        }
        if (verdict == FCNG_POOL_USE) {
            fcng_pool_started(b->pool, &conn->link, fastcgi_ng_now());
        }
        apr_thread_mutex_unlock(b->mutex);
        if (wake) {
            fastcgi_ng_service_wake(b->child);
        }
        if (verdict == FCNG_POOL_OPEN) {
            if (conn != NULL) {
                conn_close(conn); /* exchanged */
            }
            return open_new(task, patient);
        }
        if (verdict == FCNG_POOL_REFUSE) {
            return error;
        }
        if (usable(task, conn)) {
            task->conn = conn;
            task->reused = true;
            return FCNG_OK;
        }
    }
}

/* Only a new connection's first byte is of interest before the request is
   over: it proves that the application serves that connection. */
void fastcgi_ng_backend_first_byte(fastcgi_ng_task_t *task)
{
    fastcgi_ng_backend_t *b = task->backend;

    if (!task->reused) {
        apr_thread_mutex_lock(b->mutex);
        fcng_pool_first_byte(b->pool, &task->conn->link, fastcgi_ng_now());
        apr_thread_mutex_unlock(b->mutex);
    }
}

void fastcgi_ng_backend_release(fastcgi_ng_task_t *task, bool reusable)
{
    fastcgi_ng_backend_t *b = task->backend;
    fastcgi_ng_conn_t *conn = task->conn;
    uint64_t at, now;
    bool kept;

    task->conn = NULL;
    if (atomic_load_explicit(&b->child->stopping, memory_order_relaxed)) {
        reusable = false;
    }
    apr_thread_mutex_lock(b->mutex);
    now = fastcgi_ng_now();
    kept = fcng_pool_release(b->pool, &conn->link, reusable, now);
    if (kept) {
        idle_add(b, conn);
    }
    serve_queue(b, now);
    at = due(b, now);
    apr_thread_mutex_unlock(b->mutex);
    if (!kept) {
        conn_close(conn);
    }
    fastcgi_ng_service_at(b->child, at);
}

/* ------------------------------------------------ the service thread's --- */

void fastcgi_ng_backend_expire(fastcgi_ng_backend_t *b)
{
    fcng_pool_conn *link;
    uint64_t now;

    do {
        apr_thread_mutex_lock(b->mutex);
        now = fastcgi_ng_now();
        link = fcng_pool_expire(b->pool, now);
        if (link != NULL) {
            idle_remove(b, link->data);
        }
        serve_queue(b, now);
        apr_thread_mutex_unlock(b->mutex);
        if (link != NULL) {
            conn_close(link->data);
        }
    } while (link != NULL);
}

void fastcgi_ng_backend_recheck(fastcgi_ng_backend_t *b,
                                const fastcgi_ng_conn_t *suspect)
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
        if (state != FASTCGI_NG_ALIVE) {
            idle_remove(b, conn);
            fcng_pool_remove(b->pool, &conn->link);
            serve_queue(b, fastcgi_ng_now());
        }
    }
    apr_thread_mutex_unlock(b->mutex);
    if (state == FASTCGI_NG_STRAY) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, b->child->server,
                     "%s: %s: the application sent bytes after the end of a "
                     "request; the connection is closed",
                     fcng_msg_tag(FCNG_MSG_STRAY), b->address->text);
    }
    if (state != FASTCGI_NG_ALIVE) {
        conn_close(conn);
    }
}

void fastcgi_ng_child_close_idle(fastcgi_ng_child_t *child)
{
    fcng_pool_conn *link;
    int i;

    for (i = 0; i < child->backends->nelts; i++) {
        fastcgi_ng_backend_t *b
            = APR_ARRAY_IDX(child->backends, i, fastcgi_ng_backend_t *);

        do {
            apr_thread_mutex_lock(b->mutex);
            link = fcng_pool_close_idle(b->pool);
            if (link != NULL) {
                idle_remove(b, link->data);
            }
            apr_thread_mutex_unlock(b->mutex);
            if (link != NULL) {
                conn_close(link->data);
            }
        } while (link != NULL);
    }
}

/* ------------------------------------------------------ begin and end --- */

static apr_status_t backend_cleanup(void *data)
{
    fastcgi_ng_backend_t *b = data;
    fcng_pool_counts counts;

    fcng_pool_get_counts(b->pool, &counts);
    fastcgi_ng_io_forget_names(b);
    if (counts.connections == 0) {
        fcng_pool_del(b->pool); /* else: a request still runs; the process
                                   ends anyway */
    }
    return APR_SUCCESS;
}

static fastcgi_ng_backend_t *backend_create(fastcgi_ng_child_t *child,
                                            fastcgi_ng_app_t *app,
                                            fastcgi_ng_address_t *address)
{
    fastcgi_ng_backend_t *b = apr_pcalloc(child->pool, sizeof(*b));

    b->app = app;
    b->address = address;
    b->child = child;
    b->pool = fcng_pool_new(NULL, &app->options);
    if (b->pool == NULL
        || apr_thread_mutex_create(&b->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   child->pool) != APR_SUCCESS) {
        return NULL;
    }
    fcng_rate_init(&b->connect_rate, CONNECT_LINES);
    apr_pool_cleanup_register(child->pool, b, backend_cleanup,
                              apr_pool_cleanup_null);
    APR_ARRAY_PUSH(child->backends, fastcgi_ng_backend_t *) = b;
    return b;
}

static apr_status_t app_create(fastcgi_ng_child_t *child,
                               fastcgi_ng_app_t *app)
{
    int i;

    app->backends = apr_pcalloc(child->pool, sizeof(*app->backends)
                                * (apr_size_t)app->addresses->nelts);
    for (i = 0; i < app->addresses->nelts; i++) {
        app->backends[i] = backend_create(
            child, app,
            &APR_ARRAY_IDX(app->addresses, i, fastcgi_ng_address_t));
        if (app->backends[i] == NULL) {
            return APR_ENOMEM;
        }
    }
    return APR_SUCCESS;
}

/* A virtual host sees the main server's apps too: each is made once. */
static apr_status_t server_create(fastcgi_ng_child_t *child, server_rec *s,
                                  apr_hash_t *seen)
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
            rv = app_create(child, app);
        }
    }
    return rv;
}

apr_status_t fastcgi_ng_child_create(apr_pool_t *pchild, server_rec *s)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(s->module_config, &fastcgi_ng_module);
    fastcgi_ng_child_t *child = apr_pcalloc(pchild, sizeof(*child));
    apr_hash_t *seen = apr_hash_make(pchild);
    apr_status_t rv = APR_SUCCESS;
    server_rec *each;

    child->pool = pchild;
    child->server = s;
    child->backends = apr_array_make(pchild, 4,
                                     sizeof(fastcgi_ng_backend_t *));
    atomic_init(&child->stopping, false);
    atomic_init(&child->aborting, false);
    for (each = s; each != NULL && rv == APR_SUCCESS; each = each->next) {
        rv = server_create(child, each, seen);
    }
    conf->child = child;
    return rv;
}
