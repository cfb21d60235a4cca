/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any response through a Filter application (Spec 6.4).  Three places:
 *
 *   PRECONTENT   what asks for less than the whole response is taken from
 *                the request: who answers would do so for the original
 *                (output_taken.c)
 *   TOP          the first filter but for slice: what becomes of a response
 *   BODY         the last one that sees a page assembled, behind SSI and the
 *                subrequests of others, before gzip, ranges and HTTP
 *
 * The original goes through all filters between TOP and BODY and is held in
 * BODY until it is whole.  Then a subrequest asks the application
 * (output_request.c).  Its head becomes that of the main request in TOP, so
 * that no filter between sees it; its body passes all of them, and none has a
 * context for it.
 *
 * TOP and BODY are modules of their own: nginx orders filters by modules.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_top_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_fastcgi_ng_body_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_fastcgi_ng_top_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_fastcgi_ng_top_init,          /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_fastcgi_ng_top_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_fastcgi_ng_top_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_module_t  ngx_http_fastcgi_ng_body_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_fastcgi_ng_body_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_fastcgi_ng_body_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_fastcgi_ng_body_filter_module_ctx, /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_fastcgi_ng_next_top_header;
static ngx_http_output_body_filter_pt    ngx_http_fastcgi_ng_next_top_body;
static ngx_http_output_header_filter_pt  ngx_http_fastcgi_ng_next_header;
static ngx_http_output_body_filter_pt    ngx_http_fastcgi_ng_next_body;


/* TOP: a response begins */

static ngx_uint_t
ngx_http_fastcgi_ng_is_encoded(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = r->headers_out.content_encoding;

    return h && h->hash && h->value.len
           && !(h->value.len == 8
                && ngx_strncasecmp(h->value.data, (u_char *) "identity", 8)
                   == 0);
}


/* Whether it goes to the application; HEAD has no body that could, but the
   same head. */

static ngx_uint_t
ngx_http_fastcgi_ng_to_be_filtered(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    return conf->output
           && r->headers_out.status == NGX_HTTP_OK
           && !(r->method & (NGX_HTTP_OPTIONS|NGX_HTTP_TRACE))
           && !r->header_only
           && !r->post_action
           && ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_top_filter_module)
              == NULL
           && r->headers_out.content_range == NULL
           && !ngx_http_fastcgi_ng_is_encoded(r)
           && (conf->output_types_keys == (void *) -1
               || ngx_http_test_content_type(r, &conf->output_types));
}


static void
ngx_http_fastcgi_ng_no_range(ngx_http_request_t *r)
{
    r->disable_not_modified = 1;
    ngx_http_clear_accept_ranges(r);
    r->single_range = 0;
}


/* HEAD: without what holds for the original only. */

static void
ngx_http_fastcgi_ng_bare_head(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_http_clear_content_length(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_fastcgi_ng_of_original(&h[i])) {
                h[i].hash = 0;
            }
        }
    }
}


/* The request ends with an error in the place of a response, for which
   nothing has been sent. */

static ngx_int_t
ngx_http_fastcgi_ng_output_failed(ngx_http_request_t *r, ngx_int_t status,
    ngx_uint_t retry_after)
{
    ngx_table_elt_t  *h;

    /* the error's page may have the status 200 */

    if (ngx_http_fastcgi_ng_filter_fails(r) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(r->ctx, sizeof(void *) * ngx_http_max_module);
    ngx_http_clean_header(r);

    if (!retry_after) {
        return status;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Retry-After");
    ngx_str_set(&h->value, FCNG_RETRY_AFTER);
    h->lowcase_key = (u_char *) "retry-after";
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return status;
}


static void
ngx_http_fastcgi_ng_log_too_large(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "%s: the response is larger than the %O bytes of "
                  "\"fastcgi_ng_output_filter_max_size\", %s",
                  fcng_msg_tag(FCNG_MSG_BODY_LENGTH), conf->output_max_size,
                  conf->output_on_error == NGX_HTTP_FASTCGI_NG_PASS
                  ? "it goes out unfiltered" : "the request fails");
}


static ngx_int_t
ngx_http_fastcgi_ng_output_begin(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_list_part_t               *part;
    ngx_http_fastcgi_ng_output_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_output_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_fastcgi_ng_top_filter_module);

    ctx->conf = conf;
    ctx->modified = r->headers_out.last_modified_time;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        ctx->nheaders += part->nelts;
    }

    ngx_http_fastcgi_ng_spool_init(&ctx->spool, conf->upstream.temp_path,
                 NGX_HTTP_FASTCGI_NG_OUTPUT_MEMORY,
                 "a response to be filtered is buffered to a temporary file");

    ngx_http_fastcgi_ng_no_range(r);

    /* of subrequests, too: they inherit it */

    ctx->in_memory = r->main_filter_need_in_memory;
    r->main_filter_need_in_memory = 1;

    return ngx_http_fastcgi_ng_next_top_header(r);
}


