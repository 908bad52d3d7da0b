/* Reading and writing. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "net_util.h"

enum { MEGABYTE = 1 << 20 };

static void make_pipe(int fds[2])
{
	CHECK_EQ(pipe(fds), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_adopt(fds[1]), 0);
}

CO_TEST(one_byte_each_way)
{
	int fds[2];
	char c = 0;
	tcp_pair(fds);
	CHECK_EQ(weft_write(fds[0], "a", 1), 1);
	CHECK_EQ(weft_read(fds[1], &c, 1), 1);
	CHECK_EQ(c, 'a');
	CHECK_EQ(weft_write(fds[1], "b", 1), 1);
	CHECK_EQ(weft_read(fds[0], &c, 1), 1);
	CHECK_EQ(c, 'b');
	close_pair(fds);
}

CO_TEST(read_parks_until_data_come)
{
	int fds[2];
	char buf[8] = "";
	struct call reader;
	tcp_pair(fds);
	start_read(&reader, fds[1], buf, sizeof buf);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_EQ(weft_write(fds[0], "hello", 5), 5);
	CHECK_EQ(finish(&reader), 5);
	CHECK_MEM(buf, "hello", 5);
	close_pair(fds);
}

/* The poller knows of both before the reader looks: one edge, which a short read must not use up. */
CO_TEST(data_and_end_in_one_edge)
{
	int fds[2];
	char buf[64];
	for (int i = 0; i < test_scaled(200); i++) {
		tcp_pair(fds);
		if (i % 2) { /* the reader parks: the edge is handed to it */
			struct call reader;
			start_read(&reader, fds[1], buf, sizeof buf);
			await_waiters(fds[1], WF_READ, 1, 0);
			CHECK_EQ(send(fds[0], "data", 4, MSG_MORE), 4); /* held back until the end goes with it */
			CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_WR), 0);
			CHECK_EQ(finish(&reader), 4);
		} else { /* the edge is noted */
			CHECK_RESULT(weft_recv(fds[1], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
			CHECK_EQ(send(fds[0], "data", 4, MSG_MORE), 4);
			CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_WR), 0);
			await_ready(fds[1], WF_READ);
			CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 4);
		}
		CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 0);
		CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 0);
		close_pair(fds);
	}
}

CO_TEST(end_after_a_short_read)
{
	int fds[2];
	char buf[64];
	struct call reader;
	tcp_pair(fds);
	CHECK_EQ(weft_write(fds[0], "data", 4), 4);
	CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 4);
	start_read(&reader, fds[1], buf, sizeof buf);
	await_waiters(fds[1], WF_READ, 1, 0);
	CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_WR), 0);
	CHECK_EQ(finish(&reader), 0);
	close_pair(fds);
}

