/* Rank 4. Reports: stack overflow, dumps. */
#ifndef WF_DEBUG_H
#define WF_DEBUG_H

void wf_debug_start(void);
void wf_debug_stop(void);

#endif
