/* Signals as values, the signal that asks for a dump, and what the child of a fork may do. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_util.h"

static struct weft_chan *new_chan(size_t capacity)
{
	struct weft_chan *ch;
	CHECK_RESULT(weft_chan_create(&ch, sizeof(int), capacity), 0);
	return ch;
}

static int receive(struct weft_chan *ch)
{
	int number = 0;
	CHECK_RESULT(weft_chan_recv(ch, &number), 1);
	return number;
}

static void send_signal(int number) { CHECK_EQ(kill(getpid(), number), 0); }

static void (*handler_of(int number))(int)
{
	struct sigaction action;
	CHECK_EQ(sigaction(number, NULL, &action), 0);
	return action.sa_handler;
}

CO_TEST(a_signal_arrives_as_a_value)
{
	struct weft_chan *ch = new_chan(1);
	CHECK_RESULT(weft_signal_notify(ch, SIGUSR1), 0);
	CHECK_RESULT(weft_signal_notify(ch, SIGTERM), 0);
	CHECK_RESULT(weft_signal_notify(ch, SIGTERM), 0); /* once is enough */
	for (int i = 0; i < 20; i++) {
		send_signal(SIGUSR1);
		CHECK_EQ(receive(ch), SIGUSR1);
		send_signal(SIGTERM);
		CHECK_EQ(receive(ch), SIGTERM);
	}
	weft_signal_stop(ch);
	weft_chan_destroy(ch);
	CHECK(handler_of(SIGUSR1) == SIG_DFL);
	CHECK(handler_of(SIGTERM) == SIG_DFL);
}

CO_TEST(all_who_ask_are_told)
{
	struct weft_chan *a = new_chan(1), *b = new_chan(1);
	CHECK_RESULT(weft_signal_notify(a, SIGUSR1), 0);
	CHECK_RESULT(weft_signal_notify(b, SIGUSR1), 0);
	send_signal(SIGUSR1);
	CHECK_EQ(receive(a), SIGUSR1);
	CHECK_EQ(receive(b), SIGUSR1);
	weft_signal_stop(a);
	send_signal(SIGUSR1);
	CHECK_EQ(receive(b), SIGUSR1);
	CHECK_EQ(weft_chan_len(a), 0);
	CHECK_RESULT(weft_signal_reset(SIGUSR1), 0);
	CHECK(handler_of(SIGUSR1) == SIG_DFL);
	weft_chan_destroy(a);
	weft_chan_destroy(b);
}

/* Sending never waits. */
CO_TEST(what_finds_no_room_is_dropped)
{
	struct weft_chan *full = new_chan(1), *other = new_chan(0);
	int number = -1;
	CHECK_RESULT(weft_chan_send(full, &number), 0);
	CHECK_RESULT(weft_signal_notify(full, SIGUSR1), 0);
	CHECK_RESULT(weft_signal_notify(other, SIGUSR2), 0);
	send_signal(SIGUSR1);
	send_signal(SIGUSR2); /* delivered after the first, or together with it */
	do
		send_signal(SIGUSR2); /* until we are there to receive it */
	while (weft_chan_recv_until(other, &number, weft_after(WEFT_MS(10))) == -ETIMEDOUT);
	CHECK_EQ(number, SIGUSR2);
	CHECK_EQ(receive(full), -1);
	CHECK_EQ(weft_chan_len(full), 0);
	weft_signal_stop(full);
	weft_signal_stop(other);
	weft_chan_destroy(full);
	weft_chan_destroy(other);
}

static atomic_int handled;

