/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the workers know of each other: the core's shared segment in a zone of
 * nginx's, and a descriptor for each worker by which others wake it.
 *
 * Both are made by the master and live as long as it does, so that the workers
 * of an old and of a new configuration count together and wake each other.
 */


#include "ngx_http_fastcgi_ng_module.h"

#include <signal.h>
#include <sched.h>

#if (NGX_HAVE_EVENTFD)
#include <sys/eventfd.h>
#endif


/* Old and new workers at a reload, and some that are being replaced. */
#define NGX_HTTP_FASTCGI_NG_DOORBELLS_MIN  16


static ngx_int_t ngx_http_fastcgi_ng_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_shm_zone_t *ngx_http_fastcgi_ng_zone(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_fastcgi_ng_add_doorbell(ngx_uint_t i,
    ngx_log_t *log);
static bool ngx_http_fastcgi_ng_alive(uint32_t pid, void *ctx);
static void ngx_http_fastcgi_ng_ring(unsigned slot, void *ctx);
static void ngx_http_fastcgi_ng_pause(void *ctx);
static void ngx_http_fastcgi_ng_listen(ngx_cycle_t *cycle);
static void ngx_http_fastcgi_ng_rung(ngx_event_t *ev);


/* [0] is read by the worker of that slot, [1] written by the others */
static int                ngx_http_fastcgi_ng_doorbell[FCNG_SHARE_SLOTS][2];
static ngx_uint_t         ngx_http_fastcgi_ng_ndoorbells;

static fcng_share        *ngx_http_fastcgi_ng_share;
static ngx_connection_t  *ngx_http_fastcgi_ng_listener;


/* at configuration time */

ngx_int_t
ngx_http_fastcgi_ng_shared_zone(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_main_conf_t *mcf)
{
    size_t     size;
    ngx_str_t  name = ngx_string("ngx_http_fastcgi_ng");

    /* nginx keeps a few bytes for each page; the pages come when touched */

    size = fcng_share_size();
    size += size / 64 + 16 * ngx_pagesize;

    mcf->zone = ngx_shared_memory_add(cf, &name, size,
                                      &ngx_http_fastcgi_ng_module);
    if (mcf->zone == NULL) {
        return NGX_ERROR;
    }

    mcf->zone->init = ngx_http_fastcgi_ng_init_zone;

    return NGX_OK;
}


static ngx_shm_zone_t *
ngx_http_fastcgi_ng_zone(ngx_cycle_t *cycle)
{
    ngx_http_fastcgi_ng_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_fastcgi_ng_module);

    return mcf ? mcf->zone : NULL;
}


static ngx_int_t
ngx_http_fastcgi_ng_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *slab;

    if (data) {
        zone->data = data;
        return NGX_OK;
    }

    slab = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = slab->data;
        return NGX_OK;
    }

    /*
     * A new mapping is all zeros, which is an empty segment; clearing it would
     * only touch its pages.
     */

    zone->data = ngx_slab_alloc(slab, fcng_share_size());
    if (zone->data == NULL) {
        return NGX_ERROR;
    }

#if (NGX_DEBUG_MALLOC)
    ngx_memzero(zone->data, fcng_share_size());
#endif

    slab->data = zone->data;

    return NGX_OK;
}


/* In the master: those of an earlier cycle stay. */

ngx_int_t
ngx_http_fastcgi_ng_shared_init(ngx_cycle_t *cycle)
{
    ngx_uint_t        n;
    ngx_core_conf_t  *ccf;

    if (ngx_test_config || ngx_http_fastcgi_ng_zone(cycle) == NULL) {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = 2 * ccf->worker_processes + 2;
    n = ngx_max(n, NGX_HTTP_FASTCGI_NG_DOORBELLS_MIN);
    n = ngx_min(n, FCNG_SHARE_SLOTS);

    while (ngx_http_fastcgi_ng_ndoorbells < n) {

        if (ngx_http_fastcgi_ng_add_doorbell(ngx_http_fastcgi_ng_ndoorbells,
                                             cycle->log)
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                          "fastcgi_ng: workers cannot wake each other, "
                          "requests that wait look ten times a second");
            break;
        }

        ngx_http_fastcgi_ng_ndoorbells++;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_fastcgi_ng_add_doorbell(ngx_uint_t i, ngx_log_t *log)
{
    int  *bell;

    bell = ngx_http_fastcgi_ng_doorbell[i];

#if (NGX_HAVE_EVENTFD)

    bell[0] = eventfd(0, 0);
    bell[1] = bell[0];

    if (bell[0] == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "eventfd() failed");
        return NGX_ERROR;
    }

#else

    if (pipe(bell) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "pipe() failed");
        return NGX_ERROR;
    }

#endif

    if (ngx_nonblocking(bell[0]) == -1 || ngx_nonblocking(bell[1]) == -1
        || fcntl(bell[0], F_SETFD, FD_CLOEXEC) == -1
        || fcntl(bell[1], F_SETFD, FD_CLOEXEC) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "fcntl() failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* In a worker. */

void
ngx_http_fastcgi_ng_shared_join(ngx_cycle_t *cycle)
{
    ngx_shm_zone_t   *zone;
    fcng_share_host   host;

    zone = ngx_http_fastcgi_ng_zone(cycle);

    if (zone == NULL) {
        return;
    }

    host.alive = ngx_http_fastcgi_ng_alive;
    host.wake = ngx_http_fastcgi_ng_ndoorbells ? ngx_http_fastcgi_ng_ring
                                               : NULL;
    host.pause = ngx_http_fastcgi_ng_pause;
    host.ctx = NULL;

    ngx_http_fastcgi_ng_share = fcng_share_join(NULL, zone->data, ngx_pid,
                                                &host);

    if (ngx_http_fastcgi_ng_share == NULL) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "fastcgi_ng: more than %d processes: the limits of "
                      "\"fastcgi_ng_pool\" hold within this one",
                      FCNG_SHARE_SLOTS);
        return;
    }

    ngx_http_fastcgi_ng_listen(cycle);
}


