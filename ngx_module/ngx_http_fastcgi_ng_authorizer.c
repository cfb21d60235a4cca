/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Authorizer role (Spec 6.3): an application decides whether a request may
 * pass, in the access phase, after every module that stands before us.
 *
 * The question is a clone subrequest without any phase, filter or output: its
 * upstream ends inside process_header, which takes the whole answer, head and
 * body.  The verdict is the core's, from the parsed head and the way the
 * request ended; whatever nginx does with the subrequest afterwards cannot
 * change it.
 *
 * A denial is the application's answer, sent whole in place of the response
 * (denial.c).  Grants and the variables that came with them (auth_vars.c) live
 * as long as the main request's pool, since internal redirects clear the
 * modules' contexts.
 */


#include "ngx_http_fastcgi_ng_module.h"


static void ngx_http_fastcgi_ng_ask(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_asked(ngx_http_request_t *r, void *data,
    ngx_int_t rc);
static ngx_int_t ngx_http_fastcgi_ng_ask_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_ask_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_ask_process_header(ngx_http_request_t *r);
static void ngx_http_fastcgi_ng_ask_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);


/* the question */

/* Of the location's configuration all but ours, which is |conf|. */

void **
ngx_http_fastcgi_ng_conf_instead(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    void  **loc_conf;

    loc_conf = ngx_palloc(r->pool, sizeof(void *) * ngx_http_max_module);

    if (loc_conf) {
        ngx_memcpy(loc_conf, r->loc_conf, sizeof(void *) * ngx_http_max_module);
        loc_conf[ngx_http_fastcgi_ng_module.ctx_index] = conf;
    }

    return loc_conf;
}


static ngx_int_t
ngx_http_fastcgi_ng_question_start(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_http_request_t          *sr;
    ngx_http_fastcgi_ng_ctx_t   *ctx;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NGX_ERROR;
    }

    ps->handler = ngx_http_fastcgi_ng_asked;
    ps->data = q;

    if (ngx_http_subrequest(r, &r->uri, &r->args, &sr, ps,
                            NGX_HTTP_SUBREQUEST_WAITED
                            |NGX_HTTP_SUBREQUEST_CLONE)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    q->request = sr;

    ctx = ngx_http_fastcgi_ng_get_ctx(sr);

    sr->loc_conf = ngx_http_fastcgi_ng_conf_instead(r, q->authorizer->conf);

    /* the body is left to whoever serves the request */
    sr->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));

    if (ctx == NULL || sr->loc_conf == NULL || sr->request_body == NULL) {
        return NGX_ERROR;
    }

    ctx->question = q;

    /* nothing is run twice by asking twice; REQUEST_METHOD is the client's */
    sr->method = NGX_HTTP_GET;

    /* in the place of the phases */
    sr->write_event_handler = ngx_http_fastcgi_ng_ask;

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_question_create(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_auth_t *auth,
    ngx_http_fastcgi_ng_authorizer_t *authorizer)
{
    ngx_http_fastcgi_ng_question_t  *q;

    q = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_question_t));

    if (q == NULL || ngx_http_fastcgi_ng_vars_init(r, &q->vars) != NGX_OK) {
        return NGX_ERROR;
    }

    q->auth = auth;
    q->authorizer = authorizer;

    ngx_http_fastcgi_ng_spool_init(&q->body,
                   authorizer->conf->upstream.temp_path,
                   authorizer->conf->authorizer_buffer_size,
                   "an authorizer's denial is buffered to a temporary file");

    auth->question = q;

    return ngx_http_fastcgi_ng_question_start(r, q);
}


/* The grant that answers it, when the same was asked before. */

