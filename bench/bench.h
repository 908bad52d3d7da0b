/* What the benchmark programs share. Each measures one cost, takes its sizes as arguments, and prints lines
 *     name.pN VALUE UNIT
 * with N processors, as the peers' programs do (bench/peers), so that lines of several runs can be mixed. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static inline void bench_out(const char *name, double value, const char *unit)
{
	printf("%s.p%d %.3f %s\n", name, weft_maxprocs(), value, unit);
	fflush(stdout);
}

/* Ends the program when a call failed that must not. */
static inline int bench_must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n", what, weft_strerror(result));
		exit(1);
	}
	return result;
}

#define must(call) bench_must((call), #call)

/* The i-th argument as a number, or a default. */
static inline long bench_arg(char **argv, int i, long fallback)
{
	for (int k = 1; k <= i; k++)
		if (!argv[k])
			return fallback;
	return atol(argv[i]);
}

/* splitmix64: the same pseudo-random sizes in every language. */
static inline uint64_t bench_hash(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline int bench_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* Prints NAME_p50, NAME_p99 and NAME_max of n times, in us; sorts them. */
static inline void bench_points(const char *name, int64_t *ns, long n)
{
	static const struct { const char *name; int at; } points[] = { { "p50", 50 }, { "p99", 99 }, { "max", 100 } };
	qsort(ns, (size_t)n, sizeof *ns, bench_compare);
	for (int i = 0; i < 3; i++) {
		char full[96];
		long at = n * points[i].at / 100;
		snprintf(full, sizeof full, "%s_%s", name, points[i].name);
		bench_out(full, (double)ns[at < n ? at : n - 1] / 1e3, "us");
	}
}

/* A field of /proc/self/status in bytes. */
static inline double bench_status(const char *key)
{
	char line[256];
	long kb = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, key, strlen(key)) == 0)
			kb = atol(line + strlen(key) + 1);
	if (f)
		fclose(f);
	return (double)kb * 1024;
}

/* Burns CPU for a time. */
static inline void bench_spin(int64_t ns)
{
	weft_time until = weft_now() + ns;
	while (weft_now() < until)
		;
}

#endif
