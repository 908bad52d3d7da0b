/* How many processors: what the environment says, and changes while all run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_util.h"
#include "os.h"

static atomic_long count;
static atomic_bool stop;

/* ---- the environment ------------------------------------------------------------------------------------------------- */

static const char *const variables[] = {"WEFT_MAXPROCS", "GOMAXPROCS", "WEFT_STACK", "WEFT_SPIN_US", "WEFT_HANDOFF",
					"WEFT_MAX_WORKERS"};

static void clear(void)
{
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		unsetenv(variables[i]);
}

static void init(void *config) { weft_config_init(config); }

/* What comes out, and how many lines are said about it; each must name the variable. */
static struct weft_config read_env(const char *variable, const char *value, int complaints)
{
	struct weft_config config;
	char text[4096];
	clear();
	CHECK_EQ(setenv(variable, value, 1), 0);
	capture(STDERR_FILENO, init, &config, text, sizeof text);
	if (occurrences(text, "\n") != complaints || (complaints && !strstr(text, variable)))
		test_fail(__FILE__, __LINE__, "%s=\"%s\" gives \"%s\"", variable, value, text);
	CHECK_EQ(config.size, sizeof config);
	return config;
}

static const char *const garbage[] = {"x",   "4x",  "4 ", " 4", "4\t",     "+4", "-4",  "-0",   "0x4",
				      "4.0", "4K4", "KK", "K",  "9999999", "--", "4,4", "\xff", "99999999999999999999"};

#define CHECK_GARBAGE(variable, field)                                                             \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < sizeof garbage / sizeof garbage[0]; i_++)                 \
			CHECK_EQ(read_env(variable, garbage[i_], 1).field, defaults.field);        \
		CHECK_EQ(read_env(variable, "", 0).field, defaults.field);                         \
	} while (0)

static struct weft_config defaults_now(void)
{
	struct weft_config config;
	clear();
	weft_config_init(&config);
	return config;
}

TEST(defaults)
{
	struct weft_config c = defaults_now();
	CHECK_EQ(c.maxprocs, wf_os_cpu_count());
	CHECK_EQ(weft_maxprocs(), c.maxprocs);
	CHECK_EQ(c.stack_size, 192 * 1024);
	CHECK_EQ(c.spin_ns, 20000);
	CHECK_EQ(c.handoff, 1);
	CHECK_EQ(c.watch_stack_overflow, 1);
}

TEST(env_maxprocs)
{
	struct weft_config defaults = defaults_now();
	for (int i = 0; i < 2; i++) {
		const char *variable = i ? "GOMAXPROCS" : "WEFT_MAXPROCS";
		CHECK_EQ(read_env(variable, "1", 0).maxprocs, 1);
		CHECK_EQ(read_env(variable, "007", 0).maxprocs, 7);
		CHECK_EQ(read_env(variable, "256", 0).maxprocs, 256);
		CHECK_EQ(read_env(variable, "257", 1).maxprocs, defaults.maxprocs);
		CHECK_EQ(read_env(variable, "0", 1).maxprocs, defaults.maxprocs);
		CHECK_EQ(read_env(variable, "1K", 1).maxprocs, defaults.maxprocs);
		CHECK_GARBAGE(variable, maxprocs);
	}
}

TEST(own_variable_before_that_of_go)
{
	struct weft_config config;
	clear();
	setenv("GOMAXPROCS", "3", 1);
	setenv("WEFT_MAXPROCS", "5", 1);
	weft_config_init(&config);
	CHECK_EQ(config.maxprocs, 5);
	CHECK_EQ(weft_maxprocs(), 5);
	setenv("WEFT_MAXPROCS", "five", 1);
	weft_config_init(&config);
	CHECK_EQ(config.maxprocs, 3);
	setenv("WEFT_MAXPROCS", "", 1);
	weft_config_init(&config);
	CHECK_EQ(config.maxprocs, 3);
}

TEST(env_stack)
{
	struct weft_config defaults = defaults_now();
	CHECK_EQ(read_env("WEFT_STACK", "16K", 0).stack_size, 16 << 10);
	CHECK_EQ(read_env("WEFT_STACK", "16384", 0).stack_size, 16 << 10);
	CHECK_EQ(read_env("WEFT_STACK", "1m", 0).stack_size, 1 << 20);
	CHECK_EQ(read_env("WEFT_STACK", "1G", 0).stack_size, 1 << 30);
	CHECK_EQ(read_env("WEFT_STACK", "2G", 1).stack_size, defaults.stack_size);
	CHECK_EQ(read_env("WEFT_STACK", "16383", 1).stack_size, defaults.stack_size);
	CHECK_EQ(read_env("WEFT_STACK", "99999999999G", 1).stack_size, defaults.stack_size);
	CHECK_EQ(read_env("WEFT_STACK", "1KB", 1).stack_size, defaults.stack_size);
	for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
		if (strcmp(garbage[i], "9999999") != 0)
			CHECK_EQ(read_env("WEFT_STACK", garbage[i], 1).stack_size, defaults.stack_size);
	CHECK_EQ(read_env("WEFT_STACK", "", 0).stack_size, defaults.stack_size);
}

TEST(env_spin)
{
	struct weft_config defaults = defaults_now();
	CHECK_EQ(read_env("WEFT_SPIN_US", "0", 0).spin_ns, 0);
	CHECK_EQ(read_env("WEFT_SPIN_US", "5", 0).spin_ns, 5000);
	CHECK_GARBAGE("WEFT_SPIN_US", spin_ns);
}

