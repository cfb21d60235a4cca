/* SPDX-License-Identifier: BSD-2-Clause */
/* Comparing and composing short texts, without a locale. */
#include "fcng_text.h"
#include "fcng_int.h"

const char fcng_text_fold[256] = {
    ['-'] = '_', ['_'] = '_',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4',
    ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
    ['A'] = 'A', ['B'] = 'B', ['C'] = 'C', ['D'] = 'D', ['E'] = 'E',
    ['F'] = 'F', ['G'] = 'G', ['H'] = 'H', ['I'] = 'I', ['J'] = 'J',
    ['K'] = 'K', ['L'] = 'L', ['M'] = 'M', ['N'] = 'N', ['O'] = 'O',
    ['P'] = 'P', ['Q'] = 'Q', ['R'] = 'R', ['S'] = 'S', ['T'] = 'T',
    ['U'] = 'U', ['V'] = 'V', ['W'] = 'W', ['X'] = 'X', ['Y'] = 'Y',
    ['Z'] = 'Z',
    ['a'] = 'A', ['b'] = 'B', ['c'] = 'C', ['d'] = 'D', ['e'] = 'E',
    ['f'] = 'F', ['g'] = 'G', ['h'] = 'H', ['i'] = 'I', ['j'] = 'J',
    ['k'] = 'K', ['l'] = 'L', ['m'] = 'M', ['n'] = 'N', ['o'] = 'O',
    ['p'] = 'P', ['q'] = 'Q', ['r'] = 'R', ['s'] = 'S', ['t'] = 'T',
    ['u'] = 'U', ['v'] = 'V', ['w'] = 'W', ['x'] = 'X', ['y'] = 'Y',
    ['z'] = 'Z',
};

bool fcng_text_is(fcng_str text, const char *known)
{
    return text.len == strlen(known)
           && memcmp(text.data, known, text.len) == 0;
}

bool fcng_text_same_nocase(fcng_str text, const char *known)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (text.data[i] != known[i]
            && fcng_ascii_lower(c) != (unsigned char)known[i]) {
            return false;
        }
    }
    return true;
}

/* Whether one of eight bytes is below 0x20. */
static bool has_low(uint64_t bytes)
{
    return ((bytes - UINT64_C(0x2020202020202020)) & ~bytes
            & UINT64_C(0x8080808080808080)) != 0;
}

/* Eight bytes, or four; what |word| has behind those is not below 0x20. */
static bool copy_part(char *out, const char *in, size_t len)
{
    uint64_t word = UINT64_MAX;
    memcpy(&word, in, len);
    memcpy(out, &word, len);
    return has_low(word);
}

/* Some bytes are copied twice, so that few are copied one by one. */
bool fcng_text_copy(char *out, fcng_str text)
{
    const char *in = text.data;
    size_t len = text.len;
    bool low = false;
    if (len >= 8) {
        for (size_t i = 0; i < len - 8; i += 8) {
            low |= copy_part(out + i, in + i, 8);
        }
        low |= copy_part(out + len - 8, in + len - 8, 8);
    } else if (len >= 4) {
        low |= copy_part(out, in, 4);
        low |= copy_part(out + len - 4, in + len - 4, 4);
    } else {
        for (size_t i = 0; i < len; i++) {
            out[i] = in[i];
            low |= (unsigned char)in[i] < 0x20;
        }
    }
    return low;
}

/* Whether one of eight bytes is below 0x20, or DEL. */
static bool has_control(uint64_t bytes)
{
    uint64_t del = bytes ^ UINT64_C(0x7f7f7f7f7f7f7f7f);
    return has_low(bytes)
           || ((del - UINT64_C(0x0101010101010101)) & ~del
               & UINT64_C(0x8080808080808080)) != 0;
}

static uint64_t word_at(const char *in)
{
    uint64_t word;
    memcpy(&word, in, sizeof(word));
    return word;
}

/* All of 1 to 7 bytes in one word, some of them twice, and spaces. */
static uint64_t short_word(const char *in, size_t len)
{
    uint64_t word = UINT64_C(0x2020202020202020);
    if (len < 4) {
        char *out = (char *)&word;
        out[0] = in[0];
        out[1] = in[len / 2];
        out[2] = in[len - 1];
    } else {
        memcpy(&word, in, 4);
        memcpy((char *)&word + 4, in + len - 4, 4);
    }
    return word;
}

bool fcng_text_has_control(fcng_str text)
{
    size_t len = text.len;
    bool has = false;
    for (size_t i = 0; i + 8 < len; i += 8) {
        has |= has_control(word_at(text.data + i));
    }
    if (len >= 8) {
        has |= has_control(word_at(text.data + len - 8));
    } else if (len > 0) {
        has = has_control(short_word(text.data, len));
    }
    return has;
}

bool fcng_text_number(fcng_str text, uint64_t max, uint64_t *n)
{
    uint64_t sum = 0, full = max / 10;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (sum > full || (sum == full && digit > max % 10)) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *n = sum;
    return text.len > 0;
}

void fcng_sentence_init(fcng_sentence *sentence, char *out, size_t len)
{
    FCNG_ASSERT(len > 0);
    *sentence = (fcng_sentence){ out, len - 1 };
    *out = '\0';
}

static void put(fcng_sentence *sentence, char c)
{
    if (sentence->room > 0) {
        *sentence->out++ = c;
        *sentence->out = '\0';
        sentence->room--;
    }
}

void fcng_sentence_add(fcng_sentence *sentence, const char *words)
{
    while (*words != '\0') {
        put(sentence, *words++);
    }
}

void fcng_sentence_add_str(fcng_sentence *sentence, fcng_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        put(sentence, c < 0x20 || c == 0x7f ? '?' : text.data[i]);
    }
}

void fcng_sentence_add_number(fcng_sentence *sentence, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    for (; i < sizeof(digits); i++) {
        put(sentence, digits[i]);
    }
}

void fcng_sentence_add_mode(fcng_sentence *sentence, unsigned n)
{
    put(sentence, '0');
    for (int shift = 9; shift >= 0; shift -= 3) {
        unsigned digit = n >> shift & 7;
        if (shift < 9 || digit != 0) {
            put(sentence, (char)('0' + digit));
        }
    }
}
