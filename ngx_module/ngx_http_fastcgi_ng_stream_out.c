/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way out: what nginx writes to a stream.  The first buffer is the block
 * of parameters, with which the request is submitted, what follows is offered
 * as STDIN and DATA.
 */


#include "ngx_http_fastcgi_ng_module.h"


ssize_t
ngx_http_fastcgi_ng_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    /* nginx uses it for upgraded connections only, which these are never */
    return NGX_ERROR;
}


/* Nobody wants the bytes any more. */

static ngx_chain_t *
ngx_http_fastcgi_ng_swallow(ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
    }

    return NULL;
}


/* The empty record, which not every authorizer likes. */

static ngx_uint_t
ngx_http_fastcgi_ng_no_stdin(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_question_t  *q;

    q = st->ctx->question;

    q->no_stdin = fcng_authz_no_stdin(&st->pool->authz);

    return q->no_stdin || !st->conf->authorizer_stdin;
}


ngx_int_t
ngx_http_fastcgi_ng_submit(ngx_http_fastcgi_ng_stream_t *st, ngx_buf_t *params)
{
    int                         rc;
    fcng_submit                 submit;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    ngx_memzero(&submit, sizeof(fcng_submit));

    submit.role = st->conf->role;
    submit.params.data = (char *) params->start;
    submit.params.len = params->last - params->start;
    submit.stdin_length = ctx->stdin_length < 0
                          || (ctx->stdin_length == 0 && ctx->unbuffered)
                          ? FCNG_LENGTH_UNKNOWN
                          : (uint64_t) ctx->stdin_length;
    submit.data_length = ctx->data_length;
    submit.no_stdin = ctx->question ? ngx_http_fastcgi_ng_no_stdin(st) : 0;
    submit.user = st;

    rc = fcng_conn_submit(st->link->fcng, &submit, &st->fcng);

    if (rc != FCNG_OK) {
        st->fcng = NULL;
        ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                      "%s: the request cannot be sent: %s",
                      ngx_http_fastcgi_ng_tag(rc), fcng_strerror(rc));

        if (rc == FCNG_ERR_PARAM_SIZE || rc == FCNG_ERR_PARAM_ENCODING) {
            ngx_http_fastcgi_ng_stream_unlink(st, 0);
            ngx_http_fastcgi_ng_stream_refuse(st,
                                              NGX_HTTP_INTERNAL_SERVER_ERROR);
            return NGX_DONE;
        }

        return NGX_ERROR;
    }

    params->pos = params->last;

    if (ctx->data) {
        ngx_http_fastcgi_ng_data_rewind(st->request, ctx->data);
    }

    if (st->shared) {
        /* why such a link is closed nobody knows: asks stays unset */
        ngx_http_fastcgi_ng_mux_submitted(st);

    } else {
        st->link->asks = ctx->question != NULL;
        st->link->without = submit.no_stdin;
    }

    ctx->stream_id = fcng_request_id(st->fcng);

    ngx_http_fastcgi_ng_pool_started(st);

    return NGX_OK;
}


/* STDIN, then a Filter's DATA. */

static int
ngx_http_fastcgi_ng_offer_bytes(ngx_http_fastcgi_ng_stream_t *st, u_char *pos,
    size_t len)
{
    int                         rc;
    size_t                      n;
    uint64_t                    offered, length;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->unbuffered) {
        return fcng_request_offer(st->fcng, FCNG_STDIN, pos, len, false);
    }

    offered = fcng_request_offered(st->fcng);
    length = ctx->stdin_length;

    if (offered < length) {
        n = ngx_min(len, length - offered);

        rc = fcng_request_offer(st->fcng, FCNG_STDIN, pos, n,
                                offered + n == length);
        if (rc != FCNG_OK || n == len) {
            return rc;
        }

        pos += n;
        len -= n;
        offered += n;
    }

    length += ctx->data_length;

    return fcng_request_offer(st->fcng, FCNG_DATA, pos, len,
                              offered + len == length);
}


/* As much of the body as the core takes. */

ngx_int_t
ngx_http_fastcgi_ng_offer(ngx_http_fastcgi_ng_stream_t *st, ngx_chain_t *in)
{
    int         rc;
    size_t      len;
    uint64_t    skip;
    ngx_buf_t  *b;

    skip = fcng_request_offered(st->fcng) - st->reported;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;
        len = b->last - b->pos;

        if (skip >= len) {
            skip -= len;
            continue;
        }

        len -= skip;

        rc = ngx_http_fastcgi_ng_offer_bytes(st, b->pos + skip, len);
        skip = 0;

        if (rc == FCNG_AGAIN) {
            return NGX_OK;
        }

        if (rc != FCNG_OK) {
            ngx_log_error(NGX_LOG_ERR, st->connection.log, 0,
                          "%s: the request cannot be sent: %s",
                          ngx_http_fastcgi_ng_tag(rc), fcng_strerror(rc));
            return NGX_ERROR;
        }
    }

    if (st->ctx->last_buf) {
        /* with the last bytes in one write; refused once it was sent */
        (void) fcng_request_offer(st->fcng, FCNG_STDIN, NULL, 0, true);
    }

    return NGX_OK;
}


