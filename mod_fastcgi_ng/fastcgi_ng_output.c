/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any response through a Filter application (Spec 6.4): the output filter
 * FASTCGI-NG, placed by FastCgiNgOutputFilter or by hand.
 *
 * A response is held until it is whole, then the application is asked by the
 * same pump as for any other task, its answer goes down the filters below.
 * FastCgiNgOutputFilterBuffering off: the pump stops whenever the application
 * has taken what there is, and goes on with the next brigade.
 */
#include "fastcgi_ng.h"

#include "apr_date.h"
#include "http_connection.h"

#define FILTER "FASTCGI-NG"
#define TAIL "FASTCGI_NG_TAIL"
#define MAX_SIZE (APR_INT64_C(64) << 20)
#define SLICE 65536 /* streamed at once */

enum state {
    STATE_NONE,    /* nobody has decided yet */
    STATE_COLLECT,
    STATE_STREAM,
    STATE_PASS,    /* goes out as it is */
    STATE_DROP     /* the client has its answer */
};

/* Of one response. */
typedef struct fastcgi_ng_output_t {
    ap_filter_t *automatic;      /* placed by FastCgiNgOutputFilter */
    ap_filter_t *owner;          /* the one that has decided */
    bool by_hand;                /* another one is there, which decides */
    bool failed;                 /* its error page is not filtered */
    apr_array_header_t *hidden;  /* fcng_field: of the request, until the
                                    response begins */
    bool hid;                    /* there were some */
    enum state state;
    fastcgi_ng_data_t *data;
    fastcgi_ng_task_t *task;
    apr_uint64_t announced;      /* the original's Content-Length */
    apr_uint64_t length;         /* as much as has come */
    fastcgi_ng_head_t head;
} fastcgi_ng_output_t;

static fastcgi_ng_output_t *output_get(request_rec *r)
{
    fastcgi_ng_request_t *known = fastcgi_ng_request_get(r);

    if (known->output == NULL) {
        known->output = apr_pcalloc(r->pool, sizeof(*known->output));
    }
    return known->output;
}

static fastcgi_ng_output_t *output_find(request_rec *r)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);

    return known != NULL ? known->output : NULL;
}

/* What the client asks for counts again. */
static void give_back(request_rec *r, fastcgi_ng_output_t *out)
{
    if (out->hidden != NULL) {
        fastcgi_ng_give_back_asking(r, out->hidden);
        out->hid = out->hidden->nelts > 0;
        out->hidden = NULL;
    }
}

/* ----------------------------------------------------------- decisions --- */

static bool type_matches(const fastcgi_ng_dir_conf_t *conf, const char *type)
{
    apr_size_t len = type != NULL ? strcspn(type, "; \t") : 0;
    int i;

    if (conf->output_types == NULL) {
        return len == 9 && ap_cstr_casecmpn(type, "text/html", len) == 0;
    }
    for (i = 0; i < conf->output_types->nelts; i++) {
        const char *want = APR_ARRAY_IDX(conf->output_types, i, const char *);

        if (strcmp(want, "*") == 0
            || (strlen(want) == len
                && ap_cstr_casecmpn(type, want, len) == 0)) {
            return true;
        }
    }
    return false;
}

/* The response of a failed filter's ErrorDocument may have the status 200. */
static bool has_failed(const request_rec *r)
{
    request_rec *before;

    for (before = r->prev; before != NULL; before = before->prev) {
        const fastcgi_ng_output_t *out = output_find(before);

        if (out != NULL && out->failed) {
            return true;
        }
    }
    return false;
}

static const char *field_of(request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_out, name);

    return value != NULL ? value : apr_table_get(r->err_headers_out, name);
}

/* Told, because a filter in the wrong place does the same. */
static bool is_encoded(request_rec *r)
{
    const char *coding = r->content_encoding != NULL
                         ? r->content_encoding
                         : field_of(r, "Content-Encoding");

    if (coding == NULL || *coding == '\0'
        || ap_cstr_casecmp(coding, "identity") == 0) {
        return false;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "%s: the response to \"%s %s\" is encoded already (%s): it "
                  "is not filtered", fcng_msg_tag(FCNG_MSG_REQUEST),
                  r->method, r->uri, coding);
    return true;
}

