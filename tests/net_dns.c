/* Names. The resolver is a fake in place of libc's: what is looked up, how long it takes and what is found is the test's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_util.h"

static atomic_int running, most, looked_up, go_on, may_end, given, freed;
static int expected_type = SOCK_STREAM;
static int first_family = AF_INET; /* of what "some" resolves to */
static in_port_t ports[4]; /* what "some" resolves to, on the loopback; 0 ends them */

static struct addrinfo *new_info(in_port_t port)
{
	struct addrinfo *info = calloc(1, sizeof *info);
	struct sockaddr_in *addr = calloc(1, sizeof *addr);
	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr->sin_port = port;
	*info = (struct addrinfo){ .ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_addrlen = sizeof *addr };
	info->ai_addr = (struct sockaddr *)addr;
	atomic_fetch_add(&given, 1);
	return info;
}

static int find_ports(struct addrinfo **found)
{
	struct addrinfo **at = found;
	for (int i = 0; ports[i]; i++, at = &(*at)->ai_next)
		*at = new_info(ports[i]);
	(*found)->ai_family = first_family;
	return 0;
}

static bool one_may_end(void)
{
	int n = atomic_load(&may_end);
	return n > 0 && atomic_compare_exchange_strong(&may_end, &n, n - 1);
}

static int find_slowly(struct addrinfo **found)
{
	int now = atomic_fetch_add(&running, 1) + 1, former = atomic_load(&most);
	while (now > former && !atomic_compare_exchange_weak(&most, &former, now))
		;
	do
		usleep(100);
	while (!atomic_load(&go_on) && !one_may_end());
	*found = new_info(1);
	atomic_fetch_sub(&running, 1);
	return 0;
}

int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
		struct addrinfo **restrict found)
{
	static const struct { const char *name; int error; } errors[] = {
		{ "unknown", EAI_NONAME }, { "again", EAI_AGAIN }, { "fail", EAI_FAIL }, { "memory", EAI_MEMORY },
		{ "system", EAI_SYSTEM }, { "family", EAI_FAMILY },
	};
	CHECK_EQ(hints->ai_socktype, expected_type);
	CHECK_EQ(weft_self(), 0); /* never on a coroutine's stack */
	atomic_fetch_add(&looked_up, 1);
	for (size_t i = 0; host && i < sizeof errors / sizeof errors[0]; i++) {
		errno = ELOOP;
		if (strcmp(host, errors[i].name) == 0)
			return errors[i].error;
	}
	*found = NULL;
	if (host && strcmp(host, "slow") == 0)
		return find_slowly(found);
	if (service && strcmp(service, "echo") != 0)
		return EAI_SERVICE;
	return find_ports(found);
}

void freeaddrinfo(struct addrinfo *info)
{
	for (struct addrinfo *next; info; info = next) {
		next = info->ai_next;
		free(info->ai_addr);
		free(info);
		atomic_fetch_add(&freed, 1);
	}
}

static in_port_t port_of(int listener)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;
	CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	return addr.sin_port;
}

/* A port that nobody listens on. */
static in_port_t closed_port(void)
{
	int fd = weft_listen("127.0.0.1:0", 0);
	CHECK_OK(fd);
	in_port_t port = port_of(fd);
	CHECK_RESULT(weft_close(fd), 0);
	return port;
}

/* ---- resolving -------------------------------------------------------------------------------------------------------- */

CO_TEST(results)
{
	struct addrinfo *found;
	ports[0] = htons(7);
	ports[1] = htons(9);
	CHECK_RESULT(weft_resolve("some", "echo", &found), 0);
	CHECK_EQ(((struct sockaddr_in *)(void *)found->ai_next->ai_addr)->sin_port, htons(9));
	freeaddrinfo(found);
	CHECK_RESULT(weft_resolve("some", NULL, &found), 0);
	freeaddrinfo(found);
	CHECK_RESULT(weft_resolve(NULL, "echo", &found), 0);
	freeaddrinfo(found);
	CHECK_RESULT(weft_resolve(NULL, NULL, &found), -EINVAL);
	CHECK_RESULT(weft_resolve("unknown", "echo", &found), -ENOENT);
	CHECK_RESULT(weft_resolve("some", "nothing", &found), -ENOENT);
	CHECK_RESULT(weft_resolve("again", "echo", &found), -EAGAIN);
	CHECK_RESULT(weft_resolve("fail", "echo", &found), -EIO);
	CHECK_RESULT(weft_resolve("memory", "echo", &found), -ENOMEM);
	CHECK_RESULT(weft_resolve("system", "echo", &found), -ELOOP);
	CHECK_RESULT(weft_resolve("family", "echo", &found), -EINVAL);
	CHECK_EQ(atomic_load(&given), atomic_load(&freed));
}

