/* spawn [COUNT [BATCH]]: coroutines with an empty body, made in batches, each batch joined before the next; ns per coroutine.
 * BATCH 1: made and joined one at a time. */
#include "bench.h"

static long count, batch;

static int task(void *arg)
{
	(void)arg;
	return 0;
}

static int body(void *arg)
{
	struct weft_co **co = calloc((size_t)batch, sizeof *co);
	char name[32];
	(void)arg;
	weft_time start = weft_now();
	for (long done = 0; done < count; done += batch) {
		for (long i = 0; i < batch; i++)
			must(weft_spawn(&co[i], NULL, task, NULL));
		for (long i = 0; i < batch; i++)
			must(weft_join(co[i], NULL));
	}
	snprintf(name, sizeof name, "spawn%ld", batch);
	bench_out(name, (double)(weft_now() - start) / (double)count, "ns");
	free(co);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 5000000);
	batch = bench_arg(argv, 2, 1);
	return weft_run(NULL, body, NULL);
}
