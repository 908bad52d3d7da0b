/* examples/http as processes come and go: reload, --procs, sockets from systemd. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

enum { CHILDREN_MAX = 16, PATIENCE_MS = 20000, STEP_MS = 5 };

static void need_exec(void)
{
	if (strstr(HTTP_COMMAND, "qemu"))
		SKIP("an emulator can't start the program again");
}

static void pause_a_step(void) { usleep(STEP_MS * 1000); }

/* ---- processes ----------------------------------------------------------------------------------------------------- */

/* The parent of a process that has not ended; 0: there is none. */
static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], state;
	int parent;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	const char *behind = strrchr(text, ')');
	if (!behind || sscanf(behind, ") %c %d", &state, &parent) != 2 || state == 'Z')
		return 0;
	return parent;
}

static size_t children_of(pid_t parent, pid_t children[CHILDREN_MAX])
{
	size_t n = 0;
	DIR *dir = opendir("/proc");
	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir)) != NULL && n < CHILDREN_MAX;) {
		pid_t pid = isdigit((unsigned char)e->d_name[0]) ? (pid_t)atoi(e->d_name) : 0;
		if (pid > 0 && parent_of(pid) == parent)
			children[n++] = pid;
	}
	closedir(dir);
	return n;
}

/* Until there are n children, and none of the old ones. */
static void await_children(pid_t parent, const pid_t *old, size_t old_count, pid_t *children, size_t n)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
		size_t kept = 0, count = children_of(parent, children);
		for (size_t i = 0; i < count; i++)
			for (size_t j = 0; j < old_count; j++)
				kept += children[i] == old[j];
		if (count == n && kept == 0)
			return;
		pause_a_step();
	}
	test_fail(__FILE__, __LINE__, "there are not %zu new processes", n);
}

/* What a process leaves behind when its parent ends becomes ours. */
static void adopt_orphans(void) { CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); }

static int status_of(pid_t pid)
{
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- a client that minds ------------------------------------------------------------------------------------------- */

static const char get[] = "GET /bytes/10 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/* One request on a connection of its own: whether all of the response came. */
static bool ask_once(const struct server *s)
{
	char heard[1024];
	size_t n = 0;
	ssize_t r = -1;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && tell(fd, get, sizeof(get) - 1))
		while (n < sizeof(heard) - 1 && (r = recv(fd, heard + n, sizeof(heard) - 1 - n, 0)) > 0)
			n += (size_t)r;
	close(fd);
	heard[n] = '\0';
	return r == 0 && strncmp(heard, "HTTP/1.1 200 ", 13) == 0 && n > 10 && strcmp(heard + n - 10, "abcdefghij") == 0;
}

struct load {
	pid_t pid;
	int ask, told; /* pipes: a byte asks for a report, which is two numbers */
};

struct report {
	long done, failed;
};

_Noreturn static void keep_asking(const struct server *s, int ask, int told)
{
	struct report report = {0, 0};
	char byte;
	fcntl(ask, F_SETFL, O_NONBLOCK);
	for (;;) {
		report.failed += !ask_once(s);
		report.done++;
		ssize_t n = read(ask, &byte, 1);
		if (n == 0 || (n == 1 && write(told, &report, sizeof(report)) != (ssize_t)sizeof(report)))
			_exit(0);
	}
}

