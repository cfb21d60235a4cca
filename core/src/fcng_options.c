/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pool's words: names, kinds of value, limits, defaults, in one table that
 * both servers and the command read.
 */
#include "fcng_text.h"
#include "fcng_int.h"

enum kind {
    COUNT,  /* a number, where allowed "unlimited" */
    TIME,   /* 500ms, 5s, 1m30s; a plain number is seconds */
    SIZE,   /* 64k, 1m; a plain number is bytes */
    ON_OFF,
    MULTIPLEX
};

typedef struct word_row {
    const char *name;
    enum kind kind;
    size_t at;          /* in fcng_pool_options */
    uint64_t min, max;
    uint64_t unlimited; /* what "unlimited" stands for, or NO_UNLIMITED */
    const char *example;
} word_row;

#define AT(member) offsetof(fcng_pool_options, member)
#define COUNT_MAX UINT32_MAX
#define TIME_MAX (UINT64_C(365) * 86400 * 1000000)
#define STREAMS_MAX 65535
#define SIZE_LEAST 16384
#define SIZE_MOST (UINT64_C(1) << 30)
#define NO_UNLIMITED (UINT64_MAX - 1)

static const word_row words[FCNG_WORD_COUNT] = {
    [FCNG_WORD_MAX_CONNECTIONS] = { "max_connections", COUNT,
        AT(max_connections), 0, COUNT_MAX, 0,
        "a number, as 32, or unlimited" },
    [FCNG_WORD_MAX_QUEUE] = { "max_queue", COUNT, AT(max_queue), 0, COUNT_MAX,
        COUNT_MAX, "a number, as 256 (0: nobody waits), or unlimited" },
    [FCNG_WORD_QUEUE_TIMEOUT] = { "queue_timeout", TIME, AT(queue_timeout_us),
        0, TIME_MAX, NO_UNLIMITED, "a time, as 5s or 500ms" },
    [FCNG_WORD_MAX_IDLE] = { "max_idle", COUNT, AT(max_idle), 0, COUNT_MAX,
        COUNT_MAX, "a number, as 8 (0: none is kept), or unlimited" },
    [FCNG_WORD_IDLE_TIMEOUT] = { "idle_timeout", TIME, AT(idle_timeout_us), 0,
        TIME_MAX, NO_UNLIMITED, "a time, as 1s or 500ms" },
    [FCNG_WORD_MIN_IDLE] = { "min_idle", COUNT, AT(min_idle), 0,
        FCNG_SHARE_TICKETS, NO_UNLIMITED, "a number, as 4 (0: none)" },
    [FCNG_WORD_MAX_REQUESTS] = { "max_requests", COUNT, AT(max_requests), 0,
        COUNT_MAX, 0, "a number, as 1000, or unlimited" },
    [FCNG_WORD_MAX_LIFETIME] = { "max_lifetime", TIME, AT(max_lifetime_us), 0,
        TIME_MAX, 0, "a time, as 1h, or unlimited" },
    [FCNG_WORD_MAX_FAILS] = { "max_fails", COUNT, AT(max_fails), 0, COUNT_MAX,
        NO_UNLIMITED, "a number, as 3 (0: failures are not counted)" },
    [FCNG_WORD_FAIL_TIMEOUT] = { "fail_timeout", TIME, AT(fail_timeout_us), 0,
        TIME_MAX, NO_UNLIMITED, "a time, as 10s" },
    [FCNG_WORD_SPLIT_LARGE_PARAMS] = { "split_large_params", ON_OFF,
        AT(split_large_params), 0, 0, 0, "on or off" },
    [FCNG_WORD_MULTIPLEX] = { "multiplex", MULTIPLEX, AT(multiplex), 0, 0, 0,
        "off, on or auto" },
    [FCNG_WORD_MAX_STREAMS] = { "max_streams", COUNT, AT(max_streams), 1,
        STREAMS_MAX, NO_UNLIMITED, "a number from 1 to 65535, as 128" },
    [FCNG_WORD_STREAM_BUFFER] = { "stream_buffer", SIZE, AT(stream_buffer),
        SIZE_LEAST, SIZE_MOST, NO_UNLIMITED,
        "a size from 16k to 1g, as 256k" },
};

