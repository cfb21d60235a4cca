/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mod_fastcgi_ng: Apache httpd as a FastCGI 1.0 client.  The module's record
 * and its hooks; everything of substance is in fastcgi_ng_*.c.
 *
 * Nothing is kept in static variables: httpd unloads and loads the module
 * again at every restart.
 */
#include "fastcgi_ng.h"

#include "http_main.h"
#include "mpm_common.h"

static fastcgi_ng_child_t *child_of(server_rec *main_server)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(main_server->module_config,
                               &fastcgi_ng_module);

    return conf->child;
}

/* ----------------------------------------------------------- processes --- */

static int check_config(apr_pool_t *pconf, apr_pool_t *plog,
                        apr_pool_t *ptemp, server_rec *s)
{
    return fastcgi_ng_check_names(ptemp, s);
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog,
                       apr_pool_t *ptemp, server_rec *s)
{
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK; /* only a rehearsal */
    }
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                 "mod_fastcgi_ng (built with fcng %s, running %s)",
                 FCNG_VERSION, fcng_version());
    fastcgi_ng_check_hosts(ptemp, s);
    fastcgi_ng_shared_prepare(ptemp, s);
    return OK;
}

static apr_status_t child_exit(void *data)
{
    fastcgi_ng_child_t *child = data;

    atomic_store(&child->stopping, true);
    fastcgi_ng_service_stop(child);
    fastcgi_ng_mux_stop(child);
    fastcgi_ng_ahead_stop(child);
    fastcgi_ng_child_close_idle(child);
    return APR_SUCCESS;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = fastcgi_ng_child_create(pchild, s);

    fastcgi_ng_spool_prepare(pchild);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "mod_fastcgi_ng: no memory for the pools of this "
                     "process: requests to applications will fail");
        return;
    }
    rv = fastcgi_ng_mux_start(child_of(s));
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "mod_fastcgi_ng: no thread for connections that "
                     "requests share (multiplex): each has its own");
    }
    rv = fastcgi_ng_ahead_start(child_of(s));
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "mod_fastcgi_ng: no thread for min_idle: no connection "
                     "is opened ahead");
    }
    rv = fastcgi_ng_service_start(child_of(s));
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     "mod_fastcgi_ng: the service thread does not start: "
                     "idle connections stay open until the next request");
    }
    apr_pool_pre_cleanup_register(pchild, child_of(s), child_exit);
}

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
static void child_stopping(apr_pool_t *pchild, int graceful)
{
    fastcgi_ng_child_t *child = child_of(ap_server_conf);

    if (child != NULL) {
        atomic_store(&child->stopping, true);
        if (!graceful) {
            atomic_store(&child->aborting, true);
        }
        fastcgi_ng_child_close_idle(child);
    }
}
#endif

/* ------------------------------------------------------------ requests --- */

const fastcgi_ng_dir_conf_t *fastcgi_ng_dir_conf(request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &fastcgi_ng_module);
}

fastcgi_ng_request_t *fastcgi_ng_request_find(request_rec *r)
{
    return ap_get_module_config(r->request_config, &fastcgi_ng_module);
}

fastcgi_ng_request_t *fastcgi_ng_request_get(request_rec *r)
{
    fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);

    if (known == NULL) {
        known = apr_pcalloc(r->pool, sizeof(*known));
        ap_set_module_config(r->request_config, &fastcgi_ng_module, known);
    }
    return known;
}

/* The pool of a request that belongs to FastCgiNgPass, or NULL. */
static const char *passed_to(request_rec *r)
{
    const fastcgi_ng_request_t *known = fastcgi_ng_request_find(r);

    return known != NULL ? known->pass : NULL;
}

/* FastCgiNgPass: no file stands behind the path. */
static int translate_name(request_rec *r)
{
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);

    if (conf->pass == NULL || r->uri == NULL || r->uri[0] != '/'
        || r->proxyreq != PROXYREQ_NONE) {
        return DECLINED;
    }
    fastcgi_ng_request_get(r)->pass = conf->pass;
    r->filename = apr_pstrcat(r->pool, FASTCGI_NG_HANDLER, conf->pass, r->uri,
                              NULL);
    return OK;
}

static int map_to_storage(request_rec *r)
{
    return passed_to(r) != NULL ? OK : DECLINED;
}

/* mod_mime would read types, encodings and languages out of the path, and
   mod_dir put FallbackResource in the place of what has no handler. */
static int type_checker(request_rec *r)
{
    const char *pass = passed_to(r);

    if (pass == NULL) {
        return DECLINED;
    }
    r->handler = apr_pstrcat(r->pool, FASTCGI_NG_HANDLER, pass, NULL);
    return OK;
}

/* |is_filter|: with the file that stands behind the path. */
static int respond(request_rec *r, const char *name, const char *mount,
                   bool is_filter)
{
    fastcgi_ng_app_t *app = fastcgi_ng_find_app(r->server, name);

    if (r->method_number == M_CONNECT || r->method_number == M_TRACE) {
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (app == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: there is no pool \"%s\": define it with "
                      "FastCgiNgPool %s ADDRESS, or correct SetHandler "
                      "%s%s", fcng_msg_tag(FCNG_MSG_REQUEST), name, name,
                      is_filter ? FASTCGI_NG_FILTER_HANDLER
                                : FASTCGI_NG_HANDLER, name);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (app->backends == NULL) {
        return HTTP_INTERNAL_SERVER_ERROR; /* told in child_init */
    }
    if (is_filter) {
        return fastcgi_ng_filter_file(r, fastcgi_ng_dir_conf(r), app);
    }
    return fastcgi_ng_respond(r, fastcgi_ng_dir_conf(r), app, mount, NULL);
}

static int handler(request_rec *r)
{
    const char *pool;
    bool is_filter;
    const fastcgi_ng_dir_conf_t *conf = fastcgi_ng_dir_conf(r);

    /* After ap_internal_fast_redirect() it is a file's request after all. */
    if (passed_to(r) != NULL && conf->pass != NULL) {
        return respond(r, conf->pass, conf->mount, false);
    }
    if (r->handler == NULL) {
        return DECLINED;
    }
    if (strcmp(r->handler, FASTCGI_NG_STATUS_HANDLER) == 0) {
        return fastcgi_ng_status(r, child_of(ap_server_conf));
    }
    pool = fastcgi_ng_handler_pool(r->handler, &is_filter);
    return pool != NULL ? respond(r, pool, NULL, is_filter) : DECLINED;
}

static void register_hooks(apr_pool_t *p)
{
    static const char *const after_core[] = { "http_core.c", NULL };

    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
#endif
    ap_hook_translate_name(translate_name, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_map_to_storage(map_to_storage, after_core, NULL, APR_HOOK_MIDDLE);
    ap_hook_type_checker(type_checker, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_FIRST);
    fastcgi_ng_authorizer_hooks(p);
    fastcgi_ng_authz_hooks(p);
    fastcgi_ng_denial_hooks(p);
    fastcgi_ng_filter_hooks(p);
    fastcgi_ng_output_hooks(p);
    fastcgi_ng_status_hooks(p);
}

module AP_MODULE_DECLARE_DATA fastcgi_ng_module = {
    STANDARD20_MODULE_STUFF,
    fastcgi_ng_create_dir_conf,
    fastcgi_ng_merge_dir_conf,
    fastcgi_ng_create_server_conf,
    fastcgi_ng_merge_server_conf,
    fastcgi_ng_commands,
    register_hooks,
#ifdef AP_MODULE_FLAG_NONE
    AP_MODULE_FLAG_NONE
#endif
};
