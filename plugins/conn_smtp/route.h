/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where mail for a domain goes: a static route, the smart host, or its mail exchangers; as a list of addresses to be tried in order. */
#ifndef CONN_SMTP_ROUTE_H
#define CONN_SMTP_ROUTE_H

#include "smtp.h"

/* A next hop as written in the config. Views into what was parsed. */
struct hop {
	struct pb_str host;		/* a name or a numeric address */
	uint16_t port;
	bool mx;			/* look up the MX records of host first */
};

/* "host", "host:25", "[host]", "[host]:25", "[2001:db8::1]:25", "192.0.2.1:25". Pure. */
int hop_parse(struct pb_str text, uint16_t default_port, struct hop *ret, struct pb_error *err);
/* The route for a domain in lower case, or NULL: exact, else ".parent". */
const char *route_find(const json_t *routes, struct pb_str domain);

/* One address to be tried. */
struct target {
	const char *name, *address;
	uint16_t port;
	enum tls_policy tls;
	const char *user, *password;	/* smart host; else NULL */
};

struct plan {
	struct target *list;
	size_t n;
	json_t *answer;			/* of dns: the strings live in it */
	char *host;
};

/* Why a recipient is not delivered; remote: who said so, or empty. */
struct outcome {
	bool permanent;
	char remote[256];
	char reply[1000];
};

/* False: *why. */
bool plan_make(struct smtp *smtp, const struct settings *set, struct pb_str domain, struct plan *ret, struct outcome *why);
void plan_free(struct plan *plan);

#endif
