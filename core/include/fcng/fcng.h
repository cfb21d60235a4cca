/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcng: the web-server side of FastCGI 1.0.
 *
 * This is the whole public interface of the core.  The core performs no I/O,
 * reads no clock, starts no thread and opens no file: bytes that the host
 * read go in, events come out; requests go in, bytes to write come out; time
 * is an argument (microseconds of any monotonic clock).  Events are pulled,
 * never called back, so there is no re-entrancy rule.
 *
 * One object has one owner at a time; the core takes no lock.
 *
 * In the order of a request's life:
 *   address, pool words    what the operator typed
 *   env, params            facts about a request -> CGI variables -> bytes
 *   pool                   which connection: use one, open one, wait, refuse
 *   conn, request          records out, events in
 *   head                   STDOUT -> the CGI response head
 *   authorizer             what such a head means in that role
 *   filter                 which fields are the original's, which the filter's
 *   lines, messages        what the operator reads
 *
 * "Spec" is the FastCGI Specification 1.0 unless another one is named.
 */
#ifndef FCNG_FCNG_H
#define FCNG_FCNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FCNG_VERSION_MAJOR 0
#define FCNG_VERSION_MINOR 1
#define FCNG_VERSION_PATCH 0
#define FCNG_VERSION "0.1.0"
#define FCNG_VERSION_NUMBER                                                   \
    ((FCNG_VERSION_MAJOR << 16) | (FCNG_VERSION_MINOR << 8)                   \
     | FCNG_VERSION_PATCH)

/* The version of the core that is running, as FCNG_VERSION. */
const char *fcng_version(void);

/* ------------------------------------------------------------ basics --- */

/* Bytes somebody else owns; not terminated. */
typedef struct fcng_str {
    const char *data;
    size_t len;
} fcng_str;

#define FCNG_STR(literal) { literal, sizeof(literal) - 1 }
#define FCNG_NEVER UINT64_MAX
#define FCNG_LENGTH_UNKNOWN UINT64_MAX

/*
 * The memory hook.  |alloc| and |resize| return NULL when there is no memory;
 * |release| takes NULL.  A NULL hook in any call means malloc, realloc, free.
 * The hook must live as long as the objects made with it.
 */
typedef struct fcng_mem {
    void *(*alloc)(size_t len, void *ctx);
    void *(*resize)(void *ptr, size_t len, void *ctx);
    void (*release)(void *ptr, void *ctx);
    void *ctx;
} fcng_mem;

/* What a call returns: zero or positive is fine, negative an error. */
enum fcng_err {
    FCNG_OK = 0,
    FCNG_AGAIN = 1, /* nothing yet; not an error */

    FCNG_ERR_NOMEM = -1,
    FCNG_ERR_INVALID = -2,  /* the call breaks its contract */
    FCNG_ERR_FULL = -3,     /* as many requests as it may have are under way
                               on this connection */

    /* what an application's bytes can do wrong; the connection is lost */
    FCNG_ERR_VERSION = -10, /* a record's version is not 1 */
    FCNG_ERR_RECORD = -11,  /* a type or id an application must not send */
    FCNG_ERR_END_BODY = -12, /* END_REQUEST shorter than 8 bytes */
    FCNG_ERR_CLOSED = -13,  /* closed before END_REQUEST */
    FCNG_ERR_IO = -14,      /* the host's read or write failed */
    FCNG_ERR_TIMEOUT = -15, /* the host's timer fired */

    /* END_REQUEST with a protocolStatus other than REQUEST_COMPLETE */
    FCNG_ERR_CANT_MPX = -20,
    FCNG_ERR_OVERLOADED = -21,
    FCNG_ERR_UNKNOWN_ROLE = -22,
    FCNG_ERR_STATUS = -23, /* a protocolStatus the specification lacks */

    /* one request's own */
    FCNG_ERR_PARAM_SIZE = -30,   /* a name-value pair over 65528 bytes */
    FCNG_ERR_PARAM_NAME = -31,   /* an empty name, or NUL or '=' in it */
    FCNG_ERR_PARAM_NUL = -32,    /* a NUL byte in a value (RFC 3875 4.1) */
    FCNG_ERR_PARAM_ENCODING = -33, /* not a sequence of name-value pairs */
    FCNG_ERR_STDIN_SHORT = -34,  /* ended before the length announced */
    FCNG_ERR_STDIN_LONG = -35,   /* more than the length announced */
    FCNG_ERR_PATH = -36,         /* NUL, CR or LF in a path */

    /* the response head (RFC 3875 section 6) */
    FCNG_ERR_HEAD_MISSING = -40, /* ended before the head was complete */
    FCNG_ERR_HEAD_SIZE = -41,
    FCNG_ERR_HEAD_SYNTAX = -42,
    FCNG_ERR_HEAD_STATUS = -43,
    FCNG_ERR_HEAD_LENGTH = -44, /* Content-Length invalid or contradictory */
    FCNG_ERR_BODY_SHORT = -45,  /* less than Content-Length announced */

    /* the pool */
    FCNG_ERR_QUEUE_FULL = -50,
    FCNG_ERR_QUEUE_TIMEOUT = -51,
    FCNG_ERR_CONNECT = -52,

    /* configuration words and addresses */
    FCNG_ERR_WORD = -60,
    FCNG_ERR_VALUE = -61,
    FCNG_ERR_ADDRESS = -62
};

/* A sentence fragment for logs, e.g. "closed before END_REQUEST".
   Never NULL.  Errors: none. */
const char *fcng_strerror(int err);

/* ------------------------------------------------- protocol constants --- */

enum fcng_role {
    FCNG_RESPONDER = 1,
    FCNG_AUTHORIZER = 2,
    FCNG_FILTER = 3
};

enum fcng_protocol_status {
    FCNG_REQUEST_COMPLETE = 0,
    FCNG_CANT_MPX_CONN = 1,
    FCNG_OVERLOADED = 2,
    FCNG_UNKNOWN_ROLE = 3
};

enum fcng_stream {
    FCNG_STDIN = 5,
    FCNG_STDOUT = 6,
    FCNG_STDERR = 7,
    FCNG_DATA = 8
};

#define FCNG_HEADER_LEN 8
#define FCNG_MAX_CONTENT 65535
/* What one of our own records carries at most: 8-aligned, so that a receiver
   that adds padding stays under 65535 (php-fpm refuses more). */
#define FCNG_MAX_PAYLOAD 65528

/* ------------------------------------------------------------- params --- */

/*
 * A growing block of encoded name-value pairs (Spec 3.4), without record
 * headers: those are added when a request is submitted.
 */
typedef struct fcng_params {
    char *data;
    size_t len; /* bytes used */
    size_t cap;
    const fcng_mem *mem;
} fcng_params;

/* Starts an empty block; |mem| may be NULL.  Errors: none. */
void fcng_params_init(fcng_params *params, const fcng_mem *mem);

/* Gives the memory back; the block is empty afterwards. */
void fcng_params_fini(fcng_params *params);

/* Makes room for |more| further bytes.  Errors: FCNG_ERR_NOMEM. */
int fcng_params_reserve(fcng_params *params, size_t more);

/*
 * Appends one pair.  Values may hold any byte but NUL; the value may be empty,
 * the name may not.  On an error the block is as before.
 * Errors: FCNG_ERR_NOMEM, FCNG_ERR_PARAM_NAME, FCNG_ERR_PARAM_NUL.
 */
int fcng_params_add(fcng_params *params, fcng_str name, fcng_str value);

/* Appends pairs that were encoded before (constants of a configuration).
   Errors: FCNG_ERR_NOMEM. */
int fcng_params_append(fcng_params *params, fcng_str encoded);

/* Bytes that a pair with these lengths takes. */
size_t fcng_params_size(size_t name_len, size_t value_len);

/*
 * Takes the next pair off |encoded|; |name| and |value| point into it.
 * Returns FCNG_OK, or FCNG_AGAIN at the end.
 * Errors: FCNG_ERR_PARAM_ENCODING (a length beyond the block).
 */
int fcng_params_next(fcng_str *encoded, fcng_str *name, fcng_str *value);

/* ---------------------------------------------------------------- env --- */

/*
 * The default CGI variables (RFC 3875 section 4.1 and what PHP and others
 * expect), in the order in which they are sent.
 */