void fcng_pool_options_init(fcng_pool_options *options)
{
    *options = (fcng_pool_options){ .max_queue = 1024,
                                    .queue_timeout_us = 5000000,
                                    .max_idle = UINT32_MAX,
                                    .idle_timeout_us = 1000000,
                                    .max_fails = 1,
                                    .fail_timeout_us = 10000000,
                                    .max_streams = 128,
                                    .stream_buffer = 262144 };
}

/* --- values --- */

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* The digits at the front of |s|, and the letters behind them. */
static bool take_number(fcng_str *s, uint64_t max, uint64_t *n,
                        fcng_str *letters)
{
    size_t digits = 0, end;
    while (digits < s->len && s->data[digits] >= '0'
           && s->data[digits] <= '9') {
        digits++;
    }
    end = digits;
    while (end < s->len && s->data[end] >= 'A') {
        end++;
    }
    bool is_number = fcng_text_number((fcng_str){ s->data, digits }, max, n);
    *letters = (fcng_str){ s->data + digits, end - digits };
    *s = (fcng_str){ s->data + end, s->len - end };
    return is_number;
}

/* 1m30s: units from large to small, as nginx reads them. */
static bool read_time(fcng_str s, uint64_t *us)
{
    static const unit known[] = { { "d", UINT64_C(86400000000) },
                                  { "h", 3600000000 },
                                  { "m", 60000000 },
                                  { "s", 1000000 },
                                  { "ms", 1000 } };
    size_t at = 0;
    *us = 0;
    do {
        uint64_t n;
        fcng_str letters;
        if (!take_number(&s, TIME_MAX, &n, &letters)) {
            return false;
        }
        while (at < 5 && !fcng_text_is(letters, known[at].name)
               && !(letters.len == 0 && at == 3 && s.len == 0)) {
            at++;
        }
        if (at == 5 || n > TIME_MAX / known[at].factor) {
            return false;
        }
        *us += n * known[at++].factor;
    } while (s.len > 0);
    return true;
}

static bool read_size(fcng_str s, uint64_t *bytes)
{
    fcng_str letters;
    unsigned shift = 0;
    if (!take_number(&s, SIZE_MOST, bytes, &letters) || s.len > 0) {
        return false;
    }
    if (letters.len == 1) {
        char letter = (char)(letters.data[0] | 0x20);
        shift = letter == 'k' ? 10 : letter == 'm' ? 20
                : letter == 'g' ? 30 : 0;
    }
    *bytes <<= shift;
    return shift > 0 || letters.len == 0;
}

static bool read_choice(fcng_str s, const char *const *choices, size_t n,
                        uint64_t *choice)
{
    for (*choice = 0; *choice < n; ++*choice) {
        if (fcng_text_is(s, choices[*choice])) {
            return true;
        }
    }
    return false;
}

static bool read_value(const word_row *row, fcng_str s, uint64_t *n)
{
    static const char *const choices[] = { "off", "on", "auto" };
    if (row->kind == ON_OFF || row->kind == MULTIPLEX) {
        return read_choice(s, choices, row->kind == ON_OFF ? 2 : 3, n);
    }
    if (fcng_text_is(s, "unlimited")) {
        *n = row->unlimited;
        return row->unlimited != NO_UNLIMITED;
    }
    bool is_read = row->kind == TIME ? read_time(s, n)
                   : row->kind == SIZE ? read_size(s, n)
                                       : fcng_text_number(s, row->max, n);
    return is_read && *n >= row->min && *n <= row->max;
}

/* --- words --- */

static void *place(fcng_pool_options *options, const word_row *row)
{
    return (char *)options + row->at;
}

static void store(fcng_pool_options *options, const word_row *row, uint64_t n)
{
    switch (row->kind) {
    case COUNT:
    case MULTIPLEX:
        *(uint32_t *)place(options, row) = (uint32_t)n;
        break;
    case TIME:
    case SIZE:
        *(uint64_t *)place(options, row) = n;
        break;
    case ON_OFF:
        *(bool *)place(options, row) = n != 0;
        break;
    }
}

