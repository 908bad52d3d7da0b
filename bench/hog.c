/* hog [HOGS [BLOCKED]]: a coroutine wakes every millisecond on a fixed schedule for 3 s, while HOGS others run loops without
 * calls and BLOCKED others sit in read(2) on an empty pipe; how late it was: median, 99th percentile and maximum in us, of
 * those after the first 100. */
#include "bench.h"

#include <unistd.h>

enum { TICKS = 3000, SKIPPED = 100 };

static volatile bool stop;
static int64_t late[TICKS];
static int pipe_fds[2];

static int hog(void *arg)
{
	volatile unsigned long n = 0;
	(void)arg;
	while (!stop)
		n = n + 1;
	return 0;
}

static int blocked(void *arg)
{
	char c;
	(void)arg;
	return (int)read(pipe_fds[0], &c, 1);
}

static int tick(void *arg)
{
	weft_time when = weft_now();
	(void)arg;
	for (int i = 0; i < TICKS; i++) {
		when += WEFT_MS(1);
		weft_sleep_until(when);
		late[i] = weft_now() - when;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void report(long hogs, long blocks)
{
	static const struct { const char *name; int at; } points[] = { { "p50", 50 }, { "p99", 99 }, { "max", 100 } };
	int n = TICKS - SKIPPED;
	qsort(late + SKIPPED, (size_t)n, sizeof late[0], compare);
	for (int i = 0; i < 3; i++) {
		char name[64];
		int at = n * points[i].at / 100;
		snprintf(name, sizeof name, "tick_hogs%ld_blocked%ld_%s", hogs, blocks, points[i].name);
		bench_out(name, (double)late[SKIPPED + (at < n ? at : n - 1)] / 1e3, "us");
	}
}

static int body(void *arg)
{
	char **argv = arg;
	long hogs = bench_arg(argv, 1, 4), blocks = bench_arg(argv, 2, 0);
	struct weft_co *co;
	if (pipe(pipe_fds) != 0)
		return 1;
	must(weft_spawn(&co, NULL, tick, NULL));
	weft_sleep(WEFT_MS(5));
	for (long i = 0; i < hogs; i++)
		must(weft_go(hog, NULL));
	for (long i = 0; i < blocks; i++)
		must(weft_go(blocked, NULL));
	must(weft_join(co, NULL));
	stop = true;
	for (long i = 0; i < blocks; i++)
		if (write(pipe_fds[1], "x", 1) != 1)
			return 1;
	report(hogs, blocks);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, argv);
}
