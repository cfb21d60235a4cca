/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A FastCGI Filter that makes HTML of Markdown, by libcmark and libfcgi:
 *
 *   markdown PATH|:PORT
 *
 * CommonMark, and tables of the form "| a | b |".  The page's date is the
 * file's (FCGI_DATA_LAST_MOD) and its length is known, so that the server
 * answers conditions and ranges.  HTML in the text is left out.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmark.h>
#include <fcgiapp.h>

#define MAX_SIZE (16 << 20)

static const char style[] =
    "body{max-width:46em;margin:2em auto;padding:0 1em;line-height:1.5;"
    "font-family:sans-serif;color:#222}"
    "pre{background:#f4f4f4;padding:.8em;overflow-x:auto}"
    "code{font-family:monospace;font-size:95%}"
    "table{border-collapse:collapse}"
    "td{border:1px solid #ccc;padding:.2em .6em;vertical-align:top}"
    "tr:first-child{font-weight:bold;background:#f4f4f4}";

/* --- tables --- */

static bool begins_with(cmark_node *node, const char *text)
{
    return node != NULL && cmark_node_get_type(node) == CMARK_NODE_TEXT
           && strncmp(cmark_node_get_literal(node), text, strlen(text)) == 0;
}

static bool ends_line(cmark_node *node)
{
    return node == NULL || cmark_node_get_type(node) == CMARK_NODE_SOFTBREAK;
}

static bool is_table(cmark_node *paragraph)
{
    cmark_node *node = cmark_node_first_child(paragraph);
    if (!begins_with(node, "|")) {
        return false;
    }
    while (!ends_line(node)) {
        node = cmark_node_next(node);
    }
    return node != NULL && begins_with(cmark_node_next(node), "|-");
}

static void put_html(cmark_node *before, const char *html)
{
    cmark_node *node = cmark_node_new(CMARK_NODE_CUSTOM_INLINE);
    cmark_node_set_on_enter(node, html);
    cmark_node_insert_before(before, node);
}

static void put_text(cmark_node *before, const char *text, size_t len)
{
    cmark_node *node = cmark_node_new(CMARK_NODE_TEXT);
    char *copy = strndup(text, len);
    cmark_node_set_literal(node, copy);
    cmark_node_insert_before(before, node);
    free(copy);
}

/* The bars of one piece of text become cells; "|---|---|" goes. */
static void make_cells(cmark_node *node, bool at_start)
{
    const char *text = cmark_node_get_literal(node);
    bool at_end = ends_line(cmark_node_next(node));
    if (at_start && at_end && strchr(text, '-') != NULL
        && text[strspn(text, "|-: ")] == '\0') {
        return;
    }
    while (*text != '\0') {
        size_t len = strcspn(text, "|");
        if (len > 0) {
            put_text(node, text, len);
            at_start = false;
        }
        text += len;
        if (*text == '|') {
            text++;
            put_html(node, at_start ? "<tr><td>"
                           : *text == '\0' && at_end ? "</td></tr>\n"
                                                     : "</td><td>");
            at_start = false;
        }
    }
}

static void make_table(cmark_node *paragraph)
{
    cmark_node *table = cmark_node_new(CMARK_NODE_CUSTOM_BLOCK);
    cmark_node *node = cmark_node_first_child(paragraph), *next;
    bool at_start = true;
    cmark_node_set_on_enter(table, "<table>");
    cmark_node_set_on_exit(table, "</table>");
    for (; node != NULL; node = next) {
        cmark_node_type type = cmark_node_get_type(node);
        next = cmark_node_next(node);
        if (type == CMARK_NODE_TEXT) {
            make_cells(node, at_start);
        }
        at_start = type == CMARK_NODE_SOFTBREAK;
        if (type == CMARK_NODE_TEXT || at_start) {
            cmark_node_free(node);
        }
    }
    while ((node = cmark_node_first_child(paragraph)) != NULL) {
        cmark_node_append_child(table, node);
    }
    cmark_node_replace(paragraph, table);
    cmark_node_free(paragraph);
}

