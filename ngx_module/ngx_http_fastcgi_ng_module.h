/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the nginx adapter share.
 *
 * A request goes down like this:
 *
 *   ngx_http_upstream      as over any CGI-like protocol: plain bytes
 *     stream               the fake connection that it talks to
 *       fcng_conn          records (the core)
 *         link             the real connection
 *
 * and the pool says which link a stream gets.
 */


#ifndef _NGX_HTTP_FASTCGI_NG_MODULE_H_INCLUDED_
#define _NGX_HTTP_FASTCGI_NG_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_event_connect.h>
#include <ngx_http.h>

#include <fcng/fcng.h>


typedef struct ngx_http_fastcgi_ng_stream_s  ngx_http_fastcgi_ng_stream_t;
typedef struct ngx_http_fastcgi_ng_link_s    ngx_http_fastcgi_ng_link_t;
typedef struct ngx_http_fastcgi_ng_pool_s    ngx_http_fastcgi_ng_pool_t;
typedef struct ngx_http_fastcgi_ng_block_s   ngx_http_fastcgi_ng_block_t;
typedef struct ngx_http_fastcgi_ng_auth_s    ngx_http_fastcgi_ng_auth_t;
typedef struct ngx_http_fastcgi_ng_grant_s   ngx_http_fastcgi_ng_grant_t;
typedef struct ngx_http_fastcgi_ng_question_s  ngx_http_fastcgi_ng_question_t;
typedef struct ngx_http_fastcgi_ng_reading_s   ngx_http_fastcgi_ng_reading_t;
typedef struct ngx_http_fastcgi_ng_output_conf_s
    ngx_http_fastcgi_ng_output_conf_t;


/* configuration */

/* One fastcgi_ng_param, or a run of those that never change. */
typedef struct {
    ngx_str_t                   name;
    ngx_str_t                   encoded;     /* of constants: pairs */
    ngx_int_t                   variable;    /* index, when the value is one */
    ngx_http_complex_value_t   *value;
    ngx_uint_t                  if_not_empty;  /* unsigned  :1; */
} ngx_http_fastcgi_ng_param_t;


typedef struct {
    ngx_array_t                 list;        /* ngx_http_fastcgi_ng_param_t */
    uint32_t                    skip;        /* defaults that are replaced */
    fcng_str                   *taken;       /* HTTP_* names that are set */
    size_t                      ntaken;
    ngx_uint_t                  ready;       /* unsigned  :1; */
} ngx_http_fastcgi_ng_params_t;


typedef struct {
    ngx_array_t                 caches;      /* ngx_http_file_cache_t * */
    ngx_array_t                 locations;
                                      /* ngx_http_fastcgi_ng_loc_conf_t * */
    ngx_int_t                   document_root;  /* index of the variable */
    ngx_shm_zone_t             *zone;           /* NULL: nothing is ours */
    ngx_uint_t                  status;         /* unsigned  :1; */
    ngx_uint_t                  authorizers;    /* unsigned  :1; */
    ngx_uint_t                  file_filters;   /* unsigned  :1; */
    ngx_uint_t                  output_filters; /* unsigned  :1; */
    ngx_int_t                   request_method;
} ngx_http_fastcgi_ng_main_conf_t;


/* What stands in an upstream{} block. */
typedef struct {
    fcng_pool_options           pool;

    /* of this worker */
    ngx_uint_t                  active;          /* have a server */
    ngx_uint_t                  nwaiting;        /* for one (max_conns) */
    ngx_queue_t                 waiting;
    ngx_event_t                 look;
    ngx_connection_t            ident;           /* look.data */
} ngx_http_fastcgi_ng_srv_conf_t;