static void
ngx_http_fastcgi_ng_listen(ngx_cycle_t *cycle)
{
    ngx_int_t          event;
    ngx_uint_t         slot;
    ngx_connection_t  *c;

    slot = fcng_share_slot(ngx_http_fastcgi_ng_share);

    if (slot >= ngx_http_fastcgi_ng_ndoorbells) {
        return;
    }

    c = ngx_get_connection(ngx_http_fastcgi_ng_doorbell[slot][0], cycle->log);
    if (c == NULL) {
        return;
    }

    c->read->handler = ngx_http_fastcgi_ng_rung;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    event = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                    : NGX_LEVEL_EVENT;

    if (ngx_add_event(c->read, NGX_READ_EVENT, event) != NGX_OK) {
        ngx_free_connection(c);
        return;
    }

    ngx_http_fastcgi_ng_listener = c;
}


void
ngx_http_fastcgi_ng_shared_leave(void)
{
    if (ngx_http_fastcgi_ng_listener) {
        ngx_close_connection(ngx_http_fastcgi_ng_listener);
        ngx_http_fastcgi_ng_listener = NULL;
    }

    fcng_share_leave(ngx_http_fastcgi_ng_share);
    ngx_http_fastcgi_ng_share = NULL;
}


fcng_seat *
ngx_http_fastcgi_ng_shared_attach(struct sockaddr *sa, socklen_t socklen)
{
    u_char    text[NGX_SOCKADDR_STRLEN];
    fcng_str  key;

    if (ngx_http_fastcgi_ng_share == NULL) {
        return NULL;
    }

    key.data = (char *) text;
    key.len = ngx_sock_ntop(sa, socklen, text, NGX_SOCKADDR_STRLEN, 1);

    return fcng_share_attach(ngx_http_fastcgi_ng_share, key);
}


/* what the core asks for */

static bool
ngx_http_fastcgi_ng_alive(uint32_t pid, void *ctx)
{
    return kill((ngx_pid_t) pid, 0) == 0 || ngx_errno == NGX_EPERM;
}


static void
ngx_http_fastcgi_ng_ring(unsigned slot, void *ctx)
{
    uint64_t  one;

    if (slot >= ngx_http_fastcgi_ng_ndoorbells) {
        return;
    }

    one = 1;

    /* a full one rings already */
    (void) !write(ngx_http_fastcgi_ng_doorbell[slot][1], &one, sizeof(one));
}


static void
ngx_http_fastcgi_ng_pause(void *ctx)
{
    ngx_sched_yield();
}


static void
ngx_http_fastcgi_ng_rung(ngx_event_t *ev)
{
    u_char             drain[512];
    ngx_connection_t  *c;

    c = ev->data;

    while (read(c->fd, drain, sizeof(drain)) == sizeof(drain)) { /* void */ }

    ngx_http_fastcgi_ng_pools_run();
}


/* fastcgi_ng_status */

ngx_int_t
ngx_http_fastcgi_ng_status_handler(ngx_http_request_t *r)
{
    size_t            len;
    ngx_int_t         rc;
    ngx_buf_t        *b;
    fcng_status       status;
    ngx_chain_t      *out, **last;
    ngx_table_elt_t  *h;
    ngx_str_t         type = ngx_string("application/json");

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_type = type;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = 0;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    b = NULL;
    last = &out;

    fcng_status_init(&status, ngx_http_fastcgi_ng_share);

    do {
        if (b == NULL || b->end - b->last < FCNG_STATUS_PIECE) {

            b = ngx_create_temp_buf(r->pool, 4 * FCNG_STATUS_PIECE);
            *last = ngx_alloc_chain_link(r->pool);

            if (b == NULL || *last == NULL) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            (*last)->buf = b;
            (*last)->next = NULL;
            last = &(*last)->next;
        }

        len = fcng_status_next(&status, (char *) b->last);
        b->last += len;
        r->headers_out.content_length_n += len;

    } while (len);

    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}
