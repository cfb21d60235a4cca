/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes memory and space run out in a server, when a test says so, and counts
 * what it has allocated and not freed: to be preloaded.
 *
 *   FCNG_FAIL_CONTROL   a file of ten int32_t that the test and all processes
 *                       of the server map, see struct control
 *   FCNG_FAIL_MODULE    a part of a file's name: memory fails, and counts,
 *                       where that one calls malloc() and the like itself;
 *                       else everywhere
 *   FCNG_FAIL_FILES     by colons: space fails for files with one of these in
 *                       their path
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
#include <sys/uio.h>
#include <unistd.h>

struct control {
    int32_t alloc_at;   /* this one fails, counted down from now; 0: none */
    int32_t allocs;     /* so many have failed */
    int32_t no_space;   /* 1: writing answers ENOSPC */
    int32_t writes;     /* so many have failed */
    int32_t counting;   /* 1: |live| is kept */
    int32_t live;
    int32_t unused[4];
};

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static struct control *control;
static char *module, *files;
static __thread bool inside;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);

/* A server may write its title over the environment. */
static char *keep(const char *name)
{
    const char *value = getenv(name);

    return value != NULL ? strdup(value) : NULL;
}

__attribute__((constructor)) static void start(void)
{
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
    module = keep("FCNG_FAIL_MODULE");
    files = keep("FCNG_FAIL_FILES");
    control = map_control("FCNG_FAIL_CONTROL", sizeof(*control));
}

/* --- memory --- */

static bool concerned(void *caller)
{
    Dl_info info;

    return module == NULL
           || (dladdr(caller, &info) != 0 && info.dli_fname != NULL
               && strstr(info.dli_fname, module) != NULL);
}

static bool fails(void *caller)
{
    bool yes = false;

    if (control == NULL || inside
        || __atomic_load_n(&control->alloc_at, __ATOMIC_RELAXED) <= 0) {
        return false;
    }
    inside = true;
    if (concerned(caller)
        && __atomic_sub_fetch(&control->alloc_at, 1, __ATOMIC_RELAXED) == 0) {
        __atomic_add_fetch(&control->allocs, 1, __ATOMIC_RELAXED);
        yes = true;
    }
    inside = false;
    if (yes) {
        errno = ENOMEM;
    }
    return yes;
}

static void *count(void *caller, void *p, int by)
{
    if (control != NULL && control->counting && p != NULL && !inside) {
        inside = true;
        if (concerned(caller)) {
            __atomic_add_fetch(&control->live, by, __ATOMIC_RELAXED);
        }
        inside = false;
    }
    return p;
}

#define CALLER __builtin_return_address(0)

void *malloc(size_t size)
{
    return fails(CALLER) ? NULL : count(CALLER, __libc_malloc(size), 1);
}

void *calloc(size_t n, size_t size)
{
    return fails(CALLER) ? NULL : count(CALLER, __libc_calloc(n, size), 1);
}

void *realloc(void *old, size_t size)
{
    void *p = fails(CALLER) ? NULL : __libc_realloc(old, size);

    return old == NULL ? count(CALLER, p, 1) : p;
}

void free(void *p)
{
    count(CALLER, p, -1);
    __libc_free(p);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
    void *p = fails(CALLER) ? NULL
              : count(CALLER, __libc_memalign(alignment, size), 1);

    if (p == NULL) {
        return ENOMEM;
    }
    *to = p;
    return 0;
}

/* --- space --- */

static bool is_named(const char *path)
{
    const char *at = files;

    while (*at != '\0') {
        size_t len = strcspn(at, ":");

        if (memmem(path, strlen(path), at, len) != NULL) {
            return true;
        }
        at += len + (at[len] == ':');
    }
    return false;
}

static bool is_full(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    if (control == NULL || files == NULL
        || __atomic_load_n(&control->no_space, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    if (!is_named(path)) {
        return false;
    }
    __atomic_add_fetch(&control->writes, 1, __ATOMIC_RELAXED);
    errno = ENOSPC;
    return true;
}

ssize_t write(int fd, const void *data, size_t len)
{
    return is_full(fd) ? -1 : real_write(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    return is_full(fd) ? -1 : real_writev(fd, iov, n);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at)
{
    return is_full(fd) ? -1 : real_pwrite(fd, data, len, at);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
    return pwrite64(fd, data, len, at);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t at)
{
    return is_full(fd) ? -1 : real_pwritev(fd, iov, n, at);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t at)
{
    return pwritev64(fd, iov, n, at);
}
