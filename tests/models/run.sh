#!/bin/sh
# Searches every state of a model (Spin): as it is, with each of its OK_ switches, which must hold as well, and with each of its
# BUG_ switches, each of which plants a bug that must be found. One line for each.
#
# Usage: run.sh MODEL.pml
# Exit status: 0 all as it must be, 1 not so, 77 there is no spin or no gcc here.
set -eu

command -v spin >/dev/null && command -v gcc >/dev/null || exit 77

memory_mib=1500
seconds=900
depth=100000

source=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
name=$(basename "$1" .pml)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"
status=0

# Any use of a switch counts, so that none is forgotten.
switches() {
	tr -c 'A-Z_' '\n' <"$source" | grep "^$1_" | LC_ALL=C sort -u
}

# search OPTIMISATION [-Dswitch]: leaves the verifier's words in ./said
search() {
	optimisation=$1
	shift
	rm -f pan*
	spin -a "$@" "$source" >said 2>&1 &&
		gcc "$optimisation" -w -DSAFETY -DNOCLAIM -DCOLLAPSE -DMEMLIM=$memory_mib -o pan pan.c >>said 2>&1 &&
		timeout $seconds ./pan -n -m$depth >>said 2>&1 || echo "error: exit status $?" >>said
}

# Only a violated property counts as found, and only a whole search as none.
verdict() {
	if grep -q -e '^pan:1: assertion violated' -e '^pan:1: invalid end state' said; then
		echo fails
	elif grep -q -e '^error' -e 'max search depth too small' -e 'Search not completed' said; then
		echo broken
	elif grep -q '^State-vector.*errors: 0$' said; then
		echo holds
	else
		echo broken
	fi
}

report() {
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' said)
	found=$(verdict)
	if [ "$found" = "$1" ]; then
		echo "$name${2:+ $2}: ${states:-no} states, $found"
	else
		echo "$name${2:+ $2}: ${states:-no} states, $found, but must be: $1"
		sed 's/^/	/' said | tail -n 40
		status=1
	fi
}

search -O2
report holds
for switch in $(switches OK); do
	search -O2 "-D$switch"
	report holds "$switch"
done
for switch in $(switches BUG); do
	search -O0 "-D$switch"
	report fails "$switch"
done
exit $status