static bool is_to_be_filtered(request_rec *r, const fastcgi_ng_output_t *out)
{
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);

    return (conf->output_filter != NULL || !conf->output_filter_set)
           && r->status == HTTP_OK
           && r->method_number != M_OPTIONS && r->method_number != M_TRACE
           && (out->by_hand || type_matches(conf, r->content_type))
           && field_of(r, "Content-Range") == NULL && !has_failed(r)
           && !is_encoded(r);
}

/* ---------------------------------------------------------------- ends --- */

static apr_bucket_brigade *new_brigade(request_rec *r)
{
    return apr_brigade_create(r->pool, r->connection->bucket_alloc);
}

static apr_status_t pass_eos(ap_filter_t *f, apr_bucket_brigade *bb)
{
    APR_BRIGADE_INSERT_TAIL(
        bb, apr_bucket_eos_create(f->r->connection->bucket_alloc));
    return ap_pass_brigade(f->next, bb);
}

/* Nothing has been sent: httpd answers with its error page, as it does for an
   error bucket, which would lose err_headers_out. */
static apr_status_t fail(ap_filter_t *f, fastcgi_ng_output_t *out, int status)
{
    request_rec *r = f->r;

    out->state = STATE_DROP;
    out->failed = true;
    r->no_cache = 1;
    r->status = HTTP_OK; /* else ap_die() sees an error within an error */
    r->status_line = NULL;
    ap_die(status, r);
    return AP_FILTER_ERROR;
}

/* The original, as if nothing had been: what was kept of it, then the rest. */
static apr_status_t pass_original(ap_filter_t *f, fastcgi_ng_output_t *out,
                                  apr_bucket_brigade *rest)
{
    request_rec *r = f->r;
    apr_bucket_brigade *bb = new_brigade(r);

    out->state = STATE_PASS;
    fastcgi_ng_restore_head(r, &out->head);
    r->no_cache = 1; /* it is not what should be kept */
    if (fastcgi_ng_data_pass(out->data, bb) != APR_SUCCESS) {
        return fail(f, out, HTTP_INTERNAL_SERVER_ERROR);
    }
    APR_BRIGADE_CONCAT(bb, rest);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static bool may_pass(request_rec *r, const fastcgi_ng_output_t *out)
{
    return fastcgi_ng_dir_conf(r)->output_pass == 1
           && (out->task == NULL || !out->task->delivered)
           && fastcgi_ng_data_replayable(out->data);
}

static apr_status_t give_up(ap_filter_t *f, fastcgi_ng_output_t *out,
                            int status, apr_bucket_brigade *rest)
{
    if (!may_pass(f->r, out)) {
        return fail(f, out, status);
    }
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, f->r,
                  "%s: the response to \"%s %s\" goes out unfiltered "
                  "(FastCgiNgOutputFilterOnError pass)",
                  fcng_msg_tag(FCNG_MSG_REQUEST), f->r->method, f->r->uri);
    return pass_original(f, out, rest);
}

/* ------------------------------------------------------------ the task --- */

/* Also when the handler, or the client, leaves before the end. */
static apr_status_t cancel(void *data)
{
    fastcgi_ng_task_t *task = data;

    fastcgi_ng_task_cancel(task);
    fastcgi_ng_task_end(task);
    return APR_SUCCESS;
}

static void end_task(fastcgi_ng_task_t *task)
{
    apr_pool_cleanup_run(task->r->pool, task, cancel);
    if (apr_table_get(task->r->notes, "fastcgi_ng_pool") == NULL) {
        fastcgi_ng_notes(task); /* else they tell of the original */
    }
}

/* The client sees an answer of the application that is cut. */
static apr_status_t break_off(fastcgi_ng_output_t *out)
{
    out->state = STATE_DROP;
    fastcgi_ng_reply_break(out->task);
    return APR_SUCCESS;
}

