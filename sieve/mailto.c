/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mailto URIs (RFC 6068) as notification methods (RFC 5436). */
#include <postbus/address.h>
#include "sieve/machine.h"

static int hex(int c)
{
	return pb_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static bool decode(struct pb_str in, struct pb_buf *out)
{
	pb_buf_reset(out);
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] != '%') {
			pb_buf_addc(out, in.ptr[i]);
			continue;
		}
		if (i + 2 >= in.len || hex(in.ptr[i + 1]) < 0 || hex(in.ptr[i + 2]) < 0)
			return false;
		pb_buf_addc(out, (char)(hex(in.ptr[i + 1]) << 4 | hex(in.ptr[i + 2])));
		i += 2;
	}
	return true;
}

static bool addresses_valid(struct pb_str list, struct pb_buf *scratch)
{
	struct pb_str one;

	while (pb_str_cut(&list, ',', &one))
		if (!decode(one, scratch) || pb_address_parse(pb_buf_str(scratch), PB_PATH_UTF8, NULL, NULL))
			return false;
	return true;
}

bool notify_method_valid(struct pb_str method)
{
	struct pb_str rest = method, to, field, name;
	PB_AUTOBUF(scratch);
	bool recipient;

	if (!pb_str_istarts(method, PB_STR("mailto:")))
		return false;
	rest = pb_str_skip(rest, 7);
	pb_str_cut(&rest, '?', &to);
	recipient = to.len > 0;
	if (recipient && !addresses_valid(to, &scratch))
		return false;
	while (rest.ptr && pb_str_cut(&rest, '&', &field)) {
		if (!pb_str_cut(&field, '=', &name) || !field.ptr || !decode(name, &scratch) || !mail_name_valid(pb_buf_str(&scratch)))
			return false;
		if (pb_str_ieq(name, PB_STR("to")) || pb_str_ieq(name, PB_STR("cc")) || pb_str_ieq(name, PB_STR("bcc"))) {
			if (!addresses_valid(field, &scratch))
				return false;
			recipient = true;
		} else if (!decode(field, &scratch)) {
			return false;
		}
	}
	return recipient;
}
