/* SPDX-License-Identifier: Apache-2.0 */
/* SASL PLAIN, LOGIN and SCRAM: messages, decoded strictly. Leaves verification to auth.verify and auth.scram, and the conversation to exchange.c. */
#include <stdlib.h>
#include <postbus/sasl.h>

enum { NAME_MAX_BYTES = 255 };

/* What was decoded holds a password: wiped, not only freed. */
static void wipe_buf(struct pb_buf *b)
{
	if (b->ptr)
		pb_wipe(b->ptr, b->cap);
	pb_buf_free(b);
}

#define SECRET_BUF(name) struct pb_buf name __attribute__((cleanup(wipe_buf))) = PB_BUF

int pb_sasl_response(struct pb_str line, struct pb_buf *out, struct pb_error *err)
{
	if (pb_str_eq(line, PB_STR("*")))
		return pb_fail(err, PB_ECLOSED, "the client cancelled authentication");
	if (line.len > PB_SASL_MAX)
		return pb_fail(err, PB_ETOOBIG, "an authentication response has %d bytes at most", PB_SASL_MAX);
	if (pb_str_eq(line, PB_STR("=")))
		return 0;
	pb_buf_reserve(out, line.len);	/* in one piece, so that growing leaves no copy of a password behind */
	if (pb_base64_decode(out, line))
		return pb_fail(err, PB_EINVALID, "the authentication response is not base64");
	return 0;
}

static int check_name(struct pb_str name, const char *what, struct pb_error *err)
{
	if (name.len > NAME_MAX_BYTES)
		return pb_fail(err, PB_ETOOBIG, "the %s is longer than %d bytes", what, NAME_MAX_BYTES);
	if (!pb_utf8_valid(name))
		return pb_fail(err, PB_EINVALID, "the %s is not UTF-8", what);
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 127)
			return pb_fail(err, PB_EINVALID, "the %s contains a control character", what);
	return 0;
}

static int credentials(struct pb_str authzid, struct pb_str authcid, struct pb_str password, struct pb_sasl *ret, struct pb_error *err)
{
	int rc = check_name(authcid, "user name", err);

	if (!rc)
		rc = check_name(authzid, "authorization identity", err);
	if (rc)
		return rc;
	if (!authcid.len)
		return pb_fail(err, PB_EINVALID, "the user name is empty");
	if (!password.len)
		return pb_fail(err, PB_EINVALID, "the password is empty");
	if (password.len > NAME_MAX_BYTES)
		return pb_fail(err, PB_ETOOBIG, "the password is longer than %d bytes", NAME_MAX_BYTES);
	if (pb_str_find(password, '\0', 0) >= 0)
		return pb_fail(err, PB_EINVALID, "the password contains a NUL");
	ret->authzid = pb_str_dup(pb_str_eq(authzid, authcid) ? PB_NOSTR : authzid);
	ret->authcid = pb_str_dup(authcid);
	ret->password = pb_secret_new(password);
	return 0;
}

int pb_sasl_plain(struct pb_str line, struct pb_sasl *ret, struct pb_error *err)
{
	SECRET_BUF(bytes);
	struct pb_str whole;
	long first, second;
	int rc = pb_sasl_response(line, &bytes, err);

	if (rc)
		return rc;
	whole = pb_buf_str(&bytes);
	first = pb_str_find(whole, '\0', 0);
	second = first < 0 ? -1 : pb_str_find(whole, '\0', (size_t)first + 1);
	if (second < 0 || pb_str_find(whole, '\0', (size_t)second + 1) >= 0)
		return pb_fail(err, PB_EINVALID, "a PLAIN response has exactly two NULs");
	return credentials(pb_str_head(whole, (size_t)first), pb_str(whole.ptr + first + 1, (size_t)(second - first - 1)), pb_str_skip(whole, (size_t)second + 1), ret, err);
}

int pb_sasl_login(struct pb_str user_line, struct pb_str password_line, struct pb_sasl *ret, struct pb_error *err)
{
	SECRET_BUF(user);
	SECRET_BUF(password);
	int rc = pb_sasl_response(user_line, &user, err);

	if (!rc)
		rc = pb_sasl_response(password_line, &password, err);
	return rc ? rc : credentials(PB_NOSTR, pb_buf_str(&user), pb_buf_str(&password), ret, err);
}

