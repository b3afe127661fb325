/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tables of words. Where a row comes from stands beside it. */
#include "sieve/words.h"
#include "sieve/sieve.h"

static const struct word words[] = {
	/* RFC 5228 */
	{ "if", NULL, W_IF, false, "", 0 },
	{ "elsif", NULL, W_ELSIF, false, "", 0 },
	{ "else", NULL, W_ELSE, false, "", 0 },
	{ "require", NULL, W_REQUIRE, false, "l", 0 },
	{ "stop", NULL, W_STOP, false, "", 0 },
	{ "keep", NULL, W_KEEP, false, "", G_FLAGS },
	{ "discard", NULL, W_DISCARD, false, "", 0 },
	{ "redirect", NULL, W_REDIRECT, false, "s", G_COPY | G_REDIRECT },
	{ "fileinto", "fileinto", W_FILEINTO, false, "s", G_COPY | G_CREATE | G_FLAGS | G_FOLDER },
	{ "address", NULL, W_ADDRESS, true, "ll", G_MATCH | G_ADDRESS | G_INDEX | G_MIME },
	{ "allof", NULL, W_ALLOF, true, "", 0 },
	{ "anyof", NULL, W_ANYOF, true, "", 0 },
	{ "not", NULL, W_NOT, true, "", 0 },
	{ "true", NULL, W_TRUE, true, "", 0 },
	{ "false", NULL, W_FALSE, true, "", 0 },
	{ "envelope", "envelope", W_ENVELOPE, true, "ll", G_MATCH | G_ADDRESS },
	{ "exists", NULL, W_EXISTS, true, "l", G_MIME },
	{ "header", NULL, W_HEADER, true, "ll", G_MATCH | G_INDEX | G_MIME },
	{ "size", NULL, W_SIZE, true, "n", G_SIZE },
	/* RFC 5429, 5230 and 6131, 5435, 5232, 5229, 5293, 6609, 5463, 5703 */
	{ "reject", "reject", W_REJECT, false, "s", 0 },
	{ "ereject", "ereject", W_EREJECT, false, "s", 0 },
	{ "vacation", "vacation", W_VACATION, false, "s", G_VACATION },
	{ "notify", "enotify", W_NOTIFY, false, "s", G_NOTIFY },
	{ "setflag", "imap4flags", W_SETFLAG, false, "?vl", 0 },
	{ "addflag", "imap4flags", W_ADDFLAG, false, "?vl", 0 },
	{ "removeflag", "imap4flags", W_REMOVEFLAG, false, "?vl", 0 },
	{ "hasflag", "imap4flags", W_HASFLAG, true, "?ll", G_MATCH },
	{ "set", "variables", W_SET, false, "vs", G_SET },
	{ "string", "variables", W_STRING, true, "ll", G_MATCH },
	{ "addheader", "editheader", W_ADDHEADER, false, "ss", G_LAST },
	{ "deleteheader", "editheader", W_DELETEHEADER, false, "s?l", G_MATCH | G_INDEX },
	{ "include", "include", W_INCLUDE, false, "s", G_INCLUDE },
	{ "return", "include", W_RETURN, false, "", 0 },
	{ "global", "include", W_GLOBAL, false, "l", 0 },
	{ "ihave", "ihave", W_IHAVE, true, "l", 0 },
	{ "error", "ihave", W_ERROR, false, "s", 0 },
	{ "foreverypart", "foreverypart", W_FOREVERYPART, false, "", G_LOOP },
	{ "break", "foreverypart", W_BREAK, false, "", G_LOOP },
	{ "replace", "replace", W_REPLACE, false, "s", G_REPLACE },
	{ "enclose", "enclose", W_ENCLOSE, false, "s", G_ENCLOSE },
	{ "extracttext", "extracttext", W_EXTRACTTEXT, false, "v", G_SET | G_EXTRACT },
	/* RFC 5173, 5260, 5235, 5490, 9042, 8579, 5183, 7352, 6134, 5435 */
	{ "body", "body", W_BODY, true, "l", G_MATCH | G_BODY },
	{ "date", "date", W_DATE, true, "ssl", G_MATCH | G_DATE | G_ZONE | G_INDEX },
	{ "currentdate", "date", W_CURRENTDATE, true, "sl", G_MATCH | G_ZONE },
	{ "spamtest", "spamtest|spamtestplus", W_SPAMTEST, true, "s", G_MATCH | G_SPAM },
	{ "virustest", "virustest", W_VIRUSTEST, true, "s", G_MATCH },
	{ "mailboxexists", "mailbox", W_MAILBOXEXISTS, true, "l", 0 },
	{ "mailboxidexists", "mailboxid", W_MAILBOXIDEXISTS, true, "l", 0 },
	{ "specialuse_exists", "special-use", W_SPECIALUSE_EXISTS, true, "?sl", 0 },
	{ "metadata", "mboxmetadata", W_METADATA, true, "ssl", G_MATCH },
	{ "metadataexists", "mboxmetadata", W_METADATAEXISTS, true, "sl", 0 },
	{ "servermetadata", "servermetadata", W_SERVERMETADATA, true, "sl", G_MATCH },
	{ "servermetadataexists", "servermetadata", W_SERVERMETADATAEXISTS, true, "l", 0 },
	{ "environment", "environment", W_ENVIRONMENT, true, "sl", G_MATCH },
	{ "duplicate", "duplicate", W_DUPLICATE, true, "", G_DUPLICATE },
	{ "valid_ext_list", "extlists", W_VALID_EXT_LIST, true, "l", 0 },
	{ "valid_notify_method", "enotify", W_VALID_NOTIFY_METHOD, true, "l", 0 },
	{ "notify_method_capability", "enotify", W_NOTIFY_METHOD_CAPABILITY, true, "ssl", G_MATCH },
	/* our own: what mail servers know of a message, and what administrators do with it */
	{ "vnd_postbus_item", "vnd.postbus.item", W_ITEM, true, "sl", G_MATCH },
	{ "vnd_postbus_do", "vnd.postbus.do", W_POSTBUS, false, "s?s", 0 },
};

