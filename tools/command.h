/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words of a command line to a method and its parameters, by what the manifest says of them. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include <jansson.h>
#include <postbus/str.h>

/* What a method would be called that the first words name: a list of names, with as many words as there may be, and fewer. */
json_t *command_names(int argc, char **argv);
/* Finds the method that the first one or two words name. *ret_used: how many words it took. NULL: none. */
const char *command_find(const json_t *methods, int argc, char **argv, int *ret_used);
/* The rest of the words to an object of parameters. Secrets are asked for on the terminal or read from standard input, never taken from argv. */
int command_params(const json_t *spec, int argc, char **argv, json_t **ret, struct pb_error *err);
void command_help(const char *method, const json_t *spec);
/* All methods whose first word is group (NULL: all). Number printed. */
int command_list(const json_t *methods, const char *group);

/* The content of a file ("-": standard input) as a JSON string. PB_ETOOBIG; PB_EINVALID: no UTF-8, where it is not wanted as base64. */
int given_file(const char *path, bool as_base64, json_t **ret, struct pb_error *err);

#endif
