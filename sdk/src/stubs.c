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
bool pb_addrs_next(struct pb_addrs *list, struct pb_addr *ret) { return false; }
void pb_addrs_free(struct pb_addrs *list) { }
void pb_facts_make(struct pb_str message, struct pb_buf *facts) { }
bool pb_facts_valid(struct pb_str facts) { return false; }
unsigned pb_facts_flags(struct pb_str facts) { return 0; }
uint64_t pb_facts_size(struct pb_str facts) { return 0; }
uint64_t pb_facts_lines(struct pb_str facts) { return 0; }
uint64_t pb_facts_header_size(struct pb_str facts) { return 0; }
bool pb_facts_sent(struct pb_str facts, int64_t *ret_moment, int *ret_zone) { return false; }
struct pb_str pb_facts_envelope(struct pb_str facts) { return PB_NOSTR; }
struct pb_str pb_facts_bodystructure(struct pb_str facts) { return PB_NOSTR; }
void pb_facts_body(struct pb_str facts, struct pb_buf *out) { }
struct pb_str pb_facts_fields(struct pb_str facts) { return PB_NOSTR; }
bool pb_facts_covers(struct pb_str facts, struct pb_str name) { return false; }
bool pb_facts_field(struct pb_str facts, struct pb_str name, struct pb_str *ret_value) { return false; }
uint32_t pb_facts_count(struct pb_str facts) { return 0; }
bool pb_facts_at(struct pb_str facts, uint32_t index, struct pb_part *ret) { return false; }
int pb_facts_part(struct pb_str facts, struct pb_str path, struct pb_part *ret) { return PB_ENOTFOUND; }
int pb_facts_section(struct pb_str facts, struct pb_str section, uint64_t *ret_off, uint64_t *ret_len) { return PB_ENOTFOUND; }
size_t pb_header_size(struct pb_str message) { return 0; }
bool pb_header_next(struct pb_str *rest, struct pb_field *ret) { return false; }
bool pb_header_find(struct pb_str header, struct pb_str name, struct pb_str *ret_value) { return false; }
unsigned pb_header_count(struct pb_str header, struct pb_str name) { return 0; }
void pb_header_pick(struct pb_buf *out, struct pb_str header, const struct pb_str *names, size_t n, bool except) { }
void pb_unfold(struct pb_buf *out, struct pb_str value) { }
void pb_words_decode(struct pb_buf *out, struct pb_str value) { }
struct pb_str pb_value_main(struct pb_str value) { return PB_NOSTR; }
bool pb_value_param(struct pb_str value, struct pb_str name, struct pb_buf *out) { return false; }
enum pb_encoding pb_encoding_parse(struct pb_str word) { return PB_7BIT; }
void pb_decode(struct pb_decoder *d, struct pb_str in, struct pb_buf *out) { }
void pb_decode_end(struct pb_decoder *d, struct pb_buf *out) { }
void pb_transfer_decode(enum pb_encoding encoding, struct pb_str in, struct pb_buf *out) { }
void pb_base64_lines(struct pb_buf *out, struct pb_str in) { }
void pb_qp_encode(struct pb_buf *out, struct pb_str in) { }
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
