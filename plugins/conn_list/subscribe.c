/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who comes and goes by mail. Each request is a row in the table of what waits, under a token of its message: done at once where the list allows it, else when the
 * token comes back. So a request that was cut off in the middle is finished, not begun again.
 */
#include <stdio.h>
#include <postbus/address.h>
#include "serve.h"

bool delivery_parse(struct pb_str word, const char **ret)
{
	static const char *const words[][2] = { { "digest", "mime" }, { "nomail", "none" } };

	for (size_t i = 0; i < 2; i++)
		if (pb_str_ieq(word, pb_strz(words[i][0]))) {
			*ret = words[i][1];
			return true;
		}
	for (int i = 0; i < DELIVERIES; i++)
		if (pb_str_ieq(word, pb_strz(delivery_names[i]))) {
			*ret = delivery_names[i];
			return true;
		}
	return false;
}

/* The login that sent it is the author's, or his domain's DMARC policy was met (RFC 7489): then From is no invention. */
bool asking_is_proven(const struct post *p)
{
	const struct pb_envelope *env = pb_item_envelope(p->item);
	PB_AUTOBUF(user);
	PB_AUTOBUF(from);

	if (pb_str_eq(pb_text_of(env->notes, "dmarc"), PB_STR("pass")))
		return true;
	return env->user.len && !pb_address_key(&user, env->user, NULL) && !pb_address_key(&from, pb_buf_str(&p->from), NULL) && pb_str_eq(pb_buf_str(&user), pb_buf_str(&from));
}

static enum delivery delivery_of(const struct list *l, struct pb_str word)
{
	for (int i = 0; i < DELIVERIES; i++)
		if (pb_str_eq(word.len ? word : setting_text(l->settings, "default_delivery"), pb_strz(delivery_names[i])))
			return (enum delivery)i;
	return DELIVERY_EACH;
}

/* ---- done ---- */

static int welcome(struct lists *all, const struct list *l, struct pb_item *item, const json_t *row, struct pb_str name, struct pb_error *err)
{
	struct pb_str more = setting_text(l->settings, "welcome_text");
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	if (!setting_flag(l->settings, "welcome"))
		return 0;
	pb_buf_addf(&subject, "Welcome to %.*s", PB_FMT(list_title(l)));
	pb_buf_addf(&text, "You are a member of the mailing list %.*s now, as %.*s.\n\n", PB_FMT(l->address), PB_FMT(pb_text_of(row, "address")));
	if (more.len)
		pb_buf_addf(&text, "%.*s\n\n", PB_FMT(more));
	if (!setting_flag(l->settings, "announce"))
		pb_buf_addf(&text, "To write to all:    %.*s\n", PB_FMT(l->address));
	pb_buf_addz(&text, "To leave:           ");
	list_door(&text, l, "unsubscribe");
	pb_buf_addz(&text, "\nFor other requests: ");
	list_door(&text, l, "request");
	pb_buf_addz(&text, "  (\"help\" in the subject or the text)\nWho runs the list:  ");
	list_door(&text, l, "owner");
	pb_buf_addz(&text, "\n");
	return letter_send(all, l, item, &(struct note_letter){ .to = pb_text_of(row, "address"), .to_name = pb_text_of(row, "name"), .door = "request",
								.subject = pb_buf_str(&subject), .text = pb_buf_str(&text), .name = name, .bounces = true }, err);
}

static int tell_owners(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, const char *what, struct pb_str name, struct pb_error *err)
{
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	if (!setting_flag(l->settings, "tell_owners"))
		return 0;
	pb_buf_addf(&subject, "%.*s %s %.*s", PB_FMT(address), what, PB_FMT(l->local));
	pb_buf_addf(&text, "%.*s %s the mailing list %.*s.\n", PB_FMT(address), what, PB_FMT(l->address));
	return letter_to_owners(all, l, item, pb_buf_str(&subject), pb_buf_str(&text), name, err);
}

int member_joins(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str name, struct pb_str delivery, struct pb_str letter_name,
		 struct pb_error *err)
{
	json_t *row;
	struct arrivals come = { 0 };
	int rc = member_new(all, address, name, delivery_of(l, delivery), &row, err);

