/* Statistics: what they count, how long coroutines wait for a processor, and the line that is printed now and then. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_util.h"
#include "stats.h"

static int sleep_until_cancelled(void *arg)
{
	(void)arg;
	while (weft_sleep(WEFT_SEC(3600)) == 0)
		;
	return 0;
}

CO_TEST(what_lives_is_counted)
{
	struct weft_co *sleepers[10];
	struct weft_stats before = stats_now();
	for (int i = 0; i < 10; i++)
		sleepers[i] = spawn_co(NULL, sleep_until_cancelled, NULL);
	EVENTUALLY(stats_now().timers >= before.timers + 10);
	struct weft_stats during = stats_now();
	CHECK_EQ(during.live, before.live + 10);
	CHECK_EQ(during.live, during.spawned - during.ended);
	CHECK_GT(during.threads, during.workers);
	CHECK_GE(during.parks, 10);
	for (int i = 0; i < 10; i++) {
		weft_cancel(sleepers[i]);
		join_co(sleepers[i]);
	}
	CHECK_EQ(stats_now().live, before.live);
	EVENTUALLY(stats_now().timers == before.timers);
}

CO_TEST(a_short_struct_is_filled_as_far_as_it_reaches)
{
	struct weft_stats stats;
	memset(&stats, 0x5a, sizeof stats);
	stats.size = offsetof(struct weft_stats, spawned);
	weft_stats(&stats);
	CHECK_EQ(stats.size, offsetof(struct weft_stats, spawned));
	CHECK_EQ(stats.maxprocs, weft_maxprocs());
	CHECK_EQ(stats.spawned, 0x5a5a5a5a5a5a5a5a);
	CHECK_EQ(weft_latency_quantile(&stats, 0.5), 0);
}

/* ---- how long they wait ---------------------------------------------------------------------------------------------- */

TEST(buckets_have_the_bounds_that_are_told)
{
	for (int i = 0; i + 1 < WEFT_LATENCY_BUCKETS; i++) {
		CHECK_EQ(wf_latency_bucket(weft_latency_bound(i) - 1), i);
		CHECK_EQ(wf_latency_bucket(weft_latency_bound(i)), i + 1);
	}
	CHECK_EQ(wf_latency_bucket(0), 0);
	CHECK_EQ(wf_latency_bucket(INT64_MAX), WEFT_LATENCY_BUCKETS - 1);
	CHECK_EQ(weft_latency_bound(WEFT_LATENCY_BUCKETS - 1), INT64_MAX);
}

TEST(quantiles_are_those_of_the_buckets)
{
	struct weft_stats stats = {.size = sizeof stats};
	CHECK_EQ(weft_latency_quantile(&stats, 0.5), 0);
	stats.latency[0] = 98;
	stats.latency[7] = 1;
	stats.latency[9] = 1;
	CHECK_EQ(weft_latency_quantile(&stats, 0.5), weft_latency_bound(0));
	CHECK_EQ(weft_latency_quantile(&stats, 0.98), weft_latency_bound(0));
	CHECK_EQ(weft_latency_quantile(&stats, 0.99), weft_latency_bound(7));
	CHECK_EQ(weft_latency_quantile(&stats, 1), weft_latency_bound(9));
}

static uint64_t samples(void)
{
	struct weft_stats stats = stats_now();
	uint64_t n = 0;
	for (int i = 0; i < WEFT_LATENCY_BUCKETS; i++)
		n += stats.latency[i];
	return n;
}

static atomic_bool stop;

static int yield_until_stop(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		weft_yield();
	return 0;
}

CO_TEST(yielders_are_measured)
{
	uint64_t before = samples();
	struct weft_co *co[8]; /* more than processors: who is alone on one does not wait */
	for (int i = 0; i < 8; i++)
		co[i] = spawn_co(NULL, yield_until_stop, NULL);
	while (samples() < before + 10)
		weft_yield();
	atomic_store(&stop, true);
	for (int i = 0; i < 8; i++)
		join_co(co[i]);
}

