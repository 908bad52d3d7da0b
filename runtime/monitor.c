/* While any processor runs, the monitor looks every millisecond for what waits although a processor is idle: a ring whose owner
 * does not come back, the global queue, due timers, a poller that nobody looks at; and wakes a worker for it. A processor whose
 * coroutine has not come back for SLICE_NS (for SAMPLE_NS, when another one is idle, for then what waits privately behind it
 * could run) is taken from its worker, if something waits for it, and given to another one; the worker keeps its thread and its
 * coroutine, and finds out at its next entry (where too many compute without a processor, it gets the idle one for it). After
 * CALM_SAMPLES looks in a row that found nothing waiting and everybody getting on, looks become rarer. While nothing runs the
 * monitor sleeps for good: an idle program has no periodic wake. It also gives back the memory of stacks that nobody needs any
 * more.
 *
 *   worker (sched.h)                             monitor, under rt.lock
 *   enter: 1 inside = 1                          1 request = ASKED
 *          2 light fence                         2 heavy fence
 *          3 request? TAKEN: it is gone;         3 inside == 0? the processor is the monitor's: request = TAKEN
 *            else settle it under rt.lock          or gave it another one: request = NONE
 *   leave: inside = 0 (release)                    else request = YIELD: it will let others go first
 *
 *   a processor goes from idle to running        the monitor goes to sleep
 *   1 idle_count - 1                             1 asleep = 1
 *   2 full fence                                 2 full fence
 *   3 asleep? wake it                            3 any processor running? stay awake */
#include "monitor.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <weft/base.h>

#include "check.h"
#include "deadlock.h"
#include "dump.h"
#include "netpoll.h"
#include "sched.h"
#include "signals.h"
#include "stats.h"
#include "switch.h"
#include "watchdog.h"

enum {
	SAMPLE_NS = 1000000, /* between two looks; doubled ... */
	CALM_SAMPLES = 16,   /* ... after so many with nothing waiting, ... */
	DOUBLINGS = 2,       /* ... so often */
	QUIET_NS = 10000000, /* with no processor running, before it sleeps: a wake costs more than a few looks */
	STALE_NS = 1000000, /* a poller not looked at for so long */
	SLICE_NS = 10000000, /* a processor is taken from a coroutine that has not come back for so long, ... */
	CROWDED_NS = 100000000, /* ... for so long where many of those compute on, ... */
	BLOCKED_NS = 100000, /* ... or, if its thread sleeps in the kernel, for so long; the pause after such a one */
	TRIM_NS = 2000000000,
};

static struct {
	struct wf_os_thread thread;
	wf_u32 wake;     /* futex; also: there is a reason to look at once */
	wf_u32 asleep;
	wf_u32 stop;
	wf_u32 check;    /* something happened since it was last looked whether anything can */
	wf_word deadline;
	int64_t trim_at;
	bool watching;    /* the watchdog wants to look again soon */
	int64_t trace_at; /* when the next line of statistics is due; WF_TIME_NEVER: never */
	int calm;        /* looks in a row at which nothing had to wait, as far as they count */
	int64_t quiet_since; /* nothing has run since; 0: something has */
	unsigned global_seen; /* how many had come to the global queue by the last sample */
	bool hurry;      /* a blocked thread was found: there may be more */
	int64_t counted_at; /* when it was last looked which of the computing threads still do */
	struct {
		uint64_t dispatches; /* at the last sample */
		int64_t since;       /* when the count last changed */
		unsigned tail;       /* of its ring */
		bool alone;          /* nothing private waited behind it when that was looked at; void if the processor has news */
	} seen[WEFT_MAXPROCS_LIMIT];
} monitor;

struct wf_monitor_pace wf_monitor_pace = {SAMPLE_NS, SLICE_NS, CROWDED_NS, TRIM_NS};

static void wake(void)
{
	wf_u32_store_release(&monitor.wake, 1); /* pairs with the acquire in doze */
	wf_os_futex_wake(&monitor.wake, 1);
}

void wf_monitor_notice(void)
{
	wf_fence_full(); /* pairs with the one in may_sleep */
	if (wf_unlikely(wf_u32_load(&monitor.asleep) != 0))
		wake();
}

/* Or waits for a thread that could not be made: in the global queue, or for want of one in the poller. */
static bool anything_runs(void)
{
	return wf_u32_load(&wf_rt.idle_count) < wf_u32_load(&wf_rt.proc_count) || wf_globq_count(&wf_rt.global) != 0 ||
	       (!wf_u32_load(&wf_rt.polling) && (wf_netpoll_active() || wf_next_timer() != WF_TIME_NEVER));
}

