# SPDX-License-Identifier: BSD-2-Clause
#
# No wake-up of Apache's service thread is lost, whatever moment it comes at:
# one that was lost left a child process that never ended after a graceful
# restart.  A program around fastcgi_ng_watch.c, in which reading takes long
# enough for others to come in between.
use strict;
use warnings;
use FCNG::Util qw(run_bounded spew tmpdir top);
use Test::More;

plan skip_all => 'apxs missing' if !length($ENV{CHECK_APACHE} // '');

my $dir = tmpdir();
spew("$dir/wakes.c", <<'END');
#include "fastcgi_ng.h"

#include <apr_general.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EACH 300
#define WAKERS 3

static fastcgi_ng_watch_t *watch;
static atomic_ulong told, seen;
static atomic_bool over;

ssize_t read(int fd, void *buf, size_t len)
{
    usleep(500);
    return syscall(SYS_read, fd, buf, len);
}

uint64_t fastcgi_ng_now(void)
{
    return (uint64_t)apr_time_now();
}

bool fastcgi_ng_io_client_gone(const fastcgi_ng_task_t *task)
{
    return false;
}

static void *sleeper(void *data)
{
    while (!atomic_load(&over)) {
        fastcgi_ng_watch_clear(watch);
        atomic_store(&seen, atomic_load(&told));
        fastcgi_ng_watch_wait(watch, FCNG_NEVER, NULL);
    }
    return NULL;
}

/* What is told is seen, if it takes seconds. */
static void *waker(void *data)
{
    int i, ms;

    for (i = 0; i < EACH; i++) {
        unsigned long n = atomic_fetch_add(&told, 1) + 1;

        fastcgi_ng_watch_wake(watch);
        for (ms = 0; atomic_load(&seen) < n; ms++) {
            if (ms == 5000) {
                printf("lost: %lu of %lu\n", n, atomic_load(&seen));
                fflush(stdout);
                _exit(1);
            }
            usleep(1000);
        }
        usleep((useconds_t)(i % 7) * 100);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread[WAKERS + 1];
    apr_pool_t *pool;
    int i;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    watch = fastcgi_ng_watch_create(pool, NULL);
    pthread_create(&thread[WAKERS], NULL, sleeper, NULL);
    for (i = 0; i < WAKERS; i++) {
        pthread_create(&thread[i], NULL, waker, NULL);
    }
    for (i = 0; i < WAKERS; i++) {
        pthread_join(thread[i], NULL);
    }
    atomic_store(&over, true);
    fastcgi_ng_watch_wake(watch);
    pthread_join(thread[WAKERS], NULL);
    printf("seen: %lu\n", atomic_load(&seen));
    apr_pool_destroy(pool);
    return 0;
}
END

my $top = top();
my ($rc, $out, $err) = run_bounded(120, 'sh', '-c', "cd '$top' && "
    . "$ENV{CHECK_APACHE} -Wno-error -Imod_fastcgi_ng -o $dir/wakes"
    . " $dir/wakes.c mod_fastcgi_ng/fastcgi_ng_watch.c"
    . ' $(apr-1-config --link-ld 2>/dev/null || echo -lapr-1) -lpthread');
is($rc, 0, 'the program is made') or diag($err);
($rc, $out, $err) = run_bounded(60, "$dir/wakes");
is("$out$err", "seen: 900\n", 'each of 900 wake-ups is seen');
is($rc, 0, 'and the thread ends');
done_testing();
