#!/usr/bin/env bats
# key-ngrams: what is counted and scored, what is left out, and what is refused.
load common

setup() {
	scratch
	# 40 lines each; "the" and "of" stand in all, as do "shared words" and a number
	for i in $(seq 40); do
		echo "The deep neural network of shared words in 1999. Attention layer $((i % 7)) of the model"
	done >ml.txt
	for i in $(seq 40); do
		echo "The Roman empire of shared words in 1999. The \\emph{senate} of Rome x marks, Roman empire. X. 476"
	done >history.txt
	for i in $(seq 40); do
		echo "The prime number of shared words in 1999. Élan-vital of the proof"
	done | gzip >maths.gz
	find=(key-ngrams -q --stop 2)
	texts=(ml=ml.txt history=history.txt maths=maths.gz)
}

# of DOMAIN: its n-grams, with commas between
of() {
	awk -F '\t' -v d="$1" '$1 == d { printf "%s%s", c, $2; c = "," }'
}

@test "key-ngrams: n-grams of one domain, not of all" {
	run --separate-stderr "${find[@]}" -n 3 "${texts[@]}"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == "#palimpsest-ngrams 1"$'\t'"key-ngrams "* ]]
	[[ ${lines[0]} == *$'\t'"inputs $(sha_of ml.txt history.txt maths.gz)" ]]
	[ "${lines[1]}" = $'domain\tngram\tscore\tcount\tcluster' ]
	printf '%s\n' "${lines[@]}" >have
	# "neural network" is a part of "deep neural network", "attention" of "attention layer"
	[ "$(of ml <have)" = "attention layer,deep neural network,model" ]
	# twice a line
	[ "$(of history <have | cut -d, -f1)" = "roman empire" ]
	# a word behind a backslash, one of one character, numbers, what all domains have
	"${find[@]}" -n 50 "${texts[@]}" 2>/dev/null | sed 1,2d >many
	run ! grep -qE 'emph|senate of|	x|476|1999|	shared' many
	# nor does such a word occur in another domain
	{ cat history.txt && echo '\model \neural'; } >commands.txt
	"${find[@]}" -n 3 ml=ml.txt history=commands.txt maths=maths.gz >other
	diff <(grep '^ml' have) <(grep '^ml' other)
	# capitals and hyphens do not count
	[[ $("${find[@]}" -n 20 "${texts[@]}" 2>/dev/null | of maths) == *"élan vital"* ]]
	# the domains in the sequence given, from the highest score down
	[ "$(sed 1,2d have | cut -f1 | uniq | paste -s -d,)" = ml,history,maths ]
	sed 1,2d have | awk -F '\t' '$1 == d && $3 > s { exit 1 } { d = $1; s = $3 }'
}

@test "key-ngrams: the score by its formula" {
	"${find[@]}" --max-words 1 "${texts[@]}" 2>/dev/null >have
	# "rome": 40 of the domain's words, in one of three domains; "in" is in all: 0
	words=$(tr -cs '[:alnum:]' '\n' <history.txt | grep -c .)
	awk -F '\t' -v words="$words" '$2 == "rome" {
		if ($4 != 40 || (d = $3 / (40 / words * log(3)) - 1) > 1e-8 || d < -1e-8) { print; exit 1 }
		n++
	} $2 == "in" { exit 1 } END { exit n != 1 }' have
}

@test "key-ngrams: lengths, counts, how many" {
	[ "$("${find[@]}" --min-words 2 "${texts[@]}" 2>/dev/null | sed 1,2d | cut -f2 | awk 'NF < 2 || NF > 3' | wc -l)" -eq 0 ]
	[ "$("${find[@]}" -n 1 "${texts[@]}" | sed 1,2d | wc -l)" -eq 3 ]
	[ "$("${find[@]}" --min-count 41 "${texts[@]}" 2>err | sed 1,2d | cut -f 2)" = "roman empire" ]
	[ "$(head -n 1 err)" = "key-ngrams: domain ml: only 0 n-grams" ]
	# the first line alone: nothing occurs five times
	[ "$("${find[@]}" --bytes 50 "${texts[@]}" 2>/dev/null | sed 1,2d | wc -l)" -eq 0 ]
	# no stop words: they begin n-grams
	"${find[@]}" --stop 0 -n 50 "${texts[@]}" 2>/dev/null | of history | grep -q "the roman empire"
	# however many: a word that one domain lacks is none, even if it is frequent in the others
	[ "$(key-ngrams -q -n 1 "${texts[@]}" | of history)" = "roman empire" ]
	"${find[@]}" -o out.tsv -n 2 "${texts[@]}"
	"${find[@]}" -n 2 "${texts[@]}" | cmp - out.tsv
}

