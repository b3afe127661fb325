/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Actions gather as a list, each once; what may not stand together ends the run. Nothing is done here. */
#include <postbus/address.h>
#include "sieve/machine.h"

static struct sieve_action *same_action(struct sieve_result *r, enum sieve_action_kind kind, struct pb_str target)
{
	for (size_t i = 0; i < r->nactions; i++)
		if (r->actions[i].kind == kind && pb_str_eq(r->actions[i].target, target))
			return &r->actions[i];
	return NULL;
}

static bool has_kind(const struct sieve_result *r, enum sieve_action_kind kind)
{
	for (size_t i = 0; i < r->nactions; i++)
		if (r->actions[i].kind == kind)
			return true;
	return false;
}

/* RFC 5429 2.4: who refuses a message does nothing else with it. RFC 5230 4.7: one answer a message. */
static bool fits(struct machine *m, const struct call *c, enum sieve_action_kind kind)
{
	static const enum sieve_action_kind keeps[] = { SIEVE_KEEP, SIEVE_FILEINTO, SIEVE_REDIRECT, SIEVE_VACATION };
	const struct sieve_result *r = m->result;
	bool refuses = kind == SIEVE_REJECT || kind == SIEVE_EREJECT, refused = has_kind(r, SIEVE_REJECT) || has_kind(r, SIEVE_EREJECT);

	if (refuses && refused)
		return machine_fail(m, c->line, PB_EINVALID, "a message is refused once only");
	for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++)
		if ((refuses && has_kind(r, keeps[i])) || (refused && kind == keeps[i]))
			return machine_fail(m, c->line, PB_EINVALID, "a message that is refused cannot be kept, sent on or answered");
	if (kind == SIEVE_VACATION && has_kind(r, SIEVE_VACATION))
		return machine_fail(m, c->line, PB_EINVALID, "'vacation' answers once only");
	return true;
}

/* Strings of the code and of the call do not outlive the run. */
static void keep_texts(struct machine *m, struct pb_str **list, size_t n)
{
	struct pb_str *kept = pb_arena_alloc(m->arena, (n + 1) * sizeof *kept);

	for (size_t i = 0; i < n; i++)
		kept[i] = pb_arena_str(m->arena, (*list)[i]);
	*list = kept;
}

static void keep_action(struct machine *m, struct sieve_action *a)
{
	struct pb_str *const texts[] = { &a->target, &a->text, &a->name, &a->special_use, &a->mailbox_id, &a->subject, &a->from, &a->handle, &a->fcc,
					 &a->notify, &a->ret, &a->by_time, &a->by_mode };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i]->len)
			*texts[i] = pb_arena_str(m->arena, *texts[i]);
	keep_texts(m, &a->flags, a->nflags);
	keep_texts(m, &a->addresses, a->naddresses);
	keep_texts(m, &a->options, a->noptions);
}

static bool add(struct machine *m, const struct call *c, struct sieve_action a)
{
	struct sieve_result *r = m->result;
	struct sieve_action *same = a.kind == SIEVE_KEEP || a.kind == SIEVE_FILEINTO || a.kind == SIEVE_REDIRECT ? same_action(r, a.kind, a.target) : NULL;

	if (!fits(m, c, a.kind))
		return false;
	a.line = c->line;
	if (!mail_version(m->mail, &a.version))
		return machine_fail(m, c->line, PB_ETOOBIG, "more than %d different messages of one", SIEVE_VERSIONS_MAX);
	keep_action(m, &a);
	if (same) {
		if (a.has_flags) {
			same->flags = a.flags;
			same->nflags = a.nflags;
			same->has_flags = true;
		}
		return true;
	}
	if (r->nactions >= m->limits.actions)
		return machine_fail(m, c->line, PB_ETOOBIG, "more than %u actions", m->limits.actions);
	if (r->nactions == m->actions_room) {
		struct sieve_action *more = pb_arena_alloc(m->arena, (m->actions_room ? 2 * m->actions_room : 8) * sizeof *more);

		if (r->nactions)
			memcpy(more, r->actions, r->nactions * sizeof *more);
		r->actions = more;
		m->actions_room = m->actions_room ? 2 * m->actions_room : 8;
	}
	r->actions[r->nactions++] = a;
	return true;
}

static void take_flags(struct machine *m, const struct call *c, struct sieve_action *a)
{
	struct list l = c->slots[S_FLAGS].there ? flags_split(m, c->slots[S_FLAGS].list) : m->flags;

	a->flags = l.items;
	a->nflags = l.n;
	a->has_flags = c->slots[S_FLAGS].there || l.n || m->message->nflags;
}

static bool keep(struct machine *m, const struct call *c)
{
	struct sieve_action a = { .kind = SIEVE_KEEP };

	take_flags(m, c, &a);
	m->result->implicit_keep = false;
	return add(m, c, a);
}

static bool fileinto(struct machine *m, const struct call *c)
{
	struct sieve_action a = { .kind = SIEVE_FILEINTO, .target = call_str(c, S_1), .copy = c->slots[S_COPY].there, .create = c->slots[S_CREATE].there,
				  .special_use = call_str(c, S_SPECIAL_USE), .mailbox_id = call_str(c, S_MAILBOX_ID) };

	if (!a.target.len || !pb_utf8_valid(a.target))
		return machine_fail(m, c->line, PB_EINVALID, "'fileinto' into a folder without a name");
	take_flags(m, c, &a);
	m->result->implicit_keep &= a.copy;
	return add(m, c, a);
}

