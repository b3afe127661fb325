/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A DKIM signature made (RFC 6376 5): which fields it covers, and the field itself. */
#include "mailauth/dkim.h"
#include <postbus/address.h>
#include <stdio.h>

const char dkim_names[] =
    "From Reply-To Sender Subject Date Message-ID To Cc In-Reply-To References MIME-Version Content-Type Content-Transfer-Encoding Content-Disposition "
    "Content-ID Content-Description Resent-* List-* Autocrypt Auto-Submitted";
const char dkim_sealed[] = "From Reply-To Subject Date Message-ID To Cc MIME-Version Content-Type Content-Transfer-Encoding";

static bool name_matches(struct pb_str pattern, struct pb_str name)
{
	if (pb_str_ends(pattern, PB_STR("*")))
		return pb_str_istarts(name, pb_str_head(pattern, pattern.len - 1));
	return pb_str_ieq(pattern, name);
}

static bool is_listed(struct pb_str names, struct pb_str name)
{
	struct pb_str word;

	while (pb_str_word(&names, &word))
		if (name_matches(word, name))
			return true;
	return false;
}

static void put_name(struct pb_buf *out, struct pb_str name)
{
	if (out->len)
		pb_buf_addc(out, ':');
	pb_buf_addstr(out, name);
}

/* What cannot stand in h=. */
static bool is_plain(struct pb_str name)
{
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= ' ' || (unsigned char)name.ptr[i] >= 127 || name.ptr[i] == ';')
			return false;
	return name.len > 0;
}

void dkim_choose(const struct auth_message *msg, struct pb_str names, struct pb_str sealed, struct pb_buf *out)
{
	struct pb_str word;
	size_t n = 0, most = SIGNED_NAMES_MAX - 64;

	for (size_t i = 0; i < msg->n && n < most; i++) {
		if (!is_plain(msg->fields[i].name) || !(is_listed(names, msg->fields[i].name) || is_listed(sealed, msg->fields[i].name)))
			continue;
		put_name(out, msg->fields[i].name);
		n++;
	}
	for (n = 0; pb_str_word(&sealed, &word) && n < 64; n++)
		if (!pb_str_ends(word, PB_STR("*")))
			put_name(out, word);
}

static bool has_from(const struct auth_message *msg)
{
	for (size_t i = 0; i < msg->n; i++)
		if (pb_str_ieq(msg->fields[i].name, PB_STR("From")))
			return true;
	return false;
}

static void put_number(struct pb_buf *out, size_t *column, const char *tag, int64_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)n);
	signature_fold(out, column, tag, pb_strz(text), false);
}

static void put_tags(const struct auth_message *msg, const struct dkim_signing *how, struct pb_str names, struct pb_buf *out, size_t *column)
{
	static const char *const forms[] = { "simple", "relaxed" };
	unsigned char digest[32];
	uint64_t total;
	PB_AUTOBUF(text);

	canon_body_hash(how->body, msg->body, UINT64_MAX, digest, &total);
	signature_fold(out, column, "v", PB_STR("1"), false);
	pb_buf_addf(&text, "%s-sha256", key_kind_name(private_key_kind(how->key)));
	signature_fold(out, column, "a", pb_buf_str(&text), false);
	pb_buf_reset(&text);
	pb_buf_addf(&text, "%s/%s", forms[how->header], forms[how->body]);
	signature_fold(out, column, "c", pb_buf_str(&text), false);
	signature_fold(out, column, "d", how->domain, false);
	signature_fold(out, column, "s", how->selector, false);
	if (how->identity.len)
		signature_fold(out, column, "i", how->identity, false);
	if (how->now >= 0)
		put_number(out, column, "t", how->now);
	if (how->now >= 0 && how->lifetime)
		put_number(out, column, "x", how->now + how->lifetime);
	if (how->has_length)
		put_number(out, column, "l", (int64_t)total);
	signature_fold(out, column, "h", names, false);
	pb_buf_reset(&text);
	pb_base64_encode(&text, pb_str((const char *)digest, sizeof digest));
	pb_buf_addc(&text, ';');
	signature_fold(out, column, "bh", pb_buf_str(&text), true);
}

int dkim_sign(const struct auth_message *msg, const struct dkim_signing *how, struct pb_buf *out, struct pb_error *err)
{
	size_t column = sizeof "DKIM-Signature:" - 1;
	struct signature s = { .header = how->header };
	struct pb_field field;
	PB_AUTOBUF(names);
	PB_AUTOBUF(text);
	PB_AUTOBUF(data);
	PB_AUTOBUF(b);
	PB_AUTOBUF(coded);
	int rc;

	if (!has_from(msg))
		return pb_fail(err, PB_EINVALID, "the message has no From, so it cannot be signed");
	dkim_choose(msg, how->names, how->sealed, &names);
	pb_buf_addz(&text, "DKIM-Signature:");
	put_tags(msg, how, pb_buf_str(&names), &text, &column);
	signature_fold(&text, &column, "b", PB_NOSTR, true);
	field.raw = pb_buf_str(&text);
	s.field = &field;
	s.names = pb_buf_str(&names);
	signature_data(msg, &s, &data);
	rc = private_key_sign(how->key, pb_buf_str(&data), &b, err);
	if (rc)
		return rc;
	pb_base64_encode(&coded, pb_buf_str(&b));
	pb_buf_addstr(out, pb_buf_str(&text));
	for (size_t at = 0; at < coded.len; at += 64) {
		pb_buf_addz(out, "\r\n\t");
		pb_buf_addstr(out, pb_str_head(pb_str_skip(pb_buf_str(&coded), at), 64));
	}
	pb_buf_addz(out, "\r\n");
	return 0;
}
