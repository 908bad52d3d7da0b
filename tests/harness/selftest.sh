#!/bin/sh
# Runs each case of selftest.c, which misbehave on purpose, and holds what the runner says against what it must say.
# Usage: selftest.sh PROGRAM...      (the program with its emulator, if any)
set -u

failures=0
limit=1

# expect STATUS TEXT CASE...: the runner must exit with STATUS and print TEXT (a basic regular expression).
expect() {
	want=$1 text=$2
	shift 2
	output=$(WEFT_TEST_TIMEOUT=$limit $program "$@" 2>&1)
	status=$?
	if [ "$status" -ne "$want" ]; then
		printf '%s: exit status %s, not %s\n%s\n' "$*" "$status" "$want" "$output"
		failures=$((failures + 1))
	elif ! printf '%s\n' "$output" | grep -q -e "$text"; then
		printf '%s: does not say "%s"\n%s\n' "$*" "$text" "$output"
		failures=$((failures + 1))
	fi
}

program=$*

expect 0 '^ok    passes (' passes
expect 0 '^1 cases: 1 passed, 0 failed, 0 skipped$' passes
expect 1 'selftest.c:[0-9]*: check failed: 1 == 2$' fails_condition
expect 1 '^FAIL  fails_condition: exit status 1$' fails_condition
expect 1 '20 + 1 == 22: 21 and 22$' fails_eq
expect 1 '7 != 7: 7 and 7$' fails_ne
expect 1 '7 < 7: 7 and 7$' fails_lt
expect 1 '8 <= 7: 8 and 7$' fails_le
expect 1 '7 > 7: 7 and 7$' fails_gt
expect 1 '6 >= 7: 6 and 7$' fails_ge
expect 1 'NULL: 0x8 and ' fails_ptr
expect 1 '"warp" and "weft"$' fails_str
expect 1 '"warp" and "(null)"$' fails_str_null
expect 1 'byte 2 of 3: 0x63 and 0x64$' fails_mem
expect 1 'gives -11 (.*), not 0 (success)$' fails_result
expect 1 'gives -11 (' fails_ok
expect 1 'xxxxxx$' fails_long
expect 1 'check failed: 1 == 2: 1 and 2$' fails_on_thread
expect 1 '^FAIL  hangs: hung, killed after 1 s$' hangs
expect 1 '^FAIL  hangs_hard: hung, killed after 1 s$' hangs_hard
expect 0 '^ok    leaves_child' leaves_child
expect 1 '^FAIL  exits_7: exit status 7$' exits_7
expect 1 '^FAIL  crashes: killed by signal 9' crashes
expect 77 '^skipped: nothing to do$' skips
expect 0 '2 cases: 1 passed, 0 failed, 1 skipped$' passes skips
expect 1 '2 cases: 0 passed, 1 failed, 1 skipped$' exits_7 skips
expect 0 '^ok    exits_as_told' exits_as_told
expect 1 '^FAIL  exits_otherwise: exit status 8$' exits_otherwise
expect 1 'FAIL  exits_silently: standard error lacks "the end"$' exits_silently
expect 1 'FAIL  does_not_exit: exit status 0$' does_not_exit
expect 0 '^ok    aborts_as_told' aborts_as_told
expect 1 'FAIL  does_not_abort: exit status 0$' does_not_abort

expect 0 '^ok    co_passes' co_passes
expect 1 'gives -11 (.*), not 0 (' co_fails
expect 77 '^skip  co_skips' co_skips
expect 1 'descriptor [0-9]* is still open after the run: /dev/null$' co_leaves_descriptor
expect 1 'descriptor 0 is no longer open after the run' co_closes_descriptor
limit=20 # it waits for the thread
expect 1 'threads after the run' co_leaves_thread
limit=1
expect 1 'the-one-that-hangs' co_hangs
expect 0 '^ok    co_exits_as_told' co_exits_as_told
expect 0 '^ok    co_aborts_as_told' co_aborts_as_told

expect 2 '^no case of this name: nonsense$' nonsense
expect 0 '^hangs_hard$' -l
expect 1 '^37 cases: 7 passed, 28 failed, 2 skipped$'

[ "$failures" -eq 0 ] && echo "the runner judges right"
exit $((failures != 0))
