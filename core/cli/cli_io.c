/* SPDX-License-Identifier: BSD-2-Clause */
/* Connect, poll, read, write: the only file of the command with sockets. */
#include "cli.h"

#include <apr_lib.h>
#include <apr_poll.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_LEN 65536
#define FILE_LEN 262144
#define OUT_SLICES 32
#define RETRY_MAX (100 * 1000) /* microseconds between tries of a full queue */
#define WHY_LEN 512

/* --- connecting --- */

static enum fcng_connect_cause cause_of(apr_status_t rv, bool is_unix)
{
    if (APR_STATUS_IS_ECONNREFUSED(rv)) {
        return FCNG_CONNECT_REFUSED;
    }
    if (APR_STATUS_IS_ENOENT(rv)) {
        return FCNG_CONNECT_MISSING;
    }
    if (APR_STATUS_IS_EACCES(rv) || rv == EPERM) {
        return FCNG_CONNECT_DENIED;
    }
    if (APR_STATUS_IS_EAGAIN(rv)) {
        return is_unix ? FCNG_CONNECT_BACKLOG : FCNG_CONNECT_OTHER;
    }
    if (APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_ETIMEDOUT(rv)) {
        return FCNG_CONNECT_TIMEOUT;
    }
    if (APR_STATUS_IS_EMFILE(rv) || APR_STATUS_IS_ENFILE(rv)) {
        return FCNG_CONNECT_NO_DESCRIPTORS;
    }
    if (APR_STATUS_IS_ENOTSOCK(rv) || rv == EPROTOTYPE) {
        return FCNG_CONNECT_NOT_SOCKET;
    }
    if (APR_STATUS_IS_ENETUNREACH(rv) || APR_STATUS_IS_EHOSTUNREACH(rv)) {
        return FCNG_CONNECT_NO_ROUTE;
    }
    return FCNG_CONNECT_OTHER;
}

static unsigned mode_of(apr_fileperms_t perms)
{
    return (unsigned)(((perms >> 8) & 7) << 6 | ((perms >> 4) & 7) << 3
                      | (perms & 7));
}

static void look_at_socket(fcng_connect_facts *facts, const char *path,
                           apr_pool_t *pool)
{
    apr_finfo_t info;
    apr_status_t rv = apr_stat(&info, path,
                               APR_FINFO_TYPE | APR_FINFO_OWNER
                                   | APR_FINFO_PROT,
                               pool);
    if (rv == APR_SUCCESS || rv == APR_INCOMPLETE) {
        char *user, *group;
        facts->is_socket = info.filetype == APR_SOCK;
        facts->mode = mode_of(info.protection);
        facts->modes_allow = access(path, W_OK) == 0;
        if (apr_uid_name_get(&user, info.user, pool) == APR_SUCCESS
            && apr_gid_name_get(&group, info.group, pool) == APR_SUCCESS) {
            facts->owner = apr_pstrcat(pool, user, ":", group, NULL);
        }
    }
}

static int connect_failed(const cli_link *link, const fcng_address *address,
                          apr_status_t rv)
{
    char text[128], why[WHY_LEN];
    char *name = NULL;
    apr_uid_t uid;
    apr_gid_t gid;
    fcng_connect_facts facts = {
        .is_unix = address->kind != FCNG_ADDRESS_TCP,
    };
    facts.cause = cause_of(rv, facts.is_unix);
    facts.is_socket = address->kind == FCNG_ADDRESS_ABSTRACT;
    if (address->kind == FCNG_ADDRESS_UNIX) {
        look_at_socket(&facts,
                       apr_pstrmemdup(link->pool, address->path.data,
                                      address->path.len),
                       link->pool);
    }
    if (apr_uid_current(&uid, &gid, link->pool) == APR_SUCCESS
        && apr_uid_name_get(&name, uid, link->pool) == APR_SUCCESS) {
        facts.process = name;
    }
    fcng_hint_connect(why, sizeof(why), &facts);
    cli_error("connecting to %s failed: %s%s%s", link->options->address,
              APR_STATUS_IS_TIMEUP(rv)
                  ? "the time is up"
                  : apr_strerror(rv, text, sizeof(text)),
              *why != '\0' ? ": " : "", why);
    return facts.cause == FCNG_CONNECT_TIMEOUT ? CLI_TIMEOUT : CLI_CONNECT;
}

