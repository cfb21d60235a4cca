/* SPDX-License-Identifier: BSD-2-Clause */
/* Records out -> slices.  Spec: 3.3. */
#include "fcng_writer.h"
#include "fcng_int.h"

void fcng_writer_init(fcng_writer *writer, const fcng_mem *mem)
{
    fcng_buf_init(&writer->copied, mem);
    fcng_writer_clear(writer);
}

void fcng_writer_fini(fcng_writer *writer)
{
    fcng_buf_fini(&writer->copied);
}

void fcng_writer_clear(fcng_writer *writer)
{
    fcng_buf_clear(&writer->copied);
    writer->first = 0;
    writer->count = 0;
}

size_t fcng_writer_room(const fcng_writer *writer)
{
    return FCNG_WRITER_PIECES - writer->count;
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
    return &writer->piece[(writer->first + i) % FCNG_WRITER_PIECES];
}

static void push(fcng_writer *writer, const fcng_piece *piece)
{
    FCNG_ASSERT(writer->count < FCNG_WRITER_PIECES);
    *piece_at(writer, writer->count) = *piece;
    writer->count++;
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

int fcng_writer_record(fcng_writer *writer, const fcng_record *record,
                       const char *content, fcng_sink *sink)
{
    size_t len = FCNG_HEADER_LEN + (size_t)record->content_len
                 + record->padding_len;
    bool extend = extends_last(writer, sink);
    if ((!extend && fcng_writer_room(writer) == 0)
        || fcng_buf_reserve(&writer->copied, len) != FCNG_OK) {
        return FCNG_ERR_NOMEM;
    }
    char *out = fcng_buf_extend(&writer->copied, len);
    fcng_record_encode(out, record);
    if (record->content_len > 0) {
        memcpy(out + FCNG_HEADER_LEN, content, record->content_len);
    }
    memset(out + FCNG_HEADER_LEN + record->content_len, 0,
           record->padding_len);
    if (extend) {
        piece_at(writer, writer->count - 1)->len += len;
    } else {
        push(writer, &(fcng_piece){ .len = len, .sink = sink });
    }
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
            = &writer->piece[(writer->first + i) % FCNG_WRITER_PIECES];
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
        piece->sink->payload += piece->payload ? len : 0;
    }
}

void fcng_writer_sent(fcng_writer *writer, size_t len)
{
    while (len > 0) {
        FCNG_ASSERT(writer->count > 0);
        fcng_piece *piece = piece_at(writer, 0);
        size_t part = FCNG_MIN(len, piece->len);
        count_sent(piece, part);
        if (piece->borrowed == NULL) {
            fcng_buf_consume(&writer->copied, part);
        } else {
            piece->borrowed += part;
        }
        piece->len -= part;
        len -= part;
        if (piece->len == 0) {
            writer->first = (writer->first + 1) % FCNG_WRITER_PIECES;
            writer->count--;
        }
    }
    if (writer->count == 0) {
        writer->first = 0; /* the same few cache lines for every request */
    }
}
