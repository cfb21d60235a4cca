/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files through a Filter application (Spec 6.4): what httpd would send of a
 * file goes to the application as FCGI_DATA, behind the request's body.
 */
#include "fastcgi_ng.h"

#include "apr_file_io.h"
#include "http_request.h"

/* NULL: |*rc| is the answer. */
static fastcgi_ng_data_t *open_file(request_rec *r, int *rc)
{
    fastcgi_ng_data_t *data;
    apr_finfo_t info;
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, r->filename,
                                    APR_READ | APR_BINARY, APR_OS_DEFAULT,
                                    r->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_MTIME, file);
    }
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, r,
                      "%s: file permissions deny server access: %s",
                      fcng_msg_tag(FCNG_MSG_REQUEST), r->filename);
        *rc = HTTP_FORBIDDEN;
        return NULL;
    }
    data = fastcgi_ng_data_create(r, r->filename, info.mtime);
    fastcgi_ng_data_add_file(data, file, 0, (apr_uint64_t)info.size);
    fastcgi_ng_data_end(data);
    return data;
}

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
    data = open_file(r, &rc);
    if (data == NULL) {
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
