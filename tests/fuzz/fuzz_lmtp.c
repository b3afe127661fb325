/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes LMTP sessions: lines as a client writes them go to svc_lmtp's own command table, over a directory and a queue that are not there.
 * What must hold: one reply for each command, and behind the data one for each RCPT that was answered 250; "250" only for recipients of the item
 * that was queued; and all is given back at the end. Framing is fuzz_framing.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugins/svc_lmtp/lmtp.h"
#include "sdk/src/host_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

struct pb_host { struct pb_handle handle; };
struct pb_mailbox { struct pb_handle handle; char kind; };
struct pb_spool { struct pb_handle handle; struct pb_buf bytes; };

struct pb_session {
	struct pb_handle handle;
	struct pb_host *host;
	const struct pb_protocol *protocol;
	void *self, *data;
	struct pb_str input;		/* what is not read yet */
	struct pb_buf out;		/* of one command */
	unsigned state, accepted;	/* RCPTs that were answered 250 in this transaction */
	size_t queued;			/* recipients of the item, of this command */
	bool tls, in_data;
};

static int opened;

static struct pb_str hostname(struct pb_host *h) { (void)h; return PB_STR("mail.example"); }
static void count(struct pb_host *h, const char *metric, int64_t n) { (void)h; (void)metric; (void)n; }
static int64_t now(struct pb_host *h) { (void)h; return 1700000000000000; }

static int64_t config_int(struct pb_host *h, const char *key)
{
	(void)h;
	return !strcmp(key, "size_max") ? 65536 : !strcmp(key, "header_max") ? 4096 : !strcmp(key, "recipients_max") ? 5 : 10;
}

static const json_t *config_json(struct pb_host *h, const char *key) { (void)h; (void)key; return NULL; }

/* By the first letter of the address: what becomes of it. */
static int resolve(const char *address, json_t **ret, struct pb_error *err)
{
	switch (*address) {
	case 'n':
		return pb_fail(err, PB_ENOTFOUND, "no such address");
	case 'd':
		return pb_fail(err, PB_EDENIED, "disabled");
	case 'u':
		return pb_fail(err, PB_EUNAVAILABLE, "not now");
	case 'g':
		*ret = json_pack("{s:b s:s}", "local", 1, "kind", "group");
		return 0;
	case 'r':
		*ret = json_pack("{s:b s:s}", "local", 0, "kind", "remote");
		return 0;
	default:
		*ret = json_pack("{s:b s:s s:s%}", "local", 1, "kind", "mailbox", "mailbox", address, (size_t)1);
		return 0;
	}
}

static int call(struct pb_host *h, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	const char *mailbox = json_string_value(json_object_get(params, "mailbox")), *address = json_string_value(json_object_get(params, "address"));

	(void)h;
	if (!strcmp(method, "directory.resolve")) {
		MUST(address && strchr(address, '@'));
		return resolve(address, ret, err);
	}
	MUST(!strcmp(method, "directory.mailbox") && mailbox);
	if (*mailbox == 'x')
		return pb_fail(err, PB_EUNAVAILABLE, "not now");
	*ret = json_pack("{s:i s:i s:[] s:{s:s}}", "quota_messages", *mailbox == 'f' ? 5 : 0, "quota_bytes", *mailbox == 'q' ? 300 : 0, "redirect", "policy", "quota_full",
			 *mailbox == 'h' ? "hold" : "bounce");
	return 0;
}

static int mailbox_open(struct pb_host *h, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err)
{
	(void)err;
	MUST(id.len);
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = h->handle;
	(*ret)->kind = id.ptr[0];
	opened++;
	return 0;
}

static int mailbox_usage(struct pb_mailbox *mb, uint64_t *messages, uint64_t *bytes, struct pb_error *err)
{
	(void)mb; (void)err;
	*messages = 5;
	*bytes = 10;
	return 0;
}

static void mailbox_close(struct pb_mailbox *mb) { opened--; free(mb); }

static struct pb_spool *spool_begin(struct pb_host *h, uint64_t limit, struct pb_error *err)
{
	struct pb_spool *spool = pb_alloc(sizeof *spool);

	(void)limit; (void)err;
	spool->handle = h->handle;
	opened++;
	return spool;
}

