#!/bin/sh
# Installs the build into an empty prefix, moves that elsewhere, and uses it as others would: find_package, pkg-config, shared and
# static, dlopen, and the source tree as a subdirectory of another project.
#
# Usage: run.sh CMAKE BUILD-DIRECTORY SOURCE-DIRECTORY CC
set -eu
cmake=$1 build=$2 source=$3 cc=$4
here=$source/tests/consumer

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# step TEXT COMMAND...: silent unless it fails.
step() {
	text=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		printf 'ok    %s\n' "$text"
	else
		printf 'FAIL  %s: %s\n' "$text" "$*"
		cat "$work/log"
		exit 1
	fi
}

step "install" "$cmake" --install "$build" --prefix "$work/first"
mv "$work/first" "$work/moved"
prefix=$work/moved
libdir=$(dirname "$(find "$prefix" -name libweft.a)")

step "no absolute path in what was installed" \
	sh -c "! grep -rIE '(^|[\"= ;])($build|$source|$work)/' '$prefix'"

step "find_package: configure" "$cmake" -S "$here" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc"
step "find_package: build" "$cmake" --build "$work/consumer"
step "find_package: shared" "$work/consumer/with_shared"
step "find_package: static" "$work/consumer/with_static"
step "the static one needs no libweft.so" sh -c "! ldd '$work/consumer/with_static' | grep libweft"

if command -v pkg-config >/dev/null; then
	PKG_CONFIG_PATH=$libdir/pkgconfig
	export PKG_CONFIG_PATH
	version=$(sed -n 's/.*VERSION_[A-Z]* \([0-9]*\)$/\1/p' "$source/include/weft/base.h" | paste -sd.)
	step "pkg-config: version" pkg-config --exact-version="$version" weft
	flags=$(pkg-config --cflags --libs weft)
	# shellcheck disable=SC2086
	step "pkg-config: build, shared" "$cc" -o "$work/pc_shared" "$here/program.c" $flags
	step "pkg-config: shared" env LD_LIBRARY_PATH="$libdir" "$work/pc_shared"
	flags=$(pkg-config --static --cflags --libs weft)
	# shellcheck disable=SC2086
	step "pkg-config: build, static" "$cc" -static -o "$work/pc_static" "$here/program.c" $flags
	step "pkg-config: static" "$work/pc_static"
else
	echo "skip  pkg-config: not installed"
fi

step "by hand: build" "$cc" -pthread -I "$prefix/include" -o "$work/by_hand" "$here/program.c" "$libdir/libweft.a"
step "by hand" "$work/by_hand"

step "dlopen: build" "$cc" -I "$prefix/include" -o "$work/plugin" "$here/plugin.c" -ldl
step "dlopen" "$work/plugin" "$libdir/libweft.so.0"

mkdir "$work/parent"
cat >"$work/parent/CMakeLists.txt" <<PROJECT
cmake_minimum_required(VERSION 3.21)
project(parent LANGUAGES C)
add_subdirectory($source weft)
add_executable(program $here/program.c)
target_link_libraries(program PRIVATE weft::weft_static)
PROJECT
step "add_subdirectory: configure" "$cmake" -S "$work/parent" -B "$work/parent/build" -DCMAKE_C_COMPILER="$cc"
step "add_subdirectory: build" "$cmake" --build "$work/parent/build" --target program
step "add_subdirectory" "$work/parent/build/program"
