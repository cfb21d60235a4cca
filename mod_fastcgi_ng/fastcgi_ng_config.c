/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directives: what they take, where they may stand, how they merge, and the
 * checks after everything was read.  docs/apache.md says what each one means.
 */
#include "fastcgi_ng.h"

#include "ap_mpm.h"
#include "apr_fnmatch.h"
#include "apr_lib.h"
#include "util_cfgtree.h"

#include <sys/un.h>

#define UNSET (-1)
#define WHY_LEN 1024
#define RATE_MAX 1000000

static fastcgi_ng_server_conf_t *server_conf(server_rec *s)
{
    return ap_get_module_config(s->module_config, &fastcgi_ng_module);
}

static const char *lower(apr_pool_t *p, const char *name)
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

void *fastcgi_ng_create_dir_conf(apr_pool_t *p, char *dir)
{
    fastcgi_ng_dir_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    conf->default_params = UNSET;
    conf->check_script = UNSET;
    conf->request_buffering = UNSET;
    conf->header_max_size = UNSET;
    conf->connect_timeout = UNSET;
    conf->send_timeout = UNSET;
    conf->read_timeout = UNSET;
    conf->request_timeout = UNSET;
    conf->stderr_level = UNSET;
    conf->stderr_rate = UNSET;
    conf->output_max_size = UNSET;
    conf->output_pass = UNSET;
    conf->output_buffering = UNSET;
    fastcgi_ng_auth_conf_init(&conf->auth);
    return conf;
}

static void param_set(apr_array_header_t *params,
                      const fastcgi_ng_param_t *param)
{
    int i;

    for (i = 0; i < params->nelts; i++) {
        fastcgi_ng_param_t *old = &APR_ARRAY_IDX(params, i,
                                                 fastcgi_ng_param_t);

        if (strcmp(old->name, param->name) == 0) {
            *old = *param;
            return;
        }
    }
    APR_ARRAY_PUSH(params, fastcgi_ng_param_t) = *param;
}

void fastcgi_ng_merge_params(apr_pool_t *p, apr_array_header_t **params,
                             apr_array_header_t *base,
                             apr_array_header_t *add)
{
    int i;

    if (base == NULL || add == NULL) {
        *params = add != NULL ? add : base;
        return;
    }
    *params = apr_array_copy(p, base);
    for (i = 0; i < add->nelts; i++) {
        param_set(*params, &APR_ARRAY_IDX(add, i, fastcgi_ng_param_t));
    }
}

#define PICK(member)                                                          \
    conf->member = add->member != UNSET ? add->member : base->member

void *fastcgi_ng_merge_dir_conf(apr_pool_t *p, void *base_v, void *add_v)
{
    fastcgi_ng_dir_conf_t *base = base_v, *add = add_v;
    fastcgi_ng_dir_conf_t *conf = apr_palloc(p, sizeof(*conf));
    fastcgi_ng_dir_conf_t *pass = add->pass_set ? add : base;

    conf->pass_set = pass->pass_set;
    conf->pass = pass->pass;
    conf->mount = pass->mount;
    conf->file_filter = add->file_filter_set ? add->file_filter
                                             : base->file_filter;
    conf->file_filter_set = add->file_filter_set || base->file_filter_set;
    conf->output_filter = add->output_filter_set ? add->output_filter
                                                 : base->output_filter;
    conf->output_filter_set = add->output_filter_set
                              || base->output_filter_set;
    conf->output_types = add->output_types != NULL ? add->output_types
                                                   : base->output_types;
    PICK(output_max_size);
    PICK(output_pass);
    PICK(output_buffering);
    conf->script = add->script != NULL ? add->script : base->script;
    fastcgi_ng_merge_params(p, &conf->params, base->params, add->params);
    conf->skip = base->skip | add->skip;
    PICK(default_params);
    PICK(check_script);
    PICK(request_buffering);
    PICK(header_max_size);
    PICK(connect_timeout);
    PICK(send_timeout);
    PICK(read_timeout);
    PICK(request_timeout);
    PICK(stderr_level);
    PICK(stderr_rate);
    fastcgi_ng_auth_conf_merge(p, &conf->auth, &base->auth, &add->auth);
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

/* Words of the core's that this module does not heed. */
#define MULTIPLEXING (1u << FCNG_WORD_MULTIPLEX | 1u << FCNG_WORD_MAX_STREAMS \
                      | 1u << FCNG_WORD_STREAM_BUFFER)

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
    if ((app->options.set & MULTIPLEXING) != 0) {
        return apr_psprintf(cmd->pool, "FastCgiNgPool %s: \"%s\": connections "
                            "are not shared by requests here", app->name,
                            word);
    }
    return NULL;
}

