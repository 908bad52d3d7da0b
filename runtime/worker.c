/* The scheduler's other half: a worker that finds nothing to run looks around, gives its processor up and sleeps; and is woken.
 *
 * The rule that loses no work (docs/protocols.md, "Idle and wake"):
 *
 *   producer                                       sleeper
 *   1 publish the work (ring, global queue)        1 put the processor on the idle list (under rt.lock)
 *   2 full fence                                   2 stop being counted as spinning
 *   3 nobody spinning, a processor idle?           3 full fence
 *     wake a worker for it                         4 look at every queue, the timers and the poller again
 *
 * Either the producer sees the idle processor and no spinner, or the sleeper sees the work. A producer with a processor of its own
 * may put step 3 off (sched.c, wake_for_backlog): it will come back to the scheduler and run the work itself, and while it
 * does not, the monitor looks. A spinner that finds work is one spinner less, so it looks whether another is needed. */
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

static unsigned next_random(struct wf_proc *p)
{
	p->random ^= p->random << 13; /* xorshift (Marsaglia 2003) */
	p->random ^= p->random >> 17;
	p->random ^= p->random << 5;
	return p->random;
}

static struct weft_co *steal(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	unsigned made = wf_procs_made(), start = next_random(p) % made;
	for (unsigned i = 0; i < made; i++) {
		struct wf_proc *victim = wf_proc_at((start + i) % made);
		unsigned n;
		struct weft_co *co = victim == p ? NULL : wf_runq_steal_any(&p->runq, &victim->runq, &n);
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

static int64_t next_timer(void)
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
	w->batch = true;
	wf_timers_run_all(w, now);
	if (wf_netpoll_active() && !wf_u32_load(&wf_rt.polling)) {
		wf_count(&w->proc->stats.polls);
		wf_store(&wf_rt.polled_at, (uintptr_t)now);
		wf_netpoll_wait(w, 0);
	}
	w->batch = false;
}

static struct weft_co *look_everywhere(struct wf_worker *w)
{
	struct weft_co *co = wf_pick_next(w);
	if (!co && wf_u32_load(&wf_rt.global_count) != 0)
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
	if (wf_u32_add_full(&wf_rt.spinning, -1) == 1 && wf_u32_load(&wf_rt.global_count) != 0)
		wf_wake_worker();
}

static struct weft_co *spin(struct wf_worker *w)
{
	int64_t until = wf_os_now() + wf_rt.config.spin_ns;
	for (unsigned round = 1;; round++) {
		struct weft_co *co = steal(w);
		if (!co && wf_u32_load(&wf_rt.global_count) != 0)
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

/* ---- giving a processor up, and getting one ------------------------------------------------------------------------- */

static void put_idle_locked(struct wf_proc *p)
{
	p->worker = NULL;
	if (wf_u32_load(&p->retire)) {
		wf_u32_store(&p->retire, 0);
		p->state = WF_PROC_UNUSED;
		return;
	}
	p->state = WF_PROC_IDLE;
	wf_list_push_front(&wf_rt.idle_procs, &p->idle);
	wf_u32_add_full(&wf_rt.idle_count, 1); /* pairs with the look of a producer */
}

static struct wf_proc *take_idle_locked(struct wf_worker *w)
{
	struct wf_link *l = wf_list_pop(&wf_rt.idle_procs);
	if (!l)
		return NULL;
	wf_u32_add_full(&wf_rt.idle_count, -1);
	struct wf_proc *p = wf_container_of(l, struct wf_proc, idle);
	p->state = WF_PROC_RUNNING;
	p->worker = w;
	return p;
}

static void hold(struct wf_worker *w, struct wf_proc *p)
{
	w->proc = p;
	/* relaxed: the monitor writes it under rt.lock, after it saw us own the processor */
	wf_store(&w->request, WF_REQUEST_NONE);
	p->looked_at = wf_os_now();             /* it was not busy meanwhile */
	p->countdown = p->countdown_from = 0;
	p->backlog_since = 0;
	wf_monitor_notice();
}

/* ---- sleeping -------------------------------------------------------------------------------------------------------- */

static bool work_waits(void)
{
	unsigned made = wf_procs_made();
	for (unsigned i = 0; i < made; i++)
		if (wf_runq_length(&wf_proc_at(i)->runq) > 0)
			return true;
	return wf_u32_load(&wf_rt.global_count) != 0 || next_timer() <= wf_os_now();
}

/* A worker blocks in the poller when no processor is running, or when one that does takes long between its own looks: else the
 * running ones see what becomes ready soon enough, and two workers would only fight over it. (The monitor looks after those that
 * stop looking.) */
static bool poller_needs_worker_locked(void)
{
	unsigned made = wf_procs_made();
	bool running = false;
	if (!wf_netpoll_active() && next_timer() == WF_TIME_NEVER)
		return false;
	for (unsigned i = 0; i < made; i++) {
		struct wf_proc *p = wf_proc_at(i);
		if (p->state == WF_PROC_RUNNING && wf_u32_load(&p->dispatch_ns) >= WF_LONG_NS)
			return true;
		running = running || p->state == WF_PROC_RUNNING;
	}
	return !running;
}

/* Gives the processor up, if it has one, and joins the sleepers. False: the runtime stops. */
static bool enlist(struct wf_worker *w)
{
	wf_lock(&wf_rt.lock);
	if (w->proc)
		put_idle_locked(w->proc);
	w->proc = NULL;
	bool stay = !wf_u32_load(&wf_rt.stopping);
	if (stay) {
		wf_u32_store(&w->signal, 0);
		w->in_poll = !wf_u32_load(&wf_rt.polling) && poller_needs_worker_locked();
		if (w->in_poll)
			wf_u32_store(&wf_rt.polling, 1);
		(w->in_poll ? wf_list_push : wf_list_push_front)(&wf_rt.idle_workers, &w->idle);
	}
	wf_unlock(&wf_rt.lock);
	return stay;
}

/* Leaves the list, with the processor that somebody handed over, or with an idle one if there is reason to look. */
static struct wf_proc *delist(struct wf_worker *w, bool look)
{
	wf_lock(&wf_rt.lock);
	struct wf_proc *p = w->handed;
	w->handed = NULL;
	if (wf_link_queued(&w->idle))
		wf_list_remove(&w->idle);
	if (w->in_poll)
		wf_u32_store(&wf_rt.polling, 0);
	w->in_poll = false;
	if (!p && look && !wf_u32_load(&wf_rt.stopping))
		p = take_idle_locked(w);
	wf_unlock(&wf_rt.lock);
	return p;
}

static void sleep_in_poller(struct wf_worker *w)
{
	wf_store(&wf_rt.poll_until, (uintptr_t)next_timer());
	/* pairs with those of wf_timer_armed and wake_poller_for_timers: they see poll_until, or we see the timer */
	wf_fence_full();
	int64_t when = next_timer(), left = when == WF_TIME_NEVER ? -1 : when - wf_os_now();
	wf_netpoll_wait(w, when != WF_TIME_NEVER && left < 0 ? 0 : left);
	wf_store(&wf_rt.poll_until, 0); /* relaxed: nobody sleeps by it */
}

static void sleep_until_signal(struct wf_worker *w)
{
	while (!wf_u32_load_acquire(&w->signal)) /* pairs with the release in signal_worker */
		wf_os_futex_wait(&w->signal, 0, -1);
}

/* The timers of a processor that was given up are the blocked poller's business from now on. */
static void wake_poller_for_timers(void)
{
	if (wf_u32_load(&wf_rt.polling) && next_timer() < (int64_t)wf_load(&wf_rt.poll_until))
		wf_netpoll_break();
}

/* What the poller made runnable while the worker had no processor goes to the one it has now, or to everybody. */
static void place_collected(struct wf_worker *w)
{
	struct weft_co *co = w->collected, *next;
	w->collected = NULL;
	for (; co; co = next) {
		next = co->next;
		if (w->proc)
			wf_ring_push(w, co);
		else
			wf_global_push(co, co, 1);
	}
}

/* Gives up the processor and sleeps until there is one and a reason to have it. False: the runtime stops. */
static bool sleep_for_proc(struct wf_worker *w)
{
	do {
		bool was_spinning = w->spinning;
		w->spinning = false; /* once it is on the list, whoever hands it a processor sets this */
		bool stay = enlist(w);
		if (was_spinning)
			wf_u32_add_full(&wf_rt.spinning, -1);
		if (!stay)
			return false;
		wf_fence_full(); /* pairs with the producer's: it sees the idle processor and no spinner, or we see its work */
		wf_drain_check();
		bool look = wf_u32_load(&wf_rt.idle_count) != 0 && work_waits();
		if (!look && w->in_poll) {
			sleep_in_poller(w);
			look = w->collected || work_waits();
		} else if (!look) {
			wake_poller_for_timers();
			sleep_until_signal(w);
		}
		struct wf_proc *p = delist(w, look);
		if (p)
			hold(w, p);
		place_collected(w);
	} while (!w->proc);
	return true;
}

/* ---- waking ---------------------------------------------------------------------------------------------------------- */

static void signal_worker(struct wf_worker *w, bool in_poll)
{
	wf_u32_store_release(&w->signal, 1); /* pairs with the acquire in sleep_until_signal: handed is written */
	if (in_poll)
		wf_netpoll_break();
	else
		wf_os_futex_wake(&w->signal, 1);
}

static struct wf_worker *first_idle_locked(void)
{
	struct wf_link *l = wf_list_first(&wf_rt.idle_workers);
	return l ? wf_container_of(l, struct wf_worker, idle) : NULL;
}

/* The worker has been counted as spinning by the caller. */
static void hand_locked(struct wf_worker *w, struct wf_proc *p)
{
	wf_list_remove(&w->idle);
	p->worker = w;
	w->handed = p;
	w->spinning = true;
}

WF_NOINLINE void wf_wake_worker(void)
{
	wf_fence_full(); /* pairs with the sleeper's: the work was published before */
	if (wf_u32_load(&wf_rt.idle_count) == 0 || wf_u32_load(&wf_rt.spinning) != 0 || !wf_u32_cas_full(&wf_rt.spinning, 0, 1))
		return;
	wf_lock(&wf_rt.lock);
	struct wf_proc *p = wf_u32_load(&wf_rt.stopping) ? NULL : take_idle_locked(NULL);
	struct wf_worker *w = p ? first_idle_locked() : NULL;
	bool in_poll = w && w->in_poll;
	if (w)
		hand_locked(w, p);
	if (p)
		wf_count(&wf_rt.wakes);
	wf_unlock(&wf_rt.lock);
	if (w)
		signal_worker(w, in_poll);
	else if (!p || wf_worker_start(p) != 0)
		wf_u32_add_full(&wf_rt.spinning, -1);
}

struct wf_timers *wf_timers_here(struct wf_worker *w)
{
	return &(w ? w->proc : wf_proc_at(0))->timers;
}

void wf_timer_armed(struct wf_worker *w, int64_t when)
{
	if (w)
		return; /* its processor runs, and looks at its timers; the monitor does if it stops looking */
	wf_fence_full(); /* pairs with sleep_in_poller */
	if (!wf_u32_load(&wf_rt.polling))
		wf_wake_worker();
	else if (when < (int64_t)wf_load(&wf_rt.poll_until))
		wf_netpoll_break();
}

void wf_thread_waits(void)
{
	wf_fence_full(); /* pairs with the sleeper's: what the thread waits for was registered before */
	if (!wf_u32_load(&wf_rt.polling) && wf_netpoll_active())
		wf_wake_worker();
}

/* ---- a worker's life --------------------------------------------------------------------------------------------------- */

static void run(struct wf_worker *w)
{
	for (;;) {
		if (!w->proc && !sleep_for_proc(w))
			return;
		struct weft_co *co = NULL;
		if (wf_u32_load(&w->proc->retire))
			wf_retire(w);
		else
			co = find_work(w);
		if (co)
			wf_switch_from_scheduler(w, co);
		else if (!sleep_for_proc(w))
			return;
	}
}

static void worker_main(void *arg)
{
	struct wf_worker *w = arg;
	wf_os_precise_timers();
	wf_os_altstack_enter(&w->altstack);
	wf_san_thread(&w->fiber);
	wf_tls_worker = w;
	run(w);
	wf_os_altstack_leave(w->altstack);
}

static struct wf_worker *new_worker(struct wf_proc *p)
{
	size_t size = (sizeof(struct wf_worker) + WF_CACHE_LINE - 1) / WF_CACHE_LINE * WF_CACHE_LINE;
	struct wf_worker *w = aligned_alloc(WF_CACHE_LINE, size);
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

static void discard_worker(struct wf_worker *w)
{
	wf_lock(&wf_rt.lock);
	struct wf_worker **at = &wf_rt.all_workers;
	while (*at != w)
		at = &(*at)->all_next;
	*at = w->all_next;
	wf_u32_add(&wf_rt.worker_count, -1);
	wf_unlock(&wf_rt.lock);
	free(w);
}

int wf_worker_start(struct wf_proc *p)
{
	struct wf_worker *w = new_worker(p);
	struct wf_os_thread thread;
	int result = w ? wf_os_thread_start(&thread, "weft", worker_main, w) : -ENOMEM;
	if (w && result < 0)
		discard_worker(w);
	wf_lock(&wf_rt.lock);
	if (result == 0) {
		w->thread = thread; /* from now on it can be joined and freed */
		wf_unlock(&wf_rt.lock);
		return 0;
	}
	put_idle_locked(p);
	wf_unlock(&wf_rt.lock);
	return result;
}

void wf_worker_hand(struct wf_proc *p)
{
	wf_u32_add_full(&wf_rt.spinning, 1); /* on behalf of the worker */
	wf_lock(&wf_rt.lock);
	struct wf_worker *w = first_idle_locked();
	bool in_poll = w && w->in_poll;
	if (w)
		hand_locked(w, p);
	wf_unlock(&wf_rt.lock);
	if (w)
		signal_worker(w, in_poll);
	else if (wf_worker_start(p) != 0)
		wf_u32_add_full(&wf_rt.spinning, -1);
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
