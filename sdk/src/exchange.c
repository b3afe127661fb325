/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A SASL exchange as every service has it: which mechanisms a session is offered, and what comes of each response. Passwords are auth.verify's business, SCRAM's
 * keys auth.scram's; the words around challenges, waiting and refusing are the protocol's.
 */
#include <stdlib.h>
#include <postbus/login.h>

enum mechanism { SCRAM_PLUS, SCRAM, PLAIN, LOGIN, MECHANISMS };

static const char *const names[MECHANISMS] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN" };

enum { NONCE_BYTES = 18 };

struct pb_exchange {
	enum mechanism mechanism;
	const char *service;
	bool last_words;		/* success may carry data */
	unsigned responses;
	struct pb_sasl sasl;		/* PLAIN, LOGIN */
	struct pb_scram scram;
	struct pb_buf kept;		/* LOGIN: the response with the name */
	struct pb_buf challenge;
	struct pb_login login;
};

static bool has(struct pb_session *s, enum mechanism m)
{
	struct pb_host *host = pb_session_host(s);

	if (m == SCRAM_PLUS && !pb_session_is_tls(s))
		return false;
	return m > SCRAM || (pb_is_provided(host, "auth.scram") && pb_is_provided(host, "auth.scram_verify"));
}

void pb_exchange_list(struct pb_session *s, const char *before, struct pb_buf *out)
{
	bool first = true;

	for (enum mechanism m = 0; m < MECHANISMS; m++)
		if (has(s, m)) {
			pb_buf_addf(out, "%s%s%s", first ? "" : " ", before, names[m]);
			first = false;
		}
}

struct pb_exchange *pb_exchange_new(struct pb_session *s, const char *service, struct pb_str mechanism, bool last_words)
{
	struct pb_exchange *x;
	enum mechanism m = 0;

	while (m < MECHANISMS && !pb_str_ieq(mechanism, pb_strz(names[m])))
		m++;
	if (m == MECHANISMS || !has(s, m))
		return NULL;
	x = pb_alloc(sizeof *x);
	x->mechanism = m;
	x->service = service;
	x->last_words = last_words;
	x->sasl = (struct pb_sasl)PB_SASL;
	x->scram = (struct pb_scram)PB_SCRAM;
	return x;
}

const char *pb_exchange_prompt(const struct pb_exchange *x)
{
	return x->mechanism == LOGIN ? PB_SASL_LOGIN_USER : "";
}

const struct pb_user *pb_exchange_user(const struct pb_exchange *x)
{
	return &x->login.user;
}

struct pb_str pb_exchange_name(const struct pb_exchange *x)
{
	return pb_strz(x->sasl.authcid ? x->sasl.authcid : x->scram.authcid);
}

static void wipe(struct pb_buf *b)
{
	if (b->ptr)
		pb_wipe(b->ptr, b->cap);
	pb_buf_free(b);
}

void pb_exchange_free(struct pb_exchange *x)
{
	if (!x)
		return;
	pb_sasl_free(&x->sasl);
	pb_scram_free(&x->scram);
	wipe(&x->kept);
	wipe(&x->challenge);
	pb_login_free(&x->login);
	free(x);
}

/* What a bus method's answer means for who logs in. */
static enum pb_exchange_step judged(int rc)
{
	if (rc == 0)
		return PB_EXCHANGE_DONE;
	return rc == PB_EDENIED || rc == PB_EINVALID || rc == PB_ENOTFOUND ? PB_EXCHANGE_DENIED : PB_EXCHANGE_UNAVAILABLE;
}

/* ---- PLAIN, LOGIN ---- */

static enum pb_exchange_step verify(struct pb_exchange *x, struct pb_session *s, int rc, struct pb_error *err)
{
	return rc ? PB_EXCHANGE_MALFORMED : judged(pb_login_verify(s, x->service, &x->sasl, &x->login, err));
}

static enum pb_exchange_step login(struct pb_exchange *x, struct pb_session *s, struct pb_str line, struct pb_error *err)
{
	if (x->responses++)
		return verify(x, s, pb_sasl_login(pb_buf_str(&x->kept), line, &x->sasl, err), err);
	if (pb_sasl_response(line, &x->kept, err))
		return PB_EXCHANGE_MALFORMED;
	pb_buf_reset(&x->kept);
	pb_buf_addstr(&x->kept, line);
	pb_buf_addz(&x->challenge, PB_SASL_LOGIN_PASS);
	return PB_EXCHANGE_MORE;
}

/* ---- SCRAM ---- */

static json_t *question(const struct pb_exchange *x, struct pb_session *s)
{
	struct pb_str peer = pb_session_peer(s);

	return json_pack("{s:s s:s s:s%}", "login", x->scram.authcid, "service", x->service, "peer", peer.len ? peer.ptr : "", peer.len);
}

static struct pb_str member(const json_t *o, const char *key)
{
	return pb_strz(json_string_value(json_object_get(o, key)));
}

