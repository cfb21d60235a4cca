/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A response that goes through a Filter: of the fields of its head, and of
 * those of the request that ask for something of it, which are the original's
 * business and which that of what the Filter makes of it.
 */
#include "fcng_text.h"
#include "fcng_int.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool is_among(fcng_str name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fcng_text_is_nocase(name, list[i])) {
            return true;
        }
    }
    return false;
}

bool fcng_filter_hides(fcng_str name, bool retrieves)
{
    static const char *const asking[] = {
        "range", "request-range", "if-range", "if-match", "if-none-match",
        "if-modified-since", "if-unmodified-since"
    };
    return fcng_text_is_nocase(name, "accept-encoding")
           || (retrieves && is_among(name, asking, COUNT(asking)));
}

bool fcng_filter_drops(fcng_str name)
{
    static const char *const of_original[] = {
        "etag", "last-modified", "content-length", "content-md5",
        "accept-ranges", "digest", "content-digest", "repr-digest"
    };
    return is_among(name, of_original, COUNT(of_original));
}

bool fcng_filter_adds(fcng_str name)
{
    return fcng_text_is_nocase(name, "set-cookie");
}
