/* SPDX-License-Identifier: BSD-2-Clause */
/* What was typed -> the parameters of a request (RFC 3875 section 4.1). */
#include "cli.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static fcng_str str(const char *text)
{
    return (fcng_str){ text, text != NULL ? strlen(text) : 0 };
}

/* The name of the |i|th -P; the value follows behind the '='. */
static fcng_str param_name(const cli_options *o, int i, const char **value)
{
    const char *text = APR_ARRAY_IDX(o->params, i, const char *);
    const char *equals = strchr(text, '=');
    *value = equals + 1;
    return (fcng_str){ text, (size_t)(equals - text) };
}

/* The last -P of a name counts: nothing is sent twice. */
static bool given_later(const cli_options *o, int i, fcng_str name)
{
    const char *value;
    while (++i < o->params->nelts) {
        fcng_str other = param_name(o, i, &value);
        if (other.len == name.len
            && memcmp(other.data, name.data, name.len) == 0) {
            return true;
        }
    }
    return false;
}

static fcng_field header(const cli_options *o, int i)
{
    const char *text = APR_ARRAY_IDX(o->headers, i, const char *);
    const char *colon = strchr(text, ':');
    const char *value = colon + 1 + strspn(colon + 1, " \t");
    return (fcng_field){ { text, (size_t)(colon - text) }, str(value) };
}

static const char *find_header(const cli_options *o, const char *name)
{
    for (int i = 0; i < o->headers->nelts; i++) {
        fcng_field field = header(o, i);
        if (field.name.len == strlen(name)
            && strncasecmp(field.name.data, name, field.name.len) == 0) {
            return field.value.data;
        }
    }
    return NULL;
}

/* --- the default variables --- */

static void set(fcng_env *env, enum fcng_env_var var, const char *value)
{
    env->var[var] = str(value);
}

static void set_about(fcng_env *env, const cli_options *o)
{
    const char *host = find_header(o, "Host");
    set(env, FCNG_ENV_GATEWAY_INTERFACE, "CGI/1.1");
    set(env, FCNG_ENV_SERVER_SOFTWARE, "fcng/" FCNG_VERSION);
    set(env, FCNG_ENV_SERVER_PROTOCOL, "HTTP/1.1");
    set(env, FCNG_ENV_SERVER_NAME, host != NULL ? host : "localhost");
    set(env, FCNG_ENV_SERVER_ADDR, "127.0.0.1");
    set(env, FCNG_ENV_SERVER_PORT, "80");
    set(env, FCNG_ENV_REMOTE_ADDR, "127.0.0.1");
    set(env, FCNG_ENV_REMOTE_PORT, "0");
    set(env, FCNG_ENV_REQUEST_SCHEME, "http");
    set(env, FCNG_ENV_REDIRECT_STATUS, "200"); /* php-cgi insists on it */
}

/* php-fpm and others work in another folder than this process. */
static const char *absolute(const char *path, apr_pool_t *pool)
{
    char *cwd, *merged;
    if (apr_filepath_get(&cwd, 0, pool) == APR_SUCCESS
        && apr_filepath_merge(&merged, cwd, path, 0, pool) == APR_SUCCESS) {
        return merged;
    }
    return path;
}

static const char *without_slash(const char *path, apr_pool_t *pool)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    return apr_pstrmemdup(pool, path, len);
}

static void set_script(fcng_env *env, const cli_options *o, const char *path)
{
    if (o->docroot != NULL) {
        const char *root = without_slash(absolute(o->docroot, o->pool),
                                         o->pool);
        set(env, FCNG_ENV_DOCUMENT_ROOT, root);
        set(env, FCNG_ENV_SCRIPT_FILENAME,
            apr_pstrcat(o->pool, root, path, NULL));
        set(env, FCNG_ENV_SCRIPT_NAME, path);
    } else {
        set(env, FCNG_ENV_SCRIPT_NAME, "");
        set(env, FCNG_ENV_PATH_INFO, path);
    }
    if (o->script != NULL) {
        set(env, FCNG_ENV_SCRIPT_FILENAME, absolute(o->script, o->pool));
        set(env, FCNG_ENV_SCRIPT_NAME, "");
        set(env, FCNG_ENV_PATH_INFO, path);
    }
}

static void set_request(fcng_env *env, const cli_options *o,
                        const cli_source *body)
{
    const char *mark = strchr(o->path, '?');
    const char *path = mark != NULL
                           ? apr_pstrmemdup(o->pool, o->path,
                                            (apr_size_t)(mark - o->path))
                           : o->path;
    const char *query = o->query != NULL ? o->query
                        : mark != NULL   ? mark + 1
                                         : "";
    set(env, FCNG_ENV_REQUEST_METHOD, o->method);
    set(env, FCNG_ENV_REQUEST_URI,
        *query != '\0' ? apr_pstrcat(o->pool, path, "?", query, NULL) : path);
    set(env, FCNG_ENV_DOCUMENT_URI, path);
    set(env, FCNG_ENV_QUERY_STRING, query);
    set_script(env, o, path);
    const char *type = find_header(o, "Content-Type");
    if (body != NULL) {
        set(env, FCNG_ENV_CONTENT_LENGTH,
            apr_psprintf(o->pool, "%" APR_UINT64_T_FMT, body->length));
        type = type != NULL ? type : "application/x-www-form-urlencoded";
    }
    if (type != NULL) {
        set(env, FCNG_ENV_CONTENT_TYPE, type);
    }
}

