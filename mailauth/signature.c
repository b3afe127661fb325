/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signatures of DKIM and ARC: read, laid out for hashing, and tried with the key that the DNS has. */
#include "mailauth/signature.h"
#include <postbus/address.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum auth_result finding_set(struct finding *f, enum auth_result result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->reason, sizeof f->reason, fmt, ap);
	va_end(ap);
	for (char *c = f->reason; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '?';
	f->result = result;
	return result;
}

static bool wrong(struct finding *why, const char *what)
{
	finding_set(why, AUTH_PERMERROR, "%s", what);
	return false;
}

static bool read_algorithm(const struct tags *tags, struct signature *s, struct finding *why)
{
	struct pb_str a;

	if (!tags_find(tags, "a", &a))
		return wrong(why, "a= is missing");
	s->historic = pb_str_ieq(a, PB_STR("rsa-sha1"));
	if (pb_str_ieq(a, PB_STR("ed25519-sha256")))
		s->kind = KEY_ED25519;
	else if (pb_str_ieq(a, PB_STR("rsa-sha256")) || s->historic)
		s->kind = KEY_RSA;
	else
		return wrong(why, "a= is an algorithm that is not known");
	return true;
}

static bool read_base64(struct pb_arena *arena, struct pb_str value, struct pb_str *ret_text, struct pb_str *ret)
{
	PB_AUTOBUF(text);
	PB_AUTOBUF(bytes);

	tags_squeeze(&text, value);
	if (!text.len || pb_base64_decode(&bytes, pb_buf_str(&text)))
		return false;
	if (ret_text)
		*ret_text = pb_arena_str(arena, pb_buf_str(&text));
	*ret = pb_arena_str(arena, pb_buf_str(&bytes));
	return true;
}

static bool read_signer(struct pb_arena *arena, const struct tags *tags, struct signature *s, struct finding *why)
{
	struct pb_str d, name;
	PB_AUTOBUF(ascii);

	if (!tags_find(tags, "d", &d) || !tags_find(tags, "s", &name))
		return wrong(why, "d= or s= is missing");
	if (pb_domain_ascii(&ascii, d, NULL) || pb_domain_check(pb_buf_str(&ascii), 0, NULL))
		return wrong(why, "d= is no domain");
	s->domain = pb_arena_str(arena, pb_buf_str(&ascii));
	pb_buf_reset(&ascii);
	if (pb_domain_ascii(&ascii, name, NULL) || ascii.len + s->domain.len > 240)
		return wrong(why, "s= is no selector");
	s->selector = pb_arena_str(arena, pb_buf_str(&ascii));
	return true;
}

static bool read_number(const struct tags *tags, const char *name, uint64_t max, int64_t *ret)
{
	struct pb_str value;
	uint64_t n;

	*ret = -1;
	if (!tags_find(tags, name, &value))
		return true;
	if (pb_str_u64(value, max, &n))
		return false;
	*ret = (int64_t)n;
	return true;
}

static bool read_names(struct pb_arena *arena, const struct tags *tags, struct signature *s, struct finding *why)
{
	struct pb_str h, rest, one;
	PB_AUTOBUF(text);
	size_t n = 0;

	if (!tags_find(tags, "h", &h))
		return wrong(why, "h= is missing");
	tags_squeeze(&text, h);
	rest = pb_buf_str(&text);
	while (pb_str_cut(&rest, ':', &one))
		if (!one.len || ++n > SIGNED_NAMES_MAX)
			return wrong(why, one.len ? "h= names too many fields" : "h= is malformed");
	s->names = pb_arena_str(arena, pb_buf_str(&text));
	return true;
}

/* RFC 6376 3.5: what comes behind c=, l=, t= and x= may be left out. */
static bool read_rest(const struct tags *tags, struct signature *s, struct finding *why)
{
	struct pb_str value;
	int64_t length;

	if (!canon_parse(tags_find(tags, "c", &value) ? value : PB_NOSTR, &s->header, &s->body))
		return wrong(why, "c= is no canonicalization");
	if (!read_number(tags, "l", INT64_MAX, &length))
		return wrong(why, "l= is no length");
	s->has_length = length >= 0;
	s->length = s->has_length ? (uint64_t)length : UINT64_MAX;
	if (!read_number(tags, "t", 999999999999, &s->made) || !read_number(tags, "x", 999999999999, &s->expires))
		return wrong(why, "t= or x= is no time");
	if (s->made >= 0 && s->expires >= 0 && s->expires <= s->made)
		return wrong(why, "x= is not later than t=");
	if (tags_find(tags, "q", &value) && !tags_lists(value, "dns/txt") && !tags_lists(value, "dns"))
		return wrong(why, "q= has no way to the key that is known");
	return true;
}