/* Urgent data make reads short as well. */
CO_TEST(urgent_data)
{
	int fds[2];
	char buf[64];
	tcp_pair(fds);
	CHECK_RESULT(weft_recv(fds[1], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(weft_write(fds[0], "abc", 3), 3);
	CHECK_EQ(weft_send(fds[0], "!", 1, MSG_OOB), 1);
	CHECK_EQ(weft_write(fds[0], "def", 3), 3);
	await_ready(fds[1], WF_READ);
	CHECK_EQ(weft_recv(fds[1], buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], '!');
	size_t got = 0;
	while (got < 6)
		got += (size_t)weft_read(fds[1], buf + got, sizeof buf - got);
	CHECK_MEM(buf, "abcdef", 6);
	close_pair(fds);
}

/* A short read says "empty" and saves the next system call; a peek or a full one says nothing. */
CO_TEST(drained_only_when_it_is)
{
	int fds[2];
	char buf[64];
	tcp_pair(fds);
	CHECK_RESULT(weft_recv(fds[1], buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
	CHECK_EQ(weft_write(fds[0], "abcdef", 6), 6);
	await_ready(fds[1], WF_READ); /* no other edge will come */
	CHECK_EQ(weft_recv(fds[1], buf, sizeof buf, MSG_PEEK), 6);
	CHECK_EQ(weft_read(fds[1], buf, 3), 3);
	CHECK_EQ(weft_read(fds[1], buf, 2), 2);
	CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 1);
	CHECK_EQ(buf[0], 'f');
	close_pair(fds);
}

CO_TEST(nothing_asked_for)
{
	int fds[2];
	struct iovec none = { NULL, 0 };
	struct msghdr msg = { .msg_iov = &none, .msg_iovlen = 1 };
	tcp_pair(fds);
	CHECK_EQ(weft_read(fds[0], NULL, 0), 0);
	CHECK_EQ(weft_readv(fds[0], &none, 1), 0);
	CHECK_EQ(weft_readv(fds[0], NULL, 0), 0);
	CHECK_EQ(weft_recv(fds[0], NULL, 0, 0), 0);
	CHECK_EQ(weft_recvmsg(fds[0], &msg, 0), 0);
	CHECK_EQ(weft_write(fds[0], NULL, 0), 0);
	CHECK_EQ(weft_writev(fds[0], &none, 1), 0);
	CHECK_EQ(weft_writev(fds[0], NULL, 0), 0);
	CHECK_EQ(weft_send(fds[0], NULL, 0, 0), 0);
	CHECK_EQ(weft_sendmsg(fds[0], &msg, 0), 0);
	CHECK_RESULT(weft_read_full(fds[0], NULL, 0, NULL), 0);
	CHECK_RESULT(weft_write_all(fds[0], NULL, 0, NULL), 0);
	CHECK_RESULT(weft_readv(fds[0], &none, -1), -EINVAL);
	CHECK_RESULT(weft_writev(fds[0], &none, -1), -EINVAL);
	close_pair(fds);
	CHECK_RESULT(weft_read(fds[0], NULL, 0), -EBADF);
	CHECK_RESULT(weft_write(fds[0], NULL, 0), -EBADF);
}

/* Far more than the buffers of the kernel hold: the writer parks many times, and the result is the whole. */
static void transfer(const int fds[2])
{
	size_t n = (size_t)test_scaled(16) * MEGABYTE;
	unsigned char *data = malloc(n);
	fill_pattern(data, n, 0);
	struct weft_co *reader = spawn_call(read_checked, (void *)(uintptr_t)&fds[1]);
	CHECK_EQ(weft_write(fds[0], data, n), n);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), n);
	CHECK_RESULT(weft_close(fds[1]), 0);
	free(data);
}

CO_TEST(large_write_tcp)
{
	int fds[2];
	tcp_pair(fds);
	transfer(fds);
}

CO_TEST(large_write_unix)
{
	int fds[2];
	unix_pair(fds, SOCK_STREAM);
	transfer(fds);
}

CO_TEST(large_write_pipe)
{
	int fds[2];
	make_pipe(fds);
	int order[2] = { fds[1], fds[0] };
	transfer(order);
}

/* More elements than one system call takes, of all sizes, empty ones among them. */
static void transfer_vector(const int fds[2], bool by_message)
{
	enum { COUNT = 3 * IOV_MAX + 7 };
	struct iovec *iov = malloc(COUNT * sizeof *iov);
	size_t total = 0;
	for (int i = 0; i < COUNT; i++)
		total += iov[i].iov_len = i % 100 == 99 ? 20000 : (size_t)(i % 7 * 11);
	unsigned char *data = malloc(total);
	fill_pattern(data, total, 0);
	size_t at = 0;
	for (int i = 0; i < COUNT; i++) {
		iov[i].iov_base = data + at;
		at += iov[i].iov_len;
	}
	struct weft_co *reader = spawn_call(read_checked, (void *)(uintptr_t)&fds[1]);
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = COUNT };
	CHECK_EQ(by_message ? weft_sendmsg(fds[0], &msg, 0) : weft_writev(fds[0], iov, COUNT), total);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), total);
	CHECK_RESULT(weft_close(fds[1]), 0);
	free(data);
	free(iov);
}

CO_TEST(long_vector_tcp)
{
	int fds[2];
	tcp_pair(fds);
	transfer_vector(fds, false);
}

CO_TEST(long_vector_unix_message)
{
	int fds[2];
	unix_pair(fds, SOCK_STREAM);
	transfer_vector(fds, true);
}

CO_TEST(long_vector_pipe)
{
	int fds[2];
	make_pipe(fds);
	int order[2] = { fds[1], fds[0] };
	transfer_vector(order, false);
}

