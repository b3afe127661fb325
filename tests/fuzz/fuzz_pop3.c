/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fuzzes POP3 sessions: lines as a stranger writes them go to svc_pop3's own command table, over a mailbox of three messages that is not there.
 * The framework's part (framing, TLS) is left to fuzz_framing.c; here states, arguments and endings must hold, and all is given back at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "plugins/svc_pop3/pop3.h"
#include "sdk/src/host_ops.h"
#include "tests/fuzz/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) { fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); abort(); } } while (0)

enum { MESSAGES = 3 };

struct pb_host { struct pb_handle handle; };
struct pb_mailbox { struct pb_handle handle; bool locked; };
struct pb_folder { struct pb_handle handle; };
struct pb_view { struct pb_handle handle; };
struct pb_body { struct pb_handle handle; };

struct pb_session {
	struct pb_handle handle;
	struct pb_host *host;
	const struct pb_protocol *protocol;
	void *self, *data;
	struct pb_arena *arena;
	unsigned state;
	bool tls, logged_in, parked;
	int (*woken)(struct pb_session *s, enum pb_wake why, struct pb_str line);
	struct pb_buf out;		/* of one command */
	char room[16384];
	unsigned errors;
};

static int opened;
static const struct pb_row rows[MESSAGES] = { { .uid = 1, .size = 10 }, { .uid = 5, .size = 0, .flags = PB_SEEN }, { .uid = 4294967294u, .size = 4294967295u } };

static struct pb_str hostname(struct pb_host *h) { (void)h; return PB_STR("mail.example"); }
static int64_t config_int(struct pb_host *h, const char *key) { (void)h; return !strcmp(key, "errors_max") ? 10 : !strcmp(key, "login_delay") ? 1 : 60; }
static bool config_bool(struct pb_host *h, const char *key) { (void)h; (void)key; return true; }
static void count(struct pb_host *h, const char *metric, int64_t n) { (void)h; (void)metric; (void)n; }

static int call(struct pb_host *h, const char *method, json_t *params, json_t **ret, struct pb_error *err)
{
	const char *password = json_string_value(json_object_get(params, "password")), *login = json_string_value(json_object_get(params, "login"));
	int rc;

	(void)h;
	if (!strcmp(method, "directory.mailbox"))	/* asked at QUIT, for settings */
		return pb_fail(err, PB_ENOTFOUND, "no mailbox");
	if (login_scram(method, ret, &rc, err))
		return rc;
	MUST(!strcmp(method, "auth.verify") && password && login);
	if (strlen(password) % 4 == 3)
		return pb_fail(err, PB_EDENIED, "wrong");
	if (strlen(password) % 16 == 9)
		return pb_fail(err, PB_EUNAVAILABLE, "not now");
	*ret = json_pack("{s:s, s:s, s:s, s:s}", "address", "a@b.example", "mailbox", strlen(login) == 7 ? "gone" : "m1", "postoffice", "p", "role", "user");
	return 0;
}

static int session_channel_binding(struct pb_session *s, struct pb_str type, struct pb_buf *out, struct pb_error *err)
{
	return login_channel(s->tls, type, out, err);
}

static int mailbox_open(struct pb_host *h, struct pb_str id, struct pb_mailbox **ret, struct pb_error *err)
{
	if (pb_str_eq(id, PB_STR("gone")))
		return pb_fail(err, PB_ENOTFOUND, "no mailbox");
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = h->handle;
	opened++;
	return 0;
}

static int mailbox_lock(struct pb_mailbox *mb, const char *name, struct pb_error *err) { (void)name; (void)err; mb->locked = true; return 0; }

static int folder_open(struct pb_mailbox *mb, struct pb_str name, struct pb_folder **ret, struct pb_error *err)
{
	(void)name;
	(void)err;
	MUST(mb->locked);
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = mb->handle;
	opened++;
	return 0;
}

