/* Several processes, each with a runtime of its own, behind one listener: one that dies takes only its own connections with it, and
 * is replaced; all can be replaced, one after the other, while clients notice nothing.
 *
 *     prefork [--listen ADDR] [--processes N] [--processors M]       default: :7003, 2 processes with 1 processor each
 *
 *     SIGTERM, SIGINT    all end when they have answered; the exit status is 0
 *     SIGHUP             replaces the processes: for each old one a new one starts, and when that one serves, the old one ends
 *     SIGTTIN, SIGTTOU   one process more, one less
 *
 * A process that dies is started again at once; one that dies within a second of its start is started after a pause, which doubles
 * up to 10 s while that goes on. What they serve: a line is answered by the number of the process, and the line.
 *
 * A process may fork before its runtime starts or after it has ended, never while it runs. So the parent has one for as long as
 * it takes to listen, and then lives without: it waits for signals and children. The children wait for a pipe from the parent:
 * where it ends, the parent has died, and they end too. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "listen.h"

enum { CHILDREN_MAX = 256, PAUSE_MS = 100, PAUSE_MAX_MS = 10000, STEADY_MS = 1000, DRAIN_SECONDS = 5 };

static const char *addr = ":7003";
static long wanted = 2, processors = 1;
static int listener, life[2]; /* the parent holds the end for writing, and writes nothing */

/* ---- a child: serves until it is told to end ----------------------------------------------------------------------------- */

struct connection {
	int fd;
	bool answered;
	struct connection *next, **link;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* never held by a call that parks */
static struct connection *connections;
static bool draining;

/* Who has been answered has no more to say that was not said already. Who has not is still owed an answer. */
static void drain(const struct connection *c)
{
	if (c->answered)
		weft_shutdown_fd(c->fd, SHUT_RD);
	weft_set_deadline(c->fd, WEFT_READ | WEFT_WRITE, weft_after(WEFT_SEC(DRAIN_SECONDS)));
}

static void enrol(struct connection *c)
{
	pthread_mutex_lock(&lock);
	c->next = connections;
	c->link = &connections;
	if (c->next)
		c->next->link = &c->next;
	connections = c;
	if (draining)
		drain(c);
	pthread_mutex_unlock(&lock);
}

static void leave(struct connection *c)
{
	pthread_mutex_lock(&lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	pthread_mutex_unlock(&lock);
}

static void note_answer(struct connection *c)
{
	pthread_mutex_lock(&lock);
	c->answered = true;
	if (draining)
		drain(c);
	pthread_mutex_unlock(&lock);
}

/* Answers the whole lines there are; what is left of them, or -1. */
static ssize_t answer_lines(const struct connection *c, char *in, size_t size)
{
	char out[64], *line = in, *end;
	while ((end = memchr(line, '\n', size - (size_t)(line - in)))) {
		int n = snprintf(out, sizeof out, "%d ", (int)getpid());
		if (weft_write_all(c->fd, out, (size_t)n, NULL) != 0 ||
		    weft_write_all(c->fd, line, (size_t)(end + 1 - line), NULL) != 0)
			return -1;
		line = end + 1;
	}
	memmove(in, line, size - (size_t)(line - in));
	return (ssize_t)size - (line - in);
}

static int serve(void *arg)
{
	struct connection c = { .fd = (int)(intptr_t)arg };
	char in[4096];
	ssize_t size = 0, n;
	enrol(&c);
	while (size >= 0 && (size_t)size < sizeof in && (n = weft_read(c.fd, in + size, sizeof in - (size_t)size)) > 0) {
		ssize_t before = size + n;
		size = answer_lines(&c, in, (size_t)before);
		if (size >= 0 && size < before)
			note_answer(&c);
	}
	leave(&c);
	return weft_close(c.fd);
}

static int accept_all(void *arg)
{
	int fd;
	(void)arg;
	while ((fd = weft_accept(listener, NULL, NULL)) != -EBADF && fd != -ECANCELED)
		if (fd >= 0 && weft_go(serve, (void *)(intptr_t)fd) != 0)
			weft_close(fd);
	return 0;
}

/* Connections that nobody has accepted stay in the listener's queue, for the others. */
static void end_in_order(void)
{
	weft_close(listener);
	pthread_mutex_lock(&lock);
	draining = true;
	for (struct connection *c = connections; c; c = c->next)
		drain(c);
	pthread_mutex_unlock(&lock);
}

static int be_child(void *ready)
{
	struct weft_chan *signals;
	int number, r = weft_chan_create(&signals, sizeof number, 1);
	struct weft_case ends[] = {
		{ .op = WEFT_OP_RECV, .chan = signals, .elem = &number },
		{ .op = WEFT_OP_FD, .fd = life[0], .dirs = WEFT_READ },
	};
	if (r == 0)
		r = weft_signal_notify(signals, SIGTERM);
	if (r == 0)
		r = weft_adopt(listener);
	if (r >= 0)
		r = weft_go(accept_all, NULL);
	if (r == 0) {
		if (write(*(int *)ready, "", 1) == 1)
			r = weft_select(ends, 2, WEFT_NEVER);
		close(*(int *)ready);
	}
	end_in_order();
	weft_signal_stop(signals);
	weft_chan_destroy(signals);
	return r < 0;
}

/* ---- the parent: starts them, and waits ------------------------------------------------------------------------------------ */

struct child {
	pid_t pid;           /* 0: there is none */
	weft_time started;   /* or when it is to be */
	int64_t pause_ms;    /* before the next start, if it does not last */
};

static struct child children[CHILDREN_MAX];
static sigset_t ours, former; /* signals that the parent waits for; what was blocked before */

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

static int run_child(int ready)
{
	struct weft_config config;
	static const int of_the_parent[] = { SIGINT, SIGHUP, SIGTTIN, SIGTTOU }; /* a terminal sends them to all */
	close(life[1]);
	for (size_t i = 0; i < sizeof of_the_parent / sizeof *of_the_parent; i++)
		signal(of_the_parent[i], SIG_IGN);
	sigprocmask(SIG_SETMASK, &former, NULL);
	weft_config_init(&config);
	config.maxprocs = (int)processors;
	return weft_run(&config, be_child, &ready) != 0;
}

/* Returns when it serves: true, or has died. */
static bool start(struct child *c)
{
	int ready[2];
	char none;
	c->started = weft_now();
	if (pipe(ready) != 0)
		return false;
	c->pid = fork();
	if (c->pid == 0) {
		close(ready[0]);
		_exit(run_child(ready[1]));
	}
	close(ready[1]);
	if (c->pid < 0)
		c->pid = 0;
	bool serves = c->pid > 0 && read(ready[0], &none, 1) == 1;
	if (serves)
		say("process %d serves\n", (int)c->pid);
	close(ready[0]);
	return serves;
}

/* One that has ended although nobody told it to. */
static void note_death(struct child *c, int status)
{
	weft_time now = weft_now();
	c->pause_ms = now - c->started >= WEFT_MS(STEADY_MS) ? 0 : c->pause_ms == 0 ? PAUSE_MS : 2 * c->pause_ms;
	if (c->pause_ms > PAUSE_MAX_MS)
		c->pause_ms = PAUSE_MAX_MS;
	say("process %d %s %d; another one in %lld ms\n", (int)c->pid, WIFSIGNALED(status) ? "was killed by signal" : "ended with",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), (long long)c->pause_ms);
	c->pid = 0;
	c->started = now + WEFT_MS(c->pause_ms);
}

static void reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < CHILDREN_MAX; i++)
			if (children[i].pid == pid)
				note_death(&children[i], status);
}

