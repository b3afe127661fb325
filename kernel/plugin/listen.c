/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What plugins listen on: wishes made from manifest and postbus.json, and the step from one set of listeners to the next, which is prepared as a whole
 * before any of it counts. Sockets are the sessions' room's.
 */
#include <stdlib.h>
#include "kernel/check.h"
#include "kernel/config/config.h"
#include "kernel/config/schema.h"
#include "kernel/plugin/plugin.h"
#include "kernel/session/sessions.h"

enum { PROXIES_MAX = 64 };

static const char *word(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static long long number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* ---- is it right? ---- */

static int check_one(const char *name, const json_t *own, const char *where, struct pb_error *err)
{
	const json_t *one;
	char here[300];
	size_t i;

	json_array_foreach (json_object_get(own, "address"), i, one) {
		snprintf(here, sizeof here, "%s.%s.address[%zu]", where, name, i);
		if (check_address(json_string_value(one), here, true, err))
			return err->code;
	}
	json_array_foreach (json_object_get(own, "proxies"), i, one) {
		snprintf(here, sizeof here, "%s.proxies[%zu]", name, i);
		if (!network_is_valid(json_string_value(one)))
			return schema_refuse(err, where, here, one, "a network like 192.0.2.0/24 or 2001:db8::/32");
	}
	return json_array_size(json_object_get(own, "proxies")) > PROXIES_MAX ?
		       pb_fail(err, PB_EINVALID, "%s.%s.proxies: found %zu, allowed are at most %d", where, name, json_array_size(json_object_get(own, "proxies")), PROXIES_MAX) : 0;
}

int listen_check(const struct plugin *p, const json_t *doc, const char *path, struct pb_error *err)
{
	json_t *listed = json_object_get(json_object_get(json_object_get(doc, "plugins"), p->manifest->name), "listen"), *known = json_object(), *own;
	const json_t *spec;
	const char *name;
	char where[250];
	int rc = 0;
	size_t i;

	json_array_foreach (json_object_get(p->manifest->doc, "listens"), i, spec)
		json_object_set_new(known, word(spec, "name"), json_null());
	snprintf(where, sizeof where, "%.150s: plugins.%s.listen", path, p->manifest->name);
	json_object_foreach (listed, name, own) {
		const char *near = schema_nearest(known, name);

		rc = json_object_get(known, name) ? check_one(name, own, where, err) :
		     near ? pb_fail(err, PB_EINVALID, "%s: it has no listener \"%s\"; did you mean \"%s\"?", where, name, near) :
			    pb_fail(err, PB_EINVALID, "%s: it has no listener \"%s\"", where, name);
		if (rc)
			break;
	}
	json_decref(known);
	return rc;
}

/* ---- wishes ---- */

static int add_wish(const struct plugin *p, const json_t *doc, const json_t *spec, const char *address, json_t *list, struct pb_error *err)
{
	const char *name = word(spec, "name");
	const json_t *own = json_object_get(json_object_get(json_object_get(json_object_get(doc, "plugins"), p->manifest->name), "listen"), name);
	const json_t *port = json_object_get(own, "port"), *proxies = json_object_get(own, "proxies");
	long long base = number(doc, "port_base"), wanted = json_integer_value(port ? port : json_object_get(spec, "port"));

	if (wanted + base > 65535)
		return pb_fail(err, PB_EINVALID, "listener %s of %s: port %lld is above 65535", name, p->manifest->name, wanted + base);
	if (json_array_size(list) == LISTENERS_MAX)
		return pb_fail(err, PB_ETOOBIG, "%s has more than %d listeners", p->manifest->name, LISTENERS_MAX);
	json_array_append_new(list, json_pack("{s:s s:s s:s s:s s:I s:I s:o}", "name", name, "protocol", word(spec, "protocol"), "tls", word(spec, "tls"), "address", address,
					      "port", (json_int_t)(wanted || !port ? wanted + base : 0), "connections", (json_int_t)number(own, "connections"), "proxies",
					      proxies ? json_incref((json_t *)proxies) : json_array()));
	return 0;
}

int listen_wishes(const struct plugin *p, const json_t *doc, json_t **ret, struct pb_error *err)
{
	json_t *list = json_array();
	const json_t *spec, *address;
	size_t i, k;

	json_array_foreach (json_object_get(p->manifest->doc, "listens"), i, spec) {
		const json_t *own = json_object_get(json_object_get(json_object_get(json_object_get(doc, "plugins"), p->manifest->name), "listen"), word(spec, "name"));
		const json_t *enabled = json_object_get(own, "enabled"), *addresses = json_object_get(own, "address");

		if (json_is_false(enabled ? enabled : json_object_get(spec, "enabled")))
			continue;
		json_array_foreach (addresses ? addresses : json_object_get(doc, "listen"), k, address) {
			if (add_wish(p, doc, spec, json_string_value(address), list, err)) {
				json_decref(list);
				return err->code;
			}
		}
	}
	*ret = list;
	return 0;
}

static enum listener_tls tls_of(const char *tls)
{
	return !strcmp(tls, "implicit") ? LISTENER_IMPLICIT : !strcmp(tls, "starttls") ? LISTENER_STARTTLS : LISTENER_CLEAR;
}

static int bind_wish(struct plugin *p, const json_t *wish, bool waits, struct listener *heir_of, struct listener **ret, struct pb_error *err)
{
	const json_t *proxies = json_object_get(wish, "proxies"), *net;
	const char *networks[PROXIES_MAX + 1] = { NULL };
	struct listener_options o = {
		.plugin = p->manifest->name,
		.name = word(wish, "name"),
		.protocol = word(wish, "protocol"),
		.address = word(wish, "address"),
		.port = (uint16_t)number(wish, "port"),
		.tls = tls_of(word(wish, "tls")),
		.connections_max = (unsigned)number(wish, "connections"),
		.waits = waits,
		.heir_of = heir_of,
	};
	size_t i;

	json_array_foreach (proxies, i, net)
		if (i < PROXIES_MAX)
			networks[i] = json_string_value(net);
	if (json_array_size(proxies))
		o.proxies = networks;
	return listener_bind(p->host.kernel->sessions, &o, ret, err) ? pb_because(err, "listener %s of %s", o.name, o.plugin) : 0;
}

static bool share_addresses(const char *a, const char *b)
{
	bool six = strchr(a, ':') != NULL;

	if (*a == '/' || *b == '/' || six != (strchr(b, ':') != NULL))
		return !strcmp(a, b);
	return !strcmp(a, b) || !strcmp(a, six ? "::" : "0.0.0.0") || !strcmp(b, six ? "::" : "0.0.0.0");
}

/* A port that one of ours has is told by its name. */
static int tell_holder(struct plugins *all, const struct plugin *p, const json_t *wish, struct pb_error *err)
{
	for (struct plugin *q = all->first; q && err->code == PB_EBUSY; q = q->next) {
		for (size_t i = 0; i < q->listening.n; i++) {
			const json_t *held = json_array_get(q->listening.wishes, i);

			if (listener_port(q->listening.listeners[i]) == number(wish, "port") && share_addresses(word(held, "address"), word(wish, "address")))
				return pb_fail(err, PB_EBUSY, "listener %s of %s: cannot listen on %s port %lld: listener %s of %s has it", word(wish, "name"),
					       p->manifest->name, word(wish, "address"), number(wish, "port"), word(held, "name"), q->manifest->name);
		}
	}
	return err->code;
}

/* ---- at the start of a plugin ---- */

static json_t *bound_of(const struct listening *l)
{
	json_t *bound = json_array();
	const json_t *wish;
	size_t i;

	json_array_foreach (l->wishes, i, wish)
		json_array_append_new(bound, json_pack("{s:s s:s s:i s:s}", "name", word(wish, "name"), "address", word(wish, "address"), "port",
							  listener_port(l->listeners[i]), "tls", word(wish, "tls")));
	return bound;
}

/* Others show it. */
static void tell_bound(struct plugins *all, struct plugin *p, json_t *bound)
{
	json_t *old = p->listening.bound;

	pthread_mutex_lock(&all->lock);
	p->listening.bound = bound;
	pthread_mutex_unlock(&all->lock);
	json_decref(old);
}

int plugin_bind(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	json_t *wishes;
	int rc = listen_wishes(p, all->kernel->config->doc, &wishes, err);

	if (rc)
		return rc;
	plugin_unbind(all, p);
	json_decref(p->listening.wishes);
	p->listening.wishes = wishes;
	for (size_t i = 0; i < json_array_size(wishes); i++) {
		if (bind_wish(p, json_array_get(wishes, i), false, NULL, &p->listening.listeners[i], err)) {
			tell_holder(all, p, json_array_get(wishes, i), err);
			plugin_unbind(all, p);
			return err->code;
		}
		p->listening.n++;
	}
	tell_bound(all, p, bound_of(&p->listening));
	return 0;
}

void plugin_unbind(struct plugins *all, struct plugin *p)
{
	while (p->listening.n)
		listener_close(p->listening.listeners[--p->listening.n]);
	json_array_clear(p->listening.wishes);
	tell_bound(all, p, NULL);
}

void listening_free(struct listening *l)
{
	json_decref(l->wishes);
	json_decref(l->bound);
}

/* ---- from one configuration to the next ---- */

/* The listener that is this very wish. */
static struct listener *keep(struct plugin *p, const json_t *wish)
{
	for (size_t i = 0; i < p->listening.n; i++) {
		if (!p->listening.used[i] && json_equal(json_array_get(p->listening.wishes, i), wish)) {
			p->listening.used[i] = true;
			return p->listening.listeners[i];
		}
	}
	return NULL;
}

static bool is_socket_for(const struct plugin *p, const json_t *wish, const struct plugin *q, size_t i)
{
	const json_t *old = json_array_get(q->listening.wishes, i);
	long long port = number(wish, "port");

	if (q->listening.used[i] || strcmp(word(old, "address"), word(wish, "address")))
		return false;
	if (word(wish, "address")[0] == '/')
		return true;
	if (port)
		return port == listener_port(q->listening.listeners[i]);
	return p == q && !number(old, "port") && !strcmp(word(old, "name"), word(wish, "name"));
}

/* A listener at this wish's address and port that will go, whoever has it. */
static struct listener *inherit(struct plugins *all, const struct plugin *p, const json_t *wish)
{
	for (struct plugin *q = all->first; q; q = q->next) {
		for (size_t i = 0; i < q->listening.n; i++) {
			if (is_socket_for(p, wish, q, i)) {
				q->listening.used[i] = true;
				return q->listening.listeners[i];
			}
		}
	}
	return NULL;
}

/* One that goes may hold the port on all addresses, or on one of all: its port is given free for the new one to try. Says whether there was one. A port that
 * was any free one would not be kept meanwhile. */
static bool rest_in_the_way(struct plugins *all, const json_t *wish)
{
	bool any = false;

	for (struct plugin *q = all->first; q; q = q->next) {
		for (size_t i = 0; i < q->listening.n; i++) {
			const json_t *old = json_array_get(q->listening.wishes, i);

			if (q->listening.used[i] || q->listening.rests[i] || word(old, "address")[0] == '/' || number(old, "port") != number(wish, "port"))
				continue;
			listener_rest(q->listening.listeners[i]);
			q->listening.rests[i] = any = true;
		}
	}
	return any;
}

static int bind_next(struct plugins *all, struct plugin *p, size_t i, struct pb_error *err)
{
	const json_t *wish = json_array_get(p->coming->wishes, i);
	struct listener **l = &p->coming->listeners[i], *of = inherit(all, p, wish);
	int rc = bind_wish(p, wish, true, of, l, err);

	if (rc == PB_EBUSY && !of && rest_in_the_way(all, wish))
		rc = bind_wish(p, wish, true, NULL, l, err);
	if (rc) {
		*l = NULL;
		tell_holder(all, p, wish, err);
	}
	return rc;
}

static bool has(const struct listening *l, const struct listener *one)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->listeners[i] == one)
			return true;
	return false;
}

