/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A stand-in for whatever methods a plugin requires: answers from a JSON file, and writes down every call. Made for postbus-plugin check. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <postbus/bus.h>

enum { METHODS_MAX = 32 };

struct fake {
	json_t *answers;	/* method: result, or { "error": code, "text": ... } */
	FILE *calls;		/* one JSON line each */
	pthread_mutex_t lock;
};

static struct pb_method methods[METHODS_MAX + 1];

static int answer(struct fake *f, int n, const json_t *params, json_t **ret, struct pb_error *err)
{
	const json_t *result = json_object_get(f->answers, methods[n].name), *error = json_object_get(result, "error");

	pthread_mutex_lock(&f->lock);
	if (f->calls) {
		json_t *line = json_pack("{s:s s:O}", "method", methods[n].name, "params", (json_t *)params);

		json_dumpf(line, f->calls, JSON_COMPACT);
		fputc('\n', f->calls);
		fflush(f->calls);
		json_decref(line);
	}
	pthread_mutex_unlock(&f->lock);
	if (error)
		return pb_fail(err, pb_code_parse(json_string_value(error)), "%s", json_string_value(json_object_get(result, "text")));
	*ret = json_deep_copy(result);
	return 0;
}

/* A method is not told its name: each has a function of its own. */
#define CALL(n) \
	static int call_##n(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err) \
	{ \
		(void)who; \
		return answer(self, n, params, ret, err); \
	}
#define ALL(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) \
	X(28) X(29) X(30) X(31)
ALL(CALL)

#define ENTRY(n) call_##n,
static int (*const calls[])(void *, const struct pb_caller *, const json_t *, json_t **, struct pb_error *) = { ALL(ENTRY) };

static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	struct fake *f = pb_alloc(sizeof *f);
	struct pb_str file = pb_config_str(host, "answers"), log = pb_config_str(host, "calls");
	json_error_t e;
	const char *name;
	json_t *result;
	size_t n = 0;

	pthread_mutex_init(&f->lock, NULL);
	*ret_self = f;
	f->answers = json_load_file(file.ptr, 0, &e);
	if (!f->answers)
		return pb_fail(err, PB_EINVALID, "%s: line %d: %s", file.ptr, e.line, e.text);
	if (log.len && !(f->calls = fopen(log.ptr, "a")))
		return pb_fail_errno(err, errno, "%s", log.ptr);
	json_object_foreach (f->answers, name, result) {
		if (n == sizeof calls / sizeof *calls)
			return pb_fail(err, PB_ETOOBIG, "%s: more than %zu methods", file.ptr, n);
		methods[n] = (struct pb_method){ name, calls[n] };
		n++;
	}
	return 0;
}

static void unload(void *self)
{
	struct fake *f = self;

	if (!f)
		return;
	memset(methods, 0, sizeof methods);
	if (f->calls)
		fclose(f->calls);
	json_decref(f->answers);
	free(f);
}

PB_PLUGIN(fake_bus) = {
	PB_PLUGIN_HEAD("fake_bus"),
	.load = load,
	.unload = unload,
	.methods = methods,
};
