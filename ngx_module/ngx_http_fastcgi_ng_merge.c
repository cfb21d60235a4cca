/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the directives have set, level over level: defaults, merging, and what
 * is done and checked when everything is read, where our peer.init takes the
 * place of the upstreams'.
 */


#include "ngx_http_fastcgi_ng_module.h"


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