static int wish_all(struct plugins *all, const json_t *doc, struct pb_error *err)
{
	const json_t *listed = json_object_get(doc, "plugins");

	for (struct plugin *p = all->first; p; p = p->next) {
		memset(p->listening.used, 0, sizeof p->listening.used);
		memset(p->listening.rests, 0, sizeof p->listening.rests);
	}
	for (struct plugin *p = all->first; p; p = p->next) {
		if (!values_enabled(p, listed, all->settings))
			continue;
		p->coming = pb_alloc(sizeof *p->coming);
		if (listen_wishes(p, doc, &p->coming->wishes, err))
			return err->code;
		p->coming->n = json_array_size(p->coming->wishes);
		for (size_t i = 0; i < p->coming->n; i++)
			p->coming->listeners[i] = keep(p, json_array_get(p->coming->wishes, i));
	}
	return 0;
}

static void forget_coming(struct plugin *p)
{
	if (p->coming)
		listening_free(p->coming);
	free(p->coming);
	p->coming = NULL;
}

/* Closes what was bound for it alone. */
static void drop_coming(struct plugin *p)
{
	for (size_t i = 0; p->coming && i < p->coming->n; i++)
		if (p->coming->listeners[i] && !has(&p->listening, p->coming->listeners[i]))
			listener_close(p->coming->listeners[i]);
	forget_coming(p);
}