static apr_status_t conclude_failure(ap_filter_t *f, fastcgi_ng_output_t *out,
                                     apr_bucket_brigade *rest)
{
    fastcgi_ng_task_t *task = out->task;
    bool busy;
    int status;

    if (task->error != FCNG_OK) {
        fastcgi_ng_log_failure(task);
    }
    if (task->delivered) {
        return break_off(out);
    }
    status = fastcgi_ng_task_status(task, &busy);
    if (status == HTTP_PRECONDITION_FAILED) {
        return fail(f, out, status); /* the client's own condition */
    }
    if (busy && !may_pass(f->r, out)) {
        fastcgi_ng_retry_after(f->r);
    }
    return give_up(f, out, status, rest);
}

/* The task is over. */
static apr_status_t conclude(ap_filter_t *f, fastcgi_ng_output_t *out,
                             apr_bucket_brigade *rest)
{
    fastcgi_ng_task_t *task = out->task;
    apr_status_t rv = APR_SUCCESS;

    if (task->refused) {
        out->state = STATE_DROP;
        rv = AP_FILTER_ERROR;
    }
    else if (task->client_gone) {
        out->state = STATE_DROP;
        fastcgi_ng_client_gone(f->r);
        rv = APR_ECONNABORTED;
    }
    else if (task->error != FCNG_OK || task->status != OK) {
        rv = conclude_failure(f, out, rest);
    }
    else {
        out->state = STATE_DROP;
        fastcgi_ng_reply_finish(task);
        if (task->client_stuck) {
            fastcgi_ng_log_failure(task);
            fastcgi_ng_reply_break(task);
        }
    }
    end_task(task);
    return rv;
}

/* OK or the status to answer with. */
static int begin_task(ap_filter_t *f, fastcgi_ng_output_t *out)
{
    request_rec *r = f->r;
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);
    fastcgi_ng_app_t *app = fastcgi_ng_find_app(r->server,
                                                conf->output_filter);
    fastcgi_ng_task_t *task;
    int rc;

    if (app == NULL || app->backends == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: there is no pool \"%s\", which "
                      "FastCgiNgOutputFilter names",
                      fcng_msg_tag(FCNG_MSG_REQUEST), conf->output_filter);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    task = fastcgi_ng_task_create(r, conf, app);
    task->filter = f;
    task->data = out->data;
    task->body.eos = true; /* the body was the original's */
    task->body.fin = true;
    rc = fastcgi_ng_env_build(task);
    if (rc == OK) {
        out->task = task;
        fastcgi_ng_task_begin(task);
        apr_pool_cleanup_register(r->pool, task, cancel,
                                  apr_pool_cleanup_null);
    }
    return rc;
}

/* Asks, or goes on; true: that is over, |*rv| the result. */
static bool ask(ap_filter_t *f, fastcgi_ng_output_t *out,
                apr_bucket_brigade *rest, apr_status_t *rv)
{
    int rc = out->task == NULL ? begin_task(f, out) : OK;

    if (rc != OK) {
        *rv = give_up(f, out, rc, rest);
        return true;
    }
    if (!fastcgi_ng_task_go(out->task)) {
        return false;
    }
    *rv = conclude(f, out, rest);
    return true;
}

/* -------------------------------------------------------- the original --- */

/* It ended before its end, or its handler says that it is none. */
static apr_status_t cut(ap_filter_t *f, fastcgi_ng_output_t *out,
                        apr_bucket_brigade *rest)
{
    request_rec *r = f->r;
    fastcgi_ng_task_t *task = out->task;
    int status = HTTP_BAD_GATEWAY;
    apr_bucket *b = APR_BRIGADE_FIRST(rest);

    if (b != APR_BRIGADE_SENTINEL(rest) && AP_BUCKET_IS_ERROR(b)) {
        status = ((ap_bucket_error *)b->data)->status;
    }
    apr_brigade_cleanup(rest);
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                  "%s: the response to \"%s %s\" broke off after %"
                  APR_UINT64_T_FMT " bytes: it is not filtered",
                  fcng_msg_tag(FCNG_MSG_REQUEST), r->method, r->uri,
                  out->length);
    if (task != NULL) {
        fastcgi_ng_task_cancel(task);
        task->client_gone = false;
        end_task(task);
        if (task->delivered) {
            return break_off(out);
        }
    }
    return fail(f, out, status);
}

