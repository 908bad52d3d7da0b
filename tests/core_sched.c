/* Scheduling: who runs is decided so that everybody does, sooner or later. No case asserts a time: one that starves hangs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core_util.h"
#include "monitor.h"
#include "san.h"

static atomic_bool stop;
static atomic_int count;

static int current_thread(void) { return (int)syscall(SYS_gettid); }

static void run_with(struct weft_config config, weft_fn *fn)
{
	atomic_store(&stop, false);
	atomic_store(&count, 0);
	CHECK_RESULT(weft_run(&config, fn, NULL), 0);
}

static void go(weft_fn *fn, void *arg) { CHECK_RESULT(weft_go(fn, arg), 0); }

/* ---- what may starve others ------------------------------------------------------------------------------------------ */

static int yield_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		weft_yield();
	(void)arg;
	return 0;
}

static int compute_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		;
	(void)arg;
	return 0;
}

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

static int stop_all(void *arg)
{
	atomic_store(&stop, true);
	(void)arg;
	return 0;
}

static int tick(void *ticks)
{
	for (int i = 0; i < *(int *)ticks; i++)
		CHECK_RESULT(weft_sleep(WEFT_US(200)), 0);
	atomic_store(&stop, true);
	return 0;
}

CO_TEST(yielders_starve_no_coroutine)
{
	go(yield_until_stop, NULL);
	go(yield_until_stop, NULL);
	go(stop_all, NULL);
	while (!atomic_load(&stop))
		weft_yield();
}

CO_TEST(yielders_starve_no_timer)
{
	int ticks = 50;
	go(yield_until_stop, NULL);
	go(yield_until_stop, NULL);
	join_co(spawn_co(NULL, tick, &ticks));
}

static void *go_from_outside(void *arg)
{
	for (int i = 0; i < 100; i++)
		go(add_one, NULL);
	return arg;
}

CO_TEST(yielders_starve_no_thread)
{
	for (int i = 0; i < 4; i++)
		go(yield_until_stop, NULL);
	pthread_t thread = start_thread(go_from_outside, NULL);
	while (atomic_load(&count) < 100)
		weft_yield();
	atomic_store(&stop, true);
	join_thread(thread);
}

/* Each makes the next, which runs next. */
static int chain(void *arg)
{
	if (!atomic_load(&stop))
		go(chain, arg);
	return 0;
}

CO_TEST(chain_of_spawns_starves_nobody)
{
	int ticks = 20;
	go(chain, NULL);
	join_co(spawn_co(NULL, tick, &ticks));
}

static int join_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		join_co(spawn_co(NULL, add_one, NULL));
	(void)arg;
	return 0;
}

/* The child runs next, and then its joiner. */
CO_TEST(spawn_and_join_starves_nobody)
{
	struct weft_co *pair[2] = {spawn_co(NULL, join_until_stop, NULL), spawn_co(NULL, join_until_stop, NULL)};
	go(yield_until_stop, NULL);
	go(stop_all, NULL);
	join_co(pair[0]);
	join_co(pair[1]);
}

static int poll_until_stop(void *co)
{
	while (!atomic_load(&stop))
		CHECK_RESULT(weft_join_until(co, NULL, WEFT_NOW), -EAGAIN);
	return 0;
}

static int sleep_in_the_past(void *arg)
{
	while (!atomic_load(&stop))
		CHECK_RESULT(weft_sleep_until(1), 0);
	(void)arg;
	return 0;
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	return weft_sleep_until(WEFT_NEVER);
}

/* Calls that could wait and need not. Without help from the monitor. */
static int spend_budget(void *arg)
{
	struct weft_co *sleeper = spawn_co(NULL, sleep_for_ever, arg), *busy = spawn_co(NULL, poll_until_stop, sleeper);
	weft_yield();
	go(stop_all, NULL);
	join_co(busy);
	CHECK_RESULT(weft_cancel(sleeper), 0);
	CHECK_RESULT(join_co(sleeper), -ECANCELED);

	atomic_store(&stop, false);
	busy = spawn_co(NULL, sleep_in_the_past, arg);
	weft_yield();
	go(stop_all, NULL);
	join_co(busy);
	return 0;
}

TEST(calls_that_never_wait_starve_nobody)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	run_with(config, spend_budget);
}

/* ---- processors at work ---------------------------------------------------------------------------------------------- */

enum { THREADS_MAX = 64 };

