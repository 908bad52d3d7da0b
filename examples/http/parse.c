#include "parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "chars.h"
#include "scan.h"

const uint8_t http_class_of[256] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x02, 0x1f, 0x06, 0x07, 0x1f, 0x07, 0x1f, 0x1f, 0x1e, 0x1e, 0x1f, 0x1f, 0x1e, 0x1f, 0x1f, 0x0e,
	0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x0e, 0x1e, 0x06, 0x1e, 0x06, 0x06,
	0x0e, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f,
	0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x06, 0x06, 0x06, 0x07, 0x1f,
	0x07, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f,
	0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x1f, 0x06, 0x07, 0x06, 0x1f, 0x00,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
	0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02, 0x02,
};

/* Like http_skip, percent-encoded bytes being of the class too. */
static const char *skip_encoded(const char *p, const char *end, unsigned class)
{
	for (;;) {
		p = http_skip(p, end, class);
		if (end - p < 3 || p[0] != '%' || !http_is(p[1], HTTP_HEX) || !http_is(p[2], HTTP_HEX))
			return p;
		p += 3;
	}
}

static inline bool same(const char *p, size_t n, const char *lower)
{
	for (size_t i = 0; i < n; i++) {
		char c = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + ('a' - 'A')) : p[i];
		if (c != lower[i])
			return false;
	}
	return lower[n] == '\0';
}

/* Cuts the blanks off both ends of [*p, *end). */
static void trim(const char **p, const char **end)
{
	while (*p < *end && http_is_blank(**p))
		++*p;
	while (*p < *end && http_is_blank((*end)[-1]))
		--*end;
}

/* Splits a list at its commas: the next element, without blanks around it and maybe empty, is [*p, *end). *rest is where to go on,
 * NULL behind the last one. */
static bool next_element(const char **rest, const char *last, const char **p, const char **end)
{
	if (*rest == NULL)
		return false;
	*p = *rest;
	const char *comma = memchr(*p, ',', (size_t)(last - *p));
	*end = comma ? comma : last;
	*rest = comma ? comma + 1 : NULL;
	trim(p, end);
	return true;
}

static struct http_span span(const char *base, const char *p, const char *end)
{
	return (struct http_span){ (uint16_t)(p - base), (uint16_t)(end - p) };
}

bool http_span_is(const char *base, struct http_span s, const char *text)
{
	return same(base + s.at, s.len, text);
}

const struct http_field *http_find(const struct http_head *h, const char *base, const char *name)
{
	for (unsigned i = 0; i < h->count; i++)
		if (http_span_is(base, h->fields[i].name, name))
			return &h->fields[i];
	return NULL;
}

/* ---- the request line ---------------------------------------------------------------------------------------------- */

static enum http_method method_of(const char *p, size_t n)
{
#define IS(name) (n == sizeof(name) - 1 && memcmp(p, name, sizeof(name) - 1) == 0)
	return IS("GET") ? HTTP_GET : IS("HEAD") ? HTTP_HEAD : IS("POST") ? HTTP_POST : IS("PUT") ? HTTP_PUT :
	       IS("DELETE") ? HTTP_DELETE : IS("CONNECT") ? HTTP_CONNECT : IS("OPTIONS") ? HTTP_OPTIONS :
	       IS("TRACE") ? HTTP_TRACE : IS("PATCH") ? HTTP_PATCH : HTTP_OTHER;
#undef IS
}

/* Behind "[address]" at p; NULL if it is none. */
static const char *skip_literal(const char *p, const char *end)
{
	const char *close = memchr(p, ']', (size_t)(end - p));
	if (close == NULL)
		return NULL;
	p++;
	if (*p == 'v' || *p == 'V') {
		const char *dot = http_skip(p + 1, close, HTTP_HEX);
		if (dot == p + 1 || *dot != '.')
			return NULL;
		const char *rest = dot + 1;
		while (rest < close && (http_is(*rest, HTTP_HOST) || *rest == ':'))
			rest++;
		return rest == close && rest > dot + 1 ? close + 1 : NULL;
	}
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	size_t n = (size_t)(close - p);
	if (n >= sizeof(text) || memchr(p, '\0', n) != NULL)
		return NULL;
	memcpy(text, p, n);
	text[n] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1 ? close + 1 : NULL;
}

