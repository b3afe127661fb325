/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes the script of many rules: a line of standard input is a rule, "any" or "all", its conditions, "=>" and its deeds, with tabs between. What the benchmark
 * of rules begins with, and a way to see what a sentence becomes.
 */
#include <stdio.h>
#include <stdlib.h>
#include "plugins/agent_filter/filter.h"
#include "plugins/agent_filter/words.h"

static json_t *rule_of(struct pb_str line, int number)
{
	json_t *lists[2] = { json_array(), json_array() }, *needs = NULL, *rule = NULL;
	struct pb_error err = { 0 };
	struct pb_str part, match;
	PB_AUTOBUF(sieve);
	int at = 0;

	pb_str_cut(&line, '\t', &match);
	while (pb_str_cut(&line, '\t', &part)) {
		if (pb_str_eq(part, PB_STR("=>")))
			at = 1;
		else
			json_array_append_new(lists[at], json_stringn(part.ptr, part.len));
	}
	if (words_rule(lists[0], pb_str_eq(match, PB_STR("any")), lists[1], RULE_OF_SERVER, &sieve, &needs, &err))
		fprintf(stderr, "rule %d: %s\n", number, err.text);
	else
		rule = json_pack("{s:o, s:b, s:o, s:s%}", "name", json_sprintf("rule %d", number), "enabled", 1, "needs", needs, "sieve", sieve.ptr, sieve.len);
	json_decref(lists[0]);
	json_decref(lists[1]);
	return rule;
}

int main(void)
{
	json_t *rules = json_array(), *rule;
	struct pb_error err = { 0 };
	PB_AUTOBUF(script);
	char *line = NULL, *row;
	size_t room = 0;
	int number = 0, bad = 0;

	for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
		rule = rule_of(pb_str(line, (size_t)n - (line[n - 1] == '\n')), ++number);
		bad |= !rule || json_array_append_new(rules, rule);
	}
	row = json_dumps(rules, JSON_COMPACT);
	bad |= rules_script(pb_strz(row), &script, &err);
	fputs(pb_buf_z(&script), stdout);
	free(row);
	free(line);
	json_decref(rules);
	return bad;
}
