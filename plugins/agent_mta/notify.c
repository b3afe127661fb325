/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notices that the server's filters ask for: Sieve's notify by mailto: (RFC 5436), and the own action "notify", which writes to the sender or to an address from
 * a template of the home. They come from the null sender and are marked as automatic, and nobody is notified of a notice, so that nothing answers them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <postbus/address.h>
#include <postbus/date.h>
#include <postbus/message.h>
#include "notices/automatic.h"
#include "notices/mailto.h"
#include "mta.h"

enum { TEMPLATE_MAX = 65536, TO_MAX = 16 };

/* ---- what the message says ---- */

static struct pb_str header_of(struct passage *p)
{
	struct pb_str head, rest;

	if (pb_body_parts(pb_item_body(p->item), &head, &rest, NULL))
		return PB_NOSTR;
	return pb_str_head(rest, pb_header_size(rest));
}

/* A field as one line of UTF-8 without control bytes. */
static void add_field(struct pb_buf *out, struct pb_str header, struct pb_str name)
{
	PB_AUTOBUF(line);
	struct pb_str value;
	size_t from = out->len;

	if (!pb_header_find(header, name, &value))
		return;
	pb_unfold(&line, pb_str_head(value, 2000));
	pb_words_decode(out, pb_str_trim(pb_buf_str(&line)));
	for (size_t i = from; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < 32 || out->ptr[i] == 127)
			out->ptr[i] = ' ';
	if (!pb_utf8_valid(pb_str_skip(pb_buf_str(out), from))) {
		PB_AUTOBUF(utf8);

		pb_charset_decode(PB_STR("iso-8859-1"), pb_str_skip(pb_buf_str(out), from), &utf8);
		out->len = from;
		pb_buf_addstr(out, pb_buf_str(&utf8));
	}
}

static bool says(struct pb_str header, struct pb_str name, struct pb_str begin)
{
	struct pb_str value;

	return pb_header_find(header, name, &value) && pb_str_istarts(pb_str_trim(value), begin);
}

/* ---- a notice ---- */

struct notice {
	struct pb_str to[TO_MAX];
	size_t nto;
	struct pb_str from;		/* of the From field; empty: ours */
	struct pb_str subject, text;	/* UTF-8 */
	const char *automatic;		/* Auto-Submitted */
	int importance;			/* 1 high, 2 normal, 3 low */
	struct pb_str token;
};

static bool is_one_line(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 32 || s.ptr[i] == 127)
			return false;
	return true;
}

