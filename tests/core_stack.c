/* Stacks: the pool alone, and what coroutines get from it. */
#include "stack.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core_util.h"
#include "monitor.h"
#include "os.h"

static atomic_int count;
static atomic_bool stop;

/* Colouring may take up to a KiB of what was asked for. */
enum { COLOURING = WF_STACK_COLOURS * 64 };

#if defined(WF_TSAN)
enum { FIBERS_MAX = 4000 }; /* TSan knows 8,128 threads and fibers at a time */
#else
enum { FIBERS_MAX = 1000000 };
#endif

static int at_most(int n, int max) { return n < max ? n : max; }

/* ---- the pool alone -------------------------------------------------------------------------------------------------- */

TEST(classes)
{
	CHECK_EQ(wf_stack_class(0), 0);
	CHECK_EQ(wf_stack_class(1), 0);
	for (int i = 0; i < WF_STACK_CLASSES - 1; i++) {
		size_t usable = ((size_t)1 << (WF_STACK_FIRST_SHIFT + i)) - WF_STACK_GUARD;
		CHECK_EQ(wf_stack_class(usable), i);
		if (usable < WF_STACK_USABLE_MAX)
			CHECK_EQ(wf_stack_class(usable + 1), i + 1);
	}
	CHECK_LT(wf_stack_class(WF_STACK_USABLE_MAX), WF_STACK_CLASSES);
	CHECK_RESULT(wf_stack_class(WF_STACK_USABLE_MAX + 1), -EINVAL);
	CHECK_RESULT(wf_stack_class(SIZE_MAX), -EINVAL);
}

static void check_slot(struct wf_stack *s, unsigned class_index)
{
	size_t promised = ((size_t)1 << (WF_STACK_FIRST_SHIFT + class_index)) - WF_STACK_GUARD;
	size_t slot = promised + WF_STACK_GUARD + wf_os_page_size();
	size_t usable = (size_t)(s->top - s->low);
	CHECK_EQ(s->class_index, class_index);
	CHECK_EQ((uintptr_t)s->top % 16, 0);
	CHECK_LE(usable, slot - WF_STACK_GUARD);
	CHECK_GE(usable, slot - WF_STACK_GUARD - COLOURING);
	CHECK_GE(usable, promised);
	CHECK_PTR(wf_stack_find((uintptr_t)s->low), s);
	CHECK_PTR(wf_stack_find((uintptr_t)s->top - 1), s);
	CHECK_PTR(wf_stack_find((uintptr_t)s->low - 1), s);
	CHECK_PTR(wf_stack_find((uintptr_t)s->low - WF_STACK_GUARD), s);
	CHECK(wf_stack_find((uintptr_t)s->low - WF_STACK_GUARD - 1) != s);
	CHECK(wf_stack_find((uintptr_t)s->low - WF_STACK_GUARD + slot) != s);
}

TEST(slots_do_not_overlap)
{
	enum { N = 300 };
	static struct wf_stack *taken[N];
	unsigned n = 0, got;
	CHECK_RESULT(wf_stack_reserve(1, N), 0);
	while (n < N) {
		struct wf_stack *list = wf_stack_take(1, n % 7 + 1, &got);
		CHECK_GE(got, 1);
		CHECK_LE(got, n % 7 + 1);
		for (; list && n < N; list = list->next)
			taken[n++] = list;
	}
	for (unsigned i = 0; i < N; i++) {
		check_slot(taken[i], 1);
		memset(taken[i]->low, (int)i, 64);
		memset(taken[i]->top - 64, (int)i, 64);
	}
	for (unsigned i = 0; i < N; i++) {
		CHECK_EQ((unsigned char)taken[i]->low[63], (unsigned char)i);
		CHECK_EQ((unsigned char)taken[i]->top[-64], (unsigned char)i);
		taken[i]->next = NULL;
		wf_stack_give(taken[i], 1);
	}
	uint64_t made = wf_stack_made();
	wf_stack_unreserve(1, N);
	CHECK_RESULT(wf_stack_reserve(1, N), 0);
	CHECK_EQ(wf_stack_made(), made);
	wf_stack_unreserve(1, N);
	char *old = taken[0]->low;
	wf_stack_free_all();
	CHECK_PTR(wf_stack_find((uintptr_t)old), NULL);
	CHECK_EQ(wf_stack_made(), 0);
}

