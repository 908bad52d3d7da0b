#include "scope_util.h"

struct weft_co *running_co(void)
{
	struct wf_worker *w = wf_worker_self();
	CHECK(w != NULL);
	return w->co;
}

static bool waits_for(const struct weft_co *co, enum wf_reason why)
{
	uintptr_t phase = wf_load_acquire(&co->wait.claim) & WF_PHASE_MASK;
	return phase == WF_PARKED && wf_u8_load(&co->wait.why) == why;
}

void await_waiting(const struct weft_co *co, enum wf_reason why)
{
	EVENTUALLY(waits_for(co, why));
}

void open_scope(struct weft_scope *scope, unsigned flags, int limit, weft_time deadline)
{
	struct weft_scope_opts opts = {.size = sizeof opts, .flags = flags, .limit = limit, .deadline = deadline};
	CHECK_RESULT(weft_scope_open(scope, &opts), 0);
}

void go_in(struct weft_scope *scope, weft_fn *fn, void *arg)
{
	CHECK_RESULT(weft_scope_go(scope, fn, arg), 0);
}

int sleep_on(void *unused)
{
	(void)unused;
	return weft_sleep(WEFT_SEC(10000));
}

static uint64_t case_seed;

static void draw_case_seed(void)
{
	case_seed = random_seed();
}

uint64_t seed_for(uint64_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, draw_case_seed);
	uint64_t seed = case_seed ^ n * 0x9e3779b97f4a7c15u;
	return seed ? seed : 1;
}
