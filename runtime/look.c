/* The look around: what a worker does now and then between two coroutines, about every LOOK_NS. */
#include "netpoll.h"
#include "switch.h"

enum {
	LOOK_NS = 50000,
	LOOK_MIN = 1,        /* dispatches between two looks, at least and at most */
	LOOK_MAX = 1024,
	APART_NS = 10000000, /* how long a processor whose coroutines met others at locks keeps them to itself */
};

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
	w->time_after = (unsigned char)(wf_proc_random(w->proc) % WF_TIME_SPREAD);
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
	wf_make_public(w);
	if (!p->backlog_since && wf_runq_length(&p->runq) > 0)
		p->backlog_since = now;
	wf_offer(p);
	wf_drain_check();
	if (wf_unlikely(wf_u32_load(&p->retire) != 0))
		wf_retire(w);
}
