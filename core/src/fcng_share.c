/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that the processes of a server share: who takes part, which
 * addresses there are, and what is left of a process that was killed.
 */
#include "fcng_share.h"
#include "fcng_mem.h"

#define SWEEP_US 500000
#define SPINS 256 /* before the lock's owner is looked for */

size_t fcng_share_size(void)
{
    return sizeof(fcng_segment);
}

unsigned fcng_bit_next(const _Atomic uint64_t *words, unsigned slot)
{
    while (slot < FCNG_SHARE_SLOTS) {
        uint64_t word = atomic_load(&words[slot / 64]) >> (slot % 64);
        if (word == 0) {
            slot = (slot / 64 + 1) * 64;
            continue;
        }
        while ((word & 1) == 0) {
            word >>= 1;
            slot++;
        }
        return slot;
    }
    return FCNG_SHARE_SLOTS;
}

/* --- slots --- */

static void clear_tickets(fcng_entry *entry, unsigned slot)
{
    uint32_t top = atomic_load(&entry->top);
    for (uint32_t i = 0; i < top; i++) {
        uint16_t held = atomic_load(&entry->ticket[i]);
        if ((held & ~TICKET_GRANTED) == slot + 1) {
            atomic_compare_exchange_strong(&entry->ticket[i], &held, 0);
        }
    }
}

/* Its counters live on in those of the address; what it holds is free. */
static void clear_cell(fcng_entry *entry, unsigned slot)
{
    fcng_cell *cell = &entry->cell[slot];
    fcng_bit_clear(entry->waits, slot);
    fcng_bit_clear(entry->unproven, slot);
    atomic_store(&cell->wait_us, 0);
    atomic_store(&cell->unproven_us, 0);
    atomic_store(&cell->granted, 0);
    for (int i = 0; i < FCNG_GAUGES; i++) {
        atomic_store(&cell->gauge[i], 0);
    }
    for (int i = 0; i < FCNG_COUNTERS; i++) {
        atomic_fetch_add(&entry->gone[i], atomic_exchange(&cell->count[i], 0));
    }
    clear_tickets(entry, slot);
    fcng_bit_clear(entry->attached, slot);
}

static void clear_slot(fcng_segment *segment, unsigned slot)
{
    uint32_t entries = atomic_load(&segment->entries);
    for (uint32_t i = 0; i < entries; i++) {
        fcng_entry *entry = &segment->entry[i];
        if (fcng_bit_next(entry->attached, slot) == slot) {
            clear_cell(entry, slot);
        }
    }
    uint32_t owner = slot + 1;
    atomic_compare_exchange_strong(&segment->lock, &owner, 0);
}

/* Empties the slot of |pid|, which has ended.  Meanwhile the slot is ours, so
   that it would be emptied again if we died over it. */
static void reclaim(fcng_segment *segment, unsigned slot, uint32_t pid,
                    uint32_t own_pid)
{
    if (atomic_compare_exchange_strong(&segment->pid[slot], &pid, own_pid)) {
        clear_slot(segment, slot);
        atomic_store(&segment->pid[slot], 0);
    }
}

static void sweep(fcng_share *share)
{
    fcng_segment *segment = share->segment;
    uint32_t own = atomic_load(&segment->pid[share->slot]);
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        uint32_t pid = atomic_load(&segment->pid[i]);
        if (pid != 0 && pid != own && !share->host.alive(pid,
                                                         share->host.ctx)) {
            reclaim(segment, i, pid, own);
        }
    }
}

void fcng_share_sweep(fcng_share *share, uint64_t now_us)
{
    uint64_t before = atomic_load(&share->swept_us);
    if (now_us - before >= SWEEP_US
        && atomic_compare_exchange_strong(&share->swept_us, &before, now_us)) {
        sweep(share);
    }
}

/* A slot of this very pid is what an earlier process of that number left. */
static void reclaim_own(fcng_segment *segment, uint32_t pid)
{
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        if (atomic_load(&segment->pid[i]) == pid) {
            clear_slot(segment, i);
            atomic_store(&segment->pid[i], 0);
        }
    }
}

