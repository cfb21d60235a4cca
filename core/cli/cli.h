/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fcng command: the first and smallest host of the core.  It knows
 * <fcng/fcng.h> and APR.
 *
 *   main.c        options and verbs
 *   cli_io.c      connect, poll, read, write: the only file with sockets
 *   cli_params.c  what was typed -> parameters
 *   cli_get.c     requests; cli_values.c  GET_VALUES; cli_dump.c  records
 */
#ifndef FCNG_CLI_H
#define FCNG_CLI_H

#include <apr_file_io.h>
#include <apr_network_io.h>
#include <apr_pools.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <fcng/fcng.h>

/* curl's numbers, where curl has one for it. */
enum cli_exit {
    CLI_OK = 0,
    CLI_USAGE = 2,
    CLI_RESOLVE = 6,
    CLI_CONNECT = 7,
    CLI_WEIRD = 8,     /* an answer that is no CGI response */
    CLI_PARTIAL = 18,  /* less than Content-Length announced */
    CLI_STATUS = 22,   /* --fail, and a status of 400 or more */
    CLI_WRITE = 23,    /* stdout cannot be written */
    CLI_READ = 26,     /* a file cannot be read */
    CLI_MEMORY = 27,
    CLI_TIMEOUT = 28,
    CLI_RECEIVE = 56,  /* the connection or the protocol failed */
    CLI_PROTOCOL = 64  /* + protocolStatus */
};

typedef struct cli_options {
    apr_pool_t *pool;
    const char *address;
    const char *path;      /* with its query; NULL: none was given */
    const char *docroot;
    const char *script;
    const char *query;
    const char *method;
    const char *data;      /* a string, "@FILE" or "-"; NULL: no body */
    const char *file;      /* a Filter's FCGI_DATA */
    apr_array_header_t *headers; /* const char *: "Name: value" */
    apr_array_header_t *params;  /* const char *: "NAME=VALUE" */
    enum fcng_role role;
    bool show_head;
    bool verbose;
    bool fail;
    bool no_output;        /* dump: records in place of the response */
    apr_interval_time_t timeout; /* microseconds, for each request */
    unsigned count;
} cli_options;

/* "fcng: ..." and an end of line to stderr. */
void cli_error(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* --- cli_io.c --- */

/* What the application gets as STDIN or DATA. */
typedef struct cli_source {
    const char *name;    /* for messages */
    uint64_t length;     /* all of it */
    uint64_t at;         /* what was offered */
    bool ended;
    apr_file_t *file;    /* NULL: |bytes| */
    const char *bytes;
    char *buffer;        /* a part of |file|, borrowed by the core */
} cli_source;

/* Shows bytes that went over the wire. */
typedef void cli_tap_fn(void *tap, bool out, const char *bytes, size_t len);

typedef struct cli_link {
    const cli_options *options;
    apr_pool_t *pool;
    apr_socket_t *socket; /* NULL: not connected */
    bool is_unix;
    fcng_conn *conn;
    cli_tap_fn *tap;
    void *tap_to;
    apr_time_t deadline;
    apr_interval_time_t connect_time;
    char *in;
    size_t first_len;     /* the first bytes that came: for the hint */
    char first[64];
} cli_link;

/* Returns an exit code after it has told what is wrong. */
int cli_link_open(cli_link *link, const cli_options *options, bool keep);
void cli_link_close(cli_link *link);

/* What to do with an event; returns an exit code (0: go on). */
typedef int cli_event_fn(void *to, const fcng_event *event);

/* One request, or management records when |request| is NULL. */
typedef struct cli_exchange {
    cli_link *link;
    fcng_request *request;
    cli_source *body;   /* NULL: none */
    cli_source *data;
    cli_event_fn *on_event;
    void *to;
    bool done;          /* set by |on_event| */
} cli_exchange;

/*
 * Reads, writes and waits until |done|; reading comes before writing, so that
 * an application that answers while it is asked never stalls.  Returns an exit
 * code; what is wrong was told.
 */
int cli_exchange_run(cli_exchange *exchange);

int cli_source_string(cli_source *source, const char *text);
int cli_source_file(cli_source *source, const char *name, apr_pool_t *pool);
int cli_source_stdin(cli_source *source, apr_pool_t *pool);
int cli_source_rewind(cli_source *source);

/* All or an exit code. */
int cli_write_stdout(const char *bytes, size_t len);

/* --- cli_params.c --- */

/* Appends the parameters of the request that was typed.  Returns an exit
   code; what is wrong was told. */
int cli_params(fcng_params *params, const cli_options *options,
               const cli_source *body, const cli_source *data);

/* --- the verbs; each returns an exit code --- */

int cli_get(const cli_options *options);
int cli_values(const cli_options *options);
int cli_dump(const cli_options *options);

/* As cli_get, and |tap| sees all bytes. */
int cli_get_tapped(const cli_options *options, cli_tap_fn *tap, void *tap_to);

#endif
