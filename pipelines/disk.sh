#!/bin/sh
# disk.sh DIR > disk.tsv: the bytes of a study's files, by what they are.
set -eu
dir=${1:?usage: disk.sh DIR}
find "$dir" -name .run -prune -o -type f -printf '%s\t%P\n' | LC_ALL=C awk -F '\t' '
{
	what = $2 ~ /(^|\/)data\// ? "domain texts" : $2 ~ /(^|\/)text\// ? "texts as cut" : $2 ~ /(^|\/)tok\/|counts\.tok$/ ? "tokens" : \
		$2 ~ /\.(safetensors|pack)$/ ? "weights" : $2 ~ /vectors/ ? "vectors" : $2 ~ /(^|\/)(rows|bigbench)\// ? "rows" : $2 ~ /log\.jsonl$/ ? "training logs" : \
		$2 ~ /(^|\/)(matrix|study|figures|tables)\// ? "tables and figures" : "other"
	if (!(what in bytes))
		order[++n] = what
	bytes[what] += $1
	files[what]++
	all += $1
	all_files++
}
END {
	print "#palimpsest-study-disk 1\tdisk.sh"
	print "what\tfiles\tmb"
	for (i = 1; i <= n; i++)
		printf "%s\t%d\t%.2f\n", order[i], files[order[i]], bytes[order[i]] / 1e6
	printf "all\t%d\t%.2f\n", all_files, all / 1e6
}'
