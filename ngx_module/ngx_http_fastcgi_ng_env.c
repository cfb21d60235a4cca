/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request -> the block of parameters.
 *
 * Three layers, each name sent once: the defaults (CGI/1.1, unless replaced),
 * HTTP_* of the request's fields (unless replaced), fastcgi_ng_param.  What
 * does not depend on the request is encoded when the configuration is read.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define NGX_HTTP_FASTCGI_NG_FIELDS  64


/* Grows once to the size of the largest block; used for every request. */
static fcng_params  ngx_http_fastcgi_ng_block;


#define ngx_http_fastcgi_ng_constant(env, name, text)                         \
    (env)->var[name].data = text;                                             \
    (env)->var[name].len = sizeof(text) - 1


typedef struct {
    u_char  server_port[NGX_OFF_T_LEN];
    u_char  remote_port[NGX_OFF_T_LEN];
    u_char  length[NGX_OFF_T_LEN];
} ngx_http_fastcgi_ng_texts_t;


/* a request's paths */

/* The file of a script's name, by the rules of root and alias. */

static ngx_int_t
ngx_http_fastcgi_ng_map(ngx_http_request_t *r, ngx_http_fastcgi_ng_ctx_t *ctx)
{
    u_char     *last;
    size_t      root;
    ngx_str_t   uri, path;
    ngx_int_t   rc;

    if (ctx->script_filename.data) {
        return NGX_OK;
    }

    uri = r->uri;

    rc = ngx_http_fastcgi_ng_script_name(r, &r->uri);

    last = rc == NGX_OK ? ngx_http_map_uri_to_path(r, &path, &root, 0) : NULL;

    r->uri = uri;

    if (last == NULL) {
        return NGX_ERROR;
    }

    path.len = last - path.data;
    ctx->script_filename = path;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_fastcgi_ng_maps(ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    return !conf->mount && conf->script.len == 0
           && !(conf->params.skip
                & ((uint32_t) 1 << FCNG_ENV_SCRIPT_FILENAME));
}


/*
 * What must be known before the body is read.  One newline in a path was
 * enough for CVE-2019-11043; "/upload.jpg/x.php" makes PHP run the picture,
 * unless somebody looks whether the script exists.
 */

ngx_int_t
ngx_http_fastcgi_ng_check(ngx_http_request_t *r)
{
    u_char                          *p, *last;
    ngx_str_t                       *path;
    ngx_open_file_info_t             of;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    last = r->uri.data + r->uri.len;

    for (p = r->uri.data; p < last; p++) {
        if (*p == '\0' || *p == CR || *p == LF) {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "%s: %s", ngx_http_fastcgi_ng_tag(FCNG_ERR_PATH),
                          fcng_strerror(FCNG_ERR_PATH));
            return NGX_HTTP_BAD_REQUEST;
        }
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (!ngx_http_fastcgi_ng_maps(conf) || !conf->check_script
        || conf->role == FCNG_FILTER)
    {
        return NGX_OK;
    }

    ctx = ngx_http_fastcgi_ng_get_ctx(r);

    if (ctx == NULL || ngx_http_fastcgi_ng_map(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    path = &ctx->script_filename;

    if (path->len < 4
        || ngx_strncasecmp(path->data + path->len - 4, (u_char *) ".php", 4)
           != 0)
    {
        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_memzero(&of, sizeof(ngx_open_file_info_t));

    of.test_only = 1;
    of.valid = clcf->open_file_cache_valid;
    of.min_uses = clcf->open_file_cache_min_uses;
    of.errors = clcf->open_file_cache_errors;
    of.events = clcf->open_file_cache_events;

    if (ngx_http_set_disable_symlinks(r, clcf, path, &of) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_open_cached_file(clcf->open_file_cache, path, &of, r->pool)
        == NGX_OK
        && of.is_file)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, of.err,
                  "%s: no script \"%V\" here, \"fastcgi_ng_check_script off\" "
                  "if the application runs elsewhere",
                  fcng_msg_tag(FCNG_MSG_REQUEST), path);

    return NGX_HTTP_NOT_FOUND;
}


/* facts */

static ngx_inline void
ngx_http_fastcgi_ng_fact(fcng_env *env, enum fcng_env_var var,
    ngx_str_t *value)
{
    env->var[var].data = value->data ? (char *) value->data : "";
    env->var[var].len = value->len;
}


/* ngx_sprintf() takes five times as long, for three numbers a request. */

static ngx_inline void
ngx_http_fastcgi_ng_number(fcng_env *env, enum fcng_env_var var, u_char *buf,
    off_t n)
{
    u_char  *p;

    p = buf + NGX_OFF_T_LEN;

    do {
        *--p = (u_char) (n % 10 + '0');
    } while (n /= 10);

    env->var[var].data = (char *) p;
    env->var[var].len = buf + NGX_OFF_T_LEN - p;
}


/* The address as text; a worker mostly sees the same one again. */

static ngx_int_t
ngx_http_fastcgi_ng_server_addr(ngx_connection_t *c, ngx_str_t *addr)
{
    static u_char          text[NGX_SOCKADDR_STRLEN];
    static size_t          len;
    static socklen_t       socklen;
    static ngx_sockaddr_t  sockaddr;

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (c->local_socklen != socklen
        || ngx_memcmp(c->local_sockaddr, &sockaddr, socklen) != 0)
    {
        socklen = 0;
        len = ngx_sock_ntop(c->local_sockaddr, c->local_socklen, text,
                            NGX_SOCKADDR_STRLEN, 0);

        if (c->local_socklen <= (socklen_t) sizeof(ngx_sockaddr_t)) {
            socklen = c->local_socklen;
            ngx_memcpy(&sockaddr, c->local_sockaddr, socklen);
        }
    }

    addr->data = text;
    addr->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_connection_facts(ngx_http_request_t *r, fcng_env *env,
    ngx_http_fastcgi_ng_texts_t *texts)
{
    ngx_str_t                  addr;
    ngx_connection_t          *c;
    ngx_http_core_srv_conf_t  *cscf;

    c = r->connection;

    ngx_http_fastcgi_ng_constant(env, FCNG_ENV_GATEWAY_INTERFACE, "CGI/1.1");
    ngx_http_fastcgi_ng_constant(env, FCNG_ENV_SERVER_SOFTWARE, NGINX_VER);
    ngx_http_fastcgi_ng_constant(env, FCNG_ENV_REDIRECT_STATUS, "200");

    if (ngx_http_fastcgi_ng_server_addr(c, &addr) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SERVER_ADDR, &addr);
    ngx_http_fastcgi_ng_number(env, FCNG_ENV_SERVER_PORT, texts->server_port,
                               ngx_inet_get_port(c->local_sockaddr));
    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_REMOTE_ADDR, &c->addr_text);
    ngx_http_fastcgi_ng_number(env, FCNG_ENV_REMOTE_PORT, texts->remote_port,
                               ngx_inet_get_port(c->sockaddr));

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    if (cscf->server_name.len) {
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SERVER_NAME,
                                 &cscf->server_name);

    } else if (r->headers_in.server.len) {
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SERVER_NAME,
                                 &r->headers_in.server);

    } else {
        /* RFC 3875 4.1.14 wants one */
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SERVER_NAME, &addr);
    }

    ngx_http_fastcgi_ng_constant(env, FCNG_ENV_REQUEST_SCHEME, "http");

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_http_fastcgi_ng_constant(env, FCNG_ENV_REQUEST_SCHEME, "https");
        ngx_http_fastcgi_ng_constant(env, FCNG_ENV_HTTPS, "on");
    }
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_path_facts(ngx_http_request_t *r, fcng_env *env,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_str_t                         name, rest;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_variable_value_t        *v;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_REQUEST_URI, &r->unparsed_uri);
    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_DOCUMENT_URI, &r->uri);
    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_QUERY_STRING, &r->args);

    if (clcf->root_lengths == NULL) {
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_DOCUMENT_ROOT, &clcf->root);

    } else {
        mcf = ngx_http_get_module_main_conf(r, ngx_http_fastcgi_ng_module);
        v = ngx_http_get_flushed_variable(r, mcf->document_root);

        if (v && !v->not_found) {
            env->var[FCNG_ENV_DOCUMENT_ROOT].data = (char *) v->data;
            env->var[FCNG_ENV_DOCUMENT_ROOT].len = v->len;
        }
    }

    if (conf->mount) {
        name = clcf->name;

        if (name.len && name.data[name.len - 1] == '/') {
            name.len--;
        }

        rest.data = r->uri.data + ngx_min(name.len, r->uri.len);
        rest.len = r->uri.data + r->uri.len - rest.data;

        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SCRIPT_NAME, &name);
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_PATH_INFO, &rest);

        return NGX_OK;
    }

    if (conf->script.len) {
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SCRIPT_FILENAME, &conf->script);
        env->var[FCNG_ENV_SCRIPT_NAME] =
            fcng_env_script_name(env->var[FCNG_ENV_DOCUMENT_ROOT],
                                 env->var[FCNG_ENV_SCRIPT_FILENAME]);
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_PATH_INFO, &r->uri);

        return NGX_OK;
    }

    if (ngx_http_fastcgi_ng_script_name(r, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SCRIPT_NAME, &name);

    if (ctx->path_info.len) {
        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_PATH_INFO, &ctx->path_info);
    }

    if (ngx_http_fastcgi_ng_maps(conf)) {
        if (ngx_http_fastcgi_ng_map(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_fastcgi_ng_fact(env, FCNG_ENV_SCRIPT_FILENAME,
                                 &ctx->script_filename);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_defaults(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_http_fastcgi_ng_loc_conf_t *conf,
    uint32_t skip)
{
    int                          err;
    fcng_env                     env;
    ngx_http_request_t          *main;
    ngx_http_fastcgi_ng_texts_t  texts;

    main = r->main;

    ngx_memzero(&env, sizeof(fcng_env));

    if (ngx_http_fastcgi_ng_connection_facts(r, &env, &texts) != NGX_OK
        || ngx_http_fastcgi_ng_path_facts(r, &env, ctx, conf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_fastcgi_ng_fact(&env, FCNG_ENV_SERVER_PROTOCOL,
                             &main->http_protocol);
    ngx_http_fastcgi_ng_fact(&env, FCNG_ENV_REQUEST_METHOD,
                             r->upstream->method.len ? &r->upstream->method
                                                     : &main->method_name);

    if (r->headers_in.content_type && !conf->of_output) {
        ngx_http_fastcgi_ng_fact(&env, FCNG_ENV_CONTENT_TYPE,
                                 &r->headers_in.content_type->value);
    }

    if (ctx->stdin_length > 0
        || (ctx->stdin_length == 0 && r->headers_in.content_length_n == 0
            && !conf->of_output))
    {
        ngx_http_fastcgi_ng_number(&env, FCNG_ENV_CONTENT_LENGTH, texts.length,
                                   ctx->stdin_length);
    }

    err = fcng_env_encode(&ngx_http_fastcgi_ng_block, &env, skip);

    if (err != FCNG_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the request cannot be sent: %s",
                      ngx_http_fastcgi_ng_tag(err), fcng_strerror(err));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The host of an absolute request target (RFC 9112 section 3.2.2). */

static ngx_uint_t
ngx_http_fastcgi_ng_target_host(ngx_http_request_t *r, fcng_field *field)
{
    u_char  *p, *last;

    r = r->main;

    if (r->host_start == NULL || r->host_end == NULL
        || r->http_version >= NGX_HTTP_VERSION_20)
    {
        return 0;
    }

    p = r->host_end;

    if (*p == ':') {
        last = r->request_line.data + r->request_line.len;

        for (p++; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }
    }

    field->name = (fcng_str) FCNG_STR("Host");
    field->value.data = (char *) r->host_start;
    field->value.len = p - r->host_start;

    return 1;
}


static ngx_int_t
ngx_http_fastcgi_ng_fields(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_params_t *params)
{
    int                        err;
    size_t                     n, max;
    fcng_field                *field, fields[NGX_HTTP_FASTCGI_NG_FIELDS];
    ngx_uint_t                 i, absolute;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    fcng_fields_policy         policy;
    ngx_http_core_srv_conf_t  *cscf;

    field = fields;
    max = 1;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        max += part->nelts;
    }

    if (max > NGX_HTTP_FASTCGI_NG_FIELDS) {
        field = ngx_palloc(r->pool, max * sizeof(fcng_field));
        if (field == NULL) {
            return NGX_ERROR;
        }
    }

    absolute = ngx_http_fastcgi_ng_target_host(r, &field[0]);
    n = absolute;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].hash == 0
                || (absolute && &h[i] == r->headers_in.host))
            {
                continue;
            }

            field[n].name.data = (char *) h[i].key.data;
            field[n].name.len = h[i].key.len;
            field[n].value.data = (char *) h[i].value.data;
            field[n].value.len = h[i].value.len;
            n++;
        }
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    policy.taken = params->taken;
    policy.ntaken = params->ntaken;
    policy.underscores = cscf->underscores_in_headers != 0;
    policy.authorization = true;

    err = fcng_env_fields(&ngx_http_fastcgi_ng_block, field, n, &policy);

    if (err != FCNG_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "%s: the request cannot be sent: %s",
                      ngx_http_fastcgi_ng_tag(err), fcng_strerror(err));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* An authorizer's variable stands in the place of a configured one. */

static ngx_uint_t
ngx_http_fastcgi_ng_is_granted(ngx_array_t *granted, fcng_str *name)
{
    ngx_uint_t   i;
    fcng_field  *var;

    if (granted == NULL) {
        return 0;
    }

    var = granted->elts;

    for (i = 0; i < granted->nelts; i++) {
        if (var[i].name.len == name->len
            && ngx_memcmp(var[i].name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
ngx_http_fastcgi_ng_constants(fcng_str encoded, ngx_array_t *granted)
{
    int       err;
    fcng_str  name, value;

    if (granted == NULL) {
        return fcng_params_append(&ngx_http_fastcgi_ng_block, encoded);
    }

    while (fcng_params_next(&encoded, &name, &value) == FCNG_OK) {

        if (ngx_http_fastcgi_ng_is_granted(granted, &name)) {
            continue;
        }

        err = fcng_params_add(&ngx_http_fastcgi_ng_block, name, value);
        if (err != FCNG_OK) {
            return err;
        }
    }

    return FCNG_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_add_granted(ngx_http_request_t *r, ngx_array_t *granted)
{
    int          err;
    ngx_str_t    text;
    ngx_uint_t   i;
    fcng_field  *var;

    if (granted == NULL) {
        return NGX_OK;
    }

    var = granted->elts;

    for (i = 0; i < granted->nelts; i++) {

        err = fcng_params_add(&ngx_http_fastcgi_ng_block, var[i].name,
                              var[i].value);

        if (err != FCNG_OK) {
            text.data = (u_char *) var[i].name.data;
            text.len = var[i].name.len;

            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "%s: the authorizer's variable \"%V\": %s",
                          ngx_http_fastcgi_ng_tag(err), &text,
                          fcng_strerror(err));
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_configured(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_params_t *params, ngx_array_t *granted)
{
    int                               err;
    fcng_str                          name, value;
    ngx_str_t                         text, *method;
    ngx_uint_t                        i;
    ngx_http_variable_value_t        *v;
    ngx_http_fastcgi_ng_param_t      *param;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_fastcgi_ng_module);

    method = &r->upstream->method;
    param = params->list.elts;

    for (i = 0; i < params->list.nelts; i++) {

        if (param[i].encoded.data) {
            value.data = (char *) param[i].encoded.data;
            value.len = param[i].encoded.len;

            err = ngx_http_fastcgi_ng_constants(value, granted);

        } else {

            name.data = (char *) param[i].name.data;
            name.len = param[i].name.len;

            if (ngx_http_fastcgi_ng_is_granted(granted, &name)) {
                continue;
            }

            if (param[i].value == NULL && method->len
                && param[i].variable == mcf->request_method)
            {
                value.data = (char *) method->data;
                value.len = method->len;

            } else if (param[i].value == NULL) {
                v = ngx_http_get_flushed_variable(r, param[i].variable);
                if (v == NULL) {
                    return NGX_ERROR;
                }

                value.data = (char *) v->data;
                value.len = v->not_found ? 0 : v->len;

            } else {
                if (ngx_http_complex_value(r, param[i].value, &text) != NGX_OK)
                {
                    return NGX_ERROR;
                }

                value.data = (char *) text.data;
                value.len = text.len;
            }

            if (value.len == 0
                && (param[i].if_not_empty
                    || ngx_strncmp(param[i].name.data, "HTTP_", 5) == 0))
            {
                continue;
            }

            err = fcng_params_add(&ngx_http_fastcgi_ng_block, name, value);
        }

        if (err != FCNG_OK) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "%s: \"fastcgi_ng_param %V\": %s",
                          ngx_http_fastcgi_ng_tag(err), &param[i].name,
                          fcng_strerror(err));
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* FCGI_DATA_LAST_MOD and FCGI_DATA_LENGTH (Spec 6.4). */

static ngx_int_t
ngx_http_fastcgi_ng_data_facts(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
    u_char    buf[NGX_OFF_T_LEN];
    fcng_str  value;

    value.data = (char *) buf;
    value.len = ngx_sprintf(buf, "%T", ctx->data_modified) - buf;

    if (fcng_params_add(&ngx_http_fastcgi_ng_block,
                        (fcng_str) FCNG_STR("FCGI_DATA_LAST_MOD"), value)
        != FCNG_OK)
    {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(buf, "%O", ctx->data_length)
                - buf;

    if (fcng_params_add(&ngx_http_fastcgi_ng_block,
                        (fcng_str) FCNG_STR("FCGI_DATA_LENGTH"), value)
        != FCNG_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The whole block, in a buffer of its own. */

ngx_int_t
ngx_http_fastcgi_ng_encode(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_buf_t **b)
{
    ngx_array_t                     *granted;
    ngx_http_fastcgi_ng_params_t    *params;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    granted = ngx_http_fastcgi_ng_auth_vars(r);

#if (NGX_HTTP_CACHE)
    params = r->upstream->cacheable ? &conf->params_cache : &conf->params;
#else
    params = &conf->params;
#endif

    if (ctx->filter) {
        params = &conf->params_filter;
    }

    ngx_http_fastcgi_ng_block.len = 0;

    if (conf->default_params
        && ngx_http_fastcgi_ng_defaults(r, ctx, conf, params->skip) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->upstream.pass_request_headers
        && ngx_http_fastcgi_ng_fields(r, params) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->filter && ngx_http_fastcgi_ng_data_facts(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_fastcgi_ng_configured(r, params, granted) != NGX_OK
        || ngx_http_fastcgi_ng_add_granted(r, granted) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* without a byte to send, nginx would not call send_chain() at all */

    if (ngx_http_fastcgi_ng_block.len == 0
        && fcng_params_append(&ngx_http_fastcgi_ng_block,
               (fcng_str) FCNG_STR("\021\007GATEWAY_INTERFACECGI/1.1"))
           != FCNG_OK)
    {
        return NGX_ERROR;
    }

    *b = ngx_create_temp_buf(r->pool, ngx_http_fastcgi_ng_block.len);
    if (*b == NULL) {
        return NGX_ERROR;
    }

    (*b)->last = ngx_cpymem((*b)->last, ngx_http_fastcgi_ng_block.data,
                            ngx_http_fastcgi_ng_block.len);

    return NGX_OK;
}
