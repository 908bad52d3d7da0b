/* Four ways to serve many connections, one of which asks for heavy work. What do the others notice?
 *
 *     patterns [--threads N] [--ms N] [--light-us N] [--heavy-us N] [MODEL...]
 *
 *     basic          one thread, which serves one connection until it ends, then the next
 *     multi-reader   some threads; each connection belongs to one of them, which waits for all of its own (poll) and serves one
 *                    request at a time
 *     worker-pool    one thread waits for all connections, and puts requests into a queue, from which some threads take them
 *     coroutines     one for each connection; weft shares them among some threads
 *
 * 99 light clients connect, ask ten times, with a pause of 50 ms after each answer, and connect again; each request takes 100
 * us of a CPU. The heavy client asks for 200 ms of it, pauses as long, and asks again. Each model runs twice, for two seconds,
 * without the heavy client and with it. Printed is how long the light requests took, in microseconds, from when they were due
 * to the answer; those that were still waiting at the end count with what they have waited. The server is a process of its own. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

enum { LIGHT = 99, ASKS = 10, PAUSE_MS = 50, CONNECTIONS_MAX = 1000, THREADS_MAX = 64, LATENCIES_MAX = 1 << 20 };

static long threads = 2, run_ms = 2000, light_us = 100, heavy_us = 200000;

/* A request is the number of microseconds that it takes; it is its own answer. */
typedef uint32_t request;

static void work(request us)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	int64_t now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec, until = now + WEFT_US(us);
	while (now < until) {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		now = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
	}
}

/* ---- what the models without coroutines have in common ------------------------------------------------------------------ */

static bool hear(int fd, request *r)
{
	return recv(fd, r, sizeof *r, MSG_WAITALL) == (ssize_t)sizeof *r;
}

static void answer(int fd, request r)
{
	work(r);
	send(fd, &r, sizeof r, MSG_NOSIGNAL); /* a client that is gone is noticed when it is read from */
}

static pthread_t start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, fn, arg) != 0)
		_exit(1);
	return thread;
}

/* Descriptors that are waited for; the first is where more of them come from. */
struct watched {
	struct pollfd fds[CONNECTIONS_MAX];
	nfds_t count;
};

