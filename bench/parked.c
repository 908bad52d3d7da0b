/* parked [COUNT]: coroutines that all wait; resident bytes and page tables of each, ns to make and park one, ms to wake all. */
#include "bench.h"

#include <errno.h>

static long count;

static int wait_for_cancel(void *arg)
{
	(void)arg;
	return weft_sleep(INT64_MAX);
}

static int body(void *arg)
{
	struct weft_co **co = calloc((size_t)count, sizeof *co);
	double rss = bench_status("VmRSS:"), tables = bench_status("VmPTE:");
	struct weft_stats stats = { .size = sizeof stats };
	(void)arg;
	weft_time start = weft_now();
	for (long i = 0; i < count; i++)
		must(weft_spawn(&co[i], NULL, wait_for_cancel, NULL));
	do {
		weft_yield();
		weft_stats(&stats);
	} while (stats.parks < (uint64_t)count);
	bench_out("parked_spawn", (double)(weft_now() - start) / (double)count, "ns");
	bench_out("parked_rss", (bench_status("VmRSS:") - rss) / (double)count, "bytes");
	bench_out("parked_page_tables", (bench_status("VmPTE:") - tables) / (double)count, "bytes");
	start = weft_now();
	must(weft_shutdown(weft_after(WEFT_SEC(60))));
	for (long i = 0; i < count; i++) {
		int r = weft_join(co[i], NULL);
		if (r == -ECANCELED)
			break; /* so is this coroutine */
	}
	free(co);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 1000000);
	weft_time start = weft_now();
	int r = weft_run(NULL, body, NULL);
	printf("parked_whole_run %.3f ms\n", (double)(weft_now() - start) / 1e6);
	return r;
}
