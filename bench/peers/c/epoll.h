/* The level-triggered loop of the servers on bare epoll. A server supplies `receive`, which is told that a connection can be read;
 * what a send did not take is kept here, and the connection is not read until that has gone. */
#ifndef PEER_EPOLL_H
#define PEER_EPOLL_H

#include "server.h"

enum { EVENTS = 512, ACCEPTS = 256 };

struct rest {
	size_t at, size;
	char bytes[];
};

static struct rest **rests; /* by descriptor; NULL: all is sent */

static void receive(int epoll, int fd);
static void forget(int fd); /* the connection is about to be closed */

static void hang_up(int fd)
{
	free(rests[fd]);
	rests[fd] = NULL;
	forget(fd);
	close(fd);
}

static void watch(int epoll, int op, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };
	epoll_ctl(epoll, op, fd, &event);
}

static bool is_passing(void) { return errno == EAGAIN || errno == EINTR; }

/* Sends, or keeps what does not go now. False: the connection is gone. */
static bool send_or_keep(int epoll, int fd, const char *bytes, size_t n)
{
	ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
	if (sent == (ssize_t)n)
		return true;
	if (sent < 0 && !is_passing()) {
		hang_up(fd);
		return false;
	}
	size_t done = sent < 0 ? 0 : (size_t)sent;
	struct rest *rest = malloc(sizeof *rest + n - done);
	if (!rest)
		die("malloc");
	rest->at = 0;
	rest->size = n - done;
	memcpy(rest->bytes, bytes + done, n - done);
	rests[fd] = rest;
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
	return true;
}

static void send_rest(int epoll, int fd)
{
	struct rest *rest = rests[fd];
	ssize_t sent = send(fd, rest->bytes + rest->at, rest->size - rest->at, MSG_NOSIGNAL);
	if (sent < 0 && !is_passing())
		hang_up(fd);
	if (sent < 0 || (rest->at += (size_t)sent) < rest->size)
		return;
	free(rest);
	rests[fd] = NULL;
	watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void accept_some(int epoll, int listener)
{
	for (int i = 0, fd; i < ACCEPTS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0; i++)
		watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
}

static void *run_epoll(void *arg)
{
	struct epoll_event events[EVENTS];
	int listener = (int)(intptr_t)arg, epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == listener)
				accept_some(epoll, fd);
			else if (rests[fd])
				send_rest(epoll, fd);
			else
				receive(epoll, fd);
		}
	}
	return NULL;
}

static int serve_by_epoll(int argc, char **argv)
{
	rests = calloc(raise_limit(), sizeof *rests);
	return rests ? run_loops(argc, argv, run_epoll, SOCK_NONBLOCK) : 1;
}

#endif
