/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FastCGI application that costs as little as one can, so that a benchmark
 * measures the web server: one process, epoll, every connection kept, several
 * requests on one connection at a time.
 *
 *   fast [-i] PATH-OF-SOCKET | PORT
 *
 * Answers on one connection leave one after another, as requests came; -i: one
 * record of 16 KiB of each in turn.
 *
 * The last part of REQUEST_URI's path says what it answers:
 *
 *   1024      so many bytes, with Content-Length
 *   u1024     so many bytes, without
 *   params    the parameters as they came, encoded
 *   used      two numbers: the connections that have carried requests since
 *             this was last asked, the most at once and all together
 *
 * d50 as the part before it: 50 ms later, while others are answered.
 *
 * The body is read and dropped; the answer comes after its end.  An Authorizer
 * answers when it has its parameters: mod_authnz_fcgi sends it no STDIN.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BEGIN_REQUEST = 1, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT,
       GET_VALUES = 9, GET_VALUES_RESULT };

#define HEADER 8
#define RECORD_MAX (HEADER + 65535 + 255)
#define IN_SIZE (2 * RECORD_MAX)
#define OUT_SIZE (HEADER + 65536 + 4096)
#define CONTENT_MAX 65528
#define IDS 256               /* requests at a time on one connection */
#define EVENTS 256

struct request {
    bool under_way;
    bool keep;
    bool bodiless;            /* an Authorizer's */
    bool announce;            /* Content-Length is sent */
    bool asks_used;
    bool waits;               /* for its time, in |later| */
    unsigned delay;           /* milliseconds */
    uint64_t size;
    char *params;             /* to be echoed, or NULL */
};

/* A request that is answered when its time has come. */
struct later {
    struct later *next, *prev;
    struct conn *conn;
    uint16_t id;
    int64_t at;               /* milliseconds */
};

struct reply {
    uint16_t id;
    bool head_sent;
    bool announce;
    bool keep;
    uint64_t left;
    char *params;
};

struct conn {
    struct conn *next;        /* of those that are over */
    int fd, epoll;
    bool closing;             /* after what is queued */
    bool blocked;             /* the socket is full */
    unsigned asked;           /* the period of its last request */
    unsigned waiting;         /* requests in |later| */
    unsigned first, count;    /* of |reply| */
    size_t in_len, out_pos, out_len;
    struct request request[IDS];
    struct reply reply[IDS];
    char in[IN_SIZE];
    char out[OUT_SIZE];
};

static char payload[CONTENT_MAX];
static size_t record_max = CONTENT_MAX;
static bool in_turn;

/* Connections that have carried requests in this period: open now, at most at
   once, and all together. */
static unsigned period = 1, used, used_most, used_all;

static struct later later = { &later, &later, NULL, 0, 0 }; /* by time */

/* --- out --- */

static char *put_header(char *out, int type, uint16_t id, size_t len)
{
    out[0] = 1;
    out[1] = (char)type;
    out[2] = (char)(id >> 8);
    out[3] = (char)id;
    out[4] = (char)(len >> 8);
    out[5] = (char)len;
    out[6] = 0;
    out[7] = 0;
    return out + HEADER;
}

static size_t put_head(char *out, const struct reply *reply)
{
    int n = sprintf(out, "Status: 200 OK\r\nContent-Type: text/plain\r\n");

    if (reply->announce)
        n += sprintf(out + n, "Content-Length: %llu\r\n",
                     (unsigned long long)reply->left);
    return (size_t)n + (size_t)sprintf(out + n, "\r\n");
}