typedef struct {
    ngx_http_upstream_conf_t    upstream;

    ngx_array_t                *pass_lengths;
    ngx_array_t                *pass_values;

    ngx_array_t                *params_source;
    ngx_http_fastcgi_ng_params_t   params;
    ngx_http_fastcgi_ng_params_t   params_filter;
#if (NGX_HTTP_CACHE)
    ngx_http_fastcgi_ng_params_t   params_cache;
    ngx_http_complex_value_t    cache_key;
#endif

    ngx_str_t                   index;
    ngx_str_t                   script;
#if (NGX_PCRE)
    ngx_regex_t                *split_regex;
    ngx_str_t                   split_name;
#endif

    ngx_array_t                *catch_stderr;
    size_t                      header_max_size;
    ngx_msec_t                  request_timeout;
    ngx_uint_t                  stderr_level;
    ngx_uint_t                  stderr_rate;
    fcng_rate                   stderr_limit;    /* of this worker */

    ngx_flag_t                  default_params;
    ngx_flag_t                  mount;
    ngx_flag_t                  check_script;
    ngx_flag_t                  keep_conn;

    fcng_pool_options           pool;

    /* fastcgi_ng_authorizer; each has a configuration like this of its own */
    enum fcng_role              role;
    ngx_array_t                *authorizers;
                                      /* ngx_http_fastcgi_ng_authorizer_t */
    ngx_array_t                *authorizer_params;
    ngx_msec_t                  authorizer_connect_timeout;
    ngx_msec_t                  authorizer_send_timeout;
    ngx_msec_t                  authorizer_read_timeout;
    size_t                      authorizer_buffer_size;
    ngx_flag_t                  authorizer_intercept_errors;
    ngx_flag_t                  authorizer_stdin;

    /* fastcgi_ng_output_filter */
    ngx_http_fastcgi_ng_output_conf_t  *output;      /* NULL: off */
    ngx_hash_t                  output_types;
    ngx_array_t                *output_types_keys;
    off_t                       output_max_size;
    ngx_uint_t                  output_on_error;
    ngx_uint_t                  of_output;           /* unsigned  :1; */

    /* the pool used last; valid while the generation is the same */
    ngx_http_fastcgi_ng_pool_t *last_pool;
    ngx_uint_t                  generation;

    ngx_str_t                       file;  /* where the block begins */
    ngx_uint_t                      line;
} ngx_http_fastcgi_ng_loc_conf_t;


typedef struct {
    ngx_str_t                        name;       /* as it was written */
    ngx_http_upstream_srv_conf_t    *upstream;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
} ngx_http_fastcgi_ng_authorizer_t;


/* fastcgi_ng_output_filter_on_error */
#define NGX_HTTP_FASTCGI_NG_FAIL  0
#define NGX_HTTP_FASTCGI_NG_PASS  1


struct ngx_http_fastcgi_ng_output_conf_s {
    ngx_str_t                        name;       /* as it was written */
    ngx_http_upstream_srv_conf_t    *upstream;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
};


/*
 * Takes the place of the upstream{} of a location (postconfiguration), so that
 * peer.init is ours.  The original is asked for everything else: its peer.data
 * moves when it has a zone.
 */
typedef struct {
    ngx_http_upstream_srv_conf_t     conf;       /* must be the first */
    ngx_http_upstream_srv_conf_t    *original;   /* NULL: see resolved */
    ngx_http_upstream_resolved_t    *resolved;
    fcng_pool_options               *pool;
} ngx_http_fastcgi_ng_upstream_t;


/* a request */

/* fastcgi_ng_request_timeout: an event with a timer needs a connection. */
typedef struct {
    ngx_event_t                      event;
    ngx_connection_t                 ident;
    ngx_msec_t                       start;
} ngx_http_fastcgi_ng_timeout_t;


/* What each step of a request looks at stands together. */
typedef struct {
    fcng_head                        head;
    fcng_lines                      *lines;

    ngx_http_request_t              *request;
    ngx_http_fastcgi_ng_stream_t    *stream;
    ngx_http_fastcgi_ng_question_t  *question;       /* of an authorizer */

    /* what u->conf was before OVERLOADED changed it */
    ngx_http_upstream_conf_t        *upstream_conf;

    /* what process_header is to answer in place of a head */
    ngx_int_t                        signal;

    uint16_t                         stream_id;

    unsigned                         queued:1;
    unsigned                         connected:1;
    unsigned                         answered:1;
    unsigned                         ended:1;
    unsigned                         reused:1;

    unsigned                         split:1;
    unsigned                         fresh:1;        /* no kept connection */
    unsigned                         alone:1;        /* no other server */
    unsigned                         repeated:1;     /* on the only server */
    unsigned                         pause:1;        /* before connecting */
    unsigned                         unbuffered:1;   /* last_buf ends STDIN */
    unsigned                         last_buf:1;
    unsigned                         inner_used:1;
    unsigned                         resolved:1;
    unsigned                         in_get:1;
    unsigned                         drain:1;
    unsigned                         timed_out:1;
    unsigned                         bad_head:1;     /* or a short body */
    unsigned                         was_stale:1;    /* the last attempt */
    unsigned                         exclusive:1;    /* shares no connection */
    unsigned                         taken:1;        /* the question's answer */
    unsigned                         whole:1;        /* to END_REQUEST */
    unsigned                         refused:1;      /* by us, with 503 */
    unsigned                         filter:1;       /* |data| is to be sent */

    uint32_t                         app_status;
    off_t                            stdin_length;   /* -1: unknown */

    /* of a Filter */
    ngx_chain_t                     *data;           /* at most one file */
    off_t                            data_length;
    time_t                           data_modified;
    ngx_int_t                        ended_with;     /* nginx's result */

    /* the balancer below us */
    ngx_http_fastcgi_ng_upstream_t  *upstream;
    ngx_event_get_peer_pt            inner_get;
    ngx_event_free_peer_pt           inner_free;
    ngx_event_notify_peer_pt         inner_notify;
    void                            *inner_data;
    ngx_resolver_ctx_t              *resolver;

    ngx_http_fastcgi_ng_timeout_t   *timeout;        /* of the whole request */
    ngx_uint_t                       attempts;

    /* for the log */
    ngx_str_t                       *pool_name;
    ngx_msec_t                       queue_time;
    ngx_msec_t                       connect_time;
    ngx_msec_t                       first_byte_time;

    ngx_str_t                        script_name;
    ngx_str_t                        path_info;
    ngx_str_t                        script_filename;
} ngx_http_fastcgi_ng_ctx_t;


