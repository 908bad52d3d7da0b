/* Child processes. A child that nobody has waited for keeps its number, so the handle is as good as the number.
 *
 * Its end is heard of through a descriptor (pidfd_open(2)) that becomes readable. Where there is none, because the kernel is
 * too old or descriptors have run out, it is asked for again and again, with pauses that grow: a handler for SIGCHLD would be
 * the program's business, and a helper that sits in waitpid(2) can't be called back. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <weft/co.h>
#include <weft/file.h>
#include <weft/net.h>
#include <weft/process.h>

#include "../runtime/os.h"
#include "../runtime/os_net.h"
#include "../runtime/os_process.h"

enum { PAUSE_MS = 1, PAUSE_MAX_MS = 50 };

struct weft_process {
	int pid;
	int fd; /* -1: there is none */
	bool group;
};

/* ---- standard streams ----------------------------------------------------------------------------------------------- */

static void close_if_open(int *fd)
{
	if (*fd >= 0)
		wf_os_close(*fd);
	*fd = -1;
}

/* Both ends of one stream: the child's, and ours if it is a pipe. */
static int open_stream(enum weft_stream stream, int number, int given, int *theirs, int *ours)
{
	int pipe_fds[2], r;
	switch (stream) {
	case WEFT_STREAM_INHERIT:
		return 0;
	case WEFT_STREAM_NULL:
		given = wf_os_open("/dev/null", number == 0 ? 0 /* O_RDONLY */ : 1 /* O_WRONLY */, 0);
		if (given < 0)
			return given;
		*theirs = wf_os_duplicate_high(given);
		wf_os_close(given);
		return *theirs;
	case WEFT_STREAM_FD:
		return *theirs = wf_os_duplicate_high(given);
	case WEFT_STREAM_PIPE:
		if ((r = wf_os_pipe(pipe_fds)) < 0)
			return r;
		*theirs = pipe_fds[number != 0];
		*ours = pipe_fds[number == 0];
		return 0;
	}
	return -EINVAL;
}

static int open_streams(const struct weft_process_opts *opts, int theirs[3], int ours[3])
{
	int r = 0;
	for (int i = 0; r >= 0 && i < 3; i++)
		r = open_stream(opts->streams[i], i, opts->fds[i], &theirs[i], &ours[i]);
	for (int i = 0; r >= 0 && i < 3; i++)
		r = ours[i] >= 0 ? weft_adopt(ours[i]) : 0;
	return r;
}

static void close_ours(int ours[3])
{
	for (int i = 0; i < 3; i++)
		if (ours[i] >= 0 && weft_close(ours[i]) < 0)
			wf_os_close(ours[i]); /* was not known yet */
}

/* ---- starting ------------------------------------------------------------------------------------------------------- */

static int spawn(struct weft_process *process, const struct weft_process_opts *opts, const int theirs[3])
{
	struct wf_os_spawn how = {
		.file = opts->file ? opts->file : opts->args[0],
		.args = opts->args,
		.env = opts->env,
		.dir = opts->dir,
		.group = (opts->flags & WEFT_PROCESS_GROUP) != 0,
		.fds = { theirs[0], theirs[1], theirs[2] },
	};
	process->group = how.group;
	return process->pid = wf_os_spawn(&how);
}

/* Without one that weft can wait for, -1. */
static int find_fd(int pid)
{
	int fd = wf_os_child_fd(pid);
	if (fd < 0 || weft_adopt(fd) == 0)
		return fd < 0 ? -1 : fd;
	wf_os_close(fd);
	return -1;
}

int weft_process_start(struct weft_process **process, struct weft_process_opts *opts)
{
	if (opts->size < sizeof *opts || !opts->args || !opts->args[0] || (opts->flags & ~(unsigned)WEFT_PROCESS_GROUP))
		return -EINVAL;
	int theirs[3] = { -1, -1, -1 }, ours[3] = { -1, -1, -1 };
	struct weft_process *p = malloc(sizeof *p);
	if (!p)
		return -ENOMEM;
	int r = open_streams(opts, theirs, ours);
	if (r >= 0)
		r = spawn(p, opts, theirs);
	for (int i = 0; i < 3; i++)
		close_if_open(&theirs[i]);
	if (r < 0) {
		close_ours(ours);
		free(p);
		return r;
	}
	p->fd = find_fd(p->pid);
	for (int i = 0; i < 3; i++)
		opts->fds[i] = opts->streams[i] == WEFT_STREAM_FD ? opts->fds[i] : ours[i];
	*process = p;
	return 0;
}

/* ---- its end -------------------------------------------------------------------------------------------------------- */

/* Until it may have ended. */
static int await_end(const struct weft_process *p, int *pause_ms, weft_time deadline)
{
	if (p->fd >= 0) {
		int r = weft_wait_fd(p->fd, WEFT_READ, deadline);
		return r < 0 ? r : 0;
	}
	weft_time until = weft_after(WEFT_MS(*pause_ms));
	if (*pause_ms < PAUSE_MAX_MS)
		*pause_ms *= 2;
	if (deadline <= weft_now())
		return deadline == WEFT_NOW ? -EAGAIN : -ETIMEDOUT;
	return weft_sleep_until(until < deadline ? until : deadline);
}

int weft_process_wait(struct weft_process *p, int *status, weft_time deadline)
{
	int how, pause_ms = PAUSE_MS, r = weft_cancelled();
	if (r < 0)
		return r;
	while ((r = wf_os_reap(p->pid, &how)) == 0)
		if ((r = await_end(p, &pause_ms, deadline)) < 0)
			return r;
	if (p->fd >= 0)
		weft_close(p->fd);
	free(p);
	if (r > 0 && status)
		*status = how;
	return r < 0 ? r : 0;
}

int weft_process_kill(struct weft_process *p, int signal)
{
	return wf_os_kill(p->group ? -p->pid : p->pid, signal);
}

int weft_process_id(const struct weft_process *p)
{
	return p->pid;
}
