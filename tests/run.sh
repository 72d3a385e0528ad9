#!/bin/sh
# run.sh [NAME...]: runs tests/unit/NAME (cmocka) and tests/NAME.bats, or those named, and counts.
# The last line is "N passed, N failed, N skipped"; exit 1 if anything failed or nothing ran.
# JOBS files at a time, by default as many as there are processors.
set -u
# A run in the background, or under nohup, begins with signals ignored that tests send; a shell cannot undo that.
[ -n "${signals_reset-}" ] || signals_reset=1 exec env --default-signal=HUP,INT,TERM sh "$0" "$@"
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=$PWD/build}"
export BUILD PATH="$BUILD/bin:$PATH"
# A tool that gives up frees nothing.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=0}"
# Tests ask for more memory than there is; and where a cancelled thread's frames were, ASan sees its own signal stack's end as an error.
case $BUILD in *sanitize*) export ASAN_OPTIONS="allocator_may_return_null=1:use_sigaltstack=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}" ;; esac
dir=$(mktemp -d) || exit 1
log=$dir/log
trap 'rm -rf "$dir"' EXIT

if [ $# -eq 0 ]; then
	set --
	for t in tests/*.bats; do [ -e "$t" ] && set -- "$@" "$(basename "$t" .bats)"; done # the long ones first
	for t in tests/unit/*.c; do [ -e "$t" ] && set -- "$@" "unit/$(basename "$t" .c)"; done
fi

# What NAME prints, in one piece.
# shellcheck disable=SC2016
one='
	out=$dir/$(echo "$1" | tr / -)
	{
		echo "# $1"
		case $1 in
		unit/*) CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD/tests/${1#unit/}" 2>&1 ;;
		*) bats --tap "tests/$1.bats" 2>&1 ;;
		esac
		code=$?
	} >"$out"
	planned=$(sed -n "s/^1\.\.\([0-9]*\)$/\1/p" "$out")
	ran=$(grep -cE "^(not )?ok " "$out")
	# a program that ends before its last test, or ill behind it, has failed, too
	if [ "${planned:-none}" != "$ran" ] || { [ $code -ne 0 ] && ! grep "^not ok" "$out" | grep -qv "# SKIP"; }; then
		echo "not ok - $1: $ran of ${planned:-unknown} tests ran, exit code $code" >>"$out"
	fi
	# cmocka says "not ok" of what it skips
	flock "$dir/lock" sed "s/^not ok \([0-9]*\) # SKIP \(.*\)/ok \1 - \2 # skip/" "$out"
'
export dir
printf '%s\n' "$@" | xargs -P "${JOBS:-$(nproc)}" -n 1 sh -c "$one" sh |
	tee "$log" | grep --line-buffered -vE '^(ok|TAP version|[0-9]+\.\.[0-9]+)' || :

skipped=$(grep -ciE '^ok .*# skip' "$log")
passed=$(($(grep -c '^ok' "$log") - skipped))
failed=$(grep -c '^not ok' "$log")
grep -iE '^ok .*# skip' "$log" | sed 's/^ok [0-9]* *-* */skipped: /'
grep '^not ok' "$log"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
