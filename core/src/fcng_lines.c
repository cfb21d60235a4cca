/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * STDERR -> whole, harmless, bounded lines, and the rate at which they may be
 * written.  CR ends a line as LF does: "\r\n" then gives one line and an empty
 * one, which is skipped, and a progress bar gives many short lines rather than
 * an escaped long one.
 */
#include "fcng_int.h"

#define SECOND_US 1000000u

void fcng_lines_init(fcng_lines *lines)
{
    lines->len = 0;
    lines->cut = false;
}

/* The line is valid until the next call, which writes over it. */
static int give(fcng_lines *lines, fcng_str *line)
{
    *line = (fcng_str){ lines->buf, lines->len };
    lines->len = 0;
    return FCNG_OK;
}

/* Adds one byte as the log shows it; false: the line is full. */
static bool add(fcng_lines *lines, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    bool plain = c >= 0x20 && c <= 0x7e;
    if (FCNG_LINE_MAX - lines->len < (plain ? 1u : 4u)) {
        return false;
    }
    char *out = lines->buf + lines->len;
    if (plain) {
        *out = (char)c;
        lines->len++;
        return true;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    lines->len += 4;
    return true;
}

static unsigned char take(fcng_str *in)
{
    unsigned char c = (unsigned char)*in->data;
    in->data++;
    in->len--;
    return c;
}

int fcng_lines_next(fcng_lines *lines, fcng_str *in, fcng_str *line)
{
    while (in->len > 0) {
        unsigned char c = take(in);
        if (c == '\n' || c == '\r') {
            lines->cut = false;
            if (lines->len > 0) {
                return give(lines, line);
            }
        } else if (!lines->cut && !add(lines, c)) {
            memcpy(lines->buf + lines->len, "...", 3);
            lines->len += 3;
            lines->cut = true;
            return give(lines, line);
        }
    }
    return FCNG_AGAIN;
}

int fcng_lines_end(fcng_lines *lines, fcng_str *line)
{
    lines->cut = false;
    return lines->len > 0 ? give(lines, line) : FCNG_AGAIN;
}

/* --- rate: a bucket of one second, of which each thing takes its part --- */

void fcng_rate_init(fcng_rate *rate, uint64_t per_second)
{
    *rate = (fcng_rate){ .per_second = per_second, .tokens_us = SECOND_US };
}

bool fcng_rate_allow(fcng_rate *rate, uint64_t now_us)
{
    if (rate->per_second == 0) {
        return true;
    }
    uint64_t passed = now_us > rate->last_us ? now_us - rate->last_us : 0;
    rate->last_us += passed;
    passed = FCNG_MIN(passed, SECOND_US);
    rate->tokens_us = FCNG_MIN(rate->tokens_us + passed, SECOND_US);
    uint64_t cost = SECOND_US / rate->per_second;
    if (rate->tokens_us < cost) {
        rate->dropped++;
        return false;
    }
    rate->tokens_us -= cost;
    return true;
}
