#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"

/* The number behind a word in a file of /proc: "Word:   123 kB". 0 if it is not there. */
static double read_field(const char *path, const char *word)
{
	char line[512];
	double value = 0;
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, word, strlen(word)) == 0)
			value = strtod(line + strlen(word), NULL);
	if (f)
		fclose(f);
	return value;
}

/* User and system time of a process, all its threads, ended ones too: what /proc/PID/stat says, but not in ticks of 10 ms. */
static double read_cpu(int pid)
{
	struct timespec t = { 0 };
	clockid_t clock;
	if (clock_getcpuclockid(pid, &clock) == 0)
		clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t read_switches(int pid)
{
	char path[64], file[384];
	double sum = 0;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		snprintf(file, sizeof file, "%s/%s/status", path, task->d_name);
		sum += task->d_name[0] == '.' ? 0 : read_field(file, "voluntary_ctxt_switches:");
	}
	if (tasks)
		closedir(tasks);
	return (uint64_t)sum;
}

static double read_kernel_memory(void)
{
	static const char *const words[] = { "Slab:", "KernelStack:", "PageTables:" };
	char line[256], *mem;
	double sum = 0;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		sum += read_field("/proc/meminfo", words[i]) * 1024;
	FILE *f = fopen("/proc/net/sockstat", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, "TCP:", 4) == 0 && (mem = strstr(line, " mem ")) != NULL)
			sum += strtod(mem + 5, NULL) * (double)sysconf(_SC_PAGESIZE);
	if (f)
		fclose(f);
	return sum;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

void probe_take(struct probe *p)
{
	struct rusage own;
	unsigned long long t[8] = { 0 };
	char path[64];
	*p = (struct probe){ .when = now_ns(), .kernel = read_kernel_memory() };
	for (int i = 0; i < opt.npids; i++) {
		snprintf(path, sizeof path, "/proc/%d/status", opt.pids[i]);
		p->cpu += read_cpu(opt.pids[i]);
		p->rss += read_field(path, "VmRSS:") * 1024;
		p->switches += read_switches(opt.pids[i]);
	}
	getrusage(RUSAGE_SELF, &own);
	p->own_cpu = seconds(own.ru_utime) + seconds(own.ru_stime);
	FILE *f = fopen("/proc/stat", "r"); /* user, nice, system, idle, iowait, irq, softirq, steal */
	for (int i = 0; f && i < 8; i++)
		if (fscanf(f, i ? "%llu" : "cpu %llu", &t[i]) != 1)
			break;
	if (f) {
		p->busy = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / (double)sysconf(_SC_CLK_TCK);
		p->stolen = (double)t[7] / (double)sysconf(_SC_CLK_TCK);
	}
	if (f)
		fclose(f);
}
