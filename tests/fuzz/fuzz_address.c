/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes paths, parameters, domains, address lists and dates; checks that what is accepted stays accepted in its normal form. */
#include <postbus/address.h>
#include <postbus/date.h>
#include <postbus/sasl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

static void try_path(struct pb_str text, unsigned allow)
{
	struct pb_str rest = text, key, value;
	struct pb_path path;
	PB_AUTOBUF(once);
	PB_AUTOBUF(twice);
	PB_AUTOBUF(key_once);
	PB_AUTOBUF(key_twice);

	if (pb_path_parse(&rest, allow, &path, NULL))
		return;
	MUST(rest.len <= text.len && path.address.len <= PB_ADDRESS_MAX);
	while (pb_param_next(&rest, &key, &value, NULL) == 1)
		MUST(key.len);
	if (!path.address.len || pb_address_normal(&once, path.address, NULL))
		return;
	MUST(!pb_address_key(&key_once, path.address, NULL));
	if (once.len > PB_ADDRESS_MAX)	/* normal forms of other scripts may be longer */
		return;
	if (pb_address_normal(&twice, pb_buf_str(&once), NULL))
		return;
	MUST(pb_str_eq(pb_buf_str(&once), pb_buf_str(&twice)));
	if (!path.utf8) {
		MUST(!pb_address_key(&key_twice, pb_buf_str(&once), NULL));
		MUST(pb_str_eq(pb_buf_str(&key_once), pb_buf_str(&key_twice)));
	}
}

static void try_return_path(struct pb_str text)
{
	PB_AUTOBUF(made);
	PB_AUTOBUF(bounces);
	PB_AUTOBUF(recipient);

	if (pb_verp_find(text, &bounces, &recipient))
		MUST(!pb_address_parse(pb_buf_str(&bounces), PB_PATH_UTF8, NULL, NULL) && !pb_address_parse(pb_buf_str(&recipient), PB_PATH_UTF8, NULL, NULL));
	if (pb_verp_make(&made, PB_STR("list-bounces@lists.example"), text, NULL))
		return;
	MUST(pb_verp_find(pb_buf_str(&made), &bounces, &recipient));
	MUST(pb_str_eq(pb_buf_str(&recipient), text) && pb_str_eq(pb_buf_str(&bounces), PB_STR("list-bounces@lists.example")));
}

static void try_list(struct pb_str text)
{
	struct pb_addrs list = PB_ADDRS(text);
	struct pb_addr a;
	size_t n = 0;
	int open = 0;

	while (pb_addrs_next(&list, &a)) {
		MUST(++n <= text.len + 2);
		open += a.kind == PB_ADDR_GROUP ? 1 : a.kind == PB_ADDR_GROUP_END ? -1 : 0;
		MUST(open == 0 || open == 1);
		MUST(pb_str_find(a.name, '\n', 0) < 0 && pb_str_find(a.local, '\n', 0) < 0 && pb_str_find(a.domain, '\n', 0) < 0);
		MUST(pb_str_find(a.name, '\0', 0) < 0 && pb_str_find(a.local, '\0', 0) < 0 && pb_str_find(a.domain, '\0', 0) < 0);
	}
	MUST(open == 0);
	pb_addrs_free(&list);
}

static void try_dates(struct pb_str text)
{
	char out[PB_DATE_MAX];
	int64_t moment, back, day;
	int zone;

	if (!pb_date_parse(text, &moment, &zone)) {
		pb_date_format(out, moment, zone);
		MUST(!pb_date_parse(pb_strz(out), &back, NULL) || moment < INT64_C(-62135596800000000));
	}
	if (!pb_datetime_parse(text, &moment, &zone)) {
		size_t n = pb_datetime_format(out, moment, zone);

		if (moment > INT64_C(-62000000000000000) && moment < INT64_C(253402000000000000))
			MUST(!pb_datetime_parse(pb_str(out + 1, n - 2), &back, NULL) && back == moment);
	}
	pb_day_parse(text, &day);
	pb_date_iso_parse(text, &moment);
}

/* Both of the client's messages, parted by a line end. */
static void try_scram(struct pb_str text)
{
	struct pb_scram x = PB_SCRAM;
	struct pb_str rest = text, first;
	PB_AUTOBUF(out);

	pb_str_cut(&rest, '\n', &first);
	if (!pb_scram_first(&x, first, NULL)) {
		MUST(x.authcid[0] && x.message.len <= PB_SCRAM_MAX);
		pb_scram_challenge(&x, PB_STR("server"), PB_STR("c2FsdA=="), 4096, &out);
		pb_scram_final(&x, rest, PB_STR("channel"), NULL);
	}
	pb_scram_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data, size);
	struct pb_sasl sasl = PB_SASL;
	PB_AUTOBUF(out);

	try_path(text, PB_PATH_NULL | PB_PATH_POSTMASTER | PB_PATH_BARE);
	try_path(text, PB_PATH_UTF8);
	try_return_path(text);
	try_list(text);
	try_dates(text);
	if (!pb_xtext_decode(&out, text))
		MUST(pb_utf8_valid(pb_buf_str(&out)));
	if (!pb_sasl_plain(text, &sasl, NULL))
		pb_sasl_free(&sasl);
	try_scram(text);
	return 0;
}
