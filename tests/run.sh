#!/bin/sh
# run.sh [NAME...]: runs tests/unit/NAME (cmocka) and tests/NAME.bats, or those named, and counts.
# The last line is "N passed, N failed, N skipped"; exit 1 if anything failed or nothing ran.
set -u
# A run in the background, or under nohup, begins with signals ignored that tests send; a shell cannot undo that.
[ -n "${signals_reset-}" ] || signals_reset=1 exec env --default-signal=HUP,INT,TERM sh "$0" "$@"
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=$PWD/build}"
export BUILD PATH="$BUILD/bin:$PATH"
# A tool that gives up frees nothing.
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=0}"
# Tests ask for more memory than there is.
case $BUILD in *sanitize*) export ASAN_OPTIONS="allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}" ;; esac
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

if [ $# -eq 0 ]; then
	set --
	for t in tests/unit/*.c; do [ -e "$t" ] && set -- "$@" "unit/$(basename "$t" .c)"; done
	for t in tests/*.bats; do [ -e "$t" ] && set -- "$@" "$(basename "$t" .bats)"; done
fi

for t in "$@"; do
	echo "# $t"
	case $t in
	unit/*) CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD/tests/${t#unit/}" 2>&1 ;;
	*) bats --tap "tests/$t.bats" 2>&1 ;;
	esac
	code=$?
	[ $code -eq 0 ] || echo "# $t: exit $code"
	[ $code -lt 126 ] || echo "not ok - $t died with exit code $code"
done | tee "$log" | grep --line-buffered -vE '^(ok|TAP version|[0-9]+\.\.[0-9]+)' || :

skipped=$(grep -ciE '^ok .*# skip' "$log")
passed=$(($(grep -c '^ok' "$log") - skipped))
failed=$(grep -c '^not ok' "$log")
grep -iE '^ok .*# skip' "$log" | sed 's/^ok [0-9]* *-* */skipped: /'
grep '^not ok' "$log"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
