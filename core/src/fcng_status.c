/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status page, in pieces: a beginning, one for each address, an end.
 */
#include "fcng_int.h"
#include "fcng_text.h"

static const char *const gauge_names[FCNG_GAUGES] = {
    [FCNG_GAUGE_CONNECTIONS] = "connections",
    [FCNG_GAUGE_CONNECTING] = "connecting",
    [FCNG_GAUGE_IDLE] = "idle",
    [FCNG_GAUGE_WAITING] = "waiting",
    [FCNG_GAUGE_ACTIVE] = "active",
    [FCNG_GAUGE_STREAMS] = "streams",
};

static const char *const counter_names[FCNG_COUNTERS] = {
    [FCNG_COUNT_OPENED] = "opened",
    [FCNG_COUNT_REUSED] = "reused",
    [FCNG_COUNT_SHARED] = "shared",
    [FCNG_COUNT_REQUESTS] = "requests",
    [FCNG_COUNT_COMPLETE] = "complete",
    [FCNG_COUNT_ABORTED] = "aborted",
    [FCNG_COUNT_RETRIED] = "retried",
    [FCNG_COUNT_STALE] = "stale",
    [FCNG_COUNT_QUEUED] = "queued",
    [FCNG_COUNT_QUEUE_FULL] = "queue_full",
    [FCNG_COUNT_QUEUE_TIMEOUT] = "queue_timeout",
    [FCNG_COUNT_CONNECT] = "connect_errors",
    [FCNG_COUNT_TIMEOUT] = "timeouts",
    [FCNG_COUNT_CLOSED] = "closed_early",
    [FCNG_COUNT_PROTOCOL] = "protocol_errors",
    [FCNG_COUNT_REFUSED] = "refused",
    [FCNG_COUNT_HEAD] = "bad_heads",
    [FCNG_COUNT_OTHER] = "other_errors",
};

static void add_member(fcng_sentence *s, const char *name, uint64_t n)
{
    fcng_sentence_add(s, ",\"");
    fcng_sentence_add(s, name);
    fcng_sentence_add(s, "\":");
    fcng_sentence_add_number(s, n);
}

/* Quotes and backslashes are escaped; control bytes cannot be in an address
   that was configured, and are '?' otherwise. */
static void add_string(fcng_sentence *s, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fcng_sentence_add(s, "\\");
        }
        fcng_sentence_add_str(s, (fcng_str){ text, 1 });
    }
}

/* With requests on them; the numbers are not all of the same moment. */
static uint64_t busy(const fcng_share_row *row)
{
    uint64_t others = row->gauge[FCNG_GAUGE_CONNECTING]
                      + row->gauge[FCNG_GAUGE_IDLE];
    uint64_t all = row->gauge[FCNG_GAUGE_CONNECTIONS];
    return all > others ? all - others : 0;
}

static void add_row(fcng_sentence *s, unsigned index,
                    const fcng_share_row *row)
{
    fcng_sentence_add(s, index == 0 ? "\n{\"address\":\""
                                    : ",\n{\"address\":\"");
    add_string(s, row->address);
    fcng_sentence_add(s, "\"");
    add_member(s, "processes", row->processes);
    for (int i = 0; i < FCNG_GAUGES; i++) {
        add_member(s, gauge_names[i], row->gauge[i]);
    }
    add_member(s, "busy", busy(row));
    for (int i = 0; i < FCNG_COUNTERS; i++) {
        add_member(s, counter_names[i], row->count[i]);
    }
    fcng_sentence_add(s, "}");
}

void fcng_status_init(fcng_status *status, fcng_share *share)
{
    *status = (fcng_status){ .share = share };
}

size_t fcng_status_next(fcng_status *status, char *out)
{
    fcng_sentence s;
    fcng_share_row row;
    unsigned piece = status->piece++;
    fcng_sentence_init(&s, out, FCNG_STATUS_PIECE);
    if (status->ended) {
        return 0;
    }
    if (piece == 0) {
        fcng_sentence_add(&s, "{\"version\":\"" FCNG_VERSION
                              "\",\"addresses\":[");
    } else if (status->share != NULL
               && fcng_share_read(status->share, piece - 1, &row)) {
        add_row(&s, piece - 1, &row);
    } else {
        fcng_sentence_add(&s, "]}\n");
        status->ended = true;
    }
    return strlen(out);
}
