/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The application's STDOUT on its way to the client: the core parses the CGI
 * head, this file puts it into httpd's tables as mod_cgi does, and passes the
 * body down the filters.
 *
 * The fields go into the request only when the head is whole: an error page
 * must not carry half of an application's head.
 */
#include "fastcgi_ng.h"

#include "apr_date.h"

#define DUPLEX_PIECE 16384 /* a third of the smallest usual send buffer */
#define HOLD_MEMORY 65536  /* of a response that is kept, beyond a file */

void fastcgi_ng_reply_init(fastcgi_ng_task_t *task)
{
    fcng_head_init(&task->head, (size_t)task->conf->header_max_size);
    task->partial_len = 0;
    task->reason = NULL;
    task->reply = FASTCGI_NG_REPLY_NONE;
    task->redirect = NULL;
    task->cut_told = false;
    if (task->fields == NULL) {
        task->fields = apr_table_make(task->r->pool, 12);
        task->out = apr_brigade_create(task->r->pool,
                                       task->r->connection->bucket_alloc);
    }
    else {
        apr_table_clear(task->fields);
        apr_brigade_cleanup(task->out);
    }
}

/* ---------------------------------------------------------------- head --- */

static void set_last_modified(request_rec *r, const char *value)
{
    apr_time_t when = apr_date_parse_http(value);

    if (when != APR_DATE_BAD) {
        ap_update_mtime(r, when);
        ap_set_last_modified(r);
    }
}

static int apply_field(void *data, const char *name, const char *value)
{
    request_rec *r = data;

    if (ap_cstr_casecmp(name, "Content-Type") == 0) {
        char *type = apr_pstrdup(r->pool, value);

        ap_content_type_tolower(type);
        ap_set_content_type(r, type);
    }
    else if (ap_cstr_casecmp(name, "Set-Cookie") == 0) {
        apr_table_addn(r->err_headers_out, name, value);
    }
    else if (ap_cstr_casecmp(name, "Last-Modified") == 0) {
        set_last_modified(r, value);
    }
    else if (ap_cstr_casecmp(name, "Location") == 0
             || ap_cstr_casecmp(name, "Content-Range") == 0
             || ap_cstr_casecmp(name, "ETag") == 0) {
        apr_table_setn(r->headers_out, name, value);
    }
    else if (ap_cstr_casecmp(name, "Content-Length") != 0) {
        apr_table_mergen(r->err_headers_out, name, value);
    }
    return 1;
}

/* The status that ap_meets_conditions() makes of this response; as for a CGI
   script, only where the application did not name one. */
static int condition(const fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    if (task->head.status_given || r->method_number != M_GET
        || task->head.kind != FCNG_HEAD_DOCUMENT) {
        return OK;
    }
    return ap_meets_conditions(r);
}

static bool has_no_body(const request_rec *r)
{
    return r->header_only || r->status == HTTP_NO_CONTENT
           || r->status == HTTP_NOT_MODIFIED
           || r->status == HTTP_RESET_CONTENT;
}

/* RFC 3875 section 6.2.2 means Responders: what is filtered has its document
   already. */
static bool is_local_redirect(const fastcgi_ng_task_t *task)
{
    return task->head.kind == FCNG_HEAD_LOCAL_REDIRECT
           && task->filter == NULL;
}

static void set_status(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    const fcng_head *head = &task->head;

    if (head->status_given || head->status != HTTP_OK) {
        r->status = (int)head->status;
    }
    else if (head->kind == FCNG_HEAD_LOCAL_REDIRECT) {
        r->status = HTTP_MOVED_TEMPORARILY;
    }
    else {
        return;
    }
    r->status_line = ap_get_status_line_ex(r->pool, r->status);
}

/* What a Filter says of its output's length makes ranges of it possible.
   httpd finds them only in what it gets whole. */
static void offer_ranges(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    if (task->data == NULL || r->status != HTTP_OK
        || r->method_number != M_GET
        || task->head.content_length == FCNG_LENGTH_UNKNOWN
        || task->reply != FASTCGI_NG_REPLY_BODY) {
        return;
    }
    if (apr_table_get(task->fields, "Accept-Ranges") == NULL) {
        ap_set_accept_ranges(r);
    }
    if (apr_table_get(r->headers_in, "Range") != NULL) {
        task->reply = FASTCGI_NG_REPLY_HOLD;
        fastcgi_ng_spool_init(&task->held, r, HOLD_MEMORY);
    }
}

