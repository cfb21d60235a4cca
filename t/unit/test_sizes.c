/* SPDX-License-Identifier: BSD-2-Clause */
/* What is learnt of the sizes of responses. */
#include "unit.h"

#include "fcng_sizes.h"

#define PATH(literal) ((fcng_str)FCNG_STR(literal))

static void test_a_path_is_expected_to_be_as_it_was(void **state)
{
    (void)state;
    fcng_sizes s = { 0 };
    assert_int_equal(fcng_sizes_expect(&s, PATH("/a")), 0);
    fcng_sizes_learn(&s, PATH("/a"), 1000000);
    fcng_sizes_learn(&s, PATH("/b"), 1000);
    assert_in_range(fcng_sizes_expect(&s, PATH("/a")), 999990, 1000000);
    assert_in_range(fcng_sizes_expect(&s, PATH("/b")), 990, 1000);
}

static void test_what_it_has_become_counts(void **state)
{
    (void)state;
    fcng_sizes s = { 0 };
    fcng_sizes_learn(&s, PATH("/a"), 1 << 20);
    for (int i = 0; i < 12; i++) {
        fcng_sizes_learn(&s, PATH("/a"), 1024);
    }
    assert_true(fcng_sizes_expect(&s, PATH("/a")) < 65536);
}

static void test_a_folder_tells_of_new_files(void **state)
{
    (void)state;
    fcng_sizes s = { 0 };
    char path[] = "/down/0";
    for (int i = 0; i < 4; i++) {
        assert_int_equal(fcng_sizes_expect(&s, PATH("/down/new")), 0);
        path[6] = (char)('0' + i);
        fcng_sizes_learn(&s, (fcng_str){ path, 7 }, 1 << 20);
    }
    assert_true(fcng_sizes_expect(&s, PATH("/down/new")) > 1 << 19);
    assert_int_equal(fcng_sizes_expect(&s, PATH("/up/new")), 0);
    /* one that is known is its own witness */
    fcng_sizes_learn(&s, PATH("/down/small"), 10);
    assert_in_range(fcng_sizes_expect(&s, PATH("/down/small")), 1, 10);
}

static void test_a_path_asked_for_often_keeps_its_place(void **state)
{
    (void)state;
    fcng_sizes s = { 0 };
    char path[16];
    for (int i = 0; i < 64; i++) {
        fcng_sizes_learn(&s, PATH("/often"), 1 << 20);
    }
    for (int i = 0; i < 3 * FCNG_SIZES_PLACES; i++) {
        int n = snprintf(path, sizeof(path), "/%d/x", i);
        fcng_sizes_learn(&s, (fcng_str){ path, (size_t)n }, 10);
    }
    assert_true(fcng_sizes_expect(&s, PATH("/often")) > 1 << 19);
}

static void test_any_path_will_do(void **state)
{
    (void)state;
    fcng_sizes s = { 0 };
    fcng_sizes_learn(&s, (fcng_str){ NULL, 0 }, 5);
    fcng_sizes_learn(&s, PATH("*"), UINT64_MAX);
    assert_true(fcng_sizes_expect(&s, PATH("*")) > 1 << 20);
    fcng_sizes_learn(&s, PATH("/zero"), 0);
    assert_int_equal(fcng_sizes_expect(&s, PATH("/zero")), 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_a_path_is_expected_to_be_as_it_was),
    cmocka_unit_test(test_what_it_has_become_counts),
    cmocka_unit_test(test_a_folder_tells_of_new_files),
    cmocka_unit_test(test_a_path_asked_for_often_keeps_its_place),
    cmocka_unit_test(test_any_path_will_do),
};

UNIT_MAIN(tests)
