/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection to a remote server: its addresses, TLS, and whether the server is who it has to be. What is said then is pop3.c's and imap.c's business. */
#include <stdio.h>
#include <stdlib.h>
#include "popretr.h"

#define SLOW_TIME (7 * PB_DAY)	/* that a server is not asked several questions at once, which could not bear it */

/* ---- the channel over a link ---- */

/* One slow byte after the other is no way to keep a run for ever. */
static int read_link(void *arg, char *ptr, size_t max, size_t *ret_n, struct pb_error *err)
{
	struct run *run = arg;

	if (pb_ticks(run->r->host) > run->deadline)
		return pb_fail(err, PB_ETIMEOUT, "the run has taken as long as it may");
	return pb_link_read(run->link, ptr, max, ret_n, err);
}

static void write_link(void *arg, const void *ptr, size_t len)
{
	pb_link_put(((struct run *)arg)->link, ptr, len);
}

/* ---- TLS ---- */

static void hex_of(const unsigned char *bytes, char *out)
{
	PB_AUTOBUF(hex);

	pb_hex_encode(&hex, pb_str((const char *)bytes, PB_PIN_MAX));
	memcpy(out, pb_buf_z(&hex), 2 * PB_PIN_MAX + 1);
}

/* A pin is the SHA-256 of the certificate or of its key; where there is one, it stands for all that an authority could say. */
static int check_pin(struct run *run, struct pb_str pin, struct pb_error *err)
{
	unsigned char certificate[PB_PIN_MAX], key[PB_PIN_MAX];

	if (pb_link_pins(run->link, certificate, key, err))
		return err->code;
	hex_of(certificate, run->pins[0]);
	hex_of(key, run->pins[1]);
	if (!pin.len || pb_str_ieq(pin, pb_strz(run->pins[0])) || pb_str_ieq(pin, pb_strz(run->pins[1])))
		return 0;
	return pb_fail(err, PB_EDENIED, "the server's certificate is not the pinned one: its key is %s", run->pins[1]);
}

int connect_starttls(void *arg, struct pb_error *err)
{
	struct run *run = arg;
	struct pb_str pin = pb_text_of(run->row, "pin");
	int rc = pb_link_starttls(run->link, pb_text_of(run->row, "host"), pin.len ? PB_TLS_ANY : PB_TLS_PKIX, pb_text_of(run->row, "ca"), err);

	if (rc == PB_EDENIED && !check_pin(run, PB_NOSTR, NULL)) {
		struct pb_error why = *err;

		return pb_fail(err, PB_EDENIED, "%.120s; its key is %s", why.text, run->pins[1]);
	}
	return rc ? rc : check_pin(run, pin, err);
}

/* ---- the link ---- */

uint16_t connect_port(const json_t *row)
{
	static const struct { const char *protocol; uint16_t clear, tls; } ports[] = { { "pop3", 110, 995 }, { "imap", 143, 993 }, { "etrn", 25, 465 }, { "atrn", 366, 366 } };
	int64_t port = number_of_key(row, "port");
	bool implicit = pb_str_eq(pb_text_of(row, "tls"), PB_STR("implicit"));

	for (size_t i = 0; i < sizeof ports / sizeof *ports && !port; i++)
		if (pb_str_eq(pb_text_of(row, "protocol"), pb_strz(ports[i].protocol)))
			port = implicit ? ports[i].tls : ports[i].clear;
	return (uint16_t)port;
}

static int addresses_of(struct run *run, struct pb_str host, json_t **ret, struct pb_error *err)
{
	json_t *params = json_pack("{s:s%}", "name", host.ptr, host.len);
	int rc = pb_call(run->r->host, "dns.address", params, ret, err);

	json_decref(params);
	if (rc)
		return pb_because(err, "looking up %.*s", PB_FMT(host));
	if (json_array_size(json_object_get(*ret, "addresses")))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return pb_fail(err, PB_EUNAVAILABLE, "%.*s has no address", PB_FMT(host));
}

int connect_link(struct run *run, struct pb_str host, uint16_t port, bool implicit, struct pb_error *err)
{
	int64_t timeout = pb_config_int(run->r->host, "timeout") * PB_SECOND;
	json_t *answer = NULL;
	const json_t *one;
	size_t i;
	int rc = addresses_of(run, host, &answer, err);

	if (rc)
		return rc;
	json_array_foreach(json_object_get(answer, "addresses"), i, one) {
		snprintf(run->address, sizeof run->address, "%s", json_string_value(one));
		rc = pb_link_connect(run->r->host, pb_strz(run->address), port, PB_NOSTR, timeout, &run->link, err);
		if (!rc)
			break;
	}
	json_decref(answer);
	if (!rc && implicit)
		rc = connect_starttls(run, err);
	return rc;
}

int connect_channel(struct run *run, struct pb_error *err)
{
	bool implicit = pb_str_eq(pb_text_of(run->row, "tls"), PB_STR("implicit"));
	int rc = connect_link(run, pb_text_of(run->row, "host"), connect_port(run->row), implicit, err);

	if (rc)
		return rc;
	channel_init(&run->channel);
	run->channel.read = read_link;
	run->channel.write = write_link;
	run->channel.arg = run;
	return 0;
}

int connect_remote(struct run *run, struct pb_error *err)
{
	struct pb_str tls = pb_text_of(run->row, "tls"), folder = pb_text_of(run->row, "remote_folder");
	int rc = connect_channel(run, err);

	if (rc)
		return rc;
	run->remote = pb_str_eq(pb_text_of(run->row, "protocol"), PB_STR("imap")) ? imap_new(&run->channel, folder) : pop3_new(&run->channel);
	run->remote->implicit_tls = pb_str_eq(tls, PB_STR("implicit"));
	run->remote->starttls = pb_str_eq(tls, PB_STR("starttls")) ? connect_starttls : NULL;
	run->remote->arg = run;
	run->remote->slow = pb_now(run->r->host) - number_of_key(run->state, "slow") < SLOW_TIME;
	return 0;
}

static int unseal(struct run *run, const char *field, struct pb_buf *out, struct pb_error *err)
{
	struct pb_str sealed = pb_text_of(run->row, field);

	return sealed.len ? vault_unseal(run->r, pb_text_of(run->row, "serial"), field, sealed, out, err) : 0;
}

int connect_login(struct run *run, struct pb_error *err)
{
	struct login login = { .user = pb_text_of(run->row, "user"), .auth = pb_text_of(run->row, "auth"), .host = pb_text_of(run->row, "host"), .port = connect_port(run->row) };
	int rc = unseal(run, "password", &run->password, err);

	login.password = pb_buf_str(&run->password);
	login.token = pb_buf_str(&run->token);
	if (!rc)
		rc = run->remote->ops->open(run->remote, &login, err);
	if (run->remote)
		snprintf(run->method, sizeof run->method, "%s", run->remote->method);
	return rc;
}

void connect_close(struct run *run)
{
	if (run->remote)
		run->remote->ops->free(run->remote);
	run->remote = NULL;
	channel_free(&run->channel);
	pb_link_close(run->link);
	run->link = NULL;
	pb_wipe(run->password.ptr, run->password.len);
	pb_buf_free(&run->password);
	pb_wipe(run->token.ptr, run->token.len);
	pb_buf_free(&run->token);
}
