/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One address as all processes of the server see it: tickets for connections,
 * who waits since when, whose connection got no byte yet.
 *
 * Whoever is to wait first says so and then looks for a ticket once more;
 * whoever frees a ticket looks for waiters afterwards.  So one of the two sees
 * the other (all of it is sequentially consistent).
 */
#include "fcng_seat.h"

#define SPARE_US 10000

static uint16_t own(const fcng_seat *seat)
{
    return (uint16_t)(seat->share->slot + 1);
}

static void wake(const fcng_seat *seat, unsigned slot)
{
    const fcng_share_host *host = &seat->share->host;
    if (host->wake != NULL) {
        host->wake(slot, host->ctx);
    }
}

/* Over all processes. */
static uint32_t sum_gauge(const fcng_seat *seat, enum fcng_gauge gauge)
{
    const fcng_entry *entry = seat->entry;
    uint32_t sum = 0;
    unsigned slot = fcng_bit_next(entry->attached, 0);
    while (slot < FCNG_SHARE_SLOTS) {
        sum += atomic_load(&entry->cell[slot].gauge[gauge]);
        slot = fcng_bit_next(entry->attached, slot + 1);
    }
    return sum;
}

/* --- who waits --- */

/* What the pool itself has published: its oldest request waits since |own_us|
   (0: none does).  Another pool of this process may have, too. */
static bool is_ours(const fcng_seat *seat, unsigned slot, uint64_t since_us,
                    uint64_t own_us)
{
    return slot == seat->share->slot && own_us != 0 && since_us >= own_us;
}

/* A place was handed to |slot|, which has not come for it yet.  The number may
   be one of a process that was killed while it did so. */
static bool has_grant(const fcng_entry *entry, unsigned slot)
{
    if (atomic_load(&entry->cell[slot].granted) == 0) {
        return false;
    }
    uint32_t i = 0, top = atomic_load(&entry->top);
    while (i < top
           && atomic_load(&entry->ticket[i])
              != ((slot + 1) | TICKET_GRANTED)) {
        i++;
    }
    return i < top;
}

/* The slot of whoever else waits longest, or FCNG_SHARE_SLOTS.  One that was
   given a place and has not come for it yet is not asked for the next: it may
   have nobody else who has waited as long. */
static unsigned oldest_waiter(const fcng_seat *seat, uint64_t own_us,
                              uint64_t *since_us)
{
    const fcng_entry *entry = seat->entry;
    unsigned oldest = FCNG_SHARE_SLOTS;
    if (!fcng_bit_any(entry->waits)) {
        return oldest;
    }
    unsigned slot = fcng_bit_next(entry->waits, 0);
    for (; slot < FCNG_SHARE_SLOTS;
         slot = fcng_bit_next(entry->waits, slot + 1)) {
        uint64_t since = atomic_load(&entry->cell[slot].wait_us);
        if (since != 0 && !is_ours(seat, slot, since, own_us)
            && !has_grant(entry, slot)
            && (oldest == FCNG_SHARE_SLOTS || since < *since_us)) {
            oldest = slot;
            *since_us = since;
        }
    }
    return oldest;
}

static uint32_t tickets_taken(const fcng_entry *entry)
{
    uint32_t top = atomic_load(&entry->top), n = 0;
    for (uint32_t i = 0; i < top; i++) {
        n += atomic_load_explicit(&entry->ticket[i], memory_order_relaxed)
             != 0;
    }
    return n;
}

/* How long it will take to serve all who wait now. */
static uint64_t queue_us(const fcng_seat *seat)
{
    const fcng_entry *entry = seat->entry;
    uint64_t waiting = 0, connections = tickets_taken(entry);
    unsigned slot = fcng_bit_next(entry->waits, 0);
    while (slot < FCNG_SHARE_SLOTS) {
        waiting += atomic_load(&entry->cell[slot].gauge[FCNG_GAUGE_WAITING]);
        slot = fcng_bit_next(entry->waits, slot + 1);
    }
    uint64_t each = atomic_load(&seat->median_us);
    return each > 0 && connections > 0 ? waiting * each / connections
                                       : FCNG_NEVER;
}

