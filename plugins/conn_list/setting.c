/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of what can be set for a list, and how it is read. How words become values is setting_value.c's. */
#include <stdlib.h>
#include <postbus/error.h>
#include "setting.h"

#define MAX_SECONDS (3650 * INT64_C(86400))
#define FLAG(name, def, doc) { name, SETTING_FLAG, def, NULL, 0, 0, doc }
#define NUMBER(name, def, min, max, doc) { name, SETTING_NUMBER, def, NULL, min, max, doc }
#define SECONDS(name, def, doc) { name, SETTING_SECONDS, def, NULL, 0, MAX_SECONDS, doc }
#define BYTES(name, def, doc) { name, SETTING_BYTES, def, NULL, 0, INT64_C(1) << 40, doc }
#define WORD(name, def, words, doc) { name, SETTING_WORD, def, words, 0, 0, doc }
#define OTHER(name, kind, doc) { name, kind, "", NULL, 0, 0, doc }

const struct setting settings[] = {
	/* who it is for */
	OTHER("description", SETTING_TEXT, "What the list is for, in one line; part of List-Id."),
	OTHER("owners", SETTING_ADDRESSES, "Who runs the list: hears of requests, may do all, gets what is sent to NAME-owner."),
	OTHER("moderators", SETTING_ADDRESSES, "Who decides about held posts, beside the owners."),
	WORD("subscription", "confirmed", "open confirmed moderated closed",
	     "Who asks to subscribe is: taken at once, asked to confirm, decided about by the owners once he has confirmed, turned away."),
	WORD("unsubscription", "confirmed", "open confirmed closed", "Who asks to leave by mail is: let go at once, asked to confirm, turned away."),
	WORD("default_delivery", "each", "each mime plain none", "How new members get posts: each as it comes, digests as MIME or as plain text, none."),
	FLAG("welcome", "yes", "New members get a letter with what they need to know."),
	OTHER("welcome_text", SETTING_BLOCK, "What that letter says besides."),
	FLAG("goodbye", "yes", "Members who leave get a letter."),
	FLAG("tell_owners", "no", "Owners hear of everybody who comes and goes."),
	WORD("who", "owners", "nobody owners members", "Who may ask for the list of members by mail (who)."),

	/* who may post */
	WORD("posting", "members", "anyone members moderators owners password script",
	     "Who may post: anyone; members; moderators and owners; owners; who knows the password (Approved:); whom the Sieve rule in posting_script keeps."),
	OTHER("posting_password", SETTING_SECRET, "The password of posting by password; with another way of posting it approves too."),
	OTHER("posting_script", SETTING_BLOCK, "Sieve: keep takes the post, reject and discard do what they say, fileinto \"hold\" holds it."),
	WORD("others", "hold", "accept hold reject discard", "What happens to posts of those who may not post."),
	OTHER("accept_from", SETTING_ADDRESSES, "Others whose posts are taken; *@domain is all of one."),
	OTHER("hold_from", SETTING_ADDRESSES, "Whose posts are held."),
	OTHER("reject_from", SETTING_ADDRESSES, "Whose posts are sent back."),
	OTHER("discard_from", SETTING_ADDRESSES, "Whose posts are dropped without a word."),
	FLAG("moderate_new", "no", "Posts of new members are held until a moderator takes the mark away from them."),
	FLAG("emergency", "no", "Every post is held."),
	FLAG("announce", "no", "An announcement list: only moderators and owners post, answers go to the poster, and there is no List-Post."),
	BYTES("max_size", "1m", "Larger posts are held; 0: none is too large."),
	NUMBER("max_recipients", "0", 0, 10000, "Posts with as many addresses in To and Cc, or more, are held; 0: never."),
	FLAG("named", "no", "Posts that do not name the list in To or Cc are held."),
	SECONDS("hold_remind", "1d", "Moderators are reminded of held posts so often; 0: never."),
	SECONDS("hold_expire", "14d", "Held posts that nobody decided about are gone after this; 0: never."),
	WORD("hold_expired", "discard", "discard reject accept", "What happens to them then; who waits to become a member is never accepted by time."),
	FLAG("hold_tell_poster", "yes", "The poster hears that his post waits."),

	/* what posts look like */
	OTHER("prefix", SETTING_TEXT, "Put before subjects that have it not yet: [dev]. {count} is the number of the post."),
	OTHER("suffix", SETTING_TEXT, "Put behind subjects that have it not yet."),
	OTHER("header_text", SETTING_BLOCK, "Put above texts. Fields: {list}, {description}, {owner}, {unsubscribe}, and with personal {address}, {name}, {delivery}."),
	OTHER("header_html", SETTING_BLOCK, "The same for HTML; without it made from header_text."),
	OTHER("footer_text", SETTING_BLOCK, "Put below texts; fields as above."),
	OTHER("footer_html", SETTING_BLOCK, "The same for HTML; without it made from footer_text."),
	FLAG("personal", "no", "Each member gets a message of his own, with the fields of header and footer filled in for him, and List-Unsubscribe in one click."),
	WORD("reply_to", "untouched", "untouched list sender owner address", "Where answers go: as the poster has it, or to the list, the poster, the owners, reply_to_address."),
	OTHER("reply_to_address", SETTING_ADDRESS, "The address of reply_to address."),
	WORD("from", "rewrite", "untouched rewrite wrap", "What happens to a From that its domain's DMARC policy forbids the list to keep."),
	WORD("from_when", "policy", "policy reject always", "When: the policy is quarantine or reject; it is reject; for each post."),
	FLAG("anonymous", "no", "The poster is not shown: From is the list, what tells of him is taken out."),
	FLAG("list_headers", "yes", "The fields of RFC 2369 and 2919: List-Id, List-Post, List-Help and so on."),
	OTHER("one_click_url", SETTING_URL, "Where the daemon's page for leaving in one click (RFC 8058) is seen from outside: https://lists.example.org/; empty: by mail only."),
	FLAG("sign", "yes", "Posts are signed (DKIM) and sealed (ARC) where there is a key for the domain."),
	OTHER("topics", SETTING_TOPICS, "NAME=PATTERN each: members may ask for posts whose subject or Keywords match only; PATTERN has * and ?."),

	/* where they go */
	OTHER("groups", SETTING_ADDRESSES, "Groups of this server whose members get each post too."),
	FLAG("sources", "no", "Other plugins are asked for more members (list.members)."),
	FLAG("archive", "no", "Posts are kept in a public folder that members can read by IMAP."),
	OTHER("archive_folder", SETTING_TEXT, "Its name; empty: Lists/NAME."),
	WORD("archive_read", "members", "members postoffice", "Who reads it: members of the list, or everybody in the post office."),
	FLAG("digest", "yes", "Members may have digests."),
	BYTES("digest_size", "40k", "A digest goes out when so much waits."),
	SECONDS("digest_every", "1d", "And when its oldest post has waited for so long; 0: by size only."),
	NUMBER("verp", "1", 0, 1000, "Every so many posts each member has a return address of his own, so that bounces tell who they are about; 0: never."),
	FLAG("track", "no", "A campaign: what became of the post is kept for each recipient (list results)."),
	SECONDS("track_keep", "90d", "For so long."),

	/* bounces */
	FLAG("bounces", "yes", "Bounces are counted."),
	NUMBER("bounce_hard", "10", 0, 1000, "Points for a permanent failure, once a day at most."),
	NUMBER("bounce_soft", "5", 0, 1000, "Points for a temporary one that was given up."),
	NUMBER("bounce_stop", "50", 1, 100000, "A member with so many points gets no more posts."),
	SECONDS("bounce_stale", "7d", "Points are forgotten when nothing bounced for so long."),
	FLAG("bounce_probe", "yes", "Before that he gets a letter of its own; only if that bounces too, he is stopped."),
	NUMBER("bounce_warnings", "3", 0, 100, "So many letters are sent to a member who was stopped, until he is removed."),
	SECONDS("bounce_warn_every", "7d", "The time between them."),
	FLAG("bounce_tell_owners", "yes", "Owners hear of members who were stopped or removed, and get bounces that nobody understands."),
	{ 0 },
};

