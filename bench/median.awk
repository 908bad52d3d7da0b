# The median of the numbers in a text; sets range to the greatest less the least.
function median_of(text,    n, i, k, v, list) {
	n = split(text, list, " ")
	for (i = 1; i <= n; i++) {
		v = list[i] + 0
		for (k = i - 1; k > 0 && list[k] > v; k--)
			list[k + 1] = list[k]
		list[k + 1] = v
	}
	range = list[n] - list[1]
	return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}
