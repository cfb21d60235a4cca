/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * min_idle: connections that are opened before a request needs them.  A worker
 * makes the pools of its configuration's servers when it starts, and looks
 * whenever their timer comes; the core says how many are this worker's.
 *
 * Names that are resolved while nginx runs are known to nobody before a
 * request asks for them: their pools are filled from then on.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define NGX_HTTP_FASTCGI_NG_AHEAD_TIMEOUT  5000


static void ngx_http_fastcgi_ng_ahead_location(
    ngx_http_fastcgi_ng_loc_conf_t *conf);
static void ngx_http_fastcgi_ng_ahead_address(
    ngx_http_fastcgi_ng_loc_conf_t *conf, struct sockaddr *sa,
    socklen_t socklen, ngx_str_t *name);
static void ngx_http_fastcgi_ng_ahead_failed(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_err_t err);


/* In a worker that begins. */

void
ngx_http_fastcgi_ng_ahead_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_http_fastcgi_ng_upstream_t   *up;
    ngx_http_fastcgi_ng_loc_conf_t  **location;
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_fastcgi_ng_module);
    if (mcf == NULL) {
        return;
    }

    location = mcf->locations.elts;

    for (i = 0; i < mcf->locations.nelts; i++) {

        up = (ngx_http_fastcgi_ng_upstream_t *)
                                             location[i]->upstream.upstream;

        if (up && up->conf.peer.init == ngx_http_fastcgi_ng_peer_init
            && up->pool->min_idle
            && (location[i]->upstream.local == NULL
                || location[i]->upstream.local->value == NULL))
        {
            ngx_http_fastcgi_ng_ahead_location(location[i]);
        }
    }
}


static void
ngx_http_fastcgi_ng_ahead_location(ngx_http_fastcgi_ng_loc_conf_t *conf)
{
    ngx_uint_t                       i, n;
    ngx_addr_t                      *addr;
    ngx_http_upstream_server_t      *server;
    ngx_http_upstream_rr_peer_t     *peer;
    ngx_http_upstream_rr_peers_t    *peers;
    ngx_http_upstream_srv_conf_t    *us;
    ngx_http_fastcgi_ng_upstream_t  *up;

    up = (ngx_http_fastcgi_ng_upstream_t *) conf->upstream.upstream;
    us = up->original;

    if (us->servers == NULL) {

        /* a plain address: nothing but round robin can be below */

        peers = us->peer.data;

        for (peer = peers->peer; peer; peer = peer->next) {
            ngx_http_fastcgi_ng_ahead_address(conf, peer->sockaddr,
                                              peer->socklen, &peer->name);
        }

        return;
    }

    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {

        if (server[i].down || server[i].backup) {
            continue;
        }

        addr = server[i].addrs;

        for (n = 0; n < server[i].naddrs; n++) {
            ngx_http_fastcgi_ng_ahead_address(conf, addr[n].sockaddr,
                                              addr[n].socklen, &addr[n].name);
        }
    }
}


static void
ngx_http_fastcgi_ng_ahead_address(ngx_http_fastcgi_ng_loc_conf_t *conf,
    struct sockaddr *sa, socklen_t socklen, ngx_str_t *name)
{
    ngx_peer_connection_t            pc;
    ngx_http_fastcgi_ng_pool_t      *pool;
    ngx_http_fastcgi_ng_upstream_t  *up;

    up = (ngx_http_fastcgi_ng_upstream_t *) conf->upstream.upstream;

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = sa;
    pc.socklen = socklen;
    pc.name = name;

    /* as ngx_http_upstream_init_request() has it */

    if (conf->upstream.local) {
        pc.local = conf->upstream.local->addr;
#if (NGX_HAVE_TRANSPARENT_PROXY)
        pc.transparent = conf->upstream.local->transparent;
#endif
    }

    pc.so_keepalive = conf->upstream.socket_keepalive;

    pool = ngx_http_fastcgi_ng_pool_find(conf, &pc, up->pool);

    if (pool) {
        ngx_http_fastcgi_ng_ahead(pool);
        ngx_http_fastcgi_ng_pool_schedule(pool);
    }
}


/* The pool's timer has come: what is missing is opened. */

void
ngx_http_fastcgi_ng_ahead(ngx_http_fastcgi_ng_pool_t *pool)
{
    ngx_err_t                    err;
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_link_t  *link;

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    while (fcng_pool_open_ahead(pool->fcng, ngx_http_fastcgi_ng_now())) {

        link = ngx_http_fastcgi_ng_link_open(pool, FCNG_POOL_ANY,
                                             ngx_cycle->log, &err);
        if (link == NULL) {
            ngx_http_fastcgi_ng_ahead_failed(pool, err);
            continue;
        }

        if (!link->connecting) {
            ngx_http_fastcgi_ng_ahead_connected(link, 0);
            continue;
        }

        /* nobody waits for it: no worker lives on for its sake */

        c = link->connection;
        c->write->cancelable = 1;
        ngx_add_timer(c->write, NGX_HTTP_FASTCGI_NG_AHEAD_TIMEOUT);
    }
}


/* |err| of a connect that has come to its end. */

void
ngx_http_fastcgi_ng_ahead_connected(ngx_http_fastcgi_ng_link_t *link,
    ngx_err_t err)
{
    ngx_connection_t            *c;
    ngx_http_fastcgi_ng_pool_t  *pool;

    pool = link->pool;
    c = link->connection;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->cancelable = 0;

    if (err || ngx_exiting) {
        ngx_http_fastcgi_ng_link_close(link);
        ngx_http_fastcgi_ng_ahead_failed(pool, err);
        return;
    }

    pool->ahead_failed = 0;

    link->added = 1;
    c->idle = 1;

    fcng_pool_opened_ahead(pool->fcng, &link->conn, ngx_http_fastcgi_ng_now());
}


/* Told once: what it means for requests, requests will tell. */

static void
ngx_http_fastcgi_ng_ahead_failed(ngx_http_fastcgi_ng_pool_t *pool,
    ngx_err_t err)
{
    if (err && !pool->ahead_failed) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, err,
                      "%s: %V: connect() failed, no connection is opened "
                      "ahead (fastcgi_ng_pool min_idle=%uD)",
                      fcng_msg_tag(FCNG_MSG_CONNECT), &pool->name,
                      pool->options.min_idle);
        pool->ahead_failed = 1;
    }

    fcng_pool_opened_ahead(pool->fcng, NULL, ngx_http_fastcgi_ng_now());
}