/* Memory, then a temporary file: spool.c. */
typedef struct {
    ngx_chain_t                     *chain;
    ngx_chain_t                     *last;
    ngx_temp_file_t                 *file;
    off_t                            size;
    size_t                           memory;
    ngx_path_t                      *path;
    char                            *warn;
} ngx_http_fastcgi_ng_spool_t;


/* A grant, to be used again for the same question. */
struct ngx_http_fastcgi_ng_grant_s {
    ngx_http_upstream_srv_conf_t    *upstream;
    ngx_str_t                        params;
    ngx_array_t                      vars;        /* fcng_field */
};


/* What is known of a main request. */
struct ngx_http_fastcgi_ng_auth_s {
    ngx_uint_t                       index;       /* of the list, being asked */
    ngx_http_fastcgi_ng_question_t  *question;
    ngx_array_t                      grants;
    ngx_array_t                      now;         /* set by this list so far */
    ngx_array_t                      vars;        /* set by any: fcng_field */
};


/* What an authorizer is asked for one request, and its answer. */
struct ngx_http_fastcgi_ng_question_s {
    ngx_http_fastcgi_ng_auth_t      *auth;
    ngx_http_fastcgi_ng_authorizer_t  *authorizer;
    ngx_http_request_t              *request;     /* the subrequest */

    ngx_buf_t                       *params;
    ngx_array_t                      vars;        /* fcng_field */

    enum fcng_authz                  verdict;
    ngx_int_t                        status;      /* of a failure */

    ngx_http_fastcgi_ng_spool_t      body;        /* of a denial */

    ngx_http_fastcgi_ng_grant_t     *known;       /* was granted before */

    unsigned                         done:1;
    unsigned                         no_stdin:1;  /* by what is known */
    unsigned                         broken:1;    /* variables, size */
    unsigned                         retry_after:1;
};


/* Of a response to be filtered; the rest is in a temporary file. */
#define NGX_HTTP_FASTCGI_NG_OUTPUT_MEMORY  65536


/* fastcgi_ng_output_filter: a response on its way through an application */

typedef enum {
    NGX_HTTP_FASTCGI_NG_COLLECT = 0,   /* the original */
    NGX_HTTP_FASTCGI_NG_ASK,           /* no head of the application's yet */
    NGX_HTTP_FASTCGI_NG_SEND,          /* its response */
    NGX_HTTP_FASTCGI_NG_UNFILTERED,    /* the original, as it is */
    NGX_HTTP_FASTCGI_NG_DROP           /* an error, see |status| */
} ngx_http_fastcgi_ng_output_e;


typedef struct {
    ngx_http_fastcgi_ng_output_e     state;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
    ngx_http_request_t              *request;     /* the subrequest */

    ngx_http_fastcgi_ng_spool_t      spool;
    ngx_uint_t                       nheaders;    /* of the original */
    time_t                           modified;
    ngx_int_t                        status;      /* instead of a response */
    ngx_output_chain_ctx_t          *out;         /* of the spool */

    unsigned                         in_memory:1; /* was set before us */
    unsigned                         over:1;      /* the original */
    unsigned                         header_sent:1;
    unsigned                         retry_after:1;
} ngx_http_fastcgi_ng_output_t;


/* the fake connection of one attempt */

typedef enum {
    NGX_HTTP_FASTCGI_NG_WAITING = 0,   /* for a name or in the queue */
    NGX_HTTP_FASTCGI_NG_CONNECTING,
    NGX_HTTP_FASTCGI_NG_READY,
    NGX_HTTP_FASTCGI_NG_OVER,          /* END_REQUEST, or STDOUT has ended */
    NGX_HTTP_FASTCGI_NG_FAILED,
    NGX_HTTP_FASTCGI_NG_SYNTHETIC      /* answers by itself */
} ngx_http_fastcgi_ng_state_e;


struct ngx_http_fastcgi_ng_stream_s {
    ngx_connection_t                 connection;     /* must be the first */
    ngx_event_t                      read;
    ngx_event_t                      write;
    ngx_event_t                      kick;

    /* what each step looks at: together, since many streams lie between two
       steps of one, and each line has left the caches */

