/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What httpd knows of a request, as facts for the core, which makes the CGI
 * variables of them.  In this order, nothing twice:
 *   the defaults; HTTP_* of the request's fields; variables of SetEnv,
 *   mod_rewrite, mod_ssl and others; FastCgiNgParam.
 * A name that FastCgiNgParam sets or removes is left out of the others; what
 * is known of a request wins over a variable of the same name.
 *
 * Nothing is looked up by subrequest: PATH_TRANSLATED is the document root
 * and PATH_INFO.
 */
#include "fastcgi_ng.h"

#include "apr_lib.h"
#include "util_script.h"

#include <stdlib.h>

#define FIELDS_ON_STACK 64

/* A pool does not tell a block's old size: it is kept in front of it.  APR's
   blocks lie on multiples of 8, which is all that the core's objects need. */
typedef union block {
    size_t len;
    apr_uint64_t align;
} block;

static void *mem_get(size_t len, void *pool)
{
    block *b = apr_palloc(pool, sizeof(*b) + len);

    b->len = len;
    return b + 1;
}

static void *mem_resize(void *ptr, size_t len, void *pool)
{
    void *fresh = mem_get(len, pool);

    if (ptr != NULL) {
        size_t old = ((block *)ptr - 1)->len;

        memcpy(fresh, ptr, old < len ? old : len);
    }
    return fresh;
}

static void mem_release(void *ptr, void *pool)
{
}

static void set(fcng_env *env, enum fcng_env_var var, const char *value)
{
    if (value != NULL) {
        env->var[var].data = value;
        env->var[var].len = strlen(value);
    }
}

/* The request line's, as applications know it from mod_cgi. */
static const char *request_uri(request_rec *r, const core_dir_config *core)
{
    const char *rule = NULL, *first, *last;

    if (core->cgi_var_rules != NULL) {
        rule = apr_hash_get(core->cgi_var_rules, "REQUEST_URI",
                            APR_HASH_KEY_STRING);
    }
    if ((rule != NULL && strcmp(rule, "current-uri") == 0)
        || r->the_request == NULL) {
        return r->uri;
    }
    first = ap_strchr_c(r->the_request, ' ');
    if (first == NULL) {
        return r->uri;
    }
    while (*first == ' ') {
        first++;
    }
    last = ap_strchr_c(first, ' ');
    return last != NULL ? apr_pstrmemdup(r->pool, first,
                                         (apr_size_t)(last - first)) : first;
}

static void server_facts(fcng_env *env, request_rec *r)
{
    const char *scheme = ap_http_scheme(r);

    set(env, FCNG_ENV_GATEWAY_INTERFACE, "CGI/1.1");
    set(env, FCNG_ENV_SERVER_SOFTWARE, ap_get_server_banner());
    set(env, FCNG_ENV_SERVER_PROTOCOL, r->protocol);
    set(env, FCNG_ENV_SERVER_NAME,
        ap_escape_html(r->pool, ap_get_server_name_for_url(r)));
    set(env, FCNG_ENV_SERVER_ADDR, r->connection->local_ip);
    set(env, FCNG_ENV_SERVER_PORT,
        apr_itoa(r->pool, ap_get_server_port(r)));
    set(env, FCNG_ENV_REQUEST_SCHEME, scheme);
    if (strcmp(scheme, "https") == 0) {
        set(env, FCNG_ENV_HTTPS, "on");
    }
    else {
        /* TLS may end in front of this server: SetEnvIf says so. */
        set(env, FCNG_ENV_HTTPS, apr_table_get(r->subprocess_env, "HTTPS"));
    }
    set(env, FCNG_ENV_DOCUMENT_ROOT, ap_document_root(r));
}

static void client_facts(fcng_env *env, request_rec *r)
{
    set(env, FCNG_ENV_REMOTE_ADDR, r->useragent_ip);
    set(env, FCNG_ENV_REMOTE_PORT,
        apr_itoa(r->pool, r->connection->client_addr->port));
    set(env, FCNG_ENV_REMOTE_HOST,
        ap_get_useragent_host(r, REMOTE_HOST, NULL));
    set(env, FCNG_ENV_REMOTE_USER,
        r->user != NULL ? r->user : fastcgi_ng_auth_var(r, "REMOTE_USER"));
    set(env, FCNG_ENV_AUTH_TYPE,
        r->ap_auth_type != NULL ? r->ap_auth_type
                                : fastcgi_ng_auth_var(r, "AUTH_TYPE"));
}

