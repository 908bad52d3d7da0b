/* Rank 2. Child processes. Results as os.h has it. */
#ifndef WF_OS_PROCESS_H
#define WF_OS_PROCESS_H

#include "base.h"

struct wf_os_spawn {
	const char *file;
	const char *const *args;
	const char *const *env; /* NULL: that of the process */
	const char *dir;        /* NULL: that of the process */
	bool group;             /* leads a group of its own */
	int fds[3];             /* its standard streams, each close-on-exec and > 2; -1: inherited */
};

/* The number of the child. (sleeps) until it is loaded */
int wf_os_spawn(const struct wf_os_spawn *spawn);

/* 1: it has ended, with this status, and is gone; 0: not yet. */
int wf_os_reap(int pid, int *status);

int wf_os_kill(int pid, int signal);
int wf_os_process_id(void); /* of the caller */

/* Becomes readable when the child ends; close-on-exec. -ENOSYS and others: find out by asking. */
int wf_os_child_fd(int pid);

/* Both ends close-on-exec and > 2. */
int wf_os_pipe(int fds[2]);

/* A duplicate, close-on-exec and > 2. */
int wf_os_duplicate_high(int fd);

#endif
