/* yield [TASKS [ROUNDS]]: tasks that do nothing but yield; ns per yield. */
#include "bench.h"

static long tasks, rounds;

static int task(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++)
		weft_yield();
	return 0;
}

static int body(void *arg)
{
	struct weft_co **co = calloc((size_t)tasks, sizeof *co);
	char name[32];
	(void)arg;
	weft_time start = weft_now();
	for (long i = 0; i < tasks; i++)
		must(weft_spawn(&co[i], NULL, task, NULL));
	for (long i = 0; i < tasks; i++)
		must(weft_join(co[i], NULL));
	snprintf(name, sizeof name, "yield%ld", tasks);
	bench_out(name, (double)(weft_now() - start) / ((double)tasks * (double)rounds), "ns");
	free(co);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	tasks = bench_arg(argv, 1, 2);
	rounds = bench_arg(argv, 2, 20000000 / tasks);
	return weft_run(NULL, body, NULL);
}
