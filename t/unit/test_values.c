/* SPDX-License-Identifier: BSD-2-Clause */
/* What GET_VALUES_RESULTs say.  Spec: 4.1. */
#include "unit.h"

static fcng_values parsed(fcng_str pairs)
{
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, pairs), FCNG_OK);
    return v;
}

static void expect(fcng_str pairs, int64_t conns, int64_t reqs, int64_t mpxs)
{
    fcng_values v = parsed(pairs);
    assert_int_equal(v.max_conns, conns);
    assert_int_equal(v.max_reqs, reqs);
    assert_int_equal(v.mpxs_conns, mpxs);
}

static void test_point40_in_any_order_and_not_all(void **state)
{
    (void)state;
    expect(BYTES("\x0e\1FCGI_MAX_CONNS1\x0d\2FCGI_MAX_REQS50"
                 "\x0f\1FCGI_MPXS_CONNS0"),
           1, 50, 0);
    expect(BYTES("\x0f\1FCGI_MPXS_CONNS1\x0e\3FCGI_MAX_CONNS128"), 128, -1, 1);
    expect(BYTES(""), -1, -1, -1);
    expect(BYTES("\4\1OTHR7\x0d\1FCGI_MAX_REQS2"), -1, 2, -1);
    /* nameless and valueless pairs are tolerated, point 9 */
    expect(BYTES("\0\0\0\1x\x0d\0FCGI_MAX_REQS"), -1, -1, -1);
}

static void test_point40_what_is_no_number_is_left_out(void **state)
{
    (void)state;
    expect(BYTES("\x0e\2FCGI_MAX_CONNS-1\x0d\2FCGI_MAX_REQS1x"
                 "\x0f\4FCGI_MPXS_CONNStrue"),
           -1, -1, -1);
    expect(BYTES("\x0e\x0a" "FCGI_MAX_CONNS9999999999"), -1, -1, -1);
    expect(BYTES("\x0e\x09" "FCGI_MAX_CONNS999999999"), 999999999, -1, -1);
    expect(BYTES("\x0e\2FCGI_MAX_CONNS 1"), -1, -1, -1);
    expect(BYTES("\x0e\1fcgi_max_conns1"), -1, -1, -1);
}

static void test_point40_several_results_add_up(void **state)
{
    (void)state;
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0e\1FCGI_MAX_CONNS4")),
                     FCNG_OK);
    assert_int_equal(fcng_values_parse(&v, BYTES("")), FCNG_OK);
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0d\1FCGI_MAX_REQS5")),
                     FCNG_OK);
    assert_int_equal(v.max_conns, 4);
    assert_int_equal(v.max_reqs, 5);
    assert_int_equal(v.mpxs_conns, -1);
}

static void test_point8_broken_pairs_are_an_error(void **state)
{
    (void)state;
    fcng_values v = { -1, -1, -1 };
    assert_int_equal(fcng_values_parse(&v, BYTES("\x0e\2FCGI_MAX_CONNS1")),
                     FCNG_ERR_PARAM_ENCODING);
    assert_int_equal(fcng_values_parse(&v, BYTES("\xff\xff\xff\xff\xff")),
                     FCNG_ERR_PARAM_ENCODING);
    assert_int_equal(v.max_conns, -1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point40_in_any_order_and_not_all),
    cmocka_unit_test(test_point40_what_is_no_number_is_left_out),
    cmocka_unit_test(test_point40_several_results_add_up),
    cmocka_unit_test(test_point8_broken_pairs_are_an_error),
};

UNIT_MAIN(tests)
