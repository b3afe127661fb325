/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A talk with the daemon: through its control socket, or, when none runs, with a postbusd --offline started for the purpose. */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include <jansson.h>
#include <postbus/str.h>
#include <stdbool.h>

struct client;

/* Where the home of a config file is; absolute; caller frees. */
int client_home(const char *config_file, char **ret, struct pb_error *err);
/* may_spawn: without a running daemon, start one offline. PB_EUNAVAILABLE: none runs. */
int client_open(const char *config_file, bool may_spawn, struct client **ret, struct pb_error *err);
bool client_is_offline(const struct client *c);
/* params may be NULL, is borrowed. *ret: new reference. The error is the daemon's own. */
int client_call(struct client *c, const char *method, json_t *params, json_t **ret, struct pb_error *err);
void client_close(struct client *c);		/* NULL is fine */
/* The daemon's program: beside this tool's own, or where it was installed. */
const char *client_daemon(void);

#endif
