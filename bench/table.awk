# Reads lines "WHO NAME VALUE UNIT" in any order. For each name a row, for each of `everybody` (names in one string) a column: the
# median, half the range in per cent of it, and how many times better weft is. Bigger is better for rates ("1/s", "per_s"), else smaller. With median.awk.

function cell(who, name,    m, text, w) {
	if (!((who, name) in values))
		return ""
	m = median_of(values[who, name])
	text = sprintf("%.4g", m)
	if (m > 0)
		text = text sprintf(" ~%.0f%%", 50 * range / m)
	if (who == "weft" || !(("weft", name) in values))
		return text
	w = median_of(values["weft", name])
	if (w > 0 && m > 0)
		text = text sprintf(" %.2fx", unit[name] ~ /\/s|per_s/ ? w / m : m / w)
	return text
}

{
	if (!($2 in unit))
		order[++names] = $2
	unit[$2] = $4
	values[$1, $2] = values[$1, $2] " " $3
	present[$1] = 1
}

END {
	count = split(everybody, who, " ")
	line = sprintf("%-26s %-6s", "", "")
	for (k = 1; k <= count; k++)
		if (who[k] in present)
			line = line sprintf(" %-22s", who[k])
	sub(/ +$/, "", line)
	print line
	for (i = 1; i <= names; i++) {
		line = sprintf("%-26s %-6s", order[i], unit[order[i]])
		for (k = 1; k <= count; k++)
			if (who[k] in present)
				line = line sprintf(" %-22s", cell(who[k], order[i]))
		sub(/ +$/, "", line)
		print line
	}
}
