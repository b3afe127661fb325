#include "kernel/queue/queue.h"
#define W __attribute__((weak))
#define F(n) W int n(struct queue *q, const json_t *p, json_t **r, struct pb_error *e){(void)q;(void)p;(void)e;*r=json_object();return 0;}
int queue_list(struct queue *q, const json_t *p, json_t **r, struct pb_error *e) W;
F(queue_list) F(queue_hold) F(queue_release) F(queue_retry) F(queue_delete)
W int queue_show(struct queue *q, const char *id, json_t **r, struct pb_error *e){(void)q;(void)id;(void)e;*r=json_object();return 0;}
W int queue_counts(struct queue *q, json_t **r, struct pb_error *e){(void)q;(void)e;*r=json_pack("{s:[]}","lanes");return 0;}
