/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An authorizer's denial: kept whole while it comes, in memory and then in a
 * file, so that no slow client holds a connection to the application; then
 * sent whole in the place of the response.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The body of a denial. */
#define NGX_HTTP_FASTCGI_NG_DENIAL_MAX  (64 * 1024 * 1024)


static ngx_str_t  ngx_http_fastcgi_ng_challenge =
    ngx_string("WWW-Authenticate");


/* keeping */

ngx_int_t
ngx_http_fastcgi_ng_denial_keep(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, u_char *data, size_t len)
{
    if (q->body.size + (off_t) len > NGX_HTTP_FASTCGI_NG_DENIAL_MAX) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the authorizer \"%V\" denied with more than 64m",
                      fcng_msg_tag(FCNG_MSG_BODY_LENGTH),
                      &q->authorizer->name);
        q->broken = 1;
        return NGX_ERROR;
    }

    return ngx_http_fastcgi_ng_spool_add(r, &q->body, data, len);
}


/* fields */

static ngx_table_elt_t *
ngx_http_fastcgi_ng_push_header(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_table_elt_t  *ho;

    ho = ngx_list_push(&r->headers_out.headers);

    if (ho) {
        *ho = *h;
#if (nginx_version >= 1023000)
        ho->next = NULL;
#endif
    }

    return ho;
}


/* A field of the answer's head, as nginx takes those of any upstream. */

static ngx_int_t
ngx_http_fastcgi_ng_copy_field(ngx_http_request_t *sr, ngx_table_elt_t *h)
{
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    if (ngx_hash_find(&sr->upstream->conf->hide_headers_hash, h->hash,
                      h->lowcase_key, h->key.len))
    {
        return NGX_OK;
    }

    umcf = ngx_http_get_module_main_conf(sr, ngx_http_upstream_module);

    hh = ngx_hash_find(&umcf->headers_in_hash, h->hash, h->lowcase_key,
                       h->key.len);

    if (hh) {
        return hh->copy_handler(sr, h, hh->conf);
    }

    return ngx_http_fastcgi_ng_push_header(sr, h) ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_fastcgi_ng_copy_fields(ngx_http_request_t *sr)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &sr->upstream->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_fastcgi_ng_copy_field(sr, &h[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* The answer's head in the place of |r|'s; what the modules before us have
   set stays set. */

static ngx_int_t
ngx_http_fastcgi_ng_take_head(ngx_http_request_t *r, ngx_http_request_t *sr)
{
    ngx_list_t        trailers;
    ngx_uint_t        i;
    ngx_list_part_t   before, *part;
    ngx_table_elt_t  *h;

    if (ngx_http_fastcgi_ng_copy_fields(sr) != NGX_OK) {
        return NGX_ERROR;
    }

    sr->headers_out.status = sr->upstream->headers_in.status_n;
    sr->headers_out.status_line = sr->upstream->headers_in.status_line;

    before = r->headers_out.headers.part;
    trailers = r->headers_out.trailers;

    r->headers_out = sr->headers_out;

    /* the last part of a list may be within its head */

    r->headers_out.trailers = trailers;

    if (r->headers_out.headers.last == &sr->headers_out.headers.part) {
        r->headers_out.headers.last = &r->headers_out.headers.part;
    }

    for (part = &before; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_fastcgi_ng_push_header(r, &h[i]) == NULL) {
                return NGX_ERROR;
            }
        }
    }

    /* of an error_page that led here: "=200" would turn the denial round */
    r->err_status = 0;

    return NGX_OK;
}


/* The challenges of an answer beside those that are there. */

ngx_int_t
ngx_http_fastcgi_ng_add_challenges(ngx_http_request_t *r,
    ngx_http_request_t *sr)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *ho;

    for (part = &sr->upstream->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != ngx_http_fastcgi_ng_challenge.len
                || ngx_strncasecmp(h[i].key.data,
                                   ngx_http_fastcgi_ng_challenge.data,
                                   h[i].key.len) != 0)
            {
                continue;
            }

            ho = ngx_http_fastcgi_ng_push_header(r, &h[i]);
            if (ho == NULL) {
                return NGX_ERROR;
            }

            if (r->headers_out.www_authenticate == NULL) {
                r->headers_out.www_authenticate = ho;
            }
        }
    }

    return NGX_OK;
}


/* sending */

static ngx_int_t
ngx_http_fastcgi_ng_denial_body(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *out, end;

    if (ngx_http_fastcgi_ng_spool_chain(r, &q->body, &out) != NGX_OK) {
        return NGX_ERROR;
    }

    if (out == NULL) {
        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }

        end.buf = b;
        end.next = NULL;
        out = &end;
    }

    for (cl = out; cl->next; cl = cl->next) { /* void */ }

    cl->buf->last_buf = 1;
    cl->buf->last_in_chain = 1;

    return ngx_http_output_filter(r, out);
}


static ngx_int_t
ngx_http_fastcgi_ng_denial_head(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_http_request_t  *sr;

    sr = q->request;

    if (ngx_http_fastcgi_ng_take_head(r, sr) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->headers_out.content_length_n = -1;
        r->header_only = 1;

    } else if (r->method == NGX_HTTP_HEAD) {
        r->headers_out.content_length_n =
                                      sr->upstream->headers_in.content_length_n;

    } else {
        r->headers_out.content_length_n = q->body.size;
    }

    return NGX_OK;
}


/* Ends the request, but for a result that ends it otherwise. */

ngx_int_t
ngx_http_fastcgi_ng_denial_send(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_fastcgi_ng_denial_head(r, q) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc != NGX_ERROR && rc <= NGX_OK && !r->header_only) {
        rc = ngx_http_fastcgi_ng_denial_body(r, q);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}
