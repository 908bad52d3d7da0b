/* What the servers in C share: a listening socket for each thread, and as many descriptors as allowed. */
#ifndef PEER_SERVER_H
#define PEER_SERVER_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

static inline _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Returns how many there may be. */
static inline size_t raise_limit(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return (size_t)limit.rlim_cur;
}

/* Accepted sockets inherit TCP_NODELAY: one system call less for each. */
static inline int listen_on(int port, bool shared, int flags)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof in) != 0 || listen(fd, 4096) != 0)
		die("listen");
	return fd;
}

/* Arguments PORT [THREADS]: runs loop(listener) on every thread. All listen before any runs, so early connections spread. */
static inline int run_loops(int argc, char **argv, void *(*loop)(void *), int flags)
{
	int port = argc > 1 ? atoi(argv[1]) : 0, threads = argc > 2 ? atoi(argv[2]) : 1, fds[THREADS_MAX];
	pthread_t thread;
	if (port < 1 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: %s PORT [THREADS]\n", argv[0]);
		return 2;
	}
	for (int i = 0; i < threads; i++)
		fds[i] = listen_on(port, threads > 1, flags);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, loop, (void *)(intptr_t)fds[i]) != 0)
			die("pthread_create");
	loop((void *)(intptr_t)fds[0]);
	return 1;
}

#endif
