/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FastCGI application in C, as small as libfcgi allows: it tells what it
 * was asked and how long the body was.  `make demo` serves it.
 */
#include <stddef.h>

#include <fcgiapp.h>

static const char *param(const char *name, char **envp)
{
    const char *value = FCGX_GetParam(name, envp);

    return value != NULL ? value : "";
}

int main(void)
{
    FCGX_Request request;

    if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0)
        return 1;

    while (FCGX_Accept_r(&request) == 0) {
        char buffer[8192];
        long body = 0;
        int n;

        while ((n = FCGX_GetStr(buffer, sizeof(buffer), request.in)) > 0)
            body += n;

        FCGX_FPrintF(request.out,
                     "Content-Type: text/plain\r\n\r\n"
                     "Hello from C: %s %s%s with %ld bytes, by %s\n",
                     param("REQUEST_METHOD", request.envp),
                     param("SCRIPT_NAME", request.envp),
                     param("PATH_INFO", request.envp), body,
                     param("SERVER_SOFTWARE", request.envp));
        FCGX_Finish_r(&request);
    }

    return 0;
}
