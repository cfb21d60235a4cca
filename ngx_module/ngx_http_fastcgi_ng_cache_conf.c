/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fastcgi_ng_store and fastcgi_ng_cache, as they are written and merged.
 */


#include "ngx_http_fastcgi_ng_module.h"


void
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


#if (NGX_HTTP_CACHE)

char *
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


/* directives */

char *
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

char *
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


char *
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
