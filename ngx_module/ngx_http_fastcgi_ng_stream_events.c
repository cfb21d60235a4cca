/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the core says of a stream: bytes, lines of STDERR, the end, and what a
 * failure means for the attempt: whether nginx asks again, or another server,
 * or the request is sent once more without nginx's hearing of it.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The first byte of an answer: from now on it is no stale connection. */

void
ngx_http_fastcgi_ng_stream_answered(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->answered) {
        return;
    }

    ctx->answered = 1;
    ctx->first_byte_time = ngx_current_msec - st->started;

    st->request->upstream->peer.cached = 0;

    if (ctx->question && ctx->reused && !st->shared) {
        fcng_authz_kept(&st->pool->authz);
    }

    fcng_pool_first_byte(st->pool->fcng, &st->link->conn,
                         ngx_http_fastcgi_ng_now());
}


static void
ngx_http_fastcgi_ng_stderr_line(ngx_http_fastcgi_ng_stream_t *st,
    fcng_str *line)
{
    ngx_log_t                       *log;
    ngx_str_t                       *pattern;
    ngx_str_t                        text;
    ngx_uint_t                       i;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = st->conf;
    log = st->connection.log;

    text.data = (u_char *) line->data;
    text.len = line->len;

    if (conf->stderr_level
        && fcng_rate_allow(&conf->stderr_limit, ngx_http_fastcgi_ng_now()))
    {
        if (conf->stderr_limit.dropped) {
            ngx_log_error(conf->stderr_level, log, 0,
                          "%s: %uL lines of the application's stderr were "
                          "held back", fcng_msg_tag(FCNG_MSG_STDERR),
                          conf->stderr_limit.dropped);
            conf->stderr_limit.dropped = 0;
        }

        ngx_log_error(conf->stderr_level, log, 0,
                      "%s: STDERR: %V",
                      fcng_msg_tag(FCNG_MSG_STDERR), &text);
    }

    if (conf->catch_stderr == NULL || st->ctx->head.done) {
        return;
    }

    pattern = conf->catch_stderr->elts;

    for (i = 0; i < conf->catch_stderr->nelts; i++) {
        if (pattern[i].len <= text.len
            && ngx_strlcasestrn(text.data, text.data + text.len,
                                pattern[i].data,
                                pattern[i].len - 1))
        {
            st->ctx->signal = NGX_HTTP_UPSTREAM_INVALID_HEADER;
            return;
        }
    }
}


static void
ngx_http_fastcgi_ng_on_stderr(ngx_http_fastcgi_ng_stream_t *st, fcng_str bytes)
{
    fcng_str                    line;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = st->ctx;

    if (ctx->lines == NULL) {
        ctx->lines = ngx_palloc(st->request->pool, sizeof(fcng_lines));
        if (ctx->lines == NULL) {
            return;
        }

        fcng_lines_init(ctx->lines);
    }

    while (fcng_lines_next(ctx->lines, &bytes, &line) == FCNG_OK) {
        ngx_http_fastcgi_ng_stderr_line(st, &line);
    }
}


static void
ngx_http_fastcgi_ng_stderr_end(ngx_http_fastcgi_ng_stream_t *st)
{
    fcng_str  line;

    if (st->ctx->lines && fcng_lines_end(st->ctx->lines, &line) == FCNG_OK) {
        ngx_http_fastcgi_ng_stderr_line(st, &line);
    }
}


/* Whether nginx would ask again after an error, the method put aside. */

static ngx_uint_t
ngx_http_fastcgi_ng_may_next(ngx_http_request_t *r)
{
    ngx_msec_t            timeout;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    timeout = u->conf->next_upstream_timeout;

    return (u->conf->next_upstream & NGX_HTTP_UPSTREAM_FT_ERROR)
           && !r->request_body_no_buffering
           && (timeout == 0
               || ngx_current_msec - u->peer.start_time < timeout);
}


static ngx_uint_t
ngx_http_fastcgi_ng_idempotent(ngx_http_request_t *r)
{
    return (r->method & (NGX_HTTP_POST|NGX_HTTP_LOCK|NGX_HTTP_PATCH)) == 0
           || (r->upstream->conf->next_upstream
               & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT);
}


ngx_uint_t
ngx_http_fastcgi_ng_repeatable(ngx_http_request_t *r)
{
    return ngx_http_fastcgi_ng_may_next(r)
           && ngx_http_fastcgi_ng_idempotent(r);
}


