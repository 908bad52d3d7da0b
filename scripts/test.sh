#!/bin/sh
# Installs what is missing, builds into build/test (or $WEFT_BUILD_DIR), and runs every test. Arguments go to ctest.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
build=${WEFT_BUILD_DIR:-$root/build/test}
jobs=$(nproc)

sh "$root/scripts/setup.sh" build test
cmake -S "$root" -B "$build" -DWEFT_WERROR=ON
cmake --build "$build" -j "$jobs"
ctest --test-dir "$build" -j "$jobs" --output-on-failure --no-label-summary "$@"
