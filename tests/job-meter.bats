#!/usr/bin/env bats
# job-meter: what it measures, that the command is as if it ran alone, and that the pipeline's trace has it.

load common

setup() {
	scratch
	# no counters, unless a test makes some
	meter=(job-meter --powercap "$PWD/none" -o took.tsv)
	export CUDA_VISIBLE_DEVICES=
}

# took COLUMN
took() { awk -F '\t' -v want="$1" '/^#/ { next } !n++ { for (i = 1; i <= NF; i++) if ($i == want) c = i; next } { print $c }' took.tsv; }

@test "standard input, output, arguments and exit code are the command's" {
	run --separate-stderr bash -c 'echo in | job-meter -o took.tsv -- sh -c '\''cat; echo "$1|$2" >&2; exit 7'\'' x "a b" -q'
	[ "$status" -eq 7 ]
	[ "$output" = in ]
	[ "$stderr" = 'a b|-q' ]
	[ "$(took exit)" = 7 ]
	[ "$(took host)" = "$(hostname)" ]
	[ "$(grep -vc '^#' took.tsv)" -eq 2 ]
}

@test "time, processor time and memory are those of the command" {
	"${meter[@]}" -- sleep 0.5
	awk -v a="$(took start)" -v b="$(took end)" -v c="$(took cpu_s)" 'BEGIN { exit !(b - a >= 0.5 && b - a < 5 && c < 0.4) }'
	small=$(took peak_kib)
	case ${BUILD:-} in *sanitize*) skip "memory is the sanitizer's" ;; esac
	"${meter[@]}" -- awk 'BEGIN { s = "x"; while (length(s) < 40000000) s = s s; for (i = 0; i < 2000000; i++) t += i }'
	[ "$(took peak_kib)" -gt $((small + 40000)) ]
	awk -v c="$(took cpu_s)" 'BEGIN { exit !(c > 0.02) }'
	[ "$(took energy_j)" = - ]
}

