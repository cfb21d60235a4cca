/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Facts about a request -> CGI variables (RFC 3875 section 4.1), and request
 * header fields -> HTTP_* (section 4.1.18).  Every request of both servers
 * passes here: everything is written in place, by as few passes as can be.
 */
#include "fcng_params.h"
#include "fcng_text.h"
#include "fcng_int.h"

#define PREFIX "HTTP_"
#define PREFIX_LEN 5

/* Longer values have no encoding (Spec 3.4). */
#define LEN_MAX (FCNG_PARAMS_LONG - 1)

/* As long as the longest: so many bytes are copied, whatever the name, since
   that takes no loop and no call. */
#define NAME_SIZE 20

typedef struct env_name {
    char text[NAME_SIZE];
    size_t len;
} env_name;

#define NAME(literal) { literal, sizeof(literal) - 1 }

static const env_name names[FCNG_ENV_COUNT] = {
    [FCNG_ENV_GATEWAY_INTERFACE] = NAME("GATEWAY_INTERFACE"),
    [FCNG_ENV_SERVER_SOFTWARE] = NAME("SERVER_SOFTWARE"),
    [FCNG_ENV_SERVER_PROTOCOL] = NAME("SERVER_PROTOCOL"),
    [FCNG_ENV_SERVER_NAME] = NAME("SERVER_NAME"),
    [FCNG_ENV_SERVER_ADDR] = NAME("SERVER_ADDR"),
    [FCNG_ENV_SERVER_PORT] = NAME("SERVER_PORT"),
    [FCNG_ENV_REMOTE_ADDR] = NAME("REMOTE_ADDR"),
    [FCNG_ENV_REMOTE_PORT] = NAME("REMOTE_PORT"),
    [FCNG_ENV_REMOTE_HOST] = NAME("REMOTE_HOST"),
    [FCNG_ENV_REMOTE_USER] = NAME("REMOTE_USER"),
    [FCNG_ENV_AUTH_TYPE] = NAME("AUTH_TYPE"),
    [FCNG_ENV_REQUEST_METHOD] = NAME("REQUEST_METHOD"),
    [FCNG_ENV_REQUEST_SCHEME] = NAME("REQUEST_SCHEME"),
    [FCNG_ENV_HTTPS] = NAME("HTTPS"),
    [FCNG_ENV_REQUEST_URI] = NAME("REQUEST_URI"),
    [FCNG_ENV_DOCUMENT_URI] = NAME("DOCUMENT_URI"),
    [FCNG_ENV_QUERY_STRING] = NAME("QUERY_STRING"),
    [FCNG_ENV_CONTENT_TYPE] = NAME("CONTENT_TYPE"),
    [FCNG_ENV_CONTENT_LENGTH] = NAME("CONTENT_LENGTH"),
    [FCNG_ENV_DOCUMENT_ROOT] = NAME("DOCUMENT_ROOT"),
    [FCNG_ENV_SCRIPT_NAME] = NAME("SCRIPT_NAME"),
    [FCNG_ENV_SCRIPT_FILENAME] = NAME("SCRIPT_FILENAME"),
    [FCNG_ENV_PATH_INFO] = NAME("PATH_INFO"),
    [FCNG_ENV_PATH_TRANSLATED] = NAME("PATH_TRANSLATED"),
    [FCNG_ENV_REDIRECT_STATUS] = NAME("REDIRECT_STATUS"),
};

_Static_assert(FCNG_ENV_COUNT <= 32, "a skip mask has 32 bits");
_Static_assert(NAME_SIZE < 128, "one byte is the length of a name");

/* --- variables --- */

#define BIT(var) (UINT32_C(1) << (var))
#define PATHS                                                                 \
    (BIT(FCNG_ENV_DOCUMENT_URI) | BIT(FCNG_ENV_SCRIPT_NAME)                   \
     | BIT(FCNG_ENV_SCRIPT_FILENAME) | BIT(FCNG_ENV_PATH_INFO)                \
     | BIT(FCNG_ENV_PATH_TRANSLATED))