static int folder_view(struct pb_folder *f, struct pb_view **ret, struct pb_error *err)
{
	(void)err;
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = f->handle;
	opened++;
	return 0;
}

static void mailbox_close(struct pb_mailbox *mb) { opened--; free(mb); }
static void folder_close(struct pb_folder *f) { opened--; free(f); }
static void view_release(struct pb_view *v) { opened--; free(v); }
static uint32_t view_count(const struct pb_view *v) { (void)v; return MESSAGES; }
static uint32_t view_uidvalidity(const struct pb_view *v) { (void)v; return 7; }

static const struct pb_row *view_row(const struct pb_view *v, uint32_t seq)
{
	(void)v;
	MUST(seq >= 1 && seq <= MESSAGES);
	return &rows[seq - 1];
}

static const struct pb_row *view_run(const struct pb_view *v, uint32_t seq, uint32_t *ret_n)
{
	*ret_n = seq == 1 ? 2 : 1;
	return view_row(v, seq);
}

static int view_body(struct pb_view *v, uint32_t seq, struct pb_body **ret, struct pb_error *err)
{
	view_row(v, seq);
	if (seq == 3)
		return pb_fail(err, PB_ECORRUPT, "damaged");
	*ret = pb_alloc(sizeof **ret);
	(*ret)->handle = v->handle;
	opened++;
	return 0;
}

static void body_release(struct pb_body *b) { opened--; free(b); }

static void uids_must_be_there(const uint32_t *uids, size_t n)
{
	MUST(n >= 1 && n <= MESSAGES);
	for (size_t i = 0; i < n; i++)
		MUST((uids[i] == rows[0].uid || uids[i] == rows[1].uid || uids[i] == rows[2].uid) && (!i || uids[i] > uids[i - 1]));
}

static int folder_store(struct pb_folder *f, const uint32_t *uids, size_t n, enum pb_store_mode mode, uint64_t flags, uint64_t since, uint32_t *modified,
			size_t *nmodified, struct pb_error *err)
{
	(void)f; (void)since; (void)modified; (void)nmodified; (void)err;
	MUST(mode == PB_FLAGS_ADD && flags == PB_SEEN);
	uids_must_be_there(uids, n);
	return 0;
}

