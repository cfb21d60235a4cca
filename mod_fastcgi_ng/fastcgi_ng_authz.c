/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where httpd itself asks: "Require fastcgi-ng POOL", "AuthBasicProvider
 * fastcgi-ng"; and the hooks of mod_fcgid and mod_fastcgi, for applications
 * that look at FCGI_APACHE_ROLE.
 *
 * A failure is AUTHZ_GENERAL_ERROR, AUTH_GENERAL_ERROR or an error status:
 * "Require not" would make a grant of a denial.
 */
#include "fastcgi_ng.h"

#include "ap_provider.h"
#include "mod_auth.h"

static void tell(request_rec *r, fastcgi_ng_question_t *q, const char *name,
                 const char *value)
{
    fcng_field *param;

    if (q->params == NULL) {
        q->params = apr_array_make(r->pool, 2, sizeof(fcng_field));
    }
    param = apr_array_push(q->params);
    param->name = (fcng_str){ name, strlen(name) };
    param->value = (fcng_str){ value, strlen(value) };
}

/* ------------------------------------------------- Require fastcgi-ng --- */

typedef struct require_t {
    const char *pool;
    apr_array_header_t *words; /* ap_expr_info_t * */
} require_t;

/* httpd asks a provider twice: before and after the user is known. */
typedef struct asked_t {
    const require_t *require;
    const char *words;
    const char *user;
    fastcgi_ng_answer_t *answer;
} asked_t;

/* Split before they are evaluated: no value of a field can add a word. */
static const char *parse_words(cmd_parms *cmd, require_t *require,
                               const char *line)
{
    const char *word, *err = NULL;

    while (*(word = ap_getword_conf(cmd->pool, &line)) != '\0') {
        ap_expr_info_t *expr
            = ap_expr_parse_cmd(cmd, word, AP_EXPR_FLAG_STRING_RESULT, &err,
                                NULL);

        if (err != NULL) {
            return apr_psprintf(cmd->pool, "Require fastcgi-ng %s: \"%s\" is "
                                "no expression: %s", require->pool, word,
                                err);
        }
        APR_ARRAY_PUSH(require->words, ap_expr_info_t *) = expr;
    }
    return NULL;
}

static const char *parse_require(cmd_parms *cmd, const char *line,
                                 const void **parsed)
{
    require_t *require = apr_pcalloc(cmd->pool, sizeof(*require));
    const char *pool = ap_getword_conf(cmd->pool, &line), *err;

    if (*pool == '\0') {
        return "Require fastcgi-ng takes the name of a pool, as in Require "
               "fastcgi-ng auth";
    }
    require->words = apr_array_make(cmd->pool, 2, sizeof(ap_expr_info_t *));
    *parsed = require;
    err = fastcgi_ng_name_pool(cmd, "Require fastcgi-ng", pool,
                               &require->pool);
    return err != NULL ? err : parse_words(cmd, require, line);
}

/* NULL: one cannot be computed. */
static const char *words_of(request_rec *r, const require_t *require)
{
    const char *words = "", *err = NULL;
    int i;

    for (i = 0; i < require->words->nelts; i++) {
        const char *word = ap_expr_str_exec(
            r, APR_ARRAY_IDX(require->words, i, ap_expr_info_t *), &err);

        if (err != NULL) {
            ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                          "%s: Require fastcgi-ng %s: word %d cannot be "
                          "computed: %s", fcng_msg_tag(FCNG_MSG_REQUEST),
                          require->pool, i + 1, err);
            return NULL;
        }
        words = i == 0 ? word : apr_pstrcat(r->pool, words, " ", word, NULL);
    }
    return words;
}

