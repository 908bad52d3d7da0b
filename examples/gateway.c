/* A gateway: each request waits for somebody far away, and then takes some time of a CPU. One coroutine for each connection, in
 * straight code.
 *
 *     gateway [--wait MS[-MS]] [--work MS] [--rate N] [--clients N] [--seconds N]
 *
 * Unless said otherwise 250 ms of waiting, 10 ms of work, 200 clients, 5 seconds, and requests at 98 % of the rate that the
 * processors can do (WEFT_MAXPROCS): 98 per second for one. That needs 26 of them under way at any time: so many coroutines wait,
 * and cost a stack each. One client (--clients 1) makes one request after the other, which is 3.8 per second; the CPU idles, and
 * the queue grows. Try a database next door (--wait 1-2), one in the region (20-30), one far away (90-100).
 *
 * The gateway is a process of its own; the other one is the world: the remote side, and the clients. The exit status is 1 if an
 * answer was wrong. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

enum { CLIENTS_MAX = 10000, REQUESTS_MAX = 1 << 20 };

static long wait_ms[2] = { 250, 250 }, work_ms = 10, client_count = 200, seconds = 5;
static double rate;

struct service {
	int listener;
	char addr[32];
	weft_fn *serve;
};

static int accept_all(void *arg)
{
	const struct service *s = arg;
	int fd;
	while ((fd = weft_accept(s->listener, NULL, NULL)) != -EBADF)
		if (fd >= 0 && weft_go(s->serve, (void *)(intptr_t)fd) != 0)
			weft_close(fd);
	return 0;
}

static int start_service(struct service *s)
{
	int r = weft_adopt(s->listener);
	return r < 0 ? r : weft_go(accept_all, s);
}

/* ---- the remote side: waits, and answers ----------------------------------------------------------------------------- */

static _Atomic long waiting, most_waiting;

static int serve_remote(void *arg)
{
	int fd = (int)(intptr_t)arg;
	uint32_t question;
	while (weft_read_full(fd, &question, sizeof question, NULL) == 0) {
		if (++waiting > most_waiting)
			most_waiting = waiting; /* as good as exact: the world has one processor */
		weft_sleep(WEFT_MS(wait_ms[0] + question % (wait_ms[1] - wait_ms[0] + 1)));
		waiting--;
		if (weft_write_all(fd, &(uint32_t){ question + 1 }, sizeof question, NULL) != 0)
			break;
	}
	return weft_close(fd);
}

static struct service remote = { .serve = serve_remote };

/* ---- the gateway: asks the remote side, computes, and answers -------------------------------------------------------- */

static int64_t thread_cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Time of the CPU, not of the clock: what others take from this thread does not count. */
static uint32_t compute(uint32_t x)
{
	int64_t until = thread_cpu_ns() + WEFT_MS(work_ms);
	while (thread_cpu_ns() < until)
		;
	return x * 3;
}

static int ask(int fd, uint32_t question, uint32_t *answer)
{
	int r = weft_write_all(fd, &question, sizeof question, NULL);
	return r != 0 ? r : weft_read_full(fd, answer, sizeof *answer, NULL);
}

static int serve_gateway(void *arg)
{
	int fd = (int)(intptr_t)arg, there = weft_dial(remote.addr, WEFT_NEVER);
	uint32_t question, answer;
	while (there >= 0 && weft_read_full(fd, &question, sizeof question, NULL) == 0) {
		if (ask(there, question, &answer) != 0)
			break;
		answer = compute(answer);
		if (weft_write_all(fd, &answer, sizeof answer, NULL) != 0)
			break;
	}
	if (there >= 0)
		weft_close(there);
	return weft_close(fd);
}

static struct service gateway = { .serve = serve_gateway };

/* Until the world has nothing more to say. */
static int be_gateway(void *world)
{
	char none;
	int r = weft_adopt(*(int *)world);
	if (r >= 0)
		r = start_service(&gateway);
	if (r != 0)
		return r;
	ssize_t n = weft_read(*(int *)world, &none, 1);
	weft_close(gateway.listener);
	return (int)n;
}

/* ---- the clients ----------------------------------------------------------------------------------------------------- */

static struct weft_chan *due; /* when each request should be made */
static _Atomic long answered, wrong;
static int latency_us[REQUESTS_MAX];
static double answers_per_second;

static int be_client(void *arg)
{
	uint32_t question = (uint32_t)(uintptr_t)arg, answer;
	weft_time since;
	int fd = weft_dial(gateway.addr, WEFT_NEVER), r = fd < 0 ? fd : 0;
	while (r == 0 && weft_chan_recv(due, &since) == 1) {
		question = question * 1664525 + 1013904223;
		r = ask(fd, question, &answer);
		wrong += r != 0 || answer != (question + 1) * 3;
		latency_us[answered++ % REQUESTS_MAX] = (int)((weft_now() - since) / 1000);
	}
	if (fd >= 0)
		weft_close(fd);
	return r;
}

