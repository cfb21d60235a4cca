/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has come for a stream of a shared link and nginx has not taken yet: in
 * blocks, and behind them, when that is too much, in a temporary file.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define NGX_HTTP_FASTCGI_NG_BLOCKS       256      /* free ones that are kept */


static ngx_http_fastcgi_ng_block_t  *ngx_http_fastcgi_ng_free_blocks;
static ngx_uint_t                    ngx_http_fastcgi_ng_nblocks;


/* blocks */

static ngx_http_fastcgi_ng_block_t *
ngx_http_fastcgi_ng_block_get(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_block_t  *block;

    block = ngx_http_fastcgi_ng_free_blocks;

    if (block) {
        ngx_http_fastcgi_ng_free_blocks = block->next;
        ngx_http_fastcgi_ng_nblocks--;

    } else {
        block = ngx_alloc(sizeof(ngx_http_fastcgi_ng_block_t),
                          ngx_cycle->log);
        if (block == NULL) {
            return NULL;
        }
    }

    block->next = NULL;
    block->pos = block->data;
    block->last = block->data;
    block->spilled = 0;

    if (st->in) {
        st->in_last->next = block;

    } else {
        st->in = block;
    }

    st->in_last = block;

    return block;
}


static void
ngx_http_fastcgi_ng_block_free(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_block_t  *block;

    block = st->in;
    st->in = block->next;

    if (ngx_http_fastcgi_ng_nblocks >= NGX_HTTP_FASTCGI_NG_BLOCKS) {
        ngx_free(block);
        return;
    }

    block->next = ngx_http_fastcgi_ng_free_blocks;
    ngx_http_fastcgi_ng_free_blocks = block;
    ngx_http_fastcgi_ng_nblocks++;
}


void
ngx_http_fastcgi_ng_blocks_free(void)
{
    ngx_http_fastcgi_ng_block_t  *block;

    while (ngx_http_fastcgi_ng_free_blocks) {
        block = ngx_http_fastcgi_ng_free_blocks;
        ngx_http_fastcgi_ng_free_blocks = block->next;
        ngx_free(block);
    }
}


/* The block that the stream's next bytes go to. */

ngx_http_fastcgi_ng_block_t *
ngx_http_fastcgi_ng_block_last(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->in
        && st->in_last->last < st->in_last->data + NGX_HTTP_FASTCGI_NG_BLOCK)
    {
        return st->in_last;
    }

    return ngx_http_fastcgi_ng_block_get(st);
}


ngx_int_t
ngx_http_fastcgi_ng_block_add(ngx_http_fastcgi_ng_stream_t *st, fcng_str bytes)
{
    size_t                        n;
    ngx_http_fastcgi_ng_block_t  *block;

    while (bytes.len) {
        block = ngx_http_fastcgi_ng_block_last(st);
        if (block == NULL) {
            return NGX_ERROR;
        }

        n = block->data + NGX_HTTP_FASTCGI_NG_BLOCK - block->last;
        n = ngx_min(n, bytes.len);

        block->last = ngx_cpymem(block->last, bytes.data, n);
        bytes.data += n;
        bytes.len -= n;
    }

    return NGX_OK;
}


/* the file behind the blocks */

ngx_int_t
ngx_http_fastcgi_ng_spill(ngx_http_fastcgi_ng_stream_t *st, fcng_str bytes)
{
    ngx_file_t          *file;
    ngx_http_request_t  *r;

    r = st->request;
    file = st->spill;

    if (file == NULL) {
        file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
        if (file == NULL) {
            return NGX_ERROR;
        }

        file->fd = NGX_INVALID_FILE;
        file->log = r->connection->log;

        if (ngx_create_temp_file(file, r->upstream->conf->temp_path, r->pool,
                                 0, 1, 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        st->spill = file;
    }

    if (ngx_write_file(file, (u_char *) bytes.data, bytes.len, st->spill_in)
        != (ssize_t) bytes.len)
    {
        return NGX_ERROR;
    }

    st->spill_in += bytes.len;

    if (st->fcng) {
        fcng_request_consumed(st->fcng, bytes.len);
    }

    return NGX_OK;
}


/* Nothing is left in memory: the next piece of the file. */

static ngx_int_t
ngx_http_fastcgi_ng_unspill(ngx_http_fastcgi_ng_stream_t *st)
{
    size_t                        size;
    ssize_t                       n;
    ngx_http_fastcgi_ng_block_t  *block;

    if (st->spill_out == st->spill_in) {
        st->spill_in = 0;
        st->spill_out = 0;
        st->spilling = 0;

        if (st->fcng) {
            fcng_request_set_direct(st->fcng, true);
        }

        return NGX_OK;
    }

    block = ngx_http_fastcgi_ng_block_get(st);
    if (block == NULL) {
        return NGX_ERROR;
    }

    size = (size_t) ngx_min((off_t) NGX_HTTP_FASTCGI_NG_BLOCK,
                            st->spill_in - st->spill_out);

    n = ngx_read_file(st->spill, block->data, size, st->spill_out);

    if (n != (ssize_t) size) {
        ngx_http_fastcgi_ng_block_free(st);
        return NGX_ERROR;
    }

    block->spilled = 1;
    block->last += n;
    st->spill_out += n;

    return NGX_OK;
}


/* The next bytes of the response for nginx: some of them, 0 for none. */

size_t
ngx_http_fastcgi_ng_mux_take(ngx_http_fastcgi_ng_stream_t *st, u_char **pos)
{
    if (st->in == NULL) {
        return 0;
    }

    *pos = st->in->pos;

    return st->in->last - st->in->pos;
}


void
ngx_http_fastcgi_ng_mux_took(ngx_http_fastcgi_ng_stream_t *st, size_t n)
{
    if (st->fcng && !st->in->spilled) {
        fcng_request_consumed(st->fcng, n);

        if (st->overrun) {
            /* perhaps the link goes on */
            ngx_post_event(st->link->connection->read, &ngx_posted_events);
        }
    }

    st->in->pos += n;

    if (st->in->pos == st->in->last) {
        ngx_http_fastcgi_ng_block_free(st);
    }

    if (st->spilling && st->in == NULL
        && ngx_http_fastcgi_ng_unspill(st) != NGX_OK)
    {
        st->spilling = 0;
        ngx_http_fastcgi_ng_stream_cancel(st, FCNG_ERR_IO);
    }
}


void
ngx_http_fastcgi_ng_mux_drop(ngx_http_fastcgi_ng_stream_t *st)
{
    st->spilling = 0;
    st->spill_in = 0;
    st->spill_out = 0;

    while (st->in) {
        ngx_http_fastcgi_ng_block_free(st);
    }
}
