/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables through libsmartcols. Control bytes of what came by mail never reach the terminal. */
#include <libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <postbus/date.h>
#include <postbus/str.h>
#include "tools/show.h"

/* How many bytes of a control character are here; 0: it is none. U+0080 to U+009F, which are some as well, have two in UTF-8. */
static size_t control_here(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	if (*u == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0)
		return 2;
	return *u < ' ' || *u == 127;
}

static void clean(char *text, const char *allowed)
{
	size_t n;

	for (; *text; text += n ? n : 1) {
		n = control_here(text);
		if (n && !strchr(allowed, *text))
			memset(text, '?', n);
	}
}

/* Times are microseconds since 1970 in JSON: keys that say so are shown as dates (RFC 3339). */
static bool is_time(const char *key)
{
	static const char *const keys[] = { "time", "due", "received", "created", "expires", "tried", "since", "changed" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!strcmp(key, keys[i]))
			return true;
	return false;
}

/* The same for "due=1790000000000000" inside the text of an event. */
static char *with_dates(const char *text)
{
	PB_AUTOBUF(out);
	struct pb_str rest = pb_strz(text), word;
	char date[PB_DATE_MAX];
	uint64_t moment;
	size_t digits;
	long at;

	while ((at = pb_str_search(rest, PB_STR("due="), 0)) >= 0) {
		pb_buf_addstr(&out, pb_str_head(rest, (size_t)at + 4));
		rest = pb_str_skip(rest, (size_t)at + 4);
		for (digits = 0; digits < rest.len && pb_is_digit((unsigned char)rest.ptr[digits]); digits++)
			;
		word = pb_str_head(rest, digits);
		if (digits == 16 && pb_str_u64(word, INT64_MAX, &moment) == 0) {
			pb_buf_add(&out, date, pb_date_iso(date, (int64_t)moment, false));
			rest = pb_str_skip(rest, digits);
		}
	}
	pb_buf_addstr(&out, rest);
	return strdup(pb_buf_z(&out));
}

static char *cell(const char *key, const json_t *v)
{
	char *text;

	if (!v || json_is_null(v))
		return strdup("");
	if (json_is_string(v)) {
		text = strcmp(key, "text") ? strdup(json_string_value(v)) : with_dates(json_string_value(v));
	} else if (json_is_integer(v) && is_time(key) && json_integer_value(v) > INT64_C(1000000000000)) {
		text = malloc(PB_DATE_MAX);
		pb_date_iso(text, json_integer_value(v), false);
	} else if (json_is_boolean(v)) {
		text = strdup(json_is_true(v) ? "yes" : "no");
	} else if (json_is_array(v)) {
		PB_AUTOBUF(joined);
		const json_t *one;
		size_t i;

		json_array_foreach (v, i, one) {
			char *part = cell("", one);

			pb_buf_addf(&joined, "%s%s", i ? ", " : "", part);
			free(part);
		}
		text = strdup(pb_buf_z(&joined));
	} else {
		text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	}
	clean(text, "");
	return text;
}

static void show_table(const json_t *list, const json_t *columns)
{
	struct libscols_table *table = scols_new_table();
	json_t *names = json_array();
	const json_t *row, *name;
	const char *key;
	json_t *v;
	size_t i, k;

	if (json_array_size(columns))
		json_array_extend(names, (json_t *)columns);
	else
		json_object_foreach (json_array_get(list, 0), key, v)
			json_array_append_new(names, json_string(key));
	json_array_foreach (names, i, name) {
		char *upper = strdup(json_string_value(name));

		for (char *p = upper; *p; p++)
			*p = (char)pb_upper((unsigned char)*p);
		scols_table_new_column(table, upper, 0, 0);
		free(upper);
	}
	json_array_foreach (list, i, row) {
		struct libscols_line *line = scols_table_new_line(table, NULL);

		json_array_foreach (names, k, name) {
			char *text = cell(json_string_value(name), json_is_object(row) ? json_object_get(row, json_string_value(name)) : row);

			scols_line_refer_data(line, k, text);
		}
	}
	scols_table_enable_maxout(table, 0);
	scols_table_set_termforce(table, isatty(1) ? SCOLS_TERMFORCE_AUTO : SCOLS_TERMFORCE_NEVER);
	scols_print_table(table);
	scols_unref_table(table);
	json_decref(names);
}

/* Scripts, metrics: a file gets them as they are. */
static void show_lines(const char *lines)
{
	char *text = strdup(lines);

	if (isatty(1))
		clean(text, "\n\t");
	fputs(text, stdout);
	free(text);
}

static void show_object(const json_t *object, const json_t *returns, int depth)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)object, key, v) {
		if (json_is_array(v) && json_is_object(json_array_get(v, 0))) {
			if (json_object_size(object) > 1)
				printf("%*s%s:\n", depth * 2, "", key);
			if (json_array_size(json_object_get(json_array_get(v, 0), "events"))) {
				const json_t *one;
				size_t i;

				json_array_foreach (v, i, one) {
					printf("%s%s\n", i ? "\n" : "", json_string_value(json_object_get(one, "id")));
					show_table(json_object_get(one, "events"), NULL);
				}
				continue;
			}
			show_table(v, json_object_get(json_object_get(returns, key), "columns"));
		} else if (json_is_object(v) && json_object_size(v)) {
			printf("%*s%s:\n", depth * 2, "", key);
			show_object(v, NULL, depth + 1);
		} else if (json_is_string(v) && strchr(json_string_value(v), '\n')) {
			show_lines(json_string_value(v));
		} else if (!(json_is_array(v) && !json_array_size(v) && json_object_size(object) == 1)) {
			char *text = cell(key, v);

			printf("%*s%s: %s\n", depth * 2, "", key, text);
			free(text);
		}
	}
}

void show_result(const json_t *result, const json_t *returns)
{
	setlocale(LC_CTYPE, "C.UTF-8");		/* names are in UTF-8 whatever the caller's locale is: tables show and measure them so */
	show_object(result, returns, 0);
}
