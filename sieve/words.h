/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All commands, tests, tags and extensions, once, as tables: what the compiler allows and the machine is called with. An argument travels in a slot;
 * a positional one in S_1 to S_4.
 */
#ifndef SIEVE_WORDS_H
#define SIEVE_WORDS_H

#include <postbus/str.h>

enum comparator { OCTET, ASCII_CASEMAP, ASCII_NUMERIC, UNICODE_CASEMAP };
enum match { IS, CONTAINS, MATCHES, REGEX, VALUE, COUNT, LIST };
enum relation { GT, GE, LT, LE, EQ, NE };
enum address_part { PART_ALL, PART_LOCAL, PART_DOMAIN, PART_USER, PART_DETAIL };
enum body_how { BODY_TEXT, BODY_RAW, BODY_CONTENT };
enum mime_how { MIME_PLAIN, MIME_TYPE, MIME_SUBTYPE, MIME_CONTENTTYPE, MIME_PARAM };
enum letter_case { CASE_NONE, CASE_LOWER, CASE_UPPER };

enum slot {
	S_1, S_2, S_3, S_4, S_COMPARATOR, S_MATCH, S_RELATION, S_PART, S_OVER, S_BODY, S_TYPES, S_COPY, S_CREATE, S_FLAGS, S_SPECIAL_USE, S_MAILBOX_ID, S_FCC,
	S_SECONDS, S_SUBJECT, S_FROM, S_ADDRESSES, S_MIME, S_HANDLE, S_IMPORTANCE, S_OPTIONS, S_MESSAGE, S_INDEX, S_LAST, S_ZONE, S_ORIGINAL_ZONE, S_ANYCHILD,
	S_MIME_HOW, S_PARAM, S_CASE, S_CASE_FIRST, S_QUOTE_WILDCARD, S_QUOTE_REGEX, S_LENGTH, S_ENCODE_URL, S_GLOBAL, S_ONCE, S_OPTIONAL, S_HEADER, S_UNIQUE_ID,
	S_NAME, S_HEADERS, S_FIRST, S_LIST, S_NOTIFY, S_RET, S_BY_RELATIVE, S_BY_ABSOLUTE, S_BY_MODE, S_BY_TRACE, S_PERCENT, SLOTS
};

enum word_id {
	W_IF, W_ELSIF, W_ELSE, W_REQUIRE, W_STOP, W_FOREVERYPART, W_BREAK, W_GLOBAL, W_RETURN,		/* the compiler's own */
	W_NOT, W_ALLOF, W_ANYOF, W_TRUE, W_FALSE, W_IHAVE,
	W_KEEP, W_DISCARD, W_REDIRECT, W_FILEINTO, W_REJECT, W_EREJECT, W_VACATION, W_NOTIFY, W_SETFLAG, W_ADDFLAG, W_REMOVEFLAG, W_SET, W_ADDHEADER,
	W_DELETEHEADER, W_INCLUDE, W_ERROR, W_REPLACE, W_ENCLOSE, W_EXTRACTTEXT, W_POSTBUS,
	W_ADDRESS, W_ENVELOPE, W_EXISTS, W_HEADER, W_SIZE, W_BODY, W_DATE, W_CURRENTDATE, W_HASFLAG, W_STRING, W_SPAMTEST, W_VIRUSTEST, W_MAILBOXEXISTS,
	W_MAILBOXIDEXISTS, W_METADATA, W_METADATAEXISTS, W_SERVERMETADATA, W_SERVERMETADATAEXISTS, W_ENVIRONMENT, W_DUPLICATE, W_VALID_EXT_LIST,
	W_VALID_NOTIFY_METHOD, W_NOTIFY_METHOD_CAPABILITY, W_SPECIALUSE_EXISTS, W_ITEM
};

enum group {
	G_MATCH = 1, G_ADDRESS = 2, G_SIZE = 4, G_BODY = 8, G_COPY = 16, G_CREATE = 32, G_FLAGS = 64, G_FOLDER = 128, G_VACATION = 256, G_NOTIFY = 512, G_INDEX = 1024,
	G_DATE = 2048, G_ZONE = 4096, G_LAST = 8192, G_MIME = 16384, G_SET = 32768, G_INCLUDE = 65536, G_DUPLICATE = 1 << 17, G_LOOP = 1 << 18, G_REPLACE = 1 << 19,
	G_ENCLOSE = 1 << 20, G_EXTRACT = 1 << 21, G_REDIRECT = 1 << 22, G_SPAM = 1 << 23
};

/* What stands behind its tags: s a string, l a string or list, n a number; v a variable's name (constant); ? the next may be missing. */
struct word {
	const char *name, *extension;	/* extension: needed, or NULL; several with | between */
	enum word_id id;
	bool is_test;
	const char *positional;
	unsigned groups;
};

struct tag {
	const char *name, *extension;
	unsigned groups;
	enum slot slot;
	char argument;			/* - none, s, l, n, c comparator's name, r relation */
	int value;			/* of the slot, where it has no argument */
};

const struct word *word_find(struct pb_str name, bool is_test);
const struct tag *tag_find(struct pb_str name, unsigned groups);
/* Is there such an extension? system: also those for administrators. */
bool extension_known(struct pb_str name, bool system);

#endif
