/* SPDX-License-Identifier: BSD-2-Clause */
/* The status page: what every member says, and addresses as they come. */
#include "unit.h"

static bool alive(uint32_t pid, void *ctx)
{
    (void)pid;
    (void)ctx;
    return true;
}

static void no_pause(void *ctx)
{
    (void)ctx;
}

static void page(fcng_share *share, bytes *all)
{
    fcng_status status;
    char piece[FCNG_STATUS_PIECE];
    size_t len;
    fcng_status_init(&status, share);
    while ((len = fcng_status_next(&status, piece)) > 0) {
        assert_int_equal(strlen(piece), len);
        bytes_add(all, (fcng_str){ piece, len });
    }
    assert_int_equal(fcng_status_next(&status, piece), 0);
    bytes_add(all, BYTES("\0"));
}

static void test_no_share(void **state)
{
    (void)state;
    bytes all = { 0 };
    page(NULL, &all);
    assert_string_equal(all.data, "{\"version\":\"" FCNG_VERSION
                                  "\",\"addresses\":[]}\n");
    bytes_free(&all);
}

static void test_two_addresses(void **state)
{
    (void)state;
    void *memory = aligned_alloc(64, fcng_share_size());
    memset(memory, 0, fcng_share_size());
    fcng_share_host host = { alive, NULL, no_pause, NULL };
    fcng_share *share = fcng_share_join(NULL, memory, 1, &host);
    fcng_seat *a = fcng_share_attach(share, text("unix:/a\"b\\c"));
    fcng_seat *b = fcng_share_attach(share, text("127.0.0.1:9000"));
    fcng_pool_options o;
    fcng_pool_options_init(&o);
    fcng_pool *pool = fcng_pool_new(NULL, &o);
    fcng_pool_share(pool, b);
    fcng_pool_conn conn = { 0 }, *got;
    assert_int_equal(fcng_pool_acquire(pool, NULL, false, 1, &got),
                     FCNG_POOL_OPEN);
    fcng_pool_add(pool, &conn, FCNG_POOL_ANY, 1);
    fcng_pool_count(pool, fcng_counter_of(FCNG_OK));
    fcng_pool_count(pool, fcng_counter_of(FCNG_ERR_TIMEOUT));
    fcng_pool_count(pool, fcng_counter_of(FCNG_ERR_NOMEM));
    assert_true(fcng_pool_release(pool, &conn, true, 2));
    bytes all = { 0 };
    page(share, &all);
    assert_string_equal(
        all.data,
        "{\"version\":\"" FCNG_VERSION "\",\"addresses\":[\n"
        "{\"address\":\"unix:/a\\\"b\\\\c\",\"processes\":1,"
        "\"connections\":0,\"connecting\":0,\"idle\":0,"
        "\"waiting\":0,\"active\":0,"
        "\"streams\":0,\"busy\":0,\"opened\":0,\"reused\":0,\"shared\":0,"
        "\"requests\":0,\"complete\":0,"
        "\"aborted\":0,\"retried\":0,\"stale\":0,\"queued\":0,"
        "\"queue_full\":0,\"queue_timeout\":0,\"connect_errors\":0,"
        "\"timeouts\":0,\"closed_early\":0,\"protocol_errors\":0,"
        "\"refused\":0,\"bad_heads\":0,\"other_errors\":0},\n"
        "{\"address\":\"127.0.0.1:9000\",\"processes\":1,"
        "\"connections\":1,\"connecting\":0,\"idle\":1,"
        "\"waiting\":0,\"active\":0,"
        "\"streams\":0,\"busy\":0,\"opened\":1,\"reused\":0,\"shared\":0,"
        "\"requests\":1,\"complete\":1,"
        "\"aborted\":0,\"retried\":0,\"stale\":0,\"queued\":0,"
        "\"queue_full\":0,\"queue_timeout\":0,\"connect_errors\":0,"
        "\"timeouts\":1,\"closed_early\":0,\"protocol_errors\":0,"
        "\"refused\":0,\"bad_heads\":0,\"other_errors\":1}]}\n");
    bytes_free(&all);
    assert_ptr_equal(fcng_pool_close_idle(pool), &conn);
    fcng_pool_del(pool);
    fcng_share_detach(a);
    fcng_share_detach(b);
    fcng_share_leave(share);
    free(memory);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_no_share),
    cmocka_unit_test(test_two_addresses),
};

UNIT_MAIN(tests)