int pb_sasl_clear(struct pb_str user, struct pb_str password, struct pb_sasl *ret, struct pb_error *err)
{
	return credentials(PB_NOSTR, user, password, ret, err);
}

void pb_sasl_free(struct pb_sasl *s)
{
	free(s->authzid);
	free(s->authcid);
	pb_secret_free(s->password);
	*s = (struct pb_sasl)PB_SASL;
}

/* ---- SCRAM (RFC 5802 7) ---- */

enum { NONCE_MAX = 256, BINDING_MAX = 64 };

static int broken(struct pb_error *err, const char *what)
{
	return pb_fail(err, PB_EINVALID, "the SCRAM message %s", what);
}

/* The next attribute, which must be this one. */
static bool attribute(struct pb_str *rest, char name, struct pb_str *ret)
{
	struct pb_str part;

	if (!pb_str_cut(rest, ',', &part) || part.len < 2 || part.ptr[0] != name || part.ptr[1] != '=')
		return false;
	*ret = pb_str_skip(part, 2);
	return true;
}

/* What may follow: attributes that this server need not know. */
static bool are_extensions(struct pb_str rest)
{
	struct pb_str part;

	while (pb_str_cut(&rest, ',', &part))
		if (part.len < 3 || !pb_is_alpha((unsigned char)part.ptr[0]) || part.ptr[1] != '=')
			return false;
	return true;
}

/* saslname: "," and "=" are written as =2C and =3D, and no other way. */
static int read_name(struct pb_str text, const char *what, char **ret, struct pb_error *err)
{
	PB_AUTOBUF(name);
	int rc;

	for (size_t i = 0; i < text.len; i++) {
		struct pb_str code = pb_str_head(pb_str_skip(text, i), 3);

		if (text.ptr[i] != '=') {
			pb_buf_addc(&name, text.ptr[i]);
			continue;
		}
		if (!pb_str_eq(code, PB_STR("=2C")) && !pb_str_eq(code, PB_STR("=3D")))
			return broken(err, "has a name with a bare '='");
		pb_buf_addc(&name, code.ptr[2] == 'C' ? ',' : '=');
		i += 2;
	}
	rc = check_name(pb_buf_str(&name), what, err);
	if (!rc)
		*ret = pb_str_dup(pb_buf_str(&name));
	return rc;
}

/* gs2-cbind-flag: "n", "y" or "p=" and the type. */
static int read_flag(struct pb_scram *x, struct pb_str flag, struct pb_error *err)
{
	struct pb_str type = pb_str_skip(flag, 2);

	x->could_bind = pb_str_eq(flag, PB_STR("y"));
	if (x->could_bind || pb_str_eq(flag, PB_STR("n")))
		return 0;
	if (!pb_str_starts(flag, PB_STR("p=")) || !type.len || type.len > BINDING_MAX)
		return broken(err, "begins with no word about channel binding");
	for (size_t i = 0; i < type.len; i++)
		if (!pb_is_alnum((unsigned char)type.ptr[i]) && type.ptr[i] != '.' && type.ptr[i] != '-')
			return broken(err, "names a channel binding that cannot be");
	x->binding = pb_str_dup(type);
	return 0;
}

static int read_bare(struct pb_scram *x, struct pb_str bare, struct pb_error *err)
{
	struct pb_str rest = bare, name, nonce;
	int rc;

	if (pb_str_starts(bare, PB_STR("m=")))
		return broken(err, "asks for an extension that is not here");
	if (!attribute(&rest, 'n', &name) || !attribute(&rest, 'r', &nonce) || !are_extensions(rest))
		return broken(err, "is not user name and nonce");
	if (!nonce.len || nonce.len > NONCE_MAX)
		return broken(err, "has a nonce that is empty or too long");
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.ptr[i] < '!' || nonce.ptr[i] > '~')
			return broken(err, "has a nonce that is not printable");
	rc = read_name(name, "user name", &x->authcid, err);
	if (!rc && !x->authcid[0])
		rc = pb_fail(err, PB_EINVALID, "the user name is empty");
	if (rc)
		return rc;
	pb_buf_addstr(&x->nonce, nonce);
	pb_buf_addstr(&x->message, bare);
	return 0;
}

