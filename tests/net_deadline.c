/* Deadlines of descriptors. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "net_util.h"

CO_TEST(pending_read)
{
	int fds[2];
	char c;
	tcp_pair(fds);
	weft_time deadline = weft_after(WEFT_MS(20));
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, deadline), 0);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -ETIMEDOUT);
	CHECK_GE(weft_now(), deadline);
	CHECK_RESULT(weft_read(fds[0], &c, 1), -ETIMEDOUT); /* it holds for later calls */
	close_pair(fds);
}

CO_TEST(pending_write)
{
	int fds[2];
	unix_pair(fds, SOCK_STREAM);
	fill(fds[0]);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_WRITE, weft_after(WEFT_MS(20))), 0);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -ETIMEDOUT);
	close_pair(fds);
}

CO_TEST(pending_accept)
{
	char addr[64];
	int listener = listen_somewhere(addr);
	CHECK_RESULT(weft_set_deadline(listener, WEFT_READ, weft_after(WEFT_MS(20))), 0);
	CHECK_RESULT(weft_accept(listener, NULL, NULL), -ETIMEDOUT);
	int fd = weft_dial(addr, WEFT_NEVER);
	CHECK_OK(fd);
	CHECK_RESULT(weft_accept(listener, NULL, NULL), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(listener, WEFT_READ, WEFT_NEVER), 0);
	int conn = weft_accept(listener, NULL, NULL);
	CHECK_OK(conn);
	close_pair((int[]){ fd, conn });
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(past_beats_ready_data)
{
	int fds[2];
	char c;
	tcp_pair(fds);
	CHECK_EQ(weft_write(fds[0], "a", 1), 1);
	CHECK_RESULT(weft_recv(fds[1], &c, 1, MSG_PEEK), 1); /* it is there */
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_READ, weft_now()), 0);
	CHECK_RESULT(weft_read(fds[1], &c, 1), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_READ, WEFT_NOW), 0);
	CHECK_RESULT(weft_read(fds[1], &c, 1), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_WRITE, weft_now()), 0);
	CHECK_RESULT(weft_write(fds[1], "x", 1), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_READ | WEFT_WRITE, WEFT_NEVER), 0);
	CHECK_EQ(weft_read(fds[1], &c, 1), 1);
	CHECK_EQ(weft_write(fds[1], "x", 1), 1);
	close_pair(fds);
}

CO_TEST(set_by_another_wakes_now)
{
	int fds[2];
	char c;
	struct call reader, queued;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_read(&queued, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 1);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_now() - 1), 0);
	CHECK_RESULT(finish(&reader), -ETIMEDOUT);
	CHECK_RESULT(finish(&queued), -ETIMEDOUT);
	close_pair(fds);
}

CO_TEST(set_by_another_in_the_future)
{
	int fds[2];
	char c;
	struct call reader, queued;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	start_read(&queued, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 1);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ | WEFT_WRITE, weft_after(WEFT_MS(10))), 0);
	CHECK_RESULT(finish(&reader), -ETIMEDOUT);
	CHECK_RESULT(finish(&queued), -ETIMEDOUT);
	close_pair(fds);
}

static int set_soon(void *arg) { return weft_set_deadline(*(int *)arg, WEFT_READ, weft_after(WEFT_MS(10))); }

static int set_past(void *arg) { return weft_set_deadline(*(int *)arg, WEFT_READ, weft_now()); }

CO_TEST(set_by_a_plain_thread)
{
	int fds[2];
	char c;
	struct call reader;
	weft_fn *const setters[] = { set_soon, set_past };
	tcp_pair(fds);
	for (int i = 0; i < 2; i++) {
		start_read(&reader, fds[0], &c, 1);
		await_waiters(fds[0], WF_READ, 1, 0);
		CHECK_RESULT(on_thread(setters[i], &fds[0]), 0);
		CHECK_RESULT(finish(&reader), -ETIMEDOUT);
		CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, WEFT_NEVER), 0);
	}
	close_pair(fds);
}

/* Starts to read with a deadline a while from now, and has the reader wait. False: we were so slow that it came first. */
static bool wait_with_deadline(struct call *reader, int fd, int ms, weft_time *deadline)
{
	static char c;
	*deadline = weft_after(WEFT_MS(ms));
	CHECK_RESULT(weft_set_deadline(fd, WEFT_READ, *deadline), 0);
	start_read(reader, fd, &c, 1);
	while (weft_now() < *deadline) {
		if (has_waiter(fd, WF_READ))
			return true;
		weft_yield();
	}
	return false;
}

/* The timer that is armed fires, sees that it is early, and does no harm. */
CO_TEST(moved_later)
{
	int fds[2];
	struct call reader;
	weft_time deadline;
	tcp_pair(fds);
	for (int ms = 10;; ms *= 2) {
		bool waits = wait_with_deadline(&reader, fds[0], ms, &deadline);
		weft_time later = deadline + WEFT_MS(30);
		CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, later), 0);
		waits = waits && weft_now() < deadline;
		CHECK_RESULT(finish(&reader), -ETIMEDOUT);
		if (!waits)
			continue;
		CHECK_GE(weft_now(), later);
		break;
	}
	close_pair(fds);
}

