/* SPDX-License-Identifier: BSD-2-Clause */
/* Name-value pairs against bytes written from Spec 3.4. */
#include "unit.h"

#include "fcng_params.h"

static char *filled(size_t len)
{
    char *s = malloc(len + 1);
    assert_non_null(s);
    memset(s, 'v', len);
    return s;
}

static void test_point7_short_lengths_take_one_byte(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text("A"), text("xyz")), FCNG_OK);
    assert_int_equal(fcng_params_add(&p, text("EMPTY"), text("")), FCNG_OK);
    assert_str((fcng_str){ p.data, p.len }, BYTES("\1\3Axyz\5\0EMPTY"));
    fcng_params_fini(&p);
}

static void test_point7_length_128_takes_four_bytes(void **state)
{
    (void)state;
    char *v = filled(65536);
    static const struct {
        size_t len;
        const char *hd;
        size_t hdlen;
    } row[] = {
        { 0, "\1\0", 2 },
        { 1, "\1\1", 2 },
        { 127, "\1\x7f", 2 },
        { 128, "\1\x80\0\0\x80", 5 },
        { 255, "\1\x80\0\0\xff", 5 },
        { 65535, "\1\x80\0\xff\xff", 5 },
        { 65536, "\1\x80\1\0\0", 5 },
    };
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        fcng_params p;
        fcng_params_init(&p, NULL);
        fcng_str value = { v, row[i].len };
        assert_int_equal(fcng_params_add(&p, text("N"), value), FCNG_OK);
        assert_int_equal(p.len, row[i].hdlen + 1 + row[i].len);
        assert_int_equal(p.len, fcng_params_size(1, row[i].len));
        assert_memory_equal(p.data, row[i].hd, row[i].hdlen);
        fcng_params_fini(&p);
    }
    free(v);
}

static void test_long_name(void **state)
{
    (void)state;
    char *n = filled(200);
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, (fcng_str){ n, 200 }, text("")),
                     FCNG_OK);
    assert_memory_equal(p.data, "\x80\0\0\xc8\0", 5);
    assert_int_equal(p.len, 205);
    fcng_params_fini(&p);
    free(n);
}

static void test_point10_values_are_binary_but_for_nul(void **state)
{
    (void)state;
    char all[255];
    for (int i = 0; i < 255; i++) {
        all[i] = (char)(i + 1);
    }
    fcng_params p;
    fcng_params_init(&p, NULL);
    fcng_str value = { all, sizeof(all) };
    assert_int_equal(fcng_params_add(&p, text("B"), value), FCNG_OK);
    assert_memory_equal(p.data + 6, all, sizeof(all));
    size_t before = p.len;
    assert_int_equal(fcng_params_add(&p, text("B"), BYTES("a\0b")),
                     FCNG_ERR_PARAM_NUL);
    assert_int_equal(p.len, before);
    fcng_params_fini(&p);
}

static void test_point9_empty_and_impossible_names_are_refused(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text(""), text("v")),
                     FCNG_ERR_PARAM_NAME);
    assert_int_equal(fcng_params_add(&p, BYTES("A\0B"), text("v")),
                     FCNG_ERR_PARAM_NAME);
    assert_int_equal(fcng_params_add(&p, text("A=B"), text("v")),
                     FCNG_ERR_PARAM_NAME);
    fcng_str huge = { "v", (size_t)1 << 31 };
    assert_int_equal(fcng_params_add(&p, text("A"), huge),
                     FCNG_ERR_PARAM_SIZE);
    assert_int_equal(fcng_params_add(&p, huge, text("v")),
                     FCNG_ERR_PARAM_NAME);
    assert_int_equal(p.len, 0);
    fcng_params_fini(&p);
}

static void test_append_takes_encoded_pairs_as_they_are(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_append(&p, BYTES("\1\1AB")), FCNG_OK);
    assert_int_equal(fcng_params_append(&p, BYTES("")), FCNG_OK);
    assert_int_equal(fcng_params_append(&p, BYTES("\1\0C")), FCNG_OK);
    assert_str((fcng_str){ p.data, p.len }, BYTES("\1\1AB\1\0C"));
    fcng_params_fini(&p);
}

