/* Flights: of many who want the same thing at the same time, one does the work, and all share its result.
 *
 * The first who calls for a key runs its function, in its own coroutine or thread; whoever calls for that key before it is back
 * waits for it, and gets the same result and value. After that the next call flies anew: nothing is remembered.
 *
 * Values are copied: value points to value_size bytes; for groups of size 0 it may be NULL. What the function did is seen by all
 * who share its result.
 *
 * Cancel: whoever waits leaves with -ECANCELED, and the flight goes on. If the one who flies is cancelled and its function fails,
 * that is nobody else's failure: the one who has waited longest runs its own function, and the others wait for that. The same
 * holds if the function ends the coroutine by weft_exit. */
#ifndef WEFT_FLIGHT_H
#define WEFT_FLIGHT_H

#include "base.h"

struct weft_flights;

/* Does the work: a result, and if that is not negative the value. May park. */
typedef int weft_flight_fn(void *arg, void *value);

WEFT_BEGIN

/* Makes a group of flights. share, unless NULL, is called once for each further caller that gets a copy of a value: to count a
 * reference, say. The one who flew calls it, before the others go on. -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_flights_create(struct weft_flights **flights, size_t value_size, void (*share)(void *value));

/* Frees it. Whoever came back last may do so at once. NULL: nothing. Never parks. -EBUSY: somebody flies. */
WEFT_API int weft_flights_destroy(struct weft_flights *flights);

/* The result of fn(arg, value) for this key (size bytes, copied), be it run here or for an earlier caller that has not come back.
 * arg is only used while the call lasts. Parks. -ECANCELED; -EDEADLK: called by the function for its own key; -ENOMEM, -EINVAL. */
WEFT_API WEFT_NODISCARD int weft_flight(struct weft_flights *flights, const void *key, size_t size, weft_flight_fn *fn, void *arg,
					void *value);

/* Whoever calls for this key from now on does not share the flight that is under way; those who wait already do. 1: there was one.
 * 0: there was none. Never parks. */
WEFT_API int weft_flight_forget(struct weft_flights *flights, const void *key, size_t size);

WEFT_END

#endif
