/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fact message.filed: somebody moved or copied messages into the junk folder, or out of it to where they are kept. Classifiers learn from it. What goes from
 * there to the trash says nothing.
 */
#include "imap.h"

enum { PAGE = 1000 };

static bool is_lesson(unsigned from, unsigned to)
{
	return (from ^ to) & PB_FOLDER_JUNK && !(from & PB_FOLDER_JUNK && to & PB_FOLDER_TRASH);
}

static void publish(struct pb_session *s, struct pb_str mailbox, struct pb_str folder, bool junk, json_t *uids)
{
	json_t *fact = json_object();

	json_object_set_new(fact, "mailbox", json_stringn(mailbox.ptr, mailbox.len));
	json_object_set_new(fact, "folder", json_stringn(folder.ptr, folder.len));
	json_object_set_new(fact, "junk", json_boolean(junk));
	json_object_set_new(fact, "uids", uids);
	pb_publish(pb_session_host(s), "message.filed", fact);
}

void filed_tell(struct pb_session *s, struct pb_folder *from, struct pb_folder *to, const uint32_t *uids, size_t n)
{
	unsigned was = 0, is = 0;
	PB_AUTOBUF(mailbox);
	PB_AUTOBUF(folder);
	PB_AUTOBUF(ignored);
	json_t *page = NULL;

	if (pb_folder_whose(from, &ignored, &ignored, &was, NULL) || pb_folder_whose(to, &mailbox, &folder, &is, NULL) || !is_lesson(was, is))
		return;
	for (size_t i = 0; i < n; i++) {
		if (!uids[i])
			continue;
		if (!page)
			page = json_array();
		json_array_append_new(page, json_integer(uids[i]));
		if (json_array_size(page) == PAGE) {
			publish(s, pb_buf_str(&mailbox), pb_buf_str(&folder), is & PB_FOLDER_JUNK, page);
			page = NULL;
		}
	}
	if (page)
		publish(s, pb_buf_str(&mailbox), pb_buf_str(&folder), is & PB_FOLDER_JUNK, page);
}
