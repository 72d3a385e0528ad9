#!/bin/sh
# unequal.sh < CORPUS.jsonl > UNEQUAL.jsonl: domains of very different sizes, as real corpora have them.
#
# Of the first domain LARGEST bytes are kept (default 320000), of the second half of it, the third a quarter, the fourth an eighth,
# the fifth LARGEST again and so on, each time with HELD bytes (default 80000) more, which m2d2-split then holds out for
# evaluation. Whole documents, from the head.
set -eu
: "${LARGEST:=320000}" "${HELD:=80000}"
LC_ALL=C exec awk -v held="$HELD" -v largest="$LARGEST" '
match($0, /"domain":"[^"]*"/) {
	name = substr($0, RSTART, RLENGTH)
	if (!(name in quota))
		quota[name] = held + largest / 2 ^ (n++ % 4)
	if (quota[name] > 0) {
		print
		quota[name] -= length()
	}
}'