static int head_done(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    fcng_head *head = &task->head;
    int rc;

    if (head->status < HTTP_OK) {
        return FCNG_ERR_HEAD_STATUS;
    }
    if (task->question != NULL) {
        return fastcgi_ng_answer_head(task);
    }
    if (task->filter != NULL) {
        fastcgi_ng_output_head(task);
    }
    apr_table_do(apply_field, r, task->fields, NULL);
    task->reply = FASTCGI_NG_REPLY_BODY;
    if (is_local_redirect(task)) {
        task->redirect = apr_table_get(task->fields, "Location");
        task->reply = FASTCGI_NG_REPLY_DISCARD;
        return FCNG_OK;
    }
    set_status(task);
    if (head->content_length != FCNG_LENGTH_UNKNOWN) {
        ap_set_content_length(r, (apr_off_t)head->content_length);
    }
    rc = condition(task);
    if (rc == HTTP_NOT_MODIFIED) {
        r->status = rc;
        r->status_line = NULL;
    }
    else if (rc != OK) {
        task->status = rc;
    }
    if (rc != OK || has_no_body(r)) {
        task->reply = FASTCGI_NG_REPLY_DISCARD;
    }
    offer_ranges(task);
    return FCNG_OK;
}

static int on_line(fastcgi_ng_task_t *task, const fcng_field *field)
{
    apr_pool_t *p = task->r->pool;

    if (task->head.done) {
        return head_done(task);
    }
    if (field->name.len > 0) {
        apr_table_addn(task->fields,
                       apr_pstrmemdup(p, field->name.data, field->name.len),
                       apr_pstrmemdup(p, field->value.data,
                                      field->value.len));
    }
    else if (field->value.len > 0 && task->question != NULL) {
        task->reason = apr_pstrmemdup(p, field->value.data,
                                      field->value.len);
    }
    return FCNG_OK;
}

/* A line that is not whole is kept; the next bytes are put behind it. */
static void keep_partial(fastcgi_ng_task_t *task, fcng_str bytes)
{
    if (bytes.len > task->partial_size) {
        task->partial_size = 2 * bytes.len + 512;
        task->partial = apr_palloc(task->r->pool, task->partial_size);
    }
    if (bytes.len > 0) {
        memmove(task->partial, bytes.data, bytes.len);
    }
    task->partial_len = bytes.len;
}

static fcng_str join_partial(fastcgi_ng_task_t *task, fcng_str bytes)
{
    apr_size_t len = task->partial_len + bytes.len;
    char *all = task->partial;
    fcng_str joined;

    if (len > task->partial_size) {
        task->partial_size = 2 * len;
        all = apr_palloc(task->r->pool, task->partial_size);
        memcpy(all, task->partial, task->partial_len);
        task->partial = all;
    }
    memcpy(all + task->partial_len, bytes.data, bytes.len);
    task->partial_len = 0;
    joined.data = all;
    joined.len = len;
    return joined;
}

/* Takes the head's part off |bytes|. */
static int parse_head(fastcgi_ng_task_t *task, fcng_str *bytes)
{
    fcng_field field;
    size_t used;
    int err = FCNG_OK;

    if (task->partial_len > 0) {
        *bytes = join_partial(task, *bytes);
    }
    while (err == FCNG_OK && !task->head.done) {
        memset(&field, 0, sizeof(field));
        err = fcng_head_parse(&task->head, bytes->data, bytes->len, &used,
                              &field);
        if (err == FCNG_OK) {
            bytes->data += used;
            bytes->len -= used;
            err = on_line(task, &field);
        }
    }
    if (err == FCNG_AGAIN) {
        keep_partial(task, *bytes);
        bytes->len = 0;
        err = FCNG_OK;
    }
    return err;
}

/* ---------------------------------------------------------------- body --- */

static void hold(fastcgi_ng_task_t *task, const char *data, apr_size_t len)
{
    apr_status_t rv = fastcgi_ng_spool_add(&task->held, data, len);

    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, task->r,
                      "%s: the response cannot be kept in a temporary file, "
                      "request: \"%s %s\"", fcng_msg_tag(FCNG_MSG_REQUEST),
                      task->r->method, task->r->uri);
        task->status = HTTP_INTERNAL_SERVER_ERROR;
    }
}

