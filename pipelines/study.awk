# study.awk: a study file (palimpsest-study(5)) -> make variables for study.mk, and the table of runs in the file `runs`.
#	awk -v runs=RUNS.tsv -v folder=DIR -v bytes=PATTERN -v kinds=ORDERS -f study.awk STUDY
# Paths are taken from DIR; PATTERN is what numbers of bytes look like; ORDERS are all kinds of orders that there are, or empty if it is not known.
function fail(message) {
	print FILENAME ":" FNR ": " message > "/dev/stderr"
	exit failed = 3
}
function rest(   s) {
	s = $0
	sub(/^[ \t]*[^ \t]+[ \t]*/, "", s)
	sub(/[ \t]+$/, "", s)
	return s
}
function path(p) { return p ~ /^\// ? p : folder p }
function paths(   i, s) {
	for (i = 2; i <= NF; i++)
		s = s (i > 2 ? " " : "") path($i)
	return s
}
function clean(s, what) {
	if (s !~ /^[A-Za-z0-9][A-Za-z0-9._+,:-]*$/)
		fail(what ": letters, digits and . _ + , : - alone: " s)
}
# A value of an axis, as it is written everywhere.
function value(axis, v,   kind) {
	if (!(axis in base))
		fail("no axis '" axis "': there are" axes_text)
	clean(v, axis)
	if (axis == "model" ? !(v in model) : axis == "balanced" ? v !~ /^(no|yes)$/ : axis == "policy" ? v !~ /^(fresh|continued|rewarmed)$/ : \
	    axis == "optimizer" ? v !~ /^(fresh|kept)$/ : axis == "order" ? v !~ /^[a-z]+(:[^:]+)?$/ : v + 0 <= 0 || v !~ /^[0-9.]+([eE]-?[0-9]+)?$/)
		fail("not a value of '" axis "': " v)
	kind = v
	sub(/:.*/, "", kind)
	if (axis == "order" && kinds != "" && index(" " kinds " ", " " kind " ") == 0)
		fail("no such order: " v ": there are " kinds)
	if (axis == "order" && v == "random")
		fail("give it a seed: random:1")
	return v
}
# Runs of `base` with the axes of fix[1..n] set to each of their values.
function expand(at, n, setting,   i, a, v, count, list) {
	if (at > n) {
		add(setting)
		return
	}
	count = split(values[at], list, " ")
	for (i = 1; i <= count; i++)
		expand(at + 1, n, setting SUBSEP at "=" list[i])
}
function add(setting,   i, n, part, at, v, differs, run, name, kind) {
	for (i in base)
		run[i] = base[i]
	n = split(setting, part, SUBSEP)
	for (i = 2; i <= n; i++) {
		at = part[i]
		sub(/=.*/, "", at)
		v = part[i]
		sub(/^[^=]*=/, "", v)
		run[fixed[at]] = v
	}
	name = run["model"]
	for (i = 3; i <= n_axes; i++)
		if (run[axis[i]] != base[axis[i]])
			name = name "-" (run[axis[i]] == "yes" ? "" : run[axis[i]] ~ /^[0-9]/ ? axis[i] : axis[i] "-") (run[axis[i]] == "yes" ? axis[i] : run[axis[i]])
	if (seen[name, run["order"]]++)
		return
	if (!(name in orders)) {
		variant[++n_variants] = name
		for (i in run)
			is[name, i] = run[i]
	}
	kind = run["order"]
	sub(/:.*/, "", kind)
	v = run["order"]
	gsub(/[:,]/, "-", v)
	orders[name] = orders[name] (orders[name] == "" ? "" : " ") run["order"]
	table = table name "/" v "\t" run["model"] "\t" model[run["model"]] "\t" run["order"]
	for (i = 3; i <= n_axes; i++)
		table = table "\t" run[axis[i]]
	differs = ""
	for (i = 4; i <= n_axes; i++)
		if (run[axis[i]] != base[axis[i]])
			differs = differs (differs == "" ? "" : ",") axis[i]
	table = table "\t" (differs == "" ? "-" : differs) "\truns/" name "/matrix/" v "\truns/" name "/tables/" v "\n"
}
# Is it a masked language model?
function is_masked(m,   command, line, masked) {
	command = "cat '" model[m] "/config.json' 2>/dev/null"
	while ((command | getline line) > 0)
		if (line ~ /"model_type"[ \t]*:[ \t]*"(bert|roberta)"/)
			masked = 1
	close(command)
	return masked
}
# Models with the same tokenizer share tokens.
function tokenizer(m,   command, sum) {
	command = "cd '" model[m] "' 2>/dev/null && cat tokenizer.json vocab.json merges.txt vocab.txt encoder.json vocab.bpe 2>/dev/null | cksum"
	if ((command | getline sum) <= 0)
		sum = m
	close(command)
	gsub(/ /, "-", sum)
	return sum
}
BEGIN {
	n_axes = split("model order seed batch lr epochs balanced policy optimizer", axis, " ")
	split("- similar 1 16 5e-5 1 no fresh fresh", v, " ")
	for (i = 1; i <= n_axes; i++) {
		base[axis[i]] = v[i]
		axes_text = axes_text " " axis[i]
	}
	split("title corpus data split train-bytes test-bytes sbert embed base-text base-vectors start portions step eval keep given cells sample " \
		"tables tables-at table-flags ngrams ngram-flags bigbench bigbench-at bigbench-flags", w, " ")
	for (i in w)
		word[w[i]] = 1
	instead["corpus"] = "data"; instead["data"] = "corpus"; instead["base-text"] = "base-vectors"; instead["base-vectors"] = "base-text"
	is_path["corpus"] = is_path["data"] = is_path["sbert"] = is_path["base-text"] = is_path["base-vectors"] = is_path["given"] = is_path["ngrams"] = is_path["bigbench"] = 1
}
FNR == 1 { sub(/\/?$/, "/", folder) }
{ sub(/\r$/, "") }
/[$`\\;&|<>(){}*?!'"]/ && !/^[ \t]*(#|title[ \t])/ { fail("cannot work with this character: " substr($0, match($0, /[$`\\;&|<>(){}*?!'"]/), 1)) }
/^[ \t]*title[ \t]/ && /[$#'\\]/ { fail("cannot work with ' $ # or \\ in a title") }
{ sub(/(^|[ \t])#.*/, "") }
NF == 0 { next }
NF == 1 { fail("nothing behind '" $1 "'") }
$1 in word {
	if ($1 in setting)
		fail("'" $1 "' stands twice")
	if ($1 in instead && instead[$1] in setting)
		fail("'" $1 "' and '" instead[$1] "': one of them")
	if ($1 == "tables")
		for (i = 2; i <= NF; i++)
			if ($i !~ /^(classes|ranks)$/)
				fail("no such tables: " $i)
	if ($1 ~ /-at$/ && $0 !~ /^[ \t]*[a-z-]+[ \t]+[0-9]+[ \t]*$/)
		fail("'" $1 "' needs a number")
	if ($1 ~ /-bytes$/ && (NF != 2 || $2 !~ "^(" bytes ")$"))
		fail("'" $1 "' needs a number of bytes, perhaps with k, M or G")
	setting[$1] = $1 in is_path ? paths() : rest()
	if ($1 == "cells" && setting[$1] !~ /^(all|past|ends)$/ || $1 == "sample" && setting[$1] + 0 <= 0)
		fail("not a value of '" $1 "': " setting[$1])
	next
}
$1 == "model" {
	clean($2, "name of a model")
	if ($2 ~ /:/ || NF != 3)
		fail("model NAME DIR")
	if ($2 in model)
		fail("model '" $2 "' stands twice")
	model[$2] = path($3)
	models = models " " $2
	if (base["model"] == "-")
		base["model"] = $2
	next
}
$1 == "base" {
	if (varied)
		fail("'base' must stand before 'vary'")
	for (i = 2; i <= NF; i++) {
		if (!match($i, /=/))
			fail("base AXIS=VALUE...: " $i)
		name = substr($i, 1, RSTART - 1)
		base[name] = value(name, substr($i, RSTART + 1))
	}
	next
}
$1 == "vary" {
	varied = 1
	if (models == "")
		fail("'model' must stand before 'vary'")
	n = 1
	for (i = 2; i <= NF; i++) {
		fixed[n] = $i
		values[n] = ""
		for (i++; i <= NF && $i != "x"; i++)
			values[n] = values[n] " " value(fixed[n], $i)
		if (values[n] == "")
			fail("no values of '" fixed[n] "'")
		n++
	}
	expand(1, n - 1, "")
	next
}
{ fail("no such word: " $1) }
END {
	if (failed)
		exit failed
	if (models == "")
		fail("no model")
	if (!varied)
		add("")
	for (i = 1; i <= n_variants; i++)
		if (!("given" in setting) && " " orders[variant[i]] " " ~ / given /)
			fail("order given needs 'given FILE'")
	for (i = 1; i <= n_variants; i++)
		one[is_masked(is[variant[i], "model"]) + 0] = is[variant[i], "model"]
	if (0 in one && 1 in one)
		fail("models " one[0] " and " one[1] ": perplexity of a masked language model cannot be compared with another's: a study each")
	for (name in word)
		printf "study.%s := %s\n", name, setting[name]
	n = split(models, list, " ")
	for (i = 1; i <= n; i++) {
		printf "model.%s := %s\n", list[i], model[list[i]]
		sum = tokenizer(list[i])
		if (!(sum in first))
			first[sum] = list[i]
		same[list[i]] = first[sum]
	}
	for (i = 1; i <= n_variants; i++) {
		name = variant[i]
		m = is[name, "model"]
		all = all " " name
		texts = same[m] (is[name, "balanced"] == "yes" ? "-balanced" : "")
		# FT knows no sequence: it is trained with the base's seed and a fresh schedule.
		alone = m
		for (j = 4; j <= 7; j++)
			if (is[name, axis[j]] != base[axis[j]])
				alone = alone "-" axis[j] is[name, axis[j]]
		if (!(texts in made_texts)) {
			made_texts[texts] = 1
			all_texts = all_texts " " texts
			printf "texts.%s.model := %s\ntexts.%s.balanced := %s\n", texts, same[m], texts, is[name, "balanced"]
		}
		if (!(m in zero)) {
			zero[m] = 1
			zeros = zeros " " m
			printf "zero.%s.texts := %s\n", m, texts
		}
		if (!(alone in made_alone)) {
			made_alone[alone] = 1
			alones = alones " " alone
			print_flags("alone." alone, name)
			printf "alone.%s.texts := %s\n", alone, texts
		}
		print_flags("run." name, name)
		printf "run.%s.texts := %s\nrun.%s.alone := %s\nrun.%s.order := %s\nrun.%s.policy := %s\nrun.%s.lr := %s\n", name, texts, name, alone, \
			name, orders[name], name, is[name, "policy"], name, is[name, "lr"]
		printf "run.%s.seed := %s\nrun.%s.chain := %s\n", name, is[name, "seed"], name, is[name, "optimizer"] == "kept" ? "--keep-optimizer" : ""
	}
	printf "variants :=%s\ntexts :=%s\nzeros :=%s\nalones :=%s\nbase.seed := %s\n", all, all_texts, zeros, alones, base["seed"]
	printf "#palimpsest-study 1\tstudy.mk\nrun\tmodel\tmodel_dir\torder" > runs
	for (i = 3; i <= n_axes; i++)
		printf "\t%s", axis[i] > runs
	printf "\tvaried\tmatrix\ttables\n%s", table > runs
	close(runs)
}
function print_flags(prefix, name) {
	printf "%s.model := %s\n%s.step := --batch %s --lr %s --epochs %s\n", prefix, is[name, "model"], prefix, is[name, "batch"], \
		is[name, "lr"], is[name, "epochs"]
}