/*
 * OVERLOADED and CANT_MPX_CONN say that nothing was started: whatever the
 * method, it may be asked again.  nginx knows that only as a setting of the
 * location's, which is put back before the next attempt.
 */

static void
ngx_http_fastcgi_ng_not_started(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t        *r;
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    r = st->request;
    u = r->upstream;

    if (ngx_http_fastcgi_ng_idempotent(r)) {
        return;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return;
    }

    *conf = *u->conf;
    conf->next_upstream |= NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT;

    st->ctx->upstream_conf = u->conf;
    u->conf = conf;
}


static void
ngx_http_fastcgi_ng_overloaded(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = st->request;
    u = r->upstream;

    if (st->received) {
        return;
    }

    if (u->peer.tries <= 1 || !ngx_http_fastcgi_ng_may_next(r)) {
        ngx_http_fastcgi_ng_stream_refuse(st, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    ngx_http_fastcgi_ng_not_started(st);
}


/* CANT_MPX_CONN on a link that it shared: on one of its own again, which nginx
   does after a failure of a cached connection. */

static void
ngx_http_fastcgi_ng_cant_share(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->received || !ngx_http_fastcgi_ng_may_next(st->request)) {
        return;
    }

    st->ctx->exclusive = 1;
    st->request->upstream->peer.cached = 1;

    ngx_http_fastcgi_ng_not_started(st);
}


static void
ngx_http_fastcgi_ng_on_end(ngx_http_fastcgi_ng_stream_t *st, fcng_event *ev)
{
    ngx_log_t                   *log;
    ngx_http_fastcgi_ng_ctx_t   *ctx;

    ctx = st->ctx;
    log = st->connection.log;

    ctx->app_status = ev->app_status;
    ctx->ended = 1;

    ngx_http_fastcgi_ng_stderr_end(st);

    st->error = ev->error;
    st->state = ev->error ? NGX_HTTP_FASTCGI_NG_FAILED
                          : NGX_HTTP_FASTCGI_NG_OVER;

    ngx_http_fastcgi_ng_del_timer(st);

    switch (ev->error) {

    case FCNG_OK:
        if (ev->app_status) {
            ngx_log_error(NGX_LOG_INFO, log, 0,
                          "%s: the application ended with status %uD",
                          fcng_msg_tag(FCNG_MSG_APP_STATUS), ev->app_status);
        }

        break;

    case FCNG_ERR_UNKNOWN_ROLE:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "%s: the application does not know the role %s "
                      "asks for", ngx_http_fastcgi_ng_tag(ev->error),
                      st->conf->role == FCNG_AUTHORIZER
                      ? "Authorizer that \"fastcgi_ng_authorizer\""
                      : st->conf->of_output
                      ? "Filter that \"fastcgi_ng_output_filter\""
                      : st->conf->role == FCNG_FILTER
                      ? "Filter that \"fastcgi_ng_file_filter\""
                      : "Responder that \"fastcgi_ng_pass\"");
        ctx->signal = NGX_ERROR;
        break;

    default:
        ngx_log_error(NGX_LOG_ERR, log, 0, "%s: the application refused: %s",
                      ngx_http_fastcgi_ng_tag(ev->error),
                      fcng_strerror(ev->error));

        if (ev->error == FCNG_ERR_OVERLOADED) {
            ngx_http_fastcgi_ng_overloaded(st);

        } else if (ev->error == FCNG_ERR_CANT_MPX && st->shared) {
            ngx_http_fastcgi_ng_cant_share(st);
        }
    }

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
}