static int echo(void *arg)
{
	struct weft_chan **chans = arg;
	int value;
	while (weft_chan_recv(chans[0], &value) == 1)
		CHECK_RESULT(weft_chan_send(chans[1], &value), 0);
	return 0;
}

CO_TEST(woken_ones_are_measured)
{
	struct weft_chan *chans[2];
	int value = 0;
	CHECK_RESULT(weft_chan_create(&chans[0], sizeof value, 0), 0);
	CHECK_RESULT(weft_chan_create(&chans[1], sizeof value, 0), 0);
	struct weft_co *other = spawn_co(NULL, echo, chans);
	uint64_t before = samples();
	while (samples() < before + 10) {
		CHECK_RESULT(weft_chan_send(chans[0], &value), 0);
		CHECK_RESULT(weft_chan_recv(chans[1], &value), 1);
	}
	CHECK_RESULT(weft_chan_close(chans[0]), 0);
	join_co(other);
	weft_chan_destroy(chans[0]);
	weft_chan_destroy(chans[1]);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

CO_TEST(new_ones_are_measured)
{
	uint64_t before = samples();
	while (samples() < before + 5)
		join_co(spawn_co(NULL, nothing, NULL));
}

static int compute_1_ms(void *arg)
{
	weft_time until = weft_after(WEFT_MS(1));
	(void)arg;
	while (weft_now() < until)
		;
	weft_yield();
	return 0;
}

/* Who waits behind others that compute does so for milliseconds, which must show. */
CO_TEST(long_waits_are_seen_as_long)
{
	enum { CREW = 16 };
	struct weft_co *crew[CREW];
	struct weft_stats stats;
	CHECK_OK(weft_set_maxprocs(1)); /* so that all the others are waited for */
	do {
		for (int i = 0; i < CREW; i++)
			crew[i] = spawn_co(NULL, compute_1_ms, NULL);
		for (int i = 0; i < CREW; i++)
			join_co(crew[i]);
		stats = stats_now();
	} while (weft_latency_quantile(&stats, 1) < WEFT_MS(4));
}

/* ---- the trace ------------------------------------------------------------------------------------------------------- */

static int sleep_a_little(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++)
		CHECK_RESULT(weft_sleep(WEFT_MS(1)), 0);
	return 0;
}

static void run_traced(void *arg)
{
	struct weft_config config;
	(void)arg;
	setenv("WEFT_TRACE", "sched=2", 1);
	weft_config_init(&config);
	CHECK_EQ(config.trace_ns, WEFT_MS(2));
	CHECK_RESULT(weft_run(&config, sleep_a_little, NULL), 0);
}

TEST(lines_are_printed_with_what_happened)
{
	static char text[1 << 16];
	long long dispatches, sum = 0;
	int lines = 0;
	capture(STDERR_FILENO, run_traced, NULL, text, sizeof text);
	for (char *at = text; (at = strstr(at, "weft: sched ms=")) != NULL; at++, lines++) {
		const char *field = strstr(at, " dispatches=");
		CHECK(field != NULL && strstr(at, " latency_p99_us=") != NULL && strstr(at, " queues=") != NULL);
		CHECK_EQ(sscanf(field, " dispatches=%lld", &dispatches), 1);
		sum += dispatches;
	}
	CHECK_GE(lines, 2);
	CHECK_GE(sum, 5);
	CHECK_LE(sum, 1000); /* differences, not totals */
}

static void init_config(void *config) { weft_config_init(config); }

TEST(a_bad_value_is_named)
{
	struct weft_config config;
	char text[1024];
	setenv("WEFT_TRACE", "sched=soon", 1);
	capture(STDERR_FILENO, init_config, &config, text, sizeof text);
	CHECK_EQ(config.trace_ns, 0);
	CHECK(strstr(text, "WEFT_TRACE") != NULL && strstr(text, "sched=soon") != NULL);
}