	if (rc)
		return rc;
	if (setting_flag(l->settings, "moderate_new"))
		json_object_set_new(row, "moderated", json_true());
	rc = members_add(all, l, &row, 1, &come, err);
	if (!rc)
		rc = welcome(all, l, item, row, letter_name, err);
	if (!rc)
		rc = tell_owners(all, l, item, address, "joined", letter_name, err);
	if (!rc)
		pb_log(all->host, PB_INFO, "list.joined", "list=%.*s member=%s", PB_FMT(l->address), pb_logq(address));
	json_decref(row);
	return rc;
}

int member_leaves(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str address, struct pb_str letter_name, struct pb_error *err)
{
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	int rc;

	pthread_mutex_lock(&all->writing);
	rc = member_remove(all, l, address, err);
	pthread_mutex_unlock(&all->writing);
	if (rc && rc != PB_ENOTFOUND)	/* not there: it was done already, and perhaps cut off before the letters */
		return rc;
	rc = 0;
	pb_log(all->host, PB_INFO, "list.left", "list=%.*s member=%s", PB_FMT(l->address), pb_logq(address));
	pb_buf_addf(&subject, "You have left %.*s", PB_FMT(list_title(l)));
	pb_buf_addf(&text, "%.*s is no member of the mailing list %.*s any more.\n\nTo come back: ", PB_FMT(address), PB_FMT(l->address));
	list_door(&text, l, "subscribe");
	pb_buf_addz(&text, "\n");
	if (setting_flag(l->settings, "goodbye"))
		rc = letter_send(all, l, item,
				 &(struct note_letter){ .to = address, .door = "request", .subject = pb_buf_str(&subject), .text = pb_buf_str(&text), .name = letter_name }, err);
	return rc ? rc : tell_owners(all, l, item, address, "left", letter_name, err);
}

static int change_member(struct asking *a, const json_t *row, struct pb_error *err)
{
	struct post *p = a->p;
	json_t *member, *value;
	const char *key;
	int rc;

	pthread_mutex_lock(&p->all->writing);
	rc = member_get(p->all, p->list, pb_text_of(row, "address"), &member, err);
	if (!rc) {
		json_object_foreach (json_object_get(row, "change"), key, value)
			if (json_is_null(value))
				json_object_del(member, key);
			else
				json_object_set(member, key, value);
		rc = member_put(p->all, p->list, member, err);
		json_decref(member);
	}
	pthread_mutex_unlock(&p->all->writing);
	if (rc == PB_ENOTFOUND) {
		pb_buf_addf(a->said, "%.*s is no member.\n", PB_FMT(pb_text_of(row, "address")));
		return 0;
	}
	if (!rc)
		pb_buf_addf(a->said, "%.*s: %.*s\n", PB_FMT(pb_text_of(row, "address")), PB_FMT(pb_text_of(row, "words")));
	return rc;
}

static int carry_out(struct asking *a, struct pb_str token, json_t *row, struct pb_error *err)
{
	struct pb_str what = pb_text_of(row, "what"), address = pb_text_of(row, "address"), by = pb_strz(pb_item_id(a->p->item));
	struct post *p = a->p;
	int rc = 0;

	if (pb_text_of(row, "done").len && !pb_str_eq(pb_text_of(row, "done"), by)) {
		pb_buf_addz(a->said, "That was confirmed before; nothing more is to be done.\n");
		return 0;
	}
	if (pb_str_eq(what, PB_STR("subscribe")) && setting_is(p->list->settings, "subscription", "moderated")) {
		rc = hold_subscription(p->all, p->list, p->item, address, pb_text_of(row, "name"), pb_text_of(row, "delivery"), token, err);
		if (!rc)
			pb_buf_addz(a->said, "The owners of the list decide about it; you hear from them.\n");
	} else if (pb_str_eq(what, PB_STR("subscribe"))) {
		rc = member_joins(p->all, p->list, p->item, address, pb_text_of(row, "name"), pb_text_of(row, "delivery"), token, err);
		if (!rc && !setting_flag(p->list->settings, "welcome"))
			pb_buf_addf(a->said, "%.*s is a member now.\n", PB_FMT(address));
	} else if (pb_str_eq(what, PB_STR("unsubscribe"))) {
		rc = member_leaves(p->all, p->list, p->item, address, token, err);
		if (!rc && !setting_flag(p->list->settings, "goodbye"))
			pb_buf_addf(a->said, "%.*s is no member any more.\n", PB_FMT(address));
	} else if (pb_str_eq(what, PB_STR("set"))) {
		rc = change_member(a, row, err);
	}
	return rc ? rc : pending_done(p->all, p->list, token, row, by, err);
}

