/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * POP3 as its client (RFC 1939, 2449, 2595, 5034), with questions ahead where CAPA says PIPELINING. Nothing that the server says is believed further than it
 * can be checked: sizes are hints, ids may be missing, double or new each time, numbers may be anything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/secret.h>
#include "remote.h"
#include "sasl.h"

enum { AHEAD = 64, DELE_AHEAD = 200 };

struct pop3 {
	struct remote r;
	struct pb_buf mechanisms;	/* of CAPA SASL: " PLAIN SCRAM-SHA-256 " */
	char stamp[256];		/* of the greeting, for APOP; or empty */
	bool capa, stls, uidl, top, user, pipelining, resp_codes;
};

static struct pop3 *pop3_of(struct remote *r)
{
	return (struct pop3 *)r;
}

/* ---- replies ---- */

/* RFC 2449 8, 3206: what a refusal means. */
static enum pb_code meaning(struct pb_str text, enum pb_code otherwise)
{
	static const struct { const char *code; enum pb_code means; } codes[] = {
		{ "[IN-USE", PB_EBUSY }, { "[LOGIN-DELAY", PB_EBUSY }, { "[SYS/TEMP", PB_EBUSY }, { "[SYS/PERM", PB_EDENIED }, { "[AUTH", PB_EDENIED },
	};

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (pb_str_istarts(text, pb_strz(codes[i].code)))
			return codes[i].means;
	return otherwise;
}

/* A status line: 0 for +OK, refused for -ERR (or what its code means), PB_EINVALID for what is neither: then nothing that follows can be understood. */
static int status(struct pop3 *p, enum pb_code refused, struct pb_str *ret_text, struct pb_error *err)
{
	struct pb_str line;
	int rc = channel_line(p->r.channel, &line, err);

	if (rc)
		return rc;
	if (pb_str_istarts(line, PB_STR("+OK"))) {
		if (ret_text)
			*ret_text = pb_str_trim(pb_str_skip(line, 3));
		return 0;
	}
	keep_words(p->r.said, sizeof p->r.said, line);
	if (pb_str_istarts(line, PB_STR("-ERR")))
		return pb_fail(err, refused == PB_ENOTFOUND ? PB_ENOTFOUND : meaning(pb_str_trim(pb_str_skip(line, 4)), refused), "the server says: %s", p->r.said);
	return pb_fail(err, PB_EINVALID, "the server breaks the protocol: '%s' where +OK or -ERR has to be", p->r.said);
}

/* ---- what it can do ---- */

static void learn(struct pop3 *p, struct pb_str line)
{
	struct pb_str word;

	if (!pb_str_word(&line, &word))
		return;
	p->stls |= pb_str_ieq(word, PB_STR("STLS"));
	p->uidl |= pb_str_ieq(word, PB_STR("UIDL"));
	p->top |= pb_str_ieq(word, PB_STR("TOP"));
	p->user |= pb_str_ieq(word, PB_STR("USER"));
	p->pipelining |= pb_str_ieq(word, PB_STR("PIPELINING"));
	if (pb_str_ieq(word, PB_STR("SASL")) && line.len < 1000) {
		pb_buf_reset(&p->mechanisms);
		pb_buf_addc(&p->mechanisms, ' ');
		while (pb_str_word(&line, &word)) {
			pb_buf_addstr(&p->mechanisms, word);
			pb_buf_addc(&p->mechanisms, ' ');
		}
	}
}

/* Lines up to the dot; none of them begins with one. */
static int each_line(struct pop3 *p, size_t max, int (*visit)(void *arg, struct pb_str line, struct pb_error *err), void *arg, struct pb_error *err)
{
	struct pb_str line;
	size_t n = 0;
	int rc;

	for (;;) {
		rc = channel_line(p->r.channel, &line, err);
		if (rc || pb_str_eq(line, PB_STR(".")))
			return rc;
		if (++n > max)
			return pb_fail(err, PB_ETOOBIG, "a list of more than %zu lines", max);
		rc = visit(arg, line, err);
		if (rc)
			return rc;
	}
}

static int learn_line(void *arg, struct pb_str line, struct pb_error *err)
{
	(void)err;
	learn(arg, line);
	return 0;
}

