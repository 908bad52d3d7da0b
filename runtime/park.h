/* Rank 4. Waiting and waking. A waiting call has this shape, and no other:
 *
 *     struct wf_worker *w = wf_enter();                       the gate (sched.h); NULL on a plain thread
 *     wf_lock(&object->lock);
 *     if (condition) { take it; wf_unlock; wf_leave(w); return; }
 *     struct wf_waiter waiter;
 *     struct wf_wait *wait = wf_wait_begin(w, WF_WHY_...);    takes the next ticket
 *     wf_waitq_push(&object->waiters, &waiter, wait);
 *     wf_unlock(&object->lock);
 *     int result = wf_park(&w, wait, deadline, WF_CANCELLABLE);   switches; no lock may be held
 *     if (result < 0) { wf_lock; wf_waitq_remove(&waiter); wf_unlock; }   timed out or cancelled: leave the queue
 *     wf_leave(w);
 *
 * and a waking one:
 *
 *     wf_lock(&object->lock);
 *     struct wf_wait *wait = wf_waitq_claim(&object->waiters, result, &waiter);   the first waiter that is still there
 *     ... give it what it waits for ...
 *     wf_unlock(&object->lock);                               last touch of the object
 *     if (wait) wf_wake(w, wait);
 */
#ifndef WF_PARK_H
#define WF_PARK_H

#include <errno.h>
#include <limits.h>

#include "switch.h"
#include "wait.h"

struct wf_worker;

enum wf_park_flags {
	WF_PLAIN = 0,       /* cancel does not end it (plain mutex locks) */
	WF_CANCELLABLE = 1, /* ends with -ECANCELED when the coroutine is cancelled */
};

/* ---- the waiter's side --------------------------------------------------------------------------------------------- */

/* The node of a plain thread. */
struct wf_wait *wf_thread_wait(void);

static inline uintptr_t wf_wait_ticket(const struct wf_wait *wait)
{
	return wf_load(&wait->claim) & ~WF_PHASE_MASK; /* relaxed: the owner's own word; only its phase can change under it */
}

/* Takes the next ticket of the caller's node (of the thread's own node when w is NULL): from now on it can be claimed. Never
 * fails. Followed by wf_park or, if nothing was queued after all, by wf_wait_abandon. */
static inline struct wf_wait *wf_wait_begin(struct wf_worker *w, enum wf_reason why, const void *object)
{
	struct wf_wait *wait;
	if (wf_likely(w != NULL)) {
		wait = &w->co->wait;
		wf_co_move(w->co, WF_STATE_PARKED); /* not later: whoever claims it moves it on */
	} else {
		wait = wf_thread_wait();
		wf_u32_store(&wait->thread, WF_THREAD_WAITS);
	}
	uintptr_t ticket = wf_wait_ticket(wait) + (1 << WF_PHASE_BITS);
	wf_u8_store(&wait->why, (unsigned char)why);
	wf_store(&wait->object, (uintptr_t)object);
	/* relaxed: wakers find the ticket in a queue, under its lock, or by the fences of cancel */
	wf_store(&wait->claim, ticket | WF_PARKED);
	return wait;
}

/* Ends a wait that was begun and never queued anywhere. */
void wf_wait_abandon(struct wf_wait *wait);

/* Ends one's own wait before the switch. False: a waker was faster. */
bool wf_wait_give_up(struct wf_wait *wait);

/* The rare ends of a wait: of a plain thread, which waits in it, and with WEFT_NOW. Its result, or WF_PARK_SWITCH: a waker was
 * faster, go and meet it. */
int wf_park_rare(struct wf_worker *w, struct wf_wait *wait, int64_t deadline);

/* Has the deadline end the wait. */
void wf_park_arm(struct wf_worker *w, struct wf_wait *wait, int64_t deadline);

#define WF_PARK_SWITCH INT_MIN

/* Lets a cancel end the wait; true: one came before, and has. */
static inline bool wf_park_cancelled(struct wf_wait *wait)
{
	wf_store_release(&wait->cancel_ticket, wf_wait_ticket(wait)); /* pairs with the acquire in wf_co_end_wait */
	wf_fence_light(); /* pairs with the heavy fence of whoever cancels: one of the two sees the other */
	return wf_unlikely(wf_load(&wait->co->cancel) != 0) && wf_wait_give_up(wait); /* relaxed: ordered by the fences */
}

