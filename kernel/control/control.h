/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The admin socket: one JSON object a line, { "method", "params" } in, { "result" } or { "error": { "code", "text" } } out.
 * Who may: root and the user the daemon runs as, by peer credentials. The same lines over a pipe are the offline mode.
 */
#ifndef KERNEL_CONTROL_CONTROL_H
#define KERNEL_CONTROL_CONTROL_H

#include "kernel/kernel.h"
#include <postbus/str.h>

struct control;

/* Registers the kernel's own methods (kernel.json) on the bus. */
int control_open(struct kernel *kernel, struct control **ret, struct pb_error *err);
/* Binds home/control.sock (0600) and serves it. */
int control_serve(struct control *c, struct pb_error *err);
/* Lines from in, answers to out, until the end of in. */
void control_pipe(struct control *c, int in, int out);
/* Set by methods that end or reload the daemon; main looks after each wake. */
void control_close(struct control *c);

#endif
