/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One script on one message, from the command line: what the tests drive. Prints an action a line, "keep" for the implicit keep, or the problems.
 *	try_sieve SCRIPT MESSAGE FROM TO [--list NAME VALUE]... [--metadata FOLDER NAME VALUE]... [--environment NAME VALUE]... [--trace] [--fixed FIELD add|delete]... [--times N] [--each DIR] [--store DIR]
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <postbus/message.h>
#include "sieve/sieve.h"

struct given {
	int argc;
	char **argv;
};

static bool read_file(const char *path, struct pb_buf *out)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return false;
	do {
		pb_buf_reserve(out, 65536);
		n = fread(out->ptr + out->len, 1, 65535, f);
		out->len += n;
	} while (n);
	fclose(f);
	pb_buf_z(out);
	return true;
}

/* The words behind the next option of this name from *at on. */
static char **option(const struct given *g, const char *name, int words, int *at)
{
	for (; *at + words < g->argc; ++*at)
		if (!strcmp(g->argv[*at], name))
			return g->argv + ++*at;
	return NULL;
}

static int64_t now(void *arg)
{
	(void)arg;
	return INT64_C(1790000000) * 1000000;
}

static bool list_valid(void *arg, struct pb_str list)
{
	char **v;

	for (int at = 1; (v = option(arg, "--list", 2, &at)) != NULL;)
		if (pb_str_ends(pb_strz(v[0]), list))
			return true;
	return false;
}

static bool list_has(void *arg, struct pb_str list, struct pb_str value)
{
	char **v;

	for (int at = 1; (v = option(arg, "--list", 2, &at)) != NULL;)
		if (pb_str_ends(pb_strz(v[0]), list) && pb_str_ieq(pb_strz(v[1]), value))
			return true;
	return false;
}

static bool metadata(void *arg, struct pb_str folder, struct pb_str name, struct pb_buf *out)
{
	char **v;

	for (int at = 1; (v = option(arg, "--metadata", 3, &at)) != NULL;) {
		if (pb_str_ieq(pb_strz(v[0]), folder) && pb_str_ieq(pb_strz(v[1]), name)) {
			pb_buf_addz(out, v[2]);
			return true;
		}
	}
	return false;
}

static bool environment(void *arg, struct pb_str name, struct pb_buf *out)
{
	char **v;

	for (int at = 1; (v = option(arg, "--environment", 2, &at)) != NULL;) {
		if (pb_str_ieq(pb_strz(v[0]), name)) {
			pb_buf_addz(out, v[1]);
			return true;
		}
	}
	return false;
}

static bool may_edit(void *arg, struct pb_str field, bool add)
{
	char **v;

	for (int at = 1; (v = option(arg, "--fixed", 2, &at)) != NULL;)
		if (pb_str_ieq(pb_strz(v[0]), field) && !strcmp(v[1], add ? "add" : "delete"))
			return false;
	return add || (!pb_str_ieq(field, PB_STR("Received")) && !pb_str_ieq(field, PB_STR("Auto-Submitted")));
}

static void trace(void *arg, unsigned line, const char *what, struct pb_str saw, bool outcome)
{
	(void)arg;
	printf("trace %u %s \"%.*s\" %s\n", line, what, PB_FMT(pb_str_head(saw, 200)), outcome ? "yes" : "no");
}

static void show(const struct sieve_action *a)
{
	static const char *const kinds[] = { "keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation", "notify", "postbus" };

	printf("%s", kinds[a->kind]);
	if (a->target.len)
		printf(" \"%.*s\"", PB_FMT(a->target));
	if (a->text.len)
		printf(" text=\"%.*s\"", PB_FMT(a->text));
	for (size_t i = 0; i < a->nflags; i++)
		printf("%s%.*s", i ? " " : " flags=", PB_FMT(a->flags[i]));
	putchar('\n');
}

static double microseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int run(const struct sieve_program *p, const struct sieve_message *m, const struct sieve_world *world, bool quiet)
{
	struct sieve_result r;
	int rc = sieve_run(p, m, world, NULL, &r);

	if (!quiet && rc)
		printf("error %u: %s\n", r.problem.line, r.problem.text);
	for (size_t i = 0; !quiet && i < r.nactions; i++)
		show(&r.actions[i]);
	if (!quiet && r.implicit_keep)
		show(&r.keep);
	if (!quiet && r.keep.version) {
		PB_AUTOBUF(made);

		sieve_result_message(&r, r.keep.version, &made);
		printf("message\n%s", pb_buf_z(&made));
	}
	sieve_result_free(&r);
	return rc ? 3 : 0;
}

