/* The mutex: whoever comes while it is free gets it, and hand-over for those who starve by that (tests/models/mutex_handoff.pml).
 *
 *   unlock                                     one who waits
 *   nobody queued, or WOKEN is on:             under the queue's lock: is LOCKED on? QUEUED on, into the queue
 *     LOCKED off                               woken with RETRY, LOCKED is off: LOCKED on, WOKEN off; it is the owner
 *   else, under the queue's lock:              woken with RETRY, LOCKED is on: WOKEN off, back to the front of the queue;
 *     claims the first in the queue              STARVING on if it has waited for STARVE_NS
 *     STARVING: leaves LOCKED on (HANDED)      woken with HANDED: it is the owner; STARVING off if it is the last in the
 *     else: LOCKED off, WOKEN on (RETRY)         queue or has not waited that long
 *     wakes it                                 gives up: out of the queue; if that is empty then, QUEUED and STARVING off
 *
 * No wake-up is lost: with somebody queued, LOCKED goes off only while WOKEN is on or comes on, and WOKEN goes off only while
 * LOCKED is on or comes on. So when the mutex is free and somebody waits, somebody is on the way to try. */
#include "sync.h"

#include "check.h"
#include "dump.h"

enum { STARVE_NS = 1000000 };

enum { CLAIMED = 1 }; /* wf_waiter.index: whoever put it into the queue had claimed it before */

WF_FITS(struct wf_mutex, struct weft_mutex, 32);

static struct wf_mutex *inner(struct weft_mutex *mutex)
{
	return (struct wf_mutex *)(void *)mutex;
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* What a wait that ended with `result` leaves in the state when it is over. */
static unsigned clear(int result)
{
	return result == WF_MUTEX_RETRY ? ~(unsigned)WF_MUTEX_WOKEN : ~0u;
}

static bool take_after(struct wf_mutex *m, int result)
{
	for (;;) {
		unsigned s = wf_u32_load(&m->state); /* relaxed: confirmed by the CAS */
		if (s & WF_MUTEX_LOCKED)
			return false;
		if (wf_u32_cas_acquire(&m->state, s, (s & clear(result)) | WF_MUTEX_LOCKED)) /* pairs with the releases of unlock */
			return true;
	}
}

/* Marks the mutex as waited for, while it is locked. False: it is not, and the caller has got it. The queue's lock is held. */
static bool mark_locked(struct wf_mutex *m, int result, bool starving)
{
	unsigned marks = WF_MUTEX_QUEUED | (starving ? WF_MUTEX_STARVING : 0), s;
	do {
		if (take_after(m, result))
			return false;
		s = wf_u32_load(&m->state); /* relaxed: confirmed by the CAS */
	} while (!(s & WF_MUTEX_LOCKED) || !wf_u32_cas_full(&m->state, s, (s & clear(result)) | marks));
	return true;
}

/* Joins the queue: at the end, or, after having been woken in vain, at the front. NULL: the mutex is the caller's. */
static struct wf_wait *join_queue(struct wf_worker *w, struct wf_mutex *m, struct wf_waiter *waiter, int result, bool starving)
{
	struct wf_wait *wait = NULL;
	wf_lock(&m->lock);
	if (mark_locked(m, result, starving)) {
		wait = wf_wait_begin(w, WF_WHY_MUTEX, m);
		waiter->index = 0;
		(result == WF_MUTEX_RETRY ? wf_waitq_push_front : wf_waitq_push)(&m->waiters, waiter, wait);
	}
	wf_unlock(&m->lock);
	return wait;
}

static void change(struct wf_mutex *m, unsigned off)
{
	unsigned s;
	do
		s = wf_u32_load(&m->state);
	while (!wf_u32_cas_full(&m->state, s, s & ~off));
}

static void leave_queue(struct wf_mutex *m, struct wf_waiter *waiter)
{
	wf_lock(&m->lock);
	if (wf_waitq_remove(waiter) && wf_waitq_empty(&m->waiters))
		change(m, WF_MUTEX_QUEUED | WF_MUTEX_STARVING);
	wf_unlock(&m->lock);
}

/* The new owner, handed over to, decides whether it goes on like that. */
static void settle(struct wf_mutex *m, int64_t since)
{
	if (!(wf_u32_load(&m->state) & WF_MUTEX_QUEUED) || !since || wf_os_now() - since <= STARVE_NS)
		change(m, WF_MUTEX_STARVING);
}

int wf_mutex_lock_slow(struct wf_worker **w, struct wf_mutex *m, int64_t deadline, enum wf_park_flags flags, int result)
{
	struct wf_waiter waiter;
	int64_t since = 0;
	for (;;) {
		if (result == WF_MUTEX_HANDED) {
			settle(m, since);
			return 0;
		}
		if (take_after(m, result))
			return 0;
		int64_t now = wf_os_now();
		since = since ? since : now;
		struct wf_wait *wait = join_queue(*w, m, &waiter, result, result == WF_MUTEX_RETRY && now - since > STARVE_NS);
		if (!wait)
			return 0;
		result = wf_park(w, wait, deadline, flags);
		if (result < 0) {
			leave_queue(m, &waiter);
			return result;
		}
	}
}

/* ---- unlocking ------------------------------------------------------------------------------------------------------- */

/* Unlocks if nobody has to be woken. */
static bool unlock_alone(struct wf_mutex *m)
{
	for (;;) {
		unsigned s = wf_u32_load(&m->state);
		if (wf_unlikely(!(s & WF_MUTEX_LOCKED)))
			wf_fatal("unlock of mutex %p, which is not locked", (void *)m);
		if (s & WF_MUTEX_STARVING || (s & (WF_MUTEX_QUEUED | WF_MUTEX_WOKEN)) == WF_MUTEX_QUEUED)
			return false;
		if (wf_u32_cas_release(&m->state, s, s & ~(unsigned)WF_MUTEX_LOCKED)) /* pairs with the acquires of taking it */
			return true;
	}
}

/* Takes the first in the queue that still waits. */
static struct wf_wait *claim_first_locked(struct wf_mutex *m, int result)
{
	struct wf_link *l;
	while ((l = wf_list_pop(&m->waiters.list))) {
		struct wf_waiter *waiter = wf_container_of(l, struct wf_waiter, link);
		if (waiter->index == CLAIMED)
			waiter->wait->result = result;
		else if (!wf_claim(waiter->wait, waiter->ticket, result))
			continue;
		return waiter->wait;
	}
	return NULL;
}

/* Has one from the queue go on, as the new owner or to try; NULL: none is left, and the mutex is still the caller's. */
static struct wf_wait *unlock_to_first(struct wf_mutex *m)
{
	wf_lock(&m->lock);
	bool hand = wf_u32_load(&m->state) & WF_MUTEX_STARVING; /* relaxed: the owner and holders of the queue's lock write it */
	struct wf_wait *wait = claim_first_locked(m, hand ? WF_MUTEX_HANDED : WF_MUTEX_RETRY);
	unsigned off = wf_waitq_empty(&m->waiters) ? WF_MUTEX_QUEUED : 0, on = 0, s;
	if (!wait)
		off |= WF_MUTEX_STARVING;
	else if (!hand)
		off |= WF_MUTEX_LOCKED, on = WF_MUTEX_WOKEN;
	else
		wf_store(&m->owner, (uintptr_t)wait->co); /* relaxed: for reports */
	do
		s = wf_u32_load(&m->state);
	while (!wf_u32_cas_full(&m->state, s, (s & ~off) | on)); /* release: pairs with the acquires of taking it */
	wf_unlock(&m->lock);
	return wait;
}

void wf_mutex_unlock(struct wf_worker *w, struct wf_mutex *m)
{
	struct wf_wait *wait = NULL;
	wf_mutex_disown(m);
	while (!wait && !unlock_alone(m))
		wait = unlock_to_first(m);
	if (wait)
		wf_wake(w, wait);
}

void wf_mutex_adopt(struct wf_worker *w, struct wf_mutex *m, struct wf_list *list)
{
	struct wf_wait *wait = NULL;
	struct wf_link *l;
	unsigned s, on;
	wf_lock(&m->lock);
	while ((l = wf_list_pop(list))) {
		wf_container_of(l, struct wf_waiter, link)->index = CLAIMED;
		wf_list_push(&m->waiters.list, l);
	}
	do {
		s = wf_u32_load(&m->state);
		on = s & (WF_MUTEX_LOCKED | WF_MUTEX_WOKEN) ? WF_MUTEX_QUEUED : WF_MUTEX_QUEUED | WF_MUTEX_WOKEN;
	} while (!wf_u32_cas_full(&m->state, s, s | on));
	if (on & WF_MUTEX_WOKEN) {
		wait = claim_first_locked(m, WF_MUTEX_RETRY);
		if (wf_waitq_empty(&m->waiters))
			change(m, WF_MUTEX_QUEUED);
	}
	wf_unlock(&m->lock);
	if (wait)
		wf_wake(w, wait);
}

/* ---- the calls ------------------------------------------------------------------------------------------------------- */

static WF_NOINLINE void lock_slow(struct wf_mutex *m)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_mutex_lock(&w, m, WF_TIME_NEVER, WF_PLAIN, WF_MUTEX_TRY);
	(void)result; /* nothing ends such a wait but the mutex */
	wf_leave(w);
}