    ngx_http_fastcgi_ng_state_e      state;

    unsigned                         reserved:1;     /* a place in the pool */
    unsigned                         counted:1;      /* as a request */
    unsigned                         stale:1;        /* the link was dead */
    unsigned                         told:1;         /* the end or an error */
    unsigned                         waiting:1;      /* for a server */
    unsigned                         called:1;       /* after that */
    unsigned                         stdout_end:1;
    unsigned                         deaf:1;         /* takes no more STDIN */
    unsigned                         sham_timer:1;   /* see stream_ready */
    unsigned                         timing:1;       /* |timer| is set */
    unsigned                         paused:1;       /* before it asks again */
    unsigned                         patient:1;      /* |patience| is used */

    unsigned                         shared:1;
    unsigned                         early:1;   /* not sent by nginx itself */
    unsigned                         written:1; /* before peer.get answers */
    unsigned                         unsent:1;
    unsigned                         blocked:1; /* has more of a body */
    unsigned                         overrun:1;
    unsigned                         spilling:1; /* what comes goes there */
    unsigned                         blamed:1;  /* for the link's death */
    unsigned                         blameless:1;

    ngx_http_request_t              *request;
    ngx_http_fastcgi_ng_ctx_t       *ctx;
    ngx_http_fastcgi_ng_loc_conf_t  *conf;
    ngx_http_fastcgi_ng_pool_t      *pool;
    ngx_http_fastcgi_ng_link_t      *link;
    fcng_request                    *fcng;
    off_t                            received;
    ngx_msec_t                       started;        /* on the link */
    ngx_msec_t                       left;           /* if |patient| */
    ngx_queue_t                      patience;

    /* on a link that several share: mux.c */
    ngx_http_fastcgi_ng_block_t     *in;             /* not taken by nginx */
    ngx_http_fastcgi_ng_block_t     *in_last;
    ngx_queue_t                      member;
    ngx_queue_t                      sending;

    /* the rest */

    ngx_http_fastcgi_ng_stream_t    *next;           /* free list */
    ngx_http_fastcgi_ng_reading_t   *reading;        /* in a thread */
    fcng_pool_wait                   wait;
    ngx_queue_t                      queue;          /* waits for a server */

    ngx_int_t                        write_rc;       /* if |written| */
    uint64_t                         reported;       /* STDIN passed as sent */
    ngx_str_t                        synthetic;
    ngx_msec_t                       start;
    ngx_msec_t                       connect_start;
    ngx_uint_t                       connect_failures;
    ngx_err_t                        connect_err;

    int                              error;          /* enum fcng_err */
    enum fcng_pool_need              need;

    ngx_msec_t                       overrun_start;
    ngx_file_t                      *spill;          /* what is behind |in| */
    off_t                            spill_in;
    off_t                            spill_out;

    /* not cleared for each request: seldom used */
    ngx_event_t                      timer;
};


/* active == !ready, always: see stream.c */
#define ngx_http_fastcgi_ng_set(ev, is_ready)                                 \
    (ev)->ready = (is_ready);                                                 \
    (ev)->active = !(is_ready)


/* Where the response's bytes go. */
typedef struct {
    ngx_chain_t  *chain;
    u_char       *pos;
    size_t        left;
    size_t        done;
} ngx_http_fastcgi_ng_dest_t;


#define NGX_HTTP_FASTCGI_NG_BLOCK  16384

struct ngx_http_fastcgi_ng_block_s {
    ngx_http_fastcgi_ng_block_t     *next;
    u_char                          *pos;
    u_char                          *last;
    ngx_uint_t                       spilled;  /* it was in the file */
    u_char                           data[NGX_HTTP_FASTCGI_NG_BLOCK];
};


/* what a link has that several streams share */

typedef struct {
    ngx_queue_t                      streams;
    ngx_queue_t                      unsent;         /* of them, in order */
    ngx_queue_t                      orphans;
    ngx_uint_t                       nstreams;       /* the pool's, too */
    ngx_uint_t                       over;           /* to be released */
    ngx_uint_t                       noverruns;
    ngx_uint_t                       guard;
    ngx_event_t                      depart;         /* behind the events */
    ngx_event_t                      flush;          /* or what is posted */
    ngx_event_t                      timer;

    ngx_msec_t                       heard;          /* something came */

    unsigned                         blocked:1;      /* a stream is */
    unsigned                         deaf:1;         /* writing has failed */
    unsigned                         silent:1;       /* a request timed out */
    unsigned                         dead:1;
    unsigned                         retired:1;
    unsigned                         answered:1;
    unsigned                         delivered:1;    /* since it was idle */
    unsigned                         blamed:1;       /* a stream is */
} ngx_http_fastcgi_ng_mux_t;


/* the real connection */

