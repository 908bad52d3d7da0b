/* Giving a processor up, sleeping, and waking.
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
 * may put step 3 off (wf_offer), and the sleeper leaves out what that producer does not offer: it will come back to the
 * scheduler and run the work itself, and while it does not, the monitor looks. A spinner that finds work is one spinner less, so
 * it looks whether another is needed. */
#include "check.h"
#include "monitor.h"
#include "netpoll.h"
#include "switch.h"

enum {
	SPARE_NS = 1000000000, /* a worker that nobody needed for so long leaves, when there are more than processors */
};

/* ---- giving a processor up, and getting one ------------------------------------------------------------------------- */

void wf_put_idle_locked(struct wf_proc *p)
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

/* Here, and not when the worker wakes: the monitor can ask for the processor from now on, and that must not be forgotten. */
void wf_give_locked(struct wf_proc *p, struct wf_worker *w)
{
	p->worker = w;
	if (w)
		wf_store(&w->request, WF_REQUEST_NONE);
}

struct wf_proc *wf_take_idle_locked(struct wf_worker *w)
{
	struct wf_link *l = wf_list_pop(&wf_rt.idle_procs);
	if (!l)
		return NULL;
	wf_u32_add_full(&wf_rt.idle_count, -1);
	struct wf_proc *p = wf_container_of(l, struct wf_proc, idle);
	p->state = WF_PROC_RUNNING;
	wf_give_locked(p, w);
	return p;
}

void wf_hold(struct wf_worker *w, struct wf_proc *p)
{
	w->proc = p;
	p->looked_at = wf_os_now(); /* it was not busy meanwhile */
	p->countdown = p->countdown_from = 0;
	p->backlog_since = 0;
	wf_monitor_notice();
}

/* ---- sleeping -------------------------------------------------------------------------------------------------------- */

static bool work_waits(void)
{
	unsigned made = wf_procs_made();
	for (unsigned i = 0; i < made; i++)
		if (wf_proc_offers(wf_proc_at(i)))
			return true;
	return wf_globq_count(&wf_rt.global) != 0 || wf_next_timer() <= wf_os_now();
}

/* A worker blocks in the poller when no processor is running, or when one that does takes long between its own looks: else the
 * running ones see what becomes ready soon enough, and two workers would only fight over it. (The monitor looks after those that
 * stop looking.) */
static bool poller_needs_worker_locked(void)
{
	unsigned made = wf_procs_made();
	bool running = false;
	if (!wf_netpoll_active() && wf_next_timer() == WF_TIME_NEVER)
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
		wf_put_idle_locked(w->proc);
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
		p = wf_take_idle_locked(w);
	wf_unlock(&wf_rt.lock);
	return p;
}

static void sleep_in_poller(struct wf_worker *w)
{
	int64_t until = wf_next_timer();
	wf_store(&wf_rt.poll_until, (uintptr_t)until);
	/* pairs with those of wf_timer_armed and wake_poller_for_timers: they see poll_until, or we see the timer */
	wf_fence_full();
	int64_t next = wf_next_timer();
	/* Not longer than said: the first may be gone by now. */
	wf_netpoll_wait(w, w->events, wf_time_left(next < until ? next : until));
	wf_store(&wf_rt.poll_until, 0); /* relaxed: nobody sleeps by it */
}

/* Off all lists, if it is on the list of sleepers still and there are enough others. */
static bool dismiss(struct wf_worker *w)
{
	wf_lock(&wf_rt.lock);
	bool spare = wf_link_queued(&w->idle) && wf_u32_load(&wf_rt.worker_count) > wf_u32_load(&wf_rt.proc_count) &&
		     w->thread.handle && !wf_u32_load(&wf_rt.stopping);
	if (spare) {
		wf_list_remove(&w->idle);
		wf_worker_unlink_locked(w);
	}
	wf_unlock(&wf_rt.lock);
	return spare;
}

