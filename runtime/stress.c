#include "stress.h"

#ifdef WEFT_STRESS

#include <stdlib.h>

#include "../arch/arch.h"
#include "check.h"
#include "os.h"

static wf_word seed;     /* 0: not known yet */
static wf_word asked;    /* so many times */
static wf_word fail_one_in;

static WF_COLD uintptr_t find_seed(void)
{
	const char *text = getenv("WEFT_STRESS_SEED"), *fail = getenv("WEFT_STRESS_FAIL");
	uintptr_t found = text ? strtoull(text, NULL, 10) : (uintptr_t)wf_os_now();
	found = found ? found : 1;
	wf_store(&fail_one_in, fail ? strtoull(fail, NULL, 10) : 0);
	if (wf_cas_full(&seed, 0, found) && !text)
		wf_report("WEFT_STRESS_SEED=%llu", (unsigned long long)found);
	return wf_load(&seed);
}

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014) over a counter: as random on one thread as on many. */
static WF_OPAQUE uint64_t next_random(void)
{
	uintptr_t start = wf_load(&seed);
	uint64_t x = (start ? start : find_seed()) + wf_add(&asked, 1) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

bool wf_stress(unsigned one_in)
{
	return next_random() % one_in == 0;
}

bool wf_stress_fails(void)
{
	uint64_t random = next_random(); /* first: it finds out about the other */
	uintptr_t one_in = wf_load(&fail_one_in);
	return one_in != 0 && random % one_in == 0;
}

/* Mostly nothing, sometimes a few cache misses, now and then the CPU to another thread. */
void wf_stress_pause(void)
{
	uint64_t random = next_random();
	if (random % 64 == 0)
		wf_os_sched_yield();
	else if (random % 8 == 0)
		for (unsigned n = (unsigned)(random >> 32) % 64; n > 0; n--)
			wf_cpu_relax();
}

#else
typedef int wf_stress_is_never_empty; /* ISO C wants a declaration */
#endif
