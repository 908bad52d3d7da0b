#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

static const char usage[] =
	"usage: load [OPTION]... PORT\n"
	"  -H ADDRESS     of the server (127.0.0.1)\n"
	"  -c N           connections (1; 0: the idle ones are all)\n"
	"  -t N           threads (1)\n"
	"  -m BYTES       of one message (64)\n"
	"  -p N           requests under way on each connection (1)\n"
	"  -d SECONDS     measured (5)\n"
	"  -w SECONDS     warm-up before (1)\n"
	"  --drain S      longest wait after it for answers that are missing (3)\n"
	"  -r RATE        open loop: so many requests a second in all are due, and their latency counts from then on\n"
	"  --http         GET over connections that are kept alive; --path P (/), --body S (Hello, World!; \"\": any)\n"
	"  --churn        a new connection for every request (for every batch of -p)\n"
	"  --idle N       so many more connections that are opened first and left alone; --touch: after one request each\n"
	"  --pid P[,P]... the server's processes: their CPU time, memory and context switches are reported\n"
	"  --label TEXT   is printed with the result\n"
	"  -q             prints nothing but the lines of keys and values\n"
	"Exit status: 0, 3 if anything was wrong, refused or not answered, 2 for bad arguments, 1 for no connection at all.\n";

struct options opt = {
	.host = "127.0.0.1", .path = "/", .body = "Hello, World!", .label = "",
	.conns = 1, .threads = 1, .depth = 1, .message = 64, .seconds = 5, .warm_up = 1, .drain = 3,
};

static _Noreturn void refuse(void)
{
	fputs(usage, stderr);
	exit(2);
}

static void read_pids(char *list)
{
	char *rest = NULL;
	for (char *pid = strtok_r(list, ",", &rest); pid && opt.npids < PIDS_MAX; pid = strtok_r(NULL, ",", &rest))
		opt.pids[opt.npids++] = atoi(pid);
}

static void read_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "http", 0, NULL, 'h' }, { "path", 1, NULL, 'P' }, { "body", 1, NULL, 'b' }, { "churn", 0, NULL, 'C' },
		{ "idle", 1, NULL, 'i' }, { "touch", 0, NULL, 'T' }, { "pid", 1, NULL, 'k' }, { "label", 1, NULL, 'l' },
		{ "drain", 1, NULL, 'D' }, { 0 },
	};
	for (int o; (o = getopt_long(argc, argv, "H:c:t:m:p:d:w:r:q", names, NULL)) != -1;)
		switch (o) {
		case 'H': opt.host = optarg; break;
		case 'c': opt.conns = atol(optarg); break;
		case 't': opt.threads = atol(optarg); break;
		case 'm': opt.message = atol(optarg); break;
		case 'p': opt.depth = atol(optarg); break;
		case 'd': opt.seconds = atof(optarg); break;
		case 'w': opt.warm_up = atof(optarg); break;
		case 'D': opt.drain = atof(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 'q': opt.quiet = true; break;
		case 'h': opt.http = true; break;
		case 'P': opt.path = optarg; break;
		case 'b': opt.body = optarg; break;
		case 'C': opt.churn = true; break;
		case 'i': opt.idle = atol(optarg); break;
		case 'T': opt.touch = true; break;
		case 'k': read_pids(optarg); break;
		case 'l': opt.label = optarg; break;
		default: refuse();
		}
	opt.port = optind == argc - 1 ? atol(argv[optind]) : 0;
	opt.server = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	if (opt.port < 1 || opt.port > 65535 || inet_pton(AF_INET, opt.host, &opt.server.sin_addr) != 1 || opt.conns < 0 ||
	    opt.idle < 0 || opt.depth < 1 || opt.depth > DEPTH_MAX || opt.message < 1 || opt.message > BUFFER ||
	    opt.threads < 1 || opt.seconds <= 0 || opt.warm_up < 0 || opt.drain < 0 || opt.rate < 0 ||
	    (opt.churn && opt.rate > 0) || strlen(opt.path) > 800)
		refuse();
	if (opt.threads > opt.conns)
		opt.threads = opt.conns > 0 ? opt.conns : 1;
}

/* ---- idle connections -------------------------------------------------------------------------------------------------- */

static long open_idle(int *fds)
{
	long failed = 0;
	for (long i = 0; i < opt.idle; i++) {
		fds[i] = conn_dial((uint32_t)i);
		if (fds[i] < 0 && errno == EMFILE) {
			fprintf(stderr, "load: the limit of descriptors is reached after %ld\n", i);
			opt.idle = i;
			return failed + 1;
		}
		if (fds[i] < 0 || (opt.touch && !wire_exchange(fds[i], (uint32_t)i)))
			failed++;
	}
	return failed;
}

/* What each connection costs, from before the first to half a second after the last. */
static long hold_idle(int *fds)
{
	struct probe before, after;
	probe_take(&before);
	long failed = open_idle(fds);
	double took = (double)(now_ns() - before.when) / 1e3, n = (double)(opt.idle ? opt.idle : 1);
	usleep(500000);
	probe_take(&after);
	printf("idle: label=%s conns=%ld touched=%d errors=%ld rss_each=%.0f kernel_each_both_ends=%.0f open_us_each=%.2f "
		"srv_cpu_us_each=%.2f\n", opt.label, opt.idle, opt.touch, failed, (after.rss - before.rss) / n,
		(after.kernel - before.kernel) / n, took / n, (after.cpu - before.cpu) * 1e6 / n);
	fflush(stdout);
	return failed;
}

/* ---- the run ----------------------------------------------------------------------------------------------------------- */

