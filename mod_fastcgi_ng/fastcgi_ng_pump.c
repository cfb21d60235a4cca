/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An attempt that has its connection: writes and reads at once, waits for
 * whichever comes first of application, client and deadline, and hears what
 * the core says of the bytes.
 *
 * The thread never blocks on the client's body while the application may be
 * read, and a piece of the response goes out as soon as nothing more is
 * readable behind it.
 */
#include "fastcgi_ng.h"

#define LINGER_US 20000 /* for what becomes of data that was flushed */

/* ----------------------------------------------------------- events --- */

/* Nothing of the response is missing but END_REQUEST, without which there is
   no answer of an Authorizer. */
bool fastcgi_ng_task_is_whole(const fastcgi_ng_task_t *task)
{
    return task->question == NULL
           && (task->stdout_ended
               || (task->head.done
                   && task->head.content_length != FCNG_LENGTH_UNKNOWN
                   && task->head.body == task->head.content_length));
}

bool fastcgi_ng_task_fails(const fastcgi_ng_task_t *task, int err)
{
    return !fastcgi_ng_task_is_whole(task)
           || (err != FCNG_ERR_CLOSED && err != FCNG_ERR_IO
               && err != FCNG_ERR_TIMEOUT);
}

static void on_event(fastcgi_ng_task_t *task, const fcng_event *event)
{
    switch (event->type) {
    case FCNG_EV_STDOUT:
        if (task->error == FCNG_OK) {
            task->error = fastcgi_ng_reply_stdout(task, event->bytes);
        }
        break;
    case FCNG_EV_STDERR:
        fastcgi_ng_log_stderr(task, event->bytes);
        break;
    case FCNG_EV_END:
        task->over = true;
        task->ended = true;
        task->app_status = event->app_status;
        if (task->error == FCNG_OK) {
            task->error = event->error;
        }
        break;
    case FCNG_EV_FAILED:
        task->over = true;
        if (task->error == FCNG_OK
            && fastcgi_ng_task_fails(task, event->error)) {
            task->error = event->error;
        }
        break;
    case FCNG_EV_STDOUT_END:
        task->stdout_ended = true;
        break;
    case FCNG_EV_VALUES:
    case FCNG_EV_UNKNOWN_TYPE:
    case FCNG_EV_OVERRUN:
        break;
    }
}

static void take_events(fastcgi_ng_task_t *task)
{
    fcng_event event;

    while (fcng_conn_next_event(task->conn->fcgi, SIZE_MAX, &event)
           == FCNG_OK) {
        on_event(task, &event);
    }
}

static void on_bytes(fastcgi_ng_task_t *task, apr_size_t len)
{
    task->active_us = fastcgi_ng_now();
    task->lingered = false;
    if (!task->heard) {
        task->heard = true;
        task->first_bytes.data = task->buf;
        task->first_bytes.len = len;
    }
    fcng_conn_feed(task->conn->fcgi, task->buf, len);
    take_events(task);
    if (fcng_request_answered(task->request)) {
        if (task->first_byte_us == 0) {
            task->first_byte_us = task->active_us;
            fastcgi_ng_backend_first_byte(task);
        }
        fastcgi_ng_backend_answered(task);
    }
    if (!task->over && task->error == FCNG_OK) {
        /* A read that did not fill the buffer has emptied the socket. */
        fastcgi_ng_reply_pass(task, len < FASTCGI_NG_BUFFER);
        task->first_bytes.len = 0;
    }
}

static void on_failure(fastcgi_ng_task_t *task, int err)
{
    if (task->conn != NULL) {
        fcng_conn_fail(task->conn->fcgi, err);
        take_events(task);
    }
    task->timed_out = err == FCNG_ERR_TIMEOUT;
    task->over = true;
    if (task->error == FCNG_OK && fastcgi_ng_task_fails(task, err)) {
        task->error = err;
    }
}

/* ------------------------------------------------------------- pump --- */

