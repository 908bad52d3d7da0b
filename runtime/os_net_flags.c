/* os_net.h where a call that makes a descriptor takes its flags, and SIGPIPE goes to the thread that writes: Linux, FreeBSD. */
#include "os_net.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "os_call.h"

/* ---- writing without SIGPIPE ---------------------------------------------------------------------------------------- */

/* What is not a socket knows no MSG_NOSIGNAL. So block the signal in this thread, and take it away again if it came. Its
 * disposition is the program's business and is left alone. */
static void block_sigpipe(sigset_t *old)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, old);
}

static void unblock_sigpipe(const sigset_t *old, ssize_t result)
{
	if (result == -EPIPE) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGPIPE);
		while (sigtimedwait(&set, NULL, &(struct timespec){ 0, 0 }) < 0 && errno == EINTR)
			;
	}
	if (!sigismember(old, SIGPIPE))
		pthread_sigmask(SIG_SETMASK, old, NULL);
}

static WF_NOINLINE ssize_t write_raw(int fd, const void *buf, size_t n)
{
	WF_RETRY(write(fd, buf, n));
}

static WF_NOINLINE ssize_t writev_raw(int fd, const struct iovec *iov, int count)
{
	WF_RETRY(writev(fd, iov, count));
}

WF_NOINLINE ssize_t wf_os_write(int fd, const void *buf, size_t n)
{
	sigset_t old;
	block_sigpipe(&old);
	ssize_t result = write_raw(fd, buf, n);
	unblock_sigpipe(&old, result);
	return result;
}

WF_NOINLINE ssize_t wf_os_writev(int fd, const struct iovec *iov, int count)
{
	sigset_t old;
	block_sigpipe(&old);
	ssize_t result = writev_raw(fd, iov, count);
	unblock_sigpipe(&old, result);
	return result;
}

WF_NOINLINE ssize_t wf_os_sendfile(int out, int in, int64_t offset, size_t n)
{
	sigset_t old;
	block_sigpipe(&old);
	ssize_t result = wf_os_sendfile_loudly(out, in, offset, n);
	unblock_sigpipe(&old, result);
	return result;
}

/* ---- making descriptors --------------------------------------------------------------------------------------------- */

WF_NOINLINE int wf_os_socket(int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	return fd < 0 ? -errno : fd;
}

WF_NOINLINE int wf_os_accept(int fd, struct sockaddr *peer, socklen_t *len)
{
	int conn;
	do
		conn = accept4(fd, peer, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	while (conn < 0 && errno == EINTR);
	return conn < 0 ? -errno : conn;
}

WF_NOINLINE int wf_os_socketpair(int type, int fds[2])
{
	WF_RESULT(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
}

WF_NOINLINE ssize_t wf_os_recvmsg(int fd, struct msghdr *msg, int flags)
{
	WF_RETRY(recvmsg(fd, msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}

WF_NOINLINE int wf_os_pipe_anywhere(int fds[2])
{
	WF_RESULT(pipe2(fds, O_CLOEXEC));
}

WF_NOINLINE void wf_os_socket_origin(int fd, int *domain, int *type, int *protocol)
{
	*domain = wf_os_get_option(fd, SOL_SOCKET, SO_DOMAIN);
	*type = wf_os_get_option(fd, SOL_SOCKET, SO_TYPE);
	*protocol = wf_os_get_option(fd, SOL_SOCKET, SO_PROTOCOL);
}

int wf_os_no_sigpipe(int fd)
{
	(void)fd;
	return 0;
}
