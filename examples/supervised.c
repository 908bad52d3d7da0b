/* Workers that fail, and are started again. A supervisor looks after three workers and a clerk, who hands out jobs; every seventh
 * job makes the worker fail that takes it. The others do not notice, and the jobs that are left get done.
 *
 *     supervised [JOBS [RESTARTS]]     20 jobs and any number of restarts unless given; with fewer restarts than broken jobs the
 *                                      supervisor gives up, and the exit status is 1 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { WORKERS = 3, BROKEN = 7 };

static struct weft_chan *jobs;
static long job_count;
static _Atomic long done, broken;

/* Ends when it is done: a transient child that has succeeded is not started again. */
static int hand_out(void *arg)
{
	int result = 0;
	(void)arg;
	for (long job = 1; job <= job_count && result == 0; job++)
		result = weft_chan_send(jobs, &job);
	if (result == 0)
		weft_chan_close(jobs);
	return result;
}

/* What it had at hand when it fails is lost with it: the job, and nothing else. */
static int work(void *name)
{
	long job;
	int result;
	while ((result = weft_chan_recv(jobs, &job)) == 1) {
		if (job % BROKEN == 0) {
			broken++;
			printf("%s: job %ld is broken\n", (const char *)name, job);
			return -EIO;
		}
		if ((result = weft_sleep(WEFT_US(100))) != 0)
			return result;
		done++;
	}
	return result; /* 0: no more jobs */
}

static int supervise(void *arg)
{
	static char names[WORKERS][16];
	struct weft_child children[WORKERS + 1];
	struct weft_supervisor_opts opts = { .size = sizeof opts, .strategy = WEFT_ONE_FOR_ONE, .max_restarts = *(int *)arg };
	struct weft_supervisor *supervisor;
	for (int i = 0; i < WORKERS; i++) {
		snprintf(names[i], sizeof names[i], "worker %d", i + 1);
		children[i] = (struct weft_child){ .name = names[i], .fn = work, .arg = names[i], .restart = WEFT_TRANSIENT };
	}
	children[WORKERS] = (struct weft_child){ .name = "clerk", .fn = hand_out, .restart = WEFT_TRANSIENT };
	int result = weft_chan_create(&jobs, sizeof(long), 0);
	if (result == 0)
		result = weft_supervisor_create(&supervisor, &opts, children, WORKERS + 1);
	if (result == 0) {
		result = weft_supervisor_run(supervisor);
		printf("%ld done, %ld broken, %llu restarts\n", done, broken,
		       (unsigned long long)weft_supervisor_restarts(supervisor));
		weft_supervisor_destroy(supervisor);
	}
	weft_chan_destroy(jobs);
	return result;
}

int main(int argc, char **argv)
{
	job_count = argc > 1 ? strtol(argv[1], NULL, 10) : 20;
	int restarts = argc > 2 ? atoi(argv[2]) : 100000;
	if (argc > 3 || job_count < 1 || restarts < 1) {
		fputs("usage: supervised [JOBS [RESTARTS]]\n", stderr);
		return 2;
	}
	int result = weft_run(NULL, supervise, &restarts);
	if (result == -ELOOP)
		fprintf(stderr, "supervised: workers failed too often\n");
	else if (result != 0)
		fprintf(stderr, "supervised: %s\n", weft_strerror(result));
	return result != 0;
}
