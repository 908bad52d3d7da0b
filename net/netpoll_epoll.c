/* The poller on Linux: one epoll instance, every descriptor in it once, edge-triggered, both directions.
 *
 * An event carries number and seq of its descriptor; polldesc.c drops those of files that are gone. (A file that others share
 * stays in the set when its number is closed here.)
 *
 * Break: an eventfd, level-triggered, and a flag, so that at most one write is under way.
 *   wf_netpoll_break                        a poll that may block
 *   1 flag 0 -> 1, or leave it to whoever   1 sees the eventfd
 *     set it                                2 reads it, which empties it
 *   2 write                                 3 flag = 0
 * A poll that does not block leaves all that alone, so that the break reaches the one it was meant for. */
#include "../runtime/netpoll.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../runtime/atomic.h"
#include "polldesc.h"

/* musl has no function for it. */
#ifdef __GLIBC__
#define WAIT_PRECISELY(...) epoll_pwait2(__VA_ARGS__)
#else
#include <sys/syscall.h>
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* Linux 5.11; one number on all architectures */
#endif
#define WAIT_PRECISELY(...) (int)syscall(SYS_epoll_pwait2, __VA_ARGS__, (size_t)8)
#endif

/* Our own descriptors among the events, in place of a number. */
enum { MARK_BREAK = -1, MARK_TIMER = -2 };

static int epoll_fd = -1, break_fd = -1;
static int timer_fd = -1; /* only where epoll_pwait2 is missing */
static wf_word breaking;

static WF_NOINLINE int control(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };
	return epoll_ctl(epoll_fd, op, fd, &event) < 0 ? -errno : 0;
}

int wf_netpoll_add(int fd, unsigned seq)
{
	uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
	uint64_t data = (uint64_t)seq << 32 | (uint32_t)fd;
	int r = control(EPOLL_CTL_ADD, fd, events, data);
	return r == -EEXIST ? control(EPOLL_CTL_MOD, fd, events, data) : r;
}

void wf_netpoll_remove(int fd)
{
	(void)control(EPOLL_CTL_DEL, fd, 0, 0); /* not in the set is fine */
}

/* ---- start and stop ------------------------------------------------------------------------------------------------- */

static WF_NOINLINE int wait_precisely(struct epoll_event *events, int64_t ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };
	int n = WAIT_PRECISELY(epoll_fd, events, WF_EVENTS_MAX, ns < 0 ? NULL : &t, NULL);
	return n < 0 ? -errno : n;
}

static WF_NOINLINE int wait_coarsely(struct epoll_event *events, int ms)
{
	int n = epoll_wait(epoll_fd, events, WF_EVENTS_MAX, ms);
	return n < 0 ? -errno : n;
}

static WF_NOINLINE int open_all(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	break_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (break_fd < 0)
		return -errno;
	struct epoll_event event;
	if (wait_precisely(&event, 0) != -ENOSYS)
		return 0;
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	return timer_fd < 0 ? -errno : 0;
}

static void close_all(void)
{
	int *fds[] = { &timer_fd, &break_fd, &epoll_fd };
	for (size_t i = 0; i < wf_countof(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int wf_netpoll_start(void)
{
	int r = open_all();
	wf_store(&breaking, 0);
	if (r == 0)
		r = control(EPOLL_CTL_ADD, break_fd, EPOLLIN, (uint32_t)MARK_BREAK);
	if (r == 0 && timer_fd >= 0)
		r = control(EPOLL_CTL_ADD, timer_fd, EPOLLIN | EPOLLET, (uint32_t)MARK_TIMER);
	if (r < 0)
		close_all();
	return r;
}

void wf_netpoll_stop(void)
{
	wf_desc_forget_all();
	close_all();
}

/* ---- break ---------------------------------------------------------------------------------------------------------- */

void wf_netpoll_break(void)
{
	if (wf_load(&breaking) || !wf_cas_full(&breaking, 0, 1)) /* whoever set it has written or is about to */
		return;
	uint64_t one = 1;
	ssize_t ignored = write(break_fd, &one, sizeof one);
	(void)ignored;
}

static void end_break(void)
{
	uint64_t count;
	ssize_t ignored = read(break_fd, &count, sizeof count);
	(void)ignored;
	wf_store_release(&breaking, 0); /* after the read: a break from now on writes again */
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

/* To the next millisecond; shorter ends are left to the timer, which was not read and so need not be: setting it again makes a new
 * edge. */
static int wait_by_timer(struct epoll_event *events, int64_t ns)
{
	if (ns > 0) {
		struct itimerspec t = { .it_value = { ns / 1000000000, ns % 1000000000 } };
		timerfd_settime(timer_fd, 0, &t, NULL);
	}
	int64_t ms = ns <= 0 ? ns : ns / 1000000 + 1;
	return wait_coarsely(events, ms < 0 ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static int wait_events(struct epoll_event *events, int64_t ns)
{
	if (ns == 0)
		return wait_coarsely(events, 0);
	return timer_fd < 0 ? wait_precisely(events, ns) : wait_by_timer(events, ns);
}

static struct wf_event translate(const struct epoll_event *event)
{
	uint32_t e = event->events;
	uint64_t data = event->data.u64;
	unsigned dirs = (e & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR) ? WEFT_READ : 0) |
			(e & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? WEFT_WRITE : 0);
	bool ending = (e & ~(uint32_t)(EPOLLIN | EPOLLOUT)) != 0;
	return (struct wf_event){ (int)(uint32_t)data, (unsigned)(data >> 32), dirs, ending };
}

struct look {
	struct wf_event events[WF_EVENTS_MAX];
	struct epoll_event raw[WF_EVENTS_MAX];
};
_Static_assert(sizeof(struct look) <= WF_EVENTS_SIZE, "room for what one look brings");

int wf_netpoll_wait(struct wf_worker *w, void *room, int64_t timeout_ns)
{
	struct look *look = room;
	struct epoll_event *raw = look->raw;
	struct wf_event *events = look->events;
	int known = 0, n = wait_events(raw, timeout_ns);
	for (int i = 0; i < n; i++) {
		events[known] = translate(&raw[i]);
		if (wf_likely(events[known].fd >= 0))
			known++;
		else if (events[known].fd == MARK_BREAK && timeout_ns != 0)
			end_break();
	}
	return wf_desc_events(w, events, known);
}
