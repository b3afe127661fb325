/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of "tag=value;" (RFC 6376 3.2). */
#include "mailauth/tags.h"

static bool name_is_valid(struct pb_str name)
{
	if (!name.len || !pb_is_alpha((unsigned char)name.ptr[0]))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!pb_is_alnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_')
			return false;
	return true;
}

/* tag-value: printable, with folding white space inside. RFC 8616 lets UTF-8 stand there too. */
static bool value_is_valid(struct pb_str value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 127)
			return false;
	}
	return true;
}

int tags_parse(struct pb_str text, struct tags *ret, struct pb_error *err)
{
	struct pb_str rest = text, one, name, old;

	ret->n = 0;
	while (pb_str_cut(&rest, ';', &one)) {
		struct pb_str value = one;

		if (!pb_str_trim(one).len && (!rest.ptr || !pb_str_trim(rest).len) && ret->n)
			break;		/* behind the last ";" */
		if (!pb_str_cut(&value, '=', &name) || !value.ptr)
			return pb_fail(err, PB_EINVALID, "'%.*s' is no tag with a value", PB_FMT(pb_str_head(pb_str_trim(one), 40)));
		name = pb_str_trim(name);
		value = pb_str_trim(value);
		if (!name_is_valid(name) || !value_is_valid(value))
			return pb_fail(err, PB_EINVALID, "the tag '%.*s' is malformed", PB_FMT(pb_str_head(name, 40)));
		for (size_t i = 0; i < ret->n; i++) {
			old = ret->list[i].name;
			if (pb_str_eq(old, name))
				return pb_fail(err, PB_EINVALID, "the tag %.*s= stands there twice", PB_FMT(pb_str_head(name, 40)));
		}
		if (ret->n == TAGS_MAX)
			return pb_fail(err, PB_ETOOBIG, "there are more than %d tags", TAGS_MAX);
		ret->list[ret->n].name = name;
		ret->list[ret->n++].value = value;
	}
	return ret->n ? 0 : pb_fail(err, PB_EINVALID, "there are no tags");
}

bool tags_find(const struct tags *t, const char *name, struct pb_str *ret_value)
{
	for (size_t i = 0; i < t->n; i++)
		if (pb_str_eq(t->list[i].name, pb_strz(name))) {
			*ret_value = t->list[i].value;
			return true;
		}
	return false;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void tags_squeeze(struct pb_buf *out, struct pb_str value)
{
	for (size_t i = 0; i < value.len; i++)
		if (!is_space(value.ptr[i]))
			pb_buf_addc(out, value.ptr[i]);
}

void tags_without_b(struct pb_buf *out, struct pb_str text)
{
	size_t at = 0;

	while (at < text.len) {
		long semi = pb_str_find(text, ';', at), equals = pb_str_find(text, '=', at);
		size_t end = semi < 0 ? text.len : (size_t)semi;

		if (equals >= 0 && (size_t)equals < end && pb_str_eq(pb_str_trim(pb_str(text.ptr + at, (size_t)equals - at)), PB_STR("b")))
			pb_buf_add(out, text.ptr + at, (size_t)equals + 1 - at);
		else
			pb_buf_add(out, text.ptr + at, end - at);
		if (semi >= 0)
			pb_buf_addc(out, ';');
		at = end + 1;
	}
}

bool tags_lists(struct pb_str value, const char *word)
{
	struct pb_str one;

	while (pb_str_cut(&value, ':', &one))
		if (pb_str_ieq(pb_str_trim(one), pb_strz(word)))
			return true;
	return false;
}
