/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tests that look at the message and its envelope: header, address, exists, envelope, body (RFC 5228, 5233, 5260, 5703, 5173). */
#include <postbus/address.h>
#include "sieve/machine.h"

/* Which parts a test with :mime looks at. */
static void range(struct machine *m, const struct call *c, uint32_t *ret_first, uint32_t *ret_end)
{
	uint32_t part = c->slots[S_MIME].there ? machine_part(m) : 0;

	*ret_first = part;
	*ret_end = c->slots[S_ANYCHILD].there ? mail_part_end(m->mail, part) : part + 1;
}

/* ---- the aspects of a structured field (RFC 5703 4.1) ---- */

static bool give_parameters(struct matching *x, const struct call *c, struct pb_str raw)
{
	const struct list *names = &c->slots[S_PARAM].list;
	bool more = true;

	for (size_t i = 0; i < names->n && more; i++) {
		struct pb_str value;

		if (mail_param(x->m->mail, raw, names->items[i], &value))
			more = matching_value(x, value);
	}
	return more;
}

static bool give_aspect(struct matching *x, enum mime_how how, struct pb_str raw)
{
	struct pb_str main = pb_value_main(raw), rest = main, type = main;

	if (how == MIME_CONTENTTYPE)
		return matching_value(x, main);
	pb_str_cut(&rest, '/', &type);
	if (how == MIME_TYPE)
		return matching_value(x, pb_str_trim(type));
	return matching_value(x, rest.ptr ? pb_str_trim(rest) : PB_NOSTR);
}

static bool give_fields(struct matching *x, const struct call *c, uint32_t part, struct pb_str name)
{
	enum mime_how how = (enum mime_how)call_number(c, S_MIME_HOW, MIME_PLAIN);
	bool raw = how != MIME_PLAIN || c->slots[S_PARAM].there, more = true;
	struct pb_str *values;
	size_t n = fields_chosen(x, part, name, !raw, &values);

	for (size_t i = 0; i < n && more; i++)
		more = c->slots[S_PARAM].there ? give_parameters(x, c, values[i]) : raw ? give_aspect(x, how, values[i]) : matching_value(x, values[i]);
	return more;
}

/* A test whose values lie in the fields of the first list, part by part. */
static bool each_field(struct machine *m, const struct call *c, bool (*give)(struct matching *x, const struct call *c, uint32_t part, struct pb_str name), bool *ret)
{
	const struct list *names = &c->slots[S_1].list;
	struct matching x;
	uint32_t first, end;
	bool more = true;

	matching_begin(&x, m, c, S_2);
	range(m, c, &first, &end);
	for (uint32_t part = first; part < end && more; part++) {
		struct pb_str name;

		if (c->slots[S_INDEX].there)
			more = !field_indexed(&x, part, names, &name) || give(&x, c, part, name);
		else
			for (size_t i = 0; i < names->n && more; i++)
				more = give(&x, c, part, names->items[i]);
	}
	return matching_end(&x, ret);
}

bool test_header(struct machine *m, const struct call *c, bool *ret)
{
	return each_field(m, c, give_fields, ret);
}

bool test_any_header(struct machine *m, const struct call *c, bool *ret)
{
	struct matching x;
	bool more = true;

	matching_begin(&x, m, c, S_2);
	for (size_t i = 0; i < m->mail->nfields && more; i++)
		more = matching_value(&x, mail_decoded(m->mail, i));
	return matching_end(&x, ret);
}

bool test_exists(struct machine *m, const struct call *c, bool *ret)
{
	const struct list *names = &c->slots[S_1].list;
	uint32_t first, end;
	struct pb_str *values;

	range(m, c, &first, &end);
	*ret = true;
	for (size_t i = 0; i < names->n && *ret; i++) {
		bool found = false;

		for (uint32_t part = first; part < end && !found; part++)
			found = mail_values(m->mail, part, names->items[i], false, &values) > 0;
		machine_trace(m, c, "exists", names->items[i], found);
		*ret = found;
	}
	return true;
}

/* ---- addresses ---- */

