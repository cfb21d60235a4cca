/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as the answer to an Authorizer's question, in pieces: the verdict
 * that a host comes to.  It is no grant unless a reader that shares nothing
 * with the core finds in the same bytes what a grant needs.
 *
 * The first byte says how long the pieces are.  Built for libFuzzer by
 * `make fuzz`, and run with its corpus by t/unit/test_fuzz_authz.c.
 */
#include <fcng/fcng.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* --- as a host does --- */

typedef struct host {
    fcng_head head;
    char buf[HEAD_MAX];
    size_t len;
    int error; /* FCNG_AGAIN: it has not ended */
} host;

static void take_stdout(host *host, fcng_str bytes)
{
    if (host->head.done || host->error != FCNG_AGAIN) {
        return;
    }
    if (bytes.len > sizeof(host->buf) - host->len) {
        host->error = FCNG_ERR_HEAD_SIZE;
        return;
    }
    memcpy(host->buf + host->len, bytes.data, bytes.len);
    host->len += bytes.len;
    size_t at = 0, n;
    fcng_field field;
    int err = FCNG_OK;
    while (!host->head.done
           && (err = fcng_head_parse(&host->head, host->buf + at,
                                     host->len - at, &n, &field))
                  == FCNG_OK) {
        at += n;
    }
    if (err < 0) {
        host->error = err;
    }
    memmove(host->buf, host->buf + at, host->len - at);
    host->len -= at;
}

static void take_events(fcng_conn *conn, host *host)
{
    fcng_event event;
    while (fcng_conn_next_event(conn, SIZE_MAX, &event) == FCNG_OK) {
        if (event.type == FCNG_EV_STDOUT) {
            take_stdout(host, event.bytes);
        } else if ((event.type == FCNG_EV_END || event.type == FCNG_EV_FAILED)
                   && host->error == FCNG_AGAIN) {
            host->error = event.error;
        }
    }
}

static enum fcng_authz ask(const uint8_t *data, size_t len, size_t piece)
{
    static const fcng_conn_options keep = { .keep_conn = true };
    fcng_conn *conn = fcng_conn_new(NULL, &keep);
    fcng_submit submit = { .role = FCNG_AUTHORIZER };
    fcng_request *request;
    host *host = calloc(1, sizeof(*host));
    if (conn == NULL || host == NULL
        || fcng_conn_submit(conn, &submit, &request) != FCNG_OK) {
        abort();
    }
    fcng_head_init(&host->head, HEAD_MAX);
    host->error = FCNG_AGAIN;
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        if (fcng_conn_feed(conn, data + at, n) != FCNG_OK) {
            break;
        }
        take_events(conn, host);
    }
    fcng_conn_fail(conn, FCNG_ERR_CLOSED);
    take_events(conn, host);
    enum fcng_authz verdict = fcng_authz_verdict(&host->head, host->error);
    free(host);
    fcng_conn_del(conn);
    return verdict;
}

/* --- what a grant needs, from the specification alone --- */

/* STDOUT of request 1 up to END_REQUEST; false: that does not come. */
static bool answer_of(const uint8_t *data, size_t len, char *out, size_t *n)
{
    *n = 0;
    for (size_t at = 0; len - at >= 8;) {
        const uint8_t *r = data + at;
        size_t content = (size_t)r[4] << 8 | r[5], all = 8 + content + r[6];
        bool ours = r[2] == 0 && r[3] == 1;
        if (r[0] != 1) {
            return false;
        }
        if (ours && r[1] == 3) {
            return content >= 8 && len - at >= 16 && r[12] == 0;
        }
        if (len - at < all) {
            return false;
        }
        if (ours && r[1] == 6) {
            memcpy(out + *n, r + 8, content);
            *n += content;
        }
        at += all;
    }
    return false;
}

static bool says_200(const char *line, size_t len)
{
    return len >= 3 && memmem(line, len, "200", 3) != NULL;
}

static bool begins(const char *line, size_t len, const char *name)
{
    return len >= strlen(name) && strncasecmp(line, name, strlen(name)) == 0;
}

static bool head_grants(const char *in, size_t len)
{
    bool status = false, location = false, field = false;
    const char *end;
    for (; (end = memchr(in, '\n', len)) != NULL;
         len -= (size_t)(end + 1 - in), in = end + 1) {
        size_t n = (size_t)(end - in);
        n -= n > 0 && in[n - 1] == '\r';
        if (n == 0) {
            return field && (status || !location);
        }
        if (begins(in, n, "status:") || begins(in, n, "http/")) {
            if (!says_200(in, n)) {
                return false;
            }
            status = true;
        }
        location = location || begins(in, n, "location:");
        field = true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1) {
        return 0;
    }
    size_t piece = data[0] == 0 ? len : data[0], n;
    enum fcng_authz verdict = ask(data + 1, len - 1, piece);
    if (verdict != FCNG_AUTHZ_GRANTED) {
        return 0;
    }
    char *out = malloc(len);
    if (out == NULL || !answer_of(data + 1, len - 1, out, &n)
        || !head_grants(out, n)) {
        abort();
    }
    free(out);
    return 0;
}
