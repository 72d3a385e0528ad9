#!/usr/bin/env bats
# bigbench-eval: tasks, prompts, likelihoods, generation and scores, beside what the package bigbench made of the same tasks (parity-bigbench.py).
load common

setup() {
	scratch
	base=$root/examples/base
	tasks=$BATS_TEST_DIRNAME/data/bigbench
}

# task NAME JQ_FILTER: shop's task.json, changed
task() {
	mkdir -p "$1"
	jq "$2" "$tasks/shop/task.json" >"$1/task.json"
}

# expect MAX SHOTS: all tasks with these agree with expected.json and expected.jsonl.gz
expect() {
	local limit=()
	[ "$1" = 0 ] || limit=(--max-examples "$1")
	bigbench-eval -q -m "$base" --shots "$2" "${limit[@]}" --samples s -o t "$tasks"/{shop,story,sums,soft,count,likely}/task.json 2>/dev/null
	jq -c --argjson max "$1" '. + {file: (.task | split(":")[0]), max: $max}' s >ours.jsonl
	zcat "$tasks/expected.jsonl.gz" | jq -c --argjson max "$1" 'select(.max == $max)' >theirs.jsonl
	jq -sc 'sort_by(.file, .task, .shots)[]' theirs.jsonl >theirs.sorted
	jq -sc 'sort_by(.file, .task, .shots)[]' ours.jsonl >ours.sorted
	[ "$(wc -l <ours.sorted)" -gt 60 ]
	diff <(jq -c '[.file, .task, .shots, .prompt, .response]' theirs.sorted) <(jq -c '[.file, .task, .shots, .prompt, .response]' ours.sorted)
	for f in choice_log_likelihoods target_log_likelihoods; do
		paste <(jq -r ".$f // [] | .[]" theirs.sorted) <(jq -r ".$f // [] | .[]" ours.sorted) |
			awk '{ d = $1 - $2; if (NF != 2 || d > 1e-3 || d < -1e-3) { print "likelihood", $0; bad = 1 } } END { exit bad || !NR }'
	done
	jq -r --argjson max "$1" '.[] | select(.max == $max) | . as $r | .scores | to_entries[] |
		[$r.file, $r.task, $r.shots, .key, .value, (if .key == $r.preferred then "yes" else "no" end),
		 (if .key == $r.preferred then $r.low else "-" end), $r.preferred] | @tsv' "$tasks/expected.json" >scores.tsv
	[ "$(wc -l <scores.tsv)" -gt 20 ]
	while IFS=$'\t' read -r file t shots metric value preferred low prefers; do
		awk -F'\t' -v t="$t" -v s="$shots" -v m="$metric" -v v="$value" -v p="$preferred" -v low="$low" -v q="$prefers" '
			$3 == t && $6 == s && $7 == m {
				found = 1
				# ROUGE is the median of bootstrap means there; unit/bigbench has its exact numbers
				slack = m ~ /^rouge/ || (m ~ /^normalized/ && q ~ /^rouge/) ? 3 : 1e-3 * (v < -1 || v > 1 ? (v < 0 ? -v : v) : 1)
				if ($9 == "-" || $9 - v > slack || v - $9 > slack) { print m, v, "not", $9; exit 1 }
				if (p == "yes" && ($8 != "yes" || $10 - low > 1e-6 || low - $10 > 1e-6)) { print m, "low", low, $10, $8; exit 1 }
			}
			END { if (!found) { print "no row:", t, s, m; exit 1 } }' t
	done <scores.tsv
}

@test "prompts, likelihoods, responses and scores are the package's: all examples, 0, 1 and 3 shots" {
	expect 0 0,1,3
}

@test "likewise for a sample of the examples" {
	expect 6 0,2
}

