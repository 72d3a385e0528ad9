#!/bin/sh
# report.sh [-o REPORT.html] [-f FIGURES_DIR] [-t TITLE] DIR...
# One HTML page, figures and all, from directories that transfer-matrix wrote. -f keeps the figures as SVG files.
# TRANSFER_REPORT and GNUPLOT name the programs.
set -eu
: "${TRANSFER_REPORT:=transfer-report}" "${GNUPLOT:=gnuplot}"
out=- keep='' title='What the model learned, kept and lost'
usage() { echo "usage: report.sh [-o REPORT.html] [-f FIGURES_DIR] [-t TITLE] DIR..." >&2; exit 2; }
while getopts o:f:t: option; do
	case $option in
	o) out=$OPTARG ;;
	f) keep=$OPTARG ;;
	t) title=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
endings=svg
# shellcheck source=pipelines/figures.sh
. "$(dirname "$0")/figures.sh"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# All maps of a page have one scale: the widest.
limit=$(for dir; do about "$dir" limit; done | sort -g | tail -n 1)
[ -n "$limit" ] || { echo "report.sh: not made by transfer-matrix: $1" >&2; exit 3; }
for dir; do
	base=$(about "$dir" name | tr -d '\n' | LC_ALL=C tr -c 'A-Za-z0-9._-' _)
	tables=$(tables "$dir" "$base")
	for figure in heat sequence forgetting l1; do
		draw $figure "$base.$figure" "$(about "$dir" name)" "$tables" "$limit"
	done
	printf '%s\t%s\n' "$tables" "$(about "$dir" name)" | for_gnuplot >>"$tmp/list"
done
for figure in course distance; do
	draw $figure $figure "$tmp/list"
done
"$TRANSFER_REPORT" -o "$out" --title "$title" --figures "$tmp" "$@"
if [ -n "$keep" ]; then
	mkdir -p "$keep"
	for svg in "$tmp"/*.svg; do
		name=$keep/$(basename "$svg")
		cp "$svg" "$name.tmp.$$" && mv "$name.tmp.$$" "$name"
	done
fi