static void doze(int64_t ns)
{
	if (!wf_u32_load_acquire(&monitor.wake)) /* pairs with the release in wake */
		wf_os_futex_wait(&monitor.wake, 0, ns);
	wf_u32_store(&monitor.wake, 0);
	wf_fence_full(); /* what was written before a wake that this store has swallowed is seen by the look that follows */
}

/* ---- one look ---------------------------------------------------------------------------------------------------------- */

/* How long the processor has been busy with one coroutine. Who could help should know, so it goes into the average at once. */
static int64_t stuck_ns(struct wf_proc *p, int64_t now)
{
	uint64_t dispatches = wf_load(&p->stats.dispatches);
	bool on_its_way = p->state == WF_PROC_RUNNING && !p->worker; /* to a worker that is being found for it */
	if (monitor.seen[p->index].dispatches != dispatches || p->state != WF_PROC_RUNNING || on_its_way) {
		monitor.seen[p->index].dispatches = dispatches;
		monitor.seen[p->index].since = now;
		monitor.seen[p->index].alone = false;
		return 0;
	}
	wf_u32_store(&p->dispatch_ns, SAMPLE_NS);
	return now - monitor.seen[p->index].since;
}

static bool poller_is_stale(int64_t now)
{
	return wf_netpoll_active() && !wf_u32_load(&wf_rt.polling) && now - (int64_t)wf_load(&wf_rt.polled_at) > STALE_NS;
}

/* Work that any processor could do. */
static bool work_for_anybody(int64_t now)
{
	return wf_globq_count(&wf_rt.global) != 0 || poller_is_stale(now);
}

/* Something in its ring was there at the last sample already, or a timer is overdue. */
static bool waits_behind(const struct wf_proc *p, int64_t now)
{
	unsigned head = wf_u32_load(&p->runq.head), former = monitor.seen[p->index].tail;
	monitor.seen[p->index].tail = wf_u32_load(&p->runq.tail);
	return (int)(former - head) > 0 || wf_timers_next(&p->timers) < now - SAMPLE_NS;
}

/* Whether timers and descriptors are looked after without this processor; whoever sleeps over them looks again. */
static bool somebody_polls(void)
{
	bool polls = wf_u32_load(&wf_rt.polling) != 0;
	if (polls)
		wf_netpoll_break();
	return polls || (!wf_netpoll_active() && wf_next_timer() == WF_TIME_NEVER);
}

/* It was found to have nothing private, and nothing has come since. */
static bool is_alone(const struct wf_proc *p)
{
	return monitor.seen[p->index].alone && !wf_u32_load(&p->news); /* relaxed: the next sample looks again */
}

/* What no thief can get at. The caller keeps the owner away. */
static bool has_private(const struct wf_proc *p)
{
	return p->next || p->fresh_count > 0 || (wf_runq_length(&p->runq) > 0 && !wf_u32_load(&p->runq.shared));
}

/* Whether so many threads compute without a processor that another one would only make the others slower. Those that have fallen
 * asleep since do not count; that is looked up once a slice. */
static bool crowded_locked(int64_t now)
{
	int most = wf_rt.config.max_computing;
	if (wf_rt.computing < most || now - monitor.counted_at < wf_monitor_pace.slice_ns)
		return wf_rt.computing >= most;
	monitor.counted_at = now;
	for (struct wf_worker *w = wf_rt.all_workers; w; w = w->all_next)
		if (w->computing && wf_os_thread_sleeps((int)wf_u32_load(&w->os_id))) {
			w->computing = false;
			wf_rt.computing--;
		}
	return wf_rt.computing >= most;
}

/* Gives a worker that is outside an idle processor for the one it has, so that it goes on with one. False: none is idle. */
static bool swap_locked(struct wf_worker *w, int64_t now)
{
	struct wf_proc *p = w->proc, *other = wf_take_idle_locked(NULL);
	if (!other)
		return false;
	p->worker = NULL;
	other->worker = w;
	wf_hold(w, other);
	wf_watchdog_swapped(w, other);
	monitor.seen[other->index].dispatches = wf_load(&other->stats.dispatches);
	monitor.seen[other->index].since = now;
	monitor.seen[other->index].alone = false;
	wf_store_release(&w->request, WF_REQUEST_NONE); /* pairs with the acquire in wf_enter: it has another one */
	wf_count(&wf_rt.handoffs);
	return true;
}

