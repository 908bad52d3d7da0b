/* The public calls about descriptors as such. */
#include <errno.h>

#include "../runtime/os_net.h"
#include "../runtime/sched.h"
#include "turn.h"

/* Finds out the kind of a descriptor from elsewhere, and makes it non-blocking where reading and writing need that. */
static int adopt_kind(int fd)
{
	int mode = wf_os_file_mode(fd);
	if (mode < 0)
		return mode;
	if (S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode))
		return WF_DESC_ADOPTED | WF_DESC_FILE;
	bool socket = S_ISSOCK(mode);
	if (socket || wf_os_is_terminal(fd)) {
		int nonblocking = wf_os_is_nonblocking(fd);
		unsigned kind = WF_DESC_ADOPTED | (nonblocking > 0 ? 0 : WF_DESC_BLOCKS);
		if (socket) {
			int domain, type, protocol;
			wf_os_socket_origin(fd, &domain, &type, &protocol);
			kind |= wf_socket_kind(domain, type, protocol);
		}
		return nonblocking < 0 ? nonblocking : (int)kind;
	}
	int was = wf_os_set_nonblocking(fd, true);
	return was < 0 ? was : WF_DESC_ADOPTED | (was ? 0 : WF_DESC_RESTORE);
}

static int make_known(int fd, unsigned kind)
{
	struct wf_worker *w = wf_enter_here();
	int r = wf_desc_create(w, fd, kind, !(kind & WF_DESC_FILE), NULL);
	wf_leave(w);
	return r;
}

int weft_adopt(int fd)
{
	int kind = adopt_kind(fd);
	if (kind < 0)
		return kind;
	(void)wf_os_no_sigpipe(fd);
	int r = make_known(fd, (unsigned)kind);
	if (r < 0 && (kind & WF_DESC_RESTORE))
		wf_os_set_nonblocking(fd, false);
	if (r == -EPERM) /* a device that the poller does not know either */
		r = make_known(fd, WF_DESC_ADOPTED | WF_DESC_FILE);
	return r;
}

int weft_release(int fd)
{
	return wf_desc_release(wf_enter(), fd);
}

int weft_close(int fd)
{
	return wf_desc_close(wf_enter_here(), fd);
}

int weft_shutdown_fd(int fd, int how)
{
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_shutdown(fd, how);
	wf_desc_leave(&turn);
	return r;
}

static bool are_dirs(unsigned dirs)
{
	return dirs != 0 && (dirs & ~(WEFT_READ | WEFT_WRITE)) == 0;
}

int weft_set_deadline(int fd, unsigned dirs, weft_time deadline)
{
	if (!are_dirs(dirs))
		return -EINVAL;
	struct wf_worker *w = wf_enter_here();
	int r = wf_desc_set_deadline(w, fd, dirs, deadline);
	wf_leave(w);
	return r;
}

static int watch_known(struct wf_turn *turn, unsigned dirs, weft_time deadline)
{
	turn->why = WF_WHY_FD;
	int r = wf_desc_watch(turn, dirs, deadline);
	wf_desc_leave(turn);
	return r;
}

/* A descriptor that weft does not know is watched through a duplicate, which nobody else can close or use again meanwhile. */
static int watch_stranger(int fd, unsigned dirs, weft_time deadline)
{
	struct wf_turn turn;
	int r = wf_poll_now(fd, dirs);
	if (r != 0 || deadline == WEFT_NOW)
		return r != 0 ? r : -EAGAIN;
	int copy = wf_os_duplicate(fd);
	if (copy < 0)
		return copy;
	struct wf_worker *w = wf_enter_here();
	r = wf_desc_create(w, copy, WF_DESC_ADOPTED, true, NULL);
	wf_leave(w);
	if (r < 0) {
		wf_os_close(copy);
		return r;
	}
	r = wf_desc_enter(&turn, wf_enter(), copy);
	if (r == 0)
		r = watch_known(&turn, dirs, deadline);
	wf_desc_close(wf_enter_here(), copy);
	return r;
}

int weft_wait_fd(int fd, unsigned dirs, weft_time deadline)
{
	struct wf_turn turn;
	if (!are_dirs(dirs))
		return -EINVAL;
	struct wf_worker *w = wf_enter();
	wf_charge(&w, WF_COST_SYSCALL);
	int r = wf_cancelled(w);
	if (r < 0) {
		wf_leave(w);
		return r;
	}
	return wf_desc_enter(&turn, w, fd) == 0 ? watch_known(&turn, dirs, deadline) : watch_stranger(fd, dirs, deadline);
}
