/* blockcall [CALLERS [TICKS]]: what calls that block cost the others, and what the ways around that cost themselves.
 *
 * A coroutine sleeps for a millisecond at a time, TICKS times, while CALLERS others block, in one way after the other; how much
 * longer that took (median, 99th percentile, maximum, in us, of those after the first 50). Ways: "raw" just calls, "enter"
 * between weft_block_enter and exit, "offload" on helpers. Calls: usleep of 2 ms, read from a pipe that is written every 2 ms,
 * pthread_mutex_lock of a mutex that is held for 20 us at a time, getaddrinfo of localhost.
 *
 * Then, in ns: the round trip of an offload of nothing; the gate (weft_yield with nobody else runnable, and a function that looks
 * at as many numbers without a gate; weft_sem_post); weft_block_enter and exit with nobody else runnable and with somebody; a wait
 * of a pinned coroutine and of one that is not; a read of a file in memory. */
#include "bench.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <unistd.h>

enum { SKIPPED = 50, TICKS_MAX = 10000 };

static volatile bool stop;
static int64_t late[TICKS_MAX];
static long ticks = 500;
static int pipe_fds[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

static int call_usleep(void *arg)
{
	(void)arg;
	return usleep(2000);
}

static int call_read(void *arg)
{
	char c;
	(void)arg;
	return (int)read(pipe_fds[0], &c, 1);
}

static int call_mutex(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex);
	bench_spin(WEFT_US(20));
	return pthread_mutex_unlock(&mutex);
}

static int call_getaddrinfo(void *arg)
{
	struct addrinfo *found;
	(void)arg;
	if (getaddrinfo("localhost", NULL, NULL, &found) == 0)
		freeaddrinfo(found);
	return 0;
}

/* ---- ways -------------------------------------------------------------------------------------------------------------- */

static weft_fn *call;

static int raw(void *arg)
{
	while (!stop) {
		call(arg);
		weft_yield();
	}
	return 0;
}

static int enter(void *arg)
{
	while (!stop) {
		weft_block_enter();
		call(arg);
		weft_block_exit();
	}
	return 0;
}

static int offload(void *arg)
{
	while (!stop)
		must(weft_offload(call, arg, NULL));
	return 0;
}

/* ---- the ticker -------------------------------------------------------------------------------------------------------- */

static int tick(void *arg)
{
	(void)arg;
	for (int i = 0; i < ticks; i++) {
		weft_time when = weft_after(WEFT_MS(1));
		weft_sleep_until(when);
		late[i] = weft_now() - when;
	}
	return 0;
}

static void *feed(void *arg)
{
	static const char text[64];
	ssize_t ignored;
	do {
		usleep(2000);
		ignored = write(pipe_fds[1], text, (size_t)(long)arg);
	} while (!stop);
	ignored = write(pipe_fds[1], text, sizeof text);
	(void)ignored;
	return NULL;
}

static void report(const char *what, const char *way)
{
	char name[64];
	snprintf(name, sizeof name, "tick_%s_%s", what, way);
	bench_points(name, late + SKIPPED, ticks - SKIPPED);
}

static void run_beside(const char *what, weft_fn *what_fn, const char *way, weft_fn *way_fn, long callers)
{
	struct weft_co *ticker, **cos = calloc((size_t)callers, sizeof(struct weft_co *));
	pthread_t feeder;
	stop = false;
	call = what_fn;
	pthread_create(&feeder, NULL, feed, (void *)(callers < 64 ? callers : 64));
	must(weft_spawn(&ticker, NULL, tick, NULL));
	for (long i = 0; i < callers; i++)
		must(weft_spawn(&cos[i], NULL, way_fn, NULL));
	must(weft_join(ticker, NULL));
	stop = true;
	for (long i = 0; i < callers; i++)
		must(weft_join(cos[i], NULL));
	weft_block_enter();
	pthread_join(feeder, NULL);
	weft_block_exit();
	free(cos);
	report(what, way);
}

/* ---- costs ------------------------------------------------------------------------------------------------------------- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void out_each(const char *name, weft_time since, long n) { bench_out(name, (double)(weft_now() - since) / (double)n, "ns"); }

/* What a yield looks at: is anybody else there, is it time to look around? */
static __attribute__((noinline)) void look_without_gate(volatile unsigned *words)
{
	words[0] = 0;
	if ((int)words[1] > 0 && !words[2] && words[3] == 0 && words[4] == words[5])
		words[1]--;
	words[6] = 1000;
}

