#!/usr/bin/awk -f
# order-by-turns.awk: an order stage in awk. One domain of each L1 group in turn, the largest first, so that neighbours in the
# sequence are as foreign to each other as the corpus allows: a question between similar-order and random-order.
#
#	make -f pipelines/cpt.mk ... ORDER=turns ORDER_DOMAINS='awk -f examples/stage/order-by-turns.awk --'
#
# Called like order-domains: options (--order, --seed, --portions and --vectors, each with its value; not needed here) and
# then domains.tsv; writes order.tsv, palimpsest-order(5), on standard output.
BEGIN {
	FS = OFS = "\t"
	for (i = 1; i < ARGC; i++) {
		option = ARGV[i]
		if (option !~ /^-/)
			continue
		delete ARGV[i]
		if (option !~ /=/ && option !~ /^(-q|--quiet)$/)
			delete ARGV[++i]
	}
}
/^#/ { next }
!head {
	for (i = 1; i <= NF; i++)
		column[$i] = i
	head = 1
	if (!("domain" in column) || !("l1" in column) || !("portion" in column))
		fail("no columns domain, l1 and portion")
	next
}
{
	n++
	domain[n] = $column["domain"]
	l1[n] = $column["l1"]
	portion[n] = $column["portion"]
	size[n] = "train_bytes" in column ? $column["train_bytes"] + 0 : 0
}
END {
	if (failed)
		exit failed
	if (!n)
		fail("no domains")
	for (step = 1; step <= n; step++) {
		best = 0
		for (i = 1; i <= n; i++)
			if (!done[i] && (!best || before(i, best)))
				best = i
		done[best] = 1
		turns[l1[best]]++
		if (step == 1) {
			print "#palimpsest-order 1", "order-by-turns.awk"
			print "step", "domain", "l1", "portion", "cosine"
		}
		print step, domain[best], l1[best], portion[best], "-"
	}
}
# The group with fewer turns so far comes first; then the larger domain; then the alphabet.
function before(a, b) {
	if (turns[l1[a]] + 0 != turns[l1[b]] + 0)
		return turns[l1[a]] + 0 < turns[l1[b]] + 0
	if (size[a] != size[b])
		return size[a] > size[b]
	return domain[a] < domain[b]
}
function fail(message) {
	print "order-by-turns.awk: " FILENAME ": " message > "/dev/stderr"
	exit failed = 3
}
