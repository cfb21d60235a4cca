/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module's record, its variables, a worker's beginning and end.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_int_t ngx_http_fastcgi_ng_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_fastcgi_ng_init_process(ngx_cycle_t *cycle);
static void ngx_http_fastcgi_ng_exit_process(ngx_cycle_t *cycle);

static ngx_int_t ngx_http_fastcgi_ng_path_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_fastcgi_ng_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_fastcgi_ng_log_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


enum {
    NGX_HTTP_FASTCGI_NG_SCRIPT_NAME = 0,
    NGX_HTTP_FASTCGI_NG_PATH_INFO
};

enum {
    NGX_HTTP_FASTCGI_NG_QUEUE_TIME = 0,
    NGX_HTTP_FASTCGI_NG_CONNECT_TIME,
    NGX_HTTP_FASTCGI_NG_FIRST_BYTE_TIME
};

enum {
    NGX_HTTP_FASTCGI_NG_APP_STATUS = 0,
    NGX_HTTP_FASTCGI_NG_REUSED,
    NGX_HTTP_FASTCGI_NG_STREAM_ID,
    NGX_HTTP_FASTCGI_NG_POOL
};


static ngx_http_module_t  ngx_http_fastcgi_ng_module_ctx = {
    ngx_http_fastcgi_ng_preconfiguration,  /* preconfiguration */
    ngx_http_fastcgi_ng_postconfiguration, /* postconfiguration */

    ngx_http_fastcgi_ng_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_fastcgi_ng_create_srv_conf,   /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_fastcgi_ng_create_loc_conf,   /* create location configuration */
    ngx_http_fastcgi_ng_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_fastcgi_ng_module = {
    NGX_MODULE_V1,
    &ngx_http_fastcgi_ng_module_ctx,       /* module context */
    ngx_http_fastcgi_ng_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_fastcgi_ng_shared_init,       /* init module */
    ngx_http_fastcgi_ng_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_fastcgi_ng_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_fastcgi_ng_vars[] = {

    { ngx_string("fastcgi_ng_script_name"), NULL,
      ngx_http_fastcgi_ng_path_variable, NGX_HTTP_FASTCGI_NG_SCRIPT_NAME,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_NOHASH, 0 },

    { ngx_string("fastcgi_ng_path_info"), NULL,
      ngx_http_fastcgi_ng_path_variable, NGX_HTTP_FASTCGI_NG_PATH_INFO,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_NOHASH, 0 },

    { ngx_string("fastcgi_ng_queue_time"), NULL,
      ngx_http_fastcgi_ng_time_variable, NGX_HTTP_FASTCGI_NG_QUEUE_TIME,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_connect_time"), NULL,
      ngx_http_fastcgi_ng_time_variable, NGX_HTTP_FASTCGI_NG_CONNECT_TIME,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_first_byte_time"), NULL,
      ngx_http_fastcgi_ng_time_variable, NGX_HTTP_FASTCGI_NG_FIRST_BYTE_TIME,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_app_status"), NULL,
      ngx_http_fastcgi_ng_log_variable, NGX_HTTP_FASTCGI_NG_APP_STATUS,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_reused"), NULL,
      ngx_http_fastcgi_ng_log_variable, NGX_HTTP_FASTCGI_NG_REUSED,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_stream_id"), NULL,
      ngx_http_fastcgi_ng_log_variable, NGX_HTTP_FASTCGI_NG_STREAM_ID,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_pool"), NULL,
      ngx_http_fastcgi_ng_log_variable, NGX_HTTP_FASTCGI_NG_POOL,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("fastcgi_ng_auth_"), NULL,
      ngx_http_fastcgi_ng_auth_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_fastcgi_ng_preconfiguration(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_fastcgi_ng_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_http_fastcgi_ng_shared_join(cycle);
    ngx_http_fastcgi_ng_ahead_init(cycle);

    return ngx_http_fastcgi_ng_streams_init(cycle);
}


static void
ngx_http_fastcgi_ng_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_fastcgi_ng_links_close();
    ngx_http_fastcgi_ng_pools_delete();
    ngx_http_fastcgi_ng_mux_exit();
    ngx_http_fastcgi_ng_shared_leave();
}


ngx_http_fastcgi_ng_ctx_t *
ngx_http_fastcgi_ng_get_ctx(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_fastcgi_ng_ctx_t));
        if (ctx == NULL) {
            return NULL;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_fastcgi_ng_module);
    }

    return ctx;
}


/* fastcgi_ng_split_path_info */

