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

static const char *const asking[] = {
    "Range", "Request-Range", "If-Range", "If-Match", "If-None-Match",
    "If-Modified-Since", "If-Unmodified-Since", "Accept-Encoding", NULL
};

/* Of other methods a condition says what may be done, not what is sent. */
static bool may_hide(const request_rec *r, const char *name)
{
    return r->method_number == M_GET || strcmp(name, "Accept-Encoding") == 0;
}

apr_array_header_t *fastcgi_ng_hide_asking(request_rec *r)
{
    const apr_array_header_t *arr = apr_table_elts(r->headers_in);
    apr_array_header_t *hidden = apr_array_make(r->pool, 4,
                                                sizeof(fcng_field));
    int i, k;

    for (i = 0; i < arr->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(arr, i, apr_table_entry_t);

        for (k = 0; asking[k] != NULL; k++) {
            if (e->key != NULL && ap_cstr_casecmp(e->key, asking[k]) == 0
                && may_hide(r, asking[k])) {
                fcng_field field = { { e->key, strlen(e->key) },
                                     { e->val, strlen(e->val) } };

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

/* What is true of the original only. */
static const char *const of_original[] = {
    "ETag", "Last-Modified", "Content-Length", "Content-MD5",
    "Accept-Ranges", "Digest", "Content-Digest", "Repr-Digest", NULL
};

static void drop_field(request_rec *r, const char *name)
{
    apr_table_unset(r->headers_out, name);
    apr_table_unset(r->err_headers_out, name);
}

void fastcgi_ng_drop_original(request_rec *r)
{
    int i;

    for (i = 0; of_original[i] != NULL; i++) {
        drop_field(r, of_original[i]);
    }
    r->clength = 0;
    r->mtime = 0;
    /* Said of the original: what comes has validators of its own. */
    r->no_local_copy = 0;
}

static int drop_named(void *data, const char *name, const char *value)
{
    request_rec *r = data;

    if (ap_cstr_casecmp(name, "Set-Cookie") != 0) {
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