enum fcng_env_var {
    FCNG_ENV_GATEWAY_INTERFACE,
    FCNG_ENV_SERVER_SOFTWARE,
    FCNG_ENV_SERVER_PROTOCOL,
    FCNG_ENV_SERVER_NAME,
    FCNG_ENV_SERVER_ADDR,
    FCNG_ENV_SERVER_PORT,
    FCNG_ENV_REMOTE_ADDR,
    FCNG_ENV_REMOTE_PORT,
    FCNG_ENV_REMOTE_HOST,
    FCNG_ENV_REMOTE_USER,
    FCNG_ENV_AUTH_TYPE,
    FCNG_ENV_REQUEST_METHOD,
    FCNG_ENV_REQUEST_SCHEME,
    FCNG_ENV_HTTPS,
    FCNG_ENV_REQUEST_URI,
    FCNG_ENV_DOCUMENT_URI,
    FCNG_ENV_QUERY_STRING,
    FCNG_ENV_CONTENT_TYPE,
    FCNG_ENV_CONTENT_LENGTH,
    FCNG_ENV_DOCUMENT_ROOT,
    FCNG_ENV_SCRIPT_NAME,
    FCNG_ENV_SCRIPT_FILENAME,
    FCNG_ENV_PATH_INFO,
    FCNG_ENV_PATH_TRANSLATED,
    FCNG_ENV_REDIRECT_STATUS,
    FCNG_ENV_COUNT
};

/* The facts about one request: a value for each variable; data == NULL means
   that the variable is not sent. */
typedef struct fcng_env {
    fcng_str var[FCNG_ENV_COUNT];
} fcng_env;

/* The variable's name, e.g. "SCRIPT_FILENAME". */
fcng_str fcng_env_name(enum fcng_env_var var);

/* The variable with that name (exact case), or -1. */
int fcng_env_find(fcng_str name);

/*
 * SCRIPT_NAME of a front controller: the path of |file| below the document
 * root |root|, with its slash; of a file that lies elsewhere "/" and its name.
 * A slice of |file|.
 */
fcng_str fcng_env_script_name(fcng_str root, fcng_str file);

/*
 * Appends every variable of |env| that has a value and whose bit
 * (1u << fcng_env_var) is not in |skip|: those that the configuration replaces
 * or removes.  Refuses a request whose SCRIPT_NAME, SCRIPT_FILENAME,
 * PATH_INFO, PATH_TRANSLATED or DOCUMENT_URI holds NUL, CR or LF, also when
 * it is skipped: what replaces it is made of the same path (one newline in it
 * was enough for CVE-2019-11043).  PATH_TRANSLATED, when it has no value, is
 * DOCUMENT_ROOT and PATH_INFO (RFC 3875 section 4.1.6), if neither is missing
 * nor PATH_INFO empty.  On an error the block is as before.
 * Errors: FCNG_ERR_NOMEM, FCNG_ERR_PATH, FCNG_ERR_PARAM_NUL,
 * FCNG_ERR_PARAM_SIZE (2 GiB).
 */
int fcng_env_encode(fcng_params *params, const fcng_env *env, uint32_t skip);

/* One HTTP request header field. */
typedef struct fcng_field {
    fcng_str name;
    fcng_str value;
} fcng_field;

/* How request header fields become HTTP_* variables. */
typedef struct fcng_fields_policy {
    const fcng_str *taken; /* HTTP_* names set by configuration: not sent */
    size_t ntaken;
    bool underscores;      /* field names may hold '_' (nginx:
                              underscores_in_headers) */
    bool authorization;    /* Authorization and Proxy-Authorization are sent */
} fcng_fields_policy;

/*
 * Appends an HTTP_* variable for each of |n| request header fields.  Several
 * fields of one name are joined with ", " (Cookie: "; ").  Never sent: Proxy
 * (httpoxy), Content-Type and Content-Length (they have variables of their
 * own), hop-by-hop fields (Connection, Keep-Alive, TE, Trailer,
 * Transfer-Encoding, Upgrade, Proxy-Connection), names with bytes other than
 * letters, digits and '-' (and '_' where the policy allows it).  A name with
 * '_' gives way to one with '-' that would make the same variable.  On an
 * error the block is as before.
 * Errors: FCNG_ERR_NOMEM, FCNG_ERR_PARAM_NUL.
 */
int fcng_env_fields(fcng_params *params, const fcng_field *fields, size_t n,
                    const fcng_fields_policy *policy);

/*
 * The HTTP_* variable of one request header field, written to |out| (at least
 * name.len + 5 bytes).  Returns its length, or 0 when such a field is never
 * sent.  |underscores|, |authorization| as in the policy.
 */
size_t fcng_env_field_name(char *out, fcng_str name,
                           const fcng_fields_policy *policy);

/* The HTTP_* variables that no Filter is sent, in |*list|: it is asked for
   the whole of its output, and conditions and ranges are the server's to
   answer, by what the Filter says of that. */
size_t fcng_env_not_for_filters(const fcng_str **list);

/* Whether a name configured for a parameter is one that a .htaccess file or
   an authorizer must not set (SCRIPT_FILENAME, DOCUMENT_ROOT, PHP_VALUE,
   PHP_ADMIN_VALUE, REMOTE_USER, AUTH_TYPE, HTTP_PROXY, LD_*). */
bool fcng_env_is_trusted(fcng_str name);

/* --------------------------------------------------------------- head --- */

/* What the head of a response asks for (RFC 3875 section 6.2). */
enum fcng_head_kind {
    FCNG_HEAD_DOCUMENT,
    FCNG_HEAD_LOCAL_REDIRECT,  /* Location: /path, no Status */
    FCNG_HEAD_CLIENT_REDIRECT  /* any other Location, "//host/path" among
                                  them, no Status */
};

/*
 * The incremental parser of a CGI response head: a pure function of bytes and
 * limits.  Zero it with fcng_head_init(); after FCNG_OK with |done| set the
 * public members hold the result.  Members below "private" are the parser's.
 */
typedef struct fcng_head {
    bool done;
    unsigned status;         /* 200-999; 200 when the head names none, 302
                                for a client redirect */
    bool status_given;       /* by Status: or by a leading HTTP/x.y line */
    enum fcng_head_kind kind;
    uint64_t content_length; /* FCNG_LENGTH_UNKNOWN when not given */
    size_t size;             /* bytes of the head so far, its end included */

    /* private */
    size_t max_size;
    size_t scanned;          /* of the current line, without an end */
    unsigned lines;
    bool location_seen;
    bool location_empty;     /* one without a value was there */
    uint64_t body;           /* bytes let through by fcng_head_body() */
} fcng_head;

/* What a head may be limited to, and what it is by default. */
#define FCNG_HEAD_SIZE_MIN 256
#define FCNG_HEAD_SIZE_MAX (16 * 1024 * 1024)
#define FCNG_HEAD_SIZE_DEFAULT 65536

/* |max_size| bounds the whole head in bytes.  Errors: none. */
void fcng_head_init(fcng_head *head, size_t max_size);

/*
 * Parses the next line of the head.  |in| holds |len| bytes that start where
 * the last call's |consumed| ended; a line must be contiguous.
 *
 * Returns FCNG_OK with *consumed > 0 and either head->done set (the head is
 * complete; in + *consumed is the body's first byte) or *field holding one
 * field to pass on (name and value point into |in|, white space around the
 * value removed).  A line with nothing to pass on (Status, a leading
 * "HTTP/1.1 200 OK", fields that never go to a client: hop-by-hop ones,
 * Transfer-Encoding) gives field->name.len == 0; field->value is then the
 * status with its reason phrase, "404 Not Found", or empty.  Content-Length
 * and Location are both evaluated and passed on, once.
 * FCNG_AGAIN: call again with the same bytes and more behind them
 * (*consumed == 0).
 *
 * Lines end in LF or CR LF; a line that begins with white space (obs-fold),
 * a name that is no token, control bytes in a value, NUL: _SYNTAX.  Status
 * 1xx, or two that differ: _STATUS.  More than 8192 lines: _SIZE.
 * Errors: FCNG_ERR_HEAD_SIZE, _SYNTAX, _STATUS, _LENGTH, FCNG_ERR_INVALID
 * (the head was complete already).
 */
int fcng_head_parse(fcng_head *head, const char *in, size_t len,
                    size_t *consumed, fcng_field *field);

/*
 * Says how many of |len| further body bytes may go to the client: all, unless
 * Content-Length was given and would be exceeded (the excess is cut).
 */
size_t fcng_head_body(fcng_head *head, size_t len);

/* The body has ended: FCNG_OK, FCNG_ERR_BODY_SHORT, or FCNG_ERR_HEAD_MISSING
   when the head never was complete.  |no_body|: the answer to HEAD, 204 or
   304, where Content-Length says nothing about the bytes that follow. */