static void request_facts(fcng_env *env, fastcgi_ng_task_t *task,
                          const core_dir_config *core)
{
    request_rec *r = task->r;
    const char *status = apr_table_get(r->subprocess_env, "REDIRECT_STATUS");

    set(env, FCNG_ENV_REQUEST_METHOD, r->method);
    set(env, FCNG_ENV_REQUEST_URI, request_uri(r, core));
    set(env, FCNG_ENV_DOCUMENT_URI, r->uri);
    set(env, FCNG_ENV_QUERY_STRING, r->args != NULL ? r->args : "");
    if (task->filter == NULL) {
        /* Else its body has been somebody's. */
        set(env, FCNG_ENV_CONTENT_TYPE,
            apr_table_get(r->headers_in, "Content-Type"));
    }
    if (task->body.announced) {
        set(env, FCNG_ENV_CONTENT_LENGTH,
            apr_psprintf(r->pool, "%" APR_UINT64_T_FMT, task->body.length));
    }
    set(env, FCNG_ENV_REDIRECT_STATUS, status != NULL ? status : "200");
}

/* -------------------------------------------- which script, which path --- */

static bool below(const char *path, const char *folder)
{
    apr_size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0
           && (path[len] == '/' || path[len] == '\0' || len == 1);
}

static void mount_paths(fcng_env *env, request_rec *r, const char *mount)
{
    if (!below(r->uri, mount)) {
        mount = "";
    }
    set(env, FCNG_ENV_SCRIPT_NAME, mount);
    set(env, FCNG_ENV_PATH_INFO, r->uri + strlen(mount));
}

static void script_paths(fcng_env *env, request_rec *r, const char *file)
{
    fcng_str root = { ap_document_root(r), strlen(ap_document_root(r)) };

    set(env, FCNG_ENV_SCRIPT_FILENAME, file);
    env->var[FCNG_ENV_SCRIPT_NAME]
        = fcng_env_script_name(root, env->var[FCNG_ENV_SCRIPT_FILENAME]);
    set(env, FCNG_ENV_PATH_INFO, r->uri);
}

/* mod_include may give a subrequest its parent's PATH_INFO: then the address
   does not end in it. */
static void file_paths(fcng_env *env, request_rec *r)
{
    const char *name = r->uri;

    if (r->path_info != NULL && *r->path_info != '\0') {
        int at = ap_find_path_info(r->uri, r->path_info);

        if (at > 0) {
            name = apr_pstrmemdup(r->pool, r->uri, (apr_size_t)at);
        }
        set(env, FCNG_ENV_PATH_INFO, r->path_info);
    }
    set(env, FCNG_ENV_SCRIPT_NAME, name);
    set(env, FCNG_ENV_SCRIPT_FILENAME, r->filename);
}

static bool ends_in_php(const char *path)
{
    apr_size_t len = strlen(path);

    return len >= 4 && ap_cstr_casecmp(path + len - 4, ".php") == 0;
}

/* A file's own rules: it must exist, and PATH_INFO may be refused. */
static int check_file(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    if (r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info != NULL
        && *r->path_info != '\0') {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: AcceptPathInfo off disallows the path after %s",
                      fcng_msg_tag(FCNG_MSG_REQUEST), r->filename);
        return HTTP_NOT_FOUND;
    }
    if (task->conf->check_script && r->finfo.filetype != APR_REG
        && (task->conf->skip & (1u << FCNG_ENV_SCRIPT_FILENAME)) == 0
        && task->conf->default_params && ends_in_php(r->filename)) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "%s: %s does not exist; for an application on another "
                      "machine write FastCgiNgCheckScript off",
                      fcng_msg_tag(FCNG_MSG_REQUEST), r->filename);
        return HTTP_NOT_FOUND;
    }
    return OK;
}

/* for=: the document, its symbolic links followed, must be in a folder. */
static int check_folder(const fastcgi_ng_task_t *task, const char *file)
{
    apr_array_header_t *folders = task->app->folders;
    char *real = folders != NULL ? realpath(file, NULL) : NULL;
    const char *path = real != NULL ? real : file;
    int i, rc = folders == NULL ? OK : HTTP_FORBIDDEN;

    for (i = 0; folders != NULL && i < folders->nelts; i++) {
        if (below(path, APR_ARRAY_IDX(folders, i, const char *))
            && strstr(path, "/../") == NULL) {
            rc = OK;
        }
    }
    if (rc != OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, task->r,
                      "%s: the pool \"%s\" does not serve %s: it is for=%s",
                      fcng_msg_tag(FCNG_MSG_REQUEST), task->app->name, path,
                      apr_array_pstrcat(task->r->pool, folders, ' '));
    }
    free(real);
    return rc;
}

