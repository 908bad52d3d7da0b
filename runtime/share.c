/* What a processor has to itself, and how others come to it. Private are the run-next place, the fresh ones, and a ring until it is
 * shared; who uses them needs no atomic operation. */
#include <limits.h>

#include "switch.h"

enum { BACKLOG_NS = 200000 }; /* a ring that has not been empty for so long pays for waking another worker */

/* Wakes nobody for a single event, for that costs more than most dispatches. relaxed: a policy; the monitor looks again. A ring
 * that is not shared is taken with the processor where the owner does not come back, so without handoff every ring is shared. */
void wf_offer(struct wf_proc *p)
{
	if (wf_u32_load(&wf_rt.proc_count) == 1)
		return;
	bool wanted = wf_proc_wants_help(p);
	if (wf_unlikely(!wf_u32_load(&p->runq.shared)) && (wanted || !wf_rt.config.handoff))
		wf_runq_share_owner(&p->runq);
	if (!wanted || wf_u32_load(&wf_rt.idle_count) == 0 || wf_runq_length(&p->runq) == 0)
		return;
	if (wf_u32_load(&p->dispatch_ns) >= WF_LONG_NS || wf_stress(2) ||
	    (p->backlog_since && p->looked_at - p->backlog_since >= BACKLOG_NS))
		wf_wake_worker();
}

/* Takes the fresh ones, the newest first: who joins them from the first on, and went before them, then waits once for all, and not
 * for each. */
static struct weft_co *take_fresh(struct wf_proc *p)
{
	struct weft_co *newest = p->fresh;
	p->fresh = NULL;
	p->fresh_count = 0;
	return newest;
}

/* Those that are linked by next, to the global queue. */
static void push_list(struct wf_proc *p, struct weft_co *co)
{
	while (co) {
		unsigned n = 0;
		for (; co && n < wf_countof(p->batch); co = co->next)
			p->batch[n++] = co;
		wf_globq_push_any(&wf_rt.global, p->batch, n);
	}
}

void wf_make_public(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	struct weft_co *next = p->next;
	unsigned n = p->fresh_count;
	p->next = NULL;
	if (next)
		wf_ring_push(w, next);
	if (n == 0)
		return;
	struct weft_co *co = take_fresh(p);
	if (wf_unlikely(n > WF_RUNQ_SIZE / 2)) {
		push_list(p, co);
		return;
	}
	for (; co; co = next) {
		next = co->next;
		wf_ring_push(w, co);
	}
}

WF_COLD void wf_proc_empty(struct wf_proc *p)
{
	struct weft_co *co;
	while ((co = wf_runq_pop_owner(&p->runq)))
		wf_global_push(co);
	if (p->next)
		wf_global_push(p->next);
	p->next = NULL;
	push_list(p, take_fresh(p));
}

WF_COLD void wf_retire(struct wf_worker *w)
{
	wf_proc_empty(w->proc);
	wf_wake_worker();
}

WF_COLD void wf_share_private(struct wf_worker *w)
{
	bool idle = wf_u32_load(&wf_rt.idle_count) != 0; /* relaxed: a policy */
	w->share_below = idle ? INT_MIN /* until there is something new */ : w->budget - WF_PRIVATE_AGAIN;
	if (!idle || (!w->proc->next && w->proc->fresh_count == 0))
		return;
	wf_make_public(w);
	wf_offer(w->proc);
	if (w->pinned) { /* it runs nobody else, and does not look around: others have to, now */
		wf_u32_store(&w->proc->aged_to, wf_u32_load(&w->proc->runq.tail)); /* relaxed: a hint */
		wf_runq_share_owner(&w->proc->runq);
		wf_wake_worker();
	}
}
