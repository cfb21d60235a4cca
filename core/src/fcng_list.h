/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list whose links lie in its members: no memory of its own, and a member
 * leaves from wherever it stands.  A zeroed link is in no list.
 */
#ifndef FCNG_LIST_H
#define FCNG_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fcng_link {
    struct fcng_link *next, *prev;
} fcng_link;

/* Both ends: the first member is head.next. */
typedef struct fcng_list {
    fcng_link head;
} fcng_list;

/* The |type| whose |member| is the link that |link| points to. */
#define FCNG_LIST_OWNER(link, type, member)                                   \
    ((type *)(void *)((char *)(link) - offsetof(type, member)))

static inline void fcng_list_init(fcng_list *list)
{
    list->head.next = list->head.prev = &list->head;
}

static inline bool fcng_list_empty(const fcng_list *list)
{
    return list->head.next == &list->head;
}

static inline bool fcng_list_has(const fcng_link *link)
{
    return link->next != NULL;
}

static inline void fcng_list_append(fcng_list *list, fcng_link *link)
{
    link->next = &list->head;
    link->prev = list->head.prev;
    link->prev->next = link;
    list->head.prev = link;
}

/* Also of a link that is in no list. */
static inline void fcng_list_remove(fcng_link *link)
{
    if (fcng_list_has(link)) {
        link->prev->next = link->next;
        link->next->prev = link->prev;
        link->next = link->prev = NULL;
    }
}

#endif
