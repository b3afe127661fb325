/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whom the daemon trusts with its files: nobody but root and the user it runs as may write to what it reads and obeys. What is a link, a pipe or a device
 * where a file is meant is refused too.
 */
#ifndef KERNEL_CONFIG_GUARD_H
#define KERNEL_CONFIG_GUARD_H

#include <stdbool.h>
#include <sys/types.h>
#include <postbus/error.h>

/* An open file that is read and obeyed: regular, and nobody else may write to it. PB_EDENIED and PB_EINVALID name path, what was found and what helps. */
int guard_file(int fd, const char *path, struct pb_error *err);
/* The same of an open file whose code runs, or that says what code may do: it belongs to root, to the user of this process or to own, the one it becomes. */
int guard_code(int fd, const char *path, uid_t own, struct pb_error *err);
/* The same of a directory of such files; of one in home, of all directories between too. */
int guard_code_directory(const char *home, const char *path, uid_t own, struct pb_error *err);
/* Does a path lie in home, by its words? */
bool guard_is_in(const char *home, const char *path);
/* What lies in home by its words does so by its links too; what lies elsewhere, or is not there, is not looked at. PB_EDENIED names both. */
int guard_inside(const char *home, const char *path, struct pb_error *err);
/* The same as guard_file of a directory. */
int guard_directory(const char *path, struct pb_error *err);

#endif
