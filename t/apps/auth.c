/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An Authorizer on libfcgi: whoever sends the cookie "key=NAME" may pass and
 * is NAME; others are told that they have no key.
 *
 *   auth PATH|:PORT
 */
#include <fcgiapp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void decide(FCGX_Request *request)
{
    const char *role = FCGX_GetParam("FCGI_ROLE", request->envp);
    const char *cookie = FCGX_GetParam("HTTP_COOKIE", request->envp);
    const char *uri = FCGX_GetParam("REQUEST_URI", request->envp);
    if (role == NULL || strcmp(role, "AUTHORIZER") != 0) {
        FCGX_PutS("Status: 500\r\n\r\nnot my role\n", request->out);
        return;
    }
    char name[64];
    if (cookie != NULL && sscanf(cookie, "key=%63[a-z]", name) == 1) {
        FCGX_FPrintF(request->out, "Status: 200\r\n"
                     "Variable-REMOTE_USER: %s\r\n\r\n", name);
        return;
    }
    FCGX_FPrintF(request->out, "Status: 403\r\nContent-Type: text/html\r\n\r\n"
                 "<p>No key: you may not see %s.</p>\n",
                 uri != NULL ? uri : "this");
}

int main(int argc, char **argv)
{
    FCGX_Request request;
    if (argc < 2 || FCGX_Init() != 0) {
        return 2;
    }
    int listener = FCGX_OpenSocket(argv[1], 128);
    if (listener < 0) {
        return 1;
    }
    if (argv[1][0] == '/') {
        chmod(argv[1], 0777);
    }
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) >= 0) {
        decide(&request);
        FCGX_Finish_r(&request);
    }
    return 0;
}
