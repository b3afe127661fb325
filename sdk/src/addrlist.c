/* SPDX-License-Identifier: Apache-2.0 */
/* Address lists of header fields (RFC 5322 3.4 with the obsolete forms), read with tolerance. Leaves the paths of SMTP, which are strict, to address.c. */
#include <postbus/address.h>

/* What one character is to this grammar. Bytes above 127 count as letters. */
enum { ATOM, BLANK, SPECIAL };

static inline int class_of(char c)
{
	switch (c) {
	case ' ': case '\t': case '\r': case '\n': case '\0':
		return BLANK;
	case '(': case '<': case '@': case ',': case ';': case ':': case '"': case '[': case '>':
		return SPECIAL;
	}
	return ATOM;
}

/* The list at work: what is left of it, and spans of the scratch buffer, which may move while it grows. */
struct span {
	size_t start, end;
};

struct cursor {
	const char *p, *end;
	struct pb_buf *out;
	struct pb_str comment;	/* the last one seen, raw, without its parentheses */
};

static struct pb_str view(const struct pb_buf *b, struct span s)
{
	return s.end > s.start ? pb_str(b->ptr + s.start, s.end - s.start) : PB_NOSTR;
}

/* p is at "(": skips it with what is nested in it. Counted, not recursive: a stranger decides how deep it is. */
static void skip_comment(struct cursor *c)
{
	const char *start = c->p + 1;
	int depth = 0;

	for (; c->p < c->end; c->p++) {
		if (*c->p == '(')
			depth++;
		else if (*c->p == ')' && --depth == 0)
			break;
		else if (*c->p == '\\' && c->p + 1 < c->end)
			c->p++;
	}
	if (c->p > c->end)
		c->p = c->end;
	c->comment = pb_str(start, (size_t)(c->p - start));
	if (c->p < c->end)
		c->p++;
}

/* Append a comment's text: what its backslashes quote, without line ends. */
static struct span put_comment(struct pb_buf *out, struct pb_str raw)
{
	struct span s = { out->len, out->len };

	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\\' && i + 1 < raw.len)
			i++;
		if (raw.ptr[i] != '\r' && raw.ptr[i] != '\n' && raw.ptr[i] != '\0')
			pb_buf_addc(out, raw.ptr[i]);
	}
	s.end = out->len;
	return s;
}

/* True when something was there to skip. */
static bool skip_blank(struct cursor *c)
{
	const char *start = c->p;

	while (c->p < c->end) {
		if (*c->p == '(')
			skip_comment(c);
		else if (class_of(*c->p) == BLANK)
			c->p++;
		else
			break;
	}
	return c->p != start;
}

static void take_atom(struct cursor *c)
{
	const char *start = c->p;

	while (c->p < c->end && class_of(*c->p) == ATOM)
		c->p++;
	pb_buf_add(c->out, start, (size_t)(c->p - start));
}

/* p is at a quote. */
static void take_quoted(struct cursor *c)
{
	const char *run = ++c->p;

	while (c->p < c->end && *c->p != '"') {
		char ch = *c->p;

		if (ch == '\\' || ch == '\r' || ch == '\n' || ch == '\0') {
			pb_buf_add(c->out, run, (size_t)(c->p - run));
			run = c->p + 1;
			if (ch == '\\' && run < c->end && class_of(*run) != BLANK)
				c->p++;
		}
		c->p++;
	}
	if (c->p > run)
		pb_buf_add(c->out, run, (size_t)(c->p - run));
	if (c->p < c->end)
		c->p++;
}

/* p is at "[": up to the "]". */
static void take_literal(struct cursor *c)
{
	while (c->p < c->end && *c->p != ',' && *c->p != '>') {
		char ch = *c->p++;

		if (class_of(ch) != BLANK)
			pb_buf_addc(c->out, ch);
		if (ch == ']')
			break;
	}
}

static struct span take_domain(struct cursor *c)
{
	struct span s = { c->out->len, c->out->len };

	for (;;) {
		bool blank = skip_blank(c);

		if (c->p >= c->end)
			break;
		if (blank && s.end > s.start && *c->p != '.' && c->out->ptr[s.end - 1] != '.')
			break;
		if (*c->p == '[')
			take_literal(c);
		else if (class_of(*c->p) == ATOM)
			take_atom(c);
		else
			break;
		s.end = c->out->len;
	}
	return s;
}

/* Words up to a special character: a phrase, or a local part. last is the last of them, with what dots tie to it: "bob . smith". */
struct words {
	struct span all, last;
	bool tied;		/* last holds blanks beside dots */
};

static struct words take_words(struct cursor *c)
{
	struct words w = { { c->out->len, c->out->len }, { c->out->len, c->out->len }, false };

	for (;;) {
		bool blank = skip_blank(c);

		if (c->p >= c->end || (class_of(*c->p) == SPECIAL && *c->p != '"' && *c->p != '['))
			break;
		if (blank && c->out->len > w.all.start) {
			bool dot = *c->p == '.' || c->out->ptr[c->out->len - 1] == '.';

			pb_buf_addc(c->out, ' ');
			w.tied = dot;
			if (!dot)
				w.last.start = c->out->len;
		}
		if (*c->p == '"')
			take_quoted(c);
		else if (*c->p == '[')
			take_literal(c);
		else
			take_atom(c);
	}
	w.all.end = w.last.end = c->out->len;
	return w;
}

/* As a local part: the blanks beside its dots go. */
static struct span tie(struct cursor *c, const struct words *w)
{
	struct span s = { c->out->len, c->out->len };

