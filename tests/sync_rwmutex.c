/* The reader-writer mutex: who excludes whom, who goes first, deadlines and cancel, freeing at once, misuse. */
#include "sync_util.h"

#include <errno.h>

#include "sync.h"

static struct {
	struct weft_rwmutex mutex;
	int order[32]; /* who got in: numbers of writers, and of readers + 100 */
	atomic_int n;
} queue;

static int read_once(void *arg)
{
	weft_rwmutex_rdlock(&queue.mutex);
	queue.order[atomic_fetch_add(&queue.n, 1)] = 100 + *(int *)arg;
	weft_rwmutex_unlock(&queue.mutex);
	return 0;
}

static int write_once(void *arg)
{
	weft_rwmutex_wrlock(&queue.mutex);
	queue.order[atomic_fetch_add(&queue.n, 1)] = *(int *)arg;
	weft_rwmutex_unlock(&queue.mutex);
	return 0;
}

static int numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/* A writer that waits for the lock itself says "rwmutex", one behind another writer says "mutex". */
static struct weft_co *start(weft_fn *fn, int number, enum wf_reason why)
{
	struct weft_co *co = spawn_co(NULL, fn, &numbers[number]);
	await_parked(co, why);
	return co;
}

static bool is_free(struct weft_rwmutex *mutex)
{
	if (!weft_rwmutex_trywrlock(mutex))
		return false;
	weft_rwmutex_unlock(mutex);
	return true;
}

TEST(is_a_small_value)
{
	static struct weft_rwmutex zero, init = WEFT_RWMUTEX_INIT;
	CHECK_EQ(sizeof zero, 64);
	CHECK_MEM(&zero, &init, sizeof zero);
}

/* ---- who excludes whom -------------------------------------------------------------------------------------------------- */

