/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fastcgi_ng_authorizer and what belongs to it, as it is written and merged.
 */


#include "ngx_http_fastcgi_ng_module.h"


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


char *
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


/* directives */

char *
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