static void sleep_until(int64_t when)
{
	struct timespec t = { when / 1000000000, when % 1000000000 };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

static void run(struct worker *workers, struct probe *before, struct probe *after)
{
	pthread_t *threads = calloc((size_t)opt.threads, sizeof *threads);
	int64_t begin = now_ns() + (int64_t)(opt.warm_up * 1e9), end = begin + (int64_t)(opt.seconds * 1e9);
	for (long i = 0; i < opt.threads; i++) {
		worker_schedule(&workers[i], begin, end);
		if (!threads || pthread_create(&threads[i], NULL, worker_run, &workers[i]) != 0) {
			fputs("load: no thread\n", stderr);
			exit(1);
		}
	}
	sleep_until(begin);
	probe_take(before);
	sleep_until(end);
	probe_take(after);
	for (long i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	free(threads);
}

static void add_up(struct tally *sum, const struct worker *w, uint64_t *least, uint64_t *most)
{
	hist_merge(&sum->latency, &w->tally.latency);
	hist_merge(&sum->behind, &w->tally.behind);
	sum->bytes += w->tally.bytes;
	sum->refused += w->tally.refused;
	sum->wrong += w->tally.wrong;
	sum->unanswered += w->tally.unanswered;
	sum->unsent += w->tally.unsent;
	for (long i = 0; i < w->nconns; i++) {
		*least = w->conns[i].counted < *least ? w->conns[i].counted : *least;
		*most = w->conns[i].counted > *most ? w->conns[i].counted : *most;
	}
}

static void report(const struct tally *t, const struct probe *a, const struct probe *b, uint64_t least, uint64_t most)
{
	double n = (double)t->latency.count, per = n > 0 ? n : 1, share = per / (double)opt.conns;
	double cpu = b->cpu - a->cpu, own = b->own_cpu - a->own_cpu;
	const char *mode = opt.http ? opt.churn ? "http-churn" : "http" : opt.churn ? "churn" : "echo";
	double us[5], behind[5];
	for (int i = 0; i < 5; i++) {
		double part = (double[]){ 0.5, 0.9, 0.95, 0.99, 0.999 }[i];
		us[i] = hist_quantile(&t->latency, part) / 1e3;
		behind[i] = hist_quantile(&t->behind, part) / 1e3;
	}
	if (!opt.quiet)
		printf("%s, %ld connections, %ld at a time each, %ld threads: %.0f requests/s, %.2f MB/s\n"
			"  latency us: mean %.1f, p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n"
			"  server: %.2f CPU s, %.2f per million requests, %.1f MiB, %.3f context switches per request\n",
			mode, opt.conns, opt.depth, opt.threads, n / opt.seconds, (double)t->bytes / opt.seconds / 1e6,
			t->latency.sum / per / 1e3, us[0], us[1], us[3], us[4], (double)t->latency.max / 1e3,
			cpu, cpu / per * 1e6, b->rss / 1048576, (double)(b->switches - a->switches) / per);
	printf("result: label=%s mode=%s conns=%ld depth=%ld threads=%ld rate=%.0f secs=%.2f requests=%.0f rps=%.0f mean_us=%.2f "
		"p50_us=%.2f p90_us=%.2f p95_us=%.2f p99_us=%.2f p999_us=%.2f max_us=%.2f errors=%llu wrong=%llu unanswered=%llu "
		"unsent=%llu conn_min=%.3f conn_max=%.3f behind_p50_us=%.2f behind_p99_us=%.2f behind_p999_us=%.2f srv_cpu=%.3f "
		"srv_cpu_per_1M=%.4f srv_rss=%.0f srv_switches_per_req=%.4f own_cpu=%.3f other_cpu=%.3f steal=%.3f\n",
		opt.label, mode, opt.conns, opt.depth, opt.threads, opt.rate, opt.seconds, n, n / opt.seconds,
		t->latency.sum / per / 1e3, us[0], us[1], us[2], us[3], us[4], (double)t->latency.max / 1e3,
		(unsigned long long)t->refused, (unsigned long long)t->wrong, (unsigned long long)t->unanswered,
		(unsigned long long)t->unsent, (double)least / share, (double)most / share, behind[0], behind[3],
		behind[4], cpu, cpu / per * 1e6, b->rss, (double)(b->switches - a->switches) / per, own,
		b->busy - a->busy - cpu - own, b->stolen - a->stolen);
}

static bool load(void)
{
	static struct tally sum;
	struct worker *workers = calloc((size_t)opt.threads, sizeof *workers);
	struct probe before, after;
	uint64_t least = UINT64_MAX, most = 0;
	if (!workers)
		exit(1);
	for (int i = 0; i < opt.threads; i++)
		worker_init(&workers[i], i);
	run(workers, &before, &after);
	for (long i = 0; i < opt.threads; i++) {
		add_up(&sum, &workers[i], &least, &most);
		worker_end(&workers[i]);
	}
	free(workers);
	if (sum.refused == (uint64_t)opt.conns && sum.latency.count == 0) {
		fputs("load: no connection\n", stderr);
		exit(1);
	}
	report(&sum, &before, &after, least, most);
	return sum.refused + sum.wrong + sum.unanswered + sum.unsent == 0;
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	conn_raise_limit();
	wire_init();
	int *idle = calloc((size_t)opt.idle + 1, sizeof *idle);
	bool good = idle && (opt.idle == 0 || hold_idle(idle) == 0);
	if (opt.conns > 0)
		good = load() && good;
	for (long i = 0; i < opt.idle; i++)
		if (idle[i] >= 0)
			conn_reset(idle[i]);
	free(idle);
	return good ? 0 : 3;
}
