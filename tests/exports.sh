#!/bin/sh
# What the shared library shows to the outside: exactly the functions that the public headers declare, landing pads for indirect
# branches in every object, no claim of shadow stacks, no executable stack, no text relocation.
#
# Usage: exports.sh READELF NM ARCH INCLUDE-DIRECTORY SHARED-LIBRARY [ARCHIVE]
set -u
readelf=$1 nm=$2 arch=$3 include=$4 library=$5 archive=${6-}

failures=0
fail() {
	echo "$*"
	failures=$((failures + 1))
}

exported=$("$nm" -D --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort)
declared=$(cat "$include"/weft/*.h | awk '
	/^WEFT_API / {
		line = $0
		sub(/\(.*/, "", line)
		sub(/.*[ *]/, "", line)
		print line
	}' | LC_ALL=C sort)

[ -n "$exported" ] || fail "exports nothing"
for name in $exported; do
	printf '%s\n' "$declared" | grep -qx "$name" || fail "exported, in no public header: $name"
done
for name in $declared; do
	printf '%s\n' "$exported" | grep -qx "$name" || fail "declared in a public header, not exported: $name"
done

# Per object: Debian's own start files carry no notes, so the linker drops them from what it links.
case $arch in
x86_64) wanted=IBT refused=SHSTK ;;
aarch64) wanted='BTI, PAC' refused=none ;;
esac
if [ -n "$archive" ]; then
	bad=$("$readelf" -nW "$archive" 2>/dev/null | awk -v wanted="$wanted" -v refused="$refused" '
		function judge() {
			if (object != "" && (!index(features, wanted) || index(features, refused)))
				print object " has the features \"" features "\", not \"" wanted "\""
		}
		/^File: / { judge(); object = $2; features = "" }
		/ feature: / { sub(/.* feature: /, ""); features = $0 }
		END { judge(); if (object == "") print "no objects" }')
	[ -z "$bad" ] || fail "$bad"
fi

"$readelf" -lW "$library" | grep 'GNU_STACK' | grep -q 'RWE' && fail "executable stack"
"$readelf" -lW "$library" | grep -q 'GNU_STACK' || fail "no word about the stack: it would be executable"
"$readelf" -dW "$library" | grep -q 'TEXTREL' && fail "text relocations"
"$readelf" -dW "$library" | grep -q 'SONAME.*\[libweft\.so\.0\]' || fail "the soname is not libweft.so.0"

[ "$failures" -eq 0 ] && echo "$(printf '%s\n' "$exported" | wc -l) functions exported, all declared"
exit $((failures != 0))
