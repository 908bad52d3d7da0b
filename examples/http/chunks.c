#include "chars.h"
#include "parse.h"

/* A state is named for what was read last. START is the state before the first byte; no move leads back to it, so that 0 in the
 * table below says that there is no such move. */
enum {
	START, SIZE, /* the first digit is still to come, or some have */
	GAP, SEMICOLON, EXT_NAME, NAME_GAP, EQUALS, WORD, QUOTED, ESCAPE, UNQUOTED,
	SIZE_CR, DATA, DATA_GONE, DATA_CR,
	LINE, TRAILER_NAME, TRAILER_VALUE, TRAILER_CR, LAST_CR, FINISHED,
	STATES
};

enum { BLANK, SEMI, EQUAL, QUOTE, BACKSLASH, COLON, CR, LF, WORDLY, OTHER, CONTROL, KINDS };

static const uint8_t moves[STATES][KINDS] = {
	[SIZE] = { [BLANK] = GAP, [SEMI] = SEMICOLON, [CR] = SIZE_CR },
	[GAP] = { [BLANK] = GAP, [SEMI] = SEMICOLON },
	[SEMICOLON] = { [BLANK] = SEMICOLON, [WORDLY] = EXT_NAME },
	[EXT_NAME] = { [BLANK] = NAME_GAP, [SEMI] = SEMICOLON, [EQUAL] = EQUALS, [CR] = SIZE_CR, [WORDLY] = EXT_NAME },
	[NAME_GAP] = { [BLANK] = NAME_GAP, [SEMI] = SEMICOLON, [EQUAL] = EQUALS },
	[EQUALS] = { [BLANK] = EQUALS, [QUOTE] = QUOTED, [WORDLY] = WORD },
	[WORD] = { [BLANK] = GAP, [SEMI] = SEMICOLON, [CR] = SIZE_CR, [WORDLY] = WORD },
	[QUOTED] = { [BLANK] = QUOTED, [SEMI] = QUOTED, [EQUAL] = QUOTED, [QUOTE] = UNQUOTED, [BACKSLASH] = ESCAPE,
		[COLON] = QUOTED, [WORDLY] = QUOTED, [OTHER] = QUOTED },
	[ESCAPE] = { [BLANK] = QUOTED, [SEMI] = QUOTED, [EQUAL] = QUOTED, [QUOTE] = QUOTED, [BACKSLASH] = QUOTED,
		[COLON] = QUOTED, [WORDLY] = QUOTED, [OTHER] = QUOTED },
	[UNQUOTED] = { [BLANK] = GAP, [SEMI] = SEMICOLON, [CR] = SIZE_CR },
	[SIZE_CR] = { [LF] = DATA },
	[DATA_GONE] = { [CR] = DATA_CR },
	[DATA_CR] = { [LF] = SIZE },
	[LINE] = { [CR] = LAST_CR, [WORDLY] = TRAILER_NAME },
	[TRAILER_NAME] = { [COLON] = TRAILER_VALUE, [WORDLY] = TRAILER_NAME },
	[TRAILER_VALUE] = { [BLANK] = TRAILER_VALUE, [SEMI] = TRAILER_VALUE, [EQUAL] = TRAILER_VALUE, [QUOTE] = TRAILER_VALUE,
		[BACKSLASH] = TRAILER_VALUE, [COLON] = TRAILER_VALUE, [CR] = TRAILER_CR, [WORDLY] = TRAILER_VALUE,
		[OTHER] = TRAILER_VALUE },
	[TRAILER_CR] = { [LF] = LINE },
	[LAST_CR] = { [LF] = FINISHED },
};

static unsigned kind_of(char c)
{
	switch (c) {
	case ' ': case '\t': return BLANK;
	case ';': return SEMI;
	case '=': return EQUAL;
	case '"': return QUOTE;
	case '\\': return BACKSLASH;
	case ':': return COLON;
	case '\r': return CR;
	case '\n': return LF;
	default: return http_is(c, HTTP_TOKEN) ? WORDLY : http_is(c, HTTP_TEXT) ? OTHER : CONTROL;
	}
}

static int take_digit(struct http_chunks *c, char digit)
{
	if (++c->digits > 16)
		return -400;
	if (c->left > INT64_MAX >> 4)
		return -413;
	c->left = c->left << 4 | http_hex(digit);
	c->state = SIZE;
	return 0;
}

static int take_framing(struct http_chunks *c, char byte)
{
	if (c->state <= SIZE && http_is(byte, HTTP_HEX))
		return take_digit(c, byte);
	if (c->state <= SIZE && c->digits == 0)
		return -400;
	c->state = moves[c->state][kind_of(byte)];
	if (c->state == 0)
		return -400;
	if (c->state == DATA) {
		c->digits = 0;
		c->state = c->left > 0 ? DATA : LINE;
	}
	bool in_extension = c->state >= GAP && c->state <= UNQUOTED;
	if (in_extension || c->state == TRAILER_NAME || c->state == TRAILER_VALUE)
		if (++c->extra > c->limit)
			return in_extension ? -400 : -431;
	c->done = c->state == FINISHED;
	return 0;
}

int http_parse_chunks(struct http_chunks *c, const char *buf, size_t len, const char **data, size_t *n)
{
	size_t taken = 0;
	*n = 0;
	while (taken < len && !c->done && c->state != DATA) {
		int refused = take_framing(c, buf[taken++]);
		if (refused != 0)
			return refused;
	}
	*data = buf + taken;
	if (c->state == DATA) {
		*n = c->left < len - taken ? (size_t)c->left : len - taken;
		c->left -= *n;
		if (c->left == 0)
			c->state = DATA_GONE;
	}
	return (int)(taken + *n);
}
