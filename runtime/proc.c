#include "proc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "switch.h"

enum {
	CREDIT_BATCH = 64,
};

struct wf_runtime wf_rt;
wf_word wf_up, wf_guests;

/* ---- stacks of a processor ------------------------------------------------------------------------------------------- */

int wf_proc_add_credits(struct wf_proc *p)
{
	int result = wf_stack_reserve(wf_rt.stack_class, CREDIT_BATCH);
	if (result == 0)
		p->credits += CREDIT_BATCH;
	return result;
}

void wf_proc_spill(struct wf_proc *p)
{
	if (p->credits > 2 * CREDIT_BATCH) {
		wf_stack_unreserve(wf_rt.stack_class, p->credits - CREDIT_BATCH);
		p->credits = CREDIT_BATCH;
	}
	if (p->stack_count < WF_STACK_CACHE)
		return;
	struct wf_stack *first = p->stacks, *last = first;
	for (unsigned i = 1; i < WF_STACK_CACHE / 2; i++)
		last = last->next;
	p->stacks = last->next;
	last->next = NULL;
	p->stack_count -= WF_STACK_CACHE / 2;
	wf_stack_give(first, WF_STACK_CACHE / 2);
}

/* ---- how many processors --------------------------------------------------------------------------------------------- */

static struct wf_proc *new_proc(int index)
{
	struct wf_proc *p = aligned_alloc(WF_CACHE_LINE, sizeof *p);
	if (!p)
		return NULL;
	if (wf_stack_add_cache(wf_rt.stack_class) != 0) {
		free(p);
		return NULL;
	}
	memset(p, 0, sizeof *p);
	wf_timers_init(&p->timers);
	p->index = index;
	p->random = 0x9e3779b9u * (unsigned)(index + 1);
	p->state = WF_PROC_UNUSED;
	return p;
}

/* Memory first, so that a failure changes nothing. */
static int make_procs(unsigned n)
{
	for (unsigned i = wf_procs_made(); i < n; i++) {
		struct wf_proc *p = new_proc((int)i);
		if (!p)
			return -ENOMEM;
		wf_store_release(&wf_rt.procs[i], (uintptr_t)p); /* pairs with wf_proc_at */
		wf_u32_store_release(&wf_rt.procs_made, i + 1);  /* pairs with wf_procs_made */
	}
	return 0;
}

static void open_proc_locked(struct wf_proc *p)
{
	wf_u32_store(&p->retire, 0); /* if it was to be given up, it need not be any more */
	if (p->state != WF_PROC_UNUSED)
		return;
	p->state = WF_PROC_IDLE;
	wf_list_push(&wf_rt.idle_procs, &p->idle);
	wf_u32_add_full(&wf_rt.idle_count, 1);
}

static void close_proc_locked(struct wf_proc *p)
{
	if (p->state == WF_PROC_IDLE) {
		wf_list_remove(&p->idle);
		wf_u32_add_full(&wf_rt.idle_count, -1);
		p->state = WF_PROC_UNUSED;
	} else if (p->state == WF_PROC_RUNNING) {
		wf_u32_store(&p->retire, 1);
	}
}

int wf_procs_set(int n)
{
	wf_lock(&wf_rt.procs_lock);
	int former = (int)wf_u32_load(&wf_rt.proc_count), result = make_procs((unsigned)n);
	if (result == 0) {
		wf_lock(&wf_rt.lock);
		wf_u32_store(&wf_rt.proc_count, (unsigned)n);
		for (unsigned i = 0; i < wf_procs_made(); i++)
			(i < (unsigned)n ? open_proc_locked : close_proc_locked)(wf_proc_at(i));
		wf_unlock(&wf_rt.lock);
	}
	wf_unlock(&wf_rt.procs_lock);
	return result == 0 ? former : result;
}

/* What timers are still set fire, and find that the runtime is down: they are let go of. */
void wf_procs_free(void)
{
	for (unsigned i = 0; i < wf_procs_made(); i++)
		wf_timers_run(&wf_proc_at(i)->timers, WF_TIME_NEVER);
	for (unsigned i = 0; i < wf_procs_made(); i++)
		free(wf_proc_at(i));
}

/* ---- counting -------------------------------------------------------------------------------------------------------- */

/* Ends are read before beginnings, and before it is known how many processors there are to begin on, so that a difference of 0 was
 * true in between: ends are rounded down and beginnings up. Daemons are subtracted, so they round the other way:
 *
 *   a daemon begins         whoever counts            a daemon ends           whoever counts
 *   1 spawned + 1           1 daemons_spawned         1 daemons_ended + 1     1 ended
 *   2 daemons_spawned + 1   2 spawned                 2 ended + 1             2 daemons_ended
 *
 * Each 2 on the left is a release, each 1 on the right an acquire; so is the end of any coroutine, for it was spawned before. */
static uint64_t count_ended(const struct wf_proc_stats *s, bool with_daemons)
{
	uint64_t all = wf_load_acquire(&s->ended);
	return all - (with_daemons ? 0 : wf_load_acquire(&s->daemons_ended));
}

static uint64_t count_begun(const wf_word *spawned, const wf_word *daemons, bool with_daemons)
{
	uint64_t of_daemons = with_daemons ? 0 : wf_load_acquire(daemons);
	return wf_load_acquire(spawned) - of_daemons;
}

uint64_t wf_live(bool with_daemons)
{
	unsigned made = wf_procs_made();
	uint64_t ended = 0, begun = 0;
	for (unsigned i = 0; i < made; i++)
		ended += count_ended(&wf_proc_at(i)->stats, with_daemons);
	begun = count_begun(&wf_rt.foreign_spawned, &wf_rt.foreign_daemons, with_daemons);
	made = wf_procs_made();
	for (unsigned i = 0; i < made; i++) {
		const struct wf_proc_stats *s = &wf_proc_at(i)->stats;
		begun += count_begun(&s->spawned, &s->daemons_spawned, with_daemons);
	}
	return begun - ended;
}

void wf_drain_check(void)
{
	unsigned what = wf_u32_load(&wf_rt.draining); /* pairs with the fence of the waiter: it, or we, see the count at 0 */
	if (wf_likely(what == WF_DRAIN_NO) || wf_live(what == WF_DRAIN_ALL) != 0)
		return;
	wf_u32_add_full(&wf_rt.drained, 1); /* pairs with the acquire in wait_drained (init.c) */
	wf_os_futex_wake(&wf_rt.drained, INT32_MAX);
}
