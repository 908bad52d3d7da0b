/* Child processes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_util.h"

static struct weft_process *start(struct weft_process_opts *opts, const char *const *args)
{
	struct weft_process *process = NULL;
	opts->args = args;
	CHECK_RESULT(weft_process_start(&process, opts), 0);
	return process;
}

static struct weft_process *start_shell(struct weft_process_opts *opts, const char *script)
{
	return start(opts, (const char *const[]){ "sh", "-c", script, NULL });
}

static int wait_for(struct weft_process *process)
{
	int status = -1;
	CHECK_RESULT(weft_process_wait(process, &status, WEFT_NEVER), 0);
	return status;
}

static int run_shell(const char *script)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	int status = wait_for(start_shell(&opts, script));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

CO_TEST(status)
{
	CHECK_EQ(run_shell("exit 0"), 0);
	CHECK_EQ(run_shell("exit 7"), 7);
	CHECK_EQ(run_shell("sleep 0.02; exit 3"), 3);
}

TEST(plain_thread_without_a_runtime) { CHECK_EQ(run_shell("sleep 0.02; exit 5"), 5); }

CO_TEST(pipes)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	char buf[64];
	size_t done;
	for (int i = 0; i < 3; i++)
		opts.streams[i] = WEFT_STREAM_PIPE;
	struct weft_process *process = start_shell(&opts, "tr a-z A-Z; echo done >&2");
	CHECK_RESULT(weft_write(opts.fds[0], "hello", 5), 5);
	CHECK_RESULT(weft_close(opts.fds[0]), 0);
	CHECK_RESULT(weft_read_full(opts.fds[1], buf, sizeof buf, &done), -ENODATA);
	CHECK_EQ(done, 5);
	CHECK_MEM(buf, "HELLO", 5);
	CHECK_RESULT(weft_read_full(opts.fds[2], buf, sizeof buf, &done), -ENODATA);
	CHECK_EQ(done, 5);
	CHECK_MEM(buf, "done\n", 5);
	CHECK_EQ(wait_for(process), 0);
	CHECK_RESULT(weft_close(opts.fds[1]), 0);
	CHECK_RESULT(weft_close(opts.fds[2]), 0);
}

/* The child's end of a pipe blocks, as programs expect; ours does not. */
CO_TEST(more_than_a_pipe_holds)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	static char buf[300000];
	size_t done;
	opts.streams[1] = WEFT_STREAM_PIPE;
	struct weft_process *process = start_shell(&opts, "head -c 300000 /dev/zero; exit $?");
	CHECK_RESULT(weft_sleep(WEFT_MS(5)), 0);
	CHECK_RESULT(weft_read_full(opts.fds[1], buf, sizeof buf, &done), 0);
	CHECK_EQ(wait_for(process), 0);
	CHECK_RESULT(weft_close(opts.fds[1]), 0);
}

CO_TEST(null_and_descriptors)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	int fds[2];
	char buf[16] = "";
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	opts.streams[0] = WEFT_STREAM_NULL;
	opts.streams[1] = opts.streams[2] = WEFT_STREAM_FD;
	opts.fds[1] = opts.fds[2] = fds[1];
	struct weft_process *process = start_shell(&opts, "cat; echo a; echo b >&2");
	CHECK_EQ(opts.fds[0], -1);
	CHECK_EQ(opts.fds[1], fds[1]);
	CHECK_EQ(wait_for(process), 0);
	close(fds[1]);
	CHECK_EQ(read(fds[0], buf, sizeof buf), 4);
	CHECK_MEM(buf, "a\nb\n", 4);
	close(fds[0]);
}

/* Standard output and error exchanged: neither copy overwrites the other's source. */
CO_TEST(streams_that_cross)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	int fds[2], former_1 = dup(1), former_2 = dup(2);
	char buf[16] = "";
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	dup2(fds[1], 2);
	opts.streams[1] = opts.streams[2] = WEFT_STREAM_FD;
	opts.fds[1] = 2;
	opts.fds[2] = 1;
	struct weft_process *process = start_shell(&opts, "echo out");
	dup2(former_1, 1);
	dup2(former_2, 2);
	CHECK_EQ(wait_for(process), 0);
	CHECK_EQ(read(fds[0], buf, sizeof buf), 4);
	CHECK_MEM(buf, "out\n", 4);
	close(fds[0]);
	close(fds[1]);
	close(former_1);
	close(former_2);
}