/* ---- asked ---- */

static bool is_asker(const struct post *p, struct pb_str address)
{
	PB_AUTOBUF(one);
	PB_AUTOBUF(other);

	return !pb_address_key(&one, address, NULL) && !pb_address_key(&other, pb_buf_str(&p->from), NULL) && pb_str_eq(pb_buf_str(&one), pb_buf_str(&other));
}

static int send_confirmation(struct asking *a, struct pb_str token, const json_t *row, struct pb_error *err)
{
	struct pb_str address = pb_text_of(row, "address"), what = pb_text_of(row, "what");
	struct post *p = a->p;
	bool joins = pb_str_eq(what, PB_STR("subscribe"));
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	if (!letter_may(p->all, "confirm", address, pb_config_int(p->all->host, "confirmations"), a->name)) {
		pb_buf_addf(a->said, "%.*s was asked too often today.\n", PB_FMT(address));
		return 0;
	}
	pb_buf_addf(&subject, "confirm %.*s", PB_FMT(token));
	pb_buf_addf(&text, "Somebody, probably you, asked %.*s", PB_FMT(p->list->address));
	if (pb_str_eq(what, PB_STR("set")))
		pb_buf_addf(&text, "\nto change how %.*s is served: %.*s.\n", PB_FMT(address), PB_FMT(pb_text_of(row, "words")));
	else
		pb_buf_addf(&text, "\n%s %.*s %s the mailing list.\n", joins ? "to take" : "to remove", PB_FMT(address), joins ? "as a member into" : "from");
	pb_buf_addz(&text, "\nIf that is right, answer this letter as it is, or write to\n\n    ");
	pb_buf_addf(&text, "%.*s-confirm+%.*s@%.*s\n\nIf not, do nothing: nothing happens then. The request is forgotten after three days.\n", PB_FMT(p->list->local), PB_FMT(token),
		    PB_FMT(p->list->domain));
	if (p->from.len && !pb_str_eq(pb_buf_str(&p->from), address))
		pb_buf_addf(&text, "\nIt came from %.*s.\n", PB_FMT(pb_str_head(pb_buf_str(&p->from), 200)));
	if (!is_asker(p, address))
		pb_buf_addf(a->said, "A letter went to %.*s; it waits for an answer from there.\n", PB_FMT(address));
	return letter_send(p->all, p->list, p->item, &(struct note_letter){ .to = address, .door = "confirm", .rest = token, .subject = pb_buf_str(&subject), .text = pb_buf_str(&text),
									    .name = a->name }, err);
}

/* row is taken over. at_once: without a confirmation. */
static int ask(struct asking *a, json_t *row, bool at_once, struct pb_error *err)
{
	struct post *p = a->p;
	const struct pb_str words[] = { p->list->id, pb_text_of(row, "what"), pb_text_of(row, "address"), a->name };
	json_t *known = NULL;
	PB_AUTOBUF(token);
	int rc = token_make(p->all, words, sizeof words / sizeof *words, &token, err);

	if (!rc)
		rc = pending_get(p->all, p->list, pb_buf_str(&token), &known, err);
	if (!rc) {	/* this message once more, after a crash */
		json_decref(row);
		row = known;
	} else if (rc == PB_ENOTFOUND) {
		rc = pending_put(p->all, p->list, pb_buf_str(&token), row, err);
	}
	if (!rc)
		rc = at_once ? carry_out(a, pb_buf_str(&token), row, err) : send_confirmation(a, pb_buf_str(&token), row, err);
	json_decref(row);
	return rc;
}

/* Whom it is about, and whether it is who asks. False: no address, which is said. */
static bool whom(struct asking *a, struct pb_str given, struct pb_str *ret, bool *ret_asker)
{
	*ret = given.len ? given : pb_buf_str(&a->p->from);
	*ret_asker = is_asker(a->p, *ret);
	if (!pb_address_parse(*ret, PB_PATH_UTF8, NULL, NULL) && pb_utf8_valid(*ret))
		return true;
	pb_buf_addf(a->said, "'%.*s' is no address.\n", PB_FMT(pb_str_head(*ret, 100)));
	return false;
}

