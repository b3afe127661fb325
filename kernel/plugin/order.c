/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who needs whom: those who miss something are left out, circles too, the others are put in the order of their start. */
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

/* Leaves out those whose required methods nobody provides, until nothing changes. */
static void check_provided(struct plugins *all)
{
	bool changed = true;

	while (changed) {
		changed = false;
		for (struct plugin *p = all->first; p; p = p->next) {
			const json_t *word;
			size_t i;

			if (!may_run(p))
				continue;
			json_array_foreach (json_object_get(p->manifest->doc, "requires"), i, word) {
				const char *method = json_string_value(word);
				struct plugin *q = all->first;
				char reason[240];

				if (manifest_right(method))
					continue;
				while (q && !(may_run(q) && provides(q, method)))
					q = q->next;
				if (q)
					continue;
				say_missing(all, method, reason, sizeof reason);
				plugin_leave_out(all, p, reason);
				changed = true;
				break;
			}
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
		if (q == p || !may_run(q) || !needs(p, q))
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

/* Each of a circle would have to start before the others. Says whether there was one. */
static bool check_circles(struct plugins *all)
{
	json_t *circles = json_object(), *reason;
	const char *name;
	bool any;

	for (struct plugin *p = all->first; p; p = p->next) {
		json_t *seen = json_object(), *way = json_array();
		char text[240];

		if (may_run(p) && leads_to(all, p, p, seen, way)) {
			say_circle(p, way, text, sizeof text);
			json_object_set_new(circles, p->manifest->name, json_string(text));
		}
		json_decref(seen);
		json_decref(way);
	}
	any = json_object_size(circles);
	json_object_foreach (circles, name, reason)
		plugin_leave_out(all, plugin_find(all, name), json_string_value(reason));
	json_decref(circles);
	return any;
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