/* Behind the letters that are a word's name; |text.len| when there is none. */
static size_t name_end(fcng_str text)
{
    size_t len = 0;
    while (len < text.len
           && ((text.data[len] >= 'a' && text.data[len] <= 'z')
               || text.data[len] == '_')) {
        len++;
    }
    return len > 0 && len < text.len && text.data[len] == '=' ? len
                                                              : text.len;
}

bool fcng_is_word(fcng_str text)
{
    return name_end(text) < text.len;
}

static int refuse_unknown(fcng_sentence *s, fcng_str word)
{
    fcng_sentence_add(s, "unknown word \"");
    fcng_sentence_add_str(s, word);
    fcng_sentence_add(s, "\"; known are");
    for (size_t i = 0; i < FCNG_WORD_COUNT; i++) {
        fcng_sentence_add(s, i == 0 ? " " : ", ");
        fcng_sentence_add(s, words[i].name);
    }
    return FCNG_ERR_WORD;
}

static int refuse_twice(fcng_sentence *s, const word_row *row)
{
    fcng_sentence_add(s, row->name);
    fcng_sentence_add(s, " is given twice; write it once");
    return FCNG_ERR_WORD;
}

static int refuse_value(fcng_sentence *s, const word_row *row, fcng_str value)
{
    fcng_sentence_add(s, row->name);
    fcng_sentence_add(s, " does not take \"");
    fcng_sentence_add_str(s, value);
    fcng_sentence_add(s, "\"; write ");
    fcng_sentence_add(s, row->example);
    return FCNG_ERR_VALUE;
}

int fcng_pool_options_word(fcng_pool_options *options, fcng_str word,
                           char *why, size_t why_len)
{
    fcng_sentence s;
    fcng_sentence_init(&s, why, why_len);
    size_t end = name_end(word);
    fcng_str name = { word.data, end };
    size_t i = 0;
    while (i < FCNG_WORD_COUNT && !fcng_text_is(name, words[i].name)) {
        i++;
    }
    if (i == FCNG_WORD_COUNT || end == word.len) {
        return refuse_unknown(&s, word);
    }
    if ((options->set >> i & 1) != 0) {
        return refuse_twice(&s, &words[i]);
    }
    fcng_str value = { word.data + end + 1, word.len - end - 1 };
    uint64_t n;
    if (!read_value(&words[i], value, &n)) {
        return refuse_value(&s, &words[i], value);
    }
    store(options, &words[i], n);
    options->set |= UINT32_C(1) << i;
    return FCNG_OK;
}

static uint64_t load(const fcng_pool_options *options, const word_row *row)
{
    const void *at = (const char *)options + row->at;
    switch (row->kind) {
    case COUNT:
    case MULTIPLEX:
        return *(const uint32_t *)at;
    case TIME:
    case SIZE:
        return *(const uint64_t *)at;
    case ON_OFF:
        return *(const bool *)at;
    }
    return 0;
}

void fcng_pool_options_merge(fcng_pool_options *options,
                             const fcng_pool_options *outer)
{
    uint32_t missing = outer->set & ~options->set;
    for (size_t i = 0; i < FCNG_WORD_COUNT; i++) {
        if ((missing >> i & 1) != 0) {
            store(options, &words[i], load(outer, &words[i]));
        }
    }
    options->set |= missing;
}

bool fcng_pool_options_equal(const fcng_pool_options *a,
                             const fcng_pool_options *b)
{
    /* Asked for each request: without the table. */
    return a->max_connections == b->max_connections
           && a->max_queue == b->max_queue
           && a->queue_timeout_us == b->queue_timeout_us
           && a->max_idle == b->max_idle
           && a->idle_timeout_us == b->idle_timeout_us
           && a->min_idle == b->min_idle
           && a->max_requests == b->max_requests
           && a->max_lifetime_us == b->max_lifetime_us
           && a->max_fails == b->max_fails
           && a->fail_timeout_us == b->fail_timeout_us
           && a->split_large_params == b->split_large_params
           && a->multiplex == b->multiplex
           && a->max_streams == b->max_streams
           && a->stream_buffer == b->stream_buffer;
}
