/* The life of the runtime: start, run, stop, shutdown; again and again, from everywhere, at the wrong moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core_util.h"
#include "lock.h"

static atomic_int count;
static atomic_bool stop;

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

static int sleep_and_add(void *arg)
{
	int result = weft_sleep(WEFT_MS(2));
	atomic_fetch_add(&count, 1);
	(void)arg;
	return result;
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	return weft_sleep_until(WEFT_NEVER);
}

static void go(weft_fn *fn, void *arg) { CHECK_RESULT(weft_go(fn, arg), 0); }

/* ---- again and again ------------------------------------------------------------------------------------------------- */

static void settle(int tasks)
{
	while (entries("/proc/self/task") > tasks) /* one that was joined can be listed for a moment longer */
		rest();
}

static int use_a_little_of_all(void *round)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	struct weft_co *joined[3], *daemon;
	attr.daemon = true;
	daemon = spawn_co(&attr, sleep_for_ever, NULL);
	for (int i = 0; i < 3; i++)
		joined[i] = spawn_co(NULL, i ? add_one : sleep_and_add, NULL);
	for (int i = 0; i < 100; i++)
		go(add_one, NULL);
	if (*(int *)round % 4 == 0)
		CHECK_OK(weft_set_maxprocs(1 + *(int *)round % 5));
	for (int i = 0; i < 3; i++)
		join_co(joined[i]);
	if (*(int *)round % 2 == 0)
		CHECK_RESULT(weft_detach(daemon), 0);
	else
		CHECK_RESULT(weft_cancel(daemon), 0);
	return *(int *)round;
}

TEST(run_200_times)
{
	int tasks = 0, files = 0;
	for (int i = 0; i < 200; i++) {
		CHECK_RESULT(weft_run(NULL, use_a_little_of_all, &i), i);
		CHECK_EQ(atomic_exchange(&count, 0), 103);
		if (i == 0) { /* sanitizers keep a thread of their own from the first one on */
			tasks = entries("/proc/self/task");
			files = entries("/proc/self/fd");
		}
		settle(tasks);
		CHECK_EQ(entries("/proc/self/fd"), files);
	}
}

TEST(start_and_stop_200_times)
{
	int tasks = 0, files = 0;
	for (int i = 0; i < 200; i++) {
		CHECK_RESULT(weft_start(NULL), 0);
		for (int k = 0; k < i % 50; k++)
			go(k % 2 ? add_one : sleep_and_add, NULL);
		CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
		CHECK_EQ(atomic_exchange(&count, 0), i % 50);
		if (i == 0) {
			tasks = entries("/proc/self/task");
			files = entries("/proc/self/fd");
		}
		settle(tasks);
		CHECK_EQ(entries("/proc/self/fd"), files);
	}
}

/* Workers are still being started for the last ones when these have ended already. */
static int make_work_and_leave(void *arg)
{
	for (int i = 0; i < 20; i++)
		go(add_one, NULL);
	(void)arg;
	return 0;
}

TEST(stop_while_workers_start)
{
	struct weft_config config = config_with(8);
	for (int i = 0; i < test_scaled(1000); i++)
		CHECK_RESULT(weft_run(&config, make_work_and_leave, NULL), 0);
}

/* ---- results and errors ---------------------------------------------------------------------------------------------- */

static int return_arg(void *arg) { return *(int *)arg; }

TEST(run_returns_the_result)
{
	for (int i = -3; i < 4; i++)
		CHECK_RESULT(weft_run(NULL, return_arg, &i), i);
	int large = INT32_MAX;
	CHECK_RESULT(weft_run(NULL, return_arg, &large), INT32_MAX);
}

static int exit_42(void *arg)
{
	(void)arg;
	weft_exit(42);
}

TEST(run_returns_what_exit_says) { CHECK_RESULT(weft_run(NULL, exit_42, NULL), 42); }