static void test_point8_decoding(void **state)
{
    (void)state;
    /* a four-byte length below 128 is legal */
    fcng_str in = BYTES("\x80\0\0\1\x80\0\0\2Nvv\0\1x");
    fcng_str name, value;
    assert_int_equal(fcng_params_next(&in, &name, &value), FCNG_OK);
    assert_str(name, text("N"));
    assert_str(value, text("vv"));
    assert_int_equal(fcng_params_next(&in, &name, &value), FCNG_OK);
    assert_int_equal(name.len, 0); /* tolerated in an answer */
    assert_str(value, text("x"));
    assert_int_equal(fcng_params_next(&in, &name, &value), FCNG_AGAIN);
}

static void test_point8_lengths_beyond_the_block_are_errors(void **state)
{
    (void)state;
    static const fcng_str bad[] = {
        FCNG_STR("\1"),
        FCNG_STR("\1\2A"),
        FCNG_STR("\1\2Ab"),
        FCNG_STR("\x80"),
        FCNG_STR("\x80\0\0"),
        FCNG_STR("\1\x80\0\0"),
        FCNG_STR("\xff\xff\xff\xff\xff\xff\xff\xff" "AB"),
        FCNG_STR("\xff\xff\xff\xff\1AB"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        /* a heap copy of the exact size, so that overreading is seen */
        char *copy = malloc(bad[i].len);
        memcpy(copy, bad[i].data, bad[i].len);
        fcng_str in = { copy, bad[i].len }, name, value;
        assert_int_equal(fcng_params_next(&in, &name, &value),
                         FCNG_ERR_PARAM_ENCODING);
        assert_ptr_equal(in.data, copy);
        free(copy);
    }
}

static size_t record_len(const fcng_params *p, size_t from, bool split,
                         size_t *cut, int want)
{
    size_t len = 0;
    fcng_str rest = { p->data + from, p->len - from };
    assert_int_equal(fcng_params_record(rest, split, cut, &len), want);
    return len;
}

static void test_law1_point11_pairs_are_never_split(void **state)
{
    (void)state;
    char *v = filled(40000);
    fcng_params p;
    fcng_params_init(&p, NULL);
    fcng_str value = { v, 40000 };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fcng_params_add(&p, text("N"), value), FCNG_OK);
    }
    size_t pair = 1 + 4 + 1 + 40000, cut = 0;
    assert_int_equal(record_len(&p, 0, false, &cut, FCNG_OK), pair);
    assert_int_equal(record_len(&p, pair, false, &cut, FCNG_OK), pair);
    assert_int_equal(record_len(&p, 2 * pair, false, &cut, FCNG_OK), pair);
    assert_int_equal(cut, 0);
    fcng_params_fini(&p);
    free(v);
}

static void test_law1_a_pair_that_just_fits_is_sent(void **state)
{
    (void)state;
    char *v = filled(70000);
    size_t fits = 65528 - 1 - 4 - 1, cut = 0;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(
        fcng_params_add(&p, text("N"), (fcng_str){ v, fits }), FCNG_OK);
    assert_int_equal(fcng_params_add(&p, text("M"), text("")), FCNG_OK);
    assert_int_equal(record_len(&p, 0, false, &cut, FCNG_OK), 65528);
    assert_int_equal(record_len(&p, 65528, false, &cut, FCNG_OK), 3);
    fcng_params_fini(&p);
    assert_int_equal(
        fcng_params_add(&p, text("N"), (fcng_str){ v, fits + 1 }), FCNG_OK);
    record_len(&p, 0, false, &cut, FCNG_ERR_PARAM_SIZE);
    fcng_params_fini(&p);
    free(v);
}