/* |waiter| (since |other_us|) is to be served before ours of |since_us|. */
static bool goes_first(const fcng_seat *seat, unsigned waiter,
                       uint64_t other_us, uint64_t since_us)
{
    if (waiter == FCNG_SHARE_SLOTS) {
        return false;
    }
    return since_us == 0 || other_us + FCNG_SEAT_PATIENCE_US < since_us
           || (other_us < since_us && queue_us(seat) > FCNG_SEAT_LONG_US);
}

bool fcng_seat_must_give(const fcng_seat *seat, uint64_t since_us)
{
    uint64_t other_us = 0;
    if (seat == NULL) {
        return false;
    }
    unsigned waiter = oldest_waiter(seat, since_us, &other_us);
    return goes_first(seat, waiter, other_us, since_us);
}

static void publish(fcng_seat *seat, _Atomic uint64_t *since,
                    _Atomic uint64_t *bits, uint64_t since_us)
{
    if (atomic_load_explicit(since, memory_order_relaxed) == since_us) {
        return;
    }
    atomic_store(since, since_us);
    if (since_us != 0) {
        fcng_bit_set(bits, seat->share->slot);
    } else {
        fcng_bit_clear(bits, seat->share->slot);
    }
}

void fcng_seat_waits(fcng_seat *seat, uint64_t since_us)
{
    if (seat != NULL) {
        publish(seat, &seat->cell->wait_us, seat->entry->waits, since_us);
    }
}

void fcng_seat_unproven(fcng_seat *seat, uint64_t since_us)
{
    if (seat != NULL) {
        publish(seat, &seat->cell->unproven_us, seat->entry->unproven,
                since_us);
    }
}

void fcng_seat_sweep(fcng_seat *seat, uint64_t now_us)
{
    if (seat != NULL) {
        fcng_share_sweep(seat->share, now_us);
    }
}

uint64_t fcng_seat_others_unproven(const fcng_seat *seat)
{
    uint64_t oldest = 0;
    if (seat == NULL || !fcng_bit_any(seat->entry->unproven)) {
        return 0;
    }
    const fcng_entry *entry = seat->entry;
    unsigned slot = fcng_bit_next(entry->unproven, 0);
    for (; slot < FCNG_SHARE_SLOTS;
         slot = fcng_bit_next(entry->unproven, slot + 1)) {
        uint64_t since = atomic_load(&entry->cell[slot].unproven_us);
        if (slot != seat->share->slot && since != 0
            && (oldest == 0 || since < oldest)) {
            oldest = since;
        }
    }
    return oldest;
}

/* --- more than is needed --- */

/* Notes that |n| requests were under way at once; the most of this second and
   the one before. */
static uint32_t note_peak(fcng_entry *entry, uint32_t n, uint64_t now_us)
{
    uint32_t second = (uint32_t)(now_us / 1000000);
    _Atomic uint64_t *this = &entry->peak[second % 2];
    uint64_t before = atomic_load(&entry->peak[(second + 1) % 2]);
    uint64_t most = atomic_load(this);
    uint64_t ours = (uint64_t)second << 32 | n;
    while (most < ours
           && !atomic_compare_exchange_weak(this, &most, ours)) {
    }
    uint32_t peak = (uint32_t)FCNG_MAX(most, ours);
    return before >> 32 == second - 1 ? FCNG_MAX(peak, (uint32_t)before)
                                      : peak;
}

/* Counting touches every process' memory: for a connection that is kept
   already only now and then. */
static bool is_counted(fcng_seat *seat, bool is_new, uint64_t now_us)
{
    if (!is_new && now_us - atomic_load(&seat->spared_us) < SPARE_US) {
        return false;
    }
    atomic_store(&seat->spared_us, now_us);
    return true;
}

bool fcng_seat_is_spare(fcng_seat *seat, const fcng_pool_options *options,
                        bool is_new, uint64_t now_us)
{
    uint32_t told = UINT32_C(1) << FCNG_WORD_MAX_IDLE
                    | UINT32_C(1) << FCNG_WORD_IDLE_TIMEOUT
                    | UINT32_C(1) << FCNG_WORD_MIN_IDLE;
    if (seat == NULL || (options->set & told) != 0
        || !is_counted(seat, is_new, now_us)) {
        return false;
    }
    uint32_t idle = sum_gauge(seat, FCNG_GAUGE_IDLE);
    uint32_t active = sum_gauge(seat, FCNG_GAUGE_ACTIVE) + 1;
    return idle + active > note_peak(seat->entry, active, now_us);
}

