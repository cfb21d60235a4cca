/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What asks for a part of a response, for none, or for an encoded one, is taken
 * from a request whose response may go through an output filter, before
 * anybody makes that.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* What was taken from a request: lives over internal redirects. */
typedef struct {
    ngx_array_t                     *fields;       /* ngx_table_elt_t */
    ngx_table_elt_t                 *range;
    ngx_table_elt_t                 *if_range;
#if (NGX_HTTP_GZIP)
    ngx_table_elt_t                 *accept_encoding;
#endif
    unsigned                         put_aside:1;  /* the pointers */
    unsigned                         failed:1;     /* no second filter */
} ngx_http_fastcgi_ng_taken_t;


static void
ngx_http_fastcgi_ng_taken_cleanup(void *data)
{
    /* marks the record: see taken_find */
}


static ngx_http_fastcgi_ng_taken_t *
ngx_http_fastcgi_ng_taken_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_fastcgi_ng_taken_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_http_fastcgi_ng_taken_t *
ngx_http_fastcgi_ng_taken_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_fastcgi_ng_taken_t  *taken;

    taken = ngx_http_fastcgi_ng_taken_find(r);

    if (taken) {
        return taken;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_fastcgi_ng_taken_t));
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_fastcgi_ng_taken_cleanup;
    ngx_memzero(cln->data, sizeof(ngx_http_fastcgi_ng_taken_t));

    return cln->data;
}


static ngx_uint_t
ngx_http_fastcgi_ng_is_asking(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    fcng_str  name;

    name.data = (char *) h->key.data;
    name.len = h->key.len;

    return fcng_filter_hides(name,
                             (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) != 0);
}


/* A list without them: who sends requests on looks at no mark of an element,
   and reads the list only.  nginx's own pointers to If-* stay. */

static ngx_int_t
ngx_http_fastcgi_ng_take_fields(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_taken_t *taken, ngx_list_t *list)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            copy = ngx_http_fastcgi_ng_is_asking(r, &h[i])
                   ? ngx_array_push(taken->fields) : ngx_list_push(list);

            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];

            if (&h[i] == r->headers_in.host) {
                r->headers_in.host = copy;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_take(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_taken_t *taken)
{
    ngx_list_t  list;

    taken->fields = ngx_array_create(r->pool, 4, sizeof(ngx_table_elt_t));

    if (taken->fields == NULL
        || ngx_list_init(&list, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK
        || ngx_http_fastcgi_ng_take_fields(r, taken, &list) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_in.headers = list;

    if (r->headers_in.headers.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    taken->range = r->headers_in.range;
    taken->if_range = r->headers_in.if_range;

    r->headers_in.range = NULL;
    r->headers_in.if_range = NULL;

#if (NGX_HTTP_GZIP)
    /* gzip_static asks by this pointer */
    taken->accept_encoding = r->headers_in.accept_encoding;
    r->headers_in.accept_encoding = NULL;
#endif

    taken->put_aside = 1;

    return NGX_OK;
}


/* For the filters behind us.  Ranges are for a response that is not filtered
   only: subrequests inherit what is asked for. */

void
ngx_http_fastcgi_ng_put_back(ngx_http_request_t *r, ngx_uint_t range)
{
    ngx_http_fastcgi_ng_taken_t  *taken;

    taken = ngx_http_fastcgi_ng_taken_find(r);

    if (taken == NULL || !taken->put_aside) {
        return;
    }

    taken->put_aside = 0;

    if (range) {
        r->headers_in.range = taken->range;
        r->headers_in.if_range = taken->if_range;
    }

#if (NGX_HTTP_GZIP)
    r->headers_in.accept_encoding = taken->accept_encoding;
    r->gzip_tested = 0;
    r->gzip_ok = 0;
#endif
}


/* Another location, which may have no filter. */

static ngx_int_t
ngx_http_fastcgi_ng_give_back(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_taken_t *taken)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h, *copy;

    h = taken->fields->elts;

    for (i = 0; i < taken->fields->nelts; i++) {

        copy = ngx_list_push(&r->headers_in.headers);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = h[i];
    }

    taken->fields = NULL;

    taken->put_aside = 1;
    ngx_http_fastcgi_ng_put_back(r, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_taken_t     *taken;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);
    taken = ngx_http_fastcgi_ng_taken_find(r);

    if (taken && taken->fields
        && ngx_http_fastcgi_ng_give_back(r, taken) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (conf->output == NULL) {
        return NGX_DECLINED;
    }

    taken = ngx_http_fastcgi_ng_taken_get(r);

    if (taken == NULL || ngx_http_fastcgi_ng_take(r, taken) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* Behind try_files: when the location is the one that answers. */

ngx_int_t
ngx_http_fastcgi_ng_output_init(ngx_conf_t *cf)
{
    size_t                      n;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* they run from the last to the first */

    handlers = &cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers;
    n = handlers->nelts;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;

    ngx_memmove(&h[1], &h[0], n * sizeof(ngx_http_handler_pt));
    h[0] = ngx_http_fastcgi_ng_precontent_handler;

    return NGX_OK;
}


/* The request of an error's page: no second filter. */

ngx_uint_t
ngx_http_fastcgi_ng_filter_has_failed(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_taken_t  *taken;

    taken = ngx_http_fastcgi_ng_taken_find(r);

    return taken && taken->failed;
}


ngx_int_t
ngx_http_fastcgi_ng_filter_fails(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_taken_t  *taken;

    taken = ngx_http_fastcgi_ng_taken_get(r);
    if (taken == NULL) {
        return NGX_ERROR;
    }

    taken->failed = 1;

    return NGX_OK;
}