ngx_int_t
ngx_http_fastcgi_ng_split(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx)
{
#if (NGX_PCRE)
    int                              captures[(1 + 2) * 3];
    ngx_int_t                        n;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
#endif

    if (ctx->split) {
        return NGX_OK;
    }

    ctx->split = 1;
    ctx->script_name = r->uri;

#if (NGX_PCRE)

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (conf->split_regex == NULL) {
        return NGX_OK;
    }

    n = ngx_regex_exec(conf->split_regex, &r->uri, captures, (1 + 2) * 3);

    if (n >= 0) { /* match */
        ctx->script_name.len = captures[3] - captures[2];
        ctx->script_name.data = r->uri.data + captures[2];

        ctx->path_info.len = captures[5] - captures[4];
        ctx->path_info.data = r->uri.data + captures[4];

        return NGX_OK;
    }

    if (n != NGX_REGEX_NO_MATCHED) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      ngx_regex_exec_n " failed: %i on \"%V\" using \"%V\"",
                      n, &r->uri, &conf->split_name);
        return NGX_ERROR;
    }

#endif

    return NGX_OK;
}


/* The script's name, with fastcgi_ng_index. */

ngx_int_t
ngx_http_fastcgi_ng_script_name(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char                          *p;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    ctx = ngx_http_fastcgi_ng_get_ctx(r);

    if (ctx == NULL || ngx_http_fastcgi_ng_split(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    *name = ctx->script_name;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_fastcgi_ng_module);

    if (conf->index.len == 0 || name->len == 0
        || name->data[name->len - 1] != '/')
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, name->len + conf->index.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, name->data, name->len);
    ngx_memcpy(p + name->len, conf->index.data, conf->index.len);

    name->data = p;
    name->len += conf->index.len;

    return NGX_OK;
}


static void
ngx_http_fastcgi_ng_set_value(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    v->len = value->len;
    v->data = value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


static ngx_int_t
ngx_http_fastcgi_ng_path_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                   value;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    if (ngx_http_fastcgi_ng_script_name(r, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (data == NGX_HTTP_FASTCGI_NG_PATH_INFO) {
        ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);
        value = ctx->path_info;
    }

    ngx_http_fastcgi_ng_set_value(v, &value);

    return NGX_OK;
}


/* Of the application that answers, else of the one that filters. */

static ngx_http_fastcgi_ng_ctx_t *
ngx_http_fastcgi_ng_asked_ctx(ngx_http_request_t *r)
{
    ngx_http_fastcgi_ng_ctx_t     *ctx;
    ngx_http_fastcgi_ng_output_t  *output;

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    if (ctx && ctx->queued) {
        return ctx;
    }

    output = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_top_filter_module);

    if (output == NULL || output->request == NULL) {
        return ctx;
    }

    return ngx_http_get_module_ctx(output->request,
                                   ngx_http_fastcgi_ng_module);
}


static ngx_int_t
ngx_http_fastcgi_ng_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                   value;
    ngx_msec_t                  ms;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_fastcgi_ng_asked_ctx(r);

    if (ctx == NULL
        || (data == NGX_HTTP_FASTCGI_NG_QUEUE_TIME && !ctx->queued)
        || (data == NGX_HTTP_FASTCGI_NG_CONNECT_TIME && !ctx->connected)
        || (data == NGX_HTTP_FASTCGI_NG_FIRST_BYTE_TIME && !ctx->answered))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    ms = data == NGX_HTTP_FASTCGI_NG_QUEUE_TIME
         ? ctx->queue_time
         : data == NGX_HTTP_FASTCGI_NG_CONNECT_TIME ? ctx->connect_time
                                                    : ctx->first_byte_time;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T.%03M", (time_t) ms / 1000,
                            ms % 1000)
                - value.data;

    ngx_http_fastcgi_ng_set_value(v, &value);

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_log_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    uint32_t                    n;
    ngx_str_t                   value;
    ngx_http_fastcgi_ng_ctx_t  *ctx;

    ctx = ngx_http_fastcgi_ng_asked_ctx(r);

    if (ctx == NULL || !ctx->queued
        || (data == NGX_HTTP_FASTCGI_NG_APP_STATUS && !ctx->ended)
        || (data == NGX_HTTP_FASTCGI_NG_STREAM_ID && ctx->stream_id == 0))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    if (data == NGX_HTTP_FASTCGI_NG_POOL) {
        value = *ctx->pool_name;

    } else {
        n = data == NGX_HTTP_FASTCGI_NG_APP_STATUS
            ? ctx->app_status
            : data == NGX_HTTP_FASTCGI_NG_REUSED ? ctx->reused
                                                 : ctx->stream_id;

        value.data = ngx_pnalloc(r->pool, NGX_INT32_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%uD", n) - value.data;
    }

    ngx_http_fastcgi_ng_set_value(v, &value);

    return NGX_OK;
}
