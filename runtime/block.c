/* Coroutines that say that they are about to block. The worker gives its processor up as the monitor would take it from a coroutine
 * that is away (docs/protocols.md, "Gate"), and finds out in the same way, at its next entry. */
#include <weft/blocking.h>

#include "check.h"
#include "netpoll.h"
#include "switch.h"

/* Whether a worker is needed for the processor now: for its own work, for everybody's, or to look after timers and descriptors.
 * What comes later finds it on the idle list. */
static bool is_needed_locked(const struct wf_proc *p)
{
	if (p->next || p->fresh_count > 0 || wf_runq_length(&p->runq) > 0 || wf_u32_load(&wf_rt.global_count) != 0)
		return true;
	return !wf_u32_load(&wf_rt.polling) && (wf_netpoll_active() || wf_next_timer() != WF_TIME_NEVER);
}

void wf_hand_over(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	wf_lock(&wf_rt.lock);
	bool needed = is_needed_locked(p);
	w->proc = NULL;
	p->worker = NULL;
	wf_store(&w->request, WF_REQUEST_TAKEN);
	wf_count(&wf_rt.handoffs);
	if (!needed)
		wf_put_idle_locked(p);
	wf_unlock(&wf_rt.lock);
	if (needed)
		wf_worker_hand(p);
	else
		wf_look_again();
}

static bool may_hand_over(void)
{
	wf_lock(&wf_rt.lock);
	bool available = wf_worker_available_locked();
	wf_unlock(&wf_rt.lock);
	return available;
}

void weft_block_enter(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return;
	w->co->blocking++;
	w = wf_enter_here();
	if (w && may_hand_over())
		wf_hand_over(w);
	wf_leave(w);
}

void weft_block_exit(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return;
	if (w->co->blocking == 0)
		wf_fatal("weft_block_exit without weft_block_enter");
	if (--w->co->blocking == 0)
		wf_leave(wf_enter());
}
