/* Cancelling calls, calls of plain threads, weft_wait_fd, the poller. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_util.h"
#include "poll_util.h"

/* ---- cancel -------------------------------------------------------------------------------------------------------- */

CO_TEST(cancel_of_each_wait)
{
	int fds[2];
	char addr[64], c;
	int listener = listen_somewhere(addr);
	struct call reader, queued, writer, acceptor, watcher;
	unix_pair(fds, SOCK_STREAM);
	fill(fds[0]);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_read(&queued, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 1);
	start_write(&writer, fds[0], "x", 1);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	start_accept(&acceptor, listener);
	await_waiters(listener, WF_READ, 1, 0);
	start_wait_fd(&watcher, fds[1], WEFT_READ, WEFT_NEVER);
	struct call *all[] = { &queued, &reader, &writer, &acceptor };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		CHECK_RESULT(weft_cancel(all[i]->co), 0);
		CHECK_RESULT(finish(all[i]), -ECANCELED);
	}
	CHECK_RESULT(finish(&watcher), WEFT_READ); /* it was filled */
	start_wait_fd(&watcher, fds[0], WEFT_READ, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_cancel(watcher.co), 0);
	CHECK_RESULT(finish(&watcher), -ECANCELED);
	close_pair(fds);
	CHECK_RESULT(weft_close(listener), 0);
}

/* The next in the queue gets the turn of a cancelled one. */
CO_TEST(cancel_hands_the_turn_on)
{
	int fds[2];
	char a = 0, b = 0;
	struct call first, second;
	tcp_pair(fds);
	start_read(&first, fds[0], &a, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_read(&second, fds[0], &b, 1);
	await_waiters(fds[0], WF_READ, 1, 1);
	CHECK_RESULT(weft_cancel(first.co), 0);
	CHECK_RESULT(finish(&first), -ECANCELED);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_EQ(weft_write(fds[1], "2", 1), 1);
	CHECK_EQ(finish(&second), 1);
	CHECK_EQ(b, '2');
	close_pair(fds);
}

static int call_cancelled(void *arg)
{
	int *fds = arg;
	char c;
	CHECK_RESULT(weft_sleep(WEFT_SEC(1000)), -ECANCELED);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -ECANCELED);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -ECANCELED);
	CHECK_RESULT(weft_accept(fds[0], NULL, NULL), -ECANCELED);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NEVER), -ECANCELED);
	CHECK_RESULT(weft_dial("127.0.0.1:1", WEFT_NEVER), -ECANCELED);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, WEFT_NEVER), 0);
	return 0;
}

/* A call that is entered already cancelled transfers nothing. */
CO_TEST(cancelled_before_the_call)
{
	int fds[2];
	char c;
	tcp_pair(fds);
	CHECK_EQ(weft_write(fds[1], "r", 1), 1);
	struct weft_co *co = spawn_call(call_cancelled, fds);
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_call(co), 0);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	CHECK_EQ(c, 'r');
	CHECK_RESULT(weft_recv(fds[1], &c, 1, MSG_DONTWAIT), -EAGAIN);
	close_pair(fds);
}

struct race {
	int fd;
	size_t got;
};

static int read_until_cancelled(void *arg)
{
	struct race *race = arg;
	char buf[16];
	ssize_t n;
	while ((n = weft_read(race->fd, buf, sizeof buf)) > 0)
		race->got += (size_t)n;
	CHECK_RESULT(n, -ECANCELED);
	return 0;
}

/* Cancel and data at the same time: what was not reported as read is still there. */
CO_TEST(cancel_loses_no_data)
{
	int fds[2];
	char buf[16];
	tcp_pair(fds);
	for (int i = 0; i < test_scaled(2000); i++) {
		struct race race = { fds[0], 0 };
		struct weft_co *co = spawn_call(read_until_cancelled, &race);
		if (i % 2)
			await_waiters(fds[0], WF_READ, 1, 0);
		CHECK_EQ(weft_write(fds[1], "abc", 3), 3);
		if (i % 3)
			weft_yield();
		CHECK_RESULT(weft_cancel(co), 0);
		CHECK_EQ(join_call(co), 0);
		if (race.got < 3)
			CHECK_RESULT(weft_read_full(fds[0], buf, 3 - race.got, NULL), 0);
	}
	CHECK_RESULT(weft_recv(fds[0], buf, 1, MSG_DONTWAIT), -EAGAIN);
	close_pair(fds);
}

