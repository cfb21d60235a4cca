/* SPDX-License-Identifier: BSD-2-Clause */
/* Options and verbs of the fcng command. */
#include "cli.h"

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_signal.h>
#include <apr_strings.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "fcng get ADDRESS /PATH[?QUERY]   asks a FastCGI application\n"
    "fcng dump ADDRESS /PATH[?QUERY]  the same, and shows each record\n"
    "fcng dump @FILE, fcng dump -     shows the records of a file or stdin\n"
    "fcng values ADDRESS              asks what it can do (FCGI_GET_VALUES)\n"
    "fcng help, fcng version\n"
    "\n"
    "ADDRESS is unix:/path, unix:@abstract, host:port, [::1]:port or :port.\n"
    "\n"
    "What is asked for:\n"
    "  --docroot DIR     SCRIPT_FILENAME is DIR and the path\n"
    "  --script FILE     SCRIPT_FILENAME is FILE, PATH_INFO the path\n"
    "                    (neither: the path is PATH_INFO)\n"
    "  -X, --method M    default GET, with --data POST\n"
    "  -d, --data TEXT   the body; @FILE: a file's bytes; -: stdin's\n"
    "  -H 'Name: value'  a request header field\n"
    "  -P NAME=VALUE     a parameter, replaces one of ours\n"
    "  --query TEXT      QUERY_STRING\n"
    "  --role ROLE       responder, authorizer or filter\n"
    "  --file FILE       what a filter gets as FCGI_DATA\n"
    "  --count N         so many requests, on one connection if it is kept\n"
    "  --timeout S       seconds for each request, default 60\n"
    "What is shown: the body on stdout; the application's STDERR and errors\n"
    "on stderr.\n"
    "  -i, --include     the response's head before the body\n"
    "  -f, --fail        exit 22 and no body for a status of 400 or more\n"
    "  -v, --verbose     connection, parameters, times on stderr\n"
    "Exit: 0 answered, 2 usage, 6 name not resolved, 7 not connected,\n"
    "  8 answer malformed, 18 body cut short, 22 --fail, 23 stdout, 26 file,\n"
    "  28 timeout, 56 connection or protocol failed, 64 + protocolStatus.\n";

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("fcng: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

enum { OPT_DOCROOT = 256, OPT_SCRIPT, OPT_QUERY, OPT_ROLE, OPT_FILE,
       OPT_TIMEOUT, OPT_COUNT };

static const apr_getopt_option_t known[] = {
    { "docroot", OPT_DOCROOT, 1, NULL },
    { "script", OPT_SCRIPT, 1, NULL },
    { "method", 'X', 1, NULL },
    { "data", 'd', 1, NULL },
    { "header", 'H', 1, NULL },
    { "param", 'P', 1, NULL },
    { "query", OPT_QUERY, 1, NULL },
    { "role", OPT_ROLE, 1, NULL },
    { "file", OPT_FILE, 1, NULL },
    { "include", 'i', 0, NULL },
    { "fail", 'f', 0, NULL },
    { "verbose", 'v', 0, NULL },
    { "timeout", OPT_TIMEOUT, 1, NULL },
    { "count", OPT_COUNT, 1, NULL },
    { "help", 'h', 0, NULL },
    { NULL, 0, 0, NULL }
};

static int set_role(cli_options *o, const char *arg)
{
    static const char *const names[] = { "responder", "authorizer",
                                         "filter" };
    for (int i = 0; i < 3; i++) {
        if (strcmp(arg, names[i]) == 0) {
            o->role = (enum fcng_role)(i + 1);
            return CLI_OK;
        }
    }
    cli_error("--role %s: write responder, authorizer or filter", arg);
    return CLI_USAGE;
}

static int set_timeout(cli_options *o, const char *arg)
{
    char *end;
    double seconds = strtod(arg, &end);
    if (end == arg || *end != '\0' || !(seconds > 0) || seconds > 1e6) {
        cli_error("--timeout %s: write a number of seconds", arg);
        return CLI_USAGE;
    }
    o->timeout = (apr_interval_time_t)(seconds * APR_USEC_PER_SEC);
    return CLI_OK;
}

static int set_count(cli_options *o, const char *arg)
{
    char *end;
    unsigned long count = strtoul(arg, &end, 10);
    if (*arg < '0' || *arg > '9' || *end != '\0' || count == 0
        || count > 1000000000) {
        cli_error("--count %s: write a number from 1", arg);
        return CLI_USAGE;
    }
    o->count = (unsigned)count;
    return CLI_OK;
}

static int add_header(cli_options *o, const char *arg)
{
    if (strchr(arg, ':') == NULL) {
        cli_error("-H '%s': write 'Name: value'", arg);
        return CLI_USAGE;
    }
    APR_ARRAY_PUSH(o->headers, const char *) = arg;
    return CLI_OK;
}

static int add_param(cli_options *o, const char *arg)
{
    if (strchr(arg, '=') == NULL || *arg == '=') {
        cli_error("-P '%s': write NAME=VALUE", arg);
        return CLI_USAGE;
    }
    APR_ARRAY_PUSH(o->params, const char *) = arg;
    return CLI_OK;
}

static int take_option(cli_options *o, int option, const char *arg)
{
    switch (option) {
    case OPT_DOCROOT:
        o->docroot = arg;
        return CLI_OK;
    case OPT_SCRIPT:
        o->script = arg;
        return CLI_OK;
    case OPT_QUERY:
        o->query = arg;
        return CLI_OK;
    case OPT_FILE:
        o->file = arg;
        return CLI_OK;
    case OPT_ROLE:
        return set_role(o, arg);
    case OPT_TIMEOUT:
        return set_timeout(o, arg);
    case OPT_COUNT:
        return set_count(o, arg);
    case 'X':
        o->method = arg;
        return CLI_OK;
    case 'd':
        o->data = arg;
        return CLI_OK;
    case 'H':
        return add_header(o, arg);
    case 'P':
        return add_param(o, arg);
    case 'i':
        o->show_head = true;
        return CLI_OK;
    case 'f':
        o->fail = true;
        return CLI_OK;
    default:
        o->verbose = true;
        return CLI_OK;
    }
}

static void option_error(void *unused, const char *format, ...)
{
    (void)unused;
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
}

/* Options and words in any order. */
static int read_options(cli_options *o, int argc, const char *const *argv)
{
    apr_getopt_t *os;
    apr_getopt_init(&os, o->pool, argc, argv);
    os->interleave = 1;
    os->errfn = option_error;
    int option;
    const char *arg;
    apr_status_t rv;
    while ((rv = apr_getopt_long(os, known, &option, &arg)) == APR_SUCCESS) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(CLI_OK);
        }
        int code = take_option(o, option, arg);
        if (code != CLI_OK) {
            return code;
        }
    }
    int words = argc - os->ind;
    if (rv != APR_EOF || words > 2) {
        cli_error("%s; `fcng help` tells what there is",
                  rv != APR_EOF ? "an option that is wrong"
                                : "more than an address and a path");
        return CLI_USAGE;
    }
    o->address = words > 0 ? os->argv[os->ind] : NULL;
    o->path = words > 1 ? os->argv[os->ind + 1] : NULL;
    return CLI_OK;
}

