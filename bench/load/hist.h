/* A log-linear histogram of times: exact below 128 ns, then 128 steps for each power of two, so a value is off by at most 0.4 %
 * from 1 ns to an hour, in a table of fixed size that is added up by adding. */
#ifndef LOAD_HIST_H
#define LOAD_HIST_H

#include <stdint.h>

enum { HIST_STEP_BITS = 7, HIST_STEPS = 1 << HIST_STEP_BITS, HIST_CELLS = 36 * HIST_STEPS };

struct hist {
	uint64_t cells[HIST_CELLS];
	uint64_t count;
	int64_t max;
	double sum;
};

/* ns below 0 counts as 0, beyond the table as the last cell; max and sum are exact. */
void hist_add(struct hist *h, int64_t ns);
void hist_merge(struct hist *into, const struct hist *from);

/* The least value such that at least this share (0 to 1) of all is not above it, as the middle of its cell; 0 if there is none. */
double hist_quantile(const struct hist *h, double share);

#endif