static int run_inside(void *arg)
{
	CHECK_RESULT(weft_run(NULL, add_one, arg), -EBUSY);
	CHECK_RESULT(weft_start(NULL), -EBUSY);
	CHECK_RESULT(weft_stop(WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_stop(WEFT_NOW), -EINVAL);
	return 7;
}

TEST(only_one_at_a_time)
{
	CHECK_RESULT(weft_run(NULL, run_inside, NULL), 7);
	CHECK_RESULT(weft_start(NULL), 0);
	CHECK_RESULT(weft_start(NULL), -EBUSY);
	CHECK_RESULT(weft_run(NULL, add_one, NULL), -EBUSY);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
	CHECK_EQ(atomic_load(&count), 0);
}

static int try_while_stopping(void *arg)
{
	CHECK_RESULT(weft_sleep(WEFT_MS(5)), 0); /* by now somebody waits for this one to end */
	run_inside(arg);
	atomic_fetch_add(&count, 1);
	return 0;
}

static int leave_one_behind(void *arg)
{
	go(try_while_stopping, arg);
	return 0;
}

TEST(only_one_at_a_time_while_stopping)
{
	CHECK_RESULT(weft_run(NULL, leave_one_behind, NULL), 0);
	CHECK_EQ(atomic_load(&count), 1);
}

static void check_bad(struct weft_config config) { CHECK_RESULT(weft_run(&config, add_one, NULL), -EINVAL); }

TEST(bad_configurations)
{
	struct weft_config good = config_with(1);
	for (int i = 0; i < 7; i++) {
		struct weft_config bad = good;
		switch (i) {
		case 0: bad.size = 0; break;
		case 1: bad.size--; break;
		case 2: bad.maxprocs = 0; break;
		case 3: bad.maxprocs = -1; break;
		case 4: bad.maxprocs = WEFT_MAXPROCS_LIMIT + 1; break;
		case 5: bad.spin_ns = -1; break;
		case 6: bad.stack_size = ((size_t)1 << 30) + 1; break;
		}
		check_bad(bad);
	}
	CHECK_RESULT(weft_run(&good, NULL, NULL), -EINVAL);
	CHECK_EQ(atomic_load(&count), 0);
	good.maxprocs = WEFT_MAXPROCS_LIMIT;
	CHECK_RESULT(weft_run(&good, add_one, NULL), 0);
	good.size += 64; /* of a later version of the header */
	CHECK_RESULT(weft_run(&good, add_one, NULL), 0);
}

TEST(without_a_runtime)
{
	struct weft_co *co;
	void *low, *high;
	int key;
	CHECK_RESULT(weft_go(add_one, NULL), -EINVAL);
	CHECK_RESULT(weft_spawn(&co, NULL, add_one, NULL), -EINVAL);
	CHECK_RESULT(weft_stop(WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_set_maxprocs(1), -EINVAL);
	CHECK_RESULT(weft_join(NULL, NULL), -EINVAL);
	CHECK_RESULT(weft_detach(NULL), -EINVAL);
	CHECK_RESULT(weft_cancel(NULL), -EINVAL);
	CHECK_RESULT(weft_defer(free, NULL), -EINVAL);
	CHECK_RESULT(weft_stack_bounds(&low, &high), -EINVAL);
	CHECK_RESULT(weft_key_create(&key, NULL), 0);
	CHECK_RESULT(weft_set(key, &key), -EINVAL);
	CHECK_PTR(weft_get(key), NULL);
	CHECK_RESULT(weft_cancelled(), 0);
	CHECK_EQ(weft_self(), 0);
	CHECK_STR(weft_name(), "");
	weft_set_name("nobody");
	CHECK_STR(weft_name(), "");
	CHECK_GE(weft_maxprocs(), 1);
	weft_yield();
	weft_time start = weft_now();
	CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	CHECK_GE(weft_now() - start, WEFT_MS(1));
	weft_dump(STDERR_FILENO);
	CHECK_EQ(stats_now().spawned, 0);
}

/* Each start asks again whether light fences may be light: the locks follow, however often the answer changes. */
TEST(locks_follow_the_fences)
{
	for (int i = 0; i < 5; i++) {
		wf_os_has_membarrier = i % 2;
		wf_lock_init();
		CHECK_EQ(wf_u32_load(&wf_lock_sleepers), i % 2 ? 0 : 1);
	}
}

TEST_ABORTS(exit_outside_a_coroutine, "weft_exit outside a coroutine") { weft_exit(0); }

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static int leave_sleepers(void *arg)
{
	for (int i = 0; i < 20; i++)
		go(sleep_and_add, arg);
	return 0;
}

TEST(run_waits_for_all)
{
	CHECK_RESULT(weft_run(NULL, leave_sleepers, NULL), 0);
	CHECK_EQ(atomic_load(&count), 20);
}

static int daemon_that_waits(void *arg)
{
	(void)arg;
	CHECK_RESULT(weft_sleep_until(WEFT_NEVER), -ECANCELED);
	CHECK_RESULT(weft_cancelled(), -ECANCELED);
	atomic_fetch_add(&count, 1);
	return 0;
}

static int daemon_that_computes(void *arg)
{
	while (weft_cancelled() == 0)
		;
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

/* Makes a coroutine after it was cancelled: that one is cancelled too. */
static int daemon_that_spawns(void *arg)
{
	CHECK_RESULT(weft_sleep_until(WEFT_NEVER), -ECANCELED);
	go(daemon_that_waits, arg);
	return 0;
}

static int leave_daemons(void *arg)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.daemon = true;
	CHECK_RESULT(weft_spawn(NULL, &attr, daemon_that_waits, arg), 0);
	CHECK_RESULT(weft_spawn(NULL, &attr, daemon_that_computes, arg), 0);
	CHECK_RESULT(weft_spawn(NULL, &attr, daemon_that_spawns, arg), 0);
	CHECK_RESULT(weft_sleep(WEFT_MS(2)), 0);
	go(sleep_and_add, arg);
	return 0;
}

TEST(daemons_are_cancelled_last)
{
	for (int procs = 1; procs <= 4; procs *= 2) {
		struct weft_config config = config_with(procs);
		CHECK_RESULT(weft_run(&config, leave_daemons, NULL), 0);
		CHECK_EQ(atomic_exchange(&count, 0), 4);
	}
}

static int wait_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		CHECK_RESULT(weft_sleep(WEFT_US(100)), 0);
	return add_one(arg);
}

TEST(stop_gives_up_at_its_deadline)
{
	CHECK_RESULT(weft_start(NULL), 0);
	go(wait_until_stop, NULL);
	CHECK_RESULT(weft_stop(WEFT_NOW), -ETIMEDOUT);
	CHECK_RESULT(weft_stop(0), -ETIMEDOUT);
	CHECK_RESULT(weft_stop(weft_after(WEFT_MS(3))), -ETIMEDOUT);
	go(wait_until_stop, NULL); /* goes on as before */
	atomic_store(&stop, true);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
	CHECK_EQ(atomic_load(&count), 2);
}

static int wait_cancelled(void *arg)
{
	int result = weft_sleep_until(WEFT_NEVER);
	CHECK_RESULT(weft_sleep(1), -ECANCELED);
	atomic_fetch_add(&count, 1);
	(void)arg;
	return result;
}

static int shut_down(void *arg)
{
	struct weft_co *co[3];
	for (int i = 0; i < 3; i++)
		co[i] = spawn_co(NULL, wait_cancelled, arg);
	CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	CHECK_RESULT(weft_shutdown(weft_after(WEFT_SEC(1000))), 0);
	CHECK_RESULT(weft_join(co[0], NULL), -ECANCELED); /* the caller is cancelled as well */
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(weft_detach(co[i]), 0);
	go(wait_cancelled, arg); /* born cancelled */
	return 5;
}

TEST(shutdown_cancels_all)
{
	CHECK_RESULT(weft_run(NULL, shut_down, NULL), 5);
	CHECK_EQ(atomic_load(&count), 4);
	CHECK_RESULT(weft_run(NULL, leave_sleepers, NULL), 0); /* and the next run knows nothing of it */
	CHECK_EQ(atomic_load(&count), 24);
}

static int stay(void *arg)
{
	weft_set_name("the one that stays");
	while (weft_sleep(WEFT_MS(1)) != 7)
		;
	(void)arg;
	return 0;
}

CO_TEST_EXITS(shutdown_names_survivors, WEFT_STATUS_SHUTDOWN, "\"the one that stays\"")
{
	go(stay, NULL);
	CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	CHECK_RESULT(weft_shutdown(weft_after(WEFT_MS(10))), 0);
}

/* The earlier of two deadlines holds; the monitor may sleep when the first is set. */
TEST_EXITS(shutdown_from_a_plain_thread, WEFT_STATUS_SHUTDOWN, "shutdown: these coroutines")
{
	CHECK_RESULT(weft_start(NULL), 0);
	for (int i = 0; i < 1000; i++)
		rest();
	CHECK_RESULT(weft_shutdown(weft_after(WEFT_SEC(1000))), 0);
	go(stay, NULL);
	CHECK_RESULT(weft_shutdown(WEFT_NOW), 0);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

/* ---- from other threads, at any moment ------------------------------------------------------------------------------- */

static void *look_on(void *arg)
{
	int null = open("/dev/null", O_WRONLY);
	CHECK_GE(null, 0);
	while (!atomic_load(&stop)) {
		stats_now();
		weft_dump(null);
		CHECK_GE(weft_maxprocs(), 1);
		int former = weft_set_maxprocs(2);
		CHECK(former > 0 || former == -EINVAL);
	}
	close(null);
	return arg;
}

TEST(others_look_on_while_it_starts_and_stops)
{
	pthread_t threads[2] = {start_thread(look_on, NULL), start_thread(look_on, NULL)};
	for (int i = 0; i < test_scaled(300); i++)
		CHECK_RESULT(weft_run(NULL, make_work_and_leave, NULL), 0);
	atomic_store(&stop, true);
	join_thread(threads[0]);
	join_thread(threads[1]);
}

/* Returns how many it made. */
static void *go_on_and_on(void *arg)
{
	intptr_t made = 0;
	while (!atomic_load(&stop)) {
		int result = weft_go(add_one, arg);
		CHECK(result == 0 || result == -EINVAL);
		made += result == 0;
		if (made % 64 == 0)
			nanosleep(&(struct timespec){0, 2000000}, NULL); /* else there would always be one */
	}
	return (void *)made;
}

/* What was made runs, however late it was made. */
TEST(others_make_coroutines_while_it_starts_and_stops)
{
	pthread_t threads[2] = {start_thread(go_on_and_on, NULL), start_thread(go_on_and_on, NULL)};
	for (int i = 0; i < test_scaled(300); i++) {
		CHECK_RESULT(weft_start(NULL), 0);
		CHECK_OK(weft_set_maxprocs(1 + i % 3));
		int stopped = weft_stop(weft_after(WEFT_MS(1)));
		while (stopped == -ETIMEDOUT)
			stopped = weft_stop(weft_after(WEFT_MS(1)));
		CHECK_RESULT(stopped, 0);
	}
	atomic_store(&stop, true);
	intptr_t made = (intptr_t)join_thread(threads[0]) + (intptr_t)join_thread(threads[1]);
	CHECK_EQ(atomic_load(&count), made);
}

static void *join_one(void *co) { return (void *)(intptr_t)join_co(co); }

static int return_7_when_stopped(void *arg)
{
	while (!atomic_load(&stop))
		rest();
	(void)arg;
	return 7;
}

/* A thread that joins is done with the runtime before that is taken down. */
TEST(stop_waits_for_those_who_join)
{
	for (int i = 0; i < test_scaled(500); i++) {
		atomic_store(&stop, false);
		CHECK_RESULT(weft_start(NULL), 0);
		struct weft_co *co = spawn_co(NULL, return_7_when_stopped, NULL);
		pthread_t thread = start_thread(join_one, co);
		EVENTUALLY(is_being_joined(co));
		atomic_store(&stop, true);
		CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
		CHECK_EQ((intptr_t)join_thread(thread), 7);
	}
}
