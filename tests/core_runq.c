/* The run queue, alone: order and limits with one thread, conservation with thieves. And the global queue. */
#include "runq.h"

#include "globq.h"

#include <stdlib.h>

#include "core_util.h"

/* Entries are pointers that nobody looks through: here they are numbers, from 1. */
static struct weft_co *entry(uintptr_t number) { return (struct weft_co *)(number << 4); }
static uintptr_t number_of(const struct weft_co *co) { return (uintptr_t)co >> 4; }

static void push_many(struct wf_runq *q, uintptr_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK(wf_runq_push_owner(q, entry(first + i)));
}

/* ---- one thread ------------------------------------------------------------------------------------------------------ */

static void check_ring(struct wf_runq *q)
{
	CHECK_PTR(wf_runq_pop_owner(q), NULL);
	uintptr_t pushed = 1, popped = 1;
	for (unsigned round = 0; round < 5 * WF_RUNQ_SIZE; round++) {
		unsigned n = 1 + round % WF_RUNQ_SIZE;
		push_many(q, pushed, n);
		pushed += n;
		CHECK_EQ(wf_runq_length(q), n);
		if (n == WF_RUNQ_SIZE)
			CHECK(!wf_runq_push_owner(q, entry(pushed)));
		for (; popped < pushed; popped++)
			CHECK_EQ(number_of(wf_runq_pop_owner(q)), popped);
		CHECK_EQ(wf_runq_length(q), 0);
		CHECK_PTR(wf_runq_pop_owner(q), NULL);
	}
}

TEST(first_in_first_out)
{
	struct wf_runq q = {.head = 0};
	check_ring(&q);
	wf_runq_share_owner(&q);
	check_ring(&q);
}

TEST(indices_wrap)
{
	struct wf_runq q = {.head = (unsigned)-WF_RUNQ_SIZE, .tail = (unsigned)-WF_RUNQ_SIZE};
	wf_runq_share_owner(&q);
	check_ring(&q);
	struct wf_runq from = {.head = (unsigned)-1, .tail = (unsigned)-1}, into = {.head = 0};
	wf_runq_share_owner(&from);
	push_many(&from, 1, 4);
	CHECK_EQ(number_of(wf_runq_steal_any(&into, &from, NULL)), 1);
	CHECK_EQ(number_of(wf_runq_pop_owner(&into)), 2);
	CHECK_EQ(number_of(wf_runq_pop_owner(&from)), 3);
}

/* The older half, rounded up: the first to run, the others to the thief's ring, all in order. */
TEST(a_thief_takes_half)
{
	for (unsigned n = 0; n <= WF_RUNQ_SIZE; n++) {
		struct wf_runq from = {.head = 0}, into = {.head = 0};
		unsigned taken = 0, half = n - n / 2;
		wf_runq_share_owner(&from);
		push_many(&from, 1, n);
		struct weft_co *first = wf_runq_steal_any(&into, &from, &taken);
		CHECK_EQ(number_of(first), n ? 1 : 0);
		CHECK_EQ(taken, half);
		for (unsigned i = 2; i <= half; i++)
			CHECK_EQ(number_of(wf_runq_pop_owner(&into)), i);
		for (unsigned i = half + 1; i <= n; i++)
			CHECK_EQ(number_of(wf_runq_pop_owner(&from)), i);
		CHECK_PTR(wf_runq_pop_owner(&into), NULL);
		CHECK_PTR(wf_runq_pop_owner(&from), NULL);
	}
}

TEST(nobody_steals_before_it_is_shared)
{
	struct wf_runq from = {.head = 0}, into = {.head = 0};
	push_many(&from, 1, 4);
	CHECK_PTR(wf_runq_steal_any(&into, &from, NULL), NULL);
	wf_runq_share_owner(&from);
	CHECK_EQ(number_of(wf_runq_steal_any(&into, &from, NULL)), 1);
}

TEST(half_of_a_full_ring)
{
	struct wf_runq q = {.head = 0};
	struct weft_co *batch[WF_RUNQ_SIZE / 2];
	push_many(&q, 1, WF_RUNQ_SIZE);
	CHECK_EQ(wf_runq_half_owner(&q, batch), WF_RUNQ_SIZE / 2);
	for (unsigned i = 0; i < WF_RUNQ_SIZE / 2; i++)
		CHECK_EQ(number_of(batch[i]), i + 1);
	for (unsigned i = WF_RUNQ_SIZE / 2; i < WF_RUNQ_SIZE; i++)
		CHECK_EQ(number_of(wf_runq_pop_owner(&q)), i + 1);
}

/* ---- thieves --------------------------------------------------------------------------------------------------------- */

enum { THIEVES = 3 };

static struct wf_runq queue;
static atomic_bool over;
static atomic_uchar *seen; /* how often each entry was taken */
static uintptr_t entries;

/* Whoever takes several takes them in the order in which they were made. */
struct taker {
	struct wf_runq ring;
	uintptr_t last;
	uintptr_t taken;
};

static void take(struct taker *t, struct weft_co *co)
{
	uintptr_t number = number_of(co);
	CHECK_GT(number, t->last);
	CHECK_LE(number, entries);
	CHECK_EQ(atomic_fetch_add(&seen[number], 1), 0);
	t->last = number;
	t->taken++;
}

