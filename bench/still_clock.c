/* still_clock.so, for LD_PRELOAD: a clock that stands still while anything runs, and goes on by what a poll waits for in vain. A
 * program that is fifty times slower than it should be, as under valgrind, then does per operation what it does otherwise, and what
 * depends on the time is the same in every run. (instructions.sh)
 *
 * Takes the place of the two functions of libc by which the runtime learns the time and lets it pass. The monitor's own pause
 * between two looks is real, and its looks see no time pass. */
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

enum { NS = 1000000000 };

static volatile int64_t now = (int64_t)1000 * NS; /* written by one thread at a time, the one that polls; read in one piece */

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int64_t ns = now;
	(void)clock;
	*time = (struct timespec){ ns / NS, ns % NS };
	return 0;
}

int epoll_pwait2(int epoll, struct epoll_event *events, int most, const struct timespec *timeout, const sigset_t *mask)
{
	int n = epoll_pwait(epoll, events, most, timeout ? 0 : -1, mask);
	if (n == 0 && timeout)
		now = now + (int64_t)timeout->tv_sec * NS + timeout->tv_nsec;
	return n;
}
