# perplexity.awk: the perplexity of each domain in a rows file, and over all of them, as a table.
#	awk -F '\t' [-v markdown=1] -f perplexity.awk rows.tsv
/^#/ { next }
!("nll" in col) { for (i = 1; i <= NF; i++) col[$i] = i; next }
$1 != "model" {
	line($col["domain"], $col["ppl"])
	nll += $col["nll"]
	targets += $col["targets"]
}
END {
	if (!targets)
		exit 3
	line("all together", exp(nll / targets))
}
function line(name, ppl) {
	if (markdown && !head++)
		print "| text | perplexity |\n| --- | ---: |"
	printf(markdown ? "| %s | %.1f |\n" : "%-60s %8.1f\n", name, ppl)
}
