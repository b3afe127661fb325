/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scripts of an owner: put, get, list, rename, activate, delete, by the rules of ManageSieve (RFC 5804). A script that does not compile is not kept. */
#include "filter.h"

int script_compile(struct filter *f, struct pb_str owner, struct pb_str text, struct sieve_program **ret, struct pb_error *err)
{
	const struct sieve_options options = { .system = owner_is_system(owner), .script_max = f->script_max };
	struct sieve_problems problems = { 0 };
	struct sieve_program *p = NULL;
	int rc = sieve_compile(text, &options, &p, &problems);

	if (rc && problems.n)
		return pb_fail(err, rc == PB_ETOOBIG ? PB_ETOOBIG : PB_EINVALID, "line %u, column %u: %s", problems.list[0].line, problems.list[0].column, problems.list[0].text);
	if (rc)
		return pb_fail(err, rc, "a script has at most %zu bytes", f->script_max);
	if (ret)
		*ret = p;
	else
		sieve_program_free(p);
	return 0;
}

int check_name(const char *what, struct pb_str name, struct pb_error *err)
{
	if (!name.len || name.len > NAME_MAX_BYTES)
		return pb_fail(err, PB_EINVALID, "a %s's name has 1 to %d bytes", what, NAME_MAX_BYTES);
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i], next = i + 1 < name.len ? (unsigned char)name.ptr[i + 1] : 0;

		if (c < 32 || c == 127 || (c == 0xc2 && next < 0xa0) || (c == 0xe2 && next == 0x80 && i + 2 < name.len && ((unsigned char)name.ptr[i + 2] & 0xfe) == 0xa8))
			return pb_fail(err, PB_EINVALID, "a %s's name has no control characters", what);
	}
	return 0;
}

int scripts_apply(struct filter *f, struct pb_str owner, const struct pb_change *changes, size_t n, struct pb_error *err)
{
	struct pb_change all[8];
	PB_AUTOBUF(told);
	int rc;

	owner_row(&told, owner, 'e', PB_NOSTR);
	memcpy(all, changes, n * sizeof *changes);
	all[n] = (struct pb_change){ PB_DELETE, pb_buf_str(&told), PB_NOSTR };
	rc = pb_table_apply(f->scripts, all, n + 1, err);
	programs_forget(f, owner);
	return rc;
}

int scripts_forget(struct filter *f, struct pb_str owner, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	int rc;

	owner_row(&from, owner, '\0', PB_NOSTR);
	owner_row(&to, owner, '\x7f', PB_NOSTR);
	pthread_mutex_lock(&f->changes);
	rc = pb_table_clear(f->scripts, pb_buf_str(&from), pb_buf_str(&to), err);
	pthread_mutex_unlock(&f->changes);
	programs_forget(f, owner);
	return rc;
}

/* ---- what is there ---- */

static int read_row(struct filter *f, struct pb_str owner, char kind, struct pb_str name, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(key);

	owner_row(&key, owner, kind, name);
	return pb_table_get(f->scripts, pb_buf_str(&key), out, err);
}

static int read_script(struct filter *f, struct pb_str owner, struct pb_str name, struct pb_buf *out, struct pb_error *err)
{
	int rc = check_name("script", name, err);

	if (!rc)
		rc = read_row(f, owner, 's', name, out, err);
	return rc == PB_ENOTFOUND ? pb_fail(err, PB_ENOTFOUND, "there is no script '%.*s'", PB_FMT(pb_str_head(name, 80))) : rc;
}

/* The active script's name; empty where none is. */
static int read_active(struct filter *f, struct pb_str owner, struct pb_buf *out, struct pb_error *err)
{
	int rc = read_row(f, owner, 'a', PB_NOSTR, out, err);

	return rc == PB_ENOTFOUND ? 0 : rc;
}

struct listing {
	size_t prefix;
	struct pb_str active, except;
	json_t *list;
	size_t bytes, n;
};

static bool list_one(void *arg, struct pb_str key, struct pb_str value)
{
	struct listing *l = arg;
	struct pb_str name = pb_str_skip(key, l->prefix);

	if (pb_str_eq(name, l->except))
		return true;
	l->bytes += value.len;
	l->n++;
	if (l->list)
		json_array_append_new(l->list, json_pack("{s:o, s:b, s:I}", "name", json_text(name), "active", pb_str_eq(name, l->active), "size", (json_int_t)value.len));
	return true;
}

