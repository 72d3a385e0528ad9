#!/bin/sh
# cut-vocab.sh IDS SOURCE_DIR OUT_DIR
#
# Makes OUT_DIR/tokenizer.json and tokenizer_config.json: GPT-2's byte-level BPE cut down to IDS ids in all, for small
# models. Ids 0..255 are the bytes, 256.. the first merges in order, so they are GPT-2's own; the last id is <|endoftext|>.
# SOURCE_DIR holds encoder.json and vocab.bpe, or the same files under the names vocab.json and merges.txt.
# Any text can be written in it, only in more ids than with the whole vocabulary. tokenize, tokenizers and
# transformers' AutoTokenizer load the result.
set -eu

if [ $# -ne 3 ]; then
	echo "usage: ${0##*/} IDS SOURCE_DIR OUT_DIR" >&2
	exit 2
fi
ids=$1 src=$2 out=$3

fail()
{
	code=$1
	shift
	echo "${0##*/}: $*" >&2
	exit "$code"
}

case $ids in
'' | *[!0-9]* | ????????*) fail 2 "not a number of ids: $ids" ;;
esac
[ "$ids" -ge 257 ] || fail 2 "need at least 257 ids (256 bytes and <|endoftext|>): $ids"

for pair in 'encoder.json vocab.bpe' 'vocab.json merges.txt' ''; do
	vocab=$src/${pair% *} merges=$src/${pair#* }
	[ -n "$pair" ] && [ -f "$vocab" ] && [ -f "$merges" ] && break
done
[ -n "$pair" ] || fail 1 "no encoder.json with vocab.bpe and no vocab.json with merges.txt: $src"

stage=$out.partial
rm -rf "$stage"
mkdir -p "$stage"
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM

# vocab.bpe may start with a #version line; after that one merge a line, in the order of rank.
awk -v n=$((ids - 257)) 'NR == 1 && /^#version/ { next } n > 0 && NF == 2 { print; n-- } END { exit n > 0 }' "$merges" >"$stage/merges" ||
	fail 3 "fewer than $((ids - 257)) merges: $merges"

# The source is checked to be what the comment above says: merge i makes id 256 + i.
jq -e --argjson n "$ids" --rawfile merges "$stage/merges" '
	"<|endoftext|>" as $eot
	| . as $all
	| ($merges | split("\n") | map(select(. != ""))) as $merge
	| (to_entries | map(select(.value < $n - 1 and .key != $eot)) | sort_by(.value)) as $kept
	| if [$kept[].value] != [range($n - 1)] then error("ids are not 0, 1, 2 ...") else . end
	| if [$merge[] | $all[sub(" "; "")]] != [range(256; $n - 1)] then error("merge i does not make id 256 + i") else . end
	| {
		version: "1.0", truncation: null, padding: null,
		added_tokens: [{
			id: ($n - 1), content: $eot, single_word: false, lstrip: false, rstrip: false,
			normalized: false, special: true}],
		normalizer: null,
		pre_tokenizer: {type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true},
		post_processor: {type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true},
		decoder: {type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true},
		model: {
			type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: "", end_of_word_suffix: "",
			fuse_unk: false, byte_fallback: false, ignore_merges: false,
			vocab: ($kept + [{key: $eot, value: ($n - 1)}] | from_entries),
			merges: $merge}}
' "$vocab" >"$stage/tokenizer.json" || fail 3 "cannot be cut: $vocab"

jq -n '"<|endoftext|>" as $eot | {
	add_prefix_space: false, clean_up_tokenization_spaces: false,
	bos_token: $eot, eos_token: $eot, unk_token: $eot, tokenizer_class: "PreTrainedTokenizerFast"}' >"$stage/tokenizer_config.json"

rm "$stage/merges"
mkdir -p "$out"
mv "$stage/tokenizer_config.json" "$out/"
mv "$stage/tokenizer.json" "$out/"
