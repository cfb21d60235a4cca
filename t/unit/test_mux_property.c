/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must hold on any shared connection: thousands of random conversations
 * with an application modelled here from the specification, in all the ways
 * in which applications deal with an abort.  Every byte, either way, says
 * whose it is.  The seed is fixed; a failure names the run.
 */
#include "unit.h"

#define IDS 64        /* more than any id used here */
#define SERIALS 400   /* requests of one run */
#define SLOTS 12      /* that the host has at once */
#define SLICES 16

static uint32_t seed, run;

/* xorshift: 0 <= result < |n| */
static uint32_t any(uint32_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed % n;
}

#define EXPECT(condition)                                                     \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fail_msg("run %u: %s", (unsigned)run, #condition);                \
        }                                                                     \
    } while (0)

static unsigned char out_byte(unsigned serial, size_t i)
{
    return (unsigned char)(serial * 131 + i * 7);
}

static unsigned char err_byte(unsigned serial, size_t i)
{
    return (unsigned char)(serial * 57 + i * 11 + 5);
}

/* Never 0: zeros are the core's. */
static unsigned char body_byte(unsigned serial, size_t i)
{
    return (unsigned char)(1 + (serial * 17 + i) % 255);
}

/* --- the application --- */

enum on_abort {
    ENDS_ALWAYS,   /* also what is over: tokio-fastcgi */
    ENDS_ACTIVE,   /* Go while STDIN is open */
    GOES_ON,       /* Net::Async::FastCGI */
    NEVER_ENDS,    /* fastcgi++ */
    ON_ABORTS
};

typedef struct app_request {
    bool active, params_done, stdin_done, zeros, aborted;
    unsigned serial;
    bytes params;
    size_t in, out, err;
} app_request;

typedef struct app {
    enum on_abort on_abort;
    bool ends_early, noisy;
    bytes in;   /* what we sent, not decoded */
    bytes out;  /* what it sent, not delivered */
    app_request id[IDS];
} app;

/* What became of each request, by its number. */
typedef struct fate {
    bool cancelled;
    size_t body, out, err;
    uint8_t status;
} fate;

static app the_app;
static fate fates[SERIALS];

static void add_record(bytes *out, int type, int id, const void *content,
                       size_t len)
{
    size_t padding = any(3) == 0 ? any(256) : 0;
    char hd[8] = { 1, (char)type, 0, (char)id, (char)(len >> 8), (char)len,
                   (char)padding, (char)any(256) };
    char pad[256];
    memset(pad, 0x5a, sizeof(pad));
    bytes_add(out, (fcng_str){ hd, 8 });
    bytes_add(out, (fcng_str){ content, len });
    bytes_add(out, (fcng_str){ pad, padding });
}

static void app_end(int id, uint32_t app_status, uint8_t status)
{
    char body[8] = { (char)(app_status >> 24), (char)(app_status >> 16),
                     (char)(app_status >> 8), (char)app_status, (char)status };
    add_record(&the_app.out, 3, id, body, 8);
}

static void app_end_request(int id, uint8_t status)
{
    app_request *r = &the_app.id[id];
    if (r->params_done) { /* else it does not know whose it is */
        fate *f = &fates[r->serial];
        f->out = r->out;
        f->err = r->err;
        f->status = status;
    }
    app_end(id, r->serial, status);
    bytes_free(&r->params);
    memset(r, 0, sizeof(*r));
}

static void app_abort(int id)
{
    app_request *r = &the_app.id[id];
    EXPECT(!r->params_done || fates[r->serial].cancelled);
    EXPECT(!r->aborted);
    r->aborted = r->active;
    bool ends = the_app.on_abort == ENDS_ALWAYS
                || (the_app.on_abort == ENDS_ACTIVE && !r->stdin_done);
    if (r->active && ends) {
        app_end_request(id, 0);
    } else if (the_app.on_abort == ENDS_ALWAYS) {
        app_end(id, 0xdeadbeef, 0); /* nobody's: must never be told */
    }
}

