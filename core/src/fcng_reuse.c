/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * May another request follow on a connection: now, later, never?
 * Spec: 3.5, 5.4.
 */
#include "fcng_conn.h"
#include "fcng_int.h"

bool fcng_conn_can_submit(const fcng_conn *conn)
{
    return conn->error == FCNG_OK && !conn->spoiled
           && (conn->shared ? !fcng_mux_full(&conn->mux)
                            : conn->active == NULL);
}

bool fcng_conn_reusable(const fcng_conn *conn)
{
    return conn->options.keep_conn
           && conn->error == FCNG_OK
           && !conn->spoiled        /* aborted, ended early, stray records */
           && fcng_conn_active(conn) == 0
           && conn->mux.zombies == 0
           && conn->in.len == 0
           && conn->reader.have == 0
           && conn->reader.state != FCNG_READER_CONTENT
           && conn->reader.padding_left == 0
           && fcng_writer_empty(&conn->writer);
}

size_t fcng_conn_active(const fcng_conn *conn)
{
    if (conn->shared) {
        return conn->mux.active;
    }
    return conn->active != NULL && !conn->active->over ? 1 : 0;
}

size_t fcng_conn_zombies(const fcng_conn *conn)
{
    return conn->mux.zombies;
}

bool fcng_conn_retired(const fcng_conn *conn)
{
    return conn->error != FCNG_OK || conn->spoiled;
}

bool fcng_conn_disproved(const fcng_conn *conn)
{
    return conn->disproved;
}

bool fcng_conn_doubted(const fcng_conn *conn)
{
    return conn->doubted;
}

uint64_t fcng_conn_stray(const fcng_conn *conn)
{
    return conn->stray;
}

uint64_t fcng_conn_requests(const fcng_conn *conn)
{
    return conn->requests;
}

uint64_t fcng_conn_deadline(const fcng_conn *conn)
{
    return conn->shared && !fcng_conn_retired(conn) ? conn->mux.deadline_us
                                                    : FCNG_NEVER;
}

void fcng_conn_expire(fcng_conn *conn, uint64_t now_us)
{
    conn->now_us = now_us;
    if (fcng_conn_deadline(conn) <= now_us) {
        conn->spoiled = true;
    }
}
