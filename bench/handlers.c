/* handlers [US [COUNT [CLIENTS]]]: clients that each ask for COUNT / CLIENTS pieces of work, one after the other; each piece is
 * a coroutine that computes for US microseconds. Pieces per second: what processors share. */
#include "bench.h"

static long us, count, clients;

static int handler(void *arg)
{
	(void)arg;
	bench_spin(us * 1000);
	return 0;
}

static int client(void *arg)
{
	(void)arg;
	for (long i = 0; i < count / clients; i++) {
		struct weft_co *co;
		must(weft_spawn(&co, NULL, handler, NULL));
		must(weft_join(co, NULL));
	}
	return 0;
}

static int body(void *arg)
{
	struct weft_co **co = calloc((size_t)clients, sizeof *co);
	char name[64];
	(void)arg;
	weft_time start = weft_now();
	for (long i = 0; i < clients; i++)
		must(weft_spawn(&co[i], NULL, client, NULL));
	for (long i = 0; i < clients; i++)
		must(weft_join(co[i], NULL));
	snprintf(name, sizeof name, "handlers_%ldus_x%ld", us, clients);
	bench_out(name, (double)count / ((double)(weft_now() - start) / 1e9), "per_s");
	free(co);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	us = bench_arg(argv, 1, 200);
	count = bench_arg(argv, 2, 5000);
	clients = bench_arg(argv, 3, 8);
	return weft_run(NULL, body, NULL);
}