static void watch(struct watched *w, int fd)
{
	if (w->count == CONNECTIONS_MAX)
		_exit(1);
	w->fds[w->count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void forget(struct watched *w, nfds_t i)
{
	close(w->fds[i].fd);
	w->fds[i] = w->fds[--w->count];
}

/* ---- basic --------------------------------------------------------------------------------------------------------------- */

static void serve_basic(int listener)
{
	request r;
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		while (hear(fd, &r))
			answer(fd, r);
		close(fd);
	}
}

/* ---- multi-reader ---------------------------------------------------------------------------------------------------------- */

static void *be_reader(void *arg)
{
	static _Thread_local struct watched w;
	request r;
	int fd;
	watch(&w, *(int *)arg);
	for (;;) {
		poll(w.fds, w.count, -1);
		for (nfds_t i = w.count; i-- > 1;) {
			if (!w.fds[i].revents)
				continue;
			if (hear(w.fds[i].fd, &r))
				answer(w.fds[i].fd, r);
			else
				forget(&w, i);
		}
		if (w.fds[0].revents && read(w.fds[0].fd, &fd, sizeof fd) == (ssize_t)sizeof fd)
			watch(&w, fd);
	}
	return NULL;
}

static void serve_multi_reader(int listener)
{
	static int pipes[THREADS_MAX][2];
	for (long i = 0; i < threads; i++) {
		if (pipe(pipes[i]) != 0)
			_exit(1);
		start_thread(be_reader, &pipes[i][0]);
	}
	for (long turn = 0;; turn++) {
		int fd = accept(listener, NULL, NULL);
		if (write(pipes[turn % threads][1], &fd, sizeof fd) != (ssize_t)sizeof fd)
			_exit(1);
	}
}

/* ---- worker-pool ----------------------------------------------------------------------------------------------------------- */

struct job {
	int fd;
	request request;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static struct job jobs[CONNECTIONS_MAX]; /* each connection has one at most */
static size_t first, last;

static void *be_worker(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		while (first == last)
			pthread_cond_wait(&some, &lock);
		struct job job = jobs[first++ % CONNECTIONS_MAX];
		pthread_mutex_unlock(&lock);
		answer(job.fd, job.request);
	}
	return arg;
}

static void put_job(struct job job)
{
	pthread_mutex_lock(&lock);
	jobs[last++ % CONNECTIONS_MAX] = job;
	pthread_mutex_unlock(&lock);
	pthread_cond_signal(&some);
}

static void serve_worker_pool(int listener)
{
	static struct watched w;
	struct job job;
	for (long i = 0; i < threads; i++)
		start_thread(be_worker, NULL);
	watch(&w, listener);
	for (;;) {
		poll(w.fds, w.count, -1);
		for (nfds_t i = w.count; i-- > 1;) {
			if (!w.fds[i].revents)
				continue;
			job.fd = w.fds[i].fd;
			if (hear(job.fd, &job.request))
				put_job(job);
			else
				forget(&w, i);
		}
		if (w.fds[0].revents)
			watch(&w, accept(listener, NULL, NULL));
	}
}

/* ---- coroutines ------------------------------------------------------------------------------------------------------------ */

static int serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	request r;
	while (weft_read_full(fd, &r, sizeof r, NULL) == 0) {
		work(r);
		if (weft_write_all(fd, &r, sizeof r, NULL) != 0)
			break;
	}
	return weft_close(fd);
}

static int accept_all(void *listener)
{
	int fd, r = weft_adopt(*(int *)listener);
	while (r >= 0 && (fd = weft_accept(*(int *)listener, NULL, NULL)) >= 0)
		r = weft_go(serve_one, (void *)(intptr_t)fd);
	return r;
}

static void serve_coroutines(int listener)
{
	struct weft_config config;
	weft_config_init(&config);
	config.maxprocs = (int)threads;
	_exit(weft_run(&config, accept_all, &listener) != 0);
}

/* ---- clients --------------------------------------------------------------------------------------------------------------- */

static char addr[32];
static int latency_us[LATENCIES_MAX];
static _Atomic long latency_count, answered;

static void note_latency(weft_time since, bool is_answered)
{
	long i = latency_count++;
	answered += is_answered;
	if (i < LATENCIES_MAX)
		latency_us[i] = (int)((weft_now() - since) / 1000);
}

static int ask(int fd, request us)
{
	request r = us;
	int failed = weft_write_all(fd, &r, sizeof r, NULL);
	return failed != 0 ? failed : weft_read_full(fd, &r, sizeof r, NULL);
}

/* Each has its own moment to begin. The scope they are in ends them. */
static int be_light(void *arg)
{
	int r = weft_sleep((intptr_t)arg * WEFT_MS(PAUSE_MS) / LIGHT);
	while (r == 0) {
		weft_time since = weft_now();
		int fd = weft_dial(addr, WEFT_NEVER);
		r = fd < 0 ? fd : 0;
		for (int i = 0; i < ASKS && r == 0; i++) {
			r = ask(fd, (request)light_us);
			note_latency(since, r == 0);
			if (r == 0)
				r = weft_sleep(WEFT_MS(PAUSE_MS));
			since = weft_now();
		}
		if (fd >= 0)
			weft_close(fd);
	}
	return 0;
}

static int be_heavy(void *arg)
{
	int fd = weft_dial(addr, WEFT_NEVER);
	(void)arg;
	while (fd >= 0 && ask(fd, (request)heavy_us) == 0 && weft_sleep(WEFT_US(heavy_us)) == 0)
		;
	return fd < 0 ? 0 : weft_close(fd);
}

