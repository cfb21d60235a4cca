/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that requests share, and the thread that reads them, one in each
 * child process.  It gives what comes to the streams of the requests, whose
 * threads take it from there, and never waits for one of them.
 *
 * Everything here but the thread's sleep happens with the backend's mutex
 * held, also recv() and sendmsg(), which do not block: so a connection in the
 * list is open, and one that is closed is in no list.
 *
 * A request leaves its connection when it is over, is given up, or the
 * connection is dead.  While bytes become events requests leave, but what
 * follows from that (places in the pool, the connection's end) is done behind
 * that in settle().
 */
#include "fastcgi_ng.h"

#define READ_SIZE 65536
#define COMPLAINTS_MAX 65536 /* STDERR that waits to be logged */

struct fastcgi_ng_mux_t {
    apr_thread_t *thread;
    fastcgi_ng_child_t *child;
    fastcgi_ng_watch_t *watch;
    atomic_bool stop;
    char buf[READ_SIZE];
};

/* --------------------------------------------------------- connections --- */

void fastcgi_ng_mux_add(fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_backend_t *b = conn->backend;

    conn->prev = NULL;
    conn->next = b->shared;
    if (b->shared != NULL) {
        b->shared->prev = conn;
    }
    b->shared = conn;
    fastcgi_ng_mux_wake(b->child);
}

/* The thread may sleep on its descriptor: shutdown() wakes it. */
void fastcgi_ng_mux_remove(fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_backend_t *b = conn->backend;

    if (conn->prev != NULL) {
        conn->prev->next = conn->next;
    }
    else {
        b->shared = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    if (b->shared == NULL) {
        fastcgi_ng_stream_free(b);
    }
}

static void fail(fastcgi_ng_conn_t *conn, int err, uint64_t now);

static void judge(fastcgi_ng_conn_t *conn, uint64_t now)
{
    fastcgi_ng_backend_t *b = conn->backend;

    if (!fcng_pool_judge(b->pool, &conn->link, conn->fcgi, now)) {
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, b->child->server,
                 "%s: %s: the application does not multiplex, though %s: its "
                 "connections are not shared from now on",
                 fcng_msg_tag(FCNG_MSG_MULTIPLEX), b->address->text,
                 fcng_pool_get_options(b->pool)->multiplex
                 == FCNG_MULTIPLEX_ON ? "\"multiplex=on\" says so"
                                      : "it answered FCGI_MPXS_CONNS=1");
}

/* What follows from what has happened on it.  False: it is closed. */
static bool settle(fastcgi_ng_conn_t *conn, uint64_t now)
{
    fastcgi_ng_backend_t *b = conn->backend;
    bool kept = true;

    judge(conn, now);
    fcng_pool_set_zombies(b->pool, &conn->link,
                          fcng_conn_zombies(conn->fcgi));
    if (!conn->retired && (conn->deaf || conn->silent
                           || fcng_conn_retired(conn->fcgi))) {
        conn->retired = true;
        if (conn->nstreams == 0) {
            fcng_pool_remove(b->pool, &conn->link);
            kept = false;
        }
        else {
            fcng_pool_retire(b->pool, &conn->link);
        }
    }
    for (; conn->over > 0; conn->over--) {
        conn->nstreams--;
        conn->delivered = conn->delivered && conn->nstreams > 0;
        kept = fcng_pool_release(
            b->pool, &conn->link, !conn->retired
            && !atomic_load_explicit(&b->child->stopping,
                                     memory_order_relaxed), now);
    }
    if (!kept) {
        fastcgi_ng_backend_close(conn);
    }
    return kept;
}

/* ------------------------------------------------------------- streams --- */

static void enter(fastcgi_ng_stream_t *stream, fastcgi_ng_conn_t *conn)
{
    stream->conn = conn;
    stream->prev = NULL;
    stream->next = conn->streams;
    if (conn->streams != NULL) {
        conn->streams->prev = stream;
    }
    conn->streams = stream;
}

/* Off its connection; the pool is not told yet. */
static void detach(fastcgi_ng_stream_t *stream, uint64_t now)
{
    fastcgi_ng_conn_t *conn = stream->conn;

    stream->started = fcng_request_started(stream->request);
    stream->answered = stream->answered
                       || fcng_request_answered(stream->request);
    stream->sent = fcng_request_sent(stream->request);
    fcng_conn_expire(conn->fcgi, now);
    fcng_request_release(stream->request); /* before its end, a cancel */
    stream->request = NULL;
    stream->conn = NULL;
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    }
    else {
        conn->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    conn->over++;
}

int fastcgi_ng_mux_begin(fastcgi_ng_task_t *task, fastcgi_ng_conn_t *conn,
                         uint64_t now)
{
    fastcgi_ng_backend_t *b = conn->backend;
    fastcgi_ng_stream_t *stream = fastcgi_ng_stream_new(b);
    int err = FCNG_ERR_NOMEM;

    conn->nstreams++;
    if (stream != NULL) {
        err = fastcgi_ng_task_submit(task, conn, stream, &stream->request);
    }
    if (err != FCNG_OK) {
        if (stream != NULL) {
            fastcgi_ng_stream_del(b, stream);
        }
        fcng_pool_count(b->pool, fcng_counter_of(err));
        conn->over++;
        settle(conn, now);
        return err;
    }
    enter(stream, conn);
    stream->reused = conn->answered;
    fcng_pool_started(b->pool, &conn->link, now);
    task->stream = stream;
    task->sent_us = now;
    task->stream_id = fcng_request_id(stream->request);
    task->reused = stream->reused;
    return FCNG_OK;
}

void fastcgi_ng_mux_leave(fastcgi_ng_backend_t *b,
                          fastcgi_ng_stream_t *stream, uint64_t now)
{
    fastcgi_ng_conn_t *conn = stream->conn;

    if (conn != NULL) {
        detach(stream, now);
        if (settle(conn, now)) {
            fastcgi_ng_mux_flush(b);
        }
        fastcgi_ng_backend_serve(b, now);
    }
}

/* --------------------------------------------------------- the way out --- */

/* Those that have more to send may offer it. */
static void feed_hungry(fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_stream_t *stream;

    for (stream = conn->streams; stream != NULL; stream = stream->next) {
        if (stream->hungry) {
            fastcgi_ng_stream_wake(stream);
        }
    }
}

/* Writes what there is.  False: the connection is dead and closed. */
static bool flush(fastcgi_ng_conn_t *conn)
{
    apr_status_t rv;
    apr_size_t sent;

    if (conn->full || conn->deaf || !fcng_conn_wants_write(conn->fcgi)) {
        return true;
    }
    rv = fastcgi_ng_io_send(conn, &sent);
    if (sent > 0) {
        feed_hungry(conn);
    }
    if (APR_STATUS_IS_EAGAIN(rv)) {
        conn->full = true;
        fastcgi_ng_mux_wake(conn->backend->child);
    }
    else if (rv == APR_ENOMEM) {
        fail(conn, FCNG_ERR_NOMEM, fastcgi_ng_now());
        return false;
    }
    else if (rv != APR_SUCCESS) {
        conn->deaf = true; /* what it has answered so far is read first */
    }
    return true;
}

void fastcgi_ng_mux_flush(fastcgi_ng_backend_t *b)
{
    fastcgi_ng_conn_t *conn, *next;

    for (conn = b->shared; conn != NULL; conn = next) {
        next = conn->next;
        if (flush(conn) && conn->deaf && !conn->retired) {
            settle(conn, fastcgi_ng_now());
        }
    }
}

/* ---------------------------------------------------------- the way in --- */

static void answered(fastcgi_ng_conn_t *conn, fastcgi_ng_stream_t *stream,
                     uint64_t now)
{
    conn->answered = true;
    conn->delivered = true;
    if (!stream->answered) {
        stream->answered = true;
        stream->first_byte_us = now;
        fcng_pool_first_byte(conn->backend->pool, &conn->link, now);
    }
}

/* It cannot be kept for the client. */
static void give_up(fastcgi_ng_stream_t *stream, apr_status_t rv,
                    uint64_t now)
{
    stream->error = APR_STATUS_IS_ENOMEM(rv) ? FCNG_ERR_NOMEM : FCNG_ERR_IO;
    stream->cannot_hold = rv;
    detach(stream, now);
}

/* In memory as far as stream_buffer goes. */
static void on_stdout(fastcgi_ng_stream_t *stream, fcng_str bytes,
                      uint64_t now)
{
    uint64_t most
        = fcng_pool_get_options(stream->conn->backend->pool)->stream_buffer;
    bool spill = fastcgi_ng_held_spills(&stream->held)
                 || (most > 0 && fcng_request_held(stream->request) > most);
    apr_status_t rv = fastcgi_ng_held_add(&stream->held, bytes, spill);

    if (rv != APR_SUCCESS) {
        give_up(stream, rv, now);
    }
    else if (spill) {
        fcng_request_consumed(stream->request, bytes.len);
    }
}

/* What is more than its thread can log is lost. */
static void on_stderr(fastcgi_ng_stream_t *stream, fcng_str bytes)
{
    apr_size_t room = COMPLAINTS_MAX - stream->complaints_len;
    char *more;

    bytes.len = bytes.len < room ? bytes.len : room;
    more = bytes.len > 0
           ? realloc(stream->complaints, stream->complaints_len + bytes.len)
           : NULL;
    if (more != NULL) {
        memcpy(more + stream->complaints_len, bytes.data, bytes.len);
        stream->complaints = more;
        stream->complaints_len += bytes.len;
    }
}

static void on_event(fastcgi_ng_conn_t *conn, const fcng_event *event,
                     uint64_t now)
{
    fastcgi_ng_stream_t *stream = event->user;

    if (event->request == NULL || event->type == FCNG_EV_OVERRUN) {
        return;
    }
    if (event->type != FCNG_EV_FAILED) {
        answered(conn, stream, now);
    }
    switch (event->type) {
    case FCNG_EV_STDOUT:
        on_stdout(stream, event->bytes, now);
        break;
    case FCNG_EV_STDERR:
        on_stderr(stream, event->bytes);
        break;
    case FCNG_EV_STDOUT_END:
        stream->whole = true;
        break;
    case FCNG_EV_END:
        stream->ended = true;
        stream->error = event->error;
        stream->app_status = event->app_status;
        detach(stream, now);
        break;
    case FCNG_EV_FAILED:
        stream->blameless = conn->blamed;
        conn->blamed = true;
        stream->doubted = fcng_conn_doubted(conn->fcgi);
        stream->error = event->error;
        detach(stream, now);
        break;
    default:
        break;
    }
    fastcgi_ng_stream_wake(stream);
}

static void take_events(fastcgi_ng_conn_t *conn, uint64_t now)
{
    fcng_event event;

    while (fcng_conn_next_event(conn->fcgi, SIZE_MAX, &event) == FCNG_OK) {
        on_event(conn, &event, now);
    }
}

/* It is dead: so are all requests on it. */
static void fail(fastcgi_ng_conn_t *conn, int err, uint64_t now)
{
    fastcgi_ng_backend_t *b = conn->backend;
    unsigned n = (unsigned)fcng_conn_active(conn->fcgi);

    if (n > 0 && conn->delivered) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, b->child->server,
                     "%s: %s: %s: a connection that %u requests shared",
                     fcng_msg_tag(fcng_msg_of(err)), b->address->text,
                     fcng_strerror(err), n);
    }
    else if (conn->answered) {
        /* A kept connection that was closed is no failure of the server's. */
        conn->blamed = true;
    }
    fcng_conn_fail(conn->fcgi, err);
    take_events(conn, now);
    fcng_pool_remove(b->pool, &conn->link);
    fcng_pool_lost(b->pool);
    judge(conn, now);
    fastcgi_ng_backend_close(conn);
}

