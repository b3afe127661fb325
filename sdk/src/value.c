/* SPDX-License-Identifier: Apache-2.0 */
/* Structured values: media types and their parameters (RFC 2045, 2231), with what strangers make of them. Leaves words of text to words.c. */
#include "mail.h"

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static inline bool is_token(unsigned char c)
{
	return c > ' ' && c < 127 && !memchr("()<>@,;:\\\"/[]?=", c, 15);
}

void comments_skip(struct pb_str *rest)
{
	const char *p = rest->ptr, *end = rest->len ? p + rest->len : p;
	int depth = 0;

	for (; p < end; p++) {
		if (*p == '(')
			depth++;
		else if (*p == ')' && depth)
			depth--;
		else if (*p == '\\' && depth && p + 1 < end)
			p++;
		else if (!depth && !is_space(*p))
			break;
	}
	*rest = pb_str(p, (size_t)(end - p));
}

struct pb_str token_take(struct pb_str *rest)
{
	size_t n = 0;
	struct pb_str token;

	comments_skip(rest);
	while (n < rest->len && is_token((unsigned char)rest->ptr[n]))
		n++;
	token = pb_str_head(*rest, n);
	*rest = pb_str_skip(*rest, n);
	return token;
}

bool media_take(struct pb_str *rest, struct pb_str *ret_type, struct pb_str *ret_subtype)
{
	*ret_type = token_take(rest);
	comments_skip(rest);
	if (!ret_type->len || !rest->len || rest->ptr[0] != '/')
		return false;
	*rest = pb_str_skip(*rest, 1);
	*ret_subtype = token_take(rest);
	return ret_subtype->len > 0;
}

/* rest is behind the quote. Bytes go to scratch only where they are not the same as in the text. */
static struct pb_str quoted_take(struct pb_str *rest, struct pb_buf *scratch)
{
	const char *p = rest->ptr, *end = rest->len ? p + rest->len : p, *start = p;
	size_t mark = scratch->len;
	bool copied = false;
	struct pb_str value;

	for (; p < end && *p != '"'; p++) {
		bool gap = *p == '\r' || *p == '\n' || *p == '\0' || (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'));

		if (gap && !copied) {
			pb_buf_add(scratch, start, (size_t)(p - start));
			copied = true;
		}
		if (gap && *p != '\\')
			continue;
		if (gap)
			p++;
		if (copied)
			pb_buf_addc(scratch, *p);
	}
	value = copied ? pb_str(scratch->ptr + mark, scratch->len - mark) : pb_str(start, (size_t)(p - start));
	*rest = pb_str(p, (size_t)(end - p));
	*rest = pb_str_skip(*rest, 1);
	return value;
}

/* File names are written without quotes although they hold blanks; other values end at one. */
static struct pb_str bare_take(struct pb_str *rest, struct pb_str name, struct pb_buf *scratch)
{
	bool blanks = pb_str_istarts(name, PB_STR("name")) || pb_str_istarts(name, PB_STR("filename"));
	size_t n = 0, mark = scratch->len;
	struct pb_str value;
	bool folded = false;

	for (; n < rest->len && rest->ptr[n] != ';'; n++) {
		char c = rest->ptr[n];

		if (is_space(c) && (!blanks || (n + 1 < rest->len && rest->ptr[n + 1] == '(')))
			break;
		folded |= c == '\r' || c == '\n' || c == '\0';
	}
	value = pb_str_trim(pb_str_head(*rest, n));
	*rest = pb_str_skip(*rest, n);
	if (!folded)
		return value;
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] != '\r' && value.ptr[i] != '\n' && value.ptr[i] != '\0')
			pb_buf_addc(scratch, value.ptr[i]);
	return pb_str(scratch->ptr + mark, scratch->len - mark);
}

static bool param_take(struct pb_str *rest, struct pb_buf *scratch, struct param *ret)
{
	for (;;) {
		size_t n = 0;
		struct pb_str name;

		comments_skip(rest);
		if (!rest->len)
			return false;
		while (n < rest->len && rest->ptr[n] != '=' && rest->ptr[n] != ';' && rest->ptr[n] != '"' && rest->ptr[n] != '(' && !is_space(rest->ptr[n]))
			n++;
		name = pb_str_head(*rest, n);
		*rest = pb_str_skip(*rest, n);
		comments_skip(rest);
		if (!rest->len || rest->ptr[0] != '=' || !n) {
			if (!n)		/* ";", or what begins no parameter */
				*rest = pb_str_skip(*rest, 1);
			continue;
		}
		*rest = pb_str_skip(*rest, 1);
		comments_skip(rest);
		ret->name = name;
		if (rest->len && rest->ptr[0] == '"') {
			*rest = pb_str_skip(*rest, 1);
			ret->value = quoted_take(rest, scratch);
		} else {
			ret->value = bare_take(rest, name, scratch);
		}
		return true;
	}
}

/* ---- RFC 2231 ---- */

/* "filename*12*": the base, the number (-1: none), and whether it is percent-encoded. */
struct piece {
	struct pb_str base;
	int number;
	bool encoded;
};

static struct piece piece_of(struct pb_str name)
{
	struct piece p = { name, -1, false };
	long star = pb_str_find(name, '*', 0);
	uint64_t number;
	struct pb_str tail;

	if (star <= 0)
		return p;
	tail = pb_str_skip(name, (size_t)star + 1);
	p.base = pb_str_head(name, (size_t)star);
	if (!tail.len) {
		p.encoded = true;
		return p;
	}
	if (tail.ptr[tail.len - 1] == '*') {
		p.encoded = true;
		tail.len--;
	}
	if (pb_str_u64(tail, 999, &number)) {
		p.base = name;
		p.encoded = false;
	} else {
		p.number = (int)number;
	}
	return p;
}

