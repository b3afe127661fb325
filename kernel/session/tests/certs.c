/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test certificates, made by GnuTLS when the test runs: ECDSA keys, a CA and what it signs. */
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "kernel/session/tests/toy.h"

static void write_pem(const char *dir, const char *file, const char *ending, const gnutls_datum_t *pem)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s.%s", dir, file, ending);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(pem->data, 1, pem->size, f), pem->size);
	fclose(f);
}

static void read_pem(const char *dir, const char *file, const char *ending, gnutls_datum_t *pem)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s.%s", dir, file, ending);
	assert_int_equal(gnutls_load_file(path, pem), 0);
}

void make_certificate(const char *dir, const char *file, const char *name, bool is_ca, const char *ca_file)
{
	gnutls_x509_crt_t crt, ca = NULL;
	gnutls_x509_privkey_t key, ca_key = NULL;
	gnutls_datum_t pem;
	unsigned char serial[4];

	pb_random(serial, sizeof serial);
	serial[0] &= 0x7f;
	gnutls_x509_privkey_init(&key);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	gnutls_x509_crt_init(&crt);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
	gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 86400);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400);
	gnutls_x509_crt_set_key(crt, key);
	gnutls_x509_crt_set_basic_constraints(crt, is_ca, -1);
	gnutls_x509_crt_set_key_usage(crt, is_ca ? GNUTLS_KEY_KEY_CERT_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (!is_ca)
		gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_SET);
	if (ca_file) {
		gnutls_x509_crt_init(&ca);
		gnutls_x509_privkey_init(&ca_key);
		read_pem(dir, ca_file, "cert", &pem);
		assert_int_equal(gnutls_x509_crt_import(ca, &pem, GNUTLS_X509_FMT_PEM), 0);
		gnutls_free(pem.data);
		read_pem(dir, ca_file, "key", &pem);
		assert_int_equal(gnutls_x509_privkey_import(ca_key, &pem, GNUTLS_X509_FMT_PEM), 0);
		gnutls_free(pem.data);
	}
	assert_int_equal(gnutls_x509_crt_sign2(crt, ca ? ca : crt, ca_key ? ca_key : key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_pem(dir, file, "cert", &pem);
	gnutls_free(pem.data);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
	write_pem(dir, file, "key", &pem);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	if (ca) {
		gnutls_x509_crt_deinit(ca);
		gnutls_x509_privkey_deinit(ca_key);
	}
}
