/* The poller, as a thread sees it that holds no processor. */
#ifndef TEST_POLL_UTIL_H
#define TEST_POLL_UTIL_H

#include <stdalign.h>
#include <stddef.h>

#include "netpoll.h"

static inline int wait_as_thread(int64_t timeout_ns)
{
	alignas(max_align_t) char room[WF_EVENTS_SIZE];
	return wf_netpoll_wait(NULL, room, timeout_ns);
}

#endif
