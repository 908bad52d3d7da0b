#include "runq.h"

/* Copies n entries from head on into `batch` and claims them. */
static bool take(struct wf_runq *q, unsigned head, unsigned n, struct weft_co **batch)
{
	for (unsigned i = 0; i < n; i++)
		batch[i] = wf_load_ptr(&q->slot[(head + i) % WF_RUNQ_SIZE]); /* relaxed: ours only if the CAS succeeds */
	return wf_u32_cas_full(&q->head, head, head + n); /* acquire: what the owner published; release: the slots were read */
}

struct weft_co *wf_runq_steal_any(struct wf_runq *into, struct wf_runq *from, unsigned *count)
{
	struct weft_co *batch[WF_RUNQ_SIZE];
	unsigned n;
	if (!wf_u32_load_acquire(&from->shared)) /* pairs with wf_runq_share_owner: no plain pop comes after it */
		return NULL;
	for (;;) {
		unsigned head = wf_u32_load_acquire(&from->head); /* pairs with the release of whoever moved it */
		unsigned tail = wf_u32_load_acquire(&from->tail); /* pairs with the release in push: the slots are written */
		n = tail - head;
		n -= n / 2;
		if (n == 0)
			return NULL;
		if (n > WF_RUNQ_SIZE / 2)
			continue; /* head and tail are not of one moment */
		if (take(from, head, n, batch))
			break;
	}
	for (unsigned i = 1; i < n; i++)
		wf_runq_push_owner(into, batch[i]);
	if (count)
		*count = n;
	return batch[0];
}

unsigned wf_runq_half_owner(struct wf_runq *q, struct weft_co **batch)
{
	unsigned head = wf_u32_load_acquire(&q->head); /* pairs with the release of a thief */
	unsigned n = (wf_u32_load(&q->tail) - head) / 2;
	return n > 0 && take(q, head, n, batch) ? n : 0;
}
