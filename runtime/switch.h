/* Rank 4. Going from one coroutine to the next: for the parts of the scheduler itself.
 *
 * A switch goes straight from the coroutine that leaves to the next one. Whatever must not happen before the context of the leaving
 * one is saved (making it visible to wakers, queueing it again, giving its stack back) is its *commit*, and the arriving side runs
 * it, first of all. Without a next one, the worker's own context (the scheduler, worker.c) is what arrives. */
#ifndef WF_SWITCH_H
#define WF_SWITCH_H

#include "sched.h"

/* Leaves `from` for the next runnable coroutine; returns when `from` goes on, with the worker it goes on with. */
struct wf_worker *wf_switch_to_next(struct wf_worker *w, struct weft_co *from, wf_commit_fn *commit, void *arg);

/* Leaves it for the scheduler, which the worker then finds without a processor. */
struct wf_worker *wf_switch_to_scheduler(struct wf_worker *w, struct weft_co *from, wf_commit_fn *commit, void *arg);

/* Leaves a coroutine that has ended, for good; its stack is given back by the arriving side. */
_Noreturn void wf_switch_from_dead(struct wf_worker *w, struct wf_stack *stack);

/* Runs co from the scheduler's context until the worker comes back to it. */
void wf_switch_from_scheduler(struct wf_worker *w, struct weft_co *co);

/* The coroutine to run next, NULL: none without a closer look (worker.c). Charges the look-around. */
struct weft_co *wf_pick_next(struct wf_worker *w);

/* Global queue, poller and timers, and whether others should be woken for what waits here. */
void wf_look_around(struct wf_worker *w);

/* Adds to the end of the own ring, or, when it is full, of the global queue. */
void wf_ring_push(struct wf_worker *w, struct weft_co *co);

/* The global queue. */
void wf_global_push(struct weft_co *first, struct weft_co *last, unsigned n);
struct weft_co *wf_global_take(struct wf_worker *w); /* one to run; others of a fair share go to the ring */

/* Wakes a worker for an idle processor, unless one is looking for work already. Any thread. */
void wf_wake_worker(void);

/* Runs due timers of every processor; returns how many. */
int wf_timers_run_all(struct wf_worker *w, int64_t now);

/* Starts a worker that holds p, which is off the idle list. On failure (-EAGAIN, -ENOMEM) p is idle again. */
int wf_worker_start(struct wf_proc *p);

/* Gives a processor that was taken from its worker to another one, started if none sleeps. */
void wf_worker_hand(struct wf_proc *p);

/* Has all workers leave, and joins them. No coroutine is left. */
void wf_workers_stop(void);

/* A plain thread is about to wait for something that only the poller or a timer can bring. */
void wf_thread_waits(void);

#endif
