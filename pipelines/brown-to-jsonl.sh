#!/bin/sh
# brown-to-jsonl.sh DIR > brown.jsonl: the Brown corpus as labelled documents, the input of m2d2-split --format jsonl.
#
# DIR holds the tagged samples ca01 ... cr09 ("The/at Fulton/np-tl County/nn-tl", a sentence a line, paragraphs apart)
# and cats.txt ("ca01 news"). Every line of the output is {"domain", "l1", "portion", "text"}: the genre, its group, and
# which of Brown's two halves (informative or imaginative prose) it belongs to.
#
# A document is a run of whole paragraphs of one sample, of at least WORDS words (default 400; 0: the whole sample). Brown's
# 500 samples of 2000 words are too few to be the documents: science fiction has 6, humor 9, so that their test text
# would be a single author's. The price: a test document may come from the same sample as a training document and share
# its names and topic with it, and perplexities are lower than on unseen sources, for all checkpoints alike.
set -eu
dir=${1:?usage: brown-to-jsonl.sh DIR > brown.jsonl}
[ -r "$dir/cats.txt" ] || { echo "brown-to-jsonl.sh: $dir: no cats.txt there" >&2; exit 1; }

cd "$dir"
# sample names are checked, so that the list can be given unquoted
files=$(LC_ALL=C awk 'NF != 2 || $1 !~ /^c[a-r][0-9][0-9]$/ { exit 3 } { print $1 }' cats.txt) ||
	{ echo "brown-to-jsonl.sh: $dir/cats.txt: expected lines like 'ca01 news'" >&2; exit 3; }
# shellcheck disable=SC2086
LC_ALL=C exec awk -v min_words="${WORDS:-400}" '
BEGIN {
	n = split("news editorial reviews", g); while (n) l1[g[n--]] = "press"
	n = split("religion hobbies lore belles_lettres government learned", g); while (n) l1[g[n--]] = "informative"
	n = split("humor fiction mystery science_fiction adventure romance", g); while (n) l1[g[n--]] = "imaginative"
}
FILENAME == "cats.txt" {
	if (!($2 in l1)) {
		print "brown-to-jsonl.sh: cats.txt: unknown genre " $2 > "/dev/stderr"
		exit bad = 3
	}
	genre[$1] = $2
	next
}
FNR == 1 { end_sample(); domain = genre[FILENAME] }
/^\t/ || !NF { end_paragraph() }
NF { for (i = 1; i <= NF; i++) word($i) }
END { if (!bad) end_sample() }

# One tagged word: the tag follows the last slash ("1/2/cd"). Puts it after what the paragraph has, spaced as in print.
function word(token,   k, tag) {
	k = match(token, /\/[^\/]*$/)
	if (!k)
		return
	tag = substr(token, k + 1)
	token = substr(token, 1, k - 1)
	if (headline && tag !~ /-hl/)
		end_paragraph()
	headline = tag ~ /-hl/
	if (token == previous && tag ~ /^\./ && token ~ /^[;?!]$/) { # the corpus has these twice: "!/. !/."
		previous = ""
		return
	}
	if (token == "." && previous ~ /\.$/) # "Jr./np ./."
		return
	previous = token
	if (token == "\047" && tag ~ /^\047/) # single quotes have one sign for both sides
		token = (single = !single) ? "`" : "\047"
	if (para != "" && !glue && token !~ /^([,.;:?!)\]]|\047\047?)$/)
		para = para " "
	glue = token ~ /^([(\[]|``?)$/
	if (token == "``" || token == "\047\047")
		token = "\""
	else if (token == "`")
		token = "\047"
	para = para token
	words++
}
function end_paragraph() {
	if (para == "")
		return
	text = text (text == "" ? "" : "\n") para
	para = previous = ""
	glue = single = headline = 0
	if (min_words && words >= min_words) {
		put(ready)
		ready = text
		text = ""
		words = 0
	}
}
function end_sample() {
	end_paragraph()
	if (words < min_words / 2 && ready != "") { # a short rest joins the last document
		text = ready (text == "" ? "" : "\n") text
		ready = ""
	}
	put(ready)
	put(text)
	ready = text = ""
	words = 0
}
function put(text) {
	if (text == "")
		return
	gsub(/\\/, "\\\\&", text)
	gsub(/"/, "\\\"", text)
	gsub(/\t/, " ", text)
	gsub(/\n/, "\\n", text)
	printf "{\"domain\":\"%s\",\"l1\":\"%s\",\"portion\":\"%s\",\"text\":\"%s\"}\n", domain, l1[domain],
		l1[domain] == "imaginative" ? "imaginative" : "informative", text
}' cats.txt $files
