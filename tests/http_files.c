/* The files of examples/http: what is found, and above all what is not. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "http_peer.h"

/* A directory with the root and a secret beside it; removed by leave_tree. */
static char tree[64];

static void put_file(const char *name, const char *content, size_t n)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK_GE(fd, 0);
	CHECK_EQ(write(fd, content, n), n);
	close(fd);
}

static void put_text(const char *name, const char *content)
{
	put_file(name, content, strlen(content));
}

static void put_directory(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree, name);
	CHECK_EQ(mkdir(path, 0755), 0);
}

static void put_link(const char *name, const char *target)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree, name);
	CHECK_EQ(symlink(target, path), 0);
}

enum { BIG = 3000001 };

static char *big_content(void)
{
	char *p = malloc(BIG);
	CHECK(p != NULL);
	for (size_t i = 0; i < BIG; i++)
		p[i] = (char)(i * 2654435761u >> 24);
	return p;
}

static void enter_tree_after(struct server *s, const char *first)
{
	char options[128], *big = big_content();
	snprintf(tree, sizeof(tree), "/tmp/weft-files-XXXXXX");
	CHECK(mkdtemp(tree) != NULL);
	put_directory("root");
	put_directory("root/sub");
	put_directory("root/bare");
	put_directory("root/.git");
	put_directory("root/.well-known");
	put_directory("outside");
	put_text("secret.txt", "secret");
	put_text("outside/secret.txt", "secret");
	put_text("root/index.html", "<p>index</p>");
	put_text("root/sub/index.html", "sub");
	put_text("root/sub/a.css", "css");
	put_text("root/empty.txt", "");
	put_text("root/with space.txt", "space");
	put_text("root/100%.txt", "percent");
	put_text("root/noext", "noext");
	put_text("root/DATA.JSON", "{}");
	put_text("root/.hidden", "secret");
	put_text("root/.git/config", "secret");
	put_text("root/.well-known/x", "known");
	put_file("root/big.bin", big, BIG);
	put_link("root/inside.txt", "sub/a.css");
	put_link("root/upwards.txt", "../secret.txt");
	put_link("root/away", "../outside");
	put_link("root/absolute.txt", "/etc/passwd");
	put_link("root/loop", "loop");
	char fifo[128];
	snprintf(fifo, sizeof(fifo), "%s/root/fifo", tree);
	CHECK_EQ(mkfifo(fifo, 0644), 0);
	free(big);
	snprintf(options, sizeof(options), "--root %s/root", tree);
	server_start_after(s, first, options);
}

static void enter_tree(struct server *s)
{
	enter_tree_after(s, ":");
}

static void leave_tree(struct server *s)
{
	char command[128];
	server_stop(s);
	snprintf(command, sizeof(command), "rm -r %s", tree);
	CHECK_EQ(system(command), 0);
}

static struct response ask(int fd, const char *method, const char *path)
{
	char text[2048];
	tell(fd, text, (size_t)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, path));
	return hear(fd, strcmp(method, "HEAD") == 0);
}

static struct response ask_with(int fd, const char *path, const char *fields)
{
	char text[1024];
	tell(fd, text, (size_t)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, fields));
	return hear(fd, false);
}

TEST(found)
{
	static const struct {
		const char *path, *body, *type;
	} files[] = {
		{"/", "<p>index</p>", "text/html; charset=utf-8"},
		{"/index.html", "<p>index</p>", "text/html; charset=utf-8"},
		{"/index.html?a=b", "<p>index</p>", "text/html; charset=utf-8"},
		{"http://elsewhere", "<p>index</p>", "text/html; charset=utf-8"},
		{"/sub/", "sub", "text/html; charset=utf-8"},
		{"/sub/a.css", "css", "text/css; charset=utf-8"},
		{"/%73ub/a%2ecss", "css", "text/css; charset=utf-8"},
		{"/empty.txt", "", "text/plain; charset=utf-8"},
		{"/with%20space.txt", "space", "text/plain; charset=utf-8"},
		{"/100%25.txt", "percent", "text/plain; charset=utf-8"},
		{"/noext", "noext", "application/octet-stream"},
		{"/DATA.JSON", "{}", "application/json"},
		{"/.well-known/x", "known", "application/octet-stream"},
	};
	struct server s;
	enter_tree(&s);
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct response r = ask(fd, "GET", files[i].path);
		if (r.status != 200)
			test_fail(__FILE__, __LINE__, "%s: %d", files[i].path, r.status);
		CHECK_STR(r.body, files[i].body);
		CHECK_STR(field(&r, "Content-Type"), files[i].type);
		CHECK(field(&r, "Last-Modified") != NULL && field(&r, "ETag") != NULL);
		free(r.bytes);
	}
	close(fd);
	leave_tree(&s);
}

