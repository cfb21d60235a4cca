/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Short texts: comparing what was read with known words, and composing
 * sentences for the operator in a place of fixed size.  Knows ASCII only: no
 * locale may change what a header field or a configuration means.
 */
#ifndef FCNG_TEXT_H
#define FCNG_TEXT_H

#include <string.h>

#include <fcng/fcng.h>

static inline unsigned char fcng_ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

/* A letter in upper case, a digit, '_' for '-' and '_'; 0: not in a name that
   can become a variable. */
extern const char fcng_text_fold[256];

/* The same bytes as |known|. */
bool fcng_text_is(fcng_str text, const char *known);

/* The same letters as the first |text.len| of |known|, which are in lower
   case. */
bool fcng_text_same_nocase(fcng_str text, const char *known);

/* The same letters as |known|, which is in lower case.  Here, so that the
   compiler knows the length of a literal: most names differ in that. */
static inline bool fcng_text_is_nocase(fcng_str text, const char *known)
{
    return text.len == strlen(known) && fcng_text_same_nocase(text, known);
}

/* |text| begins with |known|. */
static inline bool fcng_text_begins(fcng_str text, const char *known)
{
    size_t len = strlen(known);
    return text.len >= len && memcmp(text.data, known, len) == 0;
}

/* Whether |text| holds a byte below 0x20, or DEL. */
bool fcng_text_has_control(fcng_str text);

/* Copies |text|, and tells whether it holds a byte below 0x20. */
bool fcng_text_copy(char *out, fcng_str text);

/* A decimal number of at most |max|; digits only, at least one. */
bool fcng_text_number(fcng_str text, uint64_t max, uint64_t *n);

/* A sentence being composed; cut where the place ends, always terminated. */
typedef struct fcng_sentence {
    char *out;
    size_t room; /* without the terminator */
} fcng_sentence;

void fcng_sentence_init(fcng_sentence *sentence, char *out, size_t len);
void fcng_sentence_add(fcng_sentence *sentence, const char *words);

/* Adds what somebody typed or sent; control bytes become '?'. */
void fcng_sentence_add_str(fcng_sentence *sentence, fcng_str text);

/* Adds |n| in decimal. */
void fcng_sentence_add_number(fcng_sentence *sentence, uint64_t n);

/* Adds |n| in octal with a leading zero, as file modes are written. */
void fcng_sentence_add_mode(fcng_sentence *sentence, unsigned n);

#endif
