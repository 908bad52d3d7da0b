#!/bin/sh
# Every public header compiles alone, as C and as C++, without a warning, with each compiler that is installed.
#
# Usage: headers.sh INCLUDE-DIRECTORY
set -u
include=$1

failures=0
compiled=0

# try COMPILER LANGUAGE STANDARD HEADER...: a file with just these includes.
try() {
	compiler=$1 language=$2 standard=$3
	shift 3
	compiled=$((compiled + 1))
	for header; do
		printf '#include <%s>\n' "$header"
	done | "$compiler" -x "$language" -std="$standard" -fsyntax-only -I "$include" \
		-Wall -Wextra -Wpedantic -Wconversion -Werror - || {
		echo "$compiler -std=$standard: $*"
		failures=$((failures + 1))
	}
}

headers=$(cd "$include" && find weft -name '*.h' | LC_ALL=C sort)
for compiler in gcc clang g++ clang++; do
	command -v "$compiler" >/dev/null || continue
	case $compiler in
	*++) language=c++ standards='c++11 c++17' ;;
	*) language=c standards='c11 c17' ;;
	esac
	for standard in $standards; do
		for header in $headers; do
			try "$compiler" "$language" "$standard" "$header"
		done
		# shellcheck disable=SC2086
		try "$compiler" "$language" "$standard" $headers
	done
done

[ "$compiled" -gt 0 ] || { echo "skipped: no compiler of a known name"; exit 77; }
[ "$failures" -eq 0 ] && echo "$compiled compilations without a warning"
exit $((failures != 0))