static const struct tag tags[] = {
	{ "comparator", NULL, G_MATCH, S_COMPARATOR, 'c', 0 },
	{ "is", NULL, G_MATCH, S_MATCH, '-', IS },
	{ "contains", NULL, G_MATCH, S_MATCH, '-', CONTAINS },
	{ "matches", NULL, G_MATCH, S_MATCH, '-', MATCHES },
	{ "regex", "regex", G_MATCH, S_MATCH, '-', REGEX },
	{ "value", "relational", G_MATCH, S_MATCH, 'r', VALUE },
	{ "count", "relational", G_MATCH, S_MATCH, 'r', COUNT },
	{ "list", "extlists", G_MATCH, S_MATCH, '-', LIST },
	{ "all", NULL, G_ADDRESS, S_PART, '-', PART_ALL },
	{ "localpart", NULL, G_ADDRESS, S_PART, '-', PART_LOCAL },
	{ "domain", NULL, G_ADDRESS, S_PART, '-', PART_DOMAIN },
	{ "user", "subaddress", G_ADDRESS, S_PART, '-', PART_USER },
	{ "detail", "subaddress", G_ADDRESS, S_PART, '-', PART_DETAIL },
	{ "over", NULL, G_SIZE, S_OVER, '-', 1 },
	{ "under", NULL, G_SIZE, S_OVER, '-', 0 },
	{ "raw", NULL, G_BODY, S_BODY, '-', BODY_RAW },
	{ "text", NULL, G_BODY, S_BODY, '-', BODY_TEXT },
	{ "content", NULL, G_BODY, S_TYPES, 'l', 0 },
	{ "copy", "copy", G_COPY, S_COPY, '-', 1 },
	{ "create", "mailbox", G_CREATE, S_CREATE, '-', 1 },
	{ "flags", "imap4flags", G_FLAGS | G_VACATION | G_NOTIFY, S_FLAGS, 'l', 0 },
	{ "specialuse", "special-use", G_FOLDER | G_VACATION | G_NOTIFY, S_SPECIAL_USE, 's', 0 },
	{ "mailboxid", "mailboxid", G_FOLDER | G_VACATION | G_NOTIFY, S_MAILBOX_ID, 's', 0 },
	{ "create", "mailbox", G_VACATION | G_NOTIFY, S_CREATE, '-', 1 },
	{ "fcc", "fcc", G_VACATION | G_NOTIFY, S_FCC, 's', 0 },
	{ "days", NULL, G_VACATION, S_SECONDS, 'n', 86400 },
	{ "seconds", "vacation-seconds", G_VACATION, S_SECONDS, 'n', 1 },
	{ "subject", NULL, G_VACATION | G_REPLACE | G_ENCLOSE, S_SUBJECT, 's', 0 },
	{ "from", NULL, G_VACATION | G_NOTIFY | G_REPLACE, S_FROM, 's', 0 },
	{ "addresses", NULL, G_VACATION, S_ADDRESSES, 'l', 0 },
	{ "mime", NULL, G_VACATION | G_REPLACE, S_MIME, '-', 1 },
	{ "handle", NULL, G_VACATION | G_DUPLICATE, S_HANDLE, 's', 0 },
	{ "importance", NULL, G_NOTIFY, S_IMPORTANCE, 's', 0 },
	{ "options", NULL, G_NOTIFY, S_OPTIONS, 'l', 0 },
	{ "message", NULL, G_NOTIFY, S_MESSAGE, 's', 0 },
	{ "index", "index|editheader", G_INDEX, S_INDEX, 'n', 1 },
	{ "last", "index|editheader", G_INDEX | G_LAST, S_LAST, '-', 1 },
	{ "last", NULL, G_DUPLICATE, S_LAST, '-', 1 },
	{ "zone", NULL, G_ZONE, S_ZONE, 's', 0 },
	{ "originalzone", NULL, G_DATE, S_ORIGINAL_ZONE, '-', 1 },
	{ "mime", "mime", G_MIME, S_MIME, '-', 1 },
	{ "anychild", "mime", G_MIME, S_ANYCHILD, '-', 1 },
	{ "type", "mime", G_MIME, S_MIME_HOW, '-', MIME_TYPE },
	{ "subtype", "mime", G_MIME, S_MIME_HOW, '-', MIME_SUBTYPE },
	{ "contenttype", "mime", G_MIME, S_MIME_HOW, '-', MIME_CONTENTTYPE },
	{ "param", "mime", G_MIME, S_PARAM, 'l', 0 },
	{ "lower", NULL, G_SET, S_CASE, '-', CASE_LOWER },
	{ "upper", NULL, G_SET, S_CASE, '-', CASE_UPPER },
	{ "lowerfirst", NULL, G_SET, S_CASE_FIRST, '-', CASE_LOWER },
	{ "upperfirst", NULL, G_SET, S_CASE_FIRST, '-', CASE_UPPER },
	{ "quotewildcard", NULL, G_SET, S_QUOTE_WILDCARD, '-', 1 },
	{ "quoteregex", "regex", G_SET, S_QUOTE_REGEX, '-', 1 },
	{ "length", NULL, G_SET, S_LENGTH, '-', 1 },
	{ "encodeurl", "enotify", G_SET, S_ENCODE_URL, '-', 1 },
	{ "first", NULL, G_EXTRACT, S_FIRST, 'n', 1 },
	{ "personal", NULL, G_INCLUDE, S_GLOBAL, '-', 0 },
	{ "global", NULL, G_INCLUDE, S_GLOBAL, '-', 1 },
	{ "once", NULL, G_INCLUDE, S_ONCE, '-', 1 },
	{ "optional", NULL, G_INCLUDE, S_OPTIONAL, '-', 1 },
	{ "header", NULL, G_DUPLICATE, S_HEADER, 's', 0 },
	{ "uniqueid", NULL, G_DUPLICATE, S_UNIQUE_ID, 's', 0 },
	{ "seconds", NULL, G_DUPLICATE, S_SECONDS, 'n', 1 },
	{ "name", NULL, G_LOOP, S_NAME, 's', 0 },
	{ "headers", NULL, G_ENCLOSE, S_HEADERS, 'l', 0 },
	{ "list", "extlists", G_REDIRECT, S_LIST, '-', 1 },
	{ "notify", "redirect-dsn", G_REDIRECT, S_NOTIFY, 's', 0 },
	{ "ret", "redirect-dsn", G_REDIRECT, S_RET, 's', 0 },
	{ "bytimerelative", "redirect-deliverby", G_REDIRECT, S_BY_RELATIVE, 'n', 1 },
	{ "bytimeabsolute", "redirect-deliverby", G_REDIRECT, S_BY_ABSOLUTE, 's', 0 },
	{ "bymode", "redirect-deliverby", G_REDIRECT, S_BY_MODE, 's', 0 },
	{ "bytrace", "redirect-deliverby", G_REDIRECT, S_BY_TRACE, '-', 1 },
	{ "percent", "spamtestplus", G_SPAM, S_PERCENT, '-', 1 },
};