TEST(env_handoff)
{
	struct weft_config defaults = defaults_now();
	CHECK_EQ(read_env("WEFT_HANDOFF", "0", 0).handoff, 0);
	CHECK_EQ(read_env("WEFT_HANDOFF", "1", 0).handoff, 1);
	CHECK_EQ(read_env("WEFT_HANDOFF", "2", 1).handoff, 1);
	CHECK_EQ(read_env("WEFT_HANDOFF", "no", 1).handoff, 1);
	CHECK_GARBAGE("WEFT_HANDOFF", handoff);
}

static int tell_maxprocs(void *arg)
{
	(void)arg;
	return weft_maxprocs();
}

TEST(run_asks_the_environment)
{
	clear();
	setenv("WEFT_MAXPROCS", "7", 1);
	CHECK_RESULT(weft_run(NULL, tell_maxprocs, NULL), 7);
	struct weft_config config = config_with(3);
	CHECK_RESULT(weft_run(&config, tell_maxprocs, NULL), 3);
}

/* ---- changes --------------------------------------------------------------------------------------------------------- */

CO_TEST(set_maxprocs_gives_the_former)
{
	int former = weft_maxprocs();
	CHECK_RESULT(weft_set_maxprocs(3), former);
	CHECK_EQ(weft_maxprocs(), 3);
	CHECK_EQ(stats_now().maxprocs, 3);
	CHECK_RESULT(weft_set_maxprocs(3), 3);
	CHECK_RESULT(weft_set_maxprocs(0), -EINVAL);
	CHECK_RESULT(weft_set_maxprocs(-1), -EINVAL);
	CHECK_RESULT(weft_set_maxprocs(WEFT_MAXPROCS_LIMIT + 1), -EINVAL);
	CHECK_EQ(weft_maxprocs(), 3);
	CHECK_RESULT(weft_set_maxprocs(WEFT_MAXPROCS_LIMIT), 3);
	CHECK_RESULT(weft_set_maxprocs(1), WEFT_MAXPROCS_LIMIT);
}

static int add_one(void *arg)
{
	atomic_fetch_add(&count, 1);
	(void)arg;
	return 1;
}

/* A bit of everything that lies on processors: new coroutines, joiners, sleepers, yielders. */
static int keep_busy(void *arg)
{
	uint64_t *seed = arg;
	int made = 0;
	while (!atomic_load(&stop)) {
		struct weft_co *co[4];
		for (int i = 0; i < 4; i++)
			co[i] = spawn_co(NULL, add_one, NULL);
		switch (random_below(seed, 4)) {
		case 0: weft_yield(); break;
		case 1: CHECK_RESULT(weft_sleep((int64_t)random_below(seed, 50000)), 0); break;
		case 2:
			for (weft_time end = weft_after(WEFT_US(30)); weft_now() < end;)
				;
			break;
		}
		for (int i = 0; i < 4; i++)
			made += join_co(co[i]);
	}
	return made;
}

static void change_under_load(int times, void (*change)(int n))
{
	enum { BUSY = 12 };
	struct weft_co *busy[BUSY];
	uint64_t seeds[BUSY], seed = random_seed();
	long made = 0;
	atomic_store(&stop, false);
	atomic_store(&count, 0);
	for (int i = 0; i < BUSY; i++) {
		seeds[i] = next_random(&seed);
		busy[i] = spawn_co(NULL, keep_busy, &seeds[i]);
	}
	for (int i = 0; i < times; i++)
		change(1 + (int)random_below(&seed, i % 16 == 0 ? 20 : 4));
	atomic_store(&stop, true);
	for (int i = 0; i < BUSY; i++)
		made += join_co(busy[i]);
	CHECK_EQ(atomic_load(&count), made);
}

static void change_and_yield(int n)
{
	CHECK_OK(weft_set_maxprocs(n));
	CHECK_EQ(weft_maxprocs(), n);
	for (int i = 0; i < n; i++)
		weft_yield();
}

CO_TEST(change_thousands_of_times)
{
	change_under_load(test_scaled(20000), change_and_yield);
	struct weft_stats stats = stats_now();
	CHECK_EQ(stats.spawned, stats.ended + 1);
	CHECK_LE(stats.idle_procs, stats.maxprocs);
}

/* Slowly enough for processors to be taken up, and to come to rest. */
static void change_and_sleep(int n)
{
	CHECK_OK(weft_set_maxprocs(n));
	CHECK_RESULT(weft_sleep(WEFT_US(300)), 0);
}

CO_TEST(change_at_leisure) { change_under_load(test_scaled(500), change_and_sleep); }

static void *change_from_outside(void *arg)
{
	uint64_t seed = random_seed();
	for (int i = 0; i < test_scaled(2000); i++)
		CHECK_OK(weft_set_maxprocs(1 + (int)random_below(&seed, 6)));
	return arg;
}

static void change_by_threads(int n)
{
	pthread_t threads[2] = {start_thread(change_from_outside, NULL), start_thread(change_from_outside, NULL)};
	CHECK_OK(weft_set_maxprocs(n));
	join_thread(threads[0]);
	join_thread(threads[1]);
}

CO_TEST(change_by_many_at_once) { change_under_load(2, change_by_threads); }

/* All processors come to rest, and are counted as idle, whatever happened before. */
TEST(idle_ones_are_counted)
{
	struct weft_config config = config_with(4);
	CHECK_RESULT(weft_start(&config), 0);
	uint64_t seed = random_seed();
	for (int i = 0; i < test_scaled(200); i++) {
		int n = 1 + (int)random_below(&seed, 8);
		for (int k = 0; k < 20; k++)
			CHECK_RESULT(weft_go(add_one, NULL), 0);
		CHECK_OK(weft_set_maxprocs(n));
		EVENTUALLY(stats_now().idle_procs == n && stats_now().spinning == 0);
	}
	CHECK_RESULT(weft_stop(WEFT_NEVER), 0);
}
