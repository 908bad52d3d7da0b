/* Network I/O in blocking style. Descriptors are plain ints in POSIX argument order; results are values, never errno.
 *
 * Where it waits, a call parks the coroutine (a plain thread blocks). weft knows a descriptor from the call that made it
 * (listen, accept, dial, socket) or from weft_adopt, until weft_close or weft_release; any other number is -EBADF.
 *
 * The read side and the write side of a descriptor are independent. On each, one coroutine works at a time and others queue in
 * order of arrival, so that two weft_write calls never mix their bytes.
 *
 * Waiting ends early with -ETIMEDOUT (the descriptor's deadline, may be retried after setting a new one), -ECANCELED (the
 * coroutine was cancelled), -EBADF (another coroutine closed the descriptor). SIGPIPE is never raised: -EPIPE. Signals never cut a
 * call short. Sockets made here are close-on-exec and non-blocking, TCP ones have TCP_NODELAY set. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"
#include "time.h"

#define WEFT_READ 1u
#define WEFT_WRITE 2u

WEFT_BEGIN

/* ---- getting descriptors ------------------------------------------------------------------------------------------ */

/* Listens on a stream address: "host:port", "[::1]:80", ":8080" (all addresses, IPv6 and IPv4), "unix:/path",
 * "unix:@name" (abstract, Linux). Port 0 lets the system choose. TCP gets SO_REUSEADDR; a unix path that is a socket nobody
 * answers on is replaced. A host that is a name is resolved, and the first of its addresses that works is taken. backlog <= 0: the
 * system's largest. Parks only to resolve a name.
 * -EINVAL malformed address, else as weft_resolve, socket(2), bind(2), listen(2). */
WEFT_API WEFT_NODISCARD int weft_listen(const char *addr, int backlog);

/* Connects to a stream address as above (an empty host is the loopback). The addresses of a name are tried in turn; the error
 * is that of the first. Parks. -ETIMEDOUT, else as weft_resolve or connect(2). A failed or cancelled call leaks nothing. */
WEFT_API WEFT_NODISCARD int weft_dial(const char *addr, weft_time deadline);

/* The next connection. Parks. Connections that were gone before they could be accepted are skipped. When descriptors have run out
 * (-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM) the result comes after a pause that doubles from 5 ms to 1 s while that lasts and ends
 * early when weft_close frees a descriptor: a plain loop around accept neither spins nor dies. peer and len as accept(2), may
 * be NULL. */
WEFT_API WEFT_NODISCARD int weft_accept(int fd, struct sockaddr *peer, socklen_t *len);

/* socket(2), and connect(2) with waiting for its end. */
WEFT_API WEFT_NODISCARD int weft_socket(int domain, int type, int protocol);
WEFT_API WEFT_NODISCARD int weft_connect(int fd, const struct sockaddr *addr, socklen_t len);

/* Makes a descriptor from elsewhere known to weft, which then owns it until weft_close or weft_release. A socket keeps its
 * O_NONBLOCK flag as it is until weft_accept, weft_connect or weft_sendfile need it; a pipe is made non-blocking at once; a
 * terminal never is. Closing, releasing and the end of the runtime (which leaves descriptors open) set the flag back. A number
 * that is known already is taken to be a new file: whoever still waits under the old one gets -EBADF. Files that can't be polled
 * (regular files) work too: file.h. Never parks. -EBADF, -ENOMEM. */
WEFT_API WEFT_NODISCARD int weft_adopt(int fd);

/* Takes fd away from weft without closing it; waiters get -EBADF. Parks until nobody is inside. Returns fd, or -EBADF. */
WEFT_API WEFT_NODISCARD int weft_release(int fd);

/* ---- names ------------------------------------------------------------------------------------------------------- */

struct addrinfo;

/* The addresses of a host for stream sockets, in the order in which they are to be tried, as getaddrinfo(3) finds them: either
 * name may be NULL, or a number. The caller gives *found to freeaddrinfo(3). Looked up on a helper thread (blocking.h), so many
 * at a time as WEFT_MAX_LOOKUPS allows; further ones queue. Parks; a cancelled call leaves the lookup to itself. -ENOENT no
 * such host or service, -EAGAIN no name server answered (or there is no helper and none can be made), -EIO one refused,
 * -EINVAL, -ENOMEM, -ECANCELED. */
WEFT_API WEFT_NODISCARD int weft_resolve(const char *host, const char *service, struct addrinfo **found);

/* ---- reading and writing ------------------------------------------------------------------------------------------ */

/* Reads what there is, at least one byte; 0 at the end of file, and at once for n == 0 (where messages keep their bounds, the
 * recv forms take an empty or cut one instead). Parks; with MSG_DONTWAIT in flags -EAGAIN instead. Errors as read(2). */
WEFT_API WEFT_NODISCARD ssize_t weft_read(int fd, void *buf, size_t n);
WEFT_API WEFT_NODISCARD ssize_t weft_readv(int fd, const struct iovec *iov, int count);
WEFT_API WEFT_NODISCARD ssize_t weft_recv(int fd, void *buf, size_t n, int flags);
WEFT_API WEFT_NODISCARD ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len);
WEFT_API WEFT_NODISCARD ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags);

/* Writes all of it. When stopped midway the result is the short count, and the error comes from the next call. Parks; with
 * MSG_DONTWAIT in flags it stops midway, or with -EAGAIN, instead. Errors as write(2). */
WEFT_API WEFT_NODISCARD ssize_t weft_write(int fd, const void *buf, size_t n);
WEFT_API WEFT_NODISCARD ssize_t weft_writev(int fd, const struct iovec *iov, int count);
WEFT_API WEFT_NODISCARD ssize_t weft_send(int fd, const void *buf, size_t n, int flags);
WEFT_API WEFT_NODISCARD ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len);
WEFT_API WEFT_NODISCARD ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags);

/* Exactly n bytes or an error; *done (may be NULL) tells how many were moved either way. The end of file before n bytes is
 * -ENODATA, before the first byte too. 0 on success. */
WEFT_API WEFT_NODISCARD int weft_read_full(int fd, void *buf, size_t n, size_t *done);
WEFT_API WEFT_NODISCARD int weft_write_all(int fd, const void *buf, size_t n, size_t *done);

/* Copies up to n bytes of the file in, from offset on, to out. The count moved; fewer than n at its end, or when stopped
 * midway. Parks while out is full; reading the file may block the thread. */
WEFT_API WEFT_NODISCARD int64_t weft_sendfile(int out, int in, int64_t offset, size_t n);

/* ---- waiting, deadlines, closing ---------------------------------------------------------------------------------- */

/* Waits until fd may be readable or writable: the ready directions (a hint), -ETIMEDOUT, or -EAGAIN with WEFT_NOW. fd need not be
 * known to weft; if it is, its deadlines hold too. Parks. */
WEFT_API WEFT_NODISCARD int weft_wait_fd(int fd, unsigned dirs, weft_time deadline);

/* Sets the point after which calls in these directions fail with -ETIMEDOUT, those that wait now included. It holds for every
 * later call too, even if data is ready, until it is set again; WEFT_NEVER clears it. From any coroutine; never parks.
 * -EBADF, -EINVAL. */
WEFT_API int weft_set_deadline(int fd, unsigned dirs, weft_time deadline);

/* shutdown(2). Never parks. */
WEFT_API int weft_shutdown_fd(int fd, int how);

/* Closes fd: whoever is inside a call on it gets -EBADF, and the number is free for others once the last of them has left. Does
 * not wait for that. -EBADF: not known, or closed before. Never parks. */
WEFT_API int weft_close(int fd);

WEFT_END

#endif
