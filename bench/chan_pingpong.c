/* chan_pingpong [ROUNDS]: two channels without capacity, two coroutines; ns per round trip of two sends and two receives. */
#include <errno.h>

#include "bench.h"

static struct weft_chan *there, *back;

static int echo(void *arg)
{
	long value;
	(void)arg;
	while (must(weft_chan_recv(there, &value)) == 1)
		must(weft_chan_send(back, &value));
	return 0;
}

static int body(void *arg)
{
	long rounds = *(long *)arg;
	must(weft_chan_create(&there, sizeof(long), 0));
	must(weft_chan_create(&back, sizeof(long), 0));
	must(weft_go(echo, NULL));
	weft_time start = weft_now();
	for (long i = 0; i < rounds; i++) {
		long value = -1;
		must(weft_chan_send(there, &i));
		must(weft_chan_recv(back, &value));
		must(value == i ? 0 : -EIO);
	}
	bench_out("pingpong", (double)(weft_now() - start) / (double)rounds, "ns");
	must(weft_chan_close(there));
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, &(long){ bench_arg(argv, 1, 3000000) });
}
