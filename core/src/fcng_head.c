/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head of a CGI response, line by line (RFC 3875 section 6.2 and 6.3, with
 * the field syntax of RFC 9110 section 5 and RFC 9112 section 5).  What could
 * be read in two ways is refused here, for whoever stands between this server
 * and the client may read it the other way.
 */
#include "fcng_text.h"
#include "fcng_int.h"

#define LINES_MAX 8192
#define LENGTH_MAX INT64_MAX /* the hosts count in signed 64 bits */

void fcng_head_init(fcng_head *head, size_t max_size)
{
    *head = (fcng_head){ .status = 200,
                         .kind = FCNG_HEAD_DOCUMENT,
                         .content_length = FCNG_LENGTH_UNKNOWN,
                         .max_size = max_size };
}

/* --- one line --- */

/*
 * Finds the line that begins at |in|.  Returns FCNG_OK with its length, end
 * included, or FCNG_AGAIN.
 */
static int find_line(fcng_head *head, const char *in, size_t len, size_t *end)
{
    size_t room = head->max_size - head->size;
    size_t seen = FCNG_MIN(len, room);
    const char *lf = NULL;
    if (seen > head->scanned) {
        lf = memchr(in + head->scanned, '\n', seen - head->scanned);
    }
    if (lf == NULL) {
        head->scanned = seen;
        return len > 0 && seen == room ? FCNG_ERR_HEAD_SIZE : FCNG_AGAIN;
    }
    head->scanned = 0;
    *end = (size_t)(lf - in) + 1;
    return FCNG_OK;
}

