/* os_sock.h for FreeBSD and macOS. */
#include "os_sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "os_call.h"

#ifdef TCP_KEEPALIVE
#define KEEP_IDLE TCP_KEEPALIVE /* macOS' name */
#else
#define KEEP_IDLE TCP_KEEPIDLE
#endif

/* A port is chosen when it is asked for. */
void wf_os_bind_late(int fd)
{
	(void)fd;
}

WF_NOINLINE int wf_os_set_idle(int fd, int idle_s)
{
	WF_RESULT(setsockopt(fd, IPPROTO_TCP, KEEP_IDLE, &idle_s, sizeof idle_s));
}

WF_NOINLINE int wf_os_peer_ids(int fd, pid_t *pid, uid_t *uid, gid_t *gid)
{
	*pid = 0;
	WF_RESULT(getpeereid(fd, uid, gid));
}
