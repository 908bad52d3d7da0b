/* The example memkv, from outside; where memcached is installed it must answer the same to the same. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

#define X10 "kkkkkkkkkk"
#define X50 X10 X10 X10 X10 X10
#define X250 X50 X50 X50 X50 X50
#define BAD_LINE "CLIENT_ERROR bad command line format\r\n"
#define BAD_DELTA "CLIENT_ERROR invalid numeric delta argument\r\n"
#define NOT_NUMERIC "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"

static const struct {
	const char *say, *hear;
} exchanges[] = {
	{ "get a\r\n", "END\r\n" },
	{ "set a 5 0 3\r\nabc\r\n", "STORED\r\n" },
	{ "get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n" },
	{ "get a b a\n", "VALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\n" },
	{ " get   a \r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n" },
	{ "get\r\n", "ERROR\r\n" },
	{ "GET a\r\n", "ERROR\r\n" },
	{ "\r\n", "ERROR\r\n" },
	{ "set a 4294967295 0 2 noreply\r\nxy\r\nget a\r\n", "VALUE a 4294967295 2\r\nxy\r\nEND\r\n" },
	{ "set " X250 " 0 0 0\r\n\r\nget " X250 "\r\n", "STORED\r\nVALUE " X250 " 0 0\r\n\r\nEND\r\n" },
	{ "set " X250 "k 0 0 1\r\n", BAD_LINE },
	{ "get a " X250 "k a\r\n", BAD_LINE },
	{ "set a 0 0\r\n", "ERROR\r\n" },
	{ "set a 0 0 1 2 3\r\n", "ERROR\r\n" },
	{ "set a x 0 1\r\n", BAD_LINE },
	{ "set a -1 0 1\r\n", BAD_LINE },
	{ "set a 0 x 1\r\n", BAD_LINE },
	{ "set a 0 0 x\r\n", BAD_LINE },
	{ "set a 0 0 -1\r\n", BAD_LINE },
	{ "set a 0 0 3\r\nabc\n\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\n" },
	{ "get a\r\n", "VALUE a 4294967295 2\r\nxy\r\nEND\r\n" },

	{ "add a 0 0 1\r\nz\r\n", "NOT_STORED\r\n" },
	{ "add b 1 0 1\r\nz\r\nget b\r\n", "STORED\r\nVALUE b 1 1\r\nz\r\nEND\r\n" },
	{ "replace c 0 0 1\r\nz\r\n", "NOT_STORED\r\n" },
	{ "replace b 2 0 1\r\ny\r\nget b\r\n", "STORED\r\nVALUE b 2 1\r\ny\r\nEND\r\n" },
	{ "append c 0 0 1\r\nz\r\nprepend c 0 0 1\r\nz\r\n", "NOT_STORED\r\nNOT_STORED\r\n" },
	{ "append b 9 0 2\r\nzz\r\nprepend b 9 0 2\r\nxx\r\nget b\r\n", "STORED\r\nSTORED\r\nVALUE b 2 5\r\nxxyzz\r\nEND\r\n" },
	{ "append b 9 0 1 noreply\r\n.\r\nget b\r\n", "VALUE b 2 6\r\nxxyzz.\r\nEND\r\n" },
	{ "cas c 0 0 1 1\r\nz\r\n", "NOT_FOUND\r\n" },
	{ "cas b 0 0 1 987654321\r\nz\r\n", "EXISTS\r\n" },
	{ "cas b 0 0 1\r\n", "ERROR\r\n" },
	{ "cas b 0 0 1 x\r\n", BAD_LINE },

	{ "incr c 1\r\n", "NOT_FOUND\r\n" },
	{ "incr b 1\r\n", NOT_NUMERIC },
	{ "set n 7 0 2\r\n10\r\nincr n 5\r\ndecr n 6\r\n", "STORED\r\n15\r\n9\r\n" },
	{ "get n\r\n", "VALUE n 7 2\r\n9 \r\nEND\r\n" },
	{ "decr n 100\r\nincr n 18446744073709551615\r\nget n\r\n",
	  "0\r\n18446744073709551615\r\nVALUE n 7 20\r\n18446744073709551615\r\nEND\r\n" },
	{ "incr n 2\r\nincr n 1 noreply\r\nincr n 1\r\n", "1\r\n3\r\n" },
	{ "incr n x\r\ndecr n -1\r\n", BAD_DELTA BAD_DELTA },
	{ "incr n 18446744073709551616\r\n", BAD_DELTA },
	{ "incr n\r\n", "ERROR\r\n" },
	{ "set n 0 0 0\r\n\r\nincr n 1\r\n", "STORED\r\n" NOT_NUMERIC },
	{ "set n 0 0 20\r\n18446744073709551616\r\nincr n 1\r\n", "STORED\r\n" NOT_NUMERIC },

	{ "delete b\r\ndelete b\r\n", "DELETED\r\nNOT_FOUND\r\n" },
	{ "delete a 0 noreply\r\nget a\r\n", "END\r\n" },
	{ "delete a 1\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n" },
	{ "delete\r\n", "ERROR\r\n" },

	{ "touch a 10\r\n", "NOT_FOUND\r\n" },
	{ "set a 0 0 1\r\nx\r\ntouch a 1000\r\ntouch a x\r\ntouch a\r\n",
	  "STORED\r\nTOUCHED\r\nCLIENT_ERROR invalid exptime argument\r\nERROR\r\n" },
	{ "gat 1000 a b a\r\n", "VALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n" },
	{ "gat x a\r\ngat\r\n", "CLIENT_ERROR invalid exptime argument\r\nERROR\r\n" },
	{ "gat -1 a\r\nget a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n" },
	{ "set a 0 -1 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n" },
	{ "set a 0 2592001 1\r\nx\r\nget a\r\n", "STORED\r\nEND\r\n" }, /* a second of 1970 */
	{ "set a 0 2592000 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n" },
	{ "set a 0 2147483646 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n" },

	{ "flush_all 1000\r\nget a\r\n", "OK\r\nVALUE a 0 1\r\nx\r\nEND\r\n" },
	{ "flush_all x\r\n", "CLIENT_ERROR invalid exptime argument\r\n" },
	{ "verbosity\r\n", "ERROR\r\n" },
	{ "verbosity 0 noreply\r\nverbosity x\r\n", BAD_LINE },
	{ "stats reset\r\n", "RESET\r\n" },
	{ "stats nonsense\r\n", "ERROR\r\n" },
};