int fcng_head_finish(const fcng_head *head, bool no_body);

/* --------------------------------------------------------- authorizer --- */

/* What an Authorizer's answer means (Spec 6.3).  Zeros deny. */
enum fcng_authz {
    FCNG_AUTHZ_FAILED,  /* no answer that counts: deny with a 5xx */
    FCNG_AUTHZ_GRANTED,
    FCNG_AUTHZ_DENIED   /* the client gets the whole answer */
};

/*
 * The verdict, from nothing but |head| and |error|: how the request ended
 * (FCNG_OK: END_REQUEST with REQUEST_COMPLETE; else what went wrong, in the
 * head and the body too).  A grant is a complete head of at least one field,
 * with Status 200, or with neither Status nor Location.  Ask once, at the end.
 */
enum fcng_authz fcng_authz_verdict(const fcng_head *head, int error);

/* The variables that no Authorizer is sent, for fcng_env_encode(), and whether
   |name| (in any case) is one of them: CONTENT_LENGTH, PATH_INFO,
   PATH_TRANSLATED, SCRIPT_NAME. */
uint32_t fcng_authz_skip(void);
bool fcng_authz_is_withheld(fcng_str name);

enum fcng_authz_field {
    FCNG_AUTHZ_HEADER,   /* a field like any other */
    FCNG_AUTHZ_VARIABLE, /* "Variable-NAME", NAME may be set */
    FCNG_AUTHZ_REFUSED   /* "Variable-NAME", NAME may not */
};

/*
 * What a field of the answer's head is.  |name|, a slice of |field|, is the
 * variable's, its case kept, unless it is a header.  Refused: what the server
 * itself sets (but REMOTE_USER and AUTH_TYPE), HTTP_*, what changes how a
 * program starts or how a server works (PATH, LD_*, PHP_VALUE, no-gzip ...),
 * names with other bytes than letters, digits, '_', '-' and '.'.
 */
enum fcng_authz_field fcng_authz_field(fcng_str field, fcng_str *name);

/* Both names may become one variable in what follows ('-' and '.' as '_', any
   case): an answer that has both grants nothing. */
bool fcng_authz_meet(fcng_str a, fcng_str b);

/*
 * Spec 6.3 gives an Authorizer no STDIN, 6.1 ends every stream: it is sent the
 * empty record.  Some libraries take that for an error and close the
 * connection, right behind their answer.  One that has done so three times in
 * a row is asked without the record (fcng_submit.no_stdin), unless that turns
 * out to be no better.
 *
 * What is known of an address: the host keeps one for each, of zeros at first,
 * and tells what it sees.
 */
typedef struct fcng_authz_peer {
    uint8_t closes; /* private: in a row */
    bool is_needed; /* private: the record was left out in vain */
    bool is_kept;   /* private: questions follow each other */
} fcng_authz_peer;

/* Whether the next question goes without the record. */
bool fcng_authz_no_stdin(const fcng_authz_peer *peer);

/* Whether a close is to be noticed when it happens: it is not known yet what
   the application makes of a question's end. */
bool fcng_authz_undecided(const fcng_authz_peer *peer);

/* The application has closed a kept connection |idle_us| microseconds after
   its answer to a question; |no_stdin| as that was sent.  Not for connections
   that requests share: there another one may be the reason. */
void fcng_authz_closed(fcng_authz_peer *peer, bool no_stdin, uint64_t idle_us);

/* It has answered another question on a kept connection. */
void fcng_authz_kept(fcng_authz_peer *peer);

/* A question without the record got no byte of an answer. */
void fcng_authz_unanswered(fcng_authz_peer *peer);

/* ------------------------------------------------------------- filter --- */

/*
 * A response that goes through a Filter (Spec 6.4): the original goes in, and
 * what the application makes of it goes to the client.  |name| is that of a
 * header field, in any case.
 */

/*
 * Whether a field of the request is hidden from whoever makes the original, as
 * it asks for a part of the response, for none, or for an encoded one, and
 * that is the filtered one's business: Accept-Encoding, and where the request
 * |retrieves| something (GET, HEAD) Range, Request-Range and If-*.  With other
 * methods a condition says what may be done (RFC 9110 section 13.1).
 */
bool fcng_filter_hides(fcng_str name, bool retrieves);

/* Whether a field of the original's head is true of the original only, and
   goes: its validators, its length, its digests, Accept-Ranges. */
bool fcng_filter_drops(fcng_str name);

/* Whether a field of the application's head stands beside those of the
   original of that name (Set-Cookie), and not in their place. */
bool fcng_filter_adds(fcng_str name);

/* ------------------------------------------------- requests and events --- */

typedef struct fcng_conn fcng_conn;
typedef struct fcng_request fcng_request;

typedef struct fcng_conn_options {
    bool keep_conn;          /* set FCGI_KEEP_CONN in BEGIN_REQUEST */
    bool split_large_params; /* let a pair over 65528 bytes span records */
    uint32_t max_streams;    /* requests at once; 0 and 1: exclusive.  More
                                make the connection a shared one, which needs
                                |keep_conn|; at most 65535 */
    uint64_t stream_buffer;  /* shared: unconsumed STDOUT of one request, in
                                bytes, before FCNG_EV_OVERRUN; 0: any */
    uint64_t abort_timeout_us; /* shared: how long an aborted request may go
                                without END_REQUEST; 0: 30 s */
} fcng_conn_options;

/*
 * A new connection object; the host keeps the descriptor.
 *
 * An exclusive connection carries one request at a time, and any doubt about
 * it makes it unfit for another.  A shared one (law 4: only for applications
 * that said FCGI_MPXS_CONNS=1) carries up to |max_streams|: each has the
 * lowest free id, an id is reserved until END_REQUEST, records of unknown ids
 * are counted and dropped.  A shared connection is never paused: the host
 * takes what comes, for whichever request it is.
 *
 * NULL: no memory.  |mem| may be NULL.  Delete with fcng_conn_del().
 */
fcng_conn *fcng_conn_new(const fcng_mem *mem,
                         const fcng_conn_options *options);

/* Frees the connection and its requests, also those that are over and were not
   released; borrowed bytes are not touched. */
void fcng_conn_del(fcng_conn *conn);

/* A request as the host submits it. */
typedef struct fcng_submit {
    enum fcng_role role;
    fcng_str params;       /* encoded pairs; copied by the call */
    uint64_t stdin_length; /* bytes; FCNG_LENGTH_UNKNOWN when streamed */
    uint64_t data_length;  /* FCGI_DATA of a Filter; else 0 */
    bool no_stdin;         /* of length 0: not even its end is sent, for
                              Authorizers that dislike it (Spec 6.3 has no
                              STDIN) */
    void *user;            /* comes back in every event */
} fcng_submit;

/*
 * Begins a request: BEGIN_REQUEST, PARAMS (pairs aligned to records), and with
 * stdin_length 0 the end of STDIN are queued for one write.  DATA of length 0
 * ends by itself, behind STDIN.
 * The request is valid until fcng_request_release(), fcng_request_cancel() or
 * fcng_conn_del().
 * Errors: FCNG_ERR_NOMEM, FCNG_ERR_FULL, FCNG_ERR_PARAM_SIZE,
 * FCNG_ERR_PARAM_ENCODING, FCNG_ERR_CLOSED (the connection has failed or is
 * retired); nothing is queued then.
 * Spec: 5.1, 5.2, 6.1.
 */
int fcng_conn_submit(fcng_conn *conn, const fcng_submit *submit,
                     fcng_request **request);

/* fcng_conn_submit() would now be refused neither by FCNG_ERR_FULL nor by
   FCNG_ERR_CLOSED.  On an exclusive connection ask fcng_conn_reusable(). */
bool fcng_conn_can_submit(const fcng_conn *conn);

/*
 * Offers the next bytes of STDIN or (Filter, after STDIN's end) DATA.  The
 * bytes are borrowed until fcng_request_sent() has counted them.  |fin| with
 * or after the last byte ends the stream; it is refused when fewer bytes than
 * announced were offered, so a cut body never looks complete.
 * Returns FCNG_OK, or FCNG_AGAIN when 16 slices are waiting already.
 * Errors: FCNG_ERR_STDIN_SHORT, FCNG_ERR_STDIN_LONG, FCNG_ERR_INVALID
 * (stream not open).
 * Spec: 5.3, 6.2, 6.4.
 */
int fcng_request_offer(fcng_request *request, enum fcng_stream stream,
                       const void *data, size_t len, bool fin);

