/* The example prefork, from outside. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

/* The next line on standard error, without its end. In static memory. */
static const char *hear_line(const struct server *s)
{
	static char line[256];
	size_t n = 0;
	while (n < sizeof line - 1 && read(s->error_fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	return line;
}

static pid_t hear_start(const struct server *s)
{
	int pid;
	const char *line = hear_line(s);
	if (sscanf(line, "process %d serves", &pid) != 1)
		test_fail(__FILE__, __LINE__, "not the start of a process: %s", line);
	return pid;
}

/* Asks on a connection; which process answered. */
static pid_t ask(int fd)
{
	char got[64];
	size_t n = 0;
	int pid, end = 0;
	CHECK(TELL(fd, "hello\n"));
	do {
		CHECK_EQ(recv(fd, got + n, 1, 0), 1);
	} while (got[n++] != '\n');
	got[n] = '\0';
	CHECK(sscanf(got, "%d hello\n%n", &pid, &end) == 1 && end == (int)n);
	return pid;
}

static pid_t ask_once(const struct server *s)
{
	int fd = dial(s);
	pid_t pid = ask(fd);
	close(fd);
	return pid;
}

static void await_end(pid_t pid)
{
	while (kill(pid, 0) == 0)
		usleep(1000);
	CHECK_EQ(errno, ESRCH);
}

/* Clients that connect, ask once, and connect again. None of them is refused, and none goes without an answer. */
TEST(nobody_notices_that_processes_are_replaced)
{
	enum { LOADS = 3, ROUNDS = 4 };
	struct server s;
	pid_t loads[LOADS], pids[2];
	int status;
	volatile int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	server_start(&s, "");
	pids[0] = hear_start(&s);
	pids[1] = hear_start(&s);
	for (int i = 0; i < LOADS; i++)
		if ((loads[i] = fork()) == 0) {
			for (; !shared[0]; shared[1 + i]++)
				ask_once(&s);
			_exit(0);
		}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < LOADS; i++)
			for (int seen = shared[1 + i]; shared[1 + i] - seen < 20; usleep(1000))
				CHECK_EQ(waitpid(loads[i], &status, WNOHANG), 0);
		kill(s.pid, SIGHUP);
		for (int i = 0; i < 2; i++) {
			pid_t fresh = hear_start(&s);
			CHECK_NE(fresh, pids[i]);
			await_end(pids[i]);
			pids[i] = fresh;
		}
		CHECK_STR(hear_line(&s), "replaced");
	}
	shared[0] = 1;
	for (int i = 0; i < LOADS; i++) {
		CHECK_EQ(waitpid(loads[i], &status, 0), loads[i]);
		CHECK_EQ(status, 0);
	}
	pid_t pid = ask_once(&s);
	CHECK(pid == pids[0] || pid == pids[1]);
	server_stop(&s);
}

/* Connections that have been answered end in order; one that has not asked yet is answered first. */
TEST(owed_answers_are_given)
{
	struct server s;
	char byte;
	server_start(&s, "--processes 1");
	pid_t old = hear_start(&s);
	int idle = dial(&s), busy = dial(&s);
	CHECK_EQ(ask(idle), old);
	CHECK(TELL(busy, "hel"));
	CHECK_EQ(ask_once(&s), old); /* both have been accepted before this one */
	kill(s.pid, SIGHUP);
	hear_start(&s);
	CHECK_EQ(recv(idle, &byte, 1, 0), 0);
	CHECK(TELL(busy, "lo\n"));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(recv(busy, &byte, 1, 0), 1);
	close(idle);
	close(busy);
	await_end(old);
	server_stop(&s);
}

TEST(killed_ones_are_replaced)
{
	struct server s;
	pid_t pids[2];
	char expected[128];
	int pid, pause_ms, paused = 0;
	server_start(&s, "");
	pids[0] = hear_start(&s);
	pids[1] = hear_start(&s);
	for (int i = 0; i < 4; i++) {
		kill(pids[0], SIGKILL);
		const char *line = hear_line(&s);
		snprintf(expected, sizeof expected, "process %d was killed by signal 9", (int)pids[0]);
		CHECK_EQ(strncmp(line, expected, strlen(expected)), 0);
		CHECK_EQ(sscanf(line, "process %d was killed by signal 9; another one in %d ms", &pid, &pause_ms), 2);
		paused += pause_ms > 0; /* they come to less than a second, unless the machine is slow */
		CHECK(pause_ms == 0 || pause_ms % 100 == 0);
		pids[0] = hear_start(&s);
		CHECK_NE(pids[0], pid);
	}
	CHECK_GT(paused, 0);
	pid = ask_once(&s);
	CHECK(pid == pids[0] || pid == pids[1]);
	server_stop(&s);
}

TEST(more_and_fewer)
{
	struct server s;
	server_start(&s, "--processes 1 --processors 2");
	pid_t first = hear_start(&s);
	kill(s.pid, SIGTTIN);
	pid_t second = hear_start(&s);
	kill(s.pid, SIGTTOU);
	await_end(second);
	kill(s.pid, SIGTTOU); /* the last one stays */
	CHECK_EQ(ask_once(&s), first);
	server_stop(&s);
}

TEST(children_end_with_their_parent)
{
	struct server s;
	int status;
	const bool inherits = prctl(PR_SET_CHILD_SUBREAPER, 1) == 0; /* emulators don't know it */
	server_start(&s, "");
	pid_t pids[2] = { hear_start(&s), hear_start(&s) };
	CHECK_GT(ask_once(&s), 0);
	kill(s.pid, SIGKILL);
	CHECK_EQ(server_wait(&s), -SIGKILL); /* it waits for the end of standard error, which they share */
	for (int i = 0; i < 2 && inherits; i++) {
		CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
		CHECK_EQ(status, 0);
	}
	CHECK(!can_dial(&s));
}
