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
 * A denial is the application's answer, sent whole in place of the response.
 * Grants and the variables that came with them live as long as the main
 * request's pool, since internal redirects clear the modules' contexts.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The body of a denial. */
#define NGX_HTTP_FASTCGI_NG_DENIAL_MAX  (64 * 1024 * 1024)


typedef struct {
    ngx_str_t                        name;
    ngx_str_t                        value;
} ngx_http_fastcgi_ng_auth_var_t;


/* A grant, to be used again for the same question. */
typedef struct {
    ngx_http_upstream_srv_conf_t    *upstream;
    ngx_str_t                        params;
} ngx_http_fastcgi_ng_grant_t;


struct ngx_http_fastcgi_ng_question_s {
    ngx_http_fastcgi_ng_auth_t      *auth;
    ngx_http_fastcgi_ng_authorizer_t  *authorizer;
    ngx_http_request_t              *request;     /* the subrequest */

    ngx_buf_t                       *params;
    ngx_array_t                      vars;

    enum fcng_authz                  verdict;
    ngx_int_t                        status;      /* of a failure */

    /* the body: memory, then a file */
    ngx_chain_t                     *body;
    ngx_chain_t                    **last;
    ngx_temp_file_t                 *file;
    off_t                            size;

    unsigned                         done:1;
    unsigned                         known:1;     /* granted before */
    unsigned                         broken:1;    /* by its own variables */
    unsigned                         retry_after:1;
};


/* What is known of a main request. */
struct ngx_http_fastcgi_ng_auth_s {
    ngx_uint_t                       index;       /* of the list, being asked */
    ngx_http_fastcgi_ng_question_t  *question;
    ngx_array_t                      grants;
    ngx_array_t                      vars;
};


static ngx_int_t ngx_http_fastcgi_ng_access_handler(ngx_http_request_t *r);
static void ngx_http_fastcgi_ng_ask(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_ask_create_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_ask_reinit_request(ngx_http_request_t *r);
static ngx_int_t ngx_http_fastcgi_ng_ask_process_header(ngx_http_request_t *r);
static void ngx_http_fastcgi_ng_ask_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);
static ngx_int_t ngx_http_fastcgi_ng_asked(ngx_http_request_t *r, void *data,
    ngx_int_t rc);


static ngx_http_get_variable_pt  ngx_http_fastcgi_ng_remote_user;


/* the state of a main request */

static void
ngx_http_fastcgi_ng_auth_cleanup(void *data)
{
    /* marks the record: see auth_find */
}


ngx_http_fastcgi_ng_auth_t *
ngx_http_fastcgi_ng_auth_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t               *cln;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_fastcgi_ng_module);

    if (!mcf->authorizers) {
        return NULL;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_fastcgi_ng_auth_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_http_fastcgi_ng_auth_t *
ngx_http_fastcgi_ng_auth_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_fastcgi_ng_auth_t  *auth;

    auth = ngx_http_fastcgi_ng_auth_find(r);

    if (auth) {
        return auth;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_fastcgi_ng_auth_t));
    if (cln == NULL) {
        return NULL;
    }

    auth = cln->data;
    ngx_memzero(auth, sizeof(ngx_http_fastcgi_ng_auth_t));

    if (ngx_array_init(&auth->grants, r->pool, 2,
                       sizeof(ngx_http_fastcgi_ng_grant_t)) != NGX_OK
        || ngx_array_init(&auth->vars, r->pool, 4,
                          sizeof(ngx_http_fastcgi_ng_auth_var_t)) != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_fastcgi_ng_auth_cleanup;

    return auth;
}


/* the subrequest */

static ngx_int_t
ngx_http_fastcgi_ng_question_create(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_auth_t *auth,
    ngx_http_fastcgi_ng_authorizer_t *authorizer)
{
    void                            **loc_conf;
    ngx_http_request_t               *sr;
    ngx_http_fastcgi_ng_ctx_t        *ctx;
    ngx_http_post_subrequest_t       *ps;
    ngx_http_fastcgi_ng_question_t   *q;

    q = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_question_t));
    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    loc_conf = ngx_palloc(r->pool, sizeof(void *) * ngx_http_max_module);

    if (q == NULL || ps == NULL || loc_conf == NULL
        || ngx_array_init(&q->vars, r->pool, 4,
                          sizeof(ngx_http_fastcgi_ng_auth_var_t)) != NGX_OK)
    {
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

    /* everything of the location's, but ours is the authorizer's */

    ngx_memcpy(loc_conf, sr->loc_conf, sizeof(void *) * ngx_http_max_module);
    loc_conf[ngx_http_fastcgi_ng_module.ctx_index] = authorizer->conf;
    sr->loc_conf = loc_conf;

    /* the body is left to whoever serves the request */

    sr->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));

    ctx = ngx_http_fastcgi_ng_get_ctx(sr);

    if (ctx == NULL || sr->request_body == NULL) {
        return NGX_ERROR;
    }

    /* nothing is run twice by asking twice; REQUEST_METHOD is the client's */

    sr->method = NGX_HTTP_GET;

    sr->write_event_handler = ngx_http_fastcgi_ng_ask;

    ctx->question = q;

    q->auth = auth;
    q->authorizer = authorizer;
    q->request = sr;
    q->last = &q->body;

    auth->question = q;

    return NGX_OK;
}