TEST(every_class_gives_slots)
{
	unsigned got;
	for (unsigned i = 0; i < WF_STACK_CLASSES - 1; i++) {
		CHECK_RESULT(wf_stack_reserve(i, 1), 0);
		struct wf_stack *s = wf_stack_take(i, 1, &got);
		CHECK_EQ(got, 1);
		check_slot(s, i);
		s->low[0] = s->top[-1] = 1;
		wf_stack_give(s, 1);
		wf_stack_unreserve(i, 1);
	}
	wf_stack_free_all();
}

struct user {
	unsigned class_index;
	uint64_t random;
};

/* What was promised can be taken, whoever else takes, gives and trims: all at once, after a pause in which trimming may begin. */
static void *take_and_give(void *arg)
{
	enum { MAX = 200 };
	struct user *u = arg;
	struct wf_stack *mine[MAX];
	for (int round = 0; round < test_scaled(1000); round++) {
		unsigned n = (unsigned)random_below(&u->random, 4) ? MAX : (unsigned)random_below(&u->random, MAX), got;
		for (unsigned i = 0; i < n; i++) {
			CHECK_RESULT(wf_stack_reserve(u->class_index, 1), 0);
			mine[i] = wf_stack_take(u->class_index, 1, &got);
			CHECK_EQ(got, 1);
			mine[i]->next = NULL;
		}
		for (unsigned i = 0; i < n; i++) {
			mine[i]->low[8] = 1;
			wf_stack_give(mine[i], 1);
			wf_stack_unreserve(u->class_index, 1);
		}
		for (weft_time end = weft_after((int64_t)random_below(&u->random, WEFT_US(100))); weft_now() < end;)
			;
	}
	return NULL;
}

static void *trim_always(void *arg)
{
	while (!atomic_load(&stop))
		wf_stack_trim();
	return arg;
}

static void check_promises(unsigned class_index, int threads_used)
{
	enum { THREADS = 4 };
	pthread_t threads[THREADS], trimmer;
	struct user users[THREADS];
	uint64_t seed = random_seed();
	wf_os_membarrier_init();
	trimmer = start_thread(trim_always, NULL);
	for (int i = 0; i < threads_used; i++) {
		users[i] = (struct user){class_index, next_random(&seed)};
		threads[i] = start_thread(take_and_give, &users[i]);
	}
	for (int i = 0; i < threads_used; i++)
		join_thread(threads[i]);
	atomic_store(&stop, true);
	join_thread(trimmer);
	CHECK_LE(wf_stack_made(), 2 * 200 * THREADS);
	wf_stack_free_all();
}

TEST(promises_hold) { check_promises(0, 4); }
TEST(promises_of_single_slots_hold) { check_promises(5, 1); }

/* ---- giving memory back ---------------------------------------------------------------------------------------------- */

static size_t resident_pages(const struct wf_stack *s)
{
	size_t page = wf_os_page_size(), n = ((size_t)s->top - (size_t)s->low + page - 1) / page, sum = 0;
	unsigned char *pages = malloc(n);
	CHECK_EQ(mincore(s->low, n * page, pages), 0);
	for (size_t i = 0; i < n; i++)
		sum += pages[i] & 1;
	free(pages);
	return sum;
}

enum { TRIMMED_CLASS = 2, TRIMMED = 600, STAY = 32 /* 16 MiB of this class */, PAGES = 3 };

static struct wf_stack *trimmed[TRIMMED];

static void take_and_touch(int from, int to)
{
	unsigned got;
	for (int i = from; i < to; i++) {
		trimmed[i] = wf_stack_take(TRIMMED_CLASS, 1, &got);
		for (size_t k = 0; k < PAGES; k++)
			trimmed[i]->low[k * wf_os_page_size()] = 1;
	}
}

