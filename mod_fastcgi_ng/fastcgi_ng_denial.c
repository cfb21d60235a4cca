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
#include "mod_auth.h"
#include "mod_core.h"
#include "util_filter.h"

#define FILTER "FASTCGI_NG_DENIAL"

static bool is_field(const fcng_field *field, const char *name)
{
    return ap_cstr_casecmp(field->name.data, name) == 0;
}

/* Under "Satisfy Any": others may still grant. */
static bool is_vote(int status)
{
    return status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN;
}

/* httpd looks at this before it looks at ErrorDocument. */
static void no_error_document(request_rec *r,
                              const fastcgi_ng_answer_t *answer, int status)
{
    if (answer->conf->error_document != 1) {
        ap_custom_response(r, status, " ");
    }
}

int fastcgi_ng_deny(request_rec *r, fastcgi_ng_answer_t *answer)
{
    if (r->main != NULL) {
        /* Whoever made it looks at nothing but the status, and takes others
           for a page. */
        return HTTP_FORBIDDEN;
    }
    fastcgi_ng_request_get(r)->denial = answer;
    if (answer->busy) {
        fastcgi_ng_retry_after(r);
    }
    if (answer->verdict != FCNG_AUTHZ_DENIED) {
        return answer->status;
    }
    if (ap_satisfies(r) != SATISFY_ANY || !is_vote(answer->status)) {
        no_error_document(r, answer, answer->status);
    }
    else {
        /* What comes of it may be another module's challenge. */
        no_error_document(r, answer, HTTP_FORBIDDEN);
    }
    return answer->status;
}

void fastcgi_ng_deny_required(request_rec *r, fastcgi_ng_answer_t *answer)
{
    if (r->main == NULL) {
        answer->required = true;
        fastcgi_ng_request_get(r)->denial = answer;
        no_error_document(r, answer, HTTP_UNAUTHORIZED);
        no_error_document(r, answer, HTTP_FORBIDDEN);
    }
}

/* ---------------------------------------------------------- the filter --- */

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

/* Beside those that are there, not in their place. */
static void add_challenges(request_rec *r, const fastcgi_ng_answer_t *answer)
{
    int i;

    for (i = 0; i < answer->fields->nelts; i++) {
        const fcng_field *field = &APR_ARRAY_IDX(answer->fields, i,
                                                 fcng_field);

        if (is_field(field, "WWW-Authenticate")) {
            apr_table_addn(r->err_headers_out, field->name.data,
                           field->value.data);
        }
    }
}

/*
 * Whether the error that httpd is about to tell is this denial.  Under
 * "Satisfy Any" all have voted: another module's challenge comes first, and a
 * 401 before a 403.
 */
static bool is_denial(request_rec *r, const fastcgi_ng_answer_t *answer)
{
    if (answer->required) {
        return is_vote(r->status);
    }
    if (!is_vote(r->status) || ap_satisfies(r) != SATISFY_ANY) {
        return answer->status == r->status;
    }
    if (r->status == HTTP_UNAUTHORIZED
        && apr_table_get(r->err_headers_out, "WWW-Authenticate") != NULL) {
        if (answer->status == HTTP_UNAUTHORIZED) {
            add_challenges(r, answer);
        }
        return false;
    }
    return is_vote(answer->status) && answer->status <= r->status;
}

/* FastCgiNgAuthorizerErrorDocument on, and there is one. */
static bool is_replaced(request_rec *r, const fastcgi_ng_answer_t *answer)
{
    return answer->conf->error_document == 1
           && answer->status >= HTTP_BAD_REQUEST
           && ap_response_code_string(r, ap_index_of_response(r->status))
              != NULL;
}

static void insert_error_filter(request_rec *r)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);
    fastcgi_ng_answer_t *answer = known != NULL ? known->denial : NULL;

    if (answer == NULL || answer->verdict != FCNG_AUTHZ_DENIED
        || !is_denial(r, answer)) {
        return;
    }
    if (is_replaced(r, answer)) {
        add_challenges(r, answer);
    }
    else {
        ap_add_output_filter(FILTER, answer, r, r->connection);
    }
}

void fastcgi_ng_denial_hooks(apr_pool_t *p)
{
    /* Above mod_headers' filter. */
    ap_register_output_filter(FILTER, filter, NULL, AP_FTYPE_RESOURCE);
    ap_hook_insert_error_filter(insert_error_filter, NULL, NULL,
                                APR_HOOK_MIDDLE);
}