/* False: nobody needed the worker for long, and it is dismissed. */
static bool sleep_until_signal(struct wf_worker *w)
{
	int64_t until = wf_os_now() + SPARE_NS;
	while (!wf_u32_load_acquire(&w->signal)) { /* pairs with the release in hand_locked */
		bool spare = wf_u32_load(&wf_rt.worker_count) > wf_u32_load(&wf_rt.proc_count);
		int64_t left = until - wf_os_now();
		if (spare && left <= 0 && dismiss(w)) {
			w->dismissed = true;
			return false;
		}
		wf_os_futex_wait(&w->signal, 0, spare && left > 0 ? left : -1);
	}
	return true;
}

/* The timers of a processor that was given up are the blocked poller's business from now on. */
static void wake_poller_for_timers(void)
{
	if (wf_u32_load(&wf_rt.polling) && wf_next_timer() < (int64_t)wf_load(&wf_rt.poll_until))
		wf_netpoll_break();
}

void wf_look_again(void)
{
	wf_fence_full(); /* pairs with the producer's: it sees the idle processor, or we see its work */
	if (work_waits())
		wf_wake_worker();
	else
		wake_poller_for_timers();
}

/* What the poller made runnable while the worker had no processor goes to the one it has now, or to everybody; in the order of its
 * events. */
static void place_collected(struct wf_worker *w)
{
	struct weft_co *co = wf_co_reversed(w->collected), *next;
	w->collected = NULL;
	for (; co; co = next) {
		next = co->next;
		if (w->proc)
			wf_ring_push(w, co);
		else
			wf_global_push(co);
	}
}

bool wf_sleep_for_proc(struct wf_worker *w)
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
			if (!sleep_until_signal(w))
				return false;
		}
		struct wf_proc *p = delist(w, look);
		if (p)
			wf_hold(w, p);
		place_collected(w);
	} while (!w->proc);
	return true;
}

/* ---- waking ---------------------------------------------------------------------------------------------------------- */

/* After hand_locked, without the lock. The worker may be gone by now: only its address is used. */
static void rouse(struct wf_worker *w, bool in_poll)
{
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
	wf_give_locked(p, w);
	w->handed = p;
	w->spinning = true;
	wf_u32_store_release(&w->signal, 1); /* pairs with the acquire in sleep_until_signal */
}

WF_NOINLINE void wf_wake_worker(void)
{
	wf_fence_full(); /* pairs with the sleeper's: the work was published before */
	if (wf_u32_load(&wf_rt.idle_count) == 0 || wf_u32_load(&wf_rt.spinning) != 0 || !wf_u32_cas_full(&wf_rt.spinning, 0, 1))
		return;
	wf_lock(&wf_rt.lock);
	struct wf_proc *p = wf_u32_load(&wf_rt.stopping) ? NULL : wf_take_idle_locked(NULL);
	struct wf_worker *w = p ? first_idle_locked() : NULL;
	bool in_poll = w && w->in_poll;
	if (w)
		hand_locked(w, p);
	if (p)
		wf_count(&wf_rt.wakes);
	else /* still locked: whoever finds a processor idle after this one found none does not take us for a spinner */
		wf_u32_add_full(&wf_rt.spinning, -1);
	wf_unlock(&wf_rt.lock);
	if (w)
		rouse(w, in_poll);
	else if (p && wf_worker_start(p) != 0)
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
	if (wf_load_acquire(&wf_up) && !wf_u32_load(&wf_rt.polling) && wf_netpoll_active())
		wf_wake_worker();
}

bool wf_worker_available_locked(void)
{
	return first_idle_locked() || wf_u32_load(&wf_rt.worker_count) < (unsigned)wf_rt.config.max_workers;
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
		rouse(w, in_poll);
	else if (wf_worker_start(p) != 0)
		wf_u32_add_full(&wf_rt.spinning, -1);
}
