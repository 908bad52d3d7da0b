/* Rank 4. What the monitor asks of whoever turns signals into values; bound by the linker (signal.c), since that sends to channels.
 *
 *   the handler, on any thread                     the monitor
 *   1 the bit of this signal is set in a word      1 woken, or at its next look: takes the word, and clears it
 *   2 wakes the monitor                            2 sends to the channels, or has a thread made that writes a dump
 *
 * Nothing else happens in the handler. A signal that comes again before the monitor has looked is one with the first. */
#ifndef WF_SIGNALS_H
#define WF_SIGNALS_H

#include "atomic.h"

void wf_signals_start(void);
void wf_signals_stop(void); /* nobody else is in the runtime, but the monitor may be */

bool wf_signals_pending(void);
void wf_signals_deliver(void); /* the monitor */

#endif
