/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For whom a fetched message is. Of a mailbox that many share, only what a server wrote down of the envelope counts: To and Cc tell whom the author named, and
 * mail to lists would go in circles by them. What leads to nobody of this post office goes to the account's own mailbox, so nothing is lost and nothing gets out.
 */
#include <postbus/address.h>
#include <postbus/message.h>
#include "multidrop.h"
#include "popretr.h"

/* ---- what fields say ---- */

/* Over comments and folds; the word as it stands. */
static bool next_word(struct pb_str *rest, struct pb_str *ret)
{
	unsigned depth = 0;
	size_t i = 0, from;

	for (; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && !pb_is_blank(c) && c != '\r' && c != '\n')
			break;
	}
	for (from = i; i < rest->len && !pb_is_blank(rest->ptr[i]) && rest->ptr[i] != '\r' && rest->ptr[i] != '\n' && rest->ptr[i] != '('; i++)
		;
	*ret = pb_str(rest->ptr + from, i - from);
	*rest = pb_str_skip(*rest, i);
	return ret->len > 0;
}

struct pb_str drop_for(struct pb_str received)
{
	struct pb_str word;

	while (next_word(&received, &word)) {
		if (word.ptr[word.len - 1] == ';')	/* what follows is the date */
			return PB_NOSTR;
		if (!pb_str_ieq(word, PB_STR("for")))
			continue;
		if (!next_word(&received, &word))
			return PB_NOSTR;
		if (word.len && word.ptr[word.len - 1] == ';')
			word.len--;
		if (word.len > 2 && word.ptr[0] == '<' && word.ptr[word.len - 1] == '>')
			word = pb_str(word.ptr + 1, word.len - 2);
		return word;
	}
	return PB_NOSTR;
}

static bool visit_list(struct pb_str value, bool (*visit)(void *arg, struct pb_str address), void *arg)
{
	struct pb_addrs list = PB_ADDRS(value);
	struct pb_addr one;
	bool taken = false;

	for (unsigned n = 0; n < DROPS_MAX && pb_addrs_next(&list, &one); n++) {
		PB_AUTOBUF(address);

		if (one.kind != PB_ADDR_MAILBOX || !one.domain.len)
			continue;
		pb_buf_addf(&address, "%.*s@%.*s", PB_FMT(one.local), PB_FMT(one.domain));
		taken |= visit(arg, pb_buf_str(&address));
	}
	pb_addrs_free(&list);
	return taken;
}

bool drop_visit(struct pb_str header, struct pb_str name, bool (*visit)(void *arg, struct pb_str address), void *arg)
{
	bool is_received = pb_str_ieq(name, PB_STR("Received"));
	struct pb_field field;

	for (unsigned n = 0; n < 1000 && pb_header_next(&header, &field); n++) {
		struct pb_str to;

		if (!pb_str_ieq(field.name, name))
			continue;
		to = is_received ? drop_for(field.value) : PB_NOSTR;
		if (is_received ? to.len && visit(arg, to) : visit_list(field.value, visit, arg))
			return true;
	}
	return false;
}

/* ---- who they are here ---- */

struct drop {
	struct run *run;
	struct pb_envelope *env;
	struct pb_buf office;			/* of the account's mailbox */
	struct pb_error err;			/* the directory cannot be asked: nothing is guessed then */
};

static bool is_domain_of(const json_t *row, struct pb_str domain)
{
	const json_t *list = json_object_get(row, "domains"), *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (pb_domain_eq(pb_str(json_string_value(one), json_string_length(one)), domain))
			return true;
	return !json_array_size(list);
}

static bool is_there(const struct pb_envelope *env, struct pb_str address)
{
	for (size_t i = 0; i < env->nrcpts; i++)
		if (pb_str_ieq(env->rcpts[i]->address, address))
			return true;
	return false;
}

/* Some servers put the name of the shared mailbox before each address: "shared-bob@example.org". */
static struct pb_str without_prefix(const json_t *row, struct pb_str address)
{
	struct pb_str prefix = pb_text_of(row, "prefix");

	return prefix.len && pb_str_istarts(address, prefix) ? pb_str_skip(address, prefix.len) : address;
}

static bool take_address(void *arg, struct pb_str address)
{
	struct drop *d = arg;
	struct pb_str domain, local;
	json_t *params, *found = NULL;
	bool ours;
	int rc;

	address = without_prefix(d->run->row, address);
	if (d->err.code || pb_address_parse(address, PB_PATH_UTF8, NULL, NULL) || !pb_address_split(address, &local, &domain) || !is_domain_of(d->run->row, domain))
		return false;
	params = json_pack("{s:s%}", "address", address.ptr, address.len);
	rc = params ? pb_call(d->run->r->host, "directory.resolve", params, &found, &d->err) : PB_EINVALID;
	json_decref(params);
	if (!rc || rc == PB_ENOTFOUND || rc == PB_EDENIED || rc == PB_EINVALID)
		d->err.code = 0;
	ours = !rc && is_set(found, "local") && pb_str_eq(pb_text_of(found, "postoffice"), pb_buf_str(&d->office));
	json_decref(found);
	if (ours && !is_there(d->env, address))
		pb_envelope_rcpt(d->env, address);
	return ours;
}

static int office_of(struct drop *d, struct pb_error *err)
{
	struct pb_str to = pb_text_of(d->run->row, "mailbox");
	json_t *params = json_pack("{s:s%}", "address", to.ptr, to.len), *box = NULL;
	int rc = pb_call(d->run->r->host, "directory.mailbox", params, &box, err);

	json_decref(params);
	if (rc)
		return rc;
	pb_buf_addstr(&d->office, pb_text_of(box, "postoffice"));
	json_decref(box);
	return 0;
}

int recipients_of(struct run *run, struct pb_str header, struct pb_envelope *env, struct pb_error *err)
{
	struct drop d = { .run = run, .env = env };
	const json_t *names = json_object_get(run->row, "envelope"), *one;
	size_t i;
	int rc = 0;

	if (is_set(run->row, "multidrop")) {
		rc = office_of(&d, err);
		json_array_foreach(names, i, one)
			if (rc || d.err.code || drop_visit(header, pb_str(json_string_value(one), json_string_length(one)), take_address, &d))
				break;
		pb_buf_free(&d.office);
	}
	if (!rc && d.err.code) {
		*err = d.err;
		rc = pb_because(err, "asking for whom a message is");
	}
	if (!rc && !env->nrcpts)
		pb_envelope_rcpt(env, pb_text_of(run->row, "mailbox"));
	return rc;
}