static bool same_user(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static fastcgi_ng_answer_t *required_answer(request_rec *r,
                                            const require_t *require,
                                            const char *words)
{
    fastcgi_ng_request_t *known = fastcgi_ng_request_get(r);
    fastcgi_ng_question_t q = { NULL, NULL, NULL };
    asked_t *asked;
    int i;

    if (known->required == NULL) {
        known->required = apr_array_make(r->pool, 2, sizeof(asked_t));
    }
    for (i = 0; i < known->required->nelts; i++) {
        asked = &APR_ARRAY_IDX(known->required, i, asked_t);
        if (asked->require == require && strcmp(asked->words, words) == 0
            && same_user(asked->user, r->user)) {
            return asked->answer;
        }
    }
    q.directive = apr_pstrcat(r->pool, "Require fastcgi-ng ", require->pool,
                              NULL);
    tell(r, &q, "FCGI_REQUIRE_ARGS", words);
    asked = apr_array_push(known->required);
    asked->require = require;
    asked->words = words;
    asked->user = r->user;
    asked->answer = fastcgi_ng_ask(r, require->pool, &q);
    return asked->answer;
}

static authz_status check_authorization(request_rec *r, const char *line,
                                        const void *parsed)
{
    const require_t *require = parsed;
    const char *words = words_of(r, require);
    fastcgi_ng_answer_t *answer;

    if (words == NULL) {
        return AUTHZ_GENERAL_ERROR;
    }
    answer = required_answer(r, require, words);
    if (answer->verdict == FCNG_AUTHZ_GRANTED) {
        fastcgi_ng_grant(r, answer);
        return AUTHZ_GRANTED;
    }
    if (answer->verdict != FCNG_AUTHZ_DENIED) {
        return AUTHZ_GENERAL_ERROR;
    }
    if (answer->conf->require_body == 1) {
        fastcgi_ng_deny_required(r, answer);
    }
    /* Where nobody can log in, httpd would make an error of it. */
    return answer->status == HTTP_UNAUTHORIZED && r->user == NULL
           && ap_auth_type(r) != NULL ? AUTHZ_DENIED_NO_USER : AUTHZ_DENIED;
}

/* ------------------------------------------ who knows users, passwords --- */

static fastcgi_ng_answer_t *ask_role(request_rec *r, const char *directive,
                                     const char *pool, const char *role,
                                     const char *password)
{
    fastcgi_ng_question_t q = { NULL, NULL, NULL };

    q.directive = apr_pstrcat(r->pool, directive, " ", pool, NULL);
    tell(r, &q, "FCGI_APACHE_ROLE", role);
    if (password != NULL) {
        tell(r, &q, "REMOTE_PASSWD", password);
    }
    return fastcgi_ng_ask(r, pool, &q);
}

static authn_status check_password(request_rec *r, const char *user,
                                   const char *password)
{
    const fastcgi_ng_auth_conf_t *conf = &fastcgi_ng_dir_conf(r)->auth;
    fastcgi_ng_answer_t *answer;

    if (conf->authenticator == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "%s: AuthBasicProvider fastcgi-ng: no pool is named: "
                      "write FastCgiNgAuthenticator POOL beside it",
                      fcng_msg_tag(FCNG_MSG_REQUEST));
        return AUTH_GENERAL_ERROR;
    }
    answer = ask_role(r, "AuthBasicProvider fastcgi-ng with "
                      "FastCgiNgAuthenticator", conf->authenticator,
                      "AUTHENTICATOR", password);
    if (answer->verdict == FCNG_AUTHZ_GRANTED) {
        fastcgi_ng_grant(r, answer);
        return AUTH_GRANTED;
    }
    if (answer->verdict != FCNG_AUTHZ_DENIED) {
        return AUTH_GENERAL_ERROR;
    }
    return conf->authenticator_decides == 0 ? AUTH_USER_NOT_FOUND
                                            : AUTH_DENIED;
}

/* In the place of mod_auth_basic. */
static int authenticate(request_rec *r)
{
    const fastcgi_ng_auth_conf_t *conf = &fastcgi_ng_dir_conf(r)->auth;
    const char *type = ap_auth_type(r), *password;
    fastcgi_ng_answer_t *answer;
    int rc;

    if (conf->authenticator == NULL || conf->is_provider || type == NULL
        || ap_cstr_casecmp(type, "Basic") != 0) {
        return DECLINED;
    }
    rc = ap_get_basic_auth_pw(r, &password);
    if (rc != OK) {
        return rc;
    }
    answer = ask_role(r, "FastCgiNgAuthenticator", conf->authenticator,
                      "AUTHENTICATOR", password);
    if (answer->verdict == FCNG_AUTHZ_GRANTED) {
        fastcgi_ng_grant(r, answer);
        return OK;
    }
    if (answer->verdict == FCNG_AUTHZ_DENIED) {
        if (conf->authenticator_decides == 0) {
            return DECLINED;
        }
        if (answer->status == HTTP_UNAUTHORIZED) {
            ap_note_auth_failure(r);
        }
    }
    return fastcgi_ng_deny(r, answer);
}

static int check_access(request_rec *r)
{
    const fastcgi_ng_auth_conf_t *conf = &fastcgi_ng_dir_conf(r)->auth;
    fastcgi_ng_answer_t *answer;

    if (conf->access_checker == NULL) {
        return DECLINED;
    }
    answer = ask_role(r, "FastCgiNgAccessChecker", conf->access_checker,
                      "ACCESS_CHECKER", NULL);
    if (answer->verdict == FCNG_AUTHZ_GRANTED) {
        fastcgi_ng_grant(r, answer);
        return OK;
    }
    if (answer->verdict == FCNG_AUTHZ_DENIED
        && conf->access_checker_decides == 0) {
        return DECLINED;
    }
    return fastcgi_ng_deny(r, answer);
}

void fastcgi_ng_authz_hooks(apr_pool_t *p)
{
    static const char *const before_basic[] = { "mod_auth_basic.c", NULL };
    static const authz_provider authz = { check_authorization,
                                          parse_require };
    static const authn_provider authn = { check_password, NULL };

    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, FASTCGI_NG_PROVIDER,
                              AUTHZ_PROVIDER_VERSION, &authz,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(p, AUTHN_PROVIDER_GROUP, FASTCGI_NG_PROVIDER,
                              AUTHN_PROVIDER_VERSION, &authn,
                              AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(authenticate, NULL, before_basic, APR_HOOK_MIDDLE,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access(check_access, NULL, NULL, APR_HOOK_MIDDLE,
                         AP_AUTH_INTERNAL_PER_CONF);
}