static struct load start_load(const struct server *s)
{
	int ask[2], told[2];
	struct load load;
	CHECK_EQ(pipe(ask), 0);
	CHECK_EQ(pipe(told), 0);
	load.pid = fork();
	CHECK_GE(load.pid, 0);
	if (load.pid == 0) {
		close(ask[1]);
		close(told[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		keep_asking(s, ask[0], told[1]);
	}
	close(ask[0]);
	close(told[1]);
	load.ask = ask[1];
	load.told = told[0];
	return load;
}

/* So far. */
static struct report ask_load(const struct load *load)
{
	struct report report;
	CHECK_EQ(write(load->ask, "", 1), 1);
	CHECK_EQ(read(load->told, &report, sizeof(report)), (ssize_t)sizeof(report));
	return report;
}

/* Not one request of many was lost. */
static void end_load(struct load *load)
{
	struct report report = ask_load(load);
	while (report.done < 20)
		report = ask_load(load);
	close(load->ask);
	close(load->told);
	CHECK_EQ(status_of(load->pid), 0);
	CHECK_EQ(report.failed, 0);
}

/* ---- reload -------------------------------------------------------------------------------------------------------- */

/* The old process ends when its requests have been answered; somebody listens all the time. */
TEST(reload)
{
	struct server s;
	pid_t heir, mine[CHILDREN_MAX];
	need_exec();
	adopt_orphans();
	server_start(&s, "");
	struct load load = start_load(&s);
	int slow = dial(&s), idle = dial(&s);
	TELL(idle, "GET /bytes/4 HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(idle, 200, "abcd");
	TELL(slow, "GET /sleep/600 HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK_EQ(kill(s.pid, SIGHUP), 0);
	expect_end(idle);
	struct response r = hear(slow, false);
	CHECK_EQ(r.status, 200);
	CHECK(r.closes);
	expect_end(slow);
	CHECK_EQ(status_of(s.pid), 0);
	await_children(getpid(), NULL, 0, mine, 2);
	heir = mine[0] == load.pid ? mine[1] : mine[0];
	end_load(&load);
	CHECK(ask_once(&s));
	CHECK_EQ(kill(heir, SIGTERM), 0);
	CHECK_EQ(status_of(heir), 0);
	CHECK(!ask_once(&s));
}

/* The new process can't serve: the old one goes on. */
TEST(reload_that_fails)
{
	char dir[] = "/tmp/weft-reload-XXXXXX", options[128], complaint[512] = "";
	struct server s;
	size_t n = 0;
	need_exec();
	CHECK(mkdtemp(dir) != NULL);
	snprintf(options, sizeof(options), "--root %s", dir);
	server_start(&s, options);
	CHECK_EQ(rmdir(dir), 0);
	CHECK_EQ(kill(s.pid, SIGHUP), 0);
	while (!strstr(complaint, "this one goes on\n") && n < sizeof(complaint) - 1)
		n += (size_t)read(s.error_fd, complaint + n, 1);
	CHECK(ask_once(&s));
	server_stop(&s);
}

/* A path that somebody else listens on stays. */
TEST(reload_with_a_path)
{
	char path[] = "/tmp/weft-reload-XXXXXX", options[128];
	struct server s;
	pid_t children[CHILDREN_MAX];
	need_exec();
	adopt_orphans();
	CHECK(mkdtemp(path) != NULL);
	snprintf(options, sizeof(options), "--listen unix:%s/socket", path);
	server_start(&s, options);
	CHECK_EQ(kill(s.pid, SIGHUP), 0);
	CHECK_EQ(status_of(s.pid), 0);
	await_children(getpid(), NULL, 0, children, 1);
	pid_t heir = children[0];
	snprintf(options, sizeof(options), "%s/socket", path);
	int fd = dial_unix(options);
	TELL(fd, "GET /bytes/4 HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(fd, 200, "abcd");
	close(fd);
	CHECK_EQ(kill(heir, SIGTERM), 0);
	CHECK_EQ(status_of(heir), 0);
	unlink(options);
	rmdir(path);
}

/* ---- --procs ------------------------------------------------------------------------------------------------------- */

TEST(procs_are_replaced_by_and_by)
{
	enum { PROCS = 2, ROUNDS = 2 };
	struct server s;
	pid_t old[CHILDREN_MAX], new[CHILDREN_MAX];
	need_exec();
	server_start(&s, "--procs 2");
	await_children(s.pid, NULL, 0, old, PROCS);
	struct load load = start_load(&s);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_EQ(kill(s.pid, SIGHUP), 0);
		await_children(s.pid, old, PROCS, new, PROCS);
		memcpy(old, new, sizeof(old));
	}
	end_load(&load);
	server_stop(&s);
	CHECK_STR(s.error, "");
}

TEST(one_that_is_killed_is_replaced)
{
	struct server s;
	pid_t old[CHILDREN_MAX], new[CHILDREN_MAX];
	char complaint[64];
	need_exec();
	server_start(&s, "--procs 1");
	await_children(s.pid, NULL, 0, old, 1);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(kill(old[0], SIGKILL), 0);
		await_children(s.pid, old, 1, new, 1);
		CHECK(ask_once(&s)); /* it may still be starting; the listener is there */
		old[0] = new[0];
	}
	server_signal(&s);
	CHECK_EQ(server_wait(&s), 0);
	snprintf(complaint, sizeof(complaint), "wait status %#x", SIGKILL);
	CHECK(strstr(s.error, complaint) != NULL);
}

/* They end when the process that looks after them is gone, and answer what they have begun. */
TEST(nobody_looks_after_them)
{
	enum { PROCS = 2 };
	struct server s;
	pid_t children[CHILDREN_MAX];
	need_exec();
	adopt_orphans();
	server_start(&s, "--procs 2");
	await_children(s.pid, NULL, 0, children, PROCS);
	int fd = dial(&s);
	TELL(fd, "GET /bytes/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /sleep/300 HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(fd, 200, "a"); /* so the other one has been read as well */
	CHECK_EQ(kill(s.pid, SIGKILL), 0);
	expect(fd, 200, "slept\n");
	expect_end(fd);
	CHECK_EQ(status_of(s.pid), -SIGKILL);
	for (int i = 0; i < PROCS; i++)
		CHECK_EQ(status_of(children[i]), 0);
}

/* ---- systemd ------------------------------------------------------------------------------------------------------- */

TEST(socket_activation)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct server s;
	char first[128];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CHECK_EQ(listen(fd, 16), 0);
	CHECK_EQ(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	if (fd > 9)
		SKIP("the shell knows descriptors of one digit only");
	snprintf(first, sizeof(first), "exec 3<&%d; LISTEN_PID=$$ LISTEN_FDS=1; export LISTEN_PID LISTEN_FDS", fd);
	server_start_after(&s, first, "");
	CHECK_EQ(s.port, ntohs(addr.sin_port));
	CHECK(ask_once(&s));
	server_stop(&s);
}
