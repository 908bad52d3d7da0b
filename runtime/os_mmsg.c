/* Batches where the system has none: one by one. */
#include <errno.h>
#include <weft/datagram.h>

#include "os_net.h"
#include "os_sock.h"

WF_NOINLINE ssize_t wf_os_recvmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags, int *error)
{
	unsigned i = 0;
	ssize_t r = 0;
	for (; i < n && (r = wf_os_recvmsg(fd, &msgs[i].msg_hdr, flags)) >= 0; i++)
		msgs[i].msg_len = (unsigned)r;
	*error = i > 0 && r < 0 && r != -EAGAIN ? (int)r : 0;
	return i > 0 ? (ssize_t)i : r;
}

WF_NOINLINE ssize_t wf_os_sendmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags)
{
	unsigned i = 0;
	ssize_t r = 0;
	for (; i < n && (r = wf_os_sendmsg(fd, &msgs[i].msg_hdr, flags)) >= 0; i++)
		msgs[i].msg_len = (unsigned)r;
	return i > 0 ? (ssize_t)i : r;
}