/* ---- plain threads ------------------------------------------------------------------------------------------------- */

static int talk_on_thread(void *arg)
{
	const char *addr = arg;
	char c;
	int fd = weft_dial(addr, weft_after(WEFT_SEC(20)));
	CHECK_OK(fd);
	for (int i = 0; i < test_scaled(500); i++) {
		CHECK_EQ(weft_write(fd, "t", 1), 1);
		CHECK_EQ(weft_read(fd, &c, 1), 1);
	}
	CHECK_RESULT(weft_set_deadline(fd, WEFT_READ, weft_after(WEFT_MS(10))), 0);
	CHECK_RESULT(weft_read(fd, &c, 1), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fd, WEFT_READ, WEFT_NEVER), 0);
	CHECK_RESULT(weft_wait_fd(fd, WEFT_READ, weft_after(WEFT_MS(5))), -ETIMEDOUT);
	CHECK_RESULT(weft_wait_fd(fd, WEFT_READ | WEFT_WRITE, WEFT_NEVER), WEFT_WRITE);
	return weft_close(fd);
}

static int echo_until_end(void *arg)
{
	int fd = *(int *)arg;
	char c;
	while (weft_read(fd, &c, 1) == 1)
		CHECK_EQ(weft_write(fd, &c, 1), 1);
	return weft_close(fd);
}

static int accept_and_echo(void *arg)
{
	int fd = weft_accept(*(int *)arg, NULL, NULL);
	CHECK_OK(fd);
	return echo_until_end(&fd);
}

CO_TEST(plain_thread_as_client)
{
	char addr[64];
	int listener = listen_somewhere(addr);
	struct weft_co *server = spawn_call(accept_and_echo, &listener);
	CHECK_EQ(on_thread(talk_on_thread, addr), 0);
	CHECK_EQ(join_call(server), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

static int talk_in_coroutine(void *arg) { return talk_on_thread(arg); }

CO_TEST(plain_thread_as_server)
{
	char addr[64];
	int listener = listen_somewhere(addr);
	struct weft_co *client = spawn_call(talk_in_coroutine, addr);
	CHECK_EQ(on_thread(accept_and_echo, &listener), 0);
	CHECK_EQ(join_call(client), 0);
	CHECK_RESULT(weft_close(listener), 0);
}

static void *serve_one(void *arg)
{
	CHECK_EQ(accept_and_echo(arg), 0);
	return NULL;
}

/* No coroutine at all: the runtime polls for threads alone. */
TEST(plain_threads_alone)
{
	char addr[64];
	pthread_t server;
	CHECK_RESULT(weft_start(NULL), 0);
	int listener = listen_somewhere(addr);
	CHECK_EQ(pthread_create(&server, NULL, serve_one, &listener), 0);
	CHECK_EQ(talk_on_thread(addr), 0);
	CHECK_EQ(pthread_join(server, NULL), 0);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

/* ---- weft_wait_fd -------------------------------------------------------------------------------------------------- */

CO_TEST(wait_for_a_known_one)
{
	int fds[2];
	char c;
	struct call watcher, both, reader;
	unix_pair(fds, SOCK_STREAM);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ | WEFT_WRITE, WEFT_NOW), WEFT_WRITE);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, weft_after(WEFT_MS(5))), -ETIMEDOUT);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, weft_now() - 1), -ETIMEDOUT);
	CHECK_RESULT(weft_wait_fd(fds[0], 0, WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_wait_fd(fds[0], 8, WEFT_NEVER), -EINVAL);
	fill(fds[0]);
	start_wait_fd(&watcher, fds[0], WEFT_READ, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_wait_fd(&both, fds[0], WEFT_READ | WEFT_WRITE, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 2, 0);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 3, 0);
	CHECK_EQ(weft_write(fds[1], "x", 1), 1);
	CHECK_EQ(finish(&reader), 1); /* watchers take nothing from it */
	weft_time soon = weft_after(WEFT_SEC(20));
	CHECK_EQ(weft_write(fds[1], "y", 1), 1); /* for watchers that came too late for the first */
	CHECK_RESULT(finish(&watcher), WEFT_READ);
	CHECK_RESULT(finish(&both), WEFT_READ);
	CHECK_LT(weft_now(), soon);
	close_pair(fds);
}

