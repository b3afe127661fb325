/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes ManageSieve sessions: bytes as a stranger writes them go to svc_managesieve's own command table, with an agent_filter that answers all sorts of things.
 * The framework's part (framing, TLS) is left to fuzz_framing.c; here tokens, literals, states and endings must hold, every answer must be one, and nobody's
 * scripts but those of the mailbox that logged in may be asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugins/svc_managesieve/managesieve.h"
#include "sdk/src/host_ops.h"
#include "tests/fuzz/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

struct pb_host { struct pb_handle handle; };

struct pb_session {
	struct pb_handle handle;
	struct pb_host *host;
	const struct pb_protocol *protocol;
	void *self, *data;
	struct pb_arena *arena;
	struct pb_str in;		/* what the client has still to say */
	unsigned state, errors;
	bool tls, logged_in, parked;
	struct pb_user user;
	int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line);
	struct pb_buf out;		/* of one command */
};

static struct pb_str hostname(struct pb_host *h) { (void)h; return PB_STR("mail.example"); }
static int64_t config_int(struct pb_host *h, const char *key)
{
	(void)h;
	return !strcmp(key, "errors_max") ? 10 : !strcmp(key, "login_delay") ? 1 : !strcmp(key, "command_max") ? 65536 : 60;
}
static bool config_bool(struct pb_host *h, const char *key) { (void)h; (void)key; return true; }
static void count(struct pb_host *h, const char *metric, int64_t n) { (void)h; (void)metric; (void)n; }

static int verify(json_t *params, json_t **ret, struct pb_error *err)
{
	const char *password = json_string_value(json_object_get(params, "password")), *login = json_string_value(json_object_get(params, "login"));

	MUST(password && login);
	if (strlen(password) % 4 == 3)
		return pb_fail(err, PB_EDENIED, "wrong");
	if (strlen(password) % 16 == 9)
		return pb_fail(err, PB_EUNAVAILABLE, "not now");
	*ret = json_pack("{s:s, s:s, s:s, s:s}", "address", "a@b.example", "mailbox", strlen(login) == 7 ? "" : "m1", "postoffice", "p", "role", "user");
	return 0;
}

/* By the name's length one error or another; a quoted name comes back cut anywhere. */
static int on_script(const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	static const int codes[] = { 0, 0, 0, PB_EINVALID, PB_ENOTFOUND, PB_EEXISTS, PB_EQUOTA, PB_ETOOBIG, PB_EBUSY, PB_EUNAVAILABLE };
	const char *name = json_string_value(json_object_get(params, "name")), *mailbox = json_string_value(json_object_get(params, "mailbox"));
	int code = name ? codes[strlen(name) % 10] : 0;

	MUST(mailbox && !strcmp(mailbox, "m1"));
	if (code)
		return pb_fail(err, code, "no '%s'", name);
	if (!ret)
		return 0;
	if (!strcmp(method, "script.list"))
		*ret = json_pack("{s:[{s:s, s:b}, {s:s, s:b}], s:i}", "scripts", "name", "a\"b", "active", 1, "name", "c", "active", 0, "limit", 2);
	else
		*ret = json_pack("{s:s}", "text", "keep;");
	return 0;
}

static int call(struct pb_host *h, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	int rc;

	(void)h;
	if (!strcmp(method, "auth.verify"))
		return verify(params, ret, err);
	if (login_scram(method, ret, &rc, err))
		return rc;
	if (!strcmp(method, "script.check") && ret) {
		*ret = json_pack("{s:s, s:s, s:i}", "extensions", "fileinto", "notify", "mailto", "redirects", 10);
		return 0;
	}
	return on_script(method, params, ret, err);
}

static int session_channel_binding(struct pb_session *s, struct pb_str type, struct pb_buf *out, struct pb_error *err)
{
	return login_channel(s->tls, type, out, err);
}

static void *session_data(struct pb_session *s) { return s->data; }
static void *session_self(struct pb_session *s) { return s->self; }
static struct pb_host *session_host(struct pb_session *s) { return s->host; }
static struct pb_arena *session_arena(struct pb_session *s) { return s->arena; }
static unsigned session_state(struct pb_session *s) { return s->state; }
static void session_set_state(struct pb_session *s, unsigned state) { s->state = state; }
static struct pb_str session_peer(struct pb_session *s) { (void)s; return PB_STR("192.0.2.1"); }
static bool session_is_tls(struct pb_session *s) { return s->tls; }
static bool session_can_tls(struct pb_session *s) { return !s->tls; }
static const struct pb_user *session_user(struct pb_session *s) { return s->logged_in ? &s->user : NULL; }

