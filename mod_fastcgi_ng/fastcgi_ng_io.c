/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket pump: connect, read, write, wait.  This file touches the
 * descriptors of applications and clients.
 *
 * A connection's descriptor is blocking with a short receive timeout; every
 * call but one says MSG_DONTWAIT.  The one is the read right after a request
 * was written: it waits in recv() itself, which saves a poll() for each
 * request that an application answers at once.
 */
#include "fastcgi_ng.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "apr_portable.h"
#include "http_connection.h"

#define OUT_SLICES 64
#define NAMES_US 30000000    /* how long a resolved name is believed */
#define CLIENT_CHECK_MS 200  /* where nothing can tell of a client's leaving */
#define ABORT_CHECK_MS 1000  /* nor of httpd's being told to stop at once */
#define NO_BELL_MS 20        /* nor of what came on a shared connection */

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif

uint64_t fastcgi_ng_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Milliseconds until |until_us|, at most |max_ms|. */
static int ms_until(uint64_t until_us, int max_ms)
{
    uint64_t now = fastcgi_ng_now();
    uint64_t ms = until_us > now ? (until_us - now + 999) / 1000 : 0;

    return ms < (uint64_t)max_ms ? (int)ms : max_ms;
}

/* ------------------------------------------------------------- connect --- */

/* Nobody needs the connection any more. */
static bool is_pointless(const fastcgi_ng_dial_t *dial)
{
    return dial->task != NULL
           ? dial->task->client_gone
           : atomic_load_explicit(&dial->backend->child->stopping,
                                  memory_order_relaxed);
}

/* Waits; false: the time is up or the client has left. */
static bool may_go_on(fastcgi_ng_dial_t *dial, struct pollfd *pfd, int ms)
{
    fastcgi_ng_task_t *task = dial->task;

    if (fastcgi_ng_now() >= dial->deadline_us) {
        dial->timed_out = true;
        return false;
    }
    if (task != NULL && fastcgi_ng_io_client_gone(task)) {
        task->client_gone = true;
    }
    if (is_pointless(dial)) {
        return false;
    }
    poll(pfd, pfd != NULL ? 1 : 0, ms_until(dial->deadline_us, ms));
    return true;
}

static int finish_connect(fastcgi_ng_dial_t *dial, int fd)
{
    struct pollfd pfd = { fd, POLLOUT, 0 };
    socklen_t len = sizeof(int);
    int err = 0;

    while (pfd.revents == 0) {
        if (!may_go_on(dial, &pfd, CLIENT_CHECK_MS)) {
            return ETIMEDOUT;
        }
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0) {
        return errno;
    }
    return err;
}