/* Bytes of STDIN and DATA payload that have left for good (passed by
   fcng_conn_sent()): the host may reuse their memory. */
uint64_t fcng_request_sent(const fcng_request *request);

/* Bytes of STDIN and DATA payload offered so far. */
uint64_t fcng_request_offered(const fcng_request *request);

/* Any byte of this request has left (fcng_conn_sent() passed its first). */
bool fcng_request_started(const fcng_request *request);

/* Any record for this request has come, as far as its header. */
bool fcng_request_answered(const fcng_request *request);

/* Its id on the connection, 1-65535. */
uint16_t fcng_request_id(const fcng_request *request);

/* The |user| it was submitted with; fcng_request_set_user() replaces it. */
void *fcng_request_user(const fcng_request *request);
void fcng_request_set_user(fcng_request *request, void *user);

/*
 * The host has no more interest: no more events come, borrowed memory is free
 * at once, and what was not written is dropped.  The request is released by
 * this call.
 *
 * Exclusive: the connection must be closed (fcng_conn_reusable() is false);
 * Spec 5.4 allows that in place of FCGI_ABORT_REQUEST, and every application
 * understands it.
 *
 * Shared: of a request of which no byte has left nothing ever will.  Else the
 * record that is half on the wire keeps its length, zeros standing for the
 * host's memory, and FCGI_ABORT_REQUEST follows; the request becomes a zombie,
 * whose id is reserved and whose answer is dropped until END_REQUEST.  Too
 * many zombies (over half of max_streams), one without END_REQUEST by its
 * deadline, or no memory for FCGI_ABORT_REQUEST retire the connection.
 */
void fcng_request_cancel(fcng_request *request, uint64_t now_us);

/* Gives the request back after FCNG_EV_END or FCNG_EV_FAILED; before either it
   is a fcng_request_cancel() at the time that the connection was told last. */
void fcng_request_release(fcng_request *request);

/* --- bytes out --- */

/* Something is waiting to be written. */
bool fcng_conn_wants_write(const fcng_conn *conn);

/*
 * The next bytes to write, as at most |max| slices (*n of them), valid until
 * the next call on the connection; report what was written with
 * fcng_conn_sent() before anything else.  STDIN is framed here, at the last
 * moment: up to some 64 KiB ahead, and on a shared connection one record of
 * each request in turn, of at most 16 KiB while two or more are under way.
 * Whatever was submitted and offered since the last call leaves together, as
 * few slices: payload below 4 KiB is copied beside its header.
 * Errors: FCNG_ERR_NOMEM.
 */
int fcng_conn_output(fcng_conn *conn, fcng_str *slices, size_t max, size_t *n);

/* |len| bytes of fcng_conn_output() were written. */
void fcng_conn_sent(fcng_conn *conn, size_t len);

/* --- bytes in --- */

/*
 * The response is whole when STDOUT has ended, or all that Content-Length
 * announced has come: what an application that does
 * not send END_REQUEST then, but closes, resets or stalls, leaves behind is a
 * connection that cannot be kept, no failure.  It has so long for it; a
 * read timeout below twice that leaves it half the timeout.
 */
#define FCNG_END_WAIT_US 1000000

enum fcng_event_type {
    FCNG_EV_STDOUT,     /* |bytes| of the response, any role */
    FCNG_EV_STDERR,     /* |bytes| for the log */
    FCNG_EV_STDOUT_END, /* the application ended STDOUT; END_REQUEST follows */
    FCNG_EV_END,        /* END_REQUEST: |error|, |protocol_status|,
                           |app_status| */
    FCNG_EV_FAILED,     /* the connection failed with |error| */
    FCNG_EV_VALUES,     /* GET_VALUES_RESULT: |bytes| are its pairs; no
                           request */
    FCNG_EV_UNKNOWN_TYPE, /* FCGI_UNKNOWN_TYPE; no request */
    FCNG_EV_OVERRUN     /* shared: more than stream_buffer of its STDOUT is
                           not consumed: spool it or cancel the request */
};

typedef struct fcng_event {
    enum fcng_event_type type;
    fcng_request *request; /* NULL for management records */
    void *user;            /* the request's */
    fcng_str bytes;        /* valid until the next call on the connection */
    int error;             /* END: FCNG_OK when REQUEST_COMPLETE, else
                              FCNG_ERR_CANT_MPX ... FCNG_ERR_STATUS */
    uint8_t protocol_status;
    uint32_t app_status;
} fcng_event;

/*
 * Hands over |len| bytes that were read; they are borrowed until
 * fcng_conn_next_event() has returned FCNG_AGAIN.
 * Errors: FCNG_ERR_INVALID (earlier bytes are not drained yet).
 */
int fcng_conn_feed(fcng_conn *conn, const void *in, size_t len);

/*
 * The next event.  A STDOUT event carries at most |max| bytes (|max| 0: stop
 * before STDOUT, which is how a host holds a response back; not on a shared
 * connection, where it would hold back every response).
 * Returns FCNG_OK with *event, or FCNG_AGAIN: feed more.
 * A request that has ended or failed gets no more events.
 */
int fcng_conn_next_event(fcng_conn *conn, size_t max, fcng_event *event);

/* Bytes fed and not yet consumed. */
size_t fcng_conn_unread(const fcng_conn *conn);

/*
 * Direct read: the next bytes on the wire that are STDOUT payload of one
 * request, when nothing fed is unread; 0 when a record header comes next.
 * The host may read that many straight into place and report them with
 * fcng_conn_took() instead of feeding them.  On a shared connection only of a
 * request for which the host has said so.
 */
size_t fcng_conn_want(const fcng_conn *conn);
void fcng_conn_took(fcng_conn *conn, size_t len);

/* The request whose payload fcng_conn_want() means; NULL when that is 0. */
fcng_request *fcng_conn_want_request(const fcng_conn *conn);

/* Shared: the host has room for this request's STDOUT and may read it straight
   into place (false at first). */
void fcng_request_set_direct(fcng_request *request, bool direct);

/*
 * Shared: |len| bytes of STDOUT, got by events or fcng_conn_took(), have left
 * the host's memory: sent to the client, written to a file.  What has not is
 * held; when that grows over stream_buffer, FCNG_EV_OVERRUN is the next event,
 * and not again before it has fallen to half.  Never needed on an exclusive
 * connection, where the host stops reading instead.
 */
void fcng_request_consumed(fcng_request *request, uint64_t len);
uint64_t fcng_request_held(const fcng_request *request);

/*
 * The application closed (|err| FCNG_ERR_CLOSED), or the host's read, write or
 * timer failed.  Bytes fed before are still delivered; then every request
 * without END_REQUEST gets FCNG_EV_FAILED.
 */
void fcng_conn_fail(fcng_conn *conn, int err);

/* What went wrong on this connection, or FCNG_OK. */
int fcng_conn_error(const fcng_conn *conn);

/*
 * No request is under way and another one may follow: each ended with
 * END_REQUEST(REQUEST_COMPLETE) after everything of ours was written, nothing
 * is unread, no stray record came, keep_conn is set.  A shared connection is
 * reusable when it is idle and not retired: no request, no zombie, nothing
 * half there in either direction.
 * Spec: 3.5; docs/protocol.md lists the reasons one by one.
 */
bool fcng_conn_reusable(const fcng_conn *conn);

/*
 * No request may be submitted any more: the connection has failed, or is unfit
 * for another one.  Close it when fcng_conn_active() is 0; requests under way
 * on a shared one go on.
 */
bool fcng_conn_retired(const fcng_conn *conn);

/*
 * Shared: the application has said on it that it does not multiplex, whatever
 * it said before: CANT_MPX_CONN.
 */
bool fcng_conn_disproved(const fcng_conn *conn);

/*
 * Shared: it was closed behind its first END_REQUEST while other requests were
 * under way.  So does an application that does not multiplex (node-fastcgi),
 * and one that ends or is killed just then.  Those others had better not share
 * the connection on which they are sent again (FCNG_POOL_ALONE).
 */
bool fcng_conn_doubted(const fcng_conn *conn);

/* When fcng_conn_expire() wants to be called, or FCNG_NEVER: the first
   zombie's deadline. */
uint64_t fcng_conn_deadline(const fcng_conn *conn);

/* Retires the connection if a zombie's deadline has come. */
void fcng_conn_expire(fcng_conn *conn, uint64_t now_us);

/* Requests under way, those that have ended or were cancelled not counted. */
size_t fcng_conn_active(const fcng_conn *conn);

/* Cancelled requests whose END_REQUEST has not come. */
size_t fcng_conn_zombies(const fcng_conn *conn);

