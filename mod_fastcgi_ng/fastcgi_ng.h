/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mod_fastcgi_ng: what its files know of each other.
 *
 *   app       what FastCgiNgPool names: addresses, limits, allowed folders
 *   backend   one address in this process: pool, queue, health; of each app
 *             that has it with the same limits
 *   conn      one connection to a backend
 *   task      one request on its way through a backend
 *   stream    a task's place on a connection that requests share
 *   answer    what an Authorizer said of a request
 *
 * An app is made when the configuration is read and never changes.  A backend
 * lives as long as the child process; what processes know of each other as
 * long as the server, over reloads.  A conn belongs to its backend while it is
 * idle and to one task while it is busy; one that requests share belongs to
 * its backend all the time.  A task lives in r->pool.
 */
#ifndef FASTCGI_NG_H
#define FASTCGI_NG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "httpd.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_protocol.h"
#include "http_request.h"
#include "ap_expr.h"
#include "ap_mmn.h"
#include "apr_strings.h"
#include "apr_thread_mutex.h"
#include "apr_thread_proc.h"
#include "util_filter.h"

#include <fcng/fcng.h>

#define FASTCGI_NG_HANDLER "fastcgi-ng:"
#define FASTCGI_NG_PROVIDER "fastcgi-ng" /* of Require, AuthBasicProvider */
#define FASTCGI_NG_STATUS_HANDLER "fastcgi-ng-status"

extern module AP_MODULE_DECLARE_DATA fastcgi_ng_module;
APLOG_USE_MODULE(fastcgi_ng);

typedef struct fastcgi_ng_backend_t fastcgi_ng_backend_t;
typedef struct fastcgi_ng_child_t fastcgi_ng_child_t;

/* ------------------------------------------------------ configuration --- */

typedef struct fastcgi_ng_address_t {
    const char *text; /* as the operator typed it; names it in the logs */
    const char *key;  /* the same for each way to type it */
    enum fcng_address_kind kind;
    const char *host; /* NULL: this machine */
    const char *port;
    const char *path; /* of a Unix socket; abstract: without '@' */
} fastcgi_ng_address_t;

typedef struct fastcgi_ng_app_t {
    const char *name;                /* lower case */
    const char *file;                /* where it was defined */
    int line;
    apr_array_header_t *addresses;   /* fastcgi_ng_address_t */
    apr_array_header_t *folders;     /* for=: const char *, or NULL */
    fcng_pool_options options;
    fastcgi_ng_backend_t **backends; /* one an address; made in child_init */
    atomic_uint turn;                /* where the next request begins */
} fastcgi_ng_app_t;

/* A place in the configuration that names an app. */
typedef struct fastcgi_ng_use_t {
    const char *name;
    const char *directive;
    const char *file;
    int line;
} fastcgi_ng_use_t;

typedef struct fastcgi_ng_server_conf_t {
    apr_hash_t *apps;          /* by name, the main server's among them */
    apr_array_header_t *uses;  /* fastcgi_ng_use_t, of this server only */
    fastcgi_ng_child_t *child; /* the main server's, in a child process */
    struct fastcgi_ng_shared_t *shared; /* the main server's */
} fastcgi_ng_server_conf_t;

typedef struct fastcgi_ng_param_t {
    const char *name;
    apr_size_t name_len;
    const char *value;    /* a constant, or */
    ap_expr_info_t *expr; /* an expression; both NULL: removed */
    int var;              /* enum fcng_env_var, or -1 */
} fastcgi_ng_param_t;

/* Who is asked whether a request may pass, and how.  -1: not set. */
typedef struct fastcgi_ng_auth_conf_t {
    apr_array_header_t *pools;   /* const char *; NULL with |set|: off */
    bool set;
    bool late;                   /* phase=authz */
    apr_array_header_t *params;  /* fastcgi_ng_param_t */
    apr_uint32_t skip;
    apr_interval_time_t connect_timeout;
    apr_interval_time_t send_timeout;
    apr_interval_time_t read_timeout;
    apr_int64_t buffer_size;
    int error_document;
    int send_stdin;
    int user;                    /* REMOTE_USER becomes r->user */
    int again;                   /* FastCgiNgAuthorizerInternal ask */
    apr_array_header_t *unset;   /* const char * */
    int require_body;
    /* of mod_fcgid and mod_fastcgi: a pool, NULL with _set: off */
    const char *authenticator;
    bool authenticator_set;
    bool is_provider;            /* AuthBasicProvider asks it */
    const char *access_checker;
    bool access_checker_set;
    int authenticator_decides;   /* ...Authoritative */
    int access_checker_decides;
} fastcgi_ng_auth_conf_t;

typedef struct fastcgi_ng_dir_conf_t {
    const char *pass;      /* app's name; NULL with pass_set: off */
    const char *mount;     /* the location's path; "" for all paths */
    const char *script;    /* front controller */
    apr_array_header_t *params; /* fastcgi_ng_param_t; a name only once */
    apr_uint32_t skip;     /* 1u << var of each default in |params| */
    bool pass_set;
    int default_params;    /* -1: not set, as all below */
    int check_script;
    int request_buffering;
    apr_int64_t header_max_size;
    apr_interval_time_t connect_timeout;
    apr_interval_time_t send_timeout;
    apr_interval_time_t read_timeout;
    apr_interval_time_t request_timeout;
    int stderr_level;      /* APLOG_*, FASTCGI_NG_STDERR_OFF */
    apr_int64_t stderr_rate;
    const char *file_filter; /* app's name; NULL with file_filter_set: off */
    bool file_filter_set;
    const char *output_filter; /* the same */
    bool output_filter_set;
    apr_array_header_t *output_types; /* const char *, lower case; NULL */
    apr_int64_t output_max_size;
    int output_pass;         /* on error: the response as it was */
    int output_buffering;
    fastcgi_ng_auth_conf_t auth;
} fastcgi_ng_dir_conf_t;

#define FASTCGI_NG_STDERR_OFF (-2)
#define FASTCGI_NG_ADDRESSES_MAX 64 /* of an app; a bit each in |failed| */

/* fastcgi_ng_poolconf.c */
void *fastcgi_ng_create_server_conf(apr_pool_t *p, server_rec *s);
void *fastcgi_ng_merge_server_conf(apr_pool_t *p, void *base, void *add);
const char *fastcgi_ng_cmd_pool(cmd_parms *cmd, void *dummy, int argc,
                                char *const argv[]);
/* Every name of an app must lead to one; OK or an HTTP error after telling. */
int fastcgi_ng_check_names(apr_pool_t *ptemp, server_rec *main_server);
/* Warns of host names that do not resolve (asks the resolver), and of words
   that the MPM makes useless. */
