/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fastcgi_ng_param and the defaults, when the configuration is read: what does
 * not depend on the request is encoded once.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_uint_t
ngx_http_fastcgi_ng_is_replaced(ngx_http_upstream_param_t *src, ngx_uint_t n,
    ngx_uint_t i)
{
    ngx_uint_t  k;

    /* the last one wins, but not one that may turn out empty */

    for (k = i + 1; k < n; k++) {
        if (src[k].key.len == src[i].key.len
            && ngx_strncmp(src[k].key.data, src[i].key.data, src[i].key.len)
               == 0
            && !src[k].skip_empty)
        {
            return 1;
        }
    }

    return 0;
}


/* The index of a value that is one variable and nothing else. */

static ngx_int_t
ngx_http_fastcgi_ng_plain_variable(ngx_conf_t *cf, ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t   name;

    p = value->data;
    last = p + value->len;

    if (value->len < 2 || *p++ != '$') {
        return NGX_DECLINED;
    }

    if (*p == '{' && last[-1] == '}') {
        p++;
        last--;
    }

    if (p == last || (*p >= '0' && *p <= '9')) {
        return NGX_DECLINED;
    }

    name.data = p;
    name.len = last - p;

    for ( /* void */ ; p < last; p++) {
        if ((*p < 'a' || *p > 'z') && (*p < 'A' || *p > 'Z')
            && (*p < '0' || *p > '9') && *p != '_')
        {
            return NGX_DECLINED;
        }
    }

    return ngx_http_get_variable_index(cf, &name);
}


static ngx_int_t
ngx_http_fastcgi_ng_add_constant(ngx_conf_t *cf, ngx_array_t *list,
    ngx_http_upstream_param_t *src)
{
    u_char                       *data;
    size_t                        len;
    fcng_str                      name, value;
    fcng_params                   pair;
    ngx_http_fastcgi_ng_param_t  *param;

    param = list->elts;
    param = list->nelts ? &param[list->nelts - 1] : NULL;

    if (param == NULL || param->encoded.data == NULL) {
        param = ngx_array_push(list);
        if (param == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(param, sizeof(ngx_http_fastcgi_ng_param_t));
    }

    name.data = (char *) src->key.data;
    name.len = src->key.len;
    value.data = (char *) src->value.data;
    value.len = src->value.len;

    fcng_params_init(&pair, NULL);

    if (fcng_params_add(&pair, name, value) != FCNG_OK) {
        fcng_params_fini(&pair);
        return NGX_DECLINED;
    }

    len = param->encoded.len + pair.len;

    data = ngx_pnalloc(cf->pool, len);
    if (data == NULL) {
        fcng_params_fini(&pair);
        return NGX_ERROR;
    }

    ngx_memcpy(data, param->encoded.data, param->encoded.len);
    ngx_memcpy(data + param->encoded.len, pair.data, pair.len);
    fcng_params_fini(&pair);

    param->encoded.data = data;
    param->encoded.len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_add_param(ngx_conf_t *cf, ngx_array_t *list,
    ngx_http_upstream_param_t *src)
{
    ngx_http_fastcgi_ng_param_t       *param;
    ngx_http_compile_complex_value_t   ccv;

    if (ngx_http_script_variables_count(&src->value) == 0) {

        if (src->value.len == 0
            && (src->skip_empty
                || ngx_strncmp(src->key.data, "HTTP_", 5) == 0))
        {
            /* only there to take something away */
            return NGX_OK;
        }

        return ngx_http_fastcgi_ng_add_constant(cf, list, src);
    }

    param = ngx_array_push(list);
    if (param == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(param, sizeof(ngx_http_fastcgi_ng_param_t));

    param->name = src->key;
    param->if_not_empty = src->skip_empty;
    param->variable = ngx_http_fastcgi_ng_plain_variable(cf, &src->value);

    if (param->variable >= 0) {
        return NGX_OK;
    }

    if (param->variable == NGX_ERROR) {
        return NGX_ERROR;
    }

    param->value = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (param->value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &src->value;
    ccv.complex_value = param->value;

    return ngx_http_compile_complex_value(&ccv);
}


/* What the cache wants to ask for, unless the configuration says otherwise. */

static ngx_int_t
ngx_http_fastcgi_ng_add_defaults(ngx_array_t *merged, ngx_keyval_t *h)
{
    ngx_uint_t                  i;
    ngx_http_upstream_param_t  *s;

    for ( /* void */ ; h->key.len; h++) {

        s = merged->elts;

        for (i = 0; i < merged->nelts; i++) {
            if (s[i].key.len == h->key.len
                && ngx_strncasecmp(s[i].key.data, h->key.data, h->key.len)
                   == 0)
            {
                break;
            }
        }

        if (i < merged->nelts) {
            continue;
        }

        s = ngx_array_push(merged);
        if (s == NULL) {
            return NGX_ERROR;
        }

        s->key = h->key;
        s->value = h->value;
        s->skip_empty = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_fastcgi_ng_init_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_http_fastcgi_ng_params_t *params,
    ngx_keyval_t *defaults)
{
    int                         var;
    fcng_str                    name;
    ngx_int_t                   rc;
    ngx_uint_t                  i, n;
    ngx_array_t                 merged;
    ngx_http_upstream_param_t  *src;

    if (params->ready) {
        return NGX_OK;
    }

    if (ngx_array_init(&merged, cf->temp_pool, 16,
                       sizeof(ngx_http_upstream_param_t)) != NGX_OK
        || ngx_array_init(&params->list, cf->pool, 4,
                          sizeof(ngx_http_fastcgi_ng_param_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (conf->params_source) {
        n = conf->params_source->nelts;
        src = ngx_array_push_n(&merged, n);
        if (src == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(src, conf->params_source->elts,
                   n * sizeof(ngx_http_upstream_param_t));
    }

    if (defaults
        && ngx_http_fastcgi_ng_add_defaults(&merged, defaults) != NGX_OK)
    {
        return NGX_ERROR;
    }

    src = merged.elts;
    n = merged.nelts;

    params->taken = ngx_palloc(cf->pool, (n + 1) * sizeof(fcng_str));
    if (params->taken == NULL) {
        return NGX_ERROR;
    }

    params->ntaken = 0;
    params->skip = conf->default_params ? 0 : (uint32_t) -1;

    for (i = 0; i < n; i++) {

        name.data = (char *) src[i].key.data;
        name.len = src[i].key.len;

        var = fcng_env_find(name);

        if (var >= 0) {
            params->skip |= (uint32_t) 1 << var;

        } else if (name.len > 5 && ngx_strncmp(name.data, "HTTP_", 5) == 0) {
            params->taken[params->ntaken++] = name;
        }

        if (ngx_http_fastcgi_ng_is_replaced(src, n, i)) {
            continue;
        }

        rc = ngx_http_fastcgi_ng_add_param(cf, &params->list, &src[i]);

        if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"fastcgi_ng_param %V\": a name must not be "
                               "empty nor hold \"=\", and neither name nor "
                               "value may hold a NUL byte", &src[i].key);
        }

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    params->ready = 1;

    return NGX_OK;
}
