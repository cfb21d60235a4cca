/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Name-value pairs (Spec 3.4): two lengths, name, value.
 *
 *   a length below 128:  | n |
 *   otherwise:           | 0x80 + n (4 bytes, big-endian) |
 */
#include "fcng_params.h"
#include "fcng_int.h"
#include "fcng_mem.h"
#include "fcng_wire.h"

#define LONG_LEN FCNG_PARAMS_LONG

void fcng_params_init(fcng_params *params, const fcng_mem *mem)
{
    *params = (fcng_params){ .mem = mem };
}

void fcng_params_fini(fcng_params *params)
{
    fcng_mem_release(params->mem, params->data);
    fcng_params_init(params, params->mem);
}

int fcng_params_reserve(fcng_params *params, size_t more)
{
    if (params->cap - params->len >= more) {
        return FCNG_OK;
    }
    if (more > SIZE_MAX / 2 - params->len) {
        return FCNG_ERR_NOMEM;
    }
    size_t cap = params->cap == 0 ? 512 : params->cap;
    while (cap < params->len + more) {
        cap *= 2;
    }
    char *data = fcng_mem_resize(params->mem, params->data, cap);
    if (data == NULL) {
        return FCNG_ERR_NOMEM;
    }
    params->data = data;
    params->cap = cap;
    return FCNG_OK;
}

size_t fcng_params_size(size_t name_len, size_t value_len)
{
    return (name_len < 128 ? 1u : 4u) + (value_len < 128 ? 1u : 4u) + name_len
           + value_len;
}

static int check_pair(fcng_str name, fcng_str value)
{
    if (name.len == 0 || name.len >= LONG_LEN
        || memchr(name.data, '\0', name.len) != NULL
        || memchr(name.data, '=', name.len) != NULL) {
        return FCNG_ERR_PARAM_NAME;
    }
    if (value.len >= LONG_LEN) {
        return FCNG_ERR_PARAM_SIZE;
    }
    if (value.len > 0 && memchr(value.data, '\0', value.len) != NULL) {
        return FCNG_ERR_PARAM_NUL;
    }
    return FCNG_OK;
}

int fcng_params_add(fcng_params *params, fcng_str name, fcng_str value)
{
    int err = check_pair(name, value);
    if (err != FCNG_OK) {
        return err;
    }
    size_t size = fcng_params_size(name.len, value.len);
    err = fcng_params_reserve(params, size);
    if (err != FCNG_OK) {
        return err;
    }
    char *out = fcng_params_put_len(params->data + params->len, name.len);
    out = fcng_params_put_len(out, value.len);
    memcpy(out, name.data, name.len);
    if (value.len > 0) {
        memcpy(out + name.len, value.data, value.len);
    }
    params->len += size;
    return FCNG_OK;
}

int fcng_params_append(fcng_params *params, fcng_str encoded)
{
    int err = fcng_params_reserve(params, encoded.len);
    if (err == FCNG_OK && encoded.len > 0) {
        memcpy(params->data + params->len, encoded.data, encoded.len);
        params->len += encoded.len;
    }
    return err;
}

static bool take_len(fcng_str *in, size_t *len)
{
    if (in->len == 0) {
        return false;
    }
    const unsigned char *at = (const unsigned char *)in->data;
    size_t width = at[0] < 128 ? 1 : 4;
    if (in->len < width) {
        return false;
    }
    *len = width == 1 ? at[0] : fcng_get32(at) & ~LONG_LEN;
    in->data += width;
    in->len -= width;
    return true;
}

static bool take_bytes(fcng_str *in, size_t len, fcng_str *out)
{
    if (len > in->len) {
        return false;
    }
    *out = (fcng_str){ in->data, len };
    in->data += len;
    in->len -= len;
    return true;
}

int fcng_params_next(fcng_str *encoded, fcng_str *name, fcng_str *value)
{
    if (encoded->len == 0) {
        return FCNG_AGAIN;
    }
    fcng_str in = *encoded;
    size_t name_len, value_len;
    if (!take_len(&in, &name_len) || !take_len(&in, &value_len)
        || !take_bytes(&in, name_len, name)
        || !take_bytes(&in, value_len, value)) {
        return FCNG_ERR_PARAM_ENCODING;
    }
    *encoded = in;
    return FCNG_OK;
}

int fcng_params_record(fcng_str pairs, bool split, size_t *cut, size_t *len)
{
    if (*cut == 0 && pairs.len <= FCNG_MAX_PAYLOAD) {
        *len = pairs.len;
        return FCNG_OK;
    }
    fcng_str rest = pairs, name, value;
    size_t end = 0;
    *len = 0;
    while (*cut == 0) {
        int err = fcng_params_next(&rest, &name, &value);
        if (err < 0) {
            return err;
        }
        end = pairs.len - rest.len;
        if (err == FCNG_AGAIN || end > FCNG_MAX_PAYLOAD) {
            break;
        }
        *len = end;
    }
    if (*len > 0) {
        return FCNG_OK;
    }
    if (!split) {
        return FCNG_ERR_PARAM_SIZE;
    }
    if (*cut == 0) {
        *cut = end;
    }
    *len = FCNG_MIN(*cut, FCNG_MAX_PAYLOAD);
    *cut -= *len;
    return FCNG_OK;
}
