/* The parsers of examples/http: a table of what is taken and what is refused. Every vector is also cut at every byte, fed byte by
 * byte, and always placed so that the byte behind it can't be read. */
#include "../examples/http/parse.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

static const struct http_limits limits = {160, 640, 10};

/* ---- a buffer with a wall behind it -------------------------------------------------------------------------------- */

struct wall {
	char *base;
	size_t size;
};

static struct wall wall_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (HTTP_HEAD_MAX / page + 2) * page;
	char *base = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(base != MAP_FAILED);
	CHECK_EQ(mprotect(base + size, page, PROT_NONE), 0);
	return (struct wall){base, size};
}

/* A copy of the bytes that ends at the wall; what is before it is filled with what would do most harm. */
static const char *wall_put(const struct wall *w, const char *bytes, size_t n)
{
	char *at = w->base + w->size - n;
	memset(w->base, '\n', w->size - n);
	memcpy(at, bytes, n);
	return at;
}

/* ---- heads --------------------------------------------------------------------------------------------------------- */

struct vector {
	int want; /* as http_parse_head has it */
	size_t len;
	const char *bytes;
};

#define REFUSED(status, bytes) { -(status), sizeof(bytes) - 1, bytes }
#define MORE(bytes) { 0, sizeof(bytes) - 1, bytes }
#define TAKEN(bytes) { sizeof(bytes) - 1, sizeof(bytes) - 1, bytes }
#define TAKEN_BEFORE(bytes, rest) { sizeof(bytes) - 1, sizeof(bytes rest) - 1, bytes rest }

#define LINE(line) line "\r\nHost: a\r\n\r\n"
#define FIELDS(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define HOST(value) "GET / HTTP/1.1\r\nHost:" value "\r\n\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define OLD(fields) "POST / HTTP/1.0\r\n" fields "\r\n"
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

