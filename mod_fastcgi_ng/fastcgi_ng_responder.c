/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Responder and, with data, the Filter: the client's body for a task, and
 * what the client gets when it is over.
 */
#include "fastcgi_ng.h"

/* ----------------------------------------------------------- answer --- */

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
    if (fastcgi_ng_task_is_late(task) && !task->body.eos
        && r->connection->master == NULL) {
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

/* ---------------------------------------------------------- request --- */

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