static ngx_int_t
ngx_http_fastcgi_ng_top_main_header(ngx_http_request_t *r)
{
    ngx_uint_t                       filtered;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    filtered = ngx_http_fastcgi_ng_to_be_filtered(r, conf)
               && !ngx_http_fastcgi_ng_filter_has_failed(r);

    ngx_http_fastcgi_ng_put_back(r, !filtered);

    if (!filtered) {
        return ngx_http_fastcgi_ng_next_top_header(r);
    }

    if (r->headers_out.content_length_n > conf->output_max_size) {
        ngx_http_fastcgi_ng_log_too_large(r, conf);

        return conf->output_on_error == NGX_HTTP_FASTCGI_NG_PASS
               ? ngx_http_fastcgi_ng_next_top_header(r)
               : ngx_http_fastcgi_ng_output_failed(r, NGX_HTTP_BAD_GATEWAY, 0);
    }

    if (r->method == NGX_HTTP_HEAD) {
        ngx_http_fastcgi_ng_no_range(r);
        ngx_http_fastcgi_ng_bare_head(r);

        return ngx_http_fastcgi_ng_next_top_header(r);
    }

    return ngx_http_fastcgi_ng_output_begin(r, conf);
}


static ngx_int_t
ngx_http_fastcgi_ng_top_header(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t     *fctx;
    ngx_http_fastcgi_ng_output_t  *ctx;

    fctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (fctx && fctx->filter) {
        /* the application's own ETag and Last-Modified count for If-*, which
           ngx_http_upstream leaves to the other side */
        r->disable_not_modified = 0;
    }

    if (r == r->main) {
        return ngx_http_fastcgi_ng_top_main_header(r);
    }

    ctx = ngx_http_get_module_ctx(r->main,
                                  ngx_http_fastcgi_ng_top_filter_module);

    if (ctx && ctx->request == r) {
        return ngx_http_fastcgi_ng_output_head(r, ctx);
    }

    return ngx_http_fastcgi_ng_next_top_header(r);
}


/* TOP: the body, before any filter has seen it */

/*
 * ngx_http_upstream ends a response that is cut with a flush in place of the
 * last buffer.  Below us those of subrequests would look the same.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_is_cut(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t          *cl;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    if (in == NULL || u == NULL || u->cleanup || !u->header_sent) {
        return 0;
    }

    for (cl = in; cl; cl = cl->next) {
        if (!cl->buf->flush || !ngx_buf_special(cl->buf) || cl->buf->last_buf) {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_fastcgi_ng_top_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                      rc;
    ngx_http_fastcgi_ng_output_t  *ctx;

    ctx = r == r->main
          ? ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_top_filter_module)
          : NULL;

    if (ctx == NULL) {
        return ngx_http_fastcgi_ng_next_top_body(r, in);
    }

    if (ctx->state == NGX_HTTP_FASTCGI_NG_COLLECT
        && ngx_http_fastcgi_ng_is_cut(r, in))
    {
        ctx->state = NGX_HTTP_FASTCGI_NG_DROP;
        ctx->status = NGX_HTTP_BAD_GATEWAY;
        ctx->over = 1;
    }

    rc = ngx_http_fastcgi_ng_next_top_body(r, in);

    /* as the result of the last call it is the request's */

    if (rc == NGX_ERROR || ctx->state != NGX_HTTP_FASTCGI_NG_DROP || !ctx->over
        || r->postponed || r->buffered || r->connection->data != r)
    {
        return rc;
    }

    r->main_filter_need_in_memory = ctx->in_memory;

    return ngx_http_fastcgi_ng_output_failed(r, ctx->status, ctx->retry_after);
}


/* BODY */

static ngx_int_t
ngx_http_fastcgi_ng_body_header(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_output_t  *ctx;

    ctx = r == r->main
          ? ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_top_filter_module)
          : NULL;

    if (ctx && ctx->state == NGX_HTTP_FASTCGI_NG_COLLECT) {
        /* held */
        return NGX_OK;
    }

    return ngx_http_fastcgi_ng_next_header(r);
}


ngx_int_t
ngx_http_fastcgi_ng_output_send_header(ngx_http_request_t *r)
{
    return ngx_http_fastcgi_ng_next_header(r);
}


static void
ngx_http_fastcgi_ng_swallow(ngx_http_fastcgi_ng_output_t *ctx, ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {

        in->buf->pos = in->buf->last;

        if (in->buf->in_file) {
            in->buf->file_pos = in->buf->file_last;
        }

        if (in->buf->last_buf) {
            ctx->over = 1;
        }
    }
}


/* What copies the spool's file for the filters behind us. */

