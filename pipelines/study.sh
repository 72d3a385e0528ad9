#!/bin/sh
# study.sh [-o REPORT.html] [-t TITLE] [-c COST.tsv] [-d DISK.tsv] RUNS.tsv STUDY_DIR FIGURES_DIR
# The figures of a study as SVG and PDF into FIGURES_DIR, and one page with all of them, from what study-stats wrote into
# STUDY_DIR and from the matrices that RUNS.tsv names. FIGURES_DIR is replaced as a whole; one that holds other things than figures
# of its own is left alone. STUDY_REPORT and GNUPLOT name the programs.
set -eu
: "${STUDY_REPORT:=study-report}" "${GNUPLOT:=gnuplot}"
out=- title='A study of continual pretraining' cost='' disk=''
usage() { echo "usage: study.sh [-o REPORT.html] [-t TITLE] [-c COST.tsv] [-d DISK.tsv] RUNS.tsv STUDY_DIR FIGURES_DIR" >&2; exit 2; }
while getopts o:t:c:d: option; do
	case $option in
	o) out=$OPTARG ;;
	t) title=$OPTARG ;;
	c) cost=$OPTARG ;;
	d) disk=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 3 ] || usage
runs=$1 study=$2 figures=${3%/}
# Is it there, and neither an empty folder nor one with figures of a study and nothing else?
is_foreign() {
	[ -e "$1" ] || return 1
	[ -d "$1" ] && [ -z "$(find "$1/" -mindepth 1 ! \( -type f \( -name '*.svg' -o -name '*.pdf' \) \) -print -quit)" ] &&
		{ [ -e "$1/groups.svg" ] || [ -z "$(ls -A "$1")" ]; } || return 0
	return 1
}
! is_foreign "$figures" || { echo "study.sh: cannot replace $figures: it holds other things than figures of a study: left alone" >&2; exit 1; }
endings='svg pdf'
# shellcheck source=pipelines/figures.sh
. "$(dirname "$0")/figures.sh"
mkdir -p "$(dirname "$figures")"
tmp=$figures.tmp.$$
rm -rf "$figures".tmp.*
mkdir -p "$tmp"
trap 'rm -rf "$tmp" "$tmp.old" "$out.tmp.$$"' EXIT
trap 'exit 1' HUP INT TERM

drawn=$(tables "$study" .)

# The groups trained as the base is, six at most: what the curves show.
awk -F '\t' '/^#/ { next } !c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
	$col["varied"] == "-" && !seen[$col["group"]]++ && ++n <= 6 { print $col["group"] }' "$drawn/groups.tsv" >"$tmp/list"
draw study-groups groups "$drawn/groups.tsv"

