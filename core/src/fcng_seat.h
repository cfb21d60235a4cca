/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pool asks and tells the other processes about its address.  Nothing
 * here waits for another process.  A NULL seat is a process that is alone.
 */
#ifndef FCNG_SEAT_H
#define FCNG_SEAT_H

#include "fcng_share.h"

/*
 * A request of another process is served before one of ours that came later;
 * handing a connection's place over costs a new connection, so while queues
 * are short ours is served first unless it came PATIENCE later.  Queues are
 * long when those who wait will be at it for LONG.
 */
#define FCNG_SEAT_PATIENCE_US 20000
#define FCNG_SEAT_LONG_US 100000

/*
 * Takes a ticket for a new connection of a request that has waited since
 * |since_us|.  False: |cap| connections are open (0: no limit), or somebody
 * else is to be served first.
 */
bool fcng_seat_take(fcng_seat *seat, uint32_t cap, uint64_t since_us);

/* Whether fcng_seat_take() would succeed. */
bool fcng_seat_has_room(const fcng_seat *seat, uint32_t cap,
                        uint64_t since_us);

/*
 * Gives a ticket back, a connection being closed: to the process that has
 * waited longest if our oldest request (|since_us|; 0: none waits) came much
 * later, and else to all.
 */
void fcng_seat_give_back(fcng_seat *seat, uint64_t since_us);

/* Gives back what others handed to us and nobody here needs. */
void fcng_seat_decline(fcng_seat *seat);

/* Another process has a request that is to be served before one of ours that
   waits since |since_us| (0: none does). */
bool fcng_seat_must_give(const fcng_seat *seat, uint64_t since_us);

/* Our oldest request waits since |since_us|; 0: none waits. */
void fcng_seat_waits(fcng_seat *seat, uint64_t since_us);

/* Our oldest connection without a byte was used at |since_us|; 0: none. */
void fcng_seat_unproven(fcng_seat *seat, uint64_t since_us);

/* The same of the other processes. */
uint64_t fcng_seat_others_unproven(const fcng_seat *seat);

/*
 * Whether the connection of a request that is over would be one too many: with
 * it more would be open, over all processes, than there were requests at once
 * lately.  |is_new|: the request was its first.  What the operator has set
 * (max_idle, idle_timeout, min_idle) is taken as it is said.
 */
bool fcng_seat_is_spare(fcng_seat *seat, const fcng_pool_options *options,
                        bool is_new, uint64_t now_us);

/* Wakes those who hold idle connections. */
void fcng_seat_ring(fcng_seat *seat);

/*
 * Counts one more idle connection, which is to be opened, if there are less
 * than |least| in all processes; |own|: this one's.  |spread|: and if this
 * process has less than its share.
 */
bool fcng_seat_claim_idle(fcng_seat *seat, uint32_t least, uint32_t own,
                          bool spread);

/* How many idle connections there are in all processes. */
uint32_t fcng_seat_idle(const fcng_seat *seat);

/* Looks for processes that have ended, now and then. */
void fcng_seat_sweep(fcng_seat *seat, uint64_t now_us);

/* A first byte came after |us|. */
void fcng_seat_sample(fcng_seat *seat, uint32_t us);

/* Updates |median| with the samples of all processes. */
void fcng_seat_median(fcng_seat *seat, fcng_median *median);

void fcng_seat_gauge(fcng_seat *seat, enum fcng_gauge gauge, int by);
void fcng_seat_count(fcng_seat *seat, enum fcng_counter counter);

#endif
