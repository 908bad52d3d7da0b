/* Cases that run in a coroutine, and what must not be left after them. */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <weft/weft.h>

enum { DESCRIPTORS = 4096, THREAD_EXIT_MS = 2000 };

struct open_set {
	bool open[DESCRIPTORS];
};

static void list_open(struct open_set *set)
{
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		set->open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void check_descriptors(const struct open_set *before)
{
	struct open_set after;
	list_open(&after);
	for (int fd = 0; fd < DESCRIPTORS; fd++) {
		if (before->open[fd] == after.open[fd])
			continue;
		char link[64], target[256];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, target, sizeof target - 1);
		target[n > 0 ? n : 0] = '\0';
		test_fail(__FILE__, __LINE__, "descriptor %d is %s after the run: %s", fd,
			  after.open[fd] ? "still open" : "no longer open", target);
	}
}

/* 0 where the system does not tell. */
static int count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	if (!tasks)
		return 0;
	int n = 0;
	for (const struct dirent *e; (e = readdir(tasks));)
		n += e->d_name[0] != '.';
	closedir(tasks);
	return n;
}

/* A thread that was joined can be listed for a moment longer. */
static void check_threads(int before)
{
	for (int ms = 0; count_threads() > before; ms++) {
		if (ms == THREAD_EXIT_MS)
			test_fail(__FILE__, __LINE__, "%d threads after the run, %d before", count_threads(), before);
		nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
}

static void *do_nothing(void *arg) { return arg; }

/* Sanitizers start a thread of their own together with the first of the program. */
static int count_threads_before(void)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
		pthread_join(thread, NULL);
	return count_threads();
}

struct first {
	void (*body)(void);
};

static int run_first(void *arg)
{
	struct first *f = arg;
	f->body();
	return 0;
}

void test_run_co(void (*body)(void))
{
	static struct open_set before;
	list_open(&before);
	int threads = count_threads_before();
	struct weft_config config;
	weft_config_init(&config);
	CHECK_RESULT(weft_run(&config, run_first, &(struct first){body}), 0);
	check_threads(threads);
	check_descriptors(&before);
}