static int capabilities(struct pop3 *p, struct pb_error *err)
{
	struct pb_error no;
	int rc;

	p->capa = p->stls = p->uidl = p->top = p->user = p->pipelining = false;
	pb_buf_reset(&p->mechanisms);
	channel_putf(p->r.channel, "CAPA\r\n");
	rc = status(p, PB_ENOTFOUND, NULL, &no);
	if (rc == PB_ENOTFOUND) {	/* an old server: what can be tried is tried */
		p->user = p->uidl = p->top = true;
		return 0;
	}
	if (rc) {
		*err = no;
		return rc;
	}
	p->capa = true;
	return each_line(p, 1000, learn_line, p, err);
}

/* ---- coming in ---- */

static int greeting(struct pop3 *p, struct pb_error *err)
{
	struct pb_str text;
	long from, to;
	int rc = status(p, PB_EBUSY, &text, err);

	if (rc)
		return pb_because(err, "greeting");
	from = pb_str_find(text, '<', 0);
	to = from < 0 ? -1 : pb_str_find(text, '>', (size_t)from);
	p->stamp[0] = '\0';
	if (to > from && to - from < (long)sizeof p->stamp - 1)		/* RFC 1939 7: the msg-id that APOP hashes */
		snprintf(p->stamp, sizeof p->stamp, "%.*s", (int)(to - from + 1), text.ptr + from);
	return 0;
}

static int start_tls(struct pop3 *p, struct pb_error *err)
{
	int rc;

	if (!p->stls && p->capa)
		return pb_fail(err, PB_EUNAVAILABLE, "the server offers no STLS, and without TLS nobody logs in");
	channel_putf(p->r.channel, "STLS\r\n");
	rc = status(p, PB_EUNAVAILABLE, NULL, err);
	if (!rc && channel_has_more(p->r.channel))	/* what was said in the clear must not count under TLS */
		rc = pb_fail(err, PB_EINVALID, "the server says more in the clear than its answer to STLS");
	if (!rc)
		rc = p->r.starttls(p->r.arg, err);
	return rc ? rc : capabilities(p, err);
}

static bool offers(const struct pop3 *p, const char *mechanism)
{
	PB_AUTOBUF(word);

	pb_buf_addf(&word, " %s ", mechanism);
	return pb_str_isearch(pb_buf_str(&p->mechanisms), pb_buf_str(&word), 0) >= 0;
}

static int login_user(struct pop3 *p, const struct login *l, struct pb_error *err)
{
	int rc;

	channel_putf(p->r.channel, "USER %.*s\r\n", PB_FMT(l->user));
	rc = status(p, PB_EDENIED, NULL, err);
	if (rc)
		return rc;
	channel_put(p->r.channel, PB_STR("PASS "));
	channel_put(p->r.channel, l->password);
	channel_put(p->r.channel, PB_STR("\r\n"));
	return status(p, PB_EDENIED, NULL, err);
}

static int login_apop(struct pop3 *p, const struct login *l, struct pb_error *err)
{
	char digest[33];

	if (!p->stamp[0])
		return pb_fail(err, PB_EUNAVAILABLE, "the server's greeting has no time stamp, and APOP needs one");
	apop_digest(pb_strz(p->stamp), l->password, digest);
	channel_putf(p->r.channel, "APOP %.*s %s\r\n", PB_FMT(l->user), digest);
	return status(p, PB_EDENIED, NULL, err);
}

/* RFC 5034 4: the initial response in the command where it fits into one, challenges behind "+ ". */
static int login_sasl(struct pop3 *p, const char *mechanism, const struct login *l, struct pb_error *err)
{
	struct sasl *sasl = sasl_new(mechanism, l);
	struct pb_str line;
	PB_AUTOBUF(out);
	int rc = sasl_first(sasl, &out, err);

	if (!rc && out.len < 200)
		channel_putf(p->r.channel, "AUTH %s %s\r\n", mechanism, out.len ? pb_buf_z(&out) : "=");
	else if (!rc)
		channel_putf(p->r.channel, "AUTH %s\r\n", mechanism);
	for (bool sent = out.len < 200; !rc; sent = true) {
		rc = channel_line(p->r.channel, &line, err);
		if (rc || !pb_str_starts(line, PB_STR("+ ")))
			break;
		if (sent) {
			pb_buf_reset(&out);
			rc = sasl_next(sasl, pb_str_skip(line, 2), &out, err);
		}
		channel_put(p->r.channel, rc ? PB_STR("*") : pb_buf_str(&out));
		channel_put(p->r.channel, PB_STR("\r\n"));
	}
	if (!rc && pb_str_istarts(line, PB_STR("+OK"))) {
		rc = sasl_done(sasl, err);
	} else if (!rc) {
		keep_words(p->r.said, sizeof p->r.said, line);
		rc = pb_fail(err, pb_str_istarts(line, PB_STR("-ERR")) ? meaning(pb_str_trim(pb_str_skip(line, 4)), PB_EDENIED) : PB_EINVALID, "the server says: %s", p->r.said);
	}
	pb_wipe(out.ptr, out.len);
	sasl_free(sasl);
	return rc;
}

