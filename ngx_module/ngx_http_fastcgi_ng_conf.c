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
static char *ngx_http_fastcgi_ng_split_path_info(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_fastcgi_ng_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#if (NGX_HTTP_CACHE)
static char *ngx_http_fastcgi_ng_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_fastcgi_ng_cache_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#endif
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
static char *ngx_http_fastcgi_ng_file_filter(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_fastcgi_ng_authorizer(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
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


static ngx_str_t  ngx_http_fastcgi_ng_hide_headers[] = {
    ngx_string("Status"),
    ngx_string("X-Accel-Expires"),
    ngx_string("X-Accel-Redirect"),
    ngx_string("X-Accel-Limit-Rate"),
    ngx_string("X-Accel-Buffering"),
    ngx_string("X-Accel-Charset"),
    ngx_null_string
};


#if (NGX_HTTP_CACHE)

/* A cache asks for whole responses, and itself whether they have changed. */

static ngx_keyval_t  ngx_http_fastcgi_ng_cache_headers[] = {
    { ngx_string("HTTP_IF_MODIFIED_SINCE"),
      ngx_string("$upstream_cache_last_modified") },
    { ngx_string("HTTP_IF_UNMODIFIED_SINCE"), ngx_string("") },
    { ngx_string("HTTP_IF_NONE_MATCH"), ngx_string("$upstream_cache_etag") },
    { ngx_string("HTTP_IF_MATCH"), ngx_string("") },
    { ngx_string("HTTP_RANGE"), ngx_string("") },
    { ngx_string("HTTP_IF_RANGE"), ngx_string("") },
    { ngx_null_string, ngx_null_string }
};

#endif


static ngx_path_init_t  ngx_http_fastcgi_ng_temp_path = {
    ngx_string(NGX_HTTP_FASTCGI_TEMP_PATH "_ng"), { 1, 2, 0 }
};


void *
ngx_http_fastcgi_ng_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_fastcgi_ng_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_fastcgi_ng_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&conf->caches, cf->pool, 4, sizeof(void *)) != NGX_OK
        || ngx_array_init(&conf->locations, cf->pool, 4,
                          sizeof(ngx_http_fastcgi_ng_loc_conf_t *)) != NGX_OK)
    {
        return NULL;
    }

    return conf;
}


void *
ngx_http_fastcgi_ng_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_fastcgi_ng_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_fastcgi_ng_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    fcng_pool_options_init(&conf->pool);

    return conf;
}


void *
ngx_http_fastcgi_ng_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_upstream_conf_t        *u;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_fastcgi_ng_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    u = &conf->upstream;

    u->store = NGX_CONF_UNSET;
    u->store_access = NGX_CONF_UNSET_UINT;
    u->next_upstream_tries = NGX_CONF_UNSET_UINT;
    u->buffering = NGX_CONF_UNSET;
    u->request_buffering = NGX_CONF_UNSET;
    u->ignore_client_abort = NGX_CONF_UNSET;
    u->force_ranges = NGX_CONF_UNSET;

    u->local = NGX_CONF_UNSET_PTR;
    u->socket_keepalive = NGX_CONF_UNSET;

    u->connect_timeout = NGX_CONF_UNSET_MSEC;
    u->send_timeout = NGX_CONF_UNSET_MSEC;
    u->read_timeout = NGX_CONF_UNSET_MSEC;
    u->next_upstream_timeout = NGX_CONF_UNSET_MSEC;

    u->send_lowat = NGX_CONF_UNSET_SIZE;
    u->buffer_size = NGX_CONF_UNSET_SIZE;
#if (nginx_version >= 1027000)
    u->limit_rate = NGX_CONF_UNSET_PTR;
#else
    u->limit_rate = NGX_CONF_UNSET_SIZE;
#endif

    u->busy_buffers_size_conf = NGX_CONF_UNSET_SIZE;
    u->max_temp_file_size_conf = NGX_CONF_UNSET_SIZE;
    u->temp_file_write_size_conf = NGX_CONF_UNSET_SIZE;

    u->pass_request_headers = NGX_CONF_UNSET;
    u->pass_request_body = NGX_CONF_UNSET;

#if (NGX_HTTP_CACHE)
    u->cache = NGX_CONF_UNSET;
    u->cache_min_uses = NGX_CONF_UNSET_UINT;
    u->cache_max_range_offset = NGX_CONF_UNSET;
    u->cache_bypass = NGX_CONF_UNSET_PTR;
    u->no_cache = NGX_CONF_UNSET_PTR;
    u->cache_valid = NGX_CONF_UNSET_PTR;
    u->cache_lock = NGX_CONF_UNSET;
    u->cache_lock_timeout = NGX_CONF_UNSET_MSEC;
    u->cache_lock_age = NGX_CONF_UNSET_MSEC;
    u->cache_revalidate = NGX_CONF_UNSET;
    u->cache_background_update = NGX_CONF_UNSET;
