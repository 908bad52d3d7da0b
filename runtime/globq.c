#include "globq.h"

#include "check.h"

void wf_globq_init(struct wf_globq *q)
{
	wf_globq_add_room(q, &q->own);
}

void wf_globq_add_room(struct wf_globq *q, struct wf_globq_chunk *chunk)
{
	wf_lock(&q->lock);
	chunk->next = q->spare;
	q->spare = chunk;
	wf_unlock(&q->lock);
}

static void put_locked(struct wf_globq *q, struct weft_co *co)
{
	if (!q->tail || q->last == WF_GLOBQ_CHUNK) {
		struct wf_globq_chunk *chunk = q->spare;
		wf_check(chunk != NULL);
		q->spare = chunk->next;
		chunk->next = NULL;
		if (q->tail)
			q->tail->next = chunk;
		else
			q->head = chunk;
		q->tail = chunk;
		q->last = 0;
	}
	q->tail->co[q->last++] = co;
}

static struct weft_co *get_locked(struct wf_globq *q)
{
	struct wf_globq_chunk *chunk = q->head;
	struct weft_co *co = chunk->co[q->first++];
	if (q->first == (chunk == q->tail ? q->last : WF_GLOBQ_CHUNK)) {
		q->head = chunk->next;
		q->first = 0;
		if (!q->head)
			q->tail = NULL;
		chunk->next = q->spare;
		q->spare = chunk;
	}
	return co;
}

void wf_globq_push_any(struct wf_globq *q, struct weft_co *const *co, unsigned n)
{
	wf_lock(&q->lock);
	for (unsigned i = 0; i < n; i++)
		put_locked(q, co[i]);
	wf_u32_add_full(&q->count, (int)n); /* pairs with the look before sleeping (idle.c) */
	wf_unlock(&q->lock);
}

unsigned wf_globq_take_any(struct wf_globq *q, struct weft_co **co, unsigned shares, unsigned max)
{
	wf_lock(&q->lock);
	unsigned size = wf_globq_count(q), n = size / shares + 1;
	n = n < size ? n : size;
	n = n < max ? n : max;
	for (unsigned i = 0; i < n; i++)
		co[i] = get_locked(q);
	wf_u32_add_full(&q->count, -(int)n);
	wf_u32_store(&q->taken, wf_u32_load(&q->taken) + n); /* relaxed: a hint */
	wf_unlock(&q->lock);
	return n;
}
