/* The gate against a monitor that asks for processors all the time: a processor never has two owners, and what one of them leaves
 * behind is seen by the next. WEFT_GATE_ENTRIES: how many entries, 10 million unless set. */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"
#include "monitor.h"
#include "sched.h"

enum { PROCS_MAX = 4, EXTRA = 3 };

/* A processor's, changed by whoever owns it, as plainly as the processor's own fields: TSan objects to two owners, and to two that
 * are not ordered; and a count that was lost is missed in the end. */
static struct {
	volatile uint64_t entries;
	struct wf_worker *volatile owner;
	char padding[WF_CACHE_LINE];
} owned[PROCS_MAX];

static long each;            /* entries of each coroutine */
static atomic_long without; /* those that found the processor gone */

static void pass(int steps)
{
	for (int i = 0; i < steps; i++)
		__asm__ volatile("");
}

static void use_as_owner(struct wf_worker *w, int steps)
{
	int i = w->proc->index;
	CHECK(owned[i].owner == NULL);
	owned[i].owner = w;
	owned[i].entries++;
	pass(steps);
	CHECK_PTR(owned[i].owner, w);
	CHECK(w->proc && w->proc->index == i);
	owned[i].owner = NULL;
}

/* Calls of both kinds: those that come back with a processor, and those that never switch. Mostly short. Some stay, inside and
 * outside, for as long as the monitor takes to decide: who enters sooner notices the request, and keeps the processor. */
static int enter_often(void *arg)
{
	long gone = 0;
	for (long n = 0; n < each; n++) {
		struct wf_worker *w = n % 2 ? wf_enter() : wf_enter_here();
		if (w)
			use_as_owner(w, n % 512 < 2 ? 20000 : 0);
		else
			gone++;
		wf_leave(w);
		pass(n % 512 < 2 ? 20000 : 16);
	}
	atomic_fetch_add(&without, gone);
	(void)arg;
	return 0;
}

static int run_all(void *arg)
{
	int n = weft_maxprocs() + EXTRA; /* more than processors: somebody always waits */
	struct weft_co *co[PROCS_MAX + EXTRA];
	const char *text = getenv("WEFT_GATE_ENTRIES");
	long rounds = 0;
	each = (text ? atol(text) : test_scaled(10000000)) / n;
	for (; stats_now().handoffs < 10; rounds++) { /* one round, unless the machine is very busy */
		for (int i = 0; i < n; i++)
			co[i] = spawn_co(NULL, enter_often, NULL);
		for (int i = 0; i < n; i++)
			join_co(co[i]);
	}
	long sum = atomic_load(&without);
	for (int i = 0; i < PROCS_MAX; i++)
		sum += (long)owned[i].entries;
	CHECK_EQ(sum, rounds * each * n);
	printf("%ld entries, %llu processors taken, %ld entries without one\n", sum, (unsigned long long)stats_now().handoffs,
	       atomic_load(&without));
	(void)arg;
	return 0;
}

static int call_without_processor(void *arg)
{
	(void)arg;
	weft_block_enter();
	wf_lock(&wf_rt.lock);
	CHECK(!wf_enter_here());
	wf_leave(NULL);
	wf_unlock(&wf_rt.lock);
	weft_block_exit();
	return 0;
}

/* Threads that compute without a processor may make many calls: they do not wait for each other at the scheduler's lock. */
TEST(a_call_that_never_switches_takes_no_lock_without_a_processor)
{
	CHECK_RESULT(weft_run(NULL, call_without_processor, NULL), 0);
}

/* A loop of nothing but calls that never switch goes on for ever: what it owes does not. */
CO_TEST(a_budget_is_not_overdrawn)
{
	struct weft_sem sem = { 0 };
	struct weft_mutex mutex = { 0 };
	struct wf_worker *w = wf_enter();
	int owes = w->budget = -5;
	wf_leave(w);
	weft_sem_post(&sem, 1);
	CHECK(weft_mutex_trylock(&mutex));
	weft_mutex_unlock(&mutex);
	w = wf_worker_self();
	CHECK_EQ(w->budget, owes);
}

TEST(never_two_owners)
{
	wf_monitor_pace.sample_ns = 0;
	wf_monitor_pace.slice_ns = 1;
	CHECK_RESULT(weft_run(NULL, run_all, NULL), 0);
}
