/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Letters that a list writes by itself. */
#include <postbus/address.h>
#include <postbus/letter.h>
#include <postbus/message.h>
#include "serve.h"

struct pb_str list_title(const struct list *l)
{
	struct pb_str title = setting_text(l->settings, "description");

	return title.len ? title : l->local;
}

static void add_door(struct pb_buf *out, const struct list *l, const struct note_letter *letter)
{
	PB_AUTOBUF(door);

	pb_buf_addz(&door, letter->door ? letter->door : "owner");
	if (letter->rest.len)
		pb_buf_addf(&door, "+%.*s", PB_FMT(letter->rest));
	list_door(out, l, pb_buf_z(&door));
}

static void write_letter(struct lists *all, const struct list *l, const struct note_letter *letter, struct pb_spool *spool)
{
	PB_AUTOBUF(from);
	PB_AUTOBUF(fields);

	add_door(&from, l, letter);
	post_list_fields(l, NULL, &fields);
	if (!setting_flag(l->settings, "list_headers"))
		pb_buf_addz(&fields, "Precedence: list\r\n");
	pb_buf_addz(&fields, "X-Auto-Response-Suppress: All\r\n");
	pb_letter_write(all->host, spool, &(struct pb_letter){
		.from_name = list_title(l), .from = pb_buf_str(&from), .to_name = letter->to_name, .to = letter->to, .subject = letter->subject, .text = letter->text,
		.submitted = letter->submitted ? letter->submitted : "auto-generated", .references = letter->references, .attached = letter->attached,
		.entity = letter->entity,
		.fields = pb_buf_str(&fields),
	});
}

/* RFC 3834 3.3: no sender, so that nothing answers it and what bounces is nobody's; but bounces of members count, and what comes back to a probe names it. */
static void add_sender(struct pb_envelope *env, const struct list *l, const struct note_letter *letter)
{
	PB_AUTOBUF(door);
	PB_AUTOBUF(path);

	if (letter->probe.len) {
		pb_buf_addf(&door, "probe+%.*s", PB_FMT(letter->probe));
		set_text(env->notes, "list", l->address);
		set_text(env->notes, "list_probe", letter->probe);
	} else if (letter->bounces) {
		pb_buf_addz(&door, "bounces");
		json_object_set_new(env->notes, "verp", json_true());
	} else {
		return;
	}
	list_door(&path, l, pb_buf_z(&door));
	pb_envelope_sender(env, pb_buf_str(&path));
}

static struct pb_envelope *envelope_of(const struct list *l, const struct note_letter *letter)
{
	struct pb_envelope *env = pb_envelope_new();
	json_t *one;
	size_t i;

	add_sender(env, l, letter);
	json_object_set_new(env->notes, "filtered", json_true());
	json_object_set_new(env->notes, "footer", json_true());
	if (!letter->readers)
		pb_envelope_rcpt(env, letter->to)->notify = env->sender.len ? 0 : PB_NOTIFY_NEVER;
	json_array_foreach ((json_t *)letter->readers, i, one)
		pb_envelope_rcpt(env, pb_str(json_string_value(one), json_string_length(one)))->notify = PB_NOTIFY_NEVER;
	return env;
}

int letter_send(struct lists *all, const struct list *l, struct pb_item *item, const struct note_letter *letter, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(all->host, 0, err);
	struct pb_envelope *env;
	char id[PB_ID_MAX];
	PB_AUTOBUF(token);
	int rc;

	if (!spool)
		return err ? err->code : PB_EUNAVAILABLE;
	write_letter(all, l, letter, spool);
	if (letter->name.len) {
		pb_buf_addf(&token, "list-letter/%.*s/%.*s/%.*s/%.*s", PB_FMT(l->id), PB_FMT(letter->name), PB_FMT(letter->to), PB_FMT(letter->subject));
		pb_spool_name(spool, pb_buf_str(&token));
	}
	env = envelope_of(l, letter);
	rc = item ? pb_item_inject(item, env, spool, err) : pb_queue_accept(all->host, env, spool, id, err);
	pb_envelope_free(env);
	if (!rc)
		pb_count(all->host, "letters", 1);
	return rc;
}

int letter_to_owners(struct lists *all, const struct list *l, struct pb_item *item, struct pb_str subject, struct pb_str text, struct pb_str name, struct pb_error *err)
{
	const json_t *owners = setting_list(l->settings, "owners");
	PB_AUTOBUF(to);

	if (!json_array_size(owners))
		return 0;
	list_door(&to, l, "owner");
	return letter_send(all, l, item, &(struct note_letter){ .to = pb_buf_str(&to), .readers = owners, .door = "owner", .subject = subject, .text = text, .name = name }, err);
}

/* Slots for a day each: whoever finds one that is free, or his own, may. */
bool letter_may(struct lists *all, const char *kind, struct pb_str address, int64_t most, struct pb_str by)
{
	int64_t now = pb_now(all->host);
	bool may = false;
	PB_AUTOBUF(key);

	pthread_mutex_lock(&all->counting);
	for (int64_t i = 0; i < most && !may; i++) {
		pb_buf_reset(&key);
		pb_buf_addf(&key, "%s/%d/", kind, (int)i);
		if (pb_address_key(&key, address, NULL))
			break;
		may = !pb_table_remembers(all->counted, pb_buf_str(&key), now, by) && !pb_table_remember(all->counted, pb_buf_str(&key), now + PB_DAY, pb_str_head(by, 200), NULL);
	}
	pthread_mutex_unlock(&all->counting);
	return may;
}