static apr_status_t too_large(ap_filter_t *f, fastcgi_ng_output_t *out,
                              apr_int64_t max, apr_bucket_brigade *rest)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, f->r,
                  "%s: the response to \"%s %s\" is larger than the %"
                  APR_INT64_T_FMT " bytes of FastCgiNgOutputFilterMaxSize",
                  fcng_msg_tag(FCNG_MSG_BODY_LENGTH), f->r->method, f->r->uri,
                  max);
    return give_up(f, out, HTTP_BAD_GATEWAY, rest);
}

static int not_kept(ap_filter_t *f, apr_status_t rv)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, f->r,
                  "%s: the response to \"%s %s\" cannot be read, or kept in a "
                  "temporary file, to be filtered",
                  fcng_msg_tag(FCNG_MSG_REQUEST), f->r->method, f->r->uri);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* Adds the first bucket of |bb|, which holds data: a file by its place, all
   else by its bytes; no more than a slice of them where |streamed|. */
static apr_status_t add(fastcgi_ng_output_t *out, apr_bucket_brigade *bb,
                        bool streamed)
{
    apr_bucket *b = APR_BRIGADE_FIRST(bb);
    apr_status_t rv;
    const char *bytes;
    apr_size_t len;

    if (APR_BUCKET_IS_FILE(b)) {
        rv = apr_bucket_setaside(b, out->owner->r->pool);
        if (rv == APR_SUCCESS) {
            fastcgi_ng_data_add_file(out->data,
                                     ((apr_bucket_file *)b->data)->fd,
                                     (apr_uint64_t)b->start, b->length);
            out->length += b->length;
            apr_bucket_delete(b);
        }
        return rv;
    }
    rv = apr_bucket_read(b, &bytes, &len, APR_BLOCK_READ);
    if (rv == APR_SUCCESS && streamed && len > SLICE) {
        apr_bucket_split(b, SLICE);
        len = SLICE;
    }
    if (rv == APR_SUCCESS && len > 0) {
        rv = fastcgi_ng_data_add(out->data, bytes, len);
        out->length += len;
    }
    if (rv == APR_SUCCESS) {
        apr_bucket_delete(b);
    }
    return rv;
}

/* The original is whole; |rest| begins with its EOS. */
static apr_status_t finish(ap_filter_t *f, fastcgi_ng_output_t *out,
                           apr_bucket_brigade *rest)
{
    apr_status_t rv = APR_SUCCESS;

    if (out->announced != FCNG_LENGTH_UNKNOWN
        && out->length < out->announced) {
        return cut(f, out, rest);
    }
    fastcgi_ng_data_end(out->data);
    ask(f, out, rest, &rv);
    apr_brigade_cleanup(rest);
    return rv;
}

static bool is_end_of_all(const apr_bucket *b)
{
    return AP_BUCKET_IS_ERROR(b) || AP_BUCKET_IS_EOC(b);
}

/* What has come goes to the application; true: that is over. */
static bool stream(ap_filter_t *f, fastcgi_ng_output_t *out,
                   apr_bucket_brigade *rest, bool flush, apr_status_t *rv)
{
    if (out->task == NULL && fastcgi_ng_data_length(out->data) == 0) {
        return false;
    }
    if (out->task != NULL) {
        out->task->linger = flush;
    }
    return ask(f, out, rest, rv);
}

static apr_status_t take(ap_filter_t *f, fastcgi_ng_output_t *out,
                         apr_bucket_brigade *bb)
{
    apr_int64_t max = fastcgi_ng_dir_conf(f->r)->output_max_size;
    bool streamed = out->state == STATE_STREAM;
    apr_status_t rv = APR_SUCCESS;

    max = max < 0 ? MAX_SIZE : max;
    while (!APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);
        bool flush = APR_BUCKET_IS_FLUSH(b);

        if (is_end_of_all(b)) {
            return cut(f, out, bb);
        }
        if (APR_BUCKET_IS_EOS(b)) {
            return finish(f, out, bb);
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            apr_bucket_delete(b);
        }
        else if ((rv = add(out, bb, streamed)) != APR_SUCCESS) {
            apr_brigade_cleanup(bb);
            return fail(f, out, not_kept(f, rv));
        }
        if (streamed && out->length > out->announced) {
            return cut(f, out, bb); /* FCGI_DATA_LENGTH was wrong */
        }
        if (!streamed && out->length > (apr_uint64_t)max) {
            rv = too_large(f, out, max, bb);
            apr_brigade_cleanup(bb);
            return rv;
        }
        if (streamed && stream(f, out, bb, flush, &rv)) {
            apr_brigade_cleanup(bb);
            return rv;
        }
    }
    return APR_SUCCESS;
}