/* The last one first. */
static void give_back(int from, int to)
{
	for (int i = to; i-- > from;) {
		trimmed[i]->next = NULL;
		wf_stack_give(trimmed[i], 1);
	}
}

static void trim_a_round(void)
{
	while (wf_stack_trim())
		;
}

static int count_warm(void)
{
	int n = 0;
	for (int i = 0; i < TRIMMED; i++) {
		size_t pages = resident_pages(trimmed[i]);
		CHECK(pages == 0 || pages == PAGES);
		n += pages > 0;
	}
	return n;
}

TEST(stacks_that_nobody_needs_are_trimmed)
{
	enum { NEEDED = 200 };
	CHECK_RESULT(wf_stack_reserve(TRIMMED_CLASS, TRIMMED), 0);
	unsigned made = (unsigned)wf_stack_made();
	CHECK_RESULT(wf_stack_reserve(TRIMMED_CLASS, made - TRIMMED), 0);
	take_and_touch(0, TRIMMED);
	give_back(0, TRIMMED);
	trim_a_round();
	trim_a_round();
	CHECK(!wf_stack_trimmable());
	CHECK_EQ(count_warm(), TRIMMED); /* all of them are promised */
	wf_stack_unreserve(TRIMMED_CLASS, made);
	CHECK(wf_stack_trimmable());
	take_and_touch(0, TRIMMED);
	give_back(0, TRIMMED);
	trim_a_round();
	CHECK_EQ(count_warm(), TRIMMED); /* all of them were used meanwhile */
	take_and_touch(0, NEEDED);
	give_back(0, NEEDED);
	trim_a_round();
	CHECK_EQ(count_warm(), NEEDED + STAY);
	for (int i = 0; i < NEEDED; i++)
		CHECK_EQ(resident_pages(trimmed[i]), PAGES); /* those that were used last */
	trim_a_round();
	CHECK_EQ(count_warm(), STAY);
	CHECK(!wf_stack_trimmable());
	CHECK_RESULT(wf_stack_reserve(TRIMMED_CLASS, TRIMMED), 0);
	take_and_touch(0, TRIMMED); /* cold ones are as good */
	for (int i = 0; i < TRIMMED; i++)
		check_slot(trimmed[i], TRIMMED_CLASS);
	give_back(0, TRIMMED);
	wf_stack_free_all();
}

/* ---- what a coroutine gets ------------------------------------------------------------------------------------------- */

/* Touches all that is below the caller's frame, or, of large stacks, a page of every MiB. */
static int touch_all(void *asked)
{
	void *low, *high;
	CHECK_RESULT(weft_stack_bounds(&low, &high), 0);
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	CHECK_GT(here, (uintptr_t)low);
	CHECK_LT(here, (uintptr_t)high);
	size_t usable = (size_t)((char *)high - (char *)low), stride = usable > (16 << 20) ? 1 << 20 : 1024;
	CHECK_GE(usable + COLOURING, *(size_t *)asked);
	for (volatile char *p = low; (uintptr_t)p < here - 8192; p += stride)
		*p = 1;
	return 0;
}

CO_TEST(all_of_it_can_be_used)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	size_t sizes[] = {1,       16 << 10, 64 << 10,  (64 << 10) + 1, 100000,    192 << 10,
			  1 << 20, 5 << 20,  100 << 20, 300 << 20,      512 << 20, (size_t)1 << 30};
	size_t asked = 192 << 10;
	join_co(spawn_co(NULL, touch_all, &asked));
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		attr.stack_size = asked = sizes[i];
		join_co(spawn_co(&attr, touch_all, &asked));
	}
}

/* One begins where another has just ended, if that stack is of its size. */
CO_TEST(each_gets_what_it_asked_for)
{
	static size_t sizes[] = {1, 400000, 192 << 10, 5 << 20};
	enum { N = 100, SIZES = sizeof sizes / sizeof sizes[0] };
	struct weft_attr attr = WEFT_ATTR_INIT;
	struct weft_co *co[N];
	for (int i = 0; i < N; i++) {
		attr.stack_size = sizes[i % SIZES];
		co[i] = spawn_co(i % 3 ? &attr : NULL, touch_all, i % 3 ? &sizes[i % SIZES] : &sizes[0]);
	}
	for (int i = 0; i < N; i++)
		join_co(co[i]);
}