struct ngx_http_fastcgi_ng_link_s {
    fcng_pool_conn                   conn;
    fcng_conn                       *fcng;
    ngx_connection_t                *connection;
    ngx_http_fastcgi_ng_pool_t      *pool;
    ngx_http_fastcgi_ng_stream_t    *stream;
    ngx_http_fastcgi_ng_mux_t       *mux;            /* NULL: exclusive */
    fcng_request                    *draining;       /* nobody reads it */
    size_t                           drained;
    u_char                          *buffer;         /* held while unread */
    size_t                           fed;            /* bytes of it */
    ngx_queue_t                      queue;
    fcng_values                      values;         /* when it asks */
    ngx_msec_t                       released;       /* by its last request */

    unsigned                         asks:1;         /* an authorizer, now */
    unsigned                         without:1;      /* that record */
    unsigned                         asked:1;        /* the same, before */
    unsigned                         no_stdin:1;
    unsigned                         added:1;        /* the pool knows it */
    unsigned                         connecting:1;
};


/* the connections of this worker to one address */

struct ngx_http_fastcgi_ng_pool_s {
    fcng_pool                       *fcng;
    fcng_seat                       *seat;
    fcng_pool_options                options;
    ngx_addr_t                      *local;
    ngx_sockaddr_t                   local_sockaddr;
    ngx_addr_t                       local_addr;
    ngx_str_t                        name;
    ngx_event_t                      timer;
    ngx_connection_t                 ident;          /* timer.data */
    ngx_http_fastcgi_ng_pool_t      *next;

    fcng_outage                      outage;
    fcng_authz_peer                  authz;          /* of authorizers there */

    ngx_uint_t                       nstreams;       /* that point at it */

    unsigned                         so_keepalive:1;
    unsigned                         transparent:1;
    unsigned                         keep_conn:1;
    unsigned                         running:1;
    unsigned                         asking:1;
    unsigned                         ahead_failed:1; /* and told */

    socklen_t                        socklen;
    ngx_sockaddr_t                   sockaddr;
};


/* 16 KiB of a response with head and record headers, in one read. */
#define NGX_HTTP_FASTCGI_NG_SCRATCH  (16384 + 1024)


#define ngx_http_fastcgi_ng_now()  ((uint64_t) ngx_current_msec * 1000)
#define ngx_http_fastcgi_ng_tag(err)                                          \
    fcng_msg_tag(fcng_msg_of(err))


/* nginx --without-http-cache has no such member. */
#if (NGX_HTTP_CACHE)
#define ngx_http_fastcgi_ng_cached(r)  ((r)->cached)
#else
#define ngx_http_fastcgi_ng_cached(r)  0
#endif


/* No body comes: a cache asks for GET when its client wants HEAD. */
#define ngx_http_fastcgi_ng_is_head(r)                                        \
    ((r)->method == NGX_HTTP_HEAD && (r)->upstream->method.len == 0)


/* module.c */
extern ngx_module_t  ngx_http_fastcgi_ng_module;

ngx_http_fastcgi_ng_ctx_t *ngx_http_fastcgi_ng_get_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_split(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx);
ngx_int_t ngx_http_fastcgi_ng_script_name(ngx_http_request_t *r,
    ngx_str_t *name);

/* conf.c */
extern ngx_command_t  ngx_http_fastcgi_ng_commands[];
ngx_http_upstream_srv_conf_t *ngx_http_fastcgi_ng_add_upstream(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *address);

/* merge.c */
void *ngx_http_fastcgi_ng_create_main_conf(ngx_conf_t *cf);
void *ngx_http_fastcgi_ng_create_srv_conf(ngx_conf_t *cf);
void *ngx_http_fastcgi_ng_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_fastcgi_ng_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
ngx_int_t ngx_http_fastcgi_ng_postconfiguration(ngx_conf_t *cf);
ngx_http_fastcgi_ng_loc_conf_t *ngx_http_fastcgi_ng_copy_conf(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf, enum fcng_role role);
ngx_int_t ngx_http_fastcgi_ng_filter_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf);
char *ngx_http_fastcgi_ng_add_location(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf);

/* cache_conf.c */
void ngx_http_fastcgi_ng_merge_store(ngx_http_upstream_conf_t *conf,
    ngx_http_upstream_conf_t *prev);
char *ngx_http_fastcgi_ng_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#if (NGX_HTTP_CACHE)
char *ngx_http_fastcgi_ng_merge_cache(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *fconf,
    ngx_http_fastcgi_ng_loc_conf_t *fprev);
char *ngx_http_fastcgi_ng_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_fastcgi_ng_cache_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#endif

/* authorizer_conf.c */
char *ngx_http_fastcgi_ng_merge_authorizers(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf,
    ngx_http_fastcgi_ng_loc_conf_t *prev);
