/* The scheduler's hot part: which coroutine runs next, and how one gets there. look.c has what is done now and then, share.c what
 * is done for other processors, worker.c what a worker does that finds nothing; switch.c is about stacks. */
#include "sched.h"

#include <limits.h>

#include "check.h"
#include "switch.h"

enum {
	NEXT_MAX = 32,        /* run-next entries in a row before the ring has its turn */
	PREFETCH_CO = 12,     /* places ahead in the ring: the control block, ... */
	PREFETCH_STACK = 6,   /* ... and, once that is here, the top of the stack */
};

WF_OPAQUE struct wf_worker *wf_worker_self_opaque(void)
{
	return wf_tls_worker;
}

/* ---- the next one -------------------------------------------------------------------------------------------------- */

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
	if (wf_u32_add(&count, 1) % WF_TIME_SPREAD == 0) /* relaxed: only to take one of many */
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
		wf_make_public(w);
	co->next = p->fresh;
	p->fresh = co;
	p->fresh_count++;
	note_private(w);
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