void fastcgi_ng_check_hosts(apr_pool_t *ptemp, server_rec *main_server);
fastcgi_ng_app_t *fastcgi_ng_find_app(server_rec *s, const char *name);

/* The pool that a handler's name names, or NULL. */
const char *fastcgi_ng_handler_pool(const char *handler, bool *is_filter);

/* A directive names a pool: is it a name, in the form it is looked for, to be
   looked for when everything is read. */
bool fastcgi_ng_is_name(const char *name);
const char *fastcgi_ng_lower(apr_pool_t *p, const char *name);
void fastcgi_ng_remember_use(cmd_parms *cmd, const char *directive,
                             const char *name);

/* fastcgi_ng_config.c */
extern const command_rec fastcgi_ng_commands[];
void *fastcgi_ng_create_dir_conf(apr_pool_t *p, char *dir);
void *fastcgi_ng_merge_dir_conf(apr_pool_t *p, void *base, void *add);
void fastcgi_ng_merge_params(apr_pool_t *p, apr_array_header_t **params,
                             apr_array_header_t *base,
                             apr_array_header_t *add);
/* "64k", within both limits. */
bool fastcgi_ng_parse_size(const char *arg, apr_off_t min, apr_off_t max,
                           apr_int64_t *size);

/* fastcgi_ng_authconf.c */
void fastcgi_ng_auth_conf_init(fastcgi_ng_auth_conf_t *conf);
void fastcgi_ng_auth_conf_merge(apr_pool_t *p, fastcgi_ng_auth_conf_t *conf,
                                const fastcgi_ng_auth_conf_t *base,
                                const fastcgi_ng_auth_conf_t *add);
const char *fastcgi_ng_cmd_authorizer(cmd_parms *cmd, void *dir, int argc,
                                      char *const argv[]);
const char *fastcgi_ng_cmd_auth_unset(cmd_parms *cmd, void *dir,
                                      const char *arg);
const char *fastcgi_ng_cmd_auth_internal(cmd_parms *cmd, void *dir,
                                         const char *arg);
const char *fastcgi_ng_cmd_authenticator(cmd_parms *cmd, void *dir,
                                         const char *arg);
const char *fastcgi_ng_cmd_access_checker(cmd_parms *cmd, void *dir,
                                          const char *arg);
/* "Require fastcgi-ng POOL": the pool's name, checked; NULL or an error. */
const char *fastcgi_ng_name_pool(cmd_parms *cmd, const char *directive,
                                 const char *arg, const char **name);
const char *fastcgi_ng_cmd_auth_buffer_size(cmd_parms *cmd, void *dir,
                                            const char *arg);

/* --------------------------------------------------------- connections --- */

typedef struct fastcgi_ng_watch_t fastcgi_ng_watch_t;
typedef struct fastcgi_ng_conn_t {
    fcng_pool_conn link;
    fcng_conn *fcgi;
    fastcgi_ng_backend_t *backend;
    int fd;
    /* Under the backend's mutex: its place in the list of idle or of shared
       ones. */
    struct fastcgi_ng_conn_t *next, *prev;
    bool idle;
    bool watched; /* the service thread polls its descriptor */
    bool asked;    /* by its last request, an Authorizer's */
    bool no_stdin; /* without that record */
    bool soon;     /* a close is to be seen at once */
    /* Requests share it: all of it, with |fcgi|, under the backend's mutex. */
    bool shared;
    struct fastcgi_ng_stream_t *streams;
    struct fastcgi_ng_stream_t *reader; /* whose thread reads it; NULL: the
                                           mux thread, if it must be */
    unsigned nstreams;
    unsigned over;     /* of these, gone; the pool is still to be told */
    unsigned overruns; /* of these, with more than |stream_buffer|: it is not
                          read meanwhile */
    uint64_t patience_us; /* but then */
    bool full;         /* the application's socket; poll() tells */
    bool deaf;         /* it takes nothing any more; reading tells why */
    bool silent;       /* a request timed out, and nothing came meanwhile */
    bool retired;      /* and the pool knows */
    bool answered;     /* something has come on it */
    bool delivered;    /* since it was idle */
    bool blamed;       /* a request is, for its end */
    uint64_t heard_us; /* something came */
} fastcgi_ng_conn_t;

/* ----------------------------------------------------- what is waiting --- */

typedef struct fastcgi_ng_block_t {
    struct fastcgi_ng_block_t *next;
    apr_size_t len, size;
    char data[];
} fastcgi_ng_block_t;

/* Large blocks that are used again: from malloc() each would be new pages. */
typedef struct fastcgi_ng_kept_t {
    fastcgi_ng_block_t *first;
    unsigned n;
} fastcgi_ng_kept_t;

/* fastcgi_ng_held.c */
typedef struct fastcgi_ng_held_t {
    fastcgi_ng_kept_t *kept; /* of all of a backend */
    fastcgi_ng_block_t *first, *last;
    int fd;        /* of a temporary file, or -1 */
    off_t in, out; /* what it holds: from |out| to |in| */
} fastcgi_ng_held_t;

void fastcgi_ng_held_init(fastcgi_ng_held_t *held, fastcgi_ng_kept_t *kept);
void fastcgi_ng_held_free(fastcgi_ng_held_t *held);
void fastcgi_ng_blocks_free(fastcgi_ng_block_t *block);
/* The same with the mutex held, but for those that are kept. */
void fastcgi_ng_blocks_keep(fastcgi_ng_kept_t *kept,
                            fastcgi_ng_block_t *block);
void fastcgi_ng_kept_free(fastcgi_ng_kept_t *kept);
/* The file holds something: what comes now goes there as well. */
bool fastcgi_ng_held_spills(const fastcgi_ng_held_t *held);
/* Copies the bytes to memory or (|spill|) the file. */
apr_status_t fastcgi_ng_held_add(fastcgi_ng_held_t *held, fcng_str bytes,
                                 bool spill);
/* All that is in memory; the caller's to free. */
fastcgi_ng_block_t *fastcgi_ng_held_take(fastcgi_ng_held_t *held);
/* Copies |len| bytes out of the file, less when it fails; held_took() forgets
   them. */
apr_size_t fastcgi_ng_held_read(const fastcgi_ng_held_t *held, char *buf,
                                apr_size_t len);
void fastcgi_ng_held_took(fastcgi_ng_held_t *held, apr_size_t len);

/* What one thread or process rings and another polls. */
typedef struct fastcgi_ng_bell_t {
    int in;  /* -1: there is none */
    int out; /* the same descriptor where there is eventfd() */
} fastcgi_ng_bell_t;

/* A thread sleeps and watches nothing meanwhile: half the calls of a bell. */
typedef struct fastcgi_ng_nap_t {
    atomic_int over; /* a futex */
} fastcgi_ng_nap_t;

