/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request on a shared connection, as its own thread sees it: it offers the
 * body, takes what came, passes it on, and sleeps until the bell rings, its
 * client leaves or its time is up.
 */
#include "fastcgi_ng.h"

/* Longer than most applications take: of many requests that began together all
   would wake up, to poll, when their answers are about to come. */
#define NAP_US 200000

/* ------------------------------------------------- with the mutex held --- */

fastcgi_ng_stream_t *fastcgi_ng_stream_new(fastcgi_ng_backend_t *b)
{
    fastcgi_ng_stream_t *stream = b->spare;

    if (stream != NULL) {
        b->spare = stream->next;
        stream->next = NULL;
        return stream;
    }
    stream = calloc(1, sizeof(*stream));
    if (stream != NULL) {
        fastcgi_ng_held_init(&stream->held, &b->kept);
        fastcgi_ng_bell_open(&stream->bell); /* else it looks all the time */
    }
    return stream;
}

void fastcgi_ng_stream_del(fastcgi_ng_backend_t *b,
                           fastcgi_ng_stream_t *stream)
{
    const apr_size_t lasting = offsetof(fastcgi_ng_stream_t, next);

    fastcgi_ng_held_free(&stream->held);
    free(stream->complaints);
    memset((char *)stream + lasting, 0, sizeof(*stream) - lasting);
    stream->next = b->spare;
    b->spare = stream;
    if (b->shared == NULL) {
        fastcgi_ng_mux_wake(b->child); /* it frees them */
    }
}

void fastcgi_ng_stream_free(fastcgi_ng_backend_t *b)
{
    fastcgi_ng_kept_free(&b->kept);
    while (b->spare != NULL) {
        fastcgi_ng_stream_t *stream = b->spare;

        b->spare = stream->next;
        fastcgi_ng_bell_close(&stream->bell);
        free(stream);
    }
}

static void rouse(fastcgi_ng_stream_t *stream, bool naps)
{
    if (naps) {
        fastcgi_ng_nap_end(&stream->nap);
    }
    else {
        fastcgi_ng_bell_ring(&stream->bell);
    }
}

void fastcgi_ng_stream_wake(fastcgi_ng_backend_t *b,
                            fastcgi_ng_stream_t *stream)
{
    fastcgi_ng_chime_t *chime = b->chime;

    if (!stream->sleeps) {
        return;
    }
    stream->sleeps = false;
    if (chime != NULL && chime->n < FASTCGI_NG_CHIME) {
        chime->sleeper[chime->n].stream = stream;
        chime->sleeper[chime->n++].naps = stream->naps;
    }
    else {
        rouse(stream, stream->naps);
    }
}

void fastcgi_ng_lock(fastcgi_ng_backend_t *b, fastcgi_ng_chime_t *chime)
{
    apr_thread_mutex_lock(b->mutex);
    chime->n = 0;
    b->chime = chime;
}

void fastcgi_ng_unlock(fastcgi_ng_backend_t *b, fastcgi_ng_chime_t *chime)
{
    unsigned i;

    b->chime = NULL;
    if (chime->n == 0) {
        apr_thread_mutex_unlock(b->mutex);
        return;
    }
    atomic_fetch_add(&b->ringing, 1);
    apr_thread_mutex_unlock(b->mutex);
    for (i = 0; i < chime->n; i++) {
        rouse(chime->sleeper[i].stream, chime->sleeper[i].naps);
    }
    atomic_fetch_sub(&b->ringing, 1);
}

/* --------------------------------------------------------- the way out --- */

static void lock(const fastcgi_ng_task_t *task)
{
    apr_thread_mutex_lock(task->backend->mutex);
}

static void unlock(const fastcgi_ng_task_t *task)
{
    apr_thread_mutex_unlock(task->backend->mutex);
}

int fastcgi_ng_flow_offer(const fastcgi_ng_task_t *task,
                          enum fcng_stream stream, const void *data,
                          apr_size_t len, bool fin)
{
    int err = FCNG_AGAIN;

    if (task->stream == NULL) {
        return fcng_request_offer(task->request, stream, data, len, fin);
    }
    lock(task);
    if (task->stream->request != NULL) {
        err = fcng_request_offer(task->stream->request, stream, data, len,
                                 fin);
    }
    unlock(task);
    return err;
}

apr_uint64_t fastcgi_ng_flow_sent(const fastcgi_ng_task_t *task)
{
    const fastcgi_ng_stream_t *stream = task->stream;
    apr_uint64_t sent;

    if (stream == NULL) {
        return fcng_request_sent(task->request);
    }
    lock(task);
    sent = stream->request != NULL ? fcng_request_sent(stream->request)
                                   : stream->sent;
    unlock(task);
    return sent;
}

