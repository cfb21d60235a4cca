/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the DATA of a Filter is read, when it is a file: nginx reads a record at
 * a time into its one buffer, itself or, with `aio threads`, in its pool of
 * threads.
 *
 * A read in a thread outlives its attempt, and even its request's end: it
 * holds the request, hence the pool with the buffer and the descriptor, until
 * it is done.  Each attempt has a task and a buffer of its own, so that what
 * an earlier one was reading disturbs nobody.
 */


#include "ngx_http_fastcgi_ng_module.h"


#if (NGX_THREADS)

/* What a task belongs to. */
struct ngx_http_fastcgi_ng_reading_s {
    ngx_connection_t               ident;        /* of an event with a timer:
                                                    must be the first */
    ngx_http_request_t            *request;
    ngx_http_fastcgi_ng_stream_t  *stream;       /* NULL: the attempt is over */
    ngx_file_t                    *file;
    ngx_uint_t                     terminated;   /* unsigned  :1; */
};


static ngx_int_t ngx_http_fastcgi_ng_data_thread_handler(
    ngx_thread_task_t *task, ngx_file_t *file);
static ngx_thread_pool_t *ngx_http_fastcgi_ng_data_thread_pool(
    ngx_http_request_t *r);
static ngx_http_fastcgi_ng_reading_t *ngx_http_fastcgi_ng_data_reading(
    ngx_http_fastcgi_ng_stream_t *st);
static void ngx_http_fastcgi_ng_data_event_handler(ngx_event_t *ev);
static void ngx_http_fastcgi_ng_data_cleanup(void *data);

#endif


/* Of each request, once nginx has set up u->output. */

void
ngx_http_fastcgi_ng_data_init(ngx_http_request_t *r)
{
    ngx_http_upstream_t       *u;
#if (NGX_THREADS)
    ngx_http_core_loc_conf_t  *clcf;
#endif

    u = r->upstream;

    /* a record at a time */
    u->output.bufs.size = FCNG_MAX_PAYLOAD;

#if (NGX_THREADS)

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->aio == NGX_HTTP_AIO_THREADS) {
        u->output.thread_handler = ngx_http_fastcgi_ng_data_thread_handler;
    }

#endif
}


/* Of each attempt, before nginx rewinds. */

void
ngx_http_fastcgi_ng_data_attempt(ngx_http_request_t *r)
{
    ngx_http_upstream_t  *u;

    u = r->upstream;

    /* what the last attempt was about to send holds nginx's only buffer */
    u->output.free = NULL;
    u->output.allocated = 0;

#if (NGX_THREADS)

    if (u->output.aio) {
        /* a thread is reading into it */
        u->output.buf = NULL;
        u->output.aio = 0;
    }

    u->output.thread_task = NULL;

#endif
}


/*
 * nginx knows of one file in a request, and rewinds DATA behind a body that is
 * in a file to that one's end.  When the parameters are written nothing of
 * DATA has been read: the body has the only buffer.
 */

void
ngx_http_fastcgi_ng_data_rewind(ngx_http_request_t *r, ngx_chain_t *data)
{
    ngx_uint_t    after;
    ngx_chain_t  *cl;

    after = 0;

    for (cl = r->upstream->request_bufs;
         cl && cl->buf != data->buf;
         cl = cl->next)
    {
        after |= cl->buf->in_file;
    }

    if (after) {
        /* the rest of |data| is in memory */
        data->buf->file_pos = 0;
    }
}


/* The stream is about to be freed. */

void
ngx_http_fastcgi_ng_data_leave(ngx_http_fastcgi_ng_stream_t *st)
{
#if (NGX_THREADS)

    if (st->reading) {
        st->reading->stream = NULL;
        st->reading = NULL;
    }

#endif
}


#if (NGX_THREADS)