/* Who is woken when the mutex is free again. */
#define FASTCGI_NG_CHIME 64

typedef struct fastcgi_ng_chime_t {
    unsigned n;
    struct {
        struct fastcgi_ng_stream_t *stream;
        bool naps;
    } sleeper[FASTCGI_NG_CHIME];
} fastcgi_ng_chime_t;

/*
 * A request on a shared connection.  Its thread offers its body and takes what
 * came; whoever reads the connection lets it leave when it is over, whether or
 * not all was taken.  All under the backend's mutex.
 */
typedef struct fastcgi_ng_stream_t {
    fastcgi_ng_bell_t bell;
    fastcgi_ng_nap_t nap;
    fastcgi_ng_held_t held;   /* STDOUT */
    /* What is above lasts from one request to the next. */
    struct fastcgi_ng_stream_t *next, *prev; /* on its connection */
    fastcgi_ng_conn_t *conn;  /* NULL: it has left it */
    fcng_request *request;    /* NULL likewise */
    char *complaints;         /* STDERR */
    apr_size_t complaints_len;
    bool sleeps;              /* its thread waits for the bell */
    bool naps;                /* or, for a moment, takes a nap */
    bool hungry;              /* it has more to send */
    bool overrun;             /* its thread does not take what comes */
    bool spills;              /* more goes to the file */
    bool started, answered;   /* as of a request */
    bool reused;              /* the connection had answered before */
    bool whole;               /* STDOUT has ended */
    bool ended;               /* END_REQUEST came */
    bool blameless;           /* another request tells of this failure */
    bool doubted;             /* does the application multiplex? */
    int error;                /* enum fcng_err */
    apr_status_t cannot_hold; /* why |error| */
    apr_uint32_t app_status;
    uint64_t sent;            /* of the body, when it left */
    uint64_t first_byte_us;
    char hint[64];            /* the connection's last bytes that are wrong */
    apr_size_t hint_len;
} fastcgi_ng_stream_t;

/* --------------------------------------------------------------- spool --- */

/* Bytes that wait until somebody wants them: in memory, and beyond
   |memory_max| in a temporary file. */
typedef struct fastcgi_ng_spool_t {
    apr_pool_t *pool;
    apr_bucket_brigade *memory;
    apr_file_t *file;            /* then |memory| is empty */
    apr_uint64_t length;
    apr_uint64_t memory_max;
} fastcgi_ng_spool_t;

void fastcgi_ng_spool_init(fastcgi_ng_spool_t *spool, request_rec *r,
                           apr_uint64_t memory_max);
/* Copies the bytes. */
apr_status_t fastcgi_ng_spool_add(fastcgi_ng_spool_t *spool, const char *data,
                                  apr_size_t len);
/* |len| bytes from the |at|-th on, all of which are there. */
apr_status_t fastcgi_ng_spool_read(const fastcgi_ng_spool_t *spool,
                                   apr_uint64_t at, char *out,
                                   apr_size_t len);
/* Empty again. */
void fastcgi_ng_spool_clear(fastcgi_ng_spool_t *spool);
/* Moves all to the end of |bb|. */
void fastcgi_ng_spool_take(fastcgi_ng_spool_t *spool, apr_bucket_brigade *bb);
/* A temporary file without a name, in the folder for them; -1: errno. */
int fastcgi_ng_spool_file(void);
const char *fastcgi_ng_spool_folder(void);

/* ---------------------------------------------------------------- body --- */

/*
 * The client's body.  Streamed: read without blocking, offered to the core,
 * dropped when sent; the first 64 KiB are kept so that a request can be sent
 * again.  Spooled: read whole before the application hears of the request.
 */
typedef struct fastcgi_ng_body_t {
    request_rec *r;
    apr_bucket_brigade *scratch;
    apr_bucket_brigade *held; /* read, not yet dropped */
    apr_bucket *next;         /* the first of |held| not yet offered */
    apr_uint64_t length;      /* or FCNG_LENGTH_UNKNOWN */
    apr_uint64_t read;        /* from the client */
    apr_uint64_t dropped;     /* from the front of |held| */
    apr_file_t *file;         /* what is too long for memory */
    apr_uint64_t file_in;     /* its length */
    apr_uint64_t file_out;    /* the next byte of it to offer */
    int status;               /* HTTP status of a client's failure */
    bool announced;           /* CONTENT_LENGTH is sent */
    bool eos;                 /* read to its end */
    bool fin;                 /* offered to its end */
    bool waits;               /* the client has sent nothing more yet */
    bool partial;             /* something was dropped: no second try */
    bool spooled;             /* whole, in memory or in |file| */
} fastcgi_ng_body_t;

/* fastcgi_ng_spool.c.  Each returns OK or an HTTP status. */
/* In a child. */
void fastcgi_ng_spool_prepare(apr_pool_t *pchild);
int fastcgi_ng_body_init(fastcgi_ng_body_t *body, request_rec *r);
int fastcgi_ng_body_spool(fastcgi_ng_body_t *body);
/* Reads what is there already. */
int fastcgi_ng_body_peek(fastcgi_ng_body_t *body);
int fastcgi_ng_body_absorb(fastcgi_ng_body_t *body);
void fastcgi_ng_body_discard(fastcgi_ng_body_t *body);
/* Whether it will still be there after any failure; is so now. */
bool fastcgi_ng_body_repeatable(const fastcgi_ng_body_t *body);
bool fastcgi_ng_body_replayable(const fastcgi_ng_body_t *body);
void fastcgi_ng_body_rewind(fastcgi_ng_body_t *body);

/* ---------------------------------------------------------------- task --- */

/* What the request thread can be told of the client by its descriptor. */
typedef struct fastcgi_ng_client_t {
    int fd;          /* -1: none */
    bool secondary;  /* HTTP/2: the descriptor tells of input only */
} fastcgi_ng_client_t;

/* Names that older releases of httpd 2.4 lack. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 122)
#define ap_thread_create apr_thread_create
#endif
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 96)
#define ap_get_status_line_ex(p, status) ap_get_status_line(status)
#endif

enum fastcgi_ng_reply {
    FASTCGI_NG_REPLY_NONE,     /* no head yet */
    FASTCGI_NG_REPLY_BODY,     /* the body goes to the client */
    FASTCGI_NG_REPLY_DISCARD,  /* HEAD, 204, 304, redirects, grants */
    FASTCGI_NG_REPLY_KEEP,     /* an Authorizer's: it is spooled */
    FASTCGI_NG_REPLY_HOLD,     /* a Filter's, for a client that wants a range
                                  of it: it goes out whole at the end */
};

