/* SPDX-License-Identifier: GPL-3.0-or-later */
/* postbusctl import: its words, and the report. What is read and how is the readers' business. */
#include <getopt.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include "tools/import.h"
#include "tools/offline.h"

static const char usage[] =
    "Usage: postbusctl import maildir DIR (--mailbox ADDRESS [--folder NAME] | --domain DOMAIN)\n"
    "       postbusctl import mbox FILE|DIR (--mailbox ADDRESS [--folder NAME] | --domain DOMAIN) [--keep-quotes]\n"
    "       postbusctl import mailenable DIR [--postoffice NAME] [--again]\n"
    "       postbusctl import mlmmj|mailman DIR [--again]\n"
    "  --mailbox ADDRESS  into this mailbox; a directory of mbox files becomes folders\n"
    "  --domain DOMAIN    DIR has an entry for each mailbox, named by its local part\n"
    "  --folder NAME      what would go to INBOX goes there\n"
    "  --postoffice NAME  this post office only\n"
    "  --date file|name|header  when a message came: by the file's time, a Maildir name, the Date field\n"
    "  --keep-quotes      \">From \" in an mbox stays as it is\n"
    "  --again            members of lists who left since an import before come back\n"
    "  --create           make mailboxes that are missing, without a password\n"
    "  --over-quota       whatever quotas say\n"
    "  --dry-run          write nothing, say what would be done\n"
    "An import that was broken off is begun again with the same words: what is there already is not added twice.\n";

struct kind {
	const char *name;
	int (*run)(struct feed *f, struct pb_error *err);
};

static const struct kind kinds[] = {
	{ "maildir", import_maildir }, { "mbox", import_mbox }, { "mailenable", import_mailenable }, { "mlmmj", import_mlmmj }, { "mailman", import_mailman }, { NULL, NULL },
};

static bool parse_date(const char *word, enum import_date *ret)
{
	static const char *const words[] = { "", "file", "name", "header" };

	for (size_t i = 1; i < sizeof words / sizeof *words; i++)
		if (!strcmp(word, words[i])) {
			*ret = (enum import_date)i;
			return true;
		}
	return false;
}

/* 0, or the exit status of wrong usage. */
static int parse(int argc, char **argv, struct import_options *o)
{
	static const struct option options[] = {
		{ "mailbox", required_argument, NULL, 'm' }, { "domain", required_argument, NULL, 'd' },  { "folder", required_argument, NULL, 'f' },
		{ "postoffice", required_argument, NULL, 'p' }, { "date", required_argument, NULL, 't' }, { "keep-quotes", no_argument, NULL, 'k' },
		{ "create", no_argument, NULL, 'c' },	     { "over-quota", no_argument, NULL, 'q' },	  { "dry-run", no_argument, NULL, 'n' },
		{ "again", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	optind = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'm':
			o->mailbox = optarg;
			break;
		case 'd':
			o->domain = optarg;
			break;
		case 'f':
			o->folder = optarg;
			break;
		case 'p':
			o->postoffice = optarg;
			break;
		case 't':
			if (!parse_date(optarg, &o->date))
				return wrong_usage(usage, "--date: allowed is file, name or header", o->json);
			break;
		case 'k':
			o->keep_quotes = true;
			break;
		case 'c':
			o->create = true;
			break;
		case 'q':
			o->over_quota = true;
			break;
		case 'a':
			o->again = true;
			break;
		case 'n':
			o->dry_run = true;
			break;
		default:
			return wrong_option(usage, argv, o->json);
		}
	}
	if (argc - optind != 1)
		return wrong_usage(usage, "import takes one directory", o->json);
	o->dir = argv[optind];
	return 0;
}

static bool fits(const struct kind *kind, const struct import_options *o)
{
	if (kind->run == import_mlmmj || kind->run == import_mailman)
		return !o->mailbox && !o->domain && !o->folder && !o->postoffice;
	if (kind->run == import_mailenable)
		return !o->mailbox && !o->domain && !o->folder;
	return !o->again && !o->postoffice && !o->mailbox != !o->domain && (o->mailbox || !o->folder);
}

/* ---- report ---- */