/* APR has no abstract names: the structure is filled in here. */
static apr_status_t unix_address(apr_sockaddr_t **sa,
                                 const fcng_address *address, apr_pool_t *pool)
{
    const char *path = apr_pstrmemdup(pool, address->path.data,
                                      address->path.len);
    if (address->path.len + 1 >= sizeof((*sa)->sa.unx.sun_path)) {
        return APR_ENAMETOOLONG;
    }
    apr_status_t rv = apr_sockaddr_info_get(sa, path, APR_UNIX, 0, 0, pool);
    if (rv == APR_SUCCESS && address->kind == FCNG_ADDRESS_ABSTRACT) {
        struct sockaddr_un *un = &(*sa)->sa.unx;
        memset(un->sun_path, 0, sizeof(un->sun_path));
        memcpy(un->sun_path + 1, path, address->path.len);
        (*sa)->salen = (apr_socklen_t)(offsetof(struct sockaddr_un, sun_path)
                                       + 1 + address->path.len);
    }
    return rv;
}

static apr_status_t tcp_address(apr_sockaddr_t **sa,
                                const fcng_address *address, apr_pool_t *pool)
{
    const char *host = address->host.len > 0
                           ? apr_pstrmemdup(pool, address->host.data,
                                            address->host.len)
                           : "localhost";
    const char *port = apr_pstrmemdup(pool, address->port.data,
                                      address->port.len);
    bool number = apr_isdigit(*port);
    apr_status_t rv = apr_sockaddr_info_get(
        sa, host, APR_UNSPEC, number ? (apr_port_t)atoi(port) : 0, 0, pool);
    for (apr_sockaddr_t *a = *sa; rv == APR_SUCCESS && !number && a != NULL;
         a = a->next) {
        rv = apr_getservbyname(a, port);
    }
    return rv;
}

/* A Unix socket whose queue is full is tried again until the time is up. */
static apr_status_t try_address(cli_link *link, apr_sockaddr_t *sa)
{
    apr_interval_time_t wait = 5000;
    for (;;) {
        apr_interval_time_t left = link->deadline - apr_time_now();
        apr_status_t rv = apr_socket_create(&link->socket, sa->family,
                                            SOCK_STREAM, 0, link->pool);
        if (rv != APR_SUCCESS) {
            link->socket = NULL;
            return rv;
        }
        apr_socket_timeout_set(link->socket, left > 0 ? left : 1);
        rv = apr_socket_connect(link->socket, sa);
        if (rv == APR_SUCCESS) {
            return rv;
        }
        apr_socket_close(link->socket);
        link->socket = NULL;
        if (!APR_STATUS_IS_EAGAIN(rv) || left < wait) {
            return rv;
        }
        apr_sleep(wait);
        wait = wait * 2 < RETRY_MAX ? wait * 2 : RETRY_MAX;
    }
}

static int connect_to(cli_link *link, const fcng_address *address)
{
    apr_sockaddr_t *sa = NULL;
    bool is_tcp = address->kind == FCNG_ADDRESS_TCP;
    link->is_unix = !is_tcp;
    apr_status_t rv = is_tcp ? tcp_address(&sa, address, link->pool)
                             : unix_address(&sa, address, link->pool);
    if (rv != APR_SUCCESS) {
        char text[128];
        cli_error("%s: %s: %s", link->options->address,
                  apr_strerror(rv, text, sizeof(text)),
                  is_tcp ? "correct the host's or the port's name"
                         : "a socket's path has at most 107 bytes");
        return is_tcp ? CLI_RESOLVE : CLI_USAGE;
    }
    do {
        rv = try_address(link, sa);
        sa = sa->next;
    } while (rv != APR_SUCCESS && sa != NULL);
    if (rv != APR_SUCCESS) {
        return connect_failed(link, address, rv);
    }
    if (is_tcp) {
        apr_socket_opt_set(link->socket, APR_TCP_NODELAY, 1);
    }
    apr_socket_timeout_set(link->socket, 0); /* never blocks */
    return CLI_OK;
}