apr_uint64_t fastcgi_ng_flow_offered(const fastcgi_ng_task_t *task)
{
    const fastcgi_ng_stream_t *stream = task->stream;
    apr_uint64_t offered = 0;

    if (stream == NULL) {
        return fcng_request_offered(task->request);
    }
    lock(task);
    if (stream->request != NULL) {
        offered = fcng_request_offered(stream->request);
    }
    unlock(task);
    return offered;
}

void fastcgi_ng_stream_push(fastcgi_ng_task_t *task)
{
    lock(task);
    if (task->stream->request != NULL) {
        fastcgi_ng_mux_flush(task->backend);
    }
    unlock(task);
}

/* ---------------------------------------------------------- the way in --- */

/* What its thread has got in one go. */
typedef struct taken_t {
    fastcgi_ng_block_t *blocks;
    apr_size_t file;    /* bytes of the file that may be read now */
    char *complaints;
    apr_size_t complaints_len;
    bool last;          /* nothing comes behind it */
    bool whole;         /* nor anything of the response */
    bool anything;
    uint64_t first_byte_us;
} taken_t;

/* Mutex held. */
static void look(fastcgi_ng_task_t *task)
{
    const fastcgi_ng_stream_t *stream = task->stream;
    uint64_t moved = stream->sent;
    uint64_t now = fastcgi_ng_now();

    task->unsent = false;
    if (stream->request != NULL) {
        moved = fcng_request_sent(stream->request);
        task->unsent = !fcng_request_started(stream->request)
                       || moved < fcng_request_offered(stream->request);
    }
    if (moved != task->moved) {
        task->moved = moved;
        task->active_us = now;
    }
}

static void take(fastcgi_ng_task_t *task, taken_t *got)
{
    fastcgi_ng_stream_t *stream = task->stream;
    fastcgi_ng_chime_t chime;
    apr_size_t file;

    memset(got, 0, sizeof(*got));
    fastcgi_ng_lock(task->backend, &chime);
    look(task);
    /* What was taken before has been passed on. */
    fastcgi_ng_blocks_keep(&task->backend->kept, task->blocks);
    task->blocks = NULL;
    if (task->taken > 0 && stream->request != NULL) {
        fcng_request_consumed(stream->request, task->taken);
        fastcgi_ng_mux_took(stream);
    }
    task->taken = 0;
    got->blocks = fastcgi_ng_held_take(&stream->held);
    file = (apr_size_t)(stream->held.in - stream->held.out);
    if (got->blocks == NULL) {
        got->file = file < FASTCGI_NG_BUFFER ? file : FASTCGI_NG_BUFFER;
    }
    got->complaints = stream->complaints;
    got->complaints_len = stream->complaints_len;
    stream->complaints = NULL;
    stream->complaints_len = 0;
    got->last = stream->conn == NULL && file == got->file;
    got->whole = stream->whole && file == got->file;
    got->first_byte_us = stream->first_byte_us;
    got->anything = got->blocks != NULL || file > 0 || got->last
                    || got->complaints != NULL
                    || (got->whole && !task->stdout_ended);
    task->lingered = task->lingered && !got->anything;
    stream->sleeps = !got->anything && !task->unflushed;
    task->read_fd = fastcgi_ng_mux_reads(stream);
    stream->naps = fastcgi_ng_nap_works() && task->read_fd < 0
                   && !task->lingered
                   && (task->body.fin || !task->body.waits);
    stream->hungry = !task->body.fin || !fastcgi_ng_data_fin(task->data);
    fastcgi_ng_unlock(task->backend, &chime);
}

static void on_stdout(fastcgi_ng_task_t *task, const char *data,
                      apr_size_t len)
{
    fcng_str bytes = { data, len };

    if (task->error == FCNG_OK) {
        task->error = fastcgi_ng_reply_stdout(task, bytes);
    }
}

/* The blocks: all that is not the end goes on to the client. */
static void pass_blocks(fastcgi_ng_task_t *task, const taken_t *got)
{
    fastcgi_ng_block_t *block;
    apr_size_t len = 0;

    for (block = got->blocks; block != NULL; block = block->next) {
        on_stdout(task, block->data, block->len);
        len += block->len;
    }
    task->blocks = got->blocks;
    task->taken += len;
    if (!got->last && task->error == FCNG_OK) {
        fastcgi_ng_reply_pass(task, len < FASTCGI_NG_BUFFER);
    }
}

