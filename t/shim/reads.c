/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a server's files slow or impossible to read with pread(), when a test
 * says so, and counts who reads: to be preloaded.
 *
 *   FCNG_READS_CONTROL  a file of int32_t that the test and all processes of
 *                       the server map, see struct control
 *   FCNG_READS_FILES    by colons: files with one of these in their path are
 *                       concerned
 */
#define _GNU_SOURCE
#include "control.h"
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define LONGEST 20000 /* milliseconds that a read is held */

struct control {
    int32_t hold;       /* 1: reads wait until it is 0 */
    int32_t error;      /* what they answer; 0: what is in the file */
    int32_t waiting;    /* so many are held now */
    int32_t main;       /* reads in the first thread of a process, */
    int32_t others;     /* and in its other threads */
    int32_t unused[3];
};

static struct control *control;
static char *files;
static ssize_t (*real_pread)(int, void *, size_t, off_t);

__attribute__((constructor)) static void start(void)
{
    const char *part = getenv("FCNG_READS_FILES");

    *(void **)&real_pread = dlsym(RTLD_NEXT, "pread64");
    /* A server may write its title over the environment. */
    files = part != NULL ? strdup(part) : NULL;
    control = map_control("FCNG_READS_CONTROL", sizeof(*control));
}

static bool concerned(int fd)
{
    char link[64], path[PATH_MAX], part[PATH_MAX];
    const char *from;
    size_t len;
    ssize_t n;

    if (control == NULL || files == NULL) {
        return false;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n < 0) {
        return false;
    }
    path[n] = '\0';
    for (from = files; *from != '\0'; from += len + (from[len] == ':')) {
        len = strcspn(from, ":");
        snprintf(part, sizeof(part), "%.*s", (int)len, from);
        if (strstr(path, part) != NULL) {
            return true;
        }
    }
    return false;
}

static void wait_here(void)
{
    int left = LONGEST;

    if (__atomic_load_n(&control->hold, __ATOMIC_SEQ_CST) == 0) {
        return;
    }
    __atomic_add_fetch(&control->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&control->hold, __ATOMIC_SEQ_CST) != 0
           && left-- > 0) {
        usleep(1000);
    }
    __atomic_sub_fetch(&control->waiting, 1, __ATOMIC_SEQ_CST);
}

static ssize_t read_file(int fd, void *to, size_t len, off_t at)
{
    int error;

    if (concerned(fd)) {
        __atomic_add_fetch(syscall(SYS_gettid) == getpid() ? &control->main
                                                           : &control->others,
                           1, __ATOMIC_SEQ_CST);
        wait_here();
        error = __atomic_load_n(&control->error, __ATOMIC_SEQ_CST);
        if (error != 0) {
            errno = error;
            return -1;
        }
    }
    return real_pread(fd, to, len, at);
}

ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    return read_file(fd, to, len, at);
}

ssize_t pread64(int fd, void *to, size_t len, off_t at)
{
    return read_file(fd, to, len, at);
}
