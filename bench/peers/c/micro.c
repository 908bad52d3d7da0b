/* micro BENCH [SIZE...]: the benchmarks of bench/ with threads, by the same names, with the same sizes in the same order; and, as
 * `anchors`, what the machine and the kernel take for the steps that all of them are made of. Prints lines "name.pN VALUE UNIT", N
 * being the CPUs that the process may use (taskset). */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK = 65536 };

static char **sizes;

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void out(const char *name, double value, const char *unit)
{
	cpu_set_t cpus;
	sched_getaffinity(0, sizeof cpus, &cpus);
	printf("%s.p%d %.3f %s\n", name, CPU_COUNT(&cpus), value, unit);
	fflush(stdout);
}

static void out_each(const char *name, int64_t since, long n) { out(name, (double)(now_ns() - since) / (double)n, "ns"); }

static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
		exit(1);
	}
}

/* The i-th size, from 0, or a default. */
static long size(int i, long fallback)
{
	for (int k = 0; k <= i; k++)
		if (!sizes[k])
			return fallback;
	return atol(sizes[i]);
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	must(pthread_create(&thread, &attr, run, arg) == 0, "pthread_create");
	pthread_attr_destroy(&attr);
	return thread;
}

static pthread_t *start_all(long n, void *(*run)(void *))
{
	pthread_t *threads = calloc((size_t)n, sizeof *threads);
	must(threads != NULL, "memory");
	for (long i = 0; i < n; i++)
		threads[i] = start(run, (void *)(intptr_t)i);
	return threads;
}

static void join_all(pthread_t *threads, long n)
{
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void out_points(const char *name, int64_t *ns, long n)
{
	static const struct { const char *name; int at; } points[] = { { "p50", 50 }, { "p99", 99 }, { "max", 100 } };
	qsort(ns, (size_t)n, sizeof *ns, compare);
	for (int i = 0; i < 3; i++) {
		char full[96];
		long at = n * points[i].at / 100;
		snprintf(full, sizeof full, "%s_%s", name, points[i].name);
		out(full, (double)ns[at < n ? at : n - 1] / 1e3, "us");
	}
}

/* ---- switching, ending ------------------------------------------------------------------------------------------------- */

static long rounds;
static pthread_barrier_t barrier;

static void *yield_task(void *arg)
{
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < rounds; i++)
		sched_yield();
	return arg;
}

static void yield(void)
{
	char name[32];
	long tasks = size(0, 2);
	rounds = size(1, 20000000 / tasks);
	pthread_barrier_init(&barrier, NULL, (unsigned)tasks + 1);
	pthread_t *threads = start_all(tasks, yield_task);
	int64_t since = now_ns();
	pthread_barrier_wait(&barrier);
	join_all(threads, tasks);
	snprintf(name, sizeof name, "yield%ld", tasks);
	out_each(name, since, tasks * rounds);
}

static void *nothing(void *arg) { return arg; }

static void spawn(void)
{
	char name[32];
	long count = size(0, 5000000), batch = size(1, 1);
	int64_t since = now_ns();
	for (long done = 0; done < count; done += batch)
		join_all(start_all(batch, nothing), batch);
	snprintf(name, sizeof name, "spawn%ld", batch);
	out_each(name, since, count);
}

/* ---- handing over ------------------------------------------------------------------------------------------------------ */

static sem_t *sems;
static long nsems, token;

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		;
}

static void make_sems(long n)
{
	nsems = n;
	sems = calloc((size_t)n, sizeof *sems);
	must(sems != NULL, "memory");
	for (long i = 0; i < n; i++)
		sem_init(&sems[i], 0, 0);
}

static void *answer(void *arg)
{
	for (long i = 0; i < rounds; i++) {
		wait_for(&sems[1]);
		sem_post(&sems[0]);
	}
	return arg;
}

static void pingpong_by(const char *name)
{
	rounds = size(0, 3000000);
	make_sems(2);
	pthread_t thread = start(answer, NULL);
	int64_t since = now_ns();
	for (long i = 0; i < rounds; i++) {
		sem_post(&sems[1]);
		wait_for(&sems[0]);
	}
	out_each(name, since, rounds);
	pthread_join(thread, NULL);
}

static void sem_pingpong(void) { pingpong_by("sem_pingpong"); }

static void *member(void *arg)
{
	long i = (long)(intptr_t)arg;
	bool last;
	do {
		wait_for(&sems[i]);
		last = token-- <= 0;
		sem_post(&sems[(i + 1) % nsems]);
	} while (!last);
	return arg;
}

