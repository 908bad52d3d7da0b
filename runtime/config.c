/* What the environment says. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "proc.h"

enum {
	STACK_DEFAULT = 192 * 1024,
	STACK_MIN = 16 * 1024,
	SPIN_US_DEFAULT = 20,
	SPIN_US_MAX = 1000000,
	WORKERS_DEFAULT = 512,
	WORKERS_MAX = 1000000,
	TRACE_MS_MAX = 86400000,
	HELPERS_DEFAULT = 256,
	LOOKUPS_DEFAULT = 32,
	HELPER_IDLE_MS_DEFAULT = 10000,
	HELPER_IDLE_MS_MAX = 1000000000,
};

/* A whole decimal number with an optional K, M or G behind it (when units is true); false: it is none, or out of range. */
static bool parse(const char *text, bool units, long long min, long long max, long long *value)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	int shift = 0;
	if (!isdigit((unsigned char)*text) || errno != 0)
		return false;
	if (units && *end) {
		const char *const at = strchr("KMG", toupper((unsigned char)*end));
		if (!at)
			return false;
		shift = (int)(at - "KMG" + 1) * 10;
		end++;
	}
	if (*end || n > max >> shift)
		return false;
	*value = n << shift;
	return *value >= min;
}

/* The number in a variable; the fallback, and one line on standard error, when it can't be used. Unset or empty: the fallback. */
static long long from_env(const char *name, bool units, long long min, long long max, long long fallback)
{
	const char *text = getenv(name);
	long long value;
	if (!text || !*text)
		return fallback;
	if (parse(text, units, min, max, &value))
		return value;
	wf_report("%s=\"%.60s\" is not a number from %lld to %lld; using %lld", name, text, min, max, fallback);
	return fallback;
}

/* What stands behind "key=" in the value of a variable, a list with commas. The fallback as above; an item of another key is
 * reported. */
static long long from_env_list(const char *name, const char *key, long long min, long long max, long long fallback)
{
	const char *text = getenv(name);
	long long value = fallback;
	char item[64];
	while (text && *text) {
		size_t n = strcspn(text, ","), length = strlen(key);
		snprintf(item, sizeof item, "%.*s", (int)n, text);
		text += n + (text[n] == ',');
		if (strncmp(item, key, length) != 0 || item[length] != '=' || !parse(item + length + 1, false, min, max, &value))
			wf_report("%s: \"%s\" is not %s=N with N from %lld to %lld; ignored", name, item, key, min, max);
	}
	return value;
}

/* Which of the words is the value of a variable; 0, and one line on standard error, for another one. words[0]: as if unset. */
static int word_from_env(const char *name, const char *const *words, int count)
{
	const char *text = getenv(name);
	for (int i = 0; i < count; i++)
		if (!text || !*text || strcmp(text, words[i]) == 0)
			return text && *text ? i : 0;
	wf_report("%s=\"%.60s\" is none of the words that it can be; using \"%s\"", name, text, words[0]);
	return 0;
}

static int signal_from_env(const char *name, const char *fallback)
{
	const char *text = getenv(name);
	int number = wf_os_signal_number(text && *text ? text : fallback);
	if (number >= 0)
		return number;
	wf_report("%s=\"%.60s\" is no signal; using %s", name, text, fallback);
	return wf_os_signal_number(fallback);
}

static int default_maxprocs(void)
{
	int cpus = wf_os_cpu_count();
	cpus = cpus < WEFT_MAXPROCS_LIMIT ? cpus : WEFT_MAXPROCS_LIMIT;
	int go = (int)from_env("GOMAXPROCS", false, 1, WEFT_MAXPROCS_LIMIT, cpus);
	return (int)from_env("WEFT_MAXPROCS", false, 1, WEFT_MAXPROCS_LIMIT, go);
}

void weft_config_init(struct weft_config *config)
{
	static const char *const on_deadlock[] = {"default", "off", "report", "exit"};
	*config = (struct weft_config){
		.size = sizeof *config,
		.maxprocs = default_maxprocs(),
		.stack_size = (size_t)from_env("WEFT_STACK", true, STACK_MIN, (long long)WF_STACK_USABLE_MAX, STACK_DEFAULT),
		.spin_ns = from_env("WEFT_SPIN_US", false, 0, SPIN_US_MAX, SPIN_US_DEFAULT) * 1000,
		.handoff = from_env("WEFT_HANDOFF", false, 0, 1, 1) != 0,
		.max_workers = (int)from_env("WEFT_MAX_WORKERS", false, 1, WORKERS_MAX, WORKERS_DEFAULT),
		.max_computing = (int)from_env("WEFT_MAX_COMPUTING", false, 0, WORKERS_MAX, 0),
		.max_helpers = (int)from_env("WEFT_MAX_HELPERS", false, 1, WORKERS_MAX, HELPERS_DEFAULT),
		.helper_idle_ns = WEFT_MS(from_env("WEFT_HELPER_IDLE_MS", false, 0, HELPER_IDLE_MS_MAX, HELPER_IDLE_MS_DEFAULT)),
		.max_lookups = (int)from_env("WEFT_MAX_LOOKUPS", false, 1, WORKERS_MAX, LOOKUPS_DEFAULT),
		.watch_stack_overflow = true,
		.watchdog_ns = WEFT_MS(from_env("WEFT_WATCHDOG", false, 0, TRACE_MS_MAX, 0)),
		.dump_signal = signal_from_env("WEFT_DUMP_SIGNAL", "QUIT"),
		.dump_ends = from_env("WEFT_DUMP_ENDS", false, 0, 1, 0) != 0,
		.on_deadlock = word_from_env("WEFT_DEADLOCK", on_deadlock, (int)wf_countof(on_deadlock)),
		.trace_ns = from_env_list("WEFT_TRACE", "sched", 0, TRACE_MS_MAX, 0) * 1000000,
	};
}