#endif

    u->hide_headers = NGX_CONF_UNSET_PTR;
    u->pass_headers = NGX_CONF_UNSET_PTR;

    u->intercept_errors = NGX_CONF_UNSET;

    u->change_buffering = 1;

    /* the request's body goes on after the response's header */
    u->preserve_output = 1;

    ngx_str_set(&u->module, "fastcgi_ng");

    conf->file = cf->conf_file->file.name;
    conf->line = cf->conf_file->line;

    conf->catch_stderr = NGX_CONF_UNSET_PTR;
    conf->header_max_size = NGX_CONF_UNSET_SIZE;
    conf->request_timeout = NGX_CONF_UNSET_MSEC;
    conf->stderr_level = NGX_CONF_UNSET_UINT;
    conf->stderr_rate = NGX_CONF_UNSET_UINT;

    conf->default_params = NGX_CONF_UNSET;
    conf->mount = NGX_CONF_UNSET;
    conf->check_script = NGX_CONF_UNSET;
    conf->keep_conn = NGX_CONF_UNSET;

    fcng_pool_options_init(&conf->pool);

    conf->role = FCNG_RESPONDER;
    conf->authorizers = NGX_CONF_UNSET_PTR;
    conf->authorizer_params = NULL;
    conf->authorizer_connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->authorizer_send_timeout = NGX_CONF_UNSET_MSEC;
    conf->authorizer_read_timeout = NGX_CONF_UNSET_MSEC;
    conf->authorizer_buffer_size = NGX_CONF_UNSET_SIZE;
    conf->authorizer_intercept_errors = NGX_CONF_UNSET;
    conf->authorizer_stdin = NGX_CONF_UNSET;

    ngx_http_fastcgi_ng_init_output(conf);

    return conf;
}


/* merging */

static void
ngx_http_fastcgi_ng_merge_store(ngx_http_upstream_conf_t *conf,
    ngx_http_upstream_conf_t *prev)
{
#if (NGX_HTTP_CACHE)
    if (conf->store > 0) {
        conf->cache = 0;
    }

    if (conf->cache > 0) {
        conf->store = 0;
    }
#endif

    if (conf->store == NGX_CONF_UNSET) {
        ngx_conf_merge_value(conf->store, prev->store, 0);

        conf->store_lengths = prev->store_lengths;
        conf->store_values = prev->store_values;
    }

    ngx_conf_merge_uint_value(conf->store_access, prev->store_access, 0600);
}


static void
ngx_http_fastcgi_ng_merge_upstream(ngx_http_upstream_conf_t *conf,
    ngx_http_upstream_conf_t *prev)
{
    ngx_conf_merge_value(conf->buffering, prev->buffering, 1);
    ngx_conf_merge_value(conf->request_buffering, prev->request_buffering, 1);
    ngx_conf_merge_value(conf->ignore_client_abort,
                         prev->ignore_client_abort, 0);
    ngx_conf_merge_value(conf->force_ranges, prev->force_ranges, 0);
    ngx_conf_merge_value(conf->pass_request_headers,
                         prev->pass_request_headers, 1);
    ngx_conf_merge_value(conf->pass_request_body, prev->pass_request_body, 1);
    ngx_conf_merge_value(conf->intercept_errors, prev->intercept_errors, 0);

    ngx_conf_merge_ptr_value(conf->local, prev->local, NULL);
    ngx_conf_merge_value(conf->socket_keepalive, prev->socket_keepalive, 0);

    ngx_conf_merge_msec_value(conf->connect_timeout,
                              prev->connect_timeout, 60000);
    ngx_conf_merge_msec_value(conf->send_timeout, prev->send_timeout, 60000);
    ngx_conf_merge_msec_value(conf->read_timeout, prev->read_timeout, 60000);

    ngx_conf_merge_uint_value(conf->next_upstream_tries,
                              prev->next_upstream_tries, 0);
    ngx_conf_merge_msec_value(conf->next_upstream_timeout,
                              prev->next_upstream_timeout, 0);

    ngx_conf_merge_bitmask_value(conf->next_upstream, prev->next_upstream,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_HTTP_UPSTREAM_FT_ERROR
                                  |NGX_HTTP_UPSTREAM_FT_TIMEOUT));

    if (conf->next_upstream & NGX_HTTP_UPSTREAM_FT_OFF) {
        conf->next_upstream = NGX_CONF_BITMASK_SET|NGX_HTTP_UPSTREAM_FT_OFF;
    }

    ngx_conf_merge_bitmask_value(conf->ignore_headers, prev->ignore_headers,
                                 NGX_CONF_BITMASK_SET);

    ngx_conf_merge_size_value(conf->send_lowat, prev->send_lowat, 0);

#if (nginx_version >= 1027000)
    ngx_conf_merge_ptr_value(conf->limit_rate, prev->limit_rate, NULL);
#else
    ngx_conf_merge_size_value(conf->limit_rate, prev->limit_rate, 0);
#endif
}


