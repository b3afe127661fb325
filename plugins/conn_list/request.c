/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mail to the list's doors for members: dev-request@, dev-subscribe@ and the like. What comes of it goes back in one letter. */
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "command.h"
#include "serve.h"

enum { ERRORS_MOST = 10, COMMANDS_MOST = 50, WHO_MOST = 10000, LISTS_MOST = 500 };

/* ---- help, who, lists, get ---- */

static void add_help(const struct list *l, struct pb_buf *said)
{
	pb_buf_addf(said, "The mailing list %.*s takes commands by mail to %.*s-request@%.*s, in the subject or\none a line in the text:\n\n", PB_FMT(l->address), PB_FMT(l->local),
		    PB_FMT(l->domain));
	pb_buf_addz(said, "help                              this text\n"
			  "subscribe [digest|plain|nomail] [address=ADDRESS]\n"
			  "                                  become a member; digest: many posts in one message\n"
			  "unsubscribe [address=ADDRESS]     leave\n"
			  "confirm TOKEN                     say yes to what a letter with this token asks\n"
			  "set                               show how you are served\n"
			  "set delivery each|mime|plain|none how you get posts\n"
			  "set mail on|off                   no posts for a while\n"
			  "set quiet|ack|hidden on|off       no copy of your own posts; told when they went out; not shown by who\n"
			  "set topics all|NAME ...           only posts about these\n"
			  "who                               the members\n"
			  "get [NUMBER|YYYY-MM]              the last posts, or those of a month; alone: where old posts are read\n"
			  "lists                             other lists of this domain\n"
			  "end                               what follows is no command\n\n");
	pb_buf_addf(said, "%.*s-subscribe@ and %.*s-unsubscribe@%.*s do without words. Who runs the list is reached at %.*s-owner@%.*s.\n", PB_FMT(l->local), PB_FMT(l->local),
		    PB_FMT(l->domain), PB_FMT(l->local), PB_FMT(l->domain));
}

struct who {
	struct pb_buf *said;
	size_t n, shown;
	bool all;
};

static bool add_member(void *arg, const struct member *m)
{
	struct who *w = arg;

	if (!w->all && member_flag(m, "hidden"))
		return true;
	w->n++;
	if (w->shown < WHO_MOST) {
		struct pb_str name = member_text(m, "name");

		pb_buf_addf(w->said, "  %.*s%s%.*s%s\n", PB_FMT(m->address), name.len ? " (" : "", PB_FMT(name), name.len ? ")" : "");
		w->shown++;
	}
	return true;
}

static int run_who(struct post *p, struct pb_buf *said, struct pb_error *err)
{
	const json_t *set = p->list->settings;
	bool owner = list_names(p->list, "owners", pb_buf_str(&p->from));
	struct who w = { .said = said, .all = owner };
	int rc;

	if (setting_is(set, "who", "nobody") || !(owner || (p->member && setting_is(set, "who", "members")))) {
		pb_buf_addf(said, "The members are shown to %s.\n", setting_is(set, "who", "nobody") ? "nobody" : setting_is(set, "who", "members") ? "members" : "owners");
		return 0;
	}
	rc = members_each(p->all, p->list, PB_NOSTR, PB_NOSTR, add_member, &w, err);
	if (w.n > w.shown)
		pb_buf_addf(said, "  and %zu more\n", w.n - w.shown);
	pb_buf_addf(said, "%zu %s.\n", w.n, w.n == 1 ? "member" : "members");
	return rc;
}

struct others {
	struct pb_buf *said;
	struct pb_str domain;
	size_t n;
};

static bool add_list(void *arg, struct list *l)
{
	struct others *o = arg;

	if (!pb_domain_eq(l->domain, o->domain) || setting_is(l->settings, "subscription", "closed"))
		return true;
	pb_buf_addf(o->said, "  %.*s  %.*s\n", PB_FMT(l->address), PB_FMT(setting_text(l->settings, "description")));
	return ++o->n < LISTS_MOST;
}

static int run_lists(struct post *p, struct pb_buf *said, struct pb_error *err)
{
	struct others o = { .said = said, .domain = p->list->domain };
	int rc = lists_each(p->all, p->list->postoffice, add_list, &o, err);

	if (!rc && !o.n)
		pb_buf_addz(said, "There is no list that one may join.\n");
	return rc;
}

/* ---- set ---- */

