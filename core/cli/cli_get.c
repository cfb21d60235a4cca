/* SPDX-License-Identifier: BSD-2-Clause */
/* `fcng get`: requests, one after the other, and what comes back. */
#include "cli.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 65536

typedef struct answer {
    const cli_options *options;
    fcng_head head;
    fcng_lines lines;
    size_t held;             /* bytes of |hold|: a head not yet complete */
    size_t parsed;           /* of them */
    char hold[HEAD_MAX + 1];
    bool refused;            /* --fail and a bad status */
    bool muted;              /* no body on stdout */
    int error;               /* protocolStatus's, of END_REQUEST */
    uint8_t protocol_status;
    uint32_t app_status;
} answer;

/* --- STDOUT --- */

static int show_field(answer *a, const fcng_field *field)
{
    if (!a->options->show_head || a->options->no_output
        || field->name.len == 0) {
        return CLI_OK;
    }
    int code = cli_write_stdout(field->name.data, field->name.len);
    code = code != CLI_OK ? code : cli_write_stdout(": ", 2);
    code = code != CLI_OK
               ? code
               : cli_write_stdout(field->value.data, field->value.len);
    return code != CLI_OK ? code : cli_write_stdout("\r\n", 2);
}

/* The status is known only behind the last line, so it is shown there. */
static int head_done(answer *a)
{
    char line[64];
    a->refused = a->options->fail && a->head.status >= 400;
    a->muted = a->refused || a->options->no_output;
    if (a->options->verbose) {
        fprintf(stderr, "< Status: %u\n", a->head.status);
    }
    if (!a->options->show_head || a->options->no_output) {
        return CLI_OK;
    }
    int len = snprintf(line, sizeof(line), "Status: %u\r\n\r\n",
                       a->head.status);
    return cli_write_stdout(line, (size_t)len);
}

static int head_failed(const answer *a, int err)
{
    cli_error("%s: %s", a->options->address, fcng_strerror(err));
    return CLI_WEIRD;
}

static int body(answer *a, const char *bytes, size_t len)
{
    size_t n = fcng_head_body(&a->head, len);
    return a->muted || n == 0 ? CLI_OK : cli_write_stdout(bytes, n);
}

/* Parses what is held; the bytes behind the head are the body's. */
static int parse_held(answer *a)
{
    while (!a->head.done) {
        size_t consumed;
        fcng_field field;
        int err = fcng_head_parse(&a->head, a->hold + a->parsed,
                                  a->held - a->parsed, &consumed, &field);
        if (err == FCNG_AGAIN) {
            return CLI_OK;
        }
        if (err != FCNG_OK) {
            return head_failed(a, err);
        }
        a->parsed += consumed;
        int code = a->head.done ? head_done(a) : show_field(a, &field);
        if (code != CLI_OK) {
            return code;
        }
    }
    return body(a, a->hold + a->parsed, a->held - a->parsed);
}

static int on_stdout(answer *a, fcng_str bytes)
{
    while (!a->head.done && bytes.len > 0) {
        size_t room = sizeof(a->hold) - a->held;
        size_t n = bytes.len < room ? bytes.len : room;
        memcpy(a->hold + a->held, bytes.data, n);
        a->held += n;
        bytes.data += n;
        bytes.len -= n;
        int code = parse_held(a);
        if (code != CLI_OK) {
            return code;
        }
    }
    return bytes.len > 0 ? body(a, bytes.data, bytes.len) : CLI_OK;
}

/* --- the rest --- */

static void show_line(fcng_str line)
{
    fprintf(stderr, "stderr: %.*s\n", (int)line.len, line.data);
}

static void on_stderr(answer *a, fcng_str bytes)
{
    fcng_str line;
    while (fcng_lines_next(&a->lines, &bytes, &line) == FCNG_OK) {
        show_line(line);
    }
}

static int on_event(void *to, const fcng_event *event)
{
    answer *a = to;
    switch (event->type) {
    case FCNG_EV_STDOUT:
        return on_stdout(a, event->bytes);
    case FCNG_EV_STDERR:
        on_stderr(a, event->bytes);
        return CLI_OK;
    case FCNG_EV_END:
        a->error = event->error;
        a->protocol_status = event->protocol_status;
        a->app_status = event->app_status;
        return CLI_OK;
    case FCNG_EV_STDOUT_END:
    case FCNG_EV_FAILED: /* the exchange tells it */
    case FCNG_EV_VALUES:
    case FCNG_EV_UNKNOWN_TYPE:
    case FCNG_EV_OVERRUN:
        return CLI_OK;
    }
    return CLI_OK;
}

/* What the whole answer was worth. */
static int judge(answer *a)
{
    const cli_options *o = a->options;
    if (a->error != FCNG_OK) {
        cli_error("%s: %s", o->address, fcng_strerror(a->error));
        return CLI_PROTOCOL + a->protocol_status;
    }
    if (a->app_status != 0) {
        cli_error("%s: the application ended with status %u", o->address,
                  (unsigned)a->app_status);
    }
    bool no_body = strcmp(o->method, "HEAD") == 0 || a->head.status == 204
                   || a->head.status == 304;
    int err = fcng_head_finish(&a->head, no_body);
    if (err != FCNG_OK) {
        head_failed(a, err);
        return err == FCNG_ERR_BODY_SHORT ? CLI_PARTIAL : CLI_WEIRD;
    }
    if (a->refused) {
        cli_error("%s: the application answered %u", o->address,
                  a->head.status);
        return CLI_STATUS;
    }
    return CLI_OK;
}

