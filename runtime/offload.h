/* Rank 5. Work on helper threads, for code inside the gate. offload.c has the protocol. */
#ifndef WF_OFFLOAD_H
#define WF_OFFLOAD_H

#include <weft/blocking.h>

struct wf_worker;

/* Bodies of the public calls, without their look at cancel and arguments: *w is another worker afterwards. A plain thread
 * (NULL) calls fn itself. wf_offload: 0 or -EAGAIN. */
int wf_offload(struct wf_worker **w, weft_fn *fn, void *arg, int *result);
int wf_offload_owned(struct wf_worker **w, weft_fn *fn, void *arg, void (*drop)(void *arg), int64_t deadline, int *result);

/* For calls that must be made: where there is no helper and none can be made, on the caller's own thread. */
void wf_offload_or_call(struct wf_worker **w, weft_fn *fn, void *arg);

#endif
