/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes that wait in memory and then in a temporary file; and the client's
 * body, as bytes for the application: read from httpd's input filters without
 * blocking, or spooled when its length is not known.
 *
 * The bytes stand in this order: |held| before |next| (offered to the core,
 * which borrows them until they are sent), |held| from |next| on, the file
 * from |file_out| on, what the client still has.
 */
#include "fastcgi_ng.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "apr_file_io.h"
#include "http_connection.h"
#include "util_filter.h"

#define WINDOW 131072        /* bytes offered and not yet sent */
#define READ_SIZE 65536      /* asked from the filters at once */
#define REPLAY_MAX 65536     /* streamed bytes kept for a second try */
#define SPOOL_MEMORY 65536   /* spooled bytes kept in memory */

/* Whether a filter between the protocol and us may change the length. */
static bool length_may_change(request_rec *r)
{
    return r->input_filters != r->proto_input_filters
           && r->input_filters->frec->ftype < AP_FTYPE_PROTOCOL;
}

static apr_bucket *first_of(apr_bucket_brigade *bb)
{
    return APR_BRIGADE_FIRST(bb);
}

static bool nothing_to_offer(const fastcgi_ng_body_t *body)
{
    return body->next == APR_BRIGADE_SENTINEL(body->held);
}

/* Takes the next data bucket off |scratch|; NULL: none is left. */
static apr_bucket *next_read(fastcgi_ng_body_t *body)
{
    while (!APR_BRIGADE_EMPTY(body->scratch)) {
        apr_bucket *b = first_of(body->scratch);

        if (APR_BUCKET_IS_EOS(b)) {
            body->eos = true;
        }
        if (!APR_BUCKET_IS_METADATA(b) && b->length != 0) {
            return b;
        }
        apr_bucket_delete(b);
    }
    return NULL;
}

/* Moves what was read to the end of |held|; the bytes stay valid. */
static apr_status_t keep_in_memory(fastcgi_ng_body_t *body)
{
    bool none = nothing_to_offer(body);
    apr_bucket *b;
    const char *data;
    apr_size_t len;

    while ((b = next_read(body)) != NULL) {
        apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

        if (rv == APR_SUCCESS) {
            rv = apr_bucket_setaside(b, body->r->pool);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(body->held, b);
        body->read += len;
        if (none) {
            body->next = b;
            none = false;
        }
    }
    return APR_SUCCESS;
}

/* ---------------------------------------------------------- any bytes --- */

/* Found once: it is found by writing a file, and when that fails later, the
   operator must read that this folder is full. */
static const char *folder = "/tmp";

void fastcgi_ng_spool_prepare(apr_pool_t *pchild)
{
    const char *found;

    if (apr_temp_dir_get(&found, pchild) == APR_SUCCESS) {
        folder = found;
    }
}

/* For threads that have no pool of their own to make it in. */
int fastcgi_ng_spool_file(void)
{
    char name[PATH_MAX];
    int fd;

    apr_snprintf(name, sizeof(name), "%s/fastcgi-ng.XXXXXX", folder);
    fd = mkstemp(name);
    if (fd >= 0) {
        unlink(name);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return fd;
}

const char *fastcgi_ng_spool_folder(void)
{
    return folder;
}

static apr_status_t open_temporary(apr_file_t **file, apr_pool_t *p)
{
    char *name = apr_pstrcat(p, folder, "/fastcgi-ng.XXXXXX", NULL);
    apr_status_t rv = apr_file_mktemp(file, name, APR_CREATE | APR_READ
                                      | APR_WRITE | APR_EXCL, p);

    if (rv == APR_SUCCESS) {
        apr_file_remove(name, p); /* nothing stays behind, whatever comes */
    }
    return rv;
}

void fastcgi_ng_spool_init(fastcgi_ng_spool_t *spool, request_rec *r,
                           apr_uint64_t memory_max)
{
    spool->pool = r->pool;
    spool->memory = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    spool->file = NULL;
    spool->length = 0;
    spool->memory_max = memory_max;
}

static apr_status_t empty_memory(fastcgi_ng_spool_t *spool)
{
    apr_status_t rv = APR_SUCCESS;
    const char *data;
    apr_size_t len;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(spool->memory)) {
        apr_bucket *b = APR_BRIGADE_FIRST(spool->memory);

        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv == APR_SUCCESS) {
            rv = apr_file_write_full(spool->file, data, len, NULL);
        }
        apr_bucket_delete(b);
    }
    return rv;
}

