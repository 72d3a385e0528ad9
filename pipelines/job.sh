#!/bin/sh
# job.sh [-a] [-c] [-d DIR] [-m FILE] TARGET LABEL COMMAND...: one recipe of cpt.mk.
#
# Prints a line (what is done of the whole, time, time left, LABEL), runs COMMAND, and sees to it that TARGET appears
# whole or not at all:
#   -c      what COMMAND writes on standard output becomes TARGET
#   -d DIR  COMMAND makes the model directory DIR; TARGET becomes a line with the hash of its weights
#   else    COMMAND makes TARGET itself, under that condition
#   -m FILE COMMAND contains job-meter, which leaves in FILE what it took
#   -a      COMMAND adds to what TARGET holds
#
# At the end, whether it was well or not, a line is added to RUN/trace.tsv (palimpsest-study(5)).
#
# What runs is never run twice at the same time: after kill -9 of make its jobs live on, and a new make's job waits here for
# the old one and takes over its result; with -a it begins then, for the old one may have been asked for less. SIGTERM, SIGINT
# and SIGHUP are passed on to COMMAND, which saves and ends.
#
# RUN is a folder for locks, the log (standard output of jobs without -c), session (with the time when this make began) and
# plan: lines "KIND BYTES TARGET" of all jobs there are. LABEL, if it is set, stands before every label.
set -eu

capture='' dir='' meter='' adds=''
while :; do
	case $1 in
	-a) adds=1 && shift ;;
	-c) capture=1 && shift ;;
	-d) dir=$2 && shift 2 ;;
	-m) meter=$2 && shift 2 ;;
	*) break ;;
	esac
done
target=$1 label=$2
shift 2

clock() # SECONDS
{
	if [ "$1" -ge 3600 ]; then
		printf '%d:%02d:%02d' $(($1 / 3600)) $(($1 / 60 % 60)) $(($1 % 60))
	else
		printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
	fi
}

# The time left goes by text passed through the model, three times as dear in training, and something for each start. It is
# told once such work has been finished since this make's first, whose start is the time of the file model.
say()
{
	total=0 finished=0 work=0 worked=0
	while read -r kind bytes file; do
		case $kind in
		train) cost=$((3 * bytes + 40000)) ;;
		eval) cost=$((bytes + 40000)) ;;
		*) cost=0 ;;
		esac
		total=$((total + 1))
		if [ "$file" = "$target" ]; then
			work=$((work + cost))
			# shellcheck disable=SC3013 # -nt is in POSIX since 2024, and was in these shells before
			[ $cost -eq 0 ] || [ "$RUN/model" -nt "$RUN/session" ] || echo "$began" >"$RUN/model"
		elif [ ! -e "$file" ]; then
			work=$((work + cost))
		else
			finished=$((finished + 1))
			# shellcheck disable=SC3013
			[ ! "$file" -nt "$RUN/session" ] || worked=$((worked + cost))
		fi
	done <"$RUN/plan"
	read -r session <"$RUN/session"
	left=
	if [ $worked -gt 0 ]; then
		read -r model <"$RUN/model"
		left=", about $(clock $(((began - model) * (work / 1000) / (worked / 1000 + 1)))) left"
	fi
	echo "[$finished/$total, $(clock $((began - session)))$left] ${LABEL-}$label" >&2
}

# Each program that is called takes a millisecond of every job, so none is that has nothing to do.
directory_of() # FILE
{
	[ -d "${1%/*}" ] || mkdir -p "${1%/*}"
}
remove_old() # FILE...
{
	for old; do
		[ ! -e "$old" ] || rm -f "$old"
	done
}

directory_of "$target"
if command -v flock >/dev/null; then
	# no pipe: of one, a part could be killed, and the name of the lock be another
	sum=$(cksum <<-END
		$target
	END
	)
	lock=$RUN/${sum%% *}-${sum##* }.lock
	exec 9>"$lock"
	if ! flock -n 9; then
		before=$(stat -c %y "$target" 2>/dev/null || :)
		echo "$label: waiting for an earlier run that still works on it" >&2
		flock 9
		[ "$adds" ] || [ "$(stat -c %y "$target" 2>/dev/null || :)" = "$before" ] || exit 0
	fi
fi
began=$(date +%s)
[ ! -s "$RUN/plan" ] || say

# trace EXIT: what it took by job-meter, or by this shell's clock
trace()
{
	case ${target#"${RUN%/.run}"} in # whatever the folders above are called
	*/text/* | */tok/* | */counts.tok) stage=tokenize ;;
	*/data/domains.tsv) stage='split' ;;
	*vectors/* | *vectors.tsv) stage=embed ;;
	*/ngrams.tsv) stage=key-ngrams ;;
	*/tables/*) stage=evaluate-tokens ;;
	*/bigbench/*) stage=bigbench ;;
	*/order.tsv) stage=order ;;
	*/ft/*) stage=train-alone ;;
	*/rows/FT-*) stage=evaluate-alone ;;
	*/rows/*) stage=evaluate ;;
	*.done) stage=train ;;
	*/matrix/*) stage=matrix ;;
	*) stage=report ;;
	esac
	hash=-
	if [ "$1" -eq 0 ]; then
		# of a checkpoint, that of its weights
		if [ "$dir" ]; then read -r hash rest <"$target"; else hash=$(sha256sum <"$target") && hash=${hash%% *}; fi
	fi
	if [ -n "$meter" ] && [ -s "$meter" ]; then
		while read -r line; do took=$line; done <"$meter"
	else
		took=$(printf '%s\t%s\t-\t-\t-\t%s\t-' "$began" "$(date +%s)" "$1")
	fi
	printf '%s\t%s\t%s\t%s\t%s\n' "$stage" "$took" "$1" "$hash" "$target" >>"$RUN/trace.tsv" || :
}

remove_old "$target".tmp.*
[ -z "$meter" ] || { directory_of "$meter" && remove_old "$meter" "$meter".tmp.*; }
out=$target.tmp.$$
child=
ended()
{
	[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child" || :; }
	rm -f "$out"
	trace $((128 + $1)) || :
	exit $((128 + $1))
}
trap 'ended 1' HUP
trap 'ended 2' INT
trap 'ended 15' TERM

# As sha256sum writes it; openssl(1), where it is, knows the processor's own instructions, and takes a quarter of the time.
sums() # FILE...
{
	if list=$(openssl dgst -sha256 -r "$@" 2>/dev/null); then echo "$list" | sed 's/ [*]/  /'; else sha256sum "$@"; fi
}

# In the background, so that the traps work while it runs.
if [ "$capture" ]; then
	"$@" >"$out" &
else
	"$@" >>"$RUN/log" &
fi
child=$!
code=0
wait $child || code=$?
child=
if [ $code -eq 0 ] && [ "$dir" ] && ! (cd "$dir" && sums ./*.safetensors) >"$out" 2>/dev/null; then
	echo "$label: no model in $dir, though the command ended well" >&2
	code=1
fi
if [ $code -ne 0 ]; then
	rm -f "$out"
	trace $code || :
	exit $code
fi
if [ "$capture$dir" ]; then
	sync "$out"
	mv "$out" "$target"
	sync "${target%/*}"
fi
trace 0
