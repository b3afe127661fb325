/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of every method, from its manifest. Knows no method by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <postbus/secret.h>
#include "tools/command.h"

enum { WORDS_MAX = 3, NAME_MAX_BYTES = 200 };	/* of a method's name: list member add */

static const json_t *params_of(const json_t *spec)
{
	return json_object_get(spec, "params");
}

/* False: no name is that long. */
static bool name_of(char *name, size_t room, int words, char **argv)
{
	size_t n = 0;

	for (int i = 0; i < words && n < room; i++)
		n += (size_t)snprintf(name + n, room - n, "%s%s", i ? "." : "", argv[i]);
	return n < room;
}

json_t *command_names(int argc, char **argv)
{
	json_t *names = json_array(), *one;
	char name[NAME_MAX_BYTES];

	for (int words = argc < WORDS_MAX ? argc : WORDS_MAX; words >= 1; words--)
		if (name_of(name, sizeof name, words, argv) && (one = json_string(name)) != NULL)
			json_array_append_new(names, one);
	return names;
}

const char *command_find(const json_t *methods, int argc, char **argv, int *ret_used)
{
	char name[NAME_MAX_BYTES];
	const char *key;
	json_t *spec;

	for (int used = argc < WORDS_MAX ? argc : WORDS_MAX; used >= 1; used--) {
		if (!name_of(name, sizeof name, used, argv))
			continue;
		json_object_foreach ((json_t *)methods, key, spec) {
			if (!strcmp(key, name) && !json_is_false(json_object_get(spec, "cli"))) {
				*ret_used = used;
				return key;
			}
		}
	}
	return NULL;
}

/* ---- values ---- */

static json_t *bare_or_json(const char *word)
{
	json_t *v = json_loads(word, JSON_DECODE_ANY, NULL);

	return v ? v : json_string(word);
}

static json_t *value_of(const json_t *field, const char *word)
{
	const char *type = json_string_value(json_object_get(field, "type"));

	if (!strcmp(type, "integer") || !strcmp(type, "number") || !strcmp(type, "object") || !strcmp(type, "any"))
		return bare_or_json(word);
	if ((!strcmp(type, "seconds") || !strcmp(type, "bytes")) && *word && strspn(word, "0123456789") == strlen(word))
		return bare_or_json(word);
	if (!strcmp(type, "boolean")) {
		if (!strcmp(word, "yes") || !strcmp(word, "true") || !strcmp(word, "on"))
			return json_true();
		if (!strcmp(word, "no") || !strcmp(word, "false") || !strcmp(word, "off"))
			return json_false();
	}
	return json_string(word);
}

/* Lists take several words, several options, and words with commas; "commas": false where a comma is part of an item, whatever it begins with. */
static int add_value(json_t *params, const char *key, const json_t *field, const char *word, struct pb_error *err)
{
	const char *file = json_string_value(json_object_get(field, "file"));
	json_t *list = json_object_get(params, key);
	const char *type = json_string_value(json_object_get(field, "type"));
	char *copy, *rest, *part;
	bool whole = json_is_false(json_object_get(field, "commas"));
	json_t *content;

	if (file) {
		if (given_file(word, !strcmp(file, "base64"), &content, err))
			return err->code;
		json_object_set_new(params, key, content);
		return 0;
	}
	if (strcmp(type, "list")) {
		json_object_set_new(params, key, value_of(field, word));
		return 0;
	}
	if (*word == '[' && !whole) {
		json_object_set_new(params, key, bare_or_json(word));
		return 0;
	}
	if (!list) {
		list = json_array();
		json_object_set_new(params, key, list);
	}
	if (whole) {
		json_array_append_new(list, json_string(word));
		return 0;
	}
	copy = rest = strdup(word);
	while ((part = strsep(&rest, ",")) != NULL)
		if (*part)
			json_array_append_new(list, value_of(json_object_get(field, "items") ? json_object_get(field, "items") : field, part));
	free(copy);
	return 0;
}

/* ---- secrets ---- */

struct secret_line {
	char *text;
	size_t room;
	ssize_t n;		/* without the end of the line; -1: there was none */
};

static void read_line(struct secret_line *l)
{
	l->n = getline(&l->text, &l->room, stdin);
	while (l->n > 0 && (l->text[l->n - 1] == '\n' || l->text[l->n - 1] == '\r'))
		l->text[--l->n] = '\0';
}

static void forget_line(struct secret_line *l)
{
	if (l->text)
		pb_wipe(l->text, l->room);
	free(l->text);
}