static void app_begin(int id, const unsigned char *body, size_t len)
{
    app_request *r = &the_app.id[id];
    EXPECT(!r->active);
    EXPECT(len == 8 && body[0] == 0 && body[1] == 1 && body[2] == 1);
    memset(r, 0, sizeof(*r));
    r->active = true;
}

static void app_params(app_request *r, const unsigned char *p, size_t len)
{
    EXPECT(!r->params_done && !r->aborted);
    if (len > 0) {
        bytes_add(&r->params, (fcng_str){ (const char *)p, len });
        return;
    }
    fcng_str pairs = bytes_str(&r->params), name, value;
    EXPECT(fcng_params_next(&pairs, &name, &value) == FCNG_OK);
    EXPECT(value.len >= 2);
    const unsigned char *v = (const unsigned char *)value.data;
    r->serial = (unsigned)(v[0] << 8 | v[1]);
    EXPECT(r->serial < SERIALS);
    for (size_t i = 2; i < value.len; i++) {
        EXPECT(v[i] == body_byte(r->serial, i));
    }
    r->params_done = true;
}

static void app_stdin(app_request *r, const unsigned char *p, size_t len)
{
    EXPECT(r->params_done && !r->stdin_done && !r->aborted && !r->zeros);
    fate *f = &fates[r->serial];
    for (size_t i = 0; i < len; i++, r->in++) {
        r->zeros = r->zeros || p[i] == 0;
        if (r->zeros) {
            EXPECT(f->cancelled && p[i] == 0);
        } else {
            EXPECT(p[i] == body_byte(r->serial, r->in));
        }
    }
    EXPECT(r->in <= f->body);
    if (len == 0) {
        EXPECT(r->in == f->body);
        r->stdin_done = true;
    }
}

/* Decodes whole records; what is half there waits. */
static void app_receive(fcng_str in)
{
    bytes_add(&the_app.in, in);
    size_t at = 0;
    for (;;) {
        const unsigned char *p = (const unsigned char *)the_app.in.data + at;
        size_t left = the_app.in.len - at, len;
        if (left < 8 || left < 8 + (len = (size_t)(p[4] << 8 | p[5])) + p[6]) {
            break;
        }
        int id = p[2] << 8 | p[3];
        EXPECT(p[0] == 1 && p[7] == 0 && len <= 65528);
        EXPECT(id < IDS && (id > 0) == (p[1] != 9));
        app_request *r = &the_app.id[id];
        if (p[1] == 1) {
            app_begin(id, p + 8, len);
        } else if (p[1] == 2) {
            EXPECT(len == 0);
            app_abort(id);
        } else if (p[1] == 9) {
            add_record(&the_app.out, 10, 0, "", 0);
        } else {
            EXPECT(p[1] == 4 || p[1] == 5);
            EXPECT(p[6] == 0);
            if (r->active) { /* else ignored, Spec 3.3 */
                (p[1] == 4 ? app_params : app_stdin)(r, p + 8, len);
            }
        }
        at += 8 + len + p[6];
    }
    if (at > 0) {
        memmove(the_app.in.data, the_app.in.data + at, the_app.in.len - at);
        the_app.in.len -= at;
    }
}

static void app_noise(void)
{
    switch (any(4)) {
    case 0:
        add_record(&the_app.out, 6, IDS - 1, "?", 1);
        break;
    case 1:
        app_end(IDS - 2, 0xdeadbeef, 0);
        break;
    case 2:
        add_record(&the_app.out, 77, 1 + (int)any(6), "?", 1);
        break;
    case 3:
        add_record(&the_app.out, 10, (int)any(6), "", 0);
        break;
    }
}

