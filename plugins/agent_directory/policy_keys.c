/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of settings: every key with its type, limits, default, where it can be set, by whom, and a line about it. Nothing else declares them.
 */
#include "policy.h"

#define S POLICY_AT(POLICY_SERVER)
#define O POLICY_AT(POLICY_OFFICE)
#define D POLICY_AT(POLICY_DOMAIN)
#define M POLICY_AT(POLICY_MAILBOX)
#define USER PB_ROLE_USER
#define ADMIN PB_ROLE_ADMIN
#define SYSTEM PB_ROLE_SYSTEM

#define DAYS_MAX 36500
#define TERABYTES INT64_C(1125899906842624)

static const char *const full_words[] = { "bounce", "hold", "postmaster", NULL };
static const char *const service_words[] = { "smtp", "pop3", "imap", "managesieve", NULL };
static const char *const scope_words[] = { "anyone", "server", "postoffice", "nobody", NULL };
static const char *const redirect_words[] = { "keep", "srs", NULL };

static const struct policy_key folder_bytes[] = { { .name = "bytes", .type = POLICY_BYTES, .max = TERABYTES } };
static const struct policy_key folder_days[] = { { .name = "days", .type = POLICY_INTEGER, .max = DAYS_MAX } };

static const struct policy_key autoreply_fields[] = {
	{ .name = "enabled", .type = POLICY_BOOLEAN, .doc = "Whether it answers." },
	{ .name = "subject", .type = POLICY_LINE, .max = 400, .doc = "Subject of the answer." },
	{ .name = "text", .type = POLICY_TEXT, .max = 32768, .doc = "Its text." },
	{ .name = "html", .type = POLICY_TEXT, .max = 65536, .doc = "Its text as HTML." },
	{ .name = "from", .type = POLICY_MOMENT, .max = 40, .doc = "When it begins." },
	{ .name = "until", .type = POLICY_MOMENT, .max = 40, .doc = "When it ends." },
	{ .name = "period_seconds", .type = POLICY_SECONDS, .min = 60, .max = 31536000, .doc = "How long a sender gets no second answer." },
	{ .name = "hours", .type = POLICY_HOURS, .max = 400, .doc = "Hours of the week in which it answers." },
	{ 0 }
};

static const struct policy_key keys[] = {
	{ "quota_warn", POLICY_NUMBERS, S | O | M, ADMIN, 1, 100, "80,95", NULL, NULL,
	  "Percents of a quota at which the mailbox gets a notice; none: no notices." },
	{ "quota_full", POLICY_ENUM, S | O | M, ADMIN, 0, 0, "bounce", full_words, NULL,
	  "What becomes of mail that does not fit: back to its sender, held and tried again, or to the postmaster of the post office." },
	{ "quota_folders", POLICY_MAP, S | O | M, ADMIN, 0, 100, "", NULL, folder_bytes, "Bytes that single folders may hold, by their names." },
	{ "quota_notice_subject", POLICY_LINE, S | O, ADMIN, 1, 400, "Your mailbox {address} is {percent} percent full", NULL, NULL,
	  "Subject of the notice, with {address}, {name}, {postoffice}, {percent}, {used} and {limit}." },
	{ "quota_notice_text", POLICY_TEXT, S | O, ADMIN, 1, 16384,
	  "Your mailbox {address} holds {used} of {limit}, which is {percent} percent.\n\n"
	  "Once it is full, it takes no further mail. Please delete messages that you do not need, and empty the folders Trash and Junk;\n"
	  "or ask your administrator for more room.\n",
	  NULL, NULL, "Its text, with the same." },
	{ "services", POLICY_WORDS, S | O | M, ADMIN, 0, 0, "smtp,pop3,imap,managesieve", service_words, NULL, "Services that a mailbox's login opens." },
	{ "send_to", POLICY_ENUM, S | O | M, ADMIN, 0, 0, "anyone", scope_words, NULL,
	  "Whom a login may send to: anyone, mailboxes of this server, of the same post office, nobody." },
	{ "receive_from", POLICY_ENUM, S | O | M, ADMIN, 0, 0, "anyone", scope_words, NULL,
	  "Whose mail a mailbox takes: anyone's, that of logins on this server, in the same post office, nobody's." },
	{ "send_max_size", POLICY_BYTES, S | O | M, ADMIN, 0, TERABYTES, "0", NULL, NULL, "Largest message that a login may send; 0: what the server takes." },
	{ "send_max_recipients", POLICY_INTEGER, S | O | M, ADMIN, 0, 1000000, "0", NULL, NULL,
	  "Recipients of one message that a login may name; 0: what the server takes." },
	{ "send_per_hour", POLICY_INTEGER, S | O | M, ADMIN, 0, 1000000000, "0", NULL, NULL,
	  "Recipients that a login may send to within an hour, over all its messages; 0: no limit." },
	{ "junk_score", POLICY_INTEGER, S | O | M, USER, 0, 10000, "0", NULL, NULL,
	  "Tenths of a spam score from which on mail goes to the junk folder; 0: off." },
	{ "junk_folder", POLICY_LINE, S | O | M, USER, 1, 200, "Junk", NULL, NULL, "The junk folder." },
	{ "footer_text", POLICY_TEXT, S | O | D | M, ADMIN, 0, 16384, "", NULL, NULL, "Text put below messages that logins send." },
	{ "footer_html", POLICY_TEXT, S | O | D | M, ADMIN, 0, 16384, "", NULL, NULL, "The same for parts in HTML." },
	{ "archive_to", POLICY_ADDRESS, S | O, ADMIN, 0, 320, "", NULL, NULL, "Address that gets a copy of all mail of a post office." },
	{ "welcome_subject", POLICY_LINE, S | O, ADMIN, 0, 400, "", NULL, NULL, "Subject of the message that a new mailbox begins with." },
	{ "welcome_text", POLICY_TEXT, S | O, ADMIN, 0, 65536, "", NULL, NULL, "Its text, with {address}, {name} and {postoffice}; empty: no such message." },
	{ "retention_days", POLICY_INTEGER, S | O | M, ADMIN, 0, DAYS_MAX, "0", NULL, NULL, "Days that expunged messages can be brought back; 0: off." },
	{ "trash_days", POLICY_INTEGER, S | O | M, ADMIN, 0, DAYS_MAX, "0", NULL, NULL, "Days that messages stay in Trash and folders below it; 0: for ever." },
	{ "junk_days", POLICY_INTEGER, S | O | M, ADMIN, 0, DAYS_MAX, "0", NULL, NULL, "Days that messages stay in the junk folder and folders below it; 0: for ever." },
	{ "age_rules", POLICY_MAP, S | O | M, ADMIN, 0, 100, "", NULL, folder_days, "Days that messages stay in single folders, by their names." },
	{ "event_program", POLICY_PATH, S | O | M, SYSTEM, 0, 1000, "", NULL, NULL, "Program run at each delivery." },
	{ "redirect_sender", POLICY_ENUM, S | O | M, ADMIN, 0, 0, "srs", redirect_words, NULL,
	  "Envelope sender of redirected mail: as it was, or rewritten so that SPF holds." },
	{ "autoreply", POLICY_OBJECT, M, USER, 0, 0, "", NULL, autoreply_fields,
	  "Automatic answers: enabled, subject, text, html, from, until, period_seconds, hours." },
};

