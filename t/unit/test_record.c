/* SPDX-License-Identifier: BSD-2-Clause */
/* Record headers and fixed bodies against bytes written from Spec 3.3, 5. */
#include "unit.h"

#include "fcng_record.h"

static void test_point1_header_is_eight_bytes_big_endian(void **state)
{
    (void)state;
    char out[8];
    fcng_record record = { .version = 1, .type = 5, .id = 0x1234,
                           .content_len = 0xfff8, .padding_len = 7 };
    fcng_record_encode(out, &record);
    assert_memory_equal(out, "\x01\x05\x12\x34\xff\xf8\x07\x00", 8);
    fcng_record back;
    fcng_record_decode(&back, out);
    assert_int_equal(back.version, 1);
    assert_int_equal(back.type, 5);
    assert_int_equal(back.id, 0x1234);
    assert_int_equal(back.content_len, 0xfff8);
    assert_int_equal(back.padding_len, 7);
}

static void test_point1_reserved_byte_is_ignored(void **state)
{
    (void)state;
    fcng_record record;
    fcng_record_decode(&record, "\x01\x06\x00\x01\x00\x05\x03\xff");
    assert_int_equal(record.type, 6);
    assert_int_equal(record.id, 1);
    assert_int_equal(record.content_len, 5);
    assert_int_equal(record.padding_len, 3);
}

static void test_point15_begin_holds_role_and_keep_conn_only(void **state)
{
    (void)state;
    char out[8];
    fcng_record_encode_begin(out, FCNG_RESPONDER, true);
    assert_memory_equal(out, "\0\x01\x01\0\0\0\0\0", 8);
    fcng_record_encode_begin(out, FCNG_FILTER, false);
    assert_memory_equal(out, "\0\x03\0\0\0\0\0\0", 8);
}

static void test_end_body(void **state)
{
    (void)state;
    uint32_t app;
    uint8_t protocol;
    fcng_record_decode_end("\0\0\x03\xaa\x02\xff\xff\xff", &app, &protocol);
    assert_int_equal(app, 938);
    assert_int_equal(protocol, FCNG_OVERLOADED);
    fcng_record_decode_end("\xff\xff\xff\xff\0\0\0\0", &app, &protocol);
    assert_int_equal(app, UINT32_MAX);
}

static void test_point39_types_only_a_web_server_sends(void **state)
{
    (void)state;
    static const uint8_t ours[] = { 1, 2, 4, 5, 8, 9 };
    static const uint8_t theirs[] = { 0, 3, 6, 7, 10, 11, 12, 77, 255 };
    for (size_t i = 0; i < sizeof(ours); i++) {
        assert_true(fcng_record_is_ours(ours[i]));
    }
    for (size_t i = 0; i < sizeof(theirs); i++) {
        assert_false(fcng_record_is_ours(theirs[i]));
    }
}

static void test_type_names(void **state)
{
    (void)state;
    assert_string_equal(fcng_record_type_name(1), "BEGIN_REQUEST");
    assert_string_equal(fcng_record_type_name(11), "UNKNOWN_TYPE");
    assert_null(fcng_record_type_name(0));
    assert_null(fcng_record_type_name(12));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point1_header_is_eight_bytes_big_endian),
    cmocka_unit_test(test_point1_reserved_byte_is_ignored),
    cmocka_unit_test(test_point15_begin_holds_role_and_keep_conn_only),
    cmocka_unit_test(test_end_body),
    cmocka_unit_test(test_point39_types_only_a_web_server_sends),
    cmocka_unit_test(test_type_names),
};

UNIT_MAIN(tests)
