/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts what a server's processes write to sockets, in calls: to be
 * preloaded.
 *
 *   FCNG_SENDS_CONTROL  a file with an int32_t, the count, that the test and
 *                       all processes of the server map
 */
#define _GNU_SOURCE
#include "control.h"
#include <dlfcn.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int32_t *count;
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);

__attribute__((constructor)) static void start(void)
{
    *(void **)&real_send = dlsym(RTLD_NEXT, "send");
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    count = map_control("FCNG_SENDS_CONTROL", sizeof(*count));
}

static void note(int fd)
{
    struct stat info;

    if (count != NULL && fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode)) {
        __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    }
}

ssize_t send(int fd, const void *from, size_t len, int flags)
{
    note(fd);
    return real_send(fd, from, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    note(fd);
    return real_sendmsg(fd, message, flags);
}

ssize_t write(int fd, const void *from, size_t len)
{
    note(fd);
    return real_write(fd, from, len);
}

ssize_t writev(int fd, const struct iovec *from, int n)
{
    note(fd);
    return real_writev(fd, from, n);
}
