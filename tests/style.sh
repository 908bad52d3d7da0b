#!/bin/sh
# The marks of style that a machine can see: tabs for indentation, 132 columns, no blanks at line ends, no blank line twice or at
# the end, a newline at the end, comments in one form, a space after keywords, nothing left to do. (.clang-format is for editors:
# it can't know which columns a person aligned.)
#
# Usage: style.sh ROOT
set -eu
cd "$1"

list_files() {
	find . -path ./build -prune -o -path ./.git -prune -o -type f \( -name '*.[chS]' -o -name '*.sh' -o -name '*.cmake' \
		-o -name '*.in' -o -name CMakeLists.txt -o -path './.ci/*' \) -print | LC_ALL=C sort
}

offenders=$(list_files | while read -r file; do
	[ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at the end"
	# Columns count characters, not bytes, whatever awk this is.
	LC_ALL=C awk -v file="${file#./}" '
	function offend(what) { print file ":" NR ": " what }
	BEGIN { c = file ~ /\.[ch]$/; code = file ~ /\.[chS]$/ }
	{
		line = $0
		gsub(/[\200-\277]/, "", line)
		columns = 0
		for (parts = split(line, part, "\t"); parts > 0; parts--)
			widths[parts] = length(part[parts])
		for (i = 1; i in widths; i++) {
			columns += widths[i]
			if ((i + 1) in widths)
				columns += 8 - columns % 8
		}
		for (i in widths)
			delete widths[i]
		if (columns > 132)
			offend(columns " columns")
		if (/[ \t]$/)
			offend("a blank at the end")
		if (/\r/)
			offend("a carriage return")
		if (/^ / && !/^ \*/)
			offend("indented by spaces")
		if (/ \t/ && code)
			offend("a tab after a space")
		if ($0 == "" && NR > 1 && previous == "")
			offend("two blank lines")
		if (/(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)([^A-Za-z]|$)/ && file != "tests/style.sh")
			offend("something left to do")
		if (c) {
			if (/(^|[^:"])\/\/ /)
				offend("a comment that is not /* */")
			if (/(^|[^A-Za-z0-9_])(if|for|while|switch|return)\(/ && !/^ \*|"/)
				offend("no space after a keyword")
			if (/}else|else\{|[^A-Za-z0-9_](do|if|while|for) ?\(.*\)\{$/)
				offend("no space around a brace")
		}
		previous = $0
	}
	END { if (NR && previous == "") print file ": a blank line at the end" }' "$file"
done)

[ -z "$offenders" ] || {
	printf '%s\n' "$offenders"
	exit 1
}
echo "no offence against the style"