static void check_exclusion(void)
{
	struct weft_rwmutex m = WEFT_RWMUTEX_INIT;
	weft_rwmutex_rdlock(&m);
	weft_rwmutex_rdlock(&m);
	CHECK(weft_rwmutex_tryrdlock(&m));
	CHECK(!weft_rwmutex_trywrlock(&m));
	CHECK_RESULT(weft_rwmutex_wrlock_until(&m, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_rwmutex_wrlock_until(&m, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_rwmutex_rdlock_until(&m, WEFT_NOW), 0);
	for (int i = 0; i < 4; i++)
		weft_rwmutex_unlock(&m);
	weft_rwmutex_wrlock(&m);
	CHECK(!weft_rwmutex_tryrdlock(&m));
	CHECK(!weft_rwmutex_trywrlock(&m));
	CHECK_RESULT(weft_rwmutex_rdlock_until(&m, WEFT_NOW), -EAGAIN);
	CHECK_RESULT(weft_rwmutex_rdlock_until(&m, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	CHECK_RESULT(weft_rwmutex_wrlock_until(&m, weft_after(WEFT_MS(1))), -ETIMEDOUT);
	weft_rwmutex_unlock(&m);
	CHECK(is_free(&m));
	CHECK_RESULT(weft_rwmutex_wrlock_until(&m, WEFT_NOW), 0);
	weft_rwmutex_unlock(&m);
	CHECK(weft_rwmutex_tryrdlock(&m));
	weft_rwmutex_unlock(&m);
}

TEST(excludes_without_a_runtime) { check_exclusion(); }
CO_TEST(excludes) { check_exclusion(); }

enum { CELLS = 8 };

static struct {
	struct weft_rwmutex mutex;
	atomic_int readers, writers, most_readers;
	long cells[CELLS]; /* all the same while nobody writes */
	long written;
} table;

static void check_cells(struct member *me)
{
	int readers = atomic_fetch_add_explicit(&table.readers, 1, memory_order_relaxed) + 1;
	if (readers > atomic_load_explicit(&table.most_readers, memory_order_relaxed))
		atomic_store_explicit(&table.most_readers, readers, memory_order_relaxed);
	long first = table.cells[0];
	yield_sometimes(me, 8);
	CHECK_EQ(atomic_load_explicit(&table.writers, memory_order_relaxed), 0);
	for (int i = 1; i < CELLS; i++)
		CHECK_EQ(table.cells[i], first);
	atomic_fetch_sub_explicit(&table.readers, 1, memory_order_relaxed);
}

static void change_cells(struct member *me)
{
	CHECK_EQ(atomic_fetch_add_explicit(&table.writers, 1, memory_order_relaxed), 0);
	CHECK_EQ(atomic_load_explicit(&table.readers, memory_order_relaxed), 0);
	for (int i = 0; i < CELLS; i++) {
		table.cells[i]++;
		yield_sometimes(me, 8 * CELLS);
	}
	table.written++;
	atomic_fetch_sub_explicit(&table.writers, 1, memory_order_relaxed);
}

static int lock_to_read(struct member *me)
{
	switch (random_below(&me->random, 4)) {
	case 0:
		return weft_rwmutex_tryrdlock(&table.mutex) ? 0 : -EAGAIN;
	case 1:
		return weft_rwmutex_rdlock_until(&table.mutex, deadline_soon(me, 20000));
	default:
		weft_rwmutex_rdlock(&table.mutex);
		return 0;
	}
}

static int lock_to_write(struct member *me)
{
	switch (random_below(&me->random, 4)) {
	case 0:
		return weft_rwmutex_trywrlock(&table.mutex) ? 0 : -EAGAIN;
	case 1:
		weft_rwmutex_wrlock(&table.mutex);
		return 0;
	default:
		return weft_rwmutex_wrlock_until(&table.mutex, deadline_soon(me, 20000));
	}
}

static bool use_table(struct member *me)
{
	for (; me->done < test_scaled(40000); me->done++) {
		bool writes = random_below(&me->random, 4) == 0;
		int result = (writes ? lock_to_write : lock_to_read)(me);
		if (result == -ECANCELED)
			return false;
		if (result == 0) {
			(writes ? change_cells : check_cells)(me);
			weft_rwmutex_unlock(&table.mutex);
		}
		yield_sometimes(me, 64);
	}
	return true;
}

CO_TEST(readers_see_no_half_written_table)
{
	run_crew_cancelling(use_table, 10, 0);
	CHECK(is_free(&table.mutex));
	CHECK_EQ(table.cells[0], table.written);
	CHECK_GT(table.most_readers, 1);
}

CO_TEST(readers_on_threads_see_no_half_written_table)
{
	run_crew_cancelling(use_table, 5, 3);
	CHECK(is_free(&table.mutex));
	CHECK_EQ(table.cells[0], table.written);
}

static void write_often(struct member *me)
{
	for (int i = 0; i < test_scaled(100000); i++) {
		weft_rwmutex_wrlock(&table.mutex);
		change_cells(me);
		weft_rwmutex_unlock(&table.mutex);
	}
}

CO_TEST(writers_exclude_each_other)
{
	run_crew(write_often, 6, 0);
	CHECK_EQ(table.written, 6L * test_scaled(100000));
	CHECK(is_free(&table.mutex));
}

/* ---- who goes first ------------------------------------------------------------------------------------------------------ */

CO_TEST(a_writer_that_waits_keeps_new_readers_out)
{
	weft_rwmutex_rdlock(&queue.mutex);
	struct weft_co *writer = start(write_once, 1, WF_WHY_RWMUTEX);
	CHECK(!weft_rwmutex_tryrdlock(&queue.mutex));
	CHECK_RESULT(weft_rwmutex_rdlock_until(&queue.mutex, WEFT_NOW), -EAGAIN);
	struct weft_co *reader = start(read_once, 1, WF_WHY_RWMUTEX);
	weft_rwmutex_unlock(&queue.mutex);
	join_co(writer);
	join_co(reader);
	CHECK_EQ(queue.order[0], 1);
	CHECK_EQ(queue.order[1], 101);
	CHECK(is_free(&queue.mutex));
}

CO_TEST(readers_go_before_the_next_writer)
{
	struct weft_co *co[6];
	weft_rwmutex_wrlock(&queue.mutex);
	co[0] = start(write_once, 1, WF_WHY_MUTEX);
	co[1] = start(read_once, 1, WF_WHY_RWMUTEX);
	co[2] = start(write_once, 2, WF_WHY_MUTEX);
	co[3] = start(read_once, 2, WF_WHY_RWMUTEX);
	co[4] = start(read_once, 3, WF_WHY_RWMUTEX);
	weft_rwmutex_unlock(&queue.mutex);
	for (int i = 0; i < 5; i++)
		join_co(co[i]);
	for (int i = 0; i < 3; i++)
		CHECK_GT(queue.order[i], 100);
	CHECK_EQ(queue.order[3], 1);
	CHECK_EQ(queue.order[4], 2);
	CHECK(is_free(&queue.mutex));
}

/* Readers that overlap, so that there is always one: a writer gets in all the same, and once it waits nobody overtakes it. */
static struct {
	struct weft_rwmutex mutex;
	atomic_bool stop;
	atomic_long reads, writes;
} storm;

static int read_all_the_time(void *arg)
{
	(void)arg;
	while (!atomic_load(&storm.stop)) {
		weft_rwmutex_rdlock(&storm.mutex);
		atomic_fetch_add(&storm.reads, 1);
		weft_yield();
		weft_yield();
		weft_rwmutex_unlock(&storm.mutex);
	}
	return 0;
}

static int write_all_the_time(void *arg)
{
	(void)arg;
	while (!atomic_load(&storm.stop)) {
		weft_rwmutex_wrlock(&storm.mutex);
		atomic_fetch_add(&storm.writes, 1);
		weft_yield();
		weft_rwmutex_unlock(&storm.mutex);
	}
	return 0;
}

CO_TEST(readers_starve_no_writer)
{
	enum { N = 8 };
	struct weft_co *co[N];
	for (int i = 0; i < N; i++)
		co[i] = spawn_co(NULL, read_all_the_time, NULL);
	EVENTUALLY(atomic_load(&storm.reads) > N);
	for (int i = 0; i < test_scaled(1000); i++) {
		weft_rwmutex_wrlock(&storm.mutex);
		weft_rwmutex_unlock(&storm.mutex);
	}
	atomic_store(&storm.stop, true);
	for (int i = 0; i < N; i++)
		join_co(co[i]);
	CHECK(is_free(&storm.mutex));
}

CO_TEST(writers_starve_no_reader)
{
	enum { N = 8 };
	struct weft_co *co[N];
	for (int i = 0; i < N; i++)
		co[i] = spawn_co(NULL, write_all_the_time, NULL);
	EVENTUALLY(atomic_load(&storm.writes) > N);
	for (int i = 0; i < test_scaled(1000); i++) {
		weft_rwmutex_rdlock(&storm.mutex);
		weft_rwmutex_unlock(&storm.mutex);
	}
	atomic_store(&storm.stop, true);
	for (int i = 0; i < N; i++)
		join_co(co[i]);
	CHECK(is_free(&storm.mutex));
}

/* ---- deadlines and cancel --------------------------------------------------------------------------------------------- */

static int write_cancellably(void *arg)
{
	(void)arg;
	int result = weft_rwmutex_wrlock_until(&queue.mutex, WEFT_NEVER);
	if (result == 0)
		weft_rwmutex_unlock(&queue.mutex);
	return result;
}

static int read_cancellably(void *arg)
{
	(void)arg;
	int result = weft_rwmutex_rdlock_until(&queue.mutex, WEFT_NEVER);
	if (result == 0)
		weft_rwmutex_unlock(&queue.mutex);
	return result;
}

/* Readers waited only for the writer that waited. */
CO_TEST(a_writer_that_gives_up_lets_readers_in)
{
	enum { N = 4 };
	struct weft_co *co[N];
	weft_rwmutex_rdlock(&queue.mutex);
	struct weft_co *writer = start(write_cancellably, 1, WF_WHY_RWMUTEX);
	for (int i = 0; i < N; i++)
		co[i] = start(read_once, i, WF_WHY_RWMUTEX);
	CHECK_RESULT(weft_cancel(writer), 0);
	CHECK_RESULT(join_co(writer), -ECANCELED);
	for (int i = 0; i < N; i++)
		join_co(co[i]);
	CHECK(weft_rwmutex_tryrdlock(&queue.mutex));
	weft_rwmutex_unlock(&queue.mutex);
	CHECK(!weft_rwmutex_trywrlock(&queue.mutex));
	weft_rwmutex_unlock(&queue.mutex);
	CHECK(is_free(&queue.mutex));
}

CO_TEST(waits_are_cancelled)
{
	weft_rwmutex_wrlock(&queue.mutex);
	struct weft_co *reader = start(read_cancellably, 0, WF_WHY_RWMUTEX), *writer = start(write_cancellably, 0, WF_WHY_MUTEX);
	CHECK_RESULT(weft_cancel(reader), 0);
	CHECK_RESULT(weft_cancel(writer), 0);
	CHECK_RESULT(join_co(reader), -ECANCELED);
	CHECK_RESULT(join_co(writer), -ECANCELED);
	weft_rwmutex_unlock(&queue.mutex);
	CHECK(is_free(&queue.mutex));
}

static int lock_when_cancelled(void *arg)
{
	(void)arg;
	while (weft_cancelled() == 0)
		weft_yield();
	CHECK_RESULT(read_cancellably(NULL), -ECANCELED);
	CHECK_RESULT(write_cancellably(NULL), -ECANCELED);
	CHECK_RESULT(weft_rwmutex_rdlock_until(&queue.mutex, WEFT_NOW), -ECANCELED);
	weft_rwmutex_rdlock(&queue.mutex);
	weft_rwmutex_unlock(&queue.mutex);
	weft_rwmutex_wrlock(&queue.mutex);
	weft_rwmutex_unlock(&queue.mutex);
	return 0;
}

CO_TEST(who_is_cancelled_takes_nothing_but_by_plain_locks)
{
	struct weft_co *co = spawn_co(NULL, lock_when_cancelled, NULL);
	CHECK_RESULT(weft_cancel(co), 0);
	join_co(co);
	CHECK(is_free(&queue.mutex));
}

CO_TEST(plain_locks_wait_on)
{
	weft_rwmutex_wrlock(&queue.mutex);
	struct weft_co *reader = start(read_once, 0, WF_WHY_RWMUTEX), *writer = start(write_once, 0, WF_WHY_MUTEX);
	CHECK_RESULT(weft_cancel(reader), 0);
	CHECK_RESULT(weft_cancel(writer), 0);
	for (int i = 0; i < 20; i++)
		rest();
	await_parked(reader, WF_WHY_RWMUTEX);
	await_parked(writer, WF_WHY_MUTEX);
	weft_rwmutex_unlock(&queue.mutex);
	join_co(reader);
	join_co(writer);
	CHECK_EQ(queue.n, 2);
}

/* ---- freed at once ----------------------------------------------------------------------------------------------------- */

struct block {
	struct weft_rwmutex mutex;
	atomic_int readers_left; /* in the end the one who takes the last off frees the block */
	bool written;
};

static atomic_int blocks_freed;

static int use_block(void *arg)
{
	struct block *block = arg;
	weft_rwmutex_rdlock(&block->mutex);
	bool last = atomic_fetch_sub(&block->readers_left, 1) == 1;
	weft_rwmutex_unlock(&block->mutex);
	if (last) { /* alone: the others are out, or leaving */
		weft_rwmutex_wrlock(&block->mutex);
		weft_rwmutex_unlock(&block->mutex);
		free_block(block);
		atomic_fetch_add(&blocks_freed, 1);
	}
	return 0;
}

static int write_block(void *arg)
{
	struct block *block = arg;
	weft_rwmutex_wrlock(&block->mutex);
	block->written = true;
	weft_rwmutex_unlock(&block->mutex);
	return 0;
}

static void free_after_readers(struct member *me)
{
	for (int i = 0; i < test_scaled(10000); i++) {
		struct block *block = take_block(sizeof *block);
		int n = (int)random_below(&me->random, 4) + 1;
		atomic_init(&block->readers_left, n);
		for (int k = 0; k < n; k++)
			CHECK_RESULT(weft_go(use_block, block), 0);
		yield_sometimes(me, 4);
	}
}

CO_TEST(can_be_freed_by_the_next_owner)
{
	run_crew(free_after_readers, 4, 0);
	EVENTUALLY(atomic_load(&blocks_freed) == 4 * test_scaled(10000));
	check_freed_blocks();
}

/* The reader that finds it written frees it, though the writer's unlock may not have returned. */
static void free_after_writer(struct member *me)
{
	for (int i = 0; i < test_scaled(20000); i++) {
		struct block *block = take_block(sizeof *block);
		CHECK_RESULT(weft_go(write_block, block), 0);
		for (bool written = false; !written; yield_sometimes(me, 2)) {
			if (random_below(&me->random, 4) == 0) {
				if (weft_rwmutex_rdlock_until(&block->mutex, deadline_soon(me, 5000)) != 0)
					continue;
			} else {
				weft_rwmutex_rdlock(&block->mutex);
			}
			written = block->written;
			weft_rwmutex_unlock(&block->mutex);
		}
		free_block(block);
	}
}

CO_TEST(can_be_freed_by_who_sees_it_written)
{
	run_crew(free_after_writer, 4, 0);
	check_freed_blocks();
}

CO_TEST(can_be_freed_by_a_thread_that_sees_it_written)
{
	run_crew(free_after_writer, 1, 2);
	check_freed_blocks();
}

/* ---- misuse ------------------------------------------------------------------------------------------------------------- */

CO_TEST_ABORTS(unlocking_what_is_not_locked, "which is not locked")
{
	struct weft_rwmutex mutex = WEFT_RWMUTEX_INIT;
	weft_rwmutex_unlock(&mutex);
}

TEST_ABORTS(unlocking_a_reader_twice, "which is not locked")
{
	struct weft_rwmutex mutex = WEFT_RWMUTEX_INIT;
	weft_rwmutex_rdlock(&mutex);
	weft_rwmutex_unlock(&mutex);
	weft_rwmutex_unlock(&mutex);
}

TEST_ABORTS(unlocking_a_writer_twice, "which is not locked")
{
	struct weft_rwmutex mutex = WEFT_RWMUTEX_INIT;
	weft_rwmutex_wrlock(&mutex);
	weft_rwmutex_unlock(&mutex);
	weft_rwmutex_unlock(&mutex);
}
