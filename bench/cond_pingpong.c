/* cond_pingpong [N]: two coroutines, one mutex, a condition for each. One sets the turn, signals the other and waits for its own
 * turn; ns per round trip (two signals, two waits, two switches). */
#include "bench.h"

static long count;
static struct weft_mutex mutex;
static struct weft_cond cond[2];
static int turn;

static void play(int me, long rounds)
{
	weft_mutex_lock(&mutex);
	for (long i = 0; i < rounds; i++) {
		while (turn != me)
			must(weft_cond_wait(&cond[me], &mutex));
		turn = !me;
		weft_cond_signal(&cond[!me]);
	}
	weft_mutex_unlock(&mutex);
}

static int second(void *arg)
{
	(void)arg;
	play(1, count);
	return 0;
}

static int body(void *arg)
{
	struct weft_co *co;
	(void)arg;
	weft_time start = weft_now();
	must(weft_spawn(&co, NULL, second, NULL));
	play(0, count);
	must(weft_join(co, NULL));
	bench_out("cond_pingpong", (double)(weft_now() - start) / (double)count, "ns");
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 3000000);
	return weft_run(NULL, body, NULL);
}