/* Requests come when they come, whether the earlier ones have been answered or not. */
static int make_requests(void *arg)
{
	weft_time start = weft_now(), when = start, end = start + WEFT_SEC(seconds), settled = start + WEFT_SEC(seconds) / 4;
	long before = 0;
	int r = 0;
	(void)arg;
	for (long i = 0; when < end && (r == 0 || r == -EAGAIN); i++) {
		when = start + (int64_t)((double)i * 1e9 / rate);
		weft_sleep_until(when);
		if (when <= settled)
			before = answered;
		r = weft_chan_try_send(due, &when);
	}
	answers_per_second = (double)(answered - before) / ((double)(weft_now() - settled) / 1e9);
	while (weft_chan_try_recv(due, &when) == 1)
		; /* nobody waits for those any more */
	weft_chan_close(due);
	return 0;
}

static int be_world(void *arg)
{
	struct weft_scope scope;
	(void)arg;
	int r = weft_chan_create(&due, sizeof(weft_time), REQUESTS_MAX);
	if (r == 0)
		r = start_service(&remote);
	if (r == 0)
		r = weft_scope_open(&scope, NULL);
	if (r != 0)
		return r;
	for (long i = 0; i < client_count && r == 0; i++)
		r = weft_scope_go(&scope, be_client, (void *)i);
	if (r == 0)
		r = weft_scope_go(&scope, make_requests, NULL);
	int failed = weft_scope_close(&scope);
	weft_close(remote.listener);
	weft_chan_destroy(due);
	return r != 0 ? r : failed;
}

/* ---- the two processes ----------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The gateway has ended. */
static void report(void)
{
	struct rusage used;
	long n = answered < REQUESTS_MAX ? answered : REQUESTS_MAX;
	getrusage(RUSAGE_CHILDREN, &used);
	double cpu_ms = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
	qsort(latency_us, (size_t)n, sizeof *latency_us, compare);
	printf("asked for %.1f requests/s, answered %.1f/s, with %.2f ms of CPU each; latency p50 %.0f ms, p99 %.0f ms; "
	       "%ld waited at a time, %ld wrong\n", rate, answers_per_second, n ? cpu_ms / (double)n : 0, latency_us[n / 2] / 1e3,
	       latency_us[n * 99 / 100] / 1e3, most_waiting, wrong);
}

/* Without the runtime: both processes are to have the listeners of both. */
static void open_listener(struct service *s)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof name;
	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(s->listener, (struct sockaddr *)&name, len) != 0 || listen(s->listener, CLIENTS_MAX) != 0 ||
	    getsockname(s->listener, (struct sockaddr *)&name, &len) != 0)
		perror("gateway: listen"), exit(1);
	snprintf(s->addr, sizeof s->addr, "127.0.0.1:%d", ntohs(name.sin_port));
}

static int run(void)
{
	struct weft_config config;
	int world[2], status = 1;
	open_listener(&remote);
	open_listener(&gateway);
	if (pipe(world) != 0)
		return -errno;
	pid_t pid = fork(); /* before a runtime runs: each process starts its own */
	if (pid < 0)
		return -errno;
	close(pid == 0 ? world[1] : world[0]);
	close(pid == 0 ? remote.listener : gateway.listener);
	if (pid == 0)
		exit(weft_run(NULL, be_gateway, &world[0]) != 0);
	weft_config_init(&config);
	config.maxprocs = 1;
	int r = weft_run(&config, be_world, NULL);
	close(world[1]);
	waitpid(pid, &status, 0);
	report();
	return r != 0 ? r : status != 0 || wrong != 0;
}

static bool read_options(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		char *rest;
		long number = strtol(value, &rest, 10);
		if (strcmp(name, "--wait") == 0) {
			wait_ms[0] = wait_ms[1] = number;
			if (*rest == '-')
				wait_ms[1] = strtol(rest + 1, &rest, 10);
		} else if (strcmp(name, "--work") == 0) {
			work_ms = number;
		} else if (strcmp(name, "--rate") == 0) {
			rate = strtod(value, &rest);
		} else if (strcmp(name, "--clients") == 0) {
			client_count = number;
		} else if (strcmp(name, "--seconds") == 0) {
			seconds = number;
		} else {
			return false;
		}
		if (*rest != '\0')
			return false;
	}
	if (rate == 0)
		rate = 980.0 * weft_maxprocs() / (double)(work_ms > 0 ? work_ms : 1);
	return argc % 2 == 1 && wait_ms[0] >= 0 && wait_ms[1] >= wait_ms[0] && work_ms >= 0 && rate > 0 && seconds > 0 &&
	       rate * (double)seconds < (double)REQUESTS_MAX && client_count > 0 && client_count <= CLIENTS_MAX;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fputs("usage: gateway [--wait MS[-MS]] [--work MS] [--rate N] [--clients N] [--seconds N]\n", stderr);
		return 2;
	}
	int r = run();
	if (r < 0)
		fprintf(stderr, "gateway: %s\n", weft_strerror(r));
	return r != 0;
}