static char *
ngx_http_fastcgi_ng_merge_buffers(ngx_conf_t *cf,
    ngx_http_upstream_conf_t *conf, ngx_http_upstream_conf_t *prev)
{
    size_t  size, all;

    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size,
                              (size_t) ngx_pagesize);

    ngx_conf_merge_bufs_value(conf->bufs, prev->bufs, 8, ngx_pagesize);

    if (conf->bufs.num < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there must be at least 2 \"fastcgi_ng_buffers\"");
        return NGX_CONF_ERROR;
    }

    size = ngx_max(conf->buffer_size, conf->bufs.size);
    all = (conf->bufs.num - 1) * conf->bufs.size;

    ngx_conf_merge_size_value(conf->busy_buffers_size_conf,
                              prev->busy_buffers_size_conf,
                              NGX_CONF_UNSET_SIZE);

    conf->busy_buffers_size =
        conf->busy_buffers_size_conf == NGX_CONF_UNSET_SIZE
        ? 2 * size : conf->busy_buffers_size_conf;

    if (conf->busy_buffers_size < size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_busy_buffers_size\" must be equal to "
                           "or greater than the maximum of the value of "
                           "\"fastcgi_ng_buffer_size\" and one of the "
                           "\"fastcgi_ng_buffers\", write %uz or more", size);
        return NGX_CONF_ERROR;
    }

    if (conf->busy_buffers_size > all) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_busy_buffers_size\" must be less "
                           "than the size of all \"fastcgi_ng_buffers\" minus "
                           "one buffer, write %uz or less", all);
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_size_value(conf->temp_file_write_size_conf,
                              prev->temp_file_write_size_conf,
                              NGX_CONF_UNSET_SIZE);

    conf->temp_file_write_size =
        conf->temp_file_write_size_conf == NGX_CONF_UNSET_SIZE
        ? 2 * size : conf->temp_file_write_size_conf;

    if (conf->temp_file_write_size < size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_temp_file_write_size\" must be equal "
                           "to or greater than the maximum of the value of "
                           "\"fastcgi_ng_buffer_size\" and one of the "
                           "\"fastcgi_ng_buffers\", write %uz or more", size);
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_size_value(conf->max_temp_file_size_conf,
                              prev->max_temp_file_size_conf,
                              NGX_CONF_UNSET_SIZE);

    conf->max_temp_file_size =
        conf->max_temp_file_size_conf == NGX_CONF_UNSET_SIZE
        ? 1024 * 1024 * 1024 : conf->max_temp_file_size_conf;

    if (conf->max_temp_file_size != 0 && conf->max_temp_file_size < size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_max_temp_file_size\" must be zero, "
                           "which disables temporary files, or be equal to or "
                           "greater than the maximum of the value of "
                           "\"fastcgi_ng_buffer_size\" and one of the "
                           "\"fastcgi_ng_buffers\", write 0 or %uz or more",
                           size);
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_merge_path_value(cf, &conf->temp_path, prev->temp_path,
                                  &ngx_http_fastcgi_ng_temp_path)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


#if (NGX_HTTP_CACHE)

static char *
ngx_http_fastcgi_ng_merge_cache(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf,
    ngx_http_fastcgi_ng_loc_conf_t *fprev)
{
    ngx_shm_zone_t            *zone;
    ngx_http_upstream_conf_t  *conf, *prev;

    conf = &fconf->upstream;
    prev = &fprev->upstream;

    if (conf->cache == NGX_CONF_UNSET) {
        ngx_conf_merge_value(conf->cache, prev->cache, 0);

        conf->cache_zone = prev->cache_zone;
        conf->cache_value = prev->cache_value;
    }

    zone = conf->cache_zone;

    if (zone && zone->data == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_cache\" zone \"%V\" is unknown, "
                           "write \"fastcgi_ng_cache_path PATH "
                           "keys_zone=%V:10m;\" in http",
                           &zone->shm.name, &zone->shm.name);
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_uint_value(conf->cache_min_uses, prev->cache_min_uses, 1);

    ngx_conf_merge_off_value(conf->cache_max_range_offset,
                             prev->cache_max_range_offset,
                             NGX_MAX_OFF_T_VALUE);

    ngx_conf_merge_bitmask_value(conf->cache_use_stale, prev->cache_use_stale,
                                 (NGX_CONF_BITMASK_SET
                                  |NGX_HTTP_UPSTREAM_FT_OFF));

    if (conf->cache_use_stale & NGX_HTTP_UPSTREAM_FT_OFF) {
        conf->cache_use_stale = NGX_CONF_BITMASK_SET|NGX_HTTP_UPSTREAM_FT_OFF;
    }

    if (conf->cache_use_stale & NGX_HTTP_UPSTREAM_FT_ERROR) {
        conf->cache_use_stale |= NGX_HTTP_UPSTREAM_FT_NOLIVE;
    }

    if (conf->cache_methods == 0) {
        conf->cache_methods = prev->cache_methods;
    }

    conf->cache_methods |= NGX_HTTP_GET|NGX_HTTP_HEAD;

    /* as proxy_pass does: else HEAD's empty response is GET's from then on */
    conf->cache_convert_head = 1;

    ngx_conf_merge_ptr_value(conf->cache_bypass, prev->cache_bypass, NULL);
    ngx_conf_merge_ptr_value(conf->no_cache, prev->no_cache, NULL);
    ngx_conf_merge_ptr_value(conf->cache_valid, prev->cache_valid, NULL);

    if (fconf->cache_key.value.data == NULL) {
        fconf->cache_key = fprev->cache_key;
    }

    if (conf->cache && fconf->cache_key.value.data == NULL) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "no \"fastcgi_ng_cache_key\" for "
                           "\"fastcgi_ng_cache\"");
    }

    ngx_conf_merge_value(conf->cache_lock, prev->cache_lock, 0);
    ngx_conf_merge_msec_value(conf->cache_lock_timeout,
                              prev->cache_lock_timeout, 5000);
    ngx_conf_merge_msec_value(conf->cache_lock_age, prev->cache_lock_age,
                              5000);
    ngx_conf_merge_value(conf->cache_revalidate, prev->cache_revalidate, 0);
    ngx_conf_merge_value(conf->cache_background_update,
                         prev->cache_background_update, 0);

    return NGX_CONF_OK;
}

