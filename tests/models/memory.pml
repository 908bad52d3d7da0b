/* Memory as processors show it to each other: every process has a store buffer, first in first out, that drains at any time.
 *
 *   LOAD(cpu, v)        what a process sees: its own youngest store to v that has not drained, else the memory
 *   store(cpu, v, x)    into the buffer. A later load of the process can come before it, as on every machine; an earlier store
 *                       cannot come after it (x86; on aarch64 what a release store says)
 *   rmw(cpu, v, x)      an atomic read-modify-write, with x in terms of mem[v]. Indivisible against other writes of v, but its
 *                       store goes through the buffer, so that a later load can pass it: weaker than x86, where it would drain the
 *                       buffer, and what atomic.h warns of on aarch64
 *   cas(cpu, v, old, x, ok)    the same as a compare-and-swap; ok is its result
 *   fence(cpu)          drains its buffer: wf_fence_full
 *   membarrier(cpu)     drains everybody's, one after the other: wf_os_membarrier
 *   system_call(cpu)    those used here begin with a full fence in the kernel
 *
 * Not shown: loads that pass loads, and stores that pass stores on aarch64 without release. docs/protocols.md argues those.
 *
 * The including file defines PROCS (2 to 5) and VARS first, and starts memory() once. */
#ifndef DEPTH
#define DEPTH 2
#endif

typedef Buffer {
	byte n;
	byte var[DEPTH];
	byte val[DEPTH]
}

Buffer sb[PROCS];
byte mem[VARS];
byte held[VARS]; /* 1 + the process whose read-modify-write of it has not drained; nobody else may write it meanwhile */

#define BUFFERED(cpu, i, v) (sb[cpu].n > (i) && sb[cpu].var[i] == (v))
#define LOAD(cpu, v) (BUFFERED(cpu, DEPTH - 1, v) -> sb[cpu].val[DEPTH - 1] : (BUFFERED(cpu, 0, v) -> sb[cpu].val[0] : mem[v]))
#define CAN_RMW(cpu, v) (held[v] == 0 && sb[cpu].n < DEPTH && !BUFFERED(cpu, 0, v) && !BUFFERED(cpu, DEPTH - 1, v))

/* A lock whose word nobody only looks at: that it is taken may then as well be seen at once. Its release is a store. */
#define CAN_LOCK(cpu, v) (mem[v] == 0 && !BUFFERED(cpu, 0, v) && !BUFFERED(cpu, DEPTH - 1, v))

inline buffer_append(cpu, word, value)
{
	sb[cpu].var[sb[cpu].n] = word;
	sb[cpu].val[sb[cpu].n] = value;
	sb[cpu].n++
}

inline drain_one(cpu)
{
	assert(held[sb[cpu].var[0]] == 0 || held[sb[cpu].var[0]] == 1 + cpu);
	mem[sb[cpu].var[0]] = sb[cpu].val[0];
	held[sb[cpu].var[0]] = 0;
	sb[cpu].n--;
	sb[cpu].var[0] = sb[cpu].var[DEPTH - 1];
	sb[cpu].val[0] = sb[cpu].val[DEPTH - 1];
	sb[cpu].var[DEPTH - 1] = 0;
	sb[cpu].val[DEPTH - 1] = 0
}

inline drain(cpu)
{
	do
	:: sb[cpu].n > 0 -> drain_one(cpu)
	:: else -> break
	od
}

inline store(cpu, word, value) { atomic { sb[cpu].n < DEPTH -> buffer_append(cpu, word, value) } }
inline rmw(cpu, word, value) { atomic { CAN_RMW(cpu, word) -> held[word] = 1 + cpu; buffer_append(cpu, word, value) } }

inline cas(cpu, word, old, value, ok)
{
	atomic {
		CAN_RMW(cpu, word);
		ok = mem[word] == (old);
		if
		:: ok -> held[word] = 1 + cpu; buffer_append(cpu, word, value)
		:: else
		fi
	}
}

inline fence(cpu) { atomic { drain(cpu) } }
inline system_call(cpu) { fence(cpu) }
inline take_lock(cpu, word) { atomic { CAN_LOCK(cpu, word) -> mem[word] = 1 } }
inline release_lock(cpu, word) { store(cpu, word, 0) }

/* Needs a local `byte other`. */
inline membarrier(cpu)
{
	other = 0;
	do
	:: atomic { other < PROCS -> drain(other); other++ }
	:: atomic { other == PROCS -> other = 0; break }
	od
}

proctype memory()
{
end:	do
	:: atomic { sb[0].n > 0 -> drain_one(0) }
	:: atomic { sb[1].n > 0 -> drain_one(1) }
#if PROCS > 2
	:: atomic { sb[2].n > 0 -> drain_one(2) }
#endif
#if PROCS > 3
	:: atomic { sb[3].n > 0 -> drain_one(3) }
#endif
#if PROCS > 4
	:: atomic { sb[4].n > 0 -> drain_one(4) }
#endif
	od
}
