/* Rank 4. The monitor: a thread without a processor that looks after what running processors may neglect. */
#ifndef WF_MONITOR_H
#define WF_MONITOR_H

#include <weft/time.h>

int wf_monitor_start(void);
void wf_monitor_stop(void);

/* How long a stack is free before its memory goes back to the system, at least; changed by tests only. */
extern int64_t wf_monitor_trim_ns;

/* weft_shutdown's deadline: whoever lives then is named, and the process exits. The earliest one set holds. */
void wf_monitor_set_deadline(weft_time deadline);

/* A processor has just gone from idle to running, or could not for want of a thread: a monitor that sleeps goes on. */
void wf_monitor_notice(void);

#endif