#endif


static char *
ngx_http_fastcgi_ng_merge_own(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_loc_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->catch_stderr, prev->catch_stderr, NULL);
    ngx_conf_merge_size_value(conf->header_max_size, prev->header_max_size,
                              FCNG_HEAD_SIZE_DEFAULT);
    ngx_conf_merge_msec_value(conf->request_timeout, prev->request_timeout, 0);

    if (conf->stderr_level == NGX_CONF_UNSET_UINT) {
        conf->stderr_rate = prev->stderr_rate;
    }

    ngx_conf_merge_uint_value(conf->stderr_level, prev->stderr_level,
                              NGX_LOG_ERR);

    if (conf->stderr_rate == NGX_CONF_UNSET_UINT) {
        conf->stderr_rate = 100;
    }

    fcng_rate_init(&conf->stderr_limit, conf->stderr_rate);

    ngx_conf_merge_value(conf->default_params, prev->default_params, 1);
    ngx_conf_merge_value(conf->mount, prev->mount, 0);
    ngx_conf_merge_value(conf->check_script, prev->check_script, 1);
    ngx_conf_merge_value(conf->keep_conn, prev->keep_conn, 1);

    ngx_conf_merge_str_value(conf->index, prev->index, "");
    ngx_conf_merge_str_value(conf->script, prev->script, "");

#if (NGX_PCRE)
    if (conf->split_regex == NULL) {
        conf->split_regex = prev->split_regex;
        conf->split_name = prev->split_name;
    }
#endif

    fcng_pool_options_merge(&conf->pool, &prev->pool);

    return NGX_CONF_OK;
}


/* nginx answers If-* and Range by what the Filter says of its output. */

ngx_int_t
ngx_http_fastcgi_ng_filter_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    size_t           i, n;
    ngx_keyval_t    *none;
    const fcng_str  *name;

    n = fcng_env_not_for_filters(&name);

    none = ngx_pcalloc(cf->temp_pool, (n + 1) * sizeof(ngx_keyval_t));
    if (none == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        none[i].key.data = (u_char *) name[i].data;
        none[i].key.len = name[i].len;
        ngx_str_set(&none[i].value, "");
    }

    ngx_memzero(&conf->params_filter, sizeof(ngx_http_fastcgi_ng_params_t));

    return ngx_http_fastcgi_ng_init_params(cf, conf, &conf->params_filter,
                                           none);
}


