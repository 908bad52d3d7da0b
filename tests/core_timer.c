/* The timer heap, alone: against a reference, from many threads, and what a firing that comes late may do. */
#include "timer.h"

#include <stdlib.h>

#include "core_util.h"
#include "os.h"

enum { SOON = 1000 }; /* times of the tests with a clock of their own run from 1 to here */

static int check(struct wf_timers *heap)
{
	wf_lock(&heap->lock);
	int n = wf_timers_check_locked(heap);
	wf_unlock(&heap->lock);
	return n;
}

/* ---- one thread, a clock of its own ---------------------------------------------------------------------------------- */

struct item {
	struct wf_timer timer;
	bool armed;
	uintptr_t ticket;
};

static int64_t last_fired; /* when it was due */
static int fired_count;

static void note(void *owner, uintptr_t ticket)
{
	struct item *item = owner;
	CHECK(item->armed);
	CHECK_EQ(item->ticket, ticket);
	CHECK_GE(item->timer.when, last_fired);
	item->armed = false;
	last_fired = item->timer.when;
	fired_count++;
}

static bool arm(struct wf_timers *heap, struct item *item, int64_t when)
{
	item->timer.when = when;
	item->timer.fire = note;
	item->timer.owner = item;
	item->timer.arg = ++item->ticket;
	item->armed = true;
	return wf_timer_arm(heap, &item->timer);
}

static int run(struct wf_timers *heap, int64_t now)
{
	last_fired = 0;
	fired_count = 0;
	int n = wf_timers_run(heap, now);
	CHECK_EQ(n, fired_count);
	CHECK_LE(last_fired, now);
	return n;
}

TEST(empty_heap)
{
	struct wf_timers heap;
	wf_timers_init(&heap);
	CHECK_EQ(wf_timers_next(&heap), WF_TIME_NEVER);
	CHECK_EQ(run(&heap, SOON), 0);
	CHECK_EQ(check(&heap), 0);
}

TEST(disarm_tells_whether_it_will_fire)
{
	struct wf_timers heap;
	struct item item = {.ticket = 0};
	wf_timers_init(&heap);
	CHECK(!wf_timer_disarm(&item.timer));
	arm(&heap, &item, 5);
	CHECK(wf_timer_disarm(&item.timer));
	CHECK(!wf_timer_disarm(&item.timer));
	CHECK_EQ(run(&heap, SOON), 0);
	arm(&heap, &item, 5);
	CHECK_EQ(run(&heap, 4), 0);
	CHECK_EQ(run(&heap, 5), 1);
	CHECK(!wf_timer_disarm(&item.timer));
	CHECK_EQ(run(&heap, SOON), 0);
}

TEST(arm_tells_whether_it_is_the_earliest)
{
	struct wf_timers heap;
	struct item a = {.ticket = 0}, b = {.ticket = 0}, c = {.ticket = 0};
	wf_timers_init(&heap);
	CHECK(arm(&heap, &a, 10));
	CHECK(!arm(&heap, &b, 20));
	CHECK(arm(&heap, &c, 5));
	CHECK_EQ(wf_timers_next(&heap), 5);
	CHECK(wf_timer_disarm(&c.timer));
	CHECK_EQ(wf_timers_next(&heap), 10);
	CHECK_EQ(run(&heap, 10), 1);
	CHECK_EQ(wf_timers_next(&heap), 20);
	CHECK(wf_timer_disarm(&b.timer));
	CHECK_EQ(wf_timers_next(&heap), WF_TIME_NEVER);
}

/* Arms, disarms and lets time pass at random, and knows of every timer what must become of it. */
TEST(agrees_with_a_reference)
{
	enum { ITEMS = 300 };
	static struct item items[ITEMS];
	struct wf_timers heap;
	uint64_t random = random_seed();
	int64_t now = 1;
	wf_timers_init(&heap);
	for (int step = 0; step < test_scaled(200000); step++) {
		struct item *item = &items[random_below(&random, ITEMS)];
		unsigned what = (unsigned)random_below(&random, 16);
		int due = 0, armed = 0;
		int64_t next = WF_TIME_NEVER;
		if (what == 0) {
			now += (int64_t)random_below(&random, 50);
			for (int i = 0; i < ITEMS; i++)
				due += items[i].armed && items[i].timer.when <= now;
			CHECK_EQ(run(&heap, now), due);
		} else if (item->armed) {
			CHECK(wf_timer_disarm(&item->timer));
			item->armed = false;
		} else {
			arm(&heap, item, now + (int64_t)random_below(&random, SOON));
		}
		if (step % 16)
			continue;
		for (int i = 0; i < ITEMS; i++) {
			armed += items[i].armed;
			if (items[i].armed && items[i].timer.when < next)
				next = items[i].timer.when;
		}
		CHECK_EQ(check(&heap), armed);
		CHECK_EQ(wf_timers_next(&heap), next);
	}
}

static struct item *many_items(int n)
{
	struct item *items = calloc((size_t)n, sizeof *items);
	CHECK(items != NULL);
	return items;
}

TEST(a_million_fire_in_order)
{
	int n = test_scaled(1000000);
	struct item *items = many_items(n);
	struct wf_timers heap;
	uint64_t random = random_seed();
	wf_timers_init(&heap);
	for (int i = 0; i < n; i++)
		arm(&heap, &items[i], 1 + (int64_t)random_below(&random, 1000000));
	CHECK_EQ(check(&heap), n);
	CHECK_EQ(run(&heap, 1000000), n);
	CHECK_EQ(check(&heap), 0);
	free(items);
}

