/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The message that a new mailbox begins with, by the settings welcome_subject and welcome_text. It is there before anybody can log in.
 */
#include <postbus/letter.h>
#include <postbus/mailbox.h>
#include "policy.h"

static int put(struct directory *d, struct pb_str id, const struct pb_letter *letter, struct pb_error *err)
{
	struct pb_append how = { .over_quota = true, .token = PB_STR("welcome") };
	struct pb_spool *spool;
	struct pb_mailbox *mb;
	struct pb_folder *inbox;
	int rc = pb_mailbox_open(d->host, id, &mb, err);

	if (rc)
		return rc;
	rc = pb_folder_open(mb, PB_STR("INBOX"), &inbox, err);
	pb_mailbox_close(mb);
	if (rc)
		return rc;
	spool = pb_spool_begin(d->host, 0, err);
	rc = spool ? 0 : err->code;
	if (!rc) {
		pb_letter_write(d->host, spool, letter);
		rc = pb_folder_append(inbox, spool, &how, NULL, NULL, err);
	}
	pb_folder_close(inbox);
	return rc;
}

static int write_letter(struct directory *d, struct pb_str id, const json_t *mailbox, const json_t *policy, struct pb_str domain, struct pb_error *err)
{
	struct pb_letter letter = { .to = pb_text_of(mailbox, "address"), .to_name = pb_text_of(mailbox, "name"), .submitted = "auto-generated" };
	PB_AUTOBUF(from);
	PB_AUTOBUF(subject);
	PB_AUTOBUF(text);

	pb_buf_addf(&from, "postmaster@%.*s", PB_FMT(domain));
	pb_letter_fill(&subject, pb_text_of(policy, "welcome_subject"), mailbox);
	pb_letter_fill(&text, pb_text_of(policy, "welcome_text"), mailbox);
	letter.from = pb_buf_str(&from);
	letter.subject = pb_buf_str(&subject);
	letter.text = pb_buf_str(&text);
	return put(d, id, &letter, err);
}

void welcome(struct directory *d, struct pb_str id, const json_t *mailbox)
{
	struct pb_str address = pb_text_of(mailbox, "address");
	long at = pb_str_find(address, '@', 0);
	struct pb_str domain = pb_str_skip(address, at < 0 ? address.len : (size_t)at + 1);
	struct pb_error err = { 0 };
	json_t *policy;
	int rc = policy_of_domain(d, domain, &policy, &err);

	if (!rc) {
		if (pb_text_of(policy, "welcome_text").len)
			rc = write_letter(d, id, mailbox, policy, domain, &err);
		json_decref(policy);
	}
	if (rc)
		pb_log(d->host, PB_WARNING, "welcome.failed", "mailbox=%s error=%s", pb_logq(address), pb_logq(pb_strz(err.text)));
}
