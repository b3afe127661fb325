/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who needs whom: one who misses something does not start, nor a circle; the others are put in the order of their start. The same holds for all at the start of
 * the server and for one that comes later. */
#include <stdio.h>
#include "kernel/config/schema.h"
#include "kernel/plugin/plugin.h"

static bool provides(const struct plugin *p, const char *method)
{
	return json_object_get(json_object_get(json_object_get(p->manifest->doc, "provides"), "methods"), method) != NULL;
}

static bool may_run(const struct plugin *p)
{
	return p->state != PLUGIN_DISABLED && p->state != PLUGIN_FAILED;
}

static bool is_to_start(const struct plugin *p)
{
	return p->state == PLUGIN_READY;
}

/* What nobody provides may be a right, or a method, written wrongly. */
static void say_missing(const struct plugins *all, const char *word, char *reason, size_t room)
{
	json_t *known = manifest_rights();
	const char *near;

	for (const struct plugin *p = all->first; p; p = p->next)
		json_object_update(known, json_object_get(json_object_get(p->manifest->doc, "provides"), "methods"));
	near = schema_nearest(known, word);
	if (near && strcmp(near, word))
		snprintf(reason, room, "it requires %.80s, which no enabled plugin provides; did you mean \"%.80s\"?", word, near);
	else
		snprintf(reason, room, "it requires %.80s, which no enabled plugin provides", word);
	json_decref(known);
}

/* Whether p requires what neither itself nor one that may run provides. */
static bool misses(const struct plugins *all, const struct plugin *p, char *reason, size_t room)
{
	const json_t *word;
	size_t i;

	json_array_foreach (json_object_get(p->manifest->doc, "requires"), i, word) {
		const char *method = json_string_value(word);
		const struct plugin *q = all->first;

		if (manifest_right(method))
			continue;
		while (q && !((q == p || may_run(q)) && provides(q, method)))
			q = q->next;
		if (!q) {
			say_missing(all, method, reason, room);
			return true;
		}
	}
	return false;
}

/* Leaves out those whose required methods nobody provides, until nothing changes. */
static void check_provided(struct plugins *all)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (struct plugin *p = all->first; p; p = p->next) {
			char reason[240];

			if (!is_to_start(p) || !misses(all, p, reason, sizeof reason))
				continue;
			plugin_leave_out(all, p, reason);
			changed = true;
		}
	}
}

static bool needs(const struct plugin *p, const struct plugin *q)
{
	const char *method;
	json_t *required;

	json_object_foreach (p->manifest->calls, method, required)
		if (json_is_true(required) && provides(q, method))
			return true;
	return false;
}

/* One that p needs, may run, and from which a way leads back to target; seen: by place in the list. */
static bool leads_to(struct plugins *all, const struct plugin *p, const struct plugin *target, json_t *seen, json_t *way)
{
	for (const struct plugin *q = all->first; q; q = q->next) {
		if (q == p || !(q == target || may_run(q)) || !needs(p, q))
			continue;
		if (q == target)
			return true;
		if (json_object_get(seen, q->manifest->name))
			continue;
		json_object_set_new(seen, q->manifest->name, json_true());
		if (leads_to(all, q, target, seen, way)) {
			json_array_insert_new(way, 0, json_string(q->manifest->name));
			return true;
		}
	}
	return false;
}

static void say_circle(const struct plugin *p, const json_t *way, char *reason, size_t room)
{
	const json_t *one;
	size_t i, at = (size_t)snprintf(reason, room, "it is in a circle: %.60s requires ", p->manifest->name);

	json_array_foreach (way, i, one)
		if (at < room)
			at += (size_t)snprintf(reason + at, room - at, "%.60s, which requires ", json_string_value(one));
	if (at < room)
		snprintf(reason + at, room - at, "%.60s", p->manifest->name);
}

/* Each of a circle would have to start before the others. */
static bool is_in_circle(struct plugins *all, const struct plugin *p, char *reason, size_t room)
{
	json_t *seen = json_object(), *way = json_array();
	bool is = leads_to(all, p, p, seen, way);

	if (is)
		say_circle(p, way, reason, room);
	json_decref(seen);
	json_decref(way);
	return is;
}

/* All of a circle are found before the first is left out. Says whether there was one. */
static bool check_circles(struct plugins *all)
{
	json_t *circles = json_object(), *reason;
	const char *name;
	bool any;

	for (struct plugin *p = all->first; p; p = p->next) {
		char text[240];

		if (is_to_start(p) && is_in_circle(all, p, text, sizeof text))
			json_object_set_new(circles, p->manifest->name, json_string(text));
	}
	any = json_object_size(circles);
	json_object_foreach (circles, name, reason)
		plugin_leave_out(all, plugin_find(all, name), json_string_value(reason));
	json_decref(circles);
	return any;
}

int order_admit(struct plugins *all, const struct plugin *p, struct pb_error *err)
{
	char reason[240];

	if (misses(all, p, reason, sizeof reason) || is_in_circle(all, p, reason, sizeof reason))
		return pb_fail(err, PB_EUNAVAILABLE, "%s cannot start: %s", p->manifest->name, reason);
	return 0;
}

void order_check(struct plugins *all)
{
	check_provided(all);
	if (check_circles(all))
		check_provided(all);
}

/* Those that others need come first; among equals by name. Circles are among those that do not run. */
void order_sort(struct plugins *all)
{
	struct plugin *sorted = NULL, **end = &sorted;

	while (all->first) {
		struct plugin **pick = NULL;

		for (struct plugin **at = &all->first; *at && !pick; at = &(*at)->next) {
			bool free = true;

			for (struct plugin *q = all->first; q && free; q = q->next)
				free = q == *at || !needs(*at, q);
			if (free)
				pick = at;
		}
		if (!pick)
			pick = &all->first;
		*end = *pick;
		*pick = (*pick)->next;
		end = &(*end)->next;
		*end = NULL;
	}
	all->first = sorted;
}
