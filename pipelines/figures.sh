#!/bin/sh
# figures.sh: what report.sh and study.sh have in common, who set GNUPLOT, tmp (a folder, which they make) and endings (of a figure's files).
# shellcheck disable=SC2154
command -v "$GNUPLOT" >/dev/null || { echo "${0##*/}: gnuplot is missing" >&2; exit 1; }
GNUPLOT_LIB=$(cd "$(dirname "$0")" && pwd)
export GNUPLOT_LIB

# about DIR KEY
about() { awk -F '\t' -v key="$2" '$1 == key { print $2; exit }' "$1/about.tsv"; }

# gnuplot cuts cells at a '"', and takes '\n' for a new line
for_gnuplot() { sed 's/\\/\\\\/g; s/^ *"/“/; s/\t *"/\t“/g; s/"/”/g'; }

# tables DIR BASE: copies for gnuplot; prints their directory
tables() {
	mkdir -p "$tmp/$2.tables"
	for table in "$1"/*.tsv; do
		for_gnuplot <"$table" >"$tmp/$2.tables/${table##*/}"
	done
	echo "$tmp/$2.tables"
}

# draw SCRIPT NAME [ARGUMENT...]
draw() {
	script=$1 name=$2
	shift 2
	for ending in $endings; do
		if ! "$GNUPLOT" -c "$GNUPLOT_LIB/$script.gp" "$tmp/$name.$ending" "$@" 2>"$tmp/log" || [ ! -s "$tmp/$name.$ending" ]; then
			sed "s/^/${0##*/}: gnuplot: /" "$tmp/log" >&2
			echo "${0##*/}: cannot draw $script" >&2
			exit 1
		fi
	done
	# a browser must not blur the cells of a large map
	sed -i 's/<image /<image style="image-rendering:pixelated" /' "$tmp/$name.svg"
}
