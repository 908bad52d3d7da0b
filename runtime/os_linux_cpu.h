/* Rank 2. The parts of wf_os_cpu_count that do not ask this machine: for its test. */
#ifndef WF_OS_LINUX_CPU_H
#define WF_OS_LINUX_CPU_H

/* What wf_os_cpu_count returns where the files of the system live under `root` ("" for the real ones, else a path that does not
 * end in a slash) and the affinity mask has `affinity` processors. */
int wf_os_cpu_count_under(const char *root, int affinity);

#endif
