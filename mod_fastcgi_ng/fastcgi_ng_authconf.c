/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directives about Authorizers: what they take and how they merge.
 * docs/apache.md says what each one means.
 */
#include "fastcgi_ng.h"

#define UNSET (-1)

void fastcgi_ng_auth_conf_init(fastcgi_ng_auth_conf_t *conf)
{
    conf->connect_timeout = UNSET;
    conf->send_timeout = UNSET;
    conf->read_timeout = UNSET;
    conf->buffer_size = UNSET;
    conf->error_document = UNSET;
    conf->send_stdin = UNSET;
    conf->user = UNSET;
    conf->again = UNSET;
    conf->require_body = UNSET;
    conf->authenticator_decides = UNSET;
    conf->access_checker_decides = UNSET;
}

#define PICK(member)                                                          \
    conf->member = add->member != UNSET ? add->member : base->member

void fastcgi_ng_auth_conf_merge(apr_pool_t *p, fastcgi_ng_auth_conf_t *conf,
                                const fastcgi_ng_auth_conf_t *base,
                                const fastcgi_ng_auth_conf_t *add)
{
    const fastcgi_ng_auth_conf_t *list = add->set ? add : base;

    conf->set = list->set;
    conf->pools = list->pools;
    conf->late = list->late;
    fastcgi_ng_merge_params(p, &conf->params, base->params, add->params);
    conf->skip = base->skip | add->skip;
    PICK(connect_timeout);
    PICK(send_timeout);
    PICK(read_timeout);
    PICK(buffer_size);
    PICK(error_document);
    PICK(send_stdin);
    PICK(user);
    PICK(again);
    PICK(require_body);
    PICK(authenticator_decides);
    PICK(access_checker_decides);
    conf->unset = base->unset == NULL ? add->unset
                  : add->unset == NULL ? base->unset
                  : apr_array_append(p, base->unset, add->unset);
    list = add->authenticator_set ? add : base;
    conf->authenticator_set = list->authenticator_set;
    conf->authenticator = list->authenticator;
    conf->is_provider = list->is_provider;
    list = add->access_checker_set ? add : base;
    conf->access_checker_set = list->access_checker_set;
    conf->access_checker = list->access_checker;
}

/* A pool that is named where it is to be asked.  In .htaccess everything is
   read already, elsewhere it is looked for at the end. */
const char *fastcgi_ng_name_pool(cmd_parms *cmd, const char *directive,
                                 const char *arg, const char **name)
{
    char *copy;

    if (!fastcgi_ng_is_name(arg)) {
        return apr_psprintf(cmd->pool, "%s takes the name of a pool, which "
                            "\"%s\" is not: write FastCgiNgPool NAME %s in "
                            "the server and %s NAME here", directive, arg,
                            arg, directive);
    }
    copy = apr_pstrdup(cmd->pool, arg);
    ap_str_tolower(copy);
    *name = copy;
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL) {
        fastcgi_ng_remember_use(cmd, directive, copy);
    }
    else if (fastcgi_ng_find_app(cmd->server, copy) == NULL) {
        return apr_psprintf(cmd->pool, "%s: there is no pool \"%s\": it is "
                            "defined in the server, by FastCgiNgPool %s "
                            "ADDRESS", directive, copy, copy);
    }
    return NULL;
}

static const char *authorizer_word(cmd_parms *cmd,
                                   fastcgi_ng_auth_conf_t *conf,
                                   const char *arg)
{
    const char *name = NULL, *err;

    if (strcmp(arg, "phase=access") == 0 || strcmp(arg, "phase=authz") == 0) {
        conf->late = strcmp(arg, "phase=authz") == 0;
        return NULL;
    }
    if (strchr(arg, '=') != NULL) {
        return apr_psprintf(cmd->pool, "FastCgiNgAuthorizer: \"%s\" is no "
                            "word: write phase=access or phase=authz", arg);
    }
    err = fastcgi_ng_name_pool(cmd, cmd->cmd->name, arg, &name);
    if (err == NULL) {
        APR_ARRAY_PUSH(conf->pools, const char *) = name;
    }
    return err;
}