static fastcgi_ng_app_t *new_app(cmd_parms *cmd, const char *name)
{
    fastcgi_ng_app_t *app = apr_pcalloc(cmd->pool, sizeof(*app));

    app->name = lower(cmd->pool, name);
    app->file = cmd->directive->filename;
    app->line = cmd->directive->line_num;
    app->addresses = apr_array_make(cmd->pool, 2,
                                    sizeof(fastcgi_ng_address_t));
    fcng_pool_options_init(&app->options);
    atomic_init(&app->turn, 0);
    return app;
}

static const char *cmd_pool(cmd_parms *cmd, void *dummy, int argc,
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

/* ---------------------------------------------------- FastCgiNgPass --- */

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

/* The path below which a location's requests are; "" where none is known. */
static const char *mount_of(cmd_parms *cmd, const ap_directive_t *section)
{
    char *path;
    apr_size_t len;

    if (section == NULL || cmd->path == NULL || cmd->path[0] != '/'
        || ap_cstr_casecmp(section->directive, "<Location") != 0
        || strchr(section->args, '~') == section->args
        || apr_fnmatch_test(cmd->path)) {
        return "";
    }
    path = apr_pstrdup(cmd->pool, cmd->path);
    len = strlen(path);
    while (len > 0 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
    return path;
}

static bool is_section(const ap_directive_t *d, const char *name)
{
    return d != NULL && ap_cstr_casecmp(d->directive, name) == 0;
}

static const char *cmd_pass(cmd_parms *cmd, void *dir, const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;
    const ap_directive_t *section = cmd->directive->parent;
    bool server = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT) == NULL;

    if (!server && !is_section(section, "<Location")
        && !is_section(section, "<LocationMatch")) {
        return apr_psprintf(cmd->pool, "FastCgiNgPass stands in the server, "
                            "<VirtualHost>, <Location> or <LocationMatch>; "
                            "here write SetHandler fastcgi-ng:%s", arg);
    }
    conf->pass_set = true;
    conf->pass = NULL;
    if (ap_cstr_casecmp(arg, "off") == 0) {
        return NULL;
    }
    if (!fastcgi_ng_is_name(arg)) {
        return apr_psprintf(cmd->pool, "FastCgiNgPass takes the name of a "
                            "pool, which \"%s\" is not: write FastCgiNgPool "
                            "NAME %s in the server and FastCgiNgPass NAME "
                            "here", arg, arg);
    }
    conf->pass = lower(cmd->pool, arg);
    conf->mount = server ? "" : mount_of(cmd, section);
    fastcgi_ng_remember_use(cmd, cmd->cmd->name, conf->pass);
    return NULL;
}

/* FastCgiNgFileFilter and FastCgiNgOutputFilter. */
static const char *cmd_filter(cmd_parms *cmd, void *dir, const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;
    bool output = cmd->info != NULL;
    const char **name = output ? &conf->output_filter : &conf->file_filter;

    *(output ? &conf->output_filter_set : &conf->file_filter_set) = true;
    *name = NULL;
    if (ap_cstr_casecmp(arg, "off") == 0) {
        return NULL;
    }
    if (!fastcgi_ng_is_name(arg)) {
        return apr_psprintf(cmd->pool, "%s takes the name of a pool, which "
                            "\"%s\" is not: write FastCgiNgPool NAME %s in "
                            "the server and %s NAME here", cmd->cmd->name,
                            arg, arg, cmd->cmd->name);
    }
    *name = lower(cmd->pool, arg);
    fastcgi_ng_remember_use(cmd, cmd->cmd->name, *name);
    return NULL;
}

static const char *cmd_output_types(cmd_parms *cmd, void *dir, int argc,
                                    char *const argv[])
{
    fastcgi_ng_dir_conf_t *conf = dir;
    int i;

    if (argc == 0) {
        return "FastCgiNgOutputFilterTypes takes types, as in text/html "
               "text/plain, or * for all";
    }
    conf->output_types = apr_array_make(cmd->pool, argc,
                                        sizeof(const char *));
    for (i = 0; i < argc; i++) {
        if (strcmp(argv[i], "*") != 0
            && (strchr(argv[i], '/') == NULL
                || strpbrk(argv[i], "*; \t") != NULL)) {
            return apr_psprintf(cmd->pool, "FastCgiNgOutputFilterTypes: "
                                "\"%s\" is no type: write one as text/html, "
                                "without parameters, or * for all", argv[i]);
        }
        APR_ARRAY_PUSH(conf->output_types, const char *)
            = lower(cmd->pool, argv[i]);
    }
    return NULL;
}

static const char *cmd_output_on_error(cmd_parms *cmd, void *dir,
                                       const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;

    conf->output_pass = ap_cstr_casecmp(arg, "pass") == 0;
    if (!conf->output_pass && ap_cstr_casecmp(arg, "fail") != 0) {
        return apr_psprintf(cmd->pool, "FastCgiNgOutputFilterOnError: write "
                            "pass (the response goes out unfiltered) or "
                            "fail, not \"%s\"", arg);
    }
    return NULL;
}

static const char *cmd_script(cmd_parms *cmd, void *dir, const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;

    if (!ap_os_is_path_absolute(cmd->pool, arg)) {
        return apr_psprintf(cmd->pool, "FastCgiNgScript: write the whole path "
                            "of the file, as in FastCgiNgScript "
                            "/srv/www/index.php; \"%s\" is not one", arg);
    }
    conf->script = arg;
    return NULL;
}

/* --------------------------------------------------- FastCgiNgParam --- */

static const char *param_value(cmd_parms *cmd, fastcgi_ng_param_t *param,
                               const char *value)
{
    const char *err = NULL;

    if (strstr(value, "%{") == NULL && strchr(value, '\\') == NULL
        && strchr(value, '$') == NULL) {
        param->value = value;
        return NULL;
    }
    param->expr = ap_expr_parse_cmd(cmd, value, AP_EXPR_FLAG_STRING_RESULT,
                                    &err, NULL);
    if (err != NULL) {
        return apr_psprintf(cmd->pool, "%s %s: the value \"%s\" is no "
                            "expression: %s", cmd->cmd->name, param->name,
                            value, err);
    }
    return NULL;
}

/* Raw arguments: AP_INIT_TAKE12 makes an empty value the same as none. */
static const char *cmd_param(cmd_parms *cmd, void *dir, const char *args)
{
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *value = *args != '\0' ? ap_getword_conf(cmd->pool, &args)
                                      : NULL;
    fastcgi_ng_dir_conf_t *conf = dir;
    bool auth = cmd->info != NULL;
    bool htaccess = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL;
    bool removes = name[0] == '!';
    fastcgi_ng_param_t param;
    fcng_str key;
    const char *err = NULL;

    memset(&param, 0, sizeof(param));
    if (*args != '\0') {
        return apr_psprintf(cmd->pool, "%s %s takes one value: put it into "
                            "quotes", cmd->cmd->name, name);
    }
    param.name = removes ? name + 1 : name;
    param.name_len = strlen(param.name);
    key = (fcng_str){ param.name, param.name_len };
    if (param.name_len == 0 || strchr(param.name, '=') != NULL) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no name: write %s "
                            "NAME VALUE", cmd->cmd->name, name,
                            cmd->cmd->name);
    }
    if (removes == (value != NULL)) {
        return apr_psprintf(cmd->pool, removes
                            ? "%s %s takes no value"
                            : "%s %s takes a value; to remove a parameter "
                              "write !NAME", cmd->cmd->name, name);
    }
    if (htaccess && fcng_env_is_trusted(key)) {
        return apr_psprintf(cmd->pool, "%s: %s cannot be set in .htaccess: "
                            "applications trust it; write it in <Directory>",
                            cmd->cmd->name, param.name);
    }
    if (auth && fcng_authz_is_withheld(key)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING | APLOG_STARTUP, 0,
                     cmd->server, "line %d of %s: %s %s is never sent to an "
                     "Authorizer: take it out", cmd->directive->line_num,
                     cmd->directive->filename, cmd->cmd->name, param.name);
        return NULL;
    }
    param.var = fcng_env_find(key);
    if (!removes) {
        err = param_value(cmd, &param, value);
    }
    if (err == NULL) {
        apr_array_header_t **params = auth ? &conf->auth.params
                                           : &conf->params;

        if (*params == NULL) {
            *params = apr_array_make(cmd->pool, 4, sizeof(param));
        }
        param_set(*params, &param);
        if (param.var >= 0) {
            *(auth ? &conf->auth.skip : &conf->skip) |= 1u << param.var;
        }
    }
    return err;
}