/* The document of a response that is filtered, if there is one here: what
   made the response, it did not come from the application. */
static int filtered_facts(fcng_env *env, fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    if (r->finfo.filetype == APR_REG && r->filename != NULL) {
        file_paths(env, r);
        return check_folder(task, r->filename);
    }
    set(env, FCNG_ENV_SCRIPT_NAME, r->uri);
    return check_folder(task, "no file");
}

static int script_facts(fcng_env *env, fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    int rc;

    if (task->question != NULL) {
        if (r->filename != NULL && r->filename[0] == '/') {
            set(env, FCNG_ENV_SCRIPT_FILENAME, r->filename);
        }
        return OK;
    }
    if (task->filter != NULL) {
        return filtered_facts(env, task);
    }
    if (task->conf->script != NULL) {
        script_paths(env, r, task->conf->script);
        return check_folder(task, task->conf->script);
    }
    if (task->mount != NULL) {
        mount_paths(env, r, task->mount);
        return OK;
    }
    file_paths(env, r);
    rc = check_file(task);
    return rc == OK ? check_folder(task, r->filename) : rc;
}

/* --------------------------------------------------- fields, variables --- */

static bool is_http(const char *name)
{
    return strncmp(name, "HTTP_", 5) == 0;
}

static const fastcgi_ng_param_t *param_of(const fastcgi_ng_dir_conf_t *conf,
                                          const char *name)
{
    int i;

    for (i = 0; conf->params != NULL && i < conf->params->nelts; i++) {
        const fastcgi_ng_param_t *param
            = &APR_ARRAY_IDX(conf->params, i, fastcgi_ng_param_t);

        if (strcmp(param->name, name) == 0) {
            return param;
        }
    }
    return NULL;
}

static void taken_names(fastcgi_ng_task_t *task, fcng_fields_policy *policy)
{
    const apr_array_header_t *params = task->conf->params;
    int i, n = params != NULL ? params->nelts : 0;
    const fcng_str *conditions;
    size_t ncond = task->data != NULL
                   ? fcng_env_not_for_filters(&conditions) : 0;
    fcng_str *taken;

    if (n == 0 && ncond == 0) {
        return;
    }
    taken = apr_palloc(task->r->pool,
                       sizeof(*taken) * ((apr_size_t)n + ncond));
    if (ncond > 0) {
        memcpy(taken, conditions, sizeof(*taken) * ncond);
        policy->ntaken = ncond;
    }
    for (i = 0; i < n; i++) {
        const fastcgi_ng_param_t *param
            = &APR_ARRAY_IDX(params, i, fastcgi_ng_param_t);

        if (is_http(param->name)) {
            taken[policy->ntaken].data = param->name;
            taken[policy->ntaken++].len = param->name_len;
        }
    }
    policy->taken = taken;
}

/* The host of an absolute request target, where there is no Host field for
   httpd to replace by it (RFC 9112 section 3.2.2). */
static const char *target_host(request_rec *r)
{
    const apr_uri_t *uri;

    if (apr_table_get(r->headers_in, "Host") != NULL) {
        return NULL;
    }
    while (r->prev != NULL || r->main != NULL) {
        r = r->prev != NULL ? r->prev : r->main;
    }
    uri = &r->parsed_uri;
    if (uri->hostname == NULL) {
        return NULL;
    }
    return apr_pstrcat(r->pool, ap_strchr_c(uri->hostname, ':') ? "[" : "",
                       uri->hostname,
                       ap_strchr_c(uri->hostname, ':') ? "]" : "",
                       uri->port_str != NULL ? ":" : "", uri->port_str, NULL);
}

