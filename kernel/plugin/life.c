/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start and stop of one plugin: object, load, start, bus, lanes, sessions; and the same backwards. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "kernel/bus/bus.h"
#include "kernel/log/log.h"
#include "kernel/plugin/plugin.h"
#include "kernel/queue/queue.h"
#include "kernel/session/link.h"
#include "kernel/session/running.h"
#include "kernel/session/sessions.h"

/* ---- on the bus ---- */

static const json_t *spec_in(const struct plugin *p, const char *section, const char *name)
{
	const json_t *all = json_object_get(p->manifest->doc, section);

	if (!strcmp(section, "provides"))
		all = json_object_get(all, "methods");
	return json_object_get(all, name);
}

static bool hears(const struct plugin *p, const char *fact)
{
	const json_t *one;
	size_t i;

	json_array_foreach (json_object_get(p->manifest->doc, "hears"), i, one)
		if (!strcmp(json_string_value(one), fact))
			return true;
	return false;
}

/* What is in the object must be in the manifest, and what the manifest provides must be in the object. */
static int register_on_bus(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	const char *name = p->manifest->name, *method;
	size_t n = 0;
	json_t *spec;

	for (const struct pb_method *m = p->desc.methods; m && m->name; m++, n++)
		if (!spec_in(p, "provides", m->name))
			return pb_fail(err, PB_EINVALID, "%s offers the method %s, which its manifest does not name", name, m->name);
		else if (bus_provide(all->kernel->bus, &p->host, m, spec_in(p, "provides", m->name), err))
			return err->code;
	if (json_object_size(json_object_get(json_object_get(p->manifest->doc, "provides"), "methods")) != n)
		json_object_foreach (json_object_get(json_object_get(p->manifest->doc, "provides"), "methods"), method, spec) {
			const struct pb_method *m = p->desc.methods;

			while (m && m->name && strcmp(m->name, method))
				m++;
			if (!m || !m->name)
				return pb_fail(err, PB_EINVALID, "the manifest of %s names the method %s, which its object does not offer", name, method);
		}
	for (const struct pb_hook *h = p->desc.hooks; h && h->point; h++)
		if (!spec_in(p, "hooks", h->point))
			return pb_fail(err, PB_EINVALID, "%s hooks %s, which its manifest does not name", name, h->point);
		else if (bus_hook(all->kernel->bus, &p->host, h, spec_in(p, "hooks", h->point), err))
			return err->code;
	for (const struct pb_listener *l = p->desc.listeners; l && l->fact; l++)
		if (!hears(p, l->fact))
			return pb_fail(err, PB_EINVALID, "%s listens to %s, which its manifest does not name in \"hears\"", name, l->fact);
		else if (bus_listen(all->kernel->bus, &p->host, l, err))
			return err->code;
	return 0;
}

static void declare_metrics(struct plugin *p)
{
	char labels[80];
	const char *name;
	json_t *spec;

	snprintf(labels, sizeof labels, "plugin=\"%s\"", p->manifest->name);
	p->metrics = json_object();
	json_object_foreach (json_object_get(p->manifest->doc, "metrics"), name, spec) {
		const char *kind = json_string_value(json_object_get(spec, "kind"));
		enum metric_kind k = !strcmp(kind, "gauge") ? METRIC_GAUGE : !strcmp(kind, "histogram") ? METRIC_HISTOGRAM : METRIC_COUNTER;
		struct metric *m = metric_declare(p->host.kernel->log, k, name, labels, json_string_value(json_object_get(spec, "help")));

		json_object_set_new(p->metrics, name, json_integer((json_int_t)(intptr_t)m));
	}
}

/* ---- lanes, ticks, sessions ---- */

enum { LADDER_MAX = 50, LANES_MAX = 16 };

/* The numbers that the manifest gives or refers to. */
struct tuning {
	struct consumer_options o;
	uint32_t ladder[LADDER_MAX];
};

static void tuning_read(const struct plugin *p, struct tuning *ret)
{
	const json_t *doc = p->manifest->doc, *retry = json_object_get(doc, "retry"), *notice = json_object_get(retry, "notice"), *step;
	uint32_t notice_seconds = (uint32_t)values_number(p, notice);
	size_t i;

	ret->o = (struct consumer_options){
		.workers = (unsigned)values_number(p, json_object_get(doc, "workers")),
		.per_destination = (unsigned)values_number(p, json_object_get(doc, "per_destination")),
		.ladder = ret->ladder,
		.expire_seconds = (uint32_t)values_number(p, json_object_get(retry, "expire")),
		.delay_notice_seconds = notice && !notice_seconds ? UINT32_MAX : notice_seconds,	/* 0 there: never */
	};
	json_array_foreach (values_refer(p, json_object_get(retry, "ladder")), i, step)
		if (ret->o.nladder < LADDER_MAX)
			ret->ladder[ret->o.nladder++] = (uint32_t)json_integer_value(step);
}

