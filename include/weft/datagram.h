/* Datagrams: UDP, and unix sockets of type SOCK_DGRAM. Used with the calls of net.h; each of these moves one datagram, and an
 * empty one is a datagram like others: a result of 0 is not an end of file. One that is longer than the buffer is cut; recvmsg and
 * recvmmsg tell by MSG_TRUNC in msg_flags, and the recv calls with MSG_TRUNC in their flags return its whole length.
 *
 * A connected UDP socket is told when a datagram of it met nobody: the next call, whichever it is, returns -ECONNREFUSED, once. */
#ifndef WEFT_DATAGRAM_H
#define WEFT_DATAGRAM_H

#include "net.h"

/* The layout of Linux' struct mmsghdr, under a name that every system can have. */
struct weft_mmsghdr {
	struct msghdr msg_hdr;
	unsigned msg_len; /* out: bytes of this datagram that were received, or sent */
};

WEFT_BEGIN

/* A datagram socket. local: where it receives, "host:port", ":53" (all addresses, IPv6 and IPv4), ":0", "unix:/path",
 * "unix:@name", as weft_listen has it; NULL: the system chooses when it first sends (a unix socket then has no address to be
 * answered at). remote: the only one that it talks to, with weft_write and weft_read; NULL: any, with weft_sendto and
 * weft_recvfrom. Not both are NULL. Names are resolved, and the first address that works is taken; with a remote, local is numeric
 * and of the same family. flags: WEFT_REUSE_PORT, WEFT_V6_ONLY, WEFT_BROADCAST. Parks only to resolve a name. -EINVAL,
 * -EAFNOSUPPORT the families differ, else as weft_resolve, socket(2), bind(2), connect(2). */
WEFT_API WEFT_NODISCARD int weft_datagram(const char *local, const char *remote, unsigned flags);

/* Many at a time, in one system call where there is one (recvmmsg(2), sendmmsg(2)), else one by one. Receiving waits for the first
 * datagram and takes those that are there then, up to n; the result is how many. Sending waits until all are sent; when stopped
 * midway the result is how many were, and the error comes from the next call. msg_hdr and flags are those of weft_recvmsg and
 * weft_sendmsg. n == 0: 0 at once. Park. Errors as recvmsg(2), sendmsg(2); -EOPNOTSUPP not a socket with messages. (The end of a
 * SOCK_SEQPACKET connection is a message of length 0, as often as it is asked for.) */
WEFT_API WEFT_NODISCARD int weft_recvmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags);
WEFT_API WEFT_NODISCARD int weft_sendmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags);

/* Receives what is sent to a group, "239.1.2.3" or "ff02::1:3", on the interface of this name (NULL: the system chooses), and no
 * longer. Never park. -EINVAL, -ENODEV no such interface, else as setsockopt(2) of MCAST_JOIN_GROUP. */
WEFT_API WEFT_NODISCARD int weft_multicast_join(int fd, const char *group, const char *interface);
WEFT_API int weft_multicast_leave(int fd, const char *group, const char *interface);

/* The interface by which datagrams to groups leave. Never parks. -ENODEV, else as setsockopt(2) of IP_MULTICAST_IF. */
WEFT_API WEFT_NODISCARD int weft_multicast_interface(int fd, const char *interface);

WEFT_END

#endif
