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
	if [ -n "${PALIMPSEST_LONG:-}" ]; then few=100 step=16; else few=12 step=3; fi # all of the first, then some
}

wrong() {
	echo "FAULT=$fault $*"
	echo "exit $status: $(cat err)"
	ls -lR out
	return 1
}

# once COMMAND...: runs it with $fault and checks what the sweep promises
once() {
	rm -rf out hit
	cp -r before out
	status=0
	FAULT=$fault FAULT_HIT=hit LD_PRELOAD=$inject "$@" >stdout 2>err </dev/null || status=$?
	if [ ! -e hit ]; then
		[ "$status" -eq 0 ] || wrong "failed without a fault"
		diff -r out after || wrong "other output"
		return
	fi
	case $fault in
	*:short)
		[ "$status" -eq 0 ] && diff -r out after || wrong "a short write was not continued"
		;;
	*:kill | *:late)
		[ "$status" -eq 137 ] || wrong "not killed"
		rm -rf out/*.tmp.* # no stage reads these
		mv out/*.partial . 2>/dev/null || :
		diff -r out before >/dev/null || diff -r out after >/dev/null || wrong "output is half-written"
		mv ./*.partial out/ 2>/dev/null || :
		"$@" >stdout 2>err </dev/null || { status=$?; wrong "cannot be repeated"; }
		diff -r out after || wrong "repeated, it ends otherwise"
		;;
	*)
		if [ "$status" -eq 0 ]; then
			diff -r out after || wrong "said nothing and wrote something else"
		else
			[ "$status" -eq 1 ] || wrong "another exit code than 1"
			[ "$(wc -l <err)" -eq 1 ] || wrong "not one line"
			# If the last step cannot be made sure, both the old and the new stay.
			[[ $fault != fsync:* ]] || ! diff -r out/m after/m >/dev/null 2>&1 || rm -rf out/*.tmp.*
			diff -r out before >/dev/null || diff -r out after >/dev/null || wrong "output is half-written or not alone"
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
		n=$((n < few ? n + 1 : n + n / step))
	done
	echo "$kind $action: $n calls, $failed failures seen"
	[ "$n" -gt 1 ] || [ "$kind" = unlink ] || [ "$kind" = mkdir ]
}

# sweeps COMMAND...: all of them. before/ is what was there, out/ is written. Some failures must have been seen.
sweeps() {
	cp -r before out
	"$@" </dev/null
	rm -rf after
	mv out after
	for kind in write fsync rename open read malloc; do
		case $kind in
		write | fsync | rename | read) error=5 ;; # EIO
		open) error=24 ;;                         # EMFILE
		malloc) error=12 ;;
		esac
		sweep $kind $error "$@"
		[ "$failed" -gt 0 ]
	done
	sweep mkdir 28 "$@"
	sweep write 28 "$@" # ENOSPC
	sweep write short "$@"
	for kind in write fsync rename open mkdir unlink; do
		sweep $kind kill "$@"
	done
	sweep rename late "$@"
	# A disk that stays full.
	fault=write:1+:28 && once "$@"
	[ "$failed" -gt 0 ]
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
