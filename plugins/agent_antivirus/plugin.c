/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agent_antivirus: asks clamd about every message that was accepted, once, and says what is to become of what it finds. */
#include <stdio.h>
#include <stdlib.h>
#include <postbus/bus.h>
#include <postbus/queue.h>
#include "scan.h"

struct antivirus {
	struct pb_host *host;
	struct scanner scanner;
	char address[200];
	uint64_t max_size;
	enum pb_decision action;	/* CONTINUE: it is noted alone */
	bool hold;			/* QUARANTINE: not in a junk folder, whatever is usual here */
	bool defer;			/* where clamd cannot be asked */
};

/* "/path", "127.0.0.1:3310" or "[::1]:3310". */
static int take_socket(struct pb_host *host, char address[200], uint16_t *ret_port, struct pb_error *err)
{
	struct pb_str text = pb_config_str(host, "socket"), name = text;
	uint64_t port = 0;
	long colon = -1;

	if (text.len >= 199)
		return pb_fail(err, PB_EINVALID, "socket: it is too long");
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == ':')
			colon = (long)i;
	if (!text.len || text.ptr[0] != '/') {
		if (colon < 0 || pb_str_u64(pb_str_skip(text, (size_t)colon + 1), 65535, &port) || !port)
			return pb_fail(err, PB_EINVALID, "socket: found '%.*s', allowed is /path, ADDRESS:PORT or [ADDRESS]:PORT", PB_FMT(text));
		name = pb_str_head(text, (size_t)colon);
		if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
			name = pb_str(name.ptr + 1, name.len - 2);
	}
	snprintf(address, 200, "%.*s", PB_FMT(name));
	*ret_port = (uint16_t)port;
	return 0;
}

static int check(struct pb_host *host, struct pb_error *err)
{
	char address[200];
	uint16_t port;

	return take_socket(host, address, &port, err);
}

static enum pb_decision action_of(struct pb_str word)
{
	static const struct { const char *word; enum pb_decision decision; } words[] = {
		{ "quarantine", PB_QUARANTINE }, { "junk", PB_QUARANTINE }, { "reject", PB_REJECT }, { "discard", PB_DISCARD }, { "note", PB_CONTINUE },
	};
	size_t i = 0;

	while (i + 1 < sizeof words / sizeof *words && !pb_str_eq(word, pb_strz(words[i].word)))
		i++;
	return words[i].decision;
}

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct antivirus *a = pb_alloc(sizeof *a);

	a->host = host;
	if (take_socket(host, a->address, &a->scanner.port, err)) {
		free(a);
		return err->code;
	}
	a->scanner.host = host;
	a->scanner.address = pb_strz(a->address);
	a->scanner.timeout = pb_config_int(host, "timeout") * PB_SECOND;
	a->max_size = (uint64_t)pb_config_int(host, "max_size");
	a->action = action_of(pb_config_str(host, "action"));
	a->hold = pb_str_eq(pb_config_str(host, "action"), PB_STR("quarantine"));
	a->defer = pb_str_eq(pb_config_str(host, "unavailable"), PB_STR("defer"));
	*ret_self = a;
	return 0;
}

static void unload(void *self)
{
	free(self);
}

static void found_one(struct antivirus *a, const struct pb_question *q, struct pb_verdict *v, struct pb_str name)
{
	json_t *note = json_stringn(name.ptr, name.len);

	pb_log(a->host, PB_WARNING, "virus.found", "id=%s virus=%s", pb_logq(q->id), pb_logq(name));
	pb_count(a->host, "found", 1);
	if (a->action != PB_CONTINUE)
		pb_verdict_set(v, a->action, 554, "5.7.1", "The message holds a virus: %.*s", PB_FMT(name));
	if (a->hold)
		pb_verdict_note(v, "hold", json_true());
	pb_verdict_note(v, "virus", note ? note : json_string("unnamed"));
	pb_verdict_header(v, PB_STR("X-Virus-Status"), PB_STR("infected"));
}

static int not_scanned(struct antivirus *a, const struct pb_question *q, struct pb_verdict *v, const char *why)
{
	pb_log(a->host, PB_INFO, "virus.not_scanned", "id=%s reason=%s", pb_logq(q->id), pb_logq(pb_strz(why)));
	pb_count(a->host, "not_scanned", 1);
	pb_verdict_note(v, "virus_skipped", json_string(why));
	return 0;
}

static int at_accepted(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err)
{
	struct antivirus *a = self;
	struct pb_str pieces[2];
	enum scan_result result;
	PB_AUTOBUF(name);
	int rc;

	if (json_object_get(q->envelope->notes, "virus"))	/* it came by before: sent on, or tried again */
		return 0;
	if (a->max_size && pb_body_size(q->body) > a->max_size)
		return not_scanned(a, q, v, "it is larger than max_size");
	rc = pb_body_parts(q->body, &pieces[0], &pieces[1], err);
	if (!rc)
		rc = scan(&a->scanner, pieces, 2, &result, &name, err);
	if (rc) {
		pb_log(a->host, PB_WARNING, "virus.unavailable", "id=%s error=%s", pb_logq(q->id), pb_logq(pb_strz(err->text)));
		if (!a->defer)
			return not_scanned(a, q, v, err->text);
		pb_verdict_set(v, PB_DEFER, 451, "4.3.0", "The virus scanner cannot be asked now");
		return 0;
	}
	pb_count(a->host, "scanned", 1);
	if (result == SCAN_TOO_LARGE)
		return not_scanned(a, q, v, "it is larger than clamd takes");
	if (result == SCAN_FOUND)
		found_one(a, q, v, pb_buf_str(&name));
	else
		pb_verdict_note(v, "virus", json_string(""));
	return 0;
}

static const struct pb_hook hooks[] = { { "message.accepted", at_accepted }, { 0 } };

PB_PLUGIN(agent_antivirus) = {
	PB_PLUGIN_HEAD("agent_antivirus"),
	.load = load,
	.unload = unload,
	.check = check,
	.hooks = hooks,
};
