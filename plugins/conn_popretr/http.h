/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One question of HTTP/1.1 and its answer (RFC 9112): a form that is posted, a small body that comes back. No redirections: a token endpoint has none. */
#ifndef CONN_POPRETR_HTTP_H
#define CONN_POPRETR_HTTP_H

#include "channel.h"

enum { HTTP_BODY_MAX = 256 * 1024 };

struct http_url {
	struct pb_str host, path;	/* path with its query; "/" where there is none */
	uint16_t port;
};

/* "https://host[:port]/path". PB_EINVALID. */
int http_url_parse(struct pb_str url, struct http_url *ret, struct pb_error *err);
/* Appends the body. *ret_status: 200 and its like. */
int http_post(struct channel *c, const struct http_url *url, struct pb_str form, unsigned *ret_status, struct pb_buf *body, struct pb_error *err);
/* Append "name=value" as a form wants it, behind "&" where something stands there already. */
void http_form(struct pb_buf *out, const char *name, struct pb_str value);

#endif
