/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A libfcgi application of several threads, one request each:
 *
 *   echo PATH|:PORT [THREADS]
 *
 * By QUERY_STRING: "env" lists the parameters, "size=N" answers N bytes,
 * "count" the length of STDIN; else STDIN comes back while it is still
 * arriving, with CONTENT_LENGTH as Content-Length when there is one.
 */
#include <fcgiapp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int listener;

static void list_params(FCGX_Request *request)
{
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    for (char **p = request->envp; *p != NULL; p++) {
        FCGX_FPrintF(request->out, "%s\n", *p);
    }
}

static void send_bytes(FCGX_Request *request, long long size)
{
    static const char block[65536];
    FCGX_FPrintF(request->out,
                 "Content-Type: application/octet-stream\r\n"
                 "Content-Length: %s\r\n\r\n",
                 FCGX_GetParam("QUERY_STRING", request->envp) + 5);
    while (size > 0) {
        int len = size < (long long)sizeof(block) ? (int)size
                                                  : (int)sizeof(block);
        if (FCGX_PutStr(block, len, request->out) != len) {
            return;
        }
        size -= len;
    }
}

static void count_stdin(FCGX_Request *request)
{
    static __thread char block[65536];
    long long size = 0;
    int len;
    while ((len = FCGX_GetStr(block, sizeof(block), request->in)) > 0) {
        size += len;
    }
    FCGX_FPrintF(request->out, "Content-Type: text/plain\r\n\r\n");
    char text[32];
    snprintf(text, sizeof(text), "%lld\n", size);
    FCGX_PutS(text, request->out);
}

static void echo(FCGX_Request *request)
{
    static __thread char block[65536];
    const char *length = FCGX_GetParam("CONTENT_LENGTH", request->envp);
    const char *type = FCGX_GetParam("CONTENT_TYPE", request->envp);
    if (length != NULL && *length != '\0') {
        FCGX_FPrintF(request->out, "Content-Length: %s\r\n", length);
    }
    FCGX_FPrintF(request->out, "Content-Type: %s\r\n\r\n",
                 type != NULL && *type != '\0' ? type : "text/plain");
    int len;
    while ((len = FCGX_GetStr(block, sizeof(block), request->in)) > 0) {
        if (FCGX_PutStr(block, len, request->out) != len) {
            return;
        }
    }
}

static void *serve(void *unused)
{
    (void)unused;
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        const char *query = FCGX_GetParam("QUERY_STRING", request.envp);
        query = query != NULL ? query : "";
        if (strcmp(query, "env") == 0) {
            list_params(&request);
        } else if (strcmp(query, "count") == 0) {
            count_stdin(&request);
        } else if (strncmp(query, "size=", 5) == 0) {
            send_bytes(&request, atoll(query + 5));
        } else {
            echo(&request);
        }
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2 || FCGX_Init() != 0) {
        fprintf(stderr, "usage: echo PATH|:PORT [THREADS]\n");
        return 2;
    }
    listener = FCGX_OpenSocket(argv[1], 1024);
    if (listener < 0) {
        perror(argv[1]);
        return 1;
    }
    if (argv[1][0] != ':') {
        chmod(argv[1], 0777);
    }
    int threads = argc > 2 ? atoi(argv[2]) : 8;
    puts("ready");
    fflush(stdout);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0) {
            return 1;
        }
    }
    serve(NULL);
    return 0;
}