static atomic_int threads[THREADS_MAX];

static void note_thread(void)
{
	int self = current_thread(), none = 0;
	for (int i = 0; i < THREADS_MAX; i++, none = 0)
		if (atomic_load(&threads[i]) == self || atomic_compare_exchange_strong(&threads[i], &none, self))
			return;
}

static int threads_noted(void)
{
	int n = 0;
	while (n < THREADS_MAX && atomic_load(&threads[n]) != 0)
		n++;
	return n;
}

static int compute(void *us)
{
	weft_time end = weft_after(WEFT_US(*(int *)us));
	while (weft_now() < end)
		;
	note_thread();
	return 0;
}

static int share_work(void *arg)
{
	int us = 500;
	struct weft_co *co[8];
	while (threads_noted() < 2) {
		for (int i = 0; i < 8; i++)
			co[i] = spawn_co(NULL, compute, &us);
		for (int i = 0; i < 8; i++)
			join_co(co[i]);
	}
	(void)arg;
	return 0;
}

TEST(long_dispatches_are_shared)
{
	struct weft_config config = config_with(2);
	config.handoff = false;
	run_with(config, share_work);
}

static int set_count(void *arg)
{
	(void)arg;
	atomic_store(&count, 1);
	return 0;
}

static int compute_until_it_ran(void *arg)
{
	(void)arg;
	struct weft_co *co = spawn_co(NULL, set_count, NULL);
	while (atomic_load(&count) == 0)
		;
	join_co(co);
	return 0;
}

/* Though its maker never comes back to the runtime, and its slice never ends. */
TEST(new_ones_go_to_an_idle_processor)
{
	wf_monitor_pace.slice_ns = INT64_MAX;
	run_with(config_with(2), compute_until_it_ran);
}

/* Holds its processor until as many others hold one as there are. Not at once: what is new is its processor's own, at first. */
static int meet(void *goal)
{
	for (weft_time end = weft_after(WEFT_US(200)); weft_now() < end;)
		weft_yield();
	atomic_fetch_add(&count, 1);
	while (atomic_load(&count) < *(int *)goal)
		;
	return 0;
}

static int meet_often(void *arg)
{
	struct weft_co *co[8];
	int procs = weft_maxprocs();
	for (int round = 0; round < 20; round++) {
		int goal = procs;
		atomic_store(&count, 0);
		for (int i = 0; i < procs; i++)
			co[i] = spawn_co(NULL, meet, &goal);
		for (int i = 0; i < procs; i++)
			join_co(co[i]);
		CHECK_RESULT(weft_sleep(WEFT_US(500) * (round % 4)), 0); /* some rounds find the workers asleep */
	}
	(void)arg;
	return 0;
}

/* One wakes the next until all processors are at work. */
TEST(work_for_all_reaches_all)
{
	for (int procs = 2; procs <= 4; procs++) {
		struct weft_config config = config_with(procs);
		config.handoff = false;
		run_with(config, meet_often);
	}
}

static int set_stop(void *arg)
{
	(void)arg;
	atomic_store(&stop, true);
	return 0;
}

static void *stop_from_outside(void *arg)
{
	go(set_stop, arg);
	return NULL;
}

/* They leave no room for the one that stops them, unless some of them make it. */
static int yield_in_crowds(void *arg)
{
	for (int i = 0; i < 400; i++)
		go(yield_until_stop, NULL);
	for (int i = 0; i < 100; i++)
		weft_yield();
	pthread_t thread = start_thread(stop_from_outside, arg);
	yield_until_stop(NULL);
	join_thread(thread);
	return 0;
}

TEST(a_full_ring_lets_others_in)
{
	run_with(config_with(1), yield_in_crowds);
}

/* Nothing is given to a processor that does not look: what runs next, what is in its ring, and its timers. */
static int sleep_behind_hog(void *arg)
{
	for (int i = 0; i < 3; i++) {
		atomic_store(&stop, false);
		go(compute_until_stop, arg);
		CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
		atomic_store(&stop, true);
	}
	return 0;
}

TEST(timer_behind_a_hog_fires)
{
	run_with(config_with(1), sleep_behind_hog);
	run_with(config_with(2), sleep_behind_hog);
}

