/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * auth.verify, and what is stored of a password. Who is unknown, disabled or without a password costs the same hash as who is wrong. SCRAM is scram.c's.
 */
#include <postbus/secret.h>
#include "policy.h"

int password_prepare(struct directory *d, struct pb_str password, json_t **ret_credential, struct pb_error *err)
{
	char room[PASSWORD_MAX + 1], hash[256], salt[16];
	unsigned char stored[32], server[32];
	int64_t iterations = pb_config_int(d->host, "scram_iterations");
	struct pb_str normal;
	PB_AUTOBUF(text);
	json_t *o, *scram;
	int rc = password_normal(password, room, &normal, err);

	if (!rc && (int64_t)normal.len < pb_config_int(d->host, "password_min"))
		rc = pb_fail(err, PB_EINVALID, "the password is shorter than %d bytes", (int)pb_config_int(d->host, "password_min"));
	if (!rc)
		rc = hash_make(d->hashers, normal, (int)pb_config_int(d->host, "hash_cost"), hash, sizeof hash, err);
	if (rc) {
		pb_wipe(room, sizeof room);
		return rc;
	}
	pb_random(salt, sizeof salt);
	scram_keys(normal, pb_str(salt, sizeof salt), (unsigned)iterations, stored, server);
	pb_wipe(room, sizeof room);
	o = json_object();
	scram = json_object();
	set_text(o, "crypt", pb_strz(hash));
	set_number(scram, "iterations", iterations);
	pb_base64_encode(&text, pb_str(salt, sizeof salt));
	set_text(scram, "salt", pb_buf_str(&text));
	pb_buf_reset(&text);
	pb_base64_encode(&text, pb_str((char *)stored, sizeof stored));
	set_text(scram, "stored_key", pb_buf_str(&text));
	pb_buf_reset(&text);
	pb_base64_encode(&text, pb_str((char *)server, sizeof server));
	set_text(scram, "server_key", pb_buf_str(&text));
	json_object_set_new(o, "scram_sha_256", scram);
	set_number(o, "changed", pb_now(d->host));
	*ret_credential = o;
	return 0;
}

int find_credential(struct directory *d, struct pb_str login, struct pb_str service, struct row **ret_mailbox, struct row **ret_stored, struct pb_error *err)
{
	int rc = find_mailbox(d, login, ret_mailbox, err);
	/* An id is no login name. */
	bool may = !rc && pb_str_find(login, '@', 0) >= 0 && flag_of((*ret_mailbox)->value, "enabled");

	if (may)
		rc = policy_has_service(d, (*ret_mailbox)->value, service, &may, err);
	if (rc && rc != PB_ENOTFOUND && rc != PB_EINVALID)
		return rc;
	rc = row_read(d, 'c', may ? pb_text_of((*ret_mailbox)->value, "id") : PB_STR("nobody"), PB_NOSTR, ret_stored, err);
	if (rc || may)
		return rc;
	row_release(*ret_mailbox);
	*ret_mailbox = NULL;
	return 0;
}

/* Whoever cannot log in is compared like the others, with a hash of the same cost that no password has. */
static int check(struct directory *d, struct pb_str login, struct pb_str service, struct pb_str password, struct row **ret, struct pb_error *err)
{
	struct pb_str credential = PB_NOSTR, id = PB_STR("nobody");
	ROW(mailbox);
	ROW(stored);
	int rc = find_credential(d, login, service, &mailbox, &stored, err);
	bool may;

	if (rc)
		return rc;
	if (stored->value)
		credential = pb_text_of(stored->value, "crypt");
	may = mailbox && credential.len;
	if (may)
		id = pb_text_of(mailbox->value, "id");
	else
		credential = pb_strz(d->nobody);
	if (logins_knows(d->logins, id, credential, password)) {
		pb_count(d->host, "logins_remembered", 1);
	} else {
		rc = hash_check(d->hashers, password, credential.ptr, err);
		if (!rc && may)
			logins_remember(d->logins, id, credential, password);
	}
	if (rc || !may)
		return rc ? rc : pb_fail(err, PB_EDENIED, "nobody logs in by that name here");
	*ret = mailbox;
	mailbox = NULL;
	return 0;
}

void login_name(struct directory *d, const json_t *params, struct pb_buf *out)
{
	struct pb_str login = pb_text_of(params, "login");

	pb_buf_addstr(out, pb_str_head(login, 1000));
	if (login.len && pb_str_find(login, '@', 0) < 0 && pb_config_str(d->host, "login_domain").len) {
		pb_buf_addc(out, '@');
		pb_buf_addstr(out, pb_config_str(d->host, "login_domain"));
	}
}

int login_refused(struct directory *d, const json_t *params, struct pb_error *err)
{
	pb_count(d->host, "logins_failed", 1);
	pb_log(d->host, PB_INFO, "login.failed", "login=%s service=%s peer=%s", pb_logq(pb_str_head(pb_text_of(params, "login"), 200)), pb_logq(pb_text_of(params, "service")),
	       pb_logq(pb_text_of(params, "peer")));
	return pb_fail(err, PB_EDENIED, "wrong login name or password");
}

json_t *login_answer(const json_t *mailbox)
{
	json_t *o = json_object();

	set_text(o, "address", pb_text_of(mailbox, "address"));
	set_text(o, "mailbox", pb_text_of(mailbox, "id"));
	set_text(o, "postoffice", pb_text_of(mailbox, "postoffice"));
	set_text(o, "role", pb_text_of(mailbox, "role"));
	return o;
}

METHOD(auth_verify)
{
	struct directory *d = self;
	struct pb_str service = pb_text_of(params, "service"), normal = PB_NOSTR;
	char room[PASSWORD_MAX + 1] = "";
	ROW(mailbox);
	PB_AUTOBUF(full);
	int rc;

	(void)who;
	login_name(d, params, &full);
	if (password_normal(pb_text_of(params, "password"), room, &normal, NULL))
		rc = check(d, PB_STR("nobody"), service, PB_STR("x"), &mailbox, err);
	else
		rc = check(d, pb_buf_str(&full), service, normal, &mailbox, err);
	pb_wipe(room, sizeof room);
	if (rc)
		return rc == PB_EDENIED ? login_refused(d, params, err) : rc;
	pb_count(d->host, "logins", 1);
	*ret_result = login_answer(mailbox->value);
	return 0;
}
