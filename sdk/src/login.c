/* SPDX-License-Identifier: Apache-2.0 */
/* What services with logins share. Talks to the session and to auth.verify like any plugin; leaves every word that a client reads to its caller. */
#include <postbus/login.h>

/* ---- who it is ---- */

static json_t *question(struct pb_session *s, const char *service, const char *name, json_t *secret)
{
	struct pb_str peer = pb_session_peer(s);
	json_t *params = json_object();

	json_object_set_new(params, "login", json_string(name));
	json_object_set(params, "password", secret);
	json_object_set_new(params, "service", json_string(service));
	json_object_set_new(params, "peer", json_stringn(peer.ptr, peer.len));
	return params;
}

static struct pb_str member(const json_t *o, const char *key)
{
	return pb_strz(json_string_value(json_object_get(o, key)));
}

static enum pb_role role_of(struct pb_str name)
{
	if (pb_str_eq(name, PB_STR("system")))
		return PB_ROLE_SYSTEM;
	return pb_str_eq(name, PB_STR("admin")) ? PB_ROLE_ADMIN : PB_ROLE_USER;
}

struct pb_user pb_login_user(const json_t *answer)
{
	return (struct pb_user){
		.address = member(answer, "address"),
		.mailbox = member(answer, "mailbox"),
		.postoffice = member(answer, "postoffice"),
		.role = role_of(member(answer, "role")),
	};
}

int pb_login_verify(struct pb_session *s, const char *service, const struct pb_sasl *sasl, struct pb_login *ret, struct pb_error *err)
{
	struct pb_str password = pb_secret_bytes(sasl->password);
	json_t *params, *secret;
	int rc;

	*ret = (struct pb_login){ 0 };
	if (sasl->authzid && sasl->authzid[0])
		return pb_fail(err, PB_EDENIED, "acting for others is not offered");
	if (!pb_utf8_valid(password))
		return pb_fail(err, PB_EDENIED, "password is no UTF-8");
	secret = json_stringn(password.ptr, password.len);
	params = question(s, service, sasl->authcid, secret);
	rc = pb_call(pb_session_host(s), "auth.verify", params, &ret->answer, err);
	json_decref(params);
	pb_wipe((char *)(uintptr_t)json_string_value(secret), json_string_length(secret));
	json_decref(secret);
	if (rc == PB_EINVALID || rc == PB_ENOTFOUND)
		rc = PB_EDENIED;
	if (rc == 0)
		ret->user = pb_login_user(ret->answer);
	return rc;
}

void pb_login_free(struct pb_login *l)
{
	json_decref(l->answer);
	*l = (struct pb_login){ 0 };
}

/* ---- settings ---- */

void pb_login_settings_read(struct pb_login_settings *l, struct pb_host *host)
{
	static const char *const numbers[] = {
		[PB_LOGIN_TIMEOUT] = "login_timeout",
		[PB_LOGIN_IDLE] = "idle_timeout",
		[PB_LOGIN_DELAY] = "login_delay",
		[PB_LOGIN_ERRORS_MAX] = "errors_max",
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		__atomic_store_n(&l->values[i], (uint32_t)pb_config_int(host, numbers[i]), __ATOMIC_RELAXED);
	__atomic_store_n(&l->values[PB_LOGIN_CLEARTEXT], pb_config_bool(host, "cleartext_login"), __ATOMIC_RELAXED);
}

uint32_t pb_login_setting(const struct pb_login_settings *l, enum pb_login_key key)
{
	return __atomic_load_n(&l->values[key], __ATOMIC_RELAXED);
}

/* ---- in a session ---- */

bool pb_login_is_allowed(const struct pb_login_settings *l, struct pb_session *s)
{
	return pb_session_is_tls(s) || pb_login_setting(l, PB_LOGIN_CLEARTEXT);
}

void pb_login_enter(const struct pb_login_settings *l, struct pb_session *s, const struct pb_user *user, unsigned state)
{
	pb_session_login(s, user);
	pb_session_set_state(s, state);
	pb_session_idle(s, pb_login_setting(l, PB_LOGIN_IDLE));
}

int pb_login_deny(const struct pb_login_settings *l, struct pb_session *s, struct pb_str name, const struct pb_error *err,
    int (*denied)(struct pb_session *s, enum pb_wake why, struct pb_str line))
{
	uint32_t delay = pb_login_setting(l, PB_LOGIN_DELAY);

	pb_session_log(s, PB_WARNING, "login.failed", "login=%s reason=%s", pb_logq(name), pb_logq(pb_strz(err->text)));
	pb_count(pb_session_host(s), "logins_failed", 1);
	return delay ? pb_park(s, denied, 0, (int64_t)delay * PB_SECOND) : denied(s, PB_WAKE_TIMEOUT, PB_NOSTR);
}

/* ---- settings ---- */

int64_t pb_login_retention(struct pb_session *s)
{
	struct pb_str id = pb_session_user(s)->mailbox;
	json_t *params = json_object(), *mailbox = NULL;
	int64_t days = 0;

	json_object_set_new(params, "mailbox", json_stringn(id.ptr, id.len));
	if (pb_call(pb_session_host(s), "directory.mailbox", params, &mailbox, NULL) == 0)
		days = json_integer_value(json_object_get(json_object_get(mailbox, "policy"), "retention_days"));
	json_decref(params);
	json_decref(mailbox);
	return days;
}
