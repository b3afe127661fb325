/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Learning and judging messages. What was learnt is noted by message, so that moving one to and fro counts it once. */
#include <stdlib.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <postbus/message.h>
#include "bayes.h"
#include "tokens.h"

/* A message is its words: the same in two mailboxes is one, and what changes sides takes back what it brought. Its sender chooses the Message-ID, which may be that
 * of another. */
static void learnt_key(struct pb_buf *key, struct pb_str office, const uint64_t *hashes, size_t n)
{
	char hash[32];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, hashes, n * sizeof *hashes, hash);
	pb_buf_addstr(key, office);
	pb_buf_addc(key, '\0');
	pb_buf_add(key, hash, sizeof hash);
}

static int was_learnt(struct bayes *b, struct pb_str key, enum learnt *ret, struct pb_error *err)
{
	PB_AUTOBUF(value);
	int rc = pb_table_get(b->learnt, key, &value, err);

	*ret = rc || !value.len ? LEARNT_NOTHING : *value.ptr == 's' ? LEARNT_SPAM : LEARNT_HAM;
	return rc == PB_ENOTFOUND ? 0 : rc;
}

int learn(struct bayes *b, struct pb_str office, struct pb_str message, struct pb_str facts, enum learnt as, bool *ret_new, struct pb_error *err)
{
	enum learnt was;
	uint64_t *hashes;
	PB_AUTOBUF(key);
	size_t n;
	int rc;

	n = tokens_of(message, facts, &hashes);
	learnt_key(&key, office, hashes, n);
	pthread_mutex_lock(&b->learning);
	rc = was_learnt(b, pb_buf_str(&key), &was, err);
	*ret_new = !rc && was != as;
	if (*ret_new)
		rc = words_change(b, office, hashes, n, (as == LEARNT_SPAM) - (was == LEARNT_SPAM), (as == LEARNT_HAM) - (was == LEARNT_HAM), err);
	if (*ret_new && !rc)
		rc = pb_table_apply(b->learnt, &(struct pb_change){ PB_PUT, pb_buf_str(&key), as == LEARNT_SPAM ? PB_STR("s") : PB_STR("h") }, 1, err);
	pthread_mutex_unlock(&b->learning);
	free(hashes);
	if (*ret_new && !rc)
		pb_count(b->host, as == LEARNT_SPAM ? "learnt_spam" : "learnt_ham", 1);
	return rc;
}

int forget(struct bayes *b, struct pb_str office, struct pb_error *err)
{
	int rc;

	pthread_mutex_lock(&b->learning);
	rc = words_forget(b, office, err);
	pthread_mutex_unlock(&b->learning);
	return rc;
}

int judge(struct bayes *b, struct pb_str office, struct pb_str message, struct pb_str facts, double *ret, struct pb_error *err)
{
	struct counts all, *words;
	uint64_t *hashes;
	size_t n;
	int rc = words_totals(b, office, &all, err);

	*ret = 0.5;
	if (!rc && (all.spam < b->least || all.ham < b->least))
		rc = pb_fail(err, PB_ENOTFOUND, "too little is learnt");
	if (rc)
		return rc;
	n = tokens_of(message, facts, &hashes);
	words = pb_alloc((n + 1) * sizeof *words);
	rc = words_read(b, office, hashes, n, words, &all, err);
	if (!rc)
		*ret = classify(words, n, all);
	free(words);
	free(hashes);
	return rc;
}
