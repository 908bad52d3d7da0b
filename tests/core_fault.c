/* Faults: a stack that runs out is named, and every other fault goes where it would have gone without weft. */
#include <alloca.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_util.h"
#include "frames.h"
#include "san.h"
#include "stack.h"

/* What a process of its own did, and wrote to standard error. */
struct end {
	int status;
	char text[1 << 14];
};

static void run_child(struct end *end, void (*fn)(void))
{
	FILE *errors = tmpfile();
	CHECK(errors != NULL);
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		dup2(fileno(errors), STDERR_FILENO);
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &end->status, 0), pid);
	rewind(errors);
	end->text[fread(end->text, 1, sizeof end->text - 1, errors)] = '\0';
	fclose(errors);
}

static bool exited_with(const struct end *end, int status)
{
	return WIFEXITED(end->status) && WEXITSTATUS(end->status) == status;
}

static bool killed_by(const struct end *end, int number)
{
	return WIFSIGNALED(end->status) && WTERMSIG(end->status) == number;
}

#define CHECK_END(end, what)                                                                       \
	((what) ? (void)0 : test_fail(__FILE__, __LINE__, "%s: status %#x, \"%s\"", #what, (end)->status, (end)->text))

/* A sanitizer has a handler of its own, which reports and exits. */
static void need_default_action(void)
{
#if defined(WF_ASAN) || defined(WF_TSAN)
	SKIP("a sanitizer handles faults");
#endif
}

/* ---- stacks that run out --------------------------------------------------------------------------------------------- */

static volatile long frames_left = 1L << 40;

static __attribute__((noinline)) int recurse(volatile char *above)
{
	volatile char frame[256];
	frame[0] = *above;
	return frames_left-- > 0 ? recurse(frame) + frame[0] : 0;
}

static int overflow(void *arg)
{
	char start = 0;
	(void)arg;
	return recurse(&start);
}

/* Down to a little above the low end, in small frames, then over it in one big step that touches nothing on the way. */
static __attribute__((noinline)) int descend(uintptr_t low, size_t step)
{
	volatile char frame[64];
	frame[0] = 0;
	if ((uintptr_t)frame > low + 2048)
		return descend(low, step) + frame[0];
	volatile char *big = alloca(step);
	big[0] = 1;
	return big[0];
}

static size_t step_size;

static int overflow_in_one_step(void *arg)
{
	void *low, *high;
	CHECK_RESULT(weft_stack_bounds(&low, &high), 0);
	(void)arg;
	return descend((uintptr_t)low, step_size);
}

static weft_fn *culprit;
static const char *culprit_name;
static size_t culprit_stack;

static int make_culprit(void *arg)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = culprit_name;
	attr.stack_size = culprit_stack;
	weft_yield();
	join_co(spawn_co(&attr, culprit, arg));
	return 0;
}

static void run_culprit(void) { CHECK_RESULT(weft_run(NULL, make_culprit, NULL), 0); }

static void check_report(const struct end *end)
{
	unsigned long long id = 0, at = 0, low = 0, high = 0;
	CHECK_END(end, exited_with(end, WEFT_STATUS_STACK_OVERFLOW));
	CHECK_EQ(occurrences(end->text, "weft: stack overflow in coroutine "), 1);
	CHECK_EQ(sscanf(strstr(end->text, "coroutine "), "coroutine %llu", &id), 1);
	CHECK_GT(id, 0);
	CHECK_END(end, !culprit_name || strstr(end->text, "\"deep one\"") != NULL);
	CHECK_EQ(sscanf(strstr(end->text, "fault at "), "fault at %llx, stack [%llx, %llx)", &at, &low, &high), 3);
	CHECK_LT(at, low);
	CHECK_GE(at, low - WF_STACK_GUARD);
	CHECK_LT(low, high);
	CHECK_END(end, !tells_frames() || occurrences(end->text, "[0x") > 4); /* the call chain */
}

TEST(recursion_is_reported)
{
	struct end end;
	culprit = overflow;
	culprit_name = "deep one";
	run_child(&end, run_culprit);
	check_report(&end);
	culprit_name = NULL;
	run_child(&end, run_culprit);
	check_report(&end);
}

TEST(every_class_is_guarded)
{
	struct end end;
	culprit = overflow;
	culprit_name = "deep one";
	for (culprit_stack = 1; culprit_stack < 8 << 20; culprit_stack *= 4) {
		run_child(&end, run_culprit);
		check_report(&end);
	}
}

/* Foreign code may have frames of tens of KiB and touch them at the far end first. */
TEST(big_steps_are_reported)
{
	struct end end;
	culprit = overflow_in_one_step;
	culprit_name = "deep one";
	for (step_size = 4096; step_size <= WF_STACK_GUARD; step_size *= 2) {
		run_child(&end, run_culprit);
		check_report(&end);
	}
}

static void run_unwatched(void)
{
	struct weft_config config;
	weft_config_init(&config);
	config.watch_stack_overflow = false;
	CHECK_RESULT(weft_run(&config, make_culprit, NULL), 0);
}

TEST(nothing_is_reported_if_not_asked_for)
{
	struct end end;
	need_default_action();
	culprit = overflow;
	culprit_name = "deep one";
	run_child(&end, run_unwatched);
	CHECK_END(&end, killed_by(&end, SIGSEGV));
	CHECK_EQ(occurrences(end.text, "stack overflow"), 0);
}

/* ---- other faults ---------------------------------------------------------------------------------------------------- */

static char *forbidden; /* a page that nobody may touch */

static void forbid(void)
{
	forbidden = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(forbidden != MAP_FAILED);
	forbidden += 1234;
}

static int touch(void *arg)
{
	(void)arg;
	*(volatile char *)forbidden = 1;
	return 0;
}

static int raise_segv(void *arg)
{
	(void)arg;
	kill(getpid(), SIGSEGV);
	CHECK_RESULT(weft_sleep(WEFT_MS(10)), 0);
	return 0;
}

static int raise_bus(void *arg)
{
	char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(tmpfile()), 0); /* of an empty file */
	(void)arg;
	CHECK(page != MAP_FAILED);
	return *(volatile char *)page;
}

