/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Received field's words; its form is libpostbus's. What a client says about itself stands there only where it has the form of a name or literal. */
#include <postbus/address.h>
#include <postbus/message.h>
#include "mailproto/received.h"

/* RFC 3848 and RFC 6531: "with" tells how it came. */
static struct pb_str protocol(const struct received *r)
{
	static const char *const esmtp[] = { "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA" };
	static const char *const lmtp[] = { "LMTP", "LMTPA", "LMTPS", "LMTPSA" };
	static const char *const utf8_lmtp[] = { "UTF8LMTP", "UTF8LMTPA", "UTF8LMTPS", "UTF8LMTPSA" };
	static const char *const utf8[] = { "UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA" };
	unsigned which = (r->tls.len ? 2 : 0) + (r->authenticated ? 1 : 0);

	if (r->lmtp)
		return pb_strz(r->utf8 ? utf8_lmtp[which] : lmtp[which]);
	if (r->utf8)
		return pb_strz(utf8[which]);
	return r->esmtp ? pb_strz(esmtp[which]) : PB_STR("SMTP");
}

static bool presentable(struct pb_str helo, bool utf8)
{
	struct pb_str address;

	if (helo.len && helo.ptr[0] == '[')
		return pb_literal_parse(helo, &address) == 0;
	return pb_domain_check(helo, utf8 ? PB_PATH_UTF8 : 0, NULL) == 0;
}

void received_build(struct pb_buf *out, const struct received *r)
{
	struct pb_received field = {
		.helo = presentable(r->helo, r->utf8) ? r->helo : PB_NOSTR, .client = r->client, .by = r->hostname, .with = protocol(r), .tls = r->tls,
		.id = r->id, .rcpt = r->recipient, .moment = r->now, .zone = r->zone,
	};

	pb_buf_reserve(out, 512);
	pb_received_add(out, &field);
}