static size_t configured;

static int touch_configured(void *arg)
{
	(void)arg;
	return join_co(spawn_co(NULL, touch_all, &configured));
}

TEST(configured_size)
{
	for (configured = 16 << 10; configured <= 64 << 20; configured *= 4) {
		struct weft_config config;
		weft_config_init(&config);
		config.stack_size = configured;
		CHECK_RESULT(weft_run(&config, touch_configured, NULL), 0);
	}
}

/* Real frames down to the last few KiB. */
static __attribute__((noinline)) int descend(uintptr_t low, int level)
{
	volatile char frame[512];
	frame[0] = (char)level;
	if ((uintptr_t)frame < low + 8192)
		return level;
	return descend(low, level + 1) + 0 * frame[0];
}

/* What was touched below goes, what is in use stays. */
static int go_deep_and_trim(void *arg)
{
	struct wf_stack *own = wf_stack_find((uintptr_t)__builtin_frame_address(0));
	volatile char kept[4096];
	for (size_t i = 0; i < sizeof kept; i++)
		kept[i] = (char)i;
	touch_all(arg);
	CHECK_GE(resident_pages(own), 40);
	CHECK_RESULT(weft_stack_trim(), 0);
	CHECK_LE(resident_pages(own), 8);
	for (size_t i = 0; i < sizeof kept; i++)
		CHECK_EQ(kept[i], (char)i);
	touch_all(arg);
	return 0;
}

CO_TEST(own_stack_is_trimmed)
{
	size_t usable = 192 << 10;
	join_co(spawn_co(NULL, go_deep_and_trim, &usable));
}

TEST(trim_outside_a_coroutine)
{
	CHECK_RESULT(weft_stack_trim(), -EINVAL);
}

static int descend_to_the_limit(void *arg)
{
	void *low, *high;
	CHECK_RESULT(weft_stack_bounds(&low, &high), 0);
	(void)arg;
	return descend((uintptr_t)low, 0);
}

CO_TEST(deep_recursion)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	for (attr.stack_size = 64 << 10; attr.stack_size <= 16 << 20; attr.stack_size *= 4)
		CHECK_GT(join_co(spawn_co(&attr, descend_to_the_limit, NULL)), (int)(attr.stack_size / 4096));
}

static int compare_bytes(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }

static int use_libc(void *arg)
{
	char text[256];
	snprintf(text, sizeof text, "%.15g %Lg", 1e300 / 3, (long double)1 / 7);
	CHECK_GT(strlen(text), 20);
	qsort(text, strlen(text), 1, compare_bytes);
	(void)arg;
	return 0;
}

CO_TEST(libc_fits_in_the_smallest)
{
	struct weft_attr attr = WEFT_ATTR_INIT;
	attr.stack_size = 1;
	join_co(spawn_co(&attr, use_libc, NULL));
}

static int wait_until_stop(void *colours)
{
	void *low, *high;
	CHECK_RESULT(weft_stack_bounds(&low, &high), 0);
	if (colours)
		atomic_fetch_or((atomic_uint *)colours, 1u << (uintptr_t)high / 64 % 16);
	atomic_fetch_add(&count, 1);
	while (!atomic_load(&stop))
		rest();
	return 0;
}

CO_TEST(tops_are_coloured)
{
	struct weft_co *co[WF_STACK_COLOURS];
	atomic_uint colours = 0;
	for (int i = 0; i < WF_STACK_COLOURS; i++)
		co[i] = spawn_co(NULL, wait_until_stop, &colours);
	EVENTUALLY(atomic_load(&count) == WF_STACK_COLOURS);
	atomic_store(&stop, true);
	for (int i = 0; i < WF_STACK_COLOURS; i++)
		join_co(co[i]);
	CHECK_GE(__builtin_popcount(atomic_load(&colours)), WF_STACK_COLOURS / 2);
}

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 0;
}