@test "without the cache: the same table, the same responses" {
	for f in "" --no-cache; do
		bigbench-eval -q -m "$base" --shots 1 $f --max-length 48 --batch 700 --samples "s$f" -o "t$f" "$tasks/story/task.json" "$tasks/sums/task.json"
	done
	[ "$(jq -c 'select(.response != "")' s | wc -l)" -gt 20 ]
	diff <(jq -c 'del(.choice_log_likelihoods)' s) <(jq -c 'del(.choice_log_likelihoods)' s--no-cache)
	diff <(cut -f 3-9 t | grep -v calibration) <(cut -f 3-9 t--no-cache | grep -v calibration)
}

@test "Llama, grouped keys: as without the cache" {
	cat >config.json <<-E
		{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 8192, "hidden_size": 32, "intermediate_size": 64,
		 "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
		 "hidden_act": "silu", "initializer_range": 0.4, "bos_token_id": 8191, "eos_token_id": 8191, "tie_word_embeddings": true}
	E
	model-init -q -c config.json --seed 3 -o m -t "$base"
	for f in "" --no-cache; do
		bigbench-eval -q -m m $f --max-length 40 --max-examples 12 --batch 700 --samples "s$f" -o "t$f" "$tasks"/{story,sums,count}/task.json
	done
	[ "$(jq -r 'select(.task == "story") | .response' s | sort -u | wc -l)" -gt 6 ]
	diff <(jq -c 'del(.choice_log_likelihoods)' s) <(jq -c 'del(.choice_log_likelihoods)' s--no-cache)
	paste <(jq -r '.choice_log_likelihoods // [] | .[]' s) <(jq -r '.choice_log_likelihoods // [] | .[]' s--no-cache) |
		awk '{ d = $1 - $2; if (d > 1e-3 || d < -1e-3) { print; bad = 1 } } END { exit bad || !NR }'
}

@test "a model with a window of attention is given no more than that holds" {
	mistral() { # POSITIONS WINDOW: into the folder m$1
		jq -n --argjson p "$1" --argjson w "$2" '{model_type: "mistral", vocab_size: 8192, hidden_size: 32, intermediate_size: 64,
			num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: $p, sliding_window: $w,
			initializer_range: 0.4, bos_token_id: 8191, eos_token_id: 8191}' >config.json
		rm -rf "m$1"
		model-init -q -c config.json --seed 3 -o "m$1" -t "$base"
	}
	mistral 512 40
	mistral 40 null
	cmp m512/model.safetensors m40/model.safetensors
	for m in m512 m40; do
		bigbench-eval -q -m $m --name m --shots 0,2 --max-length 24 --max-examples 8 --samples $m.s "$tasks"/{story,sums,count}/task.json |
			cut -f 1,3- >$m.t
	done
	awk -F'\t' '$15 > 0 { n++ } END { exit !n }' m40.t
	diff m512.t m40.t
	cmp m512.s m40.s
	mistral 512 1
	fails 3 "m512: has only 1 position" -- bigbench-eval -q -m m512 "$tasks/count/task.json"
}

@test "the table: header, hashes, order, group behind its tasks, samples" {
	bigbench-eval -q -m "$base" --name M "$tasks/sums/task.json" "$tasks/likely/task.json" >t
	[ "$(head -n 1 t | cut -f 1)" = "#palimpsest-bigbench 1" ]
	[ "$(head -n 1 t | cut -f 3)" = "inputs $(sha_of "$tasks"/sums/task.json "$tasks"/sums/{add,take}/task.json "$tasks/likely/task.json")" ]
	[ "$(tail -n +3 t | cut -f 1 | sort -u)" = M ]
	[ "$(tail -n +3 t | cut -f 3 | uniq | tr '\n' ' ')" = "sums:add ? sums:take ? sums likely " ]
	[ "$(tail -n +3 t | cut -f 2 | sort -u)" = "$(cat "$base/config.json" "$base/model.safetensors" | sha256sum | cut -d' ' -f1)" ]
	[ "$(awk -F'\t' '$3 == "sums" { print $4; exit }' t)" = "$(cat "$tasks"/sums/task.json "$tasks"/sums/{add,take}/task.json | sha256sum | cut -d' ' -f1)" ]
	[ "$(awk -F'\t' '$3 == "likely" { print $4; exit }' t)" = "$(sha256sum <"$tasks/likely/task.json" | cut -d' ' -f1)" ]
	awk -F'\t' 'NR > 2 && NF != 17 { exit 1 }' t
}

