/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way in: what nginx reads from a stream.  STDOUT goes from the link into
 * nginx's own buffers, by one readv where the core knows what comes next.
 */


#include "ngx_http_fastcgi_ng_module.h"


static void
ngx_http_fastcgi_ng_dest_advance(ngx_http_fastcgi_ng_dest_t *dest, size_t n)
{
    size_t  room;

    dest->left -= n;
    dest->done += n;

    while (n) {
        room = dest->chain->buf->end - dest->pos;

        if (n < room) {
            dest->pos += n;
            return;
        }

        n -= room;
        dest->chain = dest->chain->next;

        if (dest->chain) {
            dest->pos = dest->chain->buf->last;
        }
    }
}


void
ngx_http_fastcgi_ng_dest_copy(ngx_http_fastcgi_ng_dest_t *dest,
    const char *data, size_t len)
{
    size_t  n;

    while (len) {
        n = dest->chain->buf->end - dest->pos;

        if (n > len) {
            n = len;
        }

        ngx_memcpy(dest->pos, data, n);
        ngx_http_fastcgi_ng_dest_advance(dest, n);

        data += n;
        len -= n;
    }
}


/* nginx breaks a short response off without a word on whose fault it is. */

static void
ngx_http_fastcgi_ng_check_length(ngx_http_fastcgi_ng_stream_t *st)
{
    off_t        length;
    fcng_head   *head;

    head = &st->ctx->head;

    if (!head->done || head->content_length == FCNG_LENGTH_UNKNOWN
        || ngx_http_fastcgi_ng_is_head(st->request)
        || head->status == NGX_HTTP_NO_CONTENT
        || head->status == NGX_HTTP_NOT_MODIFIED)
    {
        return;
    }

    length = st->received - (off_t) head->size;

    if (length < (off_t) head->content_length) {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0, "%s: %s",
                      ngx_http_fastcgi_ng_tag(FCNG_ERR_BODY_SHORT),
                      fcng_strerror(FCNG_ERR_BODY_SHORT));
    }
}


/* The end of everything, told once. */

static ssize_t
ngx_http_fastcgi_ng_tell_end(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    if (st->told) {
        return NGX_AGAIN;
    }

    ctx = st->ctx;
    st->told = 1;

    if (ctx->signal == 0 && st->state == NGX_HTTP_FASTCGI_NG_OVER
        && !ctx->head.done)
    {
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0, "%s: %s",
                      ngx_http_fastcgi_ng_tag(FCNG_ERR_HEAD_MISSING),
                      fcng_strerror(FCNG_ERR_HEAD_MISSING));
        ctx->signal = NGX_HTTP_UPSTREAM_INVALID_HEADER;
    }

    if (ctx->question && ctx->signal == 0
        && (st->state != NGX_HTTP_FASTCGI_NG_FAILED || st->received))
    {
        /* nginx is to do nothing with the answer, which may be half of one */
        ctx->taken = 1;
        ctx->whole = st->state == NGX_HTTP_FASTCGI_NG_OVER && ctx->ended;
        ctx->signal = NGX_ERROR;
    }

    if (ctx->signal && (ctx->question || !ctx->head.done)) {
        /* a byte that makes nginx call process_header */
        in->buf->last[0] = LF;
        return 1;
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_FAILED) {
        st->read.error = 1;
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_check_length(st);

    st->read.eof = 1;

    return 0;
}


static ssize_t
ngx_http_fastcgi_ng_synthesize(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t  n;

    n = ngx_min(dest->left, st->synthetic.len);

    ngx_http_fastcgi_ng_dest_copy(dest, (char *) st->synthetic.data, n);

    st->synthetic.data += n;
    st->synthetic.len -= n;

    return n;
}


/* What has come on a shared link. */

static void
ngx_http_fastcgi_ng_take(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t   n;
    u_char  *pos;

    while (dest->left) {
        n = ngx_http_fastcgi_ng_mux_take(st, &pos);

        if (n == 0) {
            return;
        }

        n = ngx_min(n, dest->left);

        ngx_http_fastcgi_ng_dest_copy(dest, (char *) pos, n);
        ngx_http_fastcgi_ng_mux_took(st, n);
    }
}


/* Gets bytes from the socket.  NGX_DONE: look for events; NGX_AGAIN. */

