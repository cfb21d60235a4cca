/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of a pool's connections. */
#include "fcng_links.h"

void fcng_links_push(fcng_links *list, fcng_pool_conn *conn)
{
    conn->prev = NULL;
    conn->next = list->head;
    if (list->head != NULL) {
        list->head->prev = conn;
    } else {
        list->tail = conn;
    }
    list->head = conn;
}

void fcng_links_remove(fcng_links *list, fcng_pool_conn *conn)
{
    *(conn->prev != NULL ? &conn->prev->next : &list->head) = conn->next;
    *(conn->next != NULL ? &conn->next->prev : &list->tail) = conn->prev;
    conn->next = NULL;
    conn->prev = NULL;
}

void fcng_links_append_fresh(fcng_links *list, fcng_pool_conn *conn)
{
    conn->fresh_next = NULL;
    conn->fresh_prev = list->tail;
    *(list->tail != NULL ? &list->tail->fresh_next : &list->head) = conn;
    list->tail = conn;
}

void fcng_links_remove_fresh(fcng_links *list, fcng_pool_conn *conn)
{
    *(conn->fresh_prev != NULL ? &conn->fresh_prev->fresh_next : &list->head)
        = conn->fresh_next;
    *(conn->fresh_next != NULL ? &conn->fresh_next->fresh_prev : &list->tail)
        = conn->fresh_prev;
}
