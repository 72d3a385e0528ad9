#!/bin/sh
# compare-rows.sh FULL/ORDER SAMPLED/ORDER: do two measurements of the same checkpoints, OUT/ORDER of cpt.mk each, tell the same story?
#
# A table, #palimpsest-agreement 1, of key and value, over the cells of M1 and later that both have:
#   cells                  how many
#   pearson, spearman      correlation of the changes in log-perplexity against M0
#   rms_error, largest_error, largest_at
#                          of the perplexities, the second against the first, in percent; and of which cell
#   same_sign              share of cells in which the change has the same sign
#   sampled                how many of the second are estimates
#   covered                share of these whose 95 % interval (1.96 stderr) holds the first's value
#   windows, windows_full  scored, of M1 and later
#   seconds, seconds_full  processor time of these evaluations by the traces (by the clock where job-meter was left away)
set -eu
if [ $# -ne 2 ] || [ ! -d "$1/rows" ] || [ ! -d "$2/rows" ]; then
	echo 'usage: compare-rows.sh FULL/ORDER SAMPLED/ORDER' >&2
	exit 2
fi

# rows FILE...: model, domain, protocol and data, log-perplexity, stderr, windows
rows()
{
	LC_ALL=C awk -F '\t' -v OFS='\t' '/^#/ { next } $1 == "model" { for (i = 1; i <= NF; i++) c[$i] = i; next }
		{ print $c["model"], $c["domain"], $c["protocol"] " " $c["data_hash"], log($c["ppl"]), $c["stderr"], $c["windows"] }' "$@"
}
# zero OUT/ORDER: the file of M0's row, which may lie in another OUT
zero()
{
	in=$(sed -n 's/^set.M0_IN := //p' "$1/../settings.mk")
	echo "${in:-$1/..}/rows/M0.tsv"
}
# seconds OUT/ORDER
seconds()
{
	LC_ALL=C awk -F '\t' -v order="/${1##*/}/rows/" '$1 == "evaluate" && index($NF, order) { s += $4 == "-" ? $3 - $2 : $4 } END { print s + 0 }' \
		"$1/../.run/trace.tsv"
}
full=${1%/} sampled=${2%/}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rows "$(zero "$full")" >"$tmp/zero"
rows "$full"/rows/M*.tsv >"$tmp/full"
rows "$sampled"/rows/M*.tsv >"$tmp/sampled"
# cell, change by each, stderr of the second, windows of each
LC_ALL=C awk -F '\t' -v OFS='\t' '
	FNR == 1 { file++ }
	file == 1 { zero[$2, $3] = $4; next }
	file == 2 { full[$1, $2, $3] = $4; windows[$1, $2, $3] = $6; next }
	($1, $2, $3) in full && ($2, $3) in zero {
		print $1 " " $2, full[$1, $2, $3] - zero[$2, $3], $4 - zero[$2, $3], $5, windows[$1, $2, $3], $6
	}' "$tmp/zero" "$tmp/full" "$tmp/sampled" >"$tmp/cells"
[ -s "$tmp/cells" ] || { echo "compare-rows.sh: $full and $sampled have no cells in common (domain, data and protocol)" >&2; exit 3; }
# ranks COLUMN: a line each, in the sequence of the cells; equal values share the mean of theirs
ranks()
{
	cut -f "$1" "$tmp/cells" | LC_ALL=C awk '{ print NR, $1 }' | LC_ALL=C sort -k 2,2g | LC_ALL=C awk '
		function flush(   i) { for (i = first; i < NR + end; i++) rank[line[i]] = (first + NR + end - 1) / 2 }
		NR > 1 && $2 != last { flush(); first = NR }
		NR == 1 { first = 1 }
		{ line[NR] = $1; last = $2 }
		END { end = 1; flush(); for (i = 1; i <= NR; i++) print rank[i] }'
}
ranks 2 >"$tmp/rank.full"
ranks 3 >"$tmp/rank.sampled"
printf '#palimpsest-agreement 1\tcompare-rows.sh\nkey\tvalue\n'
paste "$tmp/cells" "$tmp/rank.full" "$tmp/rank.sampled" | LC_ALL=C awk -F '\t' -v OFS='\t' \
	-v seconds="$(seconds "$sampled")" -v seconds_full="$(seconds "$full")" '
	function correlation(a, b,   i, ma, mb, aa, bb, ab) {
		for (i = 1; i <= n; i++) { ma += v[a, i] / n; mb += v[b, i] / n }
		for (i = 1; i <= n; i++) { aa += (v[a, i] - ma) ^ 2; bb += (v[b, i] - mb) ^ 2; ab += (v[a, i] - ma) * (v[b, i] - mb) }
		return aa > 0 && bb > 0 ? sprintf("%.4f", ab / sqrt(aa * bb)) : "-"
	}
	{
		n++
		v[1, n] = $2; v[2, n] = $3; v[3, n] = $7; v[4, n] = $8
		error = 100 * (exp($3 - $2) - 1)
		squares += error * error
		if (error < 0) error = -error
		if (error >= largest) { largest = error; at = $1 }
		same += ($2 > 0) == ($3 > 0)
		if ($4 > 0) { sampled++; covered += ($3 - $2) ^ 2 <= (1.96 * $4) ^ 2 }
		full += $5; windows += $6
	}
	END {
		print "cells", n
		print "pearson", correlation(1, 2)
		print "spearman", correlation(3, 4)
		print "rms_error", sprintf("%.3f", sqrt(squares / n))
		print "largest_error", sprintf("%.3f", largest)
		print "largest_at", at
		print "same_sign", sprintf("%.4f", same / n)
		print "sampled", sampled + 0
		print "covered", sampled ? sprintf("%.4f", covered / sampled) : "-"
		print "windows", windows
		print "windows_full", full
		print "seconds", seconds
		print "seconds_full", seconds_full
	}'
