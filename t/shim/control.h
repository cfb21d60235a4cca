/* SPDX-License-Identifier: BSD-2-Clause */
/* What the libraries that tests preload into a server have in common. */
#ifndef FCNG_SHIM_CONTROL_H
#define FCNG_SHIM_CONTROL_H

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* The file that the environment calls |name|, as the test and all processes of
   the server see it; NULL: there is none. */
static inline void *map_control(const char *name, size_t size)
{
    const char *file = getenv(name);
    void *at = MAP_FAILED;

    if (file != NULL) {
        int fd = open(file, O_RDWR | O_CLOEXEC);

        at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
    }
    return at != MAP_FAILED ? at : NULL;
}

#endif