static const char *spool_id(const struct pb_spool *spool) { (void)spool; return "Q1"; }
static void spool_write(struct pb_spool *spool, const void *ptr, size_t len) { pb_buf_add(&spool->bytes, ptr, len); }
static uint64_t spool_size(const struct pb_spool *spool) { return spool->bytes.len; }
static int spool_check(struct pb_spool *spool, struct pb_error *err) { (void)spool; (void)err; return 0; }
static int spool_view(struct pb_spool *spool, struct pb_str *ret, struct pb_error *err) { (void)err; *ret = pb_buf_str(&spool->bytes); return 0; }
static void spool_discard(struct pb_spool *spool) { opened--; pb_buf_free(&spool->bytes); free(spool); }

static struct pb_session *running;	/* the one session: what is queued is told to it */

static int queue_accept(struct pb_host *h, const struct pb_envelope *env, struct pb_spool *spool, char *ret_id, struct pb_error *err)
{
	bool broken = pb_str_search(pb_buf_str(&spool->bytes), PB_STR("broken"), 0) >= 0;

	(void)h;
	MUST(env->nrcpts && pb_str_starts(pb_buf_str(&spool->bytes), PB_STR("Received: ")));
	for (size_t i = 0; i < env->nrcpts; i++) {
		MUST(env->rcpts[i]->address.ptr[0] != 'f');
		for (size_t k = 0; k < i; k++)
			MUST(!pb_str_eq(env->rcpts[i]->address, env->rcpts[k]->address));
	}
	spool_discard(spool);
	if (broken)
		return pb_fail(err, PB_EFULL, "no room");
	running->queued = env->nrcpts;
	memcpy(ret_id, "Q1", 3);
	return 0;
}

static void *session_data(struct pb_session *s) { return s->data; }
static void *session_self(struct pb_session *s) { return s->self; }
static struct pb_host *session_host(struct pb_session *s) { return s->host; }
static unsigned session_state(struct pb_session *s) { return s->state; }
static void session_set_state(struct pb_session *s, unsigned state) { s->state = state; }
static struct pb_str session_peer(struct pb_session *s) { (void)s; return PB_STR("unix"); }
static bool session_is_tls(struct pb_session *s) { return s->tls; }
static bool session_can_tls(struct pb_session *s) { return !s->tls; }
static struct pb_str session_tls_info(struct pb_session *s) { return s->tls ? PB_STR("TLS1.3") : PB_NOSTR; }
static void session_error(struct pb_session *s) { (void)s; }
static bool session_is_dead(struct pb_session *s) { (void)s; return false; }
static void put(struct pb_session *s, const void *ptr, size_t len) { pb_buf_add(&s->out, ptr, len); }
static int starttls(struct pb_session *s) { MUST(!s->tls); s->tls = true; s->accepted = 0; s->protocol->secured(s); return PB_NEXT; }

static void session_log_text(struct pb_session *s, enum pb_level level, const char *event, const char *text)
{
	(void)s; (void)level;
	MUST(*event && !strchr(text, '\n') && !strchr(text, '\r'));
}

/* The next line without its end; false at the end. */
static bool next_line(struct pb_session *s, struct pb_str *ret)
{
	if (!s->input.len)
		return false;
	pb_str_cut(&s->input, '\n', ret);
	if (ret->len && ret->ptr[ret->len - 1] == '\r')
		ret->len--;
	return true;
}

static int read_dot(struct pb_session *s, struct pb_spool *spool)
{
	struct pb_str line;
	int rc = 0;

	s->in_data = true;
	while (next_line(s, &line)) {
		if (pb_str_eq(line, PB_STR(".")))
			return rc;
		if (memchr(line.ptr, '\r', line.len) || memchr(line.ptr, 0, line.len))
			rc = PB_EINVALID;
		pb_spool_write(spool, line.ptr, line.len);
		pb_spool_write(spool, "\r\n", 2);
	}
	return PB_ECLOSED;
}

static const struct pb_host_ops ops = {
	.hostname = hostname, .config_int = config_int, .config_json = config_json, .count = count, .now = now, .call = call, .mailbox_open = mailbox_open,
	.mailbox_usage = mailbox_usage, .mailbox_close = mailbox_close, .spool_begin = spool_begin, .spool_id = spool_id, .spool_write = spool_write,
	.spool_size = spool_size, .spool_check = spool_check, .spool_view = spool_view, .spool_discard = spool_discard, .queue_accept = queue_accept,
	.session_data = session_data, .session_self = session_self, .session_host = session_host, .session_state = session_state,
	.session_set_state = session_set_state, .session_peer = session_peer, .session_is_tls = session_is_tls, .session_can_tls = session_can_tls,
	.session_tls_info = session_tls_info, .session_error = session_error, .session_is_dead = session_is_dead, .put = put, .read_dot = read_dot,
	.starttls = starttls, .session_log_text = session_log_text,
};