static int add_fields(fastcgi_ng_task_t *task, const core_dir_config *core)
{
    const apr_array_header_t *arr = apr_table_elts(task->r->headers_in);
    const apr_table_entry_t *elts = (const apr_table_entry_t *)arr->elts;
    fcng_field on_stack[FIELDS_ON_STACK + 1], *fields = on_stack;
    fcng_fields_policy policy;
    const char *host = target_host(task->r);
    size_t n = 0;
    int i;

    if (arr->nelts > FIELDS_ON_STACK) {
        fields = apr_palloc(task->r->pool,
                            sizeof(*fields) * ((apr_size_t)arr->nelts + 1));
    }
    if (host != NULL) {
        fields[n].name = (fcng_str)FCNG_STR("Host");
        fields[n++].value = (fcng_str){ host, strlen(host) };
    }
    for (i = 0; i < arr->nelts; i++) {
        if (elts[i].key != NULL) {
            fields[n].name = (fcng_str){ elts[i].key, strlen(elts[i].key) };
            fields[n].value = (fcng_str){ elts[i].val, strlen(elts[i].val) };
            n++;
        }
    }
    memset(&policy, 0, sizeof(policy));
    policy.authorization = core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
    taken_names(task, &policy);
    return fcng_env_fields(&task->params, fields, n, &policy);
}

/* The question itself says what the parameter is. */
static bool is_told(const fastcgi_ng_question_t *question, const char *name)
{
    int i;

    for (i = 0; question->params != NULL && i < question->params->nelts;
         i++) {
        const fcng_field *told = &APR_ARRAY_IDX(question->params, i,
                                                fcng_field);

        if (strcmp(told->name.data, name) == 0) {
            return true;
        }
    }
    return false;
}

/* An Authorizer's variable stands in the place of a configured one. */
static bool is_granted(const fastcgi_ng_task_t *task, const char *name)
{
    return task->question == NULL
           && fastcgi_ng_auth_var(task->r, name) != NULL;
}

/*
 * A variable is sent unless something with a better right has its name.
 * Deviation: HTTP_AUTHORIZATION, which no default sends, may be a variable:
 * "RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]" stands in
 * the .htaccess files of half the world.
 */
static bool variable_goes(const fastcgi_ng_task_t *task, const char *name,
                          const core_dir_config *core)
{
    fcng_str key = { name, strlen(name) };

    if (task->question != NULL
        && (fcng_authz_is_withheld(key) || is_told(task->question, name))) {
        return false;
    }
    if (key.len == 0 || strchr(name, '=') != NULL || fcng_env_find(key) >= 0
        || (param_of(task->conf, name) != NULL && !is_granted(task, name))) {
        return false;
    }
    return !is_http(name)
           || (strcmp(name, "HTTP_AUTHORIZATION") == 0
               && core->cgi_pass_auth != AP_CGI_PASS_AUTH_ON);
}

static int add_pair(fastcgi_ng_task_t *task, const char *name,
                    const char *value)
{
    fcng_str key = { name, strlen(name) }, val = { value, strlen(value) };

    return fcng_params_add(&task->params, key, val);
}

/* A table may hold a name twice: what apr_table_get() answers counts. */
static int add_variables(fastcgi_ng_task_t *task, const core_dir_config *core)
{
    apr_table_t *vars = task->r->subprocess_env;
    const apr_array_header_t *arr = apr_table_elts(vars);
    const apr_table_entry_t *elts = (const apr_table_entry_t *)arr->elts;
    int i, err = FCNG_OK;

    for (i = 0; i < arr->nelts && err == FCNG_OK; i++) {
        if (elts[i].key != NULL && elts[i].val != NULL
            && apr_table_get(vars, elts[i].key) == elts[i].val
            && variable_goes(task, elts[i].key, core)) {
            err = add_pair(task, elts[i].key, elts[i].val);
        }
    }
    return err;
}

/* PHP takes REDIRECT_URL as a sign that PATH_INFO names the script, as it does
   with mod_actions: where the script is a file, PATH_INFO would be lost. */
static bool redirect_url_goes(const fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;

    return task->conf->script == NULL
           && (r->finfo.filetype != APR_REG || r->path_info == NULL
               || *r->path_info == '\0')
           && param_of(task->conf, "REDIRECT_URL") == NULL
           && apr_table_get(r->subprocess_env, "REDIRECT_URL") == NULL;
}

/* What mod_cgi tells a script that answers for another address. */
static int add_redirect(fastcgi_ng_task_t *task)
{
    request_rec *prev = task->r->prev;
    int err = FCNG_OK;

    if (prev == NULL) {
        return FCNG_OK;
    }
    if (redirect_url_goes(task)) {
        err = add_pair(task, "REDIRECT_URL", prev->uri);
    }
    if (err == FCNG_OK && prev->args != NULL
        && param_of(task->conf, "REDIRECT_QUERY_STRING") == NULL
        && apr_table_get(task->r->subprocess_env, "REDIRECT_QUERY_STRING")
           == NULL) {
        err = add_pair(task, "REDIRECT_QUERY_STRING", prev->args);
    }
    return err;
}