/* -------------------------------------------------------- the decision --- */

static apr_time_t modified(request_rec *r)
{
    const char *value = apr_table_get(r->headers_out, "Last-Modified");
    apr_time_t when = value != NULL ? apr_date_parse_http(value)
                                    : APR_DATE_BAD;

    if (when == APR_DATE_BAD) {
        when = r->mtime > 0 ? r->mtime : r->request_time;
    }
    return when;
}

static apr_uint64_t content_length(request_rec *r)
{
    const char *value = field_of(r, "Content-Length");
    apr_off_t len;
    char *end;

    return value != NULL && apr_strtoff(&len, value, &end, 10) == APR_SUCCESS
           && *end == '\0' && end != value && len >= 0
           ? (apr_uint64_t)len : FCNG_LENGTH_UNKNOWN;
}

static apr_status_t begin(ap_filter_t *f, fastcgi_ng_output_t *out,
                          apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);
    apr_int64_t max = conf->output_max_size < 0 ? MAX_SIZE
                                                : conf->output_max_size;
    bool streamed = conf->output_buffering == 0;

    fastcgi_ng_save_head(r, &out->head);
    out->data = fastcgi_ng_data_create(r, "the response", modified(r));
    out->announced = content_length(r);
    out->state = streamed ? STATE_STREAM : STATE_COLLECT;
    if (conf->output_filter == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: the output filter " FILTER " has no pool here: "
                      "write FastCgiNgOutputFilter POOL beside what places "
                      "it, or FastCgiNgOutputFilter off",
                      fcng_msg_tag(FCNG_MSG_REQUEST));
        return fail(f, out, HTTP_INTERNAL_SERVER_ERROR);
    }
    if (streamed) {
        fastcgi_ng_data_announce(out->data, out->announced);
    }
    else if (out->announced != FCNG_LENGTH_UNKNOWN
             && out->announced > (apr_uint64_t)max) {
        return too_large(f, out, max, bb);
    }
    return take(f, out, bb);
}

static bool begins_with_error(const apr_bucket_brigade *bb)
{
    const apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (is_end_of_all(b)) {
            return true;
        }
        if (!APR_BUCKET_IS_METADATA(b)) {
            return false;
        }
    }
    return false;
}

static apr_status_t drop(apr_bucket_brigade *bb)
{
    apr_brigade_cleanup(bb);
    return APR_SUCCESS;
}

/* HEAD: without what holds for the original only; the application is not
   asked. */
static apr_status_t bare_head(ap_filter_t *f, fastcgi_ng_output_t *out,
                              apr_bucket_brigade *bb)
{
    out->state = STATE_DROP;
    fastcgi_ng_drop_original(f->r);
    apr_brigade_cleanup(bb);
    return pass_eos(f, bb);
}

