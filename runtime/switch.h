/* Rank 4. Going from one coroutine to the next: for the parts of the scheduler itself.
 *
 * A switch goes straight from the coroutine that leaves to the next one; without a next one, to the worker's own context (the
 * scheduler, worker.c). The one that leaves is in a queue already: at the object that it waits for, or, when it yields, among the
 * runnable. So another worker can come to run it before it has left its stack; the stack pointer tells.
 *
 *   who leaves a coroutine                         who is to run it
 *   1 (it runs) sp = WF_SP_RUNNING                 1 take it from a run queue
 *   2 queue it                                     2 sp still WF_SP_RUNNING (acquire)? to the end of the ring with it
 *   3 pick the next one                            3 else sp = WF_SP_RUNNING, go on at what it was
 *   4 go to the other stack, and there:
 *   5 sp = its stack pointer (release)
 *
 * In 3, on the left, a next one that has not left its stack yet is not waited for: its worker may be waiting likewise. The
 * scheduler's context is gone to instead, which leaves first and waits then. The next one can be the very one that leaves, woken
 * already: then it stays. */
#ifndef WF_SWITCH_H
#define WF_SWITCH_H

#include "check.h"
#include "sched.h"

/* The coroutine to run next, NULL: none without a closer look (worker.c). Now and then it looks around first. */
struct weft_co *wf_pick_next(struct wf_worker *w);

/* Whether it has left its stack, or never had one. */
static inline bool wf_has_left(const struct weft_co *co)
{
	return wf_load_acquire(&co->sp) != WF_SP_RUNNING; /* pairs with the release in wf_ctx_switch */
}

/* `to` has not left its stack. If it is the one that leaves: true, it goes on. Else it goes to the end of the ring; *to = NULL. */
bool wf_switch_stays(struct wf_worker *w, struct weft_co *from, struct weft_co **to);

/* Gives back what w->dead is. */
void wf_release_dead(struct wf_worker *w);

/* Waits until the look at a coroutine that is under way, perhaps at this one, is over. */
void wf_let_look_end(void);

/* Goes to a coroutine that is special: binds a stack to a fresh one; to the scheduler in place of one that is pinned to another
 * worker. Returns as wf_ctx_switch does. */
void *wf_jump_special(struct wf_worker *w, wf_word *save, struct wf_san_fiber *from, struct weft_co *to);

/* What follows is inline because of what a processor does with returns: it predicts them by the calls that it has seen, and after a
 * switch those were made on another stack. Each frame between the switch and the user's code costs a misprediction (7 ns). */

/* The first act on the other side of every switch. */
static inline struct wf_worker *wf_arrive(void *on, struct wf_san_fiber *self)
{
	struct wf_worker *w = on;
	wf_san_arrive(self);
	wf_stress_pause();
	if (wf_unlikely(w->dead != NULL))
		wf_release_dead(w);
	return w;
}

/* To one that has a stack. Returns, on the worker that somebody later resumes the saved context with; that is what the context
 * switch hands over. */
static inline void *wf_jump_back(struct wf_worker *w, wf_word *save, struct wf_san_fiber *from, struct weft_co *to)
{
	void *sp = wf_load_ptr(&to->sp); /* relaxed: wf_has_left has looked */
	wf_store(&to->sp, WF_SP_RUNNING); /* relaxed: seen by whoever takes it from the next queue that it is in */
	wf_fence_light();                 /* pairs with wf_looks_begin: we see that there are looks, or they see this */
	if (wf_unlikely(wf_u32_load_acquire(&wf_rt.looking) != 0)) /* pairs with wf_looks_end */
		wf_let_look_end();
	wf_co_move(to, WF_STATE_RUNNING);
	wf_san_leave(from, &to->stack->fiber, save);
	return wf_ctx_switch(save, sp, w);
}

/* Returns likewise. */
static inline void *wf_jump(struct wf_worker *w, wf_word *save, struct wf_san_fiber *from, struct weft_co *to)
{
	if (wf_unlikely(!to)) {
		w->co = NULL;
		wf_san_leave(from, &w->fiber, save);
		return wf_ctx_switch(save, wf_load_ptr(&w->sp), w); /* relaxed: our own */
	}
	w->co = to;
	wf_count(&w->proc->stats.dispatches);
	if (wf_unlikely(to->special != 0))
		return wf_jump_special(w, save, from, to);
	return wf_jump_back(w, save, from, to);
}

/* Leaves `from` for `to` (NULL: the scheduler); returns when `from` goes on, with the worker it goes on with. */
static inline struct wf_worker *wf_switch(struct wf_worker *w, struct weft_co *from, struct weft_co *to)
{
	struct wf_san_fiber *fiber = &from->stack->fiber;
	wf_assert(wf_locks_held() == 0);
	if (wf_likely(to != NULL) && wf_unlikely(!wf_has_left(to))) {
		struct weft_co *other = to; /* a copy, so that `to` can be in a register */
		if (wf_switch_stays(w, from, &other))
			return w;
		to = other;
	}
	return wf_arrive(wf_jump(w, &from->sp, fiber, to), fiber);
}