typedef struct cli_verb {
    const char *name;
    int (*run)(const cli_options *options);
} cli_verb;

static const cli_verb verbs[] = {
    { "get", cli_get },
    { "values", cli_values },
    { "dump", cli_dump },
};

static const cli_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(name, verbs[i].name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

static int run_verb(const cli_verb *verb, cli_options *o, int argc,
                    const char *const *argv)
{
    int code = read_options(o, argc, argv);
    if (code != CLI_OK) {
        return code;
    }
    if (o->address == NULL) {
        cli_error("%s: no address; write unix:/path or host:port", verb->name);
        return CLI_USAGE;
    }
    return verb->run(o);
}

static int run(apr_pool_t *pool, int argc, const char *const *argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        printf("fcng %s\n", fcng_version());
        return CLI_OK;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0
        || strcmp(name, "-h") == 0) {
        fputs(usage, argc > 1 ? stdout : stderr);
        return argc > 1 ? CLI_OK : CLI_USAGE;
    }
    const cli_verb *verb = find_verb(name);
    if (verb == NULL) {
        cli_error("'%s' is no verb: get, dump, values, help, version", name);
        return CLI_USAGE;
    }
    cli_options options = {
        .pool = pool,
        .headers = apr_array_make(pool, 4, sizeof(const char *)),
        .params = apr_array_make(pool, 4, sizeof(const char *)),
        .role = FCNG_RESPONDER,
        .timeout = 60 * APR_USEC_PER_SEC,
        .count = 1,
    };
    return run_verb(verb, &options, argc - 1, argv + 1);
}

int main(int argc, const char *const *argv)
{
    char *const *env = NULL;
    apr_pool_t *pool;
    if (apr_app_initialize(&argc, &argv, (const char *const **)&env)
            != APR_SUCCESS
        || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        cli_error("no memory");
        return CLI_MEMORY;
    }
    atexit(apr_terminate);
    apr_signal(SIGPIPE, SIG_IGN); /* a write's error tells the same */
    int code = run(pool, argc, argv);
    if (fflush(stdout) != 0 && code == CLI_OK) {
        code = CLI_WRITE;
    }
    return code;
}