/* ------------------------------------------------------------ numbers --- */

static const char *cmd_flag(cmd_parms *cmd, void *dir, int on)
{
    *(int *)((char *)dir + (apr_size_t)cmd->info) = on;
    return NULL;
}

static const char *cmd_timeout(cmd_parms *cmd, void *dir, const char *arg)
{
    apr_interval_time_t *out
        = (apr_interval_time_t *)((char *)dir + (apr_size_t)cmd->info);
    bool whole = (apr_size_t)cmd->info
                 == APR_OFFSETOF(fastcgi_ng_dir_conf_t, request_timeout);

    if (whole && ap_cstr_casecmp(arg, "off") == 0) {
        *out = 0;
        return NULL;
    }
    if (ap_timeout_parameter_parse(arg, out, "s") != APR_SUCCESS
        || *out <= 0) {
        return apr_psprintf(cmd->pool, "%s: \"%s\" is no time: write 30, 30s, "
                            "500ms or 2min%s", cmd->cmd->name, arg,
                            whole ? ", or off" : "");
    }
    return NULL;
}

bool fastcgi_ng_parse_size(const char *arg, apr_off_t min, apr_off_t max,
                           apr_int64_t *out)
{
    apr_off_t size = 0, unit = 1;
    char *end = NULL;
    apr_status_t rv = apr_strtoff(&size, arg, &end, 10);

    if (rv == APR_SUCCESS && end != arg && *end != '\0' && end[1] == '\0') {
        unit = apr_tolower(*end) == 'k' ? 1 << 10
               : apr_tolower(*end) == 'm' ? 1 << 20
               : apr_tolower(*end) == 'g' ? 1 << 30 : 0;
        end++;
    }
    if (rv != APR_SUCCESS || end == arg || *end != '\0' || unit == 0
        || size < 0 || size > max / unit) {
        return false;
    }
    *out = size * unit;
    return *out >= min;
}

