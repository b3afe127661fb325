/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Folder names: what is one, how two compare, which one is INBOX.
 * Leaves what names exist to the account, and protocol encodings (modified UTF-7) to the protocols.
 */
#include "kernel/store/folder.h"

int name_compare(struct pb_str a, struct pb_str b)
{
	bool a_inbox = pb_str_starts(a, PB_STR("INBOX")) && (a.len == 5 || a.ptr[5] == '/');
	bool b_inbox = pb_str_starts(b, PB_STR("INBOX")) && (b.len == 5 || b.ptr[5] == '/');
	size_t i = 0, n = a.len < b.len ? a.len : b.len;

	if (a_inbox != b_inbox)
		return a_inbox ? -1 : 1;
	while (i < n && a.ptr[i] == b.ptr[i])
		i++;
	if (i == n)
		return a.len < b.len ? -1 : a.len > b.len;
	if (a.ptr[i] == '/' || b.ptr[i] == '/')
		return a.ptr[i] == '/' ? -1 : 1;
	return (unsigned char)a.ptr[i] < (unsigned char)b.ptr[i] ? -1 : 1;
}

bool name_is_below(struct pb_str name, struct pb_str parent)
{
	return name.len > parent.len && name.ptr[parent.len] == '/' && pb_str_starts(name, parent);
}

static bool has_control(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		/* C0, DEL, and C1 as UTF-8 has it */
		if (c < 32 || c == 127 || (c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0))
			return true;
	}
	return false;
}

int name_canonical(struct pb_str name, char *out, struct pb_str *ret, struct pb_error *err)
{
	struct pb_str rest = name, part;
	unsigned depth = 0;

	if (!name.len || name.len > FOLDER_NAME_MAX)
		return pb_fail(err, PB_EINVALID, "a folder name has 1 to %d bytes", FOLDER_NAME_MAX);
	if (!pb_utf8_valid(name) || has_control(name))
		return pb_fail(err, PB_EINVALID, "a folder name is UTF-8 without control characters");
	if (name.ptr[name.len - 1] == '/')
		return pb_fail(err, PB_EINVALID, "a folder name has no empty part");
	while (pb_str_cut(&rest, '/', &part)) {
		if (!part.len)
			return pb_fail(err, PB_EINVALID, "a folder name has no empty part");
		if (++depth > FOLDER_DEPTH_MAX)
			return pb_fail(err, PB_EINVALID, "a folder name has at most %d parts", FOLDER_DEPTH_MAX);
	}
	memcpy(out, name.ptr, name.len);
	if (pb_str_istarts(name, PB_STR("INBOX")) && (name.len == 5 || name.ptr[5] == '/'))
		memcpy(out, "INBOX", 5);
	*ret = pb_str(out, name.len);
	return 0;
}