/* Tells it, hears the answer, and that no more comes before the answer to another command. */
static void exchange(int fd, const char *say, const char *hear)
{
	char got[2048];
	size_t at = 0, line = 0;
	CHECK(tell(fd, say, strlen(say)));
	TELL(fd, "version\r\n");
	for (;;) {
		CHECK_LT(at, sizeof got);
		CHECK_EQ(recv(fd, got + at, 1, 0), 1);
		if (got[at++] != '\n')
			continue;
		if (at - line > 8 && memcmp(got + line, "VERSION ", 8) == 0)
			break;
		line = at;
	}
	got[line] = '\0';
	if (strcmp(got, hear) != 0)
		test_fail(__FILE__, __LINE__, "to %s the answer was %s", say, got);
}

static void exchange_all(int fd)
{
	for (size_t i = 0; i < sizeof exchanges / sizeof *exchanges; i++)
		exchange(fd, exchanges[i].say, exchanges[i].hear);
	close(fd);
}

TEST(protocol)
{
	struct server s;
	server_start(&s, "");
	exchange_all(dial(&s));
	server_stop(&s);
}

/* The table above is what memcached says as well. */
TEST(protocol_of_memcached)
{
	char path[64];
	int status;
	if (system("command -v memcached >/dev/null") != 0)
		SKIP("memcached is not installed");
	snprintf(path, sizeof path, "/tmp/weft-test-memcached-%d", (int)getpid());
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("memcached", "memcached", "-u", "root", "-s", path, (char *)NULL);
		_exit(127);
	}
	while (access(path, F_OK) != 0) {
		CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
		usleep(10000);
	}
	usleep(100000); /* between its bind and its listen */
	exchange_all(dial_unix(path));
	kill(pid, SIGTERM);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	unlink(path);
}

