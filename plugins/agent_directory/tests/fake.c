/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The host of fake.h. Holds to the headers' words, and to nothing else of the kernel. */
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <postbus/mailbox.h>
#include <postbus/table.h>
#include "fake.h"
#include "sdk/src/host_ops.h"

struct pb_host {
	struct pb_handle handle;
	struct fake *fake;
};

struct pb_table {
	struct pb_handle handle;
	struct fake *fake;
};

struct pb_mailbox {
	struct pb_handle handle;
	struct fake *fake;
	char id[64];
};

struct entry {
	struct pb_buf key, value;
};

struct trip {
	const char *what;
	int nth, code;
};

struct fake {
	pthread_mutex_t lock;		/* of the table; an apply may call in again */
	struct pb_host host;
	struct pb_table table;
	void *self;
	json_t *config, *mailboxes, *result;
	struct entry *rows;
	size_t n;
	struct trip trip;
	void (*interfere)(struct fake *f), (*interfere_get)(struct fake *f);
	int gets_left;
	unsigned reads, ended;
	const char *hostname, *fax, *fax_state;
	int64_t now;
	struct pb_error err;
};

extern const struct pb_plugin agent_directory_LTX_pb_plugin;

static int tripped(struct fake *f, const char *what, struct pb_error *err)
{
	if (!f->trip.what || strcmp(f->trip.what, what) || --f->trip.nth > 0)
		return 0;
	f->trip.what = NULL;
	return pb_fail(err, f->trip.code, "the fake fails to %s", what);
}

/* ---- config, log, clock ---- */

static const json_t *value_of(struct pb_host *host, const char *key)
{
	const json_t *v = json_object_get(host->fake->config, key);

	if (!v) {
		fprintf(stderr, "no config key '%s'\n", key);
		abort();
	}
	return v;
}

static struct pb_str config_str(struct pb_host *host, const char *key)
{
	const json_t *v = value_of(host, key);

	return pb_str(json_string_value(v), json_string_length(v));
}

static int64_t config_int(struct pb_host *host, const char *key)
{
	return json_integer_value(value_of(host, key));
}

static bool config_bool(struct pb_host *host, const char *key)
{
	return json_is_true(value_of(host, key));
}

static struct pb_str hostname(struct pb_host *host)
{
	return pb_strz(host->fake->hostname);
}

static void log_text(struct pb_host *host, enum pb_level level, const char *event, const char *text)
{
	(void)host;
	(void)level;
	(void)event;
	(void)text;
}

static void count(struct pb_host *host, const char *metric, int64_t n)
{
	(void)host;
	(void)metric;
	(void)n;
}

static int64_t now(struct pb_host *host)
{
	return host->fake->now++;
}

/* ---- table ---- */

static size_t find(struct fake *f, struct pb_str key, bool *ret_hit)
{
	size_t at = 0;

	while (at < f->n && pb_str_cmp(pb_buf_str(&f->rows[at].key), key) < 0)
		at++;
	*ret_hit = at < f->n && pb_str_eq(pb_buf_str(&f->rows[at].key), key);
	return at;
}

static int table_open(struct pb_host *host, const char *name, struct pb_table **ret, struct pb_error *err)
{
	(void)name;
	(void)err;
	host->fake->table.handle = host->handle;
	host->fake->table.fake = host->fake;
	*ret = &host->fake->table;
	return 0;
}

static void table_close(struct pb_table *t)
{
	(void)t;
}