static void show_member(const json_t *row, struct pb_buf *said)
{
	static const char *const flags[] = { "quiet", "ack", "hidden" };
	json_t *one;
	size_t i;

	pb_buf_addf(said, "delivery %.*s\nmail %s\n", PB_FMT(pb_text_of(row, "delivery")), pb_text_of(row, "stopped").len ? "off" : "on");
	for (i = 0; i < sizeof flags / sizeof *flags; i++)
		pb_buf_addf(said, "%s %s\n", flags[i], flag_of(row, flags[i]) ? "on" : "off");
	pb_buf_addz(said, "topics");
	if (!json_array_size(json_object_get(row, "topics")))
		pb_buf_addz(said, " all");
	json_array_foreach (json_object_get(row, "topics"), i, one)
		pb_buf_addf(said, " %s", json_string_value(one));
	pb_buf_addc(said, '\n');
}

static json_t *change_topics(const struct list *l, const struct command *c, struct pb_buf *said)
{
	json_t *topics;

	if (c->n == 2 && pb_str_ieq(c->words[1], PB_STR("all")))
		return json_pack("{s:n}", "topics");
	topics = json_array();
	for (size_t i = 1; i < c->n; i++) {
		if (!list_has_topic(l, c->words[i])) {
			pb_buf_addf(said, "This list has no topic '%.*s'.\n", PB_FMT(pb_str_head(c->words[i], 100)));
			json_decref(topics);
			return NULL;
		}
		json_array_append_new(topics, json_stringn(c->words[i].ptr, c->words[i].len));
	}
	return json_pack("{s:o}", "topics", topics);
}

/* The change that the words say; NULL: they say none, which is told. */
static json_t *change_of(const struct post *p, const struct command *c, struct pb_buf *said)
{
	static const char *const flags[] = { "quiet", "ack", "hidden" };
	bool on = c->n == 2 && pb_str_ieq(c->words[1], PB_STR("on")), off = c->n == 2 && pb_str_ieq(c->words[1], PB_STR("off"));
	const char *kind;

	if (c->n == 2 && pb_str_ieq(c->words[0], PB_STR("delivery")) && delivery_parse(c->words[1], &kind))
		return json_pack("{s:s}", "delivery", kind);
	if ((on || off) && pb_str_ieq(c->words[0], PB_STR("mail"))) {
		if (!pb_str_eq(pb_text_of(p->member, "stopped"), PB_STR("moderator")))
			return on ? json_pack("{s:n, s:n}", "stopped", "bounces") : json_pack("{s:s}", "stopped", "member");
		pb_buf_addz(said, "A moderator stopped your mail; ask the owners.\n");
		return NULL;
	}
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if ((on || off) && pb_str_ieq(c->words[0], pb_strz(flags[i])))
			return json_pack("{s:b}", flags[i], on);
	if (c->n > 1 && pb_str_ieq(c->words[0], PB_STR("topics")))
		return change_topics(p->list, c, said);
	pb_buf_addz(said, "set takes: delivery each|mime|plain|none, mail on|off, quiet on|off, ack on|off, hidden on|off, topics all|NAME ...\n");
	return NULL;
}

static int run_set(struct asking *a, const struct command *c, struct pb_error *err)
{
	struct post *p = a->p;
	json_t *change;

	if (!p->member) {
		pb_buf_addf(a->said, "%.*s is no member.\n", PB_FMT(pb_buf_str(&p->from)));
		return 0;
	}
	if (!c->n) {
		show_member(p->member, a->said);
		return 0;
	}
	change = change_of(p, c, a->said);
	return change ? ask_change(a, change, c->rest, err) : 0;
}

/* ---- one command ---- */

/* subscribe and unsubscribe: words in any order. False: one of them is none. */
static bool take_words(const struct command *c, struct pb_str *address, struct pb_str *delivery, struct pb_buf *said)
{
	const char *kind;

	*address = *delivery = PB_NOSTR;
	for (size_t i = 0; i < c->n; i++) {
		struct pb_str word = c->words[i];

		if (pb_str_istarts(word, PB_STR("address=")))
			*address = pb_str_skip(word, 8);
		else if (delivery_parse(word, &kind))
			*delivery = word;
		else {
			pb_buf_addf(said, "'%.*s' is not understood here; nothing was done.\n", PB_FMT(pb_str_head(word, 100)));
			return false;
		}
	}
	if (address->len > 2 && address->ptr[0] == '<' && address->ptr[address->len - 1] == '>')
		*address = pb_str(address->ptr + 1, address->len - 2);
	return true;
}

