/* Descriptors that come in pairs, in messages, and from the process that started this one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/socket.h>

#include "../runtime/os.h"
#include "../runtime/os_net.h"
#include "../runtime/os_process.h"
#include "turn.h"

/* ---- pairs ---------------------------------------------------------------------------------------------------------- */

/* Makes both known, or closes both. */
static int adopt_pair(const int fds[2])
{
	int r = weft_adopt(fds[0]);
	if (r == 0) {
		r = weft_adopt(fds[1]);
		if (r == 0)
			return 0;
		weft_close(fds[0]);
	} else {
		wf_os_close(fds[0]);
	}
	wf_os_close(fds[1]);
	return r;
}

int weft_pipe(int fds[2])
{
	int r = wf_os_pipe(fds);
	return r < 0 ? r : adopt_pair(fds);
}

int weft_socketpair(int type, int fds[2])
{
	int r = wf_os_socketpair(type, fds);
	return r < 0 ? r : adopt_pair(fds);
}

/* ---- in messages ---------------------------------------------------------------------------------------------------- */

enum { OTHERS_MAX = 256 }; /* bytes of what a socket may be asked to tell besides: credentials, labels */

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(WEFT_FDS_MAX * sizeof(int)) + OTHERS_MAX];
};

ssize_t weft_send_fds(int fd, const void *buf, size_t n, const int *fds, int count)
{
	union control control;
	if (n == 0 || count < 0 || count > WEFT_FDS_MAX)
		return -EINVAL;
	struct iovec iov = { (void *)(uintptr_t)buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (count > 0) {
		size_t bytes = (size_t)count * sizeof *fds;
		memset(&control, 0, CMSG_SPACE(bytes));
		control.header.cmsg_len = (socklen_t)CMSG_LEN(bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), fds, bytes);
		msg.msg_control = &control;
		msg.msg_controllen = (socklen_t)CMSG_SPACE(bytes);
	}
	return weft_sendmsg(fd, &msg, 0);
}

/* Takes the descriptors out of a message; those for which there is no room are counted, and closed. */
static int take_fds(struct msghdr *msg, int *fds, int room)
{
	int taken = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, taken++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (taken < room)
				fds[taken] = fd;
			else
				wf_os_close(fd);
		}
	}
	return taken;
}

/* There is room for all that a message can bring: so what is cut was cut because this process may have no more open. */
ssize_t weft_recv_fds(int fd, void *buf, size_t n, int *fds, int *count)
{
	union control control = { .header = { .cmsg_len = 0 } }; /* if nothing at all is received */
	struct iovec iov = { buf, n };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int room = *count;
	*count = 0;
	ssize_t r = weft_recvmsg(fd, &msg, 0);
	if (r < 0)
		return r;
	int taken = take_fds(&msg, fds, room);
	if (taken <= room && !(msg.msg_flags & MSG_CTRUNC)) {
		*count = taken;
		return r;
	}
	for (int i = 0; i < taken && i < room; i++)
		wf_os_close(fds[i]);
	return msg.msg_flags & MSG_CTRUNC ? -EMFILE : -EMSGSIZE;
}

/* ---- from the process that started this one ------------------------------------------------------------------------- */

enum { LISTEN_FIRST = 3 };

enum { DIGITS_MAX = 9 }; /* of a number of a process, or of descriptors */

/* 0: the variable is not set. */
static int read_number(const char *variable, int *number)
{
	const char *text = getenv(variable);
	if (!text)
		return 0;
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > DIGITS_MAX || text[digits] != '\0')
		return -EINVAL;
	*number = atoi(text);
	return 1;
}

/* Whether the i-th of the names with colons between them is this one. */
static bool is_named(const char *names, int i, const char *name)
{
	for (; names && i > 0; i--) {
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	size_t n = names ? strcspn(names, ":") : 0;
	if (n == 0) {
		names = "unknown";
		n = strlen(names);
	}
	return strlen(name) == n && memcmp(name, names, n) == 0;
}

/* How many there are for this process. */
static int count_handed(void)
{
	int pid, n, r = read_number("LISTEN_PID", &pid);
	if (r > 0 && pid != wf_os_process_id())
		return 0;
	if (r > 0)
		r = read_number("LISTEN_FDS", &n);
	return r > 0 ? n : r;
}

static int take_over(int fd)
{
	int r = wf_os_close_on_exec(fd);
	return r < 0 ? r : weft_adopt(fd);
}

int weft_listen_fds(const char *name, int *fds, int room)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int taken = 0, n = count_handed(), r = 0;
	for (int i = 0; r == 0 && i < n; i++) {
		if (name && !is_named(names, i, name))
			continue;
		r = take_over(LISTEN_FIRST + i);
		if (r == 0 && taken < room)
			fds[taken] = LISTEN_FIRST + i;
		taken++;
	}
	return r < 0 ? r : n < 0 ? n : taken;
}

void weft_listen_fds_forget(void)
{
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}
