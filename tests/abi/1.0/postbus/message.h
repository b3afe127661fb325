/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: the scanner that makes facts, and header, MIME and charset helpers. Input is bytes from strangers: nothing here fails on malformed
 * mail, everything is capped, and offsets always lie inside what was given.
 *
 * Facts are made once, when a message is stored, and kept beside it: listing a mailbox then reads no body. A blob of facts is position
 * independent and versioned; its checksum is the store's business. The functions that read facts tolerate damaged ones: they give nothing.
 * Offsets count from the start of the message that was scanned. Of messages over 4 GiB the first 4 GiB are scanned.
 */
#ifndef POSTBUS_MESSAGE_H
#define POSTBUS_MESSAGE_H

#include <postbus/str.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PB_FACTS_VERSION 1
#define PB_PARTS_MAX 10000	/* parts of a message; those behind are not looked into */
#define PB_DEPTH_MAX 100	/* nested multiparts and messages; deeper ones are leaves */

/* ---- facts ---- */

/* Append the facts of message to facts. Never fails. */
void pb_facts_make(struct pb_str message, struct pb_buf *facts);
/* Can this library read them? If not, make them again from the body. */
bool pb_facts_valid(struct pb_str facts);

enum {
	PB_FACTS_8BIT = 1,		/* bytes above 127 */
	PB_FACTS_NUL = 2,		/* NUL bytes */
	PB_FACTS_BARE = 4,		/* line ends that are not CRLF */
	PB_FACTS_CAPPED = 8,		/* a cap was met: structure or cached header fields are not complete */
	PB_FACTS_ATTACHED = 16,		/* a part says "attachment", or has a file name and is no text or multipart */
	PB_FACTS_HEADER_8BIT = 32	/* bytes above 127 in a header: such a message needs SMTPUTF8 */
};
unsigned pb_facts_flags(struct pb_str facts);
uint64_t pb_facts_size(struct pb_str facts);		/* of the message */
uint64_t pb_facts_lines(struct pb_str facts);		/* line ends in the whole message */
uint64_t pb_facts_header_size(struct pb_str facts);	/* of the top header, with the blank line */
/* The Date field; false when there is none that can be understood. */
bool pb_facts_sent(struct pb_str facts, int64_t *ret_moment, int *ret_zone);

/* RFC 3501, ready to send, with their parentheses. Bytes above 127 go in literals, NUL is given as "?". Views into facts. */
struct pb_str pb_facts_envelope(struct pb_str facts);
struct pb_str pb_facts_bodystructure(struct pb_str facts);
/* The same without extension data (FETCH BODY): appended. */
void pb_facts_body(struct pb_str facts, struct pb_buf *out);

/* Fields of the top header that are kept in the facts: their raw bytes in message order, each with its line end. */
struct pb_str pb_facts_fields(struct pb_str facts);
/* Are all fields of this name (any case) among them, so that what is not there is not in the message either? */
bool pb_facts_covers(struct pb_str facts, struct pb_str name);
/* The same for many messages: the names as bits once (0: one of them is never kept), and then all of them asked at once. */
uint64_t pb_facts_names(const struct pb_str *names, size_t n);
bool pb_facts_covers_all(struct pb_str facts, uint64_t names);
/* The raw value of the first kept field of this name (as pb_field.value); false when there is none. */
bool pb_facts_field(struct pb_str facts, struct pb_str name, struct pb_str *ret_value);

enum pb_part_kind { PB_PART_LEAF, PB_PART_MULTIPART, PB_PART_MESSAGE };
enum pb_encoding { PB_7BIT, PB_8BIT, PB_BINARY, PB_QUOTED_PRINTABLE, PB_BASE64, PB_ENCODING_UNKNOWN };