static int run_one(struct asking *a, const struct command *c, struct pb_error *err)
{
	struct pb_str address, delivery;

	switch (c->kind) {
	case COMMAND_HELP:
		add_help(a->p->list, a->said);
		return 0;
	case COMMAND_SUBSCRIBE:
		return take_words(c, &address, &delivery, a->said) ? ask_subscribe(a, address, delivery, err) : 0;
	case COMMAND_UNSUBSCRIBE:
		return take_words(c, &address, &delivery, a->said) ? ask_unsubscribe(a, address, err) : 0;
	case COMMAND_CONFIRM:
		return ask_confirm(a, c->n ? c->words[0] : PB_NOSTR, err);
	case COMMAND_SET:
		return run_set(a, c, err);
	case COMMAND_WHO:
		return run_who(a->p, a->said, err);
	case COMMAND_GET:
		return ask_get(a, c, err);
	case COMMAND_LISTS:
		return run_lists(a->p, a->said, err);
	default:
		return 0;
	}
}

/* ---- all of them ---- */

struct session {
	struct post *p;
	struct pb_buf *said;
	unsigned commands, errors;
};

static int run_line(struct session *s, const struct command *c, struct pb_error *err)
{
	PB_AUTOBUF(name);
	PB_AUTOBUF(said);
	struct asking a = { .p = s->p, .said = &said };
	int rc;

	pb_buf_addf(&name, "%s/%u", pb_item_id(s->p->item), s->commands++);
	a.name = pb_buf_str(&name);
	rc = post_find_member(s->p, err);
	if (!rc)
		rc = run_one(&a, c, err);
	if (rc || !said.len)
		return rc;
	pb_buf_addf(s->said, "> %.*s\n", PB_FMT(pb_str_head(c->line, 200)));
	pb_buf_addstr(s->said, pb_buf_str(&said));
	pb_buf_addc(s->said, '\n');
	return 0;
}

static void subject_of(const struct post *p, struct pb_buf *out)
{
	struct pb_str value;

	if (pb_header_find(p->header, PB_STR("Subject"), &value))
		pb_words_decode(out, value);
}

static int run_text(struct session *s, struct pb_str text, struct pb_error *err)
{
	struct pb_str line;
	struct command c;
	int rc = 0;

	while (!rc && line_next(&text, &line)) {
		command_parse(&c, line);
		if (c.kind == COMMAND_NONE)
			continue;
		if (c.kind == COMMAND_END)
			return 0;
		if (s->commands == COMMANDS_MOST || s->errors == ERRORS_MOST) {
			pb_buf_addz(s->said, s->errors == ERRORS_MOST ? "Too many lines that are no commands: the rest was not read.\n" : "Too many commands: the rest was not read.\n");
			return 0;
		}
		if (c.kind == COMMAND_UNKNOWN) {
			s->errors++;
			pb_buf_addf(s->said, "> %.*s\nThat is no command.\n\n", PB_FMT(pb_str_head(c.line, 200)));
			continue;
		}
		rc = run_line(s, &c, err);
	}
	return rc;
}

int request_run(struct post *p, const char *first, struct pb_buf *said, struct pb_error *err)
{
	struct session s = { .p = p, .said = said };
	struct command c;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	int rc = 0;

	if (first) {
		command_parse(&c, pb_strz(first));
		return run_line(&s, &c, err);
	}
	subject_of(p, &subject);
	command_parse(&c, subject_bare(pb_buf_str(&subject)));
	if (c.kind > COMMAND_END)
		rc = run_line(&s, &c, err);
	/* Below a command in the subject stands what people write in letters, or what an answer to a confirmation quotes. */
	if (rc || c.kind > COMMAND_END)
		return rc;
	post_text(p, &text);
	rc = run_text(&s, pb_buf_str(&text), err);
	if (!rc && !s.commands && !s.errors)
		add_help(p->list, said);
	return rc;
}

/* ---- the doors ---- */

