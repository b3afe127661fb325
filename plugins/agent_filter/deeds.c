/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be done with a message: each a row of the table of deeds. What Sieve can say is Sieve; the rest is vnd_postbus_do, for administrators. */
#include <postbus/address.h>
#include "words.h"

struct deed {
	const char *phrase;
	int (*write)(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err);
	const char *sieve;			/* of which it is made */
	unsigned needs;
	bool keeps, refuses, stops;
	bool first;				/* before the others */
	bool server;				/* in the server's own filters only */
};

#define FOR_MAILBOXES "move, copy, redirect, delete, reject, keep, add header, set header, remove header, prefix subject, set subject, set flag, strip attachments, stop"

static void put_action(struct writing *w, const struct deed *deed, struct pb_str text)
{
	put_plain(w, "\t");
	put_plain(w, deed->sieve);
	put_plain(w, " ");
	put_text(w, text);
	put_plain(w, ";\n");
}

static int write_plain(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	(void)d;
	if (*deed->sieve) {
		put_plain(w, "\t");
		put_plain(w, deed->sieve);
		put_plain(w, ";\n");
	}
	return sentence_end(s, err);
}

static int write_text(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text text;

	(void)d;
	if (sentence_text(w, s, &text, err))
		return err->code;
	put_action(w, deed, text.text);
	return 0;
}

/* ---- folders and addresses ---- */

static int write_folder(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text folder;

	(void)d;
	if (sentence_text(w, s, &folder, err))
		return err->code;
	if (!folder.text.len || folder.text.len > 400)
		return pb_fail(err, PB_EINVALID, "a folder's name has 1 to 400 bytes");
	put_action(w, deed, folder.text);
	return 0;
}

static int put_address(struct writing *w, const struct deed *deed, struct pb_str address, struct pb_error *err)
{
	struct pb_error why = { 0 };

	if (pb_address_parse(address, PB_PATH_UTF8, NULL, &why))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no address: %.100s", PB_FMT(pb_str_head(address, 60)), why.text);
	put_action(w, deed, address);
	return 0;
}

static int write_address(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text address;

	(void)d;
	return sentence_text(w, s, &address, err) ? err->code : put_address(w, deed, address.text, err);
}

/* "copy to" an address, or a folder: folders with an "@" in their names are quoted. */
static int write_copy(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	static const struct deed redirect = { .sieve = "redirect :copy" };
	struct sentence ahead = *s;
	struct text to;

	if (sentence_text(w, &ahead, &to, err))
		return err->code;
	if (!to.quoted && pb_str_find(to.text, '@', 0) >= 0) {
		w->needs |= NEED_COPY;
		return put_address(w, &redirect, to.text, err);
	}
	w->needs |= NEED_FILEINTO | NEED_COPY | NEED_CREATE;
	return write_folder(w, deed, s, d, err);
}

/* ---- header ---- */

static int check_field(struct pb_str name, bool removes, struct pb_error *err)
{
	if (!field_name_valid(name))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no name of a header field", PB_FMT(pb_str_head(name, 60)));
	if (removes && (pb_str_ieq(name, PB_STR("Received")) || pb_str_ieq(name, PB_STR("Auto-Submitted"))))
		return pb_fail(err, PB_EINVALID, "'%.*s' tells where a message has been: it stays", PB_FMT(name));
	return 0;
}

static void put_removal(struct writing *w, struct pb_str name)
{
	static const struct deed removal = { .sieve = "deleteheader" };

	put_action(w, &removal, name);
}

static void put_addition(struct writing *w, struct pb_str name, struct pb_str value)
{
	put_plain(w, "\taddheader ");
	put_text(w, name);
	put_plain(w, " ");
	put_text(w, value);
	put_plain(w, ";\n");
}

