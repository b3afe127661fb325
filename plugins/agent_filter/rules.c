/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods filter.add to filter.delete: rules that people say in words, kept in order, each with the Sieve that it became. */
#include <stdlib.h>
#include "filter.h"
#include "words.h"

enum { ROW_MAX = 1000000 };	/* what a table's value has room for */

int rules_read(struct filter *f, struct pb_str owner, json_t **ret, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(row);
	int rc;

	owner_row(&key, owner, 'r', PB_NOSTR);
	rc = pb_table_get(f->scripts, pb_buf_str(&key), &row, err);
	if (rc == PB_ENOTFOUND) {
		*ret = json_array();
		return 0;
	}
	return rc ? rc : rules_parse(pb_buf_str(&row), ret, err);
}

static int find(const json_t *rules, struct pb_str name, size_t *ret, struct pb_error *err)
{
	for (size_t i = 0; i < json_array_size(rules); i++) {
		if (pb_str_eq(pb_text_of(json_array_get(rules, i), "name"), name)) {
			*ret = i;
			return 0;
		}
	}
	return pb_fail(err, PB_ENOTFOUND, "there is no rule '%.*s'", PB_FMT(pb_str_head(name, 80)));
}

/* Where "before", "after", "first" and "last" point to in the list; without any of them, behind the last. */
static int place_of(const json_t *rules, const json_t *params, size_t *ret, struct pb_error *err)
{
	struct pb_str before = pb_text_of(params, "before"), after = pb_text_of(params, "after");
	bool first = json_is_true(json_object_get(params, "first")), last = json_is_true(json_object_get(params, "last"));
	int rc = 0;

	if (!!before.len + !!after.len + first + last > 1)
		return pb_fail(err, PB_EINVALID, "one place only: before, after, first or last");
	*ret = first ? 0 : json_array_size(rules);
	if (before.len || after.len)
		rc = find(rules, before.len ? before : after, ret, err);
	*ret += !rc && after.len;
	return rc;
}

/* ---- changing ---- */

/* The rules as they would be have to be a script that runs. */
static int keep_rules(struct filter *f, struct pb_str owner, const json_t *rules, struct pb_error *err)
{
	char *text = json_dumps(rules, JSON_COMPACT);
	struct pb_str row = pb_strz(text);
	PB_AUTOBUF(script);
	PB_AUTOBUF(key);
	int rc = row.len > ROW_MAX ? pb_fail(err, PB_EQUOTA, "all rules together have at most %d bytes", ROW_MAX) : rules_script(row, &script, err);

	if (!rc)
		rc = script_compile(f, owner, pb_buf_str(&script), NULL, err);
	if (!rc) {
		owner_row(&key, owner, 'r', PB_NOSTR);
		rc = scripts_apply(f, owner, &(struct pb_change){ json_array_size(rules) ? PB_PUT : PB_DELETE, pb_buf_str(&key), row }, 1, err);
	}
	free(text);
	return rc;
}

static int change_rules(struct filter *f, struct pb_str owner, const json_t *params, int (*change)(json_t *rules, const json_t *params, void *arg, struct pb_error *err),
			void *arg, struct pb_error *err)
{
	json_t *rules;
	int rc;

	pthread_mutex_lock(&f->changes);
	rc = rules_read(f, owner, &rules, err);
	if (!rc) {
		rc = change(rules, params, arg, err);
		if (!rc)
			rc = keep_rules(f, owner, rules, err);
		json_decref(rules);
	}
	pthread_mutex_unlock(&f->changes);
	return rc;
}

static int change_of(struct filter *f, const struct pb_caller *who, const json_t *params, int (*change)(json_t *rules, const json_t *params, void *arg, struct pb_error *err),
		     void *arg, struct pb_error *err)
{
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	return rc ? rc : change_rules(f, owner_str(&o), params, change, arg, err);
}

/* ---- filter.add ---- */

struct addition {
	json_t *rule;
	int64_t most;
};

static int add_rule(json_t *rules, const json_t *params, void *arg, struct pb_error *err)
{
	const struct addition *a = arg;
	struct pb_str name = pb_text_of(params, "name");
	size_t at;
	int rc;

	if (find(rules, name, &at, NULL) == 0)
		return pb_fail(err, PB_EEXISTS, "there is a rule '%.*s' already", PB_FMT(pb_str_head(name, 80)));
	if ((int64_t)json_array_size(rules) >= a->most)
		return pb_fail(err, PB_EQUOTA, "there are %zu rules already, no more are allowed", json_array_size(rules));
	rc = place_of(rules, params, &at, err);
	if (!rc)
		json_array_insert(rules, at, a->rule);
	return rc;
}

static enum rule_scope scope_of(struct pb_str owner)
{
	return owner.ptr[0] == 'g' ? RULE_OF_SERVER : owner.ptr[0] == 'p' ? RULE_OF_OFFICE : RULE_OF_MAILBOX;
}