static void store(const struct sieve_result *r, const struct sieve_action *a, const char *dir)
{
	PB_AUTOBUF(made);
	char path[4096];
	FILE *f;

	sieve_result_message(r, a->version, &made);
	snprintf(path, sizeof path, "%s/%.*s", dir, a->kind == SIEVE_KEEP ? 5 : (int)a->target.len, a->kind == SIEVE_KEEP ? "INBOX" : a->target.ptr);
	f = fopen(path, "w");
	if (!f)
		return;
	fwrite(made.ptr, 1, made.len, f);
	fclose(f);
}

/* What keep and fileinto would store, each as a file that is named like its folder. */
static void run_stored(const struct sieve_program *p, const char *dir, const struct sieve_message *m, const struct sieve_world *world)
{
	struct sieve_result r;

	sieve_run(p, m, world, NULL, &r);
	for (size_t i = 0; i < r.nactions; i++)
		if (r.actions[i].kind == SIEVE_KEEP || r.actions[i].kind == SIEVE_FILEINTO)
			store(&r, &r.actions[i], dir);
	if (r.implicit_keep)
		store(&r, &r.keep, dir);
	sieve_result_free(&r);
}

/* Every file of a directory as a message, from the file to the outcome: what the benchmark compares. */
static int run_each(const struct sieve_program *p, const char *dir, const struct sieve_message *like, const struct sieve_world *world)
{
	DIR *d = opendir(dir);
	const struct dirent *entry;
	PB_AUTOBUF(bytes);
	PB_AUTOBUF(facts);
	char path[4096];
	int n = 0;

	while (d && (entry = readdir(d)) != NULL) {
		struct sieve_message m = *like;

		pb_buf_reset(&bytes);
		pb_buf_reset(&facts);
		snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
		if (entry->d_name[0] == '.' || !read_file(path, &bytes))
			continue;
		pb_facts_make(pb_buf_str(&bytes), &facts);
		m.bytes = pb_buf_str(&bytes);
		m.facts = pb_buf_str(&facts);
		run(p, &m, world, true);
		n++;
	}
	if (d)
		closedir(d);
	printf("%d messages\n", n);
	return d ? 0 : 2;
}

int main(int argc, char **argv)
{
	struct given g = { argc, argv };
	struct sieve_world world = { .arg = &g, .now = now, .list_valid = list_valid, .list_has = list_has, .metadata = metadata, .environment = environment, .may_edit = may_edit };
	struct sieve_problems problems;
	struct sieve_program *p;
	PB_AUTOBUF(script);
	PB_AUTOBUF(message);
	PB_AUTOBUF(facts);
	double began, began_cpu;
	long times = 0;
	int at = 1, rc;
	char **v;

	if (argc < 5 || !read_file(argv[1], &script) || !read_file(argv[2], &message)) {
		fputs("usage: try_sieve SCRIPT MESSAGE FROM TO [options]\n", stderr);
		return 2;
	}
	for (int i = 5; i < argc; i++)
		if (!strcmp(argv[i], "--trace"))
			world.trace = trace;
	v = option(&g, "--times", 1, &at);
	times = v ? strtol(v[0], NULL, 10) : 0;
	if (sieve_compile(pb_buf_str(&script), &(struct sieve_options){ .system = true }, &p, &problems)) {
		for (size_t i = 0; i < problems.n && i < SIEVE_PROBLEMS_MAX; i++)
			printf("problem %u:%u: %s\n", problems.list[i].line, problems.list[i].column, problems.list[i].text);
		return 1;
	}
	pb_facts_make(pb_buf_str(&message), &facts);	/* once, as when a message is stored */
	struct sieve_message m = { .bytes = pb_buf_str(&message), .facts = pb_buf_str(&facts), .from = pb_strz(argv[3]), .to = pb_strz(argv[4]), .orig_to = pb_strz(argv[4]) };

	rc = run(p, &m, &world, false);
	began = microseconds(CLOCK_MONOTONIC);
	began_cpu = microseconds(CLOCK_PROCESS_CPUTIME_ID);
	for (long i = 0; i < times; i++)
		run(p, &m, &world, true);
	if (times)	/* by the clock, and of the processor */
		printf("each %.3f us, %.3f us\n", (microseconds(CLOCK_MONOTONIC) - began) / (double)times, (microseconds(CLOCK_PROCESS_CPUTIME_ID) - began_cpu) / (double)times);
	at = 1;
	v = option(&g, "--each", 1, &at);
	if (v)
		rc = run_each(p, v[0], &m, &world);
	at = 1;
	v = option(&g, "--store", 1, &at);
	if (v)
		run_stored(p, v[0], &m, &world);
	sieve_program_free(p);
	return rc;
}
