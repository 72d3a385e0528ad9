#!/bin/sh
# order-by-gzip.sh: an order stage in sh and awk: a curriculum, from the domain whose text gzip makes smallest (repetitive,
# easy to predict) to the one that it hardly can. Does easy-to-hard forget less than similar-order?
#
#	make -f pipelines/cpt.mk ... ORDER=curriculum ORDER_DOMAINS='sh examples/stage/order-by-gzip.sh'
#
# Called like order-domains: options, each with its value (not needed here), and then domains.tsv, beside which the folders
# with the domains' texts are; writes order.tsv, palimpsest-order(5), on standard output.
set -eu
while [ $# -gt 1 ]; do
	case $1 in
	-q | --quiet | --*=*) shift ;;
	-*) shift 2 ;;
	*) break ;;
	esac
done
domains=${1:?usage: order-by-gzip.sh [options] domains.tsv}
dir=$(dirname "$domains")

# domain, l1, portion, by the header's names
awk -F '\t' -v OFS='\t' '
	/^#/ { next }
	!n++ { for (i = 1; i <= NF; i++) c[$i] = i; next }
	{ print $c["domain"], $c["l1"], $c["portion"] }' "$domains" |
	while IFS='	' read -r domain l1 portion; do
		whole=$(head -c 1000000 "$dir/$domain/train.txt" | wc -c)
		small=$(head -c 1000000 "$dir/$domain/train.txt" | gzip -c | wc -c)
		printf '%s\t%s\t%s\t%s\n' "$((small * 1000000 / whole))" "$domain" "$l1" "$portion"
	done |
	LC_ALL=C sort -t '	' -k1,1n -k2,2 |
	awk -F '\t' -v OFS='\t' '
		BEGIN { print "#palimpsest-order 1", "order-by-gzip.sh"; print "step", "domain", "l1", "portion", "cosine" }
		{ print NR, $2, $3, $4, "-" }
		END { exit NR == 0 }'