/* What :detail asks for and is not there gives no value at all (RFC 5233 4). */
static bool give_part(struct matching *x, const struct call *c, const struct mail_address *a)
{
	enum address_part part = (enum address_part)call_number(c, S_PART, PART_ALL);
	long plus;

	if (part == PART_ALL)
		return matching_value(x, a->all);
	if (part == PART_DOMAIN)
		return matching_value(x, a->domain);
	plus = part == PART_LOCAL ? -1 : pb_str_find(a->local, '+', 0);
	if (part != PART_DETAIL)
		return matching_value(x, plus < 0 ? a->local : pb_str_head(a->local, (size_t)plus));
	return plus < 0 || matching_value(x, pb_str_skip(a->local, (size_t)plus + 1));
}

static bool give_addresses(struct matching *x, const struct call *c, const struct mail_address *list, size_t n)
{
	bool more = true;

	for (size_t i = 0; i < n && more; i++)
		if (list[i].domain.len || call_number(c, S_PART, PART_ALL) == PART_ALL)
			more = give_part(x, c, &list[i]);
	return more;
}

/* :index is about fields, each of which may have several. */
static bool give_indexed(struct matching *x, const struct call *c, uint32_t part, struct pb_str name)
{
	struct pb_str *values;
	const struct mail_address *list;
	size_t n;

	fields_chosen(x, part, name, false, &values);
	n = mail_addresses_of(x->m->mail, values[0], &list);
	return give_addresses(x, c, list, n);
}

static bool give_address_fields(struct matching *x, const struct call *c, uint32_t part, struct pb_str name)
{
	const struct mail_address *list;
	size_t n;

	if (c->slots[S_INDEX].there)
		return give_indexed(x, c, part, name);
	n = mail_addresses(x->m->mail, part, name, &list);
	return give_addresses(x, c, list, n);
}

bool test_address(struct machine *m, const struct call *c, bool *ret)
{
	return each_field(m, c, give_address_fields, ret);
}

/* An address as a client gave it: "<@a,@b:me@x>", with or without its brackets. */
static struct pb_str bare(struct pb_str s)
{
	long colon;

	s = pb_str_trim(s);
	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		s = pb_str(s.ptr + 1, s.len - 2);
	colon = s.len && s.ptr[0] == '@' ? pb_str_find(s, ':', 0) : -1;
	return colon < 0 ? s : pb_str_skip(s, (size_t)colon + 1);
}

/* What is no address has no parts. */
static const struct path *path_of(struct machine *m, struct pb_str text)
{
	struct path *p;

	for (p = m->paths; p; p = p->next)
		if (p->text.ptr == text.ptr && p->text.len == text.len)
			return p;
	p = pb_arena_alloc(m->arena, sizeof *p);
	*p = (struct path){ .next = m->paths, .text = text, .address = { .all = bare(text) } };
	p->is_address = p->address.all.len && !pb_address_parse(p->address.all, PB_PATH_UTF8, NULL, NULL) &&
			pb_address_split(p->address.all, &p->address.local, &p->address.domain);
	if (m->npaths < PATHS_MAX) {
		m->paths = p;
		m->npaths++;
	}
	return p;
}

/* The null path is an address that is empty: it matches "" as a whole, and no part of it is there. */
static bool give_path(struct matching *x, const struct call *c, struct pb_str text)
{
	const struct path *p = path_of(x->m, text);

	if (!p->address.all.len)
		return matching_value(x, p->address.all);
	if (!p->is_address)
		return call_number(c, S_PART, PART_ALL) != PART_ALL || matching_value(x, p->address.all);
	return give_part(x, c, &p->address);
}

static bool give_recipients(struct matching *x, const struct call *c, const struct sieve_message *msg)
{
	bool more = give_path(x, c, msg->to);

	for (size_t i = 0; i < msg->nmore_to && more; i++)
		more = give_path(x, c, msg->more_to[i]);
	return more;
}

bool test_envelope(struct machine *m, const struct call *c, bool *ret)
{
	const struct list *names = &c->slots[S_1].list;
	const struct sieve_message *msg = m->message;
	struct matching x;
	bool more = true;

	matching_begin(&x, m, c, S_2);
	for (size_t i = 0; i < names->n && more; i++) {
		if (pb_str_ieq(names->items[i], PB_STR("from")))
			more = give_path(&x, c, msg->from);
		else if (pb_str_ieq(names->items[i], PB_STR("to")) && msg->to.len)
			more = give_recipients(&x, c, msg);
		else if (pb_str_ieq(names->items[i], PB_STR("orig_to")) && msg->orig_to.len)
			more = give_path(&x, c, msg->orig_to);
		else if (pb_str_ieq(names->items[i], PB_STR("auth")) && msg->auth.len)
			more = matching_value(&x, msg->auth);
	}
	return matching_end(&x, ret);
}

