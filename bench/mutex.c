/* mutex [N]: one coroutine locks and unlocks a mutex that nobody else wants; ns per pair. */
#include "bench.h"

static long count;

static int body(void *arg)
{
	struct weft_mutex mutex = WEFT_MUTEX_INIT;
	long x = 0;
	(void)arg;
	weft_time start = weft_now();
	for (long i = 0; i < count; i++) {
		weft_mutex_lock(&mutex);
		x++;
		weft_mutex_unlock(&mutex);
	}
	bench_out("mutex", (double)(weft_now() - start) / (double)count, "ns");
	return x == count ? 0 : 1;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 100000000);
	return weft_run(NULL, body, NULL);
}
