/* A TCP (or unix socket) echo server: one coroutine for each listener and each connection, straight code in both.
 *
 *     echo [--listen ADDR]...       default :7000
 *
 * On SIGTERM or SIGINT it stops listening, echoes what it has received already, and exits with 0; a second one kills it. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

#include "listen.h"

enum { LISTENERS_MAX = 16, DRAIN_SECONDS = 5 };

struct conn {
	int fd;
	struct conn *next, **link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* never held by a call that parks */
static struct conn *conns;
static bool draining;

/* What was received stays readable, then comes the end; a peer that does not read gets a few seconds. */
static void drain(const struct conn *c)
{
	weft_shutdown_fd(c->fd, SHUT_RD);
	weft_set_deadline(c->fd, WEFT_WRITE, weft_after(WEFT_SEC(DRAIN_SECONDS)));
}

static void join_conns(struct conn *c)
{
	pthread_mutex_lock(&lock);
	c->next = conns;
	c->link = &conns;
	if (c->next)
		c->next->link = &c->next;
	conns = c;
	if (draining)
		drain(c);
	pthread_mutex_unlock(&lock);
}

static void leave_conns(struct conn *c)
{
	pthread_mutex_lock(&lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	pthread_mutex_unlock(&lock);
}

static int serve(void *arg)
{
	struct conn c = { .fd = (int)(intptr_t)arg };
	char buf[2048]; /* with what is called from here it fits into one page, which is all that an idle connection then costs */
	ssize_t n;
	join_conns(&c);
	while ((n = weft_read(c.fd, buf, sizeof buf)) > 0)
		if (weft_write_all(c.fd, buf, (size_t)n, NULL) < 0)
			break;
	leave_conns(&c);
	return weft_close(c.fd);
}

static int accept_all(void *arg)
{
	int listener = (int)(intptr_t)arg;
	for (;;) {
		int fd = weft_accept(listener, NULL, NULL);
		if (fd >= 0 && weft_go(serve, (void *)(intptr_t)fd) < 0)
			weft_close(fd);
		if (fd == -EBADF || fd == -ECANCELED)
			return 0; /* closed: the end */
		if (fd < 0)
			fprintf(stderr, "echo: accept: %s\n", weft_strerror(fd));
	}
}

static int usage(FILE *out, int status)
{
	fputs("usage: echo [--listen ADDR]...\n"
	      "Echoes what it gets. ADDR: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH, unix:@NAME; default :7000\n", out);
	return status;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "echo: %s: %s\n", what, weft_strerror(error));
	return 1;
}

/* SIGTERM and SIGINT as values in a channel. */
static int take_signals(struct weft_chan **ends)
{
	int r = weft_chan_create(ends, sizeof(int), 1);
	if (r == 0)
		r = weft_signal_notify(*ends, SIGTERM);
	return r == 0 ? weft_signal_notify(*ends, SIGINT) : r;
}

static void drain_all(void)
{
	pthread_mutex_lock(&lock);
	draining = true;
	for (struct conn *c = conns; c; c = c->next)
		drain(c);
	pthread_mutex_unlock(&lock);
}

static int run(const char *const *addrs, int count)
{
	int fds[LISTENERS_MAX], r, number;
	struct weft_chan *ends;
	if ((r = weft_start(NULL)) < 0)
		return fail("weft_start", r);
	if ((r = take_signals(&ends)) < 0)
		return fail("signals", r);
	for (int i = 0; i < count; i++) {
		if ((fds[i] = weft_listen(addrs[i], 0)) < 0)
			return fail(addrs[i], fds[i]);
		print_listener(addrs[i], fds[i]);
		if ((r = weft_go(accept_all, (void *)(intptr_t)fds[i])) < 0)
			return fail("weft_go", r);
	}
	r = weft_chan_recv(ends, &number);
	weft_signal_stop(ends);
	weft_chan_destroy(ends);
	for (int i = 0; i < count; i++)
		weft_close(fds[i]);
	drain_all();
	return weft_stop(WEFT_NEVER) < 0 || r < 0;
}

int main(int argc, char **argv)
{
	const char *addrs[LISTENERS_MAX] = { ":7000" };
	int count = 0;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return usage(stdout, 0);
		if (strcmp(argv[i], "--listen") != 0 || ++i == argc || count == LISTENERS_MAX)
			return usage(stderr, 2);
		addrs[count++] = argv[i];
	}
	return run(addrs, count + (count == 0));
}