int cli_link_open(cli_link *link, const cli_options *options, bool keep)
{
    fcng_conn_options conn_options = { .keep_conn = keep };
    fcng_address address;
    char why[WHY_LEN];
    link->options = options;
    apr_pool_create(&link->pool, options->pool);
    link->in = apr_palloc(link->pool, IN_LEN);
    link->first_len = 0;
    fcng_str text = { options->address, strlen(options->address) };
    if (fcng_address_parse(&address, text, why, sizeof(why)) != FCNG_OK) {
        cli_error("%s: %s", options->address, why);
        return CLI_USAGE;
    }
    apr_time_t start = apr_time_now();
    link->deadline = start + options->timeout;
    int code = connect_to(link, &address);
    if (code != CLI_OK) {
        return code;
    }
    link->connect_time = apr_time_now() - start;
    link->conn = fcng_conn_new(NULL, &conn_options);
    return link->conn != NULL ? CLI_OK : CLI_MEMORY;
}

void cli_link_close(cli_link *link)
{
    if (link->socket != NULL) {
        apr_socket_close(link->socket);
    }
    fcng_conn_del(link->conn);
    apr_pool_destroy(link->pool);
    link->socket = NULL;
    link->conn = NULL;
    link->pool = NULL;
}

/* --- where bodies come from --- */

int cli_source_string(cli_source *source, const char *text)
{
    *source = (cli_source){ .name = "--data",
                            .length = strlen(text),
                            .bytes = text };
    return CLI_OK;
}

static int read_failed(const char *name, apr_status_t rv)
{
    char text[128];
    cli_error("%s: %s", name, apr_strerror(rv, text, sizeof(text)));
    return CLI_READ;
}

int cli_source_file(cli_source *source, const char *name, apr_pool_t *pool)
{
    apr_finfo_t info;
    *source = (cli_source){ .name = name };
    apr_status_t rv = apr_file_open(&source->file, name, APR_FOPEN_READ,
                                    APR_OS_DEFAULT, pool);
    if (rv == APR_SUCCESS) {
        rv = apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_TYPE,
                               source->file);
    }
    if (rv != APR_SUCCESS) {
        return read_failed(name, rv);
    }
    if (info.filetype != APR_REG) {
        cli_error("%s is no file; write - for stdin", name);
        return CLI_READ;
    }
    source->length = (uint64_t)info.size;
    source->buffer = apr_palloc(pool, FILE_LEN);
    return CLI_OK;
}

static apr_status_t free_bytes(void *bytes)
{
    free(bytes);
    return APR_SUCCESS;
}

/* Read to its end first: CONTENT_LENGTH comes before the body. */
int cli_source_stdin(cli_source *source, apr_pool_t *pool)
{
    apr_file_t *in;
    size_t len = 0, cap = 65536;
    char *bytes = malloc(cap);
    apr_status_t rv = apr_file_open_stdin(&in, pool);
    while (bytes != NULL && rv == APR_SUCCESS) {
        apr_size_t n = cap - len;
        rv = apr_file_read(in, bytes + len, &n);
        len += rv == APR_SUCCESS ? n : 0;
        if (len == cap) {
            char *larger = realloc(bytes, cap *= 2);
            if (larger == NULL) {
                free(bytes);
            }
            bytes = larger;
        }
    }
    if (bytes == NULL || !APR_STATUS_IS_EOF(rv)) {
        free(bytes);
        return read_failed("stdin", bytes == NULL ? APR_ENOMEM : rv);
    }
    apr_pool_cleanup_register(pool, bytes, free_bytes, apr_pool_cleanup_null);
    *source = (cli_source){ .name = "stdin", .length = len, .bytes = bytes };
    return CLI_OK;
}

int cli_source_rewind(cli_source *source)
{
    apr_off_t zero = 0;
    source->at = 0;
    source->ended = false;
    if (source->file == NULL) {
        return CLI_OK;
    }
    apr_status_t rv = apr_file_seek(source->file, APR_SET, &zero);
    return rv == APR_SUCCESS ? CLI_OK : read_failed(source->name, rv);
}