/* Those who only watch leave the edge to whoever reads next. */
CO_TEST(wait_takes_no_edge)
{
	int fds[2];
	char c;
	struct call watcher;
	tcp_pair(fds);
	CHECK_RESULT(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
	start_wait_fd(&watcher, fds[0], WEFT_READ, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_EQ(weft_write(fds[1], "x", 1), 1);
	CHECK_RESULT(finish(&watcher), WEFT_READ);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	close_pair(fds);
}

struct ball {
	int from, to, rounds;
};

static int play(void *arg)
{
	const struct ball *ball = arg;
	uint64_t value;
	for (int i = 0; i < ball->rounds; i++) {
		while (read(ball->from, &value, sizeof value) < 0)
			CHECK_RESULT(weft_wait_fd(ball->from, WEFT_READ, WEFT_NEVER), WEFT_READ);
		CHECK_EQ(write(ball->to, &value, sizeof value), (ssize_t)sizeof value);
	}
	return 0;
}

/* Looking and parking are two steps: nothing that comes in between is missed. */
CO_TEST(wait_misses_nothing)
{
	int fds[2] = { eventfd(1, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct ball there = { fds[0], fds[1], test_scaled(20000) }, back = { fds[1], fds[0], there.rounds };
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
	struct weft_co *player = spawn_call(play, &there);
	CHECK_EQ(on_thread(play, &back), 0);
	CHECK_EQ(join_call(player), 0);
	close_pair(fds);
}

CO_TEST(wait_obeys_the_deadline_of_the_descriptor)
{
	int fds[2];
	struct call watcher;
	tcp_pair(fds);
	start_wait_fd(&watcher, fds[0], WEFT_READ, WEFT_NEVER);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_now()), 0);
	CHECK_RESULT(finish(&watcher), -ETIMEDOUT);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NEVER), -ETIMEDOUT);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_WRITE, WEFT_NEVER), WEFT_WRITE);
	close_pair(fds);
}

CO_TEST(wait_for_a_stranger)
{
	int fds[2];
	struct call watchers[3];
	CHECK_EQ(pipe(fds), 0);
	unsigned known = wf_desc_count();
	int registered = count_registered();
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_wait_fd(fds[1], WEFT_WRITE, WEFT_NEVER), WEFT_WRITE);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, weft_after(WEFT_MS(5))), -ETIMEDOUT);
	for (int round = 0; round < 3; round++) {
		char c;
		for (int i = 0; i < 3; i++)
			start_wait_fd(&watchers[i], fds[0], WEFT_READ, WEFT_NEVER);
		while (wf_desc_count() < known + 3)
			weft_yield();
		CHECK_EQ(write(fds[1], "x", 1), 1);
		for (int i = 0; i < 3; i++)
			CHECK_RESULT(finish(&watchers[i]), WEFT_READ);
		CHECK_EQ(read(fds[0], &c, 1), 1);
		CHECK_EQ(wf_desc_count(), known);
	}
	start_wait_fd(&watchers[0], fds[0], WEFT_READ, WEFT_NEVER);
	while (wf_desc_count() == known)
		weft_yield();
	CHECK_RESULT(weft_cancel(watchers[0].co), 0);
	CHECK_RESULT(finish(&watchers[0]), -ECANCELED);
	CHECK_EQ(wf_desc_count(), known);
	CHECK_EQ(count_registered(), registered);
	CHECK_EQ(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
	CHECK_RESULT(weft_wait_fd(fds[0], WEFT_READ, WEFT_NEVER), -EBADF);
}

