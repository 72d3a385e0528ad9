#!/usr/bin/env bats
load common

# Eight domains in two portions, and vectors in a plane: the angles from the base, in degrees, are known.
setup() {
	scratch
	domains wiki/A/A__x:100 wiki/A/A__y:300 wiki/B/B__x:200 s2orc/cs/cs.AI:50 s2orc/cs/cs.CL:400 s2orc/math/math.AG:200 \
		s2orc/math/math.NT:10 wiki/B/B__y:250 > domains.tsv
	vectors @base:0 A__x:50 A__y:20 B__x:-25 B__y:90 cs.AI:100 cs.CL:130 math.AG:-60 math.NT:-80 > vectors.tsv
}

domains() {
	printf '#palimpsest-domains 1\tby hand\ndomain\tl1\tportion\ttrain_docs\ttrain_bytes\tvalid_docs\tvalid_bytes\ttest_docs\ttest_bytes\n'
	local d
	for d; do
		awk -v d="$d" 'BEGIN { split(d, a, /[\/:]/); printf "%s\t%s\t%s\t1\t%s\t1\t1\t1\t1\n", a[3], a[2], a[1], a[4] }'
	done
}

vectors() {
	printf '#palimpsest-vectors 1\tby hand\ndomain\tn\tv0\tv1\n'
	local v
	for v; do # lengths differ on purpose
		awk -v v="$v" 'BEGIN { split(v, a, ":"); r = 1 + length(a[1]); t = a[2] * atan2(0, -1) / 180
			printf "%s\t10\t%.12f\t%.12f\n", a[1], r * cos(t), r * sin(t) }'
	done
}

# The domains in sequence, on one line.
sequence() {
	order-domains "$@" | tail -n +3 | cut -f 2 | xargs
}

@test "similar: the nearest to @base, then always the nearest, wiki before s2orc" {
	# angles: 20 (from 0), 50 (30 away; -25 is 45 away), 90 (40), -25 | from -25: -60, -80, 100, 130
	[ "$(sequence --vectors vectors.tsv domains.tsv)" = "A__y A__x B__y B__x math.AG math.NT cs.CL cs.AI" ]
	{ head -n 2 domains.tsv && tail -n +3 domains.tsv | sort -r; } > d.tsv # s2orc stands first
	[ "$(sequence --vectors vectors.tsv d.tsv)" = "A__y A__x B__y B__x math.AG math.NT cs.CL cs.AI" ]
}

@test "similar: form and cosines of the output" {
	order-domains --vectors vectors.tsv domains.tsv > order.tsv
	[ "$(head -n 1 order.tsv)" = "$(printf '#palimpsest-order 1\torder-domains 0.1.0 --order similar --seed 0\tinputs %s' "$(sha_of domains.tsv vectors.tsv)")" ]
	[ "$(sed -n 2p order.tsv)" = "$(printf 'step\tdomain\tl1\tportion\tcosine')" ]
	[ "$(sed -n 3p order.tsv)" = "$(printf '1\tA__y\tA\twiki\t0.93969262')" ]  # cos 20
	[ "$(sed -n 4p order.tsv)" = "$(printf '2\tA__x\tA\twiki\t0.86602540')" ]  # cos 30
	[ "$(sed -n 7p order.tsv)" = "$(printf '5\tmath.AG\tmath\ts2orc\t0.81915204')" ] # cos 35
	[ "$(tail -n 1 order.tsv)" = "$(printf '8\tcs.AI\tcs\ts2orc\t0.86602540')" ]
	[ "$(wc -l < order.tsv)" -eq 10 ]
}

@test "the first line has the hash of what was read: domains, the order given, vectors" {
	inputs() { order-domains "$@" 2>/dev/null | sed -n '1s/.*\tinputs //p'; }
	[ "$(inputs --order random domains.tsv)" = "$(sha_of domains.tsv)" ]
	[ "$(inputs --order random - <domains.tsv)" = "$(sha_of domains.tsv)" ]
	echo cs.AI >list
	[ "$(inputs --order given --given list --vectors vectors.tsv domains.tsv)" = "$(sha_of domains.tsv list vectors.tsv)" ]
	[ "$(inputs --order given --given - domains.tsv <list)" = "$(sha_of domains.tsv list)" ]
	order-domains --order random domains.tsv >order.tsv
	[ "$(inputs --order given --given order.tsv domains.tsv)" = "$(sha_of domains.tsv order.tsv)" ]
	gzip -k domains.tsv
	[ "$(inputs --order random domains.tsv.gz)" = "$(sha_of domains.tsv.gz)" ]
}