CO_TEST(moved_earlier)
{
	int fds[2];
	char c;
	struct call reader;
	tcp_pair(fds);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_after(WEFT_SEC(1000))), 0);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, weft_after(WEFT_MS(10))), 0);
	CHECK_RESULT(finish(&reader), -ETIMEDOUT);
	close_pair(fds);
}

CO_TEST(cleared)
{
	int fds[2];
	struct call reader;
	weft_time deadline;
	tcp_pair(fds);
	for (int ms = 10;; ms *= 2) {
		bool waits = wait_with_deadline(&reader, fds[0], ms, &deadline);
		CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, WEFT_NEVER), 0);
		waits = waits && weft_now() < deadline;
		weft_sleep_until(deadline + WEFT_MS(10)); /* the timer has fired for nobody */
		CHECK_EQ(weft_write(fds[1], "x", 1), 1);
		ssize_t n = finish(&reader);
		if (waits) {
			CHECK_EQ(n, 1);
			break;
		}
		if (n < 0)
			drain(fds[0], 1);
	}
	close_pair(fds);
}

/* A timer armed for one file comes due when the number belongs to the next. */
CO_TEST(stale_timer_misses_a_later_file)
{
	int fds[2];
	char c;
	struct call reader;
	for (int i = 0; i < test_scaled(100); i++) {
		tcp_pair(fds);
		weft_time deadline = weft_after(WEFT_US(300));
		CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, deadline), 0);
		start_read(&reader, fds[0], &c, 1);
		if (i % 2)
			weft_sleep_until(deadline - WEFT_US(10)); /* so that the close meets the timer */
		CHECK_RESULT(weft_close(fds[0]), 0);
		ssize_t r = finish(&reader);
		CHECK(r == -EBADF || r == -ETIMEDOUT);
		CHECK_RESULT(weft_close(fds[1]), 0);
		tcp_pair(fds);
		start_read(&reader, fds[0], &c, 1);
		weft_sleep_until(deadline + WEFT_US(300));
		CHECK_EQ(weft_write(fds[1], "x", 1), 1);
		CHECK_EQ(finish(&reader), 1);
		close_pair(fds);
	}
}

struct storm {
	int fd;
	wf_u32 stop;
};

static int set_at_random(void *arg)
{
	struct storm *storm = arg;
	unsigned random = 1;
	while (!wf_u32_load(&storm->stop)) {
		random = random * 1103515245 + 12345;
		weft_time t = random >> 30 ? weft_after((int64_t)(random >> 8) % 100000) : WEFT_NEVER;
		CHECK_RESULT(weft_set_deadline(storm->fd, WEFT_READ, t), 0);
		if (random >> 28 & 1)
			weft_yield();
		else
			weft_sleep((int64_t)(random >> 16) % 50000);
	}
	return 0;
}

static int read_through(void *arg)
{
	struct storm *storm = arg;
	size_t at = 0;
	unsigned char buf[64];
	for (;;) {
		ssize_t n = weft_read(storm->fd, buf, sizeof buf);
		if (n == 0)
			return (int)at;
		if (n == -ETIMEDOUT) {
			weft_yield();
			continue;
		}
		CHECK_GT(n, 0);
		check_pattern(buf, (size_t)n, at);
		at += (size_t)n;
	}
}

/* Deadlines that come, go and pass at random lose nothing and make nothing up. */
CO_TEST(storm_of_deadlines)
{
	int fds[2], n = test_scaled(5000);
	tcp_pair(fds);
	struct storm storm = { .fd = fds[0] };
	struct weft_co *setter = spawn_call(set_at_random, &storm), *reader = spawn_call(read_through, &storm);
	for (int i = 0; i < n; i++) {
		unsigned char c = pattern((size_t)i);
		CHECK_EQ(weft_write(fds[1], &c, 1), 1);
		if (i % 3 == 0)
			weft_sleep(WEFT_US(i % 60));
	}
	CHECK_RESULT(weft_shutdown_fd(fds[1], SHUT_WR), 0);
	CHECK_EQ(join_call(reader), n);
	wf_u32_store(&storm.stop, 1);
	CHECK_EQ(join_call(setter), 0);
	close_pair(fds);
}

CO_TEST(bad_arguments)
{
	int fds[2];
	tcp_pair(fds);
	CHECK_RESULT(weft_set_deadline(fds[0], 0, WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_set_deadline(fds[0], 4, WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_set_deadline(-1, WEFT_READ, WEFT_NEVER), -EBADF);
	CHECK_RESULT(weft_set_deadline(1 << 30, WEFT_READ, WEFT_NEVER), -EBADF);
	close_pair(fds);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_READ, WEFT_NEVER), -EBADF);
}
