/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names in the form that is compared: addresses, domains, post offices.
 * What an address may look like on the wire is libpostbus's; what may be an address of ours is decided here.
 */
#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>
#include <postbus/address.h>
#include "directory.h"

static bool is_plain(unsigned char c)
{
	return pb_is_alnum(c) || c == '.' || c == '-' || c == '_' || c == '+';
}

/* Nearly every address: letters, digits and a few signs on both sides of one "@". Gives false for anything that needs a closer look. */
static bool parse_plain(struct name *n, struct pb_str text)
{
	long at = -1;

	if (!text.len || text.len > PB_ADDRESS_MAX)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c == '@' && at < 0)
			at = (long)i;
		else if (!is_plain(c) || (c == '.' && (i == 0 || text.ptr[i - 1] == '.' || text.ptr[i - 1] == '@' || i + 1 == text.len || text.ptr[i + 1] == '@')))
			return false;
		else if (at >= 0 && (c == '+' || c == '_' || (c == '-' && i > 1 && text.ptr[i - 1] == '-')))
			return false;	/* "xn--" and its like are libidn2's */
		n->room[i] = (char)pb_lower(c);
	}
	if (at <= 0 || at > PB_LOCAL_MAX || (size_t)at + 1 == text.len)
		return false;
	n->room[at] = '@';
	n->room[text.len] = 0;
	n->key = pb_str(n->room, text.len);
	n->local = pb_str(n->room, (size_t)at);
	n->domain = pb_str(n->room + at + 1, text.len - (size_t)at - 1);
	for (struct pb_str rest = n->domain, label; pb_str_cut(&rest, '.', &label);)
		if (label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return false;
	return true;
}

int name_parse(struct name *n, struct pb_str text, struct pb_error *err)
{
	PB_AUTOBUF(key);
	int rc;

	if (parse_plain(n, text))
		return 0;
	if (text.len > 4 * PB_ADDRESS_MAX)
		return pb_fail(err, PB_EINVALID, "an address of %zu octets is too long", text.len);
	rc = pb_address_parse(text, PB_PATH_UTF8, NULL, err);
	if (!rc)
		rc = pb_address_key(&key, text, err);
	if (rc)
		return rc == PB_ETOOBIG ? pb_fail(err, PB_EINVALID, "the address '%.*s' is too long", PB_FMT(pb_str_head(text, 80))) : rc;
	if (key.len >= sizeof n->room || memchr(key.ptr, 0, key.len))
		return pb_fail(err, PB_EINVALID, "the address '%.*s' is too long", PB_FMT(pb_str_head(text, 80)));
	memcpy(n->room, key.ptr, key.len + 1);
	n->key = pb_str(n->room, key.len);
	if (!pb_address_split(n->key, &n->local, &n->domain) || n->local.len > 256)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no address", PB_FMT(pb_str_head(text, 80)));
	return 0;
}

int name_domain(struct pb_buf *out, struct pb_str text, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	struct pb_str rest, label, last = PB_NOSTR;
	unsigned labels = 0;
	int rc = text.len > 4 * PB_DOMAIN_MAX ? pb_fail(err, PB_EINVALID, "too long") : pb_domain_check(text, PB_PATH_UTF8, err);
	bool digits = true;

	if (!rc)
		rc = pb_domain_ascii(&ascii, text, err);
	if (rc) {
		pb_because(err, "'%.*s' is no domain", PB_FMT(pb_str_head(text, 80)));
		return err ? (err->code = PB_EINVALID) : PB_EINVALID;
	}
	if (ascii.len > 253)
		return pb_fail(err, PB_EINVALID, "the domain '%.*s' is longer than 253 octets", PB_FMT(pb_str_head(text, 80)));
	for (rest = pb_buf_str(&ascii); pb_str_cut(&rest, '.', &label); labels++) {
		last = label;
		if (!label.len || label.len > 63)
			return pb_fail(err, PB_EINVALID, "a label of the domain '%.*s' is empty or longer than 63 octets", PB_FMT(pb_str_head(text, 80)));
		if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-' || memchr(label.ptr, '_', label.len))
			return pb_fail(err, PB_EINVALID, "the label '%.*s' of the domain '%.*s' may hold letters, digits and inner hyphens", PB_FMT(label),
				       PB_FMT(pb_str_head(text, 80)));
	}
	for (size_t i = 0; i < last.len; i++)
		digits = digits && pb_is_digit(last.ptr[i]);
	if (labels < 2 || digits)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no mail domain: it needs two labels, and the last one may not be a number", PB_FMT(pb_str_head(text, 80)));
	pb_buf_addstr(out, pb_buf_str(&ascii));
	return 0;
}