/* Whether [p, end) is a host that is not empty, and maybe a port. */
static bool is_authority(const char *p, const char *end, bool needs_port)
{
	if (p == end)
		return false;
	const char *colon = *p == '[' ? skip_literal(p, end) : skip_encoded(p, end, HTTP_HOST);
	if (colon == NULL || colon == p)
		return false;
	if (colon == end)
		return !needs_port;
	unsigned port = 0;
	for (p = colon + 1; p < end && http_is_digit(*p) && port <= UINT16_MAX; p++)
		port = port * 10 + (unsigned)(*p - '0');
	return *colon == ':' && p == end && port <= UINT16_MAX && !(needs_port && p == colon + 1);
}

static bool take_path(struct http_head *h, const char *base, const char *p, const char *end)
{
	const char *mark = skip_encoded(p, end, HTTP_PATH);
	h->path = span(base, p, mark);
	if (mark == end)
		return true;
	const char *q = mark + 1;
	for (p = q; (p = skip_encoded(p, end, HTTP_PATH)) < end && *p == '?'; p++)
		;
	h->query = span(base, q, p);
	return *mark == '?' && p == end;
}

static bool take_absolute(struct http_head *h, const char *base, const char *p, const char *end)
{
	const char *colon = memchr(p, ':', (size_t)(end - p));
	if (colon == NULL || end - colon < 3 || colon[1] != '/' || colon[2] != '/')
		return false;
	if (!same(p, (size_t)(colon - p), "http") && !same(p, (size_t)(colon - p), "https"))
		return false;
	const char *host = colon + 3, *slash = host;
	while (slash < end && *slash != '/' && *slash != '?')
		slash++;
	h->authority = span(base, host, slash);
	return is_authority(host, slash, false) && take_path(h, base, slash, end);
}

static bool take_target(struct http_head *h, const char *base)
{
	const char *p = base + h->target.at, *end = p + h->target.len;
	if (h->method == HTTP_CONNECT) {
		h->form = HTTP_AUTHORITY;
		h->authority = h->target;
		return is_authority(p, end, true);
	}
	if (*p == '/') {
		h->form = HTTP_ORIGIN;
		return take_path(h, base, p, end);
	}
	if (*p == '*') {
		h->form = HTTP_ASTERISK;
		return h->method == HTTP_OPTIONS && h->target.len == 1;
	}
	h->form = HTTP_ABSOLUTE;
	return take_absolute(h, base, p, end);
}

static int take_number_of_version(struct http_head *h, const char *p, const char *end)
{
	if (end - p != 8 || memcmp(p, "HTTP/", 5) != 0 || !http_is_digit(p[5]) || p[6] != '.' || !http_is_digit(p[7]))
		return -400;
	if (p[5] != '1')
		return -505;
	h->minor = p[7] != '0';
	return 0;
}

/* The end of the request line, its version being [p, end). */
static int take_version(struct http_head *h, const char *base, const char *p, const char *end)
{
	int refused = take_number_of_version(h, p, end);
	return refused != 0 ? refused : take_target(h, base) ? 0 : -400;
}

static int take_status(struct http_head *h, const char *p, const char *end)
{
	if (end - p != 3 || *p < '1' || *p > '5' || !http_is_digit(p[1]) || !http_is_digit(p[2]))
		return -400;
	h->status = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
	return 0;
}

/* ---- fields -------------------------------------------------------------------------------------------------------- */

static int take_host(struct http_head *h, const char *base, const char *p, const char *end)
{
	if (h->status != 0)
		return 0;
	if (h->has_host || !is_authority(p, end, false))
		return -400;
	h->has_host = true;
	if (h->authority.len == 0)
		h->authority = span(base, p, end);
	return 0;
}

