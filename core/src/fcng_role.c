/* SPDX-License-Identifier: BSD-2-Clause */
/* What each role is sent.  Spec: 6.2, 6.3, 6.4. */
#include "fcng_role.h"

bool fcng_role_has_stdin_body(enum fcng_role role)
{
    return role != FCNG_AUTHORIZER;
}

bool fcng_role_has_data(enum fcng_role role)
{
    return role == FCNG_FILTER;
}
