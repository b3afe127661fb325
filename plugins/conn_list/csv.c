/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Comma-separated values, read and written. */
#include <postbus/error.h>
#include "csv.h"

static int bad(const struct csv *c, size_t column, const char *what, struct pb_error *err)
{
	return pb_fail(err, PB_EINVALID, "line %zu, column %zu: %s", c->line, column, what);
}

/* Behind the opening quote. */
static int quoted(struct csv *c, size_t column, struct pb_str *ret, struct pb_error *err)
{
	char *out = pb_arena_alloc(c->arena, c->rest.len + 1);
	size_t n = 0, i = 0;

	for (; i < c->rest.len; i++) {
		char here = c->rest.ptr[i];

		if (here == '"' && (i + 1 == c->rest.len || c->rest.ptr[i + 1] != '"'))
			break;
		i += here == '"';
		c->line += here == '\n';
		out[n++] = here;
	}
	if (i == c->rest.len)
		return bad(c, column, "the quotes are not closed", err);
	*ret = pb_str(out, n);
	c->rest = pb_str_skip(c->rest, i + 1);
	if (c->rest.len && c->rest.ptr[0] != ',' && c->rest.ptr[0] != '\r' && c->rest.ptr[0] != '\n')
		return bad(c, column, "something stands behind the closing quotes", err);
	return 0;
}

static void bare(struct csv *c, struct pb_str *ret)
{
	size_t n = 0;

	while (n < c->rest.len && c->rest.ptr[n] != ',' && c->rest.ptr[n] != '\n')
		n++;
	*ret = pb_str_trim(pb_str_head(c->rest, n));
	c->rest = pb_str_skip(c->rest, n);
}

static int field(struct csv *c, struct csv_row *row, struct pb_error *err)
{
	struct pb_str *f = &row->fields[row->n];

	if (row->n == CSV_FIELDS_MAX)
		return bad(c, row->n + 1, "there are too many fields", err);
	row->n++;
	while (c->rest.len && pb_is_blank(c->rest.ptr[0]))
		c->rest = pb_str_skip(c->rest, 1);
	if (!c->rest.len || c->rest.ptr[0] != '"') {
		bare(c, f);
		return 0;
	}
	c->rest = pb_str_skip(c->rest, 1);
	return quoted(c, row->n, f, err);
}

int csv_next(struct csv *c, struct csv_row *ret, struct pb_error *err)
{
	do {
		if (!c->rest.len)
			return 0;
		*ret = (struct csv_row){ .line = c->line };
		for (;;) {
			int rc = field(c, ret, err);

			if (rc)
				return rc;
			if (!c->rest.len || c->rest.ptr[0] != ',')
				break;
			c->rest = pb_str_skip(c->rest, 1);
		}
		if (c->rest.len && c->rest.ptr[0] == '\r')
			c->rest = pb_str_skip(c->rest, 1);
		if (c->rest.len && c->rest.ptr[0] != '\n')
			return bad(c, ret->n, "the line does not end here", err);
		c->rest = pb_str_skip(c->rest, 1);
		c->line++;
	} while (ret->n == 1 && !ret->fields[0].len);
	return 1;
}

void csv_field(struct pb_buf *out, struct pb_str field)
{
	bool formula = field.len && strchr("=+-@", field.ptr[0]) != NULL, quote = formula;

	for (size_t i = 0; i < field.len; i++)
		quote |= strchr(",\"\r\n", field.ptr[i]) != NULL;
	if (!quote) {
		pb_buf_addstr(out, field);
		return;
	}
	pb_buf_addz(out, formula ? "\"'" : "\"");
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '"')
			pb_buf_addc(out, '"');
		pb_buf_addc(out, field.ptr[i]);
	}
	pb_buf_addc(out, '"');
}