/* The next bytes.  Those of a file are valid until the next call. */
static int next_bytes(cli_source *source, fcng_str *bytes)
{
    uint64_t left = source->length - source->at;
    apr_size_t len = left < FILE_LEN ? (apr_size_t)left : FILE_LEN;
    *bytes = (fcng_str){ source->buffer, len };
    if (source->file == NULL) {
        bytes->data = source->bytes + source->at;
    } else if (len > 0) {
        apr_status_t rv = apr_file_read_full(source->file, source->buffer, len,
                                             NULL);
        if (rv != APR_SUCCESS) {
            return read_failed(source->name, rv);
        }
    }
    source->at += len;
    return CLI_OK;
}

/* --- the loop --- */

/* Offers one piece of a stream, when what was offered before has left. */
static int offer_from(cli_exchange *x, enum fcng_stream stream,
                      cli_source *source)
{
    fcng_str bytes;
    int code = next_bytes(source, &bytes);
    if (code != CLI_OK) {
        return code;
    }
    int err = fcng_request_offer(x->request, stream, bytes.data, bytes.len,
                                 source->at == source->length);
    if (err != FCNG_OK) {
        cli_error("%s: %s", source->name, fcng_strerror(err));
        return CLI_RECEIVE;
    }
    source->ended = source->at == source->length;
    return CLI_OK;
}

static int offer(cli_exchange *x)
{
    if (x->request == NULL || x->done
        || fcng_request_sent(x->request) < fcng_request_offered(x->request)) {
        return CLI_OK;
    }
    if (x->body != NULL && !x->body->ended) {
        return offer_from(x, FCNG_STDIN, x->body);
    }
    /* DATA may follow when the end of STDIN has left as well. */
    if (x->data != NULL && !x->data->ended
        && !fcng_conn_wants_write(x->link->conn)) {
        return offer_from(x, FCNG_DATA, x->data);
    }
    return CLI_OK;
}

static int deliver(cli_exchange *x)
{
    fcng_event event;
    while (fcng_conn_next_event(x->link->conn, SIZE_MAX, &event) == FCNG_OK) {
        int code = x->on_event(x->to, &event);
        if (code != CLI_OK) {
            return code;
        }
        if (event.type == FCNG_EV_END || event.type == FCNG_EV_VALUES
            || event.type == FCNG_EV_UNKNOWN_TYPE) {
            x->done = x->done || event.request == x->request;
        }
    }
    return CLI_OK;
}

static void keep_first(cli_link *link, const char *in, size_t len)
{
    size_t room = sizeof(link->first) - link->first_len;
    size_t n = len < room ? len : room;
    memcpy(link->first + link->first_len, in, n);
    link->first_len += n;
}

static int exchange_failed(cli_exchange *x, int err, apr_status_t rv)
{
    char why[WHY_LEN];
    fcng_str first = { x->link->first, x->link->first_len };
    fcng_hint_protocol(why, sizeof(why), first);
    if (*why == '\0' && err == FCNG_ERR_CLOSED) {
        fcng_hint_closed(why, sizeof(why), x->link->is_unix, first.len > 0);
    }
    if (err == FCNG_ERR_IO && rv != APR_SUCCESS) {
        apr_strerror(rv, why, sizeof(why));
    }
    cli_error("%s: %s%s%s", x->link->options->address, fcng_strerror(err),
              *why != '\0' ? ": " : "", why);
    return err == FCNG_ERR_TIMEOUT ? CLI_TIMEOUT : CLI_RECEIVE;
}

/* The end of the bytes, or of the connection: what is whole is delivered. */
static int fail(cli_exchange *x, int err, apr_status_t rv)
{
    fcng_conn_fail(x->link->conn, err);
    int code = deliver(x);
    if (code != CLI_OK || x->done) {
        return code;
    }
    return exchange_failed(x, fcng_conn_error(x->link->conn), rv);
}

