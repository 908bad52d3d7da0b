#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"

/* What an option's value is, and so what its field is: const char *, struct http_listens, int64_t, int64_t of nanoseconds. */
enum kind { TEXT, TEXTS, COUNT, SECONDS };

struct option {
	const char *name, *value; /* how the help calls the value */
	enum kind kind;
	void *field;
	double least, most;
	const char *help;
};

static struct http_config config = {
	.listens = { 0, { "127.0.0.1:8080" } },
	.max_conns = 100000,
	.max_body = 16 << 20,
	.max_gather = 128,
	.header_ns = WEFT_SEC(10),
	.body_ns = WEFT_SEC(30),
	.idle_ns = WEFT_SEC(60),
	.write_ns = WEFT_SEC(30),
	.min_rate = 500,
	.linger_ns = WEFT_SEC(2),
	.drain_ns = WEFT_SEC(10),
	.proxy_connect_ns = WEFT_SEC(5),
	.proxy_ns = WEFT_SEC(60),
	.proxy_idle = 64,
	.proxy_idle_ns = WEFT_SEC(30),
};

static int64_t max_line = 8192, max_head = 16384, max_fields = HTTP_FIELDS_MAX;

static const struct option options[] = {
	{ "listen", "ADDR", TEXTS, &config.listens, 0, 0, "host:port, [::1]:port, :port or unix:/path; may be repeated" },
	{ "tls", "ADDR", TEXTS, &config.tls_listens, 0, 0, "the same with TLS; needs --cert and --key" },
	{ "cert", "FILE", TEXT, &config.certificate, 0, 0, "PEM, the server's certificate first, then those it rests on" },
	{ "key", "FILE", TEXT, &config.key, 0, 0, "PEM" },
	{ "root", "DIR", TEXT, &config.root, 0, 0, "serve the files below this directory" },
	{ "log", "FILE", TEXT, &config.log, 0, 0, "append a line for each response; - for standard output" },
	{ "procs", "N", COUNT, &config.procs, 0, 256, "processes that serve; one that dies is replaced" },
	{ "max-conns", "N", COUNT, &config.max_conns, 1, 1e7, "connections at once; one more is told 503" },
	{ "max-line", "BYTES", COUNT, &max_line, 64, HTTP_HEAD_MAX, "request line, else 414" },
	{ "max-head", "BYTES", COUNT, &max_head, 64, HTTP_HEAD_MAX, "request line and header fields, else 431" },
	{ "max-fields", "N", COUNT, &max_fields, 1, HTTP_FIELDS_MAX, "header fields, else 431" },
	{ "max-body", "BYTES", COUNT, &config.max_body, 0, 1e15, "request body, else 413" },
	{ "max-pipeline", "N", COUNT, &config.max_gather, 1, 1e6, "responses to pipelined requests that leave together" },
	{ "header-timeout", "S", SECONDS, &config.header_ns, 0.01, 1e6, "for a request head, from its first byte, else 408" },
	{ "body-timeout", "S", SECONDS, &config.body_ns, 0.01, 1e6, "for a request body, or S times --min-rate of it, else 408" },
	{ "idle-timeout", "S", SECONDS, &config.idle_ns, 0.01, 1e6, "between requests" },
	{ "write-timeout", "S", SECONDS, &config.write_ns, 0.01, 1e6, "for what is sent, or S times --min-rate of it" },
	{ "min-rate", "BYTES", COUNT, &config.min_rate, 0, 1e9, "per second, over one of these two; 0: a byte will do" },
	{ "linger", "S", SECONDS, &config.linger_ns, 0.01, 1e6, "for the client to read the last response" },
	{ "drain", "S", SECONDS, &config.drain_ns, 0, 1e6, "after SIGTERM or SIGINT, for requests in progress" },
	{ "proxy", "RULE", TEXTS, &config.proxies, 0, 0, "/prefix=http://host:port[,...]: paths below it go there, in turn" },
	{ "proxy-connect", "S", SECONDS, &config.proxy_connect_ns, 0.01, 1e6, "to connect to one of those, else 504" },
	{ "proxy-timeout", "S", SECONDS, &config.proxy_ns, 0.01, 1e6, "without a byte from one of those, else 504" },
	{ "proxy-idle", "N", COUNT, &config.proxy_idle, 0, 1e6, "connections kept to each of those" },
	{ "proxy-idle-timeout", "S", SECONDS, &config.proxy_idle_ns, 0.01, 1e6, "until one of them is closed" },
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

_Noreturn static void give_up(const char *name, const char *problem)
{
	fprintf(stderr, "http: %s%s: %s (try --help)\n", strncmp(name, "--", 2) == 0 ? "" : "--", name, problem);
	exit(2);
}

static void print_default(const struct option *o)
{
	if (o->field == &config.listens)
		printf(" (%s)\n", config.listens.addr[0]);
	else if (o->kind == COUNT)
		printf(" (%lld)\n", *(long long *)o->field);
	else if (o->kind == SECONDS)
		printf(" (%g)\n", (double)*(int64_t *)o->field * 1e-9);
	else
		printf("\n");
}

_Noreturn static void help(void)
{
	printf("usage: http [--option value]...\n\n"
		"An HTTP/1.1 server. Without --root it answers at /. Always there: /metrics,\n"
		"POST /echo, GET /bytes/N, /sleep/MS, /spin/US.\n"
		"SIGTERM and SIGINT end it when requests in progress are answered; a second one ends it at once.\n"
		"SIGHUP starts this program again, which takes the listeners over; then this process ends likewise.\n"
		"With --procs the processes are replaced like that, one after the other.\n\n");
	for (const struct option *o = options; o < options + OPTIONS; o++) {
		int width = printf("  --%s %s", o->name, o->value);
		printf("%*s%s", 27 - width, "", o->help);
		print_default(o);
	}
	exit(0);
}

static double parse_number(const struct option *o, const char *value)
{
	char *end, problem[128];
	double number = strtod(value, &end);
	bool is_plain = *value != '\0' && *end == '\0' && strspn(value, "0123456789.") == strlen(value);
	bool is_whole = o->kind != COUNT || strchr(value, '.') == NULL;
	if (!is_plain || !is_whole || !(number >= o->least && number <= o->most)) {
		snprintf(problem, sizeof(problem), "%.40s is not a %snumber from %.10g to %.10g", *value ? value : "nothing",
			o->kind == COUNT ? "whole " : "", o->least, o->most);
		give_up(o->name, problem);
	}
	return number;
}

static void set(const struct option *o, const char *value)
{
	struct http_listens *listens = o->field;
	switch (o->kind) {
	case TEXT:
		*(const char **)o->field = value;
		return;
	case TEXTS:
		if (listens->count == HTTP_LISTENS_MAX)
			give_up(o->name, "too many");
		listens->addr[listens->count++] = value;
		return;
	case COUNT:
		*(int64_t *)o->field = (int64_t)parse_number(o, value);
		return;
	default:
		*(int64_t *)o->field = (int64_t)(parse_number(o, value) * 1e9);
	}
}

static const struct option *find(const char *name, size_t n)
{
	for (const struct option *o = options; o < options + OPTIONS; o++)
		if (strncmp(o->name, name, n) == 0 && o->name[n] == '\0')
			return o;
	return NULL;
}

const struct http_config *http_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			help();
		const char *name = argv[i] + 2, *equals = strchr(argv[i], '=');
		const struct option *o = NULL;
		if (strncmp(argv[i], "--", 2) == 0)
			o = find(name, equals != NULL ? (size_t)(equals - name) : strlen(name));
		if (o == NULL)
			give_up(argv[i], "no such option");
		if (equals == NULL && i + 1 == argc)
			give_up(argv[i], "the value is missing");
		set(o, equals != NULL ? equals + 1 : argv[++i]);
	}
	if (max_line > max_head)
		give_up("max-line", "more than --max-head");
	config.limits = (struct http_limits){ (uint16_t)max_line, (uint16_t)max_head, (uint16_t)max_fields };
	if (config.tls_listens.count > 0 && (config.certificate == NULL || config.key == NULL))
		give_up("tls", "--cert and --key are missing");
	if (config.listens.count + config.tls_listens.count > HTTP_LISTENS_MAX)
		give_up("listen", "too many");
	if (config.listens.count + config.tls_listens.count == 0)
		config.listens.count = 1;
	return &config;
}