/* Views into the facts. */
struct pb_part {
	enum pb_part_kind kind;
	enum pb_encoding encoding;
	struct pb_str type, subtype;	/* as written; compare with pb_str_ieq */
	struct pb_str charset;		/* of text parts; empty: not given */
	uint64_t header_off, header_len;	/* with the blank line */
	uint64_t body_off, body_len;	/* without the line end before a boundary */
	uint32_t lines;			/* line ends in the body */
	uint32_t parts;			/* children of a multipart; 1 for a message: its own top */
	uint32_t depth;			/* 0: the message itself */
	bool attached;			/* as PB_FACTS_ATTACHED */
	bool top;			/* header is a message header: the message itself, or one inside a message/rfc822 part */
};

/* All parts in the order of the message: index 0 is the message itself; the top of an embedded message is a part of its own behind the
 * message/rfc822 part that holds it. */
uint32_t pb_facts_count(struct pb_str facts);
bool pb_facts_at(struct pb_str facts, uint32_t index, struct pb_part *ret);
/* By section number as RFC 3501 counts: "1.2.3"; "" is the message itself. PB_ENOTFOUND; PB_EINVALID for what is no section number. */
int pb_facts_part(struct pb_str facts, struct pb_str path, struct pb_part *ret);
/* Where a section's bytes lie: "", "HEADER", "TEXT", "1.2", "1.2.MIME", "1.2.HEADER", "1.2.TEXT" (any case). PB_ENOTFOUND: there is no such
 * section in this message (IMAP gives an empty string for it); PB_EINVALID: it is none at all. For HEADER.FIELDS take the header's and pb_header_pick. */
int pb_facts_section(struct pb_str facts, struct pb_str section, uint64_t *ret_off, uint64_t *ret_len);

/* ---- header fields ---- */

/* Views into the header. */
struct pb_field {
	struct pb_str name;		/* without the colon and blanks before it */
	struct pb_str value;		/* raw: folded, without its last line end */
	struct pb_str raw;		/* the whole field with its line ends */
};

/* Bytes of the header at the front of message, with the blank line that ends it. */
size_t pb_header_size(struct pb_str message);
/* The next field of *rest (a header, or a whole message: it stops at the blank line). Lines that are no fields are passed over. */
bool pb_header_next(struct pb_str *rest, struct pb_field *ret);
/* The raw value of the first field of this name (any case). */
bool pb_header_find(struct pb_str header, struct pb_str name, struct pb_str *ret_value);
unsigned pb_header_count(struct pb_str header, struct pb_str name);
/* Append the fields with (or, with "except", without) these names as they stand, and the blank line if there is one: RFC 3501 HEADER.FIELDS[.NOT].
 * Lines that are no fields are among those without. */
void pb_header_pick(struct pb_buf *out, struct pb_str header, const struct pb_str *names, size_t n, bool except);
/* Append value without line ends and without blanks around it. */
void pb_unfold(struct pb_buf *out, struct pb_str value);
/* Append value unfolded, with encoded words (RFC 2047) turned into UTF-8. Other bytes that are no UTF-8 are taken as ISO 8859-1. */
void pb_words_decode(struct pb_buf *out, struct pb_str value);
/* What stands before the first ";" of a value: "text/plain" of a Content-Type. Trimmed, comments left out of it. */
struct pb_str pb_value_main(struct pb_str value);
/* Append a parameter of a structured value (Content-Type, Content-Disposition) as UTF-8: RFC 2231 pieces joined and decoded, and RFC 2047 words
 * for those who put them there. False when there is none. */
bool pb_value_param(struct pb_str value, struct pb_str name, struct pb_buf *out);

/* ---- decoding ---- */

/* The encoding that a Content-Transfer-Encoding names; empty is PB_7BIT, a word that is none PB_ENCODING_UNKNOWN. */
enum pb_encoding pb_encoding_parse(struct pb_str word);

