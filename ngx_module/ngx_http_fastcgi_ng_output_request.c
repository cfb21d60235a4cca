/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a Filter application is asked for a response that is held
 * (output_filter.c): a clone subrequest with an upstream of its own, for which
 * no phase runs; its head in the place of the original's.
 *
 * What keeps the main request alive meanwhile is its list of postponed output:
 * the subrequest, and behind it the last buffer.  nginx finalizes the main
 * request and waits for both.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_output_done(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);


/* the subrequest */

static void
ngx_http_fastcgi_ng_output_ask(ngx_http_request_t *sr)
{
    ngx_event_t  *wev;

    sr->write_event_handler = ngx_http_request_empty_handler;

    /* set when nginx finalized the main request: send_timeout is for a client
       that does not read, and not for an application that thinks */

    wev = sr->connection->write;

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    ngx_http_finalize_request(sr, ngx_http_fastcgi_ng_handler(sr));
}


/* The end of the response, behind that of the application. */

static ngx_int_t
ngx_http_fastcgi_ng_postpone_last(ngx_http_request_t *r)
{
    ngx_buf_t                     *b;
    ngx_chain_t                   *cl;
    ngx_http_postponed_request_t  *pr, **last;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);
    pr = ngx_palloc(r->pool, sizeof(ngx_http_postponed_request_t));

    if (b == NULL || cl == NULL || pr == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    pr->request = NULL;
    pr->out = cl;
    pr->next = NULL;

    for (last = &r->postponed; *last; last = &(*last)->next) { /* void */ }

    *last = pr;

    return NGX_OK;
}


/* Runs in BODY, at the end of the original. */

