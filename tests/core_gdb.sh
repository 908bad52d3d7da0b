#!/bin/sh
# A debugger walks from the middle of the switch, on the stack of a parked coroutine, through what it waits in, down to where it
# began, by nothing but the unwind tables, and finds the end there. x86_64.
#
# Usage: core_gdb.sh PROGRAM      (core_arch)
set -u
program=$1

command -v gdb >/dev/null 2>&1 || { echo "skipped: no gdb"; exit 77; }

debug() {
	WEFT_MAXPROCS=1 gdb -nx -batch -ex 'set pagination off' -ex 'set confirm off' -ex 'set print thread-events off' \
		-ex 'set startup-with-shell off' -ex 'set debuginfod enabled off' "$@" 2>&1
}

# Just after it has changed to the other stack, where nothing of the frame is taken off it yet.
middle=$(debug -ex 'disassemble wf_ctx_switch' "$program" | grep -A 1 'mov *%rsi,%rsp' | tail -n 1 |
	sed -n 's/.*<+\([0-9]*\)>.*/\1/p')
[ -n "$middle" ] || { echo "the switch does not look as expected"; exit 1; }

output=$(debug -ex 'break debugger_stops_here' -ex 'run' -ex 'set $f = (long)frame' \
	-ex "set \$pc = (long)wf_ctx_switch + $middle" -ex 'set $sp = $f' \
	-ex 'set $rbp = 0' -ex 'set $rbx = 0' -ex 'set $r12 = 0' -ex 'set $r13 = 0' -ex 'set $r14 = 0' -ex 'set $r15 = 0' \
	-ex 'backtrace 60' -ex 'kill' --args "$program" -i a_debugger_finds_the_end)

case $output in
*"debugger_stops_here (frame="*) ;;
*) echo "skipped: no debug information, or no way to trace"; printf '%s\n' "$output"; exit 77 ;;
esac

failures=0
fail() {
	echo "$*"
	failures=$((failures + 1))
}

walk=$(printf '%s\n' "$output" | sed -n '/^#0 .*wf_ctx_switch/,$p')
[ "$(printf '%s\n' "$walk" | grep -c '^#.* park_deep ')" -ge 5 ] || fail "not all frames of the coroutine are found"
printf '%s\n' "$walk" | grep -q '^#.* coroutine_main ' || fail "its first function is not found"
printf '%s\n' "$walk" | grep '^#' | tail -n 1 | grep -q 'wf_ctx_start' || fail "the walk does not end where the stack begins"
printf '%s\n' "$output" | grep -q 'Backtrace stopped\|corrupt stack\|Cannot access memory' && fail "the walk breaks off"

[ "$failures" -eq 0 ] || printf '%s\n' "$output"
[ "$failures" -eq 0 ] && echo "gdb finds $(printf '%s\n' "$walk" | grep -c '^#') frames and the end"
exit $((failures != 0))
