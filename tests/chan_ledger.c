#include "chan_ledger.h"

#include <stdlib.h>

#include "harness.h"

void ledger_open(struct ledger *ledger, long n)
{
	ledger->n = n;
	ledger->sent = calloc((size_t)n, 1);
	ledger->received = calloc((size_t)n, 1);
	CHECK(ledger->sent && ledger->received);
}

static void note(struct ledger *ledger, _Atomic unsigned char *counts, long value)
{
	CHECK_GE(value, 0);
	CHECK_LT(value, ledger->n);
	CHECK_EQ(atomic_fetch_add_explicit(&counts[value], 1, memory_order_relaxed), 0);
}

void ledger_sent(struct ledger *ledger, long value) { note(ledger, ledger->sent, value); }

void ledger_received(struct ledger *ledger, long value) { note(ledger, ledger->received, value); }

long ledger_close(struct ledger *ledger)
{
	long total = 0;
	for (long i = 0; i < ledger->n; i++) {
		if (ledger->sent[i] != ledger->received[i])
			test_fail(__FILE__, __LINE__, "value %ld was sent %d times and received %d times", i, ledger->sent[i],
				  ledger->received[i]);
		total += ledger->sent[i];
	}
	free((void *)ledger->sent);
	free((void *)ledger->received);
	return total;
}
