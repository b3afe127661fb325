/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Posting a form. */
#include "http.h"

enum { FIELDS_MAX = 200 };

int http_url_parse(struct pb_str url, struct http_url *ret, struct pb_error *err)
{
	struct pb_str rest, host;
	uint64_t port = 443;
	long at;

	if (!pb_str_istarts(url, PB_STR("https://")))
		return pb_fail(err, PB_EINVALID, "'%.*s' does not begin with https://", PB_FMT(pb_str_head(url, 100)));
	rest = pb_str_skip(url, 8);
	at = pb_str_find(rest, '/', 0);
	host = at < 0 ? rest : pb_str_head(rest, (size_t)at);
	ret->path = at < 0 ? PB_STR("/") : pb_str_skip(rest, (size_t)at);
	at = pb_str_find(host, ':', 0);
	if (at >= 0 && (pb_str_u64(pb_str_skip(host, (size_t)at + 1), 65535, &port) || !port))
		return pb_fail(err, PB_EINVALID, "'%.*s' has no port from 1 to 65535", PB_FMT(pb_str_head(url, 100)));
	ret->host = at < 0 ? host : pb_str_head(host, (size_t)at);
	ret->port = (uint16_t)port;
	return ret->host.len ? 0 : pb_fail(err, PB_EINVALID, "'%.*s' names no host", PB_FMT(pb_str_head(url, 100)));
}

void http_form(struct pb_buf *out, const char *name, struct pb_str value)
{
	if (out->len)
		pb_buf_addc(out, '&');
	pb_buf_addf(out, "%s=", name);
	for (size_t i = 0; i < value.len; i++)
		if (pb_is_alnum(value.ptr[i]) || (value.ptr[i] && strchr("-._~", value.ptr[i])))
			pb_buf_addc(out, value.ptr[i]);
		else
			pb_buf_addf(out, "%%%02X", (unsigned char)value.ptr[i]);
}

static void keep(void *arg, const char *ptr, size_t len)
{
	pb_buf_add(arg, ptr, len);
}

static int read_body(struct channel *c, uint64_t len, struct pb_buf *body, struct pb_error *err)
{
	struct sink sink = { keep, body, 0, 0 };

	if (len > HTTP_BODY_MAX || body->len + len > HTTP_BODY_MAX)
		return pb_fail(err, PB_ETOOBIG, "an answer of more than %d bytes", HTTP_BODY_MAX);
	return channel_bytes(c, len, &sink, err);
}

static bool hex(struct pb_str digits, uint64_t *ret)
{
	uint64_t n = 0;

	for (size_t i = 0; i < digits.len; i++) {
		int d = pb_lower(digits.ptr[i]);

		if (i > 8 || !(pb_is_digit(d) || (d >= 'a' && d <= 'f')))
			return false;
		n = n << 4 | (uint64_t)(pb_is_digit(d) ? d - '0' : d - 'a' + 10);
	}
	*ret = n;
	return digits.len > 0;
}

/* RFC 9112 7.1. */
static int read_chunks(struct channel *c, struct pb_buf *body, struct pb_error *err)
{
	for (;;) {
		struct pb_str line, size;
		uint64_t n;
		int rc = channel_line(c, &line, err);

		if (rc)
			return rc;
		if (!pb_str_cut(&line, ';', &size) || !hex(pb_str_trim(size), &n))
			return pb_fail(err, PB_EINVALID, "a chunk without a size");
		if (!n)
			return 0;
		rc = read_body(c, n, body, err);
		if (!rc)
			rc = channel_line(c, &line, err);
		if (rc)
			return rc;
	}
}

struct fields {
	bool chunked, has_length;
	uint64_t length;
};

static int read_fields(struct channel *c, struct fields *f, struct pb_error *err)
{
	for (unsigned n = 0; n < FIELDS_MAX; n++) {
		struct pb_str line, name;
		int rc = channel_line(c, &line, err);

		if (rc || !line.len)
			return rc;
		pb_str_cut(&line, ':', &name);
		if (pb_str_ieq(name, PB_STR("Transfer-Encoding")))
			f->chunked = pb_str_isearch(line, PB_STR("chunked"), 0) >= 0;
		else if (pb_str_ieq(name, PB_STR("Content-Length")))
			f->has_length = !pb_str_u64(pb_str_trim(line), HTTP_BODY_MAX, &f->length);
	}
	return pb_fail(err, PB_ETOOBIG, "more than %d header fields", FIELDS_MAX);
}

int http_post(struct channel *c, const struct http_url *url, struct pb_str form, unsigned *ret_status, struct pb_buf *body, struct pb_error *err)
{
	struct pb_str line, word;
	struct fields f = { 0 };
	PB_AUTOBUF(head);
	uint64_t status;
	int rc;

	pb_buf_addf(&head,
		    "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n"
		    "Connection: close\r\n\r\n",
		    PB_FMT(url->path), PB_FMT(url->host), form.len);
	channel_put(c, pb_buf_str(&head));
	channel_put(c, form);
	rc = channel_line(c, &line, err);
	if (rc)
		return rc;
	if (!pb_str_istarts(line, PB_STR("HTTP/1.")) || !pb_str_word(&line, &word) || !pb_str_word(&line, &word) || pb_str_u64(word, 999, &status))
		return pb_fail(err, PB_EINVALID, "an answer that is no HTTP");
	*ret_status = (unsigned)status;
	rc = read_fields(c, &f, err);
	if (rc)
		return rc;
	if (f.chunked)
		return read_chunks(c, body, err);
	if (f.has_length)
		return read_body(c, f.length, body, err);
	while (!rc)		/* up to the end of the connection */
		rc = read_body(c, 1, body, err);
	return rc == PB_ECLOSED ? 0 : rc;
}