/* Gives the processor up until the wait is claimed and woken. Returns what the claimer set (>= 0 by convention), or -ETIMEDOUT,
 * -EAGAIN (deadline WEFT_NOW), -ECANCELED. *w is the worker the caller goes on with, likely another one (NULL stays NULL). No
 * lock may be held. */
static inline int wf_park(struct wf_worker **w, struct wf_wait *wait, int64_t deadline, enum wf_park_flags flags)
{
	wf_assert(wf_locks_held() == 0);
	if (wf_unlikely(!*w || deadline == WEFT_NOW)) {
		int result = wf_park_rare(*w, wait, deadline);
		if (result != WF_PARK_SWITCH)
			return result;
	}
	if ((flags & WF_CANCELLABLE) && wf_park_cancelled(wait))
		return -ECANCELED;
	if (wf_unlikely(deadline != WF_TIME_NEVER))
		wf_park_arm(*w, wait, deadline);
	wf_store(&wait->since, (uintptr_t)(*w)->proc->looked_at); /* relaxed, for dumps; wf_look_around may know it better */
	wf_count(&(*w)->proc->stats.parks);
	*w = wf_switch_to_next(*w, wait->co);
	if (wf_unlikely(deadline != WF_TIME_NEVER))
		wf_timer_disarm(&wait->timer);
	return (int)wait->result;
}

/* Fills *waiter for this wait and puts it at the end (the front) of the queue. The object's lock is held. */
static inline void wf_waitq_push(struct wf_waitq *queue, struct wf_waiter *waiter, struct wf_wait *wait)
{
	waiter->wait = wait;
	waiter->ticket = wf_wait_ticket(wait);
	wf_list_push(&queue->list, &waiter->link);
}

static inline void wf_waitq_push_front(struct wf_waitq *queue, struct wf_waiter *waiter, struct wf_wait *wait)
{
	waiter->wait = wait;
	waiter->ticket = wf_wait_ticket(wait);
	wf_list_push_front(&queue->list, &waiter->link);
}

/* Takes a waiter out unless a waker did. True if it was still queued. The object's lock is held. */
bool wf_waitq_remove(struct wf_waiter *waiter);

static inline bool wf_waitq_empty(const struct wf_waitq *queue) { return wf_list_empty(&queue->list); }

/* ---- the waker's side ---------------------------------------------------------------------------------------------- */

void wf_wake_thread(struct wf_wait *wait);

/* Tries to end the wait that this ticket belongs to, with this result. True: the caller owns the waiter and must call wf_wake. */
static inline bool wf_claim(struct wf_wait *wait, uintptr_t ticket, intptr_t result)
{
	/* order: what is read of the waiter was published with its ticket; what is written, with wf_wake */
	if (wf_unlikely(!wf_cas_full(&wait->claim, ticket | WF_PARKED, ticket | WF_CLAIMED)))
		return false;
	wait->result = result;
	return true;
}

/* Takes waiters off the front until one can be claimed; NULL when none can. *waiter (may be NULL) is its place in the queue, on its
 * own stack: good until wf_wake. The object's lock is held. */
struct wf_wait *wf_waitq_claim(struct wf_waitq *queue, intptr_t result, struct wf_waiter **waiter);

/* Makes a claimed waiter runnable. w: the caller's worker, NULL on a plain thread or without a processor. No lock is held; the
 * object and the waiter may be gone when it returns. */
static inline void wf_wake(struct wf_worker *w, struct wf_wait *wait)
{
	struct weft_co *co = wait->co;
	if (wf_unlikely(!co)) {
		wf_wake_thread(wait);
		return;
	}
	wf_co_move(co, WF_STATE_RUNNABLE);
	wf_ready(w, co);
}

/* The same for many at once, linked through wf_waiter.link in `list`: they run in that order, after what is runnable already. One
 * alone is woken as wf_wake does. */
void wf_wake_all(struct wf_worker *w, struct wf_list *list);

/* Whether the caller must not wait any more: 0 or -ECANCELED. w NULL: 0. */
static inline int wf_cancelled(const struct wf_worker *w)
{
	return w && wf_unlikely(wf_load(&w->co->cancel) != 0) ? -ECANCELED : 0; /* relaxed: sticky; a late look is an early call */
}

#endif
