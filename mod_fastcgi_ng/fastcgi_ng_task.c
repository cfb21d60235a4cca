/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request through an application: chooses an address, gets a connection,
 * has it pumped, and repeats what may be repeated.
 */
#include "fastcgi_ng.h"

/* ------------------------------------------------------- an attempt --- */

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
        at = choose(task, *tried | task->failed | task->overloaded, full);
    }
    if (at < 0 && task->failed != 0) {
        task->failed = 0;
        task->went_round = true;
        at = choose(task, *tried | task->overloaded, full);
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

/* --------------------------------------------------------- attempts --- */

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
    apr_uint64_t failed = task->failed | task->overloaded | BIT(task->at);
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
    if (task->error == FCNG_ERR_OVERLOADED) {
        task->overloaded |= BIT(task->at);
    }
    else if (again == FCNG_REPLAY_OTHER) {
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
        || (task->error == FCNG_OK && !task->ended
            && !fastcgi_ng_task_is_whole(task))) {
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
        && (task->ended || fastcgi_ng_task_is_whole(task))) {
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
            fastcgi_ng_pump(task);
            if (fastcgi_ng_task_goes_on(task)) {
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

/* ----------------------------------------------------------- a task --- */

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