/* As many of its own as the manifest says, for a plugin that is an agent too. */
static void tune_courier(const struct plugin *p, struct consumer_options *o)
{
	unsigned workers = (unsigned)values_number(p, json_object_get(p->manifest->doc, "courier_workers"));

	if (workers)
		o->workers = workers;
}

static int attach_lanes(struct plugins *all, struct plugin *p, const char *const *lanes, int (*work)(void *, struct pb_item *, struct pb_error *),
			struct consumer **ret, struct pb_error *err)
{
	struct tuning t;

	tuning_read(p, &t);
	t.o.host = &p->host;
	t.o.lanes = lanes;
	t.o.work = work;
	if (ret == &p->courier)
		tune_courier(p, &t.o);
	t.o.flush = p->host.rights & RIGHT_NET_CONNECT;		/* what went over the network cannot be taken back */
	return queue_attach(all->kernel->queue, &t.o, ret, err);
}

static void attach_tick(struct plugins *all, struct plugin *p)
{
	int64_t interval = values_number(p, json_object_get(p->manifest->doc, "interval"));

	if (!p->desc.agent || !p->desc.agent->tick || (p->tick && interval == p->interval))
		return;
	p->interval = interval;
	if (p->tick && interval > 0)
		sessions_repeat_every(p->tick, interval * PB_SECOND);
	else if (interval > 0)
		p->tick = sessions_repeat(all->kernel->sessions, interval * PB_SECOND, (void (*)(void *))p->desc.agent->tick, p->host.self);
	else if (sessions_repeat_cancel(p->tick, DRAIN_TIME) == 0)
		p->tick = NULL;		/* else it runs for the last time, and the plugin's stop waits for it */
}

void plugin_retune(struct plugins *all, struct plugin *p)
{
	struct tuning t;

	if (all->offline)
		return;
	tuning_read(p, &t);
	if (p->agent)
		queue_retune(p->agent, &t.o);
	tune_courier(p, &t.o);
	if (p->courier)
		queue_retune(p->courier, &t.o);
	attach_tick(all, p);
}

static int attach(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	const json_t *lane, *leases = json_object_get(p->manifest->doc, "leases");
	const char *lanes[LANES_MAX + 1] = { NULL };
	char outgoing[80];
	size_t i;

	if (p->desc.courier) {
		snprintf(outgoing, sizeof outgoing, "%s.outgoing", p->manifest->name);
		lanes[0] = outgoing;
		if (attach_lanes(all, p, lanes, p->desc.courier->deliver, &p->courier, err))
			return err->code;
	}
	if (p->desc.agent && p->desc.agent->process && json_array_size(leases)) {
		json_array_foreach (leases, i, lane)
			if (i < LANES_MAX)
				lanes[i] = json_string_value(lane);
		if (attach_lanes(all, p, lanes, p->desc.agent->process, &p->agent, err))
			return err->code;
	}
	attach_tick(all, p);
	if (p->desc.protocols && sessions_attach(all->kernel->sessions, &p->host, p->desc.protocols, &p->attachment, err))
		return err->code;
	return 0;
}

/* Back to nothing; err stays what it is. */
static int give_up(struct plugins *all, struct plugin *p, const struct pb_error *err)
{
	struct pb_error second;

	plugin_stop(all, p, DRAIN_TIME, &second);
	return err->code;
}

static int own_start(struct plugin *p, struct pb_error *err)
{
	if (p->desc.load && p->desc.load(&p->host, &p->host.self, err))
		return pb_because(err, "while it loaded");
	if (p->desc.start && p->desc.start(p->host.self, err))
		return pb_because(err, "while it started");
	return 0;
}

int plugin_open(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	if (p->object)
		return 0;
	if (object_open(p, err))
		return err->code;
	/* debuggers and sanitizers know the copy by its number only */
	log_line(all->kernel->log, PB_INFO, NULL, "plugin.loaded", "plugin=%s object=%s/%s.so copy=/proc/%d/fd/%d", p->manifest->name, p->manifest->dir, p->manifest->name,
		 (int)getpid(), p->copy);
	return 0;
}

int plugin_load(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	int rc;

	p->loaded = true;
	declare_metrics(p);
	atomic_store(&p->host.links_until, 0);
	p->rests = false;
	plugin_state_set(all, p, PLUGIN_READY, "");
	bus_impatient(true);
	rc = own_start(p, err);
	bus_impatient(false);
	return rc || register_on_bus(all, p, err) ? give_up(all, p, err) : 0;
}

