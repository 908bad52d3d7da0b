#include "probe.h"

#include "sched.h"

enum { IDLE, WANTED, WRITING, DONE, PHASE_BITS = 2, PHASE_MASK = 3 };

static struct wf_lock lock; /* one question at a time */
static wf_word state;       /* number << PHASE_BITS | phase */
static wf_word meant;       /* struct wf_worker * */
static struct wf_probe answer;

void wf_probe_answer(int number)
{
	(void)number;
	uintptr_t now = wf_load_acquire(&state); /* pairs with wf_probe_ask */
	const struct wf_worker *w = wf_worker_self();
	if ((now & PHASE_MASK) != WANTED || !w || wf_load(&meant) != (uintptr_t)w)
		return;
	if (!wf_cas_full(&state, now, (now & ~(uintptr_t)PHASE_MASK) | WRITING))
		return;
	const struct weft_co *co = w->co;
	answer.id = co ? co->id : 0;
	for (size_t i = 0; i < sizeof answer.name; i++)
		answer.name[i] = co ? (char)wf_u8_load(&co->name[i]) : 0;
	answer.frame_count = wf_os_frames(answer.frames, WF_PROBE_FRAMES);
	wf_store_release(&state, (now & ~(uintptr_t)PHASE_MASK) | DONE); /* pairs with wf_probe_ask */
}

/* Until the phase is no longer WANTED; at most ns. */
static bool await_answer(uintptr_t number, int64_t ns)
{
	enum { STEP_NS = 50000 };
	for (int64_t until = wf_os_now() + ns; wf_os_now() < until;) {
		if (wf_load_acquire(&state) == (number | DONE)) /* pairs with wf_probe_answer */
			return true;
		wf_os_sleep(STEP_NS);
	}
	if (wf_cas_full(&state, number | WANTED, number | IDLE)) /* it won't answer any more */
		return false;
	while (wf_load_acquire(&state) != (number | DONE)) /* it is at it */
		wf_os_sleep(STEP_NS);
	return true;
}

bool wf_probe_ask(const struct wf_worker *w, int thread_id, struct wf_probe *result)
{
	enum { PATIENCE_NS = 100000000 };
	wf_lock(&lock);
	uintptr_t number = (wf_load(&state) & ~(uintptr_t)PHASE_MASK) + (1 << PHASE_BITS);
	wf_store(&meant, (uintptr_t)w);
	wf_store_release(&state, number | WANTED); /* pairs with wf_probe_answer */
	bool answered = wf_os_signal_thread(thread_id) && await_answer(number, PATIENCE_NS);
	if (answered)
		*result = answer;
	else
		wf_store(&state, number | IDLE);
	wf_unlock(&lock);
	return answered;
}