/* Every byte apart, and all of them at once. */
TEST(split_and_joined)
{
	static const char say[] = "set a 1 0 5\r\nhello\r\nget a\r\nincr a 1\r\ndelete a\r\n";
	static const char hear[] = "STORED\r\nVALUE a 1 5\r\nhello\r\nEND\r\n" NOT_NUMERIC "DELETED\r\n";
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	for (size_t i = 0; i + 1 < sizeof say - 1; i++) {
		tell(fd, say, i);
		usleep(200);
		exchange(fd, say + i, hear);
	}
	close(fd);
	server_stop(&s);
}

static void hear_exactly(int fd, const char *text, size_t n)
{
	char *got = malloc(n);
	for (size_t at = 0; at < n;) {
		ssize_t r = recv(fd, got + at, n - at, 0);
		CHECK_GT(r, 0);
		at += (size_t)r;
	}
	CHECK_MEM(got, text, n);
	free(got);
}

TEST(large_values)
{
	enum { N = 1000000 };
	struct server s;
	char *value = malloc(2 * N);
	server_start(&s, "");
	int fd = dial(&s);
	for (int i = 0; i < 2 * N; i++)
		value[i] = (char)(i % 251);
	TELL(fd, "set a 0 0 1000000\r\n");
	tell(fd, value, N);
	exchange(fd, "\r\n", "STORED\r\n");
	TELL(fd, "get a\r\n");
	hear_exactly(fd, "VALUE a 0 1000000\r\n", 19);
	hear_exactly(fd, value, N);
	hear_exactly(fd, "\r\nEND\r\n", 7);
	TELL(fd, "append a 0 0 1000000\r\n"); /* too large together: the first stays */
	tell(fd, value, N);
	exchange(fd, "\r\nincr a 1\r\n", "NOT_STORED\r\n" NOT_NUMERIC);
	TELL(fd, "set a 0 0 2000000\r\n"); /* too large: what was to be replaced is gone */
	tell(fd, value, 2 * N);
	exchange(fd, "\r\nget a\r\n", "SERVER_ERROR object too large for cache\r\nEND\r\n");
	close(fd);
	server_stop(&s);
	free(value);
}

/* A line of keys has no limit; one of anything else has. */
TEST(long_lines)
{
	enum { KEYS = 5000 };
	struct server s;
	char *line = malloc(KEYS * 8 + 16), *junk = malloc(100000);
	size_t n = 4;
	server_start(&s, "");
	int fd = dial(&s);
	exchange(fd, "set key4999 0 0 1\r\nx\r\nset key0 0 0 1\r\ny\r\n", "STORED\r\nSTORED\r\n");
	memcpy(line, "get ", 4);
	for (int i = 0; i < KEYS; i++)
		n += (size_t)sprintf(line + n, "key%d ", i);
	memcpy(line + n, "\r\n", 3);
	exchange(fd, line, "VALUE key0 0 1\r\ny\r\nVALUE key4999 0 1\r\nx\r\nEND\r\n");
	memset(junk, 'x', 100000);
	TELL(fd, "get key0 ");
	tell(fd, junk, 100000);
	exchange(fd, "\r\n", BAD_LINE);
	tell(fd, junk, 16384);
	hear_exactly(fd, "CLIENT_ERROR line too long\r\n", 28);
	expect_end(fd);
	server_stop(&s);
	free(line);
	free(junk);
}

static long stat_of(int fd, const char *name)
{
	char text[4096], pattern[64];
	size_t n = 0;
	ssize_t r;
	TELL(fd, "stats\r\n");
	do {
		r = recv(fd, text + n, sizeof text - 1 - n, 0);
		CHECK_GT(r, 0);
		text[n += (size_t)r] = '\0';
	} while (!strstr(text, "END\r\n"));
	snprintf(pattern, sizeof pattern, "STAT %s ", name);
	const char *at = strstr(text, pattern);
	CHECK(at != NULL);
	return atol(at + strlen(pattern));
}

static void set(int fd, int key, size_t size)
{
	char head[64], *value = malloc(size + 2);
	memset(value, 'a' + key % 26, size);
	memcpy(value + size, "\r\n", 2);
	tell(fd, head, (size_t)snprintf(head, sizeof head, "set key%d 0 0 %zu noreply\r\n", key, size));
	tell(fd, value, size + 2);
	free(value);
}

