/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SetHandler fastcgi-ng-status: the core's page of all processes in JSON; and
 * a table in mod_status' page.
 */
#include "fastcgi_ng.h"

#include "http_main.h"
#include "mod_status.h"

int fastcgi_ng_status(request_rec *r, fastcgi_ng_child_t *child)
{
    fcng_status status;
    char piece[FCNG_STATUS_PIECE];
    int rc;

    ap_allow_methods(r, REPLACE_ALLOW, "GET", "HEAD", NULL);
    if (r->method_number != M_GET) { /* HEAD is M_GET, too */
        return HTTP_METHOD_NOT_ALLOWED;
    }
    rc = ap_discard_request_body(r);
    if (rc != OK) {
        return rc;
    }
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    fcng_status_init(&status, child != NULL ? child->share : NULL);
    while (fcng_status_next(&status, piece) > 0) {
        ap_rputs(piece, r);
    }
    return OK;
}

/* ---------------------------------------------------------- mod_status --- */

static void short_row(request_rec *r, unsigned i, const fcng_share_row *row)
{
    ap_rprintf(r, "FastCgiNg[%u]Address: %s\n"
               "FastCgiNg[%u]Connections: %" APR_UINT64_T_FMT "\n"
               "FastCgiNg[%u]Idle: %" APR_UINT64_T_FMT "\n"
               "FastCgiNg[%u]Waiting: %" APR_UINT64_T_FMT "\n"
               "FastCgiNg[%u]Requests: %" APR_UINT64_T_FMT "\n",
               i, row->address,
               i, (apr_uint64_t)row->gauge[FCNG_GAUGE_CONNECTIONS],
               i, (apr_uint64_t)row->gauge[FCNG_GAUGE_IDLE],
               i, (apr_uint64_t)row->gauge[FCNG_GAUGE_WAITING],
               i, (apr_uint64_t)row->count[FCNG_COUNT_REQUESTS]);
}

static void table_row(request_rec *r, const fcng_share_row *row)
{
    ap_rprintf(r, "<tr><td>%s</td><td>%" APR_UINT64_T_FMT "</td>"
               "<td>%" APR_UINT64_T_FMT "</td><td>%" APR_UINT64_T_FMT "</td>"
               "<td>%" APR_UINT64_T_FMT "</td></tr>\n",
               ap_escape_html(r->pool, row->address),
               (apr_uint64_t)row->gauge[FCNG_GAUGE_CONNECTIONS],
               (apr_uint64_t)row->gauge[FCNG_GAUGE_IDLE],
               (apr_uint64_t)row->gauge[FCNG_GAUGE_WAITING],
               (apr_uint64_t)row->count[FCNG_COUNT_REQUESTS]);
}

static int on_mod_status(request_rec *r, int flags)
{
    fastcgi_ng_server_conf_t *conf
        = ap_get_module_config(ap_server_conf->module_config,
                               &fastcgi_ng_module);
    fcng_share *share = conf->child != NULL ? conf->child->share : NULL;
    bool brief = (flags & AP_STATUS_SHORT) != 0;
    fcng_share_row row;
    unsigned i;

    if (share == NULL) {
        return DECLINED;
    }
    if (!brief) {
        ap_rputs("<hr />\n<h2>FastCGI applications</h2>\n<table border=\"0\">"
                 "<tr><th>Address</th><th>Connections</th><th>Idle</th>"
                 "<th>Waiting</th><th>Requests</th></tr>\n", r);
    }
    for (i = 0; fcng_share_read(share, i, &row); i++) {
        if (brief) {
            short_row(r, i, &row);
        }
        else {
            table_row(r, &row);
        }
    }
    if (!brief) {
        ap_rputs("</table>\n", r);
    }
    return OK;
}

void fastcgi_ng_status_hooks(apr_pool_t *p)
{
    APR_OPTIONAL_HOOK(ap, status_hook, on_mod_status, NULL, NULL,
                      APR_HOOK_MIDDLE);
}