static fcng_str without_end(const char *in, size_t end)
{
    size_t len = end - 1;
    if (len > 0 && in[len - 1] == '\r') {
        len--;
    }
    return (fcng_str){ in, len };
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static fcng_str trim(fcng_str s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* tchar of RFC 9110 section 5.6.2. */
static bool is_token_char(unsigned char c)
{
    static const uint32_t set[8] = {
        0x00000000, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0
    };
    return (set[c >> 5] >> (c & 31) & 1) != 0;
}

static bool has_control(fcng_str s)
{
    if (!fcng_text_has_control(s)) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static int split_field(fcng_str line, fcng_field *field)
{
    size_t len = 0;
    while (len < line.len
           && fcng_text_fold[(unsigned char)line.data[len]] != 0) {
        len++;
    }
    while (len < line.len && is_token_char((unsigned char)line.data[len])) {
        len++;
    }
    if (len == 0 || len == line.len || line.data[len] != ':') {
        return FCNG_ERR_HEAD_SYNTAX;
    }
    field->name = (fcng_str){ line.data, len };
    field->value
        = trim((fcng_str){ line.data + len + 1, line.len - len - 1 });
    return has_control(field->value) ? FCNG_ERR_HEAD_SYNTAX : FCNG_OK;
}

/* --- what a field means to the response --- */

/* The field goes no further; its value stays for whoever wants it. */
static void swallow(fcng_field *field)
{
    field->name.len = 0;
}

/* "200" or "200 OK".  1xx is no final response and there is no way to hand it
   on; a second Status must say the same. */
static int set_status(fcng_head *head, fcng_str value)
{
    unsigned status = 0;
    if (value.len < 3 || (value.len > 3 && !is_blank(value.data[3]))) {
        return FCNG_ERR_HEAD_STATUS;
    }
    for (size_t i = 0; i < 3; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return FCNG_ERR_HEAD_STATUS;
        }
        status = status * 10 + (unsigned)(value.data[i] - '0');
    }
    if (status < 200 || (head->status_given && head->status != status)) {
        return FCNG_ERR_HEAD_STATUS;
    }
    head->status = status;
    head->status_given = true;
    return FCNG_OK;
}

/* Deviation: FastCGI 1.0 section 6.2 wants CGI's head, but FCGI::Async and
   scripts made for NPH begin with HTTP's status line. */
static int status_line(fcng_head *head, fcng_str line, fcng_field *field)
{
    size_t at = 0;
    while (at < line.len && !is_blank(line.data[at])) {
        at++;
    }
    field->name = (fcng_str){ line.data, 0 };
    field->value
        = trim((fcng_str){ line.data + at, line.len - at });
    return has_control(line) ? FCNG_ERR_HEAD_SYNTAX
                             : set_status(head, field->value);
}

static int set_length(fcng_head *head, fcng_field *field)
{
    uint64_t n;
    if (!fcng_text_number(field->value, LENGTH_MAX, &n)) {
        return FCNG_ERR_HEAD_LENGTH;
    }
    if (head->content_length == FCNG_LENGTH_UNKNOWN) {
        head->content_length = n;
        return FCNG_OK;
    }
    swallow(field); /* the same twice is harmless when it is sent once */
    return head->content_length == n ? FCNG_OK : FCNG_ERR_HEAD_LENGTH;
}

/* The first Location counts; which of several a client would follow, nobody
   can tell, so it gets no other.  "//host/path" names another host. */
static void set_location(fcng_head *head, fcng_field *field)
{
    fcng_str to = field->value;
    if (head->location_seen) {
        swallow(field);
    } else if (to.len > 0) {
        bool local = to.data[0] == '/' && !(to.len > 1 && to.data[1] == '/');
        head->location_seen = true;
        head->kind
            = local ? FCNG_HEAD_LOCAL_REDIRECT : FCNG_HEAD_CLIENT_REDIRECT;
    } else {
        head->location_empty = true;
    }
}

/* Between the application and this server only (RFC 9110 section 7.6.1);
   Transfer-Encoding is the server's own business. */
static bool is_hop_by_hop(fcng_str name)
{
    return fcng_text_is_nocase(name, "connection")
           || fcng_text_is_nocase(name, "keep-alive")
           || fcng_text_is_nocase(name, "proxy-connection")
           || fcng_text_is_nocase(name, "te")
           || fcng_text_is_nocase(name, "trailer")
           || fcng_text_is_nocase(name, "transfer-encoding")
           || fcng_text_is_nocase(name, "upgrade");
}

static int take_field(fcng_head *head, fcng_str line, fcng_field *field)
{
    int err = split_field(line, field);
    if (err != FCNG_OK) {
        return err;
    }
    if (fcng_text_is_nocase(field->name, "status")) {
        swallow(field);
        return set_status(head, field->value);
    }
    if (fcng_text_is_nocase(field->name, "content-length")) {
        return set_length(head, field);
    }
    if (fcng_text_is_nocase(field->name, "location")) {
        set_location(head, field);
    } else if (is_hop_by_hop(field->name)) {
        swallow(field);
        field->value.len = 0;
    }
    return FCNG_OK;
}

/* --- the head --- */

static void complete(fcng_head *head)
{
    head->done = true;
    if (head->status_given) {
        head->kind = FCNG_HEAD_DOCUMENT;
    } else if (head->kind == FCNG_HEAD_CLIENT_REDIRECT) {
        head->status = 302;
    }
}

static int take_line(fcng_head *head, fcng_str line, fcng_field *field)
{
    *field = (fcng_field){ { line.data, 0 }, { line.data, 0 } };
    if (line.len == 0) {
        complete(head);
        return FCNG_OK;
    }
    if (head->lines == 1 && fcng_text_begins(line, "HTTP/")) {
        return status_line(head, line, field);
    }
    return take_field(head, line, field);
}

int fcng_head_parse(fcng_head *head, const char *in, size_t len,
                    size_t *consumed, fcng_field *field)
{
    *consumed = 0;
    if (head->done) {
        return FCNG_ERR_INVALID;
    }
    size_t end;
    int err = find_line(head, in, len, &end);
    if (err != FCNG_OK) {
        return err;
    }
    if (++head->lines > LINES_MAX) {
        return FCNG_ERR_HEAD_SIZE;
    }
    err = take_line(head, without_end(in, end), field);
    if (err == FCNG_OK) {
        *consumed = end;
        head->size += end;
    }
    return err;
}

/* --- the body --- */

size_t fcng_head_body(fcng_head *head, size_t len)
{
    if (head->content_length != FCNG_LENGTH_UNKNOWN) {
        uint64_t left = head->content_length - head->body;
        len = (size_t)FCNG_MIN(len, left);
    }
    head->body += len;
    return len;
}

int fcng_head_finish(const fcng_head *head, bool no_body)
{
    if (!head->done) {
        return FCNG_ERR_HEAD_MISSING;
    }
    bool is_short = head->content_length != FCNG_LENGTH_UNKNOWN
                    && head->body < head->content_length;
    return is_short && !no_body ? FCNG_ERR_BODY_SHORT : FCNG_OK;
}