/* What is asked for stays; of the rest, what came first goes first. The limit holds. */
TEST(eviction)
{
	enum { KEYS = 4000, SIZE = 1000 };
	struct server s;
	char line[64];
	server_start(&s, "--memory 1 --item-max 262144"); /* one shard */
	int fd = dial(&s);
	for (int i = 0; i < KEYS; i++) {
		set(fd, i, SIZE);
		if (i % 100 == 0)
			exchange(fd, "touch key0 0\r\n", "TOUCHED\r\n");
	}
	CHECK_LE(stat_of(fd, "bytes"), stat_of(fd, "limit_maxbytes"));
	long items = stat_of(fd, "curr_items");
	CHECK_GT(items, 800);
	CHECK_EQ(stat_of(fd, "evictions"), KEYS - items);
	exchange(fd, "incr key0 1\r\n", NOT_NUMERIC);
	snprintf(line, sizeof line, "incr key%ld 1\r\n", KEYS - items);
	exchange(fd, line, "NOT_FOUND\r\n");
	snprintf(line, sizeof line, "incr key%ld 1\r\n", KEYS - items + 1);
	exchange(fd, line, NOT_NUMERIC);
	close(fd);
	server_stop(&s);
}

/* Tables grow and are emptied while they are used. */
TEST(many_keys)
{
	struct server s;
	char line[64];
	const int keys = test_scaled(60000);
	server_start(&s, "--memory 512");
	int fd = dial(&s);
	for (int i = 0; i < keys; i++)
		set(fd, i, 3);
	CHECK_EQ(stat_of(fd, "curr_items"), keys);
	for (int i = 0; i < keys; i += 997) {
		snprintf(line, sizeof line, "incr key%d 1\r\n", i);
		exchange(fd, line, NOT_NUMERIC);
	}
	exchange(fd, "flush_all\r\nget key1\r\n", "OK\r\nEND\r\n");
	CHECK_EQ(stat_of(fd, "curr_items"), 0);
	CHECK_EQ(stat_of(fd, "bytes"), 0);
	exchange(fd, "set a 0 0 1\r\nx\r\nget a\r\n", "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n");
	close(fd);
	server_stop(&s);
}

/* Several at once, each by compare and swap: no addition is lost. */
TEST(compare_and_swap)
{
	enum { CLIENTS = 4 };
	struct server s;
	const int rounds = test_scaled(500);
	char line[128];
	server_start(&s, "");
	int fd = dial(&s), status;
	exchange(fd, "set n 0 0 1\r\n0\r\nset m 0 0 1\r\n0\r\n", "STORED\r\nSTORED\r\n");
	for (int i = 0; i < CLIENTS; i++) {
		if (fork() != 0)
			continue;
		FILE *in = fdopen(dial(&s), "r");
		for (int done = 0; done < rounds;) {
			unsigned long long value, cas;
			TELL(fileno(in), "incr m 1 noreply\r\ngets n\r\n");
			CHECK(fgets(line, sizeof line, in) && sscanf(line, "VALUE n 0 %*u %llu", &cas) == 1);
			CHECK(fgets(line, sizeof line, in) && sscanf(line, "%llu", &value) == 1);
			CHECK(fgets(line, sizeof line, in));
			char number[24];
			int digits = snprintf(number, sizeof number, "%llu", value + 1);
			int n = snprintf(line, sizeof line, "cas n 0 0 %d %llu\r\n%s\r\n", digits, cas, number);
			tell(fileno(in), line, (size_t)n);
			CHECK(fgets(line, sizeof line, in));
			done += strcmp(line, "STORED\r\n") == 0;
		}
		_exit(0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_GT(wait(&status), 0);
		CHECK_EQ(status, 0);
	}
	snprintf(line, sizeof line, "%d\r\n", CLIENTS * rounds);
	exchange(fd, "incr n 0\r\n", line);
	CHECK_GE(stat_of(fd, "cas_hits"), CLIENTS * rounds);
	close(fd);
	server_stop(&s);
}

TEST(quit)
{
	struct server s;
	server_start(&s, "");
	int fd = dial(&s);
	TELL(fd, "set a 0 0 1\r\nx\r\nquit\r\nget a\r\n");
	hear_exactly(fd, "STORED\r\n", 8);
	char byte;
	CHECK_LE(recv(fd, &byte, 1, 0), 0);
	close(fd);
	server_stop(&s);
}