static int take_length(struct http_head *h, const char *p, const char *end)
{
	if (h->has_length || p == end)
		return -400;
	h->has_length = true;
	for (; p < end; p++) {
		if (!http_is_digit(*p))
			return -400;
		if (h->length > INT64_MAX / 10 - 1)
			return -413;
		h->length = h->length * 10 + (uint64_t)(*p - '0');
	}
	return 0;
}

/* Only a list of bare names is taken; "chunked" comes once, and last. What else it may hold is not known here: 501 at the end. */
static int take_encoding(struct http_head *h, const char *rest, const char *last)
{
	const char *p, *end;
	h->has_encoding = true;
	while (next_element(&rest, last, &p, &end)) {
		if (p == end || http_skip(p, end, HTTP_TOKEN) != end || h->chunked)
			return -400;
		if (same(p, (size_t)(end - p), "chunked"))
			h->chunked = true;
		else
			h->strange_encoding = true;
	}
	return 0;
}

static int take_connection(struct http_head *h, const char *rest, const char *last)
{
	const char *p, *end;
	while (next_element(&rest, last, &p, &end)) {
		h->says_close |= same(p, (size_t)(end - p), "close");
		h->says_keep |= same(p, (size_t)(end - p), "keep-alive");
	}
	return 0;
}

static int take_expect(struct http_head *h, const char *rest, const char *last)
{
	const char *p, *end;
	while (next_element(&rest, last, &p, &end)) {
		bool is_continue = same(p, (size_t)(end - p), "100-continue");
		h->expects_continue |= is_continue;
		h->expects_other |= p < end && !is_continue;
	}
	return 0;
}

/* A field whose value, blanks and all, is [p, end). Its name is waiting in its slot. */
static int take_field(struct http_head *h, const char *base, const char *p, const char *end)
{
	struct http_field *field = &h->fields[h->count++];
	const char *name = base + field->name.at;
	size_t n = field->name.len;
	trim(&p, &end);
	field->value = span(base, p, end);
	switch (n) {
	case sizeof("host") - 1:
		return same(name, n, "host") ? take_host(h, base, p, end) : 0;
	case sizeof("expect") - 1:
		return same(name, n, "expect") ? take_expect(h, p, end) : 0;
	case sizeof("connection") - 1:
		return same(name, n, "connection") ? take_connection(h, p, end) : 0;
	case sizeof("content-length") - 1:
		return same(name, n, "content-length") ? take_length(h, p, end) : 0;
	case sizeof("transfer-encoding") - 1:
		return same(name, n, "transfer-encoding") ? take_encoding(h, p, end) : 0;
	default:
		return 0;
	}
}

/* What only the whole head shows. */
static int check_head(struct http_head *h)
{
	h->keep_alive = !h->says_close && (h->minor > 0 || h->says_keep);
	if (h->minor > 0 && h->status == 0 && !h->has_host)
		return -400;
	if (h->has_encoding && (h->minor == 0 || h->has_length || !h->chunked))
		return -400;
	if (h->strange_encoding)
		return -501;
	if (h->expects_other && h->minor > 0 && h->status == 0)
		return -417;
	h->expects_continue &= h->minor > 0;
	return 0;
}

/* ---- the head ------------------------------------------------------------------------------------------------------ */

/* A head is a sequence of runs of one class of characters, each ended by a byte of another class which decides what comes next. A
 * state is named for the run that is being read; those with no class wait for the line feed behind a carriage return. */
enum { METHOD, BLANK_END, TARGET, VERSION, STATUS_VERSION, STATUS, REASON, LINE_END, NAME, VALUE, VALUE_END, HEAD_END, COMPLETE };

static inline const char *skip_run(unsigned state, const char *p, const char *end)
{
	switch (state) {
	case METHOD:
	case NAME:
		return http_skip(p, end, HTTP_TOKEN);
	case TARGET:
	case VERSION:
	case STATUS_VERSION:
	case STATUS:
		return http_skip_long(p, end, HTTP_VISIBLE);
	case REASON:
	case VALUE:
		return http_skip_long(p, end, HTTP_TEXT);
	default:
		return p;
	}
}