fcng_str fcng_env_name(enum fcng_env_var var)
{
    FCNG_ASSERT(var < FCNG_ENV_COUNT);
    return (fcng_str){ names[var].text, names[var].len };
}

static bool same(fcng_str a, fcng_str b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

int fcng_env_find(fcng_str name)
{
    for (int i = 0; i < FCNG_ENV_COUNT; i++) {
        if (same(fcng_env_name((enum fcng_env_var)i), name)) {
            return i;
        }
    }
    return -1;
}

static bool holds(fcng_str s, int byte)
{
    return s.len > 0 && memchr(s.data, byte, s.len) != NULL;
}

static int check_value(unsigned var, fcng_str value)
{
    bool is_path = (PATHS & BIT(var)) != 0;
    if (value.len > LEN_MAX) {
        return FCNG_ERR_PARAM_SIZE;
    }
    if (holds(value, '\0')) {
        return is_path ? FCNG_ERR_PATH : FCNG_ERR_PARAM_NUL;
    }
    if (is_path && (holds(value, '\n') || holds(value, '\r'))) {
        return FCNG_ERR_PATH;
    }
    return FCNG_OK;
}

static char *put(char *out, fcng_str s)
{
    if (s.len > 0) {
        memcpy(out, s.data, s.len);
    }
    return out + s.len;
}

fcng_str fcng_env_script_name(fcng_str root, fcng_str file)
{
    while (root.len > 0 && root.data[root.len - 1] == '/') {
        root.len--;
    }
    size_t at = root.len;
    if (root.data == NULL || file.len <= root.len || file.data[root.len] != '/'
        || memcmp(file.data, root.data, root.len) != 0) {
        at = file.len;
        while (at > 0 && (at == file.len || file.data[at] != '/')) {
            at--;
        }
    }
    return (fcng_str){ file.data + at, file.len - at };
}

/* Appends one variable, whose value goes on for |more| bytes.  The value is
   looked at while it is copied; few hold what is worth a second look. */
static int put_variable(fcng_params *params, unsigned var, fcng_str value,
                        size_t more)
{
    if (value.len > LEN_MAX) {
        return FCNG_ERR_PARAM_SIZE;
    }
    size_t len = value.len + more;
    int err = fcng_params_room(params, FCNG_PARAMS_LENS + NAME_SIZE + len);
    if (err != FCNG_OK) {
        return err;
    }
    char *out = params->data + params->len;
    *out++ = (char)names[var].len;
    out = fcng_params_put_len(out, len);
    memcpy(out, names[var].text, NAME_SIZE);
    out += names[var].len;
    params->len = (size_t)(out - params->data) + value.len;
    return fcng_text_copy(out, value) ? check_value(var, value) : FCNG_OK;
}

static int encode(fcng_params *params, const fcng_env *env, unsigned var,
                  uint32_t skip)
{
    fcng_str value = env->var[var], tail = { NULL, 0 };
    if (value.data == NULL) {
        if (var != FCNG_ENV_PATH_TRANSLATED
            || env->var[FCNG_ENV_PATH_INFO].len == 0
            || env->var[FCNG_ENV_DOCUMENT_ROOT].data == NULL) {
            return FCNG_OK;
        }
        value = env->var[FCNG_ENV_DOCUMENT_ROOT];
        tail = env->var[FCNG_ENV_PATH_INFO];
    }
    if ((skip & BIT(var)) != 0) {
        return (PATHS & BIT(var)) != 0 ? check_value(var, value) : FCNG_OK;
    }
    int err = put_variable(params, var, value, tail.len);
    if (err == FCNG_OK && tail.len > 0) {
        err = fcng_params_append(params, tail);
    }
    return err;
}

int fcng_env_encode(fcng_params *params, const fcng_env *env, uint32_t skip)
{
    size_t len = params->len;
    for (unsigned i = 0; i < FCNG_ENV_COUNT; i++) {
        int err = encode(params, env, i, skip);
        if (err != FCNG_OK) {
            params->len = len;
            return err;
        }
    }
    return FCNG_OK;
}

/* --- one field's name --- */

static char fold_at(fcng_str name, size_t i)
{
    return fcng_text_fold[(unsigned char)name.data[i]];
}

/*
 * Fields that never become a variable, by what they would be called, so that
 * "Content_Length" passes as little as "Content-Length" does.  HTTP_PROXY
 * would be read as a setting (CVE-2016-5385).
 */
static bool is_refused(const char *var, size_t len,
                       const fcng_fields_policy *policy)
{
    static const fcng_str never[] = {
        FCNG_STR("PROXY"), FCNG_STR("CONTENT_TYPE"),
        FCNG_STR("CONTENT_LENGTH"), FCNG_STR("CONNECTION"),
        FCNG_STR("KEEP_ALIVE"), FCNG_STR("TE"), FCNG_STR("TRAILER"),
        FCNG_STR("TRANSFER_ENCODING"), FCNG_STR("UPGRADE"),
        FCNG_STR("PROXY_CONNECTION"),
        /* last two: when the policy says so */
        FCNG_STR("AUTHORIZATION"), FCNG_STR("PROXY_AUTHORIZATION"),
    };
    size_t n = sizeof(never) / sizeof(never[0]);
    n -= policy->authorization ? 2 : 0;
    for (size_t i = 0; i < n; i++) {
        if (never[i].len == len && memcmp(never[i].data, var, len) == 0) {
            return true;
        }
    }
    return false;
}

size_t fcng_env_field_name(char *out, fcng_str name,
                           const fcng_fields_policy *policy)
{
    char *var = out + PREFIX_LEN;
    memcpy(out, PREFIX, PREFIX_LEN);
    for (size_t i = 0; i < name.len; i++) {
        var[i] = fold_at(name, i);
        if (var[i] == 0 || (name.data[i] == '_' && !policy->underscores)) {
            return 0;
        }
    }
    if (name.len == 0 || name.len > LEN_MAX - PREFIX_LEN
        || is_refused(var, name.len, policy)) {
        return 0;
    }
    return PREFIX_LEN + name.len;
}

/* --- all fields --- */

typedef struct field_list {
    const fcng_field *field;
    size_t n;
    const fcng_fields_policy *policy;
    uint64_t once[4], twice[4]; /* of 256 hashes: met, met again */
    bool repeats;               /* any was met again */
} field_list;

/* Of a name's fold, from its length and three of its bytes: that tells the
   names of usual requests apart ("Sec-Fetch-Mode" and "Sec-Fetch-Site" too),
   and what collides is compared anyway. */
static unsigned hash(fcng_str name)
{
    if (name.len < 2) {
        return 0;
    }
    unsigned h = (unsigned)name.len * 31;
    h = (h + (unsigned char)fold_at(name, name.len / 2)) * 31;
    h = (h + (unsigned char)fold_at(name, name.len - 2)) * 31;
    h += (unsigned char)fold_at(name, name.len - 1);
    return (h ^ h >> 8 ^ h >> 16) & 255;
}

static void mark(field_list *list, fcng_str name)
{
    unsigned h = hash(name);
    uint64_t bit = UINT64_C(1) << (h & 63), again = list->once[h >> 6] & bit;
    list->twice[h >> 6] |= again;
    list->once[h >> 6] |= bit;
    list->repeats = list->repeats || again != 0;
}

static bool may_repeat(const field_list *list, fcng_str name)
{
    if (!list->repeats) {
        return false;
    }
    unsigned h = hash(name);
    return (list->twice[h >> 6] >> (h & 63) & 1) != 0;
}

static bool same_variable(fcng_str a, fcng_str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (fold_at(a, i) != fold_at(b, i)) {
            return false;
        }
    }
    return true;
}