/* Twice at a terminal, without an echo; gives whether it is one. */
static bool ask(const char *key, struct secret_line *line, struct secret_line *again)
{
	struct termios old, quiet;

	if (!isatty(0) || tcgetattr(0, &old) != 0) {
		read_line(line);
		return false;
	}
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(0, TCSAFLUSH, &quiet);
	fprintf(stderr, "%s: ", key);
	read_line(line);
	fprintf(stderr, "\n%s again: ", key);
	read_line(again);
	fputc('\n', stderr);
	tcsetattr(0, TCSAFLUSH, &old);
	return true;
}

static int read_secret(const char *key, json_t *params, struct pb_error *err)
{
	struct secret_line line = { .n = -1 }, again = { .n = -1 };
	bool tty = ask(key, &line, &again);

	err->code = 0;
	if (line.n <= 0)
		pb_fail(err, PB_EINVALID, "%s: nothing was given", key);
	else if (tty && (line.n != again.n || memcmp(line.text, again.text, (size_t)line.n) != 0))
		pb_fail(err, PB_EINVALID, "%s: the two differ", key);
	else if (memchr(line.text, 0, (size_t)line.n) || json_object_set_new(params, key, json_stringn(line.text, (size_t)line.n)))
		pb_fail(err, PB_EINVALID, "%s: it has to be one line of UTF-8 text", key);
	forget_line(&line);
	forget_line(&again);
	return err->code;
}

static bool is_secret(const json_t *field)
{
	return json_is_true(json_object_get(field, "secret"));
}

static int ask_secrets(const json_t *spec, json_t *params, struct pb_error *err)
{
	const char *key;
	json_t *field;

	json_object_foreach ((json_t *)params_of(spec), key, field)
		if (is_secret(field) && (json_is_true(json_object_get(field, "required")) || json_is_true(json_object_get(params, key))))
			if (read_secret(key, params, err))
				return err->code;
	return 0;
}

static int check_required(const json_t *spec, const json_t *params, struct pb_error *err)
{
	const char *key;
	json_t *field;

	json_object_foreach ((json_t *)params_of(spec), key, field)
		if (json_is_true(json_object_get(field, "required")) && !is_secret(field) && !json_object_get(params, key))
			return pb_fail(err, PB_EINVALID, "%s%s is missing", json_object_get(field, "position") ? "" : "--", key);
	return 0;
}

/* ---- words ---- */

static bool same_name(const char *option, const char *key)
{
	for (; *option && *key; option++, key++)
		if (*option != *key && !(*option == '-' && *key == '_'))
			return false;
	return !*option && !*key;
}

static const char *find_option(const json_t *spec, const char *option, const json_t **ret_field)
{
	const char *key;
	json_t *field;

	json_object_foreach ((json_t *)params_of(spec), key, field) {
		if (same_name(option, key)) {
			*ret_field = field;
			return key;
		}
	}
	return NULL;
}

static const char *find_position(const json_t *spec, int position, const json_t **ret_field)
{
	const char *key, *last = NULL;
	json_t *field;

	json_object_foreach ((json_t *)params_of(spec), key, field) {
		json_int_t at = json_integer_value(json_object_get(field, "position"));

		if (at == position || (at && at < position && !strcmp(json_string_value(json_object_get(field, "type")), "list"))) {
			*ret_field = field;
			last = key;
		}
	}
	return last;
}

/* One --option; gives how many words it took, or 0 with the error set. */
static int take_option(const json_t *spec, char **argv, int left, json_t *params, struct pb_error *err)
{
	const char *word = argv[0] + 2, *equals = strchr(word, '='), *key, *type;
	const json_t *field = NULL;
	char name[120];
	bool off = false, from_stdin = false;
	size_t n;

	snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : (int)strlen(word), word);
	key = find_option(spec, name, &field);
	n = strlen(name);
	if (!key && n > 6 && !strcmp(name + n - 6, "-stdin")) {
		name[n - 6] = '\0';
		key = find_option(spec, name, &field);
		from_stdin = key && is_secret(field);
	}
	if (!key && !strncmp(name, "no-", 3)) {
		key = find_option(spec, name + 3, &field);
		off = true;
	}
	if (!key || (off && strcmp(json_string_value(json_object_get(field, "type")), "boolean"))) {
		pb_fail(err, PB_EINVALID, "unknown option --%s", name);
		return 0;
	}
	type = json_string_value(json_object_get(field, "type"));
	if (is_secret(field)) {
		if (equals || !from_stdin) {
			pb_fail(err, PB_EINVALID, "--%s: a secret is never taken from the command line; use --%s-stdin", name, name);
			return 0;
		}
		json_object_set_new(params, key, json_true());	/* read later, in the manifest's order */
		return 1;
	}
	if (!strcmp(type, "boolean") && !equals) {
		json_t *word_behind = !off && left > 1 ? value_of(field, argv[1]) : NULL;
		bool is_its_value = json_is_boolean(word_behind);

		json_object_set_new(params, key, is_its_value ? json_incref(word_behind) : json_boolean(!off));
		json_decref(word_behind);
		return is_its_value ? 2 : 1;
	}
	if (!equals && left < 2) {
		pb_fail(err, PB_EINVALID, "--%s needs a value", name);
		return 0;
	}
	if (add_value(params, key, field, equals ? equals + 1 : argv[1], err))
		return 0;
	return equals ? 1 : 2;
}

