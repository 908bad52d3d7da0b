/* examples/http allocates for connections, never for requests: the same connections with ten times the requests take no more. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

enum { CONNECTIONS = 4 };

#define GET(path, fields) "GET " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define POST(fields) "POST /echo HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static const struct {
	const char *request;
	int status;
} requests[] = {
	{GET("/small", ""), 200},
	{GET("/big", ""), 200},
	{GET("/big", "Range: bytes=5-100000\r\n"), 206},
	{GET("/small", "If-None-Match: *\r\n"), 304},
	{GET("/small", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n"), 304},
	{GET("/nothing", ""), 404},
	{GET("/bytes/100000", ""), 200},
	{GET("/sleep/0", ""), 200},
	{POST("Content-Length: 5\r\n") "hello", 200},
	{POST("Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\n\r\n", 200},
};

static char tree[64];

static void put_file(const char *name, int size)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", tree, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK_GE(fd, 0);
	CHECK_EQ(ftruncate(fd, size), 0);
	close(fd);
}

/* The allocations of a server in its whole life, over so many rounds. */
static unsigned long count(int rounds)
{
	struct server s;
	int fds[CONNECTIONS];
	char options[256];
	unsigned long mallocs = 0;
	snprintf(options, sizeof(options), "--root %s --log %s/log", tree, tree);
	server_start_after(&s, "export LD_PRELOAD=" COUNT_MALLOCS, options);
	for (int i = 0; i < CONNECTIONS; i++)
		fds[i] = dial(&s);
	for (int round = 0; round < rounds; round++)
		for (size_t k = 0; k < sizeof(requests) / sizeof(requests[0]); k++) {
			for (int i = 0; i < CONNECTIONS; i++)
				tell(fds[i], requests[k].request, strlen(requests[k].request));
			for (int i = 0; i < CONNECTIONS; i++)
				expect(fds[i], requests[k].status, NULL);
		}
	for (int i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
	server_stop(&s);
	CHECK_EQ(sscanf(s.error, "mallocs: %lu\n", &mallocs), 1);
	return mallocs;
}

/* The runtime allocates when coroutines are more than ever before, and that depends on who comes first: a few may differ. */
TEST(no_allocation_per_request)
{
	enum { ROUNDS = 15, FEW = 30 };
	char command[128];
	snprintf(tree, sizeof(tree), "/tmp/weft-memory-XXXXXX");
	CHECK(mkdtemp(tree) != NULL);
	put_file("small", 1000);
	put_file("big", 3000000);
	unsigned long once = count(ROUNDS), more = count(5 * ROUNDS);
	snprintf(command, sizeof(command), "rm -r %s", tree);
	CHECK_EQ(system(command), 0);
	CHECK_GT(once, CONNECTIONS);
	CHECK_LE(more, once + FEW); /* 2,400 requests more */
}
