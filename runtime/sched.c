/* The scheduler's hot half: which coroutine runs next, and how one gets there. worker.c has the other half: what a worker does that
 * finds nothing; switch.c is about stacks. */
#include "sched.h"

#include <errno.h>
#include <limits.h>

#include "check.h"
#include "netpoll.h"
#include "stats.h"
#include "switch.h"

enum {
	NEXT_MAX = 32,        /* run-next entries in a row before the ring has its turn */
	LOOK_NS = 50000,      /* aim: look around this often */
	LOOK_MIN = 1,         /* dispatches between two looks, at least and at most */
	LOOK_MAX = 1024,
	BACKLOG_NS = 200000,  /* a ring that has not been empty for so long pays for waking another worker */
	APART_NS = 10000000,  /* how long a processor whose coroutines met others at locks keeps them to itself */
	TIME_SPREAD = 16,     /* which of the next that are made runnable is measured: one of so many */
	PREFETCH_CO = 12,   /* places ahead in the ring: the control block, ... */
	PREFETCH_STACK = 6, /* ... and, once that is here, the top of the stack */
};

WF_OPAQUE struct wf_worker *wf_worker_self_opaque(void)
{
	return wf_tls_worker;
}

/* ---- the next one -------------------------------------------------------------------------------------------------- */

/* Lets others have what is in the ring, if that helps, and wakes another worker for it; not for every event, for a wake costs more
 * than most dispatches. relaxed: a policy; the monitor looks again. A ring that is not shared is taken with the processor where
 * the owner does not come back, so without handoff every ring is shared. */
static void offer(struct wf_proc *p)
{
	if (wf_u32_load(&wf_rt.proc_count) == 1)
		return;
	bool wanted = wf_proc_wants_help(p);
	if (wf_unlikely(!wf_u32_load(&p->runq.shared)) && (wanted || !wf_rt.config.handoff))
		wf_runq_share_owner(&p->runq);
	if (!wanted || wf_u32_load(&wf_rt.idle_count) == 0 || wf_runq_length(&p->runq) == 0)
		return;
	if (wf_u32_load(&p->dispatch_ns) >= WF_LONG_NS || wf_stress(2) ||
	    (p->backlog_since && p->looked_at - p->backlog_since >= BACKLOG_NS))
		wf_wake_worker();
}

/* With thousands of runnable coroutines, nothing about the next ones is in a cache. */
static void prefetch(const struct wf_runq *q)
{
	wf_cpu_prefetch(wf_runq_peek_owner(q, PREFETCH_CO));
	struct weft_co *near = wf_runq_peek_owner(q, PREFETCH_STACK);
	if (wf_likely(near != NULL)) /* thieves can be so far that the place has never been written */
		wf_cpu_prefetch(wf_load_ptr(&near->sp)); /* relaxed: a hint; somebody may have stolen it meanwhile */
}

struct weft_co *wf_pick_next(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	if (wf_unlikely(w->pinned != NULL)) {
		w->budget = WF_BUDGET; /* of the one that it may run */
		if (p->next || p->fresh_count > 0)
			w->share_below = INT_MAX; /* others have to */
		return NULL;
	}
	if (wf_unlikely(--p->countdown < 0 || wf_stress(32)))
		wf_look_around(w);
	struct weft_co *co = p->next;
	if (co) {
		p->next = NULL;
		if (wf_likely(p->next_left-- > 0))
			return co; /* with what is left of the budget */
		wf_ring_push(w, co);
	}
	p->next_left = NEXT_MAX;
	w->budget = WF_BUDGET;
	w->share_below = WF_BUDGET - WF_PRIVATE_CALLS;
	if ((co = p->fresh)) {
		p->fresh = co->next;
		p->fresh_count--;
		return co;
	}
	co = wf_runq_pop_owner(&p->runq);
	if (wf_unlikely(!co)) {
		p->backlog_since = 0;
		return NULL;
	}
	if (wf_runq_length(&p->runq) > PREFETCH_CO)
		prefetch(&p->runq);
	return co;
}

/* Whether so many dispatches found locks taken that their coroutines had better be alone for a while. */
static void keep_apart(struct wf_worker *w, int dispatches, int64_t now)
{
	struct wf_proc *p = w->proc;
	unsigned waits = wf_lock_waits(), since = waits - w->lock_waits;
	w->lock_waits = waits;
	/* Not at the first look of a worker with this processor: those until now were the scheduler's, or met elsewhere. */
	if (p->countdown_from > 0 && since * 2 > (unsigned)dispatches)
		p->apart_until = now + APART_NS;
	wf_u32_store(&p->apart, now < p->apart_until); /* relaxed: a hint */
}

