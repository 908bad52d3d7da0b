/* Files through the calls of descriptors. What a helper does and what comes from memory must not differ. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core_util.h"

static atomic_bool stop;
static char path[] = "/tmp/weft-file-XXXXXX";

/* An empty file, known to weft; its name is in path until it is closed. */
static int make_file(void)
{
	strcpy(path, "/tmp/weft-file-XXXXXX");
	int fd = mkostemp(path, O_CLOEXEC);
	CHECK_OK(fd);
	CHECK_RESULT(weft_adopt(fd), 0);
	return fd;
}

static void close_file(int fd)
{
	unlink(path);
	CHECK_RESULT(weft_close(fd), 0);
}

static unsigned char byte_at(size_t at) { return (unsigned char)(at * 2654435761u >> 13); }

static unsigned char *make_bytes(size_t n)
{
	unsigned char *bytes = malloc(n);
	CHECK(bytes != NULL);
	for (size_t i = 0; i < n; i++)
		bytes[i] = byte_at(i);
	return bytes;
}

static void check_bytes(const unsigned char *bytes, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != byte_at(at + i))
			test_fail(__FILE__, __LINE__, "byte %zu of %zu", i, n);
}

CO_TEST(position_and_end)
{
	int fd = make_file();
	char buf[16] = "";
	CHECK_RESULT(weft_write(fd, "0123456789", 10), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_RESULT(weft_read(fd, buf, 4), 4);
	CHECK_MEM(buf, "0123", 4);
	CHECK_RESULT(weft_read(fd, buf, sizeof buf), 6);
	CHECK_MEM(buf, "456789", 6);
	CHECK_RESULT(weft_read(fd, buf, sizeof buf), 0);
	CHECK_RESULT(weft_read(fd, buf, 0), 0);
	CHECK_RESULT(weft_pread(fd, buf, 3, 5), 3);
	CHECK_MEM(buf, "567", 3);
	CHECK_RESULT(weft_pread(fd, buf, 16, 8), 2);
	CHECK_RESULT(weft_pread(fd, buf, 16, 10), 0);
	CHECK_RESULT(weft_pread(fd, buf, 16, 1000), 0);
	CHECK_RESULT(weft_pwrite(fd, "xy", 2, 12), 2);
	CHECK_RESULT(weft_pread(fd, buf, 16, 8), 6);
	CHECK_MEM(buf, "89\0\0xy", 6);
	CHECK_RESULT(weft_read(fd, buf, sizeof buf), 4); /* the position stayed */
	CHECK_RESULT(weft_fsync(fd), 0);
	CHECK_RESULT(weft_fdatasync(fd), 0);
	close_file(fd);
}

CO_TEST(vectors)
{
	int fd = make_file();
	char a[3], b[4], c[8];
	struct iovec out[] = { { (void *)"abc", 3 }, { (void *)"", 0 }, { (void *)"defgh", 5 } };
	struct iovec in[] = { { a, sizeof a }, { b, sizeof b }, { c, sizeof c } };
	CHECK_RESULT(weft_writev(fd, out, 3), 8);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_RESULT(weft_readv(fd, in, 3), 8);
	CHECK_MEM(a, "abc", 3);
	CHECK_MEM(b, "defg", 4);
	CHECK_MEM(c, "h", 1);
	CHECK_RESULT(weft_readv(fd, in, 3), 0);
	close_file(fd);
}

/* More than comes from memory at once; and parts that are in memory no more, where the file system lets them go. */
CO_TEST(much)
{
	enum { N = 700000 };
	uint64_t seed = random_seed();
	unsigned char *bytes = make_bytes(N), *buf = malloc(N);
	int fd = make_file();
	size_t done = 0;
	CHECK_RESULT(weft_write(fd, bytes, N), N);
	CHECK_RESULT(weft_fsync(fd), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_RESULT(weft_read(fd, buf, N), N);
	check_bytes(buf, N, 0);
	for (int i = 0; i < test_scaled(200); i++) {
		size_t at = random_below(&seed, N), n = random_below(&seed, N - at) + 1;
		posix_fadvise(fd, (off_t)random_below(&seed, N), 65536, POSIX_FADV_DONTNEED);
		struct iovec iov[] = { { buf, n / 3 }, { buf + n / 3, n - n / 3 } };
		memset(buf, 0, n);
		CHECK_EQ(lseek(fd, (off_t)at, SEEK_SET), at);
		CHECK_RESULT(i % 2 ? weft_pread(fd, buf, n, (int64_t)at) : weft_readv(fd, iov, 2), (ssize_t)n);
		check_bytes(buf, n, at);
	}
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_RESULT(weft_read_full(fd, buf, N, &done), 0);
	CHECK_RESULT(weft_read_full(fd, buf, 1, &done), -ENODATA);
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_RESULT(weft_pwrite(fd, bytes, N, 0), N);
	CHECK_RESULT(weft_pread(fd, buf, N, 0), N);
	check_bytes(buf, N, 0);
	free(bytes);
	free(buf);
	close_file(fd);
}

/* ---- kinds ------------------------------------------------------------------------------------------------------------ */

CO_TEST(no_flag_is_changed)
{
	int fd = make_file();
	CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	CHECK_RESULT(weft_release(fd), fd);
	CHECK_RESULT(weft_read(fd, path, 1), -EBADF);
	CHECK_RESULT(weft_pread(fd, path, 1, 0), -EBADF);
	close(fd);
	unlink(path);
}

CO_TEST(always_ready)
{
	int fd = make_file();
	CHECK_RESULT(weft_wait_fd(fd, WEFT_READ | WEFT_WRITE, WEFT_NEVER), WEFT_READ | WEFT_WRITE);
	struct weft_case c = { .op = WEFT_OP_FD, .fd = fd, .dirs = WEFT_READ };
	CHECK_RESULT(weft_select(&c, 1, WEFT_NEVER), 0);
	close_file(fd);
}

CO_TEST(devices_and_directories)
{
	char buf[4] = "abc";
	int null = weft_open("/dev/null", O_RDWR, 0), dir = weft_open("/tmp", O_RDONLY | O_DIRECTORY, 0);
	CHECK_OK(null);
	CHECK_OK(dir);
	CHECK_EQ(fcntl(null, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	CHECK_RESULT(weft_write(null, buf, 3), 3);
	CHECK_RESULT(weft_read(null, buf, 3), 0);
	CHECK_RESULT(weft_read(dir, buf, 3), -EISDIR);
	CHECK_RESULT(weft_close(null), 0);
	CHECK_RESULT(weft_close(dir), 0);
	int proc = weft_open("/proc/self/status", O_RDONLY, 0); /* a size of 0, and something to read */
	CHECK_OK(proc);
	CHECK_RESULT(weft_read(proc, buf, 4), 4);
	CHECK_MEM(buf, "Name", 4);
	CHECK_RESULT(weft_close(proc), 0);
}

CO_TEST(what_is_no_file)
{
	int fds[2];
	char c;
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_RESULT(weft_pread(fds[0], &c, 1, 0), -ESPIPE);
	CHECK_RESULT(weft_pwrite(fds[0], &c, 1, 0), -ESPIPE);
	CHECK_RESULT(weft_fsync(fds[0]), -EINVAL);
	CHECK_RESULT(weft_pread(-1, &c, 1, 0), -EBADF);
	CHECK_RESULT(weft_pread(fds[0], &c, 1, -1), -EINVAL);
	CHECK_RESULT(weft_fsync(fds[1]), -EBADF);
	CHECK_RESULT(weft_close(fds[0]), 0);
	close(fds[1]);
}

CO_TEST(errors)
{
	int fd = make_file(), other;
	char c = 'x';
	CHECK_RESULT(weft_open("/no/such/file", O_RDONLY, 0), -ENOENT);
	CHECK_OK(other = weft_open(path, O_RDONLY, 0));
	CHECK_RESULT(weft_write(other, &c, 1), -EBADF); /* not open for that */
	CHECK_RESULT(weft_pwrite(other, &c, 1, 0), -EBADF);
	CHECK_RESULT(weft_close(other), 0);
	CHECK_OK(other = weft_open("/dev/full", O_WRONLY, 0));
	CHECK_RESULT(weft_write(other, &c, 1), -ENOSPC);
	CHECK_RESULT(weft_close(other), 0);
	close_file(fd);
	CHECK_RESULT(weft_read(fd, &c, 1), -EBADF);
}

TEST(plain_thread)
{
	char buf[8] = "";
	CHECK_RESULT(weft_start(NULL), 0);
	int fd = make_file();
	CHECK_RESULT(weft_write(fd, "abcdef", 6), 6);
	CHECK_RESULT(weft_pread(fd, buf, 8, 1), 5);
	CHECK_MEM(buf, "bcdef", 5);
	close_file(fd);
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

/* ---- deadline and cancel ---------------------------------------------------------------------------------------------- */

CO_TEST(deadline_is_looked_at_before)
{
	int fd = make_file();
	char c = 'x';
	CHECK_RESULT(weft_set_deadline(fd, WEFT_READ, weft_now() - 1), 0);
	CHECK_RESULT(weft_write(fd, &c, 1), 1);
	CHECK_RESULT(weft_read(fd, &c, 1), -ETIMEDOUT);
	CHECK_RESULT(weft_pread(fd, &c, 1, 0), -ETIMEDOUT);
	CHECK_RESULT(weft_pwrite(fd, &c, 1, 0), 1);
	CHECK_RESULT(weft_set_deadline(fd, WEFT_READ, WEFT_NEVER), 0);
	CHECK_RESULT(weft_pread(fd, &c, 1, 0), 1);
	close_file(fd);
}

static int use_cancelled(void *arg)
{
	char c = 'x';
	int fd = *(int *)arg;
	while (!weft_cancelled())
		weft_yield();
	CHECK_RESULT(weft_read(fd, &c, 1), -ECANCELED);
	CHECK_RESULT(weft_write(fd, &c, 1), -ECANCELED);
	CHECK_RESULT(weft_pread(fd, &c, 1, 0), -ECANCELED);
	CHECK_RESULT(weft_fsync(fd), -ECANCELED);
	CHECK_RESULT(weft_open(path, O_RDONLY, 0), -ECANCELED);
	return 0;
}

CO_TEST(cancelled_before)
{
	int fd = make_file();
	struct weft_co *co = spawn_co(NULL, use_cancelled, &fd);
	weft_cancel(co);
	CHECK_RESULT(join_co(co), 0);
	struct stat st;
	CHECK_EQ(fstat(fd, &st), 0);
	CHECK_EQ(st.st_size, 0);
	close_file(fd);
}

static int open_fifo(void *arg) { return weft_open(arg, O_RDONLY, 0); }

static int do_nothing(void *arg) { return (void)arg, 0; }

static int abandon_open(void *arg)
{
	struct weft_co *co = spawn_co(NULL, open_fifo, arg);
	CHECK_RESULT(weft_sleep(WEFT_MS(2)), 0);
	weft_cancel(co);
	CHECK_RESULT(join_co(co), -ECANCELED);
	int fd = open(arg, O_RDWR | O_CLOEXEC | O_NONBLOCK); /* lets the other one go on */
	CHECK_OK(fd);
	CHECK_RESULT(weft_offload(do_nothing, NULL, NULL), 0); /* by the only helper, so after it */
	close(fd);
	return 0;
}

/* Opening blocks until somebody opens the other end; what was left alone then closes its descriptor. */
TEST(open_that_blocks)
{
	char fifo[64];
	struct weft_config config = config_with(2);
	config.max_helpers = 1;
	snprintf(fifo, sizeof fifo, "/tmp/weft-fifo-%d", (int)getpid());
	unlink(fifo);
	CHECK_EQ(mkfifo(fifo, 0600), 0);
	int before = dup(0);
	close(before);
	CHECK_RESULT(weft_run(&config, abandon_open, fifo), 0);
	int after = dup(0);
	CHECK_EQ(after, before); /* nothing is open that was not */
	close(after);
	unlink(fifo);
}

/* ---- many ------------------------------------------------------------------------------------------------------------- */

static int compute_until_stop(void *arg)
{
	while (!atomic_load(&stop))
		;
	return (void)arg, 0;
}

struct part {
	int fd;
	size_t at;
};

enum { PART = 20000, PARTS = 24 };

static int write_and_read_part(void *arg)
{
	const struct part *part = arg;
	unsigned char *buf = malloc(PART);
	for (size_t i = 0; i < PART; i++)
		buf[i] = byte_at(part->at + i);
	CHECK_RESULT(weft_pwrite(part->fd, buf, PART, (int64_t)part->at), PART);
	memset(buf, 0, PART);
	CHECK_RESULT(weft_pread(part->fd, buf, PART, (int64_t)part->at), PART);
	check_bytes(buf, PART, part->at);
	free(buf);
	return 0;
}

CO_TEST(many_beside_a_hog)
{
	struct part parts[PARTS];
	struct weft_co *cos[PARTS], *hog = spawn_co(NULL, compute_until_stop, NULL);
	int fd = make_file();
	for (int i = 0; i < PARTS; i++) {
		parts[i] = (struct part){ fd, (size_t)i * PART };
		cos[i] = spawn_co(NULL, write_and_read_part, &parts[i]);
	}
	for (int i = 0; i < PARTS; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	atomic_store(&stop, true);
	CHECK_RESULT(join_co(hog), 0);
	close_file(fd);
}

static int append_lines(void *arg)
{
	char line[9000];
	memset(line, *(char *)arg, sizeof line);
	for (int i = 0; i < test_scaled(20); i++)
		CHECK_RESULT(weft_write(((char *)arg)[1], line, sizeof line), (ssize_t)sizeof line);
	return 0;
}

/* Two writers of one descriptor never mix their bytes. */
CO_TEST(writes_take_turns)
{
	int fd = make_file();
	char a[] = { 'a', (char)fd }, b[] = { 'b', (char)fd }, buf[9000];
	struct weft_co *first = spawn_co(NULL, append_lines, a), *second = spawn_co(NULL, append_lines, b);
	CHECK_RESULT(join_co(first), 0);
	CHECK_RESULT(join_co(second), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	for (int i = 0; i < 2 * test_scaled(20); i++) {
		CHECK_RESULT(weft_read_full(fd, buf, sizeof buf, NULL), 0);
		for (size_t k = 1; k < sizeof buf; k++)
			CHECK_EQ(buf[k], buf[0]);
	}
	CHECK_RESULT(weft_read(fd, buf, 1), 0);
	close_file(fd);
}
