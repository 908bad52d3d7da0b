/* The rest of the scheduler: a worker that finds nothing to run looks for it everywhere; and a worker's life. idle.c has what
 * comes after that. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "monitor.h"
#include "netpoll.h"
#include "switch.h"

enum {
	SPIN_LOOK_EVERY = 16, /* rounds of spinning between two looks at clock and poller */
};

/* ---- looking for work ------------------------------------------------------------------------------------------------ */

static struct weft_co *steal(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	unsigned made = wf_procs_made(), start = wf_proc_random(p) % made;
	for (unsigned i = 0; i < made; i++) {
		struct wf_proc *victim = wf_proc_at((start + i) % made);
		unsigned n;
		if (victim == p || !wf_proc_offers(victim))
			continue;
		struct weft_co *co = wf_runq_steal_any(&p->runq, &victim->runq, &n);
		if (!co)
			continue;
		wf_count(&p->stats.steals);
		wf_count_by(&p->stats.stolen, n);
		return co;
	}
	return NULL;
}

int wf_timers_run_all(struct wf_worker *w, int64_t now)
{
	unsigned made = wf_procs_made();
	int fired = 0;
	for (unsigned i = 0; i < made; i++)
		fired += wf_timers_run(&wf_proc_at(i)->timers, now);
	if (w && fired)
		wf_count_by(&w->proc->stats.timers_fired, (uintptr_t)fired);
	return fired;
}

int64_t wf_next_timer(void)
{
	unsigned made = wf_procs_made();
	int64_t next = WF_TIME_NEVER;
	for (unsigned i = 0; i < made; i++) {
		int64_t when = wf_timers_next(&wf_proc_at(i)->timers);
		next = when < next ? when : next;
	}
	return next;
}

/* What may become ready by itself: due timers of all processors, descriptors. */
static void look_outside(struct wf_worker *w)
{
	int64_t now = wf_os_now();
	unsigned char former = wf_batch_begin(w);
	wf_timers_run_all(w, now);
	if (wf_netpoll_active() && !wf_u32_load(&wf_rt.polling))
		wf_poll(w, now);
	wf_batch_end(w, former);
}

static struct weft_co *look_everywhere(struct wf_worker *w)
{
	struct weft_co *co = wf_pick_next(w);
	if (!co && wf_globq_count(&wf_rt.global) != 0)
		co = wf_global_take(w);
	if (!co) {
		look_outside(w);
		co = wf_pick_next(w);
	}
	return co;
}

/* At most half of the busy processors' number look for work at a time; one processor has nobody to look at. */
static bool start_spinning(struct wf_worker *w)
{
	unsigned count = wf_u32_load(&wf_rt.proc_count), idle = wf_u32_load(&wf_rt.idle_count);
	if (w->spinning)
		return true;
	if (count == 1 || 2 * wf_u32_load(&wf_rt.spinning) >= count - idle)
		return false;
	wf_u32_add_full(&wf_rt.spinning, 1);
	return w->spinning = true;
}

/* Found work, with more perhaps where it came from: if it was the last one looking, somebody else looks now. */
static void stop_spinning_with_work(struct wf_worker *w)
{
	if (!w->spinning)
		return;
	w->spinning = false;
	if (wf_u32_add_full(&wf_rt.spinning, -1) != 1)
		return;
	wf_fence_full(); /* pairs with the producer's: it sees no spinner, or we see its work */
	if (wf_globq_count(&wf_rt.global) != 0)
		wf_wake_worker();
}

static struct weft_co *spin(struct wf_worker *w)
{
	int64_t until = wf_os_now() + wf_rt.config.spin_ns;
	for (unsigned round = 1;; round++) {
		struct weft_co *co = steal(w);
		if (!co && wf_globq_count(&wf_rt.global) != 0)
			co = wf_global_take(w);
		if (co)
			return co;
		if (round % SPIN_LOOK_EVERY == 0) {
			look_outside(w);
			if ((co = wf_pick_next(w)))
				return co;
			if (wf_os_now() >= until || wf_u32_load(&wf_rt.stopping))
				return NULL;
		}
		wf_cpu_relax();
	}
}

static struct weft_co *find_work(struct wf_worker *w)
{
	struct weft_co *co = look_everywhere(w);
	if (!co)
		co = steal(w);
	if (!co && start_spinning(w))
		co = spin(w);
	if (co)
		stop_spinning_with_work(w);
	return co;
}

/* ---- a worker's life --------------------------------------------------------------------------------------------------- */