apr_status_t fastcgi_ng_spool_add(fastcgi_ng_spool_t *spool, const char *data,
                                  apr_size_t len)
{
    apr_status_t rv = APR_SUCCESS;

    spool->length += len;
    if (spool->file == NULL && spool->length <= spool->memory_max) {
        return apr_brigade_write(spool->memory, NULL, NULL, data, len);
    }
    if (spool->file == NULL) {
        rv = open_temporary(&spool->file, spool->pool);
        if (rv == APR_SUCCESS) {
            rv = empty_memory(spool);
        }
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(spool->file, data, len, NULL);
    }
    return rv;
}

void fastcgi_ng_spool_take(fastcgi_ng_spool_t *spool, apr_bucket_brigade *bb)
{
    if (spool->file != NULL) {
        apr_brigade_insert_file(bb, spool->file, 0, (apr_off_t)spool->length,
                                spool->pool);
    }
    else {
        APR_BRIGADE_CONCAT(bb, spool->memory);
    }
}

static apr_status_t read_memory(const fastcgi_ng_spool_t *spool,
                                apr_uint64_t at, char *out, apr_size_t len)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(spool->memory);
         len > 0 && b != APR_BRIGADE_SENTINEL(spool->memory);
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t n;

        if (apr_bucket_read(b, &data, &n, APR_BLOCK_READ) != APR_SUCCESS) {
            return APR_EGENERAL;
        }
        if (at >= n) {
            at -= n;
            continue;
        }
        n -= (apr_size_t)at;
        n = n < len ? n : len;
        memcpy(out, data + at, n);
        at = 0;
        out += n;
        len -= n;
    }
    return len == 0 ? APR_SUCCESS : APR_EOF;
}

apr_status_t fastcgi_ng_spool_read(const fastcgi_ng_spool_t *spool,
                                   apr_uint64_t at, char *out, apr_size_t len)
{
    return spool->file != NULL
           ? fastcgi_ng_io_read_at(spool->file, at, out, len)
           : read_memory(spool, at, out, len);
}

void fastcgi_ng_spool_clear(fastcgi_ng_spool_t *spool)
{
    apr_off_t start = 0;

    apr_brigade_cleanup(spool->memory);
    spool->length = 0;
    if (spool->file != NULL) {
        apr_file_seek(spool->file, APR_SET, &start);
    }
}

/* ---------------------------------------------------------- the client --- */

static apr_status_t file_append(fastcgi_ng_body_t *body, apr_bucket *b)
{
    apr_off_t end = (apr_off_t)body->file_in;
    const char *data;
    apr_size_t len;
    apr_status_t rv = body->file != NULL ? APR_SUCCESS
                      : open_temporary(&body->file, body->r->pool);

    if (rv == APR_SUCCESS) {
        rv = apr_file_seek(body->file, APR_SET, &end);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
    }
    if (rv == APR_SUCCESS) {
        rv = apr_file_write_full(body->file, data, len, NULL);
        body->file_in += len;
    }
    return rv;
}

static apr_status_t keep_in_file(fastcgi_ng_body_t *body)
{
    apr_status_t rv = APR_SUCCESS;
    apr_bucket *b;

    while (rv == APR_SUCCESS && (b = next_read(body)) != NULL) {
        body->read += b->length;
        rv = file_append(body, b);
        apr_bucket_delete(b);
    }
    return rv;
}

static int not_kept(fastcgi_ng_body_t *body, apr_status_t rv, bool in_file)
{
    ap_log_rerror(APLOG_MARK, APLOG_ERR, rv, body->r,
                  "%s: the request's body cannot be kept in %s%s, request: "
                  "\"%s %s\"", fcng_msg_tag(FCNG_MSG_REQUEST),
                  in_file ? "a temporary file in " : "memory",
                  in_file ? folder : "", body->r->method, body->r->uri);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* httpd sends "100 Continue" by itself only before a read that blocks. */
static void send_continue(request_rec *r)
{
    int status = r->status;
    const char *line = r->status_line;

    r->status = HTTP_CONTINUE;
    r->status_line = NULL;
    ap_send_interim_response(r, 0);
    r->status = status;
    r->status_line = line;
}

static int read_client(fastcgi_ng_body_t *body, apr_read_type_e block,
                       bool to_file)
{
    request_rec *r = body->r;
    apr_status_t rv = ap_get_brigade(r->input_filters, body->scratch,
                                     AP_MODE_READBYTES, block, READ_SIZE);

    body->waits = APR_STATUS_IS_EAGAIN(rv)
                  || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(body->scratch));
    if (body->waits) {
        if (r->expecting_100) {
            send_continue(r);
        }
        return OK;
    }
    if (rv != APR_SUCCESS) {
        apr_brigade_cleanup(body->scratch);
        return ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    }
    rv = to_file ? keep_in_file(body) : keep_in_memory(body);
    if (rv != APR_SUCCESS) {
        return not_kept(body, rv, to_file);
    }
    return OK;
}

