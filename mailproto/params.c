/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parsing the arguments of MAIL, RCPT and BDAT. What they mean for a transaction is left to the commands. */
#include <stdio.h>
#include <postbus/queue.h>
#include "mailproto/params.h"

/* parse: NULL, or the reply. */
struct param {
	const char *name;
	const char *(*parse)(void *args, struct pb_str value);
};

static bool unprintable(struct pb_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 127)
			return true;
	return false;
}

static const char *mail_size(void *args, struct pb_str value)
{
	struct mail_args *a = args;

	if (!value.len || value.len > 20 || pb_str_u64(value, INT64_MAX, &a->size))
		return "501 5.5.4 SIZE takes a number";
	return NULL;
}

static const char *mail_body(void *args, struct pb_str value)
{
	struct mail_args *a = args;

	if (pb_str_ieq(value, PB_STR("8BITMIME")))
		a->eightbit = true;
	else if (!pb_str_ieq(value, PB_STR("7BIT")))
		return "501 5.5.4 BODY is 7BIT or 8BITMIME";
	return NULL;
}

static const char *mail_smtputf8(void *args, struct pb_str value)
{
	struct mail_args *a = args;

	if (value.ptr)
		return "501 5.5.4 SMTPUTF8 takes no value";
	a->smtputf8 = true;
	return NULL;
}

static const char *mail_ret(void *args, struct pb_str value)
{
	struct mail_args *a = args;

	if (pb_str_ieq(value, PB_STR("HDRS")))
		a->ret_headers = true;
	else if (!pb_str_ieq(value, PB_STR("FULL")))
		return "501 5.5.4 RET is FULL or HDRS";
	return NULL;
}

static const char *mail_envid(void *args, struct pb_str value)
{
	struct mail_args *a = args;

	if (!value.len || value.len > ENVID_MAX || pb_xtext_decode(&a->envid, value) || unprintable(pb_buf_str(&a->envid)))
		return "501 5.5.4 ENVID is malformed";
	return NULL;
}

/* RFC 4954 5: who submitted it first. Nobody here believes it, but it has to be well-formed. */
static const char *mail_auth(void *args, struct pb_str value)
{
	PB_AUTOBUF(who);

	(void)args;
	if (!value.len || value.len > ORCPT_MAX || pb_xtext_decode(&who, value))
		return "501 5.5.4 AUTH is malformed";
	return NULL;
}

static const char *rcpt_notify(void *args, struct pb_str value)
{
	static const struct { struct pb_str word; unsigned bit; } words[] = {
		{ { "NEVER", 5 }, PB_NOTIFY_NEVER }, { { "SUCCESS", 7 }, PB_NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, PB_NOTIFY_FAILURE }, { { "DELAY", 5 }, PB_NOTIFY_DELAY } };
	struct rcpt_args *a = args;
	struct pb_str word;

	while (pb_str_cut(&value, ',', &word)) {
		unsigned bit = 0;

		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (pb_str_ieq(word, words[i].word))
				bit = words[i].bit;
		if (!bit)
			return "501 5.5.4 NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY";
		a->notify |= bit;
	}
	if (!a->notify || (a->notify & PB_NOTIFY_NEVER && a->notify != PB_NOTIFY_NEVER))
		return "501 5.5.4 NOTIFY is NEVER, or some of SUCCESS, FAILURE, DELAY";
	return NULL;
}

/* RFC 3461 4.2, and RFC 6533 3: behind "utf-8;" raw UTF-8 may stand. */
static const char *rcpt_orcpt(void *args, struct pb_str value)
{
	struct rcpt_args *a = args;
	struct pb_str type, address = value;

	if (value.len > ORCPT_MAX || !pb_str_cut(&address, ';', &type) || !type.len || !address.len || unprintable(value) || !pb_utf8_valid(value))
		return "501 5.5.4 ORCPT is malformed";
	for (size_t i = 0; i < type.len; i++)
		if (!pb_is_alnum(type.ptr[i]) && type.ptr[i] != '-')
			return "501 5.5.4 ORCPT is malformed";
	pb_buf_addstr(&a->orcpt, type);
	pb_buf_addc(&a->orcpt, ';');
	if (pb_xtext_decode(&a->orcpt, address)) {
		if (!pb_str_ieq(type, PB_STR("utf-8")))
			return "501 5.5.4 ORCPT is malformed";
		pb_buf_addstr(&a->orcpt, address);
	}
	return unprintable(pb_buf_str(&a->orcpt)) ? "501 5.5.4 ORCPT is malformed" : NULL;
}

