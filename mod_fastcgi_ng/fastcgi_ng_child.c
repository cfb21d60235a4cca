/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The beginning and the end of a child process' pools: a backend for each
 * address, and its apps are told of them.
 */
#include "fastcgi_ng.h"

#include <unistd.h>

static apr_status_t backend_cleanup(void *data)
{
    fastcgi_ng_backend_t *b = data;
    fcng_pool_counts counts;

    fcng_pool_get_counts(b->pool, &counts);
    fastcgi_ng_io_forget_names(b);
    fastcgi_ng_stream_free(b);
    if (counts.connections > 0) {
        b->child->in_use = true; /* a request still runs; the process ends
                                    anyway */
        return APR_SUCCESS;
    }
    fcng_pool_del(b->pool);
    fcng_share_detach(b->seat);
    return APR_SUCCESS;
}

static fastcgi_ng_backend_t *backend_create(fastcgi_ng_child_t *child,
                                            const fastcgi_ng_app_t *app,
                                            fastcgi_ng_address_t *address)
{
    fastcgi_ng_backend_t *b = apr_pcalloc(child->pool, sizeof(*b));

    b->address = address;
    b->child = child;
    b->pool = fcng_pool_new(NULL, &app->options);
    if (b->pool == NULL
        || apr_thread_mutex_create(&b->mutex, APR_THREAD_MUTEX_DEFAULT,
                                   child->pool) != APR_SUCCESS) {
        return NULL;
    }
    b->seat = fastcgi_ng_shared_attach(child, address);
    if (b->seat != NULL) {
        fcng_pool_share(b->pool, b->seat);
    }
    fcng_outage_init(&b->outage);
    apr_pool_cleanup_register(child->pool, b, backend_cleanup,
                              apr_pool_cleanup_null);
    APR_ARRAY_PUSH(child->backends, fastcgi_ng_backend_t *) = b;
    return b;
}

/* The same address with the same limits is one backend, whatever app names
   it: a hundred virtual hosts with a pool "php" each have one queue. */
static fastcgi_ng_backend_t *backend_for(fastcgi_ng_child_t *child,
                                         const fastcgi_ng_app_t *app,
                                         fastcgi_ng_address_t *address,
                                         apr_hash_t *known)
{
    apr_array_header_t *list = apr_hash_get(known, address->key,
                                            APR_HASH_KEY_STRING);
    fastcgi_ng_backend_t *b;
    int i;

    if (list == NULL) {
        list = apr_array_make(child->pool, 1, sizeof(b));
        apr_hash_set(known, address->key, APR_HASH_KEY_STRING, list);
    }
    for (i = 0; i < list->nelts; i++) {
        b = APR_ARRAY_IDX(list, i, fastcgi_ng_backend_t *);
        if (fcng_pool_options_equal(fcng_pool_get_options(b->pool),
                                    &app->options)) {
            return b;
        }
    }
    b = backend_create(child, app, address);
    if (b != NULL) {
        APR_ARRAY_PUSH(list, fastcgi_ng_backend_t *) = b;
    }
    return b;
}

static apr_status_t app_create(fastcgi_ng_child_t *child,
                               fastcgi_ng_app_t *app, apr_hash_t *known)
{
    int i;

    atomic_init(&app->turn, (unsigned)getpid()); /* not all children alike */

    app->backends = apr_pcalloc(child->pool, sizeof(*app->backends)
                                * (apr_size_t)app->addresses->nelts);
    for (i = 0; i < app->addresses->nelts; i++) {
        app->backends[i] = backend_for(
            child, app,
            &APR_ARRAY_IDX(app->addresses, i, fastcgi_ng_address_t), known);
        if (app->backends[i] == NULL) {
            return APR_ENOMEM;
        }
    }
    return APR_SUCCESS;
}

/* A virtual host sees the main server's apps too: each is made once. */
static apr_status_t server_create(fastcgi_ng_child_t *child, server_rec *s,
                                  apr_hash_t *seen, apr_hash_t *known)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(s->module_config, &fastcgi_ng_module);
    apr_status_t rv = APR_SUCCESS;
    apr_hash_index_t *hi;

    for (hi = apr_hash_first(child->pool, conf->apps);
         hi != NULL && rv == APR_SUCCESS; hi = apr_hash_next(hi)) {
        fastcgi_ng_app_t *app = apr_hash_this_val(hi);

        if (apr_hash_get(seen, &app, sizeof(app)) == NULL) {
            fastcgi_ng_app_t **key = apr_pmemdup(child->pool, &app,
                                                 sizeof(app));

            apr_hash_set(seen, key, sizeof(app), app);
            rv = app_create(child, app, known);
        }
    }
    return rv;
}

static apr_status_t child_leave(void *data)
{
    fastcgi_ng_shared_leave(data);
    return APR_SUCCESS;
}

apr_status_t fastcgi_ng_child_create(apr_pool_t *pchild, server_rec *s)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(s->module_config, &fastcgi_ng_module);
    fastcgi_ng_child_t *child = apr_pcalloc(pchild, sizeof(*child));
    apr_hash_t *seen = apr_hash_make(pchild), *known = apr_hash_make(pchild);
    apr_status_t rv = APR_SUCCESS;
    server_rec *each;

    child->pool = pchild;
    child->server = s;
    child->backends = apr_array_make(pchild, 4,
                                     sizeof(fastcgi_ng_backend_t *));
    atomic_init(&child->stopping, false);
    atomic_init(&child->aborting, false);
    fastcgi_ng_shared_join(child);
    /* Run last: after those of the backends. */
    apr_pool_cleanup_register(pchild, child, child_leave,
                              apr_pool_cleanup_null);
    for (each = s; each != NULL && rv == APR_SUCCESS; each = each->next) {
        rv = server_create(child, each, seen, known);
    }
    conf->child = child;
    return rv;
}
