/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passwords that were right, remembered as an HMAC under a key that this process alone has, so that a client that logs in every minute costs no hash.
 * The HMAC covers the credential that is stored, so that a changed password is never remembered.
 */
#include <stdlib.h>
#include <gnutls/crypto.h>
#include <postbus/secret.h>
#include "directory.h"

#define TAG 32
#define WAYS 4

struct seen {
	uint64_t mailbox;	/* hash of its id; 0: free */
	unsigned char tag[TAG];
};

/* A table of sets: a mailbox has WAYS places, the oldest of which gives way. */
struct logins {
	pthread_mutex_t locks[16];
	unsigned char key[32];
	gnutls_hmac_hd_t keyed;		/* with the key and nothing else: copied, never written to */
	size_t sets;
	struct seen (*seen)[WAYS];
};

static gnutls_hmac_hd_t begin(struct logins *l)
{
	gnutls_hmac_hd_t mac;

	if (gnutls_hmac_init(&mac, GNUTLS_MAC_SHA256, l->key, sizeof l->key) < 0)
		abort();	/* SHA-256 cannot be missing */
	return mac;
}

struct logins *logins_new(size_t entries)
{
	struct logins *l = pb_alloc(sizeof *l);

	for (int i = 0; i < 16; i++)
		pthread_mutex_init(&l->locks[i], NULL);
	pb_random(l->key, sizeof l->key);
	l->keyed = begin(l);
	l->sets = entries / WAYS + 1;
	l->seen = pb_alloc(l->sets * sizeof *l->seen);
	return l;
}

void logins_free(struct logins *l)
{
	if (!l)
		return;
	for (int i = 0; i < 16; i++)
		pthread_mutex_destroy(&l->locks[i]);
	pb_wipe(l->key, sizeof l->key);
	gnutls_hmac_deinit(l->keyed, NULL);
	free(l->seen);
	free(l);
}

static void make_tag(struct logins *l, struct pb_str mailbox, struct pb_str credential, struct pb_str password, unsigned char *tag)
{
	gnutls_hmac_hd_t mac = gnutls_hmac_copy(l->keyed);
	uint32_t lengths[2] = { (uint32_t)mailbox.len, (uint32_t)credential.len };

	if (!mac)	/* an implementation that cannot be copied */
		mac = begin(l);
	gnutls_hmac(mac, lengths, sizeof lengths);
	gnutls_hmac(mac, mailbox.ptr, mailbox.len);
	gnutls_hmac(mac, credential.ptr, credential.len);
	gnutls_hmac(mac, password.ptr, password.len);
	gnutls_hmac_deinit(mac, tag);
}

bool logins_knows(struct logins *l, struct pb_str mailbox, struct pb_str credential, struct pb_str password)
{
	uint64_t hash = pb_str_hash(mailbox) | 1;
	size_t set = (hash >> 1) % l->sets;
	unsigned char tag[TAG];
	bool knows = false;

	make_tag(l, mailbox, credential, password, tag);
	pthread_mutex_lock(&l->locks[set % 16]);
	for (int i = 0; i < WAYS; i++)
		if (l->seen[set][i].mailbox == hash && pb_str_eq_secret(pb_str((char *)l->seen[set][i].tag, TAG), pb_str((char *)tag, TAG)))
			knows = true;
	pthread_mutex_unlock(&l->locks[set % 16]);
	return knows;
}

void logins_remember(struct logins *l, struct pb_str mailbox, struct pb_str credential, struct pb_str password)
{
	uint64_t hash = pb_str_hash(mailbox) | 1;
	size_t set = (hash >> 1) % l->sets;
	struct seen now = { .mailbox = hash };
	int place = WAYS - 1;

	make_tag(l, mailbox, credential, password, now.tag);
	pthread_mutex_lock(&l->locks[set % 16]);
	for (int i = WAYS - 1; i >= 0; i--)
		if (l->seen[set][i].mailbox == hash)
			place = i;	/* one place for each mailbox */
	memmove(&l->seen[set][1], &l->seen[set][0], (size_t)place * sizeof now);
	l->seen[set][0] = now;
	pthread_mutex_unlock(&l->locks[set % 16]);
}
