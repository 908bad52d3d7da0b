/* Sockets beyond reading and writing: options, descriptors as messages, who the peer is. fd is known to weft; other options are a
 * plain setsockopt(2) away. */
#ifndef WEFT_SOCKET_H
#define WEFT_SOCKET_H

#include "net.h"

WEFT_BEGIN

/* ---- options ------------------------------------------------------------------------------------------------------- */

/* TCP_NODELAY, which weft sets on every TCP socket: off, small writes are gathered while data are on their way. Accepted sockets
 * have what their listener has. From any coroutine; never parks, as the others here. -EBADF, else as setsockopt(2). */
WEFT_API int weft_set_nodelay(int fd, bool on);

/* Asks the peer whether it is there after idle_s seconds of silence, and then every interval_s seconds; after so many probes
 * without an answer the connection has failed with -ETIMEDOUT. Zero in one of the last two: as the system has it. idle_s == 0:
 * off. */
WEFT_API int weft_set_keepalive(int fd, int idle_s, int interval_s, int probes);

/* What weft_close does with data that were not sent yet. Negative: the system sends them (as without this call). 0: throws them
 * away, and the peer sees a reset. More: so many seconds are spent on sending them, in weft_close, on the caller's thread. */
WEFT_API int weft_set_linger(int fd, int seconds);

/* Bytes that the system keeps for a socket that nobody reads yet, and of what was written; 0: as it is. Before connecting and
 * listening, for TCP. The system may take less, or more. */
WEFT_API int weft_set_buffers(int fd, int receive, int send);

/* ---- descriptors as messages --------------------------------------------------------------------------------------- */

enum { WEFT_FDS_MAX = 253 }; /* in one message */

/* Writes n > 0 bytes to a unix socket, and descriptors with the first of them, which stay the caller's. Parks. The result is that
 * of weft_write: when it is negative no descriptor was sent. -EINVAL. */
WEFT_API WEFT_NODISCARD ssize_t weft_send_fds(int fd, const void *buf, size_t n, const int *fds, int count);

/* Reads as weft_read does, and descriptors with it: *count is the room in fds before, and how many came afterwards (0 after an
 * error). They are close-on-exec and the caller's, who gives them to weft_adopt or closes them. All or none: where more came
 * than there is room for, or than this process may have open, what came is closed, the bytes are lost, and the result is -EMSGSIZE,
 * or -EMFILE. Parks. */
WEFT_API WEFT_NODISCARD ssize_t weft_recv_fds(int fd, void *buf, size_t n, int *fds, int *count);

/* ---- the peer ------------------------------------------------------------------------------------------------------- */

/* Process and user at the other end of a unix socket, as they were when it connected; each may be NULL. pid is 0 where the system
 * does not tell. Never parks. -ENOTCONN nobody is known there, else as getsockopt(2). */
WEFT_API WEFT_NODISCARD int weft_peer_ids(int fd, pid_t *pid, uid_t *uid, gid_t *gid);

WEFT_END

#endif
