#include "debug.h"

#include <unistd.h>

#include "check.h"
#include "sched.h"

/* ---- stack overflow ---------------------------------------------------------------------------------------------------- */

/* On the alternate signal stack, in a process that has just stepped on a guard: nothing is locked, nothing allocated. */
static bool on_fault(uintptr_t address, void *context)
{
	struct wf_stack *stack = wf_stack_find(address);
	(void)context;
	if (!stack || address >= (uintptr_t)stack->low)
		return false;
	const struct weft_co *co = wf_load_ptr(&stack->owner);
	wf_report("stack overflow in coroutine %llu%s%s%s: fault at %#llx, stack [%#llx, %#llx), %llu KiB usable",
		  co ? (unsigned long long)co->id : 0ull, co && co->name[0] ? " \"" : "", co ? wf_co_name_of(co) : "",
		  co && co->name[0] ? "\"" : "", (unsigned long long)address, (unsigned long long)(uintptr_t)stack->low,
		  (unsigned long long)(uintptr_t)stack->top, (unsigned long long)(stack->top - stack->low + 1023) / 1024);
	wf_os_backtrace(STDERR_FILENO);
	wf_os_exit_now(WEFT_STATUS_STACK_OVERFLOW);
}

void wf_debug_start(void)
{
	if (!wf_rt.config.watch_stack_overflow)
		return;
	wf_os_backtrace_prepare();
	wf_os_fault_install(on_fault);
}

void wf_debug_stop(void)
{
	if (wf_rt.config.watch_stack_overflow)
		wf_os_fault_remove();
}