/* NULL: nothing, the worker has no processor, or is to give it up. */
static struct weft_co *next_in_scheduler(struct wf_worker *w)
{
	if (w->pinned) {
		wf_await_pinned(w);
		return w->pinned;
	}
	if (!w->proc)
		return NULL;
	if (wf_u32_load(&w->proc->retire) == 0)
		return find_work(w);
	wf_retire(w);
	return NULL;
}

static void run(struct wf_worker *w)
{
	for (;;) {
		struct weft_co *co = next_in_scheduler(w);
		if (!co && !wf_sleep_for_proc(w))
			return;
		if (co && wf_is_pinned_elsewhere(w, co))
			w->deferred = co;
		else if (co)
			wf_switch_from_scheduler(w, co);
		if (w->deferred)
			wf_deliver(w, w->deferred);
		w->deferred = NULL;
	}
}

static void worker_main(void *arg)
{
	struct wf_worker *w = arg;
	wf_os_precise_timers();
	wf_os_altstack_enter(&w->altstack);
	wf_san_thread(&w->fiber);
	wf_tls_worker = w;
	wf_u32_store(&w->os_id, (unsigned)wf_os_thread_id()); /* relaxed: 0 until then, which is nobody */
	wf_hold(w, w->proc);
	run(w);
	wf_os_altstack_leave(w->altstack);
	if (w->dismissed) {
		wf_os_thread_detach(w->thread);
		free(w);
	}
}

static struct wf_worker *new_worker(struct wf_proc *p)
{
	size_t size = (sizeof(struct wf_worker) + WF_CACHE_LINE - 1) / WF_CACHE_LINE * WF_CACHE_LINE;
	struct wf_worker *w = wf_stress(4) ? NULL : aligned_alloc(WF_CACHE_LINE, size);
	if (!w)
		return NULL;
	*w = (struct wf_worker){.proc = p, .spinning = true};
	wf_store(&w->inside, 1); /* on its behalf: nobody takes the processor before it has begun */
	wf_lock(&wf_rt.lock);
	p->worker = w;
	w->all_next = wf_rt.all_workers;
	wf_rt.all_workers = w;
	wf_u32_add(&wf_rt.worker_count, 1);
	wf_unlock(&wf_rt.lock);
	return w;
}

void wf_worker_unlink_locked(struct wf_worker *w)
{
	struct wf_worker **at = &wf_rt.all_workers;
	while (*at != w)
		at = &(*at)->all_next;
	*at = w->all_next;
	wf_u32_add(&wf_rt.worker_count, -1);
}

int wf_worker_start(struct wf_proc *p)
{
	struct wf_worker *w = new_worker(p);
	struct wf_os_thread thread;
	int result = w ? wf_os_thread_start(&thread, "weft", worker_main, w) : -ENOMEM;
	if (result < 0)
		wf_proc_empty(p); /* where the monitor sees it, which tries again */
	wf_lock(&wf_rt.lock);
	if (result == 0)
		w->thread = thread; /* from now on it can be joined and freed */
	else if (w)
		wf_worker_unlink_locked(w);
	if (result < 0)
		wf_put_idle_locked(p);
	wf_unlock(&wf_rt.lock);
	if (result < 0) {
		free(w);
		wf_monitor_notice();
	}
	return result;
}

/* Takes one off the list: *w, NULL if whoever starts it is not done with it yet. False: none is left. */
static bool take_last_worker(struct wf_worker **w)
{
	wf_lock(&wf_rt.lock);
	struct wf_worker *first = wf_rt.all_workers;
	*w = first && first->thread.handle ? first : NULL;
	if (*w)
		wf_rt.all_workers = first->all_next;
	wf_unlock(&wf_rt.lock);
	return first != NULL;
}

void wf_workers_stop(void)
{
	wf_lock(&wf_rt.lock);
	wf_u32_store(&wf_rt.stopping, 1);
	for (struct wf_worker *w = wf_rt.all_workers; w; w = w->all_next) {
		wf_u32_store_release(&w->signal, 1); /* pairs with sleep_until_signal */
		wf_os_futex_wake(&w->signal, 1);
	}
	wf_unlock(&wf_rt.lock);
	wf_netpoll_break();
	for (struct wf_worker *w; take_last_worker(&w);) {
		if (!w) {
			wf_os_sched_yield();
			continue;
		}
		wf_os_thread_join(w->thread);
		free(w);
	}
	wf_u32_store(&wf_rt.worker_count, 0);
}