static bool is_member(struct post *p, struct pb_str address)
{
	json_t *row;

	if (member_get(p->all, p->list, address, &row, NULL))
		return false;
	json_decref(row);
	return true;
}

/* Does this message have a request in hand that a crash cut off? Then what it did already is no answer. */
static bool is_in_hand(struct asking *a, const char *what, struct pb_str address)
{
	const struct pb_str words[] = { a->p->list->id, pb_strz(what), address, a->name };
	json_t *row;
	PB_AUTOBUF(token);

	if (token_make(a->p->all, words, sizeof words / sizeof *words, &token, NULL) || pending_get(a->p->all, a->p->list, pb_buf_str(&token), &row, NULL))
		return false;
	json_decref(row);
	return true;
}

int ask_subscribe(struct asking *a, struct pb_str address, struct pb_str delivery, struct pb_error *err)
{
	struct post *p = a->p;
	const json_t *set = p->list->settings;
	const char *kind = NULL;
	json_t *row;
	bool asker;

	if (!whom(a, address, &address, &asker))
		return 0;
	if (delivery.len && !delivery_parse(delivery, &kind)) {
		pb_buf_addf(a->said, "'%.*s' is no way of delivery: digest, plain, nomail, or nothing.\n", PB_FMT(pb_str_head(delivery, 40)));
		return 0;
	}
	if (setting_is(set, "subscription", "closed")) {
		pb_buf_addz(a->said, "Members of this list are chosen by its owners.\n");
		return 0;
	}
	if (asker && is_member(p, address) && !is_in_hand(a, "subscribe", address)) {
		pb_buf_addf(a->said, "%.*s is a member already.\n", PB_FMT(address));
		return 0;
	}
	row = json_pack("{s:s, s:s%}", "what", "subscribe", "address", address.ptr, address.len);
	if (kind)
		json_object_set_new(row, "delivery", json_string(kind));
	if (asker && p->from_name.len && pb_utf8_valid(pb_buf_str(&p->from_name)))
		set_text(row, "name", pb_str_head(pb_buf_str(&p->from_name), 200));
	return ask(a, row, asker && setting_is(set, "subscription", "open"), err);
}

int ask_unsubscribe(struct asking *a, struct pb_str address, struct pb_error *err)
{
	struct post *p = a->p;
	const json_t *set = p->list->settings;
	bool asker, member;

	if (!whom(a, address, &address, &asker))
		return 0;
	if (setting_is(set, "unsubscription", "closed")) {
		pb_buf_addz(a->said, "Only the owners of this list can remove members.\n");
		return 0;
	}
	member = is_member(p, address) || is_in_hand(a, "unsubscribe", address);
	if (!member && asker)
		pb_buf_addf(a->said, "%.*s is no member.\n", PB_FMT(address));
	else if (!member)	/* a stranger does not learn who is one */
		pb_buf_addf(a->said, "A letter went to %.*s; it waits for an answer from there.\n", PB_FMT(address));
	if (!member)
		return 0;
	return ask(a, json_pack("{s:s, s:s%}", "what", "unsubscribe", "address", address.ptr, address.len), asker && setting_is(set, "unsubscription", "open"), err);
}

int ask_change(struct asking *a, json_t *change, struct pb_str words, struct pb_error *err)
{
	struct post *p = a->p;
	struct pb_str address = pb_buf_str(&p->from);

	if (!is_member(p, address)) {
		pb_buf_addf(a->said, "%.*s is no member.\n", PB_FMT(address));
		json_decref(change);
		return 0;
	}
	return ask(a, json_pack("{s:s, s:s%, s:s%, s:o}", "what", "set", "address", address.ptr, address.len, "words", words.ptr, words.len, "change", change), asking_is_proven(p), err);
}

int ask_confirm(struct asking *a, struct pb_str token, struct pb_error *err)
{
	json_t *row;
	int rc = pending_get(a->p->all, a->p->list, token, &row, err);

	if (rc == PB_ENOTFOUND) {
		pb_buf_addz(a->said, "This token is not known, or its time is over. Ask again, please.\n");
		return 0;
	}
	if (rc)
		return rc;
	rc = carry_out(a, token, row, err);
	json_decref(row);
	return rc;
}
