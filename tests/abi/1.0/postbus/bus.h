/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bus: call a method, ask for a decision, publish a fact. Mail bodies never travel on it; handles and ids do.
 * Values are JSON (Jansson); what a method takes and gives is declared in its provider's manifest and checked there.
 * A call that the caller's manifest does not name in "requires" is refused with PB_EDENIED.
 */
#ifndef POSTBUS_BUS_H
#define POSTBUS_BUS_H

#include <postbus/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pb_body;		/* queue.h */
struct pb_spool;	/* queue.h */
struct pb_envelope;	/* queue.h */

/* ---- call: one provider, runs in the caller's thread ---- */

enum pb_role { PB_ROLE_NONE, PB_ROLE_USER, PB_ROLE_ADMIN, PB_ROLE_SYSTEM };

/* For whom a method runs. Another plugin's call: role SYSTEM, mailbox empty. */
struct pb_caller {
	enum pb_role role;
	struct pb_str plugin;		/* who called; "control" for the admin socket */
	struct pb_str mailbox;		/* USER: his mailbox id */
	struct pb_str postoffice;	/* USER, ADMIN: the post office it is confined to */
};

struct pb_method {
	const char *name;		/* "hello.greet"; NULL ends the table */
	/* params: an object, checked against the manifest, defaults filled in; borrowed, and may be the caller's own: read only.
	 * *ret_result: a new reference, or NULL for {}; what is given may be kept and given again, if nobody changes it. */
	int (*call)(void *self, const struct pb_caller *who, const json_t *params, json_t **ret_result, struct pb_error *err);
};

/* params may be NULL; it is borrowed. ret_result may be NULL; else a new reference to an object: json_decref it. It may be shared with others: read only.
 * PB_EUNAVAILABLE: nobody provides it now. PB_EDENIED: not in "requires". PB_EBUSY: nested deeper than 16 calls. */
int pb_call(struct pb_host *host, const char *method, json_t *params, json_t **ret_result, struct pb_error *err);

/* Would a call of this method find somebody now? For what is offered only where a method of "optional" is there. */
bool pb_is_provided(struct pb_host *host, const char *method);

enum { PB_VERSIONS_MAX = 32 };

/* What a call is about that JSON cannot hold: lent to the provider for the call. What does not apply is NULL or empty. */
struct pb_subject {
	struct pb_str id;			/* queue id */
	const struct pb_envelope *envelope;
	struct pb_body *body;
	/* Set by the provider: a new body instead of this one. The caller's from then on; his to take over or discard. Methods that say so take the message
	 * from here, where the caller has set it: a spool that is no body yet. Then it stays the caller's. */
	struct pb_spool *changed;
	/* Set by methods that say so: what the message is for single entries of their answer, which name them by number, from 1. The caller's from then on;
	 * pb_subject_clear discards those that are left. */
	struct pb_spool *versions[PB_VERSIONS_MAX];
	unsigned nversions;
};

/* As pb_call, about this subject. */
int pb_call_about(struct pb_host *host, struct pb_subject *subject, const char *method, json_t *params, json_t **ret_result, struct pb_error *err);
/* Discards the versions that are still in it. */
void pb_subject_clear(struct pb_subject *subject);
/* In a method: what the call that runs on this thread is about, or NULL. Calls that the method makes itself have none of it. */
struct pb_subject *pb_subject(struct pb_host *host);

/* ---- ask: every plugin that hooked the point, in manifest order; the first decisive verdict wins ---- */

enum pb_decision { PB_CONTINUE, PB_ACCEPT, PB_REJECT, PB_DEFER, PB_QUARANTINE, PB_DISCARD };

/* What is asked about. Everything is borrowed for the duration of the ask; what does not apply at this point is NULL or empty. */
struct pb_question {
	const char *point;			/* "smtp.rcpt" */
	struct pb_str id;			/* queue id, once there is one */
	const json_t *facts;			/* object: client, helo, sender, recipient, user, ... as the point's docs say */
	const struct pb_envelope *envelope;
	struct pb_body *body;
};

/* A verdict. Start from PB_VERDICT; the asked plugin fills it through the functions below. */
struct pb_verdict {
	enum pb_decision decision;
	int code;			/* REJECT, DEFER: the protocol's reply code; 0: 550, 451 */
	char enhanced[16];		/* "5.7.1" or empty */
	char text[240];			/* for the sender, UTF-8, one line */
	char plugin[64];		/* filled by the bus: whose verdict it is */
	json_t *headers;		/* array of "Name: value" to put on top, or NULL; owned */
	json_t *notes;			/* object of notes for later stages, or NULL; owned */
};

#define PB_VERDICT { .decision = PB_CONTINUE }

/* Fill a verdict. set: decision, SMTP code, enhanced code (NULL: none) and a text for the sender, cut where it is too long;
 * header: one more field to put on top, in the order of the calls. */
void pb_verdict_set(struct pb_verdict *v, enum pb_decision d, int code, const char *enhanced, const char *fmt, ...) PB_PRINTF(5, 6);
void pb_verdict_header(struct pb_verdict *v, struct pb_str name, struct pb_str value);
void pb_verdict_note(struct pb_verdict *v, const char *key, json_t *value);	/* steals value */
void pb_verdict_clear(struct pb_verdict *v);				/* frees what it owns, back to CONTINUE */

struct pb_hook {
	const char *point;		/* as in the manifest's "hooks"; NULL ends the table */
	/* 0 with the verdict filled; an error or a missed budget is answered by the manifest's "on_failure". */
	int (*ask)(void *self, const struct pb_question *q, struct pb_verdict *v, struct pb_error *err);
};

/*
 * Points are named by the plugins that ask at them ("points" in their manifests). One is the kernel's own: session.connect, for every connection of every
 * protocol, before TLS and before the greeting. Facts: client, port, listener, plugin (whose listener it is). Reject, defer and discard send the client
 * away with the protocol's goodbye (PB_BYE_REFUSED); the verdict's text goes to the log.
 */
/* Asks all; *v (from PB_VERDICT) gathers headers and notes of all and the decision of the decisive one. Never fails: failures follow the policy.
 * Every single verdict goes into the timeline of q->id. Points nobody hooked cost nothing: PB_CONTINUE at once. */
void pb_ask(struct pb_host *host, const struct pb_question *q, struct pb_verdict *v);
/* Would anybody be asked at this point now? Lets a busy path skip the making of the question. */
bool pb_is_hooked(struct pb_host *host, const char *point);

/* ---- publish: a fact, asynchronous, may be coalesced ---- */

struct pb_listener {
	const char *fact;		/* "mailbox.changed"; NULL ends the table */
	void (*hear)(void *self, const char *fact, const json_t *value);	/* on a kernel worker; value borrowed */
};

/* Steals value (an object). */
void pb_publish(struct pb_host *host, const char *fact, json_t *value);

#ifdef __cplusplus
}
#endif
#endif