/* The descriptor becomes what the head of this file says. */
static int settle(int fd, int family)
{
    struct timeval tv = { 0, FASTCGI_NG_LINGER_US };
    int on = 1;

    fcntl(fd, F_SETFL, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    if (family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return fd;
}

static int connect_once(fastcgi_ng_dial_t *dial, const struct sockaddr *sa,
                        socklen_t len)
{
    int fd = socket(sa->sa_family, SOCK_STREAM, 0);
    int err = 0;

    if (fd < 0) {
        dial->error = errno;
        return -1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, sa, len) < 0) {
        err = errno;
        if (err == EINPROGRESS || err == EINTR) {
            err = finish_connect(dial, fd);
        }
    }
    if (err != 0) {
        close(fd);
        dial->error = err;
        return -1;
    }
    return settle(fd, sa->sa_family);
}

static enum fcng_connect_cause cause_of(const fastcgi_ng_dial_t *dial)
{
    if (dial->timed_out && dial->error != EAGAIN) {
        return FCNG_CONNECT_TIMEOUT;
    }
    switch (dial->error) {
    case ECONNREFUSED:
        return FCNG_CONNECT_REFUSED;
    case ENOENT:
        return FCNG_CONNECT_MISSING;
    case EACCES:
    case EPERM:
        return FCNG_CONNECT_DENIED;
    case EAGAIN:
        return FCNG_CONNECT_BACKLOG;
    case ETIMEDOUT:
        return FCNG_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
        return FCNG_CONNECT_NO_DESCRIPTORS;
    case ENOTSOCK:
    case EPROTOTYPE:
        return FCNG_CONNECT_NOT_SOCKET;
    case EHOSTUNREACH:
    case ENETUNREACH:
        return FCNG_CONNECT_NO_ROUTE;
    default:
        return FCNG_CONNECT_OTHER;
    }
}

static socklen_t unix_address(const fastcgi_ng_address_t *address,
                              struct sockaddr_un *sun)
{
    size_t len = strlen(address->path);

    memset(sun, 0, sizeof(*sun));
    sun->sun_family = AF_UNIX;
    if (address->kind == FCNG_ADDRESS_ABSTRACT) {
        memcpy(sun->sun_path + 1, address->path, len);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    }
    memcpy(sun->sun_path, address->path, len + 1);
    return (socklen_t)sizeof(*sun);
}

static bool outage_lasts(fastcgi_ng_backend_t *backend)
{
    bool lasts;

    apr_thread_mutex_lock(backend->mutex);
    lasts = fcng_outage_lasts(&backend->outage, fastcgi_ng_now());
    apr_thread_mutex_unlock(backend->mutex);
    return lasts;
}

/* A Unix socket says EAGAIN when its queue of connections is full, and poll()
   does not tell when there is room. */
static int connect_unix(fastcgi_ng_dial_t *dial,
                        const fastcgi_ng_address_t *address)
{
    struct sockaddr_un sun;
    socklen_t len = unix_address(address, &sun);
    uint64_t pause;
    unsigned failures = 0;

    for (;;) {
        int fd = connect_once(dial, (struct sockaddr *)&sun, len);

        if (fd >= 0 || !dial->patient) {
            return fd;
        }
        pause = fcng_connect_pause(cause_of(dial), true, ++failures,
                                   fastcgi_ng_now() - dial->begun_us,
                                   outage_lasts(dial->backend));
        if (pause == 0 || !may_go_on(dial, NULL, (int)(pause / 1000))) {
            return -1;
        }
    }
}

/* NULL: |*what| says why. */
static struct addrinfo *resolve(const fastcgi_ng_address_t *address,
                                const char **what)
{
    struct addrinfo hints, *list = NULL;
    int rc;

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    rc = getaddrinfo(address->host, address->port, &hints, &list);
    if (rc == EAI_NONAME || rc == EAI_FAMILY) {
        hints.ai_flags = 0; /* a machine with nothing but loopback */
        rc = getaddrinfo(address->host, address->port, &hints, &list);
    }
    *what = rc == 0 ? NULL : gai_strerror(rc);
    return rc == 0 ? list : NULL;
}

void fastcgi_ng_io_check_name(const fastcgi_ng_app_t *app,
                              const fastcgi_ng_address_t *address,
                              server_rec *s)
{
    const char *what;
    struct addrinfo *list;

    if (address->kind != FCNG_ADDRESS_TCP) {
        return;
    }
    list = resolve(address, &what);
    if (list != NULL) {
        freeaddrinfo(list);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "line %d of %s: FastCgiNgPool %s: \"%s\" does not resolve "
                 "now (%s): requests are answered with 503 until it does; "
                 "correct the name, or see to it that it can be resolved",
                 app->line, app->file, app->name, address->text, what);
}

#define NAMES_MAX 8
typedef struct name_list {
    struct sockaddr_storage addr[NAMES_MAX];
    socklen_t len[NAMES_MAX];
    int n;
} name_list;

static void copy_names(name_list *names, const struct addrinfo *ai)
{
    for (names->n = 0; ai != NULL && names->n < NAMES_MAX; ai = ai->ai_next) {
        memcpy(&names->addr[names->n], ai->ai_addr, ai->ai_addrlen);
        names->len[names->n++] = ai->ai_addrlen;
    }
}

/* What is known of the name.  True: it is to be asked anew, by one thread;
   the others go on with what was true before. */
static bool known_names(fastcgi_ng_backend_t *backend, name_list *names)
{
    uint64_t now;
    bool stale;

    apr_thread_mutex_lock(backend->mutex);
    now = fastcgi_ng_now();
    stale = now - backend->names_us >= NAMES_US;
    if (stale) {
        backend->names_us = now;
    }
    copy_names(names, backend->names);
    apr_thread_mutex_unlock(backend->mutex);
    return stale || names->n == 0;
}

/* Outside the backend's mutex, because a resolver may take seconds. */
static void ask_names(fastcgi_ng_dial_t *dial, fastcgi_ng_backend_t *backend,
                      name_list *names)
{
    struct addrinfo *list = resolve(backend->address, &dial->what);

    if (list == NULL) {
        dial->resolved = names->n > 0;
        return;
    }
    copy_names(names, list);
    apr_thread_mutex_lock(backend->mutex);
    if (backend->names != NULL) {
        freeaddrinfo(backend->names);
    }
    backend->names = list;
    backend->names_us = fastcgi_ng_now();
    apr_thread_mutex_unlock(backend->mutex);
}

void fastcgi_ng_io_forget_names(fastcgi_ng_backend_t *backend)
{
    if (backend->names != NULL) {
        freeaddrinfo(backend->names);
        backend->names = NULL;
    }
}

static int connect_names(fastcgi_ng_dial_t *dial, const name_list *names)
{
    int i, fd = -1;

    for (i = 0; i < names->n && fd < 0; i++) {
        fd = connect_once(dial, (const struct sockaddr *)&names->addr[i],
                          names->len[i]);
        if (dial->timed_out || is_pointless(dial)) {
            break;
        }
    }
    return fd;
}

static bool same_names(const name_list *a, const name_list *b)
{
    int i;

    for (i = 0; i < a->n && i < b->n; i++) {
        if (a->len[i] != b->len[i]
            || memcmp(&a->addr[i], &b->addr[i], a->len[i]) != 0) {
            return false;
        }
    }
    return a->n == b->n;
}

/* Each address of the name; when none takes a connection, perhaps the name has
   moved. */
static int connect_tcp(fastcgi_ng_dial_t *dial, fastcgi_ng_backend_t *backend)
{
    name_list names, before;
    bool asked = known_names(backend, &names);
    int fd;

    if (asked) {
        ask_names(dial, backend, &names);
    }
    fd = connect_names(dial, &names);
    if (fd >= 0 || asked || is_pointless(dial)) {
        return fd;
    }
    before = names;
    ask_names(dial, backend, &names);
    if (!dial->timed_out && !same_names(&names, &before)) {
        fd = connect_names(dial, &names);
    }
    return fd;
}

int fastcgi_ng_io_connect(fastcgi_ng_dial_t *dial)
{
    fastcgi_ng_backend_t *backend = dial->backend;

    dial->resolved = true;
    if (backend->address->kind == FCNG_ADDRESS_TCP) {
        return connect_tcp(dial, backend);
    }
    return connect_unix(dial, backend->address);
}

void fastcgi_ng_io_close(int fd)
{
    /* The service thread may sleep in a poll() that holds the socket open:
       the application must see the end now. */
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

/* ------------------------------------------------------ cause and cure --- */

static const char *user_name(apr_pool_t *p, uid_t uid)
{
    struct passwd pw, *found = NULL;
    char buf[4096];

    if (getpwuid_r(uid, &pw, buf, sizeof(buf), &found) == 0 && found) {
        return apr_pstrdup(p, pw.pw_name);
    }
    return apr_psprintf(p, "%lu", (unsigned long)uid);
}

static const char *group_name(apr_pool_t *p, gid_t gid)
{
    struct group gr, *found = NULL;
    char buf[4096];

    if (getgrgid_r(gid, &gr, buf, sizeof(buf), &found) == 0 && found) {
        return apr_pstrdup(p, gr.gr_name);
    }
    return apr_psprintf(p, "%lu", (unsigned long)gid);
}

static bool in_group(gid_t gid)
{
    gid_t groups[256];
    int i, n = getgroups(256, groups);

    for (i = 0; i < n; i++) {
        if (groups[i] == gid) {
            return true;
        }
    }
    return gid == getegid();
}

static bool modes_allow(const struct stat *st)
{
    if (geteuid() == 0) {
        return true;
    }
    if (st->st_uid == geteuid()) {
        return (st->st_mode & S_IWUSR) != 0;
    }
    if (in_group(st->st_gid)) {
        return (st->st_mode & S_IWGRP) != 0;
    }
    return (st->st_mode & S_IWOTH) != 0;
}

void fastcgi_ng_io_hint(const fastcgi_ng_dial_t *dial, char *out,
                        apr_size_t len)
{
    const fastcgi_ng_address_t *address = dial->backend->address;
    apr_pool_t *p = dial->task->r->pool;
    fcng_connect_facts facts;
    struct stat st;

    memset(&facts, 0, sizeof(facts));
    facts.cause = cause_of(dial);
    facts.is_unix = address->kind != FCNG_ADDRESS_TCP;
    if (address->kind == FCNG_ADDRESS_UNIX && stat(address->path, &st) == 0) {
        facts.is_socket = S_ISSOCK(st.st_mode);
        facts.owner = apr_pstrcat(p, user_name(p, st.st_uid), ":",
                                  group_name(p, st.st_gid), NULL);
        facts.mode = st.st_mode & 07777;
        facts.process = user_name(p, geteuid());
        facts.modes_allow = modes_allow(&st);
        if (!facts.is_socket) {
            facts.cause = FCNG_CONNECT_NOT_SOCKET;
        }
    }
    fcng_hint_connect(out, len, &facts);
}

/* ------------------------------------------------------ read and write --- */

enum fastcgi_ng_probe fastcgi_ng_io_probe(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    if (n > 0) {
        return FASTCGI_NG_STRAY;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK
                  || errno == EINTR)) {
        return FASTCGI_NG_ALIVE;
    }
    return FASTCGI_NG_CLOSED;
}

static apr_status_t send_slices(fastcgi_ng_conn_t *conn, apr_size_t *sent)
{
    fcng_str slices[OUT_SLICES];
    struct iovec iov[OUT_SLICES];
    struct msghdr msg;
    size_t i, n, want = 0;
    ssize_t done;

    *sent = 0;
    if (fcng_conn_output(conn->fcgi, slices, OUT_SLICES, &n) != FCNG_OK) {
        return APR_ENOMEM;
    }
    for (i = 0; i < n; i++) {
        iov[i].iov_base = (void *)slices[i].data;
        iov[i].iov_len = slices[i].len;
        want += slices[i].len;
    }
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;
    msg.msg_iovlen = n;
    do {
        done = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        return errno == EWOULDBLOCK ? APR_EAGAIN : APR_FROM_OS_ERROR(errno);
    }
    fcng_conn_sent(conn->fcgi, (size_t)done);
    *sent = (apr_size_t)done;
    return (size_t)done < want ? APR_EAGAIN : APR_SUCCESS;
}

apr_status_t fastcgi_ng_io_send(fastcgi_ng_conn_t *conn, apr_size_t *sent)
{
    apr_status_t rv = APR_SUCCESS;
    apr_size_t part;

    *sent = 0;
    while (rv == APR_SUCCESS && fcng_conn_wants_write(conn->fcgi)) {
        rv = send_slices(conn, &part);
        *sent += part;
    }
    return rv;
}

apr_status_t fastcgi_ng_io_recv(fastcgi_ng_conn_t *conn, char *buf,
                                apr_size_t *len, bool linger)
{
    ssize_t n;

    do {
        n = recv(conn->fd, buf, *len, linger ? 0 : MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR && !linger);
    if (n > 0) {
        *len = (apr_size_t)n;
        return APR_SUCCESS;
    }
    *len = 0;
    if (n == 0) {
        return APR_EOF;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return APR_EAGAIN;
    }
    return APR_FROM_OS_ERROR(errno);
}

/* Not by the file's position: others may read the same file. */
apr_status_t fastcgi_ng_io_read_at(apr_file_t *file, apr_uint64_t at,
                                   char *out, apr_size_t len)
{
    apr_os_file_t fd;
    apr_status_t rv = apr_os_file_get(&fd, file);

    while (rv == APR_SUCCESS && len > 0) {
        ssize_t n = pread(fd, out, len, (off_t)at);

        if (n > 0) {
            out += n;
            at += (apr_uint64_t)n;
            len -= (apr_size_t)n;
        }
        else if (n == 0 || errno != EINTR) {
            rv = n == 0 ? APR_EOF : APR_FROM_OS_ERROR(errno);
        }
    }
    return rv;
}

/* ---------------------------------------------------------- the client --- */

static apr_status_t client_pollfd(conn_rec *c, apr_pollfd_t *pfd)
{
    memset(pfd, 0, sizeof(*pfd));
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 129)
    return ap_get_pollfd_from_conn(c, pfd, NULL);
#else
    if (c->master != NULL) {
        return APR_ENOTIMPL;
    }
    pfd->desc_type = APR_POLL_SOCKET;
    pfd->desc.s = ap_get_conn_socket(c);
    return APR_SUCCESS;
#endif
}

void fastcgi_ng_io_client(fastcgi_ng_client_t *client, conn_rec *c)
{
    apr_pollfd_t pfd;
    apr_os_sock_t sock;
    apr_os_file_t file;

    client->fd = -1;
    client->secondary = c->master != NULL;
    if (client_pollfd(c, &pfd) != APR_SUCCESS) {
        return;
    }
    if (pfd.desc_type == APR_POLL_SOCKET && pfd.desc.s != NULL
        && apr_os_sock_get(&sock, pfd.desc.s) == APR_SUCCESS) {
        client->fd = sock;
    }
    else if (pfd.desc_type == APR_POLL_FILE && pfd.desc.f != NULL
             && apr_os_file_get(&file, pfd.desc.f) == APR_SUCCESS) {
        client->fd = file;
    }
}

/* httpd closes the clients' sockets when it stops at once, and waits for their
   threads: poll() does not see that. */
static bool aborting(const fastcgi_ng_task_t *task)
{
    return atomic_load_explicit(&task->backend->child->aborting,
                                memory_order_relaxed);
}

/* A client that closed its sending side counts as gone, as in nginx: nothing
   but a time-out would tell it from one that left. */
bool fastcgi_ng_io_client_gone(const fastcgi_ng_task_t *task)
{
    const fastcgi_ng_client_t *client = &task->client;
    struct pollfd pfd = { client->fd, POLLRDHUP, 0 };

    if (task->r->connection->aborted || aborting(task)) {
        return true;
    }
    if (client->fd < 0 || client->secondary) {
        return false;
    }
    return poll(&pfd, 1, 0) > 0
           && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool fastcgi_ng_io_client_takes(const fastcgi_ng_client_t *client,
                                bool sends, uint64_t until_us)
{
    struct pollfd pfd = { client->fd, POLLOUT, 0 };

    if (client->fd < 0 || client->secondary || poll(&pfd, 1, 0) != 0) {
        return true; /* or nothing tells, or an error that writing meets */
    }
    pfd.events = (short)(POLLOUT | (sends ? POLLIN : 0));
    poll(&pfd, 1, ms_until(until_us, ABORT_CHECK_MS));
    return (pfd.revents & ~POLLIN) != 0;
}

void fastcgi_ng_io_wait(const fastcgi_ng_task_t *task,
                        fastcgi_ng_wait_t *wait)
{
    const fastcgi_ng_client_t *client = &task->client;
    conn_rec *c = task->r->connection;
    struct pollfd pfd[3];
    bool blind = client->secondary || client->fd < 0;
    int rc, n = 2, ms = ms_until(wait->until_us,
                                 blind ? CLIENT_CHECK_MS : ABORT_CHECK_MS);

    if (task->conn == NULL && task->stream->bell.in < 0 && ms > NO_BELL_MS) {
        ms = NO_BELL_MS;
    }
    pfd[0].fd = task->conn != NULL ? task->conn->fd : task->stream->bell.in;
    pfd[0].events = (short)(POLLIN | (wait->write && task->conn != NULL
                                      ? POLLOUT : 0));
    pfd[1].fd = wait->client || !client->secondary ? client->fd : -1;
    pfd[1].events = (short)(wait->client ? POLLIN : POLLRDHUP);
    pfd[1].revents = 0;
    if (task->stream != NULL && task->read_fd >= 0) {
        pfd[2].fd = task->read_fd;
        pfd[2].events = POLLIN;
        n = 3;
    }
    rc = poll(pfd, (nfds_t)n, ms);
    if (rc > 0 && task->conn == NULL && (pfd[0].revents & POLLIN) != 0) {
        fastcgi_ng_bell_quiet(&task->stream->bell);
    }
    wait->readable = rc > 0 && n == 3 && pfd[2].revents != 0;
    wait->client_gone
        = c->aborted || aborting(task)
          || (rc > 0 && !client->secondary && !wait->client
              && (pfd[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
    wait->timed_out = rc == 0 && fastcgi_ng_now() >= wait->until_us;
}
