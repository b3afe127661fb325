/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The words of a message that say something about it: from its header fields and its texts, decoded, each once. Pure. */
#ifndef AGENT_BAYES_TOKENS_H
#define AGENT_BAYES_TOKENS_H

#include <postbus/str.h>

enum { TOKENS_MAX = 3000 };

/* 64-bit hashes, ascending, each once; free() it. facts: of message (message.h). The same words give the same hashes for ever: they are what is stored. */
size_t tokens_of(struct pb_str message, struct pb_str facts, uint64_t **ret);

#endif
