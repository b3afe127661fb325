/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Posting by a Sieve rule (RFC 5228), which agent_filter runs about the post. */
#include "serve.h"

/* The actions in their order: the first that decides does. Nothing but a keep takes the post. */
static enum judgement judgement_of(const json_t *result, struct pb_buf *why)
{
	json_t *one;
	size_t i;

	if (pb_text_of(result, "fault").len) {
		pb_buf_addf(why, "the rule of this list could not be run: %.*s", PB_FMT(pb_str_head(pb_text_of(result, "fault"), 300)));
		return JUDGE_HOLD;
	}
	json_array_foreach (json_object_get(result, "actions"), i, one) {
		struct pb_str what = pb_text_of(one, "do");

		if (pb_str_eq(what, PB_STR("reject")) || pb_str_eq(what, PB_STR("ereject"))) {
			struct pb_str text = pb_text_of(one, "text");

			for (size_t at = 0; at < text.len && at < 300; at++)	/* a reply is one line */
				pb_buf_addc(why, (unsigned char)text.ptr[at] < ' ' ? ' ' : text.ptr[at]);
			return JUDGE_REJECT;
		}
		if (pb_str_eq(what, PB_STR("fileinto")) && pb_str_ieq(pb_text_of(one, "folder"), PB_STR("hold"))) {
			pb_buf_addz(why, "the rule of this list holds it");
			return JUDGE_HOLD;
		}
	}
	if (flag_of(result, "keep"))
		return JUDGE_ACCEPT;
	pb_buf_addz(why, "the rule of this list drops it");
	return JUDGE_DISCARD;
}

enum judgement post_ask_script(struct post *p, struct pb_buf *why)
{
	struct pb_subject about = { .id = pb_strz(pb_item_id(p->item)), .envelope = pb_item_envelope(p->item), .body = pb_item_body(p->item) };
	struct pb_str text = setting_text(p->list->settings, "posting_script"), office = p->list->postoffice, to = pb_recipient_rcpt(p->to)->address;
	json_t *params = json_pack("{s:s, s:s%, s:s%, s:s%}", "scope", "text", "text", text.ptr, text.len, "postoffice", office.ptr, office.len, "recipient", to.ptr, to.len);
	struct pb_error err = { 0 };
	json_t *result = NULL;
	enum judgement j;
	int rc = params ? pb_call_about(p->all->host, &about, "filter.run", params, &result, &err) : PB_EINVALID;

	json_decref(params);
	if (rc) {
		pb_buf_addf(why, "the rule of this list could not be run: %s", err.text);
		return JUDGE_HOLD;
	}
	j = judgement_of(result, why);
	json_decref(result);
	pb_subject_clear(&about);
	return j;
}

/* What is no Sieve is refused where it is set, with line and column. */
int script_check(struct lists *all, struct pb_str postoffice, struct pb_str text, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%, s:s%}", "text", text.ptr, text.len, "postoffice", postoffice.len ? postoffice.ptr : "", postoffice.len);
	int rc = params ? pb_call(all->host, "script.check", params, NULL, err) : pb_fail(err, PB_EINVALID, "the script is no UTF-8");

	json_decref(params);
	return rc ? pb_because(err, "posting_script") : 0;
}