TEST(a_million_are_cancelled)
{
	int n = test_scaled(1000000);
	struct item *items = many_items(n);
	struct wf_timers heap;
	uint64_t random = random_seed();
	wf_timers_init(&heap);
	for (int i = 0; i < n; i++)
		arm(&heap, &items[i], 1 + (int64_t)random_below(&random, 1000000));
	int stride = 7919; /* prime, so every one is met */
	for (int i = 0, at = 0; i < n; i++, at = (at + stride) % n) {
		while (!items[at].armed)
			at = (at + 1) % n;
		CHECK(wf_timer_disarm(&items[at].timer));
		items[at].armed = false;
	}
	CHECK_EQ(check(&heap), 0);
	CHECK_EQ(run(&heap, WF_TIME_NEVER - 1), 0);
	free(items);
}

/* ---- many threads, the real clock ------------------------------------------------------------------------------------ */

enum { THREADS = 4, HEAPS = 2, SHARE = 64 };

/* Owned by one thread, which arms and disarms it; fired by any. A ticket says for when it was armed. */
struct shared {
	struct wf_timer timer;
	uint64_t armed_tickets, disarmed_tickets; /* sums, modulo 2^64 */
	_Atomic uint64_t fired_tickets;
};

static struct wf_timers heaps[HEAPS];
static atomic_bool over;
static _Atomic uint64_t seed;

static void note_shared(void *owner, uintptr_t ticket)
{
	struct shared *shared = owner;
	CHECK_LE((int64_t)ticket, wf_os_now()); /* never early, and never with what belongs to the next arming */
	atomic_fetch_add(&shared->fired_tickets, ticket);
}

static void arm_shared(struct wf_timers *heap, struct shared *shared, int64_t when)
{
	shared->timer.when = when;
	shared->timer.fire = note_shared;
	shared->timer.owner = shared;
	shared->timer.arg = (uintptr_t)when;
	shared->armed_tickets += (uint64_t)when;
	wf_timer_arm(heap, &shared->timer);
}

static void disarm_shared(struct shared *shared)
{
	int64_t when = shared->timer.when;
	if (wf_timer_disarm(&shared->timer))
		shared->disarmed_tickets += (uint64_t)when;
}

static void *use_heaps(void *arg)
{
	struct shared *mine = arg;
	uint64_t random = atomic_fetch_add(&seed, 0x9e3779b97f4a7c15u);
	for (int step = 0; step < test_scaled(150000); step++) {
		struct shared *shared = &mine[random_below(&random, SHARE)];
		struct wf_timers *heap = &heaps[random_below(&random, HEAPS)];
		disarm_shared(shared);
		arm_shared(heap, shared, wf_os_now() + (int64_t)random_below(&random, 100000));
		if (step % 8 == 0)
			wf_timers_run(&heaps[random_below(&random, HEAPS)], wf_os_now());
		if (step % 256 == 0)
			check(heap);
	}
	for (int i = 0; i < SHARE; i++)
		disarm_shared(&mine[i]);
	return NULL;
}

static void check_sums(const struct shared *shared)
{
	CHECK_EQ(shared->armed_tickets, shared->disarmed_tickets + atomic_load(&shared->fired_tickets));
}

TEST(each_arming_fires_or_is_disarmed)
{
	static struct shared shared[THREADS][SHARE];
	pthread_t threads[THREADS];
	atomic_store(&seed, random_seed());
	wf_os_membarrier_init();
	for (int i = 0; i < HEAPS; i++)
		wf_timers_init(&heaps[i]);
	for (int i = 0; i < THREADS; i++)
		threads[i] = start_thread(use_heaps, shared[i]);
	for (int i = 0; i < THREADS; i++)
		join_thread(threads[i]);
	for (int i = 0; i < HEAPS; i++)
		CHECK_EQ(check(&heaps[i]), 0);
	for (int i = 0; i < THREADS * SHARE; i++)
		check_sums(&shared[i / SHARE][i % SHARE]);
}

static void *keep_running(void *heap)
{
	while (!atomic_load(&over))
		wf_timers_run(heap, wf_os_now());
	return NULL;
}

/* A timer that is just being fired, by somebody who was interrupted on the way, belongs to its owner again as soon as disarming it
 * says so: what it is armed with next is not for the one on the way. */
TEST(a_late_firing_keeps_to_its_ticket)
{
	static struct shared shared;
	wf_os_membarrier_init();
	wf_timers_init(&heaps[0]);
	pthread_t runners[2];
	for (int i = 0; i < 2; i++)
		runners[i] = start_thread(keep_running, &heaps[0]);
	for (int i = 0; i < test_scaled(500000); i++) {
		arm_shared(&heaps[0], &shared, wf_os_now());
		disarm_shared(&shared);
		arm_shared(&heaps[0], &shared, WF_TIME_NEVER / 2);
		disarm_shared(&shared);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		join_thread(runners[i]);
	check_sums(&shared);
}

/* What reads it asks the other clock as well where it matters; never to be ahead, and not to stand still, is all that it needs. */
TEST(the_coarse_clock_lags_and_follows)
{
	int64_t start = wf_os_now();
	for (int i = 0; i < test_scaled(100000); i++) {
		int64_t coarse = wf_os_now_coarse();
		CHECK_LE(coarse, wf_os_now());
	}
	while (wf_os_now_coarse() <= start)
		;
}
