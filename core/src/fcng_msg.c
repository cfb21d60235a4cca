/* SPDX-License-Identifier: BSD-2-Clause */
/* The messages' tags, which stay what they are from version to version, and
   which message a failure belongs to. */
#include "fcng_int.h"

static const char *const tags[FCNG_MSG_COUNT] = {
    [FCNG_MSG_CONNECT] = "FCNG001",
    [FCNG_MSG_IO] = "FCNG002",
    [FCNG_MSG_TIMEOUT] = "FCNG003",
    [FCNG_MSG_CLOSED] = "FCNG004",
    [FCNG_MSG_PROTOCOL] = "FCNG005",
    [FCNG_MSG_STATUS] = "FCNG006",
    [FCNG_MSG_UNKNOWN_ROLE] = "FCNG007",
    [FCNG_MSG_HEAD] = "FCNG008",
    [FCNG_MSG_BODY_LENGTH] = "FCNG009",
    [FCNG_MSG_APP_STATUS] = "FCNG010",
    [FCNG_MSG_STDERR] = "FCNG011",
    [FCNG_MSG_QUEUE] = "FCNG012",
    [FCNG_MSG_REQUEST] = "FCNG013",
    [FCNG_MSG_STALE] = "FCNG014",
    [FCNG_MSG_STRAY] = "FCNG015",
    [FCNG_MSG_DOWN] = "FCNG016",
    [FCNG_MSG_UP] = "FCNG017",
    [FCNG_MSG_MULTIPLEX] = "FCNG018",
};

const char *fcng_msg_tag(enum fcng_msg msg)
{
    FCNG_ASSERT(msg < FCNG_MSG_COUNT);
    return tags[msg];
}

enum fcng_msg fcng_msg_of(int err)
{
    switch (err) {
    case FCNG_ERR_CONNECT:
        return FCNG_MSG_CONNECT;
    case FCNG_ERR_IO:
        return FCNG_MSG_IO;
    case FCNG_ERR_TIMEOUT:
        return FCNG_MSG_TIMEOUT;
    case FCNG_ERR_CLOSED:
        return FCNG_MSG_CLOSED;
    case FCNG_ERR_VERSION:
    case FCNG_ERR_RECORD:
    case FCNG_ERR_END_BODY:
        return FCNG_MSG_PROTOCOL;
    case FCNG_ERR_CANT_MPX:
    case FCNG_ERR_OVERLOADED:
    case FCNG_ERR_STATUS:
        return FCNG_MSG_STATUS;
    case FCNG_ERR_UNKNOWN_ROLE:
        return FCNG_MSG_UNKNOWN_ROLE;
    case FCNG_ERR_HEAD_MISSING:
    case FCNG_ERR_HEAD_SIZE:
    case FCNG_ERR_HEAD_SYNTAX:
    case FCNG_ERR_HEAD_STATUS:
    case FCNG_ERR_HEAD_LENGTH:
        return FCNG_MSG_HEAD;
    case FCNG_ERR_BODY_SHORT:
        return FCNG_MSG_BODY_LENGTH;
    case FCNG_ERR_QUEUE_FULL:
    case FCNG_ERR_QUEUE_TIMEOUT:
        return FCNG_MSG_QUEUE;
    default: /* the request's own, memory, a call out of order */
        return FCNG_MSG_REQUEST;
    }
}

enum fcng_counter fcng_counter_of(int err)
{
    static const uint8_t of[FCNG_MSG_COUNT] = {
        [FCNG_MSG_CONNECT] = FCNG_COUNT_CONNECT,
        [FCNG_MSG_IO] = FCNG_COUNT_CLOSED,
        [FCNG_MSG_TIMEOUT] = FCNG_COUNT_TIMEOUT,
        [FCNG_MSG_CLOSED] = FCNG_COUNT_CLOSED,
        [FCNG_MSG_PROTOCOL] = FCNG_COUNT_PROTOCOL,
        [FCNG_MSG_STATUS] = FCNG_COUNT_REFUSED,
        [FCNG_MSG_UNKNOWN_ROLE] = FCNG_COUNT_REFUSED,
        [FCNG_MSG_HEAD] = FCNG_COUNT_HEAD,
        [FCNG_MSG_BODY_LENGTH] = FCNG_COUNT_HEAD,
    };
    if (err == FCNG_OK) {
        return FCNG_COUNT_COMPLETE;
    }
    uint8_t counter = of[fcng_msg_of(err)];
    return counter != 0 ? (enum fcng_counter)counter : FCNG_COUNT_OTHER;
}