/* However many there were, one after the other or a hundred at a time, the stacks are those of a hundred. */
CO_TEST(stacks_are_used_again)
{
	enum { N = 100 };
	struct weft_co *co[N];
	uint64_t made = 0;
	for (int round = 0; round < test_scaled(300); round++) {
		struct weft_attr attr = WEFT_ATTR_INIT;
		attr.stack_size = round % 2 ? 0 : 400000;
		for (int i = 0; i < N; i++)
			co[i] = spawn_co(&attr, add_one, NULL);
		for (int i = 0; i < N; i++)
			join_co(co[i]);
		if (round == 20)
			made = stats_now().stacks;
	}
	if (made > 0)
		CHECK_LE(stats_now().stacks, 2 * made);
	CHECK_LE(stats_now().stacks, 4000);
}

/* ---- very many --------------------------------------------------------------------------------------------------------- */

static int lines_of_maps(void)
{
	int n = 0, c;
	FILE *file = fopen("/proc/self/maps", "r");
	CHECK(file != NULL);
	while ((c = getc(file)) != EOF)
		n += c == '\n';
	fclose(file);
	return n;
}

static int sleep_for_ever(void *arg)
{
	(void)arg;
	atomic_fetch_add(&count, 1);
	return weft_sleep_until(WEFT_NEVER);
}

CO_TEST(a_hundred_thousand_parked)
{
	if (wf_os_guard_kind() != WF_GUARD_LIGHT)
		SKIP("no light guards");
	int n = at_most(test_scaled(100000), FIBERS_MAX), before = lines_of_maps();
	CHECK_GT(before, 0);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_go(sleep_for_ever, NULL), 0);
	EVENTUALLY(atomic_load(&count) == n);
#ifndef WF_TSAN /* which keeps a mapping for each */
	CHECK_LE(lines_of_maps(), before + 150); /* regions, and what malloc takes */
#endif
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), 0);
}

static long resident_bytes(void)
{
	long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	CHECK(statm != NULL);
	CHECK_EQ(fscanf(statm, "%*d %ld", &pages), 1);
	fclose(statm);
	return pages * (long)wf_os_page_size();
}

static int touch_and_wait(void *arg)
{
	char frame[5 << 12];
	memset(frame, 1, sizeof frame);
	__asm__ volatile("" ::"r"(frame) : "memory");
	return wait_until_stop(arg);
}

/* After a spike the process is as small as before, but for control blocks and what stays warm. */
TEST(memory_of_a_spike_is_given_back)
{
#if defined(WF_ASAN) || defined(WF_TSAN)
	SKIP("sanitizers need memory of their own");
#endif
	int n = test_scaled(20000);
	wf_monitor_pace.trim_ns = 20000000;
	CHECK_RESULT(weft_start(NULL), 0);
	long before = resident_bytes();
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_go(touch_and_wait, NULL), 0);
	EVENTUALLY(atomic_load(&count) == n);
	CHECK_GE(resident_bytes() - before, n * 20000l);
	atomic_store(&stop, true);
	EVENTUALLY(stats_now().ended == stats_now().spawned);
	EVENTUALLY(resident_bytes() - before < n * 1000l + (20 << 20)); /* what processors keep, and an emulator */
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}

/* ---- too many ---------------------------------------------------------------------------------------------------------- */

/* Leaves this much address space; returns what to restore. */
static struct rlimit leave_only(size_t bytes)
{
	struct rlimit former;
	unsigned long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	CHECK(statm != NULL);
	CHECK_EQ(fscanf(statm, "%lu", &pages), 1);
	fclose(statm);
	CHECK_EQ(getrlimit(RLIMIT_AS, &former), 0);
	struct rlimit tight = {.rlim_cur = pages * (unsigned long)sysconf(_SC_PAGESIZE) + bytes, .rlim_max = former.rlim_max};
	CHECK_EQ(setrlimit(RLIMIT_AS, &tight), 0);
	return former;
}

