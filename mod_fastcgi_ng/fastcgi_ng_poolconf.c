/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: FastCgiNgPool, and the checks that every name leads to one.
 */
#include "fastcgi_ng.h"

#include "ap_mpm.h"
#include "apr_lib.h"
#include "util_cfgtree.h"

#include <sys/un.h>

#define WHY_LEN 1024

static fastcgi_ng_server_conf_t *server_conf(server_rec *s)
{
    return ap_get_module_config(s->module_config, &fastcgi_ng_module);
}

const char *fastcgi_ng_lower(apr_pool_t *p, const char *name)
{
    char *copy = apr_pstrdup(p, name);

    ap_str_tolower(copy);
    return copy;
}

/* ------------------------------------------------------ create, merge --- */

void *fastcgi_ng_create_server_conf(apr_pool_t *p, server_rec *s)
{
    fastcgi_ng_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->apps = apr_hash_make(p);
    conf->uses = apr_array_make(p, 4, sizeof(fastcgi_ng_use_t));
    return conf;
}

void *fastcgi_ng_merge_server_conf(apr_pool_t *p, void *base_v, void *add_v)
{
    fastcgi_ng_server_conf_t *base = base_v, *add = add_v;
    fastcgi_ng_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->apps = apr_hash_overlay(p, add->apps, base->apps);
    conf->uses = add->uses;
    return conf;
}

/* ---------------------------------------------------- FastCgiNgPool --- */

bool fastcgi_ng_is_name(const char *name)
{
    const char *c;

    for (c = name; *c != '\0'; c++) {
        if (!apr_isalnum(*c) && strchr("._-", *c) == NULL) {
            return false;
        }
    }
    return c != name;
}

static const char *check_name(apr_pool_t *p, const char *name)
{
    if (!fastcgi_ng_is_name(name) || strcmp(name, "off") == 0) {
        return apr_psprintf(p, "FastCgiNgPool: \"%s\" cannot name a pool: "
                            "write letters, digits, '.', '_' and '-', and "
                            "not \"off\"", name);
    }
    return NULL;
}

static const char *dup_str(apr_pool_t *p, fcng_str s)
{
    return apr_pstrmemdup(p, s.data, s.len);
}

static const char *add_address(cmd_parms *cmd, fastcgi_ng_app_t *app,
                               const char *text)
{
    fastcgi_ng_address_t *address;
    fcng_address parsed;
    fcng_str in = { text, strlen(text) };
    char why[WHY_LEN], key[FCNG_SHARE_KEY];
    apr_size_t room = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

    if (fcng_address_parse(&parsed, in, why, sizeof(why)) != FCNG_OK) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: %s", app->name,
                            why);
    }
    if (parsed.kind != FCNG_ADDRESS_TCP && parsed.path.len > room) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: the path of the "
                            "socket \"%s\" is too long: this system takes "
                            "%d bytes", app->name, text, (int)room);
    }
    if (app->addresses->nelts == FASTCGI_NG_ADDRESSES_MAX) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: at most %d "
                            "addresses", app->name, FASTCGI_NG_ADDRESSES_MAX);
    }
    address = apr_array_push(app->addresses);
    address->text = apr_pstrdup(cmd->pool, text);
    fcng_address_text(&parsed, key, sizeof(key));
    address->key = apr_pstrdup(cmd->pool, key);
    address->kind = parsed.kind;
    address->host = parsed.host.len > 0 ? dup_str(cmd->pool, parsed.host)
                                        : "localhost";
    address->port = dup_str(cmd->pool, parsed.port);
    address->path = dup_str(cmd->pool, parsed.path);
    return NULL;
}

static const char *add_folder(cmd_parms *cmd, fastcgi_ng_app_t *app,
                              const char *folder)
{
    char *clean;

    if (!ap_os_is_path_absolute(cmd->pool, folder)) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: for=%s: write the "
                            "whole path of a folder, as in for=/home/alice",
                            app->name, folder);
    }
    clean = apr_pstrdup(cmd->pool, folder);
    ap_no2slash(clean);
    while (strlen(clean) > 1 && clean[strlen(clean) - 1] == '/') {
        clean[strlen(clean) - 1] = '\0';
    }
    if (app->folders == NULL) {
        app->folders = apr_array_make(cmd->pool, 2, sizeof(const char *));
    }
    APR_ARRAY_PUSH(app->folders, const char *) = clean;
    return NULL;
}

