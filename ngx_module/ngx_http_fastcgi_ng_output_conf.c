/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fastcgi_ng_output_filter and what belongs to it, as it is written and
 * merged.
 */


#include "ngx_http_fastcgi_ng_module.h"


/* The default of fastcgi_ng_output_filter_max_size. */
#define NGX_HTTP_FASTCGI_NG_OUTPUT_MAX  (64 * 1024 * 1024)


static ngx_str_t  ngx_http_fastcgi_ng_output_types[] = {
    ngx_string("text/html"),
    ngx_null_string
};


void
ngx_http_fastcgi_ng_init_output(ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    conf->output = NGX_CONF_UNSET_PTR;
    conf->output_max_size = NGX_CONF_UNSET;
    conf->output_on_error = NGX_CONF_UNSET_UINT;
}


/* What the application is asked with: nothing that concerns a script or who
   answers. */

static ngx_http_fastcgi_ng_loc_conf_t *
ngx_http_fastcgi_ng_output_conf(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf)
{
    ngx_http_fastcgi_ng_loc_conf_t  *conf;

    conf = ngx_http_fastcgi_ng_copy_conf(cf, fconf, FCNG_FILTER);
    if (conf == NULL) {
        return NULL;
    }

    conf->of_output = 1;
    conf->output = NULL;

    conf->upstream.force_ranges = 0;
    /* in a subrequest no rule of access would count */
    conf->upstream.ignore_headers |= NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT;

    return ngx_http_fastcgi_ng_filter_params(cf, conf) == NGX_OK ? conf : NULL;
}


char *
ngx_http_fastcgi_ng_merge_output(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_loc_conf_t *prev)
{
    ngx_http_fastcgi_ng_output_conf_t  *output;
    ngx_http_fastcgi_ng_main_conf_t    *mcf;

    ngx_conf_merge_off_value(conf->output_max_size, prev->output_max_size,
                             NGX_HTTP_FASTCGI_NG_OUTPUT_MAX);
    ngx_conf_merge_uint_value(conf->output_on_error, prev->output_on_error,
                              NGX_HTTP_FASTCGI_NG_FAIL);

    if (ngx_http_merge_types(cf, &conf->output_types_keys,
                             &conf->output_types, &prev->output_types_keys,
                             &prev->output_types,
                             ngx_http_fastcgi_ng_output_types)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    output = conf->output;

    if (output == NGX_CONF_UNSET_PTR) {
        output = prev->output;
    }

    if (output == NGX_CONF_UNSET_PTR || output == NULL) {
        conf->output = NULL;
        return NGX_CONF_OK;
    }

    conf->output = ngx_palloc(cf->pool,
                              sizeof(ngx_http_fastcgi_ng_output_conf_t));
    if (conf->output == NULL) {
        return NGX_CONF_ERROR;
    }

    *conf->output = *output;

    conf->output->conf = ngx_http_fastcgi_ng_output_conf(cf, conf);
    if (conf->output->conf == NULL) {
        return NGX_CONF_ERROR;
    }

    conf->output->conf->upstream.upstream = output->upstream;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_fastcgi_ng_module);
    mcf->output_filters = 1;

    return ngx_http_fastcgi_ng_add_location(cf, conf->output->conf);
}


/* directives */

char *
ngx_http_fastcgi_ng_output_filter(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t                          *value;
    ngx_http_fastcgi_ng_output_conf_t  *output;

    value = cf->args->elts;

    if (cf->args->nelts != 2 || value[1].len == 0
        || ngx_http_script_variables_count(&value[1]))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_output_filter\" takes one address, "
                           "write it as \"fastcgi_ng_output_filter "
                           "127.0.0.1:9003;\", \"unix:/path\", the name of an "
                           "upstream, or \"off\"");
        return NGX_CONF_ERROR;
    }

    if (fconf->output != NGX_CONF_UNSET_PTR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"fastcgi_ng_output_filter %V\": there is one "
                           "here already, remove one of them", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        fconf->output = NULL;
        return NGX_CONF_OK;
    }

    output = ngx_pcalloc(cf->pool, sizeof(ngx_http_fastcgi_ng_output_conf_t));
    if (output == NULL) {
        return NGX_CONF_ERROR;
    }

    output->name = value[1];
    output->upstream = ngx_http_fastcgi_ng_add_upstream(cf, &value[0],
                                                        &value[1]);
    if (output->upstream == NULL) {
        return NGX_CONF_ERROR;
    }

    fconf->output = output;

    return NGX_CONF_OK;
}


/* nginx takes anything for a type: one that never meets a response is a
   mistake. */

char *
ngx_http_fastcgi_ng_set_output_types(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (cf->args->nelts == 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes types, write them as "
                           "\"text/html\", or \"*\" for all", &value[0]);
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "*") == 0) {
            continue;
        }

        if (ngx_strlchr(value[i].data, value[i].data + value[i].len, '/')
            == NULL
            || ngx_strlchr(value[i].data, value[i].data + value[i].len, '*')
            || ngx_strlchr(value[i].data, value[i].data + value[i].len, ';'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V %V\": write types as \"text/plain\", or "
                               "\"*\" for all", &value[0], &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_types_slot(cf, cmd, conf);
}


char *
ngx_http_fastcgi_ng_set_output_max(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    off_t       size;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (fconf->output_max_size != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    size = cf->args->nelts == 2 ? ngx_parse_offset(&value[1]) : NGX_ERROR;

    if (size <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes one size larger than 0, write it as "
                           "16m or 1g", &value[0]);
        return NGX_CONF_ERROR;
    }

    fconf->output_max_size = size;

    return NGX_CONF_OK;
}


char *
ngx_http_fastcgi_ng_set_output_on_error(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_fastcgi_ng_loc_conf_t *fconf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (fconf->output_on_error != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "pass") == 0) {
        fconf->output_on_error = NGX_HTTP_FASTCGI_NG_PASS;

    } else if (cf->args->nelts == 2
               && ngx_strcmp(value[1].data, "fail") == 0)
    {
        fconf->output_on_error = NGX_HTTP_FASTCGI_NG_FAIL;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" takes one word, write \"pass\" for the "
                           "response as it is, or \"fail\" for an error",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
