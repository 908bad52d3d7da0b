/* Rank 3. The run queue of a processor: a ring with one producer, its owner, and any number of consumers.
 *
 *   owner                                  thief
 *   push: write the slot                   copy the older half of what is there
 *         tail + 1 (release)               head + n (CAS, acquire and release): they are its own if head had not moved
 *   pop:  read the slot                    a slot is overwritten only after head has passed it, and then the CAS fails
 *         head + 1 (CAS)
 *
 * Until somebody may steal, the owner pops without the CAS: `shared` is set by the owner itself, once, so that every plain pop
 * comes before it (release) and every theft after it (acquire); tests/models/runq_share.pml. On one processor it stays unset. */
#ifndef WF_RUNQ_H
#define WF_RUNQ_H

#include "../arch/arch.h"
#include "atomic.h"

struct weft_co;

#ifdef WEFT_STRESS
enum { WF_RUNQ_SIZE = 4 };
#else
enum { WF_RUNQ_SIZE = 256 };
#endif

struct wf_runq {
	wf_u32 head WF_ALIGNED(WF_CACHE_LINE); /* next to take; moved by the owner and by thieves */
	wf_u32 tail WF_ALIGNED(WF_CACHE_LINE); /* next free; moved by the owner only */
	wf_u32 shared;                         /* may anybody steal */
	wf_word slot[WF_RUNQ_SIZE];
};

/* Entries, at some moment. Any thread. */
static inline unsigned wf_runq_length(const struct wf_runq *q)
{
	/* acquire: keeps the load of tail after it, so that the difference is never negative */
	unsigned head = wf_u32_load_acquire(&q->head);
	return wf_u32_load(&q->tail) - head;
}

/* From now on there may be thieves. The owner. */
static inline void wf_runq_share_owner(struct wf_runq *q)
{
	wf_u32_store_release(&q->shared, 1); /* pairs with the acquire in wf_runq_steal_any */
}

/* Adds at the end. False: full. The owner. */
static inline bool wf_runq_push_owner(struct wf_runq *q, struct weft_co *co)
{
	unsigned head = wf_u32_load_acquire(&q->head); /* pairs with the release of a thief: it has copied the slot */
	unsigned tail = wf_u32_load(&q->tail);         /* relaxed: our own */
	if (wf_unlikely(tail - head >= WF_RUNQ_SIZE))
		return false;
	wf_store(&q->slot[tail % WF_RUNQ_SIZE], (uintptr_t)co); /* relaxed: published by the next line */
	wf_u32_store_release(&q->tail, tail + 1);               /* pairs with the acquire of a thief */
	return true;
}

/* Takes the oldest; NULL: empty. The owner. */
static inline struct weft_co *wf_runq_pop_owner(struct wf_runq *q)
{
	for (;;) {
		unsigned head = wf_u32_load_acquire(&q->head); /* pairs with the release of a thief */
		unsigned tail = wf_u32_load(&q->tail);         /* relaxed: our own */
		if (head == tail)
			return NULL;
		struct weft_co *co = wf_load_ptr(&q->slot[head % WF_RUNQ_SIZE]); /* relaxed: we wrote it */
		if (wf_likely(!wf_u32_load(&q->shared))) {
			wf_u32_store(&q->head, head + 1); /* relaxed: nobody else reads slots yet */
			return co;
		}
		if (wf_u32_cas_release(&q->head, head, head + 1)) /* release: the slot was read before it can be reused */
			return co;
	}
}

/* Moves the older half of `from`, at least one, into `into`, which is empty and owned by the caller, and returns one of them to
 * run; NULL: nothing to take. *count (may be NULL) gets the number taken. Any thread but the owner of `from`. */
struct weft_co *wf_runq_steal_any(struct wf_runq *into, struct wf_runq *from, unsigned *count);

/* Takes the older half, in order, into `batch` (room for WF_RUNQ_SIZE / 2) and returns their number; 0: a thief was faster. The
 * owner, when the ring is full. */
unsigned wf_runq_half_owner(struct wf_runq *q, struct weft_co **batch);

/* The entry `ahead` places behind the oldest; there are more than that. For prefetching only: a thief may have it by now. The
 * owner. */
static inline struct weft_co *wf_runq_peek_owner(const struct wf_runq *q, unsigned ahead)
{
	return wf_load_ptr(&q->slot[(wf_u32_load(&q->head) + ahead) % WF_RUNQ_SIZE]);
}

#endif
