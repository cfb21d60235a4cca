/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The content handler and what ngx_http_upstream calls back: as for any
 * CGI-like protocol, since all FastCGI lies below the fake connection.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_eval(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf);
#if (NGX_HTTP_CACHE)
static ngx_int_t ngx_http_fastcgi_ng_create_key(ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_fastcgi_ng_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_body_output_filter(void *data,
    ngx_chain_t *in);
static ngx_int_t ngx_http_fastcgi_ng_process_header(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_input_filter_init(void *data);
static void ngx_http_fastcgi_ng_timeout_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_fastcgi_ng_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_http_upstream_t              *u;
    ngx_http_fastcgi_ng_ctx_t        *ctx;
    ngx_http_fastcgi_ng_loc_conf_t   *conf;
#if (NGX_HTTP_CACHE)
    ngx_http_fastcgi_ng_main_conf_t  *mcf;
#endif

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    rc = ngx_http_fastcgi_ng_check(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_fastcgi_ng_get_ctx(r);

    if (ctx == NULL || ngx_http_upstream_create(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    fcng_head_init(&ctx->head, conf->header_max_size);

    u = r->upstream;

    ngx_str_set(&u->schema, "fastcgi://");
    u->output.tag = (ngx_buf_tag_t) &ngx_http_fastcgi_ng_module;

    u->conf = &conf->upstream;

    if (conf->pass_lengths) {
        rc = ngx_http_fastcgi_ng_eval(r, conf);
        if (rc != NGX_OK) {
            return rc;
        }
    }

#if (NGX_HTTP_CACHE)
    mcf = ngx_http_get_module_main_conf(r, ngx_http_fastcgi_ng_module);

    u->caches = &mcf->caches;
    u->create_key = ngx_http_fastcgi_ng_create_key;
#endif

    u->create_request = ngx_http_fastcgi_ng_create_request;
    u->reinit_request = ngx_http_fastcgi_ng_reinit_request;
    u->process_header = ngx_http_fastcgi_ng_process_header;
    u->abort_request = ngx_http_fastcgi_ng_abort_request;
    u->finalize_request = ngx_http_fastcgi_ng_finalize_request;

    u->buffering = conf->upstream.buffering;

    u->pipe = ngx_pcalloc(r->pool, sizeof(ngx_event_pipe_t));
    if (u->pipe == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    u->pipe->input_filter = ngx_event_pipe_copy_input_filter;
    u->pipe->input_ctx = r;

    u->input_filter_init = ngx_http_fastcgi_ng_input_filter_init;
    u->input_filter = ngx_http_upstream_non_buffered_filter;
    u->input_filter_ctx = r;

    if (!conf->upstream.request_buffering
        && conf->upstream.pass_request_body
        && !ctx->filter)
    {
        r->request_body_no_buffering = 1;
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_upstream_init);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* fastcgi_ng_pass with variables */

static ngx_http_upstream_srv_conf_t *
ngx_http_fastcgi_ng_find_upstream(ngx_http_request_t *r, ngx_url_t *url)
{
    ngx_uint_t                      i;
    ngx_http_upstream_srv_conf_t  **uscfp;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->host.len == url->host.len
            && ((uscfp[i]->port == 0 && url->no_port)
                || uscfp[i]->port == url->port)
            && ngx_strncasecmp(uscfp[i]->host.data, url->host.data,
                               url->host.len) == 0)
        {
            return uscfp[i];
        }
    }

    return NULL;
}


static ngx_http_upstream_resolved_t *
ngx_http_fastcgi_ng_to_resolve(ngx_http_request_t *r, ngx_url_t *url)
{
    ngx_http_upstream_resolved_t  *ur;

    ur = ngx_pcalloc(r->pool, sizeof(ngx_http_upstream_resolved_t));
    if (ur == NULL) {
        return NULL;
    }

    if (url->addrs) {
        ur->sockaddr = url->addrs[0].sockaddr;
        ur->socklen = url->addrs[0].socklen;
        ur->name = url->addrs[0].name;
        ur->naddrs = 1;
    }

    ur->host = url->host;
    ur->port = url->port;
    ur->no_port = url->no_port;

    return ur;
}


static ngx_int_t
ngx_http_fastcgi_ng_eval(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_url_t                        url;
    ngx_http_upstream_conf_t        *copy;
    ngx_http_fastcgi_ng_upstream_t  *up;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    ngx_memzero(&url, sizeof(ngx_url_t));

    if (ngx_http_script_run(r, &url.url, conf->pass_lengths->elts, 0,
                            conf->pass_values->elts)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    url.no_resolve = 1;

    if (ngx_parse_url(r->pool, &url) != NGX_OK) {
        if (url.err) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "%s in upstream \"%V\"", url.err, &url.url);
        }

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx itself would look the name up without asking our peer.init */

    copy = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    up = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_upstream_t));

    if (copy == NULL || up == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    up->original = ngx_http_fastcgi_ng_find_upstream(r, &url);
    up->pool = &conf->pool;

    if (up->original) {
        up->conf = *up->original;

        if (up->original->srv_conf) {
            up->pool = ngx_palloc(r->pool, sizeof(fcng_pool_options));
            if (up->pool == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            scf = ngx_http_conf_upstream_srv_conf(up->original,
                                                  ngx_http_fastcgi_ng_module);
            *up->pool = scf->pool;
            fcng_pool_options_merge(up->pool, &conf->pool);
        }

    } else {
        up->resolved = ngx_http_fastcgi_ng_to_resolve(r, &url);
        if (up->resolved == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        up->conf.host = url.host;

        if (up->resolved->port == 0
            && (up->resolved->sockaddr == NULL
                || up->resolved->sockaddr->sa_family != AF_UNIX))
        {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "no port in upstream \"%V\"", &url.host);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    up->conf.peer.init = ngx_http_fastcgi_ng_peer_init;

    *copy = conf->upstream;
    copy->upstream = &up->conf;
    r->upstream->conf = copy;

    return NGX_OK;
}


#if (NGX_HTTP_CACHE)

static ngx_int_t
ngx_http_fastcgi_ng_create_key(ngx_http_request_t *r)
{
    ngx_str_t                       *key;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    key = ngx_array_push(&r->cache->keys);
    if (key == NULL) {
        return NGX_ERROR;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    return ngx_http_complex_value(r, &conf->cache_key, key);
}

#endif


/* the request */

/* The length of STDIN; -1: it ends with the last buffer. */

static off_t
ngx_http_fastcgi_ng_stdin_length(ngx_http_request_t *r)
{
    off_t                            length;
    ngx_chain_t                     *cl;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (!conf->upstream.pass_request_body) {
        return 0;
    }

    if (r->request_body_no_buffering) {
        /* of a chunked body nginx counts there what it has read so far */
        return r->headers_in.chunked ? -1 : r->headers_in.content_length_n;
    }

    length = 0;

    for (cl = r->upstream->request_bufs; cl; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    return length;
}


static ngx_int_t
ngx_http_fastcgi_ng_create_request(ngx_http_request_t *r)
{
    ngx_buf_t                       *b;
    ngx_chain_t                     *cl, *body;
    ngx_http_upstream_t             *u;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    u = r->upstream;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    ctx->stdin_length = ngx_http_fastcgi_ng_stdin_length(r);

    if (ngx_http_fastcgi_ng_encode(r, ctx, &b) != NGX_OK) {
        return NGX_ERROR;
    }

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    b->flush = 1;

    body = u->request_bufs;
    u->request_bufs = cl;

    if (r->request_body_no_buffering) {

        /*
         * A length that is reached is not the end: an HTTP/2 stream may go
         * on, and is then refused.
         */

        ctx->unbuffered = 1;

        u->output.output_filter = ngx_http_fastcgi_ng_body_output_filter;
        u->output.filter_ctx = r;

    } else if (conf->upstream.pass_request_body) {

        for ( /* void */ ; body; body = body->next) {

            b = ngx_alloc_buf(r->pool);
            if (b == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(b, body->buf, sizeof(ngx_buf_t));

            cl->next = ngx_alloc_chain_link(r->pool);
            if (cl->next == NULL) {
                return NGX_ERROR;
            }

            cl = cl->next;
            cl->buf = b;
        }
    }

    for (body = ctx->data; body; body = body->next) {

        cl->next = ngx_alloc_chain_link(r->pool);
        if (cl->next == NULL) {
            return NGX_ERROR;
        }

        cl = cl->next;
        cl->buf = body->buf;
    }

    cl->next = NULL;

    return ngx_http_fastcgi_ng_start_timeout(r, ctx);
}


/* fastcgi_ng_request_timeout */

ngx_int_t
ngx_http_fastcgi_ng_start_timeout(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_http_fastcgi_ng_timeout_t   *timeout;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (conf->request_timeout && ctx->timeout == NULL) {

        timeout = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_timeout_t));
        if (timeout == NULL) {
            return NGX_ERROR;
        }

        timeout->ident.fd = (ngx_socket_t) -1;
        timeout->ident.data = r;

        timeout->event.data = &timeout->ident;
        timeout->event.log = r->connection->log;
        timeout->event.handler = ngx_http_fastcgi_ng_timeout_handler;

        timeout->start = ngx_current_msec;
        ctx->timeout = timeout;

        ngx_add_timer(&timeout->event, conf->request_timeout);
    }

    return NGX_OK;
}


static void
ngx_http_fastcgi_ng_timeout_handler(ngx_event_t *ev)
{
    ngx_connection_t  *ident;

    ident = ev->data;

    ngx_http_fastcgi_ng_stream_timeout(ident->data);
}


ngx_int_t
ngx_http_fastcgi_ng_reinit_request(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx == NULL) {
        return NGX_OK;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    fcng_head_init(&ctx->head, conf->header_max_size);
    ctx->signal = 0;

    return NGX_OK;
}


/* The end of an unbuffered body is to be seen here only: nginx does not pass
   on a buffer that holds nothing but the mark. */

static ngx_int_t
ngx_http_fastcgi_ng_body_output_filter(void *data, ngx_chain_t *in)
{
    ngx_http_request_t  *r = data;

    ngx_int_t                   rc;
    ngx_chain_t                *cl;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    for (cl = in; cl; cl = cl->next) {
        if (cl->buf->last_buf) {
            ctx->last_buf = 1;
        }
    }

    rc = ngx_chain_writer(&r->upstream->writer, in);

    if (rc == NGX_OK && ctx->last_buf) {
        return ngx_http_fastcgi_ng_stream_finish(r);
    }

    return rc;
}


/* the response's head */

/* As ngx_hash_strlow(), which takes half as long again. */

static ngx_inline ngx_uint_t
ngx_http_fastcgi_ng_strlow(u_char *dst, fcng_field *field)
{
    size_t       i, len;
    ngx_uint_t   c, key;
    const char  *src;

    key = 0;
    src = field->name.data;
    len = field->name.len;

    for (i = 0; i < len; i++) {
        c = ngx_tolower((u_char) src[i]);
        dst[i] = (u_char) c;
        key = ngx_hash(key, c);
    }

    return key;
}


static ngx_int_t
ngx_http_fastcgi_ng_add_header(ngx_http_request_t *r, fcng_field *field)
{
    ngx_int_t                       rc;
    ngx_table_elt_t                *h;
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);

    h = ngx_list_push(&r->upstream->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->key.len = field->name.len;
    h->value.len = field->value.len;

    h->key.data = ngx_pnalloc(r->pool,
                              h->key.len + 1 + h->value.len + 1 + h->key.len);
    if (h->key.data == NULL) {
        h->hash = 0;
        return NGX_ERROR;
    }

    h->value.data = h->key.data + h->key.len + 1;
    h->lowcase_key = h->value.data + h->value.len + 1;

    ngx_memcpy(h->key.data, field->name.data, h->key.len);
    h->key.data[h->key.len] = '\0';
    ngx_memcpy(h->value.data, field->value.data, h->value.len);
    h->value.data[h->value.len] = '\0';

    h->hash = ngx_http_fastcgi_ng_strlow(h->lowcase_key, field);

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    hh = ngx_hash_find(&umcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    if (hh == NULL) {
        return NGX_OK;
    }

    rc = hh->handler(r, h, hh->offset);

    return rc;
}


/* "404 No such thing" of the line that gave the status. */

static ngx_int_t
ngx_http_fastcgi_ng_status_line(ngx_http_request_t *r, u_char *p, size_t len)
{
    u_char     *last;
    ngx_str_t  *line;

    last = p + len;

    /* after "Status:" or "HTTP/1.1" */

    while (p < last && *p != ':' && *p != ' ') {
        p++;
    }

    while (p < last && (*p < '0' || *p > '9')) {
        p++;
    }

    while (last > p && (last[-1] == LF || last[-1] == CR || last[-1] == ' ')) {
        last--;
    }

    if (last - p <= 4) {
        /* nginx knows the usual words */
        return NGX_OK;
    }

    line = &r->upstream->headers_in.status_line;

    line->len = last - p;
    line->data = ngx_pnalloc(r->pool, line->len);
    if (line->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(line->data, p, line->len);

    return NGX_OK;
}


/* A head larger than fastcgi_ng_buffer_size. */

static ngx_int_t
ngx_http_fastcgi_ng_grow(ngx_http_request_t *r)
{
    u_char     *start;
    size_t      size;
    ngx_buf_t  *b;

    b = &r->upstream->buffer;

    if (b->last < b->end || ngx_http_fastcgi_ng_cached(r)) {
        return NGX_AGAIN;
    }

    /*
     * By small steps: so that what follows the head in the end is no larger
     * than a buffer may be (the pipe's limits assume that).
     */

    size = b->end - b->start + r->upstream->conf->buffer_size;

    start = ngx_palloc(r->pool, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(start, b->start, b->last - b->start);

    b->pos = start + (b->pos - b->start);
    b->last = start + (b->last - b->start);
    b->start = start;
    b->end = start + size;

    return NGX_AGAIN;
}


static void
ngx_http_fastcgi_ng_local_redirect(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_http_upstream_t           *u;
    ngx_http_fastcgi_ng_stream_t  *st;

    u = r->upstream;
    st = ctx->stream;

    if (st && st->conf->of_output) {
        /* what the client had asked for has been served already */

        if (!ctx->head.status_given) {
            u->headers_in.status_n = NGX_HTTP_MOVED_TEMPORARILY;
        }

    } else if (u->headers_in.x_accel_redirect == NULL) {
        /* RFC 3875 6.2.2: as if the client had asked for that path */
        u->headers_in.x_accel_redirect = u->headers_in.location;
    }
}


/* The buffer may have grown for the head: as large as nginx expects it. */

static ngx_int_t
ngx_http_fastcgi_ng_fit_buffer(ngx_http_request_t *r)
{
    size_t                head_max;
    ngx_buf_t            *b;
    ngx_http_upstream_t  *u;

    u = r->upstream;
    b = &u->buffer;

    head_max = u->conf->buffer_size;

    if ((size_t) (b->end - b->start) <= head_max) {
        return NGX_OK;
    }

    /* The cache wants the head within buffer_size, when it reads it again. */

    if ((size_t) (b->pos - b->start) > head_max) {
        u->cacheable = 0;
    }

    if (u->cacheable) {
        return NGX_OK;
    }

    b->start = b->pos;

    if ((size_t) (b->end - b->start) > head_max) {
        b->end = b->start + head_max;
    }

    if (b->end < b->last) {
        b->end = b->last;
    }

    if (b->end == b->start) {
        /* the head has filled the buffer: the body needs another one */

        b->start = ngx_palloc(r->pool, head_max);
        if (b->start == NULL) {
            return NGX_ERROR;
        }

        b->pos = b->start;
        b->last = b->start;
        b->end = b->start + head_max;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_head_done(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_http_upstream_t           *u;
    ngx_http_fastcgi_ng_stream_t  *st;

    u = r->upstream;
    st = ctx->stream;

    u->headers_in.status_n = ctx->head.status;

    if (u->state && u->state->status == 0) {
        u->state->status = ctx->head.status;
    }

    if (ctx->head.kind == FCNG_HEAD_LOCAL_REDIRECT) {
        ngx_http_fastcgi_ng_local_redirect(r, ctx);
    }

    if (ngx_http_fastcgi_ng_cached(r) || st == NULL) {
        return NGX_OK;
    }

    if (ngx_http_fastcgi_ng_is_head(r)) {
        /* its body would be an empty file */
        u->store = 0;
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_SYNTHETIC) {
        u->cacheable = 0;
        u->store = 0;

    } else if (st->state == NGX_HTTP_FASTCGI_NG_OVER && st->in == NULL
               && u->headers_in.content_length_n == -1
               && !ngx_http_fastcgi_ng_is_head(r)
               && ctx->head.status != NGX_HTTP_NO_CONTENT
               && ctx->head.status != NGX_HTTP_NOT_MODIFIED)
    {
        /* all of it is here */
        u->headers_in.content_length_n = u->buffer.last - u->buffer.pos;
    }

    return ngx_http_fastcgi_ng_fit_buffer(r);
}


static ngx_int_t
ngx_http_fastcgi_ng_on_field(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx, fcng_field *field)
{
    ngx_int_t  rc;

    if (ctx->question) {
        rc = ngx_http_fastcgi_ng_answer_field(r, ctx->question, field);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return ngx_http_fastcgi_ng_add_header(r, field);
}


/* NGX_OK: the head is complete, and the buffer begins behind it. */

ngx_int_t
ngx_http_fastcgi_ng_parse_head(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    int          err;
    bool         given;
    size_t       n;
    ngx_int_t    rc;
    ngx_buf_t   *b;
    fcng_field   field;

    b = &r->upstream->buffer;

    for ( ;; ) {
        given = ctx->head.status_given;

        err = fcng_head_parse(&ctx->head, (char *) b->pos, b->last - b->pos,
                              &n, &field);

        if (err == FCNG_AGAIN) {
            return ngx_http_fastcgi_ng_grow(r);
        }

        if (err != FCNG_OK) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "%s: upstream sent invalid header: %s",
                          ngx_http_fastcgi_ng_tag(err), fcng_strerror(err));
            ctx->bad_head = 1;
            return NGX_HTTP_UPSTREAM_INVALID_HEADER;
        }

        if (ctx->head.done) {
            b->pos += n;
            return NGX_OK;
        }

        if (field.name.len) {
            rc = ngx_http_fastcgi_ng_on_field(r, ctx, &field);
            if (rc != NGX_OK) {
                return rc;
            }

        } else if (!given && ctx->head.status_given
                   && ngx_http_fastcgi_ng_status_line(r, b->pos, n) != NGX_OK)
        {
            return NGX_ERROR;
        }

        b->pos += n;
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_process_header(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx->signal && !ngx_http_fastcgi_ng_cached(r)) {
        return ctx->signal;
    }

    rc = ngx_http_fastcgi_ng_parse_head(r, ctx);

    return rc == NGX_OK ? ngx_http_fastcgi_ng_head_done(r, ctx) : rc;
}


static ngx_int_t
ngx_http_fastcgi_ng_input_filter_init(void *data)
{
    ngx_http_request_t  *r = data;

    off_t                          length, have;
    ngx_http_upstream_t           *u;
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_stream_t  *st;

    u = r->upstream;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    st = ctx->stream;

    length = u->headers_in.content_length_n;

    if (u->headers_in.status_n == NGX_HTTP_NO_CONTENT
        || u->headers_in.status_n == NGX_HTTP_NOT_MODIFIED)
    {
        length = 0;

    } else if (ngx_http_fastcgi_ng_is_head(r)) {
        length = -1;
    }

    if (st) {
        ngx_http_fastcgi_ng_patience_end(st);
    }

    have = u->buffering ? (off_t) u->pipe->preread_size
                        : u->buffer.last - u->buffer.pos;

    if (st && st->state == NGX_HTTP_FASTCGI_NG_OVER && length == have) {
        /* nothing more comes: spares the pipe a buffer to find that out */
        st->read.ready = 0;
        st->read.active = 1;
    }

    if (st && st->shared && u->buffering) {
        /* whoever shares a connection takes all that comes */
        u->pipe->max_temp_file_size = NGX_MAX_OFF_T_VALUE;
    }

    u->pipe->length = length;
    u->length = length;

    return NGX_OK;
}


void
ngx_http_fastcgi_ng_abort_request(ngx_http_request_t *r)
{
    /* nginx never calls it: see finalize_request */
}


void
ngx_http_fastcgi_ng_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx == NULL) {
        return;
    }

    ctx->ended_with = rc;

    if (ctx->timeout && ctx->timeout->event.timer_set) {
        ngx_del_timer(&ctx->timeout->event);
    }

    if (ctx->stream && ctx->stream->state == NGX_HTTP_FASTCGI_NG_OVER
        && ctx->head.done && rc == NGX_HTTP_BAD_GATEWAY)
    {
        /* the body ended before its Content-Length */
        ctx->bad_head = 1;
    }

    /* the client has what it wants, the application may not have ended yet */

    ctx->drain = ctx->head.done && !r->connection->error
                 && (rc == NGX_OK || rc == NGX_DECLINED
                     || (rc >= NGX_HTTP_SPECIAL_RESPONSE
                         && rc != NGX_HTTP_REQUEST_TIME_OUT
                         && rc != NGX_HTTP_CLIENT_CLOSED_REQUEST
                         && rc != NGX_HTTP_BAD_GATEWAY
                         && rc != NGX_HTTP_GATEWAY_TIME_OUT));
}
