/* Rank 3. The global queue: any number of coroutines, first in, first out, under a lock; from plain threads, from full rings, from
 * workers that lost their processor.
 *
 * It holds pointers in chunks, so that moving a hundred coroutines touches none of them: linked through their control blocks, each
 * would be a miss of every cache, one after the other. Pushing can't fail: whoever makes control blocks brings a chunk for as many
 * (wf_globq_add_room), and one more is here, for the first and the last chunk need not be full. */
#ifndef WF_GLOBQ_H
#define WF_GLOBQ_H

#include "lock.h"

struct weft_co;

enum { WF_GLOBQ_CHUNK = 64 };

struct wf_globq_chunk {
	struct wf_globq_chunk *next;
	struct weft_co *co[WF_GLOBQ_CHUNK];
};

struct wf_globq {
	struct wf_lock lock;
	wf_u32 count;                      /* written under the lock */
	wf_u32 taken;                      /* how many, so far; the same */
	unsigned first, last;              /* the next to be taken from head; the next free place in tail */
	struct wf_globq_chunk *head, *tail; /* NULL: it is empty */
	struct wf_globq_chunk *spare;
	struct wf_globq_chunk own;
};

/* q is all zeroes. */
void wf_globq_init(struct wf_globq *q);

/* Room for as many coroutines more as a chunk has places. The chunk is the queue's as long as that is used. Any thread. */
void wf_globq_add_room(struct wf_globq *q, struct wf_globq_chunk *chunk);

/* Adds n at the end. Any thread. */
void wf_globq_push_any(struct wf_globq *q, struct weft_co *const *co, unsigned n);

/* Takes one of `shares` parts of what is there, and at most `max`, into co; at least one if there is any. Returns how many. Any
 * thread. */
unsigned wf_globq_take_any(struct wf_globq *q, struct weft_co **co, unsigned shares, unsigned max);

/* How many wait. Any thread; a hint, unless ordered by the fences of docs/protocols.md. */
static inline unsigned wf_globq_count(const struct wf_globq *q) { return wf_u32_load(&q->count); }

#endif