/* "add" or "set", which its phrase tells. */
static int write_header(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	bool sets = pb_str_istarts(pb_strz(deed->phrase), PB_STR("set"));
	struct pb_str value, name;
	struct text line;

	(void)d;
	if (sentence_text(w, s, &line, err))
		return err->code;
	value = line.text;
	pb_str_cut(&value, ':', &name);
	name = pb_str_trim(name);
	if (!value.ptr)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no header field: \"X-Name: value\" is one", PB_FMT(pb_str_head(line.text, 60)));
	if (check_field(name, sets, err))
		return err->code;
	if (sets)
		put_removal(w, name);
	put_addition(w, name, pb_str_trim(value));
	return 0;
}

static int write_removal(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct pb_str name = PB_NOSTR;

	(void)deed;
	(void)d;
	sentence_word(s, &name);
	if (check_field(name, true, err))
		return err->code;
	put_removal(w, name);
	return sentence_end(s, err);
}

static int write_subject(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text text;

	(void)deed;
	(void)d;
	if (sentence_text(w, s, &text, err))
		return err->code;
	put_removal(w, PB_STR("Subject"));
	put_addition(w, PB_STR("Subject"), text.text);
	return 0;
}

/* The subject as it is read, then written anew behind the text. */
static int write_prefix(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text text;

	(void)deed;
	(void)d;
	if (sentence_text(w, s, &text, err))
		return err->code;
	put_plain(w, "\tset \"subject\" \"\";\n\tif header :matches \"Subject\" \"*\" {\n\t\tset \"subject\" \"${1}\";\n\t}\n");
	put_removal(w, PB_STR("Subject"));
	put_plain(w, "\taddheader \"Subject\" ");
	put_text(w, text.text);
	w->out->len--;		/* its closing quote */
	put_plain(w, " ${subject}\";\n");
	return 0;
}

/* ---- parts ---- */

static int write_strip(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct pb_str keys[VALUES_MAX];
	struct text list[VALUES_MAX];
	size_t n = 0;

	(void)deed;
	(void)d;
	if (sentence_take(s, "matching")) {
		if (sentence_texts(w, s, list, &n, err))
			return err->code;
	} else if (sentence_end(s, err)) {
		return err->code;
	}
	for (size_t i = 0; i < n; i++)
		keys[i] = list[i].text;
	put_plain(w, "\tforeverypart {\n\t\tif allof (not header :mime :type \"Content-Type\" \"multipart\",\n\t\t\t");
	put_plain(w, n ? "" : "anyof (header :mime :type \"Content-Disposition\" \"attachment\",\n\t\t\t");
	put_plain(w, "header :mime :param [\"filename\", \"name\"] :matches [\"Content-Disposition\", \"Content-Type\"] ");
	if (n)
		put_texts(w, keys, n);
	put_plain(w, n ? "" : "\"?*\")");
	put_plain(w, ") {\n\t\t\treplace \"An attachment was removed by a filter.\";\n\t\t}\n\t}\n");
	return 0;
}

static int write_flag(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	static const struct { const char *word, *flag; } known[] = {
		{ "seen", "\\Seen" }, { "read", "\\Seen" }, { "flagged", "\\Flagged" }, { "answered", "\\Answered" }, { "deleted", "\\Deleted" }, { "draft", "\\Draft" },
	};
	struct pb_str word = PB_NOSTR, flag;

	(void)d;
	sentence_word(s, &word);
	flag = word;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (pb_str_ieq(word, pb_strz(known[i].word)) || pb_str_ieq(word, pb_strz(known[i].flag)))
			flag = pb_strz(known[i].flag);
	for (size_t i = flag.ptr == word.ptr ? 0 : flag.len; i < word.len; i++)
		if (!pb_is_alnum(word.ptr[i]) && !strchr("$_-.", word.ptr[i]))
			flag.len = 0;
	if (!flag.len || flag.len > 60)
		return pb_fail(err, PB_EINVALID, "'%.*s' is no flag: seen, flagged, answered, deleted, draft, or a keyword of letters, digits, $, _, - and dots",
			       PB_FMT(pb_str_head(word, 40)));
	put_action(w, deed, flag);
	return sentence_end(s, err);
}

/* ---- what administrators have ---- */