static ngx_int_t
ngx_http_fastcgi_ng_data_thread_handler(ngx_thread_task_t *task,
    ngx_file_t *file)
{
    ngx_thread_pool_t              *tp;
    ngx_http_request_t             *r;
    ngx_chain_writer_ctx_t         *writer;
    ngx_http_fastcgi_ng_stream_t   *st;
    ngx_http_fastcgi_ng_reading_t  *reading;

    writer = file->thread_ctx;
    st = (ngx_http_fastcgi_ng_stream_t *) writer->connection;
    r = st->request;

    tp = ngx_http_fastcgi_ng_data_thread_pool(r);
    reading = ngx_http_fastcgi_ng_data_reading(st);

    if (tp == NULL || reading == NULL) {
        return NGX_ERROR;
    }

    reading->file = file;

    task->event.data = reading;
    task->event.handler = ngx_http_fastcgi_ng_data_event_handler;
    task->event.log = file->log;

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        return NGX_ERROR;
    }

    /* a worker that exits waits for timers only */
    ngx_add_timer(&task->event, 60000);

    /*
     * blocked keeps a request that is terminated, the count one that ends in
     * order, which nginx would free for the client's next request
     */

    r->main->blocked++;
    r->main->count++;

    r->upstream->output.aio = 1;

    return NGX_OK;
}


static ngx_thread_pool_t *
ngx_http_fastcgi_ng_data_thread_pool(ngx_http_request_t *r)
{
    ngx_str_t                  name;
    ngx_thread_pool_t         *tp;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->thread_pool) {
        return clcf->thread_pool;
    }

    if (ngx_http_complex_value(r, clcf->thread_pool_value, &name) != NGX_OK) {
        return NULL;
    }

    tp = ngx_thread_pool_get((ngx_cycle_t *) ngx_cycle, &name);

    if (tp == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "thread pool \"%V\" not found", &name);
    }

    return tp;
}


static ngx_http_fastcgi_ng_reading_t *
ngx_http_fastcgi_ng_data_reading(ngx_http_fastcgi_ng_stream_t *st)
{
    ngx_http_cleanup_t             *cln;
    ngx_http_fastcgi_ng_reading_t  *reading;

    if (st->reading) {
        return st->reading;
    }

    cln = ngx_http_cleanup_add(st->request,
                               sizeof(ngx_http_fastcgi_ng_reading_t));
    if (cln == NULL) {
        return NULL;
    }

    reading = cln->data;
    cln->handler = ngx_http_fastcgi_ng_data_cleanup;

    ngx_memzero(reading, sizeof(ngx_http_fastcgi_ng_reading_t));

    reading->ident.fd = (ngx_socket_t) -1;
    reading->request = st->request;
    reading->stream = st;

    st->reading = reading;

    return reading;
}


/* A read is done. */

static void
ngx_http_fastcgi_ng_data_event_handler(ngx_event_t *ev)
{
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_fastcgi_ng_stream_t   *st;
    ngx_http_fastcgi_ng_reading_t  *reading;

    reading = ev->data;
    r = reading->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "fastcgi-ng data thread: \"%V?%V\"", &r->uri, &r->args);

    if (ev->timedout) {
        ev->timedout = 0;
        ngx_add_timer(ev, 60000);

        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "reading \"%V\" in a thread takes very long",
                      &reading->file->name);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    r->main->blocked--;

    if (reading->terminated) {
        /* nginx goes on with what it could not do while it was blocked */
        ngx_http_finalize_request(r->main, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    st = reading->stream;

    if (st) {
        r->upstream->output.aio = 0;

        /* else it goes on when the connection has room */
        if (st->write.ready) {
            ngx_post_event(&st->write, &ngx_posted_events);
        }
    }

    if (r->main->count > 1) {
        r->main->count--;
        return;
    }

    /* it was complete, and waited for this */
    ngx_http_finalize_request(r->main, NGX_DONE);
}


/* The request is terminated, or freed. */

static void
ngx_http_fastcgi_ng_data_cleanup(void *data)
{
    ngx_http_fastcgi_ng_reading_t  *reading = data;

    reading->terminated = 1;

    /* that its client has left nginx shall not find out twice */
    reading->request->read_event_handler = ngx_http_block_reading;
    reading->request->main->read_event_handler = ngx_http_block_reading;
}

#endif