static void make_tables(cmark_node *document)
{
    cmark_node *node = cmark_node_first_child(document), *next;
    for (; node != NULL; node = next) {
        next = cmark_node_next(node);
        if (cmark_node_get_type(node) == CMARK_NODE_PARAGRAPH
            && is_table(node)) {
            make_table(node);
        }
    }
}

/* --- the page --- */

static void put_title(FILE *out, cmark_node *document)
{
    cmark_node *heading = cmark_node_first_child(document);
    cmark_node *text;
    while (heading != NULL
           && cmark_node_get_type(heading) != CMARK_NODE_HEADING) {
        heading = cmark_node_next(heading);
    }
    text = heading != NULL ? cmark_node_first_child(heading) : NULL;
    if (text != NULL && cmark_node_get_literal(text) != NULL) {
        const char *c = cmark_node_get_literal(text);
        for (; *c != '\0'; c++) {
            fputs(*c == '<' ? "&lt;" : *c == '&' ? "&amp;" : "", out);
            if (*c != '<' && *c != '&') {
                fputc(*c, out);
            }
        }
    }
}

static char *make_page(const char *markdown, size_t len, size_t *size)
{
    char *page = NULL;
    FILE *out = open_memstream(&page, size);
    cmark_node *document = cmark_parse_document(markdown, len,
                                                CMARK_OPT_DEFAULT);
    char *html;
    make_tables(document);
    html = cmark_render_html(document, CMARK_OPT_DEFAULT);
    fputs("<!DOCTYPE html>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
          out);
    put_title(out, document);
    fprintf(out, "</title>\n<style>%s</style>\n%s", style, html);
    free(html);
    cmark_node_free(document);
    return fclose(out) == 0 ? page : NULL;
}

/* --- requests --- */

static const char *param(FCGX_Request *request, const char *name)
{
    const char *value = FCGX_GetParam(name, request->envp);
    return value != NULL ? value : "";
}

/* FCGX_StartFilterData() wants STDIN read to its end. */
static char *read_data(FCGX_Request *request, size_t *len)
{
    size_t size = strtoul(param(request, "FCGI_DATA_LENGTH"), NULL, 10);
    char unused[8192], *data;
    int n;
    *len = 0;
    while (FCGX_GetStr(unused, sizeof(unused), request->in) > 0) {
    }
    if (strcmp(param(request, "FCGI_ROLE"), "FILTER") != 0 || size > MAX_SIZE
        || FCGX_StartFilterData(request->in) < 0
        || (data = malloc(size + 1)) == NULL) {
        return NULL;
    }
    while (*len < size
           && (n = FCGX_GetStr(data + *len, (int)(size - *len), request->in))
              > 0) {
        *len += (size_t)n;
    }
    if (*len < size) {
        free(data);
        return NULL;
    }
    return data;
}

static void put_date(FCGX_Request *request)
{
    time_t when = strtoll(param(request, "FCGI_DATA_LAST_MOD"), NULL, 10);
    char date[64];
    struct tm tm;
    if (when > 0 && gmtime_r(&when, &tm) != NULL) {
        strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        FCGX_FPrintF(request->out, "Last-Modified: %s\r\n", date);
    }
}

static void serve(FCGX_Request *request)
{
    size_t len, size = 0;
    char *data = read_data(request, &len);
    char *page = data != NULL ? make_page(data, len, &size) : NULL;
    if (page == NULL) {
        FCGX_PutS("Status: 500\r\nContent-Type: text/plain\r\n\r\n"
                  "This application filters Markdown files of up to 16 "
                  "MiB.\n", request->out);
    } else {
        put_date(request);
        FCGX_FPrintF(request->out, "Content-Type: text/html; charset=utf-8"
                     "\r\nContent-Length: %lu\r\n\r\n", (unsigned long)size);
        FCGX_PutStr(page, (int)size, request->out);
    }
    free(page);
    free(data);
}

int main(int argc, char **argv)
{
    FCGX_Request request;
    int listener;
    umask(0);
    if (argc != 2 || FCGX_Init() != 0
        || (listener = FCGX_OpenSocket(argv[1], 1024)) < 0) {
        fprintf(stderr, "usage: markdown PATH|:PORT\n");
        return 1;
    }
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        serve(&request);
        FCGX_Finish_r(&request);
    }
    return 0;
}
