/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes in -> records.  Spec: 3.3. */
#include "fcng_reader.h"
#include "fcng_int.h"

void fcng_reader_init(fcng_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
}

static void take(fcng_str *in, size_t len)
{
    in->data += len;
    in->len -= len;
}

static bool skip_padding(fcng_reader *reader, fcng_str *in)
{
    size_t len = FCNG_MIN(reader->padding_left, in->len);
    take(in, len);
    reader->padding_left -= len;
    return reader->padding_left == 0;
}

/* The 8 bytes of the next header, or NULL while some are missing. */
static const char *whole_header(fcng_reader *reader, fcng_str *in)
{
    if (reader->have == 0 && in->len >= FCNG_HEADER_LEN) {
        const char *header = in->data;
        take(in, FCNG_HEADER_LEN);
        return header;
    }
    size_t len = FCNG_MIN(FCNG_HEADER_LEN - reader->have, in->len);
    if (len > 0) {
        memcpy(reader->header + reader->have, in->data, len);
        take(in, len);
        reader->have += len;
    }
    return reader->have == FCNG_HEADER_LEN ? reader->header : NULL;
}

int fcng_reader_header(fcng_reader *reader, fcng_str *in)
{
    FCNG_ASSERT(reader->state != FCNG_READER_CONTENT);
    if (reader->state == FCNG_READER_PADDING && !skip_padding(reader, in)) {
        return FCNG_AGAIN;
    }
    reader->state = FCNG_READER_HEADER;
    const char *header = whole_header(reader, in);
    if (header == NULL) {
        /* A stranger's whole answer may be shorter than a header. */
        return reader->have > 0 && reader->header[0] != FCNG_PROTOCOL_VERSION
                   ? FCNG_ERR_VERSION : FCNG_AGAIN;
    }
    fcng_record_decode(&reader->record, header);
    if (reader->record.version != FCNG_PROTOCOL_VERSION) {
        return FCNG_ERR_VERSION;
    }
    reader->have = 0;
    reader->content_left = reader->record.content_len;
    reader->padding_left = reader->record.padding_len;
    reader->state = FCNG_READER_CONTENT;
    return FCNG_OK;
}

void fcng_reader_skip(fcng_reader *reader, size_t len)
{
    FCNG_ASSERT(reader->state == FCNG_READER_CONTENT);
    FCNG_ASSERT(len <= reader->content_left);
    reader->content_left -= len;
    if (reader->content_left == 0) {
        reader->state = FCNG_READER_PADDING;
    }
}

int fcng_reader_content(fcng_reader *reader, fcng_str *in, size_t max,
                        fcng_str *piece)
{
    size_t len = FCNG_MIN(reader->content_left, in->len);
    len = FCNG_MIN(len, max);
    if (len == 0 && reader->content_left > 0) {
        return FCNG_AGAIN;
    }
    *piece = (fcng_str){ in->data, len };
    take(in, len);
    fcng_reader_skip(reader, len);
    return FCNG_OK;
}