/* Takes the processor if its worker is outside the runtime and something waits: for anybody (wanted), or privately behind it. Who
 * computes, and would be one too many that does so without a processor, has an idle one instead, if there is one. A thread that
 * sleeps in the kernel (asleep) gives it up in any case after a slice (spent); then it becomes idle. True: it was taken, and
 * needs a worker. */
static bool take_locked(struct wf_proc *p, int64_t now, bool wanted, bool asleep, bool spent)
{
	struct wf_worker *w = p->worker;
	wf_store(&w->request, WF_REQUEST_ASKED); /* pairs with the look in wf_enter */
	wf_fence_heavy();
	bool outside = wf_load_acquire(&w->inside) == 0; /* pairs with the release in wf_leave */
	bool waits = outside && (wanted || has_private(p));
	if (waits && !asleep && crowded_locked(now) && swap_locked(w, now))
		return true;
	if (waits || (outside && asleep && spent)) {
		w->proc = NULL;
		w->away = true;
		w->computing = !asleep;
		wf_rt.computing += w->computing;
		wf_store_release(&w->request, WF_REQUEST_TAKEN); /* pairs with the acquire in settle */
		p->worker = NULL;
		wf_count(&wf_rt.handoffs);
		waits = waits || !somebody_polls();
		if (!waits)
			wf_put_idle_locked(p);
		return waits;
	}
	monitor.seen[p->index].alone = outside;
	if (outside)
		wf_u32_store(&p->news, 0); /* relaxed: before the release below; the worker is kept away until then */
	/* pairs with the acquire in wf_enter: we have looked */
	wf_store_release(&w->request, outside ? WF_REQUEST_NONE : WF_REQUEST_YIELD);
	return false;
}

static bool may_take_locked(void)
{
	static wf_u32 said;
	if (!wf_rt.config.handoff || wf_worker_available_locked())
		return wf_rt.config.handoff;
	if (wf_u32_cas_full(&said, 0, 1))
		wf_report("all %d threads are taken by coroutines that do not come back (WEFT_MAX_WORKERS)",
			  wf_rt.config.max_workers);
	return false;
}

/* Whether it is time to take the processor, and whether its thread sleeps. With another one idle, to be had instead, what waits
 * privately behind it need not wait for the slice to end, nor for fewer threads that compute without one. */
static bool is_due_locked(const struct wf_proc *p, int64_t now, bool wanted, bool idle, bool *asleep)
{
	int64_t stuck = now - monitor.seen[p->index].since;
	bool alone = !wanted && is_alone(p);
	bool spent = stuck >= (idle ? SAMPLE_NS : wf_monitor_pace.slice_ns);
	*asleep = false;
	if (!spent && (stuck < BLOCKED_NS || alone))
		return false;
	*asleep = wf_os_thread_sleeps((int)wf_u32_load(&p->worker->os_id));
	return *asleep || (spent && !alone && (idle || stuck >= wf_monitor_pace.crowded_ns || !crowded_locked(now)));
}

/* Returns whether a worker should be woken for what waits behind a busy one. */
static bool help(struct wf_proc *p, int64_t now)
{
	bool take = false, asleep;
	wf_lock(&wf_rt.lock);
	int64_t stuck = stuck_ns(p, now);
	bool idle = wf_u32_load(&wf_rt.idle_count) != 0, behind = waits_behind(p, now);
	bool wanted = !idle && (behind || work_for_anybody(now));
	if (stuck > 0 && is_due_locked(p, now, wanted, idle, &asleep) && may_take_locked())
		take = take_locked(p, now, wanted, asleep, stuck >= wf_monitor_pace.slice_ns);
	if (take) {
		monitor.seen[p->index].since = now;
		monitor.hurry = monitor.hurry || asleep;
	}
	if (take || behind || (stuck > 0 && !is_alone(p)))
		monitor.calm = 0;
	wf_unlock(&wf_rt.lock);
	if (take)
		wf_worker_hand(p);
	return behind && idle;
}

/* What is in the global queue was there at the last sample already. */
static bool global_waits(void)
{
	unsigned taken = wf_u32_load(&wf_rt.global.taken), count = wf_globq_count(&wf_rt.global);
	bool waits = count != 0 && (int)(monitor.global_seen - taken) > 0;
	monitor.global_seen = taken + count;
	if (count != 0)
		monitor.calm = 0; /* so that the next look comes soon */
	return waits;
}