char *ngx_http_fastcgi_ng_authorizer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* params.c */
ngx_int_t ngx_http_fastcgi_ng_init_params(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf,
    ngx_http_fastcgi_ng_params_t *params, ngx_keyval_t *defaults);

/* env.c */
ngx_int_t ngx_http_fastcgi_ng_check(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_encode(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_buf_t **params);

/* responder.c */
ngx_int_t ngx_http_fastcgi_ng_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_start_timeout(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx);
ngx_int_t ngx_http_fastcgi_ng_reinit_request(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_parse_head(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx);
void ngx_http_fastcgi_ng_abort_request(ngx_http_request_t *r);
void ngx_http_fastcgi_ng_finalize_request(ngx_http_request_t *r,
    ngx_int_t rc);

/* authorizer.c */
void **ngx_http_fastcgi_ng_conf_instead(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_loc_conf_t *conf);
ngx_int_t ngx_http_fastcgi_ng_authorizer_init(ngx_conf_t *cf);
ngx_int_t ngx_http_fastcgi_ng_answer_field(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, fcng_field *field);

/* auth_vars.c */
ngx_int_t ngx_http_fastcgi_ng_vars_init(ngx_http_request_t *r,
    ngx_array_t *vars);
fcng_field *ngx_http_fastcgi_ng_vars_find(ngx_array_t *vars, fcng_str name);
ngx_int_t ngx_http_fastcgi_ng_vars_set(ngx_array_t *vars, ngx_array_t *from);
ngx_http_fastcgi_ng_auth_t *ngx_http_fastcgi_ng_auth_get(
    ngx_http_request_t *r);
ngx_array_t *ngx_http_fastcgi_ng_auth_vars(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_auth_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
void ngx_http_fastcgi_ng_replace_user(ngx_http_core_main_conf_t *cmcf);

/* denial.c */
ngx_int_t ngx_http_fastcgi_ng_denial_keep(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q, u_char *data, size_t len);
ngx_int_t ngx_http_fastcgi_ng_denial_send(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_question_t *q);
ngx_int_t ngx_http_fastcgi_ng_add_challenges(ngx_http_request_t *r,
    ngx_http_request_t *sr);

/* spool.c */
void ngx_http_fastcgi_ng_spool_init(ngx_http_fastcgi_ng_spool_t *spool,
    ngx_path_t *path, size_t memory, char *warn);
ngx_int_t ngx_http_fastcgi_ng_spool_add(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool, u_char *data, size_t len);
ngx_int_t ngx_http_fastcgi_ng_spool_chain(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_spool_t *spool, ngx_chain_t **chain);

/* data.c */
void ngx_http_fastcgi_ng_data_init(ngx_http_request_t *r);
void ngx_http_fastcgi_ng_data_attempt(ngx_http_request_t *r);
void ngx_http_fastcgi_ng_data_rewind(ngx_http_request_t *r, ngx_chain_t *data);
void ngx_http_fastcgi_ng_data_leave(ngx_http_fastcgi_ng_stream_t *st);

/* file_filter.c */
ngx_int_t ngx_http_fastcgi_ng_file_filter_handler(ngx_http_request_t *r);

/* output_conf.c */
void ngx_http_fastcgi_ng_init_output(ngx_http_fastcgi_ng_loc_conf_t *conf);
char *ngx_http_fastcgi_ng_merge_output(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_loc_conf_t *conf,
    ngx_http_fastcgi_ng_loc_conf_t *prev);
char *ngx_http_fastcgi_ng_output_filter(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_fastcgi_ng_set_output_types(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_fastcgi_ng_set_output_max(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_fastcgi_ng_set_output_on_error(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/* output_taken.c */
ngx_int_t ngx_http_fastcgi_ng_output_init(ngx_conf_t *cf);
void ngx_http_fastcgi_ng_put_back(ngx_http_request_t *r, ngx_uint_t range);
ngx_uint_t ngx_http_fastcgi_ng_filter_has_failed(ngx_http_request_t *r);
ngx_int_t ngx_http_fastcgi_ng_filter_fails(ngx_http_request_t *r);

/* output_filter.c */
extern ngx_module_t  ngx_http_fastcgi_ng_top_filter_module;
extern ngx_module_t  ngx_http_fastcgi_ng_body_filter_module;
ngx_int_t ngx_http_fastcgi_ng_output_send_header(ngx_http_request_t *r);

/* output_request.c */
ngx_uint_t ngx_http_fastcgi_ng_of_original(ngx_table_elt_t *h);
ngx_int_t ngx_http_fastcgi_ng_output_start(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_output_t *ctx);
ngx_int_t ngx_http_fastcgi_ng_output_head(ngx_http_request_t *sr,
    ngx_http_fastcgi_ng_output_t *ctx);

/* stream.c */
extern ngx_uint_t  ngx_http_fastcgi_ng_late;    /* tests: nginx's own way */
ngx_http_fastcgi_ng_stream_t *ngx_http_fastcgi_ng_stream_create(
    ngx_http_request_t *r, ngx_http_fastcgi_ng_ctx_t *ctx);
void ngx_http_fastcgi_ng_stream_free(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_stream_wake_read(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_stream_wake_write(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_stream_ready(ngx_http_fastcgi_ng_stream_t *st,
    ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_stream_fail(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_stream_refuse(ngx_http_fastcgi_ng_stream_t *st,
    ngx_uint_t status);
void ngx_http_fastcgi_ng_stream_timer(ngx_http_fastcgi_ng_stream_t *st,
    ngx_msec_t wait);
ngx_int_t ngx_http_fastcgi_ng_streams_init(ngx_cycle_t *cycle);
void ngx_http_fastcgi_ng_stream_timeout(ngx_http_request_t *r);
void ngx_http_fastcgi_ng_stream_sent(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_stream_unlink(ngx_http_fastcgi_ng_stream_t *st,
    ngx_uint_t drain);
void ngx_http_fastcgi_ng_del_timer(ngx_http_fastcgi_ng_stream_t *st);

/* patience.c */
void ngx_http_fastcgi_ng_patience_init(void);
void ngx_http_fastcgi_ng_patience_begin(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_patience_end(ngx_http_fastcgi_ng_stream_t *st);

/* stream_events.c */
void ngx_http_fastcgi_ng_stream_answered(ngx_http_fastcgi_ng_stream_t *st);
ngx_uint_t ngx_http_fastcgi_ng_repeatable(ngx_http_request_t *r);
void ngx_http_fastcgi_ng_stream_event(ngx_http_fastcgi_ng_stream_t *st,
    fcng_event *ev);
void ngx_http_fastcgi_ng_stream_cancel(ngx_http_fastcgi_ng_stream_t *st,
    int err);
void ngx_http_fastcgi_ng_on_event(ngx_http_fastcgi_ng_stream_t *st,
    fcng_event *ev, ngx_http_fastcgi_ng_dest_t *dest);

/* stream_in.c */
void ngx_http_fastcgi_ng_dest_copy(ngx_http_fastcgi_ng_dest_t *dest,
    const char *data, size_t len);
ssize_t ngx_http_fastcgi_ng_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
ssize_t ngx_http_fastcgi_ng_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit);

/* stream_out.c */
ssize_t ngx_http_fastcgi_ng_send(ngx_connection_t *c, u_char *buf,
    size_t size);
ngx_int_t ngx_http_fastcgi_ng_submit(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params);
ngx_int_t ngx_http_fastcgi_ng_offer(ngx_http_fastcgi_ng_stream_t *st,
    ngx_chain_t *in);
ngx_int_t ngx_http_fastcgi_ng_write_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_buf_t *params);
ngx_chain_t *ngx_http_fastcgi_ng_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
ngx_int_t ngx_http_fastcgi_ng_stream_finish(ngx_http_request_t *r);

/* link.c */
ngx_http_fastcgi_ng_link_t *ngx_http_fastcgi_ng_link_open(
    ngx_http_fastcgi_ng_pool_t *pool, enum fcng_pool_need need,
    ngx_log_t *log, ngx_err_t *err);
void ngx_http_fastcgi_ng_link_close(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_link_release(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_link_drain(ngx_http_fastcgi_ng_link_t *link,
    fcng_request *request, ngx_msec_t read_timeout);
ngx_int_t ngx_http_fastcgi_ng_link_write(ngx_http_fastcgi_ng_link_t *link,
    ngx_log_t *log);
ssize_t ngx_http_fastcgi_ng_link_read(ngx_http_fastcgi_ng_link_t *link,
    ngx_chain_t *direct, off_t limit, size_t *placed);
void ngx_http_fastcgi_ng_link_was_closed(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_link_unhold(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_links_close(void);

/* mux.c */
ngx_int_t ngx_http_fastcgi_ng_mux_create(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_free(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_exit(void);
void ngx_http_fastcgi_ng_mux_attach(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_mux_submitted(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_mux_detach(ngx_http_fastcgi_ng_link_t *link,
    ngx_http_fastcgi_ng_stream_t *st, fcng_request *fcng, ngx_uint_t drain);
ngx_int_t ngx_http_fastcgi_ng_mux_write(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_write_handler(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_evict(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_judge(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_settle(ngx_http_fastcgi_ng_link_t *link);
void ngx_http_fastcgi_ng_mux_orphan_event(ngx_http_fastcgi_ng_link_t *link,
    fcng_event *ev);

/* mux_read.c */
ngx_int_t ngx_http_fastcgi_ng_mux_scratch(void);
void ngx_http_fastcgi_ng_mux_scratch_free(void);
void ngx_http_fastcgi_ng_mux_read_handler(ngx_http_fastcgi_ng_link_t *link);

/* mux_blocks.c */
size_t ngx_http_fastcgi_ng_mux_take(ngx_http_fastcgi_ng_stream_t *st,
    u_char **pos);
void ngx_http_fastcgi_ng_mux_took(ngx_http_fastcgi_ng_stream_t *st, size_t n);
void ngx_http_fastcgi_ng_mux_drop(ngx_http_fastcgi_ng_stream_t *st);
ngx_http_fastcgi_ng_block_t *ngx_http_fastcgi_ng_block_last(
    ngx_http_fastcgi_ng_stream_t *st);
ngx_int_t ngx_http_fastcgi_ng_block_add(ngx_http_fastcgi_ng_stream_t *st,
    fcng_str bytes);
ngx_int_t ngx_http_fastcgi_ng_spill(ngx_http_fastcgi_ng_stream_t *st,
    fcng_str bytes);
void ngx_http_fastcgi_ng_blocks_free(void);

/* ask.c */
void ngx_http_fastcgi_ng_ask_values(ngx_http_fastcgi_ng_pool_t *pool);

/* balance.c */
ngx_int_t ngx_http_fastcgi_ng_choose(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_free_server(ngx_peer_connection_t *pc,
    ngx_http_fastcgi_ng_ctx_t *ctx, ngx_uint_t state);
void ngx_http_fastcgi_ng_wait_over(ngx_http_fastcgi_ng_stream_t *st);

/* peer.c */
void ngx_http_fastcgi_ng_wrap_peer(ngx_http_request_t *r,
    ngx_http_fastcgi_ng_ctx_t *ctx);
ngx_int_t ngx_http_fastcgi_ng_acquire(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_go_on(ngx_http_fastcgi_ng_stream_t *st,
    ngx_int_t rc);
ngx_int_t ngx_http_fastcgi_ng_peer_init(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
void ngx_http_fastcgi_ng_pool_connected(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_pool_failed(ngx_http_fastcgi_ng_stream_t *st,
    ngx_err_t err);
void ngx_http_fastcgi_ng_pool_retry(ngx_http_fastcgi_ng_stream_t *st);
ngx_int_t ngx_http_fastcgi_ng_pool_replace(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_pool_moved(ngx_http_fastcgi_ng_stream_t *st);
ngx_int_t ngx_http_fastcgi_ng_use(ngx_http_fastcgi_ng_stream_t *st,
    fcng_pool_conn *conn);
ngx_int_t ngx_http_fastcgi_ng_open(ngx_http_fastcgi_ng_stream_t *st);

/* pool.c */
ngx_http_fastcgi_ng_pool_t *ngx_http_fastcgi_ng_pool_find(
    ngx_http_fastcgi_ng_loc_conf_t *conf, ngx_peer_connection_t *pc,
    fcng_pool_options *options);
void ngx_http_fastcgi_ng_pool_run(ngx_http_fastcgi_ng_pool_t *pool);
void ngx_http_fastcgi_ng_pool_schedule(ngx_http_fastcgi_ng_pool_t *pool);
void ngx_http_fastcgi_ng_pool_started(ngx_http_fastcgi_ng_stream_t *st);
void ngx_http_fastcgi_ng_pools_run(void);
void ngx_http_fastcgi_ng_pools_delete(void);

/* connect_log.c */
enum fcng_connect_cause ngx_http_fastcgi_ng_cause(ngx_err_t err);
void ngx_http_fastcgi_ng_log_connect(ngx_http_fastcgi_ng_stream_t *st,
    ngx_err_t err);

/* ahead.c */
void ngx_http_fastcgi_ng_ahead_init(ngx_cycle_t *cycle);
void ngx_http_fastcgi_ng_ahead(ngx_http_fastcgi_ng_pool_t *pool);
void ngx_http_fastcgi_ng_ahead_connected(ngx_http_fastcgi_ng_link_t *link,
    ngx_err_t err);


/* shared.c */
ngx_int_t ngx_http_fastcgi_ng_shared_zone(ngx_conf_t *cf,
    ngx_http_fastcgi_ng_main_conf_t *mcf);
ngx_int_t ngx_http_fastcgi_ng_shared_init(ngx_cycle_t *cycle);
void ngx_http_fastcgi_ng_shared_join(ngx_cycle_t *cycle);
void ngx_http_fastcgi_ng_shared_leave(void);
fcng_seat *ngx_http_fastcgi_ng_shared_attach(struct sockaddr *sa,
    socklen_t socklen);
ngx_int_t ngx_http_fastcgi_ng_status_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_FASTCGI_NG_MODULE_H_INCLUDED_ */
