/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS for clients: the handshake, what is checked, and the loaded CA files, which are shared between links because the system's take
 * milliseconds to read. Leaves records to wire.c.
 */
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "kernel/session/internal.h"
#include "kernel/session/link.h"

enum { TRUST_SECONDS = 3600 };

/* Credentials with CAs: file empty: the system's; file NULL: none, nothing is checked. */
struct trust {
	struct trust *next;		/* tls->lock */
	char *file;
	unsigned refs;			/* tls->lock */
	bool stale;			/* out of the list: freed with the last link that uses it */
	int64_t loaded;
	struct timespec changed;
	gnutls_certificate_credentials_t credentials;
};

static void trust_free(struct trust *t)
{
	gnutls_certificate_free_credentials(t->credentials);
	free(t->file);
	free(t);
}

void trusts_free(struct trust *t)
{
	for (struct trust *next; t; t = next) {
		next = t->next;
		trust_free(t);
	}
}

static struct timespec changed(const char *file)
{
	struct stat st;

	if (!file || !*file || stat(file, &st) != 0)
		return (struct timespec){ 0 };
	return st.st_mtim;
}

static struct trust *trust_load(const char *file, struct pb_error *err)
{
	struct trust *t = pb_alloc(sizeof *t);
	int rc;

	if (gnutls_certificate_allocate_credentials(&t->credentials) < 0) {
		free(t);
		pb_fail(err, PB_EINTERNAL, "no memory for TLS");
		return NULL;
	}
	t->changed = changed(file);
	t->loaded = link_ticks();
	if (!file)
		return t;
	t->file = pb_str_dup(pb_strz(file));
	rc = *file ? gnutls_certificate_set_x509_trust_file(t->credentials, file, GNUTLS_X509_FMT_PEM) :
		     gnutls_certificate_set_x509_system_trust(t->credentials);
	if (rc > 0)
		return t;
	pb_fail(err, PB_EUNAVAILABLE, "no certificate authorities in %s: %s", *file ? file : "the system's store", rc < 0 ? gnutls_strerror(rc) : "nothing there");
	trust_free(t);
	return NULL;
}

static bool is_for(const struct trust *t, const char *file)
{
	return file && t->file ? strcmp(file, t->file) == 0 : !file && !t->file;
}

/* Loading under the lock: who comes at the same moment would load the same. */
static struct trust *trust_take(struct tls_shared *tls, const char *file, struct pb_error *err)
{
	struct timespec now = changed(file);
	struct trust **at, *t;

	pthread_mutex_lock(&tls->lock);
	for (at = &tls->trusts; *at && !is_for(*at, file); at = &(*at)->next)
		;
	t = *at;
	if (t && file && (t->changed.tv_sec != now.tv_sec || t->changed.tv_nsec != now.tv_nsec || link_ticks() - t->loaded > TRUST_SECONDS * PB_SECOND)) {
		*at = t->next;
		t->stale = true;
		if (!t->refs)
			trust_free(t);
		t = NULL;
	}
	if (!t) {
		t = trust_load(file, err);
		if (t) {
			t->next = tls->trusts;
			tls->trusts = t;
		}
	}
	if (t)
		t->refs++;
	pthread_mutex_unlock(&tls->lock);
	return t;
}

static void trust_give(struct tls_shared *tls, struct trust *t)
{
	pthread_mutex_lock(&tls->lock);
	if (--t->refs == 0 && t->stale)
		trust_free(t);
	pthread_mutex_unlock(&tls->lock);
}

/* ---- the handshake ---- */

static int handshake(struct pb_link *l, struct pb_error *err)
{
	int64_t deadline = link_ticks() + l->timeout;
	gnutls_datum_t why = { 0 };
	unsigned status;
	int rc;

	l->wire.direct = true;
	for (;;) {
		rc = gnutls_handshake(l->wire.tls);
		if (rc == 0)
			break;
		if (rc == GNUTLS_E_AGAIN) {
			rc = link_wait(l, gnutls_record_get_direction(l->wire.tls) ? POLLOUT : POLLIN, deadline, err);
			if (rc)
				return rc;
			continue;
		}
		if (!gnutls_error_is_fatal(rc))
			continue;
		status = gnutls_session_get_verify_cert_status(l->wire.tls);
		if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0) == 0) {
			pb_fail(err, PB_EDENIED, "%.*s", (int)why.size, (const char *)why.data);
			gnutls_free(why.data);
			return PB_EDENIED;
		}
		if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
			return pb_fail(err, PB_EUNAVAILABLE, "the other side refuses: %s", gnutls_alert_get_name(gnutls_alert_get(l->wire.tls)));
		return pb_fail(err, PB_EUNAVAILABLE, "%s", gnutls_strerror(rc));
	}
	l->wire.direct = false;
	return 0;
}

