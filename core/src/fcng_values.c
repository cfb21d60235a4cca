/* SPDX-License-Identifier: BSD-2-Clause */
/* What a GET_VALUES_RESULT says.  Spec: 4.1. */
#include "fcng_int.h"

static bool same(fcng_str name, const char *known)
{
    return name.len == strlen(known)
           && memcmp(name.data, known, name.len) == 0;
}

static int64_t *place(fcng_values *values, fcng_str name)
{
    if (same(name, "FCGI_MAX_CONNS")) {
        return &values->max_conns;
    }
    if (same(name, "FCGI_MAX_REQS")) {
        return &values->max_reqs;
    }
    return same(name, "FCGI_MPXS_CONNS") ? &values->mpxs_conns : NULL;
}

/* A decimal number of at most 9 digits, or -1. */
static int64_t number(fcng_str text)
{
    int64_t n = 0;
    if (text.len == 0 || text.len > 9) {
        return -1;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        n = n * 10 + (text.data[i] - '0');
    }
    return n;
}

int fcng_values_parse(fcng_values *values, fcng_str pairs)
{
    fcng_str name, value;
    int err;
    while ((err = fcng_params_next(&pairs, &name, &value)) == FCNG_OK) {
        int64_t *known = place(values, name);
        int64_t n = number(value);
        if (known != NULL && n >= 0) {
            *known = n;
        }
    }
    return err == FCNG_AGAIN ? FCNG_OK : err;
}