static int hogs_and_ticker(void *arg)
{
	int ticks = 20, hogs = weft_maxprocs() + 1;
	struct weft_co *ticker = spawn_co(NULL, tick, &ticks);
	for (int i = 0; i < hogs; i++)
		go(compute_until_stop, arg);
	join_co(ticker);
	CHECK_GT(stats_now().handoffs, 0);
	return 0;
}

TEST(hogs_on_1_processor) { run_with(config_with(1), hogs_and_ticker); }
TEST(hogs_on_2_processors) { run_with(config_with(2), hogs_and_ticker); }
TEST(hogs_on_4_processors) { run_with(config_with(4), hogs_and_ticker); }

static int read_one(void *fd)
{
	char byte;
	CHECK_EQ(read(*(int *)fd, &byte, 1), 1);
	return byte;
}

CO_TEST(blocking_calls_block_nobody_else)
{
	enum { BLOCKED = 64 };
	struct weft_co *co[BLOCKED];
	int fds[2], ticks = 20;
	char bytes[BLOCKED];
	memset(bytes, 7, sizeof bytes);
	CHECK_EQ(pipe(fds), 0);
	for (int i = 0; i < BLOCKED; i++)
		co[i] = spawn_co(NULL, read_one, fds);
	join_co(spawn_co(NULL, tick, &ticks));
	CHECK_EQ(write(fds[1], bytes, sizeof bytes), BLOCKED);
	for (int i = 0; i < BLOCKED; i++)
		CHECK_EQ(join_co(co[i]), 7);
	close(fds[0]);
	close(fds[1]);
}

static int compute_for_100_ms(void *arg)
{
	int us = 100000;
	return compute(arg ? arg : &us);
}

static int hog_with_nobody_to_help(void *arg)
{
	struct weft_co *hog = spawn_co(NULL, compute_for_100_ms, arg), *other = spawn_co(NULL, add_one, NULL);
	join_co(other);
	join_co(hog);
	CHECK_EQ(stats_now().handoffs, 0);
	CHECK_EQ(threads_noted(), 1);
	note_thread();
	CHECK_EQ(threads_noted(), 1); /* nobody ever moved */
	return 0;
}

TEST(handoff_can_be_switched_off)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	run_with(config, hog_with_nobody_to_help);
}

/* ---- at the edges ------------------------------------------------------------------------------------------------------ */

