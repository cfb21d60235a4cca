/* SPDX-License-Identifier: BSD-2-Clause */
/* Fields of a response that goes through a Filter, and of its request. */
#include "unit.h"

static void test_what_asks_is_hidden_where_something_is_retrieved(void **state)
{
    (void)state;
    static const char *const asking[] = {
        "Range", "Request-Range", "If-Range", "If-Match", "If-None-Match",
        "If-Modified-Since", "If-Unmodified-Since"
    };
    for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++) {
        assert_true(fcng_filter_hides(text(asking[i]), true));
        assert_false(fcng_filter_hides(text(asking[i]), false));
    }
}

static void test_an_encoded_response_is_asked_for_by_any_method(void **state)
{
    (void)state;
    assert_true(fcng_filter_hides(text("Accept-Encoding"), true));
    assert_true(fcng_filter_hides(text("accept-encoding"), false));
}

static void test_what_else_the_client_says_is_for_all(void **state)
{
    (void)state;
    static const char *const others[] = {
        "Accept", "Accept-Language", "Cookie", "Host", "If", "Ranges",
        "If-Matchx", "Content-Length", ""
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(fcng_filter_hides(text(others[i]), true));
    }
}

static void test_what_is_true_of_the_original_only_goes(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "ETag", "Last-Modified", "Content-Length", "Content-MD5",
        "Accept-Ranges", "Digest", "Content-Digest", "Repr-Digest", "etag",
        "CONTENT-LENGTH"
    };
    static const char *const stay[] = {
        "Content-Type", "Content-Language", "Cache-Control", "Set-Cookie",
        "Date", "ETags", "", "E-Tag"
    };
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        assert_true(fcng_filter_drops(text(gone[i])));
    }
    for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++) {
        assert_false(fcng_filter_drops(text(stay[i])));
    }
}

static void test_cookies_stand_beside_each_other(void **state)
{
    (void)state;
    assert_true(fcng_filter_adds(text("Set-Cookie")));
    assert_true(fcng_filter_adds(text("set-cookie")));
    assert_false(fcng_filter_adds(text("Cookie")));
    assert_false(fcng_filter_adds(text("Cache-Control")));
    assert_false(fcng_filter_adds(text("")));
}

static void test_a_name_is_no_terminated_string(void **state)
{
    (void)state;
    assert_true(fcng_filter_drops((fcng_str){ "ETagged", 4 }));
    assert_true(fcng_filter_hides((fcng_str){ "Range: bytes=0-", 5 }, true));
    assert_false(fcng_filter_drops((fcng_str){ NULL, 0 }));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_what_asks_is_hidden_where_something_is_retrieved),
    cmocka_unit_test(test_an_encoded_response_is_asked_for_by_any_method),
    cmocka_unit_test(test_what_else_the_client_says_is_for_all),
    cmocka_unit_test(test_what_is_true_of_the_original_only_goes),
    cmocka_unit_test(test_cookies_stand_beside_each_other),
    cmocka_unit_test(test_a_name_is_no_terminated_string),
};

UNIT_MAIN(tests)
