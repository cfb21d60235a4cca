/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files through a Filter application (Spec 6.4): what httpd would send of a
 * file goes to the application as FCGI_DATA, behind the request's body.
 *
 * The file is read piece by piece as the application takes it, into two
 * buffers of a record's size: the core borrows one while the other is filled.
 */
#include "fastcgi_ng.h"

#include "apr_file_io.h"
#include "http_request.h"

#define PIECES 2

typedef struct piece_t {
    char *bytes;
    apr_uint64_t end; /* of all that was offered, when it was */
} piece_t;

struct fastcgi_ng_data_t {
    apr_file_t *file;
    apr_uint64_t length;
    apr_uint64_t at;      /* the next byte to offer */
    apr_time_t modified;
    piece_t piece[PIECES];
    int next;
};

/* ---------------------------------------------------------------- data --- */

static int open_file(fastcgi_ng_data_t *data, request_rec *r)
{
    apr_finfo_t info;
    apr_status_t rv = apr_file_open(&data->file, r->filename,
                                    APR_READ | APR_BINARY, APR_OS_DEFAULT,
                                    r->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_MTIME,
                               data->file);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      "%s: file permissions deny server access: %s",
                      fcng_msg_tag(FCNG_MSG_REQUEST), r->filename);
        return HTTP_FORBIDDEN;
    }
    data->length = (apr_uint64_t)info.size;
    data->modified = info.mtime;
    return OK;
}

apr_uint64_t fastcgi_ng_data_length(const fastcgi_ng_task_t *task)
{
    return task->data != NULL ? task->data->length : 0;
}

apr_uint64_t fastcgi_ng_data_modified(const fastcgi_ng_task_t *task)
{
    return (apr_uint64_t)apr_time_sec(task->data->modified);
}

bool fastcgi_ng_data_fin(const fastcgi_ng_task_t *task)
{
    return task->data == NULL || task->data->at == task->data->length;
}

void fastcgi_ng_data_rewind(fastcgi_ng_task_t *task)
{
    fastcgi_ng_data_t *data = task->data;
    int i;

    if (data != NULL) {
        data->at = 0;
        for (i = 0; i < PIECES; i++) {
            data->piece[i].end = 0;
        }
    }
}

/* A file that has become shorter is no whole file any more. */
static int read_piece(fastcgi_ng_task_t *task, piece_t *piece,
                      apr_size_t *len)
{
    fastcgi_ng_data_t *data = task->data;
    apr_uint64_t left = data->length - data->at;
    apr_off_t offset = (apr_off_t)data->at;
    apr_status_t rv;

    *len = left < FCNG_MAX_PAYLOAD ? (apr_size_t)left : FCNG_MAX_PAYLOAD;
    if (piece->bytes == NULL) {
        piece->bytes = apr_palloc(task->r->pool, FCNG_MAX_PAYLOAD);
    }
    rv = apr_file_seek(data->file, APR_SET, &offset);
    if (rv == APR_SUCCESS) {
        rv = apr_file_read_full(data->file, piece->bytes, *len, NULL);
    }
    if (rv != APR_SUCCESS) {
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_REQUEST,
                       "%s cannot be read at byte %" APR_UINT64_T_FMT
                       " of %" APR_UINT64_T_FMT ": it has become shorter, "
                       "or its disk fails", task->r->filename, data->at,
                       data->length);
        task->status = HTTP_INTERNAL_SERVER_ERROR;
        return FCNG_ERR_IO;
    }
    return FCNG_OK;
}

int fastcgi_ng_data_offer(fastcgi_ng_task_t *task)
{
    fastcgi_ng_data_t *data = task->data;
    apr_size_t len;
    int err = FCNG_OK;

    while (!fastcgi_ng_data_fin(task)) {
        piece_t *piece = &data->piece[data->next];

        if (fastcgi_ng_flow_sent(task) < piece->end) {
            return FCNG_OK; /* still on its way */
        }
        err = read_piece(task, piece, &len);
        if (err == FCNG_OK) {
            err = fastcgi_ng_flow_offer(task, FCNG_DATA, piece->bytes, len,
                                        data->at + len == data->length);
        }
        if (err != FCNG_OK) {
            return err == FCNG_AGAIN ? FCNG_OK : err;
        }
        data->at += len;
        data->next = (data->next + 1) % PIECES;
        piece->end = fastcgi_ng_flow_offered(task);
    }
    return FCNG_OK;
}

/* ------------------------------------------------------------- handler --- */

/* What holds for the file does not hold for what becomes of it. */
static void forget_file(request_rec *r)
{
    ap_set_content_type(r, NULL);
    r->content_encoding = NULL;
    r->content_languages = NULL;
}

static int answer_head(request_rec *r)
{
    apr_bucket_brigade *bb
        = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(
        bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb);
    return OK;
}

/* As httpd's own handler of files answers. */
static int check_request(request_rec *r)
{
    if (r->method_number != M_GET && r->method_number != M_POST) {
        ap_allow_standard_methods(r, MERGE_ALLOW, M_GET, M_OPTIONS, M_POST,
                                  -1);
        return r->method_number == M_OPTIONS ? DECLINED
                                             : HTTP_METHOD_NOT_ALLOWED;
    }
    if (r->finfo.filetype != APR_REG) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "%s: no file: %s", fcng_msg_tag(FCNG_MSG_REQUEST),
                      r->filename);
        return HTTP_NOT_FOUND;
    }
    if (r->used_path_info != AP_REQ_ACCEPT_PATH_INFO && r->path_info != NULL
        && *r->path_info != '\0') {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "%s: %s%s: nothing stands behind a file",
                      fcng_msg_tag(FCNG_MSG_REQUEST), r->filename,
                      r->path_info);
        return HTTP_NOT_FOUND;
    }
    return OK;
}

int fastcgi_ng_filter_file(request_rec *r, const fastcgi_ng_dir_conf_t *conf,
                           const fastcgi_ng_app_t *app)
{
    fastcgi_ng_data_t *data;
    int rc = check_request(r);

    if (rc != OK) {
        return rc;
    }
    data = apr_pcalloc(r->pool, sizeof(*data));
    rc = open_file(data, r);
    if (rc != OK) {
        return rc;
    }
    forget_file(r);
    if (r->header_only) {
        /* Only the application knows what it would say of its output. */
        return answer_head(r);
    }
    return fastcgi_ng_respond(r, conf, app, NULL, data);
}

/* ------------------------------------------------- FastCgiNgFileFilter --- */

/* Files that nothing else handles. */
static int choose_handler(request_rec *r)
{
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);

    if (conf->file_filter != NULL && r->handler == NULL
        && r->finfo.filetype == APR_REG && r->proxyreq == PROXYREQ_NONE) {
        r->handler = apr_pstrcat(r->pool, FASTCGI_NG_FILTER_HANDLER,
                                 conf->file_filter, NULL);
    }
    return DECLINED;
}

void fastcgi_ng_filter_hooks(apr_pool_t *p)
{
    ap_hook_fixups(choose_handler, NULL, NULL, APR_HOOK_REALLY_LAST);
}