@test "a task from a pipe or standard input has its hash" {
	jq '{name: "g", description: "", keywords: [], subtasks: [.]}' "$tasks/shop/task.json" >g.json
	for f in "$tasks/shop/task.json" g.json; do
		hash=$(sha256sum <"$f" | cut -d' ' -f1)
		bigbench-eval -q -m "$base" --max-examples 2 "$f" >file 2>/dev/null
		bigbench-eval -q -m "$base" --max-examples 2 <(cat "$f") >pipe 2>/dev/null
		bigbench-eval -q -m "$base" --max-examples 2 - <"$f" >stdin 2>/dev/null
		[ "$(tail -n +3 file | cut -f 4 | sort -u)" = "$hash" ]
		[ "$(head -n 1 file | cut -f 3)" = "inputs sha256 $hash" ]
		cmp pipe file
		cmp stdin file
	done
}

@test "a sample's standard error, 0 for all, the group's share" {
	bigbench-eval -q -m "$base" --max-examples 16 --samples s "$tasks/shop/task.json" "$tasks/sums/task.json" >t 2>err
	[ "$(awk -F'\t' '$3 == "shop" && $7 == "multiple_choice_grade" { print $13, $14, $15 }' t)" = "0 15 15" ]
	[ "$(awk -F'\t' '$3 == "sums" && $7 == "multiple_choice_grade" { print $14, $15, ($13 > 0) }' t)" = "16 22 1" ]
	# by hand: of n = 8 of N = 11
	jq -s --arg se "$(awk -F'\t' '$3 == "sums:add ?" && $7 == "multiple_choice_grade" { print $13 }' t)" '
		[.[] | select(.task == "sums:add ?") | if .choices[.choice] == .targets[0] then 1 else 0 end] | length as $n | (add / $n) as $m |
		((1 - $n / 11) * (map(. - $m | . * .) | add) / ($n - 1) / $n | sqrt) - ($se | tonumber) | fabs < 1e-9' s | grep -q true
	grep -q "shop.* 1 examples are repeated and left out" err
}

@test "a metric that is not known, or needs a model, has no score; nor has what depends on it" {
	task u '.metrics = ["multiple_choice_grade", "bleurt", "frobnication"] | .preferred_score = "bleurt" | .examples |= map(.target = "x")'
	run --separate-stderr bigbench-eval -q -m "$base" u/task.json
	[ "$status" -eq 0 ]
	[ "$(awk -F'\t' '$9 == "-" { print $7 }' <<<"$output" | tr '\n' ' ')" = "bleurt frobnication normalized_aggregate_score " ]
	[[ $stderr == *"shop: bleurt is not computed: it needs a model"*"shop: frobnication is not computed: it is not known"* ]]
	[[ $stderr == *"shop: normalized_aggregate_score is not computed: bleurt has no score"* ]]
	[ "$(awk -F'\t' '$7 == "multiple_choice_grade" { print $8, ($12 != "-") }' <<<"$output")" = "no 1" ]
}

@test "a preferred metric that has no scale, or is none of a task's, leaves the task and its group without the aggregate, which is said" {
	mkdir g
	jq '. + {metrics: ["log_likelihood"]} | .preferred_score = "log_likelihood_per_word" | .examples |= map(.target = "x") |
		{name: "g", description: "", keywords: [], subtasks: [., (. + {name: "other", preferred_score: "bleu"})]}' "$tasks/shop/task.json" >g/task.json
	run --separate-stderr bigbench-eval -q -m "$base" g/task.json
	[ "$status" -eq 0 ]
	[ "$(awk -F'\t' '$7 == "normalized_aggregate_score" { print $3, $9 }' <<<"$output" | tr '\n' ' ')" = "g:shop - g:other - g - " ]
	[[ $stderr == *"g:shop: normalized_aggregate_score is not computed: log_likelihood_per_word has no score, or no scale"* ]]
	[[ $stderr == *"g:other: normalized_aggregate_score is not computed: none of the metrics is bleu"* ]]
	[[ $stderr == *"g: normalized_aggregate_score is not computed: nor is that of each of its tasks"* ]]
}

