/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the operator reads: lines with the core's stable tags, the
 * application's STDERR line by line, and the notes for LogFormat.  Parameters,
 * header fields and bodies appear at no level.
 */
#include "fastcgi_ng.h"

#include <stdarg.h>

void fastcgi_ng_log(const fastcgi_ng_task_t *task, int level,
                    enum fcng_msg msg, const char *fmt, ...)
{
    request_rec *r = task->r;
    const char *text;
    va_list ap;

    if (!APLOG_R_IS_LEVEL(r, level)) {
        return;
    }
    va_start(ap, fmt);
    text = apr_pvsprintf(r->pool, fmt, ap);
    va_end(ap);
    ap_log_rerror(APLOG_MARK, level, 0, r, "%s: %s: %s, request: \"%s %s\"",
                  fcng_msg_tag(msg), task->app->name, text, r->method,
                  r->uri);
}

/* -------------------------------------------------------------- STDERR --- */

/* How many lines were held back before this one; -1: this one is too. */
static apr_int64_t stderr_allows(const fastcgi_ng_task_t *task)
{
    fastcgi_ng_backend_t *b = task->backend;
    apr_int64_t held_back = -1;
    uint64_t rate = (uint64_t)task->conf->stderr_rate;

    apr_thread_mutex_lock(b->mutex);
    if (b->stderr_rate.per_second != rate) {
        fcng_rate_init(&b->stderr_rate, rate);
    }
    if (fcng_rate_allow(&b->stderr_rate, fastcgi_ng_now())) {
        held_back = (apr_int64_t)b->stderr_rate.dropped;
        b->stderr_rate.dropped = 0;
    }
    apr_thread_mutex_unlock(b->mutex);
    return held_back;
}

static void stderr_line(const fastcgi_ng_task_t *task, fcng_str line)
{
    apr_int64_t held_back = stderr_allows(task);
    const char *more = "";

    if (held_back < 0) {
        return;
    }
    if (held_back > 0) {
        more = apr_psprintf(task->r->pool, " (%" APR_INT64_T_FMT
                            " lines before it were held back)", held_back);
    }
    ap_log_rerror(APLOG_MARK, task->conf->stderr_level, 0, task->r,
                  "%s: %s: STDERR: %.*s%s", fcng_msg_tag(FCNG_MSG_STDERR),
                  task->app->name, (int)line.len, line.data, more);
}

static bool stderr_wanted(const fastcgi_ng_task_t *task)
{
    return task->conf->stderr_level != FASTCGI_NG_STDERR_OFF
           && APLOG_R_IS_LEVEL(task->r, task->conf->stderr_level);
}

void fastcgi_ng_log_stderr(fastcgi_ng_task_t *task, fcng_str bytes)
{
    fcng_str line;

    if (!stderr_wanted(task)) {
        return;
    }
    if (task->lines == NULL) {
        task->lines = apr_palloc(task->r->pool, sizeof(*task->lines));
        fcng_lines_init(task->lines);
    }
    while (fcng_lines_next(task->lines, &bytes, &line) == FCNG_OK) {
        stderr_line(task, line);
    }
}

void fastcgi_ng_log_stderr_end(fastcgi_ng_task_t *task)
{
    fcng_str line;

    if (task->lines != NULL
        && fcng_lines_end(task->lines, &line) == FCNG_OK) {
        stderr_line(task, line);
    }
}

/* ------------------------------------------------------------ failures --- */

static void log_queue(const fastcgi_ng_task_t *task)
{
    const fcng_pool_options *o = &task->app->options;

    if (task->error == FCNG_ERR_QUEUE_FULL) {
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_QUEUE,
                       "%s: all %u connections are busy and %u requests wait "
                       "already (max_connections, max_queue)",
                       task->backend->address->text, o->max_connections,
                       o->max_queue);
        return;
    }
    fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_QUEUE,
                   "%s: no connection became free within %d ms: all %u are "
                   "busy (queue_timeout, max_connections)",
                   task->backend->address->text,
                   (int)(o->queue_timeout_us / 1000), o->max_connections);
}

static const char *where(const fastcgi_ng_task_t *task)
{
    if (task->client_stuck) {
        return "and the client took no more of the response";
    }
    if (task->reply != FASTCGI_NG_REPLY_NONE) {
        return "in the response's body";
    }
    return task->head.size > 0 ? "in the response's head"
                               : "before the response";
}

static const char *timeout_words(const fastcgi_ng_task_t *task)
{
    uint64_t now = fastcgi_ng_now();

    if (now >= task->end_us) {
        return apr_psprintf(task->r->pool, "the request has taken %d ms "
                            "(FastCgiNgRequestTimeout)",
                            (int)((now - task->start_us) / 1000));
    }
    return apr_psprintf(task->r->pool, task->send_limit
                        ? "the application took no byte for %d ms "
                          "(FastCgiNg%sSendTimeout)"
                        : "the application sent no byte for %d ms "
                          "(FastCgiNg%sReadTimeout)",
                        (int)((now - task->active_us) / 1000),
                        task->question != NULL ? "Authorizer" : "");
}

