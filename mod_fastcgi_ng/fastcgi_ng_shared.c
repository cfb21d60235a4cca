/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the processes of this server know of each other: the core's segment in
 * memory that the parent maps and every child inherits, and a bell for each of
 * its slots.  Both are made once and live as long as the parent, over reloads,
 * so that the children of two generations count together and wake each other.
 *
 * The parent does nothing with them: it serves no request.
 */
#include "fastcgi_ng.h"

#include "ap_mpm.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define HEAD_LEN 64      /* of the memory; the segment begins behind it */
#define MORE_DAEMONS 16  /* those of an older generation that are ending */

/* In front of the segment. */
typedef struct shared_head_t {
    atomic_bool full_told; /* more processes than slots */
    atomic_bool addresses_told;
} shared_head_t;

/* Kept by httpd while the module is unloaded and loaded again. */
struct fastcgi_ng_shared_t {
    void *memory; /* NULL: none could be had */
    unsigned nbells;
    fastcgi_ng_bell_t bell[FCNG_SHARE_SLOTS];
};

/* A module with another layout is another server: its children and the older
   ones count apart until those have ended. */
static struct fastcgi_ng_shared_t *retained(apr_pool_t *p)
{
    const char *key = apr_psprintf(p, "mod_fastcgi_ng " FCNG_VERSION
                                   " %" APR_SIZE_T_FMT " %" APR_SIZE_T_FMT,
                                   fcng_share_size(),
                                   sizeof(struct fastcgi_ng_shared_t));
    struct fastcgi_ng_shared_t *shared = ap_retained_data_get(key);

    return shared != NULL
           ? shared : ap_retained_data_create(key, sizeof(*shared));
}

static struct fastcgi_ng_shared_t **slot_of(server_rec *main_server)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(main_server->module_config,
                               &fastcgi_ng_module);

    return &conf->shared;
}

/* ------------------------------------------------------ in the parent --- */

static bool any_app(server_rec *s)
{
    for (; s != NULL; s = s->next) {
        fastcgi_ng_server_conf_t *conf
            = ap_get_module_config(s->module_config, &fastcgi_ng_module);

        if (apr_hash_count(conf->apps) > 0) {
            return true;
        }
    }
    return false;
}

static void map_memory(struct fastcgi_ng_shared_t *shared, server_rec *s)
{
    apr_size_t len = HEAD_LEN + fcng_share_size();
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory != MAP_FAILED) {
        shared->memory = memory;
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(errno), s,
                 "mod_fastcgi_ng: no shared memory (%" APR_SIZE_T_FMT
                 " bytes): max_connections holds within each process only, "
                 "idle connections do not give way to other processes, and "
                 "fastcgi-ng-status shows no address; raise the limit of "
                 "address space (ulimit -v) and restart", len);
}

/* How many processes there may be at once, and how many bells that leaves
   enough descriptors for connections. */
static unsigned bells_wanted(unsigned *allowed)
{
    int daemons = 0;
    unsigned wanted;
    struct rlimit limit;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons) != APR_SUCCESS
        || daemons < 1) {
        daemons = FCNG_SHARE_SLOTS;
    }
    wanted = daemons < FCNG_SHARE_SLOTS - MORE_DAEMONS
             ? (unsigned)daemons + MORE_DAEMONS : FCNG_SHARE_SLOTS;
    *allowed = wanted;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0
        && limit.rlim_cur / 4 < wanted) {
        *allowed = (unsigned)(limit.rlim_cur / 4);
    }
    return wanted;
}

static void open_bells(struct fastcgi_ng_shared_t *shared, server_rec *s)
{
    unsigned allowed, wanted = bells_wanted(&allowed);

    while (shared->nbells < allowed
           && fastcgi_ng_bell_open(&shared->bell[shared->nbells])) {
        shared->nbells++;
    }
    if (shared->nbells < wanted) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, s,
                     "mod_fastcgi_ng: descriptors for %u of %u processes: "
                     "the others are not woken when a connection becomes "
                     "free, but look for one ten times a second; raise the "
                     "limit of open files (ulimit -n) and restart",
                     shared->nbells, wanted);
    }
}

void fastcgi_ng_shared_prepare(apr_pool_t *ptemp, server_rec *main_server)
{
    struct fastcgi_ng_shared_t *shared;

    if (!any_app(main_server)) {
        return;
    }
    shared = retained(ptemp);
    *slot_of(main_server) = shared;
    if (shared->memory == NULL) {
        map_memory(shared, main_server);
    }
    if (shared->memory != NULL && shared->nbells == 0) {
        open_bells(shared, main_server);
    }
}

/* --------------------------------------------------------- in a child --- */

static bool is_alive(uint32_t pid, void *ctx)
{
    return kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

static void wake_other(unsigned slot, void *ctx)
{
    const struct fastcgi_ng_shared_t *shared = ctx;

    if (slot < shared->nbells) {
        fastcgi_ng_bell_ring(&shared->bell[slot]);
    }
}

static void let_run(void *ctx)
{
    sched_yield();
}

static shared_head_t *head(const struct fastcgi_ng_shared_t *shared)
{
    return shared->memory;
}

void fastcgi_ng_shared_join(fastcgi_ng_child_t *child)
{
    struct fastcgi_ng_shared_t *shared = *slot_of(child->server);
    fcng_share_host host = { is_alive, wake_other, let_run, shared };

    if (shared == NULL || shared->memory == NULL) {
        return; /* no app, or told */
    }
    child->shared = shared;
    child->share = fcng_share_join(NULL, (char *)shared->memory + HEAD_LEN,
                                   (uint32_t)getpid(), &host);
    if (child->share == NULL
        && !atomic_exchange(&head(shared)->full_told, true)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, child->server,
                     "mod_fastcgi_ng: more than %d processes: in those "
                     "beyond, max_connections holds within the process only; "
                     "lower ServerLimit or use the event MPM",
                     FCNG_SHARE_SLOTS);
    }
}

fcng_seat *fastcgi_ng_shared_attach(fastcgi_ng_child_t *child,
                                    const fastcgi_ng_address_t *address)
{
    fcng_str key = { address->key, strlen(address->key) };
    fcng_seat *seat = NULL;

    if (child->share != NULL) {
        seat = fcng_share_attach(child->share, key);
        if (seat == NULL
            && !atomic_exchange(&head(child->shared)->addresses_told, true)) {
            ap_log_error(APLOG_MARK, APLOG_ERR, 0, child->server,
                         "mod_fastcgi_ng: more than %d addresses: those "
                         "beyond, %s among them, have their limits within "
                         "each process, and fastcgi-ng-status lacks them",
                         FCNG_SHARE_ADDRESSES, address->text);
        }
    }
    return seat;
}

void fastcgi_ng_shared_leave(fastcgi_ng_child_t *child)
{
    /* What a process holds that cannot leave is taken back when it ends. */
    if (child->share != NULL && !child->in_use) {
        fcng_share_leave(child->share);
    }
    child->share = NULL;
}

const fastcgi_ng_bell_t *fastcgi_ng_shared_bell(
    const fastcgi_ng_child_t *child)
{
    unsigned slot = FCNG_SHARE_SLOTS;

    if (child->share != NULL) {
        slot = fcng_share_slot(child->share);
    }
    return child->share != NULL && slot < child->shared->nbells
           ? &child->shared->bell[slot] : NULL;
}