static int read_some(cli_exchange *x)
{
    cli_link *link = x->link;
    apr_size_t len = IN_LEN;
    apr_status_t rv = apr_socket_recv(link->socket, link->in, &len);
    if (APR_STATUS_IS_EAGAIN(rv)) {
        return CLI_OK;
    }
    if (rv != APR_SUCCESS || len == 0) {
        return APR_STATUS_IS_EOF(rv) || rv == APR_SUCCESS
                   ? fail(x, FCNG_ERR_CLOSED, rv)
                   : fail(x, FCNG_ERR_IO, rv);
    }
    keep_first(link, link->in, len);
    if (link->tap != NULL) {
        link->tap(link->tap_to, false, link->in, len);
    }
    if (fcng_conn_feed(link->conn, link->in, len) != FCNG_OK) {
        return exchange_failed(x, FCNG_ERR_INVALID, 0);
    }
    int code = deliver(x);
    if (code == CLI_OK && !x->done
        && fcng_conn_error(link->conn) != FCNG_OK) {
        return exchange_failed(x, fcng_conn_error(link->conn), 0);
    }
    return code;
}

static void tap_written(const cli_link *link, const struct iovec *vec,
                        size_t len)
{
    for (; link->tap != NULL && len > 0; vec++) {
        size_t part = len < vec->iov_len ? len : vec->iov_len;
        link->tap(link->tap_to, true, vec->iov_base, part);
        len -= part;
    }
}

static int write_some(cli_exchange *x)
{
    cli_link *link = x->link;
    fcng_str slices[OUT_SLICES];
    struct iovec vec[OUT_SLICES];
    size_t n;
    int err = fcng_conn_output(link->conn, slices, OUT_SLICES, &n);
    if (err != FCNG_OK) {
        return exchange_failed(x, err, 0);
    }
    for (size_t i = 0; i < n; i++) {
        vec[i].iov_base = (void *)slices[i].data;
        vec[i].iov_len = slices[i].len;
    }
    apr_size_t len = 0;
    apr_status_t rv = n > 0 ? apr_socket_sendv(link->socket, vec,
                                               (apr_int32_t)n, &len)
                            : APR_SUCCESS;
    if (APR_STATUS_IS_EAGAIN(rv)) {
        return CLI_OK;
    }
    if (rv != APR_SUCCESS) {
        /* The application may have answered and closed without reading it
           all: what it said is read first. */
        int code = read_some(x);
        return code != CLI_OK || x->done ? code : fail(x, FCNG_ERR_IO, rv);
    }
    tap_written(link, vec, len);
    fcng_conn_sent(link->conn, len);
    return CLI_OK;
}

static int wait_for(cli_exchange *x, apr_int16_t *ready)
{
    cli_link *link = x->link;
    apr_pollfd_t pfd = { .p = link->pool,
                         .desc_type = APR_POLL_SOCKET,
                         .reqevents = APR_POLLIN,
                         .desc.s = link->socket };
    apr_int32_t n;
    apr_interval_time_t left = link->deadline - apr_time_now();
    if (fcng_conn_wants_write(link->conn)) {
        pfd.reqevents |= APR_POLLOUT;
    }
    apr_status_t rv = left > 0 ? apr_poll(&pfd, 1, &n, left) : APR_TIMEUP;
    *ready = rv == APR_SUCCESS ? pfd.rtnevents : 0;
    if (APR_STATUS_IS_TIMEUP(rv)) {
        return fail(x, FCNG_ERR_TIMEOUT, 0);
    }
    return rv == APR_SUCCESS || APR_STATUS_IS_EINTR(rv)
               ? CLI_OK
               : fail(x, FCNG_ERR_IO, rv);
}

int cli_exchange_run(cli_exchange *x)
{
    int code = CLI_OK;
    while (code == CLI_OK && !x->done) {
        apr_int16_t ready;
        code = offer(x);
        if (code == CLI_OK) {
            code = wait_for(x, &ready);
        }
        if (code == CLI_OK && !x->done && (ready & ~APR_POLLOUT) != 0) {
            code = read_some(x);
        }
        if (code == CLI_OK && !x->done && (ready & APR_POLLOUT) != 0) {
            code = write_some(x);
        }
    }
    return code;
}

int cli_write_stdout(const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            cli_error("writing to stdout failed: %s", strerror(errno));
            return CLI_WRITE;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return CLI_OK;
}
