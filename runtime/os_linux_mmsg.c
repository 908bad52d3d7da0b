#include <errno.h>
#include <weft/datagram.h>

#include "os_call.h"
#include "os_sock.h"

/* One layout, so that nothing is copied. */
_Static_assert(sizeof(struct weft_mmsghdr) == sizeof(struct mmsghdr), "struct mmsghdr");
_Static_assert(offsetof(struct weft_mmsghdr, msg_len) == offsetof(struct mmsghdr, msg_len), "struct mmsghdr");

#ifdef __GLIBC__
typedef int flags_type;
#else
typedef unsigned flags_type; /* musl */
#endif

WF_NOINLINE ssize_t wf_os_recvmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags, int *error)
{
	*error = 0; /* the system keeps it */
	flags_type all = (flags_type)(flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	WF_RETRY(recvmmsg(fd, (struct mmsghdr *)(void *)msgs, n, all, NULL));
}

WF_NOINLINE ssize_t wf_os_sendmmsg(int fd, struct weft_mmsghdr *msgs, unsigned n, int flags)
{
	flags_type all = (flags_type)(flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	WF_RETRY(sendmmsg(fd, (struct mmsghdr *)(void *)msgs, n, all));
}
