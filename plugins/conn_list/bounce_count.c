/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Points for failures, and what follows from them: a probe, no more posts, warnings, the end. */
#include "bounce.h"

/* ---- weight ---- */

/* "550 5.1.1 ..." or "5.1.1": the three numbers; empty where there are none. */
static struct pb_str status_in(struct pb_str reply)
{
	struct pb_str word;

	while (pb_str_word(&reply, &word))
		if (word.len >= 5 && (word.ptr[0] == '4' || word.ptr[0] == '5') && word.ptr[1] == '.' && pb_is_digit((unsigned char)word.ptr[2]))
			return word;
	return PB_NOSTR;
}

enum bounce_weight bounce_weigh(struct pb_str reply, struct pb_str status)
{
	static const char *const about_the_message[] = { "5.6.", "5.7.", "5.3.4", "5.2.3" };

	if (!status.len)
		status = status_in(reply);
	for (size_t i = 0; i < sizeof about_the_message / sizeof *about_the_message; i++)
		if (pb_str_starts(status, pb_strz(about_the_message[i])))
			return BOUNCE_SOFT;
	if (status.len)
		return status.ptr[0] == '5' ? BOUNCE_HARD : BOUNCE_SOFT;
	return reply.len && reply.ptr[0] == '4' ? BOUNCE_SOFT : BOUNCE_HARD;
}

/* ---- a member ---- */

static bool is_stopped_for_it(const json_t *row)
{
	return pb_str_eq(pb_text_of(row, "stopped"), PB_STR("bounces"));
}

static void stop(struct lists *all, const struct list *l, json_t *row, json_t *known)
{
	PB_AUTOBUF(text);

	json_object_set_new(row, "stopped", json_string("bounces"));
	json_object_set_new(known, "warned", json_integer(0));
	json_object_set_new(known, "next", json_integer((json_int_t)pb_now(all->host)));
	pb_log(all->host, PB_INFO, "list.stopped", "list=%.*s member=%s reason=%s", PB_FMT(l->address), pb_logq(pb_text_of(row, "address")), pb_logq(pb_text_of(known, "reason")));
	pb_count(all->host, "stopped", 1);
	pb_buf_addf(&text, "%.*s gets no more posts of %.*s: mail to that address came back. The last reason was:\n\n  %.*s\n", PB_FMT(pb_text_of(row, "address")),
		    PB_FMT(l->address), PB_FMT(pb_text_of(known, "reason")));
	bounce_tell(all, l, PB_STR("A member gets no more posts"), pb_buf_str(&text), NULL);
}

/* One more failure. True: the row was changed. */
static bool add_points(struct lists *all, const struct list *l, json_t *row, json_t *known, enum bounce_weight weight, struct pb_str reason)
{
	int64_t now = pb_now(all->host), last = number_of(known, "last"), stale = setting_number(l->settings, "bounce_stale") * PB_SECOND, score = number_of(known, "score");

	if (last && number_of(known, "day") == now / PB_DAY)
		return false;
	if (last && stale && now - last > stale) {
		score = 0;
		json_object_del(known, "probed");
	}
	score += setting_number(l->settings, weight == BOUNCE_HARD ? "bounce_hard" : "bounce_soft");
	json_object_set_new(known, "score", json_integer((json_int_t)score));
	json_object_set_new(known, "day", json_integer((json_int_t)(now / PB_DAY)));
	json_object_set_new(known, "last", json_integer((json_int_t)now));
	set_text(known, "reason", pb_str_head(reason, 300));
	if (score < setting_number(l->settings, "bounce_stop"))
		return true;
	if (!setting_flag(l->settings, "bounce_probe"))
		stop(all, l, row, known);
	else if (!json_object_get(known, "probed") && !bounce_probe(all, l, pb_text_of(row, "address"), NULL))
		json_object_set_new(known, "probed", json_integer((json_int_t)now));
	return true;
}

static json_t *known_of(json_t *row)
{
	json_t *known = json_object_get(row, "bounces");

	if (known)
		return known;
	known = json_object();
	json_object_set_new(row, "bounces", known);
	return known;
}

