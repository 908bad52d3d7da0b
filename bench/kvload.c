/* Loads a server that speaks the text protocol of memcached, and checks every byte that comes back. On epoll, and not on weft: what
 * measures must not share the faults of what is measured.
 *
 *     kvload PORT [-c CONNECTIONS] [-d SECONDS] [-k KEYS] [-s SIZE] [-g PERCENT] [-p DEPTH] [-P PID] [-n NAME]
 *
 * All keys are stored first. Then each connection sends DEPTH commands (1), of which PERCENT (90) are gets and the others sets,
 * waits for all answers, and begins again. Prints requests per second, the latency of such a batch in us, and with the PID of the
 * server how much CPU it used for each request, all after NAME. The exit status is 1 if an answer was wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load/hist.h"

enum { CONNECTIONS_MAX = 10000, SIZE_MAX_BYTES = 65536, HEAD_MAX = 64, EVENTS = 256 };

static long port, connections = 64, seconds = 3, keys = 10000, size = 100, gets = 90, depth = 1, server_pid;
static const char *name = "kv";

struct conn {
	int fd;
	int64_t since;
	char *expected;
	size_t wanted, heard;
};

static struct conn conns[CONNECTIONS_MAX];
static struct hist latency;
static uint64_t seed = 88172645463325252u;
static char *value, *request, *heard;

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "kvload: %s\n", what);
	exit(1);
}

static long draw(long below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (long)(seed % (uint64_t)below);
}

/* Every key has a value of its own, of the same size. */
static size_t put_value(char *to, long key)
{
	memcpy(to, value + key % 26, (size_t)size);
	memcpy(to + size, "\r\n", 2);
	return (size_t)size + 2;
}

static size_t put_set(char *to, long key)
{
	size_t n = (size_t)sprintf(to, "set key%07ld 0 0 %ld\r\n", key, size);
	return n + put_value(to + n, key);
}

static size_t put_item(char *to, long key)
{
	size_t n = (size_t)sprintf(to, "VALUE key%07ld 0 %ld\r\n", key, size);
	n += put_value(to + n, key);
	memcpy(to + n, "END\r\n", 5);
	return n + 5;
}

static void write_all(int fd, const char *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = send(fd, bytes + at, n - at, MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN)
			continue;
		if (r < 0)
			fail("the server has closed a connection");
		at += (size_t)r;
	}
}

static void ask(struct conn *c)
{
	size_t n = 0;
	c->wanted = c->heard = 0;
	for (long i = 0; i < depth; i++) {
		long key = draw(keys);
		if (draw(100) < gets) {
			n += (size_t)sprintf(request + n, "get key%07ld\r\n", key);
			c->wanted += put_item(c->expected + c->wanted, key);
		} else {
			n += put_set(request + n, key);
			memcpy(c->expected + c->wanted, "STORED\r\n", 8);
			c->wanted += 8;
		}
	}
	c->since = now_ns();
	write_all(c->fd, request, n);
}

/* Whether the whole answer is there. */
static bool hear(struct conn *c)
{
	ssize_t n = recv(c->fd, heard, c->wanted - c->heard, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		fail("the server has closed a connection");
	if (memcmp(heard, c->expected + c->heard, (size_t)n) != 0)
		fail("a wrong answer");
	c->heard += (size_t)n;
	return c->heard == c->wanted;
}

static int dial(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof addr) != 0)
		fail("no connection");
	return fd;
}

static void store_all(int fd)
{
	char said[8];
	for (long key = 0; key < keys; key++) {
		write_all(fd, request, put_set(request, key));
		if (recv(fd, said, sizeof said, MSG_WAITALL) != (ssize_t)sizeof said || memcmp(said, "STORED\r\n", 8) != 0)
			fail("a key was not stored");
	}
}

static double cpu_seconds(void)
{
	char path[64], line[1024];
	unsigned long long user = 0, system = 0;
	snprintf(path, sizeof path, "/proc/%ld/stat", server_pid);
	FILE *f = server_pid ? fopen(path, "r") : NULL;
	if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
		sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
	if (f)
		fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* What is under way at the end does not count. */
static void run(int epoll)
{
	struct epoll_event events[EVENTS];
	int64_t start = now_ns(), end = start + seconds * INT64_C(1000000000), now = start;
	double cpu = cpu_seconds();
	for (long i = 0; i < connections; i++)
		ask(&conns[i]);
	while (now < end) {
		int n = epoll_wait(epoll, events, EVENTS, 1000);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (!hear(c))
				continue;
			hist_add(&latency, now_ns() - c->since);
			ask(c);
		}
		now = now_ns();
	}
	double requests = (double)latency.count * (double)depth;
	printf("%s.rps %.0f 1/s\n", name, requests / ((double)(now - start) / 1e9));
	printf("%s.p50 %.1f us\n", name, hist_quantile(&latency, 0.5) / 1e3);
	printf("%s.p99 %.1f us\n", name, hist_quantile(&latency, 0.99) / 1e3);
	if (server_pid)
		printf("%s.cpu %.3f us\n", name, (cpu_seconds() - cpu) * 1e6 / requests);
}

static bool read_options(int argc, char **argv)
{
	static const struct {
		const char *name;
		long *to, least, most;
	} options[] = { { "-c", &connections, 1, CONNECTIONS_MAX }, { "-d", &seconds, 1, 3600 }, { "-k", &keys, 1, 9999999 },
			{ "-s", &size, 1, SIZE_MAX_BYTES }, { "-g", &gets, 0, 100 }, { "-p", &depth, 1, 64 },
			{ "-P", &server_pid, 1, INT32_MAX } };
	port = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	for (int i = 2; i + 1 < argc; i += 2) {
		size_t k = 0, count = sizeof options / sizeof *options;
		if (strcmp(argv[i], "-n") == 0) {
			name = argv[i + 1];
			continue;
		}
		while (k < count && strcmp(argv[i], options[k].name) != 0)
			k++;
		if (k == count)
			return false;
		*options[k].to = strtol(argv[i + 1], NULL, 10);
		if (*options[k].to < options[k].least || *options[k].to > options[k].most)
			return false;
	}
	return argc % 2 == 0 && port > 0 && port < 65536;
}

int main(int argc, char **argv)
{
	if (!read_options(argc, argv)) {
		fputs("usage: kvload PORT [-c CONNECTIONS] [-d SECONDS] [-k KEYS] [-s SIZE] [-g PERCENT] [-p DEPTH] [-P PID]\n"
		      "              [-n NAME]\n", stderr);
		return 2;
	}
	size_t batch = (size_t)depth * ((size_t)size + 2 * HEAD_MAX);
	value = malloc((size_t)size + 26);
	request = malloc(batch);
	heard = malloc(batch);
	for (long i = 0; i < size + 26; i++)
		value[i] = (char)('a' + i % 26);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (long i = 0; i < connections; i++) {
		struct conn *c = &conns[i];
		*c = (struct conn){ .fd = dial(), .expected = malloc(batch) };
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
			fail("epoll");
	}
	store_all(conns[0].fd);
	run(epoll);
	return 0;
}
