/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes the self-signed certificate of a new home through GnuTLS. Leaves real certificates to the administrator. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <postbus/str.h>
#include "tools/offline.h"

static int write_file(const char *path, const gnutls_datum_t *bytes, struct pb_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return pb_fail_errno(err, errno, "%s", path);
	if (write(fd, bytes->data, bytes->size) != (ssize_t)bytes->size || fsync(fd)) {
		int why = errno;

		close(fd);
		return pb_fail_errno(err, why, "%s", path);
	}
	close(fd);
	return 0;
}

static int fill(gnutls_x509_crt_t cert, gnutls_x509_privkey_t key, const char *hostname)
{
	static const unsigned char loopback4[4] = { 127, 0, 0, 1 };
	static const unsigned char loopback6[16] = { [15] = 1 };
	unsigned char serial[16];
	time_t now = time(NULL);
	int rc;

	pb_random(serial, sizeof serial);
	serial[0] &= 0x7f;
	(void)((rc = gnutls_x509_crt_set_version(cert, 3)) || (rc = gnutls_x509_crt_set_serial(cert, serial, sizeof serial)) ||
	       (rc = gnutls_x509_crt_set_activation_time(cert, now - 3600)) || (rc = gnutls_x509_crt_set_expiration_time(cert, now + 3650L * 86400)) ||
	       (rc = gnutls_x509_crt_set_dn_by_oid(cert, GNUTLS_OID_X520_COMMON_NAME, 0, hostname, (unsigned)strlen(hostname))) ||
	       (rc = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, hostname, (unsigned)strlen(hostname), GNUTLS_FSAN_SET)) ||
	       (rc = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_APPEND)) ||
	       (rc = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, loopback4, 4, GNUTLS_FSAN_APPEND)) ||
	       (rc = gnutls_x509_crt_set_subject_alt_name(cert, GNUTLS_SAN_IPADDRESS, loopback6, 16, GNUTLS_FSAN_APPEND)) ||
	       (rc = gnutls_x509_crt_set_basic_constraints(cert, 0, -1)) || (rc = gnutls_x509_crt_set_key_usage(cert, GNUTLS_KEY_DIGITAL_SIGNATURE)) ||
	       (rc = gnutls_x509_crt_set_key_purpose_oid(cert, GNUTLS_KP_TLS_WWW_SERVER, 0)) || (rc = gnutls_x509_crt_set_key(cert, key)) ||
	       (rc = gnutls_x509_crt_sign2(cert, cert, key, GNUTLS_DIG_SHA256, 0)));
	return rc;
}

int certificate_make(const char *hostname, const char *cert_path, const char *key_path, struct pb_error *err)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t cert;
	gnutls_datum_t key_pem = { NULL, 0 }, cert_pem = { NULL, 0 };
	int rc;

	gnutls_x509_privkey_init(&key);
	gnutls_x509_crt_init(&cert);
	(void)((rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0)) || (rc = fill(cert, key, hostname)) ||
	       (rc = gnutls_x509_crt_export2(cert, GNUTLS_X509_FMT_PEM, &cert_pem)) || (rc = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &key_pem)));
	if (rc)
		rc = pb_fail(err, PB_EINTERNAL, "making a certificate: %s", gnutls_strerror(rc));
	else
		(void)((rc = write_file(cert_path, &cert_pem, err)) || (rc = write_file(key_path, &key_pem, err)));
	gnutls_free(cert_pem.data);
	gnutls_free(key_pem.data);
	gnutls_x509_crt_deinit(cert);
	gnutls_x509_privkey_deinit(key);
	return rc;
}