CO_TEST(wait_for_a_regular_file)
{
	char name[] = "/tmp/weft-test-XXXXXX";
	int fd = mkstemp(name);
	CHECK_OK(fd);
	unlink(name);
	CHECK_RESULT(weft_wait_fd(fd, WEFT_READ, WEFT_NEVER), WEFT_READ);
	CHECK_RESULT(weft_wait_fd(fd, WEFT_READ | WEFT_WRITE, WEFT_NOW), WEFT_READ | WEFT_WRITE);
	close(fd);
}

/* A foreign library reads through the number itself; the wait only tells when. */
static int read_foreign(void *arg)
{
	int fd = *(int *)arg;
	unsigned char buf[50];
	size_t at = 0;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		if (n == 0)
			return (int)at;
		if (n > 0) {
			check_pattern(buf, (size_t)n, at);
			at += (size_t)n;
		} else {
			CHECK_RESULT(weft_wait_fd(fd, WEFT_READ, WEFT_NEVER), WEFT_READ);
		}
	}
}

CO_TEST(wait_for_foreign_code)
{
	enum { N = 20000 };
	int fds[2], pair[2];
	unsigned char data[N];
	fill_pattern(data, N, 0);
	tcp_pair(fds);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	CHECK_RESULT(weft_adopt(pair[1]), 0);
	struct weft_co *known = spawn_call(read_foreign, &fds[0]), *stranger = spawn_call(read_foreign, &pair[0]);
	for (int i = 0; i < N; i += 40) {
		CHECK_EQ(weft_write(fds[1], data + i, 40), 40);
		CHECK_EQ(weft_write(pair[1], data + i, 40), 40);
		if (i % 200 == 0)
			weft_yield();
	}
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_RESULT(weft_close(pair[1]), 0);
	CHECK_EQ(join_call(known), N);
	CHECK_EQ(join_call(stranger), N);
	CHECK_RESULT(weft_close(fds[0]), 0);
	close(pair[0]);
}

/* ---- nowait -------------------------------------------------------------------------------------------------------- */

CO_TEST(dontwait)
{
	int fds[2];
	char c;
	struct call reader;
	tcp_pair(fds);
	CHECK_RESULT(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
	CHECK_RESULT(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), -EAGAIN); /* not its turn */
	CHECK_EQ(weft_write(fds[1], "ab", 2), 2);
	CHECK_EQ(finish(&reader), 1);
	CHECK_EQ(weft_recv(fds[0], &c, 1, MSG_DONTWAIT), 1);
	CHECK_EQ(c, 'b');
	close_pair(fds);
}

/* ---- the poller ---------------------------------------------------------------------------------------------------- */

/* A look in between must not eat the break that another poll was meant to get. */
TEST(break_is_remembered)
{
	CHECK_RESULT(wf_netpoll_start(), 0);
	for (int i = 0; i < 3; i++) {
		wf_netpoll_break();
		wf_netpoll_break();
		CHECK_EQ(wait_as_thread(0), 0);
		CHECK_EQ(wait_as_thread(-1), 0); /* returns at once */
		int64_t start = weft_now();
		CHECK_EQ(wait_as_thread(2000000), 0); /* there was but one */
		CHECK_GE(weft_now(), start + 2000000);
	}
	wf_netpoll_stop();
}

static void *break_soon(void *arg)
{
	usleep(1000);
	wf_netpoll_break();
	return arg;
}