@test "similar: portions swapped, joined, or one of them" {
	# s2orc from 0: -60, -80, then 100 (180 away) or 130 (150): cs.CL, cs.AI | then from 100: 90, 50, 20, -25
	[ "$(sequence --vectors vectors.tsv --portions s2orc,wiki domains.tsv)" = "math.AG math.NT cs.CL cs.AI B__y A__x A__y B__x" ]
	# all: 20, 50, 90, 100, 130 | from 130: -80 (150), then -60, -25
	[ "$(sequence --vectors vectors.tsv --portions s2orc+wiki domains.tsv)" = "A__y A__x B__y cs.AI cs.CL math.NT math.AG B__x" ]
	run --separate-stderr order-domains --vectors vectors.tsv --portions s2orc domains.tsv
	[ "$status" -eq 0 ]
	[ "$(tail -n +3 <<< "$output" | cut -f 2 | xargs)" = "math.AG math.NT cs.CL cs.AI" ]
	[ "${#stderr_lines[@]}" -eq 4 ]
	[[ $stderr == *"left out: A__x: portion wiki"* ]]
}

@test "similar: without wiki, portions as they first appear" {
	domains b/g/d1:1 a/g/d2:1 b/g/d3:1 > d.tsv
	vectors @base:0 d1:50 d2:10 d3:20 > v.tsv
	[ "$(sequence --vectors v.tsv d.tsv)" = "d3 d1 d2" ]
}

@test "similar: ties go by name, whatever the table's sequence" {
	domains p/g/c:1 p/g/a:1 p/g/d:1 p/g/b:1 > d.tsv
	printf '#palimpsest-vectors 1\ndomain\tn\tv0\tv1\nb\t1\t1\t1\na\t1\t1\t-1\nc\t1\t1\t1\nd\t1\t1\t-1\n@base\t1\t2\t0\n' > v.tsv
	[ "$(sequence --vectors v.tsv d.tsv)" = "a d b c" ]
}

@test "--start needs no @base" {
	grep -v @base vectors.tsv > v.tsv
	order-domains --vectors v.tsv --start B__x domains.tsv > order.tsv
	[ "$(tail -n +3 order.tsv | cut -f 2 | head -n 4 | xargs)" = "B__x A__y A__x B__y" ]
	[ "$(sed -n 3p order.tsv | cut -f 5)" = - ]
	[ "$(sequence --vectors vectors.tsv --start B__x domains.tsv | cut -d ' ' -f 1-4)" = "B__x A__y A__x B__y" ]
	[ "$(order-domains --vectors vectors.tsv --start B__x domains.tsv | sed -n 3p | cut -f 5)" = 0.90630779 ] # cos 25
}

@test "farthest: least covered first" {
	domains p/g/a:1 p/g/b:1 p/g/c:1 p/g/d:1 > d.tsv
	vectors @base:0 a:10 b:170 c:80 d:-60 > v.tsv
	# distances to the nearest of {0}: 10 170 80 60 -> b; to {0, 170}: 10 80 60 -> c; then d, then a
	[ "$(sequence --order farthest --vectors v.tsv d.tsv)" = "b c d a" ]
}

@test "random: a permutation by seed and names alone" {
	a=$(sequence --order random --seed 1 domains.tsv)
	b=$(sequence --order random --seed 2 domains.tsv)
	[ "$a" != "$b" ]
	[ "$(tr ' ' '\n' <<< "$a" | sort | xargs)" = "A__x A__y B__x B__y cs.AI cs.CL math.AG math.NT" ]
	{ head -n 2 domains.tsv; tail -n +3 domains.tsv | sort -r; } > d.tsv
	[ "$(sequence --order random --seed 1 d.tsv)" = "$a" ]
	# over many seeds each domain is first about as often: 200 / 8 = 25, standard deviation 4.7
	for s in $(seq 200); do sequence --order random --seed "$s" domains.tsv | cut -d ' ' -f 1; done > firsts
	[ "$(sort firsts | uniq -c | awk '$1 >= 8 && $1 <= 46' | wc -l)" -eq 8 ]
	p=$(sequence --order random --portions s2orc,wiki domains.tsv)
	[ "$(cut -d ' ' -f 1-4 <<< "$p" | tr ' ' '\n' | sort | xargs)" = "cs.AI cs.CL math.AG math.NT" ]
}

