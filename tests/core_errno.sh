#!/bin/sh
# Builds core_errno with every compiler there is and with flags that matter to thread-local variables, against a library that is
# built already, and runs it.
#
# Usage: core_errno.sh ROOT LIBRARY RUN COMPILER...      (RUN: what starts a program, env or an emulator)
set -u
root=$1 library=$2 run=$3
shift 3

directory=$(mktemp -d) || exit 1
trap 'rm -rf "$directory"' EXIT
failures=0
passed=0

# build_and_run COMPILER FLAGS: 0 passed, 1 failed, 77 not built for want of a linker plugin. Words of both are arguments.
build_and_run() {
	# shellcheck disable=SC2086
	if ! $1 $common $2 -o "$directory/program" "$root/tests/core_errno.c" "$directory"/*.o "$library" -lpthread \
		>"$directory/log" 2>&1; then
		case $2 in *flto*) return 77 ;; esac
		return 1
	fi
	# shellcheck disable=SC2086
	$run "$directory/program" >"$directory/log" 2>&1
}

common="-std=c11 -D_GNU_SOURCE -I$root/include -I$root/tests/harness"
for compiler; do
	command -v "${compiler%% *}" >/dev/null 2>&1 || continue
	for part in core_util harness/check harness/co harness/run; do
		# shellcheck disable=SC2086
		$compiler $common -O1 -fPIC -c -o "$directory/${part#*/}.o" "$root/tests/$part.c" || exit 1
	done
	for flags in -O2 '-O2 -fPIC' '-O2 -fPIC -ftls-model=global-dynamic' '-O3 -flto -fPIC'; do
		build_and_run "$compiler" "$flags"
		case $? in
		0)
			echo "$compiler $flags: $(grep 'was kept' "$directory/log")"
			passed=$((passed + 1))
			;;
		77) echo "$compiler $flags: does not build" ;;
		*)
			echo "$compiler $flags:"
			cat "$directory/log"
			failures=$((failures + 1))
			;;
		esac
	done
done

[ "$passed" -gt 0 ] || [ "$failures" -gt 0 ] || { echo "skipped: no compiler"; exit 77; }
exit $((failures != 0))