int name_parse_local(struct name *n, struct pb_str text, bool pattern, struct pb_error *err)
{
	PB_AUTOBUF(domain);
	int rc;

	if (pb_str_starts(text, PB_STR("*@"))) {
		if (!pattern)
			return pb_fail(err, PB_EINVALID, "'%.*s' is a pattern; an address is wanted here", PB_FMT(pb_str_head(text, 80)));
		rc = name_domain(&domain, pb_str_skip(text, 2), err);
		if (rc)
			return rc;
		n->room[0] = '*';
		n->room[1] = '@';
		memcpy(n->room + 2, domain.ptr, domain.len + 1);
		n->key = pb_str(n->room, domain.len + 2);
		n->local = pb_str(n->room, 1);
		n->domain = pb_str(n->room + 2, domain.len);
		return 0;
	}
	rc = name_parse(n, text, err);
	if (rc)
		return rc;
	if (n->local.ptr[0] == '"' || pb_str_find(n->local, '*', 0) >= 0)
		return pb_fail(err, PB_EINVALID, "'%.*s' has a local part that an address of ours cannot have", PB_FMT(pb_str_head(text, 80)));
	if (n->domain.len && n->domain.ptr[0] == '[')
		return pb_fail(err, PB_EINVALID, "'%.*s' has an address literal where a domain is wanted", PB_FMT(pb_str_head(text, 80)));
	return name_domain(&domain, n->domain, err);
}

int name_text(struct pb_buf *out, struct pb_str text, size_t max, const char *what, struct pb_error *err)
{
	size_t n = 0;
	uint8_t *nfc;

	if (text.len > max)
		return pb_fail(err, PB_EINVALID, "%s is longer than %zu bytes", what, max);
	if (!pb_utf8_valid(text))
		return pb_fail(err, PB_EINVALID, "%s is no UTF-8", what);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 127)
			return pb_fail(err, PB_EINVALID, "%s holds a control character", what);
	if (!text.len)
		return 0;
	nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)text.ptr, text.len, NULL, &n);
	if (!nfc)
		return pb_fail(err, PB_EINVALID, "%s cannot be normalised", what);
	pb_buf_add(out, nfc, n);
	free(nfc);
	return 0;
}

static bool office_char(ucs4_t c)
{
	return c == '-' || c == '_' || c == '.' || uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L | UC_CATEGORY_MASK_M | UC_CATEGORY_MASK_N);
}

int name_office(struct pb_buf *out, struct pb_str text, bool key, struct pb_error *err)
{
	PB_AUTOBUF(nfc);
	size_t n = 0;
	uint8_t *folded;
	int rc;

	if (!text.len)
		return pb_fail(err, PB_EINVALID, "a post office needs a name");
	rc = name_text(&nfc, text, 64, "the name of a post office", err);
	if (rc)
		return rc;
	for (const uint8_t *p = (const uint8_t *)nfc.ptr, *end = p + nfc.len; p < end;) {
		ucs4_t c;
		int used = u8_mbtouc(&c, p, (size_t)(end - p));

		if (used <= 0 || !office_char(c) || (c == '.' && p == (const uint8_t *)nfc.ptr))
			return pb_fail(err, PB_EINVALID, "'%.*s' cannot name a post office: letters, digits, '-', '_' and '.' can", PB_FMT(text));
		p += used;
	}
	if (!key) {
		pb_buf_addstr(out, pb_buf_str(&nfc));
		return 0;
	}
	folded = u8_casefold((const uint8_t *)nfc.ptr, nfc.len, NULL, UNINORM_NFC, NULL, &n);
	if (!folded || n > 128) {
		free(folded);
		return pb_fail(err, PB_EINVALID, "'%.*s' cannot name a post office", PB_FMT(text));
	}
	pb_buf_add(out, folded, n);
	free(folded);
	return 0;
}
