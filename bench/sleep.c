/* sleep [US [COUNT]]: one coroutine sleeps in an idle process; how long it slept: median, 99th percentile and
 * maximum, in us. */
#include "bench.h"

static long us, count;

static int body(void *arg)
{
	int64_t *slept = calloc((size_t)count, sizeof *slept);
	char name[32];
	(void)arg;
	for (long i = 0; i < count; i++) {
		weft_time start = weft_now();
		weft_sleep(WEFT_US(us));
		slept[i] = weft_now() - start;
	}
	snprintf(name, sizeof name, "sleep_%ldus", us);
	bench_points(name, slept, count);
	free(slept);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	us = bench_arg(argv, 1, 50);
	count = bench_arg(argv, 2, 2000);
	return weft_run(NULL, body, NULL);
}
