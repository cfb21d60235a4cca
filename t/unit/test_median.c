/* SPDX-License-Identifier: BSD-2-Clause */
/* The median of the last few numbers. */
#include "unit.h"

#include "fcng_median.h"

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t sorted_middle(const uint32_t *number, uint32_t n)
{
    uint32_t sorted[FCNG_SAMPLES];
    memcpy(sorted, number, n * sizeof(*number));
    qsort(sorted, n, sizeof(*sorted), ascending);
    return sorted[n / 2];
}

/* From all the same to all different, every count. */
static void test_it_is_the_number_in_the_middle(void **state)
{
    (void)state;
    static const uint32_t spread[] = { 1, 2, 3, 10, 1000, UINT32_MAX };
    fcng_median m = { .taken = 0 };
    uint32_t number[FCNG_SAMPLES], seed = 1;
    for (size_t s = 0; s < sizeof(spread) / sizeof(spread[0]); s++) {
        for (uint32_t n = 1; n <= FCNG_SAMPLES; n++) {
            for (uint32_t i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                number[i] = (seed >> 1) % spread[s];
            }
            fcng_median_update(&m, number, n);
            assert_int_equal(m.median, sorted_middle(number, n));
        }
    }
}

static void test_order_makes_no_difference(void **state)
{
    (void)state;
    fcng_median up = { .taken = 0 }, down = { .taken = 0 };
    for (uint32_t i = 0; i < FCNG_SAMPLES; i++) {
        fcng_median_add(&up, i);
        fcng_median_add(&down, FCNG_SAMPLES - 1 - i);
    }
    fcng_median_update(&up, NULL, 0);
    fcng_median_update(&down, NULL, 0);
    assert_int_equal(up.median, FCNG_SAMPLES / 2);
    assert_int_equal(down.median, FCNG_SAMPLES / 2);
}

static void test_of_nothing_it_is_zero(void **state)
{
    (void)state;
    fcng_median m = { .median = 7 };
    fcng_median_update(&m, NULL, 0);
    assert_int_equal(m.median, 0);
}

static void test_only_the_last_ones_count(void **state)
{
    (void)state;
    fcng_median m = { .taken = 0 };
    fcng_median_add(&m, 5);
    fcng_median_update(&m, NULL, 0);
    assert_int_equal(m.median, 5);
    for (uint32_t i = 0; i < FCNG_SAMPLES; i++) {
        fcng_median_add(&m, 9);
    }
    fcng_median_update(&m, NULL, 0);
    assert_int_equal(m.median, 9);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_it_is_the_number_in_the_middle),
    cmocka_unit_test(test_order_makes_no_difference),
    cmocka_unit_test(test_of_nothing_it_is_zero),
    cmocka_unit_test(test_only_the_last_ones_count),
};

UNIT_MAIN(tests)