static ngx_int_t
ngx_http_fastcgi_ng_fill(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    size_t                       placed;
    ssize_t                      n;
    ngx_http_fastcgi_ng_link_t  *link;

    link = st->link;

    if (fcng_conn_unread(link->fcng) > 0) {
        /* no room for more */
        return NGX_AGAIN;
    }

    if (dest->done || !link->connection->read->ready) {
        ngx_http_fastcgi_ng_link_unhold(link);
        return NGX_AGAIN;
    }

    n = ngx_http_fastcgi_ng_link_read(link, in, dest->left, &placed);

    if (n == NGX_AGAIN) {
        ngx_http_fastcgi_ng_link_unhold(link);
        return NGX_AGAIN;
    }

    if (n <= 0) {
        /* closed with bytes of ours unread, it is reset */
        fcng_conn_fail(link->fcng, n == 0 || ngx_socket_errno == NGX_ECONNRESET
                                   ? FCNG_ERR_CLOSED : FCNG_ERR_IO);

    } else if (placed) {
        ngx_http_fastcgi_ng_stream_answered(st);
        ngx_http_fastcgi_ng_dest_advance(dest, placed);
        st->received += placed;
    }

    return NGX_DONE;
}


static ssize_t
ngx_http_fastcgi_ng_pull(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in,
    off_t limit)
{
    fcng_event                   ev;
    ngx_chain_t                 *cl;
    ngx_uint_t                   ready;
    ngx_http_fastcgi_ng_dest_t   dest;

    if (st->state < NGX_HTTP_FASTCGI_NG_READY) {
        /* what was posted is of a connection that has been given up */
        ngx_http_fastcgi_ng_set(&st->read, 0);
        return NGX_AGAIN;
    }

    dest.chain = in;
    dest.pos = in->buf->last;
    dest.left = 0;
    dest.done = 0;

    for (cl = in; cl; cl = cl->next) {
        dest.left += cl->buf->end - cl->buf->last;
    }

    if (limit && (off_t) dest.left > limit) {
        dest.left = limit;
    }

    if (st->shared && st->ctx->signal == 0) {
        ngx_http_fastcgi_ng_take(st, &dest);
    }

    while (!st->shared && st->state == NGX_HTTP_FASTCGI_NG_READY
           && st->ctx->signal == 0)
    {
        if (fcng_conn_next_event(st->link->fcng, dest.left, &ev) == FCNG_OK) {
            ngx_http_fastcgi_ng_on_event(st, &ev, &dest);
            continue;
        }

        if (ngx_http_fastcgi_ng_fill(st, in, &dest) == NGX_AGAIN) {
            break;
        }
    }

    if (st->state == NGX_HTTP_FASTCGI_NG_SYNTHETIC && st->synthetic.len) {
        return ngx_http_fastcgi_ng_synthesize(st, &dest);
    }

    ready = st->state != NGX_HTTP_FASTCGI_NG_READY || st->ctx->signal
            || (st->shared ? st->in != NULL
                           : fcng_conn_unread(st->link->fcng) > 0
                             || st->link->connection->read->ready);

    if (dest.done == 0
        && (st->state != NGX_HTTP_FASTCGI_NG_READY || st->ctx->signal))
    {
        return ngx_http_fastcgi_ng_tell_end(st, in);
    }

    ngx_http_fastcgi_ng_set(&st->read, ready);

    if (st->stdout_end && !st->timing
        && st->state == NGX_HTTP_FASTCGI_NG_READY)
    {
        ngx_http_fastcgi_ng_stream_timer(st,
                     ngx_min(FCNG_END_WAIT_US / 1000,
                             st->request->upstream->conf->read_timeout / 2));
    }

    if (!ready && !st->shared
        && ngx_handle_read_event(st->link->connection->read, 0) != NGX_OK)
    {
        ngx_http_fastcgi_ng_stream_fail(st);
    }

    return dest.done ? (ssize_t) dest.done : NGX_AGAIN;
}


ssize_t
ngx_http_fastcgi_ng_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    ngx_buf_t    b;
    ngx_chain_t  in;

    b.last = buf;
    b.end = buf + size;
    in.buf = &b;
    in.next = NULL;

    return ngx_http_fastcgi_ng_pull((ngx_http_fastcgi_ng_stream_t *) c, &in,
                                    0);
}


ssize_t
ngx_http_fastcgi_ng_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ssize_t                        n;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = (ngx_http_fastcgi_ng_stream_t *) c;

    n = ngx_http_fastcgi_ng_pull(st, in, limit);

    if (n == NGX_ERROR) {
        /* or the pipe would drop what it has read into its last buffer */
        st->request->upstream->pipe->read = 1;
    }

    return n;
}
