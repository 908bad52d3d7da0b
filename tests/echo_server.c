/* The example echo, from outside. */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#ifndef ECHO_COMMAND
#error "ECHO_COMMAND is how to run the example"
#endif

struct server {
	pid_t pid;
	FILE *out;
};

static struct server start(const char *args)
{
	struct server s;
	int fds[2];
	char command[1024];
	snprintf(command, sizeof command, "exec " ECHO_COMMAND " %s", args);
	CHECK_EQ(pipe(fds), 0);
	s.pid = fork();
	CHECK_GE(s.pid, 0);
	if (s.pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	s.out = fdopen(fds[0], "r");
	return s;
}

/* The address of the next "listening on ADDR" line. */
static void read_address(const struct server *s, char *addr, size_t size)
{
	static const char prefix[] = "listening on ";
	char line[256];
	CHECK(fgets(line, sizeof line, s->out) != NULL);
	CHECK_EQ(strncmp(line, prefix, sizeof prefix - 1), 0);
	line[strcspn(line, "\n")] = '\0';
	snprintf(addr, size, "%s", line + sizeof prefix - 1);
}

static int exit_status(const struct server *s)
{
	int status;
	char more;
	CHECK_EQ(waitpid(s->pid, &status, 0), s->pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(fread(&more, 1, 1, s->out), 0); /* it said no more than that */
	fclose(s->out);
	return WEXITSTATUS(status);
}

static int dial(const char *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool local = strncmp(addr, "unix:", 5) == 0;
	int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", addr + 5);
	in.sin_port = htons((uint16_t)atoi(strrchr(addr, ':') + 1));
	CHECK_EQ(connect(fd, local ? (struct sockaddr *)&un : (struct sockaddr *)&in, local ? sizeof un : sizeof in), 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 20, 0 }, sizeof(struct timeval)), 0);
	return fd;
}

static void exchange(int fd, const char *text)
{
	char got[64];
	size_t n = strlen(text), at = 0;
	CHECK_EQ(send(fd, text, n, 0), (ssize_t)n);
	while (at < n) {
		ssize_t r = recv(fd, got + at, n - at, 0);
		CHECK_GT(r, 0);
		at += (size_t)r;
	}
	CHECK_MEM(got, text, n);
}

TEST(echoes_on_every_listener)
{
	char path[64], args[256], addrs[3][256];
	snprintf(path, sizeof path, "unix:/tmp/weft-test-echo-%d", (int)getpid());
	snprintf(args, sizeof args, "--listen 127.0.0.1:0 --listen %s --listen :0", path);
	struct server s = start(args);
	for (int i = 0; i < 3; i++)
		read_address(&s, addrs[i], sizeof addrs[i]);
	CHECK_STR(addrs[1], path);
	for (int i = 0; i < 3; i++) {
		int a = dial(addrs[i]), b = dial(addrs[i]);
		exchange(a, "first");
		exchange(b, "second");
		exchange(a, "third");
		close(a);
		close(b);
	}
	kill(s.pid, SIGTERM);
	CHECK_EQ(exit_status(&s), 0);
	CHECK_EQ(access(path + 5, F_OK), -1);
}

/* Idle connections are closed; what had been received is echoed first. */
static void drain_on(int signal)
{
	enum { N = 100000 };
	char addr[256], *data = malloc(N), *got = malloc(N);
	struct server s = start("--listen 127.0.0.1:0");
	read_address(&s, addr, sizeof addr);
	int idle = dial(addr), busy = dial(addr);
	exchange(idle, "hello");
	exchange(busy, "hello");
	for (int i = 0; i < N; i++)
		data[i] = (char)i;
	CHECK_EQ(send(busy, data, N, 0), N);
	CHECK_GT(recv(busy, got, 1, 0), 0); /* it is at work */
	kill(s.pid, signal);
	ssize_t n, at = 1;
	while (at < N && (n = recv(busy, got + at, N - (size_t)at, 0)) > 0)
		at += n;
	CHECK_MEM(got, data, (size_t)at);
	CHECK_EQ(recv(idle, got, 1, 0), 0);
	CHECK_EQ(exit_status(&s), 0);
	close(idle);
	close(busy);
	free(data);
	free(got);
}

TEST(drains_on_sigterm) { drain_on(SIGTERM); }

TEST(drains_on_sigint) { drain_on(SIGINT); }

TEST(bad_use)
{
	static const struct {
		const char *args;
		int status;
	} uses[] = { { "--help >/dev/null", 0 }, { "--listen 2>/dev/null", 2 }, { "what 2>/dev/null", 2 },
		     { "--listen nonsense 2>/dev/null", 1 }, { "--listen 8.8.8.8:1 2>/dev/null", 1 } };
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
		struct server s = start(uses[i].args);
		CHECK_EQ(exit_status(&s), uses[i].status);
	}
}
