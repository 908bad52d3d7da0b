/* mutex_contended [TASKS [ROUNDS [NS]]]: tasks that lock one mutex, add one, and unlock it, each time after NS of their own work;
 * ns per pair, the work included. */
#include "bench.h"

static long tasks, rounds, sum, steps;
static struct weft_mutex mutex;

static void work(long n)
{
	for (long i = 0; i < n; i++)
		__asm__ volatile("");
}

/* How many steps of work take so long. */
static long steps_of(long ns)
{
	enum { MANY = 1000000 };
	weft_time least = WEFT_MS(1000);
	for (int i = 0; i < 5; i++) {
		weft_time start = weft_now();
		work(MANY);
		weft_time took = weft_now() - start;
		least = took < least ? took : least;
	}
	return ns * MANY / (long)least;
}

static int task(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		work(steps);
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
	long ns = bench_arg(argv, 3, 0);
	steps = ns > 0 ? steps_of(ns) : 0;
	return weft_run(NULL, body, NULL);
}
