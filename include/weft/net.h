/* Network I/O in blocking style. Descriptors are plain ints in POSIX argument order; results are values, never errno. datagram.h
 * has what is about datagrams, socket.h options, descriptors as messages, and who the peer is.
 *
 * Where it waits, a call parks the coroutine (a plain thread blocks). weft knows a descriptor from the call that made it (listen,
 * accept, dial, socket) or from weft_adopt, until weft_close or weft_release; any other number is -EBADF.
 *
 * The read side and the write side of a descriptor are independent. On each, one coroutine works at a time and others queue in
 * order of arrival, so that two weft_write calls never mix their bytes.
 *
 * Waiting ends early with -ETIMEDOUT (the descriptor's deadline, may be retried after setting a new one), -ECANCELED (the
 * coroutine was cancelled), -EBADF (another coroutine closed the descriptor). SIGPIPE is never raised: -EPIPE. Signals never cut a
 * call short. Descriptors made here are close-on-exec and non-blocking, TCP sockets have TCP_NODELAY set. */
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"
#include "time.h"

#ifndef ENODATA
#define ENODATA ENOATTR /* FreeBSD has none */
#endif

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

/* What sockets that are bound to an address can be asked for; a unix address knows none of it. */
enum {
	WEFT_REUSE_PORT = 1, /* SO_REUSEPORT: sockets of this user that all ask for it share the address; each connection or
	                        datagram goes to one of them, by a hash of its addresses */
	WEFT_V6_ONLY = 2,    /* ":8080" means all IPv6 addresses, and no IPv4 ones */
	WEFT_BROADCAST = 4,  /* SO_BROADCAST: datagrams may be sent to broadcast addresses */
};

/* Zero in a field means the default. */
struct weft_listen_opts {
	size_t size;    /* sizeof(struct weft_listen_opts) */
	unsigned flags; /* WEFT_REUSE_PORT, WEFT_V6_ONLY */
	int backlog;
};

/* The same with options (NULL: none). */
WEFT_API WEFT_NODISCARD int weft_listen_with(const char *addr, const struct weft_listen_opts *opts);

/* Connects to a stream address as above (an empty host is the loopback). A name with several addresses is dialled as RFC 8305 has
 * it: the families take turns, in the order that the system prefers; the next address is tried 250 ms after the last one, or as
 * soon as that has failed, while the former attempts go on; the first connection is taken and the other attempts are closed. The
 * error is that of the first address. Parks. -ETIMEDOUT, or with WEFT_NOW -EAGAIN; else as weft_resolve or connect(2). A failed or
 * cancelled call leaks nothing. */
WEFT_API WEFT_NODISCARD int weft_dial(const char *addr, weft_time deadline);

/* Zero in a field means the default. */
struct weft_dial_opts {
	size_t size;        /* sizeof(struct weft_dial_opts) */
	const char *local;  /* the address to dial from, numeric: "10.0.0.7:0", "[fe80::1%eth0]:0", ":4000"; addresses of another
	                       family are not tried */
	int64_t attempt_ns; /* until the next address of a name is tried */
};

/* The same with options (NULL: none). -EAFNOSUPPORT no address is of the family of the local one; -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_dial_with(const char *addr, weft_time deadline, const struct weft_dial_opts *opts);

/* The next connection. Parks. Connections that were gone before they could be accepted are skipped. When descriptors have run out
 * (-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM) the result comes after a pause that doubles from 5 ms to 1 s while that lasts and ends
 * early when weft_close frees a descriptor: a plain loop around accept neither spins nor dies. peer and len as accept(2), may
 * be NULL. */
WEFT_API WEFT_NODISCARD int weft_accept(int fd, struct sockaddr *peer, socklen_t *len);

/* socket(2), and connect(2) with waiting for its end. */
WEFT_API WEFT_NODISCARD int weft_socket(int domain, int type, int protocol);
WEFT_API WEFT_NODISCARD int weft_connect(int fd, const struct sockaddr *addr, socklen_t len);

/* pipe(2), fds[0] to read from; and two unix sockets that are connected, of type SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
 * weft_release makes an end of a pipe a blocking one, as other programs expect their standard streams to be. Never parks. */
WEFT_API WEFT_NODISCARD int weft_pipe(int fds[2]);
WEFT_API WEFT_NODISCARD int weft_socketpair(int type, int fds[2]);

/* The sockets that this process was started with (systemd's socket activation: the variables LISTEN_FDS, LISTEN_PID,
 * LISTEN_FDNAMES), those named so, or with name NULL all of them; one without a name is called "unknown". Each is made known to
 * weft, as weft_adopt does, and close-on-exec; to be asked for once. The first `room` go to fds, in order; the result is how many
 * there are, 0 if they are meant for another process. Reads the environment. Never parks. -EINVAL the variables make no sense,
 * else as weft_adopt: those before it are known then. */
WEFT_API WEFT_NODISCARD int weft_listen_fds(const char *name, int *fds, int room);

/* Removes these variables, so that no child takes them for its own. Changes the environment: not beside other threads that read it.
 * Never parks. */
WEFT_API void weft_listen_fds_forget(void);

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