static int put_own(struct writing *w, const char *name, struct pb_str argument)
{
	put_plain(w, "\tvnd_postbus_do \"");
	put_plain(w, name);
	put_plain(w, "\"");
	if (argument.len) {
		put_plain(w, " ");
		put_text(w, argument);
	}
	put_plain(w, ";\n");
	return 0;
}

static int write_own(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	(void)d;
	return sentence_end(s, err) ? err->code : put_own(w, deed->sieve, PB_NOSTR);
}

/* With a reason for the administrator, or without. */
static int write_quarantine(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text reason = { PB_NOSTR, false };

	(void)d;
	if (pb_str_trim(s->rest).len && sentence_text(w, s, &reason, err))
		return err->code;
	return put_own(w, deed->sieve, reason.text);
}

static int write_public(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct text name;

	(void)d;
	if (sentence_text(w, s, &name, err))
		return err->code;
	if (!name.text.len || name.text.len > 400)
		return pb_fail(err, PB_EINVALID, "a folder's name has 1 to 400 bytes");
	return put_own(w, deed->sieve, name.text);
}

/* A name of letters, digits, ".", "_" and "-", which is no way out of the directory that it stands for. */
static bool is_name(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!pb_is_alnum(s.ptr[i]) && (!i || !strchr("._-", s.ptr[i])))
			return false;
	return s.len && s.len <= 60;
}

static int write_notify(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct pb_str whom = PB_NOSTR, template = PB_NOSTR;
	struct pb_error why = { 0 };
	PB_AUTOBUF(argument);

	(void)d;
	sentence_word(s, &whom);
	if (!pb_str_ieq(whom, PB_STR("sender")) && pb_address_parse(whom, PB_PATH_UTF8, NULL, &why))
		return pb_fail(err, PB_EINVALID, "'%.*s' is neither 'sender' nor an address", PB_FMT(pb_str_head(whom, 60)));
	if (!sentence_take(s, "from template"))
		return pb_fail(err, PB_EINVALID, "behind '%.*s' comes 'from template' and its name", PB_FMT(sentence_said(s)));
	sentence_word(s, &template);
	if (!is_name(template))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no name of a template: letters, digits, dots, _ and -", PB_FMT(pb_str_head(template, 60)));
	if (sentence_end(s, err))
		return err->code;
	pb_buf_addf(&argument, "%.*s %.*s", PB_FMT(pb_str_ieq(whom, PB_STR("sender")) ? PB_STR("sender") : whom), PB_FMT(template));
	return put_own(w, deed->sieve, pb_buf_str(&argument));
}

static int write_priority(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	static const char *const levels[] = { "high", "normal", "low" };

	(void)d;
	for (size_t i = 0; i < 3; i++)
		if (sentence_take(s, levels[i]))
			return sentence_end(s, err) ? err->code : put_own(w, deed->sieve, pb_strz(levels[i]));
	return pb_fail(err, PB_EINVALID, "'%.*s' is no priority; allowed are high, normal, low", PB_FMT(pb_str_head(pb_str_trim(s->rest), 40)));
}

/* Programs run as the server's user: who administers a post office only has none of that. The name is that of a file in a directory of the home. */
static int write_run(struct writing *w, const struct deed *deed, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	struct pb_str name, rest;
	struct text program;

	(void)d;
	if (sentence_text(w, s, &program, err))
		return err->code;
	rest = program.text;
	if (!pb_str_word(&rest, &name) || !is_name(name))
		return pb_fail(err, PB_EINVALID, "'%.*s' is no name of a program: letters, digits, dots, _ and -", PB_FMT(pb_str_head(program.text, 60)));
	return put_own(w, deed->sieve, program.text);
}

/* ---- the table: longer phrases before those that they begin with ---- */

