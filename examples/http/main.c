/* An HTTP/1.1 server in blocking style: a coroutine for each connection. http --help tells what it can do. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "conn.h"

enum { REFUSED_AT_MOST = 256 }; /* connections above the limit that are told so; more are just closed */

static struct http_server server = { .root_fd = -1 };
static int listeners[HTTP_LISTENS_MAX];
static size_t listening;

/* Says why the process ends; the exit status. */
static int fail(const char *what, int result, int status)
{
	fprintf(stderr, "http: %s: %s\n", what, weft_strerror(result));
	return status;
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

/* Guards server.conns. A plain mutex: nobody parks while holding it. */
static pthread_mutex_t conns_lock = PTHREAD_MUTEX_INITIALIZER;

void http_enrol(struct http_conn *c)
{
	pthread_mutex_lock(&conns_lock);
	c->next = c->server->conns;
	if (c->next != NULL)
		c->next->previous = c;
	c->server->conns = c;
	pthread_mutex_unlock(&conns_lock);
}

void http_leave(struct http_conn *c)
{
	pthread_mutex_lock(&conns_lock);
	if (c->next != NULL)
		c->next->previous = c->previous;
	if (c->previous != NULL)
		c->previous->next = c->next;
	else
		c->server->conns = c->next;
	pthread_mutex_unlock(&conns_lock);
}

/* Ends every wait for a request. Connections that are doing something else set their deadline again. */
static void knock(void)
{
	pthread_mutex_lock(&conns_lock);
	for (struct http_conn *c = server.conns; c != NULL; c = c->next)
		weft_set_deadline(c->fd, WEFT_READ, WEFT_NOW);
	pthread_mutex_unlock(&conns_lock);
}

/* ---- accepting ----------------------------------------------------------------------------------------------------- */

static int serve(void *arg)
{
	http_serve(arg);
	server.live--;
	return 0;
}

static void admit(int fd)
{
	int64_t live = ++server.live;
	struct http_conn *c = NULL;
	if (live <= server.config->max_conns + REFUSED_AT_MOST)
		c = http_conn_new(&server, fd);
	if (c != NULL) {
		c->refuse = live > server.config->max_conns;
		if (weft_go(serve, c) == 0)
			return;
		free(c);
	}
	weft_close(fd);
	server.live--;
}

static int accept_loop(void *listener)
{
	bool was_told = false;
	for (;;) {
		int fd = weft_accept(*(int *)listener, NULL, NULL);
		if (fd >= 0) {
			admit(fd);
			continue;
		}
		if (fd == -EBADF || fd == -ECANCELED)
			return 0;
		if (!was_told)
			fprintf(stderr, "http: accept: %s; serving on\n", weft_strerror(fd));
		was_told = true;
		weft_sleep(WEFT_MS(1)); /* where descriptors ran out weft_accept has waited; this is for errors nobody thought of */
	}
}

/* "listening on ADDR" with the port that the system chose. */
static void print_listener(int fd, const char *addr)
{
	struct sockaddr_storage name;
	socklen_t n = sizeof(name);
	char host[INET6_ADDRSTRLEN] = "";
	if (getsockname(fd, (struct sockaddr *)&name, &n) < 0 || name.ss_family == AF_UNIX) {
		printf("listening on %s\n", addr);
	} else if (name.ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)&name;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		printf("listening on %s:%u\n", host, (unsigned)ntohs(v4->sin_port));
	} else {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&name;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		printf("listening on [%s]:%u\n", host, (unsigned)ntohs(v6->sin6_port));
	}
}

/* Opens all listeners before any is served, so that whoever reads a line finds all of them ready. An exit status. */
static int listen_all(void)
{
	const struct http_listens *listens = &server.config->listens;
	for (; listening < listens->count; listening++) {
		int fd = weft_listen(listens->addr[listening], 0);
		if (fd < 0)
			return fail(listens->addr[listening], fd, fd == -EINVAL ? 2 : 1);
		listeners[listening] = fd;
	}
	for (size_t i = 0; i < listening; i++) {
		int r = weft_go(accept_loop, &listeners[i]);
		if (r < 0)
			return fail("accept", r, 1);
		print_listener(listeners[i], listens->addr[i]);
	}
	fflush(stdout);
	return 0;
}

static void close_all(void)
{
	for (size_t i = 0; i < listening; i++)
		weft_close(listeners[i]);
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static bool is_pending(const sigset_t *signals)
{
	sigset_t pending;
	sigpending(&pending);
	return (sigismember(signals, SIGTERM) && sigismember(&pending, SIGTERM)) ||
		(sigismember(signals, SIGINT) && sigismember(&pending, SIGINT));
}

/* No more connections and no more requests; those in progress have until the deadline, or until the next signal. */
static int drain(const sigset_t *signals)
{
	weft_time deadline = weft_after(server.config->drain_ns);
	server.draining = true;
	close_all();
	knock();
	int r;
	do {
		weft_time look = weft_after(WEFT_MS(50));
		r = weft_stop(look < deadline ? look : deadline);
	} while (r == -ETIMEDOUT && weft_now() < deadline && !is_pending(signals));
	if (r == 0)
		return 0;
	fprintf(stderr, "http: connections cut: %lld\n", (long long)server.live);
	r = weft_shutdown(weft_after(WEFT_SEC(5)));
	if (r == 0)
		r = weft_stop(WEFT_NEVER);
	return r < 0 ? fail("stop", r, 1) : 0;
}

/* The main thread stays out of the runtime: it waits for signals, which are blocked everywhere. */
static int serve_until_signal(void)
{
	sigset_t signals;
	int signal_number, status = 0, result;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	http_route_start();
	if ((result = weft_start(NULL)) < 0)
		return fail("weft", result, 1);
	if ((result = http_date_start()) < 0)
		status = fail("date", result, 1);
	else if ((status = listen_all()) == 0)
		sigwait(&signals, &signal_number);
	int ended = drain(&signals);
	return status != 0 ? status : ended;
}

/* Each connection is a descriptor: as many as the system lets us have. */
static void raise_descriptors(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	server.config = http_options(argc, argv);
	raise_descriptors();
	if (server.config->root != NULL) {
		server.root_fd = open(server.config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (server.root_fd < 0)
			return fail(server.config->root, -errno, 2);
	}
	return serve_until_signal();
}