/* One record of the reply; the last one with END_REQUEST behind it. */
static bool put_record(struct conn *c, struct reply *reply)
{
    char *start = c->out + c->out_len, *at = start + HEADER;
    size_t room = OUT_SIZE - c->out_len, len;
    size_t next = reply->left < record_max ? (size_t)reply->left : record_max;

    if (room < 1024 || (room < HEADER + CONTENT_MAX + 24 && c->out_len > 0
                        && next + 512 > room))
        return false;
    if (!reply->head_sent)
        at += put_head(at, reply);
    reply->head_sent = true;
    len = record_max - (size_t)(at - start - HEADER);
    if (len > reply->left)
        len = (size_t)reply->left;
    memcpy(at, reply->params != NULL ? reply->params : payload, len);
    at += len;
    reply->left -= len;
    put_header(start, STDOUT, reply->id, (size_t)(at - start - HEADER));
    if (reply->left == 0) {
        at = put_header(at, END_REQUEST, reply->id, 8);
        memset(at, 0, 8);
        at += 8;
        free(reply->params);
        c->closing = c->closing || !reply->keep;
        c->first = (c->first + 1) % IDS;
        c->count--;
    }
    c->out_len = (size_t)(at - c->out);
    if (reply->left > 0 && in_turn && c->count > 1) {
        c->reply[(c->first + c->count) % IDS] = *reply;
        c->first = (c->first + 1) % IDS;
    }
    return true;
}

/* Room in the socket is told of only while it is awaited: each answer that
   the server reads would else wake this process. */
static bool block(struct conn *c, bool on)
{
    struct epoll_event ev = { EPOLLIN | EPOLLRDHUP | EPOLLET
                              | (on ? EPOLLOUT : 0), { c } };

    if (c->blocked != on)
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &ev);
    c->blocked = on;
    return true;
}

