# Holds figures, lines "WHAT WHO NAME VALUE UNIT", against aims, lines "LEFT RIGHT FACTOR" (aims.txt). Says nothing of an aim one side
# of which was not measured. With median.awk.

function side(text,    plus, key) {
	if (text ~ /^[0-9.]+$/)
		return text
	plus = index(text, "+") ? substr(text, index(text, "+") + 1) : 0
	key = text
	sub(/\+.*/, "", key)
	return (key in values) ? median_of(values[key]) + plus : 0
}

/^#/ || NF == 0 { next }
NF == 5 { values[$2 ":" $3] = values[$2 ":" $3] " " $4; next }
NF == 3 {
	left = side($1)
	right = side($2)
	if (left <= 0 || right <= 0)
		next
	ratio = left / right
	verdict = "MISSED"
	if (ratio >= $3) {
		verdict = "held"
		held++
	}
	total++
	printf "%-6s %-26s %-28s %8.2f of %.2f\n", verdict, $1, $2, ratio, $3
}
END { printf "%d of %d held\n", held, total }
