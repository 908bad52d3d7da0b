/* Rank 2. What sockets can besides os_net.h, much of it different from system to system. Results as os_net.h has them. */
#ifndef WF_OS_SOCK_H
#define WF_OS_SOCK_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base.h"

struct weft_mmsghdr;

/* How many datagrams were received or sent; -EAGAIN instead of sleeping. *error: what ended it after some, if the system does not
 * keep that for the next call; else 0. */
ssize_t wf_os_recvmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags, int *error);
ssize_t wf_os_sendmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags);

/* Before binding to port 0: has the port chosen when it is known what for, where the system can. */
void wf_os_bind_late(int fd);

/* Seconds, and how often; zero in the last two: as it is. */
int wf_os_set_idle(int fd, int idle_s);
int wf_os_set_keepalive(int fd, int idle_s, int interval_s, int probes);

int wf_os_set_linger(int fd, bool on, int seconds);
int wf_os_peer_ids(int fd, pid_t *pid, uid_t *uid, gid_t *gid);

/* The group as a numeric address; interface NULL: the system chooses. */
int wf_os_multicast(int fd, bool join, const struct sockaddr *group, socklen_t len, const char *interface);
int wf_os_multicast_interface(int fd, int family, const char *interface);

#endif