/* Records that came for ids without a request, behind END_REQUEST or behind
   the end of their stream; what belongs to zombies is not counted. */
uint64_t fcng_conn_stray(const fcng_conn *conn);

/* Requests submitted so far. */
uint64_t fcng_conn_requests(const fcng_conn *conn);

/* Queues FCGI_GET_VALUES for the three variables, padded to 8 bytes (libfcgi
   answers only then).  Errors: FCNG_ERR_NOMEM.  Spec: 4.1. */
int fcng_conn_get_values(fcng_conn *conn);

/* A GET_VALUES_RESULT's numbers; -1 for what it does not say. */
typedef struct fcng_values {
    int64_t max_conns;
    int64_t max_reqs;
    int64_t mpxs_conns;
} fcng_values;

/* Merges the pairs of an FCNG_EV_VALUES into |values| (start with all -1).
   Values that are no numbers are left out.
   Errors: FCNG_ERR_PARAM_ENCODING. */
int fcng_values_parse(fcng_values *values, fcng_str pairs);

/*
 * Takes the events of a connection on which fcng_conn_get_values() was called
 * and nothing was submitted, after each feed or failure.  Returns FCNG_OK when
 * |values| (all -1 at first) say whether it multiplexes, FCNG_AGAIN before,
 * an error when no answer will come.
 */
int fcng_conn_read_values(fcng_conn *conn, fcng_values *values);

/* --- a record's header, for tools that show traffic (fcng dump) --- */

typedef struct fcng_record {
    uint8_t version;
    uint8_t type;
    uint16_t id;
    uint16_t content_len;
    uint8_t padding_len;
} fcng_record;

/* Decodes the 8 bytes at |in|.  Spec: 3.3. */
void fcng_record_decode(fcng_record *record, const void *in);

/* "STDOUT", "BEGIN_REQUEST", ...; "type" and a number is the caller's to say:
   NULL for types the specification lacks. */
const char *fcng_record_type_name(uint8_t type);

/* ------------------------------------------------------- after the end --- */

/* How a request went, as far as it matters for asking again. */
typedef struct fcng_outcome {
    int error;       /* why it failed */
    bool idempotent; /* fcng_method_idempotent() */
    bool reused;     /* the connection had served a request before */
    bool shared;     /* by several requests (max_streams) */
    bool started;    /* any byte of the request left */
    bool answered;   /* any byte of an answer came */
    bool delivered;  /* anything went to the client */
    bool replayable; /* the host still has the whole body */
    bool alone;      /* the application has no other server */
    bool asked_all;  /* all of its servers were asked for this request */
    unsigned tries;  /* attempts made, this one included */
    unsigned stale;  /* earlier attempts that met FCNG_REPLAY_FRESH */
} fcng_outcome;

enum fcng_replay {
    FCNG_REPLAY_NO,
    FCNG_REPLAY_FRESH, /* again, same server, on a new connection */
    FCNG_REPLAY_OTHER, /* again, on another server */
    FCNG_REPLAY_LATER, /* again, same server, after FCNG_REPLAY_PAUSE_US */
    FCNG_REPLAY_EXCLUSIVE /* again, same server, on a connection of its own:
                             this application does not multiplex */
};

/* An application that closes without an answer may be on its way out, to be
   started again: its socket needs a moment to go. */
#define FCNG_REPLAY_PAUSE_US 100000

/*
 * The one table that says what may be repeated: nothing runs twice unless the
 * method is idempotent or the application provably did not start it.  It
 * stands in docs/protocol.md.
 */
enum fcng_replay fcng_replay_verdict(const fcng_outcome *outcome);

/* Why connecting failed, as the host found out (errno is the host's). */
enum fcng_connect_cause {
    FCNG_CONNECT_OTHER,
    FCNG_CONNECT_REFUSED,
    FCNG_CONNECT_MISSING,    /* ENOENT */
    FCNG_CONNECT_DENIED,     /* EACCES */
    FCNG_CONNECT_BACKLOG,    /* EAGAIN of a Unix socket: its queue is full */
    FCNG_CONNECT_TIMEOUT,
    FCNG_CONNECT_NO_DESCRIPTORS, /* EMFILE, ENFILE */
    FCNG_CONNECT_NOT_SOCKET,
    FCNG_CONNECT_NO_ROUTE
};

/*
 * How long to wait, in microseconds, before connecting is tried again after it
 * failed because of |cause|; 0: it is not.  |failures|: attempts that failed,
 * at least one; |elapsed_us|: since the first one was made.  A full backlog is
 * waiting, not failing (the host's connect timeout bounds it); a Unix socket
 * that is missing or refuses is what an application that restarts looks like,
 * for a second, unless it |lasts| (fcng_outage_lasts()).  Only for the last
 * server that there is to try.
 */
uint64_t fcng_connect_pause(enum fcng_connect_cause cause, bool is_unix,
                            unsigned failures, uint64_t elapsed_us,
                            bool lasts);

/* Whether a method may be repeated: GET, HEAD, PUT, DELETE, OPTIONS, TRACE
   (RFC 9110 section 9.2.2). */
bool fcng_method_idempotent(fcng_str method);

/* The status for the client when a request fails with |err| before the head:
   502, 503, 504, 500 or 400; |refused| is the host's convention for "no live
   server" (nginx 502, Apache 503). */
unsigned fcng_http_status(int err, unsigned refused);

/* Seconds, for the field of this name in each 503 that is no "no live server":
   who is refused because others are served may soon come again. */
#define FCNG_RETRY_AFTER "1"

/* --------------------------------------------------------------- pool --- */

/* The words, in the order in which they are listed. */
enum fcng_word {
    FCNG_WORD_MAX_CONNECTIONS,
    FCNG_WORD_MAX_QUEUE,
    FCNG_WORD_QUEUE_TIMEOUT,
    FCNG_WORD_MAX_IDLE,
    FCNG_WORD_IDLE_TIMEOUT,
    FCNG_WORD_MIN_IDLE,
    FCNG_WORD_MAX_REQUESTS,
    FCNG_WORD_MAX_LIFETIME,
    FCNG_WORD_MAX_FAILS,
    FCNG_WORD_FAIL_TIMEOUT,
    FCNG_WORD_SPLIT_LARGE_PARAMS,
    FCNG_WORD_MULTIPLEX,
    FCNG_WORD_MAX_STREAMS,
    FCNG_WORD_STREAM_BUFFER,
    FCNG_WORD_COUNT
};

/* Whether requests share connections. */
enum fcng_multiplex {
    FCNG_MULTIPLEX_OFF,
    FCNG_MULTIPLEX_ON,  /* the operator knows that the application can */
    FCNG_MULTIPLEX_AUTO /* when it has answered FCGI_MPXS_CONNS=1 */
};

/*
 * Limits of the connections to one address.  Durations are microseconds.
 * |set| has the bit of each word that was given (1u << fcng_word).
 */
typedef struct fcng_pool_options {
    uint32_t set;
    uint32_t max_connections;   /* 0: unlimited */
    uint32_t max_queue;
    uint64_t queue_timeout_us;
    uint32_t max_idle;          /* 0: no reuse, FCGI_KEEP_CONN is not sent */
    uint64_t idle_timeout_us;
    uint32_t min_idle;          /* opened ahead, over all processes */
    uint32_t max_requests;      /* a connection's; 0: unlimited */
    uint64_t max_lifetime_us;   /* a connection's; 0: unlimited */
    uint32_t max_fails;
    uint64_t fail_timeout_us;
    bool split_large_params;
    uint32_t multiplex;         /* enum fcng_multiplex; needs max_idle > 0 */
    uint32_t max_streams;       /* a shared connection's requests at once */
    uint64_t stream_buffer;     /* bytes: fcng_conn_options */
} fcng_pool_options;

/* The defaults of docs/words.md. */
void fcng_pool_options_init(fcng_pool_options *options);

/*
 * Reads one word, "max_connections=32" or "queue_timeout=500ms".
 * On an error |why| (of |why_len| bytes) gets what is wrong and what to write.
 * Errors: FCNG_ERR_WORD (unknown: |why| lists the known ones, or given twice),
 * FCNG_ERR_VALUE.
 */
int fcng_pool_options_word(fcng_pool_options *options, fcng_str word,
                           char *why, size_t why_len);

/* Whether |text| has the form of a word (^[a-z_]+=). */
bool fcng_is_word(fcng_str text);

/* Takes over from |outer| each word that |options| was not given. */
void fcng_pool_options_merge(fcng_pool_options *options,
                             const fcng_pool_options *outer);