/*
 * Writing failed.  NGX_OK: on another connection again; NGX_AGAIN: likewise,
 * when there is one; NGX_DECLINED: what was answered so far may be read.
 */

ngx_int_t
ngx_http_fastcgi_ng_write_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (!fcng_request_started(st->fcng) && params
        && (ctx->reused || (ctx->alone && !ctx->repeated)))
    {
        /* nothing left: whatever the method, it may be sent elsewhere */

        ngx_log_error(NGX_LOG_INFO, st->connection.log, 0,
                      "%s: the %sconnection was closed, another one is used",
                      fcng_msg_tag(FCNG_MSG_STALE),
                      ctx->reused ? "kept " : "");

        if (ctx->reused) {
            ngx_http_fastcgi_ng_link_was_closed(st->link);

        } else {
            ctx->repeated = 1;
            ctx->pause = 1;
        }

        params->pos = params->start;
        ngx_http_fastcgi_ng_stream_unlink(st, 0);

        return ngx_http_fastcgi_ng_pool_replace(st);
    }

    st->deaf = 1;
    ngx_http_fastcgi_ng_set(&st->write, 1);
    ngx_http_fastcgi_ng_stream_wake_read(st);

    return NGX_DECLINED;
}


ngx_chain_t *
ngx_http_fastcgi_ng_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    size_t                         size;
    uint64_t                       sent;
    ngx_int_t                      rc;
    ngx_chain_t                   *first;
    ngx_http_fastcgi_ng_stream_t  *st;

    st = (ngx_http_fastcgi_ng_stream_t *) c;
    first = NULL;

    for ( ;; ) {

        if (st->state < NGX_HTTP_FASTCGI_NG_READY) {
            ngx_http_fastcgi_ng_set(&st->write, 0);
            return in;
        }

        if (st->state > NGX_HTTP_FASTCGI_NG_READY || st->deaf) {
            return ngx_http_fastcgi_ng_swallow(in);
        }

        if (st->fcng == NULL) {
            first = in;
            size = in->buf->last - in->buf->pos;
            rc = ngx_http_fastcgi_ng_submit(st, in->buf);

            if (rc == NGX_DONE) {
                continue;
            }

            if (rc != NGX_OK) {
                return NGX_CHAIN_ERROR;
            }

            c->sent += size;
            in = in->next;
        }

        if (ngx_http_fastcgi_ng_offer(st, in) != NGX_OK) {
            return NGX_CHAIN_ERROR;
        }

        rc = st->shared ? ngx_http_fastcgi_ng_mux_write(st->link)
                        : ngx_http_fastcgi_ng_link_write(st->link, c->log);

        if (rc == NGX_ERROR) {
            rc = ngx_http_fastcgi_ng_write_failed(st,
                                                  first ? first->buf : NULL);
            if (rc == NGX_ERROR) {
                return NGX_CHAIN_ERROR;
            }

            if (rc != NGX_DECLINED) {
                in = first;
            }

            continue;
        }

        sent = fcng_request_sent(st->fcng) - st->reported;
        st->reported += sent;
        c->sent += sent;

        in = ngx_chain_update_sent(in, sent);

        if (in == NULL) {
            return NULL;
        }

        if (rc == NGX_AGAIN) {
            ngx_http_fastcgi_ng_set(&st->write, 0);

            if (st->shared) {
                st->blocked = 1;
                st->link->mux->blocked = 1;
            }

            return in;
        }
    }
}


/* The end of a body that came after its last byte. */

ngx_int_t
ngx_http_fastcgi_ng_stream_finish(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_stream_t  *st;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    st = ctx->stream;

    if (st == NULL || st->state != NGX_HTTP_FASTCGI_NG_READY || st->deaf
        || st->fcng == NULL)
    {
        return NGX_OK;
    }

    if (fcng_request_offer(st->fcng, FCNG_STDIN, NULL, 0, true) != FCNG_OK) {
        return NGX_OK;
    }

    if ((st->shared ? ngx_http_fastcgi_ng_mux_write(st->link)
                    : ngx_http_fastcgi_ng_link_write(st->link,
                                                     st->connection.log))
        == NGX_ERROR)
    {
        st->deaf = 1;
        ngx_http_fastcgi_ng_stream_wake_read(st);
    }

    return NGX_OK;
}