static int begin(struct pb_link *l, struct tls_shared *tls, const char *name, enum pb_tls_check check, const char *trust, struct pb_error *err)
{
	struct trust *t = trust_take(tls, check == PB_TLS_PKIX ? trust : NULL, err);
	gnutls_session_t session;
	struct in6_addr literal;

	if (!t)
		return err->code;
	l->trust = t;
	if (gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		return pb_fail(err, PB_EINTERNAL, "no memory for TLS");
	wire_secure(&l->wire, session);
	if (gnutls_priority_set(session, tls->priority) < 0 || gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, t->credentials) < 0)
		return pb_fail(err, PB_EINTERNAL, "cannot set up TLS");
	if (*name && inet_pton(AF_INET, name, &literal) != 1 && inet_pton(AF_INET6, name, &literal) != 1)	/* RFC 6066 3: names only */
		gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
	if (check == PB_TLS_PKIX)
		gnutls_session_set_verify_cert(session, name, 0);
	return handshake(l, err);
}

int host_link_starttls(struct pb_link *l, struct pb_str name, enum pb_tls_check check, struct pb_str trust, struct pb_error *err)
{
	struct tls_shared *tls = &l->host->kernel->sessions->tls;
	char *namez, *trustz;
	struct pb_error what;
	PB_AUTOBUF(info);
	int rc = host_link_flush(l, err);

	if (rc)
		return rc;
	if (l->wire.tls || l->in_at < l->in_end || (check == PB_TLS_PKIX && !name.len)) {
		/* what came in the clear could be taken for something said under TLS */
		pb_fail(&what, PB_EINVALID, "%s: TLS with %s", l->peer, l->wire.tls ? "TLS on already" : l->in_at < l->in_end ? "unread plaintext before it" : "no name to check");
		return link_stick(l, err, &what);
	}
	namez = pb_str_dup(name.len && name.ptr[name.len - 1] == '.' ? pb_str_head(name, name.len - 1) : name);
	trustz = pb_str_dup(trust);
	rc = begin(l, tls, namez, check, trustz, &what);
	free(namez);
	free(trustz);
	if (rc) {
		pb_because(&what, "TLS with %s", l->peer);
		return link_stick(l, err, &what);
	}
	wire_tls_info(l->wire.tls, &info);
	l->tls_info = pb_str_dup(pb_buf_str(&info));
	return 0;
}

int host_link_pins(struct pb_link *l, unsigned char *ret_certificate, unsigned char *ret_key, struct pb_error *err)
{
	const gnutls_datum_t *list;
	gnutls_x509_crt_t crt;
	unsigned n = 0;
	size_t len = PB_PIN_MAX;
	int rc;

	list = l->wire.tls ? gnutls_certificate_get_peers(l->wire.tls, &n) : NULL;
	if (!list || !n)
		return pb_fail(err, PB_ENOTFOUND, "%s: %s", l->peer, l->wire.tls ? "no certificate was shown" : "no TLS");
	if (gnutls_x509_crt_init(&crt) < 0)
		return pb_fail(err, PB_EINTERNAL, "no memory for a certificate");
	rc = gnutls_x509_crt_import(crt, list, GNUTLS_X509_FMT_DER);
	if (rc >= 0)
		rc = gnutls_hash_fast(GNUTLS_DIG_SHA256, list->data, list->size, ret_certificate);
	if (rc >= 0)
		rc = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, ret_key, &len);
	gnutls_x509_crt_deinit(crt);
	return rc < 0 ? pb_fail(err, PB_EINVALID, "%s: its certificate cannot be read: %s", l->peer, gnutls_strerror(rc)) : 0;
}

void link_tls_free(struct pb_link *l)
{
	if (l->wire.tls) {
		if (!l->error.code && !l->wire.direct) {
			gnutls_bye(l->wire.tls, GNUTLS_SHUT_WR);
			wire_push(&l->wire, NULL);
		}
		gnutls_deinit(l->wire.tls);
		l->wire.tls = NULL;
	}
	if (l->trust)
		trust_give(&l->host->kernel->sessions->tls, l->trust);
	l->trust = NULL;
}