bool signature_read(struct pb_arena *arena, const struct pb_field *field, const struct tags *tags, struct signature *ret, struct finding *why)
{
	struct signature s = { .field = field };
	struct pb_str b, bh;

	if (!read_algorithm(tags, &s, why) || !read_signer(arena, tags, &s, why) || !read_names(arena, tags, &s, why) || !read_rest(tags, &s, why))
		return false;
	if (!tags_find(tags, "b", &b) || !tags_find(tags, "bh", &bh))
		return wrong(why, "b= or bh= is missing");
	if (!read_base64(arena, b, &s.b_text, &s.b) || !read_base64(arena, bh, NULL, &s.bh))
		return wrong(why, "b= or bh= is no base64");
	*ret = s;
	return true;
}

/* ---- what is signed ---- */

static void put_own_field(const struct signature *s, struct pb_buf *out)
{
	PB_AUTOBUF(raw);
	long colon = pb_str_find(s->field->raw, ':', 0);

	pb_buf_add(&raw, s->field->raw.ptr, (size_t)colon + 1);
	tags_without_b(&raw, pb_str_skip(s->field->raw, (size_t)colon + 1));
	canon_field(s->header, pb_buf_str(&raw), out);
	out->len -= 2;		/* RFC 6376 3.7: without its line end */
}

void signature_data(const struct auth_message *msg, const struct signature *s, struct pb_buf *out)
{
	struct pb_str rest = s->names, name;
	bool *used = pb_alloc(msg->n + 1);

	while (pb_str_cut(&rest, ':', &name))
		for (size_t i = msg->n; i--;) {
			if (used[i] || &msg->fields[i] == s->field || !pb_str_ieq(msg->fields[i].name, name))
				continue;
			used[i] = true;
			canon_field(s->header, msg->fields[i].raw, out);
			break;
		}
	free(used);
	put_own_field(s, out);
}

const struct body_hash *body_hash_get(struct body_hashes *h, struct pb_str body, enum canon form, uint64_t limit)
{
	struct body_hash *one;

	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].form == form && h->list[i].limit == limit)
			return &h->list[i];
	one = &h->list[h->n < sizeof h->list / sizeof *h->list ? h->n++ : h->n - 1];
	one->form = form;
	one->limit = limit;
	canon_body_hash(form, body, limit, one->digest, &one->total);
	return one;
}

/* ---- the key ---- */

/* One record (RFC 6376 3.6.1). */
static bool record_read(struct pb_str record, enum key_kind kind, struct pb_buf *ret_der, struct key_use *use, struct finding *why)
{
	struct tags *tags = pb_alloc(sizeof *tags);
	struct pb_str v, p = PB_NOSTR;
	const char *fault = NULL;
	enum key_kind said = KEY_RSA;
	PB_AUTOBUF(text);

	if (tags_parse(record, tags, NULL) || (tags_find(tags, "v", &v) && (!pb_str_eq(v, PB_STR("DKIM1")) || !pb_str_eq(tags->list[0].name, PB_STR("v")))))
		fault = "what stands in the DNS is no key record";
	else if (tags_find(tags, "k", &v) && !key_kind_parse(v, &said))
		fault = "the key is of a kind that is not known";
	else if (said != kind)
		fault = "the key is of another kind than the signature";
	else if (tags_find(tags, "h", &v) && !tags_lists(v, "sha256"))
		fault = "the key is not for sha256";
	else if (tags_find(tags, "s", &v) && !tags_lists(v, "*") && !tags_lists(v, "email"))
		fault = "the key is not for mail";
	else if (!tags_find(tags, "p", &p))
		fault = "the key record has no key";
	else if (!p.len)
		fault = "the key was revoked";
	tags_squeeze(&text, p);
	if (!fault && pb_base64_decode(ret_der, pb_buf_str(&text)))
		fault = "the key is no base64";
	if (!fault && tags_find(tags, "t", &v)) {
		use->testing = tags_lists(v, "y");
		use->strict = tags_lists(v, "s");
	}
	free(tags);
	return fault ? wrong(why, fault) : true;
}