int plugin_attach(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	if (!all->offline && attach(all, p, err))
		return give_up(all, p, err);
	plugin_state_set(all, p, PLUGIN_RUNNING, "");
	log_line(all->kernel->log, PB_INFO, NULL, "plugin.started", "plugin=%s version=%s", p->manifest->name,
		 json_string_value(json_object_get(p->manifest->doc, "version")));
	return 0;
}

int plugin_start(struct plugins *all, struct plugin *p, struct pb_error *err)
{
	return plugin_open(all, p, err) || plugin_load(all, p, err) || plugin_attach(all, p, err) ? err->code : 0;
}

/* ---- and backwards ---- */

static int64_t left(int64_t until)
{
	int64_t now = link_ticks();

	return until > now ? until - now : 0;
}

/* What it still is inside of, after its time is over; NULL: nothing, and it works no more by itself. Going on later begins where this ended. */
static const char *rest(struct plugin *p, int64_t until)
{
	if (!p->rests) {
		bool works = p->attachment || p->courier || p->agent;

		p->rests = true;
		/* its connections and programs: half of the time for what it is in the middle of, longer for who is merely asked by others, as long as those work */
		atomic_store(&p->host.links_until, link_ticks() + left(until) * (works ? 2 : 3) / 4);
		if (p->state == PLUGIN_RUNNING && p->desc.drain)
			p->desc.drain(p->host.self);
	}
	if (p->attachment && sessions_detach(p->attachment, left(until)))
		return "a session";
	p->attachment = NULL;
	if (p->tick && sessions_repeat_cancel(p->tick, left(until)))
		return "its tick";
	p->tick = NULL;
	if (p->courier && queue_detach(p->courier, left(until)))
		return "a delivery";
	p->courier = NULL;
	if (p->agent && queue_detach(p->agent, left(until)))
		return "an item of a lane";
	p->agent = NULL;
	return NULL;
}

/* The same for all of it. */
static const char *detach(struct plugins *all, struct plugin *p, int64_t until)
{
	const char *where = rest(p, until);

	if (where)
		return where;
	if (bus_withdraw(all->kernel->bus, &p->host, plugin_hooks_kept(all, p), all->ended ? AWAY_ENDING : AWAY_SOON, left(until)))
		return "a call or a hook";
	return running_wait(&p->working, left(until)) ? NULL : "a job of its own";
}

static int leave_stuck(struct plugins *all, struct plugin *p, const char *where, struct pb_error *err)
{
	pb_fail(err, PB_EBUSY, "%s was told to stop, but %s of it has not come back; its code stays in memory until that ends", p->manifest->name, where);
	if (p->state != PLUGIN_STUCK)
		log_line(all->kernel->log, PB_ERROR, NULL, "plugin.stuck", "plugin=%s where=\"%s\" what=\"it was told to stop and has not come back; its code stays in memory\"",
			 p->manifest->name, where);
	plugin_state_set(all, p, PLUGIN_STUCK, err->text);
	return PB_EBUSY;
}

static void unload(struct plugins *all, struct plugin *p)
{
	bool loaded = p->loaded;

	if (loaded && p->desc.unload)
		p->desc.unload(p->host.self);
	p->loaded = false;
	p->host.self = NULL;
	object_close(p);
	pthread_mutex_lock(&all->lock);
	json_decref(p->metrics);
	p->metrics = NULL;
	json_decref(p->retired);
	p->retired = NULL;
	p->state = PLUGIN_DISABLED;
	pthread_mutex_unlock(&all->lock);
	if (loaded)
		log_line(all->kernel->log, PB_INFO, NULL, "plugin.stopped", "plugin=%s", p->manifest->name);
}

static bool is_in_memory(const struct plugin *p)
{
	return p->object && p->state != PLUGIN_DISABLED && p->state != PLUGIN_FAILED;
}

void plugin_rest(struct plugin *p, int64_t timeout)
{
	if (is_in_memory(p))
		rest(p, link_ticks() + timeout);
}

bool plugin_is_at_rest(const struct plugin *p)
{
	return !p->attachment && !p->tick && !p->courier && !p->agent;
}

int plugin_stop(struct plugins *all, struct plugin *p, int64_t timeout, struct pb_error *err)
{
	const int64_t until = link_ticks() + timeout;
	const char *where;

	if (!is_in_memory(p))
		return 0;
	where = detach(all, p, until);
	if (where)
		return leave_stuck(all, p, where, err);
	unload(all, p);
	return 0;
}
