#!/bin/sh
# to-jsonl.sh DIR > demo24.jsonl: a corpus of one .txt.gz file per domain as labelled documents, for m2d2-split.
#
# DIR/domains.tsv     part, L1, L2 (the domain), ... after a header line
# DIR/docs.tsv.gz     domain, doc_id, title, first_line, n_lines, ... after a header line
# DIR/text/L2.txt.gz  the documents, several lines each, in that order
#
# A document's lines stay apart as "\n" in its text.
set -eu
dir=${1:?usage: to-jsonl.sh DIR > FILE}
for f in domains.tsv docs.tsv.gz; do
	[ -r "$dir/$f" ] || { echo "to-jsonl.sh: $dir: no $f there" >&2; exit 1; }
done
gzip -dc "$dir/docs.tsv.gz" | LC_ALL=C exec awk -F '\t' -v dir="$dir" '
BEGIN {
	file = dir "/domains.tsv"
	for (header = 1; (getline < file) > 0; header = 0)
		if (!header) {
			portion[$3] = $1
			l1[$3] = $2
		}
	close(file)
	for (i = 1; i < 32; i++)
		escape[sprintf("%c", i)] = sprintf("\\u%04x", i)
	escape["\""] = "\\\""
	escape["\\"] = "\\\\"
	escape["\t"] = "\\t"
}
NR == 1 { next }
$1 != domain {
	if (domain != "")
		close(text)
	domain = $1
	line = 0
	if (!(domain in l1))
		fail("docs.tsv.gz:" NR ": domain " domain " is not in domains.tsv")
	quoted = domain
	gsub("\047", "\047\\\047\047", quoted)
	shell_dir = dir
	gsub("\047", "\047\\\047\047", shell_dir)
	text = "gzip -dc \047" shell_dir "/text/" quoted ".txt.gz\047"
}
{
	if ($4 != line + 1)
		fail("docs.tsv.gz:" NR ": document does not start behind the one before")
	printf "{\"domain\":%s,\"l1\":%s,\"portion\":%s,\"text\":\"", json(domain), json(l1[domain]), json(portion[domain])
	for (n = $5; n > 0; n--) {
		if ((text | getline s) <= 0)
			fail(domain ".txt.gz ends after line " line)
		line++
		printf "%s%s", encode(s), (n > 1) ? "\\n" : ""
	}
	print "\"}"
}
function json(s) { return "\"" encode(s) "\"" }
function encode(s,   i, c, out) {
	if (s !~ /["\\\001-\037]/)
		return s
	out = ""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1)
		out = out (c in escape ? escape[c] : c)
	}
	return out
}
function fail(why) {
	print "to-jsonl.sh: " why > "/dev/stderr"
	exit 3
}'
