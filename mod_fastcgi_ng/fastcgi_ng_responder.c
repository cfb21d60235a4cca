/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request through an application: choose an address, get a connection,
 * write and read at once, repeat what may be repeated, answer.
 *
 * The thread never blocks on the client's body while the application may be
 * read, and a piece of the response goes out as soon as nothing more is
 * readable behind it.
 */
#include "fastcgi_ng.h"

#define LINGER_US 20000 /* for what becomes of data that was flushed */

/* ---------------------------------------------------------- an attempt --- */

#define BIT(i) (APR_UINT64_C(1) << (i))

/* The address to ask, of those whose bit in |tried| is not set; -1: none is
   left. */
static int choose(const fastcgi_ng_task_t *task, apr_uint64_t tried,
                  bool *full)
{
    fcng_candidate candidates[FASTCGI_NG_ADDRESSES_MAX];
    int i, n = task->app->addresses->nelts;
    apr_size_t at;

    for (i = 0; i < n; i++) {
        memset(&candidates[i], 0, sizeof(candidates[i]));
        candidates[i].tried = (tried & BIT(i)) != 0;
        if (!candidates[i].tried) {
            fastcgi_ng_backend_look(task->app->backends[i], &candidates[i]);
        }
    }
    at = fcng_health_choose(candidates, (apr_size_t)n, task->turn);
    *full = at < (apr_size_t)n && candidates[at].full;
    return at < (apr_size_t)n ? (int)at : -1;
}

/* Where this attempt goes: the same address again, one that did not fail this
   request before, or else any. */
static int next_address(fastcgi_ng_task_t *task, apr_uint64_t *tried,
                        bool *full)
{
    int at = task->prefer;

    task->prefer = -1;
    if (at < 0) {
        at = choose(task, *tried | task->failed, full);
    }
    if (at < 0 && task->failed != 0) {
        task->failed = 0;
        task->went_round = true;
        at = choose(task, *tried, full);
    }
    return at;
}

static int ask_one(fastcgi_ng_task_t *task, fastcgi_ng_ask_t *ask, int at)
{
    task->at = at;
    task->backend = task->app->backends[at];
    return fastcgi_ng_backend_acquire(task, ask);
}

/* Several servers: one with room is asked before the request waits anywhere,
   and all of them before it fails. */
static int ask_many(fastcgi_ng_task_t *task, fastcgi_ng_ask_t *ask)
{
    int at, left = task->app->addresses->nelts, races = left;
    int err = FCNG_ERR_CONNECT;
    apr_uint64_t tried = 0;
    bool full;

    while (left > 0 && (at = next_address(task, &tried, &full)) >= 0) {
        /* Others may take the room meanwhile; not for ever. */
        ask->room = !full && races-- > 0;
        ask->patient = left == 1;
        err = ask_one(task, ask, at);
        if (err == FCNG_AGAIN) {
            continue;
        }
        if (err != FCNG_ERR_CONNECT && err != FCNG_ERR_QUEUE_FULL) {
            break;
        }
        tried |= BIT(at);
        left--;
    }
    return err;
}

static bool idempotent(const fastcgi_ng_task_t *task)
{
    fcng_str method = { task->r->method, strlen(task->r->method) };

    return task->question != NULL || fcng_method_idempotent(method);
}

/* A body, or data, that is passed on as it comes could hold up an application
   that waits for it, and with that all requests on the connection. */
static bool needs_own(const fastcgi_ng_task_t *task)
{
    return task->exclusive || !(task->body.spooled || task->body.eos)
           || !fastcgi_ng_data_repeatable(task->data);
}

