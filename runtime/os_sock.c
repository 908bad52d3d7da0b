#include "os_sock.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "os_call.h"

WF_NOINLINE int wf_os_set_linger(int fd, bool on, int seconds)
{
	struct linger linger = { on, seconds };
	WF_RESULT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

static int set_tcp(int fd, int name, int value)
{
	WF_RESULT(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value));
}

WF_NOINLINE int wf_os_set_keepalive(int fd, int idle_s, int interval_s, int probes)
{
	int on = idle_s > 0, r = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) < 0 ? -errno : 0;
	if (r == 0 && on)
		r = wf_os_set_idle(fd, idle_s);
	if (r == 0 && on && interval_s > 0)
		r = set_tcp(fd, TCP_KEEPINTVL, interval_s);
	if (r == 0 && on && probes > 0)
		r = set_tcp(fd, TCP_KEEPCNT, probes);
	return r;
}

/* ---- groups --------------------------------------------------------------------------------------------------------- */

/* 0: the system's choice. */
static int find_interface(const char *name, unsigned *index)
{
	*index = name ? if_nametoindex(name) : 0;
	return name && *index == 0 ? -ENODEV : 0;
}

WF_NOINLINE int wf_os_multicast(int fd, bool join, const struct sockaddr *group, socklen_t len, const char *interface)
{
	struct group_req request = { .gr_interface = 0 };
	int level = group->sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int r = find_interface(interface, &request.gr_interface);
	if (r < 0)
		return r;
	memcpy(&request.gr_group, group, len);
	WF_RESULT(setsockopt(fd, level, join ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof request));
}

WF_NOINLINE int wf_os_multicast_interface(int fd, int family, const char *interface)
{
	unsigned index;
	int r = find_interface(interface, &index);
	if (r < 0)
		return r;
	if (family == AF_INET6)
		WF_RESULT(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	struct ip_mreqn request = { .imr_ifindex = (int)index };
	WF_RESULT(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}