static void add_body(fastcgi_ng_task_t *task, fcng_str bytes)
{
    size_t len = fcng_head_body(&task->head, bytes.len);
    apr_bucket_alloc_t *list = task->r->connection->bucket_alloc;

    if (len < bytes.len && !task->cut_told
        && task->reply == FASTCGI_NG_REPLY_BODY) {
        task->cut_told = true;
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_BODY_LENGTH,
                       "%s: the response is longer than its Content-Length; "
                       "the rest is dropped", task->backend->address->text);
    }
    if (len > 0 && task->reply == FASTCGI_NG_REPLY_BODY) {
        APR_BRIGADE_INSERT_TAIL(task->out,
                                apr_bucket_transient_create(bytes.data, len,
                                                            list));
    }
    else if (len > 0 && task->reply == FASTCGI_NG_REPLY_KEEP) {
        fastcgi_ng_answer_body(task, bytes.data, len);
    }
    else if (len > 0 && task->reply == FASTCGI_NG_REPLY_HOLD) {
        hold(task, bytes.data, len);
    }
}

int fastcgi_ng_reply_stdout(fastcgi_ng_task_t *task, fcng_str bytes)
{
    int err = FCNG_OK;

    if (!task->head.done) {
        err = parse_head(task, &bytes);
    }
    if (err == FCNG_OK && bytes.len > 0) {
        add_body(task, bytes);
    }
    return err;
}

/* FastCgiNgRequestTimeout is over while the client takes no byte. */
static void too_late(fastcgi_ng_task_t *task)
{
    task->client_stuck = true;
    if (task->error == FCNG_OK) {
        task->error = FCNG_ERR_TIMEOUT;
    }
}

/* Whether writing to the client can be ended in time.  In HTTP/2 it waits in
   mod_http2, for another thread. */
static bool bounded(const fastcgi_ng_task_t *task)
{
    return task->end_us != FCNG_NEVER && task->client.fd >= 0
           && !task->client.secondary;
}

static apr_status_t pass_on(fastcgi_ng_task_t *task)
{
    return ap_pass_brigade(task->filter != NULL ? task->filter->next
                                                : task->r->output_filters,
                           task->out);
}

/* httpd waits for the client no longer than the request may last.  It does not
   come to that when the client had room for all, but filters may make more of
   the bytes than there were. */
static apr_status_t pass_in_time(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    apr_socket_t *s = ap_get_conn_socket(r->connection);
    uint64_t now = fastcgi_ng_now();
    uint64_t left = task->end_us > now + 1000 ? task->end_us - now : 1000;
    apr_interval_time_t timeout;
    apr_status_t rv;

    apr_socket_timeout_get(s, &timeout);
    if (timeout < 0 || (uint64_t)timeout > left) {
        apr_socket_timeout_set(s, (apr_interval_time_t)left);
    }
    rv = pass_on(task);
    apr_socket_timeout_set(s, timeout);
    return rv;
}

static void pass(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    apr_status_t rv = bounded(task) ? pass_in_time(task) : pass_on(task);

    apr_brigade_cleanup(task->out);
    task->delivered = true;
    if (rv == APR_SUCCESS && !r->connection->aborted) {
        return;
    }
    /* mod_http2 waits Timeout long for a window and may then give up the whole
       connection: by its error the client has gone. */
    if (fastcgi_ng_now() >= task->end_us) {
        too_late(task);
    }
    else {
        task->client_gone = true;
        task->refused = rv == AP_FILTER_ERROR && !r->connection->aborted;
    }
}

static bool goes_on(const fastcgi_ng_task_t *task)
{
    return !task->client_gone && !task->client_stuck && task->status == OK;
}

/* Waits until the client takes bytes, and reads what it sends meanwhile. */
static void make_room(fastcgi_ng_task_t *task)
{
    uint64_t until = fastcgi_ng_now() + (uint64_t)task->r->server->timeout;
    bool limit = bounded(task);

    if (limit && task->end_us < until) {
        until = task->end_us;
    }
    while (goes_on(task) && (limit || !task->body.eos)
           && !fastcgi_ng_io_client_takes(&task->client, !task->body.eos,
                                          until)) {
        if (fastcgi_ng_now() < until) {
            task->status = fastcgi_ng_body_absorb(&task->body);
        }
        else if (until == task->end_us) {
            too_late(task);
        }
        else {
            task->client_gone = true;
        }
    }
}