static inline struct wf_worker *wf_switch_to_next(struct wf_worker *w, struct weft_co *from)
{
	struct weft_co *to = wf_pick_next(w);
	return wf_switch(w, from, to);
}

/* Leaves a coroutine that has ended, for good; its stack is given back by the arriving side, or the next one begins on it. */
_Noreturn void wf_switch_from_dead(struct wf_worker *w, struct wf_stack *stack);

/* Runs co from the scheduler's context until the worker comes back to it. */
void wf_switch_from_scheduler(struct wf_worker *w, struct weft_co *co);

/* For whoever reads the stacks of coroutines (docs/protocols.md, "Park and wake"). Between wf_looks_begin and wf_looks_end,
 * wf_look_begin keeps one that has left its stack from going on, until wf_look_end. Its context; NULL: it runs, or never has.
 * Nothing in between may wait. (co->sp can say already that it runs: somebody waits to go on with it.) */
void wf_looks_begin(void);
void wf_looks_end(void);
const struct wf_ctx_frame *wf_look_begin(struct weft_co *co);
void wf_look_end(void);

/* Many coroutines are about to be made runnable at once: they go to the ring in order, none is run next. And back. */
static inline unsigned char wf_batch_begin(struct wf_worker *w)
{
	unsigned char former = w->how & WF_READY_BATCH;
	w->how |= WF_READY_BATCH;
	return former;
}

static inline void wf_batch_end(struct wf_worker *w, unsigned char former)
{
	w->how = (unsigned char)((w->how & ~WF_READY_BATCH) | former);
}

/* Which of the next that are made runnable is measured: one of so many. */
enum { WF_TIME_SPREAD = 16 };

/* look.c: global queue, poller and timers, and whether others should be woken for what waits here. */
void wf_look_around(struct wf_worker *w);

/* Looks at the poller without blocking. */
void wf_poll(struct wf_worker *w, int64_t now);

/* share.c. Moves what is private to the ring, where thieves see it; many fresh ones at once to the global queue. */
void wf_make_public(struct wf_worker *w);

/* Lets others have what is in the ring, if that helps, and wakes another worker for it. */
void wf_offer(struct wf_proc *p);

/* Moves all that a processor holds to the global queue. Whoever has it, worker or not. */
void wf_proc_empty(struct wf_proc *p);

/* The processor is to be given up: what it holds goes to the others, and wf_pick_next finds nothing. Called again in the
 * scheduler's context, where the processor is given up. */
void wf_retire(struct wf_worker *w);

/* Adds to the end of the own ring, or, when it is full, of the global queue. */
void wf_ring_push(struct wf_worker *w, struct weft_co *co);

/* The global queue. */
void wf_global_push(struct weft_co *co);
struct weft_co *wf_global_take(struct wf_worker *w); /* one to run; others of a fair share go to the ring */

/* Wakes a worker for an idle processor, unless one is looking for work already. Any thread. */
void wf_wake_worker(void);

/* Runs due timers of every processor; returns how many. */
int wf_timers_run_all(struct wf_worker *w, int64_t now);

/* ---- workers and processors ------------------------------------------------------------------------------------------ */

/* Starts a worker that holds p, which is off the idle list. On failure (-EAGAIN, -ENOMEM) p is empty and idle again. */
int wf_worker_start(struct wf_proc *p);

/* Gives a processor that was taken from its worker to another one, started if none sleeps; whether there can be one. */
void wf_worker_hand(struct wf_proc *p);
bool wf_worker_available_locked(void);
void wf_worker_unlink_locked(struct wf_worker *w);

/* Puts a processor on the idle list, or takes one off it for w (NULL: for a worker that will be found); w then begins to use it
 * (wf_hold; also on behalf of one that is outside). */
void wf_put_idle_locked(struct wf_proc *p);
struct wf_proc *wf_take_idle_locked(struct wf_worker *w);
void wf_give_locked(struct wf_proc *p, struct wf_worker *w);
void wf_hold(struct wf_worker *w, struct wf_proc *p);

/* Gives up the processor and sleeps until there is one and a reason to have it. False: the worker is to leave. */
bool wf_sleep_for_proc(struct wf_worker *w);

/* ---- coroutines that are pinned to a worker (block.c), in the scheduler's context ------------------------------------- */

static inline bool wf_is_pinned_elsewhere(const struct wf_worker *w, const struct weft_co *co)
{
	return (co->special & WF_CO_PINNED) && co->pinned != w;
}

/* Sees to it that a runnable coroutine runs on the worker that it is pinned to: w may have lost its processor to that one. */
void wf_deliver(struct wf_worker *w, struct weft_co *co);

/* Gives the processor up and sleeps until the worker's pinned coroutine is runnable and there is a processor for it. */
void wf_await_pinned(struct wf_worker *w);

/* A processor was put on the idle list: wakes whoever should know of its work and timers. */
void wf_look_again(void);

/* When the first timer of all is due. */
int64_t wf_next_timer(void);

/* Has all workers leave, and joins them. No coroutine is left. */
void wf_workers_stop(void);

/* A plain thread is about to wait for something that only the poller or a timer can bring. */
void wf_thread_waits(void);

#endif