static unsigned take_slot(fcng_segment *segment, uint32_t pid)
{
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        uint32_t nobody = 0;
        if (atomic_compare_exchange_strong(&segment->pid[i], &nobody, pid)) {
            return i;
        }
    }
    return FCNG_SHARE_SLOTS;
}

/* A slot may be missing only because nobody has looked for the dead. */
static unsigned find_slot(fcng_share *share, uint32_t pid)
{
    fcng_segment *segment = share->segment;
    reclaim_own(segment, pid);
    unsigned slot = take_slot(segment, pid);
    if (slot < FCNG_SHARE_SLOTS) {
        return slot;
    }
    for (unsigned i = 0; i < FCNG_SHARE_SLOTS; i++) {
        uint32_t other = atomic_load(&segment->pid[i]);
        if (other != 0 && !share->host.alive(other, share->host.ctx)) {
            reclaim(segment, i, other, pid);
        }
    }
    return take_slot(segment, pid);
}

fcng_share *fcng_share_join(const fcng_mem *mem, void *segment, uint32_t pid,
                            const fcng_share_host *host)
{
    fcng_share *share = fcng_mem_zalloc(mem, sizeof(*share));
    if (share == NULL) {
        return NULL;
    }
    share->mem = mem;
    share->segment = segment;
    share->host = *host;
    share->slot = find_slot(share, pid);
    if (share->slot == FCNG_SHARE_SLOTS) {
        fcng_mem_release(mem, share);
        return NULL;
    }
    return share;
}

void fcng_share_leave(fcng_share *share)
{
    if (share != NULL) {
        FCNG_ASSERT(share->seats == NULL);
        clear_slot(share->segment, share->slot);
        atomic_store(&share->segment->pid[share->slot], 0);
        fcng_mem_release(share->mem, share);
    }
}

unsigned fcng_share_slot(const fcng_share *share)
{
    return share->slot;
}

/* --- addresses --- */

static void lock(fcng_share *share)
{
    fcng_segment *segment = share->segment;
    unsigned spins = 0;
    for (;;) {
        uint32_t owner = 0;
        if (atomic_compare_exchange_weak(&segment->lock, &owner,
                                         share->slot + 1)) {
            return;
        }
        if (++spins % SPINS == 0) {
            share->host.pause(share->host.ctx);
            sweep(share);
        }
    }
}

static void unlock(fcng_share *share)
{
    atomic_store(&share->segment->lock, 0);
}

static bool has_key(const fcng_entry *entry, fcng_str key)
{
    return atomic_load(&entry->key_len) == key.len
           && memcmp(entry->key, key.data, key.len) == 0;
}

static bool unused(const fcng_entry *entry)
{
    return fcng_bit_next(entry->attached, 0) == FCNG_SHARE_SLOTS;
}

/* Forgets an address that no process has any more. */
static void recycle(fcng_entry *entry)
{
    atomic_store(&entry->key_len, 0);
    atomic_store(&entry->nsamples, 0);
    fcng_mpxs_clear(&entry->mpxs);
    for (int i = 0; i < FCNG_COUNTERS; i++) {
        atomic_store(&entry->gone[i], 0);
    }
}

/* With the lock held.  NULL: the table is full. */
static fcng_entry *new_entry(fcng_segment *segment, fcng_str key)
{
    uint32_t n = atomic_load(&segment->entries);
    fcng_entry *entry = NULL;
    if (n < FCNG_SHARE_ADDRESSES) {
        entry = &segment->entry[n];
        atomic_store(&segment->entries, n + 1);
    }
    for (uint32_t i = 0; entry == NULL && i < n; i++) {
        if (unused(&segment->entry[i])) {
            entry = &segment->entry[i];
            recycle(entry);
        }
    }
    if (entry != NULL) {
        memcpy(entry->key, key.data, key.len);
        atomic_store(&entry->key_len, (uint32_t)key.len);
    }
    return entry;
}