static void app_send(int id, int type, size_t len)
{
    app_request *r = &the_app.id[id];
    unsigned char *p = malloc(len);
    assert_non_null(p);
    for (size_t i = 0; i < len; i++) {
        p[i] = type == 6 ? out_byte(r->serial, r->out++)
                         : err_byte(r->serial, r->err++);
    }
    add_record(&the_app.out, type, id, p, len);
    free(p);
}

/* One of its requests does something. |finish|: rather ends. */
static void app_act(bool finish)
{
    int id = 1 + (int)any(IDS - 1);
    for (int i = 0; i < IDS && !the_app.id[id].params_done; i++) {
        id = id % (IDS - 1) + 1;
    }
    app_request *r = &the_app.id[id];
    if (!r->active || !r->params_done) {
        return;
    }
    if (the_app.noisy && any(6) == 0) {
        app_noise();
    }
    bool may_end = (r->stdin_done || the_app.ends_early || r->aborted)
                   && !(r->aborted && the_app.on_abort == NEVER_ENDS);
    if (may_end && (finish || any(5) == 0)) {
        if (any(2) == 0) {
            add_record(&the_app.out, 6, id, "", 0);
        }
        uint8_t status = any(20) == 0 ? (uint8_t)(2 + any(2)) : 0;
        app_end_request(id, status);
    } else {
        app_send(id, any(4) > 0 ? 6 : 7,
                 1 + any(any(10) == 0 ? 30000 : 100));
    }
}

/* Requests that are under way: those that will end, or those that never
   will. */
static size_t app_active(bool ever_ends)
{
    size_t n = 0;
    for (int id = 1; id < IDS; id++) {
        const app_request *r = &the_app.id[id];
        bool stuck = r->aborted && (the_app.on_abort == NEVER_ENDS
                                    || !r->params_done);
        n += r->active && stuck != ever_ends;
    }
    return n;
}

/* --- the web server --- */

typedef struct slice {
    unsigned char *data;
    uint64_t end; /* of the body so far */
} slice;

typedef struct slot {
    fcng_request *request; /* NULL: free */
    unsigned serial;
    bool over;
    uint64_t offered;
    slice slice[SLICES + 1];
    size_t slices, out, err, consumed;
} slot;

typedef struct host {
    fcng_conn *conn;
    slot slot[SLOTS];
    size_t live;
    unsigned serials, ends, failures, cancels, overruns;
    uint64_t now_us, stream_buffer;
} host;

static void free_slices(slot *s, uint64_t sent)
{
    size_t gone = 0;
    while (gone < s->slices && s->slice[gone].end <= sent) {
        size_t len = s->slice[gone].end
                     - (gone > 0 ? s->slice[gone - 1].end
                                 : s->slice[SLICES].end);
        memset(s->slice[gone].data, 0, len);
        free(s->slice[gone].data);
        gone++;
    }
    if (gone > 0) {
        s->slice[SLICES].end = s->slice[gone - 1].end;
        memmove(s->slice, s->slice + gone,
                (s->slices - gone) * sizeof(s->slice[0]));
        s->slices -= gone;
    }
}

static void free_slot(host *h, slot *s)
{
    free_slices(s, UINT64_MAX);
    h->live -= !s->over;
    memset(s, 0, sizeof(*s));
}

