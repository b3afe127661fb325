/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What post offices want of messages that pass: footers below what their logins send (notices/footer.h), and a copy of all their mail in an archive. Both happen once,
 * told by the notes "footer" and "archived".
 */
#include <postbus/message.h>
#include "notices/footer.h"
#include "mta.h"

/* ---- footers ---- */

static int set_body(struct passage *p, struct pb_str bytes, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(p->mta->host, 0, err);

	if (!spool)
		return err->code;
	pb_spool_write(spool, bytes.ptr, bytes.len);
	return pb_item_set_body(p->item, spool, err);
}

static int add_footer(struct passage *p, const json_t *policy, struct pb_error *err)
{
	const struct footer footer = { .text = pb_text_of(policy, "footer_text"), .html = pb_text_of(policy, "footer_html") };
	struct pb_str head, bytes, facts;
	PB_AUTOBUF(out);
	int rc;

	if (!footer.text.len && !footer.html.len)
		return 0;
	rc = pb_body_parts(pb_item_body(p->item), &head, &bytes, err);
	if (!rc)
		rc = pb_body_facts(pb_item_body(p->item), &facts, err);
	if (rc)
		return rc;
	if (footer_add(&out, bytes, facts, &footer))
		return set_body(p, pb_buf_str(&out), err);
	pb_item_note(p->item, "footer.none", "the message is signed or encrypted, or has no text");
	return 0;
}

/* ---- the archive ---- */

static bool has(const json_t *list, const json_t *address)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (json_equal(one, address))
			return true;
	return false;
}

static void add_archive(json_t *all, const json_t *had, const json_t *address)
{
	if (json_string_length(address) && !has(had, address) && !has(all, address))
		json_array_append(all, (json_t *)address);
}

/*
 * An archive has each message once, however often it comes by: on its way from one post office to another it may meet the archives of both. The note "archived" lists
 * those that had it; "archive_to" is that of a mailbox which wrote the message without a login, such as an automatic answer.
 * Nobody is told that an archive could not be reached but the log: its copies ask for no reports.
 */
static int archive(struct passage *p, const json_t *sender_policy, struct pb_error *err)
{
	json_t *notes = pb_item_envelope(p->item)->notes, *all = json_array(), *had = json_copy(json_object_get(notes, "archived"));
	const json_t *one;
	size_t i;
	int rc = 0;

	if (!json_is_array(had)) {
		json_decref(had);
		had = json_array();
	}
	for (size_t k = 0; k < p->n; k++) {
		add_archive(all, had, json_object_get(p->stops[k].route, "archive_to"));
		json_array_foreach (json_object_get(p->stops[k].route, "archive_also"), i, one)
			add_archive(all, had, one);
	}
	add_archive(all, had, json_object_get(sender_policy, "archive_to"));
	add_archive(all, had, json_object_get(notes, "archive_to"));
	if (json_array_size(all)) {
		struct pb_envelope *env;

		json_array_extend(had, all);
		json_object_set(notes, "archived", had);
		env = pb_envelope_dup(pb_item_envelope(p->item), false);
		json_object_set_new(env->notes, "archive_copy", json_true());
		json_object_del(env->notes, "folders");	/* where filters file it elsewhere */
		json_array_foreach(all, i, one)
			pb_envelope_rcpt(env, pb_strz(json_string_value(one)))->notify = PB_NOTIFY_NEVER;
		rc = pb_item_redirect(p->item, env, err);
		pb_envelope_free(env);
	}
	json_decref(all);
	json_decref(had);
	return rc;
}

/* ---- both ---- */

static json_t *policy_of_sender(struct passage *p)
{
	struct pb_str id = pb_item_envelope(p->item)->mailbox;
	json_t *ask, *mailbox = NULL, *policy;

	if (!id.len)
		return NULL;
	ask = json_pack("{s:s%}", "mailbox", id.ptr, id.len);
	if (pb_call(p->mta->host, "directory.mailbox", ask, &mailbox, NULL))
		mailbox = NULL;
	policy = json_incref(json_object_get(mailbox, "policy"));
	json_decref(ask);
	json_decref(mailbox);
	return policy;
}

int office_message(struct passage *p, struct pb_error *err)
{
	json_t *notes = pb_item_envelope(p->item)->notes, *policy = policy_of_sender(p);
	int rc = 0;

	if (policy && !json_object_get(notes, "footer")) {
		json_object_set_new(notes, "footer", json_true());
		rc = add_footer(p, policy, err);
	}
	if (!rc)
		rc = archive(p, policy, err);
	json_decref(policy);
	return rc;
}
