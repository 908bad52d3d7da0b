/* Start and stop. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "deadlock.h"
#include "debug.h"
#include "monitor.h"
#include "netpoll.h"
#include "sched.h"
#include "signals.h"
#include "switch.h"
#include "watchdog.h"

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER; /* one start or stop at a time; held for as long as a stop takes */

/* In the child of a fork: none of the other threads is there, so nothing of the runtime works. What the handlers of the program saw
 * before weft came is put back. */
static void forked(void)
{
	if (!wf_load(&wf_up))
		return;
	wf_u32_store(&wf_is_fork, 1);
	wf_tls_worker = NULL;
	wf_os_signal_give_all();
}

static void watch_forks(void)
{
	static bool watched;
	if (!watched)
		wf_os_at_fork(forked);
	watched = true;
}

enum {
	COMPUTING_MIN = 16, /* config.max_computing is at least so much, unless it is set */
};

static int check_config(const struct weft_config *c)
{
	if (c->size < sizeof *c || c->maxprocs < 1 || c->maxprocs > WEFT_MAXPROCS_LIMIT || c->spin_ns < 0 || c->max_workers < 1 ||
	    c->max_computing < 0 || c->max_helpers < 1 || c->max_lookups < 1 || c->helper_idle_ns < 0)
		return -EINVAL;
	return wf_stack_class(c->stack_size);
}

static void set_up(const struct weft_config *config, int stack_class)
{
	memset(&wf_rt, 0, sizeof wf_rt);
	wf_rt.config = *config;
	wf_rt.stack_class = (unsigned)stack_class;
	if (wf_rt.config.max_computing == 0)
		wf_rt.config.max_computing = 4 * config->maxprocs > COMPUTING_MIN ? 4 * config->maxprocs : COMPUTING_MIN;
	wf_list_init(&wf_rt.idle_procs);
	wf_list_init(&wf_rt.idle_workers);
	wf_globq_init(&wf_rt.global);
	wf_os_membarrier_init();
	wf_lock_init();
}

static void free_everything(void)
{
	wf_procs_free();
	wf_co_free_all();
	wf_stack_free_all();
	memset(&wf_rt, 0, sizeof wf_rt);
}

/* In an order in which each step can be undone by the ones above it. */
static int start_parts(void)
{
	int result = wf_netpoll_start();
	if (result != 0)
		return result;
	wf_watchdog_start();
	if ((result = wf_procs_set(wf_rt.config.maxprocs)) >= 0 && (result = wf_monitor_start()) == 0) {
		wf_debug_start();
		wf_signals_start();
		wf_helpers_start();
		return 0;
	}
	wf_watchdog_stop();
	wf_netpoll_stop();
	return result;
}

static int start_locked(const struct weft_config *config)
{
	struct weft_config defaults;
	if (!config) {
		weft_config_init(&defaults);
		config = &defaults;
	}
	int stack_class = check_config(config);
	if (stack_class < 0)
		return stack_class;
	if (wf_load(&wf_up))
		return -EBUSY;
	set_up(config, stack_class);
	int result = start_parts();
	if (result < 0)
		free_everything();
	else
		wf_store_release(&wf_up, 1); /* pairs with the acquire of whoever asks */
	return result < 0 ? result : 0;
}

int weft_start(const struct weft_config *config)
{
	if (wf_worker_self())
		return -EBUSY; /* at once: whoever holds the lock may wait for this coroutine */
	wf_check_not_forked();
	pthread_mutex_lock(&life);
	watch_forks();
	int result = start_locked(config);
	pthread_mutex_unlock(&life);
	return result;
}

/* ---- stopping ---------------------------------------------------------------------------------------------------------- */

/* Waits until no coroutine (but daemons) is left. */
static int wait_drained(enum wf_draining what, weft_time deadline)
{
	wf_u32_store(&wf_rt.draining, what);
	wf_fence_heavy(); /* pairs with those before every wf_drain_check: it sees what we wait for, or we see the count */
	int64_t left = -1;
	for (;;) {
		unsigned seen = wf_u32_load_acquire(&wf_rt.drained); /* pairs with wf_drain_check; one may come late */
		if (wf_live(what == WF_DRAIN_ALL) == 0 || (left = wf_time_left(deadline)) == 0)
			break;
		int stuck = left < 0;
		wf_u32_add_full(&wf_threads_stuck, stuck);
		if (stuck)
			wf_monitor_thread_stuck();
		wf_os_futex_wait(&wf_rt.drained, seen, wf_san_nap(left));
		wf_u32_add_full(&wf_threads_stuck, -stuck);
	}
	wf_u32_store(&wf_rt.draining, WF_DRAIN_NO);
	return left == 0 ? -ETIMEDOUT : 0;
}

static void turn_guests_out(void)
{
	wf_store(&wf_up, 0);
	wf_fence_full(); /* pairs with the one in wf_enter_guest: it sees that, or we see the guest */
	while (wf_load_acquire(&wf_guests) != 0) /* pairs with wf_leave_guest */
		wf_os_sched_yield();
}

static void stop_parts(void)
{
	wf_signals_stop();
	wf_helpers_stop();
	wf_monitor_stop();
	wf_workers_stop();
	wf_watchdog_stop();
	wf_netpoll_stop();
	wf_debug_stop();
	free_everything();
}

static int stop_locked(weft_time deadline)
{
	if (!wf_load(&wf_up))
		return -EINVAL;
	int result = wait_drained(WF_DRAIN_ALL_BUT_DAEMONS, deadline);
	if (result != 0)
		return result;
	wf_cancel_all(NULL);
	turn_guests_out();
	wait_drained(WF_DRAIN_ALL, WEFT_NEVER); /* what a guest made at the last moment runs as well */
	stop_parts();
	return 0;
}

int weft_stop(weft_time deadline)
{
	if (wf_worker_self())
		return -EINVAL;
	wf_check_not_forked();
	pthread_mutex_lock(&life);
	int result = stop_locked(deadline);
	pthread_mutex_unlock(&life);
	return result;
}

int weft_run(const struct weft_config *config, weft_fn *fn, void *arg)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	struct weft_co *co;
	int result = fn ? weft_start(config) : -EINVAL;
	if (result != 0)
		return result;
	attr.name = "main";
	wf_u32_store(&wf_rt.whole_program, 1);
	result = weft_spawn(&co, &attr, fn, arg);
	int failed = result == 0 ? weft_join(co, &result) : result;
	int stopped = weft_stop(WEFT_NEVER);
	wf_check(stopped == 0);
	return failed == 0 ? result : failed;
}

int weft_shutdown(weft_time deadline)
{
	struct wf_worker *w = wf_enter_here();
	bool up = wf_load_acquire(&wf_up);
	if (up) {
		wf_cancel_all(w);
		wf_monitor_set_deadline(deadline);
	}
	wf_leave(w);
	return up ? 0 : -EINVAL;
}

int weft_maxprocs(void)
{
	struct wf_worker *w = wf_enter_here();
	int n = wf_load_acquire(&wf_up) ? (int)wf_u32_load(&wf_rt.proc_count) : 0;
	wf_leave(w);
	if (n > 0)
		return n;
	struct weft_config config;
	weft_config_init(&config);
	return config.maxprocs;
}

int weft_set_maxprocs(int n)
{
	if (n < 1 || n > WEFT_MAXPROCS_LIMIT)
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	int former = wf_load_acquire(&wf_up) ? wf_procs_set(n) : -EINVAL;
	if (former >= 0 && former < n)
		wf_wake_worker(); /* there may be work for the new ones; the first wakes the next */
	wf_leave(w);
	return former;
}
