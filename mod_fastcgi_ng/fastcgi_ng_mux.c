/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections that requests share.  Each is read by the thread of one of its
 * requests, which waits anyway, and gives what comes to the streams of all;
 * the others' threads take it from there.  Where none waits, a thread of the
 * child process reads, the mux thread.
 *
 * Everything here but who sleeps happens with the backend's mutex held, also
 * recv() and sendmsg(), which do not block: so a connection in the list is
 * open, and one that is closed is in no list.
 *
 * A request leaves its connection when it is over, is given up, or the
 * connection is dead.  While bytes become events requests leave, but what
 * follows from that (places in the pool, the connection's end) is done behind
 * that in settle().
 */
#include "fastcgi_ng.h"

#define COMPLAINTS_MAX 65536 /* STDERR that waits to be logged */
#define PATIENCE_US 20000    /* for a stream whose thread takes nothing */

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
        fastcgi_ng_mux_wake(b->child); /* for the spare streams */
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
bool fastcgi_ng_mux_settle(fastcgi_ng_conn_t *conn, uint64_t now)
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

static void calm(fastcgi_ng_stream_t *stream);

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
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    }
    else {
        conn->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    if (conn->reader == stream) {
        conn->reader = NULL;
    }
    calm(stream);
    stream->conn = NULL;
    conn->over++;
}

/* ---------------------------------------------------------- who reads --- */

/* Somebody who waits; of these who has waited longest, whose answer is
   probably the next. */
static void elect(fastcgi_ng_conn_t *conn)
{
    fastcgi_ng_stream_t *stream, *chosen = NULL;

    if (conn->reader != NULL || conn->overruns > 0) {
        return;
    }
    for (stream = conn->streams; stream != NULL; stream = stream->next) {
        if (stream->sleeps) {
            chosen = stream;
        }
    }
    if (chosen != NULL) {
        conn->reader = chosen;
        fastcgi_ng_stream_wake(conn->backend, chosen);
    }
}

int fastcgi_ng_mux_reads(fastcgi_ng_stream_t *stream)
{
    fastcgi_ng_conn_t *conn = stream->conn;

    if (conn == NULL) {
        return -1;
    }
    if (conn->overruns > 0) {
        conn->reader = conn->reader == stream ? NULL : conn->reader;
    }
    else if (stream->sleeps && conn->reader == NULL) {
        conn->reader = stream;
    }
    else if (!stream->sleeps && conn->reader == stream) {
        conn->reader = NULL;
        elect(conn);
    }
    return conn->reader == stream ? conn->fd : -1;
}

/* ------------------------------------------------------------ overruns --- */

/*
 * The connection is not read for a moment, so that threads which only want
 * the processor get it before a file is needed.  A client that is slow costs
 * the others that moment, each time it has taken what was kept for it.
 */

/* It is read again, by the mux thread where nobody waits. */
static void resume(fastcgi_ng_conn_t *conn)
{
    elect(conn);
    if (conn->reader == NULL) {
        fastcgi_ng_mux_wake(conn->backend->child);
    }
}

static void calm(fastcgi_ng_stream_t *stream)
{
    if (stream->overrun) {
        stream->overrun = false;
        if (--stream->conn->overruns == 0) {
            resume(stream->conn);
        }
    }
}

static void on_overrun(fastcgi_ng_stream_t *stream, uint64_t now)
{
    fastcgi_ng_conn_t *conn = stream->conn;

    if (stream->overrun || stream->spills) {
        return;
    }
    stream->overrun = true;
    if (conn->overruns++ == 0) {
        conn->patience_us = now + PATIENCE_US;
    }
}

void fastcgi_ng_mux_took(fastcgi_ng_stream_t *stream)
{
    const fcng_pool_options *o
        = fcng_pool_get_options(stream->conn->backend->pool);

    if (fcng_request_held(stream->request) <= o->stream_buffer / 2
        && !fastcgi_ng_held_spills(&stream->held)) {
        stream->spills = false;
        calm(stream);
    }
}

bool fastcgi_ng_mux_pauses(fastcgi_ng_conn_t *conn, uint64_t now)
{
    fastcgi_ng_stream_t *stream;

    if (conn->overruns == 0) {
        return false;
    }
    if (now < conn->patience_us) {
        return true;
    }
    for (stream = conn->streams; stream != NULL; stream = stream->next) {
        stream->spills = stream->spills || stream->overrun;
        stream->overrun = false;
    }
    conn->overruns = 0;
    elect(conn);
    return false;
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
        fastcgi_ng_mux_settle(conn, now);
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
        if (fastcgi_ng_mux_settle(conn, now)) {
            elect(conn);
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
            fastcgi_ng_stream_wake(conn->backend, stream);
        }
    }
}

/* Writes what there is.  False: the connection is dead and closed. */
bool fastcgi_ng_mux_write(fastcgi_ng_conn_t *conn)
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
        if (fastcgi_ng_mux_write(conn) && conn->deaf && !conn->retired) {
            fastcgi_ng_mux_settle(conn, fastcgi_ng_now());
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
    apr_status_t rv = fastcgi_ng_held_add(&stream->held, bytes,
                                          stream->spills);

    if (rv != APR_SUCCESS) {
        give_up(stream, rv, now);
    }
    else if (stream->spills) {
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

    if (event->request == NULL) {
        return;
    }
    if (event->type == FCNG_EV_OVERRUN) {
        on_overrun(stream, now);
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
    fastcgi_ng_stream_wake(conn->backend, stream);
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

bool fastcgi_ng_mux_lives(fastcgi_ng_conn_t *conn)
{
    if (conn->nstreams > 0
        || fastcgi_ng_io_probe(conn->fd) != FASTCGI_NG_CLOSED) {
        return true;
    }
    fcng_pool_count(conn->backend->pool, FCNG_COUNT_STALE);
    fail(conn, FCNG_ERR_CLOSED, fastcgi_ng_now());
    return false;
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

void fastcgi_ng_mux_read_conn(fastcgi_ng_conn_t *conn, char *buf)
{
    apr_size_t len = FASTCGI_NG_BUFFER;
    apr_status_t rv = fastcgi_ng_io_recv(conn, buf, &len, false);
    uint64_t now = fastcgi_ng_now();
    int err;

    if (APR_STATUS_IS_EAGAIN(rv)) {
        fastcgi_ng_mux_settle(conn, now); /* it may be deaf */
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
    if (fastcgi_ng_mux_write(conn) && fastcgi_ng_mux_settle(conn, now)) {
        elect(conn);
    }
}

void fastcgi_ng_mux_read(fastcgi_ng_task_t *task)
{
    fastcgi_ng_backend_t *b = task->backend;
    fastcgi_ng_chime_t chime;
    fastcgi_ng_conn_t *conn;

    fastcgi_ng_lock(b, &chime);
    conn = task->stream->conn;
    if (conn != NULL && conn->reader == task->stream) {
        fastcgi_ng_mux_read_conn(conn, task->buf);
        fastcgi_ng_backend_serve(b, fastcgi_ng_now());
    }
    fastcgi_ng_unlock(b, &chime);
}
