/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as SMTP has them: paths, parameters, xtext, and the forms that are kept and compared. Leaves header lists to addrlist.c, names to domain.c. */
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <postbus/address.h>

static inline bool is_atext(unsigned char c)
{
	return pb_is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) || c >= 128;
}

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((signed char)s.ptr[i] < 0)
			return false;
	return true;
}

/* ---- paths ---- */

/* p is at the quote; gives the length with both quotes, 0 when it is malformed. */
static size_t quoted_length(struct pb_str s)
{
	for (size_t i = 1; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"')
			return i + 1;
		if (c == '\\') {
			if (++i == s.len || (unsigned char)s.ptr[i] < ' ' || (unsigned char)s.ptr[i] > 126)
				return 0;
		} else if (c < ' ' || c == 127) {
			return 0;
		}
	}
	return 0;
}

/* Atoms with single dots between them. */
static size_t dots_length(struct pb_str s)
{
	size_t n = 0;

	while (n < s.len && (is_atext((unsigned char)s.ptr[n]) || (s.ptr[n] == '.' && n && s.ptr[n - 1] != '.')))
		n++;
	return n && s.ptr[n - 1] == '.' ? 0 : n;
}

static int local_parse(struct pb_str *s, struct pb_path *ret, struct pb_error *err)
{
	size_t n;

	ret->quoted = s->len && s->ptr[0] == '"';
	n = ret->quoted ? quoted_length(*s) : dots_length(*s);
	if (!n)
		return pb_fail(err, PB_EINVALID, "the local part of the address is malformed");
	if (n > PB_LOCAL_MAX)
		return pb_fail(err, PB_ETOOBIG, "the local part of the address is longer than %d octets", PB_LOCAL_MAX);
	ret->local = pb_str_head(*s, n);
	*s = pb_str_skip(*s, n);
	return 0;
}

static int domain_parse(struct pb_str domain, unsigned allow, struct pb_path *ret, struct pb_error *err)
{
	struct pb_str inside;

	ret->domain = domain;
	ret->literal = domain.len && domain.ptr[0] == '[';
	if (!ret->literal)
		return pb_domain_check(domain, allow, err);
	return pb_literal_parse(domain, &inside) ? pb_fail(err, PB_EINVALID, "the address literal is malformed") : 0;
}

int pb_address_parse(struct pb_str text, unsigned allow, struct pb_path *ret, struct pb_error *err)
{
	struct pb_path path = { .address = text };
	struct pb_str rest = text;
	int rc;

	if (!text.len)
		return pb_fail(err, PB_EINVALID, "the address is empty");
	if (text.len > PB_LOCAL_MAX + 1 + PB_DOMAIN_MAX)
		return pb_fail(err, PB_ETOOBIG, "the address is too long");
	path.utf8 = !is_ascii(text);
	if (path.utf8 && !(allow & PB_PATH_UTF8))
		return pb_fail(err, PB_EINVALID, "the address is not ASCII, and SMTPUTF8 was not asked for");
	if (path.utf8 && !pb_utf8_valid(text))
		return pb_fail(err, PB_EINVALID, "the address is not UTF-8");
	rc = local_parse(&rest, &path, err);
	if (rc)
		return rc;
	if (!rest.len && (allow & PB_PATH_POSTMASTER) && pb_str_ieq(path.local, PB_STR("postmaster"))) {
		if (ret)
			*ret = path;
		return 0;
	}
	if (!rest.len)
		return pb_fail(err, PB_EINVALID, "the address has no domain");
	if (rest.ptr[0] != '@')
		return pb_fail(err, PB_EINVALID, "the local part of the address is malformed");
	rc = domain_parse(pb_str_skip(rest, 1), allow, &path, err);
	if (rc)
		return rc;
	if (text.len > PB_ADDRESS_MAX)
		return pb_fail(err, PB_ETOOBIG, "the address is longer than %d octets", PB_ADDRESS_MAX);
	if (ret)
		*ret = path;
	return 0;
}

/* The ">" that ends the path: not one inside a quoted local part. */
static long path_end(struct pb_str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\\' && quoted)
			i++;
		else if (s.ptr[i] == '"')
			quoted = !quoted;
		else if (s.ptr[i] == '>' && !quoted)
			return (long)i;
	}
	return -1;
}

