/* echo_hogs ADDRESS [HOGS]: an echo server in whose process HOGS (2) coroutines run loops without calls. For a load generator from
 * outside (scripts/bench.sh). */
#include "bench.h"

static int hog(void *arg)
{
	volatile unsigned long n = 0;
	(void)arg;
	for (;;)
		n = n + 1;
	return 0;
}

static int serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[4096];
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0 && weft_write(fd, buf, (size_t)n) == n)
		;
	return weft_close(fd);
}

static int body(void *arg)
{
	char **argv = arg;
	if (!argv[1]) {
		fprintf(stderr, "usage: echo_hogs ADDRESS [HOGS]\n");
		return 2;
	}
	int listener = must(weft_listen(argv[1], 0));
	for (long i = bench_arg(argv, 2, 2); i > 0; i--)
		must(weft_go(hog, NULL));
	for (;;)
		must(weft_go(serve, (void *)(intptr_t)must(weft_accept(listener, NULL, NULL))));
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, argv);
}