static int be_clients(void *with_heavy)
{
	struct weft_scope scope;
	struct weft_scope_opts opts = { .size = sizeof opts, .deadline = weft_after(WEFT_MS(run_ms)) };
	int r = weft_scope_open(&scope, &opts);
	if (r == 0 && *(bool *)with_heavy)
		r = weft_scope_go(&scope, be_heavy, NULL);
	for (intptr_t i = 0; i < LIGHT && r == 0; i++)
		r = weft_scope_go(&scope, be_light, (void *)i);
	int failed = weft_scope_close(&scope);
	return r != 0 ? r : failed;
}

/* ---- all of it --------------------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void report(const char *model, bool with_heavy)
{
	long n = latency_count < LATENCIES_MAX ? latency_count : LATENCIES_MAX;
	qsort(latency_us, (size_t)n, sizeof *latency_us, compare);
	printf("%-13s %-8s %6ld answers   p50 %8d   p99 %8d   max %8d\n", model, with_heavy ? "heavy" : "alone", answered,
	       n ? latency_us[n / 2] : 0, n ? latency_us[n * 99 / 100] : 0, n ? latency_us[n - 1] : 0);
	fflush(stdout);
	latency_count = answered = 0;
}

static int open_listener(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* accepted sockets inherit it */
	if (bind(fd, (struct sockaddr *)&name, len) != 0 || listen(fd, CONNECTIONS_MAX) != 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) != 0)
		perror("patterns: listen"), exit(1);
	snprintf(addr, sizeof addr, "127.0.0.1:%d", ntohs(name.sin_port));
	return fd;
}

struct model {
	const char *name;
	void (*serve)(int listener);
};

/* The fork comes before the runtime of either process: each starts its own. */
static int run(const struct model *model, bool with_heavy)
{
	struct weft_config config;
	int listener = open_listener();
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		model->serve(listener);
	close(listener);
	weft_config_init(&config);
	config.maxprocs = 1;
	int r = weft_run(&config, be_clients, &with_heavy);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (r == 0)
		report(model->name, with_heavy);
	return r;
}

static const struct model models[] = {
	{ "basic", serve_basic },
	{ "multi-reader", serve_multi_reader },
	{ "worker-pool", serve_worker_pool },
	{ "coroutines", serve_coroutines },
};

static const struct model *find_model(const char *name)
{
	for (size_t i = 0; i < sizeof models / sizeof *models; i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	return NULL;
}

static int read_options(int argc, char **argv)
{
	int i = 1;
	for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
		long *to = strcmp(argv[i], "--threads") == 0 ? &threads : strcmp(argv[i], "--ms") == 0 ? &run_ms :
			   strcmp(argv[i], "--light-us") == 0 ? &light_us : strcmp(argv[i], "--heavy-us") == 0 ? &heavy_us : NULL;
		if (!to || (*to = strtol(argv[i + 1], NULL, 10)) < 1)
			return -1;
	}
	for (int k = i; k < argc; k++)
		if (!find_model(argv[k]))
			return -1;
	return threads > THREADS_MAX ? -1 : i;
}

int main(int argc, char **argv)
{
	int first_model = read_options(argc, argv), r = 0;
	if (first_model < 0) {
		fputs("usage: patterns [--threads N] [--ms N] [--light-us N] [--heavy-us N]\n"
		      "                [basic|multi-reader|worker-pool|coroutines]...\n", stderr);
		return 2;
	}
	for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
		bool wanted = first_model == argc;
		for (int k = first_model; k < argc; k++)
			wanted = wanted || find_model(argv[k]) == &models[i];
		for (int heavy = 0; heavy < 2 && wanted && r == 0; heavy++)
			r = run(&models[i], heavy);
	}
	if (r != 0)
		fprintf(stderr, "patterns: %s\n", weft_strerror(r));
	return r != 0;
}