static const char *add_word(cmd_parms *cmd, fastcgi_ng_app_t *app,
                            const char *word)
{
    fcng_str in = { word, strlen(word) };
    char why[WHY_LEN];
    int err;

    if (strncmp(word, "for=", 4) == 0) {
        return add_folder(cmd, app, word + 4);
    }
    err = fcng_pool_options_word(&app->options, in, why, sizeof(why));
    if (err != FCNG_OK) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: %s%s", app->name,
                            why, err == FCNG_ERR_WORD
                                 && strstr(why, "known") ? ", for" : "");
    }
    return NULL;
}

static fastcgi_ng_app_t *new_app(cmd_parms *cmd, const char *name)
{
    fastcgi_ng_app_t *app = apr_pcalloc(cmd->pool, sizeof(*app));

    app->name = fastcgi_ng_lower(cmd->pool, name);
    app->file = cmd->directive->filename;
    app->line = cmd->directive->line_num;
    app->addresses = apr_array_make(cmd->pool, 2,
                                    sizeof(fastcgi_ng_address_t));
    fcng_pool_options_init(&app->options);
    atomic_init(&app->turn, 0);
    return app;
}

const char *fastcgi_ng_cmd_pool(cmd_parms *cmd, void *dummy, int argc,
                                char *const argv[])
{
    fastcgi_ng_server_conf_t *conf = server_conf(cmd->server);
    const char *err;
    fastcgi_ng_app_t *app, *old;
    int i;

    if (ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT) != NULL) {
        return "FastCgiNgPool stands in the server or <VirtualHost>: define "
               "the pool there and name it here";
    }
    if (argc < 2) {
        return "FastCgiNgPool takes a name and an address, as in "
               "FastCgiNgPool php unix:/run/php/php-fpm.sock";
    }
    app = new_app(cmd, argv[0]);
    err = check_name(cmd->pool, app->name);
    old = apr_hash_get(conf->apps, app->name, APR_HASH_KEY_STRING);
    if (err == NULL && old != NULL) {
        err = apr_psprintf(cmd->pool, "FastCgiNgPool: the pool \"%s\" is "
                           "defined already, in %s line %d", app->name,
                           old->file, old->line);
    }
    for (i = 1; i < argc && err == NULL; i++) {
        fcng_str arg = { argv[i], strlen(argv[i]) };

        err = fcng_is_word(arg) ? add_word(cmd, app, argv[i])
                                : add_address(cmd, app, argv[i]);
    }
    if (err == NULL && app->options.multiplex != FCNG_MULTIPLEX_OFF
        && app->options.max_idle == 0) {
        err = apr_psprintf(cmd->pool, "FastCgiNgPool %s: \"multiplex\" needs "
                           "kept connections, remove \"max_idle=0\"",
                           app->name);
    }
    if (err == NULL && app->addresses->nelts == 0) {
        err = apr_psprintf(cmd->pool, "FastCgiNgPool %s: no address: write "
                           "unix:/path/of/socket or host:port after the name",
                           app->name);
    }
    if (err == NULL) {
        apr_hash_set(conf->apps, app->name, APR_HASH_KEY_STRING, app);
    }
    return err;
}

/* -------------------------------------------------- names that lead on --- */

void fastcgi_ng_remember_use(cmd_parms *cmd, const char *directive,
                             const char *name)
{
    fastcgi_ng_use_t *use;

    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL) {
        return; /* read by each request, which finds out by itself */
    }
    use = apr_array_push(server_conf(cmd->server)->uses);
    use->name = name;
    use->directive = directive;
    use->file = cmd->directive->filename;
    use->line = cmd->directive->line_num;
}

fastcgi_ng_app_t *fastcgi_ng_find_app(server_rec *s, const char *name)
{
    char key[128];
    apr_size_t i;

    for (i = 0; name[i] != '\0' && i < sizeof(key) - 1; i++) {
        key[i] = apr_tolower(name[i]);
    }
    return apr_hash_get(server_conf(s)->apps, key, (apr_ssize_t)i);
}

static const char *known_names(apr_pool_t *p, server_rec *s)
{
    const char *list = "";
    apr_hash_index_t *hi;

    for (hi = apr_hash_first(p, server_conf(s)->apps); hi != NULL;
         hi = apr_hash_next(hi)) {
        const char *name = apr_hash_this_key(hi);

        list = apr_pstrcat(p, list, *list ? ", " : "", name, NULL);
    }
    return *list ? list : "none";
}