CO_TEST(readv_scatters)
{
	int fds[2];
	char a[3], b[5];
	struct iovec iov[2] = { { a, sizeof a }, { b, sizeof b } };
	tcp_pair(fds);
	CHECK_EQ(weft_write(fds[0], "abcdefgh", 8), 8);
	CHECK_EQ(weft_readv(fds[1], iov, 2), 8);
	CHECK_MEM(a, "abc", 3);
	CHECK_MEM(b, "defgh", 5);
	close_pair(fds);
	make_pipe(fds);
	CHECK_EQ(weft_write(fds[1], "abcdefgh", 8), 8);
	CHECK_EQ(weft_readv(fds[0], iov, 2), 8);
	CHECK_MEM(b, "defgh", 5);
	close_pair(fds);
}

/* More elements than the system takes at a time, the first of them empty: what there is is read, and is no end of file. */
CO_TEST(long_vector_of_mostly_nothing)
{
	enum { N = 3 * IOV_MAX };
	static struct iovec iov[N];
	int fds[2];
	char c[3];
	for (int i = 0; i < 3; i++)
		iov[N - 3 + i] = (struct iovec){ &c[i], 1 };
	CHECK_RESULT(weft_pipe(fds), 0);
	CHECK_EQ(weft_writev(fds[1], (struct iovec[]){ { "abc", 3 } }, 1), 3);
	CHECK_EQ(weft_readv(fds[0], iov, N), 3);
	CHECK_MEM(c, "abc", 3);
	CHECK_EQ(weft_readv(fds[0], iov, N - 3), 0);
	CHECK_EQ(weft_writev(fds[1], iov, N), 3);
	CHECK_EQ(weft_read(fds[0], c, 3), 3);
	close_pair(fds);
}

static int answer_at_the_end(void *arg)
{
	int fd = *(int *)arg;
	char buf[16];
	size_t n = 0;
	ssize_t r;
	while ((r = weft_read(fd, buf, sizeof buf)) > 0)
		n += (size_t)r;
	CHECK_EQ(r, 0);
	CHECK_EQ(weft_write(fd, "got it", 6), 6);
	return (int)n;
}

/* One side has said all it has to say, and reads on. */
static void half_close(int fds[2])
{
	char buf[16];
	struct weft_co *server = spawn_call(answer_at_the_end, &fds[1]);
	CHECK_EQ(weft_write(fds[0], "question", 8), 8);
	CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_WR), 0);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -EPIPE);
	CHECK_EQ(weft_read(fds[0], buf, sizeof buf), 6);
	CHECK_EQ(join_call(server), 8);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_EQ(weft_read(fds[0], buf, sizeof buf), 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_WR), -EBADF);
}

CO_TEST(half_closed)
{
	int fds[2];
	tcp_pair(fds);
	half_close(fds);
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	half_close(fds);
}

/* A reader who waits hears of the end that its own side makes. */
CO_TEST(shutdown_wakes)
{
	int fds[2];
	char c;
	struct call reader;
	tcp_pair(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_shutdown_fd(fds[0], SHUT_RD), 0);
	CHECK_EQ(finish(&reader), 0);
	close_pair(fds);
}

enum { WRITERS = 8, BLOCK = 100000 };

struct block_writer {
	int fd;
	unsigned char mark;
	int rounds;
};

static int write_blocks(void *arg)
{
	const struct block_writer *writer = arg;
	unsigned char *block = malloc(BLOCK);
	memset(block, writer->mark, BLOCK);
	for (int i = 0; i < writer->rounds; i++)
		CHECK_EQ(weft_write(writer->fd, block, BLOCK), BLOCK);
	free(block);
	return 0;
}

CO_TEST(writers_do_not_mix)
{
	int fds[2], rounds = test_scaled(20);
	struct block_writer writers[WRITERS];
	struct weft_co *cos[WRITERS];
	int seen[WRITERS] = { 0 };
	unsigned char *block = malloc(BLOCK);
	tcp_pair(fds);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct block_writer){ fds[0], (unsigned char)i, rounds };
		cos[i] = spawn_call(write_blocks, &writers[i]);
	}
	for (int i = 0; i < WRITERS * rounds; i++) {
		CHECK_RESULT(weft_read_full(fds[1], block, BLOCK, NULL), 0);
		CHECK_LT(block[0], WRITERS);
		for (int k = 1; k < BLOCK; k++)
			CHECK_EQ(block[k], block[0]);
		seen[block[0]]++;
	}
	for (int i = 0; i < WRITERS; i++) {
		CHECK_EQ(join_call(cos[i]), 0);
		CHECK_EQ(seen[i], rounds);
	}
	free(block);
	close_pair(fds);
}