TEST(break_of_a_blocked_poll)
{
	pthread_t thread;
	CHECK_RESULT(wf_netpoll_start(), 0);
	CHECK_EQ(pthread_create(&thread, NULL, break_soon, NULL), 0);
	CHECK_EQ(wait_as_thread(-1), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	wf_netpoll_stop();
}

/* ---- fairness ------------------------------------------------------------------------------------------------------ */

static int count_up(void *arg)
{
	wf_u32 *count = arg;
	while (wf_u32_load(count) < 100) {
		wf_u32_add(count, 1);
		weft_yield();
	}
	return 0;
}

/* Descriptors that are ready all the time do not keep others from running. */
CO_TEST(always_ready_lets_others_go)
{
	int fd = eventfd(1, EFD_SEMAPHORE);
	uint64_t one = 1, got;
	wf_u32 count = 0;
	struct weft_stats before = { .size = sizeof before }, after = before;
	weft_stats(&before);
	CHECK_RESULT(weft_adopt(fd), 0);
	struct weft_co *other = spawn_call(count_up, (void *)(uintptr_t)&count);
	while (wf_u32_load(&count) < 100) {
		CHECK_EQ(weft_write(fd, &one, sizeof one), (ssize_t)sizeof one);
		CHECK_EQ(weft_read(fd, &got, sizeof got), (ssize_t)sizeof got);
	}
	CHECK_EQ(join_call(other), 0);
	for (int i = 0; i < 1000; i++) { /* not only because the monitor asked for it */
		CHECK_EQ(weft_write(fd, &one, sizeof one), (ssize_t)sizeof one);
		CHECK_EQ(weft_read(fd, &got, sizeof got), (ssize_t)sizeof got);
	}
	weft_stats(&after);
	CHECK_GT(after.budget_yields, before.budget_yields);
	CHECK_RESULT(weft_close(fd), 0);
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

enum { IN_ORDER = 8 };

static struct {
	int fds[IN_ORDER]; /* one eventfd: one write makes all of them ready in one look at the kernel */
	int order[IN_ORDER];
	wf_u32 n;
} served;

static int note_place(void *arg)
{
	int i = (int)(intptr_t)arg;
	CHECK_RESULT(weft_wait_fd(served.fds[i], WEFT_READ, WEFT_NEVER), WEFT_READ);
	served.order[wf_u32_add(&served.n, 1)] = i;
	return 0;
}

static void write_to(int fd)
{
	uint64_t one = 1;
	CHECK_EQ(write(fd, &one, sizeof one), sizeof one);
}

static void *write_from_outside(void *fd)
{
	usleep(20000); /* so that the worker sleeps; if it does not yet, the order is the same in any case */
	write_to((int)(intptr_t)fd);
	return NULL;
}

/* Has all of them wait, and makes them ready: from outside, while the only worker sleeps in the poller, or from inside. */
static int serve_all(void *sleeping)
{
	struct weft_co *co[IN_ORDER];
	pthread_t thread;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	wf_u32_store(&served.n, 0);
	for (int i = 0; i < IN_ORDER; i++) {
		served.fds[i] = dup(fd);
		CHECK_RESULT(weft_adopt(served.fds[i]), 0);
		CHECK_OK(weft_spawn(&co[i], NULL, note_place, (void *)(intptr_t)i));
		await_waiters(served.fds[i], WF_READ, 1, 0);
	}
	CHECK_RESULT(weft_sleep(WEFT_MS(10)), 0); /* the edges that they began with are gone by then, which came in another order */
	if (sleeping)
		CHECK_EQ(pthread_create(&thread, NULL, write_from_outside, (void *)(intptr_t)fd), 0);
	else
		write_to(fd);
	for (int i = 0; i < IN_ORDER; i++) {
		CHECK_RESULT(weft_join(co[i], NULL), 0);
		CHECK_RESULT(weft_close(served.fds[i]), 0);
	}
	if (sleeping)
		CHECK_EQ(pthread_join(thread, NULL), 0);
	close(fd);
	return 0;
}

/* They run in the order of their events, whether somebody slept in the poller or looked at it in passing. */
TEST(events_are_served_in_their_order)
{
	int in_passing[IN_ORDER];
	struct weft_config config;
#ifdef WEFT_STRESS
	SKIP("coroutines are kept waiting by force");
#endif
	weft_config_init(&config);
	config.maxprocs = 1;
	CHECK_OK(weft_run(&config, serve_all, NULL));
	memcpy(in_passing, served.order, sizeof in_passing);
	CHECK_OK(weft_run(&config, serve_all, &config));
	for (int i = 0; i < IN_ORDER; i++)
		CHECK_EQ(served.order[i], in_passing[i]);
}
