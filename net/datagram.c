/* Datagrams: many at a time, and to many at a time. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <weft/datagram.h>

#include "../runtime/os_net.h"
#include "../runtime/os_sock.h"
#include "../runtime/sched.h"
#include "io.h"

/* ---- batches -------------------------------------------------------------------------------------------------------- */

static ssize_t try_recvmmsg(struct wf_turn *turn, struct wf_io *io)
{
	if (!(turn->kind & WF_DESC_MESSAGES))
		return -EOPNOTSUPP;
	return wf_os_recvmmsg(turn->fd, io->buf, (unsigned)io->n, io->flags, &io->error);
}

static ssize_t try_sendmmsg(struct wf_turn *turn, struct wf_io *io)
{
	struct weft_mmsghdr *msgs = io->buf;
	if (!(turn->kind & WF_DESC_MESSAGES))
		return -EOPNOTSUPP;
	io->to_path = wf_io_is_to_path(&msgs[io->done].msg_hdr);
	return wf_os_sendmmsg(turn->fd, msgs + io->done, (unsigned)(io->n - io->done), io->flags);
}

int weft_recvmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags)
{
	struct wf_io io = { .buf = msgs, .n = n < INT_MAX ? n : INT_MAX, .flags = flags };
	return n > 0 ? (int)wf_io_receive(fd, &io, try_recvmmsg) : wf_io_nothing(fd);
}

int weft_sendmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags)
{
	struct wf_io io = { .buf = msgs, .n = n < INT_MAX ? n : INT_MAX, .flags = flags, .batch = true };
	return n > 0 ? (int)wf_io_transmit(fd, &io, try_sendmmsg) : wf_io_nothing(fd);
}

/* ---- groups --------------------------------------------------------------------------------------------------------- */

static int parse_group(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	*addr = (struct sockaddr_storage){ .ss_family = AF_UNSPEC };
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
		memcpy(addr, &v4, *len = sizeof v4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
		memcpy(addr, &v6, *len = sizeof v6);
		return 0;
	}
	return -EINVAL;
}

static int change_group(int fd, bool join, const char *group, const char *interface)
{
	struct sockaddr_storage addr;
	socklen_t len;
	struct wf_turn turn;
	int r = parse_group(group, &addr, &len);
	if (r < 0)
		return r;
	if ((r = wf_desc_enter(&turn, wf_enter_here(), fd)) < 0)
		return r;
	r = wf_os_multicast(fd, join, (struct sockaddr *)&addr, len, interface);
	wf_desc_leave(&turn);
	return r;
}

int weft_multicast_join(int fd, const char *group, const char *interface)
{
	return change_group(fd, true, group, interface);
}

int weft_multicast_leave(int fd, const char *group, const char *interface)
{
	return change_group(fd, false, group, interface);
}

int weft_multicast_interface(int fd, const char *interface)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;
	struct wf_turn turn;
	int r = wf_desc_enter(&turn, wf_enter_here(), fd);
	if (r < 0)
		return r;
	r = wf_os_getsockname(fd, (struct sockaddr *)&addr, &len);
	if (r == 0)
		r = wf_os_multicast_interface(fd, addr.ss_family, interface);
	wf_desc_leave(&turn);
	return r;
}