/* First come, first served. */
CO_TEST(readers_take_turns_in_order)
{
	enum { READERS = 5 };
	int fds[2];
	char bytes[READERS] = "";
	struct call readers[READERS];
	tcp_pair(fds);
	for (int i = 0; i < READERS; i++) {
		start_read(&readers[i], fds[1], &bytes[i], 1);
		await_waiters(fds[1], WF_READ, 1, i);
	}
	CHECK_EQ(weft_write(fds[0], "abcde", READERS), READERS);
	for (int i = 0; i < READERS; i++)
		CHECK_EQ(finish(&readers[i]), 1);
	CHECK_MEM(bytes, "abcde", READERS);
	close_pair(fds);
}

CO_TEST(reading_and_writing_do_not_wait_for_each_other)
{
	int fds[2];
	char x, y;
	struct call reader;
	tcp_pair(fds);
	start_read(&reader, fds[0], &y, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_EQ(weft_write(fds[0], "x", 1), 1);
	CHECK_EQ(weft_read(fds[1], &x, 1), 1);
	CHECK_EQ(x, 'x');
	CHECK_EQ(weft_write(fds[1], "y", 1), 1);
	CHECK_EQ(finish(&reader), 1);
	CHECK_EQ(y, 'y');
	close_pair(fds);
}

/* Who does not want to wait gets the system's answer, not what the poller has seen. */
CO_TEST(dontwait_asks_the_system)
{
	static char buf[65536];
	int fds[2];
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	unix_pair(fds, SOCK_STREAM);
	for (int i = 0; i < 100; i++) {
		CHECK_RESULT(weft_recv(fds[1], &c, 1, MSG_DONTWAIT), -EAGAIN);
		CHECK_EQ(write(fds[0], "xy", 2), 2);
		CHECK_EQ(weft_recv(fds[1], &c, 1, MSG_DONTWAIT), 1);
		CHECK_EQ(weft_recvmsg(fds[1], &msg, MSG_DONTWAIT), 1);
		CHECK_EQ(c, 'y');
	}
	for (int i = 0; i < 10; i++) {
		size_t filled = fill(fds[0]), got = 0;
		CHECK_RESULT(weft_sendmsg(fds[0], &msg, MSG_DONTWAIT), -EAGAIN);
		while (got < filled) {
			ssize_t n = read(fds[1], buf, sizeof buf);
			CHECK_GT(n, 0);
			got += (size_t)n;
		}
		CHECK_EQ(weft_sendmsg(fds[0], &msg, MSG_DONTWAIT), 1);
		CHECK_EQ(weft_recv(fds[1], &c, 1, MSG_DONTWAIT), 1);
	}
	close_pair(fds);
}

/* A write that was stopped midway tells how far it came, and the next one why. */
CO_TEST(error_after_a_short_count)
{
	int fds[2];
	size_t n = 64 * MEGABYTE;
	char *data = calloc(1, n);
	struct call writer;
	tcp_pair(fds);
	start_write(&writer, fds[0], data, n);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	CHECK_EQ(setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)), 0);
	CHECK_RESULT(weft_close(fds[1]), 0); /* a reset */
	ssize_t sent = finish(&writer);
	CHECK_GT(sent, 0);
	CHECK_LT(sent, n);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -ECONNRESET);
	CHECK_RESULT(weft_write(fds[0], "x", 1), -EPIPE);
	CHECK_RESULT(weft_close(fds[0]), 0);
	free(data);
}