/* LimitRequestBody is checked here too: the application must not hear of a
   request that httpd is going to refuse when its body is read. */
static int known_length(fastcgi_ng_body_t *body, const char *text)
{
    apr_off_t len, limit = ap_get_limit_req_body(body->r);
    char *end;

    if (apr_strtoff(&len, text, &end, 10) != APR_SUCCESS || *end != '\0'
        || len < 0) {
        return HTTP_BAD_REQUEST;
    }
    if (limit > 0 && len > limit) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    body->length = (apr_uint64_t)len;
    body->announced = true;
    return OK;
}

/*
 * After an internal redirect the body may have been read already: what comes
 * first decides.  Also HTTP/2, where a request without Content-Length may or
 * may not have a body.
 */
static int look_ahead(fastcgi_ng_body_t *body)
{
    int rc = read_client(body, APR_NONBLOCK_READ, false);

    if (rc == OK && body->eos) {
        body->length = body->read;
        body->announced = body->announced && body->read > 0;
    }
    return rc;
}

int fastcgi_ng_body_init(fastcgi_ng_body_t *body, request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    bool coded = apr_table_get(r->headers_in, "Transfer-Encoding") != NULL;
    int rc = OK;

    body->r = r;
    if (r->main != NULL || (length == NULL && !coded
                            && r->connection->master == NULL)) {
        body->eos = true;
        body->fin = true;
        return OK; /* none; what a subrequest sees belongs to its parent */
    }
    body->scratch = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    body->held = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    body->next = APR_BRIGADE_SENTINEL(body->held);
    body->length = FCNG_LENGTH_UNKNOWN;
    if (length != NULL && !coded && !length_may_change(r)) {
        rc = known_length(body, length);
    }
    if (rc == OK && body->length > 0
        && (r->prev != NULL || (length == NULL && !coded))) {
        rc = look_ahead(body);
    }
    if (rc == OK && body->length == 0) {
        body->eos = true;
        body->fin = true;
    }
    return rc;
}

/* --------------------------------------------------------------- spool --- */

static int memory_to_file(fastcgi_ng_body_t *body)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(body->held)) {
        rv = file_append(body, first_of(body->held));
        apr_bucket_delete(first_of(body->held));
    }
    body->next = APR_BRIGADE_SENTINEL(body->held);
    if (rv != APR_SUCCESS) {
        return not_kept(body, rv, true);
    }
    return OK;
}

int fastcgi_ng_body_spool(fastcgi_ng_body_t *body)
{
    int rc = OK;

    while (!body->eos && rc == OK) {
        rc = read_client(body, APR_BLOCK_READ, body->file != NULL);
        if (rc == OK && body->file == NULL && body->read > SPOOL_MEMORY) {
            rc = memory_to_file(body);
        }
    }
    body->spooled = true;
    body->length = body->read;
    body->announced = true;
    body->fin = body->length == 0;
    return rc;
}

int fastcgi_ng_body_peek(fastcgi_ng_body_t *body)
{
    return body->eos ? OK : read_client(body, APR_NONBLOCK_READ, false);
}

/* Reads on while the client takes nothing: one that sends its whole body
   before it reads must not wait for us while we wait for it. */
int fastcgi_ng_body_absorb(fastcgi_ng_body_t *body)
{
    body->partial = true;
    return body->eos ? OK : read_client(body, APR_NONBLOCK_READ, true);
}

void fastcgi_ng_body_discard(fastcgi_ng_body_t *body)
{
    while (!body->eos && !body->r->connection->aborted
           && ap_get_brigade(body->r->input_filters, body->scratch,
                             AP_MODE_READBYTES, APR_BLOCK_READ, READ_SIZE)
              == APR_SUCCESS) {
        apr_bucket *b;

        while ((b = next_read(body)) != NULL) {
            apr_bucket_delete(b);
        }
    }
}

