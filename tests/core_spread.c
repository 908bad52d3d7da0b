/* When coroutines are spread over processors, and when they stay together. */
#include <stdio.h>

#include "core_util.h"
#include "monitor.h"

enum { FEEDS = 4, ITEMS = 100000 };

static struct weft_chan *chans[FEEDS];
static atomic_bool flag;

static int feed(void *chan)
{
	for (int i = 0; i < ITEMS; i++)
		CHECK_RESULT(weft_chan_send(chan, &i), 0);
	return 0;
}

/* Each dispatch is a fraction of a microsecond, so long as nobody else has to fetch what it touches. */
static int select_all(void *arg)
{
	struct weft_case cases[FEEDS];
	int got;
	(void)arg;
	for (int i = 0; i < FEEDS; i++) {
		CHECK_RESULT(weft_chan_create(&chans[i], sizeof got, 0), 0);
		cases[i] = (struct weft_case){.op = WEFT_OP_RECV, .chan = chans[i], .elem = &got};
		CHECK_RESULT(weft_go(feed, chans[i]), 0);
	}
	for (int i = 0; i < FEEDS * ITEMS; i++)
		CHECK(weft_select(cases, FEEDS, WEFT_NEVER) >= 0);
	for (int i = 0; i < FEEDS; i++)
		weft_chan_destroy(chans[i]);
	struct weft_stats stats = stats_now();
	printf("%llu steals, %llu dispatches\n", (unsigned long long)stats.steals, (unsigned long long)stats.dispatches);
	return stats.steals * 20 < stats.dispatches ? 0 : 1;
}

/* A dispatch during which the thread loses its CPU looks long: on a busy machine some rounds are spread. */
TEST(short_dispatches_stay_together)
{
	struct weft_config config = config_with(2);
	int rounds = 0, result;
	weft_time since = weft_now();
	do
		result = weft_run(&config, select_all, NULL);
	while (result != 0 && ++rounds < 20);
	if (result != 0 && weft_now() - since > (int64_t)rounds * FEEDS * ITEMS * 500) /* ns each: under a tool, or an emulator */
		SKIP("dispatches are long here");
	CHECK_EQ(result, 0);
}

static int set_flag(void *arg)
{
	for (int i = 0; i < 10000; i++)
		weft_yield();
	atomic_store(&flag, true);
	(void)arg;
	return 0;
}

/* Its ring was never offered to anybody, because all was short until now. */
static int wait_without_coming_back(void *arg)
{
	struct weft_co *co = spawn_co(NULL, set_flag, NULL);
	for (int i = 0; i < 5000; i++)
		weft_yield();
	while (!atomic_load(&flag))
		;
	join_co(co);
	(void)arg;
	return 0;
}

TEST(what_was_never_offered_is_taken_from_a_hog)
{
	wf_monitor_pace.slice_ns = INT64_MAX;
	for (int procs = 2; procs <= 3; procs++) {
		struct weft_config config = config_with(procs);
		atomic_store(&flag, false);
		CHECK_RESULT(weft_run(&config, wait_without_coming_back, NULL), 0);
	}
}

/* And where processors are not taken, it is shared from the beginning. */
TEST(everything_is_offered_without_handoff)
{
	struct weft_config config = config_with(2);
	config.handoff = false;
	CHECK_RESULT(weft_run(&config, wait_without_coming_back, NULL), 0);
}