static char *
ngx_http_fastcgi_ng_merge_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_loc_conf_t *prev)
{
    if (conf->params_source == NULL) {
        conf->params_source = prev->params_source;

        if (conf->default_params == prev->default_params) {
            conf->params = prev->params;
#if (NGX_HTTP_CACHE)
            conf->params_cache = prev->params_cache;
#endif
        }
    }

    if (ngx_http_fastcgi_ng_init_params(cf, conf, &conf->params, NULL)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

#if (NGX_HTTP_CACHE)
    if (conf->upstream.cache
        && ngx_http_fastcgi_ng_init_params(cf, conf, &conf->params_cache,
                                           ngx_http_fastcgi_ng_cache_headers)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }
#endif

    if (conf->role == FCNG_FILTER
        && ngx_http_fastcgi_ng_filter_params(cf, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* what http has, all servers share */

    if (!prev->params.ready && conf->params_source == prev->params_source
        && conf->default_params == prev->default_params)
    {
        prev->params = conf->params;
#if (NGX_HTTP_CACHE)
        prev->params_cache = conf->params_cache;
#endif
    }

    return NGX_CONF_OK;
}


char *
ngx_http_fastcgi_ng_add_location(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t   **location;
    ngx_http_fastcgi_ng_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);

    location = ngx_array_push(&mcf->locations);
    if (location == NULL) {
        return NGX_CONF_ERROR;
    }

    *location = conf;

    return NGX_CONF_OK;
}


static char *
ngx_http_fastcgi_ng_merge_file_filter(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_core_loc_conf_t *clcf)
{
    if (clcf->handler != ngx_http_fastcgi_ng_file_filter_handler) {

        if (clcf->lmt_excpt && clcf->handler == NULL) {
            clcf->handler = ngx_http_fastcgi_ng_file_filter_handler;

        } else if (!clcf->noname) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_file_filter\": another "
                               "directive of location \"%V\" answers its "
                               "requests, as proxy_pass does; remove one of "
                               "them, or write \"fastcgi_ng_output_filter\"",
                               &clcf->name);
            return NGX_CONF_ERROR;
        }
    }

    conf->mount = 0;
    ngx_str_null(&conf->script);
    conf->upstream.force_ranges = 1;
    conf->upstream.store = 0;
#if (NGX_HTTP_CACHE)
    conf->upstream.cache = 0;
#endif

    return ngx_http_fastcgi_ng_add_location(cf, conf);
}


static char *
ngx_http_fastcgi_ng_merge_pass(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_loc_conf_t *prev)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname
        && conf->upstream.upstream == NULL && conf->pass_lengths == NULL)
    {
        conf->upstream.upstream = prev->upstream.upstream;
        conf->pass_lengths = prev->pass_lengths;
        conf->pass_values = prev->pass_values;
        conf->role = prev->role;
    }

    if (conf->upstream.upstream == NULL && conf->pass_lengths == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->role == FCNG_FILTER) {
        return ngx_http_fastcgi_ng_merge_file_filter(cf, conf, clcf);
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_http_fastcgi_ng_handler;
    }

    if (conf->mount) {
        if (conf->script.len) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_mount\" and "
                               "\"fastcgi_ng_script\" "
                               "contradict each other in location \"%V\", "
                               "remove one of them", &clcf->name);
            return NGX_CONF_ERROR;
        }

        if (clcf->named
#if (NGX_PCRE)
            || clcf->regex
#endif
           )
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_mount on\" needs a location that "
                               "is a path, and \"%V\" is none; write "
                               "\"location /path/ { ... }\", or "
                               "\"fastcgi_ng_mount off\" here", &clcf->name);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_fastcgi_ng_add_location(cf, conf);
}


/* The parameters of an authorizer: none that Spec 6.3 keeps from it. */

