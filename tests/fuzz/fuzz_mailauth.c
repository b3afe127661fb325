/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzzes what strangers write about a sender: signatures, chains, records in the DNS, Authentication-Results. The first byte says which; the DNS answers with the rest. */
#include "mailauth/arc.h"
#include "mailauth/dkim.h"
#include "mailauth/dmarc.h"
#include "mailauth/results.h"
#include "mailauth/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(what) do { if (!(what)) __builtin_trap(); } while (0)

struct world { struct pb_str record; unsigned asked; };

static int query(void *arg, const char *type, struct pb_str name, struct pb_arena *arena, struct pb_str **ret, size_t *ret_n)
{
	struct world *w = arg;

	MUST(name.len && name.len <= 253 && ++w->asked < 1000);
	*ret = pb_arena_alloc(arena, sizeof **ret);
	**ret = strcmp(type, "TXT") ? PB_STR("192.0.2.1") : w->record;
	*ret_n = 1;
	return 0;
}

/* A field of results that we write is one that we read, and one line. */
static void try_writing(struct pb_arena *arena, struct pb_str text)
{
	struct results r;
	PB_AUTOBUF(out);

	pb_buf_addz(&out, "mx.example; x=y");
	results_add(&out, "dkim", AUTH_PASS, pb_arena_str(arena, text).ptr);
	results_property(&out, "header", "i", text);
	MUST(pb_str_find(pb_buf_str(&out), '\n', 0) < 0);
	MUST(!results_parse(arena, pb_buf_str(&out), &r, NULL) && r.n == 2);
}

static void try_spf(struct pb_arena *arena, struct auth_dns *dns, struct world *w, struct pb_str text)
{
	struct spf_query q = { .client = PB_STR("2001:db8::1"), .helo = PB_STR("h.example"), .sender = PB_STR("bob@a.example"), .host = PB_STR("mx.example") };
	struct spf_verdict v;

	w->record = text;
	spf_check(arena, dns, &q, &v);
	q.client = PB_STR("192.0.2.1");
	q.sender = pb_str_head(text, 200);
	w->record = PB_STR("v=spf1 exists:%{sr-}.%{L1}.%{p}.example -all exp=%{o}");
	spf_check(arena, dns, &q, &v);
	MUST(v.lookups <= SPF_LOOKUPS_MAX + 1);
}

static void try_message(struct pb_arena *arena, struct auth_dns *dns, struct world *w, struct pb_str text)
{
	struct dkim_verdict list[DKIM_SIGNATURES_MAX];
	struct dkim_options o = { .signatures = DKIM_SIGNATURES_MAX };
	struct auth_message msg;
	struct arc_verdict chain;
	struct pb_str domain;
	size_t n;

	w->record = PB_STR("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	if (auth_message_read(arena, PB_NOSTR, text, &msg, NULL))
		return;
	dkim_verify(arena, &msg, dns, &o, list, &n);
	for (size_t i = 0; i < n; i++)
		MUST(list[i].finding.result != AUTH_NONE);
	arc_validate(arena, &msg, dns, &chain);
	auth_from_domain(arena, &msg, &domain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pb_str text = pb_str((const char *)data + (size > 0), size - (size > 0)), host;
	struct world world = { text, 0 };
	struct auth_dns dns = { &world, query };
	struct pb_arena *arena = pb_arena_new();
	struct dmarc_record record;
	struct results results;
	struct key_use use = { 0 };
	struct finding why = { 0 };

	switch (size ? data[0] % 5 : 0) {
	case 0:
		try_message(arena, &dns, &world, text);
		break;
	case 1:
		try_spf(arena, &dns, &world, text);
		break;
	case 2:
		if (dmarc_find(arena, &dns, PB_STR("a.b.example"), &record, NULL) == 0)
			MUST(record.percent <= 100);
		break;
	case 3:
		results_host(arena, text, &host);
		if (results_parse(arena, text, &results, NULL) == 0)
			MUST(results.n <= RESULTS_MAX);
		if (!memchr(text.ptr, '\0', text.len))
			try_writing(arena, text);
		break;
	default:
		signature_try(arena, &dns, PB_STR("b.example"), PB_STR("s"), KEY_RSA, PB_STR("data"), PB_STR("signature"), &use, &why);
		signature_try(arena, &dns, PB_STR("b.example"), PB_STR("s"), KEY_ED25519, PB_STR("data"), PB_STR("signature"), &use, &why);
	}
	pb_arena_free(arena);
	return 0;
}