@test "key-ngrams: a part goes if a quarter of its occurrences, or fewer, are outside of the longer one" {
	for i in $(seq 6); do echo "red apple. green pear. blue sky"; done >a
	for i in 1 2; do echo "apple. pear. pear"; done >>a # 2 of 8 apples, 4 of 10 pears
	[ "$("${find[@]}" --stop 0 a=a ml=ml.txt 2>/dev/null | of a | tr , '\n' | grep -xE 'apple|pear')" = pear ]
	"${find[@]}" --bytes 100 ml=ml.txt history=history.txt 2>/dev/null | head -n 1 | grep -q "inputs $(sha_of ml.txt history.txt)\$"
}

@test "key-ngrams: one n-gram of each cluster of Sentence-BERT vectors" {
	cat >bert.json <<-'END'
		{"model_type": "bert", "architectures": ["BertModel"], "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16,
		 "intermediate_size": 32, "max_position_embeddings": 32, "vocab_size": 40, "type_vocab_size": 2}
	END
	printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' {a..z} '##a' '##e' '##o' '##n' '##r' '##t' '##s' '##l' '##i' >vocab
	mkdir words
	cp vocab words/vocab.txt
	model-init -q -c bert.json -t words -o sbert
	[ -e sbert/vocab.txt ] || cp vocab sbert/vocab.txt
	"${find[@]}" --method sbert -m sbert --threads 1 -n 3 "${texts[@]}" >one
	"${find[@]}" --method sbert -m sbert --threads 1 -n 3 --batch 1 "${texts[@]}" >two
	[ "$(cut -f 1,2,4,5 one)" = "$(cut -f 1,2,4,5 two)" ]
	for d in ml history maths; do
		# different clusters, all of them candidates
		[ "$(awk -F '\t' -v d=$d '$1 == d { print $5 }' one | sort -u | wc -l)" -eq "$(awk -F '\t' -v d=$d '$1 == d' one | wc -l)" ]
		"${find[@]}" -n 300 "${texts[@]}" 2>/dev/null | awk -F '\t' -v d=$d '$1 == d { print $2 }' | sort >all
		[ "$(awk -F '\t' -v d=$d '$1 == d { print $2 }' one | sort | comm -13 all - | wc -l)" -eq 0 ]
	done
	awk -F '\t' 'NR > 2 && ($3 > 1 || $3 < -1) { exit 1 }' one
}

@test "key-ngrams: what ppl-eval reads" {
	"${find[@]}" -n 2 -o ngrams.tsv "${texts[@]}"
	cat >small.json <<-'END'
		{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1, "n_head": 2, "n_embd": 16,
		 "n_positions": 32, "vocab_size": 1024, "bos_token_id": 1023, "eos_token_id": 1023}
	END
	model-init -q -c small.json -t "$root/tests/gpt2-1024" -o m0
	tokenize -q -t m0 -o ml.tok ml.txt
	ppl-eval -q --threads 1 -m m0 --protocol lm-eval --rank ranks --ngrams ngrams.tsv -o rows ml=ml.tok
	[ "$(awk -F '\t' '$6 == "ngram" { print $7, $8 }' ranks | sort | paste -s -d,)" = \
		"$(awk -F '\t' '$1 == "ml" { print $2, $4 }' ngrams.tsv | sort | paste -s -d,)" ]
}

@test "key-ngrams: mistakes" {
	fails 2 "at least two" -- key-ngrams ml=ml.txt
	fails 2 "NAME=FILE" -- key-ngrams ml=ml.txt history.txt
	fails 2 "two domains are named 'ml'" -- key-ngrams ml=ml.txt ml=history.txt
	fails 2 "cannot be the name" -- key-ngrams ml=ml.txt a/b=history.txt
	fails 2 "stdin" -- key-ngrams ml=ml.txt a=-
	mkfifo pipe
	fails 2 "a: a text is read several times, which pipe cannot be" -- key-ngrams -o out.tsv ml=ml.txt a=pipe
	fails 2 "read several times" -- key-ngrams -o out.tsv ml=<(cat ml.txt) history=history.txt
	fails 1 "." -- key-ngrams -o out.tsv ml=ml.txt a=.
	fails 2 "--method" -- key-ngrams --method best "${texts[@]}"
	fails 2 "needs -m" -- key-ngrams --method sbert "${texts[@]}"
	fails 2 "-m goes with" -- key-ngrams -m x "${texts[@]}"
	fails 2 "--min-words" -- key-ngrams --min-words 4 "${texts[@]}"
	echo "..." >none.txt
	fails 3 none.txt "no words" -- "${find[@]}" -o out.tsv ml=ml.txt none=none.txt
	fails 1 nowhere.txt -- "${find[@]}" -o out.tsv ml=ml.txt none=nowhere.txt
	head -c 60 maths.gz >cut.gz
	fails 3 cut.gz -- "${find[@]}" -o out.tsv ml=ml.txt cut=cut.gz
	[ ! -e out.tsv ]
}

@test "key-ngrams: a full disk" {
	run --separate-stderr bash -c '"$@" >/dev/full' - "${find[@]}" -n 1 "${texts[@]}"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}