static int add_params(fastcgi_ng_task_t *task)
{
    const apr_array_header_t *params = task->conf->params;
    int i, err = FCNG_OK;

    for (i = 0; params != NULL && i < params->nelts && err == FCNG_OK; i++) {
        const fastcgi_ng_param_t *param
            = &APR_ARRAY_IDX(params, i, fastcgi_ng_param_t);
        const char *value = param->value, *why = NULL;

        if (param->expr != NULL) {
            value = ap_expr_str_exec(task->r, param->expr, &why);
            if (why != NULL) {
                ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, task->r,
                              "%s: FastCgiNg%sParam %s cannot be computed: "
                              "%s", fcng_msg_tag(FCNG_MSG_REQUEST),
                              task->question != NULL ? "Authorizer" : "",
                              param->name, why);
                return FCNG_ERR_INVALID;
            }
        }
        if (value != NULL && !is_granted(task, param->name)
            && (task->question == NULL
                || !is_told(task->question, param->name))) {
            err = add_pair(task, param->name, value);
        }
    }
    return err;
}

static int add_question(fastcgi_ng_task_t *task)
{
    const apr_array_header_t *params
        = task->question != NULL ? task->question->params : NULL;
    int i, err = FCNG_OK;

    for (i = 0; params != NULL && i < params->nelts && err == FCNG_OK; i++) {
        const fcng_field *told = &APR_ARRAY_IDX(params, i, fcng_field);

        err = fcng_params_add(&task->params, told->name, told->value);
    }
    return err;
}

/* Spec: 6.4 */
static int add_data(fastcgi_ng_task_t *task)
{
    apr_pool_t *p = task->r->pool;
    int err;

    if (task->data == NULL) {
        return FCNG_OK;
    }
    err = add_pair(task, "FCGI_DATA_LAST_MOD",
                   apr_psprintf(p, "%" APR_UINT64_T_FMT,
                                fastcgi_ng_data_modified(task->data)));
    if (err == FCNG_OK
        && fastcgi_ng_data_announced(task->data) != FCNG_LENGTH_UNKNOWN) {
        err = add_pair(task, "FCGI_DATA_LENGTH",
                       apr_psprintf(p, "%" APR_UINT64_T_FMT,
                                    fastcgi_ng_data_announced(task->data)));
    }
    return err;
}

static int encode(fastcgi_ng_task_t *task, const fcng_env *env,
                  const core_dir_config *core)
{
    apr_uint32_t skip = task->conf->skip;
    int err = FCNG_OK;

    if (is_granted(task, "REMOTE_USER")) {
        skip &= ~(1u << FCNG_ENV_REMOTE_USER);
    }
    if (is_granted(task, "AUTH_TYPE")) {
        skip &= ~(1u << FCNG_ENV_AUTH_TYPE);
    }
    if (task->conf->default_params) {
        err = fcng_env_encode(&task->params, env, skip);
        if (err == FCNG_OK) {
            err = add_fields(task, core);
        }
        if (err == FCNG_OK) {
            err = add_variables(task, core);
        }
        if (err == FCNG_OK) {
            err = add_redirect(task);
        }
    }
    if (err == FCNG_OK) {
        err = add_data(task);
    }
    if (err == FCNG_OK) {
        err = add_params(task);
    }
    return err == FCNG_OK ? add_question(task) : err;
}

int fastcgi_ng_env_build(fastcgi_ng_task_t *task)
{
    request_rec *r = task->r;
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    fcng_mem *mem = apr_palloc(r->pool, sizeof(*mem));
    fcng_env env;
    int rc, err;

    mem->alloc = mem_get;
    mem->resize = mem_resize;
    mem->release = mem_release;
    mem->ctx = r->pool;
    fcng_params_init(&task->params, mem);
    fcng_params_reserve(&task->params, 1536);
    memset(&env, 0, sizeof(env));
    rc = script_facts(&env, task);
    if (rc != OK) {
        return rc;
    }
    server_facts(&env, r);
    client_facts(&env, r);
    request_facts(&env, task, core);
    err = encode(task, &env, core);
    if (err == FCNG_ERR_INVALID) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (err != FCNG_OK) {
        fastcgi_ng_log(task, APLOG_ERR, fcng_msg_of(err), "%s",
                       fcng_strerror(err));
        return (int)fcng_http_status(err, HTTP_SERVICE_UNAVAILABLE);
    }
    return OK;
}
