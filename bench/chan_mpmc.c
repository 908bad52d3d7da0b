/* chan_mpmc [COUNT [CAPACITY [SIDES]]]: as many senders as receivers, the sum is checked; ns per value. */
#include <errno.h>

#include "bench.h"

static struct weft_chan *chan, *sums;
static long share; /* of each sender */

static int consume(void *arg)
{
	long value, sum = 0;
	(void)arg;
	while (must(weft_chan_recv(chan, &value)) == 1)
		sum += value;
	must(weft_chan_send(sums, &sum));
	return 0;
}

static int produce(void *arg)
{
	long from = (long)(intptr_t)arg * share;
	for (long i = 0; i < share; i++)
		must(weft_chan_send(chan, &(long){ from + i }));
	return 0;
}

static int body(void *arg)
{
	long *args = arg, sides = args[2], sum = 0, part;
	struct weft_co **producers = calloc((size_t)sides, sizeof(struct weft_co *));
	share = args[0] / sides;
	must(producers ? 0 : -ENOMEM);
	must(weft_chan_create(&chan, sizeof(long), (size_t)args[1]));
	must(weft_chan_create(&sums, sizeof(long), 0));
	weft_time start = weft_now();
	for (long i = 0; i < sides; i++)
		must(weft_go(consume, NULL));
	for (long i = 0; i < sides; i++)
		must(weft_spawn(&producers[i], NULL, produce, (void *)(intptr_t)i));
	for (long i = 0; i < sides; i++)
		must(weft_join(producers[i], NULL));
	must(weft_chan_close(chan));
	for (long i = 0; i < sides; i++, sum += part)
		must(weft_chan_recv(sums, &part));
	long total = share * sides;
	bench_out("chan_mpmc", (double)(weft_now() - start) / (double)total, "ns");
	free(producers);
	return must(sum == total * (total - 1) / 2 ? 0 : -EIO);
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, (long[]){ bench_arg(argv, 1, 10000000), bench_arg(argv, 2, 128), bench_arg(argv, 3, 4) });
}
