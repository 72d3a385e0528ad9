#!/bin/sh
# unequal.sh < CORPUS.jsonl > UNEQUAL.jsonl: domains of very different sizes, as real corpora have them.
#
# Of the first domain 480 kB are kept, of the second 240, the third 120, the fourth 60, the fifth 480 again and so on, each time
# with HELD bytes (default 80000) more, which m2d2-split then holds out for evaluation. Whole documents, from the head.
set -eu
: "${HELD:=80000}"
LC_ALL=C exec awk -v held="$HELD" '
match($0, /"domain":"[^"]*"/) {
	name = substr($0, RSTART, RLENGTH)
	if (!(name in quota))
		quota[name] = held + 480000 / 2 ^ (n++ % 4)
	if (quota[name] > 0) {
		print
		quota[name] -= length()
	}
}'
