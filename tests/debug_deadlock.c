/* Deadlocks: found when nothing can happen any more, and only then; cycles are found also while others go on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_util.h"
#include "os.h"

static char text[1 << 16];

/* A thread that nobody knows might wake somebody: TSan has one, and so have emulators. */
static void need_no_other_thread(void)
{
	if (wf_os_thread_count() != 1)
		SKIP("somebody else's thread runs in this process");
}

static struct weft_co *spawn_named(const char *name, weft_fn *fn, void *arg)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = name;
	return spawn_co(&attr, fn, arg);
}

/* ---- two channels ---------------------------------------------------------------------------------------------------- */

static struct weft_chan *chans[2];

static int receive_then_send(void *arg)
{
	int from = *(int *)arg, value = 0;
	CHECK_RESULT(weft_chan_recv(chans[from], &value), 1);
	return weft_chan_send(chans[1 - from], &value);
}

static int two_channels(void *arg)
{
	static int from[] = {0, 1};
	(void)arg;
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof(int), 0), 0);
	CHECK_RESULT(weft_chan_create(&chans[1], sizeof(int), 0), 0);
	join_co(spawn_named("left", receive_then_send, &from[0]));
	return receive_then_send(&from[1]);
}

static void run(weft_fn *fn) { CHECK_RESULT(weft_run(NULL, fn, NULL), 0); }

/* Without /proc there is no verdict; then these would hang. */
static void run_to_deadlock(weft_fn *fn)
{
	need_no_other_thread();
	run(fn);
	test_fail(__FILE__, __LINE__, "went on");
}

TEST_EXITS(each_receives_before_it_sends, WEFT_STATUS_DEADLOCK, "weft: deadlock: 2 coroutines wait")
{
	run_to_deadlock(two_channels);
}

TEST_EXITS(everybody_is_described, WEFT_STATUS_DEADLOCK, "\"left\" parked for receive at ") { run_to_deadlock(two_channels); }

/* ---- mutexes, joins, wait groups ------------------------------------------------------------------------------------- */

static struct weft_mutex mutexes[3];
static atomic_int locked;
static int members = 2;

/* Has its own, and when all have theirs, wants the next one's. */
static int lock_two(void *arg)
{
	int mine = *(int *)arg;
	weft_mutex_lock(&mutexes[mine]);
	atomic_fetch_add(&locked, 1);
	while (atomic_load(&locked) < members)
		weft_yield();
	weft_mutex_lock(&mutexes[(mine + 1) % members]);
	weft_mutex_unlock(&mutexes[(mine + 1) % members]);
	if (mine != 0) /* somebody else did that */
		weft_mutex_unlock(&mutexes[mine]);
	return 0;
}

static int mutex_cycle(void *arg)
{
	static int index[] = {0, 1};
	(void)arg;
	struct weft_co *a = spawn_named("a", lock_two, &index[0]), *b = spawn_named("b", lock_two, &index[1]);
	return join_co(a) + join_co(b);
}

TEST_EXITS(two_lock_two_mutexes, WEFT_STATUS_DEADLOCK, "waits for the mutex of coroutine") { run_to_deadlock(mutex_cycle); }

static int lock_twice(void *arg)
{
	(void)arg;
	weft_mutex_lock(&mutexes[0]);
	weft_mutex_lock(&mutexes[0]);
	return 0;
}

TEST_EXITS(one_locks_twice, WEFT_STATUS_DEADLOCK, "cycle: coroutine 1 waits for the mutex of coroutine 1\n")
{
	run_to_deadlock(lock_twice);
}

static struct weft_co *pair[2];
static atomic_bool both;

static int join_in_turn(void *arg)
{
	while (!atomic_load(&both))
		weft_yield();
	return weft_join(pair[1 - *(int *)arg], NULL);
}

static int join_cycle_and_wait(void *arg)
{
	static int index[] = {0, 1};
	(void)arg;
	pair[0] = spawn_named("first", join_in_turn, &index[0]);
	pair[1] = spawn_named("second", join_in_turn, &index[1]);
	atomic_store(&both, true);
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof(int), 0), 0);
	return weft_chan_recv(chans[0], NULL);
}

TEST_EXITS(two_join_each_other, WEFT_STATUS_DEADLOCK, "waits for the join of coroutine")
{
	run_to_deadlock(join_cycle_and_wait);
}

static int wait_for_nobody(void *arg)
{
	static struct weft_waitgroup group;
	(void)arg;
	weft_waitgroup_add(&group, 1);
	return weft_waitgroup_wait(&group);
}

TEST_EXITS(a_wait_group_is_never_done, WEFT_STATUS_DEADLOCK, "parked for waitgroup") { run_to_deadlock(wait_for_nobody); }