static int bind_coming(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && p->coming && i < p->coming->n; i++)
		if (!p->coming->listeners[i])
			rc = bind_next(all, p, i, err);
	return rc;
}

/* One that was enabled before and does not run: a port that it cannot have is its own trouble, as at the start, and is told when it is tried. */
static bool may_be_left_out(const struct plugins *all, const struct plugin *p)
{
	return p->state != PLUGIN_RUNNING && values_enabled(p, json_object_get(all->kernel->config->doc, "plugins"), all->settings);
}

int listen_prepare(struct plugins *all, const json_t *doc, struct pb_error *err)
{
	int rc = all->offline ? 0 : wish_all(all, doc, err);

	for (struct plugin *p = all->first; !rc && !all->offline && p; p = p->next) {
		rc = bind_coming(all, p, err);
		if (rc && may_be_left_out(all, p)) {
			drop_coming(p);
			rc = 0;
		}
	}
	if (rc)
		listen_drop(all);
	return rc;
}

void listen_drop(struct plugins *all)
{
	for (struct plugin *p = all->first; p; p = p->next)
		for (size_t i = 0; p->coming && i < p->coming->n; i++)
			if (!has(&p->listening, p->coming->listeners[i]))
				listener_close(p->coming->listeners[i]);
	for (struct plugin *p = all->first; p; p = p->next) {
		for (size_t i = 0; i < p->listening.n; i++)
			if (p->listening.rests[i])
				listener_resume(p->listening.listeners[i]);
		memset(p->listening.rests, 0, sizeof p->listening.rests);
		forget_coming(p);
	}
}

void listen_commit(struct plugins *all)
{
	struct listening before;

	for (struct plugin *p = all->first; p; p = p->next)
		for (size_t i = 0; p->coming && i < p->coming->n; i++)
			if (!has(&p->listening, p->coming->listeners[i]))
				listener_begin(p->coming->listeners[i]);
	for (struct plugin *p = all->first; p; p = p->next) {
		if (!p->coming)
			continue;
		for (size_t i = 0; i < p->listening.n; i++)
			if (!has(p->coming, p->listening.listeners[i]))
				listener_close(p->listening.listeners[i]);
		p->coming->bound = bound_of(p->coming);
		pthread_mutex_lock(&all->lock);
		before = p->listening;
		p->listening = *p->coming;
		pthread_mutex_unlock(&all->lock);
		p->coming->wishes = NULL;
		p->coming->bound = NULL;
		listening_free(&before);
		forget_coming(p);
	}
}
