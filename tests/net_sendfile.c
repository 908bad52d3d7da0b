/* Files to descriptors. sendfile(2) is watched here, and can be made to refuse. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net_util.h"

enum { MEGABYTE = 1 << 20 };

static atomic_int refuses, on_helpers, by_coroutines;
static _Atomic size_t largest;

ssize_t sendfile_seen(int out, int in, off_t *offset, size_t n) __asm__("sendfile");

ssize_t sendfile_seen(int out, int in, off_t *offset, size_t n)
{
	atomic_fetch_add(weft_self() ? &by_coroutines : &on_helpers, 1);
	if (n > atomic_load(&largest))
		atomic_store(&largest, n);
	if (atomic_load(&refuses)) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_sendfile, out, in, offset, n);
}

static int make_file(size_t n)
{
	unsigned char *data = malloc(n);
	FILE *file = tmpfile();
	CHECK(file != NULL);
	fill_pattern(data, n, 0);
	CHECK_EQ(write(fileno(file), data, n), (ssize_t)n);
	free(data);
	int fd = dup(fileno(file));
	fclose(file);
	return fd;
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static void send_whole(int file, size_t n)
{
	int fds[2];
	tcp_pair(fds);
	struct weft_co *reader = spawn_call(read_checked, &fds[1]);
	CHECK_EQ(weft_sendfile(fds[0], file, 0, SIZE_MAX), n);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), n);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_EQ(lseek(file, 0, SEEK_CUR), n); /* the position stays where it was */
}

CO_TEST(waits_for_room)
{
	enum { N = 8 * MEGABYTE + 5 };
	int file = make_file(N);
	send_whole(file, N);
	CHECK_GT(atomic_load(&on_helpers) + atomic_load(&by_coroutines), 1);
	CHECK_LE(atomic_load(&largest), MEGABYTE / 4);
	close(file);
}

CO_TEST(by_hand_where_the_system_refuses)
{
	enum { N = 4 * MEGABYTE + 5 };
	int file = make_file(N);
	atomic_store(&refuses, 1);
	send_whole(file, N);
	CHECK_EQ(atomic_load(&on_helpers) + atomic_load(&by_coroutines), 1); /* asked once */
	close(file);
}

/* What is not in memory is fetched by a helper. */
CO_TEST(disk_is_for_helpers)
{
	enum { N = 2 * MEGABYTE };
	int file = make_file(N);
	char byte;
	struct iovec iov = { &byte, 1 };
	CHECK_EQ(fsync(file), 0);
	CHECK_EQ(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
	bool cold = preadv2(file, &iov, 1, N - 1, RWF_NOWAIT) != 1;
	send_whole(file, N);
	close(file);
	if (!cold)
		SKIP("this file system keeps everything in memory");
	CHECK_GT(atomic_load(&on_helpers), 0);
}

/* ---- the end of the file ------------------------------------------------------------------------------------------- */

static void end_with_the_file(void)
{
	enum { N = 10000 };
	int fds[2], file = make_file(N);
	unsigned char buf[N];
	CHECK_RESULT(weft_pipe(fds), 0);
	CHECK_EQ(weft_sendfile(fds[1], file, N - 100, 1000), 100);
	CHECK_EQ(weft_sendfile(fds[1], file, N, 1000), 0);
	CHECK_EQ(weft_sendfile(fds[1], file, 2 * N, 1000), 0);
	CHECK_EQ(weft_sendfile(fds[1], file, INT64_C(1) << 40, SIZE_MAX), 0);
	CHECK_EQ(weft_sendfile(fds[1], file, 5, 0), 0);
	CHECK_EQ(weft_sendfile(fds[1], file, 5, 10), 10);
	CHECK_RESULT(weft_read_full(fds[0], buf, 110, NULL), 0);
	check_pattern(buf, 100, N - 100);
	check_pattern(buf + 100, 10, 5);
	close_pair(fds);
	close(file);
}

CO_TEST(ends_with_the_file)
{
	end_with_the_file();
	atomic_store(&refuses, 1);
	end_with_the_file();
}

struct sending {
	int out, in;
	size_t n;
	int64_t sent;
};

static int send_it(void *arg)
{
	struct sending *s = arg;
	s->sent = weft_sendfile(s->out, s->in, 0, s->n);
	return 0;
}

/* The file is cut while it is sent. (What the system has taken of it can still change; what was copied by hand can't.) */
static void cut_it(weft_fn *read_all)
{
	enum { N = 32 * MEGABYTE };
	int fds[2];
	struct sending s = { .in = make_file(N), .n = N };
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	s.out = fds[0];
	struct weft_co *co = spawn_call(send_it, &s);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	CHECK_EQ(ftruncate(s.in, 1000), 0);
	struct weft_co *reader = spawn_call(read_all, &fds[1]);
	CHECK_EQ(join_call(co), 0);
	CHECK_GT(s.sent, 0);
	CHECK_LT(s.sent, N);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), s.sent);
	CHECK_RESULT(weft_close(fds[1]), 0);
	close(s.in);
}