@test "random with vectors has cosines, without them none" {
	order-domains --order random domains.tsv | tail -n +3 | cut -f 5 | sort -u | grep -qx -e -
	[ "$(order-domains --order random --vectors vectors.tsv domains.tsv | tail -n +3 | cut -f 5 | grep -c -E '^-?[01]\.[0-9]{8}$')" -eq 8 ]
}

@test "size, interleave, reverse" {
	[ "$(sequence --order size domains.tsv)" = "cs.CL A__y B__y B__x math.AG A__x cs.AI math.NT" ]
	[ "$(sequence --order size --portions s2orc,wiki domains.tsv)" = "cs.CL math.AG cs.AI math.NT A__y B__y B__x A__x" ]
	[ "$(sequence --order interleave domains.tsv)" = "A__x B__x cs.AI math.AG A__y B__y cs.CL math.NT" ]
	# groups that stand in both portions: what one took in the first does not count in the second
	domains wiki/cs/a1:1 wiki/cs/a2:1 s2orc/cs/b1:1 s2orc/math/b2:1 s2orc/math/b3:1 >d.tsv
	[ "$(sequence --order interleave --portions wiki,s2orc d.tsv)" = "a1 a2 b1 b2 b3" ]
	[ "$(sequence --order interleave --portions s2orc,wiki d.tsv)" = "b1 b2 b3 a1 a2" ]
	[ "$(sequence --order interleave --portions s2orc+wiki d.tsv)" = "a1 b2 a2 b3 b1" ]
	[ "$(sequence --order reverse domains.tsv)" = "B__y math.NT math.AG cs.CL cs.AI B__x A__y A__x" ]
}

@test "given: names, an order, a part; reverse of it" {
	printf 'cs.CL\nA__x\n\nmath.NT' > list
	run --separate-stderr order-domains --order given --given list domains.tsv
	[ "$status" -eq 0 ]
	[ "$(tail -n +3 <<< "$output" | cut -f 1,2 | xargs)" = "1 cs.CL 2 A__x 3 math.NT" ]
	[ "${#stderr_lines[@]}" -eq 5 ]
	[ "$(order-domains --order reverse --given list domains.tsv 2> /dev/null | tail -n +3 | cut -f 2 | xargs)" = "math.NT A__x cs.CL" ]
	order-domains --vectors vectors.tsv -o order.tsv domains.tsv
	order-domains --order given --given order.tsv --vectors vectors.tsv domains.tsv > again.tsv
	cmp <(tail -n +2 order.tsv) <(tail -n +2 again.tsv)
	[ "$(sequence --order reverse --given order.tsv domains.tsv)" = "cs.AI cs.CL math.NT math.AG B__x B__y A__x A__y" ]
	[ "$(sequence --order given --given - domains.tsv < <(tail -n +3 domains.tsv | cut -f 1))" = "$(tail -n +3 domains.tsv | cut -f 1 | xargs)" ]
}

