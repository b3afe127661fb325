/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the mail headers that are not written yet. */
#include <postbus/address.h>
#include <postbus/message.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"
int pb_path_parse(struct pb_str *rest, unsigned allow, struct pb_path *ret, struct pb_error *err) { return PB_EINVALID; }
int pb_param_next(struct pb_str *rest, struct pb_str *ret_key, struct pb_str *ret_value, struct pb_error *err) { return 0; }
int pb_xtext_decode(struct pb_buf *out, struct pb_str in) { return PB_EINVALID; }
void pb_xtext_encode(struct pb_buf *out, struct pb_str in) { }
int pb_address_parse(struct pb_str text, unsigned allow, struct pb_path *ret, struct pb_error *err) { return PB_EINVALID; }
bool pb_address_split(struct pb_str address, struct pb_str *ret_local, struct pb_str *ret_domain) { return false; }
int pb_address_normal(struct pb_buf *out, struct pb_str address, struct pb_error *err) { return PB_EINVALID; }
int pb_address_key(struct pb_buf *out, struct pb_str address, struct pb_error *err) { return PB_EINVALID; }
int pb_domain_check(struct pb_str domain, unsigned allow, struct pb_error *err) { return PB_EINVALID; }
int pb_domain_ascii(struct pb_buf *out, struct pb_str domain, struct pb_error *err) { return PB_EINVALID; }
int pb_domain_unicode(struct pb_buf *out, struct pb_str domain, struct pb_error *err) { return PB_EINVALID; }
bool pb_domain_eq(struct pb_str a, struct pb_str b) { return false; }
int pb_literal_parse(struct pb_str literal, struct pb_str *ret_address) { return PB_EINVALID; }
void pb_words_decode(struct pb_buf *out, struct pb_str value) { }
int pb_charset_decode(struct pb_str charset, struct pb_str in, struct pb_buf *out) { return PB_ENOTFOUND; }
bool pb_charset_known(struct pb_str charset) { return false; }
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