/* As far as it goes, the file: it is full, or cannot be read. */
static void pass_file(fastcgi_ng_task_t *task, const taken_t *got)
{
    fastcgi_ng_stream_t *stream = task->stream;
    apr_size_t n = fastcgi_ng_held_read(&stream->held, task->buf, got->file);

    on_stdout(task, task->buf, n);
    if (n < got->file && task->error == FCNG_OK) {
        task->error = FCNG_ERR_IO;
    }
    lock(task);
    fastcgi_ng_held_took(&stream->held, got->file);
    if (stream->request != NULL) {
        fastcgi_ng_mux_took(stream);
    }
    unlock(task);
    if (!got->last && task->error == FCNG_OK) {
        fastcgi_ng_reply_pass(task, false);
    }
}

static void on_end(fastcgi_ng_task_t *task)
{
    const fastcgi_ng_stream_t *stream = task->stream;

    task->over = true;
    task->ended = stream->ended;
    task->app_status = stream->app_status;
    if (task->error == FCNG_OK
        && (stream->ended || fastcgi_ng_task_fails(task, stream->error))) {
        task->error = stream->error;
    }
    if (stream->cannot_hold != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, stream->cannot_hold, task->r,
                      "%s: the response cannot be kept for its client, which "
                      "is slower than the application: %s%s, request: "
                      "\"%s %s\"", fcng_msg_tag(FCNG_MSG_MULTIPLEX),
                      task->error == FCNG_ERR_NOMEM
                      ? "in memory" : "in a temporary file in ",
                      task->error == FCNG_ERR_NOMEM
                      ? "" : fastcgi_ng_spool_folder(),
                      task->r->method, task->r->uri);
    }
    if (stream->hint_len > 0 && !stream->ended) {
        task->first_bytes.data = apr_pmemdup(task->r->pool, stream->hint,
                                             stream->hint_len);
        task->first_bytes.len = stream->hint_len;
    }
}

static void mark_first_byte(fastcgi_ng_task_t *task, uint64_t at)
{
    if (task->first_byte_us == 0 && at > 0) {
        task->first_byte_us = at;
        fastcgi_ng_backend_answered(task);
    }
}

bool fastcgi_ng_stream_nap(fastcgi_ng_task_t *task, uint64_t until_us)
{
    uint64_t now = fastcgi_ng_now();

    if (task->stream == NULL || !task->stream->naps || now >= until_us) {
        return false;
    }
    task->lingered
        = !fastcgi_ng_nap(&task->stream->nap,
                          until_us - now < NAP_US ? until_us - now : NAP_US);
    return true;
}

bool fastcgi_ng_stream_pull(fastcgi_ng_task_t *task)
{
    taken_t got;

    take(task, &got);
    if (!got.anything) {
        if (task->unflushed) {
            fastcgi_ng_reply_pass(task, true);
            return true;
        }
        return false;
    }
    mark_first_byte(task, got.first_byte_us);
    if (got.complaints != NULL) {
        fcng_str bytes = { got.complaints, got.complaints_len };

        fastcgi_ng_log_stderr(task, bytes);
        free(got.complaints);
    }
    if (got.blocks != NULL) {
        pass_blocks(task, &got);
    }
    else if (got.file > 0) {
        pass_file(task, &got);
    }
    task->stdout_ended = got.whole;
    task->active_us = fastcgi_ng_now(); /* the client may have taken long */
    if (got.last) {
        on_end(task);
    }
    return true;
}

void fastcgi_ng_stream_look(fastcgi_ng_task_t *task)
{
    lock(task);
    look(task);
    unlock(task);
}

/* The request has timed out, and as long nothing came at all: other requests
   would wait for nothing, too. */
static bool is_silent(const fastcgi_ng_task_t *task, uint64_t now)
{
    return task->timed_out && now < task->end_us
           && task->stream->conn->heard_us <= task->active_us;
}

void fastcgi_ng_stream_end(fastcgi_ng_task_t *task, fcng_outcome *outcome)
{
    fastcgi_ng_stream_t *stream = task->stream;
    fastcgi_ng_chime_t chime;
    uint64_t now;

    fastcgi_ng_lock(task->backend, &chime);
    now = fastcgi_ng_now();
    if (stream->conn != NULL && is_silent(task, now)) {
        stream->conn->silent = true;
    }
    fastcgi_ng_mux_leave(task->backend, stream, now);
    outcome->shared = true;
    outcome->started = stream->started;
    outcome->answered = stream->answered;
    task->exclusive = task->exclusive || stream->doubted;
    fastcgi_ng_unlock(task->backend, &chime);
}