static json_int_t sum(const json_t *folders, const char *key)
{
	json_int_t n = 0;
	const json_t *one;
	size_t i;

	json_array_foreach (folders, i, one)
		n += json_integer_value(json_object_get(one, key));
	return n;
}

static json_t *totals(const struct feed *f)
{
	static const char *const keys[] = { "messages", "bytes", "added", "known", "failed", NULL };
	json_t *report = json_pack("{s:b}", "dry_run", f->options->dry_run);
	const json_t *box;
	size_t i;

	for (size_t k = 0; keys[k]; k++) {
		json_int_t n = 0;

		json_array_foreach (f->mailboxes, i, box)
			n += sum(json_object_get(box, "folders"), keys[k]);
		json_object_set_new(report, keys[k], json_integer(n));
	}
	return report;
}

static void print(const struct feed *f, const json_t *report)
{
	const char *added = f->options->dry_run ? "would be added" : "added", *key;
	const json_t *box, *folder, *line;
	json_t *list;
	size_t i, k;

	json_array_foreach (f->mailboxes, i, box) {
		printf("%s (%s)\n", json_string_value(json_object_get(box, "mailbox")), json_string_value(json_object_get(box, "state")));
		json_array_foreach (json_object_get(box, "folders"), k, folder)
			printf("  %s: %lld %s, %lld known, %lld failed\n", json_string_value(json_object_get(folder, "folder")),
			       (long long)json_integer_value(json_object_get(folder, "added")), added, (long long)json_integer_value(json_object_get(folder, "known")),
			       (long long)json_integer_value(json_object_get(folder, "failed")));
	}
	json_object_foreach (f->more, key, list) {
		printf("%s:\n", key);
		json_array_foreach (list, k, line)
			printf("  %s\n", json_string_value(line));
	}
	printf("%lld messages (%lld bytes): %lld %s, %lld known, %lld failed; %zu problems\n", (long long)json_integer_value(json_object_get(report, "messages")),
	       (long long)json_integer_value(json_object_get(report, "bytes")), (long long)json_integer_value(json_object_get(report, "added")), added,
	       (long long)json_integer_value(json_object_get(report, "known")), (long long)json_integer_value(json_object_get(report, "failed")), f->nproblems);
}

static int show_report(const struct feed *f)
{
	json_t *report = totals(f);

	if (f->options->json) {
		json_object_set_new(report, "problem_count", json_integer((json_int_t)f->nproblems));
		json_object_set(report, "problems", f->problems);
		json_object_set(report, "mailboxes", f->mailboxes);
		json_object_update(report, f->more);
		json_dumpf(report, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print(f, report);
	}
	json_decref(report);
	return f->nproblems ? 1 : 0;
}

/* ---- run ---- */

static int run(const struct kind *kind, const struct import_options *o, struct client *client, struct pb_error *err)
{
	struct feed f = { .client = client, .options = o, .mailboxes = json_array(), .problems = json_array(), .more = json_object() };
	json_t *result = NULL;
	int rc = kind->run(&f, err);

	if (!rc && !o->dry_run) {
		rc = client_call(client, "import.flush", NULL, &result, err);
		json_decref(result);
	}
	if (rc)
		rc = report(err, o->json);
	else
		rc = show_report(&f);
	pb_buf_free(&f.piece);
	json_decref(f.mailboxes);
	json_decref(f.problems);
	json_decref(f.more);
	return rc;
}

int import_command(const char *config_file, int argc, char **argv, bool json)
{
	struct import_options o = { .json = json };
	const struct kind *kind = kinds;
	struct pb_error err = { 0 };
	struct client *client;
	int rc;

	while (argc > 1 && kind->name && strcmp(kind->name, argv[1]))
		kind++;
	if (argc < 2 || !kind->name)
		return wrong_usage(usage, argc < 2 ? "import: the kind is missing" : "import: no such kind", json);
	if ((rc = parse(argc - 1, argv + 1, &o)))
		return rc;
	if (!fits(kind, &o))
		return wrong_usage(usage, "import: these options do not go together, or not with this kind", json);
	if (client_open(config_file, true, &client, &err))
		return report(&err, json);
	rc = run(kind, &o, client, &err);
	client_close(client);
	return rc;
}
