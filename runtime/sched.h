/* Rank 4. The gate through which every public call comes in, and the scheduler behind it.
 *
 * A worker is inside the runtime or outside it (running the coroutine's own code), and says so by a plain store. While it is
 * inside, its processor is its own. While it is outside, the monitor may take the processor away: the worker then finds out at
 * its next entry. docs/protocols.md, "Gate", has the two sides.
 *
 *   may switch      struct wf_worker *w = wf_enter();            always with a processor; NULL: a plain thread
 *   never switches  struct wf_worker *w = wf_enter_here();       NULL: a plain thread, or its processor is gone (and stays so,
 *                                                                without a lock): act as a plain thread does
 *   both            ... wf_leave(w);                             NULL is fine
 *
 * After anything that may switch (wf_park, wf_yield_inside), the worker is another one: take it from there, never keep it.
 *
 * Plain threads are guests. They are counted at the gate, since weft_stop frees what they use:
 *
 *   guest                                  weft_stop
 *   1 guests + 1                           1 up = 0
 *   2 full fence                           2 full fence
 *   3 up? use the runtime                  3 guests? wait for them
 *
 * While a guest sleeps it is not counted, but for a join: the handle is the runtime's, and the wait ends before it does. */
#ifndef WF_SCHED_H
#define WF_SCHED_H

#include "proc.h"

/* The worker of the calling thread, NULL for a plain thread. The one accessor. */
struct wf_worker *wf_worker_self_opaque(void);
#ifdef WF_CPU_HAS_TLS_READ
static inline struct wf_worker *wf_worker_self(void) { return wf_cpu_tls_read(wf_tls_worker); }
#else
static inline struct wf_worker *wf_worker_self(void) { return wf_worker_self_opaque(); }
#endif

/* Who wakes, seen from code that does not know where it runs (a timer, the poller): the worker, NULL without a processor. */
static inline struct wf_worker *wf_waker_self(void)
{
	struct wf_worker *w = wf_worker_self();
	return w && w->proc ? w : NULL;
}

/* What one call costs of the budget that a coroutine has until it must let others go first. */
enum { WF_COST_CALL = 1, WF_COST_SYSCALL = 16, WF_BUDGET = 1024 };

/* Puts the running coroutine behind the others and goes on with the next. */
void wf_yield_inside(struct wf_worker **w);

/* 1: this process was forked from one whose runtime runs, so it must not use it. Ends such a process, with a message. */
extern wf_u32 wf_is_fork;
void wf_check_not_forked(void);

struct wf_worker *wf_enter_guest(void); /* NULL */
void wf_leave_guest(void);
struct wf_worker *wf_enter_slow(struct wf_worker *w);
struct wf_worker *wf_enter_here_slow(struct wf_worker *w);
void wf_budget_spent(struct wf_worker **w);
void wf_share_private(struct wf_worker *w);

/* What is private stays so for so many more calls, and, with no processor idle then, for so many more again. */
enum { WF_PRIVATE_CALLS = 4, WF_PRIVATE_AGAIN = 64 };

/* For calls that never switch: down to less than nothing, which the next call that may switch sees to, and no further. */
static inline void wf_spend_here(struct wf_worker *w)
{
	if (wf_likely(w->budget >= 0))
		w->budget -= WF_COST_CALL;
}

static inline struct wf_worker *wf_enter(void)
{
	struct wf_worker *w = wf_worker_self();
	if (wf_unlikely(!w))
		return wf_enter_guest();
	wf_store(&w->inside, 1); /* pairs with the heavy fence of the monitor */
	wf_fence_light();
	if (wf_unlikely(wf_load_acquire(&w->request) != 0)) /* pairs with the release of the monitor: it has looked */
		return wf_enter_slow(w);
	if (wf_unlikely(w->budget < w->share_below))
		wf_share_private(w);
	if (wf_stress(64))
		wf_yield_inside(&w);
	return w;
}

static inline struct wf_worker *wf_enter_here(void)
{
	struct wf_worker *w = wf_worker_self();
	if (wf_unlikely(!w))
		return wf_enter_guest();
	wf_store(&w->inside, 1); /* pairs with the heavy fence of the monitor */
	wf_fence_light();
	if (wf_unlikely(wf_load_acquire(&w->request) != 0)) /* pairs with the release of the monitor: it has looked */
		return wf_enter_here_slow(w);
	wf_spend_here(w);
	return w;
}

static inline void wf_leave(struct wf_worker *w)
{
	if (wf_likely(w != NULL))
		wf_store_release(&w->inside, 0); /* pairs with the acquire of the monitor: what was done inside is done */
	else
		wf_leave_guest();
}

/* Takes `cost` off the budget; when it is spent, lets others go first. For calls that may switch, before they do their work or
 * after it: *w may be another worker afterwards. */
static inline void wf_charge(struct wf_worker **w, int cost)
{
	if (wf_likely(*w != NULL) && wf_unlikely(((*w)->budget -= cost) < 0)) {
		struct wf_worker *other = *w; /* a copy, so that the caller's can be in a register */
		wf_budget_spent(&other);
		*w = other;
	}
}

/* Makes a coroutine runnable: next on this processor (it inherits what is left of the running one's budget), or, without a
 * processor, at the end of the global queue. Wakes another worker where the rules say so. */
void wf_ready(struct wf_worker *w, struct weft_co *co);

/* The same for a new one: until the next look around the newest run first, so that a tree of spawns is walked depth first, with few
 * stacks. */
void wf_ready_new(struct wf_worker *w, struct weft_co *co);

/* The heap for timers armed by the caller: its processor's, or that of processor 0 for plain threads. */
struct wf_timers *wf_timers_here(struct wf_worker *w);

/* After wf_timer_arm returned true: has a sleeping worker look again if it would sleep too long. */
void wf_timer_armed(struct wf_worker *w, int64_t when);

#endif
