#include "deadlock.h"

#include <unistd.h>

#include "check.h"
#include "dump.h"
#include "sched.h"
#include "switch.h"

wf_u32 wf_threads_stuck;
wf_u32 wf_signals_wanted;

bool wf_is_internal(enum wf_reason why)
{
	switch (why) {
	case WF_WHY_JOIN:
	case WF_WHY_EXIT:
	case WF_WHY_SLEEP: /* for ever, if no timer is set */
	case WF_WHY_CHAN_SEND:
	case WF_WHY_CHAN_RECV:
	case WF_WHY_SELECT:
	case WF_WHY_MUTEX:
	case WF_WHY_RWMUTEX:
	case WF_WHY_COND:
	case WF_WHY_SEM:
	case WF_WHY_WAITGROUP:
	case WF_WHY_ONCE:
	case WF_WHY_SCOPE:
	case WF_WHY_WATCH:
	case WF_WHY_FLIGHT:
	case WF_WHY_MAILBOX_SEND:
	case WF_WHY_MAILBOX_RECV:
	case WF_WHY_FD_TURN: /* who has the turn is looked at, too */
		return true;
	default:
		return false;
	}
}

static bool is_stuck(struct weft_co *co, void *count)
{
	enum wf_state state = (enum wf_state)wf_u8_load(&co->state);
	if (state == WF_STATE_DEAD || state == WF_STATE_FREE)
		return true;
	++*(unsigned long *)count;
	return state == WF_STATE_PARKED && (wf_load_acquire(&co->wait.claim) & WF_PHASE_MASK) == WF_PARKED &&
	       wf_is_internal(wf_u8_load(&co->wait.why));
}

static bool somebody_else_runs(void)
{
	enum { MONITOR = 1 };
	int all = wf_os_thread_count();
	int known = (int)(wf_u32_load(&wf_rt.worker_count) + wf_helper_count() + wf_u32_load(&wf_threads_stuck)) + MONITOR;
	return all == 0 || all > known;
}

static uint64_t dispatches(void)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < wf_procs_made(); i++)
		sum += wf_load(&wf_proc_at(i)->stats.dispatches);
	return sum;
}

static bool is_deadlock(unsigned long *count)
{
	uint64_t before = dispatches();
	*count = 0;
	return wf_live(false) != 0 && wf_next_timer() == WF_TIME_NEVER && wf_u32_load(&wf_signals_wanted) == 0 &&
	       !somebody_else_runs() && wf_co_all(is_stuck, count) && *count > 0 && dispatches() == before && !somebody_else_runs();
}

void wf_deadlock_check(void)
{
	unsigned long count;
	int action = wf_rt.config.on_deadlock;
	if (action == WEFT_DEADLOCK_DEFAULT)
		action = wf_u32_load(&wf_rt.whole_program) ? WEFT_DEADLOCK_EXIT : WEFT_DEADLOCK_REPORT;
	if (action == WEFT_DEADLOCK_OFF || !is_deadlock(&count))
		return;
	wf_report("deadlock: %lu coroutines wait, and nothing is left that could wake any of them:", count);
	wf_dump(STDERR_FILENO, WF_DUMP_TEXT);
	if (action == WEFT_DEADLOCK_EXIT)
		wf_os_exit_now(WEFT_STATUS_DEADLOCK);
}
