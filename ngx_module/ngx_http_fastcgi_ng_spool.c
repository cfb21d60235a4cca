/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that are kept until all of them are there: in memory, and beyond
 * |memory| in a temporary file.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* Small pieces share a buffer of this size. */
#define NGX_HTTP_FASTCGI_NG_SPOOL_PIECE  2048


void
ngx_http_fastcgi_ng_spool_init(ngx_http_fastcgi_ng_spool_t *spool,
    ngx_path_t *path, size_t memory, char *warn)
{
    spool->chain = NULL;
    spool->last = NULL;
    spool->file = NULL;
    spool->size = 0;
    spool->memory = memory;
    spool->path = path;
    spool->warn = warn;
}


static ngx_temp_file_t *
ngx_http_fastcgi_ng_spool_file(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool)
{
    ngx_temp_file_t  *tf;

    tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
    if (tf == NULL) {
        return NULL;
    }

    tf->file.fd = NGX_INVALID_FILE;
    tf->file.log = r->connection->log;
    tf->path = spool->path;
    tf->pool = r->pool;
    tf->clean = 1;
    tf->log_level = NGX_LOG_INFO;
    tf->warn = spool->warn;

    return tf;
}


static ngx_int_t
ngx_http_fastcgi_ng_spool_write(ngx_http_fastcgi_ng_spool_t *spool,
    ngx_chain_t *cl)
{
    ssize_t  n;

    n = ngx_write_chain_to_temp_file(spool->file, cl);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    spool->file->offset += n;

    return NGX_OK;
}


/* From now on everything is in a file. */

static ngx_int_t
ngx_http_fastcgi_ng_spool_spill(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool)
{
    spool->file = ngx_http_fastcgi_ng_spool_file(r, spool);
    if (spool->file == NULL) {
        return NGX_ERROR;
    }

    if (spool->chain == NULL) {
        return NGX_OK;
    }

    if (ngx_http_fastcgi_ng_spool_write(spool, spool->chain) != NGX_OK) {
        return NGX_ERROR;
    }

    spool->chain = NULL;
    spool->last = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_spool_append(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool, u_char *data, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = spool->last;

    if (cl == NULL || (size_t) (cl->buf->end - cl->buf->last) < len) {

        cl = ngx_alloc_chain_link(r->pool);
        b = ngx_create_temp_buf(r->pool,
                              ngx_max(len, NGX_HTTP_FASTCGI_NG_SPOOL_PIECE));

        if (cl == NULL || b == NULL) {
            return NGX_ERROR;
        }

        cl->buf = b;
        cl->next = NULL;

        if (spool->last) {
            spool->last->next = cl;

        } else {
            spool->chain = cl;
        }

        spool->last = cl;
    }

    cl->buf->last = ngx_cpymem(cl->buf->last, data, len);

    return NGX_OK;
}


/* NGX_ERROR: no memory, or no space; what was added before is still there. */

ngx_int_t
ngx_http_fastcgi_ng_spool_add(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool, u_char *data, size_t len)
{
    ngx_buf_t    piece;
    ngx_chain_t  link;

    if (len == 0) {
        return NGX_OK;
    }

    if (spool->file == NULL
        && spool->size + (off_t) len <= (off_t) spool->memory)
    {
        if (ngx_http_fastcgi_ng_spool_append(r, spool, data, len) != NGX_OK) {
            return NGX_ERROR;
        }

        spool->size += len;

        return NGX_OK;
    }

    if (spool->file == NULL
        && ngx_http_fastcgi_ng_spool_spill(r, spool) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_memzero(&piece, sizeof(ngx_buf_t));
    piece.memory = 1;
    piece.pos = data;
    piece.last = data + len;

    link.buf = &piece;
    link.next = NULL;

    if (ngx_http_fastcgi_ng_spool_write(spool, &link) != NGX_OK) {
        return NGX_ERROR;
    }

    spool->size += len;

    return NGX_OK;
}


/*
 * All of it, from its beginning, in buffers that are the caller's: to be sent
 * to an application more than once, and then perhaps to the client.  *chain is
 * NULL when there is nothing.
 */

ngx_int_t
ngx_http_fastcgi_ng_spool_chain(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool, ngx_chain_t **chain)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *from, **last;

    last = chain;
    from = spool->chain;

    while (from || (last == chain && spool->file && spool->file->offset)) {

        cl = ngx_alloc_chain_link(r->pool);
        b = ngx_calloc_buf(r->pool);

        if (cl == NULL || b == NULL) {
            return NGX_ERROR;
        }

        if (from) {
            b->start = from->buf->start;
            b->pos = from->buf->start;
            b->last = from->buf->last;
            b->end = from->buf->end;
            b->temporary = 1;

            from = from->next;

        } else {
            b->in_file = 1;
            b->file = &spool->file->file;
            b->file_last = spool->file->offset;
        }

        cl->buf = b;
        *last = cl;
        last = &cl->next;
    }

    *last = NULL;

    return NGX_OK;
}