static const struct param mail_params[] = {
	{ "SIZE", mail_size }, { "BODY", mail_body }, { "SMTPUTF8", mail_smtputf8 }, { "RET", mail_ret },
	{ "ENVID", mail_envid }, { "AUTH", mail_auth }, { NULL, NULL } };
static const struct param rcpt_params[] = { { "NOTIFY", rcpt_notify }, { "ORCPT", rcpt_orcpt }, { NULL, NULL } };

static const char *params_parse(struct pb_str rest, const struct param *known, void *args)
{
	struct pb_str key, value;
	unsigned seen = 0;
	int more;

	while ((more = pb_param_next(&rest, &key, &value, NULL)) > 0) {
		const struct param *p = known;
		const char *reply;

		while (p->name && !pb_str_ieq(key, pb_strz(p->name)))
			p++;
		if (!p->name)
			return "555 5.5.4 unknown parameter";
		if (seen & 1u << (p - known))
			return "501 5.5.4 parameter given twice";
		seen |= 1u << (p - known);
		reply = p->parse(args, value);
		if (reply)
			return reply;
	}
	return more < 0 ? "501 5.5.4 malformed parameter" : NULL;
}

/* The parser's words about what is wrong go to the client: it has to fit the address it sent. */
static const char *path_reply(char *reply, size_t size, const char *code, const struct pb_error *err)
{
	snprintf(reply, size, "%s %s", code, err->text);
	for (char *p = reply; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > 126)
			*p = '?';
	return reply;
}

const char *mail_args_parse(struct pb_str args, struct mail_args *ret)
{
	struct pb_error err = { 0 };
	const char *reply;

	memset(ret, 0, sizeof *ret);
	if (!pb_str_istarts(args, PB_STR("FROM:")))
		return "501 5.5.4 syntax: MAIL FROM:<address>";
	args = pb_str_skip(args, 5);
	if (pb_path_parse(&args, PB_PATH_UTF8 | PB_PATH_NULL | PB_PATH_BARE, &ret->path, &err))
		return path_reply(ret->reply, sizeof ret->reply, "501 5.1.7", &err);
	reply = params_parse(args, mail_params, ret);
	if (!reply && ret->path.utf8 && !ret->smtputf8)
		return "553 5.6.7 this address needs SMTPUTF8";
	return reply;
}

void mail_args_free(struct mail_args *a)
{
	pb_buf_free(&a->envid);
}

const char *rcpt_args_parse(struct pb_str args, bool smtputf8, struct rcpt_args *ret)
{
	struct pb_error err = { 0 };

	memset(ret, 0, sizeof *ret);
	if (!pb_str_istarts(args, PB_STR("TO:")))
		return "501 5.5.4 syntax: RCPT TO:<address>";
	args = pb_str_skip(args, 3);
	if (pb_path_parse(&args, PB_PATH_UTF8 | PB_PATH_POSTMASTER | PB_PATH_BARE, &ret->path, &err))
		return path_reply(ret->reply, sizeof ret->reply, "501 5.1.3", &err);
	if (ret->path.utf8 && !smtputf8)
		return "553 5.6.7 this address needs SMTPUTF8";
	return params_parse(args, rcpt_params, ret);
}

void rcpt_args_free(struct rcpt_args *a)
{
	pb_buf_free(&a->orcpt);
}

/* Blanks and control bytes would break the Received field; everything else a broken client may call itself. */
bool helo_is_name(struct pb_str name)
{
	if (!name.len || name.len > HELO_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.ptr[i] <= ' ' || name.ptr[i] == 127)
			return false;
	return pb_utf8_valid(name);
}

bool bdat_args_parse(struct pb_str args, uint64_t *ret_size, bool *ret_last)
{
	struct pb_str size, last, more;

	if (!pb_str_word(&args, &size) || size.len > 20 || pb_str_u64(size, INT64_MAX, ret_size))
		return false;
	*ret_last = pb_str_word(&args, &last);
	if (*ret_last && !pb_str_ieq(last, PB_STR("LAST")))
		return false;
	return !pb_str_word(&args, &more);
}
