/* SPDX-License-Identifier: BSD-2-Clause */
/* What each role is sent.  Spec: 6.2 Responder, 6.3 Authorizer, 6.4 Filter. */
#ifndef FCNG_ROLE_H
#define FCNG_ROLE_H

#include <fcng/fcng.h>

/* STDIN is sent, and ended, in every role: an Authorizer built on libfcgi that
   reads it would wait for its end for ever. */
bool fcng_role_has_stdin_body(enum fcng_role role);

/* FCGI_DATA follows STDIN. */
bool fcng_role_has_data(enum fcng_role role);

#endif
