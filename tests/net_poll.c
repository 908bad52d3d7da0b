/* What every poller must do (runtime/netpoll.h, net/polldesc.h), seen through descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net_util.h"
#include "poll_util.h"

static void make_pipe(int fds[2])
{
	CHECK_EQ(pipe(fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
}

static unsigned edges_of(int fd)
{
	struct wf_desc *d = wf_desc_find(fd);
	wf_lock(&d->lock);
	unsigned edges = d->edges;
	wf_unlock(&d->lock);
	return edges;
}

static void await_edges(int fd, unsigned count)
{
	while ((int)(edges_of(fd) - count) < 0)
		CHECK_RESULT(weft_sleep(WEFT_US(100)), 0);
}

/* ---- edges --------------------------------------------------------------------------------------------------------- */

/* What is ready and stays so is told once, however often the poller looks; what is added to it is told again. */
CO_TEST(an_edge_comes_once)
{
	int fds[2];
	char buf[8];
	unix_pair(fds, SOCK_STREAM);
	for (int i = 0; i < 3; i++) {
		unsigned before = edges_of(fds[0]);
		CHECK_EQ(weft_write(fds[1], "x", 1), 1);
		await_edges(fds[0], before + 1);
		CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
		unsigned settled = edges_of(fds[0]);
		for (int look = 0; look < 5; look++)
			CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
		CHECK_EQ(edges_of(fds[0]), settled);
	}
	CHECK_EQ(weft_read(fds[0], buf, sizeof buf), 3);
	close_pair(fds);
}

/* What is ready before the poller hears of it makes an edge, too. */
CO_TEST(an_edge_comes_for_what_is_there)
{
	int fds[2];
	char c;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	await_edges(fds[0], 1);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	CHECK_RESULT(weft_close(fds[0]), 0);
	close(fds[1]);
}

/* A number that was released is the poller's no more; one that is adopted again carries its new sequence number. */
CO_TEST(edges_go_on_after_a_release)
{
	int fds[2];
	char c;
	struct call reader;
	unix_pair(fds, SOCK_STREAM);
	int registered = count_registered();
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(weft_release(fds[0]), fds[0]);
		CHECK(registered == 0 || count_registered() < registered); /* 0: the system does not tell */
		CHECK_RESULT(weft_adopt(fds[0]), 0);
		CHECK_EQ(count_registered(), registered);
		start_read(&reader, fds[0], &c, 1);
		await_waiters(fds[0], WF_READ, 1, 0);
		CHECK_EQ(weft_write(fds[1], "x", 1), 1);
		CHECK_EQ(finish(&reader), 1);
	}
	close_pair(fds);
}

/* Numbers come back at once; each file has its own edges. */
CO_TEST(edges_of_numbers_used_again)
{
	char c;
	struct call reader;
	for (int i = 0; i < test_scaled(500); i++) {
		int fds[2];
		unix_pair(fds, SOCK_STREAM);
		if (i % 2)
			CHECK_EQ(weft_write(fds[1], "x", 1), 1); /* an edge that nobody takes before the close */
		start_read(&reader, fds[1], &c, 1);
		await_waiters(fds[1], WF_READ, 1, 0);
		CHECK_EQ(weft_write(fds[0], "y", 1), 1);
		CHECK_EQ(finish(&reader), 1);
		CHECK_EQ(c, 'y');
		close_pair(fds);
	}
}

/* ---- ends ---------------------------------------------------------------------------------------------------------- */

/* A pipe that is full: whoever waits to write hears that nobody will read. */
CO_TEST(the_end_of_a_pipe_wakes_the_writer)
{
	static char buf[65536];
	int fds[2];
	struct call writer;
	make_pipe(fds);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_WRITE, weft_after(WEFT_MS(20))), 0);
	CHECK_GT(weft_write(fds[1], buf, sizeof buf), 0);
	CHECK_RESULT(weft_set_deadline(fds[1], WEFT_WRITE, WEFT_NEVER), 0);
	start_write(&writer, fds[1], buf, sizeof buf);
	await_waiters(fds[1], WF_WRITE, 1, 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(finish(&writer), -EPIPE);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

/* Nobody reads the pipe any more when the poller first hears of it: an answer for who writes, and no error for who adopts. */
CO_TEST(a_pipe_without_a_reader)
{
	int fds[2];
	CHECK_EQ(pipe(fds), 0);
	close(fds[0]);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
	CHECK_RESULT(weft_wait_fd(fds[1], WEFT_WRITE, WEFT_NEVER), WEFT_WRITE);
	CHECK_RESULT(weft_write(fds[1], "x", 1), -EPIPE);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_EQ(pipe(fds), 0);
	struct call watcher;
	start_wait_fd(&watcher, fds[1], WEFT_READ, WEFT_NEVER); /* a stranger, in the direction that never is ready */
	while (wf_desc_count() == 0)
		weft_yield();
	close(fds[0]);
	CHECK_RESULT(finish(&watcher), WEFT_READ);
	close(fds[1]);
}

/* Each end of a pipe waits in one direction; the other one is an error at once, and nothing to wait for. */
CO_TEST(the_wrong_end_of_a_pipe)
{
	int fds[2];
	char c;
	make_pipe(fds);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -EBADF);
	CHECK_RESULT(weft_read(fds[1], &c, 1), -EBADF);
	close_pair(fds);
}