static int read_unchecked(void *arg)
{
	static char buf[65536];
	ssize_t n;
	int total = 0;
	while ((n = weft_read(*(int *)arg, buf, sizeof buf)) > 0)
		total += (int)n;
	return total;
}

CO_TEST(file_is_cut_meanwhile)
{
	cut_it(read_unchecked);
	atomic_store(&refuses, 1);
	cut_it(read_checked);
}

/* ---- stopped midway ------------------------------------------------------------------------------------------------ */

static void stop_by_deadline(void)
{
	enum { N = 32 * MEGABYTE };
	int fds[2], file = make_file(N);
	unix_pair(fds, SOCK_STREAM); /* blocking ones */
	struct weft_co *stopper = spawn_call(set_past_when_full, &fds[0]);
	int64_t sent = weft_sendfile(fds[0], file, 0, N);
	CHECK_EQ(join_call(stopper), 0);
	CHECK_GT(sent, 0);
	CHECK_LT(sent, N);
	CHECK_RESULT(weft_sendfile(fds[0], file, 0, N), -ETIMEDOUT);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(read_checked(&fds[1]), sent);
	CHECK_RESULT(weft_close(fds[1]), 0);
	close(file);
}

CO_TEST(stopped_by_a_deadline)
{
	stop_by_deadline();
	atomic_store(&refuses, 1);
	stop_by_deadline();
}

/* A file without an end to something that is never full: no wait is ever needed, and deadline and cancel hold. */
CO_TEST(stopped_without_a_wait)
{
	int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
	CHECK_RESULT(weft_adopt(null), 0);
	CHECK_RESULT(weft_set_deadline(null, WEFT_WRITE, weft_after(WEFT_MS(5))), 0);
	CHECK_GT(weft_sendfile(null, zero, 0, SIZE_MAX), 0);
	CHECK_RESULT(weft_sendfile(null, zero, 0, SIZE_MAX), -ETIMEDOUT);
	CHECK_RESULT(weft_set_deadline(null, WEFT_WRITE, WEFT_NEVER), 0);
	struct sending s = { null, zero, SIZE_MAX, 0 };
	struct weft_co *co = spawn_call(send_it, &s);
	weft_sleep(WEFT_MS(2));
	CHECK_RESULT(weft_cancel(co), 0);
	CHECK_EQ(join_call(co), 0);
	CHECK_NE(s.sent, 0); /* so much, or cancelled before it began */
	CHECK_RESULT(weft_close(null), 0);
	close(zero);
}

/* ---- descriptors of other kinds -------------------------------------------------------------------------------------- */

