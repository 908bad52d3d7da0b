#include "core_util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void rest(void)
{
	enum { NS = 100000 };
	if (weft_self() == 0 || weft_sleep(NS) != 0) {
		nanosleep(&(struct timespec){0, NS}, NULL);
		weft_yield();
	}
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13; /* xorshift (Marsaglia 2003) */
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint64_t random_below(uint64_t *state, uint64_t n) { return next_random(state) % n; }

uint64_t random_seed(void)
{
	const char *text = getenv("WEFT_STRESS_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)weft_now() ^ (uint64_t)getpid() << 40;
	fprintf(stderr, "WEFT_STRESS_SEED=%llu\n", (unsigned long long)seed);
	return seed ? seed : 1;
}

struct weft_co *spawn_co(const struct weft_attr *attr, weft_fn *fn, void *arg)
{
	struct weft_co *co = NULL;
	CHECK_RESULT(weft_spawn(&co, attr, fn, arg), 0);
	return co;
}

int join_co(struct weft_co *co)
{
	int result = 0;
	CHECK_RESULT(weft_join(co, &result), 0);
	return result;
}

bool is_being_joined(struct weft_co *co) { return weft_join_until(co, NULL, WEFT_NOW) == -EINVAL; }

struct weft_config config_with(int maxprocs)
{
	struct weft_config config;
	weft_config_init(&config);
	config.maxprocs = maxprocs;
	return config;
}

pthread_t start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
	return thread;
}

void *join_thread(pthread_t thread)
{
	void *result = NULL;
	CHECK_EQ(pthread_join(thread, &result), 0);
	return result;
}

struct weft_stats stats_now(void)
{
	struct weft_stats stats = {.size = sizeof stats};
	weft_stats(&stats);
	return stats;
}

void capture(int fd, void (*fn)(void *arg), void *arg, char *text, size_t size)
{
	FILE *file = tmpfile();
	CHECK(file != NULL);
	int former = dup(fd);
	CHECK_GE(former, 0);
	CHECK_GE(dup2(fileno(file), fd), 0);
	fn(arg);
	CHECK_GE(dup2(former, fd), 0);
	close(former);
	rewind(file);
	text[fread(text, 1, size - 1, file)] = '\0';
	fclose(file);
}

int occurrences(const char *text, const char *what)
{
	int n = 0;
	for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}