void fcng_seat_ring(fcng_seat *seat)
{
    fcng_entry *entry = seat->entry;
    unsigned slot = fcng_bit_next(entry->attached, 0);
    for (; slot < FCNG_SHARE_SLOTS;
         slot = fcng_bit_next(entry->attached, slot + 1)) {
        if (atomic_load(&entry->cell[slot].gauge[FCNG_GAUGE_IDLE]) > 0) {
            wake(seat, slot);
        }
    }
}

uint32_t fcng_seat_idle(const fcng_seat *seat)
{
    return seat != NULL ? sum_gauge(seat, FCNG_GAUGE_IDLE) : 0;
}

static uint32_t share_of(const fcng_seat *seat, uint32_t least)
{
    uint32_t processes = 0;
    unsigned slot = fcng_bit_next(seat->entry->attached, 0);
    while (slot < FCNG_SHARE_SLOTS) {
        processes++;
        slot = fcng_bit_next(seat->entry->attached, slot + 1);
    }
    return least / processes + (least % processes != 0);
}

/* Counted first, for others may be about to do the same. */
bool fcng_seat_claim_idle(fcng_seat *seat, uint32_t least, uint32_t own,
                          bool spread)
{
    if (seat == NULL) {
        return own < least;
    }
    if (spread && own >= share_of(seat, least)) {
        return false;
    }
    fcng_seat_gauge(seat, FCNG_GAUGE_IDLE, 1);
    if (sum_gauge(seat, FCNG_GAUGE_IDLE) <= least) {
        return true;
    }
    fcng_seat_gauge(seat, FCNG_GAUGE_IDLE, -1);
    return false;
}

/* --- tickets --- */

/* Changes the first ticket below |end| that is |from|; its number, or -1. */
static int change_ticket(fcng_entry *entry, uint32_t end, uint16_t from,
                         uint16_t to)
{
    for (uint32_t i = 0; i < end; i++) {
        uint16_t seen = atomic_load(&entry->ticket[i]);
        if (seen == from
            && atomic_compare_exchange_strong(&entry->ticket[i], &seen, to)) {
            return (int)i;
        }
    }
    return -1;
}

static void raise_top(fcng_entry *entry, uint32_t top)
{
    uint32_t before = atomic_load(&entry->top);
    while (before < top
           && !atomic_compare_exchange_weak(&entry->top, &before, top)) {
    }
}

static bool take_granted(fcng_seat *seat)
{
    fcng_entry *entry = seat->entry;
    uint16_t granted = (uint16_t)(own(seat) | TICKET_GRANTED);
    if (atomic_load(&seat->cell->granted) == 0
        || change_ticket(entry, atomic_load(&entry->top), granted, own(seat))
           < 0) {
        return false;
    }
    atomic_fetch_sub(&seat->cell->granted, 1);
    return true;
}

/*
 * A limit that became smaller finds tickets above it taken: they count too,
 * and since two processes may take the last one at the same time, both count
 * again afterwards.
 */
static bool take_free(fcng_seat *seat, uint32_t cap)
{
    fcng_entry *entry = seat->entry;
    uint32_t end = FCNG_MIN(cap, FCNG_SHARE_TICKETS);
    raise_top(entry, end);
    if (atomic_load(&entry->top) > end && tickets_taken(entry) >= end) {
        return false;
    }
    int taken = change_ticket(entry, end, 0, own(seat));
    if (taken >= 0 && atomic_load(&entry->top) > end
        && tickets_taken(entry) > end) {
        atomic_store(&entry->ticket[taken], 0);
        return false;
    }
    return taken >= 0;
}

/* Without a limit a ticket only tells others, who may have one, of us. */
static void take_any(fcng_seat *seat)
{
    fcng_entry *entry = seat->entry;
    uint32_t top = atomic_load(&entry->top);
    if (change_ticket(entry, top, 0, own(seat)) < 0
        && top < FCNG_SHARE_TICKETS) {
        raise_top(entry, FCNG_MIN(top + 64, FCNG_SHARE_TICKETS));
        change_ticket(entry, FCNG_SHARE_TICKETS, 0, own(seat));
    }
}

