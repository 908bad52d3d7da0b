/* Addresses as text. */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "harness.h"

TEST(good_v4)
{
	struct wf_addr a;
	CHECK_RESULT(wf_addr_parse(&a, "10.1.2.3:65535"), 0);
	CHECK_EQ(a.any.sa_family, AF_INET);
	CHECK_EQ(a.len, sizeof(struct sockaddr_in));
	CHECK_EQ(ntohl(a.v4.sin_addr.s_addr), 0x0a010203);
	CHECK_EQ(ntohs(a.v4.sin_port), 65535);
	CHECK(!a.no_host);
	CHECK(!wf_addr_path(&a));
	CHECK_RESULT(wf_addr_parse(&a, "localhost:0"), 0);
	CHECK_EQ(ntohl(a.v4.sin_addr.s_addr), INADDR_LOOPBACK);
	CHECK(!a.no_host);
}

TEST(good_v6)
{
	struct wf_addr a;
	CHECK_RESULT(wf_addr_parse(&a, "[::1]:80"), 0);
	CHECK_EQ(a.any.sa_family, AF_INET6);
	CHECK_EQ(a.len, sizeof(struct sockaddr_in6));
	CHECK(IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr));
	CHECK_EQ(ntohs(a.v6.sin6_port), 80);
	CHECK_RESULT(wf_addr_parse(&a, "[::ffff:1.2.3.4]:1"), 0);
	CHECK_RESULT(wf_addr_parse(&a, "[fe80::1%lo]:1"), 0);
	CHECK_GT(a.v6.sin6_scope_id, 0);
	CHECK_RESULT(wf_addr_parse(&a, "[fe80::1%77]:1"), 0);
	CHECK_EQ(a.v6.sin6_scope_id, 77);
	CHECK_RESULT(wf_addr_parse(&a, "[1111:2222:3333:4444:5555:6666:255.255.255.255]:1"), 0);
}

TEST(no_host)
{
	struct wf_addr a;
	CHECK_RESULT(wf_addr_parse(&a, ":8080"), 0);
	CHECK(a.no_host);
	CHECK_EQ(ntohl(a.v4.sin_addr.s_addr), INADDR_LOOPBACK);
	CHECK_EQ(ntohs(a.v4.sin_port), 8080);
	wf_addr_set_everywhere(&a, true);
	CHECK_EQ(a.any.sa_family, AF_INET6);
	CHECK(IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr));
	CHECK_EQ(ntohs(a.v6.sin6_port), 8080);
	wf_addr_set_everywhere(&a, false);
	CHECK_EQ(a.any.sa_family, AF_INET);
	CHECK_EQ(a.v4.sin_addr.s_addr, INADDR_ANY);
	CHECK_EQ(ntohs(a.v4.sin_port), 8080);
	CHECK(a.no_host);
}

TEST(good_unix)
{
	struct wf_addr a;
	CHECK_RESULT(wf_addr_parse(&a, "unix:/tmp/a:80"), 0);
	CHECK_EQ(a.any.sa_family, AF_UNIX);
	CHECK_STR(wf_addr_path(&a), "/tmp/a:80");
	CHECK_EQ(a.len, offsetof(struct sockaddr_un, sun_path) + sizeof "/tmp/a:80");
	CHECK_RESULT(wf_addr_parse(&a, "unix:@name"), 0);
	CHECK_EQ(a.len, offsetof(struct sockaddr_un, sun_path) + 5);
	CHECK_MEM(a.path.sun_path, "\0name", 5);
	CHECK(!wf_addr_path(&a));
}

TEST(longest_unix)
{
	struct wf_addr a;
	char text[5 + sizeof a.path.sun_path + 2];
	memset(text, 'x', sizeof text);
	memcpy(text, "unix:", 5);
	text[5 + sizeof a.path.sun_path] = '\0';
	CHECK_RESULT(wf_addr_parse(&a, text), -EINVAL);
	text[5] = '@';
	CHECK_RESULT(wf_addr_parse(&a, text), 0);
	CHECK_EQ(a.len, sizeof(struct sockaddr_un));
	text[5] = 'x';
	text[5 + sizeof a.path.sun_path - 1] = '\0';
	CHECK_RESULT(wf_addr_parse(&a, text), 0);
	CHECK_EQ(strlen(wf_addr_path(&a)), sizeof a.path.sun_path - 1);
	CHECK_EQ(a.len, sizeof(struct sockaddr_un));
}

TEST(bad)
{
	static const char *const bad[] = {
		"", ":", "80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:80x", "1.2.3.4:-1", "1.2.3.4:+1", "1.2.3.4: 1",
		"1.2.3.4:65536", "1.2.3.4:4294967296", "1.2.3.4:99999999999999999999", "1.2.3:80", "1.2.3.256:80", " 1.2.3.4:80",
		"::1:80", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[1.2.3.4]:80", "[::1]x:80", "x[::1]:80", "[[::1]]:80",
		"[::1%]:80", "[::1%nosuchinterface]:80", "[::1%4294967296]:80", "example.org:80", "1.2.3.4:80:80", "unix:",
		"unix:@",
		"1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4.1.2.3.4:80",
	};
	struct wf_addr a;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (wf_addr_parse(&a, bad[i]) != -EINVAL)
			test_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
}
