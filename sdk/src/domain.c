/* SPDX-License-Identifier: Apache-2.0 */
/* Domain names: syntax, A-labels and U-labels (RFC 5890, through libidn2), address literals. Leaves looking them up to agent_dns. */
#include <arpa/inet.h>
#include <idn2.h>
#include <postbus/address.h>

enum { NAME_MAX_BYTES = 253, LABEL_MAX = 63 };

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((signed char)s.ptr[i] < 0)
			return false;
	return true;
}

static int check_ascii(struct pb_str domain, struct pb_error *err)
{
	struct pb_str rest = domain, label;

	if (!domain.len)
		return pb_fail(err, PB_EINVALID, "the domain is empty");
	if (domain.len > NAME_MAX_BYTES)
		return pb_fail(err, PB_ETOOBIG, "the domain is longer than %d octets", NAME_MAX_BYTES);
	while (pb_str_cut(&rest, '.', &label)) {
		if (!label.len)
			return pb_fail(err, PB_EINVALID, "the domain has an empty label");
		if (label.len > LABEL_MAX)
			return pb_fail(err, PB_ETOOBIG, "a label of the domain is longer than %d octets", LABEL_MAX);
		if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return pb_fail(err, PB_EINVALID, "a label of the domain begins or ends with '-'");
		for (size_t i = 0; i < label.len; i++)
			if (!pb_is_alnum((unsigned char)label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
				return pb_fail(err, PB_EINVALID, "the domain contains what no domain may contain");
	}
	return 0;
}

/* U-labels to A-labels, as a NUL-terminated string from libidn2 in *ret. */
static int to_ascii(struct pb_str domain, char **ret, struct pb_error *err)
{
	char z[4 * PB_DOMAIN_MAX + 1];
	int rc;

	if (domain.len >= sizeof z)
		return pb_fail(err, PB_ETOOBIG, "the domain is too long");
	if (pb_str_find(domain, '\0', 0) >= 0 || !pb_utf8_valid(domain))
		return pb_fail(err, PB_EINVALID, "the domain is not UTF-8");
	memcpy(z, domain.ptr, domain.len);
	z[domain.len] = '\0';
	rc = idn2_to_ascii_8z(z, ret, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (rc != IDN2_OK)
		return pb_fail(err, PB_EINVALID, "the domain is no internationalized name: %s", idn2_strerror(rc));
	return 0;
}

int pb_domain_check(struct pb_str domain, unsigned allow, struct pb_error *err)
{
	PB_AUTOBUF(ascii);

	if (is_ascii(domain))
		return check_ascii(domain, err);
	if (!(allow & PB_PATH_UTF8))
		return pb_fail(err, PB_EINVALID, "the domain is not ASCII, and SMTPUTF8 was not asked for");
	if (domain.len > PB_DOMAIN_MAX)
		return pb_fail(err, PB_ETOOBIG, "the domain is longer than %d octets", PB_DOMAIN_MAX);
	if (domain.ptr[domain.len - 1] == '.')
		return pb_fail(err, PB_EINVALID, "the domain has an empty label");
	return pb_domain_ascii(&ascii, domain, err);
}

int pb_domain_ascii(struct pb_buf *out, struct pb_str domain, struct pb_error *err)
{
	char *z;
	int rc;

	if (domain.len > 1 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	if (is_ascii(domain)) {
		rc = check_ascii(domain, err);
		if (rc)
			return rc;
		pb_buf_reserve(out, domain.len);
		for (size_t i = 0; i < domain.len; i++)
			pb_buf_addc(out, (char)pb_lower((unsigned char)domain.ptr[i]));
		return 0;
	}
	rc = to_ascii(domain, &z, err);
	if (rc)
		return rc;
	rc = check_ascii(pb_strz(z), err);
	if (!rc)
		pb_buf_addz(out, z);
	idn2_free(z);
	return rc;
}

int pb_domain_unicode(struct pb_buf *out, struct pb_str domain, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	char *z = NULL;
	int rc = pb_domain_ascii(&ascii, domain, err);

	if (rc)
		return rc;
	if (pb_str_search(pb_buf_str(&ascii), PB_STR("xn--"), 0) < 0 || idn2_to_unicode_8z8z(pb_buf_z(&ascii), &z, 0) != IDN2_OK) {
		pb_buf_addstr(out, pb_buf_str(&ascii));	/* nothing to turn, or labels that only look like A-labels: people may see them as they are */
		return 0;
	}
	pb_buf_addz(out, z);
	idn2_free(z);
	return 0;
}

bool pb_domain_eq(struct pb_str a, struct pb_str b)
{
	PB_AUTOBUF(one);
	PB_AUTOBUF(two);

	if (pb_str_ieq(a, b))
		return true;
	return !pb_domain_ascii(&one, a, NULL) && !pb_domain_ascii(&two, b, NULL) && pb_str_eq(pb_buf_str(&one), pb_buf_str(&two));
}

int pb_literal_parse(struct pb_str literal, struct pb_str *ret_address)
{
	unsigned char address[16];
	struct pb_str inside;
	char z[INET6_ADDRSTRLEN];
	bool six;

	if (literal.len < 3 || literal.ptr[0] != '[' || literal.ptr[literal.len - 1] != ']')
		return PB_EINVALID;
	inside = pb_str(literal.ptr + 1, literal.len - 2);
	six = pb_str_istarts(inside, PB_STR("IPv6:"));
	if (six)
		inside = pb_str_skip(inside, 5);
	if (inside.len >= sizeof z || pb_str_find(inside, '\0', 0) >= 0)
		return PB_EINVALID;
	memcpy(z, inside.ptr, inside.len);
	z[inside.len] = '\0';
	if (inet_pton(six ? AF_INET6 : AF_INET, z, address) != 1)
		return PB_EINVALID;
	*ret_address = inside;
	return 0;
}
