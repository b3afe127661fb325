/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Password hashes and SCRAM keys: yescrypt by libxcrypt, at most so many at once, since each takes tens of milliseconds and 16 MiB.
 * Whose passwords they are is auth.c's and cmd_mailbox.c's affair.
 */
#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <gnutls/crypto.h>
#include <postbus/secret.h>
#include "directory.h"

struct hashers {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	unsigned at_once, waiting;	/* limits */
	unsigned working, waiters;
	int64_t patience;		/* microseconds */
};

struct hashers *hashers_new(unsigned at_once, unsigned waiting, int64_t patience)
{
	struct hashers *h = pb_alloc(sizeof *h);
	pthread_condattr_t attr;

	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->freed, &attr);
	pthread_condattr_destroy(&attr);
	h->at_once = at_once;
	h->waiting = waiting;
	h->patience = patience;
	return h;
}

void hashers_free(struct hashers *h)
{
	if (!h)
		return;
	pthread_cond_destroy(&h->freed);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static int enter(struct hashers *h, struct pb_error *err)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += h->patience / PB_SECOND;
	until.tv_nsec += h->patience % PB_SECOND * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&h->lock);
	if (h->working >= h->at_once && h->waiters >= h->waiting) {
		rc = pb_fail(err, PB_EBUSY, "too many logins at once; try again later");
	} else {
		h->waiters++;
		while (h->working >= h->at_once && !rc)
			if (pthread_cond_timedwait(&h->freed, &h->lock, &until) == ETIMEDOUT && h->working >= h->at_once)
				rc = pb_fail(err, PB_EBUSY, "too many logins at once; try again later");
		h->waiters--;
		if (!rc)
			h->working++;
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}

static void leave(struct hashers *h)
{
	pthread_mutex_lock(&h->lock);
	h->working--;
	pthread_cond_signal(&h->freed);
	pthread_mutex_unlock(&h->lock);
}

/* A password may not be NUL-terminated; *ret_hash lives in data. By crypt_rn, which the sanitizers do not stand before: they look for crypt_r when the
 * process starts, and libcrypt comes with the plugin. */
static int crypt_one(struct crypt_data *data, struct pb_str password, const char *setting, const char **ret_hash, struct pb_error *err)
{
	char phrase[PASSWORD_MAX + 1];
	const char *hash;

	if (password.len > PASSWORD_MAX || memchr(password.ptr, 0, password.len))
		return pb_fail(err, PB_EINVALID, "a password has 1 to %d bytes", PASSWORD_MAX);
	memcpy(phrase, password.ptr, password.len);
	phrase[password.len] = 0;
	hash = crypt_rn(phrase, setting, data, (int)sizeof *data);
	pb_wipe(phrase, sizeof phrase);
	if (!hash || hash[0] == '*')
		return pb_fail(err, PB_EINTERNAL, "the password cannot be hashed");
	*ret_hash = hash;
	return 0;
}

static void free_data(struct crypt_data *data)
{
	pb_wipe(data, sizeof *data);
	free(data);
}

static int make_setting(int cost, char *setting, struct pb_error *err)
{
	char random[16];

	pb_random(random, sizeof random);
	if (!crypt_gensalt_rn("$y$", (unsigned long)cost, random, sizeof random, setting, CRYPT_GENSALT_OUTPUT_SIZE))
		return pb_fail_errno(err, errno, "no salt for yescrypt with cost %d", cost);
	return 0;
}

int hash_nobody(int cost, char *ret_hash, size_t room, struct pb_error *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	int rc = make_setting(cost, setting, err);

	if (!rc && (size_t)snprintf(ret_hash, room, "%s$...........................................", setting) >= room)
		rc = pb_fail(err, PB_EINTERNAL, "the hash of nobody is too long");
	return rc;
}

int hash_make(struct hashers *h, struct pb_str password, int cost, char *ret_hash, size_t room, struct pb_error *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *hash;
	int rc = make_setting(cost, setting, err);

	if (!rc)
		rc = enter(h, err);
	if (rc)
		return rc;
	data = pb_alloc(sizeof *data);
	rc = crypt_one(data, password, setting, &hash, err);
	if (!rc && strlen(hash) >= room)
		rc = pb_fail(err, PB_EINTERNAL, "the password's hash is too long");
	if (!rc)
		memcpy(ret_hash, hash, strlen(hash) + 1);
	free_data(data);
	leave(h);
	return rc;
}

int hash_check(struct hashers *h, struct pb_str password, const char *hash, struct pb_error *err)
{
	struct crypt_data *data;
	const char *made;
	int rc = enter(h, err);

	if (rc)
		return rc;
	data = pb_alloc(sizeof *data);
	rc = crypt_one(data, password, hash, &made, err);
	if (!rc && !pb_str_eq_secret(pb_strz(made), pb_strz(hash)))
		rc = pb_fail(err, PB_EDENIED, "wrong password");
	free_data(data);
	leave(h);
	return rc;
}

int password_normal(struct pb_str password, char *room, struct pb_str *ret, struct pb_error *err)
{
	gnutls_datum_t out = { NULL, 0 };
	struct pb_str text = password;
	bool ascii = true;

	for (size_t i = 0; i < password.len; i++)
		ascii = ascii && (unsigned char)password.ptr[i] < 0x80;
	if (!ascii && password.len <= PASSWORD_MAX && gnutls_utf8_password_normalize((const unsigned char *)password.ptr, (unsigned)password.len, &out, 0) == 0)
		text = pb_str((char *)out.data, out.size);
	if (!text.len || text.len > PASSWORD_MAX || memchr(text.ptr, 0, text.len)) {
		if (out.data)
			pb_wipe(out.data, out.size);
		gnutls_free(out.data);
		return pb_fail(err, PB_EINVALID, "a password has 1 to %d bytes", PASSWORD_MAX);
	}
	memcpy(room, text.ptr, text.len);
	room[text.len] = 0;
	*ret = pb_str(room, text.len);
	if (out.data)
		pb_wipe(out.data, out.size);
	gnutls_free(out.data);
	return 0;
}

void scram_keys(struct pb_str password, struct pb_str salt, unsigned iterations, unsigned char *ret_stored, unsigned char *ret_server)
{
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)password.ptr, (unsigned)password.len }, with = { (unsigned char *)(uintptr_t)salt.ptr, (unsigned)salt.len };
	unsigned char salted[32], client[32];

	if (gnutls_pbkdf2(GNUTLS_MAC_SHA256, &key, &with, iterations, salted, sizeof salted) < 0 ||
	    gnutls_hmac_fast(GNUTLS_MAC_SHA256, salted, sizeof salted, "Client Key", 10, client) < 0 ||
	    gnutls_hash_fast(GNUTLS_DIG_SHA256, client, sizeof client, ret_stored) < 0 ||
	    gnutls_hmac_fast(GNUTLS_MAC_SHA256, salted, sizeof salted, "Server Key", 10, ret_server) < 0)
		abort();	/* SHA-256 cannot be missing */
	pb_wipe(salted, sizeof salted);
	pb_wipe(client, sizeof client);
}