/* Transfer decoding piece by piece. Start from PB_DECODER(encoding). Malformed input is passed over (base64) or kept as it is (quoted-printable). */
struct pb_decoder {
	enum pb_encoding encoding;
	unsigned bits, nbits;		/* private */
	char held[80];			/* private */
	unsigned nheld;
	bool done;
};
#define PB_DECODER(enc) { (enc), 0, 0, { 0 }, 0, false }
void pb_decode(struct pb_decoder *d, struct pb_str in, struct pb_buf *out);
void pb_decode_end(struct pb_decoder *d, struct pb_buf *out);
/* All at once. */
void pb_transfer_decode(enum pb_encoding encoding, struct pb_str in, struct pb_buf *out);
/* Base64 in lines of 76, CRLF. And text as quoted-printable: line ends become CRLF. */
void pb_base64_lines(struct pb_buf *out, struct pb_str in);
void pb_qp_encode(struct pb_buf *out, struct pb_str in);

/* Append in as UTF-8. What is malformed becomes U+FFFD. PB_ENOTFOUND: no such charset (then nothing is appended). An empty name is US-ASCII,
 * which takes UTF-8 where it is valid and ISO 8859-1 where not. Descriptors are kept per thread. */
int pb_charset_decode(struct pb_str charset, struct pb_str in, struct pb_buf *out);
bool pb_charset_known(struct pb_str charset);

/* ---- searching ---- */

/* A text to look for without regard to case: ASCII fast, other letters by simple case folding. */
struct pb_needle {
	struct pb_buf folded;
	bool ascii;
};
#define PB_NEEDLE { PB_BUF, true }
/* text is UTF-8. PB_EINVALID when it is not. */
int pb_needle_set(struct pb_needle *n, struct pb_str text);
void pb_needle_free(struct pb_needle *n);
/* Is it in this UTF-8 (or any bytes)? An empty needle is in everything. */
bool pb_needle_in(const struct pb_needle *n, struct pb_str text);
/* In the raw value of a field: unfolded, encoded words decoded. */
bool pb_needle_in_value(const struct pb_needle *n, struct pb_str value);
/* In the header of a message or part: in any field's name or value, or in a line there that is no field. */
bool pb_needle_in_header(const struct pb_needle *n, struct pb_str header);
/* In the body of a leaf, decoded; body is its raw bytes. Parts that are no text are not searched: false. */
bool pb_needle_in_part(const struct pb_needle *n, const struct pb_part *part, struct pb_str body);
/* IMAP's TEXT (header too) and BODY: headers of parts and of embedded messages count. message is the whole message as scanned. */
bool pb_needle_in_message(const struct pb_needle *n, struct pb_str facts, struct pb_str message, bool header_too);
/* Append text case-folded: the form in which needles are compared. */
void pb_casefold(struct pb_buf *out, struct pb_str text);

/* ---- building ---- */

/* Append "name: text CRLF", folded at blanks before column 78. text is UTF-8 of one line; what is not ASCII becomes encoded words, unless utf8.
 * Control bytes become blanks. */
void pb_header_add(struct pb_buf *out, const char *name, struct pb_str text, bool utf8);
/* For fields of structure (addresses, ids): folded only, never encoded. */
void pb_header_add_raw(struct pb_buf *out, const char *name, struct pb_str text);
/* Append an address with its display name: "Name" <address>; the name quoted or encoded as it needs. name may be empty. */
void pb_address_print(struct pb_buf *out, struct pb_str name, struct pb_str address);

/* What a Received field says; what is empty is left out. */
struct pb_received {
	struct pb_str helo;		/* what the client called itself */
	struct pb_str rdns;		/* its name by reverse lookup */
	struct pb_str client;		/* its address, numeric */
	struct pb_str by;		/* this host */
	struct pb_str with;		/* "ESMTPSA" */
	struct pb_str tls;		/* goes into a comment */
	struct pb_str id;
	struct pb_str rcpt;		/* "for <...>": only where there is one recipient */
	int64_t moment;
	int zone;
};
void pb_received_add(struct pb_buf *out, const struct pb_received *r);
/* Append "<unique@host>". */
void pb_message_id_make(struct pb_buf *out, struct pb_str host, int64_t moment);

#ifdef __cplusplus
}
#endif
#endif
