/* os.h, the part that is macOS. */
#include "os.h"

#include <errno.h>
#include <libproc.h>
#include <mach/mach.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "os_call.h"

/* ---- sleeping on a word ---------------------------------------------------------------------------------------------- *
 *
 * <os/os_sync_wait_on_address.h>, macOS 14.4; older tool sets have the functions and not the header. */

int os_sync_wait_on_address(void *address, uint64_t expected, size_t size, uint32_t flags);
int os_sync_wait_on_address_with_timeout(void *address, uint64_t expected, size_t size, uint32_t flags, uint32_t clock,
					 uint64_t timeout_ns);
int os_sync_wake_by_address_any(void *address, size_t size, uint32_t flags);
int os_sync_wake_by_address_all(void *address, size_t size, uint32_t flags);

enum { CLOCK_OF_WAITS = 32 /* OS_CLOCK_MACH_ABSOLUTE_TIME */ };

WF_OPAQUE void wf_os_futex_wait(wf_u32 *word, unsigned expected, int64_t ns)
{
	void *address = (void *)(uintptr_t)word;
	if (ns < 0)
		os_sync_wait_on_address(address, expected, sizeof *word, 0);
	else if (ns > 0) /* 0 is refused */
		os_sync_wait_on_address_with_timeout(address, expected, sizeof *word, 0, CLOCK_OF_WAITS, (uint64_t)ns);
}

WF_OPAQUE void wf_os_futex_wake(wf_u32 *word, int n)
{
	void *address = (void *)(uintptr_t)word;
	if (n == 1)
		os_sync_wake_by_address_any(address, sizeof *word, 0);
	else
		os_sync_wake_by_address_all(address, sizeof *word, 0);
}

/* ---- threads --------------------------------------------------------------------------------------------------------- */

/* The name of its Mach port, which lives as long as the thread. */
int wf_os_thread_id(void)
{
	return (int)pthread_mach_thread_np(pthread_self());
}

int wf_os_thread_count(void)
{
	struct proc_taskinfo info;
	int n = proc_pidinfo(getpid(), PROC_PIDTASKINFO, 0, &info, sizeof info);
	return n == sizeof info ? info.pti_threadnum : 0;
}

bool wf_os_thread_sleeps(int id)
{
	thread_basic_info_data_t info;
	mach_msg_type_number_t n = THREAD_BASIC_INFO_COUNT;
	kern_return_t r = thread_info((thread_act_t)id, THREAD_BASIC_INFO, (thread_info_t)&info, &n);
	return r == KERN_SUCCESS && (info.run_state == TH_STATE_WAITING || info.run_state == TH_STATE_UNINTERRUPTIBLE);
}

void wf_os_name_thread(const char *name)
{
	pthread_setname_np(name);
}

int wf_os_cpu_count(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int)online : 1;
}

/* ---- signals --------------------------------------------------------------------------------------------------------- */

/* No processor that macOS runs on raises it. */
int wf_os_probe_signal(void)
{
	return SIGEMT;
}

WF_OPAQUE bool wf_os_probe_send(int id, int number)
{
	pthread_t thread = pthread_from_mach_thread_np((mach_port_t)id);
	return thread && pthread_kill(thread, number) == 0;
}
