/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parameters whose value on the command line is the name of a file: its content is what goes to the server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tools/command.h"

enum { FILE_MAX = 6 << 20 };	/* what a request has room for, as base64 */

static int read_all(FILE *f, struct pb_buf *out, const char *path, struct pb_error *err)
{
	size_t n;

	do {
		pb_buf_reserve(out, 65536);
		n = fread(out->ptr + out->len, 1, 65536, f);
		out->len += n;
	} while (n && out->len <= FILE_MAX);
	if (ferror(f))
		return pb_fail_errno(err, errno, "reading %s", path);
	return out->len > FILE_MAX ? pb_fail(err, PB_ETOOBIG, "%s has more than %d bytes", path, FILE_MAX) : 0;
}

int given_file(const char *path, bool as_base64, json_t **ret, struct pb_error *err)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(text);
	int rc;

	if (!f)
		return pb_fail_errno(err, errno, "opening %s", path);
	rc = read_all(f, &bytes, path, err);
	if (!is_stdin)
		fclose(f);
	if (rc)
		return rc;
	if (as_base64)
		pb_base64_encode(&text, pb_buf_str(&bytes));
	*ret = as_base64 ? json_stringn(pb_buf_z(&text), text.len) : json_stringn(pb_buf_z(&bytes), bytes.len);
	return *ret ? 0 : pb_fail(err, PB_EINVALID, "%s is no UTF-8 text", path);
}