static const char extensions[] =
	"fileinto reject ereject envelope encoded-character comparator-i;octet comparator-i;ascii-casemap comparator-i;ascii-numeric comparator-i;unicode-casemap copy body "
	"environment variables vacation vacation-seconds relational imap4flags subaddress spamtest spamtestplus virustest date index editheader mailbox mailboxid "
	"mboxmetadata servermetadata include duplicate extlists enotify ihave mime foreverypart replace enclose extracttext special-use fcc redirect-dsn "
	"redirect-deliverby regex imapsieve vnd.postbus.item";
static const char system_extensions[] = "vnd.postbus.do";

const struct word *word_find(struct pb_str name, bool is_test)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].is_test == is_test && pb_str_ieq(name, pb_strz(words[i].name)))
			return &words[i];
	return NULL;
}

const struct tag *tag_find(struct pb_str name, unsigned groups)
{
	for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
		if (tags[i].groups & groups && pb_str_ieq(name, pb_strz(tags[i].name)))
			return &tags[i];
	return NULL;
}

static bool among(struct pb_str name, const char *list)
{
	struct pb_str rest = pb_strz(list), one;

	while (pb_str_word(&rest, &one))
		if (pb_str_eq(one, name))
			return true;
	return false;
}

bool extension_known(struct pb_str name, bool system)
{
	return among(name, extensions) || (system && among(name, system_extensions));
}

const char *sieve_extensions(void)
{
	return extensions;
}
