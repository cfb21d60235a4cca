/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files through a Filter application (Spec 6.4): what nginx would send of a
 * file goes to the application as FCGI_DATA, behind the request's body.
 *
 * The file is part of what ngx_http_upstream sends, as the body's own file is,
 * so nginx reads it piece by piece (data.c), and from its start again for
 * another server.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_open_file(ngx_http_request_t *r,
    ngx_str_t *path, ngx_open_file_info_t *of);
static ngx_int_t ngx_http_fastcgi_ng_directory(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_file_head(ngx_http_request_t *r);


ngx_int_t
ngx_http_fastcgi_ng_file_filter_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_str_t                   path;
    ngx_open_file_info_t        of;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (r->uri.data[r->uri.len - 1] == '/') {
        /* an index, a listing, or nothing */
        return NGX_DECLINED;
    }

    rc = ngx_http_fastcgi_ng_open_file(r, &path, &of);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_fastcgi_ng_get_ctx(r);
    b = ngx_calloc_buf(r->pool);

    if (ctx == NULL || b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->in_file = 1;
    b->file_last = of.size;

    b->file->fd = of.fd;
    b->file->name = path;
    b->file->log = r->connection->log;

    if (of.size) {
        ctx->data = ngx_alloc_chain_link(r->pool);
        if (ctx->data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->data->buf = b;
        ctx->data->next = NULL;
    }

    ctx->filter = 1;
    ctx->data_length = of.size;
    ctx->data_modified = of.mtime;

    ctx->script_filename = path;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_http_fastcgi_ng_file_head(r);
    }

    return ngx_http_fastcgi_ng_handler(r);
}


/* As nginx does for the files that it sends. */

static ngx_int_t
ngx_http_fastcgi_ng_open_file(ngx_http_request_t *r, ngx_str_t *path,
    ngx_open_file_info_t *of)
{
    u_char                    *last;
    size_t                     root;
    ngx_int_t                  rc;
    ngx_uint_t                 level;
    ngx_http_core_loc_conf_t  *clcf;

    last = ngx_http_map_uri_to_path(r, path, &root, 0);
    if (last == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    path->len = last - path->data;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_memzero(of, sizeof(ngx_open_file_info_t));

    of->read_ahead = clcf->read_ahead;
    of->directio = NGX_OPEN_FILE_DIRECTIO_OFF;
    of->valid = clcf->open_file_cache_valid;
    of->min_uses = clcf->open_file_cache_min_uses;
    of->errors = clcf->open_file_cache_errors;
    of->events = clcf->open_file_cache_events;

    if (ngx_http_set_disable_symlinks(r, clcf, path, of) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_open_cached_file(clcf->open_file_cache, path, of, r->pool)
        == NGX_OK)
    {
        r->root_tested = !r->error_page;

        if (of->is_dir) {
            return ngx_http_fastcgi_ng_directory(r);
        }

        if (of->is_file) {
            return NGX_OK;
        }

        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "\"%s\" is not a regular file", path->data);

        return NGX_HTTP_NOT_FOUND;
    }

    level = NGX_LOG_ERR;

    switch (of->err) {

    case 0:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;

    case NGX_ENOENT:
    case NGX_ENOTDIR:
    case NGX_ENAMETOOLONG:
        rc = NGX_HTTP_NOT_FOUND;
        break;

    case NGX_EACCES:
#if (NGX_HAVE_OPENAT)
    case NGX_EMLINK:
    case NGX_ELOOP:
#endif
        rc = NGX_HTTP_FORBIDDEN;
        break;

    default:
        level = NGX_LOG_CRIT;
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        break;
    }

    if (rc != NGX_HTTP_NOT_FOUND || clcf->log_not_found) {
        ngx_log_error(level, r->connection->log, of->err, "%s \"%s\" failed",
                      of->failed, path->data);
    }

    return rc;
}


/* The same path with its slash. */

static ngx_int_t
ngx_http_fastcgi_ng_directory(ngx_http_request_t *r)
{
    u_char           *p;
    size_t            len;
    uintptr_t         escape;
    ngx_table_elt_t  *location;

    ngx_http_clear_location(r);

    escape = 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
    len = r->uri.len + escape + 1 + (r->args.len ? 1 + r->args.len : 0);

    location = ngx_list_push(&r->headers_out.headers);
    p = ngx_pnalloc(r->pool, len);

    if (location == NULL || p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location->hash = 1;
#if (nginx_version >= 1023000)
    location->next = NULL;
#endif
    ngx_str_set(&location->key, "Location");
    location->value.data = p;
    location->value.len = len;

    if (escape) {
        p = (u_char *) ngx_escape_uri(p, r->uri.data, r->uri.len,
                                      NGX_ESCAPE_URI);

    } else {
        p = ngx_copy(p, r->uri.data, r->uri.len);
    }

    *p++ = '/';

    if (r->args.len) {
        *p++ = '?';
        ngx_memcpy(p, r->args.data, r->args.len);
    }

    r->headers_out.location = location;

    return NGX_HTTP_MOVED_PERMANENTLY;
}


/* What the application would say of its output only it knows: the fields that
   hold for the file are left out. */

static ngx_int_t
ngx_http_fastcgi_ng_file_head(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;

    return ngx_http_send_header(r);
}