static void measure_gate(long n)
{
	struct weft_sem sem = { 0 };
	volatile unsigned words[7] = { 0, 1u << 30 };
	weft_time since = weft_now();
	for (long i = 0; i < n; i++)
		weft_yield();
	out_each("look_with_gate", since, n);
	since = weft_now();
	for (long i = 0; i < n; i++)
		look_without_gate(words);
	out_each("look_without_gate", since, n);
	since = weft_now();
	for (long i = 0; i < n; i++)
		weft_sem_post(&sem, 1);
	out_each("gate_and_post", since, n);
}

static int yield_until_stop(void *arg)
{
	(void)arg;
	while (!stop)
		weft_yield();
	return 0;
}

static void measure_block(const char *name, long n)
{
	weft_time since = weft_now();
	for (long i = 0; i < n; i++) {
		weft_block_enter();
		weft_block_exit();
	}
	out_each(name, since, n);
}

static int answer(void *arg)
{
	struct weft_chan **chans = arg;
	for (int i; weft_chan_recv(chans[0], &i) == 1;)
		must(weft_chan_send(chans[1], &i));
	return 0;
}

static void measure_waits(const char *name, long n)
{
	struct weft_chan *chans[2];
	struct weft_co *co;
	int value = 0;
	must(weft_chan_create(&chans[0], sizeof value, 0));
	must(weft_chan_create(&chans[1], sizeof value, 0));
	must(weft_spawn(&co, NULL, answer, chans));
	weft_time since = weft_now();
	for (long i = 0; i < n; i++) {
		must(weft_chan_send(chans[0], &value));
		must(weft_chan_recv(chans[1], &value));
	}
	out_each(name, since, n);
	must(weft_chan_close(chans[0]));
	must(weft_join(co, NULL));
	weft_chan_destroy(chans[0]);
	weft_chan_destroy(chans[1]);
}

static void measure_file(long n)
{
	char buf[4096] = "", path[] = "/tmp/weft-bench-XXXXXX";
	int fd = mkstemp(path);
	unlink(path);
	must(weft_adopt(fd));
	must((int)weft_pwrite(fd, buf, sizeof buf, 0));
	weft_time since = weft_now();
	for (long i = 0; i < n; i++)
		must((int)weft_pread(fd, buf, sizeof buf, 0));
	out_each("file_read_4k", since, n);
	must(weft_close(fd));
}

static void measure_costs(void)
{
	struct weft_co *co;
	enum { FEW = 2000, MANY = 1000000 };
	weft_time since = weft_now();
	for (long i = 0; i < FEW; i++)
		must(weft_offload(nothing, NULL, NULL));
	out_each("offload", since, FEW);
	measure_gate(10 * MANY);
	measure_block("block_alone", MANY / 10);
	stop = false;
	must(weft_spawn(&co, NULL, yield_until_stop, NULL));
	measure_block("block_beside_another", FEW);
	stop = true;
	must(weft_join(co, NULL));
	measure_waits("round_trip", MANY / 10);
	weft_pin();
	measure_waits("round_trip_pinned", FEW);
	weft_unpin();
	measure_file(MANY / 10);
}

static int body(void *arg)
{
	static const struct { const char *name; weft_fn *fn; } calls[] = {
		{ "usleep", call_usleep }, { "read", call_read }, { "mutex", call_mutex }, { "getaddrinfo", call_getaddrinfo },
	}, ways[] = { { "raw", raw }, { "enter", enter }, { "offload", offload } };
	char **argv = arg;
	long callers = bench_arg(argv, 1, 64);
	ticks = bench_arg(argv, 2, ticks);
	if (callers < 1 || ticks <= 2 * SKIPPED || ticks > TICKS_MAX || pipe(pipe_fds) != 0 ||
	    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK) != 0) /* it is written when nobody reads, too */
		return 1;
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		for (size_t k = 0; k < sizeof ways / sizeof ways[0]; k++)
			run_beside(calls[i].name, calls[i].fn, ways[k].name, ways[k].fn, callers);
	measure_costs();
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, argv);
}