static int answer(struct post *p, struct pb_str said, struct pb_error *err)
{
	struct pb_str id = PB_NOSTR, by = pb_strz(pb_item_id(p->item));
	PB_AUTOBUF(subject);
	PB_AUTOBUF(title);

	if (!letter_may(p->all, "answer", pb_buf_str(&p->from), pb_config_int(p->all->host, "answers"), by)) {
		pb_item_note(p->item, "list.silent", "%.*s had enough answers today", PB_FMT(pb_buf_str(&p->from)));
		return 0;
	}
	pb_header_find(p->header, PB_STR("Message-ID"), &id);
	subject_of(p, &title);
	if (subject_bare(pb_buf_str(&title)).len)
		pb_buf_addf(&subject, "Re: %.*s", PB_FMT(pb_str_head(subject_bare(pb_buf_str(&title)), 200)));
	else
		pb_buf_addf(&subject, "What came of your request to %.*s", PB_FMT(p->list->address));
	return letter_send(p->all, p->list, p->item,
			   &(struct note_letter){ .to = pb_buf_str(&p->from), .to_name = pb_buf_str(&p->from_name), .door = "request", .subject = pb_buf_str(&subject), .text = said,
						  .references = pb_str_head(pb_str_trim(id), 500), .submitted = "auto-replied", .name = by },
			   err);
}

/* "set", "mail-off": words in an address have one of its marks between them. */
static void add_words(struct pb_buf *command, const char *name, struct pb_str rest)
{
	pb_buf_addf(command, "%s ", name);
	for (size_t i = 0; i < rest.len; i++)
		pb_buf_addc(command, rest.ptr[i] == '-' || rest.ptr[i] == '+' ? ' ' : rest.ptr[i]);
}

/* Whose server has lost what stands behind the "+" has the token in the subject. */
static void add_confirm(const struct post *p, struct pb_str rest, struct pb_buf *command)
{
	PB_AUTOBUF(subject);
	long at;

	if (!rest.len) {
		subject_of(p, &subject);
		at = pb_str_isearch(pb_buf_str(&subject), PB_STR("confirm "), 0);
		if (at >= 0)
			rest = pb_str_head(pb_str_skip(pb_buf_str(&subject), (size_t)at + 8), TOKEN_LEN);
	}
	pb_buf_addf(command, "confirm %.*s", PB_FMT(rest));
}

/* dev-subscribe-digest@: what the address says is the command. */
static int run_door(struct post *p, const struct door *d, struct pb_buf *said, struct pb_error *err)
{
	PB_AUTOBUF(command);

	switch (d->kind) {
	case DOOR_SUBSCRIBE:
		add_words(&command, "subscribe", d->rest);
		break;
	case DOOR_UNSUBSCRIBE:
		pb_buf_addz(&command, "unsubscribe");
		break;
	case DOOR_CONFIRM:
		add_confirm(p, d->rest, &command);
		break;
	case DOOR_HELP:
		pb_buf_addz(&command, "help");
		break;
	case DOOR_WHO:
		pb_buf_addz(&command, "who");
		break;
	case DOOR_GET:		/* a month has a "-" in it */
		pb_buf_addf(&command, "get %.*s", PB_FMT(d->rest));
		break;
	case DOOR_SET:
		add_words(&command, "set", d->rest);
		break;
	default:
		return request_run(p, NULL, said, err);
	}
	return request_run(p, pb_buf_z(&command), said, err);
}

static int serve(struct post *p, const struct door *d, struct pb_error *err)
{
	const char *why = automatic_why_not(pb_item_envelope(p->item)->sender, p->header);
	PB_AUTOBUF(said);
	int rc = 0;

	if (why || !p->from.len) {	/* an automatic answer is no yes */
		pb_item_note(p->item, "list.ignored", "%s", why ? why : "nobody asks");
		pb_log(p->all->host, PB_INFO, "list.ignored", "id=%s list=%.*s reason=%s", pb_item_id(p->item), PB_FMT(p->list->address), pb_logq(pb_strz(why ? why : "nobody asks")));
		pb_dropped(p->to, "a program's message has no requests");
		return 0;
	}
	rc = run_door(p, d, &said, err);
	if (!rc && said.len)
		rc = answer(p, pb_buf_str(&said), err);
	if (!rc)
		pb_delivered(p->to, PB_NOSTR, "250 2.1.5 The list has read it");
	return rc;
}

int request_deliver(struct post *p, const struct door *d, struct pb_error *err)
{
	int rc = post_read(p, err);

	if (!rc)
		rc = serve(p, d, err);
	post_end(p);
	return rc;
}
