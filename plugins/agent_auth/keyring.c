/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys: which there are stands in the table, the private part in a file of its own beside the store, mode 0600, so that neither a copy of the store nor what
 * shows rows gives it away. All are in memory, since every message that goes out asks for one.
 */
#include "auth_agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/secret.h>

enum { PEM_MAX = 16384 };

/* Domain and selector were checked: letters, digits, hyphens, underscores, dots. */
static void file_name(const struct keyring *k, struct pb_str domain, struct pb_str selector, char out[4096])
{
	snprintf(out, 4096, "%s/%.*s._domainkey.%.*s.pem", pb_plugin_dir(k->host).ptr, PB_FMT(selector), PB_FMT(domain));
}

static void row_key(struct pb_buf *out, struct pb_str domain, struct pb_str selector)
{
	pb_buf_addstr(out, domain);
	pb_buf_addc(out, '\0');
	pb_buf_addstr(out, selector);
}

/* ---- files ---- */

static int write_all(int fd, struct pb_str text)
{
	while (text.len) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text = pb_str_skip(text, (size_t)n);
	}
	return fsync(fd);
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = fd < 0 ? -1 : fsync(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

/* Under another name first: a key that was cut off is none. */
static int write_file(const struct keyring *k, const char *path, struct pb_str pem, struct pb_error *err)
{
	char fresh[4200];
	int fd, bad;

	snprintf(fresh, sizeof fresh, "%s.new", path);
	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", fresh);
	bad = write_all(fd, pem) ? errno : 0;
	close(fd);
	if (!bad && (rename(fresh, path) || sync_dir(pb_plugin_dir(k->host).ptr)))
		bad = errno;
	if (bad)
		unlink(fresh);
	return bad ? pb_fail_errno(err, bad, "%s", path) : 0;
}

static int read_file(const char *path, struct private_key **ret, struct pb_error *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), rc;
	char text[PEM_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_mode & 077)) {
		close(fd);
		return pb_fail(err, PB_EDENIED, "%s: a private key must be a file that nobody else may read (mode 0600)", path);
	}
	n = read(fd, text, sizeof text);
	close(fd);
	rc = n < 0 ? pb_fail_errno(err, errno, "%s", path) : private_key_read(pb_str(text, (size_t)n), ret, err);
	pb_wipe(text, sizeof text);
	return rc;
}

/* ---- memory ---- */

static int compare(const void *a, const void *b)
{
	const struct held_key *x = a, *y = b;
	int c = strcmp(x->domain, y->domain);

	if (!c)
		c = x->created < y->created ? 1 : x->created > y->created ? -1 : strcmp(y->selector, x->selector);
	return c;
}

/* Under the write lock. */
static void hold(struct keyring *k, struct pb_str domain, struct pb_str selector, struct private_key *key, int64_t created, bool active)
{
	k->list = pb_realloc(k->list, (k->n + 1) * sizeof *k->list);
	k->list[k->n++] = (struct held_key){ pb_str_dup(domain), pb_str_dup(selector), key, created, active };
	qsort(k->list, k->n, sizeof *k->list, compare);
}

static void drop(struct keyring *k, size_t i)
{
	free(k->list[i].domain);
	free(k->list[i].selector);
	private_key_free(k->list[i].key);
	memmove(&k->list[i], &k->list[i + 1], (k->n - i - 1) * sizeof *k->list);
	k->n--;
}

