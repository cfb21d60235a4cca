/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Filter's FCGI_DATA (Spec 6.4): parts of files, and bytes that were
 * spooled, in the order in which they came.
 *
 * It is read piece by piece as the application takes it, into two buffers of a
 * record's size: the core borrows one while the other is filled.  Nothing is
 * dropped that may have to be sent again.
 */
#include "fastcgi_ng.h"

#define PIECES 2
#define SPOOL_MEMORY 65536
#define REPLAY_MAX 65536 /* streamed bytes kept for a second try */

typedef struct part_t {
    apr_file_t *file; /* NULL: the spool */
    apr_uint64_t start;
    apr_uint64_t length;
} part_t;

typedef struct piece_t {
    char *bytes;
    apr_uint64_t end; /* of all that was offered, when it was */
} piece_t;

struct fastcgi_ng_data_t {
    request_rec *r;
    const char *name;     /* in the log */
    apr_array_header_t *parts;
    fastcgi_ng_spool_t spool;
    apr_uint64_t length;  /* of all parts */
    apr_uint64_t at;      /* the next byte to offer */
    int part;             /* where it is */
    apr_uint64_t part_at; /* in that part */
    apr_time_t modified;
    apr_uint64_t announced;
    bool whole;           /* nothing more will come */
    bool fin;             /* offered to its end */
    bool partial;         /* something was dropped */
    piece_t piece[PIECES];
    int next;
};

fastcgi_ng_data_t *fastcgi_ng_data_create(request_rec *r, const char *name,
                                          apr_time_t modified)
{
    fastcgi_ng_data_t *data = apr_pcalloc(r->pool, sizeof(*data));

    data->r = r;
    data->name = name;
    data->modified = modified;
    data->announced = FCNG_LENGTH_UNKNOWN;
    data->parts = apr_array_make(r->pool, 4, sizeof(part_t));
    fastcgi_ng_spool_init(&data->spool, r, SPOOL_MEMORY);
    return data;
}

/* ------------------------------------------------------------- filling --- */

static void add_part(fastcgi_ng_data_t *data, apr_file_t *file,
                     apr_uint64_t start, apr_uint64_t length)
{
    part_t *last = data->parts->nelts > 0
                   ? &APR_ARRAY_IDX(data->parts, data->parts->nelts - 1,
                                    part_t) : NULL;

    data->length += length;
    if (last != NULL && last->file == file
        && last->start + last->length == start) {
        last->length += length;
    }
    else if (length > 0) {
        last = apr_array_push(data->parts);
        last->file = file;
        last->start = start;
        last->length = length;
    }
}

void fastcgi_ng_data_add_file(fastcgi_ng_data_t *data, apr_file_t *file,
                              apr_uint64_t start, apr_uint64_t length)
{
    add_part(data, file, start, length);
}

apr_status_t fastcgi_ng_data_add(fastcgi_ng_data_t *data, const char *bytes,
                                 apr_size_t len)
{
    apr_uint64_t start = data->spool.length;
    apr_status_t rv = fastcgi_ng_spool_add(&data->spool, bytes, len);

    if (rv == APR_SUCCESS) {
        add_part(data, NULL, start, len);
    }
    return rv;
}

void fastcgi_ng_data_announce(fastcgi_ng_data_t *data, apr_uint64_t length)
{
    data->announced = length;
}

void fastcgi_ng_data_end(fastcgi_ng_data_t *data)
{
    data->whole = true;
    if (data->at == 0) {
        data->announced = data->length;
    }
}

/* The application has it; true: it cannot be sent again. */
static void forget(fastcgi_ng_data_t *data)
{
    apr_array_clear(data->parts);
    fastcgi_ng_spool_clear(&data->spool);
    data->part = 0;
    data->part_at = 0;
    data->partial = true;
}

/* ------------------------------------------------------------- reading --- */

apr_uint64_t fastcgi_ng_data_length(const fastcgi_ng_data_t *data)
{
    return data->length;
}

apr_uint64_t fastcgi_ng_data_announced(const fastcgi_ng_data_t *data)
{
    return data->announced;
}

apr_uint64_t fastcgi_ng_data_modified(const fastcgi_ng_data_t *data)
{
    return (apr_uint64_t)apr_time_sec(data->modified);
}

bool fastcgi_ng_data_fin(const fastcgi_ng_data_t *data)
{
    return data == NULL || data->fin;
}

bool fastcgi_ng_data_repeatable(const fastcgi_ng_data_t *data)
{
    return data == NULL || (data->whole && !data->partial);
}

bool fastcgi_ng_data_replayable(const fastcgi_ng_data_t *data)
{
    return data == NULL || !data->partial;
}

void fastcgi_ng_data_rewind(fastcgi_ng_data_t *data)
{
    int i;

    if (data == NULL) {
        return;
    }
    data->at = 0;
    data->part = 0;
    data->part_at = 0;
    data->fin = false;
    for (i = 0; i < PIECES; i++) {
        data->piece[i].end = 0;
    }
}

static apr_status_t read_part(fastcgi_ng_data_t *data, const part_t *part,
                              apr_uint64_t at, char *out, apr_size_t len)
{
    return part->file != NULL
           ? fastcgi_ng_io_read_at(part->file, part->start + at, out, len)
           : fastcgi_ng_spool_read(&data->spool, part->start + at, out, len);
}

