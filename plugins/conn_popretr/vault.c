/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passwords and tokens at rest: sealed with AES-256-GCM under a key that lies in a file beside the store, so that a copy of the store alone, or a backup of it,
 * gives no login away. What a secret is of is part of the seal: moved to another account or field it does not open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <gnutls/crypto.h>
#include "popretr.h"

enum { NONCE_LEN = 12, TAG_LEN = 16, SECRET_MAX = 16384 };

static void path_of(const struct retr *r, char *path, size_t size)
{
	struct pb_str own = pb_config_str(r->host, "key_file"), dir = pb_plugin_dir(r->host);

	if (own.len)
		snprintf(path, size, "%.*s", PB_FMT(own));
	else
		snprintf(path, size, "%.*s/key", PB_FMT(dir));
}

static int read_key(struct retr *r, const char *path, int fd, struct pb_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return pb_fail_errno(err, errno, "%s", path);
	if (st.st_mode & 077)
		return pb_fail(err, PB_EDENIED, "%s: others may read it (mode %03o); it has to be 600", path, (unsigned)st.st_mode & 0777);
	if (st.st_size != KEY_LEN || read(fd, r->key, KEY_LEN) != KEY_LEN)
		return pb_fail(err, PB_ECORRUPT, "%s: %lld bytes, and a key has %d", path, (long long)st.st_size, KEY_LEN);
	return 0;
}

/* Durable before anything is sealed with it. */
static int make_key(struct retr *r, const char *path, struct pb_error *err)
{
	char part[4200], *slash;
	int fd, dir, rc = 0;

	snprintf(part, sizeof part, "%s.new", path);
	unlink(part);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", part);
	pb_random(r->key, KEY_LEN);
	if (write(fd, r->key, KEY_LEN) != KEY_LEN || fsync(fd) || rename(part, path))
		rc = pb_fail_errno(err, errno, "%s", path);
	close(fd);
	slash = strrchr(part, '/');
	if (slash)
		*slash = '\0';
	dir = rc ? -1 : open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!rc && (dir < 0 || fsync(dir)))
		rc = pb_fail_errno(err, errno, "%s", part);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* PB_ENOTFOUND: it is not there. */
static int find_key(struct retr *r, struct pb_error *err)
{
	char path[4096];
	int fd, rc;

	path_of(r, path, sizeof path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return pb_fail(err, PB_ENOTFOUND, "the key of the accounts' secrets is not there: bring %s back, or give passwords and tokens anew by `retrieve set`", path);
	if (fd < 0)
		return pb_fail_errno(err, errno, "the key of the accounts' secrets: %s", path);
	rc = read_key(r, path, fd, err);
	r->has_key = !rc;
	close(fd);
	return rc;
}

int vault_open(struct retr *r, struct pb_error *err)
{
	int rc = find_key(r, err);

	if (rc == PB_ENOTFOUND && r->n)
		pb_log(r->host, PB_ERROR, "retrieve.no_key", "error=%s", pb_logq(pb_strz(err->text)));
	return rc == PB_ENOTFOUND ? 0 : rc;
}

/* A key that is missing may be brought back at any time. A new one is made only when there is something to seal: it would open nothing that is there. */
static int have_key(struct retr *r, bool may_make, struct pb_error *err)
{
	char path[4096];
	int rc = 0;

	pthread_mutex_lock(&r->vault_lock);
	if (!r->has_key)
		rc = find_key(r, err);
	if (rc == PB_ENOTFOUND && may_make) {
		path_of(r, path, sizeof path);
		rc = make_key(r, path, err);
		r->has_key = !rc;
	}
	pthread_mutex_unlock(&r->vault_lock);
	return rc;
}

static void context(struct pb_buf *out, struct pb_str about, const char *field)
{
	pb_buf_addf(out, "conn_popretr/%.*s/%s", PB_FMT(about), field);
}

static gnutls_aead_cipher_hd_t cipher_of(const struct retr *r)
{
	gnutls_datum_t key = { (unsigned char *)(uintptr_t)r->key, KEY_LEN };
	gnutls_aead_cipher_hd_t cipher;

	return gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key) < 0 ? NULL : cipher;
}

json_t *vault_seal(struct retr *r, struct pb_str about, const char *field, struct pb_str secret, struct pb_error *err)
{
	int rc = have_key(r, true, err);
	gnutls_aead_cipher_hd_t cipher = rc ? NULL : cipher_of(r);
	unsigned char *out = pb_alloc(NONCE_LEN + secret.len + TAG_LEN);
	size_t len = secret.len + TAG_LEN;
	PB_AUTOBUF(with);
	PB_AUTOBUF(text);
	json_t *sealed = NULL;

	context(&with, about, field);
	pb_random(out, NONCE_LEN);
	if (cipher && gnutls_aead_cipher_encrypt(cipher, out, NONCE_LEN, with.ptr, with.len, TAG_LEN, secret.ptr, secret.len, out + NONCE_LEN, &len) >= 0) {
		pb_base64_encode(&text, pb_str((char *)out, NONCE_LEN + len));
		sealed = json_string(pb_buf_z(&text));
	}
	if (cipher)
		gnutls_aead_cipher_deinit(cipher);
	free(out);
	if (!rc && !sealed)
		pb_fail(err, PB_EINTERNAL, "%s cannot be sealed", field);
	return sealed;
}

int vault_unseal(struct retr *r, struct pb_str about, const char *field, struct pb_str sealed, struct pb_buf *out, struct pb_error *err)
{
	gnutls_aead_cipher_hd_t cipher;
	PB_AUTOBUF(with);
	PB_AUTOBUF(bytes);
	size_t len;
	int rc = -1;

	if (pb_base64_decode(&bytes, sealed) || bytes.len < NONCE_LEN + TAG_LEN || bytes.len > SECRET_MAX + NONCE_LEN + TAG_LEN)
		return pb_fail(err, PB_ECORRUPT, "the sealed %s is damaged", field);
	rc = have_key(r, false, err);
	if (rc)
		return rc;
	context(&with, about, field);
	len = bytes.len - NONCE_LEN - TAG_LEN;
	pb_buf_reserve(out, len + 1);
	cipher = cipher_of(r);
	if (cipher) {
		rc = gnutls_aead_cipher_decrypt(cipher, bytes.ptr, NONCE_LEN, with.ptr, with.len, TAG_LEN, bytes.ptr + NONCE_LEN, bytes.len - NONCE_LEN,
						out->ptr + out->len, &len);
		gnutls_aead_cipher_deinit(cipher);
	}
	if (rc < 0)
		return pb_fail(err, PB_ECORRUPT, "the sealed %s does not open: it was sealed with another key, or for another account", field);
	out->len += len;
	out->ptr[out->len] = '\0';
	return 0;
}