static const char *cmd_header_max_size(cmd_parms *cmd, void *dir,
                                       const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;

    if (!fastcgi_ng_parse_size(arg, FCNG_HEAD_SIZE_MIN,
                               FCNG_HEAD_SIZE_MAX, &conf->header_max_size)) {
        return apr_psprintf(cmd->pool, "FastCgiNgHeaderMaxSize: \"%s\" is no "
                            "size: write %d to %dm, as in 64k", arg,
                            FCNG_HEAD_SIZE_MIN, FCNG_HEAD_SIZE_MAX >> 20);
    }
    return NULL;
}

static const char *cmd_output_max_size(cmd_parms *cmd, void *dir,
                                       const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;

    if (!fastcgi_ng_parse_size(arg, 1, APR_INT64_MAX,
                               &conf->output_max_size)) {
        return apr_psprintf(cmd->pool, "FastCgiNgOutputFilterMaxSize: \"%s\" "
                            "is no size: write a number of bytes, as in 64m",
                            arg);
    }
    return NULL;
}

static int level_of(const char *arg)
{
    static const char *const names[] = { "emerg", "alert", "crit", "error",
                                         "warn", "notice", "info", "debug" };
    int i;

    for (i = 0; i <= APLOG_DEBUG; i++) {
        if (ap_cstr_casecmp(arg, names[i]) == 0) {
            return i;
        }
    }
    return ap_cstr_casecmp(arg, "off") == 0 ? FASTCGI_NG_STDERR_OFF : UNSET;
}