/* "-- " begins a signature, not an option. */
static bool is_option(const char *word)
{
	return !strncmp(word, "--", 2) && pb_is_alnum((unsigned char)word[2]);
}

int command_params(const json_t *spec, int argc, char **argv, json_t **ret, struct pb_error *err)
{
	json_t *params = json_object();
	int position = 1;
	bool words_only = false;

	for (int i = 0; i < argc;) {
		const json_t *field = NULL;
		const char *key;

		if (!words_only && !strcmp(argv[i], "--")) {
			words_only = true;
			i++;
			continue;
		}
		if (!words_only && is_option(argv[i])) {
			int used = take_option(spec, argv + i, argc - i, params, err);

			if (!used)
				goto fail;
			i += used;
			continue;
		}
		key = find_position(spec, position, &field);
		if (!key) {
			pb_fail(err, PB_EINVALID, "'%s' is one word too many", argv[i]);
			goto fail;
		}
		if (is_secret(field)) {
			pb_fail(err, PB_EINVALID, "%s is never taken from the command line; it is asked for, or read from standard input", key);
			goto fail;
		}
		if (add_value(params, key, field, argv[i], err))
			goto fail;
		position++;
		i++;
	}
	if (check_required(spec, params, err) || ask_secrets(spec, params, err))
		goto fail;
	*ret = params;
	return 0;
fail:
	json_decref(params);
	return err->code;
}

/* ---- help ---- */

static void dashed(const char *method, char *text, size_t room)
{
	snprintf(text, room, "%s", method);
	for (char *p = text; *p; p++)
		if (*p == '.')
			*p = ' ';
}

/* What an enum allows, behind its doc. */
static void put_words(const json_t *words)
{
	const json_t *word;
	size_t i;

	json_array_foreach (words, i, word)
		printf("%s%s", i ? ", " : " One of: ", json_string_value(word));
	if (json_array_size(words))
		putchar('.');
}

void command_help(const char *method, const json_t *spec)
{
	char words[200];
	const char *key, *doc = json_string_value(json_object_get(spec, "doc"));
	json_t *field;

	dashed(method, words, sizeof words);
	printf("postbusctl %s", words);
	for (int position = 1; position < 10; position++)
		json_object_foreach ((json_t *)params_of(spec), key, field)
			if (json_integer_value(json_object_get(field, "position")) == position)
				printf(json_is_true(json_object_get(field, "required")) ? " %s" : " [%s]", key);
	printf(" [options]\n  %s\n", json_string_value(json_object_get(spec, "summary")));
	if (doc)
		printf("  %s\n", doc);
	json_object_foreach ((json_t *)params_of(spec), key, field) {
		char name[80];
		const char *text = json_string_value(json_object_get(field, "doc"));

		snprintf(name, sizeof name, "%s%s%s", json_object_get(field, "position") && !is_secret(field) ? "" : "--", key, is_secret(field) ? "-stdin" : "");
		if (*name == '-')
			for (char *p = name; *p; p++)
				if (*p == '_')
					*p = '-';
		if (!strcmp(json_string_value(json_object_get(field, "type")), "boolean") && !json_object_get(field, "position"))
			snprintf(name + strlen(name), sizeof name - strlen(name), "=yes|no");
		printf("    %-24s %s", name, text ? text : "");
		put_words(json_object_get(field, "enum"));
		puts(json_is_true(json_object_get(field, "required")) ? " (required)" : "");
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int command_list(const json_t *methods, const char *group)
{
	const char **names = calloc(json_object_size(methods) + 1, sizeof *names), *key;
	size_t n = 0, want = group ? strlen(group) : 0;
	json_t *spec;

	json_object_foreach ((json_t *)methods, key, spec)
		if (!json_is_false(json_object_get(spec, "cli")) && (!group || (!strncmp(key, group, want) && (key[want] == '.' || !key[want]))))
			names[n++] = key;
	qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++) {
		char words[200];

		dashed(names[i], words, sizeof words);
		printf("  %-28s %s\n", words, json_string_value(json_object_get(json_object_get(methods, names[i]), "summary")));
	}
	free(names);
	return (int)n;
}