static int check_uses(apr_pool_t *p, server_rec *s)
{
    apr_array_header_t *uses = server_conf(s)->uses;
    int i, rc = OK;

    for (i = 0; i < uses->nelts; i++) {
        fastcgi_ng_use_t *use = &APR_ARRAY_IDX(uses, i, fastcgi_ng_use_t);

        if (fastcgi_ng_find_app(s, use->name) == NULL) {
            ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, s,
                         "Syntax error on line %d of %s: %s: there is no "
                         "pool \"%s\" here: define it with FastCgiNgPool %s "
                         "ADDRESS (known: %s)", use->line, use->file,
                         use->directive, use->name, use->name,
                         known_names(p, s));
            rc = HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    return rc;
}

static bool known_anywhere(server_rec *s, const char *name)
{
    for (; s != NULL; s = s->next) {
        if (fastcgi_ng_find_app(s, name) != NULL) {
            return true;
        }
    }
    return false;
}

static const char *behind(const char *handler, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return ap_cstr_casecmpn(handler, prefix, len) == 0 ? handler + len : NULL;
}

const char *fastcgi_ng_handler_pool(const char *handler, bool *is_filter)
{
    const char *name = behind(handler, FASTCGI_NG_FILTER_HANDLER);

    *is_filter = name != NULL;
    return name != NULL ? name : behind(handler, FASTCGI_NG_HANDLER);
}

/* SetHandler and AddHandler are other modules' directives, and one may stand
   where it never counts: a warning, and 500 when a request comes to it. */
static void warn_of_handlers(apr_pool_t *p, server_rec *s,
                             const ap_directive_t *d)
{
    for (; d != NULL; d = d->next) {
        const char *args = d->args, *word, *name;
        bool filter;

        if ((ap_cstr_casecmp(d->directive, "SetHandler") == 0
             || ap_cstr_casecmp(d->directive, "AddHandler") == 0)
            && *(word = ap_getword_conf(p, &args)) != '\0'
            && (name = fastcgi_ng_handler_pool(word, &filter)) != NULL
            && strchr(word, '%') == NULL && !known_anywhere(s, name)) {
            ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0, s,
                         "line %d of %s: %s %s: there is no pool \"%s\": "
                         "define it with FastCgiNgPool %s ADDRESS, or "
                         "requests are answered with 500 (known: %s)",
                         d->line_num, d->filename, d->directive, word,
                         name, name, known_names(p, s));
        }
        warn_of_handlers(p, s, d->first_child);
    }
}

int fastcgi_ng_check_names(apr_pool_t *ptemp, server_rec *main_server)
{
    server_rec *s;
    int rc = OK;

    for (s = main_server; s != NULL; s = s->next) {
        if (check_uses(ptemp, s) != OK) {
            rc = HTTP_INTERNAL_SERVER_ERROR;
        }
    }
    warn_of_handlers(ptemp, main_server, ap_conftree);
    return rc;
}

static void check_apps(apr_pool_t *p, server_rec *main_server, server_rec *s)
{
    apr_hash_index_t *hi;
    int i, threaded = 0;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    for (hi = apr_hash_first(p, server_conf(s)->apps); hi != NULL;
         hi = apr_hash_next(hi)) {
        fastcgi_ng_app_t *app = apr_hash_this_val(hi);

        if (s != main_server
            && fastcgi_ng_find_app(main_server, app->name) == app) {
            continue; /* inherited, checked there */
        }
        if (app->options.min_idle > 0 && !threaded) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "line %d of %s: FastCgiNgPool %s: min_idle has no "
                         "effect with an MPM whose processes serve one "
                         "request at a time; use the event MPM, or leave it "
                         "out", app->line, app->file, app->name);
            app->options.min_idle = 0;
        }
        if (app->options.multiplex != FCNG_MULTIPLEX_OFF && !threaded) {
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s,
                         "line %d of %s: FastCgiNgPool %s: multiplex has no "
                         "effect with an MPM whose processes serve one "
                         "request at a time; use the event MPM, or leave it "
                         "out", app->line, app->file, app->name);
            app->options.multiplex = FCNG_MULTIPLEX_OFF;
        }
        for (i = 0; i < app->addresses->nelts; i++) {
            fastcgi_ng_io_check_name(
                app, &APR_ARRAY_IDX(app->addresses, i, fastcgi_ng_address_t),
                s);
        }
    }
}

void fastcgi_ng_check_hosts(apr_pool_t *ptemp, server_rec *main_server)
{
    server_rec *s;

    for (s = main_server; s != NULL; s = s->next) {
        check_apps(ptemp, main_server, s);
    }
}