static ngx_http_fastcgi_ng_grant_t *
ngx_http_fastcgi_ng_granted_before(ngx_http_fastcgi_ng_question_t *q)
{
    size_t                        len;
    ngx_uint_t                    i;
    ngx_http_fastcgi_ng_grant_t  *grant;

    grant = q->auth->grants.elts;
    len = q->params->last - q->params->pos;

    for (i = 0; i < q->auth->grants.nelts; i++) {
        if (grant[i].upstream == q->authorizer->upstream
            && grant[i].params.len == len
            && ngx_memcmp(grant[i].params.data, q->params->pos, len) == 0)
        {
            return &grant[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_fastcgi_ng_ask_upstream(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_int_t                        rc;
    ngx_http_upstream_t             *u;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ctx->question->authorizer->conf;

    fcng_head_init(&ctx->head, conf->header_max_size);

    u = r->upstream;

    ngx_str_set(&u->schema, "fastcgi://");
    u->output.tag = (ngx_buf_tag_t) &ngx_http_fastcgi_ng_module;

    u->conf = &conf->upstream;

    u->create_request = ngx_http_fastcgi_ng_ask_create_request;
    u->reinit_request = ngx_http_fastcgi_ng_ask_reinit_request;
    u->process_header = ngx_http_fastcgi_ng_ask_process_header;
    u->abort_request = ngx_http_fastcgi_ng_abort_request;
    u->finalize_request = ngx_http_fastcgi_ng_ask_finalize_request;

    rc = ngx_http_read_client_request_body(r, ngx_http_upstream_init);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static ngx_int_t
ngx_http_fastcgi_ng_ask_unless_known(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_question_t  *q;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    q = ctx->question;

    rc = ngx_http_fastcgi_ng_check(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_upstream_create(r) != NGX_OK
        || ngx_http_fastcgi_ng_encode(r, ctx, &q->params) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    q->known = ngx_http_fastcgi_ng_granted_before(q);

    if (q->known) {
        q->verdict = FCNG_AUTHZ_GRANTED;
        return NGX_OK;
    }

    return ngx_http_fastcgi_ng_ask_upstream(r, ctx);
}


static void
ngx_http_fastcgi_ng_ask(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, ngx_http_fastcgi_ng_ask_unless_known(r));
}


static ngx_int_t
ngx_http_fastcgi_ng_ask_create_request(ngx_http_request_t *r)
{
    ngx_chain_t                *cl;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = ctx->question->params;
    cl->buf->flush = 1;
    cl->next = NULL;

    r->upstream->request_bufs = cl;

    return ngx_http_fastcgi_ng_start_timeout(r, ctx);
}


static ngx_int_t
ngx_http_fastcgi_ng_ask_reinit_request(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_question_t  *q;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    q = ctx->question;

    q->vars.nelts = 0;
    q->broken = 0;

    return ngx_http_fastcgi_ng_reinit_request(r);
}


/* the answer */

static ngx_int_t
ngx_http_fastcgi_ng_copy(ngx_pool_t *pool, fcng_str *to, fcng_str *from)
{
    u_char  *data;

    data = ngx_pnalloc(pool, from->len + 1);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(data, from->data, from->len);
    data[from->len] = '\0';

    to->data = (char *) data;
    to->len = from->len;

    return NGX_OK;
}


/* Variable-NAME: value */

static ngx_int_t
ngx_http_fastcgi_ng_answer_var(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, fcng_str *name, fcng_str *value)
{
    ngx_str_t    text;
    fcng_field  *var;

    if (ngx_http_fastcgi_ng_vars_find(&q->vars, *name)) {
        text.data = (u_char *) name->data;
        text.len = name->len;

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the authorizer \"%V\" sent two variables that are "
                      "one, \"%V\" is the second",
                      fcng_msg_tag(FCNG_MSG_HEAD), &q->authorizer->name,
                      &text);
        q->broken = 1;
        return NGX_OK;
    }

    var = ngx_array_push(&q->vars);

    if (var == NULL
        || ngx_http_fastcgi_ng_copy(r->pool, &var->name, name) != NGX_OK
        || ngx_http_fastcgi_ng_copy(r->pool, &var->value, value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* NGX_DECLINED: a field like any other */

ngx_int_t
ngx_http_fastcgi_ng_answer_field(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, fcng_field *field)
{
    fcng_str   name;
    ngx_str_t  text;

    switch (fcng_authz_field(field->name, &name)) {

    case FCNG_AUTHZ_VARIABLE:
        return ngx_http_fastcgi_ng_answer_var(r, q, &name, &field->value);

    case FCNG_AUTHZ_REFUSED:
        text.data = (u_char *) name.data;
        text.len = name.len;

        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "%s: the authorizer \"%V\" may not set \"%V\", which is "
                      "ignored", fcng_msg_tag(FCNG_MSG_HEAD),
                      &q->authorizer->name, &text);
        return NGX_OK;

    default:
        return NGX_DECLINED;
    }
}


static ngx_uint_t
ngx_http_fastcgi_ng_denial_has_body(ngx_http_request_t *r, fcng_head *head)
{
    return r->main->method != NGX_HTTP_HEAD
           && head->status != NGX_HTTP_NO_CONTENT
           && head->status != NGX_HTTP_NOT_MODIFIED;
}


static ngx_int_t
ngx_http_fastcgi_ng_answer_head(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    ngx_int_t   rc;
    fcng_head  *head;

    rc = ngx_http_fastcgi_ng_parse_head(r, ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    head = &ctx->head;

    /* RFC 3875 6.2.2 means Responders */

    r->upstream->headers_in.status_n =
        head->kind == FCNG_HEAD_LOCAL_REDIRECT && !head->status_given
        ? NGX_HTTP_MOVED_TEMPORARILY : head->status;

    return NGX_OK;
}


/* The body of a denial; that of a grant is nobody's. */

static ngx_int_t
ngx_http_fastcgi_ng_answer_body(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    size_t      len;
    ngx_buf_t  *b;

    b = &r->upstream->buffer;

    len = fcng_head_body(&ctx->head, b->last - b->pos);

    if (len && ngx_http_fastcgi_ng_denial_has_body(r, &ctx->head)
        && fcng_authz_verdict(&ctx->head, FCNG_OK) == FCNG_AUTHZ_DENIED
        && ngx_http_fastcgi_ng_denial_keep(r, ctx->question, b->pos, len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = b->start;

    /* read_timeout is between two pieces; nginx set it for the head only */
    ngx_add_timer(r->upstream->peer.connection->read,
                  r->upstream->conf->read_timeout);

    return NGX_AGAIN;
}


/*
 * Takes the answer to its end, which the stream tells by ctx->signal:
 * NGX_ERROR, since nginx is to do nothing more with the response.
 */

static ngx_int_t
ngx_http_fastcgi_ng_ask_process_header(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx->signal) {
        return ctx->signal;
    }

    /* the question was answered, well or not: no other server is asked */

    r->upstream->peer.tries = 0;

    if (!ctx->head.done) {
        rc = ngx_http_fastcgi_ng_answer_head(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_fastcgi_ng_answer_body(r, ctx);
}


/* the verdict */

static int
ngx_http_fastcgi_ng_answer_error(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    if (ctx->question->broken) {
        return FCNG_ERR_HEAD_SYNTAX;
    }

    if (fcng_authz_verdict(&ctx->head, FCNG_OK) != FCNG_AUTHZ_DENIED) {
        return FCNG_OK;
    }

    return fcng_head_finish(&ctx->head,
                            !ngx_http_fastcgi_ng_denial_has_body(r,
                                                                &ctx->head));
}


static void
ngx_http_fastcgi_ng_ask_finalize_request(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_question_t  *q;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
    q = ctx->question;

    ngx_http_fastcgi_ng_finalize_request(r, rc);

    /* only the stream's own end counts, not what nginx made of it */

    if (ctx->whole) {
        q->verdict = fcng_authz_verdict(&ctx->head,
                                      ngx_http_fastcgi_ng_answer_error(r, ctx));
    }

    if (q->verdict == FCNG_AUTHZ_FAILED) {
        q->retry_after = ctx->refused;
        q->status = ctx->refused ? NGX_HTTP_SERVICE_UNAVAILABLE
                    : ctx->taken || q->broken
                      || rc < NGX_HTTP_INTERNAL_SERVER_ERROR
                    ? NGX_HTTP_BAD_GATEWAY : rc;
    }
}


/* The subrequest has ended; nginx is to make no response of it. */

static ngx_int_t
ngx_http_fastcgi_ng_asked(ngx_http_request_t *r, void *data, ngx_int_t rc)
{
    ngx_http_fastcgi_ng_question_t  *q = data;

    q->done = 1;

    if (q->verdict == FCNG_AUTHZ_FAILED && q->status == 0) {
        q->status = rc >= NGX_HTTP_BAD_REQUEST ? rc
                                               : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->connection->error || rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        return rc;
    }

    return NGX_OK;
}


/* what follows from it */

static ngx_int_t
ngx_http_fastcgi_ng_granted(ngx_http_fastcgi_ng_auth_t *auth,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_http_fastcgi_ng_grant_t  *grant;

    grant = q->known;

    if (grant == NULL) {
        grant = ngx_array_push(&auth->grants);
        if (grant == NULL) {
            return NGX_ERROR;
        }

        grant->upstream = q->authorizer->upstream;
        grant->params.data = q->params->start;
        grant->params.len = q->params->last - q->params->start;
        grant->vars = q->vars;
    }

    if (ngx_http_fastcgi_ng_vars_set(&auth->now, &grant->vars) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_fastcgi_ng_vars_set(&auth->vars, &grant->vars);
}


/* fastcgi_ng_authorizer_intercept_errors: as an upstream's, where there is an
   error_page. */

static ngx_uint_t
ngx_http_fastcgi_ng_intercepted(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, ngx_int_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!q->authorizer->conf->authorizer_intercept_errors
        || status < NGX_HTTP_SPECIAL_RESPONSE || clcf->error_pages == NULL)
    {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == status) {
            return 1;
        }
    }

    return 0;
}


/*
 * With "satisfy any" a 401 or 403 is a vote.  All others have voted before us,
 * and none has granted: a challenge of theirs outranks us.
 */

static ngx_uint_t
ngx_http_fastcgi_ng_outranked(ngx_http_request_t *r, ngx_int_t status)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    return clcf->satisfy == NGX_HTTP_SATISFY_ANY
           && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN)
           && r->access_code == NGX_HTTP_UNAUTHORIZED;
}


static ngx_int_t
ngx_http_fastcgi_ng_denied(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_int_t   status;
    ngx_uint_t  outranked;

    status = q->request->upstream->headers_in.status_n;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the authorizer \"%V\" denied with status %i",
                  &q->authorizer->name, status);

    outranked = ngx_http_fastcgi_ng_outranked(r, status);

    if (!outranked && !ngx_http_fastcgi_ng_intercepted(r, q, status)) {
        return ngx_http_fastcgi_ng_denial_send(r, q);
    }

    if ((outranked || status == NGX_HTTP_UNAUTHORIZED)
        && ngx_http_fastcgi_ng_add_challenges(r, q->request) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!outranked) {
        /* or, with "satisfy any", it would be an earlier module's */
        r->access_code = 0;
    }

    return status;
}


static ngx_int_t
ngx_http_fastcgi_ng_auth_failed(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_table_elt_t  *h;

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "%s: the authorizer \"%V\" gave no answer that counts: the "
                  "request is denied with %i", fcng_msg_tag(FCNG_MSG_REQUEST),
                  &q->authorizer->name, q->status);

    if (!q->retry_after) {
        return q->status;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
    ngx_str_set(&h->key, "Retry-After");
    ngx_str_set(&h->value, "1");
    h->lowcase_key = (u_char *) "retry-after";
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return q->status;
}


/* the phase */

/* NGX_OK: it was granted, the next one's turn. */

static ngx_int_t
ngx_http_fastcgi_ng_answered_question(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_auth_t *auth)
{
    ngx_http_fastcgi_ng_question_t  *q;

    q = auth->question;
    auth->question = NULL;

    switch (q->verdict) {

    case FCNG_AUTHZ_GRANTED:
        if (ngx_http_fastcgi_ng_granted(auth, q) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        auth->index++;
        return NGX_OK;

    case FCNG_AUTHZ_DENIED:
        auth->index = 0;
        return ngx_http_fastcgi_ng_denied(r, q);

    default: /* FCNG_AUTHZ_FAILED */
        auth->index = 0;
        return ngx_http_fastcgi_ng_auth_failed(r, q);
    }
}


static ngx_int_t
ngx_http_fastcgi_ng_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_fastcgi_ng_auth_t        *auth;
    ngx_http_fastcgi_ng_loc_conf_t    *conf;
    ngx_http_fastcgi_ng_authorizer_t  *authorizer;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (conf->authorizers == NULL) {
        return NGX_DECLINED;
    }

    auth = ngx_http_fastcgi_ng_auth_get(r);
    if (auth == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (auth->question) {
        if (!auth->question->done) {
            return NGX_AGAIN;
        }

        rc = ngx_http_fastcgi_ng_answered_question(r, auth);
        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        auth->now.nelts = 0;
    }

    if (auth->index == conf->authorizers->nelts) {
        auth->index = 0;
        return NGX_OK;
    }

    authorizer = conf->authorizers->elts;

    if (ngx_http_fastcgi_ng_question_create(r, auth, &authorizer[auth->index])
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_AGAIN;
}


/* When everything is read: behind every other module of the phase. */

ngx_int_t
ngx_http_fastcgi_ng_authorizer_init(ngx_conf_t *cf)
{
    size_t                      n;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* they run from the last to the first */

    handlers = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;
    n = handlers->nelts;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;

    ngx_memmove(&h[1], &h[0], n * sizeof(ngx_http_handler_pt));
    h[0] = ngx_http_fastcgi_ng_access_handler;

    ngx_http_fastcgi_ng_replace_user(cmcf);

    return NGX_OK;
}
