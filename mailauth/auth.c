/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words of results, and a message taken apart once for all who check it. */
#include "mailauth/auth.h"
#include <postbus/address.h>

static const char *const names[] = { "none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror" };

const char *auth_result_name(enum auth_result r)
{
	return names[r];
}

bool auth_result_parse(struct pb_str word, enum auth_result *ret)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pb_str_ieq(word, pb_strz(names[i]))) {
			*ret = (enum auth_result)i;
			return true;
		}
	return false;
}

static int add_fields(struct auth_message *m, struct pb_str header, struct pb_error *err)
{
	struct pb_field field;

	while (pb_header_next(&header, &field)) {
		if (m->n == AUTH_FIELDS_MAX)
			return pb_fail(err, PB_ETOOBIG, "the header has more than %d fields", AUTH_FIELDS_MAX);
		m->fields[m->n++] = field;
	}
	return 0;
}

int auth_message_read(struct pb_arena *arena, struct pb_str front, struct pb_str bytes, struct auth_message *ret, struct pb_error *err)
{
	size_t head = pb_header_size(bytes);
	struct auth_message m = { 0 };
	int rc;

	if (front.len > AUTH_HEADER_MAX || head > AUTH_HEADER_MAX)
		return pb_fail(err, PB_ETOOBIG, "the header has more than %d octets", AUTH_HEADER_MAX);
	m.fields = pb_arena_alloc(arena, AUTH_FIELDS_MAX * sizeof *m.fields);
	rc = add_fields(&m, front, err);
	if (!rc)
		rc = add_fields(&m, pb_str_head(bytes, head), err);
	if (rc)
		return rc;
	m.body = pb_str_skip(bytes, head);
	*ret = m;
	return 0;
}

bool auth_is_within(struct pb_str name, struct pb_str domain)
{
	if (pb_str_ieq(name, domain))
		return true;
	return domain.len && name.len > domain.len + 1 && name.ptr[name.len - domain.len - 1] == '.' && pb_str_iends(name, domain);
}

/* The domain of each author; false: there are different ones, or one without a domain. */
static bool one_domain(struct pb_str value, struct pb_buf *out)
{
	struct pb_addrs list = PB_ADDRS(value);
	struct pb_addr a;
	bool fine = true;

	while (fine && pb_addrs_next(&list, &a)) {
		PB_AUTOBUF(ascii);

		if (a.kind != PB_ADDR_MAILBOX)
			continue;
		fine = a.domain.len && !pb_domain_ascii(&ascii, a.domain, NULL);
		if (fine && !out->len)
			pb_buf_addstr(out, pb_buf_str(&ascii));
		fine = fine && pb_str_eq(pb_buf_str(out), pb_buf_str(&ascii));
	}
	pb_addrs_free(&list);
	return fine && out->len;
}

bool auth_from_domain(struct pb_arena *arena, const struct auth_message *msg, struct pb_str *ret)
{
	const struct pb_field *from = NULL;
	PB_AUTOBUF(domain);

	for (size_t i = 0; i < msg->n; i++) {
		if (!pb_str_ieq(msg->fields[i].name, PB_STR("From")))
			continue;
		if (from)
			return false;
		from = &msg->fields[i];
	}
	if (!from || from->value.len > 65536 || !one_domain(from->value, &domain))
		return false;
	*ret = pb_arena_str(arena, pb_buf_str(&domain));
	return true;
}
