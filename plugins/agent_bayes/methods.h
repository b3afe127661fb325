/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods bayes.*: learning by command, looking, taking what was learnt elsewhere. */
#ifndef AGENT_BAYES_METHODS_H
#define AGENT_BAYES_METHODS_H

#include "bayes.h"

#define UNUSED __attribute__((unused))
#define METHOD(name) \
	int method_##name(void *self, const struct pb_caller *who, const json_t *params, UNUSED json_t **ret_result, struct pb_error *err)
METHOD(bayes_learn);
METHOD(bayes_judge);
METHOD(bayes_show);
METHOD(bayes_forget);
METHOD(bayes_export);
METHOD(bayes_import);

#endif