CO_TEST(write_all_reports_both)
{
	int fds[2];
	size_t n = 64 * MEGABYTE, done = 0;
	char *data = calloc(1, n);
	tcp_pair(fds);
	struct weft_co *stopper = spawn_call(set_past_when_full, &fds[0]);
	CHECK_RESULT(weft_write_all(fds[0], data, n, &done), -ETIMEDOUT);
	CHECK_EQ(join_call(stopper), 0);
	CHECK_GT(done, 0);
	CHECK_LT(done, n);
	CHECK_RESULT(weft_set_deadline(fds[0], WEFT_WRITE, WEFT_NEVER), 0);
	drain(fds[1], done);
	CHECK_RESULT(weft_write_all(fds[0], "end", 3, &done), 0);
	CHECK_EQ(done, 3);
	CHECK_RESULT(weft_read_full(fds[1], data, 3, &done), 0);
	CHECK_EQ(done, 3);
	CHECK_MEM(data, "end", 3);
	CHECK_EQ(weft_write(fds[0], "ab", 2), 2);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(weft_read_full(fds[1], data, 3, &done), -ENODATA);
	CHECK_EQ(done, 2);
	CHECK_RESULT(weft_read_full(fds[1], data, 3, &done), -ENODATA);
	CHECK_EQ(done, 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
	free(data);
}

/* On a thread that does not block it, and with the default disposition, it would end the process. */
static int write_to_nobody(void *arg)
{
	const int *fds = arg; /* a socket, a pipe, a file */
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	signal(SIGPIPE, SIG_DFL);
	CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_RESULT(weft_write(fds[i], "x", 1), -EPIPE);
		CHECK_RESULT(weft_writev(fds[i], &iov, 1), -EPIPE);
		CHECK_RESULT(weft_sendfile(fds[i], fds[2], 0, 1), -EPIPE);
	}
	CHECK_RESULT(weft_send(fds[0], "x", 1, 0), -EPIPE);
	CHECK_RESULT(weft_sendmsg(fds[0], &msg, 0), -EPIPE);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	CHECK_RESULT(weft_write(fds[1], "x", 1), -EPIPE);
	sigpending(&set);
	CHECK(!sigismember(&set, SIGPIPE)); /* nor is it left behind where it is blocked */
	return 0;
}

CO_TEST(no_sigpipe)
{
	int pair[2], ends[2];
	FILE *file = tmpfile();
	CHECK_EQ(write(fileno(file), "x", 1), 1);
	tcp_pair(pair);
	make_pipe(ends);
	CHECK_RESULT(weft_shutdown_fd(pair[0], SHUT_WR), 0);
	CHECK_RESULT(weft_close(ends[0]), 0);
	CHECK_EQ(on_thread(write_to_nobody, (int[]){ pair[0], ends[1], fileno(file) }), 0);
	CHECK_RESULT(weft_write(pair[0], "x", 1), -EPIPE);
	CHECK_RESULT(weft_write(ends[1], "x", 1), -EPIPE);
	close_pair(pair);
	CHECK_RESULT(weft_close(ends[1]), 0);
	fclose(file);
}

/* ---- signals ------------------------------------------------------------------------------------------------------- */

static void do_nothing(int signal) { (void)signal; }

static int wait_and_echo(void *arg)
{
	int fd = *(int *)arg;
	char buf[512];
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0)
		CHECK_EQ(weft_write(fd, buf, (size_t)n), n);
	return (int)n;
}

struct pest {
	pthread_t victim;
	wf_u32 stop;
};

static void *disturb(void *arg)
{
	struct pest *pest = arg;
	while (!wf_u32_load(&pest->stop)) {
		pthread_kill(pest->victim, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

static int exchange_disturbed(void *arg)
{
	int fd = *(int *)arg;
	char out[300], in[300];
	struct pest pest = { .victim = pthread_self() };
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, disturb, &pest), 0);
	memset(out, 'e', sizeof out);
	for (int i = 0; i < test_scaled(3000); i++) {
		CHECK_EQ(weft_write(fd, out, sizeof out), (ssize_t)sizeof out);
		CHECK_RESULT(weft_read_full(fd, in, sizeof in, NULL), 0);
		CHECK_MEM(in, out, sizeof in);
	}
	wf_u32_store(&pest.stop, 1);
	return pthread_join(thread, NULL);
}

/* Without SA_RESTART, and many of them. */
CO_TEST(signals_do_not_cut_calls_short)
{
	int fds[2];
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = do_nothing }, NULL);
	tcp_pair(fds);
	struct weft_co *echo = spawn_call(wait_and_echo, &fds[1]);
	CHECK_EQ(on_thread(exchange_disturbed, &fds[0]), 0);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(echo), 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
}

/* ---- pipes, eventfds, terminals ------------------------------------------------------------------------------------ */