static ngx_int_t
ngx_http_fastcgi_ng_authorizer_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    fcng_str                    name;
    ngx_uint_t                  i;
    ngx_array_t                *source;
    ngx_http_upstream_param_t  *src, *dst;

    source = conf->authorizer_params;
    conf->params_source = NULL;

    if (source) {
        conf->params_source = ngx_array_create(cf->pool, source->nelts + 1,
                                           sizeof(ngx_http_upstream_param_t));
        if (conf->params_source == NULL) {
            return NGX_ERROR;
        }

        src = source->elts;

        for (i = 0; i < source->nelts; i++) {
            name.data = (char *) src[i].key.data;
            name.len = src[i].key.len;

            if (fcng_authz_is_withheld(name)) {
                ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                                   "\"fastcgi_ng_authorizer_param %V\" is not "
                                   "sent: the specification keeps it from "
                                   "authorizers (6.3), remove the directive",
                                   &src[i].key);
                continue;
            }

            dst = ngx_array_push(conf->params_source);
            if (dst == NULL) {
                return NGX_ERROR;
            }

            *dst = src[i];
        }
    }

    ngx_memzero(&conf->params, sizeof(ngx_http_fastcgi_ng_params_t));

    if (ngx_http_fastcgi_ng_init_params(cf, conf, &conf->params, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    conf->params.skip |= fcng_authz_skip();

    return NGX_OK;
}


/* Who else is asked in a location is so with its settings, but for those that
   concern what the location answers itself: a configuration of its own. */

ngx_http_fastcgi_ng_loc_conf_t *
ngx_http_fastcgi_ng_copy_conf(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf, enum fcng_role role)
{
    ngx_http_upstream_conf_t        *u;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_palloc(cf->pool, sizeof(ngx_http_fastcgi_ng_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    *conf = *fconf;

    conf->role = role;
    conf->authorizers = NULL;
    conf->pass_lengths = NULL;
    conf->pass_values = NULL;
    conf->mount = 0;
    conf->catch_stderr = NULL;
    ngx_str_null(&conf->script);

    u = &conf->upstream;

    u->request_buffering = 1;
    u->pass_request_body = 0;
    u->intercept_errors = 0;
    u->store = 0;
    u->store_lengths = NULL;
    u->store_values = NULL;
#if (NGX_HTTP_CACHE)
    u->cache = 0;
    u->cache_zone = NULL;
    u->cache_value = NULL;
#endif

    return conf;
}


/* What an authorizer is asked with: nothing that concerns a response or a
   script. */

static ngx_http_fastcgi_ng_loc_conf_t *
ngx_http_fastcgi_ng_authorizer_conf(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf)
{
    ngx_http_upstream_conf_t        *u;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_fastcgi_ng_copy_conf(cf, fconf, FCNG_AUTHORIZER);
    if (conf == NULL) {
        return NULL;
    }

    conf->default_params = 1;
    conf->check_script = 0;
#if (NGX_PCRE)
    conf->split_regex = NULL;
#endif

    u = &conf->upstream;

    /* the others' of this very level, unless any level has one for these */

    ngx_conf_init_msec_value(conf->authorizer_connect_timeout,
                             u->connect_timeout);
    ngx_conf_init_msec_value(conf->authorizer_send_timeout, u->send_timeout);
    ngx_conf_init_msec_value(conf->authorizer_read_timeout, u->read_timeout);

    u->connect_timeout = conf->authorizer_connect_timeout;
    u->send_timeout = conf->authorizer_send_timeout;
    u->read_timeout = conf->authorizer_read_timeout;

    u->buffering = 0;
    u->change_buffering = 0;
    u->pass_request_headers = 1;
    u->ignore_client_abort = 0;
    u->ignore_headers = (ngx_uint_t) -1;

    u->next_upstream &= NGX_CONF_BITMASK_SET|NGX_HTTP_UPSTREAM_FT_OFF
                        |NGX_HTTP_UPSTREAM_FT_ERROR
                        |NGX_HTTP_UPSTREAM_FT_TIMEOUT;

    return ngx_http_fastcgi_ng_authorizer_params(cf, conf) == NGX_OK ? conf
                                                                     : NULL;
}


static char *
ngx_http_fastcgi_ng_merge_authorizers(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_loc_conf_t *prev)
{
    ngx_uint_t                          i;
    ngx_array_t                        *list;
    ngx_http_fastcgi_ng_loc_conf_t    **location;
    ngx_http_fastcgi_ng_main_conf_t    *mcf;
    ngx_http_fastcgi_ng_authorizer_t   *a;

    ngx_conf_merge_msec_value(conf->authorizer_connect_timeout,
                              prev->authorizer_connect_timeout,
                              NGX_CONF_UNSET_MSEC);
    ngx_conf_merge_msec_value(conf->authorizer_send_timeout,
                              prev->authorizer_send_timeout,
                              NGX_CONF_UNSET_MSEC);
    ngx_conf_merge_msec_value(conf->authorizer_read_timeout,
                              prev->authorizer_read_timeout,
                              NGX_CONF_UNSET_MSEC);
    ngx_conf_merge_size_value(conf->authorizer_buffer_size,
                              prev->authorizer_buffer_size, 65536);
    ngx_conf_merge_value(conf->authorizer_intercept_errors,
                         prev->authorizer_intercept_errors, 0);
    ngx_conf_merge_value(conf->authorizer_stdin, prev->authorizer_stdin, 1);

    if (conf->authorizer_params == NULL) {
        conf->authorizer_params = prev->authorizer_params;
    }

    list = conf->authorizers;

    if (list == NGX_CONF_UNSET_PTR) {
        list = prev->authorizers;
    }

    if (list == NGX_CONF_UNSET_PTR || list == NULL || list->nelts == 0) {
        conf->authorizers = NULL;
        return NGX_CONF_OK;
    }

    conf->authorizers = ngx_array_create(cf->pool, list->nelts,
                                    sizeof(ngx_http_fastcgi_ng_authorizer_t));
    if (conf->authorizers == NULL) {
        return NGX_CONF_ERROR;
    }

    a = ngx_array_push_n(conf->authorizers, list->nelts);
    if (a == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(a, list->elts,
               list->nelts * sizeof(ngx_http_fastcgi_ng_authorizer_t));

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);
    mcf->authorizers = 1;

    for (i = 0; i < list->nelts; i++) {

        a[i].conf = ngx_http_fastcgi_ng_authorizer_conf(cf, conf);
        location = ngx_array_push(&mcf->locations);

        if (a[i].conf == NULL || location == NULL) {
            return NGX_CONF_ERROR;
        }

        a[i].conf->upstream.upstream = a[i].upstream;
        *location = a[i].conf;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_fastcgi_ng_merge(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_fastcgi_ng_loc_conf_t *prev = parent;
    ngx_http_fastcgi_ng_loc_conf_t *conf = child;

    ngx_hash_init_t  hash;

    ngx_http_fastcgi_ng_merge_store(&conf->upstream, &prev->upstream);
    ngx_http_fastcgi_ng_merge_upstream(&conf->upstream, &prev->upstream);

    if (ngx_http_fastcgi_ng_merge_buffers(cf, &conf->upstream, &prev->upstream)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

#if (NGX_HTTP_CACHE)
    if (ngx_http_fastcgi_ng_merge_cache(cf, conf, prev) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
#endif

    hash.max_size = 512;
    hash.bucket_size = ngx_align(64, ngx_cacheline_size);
    hash.name = "fastcgi_ng_hide_headers_hash";

    if (ngx_http_upstream_hide_headers_hash(cf, &conf->upstream,
            &prev->upstream, ngx_http_fastcgi_ng_hide_headers, &hash)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_fastcgi_ng_merge_own(cf, conf, prev) != NGX_CONF_OK
        || ngx_http_fastcgi_ng_merge_params(cf, conf, prev) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_fastcgi_ng_merge_authorizers(cf, conf, prev) != NGX_CONF_OK
        || ngx_http_fastcgi_ng_merge_output(cf, conf, prev) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_fastcgi_ng_merge_pass(cf, conf, prev);
}


/* Everything is merged at the end of http{}, which is no place to look for a
   mistake: where the block begins is. */

char *
ngx_http_fastcgi_ng_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_fastcgi_ng_loc_conf_t *conf = child;

    char        *rv;
    ngx_str_t    file;
    ngx_uint_t   line;

    file = cf->conf_file->file.name;
    line = cf->conf_file->line;

    cf->conf_file->file.name = conf->file;
    cf->conf_file->line = conf->line;

    rv = ngx_http_fastcgi_ng_merge(cf, parent, child);

    cf->conf_file->file.name = file;
    cf->conf_file->line = line;

    return rv;
}


/* after everything is merged and every upstream is initialised */

#if (nginx_version < 1029007)

/* "keepalive" of nginx would hold connections that are none. */

static void
ngx_http_fastcgi_ng_tell_keepalive(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_uint_t   i;
    ngx_uint_t  *max_cached;

    for (i = 0; cf->cycle->modules[i]; i++) {

        if (us->srv_conf == NULL
            || cf->cycle->modules[i]->type != NGX_HTTP_MODULE
            || ngx_strcmp(cf->cycle->modules[i]->name,
                          "ngx_http_upstream_keepalive_module") != 0)
        {
            continue;
        }

        /* the first member of its configuration is the number */

        max_cached = us->srv_conf[cf->cycle->modules[i]->ctx_index];

        if (max_cached && *max_cached) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "\"keepalive\" has no effect on fastcgi_ng_pass in "
                          "upstream \"%V\" in %s:%ui, write "
                          "\"fastcgi_ng_pool max_idle=%ui;\"",
                          &us->host, us->file_name, us->line, *max_cached);
        }
    }
}

#endif


static ngx_int_t
ngx_http_fastcgi_ng_wrap_upstream(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_http_fastcgi_ng_upstream_t  *up;
    ngx_http_fastcgi_ng_srv_conf_t  *scf;

    up = ngx_pcalloc(cf->pool, sizeof(ngx_http_fastcgi_ng_upstream_t));
    if (up == NULL) {
        return NGX_ERROR;
    }

    up->original = conf->upstream.upstream;
    up->conf = *up->original;
    up->conf.peer.init = ngx_http_fastcgi_ng_peer_init;
    up->pool = &conf->pool;

    /* what stands in upstream{} wins; a plain address has no such block */

    if (up->original->srv_conf) {
        scf = ngx_http_conf_upstream_srv_conf(up->original,
                                              ngx_http_fastcgi_ng_module);

        up->pool = ngx_palloc(cf->pool, sizeof(fcng_pool_options));
        if (up->pool == NULL) {
            return NGX_ERROR;
        }

        *up->pool = scf->pool;
        fcng_pool_options_merge(up->pool, &conf->pool);

#if (nginx_version < 1029007)
        ngx_http_fastcgi_ng_tell_keepalive(cf, up->original);
#endif
    }

    conf->upstream.upstream = &up->conf;

    return NGX_OK;
}


/* Connections that requests share are kept. */

static ngx_int_t
ngx_http_fastcgi_ng_check_multiplex(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    fcng_pool_options               *options;
    ngx_http_fastcgi_ng_upstream_t  *up;

    options = &conf->pool;

    if (conf->upstream.upstream) {
        up = (ngx_http_fastcgi_ng_upstream_t *) conf->upstream.upstream;
        options = up->pool;
    }

    if (options->multiplex == FCNG_MULTIPLEX_OFF || options->max_idle > 0) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"fastcgi_ng_pool multiplex\" needs kept connections, "
                  "remove \"max_idle=0\" or \"fastcgi_ng_keep_conn off;\" "
                  "in %V:%ui", &conf->file, conf->line);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_fastcgi_ng_postconfiguration(ngx_conf_t *cf)
{
    ngx_str_t                          root = ngx_string("document_root");
    ngx_str_t                          method = ngx_string("request_method");
    ngx_uint_t                         i;
    ngx_http_fastcgi_ng_loc_conf_t   **location, *conf;
    ngx_http_fastcgi_ng_main_conf_t   *mcf;

    /* for tests of the way that a request with a body goes */
    ngx_http_fastcgi_ng_late = getenv("FCNG_NGINX_LATE") != NULL;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);

    mcf->document_root = ngx_http_get_variable_index(cf, &root);
    mcf->request_method = ngx_http_get_variable_index(cf, &method);

    if (mcf->document_root == NGX_ERROR || mcf->request_method == NGX_ERROR) {
        return NGX_ERROR;
    }

    if ((mcf->locations.nelts || mcf->status)
        && ngx_http_fastcgi_ng_shared_zone(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->authorizers && ngx_http_fastcgi_ng_authorizer_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->output_filters && ngx_http_fastcgi_ng_output_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    location = mcf->locations.elts;

    for (i = 0; i < mcf->locations.nelts; i++) {
        conf = location[i];

        if (!conf->keep_conn) {
            conf->pool.max_idle = 0;
            conf->pool.set |= 1u << FCNG_WORD_MAX_IDLE;
        }

        if (conf->upstream.upstream
            && conf->upstream.upstream->peer.init
               != ngx_http_fastcgi_ng_peer_init
            && ngx_http_fastcgi_ng_wrap_upstream(cf, conf) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (ngx_http_fastcgi_ng_check_multiplex(cf, conf) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* directives */

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
ngx_http_fastcgi_ng_authorizer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                         *value;
    ngx_uint_t                         n;
    ngx_http_fastcgi_ng_authorizer_t  *a;

    value = cf->args->elts;
    n = cf->args->nelts;

    if (n != 2 || value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_authorizer\" takes one address, "
                           "write \"fastcgi_ng_authorizer "
                           "unix:/run/auth.sock;\", one directive for each "
                           "that must grant, or \"off\"");
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (fconf->authorizers != NGX_CONF_UNSET_PTR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_authorizer off\": there is "
                               "another one here already, remove one of them");
            return NGX_CONF_ERROR;
        }

        fconf->authorizers = NULL;

        return NGX_CONF_OK;
    }

    if (fconf->authorizers == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_authorizer %V\": \"off\" stands "
                           "here already, remove one of them", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_authorizer %V\": who decides must "
                           "not depend on the request, write an address or "
                           "the name of an upstream", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (fconf->authorizers == NGX_CONF_UNSET_PTR) {
        fconf->authorizers = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_fastcgi_ng_authorizer_t));
        if (fconf->authorizers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    a = ngx_array_push(fconf->authorizers);
    if (a == NULL) {
        return NGX_CONF_ERROR;
    }

    a->name = value[1];
    a->conf = NULL;
    a->upstream = ngx_http_fastcgi_ng_add_upstream(cf, &value[0], &value[1]);

    return a->upstream ? NGX_CONF_OK : NGX_CONF_ERROR;
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
ngx_http_fastcgi_ng_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                  *value;
    ngx_http_script_compile_t   sc;

    if (fconf->upstream.store != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        fconf->upstream.store = 0;
        return NGX_CONF_OK;
    }

#if (NGX_HTTP_CACHE)
    if (fconf->upstream.cache > 0) {
        return "is incompatible with \"fastcgi_ng_cache\", remove one of them";
    }
#endif

    fconf->upstream.store = 1;

    if (ngx_strcmp(value[1].data, "on") == 0) {
        return NGX_CONF_OK;
    }

    /* the script includes the terminating '\0' */
    value[1].len++;

    ngx_memzero(&sc, sizeof(ngx_http_script_compile_t));

    sc.cf = cf;
    sc.source = &value[1];
    sc.lengths = &fconf->upstream.store_lengths;
    sc.values = &fconf->upstream.store_values;
    sc.variables = ngx_http_script_variables_count(&value[1]);
    sc.complete_lengths = 1;
    sc.complete_values = 1;

    if (ngx_http_script_compile(&sc) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


#if (NGX_HTTP_CACHE)

static char *
ngx_http_fastcgi_ng_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                         *value;
    ngx_http_complex_value_t           cv;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (fconf->upstream.cache != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        fconf->upstream.cache = 0;
        return NGX_CONF_OK;
    }

    if (fconf->upstream.store > 0) {
        return "is incompatible with \"fastcgi_ng_store\", remove one of them";
    }

    fconf->upstream.cache = 1;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = &cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cv.lengths != NULL) {

        fconf->upstream.cache_value = ngx_palloc(cf->pool,
                                           sizeof(ngx_http_complex_value_t));
        if (fconf->upstream.cache_value == NULL) {
            return NGX_CONF_ERROR;
        }

        *fconf->upstream.cache_value = cv;

        return NGX_CONF_OK;
    }

    fconf->upstream.cache_zone = ngx_shared_memory_add(cf, &value[1], 0,
                                                 &ngx_http_fastcgi_ng_module);
    if (fconf->upstream.cache_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_fastcgi_ng_cache_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (fconf->cache_key.value.data) {
        return "is duplicate";
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = &fconf->cache_key;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}

#endif


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