const struct policy_key *policy_key(size_t i)
{
	return i < sizeof keys / sizeof *keys ? &keys[i] : NULL;
}

static int no_such(struct pb_str name, struct pb_error *err)
{
	return pb_fail(err, PB_EINVALID, "there is no setting '%.*s'; policy list shows them all", PB_FMT(pb_str_head(name, 60)));
}

int policy_find(struct pb_str name, const struct policy_key **ret, struct pb_str *ret_field, struct pb_error *err)
{
	long point = pb_str_find(name, '.', 0);
	struct pb_str key = point < 0 ? name : pb_str_head(name, (size_t)point);
	const struct policy_key *k;

	for (size_t i = 0; (k = policy_key(i)) != NULL; i++) {
		if (!pb_str_eq(key, pb_strz(k->name)))
			continue;
		*ret = k;
		*ret_field = point < 0 ? PB_NOSTR : pb_str_skip(name, (size_t)point + 1);
		return point < 0 || k->fields ? 0 : pb_fail(err, PB_EINVALID, "'%s' has no fields", k->name);
	}
	return no_such(name, err);
}

int policy_field(const struct policy_key *k, struct pb_str field, const struct policy_key **ret, struct pb_error *err)
{
	if (k->type == POLICY_MAP) {
		*ret = k->fields;
		return 0;
	}
	for (const struct policy_key *f = k->fields; f->name; f++) {
		if (pb_str_eq(field, pb_strz(f->name))) {
			*ret = f;
			return 0;
		}
	}
	return pb_fail(err, PB_EINVALID, "'%s' has no field '%.*s'; policy list shows what it has", k->name, PB_FMT(pb_str_head(field, 60)));
}

const char *policy_type_name(enum policy_type type)
{
	static const char *const names[] = {
		[POLICY_INTEGER] = "integer", [POLICY_BOOLEAN] = "boolean", [POLICY_SECONDS] = "seconds", [POLICY_BYTES] = "bytes",  [POLICY_LINE] = "string",
		[POLICY_TEXT] = "string",     [POLICY_ADDRESS] = "string",  [POLICY_PATH] = "string",	  [POLICY_MOMENT] = "string", [POLICY_HOURS] = "string",
		[POLICY_ENUM] = "enum",	      [POLICY_WORDS] = "list",	    [POLICY_NUMBERS] = "list",	  [POLICY_MAP] = "object",    [POLICY_OBJECT] = "object",
	};

	return names[type];
}

const char *policy_level_name(unsigned level)
{
	static const char *const names[] = { [POLICY_SERVER] = "server", [POLICY_OFFICE] = "postoffice", [POLICY_DOMAIN] = "domain", [POLICY_MAILBOX] = "mailbox" };

	return names[level];
}
