/* Which values were sent and received, of n: for tests that many run at once. */
#ifndef TEST_CHAN_LEDGER_H
#define TEST_CHAN_LEDGER_H

#include <stdatomic.h>

struct ledger {
	long n;
	_Atomic unsigned char *sent, *received;
};

void ledger_open(struct ledger *ledger, long n);
void ledger_sent(struct ledger *ledger, long value);
void ledger_received(struct ledger *ledger, long value);

/* Every value that was sent was received once, no other was. Returns how many, and frees it. */
long ledger_close(struct ledger *ledger);

#endif