static int end_without_others(void *arg)
{
	(void)arg;
	CHECK_RESULT(weft_go(wait_for_nobody, NULL), 0);
	return 0;
}

TEST_EXITS(main_has_ended, WEFT_STATUS_DEADLOCK, "deadlock: 1 coroutines wait") { run_to_deadlock(end_without_others); }

/* ---- what may still happen ------------------------------------------------------------------------------------------- */

static int timer_is_set(void *arg)
{
	int value;
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof value, 0), 0);
	CHECK_RESULT(weft_chan_recv_until(chans[0], &value, weft_after(WEFT_MS(100))), -ETIMEDOUT);
	(void)arg;
	return 0;
}

TEST(a_deadline_is_an_event) { run(timer_is_set); }

static int read_socket(void *arg)
{
	char byte;
	(void)arg;
	int *fds = arg;
	CHECK_RESULT(weft_adopt(fds[0]), 0);
	CHECK_EQ(weft_read(fds[0], &byte, 1), 1);
	return weft_close(fds[0]);
}

static int socket_pair[2];

static int wait_for_socket(void *arg)
{
	(void)arg;
	return read_socket(socket_pair);
}

/* Another process, which nobody here can see. */
TEST(a_descriptor_is_an_event)
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_pair), 0);
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		usleep(150000);
		_exit(write(socket_pair[1], "x", 1) != 1);
	}
	run(wait_for_socket);
}

static int selects_descriptor(void *arg)
{
	struct weft_case cases[] = {
		{.op = WEFT_OP_FD, .fd = socket_pair[0], .dirs = WEFT_READ},
		{.op = WEFT_OP_RECV, .chan = chans[0]},
	};
	CHECK_RESULT(weft_select(cases, 2, WEFT_NEVER), 0);
	(void)arg;
	return 0;
}

TEST(a_descriptor_in_a_select_is_an_event)
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_pair), 0);
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		usleep(150000);
		_exit(write(socket_pair[1], "x", 1) != 1);
	}
	run(selects_descriptor);
}

static void *send_later(void *arg)
{
	int value = 1;
	usleep(150000);
	CHECK_RESULT(weft_chan_send(chans[0], &value), 0);
	return arg;
}

static int receive_from_thread(void *arg)
{
	int value;
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof value, 0), 0);
	pthread_t thread = start_thread(send_later, NULL);
	CHECK_RESULT(weft_chan_recv(chans[0], &value), 1);
	join_thread(thread);
	(void)arg;
	return 0;
}

TEST(a_thread_is_an_event) { run(receive_from_thread); }

static int sleep_in_helper(void *arg)
{
	(void)arg;
	usleep(150000);
	return 0;
}

static int offload(void *arg)
{
	int result;
	(void)arg;
	return weft_offload(sleep_in_helper, NULL, &result);
}

TEST(a_helper_is_an_event) { run(offload); }

/* ---- what is done about it ------------------------------------------------------------------------------------------- */

static void join_what_never_ends(void)
{
	struct weft_co *co;
	CHECK_RESULT(weft_start(NULL), 0);
	CHECK_RESULT(weft_spawn(&co, NULL, wait_for_nobody, NULL), 0);
	usleep(100000); /* not yet: this thread could do something */
	CHECK_EQ(write(STDERR_FILENO, "now\n", 4), 4);
	CHECK_RESULT(weft_join(co, NULL), 0);
}

/* In a program with a main loop of its own it is only said, once the program waits as well. */
TEST(embedded_it_is_reported)
{
	int fds[2];
	size_t n = 0;
	need_no_other_thread();
	CHECK_EQ(pipe(fds), 0);
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		join_what_never_ends();
		_exit(0);
	}
	while (!strstr(text, "parked for waitgroup")) { /* behind the seed, in a stress build */
		ssize_t got = read(fds[0], text + n, sizeof text - 1 - n);
		CHECK_GT(got, 0);
		n += (size_t)got;
	}
	CHECK_EQ(kill(pid, SIGKILL), 0);
	CHECK(strstr(text, "now\nweft: deadlock: 1 coroutines wait") != NULL);
}

static void run_for_a_while(const char *on_deadlock, int *status)
{
	pid_t pid = fork();
	CHECK_GE(pid, 0);
	if (pid == 0) {
		setenv("WEFT_DEADLOCK", on_deadlock, 1);
		alarm(1);
		run(wait_for_nobody);
	}
	CHECK_EQ(waitpid(pid, status, 0), pid);
}

TEST(it_can_be_switched_off)
{
	int status;
	need_no_other_thread();
	run_for_a_while("exit", &status);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == WEFT_STATUS_DEADLOCK);
	run_for_a_while("off", &status);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

