/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From postbus.json to the sessions' room. Leaves checking the file to config, and enforcing to session. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "kernel/config/config.h"
#include "kernel/entrance.h"
#include "kernel/host.h"
#include "kernel/log/log.h"
#include "kernel/session/sessions.h"
#include <postbus/bus.h>

#define POINT "session.connect"

enum { CERTIFICATES_MAX = 64 };

/* There is no text for the client: what protocols say to the unwelcome is their goodbye. The administrator finds the reason in the log. */
static int ask_at_connect(void *arg, struct pb_session *s)
{
	struct kernel *k = arg;
	struct pb_host *host = pb_session_host(s);
	struct pb_verdict v = PB_VERDICT;
	struct pb_str client = pb_session_peer(s);
	json_t *facts;
	bool refused;

	if (!pb_is_hooked(host, POINT))
		return 0;
	facts = json_pack("{s:s% s:i s:s s:s}", "client", client.ptr, client.len, "port", (int)pb_session_peer_port(s), "listener", pb_session_listener(s), "plugin",
			  host->name);
	pb_ask(host, &(struct pb_question){ .point = POINT, .facts = facts }, &v);
	json_decref(facts);
	refused = v.decision == PB_REJECT || v.decision == PB_DEFER || v.decision == PB_DISCARD;
	if (refused)
		log_line(k->log, PB_INFO, NULL, "session.refused", "client=%.*s listener=%s by=%s text=%s", PB_FMT(client), pb_session_listener(s), v.plugin,
			 pb_logq(pb_strz(v.text)));
	pb_verdict_clear(&v);
	return refused;
}

static struct sessions_options options_of(struct kernel *k, const struct config *c)
{
	const json_t *limits = json_object_get(c->doc, "limits");

	return (struct sessions_options){
		.workers_max = (unsigned)json_integer_value(json_object_get(limits, "workers")),
		.connections_max = (unsigned)json_integer_value(json_object_get(limits, "connections")),
		.per_source_max = (unsigned)json_integer_value(json_object_get(limits, "per_source")),
		.per_user_max = (unsigned)json_integer_value(json_object_get(limits, "per_user")),
		.deadline = json_integer_value(json_object_get(limits, "command_time")) * PB_SECOND,
		.rate_min = (unsigned)json_integer_value(json_object_get(limits, "rate")),
		.connected = ask_at_connect,
		.connected_arg = k,
	};
}

/* What can be told about the files without reading them; a renewal gives them another inode or time. */
static char *stamp_of(const struct config *c)
{
	const json_t *one, *path;
	PB_AUTOBUF(text);
	const char *role;
	size_t i;

	json_array_foreach (json_object_get(c->doc, "certificates"), i, one) {
		json_object_foreach ((json_t *)one, role, path) {
			char *file = config_path(c, json_string_value(path));
			struct stat st = { 0 };

			stat(file, &st);
			pb_buf_addf(&text, "%s=%s %llu %lld %lld.%ld\n", role, file, (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
				    st.st_mtim.tv_nsec);
			free(file);
		}
	}
	return pb_str_dup(pb_strz(pb_buf_z(&text)));
}

bool entrance_certificates_differ(struct kernel *k, const struct config *c)
{
	char *fresh = stamp_of(c);
	bool differ = strcmp(fresh, k->certificates ? k->certificates : "") != 0;

	free(fresh);
	return differ;
}

int entrance_certificates(struct kernel *k, const struct config *c, struct pb_error *err)
{
	const json_t *list = json_object_get(c->doc, "certificates"), *one;
	struct certificate_files files[CERTIFICATES_MAX];
	char *stamp = stamp_of(c);	/* before they are read: what is written meanwhile is another one */
	size_t n = 0, i;
	int rc;

	if (json_array_size(list) > CERTIFICATES_MAX) {
		free(stamp);
		return pb_fail(err, PB_EINVALID, "%s: certificates: found %zu, allowed are at most %d", c->path, json_array_size(list), CERTIFICATES_MAX);
	}
	json_array_foreach (list, i, one) {
		files[n].cert = config_path(c, json_string_value(json_object_get(one, "cert")));
		files[n].key = config_path(c, json_string_value(json_object_get(one, "key")));
		n++;
	}
	rc = sessions_certificates(k->sessions, files, n, err);
	while (n--) {
		free((char *)files[n].cert);
		free((char *)files[n].key);
	}
	if (!rc) {
		char *old = k->certificates;

		k->certificates = stamp;
		stamp = old;
	}
	free(stamp);
	return rc;
}

int entrance_limits(struct kernel *k, const struct config *c, struct pb_error *err)
{
	const struct sessions_options o = options_of(k, c);

	return sessions_reconfigure(k->sessions, &o, err);
}

int entrance_open(struct kernel *k, struct pb_error *err)
{
	const struct sessions_options o = options_of(k, k->config);

	if (sessions_open(k, &o, &k->sessions, err))
		return err->code;
	return json_array_size(json_object_get(k->config->doc, "certificates")) ? entrance_certificates(k, k->config, err) : 0;
}