static int list_scripts(struct filter *f, struct pb_str owner, struct listing *l, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);

	owner_row(&from, owner, 's', PB_NOSTR);
	owner_row(&to, owner, 't', PB_NOSTR);
	l->prefix = from.len;
	return pb_table_scan(f->scripts, pb_buf_str(&from), pb_buf_str(&to), SCRIPTS_MAX + 1, list_one, l, err);
}

/* Is there room for a script of this size under this name? */
static int check_space(struct filter *f, struct pb_str owner, struct pb_str name, size_t size, struct pb_error *err)
{
	struct listing l = { .except = name };
	int rc = list_scripts(f, owner, &l, err);

	if (rc)
		return rc;
	if (size > f->script_max)
		return pb_fail(err, PB_ETOOBIG, "a script has at most %zu bytes", f->script_max);
	if (l.n >= (size_t)f->scripts_max)
		return pb_fail(err, PB_EQUOTA, "there are %zu scripts already, no more are allowed", l.n);
	if (l.bytes + size > f->quota)
		return pb_fail(err, PB_EQUOTA, "all scripts together have at most %zu bytes", f->quota);
	return 0;
}

/* ---- methods ---- */

METHOD(script_list)
{
	struct filter *f = self;
	struct owner o;
	PB_AUTOBUF(active);
	struct listing l = { 0 };
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = read_active(f, owner_str(&o), &active, err);
	if (rc)
		return rc;
	l.active = pb_buf_str(&active);
	l.list = json_array();
	rc = list_scripts(f, owner_str(&o), &l, err);
	if (rc)
		json_decref(l.list);
	else
		*ret_result = json_pack("{s:o, s:I}", "scripts", l.list, "limit", (json_int_t)f->scripts_max);
	return rc;
}

METHOD(script_get)
{
	struct filter *f = self;
	struct owner o;
	PB_AUTOBUF(text);
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = read_script(f, owner_str(&o), pb_text_of(params, "name"), &text, err);
	if (!rc)
		*ret_result = json_pack("{s:O, s:o}", "name", json_object_get(params, "name"), "text", json_text(pb_buf_str(&text)));
	return rc;
}

METHOD(script_put)
{
	struct filter *f = self;
	struct pb_str name = pb_text_of(params, "name"), text = pb_text_of(params, "text");
	PB_AUTOBUF(key);
	PB_AUTOBUF(active);
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = check_name("script", name, err);
	if (!rc)
		rc = script_compile(f, owner_str(&o), text, NULL, err);
	if (rc)
		return rc;
	owner_row(&key, owner_str(&o), 's', name);
	owner_row(&active, owner_str(&o), 'a', PB_NOSTR);
	pthread_mutex_lock(&f->changes);
	rc = check_space(f, owner_str(&o), name, text.len, err);
	if (!rc)
		rc = scripts_apply(f, owner_str(&o), (struct pb_change[]){ { PB_PUT, pb_buf_str(&key), text }, { PB_PUT, pb_buf_str(&active), name } },
				   json_is_true(json_object_get(params, "activate")) ? 2 : 1, err);
	pthread_mutex_unlock(&f->changes);
	return rc;
}

static json_t *list_of(const struct sieve_problem *list, size_t n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n && i < SIEVE_PROBLEMS_MAX; i++)
		json_array_append_new(all, json_pack("{s:i, s:i, s:o}", "line", (int)list[i].line, "column", (int)list[i].column, "text", json_text(pb_strz(list[i].text))));
	return all;
}

/* The faults one by one, or the warnings. */
static json_t *report_of(struct filter *f, struct pb_str owner, struct pb_str text)
{
	const struct sieve_options options = { .system = owner_is_system(owner), .script_max = f->script_max };
	struct sieve_problems problems = { 0 };
	struct sieve_program *p = NULL;

	if (sieve_compile(text, &options, &p, &problems) == 0)
		sieve_program_free(p);
	return json_pack("{s:o, s:o}", "problems", list_of(problems.list, problems.n), "warnings", list_of(problems.warnings, problems.nwarnings));
}

