#include "os_net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include "os_call.h"
#include "san.h"

/* On every hot path. On Linux, called by their number they are no cancellation points, which spares each two atomic operations;
 * sanitizers have to see them by name. */
#if !defined(__linux__) || defined(WF_ASAN) || defined(WF_TSAN)
#define RECEIVE(...) recvfrom(__VA_ARGS__)
#define SEND(...) sendto(__VA_ARGS__)
#else
#include <sys/syscall.h>
#define RECEIVE(...) syscall(SYS_recvfrom, __VA_ARGS__)
#define SEND(...) syscall(SYS_sendto, __VA_ARGS__)
#endif

/* fsync(2) of macOS leaves data in the drive's cache, from where a loss of power takes them. */
#ifdef F_FULLFSYNC
#define SYNC(fd, data_only) ((void)(data_only), fcntl(fd, F_FULLFSYNC) < 0 ? fsync(fd) : 0)
#else
#define SYNC(fd, data_only) ((data_only) ? fdatasync(fd) : fsync(fd))
#endif

/* ---- transfers ------------------------------------------------------------------------------------------------------ */

WF_NOINLINE ssize_t wf_os_recv(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len)
{
	WF_RETRY(RECEIVE(fd, buf, n, flags | MSG_DONTWAIT, from, len));
}

WF_NOINLINE ssize_t wf_os_send(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len)
{
	WF_RETRY(SEND(fd, buf, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL, to, len));
}

WF_NOINLINE ssize_t wf_os_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	WF_RETRY(sendmsg(fd, msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

WF_NOINLINE ssize_t wf_os_read(int fd, void *buf, size_t n)
{
	WF_RETRY(read(fd, buf, n));
}

WF_NOINLINE ssize_t wf_os_readv(int fd, const struct iovec *iov, int count)
{
	WF_RETRY(readv(fd, iov, count));
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

WF_NOINLINE ssize_t wf_os_readv_at(int fd, const struct iovec *iov, int count, int64_t offset)
{
	WF_RETRY(offset < 0 ? readv(fd, iov, count) : preadv(fd, iov, count, offset));
}

WF_NOINLINE ssize_t wf_os_writev_at(int fd, const struct iovec *iov, int count, int64_t offset)
{
	WF_RETRY(offset < 0 ? writev(fd, iov, count) : pwritev(fd, iov, count, offset));
}

WF_NOINLINE int wf_os_sync(int fd, bool data_only)
{
	int r;
	do
		r = SYNC(fd, data_only);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

WF_NOINLINE int wf_os_open(const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

WF_NOINLINE bool wf_os_is_at_end(int fd, int64_t offset)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	return (offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset) >= st.st_size;
}

/* ---- sockets -------------------------------------------------------------------------------------------------------- */

WF_NOINLINE int wf_os_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	WF_RESULT(bind(fd, addr, len));
}

WF_NOINLINE int wf_os_listen(int fd, int backlog)
{
	WF_RESULT(listen(fd, backlog));
}

WF_NOINLINE int wf_os_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	WF_RESULT(connect(fd, addr, len));
}

WF_NOINLINE int wf_os_shutdown(int fd, int how)
{
	WF_RESULT(shutdown(fd, how));
}

WF_NOINLINE int wf_os_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	WF_RESULT(getsockname(fd, addr, len));
}

WF_NOINLINE int wf_os_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	WF_RESULT(getpeername(fd, addr, len));
}

WF_NOINLINE int wf_os_get_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;
	return getsockopt(fd, level, name, &value, &len) < 0 ? -errno : value;
}

WF_NOINLINE int wf_os_set_option(int fd, int level, int name, int value)
{
	WF_RESULT(setsockopt(fd, level, name, &value, sizeof value));
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

WF_NOINLINE int wf_os_getaddrinfo(const char *host, const char *service, int type, struct addrinfo **found)
{
	const struct addrinfo hints = { .ai_socktype = type };
	int error = getaddrinfo(host, service, &hints, found), number = errno;
	switch (error) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
	case EAI_SERVICE:
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return number != 0 ? -number : -EIO;
	case EAI_FAIL:
		return -EIO;
	default:
		return -EINVAL;
	}
}

void wf_os_freeaddrinfo(struct addrinfo *found)
{
	freeaddrinfo(found);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

/* No retry: Linux frees the number first, so a second close could hit somebody else's file. */
WF_NOINLINE void wf_os_close(int fd)
{
	(void)close(fd);
}

WF_NOINLINE int wf_os_duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

WF_NOINLINE int wf_os_close_on_exec(int fd)
{
	WF_RESULT(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

WF_NOINLINE int wf_os_set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	bool was = (flags & O_NONBLOCK) != 0;
	if (was != on && fcntl(fd, F_SETFL, flags ^ O_NONBLOCK) < 0)
		return -errno;
	return was;
}

WF_NOINLINE int wf_os_is_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 ? -errno : (flags & O_NONBLOCK) != 0;
}

WF_NOINLINE int wf_os_poll_now(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;
	do
		n = poll(&p, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return p.revents & POLLNVAL ? -EBADF : p.revents;
}

WF_NOINLINE bool wf_os_is_terminal(int fd)
{
	struct termios unused;
	return tcgetattr(fd, &unused) == 0;
}

WF_NOINLINE int wf_os_file_mode(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? -errno : (int)st.st_mode;
}

WF_NOINLINE int wf_os_path_stat(const char *path, struct stat *st)
{
	WF_RESULT(lstat(path, st));
}

WF_NOINLINE int wf_os_unlink(const char *path)
{
	WF_RESULT(unlink(path));
}
