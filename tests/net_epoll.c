/* The poller on kernels before 5.11, which have no epoll_pwait2: a timerfd ends waits of less than a millisecond. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "net_util.h"
#include "poll_util.h"

static wf_u32 no_timerfd, timerfds;

/* The library calls these two. */
int epoll_pwait2(int epoll, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
	(void)epoll, (void)events, (void)n, (void)timeout, (void)mask;
	errno = ENOSYS;
	return -1;
}

int timerfd_create(int clock, int flags)
{
	wf_u32_add(&timerfds, 1);
	if (!wf_u32_load(&no_timerfd))
		return (int)syscall(SYS_timerfd_create, clock, flags);
	errno = ENOMEM;
	return -1;
}

static int return_7(void *arg) { return arg ? 0 : 7; }

TEST(runtime_without_a_timer)
{
	wf_u32_store(&no_timerfd, 1);
	CHECK_RESULT(weft_run(NULL, return_7, NULL), -ENOMEM);
	wf_u32_store(&no_timerfd, 0);
	CHECK_EQ(weft_run(NULL, return_7, NULL), 7);
}

TEST(poller_without_precise_timeouts)
{
	static const int64_t timeouts[] = { 1, 1000, 50000, 300000, 999999, 1000000, 1000001, 2500000 };
	CHECK_RESULT(wf_netpoll_start(), 0);
	CHECK_EQ(wf_u32_load(&timerfds), 1);
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
			int64_t start = weft_now();
			CHECK_EQ(wait_as_thread(timeouts[i]), 0);
			CHECK_GE(weft_now(), start + timeouts[i]);
		}
	wf_netpoll_break();
	CHECK_EQ(wait_as_thread(-1), 0);
	wf_netpoll_stop();
}

static int exchange(void *arg)
{
	int fds[2];
	char c;
	struct call reader;
	(void)arg;
	tcp_pair(fds);
	for (int i = 0; i < 100; i++) {
		start_read(&reader, fds[0], &c, 1);
		CHECK_RESULT(weft_sleep(WEFT_US(i)), 0);
		CHECK_EQ(weft_write(fds[1], "x", 1), 1);
		CHECK_EQ(finish(&reader), 1);
	}
	close_pair(fds);
	return 0;
}

TEST(runtime_without_precise_timeouts)
{
	CHECK_RESULT(weft_run(NULL, exchange, NULL), 0);
	CHECK_EQ(wf_u32_load(&timerfds), 1);
}
