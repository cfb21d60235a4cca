/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A libfcgi Filter of several threads, one request each:
 *
 *   upper PATH|:PORT [THREADS]
 *
 * FCGI_DATA comes back in upper case while it is still arriving; with
 * QUERY_STRING "count" its length; with "slow" the first byte is read a
 * second late.  As a Responder it does the same with the file of
 * SCRIPT_FILENAME, which it reads itself.
 */
#include <ctype.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int listener;

typedef struct source {
    FCGX_Stream *in;
    FILE *file; /* NULL: |in| */
} source;

static int get(source *from, char *block, int size)
{
    return from->file != NULL ? (int)fread(block, 1, size, from->file)
                              : FCGX_GetStr(block, size, from->in);
}

/* FCGX_StartFilterData() wants STDIN read to its end. */
static int start_data(FCGX_Stream *in)
{
    static __thread char block[65536];
    while (FCGX_GetStr(block, sizeof(block), in) > 0) {
    }
    return FCGX_StartFilterData(in);
}

static void count(source *from, FCGX_Request *request)
{
    static __thread char block[65536];
    char text[32];
    long long size = 0;
    int len;
    while ((len = get(from, block, sizeof(block))) > 0) {
        size += len;
    }
    snprintf(text, sizeof(text), "%lld", size);
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    FCGX_PutS(text, request->out);
}

static void raise_case(source *from, FCGX_Request *request)
{
    static __thread char block[65536];
    int len;
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request->out);
    while ((len = get(from, block, sizeof(block))) > 0) {
        for (int i = 0; i < len; i++) {
            block[i] = (char)toupper((unsigned char)block[i]);
        }
        if (FCGX_PutStr(block, len, request->out) != len) {
            return;
        }
    }
}

static void serve(FCGX_Request *request)
{
    const char *role = FCGX_GetParam("FCGI_ROLE", request->envp);
    const char *query = FCGX_GetParam("QUERY_STRING", request->envp);
    const char *path = FCGX_GetParam("SCRIPT_FILENAME", request->envp);
    source from = { request->in, NULL };
    query = query != NULL ? query : "";
    if (role != NULL && strcmp(role, "FILTER") == 0) {
        if (start_data(request->in) < 0) {
            FCGX_PutS("Status: 500\r\n\r\n", request->out);
            return;
        }
    } else if (path == NULL || (from.file = fopen(path, "r")) == NULL) {
        FCGX_PutS("Status: 404\r\n\r\n", request->out);
        return;
    }
    if (strcmp(query, "slow") == 0) {
        sleep(1);
    }
    if (strcmp(query, "count") == 0) {
        count(&from, request);
    } else {
        raise_case(&from, request);
    }
    if (from.file != NULL) {
        fclose(from.file);
    }
}

static void *run(void *unused)
{
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        serve(&request);
        FCGX_Finish_r(&request);
    }
    return unused;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 8;
    umask(0);
    if (argc < 2 || FCGX_Init() != 0
        || (listener = FCGX_OpenSocket(argv[1], 1024)) < 0) {
        fprintf(stderr, "usage: upper PATH|:PORT [THREADS]\n");
        return 1;
    }
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, NULL) != 0) {
            return 1;
        }
    }
    run(NULL);
    return 0;
}