static bool redirect(struct machine *m, const struct call *c)
{
	struct sieve_action a = { .kind = SIEVE_REDIRECT, .target = call_str(c, S_1), .copy = c->slots[S_COPY].there, .list = c->slots[S_LIST].there,
				  .notify = call_str(c, S_NOTIFY), .ret = call_str(c, S_RET), .by_time = call_str(c, S_BY_ABSOLUTE), .by_mode = call_str(c, S_BY_MODE),
				  .by_trace = c->slots[S_BY_TRACE].there };
	struct pb_error err = { 0 };

	if (a.list && !(m->world->list_valid && m->world->list_valid(m->world->arg, a.target)))
		return machine_fail(m, c->line, PB_EINVALID, "'redirect' to \"%.*s\", which is no list here", PB_FMT(pb_str_head(a.target, 80)));
	if (!a.list && pb_address_parse(a.target, PB_PATH_UTF8, NULL, &err))
		return machine_fail(m, c->line, PB_EINVALID, "'redirect' to \"%.*s\": %s", PB_FMT(pb_str_head(a.target, 80)), err.text);
	if (c->slots[S_BY_RELATIVE].there)
		a.by_time = pb_strz(pb_arena_printf(m->arena, "%llu", (unsigned long long)c->slots[S_BY_RELATIVE].number));
	if (!same_action(m->result, SIEVE_REDIRECT, a.target) && ++m->redirects > m->limits.redirects)
		return machine_fail(m, c->line, PB_ETOOBIG, "more than %u redirections", m->limits.redirects);
	m->result->implicit_keep &= a.copy;
	return add(m, c, a);
}

/* RFC 8580: how the copy of what is sent is filed. */
static void take_fcc(struct machine *m, const struct call *c, struct sieve_action *a)
{
	a->fcc = call_str(c, S_FCC);
	a->create = c->slots[S_CREATE].there;
	a->special_use = call_str(c, S_SPECIAL_USE);
	a->mailbox_id = call_str(c, S_MAILBOX_ID);
	if (c->slots[S_FLAGS].there)
		take_flags(m, c, a);
}

static bool vacation(struct machine *m, const struct call *c)
{
	struct sieve_action a = { .kind = SIEVE_VACATION, .text = call_str(c, S_1), .subject = call_str(c, S_SUBJECT), .from = call_str(c, S_FROM),
				  .handle = call_str(c, S_HANDLE), .addresses = c->slots[S_ADDRESSES].list.items,
				  .naddresses = c->slots[S_ADDRESSES].there ? c->slots[S_ADDRESSES].list.n : 0, .mime = c->slots[S_MIME].there,
				  .seconds = c->slots[S_SECONDS].there ? (int64_t)c->slots[S_SECONDS].number : -1 };

	take_fcc(m, c, &a);
	return add(m, c, a);
}

static bool notify(struct machine *m, const struct call *c)
{
	struct pb_str importance = call_str(c, S_IMPORTANCE);
	struct sieve_action a = { .kind = SIEVE_NOTIFY, .target = call_str(c, S_1), .text = call_str(c, S_MESSAGE), .from = call_str(c, S_FROM),
				  .options = c->slots[S_OPTIONS].list.items,
				  .noptions = c->slots[S_OPTIONS].there ? c->slots[S_OPTIONS].list.n : 0, .importance = 2 };

	take_fcc(m, c, &a);
	if (!notify_method_valid(a.target))
		return machine_fail(m, c->line, PB_EINVALID, "'notify' by \"%.*s\", which is no mailto: URI", PB_FMT(pb_str_head(a.target, 100)));
	if (importance.len == 1 && importance.ptr[0] >= '1' && importance.ptr[0] <= '3')
		a.importance = (unsigned)(importance.ptr[0] - '0');
	return add(m, c, a);
}

bool run_action(struct machine *m, const struct call *c)
{
	machine_trace(m, c, "action", call_str(c, S_1), true);
	switch (c->word) {
	case W_KEEP:
		return keep(m, c);
	case W_DISCARD:
		m->result->implicit_keep = false;
		return true;
	case W_FILEINTO:
		return fileinto(m, c);
	case W_REDIRECT:
		return redirect(m, c);
	case W_REJECT:
	case W_EREJECT:
		m->result->implicit_keep = false;
		return add(m, c, (struct sieve_action){ .kind = c->word == W_REJECT ? SIEVE_REJECT : SIEVE_EREJECT, .text = call_str(c, S_1) });
	case W_VACATION:
		return vacation(m, c);
	case W_NOTIFY:
		return notify(m, c);
	case W_POSTBUS:
		return add(m, c, (struct sieve_action){ .kind = SIEVE_POSTBUS, .name = call_str(c, S_1), .target = call_str(c, S_2) });
	default:
		return machine_fail(m, c->line, PB_ECORRUPT, "the compiled script has an unknown action");
	}
}