void weft_mutex_lock(struct weft_mutex *mutex)
{
	struct wf_mutex *m = inner(mutex);
	struct wf_worker *w = wf_worker_self();
	if (wf_likely(wf_pay(w) && wf_mutex_take(m)))
		wf_mutex_own(m, w);
	else
		lock_slow(m);
}

int weft_mutex_lock_until(struct weft_mutex *mutex, weft_time deadline)
{
	struct wf_mutex *m = inner(mutex);
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0)
		result = wf_mutex_lock(&w, m, deadline, WF_CANCELLABLE, WF_MUTEX_TRY);
	wf_leave(w);
	return result;
}

bool wf_mutex_trylock(struct wf_mutex *m)
{
	bool mine = take_after(m, WF_MUTEX_TRY);
	if (mine)
		wf_mutex_own(m, wf_worker_self());
	return mine;
}

struct weft_co *wf_mutex_owner(uintptr_t mutex)
{
	return wf_load_ptr(&((struct wf_mutex *)mutex)->owner);
}

bool weft_mutex_trylock(struct weft_mutex *mutex)
{
	wf_pay_here(wf_worker_self());
	return wf_mutex_trylock(inner(mutex));
}

static WF_NOINLINE void unlock_slow(struct wf_mutex *m)
{
	struct wf_worker *w = wf_enter_here();
	wf_mutex_unlock(w, m);
	wf_leave(w);
}

void weft_mutex_unlock(struct weft_mutex *mutex)
{
	struct wf_mutex *m = inner(mutex);
	wf_mutex_disown(m);
	if (wf_unlikely(!wf_u32_cas_release(&m->state, WF_MUTEX_LOCKED, 0)))
		unlock_slow(m);
}
