/* Rank 5. What the locks share: calls that need not come in through the gate, and the mutex as cond.c and rwmutex.c see it.
 *
 * Each object is a word of state, on which a fast path is one compare-and-swap, and a queue under a lock. A fast path touches
 * nothing of the runtime, so it needs no gate; but it pays for its call (wf_pay), so that a loop of nothing else does not keep
 * others from running.
 *
 * Whoever was let through may free the object, so a release ends with one last touch: the compare-and-swap of the fast path, or
 * the unlock of the queue. Under the lock of the queue it never opens the fast path before that, unless somebody was claimed and
 * is not woken yet: who waits keeps the object alive. (A state that looks free, with its QUEUED bit set, is open to the slow path
 * only, which passes the lock and clears the bit.) */
#ifndef WF_SYNC_H
#define WF_SYNC_H

#include <weft/sync.h>

#include "park.h"

#define WF_FITS(inner, outer, bytes)                                                               \
	_Static_assert(sizeof(inner) <= sizeof(outer) && sizeof(outer) == (bytes), "sizes are part of the contract")

/* For a fast path: takes the call off the budget. False when that is spent, and when the monitor has asked for something: a call
 * that may switch comes in through the gate then, and charges (wf_charge), so that it lets others go first. The budget is the
 * thread's own, with or without a processor. */
static inline bool wf_pay(struct wf_worker *w)
{
	/* relaxed: the gate looks again */
	return !w || ((w->budget -= WF_COST_CALL) >= 0 && wf_load(&w->request) == WF_REQUEST_NONE);
}

/* The same for one that never switches: the next one that may sees to it. */
static inline void wf_pay_here(struct wf_worker *w)
{
	if (wf_likely(w != NULL))
		wf_spend_here(w);
}

/* Waits at the end of a queue whose lock is held; afterwards it is not, and the waiter is in no queue. Results as wf_park. */
static inline int wf_wait_locked(struct wf_worker **w, struct wf_lock *lock, struct wf_waitq *queue, struct wf_waiter *waiter,
				 enum wf_reason why, const void *object, int64_t deadline, enum wf_park_flags flags)
{
	struct wf_wait *wait = wf_wait_begin(*w, why, object);
	wf_waitq_push(queue, waiter, wait);
	wf_unlock(lock);
	int result = wf_park(w, wait, deadline, flags);
	if (wf_unlikely(result < 0)) {
		wf_lock(lock);
		wf_waitq_remove(waiter);
		wf_unlock(lock);
	}
	return result;
}

/* ---- mutex.c --------------------------------------------------------------------------------------------------------- */

enum wf_mutex_state {
	WF_MUTEX_LOCKED = 1,
	WF_MUTEX_QUEUED = 2,   /* the queue is not empty; written under its lock */
	WF_MUTEX_WOKEN = 4,    /* somebody from the queue is on the way to try its luck: nobody else is woken until it has */
	WF_MUTEX_STARVING = 8, /* an unlock hands over to the first in the queue; then LOCKED is set all the time */
};

/* How a wait for the mutex ended. */
enum wf_mutex_result {
	WF_MUTEX_TRY,    /* go and try */
	WF_MUTEX_RETRY,  /* the same, and WOKEN is set on your behalf */
	WF_MUTEX_HANDED, /* it is yours */
};

struct wf_mutex {
	wf_u32 state;
	struct wf_lock lock; /* guards the queue */
	struct wf_waitq waiters;
	wf_word owner;       /* the coroutine that has it, for reports; 0: nobody, or a thread, or one that has just got it */
};

/* After taking it, and before giving it up. Plain stores to a line that the state is in. */
static inline void wf_mutex_own(struct wf_mutex *m, const struct wf_worker *w)
{
	wf_store(&m->owner, w ? (uintptr_t)w->co : 0); /* relaxed: for reports */
}

static inline void wf_mutex_disown(struct wf_mutex *m)
{
	wf_store(&m->owner, 0); /* relaxed: for reports */
}

/* Free and nobody queued: what is free else is the slow path's. */
static inline bool wf_mutex_take(struct wf_mutex *m)
{
	return wf_u32_cas_acquire(&m->state, 0, WF_MUTEX_LOCKED); /* pairs with the releases in mutex.c */
}

int wf_mutex_lock_slow(struct wf_worker **w, struct wf_mutex *m, int64_t deadline, enum wf_park_flags flags, int result);

/* Locks it after a wait that ended with `result` (WF_MUTEX_TRY: none). 0, or the errors of wf_park. */
static inline int wf_mutex_lock(struct wf_worker **w, struct wf_mutex *m, int64_t deadline, enum wf_park_flags flags, int result)
{
	bool mine = (result == WF_MUTEX_TRY && wf_mutex_take(m)) ||
		    (result == WF_MUTEX_HANDED && !(wf_u32_load(&m->state) & WF_MUTEX_STARVING));
	if (wf_likely(mine))
		result = 0;
	else
		result = wf_mutex_lock_slow(w, m, deadline, flags, result);
	if (wf_likely(result == 0))
		wf_mutex_own(m, *w);
	return result;
}

bool wf_mutex_trylock(struct wf_mutex *m);

/* w: as for wf_wake. */
void wf_mutex_unlock(struct wf_worker *w, struct wf_mutex *m);

/* Queues waiters that are claimed already, linked in `list`, at the end: each is woken when it is its turn, as if it had waited
 * here from the start. */
void wf_mutex_adopt(struct wf_worker *w, struct wf_mutex *m, struct wf_list *list);

#endif
