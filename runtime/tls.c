/* The one thread-local variable. Assembly names it (arch/<cpu>/cpu.h), and link-time optimisation does not see names in
 * assembly: it would make the variable local to wherever it puts it. So it has a file of its own, which is compiled without
 * that. */
#include "proc.h"

__thread struct wf_worker *wf_tls_worker __attribute__((tls_model("initial-exec"), visibility("hidden")));
