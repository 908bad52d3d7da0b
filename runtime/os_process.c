#include "os_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os_call.h"

extern char **environ;

enum { FIRST_HIGH = 3 };

/* Standard streams and directory. dup2 takes close-on-exec off the copy. */
static int add_actions(posix_spawn_file_actions_t *actions, const struct wf_os_spawn *spawn)
{
	int error = spawn->dir ? posix_spawn_file_actions_addchdir_np(actions, spawn->dir) : 0;
	for (int i = 0; error == 0 && i < 3; i++)
		if (spawn->fds[i] >= 0)
			error = posix_spawn_file_actions_adddup2(actions, spawn->fds[i], i);
	return error;
}

/* The thread that spawns may be one of weft's, with all signals blocked. */
static int set_attributes(posix_spawnattr_t *attr, const struct wf_os_spawn *spawn)
{
	sigset_t none, pipe;
	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (spawn->group ? POSIX_SPAWN_SETPGROUP : 0);
	int error = posix_spawnattr_setflags(attr, (short)flags);
	if (error == 0)
		error = posix_spawnattr_setsigmask(attr, &none);
	if (error == 0)
		error = posix_spawnattr_setsigdefault(attr, &pipe);
	return error;
}

static int spawn_with(posix_spawn_file_actions_t *actions, const struct wf_os_spawn *spawn)
{
	posix_spawnattr_t attr;
	pid_t pid;
	int error = posix_spawnattr_init(&attr);
	if (error != 0)
		return -error;
	error = set_attributes(&attr, spawn);
	if (error == 0)
		error = add_actions(actions, spawn);
	if (error == 0)
		error = posix_spawnp(&pid, spawn->file, actions, &attr, (char *const *)(uintptr_t)spawn->args,
				     spawn->env ? (char *const *)(uintptr_t)spawn->env : environ);
	posix_spawnattr_destroy(&attr);
	return error != 0 ? -error : pid;
}

WF_NOINLINE int wf_os_spawn(const struct wf_os_spawn *spawn)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);
	if (error != 0)
		return -error;
	int pid = spawn_with(&actions, spawn);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

WF_NOINLINE int wf_os_reap(int pid, int *status)
{
	pid_t r;
	do
		r = waitpid(pid, status, WNOHANG);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r > 0;
}

WF_NOINLINE int wf_os_kill(int pid, int signal)
{
	return kill(pid, signal) < 0 ? -errno : 0;
}

int wf_os_process_id(void)
{
	return getpid();
}

WF_NOINLINE int wf_os_duplicate_high(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH);
	return copy < 0 ? -errno : copy;
}

/* Out of the way of the standard streams, if these were closed. */
static int move_high(int *fd)
{
	if (*fd >= FIRST_HIGH)
		return 0;
	int copy = wf_os_duplicate_high(*fd);
	if (copy < 0)
		return copy;
	close(*fd);
	*fd = copy;
	return 0;
}

WF_NOINLINE int wf_os_pipe(int fds[2])
{
	int r = wf_os_pipe_anywhere(fds);
	if (r < 0)
		return r;
	r = move_high(&fds[0]);
	if (r == 0)
		r = move_high(&fds[1]);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
	}
	return r;
}