/* The first of the domain. */
static size_t first_of(const struct keyring *k, struct pb_str domain)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (pb_str_cmp(pb_strz(k->list[mid].domain), domain) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct held_key *keyring_next(struct keyring *k, struct pb_str domain, struct pb_str selector, bool only_active, size_t *at)
{
	size_t i = *at ? *at : first_of(k, domain);

	for (; i < k->n && pb_str_eq(pb_strz(k->list[i].domain), domain); i++)
		if (selector.len ? pb_str_eq(pb_strz(k->list[i].selector), selector) : k->list[i].active || !only_active) {
			*at = i + 1;
			return &k->list[i];
		}
	return NULL;
}

static long find(const struct keyring *k, struct pb_str domain, struct pb_str selector)
{
	for (size_t i = first_of(k, domain); i < k->n && pb_str_eq(pb_strz(k->list[i].domain), domain); i++)
		if (pb_str_eq(pb_strz(k->list[i].selector), selector))
			return (long)i;
	return -1;
}

/* ---- life ---- */

static bool take_row(void *arg, struct pb_str key, struct pb_str value)
{
	json_t *rows = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);
	struct pb_str selector = key, domain;

	pb_str_cut(&selector, '\0', &domain);
	json_object_set_new(row, "domain", json_stringn(domain.ptr, domain.len));
	json_object_set_new(row, "selector", json_stringn(selector.ptr, selector.len));
	json_array_append_new(rows, row);
	return true;
}

static void load_row(struct keyring *k, const json_t *row)
{
	struct pb_str domain = pb_text_of(row, "domain"), selector = pb_text_of(row, "selector");
	struct pb_error why = { 0 };
	struct private_key *key;
	char path[4096];

	file_name(k, domain, selector, path);
	if (read_file(path, &key, &why)) {
		pb_log(k->host, PB_WARNING, "dkim.key", "domain=%s selector=%s error=%s", pb_logq(domain), pb_logq(selector), pb_logq(pb_strz(why.text)));
		return;
	}
	hold(k, domain, selector, key, json_integer_value(json_object_get(row, "created")), json_is_true(json_object_get(row, "active")));
}

int keyring_open(struct keyring *k, struct pb_host *host, struct pb_error *err)
{
	PB_AUTOBUF(from);
	int rc;

	k->host = host;
	rc = pb_table_open(host, "keys", &k->table, err);
	while (!rc) {
		json_t *rows = json_array();
		const json_t *row;
		size_t i;

		rc = pb_table_scan(k->table, pb_buf_str(&from), PB_NOSTR, 500, take_row, rows, err);
		json_array_foreach(rows, i, row) {
			load_row(k, row);
			pb_buf_reset(&from);
			row_key(&from, pb_text_of(row, "domain"), pb_text_of(row, "selector"));
			pb_buf_addc(&from, '\0');
		}
		i = json_array_size(rows);
		json_decref(rows);
		if (i < 500)
			break;
	}
	return rc;
}

void keyring_close(struct keyring *k)
{
	while (k->n)
		drop(k, k->n - 1);
	free(k->list);
	pb_table_close(k->table);
}

/* ---- changes, each under the write lock ---- */

static int put_row(struct keyring *k, struct pb_str domain, struct pb_str selector, int64_t created, bool active, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);

	row_key(&key, domain, selector);
	pb_buf_addf(&value, "{\"created\":%lld,\"active\":%s}", (long long)created, active ? "true" : "false");
	return pb_table_apply(k->table, &(struct pb_change){ PB_PUT, pb_buf_str(&key), pb_buf_str(&value) }, 1, err);
}

static int add(struct keyring *k, struct pb_str domain, struct pb_str selector, struct private_key *key, bool active, struct pb_error *err)
{
	int64_t now = pb_now(k->host) / PB_SECOND;
	char path[4096];
	PB_AUTOBUF(pem);
	int rc;

	if (find(k, domain, selector) >= 0)
		return pb_fail(err, PB_EEXISTS, "%.*s has a key %.*s already", PB_FMT(domain), PB_FMT(selector));
	rc = private_key_write(key, &pem, err);
	if (rc)
		return rc;
	file_name(k, domain, selector, path);
	rc = write_file(k, path, pb_buf_str(&pem), err);
	pb_wipe(pem.ptr, pem.len);
	if (!rc)
		rc = put_row(k, domain, selector, now, active, err);
	if (rc)
		return rc;
	hold(k, domain, selector, key, now, active);
	pb_log(k->host, PB_INFO, "dkim.key", "domain=%s selector=%s made", pb_logq(domain), pb_logq(selector));
	return 0;
}