static const struct vector heads[] = {
	/* whole requests, and what may be behind them */
	TAKEN(LINE("GET / HTTP/1.1")),
	TAKEN("GET / HTTP/1.0\r\n\r\n"),
	TAKEN_BEFORE(LINE("GET / HTTP/1.1"), "GET / HTTP/1.1\r\n"),
	TAKEN_BEFORE(POST("Content-Length: 4\r\n"), "\0\n\r\x7f"),
	TAKEN_BEFORE("GET / HTTP/1.0\r\n\r\n", "\n"),

	/* not all there yet */
	MORE(""),
	MORE("\r"),
	MORE("\r\n"),
	MORE("G"),
	MORE("GET"),
	MORE("GET "),
	MORE("GET /"),
	MORE("GET / "),
	MORE("GET / HTTP/1.1"),
	MORE("GET / HTTP/1.1\r"),
	MORE("GET / HTTP/1.1\r\n"),
	MORE("GET / HTTP/1.1\r\nHost"),
	MORE("GET / HTTP/1.1\r\nHost:"),
	MORE("GET / HTTP/1.1\r\nHost: a\r"),
	MORE("GET / HTTP/1.1\r\nHost: a\r\n"),
	MORE("GET / HTTP/1.1\r\nHost: a\r\n\r"),

	/* ends of lines */
	REFUSED(400, "GET / HTTP/1.1\nHost: a\n\n"),
	REFUSED(400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\n\rX"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\n\rHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0\r\n\n"),
	REFUSED(400, "\nGET / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "\rGET / HTTP/1.0\r\n\r\n"),

	/* empty lines before the request: one */
	TAKEN("\r\nGET / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "\r\n \r\nGET / HTTP/1.0\r\n\r\n"),

	/* the request line */
	REFUSED(400, " GET / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "\tGET / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET  / HTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET /  HTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET\t/ HTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET /\tHTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0 \r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0\t\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0 x\r\n\r\n"),
	REFUSED(400, "GET /a b HTTP/1.0\r\n\r\n"),
	REFUSED(400, "GET /\r\n\r\n"),
	REFUSED(400, "GET / \r\n\r\n"),
	REFUSED(400, "GET\r\n\r\n"),
	REFUSED(400, "GET \r\n\r\n"),
	REFUSED(400, "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(400, "/ HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(400, " / HTTP/1.1\r\nHost: a\r\n\r\n"),
	REFUSED(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),

	/* methods */
	TAKEN(LINE("FROB / HTTP/1.1")),
	TAKEN(LINE("get / HTTP/1.1")),
	TAKEN(LINE("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1")),
	REFUSED(400, LINE("GE(T / HTTP/1.1")),
	REFUSED(400, LINE("GET, / HTTP/1.1")),
	REFUSED(400, LINE("GE\0T / HTTP/1.1")),
	REFUSED(400, LINE("G\xc3\x8bT / HTTP/1.1")),
	REFUSED(400, LINE("\"GET\" / HTTP/1.1")),

	/* versions */
	TAKEN(LINE("GET / HTTP/1.2")),
	TAKEN(LINE("GET / HTTP/1.9")),
	REFUSED(505, LINE("GET / HTTP/2.0")),
	REFUSED(505, LINE("GET / HTTP/0.9")),
	REFUSED(505, LINE("GET / HTTP/3.0")),
	REFUSED(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	REFUSED(400, LINE("GET / HTTP/1")),
	REFUSED(400, LINE("GET / HTTP/1.")),
	REFUSED(400, LINE("GET / HTTP/.1")),
	REFUSED(400, LINE("GET / HTTP/11")),
	REFUSED(400, LINE("GET / HTTP/1.10")),
	REFUSED(400, LINE("GET / HTTP/01.1")),
	REFUSED(400, LINE("GET / HTTP/1.1.1")),
	REFUSED(400, LINE("GET / HTTP/-1.1")),
	REFUSED(400, LINE("GET / HTTP/+1.1")),
	REFUSED(400, LINE("GET / HTTP/1,1")),
	REFUSED(400, LINE("GET / HTTP 1.1")),
	REFUSED(400, LINE("GET / HTTP//1.1")),
	REFUSED(400, LINE("GET / http/1.1")),
	REFUSED(400, LINE("GET / Http/1.1")),
	REFUSED(400, LINE("GET / HTTPS/1.1")),
	REFUSED(400, LINE("GET / HTTP/a.b")),
	REFUSED(400, LINE("GET / HTTP/1.\x31\x00")),
	REFUSED(400, LINE("GET / XTTP/1.1")),
	REFUSED(400, LINE("GET / ICE/1.0")),

	/* targets: origin form */
	TAKEN(LINE("GET /a/b;c=d/~e/-._!$&'()*+,:@ HTTP/1.1")),
	TAKEN(LINE("GET /%00%2e%2E%ff HTTP/1.1")),
	TAKEN(LINE("GET //x HTTP/1.1")),
	TAKEN(LINE("GET /../x HTTP/1.1")),
	TAKEN(LINE("GET /? HTTP/1.1")),
	TAKEN(LINE("GET /?a=b&c=d?e/f HTTP/1.1")),
	REFUSED(400, LINE("GET /#a HTTP/1.1")),
	REFUSED(400, LINE("GET /?a#b HTTP/1.1")),
	REFUSED(400, LINE("GET /% HTTP/1.1")),
	REFUSED(400, LINE("GET /%4 HTTP/1.1")),
	REFUSED(400, LINE("GET /%4g HTTP/1.1")),
	REFUSED(400, LINE("GET /%%41 HTTP/1.1")),
	REFUSED(400, LINE("GET /?%zz HTTP/1.1")),
	REFUSED(400, LINE("GET /\\ HTTP/1.1")),
	REFUSED(400, LINE("GET /<script> HTTP/1.1")),
	REFUSED(400, LINE("GET /\" HTTP/1.1")),
	REFUSED(400, LINE("GET /{a} HTTP/1.1")),
	REFUSED(400, LINE("GET /|^` HTTP/1.1")),
	REFUSED(400, LINE("GET /[a] HTTP/1.1")),
	REFUSED(400, LINE("GET /\x7f HTTP/1.1")),
	REFUSED(400, LINE("GET /\0 HTTP/1.1")),
	REFUSED(400, LINE("GET /\xc3\xa4 HTTP/1.1")),
	REFUSED(400, LINE("GET a HTTP/1.1")),
	REFUSED(400, LINE("GET a/b HTTP/1.1")),
	REFUSED(400, LINE("GET ?a HTTP/1.1")),
	REFUSED(400, LINE("GET ../a HTTP/1.1")),

	/* targets: absolute form */
	TAKEN(LINE("GET http://b HTTP/1.1")),
	TAKEN(LINE("GET http://b/ HTTP/1.1")),
	TAKEN(LINE("GET HTTPS://b:443/c?d HTTP/1.1")),
	TAKEN(LINE("GET http://b?c HTTP/1.1")),
	TAKEN(LINE("GET http://[::1]:80/ HTTP/1.1")),
	REFUSED(400, "GET http://b/ HTTP/1.1\r\n\r\n"),
	REFUSED(400, LINE("GET http:// HTTP/1.1")),
	REFUSED(400, LINE("GET http:///a HTTP/1.1")),
	REFUSED(400, LINE("GET http://:80/a HTTP/1.1")),
	REFUSED(400, LINE("GET http://u@b/ HTTP/1.1")),
	REFUSED(400, LINE("GET http://u:p@b/ HTTP/1.1")),
	REFUSED(400, LINE("GET http://b:x/ HTTP/1.1")),
	REFUSED(400, LINE("GET http://b:65536/ HTTP/1.1")),
	REFUSED(400, LINE("GET http:/b HTTP/1.1")),
	REFUSED(400, LINE("GET http:b HTTP/1.1")),
	REFUSED(400, LINE("GET ftp://b/ HTTP/1.1")),
	REFUSED(400, LINE("GET httpx://b/ HTTP/1.1")),
	REFUSED(400, LINE("GET http://b#c HTTP/1.1")),
	REFUSED(400, LINE("GET http://b\\c/ HTTP/1.1")),
	REFUSED(400, LINE("GET http HTTP/1.1")),
	REFUSED(400, LINE("GET : HTTP/1.1")),

	/* targets: authority form, for CONNECT alone */
	TAKEN(LINE("CONNECT b:443 HTTP/1.1")),
	TAKEN(LINE("CONNECT [::1]:443 HTTP/1.1")),
	REFUSED(400, LINE("CONNECT b HTTP/1.1")),
	REFUSED(400, LINE("CONNECT b: HTTP/1.1")),
	REFUSED(400, LINE("CONNECT :443 HTTP/1.1")),
	REFUSED(400, LINE("CONNECT / HTTP/1.1")),
	REFUSED(400, LINE("CONNECT http://b:443/ HTTP/1.1")),
	REFUSED(400, LINE("CONNECT u@b:443 HTTP/1.1")),
	REFUSED(400, LINE("GET b:443 HTTP/1.1")),

	/* targets: asterisk form, for OPTIONS alone */
	TAKEN(LINE("OPTIONS * HTTP/1.1")),
	REFUSED(400, LINE("GET * HTTP/1.1")),
	REFUSED(400, LINE("OPTIONS ** HTTP/1.1")),
	REFUSED(400, LINE("OPTIONS *?a HTTP/1.1")),

	/* fields */
	TAKEN(FIELDS("A:b\r\n")),
	TAKEN(FIELDS("A:\r\n")),
	TAKEN(FIELDS("A: \t \r\n")),
	TAKEN(FIELDS("A:\t b c \t\r\n")),
	TAKEN(FIELDS("!#$%&'*+-.^_`|~9: b\r\n")),
	TAKEN(FIELDS("A: \x80\xff \"(),/:;<=>?@[\\]{}\r\n")),
	TAKEN(FIELDS("A: b: c\r\n")),
	TAKEN(FIELDS("A: 12345678\x80 12345678\t12345678\xff\r\n")),
	REFUSED(400, FIELDS("A : b\r\n")),
	REFUSED(400, FIELDS("A\t: b\r\n")),
	REFUSED(400, FIELDS(" A: b\r\n")),
	REFUSED(400, FIELDS("\tA: b\r\n")),
	REFUSED(400, FIELDS("A: b\r\n c\r\n")),
	REFUSED(400, FIELDS("A: b\r\n\tc\r\n")),
	REFUSED(400, FIELDS("A: b\r\n \r\n")),
	REFUSED(400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
	REFUSED(400, FIELDS("A\r\n")),
	REFUSED(400, FIELDS(": b\r\n")),
	REFUSED(400, FIELDS("A b: c\r\n")),
	REFUSED(400, FIELDS("A;b: c\r\n")),
	REFUSED(400, FIELDS("A(b): c\r\n")),
	REFUSED(400, FIELDS("A\0: c\r\n")),
	REFUSED(400, FIELDS("\xc3\xa4: c\r\n")),
	REFUSED(400, FIELDS("A: b\0c\r\n")),
	REFUSED(400, FIELDS("A: b\x01\r\n")),
	REFUSED(400, FIELDS("A: b\x0b\r\n")),
	REFUSED(400, FIELDS("A: b\x0c\r\n")),
	REFUSED(400, FIELDS("A: b\x1b\r\n")),
	REFUSED(400, FIELDS("A: b\x7f\r\n")),
	REFUSED(400, FIELDS("A: 12345678\x1f" "12345678\r\n")),
	REFUSED(400, FIELDS("A: 12345678\x7f" "12345678\r\n")),
	REFUSED(400, FIELDS("A: 1234567\x00\x80\x80\r\n")),
	REFUSED(400, FIELDS("A: b\r\n: c\r\n")),

	/* Host */
	TAKEN(HOST(" a")),
	TAKEN(HOST("a")),
	TAKEN(HOST(" a:80 ")),
	TAKEN(HOST(" a:")),
	TAKEN(HOST(" a:65535")),
	TAKEN(HOST(" 127.0.0.1:80")),
	TAKEN(HOST(" a-b_c.d~e%41!$&'()*+,;=")),
	TAKEN(HOST(" [::1]")),
	TAKEN(HOST(" [2001:db8::ffff:1.2.3.4]:80")),
	TAKEN(HOST(" [v1f.a:b]")),
	REFUSED(400, HOST("")),
	REFUSED(400, HOST(" ")),
	REFUSED(400, HOST(" :80")),
	REFUSED(400, HOST(" a b")),
	REFUSED(400, HOST(" a, b")),
	REFUSED(400, HOST(" a/b")),
	REFUSED(400, HOST(" a?b")),
	REFUSED(400, HOST(" a#b")),
	REFUSED(400, HOST(" u@a")),
	REFUSED(400, HOST(" http://a")),
	REFUSED(400, HOST(" a\\b")),
	REFUSED(400, HOST(" a\"b")),
	REFUSED(400, HOST(" <a>")),
	REFUSED(400, HOST(" \xc3\xa4")),
	REFUSED(400, HOST(" a%4")),
	REFUSED(400, HOST(" a%zz")),
	REFUSED(400, HOST(" a:b")),
	REFUSED(400, HOST(" a:8 0")),
	REFUSED(400, HOST(" a:-1")),
	REFUSED(400, HOST(" a:65536")),
	REFUSED(400, HOST(" a:99999999999999999999")),
	REFUSED(400, HOST(" a:80:80")),
	REFUSED(400, HOST(" ::1")),
	REFUSED(400, HOST(" [::1")),
	REFUSED(400, HOST(" []")),
	REFUSED(400, HOST(" [:::1]")),
	REFUSED(400, HOST(" [1::2::3]")),
	REFUSED(400, HOST(" [::1]a")),
	REFUSED(400, HOST(" [::1%25lo]")),
	REFUSED(400, HOST(" [127.0.0.1]")),
	REFUSED(400, HOST(" [v.a]")),
	REFUSED(400, HOST(" [v1.]")),
	REFUSED(400, HOST(" [v1]")),
	REFUSED(400, HOST(" [vg.a]")),
	REFUSED(400, HOST(" [0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]")),
	REFUSED(400, "GET / HTTP/1.1\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
	REFUSED(400, "OPTIONS * HTTP/1.1\r\n\r\n"),
	REFUSED(400, "GET / HTTP/1.1\r\nXHost: a\r\n\r\n"),

	/* Content-Length */
	TAKEN(POST("Content-Length: 0\r\n")),
	TAKEN(POST("content-LENGTH:10\r\n")),
	TAKEN(POST("Content-Length: 0010 \r\n")),
	TAKEN(POST("Content-Length: 999999999999\r\n")),
	TAKEN(FIELDS("Content-Length: 3\r\n")),
	REFUSED(413, POST("Content-Length: 9223372036854775808\r\n")),
	REFUSED(413, POST("Content-Length: 18446744073709551616\r\n")),
	REFUSED(413, POST("Content-Length: 100000000000000000000000000000000000\r\n")),
	REFUSED(400, POST("Content-Length:\r\n")),
	REFUSED(400, POST("Content-Length: \r\n")),
	REFUSED(400, POST("Content-Length: +1\r\n")),
	REFUSED(400, POST("Content-Length: -1\r\n")),
	REFUSED(400, POST("Content-Length: 0x1\r\n")),
	REFUSED(400, POST("Content-Length: 1e1\r\n")),
	REFUSED(400, POST("Content-Length: 1.0\r\n")),
	REFUSED(400, POST("Content-Length: 1 1\r\n")),
	REFUSED(400, POST("Content-Length: 1,\r\n")),
	REFUSED(400, POST("Content-Length: 1, 1\r\n")),
	REFUSED(400, POST("Content-Length: 1, 2\r\n")),
	REFUSED(400, POST("Content-Length: 1;a\r\n")),
	REFUSED(400, POST("Content-Length: \"1\"\r\n")),
	REFUSED(400, POST("Content-Length: a\r\n")),
	REFUSED(400, POST("Content-Length: \xd9\xa1\r\n")),
	REFUSED(400, POST("Content-Length: 1\r\nContent-Length: 1\r\n")),
	REFUSED(400, POST("Content-Length: 1\r\nContent-Length: 2\r\n")),
	REFUSED(400, POST("Content-Length: 1\r\nA: b\r\ncontent-length: 1\r\n")),
	REFUSED(400, POST("Content-Length: 1\r\nContent-Length:\r\n")),
	REFUSED(400, POST("Content-Length : 1\r\n")),
	REFUSED(400, POST("Content-Length\r\n")),
	REFUSED(400, OLD("Content-Length: 1\r\nContent-Length: 1\r\n")),
	TAKEN(POST("Content_Length: a\r\nContent-Lengt: b\r\nContent-Length2: c\r\n")),

	/* Transfer-Encoding */
	TAKEN(POST("Transfer-Encoding: chunked\r\n")),
	TAKEN(POST("transfer-encoding:CHUNKED\t\r\n")),
	TAKEN(FIELDS("Transfer-Encoding: chunked\r\n")),
	REFUSED(501, POST("Transfer-Encoding: gzip, chunked\r\n")),
	REFUSED(501, POST("Transfer-Encoding: identity, chunked\r\n")),
	REFUSED(501, POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: gzip\r\n")),
	REFUSED(400, POST("Transfer-Encoding: identity\r\n")),
	REFUSED(400, POST("Transfer-Encoding:\r\n")),
	REFUSED(400, POST("Transfer-Encoding: ,\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked,\r\n")),
	REFUSED(400, POST("Transfer-Encoding: , chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked, gzip\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked, identity\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked, chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n")),
	REFUSED(400, POST("Transfer-Encoding: xchunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunkedx\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunke\r\n")),
	REFUSED(400, POST("Transfer-Encoding: \"chunked\"\r\n")),
	REFUSED(400, POST("Transfer-Encoding: 'chunked'\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked;a=b\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked a\r\n")),
	REFUSED(400, POST("Transfer-Encoding: a chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: \x0b" "chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\0\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\xa0\r\n")),
	REFUSED(400, POST("Transfer-Encoding : chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding:\r\n chunked\r\n")),
	REFUSED(400, POST("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")),
	REFUSED(400, POST("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
	REFUSED(400, POST("Content-Length: 0\r\nTransfer-Encoding: gzip, chunked\r\n")),
	REFUSED(400, OLD("Transfer-Encoding: chunked\r\n")),
	REFUSED(400, OLD("Transfer-Encoding: gzip\r\n")),
	REFUSED(400, OLD("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n")),
	TAKEN(POST("Transfer_Encoding: x\r\nXTransfer-Encoding: y\r\nTransfer-Encodin: z\r\n")),

	/* Expect and Connection */
	TAKEN(POST("Expect: 100-continue\r\nContent-Length: 1\r\n")),
	TAKEN(POST("Expect: 100-Continue\r\n")),
	TAKEN(POST("Expect:\r\n")),
	REFUSED(417, POST("Expect: 100-continu\r\n")),
	REFUSED(417, POST("Expect: 100-continue, a\r\n")),
	REFUSED(417, POST("Expect: a=b;c\r\n")),
	TAKEN(OLD("Expect: a\r\n")),
	TAKEN(FIELDS("Connection: close, a , ,b\r\n")),
	TAKEN(FIELDS("Connection: (\r\n")),

	/* limits: a line of 160 bytes, a head of 640, 10 fields */
	TAKEN(LINE("GET /" X100 X10 X10 X10 X10 "xxxx HTTP/1.1")),
	REFUSED(414, LINE("GET /" X100 X10 X10 X10 X10 "xxxxx HTTP/1.1")),
	REFUSED(414, "GET /" X100 X100),
	REFUSED(414, X100 X100),
	MORE("GET /" X100 X10 X10 X10 X10 X10 "xxxx"),
	REFUSED(414, "GET /" X100 X10 X10 X10 X10 X10 "xxxxx"),
	TAKEN(FIELDS("1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n")),
	REFUSED(431, FIELDS("1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n10:\r\n")),
	TAKEN(FIELDS("A:" X100 X100 X100 X100 X100 X100 "xxxxxxxxx\r\n")),
	REFUSED(431, FIELDS("A:" X100 X100 X100 X100 X100 X100 X10 "\r\n")),
	REFUSED(431, "GET / HTTP/1.1\r\n" X100 X100 X100 X100 X100 X100 X100),
	REFUSED(400, "GET / HTTP/1.1\r\n" X100 X100 X100 X100 X100 X100 "\n"),
};

enum { HEADS = sizeof(heads) / sizeof(heads[0]) };

static int parse_at_wall(struct http_head *h, const struct wall *w, const char *bytes, size_t n)
{
	return http_parse_head(h, wall_put(w, bytes, n), n, &limits);
}

static void fail_vector(const char *how, const struct vector *v, size_t cut, int result)
{
	char text[1024];
	size_t n = 0;
	for (size_t i = 0; i < v->len && n < sizeof(text) - 5; i++) {
		unsigned char c = (unsigned char)v->bytes[i];
		n += (size_t)snprintf(text + n, sizeof(text) - n, c >= ' ' && c < 0x7f ? "%c" : "\\x%02x", c);
	}
	test_fail(__FILE__, __LINE__, "%s (at %zu): %d, not %d: %s", how, cut, result, v->want, text);
}

TEST(head_in_one_piece)
{
	struct wall w = wall_new();
	CHECK_GE(HEADS, 150);
	for (const struct vector *v = heads; v < heads + HEADS; v++) {
		struct http_head h = {0};
		int r = parse_at_wall(&h, &w, v->bytes, v->len);
		if (r != v->want)
			fail_vector("in one piece", v, v->len, r);
	}
}

/* What was found must not depend on the cut either. */
TEST(head_cut_at_every_byte)
{
	struct wall w = wall_new();
	for (const struct vector *v = heads; v < heads + HEADS; v++) {
		struct http_head whole = {0};
		parse_at_wall(&whole, &w, v->bytes, v->len);
		for (size_t cut = 0; cut <= v->len; cut++) {
			struct http_head h = {0};
			int r = parse_at_wall(&h, &w, v->bytes, cut);
			if (r == 0)
				r = parse_at_wall(&h, &w, v->bytes, v->len);
			if (r != v->want)
				fail_vector("in two pieces", v, cut, r);
			if (v->want >= 0)
				CHECK_MEM(&h, &whole, sizeof(h));
		}
	}
}

TEST(head_byte_by_byte)
{
	struct wall w = wall_new();
	for (const struct vector *v = heads; v < heads + HEADS; v++) {
		struct http_head h = {0};
		int r = 0;
		size_t n = 0;
		while (r == 0 && n < v->len)
			r = parse_at_wall(&h, &w, v->bytes, ++n);
		if (r != v->want)
			fail_vector("byte by byte", v, n, r);
	}
}

/* ---- what is found in a head --------------------------------------------------------------------------------------- */

struct facts {
	const char *bytes;
	enum http_method method;
	enum http_form form;
	int minor;
	const char *path, *query, *authority;
	long long length; /* -1: none */
	bool chunked, keep_alive, expects_continue;
};

static const struct facts facts[] = {
	{LINE("GET / HTTP/1.1"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("HEAD /a/b?c HTTP/1.2"), HTTP_HEAD, HTTP_ORIGIN, 1, "/a/b", "c", "a", -1, false, true, false},
	{"GET /x? HTTP/1.0\r\n\r\n", HTTP_GET, HTTP_ORIGIN, 0, "/x", "", "", -1, false, false, false},
	{"\r\nGET /x HTTP/1.0\r\nHost: b\r\n\r\n", HTTP_GET, HTTP_ORIGIN, 0, "/x", "", "b", -1, false, false, false},
	{LINE("GET http://b:80 HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "", "", "b:80", -1, false, true, false},
	{LINE("GET http://b?c? HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "", "c?", "b", -1, false, true, false},
	{LINE("GET https://b/c?d HTTP/1.1"), HTTP_GET, HTTP_ABSOLUTE, 1, "/c", "d", "b", -1, false, true, false},
	{LINE("CONNECT b:1 HTTP/1.1"), HTTP_CONNECT, HTTP_AUTHORITY, 1, "", "", "b:1", -1, false, true, false},
	{LINE("OPTIONS * HTTP/1.1"), HTTP_OPTIONS, HTTP_ASTERISK, 1, "", "", "a", -1, false, true, false},
	{LINE("PUT / HTTP/1.1"), HTTP_PUT, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("DELETE / HTTP/1.1"), HTTP_DELETE, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("TRACE / HTTP/1.1"), HTTP_TRACE, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("PATCH / HTTP/1.1"), HTTP_PATCH, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("get / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("GETX / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{LINE("GE / HTTP/1.1"), HTTP_OTHER, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
	{POST("Content-Length: 0\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 0, false, true, false},
	{POST("Content-Length: 99999999999\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 99999999999, false, true, false},
	{POST("Content-Length: 007\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", 7, false, true, false},
	{POST("Transfer-Encoding: Chunked\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", -1, true, true, false},
	{POST("Expect: 100-continue\r\n"), HTTP_POST, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, true},
	{OLD("Expect: 100-continue\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, false, false},
	{OLD("Connection: Keep-Alive\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, true, false},
	{OLD("Connection: keep-alive, close\r\n"), HTTP_POST, HTTP_ORIGIN, 0, "/", "", "", -1, false, false, false},
	{FIELDS("Connection: CLOSE\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: a,close\t,b\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: a\r\nConnection: close\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, false, false},
	{FIELDS("Connection: keep-alive, closed\r\n"), HTTP_GET, HTTP_ORIGIN, 1, "/", "", "a", -1, false, true, false},
};

static void check_span(const char *base, struct http_span s, const char *want)
{
	CHECK_EQ(s.len, strlen(want));
	CHECK_MEM(base + s.at, want, s.len);
}

TEST(head_facts)
{
	for (const struct facts *f = facts; f < facts + sizeof(facts) / sizeof(facts[0]); f++) {
		struct http_head h = {0};
		CHECK_EQ(http_parse_head(&h, f->bytes, strlen(f->bytes), &limits), strlen(f->bytes));
		CHECK_EQ(h.method, f->method);
		CHECK_EQ(h.form, f->form);
		CHECK_EQ(h.minor, f->minor);
		check_span(f->bytes, h.path, f->path);
		check_span(f->bytes, h.query, f->query);
		check_span(f->bytes, h.authority, f->authority);
		CHECK_EQ(h.has_length, f->length >= 0);
		CHECK_EQ(h.length, f->length >= 0 ? f->length : 0);
		CHECK_EQ(h.chunked, f->chunked);
		CHECK_EQ(h.keep_alive, f->keep_alive);
		CHECK_EQ(h.expects_continue, f->expects_continue);
	}
}

TEST(head_spans)
{
	static const char bytes[] = "FROB /a?b HTTP/1.1\r\nHost: h\r\nEmpty:\r\nTwo: x  y\t\r\ntwo: z\r\n\r\n";
	struct http_head h = {0};
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes) - 1, &limits), sizeof(bytes) - 1);
	check_span(bytes, h.name, "FROB");
	check_span(bytes, h.target, "/a?b");
	CHECK_EQ(h.count, 4);
	check_span(bytes, h.fields[1].name, "Empty");
	check_span(bytes, h.fields[1].value, "");
	check_span(bytes, h.fields[2].value, "x  y");
	CHECK_PTR(http_find(&h, bytes, "two"), &h.fields[2]);
	CHECK_PTR(http_find(&h, bytes, "tw"), NULL);
	CHECK(http_span_is(bytes, h.name, "frob"));
	CHECK(!http_span_is(bytes, h.name, "frobn"));
}

/* Every byte in every kind of place, against the grammars written out once more. */
struct place {
	const char *before, *behind;
	const char *also; /* taken besides letters and digits */
	bool controls;    /* whether it is a value: blank, tab and bytes above 127 too */
};

static const struct place places[] = {
	{"M", "E / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~", false},
	{"GET /a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
	{"GET /?a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=:@/?", false},
	{"GET http://a", "b HTTP/1.1\r\nHost: a\r\n\r\n", "-._~!$&'()*+,;=/?", false},
	{"GET / HTTP/1.1\r\nHost: a", "a\r\n\r\n", "-._~!$&'()*+,;=", false},
	{"GET / HTTP/1.1\r\nHost: a\r\nA", "b: c\r\n\r\n", "!#$%&'*+-.^_`|~:", false},
	{"GET / HTTP/1.1\r\nHost: a\r\nA: b", "c\r\n\r\n", " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
	{"GET / HTTP/1.1\r\nHost: a\r\nA: bbbbbbbbb", "cccccccc\r\n\r\n", " \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true},
};

static bool belongs(const struct place *p, int c)
{
	bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
	return alnum || (c > 0 && c < 128 && strchr(p->also, c) != NULL) || (p->controls && c >= 128);
}

TEST(every_byte_everywhere)
{
	struct wall w = wall_new();
	for (const struct place *p = places; p < places + sizeof(places) / sizeof(places[0]); p++)
		for (int c = 0; c < 256; c++) {
			char bytes[256];
			int n = snprintf(bytes, sizeof(bytes), "%s?%s", p->before, p->behind);
			bytes[strlen(p->before)] = (char)c;
			struct http_head h = {0};
			int r = parse_at_wall(&h, &w, bytes, (size_t)n), want = belongs(p, c) ? n : -400;
			if (r != want)
				test_fail(__FILE__, __LINE__, "byte %d behind \"%s\": %d, not %d", c, p->before, r, want);
		}
}

TEST(largest_head)
{
	static const struct http_limits wide = {HTTP_HEAD_MAX, HTTP_HEAD_MAX, HTTP_FIELDS_MAX};
	struct wall w = wall_new();
	static char bytes[HTTP_HEAD_MAX + 1];
	static const char line[] = "GET / HTTP/1.0\r\nA:", end[] = "\r\n\r\n";
	memset(bytes, 'x', sizeof(bytes));
	memcpy(bytes, line, sizeof(line) - 1);
	memcpy(bytes + HTTP_HEAD_MAX - (sizeof(end) - 1), end, sizeof(end) - 1);
	struct http_head h = {0};
	CHECK_EQ(http_parse_head(&h, wall_put(&w, bytes, HTTP_HEAD_MAX), HTTP_HEAD_MAX, &wide), HTTP_HEAD_MAX);
	memset(bytes + sizeof(line) - 1, 'x', sizeof(bytes) - sizeof(line));
	memset(&h, 0, sizeof(h));
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes), &wide), -431);
	memset(bytes, 'x', sizeof(bytes));
	memset(&h, 0, sizeof(h));
	CHECK_EQ(http_parse_head(&h, bytes, sizeof(bytes), &wide), -414);
}

/* ---- chunked bodies ------------------------------------------------------------------------------------------------ */

struct body {
	int want; /* the bytes of the whole body, 0 not ended, or refused */
	size_t len;
	const char *bytes, *decoded;
};

#define WHOLE(bytes, decoded) { sizeof(bytes) - 1, sizeof(bytes) - 1, bytes, decoded }
#define WHOLE_BEFORE(bytes, rest, decoded) { sizeof(bytes) - 1, sizeof(bytes rest) - 1, bytes rest, decoded }
#define OPEN(bytes, decoded) { 0, sizeof(bytes) - 1, bytes, decoded }
#define BROKEN(status, bytes, decoded) { -(status), sizeof(bytes) - 1, bytes, decoded }

enum { EXTRA_LIMIT = 64 };

static const struct body bodies[] = {
	WHOLE("0\r\n\r\n", ""),
	WHOLE("5\r\nhello\r\n0\r\n\r\n", "hello"),
	WHOLE("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", "abcdef"),
	WHOLE("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij"),
	WHOLE("0000000000000005\r\nhello\r\n000\r\n\r\n", "hello"),
	WHOLE("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
	WHOLE_BEFORE("0\r\n\r\n", "GET / HTTP/1.1\r\n", ""),
	WHOLE_BEFORE("1\r\na\r\n0\r\n\r\n", "\r\n", "a"),
	WHOLE("5;a\r\nhello\r\n0;b\r\n\r\n", "hello"),
	WHOLE("5;a=b;c=\"d\";e\r\nhello\r\n0\r\n\r\n", "hello"),
	WHOLE("5 ; a = b ; c = \"d e\" ; f\r\nhello\r\n0\r\n\r\n", "hello"),
	WHOLE("5\t;\ta\r\nhello\r\n0\r\n\r\n", "hello"),
	WHOLE("5;a=\"\\\"\\\\\\a;=:\xff\"\r\nhello\r\n0\r\n\r\n", "hello"),
	WHOLE("0\r\nA: b\r\n\r\n", ""),
	WHOLE("0\r\nA:\r\nB: \t\xff\"(;=\\)\r\n\r\n", ""),
	WHOLE("0\r\nContent-Length: 5\r\nHost: x\r\n\r\n", ""),
	OPEN("", ""),
	OPEN("5", ""),
	OPEN("5\r", ""),
	OPEN("5\r\n", ""),
	OPEN("5\r\nhel", "hel"),
	OPEN("5\r\nhello", "hello"),
	OPEN("5\r\nhello\r", "hello"),
	OPEN("5\r\nhello\r\n", "hello"),
	OPEN("5\r\nhello\r\n0\r\n", "hello"),
	OPEN("0\r\n\r", ""),
	OPEN("0\r\nA: b\r\n", ""),
	OPEN("7fffffffffffffff\r\nab", "ab"),
	BROKEN(413, "8000000000000000\r\n", ""),
	BROKEN(413, "ffffffffffffffff\r\n", ""),
	BROKEN(400, "00000000000000005\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "\r\n", ""),
	BROKEN(400, "\r\n0\r\n\r\n", ""),
	BROKEN(400, ";a\r\n\r\n", ""),
	BROKEN(400, " 5\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5 \r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5\t\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "+5\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "-5\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "0x5\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5h\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5_0\r\n", ""),
	BROKEN(400, "g\r\n", ""),
	BROKEN(400, "5,5\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5\rhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5\r\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5\r\nhello0\r\n\r\n", "hello"),
	BROKEN(400, "5\r\nhello\n0\r\n\r\n", "hello"),
	BROKEN(400, "5\r\nhello\r0\r\n\r\n", "hello"),
	BROKEN(400, "5\r\nhello!\r\n0\r\n\r\n", "hello"),
	BROKEN(400, "5\r\nhell\r\n0\r\n\r\n", "hell\r"),
	BROKEN(400, "5\r\nhello\r\n\r\n", "hello"),
	BROKEN(400, "5\r\nhello\r\n 0\r\n\r\n", "hello"),
	BROKEN(400, "0\r\n\n", ""),
	BROKEN(400, "0\n\r\n", ""),
	BROKEN(400, "0\r\n\r\r\n", ""),
	BROKEN(400, "0\r\n\rX", ""),
	BROKEN(400, "5;\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;;a\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;=a\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a b\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a \r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=b \r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=b\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a\rb\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\"b\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\"b\n\"\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\"b\\\r\n\"\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;a\0\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "5;\xc3\xa4\r\nhello\r\n0\r\n\r\n", ""),
	BROKEN(400, "0\r\n A: b\r\n\r\n", ""),
	BROKEN(400, "0\r\nA : b\r\n\r\n", ""),
	BROKEN(400, "0\r\nA\r\n\r\n", ""),
	BROKEN(400, "0\r\n: b\r\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\r\n c\r\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\x01\r\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\rB: c\r\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\r c\r\n\r\n", ""),
	BROKEN(400, "0\r\nA: b\x7f\r\n\r\n", ""),

	/* 64 bytes of extensions and trailers */
	WHOLE("1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nb\r\n0\r\n\r\n", "ab"),
	BROKEN(400, "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nb\r\n0\r\n\r\n", "a"),
	WHOLE("0\r\nA:" X10 X10 X10 X10 X10 X10 "xx\r\n\r\n", ""),
	BROKEN(431, "0\r\nA:" X10 X10 X10 X10 X10 X10 "xxx\r\n\r\n", ""),
	BROKEN(431, "0\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:" X10 X10 X10 X10 X10 "x\r\n\r\n", ""),
};

enum { BODIES = sizeof(bodies) / sizeof(bodies[0]) };

struct decoder {
	struct http_chunks chunks;
	char out[128];
	size_t n;
	int taken; /* in all, or refused */
};

/* Passes n bytes on; false once the end was reached or something was refused. */
static bool decode(struct decoder *d, const struct wall *w, const char *bytes, size_t n)
{
	const char *p = wall_put(w, bytes, n), *end = p + n;
	while (p < end && !d->chunks.done) {
		const char *data;
		size_t count;
		int r = http_parse_chunks(&d->chunks, p, (size_t)(end - p), &data, &count);
		if (r < 0) {
			d->taken = r;
			return false;
		}
		CHECK(r > 0);
		CHECK(count == 0 || (data >= p && data + count <= end));
		CHECK_LE(d->n + count, sizeof(d->out));
		memcpy(d->out + d->n, data, count);
		d->n += count;
		d->taken += r;
		p += r;
	}
	return !d->chunks.done;
}

static void check_body(const struct decoder *d, const struct body *b, size_t cut)
{
	int r = d->taken < 0 || d->chunks.done ? d->taken : 0;
	if (r != b->want)
		test_fail(__FILE__, __LINE__, "cut at %zu: %d, not %d: %s", cut, r, b->want, b->bytes);
	CHECK_EQ(d->n, strlen(b->decoded));
	CHECK_MEM(d->out, b->decoded, d->n);
}

TEST(chunks_cut_at_every_byte)
{
	struct wall w = wall_new();
	for (const struct body *b = bodies; b < bodies + BODIES; b++)
		for (size_t cut = 0; cut <= b->len; cut++) {
			struct decoder d = {.chunks.limit = EXTRA_LIMIT};
			if (decode(&d, &w, b->bytes, cut))
				decode(&d, &w, b->bytes + cut, b->len - cut);
			check_body(&d, b, cut);
		}
}

TEST(chunks_byte_by_byte)
{
	struct wall w = wall_new();
	for (const struct body *b = bodies; b < bodies + BODIES; b++) {
		struct decoder d = {.chunks.limit = EXTRA_LIMIT};
		for (size_t i = 0; i < b->len && decode(&d, &w, b->bytes + i, 1); i++)
			;
		check_body(&d, b, 1);
	}
}

TEST(chunks_take_nothing_behind_the_end)
{
	struct http_chunks c = {.limit = EXTRA_LIMIT};
	const char *data;
	size_t n;
	CHECK_EQ(http_parse_chunks(&c, "0\r\n\r\nX", 6, &data, &n), 5);
	CHECK(c.done);
	CHECK_EQ(http_parse_chunks(&c, "X", 1, &data, &n), 0);
	CHECK_EQ(n, 0);
	struct http_chunks empty = {.limit = EXTRA_LIMIT};
	CHECK_EQ(http_parse_chunks(&empty, "", 0, &data, &n), 0);
	CHECK(!empty.done);
}