/* What the bytes may tell of who sent them, for the log. */
static void keep_hint(fastcgi_ng_conn_t *conn, const char *buf,
                      apr_size_t len)
{
    fastcgi_ng_stream_t *stream;

    for (stream = conn->streams; stream != NULL; stream = stream->next) {
        stream->hint_len = len < sizeof(stream->hint) ? len
                                                      : sizeof(stream->hint);
        memcpy(stream->hint, buf, stream->hint_len);
    }
}

static void read_conn(fastcgi_ng_conn_t *conn, char *buf)
{
    apr_size_t len = READ_SIZE;
    apr_status_t rv = fastcgi_ng_io_recv(conn, buf, &len, false);
    uint64_t now = fastcgi_ng_now();
    int err;

    if (APR_STATUS_IS_EAGAIN(rv)) {
        settle(conn, now); /* it may be deaf */
        return;
    }
    if (rv != APR_SUCCESS) {
        /* Closed with bytes unread, the connection is reset. */
        fail(conn, rv == APR_EOF || APR_STATUS_IS_ECONNRESET(rv)
                   ? FCNG_ERR_CLOSED : FCNG_ERR_IO, now);
        return;
    }
    conn->heard_us = now;
    if (!conn->answered) {
        keep_hint(conn, buf, len);
    }
    fcng_conn_feed(conn->fcgi, buf, len);
    take_events(conn, now);
    err = fcng_conn_error(conn->fcgi);
    if (err != FCNG_OK) {
        fail(conn, err, now);
        return;
    }
    if (flush(conn)) {
        settle(conn, now);
    }
}

/* ---------------------------------------------------------- the thread --- */

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
    fastcgi_ng_conn_t *conn;

    apr_thread_mutex_lock(b->mutex);
    conn = find(b, suspect);
    if (conn != NULL && write) {
        conn->full = false;
        read = flush(conn) && (read || conn->deaf);
    }
    if (conn != NULL && read) {
        read_conn(conn, b->child->mux->buf);
    }
    fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    apr_thread_mutex_unlock(b->mutex);
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
            closed = !settle(conn, now) || closed;
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
    for (conn = b->shared; conn != NULL; conn = conn->next) {
        uint64_t at = fcng_conn_deadline(conn->fcgi);

        next = at < next ? at : next;
        if (!fastcgi_ng_watch_add(watch, conn, conn->full)) {
            read_conn(conn, b->child->mux->buf);
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
    apr_status_t rv;

    if (mux != NULL) {
        atomic_store(&mux->stop, true);
        fastcgi_ng_watch_wake(mux->watch);
        apr_thread_join(&rv, mux->thread);
    }
}