const struct setting *setting_find(struct pb_str name)
{
	for (const struct setting *s = settings; s->name; s++)
		if (pb_str_eq(name, pb_strz(s->name)))
			return s;
	return NULL;
}

/* Letters that differ, with one more for each that is missing; enough for names of this length. */
static unsigned distance(struct pb_str a, struct pb_str b)
{
	unsigned row[64];

	for (unsigned j = 0; j <= b.len && j < 64; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned corner = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len && j < 64; j++) {
			unsigned above = row[j], best = corner + (a.ptr[i - 1] != b.ptr[j - 1]);

			best = above + 1 < best ? above + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			corner = above;
		}
	}
	return row[b.len < 63 ? b.len : 63];
}

const char *setting_nearest(struct pb_str name)
{
	const char *nearest = NULL;
	unsigned best = 4;

	if (name.len > 60)
		return NULL;
	for (const struct setting *s = settings; s->name; s++) {
		unsigned d = distance(name, pb_strz(s->name));

		if (d < best) {
			best = d;
			nearest = s->name;
		}
	}
	return nearest;
}

/* ---- asking ---- */

static const struct setting *must_find(const char *name)
{
	const struct setting *s = setting_find(pb_strz(name));

	if (!s)
		abort();
	return s;
}

bool setting_flag(const json_t *set, const char *name)
{
	const json_t *v = json_object_get(set, name);

	return v ? json_is_true(v) : must_find(name)->def[0] == 'y';
}

int64_t setting_number(const json_t *set, const char *name)
{
	const json_t *v = json_object_get(set, name);
	const struct setting *s = must_find(name);
	json_t *words, *parsed = NULL;
	int64_t n = 0;

	if (v)
		return json_integer_value(v);
	words = json_pack("[s]", s->def);
	if (!setting_parse(s, words, &parsed, NULL))
		n = json_integer_value(parsed);
	json_decref(parsed);
	json_decref(words);
	return n;
}

struct pb_str setting_text(const json_t *set, const char *name)
{
	const json_t *v = json_object_get(set, name);

	if (json_is_string(v))
		return pb_str(json_string_value(v), json_string_length(v));
	return pb_strz(must_find(name)->def);
}

bool setting_is(const json_t *set, const char *name, const char *word)
{
	return pb_str_eq(setting_text(set, name), pb_strz(word));
}

const json_t *setting_list(const json_t *set, const char *name)
{
	const json_t *v = json_object_get(set, name);

	must_find(name);
	return json_is_array(v) ? v : NULL;
}