static void percent_encode(struct pb_buf *out, struct pb_str s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (is_token(c) && c != '*' && c != '\'' && c != '%') {
			pb_buf_addc(out, (char)c);
		} else {
			pb_buf_addc(out, '%');
			pb_buf_addc(out, digits[c >> 4]);
			pb_buf_addc(out, digits[c & 15]);
		}
	}
}

/* Entry i is the piece that was met first: join all of its base behind it, in their order of number, and drop the others. */
static void join(struct params *p, size_t i, const struct piece *first)
{
	struct piece pieces[PARAMS_MAX];
	size_t mark = p->scratch.len, kept = i + 1;
	bool encoded = false;

	for (size_t k = i; k < p->n; k++) {
		pieces[k] = piece_of(p->list[k].name);
		if (pieces[k].number >= 0 && pb_str_ieq(pieces[k].base, first->base))
			encoded |= pieces[k].encoded;
		else
			pieces[k].number = -1;
	}
	for (int number = 0; number < PARAMS_MAX; number++) {
		size_t k = i;

		while (k < p->n && pieces[k].number != number)
			k++;
		if (k == p->n)
			break;
		if (encoded && number == 0 && !pieces[k].encoded)
			pb_buf_addz(&p->scratch, "''");
		if (encoded && !pieces[k].encoded)
			percent_encode(&p->scratch, p->list[k].value);
		else
			pb_buf_addstr(&p->scratch, p->list[k].value);
	}
	p->list[i].name = pb_str_head(p->list[i].name, first->base.len + encoded);	/* with the "*" that follows it there */
	p->list[i].value = pb_str(p->scratch.ptr + mark, p->scratch.len - mark);
	for (size_t k = i + 1; k < p->n; k++)
		if (pieces[k].number < 0)
			p->list[kept++] = p->list[k];
	p->n = kept;
}

void params_parse(struct params *p, struct pb_str rest)
{
	bool stars = false;

	p->n = 0;
	p->scratch = (struct pb_buf)PB_BUF;
	rest = pb_str_head(rest, VALUE_MAX);
	if (rest.len && (memchr(rest.ptr, '\\', rest.len) || memchr(rest.ptr, '*', rest.len) || memchr(rest.ptr, '\n', rest.len) ||
			 memchr(rest.ptr, '\r', rest.len) || memchr(rest.ptr, '\0', rest.len)))
		pb_buf_reserve(&p->scratch, rest.len * 4 + PARAMS_MAX * 4);	/* once: views into it must not move */
	while (p->n < PARAMS_MAX && param_take(&rest, &p->scratch, &p->list[p->n])) {
		stars |= pb_str_find(p->list[p->n].name, '*', 0) > 0;
		p->n++;
	}
	for (size_t i = 0; stars && i < p->n; i++) {
		struct piece piece = piece_of(p->list[i].name);

		if (piece.number >= 0)
			join(p, i, &piece);
	}
}

void params_free(struct params *p)
{
	pb_buf_free(&p->scratch);
}

static int hex(char c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* "charset'language'%41bc" as UTF-8. */
static void extended_decode(struct pb_str value, struct pb_buf *out)
{
	PB_AUTOBUF(bytes);
	long first = pb_str_find(value, '\'', 0), second = first < 0 ? -1 : pb_str_find(value, '\'', (size_t)first + 1);
	struct pb_str charset = second < 0 ? PB_NOSTR : pb_str_head(value, (size_t)first);
	struct pb_str text = second < 0 ? value : pb_str_skip(value, (size_t)second + 1);

	for (size_t i = 0; i < text.len; i++) {
		int high = i + 2 < text.len && text.ptr[i] == '%' ? hex(text.ptr[i + 1]) : -1;
		int low = high < 0 ? -1 : hex(text.ptr[i + 2]);

		if (low < 0) {
			pb_buf_addc(&bytes, text.ptr[i]);
		} else {
			pb_buf_addc(&bytes, (char)(high << 4 | low));
			i += 2;
		}
	}
	if (pb_charset_decode(charset, pb_buf_str(&bytes), out))
		pb_charset_decode(PB_NOSTR, pb_buf_str(&bytes), out);
}

bool params_find(const struct params *p, struct pb_str name, struct pb_buf *out)
{
	const struct param *plain = NULL;

	for (size_t i = 0; i < p->n; i++) {
		struct pb_str n = p->list[i].name;

		if (n.len == name.len + 1 && n.ptr[name.len] == '*' && pb_str_istarts(n, name)) {
			extended_decode(p->list[i].value, out);
			return true;
		}
		if (!plain && pb_str_ieq(n, name))
			plain = &p->list[i];
	}
	if (!plain)
		return false;
	pb_words_decode(out, plain->value);
	return true;
}

struct pb_str pb_value_main(struct pb_str value)
{
	size_t n = 0;

	comments_skip(&value);
	while (n < value.len && value.ptr[n] != ';' && value.ptr[n] != '(')
		n++;
	return pb_str_trim(pb_str_head(value, n));
}

bool pb_value_param(struct pb_str value, struct pb_str name, struct pb_buf *out)
{
	struct params p;
	bool found;

	comments_skip(&value);
	while (value.len && value.ptr[0] != ';' && !is_space(value.ptr[0]))
		value = pb_str_skip(value, 1);
	params_parse(&p, value);
	found = params_find(&p, name, out);
	params_free(&p);
	return found;
}
