/* Rank 6. Addresses as text: "host:port" with a numeric host or localhost, "[v6]:port", ":port", "unix:/path", "unix:@name". */
#ifndef WF_ADDR_H
#define WF_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../runtime/base.h"

struct wf_addr {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un path;
	};
	socklen_t len;
	bool no_host; /* ":port" */
};

/* Reads one; without a host it is the loopback. 0 or -EINVAL. */
int wf_addr_parse(struct wf_addr *addr, const char *text);

/* For ":port": every address of this host, by one IPv6 socket that takes IPv4 as well, or by IPv4 alone. */
void wf_addr_set_everywhere(struct wf_addr *addr, bool v6);

/* The path of a unix socket that has a file; NULL for all others. */
const char *wf_addr_path(const struct wf_addr *addr);

#endif