int keyring_add(struct keyring *k, struct pb_str domain, struct pb_str selector, struct private_key *key, bool active, struct pb_error *err)
{
	int rc;

	pthread_rwlock_wrlock(&k->lock);
	rc = add(k, domain, selector, key, active, err);
	pthread_rwlock_unlock(&k->lock);
	if (rc)
		private_key_free(key);
	return rc;
}

static int no_key(struct pb_str domain, struct pb_str selector, struct pb_error *err)
{
	return pb_fail(err, PB_ENOTFOUND, "%.*s has no key %.*s", PB_FMT(domain), PB_FMT(selector));
}

int keyring_activate(struct keyring *k, struct pb_str domain, struct pb_str selector, bool active, struct pb_error *err)
{
	int rc;
	long i;

	pthread_rwlock_wrlock(&k->lock);
	i = find(k, domain, selector);
	rc = i < 0 ? no_key(domain, selector, err) : put_row(k, domain, selector, k->list[i].created, active, err);
	if (!rc)
		k->list[i].active = active;
	pthread_rwlock_unlock(&k->lock);
	return rc;
}

/* The file first: what is left when something fails is a row, by which the next call finds it. */
static int delete_file_and_row(struct keyring *k, struct pb_str domain, struct pb_str selector, struct pb_error *err)
{
	char path[4096];
	PB_AUTOBUF(key);
	int rc;

	file_name(k, domain, selector, path);
	if (unlink(path) && errno != ENOENT)
		return pb_fail_errno(err, errno, "%s", path);
	row_key(&key, domain, selector);
	rc = pb_table_apply(k->table, &(struct pb_change){ PB_DELETE, pb_buf_str(&key), PB_NOSTR }, 1, err);
	if (rc)
		return rc;
	pb_log(k->host, PB_INFO, "dkim.key", "domain=%s selector=%s deleted", pb_logq(domain), pb_logq(selector));
	return 0;
}

/* Under the write lock. One whose file is gone has a row alone. */
static int forget(struct keyring *k, struct pb_str domain, struct pb_str selector, struct pb_error *err)
{
	int rc = delete_file_and_row(k, domain, selector, err);
	long i = find(k, domain, selector);

	if (!rc && i >= 0)
		drop(k, (size_t)i);
	return rc;
}

int keyring_delete(struct keyring *k, struct pb_str domain, struct pb_str selector, struct pb_error *err)
{
	PB_AUTOBUF(key);
	PB_AUTOBUF(value);
	int rc;

	row_key(&key, domain, selector);
	pthread_rwlock_wrlock(&k->lock);
	rc = pb_table_get(k->table, pb_buf_str(&key), &value, NULL) ? no_key(domain, selector, err) : forget(k, domain, selector, err);
	pthread_rwlock_unlock(&k->lock);
	return rc;
}

int keyring_forget(struct keyring *k, struct pb_str domain, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	size_t n = 1;
	int rc = 0;

	row_key(&from, domain, PB_NOSTR);
	pb_buf_addstr(&to, domain);
	pb_buf_addc(&to, '\1');
	pthread_rwlock_wrlock(&k->lock);
	while (!rc && n) {
		json_t *rows = json_array();

		rc = pb_table_scan(k->table, pb_buf_str(&from), pb_buf_str(&to), 0, take_row, rows, err);
		n = json_array_size(rows);
		for (size_t i = 0; i < n && !rc; i++)
			rc = forget(k, domain, pb_text_of(json_array_get(rows, i), "selector"), err);
		json_decref(rows);
	}
	pthread_rwlock_unlock(&k->lock);
	return rc;
}