static int get_connection(fastcgi_ng_task_t *task, bool fresh)
{
    fastcgi_ng_ask_t ask;

    memset(&ask, 0, sizeof(ask));
    ask.need = fresh ? FCNG_POOL_FRESH
               : idempotent(task) && fastcgi_ng_body_repeatable(&task->body)
                 && fastcgi_ng_data_repeatable(task->data)
                   ? FCNG_POOL_ANY : FCNG_POOL_SETTLED;
    if (needs_own(task)) {
        ask.need |= FCNG_POOL_ALONE;
    }
    if (task->app->addresses->nelts == 1) {
        ask.patient = true;
        return ask_one(task, &ask, 0);
    }
    return ask_many(task, &ask);
}

int fastcgi_ng_task_submit(const fastcgi_ng_task_t *task,
                           fastcgi_ng_conn_t *conn, void *user,
                           fcng_request **request)
{
    fcng_submit submit;

    memset(&submit, 0, sizeof(submit));
    submit.role = task->question != NULL ? FCNG_AUTHORIZER
                  : task->data != NULL ? FCNG_FILTER : FCNG_RESPONDER;
    submit.params.data = task->params.data;
    submit.params.len = task->params.len;
    submit.stdin_length = task->body.length;
    submit.data_length = task->data != NULL
                         ? fastcgi_ng_data_announced(task->data) : 0;
    submit.no_stdin = task->question != NULL
                      && (task->no_stdin || task->conf->auth.send_stdin == 0);
    submit.user = user;
    return fcng_conn_submit(conn->fcgi, &submit, request);
}

/* -------------------------------------------------------------- events --- */

/* Nothing of the response is missing but END_REQUEST, without which there is
   no answer of an Authorizer. */
static bool is_whole(const fastcgi_ng_task_t *task)
{
    return task->question == NULL
           && (task->stdout_ended
               || (task->head.done
                   && task->head.content_length != FCNG_LENGTH_UNKNOWN
                   && task->head.body == task->head.content_length));
}

