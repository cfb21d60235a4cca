/* SPDX-License-Identifier: BSD-2-Clause */
/* Records that come, and the bodies of fixed size.  Spec: 3.3, 5.1, 5.5. */
#include "fcng_record.h"
#include "fcng_int.h"

void fcng_record_decode(fcng_record *record, const void *in)
{
    const unsigned char *hd = in;
    record->version = hd[0];
    record->type = hd[1];
    record->id = fcng_get16(hd + 2);
    record->content_len = fcng_get16(hd + 4);
    record->padding_len = hd[6];
}

/*  | role (2) | flags | reserved (5) |  */
void fcng_record_encode_begin(char *out, enum fcng_role role, bool keep_conn)
{
    memset(out, 0, FCNG_BEGIN_LEN);
    fcng_put16((unsigned char *)out, (uint16_t)role);
    out[2] = keep_conn ? FCNG_KEEP_CONN : 0;
}

/*  | appStatus (4) | protocolStatus | reserved (3) |  */
void fcng_record_decode_end(const void *in, uint32_t *app_status,
                            uint8_t *protocol_status)
{
    const unsigned char *body = in;
    *app_status = fcng_get32(body);
    *protocol_status = body[4];
}

bool fcng_record_is_ours(uint8_t type)
{
    return type == FCNG_TYPE_BEGIN_REQUEST || type == FCNG_TYPE_ABORT_REQUEST
           || type == FCNG_TYPE_PARAMS || type == FCNG_TYPE_STDIN
           || type == FCNG_TYPE_DATA || type == FCNG_TYPE_GET_VALUES;
}

const char *fcng_record_type_name(uint8_t type)
{
    static const char *const name[] = {
        [FCNG_TYPE_BEGIN_REQUEST] = "BEGIN_REQUEST",
        [FCNG_TYPE_ABORT_REQUEST] = "ABORT_REQUEST",
        [FCNG_TYPE_END_REQUEST] = "END_REQUEST",
        [FCNG_TYPE_PARAMS] = "PARAMS",
        [FCNG_TYPE_STDIN] = "STDIN",
        [FCNG_TYPE_STDOUT] = "STDOUT",
        [FCNG_TYPE_STDERR] = "STDERR",
        [FCNG_TYPE_DATA] = "DATA",
        [FCNG_TYPE_GET_VALUES] = "GET_VALUES",
        [FCNG_TYPE_GET_VALUES_RESULT] = "GET_VALUES_RESULT",
        [FCNG_TYPE_UNKNOWN_TYPE] = "UNKNOWN_TYPE",
    };
    return type < sizeof(name) / sizeof(name[0]) ? name[type] : NULL;
}

int fcng_record_status_error(uint8_t protocol_status)
{
    switch (protocol_status) {
    case FCNG_REQUEST_COMPLETE:
        return FCNG_OK;
    case FCNG_CANT_MPX_CONN:
        return FCNG_ERR_CANT_MPX;
    case FCNG_OVERLOADED:
        return FCNG_ERR_OVERLOADED;
    case FCNG_UNKNOWN_ROLE:
        return FCNG_ERR_UNKNOWN_ROLE;
    default:
        return FCNG_ERR_STATUS;
    }
}
