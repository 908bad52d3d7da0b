#!/bin/sh
# Compiles the library and the examples for systems that are not here, without a warning, and links them; what runs here anyway,
# x86_64 with musl, also runs its tests, and aarch64 with musl one program under qemu. The compiler is `zig cc`, which brings the C
# libraries of all these systems: the package ziglang of PyPI, installed below build/cross, with its caches (100 MB).
#
# Usage: cross.sh [TARGET...]       all targets unless given
set -eu

version=0.17.0
targets="x86_64-macos.14.4 aarch64-macos.14.4 x86_64-freebsd aarch64-freebsd x86_64-linux-musl aarch64-linux-musl"

root=$(cd "$(dirname "$0")/.." && pwd)
out=$root/build/cross
zig=$out/venv/bin/zig-$version
jobs=$(nproc)
mkdir -p "$out"

fail() {
	echo "cross: $*" >&2
	exit 1
}

# The package holds the program; the name in bin/ is ours, made last, so that what is there is whole.
install_zig() {
	[ ! -x "$zig" ] || return 0
	rm -rf "$out/venv"
	python3 -m venv "$out/venv" || fail "no python3 with venv (Debian: apt-get install python3-venv)"
	"$out/venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$version" ||
		fail "pip can't install ziglang $version from PyPI: nothing was compiled"
	program=$(find "$out/venv" -path '*/ziglang/zig' -type f)
	[ -x "$program" ] || fail "the package ziglang holds no program of the name zig"
	ln -s "$program" "$zig"
}

# Only these of /usr/include: the rest is about this machine's C library.
copy_atomic_ops() {
	header=$(printf '#include <atomic_ops.h>\n' | cc -M -x c - | tr ' ' '\n' | grep '/atomic_ops\.h$') ||
		fail "no atomic_ops.h (Debian: apt-get install libatomic-ops-dev)"
	mkdir -p "$out/include"
	cp -R "$header" "$(dirname "$header")/atomic_ops" "$out/include"
}

# A command of zig's under a name of its own: wrap TARGET NAME ARGUMENT...
wrap() {
	file=$out/$1/bin/$2
	shift 2
	mkdir -p "$(dirname "$file")"
	printf '#!/bin/sh\nexec env ZIG_GLOBAL_CACHE_DIR=%s ZIG_LOCAL_CACHE_DIR=%s %s %s "$@"\n' \
		"'$out/cache'" "'$out/cache'" "'$zig'" "$*" >"$file"
	chmod +x "$file"
}

system_of() {
	case $1 in
	*-macos*) echo Darwin ;;
	*-freebsd*) echo FreeBSD ;;
	*) echo Linux ;;
	esac
}

# Whether what was built can run here.
runs() { [ "$1" = "$(uname -m)-linux-musl" ]; }

build() {
	target=$1 tests=OFF
	wrap "$target" cc cc -target "$target"
	wrap "$target" ar ar
	wrap "$target" ranlib ranlib
	! runs "$target" || tests=ON
	cmake -S "$root" -B "$out/$target/build" --toolchain "$root/cmake/zig.cmake" -DWEFT_ZIG="$out/$target/bin" \
		-DWEFT_ZIG_SYSTEM="$(system_of "$target")" -DWEFT_ZIG_PROCESSOR="${target%%-*}" \
		-DWEFT_ATOMIC_OPS_INCLUDE_DIR="$out/include" -DWEFT_WERROR=ON -DWEFT_VALGRIND=OFF -DWEFT_BENCH=OFF \
		-DWEFT_TESTS=$tests &&
		cmake --build "$out/$target/build" -j "$jobs"
}

test_here() { ctest --test-dir "$out/$1/build" -j "$jobs" --output-on-failure --no-label-summary --repeat until-pass:3; }

# One program, if there is an emulator: that it starts, and its coroutines and threads run.
try_one() {
	command -v qemu-aarch64 >/dev/null || return 0
	qemu-aarch64 -cpu max,pauth-impdef=on "$out/$1/build/examples/sieve" >"$out/sieve.txt" &&
		[ "$(tail -n 1 "$out/sieve.txt")" = 97 ] && return
	echo "cross: $1: sieve does not run"
	return 1
}

install_zig
copy_atomic_ops
status=0
for target in ${*:-$targets}; do
	log=$out/$target.log
	start=$(date +%s)
	if ! build "$target" >"$log" 2>&1; then
		grep -E 'error|warning' "$log" || tail -n 20 "$log"
		echo "cross: $target: does not build ($log)"
		status=1
		continue
	fi
	echo "cross: $target: built in $(($(date +%s) - start)) s"
	case $target in
	"$(uname -m)-linux-musl") test_here "$target" || status=1 ;;
	aarch64-linux-musl) try_one "$target" || status=1 ;;
	esac
done
exit $status