/* False: the connection is over. */
static bool flush(struct conn *c)
{
    for (;;) {
        while (c->count > 0 && put_record(c, &c->reply[c->first]))
            continue;
        if (c->out_pos == c->out_len)
            return !c->closing;
        ssize_t n = send(c->fd, c->out + c->out_pos, c->out_len - c->out_pos,
                         MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN && block(c, true);
        c->out_pos += (size_t)n;
        if (c->out_pos == c->out_len)
            c->out_pos = c->out_len = 0;
    }
}

/* --- in --- */

static bool take_len(const char **at, const char *end, size_t *len)
{
    if (*at == end)
        return false;
    const unsigned char *u = (const unsigned char *)*at;
    if (u[0] < 128) {
        *len = u[0];
        *at += 1;
        return true;
    }
    if (end - *at < 4)
        return false;
    *len = (u[0] & 127u) << 24 | u[1] << 16 | u[2] << 8 | u[3];
    *at += 4;
    return true;
}

/* The delay of dNUMBER/ before |last|, the last part of a path. */
static unsigned read_delay(const char *path, const char *last)
{
    const char *at = last > path ? last - 1 : path;
    unsigned delay = 0;

    while (at > path && at[-1] != '/')
        at--;
    if (at == last || *at++ != 'd')
        return 0;
    for (; *at >= '0' && *at <= '9' && delay < 100000; at++)
        delay = delay * 10 + (unsigned)(*at - '0');
    return *at == '/' ? delay : 0;
}

static void read_path(struct request *r, const char *value, size_t len,
                      const char *params, size_t params_len)
{
    const char *query = memchr(value, '?', len);

    len = query != NULL ? (size_t)(query - value) : len;
    const char *last = memrchr(value, '/', len);
    const char *at = last != NULL ? last + 1 : value, *end = value + len;
    r->size = 0;
    r->announce = !(at < end && *at == 'u');
    r->asks_used = end - at == 4 && memcmp(at, "used", 4) == 0;
    if (r->asks_used)
        return;
    r->delay = last != NULL ? read_delay(value, last + 1) : 0;
    if (end - at == 6 && memcmp(at, "params", 6) == 0
        && params_len < CONTENT_MAX - 512) {
        r->params = malloc(params_len + 1);
        memcpy(r->params, params, params_len);
        r->size = params_len;
        return;
    }
    for (at += !r->announce; at < end && *at >= '0' && *at <= '9'; at++)
        r->size = r->size * 10 + (uint64_t)(*at - '0');
}

static void read_params(struct request *r, const char *params, size_t size)
{
    const char *at = params, *end = params + size;
    size_t name, value;

    while (take_len(&at, end, &name) && take_len(&at, end, &value)
           && name + value <= (size_t)(end - at)) {
        if (name == 11 && memcmp(at, "REQUEST_URI", 11) == 0) {
            read_path(r, at + name, value, params, size);
            return;
        }
        at += name + value;
    }
}

static void tell_used(struct request *r)
{
    free(r->params);
    r->params = malloc(32);
    r->size = (uint64_t)sprintf(r->params, "%u %u\n", used_most,
                                used_all);
    period++;
    used = used_most = used_all = 0;
}

static void count_use(struct conn *c)
{
    if (c->asked == period)
        return;
    c->asked = period;
    used_all++;
    if (++used > used_most)
        used_most = used;
}

static void answer(struct conn *c, uint16_t id)
{
    struct request *r = &c->request[id];

    r->under_way = r->waits = false;
    c->reply[(c->first + c->count++) % IDS]
        = (struct reply){ .id = id, .announce = r->announce, .keep = r->keep,
                          .left = r->size, .params = r->params };
    r->params = NULL;
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

/* Almost always behind all the others. */
static void wait_for_it(struct conn *c, uint16_t id, unsigned delay)
{
    struct later *l = malloc(sizeof(*l)), *before = later.prev;

    *l = (struct later){ .conn = c, .id = id, .at = now() + delay };
    while (before != &later && before->at > l->at)
        before = before->prev;
    l->prev = before;
    l->next = before->next;
    l->next->prev = l;
    before->next = l;
    c->request[id].waits = true;
    c->waiting++;
}

static void forget(struct later *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->conn->waiting--;
    free(l);
}

/* One that waits on this connection, or all of them (id 0). */
static void forget_of(struct conn *c, uint16_t id)
{
    for (struct later *l = later.next, *next; c->waiting > 0 && l != &later;
         l = next) {
        next = l->next;
        if (l->conn == c && (id == 0 || l->id == id))
            forget(l);
    }
}

/* It has come whole, or is aborted. */
static void complete(struct conn *c, uint16_t id, bool aborted)
{
    struct request *r = &c->request[id];

    if (r->waits) {
        if (!aborted)
            return;
        forget_of(c, id);
    } else if (r->asks_used) {
        tell_used(r);
    } else {
        count_use(c);
        if (r->delay > 0 && !aborted) {
            wait_for_it(c, id, r->delay);
            return;
        }
    }
    answer(c, id);
}

static void tell_values(struct conn *c)
{
    static const char values[] = "\x0e\x03" "FCGI_MAX_CONNS999"
                                 "\x0d\x03" "FCGI_MAX_REQS255"
                                 "\x0f\x01" "FCGI_MPXS_CONNS1";
    size_t len = sizeof(values) - 1;

    if (OUT_SIZE - c->out_len >= HEADER + len) {
        char *at = put_header(c->out + c->out_len, GET_VALUES_RESULT, 0, len);
        memcpy(at, values, len);
        c->out_len += HEADER + len;
    }
}

/* False: not FastCGI, or more than this application can do. */
static bool record(struct conn *c, int type, uint16_t id, const char *content,
                   size_t len)
{
    struct request *r = &c->request[id % IDS];

    if (type == GET_VALUES) {
        tell_values(c);
        return true;
    }
    if (id == 0 || id >= IDS)
        return false;
    if (type == BEGIN_REQUEST) {
        if (len < 3 || r->under_way || c->count >= IDS - 1)
            return false;
        free(r->params);
        *r = (struct request){ .under_way = true, .keep = content[2] & 1,
                               .bodiless = content[1] == 2 };
        return true;
    }
    if (!r->under_way)
        return true;
    if (type == PARAMS && len > 0)
        read_params(r, content, len);
    if ((type == (r->bodiless ? PARAMS : STDIN) && len == 0)
        || type == ABORT_REQUEST)
        complete(c, id, type == ABORT_REQUEST);
    return true;
}

static bool records(struct conn *c)
{
    size_t at = 0;

    while (c->in_len - at >= HEADER) {
        const unsigned char *h = (const unsigned char *)c->in + at;
        size_t len = (size_t)h[4] << 8 | h[5];
        if (c->in_len - at < HEADER + len + h[6])
            break;
        if (h[0] != 1 || !record(c, h[1], (uint16_t)(h[2] << 8 | h[3]),
                                 (const char *)h + HEADER, len))
            return false;
        at += HEADER + len + h[6];
    }
    c->in_len -= at;
    if (c->in_len > 0 && at > 0)
        memmove(c->in, c->in + at, c->in_len);
    return true;
}

static bool readable(struct conn *c, bool to_end)
{
    for (;;) {
        size_t room = IN_SIZE - c->in_len;
        ssize_t n = recv(c->fd, c->in + c->in_len, room, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        c->in_len += (size_t)n;
        if (!records(c))
            return false;
        if ((size_t)n < room && !to_end)
            return true;
    }
}

/* --- connections --- */

/* Used again: fresh memory of that size costs more than all the rest. */
static struct conn *over;

static struct conn *new_conn(void)
{
    struct conn *c = over;

    if (c == NULL)
        return calloc(1, sizeof(*c));
    over = c->next;
    memset(c, 0, offsetof(struct conn, reply));
    return c;
}

static void drop(struct conn *c)
{
    used -= c->asked == period;
    forget_of(c, 0);
    for (unsigned i = 0; i < IDS; i++)
        free(c->request[i].params);
    for (; c->count > 0; c->count--, c->first = (c->first + 1) % IDS)
        free(c->reply[c->first].params);
    close(c->fd);
    c->next = over;
    over = c;
}

static void serve(struct conn *c, uint32_t events)
{
    const uint32_t end = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

    if (events & EPOLLOUT)
        block(c, false);
    if (((events & (EPOLLIN | end)) && !readable(c, events & end))
        || (!c->blocked && (c->count > 0 || c->out_len > 0) && !flush(c)))
        drop(c);
}

/* Answers those whose time has come; returns the milliseconds until the next
   ones, or -1.  What is due together on one connection leaves together. */
static int answer_due(void)
{
    int64_t clock = later.next != &later ? now() : 0;

    while (later.next != &later && later.next->at <= clock) {
        struct conn *c = later.next->conn;
        while (later.next->conn == c && later.next->at <= clock) {
            uint16_t id = later.next->id;
            forget(later.next);
            answer(c, id);
        }
        if (!c->blocked && !flush(c))
            drop(c);
    }
    return later.next != &later ? (int)(later.next->at - clock) : -1;
}

static void accept_all(int epoll, int listener)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int on = 1;
        struct conn *c = new_conn();
        struct epoll_event ev = { EPOLLIN | EPOLLRDHUP | EPOLLET, { c } };

        if (c == NULL) {
            close(fd);
            continue;
        }
        c->fd = fd;
        c->epoll = epoll;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
    }
}

static int listen_at(const char *where)
{
    int fd, on = 1, rc;

    if (strchr(where, '/') != NULL) {
        struct sockaddr_un sun = { .sun_family = AF_UNIX };
        strncpy(sun.sun_path, where, sizeof(sun.sun_path) - 1);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        rc = bind(fd, (struct sockaddr *)&sun, sizeof(sun));
        chmod(where, 0666);
    } else {
        struct sockaddr_in in = { .sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(where)),
                                  .sin_addr = { htonl(INADDR_LOOPBACK) } };
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        rc = bind(fd, (struct sockaddr *)&in, sizeof(in));
    }
    if (rc < 0 || listen(fd, 1024) < 0) {
        perror(where);
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS], ev = { EPOLLIN, { NULL } };

    in_turn = argc == 3 && strcmp(argv[1], "-i") == 0;
    if (argc != 2 + in_turn) {
        fprintf(stderr, "usage: fast [-i] PATH-OF-SOCKET | PORT\n");
        return 2;
    }
    if (in_turn)
        record_max = 16384;
    signal(SIGPIPE, SIG_IGN);
    memset(payload, 'x', sizeof(payload));
    int listener = listen_at(argv[argc - 1]), epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, answer_due());
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(epoll, listener);
            else
                serve(events[i].data.ptr, events[i].events);
        }
    }
}
