/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TLS for servers: sets of certificates, chosen by the client's SNI, replaced as a whole; session tickets. A session keeps the set it began with.
 * Leaves handshakes to enter.c, records to wire.c and everything about clients to link_tls.c.
 */
#include <gnutls/x509.h>
#include <stdlib.h>
#include <postbus/secret.h>
#include "kernel/session/internal.h"

static const char priorities[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-DTLS-ALL";

/* Certificates with the same names (ECDSA beside RSA) share one entry, and GnuTLS chooses by what the client can do. */
struct certificate {
	gnutls_certificate_credentials_t credentials;
	char **names;
	size_t n;
};

struct certificates {
	atomic_uint refs;
	struct certificate *all;
	size_t n;
};

struct certificates *certificates_ref(struct certificates *c)
{
	if (c)
		atomic_fetch_add(&c->refs, 1);
	return c;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void certificates_release(struct certificates *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	for (size_t i = 0; i < c->n; i++) {
		gnutls_certificate_free_credentials(c->all[i].credentials);
		free_names(c->all[i].names, c->all[i].n);
	}
	free(c->all);
	free(c);
}

/* ---- names ---- */

static void add_name(struct certificate *c, const char *name, size_t len)
{
	c->names = pb_realloc(c->names, (c->n + 1) * sizeof(char *));
	c->names[c->n++] = pb_str_dup(pb_str(name, len));
}

static int read_names(struct certificate *c, const char *file, struct pb_error *err)
{
	gnutls_x509_crt_t *chain = NULL;
	gnutls_datum_t pem = { 0 };
	unsigned n = 0;
	char name[256];
	size_t len;
	int rc;

	rc = gnutls_load_file(file, &pem);
	if (rc == 0)
		rc = gnutls_x509_crt_list_import2(&chain, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
	gnutls_free(pem.data);
	if (rc < 0 || n == 0)
		return pb_fail(err, PB_EINVALID, "certificate '%s': %s", file, rc < 0 ? gnutls_strerror(rc) : "nothing in it");
	for (unsigned i = 0;; i++) {
		len = sizeof name;
		rc = gnutls_x509_crt_get_subject_alt_name(chain[0], i, name, &len, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc == GNUTLS_SAN_DNSNAME)
			add_name(c, name, len);
	}
	len = sizeof name;
	if (c->n == 0 && gnutls_x509_crt_get_dn_by_oid(chain[0], GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &len) == 0)
		add_name(c, name, len);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return 0;
}

static bool same_names(const struct certificate *a, const struct certificate *b)
{
	if (a->n != b->n || a->n == 0)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!pb_str_ieq(pb_strz(a->names[i]), pb_strz(b->names[i])))
			return false;
	return true;
}

static bool matches(const char *pattern, struct pb_str name)
{
	struct pb_str p = pb_strz(pattern);
	long dot;

	if (!pb_str_starts(p, PB_STR("*.")))
		return pb_str_ieq(p, name);
	dot = pb_str_find(name, '.', 0);
	return dot > 0 && pb_str_ieq(pb_str_skip(p, 1), pb_str_skip(name, (size_t)dot));
}

static const struct certificate *choose(const struct certificates *c, struct pb_str name)
{
	for (size_t i = 0; name.len && i < c->n; i++)
		for (size_t j = 0; j < c->all[i].n; j++)
			if (matches(c->all[i].names[j], name))
				return &c->all[i];
	return &c->all[0];
}

/* ---- loading ---- */

static int load(struct certificates *set, const struct certificate_files *files, struct pb_error *err)
{
	struct certificate c = { 0 };
	gnutls_certificate_credentials_t into = NULL;
	int rc;

	rc = read_names(&c, files->cert, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < set->n && !into; i++)
		if (same_names(&set->all[i], &c))
			into = set->all[i].credentials;
	if (into)
		free_names(c.names, c.n);
	else {
		if (gnutls_certificate_allocate_credentials(&c.credentials) < 0) {
			free_names(c.names, c.n);
			return pb_fail(err, PB_EINTERNAL, "no memory for a certificate");
		}
		into = c.credentials;
		gnutls_certificate_set_known_dh_params(into, GNUTLS_SEC_PARAM_MEDIUM);
		set->all = pb_realloc(set->all, (set->n + 1) * sizeof c);
		set->all[set->n++] = c;
	}
	rc = gnutls_certificate_set_x509_key_file(into, files->cert, files->key, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		return pb_fail(err, PB_EINVALID, "certificate '%s' with key '%s': %s", files->cert, files->key, gnutls_strerror(rc));
	return 0;
}

int certificate_check(const struct certificate_files *files, struct pb_error *err)
{
	struct certificates *set = pb_alloc(sizeof *set);
	int rc;

	atomic_init(&set->refs, 1);
	rc = load(set, files, err);
	certificates_release(set);
	return rc;
}

int sessions_certificates(struct sessions *ss, const struct certificate_files *files, size_t n, struct pb_error *err)
{
	struct certificates *set = pb_alloc(sizeof *set), *old;

	atomic_init(&set->refs, 1);
	for (size_t i = 0; i < n; i++) {
		int rc = load(set, &files[i], err);

		if (rc) {
			certificates_release(set);
			return rc;
		}
	}
	if (!set->n) {
		certificates_release(set);
		set = NULL;
	}
	pthread_mutex_lock(&ss->tls.lock);
	old = ss->tls.certificates;
	ss->tls.certificates = set;
	pthread_mutex_unlock(&ss->tls.lock);
	certificates_release(old);
	return 0;
}

struct certificates *tls_certificates(struct sessions *ss)
{
	struct certificates *c;

	pthread_mutex_lock(&ss->tls.lock);
	c = certificates_ref(ss->tls.certificates);
	pthread_mutex_unlock(&ss->tls.lock);
	return c;
}

bool tls_has_certificates(struct sessions *ss)
{
	bool has;

	pthread_mutex_lock(&ss->tls.lock);
	has = ss->tls.certificates != NULL;
	pthread_mutex_unlock(&ss->tls.lock);
	return has;
}

/* ---- server sessions ---- */

static int by_name(gnutls_session_t tls)
{
	const struct certificates *c = gnutls_session_get_ptr(tls);
	char name[256];
	size_t len = sizeof name;
	unsigned type;

	if (gnutls_server_name_get(tls, name, &len, &type, 0) != 0 || type != GNUTLS_NAME_DNS)
		len = 0;
	return gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, choose(c, pb_str(name, len))->credentials);
}

gnutls_session_t tls_server(struct sessions *ss, struct certificates *c)
{
	gnutls_session_t tls;

	if (!c || gnutls_init(&tls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		return NULL;
	if (gnutls_priority_set(tls, ss->tls.priority) < 0 || gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, c->all[0].credentials) < 0) {
		gnutls_deinit(tls);
		return NULL;
	}
	gnutls_session_set_ptr(tls, c);
	gnutls_handshake_set_post_client_hello_function(tls, by_name);
	gnutls_session_ticket_enable_server(tls, &ss->tls.ticket_key);
	return tls;
}

int tls_open(struct tls_shared *t, struct pb_error *err)
{
	int rc;

	pthread_mutex_init(&t->lock, NULL);
	rc = gnutls_session_ticket_key_generate(&t->ticket_key);
	if (rc >= 0)
		rc = gnutls_priority_init(&t->priority, priorities, NULL);
	return rc < 0 ? pb_fail(err, PB_EINTERNAL, "cannot set up TLS: %s", gnutls_strerror(rc)) : 0;
}

void tls_close(struct tls_shared *t)
{
	certificates_release(t->certificates);
	if (t->ticket_key.data)
		pb_wipe(t->ticket_key.data, t->ticket_key.size);
	gnutls_free(t->ticket_key.data);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	trusts_free(t->trusts);
	pthread_mutex_destroy(&t->lock);
}