@test "energy: counters of packages, one that runs over, parts left out" {
	mkdir -p cap/intel-rapl:0 cap/intel-rapl:1 cap/intel-rapl:0:0 cap/other:0
	for p in cap/*; do echo 1000000 >"$p/energy_uj"; echo 262143000000 >"$p/max_energy_range_uj"; done
	echo 262142000000 >cap/intel-rapl:1/energy_uj
	# 30 J of the first, 1 J up to the end and 9 J more of the second; parts and others do not count
	job-meter --powercap cap -o took.tsv -- sh -c 'echo 31000000 >cap/intel-rapl:0/energy_uj; echo 9000000 >cap/intel-rapl:1/energy_uj
		echo 99000000 >cap/intel-rapl:0:0/energy_uj; echo 99000000 >cap/other:0/energy_uj; awk "BEGIN { for (i = 0; i < 5000000; i++) t += i }"'
	# of these 40 J, the share by processor time
	awk -v e="$(took energy_j)" 'BEGIN { exit !(e > 0 && e <= 40) }'
	# 40 J up to the end of the second alone, and none from there
	echo 262103000000 >cap/intel-rapl:1/energy_uj
	job-meter --powercap cap -o took.tsv -- sh -c 'echo 0 >cap/intel-rapl:1/energy_uj; awk "BEGIN { for (i = 0; i < 5000000; i++) t += i }"'
	awk -v e="$(took energy_j)" 'BEGIN { exit !(e > 0 && e <= 40) }'
	# nothing else can be busy where this command has all the time there is: then it is all
	rm -r cap/intel-rapl:1
	echo 1000000 >cap/intel-rapl:0/energy_uj
	job-meter --powercap cap -o took.tsv -- sh -c 'rm cap/intel-rapl:0/energy_uj'
	[ "$(took energy_j)" = - ]
}

@test "energy: counters of GPUs, those that are visible, beside those of packages" {
	nvml() { # ENVIRONMENT... -- COMMAND: of GPUs 0 to 2, the last without a counter
		local environment=()
		while [ "$1" != -- ]; do
			environment+=("$1")
			shift
		done
		shift
		mkdir -p gpu
		echo 5000000 >gpu/0 && echo 7000 >gpu/1 && echo - >gpu/2
		env -u CUDA_VISIBLE_DEVICES LD_LIBRARY_PATH="${BUILD:-$root/build}/tests/nvml" FAKE_NVML="$PWD/gpu" "${environment[@]}" "${meter[@]}" -- sh -c "$1"
		took energy_j
	}
	work='echo 5002500 >gpu/0; echo 17000 >gpu/1'
	[ "$(nvml -- "$work")" = 12.500 ]
	[ "$(nvml -- true)" = 0.000 ]
	[ "$(nvml CUDA_VISIBLE_DEVICES=1 -- "$work")" = 10.000 ]
	[ "$(nvml CUDA_VISIBLE_DEVICES=GPU-0f -- "$work")" = 2.500 ]
	[ "$(nvml CUDA_VISIBLE_DEVICES=1,0 -- "$work")" = 12.500 ]
	# nothing that can be read, for one reason or another
	[ "$(nvml CUDA_VISIBLE_DEVICES=1,-1,0 -- "$work")" = 10.000 ]
	[ "$(nvml CUDA_VISIBLE_DEVICES=2 -- "$work")" = - ]
	[ "$(nvml CUDA_VISIBLE_DEVICES= -- "$work")" = - ]
	[ "$(nvml FAKE_NVML_INIT=9 -- "$work")" = - ]
	[ "$(nvml FAKE_NVML="$PWD/nowhere" -- "$work")" = - ]
	# one that could be read and can no longer, or began anew
	[ "$(nvml -- 'rm gpu/1')" = - ]
	[ "$(nvml -- 'echo 0 >gpu/0')" = - ]
	# both kinds: at least what the GPUs took, at most that and all of the packages'
	mkdir -p cap/intel-rapl:0
	echo 262143000000 >cap/intel-rapl:0/max_energy_range_uj
	echo 0 >cap/intel-rapl:0/energy_uj
	meter=(job-meter --powercap cap -o took.tsv)
	nvml -- "$work; echo 30000000 >cap/intel-rapl:0/energy_uj; awk 'BEGIN { for (i = 0; i < 5000000; i++) t += i }'" |
		awk '{ exit !($1 > 12.5 && $1 <= 42.5) }'
}

@test "signals are passed on, and it dies as the command died" {
	"${meter[@]}" -- sh -c 'trap "echo saved >saved; exit 5" TERM; touch ready; while :; do sleep 0.1; done' &
	pid=$!
	while [ ! -e ready ]; do sleep 0.05; done
	kill -TERM $pid
	code=0
	wait $pid || code=$?
	[ $code -eq 5 ]
	[ -s saved ]
	[ "$(took exit)" = 5 ]
	code=0
	bash -c "$(printf '%q ' "${meter[@]}") -- sh -c 'kill -KILL \$\$'" 2>/dev/null || code=$?
	[ $code -eq 137 ]
	[ "$(took exit)" = 137 ]
}

@test "of a signal that leaves a core it has the code, and does not die" {
	# died SIGNAL: the command dies of it, if it was ignored before (QUIT in the background), too; what bash says of a
	# job-meter that dies is in err
	died() {
		local code=0
		bash -c 'ulimit -c 0; "$@"; exit $?' x "${meter[@]}" -- env --default-signal sh -c "kill -$1 \$\$" 2>err || code=$?
		[ $code -eq $((128 + $(kill -l "$1"))) ]
		[ "$(took exit)" = $code ]
	}
	died KILL
	[ -s err ]
	for s in QUIT ILL TRAP ABRT BUS FPE SEGV XCPU XFSZ SYS; do
		died $s
		[ ! -s err ] || { cat err; false; }
	done
}

@test "mistakes" {
	fails 2 'no command' -- job-meter -o took.tsv
	fails 2 '-o is missing' -- job-meter true
	[ ! -e took.tsv ]
	code=0
	"${meter[@]}" nowhere 2>err || code=$?
	[ $code -eq 127 ]
	[[ $(cat err) == *'cannot run nowhere'* ]]
	[ "$(took exit)" = 127 ]
	fails 1 'no/took.tsv' -- job-meter -o no/took.tsv touch ran
	[ ! -e ran ]
}

@test "the trace of a pipeline has a line for every job, the hash of what came out, and its cost" {
	sh "$root/tests/toy.sh" toy
	model-init -q -c toy/config.json -t toy/tokenizer -o m0 --seed 1
	go() {
		make --no-print-directory -f "$root/pipelines/cpt.mk" BIN="${BUILD:-$root/build}/bin" OUT=out CORPUS=toy/corpus.jsonl MODEL=m0 \
			SPLIT_FLAGS='--test-bytes 300 --valid-bytes 1' STEP_FLAGS='--batch 4 --lr 1e-3' EVAL_FLAGS='--protocol disjoint' \
			ORDER=random FT=0 THREADS=1 Q=-q gnuplot= "$@"
	}
	run go STEP=false
	[ "$status" -eq 2 ]
	go STEP="${BUILD:-$root/build}/bin/cpt-step" 2>/dev/null # who does not say so gets what was given last
	trace=out/.run/trace.tsv
	[ "$(cut -f 1 $trace | grep -v '^#' | sort | uniq -c | awk '{ print $2 ":" $1 }' | tr '\n' ' ')" = \
		"evaluate:4 matrix:1 order:1 split:1 stage:1 tokenize:6 train:4 " ]
	awk -F '\t' 'NR > 2 && (NF != 11 || $3 < $2) { exit 1 }' $trace
	[ "$(awk -F '\t' '$1 == "train" && $9 != 0 { print $7 " " $9 " " $10 }' $trace)" = '1 1 -' ]
	awk -F '\t' '$1 == "evaluate" && $11 ~ "/M3[.]tsv$" { print $10 "  " $11 }' $trace | sha256sum -c --quiet
	[ "$(awk -F '\t' '$1 == "train" && $11 ~ "/M3[.]done$" { print $10 }' $trace)" = "$(sha256sum <out/random/M3/model.safetensors | cut -d' ' -f 1)" ]
	sh "$root/pipelines/cost.sh" . >cost.tsv
	[ "$(awk -F '\t' '$1 == "train" { print $2 " " $3 }' cost.tsv)" = '4 1' ]
	[ "$(awk -F '\t' '$1 == "all" { print $2 " " $7 }' cost.tsv)" = "17 $([ -r /sys/class/powercap/intel-rapl:0/energy_uj ] && awk -F '\t' '$1 == "all" { print $7 }' cost.tsv || echo missing)" ]
	sh "$root/pipelines/disk.sh" out >disk.tsv
	[ "$(awk -F '\t' '$1 == "weights" { print $2 }' disk.tsv)" = 3 ]
	# without a meter the clock is known, and no more
	rm -r out
	go JOB_METER= 2>/dev/null
	[ "$(awk -F '\t' '$1 == "train" { print $4 $5 }' $trace | sort -u)" = -- ]
}
