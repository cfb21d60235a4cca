/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directives: what they take, where they may stand, how they merge.
 * docs/apache.md says what each one means.
 */
#include "fastcgi_ng.h"

#include "apr_fnmatch.h"
#include "apr_lib.h"

#define UNSET (-1)
#define RATE_MAX 1000000

/* ------------------------------------------------------ create, merge --- */

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

/* ---------------------------------------------------- FastCgiNgPass --- */

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
    conf->pass = fastcgi_ng_lower(cmd->pool, arg);
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
    *name = fastcgi_ng_lower(cmd->pool, arg);
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
            = fastcgi_ng_lower(cmd->pool, argv[i]);
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

/* ---------------------------------------------------------- the table --- */

#define ANYWHERE (RSRC_CONF | ACCESS_CONF)
#define AUTHORIZER ((void *)1)
#define OUTPUT ((void *)1)
#define MEMBER(name) ((void *)APR_OFFSETOF(fastcgi_ng_dir_conf_t, name))

const command_rec fastcgi_ng_commands[] = {
    AP_INIT_TAKE_ARGV("FastCgiNgPool", fastcgi_ng_cmd_pool, NULL, OR_ALL,
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
