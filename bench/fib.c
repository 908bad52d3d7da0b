/* fib [N]: every call with n >= 2 makes coroutines for n - 1 and n - 2 and adds up what they say: over a channel of capacity 2
 * ("fib25"), and by handles that are joined ("fib25_join"); ms, first (cold) and second (warm) run of each. */
#include <errno.h>

#include "bench.h"

struct call {
	intptr_t n;
	struct weft_chan *answer;
};

/* The arguments of the two are on this stack, which is there until both have answered. */
static int fib(void *arg)
{
	struct call call = *(struct call *)arg;
	long sum = call.n, part;
	if (call.n >= 2) {
		struct weft_chan *parts;
		must(weft_chan_create(&parts, sizeof part, 2));
		struct call calls[] = { { call.n - 1, parts }, { call.n - 2, parts } };
		must(weft_go(fib, &calls[0]));
		must(weft_go(fib, &calls[1]));
		must(weft_chan_recv(parts, &sum));
		must(weft_chan_recv(parts, &part));
		sum += part;
		must(weft_chan_destroy(parts));
	}
	must(weft_chan_send(call.answer, &sum));
	return 0;
}

static int fib_join(void *arg)
{
	intptr_t n = (intptr_t)arg;
	struct weft_co *a, *b;
	int x, y;
	if (n < 2)
		return (int)n;
	must(weft_spawn(&a, NULL, fib_join, (void *)(n - 1)));
	must(weft_spawn(&b, NULL, fib_join, (void *)(n - 2)));
	must(weft_join(a, &x));
	must(weft_join(b, &y));
	return x + y;
}

static long run_channels(intptr_t n)
{
	struct call root = { .n = n };
	long sum;
	must(weft_chan_create(&root.answer, sizeof sum, 1));
	must(weft_go(fib, &root));
	must(weft_chan_recv(root.answer, &sum));
	must(weft_chan_destroy(root.answer));
	return sum;
}

static long run_joins(intptr_t n)
{
	struct weft_co *co;
	int result;
	must(weft_spawn(&co, NULL, fib_join, (void *)n));
	must(weft_join(co, &result));
	return result;
}

static int body(void *arg)
{
	static const struct {
		const char *kind, *turn;
		long (*run)(intptr_t n);
	} runs[] = {
		{ "_join", "cold", run_joins }, { "", "cold", run_channels },
		{ "_join", "warm", run_joins }, { "", "warm", run_channels },
	};
	intptr_t n = (intptr_t)arg;
	long result = -1;
	for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
		char name[48];
		weft_time start = weft_now();
		long found = runs[i].run(n);
		snprintf(name, sizeof name, "fib%ld%s.%s", (long)n, runs[i].kind, runs[i].turn);
		bench_out(name, (double)(weft_now() - start) / 1e6, "ms");
		must(i == 0 || found == result ? 0 : -EIO);
		result = found;
	}
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, (void *)(intptr_t)bench_arg(argv, 1, 25));
}