static const struct deed deeds[] = {
	{ .phrase = "move to public folder", .write = write_public, .sieve = "public_folder", .needs = NEED_DO, .keeps = true },
	{ .phrase = "move to", .write = write_folder, .sieve = "fileinto :create", .needs = NEED_FILEINTO | NEED_CREATE, .keeps = true },
	{ .phrase = "move", .write = write_folder, .sieve = "fileinto :create", .needs = NEED_FILEINTO | NEED_CREATE, .keeps = true },
	{ .phrase = "copy to public folder", .write = write_public, .sieve = "copy_public_folder", .needs = NEED_DO, .keeps = true },
	{ .phrase = "copy to", .write = write_copy, .sieve = "fileinto :copy :create", .keeps = true },
	{ .phrase = "copy", .write = write_folder, .sieve = "fileinto :copy :create", .needs = NEED_FILEINTO | NEED_COPY | NEED_CREATE, .keeps = true },
	{ .phrase = "quarantine", .write = write_quarantine, .sieve = "quarantine", .needs = NEED_DO, .keeps = true, .stops = true },
	{ .phrase = "delete", .write = write_plain, .sieve = "discard", .stops = true },
	{ .phrase = "reject", .write = write_text, .sieve = "reject", .needs = NEED_REJECT, .refuses = true, .stops = true },
	{ .phrase = "redirect to", .write = write_address, .sieve = "redirect", .keeps = true },
	{ .phrase = "redirect", .write = write_address, .sieve = "redirect", .keeps = true },
	{ .phrase = "notify", .write = write_notify, .sieve = "notify", .needs = NEED_DO, .server = true },
	{ .phrase = "mark as spam", .write = write_own, .sieve = "spam", .needs = NEED_DO },
	{ .phrase = "add header", .write = write_header, .sieve = "", .needs = NEED_EDIT },
	{ .phrase = "set header", .write = write_header, .sieve = "", .needs = NEED_EDIT },
	{ .phrase = "remove header", .write = write_removal, .sieve = "", .needs = NEED_EDIT },
	{ .phrase = "prefix subject", .write = write_prefix, .sieve = "", .needs = NEED_EDIT | NEED_VARIABLES },
	{ .phrase = "set subject", .write = write_subject, .sieve = "", .needs = NEED_EDIT },
	{ .phrase = "set priority", .write = write_priority, .sieve = "priority", .needs = NEED_DO, .server = true },
	{ .phrase = "set flag", .write = write_flag, .sieve = "addflag", .needs = NEED_FLAGS, .first = true },
	{ .phrase = "strip attachments", .write = write_strip, .sieve = "", .needs = NEED_LOOP | NEED_MIME | NEED_REPLACE },
	{ .phrase = "run", .write = write_run, .sieve = "run", .needs = NEED_DO, .server = true },
	{ .phrase = "keep", .write = write_plain, .sieve = "keep", .keeps = true },
	{ .phrase = "stop", .write = write_plain, .sieve = "", .stops = true },
};

static const char *deed_phrase(size_t i)
{
	return i < sizeof deeds / sizeof *deeds ? deeds[i].phrase : NULL;
}

int deed_write(struct writing *w, struct sentence *s, struct deeds *d, struct pb_error *err)
{
	int i = phrase_find(s, deed_phrase,
			    "is nothing to do; these are: move, copy, redirect, delete, reject, quarantine, keep, stop, notify, mark as spam, run, add, set or remove header, "
			    "prefix subject, set subject, priority or flag, strip attachments", err);

	if (i < 0)
		return err->code;
	if (deeds[i].needs & NEED_DO && w->scope == RULE_OF_MAILBOX)
		return pb_fail(err, PB_EDENIED, "'%s' is for administrators; filters of a mailbox have " FOR_MAILBOXES, deeds[i].phrase);
	if (deeds[i].server && w->scope != RULE_OF_SERVER)
		return pb_fail(err, PB_EDENIED, "'%s' is for the server's own filters", deeds[i].phrase);
	w->needs |= deeds[i].needs;
	w->out = deeds[i].first ? &d->first : &d->middle;
	d->keeps |= deeds[i].keeps;
	d->refuses |= deeds[i].refuses;
	d->stops |= deeds[i].stops;
	return deeds[i].write(w, &deeds[i], s, d, err);
}
