/* SPDX-License-Identifier: BSD-2-Clause */
/* Records out -> slices.  Spec: 3.3. */
#include "fcng_writer.h"
#include "fcng_int.h"
#include "fcng_mem.h"

/* Stands for borrowed bytes that were taken back in the middle of a record.
   Never written to; not const, for then it would lie in the file. */
static char zeros[FCNG_MAX_PAYLOAD];

void fcng_writer_init(fcng_writer *writer, const fcng_mem *mem)
{
    fcng_buf_init(&writer->copied, mem);
    writer->piece = writer->inline_piece;
    writer->size = FCNG_WRITER_PIECES;
    writer->shared = false;
    fcng_writer_clear(writer);
}

static void release_ring(fcng_writer *writer)
{
    if (writer->piece != writer->inline_piece) {
        fcng_mem_release(writer->copied.mem, writer->piece);
    }
}

void fcng_writer_fini(fcng_writer *writer)
{
    release_ring(writer);
    fcng_buf_fini(&writer->copied);
}

void fcng_writer_share(fcng_writer *writer)
{
    FCNG_ASSERT(writer->count == 0);
    writer->shared = true;
}

void fcng_writer_clear(fcng_writer *writer)
{
    fcng_buf_clear(&writer->copied);
    writer->first = 0; /* the same few cache lines for every request */
    writer->count = 0;
    writer->borrowed = 0;
    writer->record_left = 0;
}

size_t fcng_writer_room(const fcng_writer *writer)
{
    return writer->size - writer->count;
}

size_t fcng_writer_queued(const fcng_writer *writer)
{
    return fcng_buf_len(&writer->copied) + writer->borrowed;
}

bool fcng_writer_empty(const fcng_writer *writer)
{
    return writer->count == 0;
}

int fcng_writer_reserve(fcng_writer *writer, size_t len)
{
    return fcng_buf_reserve(&writer->copied, len);
}

static fcng_piece *piece_at(fcng_writer *writer, unsigned i)
{
    return &writer->piece[(writer->first + i) & (writer->size - 1)];
}

static void count_queued(fcng_sink *sink, size_t len)
{
    if (sink != NULL) {
        sink->queued += len;
    }
}

static void push(fcng_writer *writer, const fcng_piece *piece)
{
    FCNG_ASSERT(writer->count < writer->size);
    *piece_at(writer, writer->count) = *piece;
    writer->count++;
    count_queued(piece->sink, piece->len);
}

int fcng_writer_make_room(fcng_writer *writer, size_t n)
{
    if (fcng_writer_room(writer) >= n) {
        return FCNG_OK;
    }
    unsigned size = writer->size;
    while (size - writer->count < n) {
        size *= 2;
    }
    fcng_piece *ring = fcng_mem_alloc(writer->copied.mem,
                                      size * sizeof(*ring));
    if (ring == NULL) {
        return FCNG_ERR_NOMEM;
    }
    for (unsigned i = 0; i < writer->count; i++) {
        ring[i] = *piece_at(writer, i);
    }
    release_ring(writer);
    writer->piece = ring;
    writer->size = size;
    writer->first = 0;
    return FCNG_OK;
}

/* Copied bytes that no one has to tell apart from those before them. */
static bool extends_last(fcng_writer *writer, fcng_sink *sink)
{
    if (writer->count == 0) {
        return false;
    }
    const fcng_piece *last = piece_at(writer, writer->count - 1);
    return last->borrowed == NULL && !last->payload && last->sink == sink;
}

char *fcng_writer_place(fcng_writer *writer, size_t len, fcng_sink *sink)
{
    bool extend = extends_last(writer, sink);
    if ((!extend && fcng_writer_room(writer) == 0)
        || fcng_buf_reserve(&writer->copied, len) != FCNG_OK) {
        return NULL;
    }
    if (extend) {
        piece_at(writer, writer->count - 1)->len += len;
        count_queued(sink, len);
    } else {
        push(writer, &(fcng_piece){ .len = len, .sink = sink });
    }
    return fcng_buf_extend(&writer->copied, len);
}

int fcng_writer_record(fcng_writer *writer, const fcng_record *record,
                       const char *content, fcng_sink *sink)
{
    char *out = fcng_writer_place(writer,
                                  FCNG_HEADER_LEN
                                      + (size_t)record->content_len
                                      + record->padding_len,
                                  sink);
    if (out == NULL) {
        return FCNG_ERR_NOMEM;
    }
    fcng_record_encode(out, record);
    if (record->content_len > 0) {
        memcpy(out + FCNG_HEADER_LEN, content, record->content_len);
    }
    memset(out + FCNG_HEADER_LEN + record->content_len, 0,
           record->padding_len);
    return FCNG_OK;
}

static void copy_payload(fcng_writer *writer, const fcng_str *slices, size_t n,
                         size_t len, fcng_sink *sink)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(fcng_buf_extend(&writer->copied, slices[i].len),
               slices[i].data, slices[i].len);
    }
    push(writer, &(fcng_piece){ .len = len, .sink = sink, .payload = true });
}

static void borrow_payload(fcng_writer *writer, const fcng_str *slices,
                           size_t n, fcng_sink *sink)
{
    for (size_t i = 0; i < n; i++) {
        push(writer, &(fcng_piece){ .borrowed = slices[i].data,
                                    .len = slices[i].len,
                                    .sink = sink,
                                    .payload = true });
        writer->borrowed += slices[i].len;
    }
}