static void need_limits(void)
{
#if defined(WF_ASAN) || defined(WF_TSAN)
	SKIP("sanitizers need their address space");
#endif
	enum { MUCH = 64 << 20 };
	struct rlimit former = leave_only(1 << 20);
	void *memory = mmap(NULL, MUCH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_EQ(setrlimit(RLIMIT_AS, &former), 0);
	if (memory != MAP_FAILED) {
		munmap(memory, MUCH);
		SKIP("an emulator does not limit the address space");
	}
}

/* Spawns until that fails, and returns how many there were when they have ended. */
static int spawn_all_there_are(size_t stack_size)
{
	enum { MAX = 20000 };
	static struct weft_co *co[MAX];
	struct weft_attr attr = WEFT_ATTR_INIT;
	int n = 0, result = 0;
	attr.stack_size = stack_size;
	atomic_store(&count, 0);
	while (n < MAX && (result = weft_spawn(&co[n], &attr, sleep_for_ever, NULL)) == 0)
		n++;
	CHECK_RESULT(result, -ENOMEM);
	EVENTUALLY(atomic_load(&count) == n);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(weft_cancel(co[i]), 0);
	for (int i = 0; i < n; i++)
		CHECK_RESULT(join_co(co[i]), -ECANCELED);
	return n;
}

static void run_out(size_t stack_size)
{
	int kept = 128 * weft_maxprocs(), first = 0; /* a processor may keep so many promises for itself */
	struct rlimit former = leave_only(300 << 20);
	for (int round = 0; round < 5; round++) {
		int n = spawn_all_there_are(stack_size);
		CHECK_GT(n, 10);
		if (round == 0)
			first = n;
		CHECK_GE(n, first - kept);
	}
	CHECK_EQ(setrlimit(RLIMIT_AS, &former), 0);
	join_co(spawn_co(NULL, add_one, NULL));
	EVENTUALLY(stats_now().spawned - stats_now().ended == 1);
}

CO_TEST(running_out_of_stacks)
{
	need_limits();
	run_out(0);
}

CO_TEST(running_out_of_large_stacks)
{
	need_limits();
	run_out(3 << 20);
}

static void run_out_of_stacks(void *arg)
{
	(void)arg;
	run_out(0);
}

CO_TEST(running_out_is_said_once)
{
	char text[4096];
	need_limits();
	capture(STDERR_FILENO, run_out_of_stacks, NULL, text, sizeof text);
	CHECK_EQ(occurrences(text, "no more stacks"), 1);
}

/* ---- without light guards ---------------------------------------------------------------------------------------------- */

/* As on Linux before 6.13, and for the processes of many a container. */
static void refuse_light_guards(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 102, 0, 1), /* MADV_GUARD_INSTALL */
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof code / sizeof code[0], code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		SKIP("no system call filters");
	CHECK_EQ(wf_os_guard_kind(), WF_GUARD_MPROTECT);
}

static void *do_nothing(void *arg) { return arg; }

/* The kernel's limit of mappings is not used up: threads can be made, and memory had. */
static int use_all_mappings(void *arg)
{
	int n = 0, result = 0;
	while (n < 100000 && (result = weft_go(sleep_for_ever, arg)) == 0)
		n++;
	CHECK_RESULT(result, -ENOMEM);
	CHECK_GE(n, 20000);
	EVENTUALLY(atomic_load(&count) == n);
	for (int i = 0; i < 100; i++) {
		join_thread(start_thread(do_nothing, NULL));
		CHECK(mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	}
	CHECK_RESULT(weft_shutdown(WEFT_NEVER), 0);
	return 0;
}

static void run_out_of_mappings(void *arg)
{
	for (int i = 0; i < 2; i++) {
		atomic_store(&count, 0);
		CHECK_RESULT(weft_run(NULL, use_all_mappings, arg), 0);
	}
}

TEST(running_out_of_mappings)
{
	char text[4096];
#if defined(WF_ASAN) || defined(WF_TSAN)
	SKIP("sanitizers need mappings of their own");
#endif
	refuse_light_guards();
	capture(STDERR_FILENO, run_out_of_mappings, NULL, text, sizeof text);
	CHECK_EQ(occurrences(text, "vm.max_map_count"), 1);
}