/* Sets how many dispatches until the next look, so that one comes about every LOOK_NS. */
static void pace(struct wf_proc *p, int64_t now)
{
	int64_t elapsed = now - p->looked_at;
	int done = p->countdown_from - p->countdown;
	int64_t each = elapsed / (done > 0 ? done : 1);
	unsigned former = wf_u32_load(&p->dispatch_ns);
	if (each > 100000000)
		each = 100000000;
	each = ((int64_t)former * 3 + each) / 4;
	wf_u32_store(&p->dispatch_ns, (unsigned)each); /* relaxed: a hint to other workers */
	int64_t count = LOOK_NS / (each + 1);
	p->countdown = p->countdown_from = count < LOOK_MIN ? LOOK_MIN : count > LOOK_MAX ? LOOK_MAX : (int)count;
	p->looked_at = now;
}

/* Takes the fresh ones, the newest first: who joins them from the first on, and went before them, then waits once for all, and not
 * for each. */
static struct weft_co *take_fresh(struct wf_proc *p)
{
	struct weft_co *newest = p->fresh;
	p->fresh = NULL;
	p->fresh_count = 0;
	return newest;
}

/* Those that are linked by next, to the global queue. */
static void push_list(struct wf_proc *p, struct weft_co *co)
{
	while (co) {
		unsigned n = 0;
		for (; co && n < wf_countof(p->batch); co = co->next)
			p->batch[n++] = co;
		wf_globq_push_any(&wf_rt.global, p->batch, n);
	}
}

/* Moves what is private to the ring, where thieves see it; many fresh ones at once to the global queue. */
static void make_public(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	struct weft_co *next = p->next;
	unsigned n = p->fresh_count;
	p->next = NULL;
	if (next)
		wf_ring_push(w, next);
	if (n == 0)
		return;
	struct weft_co *co = take_fresh(p);
	if (wf_unlikely(n > WF_RUNQ_SIZE / 2)) {
		push_list(p, co);
		return;
	}
	for (; co; co = next) {
		next = co->next;
		wf_ring_push(w, co);
	}
}

WF_COLD void wf_proc_empty(struct wf_proc *p)
{
	struct weft_co *co;
	while ((co = wf_runq_pop_owner(&p->runq)))
		wf_global_push(co);
	if (p->next)
		wf_global_push(p->next);
	p->next = NULL;
	push_list(p, take_fresh(p));
}

WF_COLD void wf_retire(struct wf_worker *w)
{
	wf_proc_empty(w->proc);
	wf_wake_worker();
}

/* The processor's own, and those left on processors that were given up, which no owner looks at. */
static void run_timers(struct wf_proc *p, int64_t now)
{
	unsigned made = wf_procs_made();
	int fired = wf_timers_run(&p->timers, now);
	for (unsigned i = wf_u32_load(&wf_rt.proc_count); wf_unlikely(i < made); i++)
		fired += wf_timers_run(&wf_proc_at(i)->timers, now);
	if (fired)
		wf_count_by(&p->stats.timers_fired, (uintptr_t)fired);
}

/* For the statistics: one of those that become runnable next. And for dumps: since when the coroutine that is left is parked. */
static void have_one_timed(struct wf_worker *w, int64_t now)
{
	if (w->co && wf_u8_load(&w->co->state) == WF_STATE_PARKED)
		wf_store(&w->co->wait.since, (uintptr_t)now);
	if (w->how & WF_READY_TIMED)
		return;
	w->how |= WF_READY_TIMED;
	w->time_after = (unsigned char)(wf_proc_random(w->proc) % TIME_SPREAD);
}

/* From the global queue to the end of the ring. A ring that is full now would always be, of those that yield, so its older half
 * gives way. */
static void take_share(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	unsigned n = wf_runq_length(&p->runq) < WF_RUNQ_SIZE ? 0 : wf_runq_half_owner(&p->runq, p->batch);
	if (n > 0)
		wf_globq_push_any(&wf_rt.global, p->batch, n);
	struct weft_co *co = wf_global_take(w);
	if (co)
		wf_ring_push(w, co);
}

/* Whether those that the poller brought last have had their turn. What becomes ready meanwhile comes behind them in any case: let
 * it wait in the kernel, where it is not forgotten by the caches. */
static bool went_through(const struct wf_proc *p)
{
	unsigned left = p->polled_tail - wf_u32_load(&p->runq.head); /* relaxed: thieves may just be taking some */
	return left == 0 || left > WF_RUNQ_SIZE; /* long ago */
}

void wf_poll(struct wf_worker *w, int64_t now)
{
	struct wf_proc *p = w->proc;
	wf_store(&wf_rt.polled_at, (uintptr_t)now); /* relaxed: for the monitor */
	wf_count(&p->stats.polls);
	if (wf_netpoll_wait(w, w->events, 0) > 0) /* else the next look asks again, whoever is in the ring */
		p->polled_tail = wf_u32_load(&p->runq.tail);
}