/* "@a.example,@b.example:bob@example.org": what stands before the colon is checked and ignored (RFC 5321 3.6.1, appendix C). */
static int route_skip(struct pb_str *s, unsigned allow, struct pb_error *err)
{
	struct pb_str routes, one;
	long colon;

	if (!s->len || s->ptr[0] != '@')
		return 0;
	colon = pb_str_find(*s, ':', 0);
	if (colon < 0)
		return pb_fail(err, PB_EINVALID, "the source route is malformed");
	routes = pb_str_head(*s, (size_t)colon);
	while (pb_str_cut(&routes, ',', &one))
		if (one.len < 2 || one.ptr[0] != '@' || pb_domain_check(pb_str_skip(one, 1), allow, NULL))
			return pb_fail(err, PB_EINVALID, "the source route is malformed");
	*s = pb_str_skip(*s, (size_t)colon + 1);
	return 0;
}

int pb_path_parse(struct pb_str *rest, unsigned allow, struct pb_path *ret, struct pb_error *err)
{
	struct pb_str s = *rest, path;
	struct pb_path parsed;
	long end;
	int rc;

	while (s.len && pb_is_blank(s.ptr[0]))
		s = pb_str_skip(s, 1);
	if (s.len && s.ptr[0] == '<') {
		s = pb_str_skip(s, 1);
		end = path_end(s);
		if (end < 0)
			return pb_fail(err, PB_EINVALID, "the path has no '>' at its end");
		path = pb_str_head(s, (size_t)end);
		s = pb_str_skip(s, (size_t)end + 1);
	} else {
		if (!(allow & PB_PATH_BARE) || !s.len)
			return pb_fail(err, PB_EINVALID, "a path is written between '<' and '>'");
		end = pb_str_find(s, ' ', 0);
		path = pb_str_head(s, end < 0 ? s.len : (size_t)end);
		s = pb_str_skip(s, path.len);
	}
	if (s.len && !pb_is_blank(s.ptr[0]))
		return pb_fail(err, PB_EINVALID, "something follows the path without a blank");
	if (!path.len && (allow & PB_PATH_NULL)) {
		*ret = (struct pb_path){ 0 };
		*rest = s;
		return 0;
	}
	rc = route_skip(&path, allow, err);
	if (!rc)
		rc = pb_address_parse(path, allow, &parsed, err);
	if (rc)
		return rc;
	*ret = parsed;
	*rest = s;
	return 0;
}

int pb_param_next(struct pb_str *rest, struct pb_str *ret_key, struct pb_str *ret_value, struct pb_error *err)
{
	struct pb_str s = *rest, word, value;
	size_t n = 0;

	if (!pb_str_word(&s, &word)) {
		*rest = s;
		return 0;
	}
	while (n < word.len && (pb_is_alnum((unsigned char)word.ptr[n]) || (n && word.ptr[n] == '-')))
		n++;
	if (!n || (n < word.len && (word.ptr[n] != '=' || n + 1 == word.len)))
		return pb_fail(err, PB_EINVALID, "a parameter is malformed: KEY=VALUE is expected");
	value = n < word.len ? pb_str_skip(word, n + 1) : PB_NOSTR;
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.ptr[i] <= ' ' || value.ptr[i] == '=' || value.ptr[i] == 127)
			return pb_fail(err, PB_EINVALID, "the value of parameter %.*s is malformed", PB_FMT(pb_str_head(word, n < 40 ? n : 40)));
	if (!pb_utf8_valid(value))
		return pb_fail(err, PB_EINVALID, "the value of a parameter is not UTF-8");
	*ret_key = pb_str_head(word, n);
	*ret_value = value;
	*rest = s;
	return 1;
}

/* ---- xtext ---- */

static int upper_hex(char c)
{
	return pb_is_digit(c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int pb_xtext_decode(struct pb_buf *out, struct pb_str in)
{
	size_t start = out->len;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (c == '+') {
			int high = i + 2 < in.len ? upper_hex(in.ptr[i + 1]) : -1;
			int low = high < 0 ? -1 : upper_hex(in.ptr[i + 2]);

			if (low < 0 || (high << 4 | low) < ' ' || (high << 4 | low) == 127)
				goto bad;
			c = (unsigned char)(high << 4 | low);
			i += 2;
		} else if (c <= ' ' || c == '=' || c == 127) {
			goto bad;
		}
		pb_buf_addc(out, (char)c);
	}
	if (pb_utf8_valid(pb_str_skip(pb_buf_str(out), start)))
		return 0;
bad:
	out->len = start;
	if (out->ptr)
		out->ptr[start] = '\0';
	return PB_EINVALID;
}

void pb_xtext_encode(struct pb_buf *out, struct pb_str in)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];

		if (c > ' ' && c < 127 && c != '+' && c != '=') {
			pb_buf_addc(out, (char)c);
		} else {
			pb_buf_addc(out, '+');
			pb_buf_addc(out, digits[c >> 4]);
			pb_buf_addc(out, digits[c & 15]);
		}
	}
}