bool fastcgi_ng_task_fails(const fastcgi_ng_task_t *task, int err)
{
    return !is_whole(task)
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

/* ---------------------------------------------------------------- pump --- */

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
    if (is_whole(task)) {
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
    fastcgi_ng_io_wait(task, &wait);
    if (task->stream != NULL) {
        fastcgi_ng_stream_awake(task);
        wait.timed_out = wait.timed_out
                         && fastcgi_ng_now() >= deadline(task,
                                                         &clients_fault);
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
static bool is_late(const fastcgi_ng_task_t *task)
{
    return task->end_us != FCNG_NEVER && fastcgi_ng_now() >= task->end_us;
}

static bool goes_on(const fastcgi_ng_task_t *task)
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

    while (goes_on(task)) {
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
static void pump(fastcgi_ng_task_t *task)
{
    task->active_us = fastcgi_ng_now();
    while (goes_on(task)) {
        if (task->stream != NULL) {
            push_shared(task);
        }
        else {
            push(task);
        }
        if (!task->over && is_late(task)) {
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

/* ------------------------------------------------------------ attempts --- */

static void begin(fastcgi_ng_task_t *task)
{
    task->request = NULL;
    task->write_failed = false;
    task->over = false;
    task->ended = false;
    task->stdout_ended = false;
    task->lingered = false;
    task->unflushed = false;
    task->error = FCNG_OK;
    task->first_byte_us = 0;
    task->heard = false;
    task->first_bytes.len = 0;
    task->app_status = 0;
    task->timed_out = false;
    task->moved = 0;
    task->taken = 0;
    fastcgi_ng_reply_init(task);
    fastcgi_ng_blocks_free(task->blocks);
    task->blocks = NULL;
}

/* And the server at hand will have failed. */
static bool asked_all(const fastcgi_ng_task_t *task)
{
    apr_uint64_t failed = task->failed | BIT(task->at);
    int i;

    for (i = 0; i < task->app->addresses->nelts; i++) {
        if ((failed & BIT(i)) == 0) {
            return task->went_round;
        }
    }
    return true;
}

static enum fcng_replay verdict(fastcgi_ng_task_t *task,
                                fcng_outcome *outcome)
{
    if (task->error == FCNG_OK || task->status != OK || task->client_gone
        || task->error == FCNG_ERR_CONNECT
        || fastcgi_ng_now() >= task->end_us) {
        return FCNG_REPLAY_NO;
    }
    outcome->error = task->error;
    outcome->idempotent = idempotent(task);
    outcome->delivered = task->reply != FASTCGI_NG_REPLY_NONE;
    outcome->replayable = fastcgi_ng_body_replayable(&task->body)
                          && fastcgi_ng_data_replayable(task->data);
    outcome->alone = task->app->addresses->nelts == 1;
    outcome->asked_all = asked_all(task);
    outcome->tries = task->tries;
    return fcng_replay_verdict(outcome);
}

static void prepare_again(fastcgi_ng_task_t *task, enum fcng_replay again,
                          const fcng_outcome *outcome)
{
    fastcgi_ng_log(task, APLOG_INFO, FCNG_MSG_STALE, "%s: %s%s: the "
                   "request is sent again", task->backend->address->text,
                   outcome->reused ? "a kept connection, " : "",
                   fcng_strerror(task->error));
    fastcgi_ng_body_rewind(&task->body);
    fastcgi_ng_data_rewind(task->data);
    task->exclusive = task->exclusive || again == FCNG_REPLAY_EXCLUSIVE;
    if (again == FCNG_REPLAY_OTHER) {
        task->failed |= BIT(task->at);
    }
    else {
        task->prefer = task->at;
    }
    if (again == FCNG_REPLAY_LATER) {
        apr_sleep(FCNG_REPLAY_PAUSE_US);
    }
}

/* How an attempt that had a connection ended. */
static enum fcng_counter outcome_counter(const fastcgi_ng_task_t *task,
                                         enum fcng_replay again)
{
    if (again == FCNG_REPLAY_FRESH) {
        return FCNG_COUNT_STALE;
    }
    if (task->client_gone
        || (task->error == FCNG_OK && !task->ended && !is_whole(task))) {
        return FCNG_COUNT_ABORTED; /* or its body was faulty, or it wanted
                                      no answer (412) */
    }
    return fcng_counter_of(task->error);
}

/* A connection, and the request on it. */
static void start(fastcgi_ng_task_t *task)
{
    fcng_outcome *outcome = &task->outcome;

    memset(outcome, 0, sizeof(*outcome));
    outcome->stale = task->stale;
    task->tries++;
    begin(task);
    task->error = get_connection(task, task->tries > 1);
    if (task->error != FCNG_OK) {
        return;
    }
    task->talking = true;
    outcome->reused = task->reused;
    if (task->stream != NULL) {
        return; /* it has begun there already */
    }
    task->sent_us = fastcgi_ng_now();
    task->error = fastcgi_ng_task_submit(task, task->conn, task,
                                         &task->request);
    if (task->error == FCNG_OK) {
        task->stream_id = fcng_request_id(task->request);
    }
}

/* The connection back. */
static enum fcng_replay stop(fastcgi_ng_task_t *task)
{
    fcng_outcome *outcome = &task->outcome;
    enum fcng_replay again;
    bool reusable;

    task->talking = false;
    if (task->stream != NULL) {
        fastcgi_ng_stream_end(task, outcome);
    }
    if (task->request != NULL) {
        outcome->started = fcng_request_started(task->request);
        outcome->answered = fcng_request_answered(task->request);
        fcng_request_release(task->request);
        task->request = NULL;
    }
    reusable = task->conn != NULL && task->error == FCNG_OK
               && fcng_conn_reusable(task->conn->fcgi);
    if (task->error == FCNG_OK && task->status == OK
        && (task->ended || is_whole(task))) {
        task->error = fcng_head_finish(
            &task->head, task->reply == FASTCGI_NG_REPLY_DISCARD);
    }
    again = verdict(task, outcome);
    fastcgi_ng_backend_release(task, reusable, outcome,
                               outcome_counter(task, again),
                               again != FCNG_REPLAY_NO
                               && again != FCNG_REPLAY_FRESH);
    return again;
}

/* True: over; false: it needs more data. */
static bool run(fastcgi_ng_task_t *task)
{
    enum fcng_replay again;

    do {
        again = FCNG_REPLAY_NO;
        if (!task->talking) {
            start(task);
        }
        if (task->talking && task->error == FCNG_OK) {
            pump(task);
            if (goes_on(task)) {
                return false;
            }
        }
        if (task->talking) {
            again = stop(task);
        }
        if (again != FCNG_REPLAY_NO) {
            prepare_again(task, again, &task->outcome);
            task->stale += again == FCNG_REPLAY_FRESH;
        }
    } while (again != FCNG_REPLAY_NO);
    return true;
}

/* -------------------------------------------------------------- answer --- */

void fastcgi_ng_retry_after(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "Retry-After", FCNG_RETRY_AFTER);
}

int fastcgi_ng_task_status(const fastcgi_ng_task_t *task, bool *busy)
{
    int status = task->status;

    if (status == OK) {
        status = (int)fcng_http_status(task->error,
                                       HTTP_SERVICE_UNAVAILABLE);
    }
    *busy = status == HTTP_SERVICE_UNAVAILABLE
            && task->error != FCNG_ERR_CONNECT;
    return status;
}

static int answer_failure(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    int status;
    bool busy;

    if (task->delivered) {
        fastcgi_ng_reply_break(task);
        return OK;
    }
    status = fastcgi_ng_task_status(task, &busy);
    if (busy) {
        fastcgi_ng_retry_after(r);
    }
    if (is_late(task) && !task->body.eos && r->connection->master == NULL) {
        /* httpd reads the rest of the body before the answer goes out. */
        r->connection->keepalive = AP_CONN_CLOSE;
    }
    r->status = HTTP_OK; /* else ap_die() sees an error within an error */
    r->status_line = NULL;
    return status;
}

void fastcgi_ng_client_gone(request_rec *r)
{
    r->connection->aborted = 1;
    r->connection->keepalive = AP_CONN_CLOSE;
    r->status = FASTCGI_NG_CLIENT_GONE;
}

static int answer_redirect(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    if (!task->body.eos) {
        ap_discard_request_body(r);
    }
    r->method = "GET";
    r->method_number = M_GET;
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    apr_table_unset(r->headers_out, "Location");
    ap_internal_redirect_handler(task->redirect, r);
    return OK;
}

static int answer(fastcgi_ng_task_t *task)
{
    if (task->refused) {
        return AP_FILTER_ERROR; /* which has told the client already */
    }
    if (task->client_gone) {
        fastcgi_ng_client_gone(task->r);
        return OK;
    }
    if (task->error != FCNG_OK) {
        fastcgi_ng_log_failure(task);
    }
    if (task->error != FCNG_OK || task->status != OK) {
        return answer_failure(task);
    }
    if (task->app_status != 0) {
        fastcgi_ng_log(task, APLOG_INFO, FCNG_MSG_APP_STATUS,
                       "%s: the application ended the request with status %u",
                       task->backend->address->text,
                       (unsigned)task->app_status);
    }
    if (task->redirect != NULL) {
        return answer_redirect(task);
    }
    fastcgi_ng_reply_finish(task);
    if (task->client_stuck) {
        fastcgi_ng_log_failure(task);
        fastcgi_ng_reply_break(task);
    }
    return OK;
}

/* What the configuration left open. */
static const fastcgi_ng_dir_conf_t *with_defaults(
    request_rec *r, const fastcgi_ng_dir_conf_t *set)
{
    fastcgi_ng_dir_conf_t *conf = apr_pmemdup(r->pool, set, sizeof(*set));
    apr_interval_time_t timeout = r->server->timeout;

#define DEFAULT(member, value)                                                \
    conf->member = conf->member == -1 ? (value) : conf->member
    DEFAULT(default_params, 1);
    DEFAULT(check_script, 1);
    DEFAULT(request_buffering, 1);
    DEFAULT(header_max_size, FCNG_HEAD_SIZE_DEFAULT);
    DEFAULT(connect_timeout, timeout);
    DEFAULT(send_timeout, timeout);
    DEFAULT(read_timeout, timeout);
    DEFAULT(request_timeout, 0);
    DEFAULT(stderr_level, APLOG_ERR);
    DEFAULT(stderr_rate, 100);
#undef DEFAULT
    return conf;
}

fastcgi_ng_task_t *fastcgi_ng_task_create(request_rec *r,
                                          const fastcgi_ng_dir_conf_t *conf,
                                          const fastcgi_ng_app_t *app)
{
    fastcgi_ng_task_t *task = apr_pcalloc(r->pool, sizeof(*task));

    task->r = r;
    task->conf = with_defaults(r, conf);
    task->app = app;
    task->backend = app->backends[0];
    task->prefer = -1;
    if (app->addresses->nelts > 1) {
        task->turn = atomic_fetch_add_explicit(
            &((fastcgi_ng_app_t *)app)->turn, 1, memory_order_relaxed);
    }
    fastcgi_ng_io_client(&task->client, r->connection);
    return task;
}

void fastcgi_ng_task_begin(fastcgi_ng_task_t *task)
{
    task->start_us = fastcgi_ng_now();
    task->end_us = task->conf->request_timeout > 0
                       ? task->start_us
                             + (uint64_t)task->conf->request_timeout
                       : FCNG_NEVER;
    task->buf = apr_bucket_alloc(FASTCGI_NG_BUFFER,
                                 task->r->connection->bucket_alloc);
}

bool fastcgi_ng_task_go(fastcgi_ng_task_t *task)
{
    bool over = run(task);

    if (over) {
        fastcgi_ng_log_stderr_end(task);
    }
    return over;
}

void fastcgi_ng_task_run(fastcgi_ng_task_t *task)
{
    fastcgi_ng_task_begin(task);
    fastcgi_ng_task_go(task);
}

void fastcgi_ng_task_cancel(fastcgi_ng_task_t *task)
{
    if (task->talking) {
        task->client_gone = true;
        stop(task);
    }
}

void fastcgi_ng_task_end(fastcgi_ng_task_t *task)
{
    fastcgi_ng_blocks_free(task->blocks);
    apr_bucket_free(task->buf);
}

static bool may_share(const fastcgi_ng_task_t *task)
{
    int i;

    for (i = 0; i < task->app->addresses->nelts; i++) {
        if (fastcgi_ng_backend_shares(task->app->backends[i])) {
            return true;
        }
    }
    return false;
}

/* Whose length is not known is read first, and so is any body where requests
   share connections. */
static int spool_body(fastcgi_ng_task_t *task)
{
    fastcgi_ng_body_t *body = &task->body;
    bool shares = !body->eos && may_share(task);

    if (task->conf->request_buffering
        && (body->length == FCNG_LENGTH_UNKNOWN || shares)) {
        return fastcgi_ng_body_spool(body);
    }
    return shares ? fastcgi_ng_body_peek(body) : OK;
}

int fastcgi_ng_respond(request_rec *r, const fastcgi_ng_dir_conf_t *conf,
                       const fastcgi_ng_app_t *app, const char *mount,
                       fastcgi_ng_data_t *data)
{
    fastcgi_ng_task_t *task = fastcgi_ng_task_create(r, conf, app);
    int rc = fastcgi_ng_body_init(&task->body, r);

    task->mount = mount;
    task->data = data;
    if (rc == OK) {
        rc = spool_body(task);
    }
    if (rc == OK) {
        rc = fastcgi_ng_env_build(task);
    }
    if (rc != OK) {
        return rc;
    }
    fastcgi_ng_task_run(task);
    fastcgi_ng_notes(task);
    rc = answer(task);
    fastcgi_ng_task_end(task);
    return rc;
}