/* --- requests --- */

typedef struct job {
    const cli_options *options;
    cli_link link;
    cli_source body, data;
    bool has_body, has_data;
    fcng_params params;
    answer answer;
} job;

static int open_sources(job *j)
{
    const cli_options *o = j->options;
    int code = CLI_OK;
    j->has_body = o->data != NULL;
    j->has_data = o->role == FCNG_FILTER;
    if (j->has_data && o->file == NULL) {
        cli_error("--role filter: write --file FILE, what it is to filter");
        return CLI_USAGE;
    }
    if (j->has_body && strcmp(o->data, "-") == 0) {
        code = cli_source_stdin(&j->body, o->pool);
    } else if (j->has_body && o->data[0] == '@') {
        code = cli_source_file(&j->body, o->data + 1, o->pool);
    } else if (j->has_body) {
        code = cli_source_string(&j->body, o->data);
    }
    return code == CLI_OK && j->has_data
               ? cli_source_file(&j->data, o->file, o->pool)
               : code;
}

static int submit(job *j, cli_exchange *x)
{
    fcng_submit submit = {
        .role = j->options->role,
        .params = { j->params.data, j->params.len },
        .stdin_length = j->has_body ? j->body.length : 0,
        .data_length = j->has_data ? j->data.length : 0,
    };
    int err = fcng_conn_submit(j->link.conn, &submit, &x->request);
    if (err != FCNG_OK) {
        cli_error("%s", fcng_strerror(err));
        return CLI_USAGE;
    }
    x->body = submit.stdin_length > 0 && submit.role != FCNG_AUTHORIZER
                  ? &j->body
                  : NULL;
    x->data = j->has_data ? &j->data : NULL;
    return CLI_OK;
}

static int rewind_all(job *j)
{
    int code = j->has_body ? cli_source_rewind(&j->body) : CLI_OK;
    return code == CLI_OK && j->has_data ? cli_source_rewind(&j->data) : code;
}

static int one_request(job *j)
{
    answer *a = &j->answer;
    cli_exchange x = { .link = &j->link, .on_event = on_event, .to = a };
    *a = (answer){ .options = j->options };
    fcng_head_init(&a->head, HEAD_MAX);
    fcng_lines_init(&a->lines);
    apr_time_t start = apr_time_now();
    j->link.deadline = start + j->options->timeout;
    int code = rewind_all(j);
    code = code != CLI_OK ? code : submit(j, &x);
    code = code != CLI_OK ? code : cli_exchange_run(&x);
    fcng_str line;
    if (fcng_lines_end(&a->lines, &line) == FCNG_OK) {
        show_line(line);
    }
    if (x.request != NULL) {
        fcng_request_release(x.request);
    }
    if (j->options->verbose) {
        fprintf(stderr, "* %.3f ms, application status %u\n",
                (double)(apr_time_now() - start) / 1000.0,
                (unsigned)a->app_status);
    }
    return code != CLI_OK ? code : judge(a);
}

static int connect_again(job *j)
{
    if (j->link.pool != NULL) {
        cli_link_close(&j->link);
    }
    int code = cli_link_open(&j->link, j->options, j->options->count > 1);
    if (code == CLI_OK && j->options->verbose) {
        fprintf(stderr, "* connected to %s in %.3f ms\n",
                j->options->address, (double)j->link.connect_time / 1000.0);
    }
    return code;
}

/* The first failure ends it; its code counts. */
static int all_requests(job *j)
{
    int code = CLI_OK;
    for (unsigned i = 0; i < j->options->count && code == CLI_OK; i++) {
        if (j->link.pool == NULL || !fcng_conn_reusable(j->link.conn)) {
            code = connect_again(j);
        }
        if (code == CLI_OK) {
            code = one_request(j);
        }
    }
    return code;
}

int cli_get_tapped(const cli_options *options, cli_tap_fn *tap, void *tap_to)
{
    cli_options o = *options;
    if (o.path == NULL || o.path[0] != '/') {
        cli_error("%s: write the path behind the address, beginning with /",
                  o.path == NULL ? "no path" : o.path);
        return CLI_USAGE;
    }
    if (o.method == NULL) {
        o.method = o.data != NULL ? "POST" : "GET";
    }
    job *j = apr_pcalloc(o.pool, sizeof(*j));
    j->options = &o;
    j->link.tap = tap;
    j->link.tap_to = tap_to;
    fcng_params_init(&j->params, NULL);
    int code = open_sources(j);
    if (code == CLI_OK) {
        code = cli_params(&j->params, &o, j->has_body ? &j->body : NULL,
                          j->has_data ? &j->data : NULL);
    }
    if (code == CLI_OK) {
        code = all_requests(j);
    }
    if (j->link.pool != NULL) {
        cli_link_close(&j->link);
    }
    fcng_params_fini(&j->params);
    return code;
}

int cli_get(const cli_options *options)
{
    return cli_get_tapped(options, NULL, NULL);
}