/* Spec 6.3: an authorizer gets none of what belongs to a response. */
static void remove_for_authorizer(fcng_env *env)
{
    static const fcng_str none = { NULL, 0 };
    env->var[FCNG_ENV_CONTENT_LENGTH] = none;
    env->var[FCNG_ENV_PATH_INFO] = none;
    env->var[FCNG_ENV_PATH_TRANSLATED] = none;
    env->var[FCNG_ENV_SCRIPT_NAME] = none;
}

/* --- all of them --- */

static uint32_t replaced(const cli_options *o)
{
    uint32_t skip = 0;
    const char *value;
    for (int i = 0; i < o->params->nelts; i++) {
        int var = fcng_env_find(param_name(o, i, &value));
        skip |= var >= 0 ? 1u << var : 0;
    }
    return skip;
}

static int add_defaults(fcng_params *params, const cli_options *o,
                        const cli_source *body)
{
    fcng_env env = { { { NULL, 0 } } };
    set_about(&env, o);
    set_request(&env, o, body);
    if (o->role == FCNG_AUTHORIZER) {
        remove_for_authorizer(&env);
    }
    return fcng_env_encode(params, &env, replaced(o));
}

static int add_headers(fcng_params *params, const cli_options *o)
{
    int n = 0;
    const char *value;
    fcng_field *fields = apr_palloc(o->pool, sizeof(*fields)
                                                 * (o->headers->nelts + 1));
    fcng_str *taken = apr_palloc(o->pool, sizeof(*taken)
                                              * (o->params->nelts + 1));
    if (find_header(o, "Host") == NULL) {
        fields[n++] = (fcng_field){ FCNG_STR("Host"), FCNG_STR("localhost") };
    }
    for (int i = 0; i < o->headers->nelts; i++) {
        fields[n++] = header(o, i);
    }
    for (int i = 0; i < o->params->nelts; i++) {
        taken[i] = param_name(o, i, &value);
    }
    fcng_fields_policy policy = { .taken = taken,
                                  .ntaken = (size_t)o->params->nelts,
                                  .authorization = true };
    return fcng_env_fields(params, fields, (size_t)n, &policy);
}

static int add_typed(fcng_params *params, const cli_options *o)
{
    for (int i = 0; i < o->params->nelts; i++) {
        const char *value;
        fcng_str name = param_name(o, i, &value);
        int err = given_later(o, i, name)
                      ? FCNG_OK
                      : fcng_params_add(params, name, str(value));
        if (err != FCNG_OK) {
            return err;
        }
    }
    return FCNG_OK;
}

/* Spec 6.4: what a Filter has to know about its file. */
static int add_data(fcng_params *params, const cli_options *o,
                    const cli_source *data)
{
    apr_finfo_t info;
    static const fcng_str mod = FCNG_STR("FCGI_DATA_LAST_MOD");
    static const fcng_str length = FCNG_STR("FCGI_DATA_LENGTH");
    if (data == NULL) {
        return FCNG_OK;
    }
    if (apr_file_info_get(&info, APR_FINFO_MTIME, data->file) != APR_SUCCESS) {
        info.mtime = 0;
    }
    int err = fcng_params_add(
        params, mod,
        str(apr_psprintf(o->pool, "%" APR_TIME_T_FMT,
                         apr_time_sec(info.mtime))));
    return err != FCNG_OK
               ? err
               : fcng_params_add(params, length,
                                 str(apr_psprintf(o->pool,
                                                  "%" APR_UINT64_T_FMT,
                                                  data->length)));
}

static void show(const fcng_params *params)
{
    fcng_str rest = { params->data, params->len }, name, value;
    while (fcng_params_next(&rest, &name, &value) == FCNG_OK) {
        fprintf(stderr, "> %.*s=%.*s\n", (int)name.len, name.data,
                (int)value.len, value.data);
    }
}

int cli_params(fcng_params *params, const cli_options *o,
               const cli_source *body, const cli_source *data)
{
    int err = add_defaults(params, o, body);
    if (err == FCNG_OK) {
        err = add_headers(params, o);
    }
    if (err == FCNG_OK) {
        err = add_data(params, o, data);
    }
    if (err == FCNG_OK) {
        err = add_typed(params, o);
    }
    if (err != FCNG_OK) {
        cli_error("%s", fcng_strerror(err));
        return err == FCNG_ERR_NOMEM ? CLI_MEMORY : CLI_USAGE;
    }
    if (o->verbose) {
        show(params);
    }
    return CLI_OK;
}