/* Whether both say the same, wherever it was said: two such pools to one
   address are one. */
bool fcng_pool_options_equal(const fcng_pool_options *a,
                             const fcng_pool_options *b);

typedef struct fcng_pool fcng_pool;

/* A connection as the pool sees it: embed it in the host's own.  Only |data|
   and |max_streams| are the host's. */
typedef struct fcng_pool_conn {
    void *data;
    uint32_t max_streams; /* its fcng_conn's, before fcng_pool_add(); 0 and 1:
                             exclusive */
    /* private */
    uint32_t streams;     /* requests on it now */
    uint32_t zombies;
    struct fcng_pool_conn *next, *prev;             /* idle or open list */
    struct fcng_pool_conn *fresh_next, *fresh_prev; /* not one byte received */
    uint64_t opened_us, started_us, idle_us, unproven_us;
    uint64_t requests;
    uint8_t state;
    bool waits_first_byte;
    bool used;    /* a request was written on it */
    bool open;    /* in the list of those with room */
    bool retired;
} fcng_pool_conn;

/* A waiting request: embed it in the host's own.  Only |data| is the
   host's. */
typedef struct fcng_pool_wait {
    void *data;
    /* private */
    struct fcng_pool_wait *next, *prev;
    uint64_t since_us;
    uint8_t need;
    bool queued;
    bool joins; /* waits for a connection that is being opened */
} fcng_pool_wait;

/* Which connection a request may have: one of the first three, and with it
   (by |) whether others may share it. */
enum fcng_pool_need {
    FCNG_POOL_ANY = 0,
    FCNG_POOL_FRESH = 1,  /* rather a new one: a replay after a stale one */
    FCNG_POOL_SETTLED = 2, /* one that is surely open: a request that cannot
                             be repeated (below) */
    FCNG_POOL_ALONE = 4,  /* not shared: FCNG_REPLAY_EXCLUSIVE, and what does
                             not take its response as it comes */
    FCNG_POOL_APART = 8   /* the same, but rather shared than waiting: of
                             fcng_pool_need_for() */
};

/*
 * Applications close kept connections when they have served so many requests
 * on them or end (php-fpm's pm.max_requests), right behind END_REQUEST.  One
 * that has been idle for so long will not do so any more: it is settled.
 */
#define FCNG_POOL_SETTLED_US 100000

/* An application that has closed none of so many is taken to close none:
   every open connection is settled then. */
#define FCNG_POOL_CALM 10000

/* Where connections are shared, a request waits so long for one that is being
   opened before it opens one of its own. */
#define FCNG_POOL_JOIN_US 250000

enum fcng_pool_verdict {
    FCNG_POOL_USE,    /* *conn is yours, perhaps with others */
    FCNG_POOL_OPEN,   /* open one and add it (a place is reserved) */
    FCNG_POOL_WAIT,   /* |wait| is in the queue */
    FCNG_POOL_REFUSE  /* queue full or waited too long */
};

/* A pool of connections to one address.  NULL: no memory. */
fcng_pool *fcng_pool_new(const fcng_mem *mem,
                         const fcng_pool_options *options);

/* The host has removed and closed every connection before. */
void fcng_pool_del(fcng_pool *pool);

/* Replaces the limits at run time, also below what is in use. */
void fcng_pool_set_options(fcng_pool *pool, const fcng_pool_options *options);
const fcng_pool_options *fcng_pool_get_options(const fcng_pool *pool);

/*
 * Asks for a connection for one request.  The most recently used idle
 * connection is handed out first; a request never overtakes one that waits.
 * For FCNG_POOL_SETTLED it is the one that has been idle longest, and when
 * that is too short a time it is exchanged for a new one: FCNG_POOL_OPEN with
 * *conn set, which the pool has forgotten and the host closes before it opens.
 * After OPEN the host calls fcng_pool_add() or fcng_pool_give_up().
 */
enum fcng_pool_verdict fcng_pool_acquire(fcng_pool *pool, fcng_pool_wait *wait,
                                         enum fcng_pool_need need,
                                         uint64_t now_us,
                                         fcng_pool_conn **conn);

/* Takes a waiting request out of the queue (its client has left). */
void fcng_pool_cancel(fcng_pool *pool, fcng_pool_wait *wait);

/* The place reserved by OPEN: filled, or not needed after all.  |need| as it
   was asked for.  Afterwards ask fcng_pool_next(). */
void fcng_pool_add(fcng_pool *pool, fcng_pool_conn *conn,
                   enum fcng_pool_need need, uint64_t now_us);
void fcng_pool_give_up(fcng_pool *pool, enum fcng_pool_need need);

/* A request was written on |conn|; its first byte of an answer came. */
void fcng_pool_started(fcng_pool *pool, fcng_pool_conn *conn, uint64_t now_us);
void fcng_pool_first_byte(fcng_pool *pool, fcng_pool_conn *conn,
                          uint64_t now_us);

/*
 * A request is over.  |reusable| is fcng_conn_reusable(), of a shared
 * connection !fcng_conn_retired().  True: the pool keeps the connection, as
 * idle, or with its other requests.  False: the pool has forgotten it, close
 * it.  Afterwards ask fcng_pool_next(): that gives the place of a closed
 * connection to whoever waits, also in another process, so it comes after
 * close().
 */
bool fcng_pool_release(fcng_pool *pool, fcng_pool_conn *conn, bool reusable,
                       uint64_t now_us);

/* A connection, idle or busy, is gone or to be closed now, with all requests
   on it, which are not released any more.  Afterwards ask fcng_pool_next(), as
   above. */
void fcng_pool_remove(fcng_pool *pool, fcng_pool_conn *conn);

/*
 * Connections that requests share.
 *
 * How many requests a connection may have at once that is opened now for a
 * request with that |need|, for fcng_conn_options: 1 makes it an exclusive
 * one.  Idle shared connections serve others one at a time when that has
 * become 1.
 */
uint32_t fcng_pool_max_streams(fcng_pool *pool, enum fcng_pool_need need,
                               uint64_t now_us);

/* fcng_conn_zombies() has changed: they take the room of requests. */
void fcng_pool_set_zombies(fcng_pool *pool, fcng_pool_conn *conn, size_t n);

/* It takes no more requests (fcng_conn_retired()); those under way go on.  An
   idle one is to be removed instead. */
void fcng_pool_retire(fcng_pool *pool, fcng_pool_conn *conn);

/*
 * multiplex=auto: true when the application is to be asked now, by this caller
 * and nobody else: FCGI_GET_VALUES (fcng_conn_get_values()) on a connection of
 * its own, which counts nowhere, for FCNG_POOL_ASK_US at most.  Ask after
 * fcng_pool_acquire(); a request alone never makes it worth while.  Then tell
 * the answer (NULL: closed, or none in time), or that there was no connection.
 * What is known is common to all processes with the address.  Spec: 4.1.
 */
#define FCNG_POOL_ASK_US 1000000
bool fcng_pool_must_ask(fcng_pool *pool, uint64_t now_us);
void fcng_pool_told(fcng_pool *pool, const fcng_values *values,
                    uint64_t now_us);
void fcng_pool_not_asked(fcng_pool *pool, uint64_t now_us);

/*
 * Where requests share, a large response keeps small ones waiting.  The host
 * tells how many bytes the response to |path| (without a query) had, and asks
 * what the next one needs: |need|, with FCNG_POOL_APART when those to it, or
 * in its folder, have been large.  Use the same |need| for all calls.
 */
#define FCNG_POOL_LARGE 131072
void fcng_pool_learn(fcng_pool *pool, fcng_str path, uint64_t size);
enum fcng_pool_need fcng_pool_need_for(const fcng_pool *pool,
                                       enum fcng_pool_need need,
                                       fcng_str path);

/* The application closed a shared connection, or it failed: it may be another
   one when it is back, and is asked anew. */
void fcng_pool_lost(fcng_pool *pool);

/*
 * What a shared connection shows of its application: call it when events of it
 * were taken, also the last ones.  True, once: the application does not
 * multiplex, and none is shared for ten minutes, twice as long each further
 * time.  It is so if fcng_conn_disproved(), or fcng_conn_doubted() of two
 * connections, the second opened after the end of the first, while no shared
 * connection gave two answers.  Of an address where it was so before one is
 * enough.
 */
bool fcng_pool_judge(fcng_pool *pool, const fcng_pool_conn *link,
                     fcng_conn *conn, uint64_t now_us);