/* While the client still sends its body, or the request has only so much time:
   in pieces that its socket takes without blocking, as far as its readiness
   tells.  |flush|: each of them, or only what comes last. */
static void pass_in_pieces(fastcgi_ng_task_t *task, bool flush_each,
                           bool flush)
{
    apr_bucket_alloc_t *list = task->r->connection->bucket_alloc;
    apr_bucket_brigade *all = task->out;
    apr_bucket *cut;

    task->out = apr_brigade_create(task->r->pool, list);
    do {
        apr_brigade_partition(all, DUPLEX_PIECE, &cut);
        while (APR_BRIGADE_FIRST(all) != cut) {
            apr_bucket *b = APR_BRIGADE_FIRST(all);

            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(task->out, b);
        }
        make_room(task);
        if (flush_each || (flush && APR_BRIGADE_EMPTY(all))) {
            APR_BRIGADE_INSERT_TAIL(task->out,
                                    apr_bucket_flush_create(list));
        }
        if (goes_on(task)) {
            pass(task);
        }
    } while (!APR_BRIGADE_EMPTY(all) && goes_on(task));
    apr_brigade_cleanup(task->out);
    apr_brigade_destroy(task->out);
    apr_brigade_cleanup(all);
    task->out = all;
}

void fastcgi_ng_reply_pass(fastcgi_ng_task_t *task, bool flush)
{
    apr_bucket_alloc_t *list = task->r->connection->bucket_alloc;

    if (task->reply != FASTCGI_NG_REPLY_BODY) {
        return; /* all at the end */
    }
    if (!task->body.eos) {
        pass_in_pieces(task, true, true);
        task->unflushed = false;
        return;
    }
    if (!flush && APR_BRIGADE_EMPTY(task->out)) {
        return;
    }
    if (bounded(task)) {
        pass_in_pieces(task, false, flush);
    }
    else {
        if (flush) {
            APR_BRIGADE_INSERT_TAIL(task->out,
                                    apr_bucket_flush_create(list));
        }
        pass(task);
    }
    task->unflushed = !flush;
}

/* Reads what the client still sends, so that its next request is found; first
   the end of the response must reach it, which it may be waiting for.  An
   HTTP/2 stream that ends before its body is reset, the response lost. */
static void discard_rest(fastcgi_ng_task_t *task)
{
    conn_rec *c = task->r->connection;

    if (c->master == NULL) {
        APR_BRIGADE_INSERT_TAIL(task->out,
                                apr_bucket_flush_create(c->bucket_alloc));
        ap_pass_brigade(c->output_filters, task->out);
        apr_brigade_cleanup(task->out);
        ap_discard_request_body(task->r);
    }
    else {
        fastcgi_ng_body_discard(&task->body);
    }
}

/* The whole response has come. */
void fastcgi_ng_reply_finish(fastcgi_ng_task_t *task)
{
    apr_bucket_alloc_t *list = task->r->connection->bucket_alloc;

    if (task->reply == FASTCGI_NG_REPLY_HOLD) {
        fastcgi_ng_spool_take(&task->held, task->out);
    }
    else if ((!task->body.eos || bounded(task))
             && !APR_BRIGADE_EMPTY(task->out)) {
        pass_in_pieces(task, !task->body.eos, false);
    }
    if (task->client_stuck) {
        return;
    }
    APR_BRIGADE_INSERT_TAIL(task->out, apr_bucket_eos_create(list));
    pass(task);
    if (!task->body.eos && goes_on(task)) {
        discard_rest(task);
    }
}

/* The response was cut: neither an HTTP/1.1 nor an HTTP/2 client may take it
   for whole. */
void fastcgi_ng_reply_break(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    conn_rec *c = r->connection;

    r->no_cache = 1;
    if (r->main != NULL) {
        r->main->no_cache = 1;
    }
    c->keepalive = AP_CONN_CLOSE;
    if (task->client_stuck) {
        c->aborted = 1; /* or httpd would wait for it once more */
    }
    APR_BRIGADE_INSERT_TAIL(task->out,
                            ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL,
                                                   r->pool,
                                                   c->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(task->out,
                            apr_bucket_eos_create(c->bucket_alloc));
    pass(task);
}
