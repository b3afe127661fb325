/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A record of SPF read whole before any of it is evaluated, as RFC 7208 4.6 wants it. */
#include "mailauth/spf.h"
#include <arpa/inet.h>

static const struct { const char *name; enum spf_kind kind; } mechanisms[] = {
	{ "all", SPF_ALL },
	{ "include", SPF_INCLUDE },
	{ "a", SPF_A },
	{ "mx", SPF_MX },
	{ "ptr", SPF_PTR },
	{ "ip4", SPF_IP4 },
	{ "ip6", SPF_IP6 },
	{ "exists", SPF_EXISTS },
};

bool spf_is_record(struct pb_str text)
{
	return pb_str_istarts(text, PB_STR("v=spf1")) && (text.len == 6 || text.ptr[6] == ' ');
}

static int wrong(struct pb_str term, struct pb_error *err)
{
	return pb_fail(err, PB_EINVALID, "'%.*s' is malformed", PB_FMT(pb_str_head(term, 80)));
}

/* ---- domain-spec ---- */

/* RFC 7208 7.1, toplabel: letters, digits, hyphens inside, not digits alone. */
static bool is_toplabel(struct pb_str s)
{
	bool letter = false;

	if (!s.len || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!pb_is_alnum((unsigned char)s.ptr[i]) && s.ptr[i] != '-')
			return false;
		letter |= !pb_is_digit((unsigned char)s.ptr[i]);
	}
	return letter;
}

/* Where the last macro ends; what is behind it is text. */
static size_t macros_end(struct pb_str s)
{
	size_t end = 0;

	for (size_t i = 0; i + 1 < s.len; i++) {
		if (s.ptr[i] != '%')
			continue;
		if (s.ptr[i + 1] == '{')
			while (i < s.len && s.ptr[i] != '}')
				i++;
		else
			i++;
		end = i + 1;
	}
	return end;
}

static bool is_domain_spec(struct pb_str s)
{
	struct pb_str tail;
	size_t dot;

	if (!s.len || !spf_macro_valid(s, false))
		return false;
	tail = pb_str_skip(s, macros_end(s));
	if (!tail.len)
		return true;		/* macro-expand, "%%" and its like included */
	if (tail.ptr[tail.len - 1] == '.')
		tail.len--;
	for (dot = tail.len; dot && tail.ptr[dot - 1] != '.'; dot--)
		;
	return dot && is_toplabel(pb_str_skip(tail, dot));
}

/* ---- prefix lengths ---- */

