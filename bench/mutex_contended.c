/* mutex_contended [TASKS [ROUNDS]]: tasks that lock one mutex, add one, and unlock it; ns per pair. */
#include "bench.h"

static long tasks, rounds, sum;
static struct weft_mutex mutex;

static int task(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		weft_mutex_lock(&mutex);
		sum++;
		weft_mutex_unlock(&mutex);
	}
	return 0;
}

static int body(void *arg)
{
	struct weft_co **co = calloc((size_t)tasks, sizeof *co);
	(void)arg;
	weft_time start = weft_now();
	for (long i = 0; i < tasks; i++)
		must(weft_spawn(&co[i], NULL, task, NULL));
	for (long i = 0; i < tasks; i++)
		must(weft_join(co[i], NULL));
	bench_out("mutex_cont", (double)(weft_now() - start) / ((double)tasks * (double)rounds), "ns");
	free(co);
	return sum == tasks * rounds ? 0 : 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	tasks = bench_arg(argv, 1, 8);
	rounds = bench_arg(argv, 2, 2000000);
	return weft_run(NULL, body, NULL);
}
