/* os_net.h on macOS: descriptors get their flags in a second call, and whether writing makes SIGPIPE is a property of the file. A
 * process that is started by another thread between the two calls inherits the descriptor; there is no way around that. */
#include "os_net.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os_call.h"

/* ---- making descriptors --------------------------------------------------------------------------------------------- */

WF_NOINLINE int wf_os_no_sigpipe(int fd)
{
	WF_RESULT(fcntl(fd, F_SETNOSIGPIPE, 1));
}

static int set_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	bool set = flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) >= 0;
	int r = set ? wf_os_no_sigpipe(fd) : -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

WF_NOINLINE int wf_os_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type, protocol);
	return fd < 0 ? -errno : set_flags(fd);
}

WF_NOINLINE int wf_os_accept(int fd, struct sockaddr *peer, socklen_t *len)
{
	int conn;
	do
		conn = accept(fd, peer, len);
	while (conn < 0 && errno == EINTR);
	if (conn < 0)
		return -errno;
	int r = set_flags(conn);
	return r == -EINVAL ? -ECONNABORTED : r; /* it was reset already, and takes no options any more */
}

WF_NOINLINE int wf_os_socketpair(int type, int fds[2])
{
	if (socketpair(AF_UNIX, type, 0, fds) < 0)
		return -errno;
	int r = set_flags(fds[0]);
	if (r < 0) {
		close(fds[1]);
		return r;
	}
	r = set_flags(fds[1]);
	if (r < 0)
		close(fds[0]);
	return r < 0 ? r : 0;
}

/* Those that came with a message. */
static void close_on_exec(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const unsigned char *data = CMSG_DATA(c), *end = (unsigned char *)c + c->cmsg_len;
		bool fds = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS;
		for (int fd; fds && end - data >= (ptrdiff_t)sizeof fd; data += sizeof fd) {
			memcpy(&fd, data, sizeof fd);
			(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		}
	}
}

WF_NOINLINE ssize_t wf_os_recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t n;
	do
		n = recvmsg(fd, msg, flags | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	close_on_exec(msg);
	return n;
}

WF_NOINLINE int wf_os_pipe_anywhere(int fds[2])
{
	if (pipe(fds) < 0)
		return -errno;
	if (fcntl(fds[0], F_SETFD, FD_CLOEXEC) >= 0 && fcntl(fds[1], F_SETFD, FD_CLOEXEC) >= 0)
		return 0;
	int r = -errno;
	close(fds[0]);
	close(fds[1]);
	return r;
}

/* The protocol is not to be had. */
WF_NOINLINE void wf_os_socket_origin(int fd, int *domain, int *type, int *protocol)
{
	struct sockaddr_storage name = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof name;
	(void)wf_os_getsockname(fd, (struct sockaddr *)&name, &len);
	*domain = name.ss_family;
	*type = wf_os_get_option(fd, SOL_SOCKET, SO_TYPE);
	*protocol = 0;
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

WF_NOINLINE ssize_t wf_os_write(int fd, const void *buf, size_t n)
{
	WF_RETRY(write(fd, buf, n));
}

WF_NOINLINE ssize_t wf_os_writev(int fd, const struct iovec *iov, int count)
{
	WF_RETRY(writev(fd, iov, count));
}

/* A length of 0 would mean all of the file. */
WF_NOINLINE ssize_t wf_os_sendfile(int out, int in, int64_t offset, size_t n)
{
	off_t sent;
	int r;
	if (n == 0)
		return 0;
	do {
		sent = (off_t)n;
		r = sendfile(in, out, offset, &sent, NULL, 0);
	} while (r < 0 && errno == EINTR && sent == 0);
	if (r == 0 || ((errno == EAGAIN || errno == EINTR) && sent > 0))
		return sent;
	return errno == ENOTSOCK || errno == EOPNOTSUPP ? wf_os_sendfile_by_copy(out, in, offset, n) : -errno;
}