static ngx_uint_t
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
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_fastcgi_ng_ask_upstream(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_upstream_t             *u;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
    ngx_http_fastcgi_ng_question_t  *q;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);
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

    if (ngx_http_fastcgi_ng_granted_before(q)) {
        q->known = 1;
        q->verdict = FCNG_AUTHZ_GRANTED;
        return NGX_OK;
    }

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

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* In the place of the phases. */

static void
ngx_http_fastcgi_ng_ask(ngx_http_request_t *r)
{
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r, ngx_http_fastcgi_ng_ask_upstream(r));
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
ngx_http_fastcgi_ng_copy(ngx_pool_t *pool, ngx_str_t *to, fcng_str *from)
{
    to->len = from->len;
    to->data = ngx_pnalloc(pool, from->len + 1);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to->data, from->data, from->len);
    to->data[to->len] = '\0';

    return NGX_OK;
}


static ngx_uint_t
ngx_http_fastcgi_ng_meet(ngx_str_t *a, ngx_str_t *b)
{
    fcng_str  x, y;

    x.data = (char *) a->data;
    x.len = a->len;
    y.data = (char *) b->data;
    y.len = b->len;

    return fcng_authz_meet(x, y);
}


static ngx_http_fastcgi_ng_auth_var_t *
ngx_http_fastcgi_ng_auth_var(ngx_array_t *vars, ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_fastcgi_ng_auth_var_t  *var;

    var = vars->elts;

    for (i = 0; i < vars->nelts; i++) {
        if (ngx_http_fastcgi_ng_meet(&var[i].name, name)) {
            return &var[i];
        }
    }

    return NULL;
}


/* Variable-NAME: value */

static ngx_int_t
ngx_http_fastcgi_ng_add_auth_var(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, fcng_str *name, fcng_str *value)
{
    ngx_http_fastcgi_ng_auth_var_t  *var, copy;

    if (ngx_http_fastcgi_ng_copy(r->pool, &copy.name, name) != NGX_OK
        || ngx_http_fastcgi_ng_copy(r->pool, &copy.value, value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_fastcgi_ng_auth_var(&q->vars, &copy.name)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the authorizer \"%V\" sent two variables that are "
                      "one, \"%V\" is the second",
                      fcng_msg_tag(FCNG_MSG_HEAD), &q->authorizer->name,
                      &copy.name);
        q->broken = 1;
        return NGX_OK;
    }

    var = ngx_array_push(&q->vars);
    if (var == NULL) {
        return NGX_ERROR;
    }

    *var = copy;

    return NGX_OK;
}