static int table_get(struct pb_table *t, struct pb_str key, struct pb_buf *value, struct pb_error *err)
{
	struct fake *f = t->fake;
	bool hit;
	size_t at;
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = tripped(f, "get", err);
	f->reads++;
	at = find(f, key, &hit);
	if (!rc && !hit)
		rc = pb_fail(err, PB_ENOTFOUND, "no such key");
	if (!rc) {
		pb_buf_reset(value);
		pb_buf_addstr(value, pb_buf_str(&f->rows[at].value));
	}
	if (f->interfere_get && --f->gets_left == 0) {
		void (*act)(struct fake *f) = f->interfere_get;

		f->interfere_get = NULL;
		act(f);
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

static int table_scan(struct pb_table *t, struct pb_str from, struct pb_str to, size_t limit, bool (*visit)(void *arg, struct pb_str key, struct pb_str value),
		      void *arg, struct pb_error *err)
{
	struct fake *f = t->fake;
	bool hit;

	(void)err;
	pthread_mutex_lock(&f->lock);
	for (size_t at = find(f, from, &hit), n = 0; at < f->n && n < (limit ? limit : 1000); at++, n++) {
		if (to.len && pb_str_cmp(pb_buf_str(&f->rows[at].key), to) >= 0)
			break;
		if (!visit(arg, pb_buf_str(&f->rows[at].key), pb_buf_str(&f->rows[at].value)))
			break;
	}
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static void put(struct fake *f, struct pb_str key, struct pb_str value)
{
	bool hit;
	size_t at = find(f, key, &hit);

	if (!hit) {
		f->rows = pb_realloc(f->rows, (f->n + 1) * sizeof *f->rows);
		memmove(f->rows + at + 1, f->rows + at, (f->n - at) * sizeof *f->rows);
		f->rows[at] = (struct entry){ PB_BUF, PB_BUF };
		pb_buf_addstr(&f->rows[at].key, key);
		f->n++;
	}
	pb_buf_reset(&f->rows[at].value);
	pb_buf_addstr(&f->rows[at].value, value);
}

static void drop(struct fake *f, struct pb_str key)
{
	bool hit;
	size_t at = find(f, key, &hit);

	if (!hit)
		return;
	pb_buf_free(&f->rows[at].key);
	pb_buf_free(&f->rows[at].value);
	memmove(f->rows + at, f->rows + at + 1, (f->n - at - 1) * sizeof *f->rows);
	f->n--;
}

static int table_apply(struct pb_table *t, const struct pb_change *changes, size_t n, struct pb_error *err)
{
	struct fake *f = t->fake;
	void (*act)(struct fake *f);
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = tripped(f, "apply", err);
	act = f->interfere;
	f->interfere = NULL;
	if (act)
		act(f);
	for (size_t i = 0; i < n && !rc; i++) {
		bool hit;
		size_t at = find(f, changes[i].key, &hit);

		if ((changes[i].kind == PB_ABSENT && hit) ||
		    (changes[i].kind == PB_EQUAL && !(hit && pb_str_eq(pb_buf_str(&f->rows[at].value), changes[i].value))))
			rc = pb_fail(err, PB_ECONFLICT, "a guard does not hold");
	}
	for (size_t i = 0; i < n && !rc; i++) {
		if (changes[i].kind == PB_PUT)
			put(f, changes[i].key, changes[i].value);
		else if (changes[i].kind == PB_DELETE)
			drop(f, changes[i].key);
	}
	pthread_mutex_unlock(&f->lock);
	return rc;
}

/* ---- mailboxes ---- */

static const char *named(struct pb_str id)
{
	static _Thread_local char name[64];

	snprintf(name, sizeof name, "%.*s", PB_FMT(id));
	return name;
}

static int mailbox_create(struct pb_host *host, struct pb_str id, struct pb_error *err)
{
	int rc = tripped(host->fake, "create", err);

	if (rc)
		return rc;
	if (json_object_get(host->fake->mailboxes, named(id)))
		return pb_fail(err, PB_EEXISTS, "it is there");
	json_object_set_new(host->fake->mailboxes, named(id), json_integer(0));
	return 0;
}

static int mailbox_destroy(struct pb_host *host, struct pb_str id, struct pb_error *err)
{
	int rc = tripped(host->fake, "destroy", err);

	if (rc)
		return rc;
	return json_object_del(host->fake->mailboxes, named(id)) ? pb_fail(err, PB_ENOTFOUND, "no mailbox") : 0;
}

static int mailbox_open(struct pb_host *host, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err)
{
	struct pb_mailbox *mb;

	if (!json_object_get(host->fake->mailboxes, named(id)))
		return pb_fail(err, PB_ENOTFOUND, "no mailbox");
	mb = pb_alloc(sizeof *mb);
	mb->handle = host->handle;
	mb->fake = host->fake;
	snprintf(mb->id, sizeof mb->id, "%s", named(id));
	*ret = mb;
	return 0;
}

static void mailbox_close(struct pb_mailbox *mb)
{
	free(mb);
}

static int mailbox_set_quota(struct pb_mailbox *mb, uint64_t messages, uint64_t bytes, struct pb_error *err)
{
	int rc = tripped(mb->fake, "quota", err);

	(void)messages;
	if (!rc)
		json_object_set_new(mb->fake->mailboxes, mb->id, json_integer((json_int_t)bytes));
	return rc;
}

static int mailbox_usage(struct pb_mailbox *mb, uint64_t *ret_messages, uint64_t *ret_bytes, struct pb_error *err)
{
	(void)mb;
	(void)err;
	*ret_messages = 2;
	*ret_bytes = 300;
	return 0;
}

static int sessions_end(struct pb_host *host, struct pb_str mailbox, struct pb_error *err)
{
	(void)err;
	host->fake->ended += mailbox.len > 0;
	return 0;
}

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fake: %s\n", what);
	abort();
}

/* Another plugin, asked about the only things that the directory asks about. */
static void ask(struct pb_host *host, const struct pb_question *q, struct pb_verdict *v)
{
	const char *domain = json_string_value(json_object_get(q->facts, "domain")), *office = json_string_value(json_object_get(q->facts, "postoffice"));
	struct pb_error err;

	must(office && !strcmp(q->point, domain ? "domain.delete" : "postoffice.delete"), "what does it ask?");
	if (tripped(host->fake, "ask", &err))
		pb_verdict_set(v, PB_REJECT, 0, NULL, "%s of %s is busy", domain ? domain : "all", office);
}

/* The kernel, asked who is installed: conn_smtp runs, another as fake_plugin says, agent_mta is no connector, and conn_popretr takes no mail. */
static int call_kernel(struct pb_host *host, const char *method, json_t *params, json_t **ret_result, struct pb_error *err)
{
	(void)params;
	must(!strcmp(method, "plugin.list"), "what does it call?");
	if (!host->fake->fax)
		return pb_fail(err, PB_EUNAVAILABLE, "nobody provides plugin.list now");
	*ret_result = json_pack("{s:[{s:s s:s s:s s:[s]} {s:s s:s s:s s:[s s]} {s:s s:s s:s s:[s s]} {s:s s:s s:s s:[s]} {s:s s:s s:s}]}", "plugins",
				"name", host->fake->fax, "kind", "connector", "state", host->fake->fax_state, "lanes", "outgoing",
				"name", "conn_smtp", "kind", "connector", "state", "running", "lanes", "inbound", "outgoing",
				"name", "agent_mta", "kind", "agent", "state", "running", "lanes", "inbound", "outgoing",
				"name", "conn_popretr", "kind", "connector", "state", "running", "lanes", "inbound",
				"name", "agent_dns", "kind", "agent", "state", "running");
	return 0;
}

void fake_plugin(struct fake *f, const char *name, const char *state)
{
	f->fax = name;
	f->fax_state = state;
}

static const struct pb_host_ops ops = {
	.call = call_kernel,
	.ask = ask, .sessions_end = sessions_end,
	.hostname = hostname, .config_str = config_str, .config_int = config_int, .config_bool = config_bool, .log_text = log_text, .count = count, .now = now, .table_open = table_open, .table_close = table_close,
	.table_get = table_get, .table_scan = table_scan, .table_apply = table_apply, .mailbox_create = mailbox_create, .mailbox_destroy = mailbox_destroy,
	.mailbox_open = mailbox_open, .mailbox_close = mailbox_close, .mailbox_set_quota = mailbox_set_quota, .mailbox_usage = mailbox_usage,
};

/* ---- life ---- */

static void begin(struct fake *f)
{
	must(agent_directory_LTX_pb_plugin.load(&f->host, &f->self, &f->err) == 0, "load failed");
	must(agent_directory_LTX_pb_plugin.start(f->self, &f->err) == 0, f->err.text);
}

struct fake *fake_start(json_t *config)
{
	struct fake *f = pb_alloc(sizeof *f);
	pthread_mutexattr_t recursive;
	json_t *manifest = json_load_file(SRCDIR "/plugins/agent_directory/agent_directory.json", 0, NULL), *spec;
	const char *key;

	must(manifest, "no manifest");
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&f->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	f->host.handle.ops = &ops;
	f->host.fake = f;
	f->hostname = "mail.demo.example";
	f->now = INT64_C(1795000000000000);
	f->config = json_object();
	json_object_foreach (json_object_get(manifest, "config"), key, spec)
		json_object_set(f->config, key, json_object_get(spec, "default"));
	json_object_set_new(f->config, "hash_cost", json_integer(1));
	if (config)
		json_object_update(f->config, config);
	json_decref(config);
	json_decref(manifest);
	f->mailboxes = json_object();
	begin(f);
	return f;
}

void fake_set_hostname(struct fake *f, const char *hostname)
{
	f->hostname = hostname;
}

void fake_set_config(struct fake *f, const char *key, json_t *value)
{
	json_object_set_new(f->config, key, value);
}

void fake_restart(struct fake *f)
{
	f->trip.what = NULL;
	agent_directory_LTX_pb_plugin.unload(f->self);
	begin(f);
}

void fake_stop(struct fake *f)
{
	agent_directory_LTX_pb_plugin.unload(f->self);
	while (f->n)
		drop(f, pb_buf_str(&f->rows[0].key));
	free(f->rows);
	json_decref(f->config);
	json_decref(f->mailboxes);
	json_decref(f->result);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static int call(struct fake *f, const struct pb_caller *who, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	static const struct pb_caller system = { .role = PB_ROLE_SYSTEM };
	int rc = PB_EINTERNAL;

	must(params != NULL, "the parameters are malformed");
	for (const struct pb_method *m = agent_directory_LTX_pb_plugin.methods; m->name; m++)
		if (!strcmp(m->name, method))
			rc = m->call(f->self, who ? who : &system, params, ret, err);
	json_decref(params);
	must(rc == 0 || *ret == NULL, "a failed call left a result");
	return rc;
}

int fake_call(struct fake *f, const struct pb_caller *who, const char *method, json_t *params)
{
	json_t *result = NULL;
	int rc;

	f->err = (struct pb_error){ 0 };
	rc = call(f, who, method, params, &result, &f->err);
	json_decref(f->result);
	f->result = result;
	return rc;
}

int fake_call_from_thread(struct fake *f, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	*ret = NULL;
	return call(f, NULL, method, params, ret, err);
}

const json_t *fake_result(struct fake *f)
{
	return f->result;
}

const char *fake_error(struct fake *f)
{
	return f->err.text;
}

size_t fake_mailboxes(struct fake *f)
{
	return json_object_size(f->mailboxes);
}

long long fake_quota_bytes(struct fake *f, const char *mailbox)
{
	const json_t *v = json_object_get(f->mailboxes, mailbox);

	return v ? json_integer_value(v) : -1;
}

size_t fake_rows(struct fake *f, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += pb_str_starts(pb_buf_str(&f->rows[i].key), pb_strz(prefix));
	return n;
}

void fake_fail(struct fake *f, const char *what, int nth, int code)
{
	f->trip = (struct trip){ what, nth, code };
}

void fake_interfere(struct fake *f, void (*act)(struct fake *f))
{
	f->interfere = act;
}

void fake_interfere_get(struct fake *f, int nth, void (*act)(struct fake *f))
{
	f->interfere_get = act;
	f->gets_left = nth;
}

unsigned fake_reads(struct fake *f)
{
	return f->reads;
}

unsigned fake_ended(struct fake *f)
{
	return f->ended;
}