static void run_touch(void)
{
	culprit = touch;
	run_culprit();
}

static void run_raise_segv(void)
{
	culprit = raise_segv;
	run_culprit();
}

static void run_raise_bus(void)
{
	culprit = raise_bus;
	run_culprit();
}

static void touch_after(void)
{
	culprit = raise_segv;
	signal(SIGSEGV, SIG_IGN);
	run_culprit();
	signal(SIGSEGV, SIG_DFL);
	touch(NULL);
}

TEST(default_is_to_be_killed)
{
	struct end end;
	need_default_action();
	forbid();
	run_child(&end, run_touch);
	CHECK_END(&end, killed_by(&end, SIGSEGV));
	run_child(&end, run_raise_segv); /* sent by kill(2), so that no instruction faults again */
	CHECK_END(&end, killed_by(&end, SIGSEGV));
	run_child(&end, run_raise_bus);
	CHECK_END(&end, killed_by(&end, SIGBUS));
	run_child(&end, touch_after);
	CHECK_END(&end, killed_by(&end, SIGSEGV));
}

/* Still watched after one that was ignored. */
static int raise_and_overflow(void *arg) { return raise_segv(arg) + overflow(arg); }

static void ignore_and_raise(void)
{
	signal(SIGSEGV, SIG_IGN);
	culprit = raise_and_overflow;
	culprit_name = "deep one";
	run_culprit();
}

TEST(ignored_is_ignored)
{
	struct end end;
	run_child(&end, ignore_and_raise);
	check_report(&end);
}

/* Statuses with which the handlers say that they saw what they should. */
enum { FOUND_ADDRESS = 42, FOUND_NUMBER = 43, FOUND_WRONG = 44 };

static void with_address(int number, siginfo_t *info, void *context)
{
	_exit(number == SIGSEGV && info->si_addr == forbidden && context ? FOUND_ADDRESS : FOUND_WRONG);
}

static void with_number(int number) { _exit(number == SIGSEGV ? FOUND_NUMBER : FOUND_WRONG); }

static void handle_with_address(void)
{
	struct sigaction action = {.sa_sigaction = with_address, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
}

static void handle_with_number(void)
{
	struct sigaction action = {.sa_handler = with_number};
	CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
}

static void address_before(void)
{
	handle_with_address();
	run_touch();
}

static void number_before(void)
{
	handle_with_number();
	run_touch();
}

static int handle_and_touch(void *arg)
{
	handle_with_address();
	return touch(arg);
}

static void address_during(void)
{
	culprit = handle_and_touch;
	run_culprit();
}

static int do_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void address_after(void)
{
	struct sigaction now;
	handle_with_address();
	culprit = do_nothing;
	run_culprit();
	CHECK_EQ(sigaction(SIGSEGV, NULL, &now), 0);
	CHECK(now.sa_sigaction == with_address);
	touch(NULL);
}

/* One that was installed over weft's, and calls it for what it does not know: it stays when the runtime is gone. */
static struct sigaction below;

static void over_weft(int number, siginfo_t *info, void *context)
{
	if (info->si_addr == forbidden)
		_exit(FOUND_ADDRESS);
	below.sa_sigaction(number, info, context);
}

static int install_over_weft(void *arg)
{
	struct sigaction action = {.sa_sigaction = over_weft, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
	(void)arg;
	CHECK_EQ(sigaction(SIGSEGV, &action, &below), 0);
	return 0;
}

static void over_touch(void)
{
	culprit = install_over_weft;
	run_culprit();
	touch(NULL);
}

static void over_twice(void)
{
	culprit = install_over_weft;
	run_culprit();
	culprit = overflow;
	culprit_name = "deep one";
	run_culprit();
}

static void over_nobody(void)
{
	culprit = install_over_weft;
	run_culprit();
	culprit = do_nothing;
	run_culprit();
	*(volatile char *)(forbidden + 1) = 1;
}

static void check_child(void (*fn)(void), int status)
{
	struct end end;
	run_child(&end, fn);
	CHECK_END(&end, exited_with(&end, status));
}

TEST(handlers_of_the_program_are_called)
{
	forbid();
	check_child(address_before, FOUND_ADDRESS);
	check_child(number_before, FOUND_NUMBER);
	check_child(address_during, FOUND_ADDRESS);
	check_child(address_after, FOUND_ADDRESS);
	check_child(over_touch, FOUND_ADDRESS);
}

TEST(a_handler_over_that_of_weft)
{
	struct end end;
	forbid();
	run_child(&end, over_twice);
	check_report(&end);
	need_default_action();
	culprit_name = NULL;
	run_child(&end, over_nobody);
	CHECK_END(&end, killed_by(&end, SIGSEGV));
}
