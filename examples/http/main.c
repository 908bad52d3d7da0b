/* An HTTP/1.1 server in blocking style: a coroutine for each connection. http --help tells what it can do.
 *
 * The first coroutine waits for signals. SIGTERM and SIGINT end the server when the requests in progress are answered; SIGHUP does
 * the same once an heir serves (listen.h). With --procs it is heirs that serve, and this process looks after them (procs.c). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "listen.h"
#include "proxy.h"
#include "tls.h"

enum { REFUSED_AT_MOST = 256 }; /* connections above the limit that are told so; more are just closed */
enum { HEIR_SECONDS = 60 };     /* until an heir must be serving */

static struct http_server server = { .root_fd = -1 };
static struct http_listeners listeners;
static struct weft_chan *signals; /* int */

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
	http_fold(&c->server->ended, &c->counts);
	pthread_mutex_unlock(&conns_lock);
}

void http_sum(struct http_server *s, struct http_counts *sum)
{
	pthread_mutex_lock(&conns_lock);
	http_fold(sum, &s->ended);
	for (struct http_conn *c = s->conns; c != NULL; c = c->next)
		http_fold(sum, &c->counts);
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

static int serve(void *arg)
{
	http_serve(arg);
	server.live--;
	return 0;
}

/* A handshake goes deep, whatever WEFT_STACK says. */
static int spawn(struct http_conn *c)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	if (!c->secure)
		return weft_go(serve, c);
	attr.stack_size = HTTP_TLS_STACK;
	return weft_spawn(NULL, &attr, serve, c);
}

void http_admit(int fd, bool secure)
{
	int64_t live = ++server.live;
	server.admitted++;
	struct http_conn *c = NULL;
	if (live <= server.config->max_conns + REFUSED_AT_MOST)
		c = http_conn_new(&server, fd);
	if (c != NULL) {
		c->refuse = live > server.config->max_conns;
		c->secure = secure;
		if (spawn(c) == 0)
			return;
		free(c);
	}
	weft_close(fd);
	server.live--;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* Cuts what is left at the deadline, or at the next signal. A daemon: if all are gone before, it goes as well. */
static int cut(void *arg)
{
	weft_time deadline = *(weft_time *)arg;
	int number, r;
	do
		r = weft_chan_recv_until(signals, &number, deadline);
	while (r == 1 && number == SIGHUP);
	if (r == -ECANCELED)
		return 0;
	fprintf(stderr, "http: connections cut: %lld\n", (long long)server.live);
	return weft_shutdown(weft_after(WEFT_SEC(5)));
}

/* No more connections and no more requests; those in progress have until the deadline. The runtime waits for them. */
static int drain(bool succeeded)
{
	static weft_time deadline;
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.name = "cut";
	attr.daemon = true;
	deadline = weft_after(server.config->drain_ns);
	server.succeeded = succeeded || http_is_supervised();
	server.draining = true;
	http_listen_end(&listeners, succeeded);
	knock();
	int r = weft_spawn(NULL, &attr, cut, &deadline);
	return r < 0 ? fail("drain", r, 1) : 0;
}

/* ---- the beginning ------------------------------------------------------------------------------------------------- */

/* Whether another process serves now in place of this one. */
static bool is_succeeded(void)
{
	static struct http_heir heir; /* it outlives this process, which does not wait for it */
	int status = 0, r = http_heir_start(&heir, &listeners, false);
	if (r < 0) {
		fail("reload", r, 1);
		return false;
	}
	r = http_heir_await(&heir, weft_after(WEFT_SEC(HEIR_SECONDS)));
	if (r == 0)
		return true;
	weft_process_kill(heir.process, SIGKILL);
	r = weft_process_wait(heir.process, &status, WEFT_NEVER);
	weft_close(heir.control);
	fprintf(stderr, "http: reload: the new process does not serve (wait status %#x); this one goes on\n", (unsigned)status);
	return false;
}

/* A process that looks after this one sends a signal, or ends. */
static int outlive(void *arg)
{
	int number = SIGTERM;
	(void)arg;
	http_heir_outlives();
	return weft_chan_send(signals, &number);
}

static int start_serving(void)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	int r = http_date_start();
	if (r == 0)
		r = http_proxy_run(server.config);
	if (r == 0)
		r = http_log_start(server.config->log);
	attr.name = "outlive";
	attr.daemon = true;
	if (r == 0)
		r = http_accept(&listeners);
	if (r == 0 && http_is_supervised())
		r = weft_spawn(NULL, &attr, outlive, NULL);
	if (r < 0)
		return fail("start", r, 1);
	http_announce(&listeners);
	http_heir_serves();
	return 0;
}

/* Until it is to end. Whether another process has taken over. */
static bool serve_until_signal(void)
{
	int number;
	while (weft_chan_recv(signals, &number) == 1)
		if (number != SIGHUP)
			return false;
		else if (!http_is_supervised() && is_succeeded())
			return true;
	return false;
}

static int take_signals(void)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGHUP };
	int r = weft_chan_create(&signals, sizeof(int), 4);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && r == 0; i++)
		r = weft_signal_notify(signals, wanted[i]);
	return r < 0 ? fail("signals", r, 1) : 0;
}

static int run(void *arg)
{
	(void)arg;
	int status = take_signals();
	if (status == 0)
		status = http_listen(&listeners, server.config);
	if (status == 0)
		status = start_serving();
	bool succeeded = status == 0 && serve_until_signal();
	int ended = drain(succeeded);
	return status != 0 ? status : ended;
}

/* Serves nothing itself. */
static int run_others(void *arg)
{
	(void)arg;
	int status = take_signals();
	if (status == 0)
		status = http_listen(&listeners, server.config);
	if (status == 0)
		status = http_supervise(&listeners, server.config, signals);
	http_listen_end(&listeners, false);
	return status;
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
	signal(SIGPIPE, SIG_IGN); /* the log may be a pipe */
	http_route_start();
	if (!http_proxy_start(server.config))
		return 2;
	if (server.config->tls_listens.count > 0 && !http_tls_start(server.config->certificate, server.config->key))
		return 2;
	http_inherit(argv);
	if (server.config->root != NULL) {
		server.root_fd = open(server.config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (server.root_fd < 0)
			return fail(server.config->root, -errno, 2);
	}
	bool alone = server.config->procs == 0 || http_is_supervised();
	int result = weft_run(NULL, alone ? run : run_others, NULL);
	http_log_end();
	return result < 0 ? fail("weft", result, 1) : result;
}
