/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fastcgi_ng_read_timeout for a request that has left: hardly any comes near
 * it, so its timer goes into nginx's tree only when the answer takes long.
 * Until then the stream is in a queue, in the order in which they left, which
 * one event looks through.  That event is a timer as long as anything waits:
 * a worker that is to exit stays for it.
 */


#include "ngx_http_fastcgi_ng_module.h"


#define NGX_HTTP_FASTCGI_NG_LOOK  50    /* ms; after so long, a timer */


static void ngx_http_fastcgi_ng_patience_handler(ngx_event_t *ev);


static ngx_queue_t       ngx_http_fastcgi_ng_patients;
static ngx_event_t       ngx_http_fastcgi_ng_look;
static ngx_connection_t  ngx_http_fastcgi_ng_look_ident;


void
ngx_http_fastcgi_ng_patience_init(void)
{
    ngx_queue_init(&ngx_http_fastcgi_ng_patients);

    /* the debug log wants to tell a descriptor */
    ngx_http_fastcgi_ng_look_ident.fd = (ngx_socket_t) -1;

    ngx_http_fastcgi_ng_look.data = &ngx_http_fastcgi_ng_look_ident;
    ngx_http_fastcgi_ng_look.log = ngx_cycle->log;
    ngx_http_fastcgi_ng_look.handler = ngx_http_fastcgi_ng_patience_handler;
}


/* The request has left: its answer has read_timeout. */

void
ngx_http_fastcgi_ng_patience_begin(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_msec_t  timeout;

    if (st->patient || st->read.timer_set) {
        return;
    }

    timeout = st->request->upstream->conf->read_timeout;

    if (timeout < 2 * NGX_HTTP_FASTCGI_NG_LOOK) {
        ngx_add_timer(&st->read, timeout);
        return;
    }

    st->patient = 1;
    st->left = ngx_current_msec;
    ngx_queue_insert_tail(&ngx_http_fastcgi_ng_patients, &st->patience);

    if (!ngx_http_fastcgi_ng_look.timer_set) {
        ngx_add_timer(&ngx_http_fastcgi_ng_look, NGX_HTTP_FASTCGI_NG_LOOK);
    }
}


/* The head is there: nginx sets timers for the body.  Or it is all over. */

void
ngx_http_fastcgi_ng_patience_end(ngx_http_fastcgi_ng_stream_t *st)
{
    if (st->patient) {
        st->patient = 0;
        ngx_queue_remove(&st->patience);
    }
}


static void
ngx_http_fastcgi_ng_patience_handler(ngx_event_t *ev)
{
    ngx_msec_t                     passed, timeout;
    ngx_queue_t                   *q;
    ngx_http_fastcgi_ng_stream_t  *st;

    while (!ngx_queue_empty(&ngx_http_fastcgi_ng_patients)) {
        q = ngx_queue_head(&ngx_http_fastcgi_ng_patients);
        st = ngx_queue_data(q, ngx_http_fastcgi_ng_stream_t, patience);

        passed = ngx_current_msec - st->left;

        if (passed < NGX_HTTP_FASTCGI_NG_LOOK / 2) {
            ngx_add_timer(ev, NGX_HTTP_FASTCGI_NG_LOOK);
            return;
        }

        ngx_http_fastcgi_ng_patience_end(st);

        if (!st->read.timer_set) {
            timeout = st->request->upstream->conf->read_timeout;
            ngx_add_timer(&st->read, timeout - ngx_min(passed, timeout));
        }
    }
}
