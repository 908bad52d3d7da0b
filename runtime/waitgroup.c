/* Wait groups. The state is the count, and a bit that sends whoever brings it to 0 or finds it there through the lock. */
#include "sync.h"

#include <limits.h>

#include "check.h"

enum { QUEUED = 1, SHIFT = 1 };

struct wf_waitgroup {
	wf_word state;       /* count << SHIFT | QUEUED */
	struct wf_lock lock; /* guards the queue */
	struct wf_waitq waiters;
};

WF_FITS(struct wf_waitgroup, struct weft_waitgroup, 48);

static struct wf_waitgroup *inner(struct weft_waitgroup *waitgroup)
{
	return (struct wf_waitgroup *)(void *)waitgroup;
}

/* Adds n, unless that makes it 0 and (`alone`) somebody may be waiting. */
static bool add(struct wf_waitgroup *g, intptr_t n, bool alone)
{
	for (;;) {
		uintptr_t s = wf_load(&g->state);
		intptr_t count = (intptr_t)(s >> SHIFT) + n;
		if (wf_unlikely(count < 0 || count > INT_MAX))
			wf_fatal("wait group %p: %ld more than %ld", (void *)g, (long)n, (long)(s >> SHIFT));
		if (alone && count == 0 && s & QUEUED)
			return false;
		if (wf_cas_full(&g->state, s, (uintptr_t)count << SHIFT | (s & QUEUED))) /* pairs with the acquires of wait */
			return true;
	}
}

/* Everybody who waits goes on, if it is at 0. The lock is held. */
static void claim_all_locked(struct wf_waitgroup *g, struct wf_list *list)
{
	struct wf_waiter *waiter;
	uintptr_t s;
	if (wf_load(&g->state) >> SHIFT != 0)
		return;
	while (wf_waitq_claim(&g->waiters, 0, &waiter))
		wf_list_push(list, &waiter->link);
	if (wf_list_empty(list))
		return; /* nobody keeps the object alive: see sync.h */
	do
		s = wf_load(&g->state);
	while (!wf_cas_full(&g->state, s, s & ~(uintptr_t)QUEUED));
}

static WF_NOINLINE void add_slow(struct wf_waitgroup *g, intptr_t n)
{
	struct wf_worker *w = wf_enter_here();
	struct wf_list list = {{NULL, NULL}};
	wf_lock(&g->lock);
	add(g, n, false);
	claim_all_locked(g, &list);
	wf_unlock(&g->lock);
	wf_wake_all(w, &list);
	wf_leave(w);
}

void weft_waitgroup_add(struct weft_waitgroup *waitgroup, int n)
{
	struct wf_waitgroup *g = inner(waitgroup);
	wf_pay_here(wf_worker_self());
	if (wf_unlikely(!add(g, n, true)))
		add_slow(g, n);
}

void weft_waitgroup_done(struct weft_waitgroup *waitgroup)
{
	weft_waitgroup_add(waitgroup, -1);
}

/* Whether it is at 0, seen under the lock; if not, somebody is about to wait. */
static bool at_zero_locked(struct wf_waitgroup *g)
{
	bool empty = wf_waitq_empty(&g->waiters);
	for (;;) {
		uintptr_t s = wf_load(&g->state);
		bool zero = s >> SHIFT == 0;
		uintptr_t to = zero && empty ? 0 : s | QUEUED;
		if (wf_cas_full(&g->state, s, to)) /* pairs with the release of add */
			return zero;
	}
}

static WF_NOINLINE int wait_slow(struct wf_waitgroup *g, weft_time deadline)
{
	struct wf_worker *w = wf_enter();
	struct wf_waiter waiter;
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0) {
		wf_lock(&g->lock);
		if (at_zero_locked(g))
			wf_unlock(&g->lock);
		else
			result = wf_wait_locked(&w, &g->lock, &g->waiters, &waiter, WF_WHY_WAITGROUP, g, deadline, WF_CANCELLABLE);
	}
	wf_leave(w);
	return result;
}

int weft_waitgroup_wait_until(struct weft_waitgroup *waitgroup, weft_time deadline)
{
	struct wf_waitgroup *g = inner(waitgroup);
	struct wf_worker *w = wf_worker_self();
	if (wf_pay(w) && wf_cancelled(w) == 0 && wf_load_acquire(&g->state) == 0) /* pairs with the release of add */
		return 0;
	return wait_slow(g, deadline);
}

int weft_waitgroup_wait(struct weft_waitgroup *waitgroup)
{
	return weft_waitgroup_wait_until(waitgroup, WEFT_NEVER);
}
