#!/bin/sh
# materialise.sh M0 ORDER_DIR K OUT: checkpoint MK of a sequence again, bit for bit, as the model directory OUT, from the
# packs of KEEP=delta and the nearest checkpoint before it that is whole (M0 if there is none). PACK names model-pack.
set -eu
: "${PACK:=model-pack}"
[ $# -eq 4 ] || { echo "usage: materialise.sh M0 ORDER_DIR K OUT" >&2; exit 2; }
m0=$1 dir=$2 k=$3 out=$4
[ ! -e "$out" ] || { echo "materialise.sh: $out is there" >&2; exit 1; }
from=$k
while [ "$from" -gt 0 ] && [ ! -d "$dir/M$from" ]; do
	[ -e "$dir/M$from.pack" ] || { echo "materialise.sh: neither $dir/M$from nor its pack is there" >&2; exit 1; }
	from=$((from - 1))
done
base=$dir/M$from
[ "$from" -gt 0 ] || base=$m0
tmp=$out.partial.$$
trap 'rm -rf "$tmp" "$tmp.next"' EXIT
trap 'exit 1' HUP INT TERM
if [ "$from" -eq "$k" ]; then
	cp -r "$base" "$tmp"
fi
while [ "$from" -lt "$k" ]; do
	from=$((from + 1))
	$PACK -d -o "$tmp.next" --from "$base" "$dir/M$from.pack"
	rm -rf "$tmp"
	mv "$tmp.next" "$tmp"
	base=$tmp
done
mv "$tmp" "$out"