static void *steal(void *arg)
{
	struct taker *t = arg;
	struct weft_co *co;
	do {
		while ((co = wf_runq_steal_any(&t->ring, &queue, NULL))) {
			do
				take(t, co);
			while ((co = wf_runq_pop_owner(&t->ring)));
		}
	} while (!atomic_load(&over));
	return NULL;
}

/* The owner fills, empties, and spills half of a full ring, as the scheduler does. */
static void own(struct taker *t, uint64_t *random)
{
	struct weft_co *batch[WF_RUNQ_SIZE / 2], *co;
	uintptr_t made = 0;
	while (made < entries) {
		for (uint64_t n = random_below(random, 2 * WF_RUNQ_SIZE); n > 0 && made < entries; n--) {
			unsigned spilled = 0;
			while (!wf_runq_push_owner(&queue, entry(made + 1)))
				for (unsigned i = spilled = wf_runq_half_owner(&queue, batch); i > 0; i--)
					take(t, batch[spilled - i]);
			made++;
		}
		for (uint64_t n = random_below(random, WF_RUNQ_SIZE); n > 0 && (co = wf_runq_pop_owner(&queue)); n--)
			take(t, co);
	}
	while ((co = wf_runq_pop_owner(&queue)))
		take(t, co);
}

static void steal_all_the_time(bool shared_from_the_start)
{
	static struct taker takers[THIEVES + 1];
	pthread_t threads[THIEVES];
	uint64_t random = random_seed();
	uintptr_t taken = 0;
	entries = (uintptr_t)test_scaled(5000000);
	CHECK((seen = calloc(entries + 1, sizeof *seen)) != NULL);
	if (shared_from_the_start)
		wf_runq_share_owner(&queue);
	for (int i = 0; i < THIEVES; i++)
		threads[i] = start_thread(steal, &takers[i]);
	if (!shared_from_the_start) {
		uintptr_t all = entries;
		entries = all / 2;
		own(&takers[THIEVES], &random);
		entries = all;
		for (uintptr_t i = 1; i <= all / 2; i++)
			CHECK_EQ(atomic_exchange(&seen[i], 0), 1);
		takers[THIEVES] = (struct taker){.last = 0};
		wf_runq_share_owner(&queue);
	}
	own(&takers[THIEVES], &random);
	atomic_store(&over, true);
	for (int i = 0; i < THIEVES; i++)
		join_thread(threads[i]);
	for (int i = 0; i <= THIEVES; i++)
		taken += takers[i].taken;
	CHECK_EQ(taken, entries);
	free(seen);
}

TEST(each_entry_is_taken_once) { steal_all_the_time(true); }
TEST(sharing_begins_under_thieves) { steal_all_the_time(false); }

/* ---- the global queue ------------------------------------------------------------------------------------------------- */

static void add_many(struct wf_globq *q, uintptr_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		wf_globq_push_any(q, (struct weft_co *[]){ entry(first + i) }, 1);
}

/* With all that there are in it, wherever its chunks begin and end: the room that came with them is enough, but not too much. */
TEST(global_queue_has_room_for_all)
{
	enum { CHUNKS = 3, ALL = CHUNKS * WF_GLOBQ_CHUNK };
	static struct wf_globq q;
	static struct wf_globq_chunk chunks[CHUNKS];
	struct weft_co *co[ALL];
	uintptr_t pushed = 1, taken = 1;
	wf_globq_init(&q);
	CHECK_EQ(wf_globq_take_any(&q, co, 1, ALL), 0);
	for (int i = 0; i < CHUNKS; i++)
		wf_globq_add_room(&q, &chunks[i]);
	for (unsigned step = 1; step <= ALL; step++) {
		add_many(&q, pushed, ALL - wf_globq_count(&q));
		pushed = taken + ALL;
		CHECK_EQ(wf_globq_count(&q), ALL);
		CHECK_EQ(wf_globq_take_any(&q, co, 1, step), step);
		for (unsigned i = 0; i < step; i++)
			CHECK_EQ(number_of(co[i]), taken++);
	}
	CHECK_EQ(wf_globq_count(&q), 0);
}

/* A part of it, rounded up, for each of those that come; not more than they have room for. */
TEST(global_queue_is_shared_out)
{
	static struct wf_globq q;
	struct weft_co *co[WF_GLOBQ_CHUNK];
	wf_globq_init(&q);
	for (int i = 0; i < 10; i++)
		co[i] = entry((uintptr_t)i + 1);
	wf_globq_push_any(&q, co, 10);
	CHECK_EQ(wf_globq_take_any(&q, co, 4, 64), 3);
	CHECK_EQ(wf_globq_take_any(&q, co, 4, 1), 1);
	CHECK_EQ(wf_globq_take_any(&q, co, 4, 0), 0);
	CHECK_EQ(number_of(co[0]), 4);
	CHECK_EQ(wf_globq_take_any(&q, co, 1, 64), 6);
	CHECK_EQ(number_of(co[5]), 10);
	CHECK_EQ(wf_globq_take_any(&q, co, 1, 64), 0);
}