/* ---- forms ---- */

bool pb_address_split(struct pb_str address, struct pb_str *ret_local, struct pb_str *ret_domain)
{
	size_t start = 0;
	const char *at;

	if (address.len && address.ptr[0] == '"') {	/* an "@" in quotes is not the one */
		start = quoted_length(address);
		if (start == address.len)
			return false;
	}
	at = start < address.len ? memrchr(address.ptr + start, '@', address.len - start) : NULL;
	if (!at)
		return false;
	*ret_local = pb_str_head(address, (size_t)(at - address.ptr));
	*ret_domain = pb_str_skip(address, (size_t)(at - address.ptr) + 1);
	return true;
}

/* The local part with quotes only where it needs them. */
static void put_local(struct pb_buf *out, struct pb_str local)
{
	PB_AUTOBUF(plain);

	if (local.len < 2 || local.ptr[0] != '"') {
		pb_buf_addstr(out, local);
		return;
	}
	for (size_t i = 1; i + 1 < local.len; i++) {
		if (local.ptr[i] == '\\' && i + 2 < local.len)
			i++;
		pb_buf_addc(&plain, local.ptr[i]);
	}
	if (plain.len && dots_length(pb_buf_str(&plain)) == plain.len) {
		pb_buf_addstr(out, pb_buf_str(&plain));
		return;
	}
	pb_buf_addc(out, '"');
	for (size_t i = 0; i < plain.len; i++) {
		if (plain.ptr[i] == '"' || plain.ptr[i] == '\\')
			pb_buf_addc(out, '\\');
		pb_buf_addc(out, plain.ptr[i]);
	}
	pb_buf_addc(out, '"');
}

static void put_lower(struct pb_buf *out, struct pb_str s)
{
	pb_buf_reserve(out, s.len);
	for (size_t i = 0; i < s.len; i++)
		pb_buf_addc(out, (char)pb_lower((unsigned char)s.ptr[i]));
}

/* The same address is written in one way: [IPv6:2001:db8::1]. */
static void put_literal(struct pb_buf *out, struct pb_str literal)
{
	struct pb_str address;

	if (pb_literal_parse(literal, &address) || pb_str_find(address, ':', 0) < 0) {
		pb_buf_addstr(out, literal);
		return;
	}
	pb_buf_addz(out, "[IPv6:");
	put_lower(out, address);
	pb_buf_addc(out, ']');
}

int pb_address_normal(struct pb_buf *out, struct pb_str address, struct pb_error *err)
{
	struct pb_path path;
	int rc = pb_address_parse(address, PB_PATH_UTF8 | PB_PATH_POSTMASTER, &path, err);

	if (rc)
		return rc;
	put_local(out, path.local);
	if (!path.domain.len)
		return 0;
	pb_buf_addc(out, '@');
	if (path.literal)
		put_literal(out, path.domain);
	else if (is_ascii(path.domain))
		put_lower(out, path.domain);
	else
		return pb_domain_unicode(out, path.domain, err);
	return 0;
}

static void put_folded(struct pb_buf *out, struct pb_str s)
{
	size_t len = 0;
	uint8_t *folded;

	if (is_ascii(s)) {
		put_lower(out, s);
		return;
	}
	folded = u8_casefold((const uint8_t *)s.ptr, s.len, NULL, UNINORM_NFC, NULL, &len);
	if (folded)
		pb_buf_add(out, folded, len);
	else
		pb_buf_addstr(out, s);
	free(folded);
}

int pb_address_key(struct pb_buf *out, struct pb_str address, struct pb_error *err)
{
	PB_AUTOBUF(local);
	struct pb_path path;
	size_t start = out->len;
	int rc = pb_address_parse(address, PB_PATH_UTF8 | PB_PATH_POSTMASTER, &path, err);

	if (rc)
		return rc;
	put_local(&local, path.local);
	put_folded(out, pb_buf_str(&local));
	if (!path.domain.len)
		return 0;
	pb_buf_addc(out, '@');
	if (path.literal)
		put_literal(out, path.domain);
	else
		rc = pb_domain_ascii(out, path.domain, err);
	if (rc)
		out->len = start;
	return rc;
}
