# domains.awk: domains.tsv -> a make file with the names of the domains and the sizes of their texts, for cpt.mk.
# Every domain must have training and test text, and a name that make and the shell take as it is.
function fail(message) {
	print "cpt.mk: " FILENAME ": " message > "/dev/stderr"
	exit failed = 3
}
function size(file, max,   n) {
	if ((("wc -c <" file " 2>/dev/null") | getline n) <= 0 || n + 0 == 0)
		fail(file ": missing or empty")
	close("wc -c <" file " 2>/dev/null")
	return max && n + 0 > max ? max : n + 0
}
/^#/ { next }
!column {
	for (i = 1; i <= NF; i++)
		if ($i == "domain")
			column = i
	if (!column)
		fail("no column 'domain'")
	next
}
{
	name = $column
	if (name !~ /^[^[:space:][:cntrl:]'"`\\;&|<>(){}\[\]*?!~#:%$=,\/]+$/ || name ~ /^[-@.]/)
		fail("cannot work with this name of a domain: " name)
	names = names " " name
	steps = steps " " ++n
	train += size(data "/" name "/train.txt", train_bytes)
	test += one[name] = size(data "/" name "/test.txt", test_bytes)
}
END {
	if (failed)
		exit failed
	if (!n)
		fail("no domains")
	printf "domains :=%s\nsteps :=%s\ntrain_size := %d\ntest_size := %d\n", names, steps, train / n, test
	for (name in one)
		printf "test_size.%s := %d\n", name, one[name]
}
