/* Rank 4. The monitor: a thread without a processor that looks after what running processors may neglect. */
#ifndef WF_MONITOR_H
#define WF_MONITOR_H

#include <stdint.h>
#include <weft/time.h>

int wf_monitor_start(void);
void wf_monitor_stop(void);

/* Changed by tests only, before the start. */
struct wf_monitor_pace {
	int64_t sample_ns; /* between two looks */
	int64_t slice_ns;  /* a processor is taken from a coroutine that has not come back for so long */
	int64_t crowded_ns; /* the same, while config.max_computing threads compute without one */
	int64_t trim_ns;   /* how long a stack is free before its memory goes back to the system, at least */
};

extern struct wf_monitor_pace wf_monitor_pace;

/* weft_shutdown's deadline: whoever lives then is named, and the process exits. The earliest one set holds. */
void wf_monitor_set_deadline(weft_time deadline);

/* A plain thread waits for coroutines from now on: that may have been the last thing that could happen. */
void wf_monitor_thread_stuck(void);

/* Looks at once. Async-signal-safe. */
void wf_monitor_poke(void);

/* A processor has just gone from idle to running, or could not for want of a thread: a monitor that sleeps goes on. */
void wf_monitor_notice(void);

#endif