/* What it serves it finishes; nobody waits for it, and nobody replaces it. */
static void retire(struct child *c)
{
	if (c->pid > 0)
		kill(c->pid, SIGTERM);
	*c = (struct child){ 0 };
}

static void replace_all(void)
{
	for (int i = 0; i < wanted; i++) {
		struct child next = { 0 };
		if (!start(&next)) {
			say("process %d stays: no other one started\n", (int)children[i].pid);
			continue;
		}
		retire(&children[i]);
		children[i] = next;
	}
	say("replaced\n");
}

/* Starts those that are due. How long the next one has to wait; negative: none has. */
static int64_t start_due(void)
{
	int64_t next = -1, now = weft_now();
	for (int i = 0; i < wanted; i++) {
		if (children[i].pid > 0)
			continue;
		int64_t left = children[i].started - now;
		if (left <= 0)
			start(&children[i]);
		if (children[i].pid == 0)
			left = left > 0 ? left : WEFT_MS(PAUSE_MS);
		if (children[i].pid == 0 && (next < 0 || left < next))
			next = left;
	}
	return next;
}

static int wait_for_signal(int64_t ns)
{
	struct timespec t = { ns / WEFT_SEC(1), ns % WEFT_SEC(1) };
	int number = ns < 0 ? sigwaitinfo(&ours, NULL) : sigtimedwait(&ours, NULL, &t);
	return number > 0 ? number : 0;
}

static void look_after_them(void)
{
	for (;;) {
		int number = wait_for_signal(start_due());
		reap();
		if (number == SIGTERM || number == SIGINT)
			return;
		if (number == SIGHUP)
			replace_all();
		else if (number == SIGTTIN && wanted < CHILDREN_MAX)
			wanted++;
		else if (number == SIGTTOU && wanted > 1)
			retire(&children[--wanted]);
	}
}

static int open_listener(void *arg)
{
	(void)arg;
	listener = listen_and_say(addr);
	return listener < 0;
}

static bool read_options(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--listen") == 0)
			addr = argv[i + 1];
		else if (strcmp(argv[i], "--processes") == 0)
			wanted = strtol(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--processors") == 0)
			processors = strtol(argv[i + 1], NULL, 10);
		else
			return false;
	}
	return argc % 2 == 1 && wanted > 0 && wanted <= CHILDREN_MAX && processors > 0 && processors <= WEFT_MAXPROCS_LIMIT;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGTTIN, SIGTTOU };
	if (!read_options(argc, argv)) {
		fputs("usage: prefork [--listen ADDR] [--processes N] [--processors M]\n", stderr);
		return 2;
	}
	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		sigaddset(&ours, signals[i]);
	sigprocmask(SIG_BLOCK, &ours, &former);
	if (weft_run(NULL, open_listener, NULL) != 0 || pipe(life) != 0)
		return 1;
	look_after_them();
	for (int i = 0; i < wanted; i++)
		retire(&children[i]);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return 0;
}
