#!/bin/sh
# Installs with apt-get what is missing, and nothing else; says in one line what that is, and nothing if all is there.
#
# Usage: setup.sh NEED...
#   build   compile the library
#   test    run the tests
#   demo    run scripts/demo.sh
#   ci      run .ci/run
#   peers   compare with more in scripts/bench.sh: what of it is in Debian
set -eu

missing=

# Another package to install, once.
add() {
	case " $missing " in
	*" $1 "*) ;;
	*) missing="$missing $1" ;;
	esac
}

# need COMMAND PACKAGE
need() { command -v "$1" >/dev/null 2>&1 || add "$2"; }

# need_header HEADER PACKAGE
need_header() {
	printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1 || add "$2"
}

need_for_build() {
	need cc gcc
	need_header stdlib.h libc6-dev
	need_header atomic_ops.h libatomic-ops-dev
	need cmake cmake
	need make make
}

need_for_test() {
	need_for_build
	need g++ g++
	need readelf binutils
	need pkg-config pkg-config
}

need_for_demo() {
	need_for_build
	need curl curl
	need nc netcat-openbsd
	command -v ab >/dev/null 2>&1 || need wrk wrk
}

need_for_ci() {
	need_for_test
	need_for_demo
	need_header openssl/ssl.h libssl-dev
	need openssl openssl
	need git git
	need gcc gcc
	need clang clang
	need clang++ clang
	need llvm-symbolizer llvm
	runtime=$(clang -print-resource-dir 2>/dev/null || true)/lib/linux/libclang_rt.tsan-$(uname -m).a
	[ -e "$runtime" ] || add libclang-rt-dev
	need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
	[ -e /usr/aarch64-linux-gnu/lib/libc.so ] || add libc6-dev-arm64-cross
	need qemu-aarch64 qemu-user
	need spin spin
	need gdb gdb
	need valgrind valgrind
	python3 -c 'import ensurepip' 2>/dev/null || add python3-venv
	need memcached memcached
	need memccp libmemcached-tools
	need python3 python3
	[ -e /usr/share/llhttp/llhttp.c ] || add node-llhttp
	need h2load nghttp2-client
	need ab apache2-utils
	need wrk wrk
	need chromium chromium
}

need_for_peers() {
	need_for_build
	need g++ g++
	need go golang-go
	need_header uv.h libuv1-dev
	[ -e /usr/include/boost/fiber/all.hpp ] || add libboost-fiber-dev
	need nginx nginx-light
	need wrk wrk
	need python3 python3
}

for wanted; do
	case $wanted in
	build | test | demo | ci | peers) "need_for_$wanted" ;;
	*)
		echo "setup: no such need: $wanted (build, test, demo, ci, peers)" >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
	as_root=sudo
	command -v sudo >/dev/null 2>&1 || as_root=none
fi
if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: install these first (names as in Debian):$missing" >&2
	exit 1
fi

echo "setup: apt-get installs$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq -y "$@"; }
install() {
	apt update || true # an index of somebody else's may be broken; what matters is whether the packages come
	# shellcheck disable=SC2086
	apt --no-install-recommends install $missing
}
if ! install >"$log" 2>&1; then
	cat "$log" >&2
	echo "setup: apt-get failed" >&2
	exit 1
fi
