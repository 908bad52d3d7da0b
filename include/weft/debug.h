/* Seeing inside: what every coroutine does, what it waits for, and where. */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H

#include "base.h"

WEFT_BEGIN

/* Writes to fd what is known of every coroutine: number, name, state; what it waits for, since when and until when; who made it;
 * how much of its stack is in use; and where it waits, as addresses in modules with the names that the dynamic symbol table has.
 *
 * Stops nothing: a parked coroutine is kept from going on for the microseconds in which its stack is read, everything else runs
 * on, and what is written is not of one instant. From anywhere, one dump at a time; never parks. Writes with write(2), which may
 * block the thread. Allocates nothing. Without a runtime: writes nothing. */
WEFT_API void weft_dump(int fd);

/* The same as JSON: {"version", "now_ns", "stats": {...}, "coroutines": [{...}, ...]}. */
WEFT_API void weft_dump_json(int fd);

WEFT_END

#endif
