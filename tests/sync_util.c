#include "sync_util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coro.h"

void await_parked(struct weft_co *co, enum wf_reason why)
{
	EVENTUALLY(wf_u8_load(&co->state) == WF_STATE_PARKED && wf_u8_load(&co->wait.why) == why);
}

/* ---- crews ----------------------------------------------------------------------------------------------------------- */

struct crew {
	void (*fn)(struct member *me);
	bool (*cancellable)(struct member *me);
	atomic_int busy_threads;
};

struct place {
	struct member member;
	struct crew *crew;
	struct weft_co *co;
	pthread_t thread;
	atomic_bool ended;
};

static void *run_member_thread(void *arg)
{
	struct place *place = arg;
	if (place->crew->fn)
		place->crew->fn(&place->member);
	else
		CHECK(place->crew->cancellable(&place->member));
	atomic_fetch_sub(&place->crew->busy_threads, 1);
	return NULL;
}

static int run_member_co(void *arg)
{
	struct place *place = arg;
	bool complete = true;
	if (place->crew->fn)
		place->crew->fn(&place->member);
	else
		complete = place->crew->cancellable(&place->member);
	atomic_store(&place->ended, true);
	return complete;
}

static void start_member(struct place *place)
{
	atomic_store(&place->ended, false);
	if (place->member.thread)
		place->thread = start_thread(run_member_thread, place);
	else
		place->co = spawn_co(NULL, run_member_co, place);
}

/* Cancels somebody now and then; whoever ended for that reason gets a successor. */
static void cancel_around(struct place *places, int coroutines, uint64_t *random)
{
	for (int left = coroutines; left > 0;) {
		struct place *place = &places[random_below(random, (uint64_t)coroutines)];
		if (place->co && atomic_load(&place->ended)) {
			bool complete = join_co(place->co);
			place->co = NULL;
			left -= complete;
			if (!complete)
				start_member(place);
		} else if (place->co && random_below(random, 4) == 0) {
			CHECK_RESULT(weft_cancel(place->co), 0);
		}
		rest();
	}
}

static void run(struct crew *crew, int coroutines, int threads)
{
	int n = coroutines + threads;
	struct place *places = calloc((size_t)n, sizeof *places);
	uint64_t random = random_seed();
	atomic_init(&crew->busy_threads, threads);
	for (int i = 0; i < n; i++) {
		places[i].crew = crew;
		places[i].member.index = i;
		places[i].member.thread = i >= coroutines;
		places[i].member.random = next_random(&random);
		start_member(&places[i]);
	}
	if (crew->cancellable)
		cancel_around(places, coroutines, &random);
	for (int i = 0; i < coroutines && crew->fn; i++)
		join_co(places[i].co);
	if (threads)
		EVENTUALLY(atomic_load(&crew->busy_threads) == 0); /* a join would block a worker */
	for (int i = coroutines; i < n; i++)
		join_thread(places[i].thread);
	free(places);
}

void run_crew(void (*fn)(struct member *me), int coroutines, int threads)
{
	struct crew crew = {.fn = fn};
	run(&crew, coroutines, threads);
}

void run_crew_cancelling(bool (*fn)(struct member *me), int coroutines, int threads)
{
	struct crew crew = {.cancellable = fn};
	run(&crew, coroutines, threads);
}

void yield_sometimes(struct member *me, unsigned once_in)
{
	if (random_below(&me->random, once_in) == 0)
		weft_yield();
}

weft_time deadline_soon(struct member *me, unsigned ns)
{
	return weft_after((int64_t)random_below(&me->random, ns) - ns / 8);
}

/* ---- exclusion ------------------------------------------------------------------------------------------------------- */

void enter_exclusive(struct exclusive *x)
{
	CHECK_EQ(atomic_fetch_add_explicit(&x->inside, 1, memory_order_relaxed), 0);
	x->count++;
}

void leave_exclusive(struct exclusive *x)
{
	CHECK_EQ(atomic_fetch_sub_explicit(&x->inside, 1, memory_order_relaxed), 1);
}

/* ---- freed at once ---------------------------------------------------------------------------------------------------- */

enum { FREED = 0xa5, KEPT = 256 };

static struct {
	atomic_flag busy;
	struct {
		unsigned char *block;
		size_t size;
	} kept[KEPT];
	unsigned next;
} freed = {.busy = ATOMIC_FLAG_INIT};

static void let_go(unsigned char *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		CHECK_EQ(block[i], FREED);
	free(block);
}

void *take_block(size_t size)
{
	size_t *head = calloc(1, size + 64);
	CHECK(head != NULL);
	*head = size;
	return (char *)head + 64;
}

#if defined(__SANITIZE_ADDRESS__)
void free_block(void *block) { free((char *)block - 64); }
#else
void free_block(void *block)
{
	size_t size = *(size_t *)(void *)((char *)block - 64) + 64;
	unsigned char *head = (unsigned char *)block - 64, *old;
	memset(head, FREED, size);
	while (atomic_flag_test_and_set_explicit(&freed.busy, memory_order_acquire))
		weft_yield();
	unsigned at = freed.next++ % KEPT;
	old = freed.kept[at].block;
	size_t old_size = freed.kept[at].size;
	freed.kept[at].block = head;
	freed.kept[at].size = size;
	atomic_flag_clear_explicit(&freed.busy, memory_order_release);
	if (old)
		let_go(old, old_size);
}
#endif

void check_freed_blocks(void)
{
	for (int i = 0; i < KEPT; i++) {
		if (freed.kept[i].block)
			let_go(freed.kept[i].block, freed.kept[i].size);
		freed.kept[i].block = NULL;
	}
}
