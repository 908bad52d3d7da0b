/* http_slow PORT N TIMEOUT_MS: opens N connections to examples/http at once and is slow on them, each in one of three ways, until
 * the server has closed them all; prints for each way how long that took, as parts of the timeout that the server was given for
 * heads, bodies and writes alike. It is no benchmark of weft and does not know it; run it beside load (bench/load).
 *
 *   head    a field of a head now and then
 *   body    a byte of a body now and then
 *   reader  takes a few bytes of a long response now and then
 *
 * Who does not read does not see the end either: of readers, the server's own count of connections tells (/metrics). So no other
 * connections may come and go meanwhile. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD, BODY, READER, WAYS, STEP_MS = 20, SLOW_MS = 100, AT_MOST = 30000 };

static const char *const names[WAYS] = { "head", "body", "reader" };
static const char *const begun[WAYS] = {
	"GET / HTTP/1.1\r\nHost: a\r\n",
	"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
	"GET /bytes/1000000000 HTTP/1.1\r\nHost: a\r\n\r\n",
};

static int port;
static double timeout_ms;
static double took[WAYS][AT_MOST]; /* ms */
static int closed[WAYS];

static double now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(int room)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (room > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	return fd;
}

/* How many connections the server has. */
static int count_connections(int fd)
{
	static const char ask[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", name[] = "\nhttp_connections ";
	static char page[32768];
	size_t n = 0;
	const char *body = NULL, *length;
	if (send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL) < 0)
		die("metrics");
	do {
		ssize_t r = recv(fd, page + n, sizeof(page) - 1 - n, 0);
		if (r <= 0)
			die("metrics");
		n += (size_t)r;
		page[n] = '\0';
		body = strstr(page, "\r\n\r\n");
		length = strstr(page, "Content-Length: ");
	} while (body == NULL || (size_t)(page + n - body - 4) < strtoul(length + 16, NULL, 10));
	const char *line = strstr(body, name);
	return line != NULL ? atoi(line + sizeof(name) - 1) : -1;
}

static void note(int way, double ms)
{
	took[way][closed[way]++] = ms;
}

/* A little of what the client would have to do. False: the server has ended it. */
static int be_slow(int fd, int way)
{
	char bytes[64];
	ssize_t r = recv(fd, bytes, way == READER ? 16 : sizeof(bytes), MSG_DONTWAIT);
	if (r == 0 || (way == HEAD && r > 0))
		return 0;
	if (way == HEAD)
		return send(fd, "A: b\r\n", 6, MSG_NOSIGNAL) > 0;
	return way == READER || send(fd, "x", 1, MSG_NOSIGNAL) > 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void report(int way)
{
	int n = closed[way];
	if (n == 0)
		return;
	qsort(took[way], (size_t)n, sizeof(double), compare);
	printf("slow_%s n=%d of_timeout_min=%.3f median=%.3f max=%.3f\n", names[way], n, took[way][0] / timeout_ms,
		took[way][n / 2] / timeout_ms, took[way][n - 1] / timeout_ms);
}

static void be_slow_until_closed(int *fds, int n, int metrics)
{
	int readers = n / WAYS, before = count_connections(metrics);
	double start = now_ms(), next = start;
	for (int i = 0; i < n; i++)
		if (send(fds[i], begun[i % WAYS], strlen(begun[i % WAYS]), MSG_NOSIGNAL) < 0)
			die("send");
	while (closed[HEAD] + closed[BODY] + closed[READER] < n && now_ms() < start + 10 * timeout_ms) {
		int is_time = now_ms() >= next;
		next += is_time ? SLOW_MS : 0;
		for (int i = 0; i < n; i++) {
			struct pollfd p = { .fd = fds[i], .events = POLLIN };
			if (fds[i] < 0 || (!is_time && (i % WAYS != HEAD || poll(&p, 1, 0) == 0)) || be_slow(fds[i], i % WAYS))
				continue;
			note(i % WAYS, now_ms() - start);
			close(fds[i]);
			fds[i] = -1;
		}
		int gone = before - count_connections(metrics) - closed[HEAD] - closed[BODY];
		while (closed[READER] < gone && closed[READER] < readers)
			note(READER, now_ms() - start);
		poll(NULL, 0, STEP_MS);
	}
}

int main(int argc, char **argv)
{
	static int fds[AT_MOST];
	if (argc != 4 || (port = atoi(argv[1])) <= 0 || (timeout_ms = atof(argv[3])) <= 0) {
		fprintf(stderr, "usage: http_slow PORT N TIMEOUT_MS\n");
		return 2;
	}
	int n = atoi(argv[2]) / WAYS * WAYS;
	if (n <= 0 || n > AT_MOST)
		return 2;
	int metrics = dial(0);
	for (int i = 0; i < n; i++)
		fds[i] = dial(i % WAYS == READER ? 4096 : 0);
	be_slow_until_closed(fds, n, metrics);
	for (int way = 0; way < WAYS; way++)
		report(way);
	return closed[HEAD] + closed[BODY] + closed[READER] == n ? 0 : 3;
}
