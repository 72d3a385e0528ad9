# chain.awk: order.tsv -> make rules for one sequence of training steps, in terms of cpt.mk's `step`; and for each step a file in the folder
# steps, which holds its domain and is written when that is another than before: what was trained on another domain is older then.
function fail(message) {
	print "cpt.mk: " FILENAME ": " message > "/dev/stderr"
	exit failed = 3
}
# The learning rate of step k, where STEP_FLAGS alone do not say it.
function rate(k) {
	if (policy == "continued")
		return sprintf("--lr %.9g --lr-floor %.9g --schedule linear --warmup 0", lr * (n - k + 1) / n, lr * (n - k) / n)
	if (policy == "rewarmed")
		return sprintf("--lr %.9g --lr-floor %.9g --schedule cosine --warmup 0.1", lr, lr / 10)
	return ""
}
function note(file, domain,   old) {
	if ((getline old < file) > 0 && old == domain)
		return close(file)
	close(file)
	print domain > file
	close(file)
	if (old == "") # and nothing is older than the first
		system("touch -t 197001020000 " file)
}
BEGIN {
	for (i = split(domains, list, " "); i; i--)
		known[list[i]] = 1
	total = split(domains, list, " ")
}
/^#/ { next }
!(2 in column) {
	for (i = 1; i <= NF; i++)
		column[$i == "step" ? 1 : $i == "domain" ? 2 : -i] = i
	if (!(1 in column && 2 in column))
		fail("no columns 'step' and 'domain'")
	next
}
{
	name = $column[2]
	if ($column[1] != ++n)
		fail("step " $column[1] " where " n " is expected")
	if (!known[name]++)
		fail("not one of the domains: " name)
	if (known[name] > 2)
		fail("twice: " name)
	chain[n] = name
	all = all " " name
}
END {
	if (failed)
		exit failed
	if (n != total)
		fail(n " of " total " domains: an order must have all")
	printf "chain.%s :=%s\n", order, all
	for (k = 1; k <= n; k++) {
		note(steps "/" k, chain[k])
		printf "$(eval $(call step,%s,%d,%s,%d,%s,%s))\n", order, k, chain[k], k - 1, k < n ? k + 1 : "", rate(k)
	}
}
