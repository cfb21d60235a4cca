/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What authorizers have granted and set for a request, and the variables that
 * tell it: $fastcgi_ng_auth_NAME, and $remote_user in the place of what the
 * client claims.
 */


#include "ngx_http_fastcgi_ng_module.h"


static ngx_http_get_variable_pt  ngx_http_fastcgi_ng_remote_user;


ngx_int_t
ngx_http_fastcgi_ng_vars_init(ngx_http_request_t *r, ngx_array_t *vars)
{
    return ngx_array_init(vars, r->pool, 4, sizeof(fcng_field));
}


fcng_field *
ngx_http_fastcgi_ng_vars_find(ngx_array_t *vars, fcng_str name)
{
    ngx_uint_t   i;
    fcng_field  *var;

    var = vars->elts;

    for (i = 0; i < vars->nelts; i++) {
        if (fcng_authz_meet(var[i].name, name)) {
            return &var[i];
        }
    }

    return NULL;
}


/* What is set already is replaced. */

ngx_int_t
ngx_http_fastcgi_ng_vars_set(ngx_array_t *vars, ngx_array_t *from)
{
    ngx_uint_t   i;
    fcng_field  *var, *to;

    var = from->elts;

    for (i = 0; i < from->nelts; i++) {

        to = ngx_http_fastcgi_ng_vars_find(vars, var[i].name);

        if (to == NULL) {
            to = ngx_array_push(vars);
            if (to == NULL) {
                return NGX_ERROR;
            }
        }

        *to = var[i];
    }

    return NGX_OK;
}


/* the state of a main request */

static void
ngx_http_fastcgi_ng_auth_cleanup(void *data)
{
    /* marks the record: see auth_find */
}


static ngx_http_fastcgi_ng_auth_t *
ngx_http_fastcgi_ng_auth_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_fastcgi_ng_auth_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


ngx_http_fastcgi_ng_auth_t *
ngx_http_fastcgi_ng_auth_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_fastcgi_ng_auth_t  *auth;

    auth = ngx_http_fastcgi_ng_auth_find(r);

    if (auth) {
        return auth;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_fastcgi_ng_auth_t));
    if (cln == NULL) {
        return NULL;
    }

    auth = cln->data;
    ngx_memzero(auth, sizeof(ngx_http_fastcgi_ng_auth_t));

    if (ngx_array_init(&auth->grants, r->pool, 2,
                       sizeof(ngx_http_fastcgi_ng_grant_t)) != NGX_OK
        || ngx_http_fastcgi_ng_vars_init(r, &auth->now) != NGX_OK
        || ngx_http_fastcgi_ng_vars_init(r, &auth->vars) != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_fastcgi_ng_auth_cleanup;

    return auth;
}


/*
 * What authorizers have set for |r|; NULL: nothing.  A question has what those
 * before it in the list have set, so that it stays the same when it is asked
 * again.
 */

ngx_array_t *
ngx_http_fastcgi_ng_auth_vars(ngx_http_request_t *r)
{
    ngx_array_t                      *vars;
    ngx_http_fastcgi_ng_ctx_t        *ctx;
    ngx_http_fastcgi_ng_auth_t       *auth;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_fastcgi_ng_module);

    auth = mcf->authorizers ? ngx_http_fastcgi_ng_auth_find(r) : NULL;

    if (auth == NULL) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_fastcgi_ng_module);

    vars = ctx && ctx->question ? &auth->now : &auth->vars;

    return vars->nelts ? vars : NULL;
}


/* what is told of it */

static ngx_int_t
ngx_http_fastcgi_ng_auth_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, fcng_str name)
{
    fcng_field   *var;
    ngx_array_t  *vars;

    vars = ngx_http_fastcgi_ng_auth_vars(r);
    var = vars ? ngx_http_fastcgi_ng_vars_find(vars, name) : NULL;

    if (var == NULL) {
        v->not_found = 1;
        return NGX_DECLINED;
    }

    v->len = var->value.len;
    v->data = (u_char *) var->value.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* $fastcgi_ng_auth_NAME */

ngx_int_t
ngx_http_fastcgi_ng_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *full = (ngx_str_t *) data;

    fcng_str  name;

    name.data = (char *) full->data + sizeof("fastcgi_ng_auth_") - 1;
    name.len = full->len - (sizeof("fastcgi_ng_auth_") - 1);

    (void) ngx_http_fastcgi_ng_auth_value(r, v, name);

    return NGX_OK;
}


/* nginx would read the client's Authorization each time. */

static ngx_int_t
ngx_http_fastcgi_ng_user_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    if (ngx_http_fastcgi_ng_auth_value(r, v, (fcng_str) FCNG_STR("REMOTE_USER"))
        == NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_http_fastcgi_ng_remote_user(r, v, data);
}


void
ngx_http_fastcgi_ng_replace_user(ngx_http_core_main_conf_t *cmcf)
{
    ngx_str_t             name = ngx_string("remote_user");
    ngx_uint_t            i;
    ngx_hash_key_t       *key;
    ngx_http_variable_t  *v;

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        v = key[i].value;

        if (v->name.len == name.len
            && ngx_strncmp(v->name.data, name.data, name.len) == 0)
        {
            ngx_http_fastcgi_ng_remote_user = v->get_handler;
            v->get_handler = ngx_http_fastcgi_ng_user_variable;

            /* what the client claimed before we asked must not stay */
            v->flags |= NGX_HTTP_VAR_NOCACHEABLE;
        }
    }
}