static const char *cmd_stderr(cmd_parms *cmd, void *dir, const char *level,
                              const char *rate)
{
    fastcgi_ng_dir_conf_t *conf = dir;
    char *end;

    conf->stderr_level = level_of(level);
    if (conf->stderr_level == UNSET) {
        return apr_psprintf(cmd->pool, "FastCgiNgStderr: \"%s\" is no level: "
                            "write error, warn, notice, info, debug or off",
                            level);
    }
    if (rate == NULL) {
        return NULL;
    }
    conf->stderr_rate = strncmp(rate, "rate=", 5) == 0
                        ? apr_strtoi64(rate + 5, &end, 10) : -1;
    if (conf->stderr_rate < 0 || end == rate + 5 || strcmp(end, "r/s") != 0
        || conf->stderr_rate > RATE_MAX) {
        return apr_psprintf(cmd->pool, "FastCgiNgStderr: \"%s\" is no rate: "
                            "write rate=100r/s (lines a second), rate=0r/s "
                            "for all", rate);
    }
    return NULL;
}

/* -------------------------------------------------- names that lead on --- */

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

/* ---------------------------------------------------------- the table --- */

#define ANYWHERE (RSRC_CONF | ACCESS_CONF)
#define AUTHORIZER ((void *)1)
#define OUTPUT ((void *)1)
#define MEMBER(name) ((void *)APR_OFFSETOF(fastcgi_ng_dir_conf_t, name))

