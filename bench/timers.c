/* timers [COUNT]: coroutines that are released together and sleep ten times each, for 1 to 100 ms by a hash of coroutine and turn.
 * ms until all have ended, the least that is possible (the longest sum of one), CPU seconds, and by how much sleeps were too long:
 * median, 99th percentile and maximum in us. */
#include <sys/resource.h>

#include "bench.h"

enum { TURNS = 10 };

static struct weft_chan *gate;
static struct weft_waitgroup all;
static int64_t *late;

static int64_t duration(long i, int turn) { return WEFT_US(1000 + (int64_t)(bench_hash((uint64_t)(i * TURNS + turn)) % 99001)); }

static int sleeper(void *arg)
{
	long i = (long)(intptr_t)arg;
	must(weft_chan_recv(gate, NULL));
	for (int turn = 0; turn < TURNS; turn++) {
		weft_time start = weft_now();
		must(weft_sleep(duration(i, turn)));
		late[i * TURNS + turn] = weft_now() - start - duration(i, turn);
	}
	weft_waitgroup_done(&all);
	return 0;
}

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void out(long count, const char *what, double value, const char *unit)
{
	char name[64];
	snprintf(name, sizeof name, "timers%ld.%s", count, what);
	bench_out(name, value, unit);
}

static int body(void *arg)
{
	long count = *(long *)arg;
	char name[64];
	int64_t ideal = 0;
	late = malloc((size_t)count * TURNS * sizeof *late);
	must(late ? 0 : -1);
	memset(late, 1, (size_t)count * TURNS * sizeof *late); /* its pages are there */
	must(weft_chan_create(&gate, 0, 0));
	weft_waitgroup_add(&all, (int)count);
	for (long i = 0; i < count; i++) {
		int64_t sum = 0;
		for (int turn = 0; turn < TURNS; turn++)
			sum += duration(i, turn);
		ideal = sum > ideal ? sum : ideal;
		must(weft_go(sleeper, (void *)(intptr_t)i));
	}
	must(weft_sleep(WEFT_MS(300)));
	double cpu = cpu_seconds();
	weft_time start = weft_now();
	must(weft_chan_close(gate));
	must(weft_waitgroup_wait(&all));
	out(count, "wall", (double)(weft_now() - start) / 1e6, "ms");
	out(count, "ideal", (double)ideal / 1e6, "ms");
	out(count, "cpu", cpu_seconds() - cpu, "s");
	snprintf(name, sizeof name, "timers%ld.late", count);
	bench_points(name, late, count * TURNS);
	free(late);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, &(long){ bench_arg(argv, 1, 10000) });
}