@test "a field that nobody knows is named" {
	task f '.example_suffix = "?"'
	run --separate-stderr bigbench-eval -q -m "$base" f/task.json
	[ "$status" -eq 0 ]
	[[ $stderr == *"f/task.json: example_suffix: is no field of BIG-bench's and is not looked at"* ]]
}

@test "interrupted or failing, it leaves nothing behind" {
	fails 3 "too few for 15 shots" -- bigbench-eval -q -m "$base" --shots 0,15 -o t --samples s "$tasks/likely/task.json"
	[ -z "$(ls)" ]
}

@test "misuse: exit 2" {
	fails 2 "-m is needed" -- bigbench-eval x.json
	fails 2 "no task given" -- bigbench-eval -m "$base"
	fails 2 "to stdout: give -o FILE" -- bigbench-eval -m "$base" --samples - "$tasks/shop/task.json"
	touch x
	fails 2 "x: is named for two outputs" -- bigbench-eval -q -m "$base" -o x --samples ./x "$tasks/count/task.json"
	[ "$(ls)" = x ]
	[ ! -s x ]
	rm x
	fails 2 "--shots 1," -- bigbench-eval -m "$base" --shots 1, "$tasks/shop/task.json"
	fails 2 "--shots 1,1" -- bigbench-eval -m "$base" --shots 1,1 "$tasks/shop/task.json"
	fails 2 "cannot be a name" -- bigbench-eval -m "$base" --name $'a\tb' "$tasks/shop/task.json"
	fails 2 "--max-examples 1 is less" -- bigbench-eval -q -m "$base" --max-examples 1 "$tasks/sums/task.json"
}

# More of these: unit/bigbench.
@test "tasks that cannot be done as they ask: exit 3, naming the field" {
	task r 'del(.metrics)'
	fails 3 "r/task.json" "metrics" -- bigbench-eval -q -m "$base" -o t r/task.json
	[ ! -e t ]
	for metric in rouge1 normalized_aggregate_score; do
		task r ".metrics += [\"$metric\"]"
		fails 3 "r/task.json" "metrics" -- bigbench-eval -q -m "$base" -o t r/task.json
	done
	fails 3 "name" "another task" -- bigbench-eval -q -m "$base" "$tasks/soft/task.json" "$tasks/soft/task.json"
	fails 1 "no.json" -- bigbench-eval -q -m "$base" no.json
}

@test "inline subtasks are a group" {
	mkdir g
	jq '{name: "g", description: "", keywords: [], canary: "", subtasks: [., (. + {name: "other"})]}' "$tasks/shop/task.json" >g/task.json
	bigbench-eval -q -m "$base" g/task.json >t 2>/dev/null
	[ "$(tail -n +3 t | cut -f 3 | uniq | tr '\n' ' ')" = "g:shop g:other g " ]
	[ "$(awk -F'\t' '$3 == "g" && $8 == "yes" { print $7, $5 }' t)" = "multiple_choice_grade 2" ]
	# two equal tasks: the mean is each one's
	[ "$(awk -F'\t' '$7 == "multiple_choice_grade" { print $9, $10, $12 }' t | sort -u | wc -l)" -eq 1 ]
}

@test "the corpus: the paper's groups and more are read and scored" {
	[ -n "${PALIMPSEST_LONG-}" ] || skip "takes long (make test-long)"
	need_shared data/bigbench.tar.gz
	tar xzf "$shared/data/bigbench.tar.gz"
	run --separate-stderr bigbench-eval -q -m "$base" --max-examples 20 --max-length 1 -o t bigbench/{arithmetic,cs_algorithms,general_knowledge,physics,few_shot_nlg,operators,periodic_elements}/task.json
	[ "$status" -eq 0 ]
	[ "$(awk -F'\t' '$5 > 0 && $7 == "normalized_aggregate_score"' t | wc -l)" -eq 3 ]
}