static void session_login(struct pb_session *s, const struct pb_user *user)
{
	MUST(!s->logged_in && user->address.len && user->mailbox.len);
	s->logged_in = true;
	s->user = (struct pb_user){ .address = PB_STR("a@b.example"), .mailbox = PB_STR("m1") };
}

static void session_logout(struct pb_session *s) { s->logged_in = false; }
static bool session_error_over(struct pb_session *s, unsigned max) { MUST(max); return ++s->errors >= max; }
static void session_idle(struct pb_session *s, uint32_t seconds) { (void)s; MUST(seconds); }
static void put(struct pb_session *s, const void *ptr, size_t len) { pb_buf_add(&s->out, ptr, len); }
static void flush(struct pb_session *s) { (void)s; }
static int starttls(struct pb_session *s) { MUST(!s->tls); s->tls = true; s->protocol->secured(s); return PB_NEXT; }

static int park(struct pb_session *s, int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line), unsigned wakes, int64_t timeout)
{
	MUST(woken && timeout > 0 && !s->parked);
	s->parked = true;
	s->woken = woken;
	if (wakes & PB_WAKE_LINE)
		return PB_PARKED;
	s->parked = false;
	return woken(s, PB_WAKE_TIMEOUT, PB_NOSTR);
}

static void session_log_text(struct pb_session *s, enum pb_level level, const char *event, const char *text)
{
	(void)s; (void)level;
	MUST(*event && !strchr(text, '\n') && !strchr(text, '\r'));
}

/* A line up to CRLF; one with other CR, LF or NUL is the framework's to refuse. */
static int next_line(struct pb_session *s, size_t max, struct pb_str *ret)
{
	long end = pb_str_find(s->in, '\n', 0);
	struct pb_str line;

	if (end < 0)
		return PB_ECLOSED;
	line = pb_str_head(s->in, (size_t)end);
	s->in = pb_str_skip(s->in, (size_t)end + 1);
	if (line.len >= max)
		return PB_ETOOBIG;
	if (!line.len || line.ptr[line.len - 1] != '\r' || memchr(line.ptr, '\r', line.len - 1) || memchr(line.ptr, '\0', line.len))
		return PB_EINVALID;
	*ret = pb_str_head(line, line.len - 1);
	return 0;
}

static int read_line(struct pb_session *s, size_t max, struct pb_str *ret) { return next_line(s, max, ret); }

static int read_buf(struct pb_session *s, struct pb_buf *buf, size_t n)
{
	MUST(n <= 65536);
	if (s->in.len < n)
		return PB_ECLOSED;
	pb_buf_add(buf, s->in.ptr, n);
	s->in = pb_str_skip(s->in, n);
	return 0;
}

static int read_spool(struct pb_session *s, struct pb_spool *spool, uint64_t n)
{
	MUST(!spool);
	if (s->in.len < n)
		return PB_ECLOSED;
	s->in = pb_str_skip(s->in, (size_t)n);
	return 0;
}

static const struct pb_host_ops ops = {
	.hostname = hostname, .config_int = config_int, .config_bool = config_bool, .count = count, .call = call, .session_data = session_data,
	.is_provided = login_is_provided, .session_channel_binding = session_channel_binding,
	.session_self = session_self, .session_host = session_host, .session_arena = session_arena, .session_state = session_state,
	.session_set_state = session_set_state, .session_peer = session_peer, .session_is_tls = session_is_tls, .session_can_tls = session_can_tls,
	.session_user = session_user, .session_login = session_login, .session_logout = session_logout, .session_error_over = session_error_over,
	.session_idle = session_idle, .put = put, .flush = flush, .starttls = starttls, .park = park, .session_log_text = session_log_text,
	.read_line = read_line, .read_buf = read_buf, .read_spool = read_spool,
};

extern const struct pb_plugin svc_managesieve_LTX_pb_plugin;