ngx_int_t
ngx_http_fastcgi_ng_answer_field(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, fcng_field *field)
{
    fcng_str   name;
    ngx_str_t  text;

    switch (fcng_authz_field(field->name, &name)) {

    case FCNG_AUTHZ_VARIABLE:
        return ngx_http_fastcgi_ng_add_auth_var(r, q, &name, &field->value);

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


static ngx_int_t
ngx_http_fastcgi_ng_spool_to_file(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, ngx_chain_t *cl)
{
    ssize_t           n;
    ngx_temp_file_t  *tf;

    tf = q->file;

    if (tf == NULL) {
        tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
        if (tf == NULL) {
            return NGX_ERROR;
        }

        tf->file.fd = NGX_INVALID_FILE;
        tf->file.log = r->connection->log;
        tf->path = r->upstream->conf->temp_path;
        tf->pool = r->pool;
        tf->clean = 1;
        tf->log_level = NGX_LOG_INFO;
        tf->warn = "the authorizer's denial is buffered to a temporary file";

        q->file = tf;
    }

    n = ngx_write_chain_to_temp_file(tf, cl);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    tf->offset += n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_spool(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, u_char *data, size_t len)
{
    ngx_buf_t                       *b, piece;
    ngx_chain_t                     *cl, link;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (q->size + (off_t) len > NGX_HTTP_FASTCGI_NG_DENIAL_MAX) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the authorizer \"%V\" denied with more than 64m",
                      fcng_msg_tag(FCNG_MSG_BODY_LENGTH),
                      &q->authorizer->name);
        return NGX_ERROR;
    }

    q->size += len;

    if (q->file == NULL && q->size > (off_t) conf->authorizer_buffer_size) {

        if (q->body
            && ngx_http_fastcgi_ng_spool_to_file(r, q, q->body) != NGX_OK)
        {
            return NGX_ERROR;
        }

        q->body = NULL;
        q->last = &q->body;
    }

    if (q->size > (off_t) conf->authorizer_buffer_size) {
        ngx_memzero(&piece, sizeof(ngx_buf_t));
        piece.memory = 1;
        piece.pos = data;
        piece.last = data + len;

        link.buf = &piece;
        link.next = NULL;

        return ngx_http_fastcgi_ng_spool_to_file(r, q, &link);
    }

    b = ngx_create_temp_buf(r->pool, len);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, data, len);

    cl->buf = b;
    cl->next = NULL;

    *q->last = cl;
    q->last = &cl->next;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_fastcgi_ng_denial_has_body(ngx_http_request_t *r, fcng_head *head)
{
    return r->main->method != NGX_HTTP_HEAD
           && head->status != NGX_HTTP_NO_CONTENT
           && head->status != NGX_HTTP_NOT_MODIFIED;
}


/*
 * Takes the answer to its end, which the stream tells by ctx->signal:
 * NGX_ERROR, since nginx is to do nothing more with the response.
 */

static ngx_int_t
ngx_http_fastcgi_ng_ask_process_header(ngx_http_request_t *r)
{
    size_t                      len;
    ngx_int_t                   rc;
    ngx_buf_t                  *b;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx->signal) {
        return ctx->signal;
    }

    /* the question was answered, well or not: no other server is asked */

    r->upstream->peer.tries = 0;

    if (!ctx->head.done) {
        rc = ngx_http_fastcgi_ng_parse_head(r, ctx);
        if (rc != NGX_OK) {
            return rc;
        }

        /* RFC 3875 6.2.2 means Responders */

        r->upstream->headers_in.status_n =
            ctx->head.kind == FCNG_HEAD_LOCAL_REDIRECT
            && !ctx->head.status_given ? NGX_HTTP_MOVED_TEMPORARILY
                                       : ctx->head.status;
    }

    b = &r->upstream->buffer;

    len = fcng_head_body(&ctx->head, b->last - b->pos);

    if (len && ngx_http_fastcgi_ng_denial_has_body(r, &ctx->head)
        && fcng_authz_verdict(&ctx->head, FCNG_OK) == FCNG_AUTHZ_DENIED
        && ngx_http_fastcgi_ng_spool(r, ctx->question, b->pos, len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = b->start;

    return NGX_AGAIN;
}


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
                    : ctx->taken || rc < NGX_HTTP_INTERNAL_SERVER_ERROR
                    ? NGX_HTTP_BAD_GATEWAY : rc;
    }
}


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


/* a grant */

static ngx_int_t
ngx_http_fastcgi_ng_grant(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_str_t                        name = ngx_string("REMOTE_USER");
    ngx_uint_t                       i;
    ngx_http_fastcgi_ng_grant_t     *grant;
    ngx_http_fastcgi_ng_auth_var_t  *var, *known;

    if (q->known) {
        return NGX_OK;
    }

    grant = ngx_array_push(&q->auth->grants);
    if (grant == NULL) {
        return NGX_ERROR;
    }

    grant->upstream = q->authorizer->upstream;
    grant->params.data = q->params->start;
    grant->params.len = q->params->last - q->params->start;

    var = q->vars.elts;

    for (i = 0; i < q->vars.nelts; i++) {

        known = ngx_http_fastcgi_ng_auth_var(&q->auth->vars, &var[i].name);

        if (known == NULL) {
            known = ngx_array_push(&q->auth->vars);
            if (known == NULL) {
                return NGX_ERROR;
            }
        }

        *known = var[i];
    }

    known = ngx_http_fastcgi_ng_auth_var(&q->vars, &name);

    if (known) {
        r->headers_in.user = known->value;
    }

    return NGX_OK;
}


/* a denial */