int bounce_count(struct lists *all, const struct list *l, struct pb_str address, enum bounce_weight weight, struct pb_str reason, struct pb_error *err)
{
	json_t *row;
	int rc;

	if (!setting_flag(l->settings, "bounces"))
		return 0;
	pthread_mutex_lock(&all->writing);
	rc = member_get(all, l, address, &row, err);
	if (!rc) {
		pb_count(all->host, "bounces", 1);
		if (!is_stopped_for_it(row) && add_points(all, l, row, known_of(row), weight, reason))
			rc = member_put(all, l, row, err);
		json_decref(row);
	}
	pthread_mutex_unlock(&all->writing);
	return rc;
}

int bounce_stop(struct lists *all, const struct list *l, struct pb_str address, struct pb_str reason, struct pb_error *err)
{
	json_t *row, *known;
	int rc;

	pthread_mutex_lock(&all->writing);
	rc = member_get(all, l, address, &row, err);
	if (!rc) {
		known = known_of(row);
		if (!is_stopped_for_it(row) && json_object_get(known, "probed")) {
			if (reason.len)
				set_text(known, "reason", pb_str_head(reason, 300));
			stop(all, l, row, known);
			rc = member_put(all, l, row, err);
		}
		json_decref(row);
	}
	pthread_mutex_unlock(&all->writing);
	return rc;
}

/* ---- in the course of time ---- */

struct due {
	json_t *rows;
	int64_t now;
};

static bool is_due(void *arg, const struct member *m)
{
	struct due *d = arg;

	if (is_stopped_for_it(member_row(m)) && number_of(json_object_get(member_row(m), "bounces"), "next") <= d->now)
		json_array_append(d->rows, (json_t *)member_row(m));
	return json_array_size(d->rows) < 10000;
}

static void remove_one(struct lists *all, const struct list *l, const json_t *row)
{
	PB_AUTOBUF(text);

	if (member_remove(all, l, pb_text_of(row, "address"), NULL))
		return;
	pb_log(all->host, PB_INFO, "list.removed", "list=%.*s member=%s by=bounces", PB_FMT(l->address), pb_logq(pb_text_of(row, "address")));
	pb_buf_addf(&text, "%.*s was taken off %.*s: mail to that address came back, and nobody answered.\n", PB_FMT(pb_text_of(row, "address")), PB_FMT(l->address));
	bounce_tell(all, l, PB_STR("A member was removed"), pb_buf_str(&text), NULL);
}

static void warn_or_remove(struct lists *all, const struct list *l, json_t *row, int64_t now)
{
	json_t *known = known_of(row);
	int64_t warned = number_of(known, "warned");

	if (warned >= setting_number(l->settings, "bounce_warnings")) {
		remove_one(all, l, row);
		return;
	}
	if (bounce_warn(all, l, row, NULL))
		return;
	json_object_set_new(known, "warned", json_integer((json_int_t)warned + 1));
	json_object_set_new(known, "next", json_integer((json_int_t)(now + setting_number(l->settings, "bounce_warn_every") * PB_SECOND)));
	member_put(all, l, row, NULL);
}

static bool look_after(void *arg, struct list *l)
{
	struct lists *all = arg;
	struct due d = { json_array(), pb_now(all->host) };
	json_t *row;
	size_t i;

	pthread_mutex_lock(&all->writing);
	if (!members_each(all, l, PB_NOSTR, PB_NOSTR, is_due, &d, NULL)) {
		json_array_foreach (d.rows, i, row)
			warn_or_remove(all, l, row, d.now);
	}
	pthread_mutex_unlock(&all->writing);
	json_decref(d.rows);
	return true;
}

struct past {
	int64_t now;
	json_t *tokens;
};

static bool is_past(void *arg, struct pb_str key, struct pb_str value)
{
	struct past *p = arg;
	json_t *row = json_loadb(value.ptr, value.len, 0, NULL);

	if (number_of(row, "until") < p->now)
		json_array_append_new(p->tokens, json_stringn(key.ptr, key.len));
	json_decref(row);
	return true;
}

void bounce_tick(struct lists *all)
{
	struct past past = { pb_now(all->host), json_array() };
	json_t *one;
	size_t i;

	lists_each(all, PB_NOSTR, look_after, all, NULL);
	pb_table_scan(all->probes, PB_NOSTR, PB_NOSTR, 0, is_past, &past, NULL);
	json_array_foreach (past.tokens, i, one)
		pb_table_apply(all->probes, &(struct pb_change){ PB_DELETE, pb_str(json_string_value(one), json_string_length(one)), PB_NOSTR }, 1, NULL);
	json_decref(past.tokens);
}
