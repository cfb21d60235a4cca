/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Authorizer role (Spec 6.3): applications decide whether a request may
 * pass.  What an answer means is the core's; here are the hooks that ask, and
 * what becomes of the variables of a grant.
 *
 * A grant is OK from the access_checker hook, where all hooks must agree, and
 * never one from access_checker_ex, where it would skip "Require".  r->user is
 * not set before fixups: mod_authz_user would take it for somebody who has
 * logged in.
 */
#include "fastcgi_ng.h"

#define DENIAL_MAX (APR_UINT64_C(64) << 20)
#define BUFFER_SIZE 65536

static fcng_str str(const char *s)
{
    fcng_str all = { s, strlen(s) };

    return all;
}

/* ---------------------------------------------------------- the answer --- */

static fcng_field *find_var(const apr_array_header_t *vars, fcng_str name)
{
    int i;

    for (i = 0; vars != NULL && i < vars->nelts; i++) {
        fcng_field *var = &APR_ARRAY_IDX(vars, i, fcng_field);

        if (fcng_authz_meet(var->name, name)) {
            return var;
        }
    }
    return NULL;
}

static int add_var(fastcgi_ng_task_t *task, const fcng_field *var)
{
    apr_array_header_t *vars = task->question->answer->vars;

    if (find_var(vars, var->name) != NULL) {
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_HEAD,
                       "%s: the Authorizer sent two variables that are one, "
                       "\"%s\" is the second", task->backend->address->text,
                       var->name.data);
        task->error = FCNG_ERR_HEAD_SYNTAX;
        return 0;
    }
    APR_ARRAY_PUSH(vars, fcng_field) = *var;
    return 1;
}

static int sort_field(void *data, const char *name, const char *value)
{
    fastcgi_ng_task_t *task = data;
    fcng_field field = { str(name), str(value) };

    switch (fcng_authz_field(field.name, &field.name)) {
    case FCNG_AUTHZ_VARIABLE:
        return add_var(task, &field);
    case FCNG_AUTHZ_REFUSED:
        fastcgi_ng_log(task, APLOG_WARNING, FCNG_MSG_HEAD,
                       "%s: the Authorizer may not set \"%s\", which is "
                       "ignored", task->backend->address->text,
                       field.name.data);
        return 1;
    case FCNG_AUTHZ_HEADER:
        break;
    }
    APR_ARRAY_PUSH(task->question->answer->fields, fcng_field) = field;
    return 1;
}

/* RFC 3875 section 6.2.2 means Responders. */
static int status_of(const fcng_head *head)
{
    return head->kind == FCNG_HEAD_LOCAL_REDIRECT && !head->status_given
           ? HTTP_MOVED_TEMPORARILY : (int)head->status;
}

int fastcgi_ng_answer_head(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    fastcgi_ng_answer_t *answer = task->question->answer;
    apr_int64_t memory = answer->conf->buffer_size;
    int status = status_of(&task->head);

    answer->fields = apr_array_make(r->pool, 8, sizeof(fcng_field));
    answer->vars = apr_array_make(r->pool, 8, sizeof(fcng_field));
    task->reply = FASTCGI_NG_REPLY_DISCARD;
    apr_table_do(sort_field, task, task->fields, NULL);
    if (task->error != FCNG_OK) {
        return task->error;
    }
    if (!ap_is_HTTP_VALID_RESPONSE(status)) {
        return FCNG_ERR_HEAD_STATUS; /* httpd cannot send it */
    }
    answer->status = status;
    answer->length = task->head.content_length;
    if (fcng_authz_verdict(&task->head, FCNG_OK) == FCNG_AUTHZ_DENIED
        && !r->header_only && status != HTTP_NO_CONTENT
        && status != HTTP_NOT_MODIFIED) {
        task->reply = FASTCGI_NG_REPLY_KEEP;
        fastcgi_ng_spool_init(&answer->body, r,
                              memory < 0 ? BUFFER_SIZE : (apr_uint64_t)memory);
    }
    return FCNG_OK;
}

