/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What has come for a request on a shared connection before its thread takes
 * it: blocks in memory, and behind them, when that is much, a temporary file.
 * So a client that is slow holds up nobody else on its connection.
 *
 * Blocks come before the file; while the file holds anything, what comes goes
 * there.  One thread adds, another takes; both hold the backend's mutex, but
 * for fastcgi_ng_held_read(), whose bytes nobody else touches.
 */
#include "fastcgi_ng.h"

#include <errno.h>
#include <unistd.h>

#define SMALL 2048
#define LARGE 16384
#define KEPT 64 /* large ones */

void fastcgi_ng_held_init(fastcgi_ng_held_t *held, fastcgi_ng_kept_t *kept)
{
    memset(held, 0, sizeof(*held));
    held->kept = kept;
    held->fd = -1;
}

void fastcgi_ng_held_free(fastcgi_ng_held_t *held)
{
    fastcgi_ng_blocks_free(held->first);
    if (held->fd >= 0) {
        close(held->fd);
    }
    fastcgi_ng_held_init(held, held->kept);
}

void fastcgi_ng_blocks_free(fastcgi_ng_block_t *block)
{
    while (block != NULL) {
        fastcgi_ng_block_t *next = block->next;

        free(block);
        block = next;
    }
}

void fastcgi_ng_blocks_keep(fastcgi_ng_kept_t *kept,
                            fastcgi_ng_block_t *block)
{
    while (block != NULL) {
        fastcgi_ng_block_t *next = block->next;

        if (block->size == LARGE && kept->n < KEPT) {
            block->next = kept->first;
            kept->first = block;
            kept->n++;
        }
        else {
            free(block);
        }
        block = next;
    }
}

void fastcgi_ng_kept_free(fastcgi_ng_kept_t *kept)
{
    fastcgi_ng_blocks_free(kept->first);
    kept->first = NULL;
    kept->n = 0;
}

static fastcgi_ng_block_t *add_block(fastcgi_ng_held_t *held, apr_size_t len)
{
    apr_size_t size = len <= SMALL && held->last == NULL ? SMALL : LARGE;
    fastcgi_ng_block_t *block = held->kept->first;

    if (size == LARGE && block != NULL) {
        held->kept->first = block->next;
        held->kept->n--;
    }
    else {
        block = malloc(sizeof(*block) + size);
    }
    if (block == NULL) {
        return NULL;
    }
    block->next = NULL;
    block->len = 0;
    block->size = size;
    *(held->last != NULL ? &held->last->next : &held->first) = block;
    held->last = block;
    return block;
}

static apr_status_t add_memory(fastcgi_ng_held_t *held, fcng_str bytes)
{
    fastcgi_ng_block_t *block = held->last;

    while (bytes.len > 0) {
        apr_size_t room = block != NULL ? block->size - block->len : 0;
        apr_size_t len = bytes.len < room ? bytes.len : room;

        if (room == 0) {
            block = add_block(held, bytes.len);
            if (block == NULL) {
                return APR_ENOMEM;
            }
            continue;
        }
        memcpy(block->data + block->len, bytes.data, len);
        block->len += len;
        bytes.data += len;
        bytes.len -= len;
    }
    return APR_SUCCESS;
}

static apr_status_t add_file(fastcgi_ng_held_t *held, fcng_str bytes)
{
    if (held->fd < 0) {
        held->fd = fastcgi_ng_spool_file();
    }
    while (held->fd >= 0 && bytes.len > 0) {
        ssize_t n = pwrite(held->fd, bytes.data, bytes.len, held->in);

        if (n < 0 && errno != EINTR) {
            break;
        }
        if (n > 0) {
            bytes.data += n;
            bytes.len -= (size_t)n;
            held->in += n;
        }
    }
    return bytes.len == 0 ? APR_SUCCESS : APR_FROM_OS_ERROR(errno);
}

bool fastcgi_ng_held_spills(const fastcgi_ng_held_t *held)
{
    return held->in > held->out;
}

apr_status_t fastcgi_ng_held_add(fastcgi_ng_held_t *held, fcng_str bytes,
                                 bool spill)
{
    return spill ? add_file(held, bytes) : add_memory(held, bytes);
}

fastcgi_ng_block_t *fastcgi_ng_held_take(fastcgi_ng_held_t *held)
{
    fastcgi_ng_block_t *first = held->first;

    held->first = held->last = NULL;
    return first;
}

apr_size_t fastcgi_ng_held_read(const fastcgi_ng_held_t *held, char *buf,
                                apr_size_t len)
{
    apr_size_t done = 0;

    while (done < len) {
        ssize_t n = pread(held->fd, buf + done, len - done,
                          held->out + (off_t)done);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        done += n > 0 ? (apr_size_t)n : 0;
    }
    return done;
}

void fastcgi_ng_held_took(fastcgi_ng_held_t *held, apr_size_t len)
{
    held->out += (off_t)len;
    if (held->out == held->in) {
        held->in = held->out = 0;
        if (ftruncate(held->fd, 0) < 0) {
            return; /* its space is used again, or free at the end */
        }
    }
}