/* ---- addresses ---------------------------------------------------------------------------------------------------- */

#define WEFT_ADDR_SIZE 128 /* room for every address as text, with its zero */

/* An address as text, in the form that weft_listen, weft_dial and weft_addr_parse read; an IPv4 address in IPv6 clothes is written
 * as IPv4, a unix socket without a name as "unix:". The length of the text. From anywhere; never parks. -ENOSPC it does not fit;
 * -EAFNOSUPPORT a family that has no text here; -EINVAL an abstract name with a zero inside. */
WEFT_API int weft_addr_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size);

/* The other way; names are for weft_resolve. An empty host is the loopback. From anywhere; never parks. -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_addr_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len);

/* Our end of a socket, and the peer's, as text; as weft_addr_text, getsockname(2), getpeername(2). Never park. */
WEFT_API int weft_local_addr(int fd, char *text, size_t size);
WEFT_API int weft_peer_addr(int fd, char *text, size_t size);

/* ---- reading and writing ------------------------------------------------------------------------------------------ */

/* Reads what there is, at least one byte; 0 at the end of file, and at once for n == 0 (where messages keep their bounds, the recv
 * forms take an empty or cut one instead). weft_readv takes any number of elements, and fills IOV_MAX of them, from the first on
 * that is not empty. Descriptors that weft_recvmsg brings are close-on-exec. Parks; with MSG_DONTWAIT in flags -EAGAIN instead.
 * Errors as read(2). */
WEFT_API WEFT_NODISCARD ssize_t weft_read(int fd, void *buf, size_t n);
WEFT_API WEFT_NODISCARD ssize_t weft_readv(int fd, const struct iovec *iov, int count);
WEFT_API WEFT_NODISCARD ssize_t weft_recv(int fd, void *buf, size_t n, int flags);
WEFT_API WEFT_NODISCARD ssize_t weft_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *from, socklen_t *len);
WEFT_API WEFT_NODISCARD ssize_t weft_recvmsg(int fd, struct msghdr *msg, int flags);

/* Writes all of it, vectors of any number of elements (a message: IOV_MAX of them). When stopped midway the result is the short
 * count, and the error comes from the next call. Parks; with MSG_DONTWAIT in flags it stops midway, or with -EAGAIN, instead.
 * Errors as write(2). */
WEFT_API WEFT_NODISCARD ssize_t weft_write(int fd, const void *buf, size_t n);
WEFT_API WEFT_NODISCARD ssize_t weft_writev(int fd, const struct iovec *iov, int count);
WEFT_API WEFT_NODISCARD ssize_t weft_send(int fd, const void *buf, size_t n, int flags);
WEFT_API WEFT_NODISCARD ssize_t weft_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len);
WEFT_API WEFT_NODISCARD ssize_t weft_sendmsg(int fd, const struct msghdr *msg, int flags);

/* Exactly n bytes or an error; *done (may be NULL) tells how many were moved either way. The end of file before n bytes is
 * -ENODATA, before the first byte too. 0 on success. */
WEFT_API WEFT_NODISCARD int weft_read_full(int fd, void *buf, size_t n, size_t *done);
WEFT_API WEFT_NODISCARD int weft_write_all(int fd, const void *buf, size_t n, size_t *done);

/* Copies up to n bytes of the file in, from offset on, to out: sendfile(2), or read and write where the system can't. The position
 * of in is neither used nor moved, and weft need not know it. The count moved: fewer than n where the file ends (also if it was
 * cut meanwhile), or when stopped midway; the error then comes from the next call. Parks while out is full, and while a helper
 * thread (blocking.h) gets from the disk what is not in memory. Deadlines and cancel of out are looked at every 256 KiB. Sent may
 * still mean shared: a file that is changed, or cut, before the bytes have left can change them. */
WEFT_API WEFT_NODISCARD int64_t weft_sendfile(int out, int in, int64_t offset, size_t n);

/* ---- waiting, deadlines, closing ---------------------------------------------------------------------------------- */

/* Waits until fd may be readable or writable: the ready directions (a hint), -ETIMEDOUT, or -EAGAIN with WEFT_NOW. fd need not be
 * known to weft; if it is, its deadlines hold too. Parks. */
WEFT_API WEFT_NODISCARD int weft_wait_fd(int fd, unsigned dirs, weft_time deadline);

/* Sets the point after which calls in these directions fail with -ETIMEDOUT, those that wait now included. It holds for every
 * later call too, even if data is ready, until it is set again; WEFT_NEVER clears it. From any coroutine; never parks.
 * -EBADF, -EINVAL. */
WEFT_API int weft_set_deadline(int fd, unsigned dirs, weft_time deadline);

/* shutdown(2): with SHUT_WR the peer reads the end of file, while this side reads on. Never parks. */
WEFT_API int weft_shutdown_fd(int fd, int how);

/* Closes fd: whoever is inside a call on it gets -EBADF, and the number is free for others once the last of them has left. Does
 * not wait for that. -EBADF: not known, or closed before. Never parks. */
WEFT_API int weft_close(int fd);

WEFT_END

#endif