/* The next piece of the file, as if it had just come from the client. */
static int read_file(fastcgi_ng_body_t *body)
{
    apr_uint64_t left = body->file_in - body->file_out;
    apr_size_t len = left < READ_SIZE ? (apr_size_t)left : READ_SIZE;
    apr_off_t offset = (apr_off_t)body->file_out;
    apr_bucket_alloc_t *list = body->r->connection->bucket_alloc;
    char *buf = apr_bucket_alloc(len, list);
    apr_bucket *b;

    if (apr_file_seek(body->file, APR_SET, &offset) != APR_SUCCESS
        || apr_file_read_full(body->file, buf, len, NULL) != APR_SUCCESS) {
        apr_bucket_free(buf);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    body->file_out += len;
    b = apr_bucket_heap_create(buf, len, apr_bucket_free, list);
    APR_BRIGADE_INSERT_TAIL(body->held, b);
    body->next = b;
    return OK;
}

/* --------------------------------------------------------------- offer --- */

/* Frees what has left, unless it may have to be sent again. */
static void drop_sent(fastcgi_ng_body_t *body, const fastcgi_ng_task_t *task)
{
    apr_uint64_t sent = fastcgi_ng_flow_sent(task);
    bool again = body->spooled && body->file != NULL;

    if (!again && body->read <= REPLAY_MAX) {
        return;
    }
    while (first_of(body->held) != body->next
           && body->dropped + first_of(body->held)->length <= sent) {
        body->dropped += first_of(body->held)->length;
        body->partial = body->partial || !again;
        apr_bucket_delete(first_of(body->held));
    }
}

/* Called when nothing of |held| is left to offer. */
static int refill(fastcgi_ng_body_t *body)
{
    if (body->file_out < body->file_in) {
        return read_file(body);
    }
    return body->eos ? OK : read_client(body, APR_NONBLOCK_READ, false);
}

static bool at_end(const fastcgi_ng_body_t *body)
{
    return nothing_to_offer(body) && body->file_out == body->file_in
           && body->eos;
}

/* Offers |next|; the core may have no room. */
static int offer_bucket(fastcgi_ng_body_t *body, fastcgi_ng_task_t *task)
{
    const char *data;
    apr_size_t len;
    int err;

    if (apr_bucket_read(body->next, &data, &len, APR_BLOCK_READ)
        != APR_SUCCESS) {
        body->status = HTTP_INTERNAL_SERVER_ERROR;
        return FCNG_ERR_IO;
    }
    err = fastcgi_ng_flow_offer(task, FCNG_STDIN, data, len, false);
    if (err == FCNG_OK) {
        body->next = APR_BUCKET_NEXT(body->next);
    }
    return err;
}

static bool has_room(const fastcgi_ng_task_t *task)
{
    return fastcgi_ng_flow_offered(task) - fastcgi_ng_flow_sent(task)
           < WINDOW;
}

int fastcgi_ng_body_offer(fastcgi_ng_task_t *task)
{
    fastcgi_ng_body_t *body = &task->body;
    int err = FCNG_OK;

    if (body->fin) {
        return FCNG_OK;
    }
    drop_sent(body, task);
    body->waits = false;
    while (err == FCNG_OK && !body->waits && !at_end(body)
           && has_room(task)) {
        if (nothing_to_offer(body)) {
            body->status = refill(body);
            if (body->status != OK) {
                return FCNG_ERR_IO;
            }
            continue;
        }
        err = offer_bucket(body, task);
    }
    if (err == FCNG_OK && at_end(body)) {
        err = fastcgi_ng_flow_offer(task, FCNG_STDIN, NULL, 0, true);
        body->fin = err == FCNG_OK;
        if (err == FCNG_ERR_STDIN_SHORT) {
            body->status = HTTP_BAD_REQUEST;
        }
    }
    return err == FCNG_AGAIN ? FCNG_OK : err;
}

/* -------------------------------------------------------------- replay --- */

bool fastcgi_ng_body_repeatable(const fastcgi_ng_body_t *body)
{
    return body->spooled || body->length <= REPLAY_MAX;
}

bool fastcgi_ng_body_replayable(const fastcgi_ng_body_t *body)
{
    return !body->partial;
}

void fastcgi_ng_body_rewind(fastcgi_ng_body_t *body)
{
    if (body->held == NULL) {
        return;
    }
    body->fin = body->length == 0;
    if (body->file != NULL) {
        apr_brigade_cleanup(body->held);
        body->file_out = 0;
    }
    body->next = first_of(body->held);
    body->dropped = 0;
}
