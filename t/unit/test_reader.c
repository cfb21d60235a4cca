/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes -> records: the same records for any split of the input. */
#include "unit.h"

#include "fcng_reader.h"

/* STDOUT id 1 "hello" padded 3; empty STDOUT; type 77 id 9 padded 2, empty;
   END_REQUEST; STDERR "x" with 255 bytes of padding */
static bytes sample(void)
{
    bytes b = { NULL, 0 };
    char pad[255];
    memset(pad, '#', sizeof(pad));
    bytes_add(&b, BYTES("\1\6\0\1\0\5\3\0hello###"));
    bytes_add(&b, BYTES("\1\6\0\1\0\0\0\0"));
    bytes_add(&b, BYTES("\1\x4d\0\x09\0\0\2\0##"));
    bytes_add(&b, BYTES("\1\3\0\1\0\x08\0\0\0\0\0\0\0\0\0\0"));
    bytes_add(&b, BYTES("\1\7\0\1\0\1\xff\0x"));
    bytes_add(&b, (fcng_str){ pad, sizeof(pad) });
    return b;
}

static const char expected[] = "6.1.5:hello;6.1.0:;77.9.0:;3.1.8:"
                               "\0\0\0\0\0\0\0\0;7.1.1:x;";

/* Reads all of |in|, which arrives in one piece, and appends what it says. */
static void drain(fcng_reader *reader, fcng_str in, size_t max, bytes *out)
{
    for (;;) {
        if (reader->state != FCNG_READER_CONTENT) {
            int err = fcng_reader_header(reader, &in);
            if (err != FCNG_OK) {
                assert_int_equal(err, FCNG_AGAIN);
                assert_int_equal(in.len, 0);
                return;
            }
            char line[64];
            snprintf(line, sizeof(line), "%u.%u.%u:", reader->record.type,
                     reader->record.id, reader->record.content_len);
            bytes_add(out, text(line));
        }
        fcng_str piece;
        if (fcng_reader_content(reader, &in, max, &piece) != FCNG_OK) {
            assert_int_equal(in.len, 0);
            return;
        }
        bytes_add(out, piece);
        if (reader->content_left == 0) {
            bytes_add(out, text(";"));
        }
    }
}

static void feed_split(fcng_str in, size_t step, size_t at, size_t max)
{
    fcng_reader reader;
    fcng_reader_init(&reader);
    bytes out = { NULL, 0 };
    for (size_t from = 0; from < in.len;) {
        size_t len = at > from ? at - from : step;
        len = len > in.len - from ? in.len - from : len;
        drain(&reader, (fcng_str){ in.data + from, len }, max, &out);
        from += len;
    }
    assert_str(bytes_str(&out), BYTES(expected));
    bytes_free(&out);
}

static void test_whole(void **state)
{
    (void)state;
    bytes b = sample();
    feed_split(bytes_str(&b), b.len, 0, SIZE_MAX);
    bytes_free(&b);
}

static void test_point6_byte_by_byte(void **state)
{
    (void)state;
    bytes b = sample();
    feed_split(bytes_str(&b), 1, 0, SIZE_MAX);
    bytes_free(&b);
}

static void test_point6_every_split(void **state)
{
    (void)state;
    bytes b = sample();
    for (size_t at = 1; at < b.len; at++) {
        feed_split(bytes_str(&b), b.len, at, SIZE_MAX);
    }
    bytes_free(&b);
}

static void test_small_pieces(void **state)
{
    (void)state;
    bytes b = sample();
    for (size_t max = 1; max < 10; max++) {
        feed_split(bytes_str(&b), b.len, 0, max);
        feed_split(bytes_str(&b), 3, 0, max);
    }
    bytes_free(&b);
}

static void test_point5_content_of_65535_bytes(void **state)
{
    (void)state;
    static char big[65535];
    fcng_reader reader;
    fcng_reader_init(&reader);
    fcng_str in = BYTES("\1\6\0\1\xff\xff\xff\0"), piece;
    assert_int_equal(fcng_reader_header(&reader, &in), FCNG_OK);
    fcng_str content = { big, sizeof(big) };
    assert_int_equal(fcng_reader_content(&reader, &content, SIZE_MAX, &piece),
                     FCNG_OK);
    assert_int_equal(piece.len, 65535);
    fcng_str padding = { big, 254 };
    assert_int_equal(fcng_reader_header(&reader, &padding), FCNG_AGAIN);
    fcng_str rest = BYTES("#\1\3\0\1\0\0\0\0");
    assert_int_equal(fcng_reader_header(&reader, &rest), FCNG_OK);
    assert_int_equal(reader.record.type, 3);
}

static void test_point1_other_versions_are_errors(void **state)
{
    (void)state;
    static const char bad[] = { 0, 2, 'H', (char)0xff };
    for (size_t i = 0; i < sizeof(bad); i++) {
        char hd[8] = { bad[i], 6, 0, 1, 0, 0, 0, 0 };
        fcng_reader reader;
        fcng_reader_init(&reader);
        fcng_str in = { hd, sizeof(hd) };
        assert_int_equal(fcng_reader_header(&reader, &in), FCNG_ERR_VERSION);

        /* at once: nothing more may come */
        fcng_reader_init(&reader);
        in = (fcng_str){ hd, 1 };
        assert_int_equal(fcng_reader_header(&reader, &in), FCNG_ERR_VERSION);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_whole),
    cmocka_unit_test(test_point6_byte_by_byte),
    cmocka_unit_test(test_point6_every_split),
    cmocka_unit_test(test_small_pieces),
    cmocka_unit_test(test_point5_content_of_65535_bytes),
    cmocka_unit_test(test_point1_other_versions_are_errors),
};

UNIT_MAIN(tests)
