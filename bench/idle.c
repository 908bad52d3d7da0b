/* idle [CONNECTIONS [RATE [SECONDS]]]: so many coroutines wait for data, each on a connection of its own, while RATE messages a
 * second come in over them; the CPU time of the process in percent of one CPU, and how often a thread of it was woken a second. */
#include "bench.h"

#include <sys/resource.h>
#include <sys/socket.h>

static int echo(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[64];
	ssize_t n;
	while ((n = weft_read(fd, buf, sizeof buf)) > 0 && weft_write(fd, buf, (size_t)n) == n)
		;
	return weft_close(fd);
}

static int connect_one(void)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) {
		perror("socketpair");
		exit(1);
	}
	must(weft_adopt(fds[0]));
	must(weft_adopt(fds[1]));
	must(weft_go(echo, (void *)(intptr_t)fds[0]));
	return fds[1];
}

static double cpu_seconds(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) + (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

/* Returns what the process used meanwhile. */
static struct rusage pass_time(const int *fds, long n, long rate, long seconds)
{
	struct rusage before, after;
	char byte;
	weft_time start = weft_now(), end = start + WEFT_SEC(seconds);
	getrusage(RUSAGE_SELF, &before);
	for (long i = 1; rate > 0 && start + WEFT_SEC(1) * i / rate < end; i++) {
		must(weft_sleep_until(start + WEFT_SEC(1) * i / rate));
		must((int)weft_write(fds[i % n], "x", 1));
		must((int)weft_read(fds[i % n], &byte, 1));
	}
	must(weft_sleep_until(end));
	getrusage(RUSAGE_SELF, &after);
	after.ru_utime.tv_sec -= before.ru_utime.tv_sec;
	after.ru_utime.tv_usec -= before.ru_utime.tv_usec;
	after.ru_stime.tv_sec -= before.ru_stime.tv_sec;
	after.ru_stime.tv_usec -= before.ru_stime.tv_usec;
	after.ru_nvcsw -= before.ru_nvcsw;
	return after;
}

static int body(void *arg)
{
	char **argv = arg, name[64];
	long n = bench_arg(argv, 1, 9000), rate = bench_arg(argv, 2, 0), seconds = bench_arg(argv, 3, 5);
	int *fds = calloc((size_t)n, sizeof *fds);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	for (long i = 0; i < n; i++)
		fds[i] = connect_one();
	must(weft_sleep(WEFT_SEC(1)));
	struct rusage used = pass_time(fds, n, rate, seconds);
	snprintf(name, sizeof name, "idle_%ld_rate%ld_cpu", n, rate);
	bench_out(name, 100 * cpu_seconds(&used) / (double)seconds, "%");
	snprintf(name, sizeof name, "idle_%ld_rate%ld_wakes", n, rate);
	bench_out(name, (double)used.ru_nvcsw / (double)seconds, "1/s");
	for (long i = 0; i < n; i++)
		must(weft_close(fds[i]));
	free(fds);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	return weft_run(NULL, body, argv);
}
