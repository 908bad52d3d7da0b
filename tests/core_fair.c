/* Nobody is kept from getting on by others who do what schedulers are bad at: who only yields, a pair that wakes each other, a
 * socket that is always ready, senders that never wait, hogs, one connection that is flooded. Those watched make their rounds while
 * the others go on until they are told to stop. How often the others may go meanwhile is a matter of counts where there is one
 * processor that stays with its thread: each case runs once like that (..._by_count), and as the environment says. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core_util.h"
#include "runq.h"

static atomic_bool stop;
static atomic_long theirs; /* rounds of those who are in the way */
static bool counted;       /* one processor, one thread */

static int run_counted(void *body)
{
	counted = true;
	(*(void (**)(void))body)();
	return 0;
}

static void run_by_count(void (*body)(void))
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	CHECK_RESULT(weft_run(&config, run_counted, &body), 0);
}

#define FAIR_TEST(name)                                                                            \
	static void name(void);                                                                    \
	CO_TEST(name##_as_configured) { name(); }                                                  \
	TEST(name##_by_count) { run_by_count(name); }                                              \
	static void name(void)

static bool go_on(void)
{
	atomic_fetch_add_explicit(&theirs, 1, memory_order_relaxed);
	return !atomic_load_explicit(&stop, memory_order_relaxed);
}

static void go(weft_fn *fn, void *arg) { CHECK_RESULT(weft_go(fn, arg), 0); }

static void make_pair(int fds[2])
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
}

static int echo(void *fd)
{
	char buf[256];
	ssize_t n;
	while ((n = weft_read((int)(intptr_t)fd, buf, sizeof buf)) > 0)
		CHECK_EQ(weft_write((int)(intptr_t)fd, buf, (size_t)n), n);
	return weft_close((int)(intptr_t)fd);
}

/* ---- those who are watched ------------------------------------------------------------------------------------------- */

static int yield_rounds(void *rounds)
{
	for (int i = 0; i < *(int *)rounds; i++)
		weft_yield();
	return 0;
}

static int sleep_rounds(void *rounds)
{
	for (int i = 0; i < *(int *)rounds; i++)
		CHECK_RESULT(weft_sleep(1), 0);
	return 0;
}

static void talk(int fd, int rounds)
{
	char byte = 'x';
	for (int i = 0; i < rounds; i++) {
		CHECK_EQ(weft_write(fd, &byte, 1), 1);
		CHECK_EQ(weft_read(fd, &byte, 1), 1);
	}
}

static int talk_rounds(void *rounds)
{
	int fds[2];
	make_pair(fds);
	go(echo, (void *)(intptr_t)fds[0]);
	talk(fds[1], *(int *)rounds);
	return weft_close(fds[1]);
}

static int spawn_rounds(void *rounds)
{
	int none = 0;
	for (int i = 0; i < *(int *)rounds; i++)
		join_co(spawn_co(NULL, yield_rounds, &none));
	return 0;
}

/* Everybody makes so many rounds while the others make at most so many for each of these. */
static void watch(int rounds, long theirs_each)
{
	weft_fn *const watched[] = {yield_rounds, sleep_rounds, talk_rounds, spawn_rounds};
	struct weft_co *co[sizeof watched / sizeof watched[0]];
	long before = atomic_load(&theirs);
	for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
		co[i] = spawn_co(NULL, watched[i], &rounds);
	for (size_t i = 0; i < sizeof watched / sizeof watched[0]; i++)
		CHECK_RESULT(join_co(co[i]), 0);
	long meanwhile = atomic_load(&theirs) - before;
	if (counted)
		CHECK_LE(meanwhile, rounds * theirs_each);
	EVENTUALLY(atomic_load(&theirs) > before + meanwhile || theirs_each == 0); /* and they go on as well */
	atomic_store(&stop, true);
}

/* ---- those who are in the way ---------------------------------------------------------------------------------------- */

static atomic_long yields[2];

static int yield_always(void *mine)
{
	while (go_on()) {
		atomic_fetch_add((atomic_long *)mine, 1);
		weft_yield();
	}
	return 0;
}

FAIR_TEST(two_yielders)
{
	go(yield_always, &yields[0]);
	go(yield_always, &yields[1]);
	watch(test_scaled(1000), 10000);
	if (counted) {
		long a = atomic_load(&yields[0]), b = atomic_load(&yields[1]);
		CHECK_LE(a, 2 * b + 1000);
		CHECK_LE(b, 2 * a + 1000);
	}
}

static struct weft_chan *there, *back;
static struct weft_co *pinger, *ponger;

static int ping(void *arg)
{
	int n = 0;
	while (go_on()) {
		CHECK_RESULT(weft_chan_send(there, &n), 0);
		CHECK_RESULT(weft_chan_recv(back, &n), 1);
	}
	weft_chan_close(there);
	(void)arg;
	return 0;
}

static int pong(void *arg)
{
	int n;
	while (weft_chan_recv(there, &n) == 1)
		CHECK_RESULT(weft_chan_send(back, &n), 0);
	(void)arg;
	return 0;
}

static void start_pair(void)
{
	CHECK_RESULT(weft_chan_create(&there, sizeof(int), 0), 0);
	CHECK_RESULT(weft_chan_create(&back, sizeof(int), 0), 0);
	pinger = spawn_co(NULL, ping, NULL);
	ponger = spawn_co(NULL, pong, NULL);
}

static void end_pair(void)
{
	join_co(pinger);
	join_co(ponger);
	weft_chan_destroy(there);
	weft_chan_destroy(back);
}

FAIR_TEST(a_pair_that_wakes_each_other)
{
	start_pair();
	watch(test_scaled(1000), 5000);
	end_pair();
}

static int peek_always(void *fd)
{
	char byte;
	while (go_on())
		CHECK_EQ(weft_recv((int)(intptr_t)fd, &byte, 1, MSG_PEEK), 1);
	return weft_close((int)(intptr_t)fd);
}

FAIR_TEST(a_socket_that_is_always_ready)
{
	int fds[2];
	make_pair(fds);
	CHECK_EQ(weft_write(fds[1], "x", 1), 1);
	go(peek_always, (void *)(intptr_t)fds[0]);
	watch(test_scaled(1000), 600);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

static int send_always(void *chan)
{
	int n = 0;
	while (go_on())
		CHECK_RESULT(weft_chan_send(chan, &n), 0);
	weft_chan_close(chan);
	return 0;
}

static int receive_always(void *chan)
{
	int n;
	while (weft_chan_recv(chan, &n) == 1)
		;
	return 0;
}

FAIR_TEST(senders_that_never_wait)
{
	struct weft_chan *chan[2];
	struct weft_co *co[4];
	for (int i = 0; i < 2; i++) {
		CHECK_RESULT(weft_chan_create(&chan[i], sizeof(int), 1 << 20), 0);
		co[i] = spawn_co(NULL, send_always, chan[i]);
		co[i + 2] = spawn_co(NULL, receive_always, chan[i]);
	}
	watch(test_scaled(200), 40000);
	for (int i = 0; i < 4; i++)
		join_co(co[i]);
	for (int i = 0; i < 2; i++)
		weft_chan_destroy(chan[i]);
}

/* ---- hogs ------------------------------------------------------------------------------------------------------------ */

static int loop(void *arg)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		;
	(void)arg;
	return 0;
}

static __attribute__((noinline)) unsigned mix(unsigned n)
{
	__asm__ volatile("" : "+r"(n));
	return n * 2654435761u + 1;
}

static int loop_with_calls(void *arg)
{
	for (unsigned n = 1; go_on();)
		n = mix(n);
	(void)arg;
	return 0;
}

static int loop_with_calls_of_weft(void *arg)
{
	static struct weft_mutex mutex;
	while (go_on())
		if (weft_mutex_trylock(&mutex))
			weft_mutex_unlock(&mutex);
	(void)arg;
	return 0;
}

static void start_hogs(void)
{
	weft_fn *const hogs[] = {loop, loop_with_calls, loop_with_calls_of_weft, loop};
	for (int i = 0; i < 4; i++)
		go(hogs[i], NULL);
}

CO_TEST(hogs_of_all_kinds)
{
	start_hogs();
	watch(20, 0);
}

CO_TEST(a_pair_and_hogs)
{
	start_pair();
	start_hogs();
	watch(20, 0);
	end_pair();
}

/* ---- many that only yield -------------------------------------------------------------------------------------------- */

enum { YIELDERS = 50, READS = 50, WARM = 2000 };

static int woken_fd;
static long written_at; /* in their rounds; 0: not now */

/* Each round is long enough for the scheduler to look around after a few, once it knows that. */
static int yield_and_write(void *arg)
{
	while (go_on()) {
		for (weft_time end = weft_now() + WEFT_US(20); weft_now() < end;)
			;
		long round = atomic_load(&theirs);
		if (written_at == 0 && round > WARM && round % (YIELDERS + 7) == 0) { /* anywhere in a turn of all */
			written_at = round;
			CHECK_EQ(write(woken_fd, "x", 1), 1);
		}
		weft_yield();
	}
	(void)arg;
	return 0;
}

static int read_in_one_turn(void *arg)
{
	int fds[2];
	char byte;
	make_pair(fds);
	woken_fd = fds[1];
	for (int i = 0; i < YIELDERS; i++)
		go(yield_and_write, NULL);
	for (int i = 0; i < READS; i++) {
		CHECK_EQ(weft_read(fds[0], &byte, 1), 1);
		CHECK_LT(atomic_load(&theirs) - written_at, YIELDERS + YIELDERS / 2);
		written_at = 0;
	}
	atomic_store(&stop, true);
	(void)arg;
	return 0;
}

/* What becomes ready waits for a turn of all, and not for the rest of the former one as well. */
TEST(ready_waits_for_one_turn)
{
	struct weft_config config = config_with(1);
	config.handoff = false;
	if ((int)WF_RUNQ_SIZE < (int)YIELDERS)
		SKIP("they take turns only where they are in a ring together");
	CHECK_RESULT(weft_run(&config, read_in_one_turn, NULL), 0);
}

/* ---- one connection is flooded --------------------------------------------------------------------------------------- */

enum { LIGHT = 99, LIGHT_ROUNDS = 40 };

static int flood(void *fd)
{
	static const char data[64];
	while (!atomic_load(&stop))
		CHECK_EQ(weft_write((int)(intptr_t)fd, data, sizeof data), sizeof data);
	return weft_shutdown_fd((int)(intptr_t)fd, SHUT_WR);
}

static int drain_flood(void *fd)
{
	char buf[64];
	while (weft_read((int)(intptr_t)fd, buf, sizeof buf) > 0)
		go_on();
	return weft_close((int)(intptr_t)fd);
}

static int talk_lightly(void *fd)
{
	talk((int)(intptr_t)fd, test_scaled(LIGHT_ROUNDS));
	return weft_close((int)(intptr_t)fd);
}

FAIR_TEST(a_flood_beside_99_light_ones)
{
	struct weft_co *light[LIGHT];
	int fds[2];
	make_pair(fds);
	go(echo, (void *)(intptr_t)fds[0]);
	go(flood, (void *)(intptr_t)fds[1]);
	struct weft_co *flooded = spawn_co(NULL, drain_flood, (void *)(intptr_t)fds[1]);
	EVENTUALLY(atomic_load(&theirs) > 0);
	long before = atomic_load(&theirs);
	for (int i = 0; i < LIGHT; i++) {
		make_pair(fds);
		go(echo, (void *)(intptr_t)fds[0]);
		light[i] = spawn_co(NULL, talk_lightly, (void *)(intptr_t)fds[1]);
	}
	for (int i = 0; i < LIGHT; i++)
		CHECK_RESULT(join_co(light[i]), 0);
	long meanwhile = atomic_load(&theirs) - before;
	if (counted)
		CHECK_LE(meanwhile, test_scaled(LIGHT_ROUNDS) * 600l);
	EVENTUALLY(atomic_load(&theirs) > before + meanwhile);
	atomic_store(&stop, true);
	CHECK_RESULT(join_co(flooded), 0);
}
