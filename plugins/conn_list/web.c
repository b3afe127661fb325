/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The page for leaving in one click (RFC 8058): just enough of HTTP/1.1 (RFC 9112) for it, with one request a connection. POST to .../u/NAME with the form
 * List-Unsubscribe=One-Click ends the membership that NAME is about; GET shows a page with a button that does so, since those who look at links of mail open them too.
 */
#include <assert.h>
#include <stdio.h>
#include <postbus/address.h>
#include <postbus/secret.h>
#include <postbus/session.h>
#include "one_click.h"
#include "serve.h"

static_assert((int)CLICK_MAC == (int)TOKEN_LEN, "the proof in a URL is a token");
enum { LINE_MOST = 4096, FIELDS_MOST = 64, BODY_MOST = 8192, READY = 1 };

struct request {
	struct pb_buf type;
	long length;		/* -1: not said */
	bool host, chunked, bad;
};

/* ---- answers ---- */

static void answer(struct pb_session *s, const char *status, const char *more, const char *text, bool body)
{
	PB_AUTOBUF(page);

	pb_buf_addf(&page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Mailing list</title></head>"
			   "<body><p>%s</p></body></html>\n", text);
	pb_putf(s, "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\nCache-Control: no-store\r\n"
		   "Content-Security-Policy: default-src 'none'; form-action 'self'\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n%s\r\n",
		status, page.len, more);
	if (body)
		pb_putstr(s, pb_buf_str(&page));
}

static void add_html(struct pb_buf *out, struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr("<>&\"'", s.ptr[i]))
			pb_buf_addf(out, "&#%d;", s.ptr[i]);
		else
			pb_buf_addc(out, s.ptr[i]);
	}
}

/* ---- requests ---- */

static int read_fields(struct pb_session *s, struct request *r)
{
	struct pb_str line, name, value;
	unsigned hosts = 0;
	int rc;

	r->length = -1;
	for (unsigned n = 0;; n++) {
		rc = pb_read_line(s, LINE_MOST, &line);
		if (rc || !line.len)
			break;
		if (n == FIELDS_MOST || !click_field(line, &name, &value)) {
			r->bad = true;
			continue;
		}
		if (n > FIELDS_MOST * 4)
			return PB_ETOOBIG;
		if (pb_str_ieq(name, PB_STR("Content-Length"))) {
			r->bad |= r->length >= 0;	/* twice: request smuggling (RFC 9112 6.3) */
			r->length = click_length(value);
			r->bad |= r->length < 0;
		} else if (pb_str_ieq(name, PB_STR("Transfer-Encoding"))) {
			r->chunked = true;
		} else if (pb_str_ieq(name, PB_STR("Host"))) {
			hosts++;
		} else if (pb_str_ieq(name, PB_STR("Content-Type")) && !r->type.len) {
			pb_buf_addstr(&r->type, value);
		}
	}
	r->bad |= hosts > 1;
	return rc;
}

/* Is there a proof behind the name, and whom is it about? */
static int find(struct lists *all, struct pb_str name, struct list *l, struct pb_buf *member, struct pb_error *err)
{
	struct pb_str mac = PB_NOSTR;
	PB_AUTOBUF(address);
	PB_AUTOBUF(right);
	int rc;

	if (!click_name_read(name, &address, member, &mac))
		return pb_fail(err, PB_ENOTFOUND, "this is no name of a member");
	rc = list_open(all, pb_buf_str(&address), l, err);
	if (rc)
		return rc == PB_EINVALID ? PB_ENOTFOUND : rc;
	const struct pb_str words[] = { PB_STR("one click"), l->id, pb_buf_str(member) };
	rc = token_make(all, words, sizeof words / sizeof *words, &right, err);
	if (!rc && !pb_str_eq_secret(pb_buf_str(&right), mac))
		rc = pb_fail(err, PB_ENOTFOUND, "this is no name of a member");
	if (rc)
		list_close(l);
	return rc;
}

static bool wants_target(struct pb_session *s, struct pb_str args, struct pb_str *ret_name)
{
	struct pb_str rest = args, target, version;

	if (!pb_str_word(&rest, &target) || !pb_str_word(&rest, &version) || pb_str_trim(rest).len || !pb_str_starts(version, PB_STR("HTTP/1."))) {
		answer(s, "400 Bad Request", "", "That is no request.", true);
		return false;
	}
	if (click_target(target, ret_name))
		return true;
	answer(s, "404 Not Found", "", "There is no such page.", true);
	return false;
}

static void show_button(struct pb_session *s, const struct list *l, struct pb_str member, bool body)
{
	PB_AUTOBUF(text);

	pb_buf_addz(&text, "Shall ");
	add_html(&text, member);
	pb_buf_addz(&text, " leave the mailing list ");
	add_html(&text, l->address);
	pb_buf_addz(&text, "?</p><form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" value=\"One-Click\"><button>Unsubscribe</button></form><p>");
	answer(s, "200 OK", "", pb_buf_z(&text), body);
}

static int show(struct pb_session *s, struct pb_str args, bool body)
{
	struct lists *all = pb_session_self(s);
	struct request r = { .type = PB_BUF };
	struct pb_error err = { 0 };
	struct pb_str name;
	struct list l;
	PB_AUTOBUF(kept);
	PB_AUTOBUF(member);
	int rc;

	pb_buf_addstr(&kept, args);	/* the line goes with the next read */
	rc = read_fields(s, &r);
	pb_buf_free(&r.type);
	if (rc)
		return PB_CLOSE;
	if (r.bad || r.chunked || r.length > 0)
		answer(s, "400 Bad Request", "", "That is no request.", true);
	else if (wants_target(s, pb_buf_str(&kept), &name)) {
		rc = find(all, name, &l, &member, &err);
		if (rc) {
			answer(s, rc == PB_ENOTFOUND ? "404 Not Found" : "503 Service Unavailable", "", "There is no such page.", body);
		} else {
			show_button(s, &l, pb_buf_str(&member), body);
			list_close(&l);
		}
	}
	return PB_CLOSE;
}

