/* parked [COUNT [DEEP]]: coroutines that all wait for one channel; ms until the last runs, resident bytes and page tables of each,
 * ms from closing the channel until all have ended. DEEP 1 ("parked_deep"): each has called a function with 6000 bytes of locals
 * before. */
#include "bench.h"

static struct weft_chan *gate;
static struct weft_waitgroup all;
static long count, up;
static bool deep;
static struct weft_mutex lock;

static __attribute__((noinline)) int fill_stack(int seed)
{
	volatile char bytes[6000];
	for (int i = 0; i < 6000; i++)
		bytes[i] = (char)(seed + i);
	return bytes[seed % 6000];
}

static int wait_for_gate(void *arg)
{
	if (deep && fill_stack((int)(intptr_t)arg) == 1000)
		return 1;
	weft_mutex_lock(&lock);
	up++;
	weft_mutex_unlock(&lock);
	must(weft_chan_recv(gate, NULL));
	weft_waitgroup_done(&all);
	return 0;
}

static bool are_all_up(void)
{
	weft_mutex_lock(&lock);
	bool result = up == count;
	weft_mutex_unlock(&lock);
	return result;
}

static void out(const char *what, double value, const char *unit)
{
	char name[64];
	snprintf(name, sizeof name, "%s.%s", deep ? "parked_deep" : "parked", what);
	bench_out(name, value, unit);
}

static int body(void *arg)
{
	(void)arg;
	must(weft_chan_create(&gate, 0, 0));
	double rss = bench_status("VmRSS:"), tables = bench_status("VmPTE:");
	weft_time start = weft_now();
	weft_waitgroup_add(&all, (int)count);
	for (long i = 0; i < count; i++)
		must(weft_go(wait_for_gate, (void *)(intptr_t)(i % 256)));
	while (!are_all_up())
		weft_yield();
	out("spawn", (double)(weft_now() - start) / 1e6, "ms");
	must(weft_sleep(WEFT_MS(200)));
	out("rss", (bench_status("VmRSS:") - rss) / (double)count, "bytes");
	out("page_tables", (bench_status("VmPTE:") - tables) / (double)count, "bytes");
	start = weft_now();
	must(weft_chan_close(gate));
	must(weft_waitgroup_wait(&all));
	out("wake", (double)(weft_now() - start) / 1e6, "ms");
	return 0;
}

int main(int argc, char **argv)
{
	(void)argc;
	count = bench_arg(argv, 1, 1000000);
	deep = bench_arg(argv, 2, 0) != 0;
	return weft_run(NULL, body, NULL);
}