static ngx_int_t
ngx_http_fastcgi_ng_copy_fields(ngx_http_request_t *sr)
{
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_upstream_header_t     *hh;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_get_module_main_conf(sr, ngx_http_upstream_module);

    part = &sr->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_hash_find(&sr->upstream->conf->hide_headers_hash, h[i].hash,
                          h[i].lowcase_key, h[i].key.len))
        {
            continue;
        }

        hh = ngx_hash_find(&umcf->headers_in_hash, h[i].hash, h[i].lowcase_key,
                           h[i].key.len);

        if (hh) {
            if (hh->copy_handler(sr, &h[i], hh->conf) != NGX_OK) {
                return NGX_ERROR;
            }

        } else {
            ngx_table_elt_t  *ho;

            ho = ngx_list_push(&sr->headers_out.headers);
            if (ho == NULL) {
                return NGX_ERROR;
            }

            *ho = h[i];
        }
    }

    return NGX_OK;
}


/* What the modules before us have set, stays set. */

static ngx_int_t
ngx_http_fastcgi_ng_take_headers(ngx_http_request_t *r, ngx_http_request_t *sr)
{
    ngx_uint_t            i;
    ngx_list_part_t       part, *p;
    ngx_table_elt_t      *h, *ho;
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    if (ngx_http_fastcgi_ng_copy_fields(sr) != NGX_OK) {
        return NGX_ERROR;
    }

    sr->headers_out.status = u->headers_in.status_n;
    sr->headers_out.status_line = u->headers_in.status_line;
    sr->headers_out.content_length_n = u->headers_in.content_length_n;

    part = r->headers_out.headers.part;

    r->headers_out = sr->headers_out;

    if (r->headers_out.headers.last == &sr->headers_out.headers.part) {
        r->headers_out.headers.last = &r->headers_out.headers.part;
    }

    for (p = &part; p; p = p->next) {
        h = p->elts;

        for (i = 0; i < p->nelts; i++) {
            ho = ngx_list_push(&r->headers_out.headers);
            if (ho == NULL) {
                return NGX_ERROR;
            }

            *ho = h[i];
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_denial_body(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, out;

    for (cl = q->body; cl && cl->next; cl = cl->next) { /* void */ }

    if (cl == NULL) {
        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }

        if (q->file) {
            b->in_file = 1;
            b->file = &q->file->file;
            b->file_last = q->file->offset;
        }

        out.buf = b;
        out.next = NULL;
        cl = &out;

    } else {
        out = *q->body;
        b = cl->buf;
    }

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    return ngx_http_output_filter(r, &out);
}


/* The whole answer, in the place of the response. */

static ngx_int_t
ngx_http_fastcgi_ng_send_denial(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_fastcgi_ng_take_headers(r, q->request) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r->method != NGX_HTTP_HEAD) {
        r->headers_out.content_length_n = q->size;
    }

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->headers_out.content_length_n = -1;
        r->header_only = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc != NGX_ERROR && rc <= NGX_OK && !r->header_only) {
        rc = ngx_http_fastcgi_ng_denial_body(r, q);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


/* fastcgi_ng_authorizer_intercept_errors: as an upstream's, where there is an
   error_page. */

static ngx_uint_t
ngx_http_fastcgi_ng_denial_intercepted(ngx_http_request_t *r,
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


/* Beside those that are there, not in their place. */

static ngx_int_t
ngx_http_fastcgi_ng_add_challenges(ngx_http_request_t *r,
    ngx_http_request_t *sr)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *ho;

    for (part = &sr->upstream->headers_in.headers.part; part;
         part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != sizeof("WWW-Authenticate") - 1
                || ngx_strncasecmp(h[i].key.data,
                                   (u_char *) "WWW-Authenticate",
                                   h[i].key.len) != 0)
            {
                continue;
            }

            ho = ngx_list_push(&r->headers_out.headers);
            if (ho == NULL) {
                return NGX_ERROR;
            }

            *ho = h[i];
#if (nginx_version >= 1023000)
            ho->next = NULL;
#endif

            if (r->headers_out.www_authenticate == NULL) {
                r->headers_out.www_authenticate = ho;
            }
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_deny(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q)
{
    ngx_int_t                  status;
    ngx_http_core_loc_conf_t  *clcf;

    status = q->request->upstream->headers_in.status_n;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the authorizer \"%V\" denied with status %i",
                  &q->authorizer->name, status);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /*
     * With "satisfy any" a 401 or 403 is a vote.  All others have voted before
     * us, and none has granted: a challenge of theirs outranks us.
     */

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY
        && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN)
        && r->access_code == NGX_HTTP_UNAUTHORIZED)
    {
        if (ngx_http_fastcgi_ng_add_challenges(r, q->request) != NGX_OK) {
            return NGX_ERROR;
        }

        return status;
    }

    if (ngx_http_fastcgi_ng_denial_intercepted(r, q, status)) {
        if (status == NGX_HTTP_UNAUTHORIZED
            && ngx_http_fastcgi_ng_add_challenges(r, q->request) != NGX_OK)
        {
            return NGX_ERROR;
        }

        r->access_code = 0;

        return status;
    }

    return ngx_http_fastcgi_ng_send_denial(r, q);
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

    if (q->retry_after) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        h->hash = 1;
        ngx_str_set(&h->key, "Retry-After");
        ngx_str_set(&h->value, "1");
        h->lowcase_key = (u_char *) "retry-after";
#if (nginx_version >= 1023000)
        h->next = NULL;
#endif
    }

    return q->status;
}


