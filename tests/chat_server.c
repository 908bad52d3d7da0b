/* The example chat, from outside. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

struct guest {
	int fd;
	FILE *in;
};

/* The next line, without its end; NULL: there is none. In static memory. */
static const char *hear_line(const struct guest *g)
{
	static char line[1024];
	if (!fgets(line, sizeof line, g->in))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void hears(const struct guest *g, const char *text)
{
	const char *line = hear_line(g);
	CHECK_STR(line ? line : "(the end)", text);
}

static void say(const struct guest *g, const char *text)
{
	char line[1024];
	int n = snprintf(line, sizeof line, "%s\n", text);
	CHECK(tell(g->fd, line, (size_t)n));
}

static struct guest come(const struct server *s, const char *name)
{
	struct guest g = {.fd = dial(s)};
	char expected[64];
	g.in = fdopen(dup(g.fd), "r");
	hears(&g, "* your name?");
	say(&g, name);
	snprintf(expected, sizeof expected, "* %s is in lobby", name);
	hears(&g, expected);
	return g;
}

static void go(struct guest *g)
{
	fclose(g->in);
	close(g->fd);
}

TEST(rooms)
{
	struct server s;
	server_start(&s, "");
	struct guest ann = come(&s, "ann"), bob = come(&s, "bob"), cat = come(&s, "cat");
	hears(&ann, "* bob is in lobby");
	hears(&ann, "* cat is in lobby");
	hears(&bob, "* cat is in lobby");
	say(&ann, "hello");
	hears(&ann, "ann: hello");
	hears(&bob, "ann: hello");
	hears(&cat, "ann: hello");
	say(&cat, "/join loom");
	hears(&cat, "* cat has left lobby");
	hears(&cat, "* cat is in loom");
	hears(&ann, "* cat has left lobby");
	say(&cat, "anybody?");
	hears(&cat, "cat: anybody?");
	say(&bob, "/who");
	hears(&bob, "* cat has left lobby"); /* and nothing of what is said in the other room */
	hears(&bob, "* in lobby: bob ann");
	say(&bob, "/what");
	hears(&bob, "* /join ROOM, /who, /quit");
	say(&bob, "/quit");
	CHECK(hear_line(&bob) == NULL);
	hears(&ann, "* bob has left lobby");
	go(&ann);
	go(&bob);
	go(&cat);
	server_stop(&s);
}

TEST(lines_in_pieces)
{
	struct server s;
	char longest[700], expected[700];
	server_start(&s, "");
	struct guest ann = come(&s, "ann");
	CHECK(TELL(ann.fd, "one\r\ntw"));
	hears(&ann, "ann: one");
	CHECK(TELL(ann.fd, "o\n\n"));
	hears(&ann, "ann: two");
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	say(&ann, longest);
	snprintf(expected, sizeof expected, "ann: %.511s", longest);
	hears(&ann, expected);
	go(&ann);
	server_stop(&s);
}

/* One does not read what is said: the others go on, and it is told what it missed. */
TEST(a_slow_one_stops_nobody)
{
	enum { LINES = 12000 };
	struct server s;
	char text[480], expected[512];
	server_start(&s, "");
	struct guest slow = come(&s, "slow"), ann = come(&s, "ann");
	hears(&slow, "* ann is in lobby");
	CHECK_EQ(setsockopt(slow.fd, SOL_SOCKET, SO_RCVBUF, &(int){262144}, sizeof(int)), 0);
	memset(text, 'y', sizeof text);
	text[sizeof text - 1] = '\0';
	snprintf(expected, sizeof expected, "ann: %s", text);
	for (int i = 0; i < test_scaled(LINES); i++) {
		say(&ann, text);
		hears(&ann, expected);
	}
	long heard = 0, missed = 0, n;
	while (heard + missed < test_scaled(LINES)) {
		const char *line = hear_line(&slow);
		CHECK(line != NULL);
		if (sscanf(line, "* you missed %ld lines", &n) == 1)
			missed += n;
		else
			heard += strcmp(line, expected) == 0;
	}
	CHECK_EQ(heard + missed, test_scaled(LINES));
	if (WEFT_TEST_SLOWDOWN == 1)
		CHECK_GT(missed, 0);
	go(&slow);
	go(&ann);
	server_stop(&s);
}

TEST(drains)
{
	struct server s;
	char line[16];
	server_start(&s, "");
	struct guest ann = come(&s, "ann"), bob = come(&s, "bob");
	int nameless = dial(&s);
	hears(&ann, "* bob is in lobby");
	for (int i = 0; i < 50; i++) {
		snprintf(line, sizeof line, "%d", i);
		say(&ann, line);
	}
	for (int i = 0; i < 50; i++) {
		snprintf(line, sizeof line, "ann: %d", i);
		hears(&ann, line);
	}
	server_signal(&s);
	hears(&ann, "* the server is closing");
	CHECK(hear_line(&ann) == NULL);
	for (int i = 0; i < 50; i++) {
		snprintf(line, sizeof line, "ann: %d", i);
		hears(&bob, line);
	}
	hears(&bob, "* the server is closing");
	CHECK(hear_line(&bob) == NULL);
	CHECK_EQ(server_wait(&s), 0);
	CHECK_STR(s.error, "");
	go(&ann);
	go(&bob);
	close(nameless);
}

TEST(bad_use)
{
	struct server s;
	CHECK_EQ(server_run(&s, "--what"), 2);
	CHECK_EQ(server_run(&s, "--listen nonsense"), 1);
}