/* Links that stay inside are followed where the system can tell. */
TEST(link_inside)
{
	struct server s;
	struct {
		unsigned long long flags, mode, resolve;
	} how = {0};
	if (syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how)) < 0)
		SKIP("no openat2 here");
	enter_tree(&s);
	int fd = dial(&s);
	struct response r = ask(fd, "GET", "/inside.txt");
	CHECK_EQ(r.status, 200);
	CHECK_STR(r.body, "css");
	close(fd);
	leave_tree(&s);
}

TEST(not_found)
{
	static const char *const paths[] = {
		"/nothing", "/sub/nothing", "/bare/", "/noext/", "/noext/x", "/fifo", "/loop",
		/* upwards */
		"/../secret.txt", "/..", "/../", "/sub/../../secret.txt", "/sub/../index.html", "/./index.html", "/.", "/sub/..",
		"/%2e%2e/secret.txt", "/.%2e/secret.txt", "/%2E%2E/secret.txt", "/sub/%2e%2e/%2e%2e/secret.txt",
		"/..%2fsecret.txt", "/%2e%2e%2fsecret.txt", "/..%5csecret.txt", "/%252e%252e/secret.txt", "/..;/secret.txt",
		"/...", "/%c0%ae%c0%ae/secret.txt",
		/* by a link that leads out */
		"/upwards.txt", "/away/secret.txt", "/away/", "/absolute.txt",
		/* hidden names, odd names */
		"/.hidden", "/.git/config", "/%2egit/config", "/.git/", "/.well-known/../index.html", "/.well-knownx",
		"//index.html", "//", "/sub//a.css", "/sub%2fa.css", "/index.html%00", "/index.html%00.txt", "/%00",
		"/etc/passwd", "//etc/passwd", "/%2fetc/passwd",
	};
	struct server s;
	enter_tree(&s);
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct response r = ask(fd, "GET", paths[i]);
		if (r.status != 404 || strstr(r.body, "secret") != NULL)
			test_fail(__FILE__, __LINE__, "%s: %d %s", paths[i], r.status, r.body);
		free(r.bytes);
	}
	close(fd);
	leave_tree(&s);
}

TEST(long_names)
{
	struct server s;
	char path[1600];
	enter_tree(&s);
	int fd = dial(&s);
	for (size_t n = 200; n < sizeof(path) - 1; n += 7) {
		memset(path, 'x', n);
		path[0] = '/';
		path[n] = '\0';
		struct response r = ask(fd, "GET", path);
		CHECK_EQ(r.status, 404);
		free(r.bytes);
	}
	close(fd);
	leave_tree(&s);
}

TEST(directory_without_slash)
{
	struct server s;
	enter_tree(&s);
	int fd = dial(&s);
	struct response r = ask(fd, "GET", "/sub");
	CHECK_EQ(r.status, 301);
	CHECK_STR(field(&r, "Location"), "/sub/");
	free(r.bytes);
	r = ask(fd, "GET", "/%73ub?x");
	CHECK_STR(field(&r, "Location"), "/%73ub/");
	free(r.bytes);
	close(fd);
	leave_tree(&s);
}

TEST(head_and_other_methods)
{
	struct server s;
	enter_tree(&s);
	int fd = dial(&s);
	struct response r = ask(fd, "HEAD", "/big.bin");
	CHECK_EQ(r.status, 200);
	CHECK_STR(field(&r, "Content-Length"), "3000001");
	r = ask(fd, "HEAD", "/nothing");
	CHECK_EQ(r.status, 404);
	r = ask(fd, "DELETE", "/index.html");
	CHECK_EQ(r.status, 405);
	CHECK_STR(field(&r, "Allow"), "GET, HEAD, OPTIONS");
	r = ask(fd, "OPTIONS", "/index.html");
	CHECK_EQ(r.status, 204);
	r = ask(fd, "GET", "/bytes/2");
	CHECK_STR(r.body, "ab");
	close(fd);
	leave_tree(&s);
}

/* With few descriptors to lose, none may be lost, whatever is asked for. */
TEST(descriptors_come_back)
{
	static const struct {
		const char *path;
		int status;
	} asked[] = {
		{"/", 200}, {"/sub", 301}, {"/sub/", 200}, {"/bare/", 404}, {"/fifo", 404}, {"/upwards.txt", 404},
		{"/big.bin", 200}, {"/sub/a.css", 200}, {"/noext/x", 404},
	};
	struct server s;
	enter_tree_after(&s, "ulimit -n 40");
	int fd = dial(&s);
	for (int i = 0; i < 40; i++)
		for (size_t k = 0; k < sizeof(asked) / sizeof(asked[0]); k++) {
			struct response r = ask(fd, "GET", asked[k].path);
			CHECK_EQ(r.status, asked[k].status);
			free(r.bytes);
		}
	close(fd);
	leave_tree(&s);
}

