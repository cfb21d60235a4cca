/* SPDX-License-Identifier: BSD-2-Clause */
/* What a connection is made of, for the files that are about connections. */
#ifndef FCNG_CONN_H
#define FCNG_CONN_H

#include "fcng_mux.h"
#include "fcng_reader.h"
#include "fcng_writer.h"

#define FCNG_VALUES_MAX 512

struct fcng_conn {
    const fcng_mem *mem;
    fcng_conn_options options;
    bool shared;
    fcng_request *active; /* exclusive: submitted and not released, or NULL */
    fcng_request *spare;  /* kept for the next request; shared: several */
    fcng_request *reading; /* whose record is read; NULL: nobody's */
    fcng_request *overrun; /* shared: has got too much, perhaps */
    uint64_t requests;
    uint64_t stray;       /* records that nobody asked for */
    uint64_t now_us;      /* shared: as told last */
    uint16_t last_id;
    int error;            /* first failure; sticks */
    bool spoiled;         /* works, but must not serve another request */
    bool disproved;       /* shared, and should not have been */
    bool doubted;         /* perhaps the same */
    bool judged;          /* the pool knows of either */
    uint64_t ended;       /* shared: END_REQUESTs */
    fcng_str in;          /* fed, not consumed */
    fcng_reader reader;
    size_t small_len;     /* content of a discrete record so far */
    char small[FCNG_VALUES_MAX];
    fcng_writer writer;
    fcng_mux mux;         /* shared */
};

#endif
