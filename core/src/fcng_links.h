/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of a pool's connections; each is in one of each kind at most. */
#ifndef FCNG_LINKS_H
#define FCNG_LINKS_H

#include <fcng/fcng.h>

typedef struct fcng_links {
    fcng_pool_conn *head, *tail;
} fcng_links;

/* By |next| and |prev|: idle ones, busy ones. */
void fcng_links_push(fcng_links *list, fcng_pool_conn *conn);
void fcng_links_remove(fcng_links *list, fcng_pool_conn *conn);

/* By |fresh_next| and |fresh_prev|: those that have got no byte yet. */
void fcng_links_append_fresh(fcng_links *list, fcng_pool_conn *conn);
void fcng_links_remove_fresh(fcng_links *list, fcng_pool_conn *conn);

#endif
