/* hog [HOGS [BLOCKED [KIND]]]: a coroutine wakes every millisecond on a fixed schedule for 3 s, while HOGS others run loops and
 * BLOCKED others block; how late it was: median, 99th percentile and maximum in us, of those after the first 100, and the most
 * among these (while it is found out that the others do not come back). KIND: 0 loops of arithmetic, a thousand steps of multiply
 * and add at a time (and how many they made, and how many times more one made than another), and read(2) on an empty pipe; 1 loops
 * that call functions, and pthread_mutex_lock of a mutex that is never free; 2 loops that call functions of weft which never
 * switch, and getaddrinfo(3) of localhost, over and over; 3 nanosleep(2) of 10 ms, over and over, and how many a second. */
#include "bench.h"

#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

enum { TICKS = 3000, SKIPPED = 100, STEPS = 1000, WORKERS_MAX = 1024 };

static volatile bool stop;
static int64_t late[TICKS];
static int pipe_fds[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static struct work {
	volatile long done;
	char line[128 - sizeof(long)];
} work[WORKERS_MAX];

static int loop(void *arg)
{
	struct work *w = arg;
	for (unsigned long x = 1; !stop; w->done = w->done + 1)
		for (int i = 0; i < STEPS; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			__asm__ volatile("" : "+r"(x));
		}
	return 0;
}

static __attribute__((noinline)) unsigned long mix(unsigned long n)
{
	__asm__ volatile("" : "+r"(n));
	return n * 2654435761u + 1;
}

static int loop_with_calls(void *arg)
{
	unsigned long n = 1;
	(void)arg;
	while (!stop)
		n = mix(n);
	return 0;
}

static int loop_with_calls_of_weft(void *arg)
{
	static struct weft_sem empty;
	(void)arg;
	while (!stop && weft_sem_trywait(&empty, 1) != 0)
		;
	return 0;
}

static const struct {
	const char *name;
	weft_fn *run;
} kinds[] = { { "", loop }, { "_calls", loop_with_calls }, { "_weft", loop_with_calls_of_weft } };

static int block_in_read(void *arg)
{
	char c;
	(void)arg;
	return (int)read(pipe_fds[0], &c, 1);
}

static int block_in_lock(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&mutex);
	return pthread_mutex_unlock(&mutex);
}

static int block_in_lookups(void *arg)
{
	struct addrinfo *found;
	(void)arg;
	while (!stop)
		if (getaddrinfo("localhost", NULL, NULL, &found) == 0)
			freeaddrinfo(found);
	return 0;
}

static int block_in_naps(void *arg)
{
	for (struct work *w = arg; !stop; w->done = w->done + 1)
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
	return 0;
}

/* A plain thread: whoever locks a mutex unlocks it. */
static void *hold_mutex(void *held)
{
	pthread_mutex_lock(&mutex);
	sem_post(held);
	while (!stop)
		usleep(1000);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static const struct {
	const char *name;
	weft_fn *run;
} blockers[] = {
	{ "_read", block_in_read }, { "_lock", block_in_lock }, { "_lookup", block_in_lookups }, { "_nap", block_in_naps },
};

static int tick(void *arg)
{
	weft_time when = weft_now();
	(void)arg;
	for (int i = 0; i < TICKS; i++) {
		when += WEFT_MS(1);
		weft_sleep_until(when);
		late[i] = weft_now() - when;
	}
	return 0;
}

/* "tick" when nobody disturbs, "hog" beside loops, "blockcall64" beside so many calls that block and nothing else. */
static void report(long hogs, long blocks, const char *kind)
{
	char name[48] = "tick", first[64];
	if (hogs > 0)
		snprintf(name, sizeof name, "hog%s", kind);
	else if (blocks > 0)
		snprintf(name, sizeof name, "blockcall%ld%s", blocks, kind);
	snprintf(first, sizeof first, "%s_first", name);
	qsort(late, SKIPPED, sizeof late[0], bench_compare);
	bench_out(first, (double)late[SKIPPED - 1] / 1e3, "us");
	bench_points(name, late + SKIPPED, TICKS - SKIPPED);
}

static void report_work(long first, long n, double seconds, bool steps)
{
	long sum = 0, least = work[first].done, most = least;
	for (long i = first; i < first + n; i++) {
		long done = work[i].done;
		sum += done;
		least = done < least ? done : least;
		most = done > most ? done : most;
	}
	if (!steps) {
		char name[48];
		snprintf(name, sizeof name, "blockcall%ld_nap.calls", n);
		bench_out(name, (double)sum / seconds, "1/s");
		return;
	}
	bench_out("hog.work", (double)sum * STEPS / 1e6 / seconds, "Mstep/s");
	bench_out("hog.unfair", (double)most / (double)(least > 0 ? least : 1), "ratio");
}

static int body(void *arg)
{
	char **argv = arg;
	long hogs = bench_arg(argv, 1, 4), blocks = bench_arg(argv, 2, 0), kind = bench_arg(argv, 3, 0) % 4;
	struct weft_co *co;
	if (pipe(pipe_fds) != 0 || hogs + blocks > WORKERS_MAX)
		return 1;
	must(weft_spawn(&co, NULL, tick, NULL));
	weft_sleep(WEFT_MS(5));
	weft_time start = weft_now();
	for (long i = 0; i < hogs; i++)
		must(weft_go(kinds[kind % 3].run, &work[i]));
	for (long i = 0; i < blocks; i++)
		must(weft_go(blockers[kind].run, &work[hogs + i]));
	must(weft_join(co, NULL));
	stop = true;
	double seconds = (double)(weft_now() - start) / 1e9;
	for (long i = 0; i < blocks; i++)
		if (write(pipe_fds[1], "x", 1) != 1)
			return 1;
	report(hogs, blocks, blocks > 0 ? blockers[kind].name : kinds[kind % 3].name);
	if (hogs > 0 && kind == 0)
		report_work(0, hogs, seconds, true);
	if (blocks > 0 && kind == 3)
		report_work(hogs, blocks, seconds, false);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t holder;
	sem_t held;
	(void)argc;
	if (sem_init(&held, 0, 0) != 0 || pthread_create(&holder, NULL, hold_mutex, &held) != 0 || sem_wait(&held) != 0)
		return 1;
	int result = weft_run(NULL, body, argv);
	stop = true;
	return pthread_join(holder, NULL) != 0 || result != 0;
}
