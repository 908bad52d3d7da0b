/* weft: blocking-style concurrency for C. This header brings the whole public contract.
 *
 *   base.h     what every header uses: linkage, results
 *   time.h     one clock, absolute deadlines
 *   runtime.h  start, stop, processors
 *   co.h       coroutines: spawn, join, sleep, exit, local values
 *   sync.h     mutex, reader-writer mutex, condition, semaphore, wait group, once
 *   scope.h    coroutines that belong together: cancel, deadlines, limits
 *   chan.h     channels: values from one coroutine to another
 *   select.h   waiting for the first of several things
 *   exits.h    hearing of the ends of coroutines
 *   supervisor.h  coroutines that are started again when they fail
 *   timer.h    functions and channels whose time comes, once or again and again
 *   watch.h    a value that changes, and those who want to hear of the latest
 *   flight.h   one does the work, and all who want the same share it
 *   mailbox.h  messages from many to one, who can take them out of order
 *   stats.h    statistics
 *   blocking.h calls that block: handing the processor over, helper threads
 *   signal.h   signals as values in a channel
 *   debug.h    what every coroutine does, waits for, and where
 *   file.h     regular files, and others that can't be polled
 *   process.h  child processes
 *   net.h      sockets that park the coroutine, never the thread
 *   datagram.h datagrams, one by one and many at a time
 *   socket.h   options of sockets, descriptors as messages, who the peer is
 *
 * Results: success is >= 0, failure is a negative errno value. weft never asks the caller to read errno (errno.h tells why).
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include "base.h"
#include "time.h"
#include "runtime.h"
#include "co.h"
#include "sync.h"
#include "chan.h"
#include "select.h"
#include "blocking.h"
#include "net.h"
#include "datagram.h"
#include "socket.h"
#include "file.h"
#include "process.h"
#include "scope.h"
#include "exits.h"
#include "stats.h"
#include "timer.h"
#include "supervisor.h"
#include "debug.h"
#include "signal.h"
#include "watch.h"
#include "flight.h"
#include "mailbox.h"

#endif