extern const struct pb_plugin svc_lmtp_LTX_pb_plugin;

static int run_line(struct pb_session *s, struct pb_str line)
{
	struct pb_str args = line, verb;

	pb_str_cut(&args, ' ', &verb);
	for (const struct pb_command *c = s->protocol->commands; c->name; c++) {
		if (!pb_str_ieq(verb, pb_strz(c->name)))
			continue;
		if (!(c->allowed & s->state))
			return s->protocol->refuse(s, PB_REFUSE_STATE, verb, args);
		if ((c->flags & PB_BEFORE_TLS) && s->tls)
			return s->protocol->refuse(s, PB_REFUSE_TLS_ON, verb, args);
		return c->run(s, args);
	}
	return s->protocol->refuse(s, PB_REFUSE_UNKNOWN, verb, args);
}

/* How many replies these are (the lines "250-" are part of one), and how many of them are 250. */
static size_t replies(struct pb_str out, size_t *ret_ok)
{
	struct pb_str line;
	size_t n = 0;

	*ret_ok = 0;
	while (out.len) {
		pb_str_cut(&out, '\n', &line);
		MUST(line.len > 4 && line.ptr[line.len - 1] == '\r' && pb_is_digit(line.ptr[0]) && pb_is_digit(line.ptr[1]) && pb_is_digit(line.ptr[2]));
		MUST(line.ptr[3] == ' ' || line.ptr[3] == '-');
		n += line.ptr[3] == ' ';
		*ret_ok += pb_str_starts(line, PB_STR("250 "));
	}
	return n;
}

static void check_answer(struct pb_session *s, struct pb_str line, int rc)
{
	struct pb_str out = pb_buf_str(&s->out);
	size_t ok, n = replies(out, &ok);

	if (!s->in_data) {
		MUST(n == 1);
		s->accepted += pb_str_istarts(line, PB_STR("RCPT ")) && ok;
		if (s->state != MAIL)
			s->accepted = 0;
		return;
	}
	MUST(pb_str_starts(out, PB_STR("354 ")) && s->accepted);
	MUST(rc == PB_CLOSE ? n == 1 : n == 1 + s->accepted);
	MUST(ok >= s->queued && (s->queued || !ok) && s->state == GREETED);
	s->accepted = 0;
}

static void converse(struct pb_session *s)
{
	struct pb_str line;
	int rc = s->protocol->greet(s);

	while (rc != PB_CLOSE && next_line(s, &line)) {
		if (line.len > 2000 || memchr(line.ptr, '\r', line.len) || memchr(line.ptr, 0, line.len))
			continue;	/* the framework's */
		pb_buf_reset(&s->out);
		s->in_data = false;
		s->queued = 0;
		rc = run_line(s, line);
		if (rc != PB_CLOSE || !s->in_data)
			check_answer(s, line, rc);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "LHLO c.example\nMAIL FROM:<>\nRCPT TO:<a@b.example>\nRCPT TO:<f@b.example>\nRCPT TO:<q@b.example>\nRCPT TO:<a@b.example>\nDATA\n";
	struct pb_host host = { { &ops } };

	for (int with_begin = 0; with_begin < 2; with_begin++) {
		struct pb_session *s = running = pb_alloc(sizeof *s);
		PB_AUTOBUF(text);

		if (with_begin)
			pb_buf_addz(&text, begin);
		pb_buf_add(&text, data, size);
		MUST(!svc_lmtp_LTX_pb_plugin.load(&host, &s->self, NULL));
		s->handle.ops = &ops;
		s->host = &host;
		s->protocol = svc_lmtp_LTX_pb_plugin.protocols[0];
		s->data = pb_alloc(s->protocol->session_size);
		s->state = s->protocol->first_state;
		s->input = pb_buf_str(&text);
		converse(s);
		s->protocol->closed(s);
		MUST(opened == 0);
		svc_lmtp_LTX_pb_plugin.unload(s->self);
		pb_buf_free(&s->out);
		free(s->data);
		free(s);
	}
	return 0;
}