	if (!w->tied)
		return w->last;
	for (size_t i = w->last.start; i < w->last.end; i++)
		if (c->out->ptr[i] != ' ')
			pb_buf_addc(c->out, c->out->ptr[i]);
	s.end = c->out->len;
	return s;
}

/* p is behind "<". */
static void take_angle(struct cursor *c, struct span *route, struct span *local, struct span *domain)
{
	struct words words;

	skip_blank(c);
	if (c->p < c->end && *c->p == '@') {
		const char *colon = memchr(c->p, ':', (size_t)(c->end - c->p));
		const char *close = memchr(c->p, '>', (size_t)(c->end - c->p));

		if (colon && (!close || colon < close)) {
			route->start = c->out->len;
			for (; c->p < colon; c->p++)
				if (class_of(*c->p) != BLANK)
					pb_buf_addc(c->out, *c->p);
			route->end = c->out->len;
			c->p++;
		}
	}
	for (;;) {	/* what does not belong there (":", ",") is passed over */
		words = take_words(c);
		words.last.start = words.all.start;
		*local = tie(c, &words);
		if (c->p >= c->end || *c->p == '@' || *c->p == '>' || local->end > local->start)
			break;
		c->p++;
	}
	if (c->p < c->end && *c->p == '@') {
		c->p++;
		*domain = take_domain(c);
	}
	while (c->p < c->end && *c->p != '>' && *c->p != ',')
		c->p++;
	if (c->p < c->end && *c->p == '>')
		c->p++;
}

/* To the next comma, or the ";" of a group. */
static void skip_rest(struct cursor *c, bool in_group)
{
	while (c->p < c->end) {
		skip_blank(c);
		if (c->p >= c->end || *c->p == ',' || (*c->p == ';' && in_group))
			return;
		if (*c->p == ';') {	/* as a separator, from programs that take it for one */
			c->p++;
			return;
		}
		if (*c->p == '"') {
			size_t keep = c->out->len;

			take_quoted(c);
			c->out->len = keep;
		} else {
			c->p++;
		}
	}
}

static void take_address(struct cursor *c, struct pb_addrs *list, struct pb_addr *ret)
{
	struct span name = { 0, 0 }, route = name, local = name, domain = name;
	struct words w = take_words(c);
	struct span words = w.all, last = w.last;
	char stop = c->p < c->end ? *c->p : '\0';

	if (stop == ':' && !list->in_group) {
		c->p++;
		list->in_group = true;
		ret->kind = PB_ADDR_GROUP;
		ret->name = view(c->out, words);
		return;
	}
	if (stop == '@') {
		c->p++;
		local = tie(c, &w);
		if (last.start > words.start)
			name = (struct span){ words.start, last.start - 1 };
		domain = take_domain(c);
		skip_blank(c);
		if (c->p < c->end && *c->p == '<') {	/* an address as display name of itself */
			struct pb_str l, d;
			size_t start = c->out->len;

			pb_buf_reserve(c->out, words.end - words.start + domain.end - domain.start + 1);
			l = view(c->out, words);
			d = view(c->out, domain);
			pb_buf_addstr(c->out, l);
			pb_buf_addc(c->out, '@');
			pb_buf_addstr(c->out, d);
			name = (struct span){ start, c->out->len };
			stop = '<';
		}
	} else {
		local = words;
	}
	if (stop == '<') {
		if (name.end == name.start)
			name = words;
		local = domain = (struct span){ 0, 0 };
		c->p++;
		take_angle(c, &route, &local, &domain);
	} else if (stop == '>' || stop == ':') {
		c->p++;
	}
	skip_rest(c, list->in_group);
	if (name.end == name.start)
		name = put_comment(c->out, c->comment);
	ret->kind = PB_ADDR_MAILBOX;
	ret->name = pb_str_trim(view(c->out, name));
	ret->route = view(c->out, route);
	ret->local = view(c->out, local);
	ret->domain = view(c->out, domain);
}

bool pb_addrs_next(struct pb_addrs *list, struct pb_addr *ret)
{
	struct cursor c = { list->rest.ptr, list->rest.len ? list->rest.ptr + list->rest.len : list->rest.ptr, &list->scratch, PB_NOSTR };
	bool found = false;

	*ret = (struct pb_addr){ .kind = PB_ADDR_MAILBOX };
	pb_buf_reset(c.out);
	pb_buf_reserve(c.out, 0);
	for (;;) {
		skip_blank(&c);
		if (c.p >= c.end)
			break;
		if (*c.p == ';' && list->in_group) {
			c.p++;
			list->in_group = false;
			ret->kind = PB_ADDR_GROUP_END;
			found = true;
			break;
		}
		if (*c.p == ',' || *c.p == ';') {
			c.p++;
			c.comment = PB_NOSTR;
			continue;
		}
		take_address(&c, list, ret);
		found = true;
		if (ret->kind == PB_ADDR_MAILBOX && !ret->local.len && !ret->domain.len && !ret->name.len)
			found = false;
		if (found)
			break;
	}
	list->rest = pb_str(c.p, (size_t)(c.end - c.p));
	if (!found && list->in_group) {	/* its ";" is missing */
		list->in_group = false;
		ret->kind = PB_ADDR_GROUP_END;
		return true;
	}
	return found;
}

void pb_addrs_free(struct pb_addrs *list)
{
	pb_buf_free(&list->scratch);
	list->rest = PB_NOSTR;
	list->in_group = false;
}