/* A file that weft knows is not closed before it has been sent. */
CO_TEST(file_is_closed_meanwhile)
{
	enum { N = 8 * MEGABYTE };
	int fds[2];
	struct sending s = { .in = make_file(N), .n = N };
	CHECK_RESULT(weft_adopt(s.in), 0);
	CHECK_RESULT(weft_socketpair(SOCK_STREAM, fds), 0);
	s.out = fds[0];
	struct weft_co *co = spawn_call(send_it, &s);
	await_waiters(fds[0], WF_WRITE, 1, 0);
	CHECK_RESULT(weft_close(s.in), 0);
	CHECK_OK(fcntl(s.in, F_GETFD));
	struct weft_co *reader = spawn_call(read_checked, &fds[1]);
	CHECK_EQ(join_call(co), 0);
	CHECK_EQ(s.sent, N);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), N);
	CHECK_RESULT(weft_close(fds[1]), 0);
	CHECK_EQ(fcntl(s.in, F_GETFD), -1);
}

CO_TEST(errors)
{
	int fds[2], file = make_file(10), dir = open("/tmp", O_RDONLY);
	CHECK_RESULT(weft_pipe(fds), 0);
	CHECK_RESULT(weft_sendfile(fds[1], file, -1, 10), -EINVAL);
	CHECK_RESULT(weft_sendfile(file, file, 0, 10), -EBADF); /* weft does not know it */
	CHECK_RESULT(weft_sendfile(fds[1], -1, 0, 10), -EBADF);
	CHECK_RESULT(weft_sendfile(fds[1], fds[0], 0, 10), -ESPIPE);
	CHECK_RESULT(weft_sendfile(fds[1], dir, 0, 10), -EISDIR);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_RESULT(weft_sendfile(fds[1], file, 0, 10), -EPIPE); /* and no signal */
	CHECK_RESULT(weft_close(fds[1]), 0);
	close(dir);
	close(file);
}

/* A file of which the system knows no size, and another one that takes it. */
CO_TEST(strange_files)
{
	char path[] = "/tmp/weft-sendfile-XXXXXX", text[64];
	int status = open("/proc/self/status", O_RDONLY), copy = mkstemp(path);
	CHECK_OK(status);
	CHECK_OK(copy);
	unlink(path);
	CHECK_RESULT(weft_adopt(copy), 0);
	CHECK_GT(weft_sendfile(copy, status, 0, SIZE_MAX), 100);
	CHECK_EQ(weft_pread(copy, text, 5, 0), 5);
	CHECK_MEM(text, "Name:", 5);
	CHECK_RESULT(weft_close(copy), 0);
	close(status);
}

CO_TEST(terminal_keeps_blocking)
{
	char buf[64];
	int master = posix_openpt(O_RDWR | O_NOCTTY), file = make_file(0), got = 0;
	if (master < 0)
		SKIP("no pseudo terminals");
	CHECK_EQ(write(file, "some text", 9), 9);
	CHECK_EQ(grantpt(master), 0);
	CHECK_EQ(unlockpt(master), 0);
	int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	CHECK_OK(terminal);
	CHECK_RESULT(weft_adopt(terminal), 0);
	CHECK_EQ(weft_sendfile(terminal, file, 0, 100), 9);
	CHECK_EQ(fcntl(terminal, F_GETFL) & O_NONBLOCK, 0);
	CHECK_EQ(atomic_load(&on_helpers) + atomic_load(&by_coroutines), 0);
	while (got < 9)
		got += (int)read(master, buf + got, sizeof buf - (size_t)got);
	CHECK_MEM(buf, "some text", 9);
	CHECK_RESULT(weft_close(terminal), 0);
	close(master);
	close(file);
}

static int send_from_thread(void *arg)
{
	struct sending *s = arg;
	return send_it(s);
}

CO_TEST(plain_thread)
{
	enum { N = 2 * MEGABYTE };
	int fds[2];
	struct sending s = { .in = make_file(N), .n = N };
	tcp_pair(fds);
	s.out = fds[0];
	struct weft_co *reader = spawn_call(read_checked, &fds[1]);
	CHECK_EQ(on_thread(send_from_thread, &s), 0);
	CHECK_EQ(s.sent, N);
	CHECK_RESULT(weft_close(fds[0]), 0);
	CHECK_EQ(join_call(reader), N);
	CHECK_RESULT(weft_close(fds[1]), 0);
	close(s.in);
}