/* Ours are given numbers that the child's standard streams are to have. */
CO_TEST(standard_input_is_closed)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	int fds[2], former = dup(0);
	char buf[16] = "";
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	close(0);
	opts.streams[0] = WEFT_STREAM_PIPE;
	opts.streams[2] = WEFT_STREAM_FD;
	opts.fds[2] = fds[1];
	struct weft_process *process = start_shell(&opts, "cat >&2");
	CHECK_GT(opts.fds[0], 2);
	CHECK_RESULT(weft_write(opts.fds[0], "ab", 2), 2);
	CHECK_RESULT(weft_close(opts.fds[0]), 0);
	CHECK_EQ(wait_for(process), 0);
	CHECK_EQ(dup2(former, 0), 0);
	CHECK_EQ(read(fds[0], buf, sizeof buf), 2);
	CHECK_MEM(buf, "ab", 2);
	close(fds[0]);
	close(fds[1]);
	close(former);
}

CO_TEST(directory_environment_and_name)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	static const char *const env[] = { "COLOUR=blue", NULL };
	opts.dir = "/tmp";
	opts.env = env;
	opts.file = "/bin/sh";
	struct weft_process *process = start(&opts, (const char *const[]){
		"my-name", "-c", "test \"$PWD\" = /tmp -a \"$(pwd)\" = /tmp -a \"$COLOUR\" = blue -a \"$0\" = my-name", NULL });
	CHECK_EQ(wait_for(process), 0);
}

/* Nothing of weft's or ours is open in the child, no signal is blocked and SIGPIPE is not ignored: all seen from inside. */
CO_TEST(what_a_child_gets)
{
	int listener = weft_listen("127.0.0.1:0", 0), fds[2];
	CHECK_OK(listener);
	CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK_EQ(run_shell("for f in /proc/self/fd/*; do case $(readlink $f) in socket:*|anon_inode:*) exit 1;; esac; done\n"
			   "while read k v; do case $k in SigBlk:) [ $((0x$v)) = 0 ] || exit 2;;\n"
			   "SigIgn:) [ $((0x$v & 0x1000)) = 0 ] || exit 3;; esac; done </proc/self/status"), 0);
	signal(SIGPIPE, SIG_DFL);
	close(fds[0]);
	close(fds[1]);
	CHECK_RESULT(weft_close(listener), 0);
}

/* ---- failures --------------------------------------------------------------------------------------------------------- */

/* An emulator's vfork may be a fork. */
static bool spawn_tells_errors(void)
{
	char *args[] = { (char *)(uintptr_t)"program", NULL };
	pid_t pid;
	int error = posix_spawn(&pid, "/no/such/program", NULL, NULL, args, NULL);
	if (error == 0)
		waitpid(pid, NULL, 0);
	return error != 0;
}

CO_TEST(cannot_start)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	struct weft_process *process;
	opts.streams[0] = opts.streams[1] = WEFT_STREAM_PIPE;
	CHECK_RESULT(weft_process_start(&process, &opts), -EINVAL);
	if (!spawn_tells_errors())
		SKIP("an emulator's vfork does not tell why exec failed");
	opts.args = (const char *const[]){ "/no/such/program", NULL };
	CHECK_RESULT(weft_process_start(&process, &opts), -ENOENT);
	CHECK_EQ(opts.fds[0], -1);
	opts.args = (const char *const[]){ "true", NULL };
	opts.dir = "/no/such/directory";
	CHECK_RESULT(weft_process_start(&process, &opts), -ENOENT);
	opts.dir = NULL;
	opts.flags = 64;
	CHECK_RESULT(weft_process_start(&process, &opts), -EINVAL);
	opts.flags = 0;
	opts.streams[2] = WEFT_STREAM_FD;
	CHECK_RESULT(weft_process_start(&process, &opts), -EBADF); /* -1 */
	opts.size = 1;
	CHECK_RESULT(weft_process_start(&process, &opts), -EINVAL);
}

/* The monitor opens one for a moment now and then. */
static int lowest_free(void)
{
	int lowest = INT_MAX;
	for (int i = 0; i < 20; i++) {
		int fd = dup(0);
		CHECK_GE(fd, 0);
		close(fd);
		lowest = fd < lowest ? fd : lowest;
		rest();
	}
	return lowest;
}