static enum auth_result try_record(struct pb_str record, enum key_kind kind, struct pb_str data, struct pb_str b, struct key_use *use, struct finding *why)
{
	struct public_key *key;
	struct pb_error err = { 0 };
	PB_AUTOBUF(der);
	bool right;

	if (!record_read(record, kind, &der, use, why))
		return why->result;
	if (public_key_read(kind, pb_buf_str(&der), &key, &err))
		return finding_set(why, AUTH_PERMERROR, "%s", err.text);
	use->bits = public_key_bits(key);
	right = (kind == KEY_ED25519 || (use->bits >= KEY_BITS_MIN && use->bits <= KEY_BITS_MAX)) && public_key_verify(key, data, b);
	public_key_free(key);
	if (kind == KEY_RSA && (use->bits < KEY_BITS_MIN || use->bits > KEY_BITS_MAX))
		return finding_set(why, AUTH_POLICY, "the key has %u bits; %d to %d are taken", use->bits, KEY_BITS_MIN, KEY_BITS_MAX);
	return right ? finding_set(why, AUTH_PASS, "%s", "") : finding_set(why, AUTH_FAIL, "the signature does not fit");
}

enum auth_result signature_try(struct pb_arena *arena, const struct auth_dns *dns, struct pb_str domain, struct pb_str selector, enum key_kind kind,
    struct pb_str data, struct pb_str b, struct key_use *ret_use, struct finding *why)
{
	struct pb_str name = pb_strz(pb_arena_printf(arena, "%.*s._domainkey.%.*s", PB_FMT(selector), PB_FMT(domain))), *records = NULL;
	size_t n = 0;
	int rc = dns->query(dns->arg, "TXT", name, arena, &records, &n);

	if (rc == PB_ENOTFOUND || (rc == 0 && !n))
		return finding_set(why, AUTH_PERMERROR, "there is no key %.*s", PB_FMT(name));
	if (rc)
		return finding_set(why, AUTH_TEMPERROR, "the DNS gives no answer about %.*s", PB_FMT(name));
	for (size_t i = 0; i < n && i < KEY_RECORDS_MAX; i++) {
		struct finding one = { 0 };
		struct key_use use = { 0 };

		try_record(records[i], kind, data, b, &use, &one);
		if (i && one.result != AUTH_PASS)
			continue;
		*why = one;
		*ret_use = use;
		if (one.result == AUTH_PASS)
			break;
	}
	return why->result;
}

/* ---- written ---- */

enum { COLUMN_MAX = 76 };

static void put_piece(struct pb_buf *out, size_t *column, struct pb_str piece, bool blank)
{
	if (*column + piece.len + blank > COLUMN_MAX && *column > 1) {
		pb_buf_addz(out, "\r\n\t");
		*column = 8;
		blank = false;
	}
	if (blank)
		pb_buf_addc(out, ' ');
	pb_buf_addstr(out, piece);
	*column += piece.len + blank;
}

/* A tag begins a new piece; a list is parted behind its colons, base64 where a line ends. */
void signature_fold(struct pb_buf *out, size_t *column, const char *tag, struct pb_str value, bool anywhere)
{
	PB_AUTOBUF(piece);
	struct pb_str rest = value, one;
	bool first = true;

	if (anywhere) {
		pb_buf_addf(&piece, "%s=", tag);
		put_piece(out, column, pb_buf_str(&piece), true);
		while (rest.len) {
			size_t room = *column < COLUMN_MAX ? COLUMN_MAX - *column : 0;

			if (room < 8) {
				pb_buf_addz(out, "\r\n\t");
				*column = 8;
				continue;
			}
			one = pb_str_head(rest, room);
			pb_buf_addstr(out, one);
			*column += one.len;
			rest = pb_str_skip(rest, one.len);
		}
		return;
	}
	while (pb_str_cut(&rest, ':', &one)) {
		pb_buf_reset(&piece);
		pb_buf_addf(&piece, "%s%s%.*s%s", first ? tag : "", first ? "=" : "", PB_FMT(one), rest.ptr ? ":" : ";");
		put_piece(out, column, pb_buf_str(&piece), first);
		first = false;
	}
}