/* What says least to who listens comes first; what the account's setting names is the only one. */
static const char *choose(struct pop3 *p, const struct login *l, struct pb_error *err)
{
	bool is_auto = pb_str_eq(l->auth, PB_STR("auto"));

	if (l->token.len && is_auto)
		return offers(p, "OAUTHBEARER") || !offers(p, "XOAUTH2") ? "OAUTHBEARER" : "XOAUTH2";
	if (pb_str_eq(l->auth, PB_STR("oauthbearer")))
		return "OAUTHBEARER";
	if (pb_str_eq(l->auth, PB_STR("xoauth2")))
		return "XOAUTH2";
	if (pb_str_eq(l->auth, PB_STR("plain")))
		return "PLAIN";
	if (pb_str_eq(l->auth, PB_STR("user")) || pb_str_eq(l->auth, PB_STR("apop")))
		return pb_str_eq(l->auth, PB_STR("user")) ? "USER" : "APOP";
	if (offers(p, "SCRAM-SHA-256"))
		return "SCRAM-SHA-256";
	if (offers(p, "SCRAM-SHA-1"))
		return "SCRAM-SHA-1";
	if (!is_auto) {
		pb_fail(err, PB_EUNAVAILABLE, "the server offers no SCRAM");
		return NULL;
	}
	if (p->stamp[0] && !p->r.implicit_tls && !p->r.starttls)
		return "APOP";
	return p->user || !offers(p, "PLAIN") ? "USER" : "PLAIN";
}

static int log_in(struct pop3 *p, const struct login *l, struct pb_error *err)
{
	const char *method = choose(p, l, err);
	int rc;

	if (!method)
		return err->code;
	snprintf(p->r.method, sizeof p->r.method, "%s", method);
	if (!strcmp(method, "USER"))
		rc = login_user(p, l, err);
	else if (!strcmp(method, "APOP"))
		rc = login_apop(p, l, err);
	else
		rc = login_sasl(p, method, l, err);
	return rc ? pb_because(err, "login by %s", method) : 0;
}

static int open_session(struct remote *r, const struct login *l, struct pb_error *err)
{
	struct pop3 *p = pop3_of(r);
	int rc = greeting(p, err);

	if (!rc)
		rc = capabilities(p, err);
	if (!rc && r->starttls)
		rc = start_tls(p, err);
	if (!rc)
		rc = log_in(p, l, err);
	r->ahead = p->pipelining && !r->slow ? AHEAD : 1;
	r->can_head = p->top;
	return rc;
}

/* ---- the list ---- */

static bool number_of(struct pb_str *line, uint32_t *ret)
{
	struct pb_str word;
	uint64_t n;

	if (!pb_str_word(line, &word) || pb_str_u64(word, UINT32_MAX, &n) || !n)
		return false;
	*ret = (uint32_t)n;
	return true;
}

/* Messages come in the order of their numbers; a server that says otherwise, or says one twice, is not believed. */
static int size_line(void *arg, struct pb_str line, struct pb_error *err)
{
	struct listing *l = arg;
	struct listed *one;
	struct pb_str word;
	uint32_t number;
	uint64_t size = 0;

	if (!number_of(&line, &number))
		return pb_fail(err, PB_EINVALID, "a line in LIST that has no number");
	if (l->n && number <= l->list[l->n - 1].number)
		return pb_fail(err, PB_EINVALID, "LIST has message %u behind message %u", number, l->list[l->n - 1].number);
	if (pb_str_word(&line, &word))
		pb_str_u64(word, UINT64_MAX, &size);
	one = listing_add(l, number);
	one->size = size;
	return 0;
}

