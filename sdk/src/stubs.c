/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the mail headers that are not written yet. */
#include <postbus/address.h>
#include <postbus/message.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"
void pb_words_decode(struct pb_buf *out, struct pb_str value) { }
int pb_needle_set(struct pb_needle *n, struct pb_str text) { return PB_EINVALID; }
void pb_needle_free(struct pb_needle *n) { }
bool pb_needle_in(const struct pb_needle *n, struct pb_str text) { return false; }
bool pb_needle_in_value(const struct pb_needle *n, struct pb_str value) { return false; }
bool pb_needle_in_header(const struct pb_needle *n, struct pb_str header) { return false; }
bool pb_needle_in_part(const struct pb_needle *n, const struct pb_part *part, struct pb_str body) { return false; }
bool pb_needle_in_message(const struct pb_needle *n, struct pb_str facts, struct pb_str message, bool header_too) { return false; }
void pb_casefold(struct pb_buf *out, struct pb_str text) { }
void pb_header_add(struct pb_buf *out, const char *name, struct pb_str text, bool utf8) { }
void pb_header_add_raw(struct pb_buf *out, const char *name, struct pb_str text) { }
void pb_address_print(struct pb_buf *out, struct pb_str name, struct pb_str address) { }
void pb_received_add(struct pb_buf *out, const struct pb_received *r) { }
void pb_message_id_make(struct pb_buf *out, struct pb_str host, int64_t moment) { }
