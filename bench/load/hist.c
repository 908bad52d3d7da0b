#include "hist.h"

#include <math.h>

/* Values with the same highest bit share HIST_STEPS cells by the bits that follow it. */
static unsigned cell_of(uint64_t ns)
{
	if (ns < HIST_STEPS)
		return (unsigned)ns;
	unsigned high = 63 - (unsigned)__builtin_clzll(ns), shift = high - HIST_STEP_BITS;
	unsigned cell = (shift + 1) * HIST_STEPS + (unsigned)(ns >> shift & (HIST_STEPS - 1));
	return cell < HIST_CELLS ? cell : HIST_CELLS - 1;
}

static double middle_of(unsigned cell)
{
	if (cell < HIST_STEPS)
		return cell;
	int shift = (int)(cell / HIST_STEPS) - 1;
	return ldexp(HIST_STEPS + cell % HIST_STEPS + 0.5, shift);
}

void hist_add(struct hist *h, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	h->cells[cell_of((uint64_t)ns)]++;
	h->count++;
	h->sum += (double)ns;
	if (ns > h->max)
		h->max = ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (int i = 0; i < HIST_CELLS; i++)
		into->cells[i] += from->cells[i];
	into->count += from->count;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
}

double hist_quantile(const struct hist *h, double share)
{
	double wanted = ceil(share * (double)h->count);
	uint64_t seen = 0;
	for (unsigned i = 0; i < HIST_CELLS; i++) {
		seen += h->cells[i];
		if (seen && (double)seen >= wanted)
			return middle_of(i);
	}
	return 0;
}