void fastcgi_ng_answer_body(fastcgi_ng_task_t *task, const char *data,
                            apr_size_t len)
{
    fastcgi_ng_answer_t *answer = task->question->answer;
    apr_status_t rv;

    if (answer->body.length + len > DENIAL_MAX) {
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_BODY_LENGTH,
                       "%s: the Authorizer denied with more than 64 MiB",
                       task->backend->address->text);
        task->status = HTTP_BAD_GATEWAY;
        return;
    }
    rv = fastcgi_ng_spool_add(&answer->body, data, len);
    if (rv != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, task->r,
                      "%s: the Authorizer's denial cannot be kept in a "
                      "temporary file", fcng_msg_tag(FCNG_MSG_REQUEST));
        task->status = HTTP_INTERNAL_SERVER_ERROR;
    }
}

static const char *status_line(const fastcgi_ng_task_t *task, int status)
{
    apr_pool_t *p = task->r->pool;
    const char *reason = task->reason != NULL ? strchr(task->reason, ' ')
                                              : NULL;

    return reason != NULL && reason[1] != '\0'
           ? apr_psprintf(p, "%03d%s", status, reason)
           : ap_get_status_line_ex(p, status);
}

/* Only the core's verdict counts, and only on an answer that came to its
   end. */
static void conclude(fastcgi_ng_task_t *task)
{
    fastcgi_ng_question_t *q = task->question;
    fastcgi_ng_answer_t *answer = q->answer;
    int error = task->ended && task->status == OK && !task->client_gone
                ? task->error : FCNG_ERR_CLOSED;

    answer->verdict = fcng_authz_verdict(&task->head, error);
    if (task->client_gone) {
        task->r->connection->aborted = 1;
        task->r->connection->keepalive = AP_CONN_CLOSE;
        answer->status = FASTCGI_NG_CLIENT_GONE;
    }
    else if (answer->verdict == FCNG_AUTHZ_DENIED) {
        answer->status_line = status_line(task, answer->status);
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, task->r,
                      "%s: denied with status %d", q->directive,
                      answer->status);
    }
    else if (answer->verdict == FCNG_AUTHZ_FAILED) {
        if (task->error != FCNG_OK) {
            fastcgi_ng_log_failure(task);
        }
        answer->status = fastcgi_ng_task_status(task, &answer->busy);
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, task->r,
                      "%s: %s gave no answer that counts: the request is "
                      "denied with %d", fcng_msg_tag(FCNG_MSG_REQUEST),
                      q->directive, answer->status);
    }
}

/* What is configured for Authorizers, in the place of what is for others. */
static const fastcgi_ng_dir_conf_t *conf_of(request_rec *r)
{
    fastcgi_ng_dir_conf_t *conf
        = apr_pmemdup(r->pool, fastcgi_ng_dir_conf(r), sizeof(*conf));
    const fastcgi_ng_auth_conf_t *auth = &conf->auth;

    conf->default_params = 1;
    conf->script = NULL;
    conf->params = auth->params;
    conf->skip = auth->skip | fcng_authz_skip();
#define PREFER(member)                                                        \
    conf->member = auth->member != -1 ? auth->member : conf->member
    PREFER(connect_timeout);
    PREFER(send_timeout);
    PREFER(read_timeout);
#undef PREFER
    return conf;
}

fastcgi_ng_answer_t *fastcgi_ng_ask(request_rec *r, const char *pool,
                                    fastcgi_ng_question_t *q)
{
    const fastcgi_ng_app_t *app = fastcgi_ng_find_app(r->server, pool);
    fastcgi_ng_answer_t *answer = apr_pcalloc(r->pool, sizeof(*answer));
    fastcgi_ng_task_t *task;
    int rc;

    q->answer = answer;
    answer->conf = &fastcgi_ng_dir_conf(r)->auth;
    answer->status = HTTP_INTERNAL_SERVER_ERROR;
    if (app == NULL || app->backends == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: %s: there is no pool \"%s\"",
                      fcng_msg_tag(FCNG_MSG_REQUEST), q->directive, pool);
        return answer;
    }
    task = fastcgi_ng_task_create(r, conf_of(r), app);
    task->question = q;
    task->body.eos = true; /* the body is left to whoever serves the request */
    task->body.fin = true;
    rc = fastcgi_ng_env_build(task);
    if (rc != OK) {
        answer->status = rc;
        return answer;
    }
    fastcgi_ng_task_run(task);
    fastcgi_ng_task_end(task);
    conclude(task);
    return answer;
}

