/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rules as they are kept, a list of JSON objects in order, and the one script that those of them that are enabled become. Changing them is rules.c's. */
#include "filter.h"

int rules_parse(struct pb_str row, json_t **ret, struct pb_error *err)
{
	json_t *rules = json_loadb(row.ptr, row.len, 0, NULL);

	if (!json_is_array(rules)) {
		json_decref(rules);
		return pb_fail(err, PB_ECORRUPT, "the rules cannot be read");
	}
	*ret = rules;
	return 0;
}

static bool is_enabled(const json_t *rule)
{
	return json_is_true(json_object_get(rule, "enabled"));
}

/* ---- the script ---- */

/* What all of them need, each once: a set, as an object. */
static json_t *needs_of(const json_t *rules)
{
	json_t *all = json_object(), *rule, *need;
	size_t i, k;

	json_array_foreach((json_t *)rules, i, rule)
		if (is_enabled(rule))
			json_array_foreach(json_object_get(rule, "needs"), k, need)
				json_object_set_new(all, json_string_value(need), json_true());
	return all;
}

static void put_requires(struct pb_buf *out, json_t *needs)
{
	const char *name, *between = "require [";
	json_t *ignored;

	json_object_foreach(needs, name, ignored) {
		pb_buf_addf(out, "%s\"%s\"", between, name);
		between = ", ";
	}
	if (json_object_size(needs))
		pb_buf_addz(out, "];\n");
}

/* A line with its name, which has no line ends, then the command. */
static void put_rule(struct pb_buf *out, const json_t *rule)
{
	pb_buf_addz(out, "# rule: ");
	pb_buf_addstr(out, pb_text_of(rule, "name"));
	pb_buf_addc(out, '\n');
	pb_buf_addstr(out, pb_text_of(rule, "sieve"));
}

static void put_script(struct pb_buf *out, const json_t *rules)
{
	json_t *needs = needs_of(rules), *rule;
	size_t i;

	put_requires(out, needs);
	json_array_foreach((json_t *)rules, i, rule)
		if (is_enabled(rule))
			put_rule(out, rule);
	json_decref(needs);
}

int rules_script(struct pb_str row, struct pb_buf *out, struct pb_error *err)
{
	json_t *rules;
	int rc = rules_parse(row, &rules, err);

	if (rc)
		return rc;
	put_script(out, rules);
	json_decref(rules);
	return 0;
}

const char *rules_at(const json_t *rules, unsigned line)
{
	json_t *needs = needs_of(rules), *rule;
	const char *found = NULL;
	unsigned end = 1;
	PB_AUTOBUF(text);
	size_t i;

	put_requires(&text, needs);
	json_decref(needs);
	json_array_foreach((json_t *)rules, i, rule) {
		if (found || !is_enabled(rule))
			continue;
		put_rule(&text, rule);
		for (size_t k = 0; k < text.len; k++)
			end += text.ptr[k] == '\n';
		pb_buf_reset(&text);
		if (line < end)
			found = json_string_value(json_object_get(rule, "name"));
	}
	return found;
}