/* The monitor sleeps while nothing runs, and must notice the first coroutine. */
TEST(monitor_wakes_for_the_first_hog)
{
	struct weft_config config = config_with(1);
	CHECK_RESULT(weft_start(&config), 0);
	for (int i = 0; i < 2000; i++)
		rest();
	go(compute_until_stop, NULL);
	rest();
	go(stop_all, NULL);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

static int raise_and_hog(void *arg)
{
	CHECK_RESULT(weft_set_maxprocs(2), 1);
	return compute_until_stop(arg);
}

/* Nobody may steal from the one processor there was until its owner has seen that there are two. */
static int raise_behind_hog(void *arg)
{
	go(raise_and_hog, arg);
	while (!atomic_load(&stop) && weft_maxprocs() == 1)
		weft_yield();
	atomic_store(&stop, true);
	return 0;
}

TEST(a_new_processor_helps_behind_a_hog) { run_with(config_with(1), raise_behind_hog); }

enum { YIELDERS = 4 };

static atomic_long turns[YIELDERS];

static int take_turns(void *mine)
{
	int us = 100; /* long enough to be shared */
	while (!atomic_load(&stop)) {
		compute(&us);
		atomic_fetch_add((atomic_long *)mine, 1);
		weft_yield();
	}
	return 0;
}

static void await_turns(void)
{
	long before[YIELDERS];
	for (int i = 0; i < YIELDERS; i++)
		before[i] = atomic_load(&turns[i]);
	for (int i = 0; i < YIELDERS; i++)
		while (atomic_load(&turns[i]) < before[i] + 3)
			weft_yield();
}

/* The processors that are left never come to rest, so nothing may be left on those that are given up. */
static int give_up_processors(void *arg)
{
	struct weft_co *co[YIELDERS];
	for (int i = 0; i < YIELDERS; i++)
		co[i] = spawn_co(NULL, take_turns, &turns[i]);
	for (int round = 0; round < test_scaled(100); round++) {
		CHECK_OK(weft_set_maxprocs(1 + round % 3));
		await_turns();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < YIELDERS; i++)
		join_co(co[i]);
	(void)arg;
	return 0;
}

TEST(a_processor_given_up_leaves_nobody) { run_with(config_with(3), give_up_processors); }

static int sleep_once(void *arg)
{
	CHECK_RESULT(weft_sleep(WEFT_MS(3)), 0);
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

static int meet_and_sleep(void *goal) { return meet(goal) || sleep_once(NULL); }

/* Sleepers on every processor, of which all but one are given up while the last is never idle. */
static int give_up_timers(void *arg)
{
	for (int round = 0; round < 20; round++) {
		int goal = weft_maxprocs();
		struct weft_co *co[3];
		atomic_store(&count, 0);
		for (int i = 0; i < 3; i++)
			co[i] = spawn_co(NULL, meet_and_sleep, &goal);
		while (atomic_load(&count) < goal)
			weft_yield();
		CHECK_RESULT(weft_set_maxprocs(1), 3);
		while (atomic_load(&count) < 2 * goal)
			weft_yield();
		for (int i = 0; i < 3; i++)
			join_co(co[i]);
		CHECK_RESULT(weft_set_maxprocs(3), 1);
	}
	(void)arg;
	return 0;
}

TEST(a_processor_given_up_leaves_no_timer) { run_with(config_with(3), give_up_timers); }

/* ---- no threads left ------------------------------------------------------------------------------------------------- */

/* Leaves no room for the stack of another thread; returns what to restore. */
static struct rlimit forbid_threads(void)
{
	struct rlimit former;
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	CHECK(statm != NULL);
	CHECK_EQ(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	CHECK_EQ(getrlimit(RLIMIT_AS, &former), 0);
	struct rlimit tight = {.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + (1 << 20), .rlim_max = former.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
	return former;
}

static void allow_threads(struct rlimit former) { CHECK_EQ(setrlimit(RLIMIT_AS, &former), 0); }

static void let_time_pass(void)
{
	for (int i = 0; i < 500; i++)
		rest();
}

/* Sanitizers need their address space, and emulators don't limit it. */
static void need_limits(void)
{
#if defined(WF_ASAN) || defined(WF_TSAN)
	SKIP("no limit of address space under sanitizers");
#endif
	enum { MUCH = 64 << 20 };
	struct rlimit former = forbid_threads();
	void *memory = mmap(NULL, MUCH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	allow_threads(former);
	if (memory != MAP_FAILED) {
		munmap(memory, MUCH);
		SKIP("an emulator does not limit the address space");
	}
}

/* The first worker can't be started, for longer than the monitor stays awake for nothing. */
TEST(work_waits_for_the_first_thread)
{
	need_limits();
	struct weft_config config = config_with(1);
	CHECK_RESULT(weft_start(&config), 0);
	let_time_pass();
	struct rlimit former = forbid_threads();
	go(add_one, NULL);
	let_time_pass();
	CHECK_EQ(atomic_load(&count), 0);
	allow_threads(former);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
	CHECK_EQ(atomic_load(&count), 1);
}

/* On a busy machine another thread may have come before: then there is nothing to be seen. */
static int forbid_and_wait(void *arg)
{
	struct rlimit former = forbid_threads();
	bool alone = stats_now().workers == 1;
	for (weft_time end = weft_after(WEFT_MS(100)); weft_now() < end;)
		;
	CHECK(!alone || atomic_load(&count) == 0);
	allow_threads(former);
	while (atomic_load(&count) == 0)
		;
	(void)arg;
	return 0;
}

static int forbid_and_hog(void *arg)
{
	go(add_one, arg);
	return forbid_and_wait(arg);
}

static int sleep_and_add_one(void *slept)
{
	atomic_store((atomic_bool *)slept, true);
	CHECK_RESULT(weft_sleep(WEFT_MS(20)), 0);
	return add_one(NULL);
}

/* The monitor must not go to sleep over a timer that nobody looks after. */
static int hog_before_a_timer(void *arg)
{
	static atomic_bool sleeps;
	go(sleep_and_add_one, &sleeps);
	while (!atomic_load(&sleeps))
		weft_yield();
	return forbid_and_wait(arg);
}

TEST(timer_behind_a_hog_waits_for_a_thread)
{
	need_limits();
	run_with(config_with(1), hog_before_a_timer);
}

/* A processor is taken, and there is no thread to give it to. */
TEST(work_behind_a_hog_waits_for_a_thread)
{
	need_limits();
	run_with(config_with(1), forbid_and_hog);
}
