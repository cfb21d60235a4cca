/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directives: every fastcgi_X of nginx as fastcgi_ng_X with the same
 * meaning, and our own.  docs/nginx.md describes them.
 */


#include "ngx_http_fastcgi_ng_module.h"


static char *ngx_http_fastcgi_ng_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_pass(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_file_filter(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_fastcgi_ng_split_path_info(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_fastcgi_ng_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_stderr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_set_size(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_set_num(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_set_bits(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_param(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_script_check(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_fastcgi_ng_header_max_check(ngx_conf_t *cf, void *post,
    void *data);


/* words of a pool that are not ours to heed */
#define NGX_HTTP_FASTCGI_NG_BALANCERS                                         \
    (1u << FCNG_WORD_MAX_FAILS | 1u << FCNG_WORD_FAIL_TIMEOUT)


static ngx_conf_post_t  ngx_http_fastcgi_ng_script_post =
    { ngx_http_fastcgi_ng_script_check };

static ngx_conf_post_t  ngx_http_fastcgi_ng_header_max_post =
    { ngx_http_fastcgi_ng_header_max_check };


static ngx_conf_bitmask_t  ngx_http_fastcgi_ng_next_upstream_masks[] = {
    { ngx_string("error"), NGX_HTTP_UPSTREAM_FT_ERROR },
    { ngx_string("timeout"), NGX_HTTP_UPSTREAM_FT_TIMEOUT },
    { ngx_string("invalid_header"), NGX_HTTP_UPSTREAM_FT_INVALID_HEADER },
    { ngx_string("non_idempotent"), NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT },
    { ngx_string("http_500"), NGX_HTTP_UPSTREAM_FT_HTTP_500 },
    { ngx_string("http_503"), NGX_HTTP_UPSTREAM_FT_HTTP_503 },
    { ngx_string("http_403"), NGX_HTTP_UPSTREAM_FT_HTTP_403 },
    { ngx_string("http_404"), NGX_HTTP_UPSTREAM_FT_HTTP_404 },
    { ngx_string("http_429"), NGX_HTTP_UPSTREAM_FT_HTTP_429 },
    { ngx_string("updating"), NGX_HTTP_UPSTREAM_FT_UPDATING },
    { ngx_string("off"), NGX_HTTP_UPSTREAM_FT_OFF },
    { ngx_null_string, 0 }
};


/* in http, server and location */

#define ngx_http_fastcgi_ng_command(name, args, set, field, post)             \
    { ngx_string("fastcgi_ng_" name),                                         \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|args,            \
      set,                                                                    \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_fastcgi_ng_loc_conf_t, field),                        \
      post }

#define ngx_http_fastcgi_ng_special(name, args, set)                          \
    { ngx_string("fastcgi_ng_" name),                                         \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|args,            \
      set,                                                                    \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      0,                                                                      \
      NULL }

#define NGX_HTTP_FASTCGI_NG_ELSEWHERE                                         \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_SIF_CONF|NGX_HTTP_UPS_CONF)

#define ngx_http_fastcgi_ng_flag(name, field)                                 \
    ngx_http_fastcgi_ng_command(name, NGX_CONF_FLAG, ngx_conf_set_flag_slot,  \
                                field, NULL)

#define ngx_http_fastcgi_ng_msec(name, field)                                 \
    ngx_http_fastcgi_ng_command(name, NGX_CONF_TAKE1,                         \
                                ngx_http_fastcgi_ng_set_msec, field, NULL)

#define ngx_http_fastcgi_ng_size(name, field)                                 \
    ngx_http_fastcgi_ng_command(name, NGX_CONF_TAKE1,                         \
                                ngx_http_fastcgi_ng_set_size, field, NULL)

#define ngx_http_fastcgi_ng_num(name, field)                                  \
    ngx_http_fastcgi_ng_command(name, NGX_CONF_TAKE1,                         \
                                ngx_http_fastcgi_ng_set_num, field, NULL)

#define ngx_http_fastcgi_ng_bits(name, field, masks)                          \
    ngx_http_fastcgi_ng_command(name, NGX_CONF_1MORE,                         \
                                ngx_http_fastcgi_ng_set_bits, field, masks)


ngx_command_t  ngx_http_fastcgi_ng_commands[] = {

    /* NGX_CONF_ANY: what nginx says of a wrong number helps nobody */

    /* what is a location's, is taken elsewhere to say so */

    { ngx_string("fastcgi_ng_pass"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF
          |NGX_HTTP_FASTCGI_NG_ELSEWHERE|NGX_CONF_ANY,
      ngx_http_fastcgi_ng_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fastcgi_ng_file_filter"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_CONF_ANY,
      ngx_http_fastcgi_ng_file_filter,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("fastcgi_ng_status"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_FASTCGI_NG_ELSEWHERE
          |NGX_CONF_NOARGS,
      ngx_http_fastcgi_ng_status,
      0,
      0,
      NULL },

    /* what the script is */

    ngx_http_fastcgi_ng_command("index", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, index, NULL),
    ngx_http_fastcgi_ng_special("split_path_info", NGX_CONF_TAKE1,
        ngx_http_fastcgi_ng_split_path_info),
    ngx_http_fastcgi_ng_command("script", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, script, &ngx_http_fastcgi_ng_script_post),
    ngx_http_fastcgi_ng_flag("mount", mount),
    ngx_http_fastcgi_ng_flag("check_script", check_script),

    /* what is sent */

    ngx_http_fastcgi_ng_command("param", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_param, params_source, NULL),
    ngx_http_fastcgi_ng_flag("default_params", default_params),
    ngx_http_fastcgi_ng_flag("pass_request_headers",
        upstream.pass_request_headers),
    ngx_http_fastcgi_ng_flag("pass_request_body", upstream.pass_request_body),
    ngx_http_fastcgi_ng_flag("request_buffering", upstream.request_buffering),

    /* the role Authorizer */

    ngx_http_fastcgi_ng_special("authorizer", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_authorizer),
    ngx_http_fastcgi_ng_command("authorizer_param", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_param, authorizer_params, NULL),
    ngx_http_fastcgi_ng_msec("authorizer_connect_timeout",
        authorizer_connect_timeout),
    ngx_http_fastcgi_ng_msec("authorizer_send_timeout",
        authorizer_send_timeout),
    ngx_http_fastcgi_ng_msec("authorizer_read_timeout",
        authorizer_read_timeout),
    ngx_http_fastcgi_ng_size("authorizer_buffer_size",
        authorizer_buffer_size),
    ngx_http_fastcgi_ng_flag("authorizer_intercept_errors",
        authorizer_intercept_errors),
    ngx_http_fastcgi_ng_flag("authorizer_stdin", authorizer_stdin),

    /* responses through the role Filter */

    { ngx_string("fastcgi_ng_output_filter"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF
          |NGX_CONF_ANY,
      ngx_http_fastcgi_ng_output_filter,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_http_fastcgi_ng_command("output_filter_types", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_set_output_types, output_types_keys, NULL),
    ngx_http_fastcgi_ng_special("output_filter_max_size", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_set_output_max),
    ngx_http_fastcgi_ng_special("output_filter_on_error", NGX_CONF_ANY,
        ngx_http_fastcgi_ng_set_output_on_error),

    /* connections */

    { ngx_string("fastcgi_ng_pool"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_UPS_CONF
          |NGX_CONF_ANY,
      ngx_http_fastcgi_ng_pool,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_http_fastcgi_ng_flag("keep_conn", keep_conn),
    ngx_http_fastcgi_ng_command("bind", NGX_CONF_TAKE12,
        ngx_http_upstream_bind_set_slot, upstream.local, NULL),
    ngx_http_fastcgi_ng_flag("socket_keepalive", upstream.socket_keepalive),
    ngx_http_fastcgi_ng_msec("connect_timeout", upstream.connect_timeout),
    ngx_http_fastcgi_ng_msec("send_timeout", upstream.send_timeout),
    ngx_http_fastcgi_ng_msec("read_timeout", upstream.read_timeout),
    ngx_http_fastcgi_ng_msec("request_timeout", request_timeout),
    ngx_http_fastcgi_ng_size("send_lowat", upstream.send_lowat),
    ngx_http_fastcgi_ng_flag("ignore_client_abort",
        upstream.ignore_client_abort),

    /* the response */

    ngx_http_fastcgi_ng_flag("buffering", upstream.buffering),
    ngx_http_fastcgi_ng_size("buffer_size", upstream.buffer_size),
    ngx_http_fastcgi_ng_command("header_max_size", NGX_CONF_TAKE1,
        ngx_http_fastcgi_ng_set_size, header_max_size,
        &ngx_http_fastcgi_ng_header_max_post),
    ngx_http_fastcgi_ng_command("buffers", NGX_CONF_TAKE2,
        ngx_conf_set_bufs_slot, upstream.bufs, NULL),
    ngx_http_fastcgi_ng_size("busy_buffers_size",
        upstream.busy_buffers_size_conf),
    ngx_http_fastcgi_ng_command("temp_path", NGX_CONF_TAKE1234,
        ngx_conf_set_path_slot, upstream.temp_path, NULL),
    ngx_http_fastcgi_ng_size("max_temp_file_size",
        upstream.max_temp_file_size_conf),
    ngx_http_fastcgi_ng_size("temp_file_write_size",
        upstream.temp_file_write_size_conf),
#if (nginx_version >= 1027000)
    ngx_http_fastcgi_ng_command("limit_rate", NGX_CONF_TAKE1,
        ngx_http_set_complex_value_size_slot, upstream.limit_rate, NULL),
#else
    ngx_http_fastcgi_ng_size("limit_rate", upstream.limit_rate),
#endif
    ngx_http_fastcgi_ng_flag("force_ranges", upstream.force_ranges),
    ngx_http_fastcgi_ng_flag("intercept_errors", upstream.intercept_errors),
    ngx_http_fastcgi_ng_command("pass_header", NGX_CONF_TAKE1,
        ngx_conf_set_str_array_slot, upstream.pass_headers, NULL),
    ngx_http_fastcgi_ng_command("hide_header", NGX_CONF_TAKE1,
        ngx_conf_set_str_array_slot, upstream.hide_headers, NULL),
    ngx_http_fastcgi_ng_bits("ignore_headers", upstream.ignore_headers,
        &ngx_http_upstream_ignore_headers_masks),
    ngx_http_fastcgi_ng_special("stderr", NGX_CONF_TAKE12,
        ngx_http_fastcgi_ng_stderr),
    ngx_http_fastcgi_ng_command("catch_stderr", NGX_CONF_TAKE1,
        ngx_conf_set_str_array_slot, catch_stderr, NULL),

    /* another server */

    ngx_http_fastcgi_ng_bits("next_upstream", upstream.next_upstream,
        &ngx_http_fastcgi_ng_next_upstream_masks),
    ngx_http_fastcgi_ng_num("next_upstream_tries",
        upstream.next_upstream_tries),
    ngx_http_fastcgi_ng_msec("next_upstream_timeout",
        upstream.next_upstream_timeout),

    /* files */

    ngx_http_fastcgi_ng_special("store", NGX_CONF_TAKE1,
        ngx_http_fastcgi_ng_store),
    ngx_http_fastcgi_ng_command("store_access", NGX_CONF_TAKE123,
        ngx_conf_set_access_slot, upstream.store_access, NULL),

#if (NGX_HTTP_CACHE)

    ngx_http_fastcgi_ng_special("cache", NGX_CONF_TAKE1,
        ngx_http_fastcgi_ng_cache),
    ngx_http_fastcgi_ng_special("cache_key", NGX_CONF_TAKE1,
        ngx_http_fastcgi_ng_cache_key),

    { ngx_string("fastcgi_ng_cache_path"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_http_file_cache_set_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_fastcgi_ng_main_conf_t, caches),
      &ngx_http_fastcgi_ng_module },

    ngx_http_fastcgi_ng_command("cache_bypass", NGX_CONF_1MORE,
        ngx_http_set_predicate_slot, upstream.cache_bypass, NULL),
    ngx_http_fastcgi_ng_command("no_cache", NGX_CONF_1MORE,
        ngx_http_set_predicate_slot, upstream.no_cache, NULL),
    ngx_http_fastcgi_ng_command("cache_valid", NGX_CONF_1MORE,
        ngx_http_file_cache_valid_set_slot, upstream.cache_valid, NULL),
    ngx_http_fastcgi_ng_num("cache_min_uses", upstream.cache_min_uses),
    ngx_http_fastcgi_ng_command("cache_max_range_offset", NGX_CONF_TAKE1,
        ngx_conf_set_off_slot, upstream.cache_max_range_offset, NULL),
    ngx_http_fastcgi_ng_bits("cache_use_stale", upstream.cache_use_stale,
        &ngx_http_fastcgi_ng_next_upstream_masks),
    ngx_http_fastcgi_ng_bits("cache_methods", upstream.cache_methods,
        &ngx_http_upstream_cache_method_mask),
    ngx_http_fastcgi_ng_flag("cache_lock", upstream.cache_lock),
    ngx_http_fastcgi_ng_msec("cache_lock_timeout",
        upstream.cache_lock_timeout),
    ngx_http_fastcgi_ng_msec("cache_lock_age", upstream.cache_lock_age),
    ngx_http_fastcgi_ng_flag("cache_revalidate", upstream.cache_revalidate),
    ngx_http_fastcgi_ng_flag("cache_background_update",
        upstream.cache_background_update),

#endif

      ngx_null_command
};


static char *
ngx_http_fastcgi_ng_elsewhere(ngx_conf_t *cf, const char *example)
{
    ngx_str_t  *value;

    if (!(cf->cmd_type & NGX_HTTP_FASTCGI_NG_ELSEWHERE)) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" is not allowed here, write it in a location, "
                       "as in \"%s\"", &value[0], example);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_fastcgi_ng_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    if (ngx_http_fastcgi_ng_elsewhere(cf,
                                   "location = /fastcgi { fastcgi_ng_status; }")
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);
    mcf->status = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_fastcgi_ng_status_handler;

    return NGX_CONF_OK;
}


/* The upstream of an address, in a directive of that name. */

ngx_http_upstream_srv_conf_t *
ngx_http_fastcgi_ng_add_upstream(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *address)
{
    ngx_url_t  u;

    if (ngx_strncmp(address->data, "http://", 7) == 0
        || ngx_strncmp(address->data, "https://", 8) == 0
        || ngx_strncmp(address->data, "fcgi://", 7) == 0
        || ngx_strncmp(address->data, "fastcgi://", 10) == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes an address and no URL: "
                           "write it without the scheme, as "
                           "\"127.0.0.1:9000\" or \"unix:/path\", not \"%V\"",
                           name, address);
        return NULL;
    }

    if (address->len && address->data[0] == '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\": the path of a socket is "
                           "written \"unix:%V\"", name, address, address);
        return NULL;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK && u.err) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\": %s, write \"HOST:PORT\", "
                           "\"[IPv6]:PORT\", \"unix:/path\" or the name of an "
                           "upstream", name, address, u.err);
        return NULL;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *address;
    u.no_resolve = 1;

    return ngx_http_upstream_add(cf, &u, 0);
}


static char *
ngx_http_fastcgi_ng_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  n;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_script_compile_t   sc;

    if (ngx_http_fastcgi_ng_elsewhere(cf,
                          "location / { fastcgi_ng_pass 127.0.0.1:9000; }")
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (cf->args->nelts != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_pass\" takes one address, write it "
                           "as \"fastcgi_ng_pass 127.0.0.1:9000;\", "
                           "\"unix:/path\" or the name of an upstream");
        return NGX_CONF_ERROR;
    }

    if (fconf->upstream.upstream && fconf->role == FCNG_FILTER) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_pass %V\": this location has "
                           "\"fastcgi_ng_file_filter\", which answers its "
                           "requests; remove one of them", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (fconf->upstream.upstream || fconf->pass_lengths) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_pass %V\": this location has one "
                           "already, remove one of them, or write both "
                           "addresses in an upstream", &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = ngx_http_fastcgi_ng_handler;

    if (clcf->name.len && clcf->name.data[clcf->name.len - 1] == '/') {
        clcf->auto_redirect = 1;
    }

    n = ngx_http_script_variables_count(&value[1]);

    if (n) {

        ngx_memzero(&sc, sizeof(ngx_http_script_compile_t));

        sc.cf = cf;
        sc.source = &value[1];
        sc.lengths = &fconf->pass_lengths;
        sc.values = &fconf->pass_values;
        sc.variables = n;
        sc.complete_lengths = 1;
        sc.complete_values = 1;

        if (ngx_http_script_compile(&sc) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    fconf->upstream.upstream = ngx_http_fastcgi_ng_add_upstream(cf, &value[0],
                                                                &value[1]);

    return fconf->upstream.upstream ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_fastcgi_ng_file_filter(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                        *value;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    value = cf->args->elts;

    if (cf->args->nelts != 2 || ngx_http_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_file_filter\" takes one address, "
                           "write it as \"fastcgi_ng_file_filter "
                           "127.0.0.1:9003;\", \"unix:/path\" or the name of "
                           "an upstream");
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (fconf->upstream.upstream || fconf->pass_lengths || clcf->handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_file_filter %V\": another directive "
                           "of this location answers its requests, as "
                           "fastcgi_ng_pass and proxy_pass do; remove one of "
                           "them", &value[1]);
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);
    mcf->file_filters = 1;

    clcf->handler = ngx_http_fastcgi_ng_file_filter_handler;

    fconf->role = FCNG_FILTER;
    fconf->upstream.upstream = ngx_http_fastcgi_ng_add_upstream(cf, &value[0],
                                                                &value[1]);

    return fconf->upstream.upstream ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_fastcgi_ng_split_path_info(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
#if (NGX_PCRE)
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    u_char                errstr[NGX_MAX_CONF_ERRSTR];
    ngx_str_t            *value;
    ngx_regex_compile_t   rc;

    value = cf->args->elts;

    if (fconf->split_regex) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_split_path_info %V\": there is one "
                           "here already, remove one of them", &value[1]);
        return NGX_CONF_ERROR;
    }

    fconf->split_name = value[1];

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = value[1];
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V, write a pattern as \"^(.+\\.php)(/.*)$\"",
                           &rc.err);
        return NGX_CONF_ERROR;
    }

    if (rc.captures != 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pattern \"%V\" must have 2 captures, the script's "
                           "name and the rest, as in \"^(.+\\.php)(/.*)$\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    fconf->split_regex = rc.regex;

    return NGX_CONF_OK;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" requires PCRE library", &cmd->name);
    return NGX_CONF_ERROR;

#endif
}


static char *
ngx_http_fastcgi_ng_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    char                             why[512];
    fcng_str                         word;
    ngx_str_t                       *value;
    ngx_uint_t                       i;
    fcng_pool_options               *options;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    options = &fconf->pool;

    if (cf->cmd_type == NGX_HTTP_UPS_CONF) {
        scf = ngx_http_conf_get_module_srv_conf(cf,
                                                ngx_http_fastcgi_ng_module);
        options = &scf->pool;
    }

    value = cf->args->elts;

    if (cf->args->nelts == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_pool\" takes words, write them as "
                           "\"fastcgi_ng_pool max_connections=32 "
                           "queue_timeout=5s;\"");
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        word.data = (char *) value[i].data;
        word.len = value[i].len;

        if (fcng_pool_options_word(options, word, why, sizeof(why))
            != FCNG_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_pool\": %s", why);
            return NGX_CONF_ERROR;
        }

        /* nginx's balancers count failures themselves */

        if (options->set & NGX_HTTP_FASTCGI_NG_BALANCERS) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_pool %V\": it belongs to a "
                               "server, write \"server ADDRESS %V;\" in "
                               "upstream", &value[i], &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_fastcgi_ng_stderr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    static char  *levels[] = {
        "off", "alert", "crit", "error", "warn", "notice", "info", "debug"
    };
    static ngx_uint_t  values[] = {
        0, NGX_LOG_ALERT, NGX_LOG_CRIT, NGX_LOG_ERR, NGX_LOG_WARN,
        NGX_LOG_NOTICE, NGX_LOG_INFO, NGX_LOG_DEBUG
    };

    size_t       len;
    u_char      *p;
    ngx_int_t    rate;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (fconf->stderr_level != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < 8; i++) {
        if (ngx_strcmp(value[1].data, levels[i]) == 0) {
            fconf->stderr_level = values[i];
        }
    }

    if (fconf->stderr_level == NGX_CONF_UNSET_UINT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_stderr %V\": write off, debug, info, "
                           "notice, warn, error, crit or alert", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    p = value[2].data;
    len = value[2].len;

    if (len > 8 && ngx_strncmp(p, "rate=", 5) == 0
        && ngx_strncmp(p + len - 3, "r/s", 3) == 0)
    {
        rate = ngx_atoi(p + 5, len - 8);

        if (rate >= 0) {
            fconf->stderr_rate = rate;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"fastcgi_ng_stderr %V %V\": a limit is written "
                       "\"rate=100r/s\", \"rate=0r/s\" is none",
                       &value[1], &value[2]);

    return NGX_CONF_ERROR;
}


/* What nginx answers to a wrong value is "invalid value". */

static char *
ngx_http_fastcgi_ng_told(ngx_conf_t *cf, char *rv, char *what)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR
        || ngx_strncmp(rv, "invalid", 7) != 0)
    {
        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" does not take \"%V\", write %s",
                       &value[0], &value[1], what);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_fastcgi_ng_set_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_fastcgi_ng_told(cf, ngx_conf_set_msec_slot(cf, cmd, conf),
                                    "a time, as 30s or 500ms");
}


static char *
ngx_http_fastcgi_ng_set_size(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_fastcgi_ng_told(cf, ngx_conf_set_size_slot(cf, cmd, conf),
                                    "a size, as 16k or 1m");
}


static char *
ngx_http_fastcgi_ng_set_num(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_fastcgi_ng_told(cf, ngx_conf_set_num_slot(cf, cmd, conf),
                                    "a number, as 3");
}


static char *
ngx_http_fastcgi_ng_set_bits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    u_char              *p, list[512];
    ngx_str_t           *value;
    ngx_uint_t           i, m;
    ngx_conf_bitmask_t  *mask;

    value = cf->args->elts;
    mask = cmd->post;

    for (i = 1; i < cf->args->nelts; i++) {

        p = list;

        for (m = 0; mask[m].name.len; m++) {

            if (mask[m].name.len == value[i].len
                && ngx_strcasecmp(mask[m].name.data, value[i].data) == 0)
            {
                break;
            }

            p = ngx_slprintf(p, list + sizeof(list), "%s%V", m ? ", " : "",
                             &mask[m].name);
        }

        if (mask[m].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" does not take \"%V\", write some of "
                               "%*s", &value[0], &value[i], p - list, list);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_conf_set_bitmask_slot(cf, cmd, conf);
}


static char *
ngx_http_fastcgi_ng_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (cf->args->nelts < 3 || cf->args->nelts > 4) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes a name and a value, "
                           "write \"%V NAME \"value\";\", or "
                           "\"%V NAME \"\" if_not_empty;\" to "
                           "remove one", &value[0], &value[0], &value[0]);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 4 && ngx_strcmp(value[3].data, "if_not_empty") != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V ... %V\": write "
                           "\"if_not_empty\" or nothing behind the value, "
                           "and a value with blanks in quotes",
                           &value[0], &value[1], &value[3]);
        return NGX_CONF_ERROR;
    }

    return ngx_http_upstream_param_set_slot(cf, cmd, conf);
}


static char *
ngx_http_fastcgi_ng_script_check(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t  *script = data;

    if (script->len == 0 || script->data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_script %V\": write the whole path "
                           "of the file, as \"/srv/www/index.php\"", script);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_fastcgi_ng_header_max_check(ngx_conf_t *cf, void *post, void *data)
{
    size_t  *size = data;

    if (*size < FCNG_HEAD_SIZE_MIN || *size > FCNG_HEAD_SIZE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_header_max_size\" must be between "
                           "%d and %dm, its default is 64k",
                           FCNG_HEAD_SIZE_MIN, FCNG_HEAD_SIZE_MAX >> 20);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
