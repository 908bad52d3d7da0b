/* select [COUNT [CAPACITY [CHANNELS]]]: one coroutine selects over channels that are each fed by another; ns per value. */
#include <errno.h>

#include "bench.h"

static long share; /* of each channel */

static int feed(void *arg)
{
	struct weft_chan *chan = arg;
	for (long i = 1; i <= share; i++)
		must(weft_chan_send(chan, &i));
	return 0;
}

static int body(void *arg)
{
	long *args = arg, capacity = args[1], n = args[2], value, sum = 0;
	struct weft_case *cases = calloc((size_t)n, sizeof *cases);
	must(cases ? 0 : -ENOMEM);
	share = args[0] / n;
	for (long i = 0; i < n; i++) {
		cases[i].op = WEFT_OP_RECV;
		cases[i].elem = &value;
		must(weft_chan_create(&cases[i].chan, sizeof(long), (size_t)capacity));
		must(weft_go(feed, cases[i].chan));
	}
	weft_time start = weft_now();
	for (long i = 0; i < n * share; i++, sum += value)
		must(weft_select(cases, (int)n, WEFT_NEVER));
	bench_out(capacity ? "select_buf" : "select", (double)(weft_now() - start) / (double)(n * share), "ns");
	free(cases);
	return must(sum == n * (share * (share + 1) / 2) ? 0 : -EIO);
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, (long[]){ bench_arg(argv, 1, 6000000), bench_arg(argv, 2, 0), bench_arg(argv, 3, 4) });
}
