/* What a coroutine asks about itself, and sleeping. */
#include <errno.h>

#include "park.h"

int weft_cancelled(void)
{
	return wf_cancelled(wf_worker_self());
}

/* ---- sleeping ---------------------------------------------------------------------------------------------------------- */

int weft_sleep_until(weft_time when)
{
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_CALL);
	int result = wf_cancelled(w);
	if (result == 0 && when > wf_os_now()) {
		struct wf_wait *wait = wf_wait_begin(w, WF_WHY_SLEEP, NULL);
		result = wf_park(&w, wait, when, WF_CANCELLABLE);
		result = result == -ETIMEDOUT ? 0 : result;
	}
	wf_leave(w);
	return result;
}

int weft_sleep(int64_t ns)
{
	return ns <= 0 ? weft_cancelled() : weft_sleep_until(weft_after(ns));
}

/* ---- identity ---------------------------------------------------------------------------------------------------------- */

uint64_t weft_self(void)
{
	struct wf_worker *w = wf_worker_self();
	return w ? w->co->id : 0;
}

uint64_t weft_id(const struct weft_co *co)
{
	return co->id;
}

void weft_set_name(const char *name)
{
	struct wf_worker *w = wf_worker_self();
	if (w)
		wf_co_name(w->co, name);
}

const char *weft_name(void)
{
	struct wf_worker *w = wf_worker_self();
	return w ? wf_co_name_of(w->co) : "";
}

/* What is called from here needs less than a page. */
WF_NOINLINE int weft_stack_trim(void)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return -EINVAL;
	char *low = w->co->stack->low;
	uintptr_t page = wf_os_page_size(), depth = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)low;
	if (depth / page > 2)
		wf_os_discard(&low, 1, (depth / page - 2) * page);
	return 0;
}

int weft_stack_bounds(void **low, void **high)
{
	struct wf_worker *w = wf_worker_self();
	if (!w)
		return -EINVAL;
	*low = w->co->stack->low;
	*high = w->co->stack->top;
	return 0;
}
