#!/bin/sh
# A few cases under valgrind's memcheck, which is told about the stacks of coroutines: no error may be found in any.
#
# Usage: valgrind.sh DIRECTORY-OF-TEST-PROGRAMS
set -u
directory=$1

command -v valgrind >/dev/null 2>&1 || { echo "skipped: no valgrind"; exit 77; }

failures=0

# check PROGRAM CASE...: cases are processes of their own, and valgrind goes with them; it warns of system calls that are new to it.
check() {
	program=$1
	shift
	if output=$(WEFT_MAXPROCS=2 valgrind -q --error-exitcode=9 --fair-sched=yes "$directory/$program" "$@" 2>&1) &&
		! printf '%s\n' "$output" | grep -E '^==[0-9]+== '; then
		echo "$program: $(printf '%s\n' "$output" | tail -n 1)"
	else
		printf '%s\n' "$output" | grep -vE '^--[0-9]+-- '
		failures=$((failures + 1))
	fi
}

check core_arch stacks_are_aligned registers_are_kept unwinders_find_the_end
check core_stack libc_fits_in_the_smallest own_stack_is_trimmed
check core_self deferred_functions_run_backwards exit_in_a_deferred_function each_has_its_own_value
check core_join join_gives_the_result cancel_ends_a_sleep detached_is_detached
check chan_basic rendezvous close_wakes_receivers cancel_ends_the_wait
exit $((failures != 0))
