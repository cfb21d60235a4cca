/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large the responses to paths usually are: for the path itself, and for
 * the folder that it is in, which tells of files that nobody asked for yet.
 * Two tables of hashes; what two paths share a place for, the one that is
 * asked for more often keeps.
 */
#include "fcng_sizes.h"
#include "fcng_int.h"

#define TAKEN_MAX 64
#define FOLDER_MIN 4 /* files of it, before it tells of others */

typedef struct hashes {
    uint64_t path, folder;
} hashes;

#define SEED 14695981039346656037u
#define PRIME 1099511628211u

/* FNV-1a with steps of eight bytes, and what these need: high bits that change
   the low ones. */
static uint64_t add(uint64_t h, const char *at, size_t len)
{
    uint64_t word;
    for (; len >= sizeof(word); at += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        h = (h ^ word) * PRIME;
        h ^= h >> 32;
    }
    for (; len > 0; at++, len--) {
        h = (h ^ (unsigned char)*at) * PRIME;
    }
    return h;
}

static hashes hash(fcng_str path)
{
    hashes h = { SEED, SEED };
    size_t folder = path.len;
    while (folder > 0 && path.data[folder - 1] != '/') {
        folder--;
    }
    if (path.len > 0) {
        h.folder = add(SEED, path.data, folder);
        h.path = add(h.folder, path.data + folder, path.len - folder);
    }
    return h;
}

static void learn(fcng_size *table, uint64_t h, uint64_t size)
{
    fcng_size *place = &table[h % FCNG_SIZES_PLACES];
    uint32_t check = (uint32_t)(h >> 32);
    if (place->check != check && place->taken > 1) {
        place->taken /= 2;
        return;
    }
    if (place->check != check || place->taken == 0) {
        *place = (fcng_size){ .check = check, .average = size };
    }
    place->average = place->average - place->average / 4 + size / 4;
    place->taken += place->taken < TAKEN_MAX;
}

static uint64_t expect(const fcng_size *table, uint64_t h, uint32_t least)
{
    const fcng_size *place = &table[h % FCNG_SIZES_PLACES];
    return place->check == (uint32_t)(h >> 32) && place->taken >= least
               ? place->average
               : 0;
}

void fcng_sizes_learn(fcng_sizes *sizes, fcng_str path, uint64_t size)
{
    hashes h = hash(path);
    learn(sizes->path, h.path, size);
    learn(sizes->folder, h.folder, size);
}

uint64_t fcng_sizes_expect(const fcng_sizes *sizes, fcng_str path)
{
    hashes h = hash(path);
    uint64_t size = expect(sizes->path, h.path, 1);
    return size > 0 ? size : expect(sizes->folder, h.folder, FOLDER_MIN);
}