# show SCRIPT ENDING NAME TABLE ARGUMENT...: draws what study-figures.awk finds to show, if anything
show() {
	script=$1 list=$tmp/$3.$2 name=$3 table=$4
	shift 4
	awk -v figure="$name" -v files="$tmp/$name" -v line="$switch" -v tokens="$tokens" -f "$GNUPLOT_LIB/study-figures.awk" "$tmp/list" "$drawn/$table.tsv"
	[ ! -s "$list" ] || draw "$script" "$name" "$list" "$@"
}
if [ -s "$tmp/list" ]; then
	# between which steps the order by similarity goes on to its second portion
	switch=$(awk -F '\t' 'FNR == NR { group[$1] = 1; next } /^#/ { next } !c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
		!($col["run"] in group) || $col["run"] !~ /\/similar$/ { next }
		{ if (run == $col["run"] && portion != $col["portion"]) { print $col["step"] - 0.5; exit } run = $col["run"]; portion = $col["portion"] }' \
		"$tmp/list" "$drawn/sequence.tsv")
	: "${switch:=0}"
	# ranks are those of key n-grams, if any were looked for
	tokens=$(awk -F '\t' '$4 == "ngrams" { print $4; exit }' "$drawn/ranks.tsv")
	: "${tokens:=all}"
	draw study-distance distance "$drawn/distance.tsv" "$tmp/list"
	draw study-course checkpoints "$drawn/checkpoints.tsv" "$tmp/list"
	show study-panels list forward forward 'Forward transfer to each portion, with 95 % intervals' 'perplexity against zero-shot, %'
	show study-dots dots explain explain "$tmp/list" 'What explains forgetting and transfer? Partial rank correlations, with 95 % intervals' ''
	show study-dots dots classes classes "$tmp/list" 'By class of token, with 95 % intervals' 'change of perplexity, %'
	show study-panels list ranks ranks "Rank of the true token in $([ "$tokens" = all ] && echo 'all tokens' || echo 'key n-grams') of the domain trained at each step" \
		'mean reciprocal rank'
	show study-panels list ranks-course ranks 'Rank of the true token after each step, with 95 % intervals' 'reciprocal rank less that of M0'
	show study-panels list bigbench bigbench 'BIG-bench along the sequence, with 95 % intervals' 'normalized score'
fi
# Curves over the size of the model, where there are several.
for order in similar random; do
	for measure in CPT-ZS LC-CPT; do
		file=$tmp/size.$order.$measure
		awk -F '\t' -v OFS='\t' -v order=$order -v measure=$measure '/^#/ { next } !c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
			$col["varied"] == "-" && $col["scope"] == "all" && $col["measure"] == measure && $col["order"] == order && $col["parameters"] != "-" {
				print $col["parameters"], $col["value"], $col["lo"], $col["hi"] }' "$drawn/groups.tsv" | sort -g >"$file"
		[ "$(wc -l <"$file")" -lt 2 ] || printf '%s: %s\t%d\t%d\t%s\n' $order "$([ $measure = CPT-ZS ] && echo learned || echo forgotten)" \
			"$([ $measure = CPT-ZS ] && echo 1 || echo 2)" "$([ $order = similar ] && echo 1 || echo 2)" "$file"
	done
done >"$tmp/sizes"
[ ! -s "$tmp/sizes" ] || draw study-size sizes "$tmp/sizes"
# Each run by itself: the heat map of all checkpoints and domains, its sequence, L1 x L1; all of one scale.
folder=$(dirname "$runs")
awk -F '\t' '/^#/ { next } !c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
	{ print $col["run"] "\t" $col["matrix"] }' "$runs" >"$tmp/runs"
tab=$(printf '\t')
limit=$(while IFS=$tab read -r run dir; do
	case $dir in /*) ;; *) dir=$folder/$dir ;; esac
	[ ! -e "$dir/about.tsv" ] || about "$dir" limit
done <"$tmp/runs" | sort -g | tail -n 1)
while IFS=$tab read -r run dir; do
	case $dir in /*) ;; *) dir=$folder/$dir ;; esac
	[ -e "$dir/about.tsv" ] || continue
	base=$(printf %s "$run" | LC_ALL=C tr -c 'A-Za-z0-9._-' _)
	[ ! -e "$tmp/$base.tables" ] || { echo "study.sh: cannot draw run $run: another one's figures are named $base, too" >&2; exit 3; }
	tables=$(tables "$dir" "$base")
	for figure in heat sequence l1; do
		draw $figure "$base.$figure" "$run" "$tables" "$limit"
	done
done <"$tmp/runs"
find "$tmp" -mindepth 1 ! -name '*.svg' ! -name '*.pdf' -delete
"$STUDY_REPORT" -o "$tmp/page" --title "$title" --figures "$tmp" ${cost:+--cost "$cost"} ${disk:+--disk "$disk"} "$runs" "$study"
if [ "$out" != - ]; then
	mv "$tmp/page" "$out.tmp.$$"
else
	cat "$tmp/page"
	rm "$tmp/page"
fi
# one that is half removed would be foreign to the next
[ ! -e "$figures" ] || mv "$figures" "$tmp.old"
mv "$tmp" "$figures"
[ "$out" = - ] || mv "$out.tmp.$$" "$out"
