#!/usr/bin/env bats
# Every tool when each of its writes, fsyncs, renames, opens, reads, allocations ... fails in turn, and when it is
# killed at each: one line, and the output is absent, what it was before, or complete. tests/fault/inject.c does it.

load common

setup() {
	scratch
	inject=${BUILD:-$root/build}/tests/inject.so
	[[ ${BUILD:-} != *sanitize* ]] || skip "a sanitizer and fault injection do not go together"
	[ -e "$inject" ] || skip "no $inject (make test builds it)"
	FAULT=write:1:5 FAULT_HIT=hit LD_PRELOAD=$inject true || skip "no seccomp here"
	small=$root/tests/gpt2-1024
	if [ -n "${PALIMPSEST_LONG:-}" ]; then few=100 step=16; else few=8 step=2; fi # all of the first, then some
	more=0
}

wrong() {
	echo "FAULT=$fault $*"
	echo "exit $status: $(cat err)"
	ls -lR out
	return 1
}

same() {
	diff -r out after && cmp <(timeless <stdout) <(timeless <expected)
}

timeless() {
	sed 's/, "seconds".*/}/'
}

# set_aside: what a tool that can resume leaves on purpose; put_back undoes it.
set_aside() {
	mv out/*.partial . 2>/dev/null || :
}

put_back() {
	mv ./*.partial out/ 2>/dev/null || :
}

# once COMMAND...: runs it with $fault and checks what the sweep promises
once() {
	rm -rf out hit
	cp -r before out
	status=0
	FAULT=$fault FAULT_HIT=hit LD_PRELOAD=$inject "$@" >stdout 2>err </dev/null || status=$?
	if [ ! -e hit ]; then
		[ "$status" -eq 0 ] || wrong "failed without a fault"
		same || wrong "other output"
		return
	fi
	case $fault in
	*:short)
		[ "$status" -eq 0 ] && same || wrong "a short write was not continued"
		;;
	*:kill | *:late)
		[ "$status" -eq 137 ] || wrong "not killed"
		rm -rf out/*.tmp.* # no stage reads these
		set_aside
		diff -r out before >/dev/null || diff -r out after >/dev/null || wrong "output is half-written"
		put_back
		"$@" >stdout 2>err </dev/null || { status=$?; wrong "cannot be repeated"; }
		same || wrong "repeated, it ends otherwise"
		;;
	*)
		if [ "$status" -eq 0 ]; then
			same || wrong "said nothing and wrote something else"
		else
			[ "$status" -eq 1 ] || wrong "another exit code than 1"
			[ "$(wc -l <err)" -eq 1 ] || wrong "not one line"
			[ -z "${resumes-}" ] || set_aside
			# When the new output is in place and not known to be safe, or the old one cannot be removed, both stay.
			if [[ $fault == fsync:* || $(<err) == *"cannot remove"*.tmp.* ]] && diff -r -x '*.tmp.*' out after >/dev/null; then
				rm -rf out/*.tmp.*
			fi
			diff -r out before >/dev/null || diff -r out after >/dev/null || wrong "output is half-written or not alone"
			rm -rf ./*.partial
			failed=$((failed + 1))
		fi
		;;
	esac
}

# sweep KIND ACTION COMMAND...: N = 1, 2, ... until the command ends without meeting its fault
sweep() {
	local kind=$1 action=$2 n=1
	shift 2
	failed=0
	while :; do
		fault=$kind:$n:$action
		once "$@"
		[ -e hit ] || break
		n=$((n < few ? n + 1 : n + n / step + more))
	done
	echo "$kind $action: $n calls, $failed failures seen"
	[ "$n" -gt 1 ] || [ "$kind" = unlink ] || [ "$kind" = mkdir ]
}

# sweeps COMMAND...: all of them; files="" for a tool that writes on stdout alone. before/ is what was there, out/ is written. Some failures must have been seen.
sweeps() {
	local files=${files-fsync rename}
	cp -r before out
	"$@" >expected </dev/null
	rm -rf after
	mv out after
	for kind in write $files open read malloc; do
		case $kind in
		write | fsync | rename | read) error=5 ;; # EIO
		open) error=24 ;;                         # EMFILE
		malloc) error=12 ;;
		esac
		sweep $kind $error "$@"
		[ "$failed" -gt 0 ]
	done
	sweep mkdir 28 "$@" # ENOSPC
	sweep write 28 "$@"
	sweep write short "$@"
	for kind in write $files open mkdir unlink; do
		sweep $kind kill "$@"
	done
	[ -z "$files" ] || sweep rename late "$@"
	# A disk that stays full.
	fault=write:1+:28 && once "$@"
	[ "$failed" -gt 0 ]
}

# short_sweeps COMMAND...: for tools whose every run costs a third of a second: the calls 1, 4, 10, 22 ...
short_sweeps() {
	[ -n "${PALIMPSEST_LONG:-}" ] || { few=0 step=1 more=2; }
	cp -r before out
	"$@" >expected </dev/null
	rm -rf after
	mv out after
	for kind in write fsync rename; do
		sweep $kind 5 "$@"
		[ "$failed" -gt 0 ]
	done
	sweep write 28 "$@"
	sweep write kill "$@"
	sweep rename late "$@"
}

small_config() {
	echo '{"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": 64, "n_positions": 64, "vocab_size": 1100}' >small.json
}

@test "model-init: new" {
	small_config
	mkdir before
	sweeps model-init -c small.json -o out/m
}

@test "model-init: with a tokenizer, in place of another model" {
	small_config
	mkdir before
	model-init -c small.json -o before/m --seed 1
	sweeps model-init -c small.json -o out/m -t "$small"
}

@test "model-merge: in place of another model" {
	small_config
	mkdir before
	model-init -q -c small.json -o before/m --seed 1
	cp -r before/m a
	model-init -q -c small.json -o b --seed 2
	sweeps model-merge -o out/m a b
}

@test "tokenize: new" {
	mkdir before
	seq 30000 >text
	sweeps tokenize -t "$small" -o out/text.tok -j 1 text
}

@test "tokenize: two threads, in place of another file, from .gz" {
	mkdir before
	echo old | tokenize -t "$small" -o before/text.tok
	seq 30000 | gzip >text.gz
	sweeps tokenize -t "$small" -o out/text.tok -j 2 text.gz
}

@test "tokenize: back to text" {
	mkdir before
	seq 30000 | tokenize -t "$small" -o text.tok
	sweeps tokenize -t "$small" -d -o out/text text.tok
}

# corpus DOCUMENTS: two domains, as JSON Lines
corpus() {
	seq "$1" | awk '{ printf "{\"domain\":\"%s\",\"l1\":\"x\",\"portion\":\"p\",\"text\":\"document %d of some words\"}\n", $1 % 2 ? "odd" : "even", $1 }'
}

@test "m2d2-split: new" {
	mkdir before
	corpus 400 | gzip >in.jsonl.gz
	sweeps m2d2-split --dedupe -o out/d --format jsonl in.jsonl.gz
}

@test "m2d2-split: in place of other domains" {
	mkdir before
	corpus 100 >in.jsonl
	m2d2-split -o before/d in.jsonl
	corpus 400 >in.jsonl
	sweeps m2d2-split -o out/d in.jsonl
}

@test "order-domains: in place of another order" {
	printf '#palimpsest-domains 1\ndomain\tl1\tportion\ttrain_docs\ttrain_bytes\tvalid_docs\tvalid_bytes\ttest_docs\ttest_bytes\n' >domains.tsv
	printf '%s\tx\tp\t1\t%d\t1\t1\t1\t1\n' a 1 b 2 c 3 d 4 >>domains.tsv
	mkdir before
	order-domains --order random domains.tsv >before/order.tsv
	sweeps order-domains --order size -o out/order.tsv domains.tsv
}

@test "order-domains: on stdout" {
	printf '#palimpsest-domains 1\ndomain\tl1\tportion\ttrain_docs\ttrain_bytes\tvalid_docs\tvalid_bytes\ttest_docs\ttest_bytes\n' >domains.tsv
	printf '%s\tx\tp\t1\t%d\t1\t1\t1\t1\n' a 1 b 2 c 3 d 4 >>domains.tsv
	mkdir before
	files="" sweeps order-domains --order reverse domains.tsv
}

@test "transfer-matrix: in place of another" {
	printf '#palimpsest-order 1\nstep\tdomain\tl1\tportion\tcosine\n1\ta\tx\tp\t-\n2\tb\tx\tp\t0.5\n' >order.tsv
	{
		printf '#palimpsest-rows 1\nmodel\tmodel_hash\tdomain\tprotocol\tdata_hash\tnll\ttargets\tbytes\twindows\tppl\tbpb\tstderr\n'
		for m in M0 M1 M2; do
			for d in a b; do
				awk -v m=$m -v d=$d -v p="${#m}$((5 + ${m#M}))" 'BEGIN { printf "%s\th%s\t%s\tdisjoint\td%s\t%.17g\t100\t400\t1\t%s\t1\t0\n", m, m, d, d, 100 * log(p), p }'
			done
		done
	} >rows.tsv
	mkdir before
	transfer-matrix --order order.tsv --name old -o before/t rows.tsv >/dev/null
	sweeps transfer-matrix --order order.tsv -o out/t rows.tsv
}

# A corpus, the tiny model of toy.sh and token files of it.
toy() {
	sh "$root/tests/toy.sh" toy
	m2d2-split -q -o d toy/corpus.jsonl
	model-init -q -c toy/config.json -t toy/tokenizer -o m0
	tokenize -q -t m0 -o train.tok d/wood_a/train.txt
	tokenize -q -t m0 -o valid.tok d/wood_a/valid.txt
}

@test "cpt-step: in place of another model, with saved states" {
	toy
	mkdir before
	cp -r m0 before/m
	resumes=1 short_sweeps cpt-step -q --threads 1 -m m0 -o out/m --context 16 --batch 4 --steps 5 --save-every 2 train.tok
}

@test "ppl-eval: in place of other rows" {
	toy
	mkdir before
	ppl-eval -q --threads 1 --name other -o before/rows.tsv -m m0 v=valid.tok
	short_sweeps ppl-eval -q --threads 1 -o out/rows.tsv -m m0 v=valid.tok w=valid.tok
}

@test "embed-domains: new" {
	printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' alder birch cedar elm fir hazel maple oak pine rowan . >vocab.txt
	echo '{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
		"intermediate_size": 16, "max_position_embeddings": 32, "vocab_size": 16, "type_vocab_size": 2}' >bert.json
	model-init -q -c bert.json -o bert
	cp vocab.txt bert/
	toy
	mkdir before
	short_sweeps embed-domains -q --threads 1 -m bert -o out/vectors.tsv wood=d/wood_a/train.txt tools=d/tool.b/train.txt
}