/* ---- cycles ---------------------------------------------------------------------------------------------------------- */

static int accept_one(void *listener)
{
	int fd = weft_accept(*(int *)listener, NULL, NULL);
	return fd < 0 ? fd : weft_close(fd);
}

static int cycles_found;

static void find_cycles(void *arg)
{
	(void)arg;
	cycles_found = weft_find_cycles(STDOUT_FILENO);
}

static void await_cycles(int n)
{
	do {
		rest();
		capture(STDOUT_FILENO, find_cycles, NULL, text, sizeof text);
	} while (cycles_found != n);
	CHECK_EQ(occurrences(text, "cycle:"), n);
}

CO_TEST(cycles_are_found_while_a_listener_is_open)
{
	static int index[] = {0, 1, 2};
	char line[256];
	struct weft_co *cos[3];
	int listener = weft_listen("127.0.0.1:0", 0);
	CHECK_OK(listener);
	struct weft_co *server = spawn_named("server", accept_one, &listener);
	members = 3;
	CHECK_EQ(weft_find_cycles(-1), 0);
	for (int i = 0; i < 3; i++)
		cos[i] = spawn_named("philosopher", lock_two, &index[i]);
	await_cycles(1);
	snprintf(line, sizeof line,
		 "cycle: coroutine %llu waits for the mutex of coroutine %llu waits for the mutex of coroutine %llu "
		 "waits for the mutex of coroutine %llu\n",
		 (unsigned long long)weft_id(cos[0]), (unsigned long long)weft_id(cos[1]), (unsigned long long)weft_id(cos[2]),
		 (unsigned long long)weft_id(cos[0]));
	CHECK_STR(text, line);
	weft_mutex_unlock(&mutexes[0]); /* for the first, from outside */
	for (int i = 0; i < 3; i++)
		join_co(cos[i]);
	await_cycles(0);
	CHECK_RESULT(weft_cancel(server), 0);
	CHECK_RESULT(join_co(server), -ECANCELED);
	CHECK_RESULT(weft_close(listener), 0);
}

CO_TEST(joins_make_cycles_too)
{
	static int index[] = {0, 1};
	pair[0] = spawn_named("first", join_in_turn, &index[0]);
	pair[1] = spawn_named("second", join_in_turn, &index[1]);
	atomic_store(&both, true);
	await_cycles(1);
	CHECK_EQ(occurrences(text, "waits for the join of coroutine"), 2);
	CHECK_RESULT(weft_cancel(pair[0]), 0);
	EVENTUALLY(weft_find_cycles(-1) == 0);
	EVENTUALLY(stats_now().live == 1);
}

/* ---- who has a mutex ------------------------------------------------------------------------------------------------- */

static int lock_and_wait(void *arg)
{
	weft_mutex_lock(arg);
	int result = weft_chan_recv(chans[0], NULL);
	weft_mutex_unlock(arg);
	return result;
}

static int lock_and_unlock(void *arg)
{
	weft_mutex_lock(arg);
	weft_mutex_unlock(arg);
	return 0;
}

static void dump(void *arg)
{
	(void)arg;
	weft_dump(STDOUT_FILENO);
}

static void await_text(const char *what)
{
	do {
		rest();
		capture(STDOUT_FILENO, dump, NULL, text, sizeof text);
	} while (!strstr(text, what));
}

/* Also after it was handed over from one to the next. */
CO_TEST(the_owner_of_a_mutex_is_named)
{
	static struct weft_mutex mutex;
	char held[64];
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof(int), 0), 0);
	struct weft_co *first = spawn_named("first", lock_and_wait, &mutex);
	await_text("\"first\" parked for receive");
	struct weft_co *second = spawn_named("second", lock_and_wait, &mutex);
	await_text("\"second\" parked for mutex");
	struct weft_co *third = spawn_named("third", lock_and_unlock, &mutex);
	snprintf(held, sizeof held, "held by coroutine %llu,", (unsigned long long)weft_id(first));
	await_text("\"third\" parked for mutex");
	CHECK_EQ(occurrences(text, held), 2);
	int value = 1;
	CHECK_RESULT(weft_chan_send(chans[0], &value), 0);
	CHECK_RESULT(join_co(first), 1);
	snprintf(held, sizeof held, "held by coroutine %llu,", (unsigned long long)weft_id(second));
	await_text("\"second\" parked for receive");
	await_text("\"third\" parked for mutex");
	CHECK_EQ(occurrences(text, held), 1);
	CHECK_RESULT(weft_chan_close(chans[0]), 0);
	join_co(second);
	join_co(third);
	weft_mutex_lock(&mutex);
	weft_mutex_unlock(&mutex);
	weft_chan_destroy(chans[0]);
}
