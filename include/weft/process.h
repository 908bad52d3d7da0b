/* Child processes: started, waited for, and talked to through pipes, all parking the coroutine and never the thread. */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include "base.h"
#include "time.h"

/* A process that was started and not waited for yet. */
struct weft_process;

/* What one of its standard streams is. */
enum weft_stream {
	WEFT_STREAM_INHERIT, /* that of the caller */
	WEFT_STREAM_NULL,    /* /dev/null */
	WEFT_STREAM_PIPE,    /* a pipe; our end is in weft_process_opts.fds, known to weft, and the caller's to weft_close */
	WEFT_STREAM_FD,      /* the descriptor in weft_process_opts.fds, which stays the caller's */
};

enum {
	WEFT_PROCESS_GROUP = 1, /* it leads a process group of its own, and weft_process_kill goes to all of that */
};

/* Zero in a field means the default. */
struct weft_process_opts {
	size_t size;                 /* sizeof(struct weft_process_opts) */
	const char *const *args;     /* its arguments, the first names it; a NULL at the end */
	const char *file;            /* the program, looked for in PATH unless it has a slash; NULL: args[0] */
	const char *const *env;      /* its environment, a NULL at the end; NULL: the caller's */
	const char *dir;             /* its working directory; NULL: the caller's */
	unsigned flags;              /* WEFT_PROCESS_... */
	enum weft_stream streams[3]; /* standard input, output, error */
	int fds[3];                  /* out: our ends of pipes, -1 for other streams; in: descriptors for WEFT_STREAM_FD */
};

/* Initialiser: struct weft_process_opts opts = WEFT_PROCESS_INIT; */
#define WEFT_PROCESS_INIT { sizeof(struct weft_process_opts), 0, 0, 0, 0, 0, \
	{ WEFT_STREAM_INHERIT, WEFT_STREAM_INHERIT, WEFT_STREAM_INHERIT }, { -1, -1, -1 } }

WEFT_BEGIN

/* Starts a program. It has no signal blocked, SIGPIPE as by default, and of the caller's descriptors those that are not
 * close-on-exec: of weft's none. The handle must be given to weft_process_wait until that succeeds. Blocks the thread until the
 * program is loaded. Needs a runtime that runs if there are pipes. On failure nothing is left.
 * -EINVAL, -ENOMEM, -EMFILE, else as execve(2). */
WEFT_API WEFT_NODISCARD int weft_process_start(struct weft_process **process, struct weft_process_opts *opts);

/* Waits until it has ended, stores its status as waitpid(2) does (status may be NULL) and releases the handle. Parks; a plain
 * thread blocks. -ETIMEDOUT, or with WEFT_NOW -EAGAIN; -ECANCELED; -ECHILD somebody else in this program has waited for it, or
 * SIGCHLD is ignored: the handle is released then, too. On the other failures it stays valid. */
WEFT_API WEFT_NODISCARD int weft_process_wait(struct weft_process *process, int *status, weft_time deadline);

/* Sends a signal to it. As long as nobody has waited for it its number is its own, so no other process is hit; one that has
 * ended hears nothing, and the result is 0. Never parks. Errors as kill(2). */
WEFT_API int weft_process_kill(struct weft_process *process, int signal);

/* Its number. Never parks. */
WEFT_API int weft_process_id(const struct weft_process *process);

WEFT_END

#endif
