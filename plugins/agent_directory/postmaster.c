/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who is postmaster where nobody was named (RFC 5321 4.5.1): a list of each post office's mailboxes in the order in which they stand in, kept by the
 * commands, so that finding the first one is one look, whoever asks how often. Named addresses come before it, and are find.c's.
 */
#include <postbus/address.h>
#include "directory.h"

/* Administrators stand in before others, within each the oldest first. */
static char rank_of(struct pb_str role)
{
	return pb_str_eq(role, PB_STR("admin")) ? 'a' : pb_str_eq(role, PB_STR("system")) ? 'b' : 'c';
}

struct pb_str stand_in_key(struct tx *tx, const json_t *mailbox)
{
	char place[32];

	if (!flag_of(mailbox, "enabled"))
		return PB_NOSTR;
	snprintf(place, sizeof place, "%c%016llx", rank_of(pb_text_of(mailbox, "role")), (unsigned long long)number_of(mailbox, "created"));
	return tx_key(tx, "l/o", pb_text_of(mailbox, "postoffice"), pb_strz(place), pb_text_of(mailbox, "id"));
}

void stand_in_move(struct tx *tx, struct pb_str old, struct pb_str now)
{
	if (pb_str_eq(old, now))
		return;
	if (old.len)
		tx_delete(tx, old);
	if (now.len)
		tx_put(tx, now, json_object());
}

struct pb_str office_age_key(struct tx *tx, struct pb_str office, const json_t *row)
{
	char age[32];

	snprintf(age, sizeof age, "%016llx", (unsigned long long)number_of(row, "created"));
	return tx_key(tx, "l/p", pb_strz(age), office, PB_NOSTR);
}

/* ---- looking ---- */

static bool take_key(void *arg, struct pb_str key, struct pb_str value)
{
	struct pb_buf *out = arg;

	(void)value;
	pb_buf_reset(out);
	pb_buf_addstr(out, key);
	return false;
}

/* The address of the first in the list of this post office. PB_ENOTFOUND: it has no mailbox that takes mail. */
static int first_of(struct directory *d, struct pb_str office, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(to);
	PB_AUTOBUF(key);
	ROW(mailbox);
	struct pb_str rest, place;
	int rc;

	pb_buf_addf(&from, "l/o/%.*s/", PB_FMT(office));
	pb_buf_addf(&to, "l/o/%.*s0", PB_FMT(office));
	rc = pb_table_scan(d->table, pb_buf_str(&from), pb_buf_str(&to), 1, take_key, &key, err);
	if (rc)
		return rc;
	rest = pb_str_skip(pb_buf_str(&key), from.len);
	if (!key.len || !pb_str_cut(&rest, '/', &place))
		return PB_ENOTFOUND;
	rc = row_read(d, 'm', rest, PB_NOSTR, &mailbox, err);
	if (rc)
		return rc;
	if (!mailbox->value)		/* deleted between two looks */
		return PB_ENOTFOUND;
	pb_buf_addstr(out, pb_text_of(mailbox->value, "address"));
	return 0;
}

/* Somebody else than who is asked for, so that "postmaster" may be told to be an address that nobody has. */
static bool take_other(struct pb_buf *out, struct pb_str address, struct pb_str asked)
{
	if (!address.len || pb_str_ieq(address, asked))
		return false;
	pb_buf_addstr(out, address);
	return true;
}

int postmaster_of_office(struct directory *d, struct pb_str office, struct pb_str asked, struct pb_buf *out, struct pb_error *err)
{
	ROW(row);
	int rc = row_read(d, 'p', office, PB_NOSTR, &row, err);

	if (rc)
		return rc;
	if ((row->value && take_other(out, pb_text_of(row->value, "postmaster"), asked)) || take_other(out, pb_config_str(d->host, "postmaster"), asked))
		return 0;
	return first_of(d, office, out, err);
}

/* The domain of ours that the host's name lies in, itself or above. */
static int domain_of_host(struct directory *d, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(ascii);
	struct pb_str rest, label;

	if (pb_domain_ascii(&ascii, pb_hostname(d->host), NULL))
		return PB_ENOTFOUND;
	for (rest = pb_buf_str(&ascii); rest.len; pb_str_cut(&rest, '.', &label)) {
		ROW(row);
		int rc = row_read(d, 'd', rest, PB_NOSTR, &row, err);

		if (rc)
			return rc;
		if (row->value) {
			pb_buf_addstr(out, rest);
			return 0;
		}
	}
	return PB_ENOTFOUND;
}

static int oldest_office(struct directory *d, struct pb_str asked, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(key);
	int rc = PB_ENOTFOUND;

	pb_buf_addz(&from, "l/p/");
	while (rc == PB_ENOTFOUND) {
		struct pb_str office, age;

		pb_buf_reset(&key);
		rc = pb_table_scan(d->table, pb_buf_str(&from), PB_STR("l/p0"), 1, take_key, &key, err);
		if (rc)
			return rc;
		office = pb_str_skip(pb_buf_str(&key), 4);
		if (!key.len || !pb_str_cut(&office, '/', &age))
			return PB_ENOTFOUND;
		rc = postmaster_of_office(d, office, asked, out, err);
		pb_buf_reset(&from);
		pb_buf_addstr(&from, pb_buf_str(&key));
		pb_buf_addc(&from, 0);
	}
	return rc;
}

int postmaster_of_host(struct directory *d, struct pb_str asked, struct pb_buf *out, struct pb_error *err)
{
	PB_AUTOBUF(domain);
	int rc;

	if (take_other(out, pb_config_str(d->host, "postmaster"), asked))
		return 0;
	rc = domain_of_host(d, &domain, err);
	if (!rc) {
		pb_buf_addf(out, "postmaster@%s", pb_buf_z(&domain));
		return 0;
	}
	return rc == PB_ENOTFOUND ? oldest_office(d, asked, out, err) : rc;
}