/* The role that was asked for, and where the configuration does that. */
static const char *role_words(const fastcgi_ng_task_t *task)
{
    apr_pool_t *p = task->r->pool;
    const char *name = task->app->name;

    if (task->question != NULL) {
        return apr_psprintf(p, "an Authorizer, which %s asks for",
                            task->question->directive);
    }
    if (task->filter != NULL) {
        return apr_psprintf(p, "a Filter, which FastCgiNgOutputFilter %s "
                            "asks for", name);
    }
    if (task->data != NULL) {
        return apr_psprintf(p, "a Filter, which SetHandler "
                            FASTCGI_NG_FILTER_HANDLER "%s and "
                            "FastCgiNgFileFilter %s ask for", name, name);
    }
    return apr_psprintf(p, "a Responder, which SetHandler "
                        FASTCGI_NG_HANDLER "%s and FastCgiNgPass %s ask for",
                        name, name);
}

void fastcgi_ng_log_failure(const fastcgi_ng_task_t *task)
{
    const char *address = task->backend->address->text;
    enum fcng_msg msg = fcng_msg_of(task->error);
    char hint[256] = "";

    switch (task->error) {
    case FCNG_ERR_CONNECT:
        return; /* told where it happened */
    case FCNG_ERR_QUEUE_FULL:
    case FCNG_ERR_QUEUE_TIMEOUT:
        log_queue(task);
        return;
    case FCNG_ERR_TIMEOUT:
        fastcgi_ng_log(task, APLOG_ERR, msg, "%s: %s, %s", address,
                       timeout_words(task), where(task));
        return;
    case FCNG_ERR_UNKNOWN_ROLE:
        fastcgi_ng_log(task, APLOG_ERR, msg,
                       "%s: the application does not take the role of %s",
                       address, role_words(task));
        return;
    default:
        break;
    }
    if (task->first_bytes.len > 0) {
        fcng_hint_protocol(hint, sizeof(hint), task->first_bytes);
    }
    if (*hint == '\0' && task->error == FCNG_ERR_CLOSED) {
        fcng_hint_closed(hint, sizeof(hint), task->backend->address->kind
                                             != FCNG_ADDRESS_TCP,
                         task->first_byte_us > 0);
    }
    fastcgi_ng_log(task, APLOG_ERR, msg, "%s: %s, %s%s%s", address,
                   fcng_strerror(task->error), where(task),
                   *hint ? ": " : "", hint);
}

/* --------------------------------------------------------------- notes --- */

/* "12.345", seconds. */
static const char *seconds(apr_pool_t *p, uint64_t us)
{
    char buf[24], *c = buf + sizeof(buf);
    uint64_t ms = us / 1000;
    int digits = 0;

    *--c = '\0';
    while (digits < 4 || ms > 0) {
        if (digits == 3) {
            *--c = '.';
        }
        *--c = (char)('0' + ms % 10);
        ms /= 10;
        digits++;
    }
    return apr_pstrmemdup(p, c, (apr_size_t)(buf + sizeof(buf) - 1 - c));
}

static void note(fastcgi_ng_task_t *task, const char *name, const char *value)
{
    apr_table_setn(task->r->notes, name, value);
}

static const char *time_or_zero(fastcgi_ng_task_t *task, uint64_t us)
{
    return us < 1000 ? "0.000" : seconds(task->r->pool, us);
}

void fastcgi_ng_notes(fastcgi_ng_task_t *task)
{
    apr_pool_t *p = task->r->pool;

    note(task, "fastcgi_ng_pool", task->app->name);
    note(task, "fastcgi_ng_queue_time", time_or_zero(task, task->queue_us));
    note(task, "fastcgi_ng_connect_time",
         time_or_zero(task, task->connect_us));
    if (task->first_byte_us > 0) {
        note(task, "fastcgi_ng_first_byte_time",
             time_or_zero(task, task->first_byte_us - task->sent_us));
    }
    note(task, "fastcgi_ng_reused", task->reused ? "1" : "0");
    if (task->stream_id > 0) {
        note(task, "fastcgi_ng_stream_id",
             task->stream_id == 1 ? "1"
             : task->stream_id == 2 ? "2"
             : apr_psprintf(p, "%u", task->stream_id));
    }
    if (task->ended) {
        note(task, "fastcgi_ng_app_status",
             task->app_status == 0 ? "0"
             : apr_psprintf(p, "%u", (unsigned)task->app_status));
    }
}