static void host_submit(host *h)
{
    slot *s = &h->slot[any(SLOTS)];
    if (s->request != NULL || h->serials == SERIALS) {
        return;
    }
    unsigned serial = h->serials;
    fate *f = &fates[serial];
    f->body = any(3) == 0 ? 0 : any(any(4) == 0 ? 100000 : 3000);
    size_t len = 2 + any(any(10) == 0 ? 20000 : 100);
    char *value = malloc(len);
    assert_non_null(value);
    for (size_t i = 0; i < len; i++) {
        value[i] = (char)body_byte(serial, i);
    }
    value[0] = (char)(serial >> 8);
    value[1] = (char)serial;
    char head[8];
    size_t n = 0;
    head[n++] = 1;
    if (len < 128) {
        head[n++] = (char)len;
    } else {
        head[n++] = (char)0x80;
        head[n++] = 0;
        head[n++] = (char)(len >> 8);
        head[n++] = (char)len;
    }
    head[n++] = 'N';
    bytes params = { NULL, 0 };
    bytes_add(&params, (fcng_str){ head, n });
    bytes_add(&params, (fcng_str){ value, len });
    fcng_submit sub = { .role = FCNG_RESPONDER,
                        .params = bytes_str(&params),
                        .stdin_length = any(2) || f->body == 0
                                            ? f->body
                                            : FCNG_LENGTH_UNKNOWN,
                        .user = s };
    bool can = fcng_conn_can_submit(h->conn);
    int err = fcng_conn_submit(h->conn, &sub, &s->request);
    EXPECT(can == (err == FCNG_OK));
    if (err == FCNG_OK) {
        EXPECT(fcng_request_id(s->request) < IDS - 2);
        s->serial = serial;
        h->serials++;
        h->live++;
    } else {
        EXPECT(err == FCNG_ERR_FULL || err == FCNG_ERR_CLOSED);
        s->request = NULL;
    }
    bytes_free(&params);
    free(value);
}

static void host_offer(slot *s)
{
    uint64_t body = fates[s->serial].body;
    free_slices(s, fcng_request_sent(s->request));
    if (s->over || body == 0 || s->offered == body || s->slices == SLICES) {
        return;
    }
    size_t len = 1 + any(any(3) == 0 ? 50000 : 2000);
    len = len < body - s->offered ? len : body - s->offered;
    unsigned char *data = malloc(len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = body_byte(s->serial, s->offered + i);
    }
    int err = fcng_request_offer(s->request, FCNG_STDIN, data, len,
                                 s->offered + len == body);
    if (err == FCNG_AGAIN) {
        free(data);
        return;
    }
    EXPECT(err == FCNG_OK);
    s->offered += len;
    s->slice[s->slices++] = (slice){ data, s->offered };
}

static void host_write(host *h, bool all)
{
    fcng_str slices[8];
    size_t n, total;
    do {
        total = 0;
        assert_int_equal(
            fcng_conn_output(h->conn, slices, 1 + any(8), &n), FCNG_OK);
        for (size_t i = 0; i < n; i++) {
            total += slices[i].len;
        }
        size_t part = all || total == 0 || any(2)
                          ? total : 1 + any((uint32_t)total);
        size_t left = part;
        for (size_t i = 0; i < n && left > 0; i++) {
            size_t len = slices[i].len < left ? slices[i].len : left;
            app_receive((fcng_str){ slices[i].data, len });
            left -= len;
        }
        fcng_conn_sent(h->conn, part);
    } while (all && total > 0);
}

static void check_stdout(slot *s, const char *data, size_t len)
{
    EXPECT(!s->over);
    for (size_t i = 0; i < len; i++) {
        EXPECT((unsigned char)data[i] == out_byte(s->serial, s->out + i));
    }
    s->out += len;
}

static void consume(slot *s, size_t len)
{
    fcng_request_consumed(s->request, len);
    s->consumed += len;
    EXPECT(fcng_request_held(s->request) == s->out - s->consumed);
}