/* the phase */

static ngx_int_t
ngx_http_fastcgi_ng_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_fastcgi_ng_auth_t        *auth;
    ngx_http_fastcgi_ng_loc_conf_t    *conf;
    ngx_http_fastcgi_ng_question_t    *q;
    ngx_http_fastcgi_ng_authorizer_t  *authorizer;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (conf->authorizers == NULL) {
        return NGX_DECLINED;
    }

    auth = ngx_http_fastcgi_ng_auth_get(r);
    if (auth == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    q = auth->question;

    if (q) {
        if (!q->done) {
            return NGX_AGAIN;
        }

        auth->question = NULL;

        if (q->verdict != FCNG_AUTHZ_GRANTED) {
            auth->index = 0;

            rc = q->verdict == FCNG_AUTHZ_DENIED
                 ? ngx_http_fastcgi_ng_deny(r, q)
                 : ngx_http_fastcgi_ng_auth_failed(r, q);

            return rc == NGX_ERROR ? NGX_HTTP_INTERNAL_SERVER_ERROR : rc;
        }

        if (ngx_http_fastcgi_ng_grant(r, q) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        auth->index++;
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


/* what follows is told */

/* The variable number |i| that came with the grants; 0: there is none. */

ngx_uint_t
ngx_http_fastcgi_ng_auth_read(ngx_http_fastcgi_ng_auth_t *auth, ngx_uint_t i,
    fcng_str *name, fcng_str *value)
{
    ngx_http_fastcgi_ng_auth_var_t  *var;

    if (auth == NULL || i >= auth->vars.nelts) {
        return 0;
    }

    var = auth->vars.elts;

    name->data = (char *) var[i].name.data;
    name->len = var[i].name.len;
    value->data = (char *) var[i].value.data;
    value->len = var[i].value.len;

    return 1;
}


/* $fastcgi_ng_auth_NAME */

ngx_int_t
ngx_http_fastcgi_ng_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *full = (ngx_str_t *) data;

    ngx_str_t                        name;
    ngx_http_fastcgi_ng_auth_t      *auth;
    ngx_http_fastcgi_ng_auth_var_t  *var;

    name.data = full->data + sizeof("fastcgi_ng_auth_") - 1;
    name.len = full->len - (sizeof("fastcgi_ng_auth_") - 1);

    auth = ngx_http_fastcgi_ng_auth_find(r);
    var = auth ? ngx_http_fastcgi_ng_auth_var(&auth->vars, &name) : NULL;

    if (var == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = var->value.len;
    v->data = var->value.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* nginx would read the client's Authorization each time. */

static ngx_int_t
ngx_http_fastcgi_ng_user_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                        name = ngx_string("REMOTE_USER");
    ngx_http_fastcgi_ng_auth_t      *auth;
    ngx_http_fastcgi_ng_auth_var_t  *var;

    auth = ngx_http_fastcgi_ng_auth_find(r);
    var = auth ? ngx_http_fastcgi_ng_auth_var(&auth->vars, &name) : NULL;

    if (var == NULL) {
        return ngx_http_fastcgi_ng_remote_user(r, v, data);
    }

    v->len = var->value.len;
    v->data = var->value.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* When everything is read: behind every other module of the phase. */

ngx_int_t
ngx_http_fastcgi_ng_authorizer_init(ngx_conf_t *cf)
{
    ngx_str_t                   name = ngx_string("remote_user");
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *v;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* they run from the last to the first */

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    i = cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers.nelts - 1;
    h = cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers.elts;

    ngx_memmove(&h[1], &h[0], i * sizeof(ngx_http_handler_pt));
    h[0] = ngx_http_fastcgi_ng_access_handler;

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        v = key[i].value;

        if (v->name.len == name.len
            && ngx_strncmp(v->name.data, name.data, name.len) == 0
            && v->get_handler != ngx_http_fastcgi_ng_user_variable)
        {
            ngx_http_fastcgi_ng_remote_user = v->get_handler;
            v->get_handler = ngx_http_fastcgi_ng_user_variable;
        }
    }

    return NGX_OK;
}
