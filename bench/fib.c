/* fib [N]: every call with n >= 2 spawns coroutines for n - 1 and n - 2 and joins them; ms, first (cold) and second (warm) run. */
#include "bench.h"

static int fib(void *arg)
{
	intptr_t n = (intptr_t)arg;
	struct weft_co *a, *b;
	int x, y;
	if (n < 2)
		return (int)n;
	must(weft_spawn(&a, NULL, fib, (void *)(n - 1)));
	must(weft_spawn(&b, NULL, fib, (void *)(n - 2)));
	must(weft_join(a, &x));
	must(weft_join(b, &y));
	return x + y;
}

static void run(intptr_t n, const char *name)
{
	struct weft_co *co;
	int result;
	weft_time start = weft_now();
	must(weft_spawn(&co, NULL, fib, (void *)n));
	must(weft_join(co, &result));
	bench_out(name, (double)(weft_now() - start) / 1e6, "ms");
	fprintf(stderr, "fib(%ld) = %d\n", (long)n, result);
}

static int body(void *arg)
{
	char name[32];
	snprintf(name, sizeof name, "fib%ld_wg.cold", (long)(intptr_t)arg);
	run((intptr_t)arg, name);
	snprintf(name, sizeof name, "fib%ld_wg.warm", (long)(intptr_t)arg);
	run((intptr_t)arg, name);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, (void *)(intptr_t)bench_arg(argv, 1, 25));
}