static void handle(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

CO_TEST(what_was_there_comes_back)
{
	struct weft_chan *ch = new_chan(1);
	signal(SIGUSR1, handle);
	CHECK_RESULT(weft_signal_notify(ch, SIGUSR1), 0);
	send_signal(SIGUSR1);
	CHECK_EQ(receive(ch), SIGUSR1);
	CHECK_EQ(atomic_load(&handled), 0);
	weft_signal_stop(ch);
	send_signal(SIGUSR1);
	EVENTUALLY(atomic_load(&handled) == 1);
	CHECK_RESULT(weft_signal_ignore(SIGUSR1), 0);
	send_signal(SIGUSR1);
	CHECK(handler_of(SIGUSR1) == SIG_IGN);
	CHECK_RESULT(weft_signal_reset(SIGUSR1), 0);
	CHECK(handler_of(SIGUSR1) == handle);
	CHECK_EQ(atomic_load(&handled), 1);
	weft_chan_destroy(ch);
}

static int ask_and_forget(void *arg)
{
	return weft_signal_notify(arg, SIGUSR1);
}

TEST(it_ends_with_the_runtime)
{
	struct weft_chan *ch = new_chan(1);
	CHECK_RESULT(weft_signal_notify(ch, SIGUSR1), -EINVAL);
	CHECK_RESULT(weft_run(NULL, ask_and_forget, ch), 0);
	CHECK(handler_of(SIGUSR1) == SIG_DFL);
	weft_chan_destroy(ch);
}

CO_TEST(bad_ones_are_refused)
{
	struct weft_chan *ch = new_chan(1), *wide;
	CHECK_RESULT(weft_chan_create(&wide, 8, 1), 0);
	CHECK_RESULT(weft_signal_notify(wide, SIGUSR1), -EINVAL);
	CHECK_RESULT(weft_signal_notify(NULL, SIGUSR1), -EINVAL);
	CHECK_RESULT(weft_signal_notify(ch, SIGKILL), -EINVAL);
	CHECK_RESULT(weft_signal_notify(ch, SIGSEGV), -EINVAL);
	CHECK_RESULT(weft_signal_notify(ch, 0), -EINVAL);
	CHECK_RESULT(weft_signal_notify(ch, 1000), -EINVAL);
	CHECK_RESULT(weft_signal_reset(-1), -EINVAL);
	CHECK_RESULT(weft_signal_ignore(SIGKILL), -EINVAL);
	weft_chan_destroy(ch);
	weft_chan_destroy(wide);
}

/* Somebody who waits for a signal may go on. */
static int wait_for_signal(void *arg)
{
	struct weft_chan *ch = new_chan(1);
	CHECK_RESULT(weft_signal_notify(ch, SIGUSR1), 0);
	(void)arg;
	pid_t self = getpid(), pid = fork();
	if (pid == 0) {
		usleep(150000);
		_exit(kill(self, SIGUSR1) != 0);
	}
	CHECK_EQ(receive(ch), SIGUSR1);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	weft_signal_stop(ch);
	weft_chan_destroy(ch);
	return 0;
}

TEST(a_signal_is_no_deadlock)
{
	CHECK_RESULT(weft_run(NULL, wait_for_signal, NULL), 0);
}

/* ---- dumps ----------------------------------------------------------------------------------------------------------- */

static int sleep_named(void *arg)
{
	weft_set_name("sleeper");
	(void)arg;
	return weft_sleep(WEFT_SEC(1000));
}

/* The dump has come, or (false) the other end is closed. */
static bool await_dump(int errors)
{
	static char text[1 << 16];
	size_t n = 0;
	memset(text, 0, sizeof text);
	while (!strstr(text, "\"sleeper\" parked for sleep")) {
		ssize_t got = read(errors, text + n, sizeof text - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
	}
	return true;
}

static int ask_thyself(void *arg)
{
	struct weft_co *co = spawn_co(NULL, sleep_named, NULL);
	(void)arg;
	EVENTUALLY(stats_now().timers > 0);
	send_signal(SIGQUIT);
	CHECK_RESULT(weft_sleep(WEFT_SEC(1000)), -ECANCELED);
	return join_co(co);
}

static void use_default(void) {}

/* A program in a process of its own, whose standard error is read here. */
static pid_t start_asking(void (*prepare)(void), int *errors)
{
	int fds[2];
	CHECK_EQ(pipe(fds), 0);
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		signal(SIGQUIT, SIG_DFL);
		prepare();
		_exit(weft_run(NULL, ask_thyself, NULL));
	}
	close(fds[1]);
	*errors = fds[0];
	return pid;
}

TEST(sigquit_has_a_dump_written_and_goes_on)
{
	int errors;
	pid_t pid = start_asking(use_default, &errors);
	CHECK(await_dump(errors));
	CHECK_EQ(kill(pid, SIGKILL), 0);
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(errors);
}

static void end_then(void) { setenv("WEFT_DUMP_ENDS", "1", 1); }

TEST(or_ends)
{
	int errors, status;
	pid_t pid = start_asking(end_then, &errors);
	CHECK(await_dump(errors));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
	close(errors);
}

static void quit_of_its_own(int number)
{
	(void)number;
	_exit(7);
}

static void handle_quit(void) { signal(SIGQUIT, quit_of_its_own); }

TEST(not_over_a_handler_of_the_program)
{
	int errors, status;
	pid_t pid = start_asking(handle_quit, &errors);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	close(errors);
}

static void switch_off(void) { setenv("WEFT_DUMP_SIGNAL", "off", 1); }

TEST(it_can_be_switched_off)
{
	int errors, status;
	pid_t pid = start_asking(switch_off, &errors);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
	close(errors);
}

/* ---- forks ----------------------------------------------------------------------------------------------------------- */

static void check_child(pid_t pid, bool aborted)
{
	int status;
	CHECK_GE(pid, 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	if (aborted)
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

CO_TEST(a_fork_may_exec)
{
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	check_child(pid, false);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_one(void) { CHECK_RESULT(weft_go(nothing, NULL), 0); }
static void sleep_once(void) { CHECK_RESULT(weft_sleep(1000), 0); }
static void start_again(void) { CHECK_RESULT(weft_start(NULL), 0); }
static void return_from_it(void) {}

static int fork_and(void *call)
{
	pid_t pid = fork();
	if (pid == 0) {
		(*(void (**)(void))call)();
		return 0; /* into the runtime */
	}
	check_child(pid, true);
	return 0;
}

static void (*const calls[])(void) = {spawn_one, sleep_once, start_again, return_from_it};

static void fork_and_call(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		join_co(spawn_co(NULL, fork_and, (void *)(uintptr_t)&calls[i]));
}

CO_TEST(and_nothing_else)
{
	static char text[1 << 14];
	signal(SIGABRT, SIG_DFL);
	capture(STDERR_FILENO, fork_and_call, NULL, text, sizeof text);
	CHECK_EQ(occurrences(text, "weft: this process was forked from one whose runtime runs"), 4);
}

TEST(a_fork_before_the_start_is_free)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(weft_run(NULL, nothing, NULL));
	check_child(pid, false);
	CHECK_RESULT(weft_run(NULL, nothing, NULL), 0);
	if ((pid = fork()) == 0) /* nor after the end */
		_exit(weft_run(NULL, nothing, NULL));
	check_child(pid, false);
}
