/* Coroutines that stay on one thread: whatever they wait for, and whoever wakes them. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core_util.h"
#include "sched.h"

static atomic_bool stop;
static atomic_int count;

static int thread_id(void) { return (int)syscall(SYS_gettid); }

/* A library with state of its own per thread: whose turn it is there. */
static __thread uint64_t user;

__attribute__((noinline)) static uint64_t *find_user(void)
{
	uint64_t *at = &user;
	__asm__ volatile("" : "+r"(at));
	return at;
}

static void begin_use(void)
{
	CHECK_EQ(*find_user(), 0);
	*find_user() = weft_self();
}

static void check_use(void) { CHECK_EQ(*find_user(), weft_self()); }
static void end_use(void)
{
	check_use();
	*find_user() = 0;
}

/* Everybody else must never see a thread in use. */
static int look_at_threads(void *arg)
{
	while (!atomic_load(&stop)) {
		CHECK_EQ(*find_user(), 0);
		weft_yield();
		if (arg)
			CHECK_RESULT(weft_sleep(WEFT_US(20)), 0);
	}
	return 0;
}

static struct weft_chan *channel;

static int echo_values(void *arg)
{
	struct weft_chan **chans = arg;
	for (int i; weft_chan_recv(chans[0], &i) == 1;)
		CHECK_RESULT(weft_chan_send(chans[1], &i), 0);
	return 0;
}

static void wait_in_every_way(struct weft_chan **chans, uint64_t *seed)
{
	int value = 5, back = 0;
	weft_yield();
	check_use();
	CHECK_RESULT(weft_sleep((int64_t)random_below(seed, 30000)), 0);
	check_use();
	CHECK_RESULT(weft_chan_send(chans[0], &value), 0);
	CHECK_RESULT(weft_chan_recv(chans[1], &back), 1);
	check_use();
	weft_block_enter();
	if (random_below(seed, 4) == 0)
		usleep(50);
	weft_block_exit();
	check_use();
}

static int use_pinned(void *arg)
{
	uint64_t seed = (uint64_t)(intptr_t)arg * 77 + 1;
	struct weft_chan *chans[2];
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof(int), 0), 0);
	CHECK_RESULT(weft_chan_create(&chans[1], sizeof(int), 0), 0);
	struct weft_co *echo = spawn_co(NULL, echo_values, chans);
	for (int round = 0; round < 3; round++) {
		weft_pin();
		int on = thread_id();
		begin_use();
		for (int i = 0; i < test_scaled(20); i++) {
			wait_in_every_way(chans, &seed);
			CHECK_EQ(thread_id(), on);
		}
		end_use();
		weft_unpin();
		weft_yield();
	}
	CHECK_RESULT(weft_chan_close(chans[0]), 0);
	CHECK_RESULT(join_co(echo), 0);
	weft_chan_destroy(chans[0]);
	weft_chan_destroy(chans[1]);
	atomic_fetch_add(&count, 1);
	return 0;
}

static void storm(int pinned)
{
	struct weft_co *cos[8], *lookers[3];
	for (int i = 0; i < 3; i++)
		lookers[i] = spawn_co(NULL, look_at_threads, (void *)(intptr_t)i);
	for (int i = 0; i < pinned; i++)
		cos[i] = spawn_co(NULL, use_pinned, (void *)(intptr_t)i);
	for (int i = 0; i < pinned; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(join_co(lookers[i]), 0);
}

CO_TEST(one_stays) { storm(1); }
CO_TEST(eight_stay) { storm(8); }

static int change_procs(void *arg)
{
	for (int i = 0; !atomic_load(&stop); i++) {
		CHECK_OK(weft_set_maxprocs(i % 4 + 1));
		rest();
	}
	return (void)arg, 0;
}

CO_TEST(while_processors_come_and_go)
{
	struct weft_co *changer = spawn_co(NULL, change_procs, NULL);
	storm(4);
	CHECK_RESULT(join_co(changer), 0);
}

/* ---- the processor is the others' while it waits ---------------------------------------------------------------------- */

static int count_up(void *arg)
{
	while (!atomic_load(&stop)) {
		atomic_fetch_add(&count, 1);
		weft_yield();
	}
	return (void)arg, 0;
}

static int sleep_pinned(void *arg)
{
	struct weft_co *co = spawn_co(NULL, count_up, NULL);
	weft_pin();
	for (int i = 0; i < 10; i++) {
		int former = atomic_load(&count);
		EVENTUALLY(atomic_load(&count) != former);
	}
	weft_unpin();
	atomic_store(&stop, true);
	return (void)arg, join_co(co);
}

/* Without the monitor's handoff, and with one processor. */
TEST(others_run_while_it_waits)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	CHECK_RESULT(weft_run(&config, sleep_pinned, NULL), 0);
}