/* The response is not filtered: what the client asked for counts for it. */
static apr_status_t leave(ap_filter_t *f, fastcgi_ng_output_t *out,
                          apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    int rc = out->hid && r->status == HTTP_OK && r->method_number == M_GET
             && !begins_with_error(bb) ? ap_meets_conditions(r) : OK;

    if (rc == HTTP_NOT_MODIFIED) {
        out->state = STATE_DROP;
        r->status = rc;
        r->status_line = NULL;
        apr_brigade_cleanup(bb);
        return pass_eos(f, bb);
    }
    if (rc != OK) {
        apr_brigade_cleanup(bb);
        return fail(f, out, rc);
    }
    out->state = STATE_PASS;
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static apr_status_t decide(ap_filter_t *f, fastcgi_ng_output_t *out,
                           apr_bucket_brigade *bb)
{
    request_rec *r = f->r;

    out->owner = f;
    give_back(r, out);
    if (begins_with_error(bb) || !is_to_be_filtered(r, out)) {
        return leave(f, out, bb);
    }
    if (r->header_only) {
        return bare_head(f, out, bb);
    }
    return begin(f, out, bb);
}

static apr_status_t step_aside(ap_filter_t *f, apr_bucket_brigade *bb)
{
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    fastcgi_ng_output_t *out;

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    if (r->main != NULL) {
        return step_aside(f, bb); /* part of a page */
    }
    out = output_get(r);
    if ((f == out->automatic && out->by_hand)
        || (out->owner != NULL && out->owner != f)) {
        return step_aside(f, bb); /* never twice */
    }
    if (out->owner == NULL) {
        return decide(f, out, bb);
    }
    switch (out->state) {
    case STATE_COLLECT:
    case STATE_STREAM:
        return take(f, out, bb);
    case STATE_DROP:
        return drop(bb);
    default:
        return ap_pass_brigade(f->next, bb);
    }
}

/* Below all that are placed by hand: had none of them to do with this
   response, somebody must see to what the client asked for. */
static apr_status_t tail(ap_filter_t *f, apr_bucket_brigade *bb)
{
    fastcgi_ng_output_t *out = output_get(f->r);

    if (APR_BRIGADE_EMPTY(bb)) {
        return APR_SUCCESS;
    }
    if (out->owner == f) {
        return drop(bb);
    }
    if (out->owner != NULL) {
        return step_aside(f, bb);
    }
    out->owner = f;
    give_back(f->r, out);
    return leave(f, out, bb);
}

/* ------------------------------------------------------------- placing --- */

/* Called for each one of them before the response is made, by mod_filter for
   those that it may choose. */
static int init(ap_filter_t *f)
{
    fastcgi_ng_output_t *out;

    if (f->r->main == NULL) {
        out = output_get(f->r);
        out->by_hand = out->by_hand || f != out->automatic;
    }
    return OK;
}

/* A file that httpd sends itself has its type already. */
static bool may_be_filtered(request_rec *r, const fastcgi_ng_dir_conf_t *conf)
{
    return r->handler != NULL || type_matches(conf, r->content_type);
}

/* The request became this one before its response began. */
static void inherit(request_rec *r)
{
    request_rec *before;

    for (before = r->prev; before != NULL; before = before->prev) {
        fastcgi_ng_output_t *out = output_find(before);

        if (out != NULL) {
            give_back(r, out);
        }
    }
}

static void insert_filter(request_rec *r)
{
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);

    inherit(r);
    if (r->main == NULL && conf->output_filter != NULL
        && may_be_filtered(r, conf)) {
        output_get(r)->automatic
            = ap_add_output_filter(FILTER, NULL, r, r->connection);
    }
}

/* Behind mod_cache: what that has of a response is answered by it, and what it
   asks of the original is for the filtered one. */
static int before_handlers(request_rec *r)
{
    fastcgi_ng_output_t *out = output_find(r);

    if (out == NULL || out->owner != NULL
        || fastcgi_ng_dir_conf(r)->output_filter == NULL || has_failed(r)) {
        return DECLINED;
    }
    out->hidden = fastcgi_ng_hide_asking(r);
    if (out->by_hand && out->hidden->nelts > 0) {
        ap_add_output_filter(TAIL, NULL, r, r->connection);
    }
    return DECLINED;
}

void fastcgi_ng_output_hooks(apr_pool_t *p)
{
    static const char *const mod_cache[] = { "mod_cache.c", NULL };
    static const char *const mod_filter[] = { "mod_filter.c", NULL };

    ap_register_output_filter(FILTER, filter, init, AP_FTYPE_RESOURCE);
    ap_register_output_filter(TAIL, tail, NULL, AP_FTYPE_CONTENT_SET - 2);
    ap_hook_insert_filter(insert_filter, mod_filter, NULL,
                          APR_HOOK_REALLY_LAST);
    ap_hook_handler(before_handlers, mod_cache, NULL, APR_HOOK_REALLY_FIRST);
}