static int folder_expunge(struct pb_folder *f, const uint32_t *uids, size_t n, bool only_deleted, struct pb_error *err)
{
	(void)f; (void)err;
	MUST(!only_deleted);
	uids_must_be_there(uids, n);
	return 0;
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
static void session_login(struct pb_session *s, const struct pb_user *user) { MUST(!s->logged_in && user->address.len); s->logged_in = true; }
static bool session_error_over(struct pb_session *s, unsigned max) { MUST(max); return ++s->errors >= max; }
static void session_idle(struct pb_session *s, uint32_t seconds) { (void)s; MUST(seconds); }
static void put(struct pb_session *s, const void *ptr, size_t len) { pb_buf_add(&s->out, ptr, len); }
static char *put_room(struct pb_session *s, size_t n) { MUST(n <= sizeof s->room); return s->room; }
static void put_done(struct pb_session *s, size_t used) { MUST(used <= sizeof s->room); pb_buf_add(&s->out, s->room, used); }
static void put_body_dot(struct pb_session *s, struct pb_body *b, int64_t lines) { MUST(b && lines >= -1); pb_buf_addz(&s->out, "Subject: a\r\n\r\nbody\r\n.\r\n"); }
static bool session_is_dead(struct pb_session *s) { (void)s; return false; }
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

static const struct pb_user *session_user(struct pb_session *s)
{
	static const struct pb_user user = { .mailbox = { "m1", 2 } };

	(void)s;
	return &user;
}

static const struct pb_host_ops ops = {
	.hostname = hostname, .config_int = config_int, .config_bool = config_bool, .count = count, .call = call, .mailbox_open = mailbox_open,
	.mailbox_lock = mailbox_lock, .mailbox_close = mailbox_close, .folder_open = folder_open, .folder_close = folder_close, .folder_view = folder_view,
	.folder_store = folder_store, .folder_expunge = folder_expunge, .view_release = view_release, .view_count = view_count,
	.view_uidvalidity = view_uidvalidity, .view_row = view_row, .view_run = view_run, .view_body = view_body, .body_release = body_release,
	.session_data = session_data, .session_self = session_self, .session_host = session_host, .session_user = session_user, .session_arena = session_arena,
	.session_state = session_state, .session_set_state = session_set_state, .session_peer = session_peer, .session_is_tls = session_is_tls,
	.session_can_tls = session_can_tls, .session_login = session_login, .session_error_over = session_error_over, .session_idle = session_idle, .put = put,
	.put_room = put_room, .put_done = put_done, .put_body_dot = put_body_dot, .session_is_dead = session_is_dead, .starttls = starttls, .park = park,
	.session_log_text = session_log_text, .is_provided = login_is_provided, .session_channel_binding = session_channel_binding,
};

extern const struct pb_plugin svc_pop3_LTX_pb_plugin;

static int run_line(struct pb_session *s, struct pb_str line)
{
	struct pb_str rest = line, verb;

	if (s->parked) {
		s->parked = false;
		return s->woken(s, PB_WAKE_LINE, line);
	}
	if (!pb_str_word(&rest, &verb))
		return s->protocol->refuse(s, PB_REFUSE_UNKNOWN, PB_NOSTR, PB_NOSTR);
	for (const struct pb_command *c = s->protocol->commands; c->name; c++) {
		if (!pb_str_ieq(verb, pb_strz(c->name)))
			continue;
		if (!(c->allowed & s->state))
			return s->protocol->refuse(s, PB_REFUSE_STATE, verb, rest);
		if ((c->flags & PB_BEFORE_TLS) && s->tls)
			return s->protocol->refuse(s, PB_REFUSE_TLS_ON, verb, rest);
		return c->run(s, rest);
	}
	return s->protocol->refuse(s, PB_REFUSE_UNKNOWN, verb, rest);
}

/* Every command is answered, in lines, by a word of the protocol. */
static void must_be_an_answer(struct pb_str out)
{
	MUST(pb_str_starts(out, PB_STR("+")) || pb_str_starts(out, PB_STR("-ERR ")));
	MUST(out.len >= 4 && out.ptr[out.len - 2] == '\r' && out.ptr[out.len - 1] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_host host = { { &ops } };
	struct pb_session *s = pb_alloc(sizeof *s);
	struct pb_str text = pb_str((const char *)data, size);
	int rc;

	MUST(!svc_pop3_LTX_pb_plugin.load(&host, &s->self, NULL));
	s->handle.ops = &ops;
	s->host = &host;
	s->protocol = svc_pop3_LTX_pb_plugin.protocols[0];
	s->data = pb_alloc(s->protocol->session_size);
	s->arena = pb_arena_new();
	s->state = s->protocol->first_state;
	s->out = (struct pb_buf)PB_BUF;
	rc = s->protocol->greet(s);
	while (rc != PB_CLOSE && text.len) {
		long end = pb_str_find(text, '\n', 0);
		struct pb_str line = pb_str(text.ptr, end < 0 ? text.len : (size_t)end);

		text = pb_str(text.ptr + line.len + (end >= 0), text.len - line.len - (end >= 0));
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len >= POP3_LINE_MAX || memchr(line.ptr, '\r', line.len) || memchr(line.ptr, '\0', line.len))
			continue;	/* the framework's */
		pb_buf_reset(&s->out);
		rc = run_line(s, line);
		must_be_an_answer(pb_buf_str(&s->out));
		pb_arena_reset(s->arena);
	}
	s->protocol->closed(s);
	MUST(opened == 0);
	svc_pop3_LTX_pb_plugin.unload(s->self);
	pb_arena_free(s->arena);
	pb_buf_free(&s->out);
	free(s->data);
	free(s);
	return 0;
}
