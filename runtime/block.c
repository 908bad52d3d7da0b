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
	if (p->next || p->fresh_count > 0 || wf_runq_length(&p->runq) > 0 || wf_globq_count(&wf_rt.global) != 0)
		return true;
	return !wf_u32_load(&wf_rt.polling) && (wf_netpoll_active() || wf_next_timer() != WF_TIME_NEVER);
}

/* Afterwards the worker has none, and its next entry finds that out. Whether the processor is needed: it is on the idle list if
 * not. */
static bool give_up_locked(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	bool needed = is_needed_locked(p);
	w->proc = NULL;
	p->worker = NULL;
	wf_store(&w->request, WF_REQUEST_TAKEN); /* relaxed: its own, and settle's acquire is for what the monitor wrote */
	wf_count(&wf_rt.handoffs);
	if (!needed)
		wf_put_idle_locked(p);
	return needed;
}

static void find_owner(struct wf_proc *p, bool needed)
{
	if (needed)
		wf_worker_hand(p);
	else
		wf_look_again();
}

/* ---- blocking -------------------------------------------------------------------------------------------------------- */

static void hand_over(struct wf_worker *w)
{
	struct wf_proc *p = w->proc;
	wf_lock(&wf_rt.lock);
	bool done = wf_worker_available_locked(), needed = done && give_up_locked(w);
	wf_unlock(&wf_rt.lock);
	if (done)
		find_owner(p, needed);
}

void weft_block_enter(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return;
	w->co->blocking++;
	w = wf_enter_here();
	if (w)
		hand_over(w);
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

/* ---- pinning ----------------------------------------------------------------------------------------------------------- */

void weft_pin(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w || w->co->pins++ > 0)
		return;
	w->co->pinned = w;
	w->co->special |= WF_CO_PINNED;
	w->pinned = w->co;
}

void wf_unpin(struct wf_worker *w, struct weft_co *co)
{
	co->pins = 0;
	co->special &= (unsigned char)~WF_CO_PINNED;
	w->pinned = NULL;
}

void weft_unpin(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return;
	if (w->co->pins == 0)
		wf_fatal("weft_unpin without weft_pin");
	if (w->co->pins == 1)
		wf_unpin(w, w->co);
	else
		w->co->pins--;
}

static void sleep_until_delivered(struct wf_worker *w)
{
	while (!wf_u32_load_acquire(&w->signal)) /* pairs with the release in wf_deliver */
		wf_os_futex_wait(&w->signal, 0, -1);
	struct wf_proc *p = w->handed;
	w->handed = NULL;
	wf_hold(w, p);
}

void wf_await_pinned(struct wf_worker *w)
{
	struct wf_proc *p = w->proc, *taken = NULL;
	bool needed = false;
	if (wf_stress(2))
		wf_os_sleep(50000); /* the coroutine can be woken and delivered first */
	wf_lock(&wf_rt.lock);
	bool ready = w->pin_ready;
	w->pin_ready = false;
	if (ready && !p)
		taken = wf_take_idle_locked(w);
	bool waits = !ready || (!p && !taken);
	if (waits) {
		wf_u32_store(&w->signal, 0);
		w->pin_waits = true;
		needed = p && give_up_locked(w);
	}
	wf_unlock(&wf_rt.lock);
	if (taken)
		wf_hold(w, taken);
	if (!waits)
		return;
	if (p)
		find_owner(p, needed);
	else if (ready) /* and no processor for it: whoever comes to it delivers it again */
		wf_global_push(w->pinned);
	sleep_until_delivered(w);
}

void wf_deliver(struct wf_worker *w, struct weft_co *co)
{
	struct wf_worker *to = co->pinned;
	wf_lock(&wf_rt.lock);
	bool waits = to->pin_waits;
	if (waits) {
		to->pin_waits = false;
		to->handed = wf_take_idle_locked(to);
		if (!to->handed) {
			to->handed = w->proc;
			w->proc = NULL;
			wf_give_locked(to->handed, to);
		}
		wf_u32_store_release(&to->signal, 1); /* pairs with the acquire in sleep_until_delivered */
	} else {
		to->pin_ready = true;
	}
	wf_unlock(&wf_rt.lock);
	if (waits)
		wf_os_futex_wake(&to->signal, 1); /* it may be gone by now: only its address is used */
}
