/* sem_pingpong [ROUNDS]: two coroutines, a semaphore for each; post to the other, wait for one's own. ns per round trip: two posts,
 * two waits that park, two switches, and nothing else. */
#include "bench.h"

static struct weft_sem sems[2];
static long rounds;

static int second(void *arg)
{
	(void)arg;
	for (long i = 0; i < rounds; i++) {
		must(weft_sem_wait(&sems[1], 1));
		weft_sem_post(&sems[0], 1);
	}
	return 0;
}

static int body(void *arg)
{
	struct weft_co *co;
	(void)arg;
	must(weft_spawn(&co, NULL, second, NULL));
	weft_time start = weft_now();
	for (long i = 0; i < rounds; i++) {
		weft_sem_post(&sems[1], 1);
		must(weft_sem_wait(&sems[0], 1));
	}
	bench_out("sem_pingpong", (double)(weft_now() - start) / (double)rounds, "ns");
	return must(weft_join(co, NULL));
}

int main(int argc, char **argv)
{
	(void)argc;
	rounds = bench_arg(argv, 1, 3000000);
	return weft_run(NULL, body, NULL);
}