static ngx_output_chain_ctx_t *
ngx_http_fastcgi_ng_output_chain(ngx_http_request_t *r)
{
    ngx_output_chain_ctx_t    *out;
    ngx_http_core_loc_conf_t  *clcf;

    out = ngx_pcalloc(r->pool, sizeof(ngx_output_chain_ctx_t));
    if (out == NULL) {
        return NULL;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    out->sendfile = r->connection->sendfile;
    out->need_in_memory = r->main_filter_need_in_memory;
    out->alignment = clcf->directio_alignment;
    out->pool = r->pool;
    out->bufs.num = 2;
    out->bufs.size = 32768;
    out->tag = (ngx_buf_tag_t) &ngx_http_fastcgi_ng_body_filter_module;
    out->output_filter =
                    (ngx_output_chain_filter_pt) ngx_http_fastcgi_ng_next_body;
    out->filter_ctx = r;

    return out;
}


/* The original, as if nothing had been: what was kept of it, then the rest. */

static ngx_int_t
ngx_http_fastcgi_ng_unfiltered(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_output_t *ctx, ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl, *kept;

    if (!ctx->header_sent) {

        ctx->header_sent = 1;
        r->main_filter_need_in_memory = ctx->in_memory;

        rc = ngx_http_fastcgi_ng_next_header(r);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return NGX_ERROR;
        }

        ctx->out = ngx_http_fastcgi_ng_output_chain(r);

        if (ctx->out == NULL
            || ngx_http_fastcgi_ng_spool_chain(r, &ctx->spool, &kept)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (kept) {
            for (cl = kept; cl->next; cl = cl->next) { /* void */ }

            cl->next = in;
            in = kept;
        }
    }

    return ngx_output_chain(ctx->out, in);
}


/* No filter for this response any more. */

static ngx_int_t
ngx_http_fastcgi_ng_give_up(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_output_t *ctx, ngx_chain_t *in, ngx_int_t status)
{
    if (ctx->conf->output_on_error == NGX_HTTP_FASTCGI_NG_PASS) {
        ctx->state = NGX_HTTP_FASTCGI_NG_UNFILTERED;

        return ngx_http_fastcgi_ng_unfiltered(r, ctx, in);
    }

    ctx->state = NGX_HTTP_FASTCGI_NG_DROP;
    ctx->status = status;

    ngx_http_fastcgi_ng_swallow(ctx, in);

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_collect(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_output_t *ctx, ngx_chain_t *in)
{
    off_t       size;
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {

        b = in->buf;
        size = ngx_buf_size(b);

        if (size && !ngx_buf_in_memory(b)) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "a response to be filtered is not in memory");
            return NGX_ERROR;
        }

        if (ctx->spool.size + size > ctx->conf->output_max_size) {
            ngx_http_fastcgi_ng_log_too_large(r, ctx->conf);

            return ngx_http_fastcgi_ng_give_up(r, ctx, in,
                                               NGX_HTTP_BAD_GATEWAY);
        }

        if (ngx_http_fastcgi_ng_spool_add(r, &ctx->spool, b->pos, size)
            != NGX_OK)
        {
            return ngx_http_fastcgi_ng_give_up(r, ctx, in,
                                               NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        /* a buffer that is used up is its owner's again */

        b->pos = b->last;

        if (b->in_file) {
            b->file_pos = b->file_last;
        }

        if (b->last_buf) {
            ctx->over = 1;

            return ngx_http_fastcgi_ng_output_start(r, ctx);
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_body(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_fastcgi_ng_output_t  *ctx;

    ctx = r == r->main
          ? ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_top_filter_module)
          : NULL;

    if (ctx == NULL) {
        return ngx_http_fastcgi_ng_next_body(r, in);
    }

    switch (ctx->state) {

    case NGX_HTTP_FASTCGI_NG_COLLECT:
        return ngx_http_fastcgi_ng_collect(r, ctx, in);

    case NGX_HTTP_FASTCGI_NG_SEND:
        return ngx_http_fastcgi_ng_next_body(r, in);

    case NGX_HTTP_FASTCGI_NG_UNFILTERED:
        return ngx_http_fastcgi_ng_unfiltered(r, ctx, in);

    default: /* NGX_HTTP_FASTCGI_NG_ASK, NGX_HTTP_FASTCGI_NG_DROP */
        ngx_http_fastcgi_ng_swallow(ctx, in);
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_top_init(ngx_conf_t *cf)
{
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);

    if (!mcf->file_filters && !mcf->output_filters) {
        return NGX_OK;
    }

    ngx_http_fastcgi_ng_next_top_header = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_fastcgi_ng_top_header;

    if (mcf->output_filters) {
        ngx_http_fastcgi_ng_next_top_body = ngx_http_top_body_filter;
        ngx_http_top_body_filter = ngx_http_fastcgi_ng_top_body;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_body_init(ngx_conf_t *cf)
{
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);

    if (mcf->output_filters) {
        ngx_http_fastcgi_ng_next_header = ngx_http_top_header_filter;
        ngx_http_top_header_filter = ngx_http_fastcgi_ng_body_header;

        ngx_http_fastcgi_ng_next_body = ngx_http_top_body_filter;
        ngx_http_top_body_filter = ngx_http_fastcgi_ng_body;
    }

    return NGX_OK;
}