static int run_line(struct pb_session *s, struct pb_str line)
{
	long blank = pb_str_find(line, ' ', 0);
	struct pb_str verb = pb_str_head(line, blank < 0 ? line.len : (size_t)blank), rest = pb_str_skip(line, verb.len + 1);

	if (s->parked) {
		s->parked = false;
		return s->woken(s, PB_WAKE_LINE, line);
	}
	for (const struct pb_command *c = s->protocol->commands; c->name; c++) {
		if (!pb_str_ieq(verb, pb_strz(c->name)))
			continue;
		if (!(c->allowed & s->state))
			return s->protocol->refuse(s, PB_REFUSE_STATE, verb, rest);
		if ((c->flags & PB_BEFORE_TLS) && s->tls)
			return s->protocol->refuse(s, PB_REFUSE_TLS_ON, verb, rest);
		MUST(!(c->flags & PB_NEEDS_USER) || s->logged_in);
		return c->run(s, rest);
	}
	return s->protocol->refuse(s, PB_REFUSE_UNKNOWN, verb, rest);
}

/* A string as RFC 5804 writes it, from the client's own parser: true, and behind it. */
static bool skip_string(struct pb_str *at)
{
	uint64_t n = 0;
	size_t i = 1;

	if (at->len && at->ptr[0] == '"') {
		for (; i < at->len && at->ptr[i] != '"'; i++) {
			MUST(at->ptr[i] != '\r' && at->ptr[i] != '\n');
			i += at->ptr[i] == '\\';
		}
		MUST(i < at->len && pb_utf8_valid(pb_str_head(*at, i + 1)));
		*at = pb_str_skip(*at, i + 1);
		return true;
	}
	if (!at->len || at->ptr[0] != '{')
		return false;
	for (; i < at->len && pb_is_digit(at->ptr[i]); i++)
		n = n * 10 + (uint64_t)(at->ptr[i] - '0');
	MUST(pb_str_starts(pb_str_skip(*at, i), PB_STR("}\r\n")) && n <= at->len - i - 3);
	*at = pb_str_skip(*at, i + 3 + (size_t)n);
	return true;
}

/* Lines of words, strings and codes, to the end. */
static void must_be_an_answer(struct pb_str out, int rc)
{
	bool last = rc == PB_PARKED;

	while (out.len) {
		if (pb_str_starts(out, PB_STR("OK ")) || pb_str_starts(out, PB_STR("NO ")) || pb_str_starts(out, PB_STR("BYE ")))
			last = true;
		while (out.len && out.ptr[0] != '\r')
			if (!skip_string(&out)) {
				MUST(pb_is_alnum(out.ptr[0]) || strchr(" ()/-", out.ptr[0]));
				out = pb_str_skip(out, 1);
			}
		MUST(pb_str_starts(out, PB_STR("\r\n")));
		out = pb_str_skip(out, 2);
	}
	MUST(last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_host host = { { &ops } };
	struct pb_session *s = pb_alloc(sizeof *s);
	struct pb_str line;
	int rc, got;

	MUST(!svc_managesieve_LTX_pb_plugin.load(&host, &s->self, NULL));
	s->handle.ops = &ops;
	s->host = &host;
	s->in = pb_str((const char *)data, size);
	s->protocol = svc_managesieve_LTX_pb_plugin.protocols[0];
	s->data = pb_alloc(s->protocol->session_size);
	s->arena = pb_arena_new();
	s->state = s->protocol->first_state;
	s->out = (struct pb_buf)PB_BUF;
	rc = s->protocol->greet(s);
	while (rc != PB_CLOSE && (got = next_line(s, MS_LINE_MAX, &line)) != PB_ECLOSED) {
		if (got)
			continue;	/* the framework's */
		pb_buf_reset(&s->out);
		rc = run_line(s, line);
		if (rc != PB_CLOSE || s->out.len)	/* a client that went away gets no answer */
			must_be_an_answer(pb_buf_str(&s->out), rc);
		pb_arena_reset(s->arena);
	}
	s->protocol->closed(s);
	svc_managesieve_LTX_pb_plugin.unload(s->self);
	pb_arena_free(s->arena);
	pb_buf_free(&s->out);
	free(s->data);
	free(s);
	return 0;
}
