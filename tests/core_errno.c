/* Thread-local things across a switch that moves the coroutine to another thread. core_errno.sh builds this with other compilers
 * and flags as well: what goes wrong here goes wrong in the optimiser. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What compilers make of the errno of libc: the function behind it is declared to be constant, so they may call it once and use the
 * result before and after a switch. */
static int *(*volatile errno_of_libc)(void) = __errno_location;
static inline int *naive_errno(void) { return &errno; }

#include <weft/errno.h>
#include <weft/weft.h>

#include "core_util.h"

static atomic_int moves;

static int current_thread(void) { return (int)syscall(SYS_gettid); }

/* Sits on its thread, without a call of the runtime, until the move has come about. */
static int hold_thread(void *move)
{
	while (atomic_load(&moves) == (int)(intptr_t)move)
		;
	return 0;
}

/* Comes back on another thread: somebody else sits on this one, and whoever is behind them is stolen, or the processor handed on.
 * Were the holder stolen instead, there is another. */
static __attribute__((noinline)) void migrate(void)
{
	int before = current_thread();
	do {
		CHECK_RESULT(weft_go(hold_thread, (void *)(intptr_t)atomic_load(&moves)), 0);
		weft_yield();
	} while (current_thread() == before);
	atomic_fetch_add(&moves, 1);
}

enum { MIGRATIONS = 30 };

static int stale;

static int use_errno(void *arg)
{
	for (int i = 0; i < MIGRATIONS; i++) {
		errno = 1000 + i;
		CHECK_PTR(&errno, errno_of_libc());
		int *naive = naive_errno();
		migrate();
		CHECK_PTR(&errno, errno_of_libc());
		CHECK_NE(errno, 1000 + i); /* that is on the other thread; nobody else sets it so */
		stale += naive_errno() == naive;
		CHECK_EQ(close(-1), -1);
		CHECK_EQ(errno, EBADF);
		errno = 0;
		CHECK_EQ(*errno_of_libc(), 0);
	}
	(void)arg;
	return 0;
}

static int use_results(void *arg)
{
	uint64_t self = weft_self();
	char byte;
	for (int i = 0; i < MIGRATIONS; i++) {
		weft_set_name(i % 2 ? "odd" : "even");
		migrate();
		CHECK_EQ(weft_self(), self);
		CHECK_STR(weft_name(), i % 2 ? "odd" : "even");
		CHECK_RESULT(weft_read(-1, &byte, 1), -EBADF);
		CHECK_RESULT(weft_cancelled(), 0);
	}
	(void)arg;
	return 0;
}

TEST(errno_is_that_of_the_thread)
{
	struct weft_config config = config_with(2);
	CHECK_RESULT(weft_run(&config, use_errno, NULL), 0);
	CHECK_EQ(atomic_load(&moves), MIGRATIONS);
	printf("the address of libc's errno was kept over %d of %d migrations\n", stale, MIGRATIONS);
}

TEST(the_worker_is_that_of_the_thread)
{
	struct weft_config config = config_with(2);
	CHECK_RESULT(weft_run(&config, use_results, NULL), 0);
	CHECK_EQ(atomic_load(&moves), MIGRATIONS);
}
