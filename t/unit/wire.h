/* SPDX-License-Identifier: BSD-2-Clause */
/* Records as literals, written from Spec 3.3: |type|, the |id|'s second byte,
   |len| of two bytes and |pad| are literals as well. */
#ifndef WIRE_H
#define WIRE_H

#define H(type, id, len, pad) "\1" type "\0" id len pad "\0"
#define NONE "\0\0"
#define BEGIN_KEEP(id) H("\1", id, "\0\x08", "\0") "\0\1\1\0\0\0\0\0"
#define END(id, status)                                                       \
    H("\3", id, "\0\x08", "\0") "\0\0\0\0" status "\0\0\0"
#define EMPTY(type, id) H(type, id, NONE, "\0")

#endif
