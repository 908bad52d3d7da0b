/* os_process.h where there is a kqueue: one of its own for each child that somebody waits for, since a queue can itself be waited
 * for as any descriptor can. So net/process.c is the same everywhere, and a child costs a descriptor, as with pidfd_open(2). */
#include "os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <unistd.h>

/* A child that has ended already: some systems make an event of that at once, others say -ESRCH. */
WF_NOINLINE int wf_os_child_fd(int pid)
{
	const struct kevent change = {
		.ident = (uintptr_t)pid,
		.filter = EVFILT_PROC,
		.flags = EV_ADD | EV_ONESHOT,
		.fflags = NOTE_EXIT,
	};
	int fd = kqueue(), r;
	if (fd < 0)
		return -errno;
	do
		r = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : kevent(fd, &change, 1, NULL, 0, NULL);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}