/*
 * Closed without a byte: the only server may be on its way out, to be started
 * again.  Once more then, after a pause, if nginx would ask another server.
 * It does so after a failure of a cached connection.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_repeat(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_request_t         *r;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    r = st->request;
    ctx = st->ctx;

    if (!ctx->alone || ctx->repeated || ctx->timed_out
        || !ngx_http_fastcgi_ng_repeatable(r))
    {
        return 0;
    }

    ctx->repeated = 1;
    ctx->pause = 1;
    r->upstream->peer.cached = 1;

    return 1;
}


static void
ngx_http_fastcgi_ng_on_failed(ngx_http_fastcgi_ng_stream_t *st, int err)
{
    char                         hint[256];
    fcng_str                     in;
    ngx_log_t                   *log;
    const char                  *where;
    ngx_http_fastcgi_ng_link_t  *link;

    link = st->link;
    log = st->connection.log;

    ngx_http_fastcgi_ng_stderr_end(st);

    st->error = err;
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;

    if (st->shared && fcng_conn_doubted(link->fcng)) {
        st->ctx->exclusive = 1;
    }

    if (fcng_request_answered(st->fcng)) {
        /* no more than the header of a record perhaps, which is no event */
        ngx_http_fastcgi_ng_stream_answered(st);
    }

    if (st->ctx->reused && st->request->upstream->peer.cached
        && !fcng_request_answered(st->fcng)
        && (err == FCNG_ERR_CLOSED || err == FCNG_ERR_IO))
    {
        st->stale = 1;
        ngx_http_fastcgi_ng_link_was_closed(link);
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%s: the kept connection was closed",
                      fcng_msg_tag(FCNG_MSG_STALE));

    } else if (!fcng_request_answered(st->fcng)
               && (err == FCNG_ERR_CLOSED || err == FCNG_ERR_IO)
               && ngx_http_fastcgi_ng_repeat(st))
    {
        ngx_log_error(NGX_LOG_INFO, log, 0,
                      "%s: %s, before the response: the request is sent again",
                      fcng_msg_tag(FCNG_MSG_STALE), fcng_strerror(err));

    } else {
        in.data = (char *) link->buffer;
        in.len = link->buffer ? link->fed : 0;
        hint[0] = '\0';

        if (err == FCNG_ERR_CLOSED) {
            fcng_hint_closed(hint, sizeof(hint),
                      st->pool->sockaddr.sockaddr.sa_family == AF_UNIX,
                      fcng_request_answered(st->fcng));

        } else {
            fcng_hint_protocol(hint, sizeof(hint), in);
        }

        where = st->ctx->head.done ? "in the response's body"
                : st->received ? "in the response's head"
                : "before the response";

        ngx_log_error(NGX_LOG_ERR, log, 0, "%s: %s, %s%s%s",
                      ngx_http_fastcgi_ng_tag(err), fcng_strerror(err), where,
                      hint[0] ? ": " : "", hint);
    }

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
}


void
ngx_http_fastcgi_ng_on_event(ngx_http_fastcgi_ng_stream_t *st, fcng_event *ev,
    ngx_http_fastcgi_ng_dest_t *dest)
{
    if (ev->type != FCNG_EV_FAILED && ev->request) {
        ngx_http_fastcgi_ng_stream_answered(st);
    }

    switch (ev->type) {

    case FCNG_EV_STDOUT:
        ngx_http_fastcgi_ng_dest_copy(dest, ev->bytes.data, ev->bytes.len);
        st->received += ev->bytes.len;
        break;

    case FCNG_EV_STDERR:
        ngx_http_fastcgi_ng_on_stderr(st, ev->bytes);
        break;

    case FCNG_EV_STDOUT_END:
        st->stdout_end = 1;
        break;

    case FCNG_EV_END:
        ngx_http_fastcgi_ng_on_end(st, ev);
        break;

    case FCNG_EV_FAILED:
        if (st->stdout_end && st->ctx->question == NULL
            && (ev->error == FCNG_ERR_CLOSED || ev->error == FCNG_ERR_IO))
        {
            /* in place of END_REQUEST, but the response is whole */
            st->state = NGX_HTTP_FASTCGI_NG_OVER;
            ngx_http_fastcgi_ng_stream_unlink(st, 0);
            ngx_http_fastcgi_ng_stream_wake_write(st);
            break;
        }

        ngx_http_fastcgi_ng_on_failed(st, ev->error);
        break;

    default:
        break;
    }
}


/* What has come for a stream on a shared link, but for STDOUT. */

void
ngx_http_fastcgi_ng_stream_event(ngx_http_fastcgi_ng_stream_t *st,
    fcng_event *ev)
{
    ngx_http_fastcgi_ng_on_event(st, ev, NULL);
}


/* Its response goes no further. */

void
ngx_http_fastcgi_ng_stream_cancel(ngx_http_fastcgi_ng_stream_t *st, int err)
{
    st->error = err;
    st->state = NGX_HTTP_FASTCGI_NG_FAILED;

    ngx_http_fastcgi_ng_stream_unlink(st, 0);
    ngx_http_fastcgi_ng_stream_wake_write(st);
    ngx_http_fastcgi_ng_stream_wake_read(st);
}