/* ----------------------------------------------------------- variables --- */

static void set_vars(request_rec *r, const apr_array_header_t *vars)
{
    int i;

    for (i = 0; vars != NULL && i < vars->nelts; i++) {
        const fcng_field *var = &APR_ARRAY_IDX(vars, i, fcng_field);

        /* A table keeps the case of the name that was there before. */
        apr_table_unset(r->subprocess_env, var->name.data);
        apr_table_setn(r->subprocess_env, var->name.data, var->value.data);
    }
}

static void keep_vars(request_rec *r, fastcgi_ng_request_t *known,
                      const apr_array_header_t *vars)
{
    int i;

    if (known->vars == NULL) {
        known->vars = apr_array_make(r->pool, 8, sizeof(fcng_field));
    }
    for (i = 0; i < vars->nelts; i++) {
        const fcng_field *var = &APR_ARRAY_IDX(vars, i, fcng_field);
        fcng_field *old = find_var(known->vars, var->name);

        if (old == NULL) {
            old = apr_array_push(known->vars);
        }
        *old = *var;
    }
}

void fastcgi_ng_grant(request_rec *r, const fastcgi_ng_answer_t *answer)
{
    fastcgi_ng_request_t *known = fastcgi_ng_request_get(r);

    keep_vars(r, known, answer->vars);
    set_vars(r, known->vars);
}

/* What only an Authorizer may set, SetEnvIf may have made of the client's
   words. */
static void unset_vars(request_rec *r, const fastcgi_ng_auth_conf_t *conf)
{
    int i;

    for (i = 0; conf->unset != NULL && i < conf->unset->nelts; i++) {
        apr_table_unset(r->subprocess_env,
                        APR_ARRAY_IDX(conf->unset, i, const char *));
    }
}

const char *fastcgi_ng_auth_var(request_rec *r, const char *name)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);
    const fcng_field *var
        = known != NULL ? find_var(known->vars, str(name)) : NULL;

    return var != NULL ? var->value.data : NULL;
}

/* What was granted to the request that became this one, or that it is part
   of: an internal redirect renames its variables. */
static void inherit_vars(request_rec *r)
{
    request_rec *from = r->prev != NULL ? r->prev : r->main;
    const fastcgi_ng_request_t *before
        = from != NULL ? fastcgi_ng_request_find(from) : NULL;
    fastcgi_ng_request_t *known;

    if (before == NULL || before->vars == NULL
        || (before->denial != NULL && !before->denial->required)) {
        return;
    }
    known = fastcgi_ng_request_get(r);
    if (known->vars == NULL) {
        keep_vars(r, known, before->vars);
    }
}

/* --------------------------------------------------------------- hooks --- */

static int authorize(request_rec *r, const fastcgi_ng_auth_conf_t *conf)
{
    fastcgi_ng_request_t *known = fastcgi_ng_request_get(r);
    int i;

    inherit_vars(r);
    unset_vars(r, conf);
    for (i = 0; i < conf->pools->nelts; i++) {
        const char *pool = APR_ARRAY_IDX(conf->pools, i, const char *);
        fastcgi_ng_question_t q = { NULL, NULL, NULL };
        fastcgi_ng_answer_t *answer;

        q.directive = apr_pstrcat(r->pool, "FastCgiNgAuthorizer ", pool,
                                  NULL);
        answer = fastcgi_ng_ask(r, pool, &q);
        if (answer->verdict != FCNG_AUTHZ_GRANTED) {
            known->vars = NULL;
            return fastcgi_ng_deny(r, answer);
        }
        fastcgi_ng_grant(r, answer);
    }
    known->authorized = true;
    return OK;
}

