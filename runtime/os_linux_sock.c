#include "os_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "os_call.h"

WF_NOINLINE void wf_os_bind_late(int fd)
{
	int on = 1;
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
}

WF_NOINLINE int wf_os_set_idle(int fd, int idle_s)
{
	WF_RESULT(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s));
}

WF_NOINLINE int wf_os_peer_ids(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
	struct ucred ids;
	socklen_t len = sizeof ids;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ids, &len) < 0)
		return -errno;
	if (ids.uid == (uid_t)-1)
		return -ENOTCONN; /* no unix socket, or nobody at the other end of it */
	*pid = ids.pid;
	*uid = ids.uid;
	*gid = ids.gid;
	return 0;
}
