# study-figures.awk: what a figure of a study shows, from a table of study-stats, for the groups that LIST names.
#	awk -v figure=NAME -v files=PREFIX -v line=STEP -f study-figures.awk LIST TABLE.tsv
# For study-panels.gp: files PREFIX.1, PREFIX.2 ... with a curve each, and PREFIX.list; with a vertical line at STEP in panels with
# the order by similarity. For study-dots.gp (explain, classes): PREFIX.dots. Without anything to show, no file.
BEGIN { FS = OFS = "\t" }
FNR == NR { colour[$1] = ++groups; next }
/^#/ { next }
!c { for (i = 1; i <= NF; i++) col[$i] = i; c = 1; next }
function v(name) { return $col[name] }
!(v("group") in colour) { next }
function pct(x) { return x == "-" ? x : 100 * (exp(x) - 1) }
function minus(x) { return x == "-" ? x : -x }
function plus(x, y) { return x == "-" || y == "-" ? "-" : x + y }
# dash: 1 solid, 2 dashed
function curve(panel, name, hue, dash, value, lo, hi,   at) {
	at = panel SUBSEP name
	if (!(at in file)) {
		file[at] = files "." ++n
		print panel, name, hue, dash, (v("group") ~ /\/similar$/ ? line : 0), file[at] >(files ".list")
	}
	print v("step"), value, lo == "-" ? value : lo, hi == "-" ? value : hi >file[at]
}
function dot(panel, row, value, lo, hi) { print panel, row, v("group"), value, lo == "-" ? value : lo, hi == "-" ? value : hi >(files ".dots") }

figure == "forward" && v("transfer") != "-" {
	curve(v("portion") ": domains not trained yet", v("group"), colour[v("group")], 1, pct(minus(v("transfer"))), pct(minus(v("hi"))), pct(minus(v("lo"))))
}
figure == "explain" && v("correlation") == "partial" && v("value") != "-" {
	by = v("predictor")
	gsub(/-/, " ", by)
	sub(/similarity/, "similar", by)
	dot(v("outcome"), by, v("value"), v("lo"), v("hi"))
}
figure == "classes" && v("scope") == "all" && v("value") != "-" {
	dot(v("measure") == "CPT-ZS" ? "learned: CPT / ZS" : v("measure") == "LC-CPT" ? "forgotten: LC / CPT" : "left over: LC / ZS",
		v("class") == "all" ? "all tokens" : v("class"), pct(v("value")), pct(v("lo")), pct(v("hi")))
}
figure == "ranks" && v("tokens") == tokens && v("measure") == "mrr" && v("step") != "all" {
	if (v("where") == "own") {
		curve(v("group"), "M0", "zero", 2, v("zero"), "-", "-")
		curve(v("group"), "after its own step", "cpt", 1, v("value"), plus(v("zero"), v("lo")), plus(v("zero"), v("hi")))
	} else if (v("where") == "end")
		curve(v("group"), "at the end", "lc", 1, v("value"), plus(v("zero"), v("lo")), plus(v("zero"), v("hi")))
}
figure == "ranks-course" && v("measure") == "mrr" && (v("where") == "seen" || v("where") == "ahead") {
	curve(v("tokens") == "all" ? "all tokens" : "key n-grams", v("group") ": " (v("where") == "seen" ? "seen before" : "not seen yet"), colour[v("group")],
		v("where") == "seen" ? 1 : 2, v("change"), v("lo"), v("hi"))
}
figure == "bigbench" {
	half = v("stderr") == "-" ? 0 : 1.96 * v("stderr")
	curve(v("task") (v("shots") > 0 ? ", " v("shots") " shots" : "") (v("metric") == "normalized_aggregate_score" ? "" : " (" v("metric") ")"), v("group"),
		colour[v("group")], 1, v("value"), v("value") - half, v("value") + half)
}