static int count_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	return (void)arg, 0;
}

static int make_pinned(void *arg)
{
	weft_pin();
	for (int i = 1; i <= 20; i++) {
		CHECK_RESULT(weft_go(count_one, NULL), 0);
		while (atomic_load(&count) < i)
			weft_yield();
	}
	weft_unpin();
	return (void)arg, 0;
}

/* Whoever is pinned and yields runs nobody else, and nobody takes its processor. */
TEST(others_run_what_it_makes)
{
	struct weft_config config = config_with(2);
	config.handoff = false;
	CHECK_RESULT(weft_run(&config, make_pinned, NULL), 0);
}

static int compute_pinned(void *arg)
{
	weft_pin();
	int on = thread_id();
	begin_use();
	for (int i = 0; i < 3; i++) {
		int former = atomic_load(&count);
		while (atomic_load(&count) == former) /* until its processor is taken */
			;
		weft_yield();
		CHECK_EQ(thread_id(), on);
		check_use();
	}
	end_use();
	weft_unpin();
	return (void)arg, 0;
}

static struct weft_mutex mutex;

/* One that is alone on its thread is not sent through the scheduler at every call once it has spent its budget. */
CO_TEST(has_a_budget_of_its_own)
{
	weft_pin();
	uint64_t before = stats_now().budget_yields;
	for (int i = 0; i < 4 * WF_BUDGET; i++) {
		weft_mutex_lock(&mutex);
		weft_mutex_unlock(&mutex);
	}
	CHECK_LE(stats_now().budget_yields, before + 8);
	weft_unpin();
}

CO_TEST(computes_pinned)
{
	struct weft_co *counter = spawn_co(NULL, count_up, NULL), *cos[3];
	for (int i = 0; i < 3; i++)
		cos[i] = spawn_co(NULL, compute_pinned, NULL);
	for (int i = 0; i < 3; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	atomic_store(&stop, true);
	CHECK_RESULT(join_co(counter), 0);
}

static int wake_from_thread(void *arg)
{
	weft_pin();
	int on = thread_id(), value;
	for (int i = 0; i < test_scaled(100); i++) {
		CHECK_RESULT(weft_chan_recv(channel, &value), 1);
		CHECK_EQ(value, i);
		CHECK_EQ(thread_id(), on);
	}
	return (void)arg, 0; /* the end is the last unpin */
}

static void *send_values(void *arg)
{
	for (int i = 0; i < test_scaled(100); i++)
		CHECK_RESULT(weft_chan_send(channel, &i), 0);
	return arg;
}

CO_TEST(woken_by_a_plain_thread)
{
	CHECK_RESULT(weft_chan_create(&channel, sizeof(int), 0), 0);
	struct weft_co *co = spawn_co(NULL, wake_from_thread, NULL);
	pthread_t thread = start_thread(send_values, NULL);
	CHECK_RESULT(join_co(co), 0);
	join_thread(thread);
	weft_chan_destroy(channel);
}

static int cancelled_while_pinned(void *arg)
{
	weft_pin();
	int on = thread_id();
	CHECK_RESULT(weft_sleep(WEFT_SEC(100)), -ECANCELED);
	CHECK_EQ(thread_id(), on);
	return (void)arg, 0;
}

CO_TEST(cancel)
{
	struct weft_co *co = spawn_co(NULL, cancelled_while_pinned, NULL);
	CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	weft_cancel(co);
	CHECK_RESULT(join_co(co), 0);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------------ */

CO_TEST(pairs_nest)
{
	struct weft_co *looker = spawn_co(NULL, look_at_threads, NULL);
	weft_pin();
	weft_pin();
	begin_use();
	weft_unpin();
	int on = thread_id();
	for (int i = 0; i < 20; i++) {
		rest();
		CHECK_EQ(thread_id(), on);
		check_use();
	}
	end_use();
	weft_unpin();
	atomic_store(&stop, true);
	CHECK_RESULT(join_co(looker), 0);
}

static int exit_pinned(void *arg)
{
	weft_pin();
	weft_pin();
	rest();
	weft_exit((int)(intptr_t)arg);
}

CO_TEST(the_end_unpins)
{
	for (int i = 0; i < 20; i++)
		CHECK_RESULT(join_co(spawn_co(NULL, exit_pinned, (void *)(intptr_t)i)), i);
}

TEST(plain_thread)
{
	weft_pin();
	weft_unpin();
	weft_unpin();
}

CO_TEST_ABORTS(unpin_without_pin, "weft_unpin without weft_pin")
{
	weft_pin();
	weft_unpin();
	weft_unpin();
}