int fcng_writer_stream(fcng_writer *writer, uint8_t type, uint16_t id,
                       const fcng_str *slices, size_t n, size_t len,
                       fcng_sink *sink)
{
    FCNG_ASSERT(len > 0 && len <= FCNG_MAX_PAYLOAD);
    FCNG_ASSERT(fcng_writer_room(writer) > n);
    bool copy = len < FCNG_COPY_BELOW;
    int err = fcng_buf_reserve(&writer->copied,
                               FCNG_HEADER_LEN + (copy ? len : 0));
    if (err != FCNG_OK) {
        return err;
    }
    fcng_record record = { .version = FCNG_PROTOCOL_VERSION,
                           .type = type,
                           .id = id,
                           .content_len = (uint16_t)len };
    fcng_record_encode(fcng_buf_extend(&writer->copied, FCNG_HEADER_LEN),
                       &record);
    push(writer, &(fcng_piece){ .len = FCNG_HEADER_LEN, .sink = sink });
    if (copy) {
        copy_payload(writer, slices, n, len, sink);
    } else {
        borrow_payload(writer, slices, n, sink);
    }
    return FCNG_OK;
}

size_t fcng_writer_slices(const fcng_writer *writer, fcng_str *slices,
                          size_t max)
{
    const char *copied = writer->copied.data + writer->copied.pos;
    size_t n = 0;
    for (unsigned i = 0; i < writer->count; i++) {
        const fcng_piece *piece
            = &writer->piece[(writer->first + i) & (writer->size - 1)];
        const char *data = piece->borrowed;
        if (data == NULL) {
            data = copied;
            copied += piece->len;
        }
        if (n > 0 && slices[n - 1].data + slices[n - 1].len == data) {
            slices[n - 1].len += piece->len;
        } else if (n < max) {
            slices[n++] = (fcng_str){ data, piece->len };
        } else {
            break;
        }
    }
    return n;
}

static void count_sent(const fcng_piece *piece, size_t len)
{
    if (piece->sink != NULL) {
        piece->sink->started = true;
        piece->sink->queued -= len;
        piece->sink->payload += piece->payload ? len : 0;
    }
}

/* Follows the records as |len| bytes at |at| leave: each header lies whole in
   one copied piece. */
static void follow_records(fcng_writer *writer, const char *at, size_t len)
{
    while (len > 0) {
        if (writer->record_left == 0) {
            fcng_record record;
            fcng_record_decode(&record, at);
            writer->record_left = FCNG_HEADER_LEN + (size_t)record.content_len
                                  + record.padding_len;
        }
        size_t part = FCNG_MIN(len, writer->record_left);
        writer->record_left -= part;
        at += part;
        len -= part;
    }
}

/* The usual case: whole records, of which nothing need be followed. */
static void all_sent(fcng_writer *writer)
{
    for (unsigned i = 0; i < writer->count; i++) {
        const fcng_piece *piece = piece_at(writer, i);
        count_sent(piece, piece->len);
    }
    fcng_writer_clear(writer);
}

void fcng_writer_sent(fcng_writer *writer, size_t len)
{
    if (len == fcng_writer_queued(writer)) {
        all_sent(writer);
        return;
    }
    while (len > 0) {
        FCNG_ASSERT(writer->count > 0);
        fcng_piece *piece = piece_at(writer, 0);
        size_t part = FCNG_MIN(len, piece->len);
        count_sent(piece, part);
        if (writer->shared) {
            follow_records(writer,
                           piece->borrowed != NULL
                               ? piece->borrowed
                               : writer->copied.data + writer->copied.pos,
                           part);
        }
        if (piece->borrowed == NULL) {
            fcng_buf_consume(&writer->copied, part);
        } else {
            piece->borrowed += part;
            writer->borrowed -= part;
        }
        piece->len -= part;
        len -= part;
        if (piece->len == 0) {
            writer->first = (writer->first + 1) & (writer->size - 1);
            writer->count--;
        }
    }
}

/* Cuts |piece| down to |len| bytes that nobody counts. */
static void orphan(fcng_piece *piece, size_t len)
{
    piece->len = len;
    piece->sink = NULL;
    piece->payload = false;
    if (piece->borrowed != NULL) {
        piece->borrowed = zeros;
    }
}

void fcng_writer_forget(fcng_writer *writer, fcng_sink *sink)
{
    FCNG_ASSERT(writer->shared);
    if (writer->count == 0 || sink->queued == 0) {
        return;
    }
    sink->queued = 0;
    size_t begun = writer->record_left, copied = 0;
    unsigned count = writer->count, kept = 0;
    char *from = writer->copied.data + writer->copied.pos, *to = from;
    writer->borrowed = 0;
    for (unsigned i = 0; i < count; i++) {
        fcng_piece piece = *piece_at(writer, i);
        size_t len = piece.len, of_begun = FCNG_MIN(begun, len);
        begun -= of_begun;
        if (piece.sink == sink) {
            orphan(&piece, of_begun);
        }
        if (piece.borrowed == NULL) {
            memmove(to, from, piece.len);
            from += len;
            to += piece.len;
            copied += piece.len;
        } else {
            writer->borrowed += piece.len;
        }
        if (piece.len > 0) {
            *piece_at(writer, kept) = piece;
            kept++;
        }
    }
    writer->count = kept;
    fcng_buf_truncate(&writer->copied, copied);
}