static bool prefix(struct pb_str digits, unsigned most, unsigned *ret)
{
	uint64_t n;

	if ((digits.len > 1 && digits.ptr[0] == '0') || pb_str_u64(digits, most, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

/* Cuts "/24", "//64" or both from the end of *spec. False: what stands there is none of them. */
static bool cut_prefixes(struct pb_str *spec, struct spf_term *t)
{
	size_t at = spec->len;

	while (at && pb_is_digit((unsigned char)spec->ptr[at - 1]))
		at--;
	if (at > 1 && spec->ptr[at - 1] == '/' && spec->ptr[at - 2] == '/') {
		if (!prefix(pb_str_skip(*spec, at), 128, &t->bits6))
			return false;
		spec->len = at - 2;
		for (at = spec->len; at && pb_is_digit((unsigned char)spec->ptr[at - 1]); at--)
			;
	}
	if (at && spec->ptr[at - 1] == '/') {
		if (!prefix(pb_str_skip(*spec, at), 32, &t->bits4))
			return false;
		spec->len = at - 1;
	}
	return true;
}

/* ---- terms ---- */

static bool read_network(struct pb_str text, struct spf_term *t)
{
	bool ip6 = t->kind == SPF_IP6;
	struct pb_str address, length = text;
	char z[INET6_ADDRSTRLEN];

	pb_str_cut(&length, '/', &address);
	if (length.ptr && !prefix(length, ip6 ? 128 : 32, ip6 ? &t->bits6 : &t->bits4))
		return false;
	if (!address.len || address.len >= sizeof z)
		return false;
	memcpy(z, address.ptr, address.len);
	z[address.len] = '\0';
	return inet_pton(ip6 ? AF_INET6 : AF_INET, z, t->network) == 1;
}

/* argument.ptr NULL: there is no ":". */
static bool read_argument(struct pb_str name_and_more, struct pb_str argument, struct spf_term *t)
{
	bool has = argument.ptr != NULL;
	struct pb_str spec = has ? argument : name_and_more;

	t->bits4 = 32;
	t->bits6 = 128;
	switch (t->kind) {
	case SPF_ALL:
		return !has && !name_and_more.len;
	case SPF_IP4:
	case SPF_IP6:
		return has && !name_and_more.len && read_network(argument, t);
	case SPF_A:
	case SPF_MX:
		if ((has && name_and_more.len) || !cut_prefixes(&spec, t) || (!has && spec.len))
			return false;
		t->domain = spec;
		return !has || is_domain_spec(spec);
	case SPF_INCLUDE:
	case SPF_EXISTS:
		t->domain = spec;
		return has && !name_and_more.len && is_domain_spec(spec);
	case SPF_PTR:
		t->domain = spec;
		return !name_and_more.len && (!has || is_domain_spec(spec));
	}
	return false;
}

static int read_mechanism(struct spf_record *r, struct pb_str text, struct pb_error *err)
{
	struct spf_term t = { .qualifier = '+', .text = text };
	struct pb_str body = text, argument = PB_NOSTR;
	size_t len = 0;

	if (body.len && strchr("+-?~", body.ptr[0])) {
		t.qualifier = body.ptr[0];
		body = pb_str_skip(body, 1);
	}
	while (len < body.len && body.ptr[len] != ':' && body.ptr[len] != '/')
		len++;
	if (len < body.len && body.ptr[len] == ':')
		argument = pb_str(body.ptr + len + 1, body.len - len - 1);
	for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++) {
		if (!pb_str_ieq(pb_str_head(body, len), pb_strz(mechanisms[i].name)))
			continue;
		t.kind = mechanisms[i].kind;
		if (!read_argument(argument.ptr ? PB_NOSTR : pb_str_skip(body, len), argument, &t))
			return wrong(text, err);
		if (r->n == SPF_TERMS_MAX)
			return pb_fail(err, PB_EINVALID, "the record has more than %d mechanisms", SPF_TERMS_MAX);
		r->terms[r->n++] = t;
		return 0;
	}
	return pb_fail(err, PB_EINVALID, "'%.*s' is no mechanism", PB_FMT(pb_str_head(text, 80)));
}

static bool is_name(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!pb_is_alnum((unsigned char)s.ptr[i]) && !(i && strchr("-_.", s.ptr[i])))
			return false;
	return s.len && pb_is_alpha((unsigned char)s.ptr[0]);
}

/* 1: it is a modifier; 0: it is none. */
static int read_modifier(struct spf_record *r, struct pb_str text, struct pb_error *err)
{
	struct pb_str value = text, name, *place;

	if (!pb_str_cut(&value, '=', &name) || !value.ptr || !is_name(name))
		return 0;
	place = pb_str_ieq(name, PB_STR("redirect")) ? &r->redirect : pb_str_ieq(name, PB_STR("exp")) ? &r->explanation : NULL;
	if (!place)
		return spf_macro_valid(value, false) ? 1 : wrong(text, err);
	if (place->ptr)
		return pb_fail(err, PB_EINVALID, "%.*s= stands there twice", PB_FMT(name));
	if (!is_domain_spec(value))
		return wrong(text, err);
	*place = value;
	return 1;
}

int spf_record_read(struct pb_str text, struct spf_record *ret, struct pb_error *err)
{
	struct pb_str rest = pb_str_skip(text, 6), term;

	ret->n = 0;
	ret->redirect = ret->explanation = PB_NOSTR;
	if (text.len > SPF_RECORD_MAX)
		return pb_fail(err, PB_EINVALID, "the record has more than %d octets", SPF_RECORD_MAX);
	while (pb_str_cut(&rest, ' ', &term)) {
		int rc;

		if (!term.len)
			continue;
		rc = read_modifier(ret, term, err);
		if (rc == 0)
			rc = read_mechanism(ret, term, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}
