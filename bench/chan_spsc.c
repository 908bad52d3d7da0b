/* chan_spsc [COUNT [CAPACITY]]: one sender, one receiver, which checks the order; ns per value. */
#include <errno.h>

#include "bench.h"

static struct weft_chan *chan;
static long count;

static int produce(void *arg)
{
	(void)arg;
	for (long i = 0; i < count; i++)
		must(weft_chan_send(chan, &i));
	must(weft_chan_close(chan));
	return 0;
}

static int body(void *arg)
{
	long value, wanted = 0;
	must(weft_chan_create(&chan, sizeof(long), *(size_t *)arg));
	weft_time start = weft_now();
	must(weft_go(produce, NULL));
	while (must(weft_chan_recv(chan, &value)) == 1)
		must(value == wanted++ ? 0 : -EIO);
	must(wanted == count ? 0 : -EIO);
	bench_out("chan_spsc", (double)(weft_now() - start) / (double)count, "ns");
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 20000000);
	return weft_run(NULL, body, &(size_t){ (size_t)bench_arg(argv, 2, 128) });
}