static bool is_ascii(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

static void write_head(struct passage *p, const struct notice *n, struct pb_buf *out)
{
	static const struct pb_str received = { "Received", 8 };
	struct pb_str header = header_of(p), id;
	char date[PB_DATE_MAX];
	PB_AUTOBUF(from);
	PB_AUTOBUF(fresh);

	pb_header_pick(out, header, &received, 1, false);	/* RFC 5436 2.3: they tell a loop */
	if (pb_str_ends(pb_buf_str(out), PB_STR("\r\n\r\n")))
		out->len -= 2;
	if (out->len == 2)
		out->len = 0;
	if (n->from.len && is_one_line(n->from))
		pb_buf_addstr(&from, n->from);
	else
		from_address(p->mta, &from);
	pb_date_format(date, pb_now(p->mta->host), 0);
	pb_message_id_make(&fresh, pb_hostname(p->mta->host), pb_now(p->mta->host));
	pb_header_add_raw(out, "From", pb_buf_str(&from));
	for (size_t i = 0; i < n->nto; i++)
		pb_header_add_raw(out, "To", n->to[i]);
	pb_header_add(out, "Subject", pb_str_head(n->subject, 500), false);
	pb_buf_addf(out, "Date: %s\r\nMessage-ID: %s\r\nAuto-Submitted: %s\r\n", date, pb_buf_z(&fresh), n->automatic);
	if (pb_header_find(header, PB_STR("Message-ID"), &id) && id.len < 500 && is_one_line(pb_str_trim(id))) {
		pb_header_add_raw(out, "In-Reply-To", pb_str_trim(id));
		pb_header_add_raw(out, "References", pb_str_trim(id));
	}
	if (n->importance != 2)
		pb_buf_addf(out, "Importance: %s\r\nX-Priority: %d\r\n", n->importance < 2 ? "high" : "low", n->importance < 2 ? 1 : 5);
	pb_buf_addz(out, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n");
}

static int send(struct passage *p, const struct notice *n, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(p->mta->host, 0, err);
	struct pb_envelope *env;
	PB_AUTOBUF(out);
	int rc;

	if (!spool)
		return err->code;
	pb_spool_name(spool, n->token);
	write_head(p, n, &out);
	pb_qp_encode(&out, n->text);
	pb_spool_write(spool, out.ptr, out.len);
	env = pb_envelope_new();
	for (size_t i = 0; i < n->nto; i++) {
		pb_envelope_rcpt(env, n->to[i])->notify = PB_NOTIFY_NEVER;
		env->smtputf8 |= !is_ascii(n->to[i]);
	}
	json_object_set_new(env->notes, "filtered", json_true());
	pb_item_note(p->item, "notified", "<%.*s> as %s", PB_FMT(n->to[0]), pb_spool_id(spool));
	rc = pb_item_inject(p->item, env, spool, err);
	pb_envelope_free(env);
	pb_count(p->mta->host, "notices", 1);
	return rc;
}

/* An address as the queue keeps it, or a note why not. */
static bool add_to(struct passage *p, struct notice *n, struct pb_str text, struct pb_arena *arena)
{
	struct pb_error why = { 0 };
	PB_AUTOBUF(normal);

	if (n->nto == TO_MAX)
		return false;
	if (pb_address_normal(&normal, pb_str_trim(text), &why)) {
		pb_item_note(p->item, "notify.failed", "'%.*s' is no address: %s", PB_FMT(pb_str_head(text, 100)), why.text);
		return false;
	}
	n->to[n->nto++] = pb_arena_str(arena, pb_buf_str(&normal));
	return true;
}

/* ---- mailto: (RFC 5436) ---- */

static void read_mailto(struct passage *p, struct notice *n, struct pb_str uri, struct pb_arena *arena)
{
	struct mailto m;
	struct pb_str one;

	mailto_parse(&m, uri, arena);
	while (pb_str_cut(&m.to, ',', &one))
		if (pb_str_trim(one).len)
			add_to(p, n, one, arena);
	n->subject = m.subject;
	n->text = m.body;
}

/* Subject and text: the URI's, else the action's message, else what the message itself is called. */
static int notify_mailto(struct passage *p, const json_t *a, struct pb_arena *arena, struct pb_error *err)
{
	struct pb_str header = header_of(p), message = pb_text_of(a, "text"), first, rest = message;
	struct notice n = { .importance = (int)json_integer_value(json_object_get(a, "importance")), .from = pb_text_of(a, "from") };
	PB_AUTOBUF(automatic);
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);
	PB_AUTOBUF(token);

	if (says(header, PB_STR("Auto-Submitted"), PB_STR("auto-notified"))) {
		pb_item_note(p->item, "notify.skipped", "the message is a notification itself");
		return 0;
	}
	read_mailto(p, &n, pb_text_of(a, "method"), arena);
	if (!n.nto)
		return 0;
	add_field(&subject, header, PB_STR("Subject"));
	pb_buf_addz(&text, "From: ");
	add_field(&text, header, PB_STR("From"));
	pb_buf_addf(&text, "\nSubject: %s\n", pb_buf_z(&subject));
	if (!n.subject.len)
		n.subject = pb_str_cut(&rest, '\n', &first) && pb_str_trim(first).len ? pb_str_trim(first) : pb_buf_str(&subject);
	if (!n.text.len)
		n.text = message.len ? message : pb_buf_str(&text);
	pb_buf_addz(&automatic, "auto-notified; owner-email=\"");
	from_address(p->mta, &automatic);
	pb_buf_addz(&automatic, "\"");
	n.automatic = pb_buf_z(&automatic);
	pb_buf_addf(&token, "notify/%s/%.*s/%016llx", pb_item_id(p->item), PB_FMT(pb_text_of(a, "method")), (unsigned long long)mark_of(message));
	n.token = pb_buf_str(&token);
	return send(p, &n, err);
}

/* ---- templates ---- */

static int read_template(struct mta *mta, struct pb_str name, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(path);
	struct stat st;
	ssize_t got;
	int fd;

	for (size_t i = 0; i < name.len; i++)
		if (!pb_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' && (name.ptr[i] != '.' || i == 0))
			return pb_fail(err, PB_EINVALID, "a template's name has letters, digits, '-', '_' and '.'");
	pb_buf_addf(&path, "%.*s/%.*s", PB_FMT(pb_config_str(mta->host, "templates")), PB_FMT(name));
	fd = open(pb_buf_z(&path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pb_fail(err, PB_ENOTFOUND, "%s cannot be read", pb_buf_z(&path));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > TEMPLATE_MAX) {
		close(fd);
		return pb_fail(err, PB_EINVALID, "%s must be a file of %d bytes at most", pb_buf_z(&path), TEMPLATE_MAX);
	}
	pb_buf_reserve(out, TEMPLATE_MAX);
	while (out->len < TEMPLATE_MAX && (got = read(fd, out->ptr + out->len, TEMPLATE_MAX - out->len)) > 0)
		out->len += (size_t)got;
	close(fd);
	return 0;
}

/* A field in braces, or what only looks like one. */
static void add_value(struct passage *p, struct pb_str name, struct pb_buf *out)
{
	static const struct { const char *name, *field; } fields[] = { { "subject", "Subject" }, { "from", "From" }, { "to", "To" }, { "date", "Date" } };
	const struct pb_envelope *env = pb_item_envelope(p->item);

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (pb_str_eq(name, pb_strz(fields[i].name))) {
			add_field(out, header_of(p), pb_strz(fields[i].field));
			return;
		}
	if (pb_str_eq(name, PB_STR("sender")))
		pb_buf_addstr(out, env->sender);
	else if (pb_str_eq(name, PB_STR("recipient")) && env->nrcpts)
		pb_buf_addstr(out, env->rcpts[0]->address);
	else if (pb_str_eq(name, PB_STR("id")))
		pb_buf_addz(out, pb_item_id(p->item));
	else if (pb_str_eq(name, PB_STR("host")))
		pb_buf_addstr(out, pb_hostname(p->mta->host));
	else if (pb_str_eq(name, PB_STR("filter")))
		pb_buf_addz(out, "the server's filter");
	else
		pb_buf_addf(out, "{%.*s}", PB_FMT(name));
}

static void fill_in(struct passage *p, struct pb_str text, struct pb_buf *out)
{
	while (text.len) {
		long open = pb_str_find(text, '{', 0), close = open < 0 ? -1 : pb_str_find(text, '}', (size_t)open);

		if (close < 0 || close - open > 32) {
			size_t n = open < 0 || close < 0 ? text.len : (size_t)open + 1;

			pb_buf_addstr(out, pb_str_head(text, n));
			text = pb_str_skip(text, n);
			continue;
		}
		pb_buf_addstr(out, pb_str_head(text, (size_t)open));
		add_value(p, pb_str(text.ptr + open + 1, (size_t)(close - open - 1)), out);
		text = pb_str_skip(text, (size_t)close + 1);
	}
}

/* A template may begin with "Subject: ..." and an empty line. */
static void split_template(struct pb_str template, struct pb_str *ret_subject, struct pb_str *ret_text)
{
	struct pb_str rest = template, line;

	*ret_subject = PB_STR("About your message: {subject}");
	*ret_text = template;
	if (!pb_str_istarts(template, PB_STR("Subject:")) || !pb_str_cut(&rest, '\n', &line))
		return;
	*ret_subject = pb_str_trim(pb_str_skip(line, 8));
	*ret_text = rest;
	if (pb_str_cut(&rest, '\n', &line) && !pb_str_trim(line).len)
		*ret_text = rest;
}

static int notify_template(struct passage *p, struct pb_str argument, struct pb_arena *arena, struct pb_error *err)
{
	struct pb_str rest = argument, who, name, subject, text;
	struct notice n = { .importance = 2, .automatic = "auto-replied" };
	struct pb_error why = { 0 };
	PB_AUTOBUF(template);
	PB_AUTOBUF(filled_subject);
	PB_AUTOBUF(filled);
	PB_AUTOBUF(token);
	bool answer;

	if (!pb_str_word(&rest, &who) || !pb_str_word(&rest, &name) || read_template(p->mta, name, &template, &why)) {
		pb_item_note(p->item, "notify.failed", "%s", why.code ? why.text : "it takes \"sender\" or an address, and the name of a template");
		return 0;
	}
	answer = pb_str_ieq(who, PB_STR("sender"));
	if (answer ? automatic_why_not(pb_item_envelope(p->item)->sender, header_of(p)) != NULL : automatic_is(header_of(p))) {
		pb_item_note(p->item, "notify.skipped", "the message is automatic, or from a list, or has no sender");
		return 0;
	}
	if (!add_to(p, &n, answer ? pb_item_envelope(p->item)->sender : who, arena))
		return 0;
	split_template(pb_buf_str(&template), &subject, &text);
	fill_in(p, subject, &filled_subject);
	fill_in(p, text, &filled);
	n.subject = pb_buf_str(&filled_subject);
	n.text = pb_buf_str(&filled);
	pb_buf_addf(&token, "notify/%s/%.*s", pb_item_id(p->item), PB_FMT(argument));
	n.token = pb_buf_str(&token);
	return send(p, &n, err);
}

int send_notice(struct passage *p, const json_t *action, struct pb_error *err)
{
	struct pb_str argument = pb_text_of(action, "argument"), method = pb_text_of(action, "method");
	struct pb_arena *arena = pb_arena_new();
	int rc = 0;

	if (argument.len)
		rc = notify_template(p, argument, arena, err);
	else if (pb_str_istarts(method, PB_STR("mailto:")))
		rc = notify_mailto(p, action, arena, err);
	else
		pb_item_note(p->item, "notify.failed", "'%.*s' is no way to notify somebody", PB_FMT(pb_str_head(method, 100)));
	pb_arena_free(arena);
	return rc;
}
