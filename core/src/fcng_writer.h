/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records out -> slices for the host's writev.  Headers and small payloads are
 * copied into one buffer, large payloads are borrowed; each piece is counted
 * for the request it belongs to when it has left.  Knows nothing of what may
 * follow what.
 *
 * The writer's rules (docs/protocol.md): no padding but where the caller asks
 * for it, no record over FCNG_MAX_PAYLOAD.  Spec: 3.3.
 */
#ifndef FCNG_WRITER_H
#define FCNG_WRITER_H

#include "fcng_buf.h"
#include "fcng_record.h"

#define FCNG_WRITER_PIECES 64

/* What left for one request, and what has not. */
typedef struct fcng_sink {
    uint64_t payload; /* bytes of STDIN and DATA */
    size_t queued;    /* bytes in the writer; more perhaps, never fewer */
    bool started;     /* any byte at all */
} fcng_sink;

typedef struct fcng_piece {
    const char *borrowed; /* NULL: the next |len| bytes of |copied| */
    size_t len;
    fcng_sink *sink;      /* NULL: nobody counts */
    bool payload;
} fcng_piece;

/* Must not move: |piece| may point into it. */
typedef struct fcng_writer {
    fcng_buf copied;
    fcng_piece *piece;     /* a ring of |size|, a power of two */
    unsigned size, first, count;
    size_t borrowed;       /* bytes of borrowed pieces */
    bool shared;           /* |record_left| is kept */
    size_t record_left;    /* of the record that has begun to leave */
    fcng_piece inline_piece[FCNG_WRITER_PIECES];
} fcng_writer;

void fcng_writer_init(fcng_writer *writer, const fcng_mem *mem);
void fcng_writer_fini(fcng_writer *writer);

/* From now on fcng_writer_forget() may be asked: call it while empty. */
void fcng_writer_share(fcng_writer *writer);

/* Room for |len| copied bytes in a few calls, so that they cannot fail. */
int fcng_writer_reserve(fcng_writer *writer, size_t len);

/*
 * Queues |len| bytes of whole records, which the caller writes into the place
 * that is returned, before any other call.  NULL: no memory.
 */
char *fcng_writer_place(fcng_writer *writer, size_t len, fcng_sink *sink);

/* Queues one whole record, copied.  Errors: FCNG_ERR_NOMEM. */
int fcng_writer_record(fcng_writer *writer, const fcng_record *record,
                       const char *content, fcng_sink *sink);

/*
 * Queues one record whose content lies in |n| slices of |len| bytes in all.
 * Needs fcng_writer_room() >= n + 1.  Errors: FCNG_ERR_NOMEM.
 */
int fcng_writer_stream(fcng_writer *writer, uint8_t type, uint16_t id,
                       const fcng_str *slices, size_t n, size_t len,
                       fcng_sink *sink);

/* Bytes that have not left. */
size_t fcng_writer_queued(const fcng_writer *writer);

/* Pieces that can still be queued. */
size_t fcng_writer_room(const fcng_writer *writer);

/* Makes room for |n| pieces.  Errors: FCNG_ERR_NOMEM. */
int fcng_writer_make_room(fcng_writer *writer, size_t n);

bool fcng_writer_empty(const fcng_writer *writer);

/* The queued bytes as at most |max| slices; returns how many. */
size_t fcng_writer_slices(const fcng_writer *writer, fcng_str *slices,
                          size_t max);

/* |len| bytes have left. */
void fcng_writer_sent(fcng_writer *writer, size_t len);

/*
 * Lets go of all that is queued for |sink|; nothing is counted for it any
 * more.  The record that has begun to leave keeps its length: what was copied
 * leaves as it is (half a name-value pair must not become another one), zeros
 * take the place of what was borrowed.
 */
void fcng_writer_forget(fcng_writer *writer, fcng_sink *sink);

/* Forgets everything and lets go of borrowed memory. */
void fcng_writer_clear(fcng_writer *writer);

#endif