static void host_event(host *h, const fcng_event *ev, size_t max)
{
    slot *s = ev->user;
    EXPECT((s == NULL) == (ev->request == NULL));
    EXPECT(s == NULL || (s->request == ev->request && !s->over));
    switch (ev->type) {
    case FCNG_EV_STDOUT:
        EXPECT(ev->bytes.len > 0 && ev->bytes.len <= max);
        check_stdout(s, ev->bytes.data, ev->bytes.len);
        if (any(3) > 0) {
            consume(s, ev->bytes.len);
        }
        break;
    case FCNG_EV_STDERR:
        for (size_t i = 0; i < ev->bytes.len; i++) {
            EXPECT((unsigned char)ev->bytes.data[i]
                   == err_byte(s->serial, s->err));
            s->err++;
        }
        break;
    case FCNG_EV_END:
        EXPECT(ev->app_status == s->serial);
        EXPECT(ev->protocol_status == fates[s->serial].status);
        EXPECT(s->out == fates[s->serial].out);
        EXPECT(s->err == fates[s->serial].err);
        EXPECT(fcng_request_answered(s->request));
        s->over = true;
        h->live--;
        h->ends++;
        break;
    case FCNG_EV_FAILED:
        EXPECT(ev->error == FCNG_ERR_CLOSED);
        s->over = true;
        h->live--;
        h->failures++;
        break;
    case FCNG_EV_OVERRUN:
        EXPECT(fcng_request_held(s->request) > h->stream_buffer);
        consume(s, s->out - s->consumed);
        h->overruns++;
        break;
    case FCNG_EV_STDOUT_END:
    case FCNG_EV_VALUES:
    case FCNG_EV_UNKNOWN_TYPE:
        break;
    }
}

static void host_pull(host *h)
{
    fcng_event ev;
    size_t max = 1 + any(5000);
    while (fcng_conn_next_event(h->conn, max, &ev) == FCNG_OK) {
        host_event(h, &ev, max);
        EXPECT(fcng_conn_active(h->conn) == h->live);
    }
    EXPECT(fcng_conn_unread(h->conn) == 0);
}

/* Some of what the application sent arrives. */
static void host_read(host *h, size_t len)
{
    len = len < the_app.out.len ? len : the_app.out.len;
    size_t want = fcng_conn_want(h->conn);
    if (want > 0 && any(2) == 0) {
        len = len < want ? len : want;
        slot *s = fcng_request_user(fcng_conn_want_request(h->conn));
        check_stdout(s, the_app.out.data, len);
        fcng_conn_took(h->conn, len);
        EXPECT(fcng_request_held(s->request) == s->out - s->consumed);
    } else {
        char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, the_app.out.data, len);
        assert_int_equal(fcng_conn_feed(h->conn, exact, len), FCNG_OK);
        host_pull(h);
        free(exact);
    }
    memmove(the_app.out.data, the_app.out.data + len, the_app.out.len - len);
    the_app.out.len -= len;
}

static void host_cancel(host *h, slot *s)
{
    fcng_request *request = s->request;
    if (!s->over) {
        fates[s->serial].cancelled = true;
        h->cancels++;
    }
    if (s->over || any(8) == 0) {
        fcng_request_release(request);
    } else {
        fcng_request_cancel(request, h->now_us);
    }
    free_slot(h, s); /* and with it the body, at once */
}

static void host_step(host *h, unsigned cancel_in)
{
    slot *s = &h->slot[any(SLOTS)];
    h->now_us += any(1000);
    switch (any(8)) {
    case 0:
    case 1:
        host_submit(h);
        break;
    case 2:
        if (s->request != NULL) {
            host_offer(s);
        }
        break;
    case 3:
        host_write(h, any(3) == 0);
        break;
    case 4:
        if (the_app.out.len > 0) {
            host_read(h, 1 + any(any(3) == 0 ? 40000 : 60));
        }
        break;
    case 5:
        app_act(false);
        break;
    case 6:
        if (s->request != NULL && (s->over || any(cancel_in) == 0)) {
            host_cancel(h, s);
        } else if (any(50) == 0) {
            assert_int_equal(fcng_conn_get_values(h->conn), FCNG_OK);
        }
        break;
    case 7:
        if (s->request != NULL) {
            fcng_request_set_direct(s->request, any(2) == 0);
        }
        fcng_conn_expire(h->conn, h->now_us);
        EXPECT(fcng_conn_deadline(h->conn) > h->now_us);
        break;
    }
    EXPECT(fcng_conn_active(h->conn) == h->live);
    EXPECT(fcng_conn_error(h->conn) == FCNG_OK);
}