/* Whether field |j| makes the variable of field |i|, with as many '_'. */
static bool joins(const field_list *list, size_t i, size_t j, bool underscore)
{
    fcng_str name = list->field[j].name;
    return same_variable(list->field[i].name, name)
           && holds(name, '_') == underscore;
}

/* Another field, written with '-', makes the variable of field |i|. */
static bool gives_way(const field_list *list, size_t i)
{
    for (size_t j = 0; j < list->n; j++) {
        if (joins(list, i, j, false)) {
            return true;
        }
    }
    return false;
}

/* The length of all values that join field |i|'s, or SIZE_MAX when they are
   not sent here: with an earlier field, or not at all. */
static size_t joined_len(const field_list *list, size_t i, bool underscore)
{
    if (underscore && gives_way(list, i)) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j < i; j++) {
        if (joins(list, i, j, underscore)) {
            return SIZE_MAX;
        }
    }
    size_t len = list->field[i].value.len;
    for (size_t j = i + 1; j < list->n; j++) {
        if (joins(list, i, j, underscore)) {
            len += 2 + list->field[j].value.len;
        }
    }
    return len;
}

static char *put_joined(char *out, const field_list *list, size_t i,
                        bool underscore)
{
    bool is_cookie = fcng_text_is_nocase(list->field[i].name, "cookie");
    for (size_t j = i + 1; j < list->n; j++) {
        if (joins(list, i, j, underscore)) {
            *out++ = is_cookie ? ';' : ',';
            *out++ = ' ';
            out = put(out, list->field[j].value);
        }
    }
    return out;
}