ngx_int_t
ngx_http_fastcgi_ng_output_start(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_output_t *ctx)
{
    ngx_http_request_t          *sr;
    ngx_http_fastcgi_ng_ctx_t   *fctx;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_fastcgi_ng_output_done;
    ps->data = ctx;

    if (ngx_http_subrequest(r, &r->uri, &r->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_CLONE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->state = NGX_HTTP_FASTCGI_NG_ASK;
    ctx->request = sr;

    fctx = ngx_http_fastcgi_ng_get_ctx(sr);

    sr->loc_conf = ngx_http_fastcgi_ng_conf_instead(r,
                                                   ctx->conf->output->conf);

    if (fctx == NULL || sr->loc_conf == NULL
        || ngx_http_fastcgi_ng_spool_chain(r, &ctx->spool, &fctx->data)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    fctx->filter = 1;
    fctx->data_length = ctx->spool.size;
    fctx->data_modified = ctx->modified == -1 ? ngx_time() : ctx->modified;

    /* the body was for whoever made the response; a filter may be asked
       twice, whatever the method */

    sr->request_body = NULL;
    sr->method = NGX_HTTP_GET;

    /* in the place of the phases */
    sr->content_handler = NULL;
    sr->write_event_handler = ngx_http_fastcgi_ng_output_ask;

    return ngx_http_fastcgi_ng_postpone_last(r);
}


/* its head */

ngx_uint_t
ngx_http_fastcgi_ng_of_original(ngx_table_elt_t *h)
{
    fcng_str  name;

    name.data = (char *) h->key.data;
    name.len = h->key.len;

    return fcng_filter_drops(name);
}


/* A field of the original beside those of the application, which has it in
   its place, unless it is one that may stand beside another. */

static ngx_uint_t
ngx_http_fastcgi_ng_is_kept(ngx_table_elt_t *h, ngx_http_headers_out_t *app)
{
    fcng_str          name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *a;

    name.data = (char *) h->key.data;
    name.len = h->key.len;

    if (fcng_filter_drops(name)) {
        return 0;
    }

    if (fcng_filter_adds(name)) {
        return 1;
    }

    for (part = &app->headers.part; part; part = part->next) {
        a = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (a[i].hash && a[i].key.len == h->key.len
                && ngx_strncasecmp(a[i].key.data, h->key.data, h->key.len)
                   == 0)
            {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_fastcgi_ng_keep_field(ngx_http_headers_out_t *out,
    ngx_http_headers_out_t *old, ngx_table_elt_t *h)
{
    ngx_table_elt_t  *copy;

    copy = ngx_list_push(&out->headers);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *copy = *h;
#if (nginx_version >= 1023000)
    copy->next = NULL;
#endif

    /* what filters behind us look at, or change */

    if (h == old->server) {
        out->server = copy;

    } else if (h == old->date) {
        out->date = copy;

    } else if (h == old->location) {
        out->location = copy;

    } else if (h == old->expires) {
        out->expires = copy;
    }

    return NGX_OK;
}


static void
ngx_http_fastcgi_ng_keep_type(ngx_http_headers_out_t *out,
    ngx_http_headers_out_t *old)
{
    if (out->content_type.len == 0) {
        out->content_type = old->content_type;
        out->content_type_len = old->content_type_len;
        out->content_type_lowcase = old->content_type_lowcase;
        out->content_type_hash = old->content_type_hash;
        out->charset = old->charset;

    } else if (out->charset.len == 0
               && out->content_type_len == out->content_type.len
               && out->content_type_len == old->content_type_len
               && ngx_strncasecmp(out->content_type.data,
                                  old->content_type.data,
                                  out->content_type_len)
                  == 0)
    {
        out->charset = old->charset;
    }

#if (nginx_version >= 1023000)
    if (out->cache_control == NULL) {
        out->cache_control = old->cache_control;
    }
#else
    if (out->cache_control.elts == NULL) {
        out->cache_control = old->cache_control;
    }
#endif
}


/*
 * The application's status and fields in the place of the original's; what is
 * of the original beyond its body stays, and what the location has added.
 */

static ngx_int_t
ngx_http_fastcgi_ng_output_fields(ngx_http_request_t *r,
    ngx_http_request_t *sr, ngx_uint_t nheaders)
{
    ngx_uint_t               i, n;
    ngx_list_part_t         *part;
    ngx_table_elt_t         *h;
    ngx_http_headers_out_t  *old, *out;

    old = ngx_palloc(r->pool, sizeof(ngx_http_headers_out_t));
    if (old == NULL) {
        return NGX_ERROR;
    }

    out = &r->headers_out;

    *old = *out;
    *out = sr->headers_out;

    /* the last part of a list may be within its head */

    if (out->headers.last == &sr->headers_out.headers.part) {
        out->headers.last = &out->headers.part;
    }

    out->trailers = old->trailers;

    if (out->trailers.last == &r->headers_out.trailers.part) {
        out->trailers.last = &out->trailers.part;
    }

    n = 0;

    for (part = &old->headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++, n++) {

            if (h[i].hash == 0
                || (n < nheaders
                    && !ngx_http_fastcgi_ng_is_kept(&h[i], &sr->headers_out)))
            {
                continue;
            }

            if (ngx_http_fastcgi_ng_keep_field(out, old, &h[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    ngx_http_fastcgi_ng_keep_type(out, old);

    return NGX_OK;
}


/* If-*, by what the application says of its response: the filter that does so
   for others has seen the original (RFC 9110 section 13.2.2). */

static ngx_uint_t
ngx_http_fastcgi_ng_is_listed(ngx_str_t *etag, ngx_str_t *list,
    ngx_uint_t weak)
{
    u_char     *p, *last, *start;
    ngx_str_t   tag;

    p = list->data;
    last = p + list->len;

    if (list->len == 1 && *p == '*') {
        return 1;
    }

    tag = *etag;

    if (weak && tag.len > 2 && ngx_strncmp(tag.data, "W/", 2) == 0) {
        tag.data += 2;
        tag.len -= 2;
    }

    while (p < last) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        start = p;

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;

            if (weak) {
                start = p;
            }
        }

        if (p == last || *p != '"') {
            return 0;
        }

        for (p++; p < last && *p != '"'; p++) { /* void */ }

        if (p == last) {
            return 0;
        }

        p++;

        if ((size_t) (p - start) == tag.len
            && ngx_strncmp(start, tag.data, tag.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_fastcgi_ng_etag_is_listed(ngx_http_request_t *r, ngx_table_elt_t *h,
    ngx_uint_t weak)
{
    ngx_str_t         none = ngx_null_string;
    ngx_table_elt_t  *etag;

    etag = r->headers_out.etag;

    if (etag && !weak && etag->value.len > 2
        && ngx_strncmp(etag->value.data, "W/", 2) == 0)
    {
        /* a weak one is never the same */
        etag = NULL;
    }

    return ngx_http_fastcgi_ng_is_listed(etag ? &etag->value : &none,
                                         &h->value, weak);
}


static ngx_uint_t
ngx_http_fastcgi_ng_is_modified(ngx_http_request_t *r)
{
    time_t                     since, modified;
    ngx_http_core_loc_conf_t  *clcf;

    modified = r->headers_out.last_modified_time;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (modified == -1 || clcf->if_modified_since == NGX_HTTP_IMS_OFF) {
        return 1;
    }

    since = ngx_parse_http_time(r->headers_in.if_modified_since->value.data,
                                r->headers_in.if_modified_since->value.len);

    return since == NGX_ERROR
           || (clcf->if_modified_since == NGX_HTTP_IMS_EXACT
               ? since != modified : since < modified);
}


static ngx_uint_t
ngx_http_fastcgi_ng_is_newer(ngx_http_request_t *r)
{
    time_t  since;

    since = ngx_parse_http_time(r->headers_in.if_unmodified_since->value.data,
                              r->headers_in.if_unmodified_since->value.len);

    return r->headers_out.last_modified_time == -1 || since == NGX_ERROR
           || r->headers_out.last_modified_time > since;
}


/* NGX_OK, or the status of a condition that does not hold. */

static ngx_int_t
ngx_http_fastcgi_ng_output_conditions(ngx_http_request_t *r)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

    if (r->headers_out.status != NGX_HTTP_OK || r->method != NGX_HTTP_GET) {
        return NGX_OK;
    }

    if ((in->if_match
         && !ngx_http_fastcgi_ng_etag_is_listed(r, in->if_match, 0))
        || (in->if_unmodified_since && in->if_match == NULL
            && ngx_http_fastcgi_ng_is_newer(r)))
    {
        return NGX_HTTP_PRECONDITION_FAILED;
    }

    if (in->if_none_match) {
        return ngx_http_fastcgi_ng_etag_is_listed(r, in->if_none_match, 1)
               ? NGX_HTTP_NOT_MODIFIED : NGX_OK;
    }

    return in->if_modified_since && !ngx_http_fastcgi_ng_is_modified(r)
           ? NGX_HTTP_NOT_MODIFIED : NGX_OK;
}


static void
ngx_http_fastcgi_ng_not_modified(ngx_http_request_t *r)
{
    r->headers_out.status = NGX_HTTP_NOT_MODIFIED;
    r->headers_out.status_line.len = 0;
    r->headers_out.content_type.len = 0;
    ngx_http_clear_content_length(r);

    if (r->headers_out.content_encoding) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }
}


/* TOP, for the subrequest: its head goes to the client.  Another result than
   NGX_OK comes back in output_done(). */

ngx_int_t
ngx_http_fastcgi_ng_output_head(ngx_http_request_t *sr,
    ngx_http_fastcgi_ng_output_t *ctx)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r;
    ngx_http_fastcgi_ng_ctx_t  *fctx;

    r = sr->main;
    fctx = ngx_http_get_module_ctx(sr, ngx_http_fastcgi_ng_module);

    if (ctx->state != NGX_HTTP_FASTCGI_NG_ASK) {
        return NGX_ERROR;
    }

    if (fctx && fctx->refused) {
        ctx->status = NGX_HTTP_SERVICE_UNAVAILABLE;
        ctx->retry_after = 1;
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    if (ngx_http_fastcgi_ng_output_fields(r, sr, ctx->nheaders) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_clear_accept_ranges(r);

    rc = ngx_http_fastcgi_ng_output_conditions(r);

    if (rc == NGX_HTTP_PRECONDITION_FAILED) {
        ctx->status = rc;
        return rc;
    }

    if (rc == NGX_HTTP_NOT_MODIFIED) {
        ngx_http_fastcgi_ng_not_modified(r);
    }

    ctx->state = NGX_HTTP_FASTCGI_NG_SEND;

    sr->header_sent = 1;
    r->main_filter_need_in_memory = ctx->in_memory;

    rc = ngx_http_fastcgi_ng_output_send_header(r);

    if (r->header_only) {
        sr->header_only = 1;
    }

    /* as gzip may want it by now */
    sr->main_filter_need_in_memory = r->main_filter_need_in_memory;

    return rc > NGX_OK ? NGX_ERROR : rc;
}


/* its end */

static void
ngx_http_fastcgi_ng_output_failure(ngx_http_request_t *sr,
    ngx_http_fastcgi_ng_output_t *ctx, ngx_int_t status)
{
    ngx_str_t   *name;
    ngx_uint_t   pass, level;

    name = &ctx->conf->output->name;

    if (ctx->status == 0) {
        ctx->status = status >= NGX_HTTP_INTERNAL_SERVER_ERROR
                      ? status : NGX_HTTP_BAD_GATEWAY;
    }

    if (ctx->status == NGX_HTTP_PRECONDITION_FAILED) {
        ctx->state = NGX_HTTP_FASTCGI_NG_DROP;
        return;
    }

    pass = ctx->conf->output_on_error == NGX_HTTP_FASTCGI_NG_PASS;

    level = pass ? NGX_LOG_WARN : NGX_LOG_ERR;

    ngx_log_error(level, sr->connection->log, 0,
                  "%s: the output filter \"%V\" gave no response: the "
                  "original %s", fcng_msg_tag(FCNG_MSG_REQUEST), name,
                  pass ? "goes out unfiltered"
                       : "is withheld (fastcgi_ng_output_filter_on_error)");

    ctx->state = pass ? NGX_HTTP_FASTCGI_NG_UNFILTERED
                      : NGX_HTTP_FASTCGI_NG_DROP;
}


/*
 * May run more than once.  nginx is to make no response of a failure: what
 * comes of it follows with the last buffer of the main request.
 */

static ngx_int_t
ngx_http_fastcgi_ng_output_done(ngx_http_request_t *sr, void *data,
    ngx_int_t rc)
{
    ngx_http_fastcgi_ng_output_t *ctx = data;

    ngx_int_t                   status;
    ngx_http_fastcgi_ng_ctx_t  *fctx;

    if (rc == NGX_ERROR || rc == NGX_HTTP_REQUEST_TIME_OUT
        || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST || sr->connection->error)
    {
        return rc;
    }

    fctx = ngx_http_get_module_ctx(sr, ngx_http_fastcgi_ng_module);

    /* of a response that is cut nginx tells the finalizer only */
    status = fctx ? fctx->ended_with : NGX_OK;

    switch (ctx->state) {

    case NGX_HTTP_FASTCGI_NG_ASK:
        ngx_http_fastcgi_ng_output_failure(sr, ctx,
                                   status >= NGX_HTTP_SPECIAL_RESPONSE ? status
                                                                       : rc);
        return NGX_OK;

    case NGX_HTTP_FASTCGI_NG_SEND:
        return status == NGX_ERROR || status >= NGX_HTTP_SPECIAL_RESPONSE
               ? NGX_ERROR : rc;

    default:
        return NGX_OK;
    }
}