/* The next |len| bytes, all of which are there. */
static apr_status_t read_bytes(fastcgi_ng_data_t *data, char *out,
                               apr_size_t len)
{
    apr_status_t rv = APR_SUCCESS;

    while (len > 0 && rv == APR_SUCCESS) {
        const part_t *part = &APR_ARRAY_IDX(data->parts, data->part, part_t);
        apr_uint64_t left = part->length - data->part_at;
        apr_size_t n = left < len ? (apr_size_t)left : len;

        if (n == 0) {
            /* Not before: the last one may have grown meanwhile. */
            data->part++;
            data->part_at = 0;
            continue;
        }
        rv = read_part(data, part, data->part_at, out, n);
        out += n;
        len -= n;
        data->part_at += n;
    }
    return rv;
}

static int read_piece(fastcgi_ng_task_t *task, piece_t *piece,
                      apr_size_t *len)
{
    fastcgi_ng_data_t *data = task->data;
    apr_uint64_t left = data->length - data->at;
    apr_status_t rv;

    *len = left < FCNG_MAX_PAYLOAD ? (apr_size_t)left : FCNG_MAX_PAYLOAD;
    if (piece->bytes == NULL) {
        piece->bytes = apr_palloc(task->r->pool, FCNG_MAX_PAYLOAD);
    }
    rv = read_bytes(data, piece->bytes, *len);
    if (rv != APR_SUCCESS) {
        fastcgi_ng_log(task, APLOG_ERR, FCNG_MSG_REQUEST,
                       "%s cannot be read at byte %" APR_UINT64_T_FMT
                       " of %" APR_UINT64_T_FMT ": it has become shorter, "
                       "or its disk fails", data->name, data->at,
                       data->length);
        task->status = HTTP_INTERNAL_SERVER_ERROR;
        return FCNG_ERR_IO;
    }
    return FCNG_OK;
}

/* ------------------------------------------------------------ offering --- */

static int offer_end(fastcgi_ng_task_t *task)
{
    int err = fastcgi_ng_flow_offer(task, FCNG_DATA, NULL, 0, true);

    task->data->fin = err == FCNG_OK;
    return err;
}

static int offer_piece(fastcgi_ng_task_t *task, piece_t *piece)
{
    fastcgi_ng_data_t *data = task->data;
    int part = data->part;
    apr_uint64_t part_at = data->part_at;
    apr_size_t len;
    int err = read_piece(task, piece, &len);
    bool last = data->whole && data->at + len == data->length;

    if (err == FCNG_OK) {
        err = fastcgi_ng_flow_offer(task, FCNG_DATA, piece->bytes, len,
                                 last);
    }
    if (err == FCNG_OK) {
        data->at += len;
        data->fin = last;
        data->next = (data->next + 1) % PIECES;
        piece->end = fastcgi_ng_flow_offered(task);
    }
    else {
        data->part = part;
        data->part_at = part_at;
    }
    return err;
}

int fastcgi_ng_data_offer(fastcgi_ng_task_t *task)
{
    fastcgi_ng_data_t *data = task->data;
    int err = FCNG_OK;

    while (err == FCNG_OK && !data->fin) {
        piece_t *piece = &data->piece[data->next];

        if (fastcgi_ng_flow_sent(task) < piece->end) {
            return FCNG_OK; /* still on its way */
        }
        if (data->at < data->length) {
            err = offer_piece(task, piece);
        }
        else if (data->whole) {
            err = offer_end(task);
        }
        else {
            return FCNG_OK;
        }
    }
    return err == FCNG_AGAIN ? FCNG_OK : err;
}

bool fastcgi_ng_data_hungry(fastcgi_ng_task_t *task)
{
    fastcgi_ng_data_t *data = task->data;
    bool hungry = data != NULL && !data->whole && data->at == data->length
                  && fastcgi_ng_flow_sent(task)
                     == fastcgi_ng_flow_offered(task);

    if (hungry && data->length > REPLAY_MAX) {
        forget(data);
    }
    return hungry;
}

/* ------------------------------------------------------------- passing --- */

/* Bytes of the spool that lie in memory: they are copied. */
static apr_status_t pass_memory(fastcgi_ng_data_t *data, const part_t *part,
                                apr_bucket_brigade *bb)
{
    char *bytes = apr_palloc(data->r->pool, (apr_size_t)part->length);
    apr_status_t rv = read_part(data, part, 0, bytes,
                                (apr_size_t)part->length);

    if (rv == APR_SUCCESS) {
        rv = apr_brigade_write(bb, NULL, NULL, bytes,
                               (apr_size_t)part->length);
    }
    return rv;
}

apr_status_t fastcgi_ng_data_pass(fastcgi_ng_data_t *data,
                                  apr_bucket_brigade *bb)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; i < data->parts->nelts && rv == APR_SUCCESS; i++) {
        const part_t *part = &APR_ARRAY_IDX(data->parts, i, part_t);
        apr_file_t *file = part->file != NULL ? part->file : data->spool.file;

        if (file != NULL) {
            apr_brigade_insert_file(bb, file, (apr_off_t)part->start,
                                    (apr_off_t)part->length, data->r->pool);
        }
        else {
            rv = pass_memory(data, part, bb);
        }
    }
    return rv;
}