void wf_look_around(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	int64_t now = wf_os_now();
	keep_apart(w, p->countdown_from - p->countdown, now);
	pace(p, now);
	wf_count(&p->stats.looks);
	wf_u32_store(&p->aged_to, p->seen_tail); /* relaxed: a hint */
	if (wf_runq_length(&p->runq) == 0)
		p->backlog_since = 0;
	have_one_timed(w, now);
	unsigned char former = wf_batch_begin(w);
	if (wf_globq_count(&wf_rt.global) != 0) /* relaxed: looked at again before anybody sleeps */
		take_share(w);
	run_timers(p, now);
	if (wf_netpoll_active() && went_through(p))
		wf_poll(w, now);
	wf_batch_end(w, former);
	p->seen_tail = wf_u32_load(&p->runq.tail);
	make_public(w);
	if (!p->backlog_since && wf_runq_length(&p->runq) > 0)
		p->backlog_since = now;
	offer(p);
	wf_drain_check();
	if (wf_unlikely(wf_u32_load(&p->retire) != 0))
		wf_retire(w);
}

/* ---- making runnable ----------------------------------------------------------------------------------------------- */

void wf_ring_push(struct wf_worker *w, struct weft_co *co)
{
	if (wf_unlikely(!wf_runq_push_owner(&w->proc->runq, co)))
		wf_global_push(co); /* behind what is in the ring, which it does not pass */
}

/* Without a processor: a worker that comes out of the poller keeps it until it has one; a plain thread gives it to everybody. */
static WF_COLD void ready_elsewhere(struct wf_worker *w, struct weft_co *co)
{
	static wf_u32 count;
	if (wf_u32_add(&count, 1) % TIME_SPREAD == 0) /* relaxed: only to take one of many */
		wf_co_time(co, wf_os_now());
	if (w) {
		co->next = w->collected;
		w->collected = co;
		return;
	}
	wf_global_push(co);
	wf_wake_worker();
}

/* There is something private, for those who look after such things: who runs, before long, and the monitor. */
static inline void note_private(struct wf_worker *w)
{
	w->share_below = w->budget - WF_PRIVATE_CALLS;
	wf_u32_store(&w->proc->news, 1); /* relaxed: a hint */
}

static inline void run_next(struct wf_worker *w, struct weft_co *co)
{
	struct wf_proc *p = w->proc;
	struct weft_co *former = p->next;
	p->next = co;
	note_private(w);
	if (former)
		wf_ring_push(w, former);
}

/* One of those that could be timed: perhaps it is the one. */
static WF_NOINLINE void maybe_time(struct wf_worker *w, struct weft_co *co)
{
	if (w->time_after-- == 0) {
		w->how &= (unsigned char)~WF_READY_TIMED;
		wf_co_time(co, wf_os_now());
	}
}

static WF_NOINLINE void ready_specially(struct wf_worker *w, struct weft_co *co)
{
	wf_u32_store(&w->proc->news, 1); /* relaxed: a hint. The ring can be private too */
	if (w->how & WF_READY_TIMED)
		maybe_time(w, co);
	if (w->how & WF_READY_BATCH || wf_stress(4))
		wf_ring_push(w, co);
	else
		run_next(w, co);
}

void wf_ready(struct wf_worker *w, struct weft_co *co)
{
	struct wf_proc *p = w ? w->proc : NULL;
	if (wf_unlikely(!p))
		ready_elsewhere(w, co);
	else if (wf_likely(w->how == 0 && !wf_stress(4)))
		run_next(w, co);
	else
		ready_specially(w, co);
}

/* Whether a processor is idle that would find nothing here. */
static bool keeps_from_idle(const struct wf_proc *p)
{
	return wf_u32_load(&wf_rt.idle_count) != 0 && wf_runq_length(&p->runq) == 0;
}

void wf_ready_new(struct wf_worker *w, struct weft_co *co)
{
	struct wf_proc *p = w ? w->proc : NULL;
	if (wf_unlikely(!p)) {
		ready_elsewhere(w, co);
		return;
	}
	if (wf_unlikely((p->fresh_count >= WF_FRESH_MAX && keeps_from_idle(p)) || wf_stress(4)))
		make_public(w);
	co->next = p->fresh;
	p->fresh = co;
	p->fresh_count++;
	note_private(w);
}

WF_COLD void wf_share_private(struct wf_worker *w)
{
	bool idle = wf_u32_load(&wf_rt.idle_count) != 0; /* relaxed: a policy */
	w->share_below = idle ? INT_MIN /* until there is something new */ : w->budget - WF_PRIVATE_AGAIN;
	if (!idle || (!w->proc->next && w->proc->fresh_count == 0))
		return;
	make_public(w);
	offer(w->proc);
	if (w->pinned) { /* it runs nobody else, and does not look around: others have to, now */
		wf_u32_store(&w->proc->aged_to, wf_u32_load(&w->proc->runq.tail)); /* relaxed: a hint */
		wf_runq_share_owner(&w->proc->runq);
		wf_wake_worker();
	}
}

