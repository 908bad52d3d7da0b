/* Coroutines that say that they block. The automatic handoff is off and there is one processor, so nothing else can let the others
 * run: a case in which the processor is not handed over hangs. */
#include <errno.h>
#include <unistd.h>

#include "core_util.h"

static int pipe_fds[2];
static atomic_int running, stop;

static int run_alone(weft_fn *fn, void *arg)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	CHECK_EQ(pipe(pipe_fds), 0);
	int result = weft_run(&config, fn, arg);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return result;
}

static int write_one(void *arg)
{
	(void)arg;
	CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
	return 0;
}

static void read_one(void)
{
	char c = 0;
	CHECK_EQ(read(pipe_fds[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
}

static int block_once(void *arg)
{
	(void)arg;
	CHECK_RESULT(weft_go(write_one, NULL), 0);
	weft_block_enter();
	read_one();
	weft_block_exit();
	return 7;
}

TEST(hands_over_at_once) { CHECK_RESULT(run_alone(block_once, NULL), 7); }

static int block_nested(void *arg)
{
	(void)arg;
	weft_block_enter();
	for (int i = 0; i < 3; i++) {
		weft_block_enter();
		weft_block_exit(); /* not the outermost: the processor stays away */
	}
	CHECK_RESULT(weft_go(write_one, NULL), 0);
	read_one();
	weft_block_exit();
	return 0;
}

TEST(pairs_nest) { CHECK_RESULT(run_alone(block_nested, NULL), 0); }

static int block_between_calls(void *arg)
{
	(void)arg;
	weft_block_enter();
	for (int i = 0; i < 3; i++) {
		CHECK_RESULT(weft_sleep(1), 0); /* comes back with a processor */
		CHECK_RESULT(weft_go(write_one, NULL), 0);
		weft_block_enter();
		read_one();
		weft_block_exit();
	}
	weft_block_exit();
	return 0;
}

TEST(calls_in_between_get_a_processor) { CHECK_RESULT(run_alone(block_between_calls, NULL), 0); }

static int write_after_sleep(void *arg)
{
	CHECK_RESULT(weft_sleep(WEFT_MS(2)), 0);
	return write_one(arg);
}

/* Nothing is runnable when the processor is given up: timers are looked after all the same. */
static int block_beside_sleeper(void *arg)
{
	struct weft_co *co = spawn_co(NULL, write_after_sleep, arg);
	weft_yield();
	weft_block_enter();
	read_one();
	weft_block_exit();
	return join_co(co);
}

TEST(timers_go_on) { CHECK_RESULT(run_alone(block_beside_sleeper, NULL), 0); }

static int write_when_told(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char c;
	CHECK_RESULT(weft_read(fd, &c, 1), 1);
	return write_one(NULL);
}

static void *tell(void *arg)
{
	CHECK_EQ(write((int)(intptr_t)arg, "y", 1), 1);
	return NULL;
}

static int block_beside_reader(void *arg)
{
	int fds[2];
	(void)arg;
	CHECK_EQ(pipe(fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	struct weft_co *co = spawn_co(NULL, write_when_told, (void *)(intptr_t)fds[0]);
	weft_yield();
	weft_block_enter();
	pthread_t thread = start_thread(tell, (void *)(intptr_t)fds[1]);
	read_one();
	join_thread(thread);
	weft_block_exit();
	CHECK_RESULT(join_co(co), 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	close(fds[1]);
	return 0;
}

TEST(descriptors_go_on) { CHECK_RESULT(run_alone(block_beside_reader, NULL), 0); }

/* ---- many at a time --------------------------------------------------------------------------------------------------- */

static int block_until_written(void *arg)
{
	(void)arg;
	weft_block_enter();
	atomic_fetch_add(&running, 1);
	read_one();
	weft_block_exit();
	return 0;
}

static int block_many(void *arg)
{
	enum { N = 40 };
	struct weft_co *cos[N];
	(void)arg;
	for (int i = 0; i < N; i++)
		cos[i] = spawn_co(NULL, block_until_written, NULL);
	EVENTUALLY(atomic_load(&running) == N);
	for (int i = 0; i < N; i++)
		write_one(NULL);
	for (int i = 0; i < N; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	return 0;
}

TEST(many_block_at_a_time) { CHECK_RESULT(run_alone(block_many, NULL), 0); }

static int enter_and_exit(void *arg)
{
	for (int i = 0; i < test_scaled(2000); i++) {
		weft_block_enter();
		if (i % 3 == 0)
			weft_block_enter();
		if (i % 5 == 0)
			weft_yield();
		if (i % 3 == 0)
			weft_block_exit();
		weft_block_exit();
	}
	(void)arg;
	return 0;
}

CO_TEST(storm)
{
	struct weft_co *cos[8];
	for (int i = 0; i < 8; i++)
		cos[i] = spawn_co(NULL, enter_and_exit, NULL);
	for (int i = 0; i < 8; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	CHECK_GT(stats_now().handoffs, 0);
}

static int change_procs(void *arg)
{
	(void)arg;
	for (int i = 0; !atomic_load(&stop); i++) {
		CHECK_OK(weft_set_maxprocs(i % 4 + 1));
		rest();
	}
	return 0;
}

CO_TEST(storm_while_processors_come_and_go)
{
	struct weft_co *changer = spawn_co(NULL, change_procs, NULL), *cos[4];
	for (int i = 0; i < 4; i++)
		cos[i] = spawn_co(NULL, enter_and_exit, NULL);
	for (int i = 0; i < 4; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	atomic_store(&stop, 1);
	CHECK_RESULT(join_co(changer), 0);
}

/* ---- where it does nothing -------------------------------------------------------------------------------------------- */

TEST(no_thread_to_hand_over_to)
{
	struct weft_config config = config_with(1);
	config.max_workers = 1;
	CHECK_RESULT(weft_run(&config, enter_and_exit, NULL), 0);
}

TEST(plain_thread)
{
	weft_block_enter();
	weft_block_enter();
	weft_block_exit();
	weft_block_exit();
	weft_block_exit();
}

CO_TEST_ABORTS(exit_without_enter, "weft_block_exit without weft_block_enter")
{
	weft_block_enter();
	weft_block_exit();
	weft_block_exit();
}
