/* ring [HOPS [SIZE]]: a token goes around a ring of coroutines with a channel without capacity between neighbours; ns per hop. */
#include <errno.h>

#include "bench.h"

static struct weft_chan **chans, *done;
static long size;

static int member(void *arg)
{
	intptr_t i = (intptr_t)arg;
	struct weft_chan *in = chans[i], *out = chans[(i + 1) % size];
	for (long left; must(weft_chan_recv(in, &left)) == 1;) {
		if (left == 0)
			must(weft_chan_close(done));
		else
			must(weft_chan_send(out, &(long){ left - 1 }));
	}
	return 0;
}

static int body(void *arg)
{
	long hops = *(long *)arg;
	chans = calloc((size_t)size, sizeof(struct weft_chan *));
	must(chans ? 0 : -ENOMEM);
	must(weft_chan_create(&done, 0, 0));
	for (long i = 0; i < size; i++)
		must(weft_chan_create(&chans[i], sizeof(long), 0));
	for (intptr_t i = 0; i < size; i++)
		must(weft_go(member, (void *)i));
	weft_time start = weft_now();
	must(weft_chan_send(chans[0], &hops));
	must(weft_chan_recv(done, NULL));
	bench_out("ring", (double)(weft_now() - start) / (double)hops, "ns");
	for (long i = 0; i < size; i++)
		must(weft_chan_close(chans[i]));
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	size = bench_arg(argv, 2, 503);
	return weft_run(NULL, body, &(long){ bench_arg(argv, 1, 5000000) });
}