void wf_global_push(struct weft_co *co)
{
	wf_globq_push_any(&wf_rt.global, &co, 1);
}

struct weft_co *wf_global_take(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	unsigned room = WF_RUNQ_SIZE - wf_runq_length(&p->runq);
	room = room < wf_countof(p->batch) ? room : wf_countof(p->batch);
	unsigned n = wf_globq_take_any(&wf_rt.global, p->batch, wf_u32_load(&wf_rt.proc_count), room);
	for (unsigned i = 1; i < n; i++) {
		wf_cpu_prefetch(p->batch[i]); /* they have waited for long */
		wf_ring_push(w, p->batch[i]);
	}
	return n > 0 ? p->batch[0] : NULL;
}

/* ---- yielding ------------------------------------------------------------------------------------------------------ */

static inline __attribute__((always_inline)) struct wf_worker *yield(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	p->next_left = 0; /* whoever yields wants all others to go first */
	if (p->countdown > 0 && !p->next && p->fresh_count == 0 && wf_runq_length(&p->runq) == 0) {
		p->countdown--;
		w->budget = WF_BUDGET;
		return w;
	}
	struct weft_co *co = w->co, *to = wf_pick_next(w);
	if (!to && !wf_u32_load(&p->retire)) /* relaxed: the owner looks again soon */
		return w;
	if (wf_unlikely(w->how & WF_READY_TIMED))
		maybe_time(w, co);
	wf_co_move(co, WF_STATE_RUNNABLE);
	wf_ring_push(w, co);
	return wf_switch(w, co, to);
}

void weft_yield(void)
{
	struct wf_worker *w = wf_enter();
	if (wf_likely(w != NULL))
		w = yield(w);
	else
		wf_os_sched_yield();
	wf_leave(w);
}

void wf_yield_inside(struct wf_worker **w)
{
	*w = yield(*w);
}

void wf_budget_spent(struct wf_worker **w)
{
	wf_count(&(*w)->proc->stats.budget_yields);
	(*w)->proc->countdown = 0; /* a look at the poller and the timers as well */
	wf_yield_inside(w);
}

/* ---- the gate, when the monitor has asked for something ------------------------------------------------------------- */

/* Settles the request: afterwards either the processor is ours while we are inside, or it is gone. What is gone stays so, so
 * that calls that never switch, of which there may be many, do without the lock. */
static bool settle(struct wf_worker *w)
{
	if (wf_load_acquire(&w->request) == WF_REQUEST_TAKEN) /* pairs with the release of whoever took it: proc */
		return false;
	wf_lock(&wf_rt.lock);
	bool mine = w->proc != NULL;
	if (mine)
		wf_store(&w->request, WF_REQUEST_NONE);
	wf_unlock(&wf_rt.lock);
	return mine;
}

/* Comes back from where its processor was taken: an idle one will do, and spares the switch. */
static bool take_another(struct wf_worker *w)
{
	wf_lock(&wf_rt.lock);
	w->away = false;
	wf_rt.computing -= w->computing;
	w->computing = false;
	struct wf_proc *p = wf_take_idle_locked(w);
	wf_unlock(&wf_rt.lock);
	if (p)
		wf_hold(w, p);
	return p != NULL;
}

WF_COLD struct wf_worker *wf_enter_slow(struct wf_worker *w)
{
	if (settle(w)) {
		wf_yield_inside(&w);
		return w;
	}
	if (take_another(w))
		return w;
	wf_co_move(w->co, WF_STATE_RUNNABLE);
	wf_global_push(w->co);
	wf_wake_worker();
	return wf_switch(w, w->co, NULL);
}

WF_COLD struct wf_worker *wf_enter_here_slow(struct wf_worker *w)
{
	if (settle(w)) {
		w->budget = 0; /* yields at the next call that may */
		return w;
	}
	wf_leave(w);
	return wf_enter_guest();
}

wf_u32 wf_is_fork;

WF_COLD void wf_check_not_forked(void)
{
	if (wf_unlikely(wf_u32_load(&wf_is_fork) != 0))
		wf_fatal("this process was forked from one whose runtime runs: it may exec or _exit, and not call weft");
}

WF_COLD struct wf_worker *wf_enter_guest(void)
{
	wf_check_not_forked();
	wf_add_full(&wf_guests, 1);
	wf_fence_full(); /* pairs with the one in stop_parts (init.c) */
	return NULL;
}

WF_COLD void wf_leave_guest(void)
{
	wf_add_full(&wf_guests, -1); /* pairs with the acquire in stop_parts: what the guest used can go */
}