/* What an Authorizer said. */
typedef struct fastcgi_ng_answer_t {
    enum fcng_authz verdict;
    int status;                  /* for the client, unless it grants */
    bool busy;                   /* a failure that Retry-After goes with */
    bool required;               /* by Require, which has statuses of its
                                    own */
    const char *status_line;     /* of a denial */
    apr_array_header_t *fields;  /* of a denial: fcng_field */
    apr_array_header_t *vars;    /* of a grant: fcng_field */
    fastcgi_ng_spool_t body;     /* of a denial */
    apr_uint64_t length;         /* as its head says */
    const fastcgi_ng_auth_conf_t *conf;
} fastcgi_ng_answer_t;

/* A question to an Authorizer. */
typedef struct fastcgi_ng_question_t {
    const char *directive;       /* who asks: "FastCgiNgAuthorizer auth" */
    apr_array_header_t *params;  /* fcng_field: beside the usual ones */
    fastcgi_ng_answer_t *answer;
} fastcgi_ng_question_t;

/* A Filter's FCGI_DATA. */
typedef struct fastcgi_ng_data_t fastcgi_ng_data_t;

typedef struct fastcgi_ng_task_t {
    request_rec *r;
    const fastcgi_ng_dir_conf_t *conf;
    const fastcgi_ng_app_t *app;
    const char *mount;           /* of FastCgiNgPass, or NULL */
    fastcgi_ng_question_t *question; /* NULL: a Responder's task */
    fastcgi_ng_data_t *data;     /* NULL: no Filter's task */
    ap_filter_t *filter;         /* the output filter whose task it is, or
                                    NULL */
    fastcgi_ng_client_t client;
    fastcgi_ng_body_t body;
    fcng_params params;

    /* this attempt */
    fastcgi_ng_backend_t *backend;
    int at;                      /* which of the app's addresses */
    bool probe;                  /* it tells whether the server is back */
    bool answered;               /* and the backend knows */
    fastcgi_ng_conn_t *conn;     /* its own; or NULL and */
    fastcgi_ng_stream_t *stream; /* its place on a shared one */
    fcng_request *request;       /* on its own connection */
    bool reused;
    bool no_stdin;               /* a question without that record, as it is
                                    known of the application */
    bool unsent;                 /* shared: not all that was offered left */
    apr_uint64_t moved;          /* shared: bytes that had left */
    apr_uint64_t taken;          /* shared: bytes from memory, not reported */
    int read_fd;                 /* shared: of the connection that it is to
                                    read while it waits; or -1 */
    bool timed_out;
    bool write_failed;           /* reading goes on */
    bool lingered;               /* a read, or a nap, was in vain */
    bool stdout_ended;           /* the response is whole */
    bool send_limit;             /* waiting is for it to take bytes */
    bool over;                   /* END_REQUEST or failure */
    bool ended;                  /* END_REQUEST */
    bool talking;                /* it has a connection */
    fcng_outcome outcome;
    int error;                   /* enum fcng_err */
    int status;                  /* HTTP status, where |error| is not why */
    unsigned stream_id;
    bool heard;                  /* bytes came, whatever they are */
    fcng_str first_bytes;        /* in |buf|, while nothing else is */
    uint64_t active_us;          /* something moved */

    /* the response */
    fcng_head head;
    fcng_lines *lines;
    char *buf;                   /* bytes just read */
    fastcgi_ng_block_t *blocks;  /* shared: those at the end */
    char *partial;               /* a head's line that is not whole yet */
    apr_size_t partial_len, partial_size;
    apr_table_t *fields;
    const char *reason;          /* "404 Not Found" */
    apr_bucket_brigade *out;
    enum fastcgi_ng_reply reply;
    fastcgi_ng_spool_t held;     /* REPLY_HOLD */
    const char *redirect;        /* local: where to go on */
    bool unflushed;
    bool delivered;              /* something of the head went out */
    bool cut_told;
    bool client_gone;
    bool client_stuck;           /* it took no byte in time */
    bool refused;                /* a filter wants no more and has answered */
    bool linger;                 /* wait a moment for what it makes of the
                                    data it has */

    /* all attempts */
    unsigned tries;
    unsigned stale;              /* of them on kept connections, in vain */
    unsigned turn;               /* which address comes first */
    int prefer;                  /* the same address again; -1: any */
    apr_uint64_t failed;         /* a bit for each that failed this request */
    apr_uint64_t overloaded;     /* for each that had no room: it is not asked
                                    again */
    bool went_round;             /* all did, and were asked again */
    bool exclusive;              /* the application does not multiplex */
    uint64_t start_us, queue_us, connect_us, sent_us, first_byte_us;
    uint64_t end_us;             /* FastCgiNgRequestTimeout, or FCNG_NEVER */
    apr_uint32_t app_status;
} fastcgi_ng_task_t;

#define FASTCGI_NG_BUFFER 65536

/* What is known of a request, of each that is made by an internal redirect and
   of each subrequest. */
typedef struct fastcgi_ng_request_t {
    const char *pass;            /* pool of FastCgiNgPass that it belongs to */
    bool authorized;             /* asked here, and granted */
    apr_array_header_t *required; /* what Require has asked */
    fastcgi_ng_answer_t *denial; /* or why not */
    apr_array_header_t *vars;    /* fcng_field: of the grants, also of the
                                    request before; NULL: none */
    struct fastcgi_ng_output_t *output; /* of the output filter, or NULL */
} fastcgi_ng_request_t;

/* mod_fastcgi_ng.c */
const fastcgi_ng_dir_conf_t *fastcgi_ng_dir_conf(request_rec *r);
/* NULL: nothing is known of it. */
fastcgi_ng_request_t *fastcgi_ng_request_find(request_rec *r);
fastcgi_ng_request_t *fastcgi_ng_request_get(request_rec *r);

/* fastcgi_ng_task.c */
fastcgi_ng_task_t *fastcgi_ng_task_create(request_rec *r,
                                          const fastcgi_ng_dir_conf_t *conf,
                                          const fastcgi_ng_app_t *app);
/* To its end, with |params| built; fastcgi_ng_task_end() gives back what it
   holds then. */
void fastcgi_ng_task_run(fastcgi_ng_task_t *task);
/* The same in steps: go() is false when the data that there is was taken and
   more is needed.  cancel() gives back what a task holds that is not over;
   end() what any holds at last. */
void fastcgi_ng_task_begin(fastcgi_ng_task_t *task);
bool fastcgi_ng_task_go(fastcgi_ng_task_t *task);
void fastcgi_ng_task_cancel(fastcgi_ng_task_t *task);
void fastcgi_ng_task_end(fastcgi_ng_task_t *task);
/* Begins the request on |conn|.  FCNG_OK, or an error of the core's. */
int fastcgi_ng_task_submit(const fastcgi_ng_task_t *task,
                           fastcgi_ng_conn_t *conn, void *user,
                           fcng_request **request);

