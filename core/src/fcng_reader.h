/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes in -> records, for any split of the input.  Knows record headers and
 * lengths; knows neither requests nor what a type means.  Spec: 3.3.
 */
#ifndef FCNG_READER_H
#define FCNG_READER_H

#include "fcng_record.h"

enum fcng_reader_state {
    FCNG_READER_HEADER,
    FCNG_READER_CONTENT,
    FCNG_READER_PADDING
};

typedef struct fcng_reader {
    enum fcng_reader_state state;
    fcng_record record;   /* valid in CONTENT and PADDING */
    size_t content_left;
    size_t padding_left;
    size_t have;          /* bytes of an unfinished header */
    char header[FCNG_HEADER_LEN];
} fcng_reader;

void fcng_reader_init(fcng_reader *reader);

/*
 * Takes header bytes off |in| until the header of the next record is whole;
 * skips the padding of the one before.  Returns FCNG_OK (reader->record is
 * new; take its content next, also when that is empty), or FCNG_AGAIN.
 * Errors: FCNG_ERR_VERSION.
 */
int fcng_reader_header(fcng_reader *reader, fcng_str *in);

/*
 * Takes at most |max| bytes of the record's content off |in|.  Returns FCNG_OK
 * with *piece (empty only for an empty record) or FCNG_AGAIN.  When
 * content_left is 0 afterwards, the record is complete.
 */
int fcng_reader_content(fcng_reader *reader, fcng_str *in, size_t max,
                        fcng_str *piece);

/* |len| bytes of content were read elsewhere. */
void fcng_reader_skip(fcng_reader *reader, size_t len);

#endif
