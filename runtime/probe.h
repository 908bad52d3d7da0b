/* Rank 4. Asking a running thread of the runtime where it is.
 *
 *   who asks, under the lock                          the thread, in its signal handler
 *   1 the worker that is meant                        1 state WANTED (acquire), and it is the one that is meant?
 *   2 state = next number, WANTED (release)           2 CAS WANTED -> WRITING; else it is too late, or for somebody else
 *   3 signals the thread                              3 writes: coroutine, frames
 *   4 waits a while for DONE (acquire)                4 state = DONE (release)
 *   5 too long: CAS WANTED -> IDLE; else it is        (the number keeps a handler that comes late from answering the next one)
 *     WRITING, and DONE comes
 *
 * The signal is taken only when the watchdog is on, since it interrupts system calls of the program's own code. */
#ifndef WF_PROBE_H
#define WF_PROBE_H

#include "proc.h"

enum { WF_PROBE_FRAMES = 48 };

struct wf_probe {
	uint64_t id; /* of the coroutine that runs there; 0: none */
	char name[WEFT_NAME_SIZE];
	int frame_count;
	void *frames[WF_PROBE_FRAMES];
};

/* The handler of the signal. */
void wf_probe_answer(int number);

/* Asks the thread of a worker, which may be gone by now: only its address is used, and the id of the thread. False: no answer. Not
 * from a thread that could be the one asked. */
bool wf_probe_ask(const struct wf_worker *w, int thread_id, struct wf_probe *result);

#endif
