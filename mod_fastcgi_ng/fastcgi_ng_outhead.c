/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The output filter's two heads, the original's and the application's, and
 * what the client asks for that concerns one of them only.
 *
 * What asks for a part of the response, for none, or for an encoded one is
 * taken from the request while the original is made: whoever makes it would
 * answer for the original.  It is back when the response begins.
 */
#include "fastcgi_ng.h"

/* ------------------------------------------- what the client asks for --- */

apr_array_header_t *fastcgi_ng_hide_asking(request_rec *r)
{
    const apr_array_header_t *arr = apr_table_elts(r->headers_in);
    apr_array_header_t *hidden = apr_array_make(r->pool, 4,
                                                sizeof(fcng_field));
    int i;

    for (i = 0; i < arr->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(arr, i, apr_table_entry_t);

        if (e->key != NULL) {
            fcng_field field = { { e->key, strlen(e->key) },
                                 { e->val, strlen(e->val) } };

            if (fcng_filter_hides(field.name, r->method_number == M_GET)) {
                APR_ARRAY_PUSH(hidden, fcng_field) = field;
            }
        }
    }
    for (i = 0; i < hidden->nelts; i++) {
        apr_table_unset(r->headers_in,
                        APR_ARRAY_IDX(hidden, i, fcng_field).name.data);
    }
    return hidden;
}

void fastcgi_ng_give_back_asking(request_rec *r,
                                 const apr_array_header_t *hidden)
{
    int i;

    for (i = 0; i < hidden->nelts; i++) {
        const fcng_field *field = &APR_ARRAY_IDX(hidden, i, fcng_field);

        apr_table_addn(r->headers_in, field->name.data, field->value.data);
    }
}

/* ----------------------------------------------------------- the heads --- */

static void drop_field(request_rec *r, const char *name)
{
    apr_table_unset(r->headers_out, name);
    apr_table_unset(r->err_headers_out, name);
}

static void drop_from(apr_table_t *table)
{
    const apr_array_header_t *arr = apr_table_elts(table);
    int i = 0;

    while (i < arr->nelts) {
        const char *key = APR_ARRAY_IDX(arr, i, apr_table_entry_t).key;
        fcng_str name = { key, key != NULL ? strlen(key) : 0 };

        if (fcng_filter_drops(name)) {
            apr_table_unset(table, key); /* another one stands there now */
        }
        else {
            i++;
        }
    }
}

void fastcgi_ng_drop_original(request_rec *r)
{
    drop_from(r->headers_out);
    drop_from(r->err_headers_out);
    r->clength = 0;
    r->mtime = 0;
    /* Said of the original: what comes has validators of its own. */
    r->no_local_copy = 0;
}

static int drop_named(void *data, const char *name, const char *value)
{
    request_rec *r = data;
    fcng_str field = { name, strlen(name) };

    if (!fcng_filter_adds(field)) {
        drop_field(r, name);
    }
    if (ap_cstr_casecmp(name, "Content-Language") == 0) {
        r->content_languages = NULL;
    }
    return 1;
}

void fastcgi_ng_output_head(fastcgi_ng_task_t *task)
{
    fastcgi_ng_drop_original(task->r);
    apr_table_do(drop_named, task->r, task->fields, NULL);
}

void fastcgi_ng_save_head(request_rec *r, fastcgi_ng_head_t *head)
{
    head->headers_out = apr_table_copy(r->pool, r->headers_out);
    head->err_headers_out = apr_table_copy(r->pool, r->err_headers_out);
    head->content_type = r->content_type;
    head->content_encoding = r->content_encoding;
    head->content_languages = r->content_languages;
    head->status_line = r->status_line;
    head->clength = r->clength;
    head->mtime = r->mtime;
    head->no_local_copy = r->no_local_copy;
}

void fastcgi_ng_restore_head(request_rec *r, const fastcgi_ng_head_t *head)
{
    r->headers_out = head->headers_out;
    r->err_headers_out = head->err_headers_out;
    r->content_type = head->content_type;
    r->content_encoding = head->content_encoding;
    r->content_languages = head->content_languages;
    r->status = HTTP_OK;
    r->status_line = head->status_line;
    r->clength = head->clength;
    r->mtime = head->mtime;
    r->no_local_copy = head->no_local_copy;
}