static fcng_entry *find_entry(fcng_segment *segment, fcng_str key)
{
    uint32_t n = atomic_load(&segment->entries);
    for (uint32_t i = 0; i < n; i++) {
        if (has_key(&segment->entry[i], key)) {
            return &segment->entry[i];
        }
    }
    return new_entry(segment, key);
}

/* Two pools of a process may have the same address. */
static fcng_seat *known_seat(fcng_share *share, const fcng_entry *entry)
{
    fcng_seat *seat = share->seats;
    while (seat != NULL && seat->entry != entry) {
        seat = seat->next;
    }
    return seat;
}

static fcng_seat *new_seat(fcng_share *share, fcng_entry *entry)
{
    fcng_seat *seat = fcng_mem_zalloc(share->mem, sizeof(*seat));
    if (seat != NULL) {
        seat->share = share;
        seat->entry = entry;
        seat->cell = &entry->cell[share->slot];
        seat->next = share->seats;
        share->seats = seat;
        fcng_bit_set(entry->attached, share->slot);
    }
    return seat;
}

fcng_seat *fcng_share_attach(fcng_share *share, fcng_str key)
{
    fcng_seat *seat = NULL;
    key.len = FCNG_MIN(key.len, FCNG_SHARE_KEY - 1);
    lock(share);
    fcng_entry *entry = find_entry(share->segment, key);
    if (entry != NULL) {
        seat = known_seat(share, entry);
        seat = seat != NULL ? seat : new_seat(share, entry);
    }
    if (seat != NULL) {
        seat->users++;
    }
    unlock(share);
    return seat;
}

void fcng_share_detach(fcng_seat *seat)
{
    if (seat == NULL) {
        return;
    }
    fcng_share *share = seat->share;
    lock(share);
    if (--seat->users == 0) {
        fcng_seat **at = &share->seats;
        while (*at != seat) {
            at = &(*at)->next;
        }
        *at = seat->next;
        clear_cell(seat->entry, share->slot);
        fcng_mem_release(share->mem, seat);
    }
    unlock(share);
}

/* --- what it looks like --- */

uint32_t fcng_share_busy(const fcng_seat *seat)
{
    const fcng_entry *entry = seat->entry;
    uint32_t n = 0;
    unsigned slot = fcng_bit_next(entry->attached, 0);
    for (; slot < FCNG_SHARE_SLOTS;
         slot = fcng_bit_next(entry->attached, slot + 1)) {
        const fcng_cell *cell = &entry->cell[slot];
        n += atomic_load(&cell->gauge[FCNG_GAUGE_ACTIVE])
             + atomic_load(&cell->gauge[FCNG_GAUGE_WAITING]);
    }
    return n;
}

static void add_cell(fcng_share_row *row, const fcng_cell *cell)
{
    for (int i = 0; i < FCNG_GAUGES; i++) {
        row->gauge[i] += atomic_load(&cell->gauge[i]);
    }
    for (int i = 0; i < FCNG_COUNTERS; i++) {
        row->count[i] += atomic_load(&cell->count[i]);
    }
    row->processes++;
}

static void read_entry(const fcng_entry *entry, fcng_share_row *row)
{
    *row = (fcng_share_row){ .processes = 0 };
    memcpy(row->address, entry->key, atomic_load(&entry->key_len));
    for (int i = 0; i < FCNG_COUNTERS; i++) {
        row->count[i] = atomic_load(&entry->gone[i]);
    }
    unsigned slot = fcng_bit_next(entry->attached, 0);
    while (slot < FCNG_SHARE_SLOTS) {
        add_cell(row, &entry->cell[slot]);
        slot = fcng_bit_next(entry->attached, slot + 1);
    }
}

bool fcng_share_read(fcng_share *share, unsigned index, fcng_share_row *row)
{
    fcng_segment *segment = share->segment;
    sweep(share);
    if (index >= atomic_load(&segment->entries)) {
        return false;
    }
    lock(share);
    read_entry(&segment->entry[index], row);
    unlock(share);
    return true;
}
