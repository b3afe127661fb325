/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command get: posts of the archive by mail, for who may read it. */
#include <stdio.h>
#include <postbus/date.h>
#include "archive.h"
#include "command.h"
#include "serve.h"

enum { GET_MOST = 50, GET_BYTES = 2 << 20, GETS_A_DAY = 20 };

/* ---- what is wanted ---- */

struct wish {
	size_t last;
	int64_t from, to;
};

/* "10": the last ten; "2026-11": of that month. */
static bool parse(const struct command *c, struct wish *w)
{
	struct pb_str month = c->words[0], year = PB_NOSTR;
	uint64_t n = 0, y = 0, m = 0;

	*w = (struct wish){ .last = GET_MOST };
	if (c->n != 1)
		return false;
	if (!pb_str_cut(&month, '-', &year) || !month.ptr) {
		w->last = pb_str_u64(c->words[0], GET_MOST, &n) ? 0 : (size_t)n;
		return w->last > 0;
	}
	if (pb_str_u64(year, 9999, &y) || pb_str_u64(month, 12, &m) || y < 1970 || !m)
		return false;
	w->from = pb_day_from_civil((int)y, (int)m, 1) * PB_DAY;
	w->to = (m == 12 ? pb_day_from_civil((int)y + 1, 1, 1) : pb_day_from_civil((int)y, (int)m + 1, 1)) * PB_DAY;
	return true;
}

/* ---- what is found: a digest (RFC 2046 5.1.5) ---- */

struct found {
	struct pb_buf posts;
	char boundary[40];
	size_t n;
	bool eightbit, more;
};

static void take_post(struct found *f, struct pb_str post)
{
	for (size_t i = 0; i < post.len && !f->eightbit; i++)
		f->eightbit = (unsigned char)post.ptr[i] > 127;
	pb_buf_addf(&f->posts, "--%s\r\n\r\n", f->boundary);
	pb_buf_addstr(&f->posts, post);
	pb_buf_addz(&f->posts, "\r\n");
	f->n++;
}

/* One that is damaged is no reason to keep the others back. */
static bool take(void *arg, const struct archived *one)
{
	struct found *f = arg;
	struct pb_body *body;
	struct pb_str post;

	f->more = f->n && f->posts.len + one->row->size > GET_BYTES;
	if (f->more || pb_view_body(one->view, one->seq, &body, NULL))
		return !f->more;
	if (!pb_body_view(body, &post, NULL))
		take_post(f, post);
	pb_body_release(body);
	return true;
}

static int send(struct asking *a, const struct command *c, struct found *f, struct pb_error *err)
{
	struct post *p = a->p;
	PB_AUTOBUF(subject);
	PB_AUTOBUF(entity);

	pb_buf_addf(&subject, "Posts of %.*s: %.*s", PB_FMT(p->list->address), PB_FMT(c->words[0]));
	pb_buf_addf(&entity, "Content-Type: multipart/digest; boundary=\"%s\"\r\nContent-Transfer-Encoding: %s\r\n\r\n", f->boundary, f->eightbit ? "8bit" : "7bit");
	pb_buf_addstr(&entity, pb_buf_str(&f->posts));
	pb_buf_addf(&entity, "--%s--\r\n", f->boundary);
	return letter_send(p->all, p->list, p->item,
			   &(struct note_letter){ .to = pb_buf_str(&p->from), .to_name = pb_buf_str(&p->from_name), .door = "request", .subject = pb_buf_str(&subject),
						  .text = pb_buf_str(&entity), .entity = true, .submitted = "auto-replied", .name = a->name },
			   err);
}

static void say(struct pb_buf *said, const struct found *f)
{
	if (f->n)
		pb_buf_addf(said, "%zu %s sent in a letter of %s own%s.\n", f->n, f->n == 1 ? "post is" : "posts are", f->n == 1 ? "its" : "their", f->more ? "; more would be too large" : "");
	else
		pb_buf_addz(said, "There are no such posts.\n");
}

static int find_and_send(struct asking *a, const struct command *c, const struct wish *w, struct pb_error *err)
{
	struct post *p = a->p;
	struct found f = { .posts = PB_BUF };
	unsigned char random[12];
	PB_AUTOBUF(hex);
	int rc;

	pb_random(random, sizeof random);
	pb_hex_encode(&hex, pb_str((char *)random, sizeof random));
	snprintf(f.boundary, sizeof f.boundary, "posts-%s", pb_buf_z(&hex));
	rc = archive_find(p->all, p->list, w->last, w->from, w->to, take, &f, err);
	if (!rc && f.n)
		rc = send(a, c, &f, err);
	if (!rc)
		say(a->said, &f);
	pb_buf_free(&f.posts);
	return rc;
}

int ask_get(struct asking *a, const struct command *c, struct pb_error *err)
{
	struct post *p = a->p;
	struct pb_str folder = setting_text(p->list->settings, "archive_folder");
	bool reader = false;
	struct wish w;
	int rc;

	if (!setting_flag(p->list->settings, "archive")) {
		pb_buf_addz(a->said, "This list has no archive.\n");
		return 0;
	}
	rc = archive_reader(p->all, p->list, pb_buf_str(&p->from), &reader, err);
	if (rc)
		return rc;
	if (!reader)
		pb_buf_addz(a->said, "The archive is read by members.\n");
	else if (!c->n)
		pb_buf_addf(a->said, "Posts are read in the public folder %s%.*s, by IMAP.\n", folder.len ? "" : "Lists/", PB_FMT(folder.len ? folder : p->list->local));
	else if (!parse(c, &w))
		pb_buf_addf(a->said, "get takes how many posts, up to %d, or a month: 2026-11.\n", GET_MOST);
	else if (!letter_may(p->all, "get", pb_buf_str(&p->from), GETS_A_DAY, a->name))
		pb_buf_addz(a->said, "You had enough posts today.\n");
	else
		return find_and_send(a, c, &w, err);
	return 0;
}