/* A big file between small ones, several times over one connection, and pipelined. */
TEST(big_file)
{
	struct server s;
	char *big = big_content();
	enter_tree(&s);
	int fd = dial(&s);
	pid_t writer = fork();
	if (writer == 0) {
		for (int i = 0; i < 3; i++)
			TELL(fd, "GET /sub/a.css HTTP/1.1\r\nHost: a\r\n\r\nGET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n");
		_exit(0);
	}
	for (int i = 0; i < 3; i++) {
		expect(fd, 200, "css");
		struct response r = hear(fd, false);
		CHECK_EQ(r.body_size, BIG);
		CHECK_MEM(r.body, big, BIG);
		free(r.bytes);
	}
	CHECK_EQ(waitpid(writer, NULL, 0), writer);
	close(fd);
	free(big);
	leave_tree(&s);
}

/* Parts of files, small and large, one after another on one connection. */
TEST(ranges)
{
	static const struct {
		const char *range, *content_range;
		size_t from, n;
	} ranges[] = {
		{"0-0", "bytes 0-0/3000001", 0, 1},
		{"5-9", "bytes 5-9/3000001", 5, 5},
		{"-1", "bytes 3000000-3000000/3000001", BIG - 1, 1},
		{"1000000-2999999", "bytes 1000000-2999999/3000001", 1000000, 2000000},
		{"7-", "bytes 7-3000000/3000001", 7, BIG - 7},
	};
	struct server s;
	char *big = big_content(), fields[64];
	enter_tree(&s);
	int fd = dial(&s);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		snprintf(fields, sizeof(fields), "Range: bytes=%s\r\n", ranges[i].range);
		struct response r = ask_with(fd, "/big.bin", fields);
		CHECK_EQ(r.status, 206);
		CHECK_STR(field(&r, "Content-Range"), ranges[i].content_range);
		CHECK_EQ(r.body_size, ranges[i].n);
		CHECK_MEM(r.body, big + ranges[i].from, ranges[i].n);
		free(r.bytes);
	}
	struct response r = ask_with(fd, "/big.bin", "Range: bytes=3000001-\r\n");
	CHECK_EQ(r.status, 416);
	CHECK_STR(field(&r, "Content-Range"), "bytes */3000001");
	CHECK_EQ(r.body_size, 0);
	r = ask_with(fd, "/big.bin", "Range: bytes=0-1,3-4\r\n");
	CHECK_EQ(r.status, 200);
	CHECK_EQ(r.body_size, BIG);
	free(r.bytes);
	free(big);
	close(fd);
	leave_tree(&s);
}

/* What the server says of a file is good for asking whether it is still so; and a file that changes is another one. */
TEST(conditional_requests)
{
	struct server s;
	char tag[128], fields[256], path[128];
	enter_tree(&s);
	int fd = dial(&s);
	struct response r = ask(fd, "GET", "/sub/a.css");
	CHECK_STR(field(&r, "Accept-Ranges"), "bytes");
	snprintf(tag, sizeof(tag), "%s", field(&r, "ETag"));
	snprintf(fields, sizeof(fields), "If-Modified-Since: %s\r\n", field(&r, "Last-Modified"));
	r = ask_with(fd, "/sub/a.css", fields);
	CHECK_EQ(r.status, 304);
	CHECK_EQ(r.body_size, 0);
	snprintf(fields, sizeof(fields), "If-None-Match: %s\r\n", tag);
	r = ask_with(fd, "/sub/a.css", fields);
	CHECK_EQ(r.status, 304);
	CHECK_STR(field(&r, "ETag"), tag);
	snprintf(path, sizeof(path), "%s/root/sub/a.css", tree);
	int file = open(path, O_WRONLY | O_APPEND);
	CHECK_EQ(write(file, "!", 1), 1);
	close(file);
	r = ask_with(fd, "/sub/a.css", fields);
	CHECK_EQ(r.status, 200);
	CHECK_STR(r.body, "css!");
	CHECK_NE(strcmp(field(&r, "ETag"), tag), 0);
	snprintf(fields, sizeof(fields), "If-Match: %s\r\n", tag);
	r = ask_with(fd, "/sub/a.css", fields);
	CHECK_EQ(r.status, 412);
	close(fd);
	leave_tree(&s);
}

/* A file that shrinks while it is sent: the response breaks off, and the next one is not taken for its rest. */
TEST(file_that_shrinks)
{
	struct server s;
	char path[128], byte;
	enter_tree(&s);
	snprintf(path, sizeof(path), "%s/root/shrinks", tree);
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
	CHECK_EQ(ftruncate(file, 1 << 30), 0);
	int fd = dial(&s);
	TELL(fd, "GET /shrinks HTTP/1.1\r\nHost: a\r\n\r\nGET /sub/a.css HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK_EQ(recv(fd, &byte, 1, MSG_PEEK), 1);
	CHECK_EQ(ftruncate(file, 10), 0);
	size_t n = 0;
	ssize_t r;
	static char buffer[1 << 16];
	while ((r = recv(fd, buffer, sizeof(buffer) - 1, 0)) > 0) {
		buffer[r] = '\0';
		CHECK(n == 0 || strstr(buffer, "HTTP/1.1") == NULL);
		n += (size_t)r;
	}
	CHECK_LT(n, 1 << 30);
	close(file);
	close(fd);
	leave_tree(&s);
}
