/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From counts of words to a probability: Robinson's estimate for each word, Fisher's way of putting them together. Pure. */
#ifndef AGENT_BAYES_CLASSIFY_H
#define AGENT_BAYES_CLASSIFY_H

#include <stddef.h>
#include <stdint.h>

/* In how many messages of each kind a word was. */
struct counts {
	uint32_t spam, ham;
};

/* 0 (ham) to 1 (spam); 0.5 where nothing is known. words: counts of those that are in the message; all: messages that were learnt. */
double classify(const struct counts *words, size_t n, struct counts all);

#endif