CO_TEST(pipe_waits)
{
	int fds[2];
	char c = 0;
	struct call reader;
	make_pipe(fds);
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_EQ(weft_write(fds[1], "p", 1), 1);
	CHECK_EQ(finish(&reader), 1);
	CHECK_EQ(c, 'p');
	start_read(&reader, fds[0], &c, 1);
	await_waiters(fds[0], WF_READ, 1, 0);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_EQ(finish(&reader), 0);
	CHECK_RESULT(weft_recv(fds[0], &c, 1, 0), -ENOTSOCK);
	CHECK_RESULT(weft_send(fds[0], &c, 1, 0), -ENOTSOCK);
	CHECK_RESULT(weft_close(fds[0]), 0);
}

CO_TEST(eventfd_waits)
{
	uint64_t value = 7, got = 0;
	int fd = eventfd(0, 0);
	struct call reader;
	CHECK_RESULT(weft_adopt(fd), 0);
	start_read(&reader, fd, &got, sizeof got);
	await_waiters(fd, WF_READ, 1, 0);
	CHECK_EQ(weft_write(fd, &value, sizeof value), (ssize_t)sizeof value);
	CHECK_EQ(finish(&reader), (ssize_t)sizeof got);
	CHECK_EQ(got, 7);
	CHECK_RESULT(weft_close(fd), 0);
}

/* A terminal is shared with others, who expect it to block. */
CO_TEST(terminal_keeps_blocking)
{
	char buf[16];
	struct call reader;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0)
		SKIP("no pseudo terminals");
	CHECK_EQ(grantpt(master), 0);
	CHECK_EQ(unlockpt(master), 0);
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK_OK(terminal);
	CHECK_RESULT(weft_adopt(terminal), 0);
	CHECK_EQ(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
	start_read(&reader, terminal, buf, sizeof buf);
	await_waiters(terminal, WF_READ, 1, 0);
	CHECK_EQ(write(master, "line\n", 5), 5);
	CHECK_EQ(finish(&reader), 5);
	CHECK_MEM(buf, "line\n", 5);
	CHECK_EQ(weft_write(terminal, "out", 3), 3);
	CHECK_RESULT(weft_set_deadline(terminal, WEFT_READ, weft_after(WEFT_MS(5))), 0);
	CHECK_RESULT(weft_read(terminal, buf, sizeof buf), -ETIMEDOUT);
	CHECK_EQ(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(weft_close(terminal), 0);
	close(master);
}

/* ---- messages ------------------------------------------------------------------------------------------------------ */

CO_TEST(datagrams)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from;
	socklen_t len = sizeof name, from_len = sizeof from;
	char buf[16] = "";
	int a = weft_socket(AF_INET, SOCK_DGRAM, 0), b = weft_socket(AF_INET, SOCK_DGRAM, 0);
	CHECK_OK(a);
	CHECK_OK(b);
	CHECK_EQ(bind(a, (struct sockaddr *)&name, len), 0);
	CHECK_EQ(getsockname(a, (struct sockaddr *)&name, &len), 0);
	struct call reader;
	start_read(&reader, a, buf, sizeof buf);
	await_waiters(a, WF_READ, 1, 0);
	CHECK_EQ(weft_sendto(b, "one", 3, 0, (struct sockaddr *)&name, len), 3);
	CHECK_EQ(finish(&reader), 3);
	CHECK_MEM(buf, "one", 3);
	/* Two in the queue, one edge perhaps; an empty one in between; a long one that is cut. */
	CHECK_EQ(weft_sendto(b, "two", 3, 0, (struct sockaddr *)&name, len), 3);
	CHECK_EQ(weft_sendto(b, NULL, 0, 0, (struct sockaddr *)&name, len), 0);
	CHECK_EQ(weft_sendto(b, "0123456789", 10, 0, (struct sockaddr *)&name, len), 10);
	CHECK_EQ(weft_recvfrom(a, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len), 3);
	CHECK_EQ(from.sin_family, AF_INET);
	CHECK_EQ(weft_recvfrom(a, buf, sizeof buf, 0, NULL, NULL), 0);
	CHECK_EQ(weft_recv(a, buf, 4, 0), 4);
	CHECK_RESULT(weft_recv(a, buf, sizeof buf, MSG_DONTWAIT), -EAGAIN);
	CHECK_RESULT(weft_connect(b, (struct sockaddr *)&name, len), 0);
	CHECK_EQ(weft_send(b, NULL, 0, 0), 0);
	CHECK_EQ(weft_write(b, "three", 5), 5);
	CHECK_EQ(weft_recv(a, NULL, 0, 0), 0); /* takes the empty one */
	CHECK_EQ(weft_read(a, buf, sizeof buf), 5);
	CHECK_RESULT(weft_close(a), 0);
	CHECK_RESULT(weft_close(b), 0);
}