static void ring(void)
{
	token = size(0, 5000000);
	long hops = token, members = size(1, 503);
	make_sems(members);
	pthread_t *threads = start_all(members, member);
	int64_t since = now_ns();
	sem_post(&sems[0]);
	join_all(threads, members);
	out_each("ring", since, hops);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t conds[2] = { PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER };
static int turn;

static void *play(void *arg)
{
	int me = (int)(intptr_t)arg;
	pthread_mutex_lock(&lock);
	for (long i = 0; i < rounds; i++) {
		while (turn != me)
			pthread_cond_wait(&conds[me], &lock);
		turn = !me;
		pthread_cond_signal(&conds[!me]);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static void cond_pingpong(void)
{
	rounds = size(0, 3000000);
	int64_t since = now_ns();
	join_all(start_all(2, play), 2);
	out_each("cond_pingpong", since, rounds);
}

/* ---- a channel: a ring under a mutex ----------------------------------------------------------------------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t not_full, not_empty;
	long *values, capacity, head, count;
	bool closed;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .not_full = PTHREAD_COND_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER };

static long share, sum;

static void open_queue(long capacity)
{
	queue.capacity = capacity;
	queue.values = calloc((size_t)capacity, sizeof *queue.values);
	must(queue.values != NULL, "memory");
}

static void put(long value)
{
	pthread_mutex_lock(&queue.lock);
	while (queue.count == queue.capacity)
		pthread_cond_wait(&queue.not_full, &queue.lock);
	queue.values[(queue.head + queue.count++) % queue.capacity] = value;
	pthread_cond_signal(&queue.not_empty);
	pthread_mutex_unlock(&queue.lock);
}

static bool take(long *value)
{
	pthread_mutex_lock(&queue.lock);
	while (queue.count == 0 && !queue.closed)
		pthread_cond_wait(&queue.not_empty, &queue.lock);
	bool some = queue.count > 0;
	if (some) {
		*value = queue.values[queue.head];
		queue.head = (queue.head + 1) % queue.capacity;
		queue.count--;
	}
	pthread_cond_signal(&queue.not_full);
	pthread_mutex_unlock(&queue.lock);
	return some;
}

static void close_queue(void)
{
	pthread_mutex_lock(&queue.lock);
	queue.closed = true;
	pthread_cond_broadcast(&queue.not_empty);
	pthread_mutex_unlock(&queue.lock);
}

static void *produce(void *arg)
{
	long first = (long)(intptr_t)arg * share;
	for (long i = 0; i < share; i++)
		put(first + i);
	return arg;
}

static void *consume(void *arg)
{
	long value, part = 0;
	while (take(&value))
		part += value;
	pthread_mutex_lock(&lock);
	sum += part;
	pthread_mutex_unlock(&lock);
	return arg;
}

static void pass_by_queue(const char *name, long count, long capacity, long sides)
{
	share = count / sides;
	open_queue(capacity);
	int64_t since = now_ns();
	pthread_t *consumers = start_all(sides, consume);
	join_all(start_all(sides, produce), sides);
	close_queue();
	join_all(consumers, sides);
	out_each(name, since, share * sides);
	must(sum == share * sides * (share * sides - 1) / 2, "wrong sum");
}

static void chan_spsc(void) { pass_by_queue("chan_spsc", size(0, 20000000), size(1, 128), 1); }

static void chan_mpmc(void) { pass_by_queue("chan_mpmc", size(0, 10000000), size(1, 128), size(2, 4)); }

/* ---- locks ------------------------------------------------------------------------------------------------------------- */

static void *add(void *arg)
{
	for (long i = 0; i < rounds; i++) {
		pthread_mutex_lock(&lock);
		sum++;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static void *sleep_for_ever(void *arg)
{
	pause();
	return arg;
}

/* A second thread, so that libc takes no short cut for processes that have one. */
static void mutex(void)
{
	rounds = size(0, 100000000);
	start(sleep_for_ever, NULL);
	int64_t since = now_ns();
	add(NULL);
	out_each("mutex", since, rounds);
}

static void mutex_contended(void)
{
	long tasks = size(0, 8);
	rounds = size(1, 2000000);
	int64_t since = now_ns();
	join_all(start_all(tasks, add), tasks);
	out_each("mutex_cont", since, tasks * rounds);
	must(sum == tasks * rounds, "lost");
}

/* ---- waiting ----------------------------------------------------------------------------------------------------------- */

static void sleep_exactly(void)
{
	char name[32];
	long us = size(0, 50), count = size(1, 2000);
	int64_t *slept = calloc((size_t)count, sizeof *slept);
	must(slept != NULL, "memory");
	for (long i = 0; i < count; i++) {
		int64_t since = now_ns();
		nanosleep(&(struct timespec){ us / 1000000, us % 1000000 * 1000 }, NULL);
		slept[i] = now_ns() - since;
	}
	snprintf(name, sizeof name, "sleep_%ldus", us);
	out_points(name, slept, count);
	free(slept);
}

static volatile bool stop;

static struct work {
	volatile long done;
	char line[128 - sizeof(long)];
} work[64];

static void *loop(void *arg)
{
	struct work *w = &work[(intptr_t)arg];
	for (unsigned long x = 1; !stop; w->done = w->done + 1)
		for (int i = 0; i < 1000; i++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			__asm__ volatile("" : "+r"(x));
		}
	return arg;
}

static void out_work(long n, double seconds)
{
	long least = work[0].done, most = least;
	for (long i = 0; i < n; i++) {
		sum += work[i].done;
		least = work[i].done < least ? work[i].done : least;
		most = work[i].done > most ? work[i].done : most;
	}
	out("hog.work", (double)sum * 1000 / 1e6 / seconds, "Mstep/s");
	out("hog.unfair", (double)most / (double)(least > 0 ? least : 1), "ratio");
}

static void hog(void)
{
	enum { TICKS = 3000, SKIPPED = 100 };
	static int64_t late[TICKS];
	long hogs = size(0, 4);
	must(hogs <= 64, "hogs");
	pthread_t *threads = start_all(hogs, loop);
	int64_t since = now_ns(), when = since;
	for (int i = 0; i < TICKS; i++) {
		when += 1000000;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){ when / 1000000000, when % 1000000000 }, NULL);
		late[i] = now_ns() - when;
	}
	stop = true;
	double seconds = (double)(now_ns() - since) / 1e9;
	join_all(threads, hogs);
	out_points(hogs ? "hog" : "tick", late + SKIPPED, TICKS - SKIPPED);
	if (hogs)
		out_work(hogs, seconds);
}

/* ---- anchors ----------------------------------------------------------------------------------------------------------- */

static ucontext_t here, there;

static void switch_back(void)
{
	for (;;)
		swapcontext(&there, &here);
}

static void measure_switches(long n)
{
	getcontext(&there);
	there.uc_stack.ss_sp = malloc(STACK);
	there.uc_stack.ss_size = STACK;
	must(there.uc_stack.ss_sp != NULL, "memory");
	makecontext(&there, switch_back, 0);
	int64_t since = now_ns();
	for (long i = 0; i < n; i++)
		swapcontext(&here, &there);
	out_each("anchor_swapcontext", since, 2 * n);
	free(there.uc_stack.ss_sp);
}

static void measure_steps(long n)
{
	struct timespec t;
	long counter = 0;
	int64_t since = now_ns();
	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	out_each("anchor_syscall", since, n);
	since = now_ns();
	for (long i = 0; i < n; i++)
		clock_gettime(CLOCK_MONOTONIC, &t);
	out_each("anchor_clock", since, n);
	since = now_ns();
	for (long i = 0; i < n; i++)
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
	out_each("anchor_atomic_add", since, n);
}

static void measure_faults(long pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, (size_t)pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(memory != MAP_FAILED, "mmap");
	madvise(memory, (size_t)pages * page, MADV_NOHUGEPAGE);
	int64_t since = now_ns();
	for (long i = 0; i < pages; i++)
		memory[(size_t)i * page] = 1;
	out_each("anchor_page_fault", since, pages);
	munmap(memory, (size_t)pages * page);
}

static volatile long line __attribute__((aligned(128)));

static void *bounce(void *arg)
{
	for (long i = 0; i < rounds; i++) {
		while (line != 2 * i + 1)
			;
		line = 2 * i + 2;
	}
	return arg;
}

/* A cache line from CPU to CPU and back; nothing to see with one. */
static void measure_line(long n)
{
	cpu_set_t cpus;
	sched_getaffinity(0, sizeof cpus, &cpus);
	if (CPU_COUNT(&cpus) < 2)
		return;
	rounds = n;
	pthread_t thread = start(bounce, NULL);
	int64_t since = now_ns();
	for (long i = 0; i < n; i++) {
		line = 2 * i + 1;
		while (line != 2 * i + 2)
			;
	}
	out_each("anchor_cache_line", since, n);
	pthread_join(thread, NULL);
}

static void anchors(void)
{
	long n = size(0, 1000000);
	measure_switches(n);
	measure_steps(n);
	measure_faults(n / 50);
	measure_line(n);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); } benches[] = {
		{ "anchors", anchors }, { "chan_mpmc", chan_mpmc }, { "chan_spsc", chan_spsc }, { "cond_pingpong", cond_pingpong },
		{ "hog", hog }, { "mutex", mutex }, { "mutex_contended", mutex_contended }, { "ring", ring },
		{ "sem_pingpong", sem_pingpong }, { "sleep", sleep_exactly }, { "spawn", spawn }, { "yield", yield },
	};
	sizes = argv + (argc > 1 ? 2 : 1);
	for (size_t i = 0; argc > 1 && i < sizeof benches / sizeof benches[0]; i++)
		if (strcmp(argv[1], benches[i].name) == 0) {
			benches[i].run();
			return 0;
		}
	fputs("usage: micro BENCH [SIZE...]; there is no such benchmark here\n", stderr);
	return 2;
}
