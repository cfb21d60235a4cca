/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a failure is called and which status the client sees for it: one table
 * for both servers.
 */
#include "fcng_int.h"

typedef struct error_row {
    int err;
    unsigned status; /* 0: the host's convention for "no live server" */
    const char *text;
} error_row;

static const error_row errors[] = {
    { FCNG_OK, 502, "no error" },
    { FCNG_AGAIN, 502, "nothing yet" },
    { FCNG_ERR_NOMEM, 500, "no memory" },
    { FCNG_ERR_INVALID, 500, "a call out of order" },
    { FCNG_ERR_FULL, 500,
      "as many requests as it may have are under way on this connection" },
    { FCNG_ERR_VERSION, 502,
      "the application sent bytes that are no FastCGI 1.0 record" },
    { FCNG_ERR_RECORD, 502,
      "the application sent a record that only a web server may send" },
    { FCNG_ERR_END_BODY, 502,
      "the application sent an END_REQUEST shorter than 8 bytes" },
    { FCNG_ERR_CLOSED, 502,
      "the application closed the connection before END_REQUEST" },
    { FCNG_ERR_IO, 502,
      "reading from or writing to the application failed" },
    { FCNG_ERR_TIMEOUT, 504, "the application did not answer in time" },
    { FCNG_ERR_CANT_MPX, 502,
      "the application refuses several requests on one connection"
      " (CANT_MPX_CONN)" },
    { FCNG_ERR_OVERLOADED, 503,
      "the application is overloaded (OVERLOADED)" },
    { FCNG_ERR_UNKNOWN_ROLE, 500,
      "the application does not know this role (UNKNOWN_ROLE)" },
    { FCNG_ERR_STATUS, 502,
      "the application ended the request with an unknown protocol status" },
    { FCNG_ERR_PARAM_SIZE, 500,
      "a parameter is larger than 65528 bytes, name included"
      " (split_large_params=on lets it pass to applications that can"
      " read it)" },
    { FCNG_ERR_PARAM_NAME, 500,
      "a parameter's name is empty or holds NUL or '='" },
    { FCNG_ERR_PARAM_NUL, 400, "a parameter's value holds a NUL byte" },
    { FCNG_ERR_PARAM_ENCODING, 500, "not a sequence of name-value pairs" },
    { FCNG_ERR_STDIN_SHORT, 400,
      "the request body ended before its announced length" },
    { FCNG_ERR_STDIN_LONG, 502,
      "the request body is longer than its announced length" },
    { FCNG_ERR_PATH, 400, "the path holds NUL, CR or LF" },
    { FCNG_ERR_HEAD_MISSING, 502,
      "the application ended before the head of its response was complete" },
    { FCNG_ERR_HEAD_SIZE, 502,
      "the head of the application's response is too large" },
    { FCNG_ERR_HEAD_SYNTAX, 502,
      "the head of the application's response is malformed" },
    { FCNG_ERR_HEAD_STATUS, 502,
      "the application sent an invalid or contradictory Status" },
    { FCNG_ERR_HEAD_LENGTH, 502,
      "the application sent an invalid or contradictory Content-Length" },
    { FCNG_ERR_BODY_SHORT, 502,
      "the application sent less than its Content-Length announced" },
    { FCNG_ERR_QUEUE_FULL, 503,
      "the queue for the application is full (max_queue)" },
    { FCNG_ERR_QUEUE_TIMEOUT, 503,
      "the request waited too long for the application (queue_timeout)" },
    { FCNG_ERR_CONNECT, 0, "connecting to the application failed" },
    { FCNG_ERR_WORD, 500, "a word that does not belong here" },
    { FCNG_ERR_VALUE, 500, "a value that the word does not take" },
    { FCNG_ERR_ADDRESS, 500, "not an address of an application" },
};

static const error_row *find(int err)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (errors[i].err == err) {
            return &errors[i];
        }
    }
    return NULL;
}

const char *fcng_version(void)
{
    return FCNG_VERSION;
}

const char *fcng_strerror(int err)
{
    const error_row *row = find(err);
    return row != NULL ? row->text : "an unknown error";
}

unsigned fcng_http_status(int err, unsigned refused)
{
    const error_row *row = find(err);
    if (row == NULL) {
        return 502;
    }
    return row->status != 0 ? row->status : refused;
}
