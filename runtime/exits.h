/* Rank 5. Exits, inside; what exits.c and select.c share. Functions with _locked: the lock of the exits is held.
 *
 * A watch has two sides, and two lists: that of the coroutine (under its lock) until that ends, and that of the exits. Neither
 * lock is taken under the other: who has taken a watch out of the one list goes on to the other with nothing but a reference.
 *
 *   the coroutine ends (fire)                      destroy
 *   1 co->lock: off its list, !waits               1 exits->lock: off its list, dropped
 *   2 exits->lock: dropped? else a note            2 co->lock: still waits? off its list, and the coroutine's reference is ours
 *   3 give the coroutine's reference back          3 give the exits' reference back
 *
 * Each watch holds a reference to its exits; so 2 may come when these were destroyed already. */
#ifndef WF_EXITS_H
#define WF_EXITS_H

#include <weft/exits.h>

#include "park.h"

struct weft_exits {
	struct wf_lock lock;
	wf_u32 count;            /* of notes; written under the lock, a hint without it */
	struct wf_list watches;  /* of coroutines that have not ended */
	struct wf_list notes;    /* of those that have, oldest first */
	struct wf_list spare;    /* to be used again */
	struct wf_waitq waiters; /* whoever waits for a note; there is none then. data: where to, index: what it wants to hear */
	wf_word refs;            /* the user's, and one for each watch, spare ones too */
};

static inline bool wf_exits_can_take(const struct weft_exits *e)
{
	return wf_u32_load(&e->count) > 0; /* relaxed: a hint, or under the lock */
}

/* 0, or -EAGAIN. ended may be NULL. */
int wf_exits_take_locked(struct weft_exits *e, struct weft_ended *ended);

/* Queues a wait that was begun. */
static inline void wf_exits_await_locked(struct weft_exits *e, struct wf_waiter *waiter, struct wf_wait *wait,
					 struct weft_ended *ended, int answer)
{
	waiter->data = ended;
	waiter->index = answer;
	wf_waitq_push(&e->waiters, waiter, wait);
}

#endif