/* ---- body (RFC 5173) ---- */

static unsigned slashes(struct pb_str type)
{
	unsigned n = 0;

	for (size_t i = 0; i < type.len; i++)
		n += type.ptr[i] == '/';
	return n;
}

/* "" any, "text" a whole type, "text/html" one; anything else, such as "text/" or "/html", names none. */
static bool type_wanted(struct mail *mail, uint32_t index, const struct list *types, const struct pb_part *p)
{
	struct pb_str type = p->type.len ? p->type : PB_STR("text"), subtype = p->type.len ? p->subtype : PB_STR("plain"), *given;
	bool broken = mail_values(mail, index, PB_STR("Content-Type"), false, &given) && slashes(pb_value_main(given[0])) != 1;

	for (size_t i = 0; i < types->n; i++) {
		struct pb_str rest = types->items[i], first;

		if (!rest.len)
			return true;
		if (broken)
			continue;
		pb_str_cut(&rest, '/', &first);
		if (!rest.ptr ? pb_str_ieq(first, type) : rest.len && pb_str_ieq(first, type) && pb_str_ieq(rest, subtype))
			return true;
	}
	return false;
}

/* Without the line "--boundary" at its end, or at its front. */
static struct pb_str before_delimiter(struct pb_str s)
{
	size_t at = s.len;

	while (at && s.ptr[at - 1] == '\n')
		at = at > 1 && s.ptr[at - 2] == '\r' ? at - 2 : at - 1;
	while (at && s.ptr[at - 1] != '\n')
		at--;
	return pb_str_head(s, at);
}

static struct pb_str after_delimiter(struct pb_str s)
{
	long dashes = pb_str_search(s, PB_STR("--"), 0), end = dashes < 0 ? -1 : pb_str_find(s, '\n', (size_t)dashes);

	return end < 0 ? PB_NOSTR : pb_str_skip(s, (size_t)end + 1);
}

/* Of a multipart what is in none of its parts; of a message its header; of a leaf its text. */
static bool give_content(struct matching *x, uint32_t index, const struct pb_part *p)
{
	struct mail *mail = x->m->mail;
	struct pb_str body = mail_part_body(mail, p);
	struct pb_part child;

	if (p->kind == PB_PART_MESSAGE)
		return matching_value(x, pb_str_head(body, pb_header_size(body)));
	if (p->kind == PB_PART_LEAF) {
		struct pb_str text = mail_part_text(mail, p);

		/* RFC 5173 5.3: what a reader sees of it. */
		return matching_value(x, !x->c->slots[S_TYPES].there && pb_str_ieq(p->subtype, PB_STR("html")) ? mail_html_text(mail, text) : text);
	}
	if (!mail_part(mail, index + 1, &child) || child.depth <= p->depth)
		return matching_value(x, body);
	if (!matching_value(x, before_delimiter(pb_str_head(body, child.header_off - p->body_off))))
		return false;
	mail_part(mail, mail_part_end(mail, index) - 1, &child);
	return matching_value(x, after_delimiter(pb_str_skip(body, child.body_off + child.body_len - p->body_off)));
}

bool test_body(struct machine *m, const struct call *c, bool *ret)
{
	static struct pb_str text[] = { { "text", 4 } };
	const struct list plain = { text, 1 };
	const struct list *types = c->slots[S_TYPES].there ? &c->slots[S_TYPES].list : &plain;
	struct matching x;
	struct pb_part p;
	bool more = true;

	matching_begin(&x, m, c, S_1);
	x.captures = false;		/* RFC 5173 6 */
	if (call_number(c, S_BODY, BODY_TEXT) == BODY_RAW) {
		matching_value(&x, pb_str_skip(m->message->bytes, m->mail->header.len));
		return matching_end(&x, ret);
	}
	for (uint32_t i = 0; i < m->mail->nparts && more; i++)
		if (mail_part(m->mail, i, &p) && !(p.top && i > 0 && p.kind != PB_PART_LEAF && p.kind != PB_PART_MULTIPART) && type_wanted(m->mail, i, types, &p))
			more = give_content(&x, i, &p);
	return matching_end(&x, ret);
}