static enum pb_exchange_step scram_first(struct pb_exchange *x, struct pb_session *s, struct pb_str text, struct pb_buf *out, struct pb_error *err)
{
	bool plus = x->mechanism == SCRAM_PLUS;
	unsigned char bytes[NONCE_BYTES];
	json_t *params, *answer = NULL;
	PB_AUTOBUF(nonce);
	int rc;

	if (pb_scram_first(&x->scram, text, err))
		return PB_EXCHANGE_MALFORMED;
	if (plus != (x->scram.binding != NULL)) {
		pb_fail(err, PB_EINVALID, plus ? "this mechanism needs a channel binding" : "channel binding is another mechanism's");
		return PB_EXCHANGE_MALFORMED;
	}
	/* RFC 5802 6: a client that could bind, and was offered it here, heard another list of mechanisms than was sent. */
	if (x->scram.could_bind && has(s, SCRAM_PLUS)) {
		pb_fail(err, PB_EDENIED, "somebody took the channel binding out of the list of mechanisms");
		return PB_EXCHANGE_DENIED;
	}
	if (x->scram.authzid[0]) {
		pb_fail(err, PB_EDENIED, "acting for others is not offered");
		return PB_EXCHANGE_DENIED;
	}
	params = question(x, s);
	rc = pb_call(pb_session_host(s), "auth.scram", params, &answer, err);
	json_decref(params);
	if (rc)
		return judged(rc);
	pb_random(bytes, sizeof bytes);
	pb_base64_encode(&nonce, pb_str((char *)bytes, sizeof bytes));
	pb_scram_challenge(&x->scram, pb_buf_str(&nonce), member(answer, "salt"), (uint64_t)json_integer_value(json_object_get(answer, "iterations")), out);
	json_decref(answer);
	return PB_EXCHANGE_MORE;
}

/* Asked once for the signature, and where the client has to answer that, once more when he does: a password may have been changed in between. */
static enum pb_exchange_step scram_verify(struct pb_exchange *x, struct pb_session *s, bool again, struct pb_error *err)
{
	struct pb_str proof = pb_str((const char *)x->scram.proof, PB_SCRAM_PROOF);
	json_t *params = question(x, s);
	PB_AUTOBUF(text);
	int rc;

	pb_base64_encode(&text, proof);
	json_object_set_new(params, "message", json_stringn(x->scram.message.ptr, x->scram.message.len));
	json_object_set_new(params, "proof", json_string(pb_buf_z(&text)));
	json_object_set_new(params, "again", json_boolean(again));
	pb_login_free(&x->login);
	rc = pb_call(pb_session_host(s), "auth.scram_verify", params, &x->login.answer, err);
	json_decref(params);
	if (!rc)
		x->login.user = pb_login_user(x->login.answer);
	return judged(rc);
}

static enum pb_exchange_step scram_final(struct pb_exchange *x, struct pb_session *s, struct pb_str text, struct pb_buf *out, struct pb_error *err)
{
	enum pb_exchange_step step;
	PB_AUTOBUF(channel);
	int rc = x->scram.binding ? pb_session_channel_binding(s, pb_strz(x->scram.binding), &channel, err) : 0;

	if (!rc)
		rc = pb_scram_final(&x->scram, text, pb_buf_str(&channel), err);
	if (rc)
		return rc == PB_EINVALID || rc == PB_ETOOBIG ? PB_EXCHANGE_MALFORMED : PB_EXCHANGE_DENIED;
	step = scram_verify(x, s, false, err);
	if (step != PB_EXCHANGE_DONE)
		return step;
	pb_buf_addf(out, "v=%s", member(x->login.answer, "signature").ptr);
	return x->last_words ? PB_EXCHANGE_DONE : PB_EXCHANGE_MORE;
}

static enum pb_exchange_step scram(struct pb_exchange *x, struct pb_session *s, struct pb_str line, struct pb_error *err)
{
	enum pb_exchange_step step;
	PB_AUTOBUF(text);
	PB_AUTOBUF(out);

	if (pb_sasl_response(line, &text, err))
		return PB_EXCHANGE_MALFORMED;
	switch (x->responses++) {
	case 0:
		step = scram_first(x, s, pb_buf_str(&text), &out, err);
		break;
	case 1:
		step = scram_final(x, s, pb_buf_str(&text), &out, err);
		break;
	default:
		if (text.len) {
			pb_fail(err, PB_EINVALID, "nothing was asked any more");
			return PB_EXCHANGE_MALFORMED;
		}
		return scram_verify(x, s, true, err);
	}
	pb_base64_encode(&x->challenge, pb_buf_str(&out));
	return step;
}

enum pb_exchange_step pb_exchange_step(struct pb_exchange *x, struct pb_session *s, struct pb_str line, struct pb_str *ret_challenge, struct pb_error *err)
{
	enum pb_exchange_step step;

	pb_buf_reset(&x->challenge);
	if (x->mechanism == PLAIN)
		step = verify(x, s, pb_sasl_plain(line, &x->sasl, err), err);
	else
		step = x->mechanism == LOGIN ? login(x, s, line, err) : scram(x, s, line, err);
	*ret_challenge = pb_buf_str(&x->challenge);
	return step;
}
