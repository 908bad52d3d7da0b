/* Rank 2. The system calls behind descriptors. As os.h has it: a result or a negative errno value, never inlined into a function
 * that switches, restarted after a signal. Those marked (sleeps) can block the thread; the caller leaves the gate around them. */
#ifndef WF_OS_NET_H
#define WF_OS_NET_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"

/* Where a system has none of these, nobody can ask for them. */
#ifndef SOCK_NONBLOCK
#define SOCK_NONBLOCK 0
#define SOCK_CLOEXEC 0
#endif
#ifndef MSG_ERRQUEUE
#define MSG_ERRQUEUE 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_MORE
#define MSG_MORE 0
#endif
#ifndef ENONET
#define ENONET ENETDOWN
#endif

/* A count as the type that msg_iovlen has on this system. */
#define WF_IOVLEN(count) ((__typeof__(((struct msghdr *)0)->msg_iovlen))(count))

/* ---- transfers ------------------------------------------------------------------------------------------------------ */

/* On sockets, whatever their O_NONBLOCK flag says: -EAGAIN instead of sleeping, -EPIPE instead of SIGPIPE. */
ssize_t wf_os_recv(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len);
ssize_t wf_os_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t wf_os_send(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len);
ssize_t wf_os_sendmsg(int fd, const struct msghdr *msg, int flags);

/* On everything else; no SIGPIPE either. (sleeps) unless O_NONBLOCK is set */
ssize_t wf_os_read(int fd, void *buf, size_t n);
ssize_t wf_os_readv(int fd, const struct iovec *iov, int count);
ssize_t wf_os_write(int fd, const void *buf, size_t n);
ssize_t wf_os_writev(int fd, const struct iovec *iov, int count);

/* From the file `in` at offset; no SIGPIPE. (sleeps) for the disk */
ssize_t wf_os_sendfile(int out, int in, int64_t offset, size_t n);

/* Files; offset -1: the descriptor's own position, which moves. (sleeps) */
ssize_t wf_os_readv_at(int fd, const struct iovec *iov, int count, int64_t offset);
ssize_t wf_os_writev_at(int fd, const struct iovec *iov, int count, int64_t offset);
int wf_os_sync(int fd, bool data_only);
int wf_os_open(const char *path, int flags, mode_t mode); /* close-on-exec */

/* As much of that as needs no disk; 0, or an error that may be about this call alone, if nothing does. */
ssize_t wf_os_transfer_now(int fd, bool write, const struct iovec *iov, int count, int64_t offset);

/* Whether a regular file ends at this offset or before. */
bool wf_os_is_at_end(int fd, int64_t offset);

/* ---- sockets -------------------------------------------------------------------------------------------------------- */

/* Non-blocking and close-on-exec, both. wf_os_accept (sleeps) unless O_NONBLOCK is set. */
int wf_os_socket(int domain, int type, int protocol);
int wf_os_accept(int fd, struct sockaddr *peer, socklen_t *len);
int wf_os_socketpair(int type, int fds[2]); /* unix sockets */

/* What socket(2) was given; or negative, or 0 for the protocol, if nobody can tell. */
void wf_os_socket_origin(int fd, int *domain, int *type, int *protocol);

int wf_os_bind(int fd, const struct sockaddr *addr, socklen_t len); /* (sleeps) for a path */
int wf_os_listen(int fd, int backlog);
int wf_os_connect(int fd, const struct sockaddr *addr, socklen_t len); /* (sleeps) unless O_NONBLOCK is set; not restarted */
int wf_os_shutdown(int fd, int how);
int wf_os_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int wf_os_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int wf_os_get_option(int fd, int level, int name); /* the value, for options that are never negative */
int wf_os_set_option(int fd, int level, int name, int value);

/* ---- names ---------------------------------------------------------------------------------------------------------- */

/* For sockets of a type. -ENOENT no such host or service, -EAGAIN no name server answered, -EIO one refused, -EINVAL. (sleeps) */
struct addrinfo;
int wf_os_getaddrinfo(const char *host, const char *service, int type, struct addrinfo **found);
void wf_os_freeaddrinfo(struct addrinfo *found);

/* ---- descriptors ---------------------------------------------------------------------------------------------------- */

void wf_os_close(int fd); /* (sleeps) where closing does. The number is free afterwards, whatever happened. */
int wf_os_duplicate(int fd);
int wf_os_close_on_exec(int fd);
int wf_os_no_sigpipe(int fd);               /* what comes from elsewhere, where the file decides about that; 0 or an error */
int wf_os_set_nonblocking(int fd, bool on); /* 1: it was, 0: it was not */
int wf_os_is_nonblocking(int fd);
int wf_os_poll_now(int fd, short events);   /* the ready ones, POLLERR, POLLHUP; -EBADF */
bool wf_os_is_terminal(int fd);
int wf_os_file_mode(int fd); /* st_mode */

/* Which file a path names, without following a link at its end. */
int wf_os_path_stat(const char *path, struct stat *st); /* (sleeps) */
int wf_os_unlink(const char *path);                     /* (sleeps) */

#endif