static void test_law1_large_pairs_are_split_only_when_asked(void **state)
{
    (void)state;
    char *v = filled(140000);
    size_t cut = 0, pair = 1 + 4 + 1 + 140000;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_add(&p, text("A"), text("b")), FCNG_OK);
    assert_int_equal(
        fcng_params_add(&p, text("N"), (fcng_str){ v, 140000 }), FCNG_OK);
    assert_int_equal(fcng_params_add(&p, text("Z"), text("z")), FCNG_OK);
    assert_int_equal(record_len(&p, 0, true, &cut, FCNG_OK), 4);
    size_t at = 4;
    assert_int_equal(record_len(&p, at, true, &cut, FCNG_OK), 65528);
    assert_int_equal(cut, pair - 65528);
    at += 65528;
    assert_int_equal(record_len(&p, at, true, &cut, FCNG_OK), 65528);
    at += 65528;
    assert_int_equal(record_len(&p, at, true, &cut, FCNG_OK),
                     pair - 2 * 65528);
    assert_int_equal(cut, 0);
    at += pair - 2 * 65528;
    assert_int_equal(record_len(&p, at, true, &cut, FCNG_OK), 4);
    fcng_params_fini(&p);
    free(v);
}

static void test_record_of_broken_pairs_is_an_error(void **state)
{
    (void)state;
    size_t len = 70000, cut = 0;
    char *v = malloc(len);
    memset(v, 0xff, len);
    fcng_str pairs = { v, len };
    assert_int_equal(fcng_params_record(pairs, true, &cut, &len),
                     FCNG_ERR_PARAM_ENCODING);
    free(v);
}

static void test_failing_memory_leaves_the_block_as_it_was(void **state)
{
    (void)state;
    char *v = filled(3000);
    for (unsigned long n = 1; n < 10; n++) {
        failalloc f;
        failalloc_init(&f, n);
        fcng_params p;
        fcng_params_init(&p, &f.mem);
        int err = FCNG_OK;
        for (int i = 0; i < 5 && err == FCNG_OK; i++) {
            size_t before = p.len;
            err = i % 2 ? fcng_params_append(&p, (fcng_str){ v, 3000 })
                        : fcng_params_add(&p, text("N"),
                                          (fcng_str){ v, 3000 });
            if (err != FCNG_OK) {
                assert_int_equal(err, FCNG_ERR_NOMEM);
                assert_int_equal(p.len, before);
            }
        }
        fcng_params_fini(&p);
        assert_int_equal(f.live, 0);
        if (f.calls < n) {
            assert_int_equal(err, FCNG_OK);
            free(v);
            return;
        }
    }
    fail_msg("more allocations than expected");
}

static void test_absurd_reserve_is_refused(void **state)
{
    (void)state;
    fcng_params p;
    fcng_params_init(&p, NULL);
    assert_int_equal(fcng_params_reserve(&p, SIZE_MAX - 5), FCNG_ERR_NOMEM);
    fcng_params_fini(&p);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_point7_short_lengths_take_one_byte),
    cmocka_unit_test(test_point7_length_128_takes_four_bytes),
    cmocka_unit_test(test_long_name),
    cmocka_unit_test(test_point10_values_are_binary_but_for_nul),
    cmocka_unit_test(test_point9_empty_and_impossible_names_are_refused),
    cmocka_unit_test(test_append_takes_encoded_pairs_as_they_are),
    cmocka_unit_test(test_point8_decoding),
    cmocka_unit_test(test_point8_lengths_beyond_the_block_are_errors),
    cmocka_unit_test(test_law1_point11_pairs_are_never_split),
    cmocka_unit_test(test_law1_a_pair_that_just_fits_is_sent),
    cmocka_unit_test(test_law1_large_pairs_are_split_only_when_asked),
    cmocka_unit_test(test_record_of_broken_pairs_is_an_error),
    cmocka_unit_test(test_failing_memory_leaves_the_block_as_it_was),
    cmocka_unit_test(test_absurd_reserve_is_refused),
};

UNIT_MAIN(tests)