/* fastcgi_ng_pump.c */
/* An attempt that has a connection: to the request's end, or until it needs
   more data. */
void fastcgi_ng_pump(fastcgi_ng_task_t *task);
bool fastcgi_ng_task_goes_on(const fastcgi_ng_task_t *task);
/* Its time is over. */
bool fastcgi_ng_task_is_late(const fastcgi_ng_task_t *task);
/* The response is complete, but for END_REQUEST perhaps. */
bool fastcgi_ng_task_is_whole(const fastcgi_ng_task_t *task);
/* Whether the connection's failure with |err| is the response's too. */
bool fastcgi_ng_task_fails(const fastcgi_ng_task_t *task, int err);

/* fastcgi_ng_responder.c */
#define FASTCGI_NG_CLIENT_GONE 499 /* never sent; what nginx logs */
/* The status for the client of a task that failed; |busy|: it may come again
   later. */
int fastcgi_ng_task_status(const fastcgi_ng_task_t *task, bool *busy);
void fastcgi_ng_retry_after(request_rec *r);
/* Nothing more can be sent, and the log says why. */
void fastcgi_ng_client_gone(request_rec *r);
int fastcgi_ng_respond(request_rec *r, const fastcgi_ng_dir_conf_t *conf,
                       const fastcgi_ng_app_t *app, const char *mount,
                       fastcgi_ng_data_t *data);

/* fastcgi_ng_spool.c: reads and offers as much as has room; FCNG_OK or an
   error of the core, body.status set when it was the client's. */
int fastcgi_ng_body_offer(fastcgi_ng_task_t *task);

/* fastcgi_ng_filter.c */
#define FASTCGI_NG_FILTER_HANDLER "fastcgi-ng-filter:"
void fastcgi_ng_filter_hooks(apr_pool_t *p);
int fastcgi_ng_filter_file(request_rec *r, const fastcgi_ng_dir_conf_t *conf,
                           const fastcgi_ng_app_t *app);

/* fastcgi_ng_output.c: FastCgiNgOutputFilter. */
void fastcgi_ng_output_hooks(apr_pool_t *p);

/* fastcgi_ng_outhead.c */
/* The head of an output filter's task takes the place of the original's. */
void fastcgi_ng_output_head(fastcgi_ng_task_t *task);
/* What is true of the original only. */
void fastcgi_ng_drop_original(request_rec *r);
/* What is to be had again when the original goes out after all. */
typedef struct fastcgi_ng_head_t {
    apr_table_t *headers_out;
    apr_table_t *err_headers_out;
    const char *content_type;
    const char *content_encoding;
    apr_array_header_t *content_languages;
    const char *status_line;
    apr_off_t clength;
    apr_time_t mtime;
    int no_local_copy;
} fastcgi_ng_head_t;
void fastcgi_ng_save_head(request_rec *r, fastcgi_ng_head_t *head);
void fastcgi_ng_restore_head(request_rec *r, const fastcgi_ng_head_t *head);
/* Conditions, ranges and codings of the request, taken from it: fcng_field. */
apr_array_header_t *fastcgi_ng_hide_asking(request_rec *r);
void fastcgi_ng_give_back_asking(request_rec *r,
                                 const apr_array_header_t *hidden);

/* fastcgi_ng_data.c: what a Filter is sent. */
/* |name|: what it is, for the log. */
fastcgi_ng_data_t *fastcgi_ng_data_create(request_rec *r, const char *name,
                                          apr_time_t modified);
void fastcgi_ng_data_add_file(fastcgi_ng_data_t *data, apr_file_t *file,
                              apr_uint64_t start, apr_uint64_t length);
/* Copies the bytes. */
apr_status_t fastcgi_ng_data_add(fastcgi_ng_data_t *data, const char *bytes,
                                 apr_size_t len);
/* FCGI_DATA_LENGTH, of data that begins to be sent before all of it is
   there. */
void fastcgi_ng_data_announce(fastcgi_ng_data_t *data, apr_uint64_t length);
/* Nothing more will be added. */
void fastcgi_ng_data_end(fastcgi_ng_data_t *data);
/* What was added so far. */
apr_uint64_t fastcgi_ng_data_length(const fastcgi_ng_data_t *data);
/* Or FCNG_LENGTH_UNKNOWN. */
apr_uint64_t fastcgi_ng_data_announced(const fastcgi_ng_data_t *data);
/* Seconds since 1970. */
apr_uint64_t fastcgi_ng_data_modified(const fastcgi_ng_data_t *data);
/* These take NULL: no data. */
bool fastcgi_ng_data_fin(const fastcgi_ng_data_t *data); /* all was offered */
bool fastcgi_ng_data_repeatable(const fastcgi_ng_data_t *data);
bool fastcgi_ng_data_replayable(const fastcgi_ng_data_t *data);
void fastcgi_ng_data_rewind(fastcgi_ng_data_t *data);
/* Behind STDIN: reads and offers as much as has room; FCNG_OK or an error of
   the core, task->status set when it was the data's. */
int fastcgi_ng_data_offer(fastcgi_ng_task_t *task);
/* The application has taken all there is, and more is to come. */
bool fastcgi_ng_data_hungry(fastcgi_ng_task_t *task);
/* All of it, from its beginning, to the end of |bb|. */
apr_status_t fastcgi_ng_data_pass(fastcgi_ng_data_t *data,
                                  apr_bucket_brigade *bb);

/* fastcgi_ng_env.c: OK or an HTTP status. */
int fastcgi_ng_env_build(fastcgi_ng_task_t *task);

/* fastcgi_ng_reply.c: the CGI head and the way to the client. */
void fastcgi_ng_reply_init(fastcgi_ng_task_t *task);
int fastcgi_ng_reply_stdout(fastcgi_ng_task_t *task, fcng_str bytes);
/* Passes what is there; |flush|: all the way to the client. */
void fastcgi_ng_reply_pass(fastcgi_ng_task_t *task, bool flush);
void fastcgi_ng_reply_finish(fastcgi_ng_task_t *task);
void fastcgi_ng_reply_break(fastcgi_ng_task_t *task);

/* fastcgi_ng_authorizer.c */
void fastcgi_ng_authorizer_hooks(apr_pool_t *p);
/* The head of an answer is complete: FCNG_OK, or what is wrong with it. */
int fastcgi_ng_answer_head(fastcgi_ng_task_t *task);
void fastcgi_ng_answer_body(fastcgi_ng_task_t *task, const char *data,
                            apr_size_t len);
fastcgi_ng_answer_t *fastcgi_ng_ask(request_rec *r, const char *pool,
                                    fastcgi_ng_question_t *question);
