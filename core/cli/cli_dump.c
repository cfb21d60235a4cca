/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `fcng dump`: a line for each record, of a request as it goes over the wire
 * or of bytes that somebody recorded.
 *
 * It reads headers by itself, not through a connection: it shows also what a
 * connection would refuse.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#define SHOWN 8 /* bytes of content that a line may explain */

/* One direction. */
typedef struct dump_side {
    char mark;           /* '>' out, '<' in, ' ' unknown */
    size_t have;         /* of the header */
    char header[FCNG_HEADER_LEN];
    fcng_record record;
    size_t left;         /* content and padding still to come */
    size_t seen;         /* content kept */
    unsigned char content[SHOWN];
    uint64_t records;
    bool broken;         /* no FastCGI: nothing more is shown */
} dump_side;

typedef struct dump {
    dump_side out, in;
} dump;

/* Spec 3.3; what an application or a server says in BEGIN and END. */
static void explain(const dump_side *side)
{
    static const char *const roles[] = { "0", "RESPONDER", "AUTHORIZER",
                                         "FILTER" };
    static const char *const ends[] = { "REQUEST_COMPLETE", "CANT_MPX_CONN",
                                        "OVERLOADED", "UNKNOWN_ROLE" };
    const unsigned char *c = side->content;
    const char *name = fcng_record_type_name(side->record.type);
    if (name == NULL || side->seen < SHOWN) {
        return;
    }
    if (strcmp(name, "BEGIN_REQUEST") == 0) {
        unsigned role = (unsigned)c[0] << 8 | c[1];
        printf(" role=%s%s", role < 4 ? roles[role] : "?",
               (c[2] & 1) != 0 ? " KEEP_CONN" : "");
    } else if (strcmp(name, "END_REQUEST") == 0) {
        printf(" appStatus=%lu %s",
               (unsigned long)c[0] << 24 | (unsigned long)c[1] << 16
                   | (unsigned long)c[2] << 8 | c[3],
               c[4] < 4 ? ends[c[4]] : "?");
    }
}

static void show(dump_side *side)
{
    const fcng_record *r = &side->record;
    const char *name = fcng_record_type_name(r->type);
    char number[16];
    snprintf(number, sizeof(number), "type %u", r->type);
    printf("%c %-17s id=%u length=%u padding=%u", side->mark,
           name != NULL ? name : number, r->id, r->content_len,
           r->padding_len);
    if (r->version != 1) {
        printf(" version=%u: no FastCGI", r->version);
        side->broken = true;
    }
    explain(side);
    putchar('\n');
    side->records++;
    side->have = 0;
}

/* Content, then padding; content beyond what is shown is passed over. */
static size_t take_content(dump_side *side, const char *bytes, size_t len)
{
    size_t n = len < side->left ? len : side->left;
    size_t payload = side->left > side->record.padding_len
                         ? side->left - side->record.padding_len
                         : 0;
    for (size_t i = 0; i < n && i < payload && side->seen < SHOWN; i++) {
        side->content[side->seen++] = (unsigned char)bytes[i];
    }
    side->left -= n;
    return n;
}

static void dump_bytes(dump_side *side, const char *bytes, size_t len)
{
    while (len > 0 && !side->broken) {
        size_t n = 1;
        if (side->have < FCNG_HEADER_LEN) {
            side->header[side->have++] = *bytes;
            if (side->have == FCNG_HEADER_LEN) {
                fcng_record_decode(&side->record, side->header);
                side->left = (size_t)side->record.content_len
                             + side->record.padding_len;
                side->left = side->record.version == 1 ? side->left : 0;
                side->seen = 0;
            }
        } else {
            n = take_content(side, bytes, len);
        }
        bytes += n;
        len -= n;
        if (side->have == FCNG_HEADER_LEN && side->left == 0) {
            show(side);
        }
    }
}

static void tap(void *to, bool out, const char *bytes, size_t len)
{
    dump *d = to;
    dump_bytes(out ? &d->out : &d->in, bytes, len);
}

static bool cut(const dump_side *side)
{
    return side->have > 0 && !side->broken;
}

static int dump_file(const cli_options *options, dump *d)
{
    apr_file_t *file;
    char bytes[65536];
    const char *name = options->address;
    apr_status_t rv = strcmp(name, "-") == 0
                          ? apr_file_open_stdin(&file, options->pool)
                          : apr_file_open(&file, name + 1, APR_FOPEN_READ,
                                          APR_OS_DEFAULT, options->pool);
    while (rv == APR_SUCCESS) {
        apr_size_t len = sizeof(bytes);
        rv = apr_file_read(file, bytes, &len);
        if (rv == APR_SUCCESS) {
            dump_bytes(&d->in, bytes, len);
        }
    }
    if (!APR_STATUS_IS_EOF(rv)) {
        cli_error("%s: %s", name, apr_strerror(rv, bytes, sizeof(bytes)));
        return CLI_READ;
    }
    if (cut(&d->in)) {
        cli_error("%s: ends within a record", name);
    }
    return cut(&d->in) || d->in.broken ? CLI_WEIRD : CLI_OK;
}

int cli_dump(const cli_options *options)
{
    dump d = { .out = { .mark = '>' }, .in = { .mark = '<' } };
    if (strcmp(options->address, "-") == 0 || options->address[0] == '@') {
        d.in.mark = ' ';
        return dump_file(options, &d);
    }
    cli_options o = *options;
    o.no_output = true;
    int code = cli_get_tapped(&o, tap, &d);
    if (cut(&d.out) || cut(&d.in)) {
        cli_error("%s: ended within a record", options->address);
    }
    return code;
}