static bool wants_write(const fastcgi_ng_task_t *task)
{
    if (task->stream != NULL) {
        return task->unsent;
    }
    return !task->write_failed && fcng_conn_wants_write(task->conn->fcgi);
}

/* More of the body and the file for the core; false: the request is over. */
static bool offer(fastcgi_ng_task_t *task)
{
    int err = fastcgi_ng_body_offer(task);

    if (err != FCNG_OK) {
        task->status = task->body.status;
    }
    else if (task->body.fin && task->data != NULL) {
        err = fastcgi_ng_data_offer(task);
    }
    if (err != FCNG_OK) {
        task->error = task->status == OK ? err : task->error;
        task->over = true;
    }
    return err == FCNG_OK;
}

static bool all_offered(const fastcgi_ng_task_t *task)
{
    return task->body.fin && fastcgi_ng_data_fin(task->data);
}

/* Body and records out, as much as goes without waiting. */
static void push(fastcgi_ng_task_t *task)
{
    apr_status_t rv;
    apr_size_t sent;

    if (task->write_failed) {
        return;
    }
    do {
        if (!offer(task)) {
            return;
        }
        rv = fastcgi_ng_io_send(task->conn, &sent);
        if (sent > 0) {
            task->active_us = fastcgi_ng_now();
        }
    } while (rv == APR_SUCCESS && sent > 0 && !task->body.waits
             && !all_offered(task));
    if (rv == APR_ENOMEM) {
        on_failure(task, FCNG_ERR_NOMEM);
    }
    else if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
        /* It may have answered before it closed: reading tells. */
        task->write_failed = true;
    }
}

/* The same on a shared connection. */
static void push_shared(fastcgi_ng_task_t *task)
{
    apr_uint64_t before;
    bool more = !all_offered(task);

    while (more) {
        before = fastcgi_ng_flow_sent(task);
        if (!offer(task)) {
            return;
        }
        fastcgi_ng_stream_push(task);
        more = fastcgi_ng_flow_sent(task) > before && !task->body.waits
               && !all_offered(task);
    }
}

/* When waiting is over, and whose fault it is then. */
static uint64_t deadline(fastcgi_ng_task_t *task, bool *clients_fault)
{
    apr_interval_time_t limit = task->conf->read_timeout;
    uint64_t at;

    *clients_fault = false;
    task->send_limit = wants_write(task);
    if (task->send_limit) {
        limit = task->conf->send_timeout;
    }
    else if (!task->body.fin && !task->write_failed) {
        limit = task->r->server->timeout;
        *clients_fault = true;
    }
    if (fastcgi_ng_task_is_whole(task)) {
        limit = task->conf->read_timeout / 2;
        limit = limit < FCNG_END_WAIT_US ? limit : FCNG_END_WAIT_US;
        *clients_fault = false;
    }
    at = task->active_us + (uint64_t)limit;
    if (task->end_us < at) {
        at = task->end_us;
        *clients_fault = false;
    }
    return at;
}

static void wait_for(fastcgi_ng_task_t *task)
{
    fastcgi_ng_wait_t wait;
    bool clients_fault;

    memset(&wait, 0, sizeof(wait));
    wait.write = wants_write(task);
    wait.client = !task->body.fin && task->body.waits && !task->write_failed;
    wait.until_us = deadline(task, &clients_fault);
    if (!fastcgi_ng_stream_nap(task, wait.until_us)) {
        fastcgi_ng_io_wait(task, &wait);
    }
    if (wait.readable) {
        fastcgi_ng_mux_read(task);
    }
    if (wait.timed_out && task->stream != NULL) {
        fastcgi_ng_stream_look(task);
        wait.timed_out = fastcgi_ng_now() >= deadline(task, &clients_fault);
    }
    if (wait.client_gone) {
        task->client_gone = true;
    }
    else if (wait.timed_out && clients_fault) {
        task->status = HTTP_REQUEST_TIME_OUT;
        task->over = true;
    }
    else if (wait.timed_out) {
        on_failure(task, FCNG_ERR_TIMEOUT);
    }
}