static void sample(int64_t now)
{
	bool wanted = global_waits() || poller_is_stale(now);
	monitor.hurry = false;
	if (monitor.calm < DOUBLINGS * CALM_SAMPLES)
		monitor.calm++;
	unsigned made = wf_procs_made();
	for (unsigned i = 0; i < made; i++)
		wanted = help(wf_proc_at(i), now) || wanted;
	if (wanted) {
		monitor.calm = 0;
		wf_wake_worker();
	}
}

static void enforce_deadline(int64_t now)
{
	int64_t deadline = (int64_t)wf_load(&monitor.deadline);
	if (now < deadline || wf_live(true) == 0)
		return;
	wf_report("shutdown: these coroutines are still alive at the deadline:");
	wf_dump(STDERR_FILENO, WF_DUMP_TEXT);
	wf_os_exit_now(WEFT_STATUS_SHUTDOWN);
}

static void trace(int64_t now)
{
	if (now < monitor.trace_at)
		return;
	wf_trace(now);
	monitor.trace_at = now + wf_rt.config.trace_ns;
}

/* A round begins now and then, and goes on look by look. */
static void trim(int64_t now)
{
	if (now >= monitor.trim_at && !wf_stack_trim())
		monitor.trim_at = now + wf_monitor_pace.trim_ns;
}

/* How long a monitor that has nothing to look at may sleep; -1: for good. */
static int64_t sleep_ns(int64_t now)
{
	int64_t until = (int64_t)wf_load(&monitor.deadline);
	until = monitor.trace_at < until ? monitor.trace_at : until;
	until = monitor.trim_at < until && wf_stack_trimmable() ? monitor.trim_at : until;
	return until == WF_TIME_NEVER ? -1 : until > now ? until - now : SAMPLE_NS;
}

/* How long until the next look: for good only when nothing runs, and still nothing after saying so. */
static int64_t pause_ns(int64_t now)
{
	if (anything_runs()) {
		wf_u32_store(&monitor.check, 1);
		monitor.quiet_since = 0;
	} else if (!monitor.quiet_since) {
		monitor.quiet_since = now;
	}
	if (!monitor.quiet_since || now - monitor.quiet_since < QUIET_NS)
		return monitor.hurry ? BLOCKED_NS : wf_monitor_pace.sample_ns << monitor.calm / CALM_SAMPLES;
	if (wf_u32_cas_full(&monitor.check, 1, 0) && (int64_t)wf_load(&monitor.deadline) == WF_TIME_NEVER)
		wf_deadlock_check();
	wf_u32_store(&monitor.asleep, 1);
	wf_fence_full(); /* pairs with the one in wf_monitor_notice */
	return anything_runs() || monitor.watching ? SAMPLE_NS : sleep_ns(now);
}

static void monitor_main(void *arg)
{
	(void)arg;
	while (!wf_u32_load_acquire(&monitor.stop)) { /* pairs with wf_monitor_stop */
		int64_t now = wf_os_now();
		sample(now);
		enforce_deadline(now);
		trace(now);
		monitor.watching = wf_watchdog_look(now);
		if (wf_signals_pending())
			wf_signals_deliver();
		trim(now);
		doze(pause_ns(now));
		wf_u32_store(&monitor.asleep, 0);
	}
}

void wf_monitor_poke(void)
{
	wake();
}

void wf_monitor_thread_stuck(void)
{
	wf_u32_store(&monitor.check, 1);
	wf_monitor_notice();
}

/* ---- its life ---------------------------------------------------------------------------------------------------------- */

int wf_monitor_start(void)
{
	memset(&monitor, 0, sizeof monitor); /* what was seen of an earlier run says nothing about this one */
	wf_store(&monitor.deadline, (uintptr_t)WF_TIME_NEVER);
	wf_u32_store(&monitor.check, 1);
	monitor.trim_at = wf_os_now() + wf_monitor_pace.trim_ns;
	monitor.trace_at = wf_rt.config.trace_ns > 0 ? wf_os_now() + wf_rt.config.trace_ns : WF_TIME_NEVER;
	wf_trace_start();
	return wf_os_thread_start(&monitor.thread, "weft-monitor", monitor_main, NULL);
}

void wf_monitor_stop(void)
{
	wf_u32_store_release(&monitor.stop, 1); /* pairs with monitor_main */
	wake();
	wf_os_thread_join(monitor.thread);
}

void wf_monitor_set_deadline(weft_time deadline)
{
	uintptr_t former;
	do
		former = wf_load(&monitor.deadline);
	while ((int64_t)former > deadline && !wf_cas_full(&monitor.deadline, former, (uintptr_t)deadline));
	wake();
}
