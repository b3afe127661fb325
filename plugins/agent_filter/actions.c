/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a script wants done, as JSON for the plugin that does it. The manifest's doc of filter.run says what stands in it. */
#include <postbus/date.h>
#include <postbus/message.h>
#include "filter.h"

json_t *json_text(struct pb_str s)
{
	json_t *v = json_stringn(s.len ? s.ptr : "", s.len);
	PB_AUTOBUF(utf8);

	if (v)
		return v;
	pb_charset_decode(PB_STR("iso-8859-1"), s, &utf8);
	return json_stringn(utf8.ptr, utf8.len);
}

static void put(json_t *o, const char *key, struct pb_str s)
{
	if (s.len)
		json_object_set_new(o, key, json_text(s));
}

static void put_list(json_t *o, const char *key, const struct pb_str *list, size_t n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_text(list[i]));
	json_object_set_new(o, key, all);
}

static void put_true(json_t *o, const char *key, bool is)
{
	if (is)
		json_object_set_new(o, key, json_true());
}

static void put_folder(json_t *o, const struct sieve_action *a)
{
	put(o, "folder", a->target);
	put(o, "special_use", a->special_use);
	put(o, "mailbox_id", a->mailbox_id);
	put_true(o, "create", a->create);
}

/* RFC 8580: the folder for a copy of what is sent, with what may stand beside it. */
static void put_fcc(json_t *o, const struct sieve_action *a)
{
	put(o, "fcc", a->fcc);
	put(o, "special_use", a->special_use);
	put(o, "mailbox_id", a->mailbox_id);
	put_true(o, "create", a->create);
}

static void put_vacation(json_t *o, const struct sieve_action *a)
{
	put(o, "text", a->text);
	put(o, "subject", a->subject);
	put(o, "from", a->from);
	put(o, "handle", a->handle);
	put_fcc(o, a);
	put_list(o, "addresses", a->addresses, a->naddresses);
	put_true(o, "mime", a->mime);
	if (a->seconds >= 0)
		json_object_set_new(o, "seconds", json_integer(a->seconds));
}

static void put_notify(json_t *o, const struct sieve_action *a)
{
	put(o, "method", a->target);
	put(o, "text", a->text);
	put(o, "from", a->from);
	put_fcc(o, a);
	put_list(o, "options", a->options, a->noptions);
	json_object_set_new(o, "importance", json_integer(a->importance));
}

/* RFC 6009: until when, as a moment, and whether it comes back then. */
static void put_deliver_by(json_t *o, const struct sieve_action *a, int64_t now)
{
	uint64_t seconds;
	int64_t moment;

	if (!a->by_time.len)
		return;
	if (pb_str_u64(a->by_time, 1000000000, &seconds) == 0)
		moment = now + (int64_t)seconds * PB_SECOND;
	else if (pb_date_iso_parse(a->by_time, &moment))
		return;
	json_object_set_new(o, "deliver_by", json_integer(moment));
	put_true(o, "deliver_or_return", pb_str_ieq(a->by_mode, PB_STR("return")));
}

static void put_redirect(json_t *o, const struct sieve_action *a, int64_t now)
{
	put(o, "address", a->list ? list_group(a->target) : a->target);
	put(o, "notify", a->notify);
	put(o, "ret", a->ret);
	put_deliver_by(o, a, now);
	put_true(o, "by_trace", a->by_trace);
	put_true(o, "list", a->list);
}

json_t *action_json(const struct sieve_action *a, unsigned version, struct pb_str owner, int64_t now)
{
	static const char *const names[] = { "keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation", "notify", NULL };
	json_t *o = json_object();

	json_object_set_new(o, "do", names[a->kind] ? json_string(names[a->kind]) : json_text(a->name));
	json_object_set_new(o, "scope", json_string(owner.ptr[0] == 'g' ? "global" : owner.ptr[0] == 'p' ? "postoffice" : "mailbox"));
	put_true(o, "copy", a->copy);
	if (version)
		json_object_set_new(o, "version", json_integer(version));
	if (a->has_flags)
		put_list(o, "flags", a->flags, a->nflags);
	switch (a->kind) {
	case SIEVE_FILEINTO:
		put_folder(o, a);
		break;
	case SIEVE_REDIRECT:
		put_redirect(o, a, now);
		break;
	case SIEVE_VACATION:
		put_vacation(o, a);
		break;
	case SIEVE_NOTIFY:
		put_notify(o, a);
		break;
	case SIEVE_POSTBUS:
		put(o, "argument", a->target);
		break;
	default:
		put(o, "text", a->text);
	}
	return o;
}
