/* os.h, the part that is FreeBSD. */
#include "os.h"
#include "os_net.h"

#include <sys/types.h>

#include <sys/cpuset.h>
#include <sys/sysctl.h>
#include <sys/thr.h>
#include <sys/umtx.h>
#include <sys/user.h>

#include <errno.h>
#include <pthread.h>
#include <pthread_np.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "os_call.h"

/* ---- sleeping on a word ---------------------------------------------------------------------------------------------- */

WF_OPAQUE void wf_os_futex_wait(wf_u32 *word, unsigned expected, int64_t ns)
{
	struct _umtx_time timeout = {
		._timeout = { ns / 1000000000, ns % 1000000000 },
		._clockid = CLOCK_MONOTONIC,
	};
	void *size = (void *)(ns < 0 ? 0 : sizeof timeout);
	_umtx_op((void *)(uintptr_t)word, UMTX_OP_WAIT_UINT_PRIVATE, expected, size, ns < 0 ? NULL : &timeout);
}

WF_OPAQUE void wf_os_futex_wake(wf_u32 *word, int n)
{
	_umtx_op((void *)(uintptr_t)word, UMTX_OP_WAKE_PRIVATE, (unsigned long)n, NULL, NULL);
}

/* ---- threads --------------------------------------------------------------------------------------------------------- */

int wf_os_thread_id(void)
{
	return pthread_getthreadid_np();
}

int wf_os_thread_count(void)
{
	struct kinfo_proc info;
	size_t size = sizeof info;
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID, getpid() };
	return sysctl(name, 4, &info, &size, NULL, 0) == 0 ? info.ki_numthreads : 0;
}

/* The kernel tells of all threads at once. */
bool wf_os_thread_sleeps(int id)
{
	int name[] = { CTL_KERN, KERN_PROC, KERN_PROC_PID | KERN_PROC_INC_THREAD, getpid() };
	size_t size = 0;
	if (sysctl(name, 4, NULL, &size, NULL, 0) != 0)
		return false;
	struct kinfo_proc *all = malloc(size);
	bool sleeps = false;
	if (all && sysctl(name, 4, all, &size, NULL, 0) == 0)
		for (size_t i = 0; i < size / sizeof *all; i++)
			sleeps = sleeps || (all[i].ki_tid == id && (all[i].ki_stat == SSLEEP || all[i].ki_stat == SLOCK));
	free(all);
	return sleeps;
}

void wf_os_name_thread(const char *name)
{
	pthread_setname_np(pthread_self(), name);
}

int wf_os_cpu_count(void)
{
	cpuset_t set;
	if (cpuset_getaffinity(CPU_LEVEL_WHICH, CPU_WHICH_PID, -1, sizeof set, &set) == 0)
		return CPU_COUNT(&set);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	return online > 0 ? (int)online : 1;
}

/* ---- signals --------------------------------------------------------------------------------------------------------- */

int wf_os_probe_signal(void)
{
	return SIGRTMAX - 2;
}

WF_OPAQUE bool wf_os_probe_send(int id, int number)
{
	return thr_kill(id, number) == 0;
}

/* ---- files ---------------------------------------------------------------------------------------------------------- */

/* A length of 0 would mean all of the file. */
WF_NOINLINE ssize_t wf_os_sendfile_loudly(int out, int in, int64_t offset, size_t n)
{
	off_t sent = 0;
	int r;
	if (n == 0)
		return 0;
	do
		r = sendfile(in, out, offset, n, NULL, &sent, 0);
	while (r < 0 && errno == EINTR && sent == 0);
	if (r == 0 || ((errno == EAGAIN || errno == EINTR || errno == EBUSY) && sent > 0))
		return sent;
	return errno == ENOTSOCK || errno == EOPNOTSUPP || errno == EINVAL ? wf_os_sendfile_by_copy(out, in, offset, n) : -errno;
}