/*
 * The next waiting request that may go on: FCNG_POOL_USE (*conn), _OPEN
 * (*conn as above), or _REFUSE (it has waited longer than queue_timeout);
 * FCNG_POOL_WAIT when there is none.  Call it until it says WAIT: after
 * release, remove, give_up, and when the deadline has come.
 */
enum fcng_pool_verdict fcng_pool_next(fcng_pool *pool, uint64_t now_us,
                                      fcng_pool_wait **wait,
                                      fcng_pool_conn **conn);

/*
 * An idle connection to close now, already forgotten by the pool, or NULL:
 * idle too long, too old, over max_idle, or in the way of another request that
 * got no byte yet (the yield rule, docs/architecture.md).  Close it and call
 * again, until NULL: each call gives the place of the one before away.
 */
fcng_pool_conn *fcng_pool_expire(fcng_pool *pool, uint64_t now_us);

/* As expire, but any idle connection: for reload and graceful stop.  Until
   NULL, too. */
fcng_pool_conn *fcng_pool_close_idle(fcng_pool *pool);

/*
 * min_idle: true when a connection is to be opened that no request needs yet;
 * a place is reserved for it.  Then say how that went; |conn| is as for
 * fcng_pool_add(), or NULL: it could not be opened.  The first one is due a
 * tenth of a second after the first call.  Ask until false whenever the
 * deadline has come.
 */
bool fcng_pool_open_ahead(fcng_pool *pool, uint64_t now_us);
void fcng_pool_opened_ahead(fcng_pool *pool, fcng_pool_conn *conn,
                            uint64_t now_us);

/* When fcng_pool_expire(), fcng_pool_next() or fcng_pool_open_ahead() wants to
   be asked, or FCNG_NEVER. */
uint64_t fcng_pool_deadline(const fcng_pool *pool);

/*
 * A request could go on at once, without waiting.  To be told when one can,
 * acquire with a wait: fcng_pool_next() names it in its turn, when its place
 * is reserved, and nobody else for that place (fcng_pool_give_up() passes it
 * on).
 */
bool fcng_pool_can_start(const fcng_pool *pool);

typedef struct fcng_pool_counts {
    uint32_t connections, idle, waiting;
    uint32_t active; /* requests */
    uint64_t opened, reused, shared, requests, refused, timed_out;
} fcng_pool_counts;

void fcng_pool_get_counts(const fcng_pool *pool, fcng_pool_counts *counts);

/* -------------------------------------------------------------- share --- */

/*
 * What the processes of one server know of each other: a limit holds over all
 * of them, an idle connection of one gives way to a request of another, and
 * the counters of all can be read by any.
 *
 * The host maps one piece of memory, of zeros at first, into every process
 * that may ask an application, and keeps it over reloads.  Each process joins
 * with its own pid and attaches its pools by their addresses.  A process that
 * was killed is noticed by the others within a second.
 *
 * Safe for the threads of a process; joining and leaving are for one thread.
 */
#define FCNG_SHARE_SLOTS 256     /* processes */
#define FCNG_SHARE_ADDRESSES 256
#define FCNG_SHARE_TICKETS 4096  /* connections that a limit can count */
#define FCNG_SHARE_KEY 232       /* longest address, with its end */

typedef struct fcng_share fcng_share;
typedef struct fcng_seat fcng_seat;

/* What the core cannot do itself. */
typedef struct fcng_share_host {
    /* A process of that number exists. */
    bool (*alive)(uint32_t pid, void *ctx);
    /* Makes the process of that slot ask its pools again: fcng_pool_expire()
       and fcng_pool_next().  NULL: nobody can be woken, everyone looks ten
       times a second. */
    void (*wake)(unsigned slot, void *ctx);
    /* Lets another process run (sched_yield). */
    void (*pause)(void *ctx);
    void *ctx;
} fcng_share_host;

/* Bytes of the memory, aligned to 64; most of it is never touched. */
size_t fcng_share_size(void);

/*
 * Takes part, as process |pid|.  NULL: no memory, or 256 processes take part
 * already: limits then hold within the process.
 */
fcng_share *fcng_share_join(const fcng_mem *mem, void *memory, uint32_t pid,
                            const fcng_share_host *host);

/* Ends it; every pool is detached. */
void fcng_share_leave(fcng_share *share);

/* This process' number, 0 to 255, as in |wake|. */
unsigned fcng_share_slot(const fcng_share *share);

/* This process at the address |key| (more than 231 bytes are cut off).  NULL:
   no memory, or 256 addresses are known and all in use. */
fcng_seat *fcng_share_attach(fcng_share *share, fcng_str key);
void fcng_share_detach(fcng_seat *seat);

/* Requests under way and waiting there, over all processes. */
uint32_t fcng_share_busy(const fcng_seat *seat);

/* What there is now, and what has happened. */
enum fcng_gauge {
    FCNG_GAUGE_CONNECTIONS, /* open or being opened */
    FCNG_GAUGE_CONNECTING,  /* of these, for a request that has none yet */
    FCNG_GAUGE_IDLE,
    FCNG_GAUGE_WAITING,     /* requests in the queue */
    FCNG_GAUGE_ACTIVE,      /* requests under way */
    FCNG_GAUGE_STREAMS,     /* of these, on connections that may be shared */
    FCNG_GAUGES
};

enum fcng_counter {
    FCNG_COUNT_OPENED,      /* connections */
    FCNG_COUNT_REUSED,      /* requests on a kept connection */
    FCNG_COUNT_SHARED,      /* on one that had others under way */
    FCNG_COUNT_REQUESTS,    /* given a connection */
    FCNG_COUNT_COMPLETE,    /* END_REQUEST with REQUEST_COMPLETE */
    FCNG_COUNT_ABORTED,     /* the client left */
    FCNG_COUNT_RETRIED,     /* asked again after a failure */
    FCNG_COUNT_STALE,       /* a kept connection was dead and was replaced */
    FCNG_COUNT_QUEUED,      /* had to wait */
    FCNG_COUNT_QUEUE_FULL,
    FCNG_COUNT_QUEUE_TIMEOUT,
    FCNG_COUNT_CONNECT,     /* failures: connecting, */
    FCNG_COUNT_TIMEOUT,     /* time-outs, */
    FCNG_COUNT_CLOSED,      /* closed before END_REQUEST, */
    FCNG_COUNT_PROTOCOL,    /* bytes that are no FastCGI, */
    FCNG_COUNT_REFUSED,     /* OVERLOADED, CANT_MPX_CONN, UNKNOWN_ROLE, */
    FCNG_COUNT_HEAD,        /* a head that is missing or malformed, */
    FCNG_COUNT_OTHER,       /* all else */
    FCNG_COUNTERS
};

/* An address, over all processes. */
typedef struct fcng_share_row {
    char address[FCNG_SHARE_KEY];
    unsigned processes;
    uint64_t gauge[FCNG_GAUGES];
    uint64_t count[FCNG_COUNTERS];
} fcng_share_row;

/* Reads the row |index|, counted from 0; false: there is none. */
bool fcng_share_read(fcng_share *share, unsigned index, fcng_share_row *row);

/* The status page of the whole server in JSON, piece by piece. */
#define FCNG_STATUS_PIECE 2048
typedef struct fcng_status {
    /* private */
    fcng_share *share;
    unsigned piece;
    bool ended;
} fcng_status;

/* |share| may be NULL: a page without an address. */
void fcng_status_init(fcng_status *status, fcng_share *share);

/* Writes the next piece to |out| (FCNG_STATUS_PIECE bytes; terminated) and
   returns its length, 0 at the end.  docs/status.md lists the members. */
size_t fcng_status_next(fcng_status *status, char *out);

/* The counter that a request's failure with |err| belongs to; FCNG_OK:
   _COMPLETE. */
enum fcng_counter fcng_counter_of(int err);

/* The pool's limits hold, and its numbers count, over all processes from now
   on.  Before its first use; detach the seat after fcng_pool_del(). */
void fcng_pool_share(fcng_pool *pool, fcng_seat *seat);

/* Counts what the pool cannot see: a request's end, a retry, an abort. */
void fcng_pool_count(fcng_pool *pool, enum fcng_counter counter);

/* ------------------------------------------------------------- health --- */

/*
 * Which of several servers is asked, by what happened to earlier requests.
 *
 * A server that failed max_fails times within fail_timeout is down for that
 * time.  Then one request tries it (a probe), and the others stay away until
 * that has an answer; a probe that fails makes the next time twice as long, up
 * to eight times.  The host says of each request it has chosen a server for
 * how it went: answered (the first byte came), failed, or neither (the client
 * left, no connection became free).
 */