static int run_get(struct pb_session *s, struct pb_str args)
{
	return show(s, args, true);
}

static int run_head(struct pb_session *s, struct pb_str args)
{
	return show(s, args, false);
}

static void leave(struct pb_session *s, struct pb_str name)
{
	struct lists *all = pb_session_self(s);
	struct pb_error err = { 0 };
	struct list l;
	PB_AUTOBUF(member);
	json_t *row;
	int rc = find(all, name, &l, &member, &err);

	if (rc) {
		answer(s, rc == PB_ENOTFOUND ? "404 Not Found" : "503 Service Unavailable", "", "There is no such page.", true);
		return;
	}
	rc = member_get(all, &l, pb_buf_str(&member), &row, &err);
	if (!rc) {
		struct pb_str stamp = pb_text_of(row, "address");
		PB_AUTOBUF(letter);

		pb_buf_addf(&letter, "one-click/%lld", (long long)number_of(row, "since"));
		rc = member_leaves(all, &l, NULL, stamp, pb_buf_str(&letter), &err);
		json_decref(row);
		pb_count(all->host, "clicks", 1);
	}
	if (rc && rc != PB_ENOTFOUND) {
		pb_log(all->host, PB_WARNING, "list.click", "list=%.*s error=%s", PB_FMT(l.address), pb_logq(pb_strz(err.text)));
		answer(s, "503 Service Unavailable", "Retry-After: 60\r\n", "That cannot be done now. Try again later, please.", true);
	} else {
		answer(s, "200 OK", "", "You get no more mail of this list.", true);
	}
	list_close(&l);
}

static int run_post(struct pb_session *s, struct pb_str args)
{
	struct request r = { .type = PB_BUF };
	struct pb_str name;
	PB_AUTOBUF(kept);
	PB_AUTOBUF(body);
	int rc;

	pb_buf_addstr(&kept, args);
	rc = read_fields(s, &r);
	if (rc) {
		pb_buf_free(&r.type);
		return PB_CLOSE;
	}
	if (r.bad)
		answer(s, "400 Bad Request", "", "That is no request.", true);
	else if (r.chunked || r.length < 0)
		answer(s, "411 Length Required", "", "A Content-Length is needed.", true);
	else if (r.length > BODY_MOST)
		answer(s, "413 Content Too Large", "", "That is too much.", true);
	else if (!pb_read_buf(s, &body, (size_t)r.length) && wants_target(s, pb_buf_str(&kept), &name)) {
		if (click_said(pb_buf_str(&r.type), pb_buf_str(&body)))
			leave(s, name);
		else
			answer(s, "400 Bad Request", "", "The form does not say List-Unsubscribe=One-Click.", true);
	}
	pb_buf_free(&r.type);
	return PB_CLOSE;
}

/* ---- the protocol ---- */

static int refuse(struct pb_session *s, enum pb_refusal why, struct pb_str verb, struct pb_str args)
{
	(void)verb;
	if (why == PB_REFUSE_UNKNOWN && pb_str_search(args, PB_STR(" HTTP/1."), 0) >= 0)
		answer(s, "405 Method Not Allowed", "Allow: GET, HEAD, POST\r\n", "That cannot be done here.", true);
	else if (why == PB_REFUSE_TOO_LONG)
		answer(s, "414 URI Too Long", "", "That is too long.", true);
	else
		answer(s, "400 Bad Request", "", "That is no request.", true);
	return PB_CLOSE;
}

static int greet(struct pb_session *s)
{
	pb_session_set_state(s, READY);
	return PB_NEXT;
}

static void goodbye(struct pb_session *s, enum pb_goodbye why)
{
	if (why == PB_BYE_OVERLOAD || why == PB_BYE_SHUTDOWN)
		pb_putz(s, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 60\r\n\r\n");
	else if (why != PB_BYE_REFUSED)
		pb_putz(s, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

static void nothing(struct pb_session *s)
{
	(void)s;
}

static const struct pb_command commands[] = {
	{ "GET", run_get, READY, 0 },
	{ "HEAD", run_head, READY, 0 },
	{ "POST", run_post, READY, 0 },
	{ 0 },
};

const struct pb_protocol one_click_protocol = {
	.size = sizeof one_click_protocol,
	.name = "one-click",
	.commands = commands,
	.session_size = 1,
	.first_state = READY,
	.line_max = LINE_MOST,
	.idle_seconds = 30,
	.errors_max = 1,
	.greet = greet,
	.refuse = refuse,
	.goodbye = goodbye,
	.secured = nothing,
	.closed = nothing,
};

/* ---- where members find it ---- */

int one_click_url(struct lists *all, const struct list *l, struct pb_str member, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str base = setting_text(l->settings, "one_click_url");
	const struct pb_str words[] = { PB_STR("one click"), l->id, member };
	PB_AUTOBUF(mac);
	int rc;

	if (!base.len || setting_is(l->settings, "unsubscription", "closed"))
		return 0;
	rc = token_make(all, words, sizeof words / sizeof *words, &mac, err);
	if (rc)
		return rc;
	pb_buf_addf(out, "%.*s%su/", PB_FMT(base), base.ptr[base.len - 1] == '/' ? "" : "/");
	click_name(out, l->address, member, pb_buf_str(&mac));
	return 0;
}