CO_TEST(no_descriptors_left)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	struct weft_process *process;
	struct rlimit former;
	opts.streams[0] = opts.streams[1] = WEFT_STREAM_PIPE;
	opts.args = (const char *const[]){ "true", NULL };
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &former), 0);
	int lowest = lowest_free();
	for (int more = 0; more < 4; more++) {
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)(lowest + more), former.rlim_max }), 0);
		CHECK_RESULT(weft_process_start(&process, &opts), -EMFILE);
	}
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &former), 0);
	CHECK_EQ(lowest_free(), lowest);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------- */

static int wait_cancelled(void *arg)
{
	return weft_process_wait(arg, NULL, WEFT_NEVER);
}

static void check_waits(struct weft_process *process)
{
	CHECK_RESULT(weft_process_wait(process, NULL, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_process_wait(process, NULL, weft_after(WEFT_MS(3))), -ETIMEDOUT);
	CHECK_RESULT(weft_process_wait(process, NULL, weft_now() - 1), -ETIMEDOUT);
	struct weft_co *co = spawn_co(NULL, wait_cancelled, process);
	CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	weft_cancel(co);
	CHECK_RESULT(join_co(co), -ECANCELED);
	CHECK_GT(weft_process_id(process), 1);
	CHECK_RESULT(weft_process_kill(process, SIGKILL), 0);
	int status = wait_for(process);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
}

CO_TEST(deadline_cancel_and_kill)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	check_waits(start(&opts, (const char *const[]){ "sleep", "100", NULL }));
}

/* The same without a descriptor of the child: none was left when it started. */
CO_TEST(without_a_descriptor)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	struct rlimit former;
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &former), 0);
	int lowest = dup(0);
	close(lowest);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)lowest, former.rlim_max }), 0);
	struct weft_process *process;
	opts.args = (const char *const[]){ "sleep", "100", NULL };
	int r = weft_process_start(&process, &opts);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &former), 0);
	if (r == -EMFILE)
		SKIP("this libc needs a descriptor to start a program");
	CHECK_RESULT(r, 0);
	check_waits(process);
}

CO_TEST(kill_after_the_end)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	opts.streams[1] = WEFT_STREAM_PIPE;
	char c;
	struct weft_process *process = start_shell(&opts, "exit 4");
	CHECK_RESULT(weft_read(opts.fds[1], &c, 1), 0);
	CHECK_RESULT(weft_sleep(WEFT_MS(5)), 0);
	CHECK_RESULT(weft_process_kill(process, SIGTERM), 0);
	int status = wait_for(process);
	CHECK(WIFEXITED(status) || WTERMSIG(status) == SIGTERM);
	CHECK_RESULT(weft_close(opts.fds[1]), 0);
}

CO_TEST(group)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	char c;
	opts.flags = WEFT_PROCESS_GROUP;
	opts.streams[1] = WEFT_STREAM_PIPE;
	struct weft_process *process = start_shell(&opts, "sleep 100 & echo x; wait");
	CHECK_RESULT(weft_read(opts.fds[1], &c, 1), 1);
	CHECK_RESULT(weft_process_kill(process, SIGTERM), 0);
	CHECK(WIFSIGNALED(wait_for(process)));
	while (weft_read(opts.fds[1], &c, 1) > 0) /* until the grandchild has ended as well */
		;
	CHECK_RESULT(weft_close(opts.fds[1]), 0);
}

CO_TEST(somebody_else_waited)
{
	struct weft_process_opts opts = WEFT_PROCESS_INIT;
	struct weft_process *process = start_shell(&opts, "exit 0");
	CHECK_EQ(waitpid(weft_process_id(process), NULL, 0), weft_process_id(process));
	CHECK_RESULT(weft_process_wait(process, NULL, WEFT_NEVER), -ECHILD);
}

static int start_and_wait(void *arg)
{
	char script[32];
	snprintf(script, sizeof script, "exit %d", (int)(intptr_t)arg);
	return run_shell(script);
}

CO_TEST(many_at_a_time)
{
	struct weft_co *cos[12];
	for (int i = 0; i < 12; i++)
		cos[i] = spawn_co(NULL, start_and_wait, (void *)(intptr_t)i);
	for (int i = 0; i < 12; i++)
		CHECK_RESULT(join_co(cos[i]), i);
}
