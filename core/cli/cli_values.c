/* SPDX-License-Identifier: BSD-2-Clause */
/* `fcng values`: what an application says of itself (Spec 4.1). */
#include "cli.h"

#include <stdio.h>

typedef struct result {
    fcng_values values;
    int err;
    bool unknown;
} result;

static int on_event(void *to, const fcng_event *event)
{
    result *r = to;
    if (event->type == FCNG_EV_VALUES) {
        r->err = fcng_values_parse(&r->values, event->bytes);
    }
    r->unknown = r->unknown || event->type == FCNG_EV_UNKNOWN_TYPE;
    return CLI_OK;
}

static void show(const char *name, int64_t value)
{
    if (value < 0) {
        printf("%s not told\n", name);
    } else {
        printf("%s %lld\n", name, (long long)value);
    }
}

static int judge(const result *r, const cli_options *options)
{
    if (r->unknown || r->err != FCNG_OK) {
        cli_error("%s: %s", options->address,
                  r->unknown ? "the application does not know FCGI_GET_VALUES"
                             : fcng_strerror(r->err));
        return CLI_WEIRD;
    }
    show("MAX_CONNS", r->values.max_conns);
    show("MAX_REQS", r->values.max_reqs);
    show("MPXS_CONNS", r->values.mpxs_conns);
    return CLI_OK;
}

int cli_values(const cli_options *options)
{
    cli_link link = { .socket = NULL };
    result r = { .values = { -1, -1, -1 } };
    if (options->path != NULL) {
        cli_error("values takes an address and no path");
        return CLI_USAGE;
    }
    int code = cli_link_open(&link, options, false);
    if (code == CLI_OK && fcng_conn_get_values(link.conn) != FCNG_OK) {
        code = CLI_MEMORY;
    }
    if (code == CLI_OK) {
        cli_exchange x = { .link = &link, .on_event = on_event, .to = &r };
        code = cli_exchange_run(&x);
    }
    cli_link_close(&link);
    return code != CLI_OK ? code : judge(&r, options);
}
