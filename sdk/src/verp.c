/* SPDX-License-Identifier: Apache-2.0 */
/* Variable envelope return paths: a recipient inside the address that his bounces come back to. What a bounce itself says is not read here. */
#include <postbus/address.h>

/* "=" ends the local part, so in there it is what escapes; in domains, which hardly ever have one, that is "_". The last "+" begins the recipient, the last
 * "=" his domain: neither is left inside. Only letters, digits and "-", "_", "." stand for themselves, since more than that is refused by hosts here and there. */
#define ESCAPE_LOCAL '='
#define ESCAPE_DOMAIN '_'

static void put_escaped(struct pb_buf *out, struct pb_str s, char escape)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		/* Two dots in a row may stand in quotes only. */
		bool plain = pb_is_alnum((unsigned char)c) || c == '-' || (c == '_' && c != escape) || (c == '.' && (!i || s.ptr[i - 1] != '.'));

		if (plain)
			pb_buf_addc(out, c);
		else
			pb_buf_addf(out, "%c%02X", escape, (unsigned char)c);
	}
}

static int hex_digit(char c)
{
	int low = pb_lower((unsigned char)c);

	if (pb_is_digit(low))
		return low - '0';
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static bool put_unescaped(struct pb_buf *out, struct pb_str s, char escape)
{
	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.ptr[i] != escape) {
			pb_buf_addc(out, s.ptr[i]);
			continue;
		}
		if (s.len - i < 3)
			return false;
		high = hex_digit(s.ptr[i + 1]);
		low = hex_digit(s.ptr[i + 2]);
		if (high < 0 || low < 0)
			return false;
		pb_buf_addc(out, (char)(high * 16 + low));
		i += 2;
	}
	return true;
}

static long last_of(struct pb_str s, char c)
{
	while (s.len && s.ptr[s.len - 1] != c)
		s.len--;
	return (long)s.len - 1;
}

int pb_verp_make(struct pb_buf *out, struct pb_str bounces, struct pb_str recipient, struct pb_error *err)
{
	struct pb_path from, to;
	size_t start = out->len, local;
	int rc = pb_address_parse(bounces, PB_PATH_UTF8, &from, err);

	if (!rc)
		rc = pb_address_parse(recipient, PB_PATH_UTF8, &to, err);
	if (rc)
		return rc;
	if (from.quoted)
		return pb_fail(err, PB_EINVALID, "an address for bounces must not need quotes");
	pb_buf_addstr(out, from.local);
	pb_buf_addc(out, '+');
	put_escaped(out, to.local, ESCAPE_LOCAL);
	pb_buf_addc(out, '=');
	put_escaped(out, to.domain, ESCAPE_DOMAIN);
	local = out->len - start;
	pb_buf_addc(out, '@');
	pb_buf_addstr(out, from.domain);
	if (local <= PB_LOCAL_MAX && out->len - start <= PB_ADDRESS_MAX)
		return 0;
	out->len = start;
	return pb_fail(err, PB_ETOOBIG, "an address for the bounces of this recipient would have a local part of %zu octets", local);
}

bool pb_verp_find(struct pb_str address, struct pb_buf *ret_bounces, struct pb_buf *ret_recipient)
{
	struct pb_path path;
	struct pb_str coded;
	long plus, equals;
	PB_AUTOBUF(recipient);

	if (pb_address_parse(address, PB_PATH_UTF8, &path, NULL) || path.quoted)
		return false;
	plus = last_of(path.local, '+');
	coded = pb_str_skip(path.local, (size_t)(plus + 1));
	equals = last_of(coded, '=');
	if (plus < 1 || equals < 0 || !put_unescaped(&recipient, pb_str_head(coded, (size_t)equals), ESCAPE_LOCAL))
		return false;
	pb_buf_addc(&recipient, '@');
	if (!put_unescaped(&recipient, pb_str_skip(coded, (size_t)equals + 1), ESCAPE_DOMAIN) || pb_address_parse(pb_buf_str(&recipient), PB_PATH_UTF8, NULL, NULL))
		return false;
	pb_buf_reset(ret_bounces);
	pb_buf_addstr(ret_bounces, pb_str_head(path.local, (size_t)plus));
	pb_buf_addc(ret_bounces, '@');
	pb_buf_addstr(ret_bounces, path.domain);
	pb_buf_reset(ret_recipient);
	pb_buf_addstr(ret_recipient, pb_buf_str(&recipient));
	return true;
}
