/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A denial on its way to the client.  The hook that asked returns the
 * application's status; when httpd then makes its error page, a filter puts
 * the application's head and body in the page's place.
 *
 * Nothing is written in a hook: under "Satisfy Any", in a subrequest or in
 * front of filters that parse it would be a second response, or part of one.
 */
#include "fastcgi_ng.h"

#include "http_connection.h"
#include "util_filter.h"

#define FILTER "FASTCGI_NG_DENIAL"

int fastcgi_ng_deny(request_rec *r, fastcgi_ng_answer_t *answer)
{
    if (r->main != NULL) {
        /* Whoever made it looks at nothing but the status, and takes others
           for a page. */
        return HTTP_FORBIDDEN;
    }
    fastcgi_ng_request_get(r)->denial = answer;
    if (answer->verdict == FCNG_AUTHZ_DENIED
        && answer->conf->error_document != 1) {
        /* Looked at before ErrorDocument is. */
        ap_custom_response(r, answer->status, " ");
    }
    return answer->status;
}

/* ----------------------------------------------------------- the filter --- */

static bool is_field(const fcng_field *field, const char *name)
{
    return ap_cstr_casecmp(field->name.data, name) == 0;
}

/* They add up; anything else of httpd's gives way. */
static void clear_field(request_rec *r, const fcng_field *field)
{
    if (!is_field(field, "Set-Cookie")) {
        apr_table_unset(r->headers_out, field->name.data);
        apr_table_unset(r->err_headers_out, field->name.data);
    }
}

static void set_field(request_rec *r, const fcng_field *field)
{
    if (is_field(field, "Content-Type")) {
        char *type = apr_pstrdup(r->pool, field->value.data);

        ap_content_type_tolower(type);
        ap_set_content_type(r, type);
    }
    else if (!is_field(field, "Content-Length")) {
        apr_table_addn(r->err_headers_out, field->name.data,
                       field->value.data);
    }
}

/* mod_headers edits |err_headers_out| ("always"), and the header filter puts
   it over |headers_out|. */
static void set_head(request_rec *r, const fastcgi_ng_answer_t *answer)
{
    int i;

    r->status = answer->status;
    r->status_line = answer->status_line;
    r->content_type = NULL;
    for (i = 0; i < answer->fields->nelts; i++) {
        clear_field(r, &APR_ARRAY_IDX(answer->fields, i, fcng_field));
    }
    for (i = 0; i < answer->fields->nelts; i++) {
        set_field(r, &APR_ARRAY_IDX(answer->fields, i, fcng_field));
    }
    apr_table_unset(r->headers_out, "Content-Length");
    apr_table_unset(r->err_headers_out, "Content-Length");
    r->clength = 0;
    if (r->header_only && answer->length != FCNG_LENGTH_UNKNOWN) {
        ap_set_content_length(r, (apr_off_t)answer->length);
    }
}

/* A client's body that is broken is httpd's business. */
static bool has_failed(const apr_bucket_brigade *bb)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (AP_BUCKET_IS_ERROR(b) || AP_BUCKET_IS_EOC(b)) {
            return true;
        }
    }
    return false;
}

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    fastcgi_ng_answer_t *answer = f->ctx;
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *out;

    if (has_failed(bb)) {
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, bb);
    }
    apr_brigade_cleanup(bb);
    if (answer == NULL) {
        return APR_SUCCESS; /* it has gone out */
    }
    f->ctx = NULL;
    set_head(r, answer);
    out = apr_brigade_create(r->pool, list);
    if (answer->body.memory != NULL) {
        fastcgi_ng_spool_take(&answer->body, out);
    }
    APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(list));
    return ap_pass_brigade(f->next, out);
}

static void insert_error_filter(request_rec *r)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);

    if (known != NULL && known->denial != NULL
        && known->denial->verdict == FCNG_AUTHZ_DENIED
        && known->denial->status == r->status) {
        ap_add_output_filter(FILTER, known->denial, r, r->connection);
    }
}

void fastcgi_ng_denial_hooks(apr_pool_t *p)
{
    /* Above mod_headers' filter. */
    ap_register_output_filter(FILTER, filter, NULL, AP_FTYPE_RESOURCE);
    ap_hook_insert_error_filter(insert_error_filter, NULL, NULL,
                                APR_HOOK_MIDDLE);
}