bool fcng_seat_take(fcng_seat *seat, uint32_t cap, uint64_t since_us)
{
    if (seat == NULL || take_granted(seat)) {
        return true;
    }
    if (cap == 0) {
        take_any(seat);
        return true;
    }
    return !fcng_seat_must_give(seat, since_us) && take_free(seat, cap);
}

bool fcng_seat_has_room(const fcng_seat *seat, uint32_t cap, uint64_t since_us)
{
    return seat == NULL || cap == 0 || atomic_load(&seat->cell->granted) > 0
           || (!fcng_seat_must_give(seat, since_us)
               && tickets_taken(seat->entry) < cap);
}

/* The number goes up before the ticket changes: whoever sees the ticket finds
   the number, and a number without a ticket does no harm. */
static bool grant(fcng_seat *seat, unsigned slot, uint16_t from)
{
    fcng_entry *entry = seat->entry;
    uint16_t to = (uint16_t)((slot + 1) | TICKET_GRANTED);
    atomic_fetch_add(&entry->cell[slot].granted, 1);
    if (change_ticket(entry, atomic_load(&entry->top), from, to) < 0) {
        atomic_fetch_sub(&entry->cell[slot].granted, 1);
        return false;
    }
    wake(seat, slot);
    return true;
}

static bool give_back(fcng_seat *seat, uint16_t from, uint64_t since_us)
{
    fcng_entry *entry = seat->entry;
    uint64_t other_us = 0;
    unsigned waiter = oldest_waiter(seat, since_us, &other_us);
    if (goes_first(seat, waiter, other_us, since_us)) {
        return grant(seat, waiter, from);
    }
    if (change_ticket(entry, atomic_load(&entry->top), from, 0) < 0) {
        return false;
    }
    waiter = oldest_waiter(seat, since_us, &other_us);
    if (since_us == 0 && waiter < FCNG_SHARE_SLOTS) {
        wake(seat, waiter);
    }
    return true;
}

void fcng_seat_give_back(fcng_seat *seat, uint64_t since_us)
{
    if (seat != NULL) {
        give_back(seat, own(seat), since_us);
    }
}

void fcng_seat_decline(fcng_seat *seat)
{
    if (seat == NULL || atomic_load(&seat->cell->wait_us) != 0) {
        return; /* or it is for another pool of this process */
    }
    uint16_t granted = (uint16_t)(own(seat) | TICKET_GRANTED);
    while (atomic_load(&seat->cell->granted) > 0
           && give_back(seat, granted, 0)) {
        atomic_fetch_sub(&seat->cell->granted, 1);
    }
}

/* --- numbers --- */

void fcng_seat_sample(fcng_seat *seat, uint32_t us)
{
    if (seat == NULL) {
        return;
    }
    fcng_entry *entry = seat->entry;
    uint32_t n = atomic_fetch_add(&entry->nsamples, 1);
    atomic_store_explicit(&entry->sample[n % FCNG_SAMPLES], us,
                          memory_order_relaxed);
}

void fcng_seat_median(fcng_seat *seat, fcng_median *median)
{
    const fcng_entry *entry = seat->entry;
    uint32_t sample[FCNG_SAMPLES] = { 0 };
    uint32_t n = FCNG_MIN(atomic_load(&entry->nsamples), FCNG_SAMPLES);
    for (uint32_t i = 0; i < n; i++) {
        sample[i] = atomic_load_explicit(&entry->sample[i],
                                         memory_order_relaxed);
    }
    fcng_median_update(median, sample, n);
    atomic_store(&seat->median_us, n > 0 ? median->median + 1 : 0);
}

void fcng_seat_gauge(fcng_seat *seat, enum fcng_gauge gauge, int by)
{
    if (seat != NULL) {
        atomic_fetch_add(&seat->cell->gauge[gauge], (uint32_t)by);
    }
}

void fcng_seat_count(fcng_seat *seat, enum fcng_counter counter)
{
    if (seat != NULL) {
        atomic_fetch_add_explicit(&seat->cell->count[counter], 1,
                                  memory_order_relaxed);
    }
}