int pb_scram_first(struct pb_scram *x, struct pb_str text, struct pb_error *err)
{
	struct pb_str rest = text, flag, acts_for;
	int rc;

	if (text.len > PB_SCRAM_MAX)
		return pb_fail(err, PB_ETOOBIG, "a SCRAM message has %d bytes at most", PB_SCRAM_MAX);
	if (!pb_utf8_valid(text) || pb_str_find(text, '\0', 0) >= 0)
		return broken(err, "is not UTF-8 text");
	if (!pb_str_cut(&rest, ',', &flag) || !pb_str_cut(&rest, ',', &acts_for) || !rest.ptr)
		return broken(err, "has no GS2 header");
	rc = read_flag(x, flag, err);
	if (!rc && acts_for.len && (!pb_str_starts(acts_for, PB_STR("a=")) || acts_for.len == 2))
		rc = broken(err, "has an authorization identity that is none");
	if (!rc)
		rc = read_name(pb_str_skip(acts_for, 2), "authorization identity", &x->authzid, err);
	if (!rc)
		rc = read_bare(x, rest, err);
	if (rc)
		return rc;
	pb_buf_addstr(&x->header, pb_str_head(text, (size_t)(rest.ptr - text.ptr)));
	if (!strcmp(x->authzid, x->authcid))
		x->authzid[0] = 0;
	return 0;
}

void pb_scram_challenge(struct pb_scram *x, struct pb_str nonce, struct pb_str salt, uint64_t iterations, struct pb_buf *out)
{
	size_t from = out->len;

	pb_buf_addstr(&x->nonce, nonce);
	pb_buf_addf(out, "r=%.*s,s=%.*s,i=%llu", PB_FMT(pb_buf_str(&x->nonce)), PB_FMT(salt), (unsigned long long)iterations);
	pb_buf_addc(&x->message, ',');
	pb_buf_addstr(&x->message, pb_str_skip(pb_buf_str(out), from));
}

/* c=: the GS2 header again, and the channel as this side knows it (RFC 5802 5.1). */
static bool is_bound(struct pb_scram *x, struct pb_str c, struct pb_str channel)
{
	PB_AUTOBUF(want);
	PB_AUTOBUF(text);

	pb_buf_addstr(&want, pb_buf_str(&x->header));
	if (x->binding)
		pb_buf_addstr(&want, channel);
	pb_base64_encode(&text, pb_buf_str(&want));
	return pb_str_eq_secret(pb_buf_str(&text), c);
}

int pb_scram_final(struct pb_scram *x, struct pb_str text, struct pb_str channel, struct pb_error *err)
{
	struct pb_str rest, bound, nonce, proof = PB_NOSTR;
	PB_AUTOBUF(bytes);
	long at = -1;

	if (text.len > PB_SCRAM_MAX)
		return pb_fail(err, PB_ETOOBIG, "a SCRAM message has %d bytes at most", PB_SCRAM_MAX);
	for (long next = pb_str_search(text, PB_STR(",p="), 0); next >= 0; next = pb_str_search(text, PB_STR(",p="), (size_t)next + 1))
		at = next;
	if (!pb_utf8_valid(text) || pb_str_find(text, '\0', 0) >= 0 || at < 0)
		return broken(err, "has no proof");
	proof = pb_str_skip(text, (size_t)at + 3);
	rest = pb_str_head(text, (size_t)at);
	if (pb_base64_decode(&bytes, proof) || bytes.len != PB_SCRAM_PROOF)
		return broken(err, "has a proof that is none");
	if (!attribute(&rest, 'c', &bound) || !attribute(&rest, 'r', &nonce) || !are_extensions(rest))
		return broken(err, "is not channel, nonce and proof");
	if (!pb_str_eq(nonce, pb_buf_str(&x->nonce)))
		return pb_fail(err, PB_EDENIED, "the nonce is another one");
	if (!is_bound(x, bound, channel))
		return pb_fail(err, PB_EDENIED, "the login is bound to another channel");
	memcpy(x->proof, bytes.ptr, PB_SCRAM_PROOF);
	pb_buf_addc(&x->message, ',');
	pb_buf_addstr(&x->message, pb_str_head(text, (size_t)at));
	return 0;
}

void pb_scram_free(struct pb_scram *x)
{
	free(x->authzid);
	free(x->authcid);
	free(x->binding);
	pb_buf_free(&x->header);
	pb_buf_free(&x->nonce);
	pb_buf_free(&x->message);
	pb_wipe(x->proof, sizeof x->proof);
	*x = (struct pb_scram)PB_SCRAM;
}