/* Everybody ends what is under way. */
static void finish(host *h)
{
    for (int round = 0; h->live > 0 || app_active(true) || the_app.out.len > 0;
         round++) {
        EXPECT(round < 20000);
        for (int i = 0; i < SLOTS; i++) {
            if (h->slot[i].request != NULL) {
                host_offer(&h->slot[i]);
            }
        }
        host_write(h, true);
        app_act(true);
        while (the_app.out.len > 0) {
            host_read(h, 1 + any(50000));
        }
    }
    host_write(h, true);
    EXPECT(the_app.in.len == 0);
    size_t stuck = app_active(false);
    EXPECT(fcng_conn_zombies(h->conn) == stuck);
    EXPECT(fcng_conn_reusable(h->conn)
           == (stuck == 0 && !fcng_conn_retired(h->conn)));
}

/* The connection dies: each request under way is told once. */
static void die(host *h)
{
    unsigned failures = h->failures;
    size_t live = h->live;
    fcng_conn_fail(h->conn, FCNG_ERR_CLOSED);
    host_pull(h);
    host_pull(h);
    EXPECT(h->failures - failures == live && h->live == 0);
    EXPECT(!fcng_conn_wants_write(h->conn));
}

typedef struct totals {
    unsigned ends, failures, cancels, retired, overruns;
} totals;

static void converse(enum on_abort on_abort, unsigned steps,
                     unsigned cancel_in, totals *sum)
{
    failalloc f;
    failalloc_init(&f, 0);
    memset(&the_app, 0, sizeof(the_app));
    memset(fates, 0, sizeof(fates));
    the_app.on_abort = on_abort;
    the_app.ends_early = any(3) == 0;
    the_app.noisy = any(3) == 0;
    host h = { .now_us = 1000, .stream_buffer = any(2) ? 2000 : 0 };
    fcng_conn_options options = { .keep_conn = true,
                                  .max_streams = 2 + any(12),
                                  .stream_buffer = h.stream_buffer,
                                  .abort_timeout_us = any(100000) + 1 };
    if (any(2)) {
        options.abort_timeout_us = 0;
    }
    h.conn = fcng_conn_new(&f.mem, &options);
    for (unsigned i = 0; i < steps && !fcng_conn_retired(h.conn); i++) {
        host_step(&h, cancel_in);
    }
    sum->retired += fcng_conn_retired(h.conn);
    if (any(4) == 0) {
        die(&h);
    } else {
        finish(&h);
    }
    for (int i = 0; i < SLOTS; i++) {
        if (h.slot[i].request != NULL) {
            if (any(2)) {
                fcng_request_release(h.slot[i].request);
            }
            free_slot(&h, &h.slot[i]);
        }
    }
    fcng_conn_del(h.conn);
    assert_int_equal(f.live, 0);
    for (int id = 0; id < IDS; id++) {
        bytes_free(&the_app.id[id].params);
    }
    bytes_free(&the_app.in);
    bytes_free(&the_app.out);
    sum->ends += h.ends;
    sum->failures += h.failures;
    sum->cancels += h.cancels;
    sum->overruns += h.overruns;
}

static void test_law4_law7_whatever_an_abort_meets(void **state)
{
    (void)state;
    static const uint32_t mix[ON_ABORTS] = { 2654435761u, 2246822519u,
                                             3266489917u, 668265263u };
    for (int on_abort = 0; on_abort < ON_ABORTS; on_abort++) {
        totals sum = { 0 };
        for (run = 1; run <= 250; run++) {
            seed = run * mix[on_abort];
            converse((enum on_abort)on_abort, 1500, 1 + any(20), &sum);
        }
        assert_true(sum.ends > 1500);
        assert_true(sum.cancels > 500);
        assert_true(sum.failures > 100);
        assert_true(sum.retired > 50);
        assert_true(sum.overruns > 500);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_law4_law7_whatever_an_abort_meets),
};

UNIT_MAIN(tests)
