#!/bin/sh
# The programs in the documentation. Every block of C with a main in it compiles without a warning; one that is followed by a block
# of text runs, ends with 0, and prints that text.
#
# Usage: docs.sh INCLUDE-DIRECTORY LIBRARY COMPILER "FLAGS" "EMULATOR" FILE.md...
set -eu
include=$1 library=$2 compiler=$3 flags=$4 emulator=$5
shift 5

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
failures=0
compiled=0
ran=0

fail() {
	echo "$*"
	failures=$((failures + 1))
}

# Writes the blocks of a file: <n>.c, and <n>.expected where text follows.
split() {
	awk -v work="$work" '
		/^```/ && !inside {
			inside = 1
			kind = $0 == "```c" ? "c" : $0 == "```text" ? "text" : "other"
			if (kind == "c")
				file = work "/" ++n ".c"
			else if (kind == "text" && after_c)
				file = work "/" n ".expected"
			else
				file = "/dev/null"
			printf "" >file
			next
		}
		/^```$/ {
			inside = 0
			close(file)
			after_c = kind == "c"
			next
		}
		inside { print >file }
		!inside && /^#/ { after_c = 0 }' "$1"
}

# shellcheck disable=SC2086
for document; do
	rm -f "$work"/*
	split "$document"
	for source in "$work"/*.c; do
		[ -e "$source" ] || continue
		grep -q '^int main(' "$source" || continue
		program=${source%.c} name="$(basename "$document"), block $(basename "$source" .c)"
		compiled=$((compiled + 1))
		"$compiler" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror $flags -I "$include" \
			-o "$program" "$source" "$library" -pthread || { fail "$name: does not compile"; continue; }
		[ -e "$program.expected" ] || continue
		ran=$((ran + 1))
		status=0
		timeout 60 $emulator "$program" >"$program.printed" || status=$?
		[ "$status" -eq 0 ] || fail "$name: ended with $status"
		diff -u "$program.expected" "$program.printed" || fail "$name: prints something else"
	done
done

[ "$compiled" -gt 0 ] || fail "no program found"
[ "$failures" -eq 0 ] && echo "$compiled programs compiled, $ran ran"
exit $((failures != 0))