const char *fastcgi_ng_cmd_authorizer(cmd_parms *cmd, void *dir, int argc,
                                      char *const argv[])
{
    fastcgi_ng_auth_conf_t *conf = &((fastcgi_ng_dir_conf_t *)dir)->auth;
    const char *err = NULL;
    int i;

    conf->set = true;
    conf->late = false;
    conf->pools = NULL;
    if (argc == 1 && ap_cstr_casecmp(argv[0], "off") == 0) {
        return NULL;
    }
    conf->pools = apr_array_make(cmd->pool, 2, sizeof(const char *));
    for (i = 0; i < argc && err == NULL; i++) {
        err = authorizer_word(cmd, conf, argv[i]);
    }
    if (err == NULL && conf->pools->nelts == 0) {
        err = "FastCgiNgAuthorizer takes one or more names of pools, or off";
    }
    return err;
}

const char *fastcgi_ng_cmd_auth_buffer_size(cmd_parms *cmd, void *dir,
                                            const char *arg)
{
    fastcgi_ng_dir_conf_t *conf = dir;

    if (!fastcgi_ng_parse_size(arg, 0, 16 * 1024 * 1024,
                               &conf->auth.buffer_size)) {
        return apr_psprintf(cmd->pool, "FastCgiNgAuthorizerBufferSize: \"%s\" "
                            "is no size: write 0 to 16m, as in 64k", arg);
    }
    return NULL;
}

const char *fastcgi_ng_cmd_auth_unset(cmd_parms *cmd, void *dir,
                                      const char *arg)
{
    fastcgi_ng_auth_conf_t *conf = &((fastcgi_ng_dir_conf_t *)dir)->auth;

    if (conf->unset == NULL) {
        conf->unset = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    APR_ARRAY_PUSH(conf->unset, const char *) = arg;
    return NULL;
}

const char *fastcgi_ng_cmd_auth_internal(cmd_parms *cmd, void *dir,
                                         const char *arg)
{
    fastcgi_ng_auth_conf_t *conf = &((fastcgi_ng_dir_conf_t *)dir)->auth;

    conf->again = ap_cstr_casecmp(arg, "ask") == 0;
    if (!conf->again && ap_cstr_casecmp(arg, "inherit") != 0) {
        return apr_psprintf(cmd->pool, "FastCgiNgAuthorizerInternal: write "
                            "inherit or ask, not \"%s\"", arg);
    }
    return NULL;
}

static const char *pool_or_off(cmd_parms *cmd, const char *arg,
                               const char **name)
{
    *name = NULL;
    return ap_cstr_casecmp(arg, "off") == 0
           ? NULL : fastcgi_ng_name_pool(cmd, cmd->cmd->name, arg, name);
}

/* "AuthBasicProvider fastcgi-ng" stands in the same section. */
static int beside_provider(const cmd_parms *cmd)
{
    const ap_directive_t *d = cmd->directive->parent != NULL
                              ? cmd->directive->parent->first_child
                              : ap_conftree;

    for (; d != NULL; d = d->next) {
        const char *args = d->args, *word;

        if (ap_cstr_casecmp(d->directive, "AuthBasicProvider") != 0) {
            continue;
        }
        while (*(word = ap_getword_conf(cmd->temp_pool, &args)) != '\0') {
            if (ap_cstr_casecmp(word, FASTCGI_NG_PROVIDER) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

const char *fastcgi_ng_cmd_authenticator(cmd_parms *cmd, void *dir,
                                         const char *arg)
{
    fastcgi_ng_auth_conf_t *conf = &((fastcgi_ng_dir_conf_t *)dir)->auth;

    conf->authenticator_set = true;
    conf->is_provider = beside_provider(cmd);
    return pool_or_off(cmd, arg, &conf->authenticator);
}

const char *fastcgi_ng_cmd_access_checker(cmd_parms *cmd, void *dir,
                                          const char *arg)
{
    fastcgi_ng_auth_conf_t *conf = &((fastcgi_ng_dir_conf_t *)dir)->auth;

    conf->access_checker_set = true;
    return pool_or_off(cmd, arg, &conf->access_checker);
}