METHOD(script_check)
{
	struct filter *f = self;
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc && json_is_true(json_object_get(params, "report"))) {
		*ret_result = report_of(f, owner_str(&o), pb_text_of(params, "text"));
		return 0;
	}
	if (!rc)
		rc = script_compile(f, owner_str(&o), pb_text_of(params, "text"), NULL, err);
	if (!rc)
		*ret_result = json_pack("{s:s, s:s, s:I}", "extensions", sieve_extensions(), "notify", "mailto", "redirects", (json_int_t)f->limits.redirects);
	return rc;
}

METHOD(script_space)
{
	struct filter *f = self;
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = check_name("script", pb_text_of(params, "name"), err);
	if (!rc)
		rc = check_space(f, owner_str(&o), pb_text_of(params, "name"), (size_t)json_integer_value(json_object_get(params, "size")), err);
	return rc;
}

METHOD(script_activate)
{
	struct filter *f = self;
	struct pb_str name = pb_text_of(params, "name");
	PB_AUTOBUF(text);
	PB_AUTOBUF(key);
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (rc)
		return rc;
	owner_row(&key, owner_str(&o), 'a', PB_NOSTR);
	pthread_mutex_lock(&f->changes);
	if (name.len)
		rc = read_script(f, owner_str(&o), name, &text, err);
	if (!rc)
		rc = scripts_apply(f, owner_str(&o), &(struct pb_change){ name.len ? PB_PUT : PB_DELETE, pb_buf_str(&key), name }, 1, err);
	pthread_mutex_unlock(&f->changes);
	return rc;
}

METHOD(script_delete)
{
	struct filter *f = self;
	struct pb_str name = pb_text_of(params, "name");
	PB_AUTOBUF(text);
	PB_AUTOBUF(active);
	PB_AUTOBUF(key);
	struct owner o;
	int rc = owner_of(f, who, params, &o, err);

	if (rc)
		return rc;
	owner_row(&key, owner_str(&o), 's', name);
	pthread_mutex_lock(&f->changes);
	rc = read_script(f, owner_str(&o), name, &text, err);
	if (!rc)
		rc = read_active(f, owner_str(&o), &active, err);
	if (!rc && pb_str_eq(pb_buf_str(&active), name))
		rc = pb_fail(err, PB_EBUSY, "'%.*s' is the active script; it is deactivated first", PB_FMT(name));
	if (!rc)
		rc = scripts_apply(f, owner_str(&o), &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
	pthread_mutex_unlock(&f->changes);
	return rc;
}

METHOD(script_rename)
{
	struct filter *f = self;
	struct pb_str name = pb_text_of(params, "name"), to = pb_text_of(params, "to");
	struct pb_change changes[4];
	PB_AUTOBUF(text);
	PB_AUTOBUF(other);
	PB_AUTOBUF(active);
	PB_AUTOBUF(from_key);
	PB_AUTOBUF(to_key);
	PB_AUTOBUF(active_key);
	struct owner o;
	size_t n = 0;
	int rc = owner_of(f, who, params, &o, err);

	if (!rc)
		rc = check_name("script", to, err);
	if (rc)
		return rc;
	owner_row(&from_key, owner_str(&o), 's', name);
	owner_row(&to_key, owner_str(&o), 's', to);
	owner_row(&active_key, owner_str(&o), 'a', PB_NOSTR);
	pthread_mutex_lock(&f->changes);
	rc = read_script(f, owner_str(&o), name, &text, err);
	if (!rc && read_script(f, owner_str(&o), to, &other, NULL) == 0)
		rc = pb_fail(err, PB_EEXISTS, "there is a script '%.*s' already", PB_FMT(to));
	if (!rc)
		rc = read_active(f, owner_str(&o), &active, err);
	if (!rc) {
		changes[n++] = (struct pb_change){ PB_DELETE, pb_buf_str(&from_key), PB_NOSTR };
		changes[n++] = (struct pb_change){ PB_PUT, pb_buf_str(&to_key), pb_buf_str(&text) };
		if (pb_str_eq(pb_buf_str(&active), name))
			changes[n++] = (struct pb_change){ PB_PUT, pb_buf_str(&active_key), to };
		rc = scripts_apply(f, owner_str(&o), changes, n, err);
	}
	pthread_mutex_unlock(&f->changes);
	return rc;
}