/* The run [mark, p) of a state is over. The next state, or refused: a negative number. Of the first line, and behind it. */
static inline int end_line_run(struct http_head *h, unsigned state, const char *base, const char *mark, const char *p)
{
	int refused;
	switch (state) {
	case METHOD:
		if (*p == '\r' && p == base) /* one empty line may precede a request */
			return BLANK_END;
		h->name = span(base, mark, p);
		h->method = method_of(mark, h->name.len);
		return *p == ' ' && p > mark ? TARGET : -400;
	case TARGET:
		h->target = span(base, mark, p);
		return *p == ' ' && p > mark ? VERSION : -400;
	case VERSION:
		refused = *p == '\r' ? take_version(h, base, mark, p) : -400;
		return refused != 0 ? refused : LINE_END;
	case STATUS_VERSION:
		refused = *p == ' ' ? take_number_of_version(h, mark, p) : -400;
		return refused != 0 ? refused : STATUS;
	case STATUS:
		refused = *p == ' ' || *p == '\r' ? take_status(h, mark, p) : -400;
		return refused != 0 ? refused : *p == ' ' ? REASON : LINE_END;
	case REASON:
		h->reason = span(base, mark, p);
		return *p == '\r' ? LINE_END : -400;
	default: /* BLANK_END, LINE_END */
		return *p != '\n' ? -400 : state == BLANK_END ? METHOD : NAME;
	}
}

static inline int end_field_run(struct http_head *h, unsigned state, const char *base, const char *mark, const char *p,
				const struct http_limits *limits)
{
	int refused;
	switch (state) {
	case NAME:
		if (*p == '\r' && p == mark)
			return HEAD_END;
		if (*p != ':' || p == mark)
			return -400;
		if (h->count >= limits->fields || h->count >= HTTP_FIELDS_MAX)
			return -431;
		h->fields[h->count].name = span(base, mark, p);
		return VALUE;
	case VALUE:
		refused = *p == '\r' ? take_field(h, base, mark, p) : -400;
		return refused != 0 ? refused : VALUE_END;
	case VALUE_END:
		return *p == '\n' ? NAME : -400;
	default: /* HEAD_END */
		refused = *p == '\n' ? check_head(h) : -400;
		return refused != 0 ? refused : COMPLETE;
	}
}

static const char *bound(const char *buf, size_t len, size_t limit) { return buf + (len < limit ? len : limit); }

/* Goes on up to end, or until a state behind last: the state that it comes to, or refused. */
static inline int parse_runs(struct http_head *h, int last, const char *buf, const char *end, const struct http_limits *limits)
{
	const char *p = buf + h->at, *mark = buf + h->mark;
	int state = h->state, next = state;
	while (state <= last && (p = skip_run((unsigned)state, p, end)) != end) {
		next = last == LINE_END ? end_line_run(h, (unsigned)state, buf, mark, p) :
					  end_field_run(h, (unsigned)state, buf, mark, p, limits);
		if (next < 0)
			break;
		state = next;
		mark = ++p;
	}
	h->state = (uint8_t)state;
	h->at = (uint16_t)(p - buf);
	h->mark = (uint16_t)(mark - buf);
	return next;
}

int http_parse_head(struct http_head *h, const char *buf, size_t len, const struct http_limits *limits)
{
	int state;
	if (h->state <= LINE_END) {
		state = parse_runs(h, LINE_END, buf, bound(buf, len, limits->line), limits);
		if (state <= LINE_END)
			return state < 0 ? state : len < limits->line ? 0 : -414;
	}
	state = parse_runs(h, HEAD_END, buf, bound(buf, len, limits->head), limits);
	if (state <= HEAD_END)
		return state < 0 ? state : len < limits->head ? 0 : -431;
	return h->at;
}

int http_parse_response(struct http_head *h, const char *buf, size_t len, const struct http_limits *limits)
{
	if (h->state == METHOD)
		h->state = STATUS_VERSION;
	return http_parse_head(h, buf, len, limits);
}
