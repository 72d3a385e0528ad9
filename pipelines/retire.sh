#!/bin/sh
# retire.sh KEEP DIR FROM [NEXT]: a checkpoint of cpt.mk that nothing needs any more, DIR, goes as KEEP says. The log of its
# training stays, as DIR.log.jsonl.
#
#   last, none  it is removed
#   bf16        its weights stay in bf16, as the model DIR.bf16
#   delta       it becomes DIR.pack, its lossless difference to FROM, the checkpoint before: FROM is a model directory, or
#               has been retired itself, so that DIR.pack is there already; if neither is, for KEEP was another then, DIR stays.
#               NEXT, the checkpoint after it, is packed before DIR goes, unless it is the last, for which NEXT is not given.
#
# What was made of an earlier DIR (older than DIR.done) is made anew. Killed at any moment, it can be called again. PACK and MERGE
# name model-pack and model-merge.
set -eu
: "${PACK:=model-pack}" "${MERGE:=model-merge}"
keep=$1 dir=$2 from=$3 next=${4-}
[ -d "$dir" ] || [ -d "$dir.retired" ] || exit 0
if command -v flock >/dev/null; then # training and evaluation may end at the same time
	exec 8>"${RUN:-${dir%/*}}/retire.lock"
	flock 8
fi
rm -rf "$dir.retired"
[ -d "$dir" ] || exit 0
rm -f "$dir.pack.tmp."* ${next:+"$next.pack.tmp."*} # of a model-pack that was killed
# shellcheck disable=SC3013 # -nt is in POSIX since 2024, and was in these shells before
made_of() { [ -e "$2" ] && [ ! "$1.done" -nt "$2" ]; } # DIR FILE
case $keep in
bf16)
	# the mean of a model and itself is the model
	made_of "$dir" "$dir.bf16" || $MERGE -q -o "$dir.bf16" --linear 0 --dtype bf16 "$dir" "$dir"
	;;
delta)
	if ! made_of "$dir" "$dir.pack"; then
		[ -d "$from" ] || exit 0
		$PACK -q -o "$dir.pack" --from "$from" "$dir"
	fi
	[ -z "$next" ] || [ ! -d "$next" ] || made_of "$next" "$next.pack" || $PACK -q -o "$next.pack" --from "$dir" "$next"
	;;
esac
if [ -e "$dir/train.log.jsonl" ]; then
	if [ "$keep" = delta ]; then cp "$dir/train.log.jsonl" "$dir.log.jsonl"; else mv "$dir/train.log.jsonl" "$dir.log.jsonl"; fi
fi
mv "$dir" "$dir.retired" # a part of it is never taken for a checkpoint
rm -rf "$dir.retired"
