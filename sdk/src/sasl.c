/* SPDX-License-Identifier: Apache-2.0 */
/* SASL PLAIN and LOGIN, decoded strictly. Leaves verification to auth.verify and the conversation to the protocols. */
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