static bool is_taken(const fcng_fields_policy *policy, fcng_str var)
{
    for (size_t i = 0; i < policy->ntaken; i++) {
        if (same(policy->taken[i], var)) {
            return true;
        }
    }
    return false;
}

/* Writes field |i| at |out|; returns the end, |out| when it is not sent. */
static char *put_field(char *out, const field_list *list, size_t i)
{
    const fcng_field *field = &list->field[i];
    bool repeats = may_repeat(list, field->name);
    bool underscore = repeats && holds(field->name, '_');
    size_t len = repeats ? joined_len(list, i, underscore) : field->value.len;
    if (len > LEN_MAX) {
        return out;
    }
    char *at = fcng_params_put_len(out, PREFIX_LEN + field->name.len);
    at = fcng_params_put_len(at, len);
    size_t name_len = fcng_env_field_name(at, field->name, list->policy);
    if (name_len == 0
        || is_taken(list->policy, (fcng_str){ at, name_len })) {
        return out;
    }
    at = put(at + name_len, field->value);
    return repeats ? put_joined(at, list, i, underscore) : at;
}

int fcng_env_fields(fcng_params *params, const fcng_field *fields, size_t n,
                    const fcng_fields_policy *policy)
{
    field_list list = { .field = fields, .n = n, .policy = policy };
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        if (holds(fields[i].value, '\0')) {
            return FCNG_ERR_PARAM_NUL;
        }
        size += FCNG_PARAMS_LENS + PREFIX_LEN + fields[i].name.len
                + fields[i].value.len + 2;
        mark(&list, fields[i].name);
    }
    int err = fcng_params_reserve(params, size);
    if (err != FCNG_OK) {
        return err;
    }
    char *out = params->data + params->len;
    for (size_t i = 0; i < n; i++) {
        out = put_field(out, &list, i);
    }
    params->len = (size_t)(out - params->data);
    return FCNG_OK;
}

size_t fcng_env_not_for_filters(const fcng_str **list)
{
    static const fcng_str conditions[] = {
        FCNG_STR("HTTP_IF_MODIFIED_SINCE"),
        FCNG_STR("HTTP_IF_UNMODIFIED_SINCE"), FCNG_STR("HTTP_IF_NONE_MATCH"),
        FCNG_STR("HTTP_IF_MATCH"), FCNG_STR("HTTP_RANGE"),
        FCNG_STR("HTTP_IF_RANGE"),
    };
    *list = conditions;
    return sizeof(conditions) / sizeof(conditions[0]);
}

/* --- names that decide what runs, or who somebody is --- */

bool fcng_env_is_trusted(fcng_str name)
{
    static const char *const known[] = {
        "script_filename", "document_root", "php_value",
        "php_admin_value", "remote_user", "auth_type", "http_proxy"
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (fcng_text_is_nocase(name, known[i])) {
            return true;
        }
    }
    fcng_str start = { name.data, FCNG_MIN(name.len, 3) };
    return fcng_text_is_nocase(start, "ld_");
}