CO_TEST(message_vector_is_one_message)
{
	int fds[2];
	char buf[16];
	struct iovec iov[3] = { { "ab", 2 }, { NULL, 0 }, { "cde", 3 } };
	unix_pair(fds, SOCK_SEQPACKET);
	CHECK_EQ(weft_writev(fds[0], iov, 3), 5);
	CHECK_EQ(weft_write(fds[0], "f", 1), 1);
	CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 5);
	CHECK_MEM(buf, "abcde", 5);
	CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 1);
	close_pair(fds);
}

/* A unix datagram socket whose peer's queue is full takes no more: the writer parks. */
CO_TEST(full_datagram_socket_waits)
{
	int fds[2], sent = 0;
	char buf[16];
	struct call writer;
	unix_pair(fds, SOCK_DGRAM);
	while (weft_send(fds[0], "x", 1, MSG_DONTWAIT) == 1)
		sent++;
	start_write(&writer, fds[0], "y", 1);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	for (int i = 0; i < sent; i++)
		CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 1);
	CHECK_EQ(finish(&writer), 1);
	CHECK_EQ(weft_read(fds[1], buf, sizeof buf), 1);
	CHECK_EQ(buf[0], 'y');
	close_pair(fds);
}

static int send_message(void *arg)
{
	struct call *call = arg;
	call->result = weft_sendmsg(call->fd, call->buf, 0);
	return 0;
}

/* How many descriptors came with a part of a message; they are closed, but for the last one. */
static int take_descriptors(struct msghdr *msg, int *last)
{
	int n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		CHECK_EQ(c->cmsg_type, SCM_RIGHTS);
		if (*last >= 0)
			close(*last);
		memcpy(last, CMSG_DATA(c), sizeof *last);
		n++;
	}
	return n;
}

/* Control data go with the first part of a message that takes several, and with that alone. */
CO_TEST(descriptor_in_a_long_message)
{
	enum { N = 4 * MEGABYTE, PARTS = 64 };
	int fds[2], carried[2], fd = -1, count = 0;
	unsigned char *data = malloc(N), *got = malloc(N);
	struct iovec parts[PARTS];
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	fill_pattern(data, N, 0);
	for (int i = 0; i < PARTS; i++)
		parts[i] = (struct iovec){ data + i * (N / PARTS), N / PARTS };
	unix_pair(fds, SOCK_STREAM);
	CHECK_EQ(pipe(carried), 0);
	memcpy(CMSG_DATA(&control.header), &carried[1], sizeof(int));
	struct msghdr out = { .msg_iov = parts, .msg_iovlen = PARTS, .msg_control = &control, .msg_controllen = sizeof control };
	struct call writer = { .fd = fds[0], .buf = &out };
	struct weft_co *sender = spawn_call(send_message, &writer);
	for (size_t at = 0; at < N;) {
		struct iovec rest = { got + at, N - at };
		union {
			struct cmsghdr header;
			char room[4 * CMSG_SPACE(sizeof(int))];
		} received;
		struct msghdr in = { .msg_iov = &rest, .msg_iovlen = 1, .msg_control = &received,
				     .msg_controllen = sizeof received };
		ssize_t n = weft_recvmsg(fds[1], &in, MSG_CMSG_CLOEXEC);
		CHECK_GT(n, 0);
		at += (size_t)n;
		count += take_descriptors(&in, &fd);
	}
	CHECK_EQ(join_call(sender), 0);
	CHECK_EQ(writer.result, N);
	CHECK_EQ(count, 1);
	check_pattern(got, N, 0);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_EQ(read(carried[0], got, 1), 1);
	close(fd);
	close(carried[0]);
	close(carried[1]);
	close_pair(fds);
	free(data);
	free(got);
}
