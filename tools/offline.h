/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that work on a home from outside: making one, carrying copies of its store away and back. */
#ifndef TOOLS_OFFLINE_H
#define TOOLS_OFFLINE_H

#include <jansson.h>
#include <postbus/error.h>
#include <stdbool.h>

/* argv behind the command word. Exit code. */
int init_command(int argc, char **argv, bool json);
int backup_command(const char *config_file, int argc, char **argv, bool json);
int restore_command(const char *config_file, int argc, char **argv, bool json);

/* A self-signed certificate for hostname (ECDSA P-256, ten years) and its key, as PEM files with mode 0600. */
int certificate_make(const char *hostname, const char *cert_path, const char *key_path, struct pb_error *err);

/* Nothing in this directory, or no such directory. */
bool is_empty(const char *dir);

/* The exit code for an error, and its line on standard error (or as JSON on standard output). */
int report(const struct pb_error *err, bool json);

/* 2, and what is wrong with the words: text (NULL: nothing in particular) and how they are meant, or text as JSON. */
int wrong_usage(const char *usage, const char *text, bool json);

/* The same for what getopt_long() has just stumbled over; opterr has to be 0. */
int wrong_option(const char *usage, char **argv, bool json);

#endif
