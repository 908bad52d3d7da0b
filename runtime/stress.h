/* Rank 2. The stress build (WEFT_STRESS): what is rare happens often, wherever it is allowed to happen. Nothing in other builds.
 *
 * Whether it happens is random; WEFT_STRESS_SEED sets the seed, which is said once on standard error. (The order in which threads
 * ask is not repeated, so neither is a run, but its kind is.) WEFT_STRESS_FAIL=n has one in n of the allocations fail which a
 * program can see to fail: stacks, control blocks, deferred calls, local values. None unless set. */
#ifndef WF_STRESS_H
#define WF_STRESS_H

#include "base.h"

#ifdef WEFT_STRESS
/* True once in so many times. */
bool wf_stress(unsigned one_in);

/* This allocation fails. */
bool wf_stress_fails(void);

/* Others may come first here. (sleeps) */
void wf_stress_pause(void);
#else
static inline bool wf_stress(unsigned one_in)
{
	(void)one_in;
	return false;
}
static inline bool wf_stress_fails(void) { return false; }
static inline void wf_stress_pause(void) {}
#endif

#endif
