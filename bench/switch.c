/* switch [COUNT [STACKS]]: the context switch of arch/ alone, without the scheduler: round the stacks, each switching to the next;
 * ns per switch. The one benchmark that goes below the public headers: what it measures has no public name. */
#include "bench.h"
#include "ctx.h"

enum { STACK = 33 * 4096, COLOUR = 64, COLOURS = 16 };

static wf_word *saved; /* stack pointers; the last is main's */
static long stacks, left;

/* Lets the next one run, and returns when the one before comes around. */
static void pass(long me)
{
	long next = me == stacks - 1 ? 0 : me + 1;
	wf_ctx_switch(&saved[me], (void *)saved[next], NULL);
}

static void member(void *arg)
{
	for (;; left--) {
		if (left <= 0)
			wf_ctx_switch(&saved[(long)(intptr_t)arg], (void *)saved[stacks], NULL);
		pass((long)(intptr_t)arg);
	}
}

static void first_turn(void *arg)
{
	wf_ctx_switch(&saved[(long)(intptr_t)arg], (void *)saved[stacks], NULL);
	member(arg);
}

int main(int argc, char **argv)
{
	char name[32];
	long count = bench_arg(argv, 1, 20000000);
	(void)argc;
	stacks = bench_arg(argv, 2, 2);
	char *memory = aligned_alloc(4096, (size_t)stacks * STACK);
	saved = calloc((size_t)stacks + 1, sizeof *saved);
	must(memory && saved ? 0 : -1);
	for (long i = 0; i < stacks; i++) /* tops lie as those of coroutines do */
		wf_ctx_start(&saved[stacks], memory + (i + 1) * STACK - i % COLOURS * COLOUR, (void *)(intptr_t)i, first_turn);
	left = count;
	weft_time start = weft_now();
	wf_ctx_switch(&saved[stacks], (void *)saved[0], NULL);
	snprintf(name, sizeof name, "switch%ld", stacks);
	printf("%s.p1 %.3f ns\n", name, (double)(weft_now() - start) / (double)count);
	free((void *)saved);
	free(memory);
	return 0;
}