static int access_checker(request_rec *r)
{
    const fastcgi_ng_auth_conf_t *conf = &fastcgi_ng_dir_conf(r)->auth;

    if (conf->pools == NULL || conf->late) {
        return DECLINED;
    }
    return authorize(r, conf);
}

/* What httpd takes for a reason to skip the access hooks, and asking in them
   did grant. */
static bool inherits(request_rec *r)
{
    request_rec *from = r->prev != NULL ? r->prev : r->main;
    const fastcgi_ng_request_t *before
        = from != NULL ? fastcgi_ng_request_find(from) : NULL;

    return before != NULL && before->authorized
           && from->per_dir_config == r->per_dir_config;
}

/* ErrorDocument of a request that may not pass: whoever cannot log in yet
   must be told so.  httpd does not ask its own modules either. */
static bool is_error_page(request_rec *r)
{
    return r->prev != NULL && r->prev->status != HTTP_OK
           && r->prev->per_dir_config == r->per_dir_config;
}

/*
 * Before mod_rewrite, whose redirects would answer a request that may not
 * pass.  phase=authz asks here.  So does FastCgiNgAuthorizerInternal ask where
 * httpd has skipped the access hooks.
 */
static int fixups_first(request_rec *r)
{
    const fastcgi_ng_auth_conf_t *conf = &fastcgi_ng_dir_conf(r)->auth;
    fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);
    fastcgi_ng_answer_t *denial = known != NULL ? known->denial : NULL;

    if (denial != NULL && !denial->required) {
        /* "Satisfy Any": somebody else has granted.  A login page or a
           failure is no vote that could be lost. */
        return denial->verdict == FCNG_AUTHZ_DENIED
               && (denial->status == HTTP_UNAUTHORIZED
                   || denial->status == HTTP_FORBIDDEN)
               ? DECLINED : fastcgi_ng_deny(r, denial);
    }
    if (conf->pools == NULL || (known != NULL && known->authorized)) {
        return DECLINED;
    }
    if (conf->again == 1
        || (conf->late && !inherits(r) && !is_error_page(r))) {
        return authorize(r, conf);
    }
    unset_vars(r, conf);
    if (inherits(r)) {
        fastcgi_ng_request_get(r)->authorized = true;
    }
    return DECLINED;
}

/* SetEnv has spoken meanwhile, or the request is another one. */
static int fixups(request_rec *r)
{
    const char *user;
    const fastcgi_ng_request_t *known;

    inherit_vars(r);
    known = fastcgi_ng_request_find(r);
    if (known == NULL || known->vars == NULL) {
        return DECLINED;
    }
    set_vars(r, known->vars);
    user = fastcgi_ng_auth_var(r, "REMOTE_USER");
    if (user != NULL && fastcgi_ng_dir_conf(r)->auth.user == 1) {
        const char *type = fastcgi_ng_auth_var(r, "AUTH_TYPE");

        r->user = apr_pstrdup(r->pool, user);
        if (type != NULL) {
            r->ap_auth_type = apr_pstrdup(r->pool, type);
        }
    }
    return DECLINED;
}

/* mod_dir has put an index in the request's place: of two values of a
   variable the index' own comes first. */
static int fixups_last(request_rec *r)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);
    int i;

    for (i = 0; known != NULL && known->vars != NULL
                && i < known->vars->nelts; i++) {
        const char *name = APR_ARRAY_IDX(known->vars, i,
                                         fcng_field).name.data;
        const char *value = apr_table_get(r->subprocess_env, name);

        if (value != NULL) {
            apr_table_setn(r->subprocess_env, name, value);
        }
    }
    return DECLINED;
}

void fastcgi_ng_authorizer_hooks(apr_pool_t *p)
{
    static const char *const after_env[] = { "mod_env.c", NULL };
    static const char *const after_dir[] = { "mod_dir.c", NULL };

    ap_hook_check_access(access_checker, NULL, NULL, APR_HOOK_MIDDLE,
                         AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(fixups_first, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(fixups, after_env, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(fixups_last, after_dir, NULL, APR_HOOK_REALLY_LAST);
}
