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

/* The same as JSON: {"version", "now_ns", "stats": {...}, "coroutines": [{...}, ...], "cycles": [[id, ...], ...]}. */
WEFT_API void weft_dump_json(int fd);

/* Writes to fd a line for each cycle of coroutines that wait for each other: for a mutex that the next one has locked, a
 * reader-writer mutex that it has locked for writing, or its end (weft_join). Others may go on as they like meanwhile: a cycle
 * never ends by itself, only by a deadline, a cancel, or somebody from outside who unlocks. Of 64 members at most. Dumps end with
 * these lines. Returns how many there are. From anywhere; never parks. */
WEFT_API int weft_find_cycles(int fd);

WEFT_END

#endif
