/* sleep [US [COUNT]]: one coroutine sleeps in an idle process; how long it slept, median and 99th percentile in us. */
#include "bench.h"

static long us, count;

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

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
	qsort(slept, (size_t)count, sizeof *slept, compare);
	snprintf(name, sizeof name, "sleep_%ldus_p50", us);
	bench_out(name, (double)slept[count / 2] / 1e3, "us");
	snprintf(name, sizeof name, "sleep_%ldus_p99", us);
	bench_out(name, (double)slept[count * 99 / 100] / 1e3, "us");
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