static int resolve_slow(void *arg)
{
	struct addrinfo *found;
	int r = weft_resolve("slow", arg, &found);
	if (r == 0)
		freeaddrinfo(found);
	return r;
}

static int run_with(int lookups, weft_fn *fn)
{
	struct weft_config config;
	weft_config_init(&config);
	config.max_lookups = lookups;
	return weft_run(&config, fn, NULL);
}

static int reach_cap(void *arg)
{
	enum { N = 12 };
	struct weft_co *cos[N];
	for (int i = 0; i < N; i++)
		cos[i] = spawn_co(NULL, resolve_slow, arg);
	EVENTUALLY(atomic_load(&running) == 3);
	weft_cancel(cos[N - 1]); /* waits for a place, or looks up */
	CHECK_RESULT(join_co(cos[N - 1]), -ECANCELED);
	weft_cancel(cos[0]);
	CHECK_RESULT(join_co(cos[0]), -ECANCELED);
	CHECK_RESULT(weft_sleep(WEFT_MS(2)), 0);
	CHECK_EQ(atomic_load(&running), 3); /* what was left alone is counted still */
	atomic_store(&go_on, 1);
	for (int i = 1; i < N - 1; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	EVENTUALLY(atomic_load(&running) == 0 && atomic_load(&given) == atomic_load(&freed));
	CHECK_EQ(atomic_load(&most), 3);
	CHECK_LT(atomic_load(&looked_up), N + 1);
	atomic_store(&go_on, 0); /* all places are free again */
	for (int i = 0; i < 6; i++) {
		if (i == 3) { /* one of three ends, with nobody waiting: one place is free, not all */
			atomic_store(&may_end, 1);
			EVENTUALLY(atomic_load(&running) == 2);
		}
		cos[i] = spawn_co(NULL, resolve_slow, arg);
		EVENTUALLY(atomic_load(&running) >= (i < 3 ? i + 1 : 3));
	}
	CHECK_RESULT(weft_sleep(WEFT_MS(2)), 0);
	CHECK_EQ(atomic_load(&running), 3);
	atomic_store(&go_on, 1);
	for (int i = 0; i < 6; i++)
		CHECK_RESULT(join_co(cos[i]), 0);
	return 0;
}

TEST(so_many_at_a_time) { CHECK_RESULT(run_with(3, reach_cap), 0); }

static uint64_t random_state;

static int cancel_at_random(void *arg)
{
	struct weft_co *cos[12];
	atomic_store(&go_on, 1);
	for (int round = 0; round < test_scaled(40); round++) {
		int ended = 0;
		for (int i = 0; i < 12; i++)
			cos[i] = spawn_co(NULL, resolve_slow, arg);
		for (int i = 0; i < 6; i++) {
			weft_cancel(cos[random_below(&random_state, 12)]);
			if (random_below(&random_state, 2))
				weft_yield();
		}
		for (int i = 0; i < 12; i++) {
			int r = join_co(cos[i]);
			ended += r == 0 || r == -ECANCELED || r == -ENOMEM || r == -EAGAIN;
		}
		CHECK_EQ(ended, 12);
	}
	EVENTUALLY(atomic_load(&running) == 0 && atomic_load(&given) == atomic_load(&freed));
	CHECK_LE(atomic_load(&most), 2);
	return 0;
}

TEST(all_that_is_found_is_freed)
{
	random_state = random_seed();
	CHECK_RESULT(run_with(2, cancel_at_random), 0);
}

TEST(plain_thread)
{
	struct addrinfo *found;
	ports[0] = htons(7);
	CHECK_RESULT(weft_resolve("some", "echo", &found), 0);
	freeaddrinfo(found);
}

/* ---- dialling --------------------------------------------------------------------------------------------------------- */

CO_TEST(dial_tries_in_turn)
{
	int listener = weft_listen("127.0.0.1:0", 0), fd, conn;
	CHECK_OK(listener);
	ports[0] = closed_port();
	ports[1] = port_of(listener);
	CHECK_OK(fd = weft_dial("some:echo", WEFT_NEVER));
	CHECK_OK(conn = weft_accept(listener, NULL, NULL));
	CHECK_RESULT(weft_close(conn), 0);
	CHECK_RESULT(weft_close(fd), 0);
	ports[1] = closed_port();
	CHECK_RESULT(weft_dial("some:echo", WEFT_NEVER), -ECONNREFUSED);
	first_family = AF_UNIX; /* no address of a name */
	ports[1] = 0;
	CHECK_RESULT(weft_dial("some:echo", WEFT_NEVER), -EAFNOSUPPORT);
	CHECK_RESULT(weft_close(listener), 0);
	CHECK_EQ(atomic_load(&given), atomic_load(&freed));
}

CO_TEST(listen_takes_the_first_that_works)
{
	int taken = weft_listen("127.0.0.1:0", 0), fd;
	CHECK_OK(taken);
	ports[0] = port_of(taken);
	CHECK_RESULT(weft_listen("some:echo", 0), -EADDRINUSE);
	ports[1] = closed_port();
	CHECK_OK(fd = weft_listen("some:echo", 0));
	CHECK_EQ(port_of(fd), ports[1]);
	CHECK_RESULT(weft_close(fd), 0);
	CHECK_RESULT(weft_close(taken), 0);
	CHECK_EQ(atomic_load(&given), atomic_load(&freed));
}

/* Services have their numbers for each type of socket. */
CO_TEST(datagrams_by_name)
{
	char addr[WEFT_ADDR_SIZE], text[WEFT_ADDR_SIZE], c;
	int server = weft_datagram("127.0.0.1:0", NULL, 0), client;
	CHECK_OK(server);
	expected_type = SOCK_DGRAM;
	ports[0] = port_of(server);
	CHECK_OK(client = weft_datagram(NULL, "some:echo", 0));
	CHECK_OK(weft_local_addr(server, addr, sizeof addr));
	CHECK_OK(weft_peer_addr(client, text, sizeof text));
	CHECK_STR(text, addr);
	CHECK_EQ(weft_write(client, "x", 1), 1);
	CHECK_EQ(weft_read(server, &c, 1), 1);
	CHECK_RESULT(weft_close(client), 0);
	CHECK_OK(client = weft_datagram("127.0.0.1:0", "some:echo", 0));
	CHECK_RESULT(weft_datagram("[::1]:0", "some:echo", 0), -EAFNOSUPPORT);
	CHECK_RESULT(weft_datagram("some:echo", NULL, 0), -EADDRINUSE);
	CHECK_RESULT(weft_datagram(NULL, "unknown:echo", 0), -ENOENT);
	CHECK_RESULT(weft_close(client), 0);
	CHECK_RESULT(weft_close(server), 0);
	CHECK_OK(server = weft_datagram("some:echo", NULL, 0));
	CHECK_RESULT(weft_close(server), 0);
	CHECK_EQ(atomic_load(&given), atomic_load(&freed));
}

CO_TEST(dial_errors)
{
	CHECK_RESULT(weft_dial("unknown:echo", WEFT_NEVER), -ENOENT);
	CHECK_RESULT(weft_dial("some:nothing", WEFT_NEVER), -ENOENT);
	CHECK_RESULT(weft_dial("some", WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_dial("some:", WEFT_NEVER), -EINVAL);
	CHECK_RESULT(weft_dial("a:b:echo", WEFT_NEVER), -EINVAL);
	static const char *const malformed[] = { "127.0.0.1:99999", "some:65536", "some:123456", "1.2.3:80", "7:80", "[some]:80",
						 ":", ":echo", "a/b:echo", "", "some:echo:" };
	int former = atomic_load(&looked_up);
	for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
		CHECK_RESULT(weft_dial(malformed[i], WEFT_NEVER), -EINVAL);
		CHECK_RESULT(weft_listen(malformed[i], 0), -EINVAL);
	}
	CHECK_EQ(atomic_load(&looked_up), former);
	CHECK_RESULT(weft_dial("slow:echo", weft_after(WEFT_MS(3))), -ETIMEDOUT);
	CHECK_RESULT(weft_dial("slow:echo", weft_now() - 1), -ETIMEDOUT);
	atomic_store(&go_on, 1);
	EVENTUALLY(atomic_load(&running) == 0 && atomic_load(&given) == atomic_load(&freed));
}
