/* The watchdog: who holds a thread for too long is named, once, with where it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_util.h"
#include "frames.h"
#include "san.h"

static char text[1 << 16];
static void *held_from;
static weft_fn *culprit;

static __attribute__((noinline)) void compute_until_told(void)
{
	held_from = __builtin_return_address(0);
	while (stats_now().stalls == 0)
		for (volatile int i = 0; i < 1000; i++)
			;
}

static int compute(void *arg)
{
	(void)arg;
	weft_set_name("hog");
	compute_until_told();
	return 0;
}

static int block(void *arg)
{
	(void)arg;
	weft_set_name("sleeper");
	usleep(300000); /* for less, if the question interrupts it */
	EVENTUALLY(stats_now().stalls >= 1);
	return 0;
}

static int yield_for_a_while(void *arg)
{
	weft_time until = weft_after(WEFT_MS(800));
	(void)arg;
	while (weft_now() < until)
		weft_yield();
	CHECK_EQ(stats_now().stalls, 0);
	return 0;
}

static void run_watched(void *ms)
{
	struct weft_config config;
	setenv("WEFT_WATCHDOG", ms, 1);
	weft_config_init(&config);
	CHECK_EQ(config.watchdog_ns, WEFT_MS(atoi(ms)));
	CHECK_RESULT(weft_run(&config, culprit, NULL), 0);
}

static void watch(weft_fn *fn, const char *ms)
{
#ifdef WF_TSAN
	SKIP("TSan keeps signals back");
#endif
	culprit = fn;
	capture(STDERR_FILENO, run_watched, (void *)(uintptr_t)ms, text, sizeof text);
}

TEST(who_computes_is_named)
{
	char where[32];
	watch(compute, "50");
	CHECK_EQ(occurrences(text, "weft: watchdog: coroutine 1 \"hog\" has held thread "), 1);
	CHECK_EQ(occurrences(text, "weft: watchdog:"), 1);
	snprintf(where, sizeof where, " %p ", held_from);
	CHECK(!tells_frames() || occurrences(text, where) == 1);
}

TEST(who_blocks_is_named)
{
	watch(block, "50");
	CHECK_EQ(occurrences(text, "weft: watchdog: coroutine 1 \"sleeper\" has held thread "), 1);
	CHECK_EQ(occurrences(text, "weft: watchdog:"), 1);
	CHECK(!tells_frames() || occurrences(text, "    #") >= 4);
}

/* Also alone, when there is nobody to yield to. */
TEST(who_yields_is_not)
{
	watch(yield_for_a_while, "600"); /* a busy machine may leave a thread alone for long */
	CHECK_EQ(occurrences(text, "weft: watchdog:"), 0);
}
