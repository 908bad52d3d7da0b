/* Rank 2. For os_*.c alone: how a system call ends, and what one variant has that several files use. */
#ifndef WF_OS_CALL_H
#define WF_OS_CALL_H

#include <errno.h>
#include <sys/types.h>

#include "base.h"

/* Returns the value of a call, or its negative errno value; goes on if a signal came between. */
#define WF_RETRY(call)                                                 \
	do {                                                           \
		ssize_t result_;                                       \
		do                                                     \
			result_ = (call);                              \
		while (result_ < 0 && errno == EINTR);                 \
		return result_ < 0 ? -errno : result_;                 \
	} while (0)

/* Returns 0, or the negative errno value of a call that is not to be gone on with. */
#define WF_RESULT(call) return (call) < 0 ? -errno : 0

/* As wf_os_sendfile, but for SIGPIPE. */
ssize_t wf_os_sendfile_loudly(int out, int in, int64_t offset, size_t n);

/* The same where sendfile(2) is for sockets alone, and this is none; a few KiB at a time. */
ssize_t wf_os_sendfile_by_copy(int out, int in, int64_t offset, size_t n);

/* Close-on-exec, both ends; wf_os_pipe without the care for the standard streams. */
int wf_os_pipe_anywhere(int fds[2]);

/* The signal of wf_os_probe_open: one that programs leave alone. */
int wf_os_probe_signal(void);

/* Sends it to a thread by wf_os_thread_id. */
bool wf_os_probe_send(int id, int number);

#endif
