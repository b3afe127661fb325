/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What all tests with keys have in common: values come, one after the other, and are matched, counted or looked up. */
#include "sieve/machine.h"

void matching_begin(struct matching *x, struct machine *m, const struct call *c, enum slot keys)
{
	*x = (struct matching){ .m = m, .c = c, .keys = c->slots[keys].list, .captures = true };
	x->how = (struct matcher){ (enum comparator)call_number(c, S_COMPARATOR, ASCII_CASEMAP), (enum match)call_number(c, S_MATCH, IS),
				   (enum relation)call_number(c, S_RELATION, EQ), m->regexes, &m->steps };
}

static bool in_list(struct matching *x, struct pb_str list, struct pb_str value, struct captures *take)
{
	const struct sieve_world *w = x->m->world;

	if (!w->list_has || !w->list_has(w->arg, list, value))
		return false;
	take->n = 1;
	take->at[0] = value;
	return true;
}

bool matching_value(struct matching *x, struct pb_str value)
{
	struct captures take;

	take.n = 0;
	if (x->how.match == COUNT) {
		x->count++;
		return true;
	}
	for (size_t i = 0; i < x->keys.n && !x->matched; i++)
		x->matched = x->how.match == LIST ? in_list(x, x->keys.items[i], value, &take) :
						    match_one(&x->how, value, x->keys.items[i], x->captures ? &take : NULL, &x->bad_regex);
	if (x->matched && take.n)
		captures_keep(x->m, &take);
	machine_trace(x->m, x->c, "value", value, x->matched);
	return !x->matched;
}

bool matching_end(struct matching *x, bool *ret)
{
	for (size_t i = 0; x->how.match == COUNT && i < x->keys.n && !x->matched; i++)
		x->matched = match_count(&x->how, x->count, x->keys.items[i]);
	if (x->bad_regex)
		machine_trace(x->m, x->c, "a regular expression that is none", PB_NOSTR, false);
	*ret = x->matched;
	return !x->m->stopped;
}

bool field_indexed(struct matching *x, uint32_t part, const struct list *names, struct pb_str *ret_name)
{
	uint64_t index = call_number(x->c, S_INDEX, 0), all = 0;
	struct pb_str *values;

	for (size_t i = 0; i < names->n; i++)
		all += mail_values(x->m->mail, part, names->items[i], false, &values);
	if (!index || index > all)
		return false;
	if (x->c->slots[S_LAST].there)
		index = all - index + 1;
	for (size_t i = 0; i < names->n; i++) {
		size_t n = mail_values(x->m->mail, part, names->items[i], false, &values);

		if (index <= n) {
			*ret_name = names->items[i];
			x->nth = (size_t)index;
			return true;
		}
		index -= n;
	}
	return false;
}

size_t fields_chosen(struct matching *x, uint32_t part, struct pb_str name, bool decoded, struct pb_str **ret)
{
	size_t n = mail_values(x->m->mail, part, name, decoded, ret);

	if (!x->nth)
		return n;
	*ret += x->nth - 1;
	return 1;
}