typedef struct fcng_health {
    /* private; zeros at first */
    uint64_t down_until_us; /* 0: up */
    uint64_t failed_us;
    uint32_t fails;
    uint32_t doubled; /* the time, so many times */
    bool probed;
} fcng_health;

enum fcng_health_state {
    FCNG_HEALTH_UP,
    FCNG_HEALTH_DUE, /* down until now: the next request is a probe */
    FCNG_HEALTH_DOWN
};

enum fcng_health_state fcng_health_state(const fcng_health *health,
                                         uint64_t now_us);

/* A request goes there.  True: it is the probe; say so afterwards. */
bool fcng_health_begin(fcng_health *health, uint64_t now_us);

/* The first byte of an answer came.  True: the server was down before. */
bool fcng_health_answered(fcng_health *health);

/* Connecting or asking failed.  True: the server is down from now on, and was
   up before. */
bool fcng_health_failed(fcng_health *health, const fcng_pool_options *options,
                        bool probe, uint64_t now_us);

/* Nothing was learnt. */
void fcng_health_dropped(fcng_health *health, bool probe);

/* Whether a failure with |err| speaks against the server (and not against the
   request, or only for its being busy). */
bool fcng_health_counts(int err);

/* A server as one request sees it. */
typedef struct fcng_candidate {
    enum fcng_health_state state;
    uint32_t busy; /* fcng_share_busy(), or what this process knows of */
    bool full;     /* fcng_pool_can_start() says no */
    bool tried;    /* by this request, in vain */
} fcng_candidate;

/*
 * The server for a request: the one with the fewest requests, ties by turn
 * (|turn| comes first), of those that are up and have room; else of those that
 * are up, where it must wait; else of those that are down, for the last one is
 * never locked out.  |n|: every one was tried.
 */
size_t fcng_health_choose(const fcng_candidate *candidate, size_t n,
                          size_t turn);

/* ------------------------------------------------------------- address --- */

enum fcng_address_kind {
    FCNG_ADDRESS_TCP,      /* host (empty: this machine) and port */
    FCNG_ADDRESS_UNIX,     /* path */
    FCNG_ADDRESS_ABSTRACT  /* path without the '@' */
};

typedef struct fcng_address {
    enum fcng_address_kind kind;
    fcng_str host; /* without brackets */
    fcng_str port; /* a number or a service's name */
    fcng_str path;
} fcng_address;

/*
 * Reads "host:port", "[::1]:9000", ":9000", "host:service", "unix:/path",
 * "unix:@abstract", "/path", "fcgi://host:port[/]",
 * "unix:/path|fcgi://any[/]".  The slices point into |text|.  On an error
 * |why| gets what is wrong and what to write.  Errors: FCNG_ERR_ADDRESS.
 */
int fcng_address_parse(fcng_address *address, fcng_str text, char *why,
                       size_t why_len);

/* One text for all ways to write an address: "unix:/path", "unix:@abstract",
   "host:port" (lower case; "localhost" for this machine), "[::1]:port"; cut
   off where |len| ends.  Returns its length. */
size_t fcng_address_text(const fcng_address *address, char *out, size_t len);

/* ----------------------------------------- what the operator reads --- */

/* Messages with a stable tag; the texts and tags stand in one table. */
enum fcng_msg {
    FCNG_MSG_CONNECT,        /* connecting to the application failed */
    FCNG_MSG_IO,             /* reading from or writing to it failed */
    FCNG_MSG_TIMEOUT,
    FCNG_MSG_CLOSED,         /* closed before END_REQUEST */
    FCNG_MSG_PROTOCOL,       /* bytes that are no FastCGI */
    FCNG_MSG_STATUS,         /* OVERLOADED, CANT_MPX_CONN, unknown status */
    FCNG_MSG_UNKNOWN_ROLE,
    FCNG_MSG_HEAD,           /* missing, malformed or too large head */
    FCNG_MSG_BODY_LENGTH,    /* body shorter or longer than Content-Length */
    FCNG_MSG_APP_STATUS,     /* appStatus other than 0 */
    FCNG_MSG_STDERR,
    FCNG_MSG_QUEUE,          /* queue full or timed out */
    FCNG_MSG_REQUEST,        /* the request cannot be sent as it is */
    FCNG_MSG_STALE,          /* a kept connection was dead and was replaced */
    FCNG_MSG_STRAY,          /* bytes nobody asked for; connection discarded */
    FCNG_MSG_DOWN,           /* the application is down */
    FCNG_MSG_UP,             /* and is back */
    FCNG_MSG_MULTIPLEX,      /* what becomes of shared connections */
    FCNG_MSG_COUNT
};

/* "FCNG001" and so on. */
const char *fcng_msg_tag(enum fcng_msg msg);

/* The message a failure belongs to. */
enum fcng_msg fcng_msg_of(int err);

typedef struct fcng_connect_facts {
    enum fcng_connect_cause cause;
    bool is_unix;
    bool is_socket;         /* the path exists and is a socket */
    const char *owner;      /* "php:php", or NULL */
    unsigned mode;          /* 0660 */
    const char *process;    /* "www-data", or NULL */
    bool modes_allow;       /* the modes would let this process in */
} fcng_connect_facts;

/*
 * Writes cause and cure, e.g. "the socket is php:php 0660, this process is
 * www-data: ..." into |out|; empty when there is nothing to add.  Always
 * terminated.
 */
void fcng_hint_connect(char *out, size_t len, const fcng_connect_facts *facts);

/*
 * Cause and cure for bytes that are no FastCGI: recognises HTTP and TLS
 * servers by the first bytes |in| they sent.  Empty when it knows nothing.
 */
void fcng_hint_protocol(char *out, size_t len, fcng_str in);

/* Where to look when the application closed the connection before
   END_REQUEST.  |answered|: after a byte of an answer. */
void fcng_hint_closed(char *out, size_t len, bool is_unix, bool answered);

/* STDERR of one request -> whole lines for the log. */
#define FCNG_LINE_MAX 2048
typedef struct fcng_lines {
    size_t len;
    bool cut;  /* the rest of an over-long line is being dropped */
    char buf[FCNG_LINE_MAX + 4];
} fcng_lines;

void fcng_lines_init(fcng_lines *lines);

/*
 * Takes bytes off |in| until a line is whole; CR ends one as LF does.  Control
 * bytes and bytes over 0x7e are escaped as \xHH, a line longer than
 * FCNG_LINE_MAX is cut with "...".
 * Returns FCNG_OK with *line (valid until the next call), or FCNG_AGAIN when
 * |in| is used up.  Empty lines are skipped.
 */
int fcng_lines_next(fcng_lines *lines, fcng_str *in, fcng_str *line);

/* The unfinished last line, at the end: FCNG_OK with *line, or FCNG_AGAIN. */
int fcng_lines_end(fcng_lines *lines, fcng_str *line);

/* At most |per_second| things a second, with a burst of as many. */
typedef struct fcng_rate {
    uint64_t per_second; /* 0: no limit */
    uint64_t tokens_us;
    uint64_t last_us;
    uint64_t dropped;    /* since the last one that was let through */
} fcng_rate;

void fcng_rate_init(fcng_rate *rate, uint64_t per_second);

/* True: go on (rate->dropped then tells how many were held back before; set it
   to 0 after telling). */
bool fcng_rate_allow(fcng_rate *rate, uint64_t now_us);

/* An address that takes no connection, as one process sees it. */
typedef struct fcng_outage {
    /* private */
    uint64_t failures;  /* 0: it takes connections, for all that is known */
    uint64_t since_us;
    uint64_t failed_us; /* the last one */
    fcng_rate rate;
} fcng_outage;

void fcng_outage_init(fcng_outage *outage);

/*
 * Connecting failed, tried since |since_us|.  How the line about it begins:
 * FCNG_MSG_DOWN for the first one, later ones FCNG_MSG_CONNECT, at most five
 * a second; FCNG_MSG_COUNT: no line.  *held_back: how many there were of those
 * before this line.
 */
enum fcng_msg fcng_outage_failed(fcng_outage *outage, uint64_t since_us,
                                 uint64_t now_us, uint64_t *held_back);

/* It took a connection.  How many attempts had failed (then FCNG_MSG_UP is
   due), or 0. */
uint64_t fcng_outage_over(fcng_outage *outage);

/* Whether it has lasted for longer than a restart takes: attempts have failed
   for a second, the last one within 10 seconds. */
bool fcng_outage_lasts(const fcng_outage *outage, uint64_t now_us);

#ifdef __cplusplus
}
#endif

#endif
