/* Rank 3. Timers: one heap per processor, each with its own lock. A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): the
 * links live in the timer, so that arming cannot fail; arming and cancelling touch a few neighbours whatever the size, and only
 * taking the earliest costs O(log n), amortised. Most deadlines of I/O are cancelled, so that is the right way round.
 *
 * A timer fires once, on whatever worker looks for work, with the heap unlocked. What it carries was copied under the lock, so
 * its memory may be used for the next wait while a late firing is still under way: the ticket in `arg` is then stale, and the
 * receiver drops it (park.h, "ticket"). */
#ifndef WF_TIMER_H
#define WF_TIMER_H

#include "atomic.h"
#include "lock.h"

#define WF_TIME_NEVER INT64_MAX

struct wf_timers;

/* Called with the copies of `owner` and `arg`; may wake coroutines, may not park. */
typedef void wf_timer_fn(void *owner, uintptr_t arg);

struct wf_timer {
	int64_t when;                /* CLOCK_MONOTONIC, ns */
	struct wf_timer *child;      /* first child */
	struct wf_timer *next;       /* next sibling */
	struct wf_timer *prev;       /* previous sibling, or the parent of a first child */
	wf_word heap;                /* struct wf_timers * it is in; 0: in none */
	wf_timer_fn *fire;
	void *owner;
	uintptr_t arg;
};

struct wf_timers {
	struct wf_lock lock;
	struct wf_timer *root;
	wf_u32 size;       /* written under the lock */
	wf_word next_when; /* when the root is due, for looks without the lock; WF_TIME_NEVER: empty */
};

/* Nanoseconds until then: -1 for ever, 0 when it has come. Any deadline, however long ago. */
static inline int64_t wf_time_left(int64_t deadline)
{
	int64_t now = wf_os_now();
	return deadline == WF_TIME_NEVER ? -1 : deadline > now ? deadline - now : 0;
}

void wf_timers_init(struct wf_timers *heap);

/* Puts a timer that is in no heap into one. The caller has filled when, fire, owner and arg. True if it is now the earliest: the
 * caller then makes sure that whoever sleeps wakes in time (sched.h, wf_timer_armed). From any thread. */
bool wf_timer_arm(struct wf_timers *heap, struct wf_timer *timer);

/* Takes it out. True: it will not fire. False: it has fired, is firing, or was never armed. From any thread. */
bool wf_timer_disarm(struct wf_timer *timer);

/* Fires what is due at `now`; returns how many. Several threads may do so at once. */
int wf_timers_run(struct wf_timers *heap, int64_t now);

static inline int64_t wf_timers_next(const struct wf_timers *heap)
{
	/* relaxed: a hint; who sleeps on it orders it by the fences of docs/protocols.md */
	return (int64_t)wf_load(&heap->next_when);
}

/* Walks the heap and checks order, links and next_when; for tests and debug builds. The caller holds the lock. */
int wf_timers_check_locked(const struct wf_timers *heap);

#endif