static struct listed *find(struct listing *l, uint32_t number)
{
	size_t from = 0, to = l->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (l->list[mid].number < number)
			from = mid + 1;
		else
			to = mid;
	}
	return from < l->n && l->list[from].number == number ? &l->list[from] : NULL;
}

/* An id of a message that LIST does not have is passed over. */
static int uid_line(void *arg, struct pb_str line, struct pb_error *err)
{
	struct listing *l = arg;
	struct listed *one;
	struct pb_str uid;
	uint32_t number;

	if (!number_of(&line, &number))
		return pb_fail(err, PB_EINVALID, "a line in UIDL that has no number");
	one = find(l, number);
	if (!one || one->uid_len || !pb_str_word(&line, &uid) || uid.len > UID_MAX)
		return 0;
	one->uid_at = (uint32_t)l->uids.len;
	one->uid_len = (uint32_t)uid.len;
	pb_buf_addstr(&l->uids, uid);
	l->has_uids = true;
	return 0;
}

static int list(struct remote *r, struct listing *ret, struct pb_error *err)
{
	struct pop3 *p = pop3_of(r);
	bool both = r->ahead > 1;
	int rc;

	channel_putf(r->channel, both ? "LIST\r\nUIDL\r\n" : "LIST\r\n");
	rc = status(p, PB_EUNAVAILABLE, NULL, err);
	if (!rc)
		rc = each_line(p, LISTED_MAX, size_line, ret, err);
	if (rc)
		return pb_because(err, "LIST");
	if (!both)
		channel_putf(r->channel, "UIDL\r\n");
	rc = status(p, PB_ENOTFOUND, NULL, err);
	if (rc == PB_ENOTFOUND)		/* it has none: messages are known by what stands in them */
		return 0;
	if (!rc)
		rc = each_line(p, LISTED_MAX, uid_line, ret, err);
	return rc ? pb_because(err, "UIDL") : 0;
}

/* ---- messages ---- */

static void ask_body(struct remote *r, const struct listing *l, const struct listed *one)
{
	(void)l;
	channel_putf(r->channel, "RETR %u\r\n", one->number);
}

static void ask_head(struct remote *r, const struct listing *l, const struct listed *one)
{
	(void)l;
	channel_putf(r->channel, "TOP %u 0\r\n", one->number);
}

static int body(struct remote *r, struct sink *sink, struct pb_error *err)
{
	int rc = status(pop3_of(r), PB_ENOTFOUND, NULL, err);

	return rc ? rc : channel_dot(r->channel, sink, err);
}

static int remove_all(struct remote *r, const struct listing *l, const struct listed *const *all, size_t n, size_t *ret_gone, struct pb_error *err)
{
	size_t most = r->ahead > 1 ? DELE_AHEAD : 1, asked = 0, gone = 0;

	(void)l;
	for (size_t i = 0; i < n; i++) {
		int rc;

		for (; asked < n && asked - i < most; asked++)
			channel_putf(r->channel, "DELE %u\r\n", all[asked]->number);
		rc = status(pop3_of(r), PB_ENOTFOUND, NULL, err);
		if (rc && rc != PB_ENOTFOUND)
			return pb_because(err, "DELE");
		gone += rc == 0;
	}
	*ret_gone = gone;
	return 0;
}

static int close_session(struct remote *r, struct pb_error *err)
{
	int rc;

	channel_putf(r->channel, "QUIT\r\n");
	rc = status(pop3_of(r), PB_EUNAVAILABLE, NULL, err);
	return rc ? pb_because(err, "QUIT") : 0;
}

static void free_session(struct remote *r)
{
	struct pop3 *p = pop3_of(r);

	pb_buf_free(&p->mechanisms);
	free(p);
}

static const struct remote_ops pop3_ops = {
	.open = open_session, .list = list, .ask_body = ask_body, .ask_head = ask_head, .body = body, .head = body, .remove = remove_all, .close = close_session,
	.free = free_session,
};

struct remote *pop3_new(struct channel *c)
{
	struct pop3 *p = pb_alloc(sizeof *p);

	p->r.ops = &pop3_ops;
	p->r.channel = c;
	p->r.ahead = 1;
	return &p->r;
}
