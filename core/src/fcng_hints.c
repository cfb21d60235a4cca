/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cause and cure for what goes wrong around an application, in the operator's
 * words.  The host finds the facts out; what they mean is said here.
 */
#include "fcng_text.h"
#include "fcng_int.h"

static void add_facts(fcng_sentence *out, const fcng_connect_facts *f)
{
    if (f->owner != NULL) {
        fcng_sentence_add(out, "the socket is ");
        fcng_sentence_add(out, f->owner);
        fcng_sentence_add(out, " ");
        fcng_sentence_add_mode(out, f->mode);
    }
    if (f->process != NULL) {
        fcng_sentence_add(out, f->owner != NULL ? ", " : "");
        fcng_sentence_add(out, "this process is ");
        fcng_sentence_add(out, f->process);
    }
    if (f->owner != NULL || f->process != NULL) {
        fcng_sentence_add(out, ": ");
    }
}

static void denied(fcng_sentence *out, const fcng_connect_facts *f)
{
    if (!f->is_unix) {
        fcng_sentence_add(out,
                          "SELinux (setsebool -P httpd_can_network_connect on)"
                          " or a packet filter forbids it");
        return;
    }
    add_facts(out, f);
    if (f->owner == NULL) {
        fcng_sentence_add(out, "it may not look into a folder on the way to"
                               " the socket; give it the right to (chmod"
                               " o+x)");
    } else if (f->modes_allow) {
        fcng_sentence_add(out, "that would do, so SELinux, AppArmor or a"
                               " private /tmp (systemd PrivateTmp) may stand"
                               " between");
    } else {
        fcng_sentence_add(out, "let it write to the socket (php-fpm:"
                               " listen.owner, listen.group, listen.mode)");
    }
}

static void refused(fcng_sentence *out, const fcng_connect_facts *f)
{
    if (f->is_unix && !f->is_socket) {
        fcng_sentence_add(out, "this path is no socket; write the path that"
                               " the application listens on");
    } else if (f->is_unix) {
        fcng_sentence_add(out, "the socket is there but nobody listens on it;"
                               " start the application");
    } else {
        fcng_sentence_add(out, "nobody listens on this address and port;"
                               " start the application or correct the"
                               " address");
    }
}

static void timed_out(fcng_sentence *out, const fcng_connect_facts *f)
{
    fcng_sentence_add(out, f->is_unix
                               ? "the application accepts no connection; it"
                                 " hangs or has too few processes"
                               : "the host does not answer; it is down or a"
                                 " packet filter drops what is sent to it");
}

void fcng_hint_connect(char *out, size_t len, const fcng_connect_facts *facts)
{
    fcng_sentence s;
    fcng_sentence_init(&s, out, len);
    switch (facts->cause) {
    case FCNG_CONNECT_REFUSED:
        refused(&s, facts);
        break;
    case FCNG_CONNECT_MISSING:
        fcng_sentence_add(&s, "there is no such socket; start the application"
                              " or correct the path (a socket below /tmp may"
                              " be hidden by systemd PrivateTmp)");
        break;
    case FCNG_CONNECT_DENIED:
        denied(&s, facts);
        break;
    case FCNG_CONNECT_BACKLOG:
        fcng_sentence_add(&s, "the queue of the application's socket is full:"
                              " it does not keep up; give it more processes"
                              " (php-fpm: pm.max_children) or a longer queue"
                              " (listen.backlog, net.core.somaxconn)");
        break;
    case FCNG_CONNECT_TIMEOUT:
        timed_out(&s, facts);
        break;
    case FCNG_CONNECT_NO_DESCRIPTORS:
        fcng_sentence_add(&s, "no file descriptor is left; raise the limit"
                              " (nginx: worker_rlimit_nofile; systemd:"
                              " LimitNOFILE; ulimit -n)");
        break;
    case FCNG_CONNECT_NOT_SOCKET:
        fcng_sentence_add(&s, "this path is no socket of the right kind;"
                              " write the path that the application listens"
                              " on");
        break;
    case FCNG_CONNECT_NO_ROUTE:
        fcng_sentence_add(&s, "there is no way to this host; correct the"
                              " address or the network's routes");
        break;
    case FCNG_CONNECT_OTHER:
        break;
    }
}

/* What a server says that is asked in FastCGI and speaks something else. */
static const char *stranger(fcng_str in)
{
    if (fcng_text_begins(in, "HTTP/") || fcng_text_begins(in, "<!")
        || fcng_text_begins(in, "<html") || fcng_text_begins(in, "<HTML")) {
        return "an HTTP server answers at this address; use its FastCGI"
               " address, or proxy to it as HTTP";
    }
    /* RFC 8446 5.1: an alert or a handshake record */
    if (in.len >= 3 && (in.data[0] == 0x15 || in.data[0] == 0x16)
        && in.data[1] == 3 && (unsigned char)in.data[2] <= 4) {
        return "a TLS server answers at this address; FastCGI goes over plain"
               " connections, use the application's own port";
    }
    /* RFC 9113 3.4: SETTINGS of stream 0 comes first */
    if (in.len >= 9 && in.data[0] == 0
        && memcmp(in.data + 3, "\4\0\0\0\0\0", 6) == 0) {
        return "an HTTP/2 server answers at this address; use its FastCGI"
               " address, or proxy to it as HTTP";
    }
    if (fcng_text_begins(in, "SSH-")) {
        return "an SSH server answers at this address; correct the address";
    }
    if (fcng_text_begins(in, "Content-") || fcng_text_begins(in, "Status:")) {
        return "the application writes plain CGI output to its connection;"
               " it must speak FastCGI (or be run by a CGI wrapper such as"
               " fcgiwrap)";
    }
    return "";
}

void fcng_hint_protocol(char *out, size_t len, fcng_str in)
{
    fcng_sentence s;
    fcng_sentence_init(&s, out, len);
    fcng_sentence_add(&s, stranger(in));
}

/* PHP-FPM and libfcgi take a connection first and then look whose it is. */
void fcng_hint_closed(char *out, size_t len, bool is_unix, bool answered)
{
    fcng_sentence s;
    fcng_sentence_init(&s, out, len);
    fcng_sentence_add(&s, answered
                              ? "it crashed, was killed or took too long"
                              : "it crashed, was killed or took too long, or");
    if (!answered) {
        fcng_sentence_add(&s, is_unix ? " is no FastCGI application"
                                      : " serves other addresses only"
                                        " (php-fpm: listen.allowed_clients;"
                                        " FCGI_WEB_SERVER_ADDRS)");
    }
    fcng_sentence_add(&s, "; look into its own log (php-fpm:"
                          " request_terminate_timeout)");
}
