/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What robots, lists and bulk mail look like. */
#include <postbus/address.h>
#include <postbus/message.h>
#include "notices/automatic.h"

static bool is_robot(struct pb_str sender)
{
	static const char *const locals[] = { "mailer-daemon", "listserv", "majordomo", "noreply", "no-reply", "donotreply", "postmaster", "bounce", "bounces", NULL };
	struct pb_str local, domain;

	if (!pb_address_split(sender, &local, &domain))
		return true;
	for (size_t i = 0; locals[i]; i++)
		if (pb_str_ieq(local, pb_strz(locals[i])))
			return true;
	return pb_str_istarts(local, PB_STR("owner-")) || pb_str_iends(local, PB_STR("-owner")) || pb_str_iends(local, PB_STR("-request")) || pb_str_istarts(local, PB_STR("bounce-")) ||
	       pb_str_iends(local, PB_STR("-bounces")) || pb_str_iends(local, PB_STR("-relay"));
}

static bool has(struct pb_str value, const char *word)
{
	return pb_str_isearch(value, pb_strz(word), 0) >= 0;
}

static bool is_no_letter(const struct pb_field *field)
{
	struct pb_str value = pb_str_trim(field->value), main = pb_value_main(value);

	if (pb_str_ieq(field->name, PB_STR("Auto-Submitted")))
		return !pb_str_ieq(main, PB_STR("no"));
	if (pb_str_ieq(field->name, PB_STR("Precedence")))
		return pb_str_ieq(value, PB_STR("bulk")) || pb_str_ieq(value, PB_STR("list")) || pb_str_ieq(value, PB_STR("junk"));
	if (pb_str_ieq(field->name, PB_STR("X-Auto-Response-Suppress")))
		return has(value, "all") || has(value, "oof") || has(value, "autoreply");
	if (pb_str_ieq(field->name, PB_STR("X-Spam-Flag")))
		return pb_str_ieq(value, PB_STR("yes"));
	if (pb_str_ieq(field->name, PB_STR("Content-Type")))
		return pb_str_ieq(main, PB_STR("multipart/report"));
	return pb_str_istarts(field->name, PB_STR("List-"));
}

bool automatic_is(struct pb_str header)
{
	struct pb_str value;

	return pb_header_find(header, PB_STR("Auto-Submitted"), &value) && !pb_str_ieq(pb_value_main(pb_str_trim(value)), PB_STR("no"));
}

const char *automatic_why_not(struct pb_str sender, struct pb_str header)
{
	struct pb_field field;

	if (!sender.len)
		return "the message has no sender";
	if (is_robot(sender))
		return "the sender is a program";
	while (pb_header_next(&header, &field))
		if (is_no_letter(&field))
			return "the message came from a list or a program";
	return NULL;
}