const command_rec fastcgi_ng_commands[] = {
    AP_INIT_TAKE_ARGV("FastCgiNgPool", cmd_pool, NULL, OR_ALL,
                      "a name, one or more addresses, and word=value ..."),
    AP_INIT_TAKE1("FastCgiNgPass", cmd_pass, NULL, OR_ALL,
                  "the pool that serves this location, or off"),
    AP_INIT_TAKE1("FastCgiNgFileFilter", cmd_filter, NULL,
                  ANYWHERE | OR_FILEINFO,
                  "the pool whose Filter application files go through, or "
                  "off"),
    AP_INIT_TAKE1("FastCgiNgOutputFilter", cmd_filter, OUTPUT,
                  ANYWHERE | OR_FILEINFO,
                  "the pool whose Filter application responses go through, "
                  "or off"),
    AP_INIT_TAKE_ARGV("FastCgiNgOutputFilterTypes", cmd_output_types, NULL,
                      ANYWHERE | OR_FILEINFO,
                      "the types of the responses that do, or *"),
    AP_INIT_TAKE1("FastCgiNgOutputFilterMaxSize", cmd_output_max_size, NULL,
                  ANYWHERE, "the largest response that does, as in 64m"),
    AP_INIT_TAKE1("FastCgiNgOutputFilterOnError", cmd_output_on_error, NULL,
                  ANYWHERE | OR_FILEINFO,
                  "pass: the unfiltered response; or fail"),
    AP_INIT_FLAG("FastCgiNgOutputFilterBuffering", cmd_flag,
                 MEMBER(output_buffering), ANYWHERE | OR_FILEINFO,
                 "off: a response is passed on as it comes"),
    AP_INIT_TAKE1("FastCgiNgScript", cmd_script, NULL, ANYWHERE,
                  "the file that answers every request here"),
    AP_INIT_RAW_ARGS("FastCgiNgParam", cmd_param, NULL,
                     ANYWHERE | OR_FILEINFO,
                     "a name and a value (an expression), or !name"),
    AP_INIT_FLAG("FastCgiNgDefaultParams", cmd_flag, MEMBER(default_params),
                 ANYWHERE, "off: only FastCgiNgParam says what is sent"),
    AP_INIT_FLAG("FastCgiNgCheckScript", cmd_flag, MEMBER(check_script),
                 ANYWHERE, "off: PHP files need not exist on this machine"),
    AP_INIT_FLAG("FastCgiNgRequestBuffering", cmd_flag,
                 MEMBER(request_buffering), ANYWHERE | OR_FILEINFO,
                 "off: bodies of unknown length are passed on as they come"),
    AP_INIT_TAKE1("FastCgiNgHeaderMaxSize", cmd_header_max_size, NULL,
                  ANYWHERE, "the largest head of a response, as in 64k"),
    AP_INIT_TAKE1("FastCgiNgConnectTimeout", cmd_timeout,
                  MEMBER(connect_timeout), ANYWHERE,
                  "how long connecting may take"),
    AP_INIT_TAKE1("FastCgiNgSendTimeout", cmd_timeout, MEMBER(send_timeout),
                  ANYWHERE, "how long the application may take no byte"),
    AP_INIT_TAKE1("FastCgiNgReadTimeout", cmd_timeout, MEMBER(read_timeout),
                  ANYWHERE, "how long the application may send no byte"),
    AP_INIT_TAKE1("FastCgiNgRequestTimeout", cmd_timeout,
                  MEMBER(request_timeout), ANYWHERE,
                  "how long a request may take altogether, or off"),
    AP_INIT_TAKE12("FastCgiNgStderr", cmd_stderr, NULL, ANYWHERE,
                   "the log level of what the application writes to STDERR, "
                   "or off; rate=100r/s"),
    AP_INIT_TAKE_ARGV("FastCgiNgAuthorizer", fastcgi_ng_cmd_authorizer, NULL,
                      ANYWHERE | OR_AUTHCFG,
                      "pools that must all grant a request, phase=access or "
                      "authz; or off"),
    AP_INIT_RAW_ARGS("FastCgiNgAuthorizerParam", cmd_param, AUTHORIZER,
                     ANYWHERE | OR_AUTHCFG,
                     "a name and a value (an expression), or !name"),
    AP_INIT_TAKE1("FastCgiNgAuthorizerConnectTimeout", cmd_timeout,
                  MEMBER(auth.connect_timeout), ANYWHERE,
                  "how long connecting may take"),
    AP_INIT_TAKE1("FastCgiNgAuthorizerSendTimeout", cmd_timeout,
                  MEMBER(auth.send_timeout), ANYWHERE,
                  "how long an authorizer may take no byte"),
    AP_INIT_TAKE1("FastCgiNgAuthorizerReadTimeout", cmd_timeout,
                  MEMBER(auth.read_timeout), ANYWHERE,
                  "how long an authorizer may send no byte"),
    AP_INIT_FLAG("FastCgiNgAuthorizerErrorDocument", cmd_flag,
                 MEMBER(auth.error_document), ANYWHERE | OR_AUTHCFG,
                 "on: ErrorDocument takes the place of a denial's body"),
    AP_INIT_TAKE1("FastCgiNgAuthorizerBufferSize",
                  fastcgi_ng_cmd_auth_buffer_size, NULL, ANYWHERE,
                  "how much of a denial's body is kept in memory"),
    AP_INIT_FLAG("FastCgiNgAuthorizerStdin", cmd_flag,
                 MEMBER(auth.send_stdin), ANYWHERE,
                 "off: an authorizer gets no STDIN record"),
    AP_INIT_FLAG("FastCgiNgAuthorizerUser", cmd_flag, MEMBER(auth.user),
                 ANYWHERE | OR_AUTHCFG,
                 "on: an authorizer's REMOTE_USER is the request's user"),
    AP_INIT_TAKE1("FastCgiNgAuthorizerInternal", fastcgi_ng_cmd_auth_internal,
                  NULL, ANYWHERE | OR_AUTHCFG,
                  "inherit or ask: subrequests and internal redirects"),
    AP_INIT_ITERATE("FastCgiNgAuthorizerUnset", fastcgi_ng_cmd_auth_unset,
                    NULL, ANYWHERE | OR_AUTHCFG,
                    "variables that only an authorizer sets"),
    AP_INIT_FLAG("FastCgiNgRequireBody", cmd_flag, MEMBER(auth.require_body),
                 ANYWHERE | OR_AUTHCFG,
                 "on: the answer of a pool that Require asks is what a "
                 "denied client gets"),
    AP_INIT_TAKE1("FastCgiNgAuthenticator", fastcgi_ng_cmd_authenticator,
                  NULL, ANYWHERE | OR_AUTHCFG,
                  "the pool that checks users and passwords, or off"),
    AP_INIT_FLAG("FastCgiNgAuthenticatorAuthoritative", cmd_flag,
                 MEMBER(auth.authenticator_decides), ANYWHERE | OR_AUTHCFG,
                 "off: other modules decide when it denies"),
    AP_INIT_TAKE1("FastCgiNgAccessChecker", fastcgi_ng_cmd_access_checker,
                  NULL, ANYWHERE | OR_AUTHCFG,
                  "the pool that decides before users are known, or off"),
    AP_INIT_FLAG("FastCgiNgAccessCheckerAuthoritative", cmd_flag,
                 MEMBER(auth.access_checker_decides), ANYWHERE | OR_AUTHCFG,
                 "off: other modules decide when it denies"),
    { NULL }
};
