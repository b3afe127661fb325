/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Coming into an IMAP session: greeting, STARTTLS, LOGIN or AUTHENTICATE (RFC 3501 6.2, RFC 4959 SASL-IR). */
#include <stdio.h>
#include "imap.h"
#include "imap_text.h"
#include "sasl.h"

static int learn(struct imap *m, void *arg, struct pb_str line, struct pb_error *err)
{
	struct pb_str word;

	(void)arg;
	(void)err;
	if (!pb_str_word(&line, &word) || !pb_str_ieq(word, PB_STR("CAPABILITY")))
		return 0;
	pb_buf_reset(&m->capabilities);
	pb_buf_addc(&m->capabilities, ' ');
	while (pb_str_word(&line, &word)) {
		pb_buf_addstr(&m->capabilities, word);
		pb_buf_addc(&m->capabilities, ' ');
	}
	return 0;
}

static int greeting(struct imap *m, struct pb_error *err)
{
	struct pb_str line;
	int rc = channel_line(m->r.channel, &line, err);

	if (!rc && !pb_str_istarts(line, PB_STR("* OK")))
		rc = imap_refusal(m, line, pb_str_istarts(line, PB_STR("* BYE")) ? PB_EBUSY : PB_EINVALID, err);
	return rc ? pb_because(err, "greeting") : 0;
}

static int start_tls(struct imap *m, struct pb_error *err)
{
	int rc;

	if (!imap_can(m, "STARTTLS"))
		return pb_fail(err, PB_EUNAVAILABLE, "the server offers no STARTTLS, and without TLS nobody logs in");
	rc = imap_command(m, "STARTTLS", PB_EUNAVAILABLE, NULL, NULL, err);
	if (!rc && channel_has_more(m->r.channel))
		rc = pb_fail(err, PB_EINVALID, "the server says more in the clear than its answer to STARTTLS");
	if (!rc)
		rc = m->r.starttls(m->r.arg, err);
	return rc ? rc : imap_command(m, "CAPABILITY", PB_EUNAVAILABLE, learn, NULL, err);
}

static int login_clear(struct imap *m, const struct login *l, struct pb_error *err)
{
	PB_AUTOBUF(line);
	int rc;

	if (imap_can(m, "LOGINDISABLED"))
		return pb_fail(err, PB_EUNAVAILABLE, "the server takes no passwords over this connection");
	pb_buf_addz(&line, "LOGIN ");
	imap_quote(&line, l->user);
	pb_buf_addc(&line, ' ');
	imap_quote(&line, l->password);
	rc = imap_command(m, pb_buf_z(&line), PB_EDENIED, learn, NULL, err);
	pb_wipe(line.ptr, line.len);
	return rc;
}

/* RFC 3501 6.2.2: challenges behind "+ ". */
static int login_sasl(struct imap *m, const char *mechanism, const struct login *l, struct pb_error *err)
{
	struct sasl *sasl = sasl_new(mechanism, l);
	bool ir = imap_can(m, "SASL-IR"), first = true;
	struct pb_str line;
	PB_AUTOBUF(out);
	char tag[16];
	int rc = sasl_first(sasl, &out, err);

	if (!rc) {
		channel_putf(m->r.channel, "%s AUTHENTICATE %s%s", imap_next_tag(m, tag), mechanism, ir ? " " : "");
		channel_put(m->r.channel, ir ? pb_buf_str(&out) : PB_NOSTR);
		channel_put(m->r.channel, PB_STR("\r\n"));
	}
	while (!rc) {
		const char *peek;

		/* a challenge is the only line that begins so */
		rc = channel_peek(m->r.channel, &peek, err);
		if (rc || *peek != '+')
			break;
		rc = channel_line(m->r.channel, &line, err);
		if (!rc && (ir || !first)) {
			pb_buf_reset(&out);
			rc = sasl_next(sasl, pb_str_trim(pb_str_skip(line, 1)), &out, err);
		}
		first = false;
		channel_put(m->r.channel, rc ? PB_STR("*") : pb_buf_str(&out));
		channel_put(m->r.channel, PB_STR("\r\n"));
	}
	if (!rc)
		rc = imap_finish(m, tag, PB_EDENIED, learn, NULL, err);
	if (!rc)
		rc = sasl_done(sasl, err);
	pb_wipe(out.ptr, out.len);
	sasl_free(sasl);
	return rc;
}

static const char *choose(struct imap *m, const struct login *l)
{
	static const struct { const char *setting, *method; } named[] = { { "oauthbearer", "OAUTHBEARER" }, { "xoauth2", "XOAUTH2" }, { "plain", "PLAIN" }, { "user", "LOGIN" } };

	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (pb_str_eq(l->auth, pb_strz(named[i].setting)))
			return named[i].method;
	if (l->token.len)
		return imap_can(m, "AUTH=OAUTHBEARER") || !imap_can(m, "AUTH=XOAUTH2") ? "OAUTHBEARER" : "XOAUTH2";
	if (imap_can(m, "AUTH=SCRAM-SHA-256") || pb_str_eq(l->auth, PB_STR("scram")))
		return imap_can(m, "AUTH=SCRAM-SHA-256") ? "SCRAM-SHA-256" : "SCRAM-SHA-1";
	if (imap_can(m, "AUTH=SCRAM-SHA-1"))
		return "SCRAM-SHA-1";
	return imap_can(m, "AUTH=PLAIN") ? "PLAIN" : "LOGIN";
}

int imap_open(struct remote *r, const struct login *l, struct pb_error *err)
{
	struct imap *m = imap_of(r);
	const char *method;
	int rc = greeting(m, err);

	if (!rc)
		rc = imap_command(m, "CAPABILITY", PB_EUNAVAILABLE, learn, NULL, err);
	if (!rc && r->starttls)
		rc = start_tls(m, err);
	if (rc)
		return rc;
	method = choose(m, l);
	snprintf(r->method, sizeof r->method, "%s", method);
	rc = strcmp(method, "LOGIN") ? login_sasl(m, method, l, err) : login_clear(m, l, err);
	if (rc)
		return pb_because(err, "login by %s", method);
	rc = imap_command(m, "CAPABILITY", PB_EUNAVAILABLE, learn, NULL, err);	/* it may offer more now */
	r->ahead = r->slow ? 1 : IMAP_AHEAD;
	r->can_head = true;
	r->can_idle = imap_can(m, "IDLE");
	return rc;
}