static void pull(fastcgi_ng_task_t *task)
{
    apr_size_t len = FASTCGI_NG_BUFFER;
    bool linger = !task->lingered && !task->unflushed && !wants_write(task)
                  && (task->body.fin || task->write_failed);
    apr_status_t rv = fastcgi_ng_io_recv(task->conn, task->buf, &len, linger);

    if (rv == APR_SUCCESS) {
        on_bytes(task, len);
    }
    else if (APR_STATUS_IS_EAGAIN(rv)) {
        task->lingered = linger;
        if (task->unflushed) {
            fastcgi_ng_reply_pass(task, true);
        }
        else {
            wait_for(task);
        }
    }
    else {
        /* Closed with bytes unread, the connection is reset. */
        on_failure(task, rv == APR_EOF || APR_STATUS_IS_ECONNRESET(rv)
                         ? FCNG_ERR_CLOSED : FCNG_ERR_IO);
    }
}

/* An application that is always readable is never waited for. */
bool fastcgi_ng_task_is_late(const fastcgi_ng_task_t *task)
{
    return task->end_us != FCNG_NEVER && fastcgi_ng_now() >= task->end_us;
}

bool fastcgi_ng_task_goes_on(const fastcgi_ng_task_t *task)
{
    return !task->over && task->error == FCNG_OK && task->status == OK
           && !task->client_gone;
}

/* Waits until |until_us| for an answer to the data that the application has;
   false: none has come. */
static bool comes_soon(fastcgi_ng_task_t *task, uint64_t until_us)
{
    fastcgi_ng_wait_t wait;

    if (fastcgi_ng_now() >= until_us) {
        return false;
    }
    memset(&wait, 0, sizeof(wait));
    wait.until_us = until_us;
    fastcgi_ng_io_wait(task, &wait);
    task->client_gone = wait.client_gone;
    return !wait.timed_out;
}

/* What has come meanwhile goes out.  Nobody waits for more, but a moment for
   what becomes of data that its maker wants the client to see. */
static void drain(fastcgi_ng_task_t *task)
{
    uint64_t before = task->head.body;
    uint64_t until = task->linger ? fastcgi_ng_now() + LINGER_US : 0;

    while (fastcgi_ng_task_goes_on(task)) {
        apr_size_t len = FASTCGI_NG_BUFFER;
        apr_status_t rv = fastcgi_ng_io_recv(task->conn, task->buf, &len,
                                             false);

        if (rv == APR_SUCCESS) {
            on_bytes(task, len);
        }
        else if (!APR_STATUS_IS_EAGAIN(rv)) {
            on_failure(task, rv == APR_EOF || APR_STATUS_IS_ECONNRESET(rv)
                             ? FCNG_ERR_CLOSED : FCNG_ERR_IO);
        }
        else if (task->unflushed) {
            fastcgi_ng_reply_pass(task, true);
        }
        else if (task->head.body > before || !comes_soon(task, until)) {
            return;
        }
    }
}

/* To the request's end, or until it needs more data. */
void fastcgi_ng_pump(fastcgi_ng_task_t *task)
{
    task->active_us = fastcgi_ng_now();
    while (fastcgi_ng_task_goes_on(task)) {
        if (task->stream != NULL) {
            push_shared(task);
        }
        else {
            push(task);
        }
        if (!task->over && fastcgi_ng_task_is_late(task)) {
            on_failure(task, FCNG_ERR_TIMEOUT);
        }
        if (!task->over && fastcgi_ng_data_hungry(task)) {
            drain(task); /* it is alone on its connection */
            return;
        }
        if (!task->over && task->stream == NULL) {
            pull(task);
        }
        else if (!task->over && !fastcgi_ng_stream_pull(task)) {
            wait_for(task);
        }
    }
}