/* The variables of a grant count from now on. */
void fastcgi_ng_grant(request_rec *r, const fastcgi_ng_answer_t *answer);
/* What the Authorizers of this request say a variable is, or NULL. */
const char *fastcgi_ng_auth_var(request_rec *r, const char *name);

/* fastcgi_ng_denial.c: the application's answer in the place of httpd's. */
void fastcgi_ng_denial_hooks(apr_pool_t *p);
/* The status to return for a denial or a failure. */
int fastcgi_ng_deny(request_rec *r, fastcgi_ng_answer_t *answer);
/* Should Require deny, this is what the client gets. */
void fastcgi_ng_deny_required(request_rec *r, fastcgi_ng_answer_t *answer);

/* fastcgi_ng_authz.c: Require, AuthBasicProvider and the hooks that
   mod_fcgid and mod_fastcgi have. */
void fastcgi_ng_authz_hooks(apr_pool_t *p);

/* ---------------------------------------------------------------- logs --- */

/* fastcgi_ng_log.c: "FCNG003: unix:/run/app.sock: ..." */
void fastcgi_ng_log(const fastcgi_ng_task_t *task, int level,
                    enum fcng_msg msg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void fastcgi_ng_log_stderr(fastcgi_ng_task_t *task, fcng_str bytes);
void fastcgi_ng_log_stderr_end(fastcgi_ng_task_t *task);
void fastcgi_ng_log_failure(const fastcgi_ng_task_t *task);
void fastcgi_ng_notes(fastcgi_ng_task_t *task);

/* ---------------------------------------------------------------- pool --- */

struct fastcgi_ng_backend_t {
    const fastcgi_ng_address_t *address;
    fastcgi_ng_child_t *child;
    apr_thread_mutex_t *mutex; /* all below */
    fcng_pool *pool;
    fcng_seat *seat;           /* NULL: its numbers are not shared */
    fastcgi_ng_conn_t *idle;
    fastcgi_ng_conn_t *shared; /* those that requests share */
    fastcgi_ng_stream_t *spare;
    fastcgi_ng_kept_t kept;
    fastcgi_ng_chime_t *chime; /* of who holds it; NULL: bells ring at once */
    atomic_uint ringing;       /* threads that ring without it: none of these
                                  bells is closed meanwhile */
    bool asks;                 /* GET_VALUES is to be sent */
    fcng_health health;
    fcng_outage outage;
    fcng_authz_peer authz;     /* of Authorizers there */
    fcng_rate stderr_rate;
    struct addrinfo *names;    /* what the host name stands for */
    uint64_t names_us;
    unsigned ahead;            /* to be opened for no request yet */
    bool ahead_told;           /* that this failed */
};

struct fastcgi_ng_child_t {
    apr_pool_t *pool;
    server_rec *server;
    apr_array_header_t *backends; /* fastcgi_ng_backend_t * */
    atomic_bool stopping;         /* nothing is kept any more */
    atomic_bool aborting;         /* nor is any request served to its end */
    struct fastcgi_ng_service_t *service;
    struct fastcgi_ng_ahead_t *ahead; /* NULL: nothing is opened ahead */
    struct fastcgi_ng_mux_t *mux; /* NULL: nothing is shared */
    struct fastcgi_ng_shared_t *shared;
    fcng_share *share;            /* NULL: this process is alone */
    bool in_use;                  /* a backend outlived its requests' end */
};

/* A watched connection became readable, or (|write|) takes bytes. */
typedef void fastcgi_ng_ready_t(fastcgi_ng_backend_t *backend,
                                fastcgi_ng_conn_t *conn, bool read,
                                bool write);

/* fastcgi_ng_child.c */
apr_status_t fastcgi_ng_child_create(apr_pool_t *pchild, server_rec *s);

/* fastcgi_ng_acquire.c */
/*
 * A connection for |task|: task->conn, busy, idle before or new.  FCNG_OK, or
 * FCNG_AGAIN (|room|: it would have to wait), FCNG_ERR_CONNECT (told and
 * counted), FCNG_ERR_QUEUE_FULL, FCNG_ERR_QUEUE_TIMEOUT, FCNG_ERR_NOMEM,
 * FCNG_ERR_CLOSED (the client has gone), FCNG_ERR_TIMEOUT (the request has
 * used up its time).
 */
typedef struct fastcgi_ng_ask_t {
    enum fcng_pool_need need;
    bool room;    /* not in a queue */
    bool patient; /* there is no other server: wait for one that restarts */
} fastcgi_ng_ask_t;
int fastcgi_ng_backend_acquire(fastcgi_ng_task_t *task,
                               const fastcgi_ng_ask_t *ask);
/* With the mutex held: those that wait go on. */
void fastcgi_ng_backend_serve(fastcgi_ng_backend_t *backend, uint64_t now);

/* fastcgi_ng_pool.c */
/* The server as |task| sees it. */
void fastcgi_ng_backend_look(fastcgi_ng_backend_t *backend,
                             fcng_candidate *candidate);
/* Requests share connections there, for all that is known now. */
bool fastcgi_ng_backend_shares(fastcgi_ng_backend_t *backend);
void fastcgi_ng_backend_first_byte(fastcgi_ng_task_t *task);
/* A record of the application came: the server is in good health. */
void fastcgi_ng_backend_answered(fastcgi_ng_task_t *task);
/* Gives task->conn back, kept or closed, and counts how the attempt ended;
   |retried|: and that another one follows a failure. */
void fastcgi_ng_backend_release(fastcgi_ng_task_t *task, bool reusable,
                                const fcng_outcome *outcome,
                                enum fcng_counter counter, bool retried);
/* What the sizes of its responses are known by. */
fcng_str fastcgi_ng_task_path(const fastcgi_ng_task_t *task);
/* With the mutex held, as all that follow: into the list of idle ones and out
   of it, where true means that the service thread polls it and must be
   told. */
void fastcgi_ng_idle_add(fastcgi_ng_backend_t *backend,
                         fastcgi_ng_conn_t *conn);
bool fastcgi_ng_idle_remove(fastcgi_ng_backend_t *backend,
                            fastcgi_ng_conn_t *conn);
/* One that the pool has forgotten, or does not know yet. */
void fastcgi_ng_backend_close(fastcgi_ng_conn_t *conn);
/* By the application, with nothing to answer. */
void fastcgi_ng_conn_was_closed(const fastcgi_ng_conn_t *conn, uint64_t now);
/* When something is to be done again. */
uint64_t fastcgi_ng_backend_due(const fastcgi_ng_backend_t *backend,
                                uint64_t now);
/* NULL: no memory. */
fastcgi_ng_conn_t *fastcgi_ng_conn_new(fastcgi_ng_backend_t *backend, int fd,
                                       uint32_t max_streams);
/* The server failed this request. */
void fastcgi_ng_backend_failed(fastcgi_ng_task_t *task, uint64_t now);

/* fastcgi_ng_idle.c */
void fastcgi_ng_child_close_idle(fastcgi_ng_child_t *child);
/* What is due: idle connections that are too old, waiters. */
void fastcgi_ng_backend_expire(fastcgi_ng_backend_t *backend);
/* One of the connections that expire() has found missing; false: there are
   enough. */
bool fastcgi_ng_backend_open_ahead(fastcgi_ng_backend_t *backend);
/* Drops |conn| when it is idle and no longer alive. */
fastcgi_ng_ready_t fastcgi_ng_backend_recheck;

/* fastcgi_ng_mux.c: connections that requests share. */
/* With the mutex held: a new one is to be read from now on; or is none any
   more. */
void fastcgi_ng_mux_add(fastcgi_ng_conn_t *conn);
void fastcgi_ng_mux_remove(fastcgi_ng_conn_t *conn);
/* With the mutex held: |task|, which the pool has put on it, begins there, as
   task->stream; FCNG_OK, or why not. */
int fastcgi_ng_mux_begin(fastcgi_ng_task_t *task, fastcgi_ng_conn_t *conn,
                         uint64_t now);
/* With the mutex held: writes what there is on all of them. */
void fastcgi_ng_mux_flush(fastcgi_ng_backend_t *backend);
/* With the mutex held: the request leaves its connection, cancelled if it is
   not over. */
void fastcgi_ng_mux_leave(fastcgi_ng_backend_t *backend,
                          fastcgi_ng_stream_t *stream, uint64_t now);
/* With the mutex held: whether a connection may be joined; one that nobody
   uses may have been closed a moment ago, and is forgotten then. */
bool fastcgi_ng_mux_lives(fastcgi_ng_conn_t *conn);
/* With the mutex held, when the stream's thread is about to wait or has got
   something: the descriptor that it is to read while it waits, or -1. */
int fastcgi_ng_mux_reads(fastcgi_ng_stream_t *stream);
/* That descriptor is readable. */
void fastcgi_ng_mux_read(fastcgi_ng_task_t *task);
/* With the mutex held, for the mux thread: writes what there is (false: the
   connection is dead and closed); reads once, into |buf| of FASTCGI_NG_BUFFER,
   for all streams; does what follows from that (false: it is closed). */
bool fastcgi_ng_mux_write(fastcgi_ng_conn_t *conn);
void fastcgi_ng_mux_read_conn(fastcgi_ng_conn_t *conn, char *buf);
bool fastcgi_ng_mux_settle(fastcgi_ng_conn_t *conn, uint64_t now);
/* With the mutex held: the thread of |stream| has taken what was there. */
void fastcgi_ng_mux_took(fastcgi_ng_stream_t *stream);
/* With the mutex held: whether |conn| is not read now, for a stream whose
   thread does not take what comes.  Ends that when its time is up. */
bool fastcgi_ng_mux_pauses(fastcgi_ng_conn_t *conn, uint64_t now);

/* fastcgi_ng_mux_thread.c: the thread that reads where no request's does. */
apr_status_t fastcgi_ng_mux_start(fastcgi_ng_child_t *child);
void fastcgi_ng_mux_stop(fastcgi_ng_child_t *child);
/* A connection is new, its socket is full, or it was the last one. */
void fastcgi_ng_mux_wake(fastcgi_ng_child_t *child);

/* fastcgi_ng_stream.c: the request's side of it. */
/* With the mutex held: a stream, or NULL; and what is given back, to be used
   again. */
fastcgi_ng_stream_t *fastcgi_ng_stream_new(fastcgi_ng_backend_t *backend);
void fastcgi_ng_stream_del(fastcgi_ng_backend_t *backend,
                           fastcgi_ng_stream_t *stream);
/* With the mutex held, by the mux thread or behind its end: those that were to
   be used again. */
void fastcgi_ng_stream_free(fastcgi_ng_backend_t *backend);
/* With the mutex held: something has happened. */
void fastcgi_ng_stream_wake(fastcgi_ng_backend_t *backend,
                            fastcgi_ng_stream_t *stream);
/* The mutex, where streams are woken: their bells ring when it is free again,
   for that is what they want first of all. */
void fastcgi_ng_lock(fastcgi_ng_backend_t *backend,
                     fastcgi_ng_chime_t *chime);
void fastcgi_ng_unlock(fastcgi_ng_backend_t *backend,
                       fastcgi_ng_chime_t *chime);
/* Writes what was offered. */
void fastcgi_ng_stream_push(fastcgi_ng_task_t *task);
/* What has come, if anything, goes to the client; else false, and the thread
   may wait for the bell. */
bool fastcgi_ng_stream_pull(fastcgi_ng_task_t *task);
/* After a pull() in vain, if nothing but the application is waited for, and
   not for long yet: sleeps.  False: it has not. */
bool fastcgi_ng_stream_nap(fastcgi_ng_task_t *task, uint64_t until_us);
/* How much of the request has left by now. */
void fastcgi_ng_stream_look(fastcgi_ng_task_t *task);
/* The request is over. */
void fastcgi_ng_stream_end(fastcgi_ng_task_t *task, fcng_outcome *outcome);
/* STDIN and DATA on either kind of connection, as the core's functions of
   these names. */
int fastcgi_ng_flow_offer(const fastcgi_ng_task_t *task,
                          enum fcng_stream stream, const void *data,
                          apr_size_t len, bool fin);
apr_uint64_t fastcgi_ng_flow_sent(const fastcgi_ng_task_t *task);
apr_uint64_t fastcgi_ng_flow_offered(const fastcgi_ng_task_t *task);

/* fastcgi_ng_values.c: asks the application, if that is due, whether it
   multiplexes. */
bool fastcgi_ng_backend_ask_values(fastcgi_ng_backend_t *backend);

/* fastcgi_ng_shared.c: what the processes of the server share. */
/* In the parent: memory and bells, once. */
void fastcgi_ng_shared_prepare(apr_pool_t *ptemp, server_rec *main_server);
/* In a child: child->share, or NULL after telling. */
void fastcgi_ng_shared_join(fastcgi_ng_child_t *child);
void fastcgi_ng_shared_leave(fastcgi_ng_child_t *child);
/* The seat at |address|, or NULL. */
fcng_seat *fastcgi_ng_shared_attach(fastcgi_ng_child_t *child,
                                    const fastcgi_ng_address_t *address);
/* What other processes ring for this one, or NULL. */
const fastcgi_ng_bell_t *fastcgi_ng_shared_bell(
    const fastcgi_ng_child_t *child);

/* fastcgi_ng_status.c */
int fastcgi_ng_status(request_rec *r, fastcgi_ng_child_t *child);
void fastcgi_ng_status_hooks(apr_pool_t *p); /* a section in mod_status */

/* fastcgi_ng_service.c */
/* A thread that no signal reaches. */
apr_status_t fastcgi_ng_thread_start(apr_thread_t **thread,
                                     apr_thread_start_t run, void *data,
                                     apr_pool_t *pool);
/* Ends one that waits on |watch| and looks at |stop| each time it wakes. */
void fastcgi_ng_thread_stop(apr_thread_t *thread, atomic_bool *stop,
                            fastcgi_ng_watch_t *watch);
apr_status_t fastcgi_ng_service_start(fastcgi_ng_child_t *child);
void fastcgi_ng_service_stop(fastcgi_ng_child_t *child);
/* The thread sleeps no longer than |at_us|. */
void fastcgi_ng_service_at(fastcgi_ng_child_t *child, uint64_t at_us);
/* Its set of descriptors is no longer right. */
void fastcgi_ng_service_wake(fastcgi_ng_child_t *child);

/* fastcgi_ng_ahead.c */
apr_status_t fastcgi_ng_ahead_start(fastcgi_ng_child_t *child);
void fastcgi_ng_ahead_stop(fastcgi_ng_child_t *child);
void fastcgi_ng_ahead_wake(fastcgi_ng_child_t *child);

/* ------------------------------------------------------------------ io --- */

/* fastcgi_ng_io.c and fastcgi_ng_watch.c: the only files that touch a
   descriptor. */

uint64_t fastcgi_ng_now(void); /* microseconds, monotonic */

typedef struct fastcgi_ng_dial_t {
    fastcgi_ng_backend_t *backend;
    fastcgi_ng_task_t *task; /* NULL: no request waits for it */
    uint64_t begun_us;
    uint64_t deadline_us;
    bool patient;   /* nowhere else to go: wait for one that restarts */
    int error;      /* errno of the last try */
    bool timed_out;
    bool resolved;  /* false: the host name does not resolve */
    const char *what; /* the resolver's words */
} fastcgi_ng_dial_t;

/* A descriptor, or -1. */
int fastcgi_ng_io_connect(fastcgi_ng_dial_t *dial);
/* Cause and cure of a failed connect. */
void fastcgi_ng_io_hint(const fastcgi_ng_dial_t *dial, char *out,
                        apr_size_t len);
void fastcgi_ng_io_close(int fd);
/* Tells of a host name that does not resolve now. */
void fastcgi_ng_io_check_name(const fastcgi_ng_app_t *app,
                              const fastcgi_ng_address_t *address,
                              server_rec *s);
void fastcgi_ng_io_forget_names(fastcgi_ng_backend_t *backend);

enum fastcgi_ng_probe {
    FASTCGI_NG_ALIVE,
    FASTCGI_NG_CLOSED,
    FASTCGI_NG_STRAY /* bytes nobody asked for */
};
enum fastcgi_ng_probe fastcgi_ng_io_probe(int fd);

/* APR_SUCCESS: all was written; APR_EAGAIN; or why not. */
apr_status_t fastcgi_ng_io_send(fastcgi_ng_conn_t *conn, apr_size_t *sent);
/* APR_SUCCESS with *len > 0, APR_EAGAIN, APR_EOF, or why not.  |linger|: waits
   up to FASTCGI_NG_LINGER_US in the read itself. */
#define FASTCGI_NG_LINGER_US 50000
apr_status_t fastcgi_ng_io_recv(fastcgi_ng_conn_t *conn, char *buf,
                                apr_size_t *len, bool linger);

apr_status_t fastcgi_ng_io_read_at(apr_file_t *file, apr_uint64_t at,
                                   char *out, apr_size_t len);

void fastcgi_ng_io_client(fastcgi_ng_client_t *client, conn_rec *c);
/* The client has closed its connection or reset its stream. */
bool fastcgi_ng_io_client_gone(const fastcgi_ng_task_t *task);

typedef struct fastcgi_ng_wait_t {
    bool write;        /* in: the application's socket is full */
    bool client;       /* in: the client's body is awaited */
    uint64_t until_us; /* in */
    bool client_gone;  /* out */
    bool timed_out;    /* out */
    bool readable;     /* out: what read_fd of the task is */
} fastcgi_ng_wait_t;

/* Whether the client takes bytes now; else waits until it takes some, or
   |sends| some, or the time is up. */
bool fastcgi_ng_io_client_takes(const fastcgi_ng_client_t *client,
                                bool sends, uint64_t until_us);
/* Waits for the application (on a shared connection for the bell), the client,
   or the time. */
void fastcgi_ng_io_wait(const fastcgi_ng_task_t *task,
                        fastcgi_ng_wait_t *wait);

/* fastcgi_ng_watch.c */

/* False: no descriptors; such a bell may be rung and closed. */
bool fastcgi_ng_bell_open(fastcgi_ng_bell_t *bell);
void fastcgi_ng_bell_ring(const fastcgi_ng_bell_t *bell);
void fastcgi_ng_bell_quiet(const fastcgi_ng_bell_t *bell);
void fastcgi_ng_bell_close(fastcgi_ng_bell_t *bell);
/* Whether there are naps. */
bool fastcgi_ng_nap_works(void);
/* Until fastcgi_ng_nap_end(), but no longer than |us|; false: so long. */
bool fastcgi_ng_nap(fastcgi_ng_nap_t *nap, uint64_t us);
void fastcgi_ng_nap_end(fastcgi_ng_nap_t *nap);
/* Sleeps until |bell| rings, the client leaves or |ms| have passed.  False:
   the client has left. */
bool fastcgi_ng_bell_wait(const fastcgi_ng_bell_t *bell,
                          const fastcgi_ng_task_t *task, int ms);

/* |shared|: another bell that ends the waiting, or NULL. */
fastcgi_ng_watch_t *fastcgi_ng_watch_create(apr_pool_t *pool,
                                            const fastcgi_ng_bell_t *shared);
void fastcgi_ng_watch_wake(fastcgi_ng_watch_t *watch);
void fastcgi_ng_watch_clear(fastcgi_ng_watch_t *watch);
/* How many are watched. */
unsigned fastcgi_ng_watch_count(const fastcgi_ng_watch_t *watch);
/* |write|: until it takes bytes, too.  False: no memory. */
bool fastcgi_ng_watch_add(fastcgi_ng_watch_t *watch, fastcgi_ng_conn_t *conn,
                          bool read, bool write);
/* Calls |ready| for each of them that is. */
void fastcgi_ng_watch_wait(fastcgi_ng_watch_t *watch, uint64_t until_us,
                           fastcgi_ng_ready_t *ready);

#endif
