/* chain [LENGTH [ROUNDS]]: so many coroutines in a row, with channels without capacity between them. The last is given 0, each adds
 * 1 to what its neighbour says, and the first is read. The row is made anew in each round; ns per coroutine. */
#include <errno.h>

#include "bench.h"

struct link {
	struct weft_chan *left, *right;
};

static int pass_on(void *arg)
{
	struct link *l = arg;
	long n;
	must(weft_chan_recv(l->right, &n));
	n++;
	must(weft_chan_send(l->left, &n));
	return 0;
}

static long run(struct link *links, struct weft_chan **chans, long length)
{
	long n = 0;
	for (long i = 0; i <= length; i++)
		must(weft_chan_create(&chans[i], sizeof n, 0));
	for (long i = 0; i < length; i++) {
		links[i] = (struct link){ chans[i], chans[i + 1] };
		must(weft_go(pass_on, &links[i]));
	}
	must(weft_chan_send(chans[length], &n));
	must(weft_chan_recv(chans[0], &n));
	for (long i = 0; i <= length; i++)
		must(weft_chan_destroy(chans[i]));
	return n;
}

static int body(void *arg)
{
	const long *sizes = arg, length = sizes[0], rounds = sizes[1];
	struct link *links = calloc((size_t)length, sizeof *links);
	struct weft_chan **chans = calloc((size_t)length + 1, sizeof *chans);
	must(links && chans ? 0 : -ENOMEM);
	weft_time start = weft_now();
	for (long i = 0; i < rounds; i++)
		must(run(links, chans, length) == length ? 0 : -EIO);
	bench_out("chain", (double)(weft_now() - start) / (double)length / (double)rounds, "ns");
	free(links);
	free(chans);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, (long[]){ bench_arg(argv, 1, 10000), bench_arg(argv, 2, 100) });
}