@test "input that does not fit" {
	echo nosuch > list
	fails 3 "unknown domain: list:1: nosuch" -- order-domains --order given --given list domains.tsv
	printf 'A__x\nA__x\n' > list
	fails 3 "domain stands twice: list:2: A__x" -- order-domains --order given --given list domains.tsv
	: > list
	fails 3 "no domains: list" -- order-domains --order given --given list domains.tsv
	grep -v cs.AI vectors.tsv > v.tsv
	fails 3 "no vector: v.tsv: domain cs.AI" -- order-domains --vectors v.tsv domains.tsv
	fails 3 "no vector: v.tsv: domain cs.AI" -- order-domains --order random --vectors v.tsv domains.tsv
	grep -v @base vectors.tsv > v.tsv
	fails 3 "no vector: v.tsv: @base" -- order-domains --vectors v.tsv domains.tsv
	{ cat vectors.tsv; grep cs.AI vectors.tsv; } > v.tsv
	fails 3 "v.tsv:12: cs.AI stands twice" -- order-domains --vectors v.tsv domains.tsv
	awk -F '\t' -v OFS='\t' '$1 == "cs.AI" { $3 = $4 = 0 } 1' vectors.tsv > v.tsv
	fails 3 "v.tsv:8: vector of cs.AI has no direction" -- order-domains --vectors v.tsv domains.tsv
	awk -F '\t' -v OFS='\t' '$1 == "cs.AI" { $3 = "nan" } 1' vectors.tsv > v.tsv
	fails 3 "v.tsv:8: v0 is no number: nan" -- order-domains --vectors v.tsv domains.tsv
	awk -F '\t' -v OFS='\t' '/^#/ { print; next } { $2 = $2 OFS ($2 == "n" ? "model_hash" : $1 == "cs.AI" ? "beef" : "cafe") } 1' vectors.tsv > v.tsv
	fails 3 "v.tsv:8: vector of cs.AI is of another model than that of @base" -- order-domains --vectors v.tsv domains.tsv
	sed 's/beef/cafe/' v.tsv > w.tsv
	[ "$(sequence --vectors w.tsv domains.tsv)" = "$(sequence --vectors vectors.tsv domains.tsv)" ]
	cut -f 1,2 vectors.tsv > v.tsv
	fails 3 "v.tsv: column v0 is missing" -- order-domains --vectors v.tsv domains.tsv
	fails 3 "where #palimpsest-vectors is expected" -- order-domains --vectors domains.tsv domains.tsv
	fails 3 "where #palimpsest-domains is expected" -- order-domains --order random vectors.tsv
	fails 3 "unknown portion: 'nosuch'" -- order-domains --order random --portions wiki,nosuch domains.tsv
	fails 3 "unknown portion: ''" -- order-domains --order random --portions wiki, domains.tsv
	fails 3 "unknown domain: --start nosuch" -- order-domains --vectors vectors.tsv --start nosuch domains.tsv
	{ cat domains.tsv; tail -n 1 domains.tsv; } > d.tsv
	fails 3 "d.tsv: domain B__y stands twice" -- order-domains --order random d.tsv
	head -n 2 domains.tsv > d.tsv
	fails 3 "no domains: d.tsv" -- order-domains --order random d.tsv
	head -c -1 domains.tsv > d.tsv
	fails 3 "d.tsv: last line has no newline: the file is truncated" -- order-domains --order random d.tsv
	sed 's/A__x/@base/' domains.tsv > d.tsv
	fails 3 "d.tsv:3: bad domain name: @base" -- order-domains --order random d.tsv
	sed 's/A__x/step/' domains.tsv > d.tsv
	fails 3 "d.tsv:3: bad domain name: step" -- order-domains --order random d.tsv
	fails 1 "cannot open missing: No such file" -- order-domains --order random missing
	fails 1 "cannot open missing: No such file" -- order-domains --vectors missing domains.tsv
}

@test "misuse" {
	fails 2 "expected one domains.tsv, got 0" -- order-domains
	fails 2 "expected one domains.tsv, got 2" -- order-domains a b
	fails 2 "must be one of" -- order-domains --order alphabetic domains.tsv
	fails 2 "--order similar needs --vectors" -- order-domains domains.tsv
	fails 2 "--order given needs --given" -- order-domains --order given domains.tsv
	order-domains --order size -o size.tsv domains.tsv
	fails 2 "cannot read an order from stdin" -- order-domains --order given --given - domains.tsv <size.tsv
	fails 2 "cannot read an order from /dev/fd/" -- order-domains --order given --given <(cat size.tsv) domains.tsv
	fails 2 "--given does not go with --order size" -- order-domains --order size --given x domains.tsv
	fails 2 "--start does not go with --order size" -- order-domains --order size --start x domains.tsv
	fails 2 "portion stands twice: wiki" -- order-domains --order random --portions wiki,s2orc,wiki domains.tsv
	fails 2 "not in the first portion" -- order-domains --vectors vectors.tsv --start cs.AI domains.tsv
}

@test "output appears whole or not at all" {
	echo old > order.tsv
	fails 3 "no vector" -- order-domains -o order.tsv --vectors <(grep -v @base vectors.tsv) domains.tsv
	[ "$(cat order.tsv)" = old ]
	run --separate-stderr bash -c 'order-domains --order random domains.tsv > /dev/full'
	[ "$status" -eq 1 ]
	[[ $stderr == "order-domains: cannot write stdout: No space left on device" ]]
	fails 1 "cannot write no/such/order.tsv" -- order-domains --order random -o no/such/order.tsv domains.tsv
	[ "$(ls order.tsv*)" = order.tsv ]
}
