/* What llhttp makes of a request; a file of its own because both parsers have an HTTP_GET. */
#include <string.h>

#include <llhttp.h>

#include "http_llhttp.h"

static int on_headers_complete(llhttp_t *parser)
{
	struct verdict *v = parser->data;
	v->head = true;
	v->chunked = (parser->flags & F_CHUNKED) != 0;
	v->has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
	v->length = parser->content_length;
	return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
	struct verdict *v = parser->data;
	(void)at;
	v->body += n;
	return 0;
}

static int on_message_complete(llhttp_t *parser)
{
	struct verdict *v = parser->data;
	v->message = true;
	return HPE_PAUSED;
}

struct verdict llhttp_judge(const char *bytes, size_t n)
{
	struct verdict v = {0};
	llhttp_settings_t settings;
	llhttp_t parser;
	llhttp_settings_init(&settings);
	settings.on_headers_complete = on_headers_complete;
	settings.on_body = on_body;
	settings.on_message_complete = on_message_complete;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	parser.data = &v;
	llhttp_errno_t error = llhttp_execute(&parser, bytes, n);
	v.reason = error == HPE_OK ? "more" : error == HPE_PAUSED ? "end" : llhttp_get_error_reason(&parser);
	if (v.message && llhttp_get_error_pos(&parser) != NULL)
		v.taken = (size_t)(llhttp_get_error_pos(&parser) - bytes);
	return v;
}