/* Data and end at once, in one edge perhaps: the short read is not taken for "empty". */
CO_TEST(the_end_comes_with_data)
{
	char buf[64], addr[64];
	for (int i = 0; i < 20; i++) {
		int fds[2], listener = listen_somewhere(addr);
		struct call reader;
		CHECK_OK(fds[0] = weft_dial(addr, WEFT_NEVER));
		CHECK_OK(fds[1] = weft_accept(listener, NULL, NULL));
		start_read(&reader, fds[1], buf, sizeof buf);
		await_waiters(fds[1], WF_READ, 1, 0);
		CHECK_EQ(write(fds[0], "abc", 3), 3);
		CHECK_EQ(shutdown(fds[0], SHUT_WR), 0);
		CHECK_EQ(finish(&reader), 3);
		CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 0);
		close_pair(fds);
		CHECK_RESULT(weft_close(listener), 0);
	}
}

/* A reset reaches whoever waits, in either direction. */
CO_TEST(a_reset_wakes_both_sides)
{
	static char zeros[1 << 20];
	int fds[2];
	char c;
	struct call reader, writer;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	ssize_t n;
	while ((n = weft_send(fds[0], zeros, sizeof zeros, MSG_DONTWAIT)) > 0)
		;
	CHECK_RESULT(n, -EAGAIN);
	start_write(&writer, fds[0], zeros, sizeof zeros);
	CHECK_EQ(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
	ssize_t read_result = finish(&reader), write_result = finish(&writer);
	CHECK(read_result == -ECONNRESET || read_result == 0); /* who is first gets the error, the other one an end */
	CHECK(write_result == -ECONNRESET || write_result == -EPIPE);
	CHECK_RESULT(weft_close(fds[0]), 0);
}

/* ---- the wait itself ------------------------------------------------------------------------------------------------ */

TEST(timeouts_are_not_short)
{
	static const int64_t timeouts[] = { 1, 50000, 999999, 1000001, 2500000 };
	CHECK_RESULT(wf_netpoll_start(), 0);
	for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
		int64_t start = weft_now();
		CHECK_EQ(wait_as_thread(timeouts[i]), 0);
		CHECK_GE(weft_now(), start + timeouts[i]);
	}
	wf_netpoll_stop();
}

static void break_in_handler(int signal)
{
	(void)signal;
	wf_netpoll_break();
}

static void *disturb(void *arg)
{
	for (int i = 0; i < 20; i++) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		usleep(200);
	}
	return NULL;
}

/* A break out of a signal handler is a break: what interrupts the poll doesn't get lost. */
TEST(break_in_a_signal_handler)
{
	pthread_t self = pthread_self(), thread;
	CHECK_RESULT(wf_netpoll_start(), 0);
	CHECK_EQ(sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = break_in_handler }, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, disturb, &self), 0);
	CHECK_EQ(wait_as_thread(-1), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	while (wait_as_thread(1000000) != 0) /* takes the last one */
		;
	wf_netpoll_break();
	CHECK_EQ(wait_as_thread(-1), 0);
	wf_netpoll_stop();
}

static wf_u32 passes, looking;

static void *look_without_blocking(void *arg)
{
	while (wf_u32_load(&looking)) {
		CHECK_EQ(wait_as_thread(0), 0);
		wf_u32_add(&passes, 1);
	}
	return arg;
}

/* Many who look without blocking, while one blocks: each break reaches that one. */
TEST(break_reaches_the_one_that_blocks)
{
	pthread_t threads[2];
	CHECK_RESULT(wf_netpoll_start(), 0);
	wf_u32_store(&looking, 1);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, look_without_blocking, NULL), 0);
	for (int i = 0; i < test_scaled(500); i++) {
		wf_netpoll_break();
		CHECK_EQ(wait_as_thread(-1), 0);
	}
	wf_u32_store(&looking, 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	wf_netpoll_stop();
}
