/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One record: its header and the bodies of fixed size.  Pure functions.
 *
 *   0         1        2      3      4             5     6         7
 *   | version | type | requestId   | contentLength | padding | reserved |
 *
 * Spec: 3.3, 5.1, 5.5, 8.
 */
#ifndef FCNG_RECORD_H
#define FCNG_RECORD_H

#include <fcng/fcng.h>

#include "fcng_wire.h"

#define FCNG_PROTOCOL_VERSION 1
#define FCNG_KEEP_CONN 1 /* flag of BEGIN_REQUEST */
#define FCNG_BEGIN_LEN 8
#define FCNG_END_LEN 8

enum fcng_type {
    FCNG_TYPE_BEGIN_REQUEST = 1,
    FCNG_TYPE_ABORT_REQUEST = 2,
    FCNG_TYPE_END_REQUEST = 3,
    FCNG_TYPE_PARAMS = 4,
    FCNG_TYPE_STDIN = 5,
    FCNG_TYPE_STDOUT = 6,
    FCNG_TYPE_STDERR = 7,
    FCNG_TYPE_DATA = 8,
    FCNG_TYPE_GET_VALUES = 9,
    FCNG_TYPE_GET_VALUES_RESULT = 10,
    FCNG_TYPE_UNKNOWN_TYPE = 11
};

/* Writes the 8 bytes of a header. */
static inline void fcng_record_encode(char *out, const fcng_record *record)
{
    unsigned char *hd = (unsigned char *)out;
    hd[0] = record->version;
    hd[1] = record->type;
    fcng_put16(hd + 2, record->id);
    fcng_put16(hd + 4, record->content_len);
    hd[6] = record->padding_len;
    hd[7] = 0;
}

/* Writes the 8 bytes of a BEGIN_REQUEST body. */
void fcng_record_encode_begin(char *out, enum fcng_role role, bool keep_conn);

/* Reads the first 8 bytes of an END_REQUEST body. */
void fcng_record_decode_end(const void *in, uint32_t *app_status,
                            uint8_t *protocol_status);

/* FCNG_OK for REQUEST_COMPLETE, else FCNG_ERR_CANT_MPX ... _STATUS. */
int fcng_record_status_error(uint8_t protocol_status);

/* Such a record belongs to a request: STDOUT, STDERR, END_REQUEST. */
static inline bool fcng_record_is_answer(uint8_t type)
{
    return type == FCNG_TYPE_STDOUT || type == FCNG_TYPE_STDERR
           || type == FCNG_TYPE_END_REQUEST;
}

/* Only a web server may send such a record: from an application it is a
   protocol error. */
bool fcng_record_is_ours(uint8_t type);

#endif