METHOD(filter_add)
{
	struct filter *f = self;
	const json_t *when = json_object_get(params, "when"), *deeds = json_object_get(params, "do"), *enabled = json_object_get(params, "enabled");
	struct addition a = { .most = f->rules_max };
	struct pb_str match = pb_text_of(params, "match");
	json_t *needs = NULL;
	PB_AUTOBUF(sieve);
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = check_name("rule", pb_text_of(params, "name"), err);
	if (!rc)
		rc = words_rule(when, pb_str_eq(match, PB_STR("any")), deeds, scope_of(owner_str(&o)), &sieve, &needs, err);
	if (rc)
		return rc;
	a.rule = json_pack("{s:O, s:b, s:s, s:O, s:O, s:o, s:o}", "name", json_object_get(params, "name"), "enabled", !json_is_false(enabled), "match",
			   pb_str_eq(match, PB_STR("any")) ? "any" : "all", "when", when, "do", deeds, "needs", needs, "sieve", json_text(pb_buf_str(&sieve)));
	rc = change_rules(f, owner_str(&o), params, add_rule, &a, err);
	if (!rc)
		*ret_result = json_pack("{s:O, s:O}", "name", json_object_get(a.rule, "name"), "sieve", json_object_get(a.rule, "sieve"));
	json_decref(a.rule);
	return rc;
}

/* ---- filter.list, filter.show ---- */

static void add_sentences(struct pb_buf *out, const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach((json_t *)list, i, one) {
		pb_buf_addz(out, i ? "; " : "");
		pb_buf_addz(out, json_string_value(one));
	}
}

/* "if subject contains x: move Junk; stop", "if any of (a; b): ..." */
static json_t *rule_in_words(const json_t *rule)
{
	const json_t *when = json_object_get(rule, "when");
	bool several = json_array_size(when) > 1;
	PB_AUTOBUF(out);

	pb_buf_addz(&out, several ? pb_str_eq(pb_text_of(rule, "match"), PB_STR("any")) ? "if any of (" : "if all of (" : "if ");
	add_sentences(&out, when);
	pb_buf_addz(&out, several ? "): " : ": ");
	add_sentences(&out, json_object_get(rule, "do"));
	return json_text(pb_buf_str(&out));
}

METHOD(filter_list)
{
	struct filter *f = self;
	json_t *rules, *rule, *list;
	struct owner o;
	size_t i;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = rules_read(f, owner_str(&o), &rules, err);
	if (rc)
		return rc;
	list = json_array();
	json_array_foreach(rules, i, rule)
		json_array_append_new(list, json_pack("{s:i, s:O, s:O, s:o}", "order", (int)i + 1, "name", json_object_get(rule, "name"), "enabled",
						      json_object_get(rule, "enabled"), "rule", rule_in_words(rule)));
	json_decref(rules);
	*ret_result = json_pack("{s:o}", "rules", list);
	return 0;
}

METHOD(filter_show)
{
	struct filter *f = self;
	json_t *rules, *rule, *alone;
	PB_AUTOBUF(script);
	struct owner o;
	size_t at;
	char *row;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = rules_read(f, owner_str(&o), &rules, err);
	if (rc)
		return rc;
	rc = find(rules, pb_text_of(params, "name"), &at, err);
	if (!rc) {
		rule = json_array_get(rules, at);
		*ret_result = json_pack("{s:O, s:O, s:O, s:O, s:O}", "name", json_object_get(rule, "name"), "enabled", json_object_get(rule, "enabled"), "match",
					json_object_get(rule, "match"), "when", json_object_get(rule, "when"), "do", json_object_get(rule, "do"));
		json_object_set_new(rule, "enabled", json_true());
		alone = json_pack("[O]", rule);
		row = json_dumps(alone, JSON_COMPACT);
		rc = rules_script(pb_strz(row), &script, err);
		json_object_set_new(*ret_result, "sieve", json_text(pb_buf_str(&script)));
		json_decref(alone);
		free(row);
	}
	json_decref(rules);
	return rc;
}

/* ---- the others ---- */

static int set_enabled(json_t *rules, const json_t *params, void *arg, struct pb_error *err)
{
	size_t at;
	int rc = find(rules, pb_text_of(params, "name"), &at, err);

	if (!rc)
		json_object_set_new(json_array_get(rules, at), "enabled", json_boolean(*(bool *)arg));
	return rc;
}

METHOD(filter_enable)
{
	bool on = true;

	return change_of(self, who, params, set_enabled, &on, err);
}

METHOD(filter_disable)
{
	bool on = false;

	return change_of(self, who, params, set_enabled, &on, err);
}

static int move_rule(json_t *rules, const json_t *params, void *arg, struct pb_error *err)
{
	json_t *rule;
	size_t at;
	int rc = find(rules, pb_text_of(params, "name"), &at, err);

	(void)arg;
	if (rc)
		return rc;
	rule = json_incref(json_array_get(rules, at));
	json_array_remove(rules, at);
	rc = place_of(rules, params, &at, err);
	if (!rc)
		json_array_insert(rules, at, rule);
	json_decref(rule);
	return rc;
}

METHOD(filter_move)
{
	static const char *const places[] = { "before", "after", "first", "last" };
	bool placed = false;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		placed |= pb_text_of(params, places[i]).len || json_is_true(json_object_get(params, places[i]));
	if (!placed)
		return pb_fail(err, PB_EINVALID, "where to? before, after, first or last");
	return change_of(self, who, params, move_rule, NULL, err);
}

static int delete_rule(json_t *rules, const json_t *params, void *arg, struct pb_error *err)
{
	size_t at;
	int rc = find(rules, pb_text_of(params, "name"), &at, err);

	(void)arg;
	if (!rc)
		json_array_remove(rules, at);
	return rc;
}

METHOD(filter_delete)
{
	return change_of(self, who, params, delete_rule, NULL, err);
}
